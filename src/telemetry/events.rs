//! Names of what the log reports: the field `event` of its JSON, whatever the sentence beside it says.
//!
//! They are stable, as the fields beside them are: docs/operations.md lists both for those who read the log by machine.

/// The command asks to become a member of its consumer group.
pub const GROUP_JOINING: &str = "group_joining";
/// The group gave this process a partition, which it reads from `offset` on.
pub const PARTITION_ASSIGNED: &str = "partition_assigned";
/// A partition is held at a batch that cannot be unpacked, while the others go on.
pub const PARTITION_HELD: &str = "partition_held";
/// A partition ends, for readers of committed records, before an open transaction of another producer.
pub const PARTITION_BEHIND_TRANSACTION: &str = "partition_behind_transaction";
/// The table has a new version with this process' batch in it.
pub const COMMITTED: &str = "committed";
/// A commit was refused because its positions moved: what was pending is dropped and read again.
pub const COMMIT_OVERTAKEN: &str = "commit_overtaken";
/// A receiver of alerts has taken a message.
pub const ALERT_SENT: &str = "alert_sent";
/// A receiver of alerts has not taken any message for minutes.
pub const ALERT_FAILING: &str = "alert_failing";
/// A message to a receiver of alerts will not be sent any more.
pub const ALERT_GIVEN_UP: &str = "alert_given_up";
/// What somebody said of an anomaly has got its place in the order of a partition; detectors heed it from there on.
pub const ANSWER_APPLIED: &str = "answer_applied";
/// A round of collecting has ended: what is due is in the topic, as far as it could be had.
pub const COLLECTED: &str = "collected";
/// How far a sink is, every `log.status_interval`.
pub const STATUS: &str = "status";
/// Metrics and health are served at `address`.
pub const HTTP_LISTENING: &str = "http_listening";
/// The live page is served at `address`.
pub const LIVE_LISTENING: &str = "live_listening";
/// The first signal has come: the process commits what is complete and ends.
pub const STOPPING: &str = "stopping";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_each() {
        const MANUAL: &str = include_str!("../../docs/operations.md");
        for name in [
            GROUP_JOINING,
            PARTITION_ASSIGNED,
            PARTITION_HELD,
            PARTITION_BEHIND_TRANSACTION,
            COMMITTED,
            COMMIT_OVERTAKEN,
            ALERT_SENT,
            ALERT_FAILING,
            ALERT_GIVEN_UP,
            ANSWER_APPLIED,
            COLLECTED,
            STATUS,
            HTTP_LISTENING,
            LIVE_LISTENING,
            STOPPING,
        ] {
            assert!(MANUAL.contains(&format!("\n| `{name}` | ")), "{name}");
        }
    }
}
