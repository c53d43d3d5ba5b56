//! A second consumer that inspects one offset: can its batch be unpacked, and if not, where does the batch
//! end?
//!
//! When librdkafka cannot unpack a batch, it names neither the partition nor the end of the batch, only the
//! batch's own number, in words. A consumer of a single partition knows the partition. Two offsets are in the
//! same batch if they yield the same number, so a few inspections find the end of a batch of any size.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::FIXED_PROPERTIES;
use crate::clock;
use crate::kafka::Subscription;
use crate::kafka::{Error, LoggingContext, client_config, refused_settings};

/// How long one inspection may take. Nothing is consumed meanwhile.
const INSPECTION_WAIT: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(20);
/// How long offsets may be inspected one by one before rebalances need the next `poll`.
const STEPS_WAIT: Duration = Duration::from_secs(20);

/// A consumer that inspects offsets of one topic.
pub(super) struct Probe {
    consumer: BaseConsumer<ProbeContext>,
    topic: String,
}

/// The result of inspecting an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A record that can be read, or the partition's end.
    Readable,
    /// A batch that cannot be unpacked.
    Undecodable(Undecodable),
    /// No answer.
    Nothing,
}

/// A batch that cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecodable {
    /// In librdkafka's words.
    pub cause: String,
    /// The number that identifies the batch: its first offset, or its last in formats before Kafka 0.11.
    pub batch: Option<i64>,
}

/// True if an error is about the records themselves, not about the brokers that hold them.
pub(in crate::kafka) fn is_about_records(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BadMessage
            | Code::BadCompression
            | Code::NotImplemented
            | Code::CriticalSystemResource
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::MessageSizeTooLarge
    )
}

impl Probe {
    /// A probe of the configured topic. It has the group's name, because librdkafka requires one, but never
    /// joins the group.
    ///
    /// # Errors
    /// [`Error::Settings`] for properties librdkafka refuses.
    pub(super) fn new(kafka: &Subscription, checks_sums: bool) -> Result<Self, Error> {
        let mut config = client_config(&kafka.cluster)?;
        config.set("group.id", &kafka.source.group);
        for (name, value) in FIXED_PROPERTIES.into_iter().chain([
            ("fetch.wait.max.ms", "100"),
            ("fetch.error.backoff.ms", "10"),
            // However small the limit, a broker sends the first batch whole.
            ("fetch.message.max.bytes", "1"),
            ("queued.min.messages", "1"),
            ("reconnect.backoff.ms", "10"),
            ("reconnect.backoff.max.ms", "100"),
        ]) {
            config.set(name, value);
        }
        if checks_sums {
            config.set("check.crcs", "true");
        }
        let context = ProbeContext {
            logging: LoggingContext::quiet(&kafka.cluster),
            reason: Mutex::default(),
        };
        let consumer = config
            .create_with_context(context)
            .map_err(|error| refused_settings(&error))?;
        let topic = kafka.source.topic.clone();
        Ok(Probe { consumer, topic })
    }

    /// Inspects an offset. Blocks.
    pub(super) fn inspect(&self, partition: i32, offset: i64) -> Found {
        let mut list = TopicPartitionList::with_capacity(1);
        let assigned = list
            .add_partition_offset(&self.topic, partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.assign(&list));
        if assigned.is_err() {
            return Found::Nothing;
        }
        let found = self.first_found();
        // The assignment's end discards whatever else was fetched.
        let _ = self.consumer.unassign();
        found
    }

    fn first_found(&self) -> Found {
        let deadline = clock::instant() + INSPECTION_WAIT;
        while clock::instant() < deadline {
            let code = match self.consumer.poll(POLL_WAIT) {
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Found::Readable,
                Some(Err(error)) => error.rdkafka_error_code(),
                None => continue,
            };
            if code.is_some_and(is_about_records) {
                let cause = self.consumer.context().take_reason();
                let batch = batch_in(&cause);
                return Found::Undecodable(Undecodable { cause, batch });
            }
        }
        Found::Nothing
    }

    /// The first offset after the undecodable batch at `offset`, or one within the batch if time runs out.
    /// `None` without an answer.
    pub(super) fn end_of_batch(&self, partition: i32, offset: i64, batch: Option<i64>) -> Option<i64> {
        let watermarks = self
            .consumer
            .fetch_watermarks(&self.topic, partition, INSPECTION_WAIT);
        let (_, end) = watermarks.ok()?;
        let is_inside = |at: i64| match self.inspect(partition, at) {
            Found::Nothing => None,
            Found::Readable => Some(false),
            // Without a number, only a readable record proves that the batch has ended.
            Found::Undecodable(found) => Some(batch.is_none() || found.batch == batch),
        };
        match batch {
            Some(_) => first_outside(offset, end, is_inside),
            None => {
                let deadline = clock::instant() + STEPS_WAIT;
                step_outside(offset, end, is_inside, || clock::instant() < deadline)
            }
        }
    }
}

/// The first offset outside a batch that contains `inside`, by strides that double and then halve.
/// `is_inside` must turn false only once; `end` is outside.
fn first_outside(inside: i64, end: i64, mut is_inside: impl FnMut(i64) -> Option<bool>) -> Option<i64> {
    let (mut inside, mut outside) = (inside, end.max(inside + 1));
    let mut stride = 1;
    while inside + stride < outside {
        if is_inside(inside + stride)? {
            inside += stride;
            stride *= 2;
        } else {
            outside = inside + stride;
            break;
        }
    }
    while outside - inside > 1 {
        let middle = inside + (outside - inside) / 2;
        if is_inside(middle)? {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    Some(outside)
}

/// The first offset outside, one by one; or the first one that was not inspected in time.
fn step_outside(
    inside: i64,
    end: i64,
    mut is_inside: impl FnMut(i64) -> Option<bool>,
    mut has_time: impl FnMut() -> bool,
) -> Option<i64> {
    for offset in inside + 1..end {
        if !has_time() || !is_inside(offset)? {
            return Some(offset);
        }
    }
    Some(end.max(inside + 1))
}

/// Parses the number of the batch in librdkafka's message, such as `Decompression (codec 0x4) of message at 1
/// of 4829 bytes failed` or `MessageSet at offset 7 (90 bytes) failed CRC32C check`.
fn batch_in(cause: &str) -> Option<i64> {
    ["message at ", "MessageSet at offset ", "at offset "]
        .iter()
        .find_map(|mark| {
            let (_, rest) = cause.split_once(mark)?;
            let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
            digits.parse().ok()
        })
}

/// Keeps librdkafka's last error message.
struct ProbeContext {
    logging: LoggingContext,
    reason: Mutex<String>,
}

impl ProbeContext {
    fn take_reason(&self) -> String {
        std::mem::take(&mut *self.reason.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for ProbeContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // The consuming client logs the same lines at their own level.
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
        self.logging.error(error, reason);
    }
}

impl ConsumerContext for ProbeContext {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_batch_is_found_in_few_inspections() {
        for (inside, batch_end, end) in [
            (0, 1, 1),
            (5, 6, 100),
            (5, 185, 1_000),
            (5, 185, 185),
            (7, 3_000_007, 4_000_000),
            (3, 50, 10),
        ] {
            let mut inspections = 0;
            let found = first_outside(inside, end, |at| {
                inspections += 1;
                Some(at < batch_end)
            });
            assert_eq!(
                found,
                Some(batch_end.min(end.max(inside + 1))),
                "{inside} {batch_end}"
            );
            assert!(inspections < 50, "{inspections} inspections");
            if batch_end - inside < 200 {
                let stepped = step_outside(inside, end, |at| Some(at < batch_end), || true);
                assert_eq!(stepped, found);
            }
        }
        assert_eq!(first_outside(0, 100, |_| None), None, "the broker is away");
        let mut steps = 0;
        let has_time = || {
            steps += 1;
            steps < 10
        };
        assert_eq!(
            step_outside(0, 100, |_| Some(true), has_time),
            Some(10),
            "the rest later"
        );
    }

    #[test]
    fn the_number_of_a_batch_is_in_what_librdkafka_says() {
        for (cause, batch) in [
            (
                "Decompression (codec 0x4) of message at 17 of 4829 bytes failed: Local: Invalid compressed data",
                Some(17),
            ),
            (
                "MessageSet at offset 7 (90 bytes) failed CRC32C check (original 0x1 != calculated 0x2)",
                Some(7),
            ),
            ("Unsupported Message(Set) MagicByte 5 at offset 9", Some(9)),
            ("Receive failed: Invalid response size 5 (0..3)", None),
        ] {
            assert_eq!(batch_in(cause), batch, "{cause}");
        }
    }
}
