//! How a long-running command shows what it is doing: a line that is kept up to date on a terminal, a log line a
//! minute elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::clock;

/// A line of text, given how many records were taken in a second.
pub type Line = Box<dyn FnOnce(f64) -> String + Send>;

const INTERVAL: Duration = Duration::from_secs(1);
const LOGGED_INTERVAL: Duration = Duration::from_secs(60);

/// The records taken in so far, and a line about them.
pub type Counter = Box<dyn FnMut() -> (u64, Line) + Send>;

/// Shows lines until it is aborted, one beside the other if there are several counters.
pub async fn show(mut counters: Vec<Counter>) {
    let is_terminal = io::stderr().is_terminal();
    let shown = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        shown.set_style(style);
    }
    let mut ticks = tokio::time::interval(if is_terminal { INTERVAL } else { LOGGED_INTERVAL });
    ticks.tick().await;
    let mut last_at = clock::instant();
    let mut last: Vec<u64> = counters.iter_mut().map(|counter| counter().0).collect();
    loop {
        let now = ticks.tick().await.into_std();
        let elapsed_s = now.duration_since(last_at).as_secs_f64().max(f64::EPSILON);
        last_at = now;
        let mut lines = Vec::with_capacity(counters.len());
        for (counter, last) in counters.iter_mut().zip(&mut last) {
            let (taken_in, line) = counter();
            lines.push(line((taken_in - *last) as f64 / elapsed_s));
            *last = taken_in;
        }
        let text = lines.join(" | ");
        if is_terminal {
            shown.set_message(text);
            shown.tick();
        } else {
            info!("{text}");
        }
    }
}
