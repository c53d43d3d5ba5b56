//! The expected contents of the table and the topics of side outputs in the end: each partition read once, from its
//! first record to its last. Sums are taken in 128-bit fixed point, another arithmetic than the program's.

use std::collections::BTreeMap;

use streamgauge::window::LatePolicy;

pub const WINDOW_MS: i64 = 60_000;
pub const DELAY_MS: i64 = 60_000;

/// Values of each partition's records, in offset order.
pub type Readings = Vec<Vec<String>>;
/// (window start in ms, key) to (count, minimum, maximum, sum).
pub type Rows = BTreeMap<(i64, String), (u64, f64, f64, f64)>;
/// (partition, offset, whether it is late rather than dead), sorted.
pub type Departed = Vec<(i32, i64, bool)>;

pub fn oracle(readings: &Readings, late: LatePolicy) -> (Rows, Departed) {
    let mut sums: BTreeMap<(i64, String), (u64, f64, f64, i128)> = BTreeMap::new();
    let mut departed = Departed::new();
    for (partition, records) in readings.iter().enumerate() {
        let mut watermark_ms = i64::MIN;
        for (offset, record) in records.iter().enumerate() {
            let Ok(json) = serde_json::from_str::<serde_json::Value>(record) else {
                departed.push((partition as i32, offset as i64, false));
                continue;
            };
            let (at, value) = (
                json["ts"].as_i64().expect("ts"),
                json["value"].as_f64().expect("value"),
            );
            let start = at.div_euclid(WINDOW_MS) * WINDOW_MS;
            let is_late = start + WINDOW_MS <= watermark_ms;
            watermark_ms = watermark_ms.max(at - DELAY_MS);
            if is_late && late == LatePolicy::Divert {
                departed.push((partition as i32, offset as i64, true));
            }
            if !is_late || late == LatePolicy::Upsert {
                let key = (start, json["key"].as_str().expect("key").to_owned());
                let row = sums
                    .entry(key)
                    .or_insert((0, f64::INFINITY, f64::NEG_INFINITY, 0));
                *row = (
                    row.0 + 1,
                    row.1.min(value),
                    row.2.max(value),
                    row.3 + (value * 2f64.powi(60)) as i128,
                );
            }
        }
    }
    let rounded = |sum: i128| sum as f64 / 2f64.powi(60);
    let rows = sums
        .into_iter()
        .map(|(key, (n, min, max, sum))| (key, (n, min, max, rounded(sum))))
        .collect();
    (rows, departed)
}
