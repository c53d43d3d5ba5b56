//! Plays a recording, a CSV of readings, into a topic at a pace.
//!
//! CSV → [`Recording`] → [`Pace::ticks`] → [`Sender`]: reading and planning are pure, [`play`] is the one loop that waits
//! and sends. It knows nothing of the table or of windows.

mod message;
mod pace;
mod recording;
mod sender;
mod time;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;

pub use pace::Pace;
pub use recording::{Columns, ReadReport, RecordedReading, Recording, SkipReason, Skipped, TimeRange};
pub use sender::{Deliveries, Sender};
pub use time::{parse_bound, parse_wall_time};

use crate::clock::instant;
use crate::kafka;

/// The longest wait without a look at progress and at deliveries.
const SLICE: Duration = Duration::from_millis(100);
/// Readings sent between two such looks.
const BURST: usize = 1000;
/// How long messages under way are waited for after the player was told to stop or a delivery failed.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CSV cannot be read at all.
    #[error("the CSV cannot be read: {0}")]
    Csv(#[from] csv::Error),
    /// A column is not there.
    #[error("the CSV has no column {wanted:?}; its columns are: {known}")]
    UnknownColumn { wanted: String, known: String },
    /// A message was not even taken for sending.
    #[error("the reading of line {line} cannot be sent ({cause})")]
    Rejected { line: u64, cause: String },
    /// The cluster or its settings.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
}

/// How far the player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Readings handed to the producer.
    pub sent: u64,
    /// Time of the newest of them.
    pub event_time: Option<NaiveDateTime>,
}

/// What came of playing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Ticks with readings.
    pub ticks: u64,
    /// Readings handed to the producer.
    pub sent: u64,
    pub delivered: u64,
    /// Why the first undelivered reading failed.
    pub first_error: Option<String>,
    /// Times of the first and the last reading sent.
    pub span: Option<(NaiveDateTime, NaiveDateTime)>,
    /// The callback asked to stop.
    pub stopped: bool,
}

impl Played {
    /// Readings sent that the broker did not acknowledge.
    pub fn undelivered(&self) -> u64 {
        self.sent - self.delivered
    }
}

/// Sends readings, in order of time, at a pace; returns when the broker has acknowledged or failed each.
///
/// Blocks. `progress` is called several times a second and may stop the player, which then lets what is under way arrive.
/// The first failed delivery stops it too.
///
/// # Errors
/// [`Error::Rejected`] if a message cannot be sent whatever the broker does.
pub fn play(
    readings: &[RecordedReading],
    pace: &Pace,
    sender: &Sender,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Played, Error> {
    let mut player = Player {
        sender,
        progress,
        sent: 0,
        ticks: 0,
        span: None,
    };
    let outcome = player.run(readings, pace)?;
    let stopped = outcome == ControlFlow::Break(Halt::Asked);
    player.settle();
    let deliveries = sender.deliveries();
    let first_error = deliveries.first_error.or_else(|| {
        (deliveries.delivered < player.sent).then(|| "the broker did not acknowledge in time".to_owned())
    });
    let Player {
        sent, ticks, span, ..
    } = player;
    Ok(Played {
        ticks,
        sent,
        delivered: deliveries.delivered,
        first_error,
        span,
        stopped,
    })
}

/// Why the player stops before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    Asked,
    DeliveryFailed,
}

struct Player<'a, P> {
    sender: &'a Sender,
    progress: P,
    sent: u64,
    ticks: u64,
    span: Option<(NaiveDateTime, NaiveDateTime)>,
}

impl<P: FnMut(Progress) -> ControlFlow<()>> Player<'_, P> {
    fn run(&mut self, readings: &[RecordedReading], pace: &Pace) -> Result<ControlFlow<Halt>, Error> {
        let mut due = instant();
        for tick in pace.ticks(readings) {
            if let halt @ ControlFlow::Break(_) = self.wait_until(due) {
                return Ok(halt);
            }
            for burst in tick.chunks(BURST) {
                if let halt @ ControlFlow::Break(_) = self.send(burst)? {
                    return Ok(halt);
                }
            }
            self.ticks += 1;
            due += pace.tick;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn wait_until(&mut self, due: Instant) -> ControlFlow<Halt> {
        loop {
            let remaining = due.saturating_duration_since(instant());
            self.look(remaining.min(SLICE))?;
            if remaining <= SLICE {
                return ControlFlow::Continue(());
            }
        }
    }

    fn send(&mut self, burst: &[RecordedReading]) -> Result<ControlFlow<Halt>, Error> {
        for reading in burst {
            while !self.sender.offer(reading)? {
                if let halt @ ControlFlow::Break(_) = self.look(SLICE) {
                    return Ok(halt);
                }
            }
            self.sent += 1;
            let first = self.span.map_or(reading.time, |(first, _)| first);
            self.span = Some((first, reading.time));
        }
        Ok(self.look(Duration::ZERO))
    }

    /// Takes note of deliveries for so long and reports progress.
    fn look(&mut self, wait: Duration) -> ControlFlow<Halt> {
        self.sender.poll(wait);
        let event_time = self.span.map(|(_, last)| last);
        if (self.progress)(Progress {
            sent: self.sent,
            event_time,
        })
        .is_break()
        {
            return ControlFlow::Break(Halt::Asked);
        }
        if self.sender.deliveries().failed > 0 {
            return ControlFlow::Break(Halt::DeliveryFailed);
        }
        ControlFlow::Continue(())
    }

    /// Waits for the fate of what was sent: not for long once the player was told to stop or the broker has failed one.
    fn settle(&mut self) {
        let mut deadline = self.sender.deadline();
        while self.sender.in_flight() > 0 && instant() < deadline {
            if self.look(SLICE).is_break() {
                deadline = deadline.min(instant() + FAREWELL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::{Message, Offset, TopicPartitionList};

    use super::*;
    use crate::config::{Config, DEFAULT_TOML, KafkaConfig};
    use crate::kafka::{Cluster, EmbeddedBroker, client_config};

    const PARTITIONS: i32 = 2;

    fn settings(brokers: String) -> KafkaConfig {
        let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
        KafkaConfig {
            brokers,
            ..config.kafka
        }
    }

    /// Keys and payloads of the topic, partition by partition, each in the order of its log.
    fn consume(kafka: &KafkaConfig, expected: usize) -> Vec<Vec<(Option<String>, String)>> {
        let consumer: BaseConsumer = client_config(kafka)
            .unwrap()
            .set("group.id", "test")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assignment
                .add_partition_offset(&kafka.topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut found = vec![Vec::new(); PARTITIONS as usize];
        let deadline = instant() + Duration::from_secs(30);
        while found.iter().map(Vec::len).sum::<usize>() < expected && instant() < deadline {
            if let Some(message) = consumer.poll(SLICE) {
                let message = message.unwrap();
                let entry = (message.key().map(text), text(message.payload().unwrap()));
                found[message.partition() as usize].push(entry);
            }
        }
        found
    }

    fn recording(csv: &[u8], key: Option<&str>) -> Recording {
        let columns = Columns {
            key: key.map(str::to_owned),
            ..Columns::default()
        };
        Recording::from_csv(csv, &columns, TimeRange::default()).unwrap()
    }

    #[test]
    fn a_played_recording_is_in_the_topic_once_and_in_order() {
        let broker = EmbeddedBroker::start(&[("usage", PARTITIONS)]).unwrap();
        let kafka = settings(broker.bootstrap_servers());
        let recording = recording(include_bytes!("../commands/demo/boston_tuesdays.csv"), None);
        let sender = Sender::new(&kafka).unwrap();
        let played = play(&recording.readings, &Pace::UNPACED, &sender, |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(
            (played.sent, played.delivered, played.first_error),
            (2015, 2015, None)
        );

        let partitions = consume(&kafka, 2015);
        assert!(partitions.iter().all(|partition| partition.is_sorted()));
        let mut payloads: Vec<String> = partitions
            .into_iter()
            .flatten()
            .map(|(_, payload)| payload)
            .collect();
        payloads.sort();
        let expected: Vec<String> = recording.readings.iter().map(message::message).collect();
        assert_eq!(payloads, expected);

        let cluster = Cluster::connect(&kafka).unwrap();
        assert_eq!(cluster.partition_count("usage").unwrap(), Some(PARTITIONS));
        assert_eq!(cluster.partition_count("other").unwrap(), None);
        let ends = (0..PARTITIONS).map(|partition| cluster.watermarks("usage", partition).unwrap().1);
        assert_eq!(ends.sum::<i64>(), 2015);
    }

    #[test]
    fn keys_go_along_and_the_callback_stops_the_player() {
        let broker = EmbeddedBroker::start(&[("usage", PARTITIONS)]).unwrap();
        let kafka = settings(broker.bootstrap_servers());
        let csv = "usage_datetime_start_eastern_time,usage_kw,meter\n\
            2024-03-05 00:00:00,1,a\n2024-03-05 00:05:00,2,b\n2024-03-05 00:10:00,3,a\n";
        let recording = recording(csv.as_bytes(), Some("meter"));
        let pace = Pace {
            tick: Duration::from_millis(20),
            ..Pace::UNPACED
        };
        let sender = Sender::new(&kafka).unwrap();
        let played = play(&recording.readings, &pace, &sender, |progress| {
            if progress.sent == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
        assert_eq!((played.sent, played.delivered, played.stopped), (2, 2, true));

        let mut found: Vec<_> = consume(&kafka, 2).into_iter().flatten().collect();
        found.sort();
        let entry = |key: &str, payload: &str| (Some(key.to_owned()), payload.to_owned());
        assert_eq!(
            found,
            [
                entry("a", r#"{"ts": "2024-03-05 00:00:00", "value": 1.0, "key": "a"}"#),
                entry("b", r#"{"ts": "2024-03-05 00:05:00", "value": 2.0, "key": "b"}"#),
            ]
        );
    }
}
