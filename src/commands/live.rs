//! `streamgauge live`: the live page by itself.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::service::listen;
use super::{Action, KafkaArgs, SetArgs, block_on, interrupted};
use crate::config::{Loaded, Overrides};
use crate::live::{LIVE_PAGE, LiveServer};
use crate::registry::Registry;
use crate::telemetry::{Notice, notify};

/// Show readings, what was expected of them and what is out of the ordinary, in a browser as it happens
///
/// Serves the page that `run` serves, too, beside a `run` or a `detect` on another machine, and SQL over HTTP with it. It reads the
/// topics without a group, judges the readings as the detecting side does, and writes nothing but what people say on the page.
/// docs/live.md has the rest.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct LiveArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Where the page is served [default: 127.0.0.1:9465]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The table that averages are taken from
    #[arg(long, value_name = "URI")]
    table: Option<String>,
    #[command(flatten)]
    set: SetArgs,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge live -b localhost:9092 -t usage --table s3://lake/usage
  For others to see, behind a proxy with TLS; whoever opens it needs the link that is printed:
    streamgauge live --listen 0.0.0.0:9465 --set 'live.hosts=[\"meters.example.com\"]'";

impl Action for LiveArgs {
    fn overrides(&self) -> Overrides {
        self.kafka
            .overrides()
            .with("live.listen", "--listen", self.listen.as_ref())
            .with("table.uri", "--table", self.table.as_ref())
            .and(self.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        block_on(serve(loaded))
    }
}

async fn serve(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let settings = &config.live;
    if settings.listen.is_empty() {
        bail!("live.listen is empty: name an address such as 127.0.0.1:9465");
    }
    let listener = listen(loaded, LIVE_PAGE, &settings.listen, &settings.hosts).await?;
    let listener =
        listener.context("another program has the address of live.listen; name another with --listen")?;
    let registry = Registry::open(&config.process.schema_registry)?.map(Arc::new);
    let server = LiveServer::start(listener, config, registry, None)?;
    notify(Notice::Ready).await;
    interrupted(config.process.log.format).await;
    drop(server);
    Ok(ExitCode::SUCCESS)
}
