//! The room as a whole: which layer wins, where a value came from, and what is refused in which words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::window::LatePolicy;

/// The settings from a file of this text, an environment and flags.
pub(super) fn load_layers(
    file: &str,
    environment: &[(&str, &str)],
    flags: Overrides,
) -> (tempfile::TempDir, PathBuf, Result<Loaded, ConfigError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("streamgauge.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    let loaded = load(&flags, Some(&path), environment);
    (folder, path, loaded)
}

pub(super) fn flag(key: &str, name: &str, value: &str) -> Overrides {
    Overrides::default().with(key, name, Some(value))
}

/// The error about settings of one layer, without the file's folder.
pub(super) fn complaint(file: &str, environment: &[(&str, &str)], flags: Overrides) -> String {
    let (folder, _, loaded) = load_layers(file, environment, flags);
    loaded
        .unwrap_err()
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "")
}

pub(super) fn origin<'a>(loaded: &'a Loaded, key: &str) -> &'a Origin {
    &loaded
        .settings()
        .iter()
        .find(|setting| setting.key() == key)
        .unwrap()
        .origin
}

#[test]
fn the_embedded_defaults_and_the_structs_have_the_same_settings() {
    let keys = |text: &str| {
        let mut keys: Vec<_> = document::leaves(text)
            .unwrap()
            .into_iter()
            .map(|leaf| leaf.key)
            .collect();
        keys.sort();
        keys
    };
    // Neither side has a default of its own or ignores a key, so reading proves one half and writing the other.
    let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
    let written = toml::to_string(&config).unwrap();
    assert_eq!(keys(&written), keys(DEFAULT_TOML));
    assert_eq!(toml::from_str::<Config>(&written).unwrap(), config);
}

#[test]
fn without_layers_the_defaults_are_in_force() {
    let loaded = load(&Overrides::default(), None, []).unwrap();
    assert_eq!(loaded.config, toml::from_str(DEFAULT_TOML).unwrap());
    assert!(
        loaded
            .settings()
            .iter()
            .all(|setting| setting.origin == Origin::Default)
    );
    assert_eq!(loaded.settings()[0].key(), "kafka.brokers");
    assert_eq!(loaded.file, None);
}

#[test]
fn flags_go_over_the_environment_over_the_file_over_the_defaults() {
    let file = "[kafka]\ntopic = 'file'\ngroup = 'file'\nbrokers = 'file:1'\n";
    let environment = [
        ("STREAMGAUGE__KAFKA__GROUP", "environment"),
        ("STREAMGAUGE__KAFKA__BROKERS", "environment:1"),
    ];
    let (_folder, path, loaded) =
        load_layers(file, &environment, flag("kafka.brokers", "--brokers", "flag:1"));
    let loaded = loaded.unwrap();
    let source = &loaded.config.pipeline.source;
    assert_eq!(
        (
            &*source.topic,
            &*source.group,
            &*loaded.config.process.kafka.brokers,
        ),
        ("file", "environment", "flag:1")
    );
    assert_eq!(source.partitions, 4);

    assert_eq!(
        *origin(&loaded, "kafka.topic"),
        Origin::File {
            path: path.clone(),
            line: 2
        }
    );
    assert_eq!(
        *origin(&loaded, "kafka.group"),
        Origin::Environment("STREAMGAUGE__KAFKA__GROUP".to_owned())
    );
    assert_eq!(
        *origin(&loaded, "kafka.brokers"),
        Origin::Flag("--brokers".to_owned())
    );
    assert_eq!(*origin(&loaded, "kafka.partitions"), Origin::Default);
    assert_eq!(loaded.file, Some(path));
}

#[test]
fn a_flag_that_was_not_given_changes_nothing_and_the_later_of_two_wins() {
    let flags = Overrides::default().with("kafka.topic", "--topic", None::<String>);
    assert_eq!(
        load(&flags, None, []).unwrap().config.pipeline.source.topic,
        "usage"
    );
    let flags = flag("kafka.topic", "--topic", "first").and(flag("kafka.topic", "--topic", "second"));
    assert_eq!(
        load(&flags, None, []).unwrap().config.pipeline.source.topic,
        "second"
    );
}

#[test]
fn text_becomes_what_the_setting_is() {
    let environment = [
        ("STREAMGAUGE__KAFKA__PARTITIONS", " 12 "),
        ("STREAMGAUGE__KAFKA__CREATE_TOPICS", "false"),
        ("STREAMGAUGE__WINDOW__LENGTH", "1m 30s"),
        ("STREAMGAUGE__WINDOW__LATE", "upsert"),
        ("STREAMGAUGE__READING__TIME_ZONE", "America/New_York"),
        ("STREAMGAUGE_TEST_BROKER", "none of the settings"),
        ("PATH", "/bin"),
    ];
    let config = load_layers("", &environment, Overrides::default())
        .2
        .unwrap()
        .config;
    assert_eq!(config.pipeline.source.partitions, 12);
    assert!(!config.pipeline.source.create_topics);
    assert_eq!(config.pipeline.window.length, Duration::from_secs(90));
    assert_eq!(config.pipeline.window.late, LatePolicy::Upsert);
    assert_eq!(config.pipeline.reading.time_zone, chrono_tz::America::New_York);
}

#[test]
fn maps_take_any_name_from_every_layer() {
    let file = "[kafka.properties]\nsecurity.protocol = 'SASL_SSL'\n'session.timeout.ms' = 6000\n[table.storage_options]\n";
    let environment = [
        ("STREAMGAUGE__KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "9000"),
        (
            "STREAMGAUGE__TABLE__STORAGE_OPTIONS__AWS_ENDPOINT_URL",
            "http://store",
        ),
    ];
    let flags = flag("kafka.properties.sasl.mechanism", "-X sasl.mechanism", "PLAIN");
    let loaded = load_layers(file, &environment, flags).2.unwrap();
    let entries = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        entries(&loaded.config.process.kafka.properties),
        "sasl.mechanism=PLAIN security.protocol=SASL_SSL session.timeout.ms=9000"
    );
    assert_eq!(
        entries(&loaded.config.pipeline.table.storage_options),
        "aws_endpoint_url=http://store"
    );
    // They are listed with their section, once each.
    let tables: Vec<_> = loaded
        .settings()
        .chunk_by(|a, b| a.table == b.table)
        .map(|chunk| &*chunk[0].table)
        .collect();
    assert_eq!(tables[..3], ["kafka", "kafka.properties", "schema_registry"]);
    assert_eq!(tables[5..7], ["table", "table.storage_options"]);
}

#[test]
fn a_map_is_no_single_value() {
    let variable = ("STREAMGAUGE__TABLE__STORAGE_OPTIONS".to_owned(), "x".to_owned());
    let error = load(&Overrides::default(), None, [variable])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("setting `table.storage_options` (STREAMGAUGE__TABLE__STORAGE_OPTIONS) must be a table of names and values")
            && error.ends_with("not one value"),
        "{error}"
    );
}

#[test]
fn a_list_is_given_with_commas_outside_of_a_file() {
    let variable = (
        "STREAMGAUGE__HTTP__HOSTS".to_owned(),
        "a.example, b.example,".to_owned(),
    );
    let loaded = load(&Overrides::default(), None, [variable]).unwrap();
    assert_eq!(loaded.config.process.http.hosts, ["a.example", "b.example"]);
}

#[test]
fn passwords_in_urls_are_hidden_and_not_taken_back() {
    let option =
        |value: &str| Overrides::default().with("table.storage_options.proxy_url", "--proxy", Some(value));
    let loaded = load(&option("http://user:hush@proxy:3128"), None, []).unwrap();
    assert_eq!(
        loaded.config.pipeline.table.storage_options["proxy_url"],
        "http://user:hush@proxy:3128"
    );
    let shown = format!("{:?}", loaded.settings());
    assert!(shown.contains("http://<redacted>@proxy:3128") && !shown.contains("hush"));
    let error = load(&option("http://<redacted>@proxy:3128"), None, [])
        .unwrap_err()
        .to_string();
    assert!(error.contains("must be the secret itself"), "{error}");
}

#[test]
fn unknown_settings_are_refused_with_the_nearest_known_one() {
    let none = Overrides::default;
    for (file, expected) in [
        (
            "[window]\nlenght = '1h'",
            "unknown setting `window.lenght` (streamgauge.toml line 2); did you mean `window.length`?",
        ),
        (
            "[windows]\nlength = '1h'",
            "unknown setting `windows.length` (streamgauge.toml line 2); did you mean `window.length`?",
        ),
        (
            "length = '1h'",
            "unknown setting `length` (streamgauge.toml line 1); did you mean `window.length`?",
        ),
        (
            "[kafka.propertes]\n'client.id' = 'x'",
            "unknown setting `kafka.propertes.client.id` (streamgauge.toml line 2); did you mean `kafka.properties`?",
        ),
        (
            "[kafak]",
            "unknown setting `kafak` (streamgauge.toml line 1); did you mean `kafka`?",
        ),
        (
            "colour = 1",
            "unknown setting `colour` (streamgauge.toml line 1); `streamgauge config show` lists them all",
        ),
    ] {
        assert_eq!(complaint(file, &[], none()), expected);
    }
    assert_eq!(
        complaint("", &[("STREAMGAUGE__KAFKA__BROKER", "b:1")], none()),
        "unknown setting `kafka.broker` (STREAMGAUGE__KAFKA__BROKER); did you mean `kafka.brokers`?"
    );
}

#[test]
fn a_wrong_type_is_refused() {
    for (file, environment, flags, expected) in [
        (
            "[kafka]\npartitions = '4'",
            None,
            Overrides::default(),
            "setting `kafka.partitions` (streamgauge.toml line 2) must be a whole number, not \"4\"",
        ),
        (
            "[window]\nlength = 3600",
            None,
            Overrides::default(),
            "setting `window.length` (streamgauge.toml line 2) must be a text in quotes, not 3600",
        ),
        (
            "[kafka.properties]\n'sasl.password' = ['hush']",
            None,
            Overrides::default(),
            "setting `kafka.properties.sasl.password` (streamgauge.toml line 2) must be a text in quotes, not <redacted>",
        ),
        (
            "",
            Some(("STREAMGAUGE__KAFKA__PARTITIONS", "four")),
            Overrides::default(),
            "setting `kafka.partitions` (STREAMGAUGE__KAFKA__PARTITIONS) must be a whole number, not \"four\"",
        ),
        (
            "",
            None,
            flag("kafka.create_topics", "--create-topics", "perhaps"),
            "setting `kafka.create_topics` (--create-topics) must be true or false, not \"perhaps\"",
        ),
    ] {
        assert_eq!(complaint(file, environment.as_slice(), flags), expected);
    }
}

#[test]
fn a_wrong_value_is_refused() {
    for (key, value, expected) in [
        (
            "window.length",
            "0s",
            "setting `window.length` = \"0s\" (--flag): must be from 1s to 1d, in whole milliseconds",
        ),
        (
            "window.late",
            "diverted",
            "setting `window.late` = \"diverted\" (--flag): unknown variant `diverted`, expected one of `divert`, `upsert`, `drop`",
        ),
        (
            "kafka.properties.group.id",
            "mine",
            "setting `kafka.properties.group.id` = \"mine\" (--flag): set `kafka.group` instead",
        ),
        (
            "window.watermark",
            "an hour",
            "setting `window.watermark` = \"an hour\" (--flag): \"an hour\" is not a duration such as \"10s\" or \"1h 30m\": \
             expected number at 0",
        ),
    ] {
        assert_eq!(complaint("", &[], flag(key, "--flag", value)), expected);
    }
    for (key, value) in [
        ("reading.time_zone", "Mars/Olympus"),
        ("kafka.partitions", "5000000000"),
        ("reading.max_bytes", "-1"),
    ] {
        let complaint = complaint("", &[], flag(key, "--flag", value));
        assert!(
            complaint.starts_with(&format!("setting `{key}` = ")),
            "{complaint}"
        );
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = complaint(
        "[kafka]\ntopik = 'x'\npartitions = true\n",
        &[],
        Overrides::default(),
    );
    assert_eq!(
        text,
        "2 settings are wrong:\n  unknown setting `kafka.topik` (streamgauge.toml line 2); did you mean `kafka.topic`?\n  \
         setting `kafka.partitions` (streamgauge.toml line 3) must be a whole number, not true"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = load(&Overrides::default(), Some(Path::new("no/such.toml")), []).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read the settings file no/such.toml");
    let text = complaint("[kafka]\ntopic = usage\n", &[], Overrides::default());
    assert!(text.starts_with("streamgauge.toml line 2: "), "{text}");
}

#[test]
fn secrets_are_in_force_and_not_shown() {
    let file = "[table.storage_options]\naws_secret_access_key = 'hush'\n[kafka.properties]\n'sasl.password' = 'hush'\n\
                security.protocol = 'SASL_SSL'\nsasl.mechanisms = 'PLAIN'\n";
    let loaded = load_layers(file, &[], Overrides::default()).2.unwrap();
    assert_eq!(loaded.config.process.kafka.properties["sasl.password"], "hush");
    assert!(
        loaded
            .settings()
            .iter()
            .all(|setting| !setting.value.to_string().contains("hush"))
    );
    let shown = loaded
        .settings()
        .iter()
        .filter(|setting| setting.value.as_str() == Some("<redacted>"));
    assert_eq!(shown.count(), 2);
}

#[test]
fn a_secret_may_lie_in_a_file_whose_place_is_shown() {
    let file = "[kafka.properties]\nsecurity.protocol = 'SASL_SSL'\nsasl.mechanisms = 'PLAIN'\n";
    let variable = (
        "STREAMGAUGE__KAFKA__PROPERTY_FILES__SASL_PASSWORD",
        "/run/password",
    );
    let loaded = load_layers(file, &[variable], Overrides::default()).2.unwrap();
    let files = &loaded.config.process.kafka.property_files;
    assert_eq!(files["sasl.password"], Path::new("/run/password"));
    let shown = loaded
        .settings()
        .iter()
        .find(|setting| setting.table == "kafka.property_files");
    assert_eq!(
        shown.and_then(|setting| setting.value.as_str()),
        Some("/run/password")
    );
}

#[test]
fn paths_and_conditions_that_cannot_be_read_are_refused_with_what_was_meant() {
    for (line, hints) in [
        (
            "time_field = \"\"",
            &["reading.time_field", "must not be empty"][..],
        ),
        (
            "value_field = \"payload..kw\"",
            &["reading.value_field", "empty name"],
        ),
        (
            "value_field = [\"a\", \"a[0].b\"]",
            &["reading.value_field", "a.0.b"],
        ),
        ("value_field = []", &["reading.value_field", "at least"]),
        ("key = \"$.meter.id\"", &["reading.key", "meter.id"]),
        ("key = \"message \"", &["reading.key", "did you mean \"message\""]),
        ("key = \"Message\"", &["reading.key", "did you mean \"message\""]),
        ("key = [\"message\"]", &["reading.key", "list"]),
        ("key = 5", &["reading.key", "a text in quotes or a list of texts"]),
        (
            "time_format = \"epoch_days\"",
            &["reading.time_format", "epoch_s"],
        ),
        ("where = [\"name = 'cpu'\"]", &["reading.where", "column 6"]),
        ("skip = [\"everything\"]", &["reading.skip", "everything"]),
        ("preset = \"telegraph\"", &["reading.preset", "\"telegraf\""]),
    ] {
        let text = complaint(&format!("[reading]\n{line}\n"), &[], Overrides::default());
        for hint in hints {
            assert!(text.contains(hint), "{line}: {text}");
        }
    }
}

#[test]
fn one_setting_is_a_text_or_a_list_wherever_it_comes_from() {
    let written = "[reading]\nkey = [\"host\", \"cpu\"]\n";
    let (_folder, _, from_file) = load_layers(written, &[], Overrides::default());
    let list = flag("reading.key", "--set", "[\"host\", \"cpu\"]");
    let (_folder, _, from_flag) = load_layers("", &[], list);
    let key = |loaded: Result<Loaded, ConfigError>| loaded.unwrap().config.pipeline.reading.key;
    assert_eq!(key(from_file), key(from_flag));
    let (_folder, _, single) = load_layers(
        "",
        &[("STREAMGAUGE__READING__KEY", "host,cpu")],
        Overrides::default(),
    );
    assert_eq!(key(single), "host,cpu".parse().unwrap());
    let conditions = flag("reading.where", "--set", "['a in [\"b\", \"c\"]']");
    let (_folder, _, loaded) = load_layers("", &[], conditions);
    assert_eq!(loaded.unwrap().config.pipeline.reading.conditions.len(), 1);
}

#[test]
fn presets_of_readings_and_of_detection_go_together() {
    let written =
        "[detect]\npreset = \"ec2-tutorial\"\n[reading]\npreset = \"telegraf\"\ntime_format = \"epoch_ns\"\n";
    let (_folder, _, loaded) = load_layers(written, &[], Overrides::default());
    let loaded = loaded.unwrap();
    let from = |key| origin(&loaded, key).clone();
    assert_eq!(from("detect.detector"), Origin::Preset("ec2-tutorial".into()));
    assert_eq!(from("reading.key"), Origin::Preset("telegraf".into()));
    assert_eq!(from("table.measure_column"), Origin::Preset("telegraf".into()));
    assert!(matches!(from("reading.time_format"), Origin::File { .. }));
}

#[test]
fn every_preset_is_valid_alone_and_has_its_page() {
    let page = include_str!("../../docs/presets.md");
    for preset in presets::READING_PRESETS
        .iter()
        .filter(|preset| !preset.name.is_empty())
    {
        let (_folder, _, loaded) = load_layers("", &[], flag("reading.preset", "--set", preset.name));
        assert!(loaded.is_ok(), "{}: {loaded:?}", preset.name);
        assert!(
            page.contains(&format!("\n## {}\n", preset.name)),
            "{}",
            preset.name
        );
        assert!(
            DEFAULT_TOML.contains(&format!("{:?}", preset.name)),
            "{}",
            preset.name
        );
    }
}
