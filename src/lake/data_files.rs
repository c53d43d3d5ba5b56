//! Reads and writes rows as Parquet files in the store.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::file_names::{self, data_path};
use super::{Lake, LakeError, rows};
use crate::table::{DataFile, NewFile};
use crate::window::Row;

const CONCURRENT_FILES: usize = 8;

/// Files with their rows.
type ReadFiles = Vec<(Arc<str>, Vec<Row>)>;

impl Lake {
    /// The rows of the files, or the path of a file that does not exist.
    pub(super) async fn read_files(
        &self,
        paths: &[Arc<str>],
    ) -> Result<Result<ReadFiles, Arc<str>>, LakeError> {
        let read = futures::stream::iter(paths.iter().cloned())
            .map(|path| async move {
                let rows = self.read_file(&path).await?;
                Ok::<_, LakeError>(rows.map(|rows| (Arc::clone(&path), rows)).ok_or(path))
            })
            .buffered(CONCURRENT_FILES)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(read.into_iter().collect())
    }

    /// The rows of a file; `None` if it does not exist.
    async fn read_file(&self, path: &str) -> Result<Option<Vec<Row>>, LakeError> {
        let failed = |error| LakeError::from_store(format!("read {path}"), &error);
        let store = self.log_store().object_store(None);
        let location = file_names::location(path).map_err(|outside| LakeError::Outside {
            table: self.name(),
            outside,
        })?;
        let found = match store.get(&location).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bytes = found.bytes().await.map_err(failed)?;
        let (definition, name) = (Arc::clone(&self.definition), path.to_owned());
        let decode = move || rows::decode(&definition, &name, bytes);
        // A decoder panics on a file whose metadata contradicts its contents.
        let decoded = tokio::task::spawn_blocking(decode).await;
        let decoded = decoded.map_err(|error| LakeError::Damaged {
            what: format!("the data file {path}"),
            reason: error.to_string(),
        })??;
        if decoded.lacks_residuals {
            self.notices.lost_residuals(path);
        }
        Ok(Some(decoded.rows))
    }

    /// Writes a Parquet file for each. Their statistics go to `stats`, by path, for the entry that will name them.
    pub(super) async fn write_files(
        &self,
        files: &Arc<Vec<NewFile>>,
        stats: &mut HashMap<Arc<str>, String>,
    ) -> Result<Vec<DataFile>, LakeError> {
        let id = self.new_id();
        let written: Vec<(DataFile, String)> = futures::stream::iter(0..files.len())
            .map(|number| {
                self.write_file(
                    Arc::clone(files),
                    number,
                    data_path(&id, number, files[number].bucket),
                )
            })
            .buffered(CONCURRENT_FILES)
            .try_collect()
            .await?;
        let mut added = Vec::with_capacity(written.len());
        for (file, file_stats) in written {
            stats.insert(Arc::clone(&file.path), file_stats);
            added.push(file);
        }
        Ok(added)
    }

    async fn write_file(
        &self,
        files: Arc<Vec<NewFile>>,
        number: usize,
        path: Arc<str>,
    ) -> Result<(DataFile, String), LakeError> {
        let definition = Arc::clone(&self.definition);
        let encode = move || -> Result<(Bytes, DataFile, String), LakeError> {
            let file = &files[number];
            let bytes = rows::encode(&definition, &file.rows)?;
            let start = |row: Option<&Row>| row.map_or(0, |row| row.start_ms);
            let data_file = DataFile {
                path,
                size_bytes: bytes.len() as u64,
                rows: file.rows.len() as u64,
                first_start_ms: start(file.rows.first()),
                last_start_ms: start(file.rows.last()),
                bucket: Some(file.bucket),
            };
            Ok((bytes, data_file, rows::stats(&definition, &file.rows)))
        };
        let failed = |error: tokio::task::JoinError| LakeError::Internal(error.to_string());
        let (bytes, file, stats) = tokio::task::spawn_blocking(encode).await.map_err(failed)??;
        self.log_store()
            .object_store(None)
            .put(&Path::from(&*file.path), bytes.into())
            .await
            .map_err(|error| LakeError::from_store(format!("write {}", file.path), &error))?;
        Ok((file, stats))
    }
}
