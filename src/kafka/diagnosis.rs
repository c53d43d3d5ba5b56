//! Finer causes: what one attempt to connect cannot tell, another one, made differently, can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use super::{Error, Fault, FaultKind, LoggingContext, client_config};
use crate::clock::instant;
use crate::config::KafkaConfig;

/// How long another attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// The same error, or one that says more.
pub fn refine(kafka: &KafkaConfig, error: Error) -> Error {
    let Error::Connection { brokers, fault } = error else {
        return error;
    };
    let Fault { kind, cause } = fault;
    let (kind, cause) = match kind {
        FaultKind::UnknownAuthority if is_only_the_name(kafka) => (
            FaultKind::OtherHostName,
            "it is valid, but not for this name".to_owned(),
        ),
        FaultKind::Credentials => (of_scram(kafka).unwrap_or(kind), cause),
        _ => (kind, cause),
    };
    let fault = Fault { kind, cause };
    Error::Connection { brokers, fault }
}

/// Whether the broker's certificate is good, but for the name in it.
///
/// OpenSSL says "certificate verify failed" to both. Nothing is sent that would be a secret: there is no SASL.
fn is_only_the_name(kafka: &KafkaConfig) -> bool {
    let Ok(mut config) = client_config(kafka) else {
        return false;
    };
    config
        .set("security.protocol", "SSL")
        .set("ssl.endpoint.identification.algorithm", "none");
    for name in [
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
    ] {
        config.remove(name);
    }
    let context = Listener::new(kafka);
    // Once the handshake is done, the broker may hang up on a client without SASL: another fault, or an answer.
    attempt(&config, context, |latest| latest.is_some()).is_some_and(|client| {
        let latest = client.context().logging.faults().latest();
        latest.is_none_or(|fault| {
            !matches!(
                fault.kind,
                FaultKind::UnknownAuthority | FaultKind::Tls | FaultKind::Transport
            )
        })
    })
}

/// Whether it is the user or the password that a broker refuses under SCRAM.
///
/// Brokers answer both in the same words. But to a user it knows, a broker first sends the salt of the password.
fn of_scram(kafka: &KafkaConfig) -> Option<FaultKind> {
    let mut config = client_config(kafka).ok()?;
    let mechanism = config
        .get("sasl.mechanisms")
        .or_else(|| config.get("sasl.mechanism"))?;
    if !mechanism.to_ascii_uppercase().starts_with("SCRAM-") {
        return None;
    }
    config.set("debug", "security");
    config.set_log_level(RDKafkaLogLevel::Debug);
    let client = attempt(&config, Listener::new(kafka), |latest| {
        latest.is_some_and(|fault| fault.kind >= FaultKind::Credentials)
    })?;
    let latest = client.context().logging.faults().latest()?;
    if latest.kind != FaultKind::Credentials {
        return None;
    }
    Some(if client.context().knows_user.load(Ordering::Relaxed) {
        FaultKind::WrongPassword
    } else {
        FaultKind::UnknownUser
    })
}

/// A client that has tried to connect until it was answered or `is_enough`; nothing if it was neither.
fn attempt(
    config: &ClientConfig,
    context: Listener,
    is_enough: impl Fn(Option<&Fault>) -> bool,
) -> Option<BaseConsumer<Listener>> {
    let client: BaseConsumer<Listener> = config.create_with_context(context).ok()?;
    let deadline = instant() + PATIENCE;
    while instant() < deadline {
        let is_answered = client.fetch_metadata(None, LOOK).is_ok();
        while client.poll(LOOK / 10).is_some() {}
        if is_answered || is_enough(client.context().logging.faults().latest().as_ref()) {
            return Some(client);
        }
    }
    None
}

/// A context that listens to what librdkafka tells about SCRAM.
struct Listener {
    logging: LoggingContext,
    knows_user: AtomicBool,
}

impl Listener {
    fn new(kafka: &KafkaConfig) -> Self {
        Self {
            logging: LoggingContext::quiet(kafka),
            knows_user: AtomicBool::new(false),
        }
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The state it is in when the first answer arrives.
        if facility == "SASLSCRAM" && message.contains("server-first-message") {
            self.knows_user.store(true, Ordering::Relaxed);
        }
        self.logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logging.error(error, reason);
    }
}

impl ConsumerContext for Listener {}
