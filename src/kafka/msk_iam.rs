//! Tokens for Amazon MSK IAM: a presigned URL proves possession of AWS credentials, and the broker has AWS
//! verify it.
//!
//! librdkafka requests a token from within `poll`, on any thread, inside a runtime or not. One thread of the
//! process therefore loads credentials and signs for all clients, so that no runtime blocks on another.

use std::error::Error as StdError;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign as sign_request,
};
use aws_sigv4::sign::v4::SigningParams;
use rdkafka::bindings::rd_kafka_oauthbearer_set_token as set_token;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use url::form_urlencoded;

use super::Settings;
use crate::clock::now_ms;
use crate::printable::with_causes;

/// How long loading AWS credentials may take.
const SIGNING_LIMIT: Duration = Duration::from_secs(30);
/// The longest lifetime that AWS allows a token.
const LIFETIME: Duration = Duration::from_secs(900);
/// AWS ignores the name, but librdkafka requires one.
const PRINCIPAL: &str = "streamgauge";
const USER_AGENT: &str = concat!("streamgauge/", env!("CARGO_PKG_VERSION"));

/// Makes tokens for one cluster.
#[derive(Debug, Clone)]
pub(crate) struct TokenSource {
    /// `None` leaves the region to the AWS default chain.
    region: Option<String>,
}

/// The reason for a missing token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{0}")]
    NoCredentials(String),
    #[error("the AWS credentials expired at {}, and their provider returns no new ones", humantime::format_rfc3339_seconds(*.0))]
    Expired(SystemTime),
    #[error("the AWS region is unknown: set kafka.aws_region")]
    NoRegion,
    #[error("no AWS credentials within {} s", SIGNING_LIMIT.as_secs())]
    Slow,
    #[error("cannot sign the token: {0}")]
    Signing(String),
}

impl TokenSource {
    /// A source for the cluster of these settings.
    pub(crate) fn new(kafka: &Settings) -> Self {
        let set = Some(kafka.aws_region.clone()).filter(|region| !region.is_empty());
        Self {
            region: set.or_else(|| region_of(&kafka.brokers)),
        }
    }

    /// A fresh token. Blocks for up to 30 seconds.
    ///
    /// # Errors
    /// [`TokenError`], which contains no secret.
    pub(crate) fn token(&self) -> Result<OAuthToken, TokenError> {
        let (answer, answered) = sync_channel(1);
        let request = Request {
            region: self.region.clone(),
            answer,
        };
        let ended = |cause: &str| TokenError::Signing(cause.to_owned());
        let signer = signer().ok_or_else(|| ended("the signing thread does not start"))?;
        signer
            .send(request)
            .map_err(|_| ended("the signing thread has ended"))?;
        match answered.recv_timeout(SIGNING_LIMIT) {
            Ok(token) => token,
            Err(RecvTimeoutError::Timeout) => Err(TokenError::Slow),
            Err(RecvTimeoutError::Disconnected) => Err(ended("the signing thread has ended")),
        }
    }

    /// Gives a client its token. For clients whose callbacks rdkafka does not serve and that live shorter
    /// than the token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn hand_to<C: ClientContext>(&self, client: &Client<C>) -> Result<(), TokenError> {
        const ERROR_BYTES: usize = 512;
        let token = self.token()?;
        let unfit = |_| TokenError::Signing("it contains a null character".to_owned());
        let value = std::ffi::CString::new(token.token).map_err(unfit)?;
        let principal = std::ffi::CString::new(token.principal_name).map_err(unfit)?;
        let mut error = [0; ERROR_BYTES];
        // SAFETY: the client outlives the call. librdkafka copies both texts and writes at most ERROR_BYTES
        // of its error.
        let code = unsafe {
            set_token(
                client.native_ptr(),
                value.as_ptr(),
                token.lifetime_ms,
                principal.as_ptr(),
                std::ptr::null_mut(),
                0,
                error.as_mut_ptr(),
                ERROR_BYTES,
            )
        };
        match code {
            rdkafka::bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            refused => Err(TokenError::Signing(format!(
                "librdkafka refuses it ({refused:?})"
            ))),
        }
    }
}

/// The region in the name of an MSK broker: `b-1.usage.abc123.c2.kafka.eu-west-1.amazonaws.com:9098`.
fn region_of(brokers: &str) -> Option<String> {
    brokers.split(',').find_map(|address| {
        let host = address.trim().rsplit_once(':').map_or(address, |(host, _)| host);
        let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
        labels.windows(3).find_map(|labels| match labels {
            ["kafka" | "kafka-serverless", region, "amazonaws"] => Some((*region).to_owned()),
            _ => None,
        })
    })
}

struct Request {
    region: Option<String>,
    answer: SyncSender<Result<OAuthToken, TokenError>>,
}

/// The process's only signing thread; the first request starts it.
fn signer() -> Option<&'static UnboundedSender<Request>> {
    static SIGNER: OnceLock<Option<UnboundedSender<Request>>> = OnceLock::new();
    SIGNER
        .get_or_init(|| {
            let (requests, received) = unbounded_channel();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            let thread = std::thread::Builder::new().name("msk-iam".to_owned());
            thread.spawn(move || runtime.block_on(serve(received))).ok()?;
            Some(requests)
        })
        .as_ref()
}

/// Answers requests one by one. Each region, usually only one, has its own credentials chain.
async fn serve(mut requests: UnboundedReceiver<Request>) {
    let mut chains: Vec<(Option<String>, SdkConfig)> = Vec::new();
    while let Some(Request { region, answer }) = requests.recv().await {
        let made = async {
            let position = match chains.iter().position(|(of, _)| *of == region) {
                Some(position) => position,
                None => {
                    chains.push((region.clone(), chain(region).await));
                    chains.len() - 1
                }
            };
            make(&chains[position].1).await
        };
        let token = tokio::time::timeout(SIGNING_LIMIT, made)
            .await
            .unwrap_or(Err(TokenError::Slow));
        // A requester that timed out has dropped its receiver.
        let _ = answer.send(token);
    }
}

/// AWS's default chain: environment, profile, web identity, container, instance role.
async fn chain(region: Option<String>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    match region {
        Some(region) => loader.region(Region::new(region)).load().await,
        None => loader.load().await,
    }
}

async fn make(chain: &SdkConfig) -> Result<OAuthToken, TokenError> {
    let region = chain.region().ok_or(TokenError::NoRegion)?.to_string();
    let provider = chain
        .credentials_provider()
        .ok_or_else(|| TokenError::NoCredentials("no AWS credentials provider is set up".to_owned()))?;
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|error| no_credentials(&error))?;
    let now_ms = now_ms();
    Ok(OAuthToken {
        lifetime_ms: expiry_ms(now_ms, credentials.expiry())?,
        token: sign(&credentials, &region, now_ms, USER_AGENT)?,
        principal_name: PRINCIPAL.to_owned(),
    })
}

/// A one-line error; the log at debug level has the reason of each provider.
fn no_credentials(error: &CredentialsError) -> TokenError {
    let text = with_causes(error);
    tracing::debug!("no AWS credentials: {text}");
    TokenError::NoCredentials(match error {
        CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials were found".to_owned(),
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// The expiry of the token. A session must not outlive the credentials that opened it.
fn expiry_ms(now_ms: i64, credentials_expiry: Option<SystemTime>) -> Result<i64, TokenError> {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let longest_ms = now_ms.saturating_add(ms(LIFETIME));
    let Some(expiry) = credentials_expiry else {
        return Ok(longest_ms);
    };
    let expiry_ms = expiry.duration_since(UNIX_EPOCH).map_or(0, ms);
    if expiry_ms <= now_ms {
        return Err(TokenError::Expired(expiry));
    }
    Ok(expiry_ms.min(longest_ms))
}

/// The token: a presigned URL (AWS Signature Version 4) in URL-safe Base64.
///
/// The order is that of AWS's own signers: the signature after everything it covers, then the user agent.
fn sign(
    credentials: &Credentials,
    region: &str,
    time_ms: i64,
    user_agent: &str,
) -> Result<String, TokenError> {
    let failed = |error: &dyn StdError| TokenError::Signing(error.to_string());
    let url = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(time_ms).unwrap_or(0)))
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let no_headers = std::iter::empty();
    let request = SignableRequest::new("GET", &url, no_headers, SignableBody::Bytes(&[]))
        .map_err(|error| failed(&error))?;
    let (instructions, _) = sign_request(request, &parameters)
        .map_err(|error| failed(&error))?
        .into_parts();
    let (_, mut query) = instructions.into_parts();
    query.sort_by_key(|(name, _)| *name == "X-Amz-Signature");
    let signed = query
        .iter()
        .map(|(name, value)| (*name, &**value))
        .chain([("User-Agent", user_agent)])
        .fold(url, |url, (name, value)| {
            format!("{url}&{name}={}", percent_encoded(value))
        });
    Ok(base64_url(signed.as_bytes()))
}

fn percent_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// URL-safe Base64 without padding (RFC 4648, section 5).
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |group: &[u8]| {
        let bits = (0..3).fold(0_u32, |bits, at| {
            bits << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        let digit = move |at: usize| char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63]);
        (0..=group.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_MS: i64 = 1_709_618_828_000; // 2024-03-05T06:07:08Z
    const PYTHON: &str = "aws-msk-iam-sasl-signer-python/1.0.2";

    fn credentials(session_token: Option<&str>) -> Credentials {
        Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            session_token.map(str::to_owned),
            None,
            "test",
        )
    }

    /// The expected tokens are those of AWS's published signer (aws-msk-iam-sasl-signer-python 1.0.2 from
    /// PyPI, on botocore 1.44.5) for these keys, this region and this time, with its clock stopped there.
    #[test]
    fn a_token_equals_that_of_awss_own_signer_byte_for_byte() {
        let with_session = "aHR0cHM6Ly9rYWZrYS5ldS13ZXN0LTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdXN0ZXIlM0FDb25uZWN0JlgtQW16LUFsZ29y\
            aXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJQUlPU0ZPRE5ON0VYQU1QTEUlMkYyMDI0MDMwNSUyRmV1LXdlc3QtMSUyRmth\
            ZmthLWNsdXN0ZXIlMkZhd3M0X3JlcXVlc3QmWC1BbXotRGF0ZT0yMDI0MDMwNVQwNjA3MDhaJlgtQW16LUV4cGlyZXM9OTAwJlgtQW16LVNpZ25lZEhl\
            YWRlcnM9aG9zdCZYLUFtei1TZWN1cml0eS1Ub2tlbj1Gd29HWlhJdllYZHpFWEFNUExFJTJGJTJGdG9rZW4lMkJ3aXRoJTJGc2lnbnMlM0QlM0QmWC1B\
            bXotU2lnbmF0dXJlPWJjOGFiNWE2NDYzYTZjYmYzNDdiZDhmODc5NDk1NWQ0YzAzZGI2MGUwZjA5ZmViNjYxNGZjY2U2YzViN2Q5YTQmVXNlci1BZ2Vu\
            dD1hd3MtbXNrLWlhbS1zYXNsLXNpZ25lci1weXRob24lMkYxLjAuMg";
        let without = "aHR0cHM6Ly9rYWZrYS5ldS13ZXN0LTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdXN0ZXIlM0FDb25uZWN0JlgtQW16LUFsZ29y\
            aXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJQUlPU0ZPRE5ON0VYQU1QTEUlMkYyMDI0MDMwNSUyRmV1LXdlc3QtMSUyRmth\
            ZmthLWNsdXN0ZXIlMkZhd3M0X3JlcXVlc3QmWC1BbXotRGF0ZT0yMDI0MDMwNVQwNjA3MDhaJlgtQW16LUV4cGlyZXM9OTAwJlgtQW16LVNpZ25lZEhl\
            YWRlcnM9aG9zdCZYLUFtei1TaWduYXR1cmU9OWRiOTNlMmY2NDZlNTYyYWFmOTAyODg0MWI0MmNmZjU0YzdjMGFkNDg4YmFkNWY1MmEwOWU5MTVhMzg5\
            MjRkYyZVc2VyLUFnZW50PWF3cy1tc2staWFtLXNhc2wtc2lnbmVyLXB5dGhvbiUyRjEuMC4y";
        for (session_token, expected) in [
            (Some("FwoGZXIvYXdzEXAMPLE//token+with/signs=="), with_session),
            (None, without),
        ] {
            let token = sign(&credentials(session_token), "eu-west-1", TIME_MS, PYTHON).unwrap();
            assert_eq!(token, expected);
        }
    }

    #[test]
    fn a_token_expires_with_its_credentials_and_after_fifteen_minutes_at_most() {
        let at = |ms: i64| Some(UNIX_EPOCH + Duration::from_millis(ms as u64));
        for (credentials_expiry, expected) in [
            (None, Some(TIME_MS + 900_000)),
            (at(TIME_MS + 3_600_000), Some(TIME_MS + 900_000)),
            (at(TIME_MS + 5_000), Some(TIME_MS + 5_000)),
            (at(TIME_MS), None),
        ] {
            let found = expiry_ms(TIME_MS, credentials_expiry).ok();
            assert_eq!(found, expected, "{credentials_expiry:?}");
        }
    }

    #[test]
    fn the_region_is_found_in_the_brokers_names() {
        for (brokers, expected) in [
            (
                "b-1.usage.abc123.c2.kafka.eu-west-1.amazonaws.com:9098",
                Some("eu-west-1"),
            ),
            (
                "localhost:1, boot-x.c1.kafka-serverless.us-east-2.amazonaws.com:9098",
                Some("us-east-2"),
            ),
            (
                "b-1.u.a.c2.kafka.cn-north-1.amazonaws.com.cn:9098",
                Some("cn-north-1"),
            ),
            ("kafka.example.org:9092", None),
            ("kafka:9092", None),
        ] {
            assert_eq!(region_of(brokers).as_deref(), expected, "{brokers}");
        }
    }

    #[test]
    fn base64_is_url_safe_and_unpadded() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"\xff\xfe\xfb", "__77"),
            (b"\xfb\xff", "-_8"),
        ] {
            assert_eq!(base64_url(bytes), text);
        }
    }
}
