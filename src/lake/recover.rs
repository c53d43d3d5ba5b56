//! From the log to the image of its last version: the newest checkpoint, and the entries after it.

use std::collections::BTreeMap;

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use deltalake::logstore::LogStore;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::log::{EntryFormat, MetadataAction, ProtocolAction, actions};
use super::{Definition, LakeError};
use crate::table::{Entry, Image};

/// A table as its log tells it.
#[derive(Debug)]
pub struct Recovered {
    pub image: Image,
    pub protocol: Option<ProtocolAction>,
    pub metadata: Option<MetadataAction>,
}

/// Entries fetched at once: a store far away answers each in tens of milliseconds.
const CONCURRENT_READS: usize = 16;

/// Replays the log. `None` if there is no table.
pub async fn replay(
    log_store: &dyn LogStore,
    definition: &Definition,
) -> Result<Option<Recovered>, LakeError> {
    let log = list_log(log_store).await?;
    let format = EntryFormat { definition };
    let mut recovered = Recovered {
        image: Image::default(),
        protocol: None,
        metadata: None,
    };
    let Some(&last) = log.entries.last() else {
        return Ok(None);
    };
    let mut first = 0;
    if let Some((&version, parts)) = log.checkpoints.last_key_value() {
        // All parts as one entry: the two halves of a position may lie in different ones.
        let mut lines = Vec::new();
        for part in parts {
            let bytes = get(log_store, part).await?;
            lines.extend_from_slice(&checkpoint_lines(part, bytes)?);
        }
        recovered.take_in(&format, version, lines.into())?;
        first = version + 1;
    }
    let entries: Vec<(u64, Bytes)> = futures::stream::iter(first..=last)
        .map(async |version| {
            entry_bytes(log_store, version)
                .await
                .map(|bytes| (version, bytes))
        })
        .buffered(CONCURRENT_READS)
        .try_collect()
        .await?;
    for (version, bytes) in entries {
        recovered.take_in(&format, version, bytes)?;
    }
    recovered.image.version = last;
    Ok(Some(recovered))
}

impl Recovered {
    fn take_in(&mut self, format: &EntryFormat<'_>, version: u64, lines: Bytes) -> Result<(), LakeError> {
        let mut entry = Entry::default();
        for action in actions(version, &lines) {
            let mut action = action?;
            // Only the last protocol and metadata count, so they are judged when all is read.
            self.protocol = action.protocol.take().or(self.protocol.take());
            self.metadata = action.meta_data.take().or(self.metadata.take());
            format.take_in(action, &mut entry);
        }
        self.image.apply_actions(&entry);
        Ok(())
    }
}

/// What lies in the log folder: checkpoints by version, and the entries from the newest checkpoint on.
struct LogListing {
    checkpoints: BTreeMap<u64, Vec<Path>>,
    entries: Vec<u64>,
}

async fn list_log(log_store: &dyn LogStore) -> Result<LogListing, LakeError> {
    let store = log_store.object_store(None);
    let mut checkpoints: BTreeMap<u64, Vec<Path>> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut listing = store.list(Some(log_store.log_path()));
    while let Some(found) = listing.next().await {
        let location = match found {
            Ok(found) => found.location,
            Err(object_store::Error::NotFound { .. }) => break,
            Err(error) => return Err(LakeError::from_store("list the log", &error)),
        };
        let name = location.filename().unwrap_or_default();
        let Some((version, rest)) = name.split_once('.') else {
            continue;
        };
        let Ok(version) = version.parse::<u64>() else {
            continue;
        };
        if rest == "json" {
            entries.push(version);
        } else if rest.starts_with("checkpoint.") && rest.ends_with("parquet") {
            checkpoints.entry(version).or_default().push(location);
        }
    }
    checkpoints.retain(|_, parts| is_complete(parts));
    entries.sort_unstable();
    // An entry that a cleaned-up log no longer connects to the newest one is of no use.
    let newest_checkpoint = checkpoints.last_key_value().map(|(&version, _)| version);
    entries.retain(|&version| newest_checkpoint.is_none_or(|checkpoint| version >= checkpoint));
    if let (true, Some(checkpoint)) = (entries.is_empty(), newest_checkpoint) {
        entries.push(checkpoint);
    }
    Ok(LogListing { checkpoints, entries })
}

/// A checkpoint in several files names their number: `….checkpoint.0000000001.0000000003.parquet`.
fn is_complete(parts: &[Path]) -> bool {
    let expected = parts.first().and_then(Path::filename).and_then(|name| {
        let fields: Vec<&str> = name.split('.').collect();
        if fields.len() == 5 {
            fields[3].parse().ok()
        } else {
            Some(1)
        }
    });
    expected == Some(parts.len())
}

async fn entry_bytes(log_store: &dyn LogStore, version: u64) -> Result<Bytes, LakeError> {
    log_store
        .read_commit_entry(version)
        .await
        .map_err(|error| LakeError::from_delta(format!("read log entry {version}"), &error))?
        .ok_or_else(|| LakeError::Damaged {
            what: "the log".to_owned(),
            reason: format!("entry {version} is missing between others"),
        })
}

async fn get(log_store: &dyn LogStore, path: &Path) -> Result<Bytes, LakeError> {
    let failed = |error| LakeError::from_store(format!("read {path}"), &error);
    log_store
        .object_store(None)
        .get(path)
        .await
        .map_err(failed)?
        .bytes()
        .await
        .map_err(failed)
}

/// A checkpoint holds the same actions as entries do, one a row; as JSON lines they are read by the same code.
fn checkpoint_lines(path: &Path, bytes: Bytes) -> Result<Bytes, LakeError> {
    let damaged = |reason: String| LakeError::Damaged {
        what: format!("the checkpoint {path}"),
        reason,
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|builder| {
            let wanted = ["txn", "add", "metaData", "protocol"];
            let roots = builder.parquet_schema().root_schema().get_fields();
            let indices: Vec<usize> = (0..roots.len())
                .filter(|&index| wanted.contains(&roots[index].name()))
                .collect();
            let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), indices);
            builder.with_projection(mask).build()
        })
        .map_err(|error| damaged(error.to_string()))?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in reader {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        writer.write(&batch).map_err(|error| damaged(error.to_string()))?;
    }
    writer.finish().map_err(|error| damaged(error.to_string()))?;
    Ok(writer.into_inner().into())
}
