//! Renews credentials before they expire.

use std::error::Error;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as ProviderError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use futures::future::BoxFuture;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::clock;

/// A request is signed once and retried for less than this, so its credentials must last longer.
const RENEWAL_MARGIN_MS: i64 = 300_000;

/// The reason for missing credentials.
#[derive(Debug, Error)]
pub(crate) enum CredentialsError {
    /// The settings have half of a key pair.
    #[error(
        "[table.storage_options] has one of aws_access_key_id and aws_secret_access_key: give both, or none"
    )]
    HalfOfPair,
    /// No source is configured.
    #[error(
        "no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role"
    )]
    NotFound,
    /// The configured source fails.
    #[error("no credentials: the source that is set up for them fails ({0})")]
    Failed(String),
    /// The source gave credentials before, and fails to renew them.
    #[error("the credentials have expired, and their source does not give new ones ({0})")]
    NotRenewed(String),
}

impl CredentialsError {
    /// Whether the source may recover: it gave credentials before.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, CredentialsError::NotRenewed(_))
    }
}

impl From<CredentialsError> for object_store::Error {
    fn from(error: CredentialsError) -> Self {
        object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        }
    }
}

/// The credentials of an AWS source, renewed in time.
#[derive(Debug)]
pub(super) struct RenewedCredentials {
    source: SharedCredentialsProvider,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    credential: Arc<AwsCredential>,
    expires_ms: Option<i64>,
    renew_at_ms: Option<i64>,
}

impl RenewedCredentials {
    pub(super) fn new(source: SharedCredentialsProvider) -> Self {
        RenewedCredentials {
            source,
            cached: Mutex::new(None),
        }
    }

    async fn credential(&self) -> Result<Arc<AwsCredential>, CredentialsError> {
        let mut cached = self.cached.lock().await;
        let now_ms = clock::now_ms();
        if let Some(current) = cached.as_ref()
            && current.renew_at_ms.is_none_or(|renew_at_ms| now_ms < renew_at_ms)
        {
            return Ok(Arc::clone(&current.credential));
        }
        match (self.source.provide_credentials().await, cached.as_mut()) {
            (Ok(credentials), _) => {
                let new = Cached::new(&credentials, clock::now_ms());
                debug!(
                    key = credentials.access_key_id(),
                    expires_ms = new.expires_ms,
                    "AWS credentials"
                );
                Ok(Arc::clone(&cached.insert(new).credential))
            }
            (Err(error), None) if matches!(error, ProviderError::CredentialsNotLoaded(_)) => {
                debug!(looked = causes(&error), "no AWS credentials");
                Err(CredentialsError::NotFound)
            }
            (Err(error), None) => Err(CredentialsError::Failed(causes(&error))),
            (Err(error), Some(old)) => match old.expires_ms {
                Some(expires_ms) if expires_ms <= now_ms => Err(CredentialsError::NotRenewed(causes(&error))),
                expires_ms => {
                    warn!(error = causes(&error), "cannot renew the AWS credentials yet");
                    old.renew_at_ms = expires_ms.map(|expires_ms| renew_at_ms(now_ms, expires_ms));
                    Ok(Arc::clone(&old.credential))
                }
            },
        }
    }
}

impl CredentialProvider for RenewedCredentials {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { self.credential().await.map_err(Into::into) })
    }
}

impl Cached {
    fn new(credentials: &Credentials, now_ms: i64) -> Self {
        let since_epoch = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).ok();
        let expires_ms = credentials
            .expiry()
            .map(|expiry| since_epoch(expiry).map_or(0, |since| since.as_millis() as i64));
        Cached {
            credential: Arc::new(AwsCredential {
                key_id: credentials.access_key_id().to_owned(),
                secret_key: credentials.secret_access_key().to_owned(),
                token: credentials.session_token().map(str::to_owned),
            }),
            expires_ms,
            renew_at_ms: expires_ms.map(|expires_ms| renew_at_ms(now_ms, expires_ms)),
        }
    }
}

/// Half of the remaining lifetime, at most the margin, so that short-lived credentials are not renewed constantly.
fn renew_at_ms(now_ms: i64, expires_ms: i64) -> i64 {
    expires_ms - ((expires_ms - now_ms) / 2).clamp(0, RENEWAL_MARGIN_MS)
}

/// An error with its causes, in one line. AWS' outermost message only says that loading failed.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(current) = cause {
        let text = current.to_string().lines().collect::<Vec<_>>().join(" ");
        // Some layers repeat the error that they wrap.
        if words.last().is_none_or(|last| !last.ends_with(&text)) {
            words.push(text);
        }
        cause = current.source();
    }
    if words.is_empty() {
        return error.to_string();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use aws_credential_types::provider::{Result as Provided, future};

    use super::*;

    #[test]
    fn renewal_leaves_time_to_use_what_there_is() {
        const HOUR_MS: i64 = 3_600_000;
        for (left_ms, margin_ms) in [
            (6 * HOUR_MS, 300_000),
            (600_000, 300_000),
            (2_000, 1_000),
            (-5, 0),
        ] {
            assert_eq!(
                renew_at_ms(HOUR_MS, HOUR_MS + left_ms),
                HOUR_MS + left_ms - margin_ms
            );
        }
    }

    /// Gives credentials that last for a time, and fails after some of them.
    #[derive(Debug)]
    struct Source {
        lasting_ms: Option<i64>,
        good: usize,
        asked: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let expiry = self
                .lasting_ms
                .map(|lasting_ms| UNIX_EPOCH + Duration::from_millis((clock::now_ms() + lasting_ms) as u64));
            let provided: Provided = if number < self.good {
                Ok(Credentials::new(
                    format!("key-{number}"),
                    "secret",
                    None,
                    expiry,
                    "test",
                ))
            } else {
                Err(ProviderError::provider_error("the metadata service is busy"))
            };
            future::ProvideCredentials::ready(provided)
        }
    }

    fn credentials(lasting_ms: Option<i64>, good: usize) -> (RenewedCredentials, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let source = Source {
            lasting_ms,
            good,
            asked: Arc::clone(&asked),
        };
        (
            RenewedCredentials::new(SharedCredentialsProvider::new(source)),
            asked,
        )
    }

    #[tokio::test]
    async fn the_source_is_asked_when_it_is_time_and_not_before() {
        for (lasting_ms, asked_once) in [(None, true), (Some(3_600_000), true), (Some(-1), false)] {
            let (credentials, asked) = credentials(lasting_ms, 9);
            assert_eq!(credentials.credential().await.unwrap().key_id, "key-0");
            credentials.credential().await.unwrap();
            assert_eq!(asked.load(Ordering::Relaxed) == 1, asked_once, "{lasting_ms:?}");
        }
    }

    #[tokio::test]
    async fn a_source_that_fails_is_forgiven_until_the_last_credentials_expire() {
        let (never, _) = credentials(None, 0);
        let error = never.credential().await.unwrap_err();
        assert!(
            !error.is_transient() && error.to_string().contains("service is busy"),
            "{error}"
        );

        let (some, asked) = credentials(Some(400), 1);
        some.credential().await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(some.credential().await.unwrap().key_id, "key-0");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let error = some.credential().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}
