//! The part of `config check` that asks the broker and the store.

use std::io::Write;

use clap::ValueEnum;
use futures::future::join_all;

use crate::config::{Config, KafkaConfig};
use crate::kafka::{self, ANOMALIES, Cluster, LETTERS, Rights, TopicSpec, may_create, transactional_id};
use crate::lake::{Lake, LakeError, OpenMode, SnapshotStore};

/// The command that the settings are for: what it does not need is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    Run,
    Aggregate,
    Detect,
    Play,
}

impl Purpose {
    fn aggregates(self) -> bool {
        matches!(self, Purpose::Run | Purpose::Aggregate)
    }

    fn detects(self) -> bool {
        matches!(self, Purpose::Run | Purpose::Detect)
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Asks broker and store, prints a line for each, and for each problem, and tells whether all is well.
pub async fn check(config: &Config, purpose: Purpose, output: &mut impl Write) -> anyhow::Result<bool> {
    let broker = check_broker(config, purpose).await?;
    let is_broker_well = broker.problems.is_empty();
    for problem in &broker.problems {
        writeln!(output, "broker: {problem}")?;
    }
    if is_broker_well {
        writeln!(output, "broker: ok ({})", broker.lines.join("; "))?;
    }
    let table = purpose.aggregates().then_some(check_table(config));
    let is_table_well = say(output, "table", purpose, table).await?;
    let snapshots = purpose.detects().then_some(check_snapshots(config));
    let are_snapshots_well = say(output, "snapshots", purpose, snapshots).await?;
    Ok(is_broker_well && is_table_well && are_snapshots_well)
}

/// Makes a check, if this command needs it, prints what it found, and tells whether all is well.
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
        Ok(line) => writeln!(output, "{what}: ok ({line})")?,
        Err(problem) => writeln!(output, "{what}: {problem}")?,
    }
    Ok(found.is_ok())
}

/// What was found: in a few words each.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    problems: Vec<String>,
}

/// What a command needs of the cluster.
struct Needs {
    /// Topics, and whether they are written to.
    topics: Vec<(TopicSpec, bool)>,
    /// The groups that the topic of the readings is consumed as.
    groups: Vec<String>,
    transactional_ids: Vec<String>,
    /// Kafka lets whoever has a transactional id write idempotently.
    idempotence: bool,
}

impl Needs {
    fn of(config: &Config, purpose: Purpose) -> Self {
        let kafka = &config.kafka;
        let mut needs = Needs {
            topics: vec![(TopicSpec::readings(kafka), purpose == Purpose::Play)],
            groups: Vec::new(),
            transactional_ids: Vec::new(),
            idempotence: purpose == Purpose::Play,
        };
        if purpose.aggregates() {
            let letters = TopicSpec::letters(kafka, config.window.late);
            needs
                .topics
                .extend(letters.into_iter().map(|topic| (topic, true)));
            needs.transactional_ids.push(transactional_id(kafka, LETTERS));
            needs.groups.push(kafka.group.clone());
        }
        if purpose.detects() {
            let kafka = config.detect_kafka();
            let anomalies = TopicSpec::anomalies(&kafka, &config.detect.anomaly_topic);
            needs.topics.push((anomalies, true));
            needs.transactional_ids.push(transactional_id(&kafka, ANOMALIES));
            needs.groups.push(kafka.group);
        }
        needs
    }
}

async fn check_broker(config: &Config, purpose: Purpose) -> anyhow::Result<Findings> {
    let needs = Needs::of(config, purpose);
    let mut findings = Findings::default();
    let asked: Vec<TopicSpec> = needs.topics.iter().map(|(topic, _)| topic.clone()).collect();
    let kafka = config.kafka.clone();
    let counts = tokio::task::spawn_blocking(move || partition_counts(&kafka, &asked)).await?;
    let counts = match counts {
        Ok(counts) => counts,
        Err(error) => {
            findings.problems.push(error.to_string());
            return Ok(findings);
        }
    };
    findings.lines.push(format!("reached {}", config.kafka.brokers));
    let mut written = Vec::new();
    for ((topic, is_written), count) in needs.topics.iter().zip(counts) {
        let name = &topic.name;
        match count {
            Ok(Some(partitions)) => {
                findings
                    .lines
                    .push(format!("topic {name} has {partitions} partitions"));
                written.extend(is_written.then(|| name.clone()));
            }
            Ok(None) => match would_make(&config.kafka, topic).await {
                Ok(()) => findings.lines.push(format!("topic {name} will be made")),
                Err(error) => findings.problems.push(error.to_string()),
            },
            Err(error) => findings.problems.push(error.to_string()),
        }
    }
    let missing = missing_rights(&config.kafka, needs, written).await?;
    findings.problems.extend(missing);
    findings.problems.dedup();
    findings
        .lines
        .push(format!("allowed all that {} does", purpose.name()));
    Ok(findings)
}

type Count = Result<Option<i32>, kafka::Error>;

fn partition_counts(kafka: &KafkaConfig, topics: &[TopicSpec]) -> Result<Vec<Count>, kafka::Error> {
    let cluster = Cluster::connect(kafka).or_else(|error| match error {
        // It answers, which is enough to go on: whatever else may be missing is to be told, too.
        kafka::Error::NotAllowed(_) => Cluster::open(kafka),
        error => Err(error),
    })?;
    let count = |topic: &TopicSpec| cluster.partition_count(&topic.name);
    Ok(topics.iter().map(count).collect())
}

async fn would_make(kafka: &KafkaConfig, topic: &TopicSpec) -> Result<(), kafka::Error> {
    if kafka.create_topics {
        may_create(kafka, std::slice::from_ref(topic)).await
    } else {
        Err(kafka::Error::TopicMissing {
            topic: topic.name.clone(),
        })
    }
}

/// Asks for every right at the same time: each takes a connection of its own.
async fn missing_rights(
    kafka: &KafkaConfig,
    needs: Needs,
    written: Vec<String>,
) -> anyhow::Result<Vec<String>> {
    type Question = Box<dyn FnOnce(Rights<'_>) -> Result<(), kafka::Error> + Send>;
    let mut questions: Vec<Question> = Vec::new();
    for group in needs.groups {
        let topic = kafka.topic.clone();
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
        let kafka = kafka.clone();
        tokio::task::spawn_blocking(move || question(Rights::new(&kafka)))
    });
    let mut problems = Vec::new();
    for answer in join_all(asked).await {
        problems.extend(answer?.err().map(|error| error.to_string()));
    }
    Ok(problems)
}

async fn check_table(config: &Config) -> Result<String, LakeError> {
    match Lake::open(config, OpenMode::MustExist).await {
        Ok((_, known)) => Ok(format!(
            "{} is at version {} with {} files",
            config.table.uri,
            known.image.version,
            known.image.files.len()
        )),
        Err(LakeError::Missing(uri)) => Ok(format!("{uri} will be made")),
        Err(error) => Err(error),
    }
}

async fn check_snapshots(config: &Config) -> Result<String, LakeError> {
    let uri = config.snapshot_uri();
    let store = match SnapshotStore::open(config, OpenMode::MustExist).await {
        Err(LakeError::Missing(_)) => return Ok(format!("{uri} will be made")),
        store => store?,
    };
    // Listing is what a start begins with.
    Ok(match store.offsets(0).await?.first() {
        Some(offset) => format!("{uri} has partition 0 as of offset {offset}"),
        None => format!("{uri} has none of partition 0 yet"),
    })
}
