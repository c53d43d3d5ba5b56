//! What one receiver is told: its route, what waits for it, and what it knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Telling;
use crate::alerts::{
    Digest, DigestKind, Kind, Message, Notification, ReceiverSettings, Severity, notification_id,
};

/// Openings within this time are counted for a storm.
const STORM_SPAN: TimeDelta = TimeDelta::minutes(5);
/// Episodes that a digest names.
const MOST_LINES: usize = 20;

/// One receiver.
#[derive(Debug)]
pub(super) struct Desk {
    settings: ReceiverSettings,
    zone: Tz,
    takes_digests: bool,
    /// What it has heard of each open episode that concerns it.
    standings: BTreeMap<String, Standing>,
    /// When episodes opened of late.
    openings: VecDeque<DateTime<Utc>>,
    storm: Option<Storm>,
    /// What waited in quiet hours and was over before their end.
    gone_in_quiet: u64,
    old: Option<OldNews>,
    /// Digests so far.
    digests: u64,
}

/// What the receiver knows of an open episode.
#[derive(Debug, Clone)]
enum Standing {
    /// It will be told, unless it is over before.
    Waiting { since: DateTime<Utc> },
    /// It was told, last at this time and as this severe.
    Told {
        at: DateTime<Utc>,
        severity: Severity,
        /// How many messages there were.
        count: u64,
    },
    /// It was told as a part of a storm.
    InStorm,
}

/// Many episodes that were told in one message, and are not over.
#[derive(Debug)]
struct Storm {
    since: DateTime<Utc>,
    count: u64,
    open: BTreeSet<String>,
}

/// What opened too long ago to be told by itself.
#[derive(Debug)]
struct OldNews {
    since: DateTime<Utc>,
    worst: Vec<Notification>,
    count: u64,
}

impl Desk {
    pub(super) fn new(settings: &ReceiverSettings, zone: Tz, takes_digests: bool) -> Self {
        Desk {
            settings: settings.clone(),
            zone,
            takes_digests,
            standings: BTreeMap::new(),
            openings: VecDeque::new(),
            storm: None,
            gone_in_quiet: 0,
            old: None,
            digests: 0,
        }
    }

    /// Hears of an anomaly; `is_first` says that its episode was not known before.
    pub(super) fn anomaly(
        &mut self,
        notification: &Notification,
        is_first: bool,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        match self.standings.get(&notification.episode).cloned() {
            None => self.open(notification, is_first, now),
            Some(Standing::Told { severity, count, .. }) if notification.severity > severity => {
                self.tell(notification, Kind::Worsened, count, now, tellings);
            }
            Some(_) => {}
        }
    }

    /// Hears of an episode that it has not been concerned with.
    fn open(&mut self, notification: &Notification, is_first: bool, now: DateTime<Utc>) {
        let series = notification.series.as_deref().unwrap_or_default();
        let is_taken = self
            .settings
            .takes(series, &notification.detector, notification.severity);
        if !is_taken || !self.settings.is_on_duty(now, self.zone) {
            return;
        }
        if now - notification.opened_at.to_utc() > delta(self.settings.max_age) {
            // Of an old episode only the beginning is news, not each of its anomalies.
            if is_first {
                let old = self.old.get_or_insert_with(|| OldNews {
                    since: now,
                    worst: Vec::new(),
                    count: 0,
                });
                old.count += 1;
                old.worst.push(notification.clone());
                keep_worst(&mut old.worst);
            }
            return;
        }
        let waiting = Standing::Waiting { since: now };
        self.standings.insert(notification.episode.clone(), waiting);
        self.openings.push_back(now);
    }

    /// Hears that an episode is over.
    pub(super) fn end(
        &mut self,
        notification: &Notification,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        match self.standings.remove(&notification.episode) {
            Some(Standing::Told { severity, count, .. }) => {
                let notification = Notification {
                    severity,
                    ..notification.clone()
                };
                tellings.push(self.telling(&notification, Kind::Ended, count, now));
            }
            Some(Standing::Waiting { since }) => {
                let was_held = self.wait_end(since) <= now && self.is_quiet(Severity::Warning, now);
                self.gone_in_quiet += u64::from(was_held);
            }
            Some(Standing::InStorm) => self.calm_down(notification, now, tellings),
            None => {}
        }
    }

    /// Tells what is due. `open` are the open episodes.
    pub(super) fn tick(
        &mut self,
        open: &BTreeMap<String, Notification>,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        self.tell_old(now, tellings);
        while self.openings.front().is_some_and(|at| now - *at > STORM_SPAN) {
            self.openings.pop_front();
        }
        let (quiet, loud) = self.take_due(open, now);
        let has_quiet = !quiet.is_empty() || self.gone_in_quiet > 0;
        if has_quiet && !self.is_quiet(Severity::Warning, now) {
            self.tell_of_quiet(quiet, now, tellings);
        }
        self.tell_openings(loud, now, tellings);
        self.remind(open, now, tellings);
    }

    /// When it has something to tell next.
    pub(super) fn due(
        &self,
        open: &BTreeMap<String, Notification>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let old = self
            .old
            .as_ref()
            .map(|old| old.since + delta(self.settings.group_wait));
        let gone = (self.gone_in_quiet > 0).then(|| self.quiet_end(now));
        let of_episodes = self
            .standings
            .iter()
            .filter_map(|(episode, standing)| self.due_of(standing, open.get(episode)?.severity, now));
        of_episodes.chain(old).chain(gone).min()
    }

    fn due_of(&self, standing: &Standing, severity: Severity, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match standing {
            Standing::Waiting { since } => {
                let due = self.wait_end(*since);
                let is_held = self.is_quiet(severity, due.max(now));
                Some(if is_held {
                    self.quiet_end(due.max(now))
                } else {
                    due
                })
            }
            Standing::Told {
                at,
                severity: Severity::Critical,
                ..
            } if !self.settings.repeat.is_zero() => Some(*at + delta(self.settings.repeat)),
            Standing::Told { .. } | Standing::InStorm => None,
        }
    }

    /// Takes out the episodes whose wait is over: those that waited for the end of quiet hours, and the others.
    fn take_due(
        &mut self,
        open: &BTreeMap<String, Notification>,
        now: DateTime<Utc>,
    ) -> (Vec<Notification>, Vec<Notification>) {
        let (mut quiet, mut loud) = (Vec::new(), Vec::new());
        for (episode, standing) in &self.standings {
            let (Standing::Waiting { since }, Some(notification)) = (standing, open.get(episode)) else {
                continue;
            };
            let severity = notification.severity;
            if self.due_of(standing, severity, now).is_some_and(|due| due <= now) {
                let was_held = self.is_quiet(severity, self.wait_end(*since));
                let due = if was_held { &mut quiet } else { &mut loud };
                due.push(notification.clone());
            }
        }
        (quiet, loud)
    }

    /// Tells openings: each by itself, or all in one message if there are many.
    fn tell_openings(&mut self, due: Vec<Notification>, now: DateTime<Utc>, tellings: &mut Vec<Telling>) {
        if due.is_empty() {
            return;
        }
        let is_storm =
            self.takes_digests && self.settings.storm > 0 && self.openings.len() > self.settings.storm;
        if !is_storm && self.storm.is_none() {
            for notification in due {
                self.tell(&notification, Kind::Opened, 0, now, tellings);
            }
            return;
        }
        let since = due.iter().map(|one| one.opened_at.to_utc()).min().unwrap_or(now);
        let is_new = self.storm.is_none();
        let storm = self.storm.get_or_insert_with(|| Storm {
            since,
            count: 0,
            open: BTreeSet::new(),
        });
        storm.count += due.len() as u64;
        for notification in &due {
            storm.open.insert(notification.episode.clone());
            self.standings
                .insert(notification.episode.clone(), Standing::InStorm);
        }
        // Who joins a storm is told of with its end.
        if is_new {
            let title = format!("{} episodes since {}", due.len(), self.clock(since));
            self.digest(DigestKind::Storm, title, due, now, tellings);
        }
    }

    /// An episode of a storm is over, and with the last one the storm.
    fn calm_down(&mut self, notification: &Notification, now: DateTime<Utc>, tellings: &mut Vec<Telling>) {
        let Some(storm) = self.storm.as_mut() else {
            return;
        };
        storm.open.remove(&notification.episode);
        if !storm.open.is_empty() {
            return;
        }
        let (since, count) = (storm.since, storm.count);
        self.storm = None;
        let title = format!("All {count} episodes since {} are over", self.clock(since));
        self.digest(DigestKind::Storm, title, Vec::new(), now, tellings);
    }

    /// At the end of quiet hours: what is still open, and how many came and went.
    fn tell_of_quiet(&mut self, open: Vec<Notification>, now: DateTime<Utc>, tellings: &mut Vec<Telling>) {
        let gone = std::mem::take(&mut self.gone_in_quiet);
        if !self.takes_digests {
            for notification in open {
                self.tell(&notification, Kind::Opened, 0, now, tellings);
            }
            return;
        }
        for notification in &open {
            let told = Standing::Told {
                at: now,
                severity: notification.severity,
                count: 0,
            };
            self.standings.insert(notification.episode.clone(), told);
        }
        let title = format!("In quiet hours: {} still open, {gone} came and went", open.len());
        self.digest(DigestKind::Quiet, title, open, now, tellings);
    }

    fn tell_old(&mut self, now: DateTime<Utc>, tellings: &mut Vec<Telling>) {
        let wait = delta(self.settings.group_wait);
        let Some(old) = self.old.take_if(|old| now - old.since >= wait) else {
            return;
        };
        if self.takes_digests {
            let title = format!(
                "{} episodes are old news: they opened more than {} ago",
                old.count,
                age(self.settings.max_age)
            );
            let omitted = old.count - old.worst.len() as u64;
            self.digest_of(DigestKind::Old, title, old.worst, omitted, now, tellings);
        }
    }

    fn remind(
        &mut self,
        open: &BTreeMap<String, Notification>,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        let mut due = Vec::new();
        for (episode, standing) in &self.standings {
            let Standing::Told { count, severity, .. } = standing else {
                continue;
            };
            if self
                .due_of(standing, *severity, now)
                .is_some_and(|due| due <= now)
                && let Some(notification) = open.get(episode)
            {
                due.push((notification.clone(), *count));
            }
        }
        for (notification, count) in due {
            let notification = Notification {
                at: now.with_timezone(notification.at.offset()),
                ..notification
            };
            self.tell(&notification, Kind::Reminded, count, now, tellings);
        }
    }

    /// Tells of one episode, and notes it.
    fn tell(
        &mut self,
        notification: &Notification,
        kind: Kind,
        count: u64,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        let told = Standing::Told {
            at: now,
            severity: notification.severity,
            count: count + 1,
        };
        self.standings.insert(notification.episode.clone(), told);
        tellings.push(self.telling(notification, kind, count, now));
    }

    fn telling(&self, notification: &Notification, kind: Kind, count: u64, now: DateTime<Utc>) -> Telling {
        let message = Message::Episode(Notification {
            id: notification_id(&self.settings.name, &notification.episode, count),
            kind,
            ..notification.clone()
        });
        self.to(message, now)
    }

    fn digest(
        &mut self,
        kind: DigestKind,
        title: String,
        mut lines: Vec<Notification>,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        let count = lines.len();
        keep_worst(&mut lines);
        let omitted = (count - lines.len()) as u64;
        self.digest_of(kind, title, lines, omitted, now, tellings);
    }

    fn digest_of(
        &mut self,
        kind: DigestKind,
        title: String,
        lines: Vec<Notification>,
        omitted: u64,
        now: DateTime<Utc>,
        tellings: &mut Vec<Telling>,
    ) {
        let subject = format!("digest/{}/{}", kind.name(), now.timestamp_millis());
        let message = Message::Digest(Digest {
            id: notification_id(&self.settings.name, &subject, self.digests),
            kind,
            title,
            lines,
            omitted,
            at: now.with_timezone(&self.zone).fixed_offset(),
            is_test: false,
        });
        self.digests += 1;
        tellings.push(self.to(message, now));
    }

    fn to(&self, message: Message, at: DateTime<Utc>) -> Telling {
        Telling {
            receiver: self.settings.name.clone(),
            at,
            message,
        }
    }

    /// When what opened at `since` is told, unless it is over or the hours are quiet.
    fn wait_end(&self, since: DateTime<Utc>) -> DateTime<Utc> {
        since + delta(self.settings.group_wait.max(self.settings.min_duration))
    }

    /// Whether something this severe is not told at this time.
    fn is_quiet(&self, severity: Severity, time: DateTime<Utc>) -> bool {
        severity == Severity::Warning && self.settings.quiet.cover(time, self.zone)
    }

    /// When the quiet hours of this time end; a week later if they never do.
    fn quiet_end(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        if !self.settings.quiet.cover(time, self.zone) {
            return time;
        }
        self.settings
            .quiet
            .end_after(time, self.zone)
            .unwrap_or(time + TimeDelta::weeks(1))
    }

    /// A time on the receiver's wall clock.
    fn clock(&self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self.zone).format("%a %H:%M").to_string()
    }
}

/// The worst first, and of equal ones the oldest; no more than a digest names.
fn keep_worst(notifications: &mut Vec<Notification>) {
    notifications.sort_by(|one, other| {
        let by_severity = other.severity.cmp(&one.severity);
        by_severity.then_with(|| one.opened_at.cmp(&other.opened_at))
    });
    notifications.truncate(MOST_LINES);
}

/// The check of the settings has refused durations beyond a month.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn age(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
