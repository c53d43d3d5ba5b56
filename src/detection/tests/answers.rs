//! What people say is applied at one place of a partition's order: whatever is killed, and wherever state files and commits
//! are, what is published is what one undisturbed run over the records and the places finds, bit for bit (I6, I7).

use super::*;
use crate::detectors::{Answer, MessageId, Phase, Said, Subject};

/// What happens to a detection.
#[derive(Debug, Clone)]
enum Event {
    /// So many records are judged, in one block.
    Judge(usize),
    /// What was found is committed, with the position and the places; with or without a state file.
    Commit { keeps_state: bool },
    /// The process is killed, and another one starts from one of the state files, or without.
    Kill(prop::sample::Index),
    /// Somebody says something of an episode that was published.
    Say(prop::sample::Index, Said),
    /// Somebody says something of a stretch of a series, so many minutes from the newest reading.
    Announce { minutes: i64, said: Said },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let until_ms = 1_700_000_000_000 + 60 * DAY_MS;
    let said = prop::sample::select(vec![
        Said::Real,
        Said::ExpectedInSlot { until_ms: None },
        Said::ExpectedInSlot {
            until_ms: Some(until_ms),
        },
        Said::ExpectedInSeries { until_ms },
        Said::Withdrawn,
    ]);
    let event = prop_oneof![
        6 => (1..40_usize).prop_map(Event::Judge),
        3 => any::<bool>().prop_map(|keeps_state| Event::Commit { keeps_state }),
        2 => any::<prop::sample::Index>().prop_map(Event::Kill),
        4 => (any::<prop::sample::Index>(), said).prop_map(|(which, said)| Event::Say(which, said)),
        1 => (-600..3_000_i64, any::<bool>()).prop_map(|(minutes, is_on)| Event::Announce {
            minutes: minutes / 60 * 60,
            said: if is_on { Said::Expected } else { Said::Withdrawn },
        }),
    ];
    prop::collection::vec(event, 1..120)
}

/// What is outside of the processes, and survives them.
#[derive(Debug)]
struct World {
    spec: DetectionSpec,
    texts: Vec<String>,
    said: BTreeMap<String, Answer>,
    published: Vec<Anomaly>,
    journal: Vec<PlacedAnswer>,
    committed: usize,
    states: Vec<(usize, Vec<u8>)>,
    /// The process.
    operator: DetectionOperator,
    judged: usize,
    found: Vec<Anomaly>,
    placed: Vec<PlacedAnswer>,
}

impl World {
    fn new(spec: DetectionSpec, texts: Vec<String>) -> Self {
        let mut operator = DetectionOperator::new(spec.clone());
        operator.assign(0, 1, 0, 0);
        World {
            spec,
            texts,
            said: BTreeMap::new(),
            published: Vec::new(),
            journal: Vec::new(),
            committed: 0,
            states: Vec::new(),
            operator,
            judged: 0,
            found: Vec::new(),
            placed: Vec::new(),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Judge(count) => self.judge(count),
            Event::Commit { keeps_state } => self.commit(keeps_state),
            Event::Kill(which) => self.restart(which),
            Event::Say(which, said) => {
                let opened = self.published.iter().map(|anomaly| anomaly.episode.opened);
                let episodes: Vec<MessageId> = opened.collect();
                if !episodes.is_empty() {
                    let episode = episodes[which.index(episodes.len())];
                    let key = format!("usage/0/{}/{}", episode.offset, episode.index);
                    self.say(key, Subject::Episode(episode), said);
                }
            }
            Event::Announce { minutes, said } => {
                let newest_ms = 1_700_000_000_000 + 600_000 * self.judged as i64;
                let from_ms = newest_ms + minutes * 60_000;
                let to_ms = from_ms + 12 * 3_600_000;
                self.say(minutes.to_string(), Subject::Stretch { from_ms, to_ms }, said);
            }
        }
    }

    fn say(&mut self, key: String, about: Subject, said: Said) {
        let answer = Answer {
            about,
            series: matches!(about, Subject::Stretch { .. }).then(|| "a".to_owned()),
            measure: None,
            said,
            by: None,
        };
        if said == Said::Withdrawn {
            self.said.remove(&key);
        } else {
            self.said.insert(key, answer);
        }
        self.operator.hear(0, self.said.iter());
    }

    fn judge(&mut self, count: usize) {
        let to = (self.judged + count).min(self.texts.len());
        let findings = self.operator.step(&block(&self.texts, self.judged, to));
        self.judged = to;
        self.found.extend(findings.anomalies);
        let placed = findings.applied.into_iter().map(|applied| applied.placed);
        self.placed.extend(placed);
    }

    fn commit(&mut self, keeps_state: bool) {
        let Some((_, position)) = self.operator.positions().next() else {
            return;
        };
        self.published.append(&mut self.found);
        self.journal.append(&mut self.placed);
        self.committed = position.next_offset as usize;
        if keeps_state {
            let state = self.operator.state_file(0).unwrap();
            self.states.push((self.committed, state));
        }
    }

    fn restart(&mut self, which: prop::sample::Index) {
        self.found.clear();
        self.placed.clear();
        self.operator = DetectionOperator::new(self.spec.clone());
        let silent_below = self.committed as i64;
        self.judged = match self.states.get(which.index(self.states.len() + 1)) {
            Some((offset, bytes)) => {
                let file = StateFile::open(bytes.as_slice(), &self.spec, 0).unwrap();
                self.operator
                    .resume(file, 1, *offset as i64, silent_below)
                    .unwrap();
                *offset
            }
            None => {
                self.operator.assign(0, 1, 0, silent_below);
                0
            }
        };
        self.operator.load_journal(0, self.journal.clone());
        self.operator.hear(0, self.said.iter());
    }
}

/// Readings of mostly one series, ten minutes apart, with values far out now and then.
fn readings() -> impl Strategy<Value = Vec<String>> {
    let record = (0..20_u8, 0..1000_u32, 0..12_u8);
    prop::collection::vec(record, 50..500).prop_map(|records| {
        let text = |(number, (key, value, kind)): (i64, (u8, u32, u8))| {
            let key = if key == 0 { "b" } else { "a" };
            let value = match kind {
                0 => f64::from(value) / 4.0 - 60.0,
                _ => 50.0 + f64::from(value) / 100.0,
            };
            let time_ms = 1_700_000_000_000 + 600_000 * number;
            format!(r#"{{"ts":{time_ms},"value":{value:?},"key":"{key}"}}"#)
        };
        (0..).zip(records).map(text).collect()
    })
}

fn learning_spec() -> impl Strategy<Value = DetectionSpec> {
    prop::sample::select(vec![
        ("readings", "adaptive-band", "2"),
        ("readings", "half-space-trees", "0.6"),
        ("windows", "half-space-trees", "0.6"),
    ])
    .prop_map(|(input, detector, threshold)| spec_of(input, detector, threshold))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// I6 and I7, with answers: kills, commits and state files anywhere do not matter.
    #[test]
    fn answers_have_one_place_whatever_is_killed(texts in readings(), events in events(), spec in learning_spec()) {
        let mut world = World::new(spec.clone(), texts.clone());
        for event in events {
            world.handle(event);
        }
        world.judge(texts.len());
        world.commit(false);
        prop_assert_eq!(world.committed, texts.len());
        let mut undisturbed = DetectionOperator::new(spec);
        undisturbed.assign(0, 1, 0, 0);
        undisturbed.load_journal(0, world.journal);
        let findings = undisturbed.step(&block(&texts, 0, texts.len()));
        prop_assert!(findings.applied.is_empty());
        prop_assert_eq!(findings.anomalies, world.published);
        prop_assert_eq!(undisturbed.state_file(0), world.operator.state_file(0));
    }
}

/// Without answers that make a difference the test above would hold nothing.
#[test]
fn an_answer_makes_a_difference_from_its_place_on() {
    let text = |number: i64| {
        let value = if number == 300 || number == 1_308 {
            90.0
        } else {
            50.0 + (number * 7 % 11) as f64 / 10.0
        };
        let time_ms = 1_700_000_000_000 + 600_000 * number;
        format!(r#"{{"ts":{time_ms},"value":{value:?},"key":"a"}}"#)
    };
    let texts: Vec<String> = (0..1_400).map(text).collect();
    let mut world = World::new(spec_of("readings", "adaptive-band", "7"), texts);
    world.judge(400);
    world.commit(false);
    let first = world
        .published
        .iter()
        .find(|anomaly| anomaly.verdict.detector == "adaptive-band");
    let opened = first.unwrap().episode.opened;
    assert_eq!(opened.offset, 300);
    let key = "usage/0/300/0".to_owned();
    world.say(
        key,
        Subject::Episode(opened),
        Said::ExpectedInSlot { until_ms: None },
    );
    world.judge(1_000);
    world.commit(false);
    assert_eq!(world.journal.len(), 1);
    assert_eq!(world.journal[0].before_offset, 400);
    let after_a_week = world.published.iter().find(|anomaly| {
        anomaly.episode.message.offset == 1_308 && anomaly.verdict.detector == "adaptive-band"
    });
    let after_a_week = after_a_week.unwrap();
    assert_eq!(after_a_week.severity().name(), "expected");
    assert_eq!(after_a_week.episode.phase, Phase::Opened);
}
