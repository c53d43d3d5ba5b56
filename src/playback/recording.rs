//! From a CSV to readings in order of time, with nothing dropped in silence.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use chrono::NaiveDateTime;
use csv::ByteRecord;

use super::Error;
use super::time::parse_wall_time;

/// Which columns of the CSV hold what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub time: String,
    pub value: String,
    /// What tells several series apart, if the file holds several.
    pub key: Option<String>,
}

impl Default for Columns {
    /// The columns of the City of Boston's electricity files.
    fn default() -> Self {
        Self {
            time: "usage_datetime_start_eastern_time".to_owned(),
            value: "usage_kw".to_owned(),
            key: None,
        }
    }
}

/// The part of a recording to play, in its wall time: from the first bound, up to and without the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    pub from: Option<NaiveDateTime>,
    pub until: Option<NaiveDateTime>,
}

impl TimeRange {
    fn contains(&self, time: NaiveDateTime) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

/// One reading of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedReading {
    /// Wall time as recorded; its zone is not known here.
    pub time: NaiveDateTime,
    /// Finite.
    pub value: f64,
    pub key: Option<String>,
    /// The line its row starts at, the header being line 1.
    pub line: u64,
}

/// The readings of a CSV in order of time, those of one time in the file's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    pub readings: Vec<RecordedReading>,
    pub report: ReadReport,
}

/// What was found in a CSV: `rows` is the readings plus `outside` and `skipped`, plus `repeated` where those are dropped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadReport {
    /// Rows below the header.
    pub rows: u64,
    /// Rows whose time is before that of the row above; they were sorted in.
    pub out_of_order: u64,
    /// Rows equal to an earlier one in every column; [`Recording::from_csv`] drops them.
    pub repeated: u64,
    /// Rows outside the range asked for.
    pub outside: u64,
    /// Lines whose time and key an earlier row has too, with other content; they are played.
    pub same_time: Vec<u64>,
    /// Rows that hold no reading, in the file's order.
    pub skipped: Vec<Skipped>,
}

/// A row that holds no reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub line: u64,
    pub reason: SkipReason,
}

/// Why a row holds no reading, with the text found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    NoTime,
    NoValue,
    NoKey,
    BadTime(String),
    BadValue(String),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::NoTime => write!(formatter, "the time is empty"),
            SkipReason::NoValue => write!(formatter, "the value is empty"),
            SkipReason::NoKey => write!(formatter, "the key is empty"),
            SkipReason::BadTime(text) => write!(formatter, "{text:?} is no time that can be read"),
            SkipReason::BadValue(text) => write!(formatter, "{text:?} is no number that can be read"),
        }
    }
}

impl Recording {
    /// Reads a CSV as it was downloaded: with or without byte order mark, quotes, order and repetitions. Of rows
    /// repeated in full the first is kept.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`] with the columns there are, [`Error::Csv`] if it cannot be read at all.
    pub fn from_csv(input: impl Read, columns: &Columns, range: TimeRange) -> Result<Self, Error> {
        Self::read(input, columns, range, Repetitions::Drop)
    }

    /// Reads a CSV as [`from_csv`](Self::from_csv) does, and keeps every row: of a history that is judged row by row.
    ///
    /// # Errors
    /// As [`from_csv`](Self::from_csv).
    pub fn from_csv_whole(input: impl Read, columns: &Columns, range: TimeRange) -> Result<Self, Error> {
        Self::read(input, columns, range, Repetitions::Keep)
    }

    fn read(
        input: impl Read,
        columns: &Columns,
        range: TimeRange,
        repetitions: Repetitions,
    ) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let positions = Positions::find(reader.byte_headers()?, columns)?;
        let mut report = ReadReport::default();
        let mut rows: Vec<(RecordedReading, u64)> = Vec::new();
        let mut previous = NaiveDateTime::MIN;
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record)? {
            report.rows += 1;
            let line = record.position().map_or(0, csv::Position::line);
            match positions.reading(&record, line) {
                Err(reason) => report.skipped.push(Skipped { line, reason }),
                Ok(reading) if !range.contains(reading.time) => report.outside += 1,
                Ok(reading) => {
                    report.out_of_order += u64::from(reading.time < previous);
                    previous = reading.time;
                    rows.push((reading, content_hash(&record)));
                }
            }
        }
        // Stable, so that rows of one time stay in the file's order.
        rows.sort_by_key(|(reading, _)| reading.time);
        let readings = check_repetitions(rows, repetitions, &mut report);
        Ok(Self { readings, report })
    }
}

/// Where in a row the columns are.
struct Positions {
    time: usize,
    value: usize,
    key: Option<usize>,
}

impl Positions {
    fn find(headers: &ByteRecord, columns: &Columns) -> Result<Self, Error> {
        let names: Vec<String> = headers
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        let position = |wanted: &str| {
            names
                .iter()
                .position(|name| name == wanted)
                .ok_or_else(|| Error::UnknownColumn {
                    wanted: wanted.to_owned(),
                    known: if names.is_empty() {
                        "none: the file is empty".to_owned()
                    } else {
                        names.join(", ")
                    },
                })
        };
        Ok(Self {
            time: position(&columns.time)?,
            value: position(&columns.value)?,
            key: columns.key.as_deref().map(position).transpose()?,
        })
    }

    fn reading(&self, record: &ByteRecord, line: u64) -> Result<RecordedReading, SkipReason> {
        let field = |position: usize| String::from_utf8_lossy(record.get(position).unwrap_or_default());
        let (time, value) = (field(self.time), field(self.value));
        let (time, value) = (time.trim(), value.trim());
        let key = self.key.map(|position| field(position).trim().to_owned());
        if time.is_empty() {
            return Err(SkipReason::NoTime);
        }
        if value.is_empty() {
            return Err(SkipReason::NoValue);
        }
        if key.as_deref() == Some("") {
            return Err(SkipReason::NoKey);
        }
        let time = parse_wall_time(time).ok_or_else(|| SkipReason::BadTime(excerpt(time)))?;
        let number = value.parse().ok().filter(|value: &f64| value.is_finite());
        let value = number.ok_or_else(|| SkipReason::BadValue(excerpt(value)))?;
        Ok(RecordedReading {
            time,
            value,
            key,
            line,
        })
    }
}

fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain(std::iter::once('…')).collect()
    }
}

fn content_hash(record: &ByteRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.iter().for_each(|field| field.hash(&mut hasher));
    hasher.finish()
}

/// What becomes of rows repeated in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repetitions {
    Drop,
    Keep,
}

/// Reports rows equal to an earlier one of the same time, and those that only share time and key with one.
fn check_repetitions(
    rows: Vec<(RecordedReading, u64)>,
    repetitions: Repetitions,
    report: &mut ReadReport,
) -> Vec<RecordedReading> {
    let mut readings = Vec::with_capacity(rows.len());
    let mut time = NaiveDateTime::MIN;
    let mut contents = HashSet::new();
    let mut keys = HashSet::new();
    for (reading, content) in rows {
        if reading.time != time {
            time = reading.time;
            contents.clear();
            keys.clear();
        }
        if !contents.insert(content) {
            report.repeated += 1;
            if repetitions == Repetitions::Drop {
                continue;
            }
        } else if !keys.insert(reading.key.clone()) {
            report.same_time.push(reading.line);
        }
        readings.push(reading);
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(csv: &str, key: Option<&str>) -> Result<Recording, Error> {
        let columns = Columns {
            time: "time".to_owned(),
            value: "kw".to_owned(),
            key: key.map(str::to_owned),
        };
        Recording::from_csv(csv.as_bytes(), &columns, TimeRange::default())
    }

    fn values(recording: &Recording) -> Vec<f64> {
        recording.readings.iter().map(|reading| reading.value).collect()
    }

    #[test]
    fn the_citys_file_is_read_whole() {
        let city = include_bytes!("../commands/demo/boston_tuesdays.csv");
        let recording =
            Recording::from_csv(city.as_slice(), &Columns::default(), TimeRange::default()).unwrap();
        assert_eq!(recording.readings.len(), 2015);
        assert_eq!(
            recording.report,
            ReadReport {
                rows: 2015,
                ..ReadReport::default()
            }
        );
        assert_eq!(recording.readings[0].value, 518.4);
    }

    #[test]
    fn byte_order_mark_quotes_blanks_and_windows_lines_do_not_matter() {
        let csv = "\u{feff}\"note\", time ,\"kw\"\r\n\"a, \"\"b\"\"\",\"2024-03-05 00:00:00\",\" 1.5 \"\r\n\r\nx,3/5/2024 0:05,2";
        let recording = read(csv, None).unwrap();
        assert_eq!(values(&recording), [1.5, 2.0]);
        assert_eq!(recording.report.rows, 2);
        assert!(recording.report.skipped.is_empty());
    }

    #[test]
    fn rows_are_sorted_stably_and_repetitions_dropped() {
        let csv = "time,kw,note\n\
            2024-03-05 00:10:00,3,\n\
            2024-03-05 00:00:00,1,\n\
            2024-03-05 00:10:00,4,\n\
            2024-03-05 00:10:00,3,\n\
            2024-03-05 00:05:00,2,\n\
            2024-03-05 00:05:00,2,other\n";
        let recording = read(csv, None).unwrap();
        assert_eq!(values(&recording), [1.0, 2.0, 2.0, 3.0, 4.0]);
        assert_eq!(recording.report.repeated, 1);
        assert_eq!(recording.report.out_of_order, 2);
        assert_eq!(recording.report.same_time, [7, 4]);

        let columns = Columns {
            time: "time".to_owned(),
            value: "kw".to_owned(),
            key: None,
        };
        let whole = Recording::from_csv_whole(csv.as_bytes(), &columns, TimeRange::default()).unwrap();
        assert_eq!(values(&whole), [1.0, 2.0, 2.0, 3.0, 4.0, 3.0]);
        assert_eq!(whole.report, recording.report);
    }

    #[test]
    fn series_are_told_apart_by_their_key() {
        let csv = "time,kw,meter\n2024-03-05 00:00,1,a\n2024-03-05 00:00,1,b\n2024-03-05 00:00,2,a\n2024-03-05 00:00,2,\n";
        let recording = read(csv, Some("meter")).unwrap();
        let keys: Vec<_> = recording
            .readings
            .iter()
            .filter_map(|reading| reading.key.as_deref())
            .collect();
        assert_eq!(keys, ["a", "b", "a"]);
        assert_eq!(recording.report.same_time, [4]);
        assert_eq!(
            recording.report.skipped,
            [Skipped {
                line: 5,
                reason: SkipReason::NoKey
            }]
        );
    }

    #[test]
    fn rows_without_a_reading_are_reported_with_line_and_text() {
        let csv = "time,kw\n2024-03-05 00:00:00,\n,5\nnoon,5\n\"2024-03-05 00:00:00\",\"a\nb\"\n\
            2024-03-05 00:00:00,NaN\n2024-03-05 00:00:00\n2024-03-05 00:00:00,5\n";
        let recording = read(csv, None).unwrap();
        let found: Vec<_> = recording
            .report
            .skipped
            .iter()
            .map(|row| (row.line, row.reason.to_string()))
            .collect();
        let expected = [
            (2, "the value is empty"),
            (3, "the time is empty"),
            (4, "\"noon\" is no time that can be read"),
            (5, "\"a\\nb\" is no number that can be read"),
            (7, "\"NaN\" is no number that can be read"),
            (8, "the value is empty"),
        ];
        assert_eq!(found, expected.map(|(line, reason)| (line, reason.to_owned())));
        assert_eq!((recording.report.rows, recording.readings[0].line), (7, 9));
    }

    #[test]
    fn a_range_keeps_its_beginning_and_not_its_end() {
        let at = |text| parse_wall_time(text);
        let range = TimeRange {
            from: at("2024-03-05 00:05"),
            until: at("2024-03-05 00:15"),
        };
        let csv = "usage_kw,usage_datetime_start_eastern_time\n0,2024-03-05 00:00\n1,2024-03-05 00:05\n\
            2,2024-03-05 00:10\n3,2024-03-05 00:15\n";
        let recording = Recording::from_csv(csv.as_bytes(), &Columns::default(), range).unwrap();
        assert_eq!(values(&recording), [1.0, 2.0]);
        assert_eq!(recording.report.outside, 2);
    }

    #[test]
    fn an_unknown_column_names_those_there_are() {
        let error = read("time,load\n", None).unwrap_err().to_string();
        assert_eq!(error, "the CSV has no column \"kw\"; its columns are: time, load");
        let error = read("", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "the CSV has no column \"time\"; its columns are: none: the file is empty"
        );
    }
}
