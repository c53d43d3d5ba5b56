//! Groups the readings that are sent together, and times the groups.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::recording::RecordedReading;

/// The speed of event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// The event time of one tick, before acceleration.
    pub step: Duration,
    /// Multiplies the step.
    pub accelerator: NonZeroU32,
    /// The wall time between two ticks; zero sends as fast as the broker accepts.
    pub tick: Duration,
    /// Stop after this many ticks.
    pub max_iterations: Option<u64>,
}

impl Pace {
    /// Everything at once, as fast as possible.
    pub const UNPACED: Pace = Pace {
        step: Duration::from_secs(300),
        accelerator: NonZeroU32::MIN,
        tick: Duration::ZERO,
        max_iterations: None,
    };

    /// Splits readings, in order of time, into the groups to send at each tick.
    ///
    /// Ticks start at the first reading's time; each covers `step × accelerator`. A tick without readings is
    /// skipped: six silent days between two Tuesdays take no longer than one step between readings.
    pub fn ticks<'a>(
        &self,
        readings: &'a [RecordedReading],
    ) -> impl Iterator<Item = &'a [RecordedReading]> + use<'a> {
        let span_ms = self.span_ms();
        let first_ms = readings.first().map_or(0, |reading| reading.time_ms);
        let number = move |reading: &RecordedReading| (reading.time_ms - first_ms) / span_ms;
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
    use super::*;
    use crate::playback::tests::options;
    use crate::recording::Recording;

    fn readings(minutes: &[i64]) -> Vec<RecordedReading> {
        let rows = minutes.iter().map(|minute| {
            let (day, minute_of_day) = (1 + minute / 1440, minute % 1440);
            format!(
                "2024-03-{day:02} {:02}:{:02},1\n",
                minute_of_day / 60,
                minute_of_day % 60
            )
        });
        let csv = format!("time,kw\n{}", rows.collect::<String>());
        Recording::read(csv.as_bytes(), &options()).unwrap().readings
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
