//! Episodes as the topic of anomalies tells them, and what people say of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::wire::{EpisodeRow, Said, SeriesName, Silenced, known};
use crate::feedback::{About, Feedback, Opinions, Silence, Verdict};

/// So many episodes are held; the oldest leave, those first that are over.
const MOST_EPISODES: usize = 1_000;
/// The largest message that is looked at: what is longer is not ours.
const LARGEST_MESSAGE: usize = 256 * 1024;
/// Letters of a text that are held.
const LONGEST_TEXT: usize = 2_000;

/// What is needed of an anomaly's message; the value is under a name of the settings.
#[derive(Debug, Deserialize)]
struct Message {
    episode: String,
    key: Option<String>,
    measure: Option<String>,
    detector: String,
    cause: String,
    severity: String,
    phase: String,
    explanation: String,
    score: f64,
    threshold: f64,
    expected: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    ts: DateTime<Utc>,
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// An episode, and the number of the view in which it last changed.
#[derive(Debug)]
struct Held {
    row: EpisodeRow,
    changed: u64,
}

/// The newest episodes.
#[derive(Debug, Default)]
pub(super) struct Episodes {
    by_id: HashMap<Arc<str>, Held>,
    /// By the event time that they count from.
    by_since: BTreeSet<(i64, Arc<str>)>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub series: SeriesName,
    /// Event time of the anomaly; none of an end.
    pub anomaly_ms: Option<i64>,
}

impl Episodes {
    /// Notes a message of the topic; `None` if it is not one of ours.
    pub(super) fn note(&mut self, value: &[u8], value_name: &str, number: u64) -> Option<Noted> {
        if value.len() > LARGEST_MESSAGE {
            return None;
        }
        let message: Message = serde_json::from_slice(value).ok()?;
        let is_end = message.phase == "ended";
        let id: Arc<str> = message.episode.as_str().into();
        let newest_ms = message.ts.timestamp_millis();
        let series = SeriesName {
            key: message.key.as_deref().map(Arc::from),
            measure: message.measure.as_deref().map(Arc::from),
        };
        let noted = Noted {
            series: series.clone(),
            anomaly_ms: (!is_end).then_some(newest_ms),
        };
        match self.by_id.get_mut(&id) {
            Some(held) => {
                held.row.note(&message, value_name, is_end);
                held.changed = number;
            }
            None => self.open(id, series, &message, value_name, number),
        }
        Some(noted)
    }

    fn open(&mut self, id: Arc<str>, series: SeriesName, message: &Message, value_name: &str, number: u64) {
        let is_end = message.phase == "ended";
        let mut row = EpisodeRow {
            id: Arc::clone(&id),
            series,
            detector: message.detector.clone(),
            cause: message.cause.clone(),
            severity: message.severity.clone(),
            since_ms: message.since.timestamp_millis(),
            until_ms: None,
            newest_ms: message.ts.timestamp_millis(),
            value: None,
            expected: None,
            lower: None,
            upper: None,
            score: message.score,
            threshold: message.threshold,
            explanation: cut(&message.explanation),
            latest: String::new(),
            anomalies: 0,
            said: None,
            silence: None,
        };
        row.note(message, value_name, is_end);
        self.by_since.insert((row.since_ms, Arc::clone(&id)));
        self.by_id.insert(id, Held { row, changed: number });
        if self.by_id.len() > MOST_EPISODES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let is_over = |id: &Arc<str>| self.by_id.get(id).is_none_or(|held| held.row.until_ms.is_some());
        let oldest = self.by_since.iter().find(|(_, id)| is_over(id));
        let oldest = oldest.or_else(|| self.by_since.first()).cloned();
        if let Some(oldest) = oldest {
            self.by_id.remove(&oldest.1);
            self.by_since.remove(&oldest);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&EpisodeRow> {
        self.by_id.get(id).map(|held| &held.row)
    }

    /// Those that began before a time, newest first.
    pub(super) fn before(&self, before_ms: i64) -> impl Iterator<Item = &EpisodeRow> {
        let older = self.by_since.range(..(before_ms, Arc::from("")));
        older.rev().filter_map(|(_, id)| self.get(id))
    }

    /// Those that changed after this number, the newest first.
    pub(super) fn changed_since(&self, number: u64) -> Vec<&EpisodeRow> {
        let changed = self.by_id.values().filter(|held| held.changed > number);
        let mut rows: Vec<&EpisodeRow> = changed.map(|held| &held.row).collect();
        rows.sort_unstable_by_key(|row| std::cmp::Reverse((row.since_ms, Arc::clone(&row.id))));
        rows
    }

    /// Those that are not over.
    pub(super) fn open_ones(&self) -> impl Iterator<Item = &EpisodeRow> {
        let rows = self.by_id.values().map(|held| &held.row);
        rows.filter(|row| row.until_ms.is_none())
    }

    /// Notes what people say now. Returns whether that changed anything.
    pub(super) fn note_opinions(&mut self, opinions: &Opinions, now: DateTime<Utc>, number: u64) -> bool {
        let open: BTreeSet<Arc<str>> = self.open_ones().map(|row| Arc::clone(&row.id)).collect();
        let mut has_changed = false;
        for held in self.by_id.values_mut() {
            let said = opinions.said_of(&held.row.id).and_then(said);
            let is_over = held.row.until_ms.is_some();
            let silence = match is_over {
                true => None,
                false => {
                    let key = held.row.series.key.as_deref();
                    opinions.silence_of(key, &held.row.id, now, |id| open.contains(id))
                }
            };
            let silence = silence.map(silenced);
            if held.row.said != said || held.row.silence != silence {
                held.row.said = said;
                held.row.silence = silence;
                held.changed = number;
                has_changed = true;
            }
        }
        has_changed
    }
}

impl EpisodeRow {
    fn note(&mut self, message: &Message, value_name: &str, is_end: bool) {
        self.newest_ms = message.ts.timestamp_millis();
        self.latest = cut(&message.explanation);
        self.until_ms = message.until.map(|until| until.timestamp_millis());
        if is_end {
            return;
        }
        self.anomalies += 1;
        let is_worse = self.anomalies == 1 || message.phase == "worsened";
        if is_worse {
            let value = message.others.get(value_name).and_then(Value::as_f64);
            self.value = value.and_then(known);
            self.expected = message.expected;
            self.lower = message.lower;
            self.upper = message.upper;
            self.score = message.score;
            self.severity.clone_from(&message.severity);
        }
    }
}

/// What counts of feedback: what was withdrawn does not.
fn said(feedback: &Feedback) -> Option<Said> {
    debug_assert!(matches!(feedback.about, About::Episode { .. }));
    (feedback.verdict != Verdict::Withdrawn).then(|| Said {
        verdict: feedback.verdict.name(),
        scope: feedback.scope.name(),
        until_ms: feedback.until.map(|until| until.timestamp_millis()),
        by: feedback.by.as_deref().map(cut),
        note: feedback.note.as_deref().map(cut),
        at_ms: feedback.at.map(|at| at.timestamp_millis()),
    })
}

fn silenced(silence: &Silence) -> Silenced {
    Silenced {
        id: silence.id.clone(),
        pattern: cut(&silence.pattern),
        until_ms: silence.until.map(|until| until.timestamp_millis()),
        by: silence.by.as_deref().map(cut),
        why: cut(&silence.why),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(episode: &str, phase: &str, minute: i64, value: f64) -> Vec<u8> {
        let at = |minute: i64| {
            let time = DateTime::from_timestamp(1_709_626_200 + minute * 60, 0).unwrap();
            time.to_rfc3339()
        };
        let until = (phase == "ended").then(|| at(minute));
        serde_json::json!({
            "ts": at(minute), "usage": value, "key": "boiler-7", "detector": "adaptive-band",
            "cause": if phase == "ended" { "back_to_usual" } else { "point" },
            "score": value / 10.0, "threshold": 7.0, "expected": 70.0, "lower": 60.0, "upper": 80.0,
            "slot": null, "comparables": 9, "severity": if value > 100.0 { "critical" } else { "warning" },
            "explanation": format!("boiler-7: {value} °C"), "episode": episode, "phase": phase,
            "since": at(0), "until": until,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn an_episode_keeps_its_first_words_and_its_worst_value() {
        let mut episodes = Episodes::default();
        let id = "usage/0/1/0";
        for (number, (phase, minute, value)) in (1..).zip([
            ("opened", 0, 93.5),
            ("worsened", 5, 140.0),
            ("continued", 6, 90.0),
            ("ended", 30, 70.0),
        ]) {
            let noted = episodes
                .note(&message(id, phase, minute, value), "usage", number)
                .unwrap();
            assert_eq!(noted.anomaly_ms.is_none(), phase == "ended");
        }
        let row = episodes.get(id).unwrap();
        assert_eq!(
            (row.value, row.severity.as_str(), row.anomalies),
            (Some(140.0), "critical", 3)
        );
        assert_eq!(
            (row.explanation.as_str(), row.latest.as_str()),
            ("boiler-7: 93.5 °C", "boiler-7: 70 °C")
        );
        assert_eq!(row.until_ms, Some(1_709_626_200_000 + 30 * 60_000));
        assert_eq!(episodes.open_ones().count(), 0);
        assert_eq!(episodes.changed_since(3).len(), 1);
        assert_eq!(episodes.changed_since(4).len(), 0);
        for garbage in [&b"{}"[..], b"", b"[1]", &[b' '; LARGEST_MESSAGE + 1]] {
            assert_eq!(episodes.note(garbage, "usage", 9), None);
        }
    }

    #[test]
    fn the_oldest_that_are_over_leave_first() {
        let mut episodes = Episodes::default();
        let id = |index: usize| format!("usage/0/{index:04}/0");
        for index in 0..MOST_EPISODES + 2 {
            let opened = message(&id(index), "opened", 0, 90.0);
            episodes.note(&opened, "usage", 1).unwrap();
            if index == 1 {
                episodes
                    .note(&message(&id(1), "ended", 9, 70.0), "usage", 1)
                    .unwrap();
            }
        }
        assert_eq!(episodes.by_id.len(), MOST_EPISODES);
        assert_eq!(episodes.by_since.len(), MOST_EPISODES);
        assert!(episodes.get(&id(1)).is_none(), "it was over");
        assert!(
            episodes.get(&id(0)).is_none(),
            "none is over, and it is the oldest"
        );
        assert!(episodes.get(&id(2)).is_some());
    }

    #[test]
    fn what_people_say_shows_until_it_is_withdrawn() {
        let mut episodes = Episodes::default();
        episodes
            .note(&message("usage/0/1/0", "opened", 0, 93.5), "usage", 1)
            .unwrap();
        let mut opinions = Opinions::default();
        let now = DateTime::from_timestamp(1_709_626_300, 0).unwrap();
        let mut say = |verdict: &str, number: u64| {
            let value =
                format!(r#"{{"about":{{"episode":"usage/0/1/0"}},"verdict":"{verdict}","by":"ada"}}"#);
            opinions.fold(b"usage/0/1/0", Some(value.as_bytes())).unwrap();
            let has_changed = episodes.note_opinions(&opinions, now, number);
            let said = episodes.get("usage/0/1/0").unwrap().said.clone();
            (has_changed, said.map(|said| (said.verdict, said.by)))
        };
        let by_ada = Some("ada".to_owned());
        assert_eq!(say("expected", 2), (true, Some(("expected", by_ada.clone()))));
        assert_eq!(say("expected", 3), (false, Some(("expected", by_ada))));
        assert_eq!(say("withdrawn", 4), (true, None));
        let silence = r#"{"silence":"s1","series":"boiler-*","until":"2099-01-01T00:00:00Z","why":"repair"}"#;
        opinions.fold(b"s1", Some(silence.as_bytes())).unwrap();
        assert!(episodes.note_opinions(&opinions, now, 5));
        let silence = episodes.get("usage/0/1/0").unwrap().silence.clone().unwrap();
        assert_eq!((silence.id.as_str(), silence.why.as_str()), ("s1", "repair"));
    }
}
