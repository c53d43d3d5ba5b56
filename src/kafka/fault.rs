//! Turns the faults that librdkafka reports in its error callback into one sentence with a remedy.
//!
//! A request that cannot be sent only fails with "timed out"; the reason reaches the callback, as text.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Error;
use super::{KafkaAuth, Settings};

/// The kinds of faults, least specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// No connection, or a lost one.
    Transport,
    /// A host name cannot be resolved.
    UnknownHost,
    /// The broker closes the connection without giving a reason.
    HangsUp,
    /// The broker requires SASL.
    WantsSasl,
    /// The broker closes plaintext connections.
    WantsTls,
    /// The broker closes TLS connections.
    WantsPlaintext,
    /// The TLS handshake failed.
    Tls,
    /// A certificate authority that this client does not trust issued the broker's certificate.
    UnknownAuthority,
    /// The broker's certificate names other hosts.
    OtherHostName,
    /// The broker requires a client certificate, and the client has none.
    WantsCertificate,
    /// The broker does not trust the client's certificate.
    CertificateRefused,
    /// The broker does not support the SASL mechanism.
    Mechanism,
    /// The broker refused the credentials.
    Credentials,
    /// The broker does not know the user.
    UnknownUser,
    /// The broker knows the user; the password is wrong.
    WrongPassword,
    /// No AWS credentials to sign with.
    NoAwsCredentials,
    /// The broker refused a token signed with AWS credentials.
    AwsRefused,
    /// An idempotent producer lacks a permission.
    IdempotentWrite,
}

impl FaultKind {
    /// True if a retry with the same settings may succeed.
    pub(crate) fn may_pass(self) -> bool {
        self <= FaultKind::WantsPlaintext
    }
}

/// One fault, with a short cause such as "connection refused".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its class, which decides the sentence and the remedy.
    pub(crate) kind: FaultKind,
    /// Short, for the middle of a sentence; in librdkafka's words where no better ones are known.
    pub cause: String,
}

impl Fault {
    /// The fault as an error with a remedy.
    pub(crate) fn into_error(self, brokers: &str) -> Error {
        Error::Connection {
            brokers: brokers.to_owned(),
            fault: self,
        }
    }

    /// The fault and its remedy in one sentence.
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
                "the broker at {brokers} closes the connection ({cause}); check security.protocol in kafka.properties (-X)"
            ),
            FaultKind::WantsSasl => format!(
                "the broker at {brokers} closes the connection ({cause}); its listener requires SASL: set security.protocol \
                 and sasl.* in kafka.properties (-X), or kafka.auth"
            ),
            FaultKind::WantsTls => format!(
                "the broker at {brokers} closes plaintext connections ({cause}); set security.protocol to SSL or SASL_SSL in \
                 kafka.properties (-X), or use the port of its plaintext listener"
            ),
            FaultKind::WantsPlaintext => format!(
                "the broker at {brokers} does not speak TLS ({cause}); use the port of its TLS listener, or a \
                 security.protocol without SSL in kafka.properties (-X)"
            ),
            FaultKind::Tls => format!(
                "no TLS connection to {brokers} ({cause}); check security.protocol and ssl.* in kafka.properties (-X)"
            ),
            FaultKind::UnknownAuthority => format!(
                "an untrusted authority issued the certificate of the broker at {brokers} ({cause}); set ssl.ca.location \
                 in kafka.properties (-X) to the file of the authority's certificate"
            ),
            FaultKind::OtherHostName => format!(
                "the certificate of the broker at {brokers} is for another host name ({cause}); use the certificate's \
                 host name in kafka.brokers (--brokers) and in the broker's advertised.listeners"
            ),
            FaultKind::WantsCertificate => format!(
                "the broker at {brokers} requires a client certificate ({cause}); set ssl.certificate.location and \
                 ssl.key.location in kafka.properties (-X)"
            ),
            FaultKind::CertificateRefused => format!(
                "the broker at {brokers} refuses the client certificate ({cause}); have one signed by an authority \
                 that the broker trusts, and set ssl.certificate.location and ssl.key.location in kafka.properties (-X)"
            ),
            _ => self.sentence_about_identity(brokers),
        }
    }

    fn sentence_about_identity(&self, brokers: &str) -> String {
        let cause = &self.cause;
        match self.kind {
            FaultKind::Mechanism => format!(
                "the broker at {brokers} does not support this SASL mechanism ({cause}); correct sasl.mechanisms in \
                 kafka.properties (-X)"
            ),
            FaultKind::UnknownUser => format!(
                "the broker at {brokers} does not know this user ({cause}); correct sasl.username in kafka.properties (-X), \
                 or create the user for this mechanism"
            ),
            FaultKind::WrongPassword => format!(
                "the broker at {brokers} knows the user but refuses the password ({cause}); correct sasl.password"
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
                "the broker at {brokers} does not let this client write ({cause}); grant WRITE on the topic and, if that is not \
                 enough, IDEMPOTENT_WRITE on the cluster (Amazon MSK: kafka-cluster:WriteDataIdempotently)"
            ),
            _ => format!(
                "the broker at {brokers} refuses the credentials ({cause}); check sasl.* in kafka.properties (-X)"
            ),
        }
    }
}

/// The settings of a client that decide what an error means.
#[derive(Debug, Clone, Default)]
struct Client {
    brokers: String,
    signs_for_aws: bool,
    has_certificate: bool,
    has_tls: bool,
    has_sasl: bool,
}

/// Remembers the most specific fault since the last [`Faults::clear`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    client: Arc<Client>,
    latest: Arc<Mutex<Option<Fault>>>,
}

impl Faults {
    /// Faults of a client with these settings; none yet.
    pub(crate) fn new(kafka: &Settings) -> Self {
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

    /// Records a call of librdkafka's error callback. True if it is a fault other than the latest one.
    pub(crate) fn record(&self, error: &KafkaError, reason: &str) -> bool {
        let code = error.rdkafka_error_code();
        let Some(kind) = code.and_then(|code| self.client.kind_of(code, reason)) else {
            return false;
        };
        self.remember(kind, reason)
    }

    /// Records the log line of a connection that the broker closed.
    pub(crate) fn note_hang_up(&self, line: &str) {
        let kind = self.client.of_hang_up(line);
        self.remember(kind, line);
    }

    /// Records a fault of a known kind. True if it differs from the latest one.
    fn remember(&self, kind: FaultKind, reason: &str) -> bool {
        let fault = Fault {
            kind,
            cause: plain_cause(reason),
        };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        // A refused client is also disconnected: the consequence must not replace the cause.
        if latest
            .as_ref()
            .is_some_and(|known| known.kind > kind || *known == fault)
        {
            return false;
        }
        *latest = Some(fault);
        true
    }

    /// The most specific fault, if any.
    pub(crate) fn latest(&self) -> Option<Fault> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most specific fault as a sentence with a remedy.
    pub(crate) fn sentence(&self) -> Option<String> {
        self.latest().map(|fault| fault.sentence(&self.client.brokers))
    }

    /// Forgets the fault, because the cluster answers again.
    pub(crate) fn clear(&self) {
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
            // librdkafka uses these words when it only guesses.
            Code::BrokerTransportFailure if says("PLAINTEXT broker listener") => {
                Some(FaultKind::WantsPlaintext)
            }
            Code::BrokerTransportFailure if says("SSL listener") => Some(FaultKind::WantsTls),
            Code::BrokerTransportFailure if says("might require SASL") => Some(FaultKind::WantsSasl),
            Code::BrokerTransportFailure if says("security.protocol") => Some(FaultKind::HangsUp),
            Code::BrokerTransportFailure | Code::OperationTimedOut => Some(FaultKind::Transport),
            Code::Resolve => Some(FaultKind::UnknownHost),
            // A session due for renewal met the end that the broker set it; librdkafka reconnects by itself.
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

    /// The kind of a closed connection: closing before the first answer means TLS, closing after it means
    /// SASL.
    fn of_hang_up(&self, line: &str) -> FaultKind {
        if !self.has_tls && line.contains("in state APIVERSION_QUERY") {
            FaultKind::WantsTls
        } else if !self.has_sasl && line.contains("in state UP") {
            FaultKind::WantsSasl
        } else {
            FaultKind::HangsUp
        }
    }

    /// The kind of a TLS alert (RFC 8446, section 6), sent after the broker saw the client's certificate, or
    /// none.
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

/// `localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state
/// CONNECT)` becomes `connection refused`.
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

/// Removes librdkafka's guess after the fact: our sentence says it, with a remedy.
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

/// Lowercases the first letter, for the middle of a sentence; abbreviations keep theirs.
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
