//! Encodes rows as Parquet: the columns for every reader, and one for this program only.
//!
//! A row's sum is rounded. The residual of the exact sum (see [`ExactSum::parts`]) goes into the physical
//! column [`RESIDUAL_COLUMN`], which the table's schema omits, so that Delta readers never show it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::{Map, Value, json};

use super::cast::{self, Piece, RowColumns};
use super::columns::Cell;
use super::log::stats_time;
use super::{Definition, LakeError};
use crate::decode::ValueKind;
use crate::reading::SeriesKey;
use crate::window::{ExactSum, Row, Totals};

/// The physical column of residuals: doubles in little-endian order, null where the rounded sum is exact.
pub const RESIDUAL_COLUMN: &str = "__streamgauge_residual";

/// Encodes rows as a Parquet file.
///
/// # Errors
/// [`LakeError::Internal`] for a row that has a measure where the table has no column for it: readers would see two rows
/// of one key and window.
pub(super) fn encode(definition: &Definition, rows: &[Row]) -> Result<Bytes, LakeError> {
    let mut measures = rows.iter().filter_map(|row| row.series.measure.as_deref());
    if let (None, Some(measure)) = (&definition.columns.measure, measures.next()) {
        return Err(internal(format!(
            "a row has the measure {measure:?}, and the table has no column for measures (table.measure_column)"
        )));
    }
    let batch = to_batch(definition, rows).map_err(internal)?;
    // Delta's statistics suffice for skipping; page statistics would only enlarge small files.
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(internal)?;
    writer.write(&batch).map_err(internal)?;
    writer.close().map_err(internal)?;
    Ok(bytes.into())
}

fn internal(error: impl std::fmt::Display) -> LakeError {
    LakeError::Internal(format!("a new data file cannot be encoded: {error}"))
}

fn to_batch(definition: &Definition, rows: &[Row]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let windows = definition.layout.windows;
    let times = |of: &dyn Fn(&Row) -> i64| -> ArrayRef {
        let micros = rows.iter().map(|row| of(row) * 1000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
    };
    let numbers = |of: Cell| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|row| of(&row.totals)),
        ))
    };
    let keys: StringArray = rows
        .iter()
        .map(|row| definition.is_keyed.then_some(&*row.series.key))
        .collect();
    let counts = Int64Array::from_iter_values(rows.iter().map(|row| row.totals.count as i64));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(keys)];
    if definition.columns.measure.is_some() {
        let measures = rows.iter().map(|row| row.series.measure.as_deref());
        columns.push(Arc::new(measures.collect::<StringArray>()));
    }
    columns.extend([
        times(&|row| row.start_ms),
        times(&|row| windows.end_of(row.start_ms)),
    ]);
    let values = definition.columns.values.cells().into_iter();
    columns.extend(values.map(|(_, cell)| numbers(cell)));
    columns.extend([
        Arc::new(counts) as ArrayRef,
        Arc::new(residuals(rows)) as ArrayRef,
    ]);
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

/// The rows of a Parquet file of any writer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DecodedRows {
    pub rows: Vec<Row>,
    /// Whether residuals are lost: another program rewrote the rows and dropped or ignored them.
    pub lacks_residuals: bool,
}

/// Reads a data file's rows. Totals are taken as they are.
///
/// # Errors
/// [`LakeError::Damaged`] if it is not Parquet, [`LakeError::Unfit`] if it holds an impossible row.
pub(super) fn decode(definition: &Definition, path: &str, bytes: Bytes) -> Result<DecodedRows, LakeError> {
    let mut decoded = DecodedRows {
        rows: Vec::new(),
        lacks_residuals: false,
    };
    for batch in cast::open(&definition.columns, path, bytes)? {
        let batch = batch.map_err(|error| LakeError::Damaged {
            what: format!("the data file {path}"),
            reason: error.to_string(),
        })?;
        let piece = Piece {
            batch: &batch,
            path,
            rows_before: decoded.rows.len(),
        };
        ingest(definition, &piece, &mut decoded)?;
    }
    Ok(decoded)
}

fn ingest(definition: &Definition, piece: &Piece<'_>, decoded: &mut DecodedRows) -> Result<(), LakeError> {
    let columns = piece.columns(&definition.columns)?;
    decoded.lacks_residuals |= columns.residuals.is_none();
    let mut last_key: Arc<str> = "".into();
    let mut last_measure: Option<Arc<str>> = None;
    decoded.rows.reserve(columns.keys.len());
    for index in 0..columns.keys.len() {
        check(definition, piece, &columns, index)?;
        let key = match columns.keys.is_valid(index) {
            true => columns.keys.value(index),
            false => "",
        };
        if *last_key != *key {
            last_key = key.into();
        }
        let measure = columns.measure(index);
        if last_measure.as_deref() != measure {
            last_measure = measure.map(Arc::from);
        }
        let stored = columns.sums.value(index);
        let residual = residual(&columns, index);
        let mut sum = ExactSum::from_parts(stored, &residual);
        // If a program changed a sum and kept the old residual, only the sum counts.
        if !residual.is_empty() && sum.rounded() != stored {
            decoded.lacks_residuals = true;
            sum = ExactSum::from_parts(stored, &[]);
        }
        decoded.rows.push(Row {
            start_ms: columns.starts.value(index).div_euclid(1000),
            series: SeriesKey {
                key: Arc::clone(&last_key),
                measure: last_measure.clone(),
            },
            totals: Totals {
                count: columns.counts.value(index) as u64,
                sum,
                ..extremes(&columns, index)
            },
        });
    }
    Ok(())
}

/// Totals with the smallest and the largest value of a row, if its table has them.
fn extremes(columns: &RowColumns, index: usize) -> Totals {
    let mut totals = Totals::empty();
    if let Some([minima, maxima]) = &columns.extremes {
        (totals.minimum, totals.maximum) = (minima.value(index), maxima.value(index));
    }
    totals
}

fn residual(columns: &RowColumns, index: usize) -> Vec<f64> {
    let residuals = columns.residuals.as_ref();
    let bytes = residuals
        .filter(|array| array.is_valid(index))
        .map_or(&[][..], |array| array.value(index));
    let (parts, _) = bytes.as_chunks::<8>();
    parts.iter().map(|part| f64::from_le_bytes(*part)).collect()
}

/// Refuses values that rewriting the row would change silently, and values that cannot be added.
fn check(
    definition: &Definition,
    piece: &Piece<'_>,
    columns: &RowColumns,
    index: usize,
) -> Result<(), LakeError> {
    let names = &definition.columns;
    if definition.is_keyed != columns.keys.is_valid(index) {
        let problem = match definition.is_keyed {
            true => "is null, though every reading has one,",
            false => "is not null, though readings have none (reading.key),",
        };
        return Err(piece.unfit(&names.key, index, problem));
    }
    if let (Some(name), Some("")) = (&names.measure, columns.measure(index)) {
        return Err(piece.unfit(name, index, "is empty, and must name a measure or be null,"));
    }
    let start = columns.starts.value(index);
    if start.rem_euclid(1000) != 0 || !START_YEARS_US.contains(&start) {
        return Err(piece.unfit(
            &names.start,
            index,
            "is not a whole millisecond of the years 1 to 9999",
        ));
    }
    // Where somebody has deleted a row of a counter's table, a register that comes late corrects one of no register.
    let least = i64::from(definition.value_kind == ValueKind::Gauge);
    if columns.counts.value(index) < least {
        let problem = format!(
            "is {}, and must be at least {least},",
            columns.counts.value(index)
        );
        return Err(piece.unfit(&names.count, index, problem));
    }
    let extremes = names.values.extremes().into_iter().flatten();
    let numbers = extremes
        .zip(columns.extremes.iter().flatten())
        .chain([(names.values.sum(), &columns.sums)]);
    for (name, numbers) in numbers {
        if !numbers.value(index).is_finite() {
            let problem = format!("is {}, and must be a finite number,", numbers.value(index));
            return Err(piece.unfit(name, index, problem));
        }
    }
    Ok(())
}

/// The years that every reader can show, in microseconds since 1970.
const START_YEARS_US: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

/// The file's statistics for the log, by which readers skip files.
pub(super) fn stats(definition: &Definition, rows: &[Row]) -> String {
    let names = &definition.columns;
    let windows = definition.layout.windows;
    let bounds = |largest: bool| {
        let mut values = Map::new();
        let pick = |best: Option<f64>, value: f64| match best {
            Some(best) => Some(if largest { best.max(value) } else { best.min(value) }),
            None => Some(value),
        };
        let number = |of: Cell| rows.iter().map(|row| of(&row.totals)).fold(None, pick);
        let edge = if largest { rows.last() } else { rows.first() };
        if let Some(row) = edge {
            values.insert(names.start.clone(), json!(stats_time(row.start_ms)));
            values.insert(names.end.clone(), json!(stats_time(windows.end_of(row.start_ms))));
        }
        let mut insert_edge = |name: &String, texts: &mut dyn Iterator<Item = &str>| {
            insert_text(&mut values, name, if largest { texts.max() } else { texts.min() });
        };
        if definition.is_keyed {
            insert_edge(&names.key, &mut rows.iter().map(|row| &*row.series.key));
        }
        if let Some(name) = &names.measure {
            insert_edge(
                name,
                &mut rows.iter().filter_map(|row| row.series.measure.as_deref()),
            );
        }
        for (name, cell) in names.values.cells() {
            values.insert(name.clone(), json!(number(cell)));
        }
        let counts = rows.iter().map(|row| row.totals.count);
        values.insert(
            names.count.clone(),
            json!(if largest { counts.max() } else { counts.min() }),
        );
        Value::Object(values)
    };
    let nulls = if definition.is_keyed { 0 } else { rows.len() };
    let mut null_counts = json!({
        &names.key: nulls, &names.start: 0, &names.end: 0, &names.count: 0,
    });
    for (name, _) in names.values.cells() {
        null_counts[name] = json!(0);
    }
    if let Some(name) = &names.measure {
        let unnamed = rows.iter().filter(|row| row.series.measure.is_none());
        null_counts[name] = json!(unnamed.count());
    }
    json!({
        "numRecords": rows.len(),
        "minValues": bounds(false),
        "maxValues": bounds(true),
        "nullCount": null_counts,
    })
    .to_string()
}

/// Long texts are omitted: statistics should stay small.
fn insert_text(values: &mut Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text.filter(|text| text.len() <= 32) {
        values.insert(name.to_owned(), json!(text));
    }
}

#[cfg(test)]
mod tests;
