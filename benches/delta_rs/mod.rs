//! The same table kept by delta-rs: its MERGE and its `CommitBuilder`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::prelude::{Expr, SessionContext, col};
use deltalake::DeltaTable;
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::checkpoints::create_checkpoint;
use deltalake::protocol::{DeltaOperation, OutputMode};
use streamgauge::clock;
use streamgauge::lake::{Definition, table_url};

use super::fixture::{HOUR_MS, config, start_ms};

/// A table as delta-rs has it in memory.
pub struct Peer {
    table: Option<DeltaTable>,
    session: SessionContext,
    columns: Vec<String>,
    next_offset: i64,
}

/// Hourly windows in one file of a day.
const WINDOWS: i64 = 24;

impl Peer {
    /// A table that lies there, with a checkpoint of its log.
    pub async fn open(folder: &Path) -> Result<Self> {
        let url = table_url(folder.to_str().context("the folder's name is not UTF-8")?)?;
        let table = deltalake::open_table(url).await?;
        create_checkpoint(&table, None).await?;
        Ok(Peer {
            table: Some(table),
            session: SessionContext::new(),
            columns: Vec::new(),
            next_offset: 0,
        })
    }

    /// A new table of `files` files, each with 24 windows of all keys, appended by delta-rs.
    pub async fn create(folder: &Path, files: usize, keys: &[Arc<str>]) -> Result<Self> {
        let schema = Definition::new(&config(folder, &[])?.pipeline.table_spec()).arrow_schema();
        let url = table_url(folder.to_str().context("the folder's name is not UTF-8")?)?;
        // The first write makes the table.
        let mut table = DeltaTable::try_from_url(url).await?;
        for file in 0..files as i64 {
            let day = rows(&schema, file * WINDOWS..(file + 1) * WINDOWS, keys)?;
            table = table.write([day]).await?;
        }
        Ok(Peer {
            table: Some(table),
            session: SessionContext::new(),
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            next_offset: 0,
        })
    }

    /// Upserts one row of each key in the last window, and says how long that took.
    pub async fn merge(&mut self, files: usize, keys: &[Arc<str>]) -> Result<Duration> {
        let table = self.table.take().context("an earlier MERGE failed")?;
        let last = files as i64 * WINDOWS - 1;
        let schema = Definition::new(&config(Path::new("unused"), &[])?.pipeline.table_spec()).arrow_schema();
        let batch = rows(&schema, last..last + 1, keys)?;
        let started = clock::instant();
        let source = self.session.read_batch(batch)?;
        let same_row = equal("start").and(equal("key"));
        let (table, metrics) = table
            .merge(source, same_row)
            .with_source_alias("source")
            .with_target_alias("target")
            .when_matched_update(|update| {
                self.columns.iter().fold(update, |update, name| {
                    update.update(name.as_str(), source_column(name))
                })
            })?
            .when_not_matched_insert(|insert| {
                self.columns.iter().fold(insert, |insert, name| {
                    insert.set(name.as_str(), source_column(name))
                })
            })?
            .await?;
        let took = clock::instant() - started;
        assert_eq!(metrics.num_target_rows_updated, keys.len());
        self.table = Some(table);
        Ok(took)
    }

    /// Commits a position and nothing else, and says how long that took.
    pub async fn commit_positions(&mut self) -> Result<Duration> {
        let mut table = self.table.take().context("an earlier commit failed")?;
        self.next_offset += 1;
        let position = Action::Txn(Transaction::new("peer/topic/0/offset", self.next_offset));
        let operation = DeltaOperation::StreamingUpdate {
            output_mode: OutputMode::Update,
            query_id: "peer".to_owned(),
            epoch_id: self.next_offset,
        };
        let started = clock::instant();
        let committed = CommitBuilder::default()
            .with_actions(vec![position])
            .build(Some(table.snapshot()?), table.log_store(), operation)
            .await?;
        table.state = Some(committed.snapshot());
        let took = clock::instant() - started;
        self.table = Some(table);
        Ok(took)
    }
}

fn source_column(name: &str) -> Expr {
    col(format!("source.{name}"))
}

fn equal(name: &str) -> Expr {
    col(format!("target.{name}")).eq(source_column(name))
}

/// A row of each key in each of these windows, sorted by window and key.
fn rows(
    schema: &arrow::datatypes::SchemaRef,
    windows: std::ops::Range<i64>,
    keys: &[Arc<str>],
) -> Result<RecordBatch> {
    let count = keys.len() * (windows.end - windows.start) as usize;
    let starts = || {
        windows
            .clone()
            .flat_map(|window| std::iter::repeat_n(start_ms(window), keys.len()))
    };
    let times = |add_ms: i64| -> ArrayRef {
        let micros = starts().map(|start_ms| (start_ms + add_ms) * 1000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
    };
    let names: Vec<&str> = windows
        .clone()
        .flat_map(|_| keys.iter().map(|key| &**key))
        .collect();
    let numbers = || -> ArrayRef {
        let values = (0..count).map(|number| 820.8 + (number % keys.len()) as f64 / 10.0);
        Arc::new(Float64Array::from_iter_values(values))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(names)),
        times(0),
        times(HOUR_MS),
        numbers(),
        numbers(),
        numbers(),
        numbers(),
        Arc::new(Int64Array::from_value(1, count)),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
