//! The limit on series, what cannot be unpacked, and counters. The rest of the aggregator is tested by the simulation.

mod counters;

use super::*;
use crate::config::{Overrides, load};
use crate::reading::Record;

fn aggregator(max_series: &str, late: &str) -> Aggregator {
    let overrides = Overrides::default()
        .with("reading.key", "", Some("key"))
        .with("reading.time_format", "", Some("epoch_ms"))
        .with("reading.max_ahead", "", Some("1d"))
        .with("window.length", "", Some("10s"))
        .with("window.watermark", "", Some("5s"))
        .with("window.late", "", Some(late))
        .with("window.max_series", "", Some(max_series));
    let config = load(&overrides, None, []).unwrap().config;
    let mut aggregator = Aggregator::new(AggregationSpec::new(
        &config.pipeline.reading,
        &config.pipeline.window,
    ));
    for partition in 0..2 {
        aggregator.assign(partition, 1, Position::default(), 0);
    }
    aggregator
}

/// Takes readings in, one a key and second, and returns the keys that were one too many.
fn rejected(aggregator: &mut Aggregator, partition: i32, readings: &[(&str, i64)]) -> Vec<String> {
    let positions: BTreeMap<i32, Position> = aggregator.positions().collect();
    let first = positions[&partition].next_offset;
    let mut block = RecordBlock::new(partition, 1);
    for (offset, (key, second)) in (first..).zip(readings) {
        let value = format!(r#"{{"ts":{},"value":1,"key":"{key}"}}"#, second * 1000);
        let record = Record {
            offset,
            timestamp_ms: Some(0),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    let side_outputs = aggregator.step(&block).into_iter();
    let too_many = side_outputs.filter(|side_output| {
        matches!(&side_output.fate, Fate::Dead(rejection) if rejection.reason == Reason::TooManySeries)
    });
    too_many
        .map(|side_output| readings[side_output.index].0.to_owned())
        .collect()
}

#[test]
fn a_series_too_many_is_rejected_and_the_known_ones_go_on() {
    let mut aggregator = aggregator("2", "divert");
    let readings = [("a", 0), ("b", 1), ("c", 2), ("a", 3), ("d", 4), ("b", 12)];
    assert_eq!(rejected(&mut aggregator, 0, &readings), ["c", "d"]);
    // The limit holds over all partitions of the process, and over commits.
    assert_eq!(rejected(&mut aggregator, 1, &[("e", 5)]), ["e"]);
    let batch = aggregator.seal().unwrap();
    assert_eq!(batch.counts.dead_lettered[&Reason::TooManySeries], 3);
    assert!(batch.counts.are_conserved());
    assert_eq!(batch.rows.len(), 3);
    assert_eq!(
        rejected(&mut aggregator, 0, &[("a", 13), ("c", 13), ("b", 13)]),
        ["c"]
    );
}

#[test]
fn series_are_forgotten_once_their_windows_have_closed() {
    let mut aggregator = aggregator("2", "divert");
    // At second 15 the window of a and b has closed by the watermark, 5 s behind.
    let readings = [
        ("a", 0),
        ("b", 1),
        ("c", 14),
        ("c", 15),
        ("d", 16),
        ("e", 17),
        ("c", 18),
    ];
    assert_eq!(rejected(&mut aggregator, 0, &readings), ["c", "e"]);
    // Another partition's watermark says nothing about this one's windows.
    assert_eq!(rejected(&mut aggregator, 1, &[("f", 100)]), ["f"]);
    assert_eq!(rejected(&mut aggregator, 0, &[("g", 1000)]), [""; 0]);
    assert_eq!(rejected(&mut aggregator, 1, &[("f", 100), ("h", 101)]), ["h"]);
}

#[test]
fn late_readings_that_correct_their_row_need_no_room() {
    let mut aggregator = aggregator("1", "upsert");
    let readings = [("a", 100), ("b", 1), ("c", 2), ("a", 101), ("d", 102)];
    assert_eq!(rejected(&mut aggregator, 0, &readings), ["d"]);
    let batch = aggregator.seal().unwrap();
    assert_eq!(batch.counts.late_upserted, 2);
    assert!(batch.counts.are_conserved());
}

#[test]
fn what_cannot_be_unpacked_is_passed_and_counted_once() {
    let mut aggregator = aggregator("9", "divert");
    rejected(&mut aggregator, 0, &[("a", 0), ("a", 1)]);
    assert_eq!(
        aggregator.pass_undecodable(0, 2, 2..10),
        0..0,
        "an earlier assignment"
    );
    assert_eq!(aggregator.pass_undecodable(0, 1, 0..10), 2..10);
    assert_eq!(aggregator.pass_undecodable(0, 1, 2..10), 0..0);
    let batch = aggregator.seal().unwrap();
    assert_eq!(batch.positions[0].to.next_offset, 10);
    assert_eq!(batch.counts.consumed, 10);
    assert_eq!(batch.counts.dead_lettered[&Reason::Undecodable], 8);
    assert!(batch.counts.are_conserved());
}

#[test]
fn keys_that_wait_are_counted() {
    let mut aggregator = aggregator("9", "divert");
    rejected(
        &mut aggregator,
        0,
        &[("abc", 0), ("abc", 1), ("abc", 20), ("de", 20)],
    );
    assert_eq!(aggregator.pending_key_bytes(), 5);
    aggregator.seal();
    assert_eq!(aggregator.pending_key_bytes(), 0);
}
