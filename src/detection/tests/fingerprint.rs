//! What is stored of the settings beside a detector's state and beside a group's offsets.

use std::collections::BTreeSet;

use super::*;
use crate::config::config_of;
use crate::decode::FATE_EXAMPLES;

fn fingerprint(settings: &[(&str, &str)]) -> u32 {
    config_of(settings)
        .pipeline
        .detection_spec()
        .unwrap()
        .fingerprint()
}

/// With another one, each detector's state is thrown away by an upgrade, and rebuilt from the topic.
#[test]
fn what_is_stored_is_this() {
    assert_eq!(fingerprint(&[]), 0x5f9d_a397);
    assert_eq!(
        fingerprint(&[("detect.detector", "isolation-forest")]),
        0x9657_fa6f
    );
    let others = [
        ("detect.detector", "half-space-trees"),
        ("half_space_trees.scale", "100"),
        ("detect.input", "windows"),
        ("detect.threshold", "0.8"),
        ("detect.time_zone", "America/New_York"),
        ("detect.rules.a*", "above 90; below 5"),
    ];
    assert_eq!(fingerprint(&others), 0xad56_4c01);
}

type Example = (&'static str, &'static str);

/// A judgement depends on these, whatever judges, and on what readings are.
const ALWAYS: [Example; 8] = [
    ("detect.threshold", "0.51"),
    ("detect.time_zone", "Asia/Tokyo"),
    ("detect.rules.*", "above 90"),
    ("detect.rules.a*", "above 90"),
    ("detect.direction.*", "above"),
    ("detect.least_change.*", "10"),
    ("detect.calendar", r#"["US"]"#),
    ("detect.least_change.a*", "10%"),
];

/// With a registry.
const AVRO: (&str, &str) = ("reading.format", "avro");
/// With that format.
const OF_AVRO: (&str, &str) = ("reading.avro_schema", r#""double""#);
/// On this where the table has a column for it.
const OF_MEASURES: Example = ("reading.measure_field", "metric");

/// On these where windows are judged.
const OF_WINDOWS: [Example; 3] = [
    ("window.length", "30m"),
    ("window.offset", "1m"),
    ("window.watermark", "2h"),
];

/// And on this, which is refused elsewhere.
const OF_SLIDING_WINDOWS: Example = ("detect.slide", "5m");

const OF_ISOLATION_FOREST: [Example; 4] = [
    ("isolation_forest.method", "scikit-learn"),
    ("isolation_forest.slot", "5m"),
    ("isolation_forest.max_history", "1000"),
    ("isolation_forest.minimum_comparables", "5"),
];

const OF_HALF_SPACE_TREES: [Example; 8] = [
    ("half_space_trees.trees", "11"),
    ("half_space_trees.height", "7"),
    ("half_space_trees.window_size", "100"),
    ("half_space_trees.seed", "1"),
    ("half_space_trees.scale", "2"),
    ("half_space_trees.lower_limit", "-1"),
    ("half_space_trees.upper_limit", "2"),
    ("half_space_trees.order", "learn-then-score"),
];

/// On these never: they say what goes along, where it goes, or how much there may be.
const NEVER: [Example; 12] = [
    ("reading.max_header_bytes", "1"),
    ("window.late", "drop"),
    ("window.max_series", "1000"),
    ("detect.anomaly_topic", "others"),
    ("detect.group", "others"),
    ("detect.unit", "kW"),
    ("detect.value_name", "usage"),
    ("detect.commit_interval", "2s"),
    ("detect.max_series", "1000"),
    ("detect.state_uri", "state"),
    ("detect.state_interval", "2m"),
    ("kafka.topic", "others"),
];

/// Whether each of the examples changes the fingerprint of these settings.
fn assert_changes(examples: &[Example], settings: &[Example], is_change: bool) {
    let before = fingerprint(settings);
    for &example in examples {
        let after = fingerprint(&[settings, &[example]].concat());
        assert_eq!(after != before, is_change, "{example:?} under {settings:?}");
    }
}

#[test]
fn every_setting_that_a_judgement_depends_on_changes_it_and_no_other_does() {
    let (forest, trees) = (
        ("detect.detector", "isolation-forest"),
        ("detect.detector", "half-space-trees"),
    );
    let windows = ("detect.input", "windows");
    assert_changes(&ALWAYS, &[], true);
    assert_changes(&FATE_EXAMPLES, &[], true);
    let measured = ("table.measure_column", "measure");
    assert_changes(&[OF_MEASURES], &[measured], true);
    let registry = ("schema_registry.url", "http://registry");
    assert_changes(&[AVRO], &[registry], true);
    assert_changes(&[OF_AVRO], &[registry, AVRO], true);
    assert_changes(&[forest, trees, ("detect.detector", "none"), windows], &[], true);
    assert_changes(&OF_WINDOWS, &[windows], true);
    assert_changes(&[OF_SLIDING_WINDOWS], &[windows], true);
    assert_changes(&OF_ISOLATION_FOREST, &[forest], true);
    assert_changes(&OF_HALF_SPACE_TREES, &[trees], true);

    assert_changes(&NEVER, &[], false);
    assert_changes(&NEVER, &[windows, forest], false);
    assert_changes(&OF_WINDOWS, &[], false);
    assert_changes(&OF_ISOLATION_FOREST, &[trees], false);
    assert_changes(&OF_HALF_SPACE_TREES, &[forest], false);
}

#[test]
fn no_setting_is_forgotten_above() {
    let examples = [
        &ALWAYS[..],
        &FATE_EXAMPLES,
        &[OF_MEASURES],
        &[AVRO],
        &[OF_AVRO],
        &OF_WINDOWS,
        &[OF_SLIDING_WINDOWS],
        &OF_ISOLATION_FOREST,
        &OF_HALF_SPACE_TREES,
        &NEVER,
    ];
    let known: BTreeSet<&str> = examples.concat().iter().map(|(key, _)| *key).collect();
    // A name of other settings, and what the examples are made under.
    let others = [
        "reading.preset",
        "detect.preset",
        "detect.detector",
        "detect.input",
    ];
    let rooms = [
        "reading",
        "window",
        "detect",
        "isolation_forest",
        "half_space_trees",
    ];
    let loaded = load(&Overrides::default(), None, []).unwrap();
    for setting in loaded.settings() {
        let key = setting.key();
        let is_known = known.contains(key.as_str()) || others.contains(&key.as_str());
        assert!(is_known || !rooms.contains(&setting.table.as_str()), "{key}");
    }
}
