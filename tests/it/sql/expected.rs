//! The expected result of each query, computed from the rows that the table must have, which are computed from the
//! readings.

use std::collections::BTreeMap;

use super::cells::Cell;
use crate::table::TableRow;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// The rows of a query of `sql/`, as it is.
pub fn rows(query: &str, table: &[TableRow]) -> Vec<Vec<Cell>> {
    match query {
        "completeness" => completeness(table),
        "days_side_by_side" => days_side_by_side(table),
        "gaps" => gaps(table),
        "hourly_day" => hourly_day(table),
        "sliding_hour" => sliding_hours(table, 1),
        "top_hours" => top_hours(table),
        "weekday_hour_profile" => weekday_hour_profile(table),
        _ => panic!("what {query}.sql must give has to be reckoned here"),
    }
}

pub fn whole_row(row: &TableRow) -> Vec<Cell> {
    vec![
        key(&row.key),
        Cell::Time(row.start_ms),
        Cell::Time(row.end_ms),
        Cell::Double(row.average),
        Cell::Double(row.minimum),
        Cell::Double(row.maximum),
        Cell::Double(row.sum),
        Cell::Whole(row.count),
    ]
}

fn key(key: &Option<String>) -> Cell {
    key.clone().map_or(Cell::Null, Cell::Text)
}

fn sorted<K: Ord>(table: &[TableRow], by: impl Fn(&TableRow) -> K) -> Vec<&TableRow> {
    let mut rows: Vec<&TableRow> = table.iter().collect();
    rows.sort_by_key(|row| by(row));
    rows
}

fn newest_day(table: &[TableRow]) -> i64 {
    let newest = table.iter().map(|row| row.start_ms).max();
    newest.unwrap().div_euclid(DAY_MS)
}

fn hourly_day(table: &[TableRow]) -> Vec<Vec<Cell>> {
    let rows = sorted(table, |row| (row.key.clone(), row.start_ms)).into_iter();
    let rows = rows.filter(|row| row.start_ms >= newest_day(table) * DAY_MS);
    let without_sum = |row| {
        let mut cells = whole_row(row);
        cells.remove(6);
        cells
    };
    rows.map(without_sum).collect()
}

fn top_hours(table: &[TableRow]) -> Vec<Vec<Cell>> {
    let mut rows = sorted(table, |row| (row.start_ms, row.key.clone()));
    rows.sort_by(|left, right| right.average.total_cmp(&left.average));
    let cells = |row: &TableRow| {
        let cells = whole_row(row);
        [0, 1, 2, 3, 5].map(|index: usize| cells[index].clone()).to_vec()
    };
    rows.into_iter().take(10).map(cells).collect()
}

fn completeness(table: &[TableRow]) -> Vec<Vec<Cell>> {
    let rows = sorted(table, |row| {
        (-(12 - row.count).abs(), row.start_ms, row.key.clone())
    });
    let cells = |row: &TableRow| {
        let tenths = (row.count * 1000) as f64 / 12.0;
        vec![
            key(&row.key),
            Cell::Time(row.start_ms),
            Cell::Whole(row.count),
            Cell::Whole(12),
            Cell::Whole(12 - row.count),
            Cell::Double(tenths.round() / 10.0),
        ]
    };
    rows.into_iter().map(cells).collect()
}

fn gaps(table: &[TableRow]) -> Vec<Vec<Cell>> {
    let rows = sorted(table, |row| (row.key.clone(), row.start_ms));
    let gap = |pair: &[&TableRow]| {
        let missing_ms = pair[1].start_ms - pair[0].end_ms;
        (pair[0].key == pair[1].key && missing_ms > 0).then(|| {
            vec![
                key(&pair[0].key),
                Cell::Time(pair[0].end_ms),
                Cell::Time(pair[1].start_ms),
                Cell::Whole(missing_ms / HOUR_MS),
            ]
        })
    };
    rows.windows(2).filter_map(gap).collect()
}

/// The average of the last hours at the end of each window of an hour.
pub fn sliding_hours(table: &[TableRow], hours: i64) -> Vec<Vec<Cell>> {
    let cells = |row: &TableRow| {
        let first_ms = row.start_ms - (hours - 1) * HOUR_MS;
        let of_series = table.iter().filter(|other| other.key == row.key);
        let last = of_series.filter(|other| (first_ms..=row.start_ms).contains(&other.start_ms));
        let (sum, count) = last.fold((0.0, 0), |(sum, count), other| {
            (sum + other.sum, count + other.count)
        });
        vec![
            key(&row.key),
            Cell::Time(row.end_ms),
            Cell::Double((sum / count as f64 * 1000.0).round() / 1000.0),
            Cell::Whole(count),
        ]
    };
    sorted(table, |row| (row.key.clone(), row.start_ms))
        .into_iter()
        .map(cells)
        .collect()
}

fn days_side_by_side(table: &[TableRow]) -> Vec<Vec<Cell>> {
    let mut hours: BTreeMap<_, Vec<Cell>> = BTreeMap::new();
    for row in table {
        let back = newest_day(table) - row.start_ms.div_euclid(DAY_MS);
        let hour = row.start_ms.rem_euclid(DAY_MS) / HOUR_MS;
        let hour = hours
            .entry((row.key.clone(), hour))
            .or_insert_with(|| vec![Cell::Null; 7]);
        if back < 7 {
            hour[back as usize] = Cell::Double(row.average);
        }
    }
    let cells = |((series, hour), days): ((Option<String>, i64), Vec<Cell>)| {
        [vec![key(&series), Cell::Whole(hour)], days].concat()
    };
    hours.into_iter().map(cells).collect()
}

fn weekday_hour_profile(table: &[TableRow]) -> Vec<Vec<Cell>> {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let mut hours: BTreeMap<_, Vec<&TableRow>> = BTreeMap::new();
    for row in table {
        // 1970 began on a Thursday.
        let weekday = (row.start_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
        let hour = row.start_ms.rem_euclid(DAY_MS) / HOUR_MS;
        hours
            .entry((row.key.clone(), weekday, hour))
            .or_default()
            .push(row);
    }
    let cells = |((series, weekday, hour), rows): (_, Vec<&TableRow>)| {
        let sum: f64 = rows.iter().map(|row| row.sum).sum();
        let count: i64 = rows.iter().map(|row| row.count).sum();
        vec![
            key(&series),
            Cell::Text(NAMES[weekday as usize].to_owned()),
            Cell::Whole(hour),
            Cell::Double((sum / count as f64 * 1000.0).round() / 1000.0),
            Cell::Double(rows.iter().map(|row| row.minimum).fold(f64::INFINITY, f64::min)),
            Cell::Double(
                rows.iter()
                    .map(|row| row.maximum)
                    .fold(f64::NEG_INFINITY, f64::max),
            ),
            Cell::Whole(rows.len() as i64),
        ]
    };
    hours.into_iter().map(cells).collect()
}
