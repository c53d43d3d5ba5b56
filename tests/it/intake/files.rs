//! The files of tests/data/field-cases through `backtest`, which reads as `play` does, by the flags that each needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use streamgauge_testkit::process::{Child, scratch_folder};

use super::cases::Expected::{Readings, Refused};
use super::cases::{CASES, Case};
use super::same_kinds::INLINE;
use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/field-cases")
}

/// The file of a case.
pub(super) fn input(name: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder().join(name)).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_input = |path: &PathBuf| !path.ends_with("expected.txt");
    paths.find(is_input).unwrap()
}

/// What `backtest` took from a file, and what it told.
fn taken(path: &Path, flags: &[&str]) -> (bool, Vec<(String, f64)>, String) {
    let scores = scratch_folder("field-case").join("scores.csv");
    let mut command = streamgauge(["backtest"]);
    command
        .arg(path)
        .args(["--no-report", "--scores"])
        .arg(&scores)
        .args(flags);
    let mut child = Child::start("field-case", &mut command).unwrap();
    let is_success = child.wait(LIMIT).unwrap().success();
    let readings = match std::fs::read(&scores) {
        Err(_) => Vec::new(),
        Ok(bytes) => {
            let mut reader = csv::Reader::from_reader(bytes.as_slice());
            let rows = reader.records().map(|row| row.unwrap());
            rows.map(|row| (row[1].to_owned(), row[2].parse().unwrap()))
                .collect()
        }
    };
    (is_success, readings, child.stderr())
}

fn check(name: &str, path: &Path, case: &Case) -> Result<(), String> {
    let (is_success, found, told) = taken(path, case.flags);
    let expected: Vec<(String, f64)> = match case.expected {
        Readings(readings) => readings
            .iter()
            .map(|(time, value)| ((*time).to_owned(), *value))
            .collect(),
        Refused => Vec::new(),
    };
    let fault = |what: &str| {
        Err(format!(
            "{name} {:?}: {what}\nfound {found:?}\ntold {told}",
            case.flags
        ))
    };
    if is_success == matches!(case.expected, Refused) {
        return fault("another outcome");
    }
    if found != expected {
        return fault(&format!("other readings, not {expected:?}"));
    }
    match case.told.iter().find(|sentence| !told.contains(*sentence)) {
        Some(sentence) => fault(&format!("it does not say {sentence:?}")),
        None => Ok(()),
    }
}

#[test]
fn every_file_is_read_as_it_should_be_or_answered() {
    let faults: Vec<String> = CASES
        .iter()
        .filter_map(|case| check(case.name, &input(case.name), case).err())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_file_has_a_case() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_case = CASES.iter().any(|case| case.name == name) || name.starts_with('x');
        assert!(is_case || name == "README.md", "{name}");
    }
}

#[test]
fn a_report_shows_names_and_keys_as_text() {
    let path = input("x01-report-escape");
    let mut command = streamgauge(["backtest"]);
    command.arg(&path).args(["--key-column", "meter"]);
    let mut child = Child::start("x01", &mut command).unwrap();
    assert!(child.wait(LIMIT).unwrap().success(), "{}", child.stderr());
    let html = std::fs::read_to_string(child.folder().join("streamgauge-backtest.html")).unwrap();
    assert!(!html.contains("<img src=x") && !html.contains("<script>alert"));
}

#[test]
fn files_of_the_same_kinds_are_read_or_answered_too() {
    let folder = scratch_folder("field-case-inline");
    let faults: Vec<String> = INLINE
        .iter()
        .filter_map(|(text, case)| {
            let path = folder.join(format!("{}.csv", case.name));
            std::fs::write(&path, text).unwrap();
            check(case.name, &path, case).err()
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
