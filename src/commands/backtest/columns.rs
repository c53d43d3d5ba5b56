//! Which columns of a CSV hold the time and the value, where nobody said so.

use crate::playback::{Columns, Error};

/// What the columns of a time and of a value are commonly called, the likeliest first.
const TIMES: [&str; 8] = [
    "timestamp",
    "ts",
    "time",
    "datetime",
    "date_time",
    "event_time",
    "start",
    "date",
];
const VALUES: [&str; 8] = [
    "value",
    "usage",
    "val",
    "reading",
    "measurement",
    "y",
    "kw",
    "amount",
];
/// What such names may have in them.
const PARTS_OF_TIMES: [&str; 3] = ["timestamp", "time", "date"];
const PARTS_OF_VALUES: [&str; 3] = ["value", "usage", "reading"];

/// The columns that the command line names.
#[derive(Debug, Clone, Default)]
pub struct Named {
    pub time: Option<String>,
    pub value: Option<String>,
    pub key: Option<String>,
}

impl Named {
    /// The columns to read a CSV with this heading by: as named, else as `play` takes them, else by their names.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`] with the columns there are, if one cannot be told from its name.
    pub fn resolve(&self, heading: &[String]) -> Result<Columns, Error> {
        let default = Columns::default();
        let time = self
            .time
            .clone()
            .map_or_else(|| guess(heading, &default.time, &TIMES, &PARTS_OF_TIMES, &[]), Ok)?;
        let taken = [Some(&time), self.key.as_ref()].map(|name| name.map_or("", String::as_str));
        let value = self.value.clone().map_or_else(
            || guess(heading, &default.value, &VALUES, &PARTS_OF_VALUES, &taken),
            Ok,
        )?;
        Ok(Columns {
            time,
            value,
            key: self.key.clone(),
        })
    }

    /// Whether the command line leaves nothing to be guessed.
    pub fn is_complete(&self) -> bool {
        self.time.is_some() && self.value.is_some()
    }
}

fn guess(
    heading: &[String],
    default: &str,
    names: &[&str],
    parts: &[&str],
    taken: &[&str],
) -> Result<String, Error> {
    let free = || heading.iter().filter(|name| !taken.contains(&name.as_str()));
    let exact = |wanted: &&str| free().find(|name| name.eq_ignore_ascii_case(wanted));
    let partial = |part: &&str| free().find(|name| name.to_lowercase().contains(part));
    free()
        .find(|name| *name == default)
        .or_else(|| names.iter().find_map(exact))
        .or_else(|| parts.iter().find_map(partial))
        .cloned()
        .ok_or_else(|| Error::UnknownColumn {
            wanted: default.to_owned(),
            known: if heading.is_empty() {
                "none: the file is empty".to_owned()
            } else {
                heading.join(", ")
            },
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(heading: &str, named: &Named) -> Result<(String, String), String> {
        let heading: Vec<String> = heading.split(',').map(str::to_owned).collect();
        let columns = named.resolve(&heading).map_err(|error| error.to_string())?;
        Ok((columns.time, columns.value))
    }

    #[test]
    fn columns_are_told_by_their_names() {
        let named = Named::default();
        for (heading, time, value) in [
            (
                "usage_datetime_start_eastern_time,usage_datetime_end_eastern_time,usage_kw",
                "usage_datetime_start_eastern_time",
                "usage_kw",
            ),
            ("timestamp,value", "timestamp", "value"),
            ("value,meter,TS", "TS", "value"),
            ("date,Usage", "date", "Usage"),
            ("Reading Time,Reading Value", "Reading Time", "Reading Value"),
            ("usage_time,usage", "usage_time", "usage"),
        ] {
            let expected = Ok((time.to_owned(), value.to_owned()));
            assert_eq!(resolve(heading, &named), expected, "{heading}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error_with_the_columns_there_are() {
        let error = resolve("a,b", &Named::default()).unwrap_err();
        assert!(error.ends_with("its columns are: a, b"), "{error}");
        let named = Named {
            value: Some("b".to_owned()),
            ..Named::default()
        };
        assert!(resolve("time,a,b", &named).is_ok_and(|(_, value)| value == "b"));
    }
}
