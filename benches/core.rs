//! The pure core on one thread: decoding a record, a step of the operator, sealing a batch.
//!
//! `cargo bench --bench core`

mod fixture;

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use criterion::{BatchSize, Criterion, Throughput};
use streamgauge::aggregation::{AggregationSpec, Aggregator};
use streamgauge::config::Config;
use streamgauge::decode::Decoder;
use streamgauge::reading::{Position, Record, RecordBlock};

use fixture::{HOUR_MS, config, keys, start_ms};

const KEYS: usize = 1_000;
const BLOCK_RECORDS: usize = 8_192;
const WINDOWS: i64 = 10;

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let flat = config(Path::new("unused"), &[])?;
    let nested = config(
        Path::new("unused"),
        &[
            ("reading.time_field", "measured.at"),
            ("reading.value_field", "payload.power.kw"),
            ("reading.key", "meter.id"),
        ],
    )?;
    bench_decode(&mut criterion, "decode/tutorial", &flat, TUTORIAL);
    bench_decode(&mut criterion, "decode/nested", &nested, NESTED);
    bench_step(&mut criterion, &flat);
    bench_seal(&mut criterion, &flat);
    criterion.final_summary();
    Ok(())
}

const TUTORIAL: &str = r#"{"ts": "2024-01-13 00:00:00", "value": 820.8}"#;
const NESTED: &str = r#"{"meter": {"id": "4711", "site": "Central Library"}, "measured": {"at": "2024-01-13T00:00:00Z",
 "by": "gateway 7"}, "payload": {"power": {"kw": 820.8, "kvar": 31.2}, "volts": [230.1, 229.8, 230.4]}}"#;

/// One record, key and value in their columns.
fn bench_decode(criterion: &mut Criterion, name: &str, config: &Config, value: &str) {
    let decoder = Decoder::new(&config.pipeline.reading);
    let record = Record {
        offset: 0,
        timestamp_ms: Some(start_ms(0) + 30 * 24 * HOUR_MS),
        key: Some(b"meter-0007"),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    assert!(
        decoder.examine(record, None).is_ok(),
        "{name} is to measure a good record"
    );
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group.bench_function("reading", |bencher| {
        bencher.iter(|| {
            let mut value = None;
            let decoded = decoder.decode(black_box(record), None, &mut |reading| {
                value = Some(reading.value.mean)
            });
            decoded.ok().and(value)
        });
    });
    group.finish();
}

/// One block of a partition with 1,000 series, all of which are known already; decoding included.
fn bench_step(criterion: &mut Criterion, config: &Config) {
    let blocks: Vec<RecordBlock> = (0..2).map(|number| block(number * BLOCK_RECORDS)).collect();
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(BLOCK_RECORDS as u64));
    group.bench_function("1,000 keys, block of 8,192", |bencher| {
        let warm = || {
            let mut aggregator = aggregator(config);
            aggregator.step(&blocks[0]);
            aggregator
        };
        bencher.iter_batched_ref(
            warm,
            |aggregator| aggregator.step(&blocks[1]),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// From pending contributions to the batch: taken out of the partition, merged and sorted.
fn bench_seal(criterion: &mut Criterion, config: &Config) {
    let rows = KEYS as u64 * WINDOWS as u64;
    let blocks: Vec<RecordBlock> = (0..)
        .map(|number| block(number * BLOCK_RECORDS))
        .take(KEYS * 12 * WINDOWS as usize / BLOCK_RECORDS)
        .collect();
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Elements(rows));
    group.bench_function("1,000 keys, 10 windows", |bencher| {
        let full = || {
            let mut aggregator = aggregator(config);
            for block in &blocks {
                aggregator.step(block);
            }
            aggregator
        };
        bencher.iter_batched_ref(full, Aggregator::seal, BatchSize::LargeInput);
    });
    group.finish();
}

fn aggregator(config: &Config) -> Aggregator {
    let rules = AggregationSpec::new(&config.pipeline.reading, &config.pipeline.window);
    let mut aggregator = Aggregator::new(rules);
    aggregator.assign(0, 0, Position::default(), 0);
    aggregator
}

/// Readings from the `first` on: each key every five minutes, so twelve of them a window.
fn block(first: usize) -> RecordBlock {
    let keys = keys(KEYS);
    let mut block = RecordBlock::new(0, 0);
    for number in first..first + BLOCK_RECORDS {
        let minute = number / KEYS * 5;
        let (day, hour) = (minute / (24 * 60) + 1, minute / 60 % 24);
        let value = format!(
            r#"{{"ts": "2024-01-{day:02} {hour:02}:{:02}:00", "value": {}.{}}}"#,
            minute % 60,
            500 + number % 977,
            number % 10
        );
        let record = Record {
            offset: number as i64,
            timestamp_ms: Some(start_ms(24 * 366)),
            key: Some(keys[number % KEYS].as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    block
}
