//! What librdkafka tells beside its results, made into one sentence that says what to do.
//!
//! It answers a request that it cannot send with "timed out", and the reason only to its error callback, as text.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Error;
use crate::config::{KafkaAuth, KafkaConfig};

/// The kinds of trouble with a cluster, the more telling ones last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// No connection, or a lost one.
    Transport,
    /// A host name is unknown.
    UnknownHost,
    /// The broker hangs up, for reasons it keeps to itself.
    HangsUp,
    /// The broker wants a client to prove who it is.
    WantsSasl,
    /// The broker hangs up on what is not TLS.
    WantsTls,
    /// The broker hangs up on TLS.
    WantsPlaintext,
    /// The TLS handshake failed.
    Tls,
    /// The broker's certificate is of a certificate authority that is not trusted here.
    UnknownAuthority,
    /// The broker's certificate is for other host names.
    OtherHostName,
    /// The broker wants a certificate of the client, which has none.
    WantsCertificate,
    /// The broker does not trust the client's certificate.
    CertificateRefused,
    /// The broker has other SASL mechanisms.
    Mechanism,
    /// The broker refused the credentials.
    Credentials,
    /// There is no such user.
    UnknownUser,
    /// The user is known, the password is another.
    WrongPassword,
    /// There are no AWS credentials to sign with.
    NoAwsCredentials,
    /// The broker refused what was signed with AWS credentials.
    AwsRefused,
    /// An idempotent producer needs a right.
    IdempotentWrite,
}

impl FaultKind {
    /// Whether asking again, with the same settings, may go better.
    pub fn may_pass(self) -> bool {
        self <= FaultKind::WantsPlaintext
    }
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
        Error::Connection {
            brokers: brokers.to_owned(),
            fault: self,
        }
    }

    /// What is wrong, and what to do.
    pub fn sentence(&self, brokers: &str) -> String {
        let cause = &self.cause;
        match self.kind {
            FaultKind::Transport => format!(
                "no broker answers at {brokers} ({cause}); start one there, or set kafka.brokers (--brokers)"
            ),
            FaultKind::UnknownHost => format!(
                "no broker answers at {brokers} ({cause}); correct the host name in kafka.brokers (--brokers)"
            ),
            FaultKind::HangsUp => format!(
                "the broker at {brokers} hangs up ({cause}); check security.protocol in kafka.properties (-X)"
            ),
            FaultKind::WantsSasl => format!(
                "the broker at {brokers} hangs up ({cause}); its listener wants SASL: set security.protocol and sasl.* \
                 in kafka.properties (-X), or kafka.auth"
            ),
            FaultKind::WantsTls => format!(
                "the broker at {brokers} hangs up on what is not TLS ({cause}); set security.protocol to SSL or SASL_SSL in \
                 kafka.properties (-X), or take the port of its plaintext listener"
            ),
            FaultKind::WantsPlaintext => format!(
                "the broker at {brokers} does not speak TLS ({cause}); take the port of its TLS listener, or leave SSL out of \
                 security.protocol in kafka.properties (-X)"
            ),
            FaultKind::Tls => format!(
                "no TLS connection to {brokers} ({cause}); check security.protocol and ssl.* in kafka.properties (-X)"
            ),
            FaultKind::UnknownAuthority => format!(
                "the certificate of the broker at {brokers} is of an authority that is not trusted here ({cause}); set \
                 ssl.ca.location in kafka.properties (-X) to the file of the authority's certificate"
            ),
            FaultKind::OtherHostName => format!(
                "the certificate of the broker at {brokers} is for another host name ({cause}); name the broker in \
                 kafka.brokers (--brokers) and in its advertised.listeners as its certificate does"
            ),
            FaultKind::WantsCertificate => format!(
                "the broker at {brokers} wants a certificate of this client ({cause}); set ssl.certificate.location and \
                 ssl.key.location in kafka.properties (-X)"
            ),
            FaultKind::CertificateRefused => format!(
                "the broker at {brokers} refuses the certificate of this client ({cause}); have one signed by an authority \
                 that the broker trusts, and set ssl.certificate.location and ssl.key.location in kafka.properties (-X)"
            ),
            _ => self.sentence_about_identity(brokers),
        }
    }

    fn sentence_about_identity(&self, brokers: &str) -> String {
        let cause = &self.cause;
        match self.kind {
            FaultKind::Mechanism => format!(
                "the broker at {brokers} does not have this SASL mechanism ({cause}); correct sasl.mechanisms in \
                 kafka.properties (-X)"
            ),
            FaultKind::UnknownUser => format!(
                "the broker at {brokers} knows no user of this name ({cause}); correct sasl.username in kafka.properties (-X), \
                 or create the user for this mechanism"
            ),
            FaultKind::WrongPassword => format!(
                "the broker at {brokers} knows the user, but refuses the password ({cause}); correct sasl.password"
            ),
            FaultKind::NoAwsCredentials => format!(
                "no token for the broker at {brokers} ({cause}); give this process AWS credentials: an instance role, a profile, \
                 or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ),
            FaultKind::AwsRefused => format!(
                "the broker at {brokers} refuses the AWS credentials ({cause}); check that they are valid, that the cluster is \
                 in kafka.aws_region, that the clock is right, and that their policy allows kafka-cluster:Connect"
            ),
            FaultKind::IdempotentWrite => format!(
                "the broker at {brokers} does not let this client write ({cause}); grant WRITE on the topic and, where that is not \
                 enough, IDEMPOTENT_WRITE on the cluster (Amazon MSK: kafka-cluster:WriteDataIdempotently)"
            ),
            _ => format!(
                "the broker at {brokers} refuses the credentials ({cause}); check sasl.* in kafka.properties (-X)"
            ),
        }
    }
}

/// What is to be known of a client to understand what it is told.
#[derive(Debug, Clone, Default)]
struct Client {
    brokers: String,
    signs_for_aws: bool,
    has_certificate: bool,
    has_tls: bool,
    has_sasl: bool,
}

/// Remembers the most telling fault since the last [`Faults::clear`]. Clones share one memory.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    client: Arc<Client>,
    latest: Arc<Mutex<Option<Fault>>>,
}

impl Faults {
    /// The memory of a client with these settings.
    pub fn new(kafka: &KafkaConfig) -> Self {
        let certificates = [
            "ssl.certificate.location",
            "ssl.certificate.pem",
            "ssl.keystore.location",
        ];
        let signs_for_aws = kafka.auth == KafkaAuth::MskIam;
        let protocol = kafka.properties.get("security.protocol");
        let protocol = protocol.map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let client = Client {
            brokers: kafka.brokers.clone(),
            signs_for_aws,
            has_tls: signs_for_aws || protocol.ends_with("SSL"),
            has_sasl: signs_for_aws || protocol.starts_with("SASL"),
            has_certificate: certificates.iter().any(|name| kafka.has_property(name)),
        };
        Self {
            client: Arc::new(client),
            latest: Arc::default(),
        }
    }

    /// Takes what librdkafka's error callback gives. True if it is a fault that was not the latest already.
    pub fn record(&self, error: &KafkaError, reason: &str) -> bool {
        let code = error.rdkafka_error_code();
        let Some(kind) = code.and_then(|code| self.client.kind_of(code, reason)) else {
            return false;
        };
        self.remember(kind, reason)
    }

    /// Takes the log line of a connection that the broker has ended.
    pub fn note_hang_up(&self, line: &str) {
        let kind = self.client.of_hang_up(line);
        self.remember(kind, line);
    }

    /// Takes a fault whose kind is known. True if it was not the latest already.
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

    /// The most telling fault as a sentence that says what to do.
    pub fn sentence(&self) -> Option<String> {
        self.latest().map(|fault| fault.sentence(&self.client.brokers))
    }

    /// Forgets, because the cluster answers again.
    pub fn clear(&self) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Client {
    fn kind_of(&self, code: RDKafkaErrorCode, reason: &str) -> Option<FaultKind> {
        use RDKafkaErrorCode as Code;
        let says = |words: &str| reason.contains(words);
        match code {
            Code::BrokerTransportFailure | Code::SSL if says("SSL alert number") => {
                Some(self.of_alert(reason))
            }
            Code::SSL if says("wrong version number") || says("packet length too long") => {
                Some(FaultKind::WantsPlaintext)
            }
            Code::SSL if says("certificate verify failed") => Some(FaultKind::UnknownAuthority),
            Code::SSL => Some(FaultKind::Tls),
            // librdkafka says so where it only guesses.
            Code::BrokerTransportFailure if says("PLAINTEXT broker listener") => {
                Some(FaultKind::WantsPlaintext)
            }
            Code::BrokerTransportFailure if says("SSL listener") => Some(FaultKind::WantsTls),
            Code::BrokerTransportFailure if says("might require SASL") => Some(FaultKind::WantsSasl),
            Code::BrokerTransportFailure if says("security.protocol") => Some(FaultKind::HangsUp),
            Code::BrokerTransportFailure | Code::OperationTimedOut => Some(FaultKind::Transport),
            Code::Resolve => Some(FaultKind::UnknownHost),
            // A session that was to be renewed crossed with the broker's end of it: librdkafka connects anew.
            Code::Authentication if says("not valid in current SASL state") => None,
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Some(self.of_refusal(reason))
            }
            Code::Fatal | Code::ClusterAuthorizationFailed if says("Cluster authorization failed") => {
                Some(FaultKind::IdempotentWrite)
            }
            _ => None,
        }
    }

    /// What a broker that ends a connection did not like: what came before its first answer, or after.
    fn of_hang_up(&self, line: &str) -> FaultKind {
        if !self.has_tls && line.contains("in state APIVERSION_QUERY") {
            FaultKind::WantsTls
        } else if !self.has_sasl && line.contains("in state UP") {
            FaultKind::WantsSasl
        } else {
            FaultKind::HangsUp
        }
    }

    /// What a broker tells by an alert of TLS (RFC 8446, section 6) once it has seen the client's certificate, or none.
    fn of_alert(&self, reason: &str) -> FaultKind {
        let number = reason
            .rsplit_once("SSL alert number ")
            .map_or("", |(_, rest)| rest.split(' ').next().unwrap_or_default());
        match number.trim_end_matches(|letter: char| !letter.is_ascii_digit()) {
            "116" => FaultKind::WantsCertificate,
            "42" | "43" | "44" | "45" | "46" | "48" if self.has_certificate => FaultKind::CertificateRefused,
            "42" | "43" | "44" | "45" | "46" | "48" => FaultKind::WantsCertificate,
            _ => FaultKind::Tls,
        }
    }

    fn of_refusal(&self, reason: &str) -> FaultKind {
        if reason.contains("Failed to acquire SASL OAUTHBEARER token") {
            FaultKind::NoAwsCredentials
        } else if reason.contains("mechanism handshake failed") {
            FaultKind::Mechanism
        } else if self.signs_for_aws {
            FaultKind::AwsRefused
        } else {
            FaultKind::Credentials
        }
    }
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
    uncapitalised(without_guess(reason))
}

/// Leaves out what librdkafka guesses behind what it knows: our sentence says it, and says what to do.
fn without_guess(reason: &str) -> &str {
    const GUESSES: [&str; 5] = [
        ": connecting to a PLAINTEXT broker listener?",
        ": requesting ApiVersion: ",
        ": verify that security.protocol",
        ": broker certificate could not be verified",
        ": client SSL authentication might be required",
    ];
    if let Some(cause) = reason.strip_prefix("Failed to acquire SASL OAUTHBEARER token: ") {
        return cause;
    }
    let end = GUESSES.iter().filter_map(|guess| reason.find(guess)).min();
    &reason[..end.unwrap_or(reason.len())]
}

/// As words inside a sentence are written; abbreviations stay as they are.
pub(super) fn uncapitalised(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

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
            (
                "ssl://b:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 1ms in \
                 state SSL_HANDSHAKE)",
                "SSL handshake failed: Disconnected",
            ),
            ("1/1 brokers are down", "1/1 brokers are down"),
            ("", ""),
        ] {
            assert_eq!(plain_cause(reason), plain);
        }
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

    #[test]
    fn alerts_say_whose_certificate_is_missing_or_refused() {
        let with = |has_certificate| Client {
            has_certificate,
            ..Client::default()
        };
        let kind = |client: &Client, number: u8| {
            let reason = format!(
                "ssl://b:1/1: error:0A000412:SSL routines::alert: SSL alert number {number} (after 3ms)"
            );
            client.kind_of(RDKafkaErrorCode::SSL, &reason)
        };
        assert_eq!(kind(&with(false), 116), Some(FaultKind::WantsCertificate));
        assert_eq!(kind(&with(false), 42), Some(FaultKind::WantsCertificate));
        assert_eq!(kind(&with(true), 46), Some(FaultKind::CertificateRefused));
        assert_eq!(kind(&with(true), 40), Some(FaultKind::Tls));
    }
}
