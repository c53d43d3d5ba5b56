//! What was said, with the series and the times that it is about, as messages in lines and as answers for tuning.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::file_name;
use super::lookup::FoundEpisode;
use super::message::{About, Feedback, Opinion, Verdict};
use super::parse::parse_value;
use super::{FeedbackError, Opinions};
use crate::backtest::tuning::{Answer, AnswerKind};

/// Feedback that says which series it is about and when, one for each key, in the order of the keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CompleteFeedback {
    said: Vec<Feedback>,
    /// Episodes of which that is not known.
    pub(crate) unknown: Vec<String>,
}

impl CompleteFeedback {
    /// The episodes that must be looked up, as what was said of them does not say where and when they were.
    pub(crate) fn incomplete(opinions: &Opinions) -> BTreeSet<String> {
        let ids = opinions.feedback().filter_map(|feedback| match &feedback.about {
            About::Episode {
                id,
                series: Some(_),
                since: Some(_),
                until,
                ..
            } => until.is_none().then(|| id.clone()),
            About::Episode { id, .. } => Some(id.clone()),
            About::Span { .. } => None,
        });
        ids.collect()
    }

    /// The answers, where `found` has the episodes that were looked up.
    pub(crate) fn new(opinions: &Opinions, found: &BTreeMap<String, FoundEpisode>) -> Self {
        let mut answers = CompleteFeedback::default();
        for feedback in opinions.feedback() {
            match completed(&feedback.about, found) {
                Some(about) => answers.said.push(Feedback {
                    about,
                    ..feedback.clone()
                }),
                None => answers.unknown.push(feedback.about.key()),
            }
        }
        answers
    }

    /// The opinions in a file of messages, a line for each: of several about the same the last counts. What is said in it of
    /// silences is read as well.
    ///
    /// # Errors
    /// [`FeedbackError::Line`].
    pub(crate) fn read(text: &str) -> Result<Opinions, FeedbackError> {
        let mut opinions = Opinions::default();
        // Editors on Windows put a mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines());
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            let at_line = |cause| FeedbackError::Line { line, cause };
            let opinion = parse_value(text.as_bytes()).map_err(at_line)?;
            opinions
                .fold(opinion.key().as_bytes(), Some(text.as_bytes()))
                .map_err(at_line)?;
        }
        Ok(opinions)
    }

    /// The text of such a file.
    pub(crate) fn lines(&self) -> String {
        let line = |feedback: &Feedback| Opinion::Feedback(feedback.clone()).json() + "\n";
        self.said.iter().map(line).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.said.len()
    }

    /// The answers that settings are compared with. The series of a topic that is read as one is in a file called `keyless`.
    pub(crate) fn for_tuning(&self, keyless: &str) -> Vec<Answer> {
        self.said
            .iter()
            .filter_map(|feedback| answer(feedback, keyless))
            .collect()
    }
}

/// The same with what was found of it; `None` if its series or its beginning is not known.
fn completed(about: &About, found: &BTreeMap<String, FoundEpisode>) -> Option<About> {
    let About::Episode {
        id,
        series,
        measure,
        detector,
        since,
        until,
    } = about
    else {
        return Some(about.clone());
    };
    let found = found.get(id);
    Some(About::Episode {
        id: id.clone(),
        series: Some(series.clone().or_else(|| Some(found?.series.clone()))?),
        measure: measure.clone().or_else(|| found?.measure.clone()),
        detector: detector.clone().or_else(|| Some(found?.detector.clone())),
        since: Some(since.or_else(|| Some(found?.since))?),
        // One that is still open reaches as far as something is known of it.
        until: until.or_else(|| Some(found?.until.unwrap_or(found?.newest))),
    })
}

/// What a piece of feedback says of a stretch; `None` if it says nothing any more.
fn answer(feedback: &Feedback, keyless: &str) -> Option<Answer> {
    let kind = match (feedback.verdict, &feedback.about) {
        (Verdict::Real, _) => AnswerKind::Confirmed,
        (Verdict::Expected, About::Episode { .. }) => AnswerKind::FalseAlarm,
        // What was announced was unusual: an alarm was neither right nor wrong.
        (Verdict::Expected, About::Span { .. }) | (Verdict::Withdrawn, _) => return None,
        (Verdict::Missed, _) => AnswerKind::Missed,
    };
    let (series, measure, from, to) = match &feedback.about {
        About::Span { series, from, to } => (series.clone(), None, *from, *to),
        About::Episode {
            series,
            measure,
            since,
            until,
            ..
        } => {
            let since = (*since)?;
            (series.clone()?, measure.clone(), since, until.unwrap_or(since))
        }
    };
    let name = match (&series, &measure) {
        (None, None) => None,
        (key, None) => key.clone(),
        (key, Some(measure)) => Some(format!("{}.{measure}", key.as_deref().unwrap_or_default())),
    };
    Some(Answer {
        series: name,
        file: file_name(&(series, measure), keyless),
        stretch_ms: (from.timestamp_millis(), to.max(from).timestamp_millis()),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    const FILE: &str = r#"
{"about":{"episode":"usage/0/1/0","series":"boiler-7","since":"2026-11-27T08:00:00Z","until":"2026-11-27T09:00:00Z"},"verdict":"real"}
{"about":{"episode":"usage/0/2/0","series":"site/7","measure":"power","since":"2026-11-27T08:00:00Z"},"verdict":"real"}
{"about":{"episode":"usage/0/2/0","series":"site/7","measure":"power","since":"2026-11-27T08:00:00Z"},"verdict":"expected"}
{"about":{"series":null,"from":"2026-11-27T08:00:00Z","to":"2026-11-27T09:00:00Z"},"verdict":"missed"}
{"about":{"episode":"usage/0/3/0"},"verdict":"real"}
{"about":{"episode":"usage/0/4/0"},"verdict":"real"}
{"about":{"episode":"usage/0/4/0"},"verdict":"withdrawn"}
{"silence":"3f2a9c01b7de","series":"boiler-*","until":"2026-11-27T09:00:00Z","why":"maintenance"}
"#;

    #[test]
    fn the_last_word_about_a_stretch_is_an_answer() {
        let opinions = CompleteFeedback::read(&format!("\u{feff}{FILE}")).unwrap();
        let incomplete = ["usage/0/2/0", "usage/0/3/0"].map(str::to_owned);
        assert_eq!(
            CompleteFeedback::incomplete(&opinions),
            BTreeSet::from(incomplete)
        );
        let answers = CompleteFeedback::new(&opinions, &BTreeMap::new());
        assert_eq!(answers.unknown, ["usage/0/3/0"]);
        let (eight_ms, nine_ms) = (1_795_766_400_000, 1_795_770_000_000);
        let answer = |series: Option<&str>, file: &str, to_ms: i64, kind| Answer {
            series: series.map(str::to_owned),
            file: file.to_owned(),
            stretch_ms: (eight_ms, to_ms),
            kind,
        };
        assert_eq!(
            answers.for_tuning("usage"),
            [
                answer(None, "usage.csv", nine_ms, AnswerKind::Missed),
                answer(Some("boiler-7"), "boiler-7.csv", nine_ms, AnswerKind::Confirmed),
                answer(
                    Some("site/7.power"),
                    "site_7.power.csv",
                    eight_ms,
                    AnswerKind::FalseAlarm
                ),
            ]
        );
    }

    #[test]
    fn what_was_found_of_an_episode_is_written_with_it_and_read_again() {
        let opinions = CompleteFeedback::read(FILE).unwrap();
        let found = |until: Option<&str>| FoundEpisode {
            series: Some("pump".to_owned()),
            measure: None,
            detector: "rules".to_owned(),
            since: time("2026-11-27T08:00:00Z"),
            until: until.map(time),
            newest: time("2026-11-27T08:30:00Z"),
        };
        let found = BTreeMap::from([
            ("usage/0/2/0".to_owned(), found(Some("2026-11-27T08:20:00Z"))),
            ("usage/0/3/0".to_owned(), found(None)),
        ]);
        let answers = CompleteFeedback::new(&opinions, &found);
        assert_eq!((answers.len(), answers.unknown.len()), (4, 0));
        let lines = answers.lines();
        let again = CompleteFeedback::read(&lines).unwrap();
        assert!(CompleteFeedback::incomplete(&again).is_empty(), "{lines}");
        assert_eq!(CompleteFeedback::new(&again, &BTreeMap::new()), answers);
        for (episode, series, until) in [
            ("usage/0/2/0", "site/7", "2026-11-27T08:20:00Z"),
            ("usage/0/3/0", "pump", "2026-11-27T08:30:00Z"),
        ] {
            let About::Episode {
                series: known,
                until: end,
                ..
            } = &again.said_of(episode).unwrap().about
            else {
                panic!("{episode} is an episode");
            };
            assert_eq!((known, end), (&Some(Some(series.to_owned())), &Some(time(until))));
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_refused_by_its_number() {
        let windows = r#"{"boiler-7.csv": [["2026-11-27 08:00:00.000000", "2026-11-27 09:00:00.000000"]]}"#;
        for (text, expected) in [
            (
                format!("{FILE}{{\"about\":{{\"episode\":\"usage/0/1/0\"}},\"verdict\":\"maybe\"}}"),
                "line 10: verdict must be",
            ),
            (windows.to_owned(), "line 1: about (or silence) is missing"),
            ("{\n}".to_owned(), "line 1: its value must be a JSON object"),
        ] {
            let refused = CompleteFeedback::read(&text).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
            assert!(refused.contains("labels export --format messages"), "{refused}");
        }
    }
}
