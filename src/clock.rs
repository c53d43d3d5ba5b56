//! The only file that reads a clock. Edges and commands call it; the core gets times as values.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

use crate::table::Moment;

/// The time of day: milliseconds since 1970-01-01T00:00:00Z, as Kafka counts them. It can jump.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now_ms() -> i64 {
    let to_ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => to_ms(since),
        Err(before) => -to_ms(before.duration()),
    }
}

/// The same as a time of the calendar.
pub(crate) fn utc_now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms()).unwrap_or_default()
}

/// A point on the monotonic clock, for measuring durations.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The current time on both clocks, whose difference reveals how long the process slept.
pub(crate) fn moment() -> Moment {
    Moment {
        wall_ms: now_ms(),
        boot_ms: boot_ms(),
    }
}

/// Milliseconds since the machine booted, including suspended time.
#[cfg(target_os = "linux")]
fn boot_ms() -> i64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    since
        .tv_sec
        .saturating_mul(1000)
        .saturating_add(since.tv_nsec / 1_000_000)
}

/// Other systems fall back to the wall clock.
#[cfg(not(target_os = "linux"))]
fn boot_ms() -> i64 {
    now_ms()
}
