//! What the program says of itself while it runs: logs, on standard error, and a word to systemd.

mod logs;
mod once_per;
mod systemd;

pub use logs::{LogError, Verbosity, start_logs};
pub use once_per::OncePer;
pub use systemd::{Notice, notify, watchdog_timeout};
