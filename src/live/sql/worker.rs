//! A process for one statement. Nothing else ends a statement for certain: one that plans for minutes, makes texts of gigabytes
//! before a row is there, or needs more stack than there is, comes by no limit within a process, and would take the table's
//! loop with it.
//!
//! The program calls itself, hands the question over on standard input, and reads the answer from standard output: a line of
//! JSON, then the result. Whoever does not wait any more kills it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::super::give_way::give_way;
use super::super::refusal::Refusal;
use super::anomaly_rows::{self, ANOMALIES};
use super::endpoint::open;
use super::result::{AnswerFormat, Answered, Limits, Unanswered, execute};
use crate::config::Config;

/// The command that answers one question.
pub(super) const COMMAND: &str = "sql-worker";
/// What a process takes beside what statements keep: its own, Kafka's client, and the stacks.
const OWN_BYTES: u64 = 512 << 20;
/// Deep expressions are walked by recursion.
const STACK_BYTES: usize = 64 << 20;
const THREADS: usize = 2;
/// Of what a process says on standard error.
const MOST_WORDS: u64 = 4_096;
const LONGEST_HEAD: u64 = 64 * 1024;

/// What is to be answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub config: Config,
    pub sql: String,
    pub format: AnswerFormat,
    pub limits: Limits,
}

/// What comes before the result.
#[derive(Debug, Serialize, Deserialize)]
enum Head {
    Version(u64),
    Refused { status: u16, sentence: String },
}

/// Has a task done by a process of its own. It ends when this future is dropped.
///
/// # Errors
/// What the statement has against it, or that the process ended without an answer.
pub(super) async fn done_apart(task: Task) -> Result<Answered, Refusal> {
    let running = Running::default();
    let (sender, answer) = oneshot::channel();
    let place = Arc::clone(&running.0);
    let started = std::thread::Builder::new()
        .name("live-sql".to_owned())
        .spawn(move || {
            give_way();
            // Whoever asked may have gone.
            let _ = sender.send(ask(&task, &place));
        });
    started.map_err(|error| Refusal::unavailable(format!("no thread can be started: {error}")))?;
    answer
        .await
        .unwrap_or_else(|_| Err(Refusal::unavailable("the statement was given up")))
}

/// The process, which is killed with this value.
#[derive(Default)]
struct Running(Arc<Mutex<Place>>);

/// Where the process is, once it is started.
#[derive(Default)]
struct Place {
    child: Option<Child>,
    /// Nobody waits any more.
    is_given_up: bool,
}

impl Place {
    /// Ends the process if it is there and nobody waits for it.
    fn kill_if_given_up(&mut self) {
        if let Some(child) = self.child.as_mut().filter(|_| self.is_given_up) {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut place = lock(&self.0);
        place.is_given_up = true;
        place.kill_if_given_up();
    }
}

fn lock(place: &Mutex<Place>) -> std::sync::MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the process, hands the task over, and takes the answer.
fn ask(task: &Task, place: &Mutex<Place>) -> Result<Answered, Refusal> {
    let failed =
        |error: io::Error| Refusal::unavailable(format!("a process for the statement failed: {error}"));
    let text = serde_json::to_vec(task).map_err(|error| failed(error.into()))?;
    let mut child = Command::new(own_program().map_err(failed)?)
        .arg(COMMAND)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    {
        let mut place = lock(place);
        place.child = Some(child);
        // Whoever asked may have gone while it started.
        place.kill_if_given_up();
    }
    let (Some(mut input), Some(output), Some(words)) = pipes else {
        return Err(failed(io::Error::other("no pipes")));
    };
    // Where it ends before it has read all, its answer says why.
    let _ = input.write_all(&text);
    drop(input);
    let answer = read(output, task.limits);
    let mut said = String::new();
    let _ = words.take(MOST_WORDS).read_to_string(&mut said);
    let child = lock(place).child.take();
    if let Some(mut child) = child {
        child.wait().map_err(failed)?;
    }
    answer.unwrap_or_else(|| Err(ended(&said)))
}

/// On Linux by a name that stays that of the running program when a newer one is put in its place.
fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// The answer; `None` where the process ended before it had one.
fn read(output: impl Read, limits: Limits) -> Option<Result<Answered, Refusal>> {
    let mut output = BufReader::new(output);
    let mut head = String::new();
    output.by_ref().take(LONGEST_HEAD).read_line(&mut head).ok()?;
    match serde_json::from_str(&head).ok()? {
        Head::Refused { status, sentence } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            Some(Err(Refusal::new(status, sentence)))
        }
        Head::Version(version) => {
            let mut bytes = Vec::new();
            output.take(limits.bytes as u64).read_to_end(&mut bytes).ok()?;
            Some(Ok(Answered { bytes, version }))
        }
    }
}

/// Why a process ended without an answer.
fn ended(said: &str) -> Refusal {
    if said.contains("overflowed its stack") {
        let why = "the statement is nested too deeply; split it, or use fewer terms";
        return Refusal::bad_request(why);
    }
    let why = "the statement took more memory than it may (four times live.query_max_bytes); narrow it down";
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// The other side: reads a task from standard input, and writes its answer to standard output.
///
/// # Errors
/// If nobody hears the answer.
pub(crate) fn answer_one(input: impl Read, mut output: impl Write) -> anyhow::Result<()> {
    let task: Task = serde_json::from_reader(input)?;
    bound(&task)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()?;
    let answered = runtime.block_on(async { tokio::spawn(done(task)).await })?;
    let head = match &answered {
        Ok(answered) => Head::Version(answered.version),
        Err(unanswered) => Head::Refused {
            status: unanswered.status().as_u16(),
            sentence: unanswered.to_string(),
        },
    };
    serde_json::to_writer(&mut output, &head)?;
    output.write_all(b"\n")?;
    if let Ok(answered) = answered {
        output.write_all(&answered.bytes)?;
    }
    output.flush()?;
    // Nothing of the statement that still runs is waited for.
    runtime.shutdown_background();
    Ok(())
}

async fn done(task: Task) -> Result<Answered, Unanswered> {
    let Task {
        config,
        sql,
        format,
        limits,
    } = task;
    let detect = &config.pipeline.detect;
    let zone = detect.calendar_zone(config.pipeline.reading.time_zone);
    let session = open(&config.pipeline.table, zone, limits.memory_bytes()).await?;
    if sql.to_lowercase().contains(ANOMALIES) {
        let kafka = config.subscription();
        let rows = anomaly_rows::newest(&kafka, &detect.anomaly_topic, &detect.value_name).await?;
        session.add_table(ANOMALIES, rows)?;
    }
    execute(&session, &sql, format, limits).await
}

/// Takes from this process what a statement must not have.
#[cfg(target_os = "linux")]
fn bound(task: &Task) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(
        Resource::Data,
        limit(OWN_BYTES + task.limits.memory_bytes() as u64),
    )?;
    setrlimit(Resource::Core, limit(0))?;
    // Where memory is short nevertheless, it goes before the process that has the table. Who may not say so goes as others do.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // Nobody waits for the answer of a process whose parent was killed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Elsewhere the time alone is bounded.
#[cfg(not(target_os = "linux"))]
fn bound(_: &Task) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config_of;
    use crate::query::fixture::Lake;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let limits = Limits { rows: 9, bytes: 6 };
        let of = |text: &[u8]| read(text, limits);
        let version = of(b"{\"Version\":7}\na,b\n1,2\nmore").unwrap().unwrap();
        assert_eq!((version.version, version.bytes.as_slice()), (7, &b"a,b\n1,"[..]));
        let refused = of(br#"{"Refused":{"status":413,"sentence":"too much"}}"#)
            .unwrap()
            .err()
            .unwrap();
        assert_eq!(
            (refused.status, refused.sentence.as_str()),
            (StatusCode::PAYLOAD_TOO_LARGE, "too much")
        );
        assert!(of(b"").is_none() && of(b"thread panicked").is_none());
        assert_eq!(
            ended("thread 'x' has overflowed its stack").status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            ended("memory allocation of 9 bytes failed").status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    #[tokio::test]
    async fn settings_come_over_whole() {
        let lake = Lake::with(&[&[(0, Some("a"), 1.0)]]).await;
        let mut config = config_of(&[("detect.time_zone", "Europe/Berlin"), ("kafka.properties.a", "b")]);
        config.pipeline.table = lake.config.clone();
        let task = Task {
            config: config.clone(),
            sql: "SELECT key, start FROM usage_local".to_owned(),
            format: AnswerFormat::Csv,
            limits: Limits {
                rows: 9,
                bytes: 1 << 20,
            },
        };
        let text = serde_json::to_string(&task).unwrap();
        let task: Task = serde_json::from_str(&text).unwrap();
        assert_eq!(task.config, config);
        let answered = done(task).await.unwrap();
        assert_eq!(
            String::from_utf8(answered.bytes).unwrap(),
            "key,start\na,2024-03-05T01:00:00\n"
        );
    }
}
