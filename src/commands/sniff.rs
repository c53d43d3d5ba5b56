//! `streamgauge sniff`: what a topic or a file holds, and the settings that read it.

mod command_line;
mod input;
mod table;
mod ways;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::ensure;
use clap::Args;

use super::{Action, KafkaArgs, SetArgs, block_on, stdout};
use crate::config::{Loaded, Overrides, reading_presets};
use crate::registry::learn_schemas;
use crate::sniff::{Preset, sniff};
use input::Opened;

/// Look at the newest records of the topic, and print the settings that read them
///
/// Reads a sample without a consumer group, so nothing moves and nobody notices. Prints what the records look like, which
/// fields they have and what is in them, what would become of them under the settings in force, and, where many would be
/// dead letters, settings that read them, tried on the same sample.
///
/// With a file it looks at that instead: at the first lines of JSON or of InfluxDB's protocol as if each were a record, at
/// any other file as `play` and `backtest` read it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct SniffArgs {
    /// A file in the place of the topic; "-" reads standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    set: SetArgs,
    /// Records to look at: the newest of each partition, or the first of a file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    records: usize,
}

const EXAMPLES: &str = "\
Examples:
  What is on this topic, and how would it be read?
    streamgauge sniff -b localhost:9092 -t telegraf
  The settings alone, into a file:
    streamgauge sniff -t telegraf | sed -n '/^# streamgauge.toml/,$p' > streamgauge.toml
  Would my settings read it?
    streamgauge --config streamgauge.toml sniff -t telegraf
  A dump of a topic:
    kcat -C -t telegraf -e | streamgauge sniff -
  What would be played of this file?
    streamgauge sniff household_power_consumption.txt";

/// Records of one partition that are looked at, at most.
const MOST_RECORDS: usize = 100_000;

impl Action for SniffArgs {
    fn overrides(&self) -> Overrides {
        self.kafka.overrides().and(self.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        ensure!(
            (1..=MOST_RECORDS).contains(&self.records),
            "--records is {}: it must be from 1 to {MOST_RECORDS}",
            self.records
        );
        let config = &loaded.config;
        let reading = &config.pipeline.reading;
        let sample = match &self.file {
            Some(path) => match input::of_file(path, self.records, reading.max_bytes)? {
                Opened::Records(sample) => sample,
                Opened::Table(input) => {
                    table::write(&mut stdout(), path, input, reading, &self.kafka.printed())?;
                    return Ok(ExitCode::SUCCESS);
                }
            },
            None => input::of_topic(&config.subscription(), self.records, reading.max_header_bytes)?,
        };
        let presets: Vec<Preset> = reading_presets()
            .map(|(name, settings)| Preset {
                name: name.to_owned(),
                settings,
            })
            .collect();
        let schemas = Arc::default();
        let registry = &config.process.schema_registry;
        block_on(async { Ok(learn_schemas(registry, reading, &sample.blocks, &schemas).await?) })?;
        let report = sniff(&sample.blocks, reading, &presets, &schemas);
        words::write(&mut stdout(), &sample, &report, config)?;
        Ok(ExitCode::SUCCESS)
    }
}
