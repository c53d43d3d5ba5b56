//! AWS Signature Version 4 of a request.

use std::error::Error;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use object_store::aws::AwsCredential;

/// What is signed.
pub(crate) struct Unsigned<'a> {
    /// The service's name in signatures.
    pub service: &'a str,
    pub url: &'a str,
    pub region: &'a str,
    /// Name and value.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    pub time_ms: i64,
}

/// The headers that a request carries beside its own: when it was signed, with which key, and the signature.
///
/// # Errors
/// In the words of AWS's library, without a secret.
pub(crate) fn signature(
    credential: &AwsCredential,
    request: &Unsigned<'_>,
) -> Result<Vec<(&'static str, String)>, String> {
    let failed = |error: &dyn Error| error.to_string();
    let credentials = Credentials::new(
        &credential.key_id,
        &credential.secret_key,
        credential.token.clone(),
        None,
        "streamgauge",
    );
    let identity = credentials.into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(request.time_ms).unwrap_or(0)))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let headers = request.headers.iter().copied();
    let signable = SignableRequest::new("POST", request.url, headers, SignableBody::Bytes(request.body))
        .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| failed(&error))?
        .into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers
        .iter()
        .map(|header| (header.name(), header.value().to_owned()))
        .collect())
}
