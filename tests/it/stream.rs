//! A stream under test: a topic with readings, some late and some broken, and the program that aggregates them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{self, Child, Signal, scratch_folder};
use streamgauge_testkit::{block_on, eventually, unique};

use crate::oracle::{Departed, Expected, Readings, Rows, oracle_of};
use crate::program::streamgauge;
use streamgauge::config::{Config, Overrides, load};
use streamgauge::decode::ValueKind;
use streamgauge::window::LatePolicy;

/// Long enough for anything that ends by itself on a busy machine.
pub const END_LIMIT: Duration = Duration::from_secs(120);

/// The transaction timeout, and the interval at which the broker looks.
const SIDE_OUTPUTS_LIMIT: Duration = Duration::from_secs(60);

pub struct Stream<'k> {
    pub kafka: &'k Kafka,
    pub topic: String,
    /// The folder that the table's files lie in.
    pub table: PathBuf,
    uri: String,
    environment: Vec<(String, String)>,
    /// The produced records.
    pub readings: Readings,
    late: LatePolicy,
    kind: ValueKind,
    random: Random,
    clock_ms: i64,
}

/// When the first reading is measured, about.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// A counter begins anew so often.
const RESET_EVERY_MS: i64 = 270_000;

impl<'k> Stream<'k> {
    /// An empty topic of four partitions; `seed` decides everything that will be produced.
    pub fn new(kafka: &'k Kafka, name: &str, late: LatePolicy, seed: u64) -> Result<Self> {
        let topic = unique(name);
        kafka.create_topic(&topic, 4)?;
        let table = scratch_folder(name).join("table");
        Ok(Stream {
            kafka,
            uri: table.display().to_string(),
            environment: Vec::new(),
            table,
            topic,
            readings: vec![Vec::new(); 4],
            late,
            kind: ValueKind::Gauge,
            random: Random(seed),
            clock_ms: BEGIN_MS,
        })
    }

    /// The same with counters, which rise by a thousandth in a millisecond and begin anew now and then.
    pub fn of_counters(self) -> Self {
        let variables = [
            ("READING__VALUE_KIND", "counter"),
            ("DETECT__STATE_INTERVAL", "200ms"),
        ];
        let variables = variables.map(|(name, value)| (format!("STREAMGAUGE__{name}"), value.to_owned()));
        Stream {
            kind: ValueKind::Counter,
            environment: self.environment.into_iter().chain(variables).collect(),
            ..self
        }
    }

    /// The same stream into a table elsewhere, which the program reaches with these variables.
    pub fn into_table(self, uri: String, folder: PathBuf, environment: Vec<(String, String)>) -> Self {
        Stream {
            uri,
            table: folder,
            environment,
            ..self
        }
    }

    /// Produces `count` records to partitions at random: readings of eight keys that advance by 200 ms on average
    /// and lag by up to four minutes, and one broken record in a hundred.
    pub fn produce(&mut self, count: usize) -> Result<()> {
        let records: Vec<NewRecord> = (0..count).map(|_| self.next_record()).collect();
        self.kafka.produce(&self.topic, records)
    }

    fn next_record(&mut self) -> NewRecord {
        self.clock_ms += self.random.below(400) as i64;
        let lag_ms = if self.random.below(10) == 0 {
            self.random.below(240_000)
        } else {
            self.random.below(5_000)
        };
        let at_ms = self.clock_ms - lag_ms as i64;
        let value = match self.kind {
            ValueKind::Gauge => self.random.below(100_000) as f64 / 10.0 - 2_000.0,
            ValueKind::Counter => (at_ms - BEGIN_MS).rem_euclid(RESET_EVERY_MS) as f64 / 1_000.0,
        };
        let text = if self.random.below(100) == 0 {
            format!("{{broken {value}")
        } else {
            let key = self.random.below(8);
            format!(r#"{{"ts":{at_ms},"value":{value:?},"key":"meter-{key}"}}"#)
        };
        let partition = self.random.below(4) as usize;
        self.readings[partition].push(text.clone());
        NewRecord::new(partition as i32, text)
    }

    /// Flags of every run of the program on this stream: quick sessions and quick commits.
    fn settings(&self) -> Vec<String> {
        let late = format!("{:?}", self.late).to_lowercase();
        let flags = [
            ["-b", self.kafka.brokers()],
            ["-t", &self.topic],
            ["--group", &self.topic],
            ["--table", &self.uri],
            ["--key", "key"],
            ["--window", "1m"],
            ["--watermark", "1m"],
            ["--late", &late],
            ["-X", "session.timeout.ms=2000"],
            ["-X", "heartbeat.interval.ms=300"],
        ];
        flags.concat().into_iter().map(str::to_owned).collect()
    }

    /// The aggregation of this stream, with further flags.
    pub fn aggregate(&self, flags: &[&str]) -> Command {
        self.command("aggregate", flags)
    }

    /// `aggregate` or `run` on this stream, with further flags.
    pub fn command(&self, subcommand: &str, flags: &[&str]) -> Command {
        let mut command = streamgauge([subcommand]);
        command.args(self.settings()).args(flags);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("STREAMGAUGE__READING__TIME_FORMAT", "epoch_ms");
        command.env("STREAMGAUGE__COMMIT__INTERVAL", "50ms");
        command.env("STREAMGAUGE__COMMIT__IDLE_INTERVAL", "200ms");
        command.env("STREAMGAUGE__READING__MAX_AHEAD", "1000d");
        command
    }

    /// Starts the aggregation, with events that can be waited for.
    pub fn start(&self, flags: &[&str]) -> Result<Child> {
        Child::start_with_events("aggregate", &mut self.aggregate(flags))
    }

    /// Runs the aggregation up to the topic's ends and returns what it says on standard error.
    pub fn aggregate_all(&self) -> Result<String> {
        let mut child = Child::start("aggregate", &mut self.aggregate(&["--available-now"]))?;
        let status = child.wait(END_LIMIT)?;
        ensure!(
            status.success(),
            "aggregate ended with {status}:\n{}",
            process::tail(&child.output())
        );
        Ok(child.stderr())
    }

    /// Fails unless the table and the topics of side outputs hold exactly what they must.
    pub fn check(&self) -> Result<()> {
        let Expected { rows, departed, .. } = oracle_of(&self.readings, self.late, self.kind);
        let found = match self.kind {
            ValueKind::Gauge => rows_of(&self.table, None)?,
            ValueKind::Counter => increases_of(&self.table)?,
        };
        ensure!(
            found.len() == rows.len(),
            "{} rows instead of {}",
            found.len(),
            rows.len()
        );
        for (row, expected) in &rows {
            let cells = found
                .get(row)
                .with_context(|| format!("the row {row:?} is missing"))?;
            ensure!(cells == expected, "{row:?} is {cells:?} instead of {expected:?}");
        }
        // A killed process may leave a transaction open, which hides what comes behind it until the broker aborts it.
        eventually("all side outputs", SIDE_OUTPUTS_LIMIT, || {
            let found = self.departed()?;
            ensure!(found == departed, "{}", difference(&found, &departed));
            Ok(())
        })
    }

    /// The records in the topics of side outputs under `read_committed`, by the headers that say where it came from.
    fn departed(&self) -> Result<Departed> {
        let mut departed = Departed::new();
        // Only diverted readings have a topic.
        let late = (self.late == LatePolicy::Divert).then_some((".late", true));
        for (suffix, is_late) in late.into_iter().chain([(".dlq", false)]) {
            for record in self.kafka.read_topic(&format!("{}{suffix}", self.topic))? {
                let number = |name: &str| -> Result<i64> {
                    let value = header(&record.headers, name).context("a header is missing")?;
                    Ok(std::str::from_utf8(value)?.parse()?)
                };
                let (partition, offset) = (number("streamgauge.partition")?, number("streamgauge.offset")?);
                let original = &self.readings[partition as usize][offset as usize];
                ensure!(
                    record.value.as_deref() == Some(original.as_bytes()),
                    "the original bytes are kept"
                );
                departed.push((partition as i32, offset, is_late));
            }
        }
        departed.sort_unstable();
        Ok(departed)
    }
}

fn difference(found: &Departed, expected: &Departed) -> String {
    let missing = expected.iter().filter(|output| !found.contains(output)).count();
    format!(
        "{} side outputs instead of {}; {missing} are missing",
        found.len(),
        expected.len()
    )
}

/// A header's value.
pub fn header<'r>(headers: &'r [(String, Option<Vec<u8>>)], name: &str) -> Option<&'r [u8]> {
    headers
        .iter()
        .find(|(found, _)| found == name)
        .and_then(|(_, value)| value.as_deref())
}

/// Ends a process in good order.
pub fn stop(mut child: Child) -> Result<()> {
    child.signal(Signal::Terminate)?;
    let status = child.wait(END_LIMIT)?;
    ensure!(
        status.success(),
        "SIGTERM must end it with 0, not {status}:\n{}",
        child.output()
    );
    Ok(())
}

/// The settings of a table in a local folder.
pub fn local_config(table: &Path) -> Result<Config> {
    let overrides = Overrides::default().with("table.uri", "--table", Some(table.display()));
    Ok(load(&overrides, None, [])?.config)
}

/// The rows of a table of this program; an error if one is there twice (I4).
pub fn rows_of(table: &Path, version: Option<u64>) -> Result<Rows> {
    const SQL: &str = "SELECT key, start, min_usage, max_usage, sum_usage, count, avg_usage FROM usage";
    selected(table, version, SQL)
}

/// The same of counters, whose rows have no minimum and no maximum.
pub fn increases_of(table: &Path) -> Result<Rows> {
    const SQL: &str = "SELECT key, start, CAST('inf' AS DOUBLE), CAST('-inf' AS DOUBLE), increase_usage, count, \
                       increase_usage / count FROM usage";
    selected(table, None, SQL)
}

fn selected(table: &Path, version: Option<u64>, sql: &str) -> Result<Rows> {
    let config = local_config(table)?;
    block_on(async {
        let session = streamgauge::query::open(&config.pipeline.table, version).await?;
        let mut rows = Rows::new();
        for statement in session.parse(sql)? {
            let mut result = session.run(statement).await?;
            while let Some(batch) = result.next_batch().await? {
                ingest(&batch, &mut rows)?;
            }
        }
        Ok(rows)
    })
}

fn ingest(batch: &arrow::array::RecordBatch, rows: &mut Rows) -> Result<()> {
    let keys = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    let starts = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let number = |column: usize, row: usize| batch.column(column).as_primitive::<Float64Type>().value(row);
    let counts = batch.column(5).as_primitive::<Int64Type>();
    for row in 0..batch.num_rows() {
        let key = (starts.value(row) / 1000, keys.value(row).to_owned());
        let (count, sum) = (counts.value(row) as u64, number(4, row));
        ensure!(
            number(6, row) == sum / count as f64,
            "{key:?}: the average is not sum / count"
        );
        let previous = rows.insert(key.clone(), (count, number(2, row), number(3, row), sum));
        ensure!(previous.is_none(), "I4: two rows of {key:?}");
    }
    Ok(())
}

/// A repeatable source of numbers (Knuth's MMIX generator, high bits).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
