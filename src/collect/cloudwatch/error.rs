//! What CloudWatch, or the way to it, can be wrong with.

use crate::lake::CredentialsError;

/// A request that brought no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudWatchError {
    /// Nothing says where the metrics are.
    #[error("the AWS region is unknown: set collect.cloudwatch.region (--region) or AWS_REGION")]
    NoRegion,
    /// There is nothing to sign requests with.
    #[error("cannot sign a request to CloudWatch: {0}")]
    Credentials(#[from] CredentialsError),
    /// The credentials were found, and a signature could not be made with them.
    #[error("cannot sign a request to CloudWatch: {cause}; check the AWS credentials")]
    Signing { cause: String },
    /// The HTTP client cannot be made.
    #[error("cannot prepare requests to CloudWatch: {source}; check the certificates of this machine")]
    Client { source: reqwest::Error },
    /// No answer.
    #[error(
        "no answer from {url} ({cause}); check collect.cloudwatch.region and collect.cloudwatch.endpoint, and the way \
         to it"
    )]
    Unreachable { url: String, cause: String },
    /// The answer is no, and will be.
    #[error(
        "CloudWatch refuses {operation} ({code}: {message}){}",
        advice(code, operation)
    )]
    Refused {
        operation: &'static str,
        code: String,
        message: String,
    },
    /// The answer is: not now.
    #[error("CloudWatch does not answer {operation} now ({code}: {message})")]
    Busy {
        operation: &'static str,
        code: String,
        message: String,
    },
    /// The answer is none that this program can read.
    #[error(
        "cannot read CloudWatch's answer to {operation} ({cause}); check that collect.cloudwatch.endpoint is CloudWatch"
    )]
    Unreadable { operation: &'static str, cause: String },
}

/// Codes that mean "later", beside all answers of 500 and above.
const BUSY: [&str; 7] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "TooManyRequestsException",
    "InternalServiceFault",
];

/// Codes of signatures that are too old or too new.
const OUT_OF_TIME: [&str; 4] = [
    "RequestExpired",
    "RequestTimeTooSkewed",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
];

impl CloudWatchError {
    /// An answer that is no, or not now.
    pub(super) fn answered(operation: &'static str, status: u16, code: String, message: String) -> Self {
        if status >= 500 || status == 429 || BUSY.contains(&code.as_str()) {
            let code = if code.is_empty() {
                format!("HTTP{status}")
            } else {
                code
            };
            CloudWatchError::Busy {
                operation,
                code,
                message,
            }
        } else {
            let code = if code.is_empty() {
                format!("HTTP{status}")
            } else {
                code
            };
            CloudWatchError::Refused {
                operation,
                code,
                message,
            }
        }
    }

    /// Whether the same request may be answered later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            CloudWatchError::Unreachable { .. } | CloudWatchError::Busy { .. } => true,
            CloudWatchError::Credentials(error) => error.is_transient(),
            CloudWatchError::NoRegion
            | CloudWatchError::Signing { .. }
            | CloudWatchError::Client { .. }
            | CloudWatchError::Refused { .. }
            | CloudWatchError::Unreadable { .. } => false,
        }
    }

    /// Whether the signature may have been out of time.
    pub(super) fn is_of_time(&self) -> bool {
        matches!(self, CloudWatchError::Refused { code, .. } if OUT_OF_TIME.contains(&code.as_str()))
    }

    /// What it is counted under.
    pub(crate) fn code(&self) -> &str {
        match self {
            CloudWatchError::Refused { code, .. } | CloudWatchError::Busy { code, .. } => code,
            CloudWatchError::Credentials(_) => "Credentials",
            CloudWatchError::NoRegion => "NoRegion",
            CloudWatchError::Signing { .. } => "Signing",
            CloudWatchError::Client { .. } => "Client",
            CloudWatchError::Unreachable { .. } => "Unreachable",
            CloudWatchError::Unreadable { .. } => "Unreadable",
        }
    }
}

fn advice(code: &str, operation: &str) -> String {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            format!("; allow cloudwatch:{operation} on \"*\"")
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException" => "; check the AWS credentials, and collect.cloudwatch.region".to_owned(),
        code if OUT_OF_TIME.contains(&code) => {
            "; check the AWS secret key, and the clock of this machine".to_owned()
        }
        _ => "; check [collect.cloudwatch]".to_owned(),
    }
}
