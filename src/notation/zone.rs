//! From the wall time of a zone to the instant at which its clocks showed it.

use chrono::{Duration, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{OffsetComponents, Tz};
use serde::{Deserialize, Serialize};

use super::time::{Season, TimeError, Written};

/// Which instant a wall time is that a zone's clocks show twice in autumn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmbiguousTime {
    /// The one that is nearer to what was read before.
    #[default]
    InOrder,
    /// The first, in summer time.
    Earlier,
    /// The second, in winter time.
    Later,
}

impl AmbiguousTime {
    /// The name that the setting has for it.
    pub fn name(self) -> &'static str {
        match self {
            AmbiguousTime::InOrder => "in_order",
            AmbiguousTime::Earlier => "earlier",
            AmbiguousTime::Later => "later",
        }
    }

    /// Which of two instants it is, in milliseconds since 1970. `near_ms` is where a reading is expected: at or a step
    /// after what was read before; `None` if nothing was.
    fn choose(self, earlier_ms: i64, later_ms: i64, near_ms: Option<i64>) -> i64 {
        let is_later = match (self, near_ms) {
            (AmbiguousTime::Earlier, _) | (AmbiguousTime::InOrder, None) => false,
            (AmbiguousTime::Later, _) => true,
            (AmbiguousTime::InOrder, Some(near_ms)) => {
                // Half an hour from both, a series of half-hourly readings goes on with the later one.
                near_ms.abs_diff(later_ms) <= near_ms.abs_diff(earlier_ms) && earlier_ms <= near_ms
            }
        };
        if is_later { later_ms } else { earlier_ms }
    }
}

/// The instant of a time in milliseconds since 1970. One without an offset is in `zone`; `near_ms` is where a reading is
/// expected, as [`AmbiguousTime::InOrder`] asks for.
///
/// # Errors
/// [`TimeError::OtherSeason`] if the time names summer or winter time and `zone` does not have it then.
#[inline]
pub fn instant_ms(
    written: Written,
    zone: Tz,
    ambiguous: AmbiguousTime,
    near_ms: Option<i64>,
) -> Result<i64, TimeError> {
    match written {
        Written::Instant(instant_ms) => Ok(instant_ms),
        Written::Wall(wall) if zone == Tz::UTC => Ok(wall.and_utc().timestamp_millis()),
        Written::Wall(wall) => Ok(wall_to_instant_ms(wall, zone, ambiguous, near_ms)),
        Written::Seasonal(wall, season) => in_season(wall, season, zone),
    }
}

/// The instant of a wall time of `zone` in milliseconds since 1970. A time that the clocks skip in spring moves forward
/// by as much as they skip.
pub fn wall_to_instant_ms(
    wall: NaiveDateTime,
    zone: Tz,
    ambiguous: AmbiguousTime,
    near_ms: Option<i64>,
) -> i64 {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(time) => time.timestamp_millis(),
        LocalResult::Ambiguous(earlier, later) => {
            ambiguous.choose(earlier.timestamp_millis(), later.timestamp_millis(), near_ms)
        }
        LocalResult::None => {
            // In a gap the offset from before it still applies: 02:30 becomes the 03:30 that the clocks showed.
            let day_before = wall.checked_sub_signed(Duration::hours(24)).unwrap_or(wall);
            let offset = zone.offset_from_utc_datetime(&day_before).fix();
            wall.and_utc().timestamp_millis() - i64::from(offset.local_minus_utc()) * 1000
        }
    }
}

/// Whether the clocks of `zone` show this wall time twice.
pub fn comes_twice(wall: NaiveDateTime, zone: Tz) -> bool {
    matches!(zone.from_local_datetime(&wall), LocalResult::Ambiguous(..))
}

/// The wall time that the clocks of `zone` show at an instant in milliseconds since 1970; `None` beyond chrono's years.
pub fn wall_time(instant_ms: i64, zone: Tz) -> Option<NaiveDateTime> {
    let utc = chrono::DateTime::from_timestamp_millis(instant_ms)?.naive_utc();
    utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix())
}

fn in_season(wall: NaiveDateTime, season: Season, zone: Tz) -> Result<i64, TimeError> {
    let is_summer = season == Season::Summer;
    let has_season =
        |time: &chrono::DateTime<Tz>| (time.offset().dst_offset() != Duration::zero()) == is_summer;
    let found = match zone.from_local_datetime(&wall) {
        LocalResult::Single(time) => [Some(time), None],
        LocalResult::Ambiguous(earlier, later) => [Some(earlier), Some(later)],
        LocalResult::None => [None, None],
    };
    found
        .into_iter()
        .flatten()
        .find(has_season)
        .map(|time| time.timestamp_millis())
        .ok_or(TimeError::OtherSeason(season))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    const BOSTON: Tz = Tz::America__New_York;
    const HOUR_MS: i64 = 3_600_000;
    /// 2024-11-03T05:00:00Z, when the clocks show 01:00 for the first time.
    const ONE_MS: i64 = 1_730_610_000_000;

    fn at(month: u32, day: u32, hour: u32, minute: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2024, month, day)
            .unwrap()
            .and_hms_opt(hour, minute, 0)
            .unwrap()
    }

    #[test]
    fn an_hour_that_comes_twice_is_read_in_order() {
        let read = |ambiguous, near_ms| wall_to_instant_ms(at(11, 3, 1, 0), BOSTON, ambiguous, near_ms);
        let minutes = |minutes: i64| Some(ONE_MS + minutes * 60_000);
        let in_order = AmbiguousTime::InOrder;
        for (near_ms, expected_ms) in [
            (None, ONE_MS),
            (minutes(-30), ONE_MS),
            (minutes(0), ONE_MS),
            (minutes(29), ONE_MS),
            (minutes(30), ONE_MS + HOUR_MS),
            (minutes(55), ONE_MS + HOUR_MS),
            (minutes(600), ONE_MS + HOUR_MS),
            (Some(i64::MIN), ONE_MS),
            (Some(i64::MAX), ONE_MS + HOUR_MS),
        ] {
            assert_eq!(read(in_order, near_ms), expected_ms, "{near_ms:?}");
        }
        assert_eq!(read(AmbiguousTime::Earlier, minutes(55)), ONE_MS);
        assert_eq!(read(AmbiguousTime::Later, None), ONE_MS + HOUR_MS);
        assert!(comes_twice(at(11, 3, 1, 0), BOSTON) && !comes_twice(at(11, 3, 2, 0), BOSTON));
    }

    #[test]
    fn a_time_that_the_clocks_skip_moves_forward() {
        let read = |wall| wall_to_instant_ms(wall, BOSTON, AmbiguousTime::InOrder, None);
        // 2024-03-10T07:30:00Z
        assert_eq!(read(at(3, 10, 2, 30)), 1_710_055_800_000);
        assert_eq!(read(at(3, 10, 3, 30)), 1_710_055_800_000);
        assert_eq!(wall_time(1_710_055_800_000, BOSTON), Some(at(3, 10, 3, 30)));
        assert_eq!(wall_time(i64::MAX, BOSTON), None);
    }

    #[test]
    fn a_season_decides_and_must_be_the_zones() {
        let read = |wall, season, zone| {
            instant_ms(
                Written::Seasonal(wall, season),
                zone,
                AmbiguousTime::InOrder,
                None,
            )
        };
        let autumn = at(11, 3, 1, 0);
        assert_eq!(read(autumn, Season::Summer, BOSTON), Ok(ONE_MS));
        assert_eq!(read(autumn, Season::Winter, BOSTON), Ok(ONE_MS + HOUR_MS));
        let refused = |season| Err(TimeError::OtherSeason(season));
        assert_eq!(
            read(at(7, 1, 0, 0), Season::Winter, BOSTON),
            refused(Season::Winter)
        );
        assert_eq!(
            read(at(7, 1, 0, 0), Season::Summer, Tz::UTC),
            refused(Season::Summer)
        );
    }
}
