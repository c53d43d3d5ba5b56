//! The receivers of alerts, on the real thing where that can be had: two Alertmanagers, a mail server, an imitation of AWS,
//! the library of Standard Webhooks. The others are servers of ours that check each request and misbehave on order.

mod alertmanager;
mod command;
mod email;
mod fake;
mod faults;
mod published;
mod running;
mod sns;
mod webhook;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use streamgauge::alerts::{
    Kind, Message, Notification, Receipt, Receiver, SendError, Severity, notification_id,
};
use streamgauge::config::{Overrides, load};
use streamgauge_testkit::block_on;

/// A secret of Standard Webhooks.
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The receiver `ops` with these settings.
fn receiver(fields: &[(&str, &str)]) -> Receiver {
    let given = fields.iter().fold(Overrides::default(), |given, (name, value)| {
        given.with(&format!("alert.receiver.ops.{name}"), "a test", Some(value))
    });
    let settings = load(&given, None, []).unwrap().config.alert;
    Receiver::new(settings.receiver("ops").unwrap()).unwrap()
}

/// What happened to a series ten minutes ago or, if it is over, a minute ago.
fn notification(series: &str, kind: Kind) -> Notification {
    let now: DateTime<FixedOffset> = Utc::now().fixed_offset();
    let opened_at = now - TimeDelta::minutes(10);
    let episode = format!("episode-of-{series}");
    let (transition, at, value) = match kind {
        Kind::Opened => (0, opened_at, 93.5),
        Kind::Worsened => (1, now - TimeDelta::minutes(8), 97.0),
        Kind::Reminded => (2, now - TimeDelta::minutes(5), 97.0),
        Kind::Ended => (3, now - TimeDelta::minutes(1), 71.0),
    };
    Notification {
        id: notification_id("ops", &episode, transition),
        kind,
        episode,
        series: Some(series.to_owned()),
        measure: None,
        detector: "adaptive-band".to_owned(),
        rule: None,
        cause: "point".to_owned(),
        severity: if kind == Kind::Opened {
            Severity::Warning
        } else {
            Severity::Critical
        },
        opened_at,
        at,
        value: Some(value),
        expected: Some(70.0),
        lower: Some(60.0),
        upper: Some(80.0),
        unit: "°C".to_owned(),
        explanation: format!("{series}: {value} °C, usual are 60 to 80 °C."),
        link: Some("https://meters.example/?series=a&b".to_owned()),
        is_test: false,
    }
}

fn send(
    receiver: &Receiver,
    notification: &Notification,
    earlier: Option<&Receipt>,
) -> Result<Receipt, SendError> {
    let message = Message::Episode(notification.clone());
    block_on(receiver.send(&message, earlier, Utc::now()))
}
