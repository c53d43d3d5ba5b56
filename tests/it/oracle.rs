//! The expected contents of the table and the topics of side outputs in the end: each partition read once, from its
//! first record to its last. Sums are taken in 128-bit fixed point, another arithmetic than the program's, and records
//! and readings are counted by themselves (I1).

use std::collections::BTreeMap;

use serde_json::Value;
use streamgauge::decode::ValueKind;
use streamgauge::window::LatePolicy;

pub const WINDOW_MS: i64 = 60_000;
pub const DELAY_MS: i64 = 60_000;

/// Values of each partition's records, in offset order.
pub type Readings = Vec<Vec<String>>;
/// (window start in ms, key) to (count, minimum, maximum, sum).
pub type Rows = BTreeMap<(i64, String), (u64, f64, f64, f64)>;
/// (partition, offset, whether it is late rather than dead), sorted. A record is late once, however many of its
/// readings are.
pub type Departed = Vec<(i32, i64, bool)>;

/// What becomes of the records, and of the readings of the accepted ones.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub consumed: u64,
    pub accepted: u64,
    pub skipped: u64,
    pub dead: u64,
    pub readings: u64,
    pub aggregated: u64,
    pub late: u64,
}

/// What there must be in the end.
#[derive(Debug, Default)]
pub struct Expected {
    pub rows: Rows,
    pub departed: Departed,
    pub tally: Tally,
}

/// By key, the registers of a partition by time: of one time the largest.
type Registers = BTreeMap<String, BTreeMap<i64, i128>>;

/// Sums as they are taken here: count, minimum, maximum and the sum in 2⁻⁶⁰.
type Sums = BTreeMap<(i64, String), (u64, f64, f64, i128)>;

/// Documents with this `kind` are skipped by [`WHERE`].
pub const SKIPPED_KIND: &str = "status";
/// The setting `reading.where` under which the oracle is right.
pub const WHERE: &str = r#"kind != "status""#;

pub fn oracle(readings: &Readings, late: LatePolicy) -> Expected {
    oracle_of(readings, late, ValueKind::Gauge)
}

/// The same of counters, whose rows have the increase in the place of the sum, and neither minimum nor maximum. Not for
/// [`LatePolicy::Upsert`], under which registers come that are older than all that is kept.
pub fn oracle_of(readings: &Readings, late: LatePolicy, kind: ValueKind) -> Expected {
    let mut sums = Sums::new();
    let mut expected = Expected::default();
    for (partition, records) in (0..).zip(readings) {
        let mut watermark_ms = i64::MIN;
        let mut registers = Registers::new();
        for (offset, record) in (0..).zip(records) {
            expected.tally.consumed += 1;
            let documents = serde_json::Deserializer::from_str(record).into_iter::<Value>();
            let Ok(mut documents) = documents.collect::<Result<Vec<Value>, _>>() else {
                expected.tally.dead += 1;
                expected.departed.push((partition, offset, false));
                continue;
            };
            documents.retain(|document| document["kind"] != SKIPPED_KIND);
            if documents.is_empty() {
                expected.tally.skipped += 1;
                continue;
            }
            expected.tally.accepted += 1;
            let mut has_late = false;
            for document in documents {
                let is_late = add(&document, (late, kind), &mut watermark_ms, &mut sums);
                if !is_late {
                    note(&document, &mut registers);
                }
                expected.tally.readings += 1;
                *(if is_late {
                    &mut expected.tally.late
                } else {
                    &mut expected.tally.aggregated
                }) += 1;
                has_late |= is_late;
            }
            if has_late && late == LatePolicy::Divert {
                expected.departed.push((partition, offset, true));
            }
        }
        if kind == ValueKind::Counter {
            add_increases(&registers, &mut sums);
        }
    }
    if kind == ValueKind::Counter {
        for (_, minimum, maximum, _) in sums.values_mut() {
            (*minimum, *maximum) = (f64::INFINITY, f64::NEG_INFINITY);
        }
    }
    let rounded = |sum: i128| sum as f64 / 2f64.powi(60);
    expected.rows = sums
        .into_iter()
        .map(|(key, (n, min, max, sum))| (key, (n, min, max, rounded(sum))))
        .collect();
    expected
}

/// Adds a reading to its row, and answers whether it is late.
fn add(
    document: &Value,
    (late, kind): (LatePolicy, ValueKind),
    watermark_ms: &mut i64,
    sums: &mut Sums,
) -> bool {
    let (at, value) = (
        document["ts"].as_i64().expect("ts"),
        document["value"].as_f64().expect("value"),
    );
    let start = at.div_euclid(WINDOW_MS) * WINDOW_MS;
    let is_late = start + WINDOW_MS <= *watermark_ms;
    *watermark_ms = (*watermark_ms).max(at - DELAY_MS);
    if !is_late || late == LatePolicy::Upsert {
        let key = (start, document["key"].as_str().expect("key").to_owned());
        let row = sums
            .entry(key)
            .or_insert((0, f64::INFINITY, f64::NEG_INFINITY, 0));
        *row = (
            row.0 + 1,
            row.1.min(value),
            row.2.max(value),
            row.3 + if kind == ValueKind::Gauge { fixed(value) } else { 0 },
        );
    }
    is_late
}

fn fixed(value: f64) -> i128 {
    (value * 2f64.powi(60)) as i128
}

fn note(document: &Value, registers: &mut Registers) {
    let key = document["key"].as_str().expect("key").to_owned();
    let at = document["ts"].as_i64().expect("ts");
    let register = registers.entry(key).or_default().entry(at).or_default();
    *register = (*register).max(fixed(document["value"].as_f64().expect("value")));
}

/// Adds what lies between each register and the one before it to the window of the later.
fn add_increases(registers: &Registers, sums: &mut Sums) {
    for (key, registers) in registers {
        for ((_, before), (at, after)) in registers.iter().zip(registers.iter().skip(1)) {
            let step = if after < before { *after } else { after - before };
            let start = at.div_euclid(WINDOW_MS) * WINDOW_MS;
            sums.get_mut(&(start, key.clone()))
                .expect("a row of the register")
                .3 += step;
        }
    }
}
