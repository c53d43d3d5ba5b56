//! Readings as producers write them, and their mutations: a message is put together from a time, a value, a key and a
//! form, each of which may be odd, and then its bytes may be changed.

use super::mutate::{mutate_bytes, odd_number, odd_token, one_in, pick};
use super::settings::{KeyFrom, Settings, TimeForm};
use crate::stream::Random;

/// A message as it is produced.
#[derive(Debug, Clone)]
pub struct Message {
    pub partition: i32,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// Makes messages of one stream.
pub struct Producer<'s> {
    settings: &'s Settings,
    random: Random,
    /// The time of the stream, which each message moves on.
    now_ms: i64,
    previous: Vec<u8>,
}

/// The members of a message and what each holds.
struct Parts {
    time: String,
    value: String,
    key: String,
}

impl<'s> Producer<'s> {
    pub fn new(settings: &'s Settings, seed: u64) -> Self {
        // Nights when clocks change in New York, a leap day, a turn of the year.
        const BEGINNINGS_MS: [i64; 4] = [
            1_699_153_200_000,
            1_710_050_400_000,
            1_709_164_800_000,
            1_704_060_000_000,
        ];
        let mut random = Random(seed);
        // The first numbers of seeds that are close to each other are, too.
        for _ in 0..4 {
            random.below(2);
        }
        let now_ms = *pick(&mut random, &BEGINNINGS_MS);
        Producer {
            settings,
            random,
            now_ms,
            previous: Vec::new(),
        }
    }

    /// A reading as it should be.
    pub fn good(&mut self) -> Message {
        let parts = self.parts();
        let value = self.assemble(&parts);
        self.message(Some(value))
    }

    /// A reading that something happened to.
    pub fn mutated(&mut self) -> Message {
        let mut parts = self.parts();
        match self.random.below(12) {
            0 | 1 => parts.value = odd_number(&mut self.random),
            2 | 3 => parts.time = self.odd_time(),
            4 => parts.key = self.odd_key(),
            5 => *self.any_of(&mut parts) = odd_token(&mut self.random),
            6 | 7 => {
                let mut value = self.odd_form(&parts);
                if one_in(&mut self.random, 8) {
                    mutate_bytes(&mut self.random, &mut value, &self.previous);
                }
                return self.message(Some(value));
            }
            8 if one_in(&mut self.random, 4) => return self.odd_record(),
            _ => {
                let mut value = self.assemble(&parts);
                mutate_bytes(&mut self.random, &mut value, &self.previous);
                return self.message(Some(value));
            }
        }
        let value = self.assemble(&parts);
        self.message(Some(value))
    }

    fn message(&mut self, value: Option<Vec<u8>>) -> Message {
        if let Some(value) = &value {
            self.previous.clone_from(value);
        }
        let key = match self.settings.key {
            KeyFrom::Message => self.message_key(),
            KeyFrom::Field(_) => one_in(&mut self.random, 3).then(|| b"\xff not the key".to_vec()),
        };
        Message {
            partition: self.random.below(4) as i32,
            timestamp_ms: Some(self.now_ms),
            key,
            value,
        }
    }

    fn message_key(&mut self) -> Option<Vec<u8>> {
        let meter = format!("meter-{}", self.random.below(8)).into_bytes();
        match self.random.below(60) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(b"\xff\xfe".to_vec()),
            3 => Some([&meter[..], &[self.random.below(256) as u8]].concat()),
            4 => Some("zähler\u{202e}\u{0}\r\n\u{1b}[31m".into()),
            5 => Some("k".repeat(1 + self.random.below(300) as usize).into_bytes()),
            _ => Some(meter),
        }
    }

    /// Time, value and key of a reading. Some readings lag, by up to an hour.
    fn parts(&mut self) -> Parts {
        self.now_ms += self.random.below(10_000) as i64;
        let lag_ms = match self.random.below(12) {
            0 => self.random.below(3_600_000),
            _ => self.random.below(20_000),
        };
        let time = self.time(self.now_ms - lag_ms as i64);
        let value = match self.random.below(4) {
            0 => format!("{}", self.random.below(2_000)),
            1 => format!("{:e}", self.random.below(100_000) as f64 / 1e3),
            _ => format!("{:?}", self.random.below(2_000_000) as f64 / 1e3 - 300.0),
        };
        let meter = self.random.below(8);
        let key = match one_in(&mut self.random, 6) {
            true => meter.to_string(),
            false => format!("\"meter-{meter}\""),
        };
        Parts { time, value, key }
    }

    /// An instant as the producers of this stream write it.
    fn time(&mut self, at_ms: i64) -> String {
        match self.settings.time_form {
            TimeForm::EpochMs => at_ms.to_string(),
            TimeForm::EpochS => match self.random.below(3) {
                0 => (at_ms / 1000).to_string(),
                1 => format!("{}.{:03}", at_ms / 1000, at_ms % 1000),
                _ => format!("{}.{}", at_ms / 1000, at_ms % 1000 / 100),
            },
            TimeForm::Text => format!("\"{}\"", self.text_time(at_ms)),
        }
    }

    fn text_time(&mut self, at_ms: i64) -> String {
        let utc = chrono::DateTime::from_timestamp_millis(at_ms).expect("within chrono's years");
        let local = utc.with_timezone(&self.settings.zone);
        match self.random.below(6) {
            0 => utc.format("%Y-%m-%dT%H:%M:%SZ"),
            1 => utc.format("%Y-%m-%dT%H:%M:%S%.3f+00:00"),
            2 => local.naive_local().and_utc().format("%Y-%m-%d %H:%M:%S%.3f"),
            3 => local.naive_local().and_utc().format("%Y-%m-%dT%H:%M:%S"),
            4 => (utc + chrono::Duration::minutes(330)).format("%Y-%m-%d %H:%M:%S%.6f +0530"),
            _ => local.naive_local().and_utc().format("%Y-%m-%d %H:%M:%S"),
        }
        .to_string()
    }

    fn odd_time(&mut self) -> String {
        if self.settings.time_form != TimeForm::Text {
            return match self.random.below(4) {
                0 => odd_number(&mut self.random),
                1 => pick(&mut self.random, self.settings.time_form.edges()).to_string(),
                2 => format!("\"{}\"", self.now_ms),
                _ => format!("{}.{}", self.time(self.now_ms), "4999999999999999999999"),
            };
        }
        if one_in(&mut self.random, 8) {
            return self.now_ms.to_string();
        }
        let mut text = match one_in(&mut self.random, 2) {
            true => (*pick(&mut self.random, &super::odd_times::ODD_TIMES)).to_owned(),
            false => self.text_time(self.now_ms),
        };
        if one_in(&mut self.random, 2) {
            let at = self.random.below(text.len() as u64 + 1) as usize;
            let piece = *pick(&mut self.random, &super::odd_times::PIECES);
            if text.is_char_boundary(at) {
                let end = if one_in(&mut self.random, 2) {
                    (at + piece.len()).min(text.len())
                } else {
                    at
                };
                let end = if text.is_char_boundary(end) { end } else { at };
                text.replace_range(at..end, piece);
            }
        }
        format!("\"{text}\"")
    }

    fn odd_key(&mut self) -> String {
        let odd = [
            "null",
            "true",
            "1.0",
            "1e2",
            "-0",
            "-1",
            "0",
            "00",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "\"\"",
            "\" \"",
            "\"\\u0000\\u001b[2J\"",
            "\"\\ud800\"",
            "[]",
            "{\"id\":1}",
            "NaN",
            "\"meter-1\\n\"",
            "\"\u{e9}\"",
            "\"e\u{301}\"",
            "1.5",
            "1E0",
            "123456789012345678901234567890",
            "\"=cmd|' /C calc'!A0\"",
            "\"../../etc\"",
        ];
        (*pick(&mut self.random, &odd)).to_owned()
    }

    fn any_of<'p>(&mut self, parts: &'p mut Parts) -> &'p mut String {
        match self.random.below(3) {
            0 => &mut parts.time,
            1 => &mut parts.value,
            _ => &mut parts.key,
        }
    }

    /// Name and value of each member that the settings name.
    fn members<'p>(&self, parts: &'p Parts) -> Vec<(&'s str, &'p str)> {
        let mut members = vec![
            (self.settings.time_field, parts.time.as_str()),
            (self.settings.value_field, parts.value.as_str()),
        ];
        if let KeyFrom::Field(name) = self.settings.key {
            members.push((name, parts.key.as_str()));
        }
        members
    }

    fn assemble(&mut self, parts: &Parts) -> Vec<u8> {
        let mut members = self.members(parts);
        if one_in(&mut self.random, 3) {
            members.rotate_left(1);
        }
        if one_in(&mut self.random, 4) {
            let place = self.random.below(members.len() as u64 + 1) as usize;
            members.insert(place, ("note", r#"{"a":[1,2,{"b":null}],"c":"\u00e9\"}"}"#));
        }
        let blank = *pick(&mut self.random, &["", "", "", " ", "\n", "\r\n\t"]);
        object(&members, blank)
    }

    /// The members in a form that producers do not use.
    fn odd_form(&mut self, parts: &Parts) -> Vec<u8> {
        let mut members = self.members(parts);
        let chosen = self.random.below(members.len() as u64) as usize;
        let (name, value) = members[chosen];
        let escaped: String;
        let odd: String;
        match self.random.below(9) {
            0 => drop(members.remove(chosen)),
            1 => {
                odd = if one_in(&mut self.random, 2) {
                    odd_number(&mut self.random)
                } else {
                    odd_token(&mut self.random)
                };
                let place = self.random.below(members.len() as u64 + 1) as usize;
                members.insert(place, (name, &odd));
            }
            2 => members.insert(0, (name, value)),
            3 => {
                escaped = name
                    .chars()
                    .map(|character| match character {
                        '.' => ".".to_owned(),
                        _ => format!("\\u{:04X}", u32::from(character)),
                    })
                    .collect();
                members[chosen].0 = &escaped;
            }
            4 => {
                odd = match self.random.below(3) {
                    0 => format!("{}{}", "[".repeat(3_000), "]".repeat(3_000)),
                    1 => format!("{}1{}", "{\"a\":".repeat(300), "}".repeat(300)),
                    _ => odd_token(&mut self.random),
                };
                members.insert(0, ("note", &odd));
            }
            5 => {
                let depth = 1 + self.random.below(3) * self.random.below(300);
                odd = format!(
                    "{}{value}{}",
                    "[".repeat(depth as usize),
                    "]".repeat(depth as usize)
                );
                members[chosen].1 = &odd;
            }
            6 => {
                escaped = name.to_uppercase();
                members[chosen].0 = &escaped;
            }
            7 => {
                // Not a path, but a name with dots in it; and the other way round.
                return flat(&members);
            }
            _ => {
                let wrapped = object(&members, "");
                let (before, after) = *pick(
                    &mut self.random,
                    &[
                        ("[", "]"),
                        ("{\"payload\":", "}"),
                        ("\"", "\""),
                        ("", ","),
                        ("(", ")"),
                    ],
                );
                return [before.as_bytes(), &wrapped, after.as_bytes()].concat();
            }
        }
        object(&members, "")
    }

    /// A record that holds nothing, or too much.
    fn odd_record(&mut self) -> Message {
        let parts = self.parts();
        let value = self.assemble(&parts);
        let padded = |length: usize| {
            let mut padded = value.clone();
            padded.resize(value.len().max(length), b' ');
            padded
        };
        let limit = self.settings.max_bytes as usize;
        let value = match self.random.below(4) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(padded(limit)),
            _ => Some(padded(limit + 1)),
        };
        self.message(value)
    }
}

/// The members as one object; a dotted name is a path.
fn object(members: &[(&str, &str)], blank: &str) -> Vec<u8> {
    let mut texts: Vec<String> = Vec::new();
    let mut taken = vec![false; members.len()];
    for (index, (name, value)) in members.iter().enumerate() {
        if std::mem::replace(&mut taken[index], true) {
            continue;
        }
        let Some((outer, _)) = name.split_once('.') else {
            texts.push(format!("\"{name}\":{blank}{value}"));
            continue;
        };
        let mut inner: Vec<(&str, &str)> = Vec::new();
        for (other, (name, value)) in members.iter().enumerate().skip(index) {
            if let Some(rest) = name.strip_prefix(outer).and_then(|rest| rest.strip_prefix('.')) {
                inner.push((rest, value));
                taken[other] = true;
            }
        }
        let inner = String::from_utf8_lossy(&object(&inner, blank)).into_owned();
        texts.push(format!("\"{outer}\":{blank}{inner}"));
    }
    format!("{{{}}}", texts.join(&format!(",{blank}"))).into_bytes()
}

fn flat(members: &[(&str, &str)]) -> Vec<u8> {
    let texts: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", texts.join(",")).into_bytes()
}
