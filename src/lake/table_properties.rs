//! Finds table properties that demand of writers what this program does not do.

use super::actions::MetadataAction;

/// The properties with unmet demands, each as a sentence that names the remedy.
pub(super) fn unfit(metadata: &MetadataAction) -> Vec<String> {
    let set = metadata
        .configuration
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
    let mut found: Vec<String> = set
        .filter_map(|(name, value)| reason(name, value).map(|reason| sentence(name, value, reason)))
        .collect();
    found.extend(unfit_columns(metadata));
    found
}

fn sentence(name: &str, value: &str, reason: &str) -> String {
    format!("its property {name} is {value:?}, and {reason}: ALTER TABLE … UNSET TBLPROPERTIES ('{name}')")
}

/// The reason why this program cannot write under a property's value. Properties that only tune other writers' files
/// are allowed.
fn reason(name: &str, value: &str) -> Option<&'static str> {
    let name = name.strip_prefix("delta.")?;
    let is_true = value.trim().eq_ignore_ascii_case("true");
    let is = |other: &str| value.trim().eq_ignore_ascii_case(other);
    match name {
        "appendOnly" if is_true => Some("totals are corrected by replacing rows"),
        "setTransactionRetentionDuration" => Some(
            "positions in the topic, which are such transactions, would be forgotten and records counted twice",
        ),
        "checkpoint.writeStatsAsJson" if is("false") => {
            Some("without these statistics every commit would have to read every file")
        }
        "checkpointPolicy" if !is("classic") => Some("checkpoints of that kind are not read here"),
        "columnMapping.mode" if !is("none") => Some("columns are written by their names"),
        "enableExpiredLogCleanup" => None,
        // Change data, deletion vectors, row tracking, type widening, in-commit timestamps, compatibility with
        // Iceberg.
        _ if name.starts_with("enable") && is_true => Some("what it asks of writers is not done here"),
        _ if name.starts_with("constraints.") => Some("it would not be checked here"),
        _ if name.starts_with("feature.") || name.starts_with("universalFormat.") => {
            Some("what it asks of writers is not done here")
        }
        _ => None,
    }
}

/// Column properties: invariants, generated, identity and mapped columns.
fn unfit_columns(metadata: &MetadataAction) -> Vec<String> {
    // The comparison of columns reports an unreadable schema.
    let columns = metadata.column_properties().unwrap_or_default();
    let unfit = columns
        .into_iter()
        .filter(|(_, property)| property.starts_with("delta."));
    unfit
        .map(|(column, property)| {
            format!(
                "its column {column} has {property}, and what that asks of writers is not done here: drop it with the program \
                 that set it"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(properties: &[(&str, &str)], column_metadata: serde_json::Value) -> MetadataAction {
        let column = json!({"name": "count", "type": "long", "nullable": true, "metadata": column_metadata});
        serde_json::from_value(json!({
            "id": "x",
            "format": {"provider": "parquet"},
            "schemaString": json!({"type": "struct", "fields": [column]}).to_string(),
            "configuration": properties.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        }))
        .unwrap()
    }

    #[test]
    fn what_asks_more_of_a_writer_is_named_with_the_way_back() {
        for (name, value) in [
            ("delta.appendOnly", "true"),
            ("delta.appendOnly", "TRUE"),
            ("delta.setTransactionRetentionDuration", "interval 2 seconds"),
            ("delta.setTransactionRetentionDuration", "interval 1000 weeks"),
            ("delta.enableChangeDataFeed", "true"),
            ("delta.enableDeletionVectors", "true"),
            ("delta.enableRowTracking", "true"),
            ("delta.enableInCommitTimestamps", "true"),
            ("delta.enableTypeWidening", "true"),
            ("delta.constraints.positive", "count > 0"),
            ("delta.columnMapping.mode", "name"),
            ("delta.checkpointPolicy", "v2"),
            ("delta.checkpoint.writeStatsAsJson", "false"),
            ("delta.feature.v2Checkpoint", "supported"),
            ("delta.universalFormat.enabledFormats", "iceberg"),
        ] {
            let found = unfit(&metadata(&[(name, value)], json!({})));
            assert_eq!(found.len(), 1, "{name}");
            assert!(
                found[0].contains(name) && found[0].contains("UNSET TBLPROPERTIES"),
                "{}",
                found[0]
            );
        }
        for property in [
            "delta.invariants",
            "delta.generationExpression",
            "delta.identity.start",
            "delta.columnMapping.id",
        ] {
            let found = unfit(&metadata(&[], json!({ property: 1 })));
            assert!(found.len() == 1 && found[0].contains(property), "{found:?}");
        }
    }

    #[test]
    fn what_only_tunes_other_writers_may_be_set() {
        for (name, value) in [
            ("delta.appendOnly", "false"),
            ("delta.enableChangeDataFeed", "false"),
            ("delta.enableExpiredLogCleanup", "true"),
            ("delta.logRetentionDuration", "interval 30 days"),
            ("delta.deletedFileRetentionDuration", "interval 7 days"),
            ("delta.checkpointInterval", "10"),
            ("delta.checkpointPolicy", "classic"),
            ("delta.columnMapping.mode", "none"),
            ("delta.dataSkippingNumIndexedCols", "32"),
            ("delta.autoOptimize.optimizeWrite", "true"),
            ("delta.randomizeFilePrefixes", "true"),
            ("team", "metering"),
        ] {
            let found = unfit(&metadata(&[(name, value)], json!({"comment": "Readings"})));
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
