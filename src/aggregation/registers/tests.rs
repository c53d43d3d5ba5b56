//! Steps between registers, by hand and in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::decode::Stamp;
use crate::window::{ExactSum, Windows};

const WINDOW_MS: i64 = 60;

fn rules(largest_event_time_ms: Option<i64>) -> Rules {
    Rules {
        windows: ClosingWindows {
            windows: Windows {
                length_ms: WINDOW_MS,
                offset_ms: 0,
            },
            allowed_delay_ms: 60,
            stamp: Stamp::Start,
        },
        max_series: 100,
        largest_event_time_ms,
    }
}

/// Registers, and what they have added to the window of each start.
#[derive(Default)]
struct Run {
    registers: Registers,
    sums: BTreeMap<i64, ExactSum>,
}

impl Run {
    fn take(&mut self, key: &str, (time_ms, value): (i64, f64), rules: Rules) {
        let register = Register { time_ms, value };
        let sums = &mut self.sums;
        self.registers
            .insert(SeriesKey::of_key(key), register, rules, &mut |start_ms, term| {
                sums.entry(start_ms).or_default().add(term);
            });
    }

    /// The increases other than nothing, by the start of their window.
    fn increases(&self) -> Vec<(i64, f64)> {
        let rounded = self.sums.iter().map(|(&start_ms, sum)| (start_ms, sum.rounded()));
        rounded.filter(|(_, increase)| *increase != 0.0).collect()
    }
}

fn increases(registers: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let mut run = Run::default();
    registers
        .iter()
        .for_each(|&register| run.take("a", register, rules(None)));
    run.increases()
}

#[test]
fn a_window_has_its_last_register_less_the_last_one_before_it() {
    let hour = [
        (0, 100.0),
        (20, 100.333),
        (40, 100.667),
        (60, 101.0),
        (100, 101.667),
    ];
    assert_eq!(increases(&hour), [(0, 100.667 - 100.0), (60, 101.667 - 100.667)]);
    // A window without a register has no increase: it is in the next.
    assert_eq!(increases(&[(0, 1.0), (200, 4.0)]), [(180, 3.0)]);
    assert_eq!(increases(&[(0, 7.0)]), []);
}

#[test]
fn a_register_that_falls_begins_anew() {
    assert_eq!(increases(&[(0, 90.0), (10, 2.0), (20, 5.0)]), [(0, 5.0)]);
    assert_eq!(increases(&[(0, 90.0), (60, 0.0), (70, 3.0)]), [(60, 3.0)]);
    // One that comes late shows that there was more before the fall, or that there was none.
    assert_eq!(increases(&[(0, 90.0), (20, 5.0), (10, 95.0)]), [(0, 10.0)]);
    assert_eq!(increases(&[(0, 90.0), (20, 95.0), (10, 1.0)]), [(0, 95.0)]);
}

#[test]
fn of_one_time_the_largest_counts_whichever_came_first() {
    for registers in [
        [(0, 10.0), (30, 12.0), (30, 11.0), (70, 15.0)],
        [(0, 10.0), (30, 11.0), (30, 12.0), (70, 15.0)],
        [(70, 15.0), (30, 11.0), (0, 10.0), (30, 12.0)],
    ] {
        assert_eq!(increases(&registers), [(0, 2.0), (60, 3.0)], "{registers:?}");
    }
    // A meter that begins anew within its clock's tick.
    assert_eq!(
        increases(&[(0, 10.0), (9, 12.0), (9, 0.0), (20, 1.0)]),
        [(0, 3.0)]
    );
}

#[test]
fn an_earlier_beginning_is_one() {
    assert_eq!(increases(&[(70, 15.0), (30, 11.0)]), [(60, 4.0)]);
}

#[test]
fn what_nothing_can_fall_before_is_dropped_and_the_last_of_it_is_kept() {
    let mut run = Run::default();
    for time_ms in [0, 50, 70, 130, 190, 200] {
        run.take("a", (time_ms, time_ms as f64), rules(Some(time_ms)));
    }
    let series = run.registers.sorted()[0];
    let times: Vec<i64> = series.kept.iter().map(|register| register.time_ms).collect();
    // The watermark is 130, 60 before the newest reading: the window up to 120 has closed.
    assert_eq!((times, series.has_dropped), (vec![70, 130, 190, 200], true));
    let before = run.increases();
    run.take("a", (60, 61.0), rules(Some(200)));
    assert_eq!(run.increases(), before, "its increase is in the next step");
    run.take("a", (75, 71.0), rules(Some(200)));
    assert_eq!(run.increases(), [(0, 50.0), (60, 21.0), (120, 59.0), (180, 70.0)]);
}

#[test]
fn a_series_keeps_so_many_registers_and_none_is_counted_twice() {
    let most = MOST_REGISTERS as i64;
    let mut run = Run::default();
    for time_ms in 0..most + 10 {
        run.take("a", (time_ms, time_ms as f64), rules(None));
    }
    let kept = &run.registers.sorted()[0].kept;
    assert_eq!((kept.len(), kept[0].time_ms), (MOST_REGISTERS, 10));
    for late in [0, 9, 10] {
        run.take("a", (late, 1e6), rules(None));
    }
    let total: f64 = run.increases().iter().map(|(_, increase)| increase).sum();
    assert_eq!(total, (most + 9) as f64);
}

#[test]
fn series_that_were_silent_for_longest_make_room() {
    let mut run = Run::default();
    let few = Rules {
        max_series: 8,
        ..rules(None)
    };
    for (time_ms, key) in (0..).zip(["a", "b", "c", "d", "e", "f", "g", "h", "a", "i"]) {
        run.take(key, (time_ms, 1.0), few);
    }
    let known = |key| run.registers.knows(SeriesKey::of_key(key));
    assert_eq!(
        (known("a"), known("b"), known("c"), known("i")),
        (true, false, true, true)
    );
    assert_eq!(run.registers.len(), 8);
    assert_eq!(run.registers.take_forgotten(), 1);
    assert_eq!(run.registers.take_newcomers().len(), 9);
    assert_eq!(
        (
            run.registers.take_forgotten(),
            run.registers.take_newcomers().len()
        ),
        (0, 0)
    );
}

/// In 2⁻⁶⁰, another arithmetic than the program's.
fn expected(registers: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let fixed = |value: f64| (value * 2f64.powi(60)) as i128;
    let mut by_time: BTreeMap<i64, i128> = BTreeMap::new();
    for &(time_ms, value) in registers {
        let largest = by_time.entry(time_ms).or_default();
        *largest = (*largest).max(fixed(value));
    }
    let mut increases: BTreeMap<i64, i128> = BTreeMap::new();
    for ((_, before), (time_ms, after)) in by_time.iter().zip(by_time.iter().skip(1)) {
        let step = if after < before { *after } else { after - before };
        *increases
            .entry(time_ms.div_euclid(WINDOW_MS) * WINDOW_MS)
            .or_default() += step;
    }
    let rounded = increases.into_iter();
    rounded
        .filter(|(_, increase)| *increase != 0)
        .map(|(start_ms, increase)| (start_ms, increase as f64 / 2f64.powi(60)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_order_of_registers_does_not_matter(
        registers in prop::collection::vec((0i64..400, 0u32..500), 0..40)
    ) {
        let registers: Vec<(i64, f64)> = registers
            .into_iter()
            .map(|(time_ms, tenths)| (time_ms, f64::from(tenths) / 10.0))
            .collect();
        prop_assert_eq!(increases(&registers), expected(&registers));
    }
}
