//! The reasons why a receiver could not be told.

use std::path::PathBuf;
use std::time::Duration;

/// A message that has not arrived, or that nobody knows of whether it has.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum SendError {
    /// The receiver's settings are at fault, though they passed the check.
    #[error("cannot prepare what is sent: {cause}; check the receiver's settings")]
    Settings { cause: String },
    /// The file of a secret.
    #[error("cannot read the secret in {}: {cause}; check the receiver's settings", path.display())]
    Secret { path: PathBuf, cause: String },
    /// There is nothing to sign a request with.
    #[error("cannot sign the request: {cause}")]
    Credentials { cause: String },
    /// No answer: the message may have arrived.
    #[error("no answer from {host} ({cause}); check the way to it, and the receiver's settings")]
    Unreachable { host: String, cause: String },
    /// The answer is: not now.
    #[error("{host} does not take it now ({cause})")]
    Busy {
        host: String,
        cause: String,
        retry_after: Option<Duration>,
    },
    /// The answer is no, and will be.
    #[error("{host} refuses it ({cause}); check the receiver's settings")]
    Refused { host: String, cause: String },
    /// This kind of receiver groups by itself, and keeps each episode's state.
    #[error("a receiver of kind {kind:?} takes no digests")]
    NoDigests { kind: &'static str },
}

impl SendError {
    /// Whether the same message may arrive later.
    pub fn is_transient(&self) -> bool {
        match self {
            // An operator can mend files and settings before the message is too old.
            SendError::Settings { .. }
            | SendError::Secret { .. }
            | SendError::Credentials { .. }
            | SendError::Unreachable { .. }
            | SendError::Busy { .. } => true,
            SendError::Refused { .. } | SendError::NoDigests { .. } => false,
        }
    }

    /// How long the receiver asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SendError::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The word that it is counted under.
    pub fn reason(&self) -> &'static str {
        match self {
            SendError::Settings { .. } => "settings",
            SendError::Secret { .. } => "secret",
            SendError::Credentials { .. } => "credentials",
            SendError::Unreachable { .. } => "unreachable",
            SendError::Busy { .. } => "busy",
            SendError::Refused { .. } => "refused",
            SendError::NoDigests { .. } => "no_digests",
        }
    }
}
