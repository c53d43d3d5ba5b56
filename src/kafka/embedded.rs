//! A broker inside this process, for the demo and for quick tests.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{Error, plain_error};

/// librdkafka's own mock cluster: one broker on a loopback port, which other programs can use too. It stops when dropped.
///
/// It speaks the real protocol, but it is no Kafka. It keeps everything in memory and at most 5 MiB or 100,000 messages per
/// partition, dropping the oldest; its transactions have no effect, so it proves nothing about exactly-once; it makes no
/// topics on request (`CreateTopics`), which is why [`EmbeddedBroker::start`] takes them. It stays on the thread that made it.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts the broker with these topics: name and number of partitions.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, Error> {
        let refused = |error: KafkaError| Error::Embedded {
            cause: plain_error(&error),
        };
        let cluster = MockCluster::new(1).map_err(refused)?;
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).map_err(refused)?;
        }
        Ok(Self { cluster })
    }

    /// Where to find it: `127.0.0.1:port`.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
