use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::alerts::{DigestKind, Kind, Severity};
use crate::config::config_of;

/// 2026-11-27 10:00 UTC, a Friday, and so many minutes.
fn at(minutes: i64) -> DateTime<Utc> {
    "2026-11-27T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::minutes(minutes)
}

/// A router to one receiver "ops" with these settings, which waits for nothing unless they say so.
fn router(kind: &str, settings: &[(&str, &str)]) -> Router {
    let mut given = vec![
        ("alert.receiver.ops.kind".to_owned(), kind),
        ("alert.receiver.ops.group_wait".to_owned(), "0s"),
    ];
    match kind {
        "pagerduty" => given.push((
            "alert.receiver.ops.routing_key".to_owned(),
            "0123456789abcdef0123456789abcdef",
        )),
        _ => given.push((
            "alert.receiver.ops.url".to_owned(),
            "https://hooks.slack.com/services/T/B/x",
        )),
    }
    for (name, value) in settings {
        let key = format!("alert.receiver.ops.{name}");
        given.retain(|(other, _)| *other != key);
        given.push((key, value));
    }
    let given: Vec<(&str, &str)> = given.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    Router::new(&config_of(&given).alert, Tz::UTC).unwrap()
}

fn slack(settings: &[(&str, &str)]) -> Router {
    router("slack", settings)
}

fn notification(episode: &str, severity: Severity, minutes: i64) -> Notification {
    let opened_at = at(minutes).fixed_offset();
    Notification {
        id: String::new(),
        kind: Kind::Opened,
        episode: episode.to_owned(),
        series: Some(format!("boiler-{episode}")),
        measure: None,
        detector: "adaptive-band".to_owned(),
        rule: None,
        cause: "point".to_owned(),
        severity,
        opened_at,
        at: opened_at,
        value: Some(93.5),
        expected: None,
        lower: None,
        upper: None,
        unit: String::new(),
        explanation: "93.5".to_owned(),
        link: None,
        is_test: false,
    }
}

/// What happens in a minute.
enum Event {
    Warning(&'static str),
    Critical(&'static str),
    Expected(&'static str),
    End(&'static str),
}
use Event::{Critical, End, Expected, Warning};

/// What is told, and in which minute: `5 opened a`.
fn told(router: &mut Router, events: &[(i64, Event)], until: i64) -> Vec<String> {
    let mut found = Vec::new();
    let mut events = events.iter().peekable();
    for minute in 0..=until {
        let now = at(minute);
        while let Some((_, event)) = events.next_if(|(at, _)| *at == minute) {
            let (episode, severity, is_end) = match event {
                Warning(episode) | Expected(episode) => (episode, Severity::Warning, false),
                Critical(episode) => (episode, Severity::Critical, false),
                End(episode) => (episode, Severity::Warning, true),
            };
            let transition = Transition {
                partition: 0,
                is_expected: matches!(event, Expected(_)),
                is_end,
                notification: notification(episode, severity, minute),
            };
            found.extend(router.step(transition, now));
        }
        found.extend(router.tick(now));
        assert!(
            router.due(now).is_none_or(|due| due > now),
            "nothing is left to do"
        );
    }
    found.iter().map(text).collect()
}

fn text(telling: &Telling) -> String {
    let minute = (telling.at - at(0)).num_minutes();
    match &telling.message {
        Message::Episode(one) => format!("{minute} {} {}", one.kind.name(), one.episode),
        Message::Digest(digest) => {
            let lines: Vec<&str> = digest.lines.iter().map(|line| &*line.episode).collect();
            format!("{minute} {} {:?} {}", digest.kind.name(), lines, digest.title)
        }
    }
}

#[test]
fn an_episode_is_told_when_it_opens_when_it_is_worse_and_when_it_is_over() {
    let events = [
        (1, Warning("a")),
        (2, Warning("a")),
        (3, Critical("a")),
        (4, Critical("a")),
        (9, End("a")),
    ];
    assert_eq!(
        told(&mut slack(&[]), &events, 600),
        ["1 opened a", "3 worsened a", "9 ended a"]
    );
}

#[test]
fn what_somebody_has_said_to_expect_is_told_only_once_it_is_more_than_that() {
    let events = [
        (1, Expected("a")),
        (2, End("a")),
        (3, Expected("b")),
        (4, Warning("b")),
        (5, Expected("b")),
        (6, End("b")),
    ];
    assert_eq!(told(&mut slack(&[]), &events, 60), ["4 opened b", "6 ended b"]);
}

#[test]
fn every_message_has_an_id_of_its_own() {
    let mut router = slack(&[("repeat", "5m")]);
    let mut tellings = Vec::new();
    for minute in 0..20 {
        let transition = Transition {
            partition: 0,
            is_expected: false,
            is_end: minute == 19,
            notification: notification("a", Severity::Critical, minute),
        };
        tellings.extend(router.step(transition, at(minute)));
        tellings.extend(router.tick(at(minute)));
    }
    let kinds: Vec<String> = tellings.iter().map(text).collect();
    assert_eq!(
        kinds,
        [
            "0 opened a",
            "5 reminded a",
            "10 reminded a",
            "15 reminded a",
            "19 ended a"
        ]
    );
    let mut ids: Vec<&str> = tellings.iter().map(|telling| telling.message.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), tellings.len());
}

#[test]
fn what_is_over_before_its_least_duration_is_not_told() {
    let events = [
        (1, Warning("a")),
        (5, End("a")),
        (6, Warning("b")),
        (30, End("b")),
    ];
    assert_eq!(
        told(&mut slack(&[("min_duration", "10m")]), &events, 60),
        ["16 opened b", "30 ended b"]
    );
}

#[test]
fn a_route_takes_what_it_names_and_what_becomes_bad_enough() {
    let events = [
        (1, Warning("a")),
        (2, Critical("a")),
        (3, End("a")),
        (4, Warning("b")),
        (5, End("b")),
    ];
    let critical = [("min_severity", "critical")];
    assert_eq!(
        told(&mut slack(&critical), &events, 60),
        ["2 opened a", "3 ended a"]
    );
    let series = [("series", "[\"*-b\"]")];
    assert_eq!(
        told(&mut slack(&series), &events, 60),
        ["4 opened b", "5 ended b"]
    );
    let detectors = [("detectors", "[\"rules\"]")];
    assert_eq!(told(&mut slack(&detectors), &events, 60), [""; 0]);
}

#[test]
fn what_opens_off_duty_is_for_somebody_else() {
    let events = [
        (1, Warning("a")),
        (40, Critical("a")),
        (41, Warning("b")),
        (45, End("a")),
    ];
    // At 10:30 it is on duty; an anomaly after that opens what it has not heard of.
    assert_eq!(
        told(&mut slack(&[("hours", "10:30-12:00")]), &events, 120),
        ["40 opened a", "41 opened b", "45 ended a"]
    );
}

#[test]
fn warnings_of_quiet_hours_come_as_one_digest_at_their_end_and_criticals_pass() {
    let events = [
        (1, Warning("before")),
        (20, Warning("gone")),
        (25, Critical("bad")),
        (30, End("gone")),
        (31, Warning("open")),
        (32, End("before")),
        (70, End("open")),
    ];
    assert_eq!(
        told(&mut slack(&[("quiet", "10:15-11:00")]), &events, 120),
        [
            "1 opened before",
            "25 opened bad",
            "32 ended before",
            "60 quiet [\"open\"] In quiet hours: 1 still open, 1 came and went",
            "70 ended open"
        ]
    );
    // Who groups by itself is told of each that is still open.
    assert_eq!(
        told(
            &mut router("pagerduty", &[("quiet", "10:15-11:00")]),
            &events,
            120
        ),
        [
            "1 opened before",
            "25 opened bad",
            "32 ended before",
            "60 opened open",
            "70 ended open"
        ]
    );
}

#[test]
fn many_at_once_are_one_message_and_one_when_all_are_over() {
    let events = [
        (1, Warning("a")),
        (1, Critical("b")),
        (1, Warning("c")),
        (1, Warning("d")),
        (2, Warning("e")),
        (3, End("a")),
        (4, End("b")),
        (5, End("c")),
        (6, End("d")),
        (30, End("e")),
        (40, Warning("f")),
    ];
    assert_eq!(
        told(&mut slack(&[("storm", "3")]), &events, 60),
        [
            "1 storm [\"b\", \"a\", \"c\", \"d\"] 4 episodes since Fri 10:01",
            "30 storm [] All 5 episodes since Fri 10:01 are over",
            "40 opened f"
        ]
    );
    let single = told(&mut slack(&[("storm", "0")]), &events, 60);
    assert_eq!(single.len(), 11, "{single:?}");
}

#[test]
fn what_opened_long_ago_comes_in_one_digest() {
    let mut router = slack(&[("max_age", "1h")]);
    let mut found = Vec::new();
    for number in 0..30 {
        let mut notification = notification(&number.to_string(), Severity::Warning, -61 - number);
        for is_end in [false, true] {
            notification.severity = Severity::Critical;
            let transition = Transition {
                partition: 0,
                is_expected: false,
                is_end,
                notification: notification.clone(),
            };
            found.extend(router.step(transition, at(0)));
        }
    }
    assert_eq!(found, []);
    assert_eq!(router.due(at(0)), Some(at(1)));
    let digests = router.tick(at(1));
    let Message::Digest(digest) = &digests[0].message else {
        panic!("{digests:?}");
    };
    assert_eq!(
        (digests.len(), digest.kind, digest.lines.len(), digest.omitted),
        (1, DigestKind::Old, 20, 10)
    );
    assert_eq!(
        digest.title,
        "30 episodes are old news: they came more than 1h late"
    );
}

/// What people say, as messages of their topic.
fn opinions(messages: &[(&str, String)]) -> Arc<Opinions> {
    let mut opinions = Opinions::default();
    for (key, value) in messages {
        opinions.fold(key.as_bytes(), Some(value.as_bytes())).unwrap();
    }
    Arc::new(opinions)
}

fn silence(rest: &str) -> (&'static str, String) {
    let value =
        format!("{{\"version\":1,\"silence\":\"s1\",\"series\":\"boiler-*\",\"why\":\"filter\",{rest}}}");
    ("s1", value)
}

fn expected(episode: &'static str) -> (&'static str, String) {
    let value = format!(
        "{{\"version\":1,\"about\":{{\"episode\":\"{episode}\"}},\"verdict\":\"expected\",\"by\":\"Ada\",\"note\":\"a test run\"}}"
    );
    (episode, value)
}

#[test]
fn a_silenced_episode_is_told_when_the_silence_ends_if_it_is_still_open() {
    let events = [
        (1, Warning("a")),
        (12, Critical("a")),
        (13, Warning("b")),
        (14, Warning("c")),
        (20, End("b")),
        (40, End("a")),
        (60, End("c")),
    ];
    let mut router = slack(&[]);
    let until = format!(
        "\"begin\":\"{}\",\"until\":\"{}\"",
        at(10).to_rfc3339(),
        at(30).to_rfc3339()
    );
    router.heed(opinions(&[silence(&until)]));
    assert_eq!(
        told(&mut router, &events, 60),
        [
            "1 opened a",
            "30 opened c",
            "30 worsened a",
            "40 ended a",
            "60 ended c"
        ]
    );
    let suppressed: Vec<_> = router.suppressed().iter().collect();
    assert_eq!(suppressed, [(&("ops".to_owned(), Hush::Silenced), &1)]);
}

#[test]
fn a_silence_may_last_until_an_episode_is_over() {
    let events = [
        (1, Warning("usage/0/1/0")),
        (2, Warning("usage/0/2/0")),
        (30, End("usage/0/1/0")),
        (60, End("usage/0/2/0")),
    ];
    let mut router = slack(&[]);
    router.heed(opinions(&[silence("\"until_resolved\":\"usage/0/1/0\"")]));
    assert_eq!(
        told(&mut router, &events, 60),
        ["30 opened usage/0/2/0", "60 ended usage/0/2/0"]
    );
}

#[test]
fn an_episode_that_was_expected_is_closed_and_whoever_was_told_of_it_hears_that() {
    let mut router = slack(&[("min_duration", "5m")]);
    let (one, other) = ("usage/0/1/0", "usage/0/2/0");
    let mut found = told(&mut router, &[(1, Warning(one))], 10);
    router.heed(opinions(&[expected(one), expected(other)]));
    let tellings = router.tick(at(11));
    let Message::Episode(closed) = &tellings[0].message else {
        panic!("{tellings:?}");
    };
    assert_eq!(closed.explanation, "Ada says that this was expected: a test run");
    assert_eq!(
        crate::alerts::title(&tellings[0].message),
        "Closed as expected after 10m: boiler-usage/0/1/0"
    );
    found.extend(tellings.iter().map(text));
    for (minute, episode, is_end) in [
        (12, one, false),
        (13, other, false),
        (30, one, true),
        (31, other, true),
    ] {
        let transition = Transition {
            partition: 0,
            is_expected: false,
            is_end,
            notification: notification(episode, Severity::Critical, minute),
        };
        found.extend(router.step(transition, at(minute)).iter().map(text));
        found.extend(router.tick(at(minute)).iter().map(text));
    }
    assert_eq!(found, ["6 opened usage/0/1/0", "11 ended usage/0/1/0"]);
    let suppressed: Vec<_> = router.suppressed().iter().collect();
    assert_eq!(suppressed, [(&("ops".to_owned(), Hush::Expected), &1)]);
}

proptest! {
    /// Whatever the settings and the order of things: of each episode a receiver hears an opening first and an end last, at
    /// most once each, under ids that never come twice; and once all is over, nothing is left to say.
    #[test]
    fn nobody_hears_of_an_episode_after_its_end(
        steps in prop::collection::vec((0i64..40, 0u8..6, 0u8..3), 1..150),
        (wait, least, storm) in (0u64..5, 0u64..20, 0usize..4),
        has_quiet in any::<bool>(),
        groups_itself in any::<bool>(),
    ) {
        let (wait, least) = (Duration::from_secs(wait * 60), Duration::from_secs(least * 60));
        let (wait, least) = (humantime::format_duration(wait).to_string(), humantime::format_duration(least).to_string());
        let storm = storm.to_string();
        let mut settings = vec![("group_wait", &*wait), ("min_duration", &*least), ("storm", &*storm), ("repeat", "2h")];
        if has_quiet {
            settings.push(("quiet", "12:00-16:00"));
        }
        let mut router = router(if groups_itself { "pagerduty" } else { "slack" }, &settings);
        let mut open = [None::<u32>; 6];
        let mut opened = 0;
        let mut tellings = Vec::new();
        let mut minute = 0;
        let mut steps: Vec<_> = steps.into_iter().map(|(wait, series, what)| (wait, series, Some(what))).collect();
        steps.extend((0..6).map(|series| (0, series, None)));
        steps.push((3_000, 6, None));
        for (wait, series, what) in steps {
            for _ in 0..wait {
                minute += 1;
                tellings.extend(router.tick(at(minute)));
            }
            let Some(place) = open.get_mut(usize::from(series)) else {
                continue;
            };
            let is_end = what.is_none_or(|what| what == 0);
            if is_end && place.is_none() {
                continue;
            }
            let number = *place.get_or_insert_with(|| {
                opened += 1;
                opened
            });
            let severity = if what == Some(2) { Severity::Critical } else { Severity::Warning };
            let transition = Transition {
                partition: 0,
                is_expected: false,
                is_end,
                notification: notification(&number.to_string(), severity, minute),
            };
            tellings.extend(router.step(transition, at(minute)));
            if is_end {
                *place = None;
            }
        }
        let mut ids = std::collections::BTreeSet::new();
        let mut heard: BTreeMap<String, Kind> = BTreeMap::new();
        let mut digested = std::collections::BTreeSet::new();
        for telling in &tellings {
            prop_assert!(ids.insert(telling.message.id().to_owned()));
            match &telling.message {
                Message::Digest(digest) => {
                    prop_assert!(!groups_itself);
                    digested.extend(digest.lines.iter().map(|line| line.episode.clone()));
                }
                Message::Episode(one) => {
                    let before = heard.insert(one.episode.clone(), one.kind);
                    prop_assert_ne!(before, Some(Kind::Ended));
                    let is_known = before.is_some() || digested.contains(&one.episode);
                    prop_assert_eq!(one.kind == Kind::Opened, !is_known);
                }
            }
        }
        prop_assert!(heard.values().all(|kind| *kind == Kind::Ended));
        prop_assert_eq!(router.due(at(minute)), None);
        prop_assert!(router.open.is_empty());
    }
}
