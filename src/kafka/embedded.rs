//! A broker inside this process, for the demo and for quick tests.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{Error, plain_error};

/// librdkafka's mock cluster: one broker on a loopback port, open to other programs too. It stops when
/// dropped.
///
/// It speaks the real protocol but is not Kafka:
/// - it keeps everything in memory, at most 5 MiB or 100,000 messages per partition, and drops the oldest;
/// - its transactions have no effect, so it proves nothing about exactly-once;
/// - it rejects `CreateTopics`, so [`EmbeddedBroker::start`] takes the topics;
/// - it leaves questions for the settings of topics unanswered;
/// - it stays on the thread that created it.
pub(crate) struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts the broker with these topics: name and number of partitions.
    pub(crate) fn start(topics: &[(&str, i32)]) -> Result<Self, Error> {
        let refused = |error: KafkaError| Error::Embedded {
            cause: plain_error(&error),
        };
        let cluster = MockCluster::new(1).map_err(refused)?;
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).map_err(refused)?;
        }
        running().insert(cluster.bootstrap_servers());
        Ok(Self { cluster })
    }

    /// Its address: `127.0.0.1:port`.
    pub(crate) fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        running().remove(&self.bootstrap_servers());
    }
}

/// Whether a broker at this address runs inside this process, so that what it cannot answer need not be asked.
pub(super) fn is_embedded(brokers: &str) -> bool {
    running().contains(brokers)
}

/// The addresses of those that run.
fn running() -> std::sync::MutexGuard<'static, BTreeSet<String>> {
    static RUNNING: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
