//! `streamgauge feedback`: what people say of an episode.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Args, ValueEnum};

use super::opinion_args::{OpinionArgs, parse_time, shown_time, zone};
use super::{Action, ClusterArgs, SetArgs, block_on, stdout, tell};
use crate::clock;
use crate::config::{Config, Loaded, Overrides};
use crate::feedback::{self, About, Feedback, Opinion, Scope, Verdict};
use crate::printable::printable;

/// Say of an episode of anomalies that it was expected or real, or that something was missed
///
/// Looks the episode up in the topic of anomalies, writes what is said of it into the topic alert.feedback_topic, and prints
/// it. What is said later of the same episode takes its place. Nobody is told any more of an episode that is expected, nor,
/// with --scope series, of any other of its series until a time. The detector heeds it, too: it does not learn from what is
/// real or announced, and what is expected needs more of it, or is marked. docs/alerts.md has the rest.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct FeedbackArgs {
    /// The id of the episode, as alerts and anomalies have it
    #[arg(required_unless_present_any = ["missed", "announce"])]
    episode: Option<String>,
    /// What it was
    #[arg(value_enum, required_unless_present_any = ["missed", "announce"])]
    verdict: Option<SaidVerdict>,
    /// Say that there was a fault in this series, and no anomaly; empty where the topic is read as one series
    #[arg(long, value_name = "SERIES", group = "stretch", requires_all = ["from", "to"], conflicts_with_all = ["episode", "verdict", "scope", "until"])]
    missed: Option<String>,
    /// Say ahead that this series will be unusual, as in maintenance: what is seen then is judged as expected, and not learned
    #[arg(long, value_name = "SERIES", group = "stretch", requires_all = ["from", "to"], conflicts_with_all = ["episode", "verdict", "scope", "until"])]
    announce: Option<String>,
    /// Where it began
    #[arg(long, value_name = "TIME", requires = "stretch")]
    from: Option<String>,
    /// Where it ended
    #[arg(long, value_name = "TIME", requires = "stretch")]
    to: Option<String>,
    /// Take back what was said with --missed or --announce of this series and these times
    #[arg(long, requires = "stretch")]
    withdraw: bool,
    /// How far it reaches [default: this]
    #[arg(long, value_enum, requires_if("series", "until"))]
    scope: Option<SaidScope>,
    /// Until when, where it reaches further than the episode
    #[arg(long, value_name = "TIME", requires = "scope")]
    until: Option<String>,
    #[command(flatten)]
    opinion: OpinionArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    set: SetArgs,
}

/// What can be said of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SaidVerdict {
    /// Unusual, but known or of no interest: nobody needs to be told
    Expected,
    /// A fault
    Real,
    /// What was said before does not count
    Withdrawn,
}

/// How far it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SaidScope {
    /// The episode
    This,
    /// The same time of other weeks: what comes then is marked as expected
    Slot,
    /// All episodes of its series, until a time
    Series,
}

const EXAMPLES: &str = "\
Examples:
  Of an alert about a boiler that was tested:
    streamgauge feedback usage/3/1234/0 expected --why 'test of the safety valve'
  Nobody needs to hear of this series before the repair:
    streamgauge feedback usage/3/1234/0 expected --scope series --until '2026-12-01 08:00' --why 'part is ordered'
  A fault, and one that was not found:
    streamgauge feedback usage/3/1234/0 real --why 'pump broken'
    streamgauge feedback --missed boiler-7 --from '2026-11-27 06:00' --to '2026-11-27 07:30' --why 'no hot water'
  Maintenance that is not to be learned from:
    streamgauge feedback --announce boiler-7 --from '2026-12-01 08:00' --to '2026-12-01 12:00' --why 'new burner'
  A mistake:
    streamgauge feedback usage/3/1234/0 withdrawn --why 'wrong boiler'
  By another program, with key and value on one line:
    echo 'usage/3/1234/0|{\"about\":{\"episode\":\"usage/3/1234/0\"},\"verdict\":\"real\"}' |
      kcat -b localhost:9092 -t anomaly.feedback -P -K '|'";

impl Action for FeedbackArgs {
    fn overrides(&self) -> Overrides {
        self.cluster.overrides().and(self.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        block_on(self.say(&loaded.config))
    }
}

impl FeedbackArgs {
    async fn say(&self, config: &Config) -> anyhow::Result<ExitCode> {
        let (zone, now) = (zone(config), clock::utc_now());
        let until = self.until.as_deref();
        let until = until.map(|text| parse_time("--until", text, zone)).transpose()?;
        if until.is_some_and(|until| until <= now) {
            bail!("--until is over already");
        }
        let is_of_more = matches!(self.scope, Some(SaidScope::Slot | SaidScope::Series));
        if is_of_more && self.verdict != Some(SaidVerdict::Expected) {
            bail!("--scope slot and --scope series are for what is expected");
        }
        let stretch = self.missed.as_ref().or(self.announce.as_ref());
        let (about, verdict) = match (stretch, &self.episode, self.verdict) {
            (Some(series), _, _) => (self.span(config, series, zone).await?, self.verdict_of_span()),
            (None, Some(episode), Some(verdict)) => {
                let verdict = verdict.into();
                (about(config, episode, verdict).await?, verdict)
            }
            (None, ..) => bail!("there is no episode; see streamgauge feedback --help"),
        };
        let said = Feedback {
            about,
            verdict,
            scope: self.scope.map_or(Scope::This, Scope::from),
            until,
            by: Some(self.opinion.author()?),
            note: Some(self.opinion.why.clone()),
            at: Some(now),
        };
        let (topic, line) = (config.feedback_topic(), line(&said, zone));
        feedback::write(&config.subscription(), &topic, &Opinion::Feedback(said), now).await?;
        let mut out = stdout();
        writeln!(out, "{}; written to {topic}", printable(&line))?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    async fn span(&self, config: &Config, series: &str, zone: Tz) -> anyhow::Result<About> {
        let time = |flag: &str, text: &Option<String>| -> anyhow::Result<DateTime<Utc>> {
            let text = text.as_deref().with_context(|| format!("{flag} is missing"))?;
            parse_time(flag, text, zone)
        };
        let (from, to) = (time("--from", &self.from)?, time("--to", &self.to)?);
        if to < from {
            bail!("--to is before --from");
        }
        if series.contains('*') {
            tell("it is of the series with just this key: patterns are for `streamgauge silence add`");
        }
        let about = About::Span {
            series: Some(series.to_owned()).filter(|series| !series.is_empty()),
            from,
            to,
        };
        match self.withdraw {
            true => said(config, &about.key(), "this series and these times").await,
            false => Ok(about),
        }
    }

    fn verdict_of_span(&self) -> Verdict {
        match (self.withdraw, &self.announce) {
            (true, _) => Verdict::Withdrawn,
            (false, Some(_)) => Verdict::Expected,
            (false, None) => Verdict::Missed,
        }
    }
}

/// What is known of an episode; of one whose feedback is withdrawn, that it had feedback.
async fn about(config: &Config, episode: &str, verdict: Verdict) -> anyhow::Result<About> {
    let kafka = config.subscription();
    if verdict == Verdict::Withdrawn {
        return said(config, episode, &format!("episode {episode}")).await;
    }
    let anomaly_topic = &config.pipeline.detect.anomaly_topic;
    let found = feedback::find_episode(&kafka, anomaly_topic, episode).await?;
    Ok(found.about(episode))
}

/// What the message of this key is about, if there is one; `named` says of what there is none.
async fn said(config: &Config, key: &str, named: &str) -> anyhow::Result<About> {
    let topic = config.feedback_topic();
    let opinions = feedback::newest(&config.subscription(), &topic).await?;
    match opinions.feedback().find(|said| said.about.key() == key) {
        Some(said) => Ok(said.about.clone()),
        None => bail!("nothing is said of {named} in topic {topic}"),
    }
}

/// What is said, in one line.
fn line(said: &Feedback, zone: Tz) -> String {
    let shown = |time: DateTime<Utc>| shown_time(time, zone);
    let series = said.about.series().unwrap_or("the only series");
    let verdict = said.verdict.name();
    let mut line = match &said.about {
        About::Span { from, to, .. } => format!("{verdict}: {series}, {} to {}", shown(*from), shown(*to)),
        About::Episode {
            id, detector, since, ..
        } => {
            let known = [
                Some(series.to_owned()),
                detector.clone(),
                since.map(|since| format!("since {}", shown(since))),
            ];
            let known: Vec<String> = known.into_iter().flatten().collect();
            format!("{verdict}: episode {id} ({})", known.join(", "))
        }
    };
    if let Some(until) = said.until {
        line += &format!(", of its {} until {}", said.scope.name(), shown(until));
    }
    line
}

impl From<SaidVerdict> for Verdict {
    fn from(said: SaidVerdict) -> Self {
        match said {
            SaidVerdict::Expected => Verdict::Expected,
            SaidVerdict::Real => Verdict::Real,
            SaidVerdict::Withdrawn => Verdict::Withdrawn,
        }
    }
}

impl From<SaidScope> for Scope {
    fn from(said: SaidScope) -> Self {
        match said {
            SaidScope::This => Scope::This,
            SaidScope::Slot => Scope::Slot,
            SaidScope::Series => Scope::Series,
        }
    }
}
