//! The membership in the consumer group: whether it has assigned partitions, and the report while it has not.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::kafka::{Group, GroupMember, listed};

/// A group that works has answered by then, also after a member that died (`session.timeout.ms`) in most cases.
const PATIENCE: Duration = Duration::from_secs(30);

/// The progress of this process in its group.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// When the group was asked to take this process in.
    asked_at: Option<Instant>,
    /// Whether partitions were ever assigned.
    was_assigned: bool,
    /// Whether it was reported that none are.
    is_reported: bool,
}

impl Membership {
    /// Notes that the group is asked to take this process in.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// Notes so many partitions that the group has assigned.
    pub(super) fn assign(&mut self, partitions: usize) {
        self.was_assigned |= partitions > 0;
    }

    /// Whether the group was asked, and has given nothing yet.
    pub(super) fn is_without_assignment(&self) -> bool {
        self.asked_at.is_some() && !self.was_assigned
    }

    /// Whether that has lasted for long, once.
    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        let asked_at = self.asked_at.filter(|_| !self.was_assigned && !self.is_reported);
        self.is_reported |= asked_at.is_some_and(|at| now.saturating_duration_since(at) >= PATIENCE);
        self.is_reported && asked_at.is_some()
    }
}

/// Reports who is in a group that has given this process nothing: a warning, unless other processes of this program have
/// all partitions.
pub(super) async fn report(group: Group, name: String, has_joined: bool) {
    let asked = tokio::task::spawn_blocking(move || (group.members(&name), name)).await;
    let Ok((members, group)) = asked else { return };
    let members = match members {
        Ok(members) => members,
        Err(error) => {
            return warn!(
                group,
                "no partition was assigned for {} s, and the group's members are not known: {error}",
                PATIENCE.as_secs()
            );
        }
    };
    let text = listed(&members);
    if has_joined && members.iter().all(GroupMember::is_ours) {
        info!(
            group,
            members = text,
            "other processes have all partitions: standing by"
        );
    } else {
        warn!(
            group,
            members = text,
            "no partition was assigned for {} s: if another program uses the group, set kafka.group (--group; for detection \
             detect.group) to another name",
            PATIENCE.as_secs()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_group_that_gives_nothing_is_reported_once() {
        let start = clock::instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut membership = Membership::default();
        assert!(!membership.is_overdue(at(100)) && !membership.is_without_assignment());
        membership.ask(at(0));
        membership.assign(0);
        assert!(!membership.is_overdue(at(29)) && membership.is_without_assignment());
        assert!(membership.is_overdue(at(30)));
        assert!(!membership.is_overdue(at(31)), "reported already");
        membership.assign(2);
        assert!(!membership.is_without_assignment());
        let mut quick = Membership::default();
        quick.ask(at(0));
        quick.assign(1);
        assert!(!quick.is_overdue(at(31)));
    }
}
