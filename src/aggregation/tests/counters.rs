//! Counters: the increases are the same however records are split over batches, and wherever a process begins anew.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::window::LatePolicy;

const TOPIC: &str = "topic-id";

fn spec(late: &str) -> AggregationSpec {
    let overrides = Overrides::default()
        .with("reading.key", "", Some("key"))
        .with("reading.time_format", "", Some("epoch_ms"))
        .with("reading.value_kind", "", Some("counter"))
        .with("window.length", "", Some("10s"))
        .with("window.watermark", "", Some("15s"))
        .with("window.late", "", Some(late));
    let config = load(&overrides, None, []).unwrap().config;
    AggregationSpec::new(&config.pipeline.reading, &config.pipeline.window)
}

/// Key, second, register in tenths.
type Plain = (u8, i64, u32);

fn block(readings: &[Plain], from: usize, to: usize) -> RecordBlock {
    let mut block = RecordBlock::new(0, 1);
    for (offset, (key, second, tenths)) in readings.iter().enumerate().take(to).skip(from) {
        let value = f64::from(*tenths) / 10.0;
        let value = format!(r#"{{"ts":{},"value":{value:?},"key":"k{key}"}}"#, second * 1000);
        let record = Record {
            offset: offset as i64,
            timestamp_ms: Some(0),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    block
}

/// A table, and the files of registers beside it.
struct World<'a> {
    readings: &'a [Plain],
    spec: &'a AggregationSpec,
    committed: Position,
    rows: Vec<Row>,
    files: BTreeMap<i64, Vec<u8>>,
    consumed: u64,
}

impl World<'_> {
    /// A process that takes the partition over, with the newest file that is usable, if it may have one.
    fn started(&self, with_file: bool) -> (Aggregator, usize) {
        let mut aggregator = Aggregator::new(self.spec.clone());
        aggregator.assign(0, 1, self.committed, self.committed.next_offset);
        let file = self.files.range(..=self.committed.next_offset).next_back();
        let restored = match file.filter(|_| with_file) {
            None => RestoredRegisters::none_at(0),
            Some((_, bytes)) => aggregator.read_registers(TOPIC, 0, bytes.as_slice()).unwrap(),
        };
        let read_from = aggregator.resume(0, restored).unwrap();
        (aggregator, read_from as usize)
    }

    fn commit(&mut self, aggregator: &mut Aggregator, keeps: bool) {
        let Some(batch) = aggregator.seal() else {
            return;
        };
        let file = aggregator.register_file(TOPIC, 0);
        self.rows.extend(batch.rows);
        self.rows = merge_sorted(std::mem::take(&mut self.rows));
        self.consumed += batch.counts.consumed;
        self.committed = batch.positions[0].to;
        aggregator.committed(&batch.positions);
        if keeps {
            self.files.insert(self.committed.next_offset, file.unwrap());
        }
    }
}

/// The rows after everything was read, by a process that commits at some of these places and dies at others.
fn rows(readings: &[Plain], spec: &AggregationSpec, acts: &[(usize, u8)]) -> Vec<Row> {
    let mut world = World {
        readings,
        spec,
        committed: Position::default(),
        rows: Vec::new(),
        files: BTreeMap::new(),
        consumed: 0,
    };
    let (mut aggregator, mut next) = world.started(true);
    for &(count, act) in acts {
        let to = (next + count).min(readings.len());
        aggregator.step(&block(world.readings, next, to));
        next = to;
        match act {
            0 | 1 => world.commit(&mut aggregator, act == 0),
            2 | 3 => (aggregator, next) = world.started(act == 2),
            _ => {}
        }
    }
    aggregator.step(&block(readings, next, readings.len()));
    world.commit(&mut aggregator, false);
    assert_eq!(
        world.consumed,
        readings.len() as u64,
        "what is read again is not counted"
    );
    world.rows
}

/// Count and increase in 2⁻⁶⁰, by window and key: late ones are left out, the rest is sorted by time.
fn oracle(readings: &[Plain]) -> BTreeMap<(i64, String), (u64, f64)> {
    let mut watermark = i64::MIN;
    let mut rows: BTreeMap<(i64, String), (u64, i128)> = BTreeMap::new();
    let mut series: BTreeMap<String, BTreeMap<i64, i128>> = BTreeMap::new();
    for &(key, second, tenths) in readings {
        let start = second.div_euclid(10) * 10;
        let is_late = start + 10 <= watermark;
        watermark = watermark.max(second - 15);
        if is_late {
            continue;
        }
        let key = format!("k{key}");
        rows.entry((start, key.clone())).or_default().0 += 1;
        let register = (f64::from(tenths) / 10.0 * 2f64.powi(60)) as i128;
        let known = series.entry(key).or_default().entry(second).or_default();
        *known = (*known).max(register);
    }
    for (key, registers) in series {
        for ((_, before), (second, after)) in registers.iter().zip(registers.iter().skip(1)) {
            let step = if after < before { *after } else { after - before };
            let start = second.div_euclid(10) * 10;
            rows.get_mut(&(start, key.clone())).unwrap().1 += step;
        }
    }
    let rounded = |sum: i128| sum as f64 / 2f64.powi(60);
    rows.into_iter()
        .map(|(row, (count, sum))| (row, (count, rounded(sum))))
        .collect()
}

fn readings() -> impl Strategy<Value = Vec<Plain>> {
    let jitter = prop::collection::vec((0u8..3, -40i64..4, 0u32..300, prop::bool::weighted(0.1)), 0..60);
    jitter.prop_map(|parts| {
        let mut second = 0;
        let mut total = 0;
        let one = |(key, behind, tenths, is_reset): (u8, i64, u32, bool)| {
            second += 3;
            total = if is_reset { 0 } else { total + tenths };
            (key, (second + behind).max(0), total + u32::from(key) * 1000)
        };
        parts.into_iter().map(one).collect()
    })
}

fn acts() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0usize..12, 0u8..6), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn batches_and_restarts_do_not_matter(readings in readings(), acts in acts(), late in prop::sample::select(vec!["divert", "drop", "upsert"])) {
        let spec = spec(late);
        let found = rows(&readings, &spec, &acts);
        prop_assert_eq!(&found, &rows(&readings, &spec, &[]));
        if late != LatePolicy::Upsert.name() {
            let found: BTreeMap<_, _> = found
                .into_iter()
                .map(|row| ((row.start_ms / 1000, row.series.key.to_string()), (row.totals.count, row.totals.sum.rounded())))
                .collect();
            prop_assert_eq!(found, oracle(&readings));
        }
    }
}

#[test]
fn a_file_of_registers_that_does_not_fit_is_refused_and_named() {
    let mut aggregator = Aggregator::new(spec("divert"));
    aggregator.assign(0, 1, Position::default(), 0);
    aggregator.step(&block(&[(1, 5, 70), (2, 6, 80)], 0, 2));
    let good = aggregator.register_file(TOPIC, 0).unwrap();
    let refusal = |bytes: &[u8], topic_id, partition| {
        let read = aggregator.read_registers(topic_id, partition, bytes);
        read.err().map(|error| error.to_string())
    };
    assert_eq!(refusal(&good, TOPIC, 0), None);
    assert_eq!(
        refusal(b"SGSTATE", TOPIC, 0).unwrap(),
        "not a streamgauge file of registers"
    );
    let torn = RegisterFileError::Torn.to_string();
    for length in [0, 5, 9, 40, good.len() - 1] {
        assert_eq!(
            refusal(&good[..length], TOPIC, 0).as_ref(),
            Some(&torn),
            "{length}"
        );
    }
    let mut flipped = good.clone();
    let place = good.len() - 20;
    flipped[place] ^= 1;
    assert_eq!(refusal(&flipped, TOPIC, 0), Some(torn));
    assert!(
        refusal(&good, "another", 0)
            .unwrap()
            .contains("the id \"topic-id\"; this one has the id \"another\"")
    );
    assert!(refusal(&good, TOPIC, 1).unwrap().contains("for partition 0"));
    let upsert = Aggregator::new(spec("upsert"));
    let refused = upsert.read_registers(TOPIC, 0, good.as_slice()).unwrap_err();
    assert_eq!(refused, RegisterFileError::OtherSettings);
    let few = AggregationSpec {
        max_series: 1,
        ..spec("divert")
    };
    let refused = Aggregator::new(few)
        .read_registers(TOPIC, 0, good.as_slice())
        .unwrap_err();
    assert_eq!(refused, RegisterFileError::TooManySeries { limit: 1 });
}

/// Files of one version have one format. If this fails, the format was changed by accident, or `VERSION` has to be raised.
#[test]
fn the_bytes_of_a_file_of_registers_are_known() {
    let mut aggregator = Aggregator::new(AggregationSpec {
        rules: 0x0403_0201,
        ..spec("divert")
    });
    aggregator.assign(0, 1, Position::default(), 0);
    aggregator.step(&block(&[(1, 5, 70), (1, 6, 80)], 0, 2));
    let bytes = aggregator.register_file("id", 0).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = "534752454749530100\
                  20000000fcfb105e00010203040200000069640000000002000000000000000170170000000000002c000000";
    let series = "14aaaa4501020000006b310002000000881300000000000000000000\
                  00001c40701700000000000000000000000020400100000037be0b4b03";
    assert_eq!(hex, [header, series].concat());
}

#[test]
fn a_register_is_not_negative() {
    let mut aggregator = Aggregator::new(spec("divert"));
    aggregator.assign(0, 1, Position::default(), 0);
    let mut block = RecordBlock::new(0, 1);
    let value = br#"{"ts":1000,"value":-0.5,"key":"a"}"#;
    let record = Record {
        offset: 0,
        timestamp_ms: Some(0),
        key: None,
        value: Some(value),
        headers: &[],
    };
    block.push(record, None);
    let fate = aggregator.step(&block).remove(0).fate;
    let Fate::Dead(rejection) = fate else {
        panic!("{fate:?}");
    };
    let words = "value is -0.5, and what a counter shows is not negative (reading.value_kind)";
    assert_eq!(
        (rejection.reason, rejection.detail.as_str()),
        (Reason::OutOfRange, words)
    );
}

#[test]
fn a_counter_in_two_partitions_is_noticed() {
    let mut aggregator = Aggregator::new(spec("divert"));
    for partition in 0..2 {
        aggregator.assign(partition, 1, Position::default(), 0);
    }
    let mut other = block(&[(1, 5, 70), (2, 6, 80)], 0, 2);
    aggregator.step(&other);
    assert_eq!(aggregator.take_register_notices(), RegisterNotices::default());
    other.partition = 1;
    aggregator.step(&other);
    let notices = aggregator.take_register_notices();
    let example = Some((SeriesKey::of_key("k2".into()), 1, 0));
    assert_eq!((notices.in_two_partitions, notices.example), (2, example));
    aggregator.step(&other);
    assert_eq!(aggregator.take_register_notices(), RegisterNotices::default());
}
