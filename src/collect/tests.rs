//! What is asked for, and what an answer changes.

mod simulation;

use std::collections::{BTreeMap, BTreeSet};

use super::answer::SeriesAnswer;
use super::message::Point;
use super::metric::Metric;
use super::state::{Collector, Harvest, Timing};

const MINUTE: i64 = 60_000;
const PERIOD: i64 = 5 * MINUTE;
const TIMING: Timing = Timing {
    period_ms: PERIOD,
    delay_ms: 10 * MINUTE,
    backfill_ms: 0,
    refresh_ms: 60 * MINUTE,
    retention_ms: 63 * 24 * 60 * MINUTE,
};
/// A whole period.
const START: i64 = 1_795_746_000_000;

fn metric(number: usize) -> Metric {
    Metric {
        namespace: "AWS/EC2".to_owned(),
        name: "CPUUtilization".to_owned(),
        dimensions: vec![("InstanceId".to_owned(), format!("i-{number}"))],
    }
}

fn collector(timing: Timing, watermarks: BTreeMap<String, i64>) -> Collector {
    Collector::new(timing, ("eu-west-1", "AWS/EC2"), "Average", watermarks)
}

fn complete(points: &[(i64, f64)]) -> SeriesAnswer {
    let point = |&(time_ms, value): &(i64, f64)| Point { time_ms, value };
    SeriesAnswer::Complete(points.iter().map(point).collect())
}

/// Asks once, and commits the answer.
fn ask(collector: &mut Collector, now_ms: i64, points: &[(i64, f64)]) -> Harvest {
    let plan = collector.plan(now_ms, &BTreeSet::new());
    assert_eq!(plan.len(), 1, "{plan:?}");
    let harvest = collector.harvest(&plan[0], &[complete(points)]);
    collector.committed(harvest.clone());
    harvest
}

fn started(timing: Timing, watermarks: BTreeMap<String, i64>, now_ms: i64) -> (Collector, Vec<i64>) {
    let mut collector = collector(timing, watermarks);
    let starts = collector.listed(vec![metric(1)], now_ms).unwrap();
    let watermarks = starts
        .watermarks
        .iter()
        .map(|watermark| watermark.done_ms)
        .collect();
    collector.committed(starts);
    (collector, watermarks)
}

#[test]
fn points_that_come_late_or_change_are_counted_once_and_not_written() {
    let (mut collector, _) = started(TIMING, BTreeMap::new(), START + 10 * MINUTE);
    let (first, second, third) = ((START, 1.0), (START + PERIOD, 2.0), (START + 2 * PERIOD, 3.0));
    let harvest = ask(&mut collector, START + 15 * MINUTE, &[first]);
    assert_eq!((harvest.readings.len(), harvest.late, harvest.changed), (1, 0, 0));
    let harvest = ask(&mut collector, START + 20 * MINUTE, &[first]);
    assert_eq!((harvest.readings.len(), harvest.late, harvest.changed), (0, 0, 0));
    let early = (START - PERIOD, 9.0);
    let harvest = ask(
        &mut collector,
        START + 25 * MINUTE,
        &[early, (START, 1.5), second, third],
    );
    assert_eq!((harvest.readings.len(), harvest.late, harvest.changed), (1, 1, 1));
    let harvest = ask(
        &mut collector,
        START + 30 * MINUTE,
        &[early, (START, 1.5), second, third],
    );
    assert_eq!((harvest.readings.len(), harvest.late, harvest.changed), (0, 0, 0));
}

#[test]
fn a_request_has_500_metrics_and_100800_points_at_most() {
    let timing = Timing {
        backfill_ms: 15 * 24 * 60 * MINUTE,
        ..TIMING
    };
    let mut collector = collector(timing, BTreeMap::new());
    let starts = collector.listed((0..1_201).map(metric).collect(), START).unwrap();
    assert_eq!(starts.watermarks.len(), 1_201);
    assert!(
        collector.plan(START, &BTreeSet::new()).is_empty(),
        "not before they are committed"
    );
    collector.committed(starts);
    let mut asked = BTreeMap::new();
    loop {
        let plan = collector.plan(START, &BTreeSet::new());
        if plan.is_empty() {
            break;
        }
        for request in plan {
            let periods = (request.end_ms - request.start_ms) / PERIOD;
            assert!(request.series.len() <= 500 && request.series.len() as i64 * periods <= 100_800);
            for series in &request.series {
                let end = asked.insert(series.identity.clone(), request.end_ms);
                assert!(end.is_none_or(|end| end == request.from_ms), "without a gap");
            }
            let answers = vec![complete(&[]); request.series.len()];
            let harvest = collector.harvest(&request, &answers);
            collector.committed(harvest);
        }
    }
    assert_eq!(asked.len(), 1_201);
    assert_eq!(collector.behind_ms(START), Some(0));
}

#[test]
fn a_metric_starts_where_it_must_and_goes_on_where_it_was() {
    let now_ms = START + 10 * MINUTE;
    let ends = |timing, watermarks| started(timing, watermarks, now_ms).1;
    assert_eq!(ends(TIMING, BTreeMap::new()), [START], "now, but for the delay");
    let backfilled = Timing {
        backfill_ms: 24 * 60 * MINUTE,
        ..TIMING
    };
    assert_eq!(ends(backfilled, BTreeMap::new()), [START - 24 * 60 * MINUTE]);
    let of = |number: usize, done_ms| BTreeMap::from([(metric(number).identity("eu-west-1"), done_ms)]);
    assert_eq!(ends(TIMING, of(1, START - PERIOD)), [0; 0], "it has a watermark");
    let down = START - 48 * 60 * MINUTE;
    assert_eq!(
        ends(TIMING, of(2, down)),
        [down - 75 * MINUTE],
        "it may have appeared while nobody looked"
    );
    let foreign = BTreeMap::from([(metric(2).identity("eu-west-2"), down)]);
    assert_eq!(
        ends(TIMING, foreign),
        [START],
        "another region's are none of ours"
    );
}

#[test]
fn what_cloudwatch_no_longer_keeps_is_passed_and_said() {
    let done_ms = START - 70 * 24 * 60 * MINUTE;
    let watermarks = BTreeMap::from([(metric(1).identity("eu-west-1"), done_ms)]);
    let (collector, _) = started(TIMING, watermarks, START);
    let plan = collector.plan(START, &BTreeSet::new());
    let oldest_ms = START - TIMING.retention_ms + PERIOD;
    assert_eq!((plan[0].start_ms, plan[0].from_ms), (oldest_ms, oldest_ms));
    assert_eq!(plan[0].expired_ms, oldest_ms - done_ms);
}

#[test]
fn a_metric_that_nobody_can_read_twice_is_forgotten() {
    let identity = |number: usize| metric(number).identity("eu-west-1");
    let days = |days: i64| START - days * 24 * 60 * MINUTE;
    let watermarks = BTreeMap::from([
        (identity(1), days(456)),
        (identity(2), days(456)),
        (identity(3), days(454)),
    ]);
    let mut collector = collector(TIMING, watermarks);
    let starts = collector.listed(vec![metric(1)], START).unwrap();
    assert_eq!(
        starts.forgotten,
        [identity(2)],
        "one that is listed is not, nor one that has points yet"
    );
    collector.committed(starts);
    assert!(
        collector
            .listed(vec![metric(1)], START)
            .unwrap()
            .forgotten
            .is_empty()
    );
}

#[test]
fn a_longer_period_goes_on_after_the_last_point_of_the_shorter_one() {
    let timing = Timing {
        period_ms: 60 * MINUTE,
        ..TIMING
    };
    let hour = START - START % (60 * MINUTE);
    let watermarks = BTreeMap::from([(metric(1).identity("eu-west-1"), hour + 25 * MINUTE)]);
    let (mut collector, _) = started(timing, watermarks, hour);
    let harvest = ask(
        &mut collector,
        hour + 130 * MINUTE,
        &[(hour, 1.0), (hour + 60 * MINUTE, 2.0)],
    );
    let times: Vec<i64> = harvest.readings.iter().map(|reading| reading.time_ms).collect();
    assert_eq!(times, [hour + 60 * MINUTE]);
    assert_eq!(harvest.late, 0, "nobody knows what was written before");
}

#[test]
fn metrics_that_cannot_be_told_apart_are_refused() {
    let named = |dimensions: &[(&str, &str)]| Metric {
        dimensions: dimensions
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..metric(0)
    };
    let mut collector = collector(TIMING, BTreeMap::new());
    let one = named(&[("a", "x/y"), ("b", "z")]);
    let other = named(&[("a", "x"), ("b", "y/z")]);
    let refused = collector.listed(vec![one, other], START).unwrap_err();
    assert_eq!(refused.key, "x/y/z/CPUUtilization");
}
