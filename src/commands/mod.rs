//! One file per subcommand. Only this room prints; data goes to standard output, logs to standard error.
//!
//! To add a command: a file with its arguments that implements `Action`, its `mod` line here, its variant in
//! `Command`, and its line in `Command::action`.

mod aggregate;
mod alert;
mod anomaly_table;
mod backtest;
mod collect;
mod config;
mod demo;
mod detect;
mod feedback;
mod file_args;
mod history;
mod kafka_args;
mod labels;
mod live;
mod opinion_args;
mod output;
mod play;
mod query;
mod report;
mod run;
mod run_summary;
mod service;
mod set_args;
mod silence;
mod sniff;
mod sql_worker;
mod status;
mod stop;
mod table;
mod text_table;
mod tune;

use std::future::Future;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::config::{Loaded, Overrides, default_file, load};
use crate::kafka::warn_of_risks;
use crate::telemetry::{LogFormat, Verbosity, start_logs};

pub(crate) use kafka_args::{ClusterArgs, KafkaArgs};
pub use output::stdout;
use output::tell;
pub(crate) use set_args::SetArgs;
use stop::interrupted;

/// From a Kafka topic of readings to an exactly-once Delta table of windowed averages.
#[derive(Debug, Parser)]
#[command(name = "streamgauge", version, max_term_width = 110, after_help = EXIT_CODES, after_long_help = MANUAL)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all went well; 1 it failed, and the last line on standard error says why; \
2 the command line or a setting is wrong; 130 or 143 asked twice to stop.";

const MANUAL: &str = "\
Settings:
  Every setting has a default. First found wins:
    1. the command's flag: one such as --brokers, or --set section.key=value for any
    2. the environment: STREAMGAUGE__WINDOW__LENGTH for `length` in `[window]`
    3. the file given with --config, else streamgauge.toml in the working folder
    4. the preset, if detect.preset names one
    5. the default
  `streamgauge config show` lists them all, and where each value came from.

Output:
  Data goes to standard output; logs and progress go to standard error.

Exit codes:
  0  all went well
  1  it failed, and the last line on standard error says why
  2  the command line or a setting is wrong
  130, 143  asked a second time to stop, by Ctrl-C or by SIGTERM, and ended at once";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct GlobalArgs {
    /// Settings file [default: streamgauge.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log more; twice for everything of our own
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Play(play::PlayArgs),
    Collect(collect::CollectArgs),
    Sniff(sniff::SniffArgs),
    Aggregate(aggregate::AggregateArgs),
    Detect(detect::DetectArgs),
    Run(run::RunArgs),
    Live(live::LiveArgs),
    Backtest(backtest::BacktestArgs),
    Alert(alert::AlertArgs),
    Feedback(feedback::FeedbackArgs),
    Silence(silence::SilenceArgs),
    Labels(labels::LabelsArgs),
    Tune(tune::TuneArgs),
    Query(query::QueryArgs),
    Table(table::TableArgs),
    Config(config::ConfigArgs),
    SqlWorker(sql_worker::SqlWorkerArgs),
}

impl Command {
    fn action(&self) -> &dyn Action {
        match self {
            Command::Demo(args) => args,
            Command::Play(args) => args,
            Command::Collect(args) => args,
            Command::Sniff(args) => args,
            Command::Aggregate(args) => args,
            Command::Detect(args) => args,
            Command::Run(args) => args,
            Command::Live(args) => args,
            Command::Backtest(args) => args,
            Command::Alert(args) => args,
            Command::Feedback(args) => args,
            Command::Silence(args) => args,
            Command::Labels(args) => args,
            Command::Tune(args) => args,
            Command::Query(args) => args,
            Command::Table(args) => args,
            Command::Config(args) => args,
            Command::SqlWorker(args) => args,
        }
    }
}

/// A command whose arguments are parsed.
trait Action {
    /// The flags that are settings.
    fn overrides(&self) -> Overrides {
        Overrides::default()
    }

    /// Does it. With `Err` the exit code is 1, or 2 if the settings are to blame.
    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode>;
}

/// The whole program, from its command line to its exit code.
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => execute(&cli),
        Err(usage) => report::usage(&usage),
    }
}

fn execute(cli: &Cli) -> ExitCode {
    let action = cli.command.action();
    let prepared = match &cli.command {
        // Whatever the surroundings say, it is told all.
        Command::SqlWorker(_) => load(&Overrides::default(), None, []).map_err(Into::into),
        _ => prepare(cli, action),
    };
    match prepared {
        Err(error) => report::report(&error, LogFormat::Text),
        Ok(loaded) => action
            .run(&loaded)
            .unwrap_or_else(|error| report::report(&error, loaded.config.process.log.format)),
    }
}

/// Reads the settings and starts the logs.
fn prepare(cli: &Cli, action: &dyn Action) -> anyhow::Result<Loaded> {
    let file = cli.global.config.clone().or_else(default_file);
    let loaded = load(&action.overrides(), file.as_deref(), environment())?;
    let verbosity = Verbosity {
        verbose: cli.global.verbose,
        quiet: cli.global.quiet,
    };
    start_logs(&loaded.config.process.log, verbosity, wants_colors())?;
    warn_of_risks(&loaded.config.process.kafka);
    Ok(loaded)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read, for the settings"
)]
fn environment() -> impl Iterator<Item = (String, String)> {
    // A name that is not Unicode is not ours. Such a value is passed on damaged, so that a message can report it.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into())))
}

/// Whether logs are colored: on a terminal whose user has not declined (<https://no-color.org>).
#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR is a custom of all programs and no setting of ours"
)]
fn wants_colors() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Runs a command's future on as many threads as there are cores.
///
/// Work that the future left on other threads gets some seconds to end, so that a call that hangs, such as one to a
/// broker that went away, cannot keep the program from ending.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    const GRACE: Duration = Duration::from_secs(3);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the program's threads; is there a limit on processes?")?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(GRACE);
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_examples() {
        let mut waiting: Vec<clap::Command> = Cli::command().get_subcommands().cloned().collect();
        while let Some(command) = waiting.pop() {
            assert!(
                command.get_about().is_some(),
                "{} says what it does",
                command.get_name()
            );
            assert!(
                command.get_after_long_help().is_some(),
                "{} has examples",
                command.get_name()
            );
            waiting.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_future_gives_its_result() {
        assert_eq!(block_on(async { Ok(7) }).unwrap(), 7);
    }
}
