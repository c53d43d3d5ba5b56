//! Values that are of the right type and still make no sense.

mod detect;

use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::reserved;
use super::secret::REDACTED;
use super::{
    CommitConfig, Config, HttpConfig, KafkaConfig, LogConfig, MaintenanceConfig, ReadingConfig, TableConfig,
    WindowConfig,
};

/// A setting that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The dotted key.
    pub key: String,
    /// What is allowed: `must be …`.
    pub rule: String,
}

/// Every rule that these settings break.
pub(super) fn violations(config: &Config) -> Vec<Violation> {
    let mut rules = Rules(Vec::new());
    kafka(&config.kafka, &mut rules);
    properties(&config.kafka, &mut rules);
    secrets(config, &mut rules);
    reading(&config.reading, &mut rules);
    window(&config.window, &mut rules);
    table(&config.table, &mut rules);
    columns(&config.table, &mut rules);
    commit(&config.commit, &mut rules);
    detect::detect(config, &mut rules);
    maintenance(&config.maintenance, &mut rules);
    http(&config.http, &mut rules);
    log(&config.log, &mut rules);
    rules.require(
        config.maintenance.vacuum_retention >= config.commit.give_up_after,
        "maintenance.vacuum_retention",
        "must be at least commit.give_up_after: the files of a commit on its way are in no log entry yet",
    );
    rules.0
}

struct Rules(Vec<Violation>);

impl Rules {
    fn require(&mut self, holds: bool, key: &str, rule: impl Into<String>) {
        if !holds {
            self.0.push(Violation {
                key: key.to_owned(),
                rule: rule.into(),
            });
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Event times are whole milliseconds, and so is all that is compared with them.
fn is_whole_ms(duration: Duration) -> bool {
    duration.subsec_nanos().is_multiple_of(1_000_000)
}

fn kafka(kafka: &KafkaConfig, rules: &mut Rules) {
    let has_addresses = kafka.brokers.split(',').all(|address| !address.trim().is_empty());
    rules.require(
        has_addresses,
        "kafka.brokers",
        "must be addresses such as \"localhost:9092\", separated by commas",
    );
    rules.require(!kafka.group.is_empty(), "kafka.group", "must not be empty");
    rules.require(is_topic_name(&kafka.topic), "kafka.topic", TOPIC_NAME);
    for (key, topic) in [
        ("kafka.late_topic", kafka.late_topic()),
        ("kafka.dead_letter_topic", kafka.dead_letter_topic()),
    ] {
        // A name that is wrong because `kafka.topic` is has been complained about already.
        rules.require(
            is_topic_name(&topic) || !is_topic_name(&kafka.topic),
            key,
            TOPIC_NAME,
        );
        rules.require(
            topic != kafka.topic,
            key,
            "must not be the topic of the readings, `kafka.topic`",
        );
    }
    let is_count = |number: i32| number >= 1 || number == -1;
    const COUNT: &str = "must be 1 or more, or -1 for what the broker has as its default";
    rules.require(is_count(kafka.partitions), "kafka.partitions", COUNT);
    rules.require(
        is_count(kafka.replication_factor),
        "kafka.replication_factor",
        COUNT,
    );
}

const TOPIC_NAME: &str = "must be a topic name: 1 to 249 letters, digits, dots, underscores and dashes";

fn is_topic_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&name.len()) && name.bytes().all(is_allowed) && name != "." && name != ".."
}

fn properties(kafka: &KafkaConfig, rules: &mut Rules) {
    for name in kafka.properties.keys() {
        if let Some(advice) = reserved::advice(name) {
            rules.require(false, &format!("kafka.properties.{name}"), advice);
        }
    }
}

/// The output of `config show` can be used as a settings file, but for its secrets.
fn secrets(config: &Config, rules: &mut Rules) {
    let maps = [
        ("kafka.properties", &config.kafka.properties),
        ("table.storage_options", &config.table.storage_options),
    ];
    for (map, entries) in maps {
        for (name, value) in entries {
            let rule = "must be the secret itself, which `config show` has hidden";
            rules.require(value != REDACTED, &format!("{map}.{name}"), rule);
        }
    }
}

fn reading(reading: &ReadingConfig, rules: &mut Rules) {
    const PATH: &str = "must be a field of the JSON value, or a path of fields such as \"payload.power.kw\"";
    let is_path = |path: &str| path.split('.').all(|field| !field.is_empty());
    rules.require(is_path(&reading.time_field), "reading.time_field", PATH);
    rules.require(is_path(&reading.value_field), "reading.value_field", PATH);
    rules.require(
        is_path(&reading.key),
        "reading.key",
        "must be \"none\", \"message\" or the path of a field",
    );
    let max_ahead_is_sane = is_whole_ms(reading.max_ahead) && reading.max_ahead <= 100 * YEAR;
    rules.require(
        max_ahead_is_sane,
        "reading.max_ahead",
        "must be at most 100 years, in whole milliseconds",
    );
    rules.require(reading.max_bytes >= 1, "reading.max_bytes", "must be 1 or more");
}

fn window(window: &WindowConfig, rules: &mut Rules) {
    let length_is_sane = is_whole_ms(window.length) && (SECOND..=DAY).contains(&window.length);
    rules.require(
        length_is_sane,
        "window.length",
        "must be from 1s to 1d, in whole milliseconds",
    );
    let is_within_length = window.offset < window.length || !length_is_sane;
    let length = humantime::format_duration(window.length);
    let offset_rule =
        format!("must be shorter than `window.length`, which is {length}, in whole milliseconds");
    rules.require(
        is_whole_ms(window.offset) && is_within_length,
        "window.offset",
        offset_rule,
    );
    let watermark_is_sane = is_whole_ms(window.watermark) && window.watermark <= YEAR;
    rules.require(
        watermark_is_sane,
        "window.watermark",
        "must be at most 366d, in whole milliseconds",
    );
}

fn table(table: &TableConfig, rules: &mut Rules) {
    let bucket_and_prefix = ["s3://", "s3a://"]
        .iter()
        .find_map(|scheme| table.uri.strip_prefix(scheme));
    let names_a_bucket = bucket_and_prefix.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let names_a_place = names_a_bucket && !table.uri.trim().is_empty();
    rules.require(
        names_a_place,
        "table.uri",
        "must be a local folder or s3://bucket/prefix",
    );
    rules.require(!table.name.trim().is_empty(), "table.name", "must not be empty");
    rules.require(table.buckets >= 1, "table.buckets", "must be 1 or more");
    let names_a_pipeline = !table.pipeline.is_empty() && !table.pipeline.contains('/');
    rules.require(names_a_pipeline, "table.pipeline", "must be a name without \"/\"");
}

fn columns(table: &TableConfig, rules: &mut Rules) {
    let columns = [
        ("table.key_column", &table.key_column),
        ("table.start_column", &table.start_column),
        ("table.end_column", &table.end_column),
        ("table.average_column", &table.average_column),
        ("table.minimum_column", &table.minimum_column),
        ("table.maximum_column", &table.maximum_column),
        ("table.sum_column", &table.sum_column),
        ("table.count_column", &table.count_column),
    ];
    for (index, (key, name)) in columns.iter().enumerate() {
        let is_plain =
            !name.is_empty() && !name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']);
        rules.require(
            is_plain,
            key,
            "must be a column name without spaces or any of , ; { } ( ) =",
        );
        // Athena and Spark do not tell upper from lower case.
        let twin = columns[..index]
            .iter()
            .find(|(_, other)| other.eq_ignore_ascii_case(name));
        if let Some((other, _)) = twin {
            rules.require(
                false,
                key,
                format!("must not be the name of another column, and `{other}` has it"),
            );
        }
    }
}

fn commit(commit: &CommitConfig, rules: &mut Rules) {
    rules.require(!commit.interval.is_zero(), "commit.interval", LONGER_THAN_NOTHING);
    rules.require(
        !commit.idle_interval.is_zero(),
        "commit.idle_interval",
        LONGER_THAN_NOTHING,
    );
    rules.require(
        commit.max_pending_rows >= 1,
        "commit.max_pending_rows",
        "must be 1 or more",
    );
    rules.require(
        commit.max_pending_bytes >= 1,
        "commit.max_pending_bytes",
        "must be 1 or more",
    );
}

const LONGER_THAN_NOTHING: &str = "must be longer than 0s";

fn maintenance(maintenance: &MaintenanceConfig, rules: &mut Rules) {
    rules.require(
        !maintenance.interval.is_zero(),
        "maintenance.interval",
        LONGER_THAN_NOTHING,
    );
    rules.require(
        !maintenance.cleanup_interval.is_zero(),
        "maintenance.cleanup_interval",
        LONGER_THAN_NOTHING,
    );
    rules.require(
        maintenance.compact_files >= 2,
        "maintenance.compact_files",
        "must be 2 or more",
    );
    rules.require(
        maintenance.target_file_bytes >= 1,
        "maintenance.target_file_bytes",
        "must be 1 or more",
    );
    rules.require(
        maintenance.checkpoint_commits >= 1,
        "maintenance.checkpoint_commits",
        "must be 1 or more",
    );
}

fn http(http: &HttpConfig, rules: &mut Rules) {
    let has_port = |address: &str| {
        address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    rules.require(
        http.listen.is_empty() || has_port(&http.listen),
        "http.listen",
        "must be an address and a port such as \"127.0.0.1:9464\", or empty for none",
    );
}

fn log(log: &LogConfig, rules: &mut Rules) {
    // A word that is no level would be taken for the name of a module, and everything else fall silent.
    let names_a_level =
        |directive: &str| directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok();
    let is_filter = log.level.split(',').all(names_a_level) && EnvFilter::builder().parse(&log.level).is_ok();
    let rule = "must be off, error, warn, info, debug or trace, or such as \"info,streamgauge::lake=debug\"";
    rules.require(is_filter, "log.level", rule);
    rules.require(
        log.status_interval >= SECOND,
        "log.status_interval",
        "must be at least 1s",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_TOML;

    /// The keys that are complained about when one setting is not the default.
    fn complaints(section: &str, name: &str, value: &str) -> Vec<String> {
        let mut table: toml::Table = DEFAULT_TOML.parse().unwrap();
        let changed: toml::Table = format!("x = {value}").parse().unwrap();
        table[section]
            .as_table_mut()
            .unwrap()
            .insert(name.to_owned(), changed["x"].clone());
        violations(&table.try_into().unwrap())
            .into_iter()
            .map(|violation| violation.key)
            .collect()
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
            ("kafka", "group", "''"),
            ("kafka", "partitions", "0"),
            ("kafka", "replication_factor", "-2"),
            ("kafka", "late_topic", "'usage'"),
            ("kafka", "dead_letter_topic", "'a/b'"),
            ("reading", "time_field", "''"),
            ("reading", "value_field", "'payload..kw'"),
            ("reading", "key", "''"),
            ("reading", "max_ahead", "'200years'"),
            ("reading", "max_bytes", "0"),
            ("window", "length", "'999ms'"),
            ("window", "length", "'24h 1ms'"),
            ("window", "length", "'1s 1us'"),
            ("window", "offset", "'1h'"),
            ("window", "watermark", "'2years'"),
            ("table", "uri", "''"),
            ("table", "uri", "'s3:///usage'"),
            ("table", "name", "' '"),
            ("table", "buckets", "0"),
            ("table", "pipeline", "'a/b'"),
            ("table", "sum_column", "''"),
            ("table", "sum_column", "'sum (kWh)'"),
            ("table", "sum_column", "'AVG_USAGE'"),
            ("commit", "interval", "'0s'"),
            ("commit", "max_pending_rows", "0"),
            ("detect", "anomaly_topic", "'usage'"),
            ("detect", "group", "'streamgauge'"),
            ("detect", "time_zone", "'Boston'"),
            ("detect", "commit_interval", "'0s'"),
            ("detect", "snapshot_uri", "'usage-table'"),
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
    fn reserved_properties_are_complained_about() {
        let group = complaints("kafka", "properties", "{ 'group.id' = 'x', 'client.id' = 'x' }");
        assert_eq!(group, ["kafka.properties.group.id"]);
    }

    #[test]
    fn unreadable_rules_are_complained_about() {
        let rules = complaints("detect", "rules", "{ '*' = 'silent for 15m', 'b.*' = 'above' }");
        assert_eq!(rules, ["detect.rules.b.*"]);
    }

    #[test]
    fn a_hidden_secret_is_no_secret() {
        let hidden = complaints("kafka", "properties", "{ 'sasl.password' = '<redacted>' }");
        assert_eq!(hidden, ["kafka.properties.sasl.password"]);
    }
}
