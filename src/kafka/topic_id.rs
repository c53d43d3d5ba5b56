//! The id that Kafka gives each new topic (KIP-516). It distinguishes a topic from a later one of the same
//! name.
//!
//! librdkafka has this request, rdkafka does not. Any client can send it; the answer arrives in a queue of
//! its own.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_broker,
    rd_kafka_AdminOptions_set_request_timeout, rd_kafka_DescribeTopics,
    rd_kafka_DescribeTopics_result_topics, rd_kafka_TopicCollection_destroy,
    rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_error,
    rd_kafka_TopicDescription_topic_id, rd_kafka_Uuid_base64str, rd_kafka_admin_op_t, rd_kafka_error_code,
    rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy, rd_kafka_event_error, rd_kafka_event_t,
    rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll, rd_kafka_resp_err_t,
};
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::debug;

/// How long the answer may take. A healthy cluster needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// The id that a broker without topic ids returns.
const ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The id of a topic, in the form of Kafka's tools. `None` from a broker older than Kafka 2.8, without
/// permission to describe the topic, or without an answer. Blocks for three seconds if no broker answers, and
/// for six at most.
pub(super) fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str) -> Option<Arc<str>> {
    let requested = request(client, topic);
    if let Err(error) = &requested {
        debug!(topic, %error, "the topic's id is not known");
    }
    requested.ok().filter(|id| id != ZERO).map(Arc::from)
}

/// An object of librdkafka and the function that destroys it.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, KafkaError> {
        let pointer = NonNull::new(pointer).ok_or_else(no_answer)?;
        Ok(Owned { pointer, destroy })
    }

    fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is librdkafka's own, of the kind that this function destroys, and destroyed
        // only here.
        unsafe { (self.destroy)(self.pointer.as_ptr()) }
    }
}

fn no_answer() -> KafkaError {
    KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut)
}

/// The broker to send the request to. By default librdkafka sends it to the controller, which not every
/// cluster has.
fn broker<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<i32, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
    let answered = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
    let first = || metadata.brokers().first().map(|broker| broker.id());
    answered.or_else(first).ok_or_else(no_answer)
}

fn request<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<String, KafkaError> {
    let name = CString::new(topic).map_err(|_| KafkaError::MetadataFetch(RDKafkaErrorCode::InvalidTopic))?;
    let patience_ms = PATIENCE.as_millis() as i32;
    let broker = broker(client, topic)?;
    let native = client.native_ptr();
    // SAFETY: the client outlives this call, and every object made from it is destroyed before the end. Each
    // function gets the arguments that its declaration in rdkafka.h requires. The request copies the names,
    // and their array of one pointer lives until then. A request without an answer in time finds its queue
    // destroyed, which librdkafka allows.
    unsafe {
        let queue = Owned::new(rd_kafka_queue_new(native), rd_kafka_queue_destroy)?;
        let kind = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = Owned::new(
            rd_kafka_AdminOptions_new(native, kind),
            rd_kafka_AdminOptions_destroy,
        )?;
        check(rd_kafka_AdminOptions_set_request_timeout(
            options.as_ptr(),
            patience_ms,
            ptr::null_mut(),
            0,
        ))?;
        check(rd_kafka_AdminOptions_set_broker(
            options.as_ptr(),
            broker,
            ptr::null_mut(),
            0,
        ))?;
        let mut names = [name.as_ptr()];
        let topics = Owned::new(
            rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            rd_kafka_TopicCollection_destroy,
        )?;
        rd_kafka_DescribeTopics(native, topics.as_ptr(), options.as_ptr(), queue.as_ptr());
        let answer = Owned::new(
            rd_kafka_queue_poll(queue.as_ptr(), patience_ms),
            rd_kafka_event_destroy,
        )?;
        read(&answer)
    }
}

/// Reads the id in an answer.
///
/// # Safety
/// The event must be the answer to a DescribeTopics request.
unsafe fn read(answer: &Owned<rd_kafka_event_t>) -> Result<String, KafkaError> {
    // SAFETY: everything that these functions return belongs to the event, which outlives it. Null is checked
    // before every read. The id owns its text.
    unsafe {
        check(rd_kafka_event_error(answer.as_ptr()))?;
        let result = rd_kafka_event_DescribeTopics_result(answer.as_ptr());
        let mut count = 0;
        let descriptions = match result.is_null() {
            true => ptr::null_mut(),
            false => rd_kafka_DescribeTopics_result_topics(result, &raw mut count),
        };
        if descriptions.is_null() || count == 0 {
            return Err(no_answer());
        }
        let description = *descriptions;
        let error = rd_kafka_TopicDescription_error(description);
        if !error.is_null() {
            check(rd_kafka_error_code(error))?;
        }
        let id = rd_kafka_TopicDescription_topic_id(description);
        let text = match id.is_null() {
            true => ptr::null(),
            false => rd_kafka_Uuid_base64str(id),
        };
        if text.is_null() {
            return Err(no_answer());
        }
        Ok(in_kafkas_alphabet(&CStr::from_ptr(text).to_string_lossy()))
    }
}

/// Converts librdkafka's Base64 to the URL-safe alphabet of Kafka's tools.
fn in_kafkas_alphabet(text: &str) -> String {
    text.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

fn check(code: rd_kafka_resp_err_t) -> Result<(), KafkaError> {
    match code {
        rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::MetadataFetch(code.into())),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;
    use crate::kafka::EmbeddedBroker;

    #[test]
    fn ids_are_written_as_by_kafkas_tools() {
        assert_eq!(in_kafkas_alphabet("a+b/c=="), "a-b_c");
        assert_eq!(in_kafkas_alphabet(&format!("{ZERO}==")), ZERO);
    }

    #[test]
    fn a_topic_has_its_own_id_and_a_missing_one_has_none() {
        let broker = EmbeddedBroker::start(&[("usage", 1), ("other", 1)]).unwrap();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.bootstrap_servers())
            .create()
            .unwrap();
        let started = crate::clock::instant();
        let id = |topic: &str| topic_id(consumer.client(), topic);
        let usage = id("usage").unwrap();
        assert_eq!(id("usage").as_ref(), Some(&usage));
        assert_eq!(usage.len(), ZERO.len());
        assert!(id("other").is_some_and(|other| other != usage));
        assert_eq!((id("missing"), id("with\0null")), (None, None));
        // Two answers that never came would have taken twice the patience.
        assert!(crate::clock::instant() - started < 2 * PATIENCE);
    }

    #[test]
    fn an_unreachable_broker_costs_three_seconds_and_yields_no_id() {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", "127.0.0.1:1")
            .create()
            .unwrap();
        let started = crate::clock::instant();
        assert_eq!(topic_id(consumer.client(), "usage"), None);
        assert!(crate::clock::instant() - started < PATIENCE * 2);
    }
}
