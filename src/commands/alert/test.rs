//! `streamgauge alert test`: one message to one receiver.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::DateTime;
use clap::Args;

use super::super::{SetArgs, stdout};
use crate::alerts::{Kind, Message, Notification, Receiver, Settings, Severity, notification_id};
use crate::clock;
use crate::printable::printable;

/// Send one message, marked as a test, to a receiver
///
/// The receiver is one of the [[alert.receiver]] in the settings, by its name; its route and its hours are not asked. Prints
/// what was answered. With exit code 0 the receiver has taken the message; whether a person sees it is for you to look at.
#[derive(Debug, Args)]
#[command(after_long_help = TEST_EXAMPLES)]
pub(super) struct TestArgs {
    /// The name of the receiver
    receiver: String,
    /// Send the end of the test, for receivers that keep it open: alertmanager and pagerduty
    #[arg(long)]
    over: bool,
    #[command(flatten)]
    pub(super) set: SetArgs,
}

const TEST_EXAMPLES: &str = "\
Examples:
  Before anything is in a settings file:
    streamgauge alert test ops --set alert.receiver.ops.kind=slack --set alert.receiver.ops.url_file=/run/slack-url
  An incident of PagerDuty, and its end:
    streamgauge alert test on-call
    streamgauge alert test on-call --over";

pub(super) async fn test(alert: &Settings, args: &TestArgs) -> anyhow::Result<ExitCode> {
    let name = printable(&args.receiver);
    let Some(settings) = alert.receiver(&args.receiver) else {
        let names: Vec<&str> = alert
            .receivers
            .iter()
            .map(|receiver| receiver.name.as_str())
            .collect();
        match names.as_slice() {
            [] => bail!("there is no receiver {name}: the settings have none; add an [[alert.receiver]]"),
            names => bail!("there is no receiver {name}; there are {}", names.join(", ")),
        }
    };
    let now_ms = clock::now_ms();
    let receiver = Receiver::new(settings).with_context(|| format!("cannot tell receiver {name}"))?;
    let message = Message::Episode(test_message(&settings.name, args.over, now_ms));
    let mut answers = Vec::new();
    let now = DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let told = receiver.send_and_listen(&message, None, now, &mut answers).await;
    let mut out = stdout();
    for answer in answers {
        writeln!(out, "{} ({}): {answer}", settings.name, settings.kind)?;
    }
    out.flush()?;
    told.with_context(|| format!("cannot tell receiver {name}"))?;
    Ok(ExitCode::SUCCESS)
}

/// An opening that says of itself that it is none, or the end of it.
fn test_message(receiver: &str, is_over: bool, now_ms: i64) -> Notification {
    let at = DateTime::from_timestamp_millis(now_ms)
        .unwrap_or_default()
        .fixed_offset();
    Notification {
        id: notification_id(receiver, "test", now_ms.unsigned_abs()),
        kind: if is_over { Kind::Ended } else { Kind::Opened },
        episode: format!("test-{receiver}"),
        series: Some("streamgauge-test".to_owned()),
        measure: None,
        detector: "test".to_owned(),
        rule: None,
        cause: "test".to_owned(),
        severity: Severity::Warning,
        opened_at: at,
        at,
        value: None,
        expected: None,
        lower: None,
        upper: None,
        unit: String::new(),
        explanation: "This was sent by `streamgauge alert test`: nothing is wrong.".to_owned(),
        link: None,
        is_test: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::block_on;
    use crate::config::config_of;

    #[test]
    fn a_receiver_that_is_not_there_is_refused_with_those_that_are() {
        let args = |receiver: &str| TestArgs {
            receiver: receiver.to_owned(),
            over: false,
            set: SetArgs::default(),
        };
        let complaint = |settings: &[(&str, &str)], receiver: &str| {
            let tried = block_on(test(&config_of(settings).alert, &args(receiver)));
            tried.unwrap_err().to_string()
        };
        assert_eq!(
            complaint(&[], "ops"),
            "there is no receiver ops: the settings have none; add an [[alert.receiver]]"
        );
        let two = [
            ("alert.receiver.a.kind", "ntfy"),
            ("alert.receiver.a.topic", "x"),
            ("alert.receiver.b.kind", "ntfy"),
            ("alert.receiver.b.topic", "x"),
        ];
        assert_eq!(
            complaint(&two, "o\nps"),
            "there is no receiver o\\u{a}ps; there are a, b"
        );
    }

    #[test]
    fn the_end_of_a_test_is_of_the_same_episode_and_another_message() {
        let (opened, ended) = (test_message("ops", false, 1), test_message("ops", true, 2));
        assert_eq!(opened.episode, ended.episode);
        assert_ne!(opened.id, ended.id);
    }
}
