//! How far collecting is, for metrics, health and the summary.

use std::collections::BTreeMap;
use std::time::Instant;

use super::cloudwatch::CloudWatchError;
use super::state::{Harvest, Request};
use crate::clock;

/// What a collector has done since it was started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Metrics that are asked for.
    pub metrics: usize,
    /// Requests sent to CloudWatch, those that failed included.
    pub requests: u64,
    /// Metrics that points were asked of: what CloudWatch counts on its bill.
    pub metrics_asked: u64,
    /// Points written to the topic.
    pub points: u64,
    /// Points that came after their time was written, and were not.
    pub late_points: u64,
    /// Points whose value changed after it was written.
    pub changed_points: u64,
    /// Requests, and metrics of a request, that failed: by CloudWatch's code.
    pub errors: BTreeMap<String, u64>,
    /// How far the slowest metric is behind what is due.
    pub behind_ms: Option<i64>,
    /// Transactions.
    pub commits: u64,
    /// When anything last happened.
    pub heard_at: Option<Instant>,
    /// When the last round without an error ended.
    pub last_good_round: Option<Instant>,
}

/// Codes that are told apart; what comes after them is counted as one.
const MOST_CODES: usize = 32;
const OTHER_CODE: &str = "other";

impl Progress {
    /// Counts a request, and why it failed if it did.
    pub(super) fn note_request(&mut self, error: Option<&CloudWatchError>) {
        self.note_life();
        self.requests += 1;
        if let Some(error) = error {
            self.note_error(error.code());
        }
    }

    /// Counts an answer, and what is not whole in it.
    pub(super) fn note_answer(&mut self, request: &Request, harvest: &Harvest) {
        self.metrics_asked += request.series.len() as u64;
        self.late_points += harvest.late;
        self.changed_points += harvest.changed;
        for (_, code) in &harvest.left {
            self.note_error(code);
        }
    }

    /// Counts what is in the topic now.
    pub(super) fn note_commit(&mut self, harvest: &Harvest) {
        self.note_life();
        self.commits += 1;
        self.points += harvest.readings.len() as u64;
    }

    /// Notes the end of a round, and whether all was answered.
    pub(super) fn note_round(&mut self, behind_ms: Option<i64>, is_good: bool) {
        self.note_life();
        self.behind_ms = behind_ms;
        if is_good {
            self.last_good_round = Some(clock::instant());
        }
    }

    /// Notes that the collector still does something.
    pub(super) fn note_life(&mut self) {
        self.heard_at = Some(clock::instant());
    }

    /// Counts something that failed.
    fn note_error(&mut self, code: &str) {
        let is_known = self.errors.contains_key(code) || self.errors.len() < MOST_CODES;
        let code = if is_known { code } else { OTHER_CODE };
        *self.errors.entry(code.to_owned()).or_default() += 1;
    }
}
