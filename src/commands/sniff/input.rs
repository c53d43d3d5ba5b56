//! The records to look at: of a topic, or of a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::clock;
use crate::decode::is_influx;
use crate::kafka::{self, Subscription};
use crate::reading::{Record, RecordBlock};

/// Records, and where they are from.
pub(super) struct Sample {
    /// One block for each partition.
    pub blocks: Vec<RecordBlock>,
    /// What was looked at, as the beginning of a sentence.
    pub origin: String,
    /// What could not be looked at.
    pub remarks: Vec<String>,
}

pub(super) fn of_topic(kafka: &Subscription, records: usize, max_header_bytes: usize) -> Result<Sample> {
    let kafka::Sample { blocks, undecodable } = kafka::sample(kafka, records, max_header_bytes)?;
    let remark = |cause: &String| format!("a batch cannot be unpacked ({cause}); the sample ends there");
    Ok(Sample {
        origin: match blocks.len() {
            1 => format!("topic {}, 1 partition", kafka.source.topic),
            count => format!("topic {}, {count} partitions", kafka.source.topic),
        },
        remarks: undecodable.iter().map(remark).collect(),
        blocks,
    })
}

/// A file, by its first bytes.
pub(super) enum Opened {
    /// Of records, one a line.
    Records(Sample),
    /// Of rows and columns, or something that is told when it is read as that.
    Table(FileInput),
}

/// A file that may be read again, unless it is standard input.
pub(super) struct FileInput {
    first: Option<Box<dyn Read>>,
    path: PathBuf,
}

impl FileInput {
    /// The file from its beginning; `None` if it can be read only once.
    pub(super) fn open(&mut self) -> std::io::Result<Option<Box<dyn Read>>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let is_file = std::fs::metadata(&self.path).is_ok_and(|data| data.is_file());
        match is_file {
            true => Ok(Some(Box::new(File::open(&self.path)?))),
            false => Ok(None),
        }
    }
}

/// Opens a file. Of records the first are read, as if each had just been written to a topic.
pub(super) fn of_file(path: &Path, records: usize, max_bytes: usize) -> Result<Opened> {
    let cannot_read = || format!("cannot read {}", path.display());
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(cannot_read)?)
    };
    let mut lines = BufReader::new(input);
    if !holds_records(lines.fill_buf().with_context(cannot_read)?) {
        return Ok(Opened::Table(FileInput {
            first: Some(Box::new(lines)),
            path: path.to_owned(),
        }));
    }
    let blocks = vec![first_lines(&mut lines, records, max_bytes).with_context(cannot_read)?];
    Ok(Opened::Records(Sample {
        origin: path.display().to_string(),
        remarks: Vec::new(),
        blocks,
    }))
}

/// Whether the first line is one of JSON or of InfluxDB's protocol.
fn holds_records(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches!(line, [b'{' | b'[', ..]) || is_influx(line)
}

fn first_lines(lines: &mut impl BufRead, records: usize, max_bytes: usize) -> Result<RecordBlock> {
    let mut block = RecordBlock::new(0, 0);
    let now_ms = clock::now_ms();
    let mut line = Vec::new();
    for number in 0..records {
        line.clear();
        // A file without line breaks is not to fill the memory.
        let length = lines
            .by_ref()
            .take(max_bytes as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        if length > max_bytes {
            bail!(
                "line {} is longer than reading.max_bytes = {max_bytes}: is it a file of one record a line?",
                number + 1
            );
        }
        let value = line.trim_ascii_end();
        if !value.is_empty() {
            let record = Record {
                offset: number as i64,
                timestamp_ms: Some(now_ms),
                key: None,
                value: Some(value),
                headers: &[],
            };
            block.push(record, None);
        }
    }
    Ok(block)
}
