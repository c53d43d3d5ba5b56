//! Rules about how the cluster is reached: settings that contradict each other, or that would silently do nothing.

use super::{KafkaAuth, Settings};
use crate::settings::Violations;

/// What `kafka.auth = "msk-iam"` decides by itself; librdkafka's two spellings of the mechanism are one property.
const OF_MSK_IAM: [(&str, &str); 3] = [
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "OAUTHBEARER"),
    ("sasl.mechanisms", "OAUTHBEARER"),
];

/// Adds the rules that these settings break.
pub(super) fn check(kafka: &Settings, violations: &mut Violations) {
    match kafka.auth {
        KafkaAuth::MskIam => msk_iam(kafka, violations),
        KafkaAuth::Properties => by_properties(kafka, violations),
    }
    for name in kafka.property_files.keys() {
        violations.require(
            !kafka.properties.contains_key(name),
            &format!("kafka.property_files.{name}"),
            format!("must not be set beside `kafka.properties.{name}`; leave one of them out"),
        );
    }
    for (name, partner) in [
        ("ssl.certificate.location", "ssl.key.location"),
        ("ssl.key.location", "ssl.certificate.location"),
        ("ssl.certificate.pem", "ssl.key.pem"),
        ("ssl.key.pem", "ssl.certificate.pem"),
    ] {
        let is_whole = !kafka.has_property(name) || kafka.has_property(partner);
        let rule = format!("needs `{partner}` beside it: a certificate proves nothing without its key");
        violations.require(is_whole, &place(kafka, name), rule);
    }
}

fn msk_iam(kafka: &Settings, violations: &mut Violations) {
    let is_in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    violations.require(
        kafka.aws_region.bytes().all(is_in_name),
        "kafka.aws_region",
        "must be the name of an AWS region, such as \"eu-west-1\"",
    );
    for (name, value) in OF_MSK_IAM {
        let agrees = kafka
            .properties
            .get(name)
            .is_none_or(|set| set.eq_ignore_ascii_case(value));
        let rule =
            format!("contradicts `kafka.auth` = \"msk-iam\", which means {value}; leave one of them out");
        violations.require(
            agrees && !kafka.property_files.contains_key(name),
            &place(kafka, name),
            rule,
        );
    }
    let of_others = |name: &&String| {
        matches!(name.as_str(), "sasl.username" | "sasl.password") || name.starts_with("sasl.oauthbearer.")
    };
    for name in names(kafka).filter(of_others) {
        let rule = "contradicts `kafka.auth` = \"msk-iam\", which proves who we are with AWS credentials; leave one of them out";
        violations.require(false, &place(kafka, name), rule);
    }
}

fn by_properties(kafka: &Settings, violations: &mut Violations) {
    violations.require(
        kafka.aws_region.is_empty(),
        "kafka.aws_region",
        "is of use with `kafka.auth` = \"msk-iam\" only; set that, or leave this out",
    );
    let property = |name: &str| kafka.properties.get(name).map(|value| value.to_ascii_uppercase());
    let protocol = property("security.protocol").unwrap_or_else(|| "PLAINTEXT".to_owned());
    let is_known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.as_str());
    violations.require(
        is_known,
        "kafka.properties.security.protocol",
        "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    );
    if !is_known {
        return;
    }
    let has_tls = protocol.ends_with("SSL");
    let has_sasl = protocol.starts_with("SASL");
    for name in names(kafka) {
        let (is_used, needed) = if name.starts_with("ssl.") {
            (has_tls, "SSL or SASL_SSL")
        } else if name.starts_with("sasl.") {
            (has_sasl, "SASL_SSL")
        } else {
            continue;
        };
        let rule = format!("does nothing while `security.protocol` is {protocol}; set that to {needed}");
        violations.require(is_used, &place(kafka, name), rule);
    }
    for name in ["sasl.mechanism", "sasl.mechanisms"] {
        violations.require(
            property(name).as_deref() != Some("OAUTHBEARER"),
            &place(kafka, name),
            "is for Amazon MSK here: set `kafka.auth` = \"msk-iam\" instead",
        );
    }
    let has_mechanism = kafka.has_property("sasl.mechanism") || kafka.has_property("sasl.mechanisms");
    violations.require(
        !has_sasl || has_mechanism,
        "kafka.properties.security.protocol",
        "needs `sasl.mechanisms` beside it, such as SCRAM-SHA-512",
    );
}

fn names(kafka: &Settings) -> impl Iterator<Item = &String> {
    kafka.properties.keys().chain(kafka.property_files.keys())
}

/// The dotted key under which a property is set.
fn place(kafka: &Settings, name: &str) -> String {
    let is_in_file = !kafka.properties.contains_key(name) && kafka.property_files.contains_key(name);
    let map = if is_in_file {
        "property_files"
    } else {
        "properties"
    };
    format!("kafka.{map}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, DEFAULT_TOML};

    /// The keys that are complained about in a `[kafka]` with these lines.
    fn complaints(lines: &str) -> Vec<String> {
        let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
        let changes: toml::Table = lines.parse().unwrap();
        let mut table = toml::Table::try_from(config.process.kafka).unwrap();
        table.extend(changes);
        let mut violations = Violations::default();
        check(&table.try_into().unwrap(), &mut violations);
        violations
            .into_vec()
            .into_iter()
            .map(|violation| violation.key)
            .collect()
    }

    #[test]
    fn what_works_is_allowed() {
        for lines in [
            "",
            "auth = 'msk-iam'\naws_region = 'eu-west-1'\nproperties = { 'ssl.ca.location' = 'x', 'security.protocol' = 'sasl_ssl' }",
            "properties = { 'security.protocol' = 'SSL', 'ssl.certificate.location' = 'c', 'ssl.key.location' = 'k' }",
            "properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'PLAIN', 'sasl.username' = 'u' }\n\
             property_files = { 'sasl.password' = '/run/p' }",
        ] {
            assert_eq!(complaints(lines), [""; 0], "{lines}");
        }
    }

    #[test]
    fn contradictions_are_complained_about() {
        for (lines, key) in [
            ("aws_region = 'eu-west-1'", "aws_region"),
            ("auth = 'msk-iam'\naws_region = 'EU (Ireland)'", "aws_region"),
            (
                "auth = 'msk-iam'\nproperties = { 'security.protocol' = 'SSL' }",
                "properties.security.protocol",
            ),
            (
                "auth = 'msk-iam'\nproperties = { 'sasl.mechanism' = 'PLAIN' }",
                "properties.sasl.mechanism",
            ),
            (
                "auth = 'msk-iam'\nproperty_files = { 'sasl.password' = '/run/p' }",
                "property_files.sasl.password",
            ),
            (
                "auth = 'msk-iam'\nproperties = { 'sasl.oauthbearer.config' = 'x' }",
                "properties.sasl.oauthbearer.config",
            ),
            (
                "properties = { 'security.protocol' = 'TLS' }",
                "properties.security.protocol",
            ),
            (
                "properties = { 'security.protocol' = 'SASL_SSL' }",
                "properties.security.protocol",
            ),
            (
                "properties = { 'ssl.ca.location' = 'x' }",
                "properties.ssl.ca.location",
            ),
            (
                "properties = { 'security.protocol' = 'SSL', 'sasl.username' = 'u' }",
                "properties.sasl.username",
            ),
            (
                "properties = { 'security.protocol' = 'SSL', 'ssl.key.location' = 'k' }",
                "properties.ssl.key.location",
            ),
            (
                "properties = { 'security.protocol' = 'SASL_SSL', 'sasl.mechanisms' = 'oauthbearer' }",
                "properties.sasl.mechanisms",
            ),
            (
                "properties = { 'security.protocol' = 'SASL_SSL', 'sasl.mechanisms' = 'PLAIN', 'sasl.password' = 'p' }\n\
                 property_files = { 'sasl.password' = '/run/p' }",
                "property_files.sasl.password",
            ),
        ] {
            assert_eq!(complaints(lines), [format!("kafka.{key}")], "{lines}");
        }
    }
}
