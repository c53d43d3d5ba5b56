//! State files, which make taking a partition over quick.

use tracing::warn;

use super::AnomaliesSink;
use crate::clock;
use crate::lake::StateStore;

/// A partition's state when a transaction was put together.
pub struct TakenState {
    /// The partition.
    pub partition: i32,
    /// Below it lies all that the state is of.
    pub offset: i64,
    /// Of the state file.
    pub contents: Vec<u8>,
}

/// Taking state files, while which nothing is judged, may take one part in so many of the time.
const SHARE_OF_TIME: u32 = 20;

impl AnomaliesSink {
    /// The state of the partitions that a transaction is about, if it is time to keep it.
    pub(super) fn due_states(&mut self, offsets: &[(i32, i64)]) -> Vec<TakenState> {
        let is_keeping = self
            .keeping
            .as_ref()
            .is_some_and(|keeping| !keeping.is_finished());
        let now = clock::instant();
        if now < self.keep_next || is_keeping {
            return Vec::new();
        }
        let states = self.take_states(offsets);
        // What is large is kept less often.
        let taken = clock::instant().duration_since(now);
        self.keep_next = now + self.state_interval.max(taken * SHARE_OF_TIME);
        states
    }

    fn take_states(&self, offsets: &[(i32, i64)]) -> Vec<TakenState> {
        let take = |&(partition, offset): &(i32, i64)| {
            let contents = self.operator.state_file(partition)?;
            Some(TakenState {
                partition,
                offset,
                contents,
            })
        };
        offsets.iter().filter_map(take).collect()
    }

    /// Keeps the state of these partitions, as far as their positions are committed, and waits for it.
    pub(super) async fn keep_states(&mut self, partitions: &[i32]) {
        if let Some(keeping) = self.keeping.take() {
            // A task that panicked has said so; what it would have kept is kept now.
            let _ = keeping.await;
        }
        let positions = self.operator.positions();
        let committed: Vec<(i32, i64)> = positions
            .map(|(partition, position)| (partition, position.next_offset))
            .filter(|(partition, next)| {
                partitions.contains(partition) && self.committed.get(partition) == Some(next)
            })
            .collect();
        keep(self.states.clone(), self.take_states(&committed)).await;
    }
}

/// Keeps state files. One that cannot be kept makes the next start replay more, and makes no
/// other difference.
pub(super) async fn keep(store: StateStore, states: Vec<TakenState>) {
    for TakenState {
        partition,
        offset,
        contents,
    } in states
    {
        if let Err(error) = store.keep(partition, offset, contents).await {
            warn!(partition, offset, %error, "cannot keep a state file; the next start replays more of the topic");
        }
    }
}
