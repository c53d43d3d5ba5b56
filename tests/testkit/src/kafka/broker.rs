//! One broker process, run by Java from Maven's jars where both are there, else by Docker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Kafka;
use crate::cache::maven_libraries;
use crate::process::{Child, Signal, run, scratch_folder, tail, watch_container};
use crate::{find_program, free_port, unique};

const VERSION: &str = "4.1.0";
/// Any 16 bytes in URL-safe base64: a cluster of one needs no better name.
pub(super) const CLUSTER_ID: &str = "c3RyZWFtZ2F1Z2UtdGVzdA";
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);
/// The settings of a broker's own topics when there is no other broker.
pub(super) const ALONE: &str = "\
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
";
const STOP_LIMIT: Duration = Duration::from_secs(30);
const IMAGE_LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug)]
enum Runtime {
    Java { libraries: PathBuf },
    Docker { container: String },
}

#[derive(Debug)]
pub struct Broker {
    runtime: Runtime,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Broker {
    /// A fresh, empty broker that answers.
    pub fn start() -> Result<Broker> {
        let folder = scratch_folder("kafka");
        let (port, controller_port) = (free_port()?, free_port()?);
        let runtime = match java_libraries() {
            Ok(libraries) => {
                let properties = properties("127.0.0.1", port, controller_port, &folder.join("data"));
                std::fs::write(folder.join("server.properties"), properties)?;
                format_storage(&libraries, &folder)?;
                Runtime::Java { libraries }
            }
            Err(no_java) => {
                let properties = properties("0.0.0.0", port, controller_port, Path::new("/tmp/data"));
                std::fs::write(folder.join("server.properties"), properties)?;
                let container = create_container(&folder, port);
                Runtime::Docker {
                    container: container.with_context(|| format!("no Java broker: {no_java:#}"))?,
                }
            }
        };
        let mut broker = Broker {
            runtime,
            folder,
            port,
            process: None,
        };
        broker.start_again()?;
        Ok(broker)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the broker keeps its topics, if it is a process of this machine.
    pub fn data_folder(&self) -> Result<PathBuf> {
        match &self.runtime {
            Runtime::Java { .. } => Ok(self.folder.join("data")),
            Runtime::Docker { .. } => bail!("the broker's files lie in a container"),
        }
    }

    pub fn start_again(&mut self) -> Result<()> {
        let mut command = match &self.runtime {
            Runtime::Java { libraries } => {
                let mut java = java(libraries, &["-Xmx1g"])?;
                java.arg("kafka.Kafka").arg(self.folder.join("server.properties"));
                java
            }
            Runtime::Docker { container } => {
                let mut docker = Command::new("docker");
                docker.args(["start", "--attach", container]);
                docker
            }
        };
        let process = self.process.insert(Child::start("kafka-broker", &mut command)?);
        let kafka = Kafka {
            brokers: format!("127.0.0.1:{}", self.port),
        };
        let answered = kafka.wait_until_it_answers(START_LIMIT);
        answered.with_context(|| format!("the broker's log ends with:\n{}", tail(&process.output())))
    }

    pub fn stop(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("the broker is not running")?;
        // Docker's client hands the signal on to the container.
        process.signal(Signal::Terminate)?;
        process.wait(STOP_LIMIT)?;
        self.process = None;
        Ok(())
    }

    pub fn kill(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("the broker is not running")?;
        match &self.runtime {
            Runtime::Java { .. } => process.signal(Signal::Kill)?,
            Runtime::Docker { container } => docker(&["kill", container], STOP_LIMIT).map(drop)?,
        }
        process.wait(STOP_LIMIT)?;
        self.process = None;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Runtime::Docker { container } = &self.runtime {
            let _ = docker(&["rm", "--force", container], STOP_LIMIT);
        }
    }
}

pub(super) fn java_libraries() -> Result<PathBuf> {
    find_program("java")?;
    let artifacts = [
        &format!("org.apache.kafka:kafka_2.13:{VERSION}"),
        "org.slf4j:slf4j-simple:1.7.36",
    ];
    maven_libraries(&format!("kafka-{VERSION}"), &artifacts)
}

pub(super) fn java(libraries: &Path, options: &[&str]) -> Result<Command> {
    let mut command = Command::new(find_program("java")?);
    // Without this the virtual machine leaves a file in the temporary folder when it is killed.
    command
        .args(options)
        .arg("-XX:-UsePerfData")
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg("-cp")
        .arg(libraries.join("*"));
    Ok(command)
}

fn format_storage(libraries: &Path, folder: &Path) -> Result<()> {
    let mut command = java(libraries, &[])?;
    command
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(folder.join("server.properties"));
    run("kafka-format", &mut command, START_LIMIT).map(drop)
}

/// The image formats its storage by itself, and keeps it in the container until that is removed.
fn create_container(folder: &Path, port: u16) -> Result<String> {
    let image = format!("apache/kafka:{VERSION}");
    docker(&["version", "--format", "{{.Server.Version}}"], START_LIMIT).context("Docker does not answer")?;
    docker(&["pull", "--quiet", &image], IMAGE_LIMIT)?;
    let container = unique("streamgauge-kafka");
    let Some(folder) = folder.to_str() else {
        bail!("{} is not UTF-8", folder.display())
    };
    let mount = format!("{folder}/server.properties:/mnt/shared/config/server.properties:ro");
    let publish = format!("127.0.0.1:{port}:{port}");
    watch_container(&container);
    let create = [
        "create",
        "--name",
        &container,
        "--publish",
        &publish,
        "--volume",
        &mount,
        &image,
    ];
    docker(&create, START_LIMIT)?;
    Ok(container)
}

fn docker(arguments: &[&str], limit: Duration) -> Result<String> {
    run("docker", Command::new("docker").args(arguments), limit)
}

/// One process that is broker and controller. Few partitions of the internal topics make it start faster. Records
/// are kept whatever their timestamps say: the tests' readings are years old.
fn properties(interface: &str, port: u16, controller_port: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://{interface}:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
log.retention.ms=-1
auto.create.topics.enable=false
message.max.bytes=20971520
replica.fetch.max.bytes=20971520
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
{ALONE}",
        data = data.display()
    )
}
