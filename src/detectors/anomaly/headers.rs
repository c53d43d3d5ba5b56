//! The headers that make a message a CloudEvent: version 1.0 of the specification, in the binary mode of its Kafka
//! protocol binding. The attributes are headers named `ce_…`, and the value is the data.

use chrono::SecondsFormat;

use super::{Anomaly, MessageId, utc};
use crate::reading::Headers;

/// The type of the events. CloudEvents recommends a reverse DNS name as prefix; the program has no domain.
const TYPE: &str = "streamgauge.anomaly";

/// The parts of a message that all anomalies of a process share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageContext {
    /// The topic of the readings.
    pub topic: String,
    /// The consumer group of the detection: two groups on one topic are two sources of events.
    pub group: String,
    /// The unit of the values, or empty.
    pub unit: String,
    /// The name of the field that holds the judged value.
    pub value_name: String,
}

impl MessageContext {
    /// The id of a message that a record of this partition gave rise to.
    pub fn id(&self, partition: i32, message: MessageId) -> String {
        let MessageId { offset, index } = message;
        format!("{}/{partition}/{offset}/{index}", self.topic)
    }
}

impl Anomaly {
    /// The message's headers. `ce_source` and `ce_id` together are the same whenever the record is judged again,
    /// and no other message has them.
    pub fn headers(&self, context: &MessageContext) -> Headers {
        let MessageContext { topic, group, .. } = context;
        let partition = self.partition;
        let source = format!("/groups/{}/topics/{topic}/partitions/{partition}", encoded(group));
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", TYPE.to_owned()),
            ("ce_source", source),
            ("ce_id", context.id(partition, self.episode.message)),
            (
                "ce_time",
                utc(self.event_time_ms).to_rfc3339_opts(SecondsFormat::AutoSi, true),
            ),
        ];
        headers.extend(self.key().map(|key| ("ce_subject", key.to_owned())));
        headers.push(("ce_episode", context.id(partition, self.episode.opened)));
        headers.push(("ce_phase", self.episode.phase.name().to_owned()));
        headers.extend(
            self.verdict
                .cause
                .rule()
                .map(|rule| ("ce_rule", rule.to_string())),
        );
        headers.push(("content-type", "application/json".to_owned()));
        headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value.into_bytes())))
            .collect()
    }
}

/// A text as one segment of a URI's path: all but its unreserved characters are percent-encoded (RFC 3986).
fn encoded(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment += &format!("%{byte:02X}");
        }
    }
    segment
}
