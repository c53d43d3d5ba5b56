//! The receivers that only exist in the cloud: each request fits what is published of them, and whatever they answer, it is
//! known whether to try again, and no secret is in an error.

use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use streamgauge::alerts::{Digest, DigestKind, Kind, Message, Notification, Receiver};
use streamgauge_testkit::alerts::TlsServer;
use streamgauge_testkit::{block_on, require};

use super::fake::{Fake, Reply, Rule};
use super::{WEBHOOK_SECRET, notification, published, receiver, send};

const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The secrets that the receivers below have, each of its kind.
const SECRETS: [&str; 6] = [
    ROUTING_KEY,
    "/services/T0/B0/hush-hush",
    "xoxb-1",
    "workflows/1/hush-hush",
    "tk_hush-hush",
    WEBHOOK_SECRET,
];

/// Settings of a receiver by their names.
type Fields = &'static [(&'static str, &'static str)];

/// Each kind at a fake of it.
fn kinds() -> Result<Vec<(&'static str, Fake, Receiver)>> {
    let kinds: [(&'static str, Rule, &str, Fields); 6] = [
        (
            "pagerduty",
            published::pagerduty,
            "/v2/enqueue",
            &[("routing_key", ROUTING_KEY)],
        ),
        (
            "slack",
            published::slack_webhook,
            "/services/T0/B0/hush-hush",
            &[],
        ),
        (
            "slack",
            published::slack_api,
            "/api",
            &[("token", "xoxb-1"), ("channel", "C0")],
        ),
        ("teams", published::teams, "/workflows/1/hush-hush", &[]),
        (
            "ntfy",
            published::ntfy,
            "",
            &[("topic", "meters"), ("token", "tk_hush-hush")],
        ),
        (
            "webhook",
            |_| Reply::new(200, ""),
            "/hook/hush-hush",
            &[("secret", WEBHOOK_SECRET)],
        ),
    ];
    kinds
        .into_iter()
        .map(|(kind, rule, path, fields)| {
            let fake = Fake::start(rule)?;
            let url = fake.url(path);
            let receiver = receiver(&[&[("kind", kind), ("url", &url)], fields].concat());
            Ok((kind, fake, receiver))
        })
        .collect()
}

#[test]
fn every_transition_fits_what_is_published() -> Result<()> {
    for (kind, fake, receiver) in kinds()? {
        let mut receipt = None;
        for transition in [Kind::Opened, Kind::Worsened, Kind::Reminded, Kind::Ended] {
            let told = notification("boiler-7", transition);
            receipt = Some(
                send(&receiver, &told, receipt.as_ref()).unwrap_or_else(|error| panic!("{kind}: {error}")),
            );
        }
        let odd = |text: &str| Notification {
            series: Some(text.repeat(20_000)),
            rule: Some(text.repeat(20_000)),
            explanation: text.repeat(20_000),
            link: None,
            ..notification("x", Kind::Opened)
        };
        for text in ["<!channel>&", "\u{1b}]\r\n\0", "\"\\", "界", "*_`~#>"] {
            send(&receiver, &odd(text), None).unwrap_or_else(|error| panic!("{kind}, {text:?}: {error}"));
        }
        let empty = Notification {
            series: None,
            explanation: String::new(),
            value: None,
            expected: None,
            lower: None,
            upper: None,
            ..notification("x", Kind::Opened)
        };
        send(&receiver, &empty, None).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let digest = Message::Digest(Digest {
            id: "0".repeat(32),
            kind: DigestKind::Storm,
            title: "500 series since 07:33".to_owned(),
            lines: (0..400)
                .map(|number| notification(&format!("<boiler-{number}>"), Kind::Opened))
                .collect(),
            omitted: 100,
            at: Utc::now().fixed_offset(),
            is_test: false,
        });
        let told = block_on(receiver.send(&digest, None, Utc::now()));
        assert_eq!(told.is_ok(), receiver.takes_digests(), "{kind}: {told:?}");
        assert!(fake.asked().len() >= 10);
    }
    Ok(())
}

#[test]
fn an_answer_says_whether_to_try_again_and_when() -> Result<()> {
    let with_header = |status: u16, name: &'static str, value: &'static str| Reply {
        headers: vec![(name, value)],
        ..Reply::new(status, "")
    };
    for ((kind, fake, receiver), secret) in kinds()?.into_iter().zip(SECRETS) {
        let told = notification("boiler-7", Kind::Opened);
        for (reply, is_transient, retry_after) in [
            (with_header(429, "retry-after", "7"), true, Some(7)),
            (with_header(429, "retry-after", "soon"), true, None),
            (Reply::new(500, "rollup_error"), true, None),
            (Reply::new(503, ""), true, None),
            (Reply::new(400, format!("what is {secret}?")), false, None),
            (Reply::new(404, "no_service"), false, None),
            (Reply::new(410, "channel_is_archived"), false, None),
            (with_header(302, "location", "http://127.0.0.1:9/"), false, None),
            (Reply::new(400, "x".repeat(900_000)), false, None),
        ] {
            fake.first([reply.clone()]);
            let error = send(&receiver, &told, None).unwrap_err();
            assert_eq!(
                error.is_transient(),
                is_transient,
                "{kind} {}: {error}",
                reply.status
            );
            assert_eq!(
                error.retry_after(),
                retry_after.map(Duration::from_secs),
                "{kind} {}",
                reply.status
            );
            let text = format!("{error} {error:?}");
            assert!(text.len() < 2_000, "{kind}: {text}");
            assert!(!text.contains(secret) && !text.contains("hush"), "{kind}: {text}");
        }
        // After an error that followed its acceptance it is sent again, and can be told from another one.
        fake.first([Reply::new(500, "")]);
        send(&receiver, &told, None).unwrap_err();
        send(&receiver, &told, None).unwrap();
        let asked = fake.asked();
        let [.., first, second] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(first.body, second.body, "{kind}");
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    }
    Ok(())
}

#[test]
fn slack_says_no_with_status_200() -> Result<()> {
    let fake = Fake::start(published::slack_api)?;
    let url = fake.url("/api");
    let receiver = receiver(&[
        ("kind", "slack"),
        ("url", &url),
        ("token", "xoxb-1"),
        ("channel", "C0"),
    ]);
    let opened = notification("boiler-7", Kind::Opened);
    for (error, is_transient) in [
        ("ratelimited", true),
        ("fatal_error", true),
        ("not_in_channel", false),
        ("token_revoked", false),
    ] {
        fake.first([Reply::new(200, format!(r#"{{"ok":false,"error":"{error}"}}"#))]);
        let failed = send(&receiver, &opened, None).unwrap_err();
        assert_eq!(failed.is_transient(), is_transient, "{failed}");
        assert!(failed.to_string().contains(error), "{failed}");
    }
    // The end of a message that somebody has deleted comes into its thread.
    let receipt = send(&receiver, &opened, None)?;
    fake.first([Reply::new(200, r#"{"ok":false,"error":"message_not_found"}"#)]);
    let before = fake.asked().len();
    assert_eq!(
        send(&receiver, &notification("boiler-7", Kind::Ended), Some(&receipt))?,
        receipt
    );
    let paths: Vec<String> = fake.asked()[before..]
        .iter()
        .map(|asked| asked.path.clone())
        .collect();
    assert_eq!(paths, ["/api/chat.update", "/api/chat.postMessage"]);
    Ok(())
}

#[test]
fn who_does_not_answer_is_given_up_after_15_seconds() -> Result<()> {
    let fake = Fake::start(|_| Reply {
        after: Duration::from_secs(60),
        ..Reply::new(202, "")
    })?;
    let url = fake.url("/v2/enqueue?hush-hush");
    let receiver = receiver(&[("kind", "pagerduty"), ("url", &url), ("routing_key", ROUTING_KEY)]);
    let started = Instant::now();
    let error = send(&receiver, &notification("boiler-7", Kind::Opened), None).unwrap_err();
    assert!(
        (14..25).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
    assert!(error.is_transient() && error.reason() == "unreachable", "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    assert_eq!(fake.asked().len(), 1);
    Ok(())
}

#[test]
fn nobody_there_and_nobody_to_be_trusted_is_said_without_the_url() {
    for (url, is_transient) in [
        ("http://127.0.0.1:9/services/hush-hush", true),
        ("https://127.0.0.1:9/hush-hush", true),
    ] {
        let receiver = receiver(&[("kind", "slack"), ("url", url)]);
        let error = send(&receiver, &notification("boiler-7", Kind::Opened), None).unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{error}");
        assert!(error.to_string().contains("127.0.0.1:9 ("), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
}

#[test]
fn who_is_trusted_is_who_the_machine_or_the_settings_trust() -> Result<()> {
    let Some(server) = require("a server with TLS", TlsServer::https()) else {
        return Ok(());
    };
    let url = format!("https://localhost:{}/services/hush-hush", server.port);
    let other_name = format!("https://127.0.0.1:{}/services/hush-hush", server.port);
    let (authority, other_authority) = (
        server.authority.to_str().unwrap(),
        server.other_authority.to_str().unwrap(),
    );
    for (url, ca_file) in [(&url, ""), (&url, other_authority), (&other_name, authority)] {
        let receiver = receiver(&[("kind", "slack"), ("url", url), ("ca_file", ca_file)]);
        let error = send(&receiver, &notification("boiler-7", Kind::Opened), None).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            error.is_transient() && text.contains("certificate") && !text.contains("hush"),
            "{text}"
        );
    }
    assert_eq!(server.printed(), "");
    let receiver = receiver(&[("kind", "slack"), ("url", &url), ("ca_file", authority)]);
    send(&receiver, &notification("boiler-7", Kind::Opened), None)?;
    assert_eq!(server.printed(), "/services/hush-hush\n");
    Ok(())
}

#[test]
fn a_url_in_a_file_is_held_to_the_same_rules() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("url");
    let receiver = receiver(&[("kind", "teams"), ("url_file", path.to_str().unwrap())]);
    let told = notification("boiler-7", Kind::Opened);
    let error = send(&receiver, &told, None).unwrap_err();
    assert!(error.is_transient() && error.reason() == "secret", "{error}");
    for (text, rule) in [("http://teams.example/hush", "https://"), ("hush", "URL")] {
        std::fs::write(&path, text)?;
        let error = send(&receiver, &told, None).unwrap_err();
        assert!(
            error.reason() == "settings" && error.to_string().contains(rule),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
    let fake = Fake::start(published::teams)?;
    std::fs::write(&path, fake.url("/workflows/1") + "\n")?;
    send(&receiver, &told, None)?;
    Ok(())
}

#[test]
fn pagerduty_has_one_incident_for_an_episode() -> Result<()> {
    let fake = Fake::start(published::pagerduty)?;
    let url = fake.url("/v2/enqueue");
    let receiver = receiver(&[("kind", "pagerduty"), ("url", &url), ("routing_key", ROUTING_KEY)]);
    let later = Notification {
        at: Utc::now().fixed_offset() + TimeDelta::hours(1),
        ..notification("boiler-7", Kind::Ended)
    };
    for told in [
        notification("boiler-7", Kind::Opened),
        notification("boiler-7", Kind::Worsened),
        later,
    ] {
        send(&receiver, &told, None)?;
    }
    let events: Vec<_> = fake.asked().iter().map(super::fake::Asked::json).collect();
    let actions: Vec<_> = events
        .iter()
        .map(|event| event["event_action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["trigger", "trigger", "resolve"]);
    assert!(
        events
            .iter()
            .all(|event| event["dedup_key"] == "episode-of-boiler-7")
    );
    assert_eq!(events[1]["payload"]["severity"], "critical");
    Ok(())
}
