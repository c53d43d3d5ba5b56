//! A transaction that the group has moved on from goes out under the new generation only as long as nobody else can have had
//! its partitions. Here the test is the loop: it answers the group, or does not.
//!
//! Holds I7 (once out).

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use streamgauge::kafka::Subscription;
use streamgauge::kafka::{Control, Generation, GroupOffset, Source, Start, TransactionalProducer};

use crate::scene::Scene;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::{block_on, eventually, require};

/// Until the group is stable, however slow the machine is.
const STABLE_LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_new_generation_is_taken_only_while_the_partitions_are_held() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "generation", 2)?;
    let settings = scene.subscription(&scene.topic)?;
    let mut holder = join(&settings)?;
    assign(&mut holder, 2)?;
    let generation = generation_of(&holder)?;
    let mut producer = TransactionalProducer::new(&settings, "holder");
    producer.write(&[], &[(0, 3), (1, 3)], "", generation.metadata())?;

    // Another one joins. The group has moved on, and the partitions are held until the revocation is answered.
    let other = Member::start(&settings)?;
    let (partitions, answer) = revoke(&mut holder)?;
    let refused = producer.write(&[], &[(0, 5), (1, 5)], "", generation.metadata());
    let refused = refused.err().context("the generation is over")?;
    ensure!(refused.is_of_another_generation(), "{refused}");
    let renewed = generation.renewed().context("the partitions are still held")?;
    producer.write(&[], &[(0, 5), (1, 5)], "", renewed.metadata())?;
    ensure!(answer.send(()).is_ok(), "the polling thread waits for the answer");
    let taken = assigned_to(&other, &mut holder)?;
    ensure!(
        partitions.len() == 1 && taken.partition == partitions[0] && taken.offset == Some(5),
        "its next owner starts where it was left: {taken:?}"
    );

    // It comes back, and is given up without an answer.
    other.leave()?;
    ensure!(assign(&mut holder, 1)? == partitions, "it comes back");
    let generation = generation_of(&holder)?;
    producer.write(&[], &[(0, 7), (1, 7)], "", generation.metadata())?;
    let third = Member::start(&settings)?;
    let (_, answer) = revoke(&mut holder)?;
    drop(answer);
    assigned_to(&third, &mut holder)?;
    ensure!(
        generation.renewed().is_none(),
        "others may have had its partitions"
    );
    ensure!(
        holder.group().take_generation().is_none(),
        "nothing goes out before the loop has dropped what it holds"
    );
    let refused = producer.write(&[], &[(0, 9), (1, 9)], "", generation.metadata());
    ensure!(
        refused.is_err_and(|error| error.is_of_another_generation()),
        "the broker refuses the old generation"
    );

    // Once it has begun again from the group's offsets, it is a member like any other.
    holder.reposition();
    assign(&mut holder, 1)?;
    let again = generation_of(&holder)?;
    ensure!(again.renewed().is_some(), "what it holds now is its own");
    third.leave()?;
    // The partition that comes back now needs no answer: the member that left waits for none.
    block_on(holder.stop());
    Ok(())
}

fn join(settings: &Subscription) -> Result<Source> {
    let source = Source::start(settings, STABLE_LIMIT, 0)?;
    source.join()?;
    Ok(source)
}

fn next(source: &mut Source) -> Result<Control> {
    eventually("the group decides", STABLE_LIMIT, || {
        Ok(source.control.try_recv()?)
    })
}

/// The generation in which a member holds its assignment. The polling thread notes an answer only once it runs again, so
/// the partitions may not be held yet.
fn generation_of(member: &Source) -> Result<Generation> {
    eventually("it is a member", STABLE_LIMIT, || {
        member.group().take_generation().context("not yet")
    })
}

/// Answers assignments, which may be of no partition, up to so many partitions: each starts at its beginning.
fn assign(source: &mut Source, count: usize) -> Result<Vec<i32>> {
    let mut assigned = Vec::new();
    while assigned.len() < count {
        match next(source)? {
            Control::Assign { partitions, answer } => {
                assigned.extend(answer_assignment(&partitions, &answer));
            }
            Control::Revoke { .. } => bail!("partitions are assigned, and not taken away"),
        }
    }
    Ok(assigned)
}

fn answer_assignment(partitions: &[GroupOffset], answer: &mpsc::SyncSender<Vec<Start>>) -> Vec<i32> {
    let starts = partitions.iter().map(|group| beginning(group.partition));
    // A consumer that no longer waits is leaving.
    let _ = answer.send(starts.collect());
    partitions.iter().map(|group| group.partition).collect()
}

/// Waits until partitions are taken away; the polling thread waits for the answer.
fn revoke(source: &mut Source) -> Result<(Vec<i32>, mpsc::SyncSender<()>)> {
    loop {
        match next(source)? {
            Control::Revoke { partitions, answer } => return Ok((partitions, answer)),
            Control::Assign { partitions, answer } => drop(answer_assignment(&partitions, &answer)),
        }
    }
}

/// The next partition that a member is assigned, as the group has it, while the holder answers assignments.
fn assigned_to(member: &Member, holder: &mut Source) -> Result<GroupOffset> {
    eventually("the group gives the partition away", STABLE_LIMIT, || {
        if let Ok(Control::Assign { partitions, answer }) = holder.control.try_recv() {
            answer_assignment(&partitions, &answer);
        }
        Ok(member.assigned.try_recv()?)
    })
}

fn beginning(partition: i32) -> Start {
    Start {
        partition,
        offset: 0,
        epoch: 1,
    }
}

/// A member of the group that answers at once.
struct Member {
    assigned: mpsc::Receiver<GroupOffset>,
    leave: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Member {
    fn start(settings: &Subscription) -> Result<Self> {
        let mut source = join(settings)?;
        let (assigned_sender, assigned) = mpsc::channel();
        let (leave, leaving) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while leaving.recv_timeout(Duration::from_millis(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
                match source.control.try_recv() {
                    Ok(Control::Assign { partitions, answer }) => {
                        answer_assignment(&partitions, &answer);
                        for group in partitions {
                            let _ = assigned_sender.send(group);
                        }
                    }
                    Ok(Control::Revoke { answer, .. }) => drop(answer.send(())),
                    Err(_) => {}
                }
            }
            block_on(source.stop());
        });
        Ok(Member {
            assigned,
            leave,
            thread,
        })
    }

    fn leave(self) -> Result<()> {
        self.leave.send(())?;
        ensure!(self.thread.join().is_ok(), "it left in good order");
        Ok(())
    }
}
