//! What can go wrong with the table, by what its owner can do about it.

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use thiserror::Error;

use super::LocationError;

/// An error of the lake.
#[derive(Debug, Error)]
pub enum LakeError {
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The table is not one this pipeline may write; each mismatch names both sides.
    #[error("the table at {table} does not fit the settings, so it is left untouched: {mismatch}")]
    Incompatible { table: String, mismatch: String },
    /// There is no table.
    #[error("there is no table at {0} yet: `streamgauge aggregate` makes it")]
    Missing(String),
    /// The store refused: asking again would not help.
    #[error("the store refuses to {action}: {reason}{}", advice(reason))]
    Refused { action: String, reason: String },
    /// The store failed in a way that may pass.
    #[error("the store failed to {action}: {reason}")]
    Unavailable { action: String, reason: String },
    /// A file or log entry is not what its format asks for.
    #[error("{what} is damaged: {reason}")]
    Damaged { what: String, reason: String },
    /// The store kept failing for as long as the settings allow.
    #[error(
        "gave up after {waited_s} s (commit.give_up_after): {last}; nothing is lost, the next start goes on from the table"
    )]
    GaveUp { waited_s: u64, last: Box<LakeError> },
}

impl LakeError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, LakeError::Unavailable { .. })
    }

    /// Classifies an error of the object store.
    pub fn from_store(action: impl Into<String>, error: &object_store::Error) -> Self {
        use object_store::Error as Store;
        let action = action.into();
        let reason = innermost(error);
        let refused = match error {
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } | Store::NotImplemented { .. } => {
                true
            }
            Store::NotFound { .. } | Store::InvalidPath { .. } | Store::NotSupported { .. } => true,
            _ => is_refusal(error, &reason),
        };
        if refused {
            LakeError::Refused { action, reason }
        } else {
            LakeError::Unavailable { action, reason }
        }
    }

    /// Classifies an error of delta-rs.
    pub fn from_delta(action: impl Into<String>, error: &DeltaTableError) -> Self {
        match error {
            DeltaTableError::ObjectStore { source } => Self::from_store(action, source),
            DeltaTableError::Transaction {
                source: TransactionError::ObjectStore { source },
            } => Self::from_store(action, source),
            other => LakeError::Unavailable {
                action: action.into(),
                reason: innermost(other),
            },
        }
    }
}

/// A full or read-only disk and a missing bucket come as generic errors.
fn is_refusal(error: &object_store::Error, reason: &str) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind;
            return matches!(
                io.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::PermissionDenied
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::NotADirectory
            );
        }
        cause = current.source();
    }
    is_refusing_status(reason)
}

/// S3 answers with these when asking again would not help: another region, no bucket, no rights.
fn is_refusing_status(reason: &str) -> bool {
    let status = reason
        .strip_prefix(STATUS)
        .and_then(|rest| rest.split_whitespace().next());
    status.is_some_and(|status| ["301", "401", "403", "404", "405"].contains(&status))
        || reason.contains("incorrectly configured region")
}

/// How `object_store` begins to say what an HTTP server answered.
const STATUS: &str = "Server returned non-2xx status code: ";

/// What the table's owner can do about a refusal.
fn advice(reason: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["NoSuchBucket"]) {
        "; create the bucket, or correct table.uri"
    } else if has(&["region", "301 "]) {
        "; set aws_region to the bucket's region"
    } else if has(&["401 ", "403 ", "AccessKey", "UserNotFound", "credentials"]) {
        "; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role, or [table.storage_options]"
    } else if has(&["No space left"]) {
        "; make room and start again, nothing is lost"
    } else if has(&["Permission denied", "Read-only"]) {
        "; let this user write there, or change table.uri"
    } else {
        ""
    }
}

/// The innermost cause of an error, in one line: the part that says what to do.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    in_one_line(&cause.to_string())
}

/// S3 answers with an XML document, of which code and message say all there is to say.
fn in_one_line(text: &str) -> String {
    let (before, document) = text.split_once("<?xml").unwrap_or((text, ""));
    let line = before
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches([' ', ':']);
    let element = |name: &str| {
        let (_, after) = document.split_once(&format!("<{name}>"))?;
        Some(after.split_once('<')?.0)
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{line}: {code}: {}", message.trim_end_matches('.')),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_that_says_what_to_do() {
        let refused = |reason: &str| LakeError::Refused {
            action: "list the log".to_owned(),
            reason: in_one_line(reason),
        };
        let answer = |status: &str, code: &str| {
            format!(
                "{STATUS}{status}: <?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>No.</Message><Id>7</Id></Error>"
            )
        };
        for (reason, expected) in [
            (
                answer("404 Not Found", "NoSuchBucket"),
                "404 Not Found: NoSuchBucket: No; create the bucket, or correct table.uri",
            ),
            (
                answer("403 Forbidden", "SignatureDoesNotMatch"),
                "the profile or the role, or [table.storage_options]",
            ),
            (
                "No space left on device (os error 28)".to_owned(),
                "(os error 28); make room and start again, nothing is lost",
            ),
        ] {
            let message = refused(&reason).to_string();
            assert!(
                message.starts_with("the store refuses to list the log: "),
                "{message}"
            );
            assert!(
                message.ends_with(expected) && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn only_answers_that_will_not_change_are_refusals() {
        for (status, expected) in [
            ("403 Forbidden", true),
            ("404 Not Found", true),
            ("409 Conflict", false),
            ("503 Slow Down", false),
        ] {
            assert_eq!(
                is_refusing_status(&format!("{STATUS}{status}")),
                expected,
                "{status}"
            );
        }
    }
}
