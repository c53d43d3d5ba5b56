//! What every client of ours shares: its configuration, its log, and the memory of what went wrong last.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Error;
use crate::config::KafkaConfig;

/// The configuration that all clients start from: where the cluster is, who we are, then the user's properties.
///
/// What a client's correctness needs is set by that client afterwards, and so wins.
pub fn client_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", "streamgauge");
    for (name, value) in &kafka.properties {
        config.set(name, value);
    }
    config
}

/// The kinds of trouble that librdkafka reports beside its results, the more telling ones last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// No connection, or a lost one.
    Transport,
    /// A host name is unknown.
    UnknownHost,
    /// A connection that ends as if the two sides did not agree on TLS or SASL.
    SecurityProtocol,
    /// The TLS handshake failed.
    Tls,
    /// The broker refused the credentials.
    Credentials,
}

/// One trouble with the cluster, in a few words such as "connection refused".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub cause: String,
}

impl Fault {
    /// The fault as an error that says what to do about it.
    pub fn into_error(self, brokers: &str) -> Error {
        let (brokers, cause) = (brokers.to_owned(), self.cause);
        match self.kind {
            FaultKind::Transport => Error::Unreachable { brokers, cause },
            FaultKind::UnknownHost => Error::UnknownHost { brokers, cause },
            FaultKind::SecurityProtocol => Error::SecurityProtocol { brokers, cause },
            FaultKind::Tls => Error::Tls { brokers, cause },
            FaultKind::Credentials => Error::CredentialsRefused { brokers, cause },
        }
    }
}

/// Remembers the most telling fault since the last [`Faults::clear`]. Clones share one memory.
///
/// librdkafka answers a request it cannot send with "timed out" and tells the reason only to its error callback.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    latest: Arc<Mutex<Option<Fault>>>,
}

impl Faults {
    /// Takes what librdkafka's error callback gives. True if it is a fault that was not the latest already.
    pub fn record(&self, error: &KafkaError, reason: &str) -> bool {
        let Some(kind) = error.rdkafka_error_code().and_then(|code| kind_of(code, reason)) else {
            return false;
        };
        self.remember(kind, reason)
    }

    fn remember(&self, kind: FaultKind, reason: &str) -> bool {
        let fault = Fault {
            kind,
            cause: plain_cause(reason),
        };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        // A refused client is also disconnected: the consequence must not hide the cause.
        if latest
            .as_ref()
            .is_some_and(|known| known.kind > kind || *known == fault)
        {
            return false;
        }
        *latest = Some(fault);
        true
    }

    /// The most telling fault, if there was any.
    pub fn latest(&self) -> Option<Fault> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets, because the cluster answers again.
    pub fn clear(&self) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn kind_of(code: RDKafkaErrorCode, reason: &str) -> Option<FaultKind> {
    match code {
        // librdkafka says so where it only guesses.
        RDKafkaErrorCode::BrokerTransportFailure
            if reason.contains("security.protocol") || reason.contains("SSL handshake") =>
        {
            Some(FaultKind::SecurityProtocol)
        }
        RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut => {
            Some(FaultKind::Transport)
        }
        RDKafkaErrorCode::Resolve => Some(FaultKind::UnknownHost),
        RDKafkaErrorCode::SSL => Some(FaultKind::Tls),
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            Some(FaultKind::Credentials)
        }
        _ => None,
    }
}

/// What an error of librdkafka says, without its code's name and without the values of settings: `invalid topic`.
pub fn plain_error(error: &KafkaError) -> String {
    match error {
        // The others' text ends with the value, which may be a password.
        KafkaError::ClientConfig(_, description, _, _) | KafkaError::ClientCreation(description) => {
            description.clone()
        }
        KafkaError::AdminOp(code) => plain_code(*code),
        _ => error
            .rdkafka_error_code()
            .map_or_else(|| error.to_string(), plain_code),
    }
}

/// A client that could not be made for its settings.
pub fn refused_settings(error: &KafkaError) -> Error {
    Error::Settings {
        cause: plain_error(error),
    }
}

/// `InvalidTopic (Broker: Invalid topic)` becomes `invalid topic`.
pub(super) fn plain_code(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    let description = text
        .split_once(" (")
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(&text);
    let description = description.split_once(": ").map_or(description, |(_, rest)| rest);
    uncapitalised(description)
}

/// `localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)`
/// becomes `connection refused`.
fn plain_cause(reason: &str) -> String {
    let reason = reason.split_once(" (after ").map_or(reason, |(head, _)| head);
    let reason = reason
        .split_once("]: ")
        .filter(|(thread, _)| thread.starts_with("[thrd:"))
        .map_or(reason, |(_, rest)| rest);
    let reason = match reason.split_once(": ") {
        Some((broker, rest)) if !broker.contains(' ') => rest,
        _ => reason,
    };
    let reason = match reason.split_once(" failed: ") {
        Some((attempt, rest)) if attempt.starts_with("Connect to ") => rest,
        _ => reason,
    };
    uncapitalised(reason)
}

/// As words inside a sentence are written; abbreviations stay as they are.
fn uncapitalised(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

/// The context of a client that needs no callbacks of its own: log lines go to `tracing`, faults are remembered.
///
/// A context with callbacks holds one of these and passes `log` and `error` on to it.
#[derive(Debug, Clone, Default)]
pub struct LoggingContext {
    faults: Faults,
    quiet: bool,
}

impl LoggingContext {
    /// A context whose owner turns faults into errors itself, so that the log need not repeat them.
    pub fn quiet() -> Self {
        Self {
            faults: Faults::default(),
            quiet: true,
        }
    }

    /// The memory of what went wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl ClientContext for LoggingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        // The error callback tells FAIL and ERROR again, with a code; CONFWARN tells a consumer of producers' properties.
        if matches!(facility, "FAIL" | "ERROR" | "CONFWARN") {
            // Except that it keeps to itself when the broker hangs up. To who only came to ask, that is an answer.
            if self.quiet && facility == "FAIL" && message.contains(": Disconnected") {
                self.faults.remember(FaultKind::SecurityProtocol, message);
            }
            tracing::debug!(target: "librdkafka", facility, "{message}");
            return;
        }
        match level {
            Emerg | Alert | Critical | Error => tracing::error!(target: "librdkafka", facility, "{message}"),
            Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            Notice | Info => tracing::info!(target: "librdkafka", facility, "{message}"),
            Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let is_news = self.faults.record(&error, reason);
        if is_news && !self.quiet {
            tracing::warn!("trouble with the Kafka cluster: {reason}");
        } else {
            tracing::debug!("trouble with the Kafka cluster: {error}: {reason}");
        }
    }
}

impl ConsumerContext for LoggingContext {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_plain() {
        for (reason, plain) in [
            (
                "localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "connection refused",
            ),
            (
                "nosuch:9092/bootstrap: Failed to resolve 'nosuch:9092': Name or service not known (after 2ms in state CONNECT)",
                "failed to resolve 'nosuch:9092': Name or service not known",
            ),
            (
                "sasl_plaintext://b:9092/1: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)",
                "SASL authentication error: Authentication failed",
            ),
            (
                "[thrd:b:9092/bootstrap]: b:9092/bootstrap: Disconnected: connection closed by peer (after 0ms in state UP)",
                "disconnected: connection closed by peer",
            ),
            ("1/1 brokers are down", "1/1 brokers are down"),
            ("", ""),
        ] {
            assert_eq!(plain_cause(reason), plain);
        }
    }

    #[test]
    fn errors_are_plain_and_keep_secrets() {
        let invalid = KafkaError::AdminOp(RDKafkaErrorCode::InvalidTopic);
        assert_eq!(plain_error(&invalid), "invalid topic");
        let mut config = ClientConfig::new();
        config.set("sasl.passwd", "hunter2");
        let refused = config.create_native_config().map(|_| ()).unwrap_err();
        assert_eq!(
            plain_error(&refused),
            "No such configuration property: \"sasl.passwd\""
        );
    }

    #[test]
    fn the_consequence_does_not_hide_the_cause() {
        let faults = Faults::default();
        let error = |code| KafkaError::Global(code);
        assert!(faults.record(
            &error(RDKafkaErrorCode::Authentication),
            "b:1/1: Authentication failed"
        ));
        assert!(!faults.record(
            &error(RDKafkaErrorCode::BrokerTransportFailure),
            "b:1/1: Disconnected"
        ));
        assert!(!faults.record(&error(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down"));
        assert_eq!(
            faults.latest().map(|fault| fault.kind),
            Some(FaultKind::Credentials)
        );
        faults.clear();
        assert_eq!(faults.latest(), None);
    }
}
