use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::alerts::notification::fixture;
use crate::alerts::{Kind, Notification, notification_id};
use crate::config::config_of;

fn at(seconds: i64) -> DateTime<Utc> {
    fixture::opened().at.to_utc() + TimeDelta::seconds(seconds)
}

/// An outbox to one receiver "ops".
fn outbox(kind: &str) -> Outbox {
    let (name, value) = match kind {
        "pagerduty" => ("routing_key", "0123456789abcdef0123456789abcdef"),
        "alertmanager" => ("url", "http://127.0.0.1:9093"),
        _ => ("url", "https://hooks.slack.com/services/T/B/x"),
    };
    let key = format!("alert.receiver.ops.{name}");
    let config = config_of(&[("alert.receiver.ops.kind", kind), (&key, value)]);
    Outbox::new(&[Receiver::new(&config.alert.receivers[0]).unwrap()])
}

fn telling(episode: &str, kind: Kind, count: u64, seconds: i64) -> Telling {
    Telling {
        receiver: "ops".to_owned(),
        partition: 0,
        at: at(seconds),
        message: Message::Episode(Notification {
            id: notification_id("ops", episode, count),
            episode: episode.to_owned(),
            series: Some(format!("boiler-{}", &episode[..1])),
            kind,
            ..fixture::opened()
        }),
    }
}

fn commit(outbox: &mut Outbox) {
    outbox.take_changes();
    outbox.committed();
}

/// Sends what is due: which episode it is of, and what it says.
fn send(outbox: &mut Outbox, seconds: i64, sent: Result<(), SendError>) -> Option<String> {
    let attempt = outbox.next("ops", at(seconds))?;
    assert_eq!(
        outbox.next("ops", at(seconds)),
        None,
        "one at a time is on its way"
    );
    let sent = sent.map(|()| Receipt::default());
    outbox.finish(&attempt, sent.as_ref().map(Clone::clone), at(seconds));
    commit(outbox);
    match attempt.message {
        Message::Episode(one) => Some(format!("{} {}", one.kind.name(), one.episode)),
        Message::Digest(digest) => Some(digest.title),
    }
}

fn away() -> Result<(), SendError> {
    Err(SendError::Unreachable {
        host: String::new(),
        cause: String::new(),
    })
}

fn refused() -> Result<(), SendError> {
    Err(SendError::Refused {
        host: String::new(),
        cause: String::new(),
    })
}

#[test]
fn a_receiver_that_is_away_is_asked_less_and_less_often_and_then_told_everything() {
    let mut outbox = outbox("slack");
    for (number, episode) in ["a", "b"].into_iter().enumerate() {
        outbox.push(telling(episode, Kind::Opened, 0, number as i64));
    }
    commit(&mut outbox);
    assert!(outbox.is_busy());
    let mut tried = Vec::new();
    for seconds in 2..40 {
        if send(&mut outbox, seconds, away()).is_some() {
            tried.push(seconds);
        }
    }
    assert_eq!(tried, [2, 3, 5, 9, 17, 33]);
    assert!(!outbox.is_busy(), "all that waits was tried in vain");
    assert_eq!(
        outbox.failing().collect::<Vec<_>>(),
        [("ops", at(2), "unreachable")]
    );
    let mut told = Vec::new();
    for seconds in 40..140 {
        told.extend(send(&mut outbox, seconds, Ok(())));
    }
    told.sort();
    assert_eq!(told, ["opened a", "opened b"]);
    assert_eq!(outbox.failing().count(), 0);
}

#[test]
fn a_receiver_says_how_long_to_wait() {
    let mut outbox = outbox("slack");
    outbox.push(telling("a", Kind::Opened, 0, 0));
    commit(&mut outbox);
    let busy = SendError::Busy {
        host: String::new(),
        cause: String::new(),
        retry_after: Some(Duration::from_secs(90)),
    };
    assert!(send(&mut outbox, 0, Err(busy)).is_some());
    assert_eq!(send(&mut outbox, 89, Ok(())), None);
    assert_eq!(send(&mut outbox, 90, Ok(())).unwrap(), "opened a");
}

#[test]
fn what_is_refused_is_given_up_and_the_rest_of_the_episode_goes_on() {
    let mut outbox = outbox("slack");
    outbox.push(telling("a", Kind::Opened, 0, 0));
    outbox.push(telling("a", Kind::Worsened, 1, 1));
    commit(&mut outbox);
    let attempt = outbox.next("ops", at(1)).unwrap();
    let given_up = outbox
        .finish(&attempt, Err(&refused().unwrap_err()), at(1))
        .unwrap();
    assert_eq!((given_up.receiver.as_str(), given_up.reason), ("ops", "refused"));
    commit(&mut outbox);
    assert_eq!(send(&mut outbox, 1, Ok(())).unwrap(), "worsened a");
    let counts = outbox.counts().next().unwrap().1;
    assert_eq!((counts.sent, counts.given_up["refused"]), (1, 1));
}

#[test]
fn an_end_that_was_given_up_ends_what_is_told_again() {
    let mut outbox = outbox("alertmanager");
    outbox.push(telling("a1", Kind::Opened, 0, 0));
    commit(&mut outbox);
    assert!(send(&mut outbox, 0, Ok(())).is_some());
    outbox.push(telling("a1", Kind::Ended, 1, 10));
    commit(&mut outbox);
    assert!(send(&mut outbox, 10, refused()).is_some());
    let again: Vec<_> = (11..1_000)
        .filter_map(|seconds| send(&mut outbox, seconds, Ok(())))
        .collect();
    assert_eq!(again, [""; 0]);
    outbox.forget(at(8 * 86_400));
    let changes = outbox.take_changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1, None, "nothing is left of it");
}

#[test]
fn after_a_day_it_is_no_news_any_more() {
    let mut outbox = outbox("slack");
    outbox.push(telling("a", Kind::Opened, 0, 0));
    commit(&mut outbox);
    assert!(send(&mut outbox, 86_399, away()).is_some());
    assert!(outbox.next("ops", at(86_399 + 1)).is_some());
    outbox.interrupt("ops");
    assert!(send(&mut outbox, 86_401, away()).is_some());
    assert_eq!(send(&mut outbox, 90_000, Ok(())), None);
    assert_eq!(outbox.waiting().collect::<Vec<_>>(), [("ops", 0)]);
}

#[test]
fn of_what_waited_for_long_the_newest_is_told() {
    let (mut early, mut slack, mut pagerduty) = (outbox("slack"), outbox("slack"), outbox("pagerduty"));
    for outbox in [&mut early, &mut slack, &mut pagerduty] {
        outbox.push(telling("a", Kind::Opened, 0, 0));
        outbox.push(telling("a", Kind::Ended, 1, 60));
        commit(outbox);
    }
    assert_eq!(send(&mut early, 61, Ok(())).unwrap(), "opened a");
    assert_eq!(send(&mut early, 61, Ok(())).unwrap(), "ended a");
    assert_eq!(send(&mut slack, 700, Ok(())).unwrap(), "ended a");
    assert_eq!(send(&mut slack, 700, Ok(())), None);
    // Nobody is woken for what is over.
    assert_eq!(send(&mut pagerduty, 61, Ok(())).unwrap(), "ended a");
    assert_eq!(send(&mut pagerduty, 61, Ok(())), None);
}

#[test]
fn a_receiver_that_forgets_is_told_again_while_an_episode_lasts_and_for_a_while_after() {
    let mut outbox = outbox("alertmanager");
    outbox.push(telling("a1", Kind::Opened, 0, 0));
    commit(&mut outbox);
    let mut told = Vec::new();
    for seconds in 0..1_000 {
        if seconds == 150 {
            outbox.push(telling("a1", Kind::Ended, 1, 150));
            commit(&mut outbox);
        }
        let message = send(&mut outbox, seconds, Ok(()));
        told.extend(message.map(|message| format!("{seconds} {message}")));
    }
    assert_eq!(
        told,
        [
            "0 opened a1",
            "60 opened a1",
            "120 opened a1",
            "150 ended a1",
            "210 ended a1",
            "270 ended a1",
            "330 ended a1",
            "390 ended a1",
            "450 ended a1",
        ]
    );
    assert_eq!(outbox.counts().next().unwrap().1.sent, 2, "each counts once");
}

#[test]
fn an_end_is_not_told_again_once_the_same_alert_fires_anew() {
    let mut outbox = outbox("alertmanager");
    for (episode, kind, seconds) in [
        ("a1", Kind::Opened, 0),
        ("a1", Kind::Ended, 1),
        ("a2", Kind::Opened, 20),
    ] {
        outbox.push(telling(episode, kind, u64::from(kind == Kind::Ended), seconds));
        commit(&mut outbox);
        assert!(send(&mut outbox, seconds, Ok(())).is_some());
    }
    let told: Vec<String> = (21..200)
        .filter_map(|seconds| send(&mut outbox, seconds, Ok(())))
        .collect();
    assert_eq!(told, ["opened a2"; 2]);
}

#[test]
fn there_is_an_end_to_what_waits() {
    let mut outbox = outbox("slack");
    let mut given_up = Vec::new();
    for number in 0..10_005 {
        let telling = telling(&format!("{number:05}"), Kind::Opened, 0, number);
        given_up.extend(outbox.push(telling));
    }
    assert_eq!(given_up.len(), 5);
    assert_eq!(given_up[0].id, notification_id("ops", "00000", 0));
    assert_eq!(outbox.waiting().collect::<Vec<_>>(), [("ops", 10_000)]);
}
