//! What the topic of anomalies says of an episode, in the words of notifications.

use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::alerts::{Kind, Notification, Settings, Severity};
use crate::detectors::{self, Anomaly, MessageContext};
use crate::reading::Record;

/// A message of an episode.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transition {
    /// Of the topic of anomalies.
    pub partition: i32,
    /// Whether the episode is over.
    pub is_end: bool,
    /// Whether somebody has said to expect what it is about: nobody is told of it.
    pub is_expected: bool,
    /// Without the id, which depends on who is told.
    pub notification: Notification,
}

/// A message that is no anomaly.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum TransitionError {
    #[error("it is no JSON object")]
    NoObject,
    #[error("the field {0:?} is missing or is no {1}")]
    Field(&'static str, &'static str),
}

/// Of one text from a message; the topic of the router's memory must take a digest of many. The topic of anomalies has it
/// whole.
const MOST_TEXT_BYTES: usize = 1_000;

impl Transition {
    /// What an anomaly says of its episode; `settings` have the page that messages link to.
    pub(crate) fn of(anomaly: &Anomaly, context: &MessageContext, settings: &Settings) -> Self {
        let (step, verdict) = (&anomaly.episode, &anomaly.verdict);
        let is_end = verdict.cause.is_end();
        let message_at = anomaly.local_time();
        let at = |time_ms: i64| {
            let utc = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
            utc.with_timezone(message_at.offset())
        };
        let opened_at = at(step.since_ms);
        let episode = context.id(anomaly.partition, step.opened);
        let link = settings.link_to(&anomaly.key, &episode, opened_at.to_utc());
        let notification = Notification {
            id: String::new(),
            kind: if is_end { Kind::Ended } else { Kind::Opened },
            episode,
            series: Some(anomaly.key.to_string()).filter(|key| !key.is_empty()),
            measure: anomaly.measure.as_deref().map(str::to_owned),
            detector: verdict.detector.to_owned(),
            rule: verdict.cause.rule().map(|rule| rule.to_string()),
            cause: verdict.cause.name().to_owned(),
            severity: match anomaly.severity() {
                detectors::Severity::Critical => Severity::Critical,
                detectors::Severity::Cleared
                | detectors::Severity::Expected
                | detectors::Severity::Warning => Severity::Warning,
            },
            opened_at,
            at: step.until_ms.map_or(message_at, at),
            value: anomaly.observed(),
            expected: verdict.expected,
            lower: verdict.lower,
            upper: verdict.upper,
            unit: context.unit.clone(),
            explanation: anomaly.explanation(&context.unit),
            link,
            is_test: false,
        };
        Transition {
            partition: anomaly.partition,
            is_end,
            is_expected: anomaly.severity() == detectors::Severity::Expected,
            notification,
        }
    }

    /// What a message of the topic of anomalies says. Texts are cut that are longer than anybody reads.
    ///
    /// # Errors
    /// [`TransitionError`] if it is none of ours.
    pub(crate) fn read(
        partition: i32,
        record: Record<'_>,
        context: &MessageContext,
        settings: &Settings,
    ) -> Result<Self, TransitionError> {
        let message: Value = serde_json::from_slice(record.value.unwrap_or_default())
            .map_err(|_| TransitionError::NoObject)?;
        let fields = Fields(message.as_object().ok_or(TransitionError::NoObject)?);
        let is_end = fields.needed("phase")? == "ended";
        let severity = fields.needed("severity")?;
        let opened_at = fields
            .time("since")?
            .ok_or(TransitionError::Field("since", TIME))?;
        let message_at = fields.time("ts")?.ok_or(TransitionError::Field("ts", TIME))?;
        let episode = fields.needed("episode")?.to_owned();
        let series = fields.text("key");
        let rule = record
            .header("ce_rule")
            .map(|rule| cut(&String::from_utf8_lossy(rule)));
        Ok(Transition {
            partition,
            is_end,
            is_expected: severity == detectors::Severity::Expected.name(),
            notification: Notification {
                id: String::new(),
                kind: if is_end { Kind::Ended } else { Kind::Opened },
                link: settings.link_to(series.unwrap_or_default(), &episode, opened_at.to_utc()),
                episode,
                series: series.map(cut),
                measure: fields.text("measure").map(cut),
                detector: cut(fields.needed("detector")?),
                rule,
                cause: cut(fields.needed("cause")?),
                severity: match severity {
                    "critical" => Severity::Critical,
                    _ => Severity::Warning,
                },
                opened_at,
                at: fields.time("until")?.unwrap_or(message_at),
                value: fields.number(&context.value_name),
                expected: fields.number("expected"),
                lower: fields.number("lower"),
                upper: fields.number("upper"),
                unit: context.unit.clone(),
                explanation: cut(fields.needed("explanation")?),
                is_test: false,
            },
        })
    }
}

const TEXT: &str = "text";
const TIME: &str = "time with an offset";

/// A message's fields. Those that are null say nothing.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    fn needed(&self, name: &'static str) -> Result<&'a str, TransitionError> {
        self.text(name).ok_or(TransitionError::Field(name, TEXT))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    fn time(&self, name: &'static str) -> Result<Option<DateTime<FixedOffset>>, TransitionError> {
        let text = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value.as_str().ok_or(TransitionError::Field(name, TIME))?,
        };
        let time = DateTime::parse_from_rfc3339(text);
        time.map(Some).map_err(|_| TransitionError::Field(name, TIME))
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MOST_TEXT_BYTES {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(MOST_TEXT_BYTES);
    format!("{}…", &text[..kept])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::config_of;
    use crate::detection::{DetectionOperator, Findings};
    use crate::reading::{RecordBlock, RecordHeaders};

    /// What a rule and the detector find in a quiet stream with a spike, and their ends.
    fn found() -> Findings {
        let config = config_of(&[
            ("reading.key", "message"),
            ("reading.max_behind", "100y"),
            ("detect.input", "readings"),
            ("detect.rules.*", "above 90"),
        ]);
        let spec = config.pipeline.detection_spec().unwrap();
        let mut operator = DetectionOperator::new(spec);
        operator.assign(2, 1, 0, 0);
        let mut block = RecordBlock::new(2, 1);
        for minute in 0..200 {
            let value = if minute == 100 { 95 } else { 20 };
            let text = format!(
                "{{\"ts\":\"2026-11-27T{:02}:{:02}:00Z\",\"value\":{value}}}",
                minute / 60,
                minute % 60
            );
            let record = Record {
                offset: minute,
                timestamp_ms: Some(1_795_737_600_000 + minute * 60_000),
                key: Some(b"boiler-7"),
                value: Some(text.as_bytes()),
                headers: &[],
            };
            block.push(record, None);
        }
        let found = operator.step(&block);
        assert_eq!(found.rejected, []);
        found
    }

    #[test]
    fn a_published_anomaly_says_what_it_says_before_it_is_published() {
        let settings = config_of(&[(
            "alert.link",
            "https://meters.example/{series}/{episode}/{from_ms}",
        )])
        .alert;
        let context = MessageContext {
            topic: "usage".to_owned(),
            group: "streamgauge-detect".to_owned(),
            unit: "°C".to_owned(),
            value_name: "value".to_owned(),
        };
        let anomalies = found().anomalies;
        assert!(anomalies.len() >= 2, "{anomalies:?}");
        for anomaly in anomalies {
            let (json, kept) = (anomaly.json(&context), anomaly.headers(&context));
            let mut block = RecordBlock::new(2, 1);
            let record = Record {
                offset: 0,
                timestamp_ms: None,
                key: anomaly.message_key(),
                value: Some(json.as_bytes()),
                headers: &[],
            };
            let headers = RecordHeaders { kept, cut_bytes: 0 };
            block.push(record, Some(headers));
            let read = Transition::read(2, block.record(0), &context, &settings).unwrap();
            assert_eq!(read, Transition::of(&anomaly, &context, &settings));
        }
    }

    #[test]
    fn what_is_no_anomaly_says_which_field_is_missing_and_long_texts_are_cut() {
        let settings = config_of(&[]).alert;
        let context = config_of(&[]).pipeline.message_context();
        let read = |value: &[u8]| {
            let record = Record {
                offset: 0,
                timestamp_ms: None,
                key: None,
                value: Some(value),
                headers: &[],
            };
            Transition::read(0, record, &context, &settings)
        };
        let message = |since: &str, key: &str| {
            format!(
                "{{\"ts\":\"2026-11-27T07:33:00+01:00\",\"phase\":\"opened\",\"since\":{since},\"episode\":\"usage/0/1/0\",\
                 \"key\":\"{key}\",\"detector\":\"rules\",\"cause\":\"rule_began\",\"severity\":\"warning\",\"explanation\":\"x\"}}"
            )
        };
        for (value, complaint) in [
            (&b"\xff"[..], "it is no JSON object"),
            (b"[1]", "it is no JSON object"),
            (b"{}", "the field \"phase\" is missing or is no text"),
            (
                message("7", "a").as_bytes(),
                "the field \"since\" is missing or is no time with an offset",
            ),
            (
                message("\"today\"", "a").as_bytes(),
                "the field \"since\" is missing or is no time with an offset",
            ),
        ] {
            assert_eq!(read(value).unwrap_err().to_string(), complaint);
        }
        let long: Arc<str> = "ü".repeat(5_000).into();
        let read = read(message("\"2026-11-27T07:33:00+01:00\"", &long).as_bytes()).unwrap();
        assert_eq!(read.notification.series.unwrap(), format!("{}…", "ü".repeat(500)));
    }
}
