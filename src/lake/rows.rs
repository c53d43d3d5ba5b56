//! Rows as Parquet: the columns every reader sees, and one that only this program reads.
//!
//! A row's sum is rounded; what is left of the exact one (see [`ExactSum::parts`]) goes into the physical column
//! [`RESIDUAL_COLUMN`], which the table's schema does not name, so that Delta readers never show it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::{Map, Value, json};

use super::log::stats_time;
use super::{Definition, LakeError};
use crate::window::{ExactSum, Row, Totals};

/// The physical column of residuals: doubles in little-endian order, null where the rounded sum is exact.
pub const RESIDUAL_COLUMN: &str = "__streamgauge_residual";

/// The rows as a Parquet file.
pub fn encode(definition: &Definition, rows: &[Row]) -> Result<Bytes, LakeError> {
    let batch = to_batch(definition, rows).map_err(damaged)?;
    // Delta's own statistics say where rows are; a second set in every page would only make small files large.
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(damaged)?;
    writer.write(&batch).map_err(damaged)?;
    writer.close().map_err(damaged)?;
    Ok(bytes.into())
}

fn damaged(error: impl std::fmt::Display) -> LakeError {
    LakeError::Damaged {
        what: "a new data file".to_owned(),
        reason: error.to_string(),
    }
}

fn to_batch(definition: &Definition, rows: &[Row]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let windows = definition.layout.windows;
    let times = |of: &dyn Fn(&Row) -> i64| -> ArrayRef {
        let micros = rows.iter().map(|row| of(row) * 1000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
    };
    let numbers = |of: &dyn Fn(&Totals) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|row| of(&row.totals)),
        ))
    };
    let keys: StringArray = rows
        .iter()
        .map(|row| definition.is_keyed.then_some(&*row.key))
        .collect();
    let counts = Int64Array::from_iter_values(rows.iter().map(|row| row.totals.count as i64));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        times(&|row| row.start_ms),
        times(&|row| windows.end_of(row.start_ms)),
        numbers(&Totals::average),
        numbers(&|totals| totals.minimum),
        numbers(&|totals| totals.maximum),
        numbers(&|totals| totals.sum.rounded()),
        Arc::new(counts),
        Arc::new(residuals(rows)),
    ];
    let mut fields = definition.arrow_schema().fields().to_vec();
    fields.push(Arc::new(Field::new(RESIDUAL_COLUMN, DataType::Binary, true)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn residuals(rows: &[Row]) -> BinaryArray {
    let mut builder = BinaryBuilder::with_capacity(rows.len(), rows.len() * 8);
    for row in rows {
        let (_, residual) = row.totals.sum.parts();
        if residual.is_empty() {
            builder.append_null();
        } else {
            let bytes: Vec<u8> = residual.iter().flat_map(|part| part.to_le_bytes()).collect();
            builder.append_value(bytes);
        }
    }
    builder.finish()
}

/// The rows of a Parquet file, and whether it lacks the residuals (another program rewrote it).
pub fn decode(definition: &Definition, path: &str, bytes: Bytes) -> Result<(Vec<Row>, bool), LakeError> {
    let damaged = |reason: String| LakeError::Damaged {
        what: format!("the data file {path}"),
        reason,
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|builder| builder.with_batch_size(65_536).build())
        .map_err(|error| damaged(error.to_string()))?;
    let mut rows = Vec::new();
    let mut lacks_residuals = false;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        lacks_residuals |= batch.column_by_name(RESIDUAL_COLUMN).is_none();
        from_batch(definition, &batch, &mut rows).map_err(|column| {
            damaged(format!(
                "the column {column} is missing, of another type, or null where it must not be"
            ))
        })?;
    }
    Ok((rows, lacks_residuals))
}

/// Appends a batch's rows; the error is the name of the column that does not fit.
fn from_batch<'d>(
    definition: &'d Definition,
    batch: &RecordBatch,
    rows: &mut Vec<Row>,
) -> Result<(), &'d str> {
    let names = &definition.columns;
    let column = |name: &'d str| batch.column_by_name(name).ok_or(name);
    let full = |name: &'d str| {
        column(name).and_then(|array| {
            if array.null_count() == 0 {
                Ok(array)
            } else {
                Err(name)
            }
        })
    };
    let numbers = |name: &'d str| full(name)?.as_primitive_opt::<Float64Type>().ok_or(name);
    let keys = column(&names.key)?
        .as_string_opt::<i32>()
        .ok_or(names.key.as_str())?;
    let starts = full(&names.start)?
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or(names.start.as_str())?;
    let (minima, maxima, sums) = (
        numbers(&names.minimum)?,
        numbers(&names.maximum)?,
        numbers(&names.sum)?,
    );
    let counts = full(&names.count)?
        .as_primitive_opt::<Int64Type>()
        .ok_or(names.count.as_str())?;
    let residuals = batch
        .column_by_name(RESIDUAL_COLUMN)
        .and_then(|array| array.as_binary_opt::<i32>());
    let mut last_key: Arc<str> = "".into();
    rows.reserve(batch.num_rows());
    for index in 0..batch.num_rows() {
        let key = if keys.is_null(index) {
            ""
        } else {
            keys.value(index)
        };
        if *last_key != *key {
            last_key = key.into();
        }
        let residual = residuals
            .filter(|array| array.is_valid(index))
            .map_or(&[][..], |array| array.value(index));
        let (parts, _) = residual.as_chunks::<8>();
        let parts: Vec<f64> = parts.iter().map(|part| f64::from_le_bytes(*part)).collect();
        rows.push(Row {
            start_ms: starts.value(index).div_euclid(1000),
            key: Arc::clone(&last_key),
            totals: Totals {
                count: counts.value(index) as u64,
                minimum: minima.value(index),
                maximum: maxima.value(index),
                sum: ExactSum::from_parts(sums.value(index), &parts),
            },
        });
    }
    Ok(())
}

/// The file's statistics, as the log carries them so that readers skip files.
pub fn stats(definition: &Definition, rows: &[Row]) -> String {
    let names = &definition.columns;
    let windows = definition.layout.windows;
    let bounds = |largest: bool| {
        let mut values = Map::new();
        let pick = |best: Option<f64>, value: f64| match best {
            Some(best) => Some(if largest { best.max(value) } else { best.min(value) }),
            None => Some(value),
        };
        let number = |of: &dyn Fn(&Totals) -> f64| rows.iter().map(|row| of(&row.totals)).fold(None, pick);
        let edge = if largest { rows.last() } else { rows.first() };
        if let Some(row) = edge {
            values.insert(names.start.clone(), json!(stats_time(row.start_ms)));
            values.insert(names.end.clone(), json!(stats_time(windows.end_of(row.start_ms))));
        }
        if definition.is_keyed {
            let keys = rows.iter().map(|row| &*row.key);
            insert_key(
                &mut values,
                &names.key,
                if largest { keys.max() } else { keys.min() },
            );
        }
        values.insert(names.average.clone(), json!(number(&Totals::average)));
        values.insert(names.minimum.clone(), json!(number(&|totals| totals.minimum)));
        values.insert(names.maximum.clone(), json!(number(&|totals| totals.maximum)));
        values.insert(names.sum.clone(), json!(number(&|totals| totals.sum.rounded())));
        let counts = rows.iter().map(|row| row.totals.count);
        values.insert(
            names.count.clone(),
            json!(if largest { counts.max() } else { counts.min() }),
        );
        Value::Object(values)
    };
    let nulls = if definition.is_keyed { 0 } else { rows.len() };
    json!({
        "numRecords": rows.len(),
        "minValues": bounds(false),
        "maxValues": bounds(true),
        "nullCount": {
            &names.key: nulls, &names.start: 0, &names.end: 0, &names.average: 0, &names.minimum: 0,
            &names.maximum: 0, &names.sum: 0, &names.count: 0,
        },
    })
    .to_string()
}

/// Long keys are left out: statistics are there to be small.
fn insert_key(values: &mut Map<String, Value>, name: &str, key: Option<&str>) {
    if let Some(key) = key.filter(|key| key.len() <= 32) {
        values.insert(name.to_owned(), json!(key));
    }
}
