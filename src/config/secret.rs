//! Which settings are secrets. They are never shown.

use super::settings::Setting;
use crate::alerts;
pub(super) use crate::printable::REDACTED;
use crate::printable::without_passwords;

/// Parts of the names of settings that hold secrets, with all separators written as `_`.
const MARKS: [&str; 13] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "sasl_jaas",
    "key_pem",
    "private_key",
    "access_key",
    "account_key",
    "api_key",
    "signature",
    "oauthbearer_config",
];

/// Whether a setting of this dotted key holds a secret, or a URL that is one.
pub(super) fn is_secret_key(key: &str) -> bool {
    match key.rsplit_once('.') {
        Some((table, name)) if table.starts_with(RECEIVER) => {
            alerts::SECRETS.contains(&name) || alerts::SECRET_URLS.contains(&name)
        }
        _ => key == HEARTBEAT || is_secret(key),
    }
}

/// A URL that may be a secret, but for the host.
const HEARTBEAT: &str = "alert.heartbeat_url";

/// The tables of receivers.
const RECEIVER: &str = "alert.receiver.";

/// Whether a setting of this name holds a secret. In doubt it does: hiding too much does no harm.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace(['.', '-'], "_");
    MARKS.iter().any(|mark| name.contains(mark))
}

/// The setting, with its value hidden if that is a secret, and of a URL the secret part. The path of a secret file is
/// shown.
pub(super) fn redacted(setting: &Setting) -> Setting {
    let mut shown = setting.clone();
    // No secret is not one.
    if setting.value.as_str().is_some_and(str::is_empty) {
        return shown;
    }
    let is_path = setting.table == "kafka.property_files" || setting.name.ends_with("_file");
    if setting.table.starts_with(RECEIVER) {
        redact_receiver(&mut shown);
    } else if setting.key() == HEARTBEAT {
        shown.value = toml::Value::String(alerts::shown_url(setting.value.as_str().unwrap_or_default()));
    } else if is_secret(&setting.name) && !is_path {
        shown.value = toml::Value::String(REDACTED.to_owned());
    } else if let toml::Value::String(text) = &mut shown.value {
        // A proxy or a store may be reached as http://user:password@host.
        *text = without_passwords(text).into_owned();
    }
    shown
}

/// A receiver's secrets are known by name; of a URL the host is shown.
fn redact_receiver(setting: &mut Setting) {
    let name = setting.name.as_str();
    let toml::Value::String(text) = &mut setting.value else {
        return;
    };
    if alerts::SECRETS.contains(&name) {
        *text = REDACTED.to_owned();
    } else if alerts::SECRET_URLS.contains(&name) {
        *text = alerts::shown_url(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "aws_secret_access_key",
            "AWS_ACCESS_KEY_ID",
            "aws_session_token",
            "azure_storage_account_key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "brokers",
            "key_column",
            "ssl.key.location",
            "sasl.username",
            "aws_endpoint_url",
            "key",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
