//! What can go wrong with a query, in one sentence each.

use std::error::Error as StdError;

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;
use deltalake::ObjectStoreError;
use thiserror::Error;

use crate::lake::LocationError;

/// Why a table could not be opened or a query not be run.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The setting `table.uri` names no place.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Nothing was written there yet.
    #[error("there is no table at {uri} yet: run `streamgauge aggregate` first, or set table.uri or --table")]
    NoTable { uri: String },
    /// The version asked for was never written, or the log's retention passed it.
    #[error("the table at {uri} has no version {version}: the versions {first} to {last} can be read")]
    NoVersion {
        uri: String,
        version: u64,
        first: u64,
        last: u64,
    },
    /// The store knows no such bucket.
    #[error("there is no bucket for {uri}, or it cannot be seen with these credentials: {reason}")]
    NoBucket { uri: String, reason: String },
    /// The store did not accept who asks.
    #[error(
        "the store lets us not read {uri}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role that may \
         read it, or [table.storage_options]: {reason}"
    )]
    Refused { uri: String, reason: String },
    /// The store did not answer, or something that is no table lies there.
    #[error("cannot open the table at {uri}: {reason}")]
    Open { uri: String, reason: String },
    /// The statement would change something.
    #[error(
        "only queries are run here, nothing is written ({0}); the table is written by `streamgauge aggregate`"
    )]
    ReadOnly(String),
    /// The SQL is wrong, or failed on the data.
    #[error("{0}")]
    Sql(String),
    /// A data file of the table version was deleted before it was read.
    #[error(
        "a data file of table version {version} is gone: vacuum has removed what that version needs; \
         query a newer version ({reason})"
    )]
    FileGone { version: u64, reason: String },
}

impl QueryError {
    /// What a failure to open the table at `uri` means to its owner.
    pub(super) fn opening(uri: &str, error: &DeltaTableError) -> Self {
        let uri = uri.to_owned();
        if matches!(error, DeltaTableError::NotATable(_)) {
            return Self::NoTable { uri };
        }
        let reason = root_message(error);
        match store_error(error) {
            Some(ObjectStoreError::NotFound { .. }) => Self::NoBucket { uri, reason },
            Some(
                ObjectStoreError::PermissionDenied { .. }
                | ObjectStoreError::Unauthenticated { .. }
                | ObjectStoreError::NotSupported { .. },
            ) => Self::Refused { uri, reason },
            _ => Self::Open { uri, reason },
        }
    }

    /// What a failure while running means to whoever wrote the SQL.
    pub(super) fn running(version: u64, error: &DataFusionError) -> Self {
        let reason = sql_message(error);
        // The Parquet reader passes the store's error on as text only.
        if reason.contains("Object at location ") && reason.contains(" not found") {
            return Self::FileGone { version, reason };
        }
        Self::Sql(reason)
    }
}

/// DataFusion's own words on one line and without its wrapping: the innermost error carries "Did you mean …".
pub(super) fn sql_message(error: &DataFusionError) -> String {
    error
        .find_root()
        .strip_backtrace()
        .lines()
        .collect::<Vec<_>>()
        .join(" ")
}

fn store_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a ObjectStoreError> {
    sources(error).find_map(|source| source.downcast_ref())
}

fn root_message(error: &(dyn StdError + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
