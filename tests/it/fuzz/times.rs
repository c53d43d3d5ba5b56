//! A reader of times by the manual, which reckons days itself. Only what a zone's clocks showed at an instant is taken
//! from the database of zones.

use chrono::Offset;
use chrono::TimeZone;
use chrono_tz::Tz;

const DAY_MS: i64 = 86_400_000;

/// A time as text, in milliseconds since 1970; none if it is no time.
pub fn parse(text: &str, zone: Tz) -> Option<i64> {
    match written(text, Order::Unknown)? {
        (local_ms, None) => Some(instant(local_ms, zone)),
        (local_ms, Some(offset_ms)) => Some(local_ms - offset_ms),
    }
}

/// Whether the day or the month comes first where both are numbers before the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Only where it does not matter.
    Unknown,
    DayFirst,
    MonthFirst,
}

/// What clocks show in a text, and how far they are ahead of UTC where it says so.
pub fn written(text: &str, order: Order) -> Option<(i64, Option<i64>)> {
    let tokens = tokens(text.trim_matches(|c: char| is_blank(c) || "\n\r\u{c}".contains(c)));
    let tokens = without_weekday(&tokens);
    let ordered: &[&str] = match order {
        Order::MonthFirst => &["m/d/Y", "m.d.Y", "m-d-Y"],
        Order::Unknown | Order::DayFirst => &["d/m/Y", "d.m.Y", "d-m-Y"],
    };
    let is_clear = |fields: &Fields| order != Order::Unknown || fields.month == fields.day;
    let ordered = ordered
        .iter()
        .flat_map(|date| matches(date, tokens, Fields::default()));
    DATES
        .iter()
        .flat_map(|date| matches(date, tokens, Fields::default()))
        .chain(ordered.filter(|(fields, _)| is_clear(fields)))
        .find_map(|(fields, rest)| after_date(fields, rest))
        .or_else(|| year_last(tokens))
}

/// `Jul 15 11:34:32 2022`, perhaps with UTC before the year.
fn year_last(tokens: &[Token]) -> Option<(i64, Option<i64>)> {
    CLOCKS
        .iter()
        .filter(|clock| clock.starts_with('H'))
        .find_map(|clock| {
            let (fields, rest) = matches(&format!("b d {clock} "), tokens, Fields::default())?;
            let (offset_ms, rest) = match rest {
                [Token::Letters(name), Token::Blanks, rest @ ..] if is_utc(name) => (Some(0), rest),
                rest => (None, rest),
            };
            let (fields, rest) = matches("Y", rest, fields)?;
            let day_ms = day_number(fields.year, fields.month, fields.day)? * DAY_MS;
            rest.is_empty()
                .then_some((day_ms + clock_ms(fields, None)?, offset_ms))
        })
}

fn is_utc(name: &str) -> bool {
    ["z", "utc", "gmt", "ut"].contains(&&*name.to_ascii_lowercase())
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Digits(String),
    Letters(String),
    Blanks,
    Mark(char),
}

/// What was found; a fraction in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: Option<i64>,
    milliseconds: i64,
}

/// Y: four digits; m, d: one or two; b: the name of a month; D: eight digits. Anything else is itself.
const DATES: [&str; 14] = [
    "Y-m-d", "Y/m/d", "Y.m.d", "Y-b-d", "Y/b/d", "Y.b.d", "D", "d b Y", "d-b-Y", "d/b/Y", "d.b.Y", "b d Y",
    "b d, Y", "b. d, Y",
];
/// H: one or two digits; M, S: two; N: four digits; O: six; f: a fraction.
const CLOCKS: [&str; 8] = ["H:M:S.f", "H:M:S,f", "H:M:S", "H:M", "O.f", "O,f", "O", "N"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

fn is_blank(character: char) -> bool {
    " \t\u{a0}\u{202f}".contains(character)
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for character in text.chars() {
        match (tokens.last_mut(), character) {
            (Some(Token::Digits(digits)), '0'..='9') => digits.push(character),
            (_, '0'..='9') => tokens.push(Token::Digits(character.into())),
            (Some(Token::Letters(letters)), 'a'..='z' | 'A'..='Z') => letters.push(character),
            (_, 'a'..='z' | 'A'..='Z') => tokens.push(Token::Letters(character.into())),
            (Some(Token::Blanks), blank) if is_blank(blank) => {}
            (_, blank) if is_blank(blank) => tokens.push(Token::Blanks),
            (_, mark) => tokens.push(Token::Mark(mark)),
        }
    }
    // Fourteen digits are a date and a time of day with nothing between.
    if let Some(Token::Digits(digits)) = tokens.first_mut()
        && digits.len() == 14
    {
        let clock = digits.split_off(8);
        tokens.splice(1..1, [Token::Letters("T".to_owned()), Token::Digits(clock)]);
    }
    tokens
}

/// The place of a name in full or in three letters.
fn place(letters: &str, names: &[&str]) -> Option<i64> {
    let letters = letters.to_ascii_lowercase();
    let is_it = |name: &&str| letters == **name || letters == name[..3];
    names.iter().position(is_it).map(|place| place as i64 + 1)
}

fn without_weekday(tokens: &[Token]) -> &[Token] {
    match tokens {
        [Token::Letters(name), rest @ ..] if place(name, &DAYS).is_some() => {
            let rest = rest.strip_prefix(&[Token::Mark(',')]).unwrap_or(rest);
            rest.strip_prefix(&[Token::Blanks]).unwrap_or(rest)
        }
        _ => tokens,
    }
}

/// What a template finds at the beginning of a text, and what is left of it.
fn matches<'t>(template: &str, mut tokens: &'t [Token], mut fields: Fields) -> Option<(Fields, &'t [Token])> {
    for part in template.chars() {
        let (token, rest) = tokens.split_first()?;
        let number = |length: std::ops::RangeInclusive<usize>| match token {
            Token::Digits(digits) if length.contains(&digits.len()) => digits.parse::<i64>().ok(),
            _ => None,
        };
        match part {
            'Y' => fields.year = number(4..=4)?,
            'm' => fields.month = number(1..=2)?,
            'd' => fields.day = number(1..=2)?,
            'b' => match token {
                Token::Letters(name) => fields.month = place(name, &MONTHS)?,
                _ => return None,
            },
            'D' => {
                let date = number(8..=8)?;
                (fields.year, fields.month, fields.day) = (date / 10_000, date / 100 % 100, date % 100);
                (1900..2100).contains(&fields.year).then_some(())?;
            }
            'H' => fields.hour = number(1..=2)?,
            'M' => fields.minute = number(2..=2)?,
            'S' => fields.second = Some(number(2..=2)?),
            'N' => {
                let clock = number(4..=4)?;
                (fields.hour, fields.minute) = (clock / 100, clock % 100);
            }
            'O' => {
                let clock = number(6..=6)?;
                (fields.hour, fields.minute) = (clock / 10_000, clock / 100 % 100);
                fields.second = Some(clock % 100);
            }
            'f' => match token {
                Token::Digits(digits) => fields.milliseconds = format!("{digits:0<3}")[..3].parse().ok()?,
                _ => return None,
            },
            ' ' => (*token == Token::Blanks).then_some(())?,
            mark => (*token == Token::Mark(mark)).then_some(())?,
        }
        tokens = rest;
    }
    Some((fields, tokens))
}

/// What follows a date: nothing, an offset as XML has it, or a time of day and perhaps an offset.
fn after_date(fields: Fields, tokens: &[Token]) -> Option<(i64, Option<i64>)> {
    let day_ms = day_number(fields.year, fields.month, fields.day)? * DAY_MS;
    if tokens.is_empty() {
        return Some((day_ms, None));
    }
    let is_hour = matches!(tokens, [Token::Mark('-' | '\u{2212}'), Token::Digits(hour)] if hour.len() == 2);
    if let Some(Some(offset_ms)) = offset(tokens).filter(|_| !is_hour && tokens[0] != Token::Blanks) {
        return Some((day_ms, Some(offset_ms)));
    }
    let (is_apart, tokens) = match tokens {
        [Token::Letters(letter), rest @ ..] if letter.eq_ignore_ascii_case("t") => (false, rest),
        [Token::Mark(','), Token::Blanks, rest @ ..] | [Token::Mark(':') | Token::Blanks, rest @ ..] => {
            (true, rest)
        }
        _ => return None,
    };
    CLOCKS.iter().find_map(|clock| {
        let (fields, rest) = matches(clock, tokens, fields)?;
        let (half, rest) = half(rest);
        if is_apart && fields.second.is_none() && rest.first() == Some(&Token::Mark('-')) {
            return None;
        }
        Some((day_ms + clock_ms(fields, half)?, offset(rest)?))
    })
}

/// AM or PM, and what is left.
fn half(tokens: &[Token]) -> (Option<i64>, &[Token]) {
    let after_blanks = tokens.strip_prefix(&[Token::Blanks]).unwrap_or(tokens);
    match after_blanks {
        [Token::Letters(half), rest @ ..] if half.eq_ignore_ascii_case("am") => (Some(0), rest),
        [Token::Letters(half), rest @ ..] if half.eq_ignore_ascii_case("pm") => (Some(12), rest),
        _ => (None, tokens),
    }
}

fn clock_ms(fields: Fields, half: Option<i64>) -> Option<i64> {
    let Fields {
        hour,
        minute,
        milliseconds,
        ..
    } = fields;
    let second = fields.second.unwrap_or(0);
    if hour == 24 {
        return ((minute, second, milliseconds, half) == (0, 0, 0, None)).then_some(DAY_MS);
    }
    let hour = match half {
        None => hour,
        Some(half) => (1..=12).contains(&hour).then_some(hour % 12 + half)?,
    };
    let (second, milliseconds) = if second == 60 {
        (59, 999)
    } else {
        (second, milliseconds)
    };
    (hour < 24 && minute < 60 && second < 60)
        .then_some(((hour * 60 + minute) * 60 + second) * 1000 + milliseconds)
}

/// Of a text that is an offset or nothing, the offset in milliseconds.
fn offset(tokens: &[Token]) -> Option<Option<i64>> {
    let tokens = tokens.strip_prefix(&[Token::Blanks]).unwrap_or(tokens);
    if tokens.is_empty() {
        return Some(None);
    }
    let (utc, rest) = match tokens {
        [Token::Letters(name), rest @ ..] if is_utc(name) => (true, rest),
        [
            Token::Mark('('),
            Token::Letters(name),
            Token::Mark(')'),
            rest @ ..,
        ] if is_utc(name) => (true, rest),
        rest => (false, rest),
    };
    if utc && is_name(rest) {
        return Some(Some(0));
    }
    let rest = rest.strip_prefix(&[Token::Blanks]).unwrap_or(rest);
    let [
        Token::Mark(sign @ ('+' | '-' | '\u{2212}')),
        Token::Digits(digits),
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<i64>().ok()).flatten();
    let (minutes, seconds, rest) = match (digits.len(), rest) {
        (
            2,
            [
                Token::Mark(':'),
                Token::Digits(minutes),
                Token::Mark(':'),
                Token::Digits(seconds),
                rest @ ..,
            ],
        ) => (two(minutes)?, two(seconds)?, rest),
        (2, [Token::Mark(':'), Token::Digits(minutes), rest @ ..]) => (two(minutes)?, 0, rest),
        (2, rest) => (0, 0, rest),
        (4, rest) => (digits[2..].parse().ok()?, 0, rest),
        _ => return None,
    };
    let hours: i64 = digits[..2].parse().ok()?;
    let is_offset = hours < 24 && minutes < 60 && seconds < 60 && is_name(rest);
    let sign = if *sign == '+' { 1 } else { -1 };
    is_offset.then_some(Some(sign * ((hours * 60 + minutes) * 60 + seconds) * 1000))
}

/// Nothing, or the name of a zone behind its offset.
fn is_name(tokens: &[Token]) -> bool {
    let tokens = tokens.strip_prefix(&[Token::Blanks]).unwrap_or(tokens);
    match tokens {
        [] => true,
        [Token::Letters(name)] => name.bytes().all(|letter| letter.is_ascii_uppercase()),
        [Token::Mark('['), inside @ .., Token::Mark(']')]
        | [Token::Mark('('), inside @ .., Token::Mark(')')] => {
            let is_part = |token: &Token| !matches!(token, Token::Mark(mark) if !"/_+-".contains(*mark));
            inside.iter().all(is_part)
        }
        _ => false,
    }
}

/// Days since 1970-01-01 of a date; none if the month has no such day.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month - 1).ok()?)?;
    (1..=length).contains(&day).then_some(())?;
    let leap_years_before =
        |year: i64| (year - 1).div_euclid(4) - (year - 1).div_euclid(100) + (year - 1).div_euclid(400);
    let years = (year - 1970) * 365 + leap_years_before(year) - leap_years_before(1970);
    Some(years + lengths[..month as usize - 1].iter().sum::<i64>() + day - 1)
}

/// The instant at which a zone's clocks show a time: the first, if they show it twice; if they skip it, as much later as
/// they skip.
fn instant(local_ms: i64, zone: Tz) -> i64 {
    let shown_at = |at_ms: i64| {
        let at = chrono::DateTime::from_timestamp_millis(at_ms).expect("within chrono's years");
        i64::from(
            zone.offset_from_utc_datetime(&at.naive_utc())
                .fix()
                .local_minus_utc(),
        ) * 1000
    };
    // No zone was ever more than a day off, nor did one change its clocks twice in two days.
    let (before, after) = (shown_at(local_ms - DAY_MS), shown_at(local_ms + DAY_MS));
    let first = local_ms - before.max(after);
    let second = local_ms - before.min(after);
    [first, second]
        .into_iter()
        .find(|at_ms| at_ms + shown_at(*at_ms) == local_ms)
        .unwrap_or(local_ms - before)
}

#[test]
fn times_are_read_by_the_manual() {
    let new_york = |text: &str| parse(text, chrono_tz::America::New_York);
    let utc = |text: &str| parse(text, chrono_tz::UTC);
    assert_eq!(utc("1970-01-01"), Some(0));
    assert_eq!(utc("2023-11-05 01:23:45.1239"), Some(1_699_147_425_123));
    assert_eq!(utc("1899-12-31T23:59:59.999Z"), Some(-2_208_988_800_001));
    assert_eq!(utc("9999-12-31 23:59:59"), Some(253_402_300_799_000));
    assert_eq!(utc("2024-02-29T00:00-00:30"), Some(1_709_166_600_000));
    assert_eq!(new_york("2023-11-05 01:30:00"), Some(1_699_162_200_000));
    assert_eq!(new_york("2024-03-10 02:30:00"), Some(1_710_055_800_000));
    assert_eq!(new_york("2024-03-10 03:00:00"), Some(1_710_054_000_000));
    let expected = Some(1_699_147_425_000);
    for text in [
        "2023-11-05 1:23:45 UTC",
        "20231105T012345Z",
        "2023/11/5 01:23:45",
        "Sun, 05 Nov 2023 02:23:45 +0100 (CET)",
        "5-NOV-2023 1:23:45 AM",
        "2023-11-05T02:23:45+01:00[Europe/Berlin]",
    ] {
        assert_eq!(utc(text), expected, "{text}");
    }
    let fifth = Some((1_699_142_400_000, None));
    assert_eq!(written("5/11/2023", Order::DayFirst), fifth);
    assert_eq!(written("11.05.2023", Order::MonthFirst), fifth);
    assert_eq!(written("5/11/2023", Order::Unknown), None);
    assert_eq!(utc("2023-11-04 24:00"), utc("2023-11-05"));
    assert_eq!(utc("2023-11-05T01:23:60Z"), Some(1_699_147_439_999));
    for text in [
        "2023-02-29",
        "2023-11-05T01:23.5",
        "2023-11-05 1:2",
        "2023-11-05T01:23:45+05:3",
        "2023-11-05T01:23:61",
        "2023-11-05 11:00-12:00",
        "2023-11-05-11",
        "1700000000",
    ] {
        assert_eq!(utc(text), None, "{text}");
    }
}
