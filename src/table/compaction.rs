//! Chooses closed files to merge, by size tiers, so that each row is rewritten a logarithmic number of times.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{DataFile, Layout, Snapshot};

/// Chooses sets of files to merge, each into one: at least `fan_in` files of one bucket and one size tier whose
/// windows ended at or before `closed_before_ms`. A tier spans sizes of one power of `fan_in`; files of
/// `target_bytes` or more are left alone.
pub(crate) fn choose(
    snapshot: &Snapshot,
    layout: &Layout,
    closed_before_ms: i64,
    fan_in: usize,
    target_bytes: u64,
) -> Vec<Vec<Arc<str>>> {
    let mut tiers: BTreeMap<(Option<u32>, u32), Vec<&DataFile>> = BTreeMap::new();
    for file in snapshot.files.values() {
        let closed = layout.windows.end_of(file.last_start_ms) <= closed_before_ms;
        if closed && file.size_bytes < target_bytes {
            // By rows: most of a small file is its footer, so its size does not predict that of the merged file.
            let tier = file.rows.max(1).ilog(fan_in.max(2) as u64);
            tiers.entry((file.bucket, tier)).or_default().push(file);
        }
    }
    let mut sets = Vec::new();
    for (_, mut files) in tiers {
        files.sort_by_key(|file| (file.first_start_ms, Arc::clone(&file.path)));
        while files.len() >= fan_in.max(2) {
            let set = take_set(&mut files, target_bytes, fan_in);
            if set.len() > 1 {
                sets.push(set);
            }
        }
    }
    sets
}

/// Takes as many files off the front as fit the target size, so that a backlog is merged once.
fn take_set(files: &mut Vec<&DataFile>, target_bytes: u64, fan_in: usize) -> Vec<Arc<str>> {
    let mut bytes = 0;
    let fitting = files
        .iter()
        .take_while(|file| {
            bytes = file.size_bytes.saturating_add(bytes);
            bytes <= target_bytes
        })
        .count()
        .clamp(1, MAX_FAN_IN.max(fan_in));
    files
        .drain(..fitting.min(files.len()))
        .map(|file| Arc::clone(&file.path))
        .collect()
}

/// The most files in one merge. It bounds the memory of a merge and the work lost to a conflict.
const MAX_FAN_IN: usize = 1000;
