//! On a local disk a commit counts when its files are on the disk: seen from outside, by the system calls of the program.
//!
//! Holds I2 over a power cut: a log entry gets its name when its own content and all that it names are synced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{find_program, require};

/// A file's way to the disk, as far as it has come.
#[derive(Debug, Default)]
struct Synced {
    /// Files whose content is synced, by the name they were opened under.
    contents: BTreeSet<String>,
    /// Names given to files and folders, each with the folder it is in, which was not synced since.
    unsynced_names: BTreeMap<String, String>,
    problems: Vec<String>,
    log_entries: usize,
    data_files: usize,
}

impl Synced {
    /// Takes in a line of strace: process, call, arguments, result. Calls in two parts are joined before.
    fn ingest(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once(' ') else {
            return;
        };
        let rest = rest.trim_start();
        let (Some((name, after)), Some((_, result))) = (rest.split_once('('), rest.rsplit_once(" = ")) else {
            return;
        };
        if result.starts_with('-') {
            return;
        }
        let texts: Vec<&str> = after.split('"').skip(1).step_by(2).collect();
        match name {
            // With -y a descriptor is shown with its path: 5</tmp/table/x#1>.
            "fsync" | "fdatasync" => {
                let path = after.split_once('<').and_then(|(_, path)| path.split_once('>'));
                if let Some((path, _)) = path {
                    self.contents.insert(path.to_owned());
                    self.unsynced_names.retain(|_, folder| folder != path);
                }
            }
            "link" | "linkat" | "rename" | "renameat" | "renameat2" if texts.len() == 2 => {
                self.named(texts[0], texts[1]);
            }
            "mkdir" | "mkdirat" if texts.len() == 1 => self.is_in(texts[0]),
            _ => {}
        }
    }

    fn is_in(&mut self, path: &str) {
        let folder = Path::new(path).parent().unwrap().to_str().unwrap();
        self.unsynced_names.insert(path.to_owned(), folder.to_owned());
    }

    fn named(&mut self, from: &str, to: &str) {
        if !self.contents.contains(from) {
            self.problems
                .push(format!("{to} got its name before its content was synced"));
        }
        if to.ends_with(".json") {
            self.log_entries += 1;
            if !self.unsynced_names.is_empty() {
                let left = &self.unsynced_names;
                self.problems.push(format!(
                    "{to} got its name while these were not on the disk: {left:?}"
                ));
            }
        } else {
            self.data_files += usize::from(to.ends_with(".snappy.parquet"));
        }
        self.is_in(to);
    }
}

/// Joins calls that strace shows in two parts, because another thread's came between, where they end.
fn calls(trace: &str) -> Vec<String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((process, rest)) = line.split_once(' ') else {
            continue;
        };
        if let Some((begin, _)) = rest.split_once(" <unfinished ...>") {
            begun.insert(process, begin);
        } else if rest.contains(" resumed>") {
            let end = rest.split_once(" resumed>").map_or("", |(_, end)| end);
            let begin = begun.remove(process).unwrap_or_default();
            calls.push(format!("{process} {begin}{end}"));
        } else {
            calls.push(line.to_owned());
        }
    }
    calls
}

/// The calls of a demo, which commits to a table on a local disk, to the disk.
fn demo_under_strace(strace: &Path, sync_to_disk: bool) -> Synced {
    let folder = scratch_folder("synced");
    let trace = folder.join("trace");
    let mut command = Command::new(strace);
    command
        .args(["-f", "-y", "-qq", "-s", "400", "-o"])
        .arg(&trace)
        .args([
            "-e",
            "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat",
        ])
        .args([env!("CARGO_BIN_EXE_streamgauge"), "demo", "--table"])
        .arg(folder.join("made/for/table"))
        .env("STREAMGAUGE__TABLE__SYNC_TO_DISK", sync_to_disk.to_string());
    let mut child = Child::start("strace", &mut command).unwrap();
    let status = child.wait(Duration::from_secs(180)).unwrap();
    assert!(status.success(), "{status}: {}", child.output());
    let mut synced = Synced::default();
    for call in calls(&std::fs::read_to_string(&trace).unwrap()) {
        synced.ingest(&call);
    }
    assert!(synced.log_entries >= 2 && synced.data_files >= 1, "{synced:?}");
    synced
}

#[test]
fn a_commit_counts_when_its_files_and_their_folder_are_on_the_disk() {
    let Some(strace) = require("strace", find_program("strace")) else {
        return;
    };
    let synced = demo_under_strace(&strace, true);
    assert!(synced.problems.is_empty(), "{:#?}", synced.problems);
    // In the end nothing is left that a power cut could take back.
    assert!(synced.unsynced_names.is_empty(), "{:#?}", synced.unsynced_names);
    // The setting does what it says, and this test sees it.
    let unsynced = demo_under_strace(&strace, false);
    assert!(!unsynced.problems.is_empty() && !unsynced.unsynced_names.is_empty());
}
