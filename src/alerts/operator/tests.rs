//! Two processes tell one receiver of two partitions' episodes, and anything may happen to them between any two steps: they
//! crash, lose partitions, and never learn whether a message has arrived.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::alerts::notification::fixture;
use crate::alerts::{Kind, Message, Notification, Severity};
use crate::config::config_of;

const GROUP: &str = "streamgauge-alert";
const PARTITIONS: usize = 2;

fn settings(kind: &str) -> Settings {
    let mut given = vec![
        ("alert.receiver.ops.kind", kind),
        ("alert.receiver.ops.group_wait", "0s"),
        ("alert.receiver.ops.storm", "0"),
        ("alert.receiver.ops.repeat", "0s"),
        ("alert.receiver.ops.max_age", "30d"),
    ];
    given.push(match kind {
        "pagerduty" => (
            "alert.receiver.ops.routing_key",
            "0123456789abcdef0123456789abcdef",
        ),
        _ => ("alert.receiver.ops.url", "https://hooks.slack.com/services/T/B/x"),
    });
    config_of(&given).alert
}

/// What the topic of anomalies says: of a partition's episode, as bad as this, or that it is over.
#[derive(Debug, Clone, Copy)]
struct Said {
    episode: u32,
    severity: Severity,
    is_end: bool,
}

/// One partition's messages: episodes one after another, each of which opens, may become worse, and ends.
fn partition() -> impl Strategy<Value = Vec<Said>> {
    let episode = prop::collection::vec(any::<bool>(), 1..4);
    prop::collection::vec(episode, 1..5).prop_map(|episodes| {
        let mut said = Vec::new();
        for (number, severities) in (0..).zip(episodes) {
            let one = |severity, is_end| Said {
                episode: number,
                severity,
                is_end,
            };
            for is_critical in severities {
                let severity = if is_critical {
                    Severity::Critical
                } else {
                    Severity::Warning
                };
                said.push(one(severity, false));
            }
            said.push(one(Severity::Warning, true));
        }
        said
    })
}

/// What happens next, to the process of this number.
#[derive(Debug, Clone, Copy)]
enum Step {
    TakeIn { process: usize },
    Commit { process: usize, dies: Option<bool> },
    Send { process: usize, outcome: Outcome },
    Crash { process: usize },
    Move { partition: usize, to: usize },
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Arrives,
    Fails,
    /// It arrives, and the sender never hears of it.
    ArrivesInSilence,
    /// It arrives, and the sender dies.
    Dies,
}

fn step() -> impl Strategy<Value = Step> {
    let process = 0..2usize;
    prop_oneof![
        4 => process.clone().prop_map(|process| Step::TakeIn { process }),
        4 => (process.clone(), prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(process, dies)| Step::Commit { process, dies }),
        5 => (process.clone(), prop_oneof![
            3 => Just(Outcome::Arrives),
            1 => Just(Outcome::Fails),
            1 => Just(Outcome::ArrivesInSilence),
            1 => Just(Outcome::Dies),
        ]).prop_map(|(process, outcome)| Step::Send { process, outcome }),
        1 => process.clone().prop_map(|process| Step::Crash { process }),
        1 => (0..PARTITIONS, process).prop_map(|(partition, to)| Step::Move { partition, to }),
    ]
}

struct World {
    settings: Settings,
    topic: Vec<Vec<Said>>,
    /// The compacted topic.
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The group's offsets.
    offsets: [usize; PARTITIONS],
    owners: [usize; PARTITIONS],
    processes: Vec<Process>,
    now: DateTime<Utc>,
    /// What has arrived, in order: id, episode and kind.
    arrived: Vec<(String, String, Kind)>,
}

struct Process {
    operator: AlertOperator,
    positions: [usize; PARTITIONS],
}

impl World {
    fn new(settings: Settings, topic: Vec<Vec<Said>>) -> Self {
        let process = || Process {
            operator: operator(&settings),
            positions: [0; PARTITIONS],
        };
        World {
            topic,
            state: BTreeMap::new(),
            offsets: [0; PARTITIONS],
            owners: [0, 1],
            processes: vec![process(), process()],
            now: fixture::opened().at.to_utc(),
            arrived: Vec::new(),
            settings,
        }
    }

    fn transition(&self, partition: usize, said: Said) -> Transition {
        Transition {
            partition: i32::try_from(partition).unwrap(),
            is_expected: false,
            is_end: said.is_end,
            notification: Notification {
                episode: format!("{partition}/{}", said.episode),
                series: Some(format!("boiler-{partition}")),
                severity: said.severity,
                at: self.now.fixed_offset(),
                ..fixture::opened()
            },
        }
    }

    fn step(&mut self, step: Step) {
        self.now += TimeDelta::seconds(1);
        match step {
            Step::TakeIn { process } => self.take_in(process),
            Step::Commit { process, dies } => self.commit(process, dies),
            Step::Send { process, outcome } => self.send(process, outcome),
            Step::Crash { process } => self.start(process),
            Step::Move { partition, to } => {
                let from = std::mem::replace(&mut self.owners[partition], to);
                self.processes[from]
                    .operator
                    .revoke(i32::try_from(partition).unwrap());
                self.processes[to]
                    .operator
                    .revoke(i32::try_from(partition).unwrap());
                self.assign(to, partition);
            }
        }
    }

    fn take_in(&mut self, process: usize) {
        for partition in 0..PARTITIONS {
            let position = self.processes[process].positions[partition];
            if self.owners[partition] == process
                && let Some(said) = self.topic[partition].get(position)
            {
                let transition = self.transition(partition, *said);
                self.processes[process].positions[partition] += 1;
                self.processes[process].operator.step(transition, self.now);
            }
        }
    }

    /// Commits what changed with the positions; a process that dies does so before or after.
    fn commit(&mut self, process: usize, dies: Option<bool>) {
        let changes = self.processes[process].operator.seal();
        if dies != Some(true) {
            for (key, record) in changes {
                match record {
                    Some(record) => self.state.insert(key.encode(GROUP), record.encode()),
                    None => self.state.remove(&key.encode(GROUP)),
                };
            }
            for partition in 0..PARTITIONS {
                if self.owners[partition] == process {
                    self.offsets[partition] = self.processes[process].positions[partition];
                }
            }
            self.processes[process].operator.committed();
        }
        if dies.is_some() {
            self.start(process);
        }
    }

    fn send(&mut self, process: usize, outcome: Outcome) {
        let operator = &mut self.processes[process].operator;
        let Some(attempt) = operator.next("ops", self.now) else {
            return;
        };
        if !matches!(outcome, Outcome::Fails)
            && let Message::Episode(told) = &attempt.message
        {
            self.arrived
                .push((told.id.clone(), told.episode.clone(), told.kind));
        }
        let silence = SendError::Unreachable {
            host: String::new(),
            cause: String::new(),
        };
        match outcome {
            Outcome::Arrives => operator.finish(&attempt, Ok(Receipt::default()), self.now),
            Outcome::Fails | Outcome::ArrivesInSilence => operator.finish(&attempt, Err(&silence), self.now),
            Outcome::Dies => self.start(process),
        }
    }

    /// Starts a process anew, in place of the one that was.
    fn start(&mut self, process: usize) {
        self.processes[process].operator = operator(&self.settings);
        for partition in 0..PARTITIONS {
            if self.owners[partition] == process {
                self.assign(process, partition);
            }
        }
    }

    fn assign(&mut self, process: usize, partition: usize) {
        let Process { operator, positions } = &mut self.processes[process];
        positions[partition] = self.offsets[partition];
        for (key, value) in &self.state {
            let (group, key) = StateKey::decode(key).unwrap();
            assert_eq!(group, GROUP);
            if key.partition() == i32::try_from(partition).unwrap() {
                let record = StateRecord::decode(&key, value).unwrap();
                operator.assign(key, record, self.now);
            }
        }
    }

    /// Records a week after everything: by then even who was told is forgotten.
    fn left(&mut self) -> usize {
        self.now += TimeDelta::days(8);
        for process in [0, 1] {
            self.processes[process].operator.tick(self.now);
            self.commit(process, None);
        }
        self.state.len()
    }

    /// Goes on without faults until nothing is left to do.
    fn come_to_rest(&mut self) {
        for process in [0, 1] {
            self.start(process);
        }
        for _ in 0..200 {
            for process in [0, 1] {
                self.step(Step::TakeIn { process });
                self.step(Step::Commit { process, dies: None });
                let outcome = Outcome::Arrives;
                self.step(Step::Send { process, outcome });
            }
        }
    }
}

fn operator(settings: &Settings) -> AlertOperator {
    let receivers: Vec<Receiver> = settings
        .receivers
        .iter()
        .map(|receiver| Receiver::new(receiver).unwrap())
        .collect();
    AlertOperator::new(settings, Tz::UTC, &receivers).unwrap()
}

/// What somebody hears of each episode who hears everything.
fn everything(topic: &[Vec<Said>]) -> BTreeMap<String, Vec<Kind>> {
    let mut heard: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for (partition, said) in topic.iter().enumerate() {
        let mut worst = BTreeMap::new();
        for said in said {
            let kinds = heard.entry(format!("{partition}/{}", said.episode)).or_default();
            match worst.get(&said.episode) {
                _ if said.is_end => kinds.push(Kind::Ended),
                None => kinds.push(Kind::Opened),
                Some(worst) if said.severity > *worst => kinds.push(Kind::Worsened),
                Some(_) => {}
            }
            let worst = worst.entry(said.episode).or_insert(said.severity);
            *worst = said.severity.max(*worst);
        }
    }
    heard
}

/// What has arrived of each episode, without what came twice.
fn told(arrived: &[(String, String, Kind)]) -> BTreeMap<String, Vec<Kind>> {
    let mut ids = BTreeSet::new();
    let mut told: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for (id, episode, kind) in arrived {
        if ids.insert(id) {
            told.entry(episode.clone()).or_default().push(*kind);
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever dies and whatever is lost, every transition arrives, each under one id, in order, and nothing of an episode
    /// arrives after its end.
    #[test]
    fn everything_is_told_once_and_in_order_whatever_happens(
        topic in prop::collection::vec(partition(), PARTITIONS..=PARTITIONS),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::new(settings("slack"), topic);
        for step in steps {
            world.step(step);
        }
        world.come_to_rest();
        prop_assert_eq!(told(&world.arrived), everything(&world.topic));
        let mut last = BTreeMap::new();
        for (id, episode, kind) in &world.arrived {
            let before = last.insert(episode, (kind, id));
            let is_after_end = before.is_some_and(|(before, ended)| *before == Kind::Ended && ended != id);
            prop_assert!(!is_after_end, "{} after its end", episode);
        }
        prop_assert_eq!(world.left(), 0, "nothing is left to know");
        prop_assert!(!world.processes[0].operator.is_busy());
    }

    /// Who keeps the state of episodes is not told what is over before it could be, and never of an opening after an end.
    #[test]
    fn whoever_keeps_state_ends_with_it_right(
        topic in prop::collection::vec(partition(), PARTITIONS..=PARTITIONS),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::new(settings("pagerduty"), topic);
        for step in steps {
            world.step(step);
        }
        world.come_to_rest();
        let mut open = BTreeSet::new();
        let mut ended = BTreeSet::new();
        for (_, episode, kind) in &world.arrived {
            match kind {
                Kind::Ended => {
                    open.remove(episode);
                    ended.insert(episode);
                }
                _ => {
                    prop_assert!(!ended.contains(episode), "{} after its end", episode);
                    open.insert(episode);
                }
            }
        }
        prop_assert_eq!(open, BTreeSet::new());
        prop_assert_eq!(world.left(), 0);
    }
}

/// Without the rule that only what is committed is sent, somebody would hear of an opening after the end.
#[test]
fn a_message_waits_for_its_own_commit_and_for_that_of_the_one_before() {
    let one = |is_end| Said {
        episode: 0,
        severity: Severity::Warning,
        is_end,
    };
    let mut world = World::new(settings("slack"), vec![vec![one(false), one(true)], Vec::new()]);
    let process = 0;
    let send = Step::Send {
        process,
        outcome: Outcome::Arrives,
    };
    let commit = Step::Commit { process, dies: None };
    world.step(Step::TakeIn { process });
    world.step(send);
    assert_eq!(world.arrived.len(), 0, "it is not committed");
    world.step(commit);
    world.step(Step::TakeIn { process });
    world.step(commit);
    world.step(send);
    world.step(send);
    assert_eq!(world.arrived.len(), 1, "that it has arrived is not committed");
    world.step(commit);
    world.step(send);
    assert_eq!(told(&world.arrived)["0/0"], [Kind::Opened, Kind::Ended]);
}
