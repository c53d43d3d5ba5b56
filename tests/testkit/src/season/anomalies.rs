//! Anomalies put into a load: about one a week from the fourth week on.

use super::load::Load;
use super::random::Random;
use super::{Kind, Scenario};

/// Puts anomalies in; returns what, first index, last but one.
pub fn insert(scenario: Scenario, load: &mut Load, random: &mut Random) -> Vec<(Kind, usize, usize)> {
    let day = load.readings_per_day();
    let mut stretches = Vec::new();
    if scenario == Scenario::HeavyTailedClean {
        return stretches;
    }
    if scenario == Scenario::LevelChange {
        stretches.push(change_level(load, random));
    }
    let kinds: &[Kind] = match scenario {
        Scenario::Sparse | Scenario::Solar => &[Kind::Spike],
        Scenario::OnOff => &[Kind::Spike, Kind::Stuck],
        _ => &[Kind::Spike, Kind::Zero, Kind::Stuck],
    };
    let mut kinds = kinds.iter().cycle();
    let mut position = 21 * day + random.whole(50, 200) * day / 288;
    while position + 300.max(day) < load.values.len() {
        let is_free = stretches
            .iter()
            .all(|&(_, start, end)| position + day <= start || position >= end + 3 * day)
            && load
                .holidays
                .iter()
                .all(|&(start, end)| position + 100 <= start || position >= end + 50);
        if let (true, Some(&kind)) = (is_free, kinds.next()) {
            let end = insert_one(scenario, kind, position, load, random);
            stretches.push((kind, position, end));
        }
        position += random.whole(1400, 2200) * day / 288;
    }
    stretches
}

fn change_level(load: &mut Load, random: &mut Random) -> (Kind, usize, usize) {
    let day = load.readings_per_day();
    let start = load.values.len() / 2 + random.whole(0, 7 * day);
    let factor = 1.0 + 0.2 * random.sign();
    load.values[start..].iter_mut().for_each(|value| *value *= factor);
    (Kind::Level, start, start + day)
}

fn insert_one(scenario: Scenario, kind: Kind, start: usize, load: &mut Load, random: &mut Random) -> usize {
    match kind {
        Kind::Zero => {
            let end = start + load.readings(random.whole(3, 25), 2);
            load.values[start..end].fill(0.0);
            end
        }
        Kind::Stuck => {
            let (length, value) = match scenario {
                Scenario::OnOff => (load.readings_per_day(), load.base),
                _ => (load.readings(random.whole(36, 97), 12), load.values[start]),
            };
            load.values[start..start + length].fill(value);
            start + length
        }
        Kind::Spike | Kind::Level => {
            let end = start + random.whole(1, 7).min(load.readings(6, 2));
            let sign = random.sign();
            for index in start..end {
                let spike = 8.0 * load.deviations[index] * load.robust;
                let value = &mut load.values[index];
                *value = match scenario {
                    Scenario::Sparse => 2.0 * load.base + spike,
                    Scenario::OnOff => load.base + spike,
                    Scenario::Solar => 1.1 * load.base + spike,
                    _ => *value + sign * spike,
                };
            }
            end
        }
    }
}
