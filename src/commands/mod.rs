//! One file per subcommand. Only this room and `main` print; data goes to standard output, logs to standard error.

mod config;
mod play;
mod query;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Loaded, Overrides};

/// From a Kafka topic of readings to an exactly-once Delta table of windowed averages.
#[derive(Debug, Parser)]
#[command(name = "streamgauge", version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all went well; 1 it failed, and the last line on standard error says why; \
2 the command line or a setting is wrong.";

#[derive(Debug, Args)]
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
    Play(play::PlayArgs),
    Query(query::QueryArgs),
    Config(config::ConfigArgs),
}

/// Flags that several commands share: how to reach the cluster and which topic.
#[derive(Debug, Args)]
struct KafkaArgs {
    /// Addresses to find the cluster through, separated by commas
    #[arg(short, long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// The topic of the readings
    #[arg(short, long)]
    topic: Option<String>,
    /// Any librdkafka property; may be repeated
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    properties: Vec<String>,
}
