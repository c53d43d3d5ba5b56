//! Creates a table only in an empty place, so that its maintenance never meets a file of another owner.

use std::io::ErrorKind;
use std::path::{Path as FolderPath, PathBuf};

use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::{CommitOrBytes, LogStore, LogStoreRef};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tracing::info;
use uuid::Uuid;

use super::location::{OpenMode, log_store, table_url};
use super::log::EntryFormat;
use super::recover::{Recovered, replay};
use super::{Definition, LakeError, file_names, probe};
use crate::clock;
use crate::lake::TableSettings;

/// The folder of a table's log.
pub(super) const LOG_FOLDER: &str = "_delta_log";

/// The prefix of short-lived probe files. Table readers skip names that begin with an underscore.
pub(super) const PASSING: &str = "_streamgauge-";

/// A table, its log replayed.
pub(super) struct Opened {
    pub log_store: LogStoreRef,
    pub recovered: Recovered,
    /// Whether it was just created; the store was probed before.
    pub is_new: bool,
}

/// Opens the configured table, creates it if it does not exist, and replays its log.
///
/// # Errors
/// [`LakeError::Missing`] under [`OpenMode::MustExist`], [`LakeError::Occupied`] if the place is not empty, and
/// errors of the store.
pub(super) async fn open_or_make(
    table: &TableSettings,
    definition: &Definition,
    mode: OpenMode,
) -> Result<Opened, LakeError> {
    if let Some(found) = existing(table, definition).await? {
        return Ok(found);
    }
    let missing = || LakeError::Missing(table.uri.clone());
    if mode == OpenMode::MustExist {
        return Err(missing());
    }
    if let Err(refused) = check_place(table).await {
        // Another process may have created the table meanwhile.
        return existing(table, definition).await?.ok_or(refused);
    }
    let log_store = log_store(table, OpenMode::Create).await?;
    // Before anything is created that a store without conditional PUT would let another writer overwrite.
    probe::try_table(log_store.as_ref(), table).await?;
    create(&log_store, definition).await?;
    // Another process may have been faster; the log decides.
    let recovered = replay(log_store.as_ref(), definition).await?;
    Ok(Opened {
        log_store,
        recovered: recovered.ok_or_else(missing)?,
        is_new: true,
    })
}

async fn existing(table: &TableSettings, definition: &Definition) -> Result<Option<Opened>, LakeError> {
    if table_url(&table.uri)?
        .to_file_path()
        .is_ok_and(|folder| !folder.is_dir())
    {
        return Ok(None);
    }
    let log_store = match log_store(table, OpenMode::MustExist).await {
        Err(LakeError::Missing(_)) => return Ok(None),
        opened => opened?,
    };
    let recovered = replay(log_store.as_ref(), definition).await?;
    Ok(recovered.map(|recovered| Opened {
        log_store,
        recovered,
        is_new: false,
    }))
}

async fn create(log_store: &LogStoreRef, definition: &Definition) -> Result<(), LakeError> {
    let id = Uuid::new_v4().to_string();
    let entry = EntryFormat { definition }.creation(&id, clock::now_ms())?;
    match log_store
        .write_commit_entry(0, CommitOrBytes::LogBytes(entry.into()), Uuid::nil())
        .await
    {
        Ok(()) => {
            info!(table = %log_store.root_url(), "made the table");
            Ok(())
        }
        Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
        Err(TransactionError::ObjectStore { source }) => {
            Err(LakeError::from_store("make the table", &source))
        }
        Err(other) => Err(LakeError::Unavailable {
            action: "make the table".to_owned(),
            reason: other.to_string(),
        }),
    }
}

/// Checks that a table could be created at the configured place, where none exists.
///
/// # Errors
/// [`LakeError::Occupied`] naming a file that lies there, and errors of the store.
pub async fn check_place(table: &TableSettings) -> Result<(), LakeError> {
    let url = table_url(&table.uri)?;
    let found = match url.to_file_path() {
        Ok(folder) => found_in_folder(&folder).map_err(|(path, error)| LakeError::Refused {
            action: format!("look into {}", path.display()),
            reason: error.to_string(),
        })?,
        Err(()) => {
            let log_store = log_store(table, OpenMode::MustExist).await?;
            found_in_bucket(log_store.as_ref()).await?
        }
    };
    found.map_or(Ok(()), |found| {
        Err(LakeError::Occupied {
            table: table.uri.clone(),
            found,
        })
    })
}

/// The obstacle to a table in a local folder, if there is one.
fn found_in_folder(folder: &FolderPath) -> Result<Option<String>, (PathBuf, std::io::Error)> {
    for parent in folder.ancestors().skip(1) {
        if parent.join(LOG_FOLDER).symlink_metadata().is_ok() {
            return Ok(Some(format!("it lies within the table at {}", parent.display())));
        }
    }
    let names = names_in(folder).map_err(|error| (folder.to_owned(), error))?;
    let (log, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == LOG_FOLDER);
    if let Some(found) = holds(&others) {
        return Ok(Some(found));
    }
    if log.is_empty() {
        return Ok(None);
    }
    let log_folder = folder.join(LOG_FOLDER);
    let names = names_in(&log_folder).map_err(|error| (log_folder, error))?;
    Ok(holds(&names)
        .map(|found| format!("there is a {LOG_FOLDER} without a table's first entry, and {found}")))
}

/// The names in a folder, sorted; empty if the folder does not exist. Creating the folder reports any other obstacle.
fn names_in(folder: &FolderPath) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Describes the names in a folder, except those that a killed start of this program leaves.
fn holds(names: &[String]) -> Option<String> {
    let is_left_over = |name: &str| {
        name.starts_with(PASSING)
            || file_names::unfinished(name).is_some_and(|name| name == format!("{:020}.json", 0))
    };
    let mut others = names.iter().filter(|name| !is_left_over(name));
    let first = others.next()?;
    Some(match others.count() {
        0 => format!("it holds {first:?}"),
        more => format!("it holds {first:?} and {more} more"),
    })
}

/// The obstacle to a table under a prefix of a bucket, if there is one.
async fn found_in_bucket(log_store: &dyn LogStore) -> Result<Option<String>, LakeError> {
    let failed = |error| LakeError::from_store("look at what lies where the table is to be", &error);
    let objects = log_store.object_store(None);
    let others = objects
        .list(None)
        .try_filter(|found| {
            let is_passing = found
                .location
                .filename()
                .is_some_and(|name| name.starts_with(PASSING));
            std::future::ready(!is_passing)
        })
        .take(MOST_NAMED)
        .map_ok(|found| found.location.to_string())
        .try_collect::<Vec<_>>()
        .await
        .map_err(failed)?;
    if let Some(found) = holds(&others) {
        return Ok(Some(found));
    }
    let bucket = log_store.root_object_store(None);
    let place = Path::from_url_path(log_store.root_url().path()).unwrap_or_default();
    let segments: Vec<_> = place.parts().collect();
    for length in (0..segments.len()).rev() {
        let parent = Path::from_iter(segments[..length].iter().cloned());
        let log_folder = parent.clone().join(LOG_FOLDER);
        match bucket.list(Some(&log_folder)).next().await {
            None => {}
            Some(Ok(_)) => return Ok(Some(format!("it lies within the table at {:?}", parent.as_ref()))),
            Some(Err(error)) => match failed(error) {
                // A role that may list only its own prefix cannot know.
                LakeError::Refused { reason, .. } => {
                    info!(%reason, "cannot check whether {:?} is a table that this one would lie within", parent.as_ref());
                }
                other => return Err(other),
            },
        }
    }
    Ok(None)
}

/// Enough to know that there are more.
const MOST_NAMED: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(make: impl FnOnce(&FolderPath)) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        make(root.path());
        found_in_folder(&root.path().join("table")).unwrap()
    }

    fn write(root: &FolderPath, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }

    #[test]
    fn a_folder_with_anything_in_it_is_no_place_for_a_table() {
        type Make = fn(&FolderPath);
        let occupied: [(Make, &str); 8] = [
            (|root| write(root, "table/report.csv"), "it holds \"report.csv\""),
            (|root| write(root, "table/.hidden"), "it holds \".hidden\""),
            (
                |root| (0..4).for_each(|number| write(root, &format!("table/{number}"))),
                "it holds \"0\" and 3 more",
            ),
            (
                |root| write(root, "table/below/_delta_log/0.json"),
                "it holds \"below\"",
            ),
            (
                |root| std::fs::create_dir_all(root.join("table/empty")).unwrap(),
                "it holds \"empty\"",
            ),
            (
                |root| write(root, "_delta_log/00000000000000000000.json"),
                "it lies within the table at ",
            ),
            (
                |root| write(root, "table/_delta_log/_last_checkpoint"),
                "and it holds \"_last_checkpoint\"",
            ),
            (
                |root| {
                    std::fs::create_dir(root.join("table")).unwrap();
                    std::os::unix::fs::symlink(root.join("nowhere"), root.join("table/link")).unwrap();
                },
                "it holds \"link\"",
            ),
        ];
        for (make, words) in occupied {
            let found = found(make).unwrap();
            assert!(found.contains(words), "{found}");
        }
    }

    /// Files left by a killed start must not stop the next.
    #[test]
    fn a_folder_of_a_start_that_was_killed_is_a_place_for_a_table() {
        assert_eq!(found(|_| {}), None);
        assert_eq!(
            found(|root| std::fs::create_dir(root.join("table")).unwrap()),
            None
        );
        assert_eq!(
            found(|root| std::fs::create_dir_all(root.join("table/_delta_log")).unwrap()),
            None
        );
        assert_eq!(
            found(|root| {
                write(root, "table/_delta_log/00000000000000000000.json#1");
                write(root, "table/_streamgauge-0b9ff3d3");
            }),
            None
        );
        assert_eq!(found(|root| write(root, "beside/report.csv")), None);
    }
}
