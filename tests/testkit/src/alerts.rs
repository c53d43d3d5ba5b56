//! What alerts are sent to in the tests: Prometheus Alertmanager, of Debian and built by Go, and a mail server.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cache::{cached, go_program, python_environment};
use super::kafka::Certificates;
use super::packages::unpacked_package;
use super::process::{Child, Signal, scratch_folder, tail};
use super::{eventually, find_program, free_port};

const START_LIMIT: Duration = Duration::from_secs(30);
const NEWER: &str = "github.com/prometheus/alertmanager/cmd/alertmanager@v0.31.1";
/// Where Debian's program looks for its templates, and nowhere else.
const DEBIANS_FOLDER: &str = "/usr/share/prometheus/alertmanager";

/// Alertmanager as Debian (or Ubuntu) packages it, unpacked into the cache: nothing is installed.
pub fn debians_alertmanager() -> Result<PathBuf> {
    const PROGRAM: &str = "prometheus-alertmanager";
    if Path::new(DEBIANS_FOLDER).join("default.tmpl").is_file() {
        return find_program(PROGRAM);
    }
    let folder = cached("alertmanager-debian", |folder| {
        let package = unpacked_package(folder, PROGRAM)?;
        let program = std::fs::read(package.join("usr/bin").join(PROGRAM))?;
        let program = in_working_folder(program)?;
        let place = folder.join(PROGRAM);
        std::fs::write(&place, program)?;
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))?;
        for template in ["default.tmpl", "email.tmpl"] {
            std::fs::rename(
                package
                    .join(DEBIANS_FOLDER.trim_start_matches('/'))
                    .join(template),
                folder.join(template),
            )?;
        }
        Ok(std::fs::remove_dir_all(package)?)
    })?;
    Ok(folder.join(PROGRAM))
}

/// A newer one, built by Go.
pub fn newer_alertmanager() -> Result<PathBuf> {
    go_program("alertmanager", NEWER)
}

/// The program with the folder that is compiled into it replaced by the working folder, in as many bytes.
fn in_working_folder(mut program: Vec<u8>) -> Result<Vec<u8>> {
    let old = DEBIANS_FOLDER.as_bytes();
    let new = "./".repeat(old.len() / 2).into_bytes();
    ensure!(new.len() == old.len(), "the two paths are of one length");
    let mut places = 0;
    let mut at = 0;
    while let Some(found) = program[at..].windows(old.len()).position(|bytes| bytes == old) {
        at += found;
        program[at..at + old.len()].copy_from_slice(&new);
        places += 1;
    }
    ensure!(places > 0, "the program does not name {DEBIANS_FOLDER}");
    Ok(program)
}

/// A running Alertmanager that tells a webhook, at once, what fires and what is resolved.
#[derive(Debug)]
pub struct Alertmanager {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Alertmanager {
    pub fn start(program: &Path, webhook: &str) -> Result<Self> {
        let folder = scratch_folder("alertmanager");
        let settings = format!(
            "route: {{receiver: test, group_by: [series], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}\n\
             receivers: [{{name: test, webhook_configs: [{{url: '{webhook}', send_resolved: true}}]}}]\n"
        );
        std::fs::write(folder.join("settings.yml"), settings)?;
        let mut alertmanager = Alertmanager {
            program: program.to_owned(),
            folder,
            port: free_port()?,
            server: None,
        };
        alertmanager.run()?;
        Ok(alertmanager)
    }

    /// Ends it as an upgrade does, and starts it on what it has stored.
    pub fn restart(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::Terminate)?;
            server.wait(START_LIMIT)?;
        }
        self.run()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn run(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.program.parent().context("the program lies in a folder")?)
            .arg(format!(
                "--config.file={}",
                self.folder.join("settings.yml").display()
            ))
            .arg(format!("--storage.path={}", self.folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .arg("--cluster.listen-address=");
        let mut server = Child::start("alertmanager", &mut command)?;
        let listens = eventually("Alertmanager listens", START_LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).map_err(Into::into)
        });
        if let Err(error) = listens {
            let ended = server
                .exit_status()?
                .map(|status| status.to_string())
                .unwrap_or_default();
            return Err(error.context(format!("alertmanager {ended}:\n{}", tail(&server.output()))));
        }
        self.server = Some(server);
        Ok(())
    }
}

/// A Python environment with a mail server, and the library of Standard Webhooks.
pub fn python() -> Result<PathBuf> {
    python_environment(&folder().join("requirements.txt"))
}

/// Where the scripts for it lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../alerts")
}

/// One of the scripts, as a server under `localhost` with a certificate of its own.
#[derive(Debug)]
pub struct TlsServer {
    pub port: u16,
    /// The authority of its certificate, and another one.
    pub authority: PathBuf,
    pub other_authority: PathBuf,
    server: Child,
}

impl TlsServer {
    /// The password of the mail server's user, `meters`.
    pub const PASSWORD: &str = "hush-hush";

    /// aiosmtpd, which wants STARTTLS and the password.
    pub fn mail() -> Result<Self> {
        Self::start("smtp_server.py", &[Self::PASSWORD])
    }

    /// HTTPS.
    pub fn https() -> Result<Self> {
        Self::start("https_server.py", &[])
    }

    fn start(script: &str, arguments: &[&str]) -> Result<Self> {
        let python = python()?;
        let certificates = Certificates::make(&scratch_folder("certificates"))?;
        let port = free_port()?;
        let mut command = Command::new(python);
        command
            .arg(folder().join(script))
            .arg(port.to_string())
            .arg(&certificates.broker)
            .args(arguments);
        let mut server = TlsServer {
            port,
            authority: certificates.authority,
            other_authority: certificates.other_authority,
            server: Child::start(script, &mut command)?,
        };
        let listens = eventually("the server listens", START_LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).map_err(Into::into)
        });
        if let Err(error) = listens {
            let ended = server.server.exit_status()?;
            bail!("{error:#}, {ended:?}:\n{}", tail(&server.server.output()));
        }
        Ok(server)
    }

    /// What the script has printed.
    pub fn printed(&self) -> String {
        self.server.stdout()
    }

    /// The mails that it has taken, as the script prints them.
    pub fn mails(&self) -> Result<Vec<Value>> {
        self.printed()
            .lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }
}
