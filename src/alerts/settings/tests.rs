use super::*;
use crate::config::{DEFAULT_TOML, Overrides, config_of, load};

/// The keys that are complained about in a receiver of these fields, without what they begin with.
fn complaints(fields: &[(&str, &str)]) -> Vec<String> {
    let given = fields.iter().fold(Overrides::default(), |given, (name, value)| {
        given.with(&format!("alert.receiver.ops.{name}"), "a test", Some(value))
    });
    let text = load(&given, None, []).map_or_else(|error| error.to_string(), |_| String::new());
    let keys = text.split("setting `alert.receiver.ops.").skip(1);
    keys.filter_map(|rest| Some(rest.split_once('`')?.0.to_owned()))
        .collect()
}

#[test]
fn the_reference_describes_every_setting_of_a_receiver() {
    let reference: toml::Table = DEFAULT_TOML.parse().unwrap();
    let described = &reference["alert"]["receiver"][0];
    // Neither side has a default of its own or ignores a key, so reading proves one half and writing the other.
    let receiver: ReceiverSettings = described.clone().try_into().unwrap();
    assert_eq!(toml::Value::try_from(receiver).unwrap(), *described);
    assert_eq!(config_of(&[]).alert.receivers, []);
}

#[test]
fn each_kind_is_a_few_lines() {
    for fields in [
        &[("kind", "alertmanager"), ("url", "http://alertmanager:9093")][..],
        &[("kind", "pagerduty"), ("routing_key_file", "/run/key")],
        &[
            ("kind", "slack"),
            ("url", "https://hooks.slack.com/services/T/B/x"),
        ],
        &[("kind", "slack"), ("token", "xoxb-1"), ("channel", "C0123")],
        &[("kind", "teams"), ("url_file", "/run/url")],
        &[
            ("kind", "email"),
            ("server", "smtp.example.com:587"),
            ("from", "a@example.com"),
            ("to", "b@example.com"),
        ],
        &[
            ("kind", "webhook"),
            ("url", "https://a.example"),
            ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ],
        &[
            ("kind", "sns"),
            ("topic_arn", "arn:aws:sns:eu-west-1:123456789012:alerts.fifo"),
        ],
        &[("kind", "ntfy"), ("topic", "meters_1")],
    ] {
        assert_eq!(complaints(fields), [""; 0], "{fields:?}");
    }
}

#[test]
fn what_makes_no_sense_is_complained_about_by_its_key() {
    let alertmanager = [("kind", "alertmanager"), ("url", "http://am:9093")];
    for (changes, key) in [
        (&[("kind", "pager")][..], "kind"),
        (&[("url", ""), ("url_file", "")], "kind"),
        (&[("url_file", "/run/url")], "url_file"),
        (&[("url", "am:9093")], "url"),
        (&[("url", "ftp://am")], "url"),
        (&[("url", "https://am/<redacted>")], "url"),
        (&[("token", "t")], "url"),
        (&[("channel", "C1")], "channel"),
        (&[("to", "a@example.com")], "to"),
        (&[("routing_key_file", "/run/key")], "routing_key_file"),
        (&[("url", "https://am"), ("user", "u")], "user"),
        (
            &[
                ("url", "https://am"),
                ("user", "u"),
                ("password", "p"),
                ("token", "t"),
            ],
            "user",
        ),
        (&[("series", "[]")], "series"),
        (&[("detectors", "adaptive_band")], "detectors"),
        (&[("detectors", "none")], "detectors"),
        (&[("min_severity", "cleared")], "min_severity"),
        (&[("hours", "at night")], "hours"),
        (&[("quiet", "22-7")], "quiet"),
        (&[("time_zone", "Mars")], "time_zone"),
        (&[("min_duration", "2d")], "min_duration"),
        (&[("repeat", "1m")], "repeat"),
        (&[("max_age", "0s")], "max_age"),
        (&[("group_wait", "1h")], "group_wait"),
        (&[("storm", "-1")], "storm"),
        (&[("name", "other")], "name"),
    ] {
        assert_eq!(
            complaints(&[&alertmanager, changes].concat()),
            [key],
            "{changes:?}"
        );
    }
}

#[test]
fn each_kind_says_what_its_settings_must_be() {
    for (fields, key) in [
        (
            &[("kind", "pagerduty"), ("routing_key", "short")][..],
            "routing_key",
        ),
        (&[("kind", "slack"), ("token", "xoxb-1")], "kind"),
        (
            &[
                ("kind", "slack"),
                ("channel", "C1"),
                ("url", "http://127.0.0.1:9/"),
            ],
            "kind",
        ),
        (&[("kind", "teams"), ("url", "http://teams.example")], "url"),
        (
            &[
                ("kind", "webhook"),
                ("url", "https://a.example"),
                ("secret", "hush"),
            ],
            "secret",
        ),
        (
            &[
                ("kind", "sns"),
                ("topic_arn", "arn:aws:sqs:eu-west-1:123456789012:alerts"),
            ],
            "topic_arn",
        ),
        (&[("kind", "ntfy"), ("topic", "a/b")], "topic"),
    ] {
        assert_eq!(complaints(fields), [key], "{fields:?}");
    }
    let mail = [
        ("kind", "email"),
        ("server", "mail:587"),
        ("from", "a@example.com"),
        ("to", "b@example.com"),
    ];
    for (changes, key) in [
        (("server", "smtp.example.com"), "server"),
        (("server", "smtp.example.com:0"), "server"),
        (("tls", "ssl"), "tls"),
        (("tls", "none"), "tls"),
        (("from", "Meters <a@example.com>"), "from"),
        (("to", "b@example.com, nobody"), "to"),
    ] {
        assert_eq!(
            complaints(&[&mail[..], &[changes]].concat()),
            [key],
            "{changes:?}"
        );
    }
}

#[test]
fn a_route_takes_what_matches_all_of_it() {
    let fields = [
        ("alert.receiver.ops.kind", "alertmanager"),
        ("alert.receiver.ops.url", "http://am:9093"),
        ("alert.receiver.ops.series", "boiler-*, pump-1"),
        ("alert.receiver.ops.detectors", "rules"),
        ("alert.receiver.ops.min_severity", "critical"),
        ("alert.receiver.ops.hours", "08:00-18:00"),
        ("alert.time_zone", "Europe/Berlin"),
        (
            "alert.link",
            "https://m.example/?s={series}&e={episode}&t={from_ms}",
        ),
    ];
    let alert = config_of(&fields).alert;
    let receiver = alert.receiver("ops").unwrap();
    for (series, detector, severity, expected) in [
        ("boiler-7", "rules", Severity::Critical, true),
        ("pump-1", "rules", Severity::Critical, true),
        ("pump-2", "rules", Severity::Critical, false),
        ("boiler-7", "adaptive-band", Severity::Critical, false),
        ("boiler-7", "rules", Severity::Warning, false),
    ] {
        assert_eq!(
            receiver.takes(series, detector, severity),
            expected,
            "{series} {detector} {severity:?}"
        );
    }
    let zone = alert.zone_of(receiver, chrono_tz::UTC);
    assert_eq!(zone, chrono_tz::Europe::Berlin);
    let time: DateTime<Utc> = "2026-11-27T07:30:00Z".parse().unwrap();
    assert!(receiver.is_on_duty(time, zone) && !receiver.is_on_duty(time, chrono_tz::UTC));
    let link = alert.link_to("a b/c&{episode}", "3f", time).unwrap();
    assert_eq!(
        link,
        "https://m.example/?s=a%20b%2Fc%26%7Bepisode%7D&e=3f&t=1795764600000"
    );
}
