//! Records that hold several readings. A record of JSON holds one, so these tests give the readings themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Overrides, load};
use crate::reading::SeriesKey;
use crate::window::{Row, merge_sorted};

/// Key, measure, event time in seconds, value.
type Plain = (&'static str, Option<&'static str>, i64, i64);

fn spec(late: LatePolicy, max_series: usize) -> AggregationSpec {
    let mut config = load(&Overrides::default(), None, []).unwrap().config;
    config.pipeline.window.length = Duration::from_secs(10);
    config.pipeline.window.watermark = Duration::from_secs(5);
    config.pipeline.window.late = late;
    config.pipeline.window.max_series = max_series;
    AggregationSpec::new(&config.pipeline.reading, &config.pipeline.window)
}

fn reading(&(key, measure, second, value): &Plain) -> Reading<'static> {
    Reading {
        series: SeriesKey {
            key: key.into(),
            measure: measure.map(Into::into),
        },
        event_time_ms: second * 1000,
        value: (value as f64).into(),
    }
}

/// A partition, and what left it: offset, and the places of the late readings or the reason.
struct Run {
    spec: AggregationSpec,
    room: usize,
    partition: Partition,
    left: Vec<(i64, String)>,
}

impl Run {
    fn new(late: LatePolicy, max_series: usize) -> Self {
        Run {
            spec: spec(late, max_series),
            room: max_series,
            partition: Partition::new(1, Position::default(), Position::default(), ValueKind::Gauge),
            left: Vec::new(),
        }
    }

    /// Takes a record in, as [`Partition::ingest`] does with one that was examined.
    fn take(&mut self, readings: &[Plain]) {
        let applied = match readings {
            [only] => self.partition.apply_only(&self.spec, &reading(only), self.room),
            several => self.partition.apply_several(&self.spec, self.room, &|each| {
                several.iter().for_each(|plain| each(reading(plain)));
            }),
        };
        let offset = self.partition.position.next_offset;
        self.partition.position.next_offset += 1;
        let fate = self.partition.conclude(applied);
        self.left.extend(fate.map(|fate| match fate {
            Fate::Late { readings, .. } => (offset, readings.to_string()),
            Fate::Dead(rejection) => (offset, rejection.reason.name().to_owned()),
        }));
        assert!(
            self.partition.counts.are_conserved(),
            "{:?}",
            self.partition.counts
        );
    }

    fn rows(&mut self) -> Vec<Row> {
        merge_sorted(std::mem::take(&mut self.partition.pending).into_rows())
    }
}

#[test]
fn a_record_leaves_once_with_the_places_of_its_late_readings() {
    let mut run = Run::new(LatePolicy::Divert, 9);
    run.take(&[("a", None, 100, 1)]);
    // The third moves event time on, and so makes the fourth late, as if each had a record of its own.
    run.take(&[
        ("a", None, 1, 1),
        ("a", None, 101, 2),
        ("a", None, 200, 3),
        ("a", None, 102, 4),
    ]);
    run.take(&[("a", None, 201, 1), ("a", None, 202, 1)]);
    run.take(&[("a", None, 3, 1)]);
    assert_eq!(run.left, [(1, "0,3".to_owned()), (3, String::new())]);
    let counts = &run.partition.counts;
    assert_eq!((counts.consumed, counts.accepted), (4, 4));
    assert_eq!(
        (counts.readings, counts.aggregated, counts.late_diverted),
        (8, 5, 3)
    );
}

#[test]
fn a_series_too_many_makes_the_whole_record_a_dead_letter() {
    let mut run = Run::new(LatePolicy::Divert, 2);
    run.take(&[("a", None, 0, 1)]);
    run.take(&[
        ("a", None, 1, 10),
        ("b", None, 1, 10),
        ("c", None, 2, 10),
        ("a", None, 14, 10),
    ]);
    assert_eq!(run.left, [(1, "too_many_series".to_owned())]);
    let counts = &run.partition.counts;
    assert_eq!((counts.consumed, counts.accepted, counts.dead()), (2, 1, 1));
    assert_eq!((counts.readings, counts.aggregated), (1, 1));
    // Event time has moved on all the same.
    assert_eq!(run.partition.position.largest_event_time_ms, Some(14_000));
    let rows = run.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0].totals.sum.rounded(),
        1.0,
        "nothing of the dead record is in a row"
    );
    // Once the windows have closed there is room for both of them.
    run.take(&[("b", None, 32, 1), ("c", None, 32, 1)]);
    assert_eq!(run.left.len(), 1);
}

#[test]
fn measures_of_a_key_are_series_of_their_own() {
    let mut run = Run::new(LatePolicy::Divert, 9);
    run.take(&[
        ("a", Some("kw"), 0, 1),
        ("a", Some("v"), 0, 230),
        ("a", None, 0, 5),
        ("a", Some("kw"), 1, 2),
    ]);
    assert_eq!(run.partition.pending.key_bytes(), 1 + 2 + 1 + 1 + 1);
    let rows = run.rows();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.series.measure.as_deref(),
                row.totals.count,
                row.totals.sum.rounded(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [(None, 1, 5.0), (Some("kw"), 2, 3.0), (Some("v"), 1, 230.0)]
    );
}

fn plain() -> impl Strategy<Value = Plain> {
    let key = prop_oneof![Just("a"), Just("b"), Just("c")];
    let measure = prop_oneof![Just(None), Just(Some("kw")), Just(Some("v"))];
    (key, measure, 0i64..120, -50i64..50)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// However readings are split over records, each becomes the same.
    #[test]
    fn records_do_not_matter(
        readings in proptest::collection::vec(plain(), 1..60),
        sizes in proptest::collection::vec(1usize..9, 60),
        late in prop_oneof![Just(LatePolicy::Divert), Just(LatePolicy::Upsert), Just(LatePolicy::Drop)],
    ) {
        let mut one_by_one = Run::new(late, usize::MAX);
        readings.iter().for_each(|reading| one_by_one.take(&[*reading]));
        let mut together = Run::new(late, usize::MAX);
        let mut first_of_record = BTreeMap::new();
        let mut rest = &readings[..];
        for (offset, size) in sizes.into_iter().enumerate() {
            let (record, behind) = rest.split_at(size.min(rest.len()));
            if record.is_empty() {
                break;
            }
            first_of_record.insert(offset as i64, (readings.len() - rest.len()) as i64);
            together.take(record);
            rest = behind;
        }
        let (alone, several) = (&one_by_one.partition.counts, &together.partition.counts);
        prop_assert_eq!(several.accepted, first_of_record.len() as u64);
        prop_assert_eq!(several.readings, alone.readings);
        prop_assert_eq!(several.aggregated, alone.aggregated);
        prop_assert_eq!(several.late(), alone.late());
        prop_assert_eq!(
            together.partition.position.largest_event_time_ms,
            one_by_one.partition.position.largest_event_time_ms
        );
        let late_alone: Vec<i64> = one_by_one.left.iter().map(|(offset, _)| *offset).collect();
        let late_together: Vec<i64> = together
            .left
            .iter()
            .flat_map(|(offset, places)| {
                let first = first_of_record[offset];
                places_of(places).into_iter().map(move |place| first + place)
            })
            .collect();
        prop_assert_eq!(late_together, late_alone);
        prop_assert_eq!(together.rows(), one_by_one.rows());
    }
}

/// The places that a header names; a record of one reading names none.
fn places_of(text: &str) -> Vec<i64> {
    let number = |text: &str| text.parse::<i64>().unwrap();
    let runs = text.split(',').filter(|run| !run.is_empty());
    let places: Vec<i64> = runs
        .flat_map(|run| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            number(first)..=number(last)
        })
        .collect();
    if places.is_empty() { vec![0] } else { places }
}
