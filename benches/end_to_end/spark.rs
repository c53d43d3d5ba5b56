//! The same job in Spark Structured Streaming and delta-spark, as the tutorial has it, but for the meters' key.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::measure::Measurement;
use super::{LIMIT, Run, report};
use streamgauge_testkit::cache::{cached, python_environment};
use streamgauge_testkit::process::{run as run_to_end, scratch_folder};

/// The output of the job.
#[derive(Debug, Deserialize)]
struct Outcome {
    seconds: f64,
    rows: u64,
    processor_seconds: f64,
    peak_resident: u64,
}

/// Runs the job once. Its time without starting up is that of the query; processor time and memory are those of the
/// virtual machine, which Python starts.
pub fn run(brokers: &str, topic: &str, readings: u64) -> Result<Run> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/end_to_end/spark");
    let python = python_environment(&sources.join("requirements.txt"))?;
    let jars = jars(&sources, &python)?;
    let folder = scratch_folder("spark-table");
    let mut command = Command::new(&python);
    command.arg(sources.join("job.py")).args([brokers, topic]);
    command
        .arg(folder.join("table"))
        .arg(folder.join("checkpoints"))
        .args(&jars);
    let mut measured = Measurement::start("spark", &mut command)?.finish(LIMIT)?;
    let line = measured.stdout.lines().last().unwrap_or_default();
    let outcome: Outcome = serde_json::from_str(line)
        .with_context(|| format!("the job's last line is not its outcome: {line:?}"))?;
    ensure!(
        outcome.rows > readings / 1_000,
        "Spark made only {} rows",
        outcome.rows
    );
    std::fs::remove_dir_all(folder)?;
    measured.processor = Duration::from_secs_f64(outcome.processor_seconds);
    measured.peak_resident = outcome.peak_resident;
    Ok(Run {
        program: report::SPARK,
        working: Duration::from_secs_f64(outcome.seconds),
        measured,
    })
}

/// The jars of Kafka's source and of Delta, and the stub of the token provider, compiled.
fn jars(sources: &Path, python: &Path) -> Result<Vec<PathBuf>> {
    let folder = cached("spark-4.0.1-jars", |folder| {
        let mut maven = Command::new("mvn");
        maven
            .args(["-q", "-B", "dependency:copy-dependencies", "-f"])
            .arg(sources.join("pom.xml"));
        maven.arg(format!("-DoutputDirectory={}", folder.display()));
        run_to_end("mvn", &mut maven, LIMIT)?;
        compile_stub(sources, python, folder)
    })?;
    let jars = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    jars.filter(|path: &Result<PathBuf>| {
        path.as_ref()
            .is_ok_and(|path| path.extension().is_some_and(|extension| extension == "jar"))
    })
    .collect()
}

fn compile_stub(sources: &Path, python: &Path, folder: &Path) -> Result<()> {
    let script = "import pyspark, os; print(os.path.join(os.path.dirname(pyspark.__file__), 'jars', '*'))";
    let spark_jars = run_to_end("python", Command::new(python).args(["-c", script]), LIMIT)?;
    let classes = scratch_folder("stub");
    let stub = sources.join("stub/org/apache/spark/kafka010");
    let files = std::fs::read_dir(stub)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    let mut javac = Command::new("javac");
    javac
        .args(["-nowarn", "-cp", spark_jars.trim(), "-d"])
        .arg(&classes)
        .args(files);
    run_to_end("javac", &mut javac, LIMIT)?;
    let mut jar = Command::new("jar");
    jar.arg("--create")
        .arg("--file")
        .arg(folder.join("token-provider-stub.jar"))
        .arg("-C")
        .arg(classes)
        .arg(".");
    run_to_end("jar", &mut jar, LIMIT).map(drop)
}
