//! The callbacks of the transactional producer, and the meaning of its errors.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use tracing::debug;

use super::{ProducerError, code_of};
use crate::kafka::error::is_of_another_generation;
use crate::kafka::{Error, LoggingContext, Right};

/// Remembers the first output record that a broker refused.
pub(super) struct TransactionContext {
    pub logging: LoggingContext,
    pub refusal: Arc<Mutex<Option<(String, KafkaError)>>>,
}

impl TransactionContext {
    pub(super) fn note_refusal(&self, topic: &str, error: &KafkaError) {
        // A purged record was not refused itself; it was in the transaction of one that was.
        if matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
        ) {
            return;
        }
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.get_or_insert_with(|| (topic.to_owned(), error.clone()));
    }

    pub(super) fn forget_refusal(&self) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Interprets an error of a transaction.
    pub(super) fn failure(&self, error: &KafkaError) -> ProducerError {
        use RDKafkaErrorCode as Code;
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((topic, cause)) = refusal
            && matches!(
                cause.rdkafka_error_code(),
                Some(
                    Code::MessageSizeTooLarge
                        | Code::InvalidMessageSize
                        | Code::UnknownTopic
                        | Code::UnknownTopicOrPartition
                        | Code::TopicAuthorizationFailed
                        | Code::InvalidRecord
                        | Code::PolicyViolation
                )
            )
        {
            return match cause.rdkafka_error_code() {
                Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
                    ProducerError::TooLarge { topic, source: cause }
                }
                Some(Code::TopicAuthorizationFailed) => Error::NotAllowed(Right::WriteTopic(topic)).into(),
                _ => ProducerError::Undeliverable { topic, source: cause },
            };
        }
        match code_of(error) {
            Some(code) if is_of_another_generation(code) => ProducerError::Fenced {
                source: error.clone(),
                is_producer: false,
            },
            Some(Code::ProducerFenced | Code::Fenced) => ProducerError::Fenced {
                source: error.clone(),
                is_producer: true,
            },
            _ => ProducerError::Unavailable {
                cause: error.to_string(),
            },
        }
    }
}

impl ClientContext for TransactionContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // librdkafka names the topic without permission only in this log line.
        if facility == "ADDPARTS"
            && message.contains("Topic authorization failed")
            && let Some(topic) = message.split('"').nth(1)
        {
            let error = KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed);
            self.note_refusal(topic, &error);
        }
        self.logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logging.error(error, reason);
    }
}

impl ProducerContext for TransactionContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            debug!(topic = message.topic(), %error, "an output record was not delivered");
            self.note_refusal(message.topic(), error);
        }
    }
}
