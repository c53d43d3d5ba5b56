//! What people say of anomalies: which episodes were expected or real, what was missed, and which series are silenced.
//!
//! It is kept as messages in a compacted topic, whose key is what a message is about, so that the newest word about it
//! stays (ADR 26). `docs/alerts.md` describes it to people, and `docs/feedback.schema.json` to programs.
//!
//! `message` has the messages, `parse` reads those of others, [`Opinions`] is all that is said now, `labels` turns it into
//! labeled windows, `complete` into what `tune` compares settings with, and `answers` into what detectors learn from: these
//! are pure. The edges are `topic`, which writes and reads the topic, `lookup`, which finds episodes in the topic of
//! anomalies, and [`Follower`], which keeps opinions up to date while the program runs.
//!
//! Absent from this room: receivers of alerts, and where in the order of readings an answer is heeded.

mod answers;
mod complete;
mod error;
mod follow;
mod labels;
mod lookup;
mod message;
mod opinions;
mod parse;
mod topic;

pub(crate) use answers::Answers;
pub(crate) use complete::CompleteFeedback;
pub use error::FeedbackError;
pub use follow::Follower;
pub(crate) use labels::Labels;
pub(crate) use lookup::{FoundEpisode, find_episode, find_episodes};
pub use message::{About, Feedback, Opinion, Scope, Silence, Verdict};
pub use opinions::{Judged, Opinions};
pub use parse::MalformedMessage;
pub(crate) use topic::{new_silence_id, newest, write};
