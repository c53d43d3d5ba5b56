//! A table whose files hold a column that its schema does not: every reader takes the columns by name and shows
//! those of the schema only. The product keeps the residuals of open windows' sums in such a column.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use streamgauge_testkit::process::scratch_folder;
use streamgauge_testkit::readers::{DeltaKernel, Python, ReadTable};
use streamgauge_testkit::require;
use streamgauge_testkit::s3::S3;

const EXTRA: &str = "__streamgauge_residual";
const START_US: i64 = 1_673_568_000_000_000;
/// Its shortest decimal form has 17 digits, which a careless parser gets wrong.
const AVERAGE: f64 = 0.100_000_000_000_000_02;

/// A file of two rows, with its columns in the order named.
fn write_file(folder: &Path, name: &str, columns: &[&str]) -> Value {
    let column = |name: &str| -> ArrayRef {
        match name {
            "key" => Arc::new(StringArray::from(vec!["a", "b"])),
            "start" => Arc::new(TimestampMicrosecondArray::from(vec![START_US; 2]).with_timezone("UTC")),
            "avg_usage" => Arc::new(Float64Array::from(vec![Some(AVERAGE), None])),
            _ => Arc::new(BinaryArray::from(vec![
                b"\x00\x01".as_slice(),
                b"\x02".as_slice(),
            ])),
        }
    };
    let batch = RecordBatch::try_from_iter(columns.iter().map(|name| (*name, column(name)))).unwrap();
    let path = folder.join(name);
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let start = "2023-01-13T00:00:00.000Z";
    let stats = json!({
        "numRecords": 2,
        "minValues": {"key": "a", "start": start, "avg_usage": AVERAGE},
        "maxValues": {"key": "b", "start": start, "avg_usage": AVERAGE},
        "nullCount": {"key": 0, "start": 0, "avg_usage": 1},
    });
    let size = path.metadata().unwrap().len();
    json!({"add": {"path": name, "partitionValues": {}, "size": size, "modificationTime": START_US / 1000,
        "dataChange": true, "stats": stats.to_string()}})
}

/// Files that hold the extra column at the end, between others, and not at all.
fn write_table(folder: &Path) {
    let fields = [("key", "string"), ("start", "timestamp"), ("avg_usage", "double")]
        .map(|(name, kind)| json!({"name": name, "type": kind, "nullable": true, "metadata": {}}));
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    let entries = [
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {"id": "8d1ac2f5-9d3b-4a1c-9a53-0d6b5e0c7f11",
            "format": {"provider": "parquet", "options": {}}, "schemaString": schema, "partitionColumns": [],
            "configuration": {}, "createdTime": START_US / 1000}}),
        write_file(folder, "last.parquet", &["key", "start", "avg_usage", EXTRA]),
        write_file(folder, "between.parquet", &["key", EXTRA, "start", "avg_usage"]),
        write_file(folder, "without.parquet", &["key", "start", "avg_usage"]),
    ];
    std::fs::create_dir(folder.join("_delta_log")).unwrap();
    let log: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    std::fs::write(folder.join("_delta_log/00000000000000000000.json"), log).unwrap();
}

fn expected() -> ReadTable {
    let row = |key: &str, average: Option<f64>| {
        json!({"key": key, "start": START_US, "avg_usage": average})
            .as_object()
            .unwrap()
            .clone()
    };
    let (a, b) = (row("a", Some(AVERAGE)), row("b", None));
    let column = |name: &str, kind: &str| (name.to_string(), kind.to_string());
    ReadTable {
        schema: vec![
            column("key", "string"),
            column("start", "timestamp"),
            column("avg_usage", "double"),
        ],
        reader_version: 1,
        writer_version: 2,
        rows: vec![a.clone(), a.clone(), a, b.clone(), b.clone(), b],
    }
}

#[test]
fn delta_rs_in_python_does_not_show_a_column_outside_the_schema() {
    let Some(python) = require("delta-rs in Python", Python::shared()) else {
        return;
    };
    let table = scratch_folder("extra-column");
    write_table(&table);
    assert_eq!(
        python.read_with_delta_rs(table.to_str().unwrap(), &[]).unwrap(),
        expected()
    );
}

#[test]
fn duckdb_does_not_show_a_column_outside_the_schema() {
    let Some(python) = require("DuckDB", Python::shared()) else {
        return;
    };
    let table = scratch_folder("extra-column");
    write_table(&table);
    assert_eq!(
        python.read_with_duckdb(table.to_str().unwrap(), &[]).unwrap(),
        expected()
    );
}

#[test]
fn delta_kernel_in_java_does_not_show_a_column_outside_the_schema() {
    let Some(kernel) = require("Delta Kernel", DeltaKernel::shared()) else {
        return;
    };
    let table = scratch_folder("extra-column");
    write_table(&table);
    assert_eq!(kernel.read(&table).unwrap(), expected());
}

#[test]
fn python_reads_tables_in_s3() {
    let Some(python) = require("delta-rs in Python", Python::shared()) else {
        return;
    };
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let uri = s3.table_uri("extra-column");
    let table = s3.bucket_folder().join(uri.rsplit('/').next().unwrap());
    std::fs::create_dir(&table).unwrap();
    write_table(&table);
    assert_eq!(
        python.read_with_delta_rs(&uri, &s3.storage_options()).unwrap(),
        expected()
    );
    assert_eq!(
        python.read_with_duckdb(&uri, &s3.storage_options()).unwrap(),
        expected()
    );
}

#[test]
fn python_runs_a_script_of_the_tests() {
    let Some(python) = require("pandas", Python::shared()) else {
        return;
    };
    let script = scratch_folder("script").join("mean.py");
    std::fs::write(
        &script,
        "import pandas, sys\nprint(pandas.Series(map(float, sys.argv[1:])).mean())\n",
    )
    .unwrap();
    assert_eq!(python.run(&script, &["1", "2.5"]).unwrap().trim(), "1.75");
}
