//! The runner with a sink of the tests' own: it counts records into memory, by partition, and keeps its positions there.
//!
//! Shows that a sink costs what is written here and nothing in the runner, and holds the runner to what each sink
//! relies on: a record is ingested once per position, epochs distinguish assignments, and what is not committed is
//! read again (I1, I2).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge::kafka::Subscription;
use streamgauge::kafka::{Group, Source, Start};
use streamgauge::pipeline::{
    Assigned, BeforeRebalance, CommitOutcome, Committer, FinishedCommit, PipelineError, Progress, Runner,
    Sink, SinkPosition, Targets,
};
use streamgauge::reading::RecordBlock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::scene::Scene;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::{block_on, heavy, require};

const PARTITIONS: i32 = 4;
/// Until the group is stable, however slow the machine is.
const STABLE_LIMIT: Duration = Duration::from_secs(90);

/// The counts of a group's runs, as a table would have them: a count and the position that it goes up to.
#[derive(Debug, Default, Clone)]
struct Memory(Arc<Mutex<BTreeMap<i32, Counted>>>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counted {
    count: u64,
    next_offset: i64,
}

impl Memory {
    fn of(&self, partition: i32) -> Counted {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.get(&partition).copied().unwrap_or_default()
    }

    fn total(&self) -> u64 {
        (0..PARTITIONS).map(|partition| self.of(partition).count).sum()
    }
}

/// A partition's count since it was assigned.
struct Held {
    epoch: u64,
    committed: Counted,
    counted: Counted,
}

struct CountingSink {
    memory: Memory,
    held: BTreeMap<i32, Held>,
    ingested: u64,
}

struct CountingCommitter(Memory);

/// A partition's count before and after a commit.
type Moves = Vec<(i32, Counted, Counted)>;

impl Committer for CountingCommitter {
    type Batch = Moves;
    type Receipt = Moves;

    async fn commit(self, moves: Moves, _group: Group) -> Result<FinishedCommit<Self>, PipelineError> {
        // As long as a store takes, so that partitions are taken away while a commit is on its way.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let outcome = {
            let mut memory = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_moved = |(partition, from, _): &&(i32, Counted, Counted)| {
                memory.get(partition).copied().unwrap_or_default() != *from
            };
            match moves.iter().find(is_moved) {
                Some((partition, ..)) => CommitOutcome::Overtaken {
                    why: format!("partition {partition} was counted by another run"),
                },
                None => {
                    memory.extend(moves.iter().map(|(partition, _, to)| (*partition, *to)));
                    CommitOutcome::Committed(moves)
                }
            }
        };
        Ok(FinishedCommit {
            committer: self,
            outcome,
        })
    }
}

impl Sink for CountingSink {
    const NAME: &'static str = "memory";
    const BEFORE_REBALANCE: BeforeRebalance = BeforeRebalance::WaitForCommit;
    type Committer = CountingCommitter;
    type Progress = u64;

    fn ingest(&mut self, block: &RecordBlock) {
        let Some(held) = self.held.get_mut(&block.partition) else {
            return;
        };
        if held.epoch != block.epoch {
            return;
        }
        for record in block.iter() {
            if record.offset >= held.counted.next_offset {
                held.counted.count += 1;
                held.counted.next_offset = record.offset + 1;
                self.ingested += 1;
            }
        }
    }

    fn pass_undecodable(&mut self, _partition: i32, _epoch: u64, _offsets: Range<i64>, _cause: &str) {}

    fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        if let Some(held) = self.held.get_mut(&partition)
            && held.epoch == epoch
        {
            held.counted.next_offset = held.counted.next_offset.max(end_offset);
        }
    }

    fn is_full(&self) -> bool {
        false
    }

    fn is_due(&self, since_last: Duration, _targets: Option<&Targets>) -> bool {
        since_last >= Duration::from_millis(50)
    }

    fn seal(&mut self) -> Option<Moves> {
        let moved = self
            .held
            .iter()
            .filter(|(_, held)| held.counted != held.committed);
        let moves: Moves = moved
            .map(|(partition, held)| (*partition, held.committed, held.counted))
            .collect();
        (!moves.is_empty()).then_some(moves)
    }

    fn committed(&mut self, moves: Moves) {
        for (partition, _, to) in moves {
            if let Some(held) = self.held.get_mut(&partition) {
                held.committed = to;
            }
        }
    }

    fn drop_uncommitted(&mut self, _why: &str) {
        self.held.clear();
    }

    async fn assign(
        &mut self,
        _committer: &mut CountingCommitter,
        assigned: Vec<Assigned>,
        _source: &Source,
    ) -> Result<Vec<Start>, PipelineError> {
        let starts = assigned.into_iter().map(|Assigned { group, epoch }| {
            let counted = self.memory.of(group.partition);
            let held = Held {
                epoch,
                committed: counted,
                counted,
            };
            self.held.insert(group.partition, held);
            Start {
                partition: group.partition,
                offset: counted.next_offset,
                epoch,
            }
        });
        Ok(starts.collect())
    }

    async fn revoke(&mut self, partitions: &[i32]) {
        self.held.retain(|partition, _| !partitions.contains(partition));
    }

    async fn is_complete(
        &mut self,
        _committer: &mut CountingCommitter,
        targets: &Targets,
        _source: &Source,
    ) -> Result<bool, PipelineError> {
        Ok(targets.are_reached(|partition| self.memory.of(partition).next_offset))
    }

    fn positions(&self) -> Vec<SinkPosition> {
        let positions = self.held.iter().map(|(&partition, held)| SinkPosition {
            partition,
            committed: held.committed.next_offset,
            ingested: held.counted.next_offset,
            watermark_ms: None,
        });
        positions.collect()
    }

    fn ingested(&self) -> u64 {
        self.ingested
    }

    fn report(&self, progress: &mut u64) {
        *progress = self.memory.total();
    }
}

/// One run of the group, and how to stop it.
struct Run {
    stop: oneshot::Sender<Infallible>,
    progress: tokio::sync::watch::Receiver<Progress<u64>>,
    ended: JoinHandle<Result<Progress<u64>, PipelineError>>,
}

impl Run {
    fn start(scene: &Scene<'_>, memory: &Memory, targets: Option<Targets>) -> Result<Self> {
        let sink = CountingSink {
            memory: memory.clone(),
            held: BTreeMap::new(),
            ingested: 0,
        };
        let source = Source::start(&kafka_config(scene)?, Duration::from_secs(60), 0)?;
        let runner = Runner::new(source, sink, CountingCommitter(memory.clone()), targets);
        let (stop, stopped) = oneshot::channel();
        Ok(Run {
            stop,
            progress: runner.progress(),
            ended: tokio::spawn(runner.run(async {
                // Nothing is ever sent: without a sender it is to stop.
                let _ = stopped.await;
            })),
        })
    }

    /// Waits until it has so many partitions.
    async fn wait_for_partitions(&mut self, count: usize) -> Result<()> {
        let has_them = |progress: &Progress<u64>| progress.partitions.len() == count;
        let waiting = self.progress.wait_for(has_them);
        let waited = tokio::time::timeout(STABLE_LIMIT, waiting).await.map(drop);
        waited.with_context(|| {
            let seen = self.progress.borrow().partitions.len();
            format!("{seen} partitions, and not {count}")
        })
    }

    async fn stop(self) -> Result<Progress<u64>> {
        drop(self.stop);
        Ok(self.ended.await??)
    }

    /// Ends it wherever it is: nothing is committed, and the group is not waited for.
    async fn kill(self) -> Result<()> {
        self.ended.abort();
        let ended = self.ended.await;
        ensure!(
            ended.is_err_and(|error| error.is_cancelled()),
            "it ended by itself"
        );
        Ok(())
    }
}

fn kafka_config(scene: &Scene<'_>) -> Result<Subscription> {
    let mut kafka = scene.subscription(&format!("{}-memory", scene.topic))?;
    // A run that is killed is missed soon.
    for (name, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")] {
        kafka.cluster.properties.insert(name.to_owned(), value.to_owned());
    }
    Ok(kafka)
}

async fn wait_until_counted(memory: &Memory, count: u64) -> Result<()> {
    let counted = async {
        while memory.total() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(STABLE_LIMIT, counted)
        .await
        .with_context(|| format!("{} of {count} are counted", memory.total()))
}

fn produce(scene: &Scene<'_>, each: usize) -> Result<u64> {
    for partition in 0..PARTITIONS {
        scene.produce(partition, each)?;
    }
    Ok((each * PARTITIONS as usize) as u64)
}

#[test]
fn a_sink_of_another_crate_counts_each_record_once_however_partitions_move() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let scene = Scene::new(kafka, "memory-sink", PARTITIONS)?;
    let memory = Memory::default();
    block_on(async move {
        let mut produced = produce(&scene, 500)?;
        // All partitions are assigned to one.
        let mut first = Run::start(&scene, &memory, None)?;
        first.wait_for_partitions(4).await?;
        wait_until_counted(&memory, produced).await?;
        // Half of them are revoked for another, while records come.
        let mut second = Run::start(&scene, &memory, None)?;
        while second.progress.borrow().partitions.is_empty() {
            produced += produce(&scene, 5)?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        first.wait_for_partitions(2).await?;
        second.wait_for_partitions(2).await?;
        produced += produce(&scene, 200)?;
        wait_until_counted(&memory, produced).await?;
        // One dies, and the other resumes where it was.
        produced += produce(&scene, 300)?;
        first.kill().await?;
        second.wait_for_partitions(4).await?;
        produced += produce(&scene, 100)?;
        wait_until_counted(&memory, produced).await?;
        // A stop commits what was ingested, and leaves the group to the next.
        produced += produce(&scene, 300)?;
        let progress = second.stop().await?;
        ensure!(progress.sink == memory.total(), "{progress:?}");
        // A run up to the topic's ends comes to its end by itself.
        let end = (produced / PARTITIONS as u64) as i64;
        let ranges = (0..PARTITIONS).map(|partition| (partition, (0, end))).collect();
        let last = Run::start(&scene, &memory, Some(Targets::from_ranges(&ranges)))?;
        let Run { stop, ended, .. } = last;
        tokio::time::timeout(STABLE_LIMIT, ended).await???;
        drop(stop);
        for partition in 0..PARTITIONS {
            let counted = memory.of(partition);
            let all = Counted {
                count: end as u64,
                next_offset: end,
            };
            ensure!(
                counted == all,
                "partition {partition}: {counted:?}, and not {all:?}"
            );
        }
        Ok(())
    })
}
