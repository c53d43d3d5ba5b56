//! Judged episodes and missed stretches as labeled windows, in the form of NAB's `combined_windows.json`.
//!
//! A window is a fault: an episode that was `real`, or what was `missed`. A series of which everything was `expected` has
//! labels, too: none, so that every alarm in it counts as a false one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::lookup::FoundEpisode;
use super::message::{About, Feedback, Verdict};
use super::{FeedbackError, Opinions};

/// A series: its key, `None` where the topic is read as one, and what was measured if it is identified by that, too.
pub(super) type Series = (Option<String>, Option<String>);

/// Labeled windows by file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    by_file: BTreeMap<String, FileLabels>,
    /// Episodes that were judged, and that nothing is known of.
    pub(crate) unknown: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct FileLabels {
    series: Series,
    windows: Vec<(NaiveDateTime, NaiveDateTime)>,
}

/// The windows of a file in NAB's form.
const TIME: &str = "%Y-%m-%d %H:%M:%S%.6f";

impl Labels {
    /// The episodes that must be looked up, as what was said of them does not say where and when they were.
    pub(crate) fn incomplete(opinions: &Opinions) -> BTreeSet<String> {
        let ids = opinions.feedback().filter_map(|feedback| match &feedback.about {
            About::Episode {
                id,
                series,
                since,
                until,
                ..
            } => {
                let is_window = feedback.verdict == Verdict::Real;
                let is_complete = series.is_some() && (!is_window || (since.is_some() && until.is_some()));
                (!is_complete).then(|| id.clone())
            }
            About::Span { .. } => None,
        });
        ids.collect()
    }

    /// The labels, with wall times of `zone`, where `found` has the episodes that were looked up. The series of a topic that
    /// is read as one is called `keyless`.
    ///
    /// # Errors
    /// [`FeedbackError::SameFile`].
    pub(crate) fn new(
        opinions: &Opinions,
        found: &BTreeMap<String, FoundEpisode>,
        zone: Tz,
        keyless: &str,
    ) -> Result<Self, FeedbackError> {
        let mut labels = Labels::default();
        for feedback in opinions.feedback() {
            match stretch(feedback, found) {
                Some((series, window)) => labels.add(series, window, zone, keyless)?,
                None => labels.unknown.push(feedback.about.key()),
            }
        }
        for file in labels.by_file.values_mut() {
            file.windows = united(std::mem::take(&mut file.windows));
        }
        Ok(labels)
    }

    fn add(
        &mut self,
        series: Series,
        window: Option<(DateTime<Utc>, DateTime<Utc>)>,
        zone: Tz,
        keyless: &str,
    ) -> Result<(), FeedbackError> {
        let file = file_name(&series, keyless);
        let known = self.by_file.entry(file.clone()).or_insert_with(|| FileLabels {
            series: series.clone(),
            windows: Vec::new(),
        });
        if known.series != series {
            return Err(FeedbackError::SameFile {
                file,
                first: shown(&known.series),
                second: shown(&series),
            });
        }
        let wall = |time: DateTime<Utc>| time.with_timezone(&zone).naive_local();
        // Where the clocks go back, the later end may have the earlier wall time.
        known.windows.extend(window.map(|(from, to)| {
            let (from, to) = (wall(from), wall(to));
            (from.min(to), from.max(to))
        }));
        Ok(())
    }

    /// Series that have labels.
    pub(crate) fn len(&self) -> usize {
        self.by_file.len()
    }

    /// Their windows together.
    pub(crate) fn windows(&self) -> usize {
        self.by_file.values().map(|file| file.windows.len()).sum()
    }

    /// The text of the file.
    pub(crate) fn json(&self) -> String {
        let windows = |file: &FileLabels| -> Vec<[String; 2]> {
            let texts = file.windows.iter();
            texts
                .map(|(from, to)| [from, to].map(|time| time.format(TIME).to_string()))
                .collect()
        };
        let by_file: BTreeMap<&str, Vec<[String; 2]>> = self
            .by_file
            .iter()
            .map(|(name, file)| (name.as_str(), windows(file)))
            .collect();
        format!("{:#}", serde_json::json!(by_file))
    }
}

/// The series that feedback is about, and the window if it says that there was a fault; `None` if that is not known.
#[expect(clippy::type_complexity, reason = "a series and a window of two times")]
fn stretch(
    feedback: &Feedback,
    found: &BTreeMap<String, FoundEpisode>,
) -> Option<(Series, Option<(DateTime<Utc>, DateTime<Utc>)>)> {
    let is_window = matches!(feedback.verdict, Verdict::Real | Verdict::Missed);
    match &feedback.about {
        About::Span { series, from, to } => Some(((series.clone(), None), is_window.then_some((*from, *to)))),
        About::Episode {
            id,
            series,
            measure,
            since,
            until,
            ..
        } => {
            let found = found.get(id);
            let measure = measure.clone().or_else(|| found?.measure.clone());
            let series = series.clone().or_else(|| Some(found?.series.clone()))?;
            if !is_window {
                return Some(((series, measure), None));
            }
            let since = since.or_else(|| Some(found?.since))?;
            // An episode that is still open reaches as far as something is known of it.
            let until = until.or_else(|| Some(found?.until.unwrap_or(found?.newest)));
            Some(((series, measure), Some((since, until?.max(since)))))
        }
    }
}

/// Windows in order and apart from each other.
fn united(mut windows: Vec<(NaiveDateTime, NaiveDateTime)>) -> Vec<(NaiveDateTime, NaiveDateTime)> {
    windows.sort();
    let mut united: Vec<(NaiveDateTime, NaiveDateTime)> = Vec::with_capacity(windows.len());
    for (from, to) in windows {
        match united.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => united.push((from, to)),
        }
    }
    united
}

/// The name of the file with the readings of a series.
pub(super) fn file_name((key, measure): &Series, keyless: &str) -> String {
    let key = key.as_deref().unwrap_or(keyless);
    let measure = measure.as_ref().map(|measure| format!(".{measure}"));
    let name = format!("{key}{}.csv", measure.unwrap_or_default());
    let is_apart = |character: char| character == '/' || character == '\\' || character.is_control();
    name.replace(is_apart, "_")
}

fn shown((key, measure): &Series) -> String {
    match measure {
        Some(measure) => format!("{key:?} ({measure:?})"),
        None => format!("{key:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::backtest::Labels as ReadLabels;
    use crate::feedback::{Opinion, Scope};

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn said(verdict: Verdict, about: About) -> Feedback {
        Feedback {
            about,
            verdict,
            scope: Scope::This,
            until: None,
            by: None,
            note: None,
            at: None,
        }
    }

    fn episode(number: u32, series: Option<&str>, since: Option<&str>, until: Option<&str>) -> About {
        About::Episode {
            id: format!("usage/0/{number}/0"),
            series: series.map(|series| Some(series.to_owned())),
            measure: None,
            detector: None,
            since: since.map(time),
            until: until.map(time),
        }
    }

    fn opinions(feedback: impl IntoIterator<Item = Feedback>) -> Opinions {
        let mut opinions = Opinions::default();
        for feedback in feedback {
            let opinion = Opinion::Feedback(feedback);
            opinions
                .fold(opinion.key().as_bytes(), Some(opinion.json().as_bytes()))
                .unwrap();
        }
        opinions
    }

    #[test]
    fn faults_are_windows_and_what_was_expected_is_none() {
        let (eight, nine, ten) = (
            "2026-11-27T08:00:00Z",
            "2026-11-27T09:00:00Z",
            "2026-11-27T10:00:00Z",
        );
        let missed = About::Span {
            series: Some("site/boiler-7".to_owned()),
            from: time(nine),
            to: time(ten),
        };
        let whole = |number, since, until| episode(number, Some("site/boiler-7"), Some(since), Some(until));
        let opinions = opinions([
            said(Verdict::Real, whole(1, eight, nine)),
            said(Verdict::Missed, missed),
            said(Verdict::Expected, whole(2, "2026-11-26T08:00:00Z", ten)),
            said(
                Verdict::Real,
                whole(3, "2026-11-28T08:00:00.5Z", "2026-11-28T08:00:00.5Z"),
            ),
            said(Verdict::Expected, episode(4, Some("pump"), None, None)),
            said(Verdict::Real, episode(5, None, None, None)),
            said(Verdict::Real, episode(6, None, None, None)),
        ]);
        assert_eq!(
            Labels::incomplete(&opinions),
            BTreeSet::from(["usage/0/5/0".to_owned(), "usage/0/6/0".to_owned()])
        );
        let open = FoundEpisode {
            series: None,
            measure: Some("power".to_owned()),
            detector: "rules".to_owned(),
            since: time(eight),
            until: None,
            newest: time(nine),
        };
        let found = BTreeMap::from([("usage/0/5/0".to_owned(), open)]);
        let labels = Labels::new(&opinions, &found, chrono_tz::Europe::Berlin, "usage").unwrap();
        assert_eq!(labels.unknown, ["usage/0/6/0"]);
        let read = ReadLabels::from_json(&labels.json()).unwrap();
        let ms = |text: &str| time(text).timestamp_millis();
        assert_eq!(read.of(Path::new("x/pump.csv")), Some(&[][..]));
        assert_eq!(
            read.of(Path::new("site_boiler-7.csv")),
            Some(
                &[
                    (ms("2026-11-27T09:00:00Z"), ms("2026-11-27T11:00:00Z")),
                    (ms("2026-11-28T09:00:00.5Z"), ms("2026-11-28T09:00:00.5Z")),
                ][..]
            )
        );
        assert_eq!(
            read.of(Path::new("usage.power.csv")),
            Some(&[(ms("2026-11-27T09:00:00Z"), ms("2026-11-27T10:00:00Z"))][..])
        );
        assert_eq!((labels.len(), labels.windows()), (3, 3));
    }

    #[test]
    fn an_hour_that_comes_twice_gives_a_window_that_can_be_read() {
        let (begin, end) = ("2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z");
        let opinions = opinions([said(Verdict::Real, episode(1, Some("a"), Some(begin), Some(end)))]);
        let labels = Labels::new(&opinions, &BTreeMap::new(), chrono_tz::Europe::Berlin, "usage").unwrap();
        assert!(labels.json().contains("2026-10-25 02:10:00.000000"));
        ReadLabels::from_json(&labels.json()).unwrap();
    }

    #[test]
    fn two_series_of_one_name_are_refused() {
        let opinions = opinions([
            said(Verdict::Expected, episode(1, Some("a/b"), None, None)),
            said(Verdict::Expected, episode(2, Some("a_b"), None, None)),
        ]);
        let refused = Labels::new(&opinions, &BTreeMap::new(), Tz::UTC, "usage").unwrap_err();
        assert!(refused.to_string().contains("the same file a_b.csv"), "{refused}");
    }
}
