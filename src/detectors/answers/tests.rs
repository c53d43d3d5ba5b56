//! What a series heeds, with a detector that is easily seen through: 50 is expected, and from 40 to 60 is usual.

use std::sync::Arc;

use super::super::episode::MessageIds;
use super::super::{Anomaly, Detector, MessageContext, Model, Phase, Series, Severity};
use super::*;

const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * DAY_MS;

#[derive(Debug)]
struct Plain;

/// Counts what it has learned, and says it as `comparables`.
#[derive(Debug, Default)]
struct Counting {
    learned: u32,
}

impl Model for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn detector(&self, _: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(Counting::default()))
    }
}

impl Detector for Counting {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        self.observe_only(observation, verdicts);
        self.learned += 1;
    }

    fn observe_only(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let distance = (observation.value - 50.0).abs();
        verdicts.push(Verdict {
            score: distance,
            is_anomaly: distance > 10.0,
            expected: Some(50.0),
            lower: Some(40.0),
            upper: Some(60.0),
            comparables: Some(self.learned),
            cause: Cause::Point,
            is_calm: Some(distance <= 10.0),
            ..Verdict::learning("plain", 10.0)
        });
    }

    fn memory_ms(&self) -> i64 {
        WEEK_MS
    }

    fn save(&self, state: &mut StateWriter) {
        state.u32(self.learned);
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.learned = state.u32()?;
        Ok(())
    }
}

/// A series, and the offset of its next record.
struct Judged {
    series: Series,
    offset: i64,
    newest_ms: i64,
}

impl Judged {
    fn new() -> Self {
        Judged {
            series: Series::new(&[Arc::new(Plain)], ""),
            offset: 0,
            newest_ms: 0,
        }
    }

    /// What is said of a value at a time; the first verdict is the detector's. The series is kept and restored first.
    fn see(&mut self, time_ms: i64, value: f64) -> Vec<Verdict> {
        let mut state = StateWriter::default();
        self.series.save(&mut state);
        let bytes = state.finish();
        self.series = Series::new(&[Arc::new(Plain)], "");
        let mut reader = StateReader::new(&bytes);
        self.series.restore(&mut reader).unwrap();
        assert!(reader.is_empty());
        let observation = Observation {
            event_time_ms: time_ms,
            local_time_ms: time_ms,
            value,
        };
        let mut verdicts = Vec::new();
        let mut ids = MessageIds::of_record(self.offset);
        self.series.observe(observation, &mut ids, &mut verdicts);
        self.offset += 1;
        self.newest_ms = self.newest_ms.max(time_ms);
        verdicts
    }

    /// The severity of the anomaly that a value is.
    fn severity(&mut self, time_ms: i64, value: f64) -> Option<Severity> {
        let verdicts = self.see(time_ms, value);
        let first = verdicts.first().unwrap();
        first.is_anomaly.then(|| first.severity(Some(value)))
    }

    /// How many values the detector had learned before this one.
    fn learned(&mut self, time_ms: i64, value: f64) -> u32 {
        self.see(time_ms, value)[0].comparables.unwrap()
    }

    /// Usual values, until no episode is open.
    fn settle(&mut self, from_ms: i64) {
        for number in 0..8 {
            self.see(from_ms + number * HOUR_MS / 4, 50.0);
        }
    }

    fn teach(&mut self, about: Subject, said: Said) -> bool {
        let answer = Answer {
            about,
            series: None,
            measure: None,
            said,
            by: Some("anna".to_owned()),
        };
        self.series.teach(&answer, self.newest_ms)
    }
}

fn episode(offset: i64) -> Subject {
    Subject::Episode(MessageId { offset, index: 0 })
}

const SLOT: Said = Said::ExpectedInSlot { until_ms: None };

#[test]
fn a_fault_is_not_learned_from_while_it_lasts() {
    let mut judged = Judged::new();
    judged.settle(0);
    assert_eq!(judged.learned(3 * HOUR_MS, 70.0), 8);
    assert!(judged.teach(episode(8), Said::Real));
    assert_eq!(judged.learned(4 * HOUR_MS, 70.0), 9);
    assert_eq!(judged.learned(5 * HOUR_MS, 70.0), 9);
    // Six usual readings over an hour end the episode; what comes then is learned.
    judged.settle(6 * HOUR_MS);
    assert!(judged.learned(9 * HOUR_MS, 50.0) > 9);
    assert!(!judged.teach(episode(8), Said::Real), "it is over");
    assert!(!judged.teach(episode(3), Said::Real), "there is none of this id");
}

#[test]
fn what_lasts_for_four_weeks_is_how_things_are() {
    let mut judged = Judged::new();
    judged.see(0, 70.0);
    judged.teach(episode(0), Said::Real);
    for day in 1..28 {
        assert_eq!(judged.learned(day * DAY_MS, 70.0), 1);
    }
    assert_eq!(judged.learned(28 * DAY_MS, 70.0), 1);
    assert_eq!(judged.learned(29 * DAY_MS, 70.0), 2);
}

#[test]
fn a_withdrawn_answer_is_undone() {
    let mut judged = Judged::new();
    judged.see(0, 70.0);
    assert!(judged.teach(episode(0), Said::Real));
    assert_eq!(judged.learned(HOUR_MS, 70.0), 1);
    assert!(judged.teach(episode(0), Said::Withdrawn));
    judged.see(2 * HOUR_MS, 70.0);
    assert_eq!(judged.learned(3 * HOUR_MS, 70.0), 2);
    assert!(!judged.teach(episode(0), Said::Withdrawn));
}

#[test]
fn what_was_announced_is_judged_as_expected_and_not_learned_from() {
    let mut judged = Judged::new();
    judged.see(0, 50.0);
    let stretch = Subject::Stretch {
        from_ms: HOUR_MS,
        to_ms: 2 * HOUR_MS,
    };
    assert!(judged.teach(stretch, Said::Expected));
    assert_eq!(judged.severity(HOUR_MS, 70.0), Some(Severity::Expected));
    assert_eq!(judged.learned(2 * HOUR_MS, 70.0), 1);
    // It is not over in time: then it is an anomaly as any other, and the episode has become worse.
    let late = judged.see(2 * HOUR_MS + 1, 70.0);
    assert_eq!(late[0].severity(Some(70.0)), Severity::Warning);
    assert_eq!(late[0].episode.unwrap().phase, Phase::Worsened);
    assert_eq!(judged.learned(3 * HOUR_MS, 50.0), 2);
}

#[test]
fn what_comes_weekly_is_expected_at_its_time_on_its_side_and_up_to_a_fifth_further_out() {
    let mut judged = Judged::new();
    assert_eq!(judged.severity(0, 70.0), Some(Severity::Warning));
    judged.settle(HOUR_MS);
    assert!(judged.teach(episode(0), SLOT));
    for (time_ms, value, expected) in [
        (WEEK_MS, 70.0, Severity::Expected),
        (WEEK_MS + HOUR_MS, 74.0, Severity::Expected),
        (WEEK_MS + HOUR_MS, 75.0, Severity::Warning),
        (WEEK_MS + HOUR_MS, 30.0, Severity::Warning),
        (WEEK_MS + HOUR_MS + 1, 70.0, Severity::Warning),
        (2 * WEEK_MS - HOUR_MS, 70.0, Severity::Expected),
        (2 * WEEK_MS + DAY_MS, 70.0, Severity::Warning),
    ] {
        assert_eq!(
            judged.severity(time_ms, value),
            Some(expected),
            "{time_ms} {value}"
        );
    }
    assert!(judged.teach(episode(0), Said::Withdrawn));
    assert_eq!(judged.severity(3 * WEEK_MS, 70.0), Some(Severity::Warning));
}

#[test]
fn what_does_not_come_again_is_forgotten_after_five_weeks() {
    let expected_after = |weeks: &[i64]| {
        let mut judged = Judged::new();
        judged.see(0, 70.0);
        judged.teach(episode(0), SLOT);
        judged.settle(HOUR_MS);
        let severities = weeks.iter().map(|week| judged.severity(week * WEEK_MS, 70.0));
        severities.last().flatten()
    };
    assert_eq!(expected_after(&[4]), Some(Severity::Expected));
    assert_eq!(expected_after(&[5]), Some(Severity::Expected));
    assert_eq!(expected_after(&[6]), Some(Severity::Warning));
    assert_eq!(expected_after(&[4, 8, 12]), Some(Severity::Expected), "renewed");
    assert_eq!(expected_after(&[4, 10]), Some(Severity::Warning));
}

#[test]
fn an_exception_is_not_renewed_beyond_its_end() {
    let mut judged = Judged::new();
    judged.see(0, 70.0);
    let until_ms = Some(2 * WEEK_MS);
    judged.teach(episode(0), Said::ExpectedInSlot { until_ms });
    judged.settle(HOUR_MS);
    assert_eq!(judged.severity(WEEK_MS, 70.0), Some(Severity::Expected));
    assert_eq!(judged.severity(2 * WEEK_MS, 70.0), Some(Severity::Warning));
}

#[test]
fn memory_is_bounded_whatever_is_said() {
    let mut judged = Judged::new();
    for number in 0..40 {
        let at_ms = number * DAY_MS;
        let offset = judged.offset;
        judged.see(at_ms, 70.0);
        judged.teach(episode(offset), SLOT);
        let from_ms = at_ms + 30 * DAY_MS;
        judged.teach(
            Subject::Stretch {
                from_ms,
                to_ms: from_ms,
            },
            Said::Expected,
        );
        judged.settle(at_ms + HOUR_MS);
    }
    let answers = judged.series.answers_for_tests().unwrap();
    assert_eq!(answers.told.len(), MOST_TOLD);
    assert_eq!(
        (answers.stretches.len(), answers.exceptions.len()),
        (MOST_HEEDED, MOST_HEEDED)
    );
}

#[test]
fn the_message_says_who_has_said_to_expect_it() {
    let mut judged = Judged::new();
    judged.see(0, 70.0);
    judged.teach(episode(0), SLOT);
    judged.settle(HOUR_MS);
    let verdict = judged.see(WEEK_MS, 70.0).remove(0);
    let anomaly = Anomaly {
        partition: 0,
        episode: verdict.episode.unwrap(),
        key: "boiler-7".into(),
        measure: None,
        event_time_ms: WEEK_MS,
        local_time_ms: WEEK_MS,
        value: Some(70.0),
        verdict,
    };
    let context = MessageContext {
        topic: "usage".to_owned(),
        group: "g".to_owned(),
        unit: String::new(),
        value_name: "value".to_owned(),
    };
    let message: serde_json::Value = serde_json::from_str(&anomaly.json(&context)).unwrap();
    assert_eq!(message["severity"], "expected");
    assert_eq!(message["cause"], "point");
    assert_eq!(
        message["explanation"],
        "boiler-7: 70 at Thu 00:00, expected about 50 (40 to 60); anna has said to expect it"
    );
}
