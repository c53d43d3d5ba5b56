//! The part of `config check` that asks the broker and the store.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use futures::future::join_all;

use crate::collect::{CollectError, Collection, watermarks_topic};
use crate::config::Config;
use crate::decode::{Schemas, ValueKind};
use crate::kafka::{
    self, ALERTS, ANOMALIES, Cluster, Rights, Subscription, TABLE_SINK, TopicSpec, may_create,
    topic_settings, transactional_id,
};
use crate::lake::{Lake, LakeError, OpenMode, StateSpec, StateStore, TableSettings, check_place, try_place};
use crate::pipeline::alerts::anomalies_of;
use crate::pipeline::{self, table::NO_TABLE};
use crate::printable::printable;
use crate::registry::{self, learn_schemas};
use crate::sniff::Outcome;
use crate::table::CachedSnapshot;

/// The command that the settings are for: what it does not need is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    Run,
    Aggregate,
    Detect,
    Play,
    Collect,
}

impl Purpose {
    fn aggregates(self) -> bool {
        matches!(self, Purpose::Run | Purpose::Aggregate)
    }

    fn detects(self) -> bool {
        matches!(self, Purpose::Run | Purpose::Detect)
    }

    fn writes_readings(self) -> bool {
        matches!(self, Purpose::Play | Purpose::Collect)
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Asks broker and store, prints a line for each, and for each problem; returns whether all is well.
pub(super) async fn check(
    config: &Config,
    purpose: Purpose,
    output: &mut impl Write,
) -> anyhow::Result<bool> {
    let pipeline = &config.pipeline;
    let lake = match purpose.aggregates() {
        true => Some(Lake::open(&pipeline.table_spec(), OpenMode::MustExist).await),
        false => None,
    };
    let table_id = match &lake {
        Some(Ok((lake, _))) => lake.table_id(),
        // A right to all groups that begin alike holds for this one, too.
        _ => NO_TABLE,
    };
    let mut needs = Needs::of(pipeline, purpose, table_id, &config.subscription());
    if purpose == Purpose::Run && !config.alert.receivers.is_empty() {
        needs.tells(config);
    }
    let collection = match purpose {
        Purpose::Collect => Some(Collection::open(&config.collect).await),
        _ => None,
    };
    if let Some(Ok(collection)) = &collection {
        needs.collects(collection, &pipeline.source.topic);
    }
    let broker = check_broker(&config.subscription(), purpose, needs).await?;
    let is_broker_well = broker.problems.is_empty();
    for problem in &broker.problems {
        writeln!(output, "broker: {}", printable(problem))?;
    }
    for warning in &broker.warnings {
        writeln!(output, "broker: warning: {}", printable(warning))?;
    }
    if is_broker_well {
        writeln!(output, "broker: ok ({})", printable(&broker.lines.join("; ")))?;
        if purpose != Purpose::Play
            && let Some(warning) = unread(config, &Arc::default()).await?
        {
            writeln!(output, "readings: warning: {}", printable(&warning))?;
        }
    }
    let counts = pipeline.reading.value_kind == ValueKind::Counter;
    let state = match purpose {
        _ if purpose.detects() => Some(check_state(pipeline.state_spec())),
        Purpose::Aggregate if counts => Some(check_state(pipeline.register_spec(table_id))),
        _ => None,
    };
    let table = lake.map(|lake| describe_table(&pipeline.table, lake));
    let is_table_well = say(output, "table", purpose, table).await?;
    let is_state_well = say(output, "state", purpose, state).await?;
    let is_cloudwatch_well = match &collection {
        None => true,
        Some(found) => say_of_cloudwatch(output, found)?,
    };
    let is_registry_well = purpose.writes_readings() || say_of_registry(output, config).await?;
    Ok(is_broker_well && is_table_well && is_state_well && is_cloudwatch_well && is_registry_well)
}

/// Prints whether the schema registry answers, if there is one, and tells whether it does.
async fn say_of_registry(output: &mut impl Write, config: &Config) -> anyhow::Result<bool> {
    let found = registry::look(&config.process.schema_registry).await;
    match &found {
        Ok(None) => {}
        Ok(Some(line)) => writeln!(output, "schema registry: ok ({})", printable(line))?,
        Err(problem) => writeln!(output, "schema registry: {}", printable(&problem.to_string()))?,
    }
    Ok(found.is_ok())
}

/// A warning if many of the topic's newest records would be dead letters.
async fn unread(config: &Config, schemas: &Arc<Schemas>) -> anyhow::Result<Option<String>> {
    /// Records of each partition that are looked at.
    const LOOK_AT: usize = 100;
    let (kafka, settings) = (config.subscription(), config.pipeline.reading.clone());
    let look = move || kafka::sample(&kafka, LOOK_AT, settings.max_header_bytes);
    let outcome = match tokio::task::spawn_blocking(look).await? {
        Ok(sample) => {
            let registry = &config.process.schema_registry;
            if let Err(error) =
                learn_schemas(registry, &config.pipeline.reading, &sample.blocks, schemas).await
            {
                return Ok(Some(error.to_string()));
            }
            Outcome::of(&config.pipeline.reading, &sample.blocks, schemas)
        }
        Err(kafka::Error::NothingToSample { .. }) => return Ok(None),
        Err(error) => return Ok(Some(format!("the newest records cannot be looked at: {error}"))),
    };
    let most_frequent = outcome.rejected.iter().max_by_key(|(_, (count, _))| *count);
    Ok(most_frequent
        .filter(|_| !outcome.is_good())
        .map(|(reason, (_, detail))| {
            format!(
                "{} of the {} newest records would be dead letters, most as {} ({detail}); `streamgauge sniff` shows what \
                 they are and which settings read them",
                outcome.dead(),
                outcome.records(),
                reason.name()
            )
        }))
}

/// Makes a check, if this command needs it, prints the result, and returns whether all is well.
async fn say(
    output: &mut impl Write,
    what: &str,
    purpose: Purpose,
    check: Option<impl Future<Output = Result<String, LakeError>>>,
) -> anyhow::Result<bool> {
    let Some(check) = check else {
        let command = purpose.name();
        writeln!(output, "{what}: not looked at ({command} needs none)")?;
        return Ok(true);
    };
    let found = check.await;
    match &found {
        Ok(line) => writeln!(output, "{what}: ok ({})", printable(line))?,
        Err(problem) => writeln!(output, "{what}: {}", printable(&problem.to_string()))?,
    }
    Ok(found.is_ok())
}

/// Prints what CloudWatch answered, and tells whether it did.
fn say_of_cloudwatch(
    output: &mut impl Write,
    found: &Result<Collection, CollectError>,
) -> anyhow::Result<bool> {
    match found {
        Ok(collection) => writeln!(
            output,
            "cloudwatch: ok ({})",
            printable(&collection.cost().to_string())
        )?,
        Err(problem) => writeln!(output, "cloudwatch: {}", printable(&problem.to_string()))?,
    }
    Ok(found.is_ok())
}

/// The results, in a few words each.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    problems: Vec<String>,
    /// Findings that work but may not be intended.
    warnings: Vec<String>,
}

/// The permissions and topics that a command needs.
struct Needs {
    /// Topics, and whether they are written to.
    topics: Vec<(TopicSpec, bool)>,
    /// Topics, and the groups that they are consumed as.
    groups: Vec<(String, String)>,
    transactional_ids: Vec<String>,
    /// Kafka lets a principal with a transactional id write idempotently.
    idempotence: bool,
    /// `reading.max_ahead` and `window.watermark`, which the timestamps of readings have to suit.
    ahead_and_watermark: Option<(Duration, Duration)>,
}

impl Needs {
    fn of(settings: &pipeline::Settings, purpose: Purpose, table_id: &str, kafka: &Subscription) -> Self {
        let mut needs = Needs {
            topics: vec![(TopicSpec::readings(&kafka.source), purpose.writes_readings())],
            groups: Vec::new(),
            transactional_ids: Vec::new(),
            idempotence: purpose == Purpose::Play,
            ahead_and_watermark: (!purpose.writes_readings())
                .then_some((settings.reading.max_ahead, settings.window.watermark)),
        };
        if purpose.aggregates() {
            let side_outputs = TopicSpec::side_outputs(&kafka.source, settings.window.late);
            needs
                .topics
                .extend(side_outputs.into_iter().map(|topic| (topic, true)));
            needs.consumes_as(settings.table_group(table_id), TABLE_SINK, kafka);
        }
        if purpose.detects() {
            let anomalies = TopicSpec::anomalies(&kafka.source, &settings.detect.anomaly_topic);
            needs.topics.push((anomalies, true));
            needs.consumes_as(settings.detect_group(), ANOMALIES, kafka);
        }
        needs
    }

    /// The topic beside that of the readings, and the transactions that both are written in.
    fn collects(&mut self, collection: &Collection, topic: &str) {
        self.topics
            .push((TopicSpec::compacted(watermarks_topic(topic)), true));
        self.transactional_ids.push(collection.transactional_id(topic));
    }

    /// The topics beside that of the anomalies, from which receivers are told.
    fn tells(&mut self, config: &Config) {
        let kafka = anomalies_of(&config.process.kafka, &config.pipeline, &config.alert);
        let anomalies = kafka.source.topic.clone();
        let state = TopicSpec::compacted(config.alert.state_topic(&anomalies));
        let feedback = TopicSpec::compacted(config.feedback_topic());
        self.topics.extend([(state, true), (feedback, false)]);
        self.consumes_as(kafka.source.group.clone(), ALERTS, &kafka);
    }

    /// A group to consume in, and to write transactions as.
    fn consumes_as(&mut self, group: String, purpose: &str, kafka: &Subscription) {
        let topic = kafka.source.topic.clone();
        let kafka = kafka.clone().in_group(group.clone());
        self.transactional_ids.push(transactional_id(&kafka, purpose));
        self.groups.push((topic, group));
    }
}

async fn check_broker(kafka: &Subscription, purpose: Purpose, needs: Needs) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let asked: Vec<TopicSpec> = needs.topics.iter().map(|(topic, _)| topic.clone()).collect();
    let subscription = kafka.clone();
    let counts = tokio::task::spawn_blocking(move || partition_counts(&subscription, &asked)).await?;
    let counts = match counts {
        Ok(counts) => counts,
        Err(error) => {
            findings.problems.push(error.to_string());
            return Ok(findings);
        }
    };
    findings.lines.push(format!("reached {}", kafka.cluster.brokers));
    let (mut existing, mut written) = (Vec::new(), Vec::new());
    for ((topic, is_written), count) in needs.topics.iter().zip(counts) {
        let name = &topic.name;
        match count {
            Ok(Some(partitions)) => {
                findings
                    .lines
                    .push(format!("topic {name} has {partitions} partitions"));
                existing.push(name.clone());
                written.extend(is_written.then(|| name.clone()));
            }
            Ok(None) => match would_make(kafka, topic).await {
                Ok(()) => findings.lines.push(format!("topic {name} will be made")),
                Err(error) => findings.problems.push(error.to_string()),
            },
            Err(error) => findings.problems.push(error.to_string()),
        }
    }
    look_at_settings(kafka, needs.ahead_and_watermark, &existing, &mut findings).await;
    let missing = missing_rights(kafka, needs, written).await?;
    findings.problems.extend(missing);
    findings.problems.dedup();
    findings
        .lines
        .push(format!("allowed all that {} does", purpose.name()));
    Ok(findings)
}

/// Warns of settings of existing topics that may harm a stream. They are skipped without the permission to read them.
async fn look_at_settings(
    kafka: &Subscription,
    ahead_and_watermark: Option<(Duration, Duration)>,
    topics: &[String],
    findings: &mut Findings,
) {
    if topics.is_empty() {
        return;
    }
    let readings = &kafka.source.topic;
    let settings = match topic_settings(&kafka.cluster, topics).await {
        Ok(settings) => settings,
        Err(error) => return findings.warnings.push(error.to_string()),
    };
    let index = topics.iter().position(|topic| topic == readings);
    let of_readings = index.and_then(|index| settings.get(index).cloned().flatten());
    let of_readings = of_readings.unwrap_or_default();
    for (topic, settings) in topics.iter().zip(settings) {
        let Some(settings) = settings else {
            let unread = format!(
                "the settings of topic {topic} cannot be read (DESCRIBE_CONFIGS), so nothing is said of them"
            );
            findings.lines.push(unread);
            continue;
        };
        findings.warnings.extend(if topic != readings {
            settings.complaint_about_size(topic, &of_readings)
        } else {
            ahead_and_watermark.and_then(|(max_ahead, watermark)| {
                settings.complaint_about_timestamps(topic, max_ahead, watermark)
            })
        });
    }
}

type Count = Result<Option<i32>, kafka::Error>;

fn partition_counts(kafka: &Subscription, topics: &[TopicSpec]) -> Result<Vec<Count>, kafka::Error> {
    let cluster = Cluster::connect(kafka).or_else(|error| match error {
        // It answers, which is enough to go on: other problems are to be reported, too.
        kafka::Error::NotAllowed(_) => Cluster::open(&kafka.cluster),
        error => Err(error),
    })?;
    let count = |topic: &TopicSpec| cluster.partition_count(&topic.name);
    Ok(topics.iter().map(count).collect())
}

async fn would_make(kafka: &Subscription, topic: &TopicSpec) -> Result<(), kafka::Error> {
    if kafka.source.create_topics {
        may_create(kafka, std::slice::from_ref(topic)).await
    } else {
        Err(kafka::Error::TopicMissing {
            topic: topic.name.clone(),
        })
    }
}

/// Asks for every right at the same time: each takes a connection of its own.
async fn missing_rights(
    kafka: &Subscription,
    needs: Needs,
    written: Vec<String>,
) -> anyhow::Result<Vec<String>> {
    type Question = Box<dyn FnOnce(Rights<'_>) -> Result<(), kafka::Error> + Send>;
    let mut questions: Vec<Question> = Vec::new();
    for (topic, group) in needs.groups {
        questions.push(Box::new(move |rights| rights.may_read(&topic, &group)));
    }
    for topic in written {
        questions.push(Box::new(move |rights| rights.may_write(&topic)));
    }
    for id in needs.transactional_ids {
        questions.push(Box::new(move |rights| rights.may_transact(&id)));
    }
    if needs.idempotence {
        questions.push(Box::new(|rights| rights.may_write_idempotently()));
    }
    let asked = questions.into_iter().map(|question| {
        let cluster = kafka.cluster.clone();
        tokio::task::spawn_blocking(move || question(Rights::new(&cluster)))
    });
    let mut problems = Vec::new();
    for answer in join_all(asked).await {
        problems.extend(answer?.err().map(|error| error.to_string()));
    }
    Ok(problems)
}

async fn describe_table(
    table: &TableSettings,
    lake: Result<(Lake, CachedSnapshot), LakeError>,
) -> Result<String, LakeError> {
    match lake {
        Ok((lake, cached)) => {
            lake.try_store(table).await?;
            Ok(format!(
                "{} is at version {} with {} files",
                table.uri,
                cached.snapshot.version,
                cached.snapshot.files.len()
            ))
        }
        Err(LakeError::Missing(uri)) => {
            check_place(table).await?;
            try_place(table).await?;
            Ok(format!("{uri} will be made"))
        }
        Err(error) => Err(error),
    }
}

async fn check_state(spec: StateSpec) -> Result<String, LakeError> {
    let uri = &spec.uri;
    let store = match StateStore::open(&spec, OpenMode::MustExist).await {
        Err(LakeError::Missing(_)) => return Ok(format!("{uri} will be made")),
        store => store?,
    };
    // Listing is what a start begins with.
    Ok(match store.offsets(0).await?.first() {
        Some(offset) => format!("{uri} has partition 0 as of offset {offset}"),
        None => format!("{uri} has none of partition 0 yet"),
    })
}
