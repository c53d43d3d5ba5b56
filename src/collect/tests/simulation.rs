//! Processes that die at any step, requests that fail and come in pieces, a second process beside the first: each point
//! that came in time is written once, and in order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::answer::{PagePart, Pages, SeriesAnswer, Status};
use super::super::message::Point;
use super::super::state::{Collector, Harvest, Request};
use super::{MINUTE, PERIOD, START, TIMING, collector, metric};

/// When a point of the simulation can be seen, after its period has ended. One in eight comes too late.
fn visible_ms(series: usize, number: i64) -> i64 {
    let mixed = (series as i64 * 31 + number * 17).rem_euclid(8);
    let after_ms = if mixed == 0 { 14 * MINUTE } else { mixed * MINUTE };
    START + (number + 1) * PERIOD + after_ms
}

fn is_in_time(series: usize, number: i64) -> bool {
    visible_ms(series, number) <= START + (number + 1) * PERIOD + TIMING.delay_ms
}

/// A point as CloudWatch has it at a time.
fn seen_at(series: usize, number: i64, now_ms: i64) -> Option<Point> {
    (now_ms >= visible_ms(series, number)).then_some(Point {
        time_ms: START + number * PERIOD,
        value: number as f64,
    })
}

/// Kafka, as far as committed transactions go.
#[derive(Default)]
struct Log {
    /// Whether it takes what an older one commits, which Kafka does not.
    is_lenient: bool,
    epoch: u64,
    readings: Vec<(String, i64)>,
    watermarks: BTreeMap<String, i64>,
}

impl Log {
    /// All or nothing, and only for the last one that has started.
    fn commit(&mut self, epoch: u64, harvest: &Harvest) -> bool {
        if epoch != self.epoch && !self.is_lenient {
            return false;
        }
        let readings = harvest.readings.iter();
        self.readings
            .extend(readings.map(|reading| (reading.key.clone(), reading.time_ms)));
        let watermarks = harvest.watermarks.iter();
        self.watermarks
            .extend(watermarks.map(|watermark| (watermark.identity.clone(), watermark.done_ms)));
        true
    }
}

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Death {
    None,
    BeforeRequest,
    BeforeCommit,
    AfterCommit,
}

/// What goes wrong in an answer, by series.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Partial(usize),
    Internal(usize),
    Throttled,
}

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Poll(Fault, Death),
    Restart,
    /// Starts another process, and lets the one before it go on.
    Second,
}

struct Process {
    collector: Collector,
    epoch: u64,
}

impl Process {
    fn start(log: &mut Log, series: usize, now_ms: i64) -> Self {
        log.epoch += 1;
        let mut collector = collector(TIMING, log.watermarks.clone());
        let starts = collector
            .listed((0..series).map(metric).collect(), now_ms)
            .unwrap();
        log.commit(log.epoch, &starts);
        collector.committed(starts);
        Process {
            collector,
            epoch: log.epoch,
        }
    }

    /// False if it died, or found that it is no longer the last one.
    fn poll(&mut self, log: &mut Log, now_ms: i64, fault: Fault, death: Death) -> bool {
        let mut left = BTreeSet::new();
        loop {
            let plan = self.collector.plan(now_ms, &left);
            if plan.is_empty() {
                return true;
            }
            for request in plan {
                if death == Death::BeforeRequest {
                    return false;
                }
                let Some(answers) = answer(&request, now_ms, fault) else {
                    return true;
                };
                let harvest = self.collector.harvest(&request, &answers);
                left.extend(harvest.left.iter().map(|(series, _)| series.identity.clone()));
                if death == Death::BeforeCommit || !log.commit(self.epoch, &harvest) {
                    return false;
                }
                if death == Death::AfterCommit {
                    return false;
                }
                self.collector.committed(harvest);
            }
        }
    }
}

/// CloudWatch's answer: in two pages, with an empty one between.
fn answer(request: &Request, now_ms: i64, fault: Fault) -> Option<Vec<SeriesAnswer>> {
    let mut pages = Pages::new(request, PERIOD);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (index, series) in request.series.iter().enumerate() {
        let number: usize = series.metric.dimensions[0].1[2..].parse().unwrap();
        let numbers = (request.start_ms - START) / PERIOD..(request.end_ms - START) / PERIOD;
        let points = numbers
            .filter(|at| *at >= 0)
            .filter_map(|at| seen_at(number, at, now_ms));
        let (even, odd): (Vec<Point>, Vec<Point>) =
            points.partition(|point| point.time_ms % (2 * PERIOD) == 0);
        let end = match fault {
            Fault::Throttled => return None,
            Fault::Partial(of) if of == number => Status::Partial,
            Fault::Internal(of) if of == number => Status::Failed("InternalError".to_owned()),
            _ => Status::Complete,
        };
        let part = |points, status| PagePart {
            index,
            points,
            status,
        };
        first.push(part(even, Status::Partial));
        second.push(part(odd, end));
    }
    pages.add(first);
    pages.add(Vec::new());
    pages.add(second);
    Some(pages.finish())
}

fn any_step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        1 => (0_usize..4).prop_map(Fault::Partial),
        1 => (0_usize..4).prop_map(Fault::Internal),
        1 => Just(Fault::Throttled),
    ];
    let death = prop_oneof![
        6 => Just(Death::None),
        1 => Just(Death::BeforeRequest),
        1 => Just(Death::BeforeCommit),
        1 => Just(Death::AfterCommit),
    ];
    prop_oneof![
        6 => (0_i64..40).prop_map(|minutes| Step::Wait(minutes * MINUTE)),
        6 => (fault, death).prop_map(|(fault, death)| Step::Poll(fault, death)),
        1 => Just(Step::Restart),
        1 => Just(Step::Second),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_point_that_came_in_time_is_written_once_whatever_dies(
        series in 1_usize..4,
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        let mut log = Log::default();
        let mut now_ms = START + 60 * MINUTE;
        let first_end_ms = TIMING.end_ms(now_ms);
        let mut process = Process::start(&mut log, series, now_ms);
        let mut zombie: Option<Process> = None;
        for step in steps {
            match step {
                Step::Wait(ms) => now_ms += ms,
                Step::Poll(fault, death) => {
                    if let Some(mut older) = zombie.take() {
                        let before = log.readings.len();
                        older.poll(&mut log, now_ms, Fault::None, Death::None);
                        prop_assert_eq!(log.readings.len(), before, "the older one writes nothing");
                    }
                    if !process.poll(&mut log, now_ms, fault, death) {
                        process = Process::start(&mut log, series, now_ms);
                    }
                }
                Step::Restart => process = Process::start(&mut log, series, now_ms),
                Step::Second => {
                    let second = Process::start(&mut log, series, now_ms);
                    zombie = Some(std::mem::replace(&mut process, second));
                }
            }
        }
        now_ms += 30 * MINUTE;
        prop_assert!(process.poll(&mut log, now_ms, Fault::None, Death::None));
        let end_ms = TIMING.end_ms(now_ms);
        for number in 0..series {
            let key = metric(number).reading_key();
            let written: Vec<i64> = log.readings.iter().filter(|(of, _)| *of == key).map(|(_, at)| *at).collect();
            prop_assert!(written.is_sorted_by(|before, after| before < after), "in order, and each once: {:?}", written);
            let numbers = (first_end_ms - START) / PERIOD..(end_ms - START) / PERIOD;
            for at in numbers.filter(|at| is_in_time(number, *at)) {
                prop_assert!(written.contains(&(START + at * PERIOD)), "point {} of {} is missing", at, key);
            }
            prop_assert!(written.iter().all(|at| (first_end_ms..end_ms).contains(at)));
        }
    }
}

#[test]
fn without_shutting_out_the_older_one_two_double_each_point() {
    let written = |is_lenient: bool| {
        let mut log = Log {
            is_lenient,
            ..Log::default()
        };
        let mut older = Process::start(&mut log, 1, START + 60 * MINUTE);
        let mut newer = Process::start(&mut log, 1, START + 60 * MINUTE);
        let now_ms = START + 120 * MINUTE;
        older.poll(&mut log, now_ms, Fault::None, Death::None);
        newer.poll(&mut log, now_ms, Fault::None, Death::None);
        log.readings.len()
    };
    assert_eq!(written(true), 2 * written(false));
}
