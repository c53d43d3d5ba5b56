//! Snapshots of the detecting side in the object store: one file for each partition and offset, compressed.
//!
//! `<detect.snapshot_uri>/<group>/<topic>/partition-0/00000000000000012345.snapshot`: the number is the offset up to
//! which the state has seen the partition. A file appears whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::LakeError;
use super::attempts::Attempts;
use super::location::{OpenMode, store_at};
use crate::config::Config;

/// Where the snapshots of one consumer group lie.
#[derive(Debug, Clone)]
pub struct SnapshotStore {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    give_up_after: Duration,
}

const SUFFIX: &str = ".snapshot";

/// Fast, and most of what is to be had: state is mostly numbers.
const COMPRESSION_LEVEL: i32 = 1;

/// Those kept besides the newest that a restart could use: one, in case the newest turns out to be damaged.
const SPARE: usize = 1;

impl SnapshotStore {
    /// Opens the place of the settings. Under [`OpenMode::Create`] a local folder is made.
    ///
    /// # Errors
    /// [`LakeError`] if the place is none, or cannot be made.
    pub async fn open(config: &Config, mode: OpenMode) -> Result<Self, LakeError> {
        let log_store = store_at(&config.snapshot_uri(), &config.table, mode).await?;
        let store = log_store.object_store(None);
        let folder = Path::from_iter([config.detect_group(), config.kafka.topic.clone()]);
        Ok(SnapshotStore {
            store,
            folder,
            give_up_after: config.commit.give_up_after,
        })
    }

    /// The offsets of a partition's snapshots, largest first.
    ///
    /// # Errors
    /// [`LakeError`] if the store cannot be asked.
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

    /// The contents of a snapshot, uncompressed; nothing if it is not there any more or is no compressed file.
    ///
    /// # Errors
    /// [`LakeError`] if the store cannot be asked.
    pub async fn read(&self, partition: i32, offset: i64) -> Result<Option<Vec<u8>>, LakeError> {
        let path = self.path(partition, offset);
        let mut attempts = Attempts::new(self.give_up_after);
        loop {
            let read = async { self.store.get(&path).await?.bytes().await }.await;
            match read {
                Ok(bytes) => return Ok(decompressed(bytes).await),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => {
                    let error = LakeError::from_store(format!("read {path}"), &error);
                    attempts.pause_after(error).await?;
                }
            }
        }
    }

    /// Keeps a snapshot, and removes those that it makes superfluous: all but one below it.
    ///
    /// # Errors
    /// [`LakeError`] if the store does not take it.
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

    /// Removes all snapshots of a partition.
    ///
    /// # Errors
    /// [`LakeError`] if the store cannot be asked.
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
                Err(error) => return Err(LakeError::from_store("remove an old snapshot", &error)),
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

async fn compressed(contents: Vec<u8>) -> Result<Bytes, LakeError> {
    let compress = move || zstd::bulk::compress(&contents, COMPRESSION_LEVEL);
    let result = tokio::task::spawn_blocking(compress)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map(Bytes::from).map_err(|error| LakeError::Refused {
        action: "compress a snapshot".to_owned(),
        reason: error.to_string(),
    })
}

/// What is torn or foreign is nothing: the state is rebuilt from the topic.
async fn decompressed(bytes: Bytes) -> Option<Vec<u8>> {
    let decompress = move || zstd::stream::decode_all(&*bytes).ok();
    tokio::task::spawn_blocking(decompress).await.ok().flatten()
}
