//! Side outputs as messages: the record's original key, value and headers, and headers for origin and reason.

use std::ops::Range;

use chrono::{DateTime, SecondsFormat};
use tracing::warn;

use super::super::sink::LOG_INTERVAL;
use crate::aggregation::{Fate, SideOutput};
use crate::clock;
use crate::decode::{Reason, Rejection};
use crate::kafka::SourceSettings;
use crate::output_record::{OWN_PREFIX, OutputRecord, cut_headers, own_header, sendable_value};
use crate::reading::{Headers, RecordBlock, RecordHeaders};
use crate::telemetry::LogLimiter;

/// Side outputs that wait for the next commit.
#[derive(Debug)]
pub(super) struct SideOutputs {
    topic: String,
    late_topic: String,
    dead_letter_topic: String,
    waiting: Vec<OutputRecord>,
    byte_count: usize,
    log_limiter: LogLimiter<&'static str>,
}

impl SideOutputs {
    /// No side outputs yet, for the topics of the settings.
    pub(super) fn new(source: &SourceSettings) -> Self {
        SideOutputs {
            topic: source.topic.clone(),
            late_topic: source.late_topic(),
            dead_letter_topic: source.dead_letter_topic(),
            waiting: Vec::new(),
            byte_count: 0,
            log_limiter: LogLimiter::new(LOG_INTERVAL),
        }
    }

    /// The bytes of memory that the waiting side outputs take.
    pub(super) fn byte_count(&self) -> usize {
        self.byte_count
    }

    /// Adds the records of a block that were not aggregated.
    pub(super) fn add(&mut self, block: &RecordBlock, side_outputs: Vec<SideOutput>) {
        for SideOutput { index, fate } in side_outputs {
            let record = block.record(index);
            let mut headers = block.headers(index).map_or(Headers::new(), foreign_headers);
            headers.extend(self.origin(block.partition, record.offset, record.timestamp_ms));
            let topic = match fate {
                Fate::Late {
                    watermark_ms,
                    readings,
                } => {
                    let detail = format!(
                        "its window ended at or before the watermark {}",
                        time(watermark_ms)
                    );
                    self.log("late", &detail, block.partition, record.offset);
                    headers.extend(reason("window", "late", &detail));
                    if !readings.is_empty() {
                        headers.push(own_header("readings", &readings.to_string()));
                    }
                    &self.late_topic
                }
                Fate::Dead(Rejection { reason: kind, detail }) => {
                    self.log(kind.name(), &detail, block.partition, record.offset);
                    headers.extend(reason("decode", kind.name(), &detail));
                    &self.dead_letter_topic
                }
            };
            let topic = topic.clone();
            let value = record.value.map(|value| {
                let (value, said) = sendable_value(value);
                if !said.is_empty() && self.log_limiter.admit("cut", clock::instant()).is_some() {
                    let (partition, offset) = (block.partition, record.offset);
                    warn!(
                        partition,
                        offset, "a side output was larger than any message, and was cut"
                    );
                }
                headers.extend(said);
                value
            });
            self.push(OutputRecord {
                topic,
                partition: block.partition,
                offset: record.offset,
                key: record.key.map(<[u8]>::to_vec),
                value,
                headers,
                brief: None,
            });
        }
    }

    /// Adds a side output that stands for records that cannot be unpacked: it names their offsets, and has no value.
    pub(super) fn add_undecodable(&mut self, partition: i32, offsets: Range<i64>, cause: &str) {
        if offsets.is_empty() {
            return;
        }
        let Rejection { reason: kind, detail } = Rejection::new(Reason::Undecodable, cause);
        let last_offset = (offsets.end - 1).to_string();
        warn!(
            kind = kind.name(),
            partition,
            offset = offsets.start,
            last_offset,
            "not aggregated: {detail}"
        );
        let mut headers = self.origin(partition, offsets.start, None);
        headers.push(own_header("last_offset", &last_offset));
        headers.extend(reason("consume", kind.name(), &detail));
        self.push(OutputRecord {
            topic: self.dead_letter_topic.clone(),
            partition,
            offset: offsets.start,
            key: None,
            value: None,
            headers,
            brief: None,
        });
    }

    fn push(&mut self, output: OutputRecord) {
        self.byte_count += output.memory_bytes();
        self.waiting.push(output);
    }

    /// Logs what was not aggregated and why, once a minute for each kind (I8).
    fn log(&mut self, kind: &'static str, detail: &str, partition: i32, offset: i64) {
        if let Some(suppressed) = self.log_limiter.admit(kind, clock::instant()) {
            warn!(
                kind,
                partition,
                offset,
                suppressed = suppressed,
                "not aggregated: {detail}"
            );
        }
    }

    /// Takes all side outputs out.
    pub(super) fn take(&mut self) -> Vec<OutputRecord> {
        self.byte_count = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Drops a partition's side outputs: its next consumer makes them again.
    pub(super) fn drop_partition(&mut self, partition: i32) {
        self.waiting.retain(|output| output.partition != partition);
        self.byte_count = self.waiting.iter().map(OutputRecord::memory_bytes).sum();
    }

    /// Drops all side outputs.
    pub(super) fn clear(&mut self) {
        self.take();
    }

    /// The origin of a side output's record, as headers. The id is the same whenever the record is read again.
    fn origin(&self, partition: i32, offset: i64, timestamp_ms: Option<i64>) -> Headers {
        let mut headers = vec![
            own_header("id", &format!("{}/{partition}/{offset}", self.topic)),
            own_header("topic", &self.topic),
            own_header("partition", &partition.to_string()),
            own_header("offset", &offset.to_string()),
        ];
        headers.extend(timestamp_ms.map(|timestamp_ms| own_header("timestamp", &timestamp_ms.to_string())));
        headers
    }
}

fn time(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms).map_or("of no time".to_owned(), |time| {
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    })
}

fn reason(stage: &str, reason: &str, detail: &str) -> Headers {
    vec![
        own_header("stage", stage),
        own_header("reason", reason),
        own_header("detail", detail),
    ]
}

/// A record's own headers. Those named like ours get another name, so that a side output's origin cannot be forged.
fn foreign_headers(headers: &RecordHeaders) -> Headers {
    let mut foreign = headers.kept.clone();
    for (name, _) in &mut foreign {
        if name.trim_start().to_ascii_lowercase().starts_with(OWN_PREFIX) {
            name.insert_str(0, "original.");
        }
    }
    foreign.extend(cut_headers(headers.cut_bytes));
    foreign
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregation::ReadingIndices;
    use crate::config::{Overrides, load};
    use crate::reading::Record;

    fn side_outputs() -> SideOutputs {
        SideOutputs::new(
            &load(&Overrides::default(), None, [])
                .unwrap()
                .config
                .pipeline
                .source,
        )
    }

    fn dead(side_outputs: &mut SideOutputs, partition: i32, headers: RecordHeaders, value: &[u8]) {
        let mut block = RecordBlock::new(partition, 1);
        let record = Record {
            offset: 7,
            timestamp_ms: Some(5),
            key: None,
            value: Some(value),
            headers: &[],
        };
        block.push(record, Some(headers));
        let fate = Fate::Dead(Rejection::new(Reason::InvalidJson, "no JSON"));
        side_outputs.add(&block, vec![SideOutput { index: 0, fate }]);
    }

    fn texts(output: &OutputRecord) -> Vec<(&str, String)> {
        let text = |value: &Option<Vec<u8>>| {
            String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
        };
        output
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect()
    }

    #[test]
    fn the_origin_of_a_side_output_cannot_be_forged() {
        let mut side_outputs = side_outputs();
        let forged = |name: &str| (name.to_owned(), Some(b"forged".to_vec()));
        let headers = RecordHeaders {
            kept: vec![
                forged("streamgauge.id"),
                forged("StreamGauge.reason"),
                forged("trace"),
            ],
            cut_bytes: 12,
        };
        dead(&mut side_outputs, 3, headers, b"{");
        let output = &side_outputs.take()[0];
        let headers = texts(output);
        let of = |name: &str| -> Vec<&str> {
            let same = headers.iter().filter(|(other, _)| *other == name);
            same.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(of("streamgauge.id"), ["usage/3/7"]);
        assert_eq!(of("streamgauge.reason"), ["invalid_json"]);
        assert_eq!(of("original.streamgauge.id"), ["forged"]);
        assert_eq!(of("original.StreamGauge.reason"), ["forged"]);
        assert_eq!(of("trace"), ["forged"]);
        assert_eq!(of("streamgauge.headers_cut"), ["12"]);
    }

    #[test]
    fn a_late_record_of_several_readings_names_the_late_ones() {
        let mut side_outputs = side_outputs();
        let mut block = RecordBlock::new(3, 1);
        let record = Record {
            offset: 7,
            timestamp_ms: Some(5),
            key: None,
            value: Some(b"[]"),
            headers: &[],
        };
        block.push(record, None);
        let late = |places: &[usize]| {
            let mut readings = ReadingIndices::default();
            places.iter().for_each(|place| readings.push(*place));
            let watermark_ms = 0;
            vec![SideOutput {
                index: 0,
                fate: Fate::Late {
                    watermark_ms,
                    readings,
                },
            }]
        };
        side_outputs.add(&block, late(&[0, 1, 5]));
        side_outputs.add(&block, late(&[]));
        let outputs = side_outputs.take();
        let readings = ("streamgauge.readings", "0-1,5".to_owned());
        assert!(texts(&outputs[0]).contains(&readings));
        let of_one = texts(&outputs[1]);
        assert!(of_one.iter().all(|(name, _)| *name != "streamgauge.readings"));
    }

    #[test]
    fn what_waits_is_counted_with_its_headers() {
        let mut side_outputs = side_outputs();
        let many = RecordHeaders {
            kept: vec![("h".to_owned(), Some(vec![0; 10])); 1000],
            cut_bytes: 0,
        };
        dead(&mut side_outputs, 0, many.clone(), b"{");
        assert!(
            side_outputs.byte_count() > 100_000,
            "{}",
            side_outputs.byte_count()
        );
        let one = side_outputs.byte_count();
        dead(&mut side_outputs, 1, many, b"{");
        side_outputs.drop_partition(0);
        assert!((one - 100..=one + 100).contains(&side_outputs.byte_count()));
        side_outputs.drop_partition(1);
        assert_eq!(side_outputs.byte_count(), 0);
    }

    #[test]
    fn a_value_no_producer_sends_is_not_even_copied() {
        let mut side_outputs = side_outputs();
        dead(
            &mut side_outputs,
            0,
            RecordHeaders::default(),
            &vec![b'x'; 40_000_000],
        );
        assert!(side_outputs.byte_count() < 100_000);
        let output = &side_outputs.take()[0];
        assert!(texts(output).contains(&("streamgauge.truncated", "40000000".to_owned())));
    }
}
