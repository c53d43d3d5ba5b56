//! What commands by which people say something have in common: who says it, and times.

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use clap::Args;

use super::environment;
use crate::config::Config;
use crate::notation::time::{Source, TimeNotation};
use crate::notation::zone::{AmbiguousTime, instant_ms};

/// Flags that say who says something, and why.
#[derive(Debug, Clone, Args)]
pub(super) struct OpinionArgs {
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT")]
    pub(super) why: String,
    /// Who says it [default: the variable USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl OpinionArgs {
    /// Who says it.
    pub(super) fn author(&self) -> anyhow::Result<String> {
        let of_environment = || environment().find(|(name, value)| name == "USER" && !value.is_empty());
        let given = self.by.clone();
        match given.or_else(|| of_environment().map(|(_, value)| value)) {
            Some(name) => Ok(name),
            None => bail!("nobody is named: the variable USER is not set; add --by NAME"),
        }
    }
}

/// The zone of times on the command line, and of those that are shown.
pub(super) fn zone(config: &Config) -> Tz {
    let pipeline = &config.pipeline;
    pipeline.detect.calendar_zone(pipeline.reading.time_zone)
}

/// A time as it is given on the command line; without an offset it is in `zone`.
pub(super) fn parse_time(flag: &str, text: &str, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    let written = TimeNotation::Text.read(Source::Text(text), None);
    let instant = written.and_then(|written| instant_ms(written, zone, AmbiguousTime::Earlier, None));
    let time_ms = instant.with_context(|| format!("cannot read {flag} {text:?} as a time"))?;
    DateTime::from_timestamp_millis(time_ms).with_context(|| format!("{flag} {text:?} is out of range"))
}

/// A time as it is shown.
pub(super) fn shown_time(time: DateTime<Utc>, zone: Tz) -> String {
    time.with_timezone(&zone)
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_an_offset_is_on_the_wall_clock_of_the_zone() {
        let zone = chrono_tz::Europe::Berlin;
        for text in [
            "2026-11-27 08:00",
            "2026-11-27T08:00:00+01:00",
            "2026-11-27T07:00:00Z",
        ] {
            let time = parse_time("--until", text, zone).unwrap();
            assert_eq!(shown_time(time, zone), "2026-11-27T08:00:00+01:00", "{text}");
        }
        let refused = parse_time("--until", "noon", zone).unwrap_err();
        assert!(
            refused.to_string().starts_with("cannot read --until \"noon\""),
            "{refused}"
        );
    }
}
