//! Secrets of receivers: given in the settings, or in a file that is read for each message.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::SendError;
use crate::printable::REDACTED;
use crate::secret_file;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Given(String),
    InFile(PathBuf),
}

impl Secret {
    /// What is given, else what the file has; `None` if neither is set.
    pub(super) fn of(given: &str, file: &str) -> Option<Self> {
        match (given, file) {
            ("", "") => None,
            ("", file) => Some(Secret::InFile(file.into())),
            (given, _) => Some(Secret::Given(given.to_owned())),
        }
    }

    /// The secret itself.
    ///
    /// # Errors
    /// [`SendError::Secret`] if its file cannot be read or is empty.
    pub(super) fn read(&self) -> Result<String, SendError> {
        let path = match self {
            Secret::Given(text) => return Ok(text.clone()),
            Secret::InFile(path) => path,
        };
        let failed = |cause: String| SendError::Secret {
            path: path.clone(),
            cause,
        };
        let text = secret_file::read(path).map_err(|error| failed(error.to_string()))?;
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(failed("it is empty".to_owned()));
        }
        Ok(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Given(_) => formatter.write_str(REDACTED),
            Secret::InFile(path) => write!(formatter, "{path:?}"),
        }
    }
}

/// A URL that may be a secret as a whole: scheme and host, and of the rest only that there is some.
pub(crate) fn shown_url(text: &str) -> String {
    let Ok(url) = Url::parse(text) else {
        return REDACTED.to_owned();
    };
    let origin = url.origin().ascii_serialization();
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match (
        url.has_host(),
        is_bare && url.username().is_empty() && url.password().is_none(),
    ) {
        (false, _) => REDACTED.to_owned(),
        (true, true) => text.to_owned(),
        (true, false) => format!("{origin}/{REDACTED}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_the_host_is_shown() {
        for (url, shown) in [
            ("http://127.0.0.1:9093", "http://127.0.0.1:9093"),
            ("https://ntfy.sh/", "https://ntfy.sh/"),
            (
                "https://hooks.slack.com/services/T0/B0/x",
                "https://hooks.slack.com/<redacted>",
            ),
            ("https://user:hush@proxy:8443", "https://proxy:8443/<redacted>"),
            ("https://a.example/?sig=x", "https://a.example/<redacted>"),
            ("hush", "<redacted>"),
            ("mailto:hush", "<redacted>"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn a_secret_in_a_file_is_read_each_time_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::of("", path.to_str().unwrap()).unwrap();
        assert!(matches!(secret.read(), Err(SendError::Secret { .. })));
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(secret.read().unwrap(), "one");
        std::fs::write(&path, "two \n").unwrap();
        assert_eq!(secret.read().unwrap(), "two");
        std::fs::write(&path, "\n").unwrap();
        assert!(secret.read().is_err());
        let given = Secret::of("hush", "").unwrap();
        assert_eq!(
            (given.read().unwrap(), format!("{given:?}")),
            ("hush".to_owned(), "<redacted>".to_owned())
        );
        assert_eq!(Secret::of("", ""), None);
    }
}
