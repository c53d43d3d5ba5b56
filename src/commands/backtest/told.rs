//! What each receiver of alerts would have been told, and when.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, NaiveDate, Utc};
use indicatif::HumanCount;

use super::Tested;
use super::output::CANNOT_WRITE;
use crate::alerts::{self, Message, Router, Telling, Transition};
use crate::commands::text_table::{Align, TextTable};
use crate::config::Config;
use crate::detectors::MessageContext;
use crate::printable::printable;

/// Tells a router of everything that was found, as if each reading had come at its own time.
///
/// # Errors
/// If there is nobody to tell.
pub(super) fn told(tested: &[Tested], config: &Config) -> Result<Vec<Telling>> {
    let settings = &config.alert;
    if settings.receivers.is_empty() {
        bail!(
            "there is nobody to tell: the settings have no [[alert.receiver]]; add one, such as \
             --set alert.receiver.ops.kind=slack --set alert.receiver.ops.url=https://hooks.slack.com/services/T/B/x"
        );
    }
    let detect = &config.pipeline.detect;
    let zone = detect.calendar_zone(config.pipeline.reading.time_zone);
    let mut history = Vec::new();
    for tested in tested {
        // Episodes are numbered within their file.
        let context = MessageContext {
            topic: tested.source.name.clone(),
            ..config.pipeline.message_context()
        };
        let found = tested.series.iter().flat_map(|series| &series.alerts);
        history.extend(found.map(|alert| {
            let (anomaly, message) = (&alert.anomaly, alert.anomaly.episode.message);
            let at = DateTime::from_timestamp_millis(anomaly.event_time_ms).unwrap_or_default();
            (at, message, Transition::of(anomaly, &context, settings))
        }));
    }
    history.sort_by_key(|(at, message, _)| (*at, *message));
    let router = Router::new(settings, zone)?;
    Ok(router.replay(history.into_iter().map(|(at, _, transition)| (at, transition))))
}

/// Prints it, and how much that is for each receiver.
pub(super) fn print(
    told: &[Telling],
    settings: &alerts::Settings,
    max_rows: Option<usize>,
    out: &mut impl Write,
) -> Result<()> {
    let count = HumanCount(told.len() as u64);
    writeln!(out, "What receivers would have been told ({count} messages):\n").context(CANNOT_WRITE)?;
    let mut table = TextTable::new(&[
        ("at", Align::Left),
        ("receiver", Align::Left),
        ("message", Align::Left),
        ("explanation", Align::Left),
    ]);
    let shown = max_rows.unwrap_or(told.len()).min(told.len());
    for telling in &told[..shown] {
        table.row([
            local(telling).format("%a %Y-%m-%d %H:%M").to_string(),
            telling.receiver.clone(),
            alerts::title(&telling.message),
            explanation(&telling.message),
        ]);
    }
    table.write(out).context(CANNOT_WRITE)?;
    super::output::tell_left_out(told.len() - shown, out)?;
    writeln!(out).context(CANNOT_WRITE)?;
    let mut table = TextTable::new(&[
        ("receiver", Align::Left),
        ("messages", Align::Right),
        ("on the busiest day", Align::Right),
    ]);
    for receiver in &settings.receivers {
        let days = by_day(told, &receiver.name);
        table.row([
            receiver.name.clone(),
            HumanCount(days.values().sum()).to_string(),
            match days.iter().max_by_key(|(_, count)| **count) {
                Some((day, count)) => format!("{} ({day})", HumanCount(*count)),
                None => "–".to_owned(),
            },
        ]);
    }
    table.write(out).context(CANNOT_WRITE)?;
    writeln!(out).context(CANNOT_WRITE)
}

/// When it was told, at the offset of the times in the message.
fn local(telling: &Telling) -> DateTime<chrono::FixedOffset> {
    let at: DateTime<Utc> = telling.at;
    match &telling.message {
        Message::Episode(notification) => at.with_timezone(notification.at.offset()),
        Message::Digest(digest) => at.with_timezone(digest.at.offset()),
    }
}

fn explanation(message: &Message) -> String {
    match message {
        Message::Episode(notification) => printable(&notification.explanation).into_owned(),
        Message::Digest(digest) => match digest.lines.first() {
            Some(worst) => format!("the worst: {}", printable(&worst.explanation)),
            None => String::new(),
        },
    }
}

fn by_day(told: &[Telling], receiver: &str) -> BTreeMap<NaiveDate, u64> {
    let mut days = BTreeMap::new();
    for telling in told.iter().filter(|telling| telling.receiver == receiver) {
        *days.entry(local(telling).date_naive()).or_default() += 1;
    }
    days
}
