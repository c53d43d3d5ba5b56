//! Alerts: who is told of an anomaly, in which words, by which request.
//!
//! [`Notification`] and [`Digest`] are what a receiver is told, and `text` the words that all of them share. `receivers`
//! has one file each: settings, message and an earlier receipt become a request, without I/O; one edge sends it.
//! [`Settings`] are `[alert]` and `[[alert.receiver]]`, the route of each receiver among them. The `Router` decides who is told
//! of an episode and when.
//!
//! Absent from this room: the state of episodes, memory of what was told, retries, Kafka.

mod hours;
mod notification;
mod receivers;
mod router;
mod secret;
mod settings;
mod text;

pub use hours::{Hours, HoursError};
pub use notification::{Digest, DigestKind, Kind, Message, Notification, Receipt, Severity, notification_id};
pub use receivers::{Receiver, SendError};
pub(crate) use router::{Router, Telling, Transition};
pub(crate) use secret::shown_url;
pub use settings::{ReceiverKind, ReceiverSettings, Settings};
pub(crate) use settings::{SECRET_URLS, SECRETS};
pub(crate) use text::title;
