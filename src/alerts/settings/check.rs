//! Rules about `[alert]`: what each kind of receiver needs, and what it has no use for.

use std::time::Duration;

use chrono_tz::Tz;
use lettre::Address;
use url::{Host, Url};

use super::{ReceiverKind, ReceiverSettings, Settings};
use crate::alerts::receivers::{topic_region, webhook_keys};
use crate::detectors::DetectorName;
use crate::settings::{DAY, Violations, is_web_address};

/// Receivers that there may be: each has a queue and a client of its own.
const MOST_RECEIVERS: usize = 50;
/// Addresses that a mail may go to: more belong into a list on the mail server.
const MOST_ADDRESSES: usize = 50;
const MOST_PATTERNS: usize = 100;
const SHORTEST_REPEAT: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
const LONGEST_GROUP_WAIT: Duration = Duration::from_secs(600);

impl Settings {
    /// Adds the rules of `[alert]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        violations.require(is_zone(&self.time_zone), "alert.time_zone", ZONE);
        violations.require(
            self.link.is_empty() || is_web_address(&self.link),
            "alert.link",
            "must be the address of a page, such as \"https://meters.example.com/?series={series}\"",
        );
        violations.require(
            self.heartbeat_url.is_empty() || is_private_address(&self.heartbeat_url),
            "alert.heartbeat_url",
            "must begin with https:// (http:// is for this machine itself)",
        );
        violations.require(
            self.heartbeat_url.is_empty() || self.heartbeat_url_file.is_empty(),
            "alert.heartbeat_url",
            "must be empty where heartbeat_url_file is set",
        );
        if let Some(last) = self.receivers.get(MOST_RECEIVERS) {
            let key = format!("alert.receiver.{}.name", last.name);
            violations.require(
                false,
                &key,
                format!("must be one of {MOST_RECEIVERS} receivers at most"),
            );
        }
        for receiver in &self.receivers {
            receiver.check(violations);
        }
    }
}

const ZONE: &str = "must be an IANA name such as \"America/New_York\"";

fn is_zone(name: &str) -> bool {
    name.is_empty() || name.parse::<Tz>().is_ok()
}

/// What a kind of receiver takes beside its route, and which of that it needs.
struct Fields {
    needed: &'static [&'static str],
    optional: &'static [&'static str],
}

fn fields(kind: ReceiverKind) -> Fields {
    let (needed, optional): (&[_], &[_]) = match kind {
        ReceiverKind::Alertmanager => (&["url"], &["user", "password", "token"]),
        ReceiverKind::PagerDuty => (&["routing_key"], &["url"]),
        ReceiverKind::Slack => (&[], &["url", "token", "channel"]),
        ReceiverKind::Teams => (&["url"], &[]),
        ReceiverKind::Email => (&["server", "from", "to"], &["tls", "user", "password"]),
        ReceiverKind::Webhook => (&["url", "secret"], &["token"]),
        ReceiverKind::Sns => (&["topic_arn"], &["url"]),
        ReceiverKind::Ntfy => (&["topic"], &["url", "token"]),
    };
    Fields { needed, optional }
}

/// Whether what is sent there is encrypted, or does not leave this machine.
pub(in crate::alerts) fn is_private_address(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => url.host_str().is_some_and(is_this_machine),
        _ => false,
    })
}

impl ReceiverSettings {
    /// What is set of what only some kinds have, by its name; a secret and its file are one.
    fn given(&self) -> [(&'static str, [(&'static str, &str); 2]); 12] {
        [
            ("url", [("url", &self.url), ("url_file", &self.url_file)]),
            (
                "token",
                [("token", &self.token), ("token_file", &self.token_file)],
            ),
            ("user", [("user", &self.user), ("user", "")]),
            (
                "password",
                [
                    ("password", &self.password),
                    ("password_file", &self.password_file),
                ],
            ),
            (
                "secret",
                [("secret", &self.secret), ("secret_file", &self.secret_file)],
            ),
            (
                "routing_key",
                [
                    ("routing_key", &self.routing_key),
                    ("routing_key_file", &self.routing_key_file),
                ],
            ),
            (
                "topic",
                [("topic", &self.topic), ("topic_file", &self.topic_file)],
            ),
            ("topic_arn", [("topic_arn", &self.topic_arn), ("topic_arn", "")]),
            ("channel", [("channel", &self.channel), ("channel", "")]),
            ("server", [("server", &self.server), ("server", "")]),
            ("tls", [("tls", &self.tls), ("tls", "")]),
            ("from", [("from", &self.from), ("from", "")]),
        ]
    }

    fn has(&self, field: &str) -> bool {
        let is_set = |(_, texts): &(&str, [(&str, &str); 2])| texts.iter().any(|(_, text)| !text.is_empty());
        (field == "to" && !self.to.is_empty())
            || self.given().iter().any(|given| given.0 == field && is_set(given))
    }

    /// Adds the rules of `[[alert.receiver]]` that these settings break.
    fn check(&self, violations: &mut Violations) {
        let mut require = |holds: bool, field: &str, rule: String| {
            violations.require(holds, &format!("alert.receiver.{}.{field}", self.name), rule);
        };
        match self.kind() {
            Some(kind) => self.check_kind(kind, &mut require),
            None => {
                let names = ReceiverKind::ALL.map(|kind| format!("\"{}\"", kind.name()));
                require(false, "kind", format!("must be one of {}", names.join(", ")));
            }
        }
        self.check_route(&mut require);
    }

    fn check_kind(&self, kind: ReceiverKind, require: &mut impl FnMut(bool, &str, String)) {
        let Fields { needed, optional } = fields(kind);
        for field in needed {
            let file = if super::SECRETS.contains(field) || super::SECRET_URLS.contains(field) {
                format!(" or `{field}_file`")
            } else {
                String::new()
            };
            require(
                self.has(field),
                "kind",
                format!("needs `{field}`{file} beside it"),
            );
        }
        let is_taken = |field: &str| needed.contains(&field) || optional.contains(&field);
        for (field, [(given, text), (file, path)]) in self.given() {
            for (name, value) in [(given, text), (file, path)] {
                let rule = format!(
                    "does nothing for a receiver of kind \"{}\"; leave it out",
                    kind.name()
                );
                require(is_taken(field) || value.is_empty(), name, rule);
            }
            let rule = format!("must not be set beside `{given}`; leave one of them out");
            require(text.is_empty() || path.is_empty(), file, rule);
            let rule = "must be the secret itself, which `config show` has hidden".to_owned();
            require(!text.contains(crate::printable::REDACTED), given, rule);
        }
        require(
            is_taken("to") || self.to.is_empty(),
            "to",
            format!(
                "does nothing for a receiver of kind \"{}\"; leave it out",
                kind.name()
            ),
        );
        self.check_values(kind, require);
    }

    fn check_values(&self, kind: ReceiverKind, require: &mut impl FnMut(bool, &str, String)) {
        require(
            self.url.is_empty() || self.may_go_to(&self.url),
            "url",
            "must be an https:// address; http:// is for this machine itself, and for an Alertmanager without credentials"
                .to_owned(),
        );
        let has_both = self.has("user") == self.has("password");
        require(
            has_both,
            "user",
            "needs `password` or `password_file` beside it, and they need it".to_owned(),
        );
        let rule = "must not be set beside `token`; leave one of them out".to_owned();
        require(!(self.has("user") && self.has("token")), "user", rule);
        match kind {
            ReceiverKind::Slack => {
                let by_webhook = self.has("url") && !self.has("token") && !self.has("channel");
                let by_api = self.has("token") && self.has("channel");
                let rule = "needs `url` of an incoming webhook, or `token` and `channel` for the Web API";
                require(by_webhook || by_api, "kind", rule.to_owned());
            }
            ReceiverKind::Email => self.check_mail(require),
            ReceiverKind::Webhook => {
                let rule = "must be \"whsec_\" and 24 to 64 bytes in base64; several, separated by spaces, while it is replaced";
                require(
                    self.secret.is_empty() || webhook_keys(&self.secret).is_some(),
                    "secret",
                    rule.to_owned(),
                );
            }
            ReceiverKind::Sns => {
                let rule = "must be a topic such as \"arn:aws:sns:eu-west-1:123456789012:alerts\"".to_owned();
                require(
                    self.topic_arn.is_empty() || topic_region(&self.topic_arn).is_some(),
                    "topic_arn",
                    rule,
                );
            }
            ReceiverKind::PagerDuty => {
                let is_key = self.routing_key.len() == 32
                    && self.routing_key.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let rule = "must be the 32 letters and digits of an Events API v2 integration".to_owned();
                require(self.routing_key.is_empty() || is_key, "routing_key", rule);
            }
            ReceiverKind::Ntfy => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                let is_topic = self.topic.len() <= 64 && self.topic.bytes().all(fits);
                require(
                    is_topic,
                    "topic",
                    "must be up to 64 letters, digits, underscores and dashes".to_owned(),
                );
            }
            ReceiverKind::Alertmanager | ReceiverKind::Teams => {}
        }
    }

    /// Whether a URL takes what is sent there encrypted, or not out of the machine. Most Alertmanagers have no TLS, and what
    /// they get holds no secret.
    pub(in crate::alerts) fn may_go_to(&self, url: &str) -> bool {
        let is_bare =
            self.kind() == Some(ReceiverKind::Alertmanager) && !self.has("user") && !self.has("token");
        let is_open = |url: Url| url.scheme() == "http" && url.has_host();
        is_private_address(url) || (is_bare && Url::parse(url).is_ok_and(is_open))
    }

    fn check_mail(&self, require: &mut impl FnMut(bool, &str, String)) {
        let is_server = |text: &str| {
            text.rsplit_once(':').is_some_and(|(host, port)| {
                Host::parse(host).is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        };
        require(
            self.server.is_empty() || is_server(&self.server),
            "server",
            "must be a host and a port, such as \"smtp.example.com:587\"".to_owned(),
        );
        require(
            ["", "starttls", "tls", "none"].contains(&self.tls.as_str()),
            "tls",
            "must be \"starttls\", \"tls\" (from the first byte, mostly on port 465) or \"none\"".to_owned(),
        );
        let is_local = self
            .server
            .rsplit_once(':')
            .is_some_and(|(host, _)| is_this_machine(host));
        require(
            self.tls != "none" || is_local,
            "tls",
            "must be \"starttls\" or \"tls\" unless the server is this machine itself".to_owned(),
        );
        let is_address = |text: &String| text.parse::<Address>().is_ok();
        let rule = "must be an address such as \"meters@example.com\"";
        require(
            self.from.is_empty() || is_address(&self.from),
            "from",
            rule.to_owned(),
        );
        require(
            self.to.len() <= MOST_ADDRESSES && self.to.iter().all(is_address),
            "to",
            format!("must be up to {MOST_ADDRESSES} addresses such as \"meters@example.com\""),
        );
    }

    fn check_route(&self, require: &mut impl FnMut(bool, &str, String)) {
        let is_list = |list: &[String]| (1..=MOST_PATTERNS).contains(&list.len());
        require(
            is_list(&self.series),
            "series",
            format!("must be 1 to {MOST_PATTERNS} patterns of keys, such as [\"boiler-*\"]; \"*\" is all"),
        );
        let is_detector = |name: &String| {
            name == "rules"
                || DetectorName::ALL
                    .iter()
                    .any(|known| *known != DetectorName::None && known.name() == name)
        };
        require(
            self.detectors.iter().all(is_detector),
            "detectors",
            "must be names of detectors, such as [\"adaptive-band\", \"rules\"]".to_owned(),
        );
        require(is_zone(&self.time_zone), "time_zone", ZONE.to_owned());
        require(
            self.min_duration <= DAY,
            "min_duration",
            "must be at most 1d".to_owned(),
        );
        require(
            self.repeat.is_zero() || (SHORTEST_REPEAT..=LONGEST).contains(&self.repeat),
            "repeat",
            "must be 0s, for never, or from 5m to 30d".to_owned(),
        );
        require(
            !self.max_age.is_zero() && self.max_age <= LONGEST,
            "max_age",
            "must be longer than 0s and at most 30d".to_owned(),
        );
        require(
            self.group_wait <= LONGEST_GROUP_WAIT,
            "group_wait",
            "must be at most 10m".to_owned(),
        );
    }
}

/// Whether a host is this machine.
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
