//! Keeps state files, of detectors or of a table's registers, in the object store: one compressed file per partition and
//! offset.
//!
//! `<detect.state_uri>/<group>/<topic>/partition-0/00000000000000012345.state`: the number is the offset up to which
//! the state includes the partition. Files appear atomically.

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::LakeError;
use super::attempts::Attempts;
use super::location::{LocationError, OpenMode, place_url, store_at, table_url};
use crate::lake::StateSpec;

/// The state files of one consumer group, or of one table.
#[derive(Debug, Clone)]
pub struct StateStore {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    give_up_after: Duration,
}

const STATE_URI: &str = "detect.state_uri";

const SUFFIX: &str = ".state";

/// Fast, with most of the possible gain: state is mostly numbers.
const COMPRESSION_LEVEL: i32 = 1;

/// The number of older files kept beside the newest, in case that is damaged.
const SPARE: usize = 1;

impl StateStore {
    /// Opens the configured place. Under [`OpenMode::Create`] a local folder is created.
    ///
    /// # Errors
    /// [`LakeError`] if the place is invalid or cannot be created.
    pub async fn open(spec: &StateSpec, mode: OpenMode) -> Result<Self, LakeError> {
        let uri = &spec.uri;
        let place = place_url(STATE_URI, uri)?;
        // A table's folder belongs to the table alone, so that maintenance need not ask who owns a file.
        if let Ok(table) = table_url(&spec.table.uri)
            && place.as_str().starts_with(table.as_str())
        {
            return Err(LocationError::Shared(STATE_URI, uri.clone(), spec.table.uri.clone()).into());
        }
        let log_store = store_at(STATE_URI, uri, &spec.table, mode).await?;
        let store = log_store.object_store(None);
        let folder = Path::from_iter([spec.group.as_str(), spec.topic.as_str()]);
        Ok(StateStore {
            store,
            folder,
            give_up_after: spec.give_up_after,
        })
    }

    /// The offsets of a partition's state files, largest first.
    ///
    /// # Errors
    /// [`LakeError`] of the store.
    pub async fn offsets(&self, partition: i32) -> Result<Vec<i64>, LakeError> {
        let folder = self.folder_of(partition);
        let mut attempts = Attempts::new(self.give_up_after);
        loop {
            match self.list(&folder).await {
                Ok(mut offsets) => {
                    offsets.sort_unstable_by(|left, right| right.cmp(left));
                    return Ok(offsets);
                }
                Err(error) => attempts.pause_after(error).await?,
            }
        }
    }

    async fn list(&self, folder: &Path) -> Result<Vec<i64>, LakeError> {
        let listed = self.store.list(Some(folder)).try_collect::<Vec<_>>().await;
        let files = listed.map_err(|error| LakeError::from_store(format!("list {folder}"), &error))?;
        let offset = |name: &str| name.strip_suffix(SUFFIX)?.parse().ok();
        Ok(files
            .iter()
            .filter_map(|file| file.location.filename().and_then(offset))
            .collect())
    }

    /// The contents of a state file, decompressed while they are read; `None` if the file does not exist or is
    /// not compressed.
    ///
    /// # Errors
    /// [`LakeError`] of the store.
    pub async fn read(&self, partition: i32, offset: i64) -> Result<Option<impl Read + use<>>, LakeError> {
        let path = self.path(partition, offset);
        let mut attempts = Attempts::new(self.give_up_after);
        loop {
            let read = async { self.store.get(&path).await?.bytes().await }.await;
            match read {
                // A foreign file counts as missing: the state is rebuilt from the topic.
                Ok(bytes) => return Ok(uncompressing(bytes).ok()),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => {
                    let error = LakeError::from_store(format!("read {path}"), &error);
                    attempts.pause_after(error).await?;
                }
            }
        }
    }

    /// Writes a state file and removes the superfluous older ones: all but one.
    ///
    /// # Errors
    /// [`LakeError`] of the store.
    pub async fn keep(&self, partition: i32, offset: i64, contents: Vec<u8>) -> Result<(), LakeError> {
        let path = self.path(partition, offset);
        let bytes = compressed(contents).await?;
        let mut attempts = Attempts::new(self.give_up_after);
        while let Err(error) = self.store.put(&path, bytes.clone().into()).await {
            let error = LakeError::from_store(format!("write {path}"), &error);
            attempts.pause_after(error).await?;
        }
        let offsets = self.offsets(partition).await?;
        let below = offsets.into_iter().filter(|other| *other < offset);
        self.remove(partition, below.skip(SPARE)).await
    }

    /// Removes all state files of a partition.
    ///
    /// # Errors
    /// [`LakeError`] of the store.
    pub async fn clear(&self, partition: i32) -> Result<(), LakeError> {
        let offsets = self.offsets(partition).await?;
        self.remove(partition, offsets.into_iter()).await
    }

    async fn remove(&self, partition: i32, offsets: impl Iterator<Item = i64>) -> Result<(), LakeError> {
        let paths: Vec<Path> = offsets.map(|offset| self.path(partition, offset)).collect();
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut removed = self.store.delete_stream(paths);
        while let Some(result) = removed.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::from_store("remove an old state file", &error)),
            }
        }
        Ok(())
    }

    fn folder_of(&self, partition: i32) -> Path {
        self.folder.clone().join(format!("partition-{partition}"))
    }

    fn path(&self, partition: i32, offset: i64) -> Path {
        self.folder_of(partition).join(format!("{offset:020}{SUFFIX}"))
    }
}

/// The most memory for decompression. Own files need less than a megabyte.
const LARGEST_WINDOW_LOG: u32 = 23;

fn uncompressing(bytes: Bytes) -> std::io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::new(Cursor::new(bytes))?;
    decoder.window_log_max(LARGEST_WINDOW_LOG)?;
    Ok(decoder)
}

async fn compressed(contents: Vec<u8>) -> Result<Bytes, LakeError> {
    let compress = move || zstd::bulk::compress(&contents, COMPRESSION_LEVEL);
    let result = tokio::task::spawn_blocking(compress)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map(Bytes::from).map_err(|error| LakeError::Refused {
        action: "compress a state file".to_owned(),
        reason: error.to_string(),
    })
}
