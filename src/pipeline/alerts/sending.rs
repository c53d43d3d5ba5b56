//! Sends messages, one at a time to each receiver, beside the loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::super::sink::LOG_INTERVAL;
use crate::alerts::{self, AlertOperator, Attempt, Receipt, Receiver, SendError};
use crate::clock;
use crate::telemetry::{LogLimiter, events};

/// Until when this process may send: only as long as nobody else can have its partitions.
///
/// Whoever owns a partition next may send an end while an older owner, who slept, still has the opening. So nothing is sent
/// unless the group has accepted a transaction of this process within half a session timeout, and what sleeps in between
/// finds its lease over.
pub(super) struct Lease {
    length: Duration,
    until: Option<Instant>,
    is_wanted: bool,
}

impl Lease {
    /// A lease that does not hold yet.
    pub(super) fn new(session_timeout: Duration) -> Self {
        Lease {
            length: session_timeout / 2,
            until: None,
            is_wanted: false,
        }
    }

    /// Notes that the group has accepted a transaction that was begun at this time.
    pub(super) fn renew(&mut self, begun_at: Instant) {
        self.until = Some(begun_at + self.length);
        self.is_wanted = false;
    }

    /// Asks for a transaction that renews it.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    pub(super) fn holds(&self) -> bool {
        self.until.is_some_and(|until| clock::instant() < until)
    }

    pub(super) fn until(&self) -> Instant {
        self.until.unwrap_or_else(clock::instant)
    }
}

/// What is on its way to receivers.
pub(super) struct Sending {
    receivers: BTreeMap<String, Arc<Receiver>>,
    on_their_way: BTreeMap<String, OnItsWay>,
    results: mpsc::UnboundedReceiver<Finished>,
    result_sender: mpsc::UnboundedSender<Finished>,
    log_limiter: LogLimiter<String>,
}

struct OnItsWay {
    partition: i32,
    task: JoinHandle<()>,
}

/// How an attempt ended.
pub(super) struct Finished {
    attempt: Attempt,
    /// `None` if it was not made: the lease was over.
    sent: Option<Result<Receipt, SendError>>,
}

impl Sending {
    pub(super) fn new(receivers: Vec<Receiver>) -> Self {
        let (result_sender, results) = mpsc::unbounded_channel();
        let named = |receiver: Receiver| (receiver.settings().name.clone(), Arc::new(receiver));
        Sending {
            receivers: receivers.into_iter().map(named).collect(),
            on_their_way: BTreeMap::new(),
            results,
            result_sender,
            log_limiter: LogLimiter::new(LOG_INTERVAL),
        }
    }

    /// The receivers that nothing is on its way to.
    pub(super) fn idle(&self) -> impl Iterator<Item = &str> {
        let names = self.receivers.keys();
        names
            .filter(|name| !self.on_their_way.contains_key(*name))
            .map(String::as_str)
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.on_their_way.is_empty()
    }

    /// Sends a message, unless the lease is over by then.
    pub(super) fn begin(&mut self, attempt: Attempt, lease_until: Instant) {
        let name = attempt.chain.receiver.clone();
        let Some(receiver) = self.receivers.get(&name).map(Arc::clone) else {
            return;
        };
        let partition = attempt.chain.partition;
        let results = self.result_sender.clone();
        let task = tokio::spawn(async move {
            let now_ms = clock::now_ms();
            let now = DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
            let sent = match clock::instant() < lease_until {
                true => Some(
                    receiver
                        .send(&attempt.message, attempt.earlier.as_ref(), now)
                        .await,
                ),
                false => None,
            };
            // Without a loop nobody needs to know.
            let _ = results.send(Finished { attempt, sent });
        });
        self.on_their_way.insert(name, OnItsWay { partition, task });
    }

    /// The next attempt that ends.
    pub(super) async fn finished(&mut self) -> Finished {
        match self.results.recv().await {
            Some(finished) => finished,
            // This has a sender itself.
            None => std::future::pending().await,
        }
    }

    /// An attempt that has ended, if there is one.
    pub(super) fn finished_now(&mut self) -> Option<Finished> {
        self.results.try_recv().ok()
    }

    /// Notes how an attempt ended, and says so in the log.
    pub(super) fn note(&mut self, finished: Finished, operator: &mut AlertOperator, now: DateTime<Utc>) {
        let Finished { attempt, sent } = finished;
        let name = &attempt.chain.receiver;
        if self.on_their_way.remove(name).is_none() {
            // It was broken off just when it ended.
            return;
        }
        match &sent {
            None => return operator.interrupt(name),
            Some(Ok(_)) => info!(
                event = events::ALERT_SENT,
                receiver = name,
                id = attempt.message.id(),
                "told: {}",
                alerts::title(&attempt.message)
            ),
            Some(Err(error)) => {
                let admitted = self.log_limiter.admit(name.clone(), clock::instant());
                if let Some(suppressed) = admitted {
                    let again = match error.is_transient() {
                        true => "trying again",
                        false => "it is not tried again",
                    };
                    warn!(receiver = name, suppressed, %error, "cannot tell a receiver; {again}");
                }
            }
        }
        if let Some(sent) = sent {
            operator.finish(&attempt, sent.as_ref().map(Clone::clone), now);
        }
    }

    /// Breaks off what is on its way of a partition; gives the receivers of it.
    pub(super) fn break_off(&mut self, partition: i32) -> Vec<String> {
        let is_of_it = |_: &String, one: &mut OnItsWay| one.partition == partition;
        let gone = self.on_their_way.extract_if(.., is_of_it);
        gone.map(|(receiver, one)| {
            one.task.abort();
            receiver
        })
        .collect()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        for one in self.on_their_way.values() {
            one.task.abort();
        }
    }
}
