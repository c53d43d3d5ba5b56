use super::*;
use crate::settings::Violation;

#[test]
fn conditions_are_read() {
    for (text, condition) in [
        (
            "above 90",
            Condition::Above {
                bound: 90.0,
                for_ms: 0,
                until: None,
            },
        ),
        (
            "above -1.5e3 for 1h 30m",
            Condition::Above {
                bound: -1500.0,
                for_ms: 5_400_000,
                until: None,
            },
        ),
        (
            "below 5 for 250ms",
            Condition::Below {
                bound: 5.0,
                for_ms: 250,
                until: None,
            },
        ),
        (
            "above 90 for 10m until below 85.5",
            Condition::Above {
                bound: 90.0,
                for_ms: 600_000,
                until: Some(Recovery {
                    bound: 85.5,
                    for_ms: 0,
                }),
            },
        ),
        (
            "below 5 until above 5 for 1m",
            Condition::Below {
                bound: 5.0,
                for_ms: 0,
                until: Some(Recovery {
                    bound: 5.0,
                    for_ms: 60_000,
                }),
            },
        ),
        ("silent for 15m", Condition::Silent { for_ms: 900_000 }),
        (
            "changes by 20 within 1m",
            Condition::Changes {
                by: 20.0,
                within_ms: 60_000,
            },
        ),
        (
            "reaches 95 within 3d",
            Condition::Reaches {
                limit: 95.0,
                within_ms: 259_200_000,
                is_falling: false,
            },
        ),
        (
            "falls to 5.5 within 1d 12h",
            Condition::Reaches {
                limit: 5.5,
                within_ms: 129_600_000,
                is_falling: true,
            },
        ),
    ] {
        let text = text.to_owned();
        assert_eq!(read_conditions(&text).unwrap(), [Rule { text, condition }]);
    }
}

#[test]
fn several_are_separated_by_semicolons_and_written_with_single_spaces() {
    let texts: Vec<String> = read_conditions(" above  90 for\t10m;below 5 ")
        .unwrap()
        .into_iter()
        .map(|rule| rule.text)
        .collect();
    assert_eq!(texts, ["above 90 for 10m", "below 5"]);
}

#[test]
fn an_unknown_condition_is_answered_with_examples() {
    for (text, condition, expected) in [
        ("", "", "expected something such as \"above 90\", "),
        ("above 90;", "", "expected something such as \"above 90\", "),
        ("over 90", "over 90", "expected something such as \"above 90\", "),
        (
            "below 5; above",
            "above",
            "expected something such as \"above 90\", ",
        ),
        (
            "above 90 10m",
            "above 90 10m",
            "expected something such as \"above 90\", ",
        ),
        (
            "above 90 until",
            "above 90 until",
            "expected something such as \"above 90\", ",
        ),
        (
            "above 90 until above 95",
            "above 90 until above 95",
            "expected something such as \"above 90\", ",
        ),
        (
            "above 90 until below 95",
            "above 90 until below 95",
            "expected a bound that is not above 90 in the place of \"below 95\"",
        ),
        (
            "below 5 until above 4.5 for 1m",
            "below 5 until above 4.5 for 1m",
            "expected a bound that is not below 5 in the place of \"above 4.5\"",
        ),
        (
            "silent for 5m until below 3",
            "silent for 5m until below 3",
            "expected something such as \"silent",
        ),
        ("above x", "above x", "expected a number in the place of \"x\""),
        (
            "above inf",
            "above inf",
            "expected a number in the place of \"inf\"",
        ),
        ("above 90 for", "above 90 for", "expected a duration"),
        ("above 90 for 10", "above 90 for 10", "expected a duration"),
        ("above 90 for 0s", "above 90 for 0s", "expected a duration"),
        ("silent for 1us", "silent for 1us", "expected a duration"),
        ("silent for 2years", "silent for 2years", "expected a duration"),
        (
            "silent",
            "silent",
            "expected something such as \"silent for 15m\"",
        ),
        (
            "changes by 20",
            "changes by 20",
            "expected something such as \"changes by",
        ),
        (
            "changes by -2 within 1m",
            "changes by -2 within 1m",
            "expected a number above 0",
        ),
        (
            "reaches 95",
            "reaches 95",
            "expected something such as \"reaches 95 within 3d\"",
        ),
        (
            "falls 5 within 3d",
            "falls 5 within 3d",
            "expected something such as \"falls to 5 within 3d\"",
        ),
        (
            "reaches 95 within 29d",
            "reaches 95 within 29d",
            "expected a duration from 6h to 28d in the place of \"29d\"",
        ),
        (
            "reaches full within 3d",
            "reaches full within 3d",
            "expected a number in the place of \"full\"",
        ),
    ] {
        let error = read_conditions(text).unwrap_err();
        assert_eq!(error.condition, condition, "{text:?}");
        assert!(error.expected.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn a_rule_that_cannot_be_read_is_named_by_its_pattern() {
    let rules = [("boiler-*", "above 90; below x"), ("*", "silent for 15m")];
    let rules = rules.map(|(pattern, text)| (pattern.to_owned(), text.to_owned()));
    let mut found = Violations::default();
    check_rules(&BTreeMap::from(rules), &mut found);
    assert_eq!(
        found.into_vec(),
        [Violation {
            key: "detect.rules.boiler-*".to_owned(),
            rule: "must be conditions separated by semicolons; \"below x\" is not a condition: \
                   expected a number in the place of \"x\""
                .to_owned(),
        }]
    );
}
