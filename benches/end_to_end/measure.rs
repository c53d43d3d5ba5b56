//! A child process, its time on the wall and on the processors, and the most memory it ever held.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use streamgauge::clock;
use streamgauge_testkit::process::{scratch_folder, tail};

/// The resources that a process took, and its output.
pub struct Measured {
    pub wall: Duration,
    /// User and system time, children that were waited for included.
    pub processor: Duration,
    /// The largest resident set, in bytes.
    pub peak_resident: u64,
    pub stdout: String,
    pub stderr: String,
}

/// A process that is being measured. It is killed if the value is dropped before its end.
pub struct Measurement {
    name: &'static str,
    child: Child,
    folder: PathBuf,
    started: Instant,
    peak_resident: u64,
}

const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);
/// The unit of processor time in `/proc`: a hundredth of a second on every common Linux.
const TICK: Duration = Duration::from_millis(10);

impl Measurement {
    /// Starts the process; its output goes to files.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let folder = scratch_folder(name);
        let started = clock::instant();
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("stdout"))?)
            .stderr(File::create(folder.join("stderr"))?)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Measurement {
            name,
            child,
            folder,
            started,
            peak_resident: 0,
        })
    }

    /// Asks the process to end in good order.
    pub fn terminate(&self) -> Result<()> {
        let status = Command::new("sh")
            .args(["-c", r#"kill -s TERM "$1""#, "kill", &self.child.id().to_string()])
            .status()?;
        ensure!(status.success(), "{} could not be asked to end", self.name);
        Ok(())
    }

    /// Waits for the end, which must be a good one.
    pub fn finish(mut self, limit: Duration) -> Result<Measured> {
        let processor = loop {
            // An ended process keeps its processor time until it is waited for, but not its memory.
            let stat = self.read_proc("stat")?;
            let fields = after_name(&stat)?;
            if fields.first() == Some(&"Z") {
                break processor_time(&fields)?;
            }
            self.peak_resident = self.peak_resident.max(peak_resident(&self.read_proc("status")?));
            if clock::instant() - self.started > limit {
                bail!(
                    "{} did not end within {limit:?}:\n{}",
                    self.name,
                    tail(&self.output("stderr"))
                );
            }
            std::thread::sleep(SAMPLE_INTERVAL);
        };
        let wall = clock::instant() - self.started;
        let status = self.child.wait()?;
        let (stdout, stderr) = (self.output("stdout"), self.output("stderr"));
        ensure!(
            status.success(),
            "{} failed with {status}:\n{}",
            self.name,
            tail(&stderr)
        );
        Ok(Measured {
            wall,
            processor,
            peak_resident: self.peak_resident,
            stdout,
            stderr,
        })
    }

    fn read_proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read; this needs Linux"))
    }

    fn output(&self, file: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join(file)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fields of `/proc/<id>/stat` after the program's name, which may hold anything but is in parentheses. The
/// first is the state.
fn after_name(stat: &str) -> Result<Vec<&str>> {
    let (_, fields) = stat
        .rsplit_once(')')
        .context("/proc/<id>/stat has a name in parentheses")?;
    Ok(fields.split_whitespace().collect())
}

/// `utime`, `stime`, `cutime` and `cstime` of proc(5).
fn processor_time(fields: &[&str]) -> Result<Duration> {
    let ticks = fields.get(11..15).context("/proc/<id>/stat has more fields")?;
    let ticks: Vec<u32> = ticks
        .iter()
        .map(|field| field.parse())
        .collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}

fn peak_resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}
