//! `streamgauge alert list`: what is open, and who was told of what.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, FixedOffset, Utc};
use clap::Args;
use serde_json::json;

use super::super::text_table::{Align, TextTable};
use super::super::{SetArgs, stdout};
use super::AlertTopicArgs;
use crate::alerts::{self, ChainRecord, Kind, Message, Notification, Standing, Told};
use crate::config::{Config, Overrides};
use crate::pipeline::alerts::{AlertsState, read_state};

/// Show the episodes that are open, and who was told of what in the last week
///
/// Reads the compacted topic that `run` and `alert run` keep beside that of the anomalies. Nothing is sent or changed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ListArgs {
    #[command(flatten)]
    topic: AlertTopicArgs,
    /// Print a JSON object for each episode and receiver
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    set: SetArgs,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge alert list
  What waits for a receiver that is down:
    streamgauge alert list --json | jq 'select(.waiting > 0)'";

impl ListArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.topic.overrides().and(self.set.overrides())
    }

    pub(super) async fn list(&self, config: &Config) -> anyhow::Result<ExitCode> {
        let state = read_state(&config.process.kafka, &config.pipeline, &config.alert)
            .await
            .context("cannot read who was told (a `run` with receivers or `alert run` makes the topic; see detect.anomaly_topic)")?;
        let mut out = stdout();
        let rows = rows(&state);
        let written = match self.json {
            true => write_json(&rows, &mut out),
            false => write_text(&rows, &mut out),
        };
        written
            .and_then(|()| out.flush())
            .context("cannot write the list")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// An episode and what one receiver has heard of it, or a receiver's newest digest of a kind.
struct Row<'a> {
    message: Option<&'a Message>,
    /// What is known of the episode; nothing of a digest.
    episode: Option<&'a Notification>,
    is_open: bool,
    receiver: Option<&'a str>,
    standing: Option<&'a Standing>,
    told: Option<&'a Told>,
    /// Whether the receiver will not hear of the end.
    is_end_given_up: bool,
    waiting: usize,
}

/// Open episodes first, then what is over, each with the newest first.
fn rows(state: &AlertsState) -> Vec<Row<'_>> {
    let mut chains: BTreeMap<(&str, &str), &ChainRecord> = BTreeMap::new();
    for (key, record) in &state.chains {
        chains.insert((&key.chain, &key.receiver), record);
    }
    let mut rows = Vec::new();
    for (episode, standings) in &state.open {
        for (receiver, standing) in standings {
            let chain = chains.remove(&(&*episode.episode, &**receiver));
            rows.push(row(Some(episode), receiver, Some(standing), chain));
        }
        if standings.is_empty() {
            rows.push(Row {
                receiver: None,
                ..row(Some(episode), "", None, None)
            });
        }
    }
    for ((_, receiver), chain) in chains {
        rows.push(row(None, receiver, None, Some(chain)));
    }
    rows.sort_by_key(|row| (!row.is_open, std::cmp::Reverse(row.time())));
    rows
}

fn row<'a>(
    open: Option<&'a Notification>,
    receiver: &'a str,
    standing: Option<&'a Standing>,
    chain: Option<&'a ChainRecord>,
) -> Row<'a> {
    let told = chain.and_then(|chain| chain.told.as_ref());
    let given_up = chain.and_then(|chain| chain.given_up.as_deref());
    let pending = chain.and_then(|chain| chain.pending.last()).or(given_up);
    let newest = pending.map(|pending| &pending.message);
    let message = newest.or(told.map(|told| &told.message));
    let of_message = match message {
        Some(Message::Episode(notification)) => Some(notification),
        _ => None,
    };
    Row {
        message,
        episode: open.or(of_message),
        is_open: open.is_some(),
        receiver: Some(receiver),
        standing,
        told,
        is_end_given_up: given_up.is_some(),
        waiting: chain.map_or(0, |chain| chain.pending.len()),
    }
}

impl Row<'_> {
    /// When it began, or when it was told.
    fn time(&self) -> Option<DateTime<Utc>> {
        let since = self.episode.map(|episode| episode.opened_at.to_utc());
        since.or(self.told.map(|told| told.at))
    }

    /// The end of the episode, if it is over.
    fn until(&self) -> Option<DateTime<FixedOffset>> {
        let episode = self.episode.filter(|_| !self.is_open)?;
        (episode.kind == Kind::Ended).then_some(episode.at)
    }

    /// What the receiver knows, in words; times on the clock that the episode is told on.
    fn known(&self) -> String {
        let clock = |time: DateTime<Utc>| {
            let zoned = match self.episode {
                Some(episode) => time.with_timezone(episode.at.offset()),
                None => time.fixed_offset(),
            };
            zoned.format("%a %H:%M:%S").to_string()
        };
        let told = self.told.map(|told| {
            let first = clock(told.first_at);
            match (&told.message, told.at == told.first_at) {
                (Message::Episode(of), false) => {
                    format!("told {first}, {} {}", of.kind.name(), clock(told.at))
                }
                (Message::Episode(of), true) if of.kind == Kind::Ended => {
                    format!("told {first} that it is over")
                }
                _ => format!("told {first}"),
            }
        });
        let waits = (self.waiting > 0).then(|| match self.waiting {
            1 => "1 message waits".to_owned(),
            count => format!("{count} messages wait"),
        });
        let stands = match self.standing {
            Some(Standing::Waiting { due }) => Some(format!("not before {}", clock(*due))),
            Some(Standing::InStorm) => Some("told in a digest of many".to_owned()),
            Some(Standing::Told { count: 0, .. }) if told.is_none() => Some("told in a digest".to_owned()),
            Some(Standing::Closed) => Some("closed: expected".to_owned()),
            Some(Standing::Told { .. }) => None,
            None => self.is_open.then(|| "told to nobody".to_owned()),
        };
        let lost = self
            .is_end_given_up
            .then(|| "that it is over was given up".to_owned());
        let parts: Vec<String> = [told, waits, lost, stands].into_iter().flatten().collect();
        parts.join("; ")
    }
}

fn write_text(rows: &[Row<'_>], out: &mut impl Write) -> std::io::Result<()> {
    if rows.is_empty() {
        return writeln!(
            out,
            "No episode is open, and nobody was told of one in the last week."
        );
    }
    let mut table = TextTable::new(&[
        ("since", Align::Left),
        ("until", Align::Left),
        ("severity", Align::Left),
        ("series", Align::Left),
        ("receiver", Align::Left),
        ("state", Align::Left),
        ("message", Align::Left),
    ]);
    let time = |time: DateTime<FixedOffset>| time.format("%a %Y-%m-%d %H:%M:%S").to_string();
    for row in rows {
        let episode = row.episode;
        table.row([
            episode.map_or("–".to_owned(), |episode| time(episode.opened_at)),
            match (row.is_open, row.until()) {
                (true, _) => "open".to_owned(),
                (false, until) => until.map_or("–".to_owned(), time),
            },
            episode.map_or("–", |episode| episode.severity.name()).to_owned(),
            episode
                .and_then(|episode| episode.series.as_deref())
                .map_or("–".to_owned(), shortened),
            row.receiver.unwrap_or("–").to_owned(),
            row.known(),
            match (row.message, episode) {
                (Some(message @ Message::Digest(_)), _) => alerts::title(message),
                (_, Some(episode)) => shortened(&episode.explanation),
                (Some(message), None) => alerts::title(message),
                (None, None) => String::new(),
            },
        ]);
    }
    table.write(out)
}

/// As much of a text as a table has room for; `--json` has all of it.
fn shortened(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn write_json(rows: &[Row<'_>], out: &mut impl Write) -> std::io::Result<()> {
    for row in rows {
        let episode = row.episode;
        let object = json!({
            "episode": episode.map(|episode| &episode.episode),
            "series": episode.and_then(|episode| episode.series.as_ref()),
            "measure": episode.and_then(|episode| episode.measure.as_ref()),
            "detector": episode.map(|episode| &episode.detector),
            "severity": episode.map(|episode| episode.severity.name()),
            "since": episode.map(|episode| episode.opened_at.to_rfc3339()),
            "until": row.until().map(|until| until.to_rfc3339()),
            "open": row.is_open,
            "receiver": row.receiver,
            "state": row.known(),
            "told_first": row.told.map(|told| told.first_at.to_rfc3339()),
            "told_last": row.told.map(|told| told.at.to_rfc3339()),
            "waiting": row.waiting,
            "title": row.message.map(alerts::title),
            "explanation": episode.map(|episode| &episode.explanation),
        });
        writeln!(out, "{object}")?;
    }
    Ok(())
}
