use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

const DETECTED: [&str; 2] = ["adaptive-band", "rules"];

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

fn episode(number: u64) -> String {
    format!("usage/0/{number}/0")
}

fn feedback(number: u64, verdict: Verdict) -> Feedback {
    Feedback {
        about: About::Episode {
            id: episode(number),
            series: Some(Some("boiler-7".to_owned())),
            measure: None,
            detector: Some(DETECTED[number as usize % 2].to_owned()),
            since: None,
            until: None,
        },
        verdict,
        scope: Scope::This,
        until: None,
        by: None,
        note: None,
        at: None,
    }
}

fn of_series(number: u64, verdict: Verdict, until: i64) -> Feedback {
    Feedback {
        scope: Scope::Series,
        until: Some(at(until)),
        ..feedback(number, verdict)
    }
}

fn silence(id: &str, pattern: &str, begin: i64, until: i64) -> Silence {
    Silence {
        id: id.to_owned(),
        pattern: pattern.to_owned(),
        begin: Some(at(begin)),
        until: Some(at(until)),
        until_resolved: None,
        why: "maintenance".to_owned(),
        by: None,
    }
}

fn say(opinions: &mut Opinions, opinion: impl Into<Opinion>) {
    let opinion = opinion.into();
    opinions
        .fold(opinion.key().as_bytes(), Some(opinion.json().as_bytes()))
        .unwrap();
}

impl From<Feedback> for Opinion {
    fn from(feedback: Feedback) -> Self {
        Opinion::Feedback(feedback)
    }
}

impl From<Silence> for Opinion {
    fn from(silence: Silence) -> Self {
        Opinion::Silence(silence)
    }
}

fn never(_: &str) -> bool {
    false
}

#[test]
fn an_expected_episode_stays_expected_until_it_is_withdrawn() {
    let mut opinions = Opinions::default();
    let is_expected =
        |opinions: &Opinions, number| opinions.is_expected(&episode(number), Some("boiler-7"), at(1_000_000));
    say(&mut opinions, feedback(1, Verdict::Expected));
    say(
        &mut opinions,
        Feedback {
            scope: Scope::Slot,
            ..feedback(2, Verdict::Expected)
        },
    );
    say(&mut opinions, feedback(3, Verdict::Real));
    assert!(is_expected(&opinions, 1) && is_expected(&opinions, 2));
    assert!(!is_expected(&opinions, 3) && !is_expected(&opinions, 4));
    say(&mut opinions, feedback(1, Verdict::Withdrawn));
    say(&mut opinions, feedback(2, Verdict::Real));
    assert!(!is_expected(&opinions, 1) && !is_expected(&opinions, 2));
    say(&mut opinions, feedback(1, Verdict::Expected));
    assert!(is_expected(&opinions, 1));
    opinions.fold(episode(1).as_bytes(), None).unwrap();
    assert!(!is_expected(&opinions, 1), "a tombstone takes it back");
}

#[test]
fn all_episodes_of_a_series_are_expected_until_a_time() {
    let mut opinions = Opinions::default();
    say(&mut opinions, of_series(1, Verdict::Expected, 60));
    say(&mut opinions, of_series(2, Verdict::Expected, 90));
    say(&mut opinions, of_series(3, Verdict::Real, 900));
    let other = episode(9);
    for (series, minute, expected) in [
        (Some("boiler-7"), 0, true),
        (Some("boiler-7"), 89, true),
        (Some("boiler-7"), 90, false),
        (Some("boiler-70"), 0, false),
        (None, 0, false),
    ] {
        assert_eq!(
            opinions.is_expected(&other, series, at(minute)),
            expected,
            "{series:?} {minute}"
        );
    }
    assert!(
        opinions.is_expected(&episode(1), Some("boiler-7"), at(100)),
        "it itself stays so"
    );
    assert_eq!(opinions.next_change(at(0)), Some(at(60)));
    assert_eq!(opinions.next_change(at(60)), Some(at(90)));
    assert_eq!(opinions.next_change(at(90)), None);
    say(&mut opinions, feedback(2, Verdict::Withdrawn));
    assert!(!opinions.is_expected(&other, Some("boiler-7"), at(70)));
}

#[test]
fn a_topic_without_keys_is_a_series_of_its_own() {
    let mut opinions = Opinions::default();
    let mut said = of_series(1, Verdict::Expected, 60);
    let About::Episode { series, .. } = &mut said.about else {
        unreachable!()
    };
    *series = Some(None);
    say(&mut opinions, said);
    assert!(opinions.is_expected(&episode(2), None, at(0)));
    assert!(!opinions.is_expected(&episode(2), Some("boiler-7"), at(0)));
    say(&mut opinions, silence("a", "*", 0, 10));
    assert!(opinions.silence_of(None, &episode(2), at(0), never).is_some());
}

#[test]
fn a_silence_holds_for_what_its_pattern_matches_while_it_lasts() {
    let mut opinions = Opinions::default();
    say(&mut opinions, silence("a", "boiler-*", 10, 20));
    for (series, minute, expected) in [
        ("boiler-7", 9, None),
        ("boiler-7", 10, Some("a")),
        ("boiler-7", 19, Some("a")),
        ("boiler-7", 20, None),
        ("pump-7", 15, None),
    ] {
        let found = opinions.silence_of(Some(series), &episode(1), at(minute), never);
        assert_eq!(
            found.map(|silence| silence.id.as_str()),
            expected,
            "{series} {minute}"
        );
    }
    assert_eq!(opinions.next_change(at(0)), Some(at(10)));
    assert_eq!(opinions.next_change(at(10)), Some(at(20)));
    say(&mut opinions, silence("a", "boiler-*", 10, 12));
    assert!(
        opinions
            .silence_of(Some("boiler-7"), &episode(1), at(15), never)
            .is_none(),
        "it was ended"
    );
    assert_eq!(opinions.silences().count(), 1, "and is listed still");
}

#[test]
fn a_silence_may_last_as_long_as_an_episode() {
    let mut opinions = Opinions::default();
    say(
        &mut opinions,
        Silence {
            until: None,
            until_resolved: Some(episode(1)),
            ..silence("a", "boiler-*", 0, 0)
        },
    );
    let silenced = |number, is_open: bool| {
        let asked = |asked: &str| asked == episode(1) && is_open;
        opinions
            .silence_of(Some("boiler-7"), &episode(number), at(99), asked)
            .is_some()
    };
    assert!(silenced(1, false), "its own messages are not told");
    assert!(silenced(2, true));
    assert!(!silenced(2, false));
    assert_eq!(opinions.next_change(at(0)), None);
}

#[test]
fn precision_is_the_share_of_real_ones_among_the_judged() {
    let mut opinions = Opinions::default();
    assert_eq!(opinions.judged_overall().precision(), None);
    for number in 0..6 {
        let verdict = if number < 4 {
            Verdict::Real
        } else {
            Verdict::Expected
        };
        say(&mut opinions, feedback(number, verdict));
    }
    let mut nameless = feedback(7, Verdict::Expected);
    let About::Episode { detector, .. } = &mut nameless.about else {
        unreachable!()
    };
    *detector = None;
    say(&mut opinions, nameless);
    say(&mut opinions, feedback(8, Verdict::Real));
    say(&mut opinions, feedback(8, Verdict::Withdrawn));
    let counts = |real, expected| Judged { real, expected };
    assert_eq!(
        opinions.judged(),
        BTreeMap::from([
            (None, counts(0, 1)),
            (Some("adaptive-band"), counts(2, 1)),
            (Some("rules"), counts(2, 1)),
        ])
    );
    assert_eq!(opinions.judged_overall().precision(), Some(4.0 / 7.0));
}

#[test]
fn a_malformed_message_is_counted_and_takes_the_place_of_its_key() {
    let mut opinions = Opinions::default();
    say(&mut opinions, feedback(1, Verdict::Expected));
    let refused = opinions.fold(episode(1).as_bytes(), Some(b"{}")).unwrap_err();
    assert_eq!(refused.to_string(), "about (or silence) is missing");
    assert!(opinions.fold(b"\xff", Some(b"{}")).is_err());
    assert_eq!(opinions.malformed(), 2);
    assert!(!opinions.is_expected(&episode(1), None, at(0)));
}

#[test]
fn memory_is_bounded_and_the_oldest_go_first() {
    let mut opinions = Opinions::default();
    let note = "x".repeat(4_096);
    let most = (MOST_BYTES / (OVERHEAD_BYTES + 4_096)) as u64;
    for number in 0..most + 10 {
        say(
            &mut opinions,
            Feedback {
                note: Some(note.clone()),
                ..feedback(number, Verdict::Expected)
            },
        );
        if number == 5 {
            say(&mut opinions, feedback(0, Verdict::Expected));
        }
    }
    assert!(opinions.bytes <= MOST_BYTES);
    assert!(opinions.forgotten() > 0);
    assert!(!opinions.is_expected(&episode(1), None, at(0)));
    assert!(opinions.is_expected(&episode(most + 9), None, at(0)));
    assert_eq!(opinions.in_order.len(), opinions.by_key.len());
}

/// A message: a key's number, and what is said; `None` is a tombstone.
fn messages() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let said = prop_oneof![
        Just(None),
        Just(Some("{}".to_owned())),
        (0..4u64, 0..3usize, 0..2usize, 0..100i64).prop_map(|(number, verdict, scope, until)| {
            let verdict = [Verdict::Expected, Verdict::Real, Verdict::Withdrawn][verdict];
            let feedback = if scope == 0 {
                feedback(number, verdict)
            } else {
                of_series(number, verdict, until)
            };
            Some(Opinion::Feedback(feedback).json())
        }),
        (0..100i64, 0..100i64)
            .prop_map(|(begin, until)| Some(Opinion::Silence(silence("a", "boiler-*", begin, until)).json())),
    ];
    let key = prop_oneof![(0..4u64).prop_map(episode), Just("a".to_owned())];
    prop::collection::vec((key, said), 0..40)
}

proptest! {
    /// Compaction keeps the newest message of each key, and may do so at any time.
    #[test]
    fn a_compacted_topic_says_the_same_as_a_whole_one(messages in messages()) {
        let mut whole = Opinions::default();
        for (key, value) in &messages {
            let _ = whole.fold(key.as_bytes(), value.as_ref().map(String::as_bytes));
        }
        let mut compacted = Opinions::default();
        for (place, (key, value)) in messages.iter().enumerate() {
            if messages[place + 1..].iter().all(|(later, _)| later != key) {
                let _ = compacted.fold(key.as_bytes(), value.as_ref().map(String::as_bytes));
            }
        }
        prop_assert_eq!(whole.judged(), compacted.judged());
        prop_assert_eq!(
            whole.silences().collect::<Vec<_>>(),
            compacted.silences().collect::<Vec<_>>()
        );
        prop_assert_eq!(whole.bytes, compacted.bytes);
        for minute in 0..100 {
            prop_assert_eq!(whole.next_change(at(minute)), compacted.next_change(at(minute)));
            for number in 0..5 {
                let asked = |opinions: &Opinions| {
                    opinions.is_expected(&episode(number), Some("boiler-7"), at(minute))
                };
                prop_assert_eq!(asked(&whole), asked(&compacted));
            }
        }
    }
}
