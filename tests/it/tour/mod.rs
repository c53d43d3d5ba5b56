//! The pages that a newcomer follows, followed: each command of `docs/tour.md` and `README.md` is run against Apache Kafka and
//! must print what the page says it prints.

mod output;
mod page;
mod shell;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::{block_on, find_program, free_port, require};

use self::output::compare;
use self::page::{Block, Command, Page};
use self::shell::Shell;

/// The node that the tests' brokers are.
const BROKER_ID: i32 = 1;
/// The programs that a page's commands may use besides `streamgauge` and those of every POSIX system.
const FOREIGN_PROGRAMS: [&str; 1] = ["curl"];
/// The time that background processes may take until a command prints what the page says.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(120);

#[test]
fn the_tour_prints_what_it_says() {
    follow("docs/tour.md");
}

#[test]
fn the_readme_prints_what_it_says() {
    follow("README.md");
}

/// Follows a page with a broker of its own, so that its topics can have the names that a reader would give them.
fn follow(file: &str) {
    let Some(broker) = require("Apache Kafka", Kafka::private()) else {
        return;
    };
    if let Err(error) = follow_with(&broker.kafka, file) {
        panic!("{error:#}");
    }
}

fn follow_with(kafka: &Kafka, file: &str) -> Result<()> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
    let page = Page::parse(&text).with_context(|| file.to_owned())?;
    ensure!(page.commands().count() > 5, "{file} has hardly any commands");
    take_messages_of_the_usual_size(kafka)?;
    // A broker's first answer to a transaction is that it is not ready yet, which librdkafka warns of.
    kafka.create_topic("warm-up", 1)?;
    kafka.abort_transaction("warm-up", b"")?;

    let mut shell = Shell::start(kafka.brokers(), free_port()?)?;
    for (line, block) in &page.blocks {
        let place = || format!("{file}, line {line}");
        match block {
            Block::Console(commands) => run_all(&mut shell, commands).with_context(place)?,
            Block::Produce { topic, lines } => {
                kafka.create_topic(topic, 1)?;
                let records = lines.iter().map(|line| NewRecord::new(0, line.as_bytes()));
                kafka.produce(topic, records).with_context(place)?;
            }
            Block::Record { topic, text } => {
                let records = kafka.read_topic(topic)?;
                let is_there = records
                    .iter()
                    .any(|record| compare(text, &describe(record, text)).is_ok());
                ensure!(is_there, "{}: {topic} has no such record", place());
            }
        }
    }
    Ok(())
}

/// Gives new topics the limit that they have at a reader's broker. The tests' brokers take larger messages, of which
/// `config check` warns.
fn take_messages_of_the_usual_size(kafka: &Kafka) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .create()?;
    let broker = ResourceSpecifier::Broker(BROKER_ID);
    let limit = AlterConfig::new(broker).set("message.max.bytes", "1048588");
    let results = block_on(admin.alter_configs(&[limit], &AdminOptions::new()))?;
    for result in results {
        result.map_err(|(_, error)| anyhow!("the broker keeps its limit: {error}"))?;
    }
    Ok(())
}

fn run_all(shell: &mut Shell, commands: &[Command]) -> Result<()> {
    let uses = |program: &&&str| commands.iter().any(|command| command.text.contains(**program));
    for program in FOREIGN_PROGRAMS.iter().filter(uses) {
        if require(program, find_program(program)).is_none() {
            return Ok(());
        }
    }
    for command in commands {
        let deadline = Instant::now() + BACKGROUND_LIMIT;
        loop {
            let printed = shell.run(&command.text)?;
            match compare(&command.output, &printed) {
                Ok(()) => break,
                Err(_) if command.is_repeated && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(300));
                }
                Err(error) => return Err(error.context(format!("$ {}", command.text))),
            }
        }
    }
    Ok(())
}

/// A record as a page shows it: its value and, if the page shows any, its headers.
fn describe(record: &Record, text: &str) -> String {
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = vec![utf8(record.value.as_deref().unwrap_or_default())];
    if text.contains('\n') {
        let headers = record.headers.iter();
        lines.extend(
            headers.map(|(name, value)| format!("  {name}={}", utf8(value.as_deref().unwrap_or_default()))),
        );
    }
    lines.join("\n")
}
