//! Log entries: actions as the Delta protocol writes them in JSON, to and from what the commit protocol needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Definition, LakeError};
use crate::decode::Counts;
use crate::reading::Position;
use crate::table::{DataFile, Entry};

/// One line of a log entry, or one row of a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActionLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_info: Option<CommitInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_data: Option<MetadataAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<TxnAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<RemoveAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<AddAction>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitInfo {
    #[serde(default)]
    pub timestamp: Option<i64>,
    #[serde(default)]
    pub operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_metrics: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_info: Option<String>,
    /// The writer's own id of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolAction {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataAction {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub format: Value,
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

impl MetadataAction {
    /// The columns as (name, type); a nested type is given as its JSON.
    pub fn columns(&self) -> Result<Vec<(String, String)>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Column {
            name: String,
            #[serde(rename = "type")]
            data_type: Value,
        }
        #[derive(Deserialize)]
        struct Columns {
            fields: Vec<Column>,
        }
        let schema: Columns = serde_json::from_str(&self.schema_string)?;
        let text = |data_type: Value| {
            data_type
                .as_str()
                .map_or_else(|| data_type.to_string(), str::to_owned)
        };
        Ok(schema
            .fields
            .into_iter()
            .map(|column| (column.name, text(column.data_type)))
            .collect())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TxnAction {
    pub app_id: String,
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveAction {
    pub path: String,
    #[serde(default)]
    pub deletion_timestamp: Option<i64>,
    #[serde(default)]
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddAction {
    pub path: String,
    #[serde(default)]
    pub partition_values: BTreeMap<String, Option<String>>,
    pub size: i64,
    pub modification_time: i64,
    #[serde(default)]
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
}

/// The program's name and version in the log.
pub const ENGINE: &str = concat!("streamgauge/", env!("CARGO_PKG_VERSION"));

/// Log entries of one table and pipeline.
#[derive(Debug)]
pub struct EntryFormat<'a> {
    pub definition: &'a Definition,
}

impl EntryFormat<'_> {
    /// The entry that makes the table.
    pub fn creation(&self, id: &str, now_ms: i64) -> Result<Vec<u8>, LakeError> {
        let (protocol, meta_data) = self.definition.creation(id, now_ms);
        lines([
            ActionLine {
                commit_info: Some(commit_info("CREATE TABLE", id, now_ms, None)),
                ..ActionLine::default()
            },
            ActionLine {
                protocol: Some(protocol),
                ..ActionLine::default()
            },
            ActionLine {
                meta_data: Some(meta_data),
                ..ActionLine::default()
            },
        ])
    }

    /// A commit's entry. `stats_of` gives the file statistics of an added file by its path.
    pub fn write(
        &self,
        entry: &Entry,
        now_ms: i64,
        stats_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<u8>, LakeError> {
        let id = entry.id.as_deref().unwrap_or_default();
        let operation = if entry.changes_rows {
            "STREAMING UPDATE"
        } else {
            "OPTIMIZE"
        };
        let info = commit_info(operation, id, now_ms, Some(metrics(entry)));
        let info = ActionLine {
            commit_info: Some(info),
            ..ActionLine::default()
        };
        let txns = entry
            .positions
            .iter()
            .flat_map(|&(partition, position)| self.txns(partition, position, now_ms));
        let removes = entry.removed.iter().map(|path| RemoveAction {
            path: path.to_string(),
            deletion_timestamp: Some(now_ms),
            data_change: entry.changes_rows,
            size: None,
        });
        let adds = entry.added.iter().map(|file| AddAction {
            path: file.path.to_string(),
            partition_values: BTreeMap::new(),
            size: file.size_bytes as i64,
            modification_time: now_ms,
            data_change: entry.changes_rows,
            stats: stats_of(&file.path),
        });
        lines(
            std::iter::once(info)
                .chain(txns.map(|txn| ActionLine {
                    txn: Some(txn),
                    ..ActionLine::default()
                }))
                .chain(removes.map(|remove| ActionLine {
                    remove: Some(remove),
                    ..ActionLine::default()
                }))
                .chain(adds.map(|add| ActionLine {
                    add: Some(add),
                    ..ActionLine::default()
                })),
        )
    }

    fn txns(&self, partition: i32, position: Position, now_ms: i64) -> impl Iterator<Item = TxnAction> {
        let txn = move |name: &str, version: i64| TxnAction {
            app_id: format!(
                "{}/{}/{partition}/{name}",
                self.definition.pipeline, self.definition.topic
            ),
            version,
            last_updated: Some(now_ms),
        };
        let offset = txn(OFFSET, position.next_offset);
        let event_time = position.largest_event_time_ms.map(|time| txn(EVENT_TIME, time));
        std::iter::once(offset).chain(event_time)
    }

    /// What an entry's lines say to the commit protocol.
    pub fn read(&self, version: u64, bytes: &[u8]) -> Result<Entry, LakeError> {
        let mut entry = Entry::default();
        for action in actions(version, bytes) {
            self.take_in(action?, &mut entry);
        }
        Ok(entry)
    }

    /// Adds one action to an entry.
    pub fn take_in(&self, action: ActionLine, entry: &mut Entry) {
        let mut unfit =
            |check: Result<(), String>| entry.incompatible = check.err().or(entry.incompatible.take());
        if let Some(protocol) = &action.protocol {
            unfit(self.definition.check_protocol(protocol));
        }
        if let Some(metadata) = &action.meta_data {
            unfit(self.definition.check_metadata(metadata));
        }
        if let Some(info) = action.commit_info {
            entry.id = info.txn_id;
        }
        if let Some(remove) = action.remove {
            entry.changes_rows |= remove.data_change;
            entry.removed.push(remove.path.into());
        }
        if let Some(add) = action.add {
            entry.changes_rows |= add.data_change;
            entry.added.push(self.data_file(&add));
        }
        if let Some(txn) = action.txn {
            self.take_in_txn(&txn, &mut entry.positions);
        }
    }

    fn take_in_txn(&self, txn: &TxnAction, positions: &mut Vec<(i32, Position)>) {
        let Some((partition, name)) = self.partition_of(&txn.app_id) else {
            return;
        };
        let index = positions
            .iter()
            .position(|(known, _)| *known == partition)
            .unwrap_or_else(|| {
                positions.push((partition, Position::default()));
                positions.len() - 1
            });
        match name {
            OFFSET => positions[index].1.next_offset = txn.version,
            EVENT_TIME => positions[index].1.largest_event_time_ms = Some(txn.version),
            _ => {}
        }
    }

    /// `<pipeline>/<topic>/<partition>/<name>` of our own pipeline and topic.
    fn partition_of<'t>(&self, app_id: &'t str) -> Option<(i32, &'t str)> {
        let rest = app_id
            .strip_prefix(&self.definition.pipeline)?
            .strip_prefix('/')?;
        let (partition, name) = rest
            .strip_prefix(&self.definition.topic)?
            .strip_prefix('/')?
            .split_once('/')?;
        Some((partition.parse().ok()?, name))
    }

    fn data_file(&self, add: &AddAction) -> DataFile {
        let stats: Stats = add
            .stats
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let start = |values: &BTreeMap<String, Value>| {
            let text = values.get(&self.definition.columns.start)?.as_str()?;
            Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis())
        };
        DataFile {
            path: add.path.as_str().into(),
            size_bytes: add.size.max(0) as u64,
            rows: stats.num_records.unwrap_or(0),
            // A file without statistics may hold anything, so it is looked into.
            first_start_ms: start(&stats.min_values).unwrap_or(i64::MIN),
            last_start_ms: start(&stats.max_values).unwrap_or(i64::MAX),
            bucket: bucket_of(&add.path),
        }
    }
}

/// The actions of a log entry, a line each.
pub fn actions(version: u64, bytes: &[u8]) -> impl Iterator<Item = Result<ActionLine, LakeError>> {
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    lines.map(move |line| {
        serde_json::from_slice(line).map_err(|error| LakeError::Damaged {
            what: format!("the log at version {version}"),
            reason: error.to_string(),
        })
    })
}

/// What an entry says about itself.
pub fn commit_info_of(version: u64, bytes: &[u8]) -> Result<CommitInfo, LakeError> {
    let mut info = CommitInfo::default();
    for action in actions(version, bytes) {
        info = action?.commit_info.unwrap_or(info);
    }
    Ok(info)
}

const OFFSET: &str = "offset";
const EVENT_TIME: &str = "event_time";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<u64>,
    min_values: BTreeMap<String, Value>,
    max_values: BTreeMap<String, Value>,
}

/// The path of a new data file. It names the bucket, since paths survive what drops a file's tags.
pub fn data_path(id: &str, number: usize, bucket: u32) -> Arc<str> {
    format!("{id}-{number:03}{BUCKET_MARK}{bucket:05}{EXTENSION}").into()
}

fn bucket_of(path: &str) -> Option<u32> {
    let (_, bucket) = path.strip_suffix(EXTENSION)?.rsplit_once(BUCKET_MARK)?;
    // Exactly as written above: other programs' names hold "-b" and digits by chance.
    bucket
        .parse()
        .ok()
        .filter(|number: &u32| format!("{number:05}") == bucket)
}

const BUCKET_MARK: &str = "-b";
const EXTENSION: &str = ".snappy.parquet";

/// A time as Delta's statistics write it.
pub fn stats_time(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
        .unwrap_or_default()
}

fn commit_info(operation: &str, id: &str, now_ms: i64, metrics: Option<Value>) -> CommitInfo {
    CommitInfo {
        timestamp: Some(now_ms),
        operation: Some(operation.to_owned()),
        operation_parameters: Some(json!({})),
        operation_metrics: metrics,
        engine_info: Some(ENGINE.to_owned()),
        txn_id: Some(id.to_owned()),
    }
}

/// The counts of invariant I1 and of files, as text because Delta's metrics are.
fn metrics(entry: &Entry) -> Value {
    let Counts {
        consumed, aggregated, ..
    } = entry.counts;
    let rows: u64 = entry.added.iter().map(|file| file.rows).sum();
    json!({
        "numRecordsConsumed": consumed.to_string(),
        "numRecordsAggregated": aggregated.to_string(),
        "numRecordsLate": entry.counts.late().to_string(),
        "numRecordsDeadLettered": entry.counts.dead().to_string(),
        "numAddedFiles": entry.added.len().to_string(),
        "numRemovedFiles": entry.removed.len().to_string(),
        "numOutputRows": rows.to_string(),
    })
}

fn lines(actions: impl IntoIterator<Item = ActionLine>) -> Result<Vec<u8>, LakeError> {
    let mut bytes = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut bytes, &action).map_err(|error| LakeError::Damaged {
            what: "a new log entry".to_owned(),
            reason: error.to_string(),
        })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
