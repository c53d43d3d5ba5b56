//! State files of the detectors.

use super::super::state_files::{TakenState, take};
use super::AnomaliesSink;

impl AnomaliesSink {
    /// The state of the partitions that a transaction is about, if it is time to keep it.
    pub(super) fn due_states(&mut self, offsets: &[(i32, i64)]) -> Vec<TakenState> {
        let operator = &self.operator;
        self.states.due(|| {
            take(offsets.iter().copied(), |partition| {
                operator.state_file(partition)
            })
        })
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
        let states = take(committed, |partition| self.operator.state_file(partition));
        self.states.keep_now(states).await;
    }
}
