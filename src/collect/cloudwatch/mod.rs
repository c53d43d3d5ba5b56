//! CloudWatch over HTTP: which metrics there are, and the points of a request.
//!
//! Two operations of the protocol awsJson1_0, made by hand: AWS's own client would add 90,000 lines for them. Every size
//! and count from outside has a bound.

mod error;
mod wire;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use chrono::DateTime;
use object_store::aws::AwsCredentialProvider;
use reqwest::header::{CONTENT_TYPE, DATE};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{debug, warn};
use url::Url;

use super::answer::{Pages, SeriesAnswer};
use super::dimensions::Dimensions;
use super::metric::Metric;
use super::progress::Progress;
use super::settings::Settings;
use super::state::Request;
use crate::aws_signature::{Unsigned, signature};
use crate::clock;
use crate::lake::{aws_credentials, aws_region};
use crate::printable::with_causes;
use crate::web_client::{self, bounded};
pub(super) use error::CloudWatchError;

const PROTOCOL: &str = "application/x-amz-json-1.0";
/// CloudWatch's name in signatures.
const SERVICE: &str = "monitoring";
const TARGET_PREFIX: &str = "GraniteServiceVersion20100801";
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The largest answer, in bytes: 100,800 points are some 4 MB.
const LARGEST_ANSWER: usize = 32 * 1_048_576;
/// Pages of one answer.
const MOST_PAGES: usize = 1_000;
/// Pauses between attempts, with jitter; after the last the round is given up, and the next one asks again.
const ATTEMPTS: usize = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// A clock that is wrong by more than this is worth a warning; AWS refuses signatures that are five minutes off.
const TOLERATED_SKEW_MS: i64 = 30_000;
/// Metrics without a point for three hours are listed only where points are rarer than this, or older ones wanted.
const RECENT: Duration = Duration::from_secs(3 * 3_600);
const FREQUENT: Duration = Duration::from_secs(300);

/// CloudWatch in a region.
pub(super) struct CloudWatch {
    http: reqwest::Client,
    url: Url,
    region: String,
    credentials: AwsCredentialProvider,
    settings: Settings,
    dimensions: Dimensions,
    /// How far AWS's clock is ahead of ours.
    skew_ms: AtomicI64,
    progress: watch::Sender<Progress>,
}

impl CloudWatch {
    /// Looks for region and credentials where AWS's own programs do; sends nothing yet.
    ///
    /// # Errors
    /// [`CloudWatchError::NoRegion`], [`CloudWatchError::Client`].
    pub(super) async fn open(
        settings: &Settings,
        dimensions: Dimensions,
        progress: watch::Sender<Progress>,
    ) -> Result<Self, CloudWatchError> {
        let region = match settings.region.as_str() {
            "" => aws_region().await.ok_or(CloudWatchError::NoRegion)?,
            region => region.to_owned(),
        };
        let http = web_client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(|source| CloudWatchError::Client { source })?;
        let address = match settings.endpoint.as_str() {
            "" => format!("https://monitoring.{region}.amazonaws.com{}", suffix(&region)),
            endpoint => endpoint.to_owned(),
        };
        let url = Url::parse(&address).map_err(|error| CloudWatchError::Unreachable {
            url: address,
            cause: error.to_string(),
        })?;
        Ok(CloudWatch {
            http,
            url,
            credentials: aws_credentials(&region).await,
            region,
            settings: settings.clone(),
            dimensions,
            skew_ms: AtomicI64::new(0),
            progress,
        })
    }

    /// The region of the metrics.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// The time by AWS's clock, as far as it is known.
    pub(super) fn now_ms(&self) -> i64 {
        clock::now_ms().saturating_add(self.skew_ms.load(Ordering::Relaxed))
    }

    /// The metrics to collect, given or found; at most `most` and one.
    ///
    /// # Errors
    /// [`CloudWatchError`].
    pub(super) async fn metrics(&self, most: usize) -> Result<Vec<Metric>, CloudWatchError> {
        let Settings {
            namespace, metrics, ..
        } = &self.settings;
        if !self.dimensions.are_discovered() {
            return Ok(self.dimensions.given(namespace, metrics));
        }
        let mut found = Vec::new();
        for name in metrics {
            let mut next_token: Option<String> = None;
            for _ in 0..MOST_PAGES {
                let token = next_token.as_deref();
                let body = wire::list_metrics(namespace, name, &self.dimensions, self.wants_all(), token);
                let page: wire::ListedMetrics = self.call("ListMetrics", &body).await?;
                next_token = page.next_token.clone().filter(|token| !token.is_empty());
                found.extend(
                    page.into_metrics()
                        .filter_map(|metric| self.dimensions.taken(metric)),
                );
                if next_token.is_none() || found.len() > most {
                    break;
                }
            }
            if next_token.is_some() && found.len() <= most {
                return Err(endless("ListMetrics"));
            }
        }
        Ok(found)
    }

    fn wants_all(&self) -> bool {
        self.settings.period > FREQUENT || self.settings.backfill > RECENT
    }

    /// The points of a request, all pages of them: an answer for each of its series.
    ///
    /// # Errors
    /// [`CloudWatchError`].
    pub(super) async fn points(&self, request: &Request) -> Result<Vec<SeriesAnswer>, CloudWatchError> {
        let mut pages = Pages::new(request, self.settings.timing().period_ms);
        let mut next_token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let (statistic, period_s) = (&self.settings.statistic, self.settings.period.as_secs());
            let body = wire::get_metric_data(request, statistic, period_s, next_token.as_deref());
            let mut page: wire::MetricData = self.call("GetMetricData", &body).await?;
            for message in page.messages.take().into_iter().flatten() {
                warn!(code = message.code, "CloudWatch says: {}", message.value);
            }
            next_token = page.next_token.take().filter(|token| !token.is_empty());
            pages.add(page.into_parts());
            if next_token.is_none() {
                return Ok(pages.finish());
            }
        }
        Err(endless("GetMetricData"))
    }

    /// An operation, tried several times.
    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &Value,
    ) -> Result<T, CloudWatchError> {
        let body = body.to_string();
        let pauses = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(ATTEMPTS - 1);
        let attempt = || async {
            let answered = self.attempt(operation, &body).await;
            self.progress
                .send_modify(|progress| progress.note_request(answered.as_ref().err()));
            answered
        };
        attempt
            .retry(pauses)
            .when(CloudWatchError::is_transient)
            .notify(|error, pause| debug!(%error, ?pause, "asking CloudWatch again"))
            .await
    }

    /// Once; and once more if the signature was out of time and AWS's clock is known now.
    async fn attempt<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &str,
    ) -> Result<T, CloudWatchError> {
        let signed_with_ms = self.skew_ms.load(Ordering::Relaxed);
        match self.exchange(operation, body).await {
            Err(error) if error.is_of_time() && self.skew_ms.load(Ordering::Relaxed) != signed_with_ms => {
                self.exchange(operation, body).await
            }
            answered => answered,
        }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &str,
    ) -> Result<T, CloudWatchError> {
        let credential = self
            .credentials
            .get_credential()
            .await
            .map_err(credentials_error)?;
        let target = format!("{TARGET_PREFIX}.{operation}");
        let headers = [
            (CONTENT_TYPE.as_str(), PROTOCOL),
            ("x-amz-target", target.as_str()),
        ];
        let unsigned = Unsigned {
            service: SERVICE,
            url: self.url.as_str(),
            region: &self.region,
            headers: &headers,
            body: body.as_bytes(),
            time_ms: self.now_ms(),
        };
        let signed = signature(&credential, &unsigned).map_err(|cause| CloudWatchError::Signing { cause })?;
        let mut request = self.http.post(self.url.clone()).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let unreachable = |error: reqwest::Error| CloudWatchError::Unreachable {
            url: self.url.to_string(),
            cause: with_causes(&error.without_url()),
        };
        let response = request.send().await.map_err(unreachable)?;
        self.compare_clocks(&response);
        let status = response.status();
        let bytes = bounded(response, LARGEST_ANSWER).await.map_err(unreachable)?;
        let bytes = bytes.ok_or_else(|| CloudWatchError::Unreadable {
            operation,
            cause: format!("it is larger than {LARGEST_ANSWER} bytes"),
        })?;
        if !status.is_success() {
            let refusal: wire::Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = refusal.message().chars().take(LONGEST_MESSAGE).collect();
            return Err(CloudWatchError::answered(
                operation,
                status.as_u16(),
                refusal.code(),
                message,
            ));
        }
        serde_json::from_slice(&bytes).map_err(|error| CloudWatchError::Unreadable {
            operation,
            cause: error.to_string(),
        })
    }

    /// Goes by AWS's clock from now on: points are due by it, and signatures are judged by it.
    fn compare_clocks(&self, response: &reqwest::Response) {
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else {
            return;
        };
        let ahead_ms = theirs.timestamp_millis() - clock::now_ms();
        // The header has whole seconds, and the answer was on its way for a while.
        let skew_ms = if ahead_ms.abs() > CLOCK_STEP_MS {
            ahead_ms
        } else {
            0
        };
        let before_ms = self.skew_ms.swap(skew_ms, Ordering::Relaxed);
        if skew_ms.abs() > TOLERATED_SKEW_MS && before_ms.abs() <= TOLERATED_SKEW_MS {
            warn!(
                ahead_s = ahead_ms / 1_000,
                "the clock of this machine is not that of AWS, which is ahead by so much; AWS's is used"
            );
        }
    }
}

/// Differences of clocks below this are not told from the time that an answer takes.
const CLOCK_STEP_MS: i64 = 5_000;
/// Characters of CloudWatch's reason that are shown.
const LONGEST_MESSAGE: usize = 500;

/// What the names of CloudWatch's servers end with beyond `amazonaws.com`.
fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { ".cn" } else { "" }
}

fn endless(operation: &'static str) -> CloudWatchError {
    CloudWatchError::Unreadable {
        operation,
        cause: format!("it has more than {MOST_PAGES} pages"),
    }
}

fn credentials_error(error: object_store::Error) -> CloudWatchError {
    use crate::lake::CredentialsError;
    let object_store::Error::Generic { source, .. } = error else {
        let cause = error.to_string();
        return CloudWatchError::Signing { cause };
    };
    match source.downcast::<CredentialsError>() {
        Ok(error) => CloudWatchError::Credentials(*error),
        Err(other) => CloudWatchError::Signing {
            cause: other.to_string(),
        },
    }
}
