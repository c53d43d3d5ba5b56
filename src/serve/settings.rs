//! `[http]`: metrics and health.

use serde::{Deserialize, Serialize};

use crate::settings::Violations;

/// The settings in `[http]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// An address such as `127.0.0.1:9464`; empty for none.
    pub listen: String,
    /// Names that requests may call it by, beside its addresses.
    pub hosts: Vec<String>,
}

impl Settings {
    /// Adds the rules of `[http]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        check_address("http", &self.listen, &self.hosts, violations);
    }
}

/// Adds what is wrong with where a section listens, and by which names.
pub(crate) fn check_address(section: &str, listen: &str, hosts: &[String], violations: &mut Violations) {
    let has_port = |address: &str| {
        address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    violations.require(
        listen.is_empty() || has_port(listen),
        &format!("{section}.listen"),
        "must be an address and a port such as \"127.0.0.1:9464\", or empty for none",
    );
    let is_host = |name: &String| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !name.is_empty() && name.bytes().all(is_allowed)
    };
    violations.require(
        hosts.iter().all(is_host),
        &format!("{section}.hosts"),
        "must be names such as \"metrics.example.com\", without a port",
    );
}
