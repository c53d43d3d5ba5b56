//! The actions of the Delta protocol that this program reads or writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LakeError;

/// One line of a log entry, or one row of a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ActionLine {
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
pub(crate) struct CommitInfo {
    #[serde(default)]
    pub(crate) timestamp: Option<i64>,
    #[serde(default)]
    pub(crate) operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operation_parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operation_metrics: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) engine_info: Option<String>,
    /// The writer's id of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) txn_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProtocolAction {
    pub(crate) min_reader_version: i32,
    pub(crate) min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) writer_features: Option<Vec<String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetadataAction {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) format: Value,
    pub(crate) schema_string: String,
    #[serde(default)]
    pub(crate) partition_columns: Vec<String>,
    #[serde(default)]
    pub(crate) configuration: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_time: Option<i64>,
}

impl MetadataAction {
    /// The columns as (name, type); a nested type as JSON.
    pub(crate) fn columns(&self) -> Result<Vec<(String, String)>, serde_json::Error> {
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

impl MetadataAction {
    /// The properties of columns, as (column, property).
    pub(crate) fn column_properties(&self) -> Result<Vec<(String, String)>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Column {
            name: String,
            #[serde(default)]
            metadata: BTreeMap<String, Value>,
        }
        #[derive(Deserialize)]
        struct Columns {
            fields: Vec<Column>,
        }
        let schema: Columns = serde_json::from_str(&self.schema_string)?;
        let properties = schema.fields.into_iter().flat_map(|column| {
            let name = column.name;
            column
                .metadata
                .into_keys()
                .map(move |property| (name.clone(), property))
        });
        Ok(properties.collect())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TxnAction {
    pub app_id: String,
    pub version: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemoveAction {
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
pub(super) struct AddAction {
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

/// The actions of a log entry, one per line.
///
/// No writer writes an empty entry: an empty file is the remainder of one after a power cut.
pub(super) fn actions(version: u64, bytes: &[u8]) -> impl Iterator<Item = Result<ActionLine, LakeError>> {
    let damaged = move |reason: String| LakeError::Damaged {
        what: format!("the log at version {version}"),
        reason,
    };
    let is_empty = bytes.trim_ascii().is_empty();
    let empty = is_empty.then(|| Err(damaged("its entry is empty".to_owned())));
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let actions =
        lines.map(move |line| serde_json::from_slice(line).map_err(|error| damaged(error.to_string())));
    empty.into_iter().chain(actions)
}

/// The commit information of an entry.
pub(super) fn commit_info_of(version: u64, bytes: &[u8]) -> Result<CommitInfo, LakeError> {
    let mut info = CommitInfo::default();
    for action in actions(version, bytes) {
        info = action?.commit_info.unwrap_or(info);
    }
    Ok(info)
}
