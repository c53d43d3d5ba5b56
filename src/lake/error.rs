//! What can go wrong with the table, by what its owner can do about it.

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use thiserror::Error;

use super::LocationError;
use super::s3::{CredentialsError, Refusal, RefusalKind, silent_endpoint};

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
    /// The credentials expired: those of the next request may be new.
    #[error("the store refuses to {action}: {reason}")]
    Expired { action: String, reason: String },
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
        matches!(self, LakeError::Unavailable { .. } | LakeError::Expired { .. })
    }

    /// Classifies an error of the object store.
    pub fn from_store(action: impl Into<String>, error: &object_store::Error) -> Self {
        use object_store::Error as Store;
        let action = action.into();
        let text = error.to_string();
        if let Some(refusal) = Refusal::of(&text) {
            let reason = refusal.to_string();
            return match refusal.kind {
                RefusalKind::Expired => LakeError::Expired { action, reason },
                _ => LakeError::Refused { action, reason },
            };
        }
        let reason = match silent_endpoint(&text) {
            Some(endpoint) => format!(
                "{endpoint} does not answer ({}); check the network and aws_endpoint_url",
                innermost(error)
            ),
            None => innermost(error),
        };
        let refused = match error {
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } | Store::NotImplemented { .. } => {
                true
            }
            Store::NotFound { .. } | Store::InvalidPath { .. } | Store::NotSupported { .. } => true,
            _ => is_refusal(error),
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

/// A full or read-only disk and missing credentials come as generic errors.
fn is_refusal(error: &object_store::Error) -> bool {
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
        if let Some(credentials) = current.downcast_ref::<CredentialsError>() {
            return !credentials.is_transient();
        }
        cause = current.source();
    }
    false
}

/// What the table's owner can do about a refusal of a disk. S3's say it themselves.
fn advice(reason: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["No space left"]) {
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
    let text = cause.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split("<?xml")
        .next()
        .unwrap_or(line)
        .trim_end_matches([' ', ':'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_disk_says_what_to_do() {
        let refused = LakeError::Refused {
            action: "write usage.parquet".to_owned(),
            reason: "No space left on device (os error 28)".to_owned(),
        };
        assert_eq!(
            refused.to_string(),
            "the store refuses to write usage.parquet: No space left on device (os error 28); make room and start again, \
             nothing is lost"
        );
    }

    #[test]
    fn credentials_that_were_never_there_are_a_refusal() {
        for (error, transient) in [
            (CredentialsError::NotFound, false),
            (CredentialsError::HalfOfPair, false),
            (CredentialsError::NotRenewed("busy".to_owned()), true),
        ] {
            let said = error.to_string();
            let error = LakeError::from_store("list the log", &error.into());
            assert_eq!(error.is_transient(), transient, "{error}");
            assert!(error.to_string().contains(&said), "{error}");
        }
    }
}
