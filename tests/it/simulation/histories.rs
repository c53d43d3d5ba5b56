//! Histories by hand, which random ones meet too rarely: each with what happens if a guard is taken out.

use super::world::Guard;
use super::{Action, History, run, status};
use streamgauge::decode::ValueKind;
use streamgauge::window::LatePolicy;

/// A fence of a vacuum that slept lies dead on version 1, which clean-up has freed. Process 0 slept, too, and follows the
/// log from version 0: through the dead entry to the live one of version 2, without the rows of the true version 1.
fn a_dead_entry_in_the_way() -> History {
    let reading = |at: i64| format!(r#"{{"ts":{at},"value":0.0,"key":"k0"}}"#);
    let advance = |process, steps| Action::Advance {
        process,
        unknown: None,
        steps,
    };
    let consume = |process, partition, count| Action::Consume {
        process,
        partition,
        count,
    };
    History {
        readings: vec![
            vec![reading(480_000)],
            vec![reading(480_000), reading(540_000)],
            vec![],
        ],
        rules: (LatePolicy::Divert, ValueKind::Gauge),
        buckets: 1,
        actions: vec![
            consume(1, 1, 2),
            Action::Commit { process: 1 },
            Action::BeginVacuum,
            advance(1, 2),
            Action::Optimize { pick: vec![1] },
            Action::BeginCheckpoint,
            consume(0, 0, 1),
            Action::WriteCheckpoint,
            Action::CleanUp { below: 0, count: 2 },
            Action::Commit { process: 0 },
            Action::AdvanceVacuum {
                unknown: None,
                steps: 1,
            },
            advance(0, 8),
        ],
    }
}

#[test]
fn a_dead_entry_misleads_no_sleeper() {
    run(a_dead_entry_in_the_way(), None);
}

#[test]
#[should_panic(expected = "I4: two rows of k0 at 480000")]
fn without_the_anchor_a_sleeper_follows_a_dead_entry() {
    run(a_dead_entry_in_the_way(), Some(Guard::Anchor));
}

/// Process 0 does not hear that its partition went to process 1, and commits what that one has committed before it: records
/// of which no row and no side output comes, so that only the counts can show it.
fn a_zombie_with_skipped_records() -> History {
    let advance = |process| Action::Advance {
        process,
        unknown: None,
        steps: 8,
    };
    let consume = |process| Action::Consume {
        process,
        partition: 0,
        count: 2,
    };
    History {
        readings: vec![vec![status(), status()], vec![], vec![]],
        rules: (LatePolicy::Divert, ValueKind::Gauge),
        buckets: 1,
        actions: vec![
            consume(0),
            Action::Move {
                partition: 0,
                to: 1,
                noticed: false,
            },
            consume(1),
            Action::Commit { process: 1 },
            advance(1),
            Action::Commit { process: 0 },
            advance(0),
        ],
    }
}

#[test]
fn a_zombie_counts_no_skipped_record_again() {
    run(a_zombie_with_skipped_records(), None);
}

#[test]
#[should_panic(expected = "I1: what the log has counted")]
fn without_the_positions_of_others_a_zombie_counts_skipped_records_again() {
    run(a_zombie_with_skipped_records(), Some(Guard::Positions));
}
