//! The live page: what is measured, what was expected, what is out of the ordinary and why, and a word back; and SQL over HTTP.
//!
//! A read-only `replica` of the detecting side reads the topic while somebody looks, and puts what it finds into a `view`,
//! which is pure: every change has a number, and whoever comes back is given what changed since. So no viewer is queued for,
//! and none can slow the table or the detectors, which know nothing of this room. `routes` says which address is answered by
//! what, `access` who may ask; `page` are the files of the page, whose scripts and styles lie in the folder `page`.
//!
//! Absent from this room: decisions about what is an anomaly; any effect on a sink.

mod access;
mod answers;
mod arrivals;
mod averages;
mod changes;
mod dead_letters;
mod episodes;
mod give_way;
mod health;
mod page;
mod refusal;
mod replica;
mod ring;
mod routes;
mod server;
mod settings;
mod site;
mod sql;
mod stream;
mod view;
mod wire;

pub(crate) use health::WatchedSinks;
pub(crate) use server::{LIVE_PAGE, LiveServer};
pub use settings::Settings;
pub(crate) use sql::answer_one;
