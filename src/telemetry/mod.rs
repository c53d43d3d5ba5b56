//! Logs on standard error and notifications to systemd.

pub mod events;
mod log_limiter;
mod logs;
mod settings;
mod systemd;

pub(crate) use log_limiter::LogLimiter;
pub(crate) use logs::{Verbosity, start_logs};
pub(crate) use settings::LogFormat;
pub use settings::Settings;
pub(crate) use systemd::{Notice, notify, watchdog_timeout};
