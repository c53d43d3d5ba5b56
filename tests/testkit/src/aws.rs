//! AWS' side of the protocols that hand out credentials, which cannot be had here: a container's and an instance's
//! metadata (IMDSv2) and STS. Each key it gives is that of another user of the tests' S3 server, so that the proxy in
//! front of the server can refuse it when it has expired. (The server takes no session tokens but its own.)

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, Utc};

use super::proxy::http::{self, Request};
use super::s3::{PASSING_COUNT, SECRET_KEY, passing_key};

/// The token that a container must present.
pub const CONTAINER_TOKEN: &str = "the-container";
const INSTANCE_TOKEN: &str = "the-session";
const ROLE: &str = "streamgauge-run";

#[derive(Debug)]
struct State {
    region: String,
    lifetime: Duration,
    asked: Mutex<Vec<String>>,
    closed: AtomicBool,
}

/// A server on a port of its own; it is closed when the value is dropped.
#[derive(Debug)]
pub struct Aws {
    address: SocketAddr,
    state: Arc<State>,
}

impl Aws {
    /// A server that says it is in a region, and whose credentials last so long, to the second.
    pub fn start(region: &str, lifetime: Duration) -> Result<Aws> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            region: region.to_owned(),
            lifetime,
            asked: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.closed.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that goes away is not an error of the server.
                std::thread::spawn(move || serving.serve(&client).ok());
            }
        });
        Ok(Aws { address, state })
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests, in order: method and path.
    pub fn asked(&self) -> Vec<String> {
        self.state
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, client: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(client);
        let mut writer = client;
        while let Some(request) = http::read_request(&mut reader)? {
            let asked = format!("{} {}", request.method, request.target);
            self.asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(asked);
            let (status, body) = self.answer(&request);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} .\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {length}\r\n\r\n"
            );
            writer.write_all((head + &body).as_bytes())?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> (u16, String) {
        const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
        let is_instance = request.header("x-aws-ec2-metadata-token").as_deref() == Some(INSTANCE_TOKEN);
        match (request.method.as_str(), request.target.as_str()) {
            ("PUT", "/latest/api/token") => (200, INSTANCE_TOKEN.to_owned()),
            ("GET", path) if path.starts_with("/latest/") && !is_instance => (401, String::new()),
            ("GET", "/latest/meta-data/placement/region") => (200, self.region.clone()),
            ("GET", ROLES) => (200, ROLE.to_owned()),
            ("GET", path) if path.strip_prefix(ROLES) == Some(ROLE) => (200, self.key_pair()),
            ("GET", "/container") if request.header("authorization").as_deref() == Some(CONTAINER_TOKEN) => {
                (200, self.key_pair())
            }
            ("POST", "/") => {
                let text = String::from_utf8_lossy(&request.bytes);
                let expected = [
                    "Action=AssumeRoleWithWebIdentity",
                    "WebIdentityToken=the-identity",
                ];
                match expected.iter().all(|part| text.contains(part)) {
                    true => (200, self.assumed_role()),
                    false => (400, String::new()),
                }
            }
            _ => (404, String::new()),
        }
    }

    /// A new key, and when it expires.
    fn next_key(&self) -> (String, String) {
        let mut expiries = expiries();
        assert!(expiries.len() < PASSING_COUNT, "all keys have been given away");
        let key = passing_key(expiries.len());
        let expiry = Utc::now() + self.lifetime;
        expiries.insert(key.clone(), expiry);
        (key, expiry.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    fn key_pair(&self) -> String {
        let (key, expiration) = self.next_key();
        format!(
            r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"{key}",
            "SecretAccessKey":"{SECRET_KEY}","Token":"","Expiration":"{expiration}"}}"#
        )
    }

    fn assumed_role(&self) -> String {
        let (key, expiration) = self.next_key();
        format!(
            r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>
            <AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser><Credentials>
            <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>
            <SessionToken></SessionToken><Expiration>{expiration}</Expiration></Credentials>
            </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"#
        )
    }
}

/// The keys that were given, and until when each is good.
fn expiries() -> MutexGuard<'static, HashMap<String, DateTime<Utc>>> {
    static EXPIRIES: OnceLock<Mutex<HashMap<String, DateTime<Utc>>>> = OnceLock::new();
    let expiries = EXPIRIES.get_or_init(Mutex::default);
    expiries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a request is signed with one of these keys that has expired.
pub fn is_expired(request: &Request) -> bool {
    let Some(authorization) = request.header("authorization") else {
        return false;
    };
    let key = authorization
        .split_once("Credential=")
        .and_then(|(_, after)| after.split('/').next());
    let expiry = key.and_then(|key| expiries().get(key).copied());
    expiry.is_some_and(|expiry| expiry <= Utc::now())
}
