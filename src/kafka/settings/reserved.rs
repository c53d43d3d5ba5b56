//! librdkafka properties that are not for the user to set, because exactly-once depends on them.

/// The properties, and what to do instead of setting them.
const RESERVED: [(&[&str], &str); 7] = [
    (
        &["bootstrap.servers", "metadata.broker.list"],
        "set `kafka.brokers` instead",
    ),
    (&["group.id"], "set `kafka.group` instead"),
    (
        &[
            "enable.auto.commit",
            "auto.commit.enable",
            "enable.auto.offset.store",
        ],
        "leave it out: the positions are kept in the table, in the commit of the rows they belong to",
    ),
    (
        &["auto.offset.reset"],
        "leave it out: a new topic is read from its beginning, and `kafka.accept_gap` says what becomes of a gap",
    ),
    (
        &[
            "isolation.level",
            "enable.partition.eof",
            "partition.assignment.strategy",
        ],
        "leave it out: exactly-once depends on the value that streamgauge sets",
    ),
    (&["transactional.id"], "set `kafka.transactional_id` instead"),
    (
        &["enable.idempotence"],
        "leave it out: late readings and dead letters are written once because of the value that streamgauge sets",
    ),
];

/// What to do instead of setting the property of this name; `None` if it is free to be set.
pub(super) fn advice(name: &str) -> Option<&'static str> {
    RESERVED
        .iter()
        .find(|(names, _)| names.contains(&name))
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exactly_once_depends_on_is_reserved() {
        for name in [
            "bootstrap.servers",
            "group.id",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "auto.offset.reset",
            "isolation.level",
            "enable.partition.eof",
            "partition.assignment.strategy",
            "transactional.id",
            "enable.idempotence",
        ] {
            assert!(advice(name).is_some(), "{name}");
        }
        for name in [
            "client.id",
            "security.protocol",
            "fetch.max.bytes",
            "compression.codec",
        ] {
            assert_eq!(advice(name), None, "{name}");
        }
    }
}
