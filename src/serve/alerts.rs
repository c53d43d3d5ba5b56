//! The metrics of the sink `alerts`.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::metrics::{Families, Labels, labels, seconds};
use crate::pipeline::alerts::{AlertsProgress, ReceiverProgress};

impl Families<'_> {
    pub(super) fn alerts(&mut self, progress: &AlertsProgress, now_ms: i64) -> fmt::Result {
        let receivers = &progress.receivers;
        let of = |receiver: &String| labels([("receiver", receiver)]);
        self.family(
            "open_episodes",
            "Episodes that are open in the partitions that this process has",
            [(Labels::new(), ConstGauge::new(progress.open as i64))],
        )?;
        self.family(
            "unreadable_anomalies",
            "Messages of the topic of anomalies that are none",
            [(Labels::new(), ConstCounter::new(progress.unreadable))],
        )?;
        self.family(
            "alerts_sent",
            "Messages that receivers have taken, each once",
            receivers
                .iter()
                .map(|(receiver, progress)| (of(receiver), ConstCounter::new(progress.counts.sent))),
        )?;
        self.family(
            "alerts_waiting",
            "Messages that wait for a receiver",
            receivers
                .iter()
                .map(|(receiver, progress)| (of(receiver), ConstGauge::new(progress.waiting as i64))),
        )?;
        self.family(
            "alerts_left_out",
            "Messages that a newer one of the same episode took the place of while they waited",
            receivers
                .iter()
                .map(|(receiver, progress)| (of(receiver), ConstCounter::new(progress.counts.left_out))),
        )?;
        self.family(
            "alerts_failing_seconds",
            "How long a receiver has taken no message, if the last attempt failed; else 0",
            receivers.iter().map(|(receiver, progress)| {
                let since_ms = progress.failing_since_ms.unwrap_or(now_ms);
                (of(receiver), ConstGauge::new(seconds((now_ms - since_ms).max(0))))
            }),
        )?;
        let suppressed = receivers.iter().flat_map(|(receiver, progress)| {
            progress.suppressed.iter().map(move |(hush, &count)| {
                let labels = labels([("receiver", receiver), ("reason", hush.reason())]);
                (labels, ConstCounter::new(count))
            })
        });
        self.family(
            "alerts_suppressed",
            "Episodes that a receiver was not told of, because of a silence or because they were expected",
            suppressed.collect::<Vec<_>>(),
        )?;
        let judged = progress.judged.iter().flat_map(|(detector, judged)| {
            let detector = detector.as_deref().unwrap_or("unknown");
            [("real", judged.real), ("expected", judged.expected)].map(|(verdict, count)| {
                let labels = labels([("detector", detector), ("verdict", verdict)]);
                (labels, ConstGauge::new(count as i64))
            })
        });
        self.family(
            "judged_episodes",
            "Episodes that people have said something of; the precision so far is real / (real + expected)",
            judged.collect::<Vec<_>>(),
        )?;
        self.alert_reasons(
            "alerts_failed",
            "Attempts in vain, by reason",
            progress,
            |receiver| &receiver.counts.failed,
        )?;
        self.alert_reasons(
            "alerts_given_up",
            "Messages that will not be sent, by reason",
            progress,
            |receiver| &receiver.counts.given_up,
        )
    }

    fn alert_reasons(
        &mut self,
        name: &str,
        help: &str,
        progress: &AlertsProgress,
        counts: impl Fn(&ReceiverProgress) -> &BTreeMap<&'static str, u64>,
    ) -> fmt::Result {
        let samples = progress.receivers.iter().flat_map(|(receiver, progress)| {
            counts(progress).iter().map(move |(reason, &count)| {
                (
                    labels([("receiver", receiver), ("reason", reason)]),
                    ConstCounter::new(count),
                )
            })
        });
        let samples: Vec<_> = samples.collect();
        self.family(name, help, samples)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::alerts::Hush;
    use crate::feedback::Judged;

    /// Progress in which there is something of everything.
    pub(in crate::serve) fn progress() -> AlertsProgress {
        let mut receiver = ReceiverProgress::default();
        receiver.counts.sent = 6;
        receiver.counts.failed.insert("busy", 4);
        receiver.counts.given_up.insert("refused", 1);
        receiver.suppressed.insert(Hush::Silenced, 2);
        let judged = Judged { real: 3, expected: 1 };
        AlertsProgress {
            receivers: BTreeMap::from([("ops".to_owned(), receiver)]),
            judged: BTreeMap::from([(Some("rules".to_owned()), judged)]),
            ..AlertsProgress::default()
        }
    }
}
