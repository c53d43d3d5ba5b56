//! Who is in a consumer group, as far as rights allow to ask.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;

use crate::kafka::client::CLIENT_ID;

/// A member of a consumer group, as the broker knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupMember {
    /// What it calls itself.
    pub(crate) client_id: String,
    /// Where it is.
    pub(crate) host: String,
}

impl GroupMember {
    /// Whether it is a process of this program, by the name that it gives.
    pub(crate) fn is_ours(&self) -> bool {
        self.client_id == CLIENT_ID
    }
}

/// Members as text: `kcat at /10.0.0.7, streamgauge at /10.0.0.3 (2)`.
pub(crate) fn listed(members: &[GroupMember]) -> String {
    if members.is_empty() {
        return "none that the broker names".to_owned();
    }
    let mut counts: BTreeMap<&GroupMember, usize> = BTreeMap::new();
    for member in members {
        *counts.entry(member).or_default() += 1;
    }
    let texts = counts.into_iter().map(|(member, count)| {
        let GroupMember { client_id, host } = member;
        let several = if count > 1 {
            format!(" ({count})")
        } else {
            String::new()
        };
        format!("{client_id} at {host}{several}")
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Asks for the members of a group. Blocks.
pub(super) fn list<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    wait: Duration,
) -> KafkaResult<Vec<GroupMember>> {
    let groups = consumer.fetch_group_list(Some(group), wait)?;
    let members = groups.groups().iter().flat_map(|found| found.members());
    Ok(members
        .map(|member| GroupMember {
            client_id: member.client_id().to_owned(),
            host: member.client_host().to_owned(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_and_counted() {
        let member = |client_id: &str, host: &str| GroupMember {
            client_id: client_id.to_owned(),
            host: host.to_owned(),
        };
        let ours = member("streamgauge", "/10.0.0.3");
        let members = [ours.clone(), member("kcat", "/10.0.0.7"), ours.clone()];
        assert_eq!(
            listed(&members),
            "kcat at /10.0.0.7, streamgauge at /10.0.0.3 (2)"
        );
        assert_eq!(listed(&[]), "none that the broker names");
        assert!(ours.is_ours() && !members[1].is_ours());
    }
}
