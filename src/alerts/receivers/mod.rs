//! Receivers: one file each, which makes requests of a message and reads the answers, without I/O. What they share is here;
//! `http` and `smtp` are the only files that send.

mod alertmanager;
mod email;
mod error;
mod http;
mod ntfy;
mod pagerduty;
mod secrets;
mod slack;
mod smtp;
mod sns;
mod teams;
mod webhook;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::settings::{ReceiverKind, ReceiverSettings};
use super::{Message, Receipt};
pub use error::SendError;
use http::{Answer, Client, Request};
use secrets::Secrets;
pub(super) use sns::region as topic_region;
pub(super) use webhook::keys as webhook_keys;

/// Somebody who is told, by one of the ways that the settings have.
#[derive(Debug)]
pub struct Receiver {
    settings: ReceiverSettings,
    kind: ReceiverKind,
    http: Client,
}

/// What a request is made of.
struct Task<'a> {
    settings: &'a ReceiverSettings,
    secrets: &'a Secrets,
    message: &'a Message,
    /// What the receiver answered to the newest message of the same episode that it took.
    earlier: Option<&'a Receipt>,
    /// The time of this attempt.
    now: DateTime<Utc>,
}

impl Receiver {
    /// The receiver of these settings. Nothing is sent, and no file is read.
    ///
    /// # Errors
    /// [`SendError::Settings`] if it is of no kind that there is.
    pub fn new(settings: &ReceiverSettings) -> Result<Self, SendError> {
        let kind = settings.kind().ok_or_else(|| SendError::Settings {
            cause: format!("there is no kind {:?}", settings.kind),
        })?;
        Ok(Receiver {
            settings: settings.clone(),
            kind,
            http: Client::default(),
        })
    }

    /// Its settings.
    pub fn settings(&self) -> &ReceiverSettings {
        &self.settings
    }

    /// Whether it takes digests. One that does not groups by itself: it is to be told of each episode.
    pub fn takes_digests(&self) -> bool {
        !matches!(self.kind, ReceiverKind::Alertmanager | ReceiverKind::PagerDuty)
    }

    /// How often the newest message of an open episode must be sent again, because the receiver forgets it.
    pub fn resend_interval(&self) -> Option<Duration> {
        (self.kind == ReceiverKind::Alertmanager).then_some(alertmanager::RESEND_INTERVAL)
    }

    /// How long the end of an episode must be sent again so often, for the same reason.
    pub fn resend_end_for(&self) -> Option<Duration> {
        (self.kind == ReceiverKind::Alertmanager).then_some(alertmanager::RESEND_END_FOR)
    }

    /// Sends a message, once, and gives what later messages of the same episode need: `earlier` is the newest such
    /// receipt of this episode. Secrets in files are read anew.
    ///
    /// # Errors
    /// [`SendError`] says whether the same message may be sent again. After a transient one it may have arrived.
    pub async fn send(
        &self,
        message: &Message,
        earlier: Option<&Receipt>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        self.send_and_listen(message, earlier, now, &mut Vec::new()).await
    }

    /// The same; `answers` gets what was answered, in words.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub(crate) async fn send_and_listen(
        &self,
        message: &Message,
        earlier: Option<&Receipt>,
        now: DateTime<Utc>,
        answers: &mut Vec<String>,
    ) -> Result<Receipt, SendError> {
        if matches!(message, Message::Digest(_)) && !self.takes_digests() {
            return Err(SendError::NoDigests {
                kind: self.kind.name(),
            });
        }
        let secrets = Secrets::read(&self.settings)?;
        let task = Task {
            settings: &self.settings,
            secrets: &secrets,
            message,
            earlier,
            now,
        };
        let mut receipt = earlier.cloned().unwrap_or_default();
        if self.kind == ReceiverKind::Email {
            answers.push(smtp::send(&self.settings, &secrets, email::mail(&task)?).await?);
            return Ok(receipt);
        }
        for request in self.requests(&task)? {
            let answer = self.http.send(&self.settings, &secrets, &request).await?;
            answers.push(answer.to_string());
            receipt = self.receipt(&answer, receipt, !secrets.token.is_empty())?;
        }
        Ok(receipt)
    }

    /// The requests of a message, one after another.
    fn requests(&self, task: &Task<'_>) -> Result<Vec<Request>, SendError> {
        match self.kind {
            ReceiverKind::Alertmanager => alertmanager::requests(task),
            ReceiverKind::PagerDuty => pagerduty::requests(task),
            ReceiverKind::Slack => Ok(slack::requests(task)),
            ReceiverKind::Teams => Ok(teams::requests(task)),
            // A mail is no request.
            ReceiverKind::Email => Ok(Vec::new()),
            ReceiverKind::Webhook => webhook::requests(task),
            ReceiverKind::Sns => sns::requests(task),
            ReceiverKind::Ntfy => Ok(ntfy::requests(task)),
        }
    }

    /// What an answer means.
    fn receipt(&self, answer: &Answer, before: Receipt, is_api: bool) -> Result<Receipt, SendError> {
        match self.kind {
            ReceiverKind::Slack => slack::receipt(answer, before, is_api),
            ReceiverKind::Sns => sns::receipt(answer, before),
            _ => answer.accepted().map(|()| before),
        }
    }
}

/// What the tests of the receivers' files share.
#[cfg(test)]
mod fixture {
    use super::*;
    use crate::alerts::notification::fixture;
    use crate::config::config_of;

    /// A receiver's settings: `kind`, and what else is set.
    pub(super) fn settings(fields: &[(&str, &str)]) -> ReceiverSettings {
        let keys: Vec<String> = fields
            .iter()
            .map(|(name, _)| format!("alert.receiver.ops.{name}"))
            .collect();
        let given: Vec<(&str, &str)> = keys
            .iter()
            .zip(fields)
            .map(|(key, (_, value))| (key.as_str(), *value))
            .collect();
        config_of(&given).alert.receivers.remove(0)
    }

    /// The requests of a message a minute after it happened.
    pub(super) fn requests(
        settings: &ReceiverSettings,
        message: &Message,
        earlier: Option<&Receipt>,
    ) -> Result<Vec<Request>, SendError> {
        let secrets = Secrets::read(settings).unwrap();
        let now = fixture::ended().at.to_utc() + chrono::TimeDelta::minutes(1);
        let task = Task {
            settings,
            secrets: &secrets,
            message,
            earlier,
            now,
        };
        Receiver::new(settings).unwrap().requests(&task)
    }

    /// The body of the only request.
    pub(super) fn body(settings: &ReceiverSettings, message: &Message) -> serde_json::Value {
        let requests = requests(settings, message, None).unwrap();
        assert_eq!(requests.len(), 1);
        serde_json::from_str(&requests[0].body).unwrap()
    }
}
