//! Child processes that end with the test process, however that ends, and the folder their files lie in.
//!
//! Statics are not dropped at exit and a killed process drops nothing, so a small shell watches over the run: it
//! reads from a pipe whose other end only this process holds. When that closes, it kills what is left and removes
//! the run's folder.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Leave the run's folder, with every log in it, for a look.
const KEEP_VARIABLE: &str = "STREAMGAUGE_TEST_KEEP";

const WATCHDOG: &str = r#"
trap '' HUP INT TERM
groups=''
containers=''
while read -r verb id; do
  case $verb in
    watch) groups="$groups $id" ;;
    forget)
      rest=''
      for group in $groups; do [ "$group" = "$id" ] || rest="$rest $group"; done
      groups=$rest ;;
    container) containers="$containers $id" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
for container in $containers; do docker rm --force "$container"; done
[ -z "$1" ] || for attempt in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && break; sleep 0.2; done
"#;

struct Watchdog {
    pipe: Mutex<ChildStdin>,
    folder: PathBuf,
}

impl Watchdog {
    fn shared() -> &'static Watchdog {
        static SHARED: OnceLock<Watchdog> = OnceLock::new();
        SHARED.get_or_init(|| Watchdog::start().expect("a shell can be started to watch over the test run"))
    }

    fn start() -> Result<Watchdog> {
        let folder = tempfile::Builder::new()
            .prefix("streamgauge-tests-")
            .tempdir()?
            .keep();
        let keep = std::env::var_os(KEEP_VARIABLE).is_some();
        let mut shell = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(if keep { Path::new("") } else { &folder })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C goes to the terminal's whole process group; the watchdog must outlive it.
            .process_group(0)
            .spawn()?;
        let pipe = Mutex::new(shell.stdin.take().context("the watchdog has no pipe")?);
        Ok(Watchdog { pipe, folder })
    }

    fn send(&self, verb: &str, id: &str) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipe, "{verb} {id}").expect("the watchdog of the test run listens");
    }
}

/// A fresh folder within the run's own, which is removed when the run ends.
pub fn scratch_folder(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = Watchdog::shared().folder.join(format!("{number:03}-{name}"));
    std::fs::create_dir(&folder).expect("the run's folder can be written");
    folder
}

/// Has a Docker container removed when the run ends.
pub fn watch_container(container: &str) {
    Watchdog::shared().send("container", container);
}

#[derive(Debug, Clone, Copy)]
pub enum Signal {
    Terminate,
    Interrupt,
    Kill,
    Stop,
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        }
    }
}

/// The program under test at a path, which Cargo names to tests and benchmarks only (`CARGO_BIN_EXE_streamgauge`), with
/// its arguments and none of the settings this process was started with.
pub fn program<'a>(path: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(path);
    command.args(arguments);
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STREAMGAUGE_"))
    {
        command.env_remove(name);
    }
    command
}

/// Runs a program to its end and returns what it wrote to standard output; a failure shows its standard error.
pub fn run(name: &str, command: &mut Command, limit: Duration) -> Result<String> {
    let mut child = Child::start(name, command)?;
    let status = child.wait(limit)?;
    ensure!(
        status.success(),
        "{name} failed with {status}:\n{}",
        tail(&child.output())
    );
    Ok(child.stdout())
}

/// A process in a process group of its own, killed with all its children when the value is dropped. Its standard
/// output and error go to files; its working folder is a fresh one unless the command names one.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    folder: PathBuf,
    ended: Option<ExitStatus>,
}

impl Child {
    pub fn start(name: &str, command: &mut Command) -> Result<Child> {
        let folder = scratch_folder(name);
        if command.get_current_dir().is_none() {
            command.current_dir(&folder);
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("stdout"))?)
            .stderr(File::create(folder.join("stderr"))?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Watchdog::shared().send("watch", &process.id().to_string());
        Ok(Child {
            name: name.to_string(),
            process,
            folder,
            ended: None,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The folder of the files with its output, its working folder unless the command named another.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn stdout(&self) -> String {
        read_lossy(&self.folder.join("stdout"))
    }

    pub fn stderr(&self) -> String {
        read_lossy(&self.folder.join("stderr"))
    }

    /// Standard output, then standard error: what a failed test wants to see.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout(), self.stderr())
    }

    /// The exit status, if the process has ended.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait()?;
            if self.ended.is_some() {
                self.end_group();
            }
        }
        Ok(self.ended)
    }

    /// Kills what is left of the group and forgets it: once the group is empty, its id may be given to a process
    /// that is not ours.
    fn end_group(&self) {
        let id = self.id();
        // An error means that nothing was left.
        let _ = send(Signal::Kill, &format!("-{id}"));
        Watchdog::shared().send("forget", &id.to_string());
    }

    /// Sends a signal; an error if the process has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // Until it is waited for, an ended process keeps its id, so no other one can be hit.
        if let Some(status) = self.exit_status()? {
            bail!("{} has ended with {status}:\n{}", self.name, tail(&self.output()));
        }
        send(signal, &self.id().to_string())
    }

    /// Waits for the end of the process. Past the limit it goes on running, and the error shows its output.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} did not end within {limit:?}:\n{}",
                    self.name,
                    tail(&self.output())
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until standard output or error holds a text. The program under test has events for this
    /// ([`Child::wait_for_event`]).
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.exit_status()?;
            if self.stdout().contains(text) || self.stderr().contains(text) {
                return Ok(());
            }
            if let Some(status) = ended {
                bail!(
                    "{} ended with {status} before it said {text:?}:\n{}",
                    self.name,
                    tail(&self.output())
                );
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} did not say {text:?} within {limit:?}:\n{}",
                    self.name,
                    tail(&self.output())
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(None) = self.exit_status() {
            self.end_group();
            let _ = self.process.wait();
        }
    }
}

fn send(signal: Signal, target: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", r#"kill -s "$1" -- "$2""#, "kill", signal.name(), target])
        .stderr(Stdio::null())
        .status()?;
    ensure!(
        status.success(),
        "signal {} could not be sent to {target}",
        signal.name()
    );
    Ok(())
}

fn read_lossy(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

/// The last lines of a text.
pub fn tail(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
