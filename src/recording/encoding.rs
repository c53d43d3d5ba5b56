//! From a file's bytes to text in UTF-8: unpacks gzip, converts UTF-16, and names what is no text.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::Error;

/// A file's text, with what was found out about it.
pub(super) struct Text<'r> {
    /// Without a byte order mark.
    pub(super) input: Box<dyn Read + 'r>,
    /// What had to be done to read it, in words.
    pub(super) assumed: Vec<String>,
}

/// Bytes that are looked at before anything is read.
const PEEKED: usize = 512;

/// What is no text, by its first bytes: its name, and what to do.
const FORMATS: [(&[u8], &str, &str); 8] = [
    (
        b"PK\x03\x04",
        "a zip archive, as spreadsheets (.xlsx) are",
        "unpack it, or save the sheet as CSV",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd",
        "unpack it: zstd -dc FILE | streamgauge …",
    ),
    (
        b"BZh",
        "compressed by bzip2",
        "unpack it: bzcat FILE | streamgauge …",
    ),
    (
        b"\xfd7zXZ\0",
        "compressed by xz",
        "unpack it: xzcat FILE | streamgauge …",
    ),
    (b"PAR1", "a Parquet file", "write it as CSV"),
    (b"%PDF", "a PDF", "export the readings as CSV"),
    (
        b"\xd0\xcf\x11\xe0",
        "a spreadsheet (.xls)",
        "save the sheet as CSV",
    ),
    (
        b"SQLite format",
        "a database of SQLite",
        "export the readings as CSV",
    ),
];

/// The text of a file, whatever it is packed and encoded in.
///
/// # Errors
/// [`Error::NotText`] for what is none; [`Error::Io`] if it cannot be read.
pub(super) fn text<'r>(input: impl Read + 'r) -> Result<Text<'r>, Error> {
    let mut assumed = Vec::new();
    let (mut head, mut input) = peek(Box::new(input))?;
    if head.starts_with(&[0x1f, 0x8b]) {
        assumed.push("the file is unpacked (gzip)".to_owned());
        (head, input) = peek(Box::new(MultiGzDecoder::new(input)))?;
    }
    refuse_other_formats(&head)?;
    let order = match head.as_slice() {
        [0xff, 0xfe, ..] => Some((u16::from_le_bytes as fn([u8; 2]) -> u16, true)),
        [0xfe, 0xff, ..] => Some((u16::from_be_bytes as fn([u8; 2]) -> u16, true)),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => {
            Some((u16::from_le_bytes as fn([u8; 2]) -> u16, false))
        }
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => {
            Some((u16::from_be_bytes as fn([u8; 2]) -> u16, false))
        }
        _ => None,
    };
    if let Some((unit, has_mark)) = order {
        assumed.push("the file is converted from UTF-16".to_owned());
        let mark = if has_mark { 2 } else { 0 };
        skip(&mut input, mark)?;
        input = Box::new(Utf16 {
            input,
            unit,
            odd: None,
            high: None,
            decoded: Vec::new(),
            taken: 0,
        });
    } else if head.starts_with(b"\xef\xbb\xbf") {
        skip(&mut input, 3)?;
    }
    Ok(Text { input, assumed })
}

fn refuse_other_formats(head: &[u8]) -> Result<(), Error> {
    let known = FORMATS.iter().find(|(magic, ..)| head.starts_with(magic));
    if let Some((_, name, advice)) = known {
        return Err(Error::NotText { name, advice });
    }
    let beginning = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    if beginning.starts_with("<!doctype html") || beginning.starts_with("<html") {
        return Err(Error::NotText {
            name: "a web page",
            advice: "a download link may lead to it; download the data themselves",
        });
    }
    if beginning
        .strip_prefix('[')
        .is_some_and(|rest| rest.trim_start().starts_with(['{', '[']))
    {
        return Err(Error::NotText {
            name: "an array of JSON",
            advice: "write each element on a line of its own: jq -c '.[]' FILE | streamgauge …",
        });
    }
    if beginning.starts_with("<?xml") {
        return Err(Error::NotText {
            name: "XML",
            advice: "export the readings as CSV",
        });
    }
    Ok(())
}

/// The first bytes of an input, and the input as it was.
pub(super) fn peek<'r>(mut input: Box<dyn Read + 'r>) -> io::Result<(Vec<u8>, Box<dyn Read + 'r>)> {
    let mut head = Vec::with_capacity(PEEKED);
    input.by_ref().take(PEEKED as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(input))))
}

fn skip(input: &mut dyn Read, count: usize) -> io::Result<()> {
    let mut mark = [0; 4];
    input.read_exact(&mut mark[..count])
}

/// Converts UTF-16 to UTF-8.
struct Utf16<R> {
    input: R,
    unit: fn([u8; 2]) -> u16,
    /// Half of a unit.
    odd: Option<u8>,
    /// The first unit of two that are one character.
    high: Option<u16>,
    decoded: Vec<u8>,
    /// How much of `decoded` was given.
    taken: usize,
}

impl<R: Read> Utf16<R> {
    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 8192];
        self.decoded.clear();
        self.taken = 0;
        while self.decoded.is_empty() {
            let start = match self.odd.take() {
                Some(byte) => {
                    bytes[0] = byte;
                    1
                }
                None => 0,
            };
            let read = self.input.read(&mut bytes[start..])?;
            if read == 0 {
                return Ok(());
            }
            let length = start + read;
            if length % 2 == 1 {
                self.odd = Some(bytes[length - 1]);
            }
            let units = bytes[..length - length % 2]
                .chunks_exact(2)
                .map(|pair| (self.unit)([pair[0], pair[1]]));
            let units: Vec<u16> = self.high.take().into_iter().chain(units).collect();
            let ends_within = units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit));
            let whole = units.len() - usize::from(ends_within);
            self.high = units.get(whole).copied();
            for character in char::decode_utf16(units[..whole].iter().copied()) {
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                self.decoded
                    .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.decoded.len() {
            self.fill()?;
        }
        let rest = &self.decoded[self.taken..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}
