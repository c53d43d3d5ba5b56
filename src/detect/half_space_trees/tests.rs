use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn settings(trees: usize, height: u32, window_size: u32) -> HalfSpaceTreesConfig {
    HalfSpaceTreesConfig {
        trees,
        height,
        window_size,
        seed: 42,
        scale: 1.0,
        lower_limit: 0.0,
        upper_limit: 1.0,
        order: LearningOrder::LearnThenScore,
    }
}

fn tutorial() -> HalfSpaceTreesConfig {
    HalfSpaceTreesConfig {
        scale: 100.0,
        ..settings(5, 3, 5)
    }
}

fn detector(settings: &HalfSpaceTreesConfig) -> Box<dyn Detector> {
    HalfSpaceTrees::new(settings, Threshold::Auto)
        .detector("")
        .unwrap()
}

fn observe(detector: &mut dyn Detector, value: f64) -> Verdict {
    let mut verdicts = Vec::new();
    detector.observe(
        Observation {
            event_time_ms: 0,
            local_time_ms: 0,
            value,
        },
        &mut verdicts,
    );
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

#[derive(serde::Deserialize)]
struct Golden {
    instance: String,
    value_percent: f64,
    score: f64,
}

#[test]
fn river_s_scores_of_processors_loads_are_equal_to_the_last_bit() {
    let golden = include_str!("../../../tests/data/golden/ec2_half_space_trees.csv");
    let mut detectors = BTreeMap::new();
    let mut scored = 0;
    for row in csv::Reader::from_reader(golden.as_bytes()).deserialize() {
        let row: Golden = row.unwrap();
        let detector = detectors
            .entry(row.instance)
            .or_insert_with(|| detector(&tutorial()));
        let verdict = observe(&mut **detector, row.value_percent);
        assert_eq!(verdict.score, row.score, "row {scored}");
        scored += 1;
    }
    assert_eq!((detectors.len(), scored), (3, 12_096));
}
