//! The last words of a run that ended well.

use indicatif::HumanCount;

use crate::pipeline::{HeldBack, Progress};

/// The sink's summary of a run, or a sentence that no partition was assigned.
pub(super) fn run_summary<P>(progress: &Progress<P>, of_sink: impl FnOnce(&P) -> String) -> String {
    let mut text = match progress.was_stopped_without_partitions {
        true => {
            "stopped before the consumer group gave this process a partition: nothing was read".to_owned()
        }
        false => of_sink(&progress.sink),
    };
    for HeldBack {
        partition,
        offset,
        records,
    } in &progress.held_back
    {
        text += &format!(
            "\n  not read, behind an open transaction of another producer: {} in partition {partition}, from offset {offset}",
            HumanCount(records.unsigned_abs())
        );
    }
    text
}

/// The last line of a run that read nothing but dead letters; empty for any other.
pub(super) fn nothing_read(consumed: u64, dead: u64) -> &'static str {
    if consumed > 0 && consumed == dead {
        "\n  none of the records could be read: `streamgauge sniff` shows what they are and which settings read them"
    } else {
        ""
    }
}

/// What was skipped as a part of the sum of all records; nothing where nothing was.
pub(super) fn skipped(count: u64) -> String {
    match count {
        0 => String::new(),
        count => format!(" + {} skipped", HumanCount(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_dead_letters_alone_says_what_helps() {
        assert!(nothing_read(5, 5).contains("streamgauge sniff"));
        assert_eq!((nothing_read(5, 4), nothing_read(0, 0)), ("", ""));
    }

    #[test]
    fn what_was_not_read_is_said() {
        let text = |progress: &Progress<()>| run_summary(progress, |()| "3 consumed".to_owned());
        let mut progress = Progress::default();
        assert_eq!(text(&progress), "3 consumed");
        progress.held_back.push(HeldBack {
            partition: 2,
            offset: 10,
            records: 1_021,
        });
        assert_eq!(
            text(&progress),
            "3 consumed\n  not read, behind an open transaction of another producer: 1,021 in partition 2, from offset 10"
        );
        progress.was_stopped_without_partitions = true;
        assert!(text(&progress).starts_with("stopped before the consumer group gave"));
    }
}
