//! The forms of times that most messages have, read in one pass over their bytes.

use chrono::{DateTime, NaiveDate};

use super::Written;

/// A time in one of these forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlainTime {
    /// What clocks show, as milliseconds since they showed the beginning of 1970.
    wall_ms: i64,
    /// How far they are ahead of UTC, if that is written.
    offset_ms: Option<i64>,
}

impl PlainTime {
    /// Milliseconds since 1970 where the offset is written or the zone is UTC.
    #[inline]
    pub(crate) fn instant_ms(self, is_utc: bool) -> Option<i64> {
        match self.offset_ms {
            Some(offset_ms) => Some(self.wall_ms - offset_ms),
            None => is_utc.then_some(self.wall_ms),
        }
    }

    /// The same as any time that is written.
    pub(super) fn written(self) -> Option<Written> {
        match self.instant_ms(false) {
            Some(instant_ms) => Some(Written::Instant(instant_ms)),
            None => DateTime::from_timestamp_millis(self.wall_ms).map(|wall| Written::Wall(wall.naive_utc())),
        }
    }
}

/// Reads `YYYY-MM-DD`, then optionally `T` or a space and `HH:MM`, `:SS`, a fraction of the second (`.` or `,`; digits
/// beyond the millisecond are cut off), then optionally `Z` or an offset (`+02`, `+0200`, `+02:00`). `None` for every
/// other text, and for one that could be an interval.
#[inline]
pub(super) fn read(text: &[u8]) -> Option<PlainTime> {
    let (wall_ms, may_be_interval, rest) = date_time(text)?;
    let offset_ms = match rest {
        [] => None,
        [b'-', ..] if may_be_interval => return None,
        _ => Some(offset_ms(rest)?),
    };
    Some(PlainTime { wall_ms, offset_ms })
}

/// Date and time in milliseconds; whether a `-` after them could lead to the end of an interval: after hours and minutes
/// that a space separates from the date, as in `2022-07-15 11:00-12:00`; and what is behind them.
#[inline]
fn date_time(text: &[u8]) -> Option<(i64, bool, &[u8])> {
    let (date, rest) = text.split_first_chunk()?;
    let [y1, y2, y3, y4, _, m1, m2, _, d1, d2] = digits(*date, b"0000-00-00")?;
    let year = y1 * 1000 + y2 * 100 + y3 * 10 + y4;
    let date = NaiveDate::from_ymd_opt(year as i32, m1 * 10 + m2, d1 * 10 + d2)?;
    let date_ms = i64::from(date.to_epoch_days()) * DAY_MS;
    let [between @ (b'T' | b't' | b' '), time @ ..] = rest else {
        // `2022-07-15-11` is an hour to some.
        return Some((date_ms, rest.len() == 3, rest));
    };
    let (time, rest) = time.split_first_chunk()?;
    let [h1, h2, _, m1, m2] = digits(*time, b"00:00")?;
    let (hour, minute) = (h1 * 10 + h2, m1 * 10 + m2);
    // A fraction without seconds would be one of the minute (ISO 8601), which nobody writes.
    let (milliseconds, may_be_interval, rest) = match rest {
        [b':', seconds @ ..] => {
            let (milliseconds, rest) = seconds_ms(seconds)?;
            (milliseconds, false, rest)
        }
        _ => (0, *between == b' ', rest),
    };
    let time_ms = (hour * 60 + minute) * 60_000 + milliseconds;
    (hour < 24 && minute < 60).then_some((date_ms + i64::from(time_ms), may_be_interval, rest))
}

/// Seconds and what is behind a point or comma, in milliseconds; and what is behind them.
#[inline]
fn seconds_ms(text: &[u8]) -> Option<(u32, &[u8])> {
    let (second, rest) = text.split_first_chunk()?;
    let [s1, s2] = digits(*second, b"00")?;
    let second = s1 * 10 + s2;
    let (thousandths, rest) = match rest {
        [b'.' | b',', fraction @ ..] => thousandths(fraction)?,
        _ => (0, rest),
    };
    (second < 60).then_some((second * 1000 + thousandths, rest))
}

/// All that is left, as an offset.
fn offset_ms(text: &[u8]) -> Option<i64> {
    let (sign, written) = match text {
        [b' ', rest @ ..] => return offset_ms(rest),
        [b'Z' | b'z'] => return Some(0),
        [b'+', written @ ..] => (1, written),
        [b'-', written @ ..] => (-1, written),
        _ => return None,
    };
    let hours_and_minutes = match *written {
        [h1, h2] => [h1, h2, b'0', b'0'],
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => [h1, h2, m1, m2],
        _ => return None,
    };
    let [h1, h2, m1, m2] = digits(hours_and_minutes, b"0000")?;
    let (hours, minutes) = (h1 * 10 + h2, m1 * 10 + m2);
    (hours < 24 && minutes < 60).then_some(sign * i64::from(hours * 60 + minutes) * 60_000)
}

/// The first three digits of a fraction, and what is behind all of them.
#[inline(never)]
fn thousandths(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = text.split_at_checked(length).filter(|_| length > 0)?;
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(3);
    let number = digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    Some((number, rest))
}

/// The digits of a text in a form in which zeros stand for digits and everything else for itself, which becomes a zero.
#[inline]
fn digits<const LENGTH: usize>(text: [u8; LENGTH], form: &[u8; LENGTH]) -> Option<[u32; LENGTH]> {
    let mut is_of_form = true;
    let digits = std::array::from_fn(|place| {
        let difference = text[place] ^ form[place];
        let largest = if form[place] == b'0' { 9 } else { 0 };
        // Without a way out in the middle the characters are looked at all at once.
        is_of_form &= difference <= largest;
        u32::from(difference)
    });
    is_of_form.then_some(digits)
}

const DAY_MS: i64 = 86_400_000;
