//! The support of the integration tests and the benchmarks: a real broker, a real S3 server, a proxy that makes
//! faults, and other implementations that read the table, Athena's engine among them. Each is brought up by the first
//! test that asks for it, once per run, and ends with the run however that ends.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for real things, and read from variables what to use"
)]

pub mod alerts;
pub mod aws;
pub mod browser;
pub mod cache;
pub mod events;
pub mod kafka;
pub mod moto;
pub mod packages;
pub mod process;
pub mod producers;
pub mod proxy;
pub mod readers;
pub mod registry;
pub mod s3;
pub mod season;
pub mod trino;

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// The part a test cannot run without. Where it cannot be had, the test says so on standard error, past libtest's
/// capture, and is to return; with `CI=true` it fails instead.
///
/// ```ignore
/// let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
/// ```
pub fn require<T>(what: &str, part: Result<T>) -> Option<T> {
    match part {
        Ok(part) => Some(part),
        Err(reason) => {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("a test");
            let message = format!("NOT RUN: {test}: needs {what}: {reason:#}");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
            // Only the print macros are captured.
            let _ = writeln!(std::io::stderr(), "{message}");
            None
        }
    }
}

/// Held by tests that use the machine to the full, so that they run one after another.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that nothing else has, now or in another run: for topics, groups and prefixes.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

/// A loopback port that nothing listens on. It lies below the range that outgoing connections are given, so that
/// it stays free while the server that uses it is down (a client that keeps trying could even connect to itself).
pub fn free_port() -> Result<u16> {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id().wrapping_mul(211) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let port = FIRST + (start + TRIED.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {} is free", FIRST + COUNT)
}

/// Tries until it succeeds, every 50 ms. Past the limit the last error is the reason.
pub fn eventually<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("{what}: not within {limit:?}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Runs a future to its end, whether or not the caller is within a runtime.
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(future)
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes a part for the whole run on first use; its failure is remembered too, so that it costs its wait once.
pub fn once<T>(
    part: &'static OnceLock<Result<T, String>>,
    make: impl FnOnce() -> Result<T>,
) -> Result<&'static T> {
    part.get_or_init(|| make().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|reason| anyhow!("{reason}"))
}

/// Where a program of `PATH` lies.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").context("PATH is not set")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not on PATH"))
}
