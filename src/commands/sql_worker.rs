//! `streamgauge sql-worker`: answers one statement for the live page, which calls it and nobody else.

use std::io;
use std::process::ExitCode;

use clap::Args;

use super::{Action, stdout};
use crate::config::Loaded;
use crate::live::answer_one;

/// Answer one statement that is handed over on standard input; for the live page's SQL over HTTP
///
/// It bounds its own memory, so that no statement can harm the process that has the table.
#[derive(Debug, Args)]
#[command(
    hide = true,
    after_long_help = "Example:\n  streamgauge live    calls it for each statement"
)]
pub(super) struct SqlWorkerArgs {}

impl Action for SqlWorkerArgs {
    fn run(&self, _: &Loaded) -> anyhow::Result<ExitCode> {
        // Its settings come with the statement.
        answer_one(io::stdin().lock(), stdout())?;
        Ok(ExitCode::SUCCESS)
    }
}
