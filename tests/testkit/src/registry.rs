//! Apicurio's schema registry, fetched by Maven, with its schemas in memory; and messages by Confluent's and Apicurio's own
//! serializers, which enter their schemas into it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cache::{maven_libraries, maven_program, python_environment};
use super::process::{Child, run};
use super::{eventually, find_program, free_port};

const SERVER: &str = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all";
const JAR: &str = "apicurio-registry-app-2.6.13.Final-runner.jar";
const START_LIMIT: Duration = Duration::from_secs(120);

/// A server that ends with the value.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    _server: Child,
}

impl Registry {
    /// Starts a server, and waits until it answers.
    pub fn start() -> Result<Registry> {
        let folder = maven_program(SERVER, &[JAR, "lib"])?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(find_program("java")?);
        command
            .args(["-Xmx400m", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-jar"])
            .arg(folder.join(JAR))
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", address.port().to_string());
        let registry = Registry {
            address,
            _server: Child::start("apicurio", &mut command)?,
        };
        eventually("the registry answers", START_LIMIT, || registry.subjects())?;
        Ok(registry)
    }

    /// The URL that clients of Confluent's registry are given.
    pub fn url(&self) -> String {
        format!("http://{}/apis/ccompat/v7", self.address)
    }

    /// What a Python script prints that is given the registry's URL and further arguments, a JSON value a line.
    pub fn serialize(&self, script: &Path, arguments: &[&str]) -> Result<Vec<Value>> {
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry.txt");
        let mut command = Command::new(python_environment(&requirements)?);
        command.arg(script).arg(self.url()).args(arguments);
        let printed = run("serialize", &mut command, START_LIMIT)?;
        let lines = printed.lines().map(|line| Ok(serde_json::from_str(line)?));
        lines.collect()
    }

    /// What a Java program prints that is given the URL of Apicurio's own interface and further arguments, a JSON value a line.
    /// It has Apicurio's serializers and Avro to use.
    pub fn serialize_by_java(&self, program: &Path, arguments: &[String]) -> Result<Vec<Value>> {
        const ARTIFACTS: [&str; 2] = [
            "io.apicurio:apicurio-registry-serdes-avro-serde:2.6.13.Final",
            "org.slf4j:slf4j-nop:1.7.36",
        ];
        let libraries = maven_libraries("apicurio-serdes-2.6.13", &ARTIFACTS)?;
        let mut command = Command::new(find_program("java")?);
        command
            .args(["-XX:-UsePerfData", "-Xmx256m", "-cp"])
            .arg(libraries.join("*"))
            .arg(program)
            .arg(format!("http://{}/apis/registry/v2", self.address))
            .args(arguments);
        let printed = run("serialize-by-java", &mut command, START_LIMIT)?;
        let lines = printed.lines().map(|line| Ok(serde_json::from_str(line)?));
        lines.collect()
    }

    fn subjects(&self) -> Result<Value> {
        let mut connection = TcpStream::connect(self.address)?;
        write!(
            connection,
            "GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.address
        )?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        ensure!(
            response.split_whitespace().nth(1) == Some("200"),
            "the registry answers {response}"
        );
        let (_, body) = response.split_once("\r\n\r\n").context("no HTTP response")?;
        Ok(serde_json::from_str(body)?)
    }
}
