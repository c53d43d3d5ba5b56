//! Errors of the table, by remedy.

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use thiserror::Error;

use super::LocationError;
use super::file_names::OutsideTable;
use super::s3::{CredentialsError, Refusal, RefusalKind, silent_endpoint};
use super::synced::NoHardLinks;

/// An error of the lake.
///
/// A `reason` is text: the store's own words, without the layers around them, which repeat them.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum LakeError {
    #[error(transparent)]
    Location(#[from] LocationError),
    /// This pipeline may not write the table. Each mismatch names both values.
    #[error("the table at {table} does not fit the settings, so it is left untouched: {mismatch}")]
    Incompatible { table: String, mismatch: String },
    /// The table does not exist.
    #[error("there is no table at {0} yet: `streamgauge aggregate` makes it")]
    Missing(String),
    /// The store refused; a retry would not help.
    #[error("the store refuses to {action}: {reason}{}", advice(reason))]
    Refused { action: String, reason: String },
    /// The store lacks the conditional PUT that makes a version belong to one writer.
    #[error(
        "{store} cannot hold a table: {fault}, so that one writer could overwrite another's commit; use AWS S3, or a \
         server that has conditional PUT"
    )]
    Unconditional { store: String, fault: &'static str },
    /// The credentials expired; the next request may have new ones.
    #[error("the store refuses to {action}: {reason}")]
    Expired { action: String, reason: String },
    /// The store failed temporarily.
    #[error("the store failed to {action}: {reason}")]
    Unavailable { action: String, reason: String },
    /// The log names a file outside of its table.
    #[error(
        "the table at {table} is left untouched: {outside}; restore the log entry that names it, or have the program that \
         wrote it remove the file from the log"
    )]
    Outside {
        table: String,
        #[source]
        outside: OutsideTable,
    },
    /// The place of a new table is not empty.
    #[error(
        "no table is made at {table}: {found}; set table.uri to a folder of its own, a new or an empty one"
    )]
    Occupied { table: String, found: String },
    /// The log names a file that does not exist.
    #[error(
        "the data file {path}, which the table's last version names, is gone: its rows are lost unless it is restored \
         (from a backup or the bucket's versions)"
    )]
    FileGone { path: String },
    /// A file or log entry violates its format.
    #[error("{what} is damaged: {reason}")]
    Damaged { what: String, reason: String },
    /// A sound data file of another program with impossible values.
    #[error(
        "the data file {file} was not written by streamgauge, and {problem}: correct or delete these rows with the \
         program that wrote them, then start again; nothing is lost"
    )]
    Unfit { file: String, problem: String },
    /// A fault of this program.
    #[error("internal error: {0}")]
    Internal(String),
    /// The store failed for as long as the settings allow.
    #[error(
        "gave up after {waited_s} s (commit.give_up_after): {last}{}",
        consolation(last)
    )]
    GaveUp {
        waited_s: u64,
        #[source]
        last: Box<LakeError>,
    },
}

impl LakeError {
    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        // A version not yet seen may have replaced the missing file.
        matches!(
            self,
            LakeError::Unavailable { .. } | LakeError::Expired { .. } | LakeError::FileGone { .. }
        )
    }

    /// Classifies an error of the object store.
    pub(crate) fn from_store(action: impl Into<String>, error: &object_store::Error) -> Self {
        use object_store::Error as Store;
        let action = action.into();
        let text = error.to_string();
        if lacks_hard_links(&text, error) {
            let reason = NO_HARD_LINKS.to_owned();
            return LakeError::Refused { action, reason };
        }
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
    pub(crate) fn from_delta(action: impl Into<String>, error: &DeltaTableError) -> Self {
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

/// A local commit is a hard link to the new entry, which fails if the entry exists.
pub(super) const NO_HARD_LINKS: &str = "its file system has no hard links, which a commit needs; set table.uri to a folder on another disk, or to S3";

/// Whether a local write failed because the file system lacks hard links.
fn lacks_hard_links(text: &str, error: &object_store::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            // The error of `object_store` when it cannot rename the finished file.
            return text.contains("Unable to rename file") && is_no_hard_link(io);
        }
        cause = current.source();
    }
    false
}

/// Whether a hard link failed because the file system has none.
pub(super) fn is_no_hard_link(error: &std::io::Error) -> bool {
    // EPERM of FAT, ENOSYS of FUSE, EOPNOTSUPP of CIFS, EMLINK where a file may have only one name.
    const CODES: [i32; 4] = [1, 38, 95, 31];
    error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

/// The reassurance, unless a file of the table is missing.
fn consolation(last: &LakeError) -> &'static str {
    match last {
        LakeError::FileGone { .. } => "",
        _ => "; nothing is lost, the next start goes on from the table",
    }
}

/// A full or read-only disk and missing credentials are generic errors.
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
        if current.is::<NoHardLinks>() {
            return true;
        }
        if let Some(credentials) = current.downcast_ref::<CredentialsError>() {
            return !credentials.is_transient();
        }
        cause = current.source();
    }
    false
}

/// The remedy for a refusal of a disk. Those of S3 contain it.
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

/// The innermost cause of an error, in one line: the part that names the remedy.
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
    fn what_is_lost_is_not_said_to_be_safe() {
        let gave_up = |last| LakeError::GaveUp {
            waited_s: 600,
            last: Box::new(last),
        };
        let gone = LakeError::FileGone {
            path: "a.parquet".to_owned(),
        };
        let message = gave_up(gone).to_string();
        assert!(
            message.contains("a.parquet") && !message.contains("nothing is lost"),
            "{message}"
        );
        let away = LakeError::Unavailable {
            action: "write".to_owned(),
            reason: "no answer".to_owned(),
        };
        assert!(gave_up(away).to_string().contains("nothing is lost"));
    }

    #[test]
    fn a_disk_without_hard_links_is_named() {
        let failed = |code| object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(RenameFailed(std::io::Error::from_raw_os_error(code))),
        };
        for (code, lacks_links) in [
            (1, true),
            (38, true),
            (95, true),
            (31, true),
            (28, false),
            (13, false),
        ] {
            let error = LakeError::from_store("make the table", &failed(code));
            let message = error.to_string();
            assert_eq!(message.contains("no hard links"), lacks_links, "{message}");
            assert!(!error.is_transient(), "{message}");
        }
    }

    /// The wording of `object_store`.
    #[derive(Debug, Error)]
    #[error("Unable to rename file: {0}")]
    struct RenameFailed(#[source] std::io::Error);

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
