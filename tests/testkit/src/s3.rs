//! An S3 server with true conditional PUT for the tests: versitygw over a folder, one for the whole run.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cache::go_program;
use super::process::{Child, scratch_folder, tail};
use super::{eventually, find_program, free_port, once, unique};

/// The server's program, where it is neither on `PATH` nor to be built.
const BINARY_VARIABLE: &str = "STREAMGAUGE_TEST_S3_BINARY";
const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
pub const ACCESS_KEY: &str = "streamgauge-test";
pub const SECRET_KEY: &str = "streamgauge-test-secret";
/// A user whom the server knows and whom nothing is allowed: access key and secret.
pub const STRANGER: (&str, &str) = ("stranger", "stranger-secret");
/// Users whom everything is allowed, for keys that are good for a time.
pub const PASSING_COUNT: usize = 100;
/// Where the server of the whole run says that it is.
const REGION: &str = "us-east-1";
const BUCKET: &str = "lake";

#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    folder: PathBuf,
}

impl S3 {
    pub fn shared() -> Result<&'static S3> {
        static SHARED: OnceLock<Result<(S3, Child), String>> = OnceLock::new();
        once(&SHARED, || start(REGION)).map(|(s3, _)| s3)
    }

    /// A server of the test's own that takes signatures for another region only.
    pub fn in_region(region: &str) -> Result<(S3, Child)> {
        start(region)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the server keeps a bucket: its objects are the files in it.
    pub fn bucket_folder(&self) -> PathBuf {
        self.folder.join(BUCKET)
    }

    /// A prefix in the bucket that no other test uses, as a table's URI.
    pub fn table_uri(&self, name: &str) -> String {
        format!("s3://{BUCKET}/{}", unique(name))
    }

    /// The options of delta-rs and `object_store` for the server.
    pub fn storage_options(&self) -> Vec<(String, String)> {
        storage_options(self.address)
    }
}

/// The access key of the user of a number; the secret is the server's own.
pub fn passing_key(number: usize) -> String {
    format!("passing-{number}")
}

/// The options to reach the server, or a proxy in front of it, at an address.
pub fn storage_options(address: SocketAddr) -> Vec<(String, String)> {
    [
        ("aws_endpoint_url", format!("http://{address}").as_str()),
        ("aws_access_key_id", ACCESS_KEY),
        ("aws_secret_access_key", SECRET_KEY),
        ("aws_region", "us-east-1"),
        ("aws_allow_http", "true"),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .to_vec()
}

/// A wrong path in the variable is an error: falling back would hide it.
fn binary() -> Result<PathBuf> {
    match std::env::var_os(BINARY_VARIABLE) {
        Some(path) => {
            std::fs::canonicalize(&path).with_context(|| format!("{BINARY_VARIABLE} names no file"))
        }
        None => find_program("versitygw").or_else(|_| go_program("versitygw", MODULE)),
    }
}

fn start(region: &str) -> Result<(S3, Child)> {
    let binary = binary()?;
    let folder = scratch_folder("s3");
    std::fs::create_dir(folder.join(BUCKET))?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut child = serve(&binary, address, &folder, region)?;
    let listening = eventually("the S3 server's port", Duration::from_secs(20), || {
        Ok(TcpStream::connect(address).map(drop)?)
    });
    if let Err(error) = listening {
        let ended = child
            .exit_status()?
            .map(|status| status.to_string())
            .unwrap_or_default();
        return Err(error.context(format!("versitygw {ended}:\n{}", tail(&child.output()))));
    }
    Ok((S3 { address, folder }, child))
}

fn serve(binary: &Path, address: SocketAddr, folder: &Path, region: &str) -> Result<Child> {
    let users = scratch_folder("s3-users");
    let (stranger, secret) = STRANGER;
    let user = |access: &str, secret: &str, role: &str| {
        format!(r#""{access}":{{"access":"{access}","secret":"{secret}","role":"{role}"}}"#)
    };
    let mut accounts = vec![user(stranger, secret, "user")];
    accounts.extend((0..PASSING_COUNT).map(|number| user(&passing_key(number), SECRET_KEY, "admin")));
    let accounts = format!(r#"{{"accessAccounts":{{{}}}}}"#, accounts.join(","));
    std::fs::write(users.join("users.json"), accounts)?;
    let mut command = Command::new(binary);
    command
        .env("ROOT_ACCESS_KEY", ACCESS_KEY)
        .env("ROOT_SECRET_KEY", SECRET_KEY)
        .args(["--quiet", "--port", &address.to_string(), "--region", region])
        .arg("--iam-dir")
        .arg(&users)
        .arg("posix")
        .arg(folder);
    Child::start("versitygw", &mut command)
}
