//! The detecting side.

use super::super::{Config, DetectorName, HalfSpaceTreesConfig, IsolationForestConfig, Threshold, rule};
use super::{DAY, LONGER_THAN_NOTHING, Rules, TOPIC_NAME, is_topic_name, is_whole_ms};

/// Regions of all half-space trees together, 8 bytes each for every series.
const LARGEST_FOREST: usize = 1 << 20;

/// The rules of `[detect]` and of the detectors' own sections.
pub(super) fn detect(config: &Config, rules: &mut Rules) {
    section(config, rules);
    isolation_forest(&config.isolation_forest, rules);
    half_space_trees(&config.half_space_trees, rules);
    threshold(config, rules);
}

fn section(config: &Config, rules: &mut Rules) {
    let detect = &config.detect;
    rules.require(
        is_topic_name(&detect.anomaly_topic),
        "detect.anomaly_topic",
        TOPIC_NAME,
    );
    rules.require(
        detect.anomaly_topic != config.kafka.topic,
        "detect.anomaly_topic",
        "must not be the topic of the readings, `kafka.topic`",
    );
    rules.require(
        config.detect_group() != config.kafka.group,
        "detect.group",
        "must not be `kafka.group`: the table and the anomalies have their own positions",
    );
    let is_zone = detect.time_zone.is_empty() || detect.time_zone.parse::<chrono_tz::Tz>().is_ok();
    rules.require(
        is_zone,
        "detect.time_zone",
        "must be an IANA name such as \"America/New_York\"",
    );
    for (key, interval) in [
        ("detect.commit_interval", detect.commit_interval),
        ("detect.snapshot_interval", detect.snapshot_interval),
    ] {
        rules.require(!interval.is_zero(), key, LONGER_THAN_NOTHING);
    }
    rules.require(
        config.snapshot_uri() != config.table.uri,
        "detect.snapshot_uri",
        "must not be `table.uri`",
    );
    rules.0.extend(rule::violations(&detect.rules));
}

fn isolation_forest(forest: &IsolationForestConfig, rules: &mut Rules) {
    let slot_ms = forest.slot.as_millis();
    let divides_a_day =
        is_whole_ms(forest.slot) && slot_ms >= 60_000 && DAY.as_millis().is_multiple_of(slot_ms);
    rules.require(
        divides_a_day,
        "isolation_forest.slot",
        "must be from 1m to 1d, and divide a day",
    );
    rules.require(
        (1..=65_535).contains(&forest.max_history),
        "isolation_forest.max_history",
        "must be from 1 to 65535",
    );
    rules.require(
        forest.minimum_comparables >= 1,
        "isolation_forest.minimum_comparables",
        "must be 1 or more",
    );
}

fn half_space_trees(trees: &HalfSpaceTreesConfig, rules: &mut Rules) {
    rules.require(
        (1..=1_000).contains(&trees.trees),
        "half_space_trees.trees",
        "must be from 1 to 1000",
    );
    rules.require(
        (1..=15).contains(&trees.height),
        "half_space_trees.height",
        "must be from 1 to 15",
    );
    rules.require(
        trees.trees.saturating_mul(1 << trees.height.min(15)) <= LARGEST_FOREST,
        "half_space_trees.trees",
        format!("must be {LARGEST_FOREST} or less when multiplied by 2 to the power of the height: each series has a score for each region"),
    );
    rules.require(
        (1..=1_000_000).contains(&trees.window_size),
        "half_space_trees.window_size",
        "must be from 1 to 1000000: so many values are remembered of each series",
    );
    rules.require(
        trees.scale.is_finite() && trees.scale != 0.0,
        "half_space_trees.scale",
        "must be a number other than 0",
    );
    rules.require(
        trees.lower_limit < trees.upper_limit && (trees.upper_limit - trees.lower_limit).is_finite(),
        "half_space_trees.upper_limit",
        "must be above `half_space_trees.lower_limit`",
    );
}

/// A score that nothing can exceed is no threshold.
fn threshold(config: &Config, rules: &mut Rules) {
    let Threshold::Score(threshold) = config.detect.threshold else {
        return;
    };
    let highest = match config.detect.detector {
        DetectorName::AdaptiveBand | DetectorName::None => return,
        // One cut parts the value from a full sample of 256: 2 to the power of -1 / c(256).
        DetectorName::IsolationForest => 0.9346,
        // Every tree's root holds the whole window, whatever the value.
        DetectorName::HalfSpaceTrees => {
            1.0 - 1.0 / f64::from((2_u32 << config.half_space_trees.height.min(15)) - 1)
        }
    };
    rules.require(
        threshold < highest,
        "detect.threshold",
        format!("must be below {highest:.4}: no value can score higher"),
    );
}

#[cfg(test)]
mod tests {
    use super::super::super::DEFAULT_TOML;
    use super::super::violations;

    fn complaints(settings: &[(&str, &str, &str)]) -> Vec<String> {
        let mut table: toml::Table = DEFAULT_TOML.parse().unwrap();
        for (section, name, value) in settings {
            let changed: toml::Table = format!("x = {value}").parse().unwrap();
            let section = table[*section].as_table_mut().unwrap();
            section.insert((*name).to_owned(), changed["x"].clone());
        }
        let broken = violations(&table.try_into().unwrap());
        broken.into_iter().map(|violation| violation.key).collect()
    }

    #[test]
    fn a_threshold_must_be_within_reach() {
        let trees = ("detect", "detector", "'half-space-trees'");
        let forest = ("detect", "detector", "'isolation-forest'");
        let threshold = |value| ("detect", "threshold", value);
        let low = ("half_space_trees", "height", "3");
        assert!(complaints(&[trees, low, threshold("'0.93'")]).is_empty());
        assert_eq!(
            complaints(&[trees, low, threshold("'0.94'")]),
            ["detect.threshold"]
        );
        assert!(complaints(&[trees, threshold("'0.94'")]).is_empty());
        assert!(complaints(&[forest, threshold("'0.9'")]).is_empty());
        assert_eq!(complaints(&[forest, threshold("'0.95'")]), ["detect.threshold"]);
        assert!(complaints(&[threshold("'9'")]).is_empty());
    }

    #[test]
    fn what_cannot_be_kept_for_every_series_is_refused() {
        let many = ("half_space_trees", "trees", "1000");
        assert!(complaints(&[many]).is_empty());
        assert_eq!(
            complaints(&[many, ("half_space_trees", "height", "11")]),
            ["half_space_trees.trees"]
        );
        assert_eq!(
            complaints(&[("half_space_trees", "window_size", "1000001")]),
            ["half_space_trees.window_size"]
        );
    }
}
