use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn settings(trees: usize, height: u32, window_size: u32) -> Settings {
    Settings {
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

fn tutorial() -> Settings {
    Settings {
        scale: 100.0,
        ..settings(5, 3, 5)
    }
}

fn detector(settings: &Settings) -> Box<dyn Detector> {
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

/// River's way: two masses at each node, and walks from the root.
struct Walks {
    settings: Settings,
    thresholds: Vec<Vec<f64>>,
    latest: Vec<Vec<u64>>,
    reference: Option<Vec<Vec<u64>>>,
    learned: u32,
}

impl Walks {
    fn new(settings: &Settings) -> Self {
        Walks {
            settings: settings.clone(),
            thresholds: forest::thresholds_by_node(settings),
            latest: vec![vec![0; 2 << settings.height]; settings.trees],
            reference: None,
            learned: 0,
        }
    }

    fn step(&self, tree: usize, node: usize, value: f64) -> usize {
        2 * node + usize::from(value >= self.thresholds[tree][node])
    }

    fn learn(&mut self, value: f64) {
        for tree in 0..self.settings.trees {
            let mut node = 1;
            for _ in 0..self.settings.height {
                self.latest[tree][node] += 1;
                node = self.step(tree, node, value);
            }
            self.latest[tree][node] += 1;
        }
        self.learned += 1;
        if self.learned == self.settings.window_size {
            let empty = vec![vec![0; 2 << self.settings.height]; self.settings.trees];
            self.reference = Some(std::mem::replace(&mut self.latest, empty));
            self.learned = 0;
        }
    }

    fn score(&self, value: f64) -> f64 {
        let Some(masses) = &self.reference else { return 0.0 };
        let window_size = f64::from(self.settings.window_size);
        let mut score = 0.0;
        for (tree, masses) in masses.iter().enumerate() {
            let (mut node, mut weight) = (1, 1.0);
            for depth in 0..=self.settings.height {
                score += masses[node] as f64 * weight;
                if depth == self.settings.height || (masses[node] as f64) < 0.1 * window_size {
                    break;
                }
                node = self.step(tree, node, value);
                weight *= 2.0;
            }
        }
        let nodes = f64::from((2_u32 << self.settings.height) - 1);
        1.0 - score / (self.settings.trees as f64 * window_size * nodes)
    }
}

/// Scores of River 0.26.1's `HalfSpaceTrees(seed=42)` at some of the readings below, score then learn.
const GOLDEN: [(usize, f64); 6] = [
    (249, 0.0),
    (250, 0.9241518590998044),
    (388, 0.9189667318982387),
    (500, 0.9496547945205479),
    (776, 0.9274786692759296),
    (1199, 0.9491741682974559),
];

/// The same of `HalfSpaceTrees(seed=7, limits={"x": (-2.0, 3.5)})`.
const GOLDEN_LIMITED: [(usize, f64); 6] = [
    (249, 0.0),
    (250, 0.7615076320939335),
    (388, 0.9964915851272016),
    (500, 0.7623937377690803),
    (776, 0.9852774951076321),
    (1199, 0.7602786692759296),
];

#[test]
fn river_s_scores_under_its_own_settings_are_equal_to_the_last_bit() {
    let limited = Settings {
        seed: 7,
        lower_limit: -2.0,
        upper_limit: 3.5,
        ..settings(10, 8, 250)
    };
    for (settings, expected) in [(settings(10, 8, 250), GOLDEN), (limited, GOLDEN_LIMITED)] {
        let settings = Settings {
            order: LearningOrder::ScoreThenLearn,
            ..settings
        };
        let mut detector = detector(&settings);
        let verdicts: Vec<Verdict> = (0..1200_u32)
            .map(|index| {
                let value = f64::from(index * 7919 % 1009) / 1009.0;
                let value = value * value;
                let value = if index % 97 == 0 {
                    value * 40.0 - 5.0
                } else {
                    value
                };
                observe(&mut *detector, value)
            })
            .collect();
        for (index, score) in expected {
            assert_eq!(verdicts[index].score, score, "{index}");
        }
        assert_eq!(verdicts[249].cause, Cause::Learning);
        assert_eq!(verdicts[250].cause, Cause::SparseRegion);
        assert!(detector.clipped() > 0);
    }
}

#[test]
fn no_score_is_higher_than_an_empty_half_gives() {
    let mut detector = detector(&tutorial());
    for _ in 0..5 {
        observe(&mut *detector, 2.0);
    }
    let verdict = observe(&mut *detector, 99.0);
    assert_eq!(verdict.score, 1.0 - 1.0 / 15.0);
    assert!(verdict.is_anomaly && verdict.upper < Some(99.0) && verdict.upper > Some(2.0));
    assert!(!observe(&mut *detector, 2.0).is_anomaly);
}

#[test]
fn what_nothing_writes_is_refused() {
    let saved = |numbers: &[u32], cell: u16| {
        let mut state = StateWriter::default();
        for number in numbers {
            state.u32(*number);
        }
        state.u16(cell);
        state.finish()
    };
    for (bytes, error) in [
        (saved(&[5], 0), StateError::Impossible("window")),
        (saved(&[0, 4], 0), StateError::Impossible("window")),
        (saved(&[1], 36), StateError::Impossible("region")),
        (saved(&[2], 35), StateError::EndsEarly),
    ] {
        let mut detector = detector(&tutorial());
        assert_eq!(detector.restore(&mut StateReader::new(&bytes)), Err(error));
    }
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let limits = (-10.0..0.5_f64, 0.6..20.0_f64);
    (
        1..6_usize,
        1..7_u32,
        1..30_u32,
        any::<u32>(),
        limits,
        any::<bool>(),
        -3.0..3.0_f64,
    )
        .prop_map(
            |(trees, height, window_size, seed, (lower_limit, upper_limit), learns_first, scale)| Settings {
                seed,
                scale: if scale == 0.0 { 1.0 } else { scale },
                lower_limit,
                upper_limit,
                order: if learns_first {
                    LearningOrder::LearnThenScore
                } else {
                    LearningOrder::ScoreThenLearn
                },
                ..settings(trees, height, window_size)
            },
        )
}

fn any_values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![8 => -1.0..2.0_f64, 1 => -1e3..1e3_f64, 1 => prop::num::f64::NORMAL];
    prop::collection::vec(value, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn looking_up_is_walking(settings in any_settings(), values in any_values()) {
        let mut detector = detector(&settings);
        let mut walks = Walks::new(&settings);
        for value in values {
            let verdict = observe(&mut *detector, value);
            let value = value / settings.scale;
            if settings.order == LearningOrder::LearnThenScore {
                walks.learn(value);
            }
            prop_assert_eq!(verdict.score, walks.score(value));
            if settings.order == LearningOrder::ScoreThenLearn {
                walks.learn(value);
            }
            prop_assert!((0.0..=1.0).contains(&verdict.score));
        }
    }

    #[test]
    fn a_restored_detector_goes_on_as_if_never_stopped(
        settings in any_settings(), values in any_values(), stop in 0..200_usize,
    ) {
        let model = HalfSpaceTrees::new(&settings, Threshold::Auto);
        let mut undisturbed = model.detector("").unwrap();
        let mut detector = model.detector("").unwrap();
        for (index, value) in values.into_iter().enumerate() {
            if index == stop {
                let mut state = StateWriter::default();
                detector.save(&mut state);
                detector = model.detector("").unwrap();
                let state = state.finish();
                let mut reader = StateReader::new(&state);
                detector.restore(&mut reader).unwrap();
                assert!(reader.is_empty());
            }
            prop_assert_eq!(observe(&mut *detector, value), observe(&mut *undisturbed, value));
        }
    }
}
