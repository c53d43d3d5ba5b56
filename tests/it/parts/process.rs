use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use streamgauge_testkit::process::{Child, Signal, run};
use streamgauge_testkit::{eventually, require};

use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(20);

fn sleeper() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo asleep; echo still >&2; sleep 600 & wait"]);
    command
}

fn is_gone(id: u32) -> Result<()> {
    let alive = Command::new("sh")
        .args(["-c", r#"kill -s 0 -- "-$1""#, "kill", &id.to_string()])
        .stderr(Stdio::null())
        .status()?;
    ensure!(!alive.success(), "process group {id} is still there");
    Ok(())
}

#[test]
fn the_program_runs_and_its_output_is_kept() {
    let version = run("version", &mut streamgauge(["--version"]), LIMIT).unwrap();
    assert_eq!(
        version.trim(),
        format!("streamgauge {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_child_obeys_signals_and_ends_with_its_value() {
    let mut child = Child::start("sleeper", &mut sleeper()).unwrap();
    child.wait_for("still", LIMIT).unwrap();
    assert_eq!(child.output(), "asleep\nstill\n");
    child.signal(Signal::Stop).unwrap();
    child.signal(Signal::Continue).unwrap();
    assert!(child.wait(Duration::from_millis(20)).is_err(), "it goes on");
    child.signal(Signal::Terminate).unwrap();
    assert!(!child.wait(LIMIT).unwrap().success());
    assert!(child.signal(Signal::Kill).is_err(), "it has ended");
    eventually("the end of the child's child", LIMIT, || is_gone(child.id())).unwrap();

    let child = Child::start("sleeper", &mut sleeper()).unwrap();
    let id = child.id();
    drop(child);
    eventually("the end of the child", LIMIT, || is_gone(id)).unwrap();
}

/// Logs what a program with events does: one too early, a line of another program, and the one that is waited for.
const EVENTS: &str = r#"
echo '{"event":"assigned","partition":0}' >&2
echo 'assigned partition=1' >&2
sleep 0.2
echo '{"event":"assigned","partition":1,"offset":7,"message":"took it"}' >&2
"#;

#[test]
fn an_event_is_waited_for_by_its_name_and_fields() {
    let mut logging = Command::new("sh");
    let mut child = Child::start_with_events("logging", logging.args(["-c", EVENTS])).unwrap();
    let event = child
        .wait_for_event("assigned", &[("partition", 1)], LIMIT)
        .unwrap();
    assert_eq!(
        (&event["offset"], &event["message"]),
        (&7.into(), &"took it".into())
    );
    assert_eq!(child.events("assigned").len(), 2);
    assert!(child.events("took it").is_empty());
    let error = child
        .wait_for_event("assigned", &[("partition", 2)], LIMIT)
        .unwrap_err();
    assert!(
        error.to_string().contains("ended with exit status: 0"),
        "{error:#}"
    );
    let mut sleeping = Child::start("sleeper", &mut sleeper()).unwrap();
    let error = sleeping
        .wait_for_event("assigned", &[], Duration::from_millis(50))
        .unwrap_err();
    assert!(error.to_string().contains("did not within 50ms"), "{error:#}");
}

#[test]
fn a_failed_program_shows_its_standard_error() {
    let error = run(
        "failing",
        Command::new("sh").args(["-c", "echo out of luck >&2; exit 3"]),
        LIMIT,
    )
    .unwrap_err();
    assert!(format!("{error:#}").contains("out of luck"), "{error:#}");
}

/// A test process that runs one of the tests below that are otherwise ignored.
fn test_process(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("parts::process::{test}"), "--ignored"]);
    command
}

#[test]
#[ignore = "only for children_and_folders_end_with_a_killed_test_process"]
fn wait_to_be_killed() {
    let child = Child::start("orphan", &mut sleeper()).unwrap();
    println!("child={} folder={}", child.id(), child.folder().display());
    std::thread::sleep(LIMIT * 3);
}

#[test]
fn children_and_folders_end_with_a_killed_test_process() {
    let mut tests = Child::start(
        "killed-tests",
        test_process("wait_to_be_killed").arg("--nocapture"),
    )
    .unwrap();
    tests.wait_for("folder=", LIMIT).unwrap();
    let output = tests.stdout();
    let word = |name: &str| {
        output
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .unwrap()
    };
    let (child, folder) = (word("child=").parse().unwrap(), PathBuf::from(word("folder=")));
    assert!(is_gone(child).is_err() && folder.exists());
    tests.signal(Signal::Kill).unwrap();
    tests.wait(LIMIT).unwrap();
    eventually("the end of the orphan", LIMIT, || is_gone(child)).unwrap();
    let folder_is_gone = || {
        ensure!(!folder.exists(), "{} is still there", folder.display());
        Ok(())
    };
    eventually("the end of its folder", LIMIT, folder_is_gone).unwrap();
}

#[test]
#[ignore = "only for what_cannot_be_had_is_skipped_aloud_or_fails_in_ci"]
fn require_what_cannot_be_had() {
    assert!(require::<()>("a part", Err(anyhow!("it is not there"))).is_none());
}

#[test]
fn what_cannot_be_had_is_skipped_aloud_or_fails_in_ci() {
    let run = |ci: &str| {
        test_process("require_what_cannot_be_had")
            .env("CI", ci)
            .output()
            .unwrap()
    };
    let message = "NOT RUN: parts::process::require_what_cannot_be_had: needs a part: it is not there";
    let skipped = run("");
    assert!(skipped.status.success() && String::from_utf8_lossy(&skipped.stderr).contains(message));
    let failed = run("true");
    assert!(!failed.status.success() && String::from_utf8_lossy(&failed.stdout).contains(message));
}
