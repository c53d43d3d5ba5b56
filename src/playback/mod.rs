//! Plays a recording, a file of readings, into a topic at a pace.
//!
//! [`Recording`] → [`Pace::ticks`] → [`Sender`]: planning is pure, and [`play`] is the only loop that waits and sends.
//! This room knows neither the table nor windows.

mod message;
mod pace;
mod sender;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub use message::message;
pub use pace::Pace;
pub use sender::Sender;

use crate::clock::instant;
use crate::kafka;
use crate::recording::{RecordedReading, Recording};

/// The longest wait between two checks of progress and deliveries.
const SLICE: Duration = Duration::from_millis(100);
/// Readings sent between two checks.
const BURST: usize = 1000;
/// How long to wait for messages in flight after a stop or a failed delivery.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The reason for not playing a recording.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reading of several samples, for which the messages of a player have no place.
    #[error(
        "line {line} holds the sum of several samples (reading.count_field), and what is played is one sample each; send the \
         lines as they are, for example with `kcat -P -t {topic} -l FILE`"
    )]
    Weighted {
        /// Of the file.
        line: u64,
        /// Where it was to be played to.
        topic: String,
    },
    /// A message that the producer refused to queue.
    #[error("cannot send the reading of line {line} ({cause})")]
    Rejected {
        /// Of the file, where the reading's row begins.
        line: u64,
        /// librdkafka's words.
        cause: String,
    },
    /// The cluster or its settings.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
}

/// The player's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Readings handed to the producer.
    pub sent: u64,
    /// The time of the newest of them, as it was sent.
    pub event_time: Option<String>,
}

/// The result of playing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Ticks with readings.
    pub ticks: u64,
    /// Readings handed to the producer.
    pub sent: u64,
    /// Readings that the broker has confirmed.
    pub delivered: u64,
    /// The reason for the first failed delivery.
    pub first_error: Option<String>,
    /// Times of the first and the last reading, as they were sent.
    pub span: Option<(String, String)>,
    /// True if the callback stopped the player.
    pub stopped: bool,
}

impl Played {
    /// Readings sent that the broker did not acknowledge.
    pub fn undelivered(&self) -> u64 {
        self.sent - self.delivered
    }
}

/// Sends the readings of a recording, in order of time, at a pace. Blocks until the broker has acknowledged or failed each of
/// them.
///
/// `progress` is called several times a second and may stop the player, which then waits for messages in
/// flight. The first failed delivery stops it too.
///
/// # Errors
/// [`Error::Weighted`] before anything is sent; [`Error::Rejected`] if a message cannot be sent whatever the broker does.
pub fn play(
    recording: &Recording,
    pace: &Pace,
    sender: &Sender,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Played, Error> {
    if let Some(line) = recording.report.first_weighted {
        let topic = sender.topic().to_owned();
        return Err(Error::Weighted { line, topic });
    }
    let mut player = Player {
        recording,
        sender,
        progress,
        sent: 0,
        ticks: 0,
        span: None,
    };
    let outcome = player.run(pace)?;
    let stopped = outcome == ControlFlow::Break(Halt::Requested);
    player.drain();
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
        span: span.map(|(first, last)| (recording.time_text(&first), recording.time_text(&last))),
        stopped,
    })
}

/// The reason for stopping before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    Requested,
    DeliveryFailed,
}

struct Player<'a, P> {
    recording: &'a Recording,
    sender: &'a Sender,
    progress: P,
    sent: u64,
    ticks: u64,
    span: Option<(RecordedReading, RecordedReading)>,
}

impl<P: FnMut(Progress) -> ControlFlow<()>> Player<'_, P> {
    fn run(&mut self, pace: &Pace) -> Result<ControlFlow<Halt>, Error> {
        let mut due = instant();
        let recording = self.recording;
        for tick in pace.ticks(&recording.readings) {
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
            self.check(remaining.min(SLICE))?;
            if remaining <= SLICE {
                return ControlFlow::Continue(());
            }
        }
    }

    fn send(&mut self, burst: &[RecordedReading]) -> Result<ControlFlow<Halt>, Error> {
        for reading in burst {
            while !self.sender.offer(self.recording, reading)? {
                if let halt @ ControlFlow::Break(_) = self.check(SLICE) {
                    return Ok(halt);
                }
            }
            self.sent += 1;
            let first = self.span.map_or(*reading, |(first, _)| first);
            self.span = Some((first, *reading));
        }
        Ok(self.check(Duration::ZERO))
    }

    /// Serves deliveries for this long and reports progress.
    fn check(&mut self, wait: Duration) -> ControlFlow<Halt> {
        self.sender.poll(wait);
        let event_time = self.span.map(|(_, last)| self.recording.time_text(&last));
        if (self.progress)(Progress {
            sent: self.sent,
            event_time,
        })
        .is_break()
        {
            return ControlFlow::Break(Halt::Requested);
        }
        if self.sender.deliveries().failed > 0 {
            return ControlFlow::Break(Halt::DeliveryFailed);
        }
        ControlFlow::Continue(())
    }

    /// Waits for the outcome of sent messages: briefly after a stop or a failed delivery.
    fn drain(&mut self) {
        let mut deadline = self.sender.deadline();
        while self.sender.in_flight() > 0 && instant() < deadline {
            if self.check(SLICE).is_break() {
                deadline = deadline.min(instant() + STOP_WAIT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::{Message, Offset, TopicPartitionList};

    use super::*;
    use crate::config::{Config, DEFAULT_TOML};
    use crate::kafka::{Cluster, EmbeddedBroker, Subscription, client_config};
    use crate::recording::ReadOptions;

    const PARTITIONS: i32 = 2;

    fn settings(brokers: String) -> Subscription {
        let mut config: Config = toml::from_str(DEFAULT_TOML).unwrap();
        config.process.kafka.brokers = brokers;
        config.subscription()
    }

    /// Keys and payloads of the topic by partition, in the order of the log.
    fn consume(kafka: &Subscription, expected: usize) -> Vec<Vec<(Option<String>, String)>> {
        let consumer: BaseConsumer = client_config(&kafka.cluster)
            .unwrap()
            .set("group.id", "test")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assignment
                .add_partition_offset(&kafka.source.topic, partition, Offset::Beginning)
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

    /// What says nothing about a file.
    pub(in crate::playback) fn options() -> ReadOptions {
        let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
        ReadOptions::new(&config.pipeline.reading)
    }

    fn recording(csv: &[u8], key: Option<&str>) -> Recording {
        let mut options = options();
        options.columns.key = key.into_iter().map(str::to_owned).collect();
        Recording::read(csv, &options).unwrap()
    }

    #[test]
    fn a_played_recording_arrives_once_and_in_order() {
        let broker = EmbeddedBroker::start(&[("usage", PARTITIONS)]).unwrap();
        let kafka = settings(broker.bootstrap_servers());
        let recording = recording(include_bytes!("../commands/demo/boston_tuesdays.csv"), None);
        let sender = Sender::new(&kafka).unwrap();
        let played = play(&recording, &Pace::UNPACED, &sender, |_| ControlFlow::Continue(())).unwrap();
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
        let expected: Vec<String> = recording
            .readings
            .iter()
            .map(|reading| message(&recording, reading))
            .collect();
        assert_eq!(payloads, expected);

        let cluster = Cluster::connect(&kafka).unwrap();
        assert_eq!(cluster.partition_count("usage").unwrap(), Some(PARTITIONS));
        assert_eq!(cluster.partition_count("other").unwrap(), None);
        let ends = (0..PARTITIONS).map(|partition| cluster.watermarks("usage", partition).unwrap().1);
        assert_eq!(ends.sum::<i64>(), 2015);
    }

    #[test]
    fn keys_are_sent_and_the_callback_stops_the_player() {
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
        let played = play(&recording, &pace, &sender, |progress| {
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
