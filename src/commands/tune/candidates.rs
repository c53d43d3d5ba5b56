//! The settings that are compared: the present ones, and what is tried in their place.

use anyhow::{Context, Result, bail};

use crate::commands::set_args::split_setting;
use crate::commands::{environment, tell};
use crate::config::{Config, Loaded, Overrides, Setting, load};
use crate::detectors::DetectorName;

/// More would take longer than anybody waits, and with so many some candidate fits by chance.
const MOST_CANDIDATES: usize = 500;

/// Least durations that are tried where somebody is told: what flaps, and what a detector's calm stretch ends.
const LEAST_DURATIONS: [&str; 2] = ["15m", "2h"];

/// Values to try for one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dimension {
    key: String,
    values: Vec<String>,
}

/// Settings with their values, as texts.
type Point = Vec<(String, String)>;

/// Settings that are compared with others.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Nothing for the present settings.
    pub changes: Vec<Change>,
    pub config: Config,
}

/// A setting that differs from the present one.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub setting: Setting,
    /// The present value; `None` if there is none, as of a rule.
    pub from: Option<toml::Value>,
}

impl Candidate {
    /// Its changes as `--set` takes them.
    pub(super) fn name(&self) -> String {
        if self.changes.is_empty() {
            return "present settings".to_owned();
        }
        let text = |Change { setting, .. }: &Change| {
            let value = &setting.value;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}={value}", setting.key())
        };
        self.changes.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// Nobody is told of what is over before. Several receivers may differ; the quickest counts.
    pub(super) fn least_duration_ms(&self) -> i64 {
        let of_receivers = self.config.alert.receivers.iter();
        let least = of_receivers.map(|receiver| receiver.min_duration).min();
        least.map_or(0, |least| i64::try_from(least.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A flag's `SECTION.KEY=A,B,C`.
pub(super) fn parse_dimension(text: &str) -> Result<Dimension, String> {
    let Some((key, values)) = split_setting(text) else {
        return Err("it must be SECTION.KEY=A,B,C, such as detect.threshold=6,8,10".to_owned());
    };
    if !is_compared(&key) {
        return Err(format!(
            "{key} cannot be compared: only settings of detectors can, such as detect.threshold, and \
             alert.receiver.NAME.min_duration"
        ));
    }
    let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
    Ok(Dimension { key, values })
}

/// Whether alarms depend on a setting, and nothing else does that was read before.
fn is_compared(key: &str) -> bool {
    let sections = DetectorName::ALL
        .iter()
        .map(|detector| detector.name().replace('-', "_"));
    let is_of_detector = |section: &str| section == "detect" || sections.clone().any(|name| name == section);
    let is_least_duration = key.starts_with("alert.receiver.") && key.ends_with(".min_duration");
    let section = key.split_once('.').map_or(key, |(section, _)| section);
    is_of_detector(section) || is_least_duration
}

/// The present settings and the candidates for their place: each combination of the dimensions, or a grid of our own where
/// there are none. `flags` are those that the present settings were loaded with.
///
/// # Errors
/// If a combination that was asked for is no settings, or if there are too many.
pub(super) fn candidates(
    present: &Loaded,
    flags: &Overrides,
    dimensions: &[Dimension],
) -> Result<Vec<Candidate>> {
    let is_asked_for = !dimensions.is_empty();
    let points = if is_asked_for {
        combinations(dimensions)?
    } else {
        grid(&present.config)
    };
    let mut candidates = vec![Candidate {
        changes: Vec::new(),
        config: present.config.clone(),
    }];
    for point in points {
        match candidate(present, flags, &point) {
            Ok(candidate) => {
                let is_new = |other: &Candidate| other.changes != candidate.changes;
                if candidates.iter().all(is_new) {
                    candidates.push(candidate);
                }
            }
            Err(error) if is_asked_for => return Err(error),
            // Of the detectors of the grid, each of which has limits of its own.
            Err(error) => tell(&format!("{} is not tried: {error}", words(&point))),
        }
    }
    Ok(candidates)
}

fn candidate(present: &Loaded, flags: &Overrides, point: &Point) -> Result<Candidate> {
    let tried = point.iter().fold(flags.clone(), |flags, (key, value)| {
        flags.with(key, &format!("--candidate {key}"), Some(value))
    });
    let loaded = load(&tried, present.file.as_deref(), environment())?;
    if loaded.config.pipeline.reading != present.config.pipeline.reading {
        bail!(
            "{} changes how readings are read, so that their files must be read anew: compare it by backtest",
            words(point)
        );
    }
    let find = |loaded: &Loaded, key: &str| {
        loaded
            .settings()
            .iter()
            .find(|setting| setting.key() == key)
            .cloned()
    };
    let mut changes = Vec::new();
    for (key, _) in point {
        let setting = find(&loaded, key).with_context(|| format!("{key} has no value of its own"))?;
        let from = find(present, key).map(|setting| setting.value);
        if from.as_ref() != Some(&setting.value) {
            changes.push(Change { setting, from });
        }
    }
    Ok(Candidate {
        changes,
        config: loaded.config,
    })
}

fn words(point: &Point) -> String {
    let words = point.iter().map(|(key, value)| format!("{key}={value}"));
    words.collect::<Vec<_>>().join(" ")
}

/// Every value of each dimension with every one of the others.
fn combinations(dimensions: &[Dimension]) -> Result<Vec<Point>> {
    let mut points: Vec<Point> = vec![Vec::new()];
    for (place, Dimension { key, values }) in dimensions.iter().enumerate() {
        if dimensions[..place].iter().any(|other| other.key == *key) {
            bail!("--candidate {key} is given twice; give all values at once: {key}=A,B,C");
        }
        if points.len().saturating_mul(values.len()) > MOST_CANDIDATES {
            bail!("these are more than {MOST_CANDIDATES} candidates; leave out values of --candidate");
        }
        let longer = |point: &Point| -> Vec<Point> {
            let with = |value: &String| [&point[..], &[(key.clone(), value.clone())]].concat();
            values.iter().map(with).collect()
        };
        points = points.iter().flat_map(longer).collect();
    }
    Ok(points)
}

/// What is tried where nothing is asked for: each detector with thresholds around its own, and least durations where
/// somebody is told. Of equals the earlier is proposed, so that values near the usual ones come first.
fn grid(present: &Config) -> Vec<Point> {
    let mut points = vec![Vec::new()];
    let has_rules = !present.pipeline.detect.rules.is_empty();
    for &detector in DetectorName::ALL {
        let thresholds: &[&str] = match detector {
            DetectorName::AdaptiveBand => &["auto", "8", "6", "9", "10", "12", "5", "15"],
            DetectorName::IsolationForest => &["auto", "0.55", "0.6", "0.65", "0.7", "0.8"],
            DetectorName::HalfSpaceTrees => &["auto", "0.6", "0.8", "0.9", "0.95"],
            DetectorName::None if has_rules => &["auto"],
            DetectorName::None => &[],
        };
        points.extend(thresholds.iter().map(|threshold| {
            vec![
                ("detect.detector".to_owned(), detector.name().to_owned()),
                ("detect.threshold".to_owned(), (*threshold).to_owned()),
            ]
        }));
    }
    let receivers = &present.alert.receivers;
    if receivers.is_empty() {
        return points;
    }
    let lasting = LEAST_DURATIONS.iter().flat_map(|least| {
        let set = |name: &String| (format!("alert.receiver.{name}.min_duration"), (*least).to_owned());
        let durations: Point = receivers.iter().map(|receiver| set(&receiver.name)).collect();
        points.iter().map(move |point| [&point[..], &durations].concat())
    });
    let lasting: Vec<Point> = lasting.collect();
    points.into_iter().chain(lasting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(flags: &Overrides) -> Loaded {
        load(flags, None, []).unwrap()
    }

    fn flags(settings: &[(&str, &str)]) -> Overrides {
        let given = settings.iter();
        given.fold(Overrides::default(), |flags, (key, value)| {
            flags.with(key, "--set", Some(value))
        })
    }

    fn tried(settings: &[(&str, &str)], dimensions: &[&str]) -> Result<Vec<String>> {
        let flags = flags(settings);
        let dimensions: Vec<Dimension> = dimensions
            .iter()
            .map(|text| parse_dimension(text).unwrap())
            .collect();
        let candidates = candidates(&present(&flags), &flags, &dimensions)?;
        let words = |candidate: &Candidate| {
            let change = |change: &Change| format!("{}={}", change.setting.key(), change.setting.value);
            candidate.changes.iter().map(change).collect::<Vec<_>>().join(" ")
        };
        Ok(candidates.iter().map(words).collect())
    }

    #[test]
    fn each_combination_is_a_candidate_once_beside_the_present_settings() {
        let found = tried(
            &[("detect.threshold", "8")],
            &["detect.threshold=6,8", "half_space_trees.trees=10,20"],
        )
        .unwrap();
        let expected = [
            "",
            r#"detect.threshold="6""#,
            r#"detect.threshold="6" half_space_trees.trees=20"#,
            "half_space_trees.trees=20",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_grid_has_every_detector_and_with_receivers_least_durations() {
        let plain = tried(&[], &[]).unwrap();
        assert_eq!(plain.len(), 19, "{plain:#?}");
        assert_eq!(plain[1], r#"detect.threshold="8""#);
        assert!(plain.contains(&r#"detect.detector="half-space-trees" detect.threshold="0.9""#.to_owned()));
        let rules = tried(&[("detect.rules.*", "above 90")], &[]).unwrap();
        assert!(rules.contains(&r#"detect.detector="none""#.to_owned()));
        let receiver = [
            ("alert.receiver.ops.kind", "slack"),
            ("alert.receiver.ops.url", "https://hooks.slack.com/services/T/B/x"),
        ];
        let told = tried(&receiver, &[]).unwrap();
        assert_eq!(told.len(), 3 * plain.len());
        let alone = r#"alert.receiver.ops.min_duration="2h""#.to_owned();
        assert!(told.contains(&alone), "{told:#?}");
    }

    #[test]
    fn what_is_no_candidate_is_refused_by_name() {
        for (text, expected) in [
            ("threshold=5", "it must be SECTION.KEY=A,B,C"),
            ("detect.threshold", "it must be SECTION.KEY=A,B,C"),
            ("reading.time_zone=UTC", "reading.time_zone cannot be compared"),
            (
                "alert.receiver.ops.url=x",
                "alert.receiver.ops.url cannot be compared",
            ),
        ] {
            let refused = parse_dimension(text).unwrap_err();
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
        let many = format!("detect.threshold={}", "1,".repeat(MOST_CANDIDATES));
        for (dimensions, expected) in [
            (&["detect.threshold=5,many"][..], "detect.threshold"),
            (&["detect.treshold=5"], "did you mean `detect.threshold`?"),
            (
                &["detect.threshold=5", "detect.threshold=6"],
                "--candidate detect.threshold is given twice",
            ),
            (&[&many], "more than 500 candidates"),
        ] {
            let refused = format!("{:#}", tried(&[], dimensions).unwrap_err());
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
