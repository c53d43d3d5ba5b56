//! `streamgauge alert run`: tell receivers, in a process of its own.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use indicatif::HumanCount;

use super::super::run_summary::run_summary;
use super::super::service::{Endpoints, Service};
use super::super::{SetArgs, interrupted};
use super::AlertTopicArgs;
use crate::config::{Loaded, Overrides};
use crate::pipeline::RunMode;
use crate::pipeline::alerts::{AlertsProgress, AlertsSink};
use crate::serve::{SinkHandle, Sinks};

/// Tell receivers of the anomalies in the topic, as `run` does
///
/// Reads the topic of anomalies in a consumer group of its own, and keeps what is open and who was told in a compacted topic
/// beside it: each message is decided once, whatever is killed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    topic: AlertTopicArgs,
    /// Stop once what the topic holds now is told
    #[arg(long)]
    available_now: bool,
    /// Go on although the topic no longer holds the next anomaly; what is missing stays missing
    #[arg(long)]
    accept_gap: bool,
    #[command(flatten)]
    set: SetArgs,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge alert run -b localhost:9092
  Without a settings file:
    streamgauge alert run --set alert.receiver.ops.kind=slack --set alert.receiver.ops.url_file=/run/slack-url";

impl RunArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.topic
            .overrides()
            .with(
                "kafka.accept_gap",
                "--accept-gap",
                self.accept_gap.then_some(true),
            )
            .and(self.set.overrides())
    }

    pub(super) async fn tell(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let config = &loaded.config;
        if config.alert.receivers.is_empty() {
            bail!("there is nobody to tell: the settings have no [[alert.receiver]]");
        }
        let endpoints = Endpoints::reserve(loaded).await?;
        let mode = RunMode::of(self.available_now);
        let runner = AlertsSink::start(&config.process.kafka, &config.pipeline, &config.alert, mode).await?;
        let sinks = Sinks::new([SinkHandle::Alerts(runner.progress())]);
        let service = Service::start(endpoints, sinks);
        let ended = runner.run(interrupted(config.process.log.format)).await;
        drop(service);
        eprintln!("{}", run_summary(&ended?, summary));
        Ok(ExitCode::SUCCESS)
    }
}

/// What was heard, and who was told how much.
pub(in crate::commands) fn summary(progress: &AlertsProgress) -> String {
    let mut text = format!(
        "{} messages of episodes taken in; open episodes: {}",
        HumanCount(progress.heard),
        HumanCount(progress.open as u64)
    );
    if progress.unreadable > 0 {
        text += &format!(
            "; messages that are no anomalies: {}",
            HumanCount(progress.unreadable)
        );
    }
    for (name, receiver) in &progress.receivers {
        let counts = &receiver.counts;
        let given_up: u64 = counts.given_up.values().sum();
        text += &format!("\n  {name}: {} told", HumanCount(counts.sent));
        for (count, what) in [
            (receiver.waiting as u64, "waiting"),
            (counts.left_out, "left out for a newer one"),
            (given_up, "given up"),
        ] {
            if count > 0 {
                text += &format!(", {} {what}", HumanCount(count));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::alerts::ReceiverProgress;

    #[test]
    fn what_did_not_arrive_is_said() {
        let mut progress = AlertsProgress {
            heard: 1_204,
            open: 2,
            ..AlertsProgress::default()
        };
        let mut ops = ReceiverProgress::default();
        ops.counts.sent = 6;
        progress.receivers.insert("mail".to_owned(), ops.clone());
        ops.waiting = 3;
        ops.counts.given_up.insert("refused", 1);
        progress.receivers.insert("ops".to_owned(), ops);
        assert_eq!(
            summary(&progress),
            "1,204 messages of episodes taken in; open episodes: 2\n  mail: 6 told\n  ops: 6 told, 3 waiting, 1 given up"
        );
    }
}
