//! Schemas are learned before the records that need them reach a sink.
//!
//! A sink decides by what is known, so nothing is decided that the registry has not answered. A block that needs more is
//! held, and all deliveries behind it, in whatever partition: they come in one queue. Meanwhile commits, rebalances and stop
//! signals go on; a held block is of no commit yet, so whoever owns its partition next reads it again.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::decode::Schemas;
use crate::reading::RecordBlock;
use crate::registry::Registry;

/// An id that the registry had nothing of is asked for again after so long, if records still have it.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What a sink knows of schemas, and where more is to be had.
#[derive(Debug)]
pub(super) struct SchemaLookup {
    registry: Arc<Registry>,
    schemas: Arc<Schemas>,
    /// When ids were last asked for that the registry had nothing of; not more than are known at all.
    asked_at: HashMap<u32, Instant>,
}

/// A block that waits, and the questions that it waits for.
pub(super) struct Held {
    pub(super) block: RecordBlock,
    learning: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl SchemaLookup {
    /// Gives the sink what is known from the start. `None`, if no more is to be had.
    pub(super) fn open(registry: Arc<Registry>, schemas: Arc<Schemas>) -> Option<Self> {
        registry.introduce(&schemas).then(|| SchemaLookup {
            registry,
            schemas,
            asked_at: HashMap::new(),
        })
    }

    /// Holds a block whose schemas are not all known, and begins to ask for them; else it comes back. `waits` hears what
    /// stands in the way.
    pub(super) fn hold(
        &mut self,
        block: RecordBlock,
        waits: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Held, RecordBlock> {
        let mut ids = self.open_ids(&block, clock::instant());
        if ids.is_empty() {
            return Err(block);
        }
        let (registry, schemas) = (Arc::clone(&self.registry), Arc::clone(&self.schemas));
        ids.sort_unstable();
        let learning = Box::pin(async move {
            registry
                .learn(&schemas, &ids, |error| waits(error.to_string()))
                .await;
        });
        Ok(Held { block, learning })
    }

    /// The ids to ask for before a block is decided.
    fn open_ids(&mut self, block: &RecordBlock, now: Instant) -> Vec<u32> {
        let open = self.schemas.open_ids(block);
        let mut ids = open.unknown;
        if open.absent.is_empty() && ids.is_empty() {
            return ids;
        }
        let is_due = |id: &u32| {
            self.asked_at
                .get(id)
                .is_none_or(|at| now.duration_since(*at) >= ASK_AGAIN_AFTER)
        };
        ids.extend(open.absent.into_iter().filter(is_due));
        self.asked_at.extend(ids.iter().map(|id| (*id, now)));
        ids
    }
}

/// The end of what a held block waits for; never, if none is held. It may be dropped and called again.
pub(super) async fn learned(held: &mut Option<Held>) {
    match held {
        Some(held) => held.learning.as_mut().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config_of;
    use crate::reading::Record;

    #[test]
    fn an_id_that_the_registry_did_not_have_is_asked_for_again_after_a_while() {
        let settings = config_of(&[("schema_registry.url", "http://127.0.0.1:1")]);
        let registry = Registry::open(&settings.process.schema_registry).expect("settings");
        let schemas = Arc::new(Schemas::default());
        let registry = Arc::new(registry.expect("a registry"));
        let mut lookup = SchemaLookup::open(registry, Arc::clone(&schemas)).expect("somebody to ask");
        let mut block = RecordBlock::new(0, 0);
        for (offset, id) in [(0, 1), (1, 2)] {
            let record = Record {
                offset,
                timestamp_ms: Some(0),
                key: None,
                value: Some(&[0, 0, 0, 0, id, b'x']),
                headers: &[],
            };
            block.push(record, None);
        }
        let start = clock::instant();
        let mut asked = |seconds| lookup.open_ids(&block, start + Duration::from_secs(seconds));
        assert_eq!(asked(0), [1, 2]);
        schemas.note_absent(1);
        schemas.learn(2, crate::decode::Schema::Json);
        assert!(asked(1).is_empty());
        assert!(asked(59).is_empty());
        assert_eq!(asked(60), [1]);
        assert!(asked(61).is_empty());
        assert_eq!(asked(120), [1]);
        schemas.learn(1, crate::decode::Schema::Json);
        assert!(asked(1_000).is_empty());
    }
}
