//! Which readings are sent together, and when.

use std::num::NonZeroU32;
use std::time::Duration;

use super::recording::RecordedReading;

/// How fast event time passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Event time that one tick covers, before acceleration.
    pub step: Duration,
    /// Multiplies the step.
    pub accelerator: NonZeroU32,
    /// Wall time between two ticks; zero is as fast as the broker takes them.
    pub tick: Duration,
    /// Stop after so many ticks.
    pub max_iterations: Option<u64>,
}

impl Pace {
    /// Everything at once, as fast as it goes.
    pub const UNPACED: Pace = Pace {
        step: Duration::from_secs(300),
        accelerator: NonZeroU32::MIN,
        tick: Duration::ZERO,
        max_iterations: None,
    };

    /// Cuts readings, in order of time, into what is sent at each tick.
    ///
    /// Ticks are counted from the first reading's time; each covers `step × accelerator`. A tick without readings is left
    /// out: six silent days between two Tuesdays take no longer than the step from one reading to the next.
    pub fn ticks<'a>(
        &self,
        readings: &'a [RecordedReading],
    ) -> impl Iterator<Item = &'a [RecordedReading]> + use<'a> {
        let span_ms = self.span_ms();
        let first = readings.first().map(|reading| reading.time);
        let number = move |reading: &RecordedReading| {
            first.map(|first| reading.time.signed_duration_since(first).num_milliseconds() / span_ms)
        };
        let limit = self
            .max_iterations
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX);
        readings
            .chunk_by(move |left, right| number(left) == number(right))
            .take(limit)
    }

    /// Event time of one tick in milliseconds, at least one.
    fn span_ms(&self) -> i64 {
        let span_ms = self
            .step
            .as_millis()
            .saturating_mul(u128::from(self.accelerator.get()));
        i64::try_from(span_ms).unwrap_or(i64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn readings(minutes: &[i64]) -> Vec<RecordedReading> {
        let reading = |minute: &i64| RecordedReading {
            time: DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::minutes(*minute),
            value: *minute as f64,
            key: None,
            line: 0,
        };
        minutes.iter().map(reading).collect()
    }

    fn pace(step_minutes: u64, accelerator: u32, max_iterations: Option<u64>) -> Pace {
        Pace {
            step: Duration::from_secs(step_minutes * 60),
            accelerator: NonZeroU32::new(accelerator).unwrap(),
            max_iterations,
            ..Pace::UNPACED
        }
    }

    #[test]
    fn each_tick_covers_step_times_accelerator() {
        let five_minutely = [3, 8, 13, 18, 23, 28];
        for (pace, sizes) in [
            (pace(5, 1, None), vec![1, 1, 1, 1, 1, 1]),
            (pace(5, 2, None), vec![2, 2, 2]),
            (pace(5, 4, None), vec![4, 2]),
            (pace(10, 2, Some(1)), vec![4]),
            (pace(5, 1, Some(0)), vec![]),
            (pace(u64::MAX / 60, u32::MAX, None), vec![6]),
        ] {
            let ticks: Vec<usize> = pace.ticks(&readings(&five_minutely)).map(<[_]>::len).collect();
            assert_eq!(ticks, sizes, "{pace:?}");
        }
    }

    #[test]
    fn a_gap_takes_one_tick_and_no_reading_is_lost() {
        let with_gap = readings(&[0, 5, 5, 10_000, 10_005]);
        let ticks: Vec<usize> = pace(5, 1, None).ticks(&with_gap).map(<[_]>::len).collect();
        assert_eq!(ticks, [1, 2, 1, 1]);
        assert_eq!(pace(5, 1, None).ticks(&[]).count(), 0);
    }
}
