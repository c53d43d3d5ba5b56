//! Apache Kafka for the tests: one broker for the whole run, and private ones for tests that stop theirs.

mod broker;
mod client;
mod secured;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;

use self::broker::Broker;
pub use self::client::{GroupConsumer, NewRecord, OpenTransaction, Record};
pub use self::secured::{Certificates, SecuredKafka};
use super::once;

/// The address of a broker to use instead of starting one.
const ADDRESS_VARIABLE: &str = "STREAMGAUGE_TEST_KAFKA";

#[derive(Debug)]
pub struct Kafka {
    brokers: String,
}

impl Kafka {
    /// The broker of the whole run: the one that `STREAMGAUGE_TEST_KAFKA` names, else one started by Java or Docker.
    pub fn shared() -> Result<&'static Kafka> {
        static SHARED: OnceLock<Result<(Kafka, Option<Broker>), String>> = OnceLock::new();
        let (kafka, _) = once(&SHARED, || {
            if let Ok(brokers) = std::env::var(ADDRESS_VARIABLE) {
                let kafka = Kafka { brokers };
                kafka.wait_until_it_answers(Duration::from_secs(15))?;
                return Ok((kafka, None));
            }
            let broker = Broker::start()?;
            Ok((
                Kafka {
                    brokers: broker.address(),
                },
                Some(broker),
            ))
        })?;
        Ok(kafka)
    }

    /// A broker of the test's own, which it may stop and start again. The data outlives a stop, and a kill.
    pub fn private() -> Result<PrivateKafka> {
        let broker = Broker::start()?;
        Ok(PrivateKafka {
            kafka: Kafka {
                brokers: broker.address(),
            },
            broker,
        })
    }

    /// A running broker at an address.
    pub fn at(brokers: &str) -> Kafka {
        Kafka {
            brokers: brokers.to_owned(),
        }
    }

    /// The value of `bootstrap.servers` for clients.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }
}

/// A broker that ends with the value.
#[derive(Debug)]
pub struct PrivateKafka {
    pub kafka: Kafka,
    broker: Broker,
}

impl PrivateKafka {
    /// The folder of a partition's segments.
    pub fn partition_folder(&self, topic: &str, partition: i32) -> Result<PathBuf> {
        Ok(self.broker.data_folder()?.join(format!("{topic}-{partition}")))
    }

    /// Shuts the broker down in good order and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        self.broker.stop()
    }

    /// Ends the broker as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.broker.kill()
    }

    /// Starts a stopped broker again, on the same port and data, and waits until it answers.
    pub fn start(&mut self) -> Result<()> {
        self.broker.start_again()
    }
}
