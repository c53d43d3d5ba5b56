//! The averages of one series, from the table.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use datafusion::common::ScalarValue;
use serde::Serialize;

use super::refusal::Refusal;
use super::routes::{SeriesParameters, Stretch, parameters};
use super::site::SharedSite;
use crate::lake::TableSettings;
use crate::query::{QueryError, Session};
use crate::reading::SeriesKey;

/// Windows of one answer; the newest.
const MOST_WINDOWS: usize = 5_000;
/// Event times end long before and after these.
const EARLIEST_MS: i64 = -62_135_596_800_000;
const LATEST_MS: i64 = 253_402_300_799_999;

/// Windows by column, oldest first.
#[derive(Debug, Default, Serialize)]
pub(super) struct Averages {
    window_ms: i64,
    start: Vec<i64>,
    end: Vec<i64>,
    average: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
    count: Vec<i64>,
}

/// `GET api/averages`.
pub(super) async fn averages(State(site): State<SharedSite>, uri: Uri) -> Result<Json<Averages>, Refusal> {
    let series = parameters::<SeriesParameters>(&uri)?.to_key();
    let stretch: Stretch = parameters(&uri)?;
    if site.holds_counters() {
        return Err(Refusal::not_found(
            "the table holds the increases of counters (reading.value_kind), and no averages",
        ));
    }
    let table = site.sql.table().clone();
    let found = site
        .sql
        .with_session(move |session| async move { select(&session, &table, &series, stretch).await })
        .await?;
    let mut found = found.map_err(|error| Refusal::unavailable(error.to_string()))?;
    found.window_ms = site.window_ms();
    Ok(Json(found))
}

async fn select(
    session: &Session,
    table: &TableSettings,
    series: &SeriesKey<Arc<str>>,
    stretch: Stretch,
) -> Result<Averages, QueryError> {
    let (sql, values) = statement(table, series, stretch);
    let mut rows = session.run_own(&sql, values).await?;
    let mut averages = Averages::default();
    while let Some(batch) = rows.next_batch().await? {
        let times = |column: usize| -> Vec<i64> {
            let wanted = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
            cast(batch.column(column), &wanted).map_or_else(
                |_| Vec::new(),
                |column| {
                    column
                        .as_primitive::<TimestampMillisecondType>()
                        .values()
                        .to_vec()
                },
            )
        };
        let numbers = |column: usize| -> Vec<f64> {
            batch
                .column(column)
                .as_primitive_opt::<Float64Type>()
                .map_or_else(Vec::new, |column| column.values().to_vec())
        };
        averages.start.extend(times(0));
        averages.end.extend(times(1));
        averages.average.extend(numbers(2));
        averages.min.extend(numbers(3));
        averages.max.extend(numbers(4));
        let count = batch.column(5).as_primitive_opt::<Int64Type>();
        averages
            .count
            .extend(count.map_or(&[][..], |column| column.values()));
    }
    // The newest came first.
    averages.start.reverse();
    averages.end.reverse();
    averages.average.reverse();
    averages.min.reverse();
    averages.max.reverse();
    averages.count.reverse();
    Ok(averages)
}

/// The query, and the values of its places.
fn statement(
    table: &TableSettings,
    series: &SeriesKey<Arc<str>>,
    stretch: Stretch,
) -> (String, Vec<ScalarValue>) {
    let time = |time_ms: i64| {
        let micros = time_ms.clamp(EARLIEST_MS, LATEST_MS) * 1_000;
        ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
    };
    let mut values = vec![time(stretch.from), time(stretch.to)];
    let (start, end) = (quoted(&table.start_column), quoted(&table.end_column));
    let mut conditions = format!("{end} >= $1 AND {start} <= $2");
    let mut is = |column: &str, text: &str| {
        if text.is_empty() {
            let column = quoted(column);
            conditions += &format!(" AND ({column} IS NULL OR {column} = '')");
        } else {
            values.push(ScalarValue::Utf8(Some(text.to_owned())));
            conditions += &format!(" AND {} = ${}", quoted(column), values.len());
        }
    };
    is(&table.key_column, &series.key);
    if !table.measure_column.is_empty() {
        is(
            &table.measure_column,
            series.measure.as_deref().unwrap_or_default(),
        );
    }
    let columns = [
        &table.start_column,
        &table.end_column,
        &table.average_column,
        &table.minimum_column,
        &table.maximum_column,
        &table.count_column,
    ];
    let columns: Vec<String> = columns.map(|name| quoted(name)).into();
    let sql = format!(
        "SELECT {} FROM {} WHERE {conditions} ORDER BY {start} DESC LIMIT {MOST_WINDOWS}",
        columns.join(", "),
        quoted(&table.name)
    );
    (sql, values)
}

/// A name in SQL, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::Lake;

    #[tokio::test]
    async fn the_windows_of_one_series_come_oldest_first() {
        let evil = "a'; DROP TABLE usage; --";
        let lake = Lake::with(&[
            &[(0, Some("a"), 1.0), (0, Some(evil), 7.0), (0, None, 9.0)],
            &[(1, Some("a"), 2.0), (2, Some("a"), 3.0)],
        ])
        .await;
        let session = lake.session().await;
        let all = Stretch {
            from: i64::MIN,
            to: i64::MAX,
        };
        let found = async |key: &str, stretch| {
            let series = SeriesKey::of_key(key.into());
            select(&session, &lake.config, &series, stretch).await.unwrap()
        };
        assert_eq!(found("a", all).await.average, [1.0, 2.0, 3.0]);
        assert_eq!(found(evil, all).await.average, [7.0]);
        assert_eq!(found("", all).await.average, [9.0]);
        let whole = found("a", all).await;
        assert_eq!(whole.end[0] - whole.start[0], 3_600_000);
        assert_eq!(whole.count, [12, 12, 12]);
        let first = Stretch {
            from: whole.start[0],
            to: whole.start[0] + 1,
        };
        assert_eq!(found("a", first).await.average, [1.0]);
    }
}
