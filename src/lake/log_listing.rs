//! The listing of a table's log folder.

use std::collections::BTreeMap;

use deltalake::logstore::LogStore;
use futures::StreamExt;
use object_store::path::Path;

use super::LakeError;

/// The entries and checkpoints, by version.
#[derive(Debug, Default)]
pub(super) struct LogListing {
    /// The complete checkpoints of each version: usually one, in one file.
    pub checkpoints: BTreeMap<u64, Vec<Checkpoint>>,
    /// The versions with an entry, in ascending order.
    pub entries: Vec<u64>,
    /// The time of each entry by the store's clock.
    modified_ms: BTreeMap<u64, i64>,
}

/// A complete checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub parts: Vec<Path>,
}

impl Checkpoint {
    /// Its only or first file's name.
    pub(super) fn name(&self) -> &str {
        self.parts.first().and_then(Path::filename).unwrap_or_default()
    }
}

impl LogListing {
    /// The version of the newest checkpoint, if there is one.
    pub(super) fn newest_checkpoint(&self) -> Option<u64> {
        self.checkpoints.last_key_value().map(|(&version, _)| version)
    }

    /// The last version of the log, if there is one.
    pub(super) fn last(&self) -> Option<u64> {
        self.newest_checkpoint().max(self.entries.last().copied())
    }

    /// The first version from `first` to `last` without an entry.
    pub(super) fn first_missing(&self, first: u64, last: u64) -> Option<u64> {
        let begin = self.entries.partition_point(|&version| version < first);
        let mut expected = first;
        for &version in &self.entries[begin..] {
            if expected > last || version != expected {
                break;
            }
            expected += 1;
        }
        (expected <= last).then_some(expected)
    }

    /// The checkpoints up to a version, newest first.
    pub(super) fn checkpoints_until(&self, version: u64) -> Vec<(u64, Checkpoint)> {
        let all = self.checkpoints.range(..=version).rev();
        all.flat_map(|(&version, all)| all.iter().map(move |one| (version, one.clone())))
            .collect()
    }

    /// The last version written before a time of the store's clock, if the log reaches back that far.
    ///
    /// Entries are ordered by version: where the clock contradicts that, it was wrong. A time in the future
    /// was written under a wrong clock.
    pub(super) fn version_at(&self, time_ms: i64, now_ms: i64) -> Option<u64> {
        let mut found = None;
        let mut written_ms = i64::MIN;
        for (&version, &modified_ms) in &self.modified_ms {
            if modified_ms <= now_ms {
                written_ms = written_ms.max(modified_ms);
            }
            if written_ms > time_ms {
                break;
            }
            found = Some(version);
        }
        found
    }

    /// The time of a version's entry by the store's clock.
    pub(super) fn written_ms(&self, version: u64) -> Option<i64> {
        self.modified_ms.get(&version).copied()
    }
}

/// Lists the log.
pub(super) async fn list_log(log_store: &dyn LogStore) -> Result<LogListing, LakeError> {
    let store = log_store.object_store(None);
    let mut log = LogListing::default();
    // Parts by version and number of parts; a checkpoint in progress lacks some.
    let mut parts: BTreeMap<(u64, usize), Vec<Path>> = BTreeMap::new();
    let mut listing = store.list(Some(log_store.log_path()));
    while let Some(found) = listing.next().await {
        let found = match found {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => break,
            Err(error) => return Err(LakeError::from_store("list the log", &error)),
        };
        if found.location.parts_count() != log_store.log_path().parts_count() + 1 {
            continue;
        }
        match found.location.filename().and_then(kind_of) {
            Some((version, Kind::Entry)) => {
                log.modified_ms
                    .insert(version, found.last_modified.timestamp_millis());
            }
            Some((version, Kind::CheckpointOf(count))) => {
                parts.entry((version, count)).or_default().push(found.location);
            }
            None => {}
        }
    }
    log.entries = log.modified_ms.keys().copied().collect();
    for ((version, count), mut parts) in parts {
        if parts.len() == count {
            parts.sort();
            log.checkpoints
                .entry(version)
                .or_default()
                .push(Checkpoint { parts });
        }
    }
    Ok(log)
}

/// The kind of a file in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Entry,
    /// A checkpoint of this many files.
    CheckpointOf(usize),
}

/// The kind of a log file by its name: `<version>.json`, `<version>.checkpoint.parquet` or
/// `<version>.checkpoint.<part>.<parts>.parquet`, with twenty digits for the version and ten for a part.
pub(super) fn kind_of(name: &str) -> Option<(u64, Kind)> {
    let (digits, rest) = name.split_once('.')?;
    let version = number(digits, 20)?;
    // The protocol's version is a signed 64-bit number: no log exceeds it.
    if version > i64::MAX as u64 {
        return None;
    }
    let kind = match rest.split('.').collect::<Vec<_>>()[..] {
        ["json"] => Kind::Entry,
        ["checkpoint", "parquet"] => Kind::CheckpointOf(1),
        ["checkpoint", part, parts, "parquet"] => {
            let (part, parts) = (number(part, 10)?, number(parts, 10)?);
            if !(1..=parts).contains(&part) {
                return None;
            }
            // A checkpoint of one file has another name, but foreign writers use this one too.
            Kind::CheckpointOf(usize::try_from(parts).ok()?)
        }
        _ => return None,
    };
    Some((version, kind))
}

fn number(digits: &str, length: usize) -> Option<u64> {
    let is_number = digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_protocol_belong_to_the_log() {
        let name = |rest: &str| format!("{:020}.{rest}", 7);
        assert_eq!(kind_of(&name("json")), Some((7, Kind::Entry)));
        assert_eq!(
            kind_of(&name("checkpoint.parquet")),
            Some((7, Kind::CheckpointOf(1)))
        );
        assert_eq!(
            kind_of(&name("checkpoint.0000000002.0000000003.parquet")),
            Some((7, Kind::CheckpointOf(3)))
        );
        for other in [
            "7.json".to_owned(),
            name("json.tmp"),
            name("crc"),
            name("checkpoint.0000000004.0000000003.parquet"),
            name("checkpoint.0000000000.0000000003.parquet"),
            name("checkpoint.2.3.parquet"),
            "18446744073709551615.json".to_owned(),
            "99999999999999999999.json".to_owned(),
            "+0000000000000000007.json".to_owned(),
            "_last_checkpoint".to_owned(),
        ] {
            assert_eq!(kind_of(&other), None, "{other}");
        }
    }

    fn log(modified_ms: &[(u64, i64)]) -> LogListing {
        LogListing {
            entries: modified_ms.iter().map(|&(version, _)| version).collect(),
            modified_ms: modified_ms.iter().copied().collect(),
            ..LogListing::default()
        }
    }

    #[test]
    fn a_missing_entry_is_found() {
        let log = log(&[(3, 0), (4, 0), (6, 0)]);
        for (range, missing) in [
            ((0, 6), Some(0)),
            ((3, 4), None),
            ((3, 6), Some(5)),
            ((6, 7), Some(7)),
            ((7, 6), None),
        ] {
            assert_eq!(log.first_missing(range.0, range.1), missing, "{range:?}");
        }
    }

    /// A version counts as old only if no entry suggests that it may be young.
    #[test]
    fn the_version_of_a_time_does_not_trust_a_clock_that_jumped() {
        let steady = log(&[(5, 100), (6, 200), (7, 300)]);
        for (time_ms, version) in [
            (99, None),
            (100, Some(5)),
            (299, Some(6)),
            (300, Some(7)),
            (900, Some(7)),
        ] {
            assert_eq!(steady.version_at(time_ms, 1_000), version, "{time_ms}");
        }
        // The clock was set back while 6 was written: 6 is not older than 5.
        assert_eq!(log(&[(5, 100), (6, 1), (7, 300)]).version_at(50, 1_000), None);
        // The clock was ahead while 6 was written: 7 bounds its age.
        assert_eq!(
            log(&[(5, 100), (6, 9_000), (7, 300)]).version_at(250, 1_000),
            Some(6)
        );
    }
}
