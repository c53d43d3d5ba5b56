use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::{heavy, require, unique};

fn values(records: &[Record]) -> Vec<(i32, i64, &str)> {
    let mut values = Vec::new();
    for record in records {
        let value = std::str::from_utf8(record.value.as_deref().unwrap()).unwrap();
        values.push((record.partition, record.offset, value));
    }
    values
}

#[test]
fn a_topic_gives_back_what_was_produced_until_it_is_deleted() {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return;
    };
    let topic = unique("round-trip");
    kafka.create_topic(&topic, 2).unwrap();
    let full = NewRecord {
        partition: 1,
        key: Some(b"meter-1".to_vec()),
        value: None,
        headers: vec![("reason".to_string(), b"test".to_vec())],
        timestamp_ms: Some(1_673_568_000_000),
    };
    kafka
        .produce(&topic, [NewRecord::new(0, "a"), full, NewRecord::new(0, "b")])
        .unwrap();
    kafka
        .produce_with(&[("compression.type", "lz4")], &topic, [NewRecord::new(0, "c")])
        .unwrap();

    let mut records = kafka.read_topic(&topic).unwrap();
    let expected = Record {
        partition: 1,
        offset: 0,
        timestamp_ms: Some(1_673_568_000_000),
        key: Some(b"meter-1".to_vec()),
        value: None,
        headers: vec![("reason".to_string(), Some(b"test".to_vec()))],
    };
    assert_eq!(records.pop().unwrap(), expected);
    assert_eq!(values(&records), [(0, 0, "a"), (0, 1, "b"), (0, 2, "c")]);

    kafka.delete_records_below(&topic, 0, 2).unwrap();
    assert_eq!(values(&kafka.read_topic(&topic).unwrap()[..1]), [(0, 2, "c")]);

    kafka.delete_topic(&topic).unwrap();
    assert!(kafka.read_topic(&topic).is_err());
}

#[test]
fn a_record_of_ten_megabytes_passes() {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return;
    };
    let topic = unique("large");
    kafka.create_topic(&topic, 1).unwrap();
    let value = vec![b'x'; 10 * 1024 * 1024];
    kafka.produce(&topic, [NewRecord::new(0, value.clone())]).unwrap();
    assert!(kafka.read_topic(&topic).unwrap()[0].value.as_ref() == Some(&value));
    kafka.delete_topic(&topic).unwrap();
}

#[test]
fn a_private_broker_keeps_its_records_over_a_stop_and_a_kill() {
    let _heavy = heavy();
    let Some(mut private) = require("a private Apache Kafka", Kafka::private()) else {
        return;
    };
    private.kafka.create_topic("usage", 1).unwrap();
    private.kafka.produce("usage", [NewRecord::new(0, "a")]).unwrap();
    private.stop().unwrap();
    private.start().unwrap();
    private.kafka.produce("usage", [NewRecord::new(0, "b")]).unwrap();
    private.kill().unwrap();
    private.start().unwrap();
    private.kafka.produce("usage", [NewRecord::new(0, "c")]).unwrap();
    assert_eq!(
        values(&private.kafka.read_topic("usage").unwrap()),
        [(0, 0, "a"), (0, 1, "b"), (0, 2, "c")]
    );
}
