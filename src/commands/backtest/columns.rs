//! Which columns of a CSV hold the time and the value, where nobody said so.

use thiserror::Error;

use crate::playback::Columns;

/// What the columns of a time and of a value are commonly called, the likeliest first.
const TIMES: &[&str] = &[
    "timestamp",
    "ts",
    "time",
    "datetime",
    "date_time",
    "event_time",
    "start",
    "date",
    "at",
];
const VALUES: &[&str] = &[
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
const PARTS_OF_TIMES: &[&str] = &["timestamp", "time", "date"];
const PARTS_OF_VALUES: &[&str] = &["value", "usage", "reading"];

/// A heading in which nothing looks like a column that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("none of the CSV's columns looks like the {what}: name it with --{what}-column; they are: {}", self.known())]
pub struct NoSuchColumn {
    what: &'static str,
    heading: Vec<String>,
}

impl NoSuchColumn {
    fn known(&self) -> String {
        if self.heading.is_empty() {
            "none, the file is empty".to_owned()
        } else {
            self.heading.join(", ")
        }
    }
}

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
    /// [`NoSuchColumn`] with the columns there are, if one cannot be told from its name.
    pub fn resolve(&self, heading: &[String]) -> Result<Columns, NoSuchColumn> {
        let default = Columns::default();
        let missing = |what| NoSuchColumn {
            what,
            heading: heading.to_vec(),
        };
        let free = free_of(heading, [self.value.as_ref(), self.key.as_ref()]);
        let time = self
            .time
            .clone()
            .or_else(|| guess(&free, &default.time, TIMES, PARTS_OF_TIMES))
            .ok_or_else(|| missing("time"))?;
        let free = free_of(heading, [Some(&time), self.key.as_ref()]);
        let value = self
            .value
            .clone()
            .or_else(|| guess(&free, &default.value, VALUES, PARTS_OF_VALUES))
            .ok_or_else(|| missing("value"))?;
        let key = self.key.clone();
        Ok(Columns { time, value, key })
    }

    /// What was guessed of these columns, in words; `None` if nothing was.
    pub fn guessed(&self, columns: &Columns) -> Option<String> {
        let default = Columns::default();
        let time = (self.time.is_none() && columns.time != default.time)
            .then(|| format!("the time is taken from column {:?} (--time-column)", columns.time));
        let value = (self.value.is_none() && columns.value != default.value).then(|| {
            format!(
                "the value is taken from column {:?} (--value-column)",
                columns.value
            )
        });
        let words: Vec<String> = time.into_iter().chain(value).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// The columns that are not taken already.
fn free_of<'a>(heading: &'a [String], taken: [Option<&String>; 2]) -> Vec<&'a String> {
    let is_free = |name: &&String| !taken.contains(&Some(*name));
    heading.iter().filter(is_free).collect()
}

fn guess(free: &[&String], default: &str, names: &[&str], parts: &[&str]) -> Option<String> {
    let exact = |wanted: &&str| free.iter().find(|name| name.eq_ignore_ascii_case(wanted));
    let partial = |part: &&str| free.iter().find(|name| name.to_lowercase().contains(part));
    free.iter()
        .find(|name| **name == default)
        .or_else(|| names.iter().find_map(exact))
        .or_else(|| parts.iter().find_map(partial))
        .map(|name| (*name).clone())
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
        let error = resolve("time,b", &Named::default()).unwrap_err();
        let expected =
            "none of the CSV's columns looks like the value: name it with --value-column; they are: time, b";
        assert_eq!(error, expected);
        let named = Named {
            value: Some("b".to_owned()),
            ..Named::default()
        };
        assert!(resolve("time,a,b", &named).is_ok_and(|(_, value)| value == "b"));
    }

    #[test]
    fn only_what_was_guessed_is_told() {
        let columns = |time: &str, value: &str| Columns {
            time: time.to_owned(),
            value: value.to_owned(),
            key: None,
        };
        let default = Columns::default();
        let named = Named {
            value: Some("load".to_owned()),
            ..Named::default()
        };
        for (named, columns, expected) in [
            (&Named::default(), default.clone(), None),
            (&named, columns(&default.time, "load"), None),
            (
                &named,
                columns("ts", "load"),
                Some("the time is taken from column \"ts\" (--time-column)"),
            ),
        ] {
            assert_eq!(named.guessed(&columns).as_deref(), expected);
        }
    }
}
