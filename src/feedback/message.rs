//! The messages of the topic: what each is about, and how it is written.

use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::reading::Headers;

/// The version of the messages.
pub(super) const VERSION: u64 = 1;

/// A message of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// Of an episode, or of what was missed.
    Feedback(Feedback),
    /// Of series that nobody wants to be told of for a while.
    Silence(Silence),
}

/// What somebody says of an episode, or of a stretch of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// What it is said of.
    pub about: About,
    /// What is said.
    pub verdict: Verdict,
    /// How far it reaches.
    pub scope: Scope,
    /// Until when, where it reaches further than the episode.
    pub until: Option<DateTime<Utc>>,
    /// Who says it.
    pub by: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// When it was said.
    pub at: Option<DateTime<Utc>>,
}

/// What feedback is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// An episode, and what is known of it.
    Episode {
        /// The `ce_id` of the message that opened it.
        id: String,
        /// `None` if it is not said; `Some(None)` where the topic is read as one series.
        series: Option<Option<String>>,
        /// What was measured, where the series is identified by it, too.
        measure: Option<String>,
        /// The name of the detector, or `rules`.
        detector: Option<String>,
        /// The event time that it counts from.
        since: Option<DateTime<Utc>>,
        /// The event time from which all was as usual again.
        until: Option<DateTime<Utc>>,
    },
    /// A stretch of a series.
    Span {
        /// `None` where the topic is read as one series.
        series: Option<String>,
        /// Its first event time.
        from: DateTime<Utc>,
        /// Its last event time, which is not before the first.
        to: DateTime<Utc>,
    },
}

/// What is said of an episode or a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was unusual, and known or of no interest: nobody needs to be told.
    Expected,
    /// It was a fault.
    Real,
    /// There was a fault, and no anomaly.
    Missed,
    /// What was said before does not count.
    Withdrawn,
}

/// How far feedback reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What it is about, and nothing else.
    This,
    /// The same time of other weeks, for detectors; who is told takes it as [`Scope::This`].
    Slot,
    /// All episodes of the series, for a while.
    Series,
}

/// Series that nobody is told of for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Letters, digits, `-` and `_`.
    pub id: String,
    /// The pattern of the keys, in which `*` stands for any text.
    pub pattern: String,
    /// From when on; `None`: always.
    pub begin: Option<DateTime<Utc>>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
    /// Until this episode is over. A silence has an end by this, by `until` or by both, whichever is first.
    pub until_resolved: Option<String>,
    /// Why.
    pub why: String,
    /// Who silenced them.
    pub by: Option<String>,
}

impl Opinion {
    /// The message's key: what it is about.
    pub fn key(&self) -> String {
        match self {
            Opinion::Feedback(feedback) => feedback.about.key(),
            Opinion::Silence(silence) => silence.id.clone(),
        }
    }

    /// The message's value: one JSON object.
    pub fn json(&self) -> String {
        match self {
            Opinion::Feedback(feedback) => feedback.json(),
            Opinion::Silence(silence) => silence.json(),
        }
        .to_string()
    }

    /// The headers that make it a CloudEvent, as `docs/anomalies.md` describes them, with this id and time.
    pub(super) fn headers(&self, id: &str, time: DateTime<Utc>) -> Headers {
        let (kind, by, subject) = match self {
            Opinion::Feedback(feedback) => ("feedback", &feedback.by, feedback.about.series()),
            Opinion::Silence(silence) => ("silence", &silence.by, Some(silence.pattern.as_str())),
        };
        let by = by.as_deref().unwrap_or("unknown");
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", format!("streamgauge.{kind}")),
            (
                "ce_source",
                format!("/people/{}", utf8_percent_encode(by, SEGMENT)),
            ),
            ("ce_id", id.to_owned()),
            ("ce_time", text(time)),
        ];
        headers.extend(subject.map(|series| ("ce_subject", series.to_owned())));
        headers.push(("content-type", "application/json".to_owned()));
        headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value.into_bytes())))
            .collect()
    }
}

/// All but the unreserved characters of a URI (RFC 3986).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Feedback {
    fn json(&self) -> Value {
        json!({
            "version": VERSION,
            "about": self.about.json(),
            "verdict": self.verdict.name(),
            "scope": self.scope.name(),
            "until": self.until.map(text),
            "by": self.by,
            "note": self.note,
            "at": self.at.map(text),
        })
    }
}

impl Silence {
    /// The same, which is over from now on.
    pub fn ended(&self, now: DateTime<Utc>) -> Self {
        Silence {
            until: Some(now),
            ..self.clone()
        }
    }

    /// Whether its time has begun, and is not over; the episode that may end it is not asked.
    pub fn is_on(&self, now: DateTime<Utc>) -> bool {
        self.begin.is_none_or(|begin| begin <= now) && self.until.is_none_or(|until| now < until)
    }

    fn json(&self) -> Value {
        json!({
            "version": VERSION,
            "silence": self.id,
            "series": self.pattern,
            "begin": self.begin.map(text),
            "until": self.until.map(text),
            "until_resolved": self.until_resolved,
            "why": self.why,
            "by": self.by,
        })
    }
}

impl About {
    /// The series, as far as it is known and has a name.
    pub fn series(&self) -> Option<&str> {
        match self {
            About::Episode { series, .. } => series.as_ref()?.as_deref(),
            About::Span { series, .. } => series.as_deref(),
        }
    }

    /// The key of messages about it.
    pub fn key(&self) -> String {
        match self {
            About::Episode { id, .. } => id.clone(),
            // No id of an episode has a colon.
            About::Span { series, from, to } => {
                let series = series.as_deref().unwrap_or_default();
                format!("{}/{}/{series}", text(*from), text(*to))
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            About::Episode {
                id,
                series,
                measure,
                detector,
                since,
                until,
            } => {
                let mut about = Map::new();
                about.insert("episode".to_owned(), json!(id));
                let known = [
                    ("series", series.as_ref().map(|series| json!(series))),
                    ("measure", measure.as_ref().map(|measure| json!(measure))),
                    ("detector", detector.as_ref().map(|detector| json!(detector))),
                    ("since", since.map(|since| json!(text(since)))),
                    ("until", until.map(|until| json!(text(until)))),
                ];
                let known = known.into_iter();
                about.extend(known.filter_map(|(name, value)| Some((name.to_owned(), value?))));
                Value::Object(about)
            }
            About::Span { series, from, to } => {
                json!({ "series": series, "from": text(*from), "to": text(*to) })
            }
        }
    }
}

impl Verdict {
    pub(super) const ALL: [Verdict; 4] = [
        Verdict::Expected,
        Verdict::Real,
        Verdict::Missed,
        Verdict::Withdrawn,
    ];

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Expected => "expected",
            Verdict::Real => "real",
            Verdict::Missed => "missed",
            Verdict::Withdrawn => "withdrawn",
        }
    }
}

impl Scope {
    pub(super) const ALL: [Scope; 3] = [Scope::This, Scope::Slot, Scope::Series];

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Scope::This => "this",
            Scope::Slot => "slot",
            Scope::Series => "series",
        }
    }
}

/// A time as messages have it.
pub(super) fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
