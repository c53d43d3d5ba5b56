//! What `play` and `backtest` are told about their files.

use std::time::Duration;

use chrono_tz::Tz;
use clap::{Args, ValueEnum};

use crate::decode;
use crate::notation::number::DecimalMark;
use crate::notation::time::{DateOrder, Source, TimeNotation, Written};
use crate::recording::{Columns, ReadOptions, Repeated, SkipLines, Stamp, TimeRange};

/// How a file is written. What is left out the file decides, and what it decided is reported in one line.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The file")]
pub(super) struct FileArgs {
    /// Column of the time; given twice, the two are joined: date and time of day [default: what looks like one]
    #[arg(long, value_name = "NAME")]
    time_column: Vec<String>,
    /// Column of the value; of two that are called kw, kw#2 is the second [default: what looks like one]
    #[arg(long, value_name = "NAME")]
    value_column: Option<String>,
    /// Column that tells several series apart; given several times, they are joined by reading.key_separator [default: none,
    /// the file is one series]
    #[arg(long, value_name = "NAME")]
    key_column: Vec<String>,
    /// What separates columns [default: the one of , ; tab | by which a line has the columns]
    #[arg(long, value_name = "auto|,|;|tab", value_parser = parse_delimiter, default_value = "auto", hide_default_value = true)]
    delimiter: Delimiter,
    /// What is before the fraction of a number: "." or "," [default: ".", or what values show that are separated by ;]
    #[arg(long, value_name = "MARK", value_parser = parse_decimal)]
    decimal: Option<DecimalMark>,
    /// Which comes first in dates such as 01/02/2024 [default: what any row of the file decides]
    #[arg(long, value_name = "ORDER")]
    date_order: Option<DateOrderArg>,
    /// How times are written: auto, text, epoch_s, epoch_ms, epoch_us, epoch_ns, dsmr, or a pattern of strptime such as
    /// "%d.%m.%Y %H:%M"; may be repeated [default: any that is unambiguous]
    #[arg(long, value_name = "FORMAT", value_parser = TimeNotation::parse)]
    time_format: Vec<TimeNotation>,
    /// Zone of times without an offset, as an IANA name; `play` sends them with their offset then [default:
    /// reading.time_zone]
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    time_zone: Option<Tz>,
    /// Whether a time is the start or the end of what its reading covers; the end becomes the start
    #[arg(long, value_enum, default_value = "start")]
    stamp: StampArg,
    /// What a reading covers, for --stamp end [default: the most common step between readings]
    #[arg(long, value_name = "DURATION", value_parser = parse_interval)]
    interval: Option<Duration>,
    /// Lines above the heading: a number, or auto for what is above the first line that has the columns
    #[arg(long, value_name = "N|auto", value_parser = parse_skip_lines, default_value = "auto")]
    skip_lines: SkipLines,
    /// Lines that begin with this character are not read; by default #, if the first line does
    #[arg(long, value_name = "CHARACTER", value_parser = parse_comment)]
    comment: Option<u8>,
    /// What becomes of readings with the time, value and key of an earlier one
    #[arg(long, value_enum, default_value = "keep")]
    repeated: RepeatedArg,
    /// Leave out readings before this time: 2024-03-05 or "2024-03-05 06:00:00"
    #[arg(long, value_name = "TIME", value_parser = parse_bound)]
    from: Option<Written>,
    /// Leave out readings from this time on
    #[arg(long, value_name = "TIME", value_parser = parse_bound)]
    until: Option<Written>,
}

/// Day, month and year in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DateOrderArg {
    /// 31/12/2024
    Dmy,
    /// 12/31/2024
    Mdy,
    /// 2024/12/31, which is read whatever this says
    Ymd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StampArg {
    Start,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RepeatedArg {
    /// They count
    Keep,
    /// They are rows that were written twice
    Drop,
}

impl FileArgs {
    /// How a file is read under the settings of `[reading]`.
    pub(super) fn options(&self, reading: &decode::Settings) -> ReadOptions {
        ReadOptions {
            columns: Columns {
                time: self.time_column.clone(),
                value: self.value_column.clone(),
                key: self.key_column.clone(),
            },
            delimiter: self.delimiter.0,
            decimal: self.decimal,
            date_order: match self.date_order {
                Some(DateOrderArg::Dmy) => Some(DateOrder::DayFirst),
                Some(DateOrderArg::Mdy) => Some(DateOrder::MonthFirst),
                Some(DateOrderArg::Ymd) | None => None,
            },
            time_formats: self.time_format.clone(),
            time_zone: self.time_zone,
            stamp: match self.stamp {
                StampArg::Start => Stamp::Start,
                StampArg::End => Stamp::End,
            },
            interval: self.interval,
            skip_lines: self.skip_lines,
            comment: self.comment,
            repeated: match self.repeated {
                RepeatedArg::Keep => Repeated::Keep,
                RepeatedArg::Drop => Repeated::Drop,
            },
            range: TimeRange {
                from: self.from,
                until: self.until,
            },
            ..ReadOptions::new(reading)
        }
    }

    /// The zone of times without an offset, if it is named.
    pub(super) fn time_zone(&self) -> Option<Tz> {
        self.time_zone
    }

    /// Whether all of a file is read.
    pub(super) fn is_whole(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }
}

/// What separates columns; `None` if the file decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delimiter(Option<u8>);

fn parse_delimiter(text: &str) -> Result<Delimiter, String> {
    Ok(Delimiter(match text {
        "auto" => None,
        "tab" | "\\t" => Some(b'\t'),
        other => Some(ascii_character(other)?),
    }))
}

fn parse_comment(text: &str) -> Result<u8, String> {
    ascii_character(text)
}

fn ascii_character(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err("expected one character such as ; or #".to_owned()),
    }
}

fn parse_decimal(text: &str) -> Result<DecimalMark, String> {
    match text {
        "." => Ok(DecimalMark::Point),
        "," => Ok(DecimalMark::Comma),
        _ => Err("expected . or ,".to_owned()),
    }
}

fn parse_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| {
        "expected an IANA name such as America/New_York, UTC, or Etc/GMT-2 for two hours ahead of UTC"
            .to_owned()
    })
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let is_valid = interval >= Duration::from_millis(1) && interval <= Duration::from_secs(366 * 86_400);
    is_valid
        .then_some(interval)
        .ok_or_else(|| "expected a duration from 1ms to a year".to_owned())
}

fn parse_skip_lines(text: &str) -> Result<SkipLines, String> {
    match text {
        "auto" => Ok(SkipLines::Auto),
        number => number
            .parse()
            .map(SkipLines::Count)
            .map_err(|_| "expected a number of lines, or auto".to_owned()),
    }
}

fn parse_bound(text: &str) -> Result<Written, String> {
    TimeNotation::Text
        .read(Source::Text(text), None)
        .map_err(|error| format!("{error}; expected a time such as 2024-03-05 or \"2024-03-05 06:00:00\""))
}
