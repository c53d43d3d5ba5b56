//! One Apache Kafka whose listeners want to know who one is: by a certificate, by SCRAM, and by AWS credentials, which
//! `AwsSignatures.java` checks as Amazon MSK has AWS do it. It denies everything that is not granted.

mod certificates;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

pub use self::certificates::Certificates;
use super::Kafka;
use super::broker::{ALONE, CLUSTER_ID, START_LIMIT, java, java_libraries};
use crate::process::{Child, run, scratch_folder, tail};
use crate::{find_program, free_port, once};

/// The users of SCRAM, each with the password `secret of <name>`. Only `admin` may do everything.
const USERS: [&str; 11] = [
    "admin",
    "consumer",
    "producer",
    "no-describe",
    "no-read",
    "no-group",
    "no-write",
    "no-transactions",
    "no-create",
    "nobody",
    "onlooker",
];

#[derive(Debug)]
pub struct SecuredKafka {
    /// By way of the listener that asks nothing, for the test's own use.
    pub kafka: Kafka,
    pub certificates: Certificates,
    /// Listeners: mutual TLS, SCRAM, AWS credentials. The broker calls itself `localhost` on all of them.
    pub tls_port: u16,
    pub scram_port: u16,
    pub iam_port: u16,
    folder: PathBuf,
    libraries: PathBuf,
    classes: PathBuf,
    process: Child,
}

impl SecuredKafka {
    /// The one of the whole run.
    pub fn shared() -> Result<&'static SecuredKafka> {
        static SHARED: OnceLock<Result<SecuredKafka, String>> = OnceLock::new();
        once(&SHARED, SecuredKafka::start)
    }

    fn start() -> Result<SecuredKafka> {
        let libraries = java_libraries()?;
        let folder = scratch_folder("secured-kafka");
        let classes = compile(&libraries, &folder)?;
        let certificates = Certificates::make(&folder)?;
        let [plain_port, controller_port, tls_port, scram_port, iam_port] = [
            free_port()?,
            free_port()?,
            free_port()?,
            free_port()?,
            free_port()?,
        ];
        let ports = [plain_port, controller_port, tls_port, scram_port, iam_port];
        let settings = folder.join("server.properties");
        std::fs::write(&settings, properties(ports, &certificates, &folder.join("data")))?;
        let mut format = java(&libraries, &[])?;
        format
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(&settings);
        for user in USERS {
            let credential = format!("SCRAM-SHA-512=[name={user},password=secret of {user}]");
            format.args(["--add-scram", &credential]);
        }
        run("secured-kafka-format", &mut format, START_LIMIT)?;
        let mut command = with_classes(&libraries, &classes)?;
        command.arg("kafka.Kafka").arg(&settings);
        let process = Child::start("secured-kafka", &mut command)?;
        let kafka = Kafka::at(&format!("127.0.0.1:{plain_port}"));
        kafka
            .wait_until_it_answers(START_LIMIT)
            .with_context(|| format!("the broker's log ends with:\n{}", tail(&process.output())))?;
        Ok(SecuredKafka {
            kafka,
            certificates,
            tls_port,
            scram_port,
            iam_port,
            folder,
            libraries,
            classes,
            process,
        })
    }

    /// Grants rights, each such as `alice READ TOPIC usage`.
    pub fn grant(&self, rights: &str) -> Result<()> {
        let file = self.folder.join("rights");
        std::fs::write(&file, rights)?;
        let mut command = with_classes(&self.libraries, &self.classes)?;
        command.args(["GrantRights", self.kafka.brokers()]).arg(&file);
        run("grant-rights", &mut command, START_LIMIT).map(drop)
    }

    /// The broker's log so far, such as why it refused a token.
    pub fn log(&self) -> String {
        self.process.output()
    }
}

/// The folder of the compiled classes.
fn compile(libraries: &Path, folder: &Path) -> Result<PathBuf> {
    let classes = folder.join("classes");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kafka/secured");
    let mut javac = Command::new(find_program("javac")?);
    javac
        .arg("-cp")
        .arg(libraries.join("*"))
        .arg("-d")
        .arg(&classes)
        .args(["AwsSignatures.java", "GrantRights.java"].map(|source| sources.join(source)));
    run("javac", &mut javac, START_LIMIT)?;
    Ok(classes)
}

fn with_classes(libraries: &Path, classes: &Path) -> Result<Command> {
    let mut command = java(libraries, &["-Xmx512m"])?;
    // The last one given counts.
    command
        .arg("-cp")
        .arg(format!("{}:{}/*", classes.display(), libraries.display()));
    Ok(command)
}

/// Sessions by AWS credentials last four seconds, so that clients must authenticate again.
fn properties(ports: [u16; 5], certificates: &Certificates, data: &Path) -> String {
    let [plain, controller, tls, scram, iam] = ports;
    let login = "org.apache.kafka.common.security";
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},TLS://127.0.0.1:{tls},SCRAM://127.0.0.1:{scram},IAM://127.0.0.1:{iam}
advertised.listeners=PLAIN://127.0.0.1:{plain},TLS://localhost:{tls},SCRAM://localhost:{scram},IAM://localhost:{iam}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SCRAM:SASL_SSL,IAM:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={broker}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.tls.ssl.client.auth=required
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.iam.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.iam.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required;
listener.name.iam.oauthbearer.sasl.server.callback.handler.class=AwsSignatures
listener.name.iam.oauthbearer.connections.max.reauth.ms=4000
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:CN=meter;User:aws;User:admin
log.dirs={data}
log.retention.ms=-1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
{ALONE}",
        broker = certificates.broker.display(),
        authority = certificates.authority.display(),
        data = data.display(),
    )
}
