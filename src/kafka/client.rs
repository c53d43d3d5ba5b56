//! The common parts of all clients: configuration, logging, tokens, and the last fault.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::warn;

use super::fault::uncapitalised;
use super::{Error, Faults, TokenSource};
use super::{KafkaAuth, Settings};

/// What every client calls itself.
pub(super) const CLIENT_ID: &str = "streamgauge";

/// The base configuration of all clients: brokers, client id, then the user's properties.
///
/// A client sets the properties that its correctness depends on afterwards, so those win.
///
/// # Errors
/// [`Error::PropertyFile`] for a property whose file cannot be read.
pub fn client_config(kafka: &Settings) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", CLIENT_ID);
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
    // The bundled OpenSSL has no certificate path; `probe` makes librdkafka search the usual ones.
    let has_tls = config
        .get("security.protocol")
        .is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"));
    if has_tls && !kafka.has_property("ssl.ca.location") && !kafka.has_property("ssl.ca.pem") {
        config.set("ssl.ca.location", "probe");
    }
    Ok(config)
}

fn read_property(name: &str, path: &Path) -> Result<String, Error> {
    let text = read_small_file(path).map_err(|source| Error::PropertyFile {
        name: name.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The largest property file that is read, in bytes. Certificates take a few kilobytes.
const LARGEST_PROPERTY_FILE: u64 = 64 * 1024;

/// The text of a regular file. A device or a pipe may never end or never deliver a byte.
pub(crate) fn read_small_file(path: &Path) -> io::Result<String> {
    // Check before opening: opening a pipe waits for its other end.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST_PROPERTY_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_PROPERTY_FILE {
        return Err(io::Error::other("larger than 64 kB"));
    }
    warn_if_others_write(path, metadata.permissions().mode());
    Ok(text)
}

/// Warns once per file that others may write, because such a file decides our identity and which brokers we
/// trust.
fn warn_if_others_write(path: &Path, mode: u32) {
    const BY_OTHERS: u32 = 0o002;
    static WARNED: LazyLock<Mutex<BTreeSet<PathBuf>>> = LazyLock::new(Mutex::default);
    if mode & BY_OTHERS == 0 {
        return;
    }
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.insert(path.to_owned()) {
        warn!(path = %path.display(), "every user of this machine may write this file, which decides whom we trust; run chmod o-w on it");
    }
}

/// Warns of settings that weaken TLS.
pub(crate) fn warn_of_risks(kafka: &Settings) {
    for (name, value, risk) in [
        (
            "enable.ssl.certificate.verification",
            "false",
            "an attacker on the network could impersonate the brokers, read everything and steal the password",
        ),
        (
            "ssl.endpoint.identification.algorithm",
            "none",
            "the holder of any trusted certificate could impersonate the brokers",
        ),
    ] {
        let set = kafka.properties.get(name);
        if set.is_some_and(|set| set.trim().eq_ignore_ascii_case(value)) {
            warn!("kafka.properties.{name} = {value}: {risk}; leave it out, and set ssl.ca.location instead");
        }
    }
}

/// The description of a librdkafka error, without the name of its code and without values of settings:
/// `invalid topic`.
pub(crate) fn plain_error(error: &KafkaError) -> String {
    match error {
        // The text of other variants ends with the value, which may be a password.
        KafkaError::ClientConfig(_, description, _, _) | KafkaError::ClientCreation(description) => {
            description.clone()
        }
        KafkaError::AdminOp(code) => plain_code(*code),
        _ => error
            .rdkafka_error_code()
            .map_or_else(|| error.to_string(), plain_code),
    }
}

/// The error for a client that librdkafka does not create with these settings.
pub(crate) fn refused_settings(error: &KafkaError) -> Error {
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

/// The context of a client without callbacks of its own: sends log lines to `tracing`, remembers faults, and
/// makes tokens for MSK IAM.
///
/// A context with callbacks holds one of these and forwards `log`, `error` and `generate_oauth_token` to it.
#[derive(Debug, Clone)]
pub(crate) struct LoggingContext {
    faults: Faults,
    tokens: Option<TokenSource>,
    quiet: bool,
}

impl LoggingContext {
    /// The context of a client with these settings.
    pub(crate) fn new(kafka: &Settings) -> Self {
        Self {
            faults: Faults::new(kafka),
            tokens: (kafka.auth == KafkaAuth::MskIam).then(|| TokenSource::new(kafka)),
            quiet: false,
        }
    }

    /// A context that does not log faults, because its owner turns them into errors.
    pub(crate) fn quiet(kafka: &Settings) -> Self {
        Self {
            quiet: true,
            ..Self::new(kafka)
        }
    }

    /// The source of the client's tokens, if it needs any.
    pub(crate) fn tokens(&self) -> Option<&TokenSource> {
        self.tokens.as_ref()
    }

    /// The faults since the last success.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl ClientContext for LoggingContext {
    // librdkafka requests a token only if the mechanism is OAUTHBEARER.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let tokens = self.tokens.as_ref().ok_or("set kafka.auth = \"msk-iam\"")?;
        Ok(tokens.token()?)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        // The error callback repeats FAIL and ERROR with a code; CONFWARN warns a consumer of a producer's
        // properties.
        if matches!(facility, "FAIL" | "ERROR" | "CONFWARN") {
            // The callback omits a closed connection, which a quiet client needs: there it is the broker's
            // answer.
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
    fn only_small_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            std::fs::write(&path, "x".repeat(bytes)).unwrap();
            path
        };
        assert_eq!(read_small_file(&place("small", 65_536)).unwrap().len(), 65_536);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(place("secret", 7), &link).unwrap();
        assert_eq!(
            read_small_file(&link).unwrap(),
            "xxxxxxx",
            "as Kubernetes mounts secrets"
        );
        for (path, expected) in [
            (place("large", 65_537), "larger than 64 kB"),
            (PathBuf::from("/dev/zero"), "not a regular file"),
            (folder.path().to_owned(), "not a regular file"),
        ] {
            assert_eq!(read_small_file(&path).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn errors_are_plain_and_hide_secrets() {
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
