//! Small Delta tables in a temporary folder, for the tests of this room.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use deltalake::kernel::{DataType, PrimitiveType};
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::json;
use tempfile::TempDir;

use super::{Rows, Session, open};
use crate::config::{Config, DEFAULT_TOML};
use crate::lake::TableSettings;
use crate::lake::table_url;

/// 2024-03-05T00:00:00Z
const FIRST_HOUR_US: i64 = 1_709_596_800_000_000;
const HOUR_US: i64 = 3_600_000_000;

/// The physical column that is in the files but not in the table's schema.
pub(crate) const RESIDUAL_COLUMN: &str = "__streamgauge_residual";

/// One row: hours since 2024-03-05, key and average. Each has twelve readings; minimum and maximum differ
/// from the average by one.
pub(crate) type Row = (i64, Option<&'static str>, f64);

/// A folder that has a table, or will get one.
pub(crate) struct Lake {
    folder: TempDir,
    pub(crate) config: TableSettings,
}

impl Lake {
    /// A folder without a table.
    pub(crate) fn missing() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Config = toml::from_str(DEFAULT_TOML).unwrap();
        let uri = folder.path().join("usage-table").to_str().unwrap().to_owned();
        Self {
            folder,
            config: TableSettings {
                uri,
                ..settings.pipeline.table
            },
        }
    }

    /// A table without rows, version 0.
    pub(crate) async fn empty() -> Self {
        let lake = Self::missing();
        std::fs::create_dir(&lake.config.uri).unwrap();
        let mut create = lake.table().create();
        for (name, data_type) in [
            ("key", PrimitiveType::String),
            ("start", PrimitiveType::Timestamp),
            ("end", PrimitiveType::Timestamp),
            ("avg_usage", PrimitiveType::Double),
            ("min_usage", PrimitiveType::Double),
            ("max_usage", PrimitiveType::Double),
            ("sum_usage", PrimitiveType::Double),
            ("count", PrimitiveType::Long),
        ] {
            create = create.with_column(name, DataType::Primitive(data_type), true, None);
        }
        create.await.unwrap();
        lake
    }

    /// A table with one file, and one version from 1 on, per slice of rows.
    pub(crate) async fn with(files: &[&[Row]]) -> Self {
        let lake = Self::empty().await;
        for rows in files {
            let mut table = lake.table();
            table.load().await.unwrap();
            table.write([batch(rows)]).await.unwrap();
        }
        lake
    }

    /// Commits a file with the residual column as `version`, like the lake's own writer, without delta-rs'
    /// writer.
    pub(crate) fn append_with_residual(&self, version: u64, rows: &[Row]) {
        let batch = batch(rows);
        let residuals = BinaryArray::from_iter(rows.iter().map(|_| Some(b"residual")));
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            columns.push((field.name().clone(), column.clone()));
        }
        columns.push((RESIDUAL_COLUMN.to_owned(), Arc::new(residuals)));
        let with_residual = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        let with_residual = with_residual.unwrap();

        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, with_residual.schema(), None).unwrap();
        writer.write(&with_residual).unwrap();
        writer.close().unwrap();
        let file_name = format!("residual-{version}.parquet");
        std::fs::write(self.path(&file_name), &bytes).unwrap();

        let starts = || rows.iter().map(|(hour, _, _)| start_us(*hour));
        let stats = json!({
            "numRecords": rows.len(),
            "minValues": {"start": rfc3339(starts().min().unwrap())},
            "maxValues": {"start": rfc3339(starts().max().unwrap())},
            "nullCount": {"start": 0},
        });
        let add = json!({"add": {
            "path": file_name,
            "partitionValues": {},
            "size": bytes.len(),
            "modificationTime": 1_709_596_800_000_i64,
            "dataChange": true,
            "stats": stats.to_string(),
        }});
        std::fs::write(
            self.path(&format!("_delta_log/{version:020}.json")),
            add.to_string(),
        )
        .unwrap();
    }

    /// A path in the table's folder.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("usage-table").join(name)
    }

    /// Opens the newest version.
    pub(crate) async fn session(&self) -> Session {
        open(&self.config, None).await.unwrap()
    }

    fn table(&self) -> DeltaTable {
        DeltaTableBuilder::from_url(table_url(&self.config.uri).unwrap())
            .unwrap()
            .build()
            .unwrap()
    }
}

/// Runs the single statement in `sql`.
pub(crate) async fn rows(session: &Session, sql: &str) -> Rows {
    let mut statements = session.parse(sql).unwrap();
    assert_eq!(statements.len(), 1, "{sql}");
    session.run(statements.remove(0)).await.unwrap()
}

/// The number of rows that the single statement in `sql` gives.
pub(crate) async fn count(session: &Session, sql: &str) -> usize {
    let mut rows = rows(session, sql).await;
    let mut count = 0;
    while let Some(batch) = rows.next_batch().await.unwrap() {
        count += batch.num_rows();
    }
    count
}

fn batch(rows: &[Row]) -> RecordBatch {
    let doubles = |of: fn(f64) -> f64| {
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|(_, _, average)| of(*average)),
        )) as ArrayRef
    };
    let times = |offset_us: i64| {
        let values = rows.iter().map(|(hour, _, _)| start_us(*hour) + offset_us);
        Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC")) as ArrayRef
    };
    let columns = [
        (
            "key",
            Arc::new(StringArray::from_iter(rows.iter().map(|(_, key, _)| *key))) as ArrayRef,
        ),
        ("start", times(0)),
        ("end", times(HOUR_US)),
        ("avg_usage", doubles(|average| average)),
        ("min_usage", doubles(|average| average - 1.0)),
        ("max_usage", doubles(|average| average + 1.0)),
        ("sum_usage", doubles(|average| average * 12.0)),
        (
            "count",
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|_| 12))) as ArrayRef,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn start_us(hour: i64) -> i64 {
    FIRST_HOUR_US + hour * HOUR_US
}

fn rfc3339(time_us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(time_us).unwrap();
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
