//! Settings that are a choice of names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decode::payload::Wrapping;
use crate::notation::number::DecimalMark;
use crate::notation::time::{DateOrder, TimeNotation};
use crate::settings::OneOrMany;

/// How a record's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatName {
    /// JSON: one value in a record, or one on each line.
    Json,
    /// InfluxDB's line protocol.
    Influx,
    /// OpenTelemetry's metrics as JSON.
    OtlpJson,
    /// OpenTelemetry's metrics in Protobuf.
    OtlpProto,
    /// Avro, by the schema whose id is in front of it or by one that is given.
    Avro,
}

impl FormatName {
    /// The name that settings and fingerprints have for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FormatName::Json => "json",
            FormatName::Influx => "influx",
            FormatName::OtlpJson => "otlp-json",
            FormatName::OtlpProto => "otlp-proto",
            FormatName::Avro => "avro",
        }
    }

    /// Whether records are bytes and not text.
    pub(crate) fn is_binary(self) -> bool {
        self.wrapping() != Wrapping::Text
    }

    /// What may be around a record.
    pub(in crate::decode) fn wrapping(self) -> Wrapping {
        match self {
            FormatName::Json | FormatName::Influx | FormatName::OtlpJson => Wrapping::Text,
            FormatName::OtlpProto => Wrapping::Bytes,
            FormatName::Avro => Wrapping::None,
        }
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueFormat {
    /// A number, or text that is one.
    Any,
    /// A number; text is refused.
    Number,
    /// Text that is a number.
    Text,
    /// `on` and `true` are 1, `off` and `false` 0; numbers are themselves.
    Switch,
}

impl ValueFormat {
    /// The name that fingerprints have for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            ValueFormat::Any => "any",
            ValueFormat::Number => "number",
            ValueFormat::Text => "text",
            ValueFormat::Switch => "switch",
        }
    }
}

/// How a message key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFormat {
    /// UTF-8 text.
    Text,
    /// Eight bytes, the highest first.
    Long,
    /// Four bytes, the highest first.
    Int,
}

impl KeyFormat {
    /// The name that fingerprints have for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            KeyFormat::Text => "text",
            KeyFormat::Long => "long",
            KeyFormat::Int => "int",
        }
    }
}

/// Which end of its interval a reading's time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamp {
    /// A reading of 01:00 belongs to the window that starts at 01:00.
    Start,
    /// A reading of 01:00 belongs to the window that ends at 01:00.
    End,
}

impl Stamp {
    /// The name that fingerprints have for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Stamp::Start => "start",
            Stamp::End => "end",
        }
    }
}

/// What the values of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    /// What is so at the moment: a temperature, a power. Windows have its average.
    Gauge,
    /// What has been counted since a meter began: its register. Windows have its increase.
    Counter,
}

impl ValueKind {
    /// The name that settings, fingerprints and tables have for it.
    pub fn name(self) -> &'static str {
        match self {
            ValueKind::Gauge => "gauge",
            ValueKind::Counter => "counter",
        }
    }
}

/// Whether the day or the month comes first in dates such as `05/03/2024`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DateOrderName {
    /// Such dates are refused.
    #[serde(rename = "")]
    Unknown,
    /// `05/03/2024` is in March.
    #[serde(rename = "dmy")]
    DayFirst,
    /// `05/03/2024` is in May.
    #[serde(rename = "mdy")]
    MonthFirst,
}

impl DateOrderName {
    /// The name that fingerprints have for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            DateOrderName::Unknown => "",
            DateOrderName::DayFirst => "dmy",
            DateOrderName::MonthFirst => "mdy",
        }
    }

    /// The order, if one is set.
    pub(crate) fn order(self) -> Option<DateOrder> {
        match self {
            DateOrderName::Unknown => None,
            DateOrderName::DayFirst => Some(DateOrder::DayFirst),
            DateOrderName::MonthFirst => Some(DateOrder::MonthFirst),
        }
    }
}

/// The name that fingerprints have for a decimal mark.
pub(super) fn decimal_name(mark: DecimalMark) -> &'static str {
    match mark {
        DecimalMark::Point => ".",
        DecimalMark::Comma => ",",
    }
}

/// How times are written: one way or several, of which the first that reads a time counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct TimeFormats {
    setting: OneOrMany,
    notations: Vec<TimeNotation>,
}

impl TimeFormats {
    /// The ways in the order of the setting; at least one.
    pub(crate) fn notations(&self) -> &[TimeNotation] {
        &self.notations
    }
}

impl TryFrom<OneOrMany> for TimeFormats {
    type Error = String;

    fn try_from(setting: OneOrMany) -> Result<Self, String> {
        let notations = setting
            .texts()
            .iter()
            .map(|text| TimeNotation::parse(text))
            .collect::<Result<Vec<_>, _>>()?;
        if notations.is_empty() {
            return Err("the list must name a format at least".to_owned());
        }
        Ok(TimeFormats { setting, notations })
    }
}

impl From<TimeFormats> for OneOrMany {
    fn from(formats: TimeFormats) -> OneOrMany {
        formats.setting
    }
}

impl fmt::Display for TimeFormats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setting.fmt(formatter)
    }
}
