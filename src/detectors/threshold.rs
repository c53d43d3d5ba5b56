//! The score from which on a reading is an anomaly.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::settings::Value;

/// `detect.threshold`: `auto`, or a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// The detector's own.
    Auto,
    /// A score of the settings, on the detector's own scale.
    Score(f64),
}

impl Threshold {
    /// The score, given the detector's own.
    pub fn or(self, own: f64) -> f64 {
        match self {
            Threshold::Auto => own,
            Threshold::Score(score) => score,
        }
    }
}

impl From<Threshold> for Value<'static> {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Auto => Value::Text("auto"),
            Threshold::Score(score) => Value::Float(score),
        }
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Threshold::Auto => serializer.serialize_str("auto"),
            Threshold::Score(score) => serializer.collect_str(score),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(Threshold::Auto);
        }
        match text.trim().parse::<f64>() {
            Ok(score) if score.is_finite() => Ok(Threshold::Score(score)),
            _ => Err(de::Error::custom(format!(
                "{text:?} is neither \"auto\" nor a number"
            ))),
        }
    }
}
