//! The values of the field: records as they come from a topic, and the readings in them.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

/// One measurement: what was read, of which series, and when. All values are finite and within
/// [`LARGEST_VALUE`]; that is what lets a sum of any number of them stay exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<'a> {
    /// The key and, where there are several, the measure; borrowed from the record where possible.
    pub series: SeriesKey<Cow<'a, str>>,
    /// When it was measured, in milliseconds since 1970-01-01T00:00:00Z.
    pub event_time_ms: i64,
    /// What was measured.
    pub value: Value,
}

/// What was measured, in the unit of the topic: one sample, or the sum of several that the producer has added up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// What is judged, and what minimum and maximum are of.
    pub mean: f64,
    /// Of all samples; that of one is its mean.
    pub sum: f64,
    /// Samples; at least one.
    pub count: u64,
}

impl Value {
    /// A single sample.
    #[inline]
    pub fn of_one_sample(value: f64) -> Self {
        Value {
            mean: value,
            sum: value,
            count: 1,
        }
    }

    /// The sum of `count` samples.
    pub fn of_sum(sum: f64, count: u64) -> Self {
        Value {
            mean: sum / count as f64,
            sum,
            count,
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::of_one_sample(value)
    }
}

impl<'a> Reading<'a> {
    /// A reading of a single sample.
    pub fn of_one_sample(series: SeriesKey<Cow<'a, str>>, event_time_ms: i64, value: f64) -> Self {
        Reading {
            series,
            event_time_ms,
            value: Value::of_one_sample(value),
        }
    }

    /// The same, borrowed from nothing.
    pub fn into_owned(self) -> Reading<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        Reading {
            series: SeriesKey {
                key: owned(self.series.key),
                measure: self.series.measure.map(owned),
            },
            event_time_ms: self.event_time_ms,
            value: self.value,
        }
    }
}

/// A series is identified, in the order of rows, by the key and, where a topic brings several measures, the measure.
///
/// `T` is the text as it is held: borrowed from a record (`Cow<str>`), shared by rows (`Arc<str>`), or looked up
/// (`&str`). Most topics have one measure; for these the second field costs a word and no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey<T> {
    /// Empty when the topic is read as one series.
    pub key: T,
    /// What was measured, if the reading names it; never empty.
    pub measure: Option<T>,
}

impl<T> SeriesKey<T> {
    /// The series of a topic that has one measure.
    pub fn of_key(key: T) -> Self {
        SeriesKey { key, measure: None }
    }
}

impl<T: AsRef<str>> SeriesKey<T> {
    /// The same, borrowed.
    #[inline]
    pub fn as_str(&self) -> SeriesKey<&str> {
        SeriesKey {
            key: self.key.as_ref(),
            measure: self.measure.as_ref().map(AsRef::as_ref),
        }
    }

    /// Bytes of both texts.
    pub(crate) fn byte_count(&self) -> usize {
        let SeriesKey { key, measure } = self.as_str();
        key.len() + measure.map_or(0, str::len)
    }
}

impl SeriesKey<&str> {
    /// A hash for tables in memory. Without a measure it is that of the key alone, which is cheaper than one of both.
    #[inline]
    pub(crate) fn hash_by(self, hasher: &impl BuildHasher) -> u64 {
        match self.measure {
            None => hasher.hash_one(self.key),
            Some(measure) => hasher.hash_one((self.key, measure)),
        }
    }

    /// The same, to be kept.
    pub(crate) fn to_shared(self) -> SeriesKey<Arc<str>> {
        SeriesKey {
            key: self.key.into(),
            measure: self.measure.map(Arc::from),
        }
    }
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

impl Position {
    /// Moves past records that are not ingested one by one, and returns the offsets that were not passed before.
    pub fn pass(&mut self, offsets: Range<i64>) -> Range<i64> {
        let passed = offsets.start.max(self.next_offset)..offsets.end;
        if passed.is_empty() {
            return 0..0;
        }
        self.next_offset = passed.end;
        passed
    }
}

/// Records of one partition in offset order, their bytes in one buffer instead of one allocation each.
#[derive(Debug, Default)]
pub struct RecordBlock {
    /// Of the topic of the readings.
    pub partition: i32,
    /// Which assignment of the partition the records belong to; blocks of an earlier one are stale.
    pub epoch: u64,
    records: Vec<RecordEntry>,
    bytes: Vec<u8>,
    headers: Vec<(usize, RecordHeaders)>,
    header_bytes: usize,
}

/// The name and the value of a header.
pub type Header = (String, Option<Vec<u8>>);

/// Headers; repeated names are allowed.
pub type Headers = Vec<Header>;

/// The headers that a record came with, as far as they are kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RecordHeaders {
    /// In the order they came in; at most `reading.max_header_bytes`.
    pub kept: Headers,
    /// Bytes of the names and values that were left out.
    pub cut_bytes: usize,
}

/// What a header takes beside its own bytes: two allocations and their addresses.
const HEADER_OVERHEAD_BYTES: usize = 96;

/// The memory that headers take.
pub(crate) fn header_memory(headers: &Headers) -> usize {
    let one =
        |(name, value): &Header| name.len() + value.as_ref().map_or(0, Vec::len) + HEADER_OVERHEAD_BYTES;
    headers.iter().map(one).sum()
}

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
    /// Its place in the partition.
    pub offset: i64,
    /// The record's Kafka timestamp in milliseconds since 1970, if it has one.
    pub timestamp_ms: Option<i64>,
    /// Raw bytes; `None` for a null key.
    pub key: Option<&'a [u8]>,
    /// Raw bytes; `None` for a null value, which Kafka calls a tombstone.
    pub value: Option<&'a [u8]>,
    /// As far as they were kept.
    pub headers: &'a [Header],
}

impl<'a> Record<'a> {
    /// The value of the last header of this name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.headers.iter().rev().find(|(known, _)| known == name)?;
        found.1.as_deref()
    }
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

    /// Appends a record; its bytes are copied. It has the headers that are given beside it, whatever it came with.
    pub fn push(&mut self, record: Record<'_>, headers: Option<RecordHeaders>) {
        let key = self.append(record.key);
        let value = self.append(record.value);
        if let Some(headers) = headers {
            self.header_bytes += header_memory(&headers.kept);
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

    /// Bytes of all keys, values and headers.
    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len() + self.header_bytes
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
            headers: self.headers(index).map_or(&[], |headers| &headers.kept),
        }
    }

    /// The headers of the record at `index`; most records have none.
    pub fn headers(&self, index: usize) -> Option<&RecordHeaders> {
        let found = self.headers.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        Some(&self.headers[found].1)
    }

    /// All records in offset order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_ordered_by_key_then_measure() {
        let series = |key, measure| SeriesKey { key, measure };
        let sorted = [
            series("a", None),
            series("a", Some("kw")),
            series("a", Some("v")),
            series("b", None),
        ];
        assert!(sorted.is_sorted());
        for one in sorted {
            assert_eq!(one.to_shared().as_str(), one);
        }
        assert_eq!(series("ab", Some("kw")).byte_count(), 4);
    }

    #[test]
    fn measures_of_a_key_have_hashes_of_their_own() {
        let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        let hash = |key, measure| SeriesKey { key, measure }.hash_by(&hasher);
        assert_eq!(hash("a", None), hasher.hash_one("a"));
        assert_ne!(hash("a", Some("kw")), hash("a", None));
        assert_ne!(hash("a", Some("kw")), hash("ak", Some("w")));
    }

    #[test]
    fn what_was_passed_before_is_not_passed_again() {
        let mut position = Position {
            next_offset: 5,
            largest_event_time_ms: Some(7),
        };
        assert_eq!(position.pass(0..5), 0..0);
        assert_eq!(position.pass(3..9), 5..9);
        assert_eq!(position.pass(12..14), 12..14);
        assert_eq!(
            (position.next_offset, position.largest_event_time_ms),
            (14, Some(7))
        );
    }
}
