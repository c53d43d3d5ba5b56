use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::detectors::{
    Cause, Detector, Model, Observation, Series, StateError, StateReader, StateWriter, Verdict,
};

const MINUTE_MS: i64 = 60_000;

/// Judges by the value alone: from 10 on it is an anomaly with that score, stuck if it is odd; from 5 on it is neither; below
/// 0 there is too little to judge; all else is as usual.
#[derive(Debug)]
struct Plain;

impl Model for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn detector(&self, _: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(Plain))
    }
}

impl Detector for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let value = observation.value;
        let is_anomaly = value >= 10.0;
        verdicts.push(Verdict {
            score: if is_anomaly { value } else { 0.0 },
            is_anomaly,
            is_calm: (value >= 0.0).then_some(value < 5.0),
            cause: if value % 2.0 == 1.0 {
                Cause::Stuck {
                    lasted_ms: 0,
                    longest_before_ms: 0,
                }
            } else {
                Cause::Point
            },
            ..Verdict::learning("plain", 10.0)
        });
    }

    fn memory_ms(&self) -> i64 {
        0
    }

    fn save(&self, _: &mut StateWriter) {}

    fn restore(&mut self, _: &mut StateReader<'_>) -> Result<(), StateError> {
        Ok(())
    }
}

fn plain() -> Series {
    Series::new(&[Arc::new(Plain)], "boiler-7")
}

fn with_rules(conditions: &str) -> Series {
    let rules = BTreeMap::from([("*".to_owned(), conditions.to_owned())]);
    let rules = crate::detectors::rules::Rules::new(&rules).unwrap();
    Series::new(&[Arc::new(Plain), Arc::new(rules)], "boiler-7")
}

/// The messages on readings at (minute, value): `record.index phase of the one that opened`.
fn messages(series: &mut Series, readings: &[(i64, f64)]) -> Vec<String> {
    let mut found = Vec::new();
    for (offset, (minute, value)) in (0..).zip(readings) {
        let observation = Observation {
            event_time_ms: minute * MINUTE_MS,
            local_time_ms: minute * MINUTE_MS,
            value: *value,
        };
        let (mut ids, mut verdicts) = (MessageIds::of_record(offset), Vec::new());
        series.observe(observation, &mut ids, &mut verdicts);
        found.extend(verdicts.iter().filter_map(message));
    }
    found
}

fn message(verdict: &Verdict) -> Option<String> {
    let step = verdict.episode?;
    let (message, opened) = (step.message, step.opened);
    let mut text = format!("{}.{} {}", message.offset, message.index, step.phase.name());
    if opened != message {
        text += &format!(" {}.{}", opened.offset, opened.index);
    }
    if let Some(until_ms) = step.until_ms {
        let (since, until) = (step.since_ms / MINUTE_MS, until_ms / MINUTE_MS);
        text += &format!(" {} {since} to {until}", verdict.cause.name());
    }
    Some(text)
}

#[test]
fn an_episode_ends_once_enough_readings_were_calm_for_an_hour() {
    let anomaly = [(0, 10.0)];
    let calm: Vec<(i64, f64)> = (1..=7).map(|step| (step * 12, 0.0)).collect();
    assert_eq!(
        messages(&mut plain(), &[&anomaly[..], &calm].concat()),
        ["0.0 opened", "6.0 ended 0.0 back_to_usual 0 to 12"]
    );
    // An hour with fewer readings is not enough, and no readings are nothing at all.
    let sparse = [
        (0, 10.0),
        (60, 0.0),
        (120, 0.0),
        (180, 0.0),
        (240, 0.0),
        (300, 0.0),
    ];
    assert_eq!(messages(&mut plain(), &sparse), ["0.0 opened"]);
    assert_eq!(
        messages(&mut plain(), &[&sparse[..], &[(360, 0.0)]].concat())[1],
        "6.0 ended 0.0 back_to_usual 0 to 60"
    );
}

#[test]
fn what_is_neither_breaks_the_calm_and_what_cannot_be_judged_does_not() {
    let calm = |value| {
        let mut readings: Vec<(i64, f64)> = (0..=7).map(|step| (step * 12, 0.0)).collect();
        readings[0].1 = 10.0;
        readings[3].1 = value;
        messages(&mut plain(), &readings)
    };
    assert_eq!(calm(6.0), ["0.0 opened"]);
    assert_eq!(calm(-1.0), ["0.0 opened", "7.0 ended 0.0 back_to_usual 0 to 12"]);
}

#[test]
fn a_later_anomaly_continues_it_and_a_larger_one_makes_it_worse() {
    // Severity is critical above twice the threshold.
    let readings = [(0, 10.0), (1, 12.0), (2, 22.0), (3, 30.0), (4, 44.0), (5, 88.0)];
    assert_eq!(
        messages(&mut plain(), &readings),
        [
            "0.0 opened",
            "1.0 continued 0.0",
            "2.0 worsened 0.0",
            "3.0 continued 0.0",
            "4.0 continued 0.0",
            "5.0 worsened 0.0"
        ]
    );
}

#[test]
fn a_stuck_value_is_over_with_the_first_usual_one_that_changed() {
    assert_eq!(
        messages(&mut plain(), &[(0, 11.0), (1, 7.0), (2, 2.0)]),
        ["0.0 opened", "2.0 ended 0.0 back_to_usual 0 to 2"]
    );
    // Once it was more than stuck, it takes a calm stretch.
    let mixed = [(0, 11.0), (1, 10.0), (2, 2.0)];
    assert_eq!(
        messages(&mut plain(), &mixed),
        ["0.0 opened", "1.0 continued 0.0"]
    );
}

#[test]
fn a_late_reading_ends_nothing() {
    let mut readings = vec![(100, 10.0)];
    readings.extend((0..20).map(|step| (step * 5, 0.0)));
    assert_eq!(messages(&mut plain(), &readings), ["0.0 opened"]);
}

#[test]
fn a_week_without_another_anomaly_ends_it_whatever_the_readings_are() {
    let week = 7 * 24 * 60;
    let readings = [
        (0, 10.0),
        (60, 6.0),
        (week - 1, 6.0),
        (week, 6.0),
        (week + 1, 6.0),
    ];
    assert_eq!(
        messages(&mut plain(), &readings),
        ["0.0 opened", &format!("3.0 ended 0.0 became_usual 0 to {week}")]
    );
}

#[test]
fn a_band_that_has_become_wide_does_not_end_it_while_the_value_is_still_far() {
    let verdict = |is_anomaly| Verdict {
        score: if is_anomaly { 9.0 } else { 0.0 },
        is_anomaly,
        is_calm: Some(!is_anomaly),
        expected: Some(50.0),
        lower: Some(40.0),
        upper: Some(if is_anomaly { 60.0 } else { 120.0 }),
        cause: Cause::Point,
        ..Verdict::learning("plain", 7.0)
    };
    let calm = CalmStretch {
        readings: 2,
        ms: 0,
        distance: 0.5,
    };
    let mut episodes = Episodes::default();
    let mut found = Vec::new();
    for (offset, value) in [(0, 110.0), (1, 100.0), (2, 90.0), (3, 80.0), (4, 79.0)] {
        let observation = Observation {
            event_time_ms: offset * MINUTE_MS,
            local_time_ms: offset * MINUTE_MS,
            value,
        };
        let mut verdicts = vec![verdict(offset == 0)];
        episodes.follow(
            0,
            &observation,
            calm,
            &mut MessageIds::of_record(offset),
            &mut verdicts,
            0,
        );
        found.extend(verdicts.iter().filter_map(message));
    }
    assert_eq!(found, ["0.0 opened", "4.0 ended 0.0 back_to_usual 0 to 3"]);
}

#[test]
fn averages_of_windows_need_two_in_a_row() {
    let mut series = plain();
    let mut found = Vec::new();
    for (offset, value) in [(0, 10.0), (1, 0.0), (2, 6.0), (3, 0.0), (4, 0.0)] {
        let observation = Observation {
            event_time_ms: offset * MINUTE_MS,
            local_time_ms: offset * MINUTE_MS,
            value,
        };
        let (mut ids, mut verdicts) = (MessageIds::of_record(offset), Vec::new());
        series.observe_window(observation, &mut ids, &mut verdicts);
        found.extend(verdicts.iter().filter_map(message));
    }
    assert_eq!(found, ["0.0 opened", "4.0 ended 0.0 back_to_usual 0 to 3"]);
}

#[test]
fn each_rule_has_episodes_of_its_own_that_end_with_its_condition() {
    let mut series = with_rules("above 20; above 20 until below 3");
    assert_eq!(
        messages(&mut series, &[(0, 22.0), (1, 4.0), (2, 2.0)]),
        [
            "0.0 opened",
            "0.1 opened",
            "0.2 opened",
            "1.0 ended 0.1 rule_ended 0 to 1",
            "2.0 ended 0.2 rule_ended 0 to 2"
        ]
    );
}

#[test]
fn a_forgotten_series_leaves_nothing_open() {
    let mut series = with_rules("above 20");
    messages(&mut series, &[(0, 22.0)]);
    let (mut ids, mut verdicts) = (MessageIds::of_record(9), Vec::new());
    series.forget(600 * MINUTE_MS, &mut ids, &mut verdicts);
    let found: Vec<String> = verdicts.iter().filter_map(message).collect();
    assert_eq!(
        found,
        [
            "9.0 ended 0.0 series_forgotten 0 to 600",
            "9.1 ended 0.1 series_forgotten 0 to 600"
        ]
    );
    let of: Vec<(&str, Option<&str>)> = verdicts
        .iter()
        .map(|verdict| (verdict.detector, verdict.cause.rule().map(|rule| &**rule)))
        .collect();
    assert_eq!(of, [("plain", None), ("rules", Some("above 20"))]);
    assert!(verdicts.iter().all(|verdict| verdict.is_anomaly));
}

const CONDITIONS: &str = "above 12; below 1 for 30m; above 11 until below 4";

fn restarted(series: &Series) -> Series {
    let mut state = StateWriter::default();
    series.save(&mut state);
    let bytes = state.finish();
    let mut reader = StateReader::new(&bytes);
    let mut restored = with_rules(CONDITIONS);
    restored.restore(&mut reader).unwrap();
    assert!(reader.is_empty());
    restored
}

proptest! {
    #[test]
    fn every_episode_opens_once_ends_at_most_once_and_a_restart_changes_nothing(
        steps in prop::collection::vec((-20i64..60, -2i32..16, any::<bool>()), 1..200)
    ) {
        let (mut whole, mut cut) = (with_rules(CONDITIONS), with_rules(CONDITIONS));
        let mut open: BTreeMap<MessageId, (&str, Option<Arc<str>>)> = BTreeMap::new();
        let mut minute = 0;
        for (offset, (step, value, is_restart)) in (0..).zip(steps) {
            minute += step;
            let observation = Observation {
                event_time_ms: minute * MINUTE_MS,
                local_time_ms: minute * MINUTE_MS,
                value: f64::from(value),
            };
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            whole.observe(observation, &mut MessageIds::of_record(offset), &mut expected);
            cut.observe(observation, &mut MessageIds::of_record(offset), &mut found);
            prop_assert_eq!(&expected, &found);
            let published = expected.iter().filter(|verdict| verdict.is_anomaly);
            for (index, verdict) in (0..).zip(published) {
                let step = verdict.episode.unwrap();
                let of = (verdict.detector, verdict.cause.rule().cloned());
                prop_assert_eq!(step.message, MessageId { offset, index });
                prop_assert_eq!(step.phase == Phase::Ended, verdict.cause.is_end());
                match step.phase {
                    Phase::Opened => {
                        prop_assert_eq!(step.opened, step.message);
                        // One at a time of each detector and rule.
                        prop_assert!(open.values().all(|other| *other != of));
                        open.insert(step.opened, of);
                    }
                    Phase::Ended => prop_assert_eq!(open.remove(&step.opened), Some(of)),
                    Phase::Worsened | Phase::Continued => {
                        prop_assert_eq!(open.get(&step.opened), Some(&of));
                    }
                }
            }
            if is_restart {
                cut = restarted(&cut);
            }
        }
        let (mut ids, mut verdicts) = (MessageIds::of_record(1_000), Vec::new());
        whole.forget(minute * MINUTE_MS, &mut ids, &mut verdicts);
        prop_assert_eq!(verdicts.len(), open.len());
    }

    #[test]
    fn no_bytes_are_taken_for_episodes_by_panicking(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Episodes::restore(2, &mut StateReader::new(&bytes));
    }
}
