//! The stream of changes, by Server-Sent Events.
//!
//! Nothing is queued for a viewer. A stream looks at what changed since its own place whenever the socket has taken what was
//! sent before; so one that is slow is given more at a time, or told to load everything again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};

use super::changes::{self, Position};
use super::refusal::Refusal;
use super::routes::parameters;
use super::site::SharedSite;
use super::wire::Changes;
use crate::clock;

/// How often it is looked for new readings.
const TICK: Duration = Duration::from_millis(250);
/// How often lists are looked at.
const LIST_INTERVAL: Duration = Duration::from_secs(1);
/// Something is sent at least so often.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a browser tries again.
const RETRY: Duration = Duration::from_secs(2);

/// One viewer's stream.
struct Viewer {
    site: SharedSite,
    position: Position,
    ticks: Interval,
    lists_at: Option<Instant>,
    sent_at: Option<Instant>,
    boot: Option<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

/// `GET events`.
pub(super) async fn events(State(site): State<SharedSite>, uri: Uri) -> Result<Response, Refusal> {
    let position: Position = parameters(&uri)?;
    let Ok(place) = Arc::clone(&site.streams).try_acquire_owned() else {
        let why = "as many streams are open as may be; ask api/changes instead";
        return Err(Refusal::unavailable(why));
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let viewer = Viewer {
        site,
        position,
        ticks,
        lists_at: None,
        sent_at: None,
        boot: None,
        _place: place,
    };
    let events = stream::unfold(viewer, |mut viewer| async move {
        let changes = viewer.next().await?;
        let event = Event::default()
            .event("changes")
            .retry(RETRY)
            .json_data(changes)
            .ok()?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let headers = [
        // A proxy must neither compress nor collect it.
        (CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, stream).into_response())
}

impl Viewer {
    /// What is worth to be sent next; `None` if the stream is to end.
    async fn next(&mut self) -> Option<Changes> {
        loop {
            self.ticks.tick().await;
            if let Some(changes) = self.look()? {
                return Some(changes);
            }
        }
    }

    fn look(&mut self) -> Option<Option<Changes>> {
        let now = clock::instant();
        let is_due = |at: Option<Instant>, interval| at.is_none_or(|at| now.duration_since(at) >= interval);
        let replica = self.site.replica().ok()?;
        let shown = replica.shown();
        if self.boot.as_ref().is_some_and(|boot| *boot != shown.boot) {
            self.position.seen = 0;
            self.position.cursor = 0;
        }
        let is_new_boot = self.boot.as_ref() != Some(&shown.boot);
        let with_lists = is_due(self.lists_at, LIST_INTERVAL);
        let is_silent = !is_new_boot && !is_due(self.sent_at, LONGEST_SILENCE);
        if is_silent && !with_lists && !self.position.has_points(&shown) {
            return Some(None);
        }
        let changes = if with_lists {
            self.lists_at = Some(now);
            changes::all(&self.site, &shown, &mut self.position)
        } else {
            changes::of_series(&self.site, &shown, &mut self.position)
        };
        self.boot = Some(Arc::clone(&shown.boot));
        let has_news = changes.points.is_some() || !changes.series.is_empty() || !changes.episodes.is_empty();
        if !has_news && is_silent {
            return Some(None);
        }
        self.sent_at = Some(now);
        Some(Some(changes))
    }
}
