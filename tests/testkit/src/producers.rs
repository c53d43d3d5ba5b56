//! Messages as producers really write them, made by the producers' own libraries: Telegraf's serializers, influxdb-client's points,
//! OpenTelemetry's metrics in JSON, and Debezium's change events through Kafka Connect's JSON converter.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cache::{cached, maven_libraries, python_environment};
use super::find_program;
use super::process::run;

/// A first run compiles what Java and Go are given as text.
const LIMIT: Duration = Duration::from_secs(120);
/// Go fetches and compiles what Telegraf's serializers need.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// Telegraf's metrics by its own serializer (`influx`, `json` or `json-batch`), one message a line.
pub fn telegraf(format: &str) -> Result<Vec<String>> {
    lines("telegraf", Command::new(telegraf_program()?).arg(format))
}

/// Points or metrics of a Python library (`influx` or `otel`), one message a line.
pub fn python(library: &str) -> Result<Vec<String>> {
    let interpreter = python_environment(&folder().join("requirements.txt"))?;
    let script = folder().join("messages.py");
    lines("python", Command::new(interpreter).arg(script).arg(library))
}

/// Debezium's change events, one message a line, an empty line for a tombstone.
pub fn change_events(with_schema: bool) -> Result<Vec<String>> {
    const ARTIFACTS: [&str; 3] = [
        "org.apache.kafka:connect-json:4.1.0",
        "io.debezium:debezium-core:3.3.1.Final",
        "org.slf4j:slf4j-nop:1.7.36",
    ];
    let java = find_program("java")?;
    let libraries = maven_libraries("debezium-3.3.1", &ARTIFACTS)?;
    let mut command = Command::new(java);
    command
        .args(["-XX:-UsePerfData", "-Xmx256m", "-cp"])
        .arg(libraries.join("*"))
        .arg(folder().join("ChangeEvents.java"))
        .arg(with_schema.to_string());
    lines("change-events", &mut command)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../producers")
}

fn lines(name: &str, command: &mut Command) -> Result<Vec<String>> {
    let output = run(name, command, LIMIT)?;
    Ok(output.lines().map(str::to_owned).collect())
}

fn telegraf_program() -> Result<PathBuf> {
    let source = folder().join("telegraf");
    let files = ["main.go", "go.mod", "go.sum"];
    let texts: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(source.join(file)).with_context(|| format!("{file} is missing")))
        .collect::<Result<_>>()?;
    let checksum = crc32fast::hash(&texts.concat());
    let program = cached(&format!("telegraf-{checksum:08x}"), |target| {
        let mut go = Command::new(find_program("go")?);
        go.current_dir(&source)
            .args(["build", "-o"])
            .arg(target.join("telegraf-messages"))
            .arg(".");
        run("go", &mut go, BUILD_LIMIT).map(drop)
    })?;
    Ok(program.join("telegraf-messages"))
}
