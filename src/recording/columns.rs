//! Which columns of a heading hold time, value and key: as named, or as such columns are commonly called.

use super::cells::{is_number, looks_like_time};
use super::options::Columns;

/// The columns of the City of Boston's electricity files.
const BOSTON_TIME: &str = "usage_datetime_start_eastern_time";
const BOSTON_VALUE: &str = "usage_kw";

/// What the columns of a time and of a value are commonly called, the likeliest first.
const TIMES: &[&str] = &[
    BOSTON_TIME,
    "timestamp",
    "ts",
    "time",
    "_time",
    "datetime",
    "date_time",
    "event_time",
    "start",
    "date",
    "at",
    "zeit",
    "zeitstempel",
    "datum",
    "last_changed",
    "horodate",
    "fecha",
];
const VALUES: &[&str] = &[
    BOSTON_VALUE,
    "value",
    "_value",
    "usage",
    "val",
    "reading",
    "measurement",
    "y",
    "kw",
    "kwh",
    "power",
    "energy",
    "load",
    "demand",
    "consumption",
    "temperature",
    "amount",
    "mw",
    "mwh",
    "wert",
    "valeur",
    "consumo",
    "state",
];
/// What such names may have in them.
const PARTS_OF_TIMES: &[&str] = &[
    "timestamp",
    "datetime",
    "time",
    "date",
    "interval start",
    "mtu",
    "zeit",
    "datum",
    // Dates of grid operators, beside which there may be whole times.
    "opr_dt",
    "day",
];
const PARTS_OF_VALUES: &[&str] = &[
    "value",
    "usage",
    "reading",
    "kwh",
    "power",
    "energy",
    "load",
    "demand",
    "consumption",
    "temperature",
    "(kw)",
    "[kw]",
    "[mw]",
    "leistung",
    "verbrauch",
    "consumo",
];
const PARTS_OF_DATES: &[&str] = &["date", "day", "datum", "fecha"];
/// What a column is called whose cells are times of a day only.
const PARTS_OF_CLOCKS: &[&str] = &["start time", "time", "hour", "period", "uhrzeit", "hora"];

/// The places of the columns in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) time: Vec<usize>,
    pub(super) value: usize,
    pub(super) key: Vec<usize>,
    /// In a table with a column for each time of day: the columns, and the times that are their names.
    pub(super) clocks: Vec<(usize, String)>,
    /// What was guessed, in words.
    pub(super) guessed: Vec<String>,
}

/// The reason why a heading lacks a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// A named column does not exist.
    Named(String),
    /// Several have this name.
    Ambiguous(String),
    /// None looks like this one.
    Guessed(&'static str),
}

/// What tells the columns that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    Names,
    /// Where names do not tell, the only column of times and the only one of numbers.
    NamesAndCells,
}

/// The places of the columns, by the heading and the rows below it.
pub(super) fn find(
    heading: &[String],
    rows: &[Vec<String>],
    columns: &Columns,
    by: Guess,
) -> Result<Positions, Missing> {
    let named = |name: &String| position(heading, name.as_str());
    let key: Vec<usize> = columns.key.iter().map(named).collect::<Result<_, _>>()?;
    let value = columns.value.as_ref().map(named).transpose()?;
    let time: Vec<usize> = columns.time.iter().map(named).collect::<Result<_, _>>()?;
    let mut positions = Positions {
        time,
        value: 0,
        key: key.clone(),
        clocks: if value.is_none() {
            clocks(heading)
        } else {
            Vec::new()
        },
        guessed: Vec::new(),
    };
    let table = Table { heading, rows, by };
    if positions.time.is_empty() {
        positions.time = table.guess_time(|place| Some(place) != value && !key.contains(&place))?;
        let names = positions
            .time
            .iter()
            .map(|place| format!("{:?}", heading[*place]));
        let names = names.collect::<Vec<_>>().join(" and ");
        if heading[positions.time[0]] != BOSTON_TIME {
            positions
                .guessed
                .push(format!("the time is column {names} (--time-column)"));
        }
    }
    positions.value = match value {
        Some(value) => value,
        None if !positions.clocks.is_empty() => {
            let names = [positions.clocks.first(), positions.clocks.last()];
            let names = names.map(|name| name.map_or("", |(_, name)| name));
            let words = format!(
                "columns {} to {} are values of these times of each row's date",
                names[0], names[1]
            );
            positions.guessed.push(words);
            positions.clocks[0].0
        }
        None => {
            let value =
                table.guess_value(|place| !positions.time.contains(&place) && !key.contains(&place))?;
            if heading[value] != BOSTON_VALUE {
                let name = &heading[value];
                positions
                    .guessed
                    .push(format!("the value is column {name:?} (--value-column)"));
            }
            value
        }
    };
    Ok(positions)
}

/// A heading with the rows below it.
struct Table<'t> {
    heading: &'t [String],
    rows: &'t [Vec<String>],
    by: Guess,
}

impl Table<'_> {
    /// The column of the time, or those of date and time of day.
    fn guess_time(&self, is_free: impl Fn(usize) -> bool) -> Result<Vec<usize>, Missing> {
        let is_time = |cell: &str| looks_like_time(cell, &[]) && !is_number(cell);
        let found = guess(self.heading, TIMES, PARTS_OF_TIMES, &is_free)
            .or_else(|| self.only(|place| is_free(place) && self.most_are(place, is_time)))
            .ok_or(Missing::Guessed("time"))?;
        only_one(self.heading, found)?;
        let beside = |names: &[&str], parts: &[&str], is_it: fn(&str) -> bool| {
            guess(self.heading, names, parts, |place| {
                place != found && self.most_are(place, is_it)
            })
        };
        // `18.00.00` looks like a date, too, unless there is one beside it.
        let is_date = |cell: &str| is_date_only(cell) && !is_dotted_clock(cell);
        if self.most_are(found, is_dotted_clock)
            && let Some(date) = beside(TIMES, PARTS_OF_DATES, is_date)
        {
            return Ok(vec![date, found]);
        }
        if self.most_are(found, is_date_only) {
            let clock = beside(&[], PARTS_OF_CLOCKS, is_clock_only);
            return Ok(std::iter::once(found).chain(clock).collect());
        }
        let is_clock = self.most_are(found, is_clock_only) && !self.most_are(found, is_number);
        let date = is_clock
            .then(|| beside(TIMES, PARTS_OF_DATES, is_date_only))
            .flatten();
        Ok(date.into_iter().chain(std::iter::once(found)).collect())
    }

    /// The column of the value: one that holds numbers, if there is one.
    fn guess_value(&self, is_free: impl Fn(usize) -> bool) -> Result<usize, Missing> {
        let may_be = |place: usize| {
            is_free(place) && !is_id(&self.heading[place]) && !is_forecast(&self.heading[place])
        };
        let holds_numbers = |place: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(place));
            may_be(place) && cells.any(|cell| is_number(cell))
        };
        let found = guess(self.heading, VALUES, PARTS_OF_VALUES, holds_numbers)
            .or_else(|| self.only(|place| may_be(place) && self.most_are(place, is_number)))
            .or_else(|| guess(self.heading, VALUES, &[], may_be))
            .ok_or(Missing::Guessed("value"))?;
        only_one(self.heading, found)?;
        Ok(found)
    }

    /// Where cells count, the only column of a kind.
    fn only(&self, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let is_data = self.heading.iter().any(|name| is_number(name));
        if self.by == Guess::Names || is_data {
            return None;
        }
        let mut places = (0..self.heading.len()).filter(|place| is_it(*place));
        places.next().filter(|_| places.next().is_none())
    }

    /// Whether most cells of a column, and at least one, are of a kind.
    fn most_are(&self, place: usize, is_it: impl Fn(&str) -> bool) -> bool {
        let cells = || {
            self.rows
                .iter()
                .filter_map(|row| row.get(place))
                .filter(|cell| !cell.is_empty())
        };
        let count = cells().filter(|cell| is_it(cell)).count();
        count > 0 && count * 2 >= cells().count()
    }
}

/// The columns that are called by times of day, if they make up a table of them.
fn clocks(heading: &[String]) -> Vec<(usize, String)> {
    const FEWEST: usize = 3;
    let is_clock = |name: &String| name.contains(':') && is_clock_only(name) && name.len() <= 8;
    let clocks = heading.iter().enumerate().filter(|(_, name)| is_clock(name));
    let clocks: Vec<(usize, String)> = clocks.map(|(place, name)| (place, name.clone())).collect();
    if clocks.len() < FEWEST { Vec::new() } else { clocks }
}

/// The place of a named column. `kw#2` is the second of that name.
fn position(heading: &[String], name: &str) -> Result<usize, Missing> {
    let wanted = name.trim();
    let places = |wanted: &str| {
        let found = heading.iter().enumerate().filter(|(_, name)| *name == wanted);
        found.map(|(place, _)| place).collect::<Vec<_>>()
    };
    match places(wanted).as_slice() {
        [place] => return Ok(*place),
        [] => {}
        _ => return Err(Missing::Ambiguous(wanted.to_owned())),
    }
    let numbered = wanted
        .rsplit_once('#')
        .and_then(|(name, number)| Some((name, number.parse::<usize>().ok()?)));
    numbered
        .and_then(|(name, number)| places(name.trim()).get(number.checked_sub(1)?).copied())
        .ok_or_else(|| Missing::Named(wanted.to_owned()))
}

/// Of columns of one name none can be guessed.
fn only_one(heading: &[String], place: usize) -> Result<(), Missing> {
    let same = heading.iter().filter(|name| **name == heading[place]);
    if same.count() > 1 {
        return Err(Missing::Ambiguous(heading[place].clone()));
    }
    Ok(())
}

fn guess(
    heading: &[String],
    names: &[&str],
    parts: &[&str],
    is_free: impl Fn(usize) -> bool,
) -> Option<usize> {
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let mut places = 0..heading.len();
        places.find(|place| is_free(*place) && is_it(&heading[*place].to_lowercase()))
    };
    let exact = |wanted: &&str| find(&|name| name == *wanted);
    let partial = |part: &&str| find(&|name| name.contains(part));
    names
        .iter()
        .find_map(exact)
        .or_else(|| parts.iter().find_map(partial))
}

/// `2024-03-05`, `5/3/2024`, `05-MAR-2024`.
fn is_date_only(cell: &str) -> bool {
    let cell = cell.trim();
    cell.len() >= 8
        && cell.len() <= 11
        && !cell.contains([':', ' '])
        && cell.contains(|c: char| c.is_ascii_digit())
}

/// `6:30`, `06:30:00`, or the number of an hour or of a half of one.
pub(super) fn is_clock_only(cell: &str) -> bool {
    let cell = cell.trim();
    let has_form = cell.len() <= 12 && cell.starts_with(|c: char| c.is_ascii_digit());
    let is_short_number = cell.len() <= 2 && cell.bytes().all(|byte| byte.is_ascii_digit());
    has_form && (is_short_number || cell.find(':').is_some_and(|place| place <= 2) || is_dotted_clock(cell))
}

/// `18.00.00`, as some countries write the time of day.
pub(super) fn is_dotted_clock(cell: &str) -> bool {
    let parts: Vec<&str> = cell.split('.').collect();
    let limits = [24, 60, 60];
    parts.len() == limits.len()
        && parts.iter().zip(limits).all(|(part, limit)| {
            (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|number| number < limit)
        })
}

/// What somebody expected, rather than measured.
fn is_forecast(name: &str) -> bool {
    let name = name.to_lowercase();
    ["forecast", "ahead", "predicted", "expected"]
        .iter()
        .any(|part| name.contains(part))
}

/// What the end of an interval is called: in English, German, French and Spanish.
const ENDS: &[&str] = &["end", "ending", "until", "bis", "ende", "fin", "hasta"];

/// Whether a column's times are called ends.
pub(super) fn is_end(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut words = name.split(|character: char| !character.is_ascii_alphanumeric());
    name.ends_with("ending") || words.any(|word| ENDS.contains(&word))
}

/// `id`, `reading_id`, `meterId`.
fn is_id(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let Some(before) = lower.strip_suffix("id") else {
        return false;
    };
    let is_apart = !before.ends_with(|character: char| character.is_ascii_alphanumeric());
    is_apart
        || (name.ends_with("Id") || name.ends_with("ID")) && name.to_ascii_uppercase() != *name
        || name == "UUID"
}
