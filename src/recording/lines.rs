//! Adds to the CSV reader: the line on which a row begins, whatever ends the lines, and quotes that are not closed where
//! they were meant to be.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Passes the bytes of a CSV through and tracks lines and quotes.
pub(super) struct Lines<R> {
    input: R,
    delimiter: u8,
    comment: Option<u8>,
    offset: u64,
    line: u64,
    previous: u8,
    /// Offset and line of each line's first byte, from the last requested row on. Blank lines have no entry.
    beginnings: VecDeque<(u64, u64)>,
    place: Place,
    /// The line of the last opening quote.
    opened_on: u64,
    /// The line of a quote that seems to be no beginning of a quoted field.
    stray_quote: Option<u64>,
    is_at_end: bool,
}

/// The position within a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Beginning,
    Unquoted,
    Quoted,
    /// After a quote, whose meaning depends on the next byte: the field's end, or an escaped quote.
    BehindQuote,
    Comment,
}

/// Lines that a quoted field may have. What is longer is rather the rest of a file behind an inch mark.
const LONGEST_FIELD: u64 = 10;

impl<R> Lines<R> {
    /// Lines from the one of this number on.
    pub(super) fn new(input: R, delimiter: u8, comment: Option<u8>, first_line: u64) -> Self {
        Self {
            input,
            delimiter,
            comment,
            offset: 0,
            line: first_line,
            previous: b'\n',
            beginnings: VecDeque::new(),
            place: Place::Beginning,
            opened_on: 0,
            stray_quote: None,
            is_at_end: false,
        }
    }

    /// The line of the first row that begins at or after an offset. Offsets must ascend.
    pub(super) fn line_from(&mut self, offset: u64) -> u64 {
        while self
            .beginnings
            .front()
            .is_some_and(|(begins, _)| *begins < offset)
        {
            self.beginnings.pop_front();
        }
        self.beginnings.front().map_or(self.line, |(_, line)| *line)
    }

    /// The line of a quote that is not closed: not by the end of the file, not within [`LONGEST_FIELD`] lines, or by
    /// one within another field.
    pub(super) fn stray_quote(&self) -> Option<u64> {
        let is_open = self.is_at_end && self.place == Place::Quoted;
        self.stray_quote.or(is_open.then_some(self.opened_on))
    }

    fn watch(&mut self, byte: u8) {
        let ends_line = |byte: u8| matches!(byte, b'\r' | b'\n');
        if ends_line(self.previous) && !ends_line(byte) {
            self.beginnings.push_back((self.offset, self.line));
            if self.place == Place::Beginning && self.comment == Some(byte) {
                self.place = Place::Comment;
            }
        }
        // "\r\n" ends one line.
        self.line += u64::from(byte == b'\r' || (byte == b'\n' && self.previous != b'\r'));
        let spans_lines = self.line > self.opened_on;
        self.place = match (self.place, byte) {
            (_, b'\r' | b'\n') if self.place != Place::Quoted => Place::Beginning,
            (Place::Comment, _) => Place::Comment,
            (Place::Beginning, b'"') => {
                self.opened_on = self.line;
                Place::Quoted
            }
            (Place::Quoted, b'"') => Place::BehindQuote,
            (Place::Quoted, _) => {
                if self.line > self.opened_on + LONGEST_FIELD {
                    self.stray_quote.get_or_insert(self.opened_on);
                }
                Place::Quoted
            }
            (Place::BehindQuote, b'"') => Place::Quoted,
            (_, byte) if byte == self.delimiter => Place::Beginning,
            (Place::BehindQuote, _) => {
                if spans_lines {
                    self.stray_quote.get_or_insert(self.opened_on);
                }
                Place::Unquoted
            }
            _ => Place::Unquoted,
        };
        self.previous = byte;
        self.offset += 1;
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.is_at_end = length == 0 && !buffer.is_empty();
        buffer[..length].iter().for_each(|byte| self.watch(*byte));
        Ok(length)
    }
}
