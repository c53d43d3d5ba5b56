//! The only file that reads a clock. Edges and commands ask it; the core is given its times.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time of day: milliseconds since 1970-01-01T00:00:00Z, as Kafka counts them. It can jump.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now_ms() -> i64 {
    let to_ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => to_ms(since),
        Err(before) => -to_ms(before.duration()),
    }
}

/// A point on the clock that never jumps, for measuring how long something takes.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn instant() -> Instant {
    Instant::now()
}
