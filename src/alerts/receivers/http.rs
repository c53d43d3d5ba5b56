//! Sends requests to receivers, and says what became of them. Every time and size from outside has a limit, and no error
//! has a URL in it, which may be a secret.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use object_store::aws::AwsCredentialProvider;
use reqwest::header::RETRY_AFTER;
use tokio::sync::OnceCell;
use url::Url;

use super::SendError;
use super::secrets::Secrets;
use crate::alerts::ReceiverSettings;
use crate::aws_signature::{Unsigned, signature};
use crate::clock;
use crate::lake::aws_credentials;
use crate::printable::{printable, with_causes};
use crate::secret_file;
use crate::web_client;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// From the request to the end of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The bytes of an answer that are read: all that is wanted of it is an id or a reason.
const LARGEST_ANSWER: usize = 64 * 1024;
/// The characters of an answer that an error has.
const SHOWN_ANSWER: usize = 300;
/// A receiver that wants to be left alone for longer is asked again anyhow.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// A request by POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// AWS's service and region, where the request is to be signed for them.
    pub(super) aws: Option<(&'static str, String)>,
}

impl Request {
    /// A request whose body is JSON.
    pub(super) fn json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Request {
            url: url.into(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
            aws: None,
        }
    }

    /// The same with another header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// At most [`LARGEST_ANSWER`] bytes of it, with secrets hidden.
    pub(super) body: String,
}

impl Answer {
    /// # Errors
    /// [`SendError::Busy`] where the same request may be taken later, [`SendError::Refused`] where not.
    pub(super) fn accepted(&self) -> Result<(), SendError> {
        match self.status {
            200..=299 => Ok(()),
            408 | 425 | 429 | 500..=599 => Err(self.busy()),
            _ => Err(self.refused()),
        }
    }

    /// It may be taken later.
    pub(super) fn busy(&self) -> SendError {
        SendError::Busy {
            host: self.host.clone(),
            cause: self.cause(),
            retry_after: self.retry_after,
        }
    }

    /// It will not be taken.
    pub(super) fn refused(&self) -> SendError {
        SendError::Refused {
            host: self.host.clone(),
            cause: self.cause(),
        }
    }

    fn cause(&self) -> String {
        let words: Vec<&str> = self.body.split_whitespace().collect();
        let text: String = words.join(" ").chars().take(SHOWN_ANSWER).collect();
        let status = self.status;
        match (text.as_str(), status) {
            ("", 300..=399) => format!("HTTP status {status}, a redirection, which is not followed"),
            ("", _) => format!("HTTP status {status}"),
            (text, _) => format!("HTTP status {status}: {}", printable(text)),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} answered {}", self.host, self.cause())
    }
}

/// A client for one receiver.
#[derive(Debug, Default)]
pub(super) struct Client {
    http: OnceCell<reqwest::Client>,
    credentials: OnceCell<AwsCredentialProvider>,
}

impl Client {
    /// Sends a request, once.
    ///
    /// # Errors
    /// [`SendError::Settings`] if it cannot be sent at all, [`SendError::Unreachable`] without an answer.
    pub(super) async fn send(
        &self,
        settings: &ReceiverSettings,
        secrets: &Secrets,
        request: &Request,
    ) -> Result<Answer, SendError> {
        let host = host_of(settings, &request.url)?;
        let http = self.http.get_or_try_init(async || client(settings)).await?;
        let mut built = http.post(&request.url).body(request.body.clone());
        for (name, value) in &request.headers {
            built = built.header(*name, value);
        }
        for (name, value) in self.signature(request).await? {
            built = built.header(name, value);
        }
        let response = built.send().await.map_err(|error| unreachable(&host, error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| pause(value, clock::now_ms()));
        let body = beginning(response)
            .await
            .map_err(|error| unreachable(&host, error))?;
        Ok(Answer {
            host,
            status,
            retry_after,
            body: secrets.hidden_in(&body),
        })
    }

    /// The headers that sign a request for AWS; none if it is for others.
    async fn signature(&self, request: &Request) -> Result<Vec<(&'static str, String)>, SendError> {
        let Some((service, region)) = &request.aws else {
            return Ok(Vec::new());
        };
        let failed = |cause: String| SendError::Credentials { cause };
        let provider = self.credentials.get_or_init(|| aws_credentials(region)).await;
        let credential = provider
            .get_credential()
            .await
            .map_err(|error| failed(with_causes(&error)))?;
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let unsigned = Unsigned {
            service,
            url: &request.url,
            region,
            headers: &headers,
            body: request.body.as_bytes(),
            time_ms: clock::now_ms(),
        };
        signature(&credential, &unsigned).map_err(failed)
    }
}

fn client(settings: &ReceiverSettings) -> Result<reqwest::Client, SendError> {
    let unusable = |cause: String| SendError::Settings { cause };
    let mut builder = web_client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN);
    if !settings.ca_file.is_empty() {
        let pem = secret_file::read(settings.ca_file.as_ref())
            .map_err(|error| unusable(format!("{}: {error}", settings.ca_file)))?;
        let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
        let certificates = certificates
            .map_err(|error| unusable(format!("{}: {}", settings.ca_file, with_causes(&error))))?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| unusable(with_causes(&error)))
}

/// Scheme, host and port, for messages.
fn host_of(settings: &ReceiverSettings, url: &str) -> Result<String, SendError> {
    let unusable = |cause: &str| SendError::Settings {
        cause: cause.to_owned(),
    };
    let parsed = Url::parse(url).map_err(|_| unusable("its URL is none"))?;
    if !settings.may_go_to(url) {
        return Err(unusable("its URL must begin with https://"));
    }
    Ok(parsed.origin().ascii_serialization())
}

fn unreachable(host: &str, error: reqwest::Error) -> SendError {
    SendError::Unreachable {
        host: host.to_owned(),
        cause: printable(&with_causes(&error.without_url())).into_owned(),
    }
}

/// The beginning of an answer. The rest of a long one is left.
async fn beginning(mut response: reqwest::Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < LARGEST_ANSWER
        && let Some(chunk) = response.chunk().await?
    {
        let room = LARGEST_ANSWER - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `Retry-After`: seconds, or a date.
fn pause(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse::<u64>().ok().map(Duration::from_secs);
    let until = || {
        let date: DateTime<Utc> = DateTime::parse_from_rfc2822(value).ok()?.into();
        Some(Duration::from_millis(
            (date.timestamp_millis() - now_ms).try_into().unwrap_or(0),
        ))
    };
    Some(seconds.or_else(until)?.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            host: "https://a.example".to_owned(),
            status,
            retry_after: None,
            body: body.to_owned(),
        }
    }

    #[test]
    fn the_status_says_whether_to_try_again() {
        for status in [200, 202, 204] {
            assert!(answer(status, "").accepted().is_ok(), "{status}");
        }
        for status in [408, 425, 429, 500, 503] {
            assert!(
                answer(status, "").accepted().unwrap_err().is_transient(),
                "{status}"
            );
        }
        for status in [301, 400, 401, 403, 404, 410, 415] {
            assert!(
                !answer(status, "").accepted().unwrap_err().is_transient(),
                "{status}"
            );
        }
    }

    #[test]
    fn an_answer_is_shown_on_one_line_and_not_whole() {
        let error = answer(400, &format!("no\n\u{1b}[2J {}", "x".repeat(1_000)))
            .accepted()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("https://a.example refuses it (HTTP status 400: no \\u{1b}[2J xxx"),
            "{error}"
        );
        assert!(error.len() < 450, "{error}");
        let error = answer(302, "").accepted().unwrap_err().to_string();
        assert!(error.contains("redirection"), "{error}");
    }

    #[test]
    fn a_pause_is_in_seconds_or_until_a_date_and_has_a_limit() {
        let now_ms = 1_795_761_180_000;
        for (value, seconds) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("99999999", Some(3_600)),
            ("Fri, 27 Nov 2026 06:33:30 GMT", Some(30)),
            ("Fri, 27 Nov 2026 06:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(pause(value, now_ms), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
