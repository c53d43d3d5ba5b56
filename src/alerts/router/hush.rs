//! What people have said, as the router heeds it: what is expected is closed, and what is silenced waits.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::OpenEpisode;
use crate::alerts::Notification;
use crate::feedback::Opinions;

/// Why nobody is told of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hush {
    /// Somebody has said that it was expected.
    Expected,
    /// Its series is silenced.
    Silenced,
}

impl Hush {
    /// The word that it is counted under.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Hush::Expected => "expected",
            Hush::Silenced => "silenced",
        }
    }
}

/// What a desk sees beside its own memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// The open episodes, by id.
    pub open: &'a BTreeMap<String, OpenEpisode>,
    pub opinions: &'a Opinions,
}

impl View<'_> {
    /// Why nobody is to be told of an episode now.
    pub(super) fn hush(&self, notification: &Notification, now: DateTime<Utc>) -> Option<Hush> {
        if self.opinions.is_empty() {
            return None;
        }
        let (episode, series) = (&notification.episode, notification.series.as_deref());
        if self.opinions.is_expected(episode, series, now) {
            return Some(Hush::Expected);
        }
        let is_open = |episode: &str| self.open.contains_key(episode);
        let silence = self.opinions.silence_of(series, episode, now, is_open);
        silence.map(|_| Hush::Silenced)
    }

    /// Who has said why that an episode was expected, in a sentence.
    pub(super) fn expectation(&self, notification: &Notification, now: DateTime<Utc>) -> Option<String> {
        let series = notification.series.as_deref();
        let said = self.opinions.expectation_of(&notification.episode, series, now)?;
        let by = said.by.as_deref().unwrap_or("Somebody");
        Some(match &said.note {
            Some(note) => format!("{by} says that this was expected: {note}"),
            None => format!("{by} says that this was expected."),
        })
    }
}
