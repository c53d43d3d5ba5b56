//! Mutated CSVs against the reader of `play` and `backtest` in this process, and some of them through the two commands: what
//! arrives on a topic of Apache Kafka is what the oracle says, and every row that does not is reported.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{require, unique};

use super::csv::{self, Played};
use super::mutate::{mutate_bytes, odd_number, one_in, pick};
use super::times_as_many;
use crate::program::streamgauge;
use crate::simulation::seed;
use crate::stream::Random;
use streamgauge::config::{Config, DEFAULT_TOML};
use streamgauge::notation::time::DateOrder;
use streamgauge::playback::message;
use streamgauge::recording::{Columns, ReadOptions, Recording, SkipLines};

/// Files that are read in this process.
const FILES: u64 = 5_000;
/// Files that go through the commands.
const FILES_PLAYED: u64 = 500;
/// Most of a command's time is waiting for the broker.
const WORKERS: u64 = 4;
/// No file of a few rows takes a command longer, on the busiest machine.
const LIMIT: Duration = Duration::from_secs(60);

const TIME: &str = "usage_datetime_start_eastern_time";
const VALUE: &str = "usage_kw";

const ODD_TIMES: [&str; 28] = [
    "",
    "2024-03-05",
    "2024-03-05 00:05",
    "2024-03-05T00:05:00",
    "2024-3-5 0:5:0",
    "3/5/2024 0:05",
    "3/5/24 0:05",
    "03/05/2024 12:05:00 AM",
    "3/5/2024 12:05 pm",
    "3/5/2024 13:05 PM",
    "3/5/2024 0:05 AM",
    "13/5/2024 0:05",
    "2024-02-30 00:00:00",
    "2024-03-05 24:00:00",
    "2024-03-05 23:59:60",
    "1899-12-31 23:59:59",
    "9999-12-31 23:59:59",
    "10000-01-01 00:00:00",
    "+10000-01-01 00:00:00",
    "-0001-01-01 00:00:00",
    "2024-03-05 00:05:00.25",
    "2024-03-05 00:05:00.1234567891",
    "2024-03-05 00:05:00Z",
    "2024-03-05 00:05:00+01:00",
    "1709596800",
    "yesterday",
    " 2024-03-05\u{a0}00:05:00 ",
    "+2024-03-05 00:00:00",
];
const ODD_VALUES: [&str; 20] = [
    "",
    " 1.5 ",
    "\"1,003\"",
    "\"1\"\"2\"",
    "\"1",
    "NaN",
    "inf",
    "-Infinity",
    ".5",
    "5.",
    "+5",
    "-0",
    "1 kW",
    "1e300",
    "=1+1",
    "\u{ff11}",
    "0x10",
    "1_000",
    "\"\n1\n\"",
    "1\t",
];
const KEYS: [&str; 8] = [
    "meter-1",
    "meter-2",
    "\"a,b\"",
    "\"a\"\"b\"",
    "\"a\r\nb\"",
    "",
    "z\u{e4}hler",
    " meter-1 ",
];

/// A file as a city may publish it, with something changed.
fn file(random: &mut Random) -> Vec<u8> {
    let end = *pick(random, &["\n", "\n", "\r\n", "\r"]);
    let has_note = one_in(random, 2);
    let mut file = format!("{TIME},{VALUE},meter{}{end}", if has_note { ",note" } else { "" });
    let rows = random.below(40);
    for row in 0..rows {
        let minute = if one_in(random, 8) { random.below(60) } else { row };
        let time = match random.below(12) {
            0 => (*pick(random, &ODD_TIMES)).to_owned(),
            _ => format!("2024-03-05 0{}:{minute:02}:00", random.below(2)),
        };
        let value = match random.below(12) {
            0 => (*pick(random, &ODD_VALUES)).to_owned(),
            1 => odd_number(random),
            _ => format!("{:?}", random.below(10_000) as f64 / 10.0),
        };
        let key = if one_in(random, 6) {
            *pick(random, &KEYS)
        } else {
            "meter-1"
        };
        let note = if has_note {
            *pick(random, &[",", ",\"a note, quoted\"", ",x"])
        } else {
            ""
        };
        let line = format!("{time},{value},{key}{note}{end}");
        file += &line;
        if one_in(random, 15) {
            file += &line;
        }
        if one_in(random, 30) {
            file += end;
        }
    }
    let mut file = file.into_bytes();
    for _ in 0..random.below(3) {
        match random.below(8) {
            0 => {
                let at = random.below(file.len() as u64 + 1) as usize;
                file.insert(at, *pick(random, b"\",;\r\n\0\xff"));
            }
            1 => file.extend_from_slice(b"2024-03-05 03:00:00,1.5,\xe4\n2024-03-05 03:00:00,1.5,\xf6\n"),
            _ => mutate_bytes(random, &mut file, b"\n2024-03-05 00:00:00,1.0,meter-2,\"x"),
        }
    }
    file
}

/// The program's result for a file, in the oracle's terms.
fn found(file: &[u8], key: Option<&str>) -> Option<Played> {
    let config: Config = toml::from_str(DEFAULT_TOML).expect("the reference");
    let mut options = ReadOptions::new(&config.pipeline.reading);
    options.columns = Columns {
        time: vec![TIME.to_owned()],
        value: Some(VALUE.to_owned()),
        key: key.into_iter().map(str::to_owned).collect(),
    };
    options.delimiter = Some(b',');
    options.date_order = Some(DateOrder::MonthFirst);
    options.skip_lines = SkipLines::Count(0);
    let recording = Recording::read(file, &options).ok()?;
    let sent = recording.readings.iter().map(|reading| {
        let key = recording.key(reading).map(str::to_owned);
        (message(&recording, reading), key)
    });
    Some(Played {
        rows: recording.report.rows as usize,
        messages: sent.collect(),
        repeated: recording.report.repeated as usize,
        skipped: recording
            .report
            .skipped
            .iter()
            .map(|skipped| skipped.line as usize)
            .collect(),
    })
}

#[test]
fn each_mutated_file_is_read_as_the_manual_says() {
    let mut random = Random(seed());
    let (mut sent, mut skipped, mut refused, mut doubtful) = (0, 0, 0, 0);
    for number in 0..times_as_many(FILES) {
        let file = file(&mut random);
        let key = one_in(&mut random, 2).then_some("meter");
        let (found, expected) = (found(&file, key), csv::play(&file, TIME, VALUE, key));
        if csv::is_doubtful(&file) {
            doubtful += 1;
            continue;
        }
        let text = String::from_utf8_lossy(&file).into_owned();
        assert_eq!(found, expected, "file {number}, key {key:?}:\n{text:?}");
        match expected {
            Some(played) => {
                let all = played.messages.len() + played.skipped.len();
                assert_eq!(played.rows, all, "every row is accounted for: {text:?}");
                sent += played.messages.len();
                skipped += played.skipped.len();
            }
            None => refused += 1,
        }
    }
    println!("{sent} messages, {skipped} rows skipped, {refused} files refused, {doubtful} left out");
    assert!(
        doubtful < times_as_many(FILES) / 5,
        "{doubtful} files were not compared"
    );
}

/// Numbers in what a command says, by the words before and after: `read       12 rows`.
fn number_in(said: &str, before: &str, after: &str) -> Result<usize> {
    let from = said
        .find(before)
        .with_context(|| format!("no {before:?} in {said}"))?
        + before.len();
    let rest = &said[from..];
    let text = &rest[..rest
        .find(after)
        .with_context(|| format!("no {after:?} in {said}"))?];
    Ok(text.trim().replace(',', "").parse()?)
}

/// Files played one after the other into a topic of one partition, and what must lie there in the end.
struct Playing<'k> {
    kafka: &'k Kafka,
    topic: String,
    folder: PathBuf,
    messages: Vec<(String, Option<String>)>,
}

impl Playing<'_> {
    /// Runs a command on a file. It ends in time, with 0, or with 1 and a sentence.
    fn run(&self, command: &mut std::process::Command, is_right: bool) -> Result<(String, String)> {
        let mut child = Child::start("fuzz-csv", command.current_dir(&self.folder))?;
        let status = child.wait(LIMIT)?;
        let (stdout, stderr) = (child.stdout(), child.stderr());
        ensure!(
            status.code() == Some(if is_right { 0 } else { 1 }),
            "{status}: {stdout}{stderr}"
        );
        let last = stderr.lines().last().unwrap_or_default();
        ensure!(is_right || last.starts_with("error: "), "no sentence: {stderr}");
        ensure!(!stderr.contains("panicked"), "{stderr}");
        // A file's text is shown on a terminal, and must not control it.
        let steers = |character: char| {
            character != '\n' && character.is_control() || ('\u{202a}'..='\u{202e}').contains(&character)
        };
        ensure!(
            !stderr.contains(steers) && !stdout.contains(steers),
            "{stdout:?}{stderr:?}"
        );
        Ok((stdout, stderr))
    }

    fn try_file(&mut self, file: &[u8], key: Option<&str>) -> Result<()> {
        let path = self.folder.join("file.csv");
        std::fs::write(&path, file)?;
        if csv::is_doubtful(file) {
            return Ok(());
        }
        let expected = csv::play(file, TIME, VALUE, key);
        let is_right = expected
            .as_ref()
            .is_some_and(|played| !played.messages.is_empty());
        let key = key.iter().flat_map(|key| ["--key-column", key]);
        let written = ["--delimiter", ",", "--date-order", "mdy", "--skip-lines", "0"];
        let columns = ["--time-column", TIME, "--value-column", VALUE];
        let how: Vec<&str> = written.into_iter().chain(columns).chain(key).collect();

        let mut play = streamgauge([
            "play",
            "file.csv",
            "--tick",
            "0",
            "-b",
            self.kafka.brokers(),
            "-t",
            &self.topic,
        ]);
        let (stdout, stderr) = self.run(play.args(&how), is_right)?;
        let expected = expected.unwrap_or_default();
        if is_right {
            let found = [
                number_in(&stdout, "read ", " rows")?,
                number_in(&stdout, "rows; ", " repeated")?,
                number_in(&stdout, "repeated, ", " skipped")?,
                number_in(&stdout, "delivered ", " of ")?,
            ];
            let counts = [
                expected.rows,
                expected.repeated,
                expected.skipped.len(),
                expected.messages.len(),
            ];
            ensure!(found == counts, "{found:?}, not {counts:?}: {stdout}");
            let lines = stderr
                .lines()
                .filter(|line| line.ends_with("; the row is skipped"));
            let lines: Vec<usize> = lines
                .map(|line| number_in(line, "line ", ":"))
                .collect::<Result<_>>()?;
            let first = &expected.skipped[..expected.skipped.len().min(10)];
            ensure!(lines == first, "reported are lines {lines:?}, not {first:?}");
        }

        let mut backtest = streamgauge(["backtest", "file.csv", "--no-report", "--format", "json"]);
        let (stdout, _) = self.run(backtest.args(&how), is_right)?;
        if is_right {
            let json: serde_json::Value = serde_json::from_str(&stdout)?;
            let judged = json["total"]["readings"].as_u64().context("no total")?;
            ensure!(
                judged as usize == expected.messages.len(),
                "{judged} judged: {stdout}"
            );
        }
        self.messages.extend(expected.messages);
        Ok(())
    }

    /// Fails unless the messages that arrived are the expected ones, in that order.
    fn check(&self) -> Result<()> {
        let text = |bytes: Option<Vec<u8>>| bytes.map(String::from_utf8).transpose();
        let arrived = self.kafka.read_topic(&self.topic)?.into_iter();
        let arrived: Vec<_> = arrived
            .map(|record| Ok((text(record.value)?.unwrap_or_default(), text(record.key)?)))
            .collect::<Result<_>>()?;
        let different = arrived
            .iter()
            .zip(&self.messages)
            .position(|(arrived, expected)| arrived != expected);
        if let Some(place) = different {
            anyhow::bail!(
                "message {place} is {:?}, not {:?}",
                arrived[place],
                self.messages[place]
            );
        }
        ensure!(
            arrived.len() == self.messages.len(),
            "{} messages, not {}",
            arrived.len(),
            self.messages.len()
        );
        Ok(())
    }
}

#[test]
fn mutated_files_are_played_and_judged_and_every_skipped_row_is_reported() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let seed = seed();
    let play_some = |worker: u64| -> Result<usize> {
        let mut random = Random(seed ^ worker << 40);
        let mut playing = Playing {
            kafka,
            topic: unique("fuzz-csv"),
            folder: scratch_folder("fuzz-csv"),
            messages: Vec::new(),
        };
        kafka.create_topic(&playing.topic, 1)?;
        for number in 0..times_as_many(FILES_PLAYED) / WORKERS {
            let file = file(&mut random);
            let key = one_in(&mut random, 2).then_some("meter");
            let tried = playing.try_file(&file, key);
            tried.with_context(|| {
                format!(
                    "worker {worker}, file {number}, key {key:?}: {:?}",
                    String::from_utf8_lossy(&file)
                )
            })?;
        }
        playing.check()?;
        Ok(playing.messages.len())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || play_some(worker)))
            .collect();
        for worker in workers {
            let messages = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??;
            println!("{messages} messages arrived");
        }
        Ok(())
    })
}
