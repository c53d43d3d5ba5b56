use super::*;
use crate::detectors::{Calendar, Earlier, EndReason, Forecast, Phase, Slot};

fn context() -> MessageContext {
    MessageContext {
        topic: "usage".to_owned(),
        group: "streamgauge-detect".to_owned(),
        unit: "kW".to_owned(),
        value_name: "value".to_owned(),
    }
}

fn verdict(detector: &'static str, cause: Cause) -> Verdict {
    Verdict {
        is_anomaly: true,
        cause,
        ..Verdict::learning(detector, 0.5)
    }
}

/// The first message of record 1234: an episode opens, or one that opened at record 1200 ends.
fn opened(verdict: &Verdict, event_time_ms: i64) -> EpisodeStep {
    let message = MessageId {
        offset: 1234,
        index: 0,
    };
    let is_end = verdict.cause.is_end();
    EpisodeStep {
        message,
        opened: if is_end {
            MessageId {
                offset: 1200,
                index: 1,
            }
        } else {
            message
        },
        phase: if is_end { Phase::Ended } else { Phase::Opened },
        since_ms: match verdict.cause {
            Cause::Rule { since_ms, .. } => since_ms,
            _ if is_end => event_time_ms - 7_500_000,
            _ => event_time_ms,
        },
        until_ms: is_end.then_some(event_time_ms - 3_600_000),
    }
}

fn anomaly(at: &str, value: f64, verdict: Verdict) -> Anomaly {
    let event_time_ms = DateTime::parse_from_rfc3339(at).unwrap().timestamp_millis();
    Anomaly {
        partition: 3,
        episode: opened(&verdict, event_time_ms),
        key: "".into(),
        measure: None,
        event_time_ms,
        local_time_ms: Calendar::new(chrono_tz::America::New_York).local_time_ms(event_time_ms),
        value: Some(value),
        verdict,
    }
}

/// The example in docs/anomalies.md.
fn tuesday() -> Anomaly {
    let isolated = Verdict {
        score: 0.642_857_142_857_142_9,
        lower: Some(612.0),
        upper: Some(655.2),
        expected: Some(633.6),
        slot: Some(Slot {
            weekday: 1,
            minute_of_day: 490,
        }),
        comparables: Some(12),
        ..verdict("isolation-forest", Cause::Isolated)
    };
    anomaly("2024-06-25T12:10:00Z", 820.8, isolated)
}

fn rule(text: &str, condition: Condition, holds: bool, since: &str) -> Verdict {
    let rule = Cause::Rule {
        rule: text.into(),
        condition,
        holds,
        since_ms: DateTime::parse_from_rfc3339(since).unwrap().timestamp_millis(),
        forecast: None,
    };
    Verdict {
        score: f64::from(u8::from(holds)),
        threshold: 1.0,
        ..verdict("rules", rule)
    }
}

const HOT: Condition = Condition::Above {
    bound: 90.0,
    for_ms: 600_000,
    until: None,
};
const SILENT: Condition = Condition::Silent { for_ms: 900_000 };

fn hour(span_ms: i64, earlier: Option<Earlier>) -> Cause {
    Cause::Hour { span_ms, earlier }
}

fn range(record_before: Option<f64>) -> Cause {
    Cause::Range { record_before }
}

fn stuck(longest_before_ms: i64) -> Cause {
    Cause::Stuck {
        lasted_ms: 39_600_000,
        longest_before_ms,
    }
}

/// A disk that is filling up, to be full between two times.
fn filling(early_ms: i64, late_ms: Option<i64>) -> Cause {
    Cause::Rule {
        rule: "reaches 95 within 3d".into(),
        condition: Condition::Reaches {
            limit: 95.0,
            within_ms: 259_200_000,
            is_falling: false,
        },
        holds: true,
        since_ms: 0,
        forecast: Some(Forecast {
            per_day: 1.23456,
            early_ms,
            likely_ms: early_ms + 36_000_000,
            late_ms,
            span_ms: 259_200_000,
        }),
    }
}

#[test]
fn a_trend_says_when_the_limit_is_reached_and_how_sure_that_is() {
    let began = |early_ms, late_ms| {
        let verdict = Verdict {
            upper: Some(95.0),
            ..verdict("rules", filling(early_ms, late_ms))
        };
        anomaly("2024-06-25T12:10:00Z", 91.5, verdict)
    };
    let sentence = |early_ms, late_ms| began(early_ms, late_ms).explanation("%");
    let begins = "reaches 95 within 3d began: 91.5 % at Tue 08:10, ";
    assert_eq!(
        sentence(187_200_000, Some(262_800_000)),
        format!("{begins}reaches 95 in 2d 4h to 3d 1h, rising 1.235 a day")
    );
    assert_eq!(
        sentence(187_200_000, None),
        format!("{begins}reaches 95 in 2d 4h to more than 3d, rising 1.235 a day")
    );
    let message: serde_json::Value =
        serde_json::from_str(&began(187_200_000, None).json(&context())).unwrap();
    assert_eq!(
        message["trend"],
        serde_json::json!({
            "per_day": 1.23456,
            "early": "2024-06-27T12:10:00-04:00",
            "likely": "2024-06-27T22:10:00-04:00",
            "late": null,
        })
    );
}

/// A verdict of the default's, with the bounds of `band` or fewer.
fn band(cause: Cause, expected: Option<f64>, lower: Option<f64>, upper: Option<f64>) -> Anomaly {
    let verdict = Verdict {
        score: 8.125,
        threshold: 7.0,
        expected,
        lower,
        upper,
        ..verdict("adaptive-band", cause)
    };
    anomaly("2024-06-25T12:10:00Z", 820.8, verdict)
}

#[test]
fn the_documentation_shows_what_is_published() {
    let documentation = include_str!("../../../docs/anomalies.md");
    let anomaly = tuesday();
    let json = anomaly.json(&context());
    assert!(documentation.contains(&format!("```json\n{json}\n```")), "{json}");
    let headers: String = anomaly
        .headers(&context())
        .into_iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8(value.unwrap()).unwrap()))
        .collect();
    assert!(
        documentation.contains(&format!("```text\n{headers}```")),
        "{headers}"
    );
}

#[test]
fn the_schema_names_the_fields_in_their_order() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/anomaly.schema.json")).unwrap();
    let message: serde_json::Value = serde_json::from_str(&tuesday().json(&context())).unwrap();
    let names =
        |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    // The fields that are not always there.
    let measured = Anomaly {
        measure: Some("kw".into()),
        verdict: Verdict {
            cause: filling(172_800_000, Some(262_800_000)),
            ..tuesday().verdict
        },
        ..tuesday()
    };
    let measured: serde_json::Value = serde_json::from_str(&measured.json(&context())).unwrap();
    assert_eq!(names(&schema["properties"]), names(&measured));
    let required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
    assert_eq!(required, names(&message));
}

#[test]
fn a_message_says_null_where_there_is_nothing_and_its_times_have_the_zones_offset() {
    let message = anomaly(
        "2024-01-02T12:10:00.25Z",
        0.1 + 0.2,
        verdict("half-space-trees", Cause::SparseRegion),
    );
    assert_eq!(
        message.json(&context()),
        "{\"ts\":\"2024-01-02T07:10:00.250-05:00\",\"value\":0.30000000000000004,\"key\":null,\
         \"detector\":\"half-space-trees\",\"cause\":\"sparse_region\",\"score\":0.0,\"threshold\":0.5,\
         \"expected\":null,\"lower\":null,\"upper\":null,\"slot\":null,\"comparables\":null,\
         \"severity\":\"warning\",\"explanation\":\"0.3 kW at Tue 07:10 lies where few earlier values did \
         (score 0, threshold 0.5)\",\"episode\":\"usage/3/1234/0\",\"phase\":\"opened\",\
         \"since\":\"2024-01-02T07:10:00.250-05:00\",\"until\":null}"
    );
    assert_eq!(message.message_key(), None);
}

#[test]
fn the_field_of_the_value_has_the_configured_name() {
    let named = MessageContext {
        value_name: "usage".to_owned(),
        ..context()
    };
    let plain = anomaly(
        "2024-01-02T12:10:00Z",
        42.0,
        verdict("rules", Cause::SparseRegion),
    );
    let absent: serde_json::Value = serde_json::from_str(&plain.json(&named)).unwrap();
    assert!(absent.get("measure").is_none());
    let message = Anomaly {
        measure: Some("kw".into()),
        verdict: verdict("rules", filling(0, Some(0))),
        ..plain
    };
    assert!(message.explanation("").starts_with("kw: "));
    let json: serde_json::Value = serde_json::from_str(&message.json(&named)).unwrap();
    let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(json["usage"], 42.0);
    let fixed: Vec<&str> = fields.into_iter().filter(|field| *field != "usage").collect();
    assert_eq!(fixed, FIXED_FIELDS);
}

#[test]
fn an_offset_of_odd_seconds_is_cut_to_minutes_at_the_same_instant() {
    let old = anomaly("1883-01-01T12:00:00Z", 1.0, verdict("rules", Cause::Isolated));
    assert_eq!(old.local_time_ms - old.event_time_ms, -17_762_000);
    assert_eq!(old.local_time().to_rfc3339(), "1883-01-01T07:04:00-04:56");
    let utc = Anomaly {
        local_time_ms: old.event_time_ms,
        ..old
    };
    assert!(
        utc.json(&context())
            .starts_with("{\"ts\":\"1883-01-01T12:00:00Z\"")
    );
}

#[test]
fn a_keyed_message_has_its_key_and_subject() {
    let keyed = Anomaly {
        key: "Zähler 7".into(),
        verdict: rule("above 90 for 10m", HOT, false, "2024-06-25T12:00:00Z"),
        episode: EpisodeStep {
            message: MessageId {
                offset: 1234,
                index: 2,
            },
            opened: MessageId {
                offset: 1200,
                index: 1,
            },
            phase: Phase::Ended,
            ..tuesday().episode
        },
        ..tuesday()
    };
    assert_eq!(keyed.message_key(), Some("Zähler 7".as_bytes()));
    let spaced = MessageContext {
        group: "my group/ä".to_owned(),
        ..context()
    };
    let headers = keyed.headers(&spaced);
    let header = |name: &str| {
        let (_, value) = headers.iter().find(|(other, _)| other == name)?;
        Some(std::str::from_utf8(value.as_deref()?).unwrap())
    };
    assert_eq!(header("ce_id"), Some("usage/3/1234/2"));
    assert_eq!(header("ce_episode"), Some("usage/3/1200/1"));
    assert_eq!(header("ce_phase"), Some("ended"));
    assert_eq!(header("ce_subject"), Some("Zähler 7"));
    assert_eq!(header("ce_rule"), Some("above 90 for 10m"));
    assert_eq!(
        header("ce_source"),
        Some("/groups/my%20group%2F%C3%A4/topics/usage/partitions/3")
    );
}

#[test]
fn severity_follows_the_band_or_else_the_score() {
    let (point, bound) = (|| Cause::Point, Some(700.0));
    let score = |score, threshold| Anomaly {
        verdict: Verdict {
            score,
            threshold,
            ..verdict("half-space-trees", Cause::SparseRegion)
        },
        ..tuesday()
    };
    for (anomaly, severity) in [
        (tuesday(), Severity::Critical),
        (band(point(), None, bound, Some(761.0)), Severity::Warning),
        (band(point(), None, bound, Some(760.0)), Severity::Critical),
        (band(point(), None, Some(821.0), Some(822.0)), Severity::Warning),
        (band(point(), None, Some(822.0), Some(823.0)), Severity::Critical),
        // Of no width, or half of a band: by the score, 8.1 of 7.
        (band(point(), None, bound, bound), Severity::Warning),
        (band(point(), None, None, bound), Severity::Warning),
        (score(0.85, 0.7), Severity::Warning),
        (score(0.86, 0.7), Severity::Critical),
        (score(14.1, 7.0), Severity::Critical),
    ] {
        assert_eq!(anomaly.severity(), severity, "{anomaly:?}");
    }
    for (holds, severity) in [(true, Severity::Warning), (false, Severity::Cleared)] {
        let rule = Anomaly {
            verdict: rule("above 90 for 10m", HOT, holds, "2024-06-25T12:00:00Z"),
            ..tuesday()
        };
        assert_eq!(rule.severity(), severity);
    }
}

#[test]
fn isolated_values_are_explained_by_the_earlier_ones_of_their_slot() {
    let (base, with) = (tuesday(), |change: &dyn Fn(&mut Anomaly)| {
        let mut changed = tuesday();
        change(&mut changed);
        changed.explanation("")
    });
    assert_eq!(
        base.explanation("kW"),
        "820.8 kW at Tue 08:10, expected 612 to 655.2 from 12 earlier Tuesdays"
    );
    for (sentence, expected) in [
        (
            with(&|anomaly| anomaly.verdict.comparables = Some(1)),
            "820.8 at Tue 08:10, expected 612 to 655.2 from 1 earlier Tuesday",
        ),
        (
            with(&|anomaly| anomaly.verdict.upper = Some(900.0)),
            "820.8 at Tue 08:10 stands apart from 12 earlier Tuesdays, though within 612 to 900",
        ),
        (
            with(&|anomaly| (anomaly.verdict.lower, anomaly.verdict.upper) = (None, None)),
            "820.8 at Tue 08:10 stands apart from 12 earlier Tuesdays",
        ),
        (
            with(&|anomaly| anomaly.verdict.lower = Some(655.2 - 1e-12)),
            "820.8 at Tue 08:10, expected 655.2 from 12 earlier Tuesdays",
        ),
        (
            with(&|anomaly| anomaly.local_time_ms += 95_000),
            "820.8 at Tue 08:11:35, expected 612 to 655.2 from 12 earlier values of Tue 08:10",
        ),
        (
            with(&|anomaly| (anomaly.verdict.slot, anomaly.verdict.comparables) = (None, None)),
            "820.8 at Tue 08:10, expected 612 to 655.2 from earlier values",
        ),
    ] {
        assert_eq!(sentence, expected);
    }
}

#[test]
fn every_view_of_the_default_is_explained_with_as_much_as_there_is() {
    let (expected, lower, upper) = (Some(640.123), Some(612.04), Some(655.0));
    let earlier = Earlier {
        // Half an hour before, on the wall clock.
        local_time_ms: band(Cause::Point, None, None, None).local_time_ms - 1_800_000,
        value: 465.0,
        lower: 243.04,
        upper: 455.0,
    };
    for (anomaly, sentence) in [
        (
            band(Cause::Point, expected, lower, upper),
            "820.8 kW at Tue 08:10, expected about 640.1 (612 to 655)",
        ),
        (
            band(Cause::Point, expected, None, None),
            "820.8 kW at Tue 08:10, expected about 640.1",
        ),
        (
            band(Cause::Point, None, None, upper),
            "820.8 kW at Tue 08:10, expected at most 655",
        ),
        (
            band(Cause::Point, None, Some(900.0), None),
            "820.8 kW at Tue 08:10, expected at least 900",
        ),
        (
            band(Cause::Point, None, None, None),
            "820.8 kW at Tue 08:10 is out of the ordinary (score 8.125, threshold 7)",
        ),
        (
            band(Cause::Point, expected, lower, Some(821.0)),
            "820.8 kW at Tue 08:10 is out of the ordinary, expected about 640.1 (612 to 821)",
        ),
        (
            band(hour(3_600_000, None), expected, lower, upper),
            "the last hour up to Tue 08:10 is unusual: 820.8 kW at its end, expected about 640.1 (612 to 655)",
        ),
        (
            band(hour(21_600_000, None), None, None, None),
            "the last 6h up to Tue 08:10 is unusual: 820.8 kW at its end (score 8.125, threshold 7)",
        ),
        (
            band(hour(3_600_000, Some(earlier)), expected, lower, Some(821.0)),
            "465 kW at Tue 07:40 (expected 243 to 455) and an unusual hour since: 820.8 kW at Tue 08:10, expected about 640.1 (612 to 821)",
        ),
        (
            band(range(Some(797.0)), expected, lower, upper),
            "820.8 kW at Tue 08:10 is the highest so far, 3 % above 797 before, expected about 640.1 (612 to 655)",
        ),
        (
            band(range(Some(821.0)), Some(900.0), None, None),
            "820.8 kW at Tue 08:10 is the lowest so far, below 821 before, expected about 900",
        ),
        (
            band(range(None), None, None, None),
            "820.8 kW at Tue 08:10 is further out than nearly all values before (score 8.125, threshold 7)",
        ),
        (
            band(stuck(10_800_000), expected, lower, upper),
            "820.8 kW for 11h up to Tue 08:10, at most 3h before, expected about 640.1 (612 to 655)",
        ),
        (
            band(stuck(0), None, None, None),
            "820.8 kW for 11h up to Tue 08:10, never twice in a row before",
        ),
        (
            band(
                Cause::Trend {
                    per_day: -12.3,
                    days: 5,
                },
                expected,
                lower,
                upper,
            ),
            "falling for 5 days, by 12.3 kW a day, far more than weeks differ: 820.8 kW at Tue 08:10",
        ),
        (
            band(
                Cause::Glitch {
                    before: 123_456.7,
                    fell_to: 0.0,
                },
                None,
                None,
                None,
            ),
            "the counter fell from 123457 to 0 and came back by Tue 08:10, a glitch that is not learnt",
        ),
        (
            band(
                Cause::Reset {
                    before: 123_456.7,
                    fell_to: 0.2,
                },
                None,
                None,
                None,
            ),
            "the counter fell from 123457 to 0.2 and counts on from there at Tue 08:10, a reset",
        ),
        (
            band(Cause::Learning, None, None, None),
            "820.8 kW at Tue 08:10, with too little seen before to judge it",
        ),
        (
            band(Cause::SparseRegion, None, lower, upper),
            "820.8 kW at Tue 08:10 lies where few earlier values did, expected 612 to 655",
        ),
    ] {
        assert_eq!(anomaly.explanation("kW"), sentence);
    }
}

#[test]
fn rules_are_explained_by_their_condition() {
    let at = |at: &str, value, verdict| Anomaly {
        key: "boiler-7".into(),
        ..anomaly(at, value, verdict)
    };
    let since = "2024-06-25T12:00:00Z";
    let hot = |holds| rule("above 90 for 10m", HOT, holds, since);
    let silent = |holds, since| rule("silent for 15m", SILENT, holds, since);
    for (anomaly, unit, sentence) in [
        (
            at("2024-06-25T12:10:00Z", 93.2, hot(true)),
            "°C",
            "boiler-7: above 90 for 10m began: 93.2 °C at Tue 08:10",
        ),
        (
            at("2024-06-25T13:35:00Z", 90.0, hot(false)),
            "",
            "boiler-7: above 90 for 10m ended after 1h 35m: 90 at Tue 09:35",
        ),
        (
            at("2024-06-25T12:16:00Z", 93.2, silent(true, since)),
            "°C",
            "boiler-7: silent for 15m began: no reading since Tue 08:00",
        ),
        (
            at("2024-07-25T12:16:00Z", 93.2, silent(true, since)),
            "°C",
            "boiler-7: silent for 15m began: no reading since 2024-06-25 08:00",
        ),
        (
            at("2024-06-27T13:00:01Z", 93.2, silent(false, since)),
            "°C",
            "boiler-7: silent for 15m ended after 2d 1h: 93.2 °C at Thu 09:00:01",
        ),
    ] {
        assert_eq!(anomaly.explanation(unit), sentence);
    }
    let unseen = at("2024-06-25T12:16:00Z", 93.2, silent(true, since));
    assert!(unseen.json(&context()).contains("\"value\":null,"));
}

#[test]
fn an_end_says_how_long_it_lasted_and_since_when_all_is_as_usual() {
    let ended = |reason, rule: Option<&str>| {
        let cause = Cause::Ended {
            reason,
            rule: rule.map(Into::into),
        };
        let verdict = Verdict {
            expected: Some(815.0),
            ..verdict("adaptive-band", cause)
        };
        anomaly("2024-06-25T12:10:00Z", 820.8, verdict)
    };
    for (reason, rule, sentence) in [
        (
            EndReason::BackToUsual,
            None,
            "over after 1h 5m, as usual since Tue 07:10: 820.8 kW at Tue 08:10, expected about 815",
        ),
        (
            EndReason::BecameUsual,
            None,
            "over after 1h 5m: a week without another anomaly, so what is seen now is usual: 820.8 kW at Tue 08:10",
        ),
        (
            EndReason::SeriesForgotten,
            Some("above 90"),
            "above 90 ended after 1h 5m: no reading for so long that the series is forgotten",
        ),
    ] {
        let ended = ended(reason, rule);
        assert_eq!(ended.explanation("kW"), sentence);
        assert_eq!(ended.severity(), Severity::Cleared);
        let json: serde_json::Value = serde_json::from_str(&ended.json(&context())).unwrap();
        assert_eq!(json["cause"], reason.name());
        assert_eq!(json["phase"], "ended");
        assert_eq!(json["episode"], "usage/3/1200/1");
        assert_eq!(json["since"], "2024-06-25T06:05:00-04:00");
        assert_eq!(json["until"], "2024-06-25T07:10:00-04:00");
    }
}
