//! What the value of a reading is.

use super::format::{Found, Scalar, ascii};
use super::settings::{Settings, ValueFormat, ValueKind};
use super::{Reason, Rejection};
use crate::notation::number::{self, DecimalMark, NumberError};
use crate::reading::{LARGEST_VALUE, Value};

/// The most samples that one reading may be the sum of.
const MOST_SAMPLES: i64 = 1_000_000_000;

/// How values are written.
#[derive(Debug, Clone)]
pub(super) struct Values {
    format: ValueFormat,
    decimal: DecimalMark,
    kind: ValueKind,
    /// The name of the field that counts the samples of a sum.
    count: Option<String>,
}

impl Values {
    /// As these settings say.
    pub(super) fn new(settings: &Settings) -> Self {
        Values {
            format: settings.value_format,
            decimal: settings.decimal,
            kind: settings.value_kind,
            count: settings.count_field.0.as_ref().map(ToString::to_string),
        }
    }

    /// The value of a reading whose field is called `name`.
    ///
    /// # Errors
    /// The [`Rejection`] of what is not a number, or not within bounds.
    #[inline]
    pub(super) fn value(&self, name: &str, found: &Found<'_>) -> Result<Value, Rejection> {
        let number = match (&found.value, self.format) {
            (Some(Scalar::Float(number)), ValueFormat::Any) => *number,
            (value, _) => self.number(present(value.as_ref(), name)?, name)?,
        };
        if number.abs() > LARGEST_VALUE {
            let detail = format!("{name} is {number:e}, beyond ±{LARGEST_VALUE:e}");
            return Err(Rejection::new(Reason::OutOfRange, detail));
        }
        if number < 0.0 && self.kind == ValueKind::Counter {
            let detail =
                format!("{name} is {number}, and what a counter shows is not negative (reading.value_kind)");
            return Err(Rejection::new(Reason::OutOfRange, detail));
        }
        // Plus zero makes -0.0 a 0.0, so that minimum and maximum cannot depend on the order of readings.
        let number = number + 0.0;
        match &self.count {
            None => Ok(Value::of_one_sample(number)),
            Some(count_name) => {
                let count = found.beside.as_ref().and_then(|beside| beside.count.as_ref());
                Ok(Value::of_sum(number, self.count(count, count_name)?))
            }
        }
    }

    #[inline]
    fn number(&self, scalar: &Scalar<'_>, name: &str) -> Result<f64, Rejection> {
        match scalar {
            Scalar::Integer(number) if self.format != ValueFormat::Text => Ok(*number as f64),
            Scalar::Float(number) if self.format != ValueFormat::Text => Ok(*number),
            other => self.unusual_number(other, name),
        }
    }

    #[inline(never)]
    fn unusual_number(&self, scalar: &Scalar<'_>, name: &str) -> Result<f64, Rejection> {
        match (self.format, scalar) {
            (_, Scalar::Ascii(text)) => self.unusual_number(&Scalar::Text(ascii(text).into()), name),
            (_, Scalar::Unusable(kind)) => Err(unusable(name, *kind)),
            (ValueFormat::Text, Scalar::Text(text)) => self.text(text, name),
            (ValueFormat::Text, other) => Err(wrong_type(name, "a number as text", other)),
            (_, Scalar::Unsigned(number)) => Ok(*number as f64),
            (ValueFormat::Any, Scalar::Text(text)) => self.text(text, name),
            (ValueFormat::Switch, Scalar::Bool(is_on)) => Ok(f64::from(u8::from(*is_on))),
            (ValueFormat::Switch, Scalar::Text(text)) => match switch(text) {
                Some(number) => Ok(number),
                None => self.text(text, name),
            },
            (ValueFormat::Any, other @ Scalar::Bool(_)) => Err(wrong_type(
                name,
                "a number (reading.value_format = \"switch\" takes true and false)",
                other,
            )),
            (_, other) => Err(wrong_type(name, "a number", other)),
        }
    }

    fn text(&self, text: &str, name: &str) -> Result<f64, Rejection> {
        let shown = || Scalar::Text(text.into()).describe();
        let why = match number::parse(text, self.decimal) {
            Ok(number) if number.is_finite() => return Ok(number),
            Ok(_) => {
                let detail = format!("{name} is {}, a number no double can hold", shown());
                return Err(Rejection::new(Reason::OutOfRange, detail));
            }
            Err(NumberError::Empty) => {
                return Err(Rejection::new(
                    Reason::NullField,
                    format!("{name} is an empty text"),
                ));
            }
            Err(NumberError::NotFinite) => {
                let detail = format!("{name} is {}, not a finite number", shown());
                return Err(Rejection::new(Reason::NotFinite, detail));
            }
            Err(NumberError::NotANumber) => self.hint(text),
            Err(error @ NumberError::HasComma) => {
                format!(": {error}; reading.decimal = \",\" reads the first")
            }
            Err(error @ NumberError::BadGroups) => format!(": {error}; reading.decimal is \",\""),
        };
        let detail = format!("{name} is {}, not a number{why}", shown());
        Err(Rejection::new(Reason::WrongType, detail))
    }

    /// What a text may be that is not a number.
    fn hint(&self, text: &str) -> String {
        if self.format != ValueFormat::Switch && switch(text).is_some() {
            return " (reading.value_format = \"switch\" takes on and off)".to_owned();
        }
        if is_base64(text) {
            return " (base64 of Kafka Connect's Decimal? set decimal.format = NUMERIC in its converter)"
                .to_owned();
        }
        String::new()
    }

    fn count(&self, found: Option<&Scalar<'_>>, name: &str) -> Result<u64, Rejection> {
        let scalar = present(found, name)?;
        let number = match scalar {
            Scalar::Integer(number) => Some(*number),
            Scalar::Float(number) => whole(*number),
            Scalar::Text(text) => number::parse(text, self.decimal).ok().and_then(whole),
            Scalar::Ascii(text) => number::parse(ascii(text), self.decimal).ok().and_then(whole),
            Scalar::Unusable(kind) => return Err(unusable(name, *kind)),
            _ => None,
        };
        match number.filter(|number| (1..=MOST_SAMPLES).contains(number)) {
            Some(number) => Ok(number.unsigned_abs()),
            None => {
                let detail = format!(
                    "{name} is {}, not a count from 1 to {MOST_SAMPLES}",
                    scalar.describe()
                );
                Err(Rejection::new(Reason::WrongType, detail))
            }
        }
    }
}

/// A whole number that is small enough to be exact.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= MOST_SAMPLES as f64).then_some(number as i64)
}

/// What switches say of themselves.
fn switch(text: &str) -> Option<f64> {
    let is = |names: [&str; 2]| names.iter().any(|name| text.trim().eq_ignore_ascii_case(name));
    match () {
        () if is(["on", "true"]) => Some(1.0),
        () if is(["off", "false"]) => Some(0.0),
        () => None,
    }
}

/// Padded, as only base64 is.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && digits.len() < text.len()
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

/// A field that is there and not null.
#[inline]
pub(super) fn present<'f, 'a>(
    field: Option<&'f Scalar<'a>>,
    name: &str,
) -> Result<&'f Scalar<'a>, Rejection> {
    match field {
        None => Err(Rejection::new(
            Reason::MissingField,
            format!("there is no field {name}"),
        )),
        Some(Scalar::Null) => Err(Rejection::new(Reason::NullField, format!("{name} is null"))),
        Some(scalar) => Ok(scalar),
    }
}

/// The rejection of a value of another type.
pub(super) fn wrong_type(name: &str, expected: &str, found: &Scalar<'_>) -> Rejection {
    Rejection::new(
        Reason::WrongType,
        format!("{name} is {}, not {expected}", found.describe()),
    )
}

/// The rejection of a field that holds what no reading can be made of.
pub(super) fn unusable(name: &str, kind: super::format::Unusable) -> Rejection {
    Rejection::new(kind.reason(), format!("{name} is {}", kind.describe()))
}
