//! A proxy in front of the S3 server that makes the faults a store really has: answers that get lost after the
//! request took effect, refusals, silence, slowness, broken connections.
//!
//! Requests are passed on byte for byte, the `Host` header too, because the client's signature covers it.

pub mod http;

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use super::aws::is_expired;

/// The fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It takes effect, and the answer is this status instead of the real one.
    AfterEffect { status: u16 },
    /// It is refused with a status and an S3 error code, and takes no effect.
    Answer { status: u16, code: &'static str },
    /// No answer until the client gives up; the request takes effect if `forward`.
    Hang { forward: bool },
    /// It is served after this long.
    Delay(Duration),
    /// The connection breaks without an answer; the request takes effect if `forward`.
    Disconnect { forward: bool },
}

/// A server's treatment of `If-None-Match: *` on a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It writes, whether or not the object is there.
    Ignored,
    /// It writes if the object is there.
    Inverted,
}

/// A request that came through, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query: `/lake/table/_delta_log/00000000000000000001.json`. A listing holds `list-type=2`.
    pub target: String,
    pub fault: Option<Fault>,
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    target_contains: String,
    fault: Fault,
    times_left: usize,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<HashMap<u64, TcpStream>>,
    next_connection: AtomicU64,
    hides_absent: AtomicBool,
    /// The treatment of conditions, and the folder whose files the server's objects are.
    condition: Mutex<Option<(Condition, PathBuf)>>,
    expired_keys: AtomicU64,
    closed: AtomicBool,
}

/// A proxy on a port of its own; it and its connections are closed when the value is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl FaultProxy {
    pub fn start(upstream: SocketAddr) -> Result<FaultProxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            upstream,
            rules: Mutex::default(),
            requests: Mutex::default(),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(0),
            hides_absent: AtomicBool::new(false),
            condition: Mutex::default(),
            expired_keys: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(FaultProxy { address, state })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the next `times` requests of a method whose target contains a text meet a fault. Of several rules that
    /// match, the oldest that is not used up goes first.
    pub fn fail(&self, method: &'static str, target_contains: &str, fault: Fault, times: usize) {
        let target_contains = target_contains.to_string();
        lock(&self.state.rules).push(Rule {
            method,
            target_contains,
            fault,
            times_left: times,
        });
    }

    /// The number of faults that wait for a matching request.
    pub fn faults_left(&self) -> usize {
        lock(&self.state.rules).iter().map(|rule| rule.times_left).sum()
    }

    /// Forgets the faults that did not happen yet.
    pub fn heal(&self) {
        lock(&self.state.rules).clear();
    }

    /// From now on 403 is said of an object that is not there, as AWS does to who may list some prefixes only.
    pub fn hide_absent(&self) {
        self.state.hides_absent.store(true, Ordering::SeqCst);
    }

    /// From now on conditional PUT works like this; `folder` is the one that the server keeps its buckets in. The object is
    /// removed under the server's hands first, since a request without its condition would have another signature.
    pub fn mistake_conditions(&self, condition: Condition, folder: &Path) {
        *lock(&self.state.condition) = Some((condition, folder.to_owned()));
    }

    /// The number of requests signed with an expired key (see `aws`). Each was refused.
    pub fn expired_keys(&self) -> u64 {
        self.state.expired_keys.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// The number of requests of a method with a text in their target.
    pub fn count(&self, method: &str, target_contains: &str) -> usize {
        let matches =
            |request: &&Request| request.method == method && request.target.contains(target_contains);
        lock(&self.state.requests).iter().filter(matches).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        for connection in lock(&self.state.connections).values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for client in listener.incoming().flatten() {
        let Ok(to_close) = client.try_clone() else {
            continue;
        };
        let id = state.next_connection.fetch_add(1, Ordering::Relaxed);
        lock(&state.connections).insert(id, to_close);
        // Checked after the connection is listed, so that either this or the drop closes it.
        if state.closed.load(Ordering::SeqCst) {
            return;
        }
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            // A client that goes away is not an error of the proxy.
            let _ = state.serve(&client);
            let _ = client.shutdown(Shutdown::Both);
            lock(&state.connections).remove(&id);
        });
    }
}

impl State {
    /// Serves the requests of one connection, one after another, until the client closes it or a fault does.
    fn serve(&self, client: &TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client);
        let mut writer = client;
        while let Some(request) = http::read_request(&mut reader)? {
            let answer = match self.take_fault(&request) {
                None => self.answer(&request)?,
                Some(Fault::Delay(duration)) => {
                    std::thread::sleep(duration);
                    self.forward(&request)?
                }
                Some(Fault::AfterEffect { status }) => {
                    self.forward(&request)?;
                    http::error_response(&request, status, "InternalError")
                }
                Some(Fault::Answer { status, code }) => http::error_response(&request, status, code),
                Some(Fault::Hang { forward }) => {
                    if forward {
                        self.forward(&request)?;
                    }
                    // Ends when the client closes the connection, or the proxy is dropped.
                    reader.read_to_end(&mut Vec::new())?;
                    return Ok(());
                }
                Some(Fault::Disconnect { forward }) => {
                    if forward {
                        self.forward(&request)?;
                    }
                    return Ok(());
                }
            };
            writer.write_all(&answer.bytes)?;
            if !answer.keep_alive {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The server's answer, changed as AWS would have it.
    fn answer(&self, request: &http::Request) -> Result<http::Response> {
        if is_expired(request) {
            self.expired_keys.fetch_add(1, Ordering::SeqCst);
            return Ok(http::error_response(request, 400, "ExpiredToken"));
        }
        if let Some(refusal) = self.mistake_condition(request) {
            return Ok(refusal);
        }
        let response = self.forward(request)?;
        let is_absent = request.method != "PUT" && response.bytes.starts_with(b"HTTP/1.1 404");
        if is_absent && self.hides_absent.load(Ordering::SeqCst) {
            return Ok(http::error_response(request, 403, "AccessDenied"));
        }
        Ok(response)
    }

    /// Has a conditional request do what the mistake asks for; an answer if it is not to be passed on.
    fn mistake_condition(&self, request: &http::Request) -> Option<http::Response> {
        let mistake = lock(&self.condition).clone();
        let (condition, folder) = mistake.filter(|_| request.header("if-none-match").is_some())?;
        let path = request.target.split('?').next().unwrap_or_default();
        let is_there = std::fs::remove_file(folder.join(path.trim_start_matches('/'))).is_ok();
        let is_refused = condition == Condition::Inverted && !is_there;
        is_refused.then(|| http::error_response(request, 412, "PreconditionFailed"))
    }

    /// The fault this request meets, used up by one; the request is noted down.
    fn take_fault(&self, request: &http::Request) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(|rule| {
            rule.times_left > 0
                && rule.method == request.method
                && request.target.contains(&rule.target_contains)
        });
        let fault = rule.map(|rule| {
            rule.times_left -= 1;
            rule.fault
        });
        let (method, target) = (request.method.clone(), request.target.clone());
        lock(&self.requests).push(Request {
            method,
            target,
            fault,
        });
        fault
    }

    /// Passes a request on over a connection of its own, so that no idle connection can break under it.
    fn forward(&self, request: &http::Request) -> Result<http::Response> {
        let mut upstream = TcpStream::connect(self.upstream)?;
        upstream.set_nodelay(true)?;
        upstream.write_all(&request.bytes)?;
        http::read_response(&mut BufReader::new(upstream), request)
    }
}
