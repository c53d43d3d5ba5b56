//! moto, an imitation of AWS: the `moto_server` of `PATH`, else one in a Python environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cache::python_environment;
use super::process::Child;
use super::{eventually, find_program, free_port};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that ends with the value.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    _server: Child,
}

impl Moto {
    /// Starts a server, and waits until it listens.
    pub fn start() -> Result<Moto> {
        let port = free_port()?;
        let mut command = Command::new(program()?);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = Child::start("moto", &mut command)?;
        eventually("moto listens", START_LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).map_err(Into::into)
        })?;
        Ok(Moto {
            port,
            _server: server,
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

fn program() -> Result<PathBuf> {
    if let Ok(program) = find_program("moto_server") {
        return Ok(program);
    }
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("moto.txt");
    let python = python_environment(&requirements)?;
    let folder = python.parent().context("the interpreter lies in a folder")?;
    Ok(folder.join("moto_server"))
}
