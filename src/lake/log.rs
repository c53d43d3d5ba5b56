//! Log entries: converts between Delta's JSON actions and the entries of the commit protocol.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde::Deserialize;
use serde_json::{Value, json};

use super::actions::{ActionLine, AddAction, CommitInfo, RemoveAction, TxnAction, actions};
use super::file_names::{self, bucket_of};
use super::{Definition, LakeError};
use crate::reading::Position;
use crate::table::{Counts, DataFile, Entry, TopicMark};

/// The program's name and version in the log.
pub(super) const ENGINE: &str = concat!("streamgauge/", env!("CARGO_PKG_VERSION"));

/// The log entries of one table and pipeline.
#[derive(Debug)]
pub(super) struct EntryFormat<'a> {
    pub definition: &'a Definition,
}

impl EntryFormat<'_> {
    /// The entry that creates the table.
    pub(super) fn creation(&self, id: &str, now_ms: i64) -> Result<Vec<u8>, LakeError> {
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

    /// The entry of a commit. `stats_of` returns the statistics of an added file by path.
    pub(super) fn write(
        &self,
        entry: &Entry,
        now_ms: i64,
        stats_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<u8>, LakeError> {
        let id = entry.id.as_deref().unwrap_or_default();
        let operation = match entry {
            entry if entry.is_fence => FENCE,
            entry if entry.changes_rows => "STREAMING UPDATE",
            _ => "OPTIMIZE",
        };
        let info = commit_info(operation, id, now_ms, Some(metrics(entry)));
        let info = ActionLine {
            commit_info: Some(info),
            ..ActionLine::default()
        };
        let txns = entry
            .positions
            .iter()
            .flat_map(|&(partition, position)| self.txns(partition, position))
            .chain(entry.topic.iter().map(|mark| self.topic_txn(mark)));
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

    /// A position as two transactions. They omit `lastUpdated`, because a checkpoint may drop transactions
    /// that have one older than `delta.setTransactionRetentionDuration`.
    fn txns(&self, partition: i32, position: Position) -> impl Iterator<Item = TxnAction> {
        let txn = move |name: &str, version: i64| TxnAction {
            app_id: format!(
                "{}/{}/{partition}/{name}",
                self.definition.pipeline, self.definition.topic
            ),
            version,
        };
        let offset = txn(OFFSET, position.next_offset);
        let event_time = position.largest_event_time_ms.map(|time| txn(EVENT_TIME, time));
        std::iter::once(offset).chain(event_time)
    }

    /// The name holds the topic's id, because a transaction has no text field; the highest number counts.
    fn topic_txn(&self, mark: &TopicMark) -> TxnAction {
        let Definition { pipeline, topic, .. } = self.definition;
        TxnAction {
            app_id: format!("{pipeline}/{topic}/{TOPIC_ID}/{}", mark.id),
            version: mark.number,
        }
    }

    /// Parses an entry's lines.
    pub(super) fn read(&self, version: u64, bytes: &[u8]) -> Result<Entry, LakeError> {
        let mut entry = Entry::default();
        for action in actions(version, bytes) {
            self.ingest(action?, &mut entry);
        }
        Ok(entry)
    }

    /// Adds one action to an entry.
    pub(super) fn ingest(&self, action: ActionLine, entry: &mut Entry) {
        let mut unfit =
            |check: Result<(), String>| entry.incompatible = check.err().or(entry.incompatible.take());
        if let Some(protocol) = &action.protocol {
            unfit(self.definition.check_protocol(protocol));
        }
        if let Some(metadata) = &action.meta_data {
            unfit(self.definition.check_metadata(metadata));
        }
        if let Some(info) = action.commit_info {
            // A vacuum announces itself by an entry of this operation before it deletes files that no version names.
            let is = |name: &str| {
                info.operation
                    .as_deref()
                    .is_some_and(|operation| operation.eq_ignore_ascii_case(name))
            };
            entry.is_fence = is(FENCE);
            entry.is_restore = is(RESTORE);
            if entry.is_restore {
                unfit(Err(RESTORED.to_owned()));
            }
            entry.id = info.txn_id;
        }
        if let Some(remove) = action.remove {
            entry.changes_rows |= remove.data_change;
            entry.removed.push(remove.path.into());
        }
        if let Some(add) = action.add {
            entry.changes_rows |= add.data_change;
            unfit(
                file_names::location(&add.path)
                    .map(drop)
                    .map_err(|outside| outside.to_string()),
            );
            entry.added.push(self.data_file(&add));
        }
        if let Some(txn) = action.txn {
            self.apply_txn(&txn, entry);
        }
    }

    fn apply_txn(&self, txn: &TxnAction, entry: &mut Entry) {
        let Some((of, name)) = self.own(&txn.app_id) else {
            return;
        };
        if of == TOPIC_ID {
            let (id, number) = (name.into(), txn.version);
            entry.topic = TopicMark::newer(entry.topic.take(), Some(TopicMark { id, number }));
            return;
        }
        let Ok(partition) = of.parse::<i32>() else {
            return;
        };
        let positions = &mut entry.positions;
        let index = positions
            .iter()
            .position(|(known, _)| *known == partition)
            .unwrap_or_else(|| {
                positions.push((partition, Position::default()));
                positions.len() - 1
            });
        match name {
            OFFSET => positions[index].1.next_offset = txn.version,
            // No writer writes a time beyond these; the nearest would decide the same.
            EVENT_TIME => {
                let (first, last) = EVENT_TIMES_MS;
                positions[index].1.largest_event_time_ms = Some(txn.version.clamp(first, last));
            }
            _ => {}
        }
    }

    /// The rest of an own transaction's name after `<pipeline>/<topic>/`: `<partition>/<name>` or `topic_id/<id>`.
    fn own<'t>(&self, app_id: &'t str) -> Option<(&'t str, &'t str)> {
        let rest = app_id
            .strip_prefix(&self.definition.pipeline)?
            .strip_prefix('/')?;
        rest.strip_prefix(&self.definition.topic)?
            .strip_prefix('/')?
            .split_once('/')
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
        let (first, last) = (start(&stats.min_values), start(&stats.max_values));
        // A file without plausible statistics may hold any row, so commits read it.
        let (first_start_ms, last_start_ms) = match (first, last) {
            (Some(first), Some(last)) if first > last => (i64::MIN, i64::MAX),
            (first, last) => (first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX)),
        };
        DataFile {
            path: add.path.as_str().into(),
            size_bytes: add.size.max(0) as u64,
            rows: stats.num_records.unwrap_or(0),
            first_start_ms,
            last_start_ms,
            bucket: bucket_of(&add.path),
        }
    }
}

/// The operation of the first entry of Delta's vacuum.
const FENCE: &str = "VACUUM START";

/// The operation of an entry that restores an earlier version, in all engines.
const RESTORE: &str = "RESTORE";

/// The fault of a restored table.
pub(super) const RESTORED: &str = "another program has put its rows back to an earlier version (RESTORE), but not the positions in the \
     topic: the readings in between would be missing for ever. RESTORE it to the version before that entry; to go back for \
     good, put the folder back from a copy, or make a new table";

/// From the beginning of 1900 to the end of 9999.
const EVENT_TIMES_MS: (i64, i64) = (-2_208_988_800_000, 253_402_300_799_999);

const OFFSET: &str = "offset";
const EVENT_TIME: &str = "event_time";
const TOPIC_ID: &str = "topic_id";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<u64>,
    min_values: BTreeMap<String, Value>,
    max_values: BTreeMap<String, Value>,
}

/// A time in the format of Delta's statistics.
pub(super) fn stats_time(time_ms: i64) -> String {
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

/// The counts of invariant I1 and of files; Delta's metrics are text.
fn metrics(entry: &Entry) -> Value {
    let Counts {
        consumed,
        accepted,
        skipped,
        readings,
        aggregated,
        ..
    } = entry.counts;
    let rows: u64 = entry.added.iter().map(|file| file.rows).sum();
    let mut metrics = json!({
        "numRecordsConsumed": consumed.to_string(),
        "numRecordsAggregated": aggregated.to_string(),
        "numRecordsLate": entry.counts.late().to_string(),
        "numRecordsDeadLettered": entry.counts.dead().to_string(),
        "numAddedFiles": entry.added.len().to_string(),
        "numRemovedFiles": entry.removed.len().to_string(),
        "numOutputRows": rows.to_string(),
    });
    // Where a record holds several, aggregated and late are counts of readings.
    if readings != accepted {
        metrics["numReadings"] = json!(readings.to_string());
    }
    if skipped > 0 {
        metrics["numRecordsSkipped"] = json!(skipped.to_string());
    }
    metrics
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
