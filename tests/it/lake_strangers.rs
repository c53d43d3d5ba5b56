//! Nobody else's file: a table is made only where nothing lies, and its upkeep deletes only what is its own, however old
//! anything looks to this machine. On a local disk and on S3.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;
use streamgauge::config::Config;
use streamgauge::lake::{Lake, LakeError, OpenMode, check_place};
use streamgauge_testkit::process::{run, scratch_folder};
use streamgauge_testkit::readers::Python;
use streamgauge_testkit::require;
use streamgauge_testkit::s3::S3;

use crate::program::streamgauge;
use crate::table::{Expected, Place, Writer, contract, data_files, maintenance, readings, rows};

contract!(
    a_table_is_made_only_where_nothing_lies,
    a_table_is_not_made_within_or_around_another,
    vacuum_deletes_nothing_of_anybody_else,
    vacuum_deletes_what_is_past_its_retention_and_nothing_sooner,
    a_tampered_log_deletes_nothing,
);

const KEYS: [&str; 3] = ["north", "east", "west"];
const DAY: Duration = Duration::from_secs(86_400);

fn write(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, name).unwrap();
    path
}

/// Makes a file look as old as that to its store: both stores of the tests keep times with the files themselves.
fn age(path: &Path, age: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn age_all(folder: &Path, older: Duration) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            age_all(&entry.path(), older);
        } else if entry.file_type().unwrap().is_file() {
            age(&entry.path(), older);
        }
    }
}

/// All files below a folder but those of a table's log.
fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true if entry.file_name() == "_delta_log" => {}
                true => folders.push(entry.path()),
                false => drop(found.insert(entry.path())),
            }
        }
    }
    found
}

async fn refused(config: &Config) -> String {
    let checked = check_place(&config.pipeline.table).await.unwrap_err().to_string();
    let error = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::Occupied { .. }), "{error:?}");
    assert_eq!(error.to_string(), checked, "`config check` says the same");
    checked
}

async fn a_table_is_made_only_where_nothing_lies(place: &Place) {
    for (name, file) in [
        ("a", "report.csv"),
        ("b", ".hidden"),
        ("c", "below/deep/tax.pdf"),
        ("d", "_delta_log/notes.txt"),
    ] {
        let inside = place.within(name);
        let stranger = write(&inside.folder, file);
        let message = refused(&inside.config()).await;
        let first = file.split('/').next().unwrap();
        assert!(
            message.contains(first) && message.contains(&inside.uri),
            "{message}"
        );
        assert!(
            message.contains("set table.uri to a folder of its own"),
            "{message}"
        );
        assert_eq!(std::fs::read_to_string(stranger).unwrap(), file);
        let kept: Vec<_> = std::fs::read_dir(&inside.folder).unwrap().collect();
        assert_eq!(kept.len(), 1, "nothing was made: {kept:?}");
    }
    // A start that was killed leaves a folder with nothing in it.
    let begun = place.within("begun");
    std::fs::create_dir_all(begun.folder.join("_delta_log")).unwrap();
    check_place(&begun.config().pipeline.table).await.unwrap();
    Writer::open(&begun.config(), 0).await;
    // Beside a table there is room for others, and for its own state files.
    write(&place.folder, "begun-state/usage/partition-0/7.state");
    Writer::open(&place.within("beside").config(), 0).await;
    Writer::open(&begun.config(), 0).await;
}

async fn a_table_is_not_made_within_or_around_another(place: &Place) {
    let table = place.within("city/usage");
    Writer::open(&table.config(), 0).await;
    for name in ["city/usage/below", "city/usage/a/b/c"] {
        let message = refused(&place.within(name).config()).await;
        assert!(message.contains("it lies within the table at"), "{message}");
    }
    let in_log = place.within("city/usage/_delta_log/x").config();
    let error = Lake::open(&in_log.pipeline.table_spec(), OpenMode::Create).await;
    let message = error.unwrap_err().to_string();
    assert!(message.contains("within the log of a table"), "{message}");
    let message = refused(&place.within("city").config()).await;
    assert!(message.contains("usage"), "{message}");
    Writer::open(&place.within("city/usage2").config(), 0).await;
}

const ORPHAN: &str = "0b9ff3d3-4f0c-4b9e-9d58-5d1c2a3b4c5d-000-b00000.snappy.parquet";

async fn vacuum_deletes_nothing_of_anybody_else(place: &Place) {
    let mut config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    let mut expected = Expected::default();
    for round in 0..3 {
        let pending = readings(round, 20, 0..3, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
    }
    let other = place.within("sub/other");
    let strangers: Vec<PathBuf> = [
        "report.csv",
        "photo.parquet",
        "readme.md",
        "part-00000-0b9ff3d3-4f0c-4b9e-9d58-5d1c2a3b4c5d-c000.snappy.parquet",
        "sub/notes.txt",
        "_checkpoints/0",
        ".hidden",
        "x0b9ff3d3-4f0c-4b9e-9d58-5d1c2a3b4c5d-000-b00000.snappy.parquet",
        &format!("sub/{ORPHAN}"),
        &format!("sub/other/{ORPHAN}"),
        "sub/other/_delta_log/00000000000000000000.json",
    ]
    .map(|name| write(&place.folder, name))
    .into();
    let orphan = write(&place.folder, ORPHAN);
    let far = scratch_folder("far");
    let is_local = config.pipeline.table.storage_options.is_empty();
    if is_local {
        let target = write(&far, &format!("real/{ORPHAN}"));
        let link = ORPHAN.replace("000-b", "001-b");
        std::os::unix::fs::symlink(&target, place.folder.join(&link)).unwrap();
        std::os::unix::fs::symlink(far.join("real"), place.folder.join("link")).unwrap();
    }
    age_all(&place.folder, 3 * DAY);
    age_all(&far, 3 * DAY);
    age(
        &place.folder.join("_delta_log/00000000000000000003.json"),
        Duration::ZERO,
    );
    let report = maintenance(&config).await.clean_up(false).await.unwrap();
    assert!(!orphan.exists() && report.files_deleted.contains(&ORPHAN.to_owned()));
    for stranger in &strangers {
        assert!(stranger.exists(), "{}", stranger.display());
    }
    assert!(files_below(&other.folder).len() == 1);
    if is_local {
        assert!(far.join("real").join(ORPHAN).exists());
        assert!(place.folder.join(ORPHAN.replace("000-b", "001-b")).is_symlink());
    }
    assert_eq!(rows(&config).await, expected.rows());
    // Not with the shortest retention either.
    config.pipeline.maintenance.vacuum_retention = Duration::ZERO;
    maintenance(&config).await.clean_up(false).await.unwrap();
    assert!(strangers.iter().all(|stranger| stranger.exists()));
    assert_eq!(rows(&config).await, expected.rows());
}

/// Ages are of the store: a file was removed when its store took the entry that removed it.
async fn vacuum_deletes_what_is_past_its_retention_and_nothing_sooner(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    let mut versions = Vec::new();
    for round in 0..6 {
        // The same window each time: each commit replaces the file of the one before.
        writer.commit(&readings(round, 20, 0..1, &KEYS)).await;
        versions.push(data_files(&place.folder));
    }
    let (on_its_way, forgotten) = (
        write(&place.folder, ORPHAN),
        write(&place.folder, &ORPHAN.replace("0b9f", "1b9f")),
    );
    age_all(&place.folder, 5 * DAY);
    age(&on_its_way, DAY / 2);
    // Versions 4 to 6 are of today, all others are old; so is the file that 4 removed, but not its removal.
    for version in 4..=6 {
        let entry = format!("_delta_log/{version:020}.json");
        age(&place.folder.join(entry), Duration::from_secs(3600));
    }
    let dry = maintenance(&config).await.clean_up(true).await.unwrap();
    assert_eq!(data_files(&place.folder).len(), 8, "a dry run deletes nothing");
    let wet = maintenance(&config).await.clean_up(false).await.unwrap();
    assert_eq!(dry.files_deleted, wet.files_deleted);
    assert!(on_its_way.exists() && !forgotten.exists());
    let kept: BTreeSet<String> = versions[5].difference(&versions[1]).cloned().collect();
    assert_eq!(kept.len(), 4, "{versions:?}");
    let mut found = data_files(&place.folder);
    found.remove(ORPHAN);
    assert_eq!(found, kept, "the versions 3 to 6 can be asked for");
    // The file that a killed process was writing.
    if config.pipeline.table.storage_options.is_empty() {
        let left = ["{}#1", "_delta_log/00000000000000000007.json#1", "{}#2"].map(|name| {
            let path = write(&place.folder, &name.replace("{}", ORPHAN));
            age(&path, 2 * DAY);
            path
        });
        age(&left[2], DAY / 2);
        let notes = write(&place.folder, "notes#1");
        age(&notes, 9 * DAY);
        let report = maintenance(&config).await.clean_up(false).await.unwrap();
        assert_eq!(report.files_deleted.len(), 2, "{report:?}");
        assert_eq!(
            [&left[0], &left[1], &left[2], &notes].map(|path| path.exists()),
            [false, false, true, true]
        );
    }
}

/// Files that a log names as removed, and that are not the table's.
async fn a_tampered_log_deletes_nothing(place: &Place) {
    let mut config = place.config();
    config.pipeline.maintenance.vacuum_retention = Duration::ZERO;
    Writer::open(&config, 0)
        .await
        .commit(&readings(1, 20, 0..3, &KEYS))
        .await;
    let far = place.within("far");
    let far_name = far.folder.file_name().unwrap().to_str().unwrap().to_owned();
    let inside = [
        "thesis.docx",
        "_delta_log/00000000000000000000.json",
        "sub/other/x.parquet",
        "_hidden/x.parquet",
        "mine/x.parquet",
    ];
    for name in inside {
        if !place.folder.join(name).exists() {
            write(&place.folder, name);
        }
    }
    write(&place.folder, "sub/other/_delta_log/00000000000000000000.json");
    let outside = write(far.folder.parent().unwrap().parent().unwrap(), "outside.parquet");
    let mut paths: Vec<String> = inside.map(str::to_owned).into();
    paths.extend(
        [
            "../outside.parquet",
            "%2e%2e/outside.parquet",
            "..%2foutside.parquet",
        ]
        .map(str::to_owned),
    );
    paths.push(outside.to_str().unwrap().to_owned());
    paths.push(format!("file://{}", outside.display()));
    paths.push(format!("../{far_name}/../outside.parquet"));
    let removes: Vec<String> = paths
        .iter()
        .map(|path| json!({"remove": {"path": path, "deletionTimestamp": 0, "dataChange": true}}).to_string())
        .collect();
    std::fs::write(
        place.folder.join(format!("_delta_log/{:020}.json", 2)),
        removes.join("\n"),
    )
    .unwrap();
    let report = maintenance(&config).await.clean_up(false).await.unwrap();
    assert_eq!(
        report.files_deleted,
        ["mine/x.parquet"],
        "what was written by others, and removed"
    );
    assert!(outside.exists());
    for name in &inside[..4] {
        assert!(place.folder.join(name).exists(), "{name}");
    }
    assert_eq!(rows(&config).await.len(), 9);
}

/// A library that sets only this process' clock ahead.
fn wrong_clock(days: u32) -> anyhow::Result<PathBuf> {
    const SOURCE: &str = r#"
        #define _GNU_SOURCE
        #include <time.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <unistd.h>
        int clock_gettime(clockid_t id, struct timespec *at) {
            int failed = syscall(SYS_clock_gettime, id, at);
            if (!failed && id == CLOCK_REALTIME) at->tv_sec += AHEAD;
            return failed;
        }
        int gettimeofday(struct timeval *restrict at, void *restrict zone) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            at->tv_sec = now.tv_sec;
            at->tv_usec = now.tv_nsec / 1000;
            return 0;
        }
    "#;
    let folder = scratch_folder("wrong-clock");
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, SOURCE)?;
    let mut compiler = Command::new("cc");
    compiler.args([
        "-shared",
        "-fPIC",
        &format!("-DAHEAD={}L", u64::from(days) * 86_400),
        "-o",
    ]);
    compiler.arg(&library).arg(&source);
    run("cc", &mut compiler, Duration::from_secs(60))?;
    Ok(library)
}

/// A vacuum by a machine whose clock is 400 days ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_by_a_year_deletes_nothing_early() {
    let Some(library) = require("a C compiler", wrong_clock(400)) else {
        return;
    };
    let place = Place::local("wrong-clock");
    let mut config = place.config();
    config.pipeline.maintenance.checkpoint_commits = 3;
    let mut writer = Writer::open(&config, 0).await;
    let mut maintenance = maintenance(&config).await;
    let mut expected = Expected::default();
    for round in 0..8 {
        let pending = readings(round, 20, 0..2, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
        maintenance.round().await.unwrap();
    }
    // A commit on its way has written this and not yet named it.
    write(&place.folder, ORPHAN);
    let (files, log) = (files_below(&place.folder), place.log().len());
    let mut command = streamgauge(["table", "vacuum", "--table", &place.uri]);
    let said = run(
        "vacuum",
        command.env("LD_PRELOAD", &library),
        Duration::from_secs(60),
    )
    .unwrap();
    assert!(
        said.contains("deleted 0 files") && said.contains("deleted 0 log entries"),
        "{said}"
    );
    assert_eq!((files_below(&place.folder), place.log().len()), (files, log));
    assert_eq!(rows(&config).await, expected.rows());
    // The clock of the process was wrong indeed.
    let mut date = Command::new("date");
    let year = |command: &mut Command| run("date", command.arg("+%s"), Duration::from_secs(9)).unwrap();
    let (right, wrong): (u64, u64) = (
        year(&mut date).trim().parse().unwrap(),
        year(Command::new("date").env("LD_PRELOAD", &library))
            .trim()
            .parse()
            .unwrap(),
    );
    assert!(wrong > right + 399 * 86_400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_files_do_not_lie_in_the_table() {
    let place = Place::local("state-within");
    let mut config = place.config();
    config.pipeline.detect.state_uri = format!("{}/state", place.uri);
    let error = streamgauge::lake::StateStore::open(&config.pipeline.state_spec(), OpenMode::Create)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("detect.state_uri"), "{error}");
    assert!(!place.folder.exists());
}

/// A place is refused, or every reader finds the table in it: delta-rs, DuckDB and our own commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_refused_or_right_in_every_reader() {
    let (Some(python), Some(s3)) = (
        require("delta-rs and DuckDB in Python", Python::shared()),
        require("S3", S3::shared()),
    ) else {
        return;
    };
    for place in [Place::local("names"), Place::s3(s3, "names")] {
        let mut taken = Vec::new();
        for letter in " #?:=*'{}[]~\"<>|^`&+$;,!@()%\\ü–".chars() {
            let within = place.within(&format!("a{letter}b"));
            let Ok(mut writer) = Writer::try_open(&within.config()).await else {
                continue;
            };
            writer.commit(&readings(1, 20, 0..3, &KEYS)).await;
            assert_eq!(rows(&within.config()).await.len(), 9, "{}", within.uri);
            assert!(within.folder.join("_delta_log").exists(), "{}", within.uri);
            taken.push(within.uri);
        }
        println!("taken: {taken:?}");
        assert!(taken.len() > 12, "{taken:?}");
        let options: serde_json::Map<String, serde_json::Value> = place
            .options
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let options = json!(options).to_string();
        let arguments: Vec<&str> = [options.as_str()]
            .into_iter()
            .chain(taken.iter().map(String::as_str))
            .collect();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/count_rows.py");
        let counted: Vec<serde_json::Value> =
            serde_json::from_str(&python.run(&script, &arguments).unwrap()).unwrap();
        let wrong: Vec<_> = counted
            .iter()
            .filter(|counts| counts[1] != 9 || counts[2] != 9)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
