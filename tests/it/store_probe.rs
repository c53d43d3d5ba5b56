//! A store that does not do what makes a version of the table one writer's is found out at the start, and refused.
//!
//! Holds I2 and I4 where no retry could: whoever may write at all may write because the store makes an object only if it
//! is absent.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use streamgauge::lake::{Lake, OpenMode};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::proxy::{Condition, Fault, FaultProxy};
use streamgauge_testkit::s3::S3;
use streamgauge_testkit::{find_program, require};

use crate::program::streamgauge;
use crate::table::{Expected, Place, Writer, contract, readings, rows};

contract!(a_store_that_obeys_is_left_as_it_was);

const KEYS: [&str; 2] = ["north", "east"];

/// Files that are of no table.
fn leftovers(folder: &Path) -> Vec<String> {
    let names = |folder: &Path| {
        let files = std::fs::read_dir(folder).into_iter().flatten();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let mut found = names(folder);
    found.extend(names(&folder.join("_delta_log")));
    found.retain(|name| name.starts_with("_streamgauge") || name.contains('#'));
    found
}

async fn a_store_that_obeys_is_left_as_it_was(place: &Place) {
    let config = place.config();
    let mut writers =
        futures::future::join_all((0..4).map(|partition| Writer::open(&config, partition))).await;
    let pending = readings(1, 20, 0..3, &KEYS);
    writers[0].commit(&pending).await;
    writers[0].lake.try_store(&config.pipeline.table).await.unwrap();
    assert_eq!(leftovers(&place.folder), Vec::<String>::new());
    assert_eq!(rows(&config).await, Expected::of(&pending).rows());
}

/// A proxy that mistakes conditions, before the S3 server of the run.
fn mistaken(s3: &S3, condition: Condition) -> FaultProxy {
    let proxy = FaultProxy::start(s3.address()).unwrap();
    let root = s3.bucket_folder().parent().unwrap().to_owned();
    proxy.mistake_conditions(condition, &root);
    proxy
}

/// Settings of a table, in a file.
fn settings(place: &Place) -> String {
    let options = place
        .options
        .iter()
        .map(|(name, value)| format!("{name} = {value:?}\n"));
    let text = format!(
        "[reading]\nkey = \"message\"\n[table]\nuri = {:?}\n[table.storage_options]\n{}",
        place.uri,
        options.collect::<String>()
    );
    let file = scratch_folder("settings").join("streamgauge.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The lines of `config check` about the table; there is no broker.
fn checked(place: &Place) -> String {
    let file = settings(place);
    let arguments = [
        "--config",
        &file,
        "config",
        "check",
        "--for",
        "aggregate",
        "-b",
        "127.0.0.1:1",
    ];
    let mut command = streamgauge(arguments);
    command.env("STREAMGAUGE__KAFKA__TOPIC", "usage");
    let mut child = Child::start("config-check", &mut command).unwrap();
    child.wait(Duration::from_secs(60)).unwrap();
    let said = child.stdout();
    let line = said.lines().find(|line| line.starts_with("table: "));
    line.unwrap_or_else(|| panic!("{said}\n{}", child.output()))
        .to_owned()
}

async fn assert_refused(place: &Place, words: &[&str]) {
    let error = Lake::open(&place.config().pipeline.table_spec(), OpenMode::Create)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    for message in [error.to_string(), checked(place)] {
        for word in words {
            assert!(message.contains(word), "{word:?} in {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_ignores_or_inverts_the_condition_is_refused() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let cases = [
        (Condition::Ignored, "it made an object that was there"),
        (Condition::Inverted, "it refused an object that is absent"),
    ];
    for (condition, fault) in cases {
        let proxy = mistaken(s3, condition);
        let endpoint = format!("the S3 server at http://{} cannot hold a table", proxy.address());
        let words = [
            endpoint.as_str(),
            fault,
            "If-None-Match",
            "use AWS S3, or a server that has conditional PUT",
        ];
        let new = Place::s3(s3, "mistaken");
        assert_refused(&new.through(&proxy), &words).await;
        assert!(
            !new.folder.join("_delta_log").is_dir() || new.log().is_empty(),
            "no table was made"
        );
        let old = Place::s3(s3, "mistaken");
        let pending = readings(1, 20, 0..3, &KEYS);
        Writer::open(&old.config(), 0).await.commit(&pending).await;
        assert_refused(&old.through(&proxy), &words).await;
        assert_eq!(rows(&old.config()).await, Expected::of(&pending).rows());
        for place in [&new, &old] {
            assert_eq!(leftovers(&place.folder), Vec::<String>::new());
        }
        // Readers need none of it.
        Lake::open(
            &old.through(&proxy).config().pipeline.table_spec(),
            OpenMode::MustExist,
        )
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_of_a_store_to_the_probe_are_reported() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let proxy = FaultProxy::start(s3.address()).unwrap();
    let place = Place::s3(s3, "probed").through(&proxy);
    let answer = |status, code| Fault::Answer { status, code };
    let cases = [
        (501, "NotImplemented", false, "lacks conditional PUT"),
        (403, "AccessDenied", false, "allow s3:PutObject on"),
        (
            412,
            "PreconditionFailed",
            false,
            "it refused an object that is absent",
        ),
        (409, "ConditionalRequestConflict", true, "409"),
    ];
    for (status, code, is_transient, words) in cases {
        proxy.fail("PUT", "_streamgauge-", answer(status, code), usize::MAX);
        let error = Lake::open(&place.config().pipeline.table_spec(), OpenMode::Create)
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{error:?}");
        assert!(error.to_string().contains(words), "{words} in {error}");
        proxy.heal();
    }
    // Two PUTs and a deletion; a missing permission to delete does not prevent writing.
    let probes = || {
        ["PUT", "DELETE", "POST", "HEAD"]
            .map(|method| proxy.count(method, "_streamgauge-"))
            .iter()
            .sum::<usize>()
    };
    proxy.fail("DELETE", "_streamgauge-", answer(403, "AccessDenied"), usize::MAX);
    let before = probes();
    let pending = readings(1, 20, 0..3, &KEYS);
    Writer::open(&place.config(), 0).await.commit(&pending).await;
    assert_eq!(rows(&place.config()).await, Expected::of(&pending).rows());
    assert!(probes() - before <= 3, "{:?}", proxy.requests());
    // A lost answer, after which the client asks again, is not a refusal.
    proxy.heal();
    proxy.fail("PUT", "_streamgauge-", Fault::AfterEffect { status: 500 }, 1);
    Lake::open(&place.config().pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap();
}

/// A library whose `link` fails as on file systems without hard links (exFAT, SMB, many of FUSE).
const NO_LINKS: &str = "#include <errno.h>\n\
    int link(const char *from, const char *to) { errno = EPERM; return -1; }\n\
    int linkat(int a, const char *b, int c, const char *d, int e) { errno = EPERM; return -1; }\n";

#[test]
fn a_disk_without_hard_links_is_refused_in_words() {
    let Some(compiler) = require("a C compiler", find_program("cc")) else {
        return;
    };
    let folder = scratch_folder("no-links");
    std::fs::write(folder.join("no_links.c"), NO_LINKS).unwrap();
    let library = folder.join("no_links.so");
    let mut compile = Command::new(compiler);
    compile
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(folder.join("no_links.c"));
    assert!(compile.status().unwrap().success());
    let table = folder.join("table");
    let file = folder.join("streamgauge.toml");
    std::fs::write(&file, format!("[table]\nuri = {table:?}\n")).unwrap();
    let check = |preload: bool| {
        let file = file.to_str().unwrap();
        let mut command = streamgauge([
            "--config",
            file,
            "config",
            "check",
            "--for",
            "aggregate",
            "-b",
            "127.0.0.1:1",
        ]);
        command.env("STREAMGAUGE__KAFKA__TOPIC", "usage");
        if preload {
            command.env("LD_PRELOAD", &library);
        }
        let mut child = Child::start("config-check", &mut command).unwrap();
        child.wait(Duration::from_secs(60)).unwrap();
        child.stdout()
    };
    let said = check(true);
    assert!(
        said.contains("its file system has no hard links, which a commit needs"),
        "{said}"
    );
    assert!(check(false).contains("table: ok"));
    assert!(!table.exists() && leftovers(&folder).is_empty());
}
