use super::*;

const EPISODE: &str = "usage/3/1234/0";

fn refusal(key: &str, value: &str) -> String {
    match parse(key.as_bytes(), value.as_bytes()) {
        Ok(opinion) => format!("was read: {opinion:?}"),
        Err(malformed) => malformed.to_string(),
    }
}

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Messages with all there can be, and with as little as there can be.
pub(in crate::feedback) fn samples() -> Vec<Opinion> {
    let least = |about, verdict| Feedback {
        about,
        verdict,
        scope: Scope::This,
        until: None,
        by: None,
        note: None,
        at: None,
    };
    let episode = |series| About::Episode {
        id: EPISODE.to_owned(),
        series,
        measure: None,
        detector: None,
        since: None,
        until: None,
    };
    let most = About::Episode {
        id: EPISODE.to_owned(),
        series: Some(Some("Zähler \"7\"\n".to_owned())),
        measure: Some("power".to_owned()),
        detector: Some("adaptive-band".to_owned()),
        since: Some(time("2026-11-27T06:33:00Z")),
        until: Some(time("2026-11-27T07:33:00.25Z")),
    };
    let span = |series| About::Span {
        series,
        from: time("2026-11-27T06:33:00.5Z"),
        to: time("2026-11-27T06:33:00.5Z"),
    };
    let silence = Silence {
        id: "3f2a-B_1".to_owned(),
        pattern: "boiler-*".to_owned(),
        begin: Some(time("2026-11-27T06:33:00Z")),
        until: Some(time("2026-11-27T08:33:00Z")),
        until_resolved: Some(EPISODE.to_owned()),
        why: "maintenance".to_owned(),
        by: Some("anna".to_owned()),
    };
    let short = Silence {
        begin: None,
        until_resolved: None,
        by: None,
        ..silence.clone()
    };
    let mut opinions = vec![
        Opinion::Silence(silence),
        Opinion::Silence(short),
        Opinion::Feedback(Feedback {
            scope: Scope::Series,
            until: Some(time("2026-12-24T00:00:00Z")),
            by: Some("anna".to_owned()),
            note: Some("pump test".to_owned()),
            at: Some(time("2026-11-27T09:00:00Z")),
            ..least(most, Verdict::Expected)
        }),
        Opinion::Feedback(Feedback {
            scope: Scope::Series,
            until: Some(time("2026-12-24T00:00:00Z")),
            ..least(episode(Some(None)), Verdict::Expected)
        }),
        Opinion::Feedback(Feedback {
            scope: Scope::Slot,
            ..least(episode(None), Verdict::Expected)
        }),
    ];
    for verdict in [Verdict::Expected, Verdict::Real, Verdict::Withdrawn] {
        opinions.push(Opinion::Feedback(least(episode(None), verdict)));
    }
    for verdict in Verdict::ALL {
        opinions.push(Opinion::Feedback(least(span(None), verdict)));
        opinions.push(Opinion::Feedback(least(span(Some("a/b".to_owned())), verdict)));
    }
    opinions
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for opinion in samples() {
        let (key, value) = (opinion.key(), opinion.json());
        assert_eq!(
            parse(key.as_bytes(), value.as_bytes()),
            Ok(opinion),
            "{key} {value}"
        );
    }
}

#[test]
fn other_programs_need_to_write_little_and_may_write_more() {
    let little = r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"real"}"#;
    let Ok(Opinion::Feedback(feedback)) = parse(EPISODE.as_bytes(), little.as_bytes()) else {
        panic!("it is feedback");
    };
    assert_eq!(
        (feedback.verdict, feedback.scope, feedback.by),
        (Verdict::Real, Scope::This, None)
    );
    let more = r#"{"version":1,"about":{"episode":"usage/3/1234/0","page":7},"verdict":"real","scope":null,"mood":"good"}"#;
    assert!(parse(EPISODE.as_bytes(), more.as_bytes()).is_ok());
    let missed = r#"{"about":{"series":"boiler-7","from":"2026-11-27T07:33:00+01:00","to":"2026-11-27T07:00:00Z"},"verdict":"missed"}"#;
    let key = "2026-11-27T06:33:00Z/2026-11-27T07:00:00Z/boiler-7";
    assert!(parse(key.as_bytes(), missed.as_bytes()).is_ok());
    let silence = r#"{"silence":"a","series":"*","until":"2026-11-27T07:00:00Z","why":"move"}"#;
    assert!(parse(b"a", silence.as_bytes()).is_ok());
}

#[test]
fn what_says_nothing_is_refused_by_its_field() {
    let span = r#""about":{"series":"a","from":"2026-11-27T07:00:00Z","to":"2026-11-27T08:00:00Z"}"#;
    for (value, expected) in [
        ("", "its value must be a JSON object"),
        ("[]", "its value must be a JSON object"),
        ("{}", "about (or silence) is missing"),
        (
            r#"{"version":2}"#,
            "version must be 1, the only one that this program knows",
        ),
        (r#"{"about":7}"#, "about must be an object"),
        (
            r#"{"about":{},"silence":"a"}"#,
            "silence must be left out beside about",
        ),
        (r#"{"about":{}}"#, "about.episode is missing"),
        (r#"{"about":{"episode":7}}"#, "about.episode must be a text"),
        (
            r#"{"about":{"episode":"usage/3/1234"}}"#,
            "about.episode must be the id of an episode",
        ),
        (
            r#"{"about":{"episode":"usage/3/1234/x"}}"#,
            "about.episode must be",
        ),
        (r#"{"about":{"series":"a"}}"#, "about.from is missing"),
        (
            r#"{"about":{"from":"2026-11-27T07:00:00Z","to":"2026-11-27T08:00:00Z"}}"#,
            "about.series is missing",
        ),
        (
            r#"{"about":{"series":"a","from":"2026-11-27T07:00:00Z","to":"2026-11-27T06:00:00Z"}}"#,
            "about.to must be not before about.from",
        ),
        (
            r#"{"about":{"series":"a","from":"2026-11-27 07:00","to":null}}"#,
            "about.from must be a time such as",
        ),
        (r#"{"about":{"episode":"usage/3/1234/0"}}"#, "verdict is missing"),
        (
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"good"}"#,
            r#"verdict must be one of "expected", "real", "missed", "withdrawn""#,
        ),
        (
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"missed"}"#,
            "about must be about.series, about.from and about.to",
        ),
        (
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"real","by":""}"#,
            "by must be a text of 1 to 256 characters",
        ),
        (
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"expected","scope":"series"}"#,
            r#"until must be a time with scope "series""#,
        ),
        (
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"expected","scope":"series","until":"2026-11-27T07:00:00Z"}"#,
            "about.series is missing",
        ),
        (
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"expected","until":"2026-11-27T07:00:00Z"}"#,
            r#"until must be left out with scope "this""#,
        ),
        (
            &format!(r#"{{{span},"verdict":"missed","scope":"slot"}}"#),
            r#"scope must be "this" where"#,
        ),
        (
            &format!(r#"{{{span},"verdict":"missed"}}"#),
            r#"its key must be "2026-11-27T07:00:00Z/2026-11-27T08:00:00Z/a", which it is about"#,
        ),
        (r#"{"silence":"a b"}"#, "series is missing"),
        (r#"{"silence":"a","series":"*"}"#, "why is missing"),
        (
            r#"{"silence":"a","series":"*","why":"b"}"#,
            "until (or until_resolved) is missing",
        ),
        (
            r#"{"silence":"a","series":"*","why":"b","until_resolved":"c"}"#,
            "until_resolved must be the id of an episode",
        ),
        (
            r#"{"silence":"a/b","series":"*","why":"b","until":"2026-11-27T07:00:00Z"}"#,
            "silence must be letters",
        ),
    ] {
        let found = refusal(EPISODE, value);
        assert!(found.starts_with(expected), "{value}: {found}");
    }
    let large = format!(r#"{{"note":"{}"}}"#, "x".repeat(LARGEST_VALUE_BYTES));
    assert!(refusal(EPISODE, &large).starts_with("its value has"));
    let long = format!(
        r#"{{"about":{{"episode":"{EPISODE}"}},"verdict":"real","note":"{}"}}"#,
        "x".repeat(4_097)
    );
    assert_eq!(
        refusal(EPISODE, &long),
        "note must be a text of 1 to 4096 characters"
    );
    assert!(
        refusal(
            "usage/3/1234/1",
            r#"{"about":{"episode":"usage/3/1234/0"},"verdict":"real"}"#
        )
        .starts_with("its key")
    );
}

#[test]
fn an_id_of_an_episode_is_told_from_other_texts() {
    for id in ["usage/3/1234/0", "my.topic_2-x/0/0/12"] {
        assert!(is_episode_id(id), "{id}");
    }
    for text in [
        "",
        "/1/2/3",
        "usage/1/2",
        "usage/1/2/3/4",
        "usage/1//3",
        "usage/-1/2/3",
        "a b/1/2/3",
    ] {
        assert!(!is_episode_id(text), "{text}");
    }
}
