//! Where a file's heading is and what separates its columns, by its first lines.

use csv::{ByteRecord, ReaderBuilder};

use super::Error;
use super::cells::{is_number, looks_like_time};
use super::columns::{self, Guess, Missing, Positions};
use super::options::{ReadOptions, SkipLines};

/// How a file is written, and where its columns are.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) comment: Option<u8>,
    /// Where the heading begins, in bytes.
    pub(super) offset: usize,
    /// The number of the heading's line.
    pub(super) line: u64,
    pub(super) heading: Vec<String>,
    pub(super) positions: Positions,
    /// What the file decided, in words.
    pub(super) assumed: Vec<String>,
}

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines among which a heading is looked for.
const LINES_SEARCHED: usize = 100;
/// Rows below a heading that help to tell its columns.
const ROWS_SEEN: usize = 20;

/// A line that may be the heading, as one delimiter splits it.
struct Candidate {
    delimiter: u8,
    offset: usize,
    line: u64,
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Finds the heading in the beginning of a file.
///
/// # Errors
/// [`Error`] saying what the file looks like, if no line has the columns.
pub(super) fn find(beginning: &[u8], options: &ReadOptions) -> Result<Dialect, Error> {
    let lines = lines(beginning);
    let mut assumed = Vec::new();
    let first = lines
        .iter()
        .find(|(_, _, text)| !text.trim_ascii().is_empty())
        .ok_or(Error::Empty)?;
    let separated = separator_line(first.2);
    if let Some(delimiter) = separated.filter(|_| options.delimiter.is_none()) {
        assumed.push(format!("columns are separated by {} (sep=)", name(delimiter)));
    }
    let delimiters: Vec<u8> = match options.delimiter.or(separated) {
        Some(delimiter) => vec![delimiter],
        None => DELIMITERS.to_vec(),
    };
    let comment = options
        .comment
        .or_else(|| first.2.starts_with(b"#").then_some(b'#'));
    let mut search = Search {
        options,
        fallback: None,
        missing: None,
    };
    let may_be_heading = |(_, line, text): &&(usize, u64, &[u8])| {
        let is_skipped = matches!(options.skip_lines, SkipLines::Count(count) if *line <= count);
        let is_comment = comment.is_some_and(|comment| text.first() == Some(&comment));
        !is_skipped && !is_comment && separator_line(text).is_none() && !text.trim_ascii().is_empty()
    };
    let searched = match options.skip_lines {
        SkipLines::Auto => LINES_SEARCHED,
        SkipLines::Count(_) => 1,
    };
    for by in [Guess::Names, Guess::NamesAndCells] {
        for (offset, line, _) in lines.iter().filter(may_be_heading).take(searched) {
            let candidates = delimiters
                .iter()
                .map(|delimiter| candidate(beginning, *offset, *line, *delimiter, comment));
            if let Some((candidate, positions)) = search.best(candidates.collect(), by) {
                return Ok(dialect(
                    candidate, positions, comment, options, assumed, separated,
                ));
            }
        }
    }
    search.outcome(comment, options, assumed, separated)
}

/// The search for a heading, with what to say if there is none.
struct Search<'o> {
    options: &'o ReadOptions,
    /// The first line whose names would do, but below which nothing looks like a time.
    fallback: Option<(Candidate, Positions)>,
    /// Why the first line is not one.
    missing: Option<(Candidate, Missing)>,
}

impl Search<'_> {
    /// The delimiter by which a line is a heading; of several the one that gives the most columns.
    fn best(&mut self, candidates: Vec<Candidate>, by: Guess) -> Option<(Candidate, Positions)> {
        let mut found: Option<(Candidate, Positions)> = None;
        let mut missing: Option<(Candidate, Missing)> = None;
        for candidate in candidates {
            match columns::find(&candidate.heading, &candidate.rows, &self.options.columns, by) {
                Ok(positions) => {
                    let has_more =
                        |(other, _): &(Candidate, Positions)| other.heading.len() < candidate.heading.len();
                    if found.as_ref().is_none_or(has_more) {
                        found = Some((candidate, positions));
                    }
                }
                Err(reason) => {
                    let says_more = |(other, _): &(Candidate, Missing)| {
                        other.heading.len() < candidate.heading.len()
                            || matches!(reason, Missing::Ambiguous(_))
                            || (is_row(&candidate.heading) && !is_row(&other.heading))
                    };
                    if missing.as_ref().is_none_or(says_more) {
                        missing = Some((candidate, reason));
                    }
                }
            }
        }
        if let Some((candidate, positions)) = found {
            let is_named = !self.options.columns.time.is_empty();
            if is_named || candidate.rows.is_empty() || self.has_times(&candidate, &positions) {
                return Some((candidate, positions));
            }
            self.fallback.get_or_insert((candidate, positions));
        } else if let Some(missing) = missing {
            let is_better = |(_, reason): &(Candidate, Missing)| {
                !matches!(reason, Missing::Ambiguous(_)) && matches!(missing.1, Missing::Ambiguous(_))
            };
            if self.missing.as_ref().is_none_or(is_better) {
                self.missing = Some(missing);
            }
        }
        None
    }

    fn has_times(&self, candidate: &Candidate, positions: &Positions) -> bool {
        candidate.rows.iter().any(|row| {
            let cells: Vec<&str> = positions
                .time
                .iter()
                .filter_map(|place| row.get(*place).map(String::as_str))
                .collect();
            looks_like_time(&cells.join(" "), &self.options.time_formats)
        })
    }

    fn outcome(
        self,
        comment: Option<u8>,
        options: &ReadOptions,
        assumed: Vec<String>,
        separated: Option<u8>,
    ) -> Result<Dialect, Error> {
        if let Some((candidate, positions)) = self.fallback {
            return Ok(dialect(
                candidate, positions, comment, options, assumed, separated,
            ));
        }
        let Some((candidate, missing)) = self.missing else {
            return Err(Error::Empty);
        };
        Err(error(candidate, missing))
    }
}

fn dialect(
    candidate: Candidate,
    positions: Positions,
    comment: Option<u8>,
    options: &ReadOptions,
    mut assumed: Vec<String>,
    separated: Option<u8>,
) -> Dialect {
    if candidate.delimiter != b',' && options.delimiter.is_none() && separated.is_none() {
        assumed.push(format!(
            "columns are separated by {} (--delimiter)",
            name(candidate.delimiter)
        ));
    }
    let is_preamble = candidate.line > 1 && options.skip_lines == SkipLines::Auto && separated.is_none();
    if is_preamble {
        assumed.push(format!("the heading is line {} (--skip-lines)", candidate.line));
    }
    if comment.is_some() && options.comment.is_none() {
        assumed.push("lines that begin with # are comments (--comment)".to_owned());
    }
    assumed.extend(positions.guessed.iter().cloned());
    Dialect {
        delimiter: candidate.delimiter,
        comment,
        offset: candidate.offset,
        line: candidate.line,
        heading: candidate.heading,
        positions,
        assumed,
    }
}

/// Names of columns for a sentence: some of them, and the beginning of each.
fn shown(heading: &[String]) -> String {
    const MOST: usize = 40;
    let mut names: Vec<String> = heading.iter().take(MOST).map(|name| beginning(name)).collect();
    if let Some(more) = heading.len().checked_sub(MOST).filter(|more| *more > 0) {
        names.push(format!("… and {more} more"));
    }
    names.join(", ")
}

/// The beginning of a name; that of a column that people have is shown whole, so that it can be copied.
fn beginning(name: &str) -> String {
    const LONGEST: usize = 120;
    match name.char_indices().nth(LONGEST) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

/// What a file looks like whose columns were not found.
fn error(candidate: Candidate, missing: Missing) -> Error {
    let heading = candidate.heading;
    let is_nem =
        heading.first().is_some_and(|first| first == "100") && heading.iter().any(|name| name == "NEM12");
    if heading.iter().filter(|name| is_numbered(name)).count() >= 12 || is_nem {
        return Error::Wide;
    }
    let known = shown(&heading);
    let names = heading.clone();
    match missing {
        Missing::Ambiguous(wanted) => Error::AmbiguousColumn(beginning(&wanted)),
        _ if is_row(&heading) => Error::NoHeading { line: candidate.line },
        Missing::Named(wanted) => Error::UnknownColumn { wanted, known },
        Missing::Guessed(what) => Error::NoSuchColumn { what, known, names },
    }
}

/// Whether a column is called by the number of an hour or of a part of one: `7`, `h07`, `HE 7`.
fn is_numbered(name: &str) -> bool {
    let number = name
        .trim_start_matches(|character: char| character.is_ascii_alphabetic() || " _".contains(character));
    let is_short = name.len() - number.len() <= 5 && (1..=2).contains(&number.len());
    is_short && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a line holds a reading rather than names.
fn is_row(cells: &[String]) -> bool {
    cells.iter().any(|cell| looks_like_time(cell, &[])) && cells.iter().any(|cell| is_number(cell))
}

/// Offset, number and bytes of the first lines.
fn lines(beginning: &[u8]) -> Vec<(usize, u64, &[u8])> {
    let mut lines = Vec::new();
    let (mut offset, mut number) = (0, 1);
    while offset < beginning.len() && lines.len() < LINES_SEARCHED {
        let rest = &beginning[offset..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        lines.push((offset, number, &rest[..length]));
        let end = if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
        offset += length + end;
        number += 1;
    }
    lines
}

/// What a line such as `sep=;` says, as spreadsheets write and obey it.
fn separator_line(line: &[u8]) -> Option<u8> {
    match line.trim_ascii_end() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => Some(*delimiter),
        b"sep=" => line.get(4).copied().filter(|byte| *byte == b'\t'),
        _ => None,
    }
}

fn candidate(beginning: &[u8], offset: usize, line: u64, delimiter: u8, comment: Option<u8>) -> Candidate {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .comment(comment)
        .from_reader(&beginning[offset..]);
    let mut record = ByteRecord::new();
    let mut rows = Vec::new();
    while rows.len() <= ROWS_SEEN && reader.read_byte_record(&mut record).unwrap_or(false) {
        rows.push(names(&record));
    }
    let heading = if rows.is_empty() {
        Vec::new()
    } else {
        rows.remove(0)
    };
    Candidate {
        delimiter,
        offset,
        line,
        heading,
        rows,
    }
}

/// The fields of a record without the blanks around them.
pub(super) fn names(record: &ByteRecord) -> Vec<String> {
    let fields = record.iter();
    fields
        .map(|field| String::from_utf8_lossy(field).trim().to_owned())
        .collect()
}

fn name(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "tabs".to_owned(),
        other => format!("{:?}", char::from(other).to_string()),
    }
}
