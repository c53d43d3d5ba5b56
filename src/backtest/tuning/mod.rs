//! Which settings speak best for what people said: the episodes that candidates would have published, compared with answers.
//!
//! An answer is about a stretch of a series: a fault that was told, one that was missed, or what nobody needed to hear of.
//! It knows no detector and no id of an episode, because these are of the settings that the episode was found with: a
//! candidate is wrong or right by whether one of its own episodes overlaps the stretch. [`assign()`] finds the readings that
//! answers are about, [`Score`] counts, [`choose`] says which candidate is proposed.
//!
//! Absent from this room: settings, files, Kafka; any judgment of a reading.

mod assign;
mod choice;
mod score;
mod share;

pub(crate) use assign::{Assigned, HistoricSeries, assign};
pub(crate) use choice::{Choice, Contender, choose, ranked};
pub(crate) use score::Score;
pub(crate) use share::Share;

/// The fewest answers that settings are proposed by.
pub(crate) const FEWEST_ANSWERS: usize = 20;

/// What somebody said of a stretch of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The key of its series, with a dot and the measure behind it where there is one; `None` where the topic is read as one
    /// series.
    pub series: Option<String>,
    /// The name of a file that has the readings of this series alone.
    pub file: String,
    /// The first and the last event time that it is about, in milliseconds since 1970.
    pub stretch_ms: (i64, i64),
    pub kind: AnswerKind,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// It was told, and a fault.
    Confirmed,
    /// It was told, and nobody needed to hear of it.
    FalseAlarm,
    /// A fault that was not told.
    Missed,
}
