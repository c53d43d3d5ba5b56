//! The rooms' rules of their settings, over the whole of the defaults.

use super::*;

/// The keys that are complained about when these settings are not the defaults.
fn all_complaints(settings: &[(&str, &str, &str)]) -> Vec<String> {
    let mut table: toml::Table = DEFAULT_TOML.parse().unwrap();
    for (section, name, value) in settings {
        let changed: toml::Table = format!("x = {value}").parse().unwrap();
        let section = table[*section].as_table_mut().unwrap();
        section.insert((*name).to_owned(), changed["x"].clone());
    }
    let broken = violations(&table.try_into().unwrap());
    broken.into_iter().map(|violation| violation.key).collect()
}

fn complaints(section: &str, name: &str, value: &str) -> Vec<String> {
    all_complaints(&[(section, name, value)])
}

#[test]
fn the_defaults_make_sense() {
    assert_eq!(violations(&toml::from_str(DEFAULT_TOML).unwrap()), []);
}

#[test]
fn limits_are_allowed() {
    for (section, name, value) in [
        ("kafka", "partitions", "-1"),
        ("kafka", "brokers", "'a:1, b:2'"),
        ("kafka", "topic", "'usage.v2_all-meters'"),
        ("reading", "key", "'meter.id'"),
        ("reading", "key", "['meter.id', 'labels.*']"),
        ("reading", "key", "'ts'"),
        ("reading", "time_field", "'@record'"),
        ("reading", "each", "'[]'"),
        ("reading", "where", "[\"exists(a)\", \"b == 'c'\"]"),
        ("reading", "skip", "['empty', 'too_far_ahead']"),
        ("reading", "time_format", "['dsmr', '%d.%m.%Y']"),
        ("window", "length", "'1s'"),
        ("window", "length", "'1d'"),
        ("window", "offset", "'59m 59s 999ms'"),
        ("window", "watermark", "'0s'"),
        ("table", "uri", "'s3://lake/usage'"),
        ("table", "uri", "'s3data'"),
        ("commit", "interval", "'1ms'"),
        ("maintenance", "compact_files", "2"),
        ("log", "level", "'info,streamgauge::lake=debug'"),
        ("log", "level", "'OFF'"),
    ] {
        assert_eq!(
            complaints(section, name, value),
            [""; 0],
            "{section}.{name} = {value}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_complained_about() {
    for (section, name, value) in [
        ("kafka", "brokers", "''"),
        ("kafka", "brokers", "'a:1,,b:2'"),
        ("kafka", "topic", "'my topic'"),
        ("kafka", "partitions", "0"),
        ("kafka", "replication_factor", "-2"),
        ("kafka", "late_topic", "'usage'"),
        ("kafka", "dead_letter_topic", "'a/b'"),
        ("reading", "time_field", "'^.ts'"),
        ("reading", "time_field", "'value'"),
        ("reading", "time_field", "'labels.*'"),
        ("reading", "time_field", "'@value'"),
        ("reading", "key", "'^.id'"),
        ("reading", "key", "'@value'"),
        ("reading", "key", "['meter', '@measure']"),
        ("reading", "where", "['^.a == 1']"),
        ("reading", "skip", "['undecodable']"),
        ("reading", "key_separator", "''"),
        ("reading", "key_separator", "\"\\n\""),
        ("reading", "max_ahead", "'200years'"),
        ("reading", "max_behind", "'2000years'"),
        ("reading", "max_bytes", "0"),
        ("reading", "max_key_bytes", "0"),
        ("reading", "max_key_bytes", "65537"),
        ("reading", "max_header_bytes", "1048577"),
        ("window", "length", "'999ms'"),
        ("window", "length", "'24h 1ms'"),
        ("window", "length", "'1s 1us'"),
        ("window", "offset", "'1h'"),
        ("window", "watermark", "'2years'"),
        ("window", "max_series", "0"),
        ("table", "uri", "''"),
        ("table", "uri", "'s3:///usage'"),
        ("table", "name", "' '"),
        ("table", "buckets", "0"),
        ("table", "pipeline", "'a/b'"),
        ("table", "sum_column", "''"),
        ("table", "sum_column", "'sum (kWh)'"),
        ("table", "sum_column", "'AVG_USAGE'"),
        ("table", "sum_column", "\"sum\\u001b\""),
        ("table", "sum_column", "'a/b'"),
        ("table", "sum_column", "'a\"b'"),
        ("table", "sum_column", "\"a\\u202eb\""),
        ("detect", "max_series", "0"),
        ("http", "hosts", "['a b']"),
        ("http", "hosts", "['metrics.example:9464']"),
        ("commit", "interval", "'0s'"),
        ("commit", "max_pending_rows", "0"),
        ("detect", "anomaly_topic", "'usage'"),
        ("detect", "anomaly_topic", "'a/b'"),
        ("alert", "feedback_topic", "'a/b'"),
        ("alert", "feedback_topic", "'usage'"),
        ("alert", "feedback_topic", "'anomaly'"),
        ("alert", "feedback_topic", "'usage.dlq'"),
        ("detect", "time_zone", "'Boston'"),
        ("detect", "value_name", "''"),
        ("detect", "value_name", "'a b'"),
        ("detect", "commit_interval", "'0s'"),
        ("detect", "state_uri", "'usage-table'"),
        ("isolation_forest", "slot", "'7m'"),
        ("isolation_forest", "max_history", "0"),
        ("half_space_trees", "height", "16"),
        ("half_space_trees", "scale", "0.0"),
        ("half_space_trees", "upper_limit", "-1.0"),
        ("maintenance", "interval", "'0s'"),
        ("maintenance", "compact_files", "1"),
        ("maintenance", "checkpoint_commits", "0"),
        ("log", "level", "'loud'"),
        ("log", "level", "'info,streamgauge=loud'"),
    ] {
        assert_eq!(
            complaints(section, name, value),
            [format!("{section}.{name}")],
            "{value}"
        );
    }
}

#[test]
fn fields_that_cannot_go_together_are_complained_about() {
    for (settings, expected) in [
        // A key that is the parent of the value, and the value the parent of the time.
        (
            vec![
                ("reading", "key", "'reading'"),
                ("reading", "value_field", "'reading.value'"),
            ],
            "reading.key",
        ),
        (
            vec![
                ("reading", "value_field", "'@value'"),
                ("reading", "time_field", "'ts'"),
            ],
            "reading.value_field",
        ),
        (
            vec![("reading", "value_field", "['a', 'b']")],
            "table.measure_column",
        ),
        (
            vec![("reading", "measure_field", "'name'")],
            "table.measure_column",
        ),
        (
            vec![
                ("reading", "value_field", "'fields.*'"),
                ("reading", "count_field", "'n'"),
                ("table", "measure_column", "'m'"),
            ],
            "reading.count_field",
        ),
        (
            vec![("reading", "format", "'influx'"), ("reading", "each", "'a'")],
            "reading.each",
        ),
        (
            vec![
                ("reading", "time_field", "'@header.t'"),
                ("reading", "max_header_bytes", "0"),
            ],
            "reading.max_header_bytes",
        ),
    ] {
        assert_eq!(all_complaints(&settings), [expected], "{settings:?}");
    }
    let in_key = [
        ("reading", "value_field", "['a', 'b']"),
        ("reading", "key", "['meter', '@measure']"),
    ];
    assert_eq!(all_complaints(&in_key), [""; 0]);
}

#[test]
fn reserved_properties_are_complained_about() {
    let group = complaints("kafka", "properties", "{ 'group.id' = 'x', 'client.id' = 'x' }");
    assert_eq!(group, ["kafka.properties.group.id"]);
}

#[test]
fn unreadable_rules_are_complained_about() {
    let violations = complaints("detect", "rules", "{ '*' = 'silent for 15m', 'b.*' = 'above' }");
    assert_eq!(violations, ["detect.rules.b.*"]);
}

#[test]
fn a_slide_divides_windows_that_are_judged() {
    let windows = ("detect", "input", "'windows'");
    let slide = |value| ("detect", "slide", value);
    for value in ["'5m'", "'1h'", "'20m'", "'0s'"] {
        assert_eq!(all_complaints(&[windows, slide(value)]), [""; 0], "{value}");
    }
    for value in ["'7m'", "'2h'", "'500ms'", "'1500ms'", "'2s'"] {
        assert_eq!(
            all_complaints(&[windows, slide(value)]),
            ["detect.slide"],
            "{value}"
        );
    }
    assert_eq!(complaints("detect", "slide", "'5m'"), ["detect.slide"]);
}

#[test]
fn averages_of_registers_are_not_judged() {
    let counter = ("reading", "value_kind", "'counter'");
    let input = |value| ("detect", "input", value);
    assert_eq!(all_complaints(&[counter, input("'readings'")]), [""; 0]);
    assert_eq!(all_complaints(&[counter, input("'increments'")]), [""; 0]);
    assert_eq!(all_complaints(&[counter, input("'windows'")]), ["detect.input"]);
}

#[test]
fn a_filter_needs_a_detector_that_expects_a_value() {
    let direction = ("detect", "direction", "{ '*' = 'above' }");
    let least = ("detect", "least_change", "{ '*' = '5%' }");
    assert_eq!(all_complaints(&[direction, least]), [""; 0]);
    for detector in ["'half-space-trees'", "'none'"] {
        let detector = ("detect", "detector", detector);
        assert_eq!(
            all_complaints(&[detector, direction, least]),
            ["detect.direction", "detect.least_change"]
        );
    }
}

#[test]
fn a_hidden_secret_is_no_secret() {
    let hidden = complaints(
        "kafka",
        "properties",
        "{ 'ssl.key.password' = '<redacted>', 'security.protocol' = 'SSL' }",
    );
    assert_eq!(hidden, ["kafka.properties.ssl.key.password"]);
}

#[test]
fn a_threshold_must_be_within_reach() {
    let trees = ("detect", "detector", "'half-space-trees'");
    let forest = ("detect", "detector", "'isolation-forest'");
    let threshold = |value| ("detect", "threshold", value);
    let low = ("half_space_trees", "height", "3");
    assert!(all_complaints(&[trees, low, threshold("'0.93'")]).is_empty());
    assert_eq!(
        all_complaints(&[trees, low, threshold("'0.94'")]),
        ["detect.threshold"]
    );
    assert!(all_complaints(&[trees, threshold("'0.94'")]).is_empty());
    assert!(all_complaints(&[forest, threshold("'0.9'")]).is_empty());
    assert_eq!(
        all_complaints(&[forest, threshold("'0.95'")]),
        ["detect.threshold"]
    );
    assert!(all_complaints(&[threshold("'9'")]).is_empty());
}

#[test]
fn what_cannot_be_kept_for_every_series_is_refused() {
    let many = ("half_space_trees", "trees", "1000");
    assert!(all_complaints(&[many]).is_empty());
    assert_eq!(
        all_complaints(&[many, ("half_space_trees", "height", "11")]),
        ["half_space_trees.trees"]
    );
    assert_eq!(
        all_complaints(&[("half_space_trees", "window_size", "1000001")]),
        ["half_space_trees.window_size"]
    );
}

#[test]
fn avro_needs_schemas_in_one_place() {
    const AVRO: (&str, &str, &str) = ("reading", "format", "'avro'");
    let files = ("schema_registry", "files", "['reading.avsc']");
    let schema = ("reading", "avro_schema", "'\"double\"'");
    assert_eq!(all_complaints(&[AVRO]), ["schema_registry.url"]);
    for place in [("schema_registry", "url", "'http://registry'"), files, schema] {
        assert_eq!(all_complaints(&[AVRO, place]), Vec::<String>::new());
    }
    assert_eq!(all_complaints(&[AVRO, files, schema]), ["schema_registry.files"]);
}
