//! `streamgauge backtest`: the program on files, without a broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveDateTime;
use streamgauge::config::{Config, Overrides, load};
use streamgauge::detectors::{Calendar, MessageIds, Observation, Series, models};
use streamgauge::notation::zone::{AmbiguousTime, wall_to_instant_ms};
use streamgauge_testkit::process::{Child, scratch_folder};

use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(60);

/// Readings of the City of Boston, and series of NAB with their labels.
const BOSTON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/commands/demo/boston_tuesdays.csv"
);
const NAB: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/nab/data/realAWSCloudwatch"
);
/// The series of it that are tested here.
const NAB_FILES: [&str; 2] = ["ec2_cpu_utilization_fe7f93.csv", "ec2_network_in_5abac7.csv"];
const LABELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nab/windows.json");

/// Runs `streamgauge backtest`, and waits for its end.
fn backtest(arguments: &[&str]) -> (Child, bool) {
    let arguments = ["backtest"].iter().chain(arguments).copied();
    let mut child = Child::start("backtest", &mut streamgauge(arguments)).unwrap();
    let status = child.wait(LIMIT).unwrap();
    (child, status.success())
}

fn succeeded(arguments: &[&str]) -> Child {
    let (child, is_success) = backtest(arguments);
    assert!(is_success, "{arguments:?}:\n{}", child.output());
    child
}

/// The rows of a CSV below its heading.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.records().map(|record| record.unwrap());
    rows.map(|record| record.iter().map(str::to_owned).collect())
        .collect()
}

fn file(name: &str, contents: &str) -> PathBuf {
    let path = scratch_folder("backtest-input").join(name);
    fs::write(&path, contents).unwrap();
    path
}

/// A folder of the two series, in a folder of their name as in the benchmark.
fn nab() -> String {
    let root = scratch_folder("nab");
    let folder = root.join("realAWSCloudwatch");
    fs::create_dir(&folder).unwrap();
    for name in NAB_FILES {
        fs::copy(Path::new(NAB).join(name), folder.join(name)).unwrap();
    }
    root.display().to_string()
}

#[test]
fn one_file_is_printed_in_full_and_reported_in_one_file() {
    let child = succeeded(&[BOSTON, "--preset", "boston-tutorial", "--maxrows", "3"]);
    let stdout = child.stdout();
    // As many as scikit-learn calls outliers: tests/data/golden.
    assert!(
        stdout.starts_with("What would have been published (anomalies: 315, episodes: 7):\n"),
        "{stdout}"
    );
    assert!(stdout.contains("… 4 more; --maxrows all shows them"), "{stdout}");
    let summary = stdout.lines().last().unwrap();
    let words: Vec<&str> = summary.split_whitespace().collect();
    assert_eq!(words, ["boston_tuesdays.csv", "2,015", "6.1", "315", "51.33"]);
    let stderr = child.stderr();
    let lines: Vec<&str> = stderr.lines().collect();
    let learning = "boston_tuesdays.csv: learning until 2024-04-02 00:00, judged from then on";
    assert_eq!(lines, [learning, "report     streamgauge-backtest.html"]);

    let html = fs::read_to_string(child.folder().join("streamgauge-backtest.html")).unwrap();
    assert!(html.starts_with("<!doctype html>"));
    for loading in [" src=", "href=\"http", "href=\"/", "@import", "url("] {
        assert!(!html.contains(loading), "{loading}");
    }
    let (_, rest) = html.split_once("id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(data["series"][0]["values"].as_array().unwrap().len(), 2015);
    assert_eq!(data["series"][0]["alerts"].as_array().unwrap().len(), 321);
    assert_eq!(data["unit"], "kW");
}

#[test]
fn a_labeled_folder_is_scored_as_the_benchmark_does() {
    let nab = nab();
    let child = succeeded(&[
        &nab,
        "--labels",
        LABELS,
        "--preset",
        "ec2-tutorial",
        "--no-report",
        "--format",
        "csv",
    ]);
    let rows = rows(&child.stdout());
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0][0], "realAWSCloudwatch/ec2_cpu_utilization_fe7f93.csv");
    assert_eq!(&rows[0][6..9], ["3", "2", "124"]);
    let total = &rows[2];
    assert_eq!([&total[0], &total[2], &total[4]], ["total", "8762", "283"]);
    // As a reference implementation in Python computed them from the same scores: fixed, then swept.
    let expected = [
        -165.51733627259281,
        -407.13300483135504,
        -83.67822418172855,
        1.279475159082466,
        0.0,
        14.18631677272178,
    ];
    for (found, expected) in total[10..16].iter().zip(expected) {
        let found: f64 = found.parse().unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
    let stderr = child.stderr();
    assert!(
        stderr.contains("6 readings have the time, value and key of another"),
        "{stderr}"
    );
    assert!(
        stderr.contains("has labels of 3 files, of which 2 were read"),
        "{stderr}"
    );
    assert!(!child.folder().join("streamgauge-backtest.html").exists());

    let json = succeeded(&[
        &nab,
        "--labels",
        LABELS,
        "--preset",
        "ec2-tutorial",
        "--format",
        "json",
    ])
    .stdout();
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["total"]["alerts"], 283);
    assert_eq!(summary["nab"][0]["profile"], "standard");
    assert_eq!(summary["nab"][1]["swept_threshold"], serde_json::Value::Null);

    let table = succeeded(&[&nab, "--labels", LABELS, "--preset", "ec2-tutorial"]).stdout();
    assert!(table.contains("fixed: as the detector decided"), "{table}");
    assert!(
        table.contains("swept: with the best threshold in hindsight"),
        "{table}"
    );
}

/// The scores of the detector of these settings, asked directly.
fn scores_of(config: &Config, readings: &[(String, f64)]) -> Vec<(f64, bool)> {
    let settings = &config.pipeline;
    let models = models(
        settings.detect.detector,
        settings.detect.threshold,
        &settings.detect.rules,
        &settings.detectors,
    )
    .unwrap();
    let mut series = Series::new(&models, "");
    let zone = settings.detect.calendar_zone(settings.reading.time_zone);
    let mut calendar = Calendar::new(zone);
    let mut scores = Vec::new();
    for (time, value) in readings {
        let wall_time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").unwrap();
        let event_time_ms = wall_to_instant_ms(
            wall_time,
            config.pipeline.reading.time_zone,
            AmbiguousTime::Earlier,
            None,
        );
        let observation = Observation {
            event_time_ms,
            local_time_ms: calendar.local_time_ms(event_time_ms),
            value: *value,
        };
        let mut verdicts = Vec::new();
        let mut ids = MessageIds::of_record(0);
        series.observe(observation, &mut ids, &mut verdicts);
        // The end of an episode comes after the score.
        assert!(verdicts.iter().skip(1).all(|verdict| verdict.cause.is_end()));
        scores.push((verdicts[0].score, verdicts[0].is_anomaly));
    }
    scores
}

#[test]
fn scores_are_what_the_detector_says_of_every_reading() {
    let folder = scratch_folder("scores");
    for detector in ["adaptive-band", "half-space-trees", "isolation-forest"] {
        let path = folder.join(detector).with_extension("csv");
        let zone = "reading.time_zone=America/New_York";
        let scores = path.to_str().unwrap();
        succeeded(&[
            BOSTON,
            "--detector",
            detector,
            "--set",
            zone,
            "--scores",
            scores,
            "--no-report",
        ]);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some("key,ts,value,score,threshold,anomaly"));
        let rows = rows(&text);
        assert_eq!(rows.len(), 2015);
        let readings: Vec<(String, f64)> = rows
            .iter()
            .map(|row| (row[1].clone(), row[2].parse().unwrap()))
            .collect();
        let overrides = Overrides::default()
            .with("detect.detector", "", Some(detector))
            .with("reading.time_zone", "", Some("America/New_York"));
        let config = load(&overrides, None, []).unwrap().config;
        let found: Vec<(f64, bool)> = rows
            .iter()
            .map(|row| (row[3].parse().unwrap(), row[5] == "1"))
            .collect();
        assert_eq!(found, scores_of(&config, &readings), "{detector}");
    }
}

#[test]
fn scores_of_several_files_go_into_a_folder() {
    let folder = scratch_folder("scores").join("new");
    let path = folder.to_str().unwrap();
    succeeded(&[
        &nab(),
        "--scores",
        path,
        "--no-report",
        "--preset",
        "ec2-tutorial",
    ]);
    let scores = fs::read_to_string(folder.join("realAWSCloudwatch/ec2_network_in_5abac7.csv")).unwrap();
    // Repeated rows are included, so that scores align with the original's rows.
    assert_eq!(rows(&scores).len(), 4730);
}

fn alerts(arguments: &[&str]) -> u64 {
    let arguments: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(["--no-report", "--format", "csv"])
        .collect();
    let rows = rows(&succeeded(&arguments).stdout());
    rows.last().unwrap()[4].parse().unwrap()
}

#[test]
fn settings_are_compared() {
    let strict = alerts(&[BOSTON, "--preset", "boston-tutorial", "--threshold", "0.6"]);
    let set = ["--preset", "boston-tutorial", "--set", "detect.threshold=0.6"];
    assert_eq!(alerts(&[&[BOSTON], &set[..]].concat()), strict);
    assert!(0 < strict && strict < 315, "{strict}");
    // The load rises above 1,000 kW so many times.
    let rules = ["--detector", "none", "--set", "detect.rules.*=above 1000"];
    assert_eq!(alerts(&[&[BOSTON], &rules[..]].concat()), 35);
    let day = ["--from", "2024-03-05", "--until", "2024-03-06"];
    let one_day = [&[BOSTON], &rules[..], &day].concat();
    assert_eq!(alerts(&one_day), 3);
}

#[test]
fn a_disk_that_fills_up_is_told_before_it_is_full() {
    let hours = (0..90).map(|hour| {
        let used = 40.0 + 0.5 * f64::from(hour);
        format!("2024-03-{:02} {:02}:00:00,{used}\n", 1 + hour / 24, hour % 24)
    });
    let disk = file("disk.csv", &format!("ts,value\n{}", hours.collect::<String>()));
    let rule = "detect.rules.*=reaches 95 within 3d";
    let judged = ["--no-report", "--detector", "none", "--set", rule];
    let stdout = succeeded(&[&[disk.to_str().unwrap()], &judged[..]].concat()).stdout();
    let told = "reaches 95 within 3d began: 76 at Mon 00:00, reaches 95 in 1d ";
    assert!(
        stdout.contains(told) && stdout.contains(", rising 12 a day"),
        "{stdout}"
    );
}

#[test]
fn sides_sizes_days_and_sliding_windows_are_those_of_the_settings() {
    let with = |settings: &[&str]| {
        let set = settings.iter().flat_map(|setting| ["--set", setting]);
        alerts(&[BOSTON].into_iter().chain(set).collect::<Vec<_>>())
    };
    // The one anomaly of the default is a value of 749 where 514 are expected.
    for (setting, expected) in [
        ("detect.direction.*=above", 1),
        ("detect.direction.*=below", 0),
        ("detect.least_change.*=200; 40%", 1),
        ("detect.least_change.*=50%", 0),
        ("detect.calendar=[\"US\", \"2024-04-16\"]", 1),
    ] {
        assert_eq!(with(&[setting]), expected, "{setting}");
    }
    let below = succeeded(&[BOSTON, "--no-report", "--set", "detect.direction.*=below"]);
    let counted = "anomalies that detect.direction or detect.least_change pass over: 1";
    assert!(below.stderr().contains(counted), "{}", below.output());
    let hours = [
        "detect.detector=none",
        "detect.input=windows",
        "detect.rules.*=above 950",
    ];
    let sliding = with(&[&hours[..], &["detect.slide=5m"]].concat());
    assert!(sliding >= with(&hours) && sliding > 0, "{sliding}");
}

#[test]
fn series_of_one_file_are_kept_apart() {
    let mut csv = String::from("meter,at,kw\n");
    for minute in 0..60 {
        csv += &format!(
            "a,2024-03-05 00:{minute:02},{}\n",
            if minute == 30 { 99 } else { 5 }
        );
        csv += &format!("</script>,2024-03-05 00:{minute:02},5\n");
    }
    let path = file("meters.csv", &csv);
    let path = path.to_str().unwrap();
    let rule = "detect.rules.*=above 90";
    let child = succeeded(&[path, "--key-column", "meter", "--detector", "none", "--set", rule]);
    let stdout = child.stdout();
    let words: Vec<Vec<&str>> = stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let counts = |name: &str| {
        let found = words
            .iter()
            .find(|words| words.contains(&name) && words.contains(&"60"));
        found.map(|words| words[4])
    };
    assert_eq!(
        (counts("a"), counts("</script>")),
        (Some("1"), Some("0")),
        "{stdout}"
    );
    assert!(
        stdout.contains("rule_began") && stdout.contains("  1m  "),
        "{stdout}"
    );
    let stderr = child.stderr();
    assert!(stderr.contains("the time is column \"at\""), "{stderr}");
    let html = fs::read_to_string(child.folder().join("streamgauge-backtest.html")).unwrap();
    assert_eq!(
        html.matches("</script>").count(),
        3,
        "only the report's own scripts end"
    );

    let windows = ["--preset", "air-quality-tutorial", "--set", "window.length=5m"];
    let arguments = [&[path, "--key-column", "meter", "--format", "csv"], &windows[..]].concat();
    let rows = rows(&succeeded(&arguments).stdout());
    // Of twelve windows of five minutes, the last is never closed.
    assert_eq!((rows[0][2].as_str(), rows[1][2].as_str()), ("11", "11"));
}

#[test]
fn rows_without_a_reading_are_reported_and_do_not_end_it() {
    let path = file(
        "bad.csv",
        "timestamp,value\n2024-03-05 00:00,1\nnoon,2\n2024-03-05 00:05,x\n2024-03-05 00:10,3\n",
    );
    let child = succeeded(&[path.to_str().unwrap(), "--format", "csv", "--no-report"]);
    assert_eq!(rows(&child.stdout())[0][2], "2");
    let stderr = child.stderr();
    for reported in [
        "bad.csv: line 3: cannot parse \"noon\" as a time: not a known form of time such as 2024-03-05 06:30:00 or RFC 3339; \
         --time-format takes a pattern; the row is skipped",
        "bad.csv: line 4: cannot parse \"x\" as a number: it is not a number; the row is skipped",
    ] {
        assert!(stderr.contains(reported), "{stderr}");
    }
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let empty = file("empty.csv", "timestamp,value\n");
    let odd = file("odd.csv", "a,b\n1,2\n");
    let (empty, odd) = (empty.to_str().unwrap(), odd.to_str().unwrap());
    let folder = Path::new(empty).parent().unwrap().join("nothing");
    fs::create_dir(&folder).unwrap();
    for (arguments, expected) in [
        (&["no-such.csv"][..], "cannot open no-such.csv"),
        (&[folder.to_str().unwrap()], "there is no .csv file in"),
        (&[empty], "there are no readings to judge"),
        (
            &[odd],
            "none of the CSV's columns looks like the time: name it with --time-column; they are: a, b",
        ),
        (
            &[&nab(), "--value-column", "load"],
            "no column \"load\"; its columns are: timestamp, value",
        ),
        (
            &[BOSTON, "--set", "detect.treshold=3"],
            "did you mean `detect.threshold`?",
        ),
        (
            &[BOSTON, "--set", "detect.direction.*=up"],
            "setting `detect.direction.*`",
        ),
        (
            &[BOSTON, "--set", "detect.least_change.*=some"],
            "expected something such as",
        ),
        (&[BOSTON, "--set", "detect.slide=5m"], "setting `detect.slide`"),
        (
            &[BOSTON, "--set", "detect.calendar=[\"GB\"]"],
            "an entry is a country (AT, DE, FR, US)",
        ),
        (&[BOSTON, "--set", "threshold=3"], "it must be SECTION.KEY=VALUE"),
        (
            &[BOSTON, "--preset", "bosten"],
            "must be one of \"default\", \"boston-tutorial\"",
        ),
        (&[BOSTON, "--detector", "none"], "nothing judges"),
        (
            &[BOSTON, "--labels", LABELS],
            "windows.json match none of the files",
        ),
        (&[BOSTON, "--labels", BOSTON], "holds no labels"),
        (
            &[BOSTON, "--report", "no/such/folder.html"],
            "cannot write the report no/such/folder.html",
        ),
        (
            &[BOSTON, BOSTON, "--scores", "scores"],
            "two of the files would have their scores in scores/boston_tuesdays.csv",
        ),
    ] {
        let (child, is_success) = backtest(arguments);
        assert!(!is_success, "{arguments:?}");
        let stderr = child.stderr();
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
