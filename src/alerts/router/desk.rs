//! What one receiver is told: its route, what waits for it, and what it knows.

mod digests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::hush::{Hush, View};
use super::share::{Share, Shares};
use super::{Decisions, EXPECTED, OpenEpisode, RouterKey, Telling};
use crate::alerts::{Kind, Message, Notification, ReceiverSettings, Severity, notification_id};

/// Openings within this time are counted for a storm.
const STORM_SPAN: TimeDelta = TimeDelta::minutes(5);

/// One receiver.
#[derive(Debug)]
pub(super) struct Desk {
    settings: ReceiverSettings,
    zone: Tz,
    takes_digests: bool,
    /// What it has heard of each open episode that concerns it.
    standings: BTreeMap<String, Standing>,
    shares: Shares,
    /// When episodes opened of late.
    openings: VecDeque<DateTime<Utc>>,
    /// When the first of the openings came that go out together.
    group_since: Option<DateTime<Utc>>,
}

/// What the receiver knows of an open episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It will be told, unless it is over before.
    Waiting {
        /// When, unless the hours are quiet.
        due: DateTime<Utc>,
    },
    /// It was told, last at this time and as this severe.
    Told {
        at: DateTime<Utc>,
        severity: Severity,
        /// How many messages there were.
        count: u64,
    },
    /// It was told as a part of a storm.
    InStorm,
    /// Somebody has said that it was expected: nothing more is told of it.
    Closed,
}

impl Desk {
    pub(super) fn new(settings: &ReceiverSettings, zone: Tz, takes_digests: bool) -> Self {
        Desk {
            settings: settings.clone(),
            zone,
            takes_digests,
            standings: BTreeMap::new(),
            shares: Shares::default(),
            openings: VecDeque::new(),
            group_since: None,
        }
    }

    /// The receiver's.
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn standing(&self, episode: &str) -> Option<&Standing> {
        self.standings.get(episode)
    }

    pub(super) fn share(&self, partition: i32) -> Option<&Share> {
        self.shares.0.get(&partition)
    }

    /// Takes up what it knew of an open episode.
    pub(super) fn assign(&mut self, episode: &str, standing: Standing) {
        self.standings.insert(episode.to_owned(), standing);
    }

    /// Takes up what waited of a partition.
    pub(super) fn assign_share(&mut self, partition: i32, share: Share) {
        self.shares.0.insert(partition, share);
    }

    /// Forgets a partition and its open episodes.
    pub(super) fn revoke(&mut self, partition: i32, episodes: &[String]) {
        self.shares.0.remove(&partition);
        for episode in episodes {
            self.standings.remove(episode);
        }
    }

    /// Hears of an anomaly; `is_first` says that its episode was not known before. That it is worse, [`tell_again`](Self::tell_again) tells.
    pub(super) fn anomaly(&mut self, heard: &OpenEpisode, is_first: bool, decisions: &mut Decisions) {
        if !self.standings.contains_key(&heard.notification.episode) {
            self.open(heard, is_first, decisions);
        }
    }

    /// Hears of an episode that it has not been concerned with.
    fn open(&mut self, heard: &OpenEpisode, is_first: bool, decisions: &mut Decisions) {
        let OpenEpisode {
            partition,
            notification,
        } = heard;
        let now = decisions.now;
        let series = notification.series.as_deref().unwrap_or_default();
        let is_taken = self
            .settings
            .takes(series, &notification.detector, notification.severity);
        if !is_taken || !self.settings.is_on_duty(now, self.zone) {
            return;
        }
        if now - notification.at.to_utc() > delta(self.settings.max_age) {
            // Of an old episode only the beginning is news, not each of its anomalies.
            if is_first {
                self.shares.of(*partition).add_old(notification, now);
                decisions
                    .changed
                    .insert(RouterKey::share(*partition, self.name()));
            }
            return;
        }
        let due = self.group_due(now).max(now + delta(self.settings.min_duration));
        self.standings
            .insert(notification.episode.clone(), Standing::Waiting { due });
        self.openings.push_back(now);
    }

    /// When the group goes out that an opening at `now` belongs to: at once, if nothing opened before it.
    fn group_due(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let wait = delta(self.settings.group_wait);
        match self.group_since {
            Some(since) if now - since < wait => since + wait,
            _ => {
                self.group_since = Some(now);
                now
            }
        }
    }

    /// Hears that an episode is over.
    pub(super) fn end(
        &mut self,
        partition: i32,
        notification: &Notification,
        view: View<'_>,
        decisions: &mut Decisions,
    ) {
        let now = decisions.now;
        match self.standings.remove(&notification.episode) {
            Some(Standing::Told { severity, count, .. }) => {
                let notification = Notification {
                    severity,
                    ..notification.clone()
                };
                let ended = OpenEpisode {
                    partition,
                    notification,
                };
                let telling = self.telling(&ended, Kind::Ended, count, now);
                decisions.tellings.push(telling);
            }
            Some(Standing::Waiting { due }) => {
                if let Some(reason) = view.hush(notification, now) {
                    decisions.suppress(self.name(), reason);
                } else if due <= now && self.is_quiet(Severity::Warning, now) {
                    self.shares.of(partition).gone_in_quiet += 1;
                    decisions.changed.insert(RouterKey::share(partition, self.name()));
                }
            }
            // The end of the last one ends the storm: `tick` tells.
            Some(Standing::InStorm | Standing::Closed) | None => {}
        }
    }

    /// Tells what is due.
    pub(super) fn tick(&mut self, view: View<'_>, decisions: &mut Decisions) {
        let now = decisions.now;
        self.close_expected(view, decisions);
        self.tell_old(decisions);
        self.calm_down(decisions);
        while self.openings.front().is_some_and(|at| now - *at > STORM_SPAN) {
            self.openings.pop_front();
        }
        let (quiet, loud) = self.take_due(view, now);
        let has_quiet = !quiet.is_empty() || self.shares.gone_in_quiet() > 0;
        if has_quiet && !self.is_quiet(Severity::Warning, now) {
            self.tell_of_quiet(quiet, decisions);
        }
        self.tell_openings(loud, decisions);
        self.tell_again(view, decisions);
    }

    /// When it has something to tell next, if nothing else is said until then.
    pub(super) fn due(&self, view: View<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let gone = (self.shares.gone_in_quiet() > 0).then(|| self.quiet_end(now));
        let calm = self.is_calm_after_storm().then_some(now);
        let of_episodes = self.standings.iter().filter_map(|(episode, standing)| {
            let notification = &view.open.get(episode)?.notification;
            let due = self.due_of(standing, notification.severity, now)?;
            view.hush(notification, now).is_none().then_some(due)
        });
        of_episodes
            .chain(self.shares.old_due())
            .chain(gone)
            .chain(calm)
            .min()
    }

    fn due_of(&self, standing: &Standing, severity: Severity, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match standing {
            Standing::Waiting { due } => {
                let due = *due;
                let is_held = self.is_quiet(severity, due.max(now));
                Some(if is_held {
                    self.quiet_end(due.max(now))
                } else {
                    due
                })
            }
            Standing::Told { severity: told, .. } if severity > *told => Some(now),
            Standing::Told {
                at,
                severity: Severity::Critical,
                ..
            } if !self.settings.repeat.is_zero() => Some(*at + delta(self.settings.repeat)),
            Standing::Told { .. } | Standing::InStorm | Standing::Closed => None,
        }
    }

    /// Takes out the episodes whose wait is over: those that waited for the end of quiet hours, and the others.
    fn take_due(&self, view: View<'_>, now: DateTime<Utc>) -> (Vec<OpenEpisode>, Vec<OpenEpisode>) {
        let (mut quiet, mut loud) = (Vec::new(), Vec::new());
        for (episode, standing) in &self.standings {
            let (Standing::Waiting { due }, Some(heard)) = (standing, view.open.get(episode)) else {
                continue;
            };
            let severity = heard.notification.severity;
            let is_due = self.due_of(standing, severity, now).is_some_and(|due| due <= now);
            if is_due && view.hush(&heard.notification, now).is_none() {
                let was_held = self.is_quiet(severity, *due);
                let due = if was_held { &mut quiet } else { &mut loud };
                due.push(heard.clone());
            }
        }
        (quiet, loud)
    }

    /// Tells what has become worse, and reminds of what is critical.
    pub(super) fn tell_again(&mut self, view: View<'_>, decisions: &mut Decisions) {
        let now = decisions.now;
        let mut due = Vec::new();
        for (episode, standing) in &self.standings {
            let (Standing::Told { count, severity, .. }, Some(heard)) = (standing, view.open.get(episode))
            else {
                continue;
            };
            let is = heard.notification.severity;
            let is_due = self.due_of(standing, is, now).is_some_and(|due| due <= now);
            if is_due && view.hush(&heard.notification, now).is_none() {
                due.push((heard.clone(), is > *severity, *count));
            }
        }
        for (mut heard, is_worse, count) in due {
            if is_worse {
                self.tell(&heard, Kind::Worsened, count, decisions);
            } else {
                heard.notification.at = now.with_timezone(heard.notification.at.offset());
                self.tell(&heard, Kind::Reminded, count, decisions);
            }
        }
    }

    /// Closes what was said to be expected; whoever was told of it is told that, too.
    fn close_expected(&mut self, view: View<'_>, decisions: &mut Decisions) {
        if view.opinions.is_empty() {
            return;
        }
        let now = decisions.now;
        let standings = self.standings.iter();
        let is_open = standings.filter(|(_, standing)| **standing != Standing::Closed);
        let expected: Vec<(OpenEpisode, Standing, String)> = is_open
            .filter_map(|(episode, standing)| {
                let heard = view.open.get(episode)?;
                let why = view.expectation(&heard.notification, now)?;
                Some((heard.clone(), standing.clone(), why))
            })
            .collect();
        for (mut heard, standing, why) in expected {
            match standing {
                Standing::Told { count, .. } => {
                    heard.notification.cause = EXPECTED.to_owned();
                    heard.notification.explanation = why;
                    heard.notification.at = now.with_timezone(heard.notification.at.offset());
                    let telling = self.telling(&heard, Kind::Ended, count, now);
                    decisions.tellings.push(telling);
                }
                Standing::Waiting { .. } => decisions.suppress(self.name(), Hush::Expected),
                Standing::InStorm | Standing::Closed => {}
            }
            self.stand(&heard, Standing::Closed, decisions);
        }
    }

    /// Tells of one episode, and notes it.
    fn tell(&mut self, heard: &OpenEpisode, kind: Kind, count: u64, decisions: &mut Decisions) {
        let told = Standing::Told {
            at: decisions.now,
            severity: heard.notification.severity,
            count: count + 1,
        };
        self.stand(heard, told, decisions);
        let telling = self.telling(heard, kind, count, decisions.now);
        decisions.tellings.push(telling);
    }

    fn stand(&mut self, heard: &OpenEpisode, standing: Standing, decisions: &mut Decisions) {
        let episode = &heard.notification.episode;
        self.standings.insert(episode.clone(), standing);
        decisions
            .changed
            .insert(RouterKey::episode(heard.partition, episode));
    }

    fn telling(&self, heard: &OpenEpisode, kind: Kind, count: u64, now: DateTime<Utc>) -> Telling {
        let notification = &heard.notification;
        let message = Message::Episode(Notification {
            id: notification_id(&self.settings.name, &notification.episode, count),
            kind,
            ..notification.clone()
        });
        self.to(message, heard.partition, now)
    }

    fn to(&self, message: Message, partition: i32, at: DateTime<Utc>) -> Telling {
        Telling {
            receiver: self.settings.name.clone(),
            partition,
            at,
            message,
        }
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
}

/// The check of the settings has refused durations beyond a month.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
