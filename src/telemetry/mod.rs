//! What the program says of itself while it runs: logs, on standard error.

mod logs;
mod once_per;

pub use logs::{LogError, Verbosity, start_logs};
pub use once_per::OncePer;
