//! `streamgauge silence`: series that nobody is told of for a while.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::{ArgGroup, Args, Subcommand};

use super::opinion_args::{OpinionArgs, parse_time, shown_time, zone};
use super::text_table::{Align, TextTable};
use super::{Action, ClusterArgs, SetArgs, block_on, stdout, tell};
use crate::clock;
use crate::config::{Config, Loaded, Overrides};
use crate::feedback::{self, Opinion, Silence};
use crate::printable::printable;

/// Keep series from being told of for a while
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct SilenceArgs {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Debug, Subcommand)]
enum SilenceCommand {
    Add(AddArgs),
    List(ListArgs),
    End(EndArgs),
}

const EXAMPLES: &str = "\
Examples:
  streamgauge silence add 'boiler-*' --for 2h --why maintenance
  streamgauge silence list
  streamgauge silence end 3f2a9c01b7de";

/// Begin a silence
///
/// Anomalies are found and published as before; receivers of alerts are not told of those of these series. The silence is a
/// message in the topic alert.feedback_topic. Prints it, and its id, by which it can be ended.
#[derive(Debug, Args)]
#[command(after_long_help = ADD_EXAMPLES, group = ArgGroup::new("end").required(true).multiple(true))]
struct AddArgs {
    /// The keys of the series; * stands for any text
    pattern: String,
    /// How long it lasts, such as 2h or 1d
    #[arg(long = "for", value_name = "DURATION", group = "end", conflicts_with = "until", value_parser = humantime::parse_duration)]
    length: Option<Duration>,
    /// When it ends
    #[arg(long, value_name = "TIME", group = "end")]
    until: Option<String>,
    /// The episode whose end ends it; with a time beside it, whichever is first
    #[arg(long, value_name = "EPISODE", group = "end")]
    until_resolved: Option<String>,
    /// When it begins [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    #[command(flatten)]
    opinion: OpinionArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    set: SetArgs,
}

const ADD_EXAMPLES: &str = "\
Examples:
  Two hours of maintenance:
    streamgauge silence add 'boiler-*' --for 2h --why 'maintenance of the boilers'
  A weekend, planned ahead:
    streamgauge silence add '*' --from '2026-12-24 18:00' --until '2026-12-27 06:00' --why 'plant is shut down'
  While somebody repairs what an alert was about:
    streamgauge silence add 'boiler-7*' --until-resolved usage/3/1234/0 --why 'under repair'";

/// Show silences, and who is behind them
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge silence list --all")]
struct ListArgs {
    /// Also those that are over
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    set: SetArgs,
}

/// End a silence before its time
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge silence end 3f2a9c01b7de")]
struct EndArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    set: SetArgs,
}

impl Action for SilenceArgs {
    fn overrides(&self) -> Overrides {
        let (cluster, set) = match &self.command {
            SilenceCommand::Add(args) => (&args.cluster, &args.set),
            SilenceCommand::List(args) => (&args.cluster, &args.set),
            SilenceCommand::End(args) => (&args.cluster, &args.set),
        };
        cluster.overrides().and(set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let config = &loaded.config;
        block_on(async {
            match &self.command {
                SilenceCommand::Add(args) => args.add(config).await,
                SilenceCommand::List(args) => list(config, args.all).await,
                SilenceCommand::End(args) => end(config, &args.id).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl AddArgs {
    async fn add(&self, config: &Config) -> anyhow::Result<()> {
        let (zone, now) = (zone(config), clock::utc_now());
        let time = |flag: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| parse_time(flag, text, zone)).transpose()
        };
        let begin = time("--from", &self.from)?.unwrap_or(now);
        let until = match self.length {
            None => time("--until", &self.until)?,
            Some(length) => Some(later(begin, length)?),
        };
        if until.is_some_and(|until| until <= begin.max(now)) {
            bail!("the silence would be over before it begins, or is over already");
        }
        if let Some(episode) = &self.until_resolved {
            let topic = &config.pipeline.detect.anomaly_topic;
            let found = feedback::find_episode(&config.subscription(), topic, episode).await?;
            if let Some(until) = found.until {
                bail!(
                    "episode {episode} is over since {}: the silence would be, too",
                    shown_time(until, zone)
                );
            }
        }
        let silence = Silence {
            id: feedback::new_silence_id(),
            pattern: self.pattern.clone(),
            begin: Some(begin),
            until,
            until_resolved: self.until_resolved.clone(),
            why: self.opinion.why.clone(),
            by: Some(self.opinion.author()?),
        };
        write(config, silence, now, zone).await
    }
}

fn later(begin: DateTime<Utc>, length: Duration) -> anyhow::Result<DateTime<Utc>> {
    let length = TimeDelta::from_std(length).ok();
    length
        .and_then(|length| begin.checked_add_signed(length))
        .context("--for is too long; end it by `silence end`, or give a time with --until")
}

async fn write(config: &Config, silence: Silence, now: DateTime<Utc>, zone: Tz) -> anyhow::Result<()> {
    let topic = config.feedback_topic();
    let line = format!(
        "{}: {}, from {} until {}",
        silence.id,
        silence.pattern,
        silence
            .begin
            .map_or("always".to_owned(), |begin| shown_time(begin, zone)),
        end_of(&silence, zone)
    );
    feedback::write(&config.subscription(), &topic, &Opinion::Silence(silence), now).await?;
    let mut out = stdout();
    writeln!(out, "{}; written to {topic}", printable(&line))?;
    Ok(out.flush()?)
}

/// What ends a silence.
fn end_of(silence: &Silence, zone: Tz) -> String {
    let until = silence.until.map(|until| shown_time(until, zone));
    let resolved = silence.until_resolved.as_ref();
    let resolved = resolved.map(|episode| format!("the end of {episode}"));
    let ends: Vec<String> = [until, resolved].into_iter().flatten().collect();
    ends.join(" or ")
}

async fn list(config: &Config, with_all: bool) -> anyhow::Result<()> {
    let (zone, now) = (zone(config), clock::utc_now());
    let kafka = config.subscription();
    let opinions = feedback::newest(&kafka, &config.feedback_topic()).await?;
    let waited_for: BTreeSet<String> = opinions
        .silences()
        .filter(|silence| silence.is_on(now))
        .filter_map(|silence| silence.until_resolved.clone())
        .collect();
    let open = open_episodes(config, waited_for).await?;
    let mut table = TextTable::new(
        &["id", "series", "state", "from", "until", "by", "why"].map(|name| (name, Align::Left)),
    );
    let mut count = 0;
    for silence in opinions.silences() {
        let resolved = silence.until_resolved.as_ref();
        let is_resolved = resolved.is_some_and(|episode| !open.contains(episode));
        let is_planned = silence.begin.is_some_and(|begin| now < begin);
        let state = match silence.until {
            Some(until) if until <= now => "over",
            _ if is_planned => "planned",
            _ if is_resolved => "over",
            _ => "on",
        };
        if state == "over" && !with_all {
            continue;
        }
        count += 1;
        table.row([
            silence.id.clone(),
            silence.pattern.clone(),
            state.to_owned(),
            silence
                .begin
                .map_or(String::new(), |begin| shown_time(begin, zone)),
            end_of(silence, zone),
            silence.by.clone().unwrap_or_default(),
            silence.why.clone(),
        ]);
    }
    if count == 0 {
        tell("there are no silences");
        return Ok(());
    }
    let mut out = stdout();
    table.write(&mut out)?;
    Ok(out.flush()?)
}

/// Those of these episodes that are not over.
async fn open_episodes(config: &Config, ids: BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let topic = &config.pipeline.detect.anomaly_topic;
    let (found, _) = feedback::find_episodes(&config.subscription(), topic, &ids).await?;
    let open = found.into_iter().filter(|(_, episode)| episode.until.is_none());
    Ok(open.map(|(id, _)| id).collect())
}

async fn end(config: &Config, id: &str) -> anyhow::Result<()> {
    let (zone, now) = (zone(config), clock::utc_now());
    let topic = config.feedback_topic();
    let opinions = feedback::newest(&config.subscription(), &topic).await?;
    let Some(silence) = opinions.silences().find(|silence| silence.id == id) else {
        bail!(
            "there is no silence {id} in topic {topic}; `streamgauge silence list` shows those that there are"
        );
    };
    if let Some(until) = silence.until.filter(|until| *until <= now) {
        bail!("silence {id} is over since {}", shown_time(until, zone));
    }
    write(config, silence.ended(now), now, zone).await
}
