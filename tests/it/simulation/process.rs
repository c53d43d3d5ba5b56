//! One process: it consumes, commits, compacts, and may sleep between any two effects.

use std::collections::BTreeSet;

use super::world::{Guard, World};
use super::{PARTITIONS, Rules, rules};
use streamgauge::aggregation::{Aggregator, Fate, RestoredRegisters, SideOutput};
use streamgauge::decode::ValueKind;
use streamgauge::reading::{Record, RecordBlock};
use streamgauge::table::{CachedSnapshot, Commit, Effect, Layout, Outcome, PositionChange};

/// The topic is always the same.
const TOPIC_ID: &str = "topic-id";

/// A commit with the next effect, the positions that it moves, and the registers at these.
type Committing = (Commit, Effect, Vec<PositionChange>, Vec<(usize, i64, Vec<u8>)>);

/// One process: what it believes, and the commit it is in the middle of.
pub struct Process {
    kind: ValueKind,
    aggregator: Aggregator,
    /// The next record to read of each partition.
    cursors: [usize; PARTITIONS],
    side_outputs: Vec<(i32, i64, bool)>,
    cached: Option<CachedSnapshot>,
    pub commit: Option<Committing>,
}

impl Process {
    pub fn new(with: Rules) -> Self {
        Process {
            kind: with.1,
            aggregator: Aggregator::new(rules(with)),
            cursors: [0; PARTITIONS],
            side_outputs: Vec::new(),
            cached: None,
            commit: None,
        }
    }

    /// Takes a partition over at the position that it believes the table has: after a long sleep that may be an old one.
    pub fn assign(&mut self, world: &World, partition: usize, epoch: u64) {
        self.side_outputs.retain(|&(of, _, _)| of != partition as i32);
        let cached = world.followed(self.cached.take());
        let position = cached.snapshot.position(partition as i32);
        self.aggregator
            .assign(partition as i32, epoch, position, position.next_offset);
        self.cursors[partition] = position.next_offset as usize;
        if self.kind == ValueKind::Counter {
            self.cursors[partition] = self.resume(world, partition, position.next_offset);
        }
        if self.commit.is_none() {
            self.cached = Some(cached);
        }
    }

    /// Restores the registers from the newest file at or below the position, and answers where to read on from.
    fn resume(&mut self, world: &World, partition: usize, position: i64) -> usize {
        let mut files = world.register_files[partition].range(..=position);
        let mut restored = match files.next_back() {
            None => RestoredRegisters::none_at(0),
            Some((_, bytes)) => self
                .aggregator
                .read_registers(TOPIC_ID, partition as i32, bytes.as_slice())
                .expect("a file of this partition"),
        };
        if world.without == Some(Guard::Replay) {
            restored.position.next_offset = position;
        }
        let read_from = self.aggregator.resume(partition as i32, restored);
        read_from.expect("the partition is assigned") as usize
    }

    pub fn revoke(&mut self, partition: usize) {
        self.aggregator.revoke(partition as i32);
        self.side_outputs.retain(|&(of, _, _)| of != partition as i32);
    }

    pub fn consume(&mut self, world: &World, partition: usize, count: usize) {
        let Some(epoch) = self.aggregator.epoch(partition as i32) else {
            return;
        };
        let next = self.cursors[partition];
        self.cursors[partition] = next.saturating_add(count).min(world.readings[partition].len());
        let mut block = RecordBlock::new(partition as i32, epoch);
        for (offset, value) in world.readings[partition]
            .iter()
            .enumerate()
            .skip(next)
            .take(count)
        {
            let value = Some(value.as_bytes());
            block.push(
                Record {
                    offset: offset as i64,
                    timestamp_ms: Some(0),
                    key: None,
                    value,
                    headers: &[],
                },
                None,
            );
        }
        for SideOutput { index, fate } in self.aggregator.step(&block) {
            let late = matches!(fate, Fate::Late { .. });
            self.side_outputs
                .push((partition as i32, block.record(index).offset, late));
        }
    }

    /// Seals what is pending, writes what departs in one transaction with its position, and begins the commit.
    pub fn begin_commit(&mut self, world: &mut World, me: usize, layout: Layout) {
        if self.commit.is_some() {
            return;
        }
        let Some(batch) = self.aggregator.seal() else {
            return;
        };
        let side_outputs = std::mem::take(&mut self.side_outputs);
        if !side_outputs.is_empty() {
            // A transaction of a process that no longer owns the partitions is refused by the broker (KIP-447).
            if batch
                .positions
                .iter()
                .any(|change| world.owners[change.partition as usize] != me)
            {
                return self.drop_everything(world);
            }
            let positions = world.side_positions;
            world.departed.extend(
                side_outputs
                    .into_iter()
                    .filter(|of| of.1 >= positions[of.0 as usize]),
            );
            for change in &batch.positions {
                let position = &mut world.side_positions[change.partition as usize];
                *position = (*position).max(change.to.next_offset);
            }
        }
        let positions = batch.positions.clone();
        let registers = self.registers(&positions);
        let cached = self.cached.take().unwrap_or_else(|| world.loaded());
        let (commit, effect) = Commit::upsert(world.fresh("commit"), batch, layout, cached);
        self.commit = Some((commit, effect, positions, registers));
    }

    /// Of about half the positions; the files of the others are lost.
    fn registers(&self, positions: &[PositionChange]) -> Vec<(usize, i64, Vec<u8>)> {
        let taken = positions.iter().filter(|change| change.to.next_offset % 2 == 0);
        taken
            .filter_map(|change| {
                let bytes = self.aggregator.register_file(TOPIC_ID, change.partition)?;
                Some((change.partition as usize, change.to.next_offset, bytes))
            })
            .collect()
    }

    pub fn begin_compaction(&mut self, world: &mut World, layout: Layout, pick: &[usize]) {
        let snapshot = world.snapshot();
        if self.commit.is_some() || snapshot.files.is_empty() {
            return;
        }
        let mut paths: Vec<_> = snapshot.files.keys().cloned().collect();
        paths.sort();
        let chosen: BTreeSet<_> = pick
            .iter()
            .map(|index| paths[index % paths.len()].clone())
            .collect();
        let cached = world.loaded();
        let (commit, effect) = Commit::compact(
            world.fresh("compaction"),
            chosen.into_iter().collect(),
            layout,
            cached,
        );
        self.commit = Some((commit, effect, Vec::new(), Vec::new()));
    }

    /// Performs the next effect of the commit; `unknown` makes an append report an error, done or not.
    pub fn advance(&mut self, world: &mut World, unknown: Option<bool>) {
        let Some((mut commit, effect, positions, registers)) = self.commit.take() else {
            return;
        };
        if let Effect::Finish(outcome) = effect {
            self.cached = Some(commit.into_cached());
            match outcome {
                Outcome::Committed { .. } => {
                    for change in &positions {
                        let found = world.snapshot().position(change.partition);
                        assert!(
                            found.next_offset >= change.to.next_offset,
                            "I11: partition {} was reported as committed up to {}, the table has {}",
                            change.partition,
                            change.to.next_offset,
                            found.next_offset
                        );
                    }
                    self.aggregator.committed(&positions);
                    for (partition, offset, bytes) in registers {
                        world.register_files[partition].insert(offset, bytes);
                    }
                }
                Outcome::PositionsMoved { .. } => self.drop_everything(world),
                Outcome::Superseded | Outcome::TopicReplaced { .. } => {}
                Outcome::Incompatible(reason) => panic!("{reason}"),
            }
            return;
        }
        let effect = commit.next(world.perform(effect, unknown));
        self.commit = Some((commit, effect, positions, registers));
    }

    /// Drops what is pending and takes the partitions up again from the table's positions.
    fn drop_everything(&mut self, world: &World) {
        let partitions: Vec<_> = self
            .aggregator
            .positions()
            .map(|(partition, _)| partition)
            .collect();
        for partition in partitions {
            let epoch = self.aggregator.epoch(partition).unwrap_or_default();
            self.assign(world, partition as usize, epoch + 1_000_000);
        }
    }
}
