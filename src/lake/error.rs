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
    #[error("the store refuses {action}: {reason}")]
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
    [
        "NoSuchBucket",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "PermanentRedirect",
    ]
    .iter()
    .any(|code| reason.contains(code))
}

/// The innermost cause of an error: the part that says what to do.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
