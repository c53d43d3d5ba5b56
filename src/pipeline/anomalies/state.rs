//! State files of the detectors.

use super::super::state_files::TakenState;
use super::AnomaliesSink;
use crate::detection::DetectionOperator;

impl AnomaliesSink {
    /// The state of the partitions that a transaction is about, if it is time to keep it.
    pub(super) fn due_states(&mut self, offsets: &[(i32, i64)]) -> Vec<TakenState> {
        self.states.due(|| take_states(&self.operator, offsets))
    }

    /// Keeps the state of these partitions, as far as their positions are committed, and waits for it.
    pub(super) async fn keep_states(&mut self, partitions: &[i32]) {
        let positions = self.operator.positions();
        let committed: Vec<(i32, i64)> = positions
            .map(|(partition, position)| (partition, position.next_offset))
            .filter(|(partition, next)| {
                partitions.contains(partition) && self.committed.get(partition) == Some(next)
            })
            .collect();
        let states = take_states(&self.operator, &committed);
        self.states.keep_now(states).await;
    }
}

fn take_states(operator: &DetectionOperator, offsets: &[(i32, i64)]) -> Vec<TakenState> {
    let take = |&(partition, offset): &(i32, i64)| {
        let contents = operator.state_file(partition)?;
        Some(TakenState {
            partition,
            offset,
            contents,
        })
    };
    offsets.iter().filter_map(take).collect()
}
