//! State files: what makes taking a partition over quick, kept now and then beside commits.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tracing::warn;

use crate::clock;
use crate::lake::StateStore;

/// A partition's state at an offset.
pub struct TakenState {
    /// The partition.
    pub partition: i32,
    /// Below it lies all that the state is of.
    pub offset: i64,
    /// Of the state file.
    pub contents: Vec<u8>,
}

/// The states of partitions at these offsets, as far as `contents` gives one.
pub(super) fn take(
    offsets: impl IntoIterator<Item = (i32, i64)>,
    contents: impl Fn(i32) -> Option<Vec<u8>>,
) -> Vec<TakenState> {
    let take = |(partition, offset)| {
        let contents = contents(partition)?;
        Some(TakenState {
            partition,
            offset,
            contents,
        })
    };
    offsets.into_iter().filter_map(take).collect()
}

/// Taking state files, while which nothing is ingested, may take one part in so many of the time.
const SHARE_OF_TIME: u32 = 20;

/// Where the state files of a sink are kept, and when.
pub(super) struct StateKeeper {
    store: StateStore,
    interval: Duration,
    next: Instant,
    /// The task that keeps some.
    keeping: Option<JoinHandle<()>>,
}

impl StateKeeper {
    /// Keeps state files from `first` on, at most so often.
    pub(super) fn new(store: StateStore, interval: Duration, first: Instant) -> Self {
        StateKeeper {
            store,
            interval,
            next: first,
            keeping: None,
        }
    }

    /// Where they are kept.
    pub(super) fn store(&self) -> &StateStore {
        &self.store
    }

    /// The states that `take` gives, if it is time to keep them.
    pub(super) fn due(&mut self, take: impl FnOnce() -> Vec<TakenState>) -> Vec<TakenState> {
        let is_keeping = self
            .keeping
            .as_ref()
            .is_some_and(|keeping| !keeping.is_finished());
        let now = clock::instant();
        if now < self.next || is_keeping {
            return Vec::new();
        }
        let states = take();
        // What is large is kept less often.
        let taken = clock::instant().duration_since(now);
        self.next = now + self.interval.max(taken * SHARE_OF_TIME);
        states
    }

    /// Begins to keep these states, which are committed.
    pub(super) fn begin(&mut self, states: Vec<TakenState>) {
        if !states.is_empty() {
            self.keeping = Some(tokio::spawn(keep(self.store.clone(), states)));
        }
    }

    /// Keeps these states, and waits for it.
    pub(super) async fn keep_now(&mut self, states: Vec<TakenState>) {
        if let Some(keeping) = self.keeping.take() {
            // A task that panicked has said so; what it would have kept is kept now.
            let _ = keeping.await;
        }
        keep(self.store.clone(), states).await;
    }
}

/// Keeps state files. One that cannot be kept makes the next start replay more, and makes no
/// other difference.
async fn keep(store: StateStore, states: Vec<TakenState>) {
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
