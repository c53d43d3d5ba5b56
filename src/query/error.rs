//! Errors of queries, one sentence each.

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;
use thiserror::Error;

use crate::lake::{LakeError, LocationError, OutsideTable, Refusal, RefusalKind, silent_endpoint};

/// The reason for not opening a table or not running a query.
///
/// A `reason` is text: the innermost message, without the layers around it, which repeat it.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum QueryError {
    /// The setting `table.uri` is not a location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// No table has been written there yet.
    #[error("there is no table at {uri} yet: run `streamgauge aggregate` first, or set table.uri or --table")]
    NoTable { uri: String },
    /// The version was never written, or log retention has removed it.
    #[error("the table at {uri} has no version {version}: versions {first} to {last} can be read")]
    NoVersion {
        uri: String,
        version: u64,
        first: u64,
        last: u64,
    },
    /// The store does not have the bucket.
    #[error("there is no bucket for {uri}: create it, or set table.uri or --table")]
    NoBucket { uri: String },
    /// The store refused the credentials or the request.
    #[error("not allowed to read {uri}: {reason}")]
    Refused { uri: String, reason: String },
    /// The location cannot be reached with these settings.
    #[error(transparent)]
    Place(LakeError),
    /// The store did not answer.
    #[error("the store of {uri} at {endpoint} does not answer: check the network and aws_endpoint_url")]
    Unreachable { uri: String, endpoint: String },
    /// The log cannot be read.
    #[error("cannot open the table at {uri}: {reason}")]
    Open { uri: String, reason: String },
    /// A checkpoint of the log, or its hint file, is damaged.
    #[error("cannot open the table at {uri}: {damage}; `streamgauge table repair` repairs it")]
    Damaged { uri: String, damage: String },
    /// The statement would change something.
    #[error("only queries run here ({0}); the program that writes the table is `streamgauge aggregate`")]
    ReadOnly(String),
    /// The SQL is invalid, or failed on the data.
    #[error("{0}")]
    Sql(String),
    /// The store allows reading the log but not the data.
    #[error("not allowed to read the table's data: {0}")]
    DataRefused(String),
    /// A data file of the table version was deleted before it could be read.
    #[error(
        "a data file of table version {version} is gone: vacuum has removed it; query a newer version ({reason})"
    )]
    FileGone { version: u64, reason: String },
}

impl QueryError {
    /// Interprets a failure to open the table at `uri`.
    // Delta's kernel passes the store's error on as text.
    pub(super) fn opening(uri: &str, error: &DeltaTableError) -> Self {
        let uri = uri.to_owned();
        if matches!(error, DeltaTableError::NotATable(_)) {
            return Self::NoTable { uri };
        }
        // Delta's kernel passes the store's error on as text only.
        let text = error.to_string();
        if let Some(refusal) = Refusal::of(&text) {
            return match refusal.kind {
                RefusalKind::NoBucket => Self::NoBucket { uri },
                _ => Self::Refused {
                    uri,
                    reason: refusal.to_string(),
                },
            };
        }
        let reason = store_reason(&text);
        if reason.contains("credentials") {
            Self::Refused { uri, reason }
        } else if let Some(endpoint) = silent_endpoint(&text) {
            Self::Unreachable { uri, endpoint }
        } else {
            Self::Open { uri, reason }
        }
    }

    /// The error for a log that names a file outside of its table.
    pub(super) fn outside(uri: &str, outside: OutsideTable) -> Self {
        let table = uri.to_owned();
        Self::Place(LakeError::Outside { table, outside })
    }

    /// Interprets a failure to open the location itself.
    pub(super) fn placing(error: LakeError) -> Self {
        match error {
            LakeError::Location(location) => Self::Location(location),
            LakeError::Missing(uri) => Self::NoTable { uri },
            other => Self::Place(other),
        }
    }

    /// Interprets a failure while running, for the author of the SQL.
    pub(super) fn running(version: u64, error: &DataFusionError) -> Self {
        let reason = sql_message(error);
        // The Parquet reader passes the store's error on as text.
        if reason.contains("Object at location ") && reason.contains(" not found") {
            return Self::FileGone { version, reason };
        }
        if let Some(refusal) = Refusal::of(&reason) {
            return Self::DataRefused(refusal.to_string());
        }
        Self::Sql(reason)
    }
}

/// DataFusion's innermost message on one line; the innermost error carries "Did you mean …".
pub(super) fn sql_message(error: &DataFusionError) -> String {
    let message = match error.find_root() {
        DataFusionError::SQL(syntax, _) => syntax.to_string(),
        root => root.strip_backtrace(),
    };
    message.lines().collect::<Vec<_>>().join(" ")
}

/// The store's own message, without the wrapping of the layers above and the XML document below.
fn store_reason(text: &str) -> String {
    let words = text.rsplit("object store: ").next().unwrap_or(text);
    let words = words.rsplit("Generic S3 error: ").next().unwrap_or(words);
    let words = words.split(": <?xml").next().unwrap_or(words);
    words.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_store_name_a_remedy() {
        for (text, expected) in [
            (
                "Generic S3 error: Error performing GET http://127.0.0.1/no?list-type=2 in 1ms - Server returned non-2xx \
                 status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code></Error>",
                "there is no bucket for s3://lake/usage: create it, or set table.uri or --table",
            ),
            (
                "Generic S3 error: no credentials found: set AWS_PROFILE",
                "not allowed to read s3://lake/usage: no credentials found: set AWS_PROFILE",
            ),
            (
                "Error performing GET http://127.0.0.1/lake/a in 1ms - Server returned non-2xx status code: \
                 403 Forbidden: <?xml?>\n<Error/>",
                "403 Forbidden; allow s3:GetObject on lake/a to the role or user that asks",
            ),
            (
                "Error performing GET http://127.0.0.1:7/lake/a in 9s, after 10 retries - HTTP error: error sending request",
                "at http://127.0.0.1:7 does not answer: check the network and aws_endpoint_url",
            ),
            (
                "disk on fire",
                "cannot open the table at s3://lake/usage: disk on fire",
            ),
        ] {
            let error = DeltaTableError::Generic(format!(
                "Kernel error: Error interacting with object store: {text}"
            ));
            let message = QueryError::opening("s3://lake/usage", &error).to_string();
            assert!(message.ends_with(expected), "{message}");
        }
    }
}
