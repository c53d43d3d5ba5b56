//! Other implementations of Delta Lake that read a table back: delta-rs' Python package, DuckDB over Arrow, and
//! Delta Kernel for Java. All say what they saw in the same words.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cache::{maven_libraries, python_environment};
use super::process::run;
use super::{find_program, once};

const READ_LIMIT: Duration = Duration::from_secs(120);
const KERNEL: &str = "io.delta:delta-kernel-defaults:4.0.0";

/// A table as a reader saw it.
#[derive(Debug, PartialEq)]
pub struct ReadTable {
    /// Column names, and their types in Delta's words (`string`, `timestamp`, `double`, `long`).
    pub schema: Vec<(String, String)>,
    pub reader_version: u32,
    pub writer_version: u32,
    /// Rows in the order of their text. Timestamps are microseconds since 1970; doubles are equal to the last bit,
    /// and text where JSON has no number for them.
    pub rows: Vec<Map<String, Value>>,
}

/// A Python environment with delta-rs, DuckDB, pandas and pyarrow.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    pub fn shared() -> Result<&'static Python> {
        static SHARED: OnceLock<Result<Python, String>> = OnceLock::new();
        once(&SHARED, || {
            let interpreter = python_environment(&readers_folder().join("requirements.txt"))?;
            Ok(Python { interpreter })
        })
    }

    /// Reads a table, local or in S3, with delta-rs' own engine.
    pub fn read_with_delta_rs(&self, uri: &str, storage_options: &[(String, String)]) -> Result<ReadTable> {
        self.read("delta-rs", uri, storage_options)
    }

    /// Reads a table through pyarrow's Parquet reader with SQL of DuckDB.
    pub fn read_with_duckdb(&self, uri: &str, storage_options: &[(String, String)]) -> Result<ReadTable> {
        self.read("duckdb", uri, storage_options)
    }

    fn read(&self, engine: &str, uri: &str, storage_options: &[(String, String)]) -> Result<ReadTable> {
        let options: Map<String, Value> = storage_options
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let script = readers_folder().join("read_table.py");
        parse(&self.run(&script, &[engine, uri, &Value::from(options).to_string()])?)
    }

    /// Runs a script and returns what it printed.
    pub fn run(&self, script: &Path, arguments: &[&str]) -> Result<String> {
        run(
            "python",
            Command::new(&self.interpreter).arg(script).args(arguments),
            READ_LIMIT,
        )
    }
}

/// Delta Kernel for Java.
#[derive(Debug)]
pub struct DeltaKernel {
    java: PathBuf,
    libraries: PathBuf,
}

impl DeltaKernel {
    pub fn shared() -> Result<&'static DeltaKernel> {
        static SHARED: OnceLock<Result<DeltaKernel, String>> = OnceLock::new();
        once(&SHARED, || {
            let java = find_program("java")?;
            let modules = run("java", Command::new(&java).arg("--list-modules"), READ_LIMIT)?;
            ensure!(
                modules.contains("jdk.compiler"),
                "{} has no compiler: install a JDK",
                java.display()
            );
            let libraries = maven_libraries("delta-kernel-4.0.0", &[KERNEL, "org.slf4j:slf4j-nop:1.7.36"])?;
            Ok(DeltaKernel { java, libraries })
        })
    }

    /// Reads a local table.
    pub fn read(&self, table: &Path) -> Result<ReadTable> {
        let mut command = Command::new(&self.java);
        command
            .args(["-XX:-UsePerfData", "-Xmx512m", "-cp"])
            .arg(self.libraries.join("*"));
        command.arg(readers_folder().join("KernelReader.java")).arg(table);
        parse(&run("delta-kernel", &mut command, READ_LIMIT)?)
    }
}

fn readers_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../readers")
}

/// The first line a reader prints.
#[derive(Deserialize)]
struct Header {
    schema: Vec<(String, String)>,
    reader_version: u32,
    writer_version: u32,
}

fn parse(output: &str) -> Result<ReadTable> {
    let mut lines = output.lines();
    let header: Header = serde_json::from_str(lines.next().context("the reader printed nothing")?)?;
    let mut rows = lines
        .map(|line| {
            let mut row: Map<String, Value> = serde_json::from_str(line)?;
            for (column, _) in header.schema.iter().filter(|(_, kind)| kind == "double") {
                if let Some(value) = row.get_mut(column) {
                    *value = double(value)?;
                }
            }
            Ok(row)
        })
        .collect::<Result<Vec<_>>>()?;
    rows.sort_by_cached_key(|row| Value::from(row.clone()).to_string());
    let Header {
        schema,
        reader_version,
        writer_version,
    } = header;
    Ok(ReadTable {
        schema,
        reader_version,
        writer_version,
        rows,
    })
}

/// Readers print doubles as text, because the JSON parser may be off by the last bit and JSON has no NaN.
fn double(printed: &Value) -> Result<Value> {
    match printed {
        Value::String(text) => {
            let number: f64 = text.parse().with_context(|| format!("{text} is no double"))?;
            Ok(if number.is_finite() {
                Value::from(number)
            } else {
                Value::from(number.to_string())
            })
        }
        other => {
            ensure!(other.is_null(), "{other} is no double");
            Ok(Value::Null)
        }
    }
}
