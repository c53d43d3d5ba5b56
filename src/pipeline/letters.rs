//! Departing records as letters: their original key, value and headers, and headers that say where from and why.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use tracing::warn;

use crate::clock;
use crate::config::Config;
use crate::decode::Rejection;
use crate::kafka::Letter;
use crate::operator::{Departure, Fate};
use crate::reading::{Headers, RecordBlock};
use crate::telemetry::OncePer;

/// How often a kind of departure is logged; all of them are counted.
pub const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Letters that wait for the next commit.
#[derive(Debug)]
pub struct Letters {
    topic: String,
    late_topic: String,
    dead_letter_topic: String,
    waiting: Vec<Letter>,
    byte_count: usize,
    told: OncePer<&'static str>,
}

impl Letters {
    /// No letters yet, for the topics of the settings.
    pub fn new(config: &Config) -> Self {
        Letters {
            topic: config.kafka.topic.clone(),
            late_topic: config.kafka.late_topic(),
            dead_letter_topic: config.kafka.dead_letter_topic(),
            waiting: Vec::new(),
            byte_count: 0,
            told: OncePer::new(TELL_INTERVAL),
        }
    }

    /// Bytes of the original keys and values that wait.
    pub fn byte_count(&self) -> usize {
        self.byte_count
    }

    /// Adds the records of a block that depart.
    pub fn add(&mut self, block: &RecordBlock, departures: Vec<Departure>) {
        for Departure { index, fate } in departures {
            let record = block.record(index);
            let mut headers: Headers = block.headers(index).to_vec();
            headers.extend(self.origin(block.partition, record.offset, record.timestamp_ms));
            let topic = match fate {
                Fate::Late { watermark_ms } => {
                    let detail = format!(
                        "its window ended at or before the watermark {}",
                        time(watermark_ms)
                    );
                    self.tell("late", &detail, block.partition, record.offset);
                    headers.extend(reason("window", "late", &detail));
                    &self.late_topic
                }
                Fate::Dead(Rejection { reason: kind, detail }) => {
                    self.tell(kind.name(), &detail, block.partition, record.offset);
                    headers.extend(reason("decode", kind.name(), &detail));
                    &self.dead_letter_topic
                }
            };
            self.byte_count += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            self.waiting.push(Letter {
                topic: topic.clone(),
                partition: block.partition,
                offset: record.offset,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers,
            });
        }
    }

    /// Says what departs and why, once a minute for each kind (I8).
    fn tell(&mut self, kind: &'static str, detail: &str, partition: i32, offset: i64) {
        if let Some(held_back) = self.told.ask(kind, clock::instant()) {
            warn!(
                kind,
                partition,
                offset,
                more_since_last_told = held_back,
                "not aggregated: {detail}"
            );
        }
    }

    /// Takes all letters out.
    pub fn take(&mut self) -> Vec<Letter> {
        self.byte_count = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Drops a partition's letters: whoever consumes it next makes them again.
    pub fn drop_partition(&mut self, partition: i32) {
        self.waiting.retain(|letter| letter.partition != partition);
        if self.waiting.is_empty() {
            self.byte_count = 0;
        }
    }

    /// Drops all letters.
    pub fn clear(&mut self) {
        self.take();
    }

    /// Where a letter's record came from. The id is the same whenever the record is read again.
    fn origin(&self, partition: i32, offset: i64, timestamp_ms: Option<i64>) -> Headers {
        let mut headers = vec![
            header("id", &format!("{}/{partition}/{offset}", self.topic)),
            header("topic", &self.topic),
            header("partition", &partition.to_string()),
            header("offset", &offset.to_string()),
        ];
        headers.extend(timestamp_ms.map(|timestamp_ms| header("timestamp", &timestamp_ms.to_string())));
        headers
    }
}

fn time(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms).map_or("of no time".to_owned(), |time| {
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    })
}

fn reason(stage: &str, reason: &str, detail: &str) -> Headers {
    vec![
        header("stage", stage),
        header("reason", reason),
        header("detail", detail),
    ]
}

/// A header of ours; the prefix keeps it apart from the record's own.
fn header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (format!("streamgauge.{name}"), Some(value.as_bytes().to_vec()))
}
