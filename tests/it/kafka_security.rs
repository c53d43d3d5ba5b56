//! The program and an Apache Kafka that wants to know who one is: each way in, credentials that end, each way to be kept out,
//! and each right that can be missing.
//!
//! The settings are those of docs/operations.md, with this broker's addresses and files in the place of the examples'.

mod credentials;
mod refusals;
mod rights;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge::telemetry::events::COMMITTED;
use streamgauge_testkit::kafka::{NewRecord, SecuredKafka};
use streamgauge_testkit::process::{Child, Signal, scratch_folder};
use streamgauge_testkit::{require, unique};

use crate::program::streamgauge;
use credentials::{Credentials, Lifetime};

const LIMIT: Duration = Duration::from_secs(60);
const RECORDING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/commands/demo/boston_tuesdays.csv"
);
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The settings that the documentation gives for each kind of login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Iam,
    Scram,
    Tls,
}

/// Settings, in a folder of their own, and the variables that go with them.
struct Settings {
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

/// The examples of the documentation, in their order: MSK, SCRAM, mutual TLS, a private authority.
fn examples() -> Vec<&'static str> {
    let section = OPERATIONS
        .split_once("## Connecting to a secured Kafka")
        .and_then(|(_, rest)| rest.split_once("\n## "))
        .map_or("", |(section, _)| section);
    section
        .split("```toml\n")
        .skip(1)
        .filter_map(|block| block.split_once("```"))
        .map(|(block, _)| block)
        .collect()
}

impl Settings {
    /// The documented settings of a way in, for this broker.
    fn documented(kafka: &SecuredKafka, way: Way) -> Result<Settings> {
        let examples = examples();
        ensure!(examples.len() == 4, "{} examples", examples.len());
        let (example, port) = match way {
            Way::Iam => (examples[0], kafka.iam_port),
            Way::Scram => (examples[1], kafka.scram_port),
            Way::Tls => (examples[2], kafka.tls_port),
        };
        let folder = scratch_folder("settings");
        std::fs::write(folder.join("password"), "secret of admin\n")?;
        let (_, authority) = examples[3]
            .split_once("[kafka.properties]\n")
            .context("a section")?;
        let mut text = format!(
            "{}\n",
            example
                .lines()
                .map(|line| match line.strip_prefix("brokers = ") {
                    Some(_) => format!("brokers = \"localhost:{port}\""),
                    None => line.to_owned(),
                })
                .collect::<Vec<_>>()
                .join("\n")
        );
        text = if text.contains("[kafka.properties]\n") {
            text.replace(
                "[kafka.properties]\n",
                &format!("[kafka.properties]\n{authority}"),
            )
        } else {
            format!("{text}{}", examples[3])
        };
        for (documented, here) in [
            (
                "/run/credentials/streamgauge/password",
                folder.join("password").as_path(),
            ),
            ("/etc/streamgauge/ca.pem", kafka.certificates.authority.as_path()),
            (
                "/etc/streamgauge/client.pem",
                kafka.certificates.client.0.as_path(),
            ),
            (
                "/etc/streamgauge/client.key",
                kafka.certificates.client.1.as_path(),
            ),
        ] {
            text = text.replace(documented, &here.display().to_string());
        }
        std::fs::write(folder.join("streamgauge.toml"), text)?;
        Ok(Settings {
            folder,
            variables: Vec::new(),
        })
    }

    /// The same with another property; an empty one counts as none.
    fn with(mut self, property: &str, value: impl AsRef<Path>) -> Settings {
        let name = property.replace('.', "_").to_uppercase();
        let value = value.as_ref().display().to_string();
        self.variables
            .push((format!("STREAMGAUGE__KAFKA__PROPERTIES__{name}"), value));
        self
    }

    fn with_variable(mut self, name: &str, value: impl Into<String>) -> Settings {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// As a user of SCRAM.
    fn of_user(kafka: &SecuredKafka, user: &str) -> Result<Settings> {
        let settings = Settings::documented(kafka, Way::Scram)?;
        std::fs::write(settings.folder.join("password"), format!("secret of {user}"))?;
        Ok(settings.with("sasl.username", user))
    }

    /// The program with these settings. It finds no AWS credentials but those it is given here.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = streamgauge(arguments.iter().copied());
        command.current_dir(&self.folder);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("HOME", &self.folder)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("STREAMGAUGE__TABLE__URI", self.folder.join("table"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program, which must succeed; returns its output.
    fn succeeds(&self, arguments: &[&str]) -> Result<String> {
        let mut child = Child::start(arguments[0], &mut self.command(arguments))?;
        let status = child.wait(LIMIT)?;
        ensure!(status.success(), "{arguments:?}: {status}\n{}", child.output());
        Ok(child.output())
    }

    /// Runs the program, which must fail with exit code 1; returns its output.
    fn fails(&self, arguments: &[&str]) -> Result<String> {
        let mut child = Child::start(arguments[0], &mut self.command(arguments))?;
        let status = child.wait(LIMIT)?;
        ensure!(
            status.code() == Some(1),
            "{arguments:?}: exit code 1 expected, not {status}\n{}",
            child.output()
        );
        Ok(child.output())
    }
}

fn secured() -> Option<&'static SecuredKafka> {
    require("a secured Apache Kafka (java, javac)", SecuredKafka::shared())
}

/// A recording goes in and comes out again.
fn passes(settings: Settings, name: &str) -> Result<()> {
    let topic = unique(name);
    let settings = &settings.with_variable("STREAMGAUGE__DETECT__ANOMALY_TOPIC", format!("{topic}.anomaly"));
    let checked = settings.succeeds(&["config", "check", "-t", &topic])?;
    ensure!(
        checked.contains(&format!("topic {topic} will be made"))
            && checked.contains("allowed all that run does"),
        "{checked}"
    );
    settings.succeeds(&["play", RECORDING, "--tick", "0", "-t", &topic])?;
    let said = settings.succeeds(&["aggregate", "--available-now", "-t", &topic, "--group", &topic])?;
    ensure!(
        said.contains("2,015 consumed = 2,015 aggregated + 0 late + 0 dead-lettered"),
        "{said}"
    );
    Ok(())
}

#[test]
fn readings_pass_by_scram() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    passes(Settings::documented(kafka, Way::Scram)?, "scram")
}

#[test]
fn readings_pass_by_mutual_tls() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    passes(Settings::documented(kafka, Way::Tls)?, "tls")
}

#[test]
fn readings_pass_by_aws_credentials_of_the_environment() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    passes(credentials::of_environment(kafka, "AKIAMETER")?, "environment")
}

#[test]
fn readings_pass_by_aws_credentials_of_a_process() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    let settings = Settings::documented(kafka, Way::Iam)?;
    let printed = Credentials::that_end_in(Duration::from_secs(600)).json();
    std::fs::write(settings.folder.join("printed"), printed)?;
    let profile = format!(
        "[profile meter]\ncredential_process = cat {}\n",
        settings.folder.join("printed").display()
    );
    std::fs::write(settings.folder.join("profiles"), profile)?;
    let profiles = settings.folder.join("profiles").display().to_string();
    let settings = settings
        .with_variable("AWS_CONFIG_FILE", profiles)
        .with_variable("AWS_PROFILE", "meter");
    passes(settings, "process")
}

/// Credentials of six seconds, sessions of four: in the 25 seconds of this run each is renewed several times, in every
/// client: the consumers', the transactional producers', and the one that plays.
#[test]
fn a_run_outlives_its_credentials_several_times() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    let lifetime = Lifetime::serve(Duration::from_secs(6))?;
    let topic = unique("renewed");
    let settings = Settings::documented(kafka, Way::Iam)?
        .with_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", lifetime.address())
        .with_variable("STREAMGAUGE__COMMIT__INTERVAL", "500ms")
        .with_variable("STREAMGAUGE__COMMIT__IDLE_INTERVAL", "500ms")
        .with_variable("STREAMGAUGE__KAFKA__TOPIC", &topic)
        .with_variable("STREAMGAUGE__KAFKA__GROUP", &topic)
        .with_variable("STREAMGAUGE__DETECT__ANOMALY_TOPIC", format!("{topic}.anomaly"));
    let slowly = ["--accelerator", "12", "--tick", "1s", "--max-iterations", "25"];
    let mut playing = Child::start(
        "play",
        &mut settings.command(&[&["play", RECORDING], &slowly[..]].concat()),
    )?;
    let mut running = Child::start_with_events("run", &mut settings.command(&["run"]))?;
    running.wait_for_event(COMMITTED, &[], LIMIT)?;
    let served_for_the_start = lifetime.served();
    ensure!(playing.wait(LIMIT)?.success(), "{}", playing.output());
    let served = lifetime.served() - served_for_the_start;
    ensure!(served >= 8, "credentials were renewed {served} times only");

    // No reading: its side output is written by a producer that is made with the credentials of now.
    kafka.kafka.produce(&topic, [NewRecord::new(0, "{broken")])?;
    running.wait_for_event(COMMITTED, &[("dead_lettered", 1)], LIMIT)?;
    running.signal(Signal::Terminate)?;
    ensure!(running.wait(LIMIT)?.success(), "{}", running.output());
    let said = running.output();
    ensure!(
        said.contains("301 consumed = 300 aggregated + 0 late + 1 dead-lettered"),
        "{said}"
    );
    for said in [said, playing.output()] {
        ensure!(
            !said.contains("no token for") && !said.contains("AWS credentials"),
            "{said}"
        );
    }
    ensure!(!kafka.log().contains("token refused: expired"), "{}", kafka.log());
    Ok(())
}
