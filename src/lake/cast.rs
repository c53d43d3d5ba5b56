//! Casts columns, as any engine may have written them, to the types of this program.
//!
//! Delta fixes the meaning of a column; its Parquet type is the writer's choice: Spark writes 96-bit
//! timestamps, Trino milliseconds, others decimals for sums or 32-bit counts. Values of the same meaning are
//! converted. Others are reported by column, type, row and file; nothing is guessed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::array::{BinaryArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType,
};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::schema::types::SchemaDescriptor;

use super::rows::RESIDUAL_COLUMN;
use super::{Columns, LakeError};

/// Rows per decoded batch. It bounds the extra memory of a batch with long keys.
const BATCH_ROWS: usize = 8192;

/// Opens a data file and selects the columns of rows.
///
/// # Errors
/// [`LakeError::Unfit`] for an unsupported encoding, [`LakeError::Damaged`] for a file that is not Parquet.
pub(super) fn open(names: &Columns, path: &str, bytes: Bytes) -> Result<ParquetRecordBatchReader, LakeError> {
    let failed = |error| parquet_error(path, &error);
    // Types follow from the Parquet schema alone: the Arrow schema that some writers embed is only a hint.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(&bytes, options).map_err(failed)?;
    let schema = wide_types(names, found.schema(), found.parquet_schema());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).map_err(failed)?;
    let roots = metadata.parquet_schema().root_schema().get_fields();
    let wanted = (0..roots.len()).filter(|&index| is_read(names, roots[index].name()));
    let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
    ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(failed)
}

/// The error for a file that is not Parquet, or has an unsupported encoding.
pub(super) fn parquet_error(path: &str, error: &ParquetError) -> LakeError {
    let file = path.to_owned();
    match error {
        ParquetError::NYI(reason) => LakeError::Unfit {
            file,
            problem: format!("it is written in a way that cannot be read here ({reason})"),
        },
        error => LakeError::Damaged {
            what: format!("the data file {file}"),
            reason: error.to_string(),
        },
    }
}

fn is_read(names: &Columns, column: &str) -> bool {
    [&names.key, &names.start, names.values.sum(), &names.count]
        .into_iter()
        .chain(names.values.extremes().into_iter().flatten())
        .chain(&names.measure)
        .any(|name| name == column)
        || column == RESIDUAL_COLUMN
}

/// The file's types, except two that would be too narrow: 96-bit timestamps, whose nanoseconds end in 2262,
/// and texts, of which a batch with 32-bit offsets holds at most 2 GiB.
fn wide_types(names: &Columns, schema: &Schema, parquet: &SchemaDescriptor) -> Schema {
    let is_int96 = |name: &str| {
        let mut columns = parquet.columns().iter();
        columns.any(|column| column.path().parts() == [name] && column.physical_type() == PhysicalType::INT96)
    };
    let is_text = |name: &String| *name == names.key || names.measure.as_ref() == Some(name);
    let widen = |field: &Field| {
        let wide = match field.data_type() {
            DataType::Timestamp(..) if is_int96(field.name()) => micros(),
            DataType::Utf8 if is_text(field.name()) => DataType::Utf8View,
            DataType::Binary if is_text(field.name()) => DataType::BinaryView,
            other => other.clone(),
        };
        field.clone().with_data_type(wide)
    };
    let fields: Vec<Field> = schema.fields().iter().map(|field| widen(field)).collect();
    Schema::new(fields).with_metadata(schema.metadata().clone())
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The meaning of a column, which determines the types that may hold it.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Text,
    Time,
    Number,
    Count,
}

impl Meaning {
    fn data_type(self) -> DataType {
        match self {
            Meaning::Text => DataType::Utf8View,
            Meaning::Time => micros(),
            Meaning::Number => DataType::Float64,
            Meaning::Count => DataType::Int64,
        }
    }

    /// Whether each value of this type has exactly one value of the meaning.
    fn allows(self, found: &DataType) -> bool {
        match self {
            Meaning::Text => {
                found.is_string()
                    || matches!(
                        found,
                        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
                    )
            }
            // A time without a zone is in UTC, as in all Delta files.
            Meaning::Time => matches!(found, DataType::Timestamp(..) | DataType::Date32),
            Meaning::Number => found.is_floating() || found.is_integer() || found.is_decimal(),
            Meaning::Count => found.is_integer() || is_whole_decimal(found),
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Meaning::Text => "text",
            Meaning::Time => "a timestamp",
            Meaning::Number => "a number",
            Meaning::Count => "a whole number",
        }
    }
}

/// Engines that add 64-bit counts produce decimals without a fraction.
fn is_whole_decimal(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => *scale == 0,
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale == 0,
        _ => false,
    }
}

/// The columns of rows in one batch. Only keys and measures may be null.
#[derive(Debug)]
pub(super) struct RowColumns {
    pub keys: StringViewArray,
    /// Of a table that has this column.
    pub measures: Option<StringViewArray>,
    pub starts: TimestampMicrosecondArray,
    /// The smallest and the largest values, of a table that has these columns.
    pub extremes: Option<[Float64Array; 2]>,
    pub sums: Float64Array,
    pub counts: Int64Array,
    pub residuals: Option<BinaryArray>,
}

impl RowColumns {
    /// The measure of a row, if it names one.
    pub(super) fn measure(&self, row: usize) -> Option<&str> {
        let measures = self.measures.as_ref()?;
        measures.is_valid(row).then(|| measures.value(row))
    }
}

/// A batch of a data file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub batch: &'a RecordBatch,
    pub path: &'a str,
    /// The number of the file's rows before this batch.
    pub rows_before: usize,
}

impl Piece<'_> {
    /// The columns, converted.
    ///
    /// # Errors
    /// [`LakeError::Unfit`], which names column, type or row, and file.
    pub(super) fn columns(&self, names: &Columns) -> Result<RowColumns, LakeError> {
        let number = |name: &String| -> Result<Float64Array, LakeError> {
            let numbers = self.full(name, Meaning::Number)?;
            Ok(numbers.as_primitive::<Float64Type>().clone())
        };
        let residuals = self.batch.column_by_name(RESIDUAL_COLUMN);
        Ok(RowColumns {
            keys: self.texts(&names.key)?,
            measures: names.measure.as_ref().map(|name| self.texts(name)).transpose()?,
            starts: self
                .full(&names.start, Meaning::Time)?
                .as_primitive::<TimestampMicrosecondType>()
                .clone(),
            extremes: match names.values.extremes() {
                Some([minimum, maximum]) => Some([number(minimum)?, number(maximum)?]),
                None => None,
            },
            sums: number(names.values.sum())?,
            counts: self
                .full(&names.count, Meaning::Count)?
                .as_primitive::<Int64Type>()
                .clone(),
            residuals: residuals.and_then(|array| array.as_binary_opt::<i32>().cloned()),
        })
    }

    /// The error for an impossible value in a row of this batch.
    pub(super) fn unfit(&self, column: &str, row: usize, problem: impl std::fmt::Display) -> LakeError {
        LakeError::Unfit {
            file: self.path.to_owned(),
            problem: format!(
                "the column {column} {problem} in row {}",
                self.rows_before + row + 1
            ),
        }
    }

    /// A column, which Delta readers see as null throughout if the file lacks it.
    fn texts(&self, name: &str) -> Result<StringViewArray, LakeError> {
        match self.batch.column_by_name(name) {
            Some(found) => Ok(self.cast(name, found, Meaning::Text)?.as_string_view().clone()),
            None => Ok(StringViewArray::new_null(self.batch.num_rows())),
        }
    }

    fn full(&self, name: &str, meaning: Meaning) -> Result<ArrayRef, LakeError> {
        let found = self.batch.column_by_name(name).ok_or_else(|| LakeError::Unfit {
            file: self.path.to_owned(),
            problem: format!("the column {name} is missing"),
        })?;
        let cast = self.cast(name, found, meaning)?;
        match (0..cast.len()).find(|&row| cast.is_null(row)) {
            Some(row) => Err(self.unfit(name, row, "is null")),
            None => Ok(cast),
        }
    }

    fn cast(&self, name: &str, found: &ArrayRef, meaning: Meaning) -> Result<ArrayRef, LakeError> {
        let type_found = found.data_type();
        if *type_found == meaning.data_type() {
            return Ok(Arc::clone(found));
        }
        // A column of nulls may have the null type.
        if !meaning.allows(type_found) && *type_found != DataType::Null {
            return Err(LakeError::Unfit {
                file: self.path.to_owned(),
                problem: format!("the column {name} is {type_found}, not {}", meaning.in_words()),
            });
        }
        if let Some(row) = split_nanosecond(found) {
            return Err(self.unfit(name, row, "is not a whole microsecond"));
        }
        // Parsing a decimal's digits gives the nearest double; a division would round twice.
        let by_digits = matches!(meaning, Meaning::Number) && type_found.is_decimal();
        let converted = if by_digits {
            strictly(found, &DataType::Utf8).and_then(|text| strictly(&text, &meaning.data_type()))
        } else {
            strictly(found, &meaning.data_type())
        };
        converted.map_err(|_| self.first_misfit(name, found, meaning))
    }

    /// A conversion fails as a whole; converting the values one by one finds the culprit.
    fn first_misfit(&self, name: &str, found: &ArrayRef, meaning: Meaning) -> LakeError {
        let is_misfit = |row: &usize| strictly(&found.slice(*row, 1), &meaning.data_type()).is_err();
        let row = (0..found.len()).find(is_misfit).unwrap_or_default();
        let problem = format!("({}) holds what is not {}", found.data_type(), meaning.in_words());
        self.unfit(name, row, problem)
    }
}

/// The first time that microseconds cannot represent.
fn split_nanosecond(times: &ArrayRef) -> Option<usize> {
    let times = times.as_primitive_opt::<TimestampNanosecondType>()?;
    (0..times.len()).find(|&row| times.is_valid(row) && times.value(row) % 1000 != 0)
}

fn strictly(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, to, &options)
}
