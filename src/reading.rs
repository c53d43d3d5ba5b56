//! The values of the field: records as they come from a topic, and the readings in them.

use std::borrow::Cow;
use std::ops::Range;

/// One measurement: what was read, of which series, and when. All values are finite and within
/// [`LARGEST_VALUE`]; that is what lets a sum of any number of them stay exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<'a> {
    /// The series; empty when the topic is read as one series.
    pub key: Cow<'a, str>,
    /// When it was measured, in milliseconds since 1970-01-01T00:00:00Z.
    pub event_time_ms: i64,
    /// The measured value, in the unit of the topic.
    pub value: f64,
}

/// The largest magnitude of a value. 2⁶³ readings of it still sum up below the largest `f64`.
pub const LARGEST_VALUE: f64 = 1e288;

/// How far a partition has been processed: enough to go on from, and to decide lateness as if never interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Offset of the next record to process; every record below it is accounted for.
    pub next_offset: i64,
    /// The largest event time among the records below `next_offset`, if there was a reading.
    pub largest_event_time_ms: Option<i64>,
}

/// Records of one partition in offset order, their bytes in one buffer instead of one allocation each.
#[derive(Debug, Default)]
pub struct RecordBlock {
    pub partition: i32,
    /// Which assignment of the partition the records belong to; blocks of an earlier one are stale.
    pub epoch: u64,
    records: Vec<RecordEntry>,
    bytes: Vec<u8>,
    headers: Vec<(usize, Headers)>,
}

/// The headers of a record: name and value, repeated names allowed.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

#[derive(Debug)]
struct RecordEntry {
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// One record of a [`RecordBlock`].
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub offset: i64,
    /// The record's Kafka timestamp in milliseconds since 1970, if it has one.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl RecordBlock {
    /// An empty block for one partition's records.
    pub fn new(partition: i32, epoch: u64) -> Self {
        RecordBlock {
            partition,
            epoch,
            ..RecordBlock::default()
        }
    }

    /// Appends a record; its bytes are copied.
    pub fn push(&mut self, record: Record<'_>, headers: Option<Headers>) {
        let key = self.append(record.key);
        let value = self.append(record.value);
        if let Some(headers) = headers {
            self.headers.push((self.records.len(), headers));
        }
        self.records.push(RecordEntry {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key,
            value,
        });
    }

    fn append(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let bytes = bytes?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// The record at `index`, which is below [`len`](Self::len).
    pub fn record(&self, index: usize) -> Record<'_> {
        let entry = &self.records[index];
        let slice = |range: &Option<Range<usize>>| range.clone().map(|range| &self.bytes[range]);
        Record {
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            key: slice(&entry.key),
            value: slice(&entry.value),
        }
    }

    /// The headers of the record at `index`; most records have none.
    pub fn headers(&self, index: usize) -> &[(String, Option<Vec<u8>>)] {
        match self.headers.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(found) => &self.headers[found].1,
            Err(_) => &[],
        }
    }

    /// All records in offset order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}
