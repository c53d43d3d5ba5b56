//! Values on their way in, brought to the type of their setting.

use toml::Value;

use super::error::SettingError;
use super::secret;
use super::settings::Origin;

/// A value on its way in: with the type it was written in, or as text without one.
pub(super) enum Given {
    Value(Value),
    Text(String),
}

impl Given {
    /// Numbers and booleans as text: in a map of texts they need no quotes.
    pub(super) fn without_type(self) -> Self {
        match self {
            Given::Value(value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => {
                Given::Text(value.to_string())
            }
            other => other,
        }
    }
}

/// Whether a setting of this text is a number that may also be "auto"; it needs no quotes around it.
fn takes_numbers(text: &str) -> bool {
    text == "auto" || text.parse::<f64>().is_ok()
}

/// The given text, as a value of the type of `model`.
pub(super) fn convert(
    key: &str,
    model: &Value,
    given: Given,
    origin: &Origin,
) -> Result<Value, SettingError> {
    let (converted, found) = match given {
        Given::Value(value) => {
            let converted = match (model, &value) {
                (Value::Float(_), Value::Integer(whole)) => Some(Value::Float(*whole as f64)),
                (Value::String(text), Value::Integer(_) | Value::Float(_)) if takes_numbers(text) => {
                    Some(Value::String(value.to_string()))
                }
                (_, Value::Array(items)) if takes_one_or_many(key) => {
                    items.iter().all(Value::is_str).then(|| value.clone())
                }
                (_, Value::String(_)) if takes_one_or_many(key) => Some(value.clone()),
                _ => value.same_type(model).then(|| value.clone()),
            };
            (converted, value.to_string())
        }
        Given::Text(text) => {
            let value = match model {
                _ if takes_one_or_many(key) => Some(one_or_list(&text)),
                Value::Array(_) => Some(list(&text)),
                Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
                Value::Float(_) => text.trim().parse().ok().map(Value::Float),
                Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
                _ => Some(Value::String(text.clone())),
            };
            (value, format!("{text:?}"))
        }
    };
    converted.ok_or_else(|| SettingError::Type {
        key: key.to_owned(),
        origin: origin.clone(),
        expected: match model {
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            _ if takes_one_or_many(key) => "a text in quotes or a list of texts",
            Value::Array(_) => "a list of texts",
            _ => "a text in quotes",
        },
        found: if secret::is_secret_key(key) {
            secret::REDACTED.to_owned()
        } else {
            found
        },
    })
}

/// Whether a setting is one text or a list of texts.
fn takes_one_or_many(key: &str) -> bool {
    matches!(key, "reading.key" | "reading.value_field" | "reading.time_format")
}

/// A text, or a list as a settings file has it: `["a", "b"]`.
fn one_or_list(text: &str) -> Value {
    bracketed_list(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn bracketed_list(text: &str) -> Option<Value> {
    let table: toml::Table = text
        .trim()
        .starts_with('[')
        .then(|| format!("list = {text}").parse().ok())??;
    let list = table.get("list").filter(|_| table.len() == 1)?;
    let texts = list.as_array().filter(|items| items.iter().all(Value::is_str));
    texts.map(|_| list.clone())
}

/// A list as a settings file has it or, without brackets and quotes, its texts separated by commas.
fn list(text: &str) -> Value {
    if let Some(list) = bracketed_list(text) {
        return list;
    }
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    Value::Array(texts.map(|text| Value::String(text.to_owned())).collect())
}
