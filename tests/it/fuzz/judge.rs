//! The expected outcome of each message, by the manual: a reading or a dead letter with its reason; late or not; the
//! rows of the table; the alerts of rules.

use std::collections::BTreeMap;

use super::double::{Sum, nearest};
use super::json::{Value, read};
use super::messages::Message;
use super::settings::{KeyFrom, Settings, TimeForm};
use super::times;

/// From 1900 to the day before the last of 9999, so that there is room for the end of a window.
pub const TIMES_MS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=253_402_214_399_999;
pub const LARGEST: f64 = 1e288;

#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub key: String,
    pub at_ms: i64,
    pub value: f64,
}

/// The readings in a message, or the reason why there are none. Size comes first, then object by object what is no JSON, the
/// value, the time and the key.
pub fn decode(settings: &Settings, message: &Message) -> Result<Vec<Reading>, &'static str> {
    let bytes = message.value.as_deref().unwrap_or_default();
    match bytes.len() as u64 {
        0 => return Err("empty"),
        length if length > settings.max_bytes => return Err("too_large"),
        _ => {}
    }
    let bytes = unwrapped(bytes);
    if bytes.is_empty() || bytes.trim_ascii() == b"null" {
        return Err("empty");
    }
    let path = |name: &'static str| name.split('.').collect::<Vec<_>>();
    let mut paths = vec![path(settings.value_field), path(settings.time_field)];
    if let KeyFrom::Field(name) = settings.key {
        paths.push(path(name));
    }
    let (objects, fault) = read(bytes, &paths);
    let readings = objects
        .into_iter()
        .map(|found| reading(settings, message, found))
        .collect::<Result<Vec<_>, _>>()?;
    match fault {
        Some(_) => Err("invalid_json"),
        None => Ok(readings),
    }
}

/// What lies within Confluent's prefix, a mark of the byte order and zeros at the end.
fn unwrapped(bytes: &[u8]) -> &[u8] {
    let is_json = |rest: &[u8]| rest.trim_ascii_start().starts_with(b"{");
    let bytes = match bytes {
        [0, _, _, _, _, rest @ ..] if is_json(rest) => rest,
        [0xef, 0xbb, 0xbf, rest @ ..] => rest,
        _ => bytes,
    };
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &bytes[..end]
}

fn reading(
    settings: &Settings,
    message: &Message,
    mut found: Vec<Option<Value>>,
) -> Result<Reading, &'static str> {
    let key = found.drain(2..).next().flatten();
    let time = found.pop().flatten();
    let value = value_of(found.pop().flatten())?;
    let at_ms = time_of(settings, time)?;
    let timestamp_ms = message.timestamp_ms.ok_or("no_timestamp")?;
    match at_ms - timestamp_ms {
        ahead_ms if ahead_ms > settings.max_ahead_ms => return Err("too_far_ahead"),
        ahead_ms if ahead_ms < -settings.max_behind_ms => return Err("too_far_behind"),
        _ => {}
    }
    let key = match settings.key {
        KeyFrom::Field(_) => key_of(key)?,
        KeyFrom::Message => message_key_of(message.key.as_deref())?,
    };
    if key.len() > settings.max_key_bytes {
        return Err("invalid_key");
    }
    Ok(Reading { key, at_ms, value })
}

fn value_of(found: Option<Value>) -> Result<f64, &'static str> {
    let number = match found {
        None => return Err("missing_field"),
        Some(Value::Null) => return Err("null_field"),
        Some(Value::Number(number)) => nearest(&number),
        Some(Value::Text(text)) => nearest(&text_number(&text)?),
        Some(other) => return Err(unusable(&other).unwrap_or("wrong_type")),
    };
    if number.abs() > LARGEST {
        return Err("out_of_range");
    }
    // There is one zero.
    Ok(if number == 0.0 { 0.0 } else { number })
}

/// Why a value is of no use to any field.
fn unusable(value: &Value) -> Option<&'static str> {
    match value {
        Value::NotFinite => Some("not_finite"),
        Value::OutOfRange => Some("out_of_range"),
        Value::NotText => Some("invalid_json"),
        _ => None,
    }
}

/// A number as text: with a sign, zeros in front, or nothing on one side of the point, if need be. In JSON's form.
pub fn text_number(text: &str) -> Result<String, &'static str> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\u{c}']);
    if text.is_empty() {
        return Err("null_field");
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let name = unsigned.to_ascii_lowercase();
    if ["nan", "inf", "infinity"].contains(&name.as_str()) {
        return Err("not_finite");
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(place) => (&unsigned[..place], Some(&unsigned[place + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    let is_number = !(whole.is_empty() && fraction.is_empty())
        && are_digits(whole)
        && are_digits(fraction)
        && exponent_digits.is_none_or(|digits| !digits.is_empty() && are_digits(digits));
    if !is_number {
        return Err("wrong_type");
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let exponent = exponent.unwrap_or("0");
    Ok(format!("{sign}{whole}.{fraction}0e{exponent}"))
}

fn time_of(settings: &Settings, found: Option<Value>) -> Result<i64, &'static str> {
    let at_ms = match (found, settings.time_form) {
        (None, _) => return Err("missing_field"),
        (Some(Value::Null), _) => return Err("null_field"),
        (Some(Value::Text(text)), TimeForm::Text) => {
            times::parse(&text, settings.zone).ok_or("invalid_time")?
        }
        (Some(Value::Text(text)), _) if text.trim_ascii().is_empty() => return Err("invalid_time"),
        (Some(Value::Text(text)), form) => {
            epoch_ms(&text, form).ok_or("wrong_type")?.ok_or("invalid_time")?
        }
        (Some(Value::Number(number)), TimeForm::EpochMs | TimeForm::EpochS) => {
            let is_whole = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
            let digits = if is_whole {
                number
            } else {
                format!("{:e}", nearest(&number))
            };
            epoch_ms(&digits, settings.time_form)
                .flatten()
                .ok_or("invalid_time")?
        }
        (Some(other), _) => return Err(unusable(&other).unwrap_or("wrong_type")),
    };
    TIMES_MS.contains(&at_ms).then_some(at_ms).ok_or("invalid_time")
}

/// Whole milliseconds of a decimal number, none of which is rounded up; none in it beyond every time, and none at all if it is
/// no number.
fn epoch_ms(text: &str, form: TimeForm) -> Option<Option<i64>> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\u{c}']);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let exponent: i64 = exponent.parse().ok().filter(|_| is_number)?;
    let power = if form == TimeForm::EpochS { 3 } else { 0 };
    // How many of the digits are left of the point, counted in milliseconds.
    let left = whole.len() as i64 + exponent + power;
    let kept: String = match usize::try_from(left) {
        Ok(left) if left <= 400 => digits.chars().chain(std::iter::repeat('0')).take(left).collect(),
        Ok(_) if digits.bytes().any(|digit| digit != b'0') => return Some(None),
        _ => String::new(),
    };
    let is_cut = digits.bytes().skip(kept.len()).any(|digit| digit != b'0');
    let kept = kept.trim_start_matches('0');
    if kept.len() > 17 {
        return Some(None);
    }
    let number: i64 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    Some(Some(if is_negative {
        -number - i64::from(is_cut)
    } else {
        number
    }))
}

fn key_of(found: Option<Value>) -> Result<String, &'static str> {
    match found {
        None => Err("missing_key"),
        Some(Value::Text(text)) => Ok(text),
        // JSON has a minus zero, whole numbers have not.
        Some(Value::Number(number)) if number == "-0" => Ok("0".to_owned()),
        Some(Value::Number(number)) if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() => {
            Ok(number)
        }
        // However it is written, as long as no other whole number has the same double.
        Some(Value::Number(number)) => match nearest(&number) {
            whole if whole.fract() == 0.0 && whole.abs() <= 9_007_199_254_740_992.0 => {
                Ok((whole as i64).to_string())
            }
            _ => Err("invalid_key"),
        },
        Some(_) => Err("invalid_key"),
    }
}

fn message_key_of(key: Option<&[u8]>) -> Result<String, &'static str> {
    let key = key.ok_or("missing_key")?;
    let is_text = !key.iter().any(|byte| *byte < 0x20 || *byte == 0x7f);
    let text = std::str::from_utf8(key).ok().filter(|_| is_text);
    text.map(str::to_owned).ok_or("invalid_key")
}

/// The outcome of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Counted,
    Late,
    Dead(&'static str),
}

/// A row's count, minimum, maximum and sum.
#[derive(Debug, Clone)]
pub struct Row {
    pub count: u64,
    pub minimum: f64,
    pub maximum: f64,
    pub sum: Sum,
}

/// Everything that must come out of a stream.
#[derive(Debug, Default)]
pub struct Expected {
    /// Of each partition, in the order of offsets.
    pub fates: Vec<Vec<Fate>>,
    pub in_time: BTreeMap<(i64, String), Row>,
    /// Likewise with the late readings.
    pub all: BTreeMap<(i64, String), Row>,
}

impl Expected {
    /// Each partition by itself, its records in their order.
    pub fn of(settings: &Settings, partitions: &[Vec<Message>]) -> Expected {
        let mut expected = Expected::default();
        for messages in partitions {
            let mut newest_ms = i64::MIN;
            let mut fates = Vec::new();
            for message in messages {
                let readings = match decode(settings, message) {
                    Ok(readings) => readings,
                    Err(reason) => {
                        fates.push(Fate::Dead(reason));
                        continue;
                    }
                };
                let mut has_late = false;
                for reading in readings {
                    let start_ms = (reading.at_ms - settings.offset_ms).div_euclid(settings.window_ms)
                        * settings.window_ms
                        + settings.offset_ms;
                    let is_late = newest_ms > i64::MIN
                        && start_ms + settings.window_ms <= newest_ms - settings.delay_ms;
                    newest_ms = newest_ms.max(reading.at_ms);
                    has_late |= is_late;
                    let row = (start_ms, reading.key.clone());
                    add(&mut expected.all, row.clone(), reading.value);
                    if !is_late {
                        add(&mut expected.in_time, row, reading.value);
                    }
                }
                fates.push(if has_late { Fate::Late } else { Fate::Counted });
            }
            expected.fates.push(fates);
        }
        expected
    }

    pub fn count(&self, is_meant: impl Fn(Fate) -> bool) -> usize {
        let fates = self.fates.iter().flatten();
        fates.filter(|fate| is_meant(**fate)).count()
    }
}

fn add(rows: &mut BTreeMap<(i64, String), Row>, row: (i64, String), value: f64) {
    let row = rows.entry(row).or_insert_with(|| Row {
        count: 0,
        minimum: value,
        maximum: value,
        sum: Sum::default(),
    });
    row.count += 1;
    row.minimum = row.minimum.min(value);
    row.maximum = row.maximum.max(value);
    row.sum.add(value);
}

/// An alert of a rule: partition, offset, series, condition, and whether it began.
pub type Alert = (i32, i64, String, String, bool);

/// The event time after which rules without a duration forget a silent series: 56 days.
const MEMORY_MS: i64 = 56 * 86_400_000;

/// The rules' state of a series.
struct Known {
    newest_ms: i64,
    /// The largest event time of the partition when the series was last heard of.
    heard_at_ms: i64,
    holds: [bool; 2],
}

/// The series of each partition, with two conditions each; a reading that is older than its series' newest changes nothing,
/// and a series that event time has left behind is a new one when it comes back.
pub fn rules(settings: &Settings, partitions: &[Vec<Message>]) -> BTreeMap<Alert, Reading> {
    let conditions = settings.rules();
    let mut alerts = BTreeMap::new();
    for (partition, messages) in partitions.iter().enumerate() {
        let mut series: BTreeMap<String, Known> = BTreeMap::new();
        let mut largest_ms = i64::MIN;
        for (offset, message) in messages.iter().enumerate() {
            for reading in decode(settings, message).unwrap_or_default() {
                largest_ms = largest_ms.max(reading.at_ms);
                let known = series.entry(reading.key.clone()).or_insert(Known {
                    newest_ms: i64::MIN,
                    heard_at_ms: largest_ms,
                    holds: [false; 2],
                });
                known.heard_at_ms = largest_ms;
                if reading.at_ms >= known.newest_ms {
                    known.newest_ms = reading.at_ms;
                    let now = [reading.value > settings.above, reading.value < settings.below];
                    for (place, condition) in conditions.iter().enumerate() {
                        if std::mem::replace(&mut known.holds[place], now[place]) != now[place] {
                            let series = reading.key.clone();
                            let alert = (
                                partition as i32,
                                offset as i64,
                                series,
                                condition.clone(),
                                now[place],
                            );
                            alerts.insert(alert, reading.clone());
                        }
                    }
                }
                // What still holds of a forgotten series is over with it, and is about no reading.
                let is_forgotten = |known: &Known| known.heard_at_ms + MEMORY_MS <= largest_ms;
                for (key, known) in series.extract_if(.., |_, known| is_forgotten(known)) {
                    for (condition, _) in conditions.iter().zip(known.holds).filter(|(_, holds)| *holds) {
                        let alert = (
                            partition as i32,
                            offset as i64,
                            key.clone(),
                            condition.clone(),
                            false,
                        );
                        let at = Reading {
                            key: key.clone(),
                            at_ms: largest_ms,
                            value: 0.0,
                        };
                        alerts.insert(alert, at);
                    }
                }
            }
        }
    }
    alerts
}
