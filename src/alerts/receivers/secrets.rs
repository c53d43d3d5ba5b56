//! The secrets of a receiver, as they are for one attempt.

use super::SendError;
use crate::alerts::ReceiverSettings;
use crate::alerts::secret::Secret;
use crate::printable::REDACTED;

/// What is set of them; the others are empty.
#[derive(Default)]
pub(super) struct Secrets {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) password: String,
    pub(super) secret: String,
    pub(super) routing_key: String,
    pub(super) topic: String,
}

/// Shorter texts are found everywhere, and protect nothing.
const SHORTEST_HIDDEN: usize = 6;

impl Secrets {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// [`SendError::Secret`] for the first that cannot be read.
    pub(super) fn read(settings: &ReceiverSettings) -> Result<Self, SendError> {
        let read = |given: &str, file: &str| {
            Secret::of(given, file).map_or(Ok(String::new()), |secret| secret.read())
        };
        Ok(Secrets {
            url: read(&settings.url, &settings.url_file)?,
            token: read(&settings.token, &settings.token_file)?,
            password: read(&settings.password, &settings.password_file)?,
            secret: read(&settings.secret, &settings.secret_file)?,
            routing_key: read(&settings.routing_key, &settings.routing_key_file)?,
            topic: read(&settings.topic, &settings.topic_file)?,
        })
    }

    /// A text from outside without them: a server may repeat what it was sent.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        let path = self.url.splitn(4, '/').nth(3).unwrap_or("");
        let others = [
            &self.token,
            &self.password,
            &self.secret,
            &self.routing_key,
            &self.topic,
        ];
        let all = [self.url.as_str(), path]
            .into_iter()
            .chain(others.into_iter().map(String::as_str));
        let long = all.filter(|secret| secret.len() >= SHORTEST_HIDDEN);
        long.fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_repeats_a_secret_does_not_bring_it_into_the_log() {
        let secrets = Secrets {
            url: "https://hooks.example/services/T0/B0/hush".to_owned(),
            routing_key: "0123456789abcdef".to_owned(),
            token: "a".to_owned(),
            ..Secrets::default()
        };
        let text =
            "no /services/T0/B0/hush for 0123456789abcdef at https://hooks.example/services/T0/B0/hush";
        assert_eq!(
            secrets.hidden_in(text),
            "no /<redacted> for <redacted> at <redacted>"
        );
    }
}
