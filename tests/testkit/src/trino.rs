//! Trino, the engine behind Athena, over the tables in the tests' S3 server: one for the whole run. It reaches the
//! server through a proxy that notes what it asks for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cache::maven_program;
use super::process::{Child, run, scratch_folder, tail};
use super::proxy::FaultProxy;
use super::s3::{S3, storage_options};
use super::{eventually, find_program, free_port, once, unique};

const SERVER: &str = "io.trino:trino-server:476:tar.gz";
const JAVA_VERSION: u32 = 24;
/// Where Linux distributions install JDKs.
const JAVA_FOLDER: &str = "/usr/lib/jvm";
const START_LIMIT: Duration = Duration::from_secs(120);
const QUERY_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct Trino {
    address: SocketAddr,
    proxy: FaultProxy,
}

/// The result of a statement.
#[derive(Debug)]
pub struct Answer {
    /// Names and types of the columns.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Vec<Value>>,
}

impl Trino {
    pub fn shared() -> Result<&'static Trino> {
        static SHARED: OnceLock<Result<(Trino, Child), String>> = OnceLock::new();
        once(&SHARED, start).map(|(trino, _)| trino)
    }

    /// Enters a Delta table, as `usage` in a schema of its own. Returns the schema's name.
    pub fn register(&self, uri: &str) -> Result<String> {
        let schema = unique("lake").replace('-', "_");
        self.query(
            &schema,
            &format!("CREATE SCHEMA lake.{schema} WITH (location = 'local:///{schema}')"),
        )?;
        self.query(
            &schema,
            &format!("CALL lake.system.register_table('{schema}', 'usage', '{uri}')"),
        )?;
        Ok(schema)
    }

    /// Runs a statement, which may end with a semicolon, in a schema.
    pub fn query(&self, schema: &str, sql: &str) -> Result<Answer> {
        let deadline = Instant::now() + QUERY_LIMIT;
        let sql = sql.trim().trim_end_matches(';');
        let mut page = self.exchange("POST", "/v1/statement", schema, sql)?;
        let mut answer = Answer {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        loop {
            if let Some(error) = page.get("error") {
                bail!("Trino says {} of:\n{sql}", error["message"]);
            }
            if let Some(columns) = page["columns"].as_array() {
                let column = |column: &Value| {
                    let text = |name: &str| column[name].as_str().map(str::to_owned);
                    text("name")
                        .zip(text("type"))
                        .context("a column without name or type")
                };
                answer.columns = columns.iter().map(column).collect::<Result<_>>()?;
            }
            for row in page["data"].as_array().into_iter().flatten() {
                answer
                    .rows
                    .push(row.as_array().context("a row is an array")?.clone());
            }
            let Some(next) = page["nextUri"].as_str() else {
                return Ok(answer);
            };
            ensure!(
                Instant::now() < deadline,
                "Trino took more than {QUERY_LIMIT:?} for:\n{sql}"
            );
            let target = next
                .strip_prefix(&format!("http://{}", self.address))
                .with_context(|| format!("{next} is not of this server"))?
                .to_owned();
            page = self.exchange("GET", &target, schema, "")?;
        }
    }

    /// The data files under a table's URI that it asked for since it started, each as often as it did.
    pub fn files_read(&self, uri: &str) -> Vec<String> {
        files_read(&self.proxy, uri)
    }

    /// One request over a connection of its own: in HTTP/1.0 the answer ends with the connection.
    fn exchange(&self, method: &str, target: &str, schema: &str, body: &str) -> Result<Value> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.set_read_timeout(Some(QUERY_LIMIT))?;
        write!(
            connection,
            "{method} {target} HTTP/1.0\r\nHost: {}\r\nX-Trino-User: tests\r\nX-Trino-Catalog: lake\r\n\
             X-Trino-Schema: {schema}\r\nX-Trino-Time-Zone: UTC\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        let (head, content) = response.split_once("\r\n\r\n").context("no HTTP response")?;
        let status = head.split_whitespace().nth(1);
        ensure!(status == Some("200"), "Trino answers {head}\n{content}");
        Ok(serde_json::from_str(content)?)
    }
}

/// The data files under a table's URI that were asked for through a proxy, in order.
pub fn files_read(proxy: &FaultProxy, uri: &str) -> Vec<String> {
    let folder = format!("/{}/", uri.trim_start_matches("s3://"));
    let name = |target: &str| {
        let path = target.split('?').next()?;
        let name = path.strip_prefix(&folder)?;
        (name.ends_with(".parquet") && !name.contains('/')).then(|| name.to_owned())
    };
    let requests = proxy.requests().into_iter();
    requests
        .filter(|request| request.method == "GET")
        .filter_map(|request| name(&request.target))
        .collect()
}

fn start() -> Result<(Trino, Child)> {
    let java = recent_java()?;
    let server = maven_program(SERVER, &["lib", "plugin/delta-lake"])?;
    let proxy = FaultProxy::start(S3::shared()?.address())?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let folder = scratch_folder("trino");
    configure(&folder, address, &proxy)?;

    let mut command = Command::new(java);
    // Few queries are run, and none twice: the second compiler would come too late.
    command.args(["-Xmx2G", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1"]);
    command.arg("--add-modules=jdk.incubator.vector");
    command.arg(format!("-Dconfig={}", folder.join("config.properties").display()));
    command.arg(format!(
        "-Dlog.levels-file={}",
        folder.join("log.properties").display()
    ));
    command.arg(format!("-Dplugin.dir={}", server.join("plugin").display()));
    command.arg(format!(
        "-Dcatalog.config-dir={}",
        folder.join("catalog").display()
    ));
    command.arg(format!("-Dnode.data-dir={}", folder.join("data").display()));
    command.args(["-Dnode.environment=tests", "-Dnode.id=tests", "-cp"]);
    command
        .arg(server.join("lib").join("*"))
        .arg("io.trino.server.TrinoServer");
    let mut process = Child::start("trino", &mut command)?;
    process.wait_for("SERVER STARTED", START_LIMIT)?;
    let trino = Trino { address, proxy };
    // It says so a moment before it knows of its only worker.
    let ready = eventually("Trino's first answer", START_LIMIT, || {
        trino.query("", "SELECT 1")
    });
    ready.with_context(|| format!("Trino's log ends with:\n{}", tail(&process.output())))?;
    Ok((trino, process))
}

fn configure(folder: &Path, address: SocketAddr, proxy: &FaultProxy) -> Result<()> {
    let option = |name: &str| {
        let mut options = storage_options(proxy.address()).into_iter();
        options
            .find_map(|(option, value)| (option == name).then_some(value))
            .unwrap_or_default()
    };
    let port = address.port();
    let config = format!(
        "coordinator=true\nnode-scheduler.include-coordinator=true\nhttp-server.http.port={port}\n\
         discovery.uri=http://{address}\nnode.internal-address=127.0.0.1\n"
    );
    let catalog = format!(
        "connector.name=delta_lake\nhive.metastore=file\nhive.metastore.catalog.dir=local:///metastore\n\
         fs.native-local.enabled=true\nlocal.location={}\nfs.native-s3.enabled=true\ns3.endpoint={}\ns3.region={}\n\
         s3.path-style-access=true\ns3.aws-access-key={}\ns3.aws-secret-key={}\n\
         delta.register-table-procedure.enabled=true\n",
        folder.display(),
        option("aws_endpoint_url"),
        option("aws_region"),
        option("aws_access_key_id"),
        option("aws_secret_access_key"),
    );
    std::fs::create_dir(folder.join("catalog"))?;
    std::fs::write(folder.join("config.properties"), config)?;
    std::fs::write(
        folder.join("log.properties"),
        "io=WARN\nio.trino.server.Server=INFO\n",
    )?;
    std::fs::write(folder.join("catalog/lake.properties"), catalog)?;
    Ok(())
}

/// A Java that is new enough, which need not be the one on `PATH`: Apache Kafka runs on older ones.
fn recent_java() -> Result<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let installed = std::fs::read_dir(JAVA_FOLDER).into_iter().flatten().flatten();
    let installed = installed.map(|folder| folder.path().join("bin/java"));
    let candidates = home.into_iter().chain(find_program("java")).chain(installed);
    candidates
        .filter(|java| java.is_file())
        .find(|java| java_version(java).is_ok_and(|version| version >= JAVA_VERSION))
        .with_context(|| {
            format!(
                "no Java {JAVA_VERSION} or newer in JAVA_HOME, on PATH or under {JAVA_FOLDER}: install a JDK"
            )
        })
}

fn java_version(java: &Path) -> Result<u32> {
    let printed = run(
        "java",
        Command::new(java).arg("--version"),
        Duration::from_secs(30),
    )?;
    let version = printed.split_whitespace().nth(1).context("no version")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
