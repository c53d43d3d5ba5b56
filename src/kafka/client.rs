//! What every client of ours shares: its configuration, its log, its tokens, and the memory of what went wrong last.

use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::fault::uncapitalised;
use super::{Error, Faults, TokenSource};
use crate::config::{KafkaAuth, KafkaConfig};

/// The configuration that all clients start from: where the cluster is, who we are, then the user's properties.
///
/// What a client's correctness needs is set by that client afterwards, and so wins.
///
/// # Errors
/// [`Error::PropertyFile`] for a property whose file cannot be read.
pub fn client_config(kafka: &KafkaConfig) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", "streamgauge");
    for (name, value) in &kafka.properties {
        config.set(name, value);
    }
    for (name, path) in &kafka.property_files {
        config.set(name, read_property(name, path)?);
    }
    if kafka.auth == KafkaAuth::MskIam {
        config
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanisms", "OAUTHBEARER");
    }
    // OpenSSL is built in, and knows no place of this system's certificates: librdkafka looks where systems have them.
    let has_tls = config
        .get("security.protocol")
        .is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"));
    if has_tls && !kafka.has_property("ssl.ca.location") && !kafka.has_property("ssl.ca.pem") {
        config.set("ssl.ca.location", "probe");
    }
    Ok(config)
}

fn read_property(name: &str, path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::PropertyFile {
        name: name.to_owned(),
        cause: format!("{}: {error}", path.display()),
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
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

/// The context of a client that needs no callbacks of its own: log lines go to `tracing`, faults are remembered, and
/// tokens are made if the broker is to be given any.
///
/// A context with callbacks holds one of these and passes `log`, `error` and `generate_oauth_token` on to it.
#[derive(Debug, Clone)]
pub struct LoggingContext {
    faults: Faults,
    tokens: Option<TokenSource>,
    quiet: bool,
}

impl LoggingContext {
    /// The context of a client with these settings.
    pub fn new(kafka: &KafkaConfig) -> Self {
        Self {
            faults: Faults::new(kafka),
            tokens: (kafka.auth == KafkaAuth::MskIam).then(|| TokenSource::new(kafka)),
            quiet: false,
        }
    }

    /// A context whose owner turns faults into errors itself, so that the log need not repeat them.
    pub fn quiet(kafka: &KafkaConfig) -> Self {
        Self {
            quiet: true,
            ..Self::new(kafka)
        }
    }

    /// Who makes the tokens of the client, if it needs any.
    pub fn tokens(&self) -> Option<&TokenSource> {
        self.tokens.as_ref()
    }

    /// The memory of what went wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl ClientContext for LoggingContext {
    // librdkafka asks for a token only where the mechanism is OAUTHBEARER.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let tokens = self.tokens.as_ref().ok_or("set kafka.auth = \"msk-iam\"")?;
        Ok(tokens.token()?)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        // The error callback tells FAIL and ERROR again, with a code; CONFWARN tells a consumer of producers' properties.
        if matches!(facility, "FAIL" | "ERROR" | "CONFWARN") {
            // Except that it keeps to itself when the broker hangs up. To who only came to ask, that is an answer.
            if self.quiet && facility == "FAIL" && message.contains(": Disconnected") {
                self.faults.note_hang_up(message);
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
        match self.faults.sentence() {
            Some(sentence) if is_news && !self.quiet => {
                tracing::warn!("trouble with the Kafka cluster: {sentence}");
            }
            _ => tracing::debug!("trouble with the Kafka cluster: {error}: {reason}"),
        }
    }
}

impl ConsumerContext for LoggingContext {}

#[cfg(test)]
mod tests {
    use super::*;

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
}
