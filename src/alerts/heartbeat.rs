//! A dead man's switch: a URL that is asked as long as all is well. Whoever is no longer asked raises the alarm.

use std::time::Duration;

use url::Url;

use super::secret::{Secret, shown_url};
use super::settings::is_private_address;
use super::{SendError, Settings};
use crate::printable::{printable, with_causes};
use crate::web_client;

/// How often it is asked.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The URL of the settings.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    url: Secret,
    http: reqwest::Client,
}

impl Heartbeat {
    /// The one of these settings, if they have one.
    ///
    /// # Errors
    /// [`SendError::Settings`] if there can be no client.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>, SendError> {
        let Some(url) = Secret::of(&settings.heartbeat_url, &settings.heartbeat_url_file) else {
            return Ok(None);
        };
        let http = web_client::builder().timeout(ANSWER_WITHIN).build();
        let http = http.map_err(|error| SendError::Settings {
            cause: with_causes(&error),
        })?;
        Ok(Some(Heartbeat { url, http }))
    }

    /// Asks it, once.
    ///
    /// # Errors
    /// [`SendError`], without the URL.
    pub(crate) async fn beat(&self) -> Result<(), SendError> {
        let url = self.url.read()?;
        if Url::parse(&url).is_err() || !is_private_address(&url) {
            return Err(SendError::Settings {
                cause: "the URL of the heartbeat must begin with https://".to_owned(),
            });
        }
        let host = shown_url(&url);
        let answer = self.http.get(&url).send().await;
        let answer = answer.map_err(|error| SendError::Unreachable {
            host: host.clone(),
            cause: printable(&with_causes(&error.without_url())).into_owned(),
        })?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(SendError::Refused {
                host,
                cause: format!("HTTP status {}", answer.status().as_u16()),
            }),
        }
    }
}
