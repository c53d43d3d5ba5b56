//! Refines a connection error: a second attempt with other settings reveals what the first one hides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use super::Settings;
use super::{Error, Fault, FaultKind, LoggingContext, client_config};
use crate::clock::instant;

/// How long the second attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// The same error, or a more specific one.
pub(super) fn refine(kafka: &Settings, error: Error) -> Error {
    let Error::Connection { brokers, fault } = error else {
        return error;
    };
    let Fault { kind, cause } = fault;
    let (kind, cause) = match kind {
        FaultKind::UnknownAuthority if is_only_the_name(kafka) => {
            (FaultKind::OtherHostName, "valid, but for another name".to_owned())
        }
        FaultKind::Credentials => (of_scram(kafka).unwrap_or(kind), cause),
        _ => (kind, cause),
    };
    let fault = Fault { kind, cause };
    Error::Connection { brokers, fault }
}

/// True if the broker's certificate is valid except for its host name.
///
/// OpenSSL reports "certificate verify failed" for both. The attempt sends no secret, because it uses no
/// SASL.
fn is_only_the_name(kafka: &Settings) -> bool {
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
    // After the handshake the broker may close a connection without SASL: another fault, but proof of a good
    // certificate.
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

/// Finds out which one a broker refuses under SCRAM: the user or the password.
///
/// Brokers report both in the same words. But a broker that knows the user sends the password's salt first.
fn of_scram(kafka: &Settings) -> Option<FaultKind> {
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

/// A client after an attempt to connect that succeeded or met `is_enough`; `None` if neither happened in
/// time.
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

/// Watches librdkafka's debug log for the steps of SCRAM.
struct Listener {
    logging: LoggingContext,
    knows_user: AtomicBool,
}

impl Listener {
    fn new(kafka: &Settings) -> Self {
        Self {
            logging: LoggingContext::quiet(kafka),
            knows_user: AtomicBool::new(false),
        }
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // librdkafka logs this state when the broker's first answer arrives.
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
