//! What a receiver is told of many episodes at once: storms, quiet hours, old news.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::share::{OldNews, Share, Storm, keep_worst};
use super::super::{Decisions, OpenEpisode, RouterKey};
use super::{Desk, Standing};
use crate::alerts::{Digest, DigestKind, Kind, Message, Notification, notification_id};

impl Desk {
    /// Tells openings: each by itself, or all in one message if there are many.
    pub(super) fn tell_openings(&mut self, due: Vec<OpenEpisode>, decisions: &mut Decisions) {
        let is_storm =
            self.takes_digests && self.settings.storm > 0 && self.openings.len() > self.settings.storm;
        let storm = self.shares.storm();
        if due.is_empty() || (!is_storm && storm.is_none()) {
            for heard in due {
                self.tell(&heard, Kind::Opened, 0, decisions);
            }
            return;
        }
        let since = self.join_storm(&due, decisions);
        // Who joins a storm is told of with its end.
        if storm.is_none() {
            let title = format!("{} episodes since {}", due.len(), self.clock(since));
            self.digest(DigestKind::Storm, title, due, decisions);
        }
    }

    /// Notes episodes as a part of the storm that goes on or begins; gives when the first of them began.
    fn join_storm(&mut self, episodes: &[OpenEpisode], decisions: &mut Decisions) -> DateTime<Utc> {
        let since = episodes
            .iter()
            .map(|one| one.notification.opened_at.to_utc())
            .min();
        let since = since.unwrap_or(decisions.now);
        for heard in episodes {
            let storm = self
                .shares
                .of(heard.partition)
                .storm
                .get_or_insert(Storm { since, count: 0 });
            storm.count += 1;
            self.stand(heard, Standing::InStorm, decisions);
            decisions
                .changed
                .insert(RouterKey::share(heard.partition, self.name()));
        }
        since
    }

    /// Whether there was a storm, and all of it is over.
    pub(super) fn is_calm_after_storm(&self) -> bool {
        self.shares.storm().is_some()
            && !self
                .standings
                .values()
                .any(|standing| *standing == Standing::InStorm)
    }

    /// Tells that a storm is over.
    pub(super) fn calm_down(&mut self, decisions: &mut Decisions) {
        if !self.is_calm_after_storm() {
            return;
        }
        let Some(Storm { since, count }) = self.shares.storm() else {
            return;
        };
        let title = format!("All {count} episodes since {} are over", self.clock(since));
        let partition = self.shares.first(|share| share.storm.is_some());
        self.clear_shares(decisions, |share| share.storm.take().is_some());
        self.digest_of(DigestKind::Storm, title, Vec::new(), 0, partition, decisions);
    }

    /// At the end of quiet hours: what is still open, and how many came and went.
    pub(super) fn tell_of_quiet(&mut self, open: Vec<OpenEpisode>, decisions: &mut Decisions) {
        let gone = self.shares.gone_in_quiet();
        let of_gone = self.shares.first(|share| share.gone_in_quiet > 0);
        self.clear_shares(decisions, |share| std::mem::take(&mut share.gone_in_quiet) > 0);
        if !self.takes_digests {
            for heard in open {
                self.tell(&heard, Kind::Opened, 0, decisions);
            }
            return;
        }
        let title = format!("In quiet hours: {} still open, {gone} came and went", open.len());
        if self.settings.storm > 0 && open.len() > self.settings.storm {
            self.join_storm(&open, decisions);
        } else {
            for heard in &open {
                let told = Standing::Told {
                    at: decisions.now,
                    severity: heard.notification.severity,
                    count: 0,
                };
                self.stand(heard, told, decisions);
            }
        }
        match open.is_empty() {
            true => self.digest_of(DigestKind::Quiet, title, Vec::new(), 0, of_gone, decisions),
            false => self.digest(DigestKind::Quiet, title, open, decisions),
        }
    }

    pub(super) fn tell_old(&mut self, decisions: &mut Decisions) {
        let partition = self.shares.first(|share| share.old.is_some());
        let with_old: Vec<i32> = self.partitions_with(|share| share.old.is_some());
        let Some(OldNews { worst, count, .. }) = self.shares.take_old(decisions.now) else {
            return;
        };
        let changed = with_old.into_iter().map(|of| RouterKey::share(of, self.name()));
        decisions.changed.extend(changed);
        if self.takes_digests {
            let title = format!(
                "{count} episodes are old news: they came more than {} late",
                age(self.settings.max_age)
            );
            let omitted = count - worst.len() as u64;
            self.digest_of(DigestKind::Old, title, worst, omitted, partition, decisions);
        }
    }

    fn partitions_with(&self, is_of: impl Fn(&Share) -> bool) -> Vec<i32> {
        let found = self.shares.0.iter().filter(|(_, share)| is_of(share));
        found.map(|(partition, _)| *partition).collect()
    }

    /// Clears something in all shares; `clear` says whether it was there.
    fn clear_shares(&mut self, decisions: &mut Decisions, clear: impl Fn(&mut Share) -> bool) {
        for (partition, share) in &mut self.shares.0 {
            if clear(share) {
                let key = RouterKey::share(*partition, &self.settings.name);
                decisions.changed.insert(key);
            }
        }
    }

    fn digest(&self, kind: DigestKind, title: String, episodes: Vec<OpenEpisode>, decisions: &mut Decisions) {
        let partition = episodes.first().map_or(0, |first| first.partition);
        let mut lines: Vec<Notification> = episodes.into_iter().map(|one| one.notification).collect();
        let count = lines.len();
        keep_worst(&mut lines);
        let omitted = (count - lines.len()) as u64;
        self.digest_of(kind, title, lines, omitted, partition, decisions);
    }

    fn digest_of(
        &self,
        kind: DigestKind,
        title: String,
        lines: Vec<Notification>,
        omitted: u64,
        partition: i32,
        decisions: &mut Decisions,
    ) {
        let now = decisions.now;
        // At one moment there is at most one of a kind with lines, and one without.
        let subject = format!("digest/{}/{partition}/{}", kind.name(), now.timestamp_millis());
        let message = Message::Digest(Digest {
            id: notification_id(&self.settings.name, &subject, u64::from(lines.is_empty())),
            kind,
            title,
            lines,
            omitted,
            at: now.with_timezone(&self.zone).fixed_offset(),
            is_test: false,
        });
        decisions.tellings.push(self.to(message, partition, now));
    }

    /// A time on the receiver's wall clock.
    fn clock(&self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self.zone).format("%a %H:%M").to_string()
    }
}

fn age(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
