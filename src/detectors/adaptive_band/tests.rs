//! Verdicts are finite whatever comes, and the same whatever is kept, saved or restored.

use super::decision;
use super::*;
use proptest::prelude::*;

fn observe(detector: &mut dyn Detector, minute: i64, value: f64) -> Verdict {
    let mut verdicts = Vec::new();
    let event_time_ms = minute * 60_000;
    detector.observe(
        Observation {
            event_time_ms,
            local_time_ms: event_time_ms,
            value,
        },
        &mut verdicts,
    );
    verdicts.remove(0)
}

fn new() -> Box<dyn Detector> {
    AdaptiveBand::new(Threshold::Auto).detector("").unwrap()
}

#[test]
fn first_readings_are_judged_as_if_they_had_been_learnt() {
    let mut detector = new();
    let mut learnt: Option<Learnt> = None;
    for (index, minute) in [0, 5, 5, 9, 200, 190, 20_000, 20_005, 20_010, 20_015, 20_020]
        .into_iter()
        .enumerate()
    {
        let value = [1e300, -3.5, 0.0, 7.0][index % 4];
        let observation = Observation {
            event_time_ms: minute * 60_000,
            local_time_ms: minute * 60_000,
            value,
        };
        let first = value.clamp(-LARGEST, LARGEST);
        let expected = learnt
            .get_or_insert_with(|| Learnt::new(first, observation.event_time_ms, decision::ALARM))
            .observe(&observation, decision::ALARM);
        assert_eq!(observe(detector.as_mut(), minute, value), expected, "{index}");
    }
}

#[test]
fn a_series_takes_little_at_first() {
    let state = |readings: i64| {
        let mut detector = new();
        for index in 0..readings {
            observe(detector.as_mut(), 5 * index, index as f64);
        }
        let mut state = StateWriter::default();
        detector.save(&mut state);
        state.finish().len()
    };
    assert_eq!(state(1), 26);
    assert!(state(8) < 250, "{}", state(8));
    assert!(state(30) < 4_000, "{}", state(30));
}

proptest! {
    #[test]
    fn any_finite_values_at_any_times_give_finite_verdicts(
        readings in prop::collection::vec((-100_000_i64..100_000, prop::num::f64::NORMAL | prop::num::f64::ZERO), 1..400),
    ) {
        let mut detector = new();
        for (minute, value) in readings {
            let verdict = observe(detector.as_mut(), minute, value);
            for number in [Some(verdict.score), verdict.expected, verdict.lower, verdict.upper] {
                prop_assert!(number.is_none_or(f64::is_finite), "{verdict:?}");
            }
        }
    }

    #[test]
    fn a_restored_detector_goes_on_as_the_saved_one(
        values in prop::collection::vec(prop_oneof![9 => 0.0..1.0, 1 => -1e9..1e9], 1..700),
        part in 0.0..1.0,
    ) {
        let saved_after = (part * values.len() as f64) as usize;
        let mut detector = new();
        for (index, &value) in values.iter().enumerate() {
            if index == saved_after {
                let mut state = StateWriter::default();
                detector.save(&mut state);
                let bytes = state.finish();
                let mut restored = new();
                let mut reader = StateReader::new(&bytes);
                prop_assert_eq!(restored.restore(&mut reader), Ok(()));
                prop_assert!(reader.is_empty());
                let mut original = std::mem::replace(&mut detector, restored);
                for (index, &value) in values.iter().enumerate().skip(index) {
                    let minute = 5 * index as i64;
                    let expected = observe(original.as_mut(), minute, value);
                    prop_assert_eq!(observe(detector.as_mut(), minute, value), expected);
                }
                break;
            }
            observe(detector.as_mut(), 5 * index as i64, value);
        }
    }
}
