//! S3 for the table and the state files: region, credentials and answers.
//!
//! delta-rs can open S3 by itself, but looks for credentials in fewer places when an endpoint is set, finds no
//! region in a profile or an instance, and renews credentials only after a refusal.

mod absent;
mod answer;
mod credentials;
mod refusal;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_config::default_provider::region::DefaultRegionChain;
use aws_credential_types::provider::SharedCredentialsProvider;
use deltalake::logstore::{StorageConfig, client_options_from_certificate};
use object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider, S3ConditionalPut,
};
use object_store::{ObjectStore, RetryConfig, StaticCredentialProvider};
use url::Url;

use absent::Listed;
use answer::Connector;
pub(crate) use credentials::CredentialsError;
use credentials::RenewedCredentials;
pub(crate) use refusal::{Refusal, RefusalKind, silent_endpoint};

/// The region to ask if none is configured. S3 answers with the right one for buckets elsewhere.
const DEFAULT_REGION: &str = "us-east-1";

/// Retries end after about this time; the caller retries commits.
const LONGEST_RETRY: Duration = Duration::from_secs(20);
const LONGEST_BACKOFF: Duration = Duration::from_secs(3);

/// The bucket of a URL, configured by the options and, where they are silent, by AWS' conventions.
///
/// # Errors
/// An invalid option, in the words of `object_store`.
pub(super) async fn bucket(
    url: &Url,
    options: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let storage = StorageConfig::parse_options(options.clone()).map_err(invalid)?;
    let mut builder = configured(&known(options));
    let certificate = storage.certificate.as_ref();
    if let Some(path) = certificate.and_then(|certificate| certificate.certificate_path.as_ref()) {
        builder = builder.with_client_options(client_options_from_certificate(path).map_err(invalid)?);
    }
    let options = known(options);
    let region = match builder.get_config_value(&AmazonS3ConfigKey::Region) {
        Some(region) => region,
        None => aws_region().await.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
    };
    let credentials = match own_credentials(&options)? {
        Some(credentials) => credentials,
        None => aws_credentials(&region).await,
    };
    let store = builder
        .with_url(url.as_str())
        .with_region(region)
        .with_credentials(credentials)
        .with_retry(patience(storage.retry))
        .with_http_connector(Connector)
        // Conditional PUT makes a version belong to one writer. Nothing may disable it.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()?;
    Ok(Arc::new(Listed::new(store)))
}

/// The server of a URL's bucket, for people.
pub(super) fn server(url: &Url, options: &BTreeMap<String, String>) -> String {
    let builder = configured(&known(options));
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
        .iter()
        .find_map(|key| builder.get_config_value(key));
    match endpoint {
        Some(endpoint) => format!("the S3 server at {endpoint}"),
        None => format!("the store of {url}"),
    }
}

/// The options, then the environment.
fn configured(options: &HashMap<AmazonS3ConfigKey, &str>) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env();
    for (&key, &value) in options {
        builder = builder.with_config(key, value);
        // Options take precedence over the environment, which has a narrower name.
        if key == AmazonS3ConfigKey::Endpoint && !options.contains_key(&AmazonS3ConfigKey::S3Endpoint) {
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, value);
        }
    }
    builder
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(error),
    }
}

/// The options of S3 by meaning; the others belong to delta-rs.
fn known(options: &BTreeMap<String, String>) -> HashMap<AmazonS3ConfigKey, &str> {
    let key = |name: &str| name.to_ascii_lowercase().parse().ok();
    options
        .iter()
        .filter_map(|(name, value)| Some((key(name)?, value.as_str())))
        .collect()
}

/// Retries that end while a caller still waits, unless the options set others.
fn patience(mut retry: RetryConfig) -> RetryConfig {
    let default = RetryConfig::default();
    if retry.retry_timeout == default.retry_timeout {
        retry.retry_timeout = LONGEST_RETRY;
    }
    if retry.backoff.max_backoff == default.backoff.max_backoff {
        retry.backoff.max_backoff = LONGEST_BACKOFF;
    }
    retry
}

/// The environment's, the profile's or the instance's region.
pub(crate) async fn aws_region() -> Option<String> {
    let found = DefaultRegionChain::builder().build().region().await;
    found.map(|region| region.to_string())
}

/// The key pair of the settings, which takes precedence.
fn own_credentials(
    options: &HashMap<AmazonS3ConfigKey, &str>,
) -> Result<Option<AwsCredentialProvider>, CredentialsError> {
    let value = |key: AmazonS3ConfigKey| options.get(&key).map(|&value| value.to_owned());
    match (
        value(AmazonS3ConfigKey::AccessKeyId),
        value(AmazonS3ConfigKey::SecretAccessKey),
    ) {
        (None, None) => Ok(None),
        (Some(key_id), Some(secret_key)) => {
            let token = value(AmazonS3ConfigKey::Token);
            let credential = AwsCredential {
                key_id,
                secret_key,
                token,
            };
            Ok(Some(Arc::new(StaticCredentialProvider::new(credential))))
        }
        _ => Err(CredentialsError::HalfOfPair),
    }
}

/// The first of environment, profile, web identity, container and instance; renewed in time.
pub(crate) async fn aws_credentials(region: &str) -> AwsCredentialProvider {
    let chain = aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
        .region(Region::new(region.to_owned()))
        .build()
        .await;
    Arc::new(RenewedCredentials::new(SharedCredentialsProvider::new(chain)))
}
