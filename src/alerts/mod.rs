//! Alerts: who is told of an anomaly, in which words, by which request.
//!
//! [`Notification`] and [`Digest`] are what a receiver is told, and `text` the words that all of them share. `receivers`
//! has one file each: settings, message and an earlier receipt become a request, without I/O; one edge sends it.
//! [`Settings`] are `[alert]` and `[[alert.receiver]]`, the route of each receiver among them. The `router` decides who is told
//! of an episode and when, the `outbox` what is sent next and what again; `operator` is both, `state` their memory as messages.
//!
//! Absent from this room: when episodes begin and end, Kafka, clocks (but for what signs a request).

mod heartbeat;
mod hours;
mod notification;
mod operator;
mod outbox;
mod receivers;
mod router;
mod secret;
mod settings;
mod state;
mod text;

pub(crate) use heartbeat::{Heartbeat, INTERVAL as HEARTBEAT_INTERVAL};
pub use hours::{Hours, HoursError};
pub use notification::{Digest, DigestKind, Kind, Message, Notification, Receipt, Severity, notification_id};
pub(crate) use operator::{AlertOperator, StateChanges};
pub(crate) use outbox::{Attempt, ChainKey, ChainRecord, LaneCounts, Told};
pub use receivers::{Receiver, SendError};
pub(crate) use router::{Hush, Router, RouterKey, RouterRecord, Standing, Telling, Transition};
pub(crate) use secret::shown_url;
pub use settings::{ReceiverKind, ReceiverSettings, Settings};
pub(crate) use settings::{SECRET_URLS, SECRETS};
pub use state::StateError;
pub(crate) use state::{StateKey, StateRecord};
pub(crate) use text::title;
