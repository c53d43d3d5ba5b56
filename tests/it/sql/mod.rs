//! The queries of `sql/`, on tables in S3 that `streamgauge aggregate` wrote from real readings: run by
//! `streamgauge query` and by Trino, the engine behind Athena, they give the same rows, and the right ones.

mod cells;
mod consistency;
mod expected;
mod library;

use std::collections::BTreeSet;
use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use streamgauge::lake::{Lake, RESIDUAL_COLUMN};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::proxy::FaultProxy;
use streamgauge_testkit::s3::{S3, storage_options};
use streamgauge_testkit::trino::{Trino, files_read};
use streamgauge_testkit::{block_on, require};

use self::cells::{Found, from_trino};
use self::library::Library;
use crate::table::{TableRow, data_files};

/// Queries that are not run here, and where they were read instead: the catalog is Athena's own.
const ATHENA_ONLY: [(&str, &str); 2] = [
    (
        "athena_create_database",
        "Amazon Athena User Guide, CREATE DATABASE; Trino says CREATE SCHEMA",
    ),
    (
        "athena_create_table",
        "Amazon Athena User Guide, Query Linux Foundation Delta Lake tables; Trino says register_table",
    ),
];

/// The parts of all tests here, or none if one of them cannot be had.
fn parts() -> Option<(&'static Kafka, &'static S3, &'static Trino)> {
    let kafka = require("Apache Kafka", Kafka::shared())?;
    let s3 = require("S3", S3::shared())?;
    Some((kafka, s3, require("Trino", Trino::shared())?))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of `sql/` by name, without their ending.
fn files() -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(repository().join("sql"))? {
        let path = file?.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .context("a name")?;
        files.push((name.to_owned(), path.clone()));
    }
    files.sort();
    Ok(files)
}

fn is_athena_only(name: &str) -> bool {
    ATHENA_ONLY.iter().any(|(only, _)| *only == name)
}

/// The query as it is, and then as its comments say that it may be adapted.
fn variants(sql: &str) -> Vec<String> {
    let mut variants = vec![sql.to_owned()];
    if sql.contains("'UTC'") {
        variants.push(sql.replace("'UTC'", "'America/New_York'"));
    }
    if sql.contains("' DAY") {
        let weekly = (1..=6).rev().fold(sql.to_owned(), |sql, day| {
            sql.replace(
                &format!("INTERVAL '{day}' DAY"),
                &format!("INTERVAL '{}' DAY", day * 7),
            )
        });
        variants.push(weekly);
    }
    variants.extend(of_one_day(sql));
    variants
}

/// A query with the WHERE line that its comment offers in the place of its own.
fn of_one_day(sql: &str) -> Option<String> {
    let offered = sql.lines().find_map(|line| line.strip_prefix("-- WHERE"))?;
    let own = sql.lines().find(|line| line.starts_with("WHERE"))?;
    Some(sql.replace(own, &format!("WHERE{offered}")))
}

#[test]
fn trino_and_datafusion_give_the_same_rows_of_every_query() -> Result<()> {
    let Some((kafka, s3, trino)) = parts() else {
        return Ok(());
    };
    for library in [
        Library::without_key(kafka, s3, trino)?,
        Library::with_keys(kafka, s3, trino)?,
    ] {
        for (name, file) in files()?.iter().filter(|(name, _)| !is_athena_only(name)) {
            for (index, sql) in variants(&read_to_string(file)?).iter().enumerate() {
                let answer = from_trino(trino.query(&library.schema, sql)?)?;
                let ours = library.query(sql, &answer)?;
                assert_eq!(ours, answer, "{name}, variant {index}");
                assert!(!answer.rows.is_empty(), "{name}, variant {index}: no rows");
                if index == 0 {
                    let expected = expected::rows(name, &library.rows());
                    assert_eq!(answer.rows, expected, "{name}");
                }
            }
        }
    }
    Ok(())
}

/// An hour over windows of an hour slides over nothing: the six hours that the comment offers do, also over missing windows.
#[test]
fn six_hours_slide_over_hourly_windows() -> Result<()> {
    let Some((kafka, s3, trino)) = parts() else {
        return Ok(());
    };
    let library = Library::with_keys(kafka, s3, trino)?;
    let sql = read_to_string(repository().join("sql/sliding_hour.sql"))?;
    let sql = sql.replace("INTERVAL '55' MINUTE", "INTERVAL '5' HOUR");
    let answer = from_trino(trino.query(&library.schema, &sql)?)?;
    assert_eq!(answer.rows, expected::sliding_hours(&library.rows(), 6));
    assert_eq!(library.query(&sql, &answer)?, answer);
    Ok(())
}

#[test]
fn trino_shows_every_row_and_not_the_column_of_residuals() -> Result<()> {
    let Some((kafka, s3, trino)) = parts() else {
        return Ok(());
    };
    let library = Library::with_keys(kafka, s3, trino)?;
    let has_residuals = |name: &String| {
        let file = File::open(library.place.folder.join(name)).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        builder.schema().column_with_name(RESIDUAL_COLUMN).is_some()
    };
    assert!(
        data_files(&library.place.folder).iter().any(has_residuals),
        "no file has residuals"
    );
    let found = from_trino(trino.query(&library.schema, "SELECT * FROM usage ORDER BY key, start")?)?;
    let columns = [
        ("key", "varchar"),
        ("start", "timestamp with time zone"),
        ("end", "timestamp with time zone"),
        ("avg_usage", "double"),
        ("min_usage", "double"),
        ("max_usage", "double"),
        ("sum_usage", "double"),
        ("count", "bigint"),
    ];
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let mut rows = library.rows();
    rows.sort_by_key(|row| (row.key.clone(), row.start_ms));
    let rows = rows.iter().map(expected::whole_row).collect();
    let columns = columns.to_vec();
    assert_eq!(found, Found { columns, rows });
    Ok(())
}

/// Counted by the requests that come to S3, for each reader.
#[test]
fn a_filter_on_start_reads_only_the_files_it_must() -> Result<()> {
    let Some((kafka, s3, trino)) = parts() else {
        return Ok(());
    };
    let library = Library::without_key(kafka, s3, trino)?;
    let file = repository().join("sql/hourly_day.sql");
    let sql = of_one_day(&read_to_string(file)?).context("the file offers a WHERE line")?;

    let config = library.place.config();
    let (_, cached, _) = block_on(Lake::open_as_made(&config.pipeline.table_spec()))?;
    let day = library.rows()[0].start_ms;
    let day = day..day + 24 * 3_600_000;
    let holds = |(_, file): &(_, &streamgauge::table::DataFile)| {
        file.first_start_ms < day.end && file.last_start_ms >= day.start
    };
    let files = cached.snapshot.files.iter();
    let wanted: BTreeSet<String> = files.filter(holds).map(|(name, _)| name.to_string()).collect();
    assert!(!wanted.is_empty() && wanted.len() < cached.snapshot.files.len());

    let before = trino.files_read(&library.place.uri).len();
    let answer = from_trino(trino.query(&library.schema, &sql)?)?;
    let read = trino.files_read(&library.place.uri);
    assert_eq!(read[before..].iter().cloned().collect::<BTreeSet<_>>(), wanted);

    let proxy = FaultProxy::start(s3.address())?;
    let ours = library.query_with(&storage_options(proxy.address()), &sql, &answer)?;
    let read = files_read(&proxy, &library.place.uri);
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(ours, answer);
    assert_eq!(answer.rows.len(), 24);
    Ok(())
}

/// The SQL of docs/bi.md, in its order, since it makes a view first.
#[test]
fn the_queries_for_other_tools_give_rows_on_trino() -> Result<()> {
    let Some((kafka, s3, trino)) = parts() else {
        return Ok(());
    };
    let library = Library::with_keys(kafka, s3, trino)?;
    let page = read_to_string(repository().join("docs/bi.md"))?;
    let (_, page) = page
        .split_once("## Before anything else")
        .context("what comes before is for SQL over HTTP")?;
    let blocks = page.split("```sql\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), 4, "blocks of SQL");
    for sql in blocks {
        // As Grafana's documentation writes it out.
        let between = "start BETWEEN TIMESTAMP '2024-04-10 00:00:00' AND TIMESTAMP '2024-04-17 00:00:00'";
        let sql = sql.replace("$__timeFilter(start)", between);
        let answer = trino.query(&library.schema, &sql)?;
        ensure!(
            sql.starts_with("CREATE") || !answer.rows.is_empty(),
            "no rows of:\n{sql}"
        );
    }
    let sql = "SELECT count(*), sum(count), min(CAST(start_local AS varchar)) FROM usage_local";
    let found = trino.query(&library.schema, sql)?.rows;
    let rows = library.rows().len();
    assert_eq!(
        found,
        [json!([rows, library.readings(), "2024-03-05 00:00:00.000"])
            .as_array()
            .unwrap()
            .clone()]
    );
    Ok(())
}

/// Statements of Athena's own follow its documentation, and name the place that Terraform deploys.
#[test]
fn what_is_athenas_own_says_so_and_agrees_with_terraform() -> Result<()> {
    let files = files()?;
    for (name, documentation) in ATHENA_ONLY {
        let file = files.iter().find(|(file, _)| file == name);
        let (_, path) = file.with_context(|| format!("{name} is not there; see {documentation}"))?;
        let first = read_to_string(path)?;
        ensure!(
            first.starts_with("-- Athena only: "),
            "{name} does not say so first"
        );
    }
    for (name, path) in files.iter().filter(|(name, _)| !is_athena_only(name)) {
        let sql = read_to_string(path)?;
        ensure!(
            sql.starts_with("-- ") && sql.contains("\n-- Adapt: "),
            "{name}: what is it, what to adapt"
        );
    }
    let statement = read_to_string(repository().join("sql/athena_create_table.sql"))?;
    let statement: Vec<&str> = statement.lines().filter(|line| !line.starts_with("--")).collect();
    assert_eq!(
        statement.join(" "),
        "CREATE EXTERNAL TABLE `usage` LOCATION 's3://YOUR-BUCKET/tables/usage' TBLPROPERTIES ('table_type' = 'DELTA');"
    );
    let terraform = ["locals.tf", "athena.tf", "glue.tf"]
        .map(|name| read_to_string(repository().join("terraform").join(name)).unwrap());
    let terraform = terraform.join("\n");
    let words: Vec<&str> = terraform.split_whitespace().collect();
    let terraform = words.join(" ");
    for said in [
        "table_prefix = \"tables/${var.table_name}\"",
        "table_location = \"s3://${local.bucket}/${local.table_prefix}\"",
        "\"s3://YOUR-BUCKET/tables/usage\", local.table_location",
        "location = local.table_location",
    ] {
        ensure!(terraform.contains(said), "Terraform does not say {said}");
    }
    Ok(())
}

/// Rows by start and key, as a table has them.
fn by_start(mut rows: Vec<TableRow>) -> Vec<TableRow> {
    rows.sort_by_key(|row| (row.start_ms, row.key.clone()));
    rows
}
