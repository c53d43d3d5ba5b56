//! What the settings of all rooms have in common: how durations are written, how broken rules are collected, and how a
//! checksum of settings is formed. Each room has its own `Settings`; `config` composes them.

pub(crate) mod duration;
mod fingerprint;
mod one_or_many;
mod violations;

pub(crate) use fingerprint::{Fingerprint, Value};
pub(crate) use one_or_many::OneOrMany;
pub(crate) use violations::{Violation, Violations};

use std::time::Duration;

use url::Url;

/// A rule of settings that are intervals.
pub(crate) const LONGER_THAN_NOTHING: &str = "must be longer than 0s";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Event times are whole milliseconds, and so is all that is compared with them.
pub(crate) fn is_whole_ms(duration: Duration) -> bool {
    duration.subsec_nanos().is_multiple_of(1_000_000)
}

/// Whether a text is the address of a web server.
pub(crate) fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// What is configured, or else a name derived from another.
pub(crate) fn or_suffixed(configured: &str, name: &str, suffix: &str) -> String {
    if configured.is_empty() {
        format!("{name}{suffix}")
    } else {
        configured.to_owned()
    }
}
