//! Measures in data files and their statistics. Everything else about rows is tested against tables (`tests/it`).

use super::*;
use crate::config::{Overrides, load};
use crate::lake::TableSpec;
use crate::lake::actions::MetadataAction;
use crate::lake::definition::as_made;

fn spec(measure_column: &str) -> TableSpec {
    let overrides = Overrides::default()
        .with("reading.key", "", Some("message"))
        .with("table.measure_column", "", Some(measure_column));
    load(&overrides, None, []).unwrap().config.pipeline.table_spec()
}

fn row(start_ms: i64, key: &str, measure: Option<&str>, value: f64) -> Row {
    let mut totals = Totals::empty();
    totals.add(value);
    let series = SeriesKey { key, measure }.to_shared();
    Row {
        start_ms,
        series,
        totals,
    }
}

fn rows() -> Vec<Row> {
    let rows = vec![
        row(0, "a", None, 5.0),
        row(0, "a", Some("kw"), 1.5),
        row(0, "a", Some("v"), 230.0),
        row(0, "b", Some("kw"), 0.1),
        row(3_600_000, "a", Some("kw"), 2.0),
    ];
    assert!(rows.is_sorted_by(|left, right| left.order(right).is_lt()));
    rows
}

#[test]
fn measures_come_back_as_they_were_written() {
    let definition = Definition::new(&spec("measure"));
    let bytes = encode(&definition, &rows()).unwrap();
    let decoded = decode(&definition, "file", bytes).unwrap();
    assert_eq!(decoded.rows, rows());
    assert!(!decoded.lacks_residuals);
}

#[test]
fn statistics_show_which_measures_a_file_holds() {
    let stats = |measure_column: &str| -> Value {
        let definition = Definition::new(&spec(measure_column));
        serde_json::from_str(&super::stats(&definition, &rows())).unwrap()
    };
    let found = stats("measure");
    assert_eq!(found["minValues"]["measure"], "kw");
    assert_eq!(found["maxValues"]["measure"], "v");
    assert_eq!(found["nullCount"]["measure"], 1);
    assert_eq!(found["nullCount"]["key"], 0);
    let without = stats("");
    assert_eq!(without["nullCount"].as_object().unwrap().len(), 8);
    assert_eq!(without["minValues"].as_object().unwrap().len(), 8);
}

#[test]
fn a_measure_without_a_column_is_never_written() {
    let definition = Definition::new(&spec(""));
    let error = encode(&definition, &rows()).unwrap_err().to_string();
    assert!(error.contains("the measure \"kw\""), "{error}");
    assert!(encode(&definition, &rows()[..1]).is_ok());
}

#[test]
fn a_measure_that_another_program_left_empty_is_refused() {
    let definition = Definition::new(&spec("measure"));
    let bytes = encode(&definition, &[row(0, "a", Some(""), 1.0)]).unwrap();
    let error = decode(&definition, "file", bytes).unwrap_err().to_string();
    assert!(error.contains("measure"), "{error}");
    assert!(error.contains("is empty"), "{error}");
}

#[test]
fn the_column_is_fixed_in_the_table() {
    let made = |measure_column: &str| -> MetadataAction {
        Definition::new(&spec(measure_column)).creation("id", 0).1
    };
    let names = |metadata: &MetadataAction| -> Vec<String> {
        let columns = metadata.columns().unwrap();
        columns.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&made("what"))[..3], ["key", "what", "start"]);
    assert_eq!(names(&made(""))[..2], ["key", "start"]);
    assert!(!made("").configuration.contains_key("streamgauge.measureColumn"));

    for (made_with, opened_with) in [("what", ""), ("", "what"), ("what", "measure")] {
        let definition = Definition::new(&spec(opened_with));
        let mismatch = definition.check_metadata(&made(made_with)).unwrap_err();
        assert!(mismatch.contains("what"), "{mismatch}");
    }
    for column in ["", "what"] {
        let definition = Definition::new(&spec(column));
        definition.check_metadata(&made(column)).unwrap();
        // Commands that look after any table take it over from there.
        let mut asked = spec("other");
        asked.table.start_column = "other_start".to_owned();
        let adopted = as_made(&asked, &made(column)).unwrap();
        assert_eq!(adopted.table.measure_column, column);
        assert_eq!(adopted.table.start_column, "start");
        assert_eq!(adopted.table.count_column, "count");
    }
}
