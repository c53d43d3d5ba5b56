//! `streamgauge alert`: who is told of anomalies.

mod list;
mod run;
mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Action, KafkaArgs, block_on};
use crate::alerts::Settings;
use crate::config::{Loaded, Overrides};
pub(super) use run::summary;

/// Tell receivers of anomalies, and see who was told
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct AlertArgs {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    Run(run::RunArgs),
    List(list::ListArgs),
    Test(test::TestArgs),
}

/// Flags that say whose alerts.
#[derive(Debug, Args)]
struct AlertTopicArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// The topic of the anomalies
    #[arg(long, value_name = "TOPIC")]
    anomaly_topic: Option<String>,
    /// The consumer group; processes with the same one share the partitions [default: streamgauge-alert]
    #[arg(long)]
    group: Option<String>,
}

impl AlertTopicArgs {
    /// The flags that were given, as settings.
    fn overrides(&self) -> Overrides {
        self.kafka
            .overrides()
            .with(
                "detect.anomaly_topic",
                "--anomaly-topic",
                self.anomaly_topic.as_ref(),
            )
            .with("alert.group", "--group", self.group.as_ref())
    }
}

const EXAMPLES: &str = "\
Examples:
  streamgauge alert test on-call
  streamgauge alert list
  Beside a `streamgauge detect` (`streamgauge run` does it by itself):
    streamgauge alert run";

impl Action for AlertArgs {
    fn overrides(&self) -> Overrides {
        match &self.command {
            AlertCommand::Run(args) => args.overrides(),
            AlertCommand::List(args) => args.overrides(),
            AlertCommand::Test(args) => args.set.overrides(),
        }
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        match &self.command {
            AlertCommand::Run(args) => block_on(args.tell(loaded)),
            AlertCommand::List(args) => block_on(args.list(&loaded.config)),
            AlertCommand::Test(args) => block_on(test::test(&loaded.config.alert, args)),
        }
    }
}

/// Says that the receivers of the settings are not told by this process.
pub(super) fn warn_of_silence(alert: &Settings) {
    let receivers = alert.receivers.len();
    if receivers > 0 {
        tracing::warn!(
            receivers,
            "the settings have receivers of alerts, which `detect` does not tell: that is for `streamgauge alert run` beside it, \
             or for `streamgauge run`"
        );
    }
}
