//! The program's JSON log, one object a line: tests wait for events by their names and
//! fields, so that a sentence may be put better without them.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::process::{Child, tail};

/// Has the program under test log for machines.
pub fn log_events(command: &mut Command) -> &mut Command {
    command.env("STREAMGAUGE__LOG__FORMAT", "json")
}

/// The lines of a log for machines, each an object; other lines are none of it.
pub fn json_lines(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(Value::is_object)
        .collect()
}

/// The events of a name in a log, in its order.
pub fn events(log: &str, name: &str) -> Vec<Value> {
    let mut lines = json_lines(log);
    lines.retain(|line| line["event"] == name);
    lines
}

impl Child {
    /// Starts the program under test with events that can be waited for.
    pub fn start_with_events(name: &str, command: &mut Command) -> Result<Child> {
        Child::start(name, log_events(command))
    }

    /// The events of a name so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        events(&self.stderr(), name)
    }

    /// Waits for the first event of a name with all of these values in its fields, and returns it.
    ///
    /// # Errors
    /// If it does not come within the limit, or the process ends without it, or was not started by
    /// [`Child::start_with_events`].
    pub fn wait_for_event(&mut self, name: &str, fields: &[(&str, i64)], limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.exit_status()?;
            let is_it = |event: &Value| fields.iter().all(|(field, value)| event[field] == *value);
            if let Some(event) = self.events(name).into_iter().find(is_it) {
                return Ok(event);
            }
            let why = match ended {
                Some(status) => format!("ended with {status}"),
                None if Instant::now() >= deadline => format!("did not within {limit:?}"),
                None => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            };
            bail!(
                "{} should log the event {name} {fields:?}, and {why}:\n{}",
                self.name(),
                tail(&self.output())
            );
        }
    }
}
