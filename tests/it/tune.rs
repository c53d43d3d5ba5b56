//! `streamgauge tune`: settings compared by what people said of a history whose faults are known.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use streamgauge_testkit::process::{Child, scratch_folder};

use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(120);

const METERS: [&str; 2] = ["boiler-7", "pump-2"];
/// Six weeks of readings, one in ten minutes.
const READINGS: usize = 42 * READINGS_A_DAY;
const READINGS_A_DAY: usize = 144;
/// A fault lasts so many readings, and what was meant a single one.
const FAULT_READINGS: usize = 6;

/// Numbers from 0 to 1 that look random, and are the same everywhere.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around 0, most of it between -1 and 1.
    fn bell(&mut self) -> f64 {
        (0..4).map(|_| self.next()).sum::<f64>() - 2.0
    }
}

/// Whether an event was a fault, by its meter and its first reading. Every other day from the twelfth on each meter has one:
/// faults and what somebody does on purpose, by turns.
fn events() -> BTreeMap<(usize, usize), bool> {
    let days = (12..40).step_by(2);
    let of_day = |(count, day): (usize, usize)| {
        let first = READINGS_A_DAY * day + 37 + (count * 29) % 90;
        (0..METERS.len()).map(move |meter| ((meter, first), count % 2 == meter))
    };
    days.enumerate().flat_map(of_day).collect()
}

fn time(reading: usize) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(1_772_409_600, 0).unwrap() + TimeDelta::minutes(10 * reading as i64)
}

fn length(is_fault: bool) -> usize {
    if is_fault { FAULT_READINGS } else { 1 }
}

/// The readings of the meters: warmer by day, far warmer in a fault, and a little so where it was meant.
fn readings(events: &BTreeMap<(usize, usize), bool>) -> String {
    let mut noise = Noise(20_261_128);
    let mut csv = "time,value,meter\n".to_owned();
    for reading in 0..READINGS {
        let by_day = f64::from(u8::from((36..108).contains(&(reading % READINGS_A_DAY))));
        for (meter, name) in METERS.iter().enumerate() {
            let mut value = 70.0 + 6.0 * by_day + noise.bell();
            for first in reading.saturating_sub(FAULT_READINGS - 1)..=reading {
                value += match events.get(&(meter, first)) {
                    Some(true) => 30.0,
                    Some(false) if first == reading => 5.0,
                    Some(false) | None => 0.0,
                };
            }
            csv += &format!(
                "{},{value:.2},{name}\n",
                time(reading).format("%Y-%m-%d %H:%M:%S")
            );
        }
    }
    csv
}

/// What was said of them, in lines.
fn answers(events: &BTreeMap<(usize, usize), bool>) -> Vec<String> {
    let answer = |(number, ((meter, first), is_fault)): (usize, (&(usize, usize), &bool))| {
        let about = json!({
            "episode": format!("usage/0/{number}/0"),
            "series": METERS[*meter],
            "since": time(*first).to_rfc3339(),
            "until": time(first + length(*is_fault)).to_rfc3339(),
        });
        let verdict = if *is_fault { "real" } else { "expected" };
        json!({ "about": about, "verdict": verdict }).to_string()
    };
    events.iter().enumerate().map(answer).collect()
}

/// A folder with the readings and so many of the answers.
fn scene(most_answers: usize) -> PathBuf {
    let folder = scratch_folder("tune");
    let events = events();
    fs::write(folder.join("meters.csv"), readings(&events)).unwrap();
    let mut answers = answers(&events);
    answers.truncate(most_answers);
    fs::write(folder.join("answers.jsonl"), answers.join("\n")).unwrap();
    folder
}

fn program(command: &str, folder: &Path, arguments: &[&str]) -> (Child, Option<i32>) {
    let arguments = [command, "meters.csv", "--key-column", "meter"]
        .into_iter()
        .chain(arguments.iter().copied());
    let mut command = streamgauge(arguments);
    command.current_dir(folder);
    let mut child = Child::start("tune", &mut command).unwrap();
    let status = child.wait(LIMIT).unwrap();
    (child, status.code())
}

fn tune(folder: &Path, arguments: &[&str]) -> (Child, Option<i32>) {
    program(
        "tune",
        folder,
        &[&["--labels", "answers.jsonl"], arguments].concat(),
    )
}

fn tuned(folder: &Path, arguments: &[&str]) -> String {
    let (child, code) = tune(folder, arguments);
    assert_eq!(code, Some(0), "{arguments:?}:\n{}", child.output());
    child.stdout()
}

#[test]
fn tune_proposes_what_keeps_the_faults_and_spares_the_false_alarms() {
    let folder = scene(usize::MAX);
    let printed = tuned(&folder, &["--maxrows", "2"]);
    for part in [
        "14 of 14 (78 to 100 %)  14 of 14 (78 to 100 %)",
        "present settings",
        "more; --maxrows all shows them",
        "\nProposed: detect.",
        "It keeps all 14 confirmed faults and spares 14 of 14 false alarms; the present settings keep 14 and spare",
        "\n[detect]\n",
        "# now \"auto\"",
    ] {
        assert!(printed.contains(part), "{part} in:\n{printed}");
    }

    let result: Value = serde_json::from_str(&tuned(&folder, &["--json"])).unwrap();
    assert_eq!(result["answers"], 28);
    let present = &result["present"];
    assert_eq!(present["confirmed_kept"]["count"], 14, "{present}");
    assert!(
        present["false_alarms_spared"]["count"].as_u64().unwrap() < 14,
        "{present}"
    );
    let best = &result["candidates"][0];
    assert_eq!(best["changes"], result["proposal"]["changes"]);
    for share in ["confirmed_kept", "false_alarms_spared"] {
        assert_eq!(best[share]["count"], 14, "{best}");
    }

    // The lines that are proposed are a settings file, by which the faults alone are found.
    let proposed = result["proposal"]["toml"].as_str().unwrap();
    fs::write(folder.join("proposed.toml"), proposed).unwrap();
    let arguments = ["--config", "proposed.toml", "--format", "json", "--no-report"];
    let (child, code) = program("backtest", &folder, &arguments);
    assert_eq!(code, Some(0), "{}", child.output());
    let summary: Value = serde_json::from_str(&child.stdout()).unwrap();
    assert_eq!(summary["total"]["episodes"], best["alarms"]);
}

#[test]
fn tune_proposes_nothing_by_nineteen_answers() {
    let folder = scene(19);
    let expected = "Nothing is proposed: 19 answers are of these readings, and fewer than 20 say too little.";
    let printed = tuned(&folder, &[]);
    assert!(printed.starts_with(expected), "{printed}");
    let result: Value = serde_json::from_str(&tuned(&folder, &["--json"])).unwrap();
    assert_eq!(
        (&result["answers"], &result["proposal"]),
        (&json!(19), &Value::Null)
    );

    // Answers of other series, and of times without readings, are no answers.
    let folder = scene(20);
    let (child, _) = tune(&folder, &["--until", "2026-03-20"]);
    assert!(
        child.stdout().starts_with("Nothing is proposed: "),
        "{}",
        child.output()
    );
    assert!(
        child
            .stderr()
            .contains("before the first or after the last reading"),
        "{}",
        child.stderr()
    );
    let renamed = fs::read_to_string(folder.join("answers.jsonl")).unwrap();
    fs::write(
        folder.join("answers.jsonl"),
        renamed.replace("boiler-7", "boiler-8"),
    )
    .unwrap();
    let (child, _) = tune(&folder, &[]);
    assert!(
        child.stdout().starts_with("Nothing is proposed: "),
        "{}",
        child.output()
    );
    assert!(
        child
            .stderr()
            .contains("they are of boiler-8, and the files have boiler-7, pump-2"),
        "{}",
        child.stderr()
    );
}

#[test]
fn tune_compares_what_it_is_asked_to() {
    let folder = scene(usize::MAX);
    let receiver = [
        "--set",
        "alert.receiver.ops.kind=slack",
        "--set",
        "alert.receiver.ops.url=https://hooks.slack.com/services/T/B/x",
        "--set",
        "detect.rules.*=above 78.5 until below 78",
        "--candidate",
        "detect.detector=none",
        "--candidate",
        "alert.receiver.ops.min_duration=0s,15m,2h",
        "--json",
    ];
    let result: Value = serde_json::from_str(&tuned(&folder, &receiver)).unwrap();
    let candidates = result["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 3, "{result}");
    let alarms = |least: Option<&str>| {
        let has_least = |candidate: &&Value| {
            let changes = candidate["changes"].as_array().unwrap();
            changes.get(1).and_then(|change| change["to"].as_str()) == least
        };
        candidates.iter().find(has_least).unwrap()["alarms"]
            .as_u64()
            .unwrap()
    };
    // A fault is over after an hour, and what was meant after ten minutes.
    assert!(alarms(None) > 14, "{result}");
    assert_eq!((alarms(Some("15m")), alarms(Some("2h"))), (14, 0), "{result}");
    assert_eq!(
        result["proposal"]["toml"].as_str().unwrap(),
        "[detect]\ndetector = \"none\"  # now \"adaptive-band\"\n\n\
         [[alert.receiver]]  # the one named ops\nmin_duration = \"15m\"  # now \"0s\""
    );
}

#[test]
fn what_tune_cannot_read_is_refused_by_name() {
    let folder = scene(20);
    for (candidate, code, expected) in [
        ("detect.treshold=7", 2, "did you mean `detect.threshold`?"),
        ("detect.threshold=7,high", 2, "--candidate detect.threshold"),
        ("kafka.brokers=a:1", 2, "kafka.brokers cannot be compared"),
        ("detect.preset=default,nonsense", 2, "detect.preset"),
        (
            "detect.preset=boston-tutorial",
            1,
            "detect.preset=boston-tutorial changes how readings are read",
        ),
    ] {
        let (child, found) = tune(&folder, &["--candidate", candidate]);
        assert_eq!(found, Some(code), "{candidate}:\n{}", child.output());
        assert!(
            child.stderr().contains(expected),
            "{candidate}:\n{}",
            child.stderr()
        );
    }
    let mut lines = answers(&events());
    lines[4] = lines[4].replace("real", "maybe").replace("expected", "maybe");
    fs::write(folder.join("answers.jsonl"), lines.join("\n")).unwrap();
    let (child, code) = tune(&folder, &[]);
    assert_eq!(code, Some(1));
    let expected = "cannot read the answers answers.jsonl: line 5: verdict must be";
    assert!(child.stderr().contains(expected), "{}", child.stderr());
}
