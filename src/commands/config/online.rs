//! The part of `config check` that asks the broker and the table.

use std::io::Write;

use crate::config::{Config, KafkaConfig};
use crate::kafka::{self, Cluster};
use crate::lake::{Lake, LakeError, OpenMode};

/// Asks broker and table, prints a line for each, and tells whether all is well.
pub async fn check(config: &Config, output: &mut impl Write) -> anyhow::Result<bool> {
    let kafka_config = config.kafka.clone();
    let broker = tokio::task::spawn_blocking(move || check_broker(&kafka_config)).await?;
    let is_broker_well = print(output, "broker", broker.map_err(|error| error.to_string()))?;
    let is_table_well = print(
        output,
        "table",
        check_table(config).await.map_err(|error| error.to_string()),
    )?;
    Ok(is_broker_well && is_table_well)
}

fn print(output: &mut impl Write, what: &str, found: Result<Vec<String>, String>) -> anyhow::Result<bool> {
    match found {
        Ok(lines) => {
            writeln!(output, "{what}: ok ({})", lines.join("; "))?;
            Ok(true)
        }
        Err(problem) => {
            writeln!(output, "{what}: {problem}")?;
            Ok(false)
        }
    }
}

fn check_broker(kafka: &KafkaConfig) -> Result<Vec<String>, kafka::Error> {
    let cluster = Cluster::connect(kafka)?;
    let mut lines = vec![format!("reached {}", kafka.brokers)];
    for topic in [kafka.topic.clone(), kafka.late_topic(), kafka.dead_letter_topic()] {
        match cluster.partition_count(&topic)? {
            Some(partitions) => lines.push(format!("topic {topic} has {partitions} partitions")),
            None if kafka.create_topics => lines.push(format!("topic {topic} will be made")),
            None => return Err(kafka::Error::TopicMissing { topic }),
        }
    }
    Ok(lines)
}

async fn check_table(config: &Config) -> Result<Vec<String>, LakeError> {
    match Lake::open(config, OpenMode::MustExist).await {
        Ok((_, known)) => Ok(vec![format!(
            "{} is at version {} with {} files",
            config.table.uri,
            known.image.version,
            known.image.files.len()
        )]),
        Err(LakeError::Missing(uri)) => Ok(vec![format!("{uri} will be made")]),
        Err(error) => Err(error),
    }
}
