//! The newest messages of the topic of anomalies as a table for SQL.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use serde_json::{Map, Value};

use crate::kafka::{self, Subscription, sample};
use crate::query::QueryError;

/// The table's name.
pub(super) const ANOMALIES: &str = "anomalies";

/// Messages of each partition.
const NEWEST: usize = 10_000;
/// The name of the judged value, whatever messages call it.
const VALUE: &str = "value";

/// The columns: the fields of a message.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let columns = [
        ("ts", time()),
        (VALUE, DataType::Float64),
        ("key", DataType::Utf8),
        ("measure", DataType::Utf8),
        ("detector", DataType::Utf8),
        ("cause", DataType::Utf8),
        ("score", DataType::Float64),
        ("threshold", DataType::Float64),
        ("expected", DataType::Float64),
        ("lower", DataType::Float64),
        ("upper", DataType::Float64),
        ("slot", DataType::Utf8),
        ("comparables", DataType::Int64),
        ("severity", DataType::Utf8),
        ("explanation", DataType::Utf8),
        ("episode", DataType::Utf8),
        ("phase", DataType::Utf8),
        ("since", time()),
        ("until", time()),
    ];
    let fields = columns.map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.to_vec()))
});

/// The newest messages; none if there is no such topic.
///
/// # Errors
/// [`QueryError::Sql`] if the topic cannot be read.
pub(super) async fn newest(
    kafka: &Subscription,
    topic: &str,
    value_name: &str,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mut anomalies = kafka.clone();
    topic.clone_into(&mut anomalies.source.topic);
    let read = tokio::task::spawn_blocking(move || sample(&anomalies, NEWEST, 0)).await;
    let sampled = match read {
        Ok(Ok(sampled)) => sampled,
        Ok(Err(kafka::Error::NothingToSample { .. })) => kafka::Sample::default(),
        Ok(Err(error)) => return Err(unreadable(topic, &error)),
        Err(error) => return Err(unreadable(topic, &error)),
    };
    let records = sampled.blocks.iter().flat_map(|block| block.iter());
    let values = records.filter_map(|record| record.value);
    let batch = rows(values, value_name).map_err(|error| unreadable(topic, &error))?;
    let table = MemTable::try_new(SchemaRef::clone(&SCHEMA), vec![vec![batch]]);
    table
        .map(|table| Arc::new(table) as Arc<dyn TableProvider>)
        .map_err(|error| unreadable(topic, &error))
}

fn unreadable(topic: &str, error: &dyn std::error::Error) -> QueryError {
    QueryError::Sql(format!("cannot read topic {topic}: {error}"))
}

/// Messages as rows. What is not one of ours is passed over.
fn rows<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    value_name: &str,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let messages: Vec<Value> = values.filter_map(|value| row(value, value_name)).collect();
    let mut decoder = ReaderBuilder::new(SchemaRef::clone(&SCHEMA)).build_decoder()?;
    decoder.serialize(&messages)?;
    let batch = decoder.flush()?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(SchemaRef::clone(&SCHEMA))))
}

/// The fields of a message that there are columns for, if each is of its type.
fn row(value: &[u8], value_name: &str) -> Option<Value> {
    let mut message: Map<String, Value> = serde_json::from_slice(value).ok()?;
    let judged = message.shift_remove(value_name);
    message.extend(judged.map(|judged| (VALUE.to_owned(), judged)));
    message.retain(|name, _| SCHEMA.field_with_name(name).is_ok());
    let is_ours = message.contains_key("episode")
        && message.iter().all(|(name, value)| {
            SCHEMA
                .field_with_name(name)
                .is_ok_and(|field| match field.data_type() {
                    DataType::Float64 => value.is_null() || value.is_number(),
                    DataType::Int64 => value.is_null() || value.is_u64(),
                    DataType::Timestamp(..) => {
                        let is_time = |text| chrono::DateTime::parse_from_rfc3339(text).is_ok();
                        value.is_null() || value.as_str().is_some_and(is_time)
                    }
                    _ => value.is_null() || value.is_string(),
                })
        });
    is_ours.then_some(Value::Object(message))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, TimestampMillisecondType};

    use super::*;

    #[test]
    fn messages_are_rows_and_garbage_is_none() {
        let message = r#"{"ts":"2024-03-05T08:10:00-05:00","usage":9.5,"key":null,"detector":"rules","cause":"rule_began",
            "score":1.0,"threshold":1,"expected":null,"lower":null,"upper":9,"slot":null,"comparables":null,
            "severity":"warning","explanation":"too high","episode":"usage/0/1/0","phase":"opened",
            "since":"2024-03-05T08:10:00-05:00","until":null}"#;
        let wrong = message.replace("9.5", "\"nine\"");
        let values: Vec<&[u8]> = vec![b"{}", message.as_bytes(), b"\xff", wrong.as_bytes(), b"[]"];
        let batch = rows(values.into_iter(), "usage").unwrap();
        assert_eq!(batch.num_rows(), 1);
        let value = |name: &str| batch.column_by_name(name).unwrap();
        assert_eq!(value("value").as_primitive::<Float64Type>().value(0), 9.5);
        let time = value("ts").as_primitive::<TimestampMillisecondType>().value(0);
        assert_eq!(time, 1_709_644_200_000);
        assert_eq!(rows(std::iter::empty(), "usage").unwrap().num_rows(), 0);
    }
}
