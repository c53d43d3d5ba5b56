//! Checks that a store honors conditional PUT before anything depends on it.
//!
//! A version of the table belongs to one writer because of this condition alone. Some servers ignore it and
//! overwrite; some invert it. Neither shows until one writer's commit replaces another's. So the probe creates
//! an object with a new name twice: the first PUT must succeed, the second must be refused. Readers skip the
//! object's name, and vacuum deletes it if the process dies in these milliseconds.

use deltalake::logstore::LogStore;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tracing::{debug, warn};
use uuid::Uuid;

use super::LakeError;
use super::creation::PASSING;
use super::location::{OpenMode, log_store, store_name, table_url};
use super::synced::SyncedDisk;
use crate::lake::TableSettings;

const CONTENT: &[u8] = b"made by streamgauge to try out conditional PUT; may be deleted\n";

/// Probes the store of a table, in the table's folder.
///
/// # Errors
/// [`LakeError::Unconditional`] if the store ignores or inverts the condition, and errors of the store.
pub(super) async fn try_table(log_store: &dyn LogStore, table: &TableSettings) -> Result<(), LakeError> {
    let store = log_store.object_store(None);
    try_out(store.as_ref(), &Path::default(), &store_name(table)).await
}

/// Probes the place of a table that does not exist yet, without creating it: on a disk, in the nearest
/// existing folder.
///
/// # Errors
/// As [`try_table`].
pub(crate) async fn try_place(table: &TableSettings) -> Result<(), LakeError> {
    let url = table_url(&table.uri)?;
    let Ok(path) = url.to_file_path() else {
        let log_store = log_store(table, OpenMode::MustExist).await?;
        return try_table(log_store.as_ref(), table).await;
    };
    let folder = path.ancestors().find(|folder| folder.is_dir());
    let folder = folder.and_then(|folder| Path::from_absolute_path(folder).ok());
    try_out(
        &SyncedDisk::default(),
        &folder.unwrap_or_default(),
        &store_name(table),
    )
    .await
}

async fn try_out(store: &dyn ObjectStore, folder: &Path, name: &str) -> Result<(), LakeError> {
    let probe = folder.clone().join(format!("{PASSING}{}", Uuid::new_v4()));
    let found = make_twice(store, &probe, name).await;
    // Also after an error: the object may exist all the same.
    match store.delete(&probe).await {
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(error) if found.is_ok() => {
            let error = LakeError::from_store(format!("delete the probe {probe}"), &error);
            warn!(%error, "cannot delete the probe object");
        }
        Err(error) => debug!(%error, "the probe object may still exist"),
    }
    found
}

async fn make_twice(store: &dyn ObjectStore, probe: &Path, name: &str) -> Result<(), LakeError> {
    let unconditional = |fault: &'static str| LakeError::Unconditional {
        store: name.to_owned(),
        fault,
    };
    match make(store, probe).await {
        Ok(()) => match make(store, probe).await {
            Err(Error::AlreadyExists { .. }) => Ok(()),
            Ok(()) => Err(unconditional(
                "it made an object that was there, though asked to make it only if it is absent (If-None-Match: *)",
            )),
            Err(error) => Err(failed(&error)),
        },
        // An attempt with a lost answer may have created it: then this refusal is the expected one.
        Err(Error::AlreadyExists { source, .. }) => match store.head(probe).await {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) if source.to_string().contains(CONFLICT) => {
                Err(LakeError::Unavailable {
                    action: ACTION.to_owned(),
                    reason: source.to_string(),
                })
            }
            Err(Error::NotFound { .. }) => Err(unconditional(
                "it refused an object that is absent, though asked to make it if it is absent (If-None-Match: *)",
            )),
            Err(error) => Err(failed(&error)),
        },
        Err(error) => Err(failed(&error)),
    }
}

const ACTION: &str = "try out conditional PUT";

/// S3's answer to concurrent requests, which says nothing about the object.
const CONFLICT: &str = "409 Conflict";

fn failed(error: &Error) -> LakeError {
    LakeError::from_store(ACTION, error)
}

async fn make(store: &dyn ObjectStore, probe: &Path) -> Result<(), Error> {
    let options = PutOptions {
        mode: PutMode::Create,
        ..PutOptions::default()
    };
    store.put_opts(probe, CONTENT.into(), options).await.map(drop)
}
