//! What `sniff` prints of a file is run as it is printed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, run, scratch_folder};
use streamgauge_testkit::{require, unique};

use super::cases::CASES;
use super::cases::Expected::Readings;
use super::same_kinds::INLINE;
use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(60);

/// What `sniff` prints, if it can read the file.
fn sniffed(file: &Path, flags: &[&str]) -> Result<Option<String>> {
    let mut command = streamgauge(["sniff"]);
    command.arg(file).args(flags);
    let mut child = Child::start("sniff-file", &mut command)?;
    Ok(child.wait(LIMIT)?.success().then(|| child.stdout()))
}

/// The commands of one kind that were printed.
fn commands<'p>(printed: &'p str, kind: &str) -> Vec<&'p str> {
    let beginning = format!("streamgauge {kind} ");
    printed
        .lines()
        .filter(|line| line.starts_with(&beginning))
        .collect()
}

/// Runs a line as a shell does in which the program is on PATH.
fn run_line(line: &str) -> Result<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_streamgauge"));
    let folder = program.parent().context("the program's folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .env("PATH", path)
        .current_dir(scratch_folder("sniff-line"));
    run("sniff-line", &mut shell, LIMIT)
}

/// The files of all cases, of each whether it can be read without flags.
fn files() -> Vec<(PathBuf, bool)> {
    let folder = scratch_folder("sniff-files");
    let inline = INLINE.iter().map(|(text, case)| {
        // A name that a shell would take apart.
        let path = folder.join(format!("it's {}.csv", case.name));
        std::fs::write(&path, text).unwrap();
        (
            path,
            case.flags.is_empty() && matches!(case.expected, Readings(_)),
        )
    });
    let of_folders = CASES.iter().map(|case| {
        let is_readable = case.flags.is_empty() && matches!(case.expected, Readings(_));
        (super::files::input(case.name), is_readable)
    });
    inline.chain(of_folders).collect()
}

#[test]
fn whatever_sniff_prints_of_a_file_runs() -> Result<()> {
    let mut several = 0;
    for (file, is_readable) in files() {
        let Some(printed) = sniffed(&file, &[])? else {
            ensure!(!is_readable, "{}: sniff refuses what play reads", file.display());
            continue;
        };
        let lines = commands(&printed, "backtest");
        several += usize::from(lines.len() > 1);
        for line in lines {
            run_line(&format!("{line} --no-report"))
                .with_context(|| format!("of {}:\n{printed}", file.display()))?;
        }
    }
    ensure!(several >= 3, "only {several} files can be read in several ways");
    Ok(())
}

#[test]
fn a_file_that_does_not_decide_is_shown_in_each_way_that_it_can_be() -> Result<()> {
    let folder = scratch_folder("sniff-open");
    for (name, text, flags) in [
        (
            "order",
            "Datetime,kWh\n01/02/2024 00:00,1\n02/02/2024 00:00,2\n",
            &["--date-order dmy", "--date-order mdy"][..],
        ),
        (
            "year",
            "time,kw\n3/5/24 0:05,1\n3/6/24 0:05,2\n",
            &["--time-format '%d/%m/%y %H:%M'", "--time-format '%m/%d/%y %H:%M'"],
        ),
        (
            "names",
            "time,kw,kw\n2024-03-05 00:00,1,100\n2024-03-05 00:05,2,200\n",
            &["--value-column 'kw#1'", "--value-column 'kw#2'"],
        ),
        (
            "unknown",
            "time,a,b\n2024-03-05 00:00,1,100\n2024-03-05 00:05,2,200\n",
            &["--value-column a", "--value-column b"],
        ),
        (
            "end",
            "hour ending,kw\n2024-03-05 01:00,1\n2024-03-05 02:00,2\n",
            &["", "--stamp end"],
        ),
        (
            "series",
            "time,kw,meter\n2024-03-05 00:00,1,a\n2024-03-05 00:00,2,b\n2024-03-05 01:00,1,a\n2024-03-05 01:00,2,b\n",
            &["--key-column meter"],
        ),
        (
            "long",
            "at,sensor,quantity,value\n2024-03-05T00:00Z,a,p,1\n2024-03-05T00:00Z,a,q,2\n2024-03-05T00:00Z,b,p,3\n\
             2024-03-05T00:00Z,b,q,4\n2024-03-05T01:00Z,a,p,5\n2024-03-05T01:00Z,a,q,6\n2024-03-05T01:00Z,b,p,7\n\
             2024-03-05T01:00Z,b,q,8\n",
            &["--key-column sensor --key-column quantity"],
        ),
        (
            "bis",
            "Datum bis;Verbrauch (kWh)\n05.03.2024 00:15;1,5\n13.03.2024 00:30;2,5\n",
            &["", "--stamp end"],
        ),
        (
            "comma",
            "time,kw\n2024-03-05 00:00,\"1,5\"\n2024-03-05 01:00,\"2,5\"\n",
            &["--decimal ,"],
        ),
    ] {
        let file = folder.join(format!("{name}.csv"));
        std::fs::write(&file, text)?;
        let printed = sniffed(&file, &[])?.with_context(|| format!("{name} is refused"))?;
        let expected: Vec<String> = flags
            .iter()
            .map(|flags| {
                format!("streamgauge backtest {} {flags}", file.display())
                    .trim_end()
                    .to_owned()
            })
            .collect();
        let found = commands(&printed, "backtest");
        ensure!(found == expected, "{name}: {printed}");
    }
    Ok(())
}

#[test]
fn the_printed_play_fills_the_topic_that_sniff_was_told() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let file = scratch_folder("sniff-play").join("zähler 1.csv");
    std::fs::write(
        &file,
        "Datum;Zeit;kWh\n01.02.2024;00:00;1,5\n01.02.2024;00:15;2,5\n",
    )?;
    let topic = unique("sniff-play");
    let printed = sniffed(&file, &["-b", kafka.brokers(), "-t", &topic])?.context("it is read")?;
    let lines = commands(&printed, "play");
    ensure!(lines.len() == 2, "{printed}");
    run_line(lines[0])?;
    let records = kafka.read_topic(&topic)?;
    let texts: Vec<String> = records
        .into_iter()
        .map(|record| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned())
        .collect();
    let mut texts = texts;
    texts.sort();
    let expected = [
        r#"{"ts": "2024-02-01 00:00:00", "value": 1.5}"#,
        r#"{"ts": "2024-02-01 00:15:00", "value": 2.5}"#,
    ];
    ensure!(texts == expected, "{texts:?}");
    Ok(())
}

#[test]
fn a_topic_that_does_not_exist_is_not_asked_to_be_made() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let topic = unique("sniff-missing");
    let mut command = streamgauge(["sniff", "-b", kafka.brokers(), "-t", &topic]);
    let mut child = Child::start("sniff-missing", &mut command)?;
    ensure!(!child.wait(LIMIT)?.success(), "there is nothing to look at");
    let told = child.stderr();
    let expected = format!("topic {topic} does not exist at {}", kafka.brokers());
    ensure!(told.contains(&expected) && !told.contains("create"), "{told}");
    Ok(())
}
