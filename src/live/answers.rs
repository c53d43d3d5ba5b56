//! What people say on the page goes into the topic of feedback, as what `streamgauge feedback` and `silence` write does.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::site::SharedSite;
use crate::clock;
use crate::feedback::{self, About, Feedback, FeedbackError, Opinion, Scope, Silence, Verdict};

/// Who says it, where no name is given.
const NOBODY: &str = "live page";
/// Letters of a note or a name.
const LONGEST_TEXT: usize = 1_000;
/// Nobody silences for longer from a page.
const LONGEST_SILENCE_MS: i64 = 366 * 86_400_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidOfEpisode {
    episode: String,
    verdict: String,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    until_ms: Option<i64>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    by: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSilence {
    series: String,
    for_ms: i64,
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    by: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndOfSilence {
    id: String,
    #[serde(default)]
    by: Option<String>,
}

/// What became of feedback.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    written_to: String,
}

/// A silence, and when it ends.
#[derive(Debug, Serialize)]
pub(super) struct SilenceEnd {
    id: String,
    until_ms: i64,
}

/// `POST api/feedback`.
pub(super) async fn give_feedback(
    State(site): State<SharedSite>,
    body: Bytes,
) -> Result<Json<Written>, Refusal> {
    let said: SaidOfEpisode = parse(&body)?;
    let (verdict, scope) = words(&said).map_err(Refusal::bad_request)?;
    let now = clock::utc_now();
    let until = said.until_ms.and_then(DateTime::from_timestamp_millis);
    if scope == Scope::Series && until.is_none_or(|until| until <= now) {
        let why = "until_ms: must be a time to come where scope is \"series\"";
        return Err(Refusal::bad_request(why));
    }
    let feedback = Feedback {
        about: about(&site, &said.episode).await?,
        verdict,
        scope,
        until,
        by: Some(author(said.by.as_deref())),
        note: note(said.note.as_deref()),
        at: Some(now),
    };
    write(&site, Opinion::Feedback(feedback), now).await?;
    let written_to = site.feedback_topic().to_owned();
    Ok(Json(Written { written_to }))
}

/// `POST api/silence`.
pub(super) async fn begin_silence(
    State(site): State<SharedSite>,
    body: Bytes,
) -> Result<Json<SilenceEnd>, Refusal> {
    let wanted: NewSilence = parse(&body)?;
    if !(1..=LONGEST_SILENCE_MS).contains(&wanted.for_ms) {
        let why = "for_ms: must be a duration of up to a year, in milliseconds";
        return Err(Refusal::bad_request(why));
    }
    let now = clock::utc_now();
    let until = now + TimeDelta::milliseconds(wanted.for_ms);
    let id = feedback::new_silence_id();
    let silence = Silence {
        id: id.clone(),
        pattern: wanted.series,
        begin: Some(now),
        until: Some(until),
        until_resolved: None,
        why: note(wanted.why.as_deref()).unwrap_or_else(|| "silenced on the live page".to_owned()),
        by: Some(author(wanted.by.as_deref())),
    };
    write(&site, Opinion::Silence(silence), now).await?;
    let until_ms = until.timestamp_millis();
    Ok(Json(SilenceEnd { id, until_ms }))
}

/// `POST api/silence/end`.
pub(super) async fn end_silence(
    State(site): State<SharedSite>,
    body: Bytes,
) -> Result<Json<SilenceEnd>, Refusal> {
    let EndOfSilence { id, by } = parse(&body)?;
    let now = clock::utc_now();
    let opinions = feedback::newest(site.kafka(), site.feedback_topic()).await?;
    let silence = opinions.silences().find(|silence| silence.id == id);
    let silence = silence.ok_or_else(|| Refusal::not_found("there is no such silence"))?;
    if silence.until.is_some_and(|until| until <= now) {
        return Err(Refusal::new(StatusCode::CONFLICT, "the silence is over already"));
    }
    let ended = Silence {
        by: note(by.as_deref()).or_else(|| silence.by.clone()),
        ..silence.ended(now)
    };
    write(&site, Opinion::Silence(ended), now).await?;
    let until_ms = now.timestamp_millis();
    Ok(Json(SilenceEnd { id, until_ms }))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn words(said: &SaidOfEpisode) -> Result<(Verdict, Scope), &'static str> {
    let verdict = match said.verdict.as_str() {
        "expected" => Verdict::Expected,
        "real" => Verdict::Real,
        "withdrawn" => Verdict::Withdrawn,
        _ => return Err("verdict: must be \"expected\", \"real\" or \"withdrawn\""),
    };
    let scope = match said.scope.as_deref() {
        None | Some("this") => Scope::This,
        Some("slot") => Scope::Slot,
        Some("series") => Scope::Series,
        Some(_) => return Err("scope: must be \"this\", \"slot\" or \"series\""),
    };
    match (verdict, scope) {
        (Verdict::Expected, _) | (_, Scope::This) => Ok((verdict, scope)),
        _ => Err("scope: must be \"this\" where verdict is not \"expected\""),
    }
}

/// What is known of an episode: from what is shown, or else from the topic.
async fn about(site: &SharedSite, id: &str) -> Result<About, FeedbackError> {
    let shown = site.replica().ok().and_then(|replica| {
        let shown = replica.shown();
        let row = shown.view.episodes.get(id)?;
        Some(About::Episode {
            id: id.to_owned(),
            series: Some(row.series.key.as_deref().map(str::to_owned)),
            measure: row.series.measure.as_deref().map(str::to_owned),
            detector: Some(row.detector.clone()),
            since: DateTime::from_timestamp_millis(row.since_ms),
            until: row.until_ms.and_then(DateTime::from_timestamp_millis),
        })
    });
    if let Some(about) = shown {
        return Ok(about);
    }
    let found = feedback::find_episode(site.kafka(), site.anomaly_topic(), id).await?;
    Ok(found.about(id))
}

async fn write(site: &SharedSite, opinion: Opinion, now: DateTime<Utc>) -> Result<(), FeedbackError> {
    feedback::write(site.kafka(), site.feedback_topic(), &opinion, now).await
}

impl From<FeedbackError> for Refusal {
    fn from(error: FeedbackError) -> Self {
        let status = match error {
            FeedbackError::Malformed(_) => StatusCode::BAD_REQUEST,
            FeedbackError::NoEpisode { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal::new(status, error.to_string())
    }
}

fn author(by: Option<&str>) -> String {
    note(by).unwrap_or_else(|| NOBODY.to_owned())
}

/// A text that says something, not longer than anybody reads.
fn note(text: Option<&str>) -> Option<String> {
    let text = text?.trim().chars().filter(|letter| !letter.is_control());
    let text: String = text.take(LONGEST_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_by_its_fields() {
        let said = |text: &str| parse::<SaidOfEpisode>(text.as_bytes());
        let good = said(r#"{"episode":"usage/0/1/0","verdict":"expected","scope":"series"}"#).unwrap();
        assert_eq!(words(&good), Ok((Verdict::Expected, Scope::Series)));
        for wrong in [
            "",
            "[]",
            r#"{"verdict":"real"}"#,
            r#"{"episode":"a","verdict":"real","evil":1}"#,
        ] {
            assert_eq!(
                said(wrong).unwrap_err().status,
                StatusCode::BAD_REQUEST,
                "{wrong}"
            );
        }
        let odd = said(r#"{"episode":"a","verdict":"missed"}"#).unwrap();
        assert!(words(&odd).unwrap_err().starts_with("verdict: must be"));
        assert_eq!(author(Some("  ")), NOBODY);
        assert_eq!(author(Some("A\u{0}d\na")), "Ada");
        assert_eq!(note(Some(&"x".repeat(5_000))).unwrap().len(), LONGEST_TEXT);
    }
}
