//! A store that fails as S3 does: requests that take effect although they are answered with an error, refusals,
//! silence, broken connections, at each kind of request a commit makes.
//!
//! Holds I2 (positions and rows in one commit), I3 (totals, to the last bit) and I4 (one row): whatever the store
//! does, each batch has exactly one log entry, and the rows are those of the oracle.

use std::time::Duration;

use futures::StreamExt;
use streamgauge::config::Config;
use streamgauge::lake::{Lake, LakeError, OpenMode};
use streamgauge::table::Outcome;
use streamgauge_testkit::proxy::{Fault, FaultProxy};
use streamgauge_testkit::require;
use streamgauge_testkit::s3::S3;

use crate::table::{Expected, Place, Writer, readings, rows};

const KEYS: [&str; 3] = ["north", "east", "west"];

/// The requests a commit makes: method, and what their target holds.
const REQUESTS: [(&str, &str); 4] = [
    ("PUT", "_delta_log/0"),
    ("PUT", ".parquet"),
    ("GET", "_delta_log/0"),
    ("GET", ".parquet"),
];

const SERVER_ERROR: Fault = Fault::AfterEffect { status: 500 };
const SLOW_DOWN: Fault = Fault::Answer {
    status: 503,
    code: "SlowDown",
};
const CONFLICT: Fault = Fault::Answer {
    status: 409,
    code: "ConditionalRequestConflict",
};
const FORBIDDEN: Fault = Fault::Answer {
    status: 403,
    code: "AccessDenied",
};
/// Longer than the client waits: the request takes effect when the program has long done something else.
const TOO_LATE: Fault = Fault::Delay(Duration::from_secs(3));

const FAULTS: [Fault; 9] = [
    SERVER_ERROR,
    SLOW_DOWN,
    CONFLICT,
    Fault::Delay(Duration::from_millis(200)),
    TOO_LATE,
    Fault::Hang { forward: true },
    Fault::Hang { forward: false },
    Fault::Disconnect { forward: true },
    Fault::Disconnect { forward: false },
];

/// A table that one process reaches through a proxy and another directly.
struct Faulty {
    proxy: FaultProxy,
    place: Place,
    config: Config,
}

impl Faulty {
    fn new(s3: &S3) -> Faulty {
        let proxy = FaultProxy::start(s3.address()).unwrap();
        let place = Place::s3(s3, "faults");
        let mut config = place.through(&proxy).config();
        config.pipeline.commit.give_up_after = Duration::from_secs(60);
        Faulty { proxy, place, config }
    }
}

/// They mostly wait, but all at once would make each so slow that it meets timeouts of its own.
async fn a_few_at_a_time<T>(cases: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures::stream::iter(cases).buffer_unordered(8).collect().await
}

/// A commit that loses a race, so that it makes every kind of request, and meets a fault on the way.
async fn commit_meets_fault(s3: &S3, request: (&'static str, &str), fault: Fault, times: usize) {
    let what = format!("{fault:?} {times} times at {request:?}");
    let faulty = Faulty::new(s3);
    let pending: Vec<_> = (0..5).map(|seed| readings(seed, 20, 0..3, &KEYS)).collect();
    let mut writer = Writer::open(&faulty.config, 0).await;
    let mut neighbor = Writer::open(&faulty.place.config(), 1).await;
    writer.commit(&pending[0]).await;
    neighbor.commit(&pending[1]).await;

    faulty.proxy.fail(request.0, request.1, fault, times);
    assert_eq!(writer.commit(&pending[2]).await, 3, "{what}");
    assert!(faulty.proxy.faults_left() < times, "did not happen: {what}");
    faulty.proxy.heal();

    writer.commit(&pending[3]).await;
    let mut restarted = Writer::open(&faulty.config, 0).await;
    assert_eq!(
        restarted.cached.as_ref().unwrap().snapshot,
        writer.cached.unwrap().snapshot,
        "{what}"
    );
    restarted.commit(&pending[4]).await;
    // Requests on their way have ended by then.
    if fault == TOO_LATE {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    faulty.place.assert_committed_once(5, 100);
    assert_eq!(
        rows(&faulty.place.config()).await,
        Expected::of(&pending.concat()).rows(),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_survives_a_fault_that_passes_at_once() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let cases = REQUESTS
        .into_iter()
        .flat_map(|request| FAULTS.map(|fault| Box::pin(commit_meets_fault(s3, request, fault, 1))));
    a_few_at_a_time(cases).await;
}

/// More often than the client itself tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_survives_a_fault_that_comes_again() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let cases = REQUESTS
        .into_iter()
        .flat_map(|request| FAULTS.map(|fault| Box::pin(commit_meets_fault(s3, request, fault, 3))));
    a_few_at_a_time(cases).await;
}

/// Two processes on the same rows, each over its own bad connection.
async fn race_amid_faults(s3: &S3, seed: usize) {
    let place = Place::s3(s3, "race");
    let proxies = [(); 2].map(|()| FaultProxy::start(s3.address()).unwrap());
    let configs = [0, 1].map(|index| place.through(&proxies[index]).config());
    let mut left = Writer::open(&configs[0], 0).await;
    let mut right = Writer::open(&configs[1], 1).await;
    let mut expected = Expected::default();
    for round in 0..12 {
        for (index, proxy) in proxies.iter().enumerate() {
            let number = seed * 31 + round * 7 + index * 5;
            let (method, target) = REQUESTS[number % REQUESTS.len()];
            proxy.fail(method, target, FAULTS[number % FAULTS.len()], 1 + number % 3);
        }
        let pending = [0, 1].map(|index| readings((seed * 1000 + round * 2 + index) as u64, 20, 0..3, &KEYS));
        tokio::join!(left.commit(&pending[0]), right.commit(&pending[1]));
        pending.iter().for_each(|readings| expected.add(readings));
    }
    proxies.iter().for_each(FaultProxy::heal);
    place.assert_committed_once(24, expected.records);
    assert_eq!(rows(&place.config()).await, expected.rows(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_race_amid_faults() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    futures::future::join_all((0..4).map(|seed| race_amid_faults(s3, seed))).await;
}

/// The last message of a process that met a lasting fault; then another process takes over.
async fn commit_fails(s3: &S3, request: (&'static str, &str), fault: Fault) -> LakeError {
    let mut faulty = Faulty::new(s3);
    faulty.config.pipeline.commit.give_up_after = Duration::from_secs(1);
    let pending = [1, 2].map(|seed| readings(seed, 20, 0..3, &KEYS));
    let directly = faulty.place.config();
    Writer::open(&directly, 0).await.commit(&pending[0]).await;
    let mut writer = Writer::open(&faulty.config, 0).await;
    Writer::open(&directly, 1).await.commit(&pending[0]).await;

    faulty.proxy.fail(request.0, request.1, fault, usize::MAX);
    let failed = tokio::time::timeout(Duration::from_secs(30), writer.try_commit(&pending[1])).await;
    let failed = failed.unwrap_or_else(|_| panic!("{fault:?} at {request:?}: it goes on for ever"));
    let error = failed.expect_err("the fault does not pass");
    faulty.proxy.heal();

    let mut restarted = Writer::open(&directly, 0).await;
    let position = restarted.cached.as_ref().unwrap().snapshot.position(0);
    assert_eq!(position.next_offset, 20, "nothing of it has landed");
    restarted.commit(&pending[1]).await;
    faulty.place.assert_committed_once(3, 60);
    let consumed = [&pending[0][..], &pending[0], &pending[1]].concat();
    assert_eq!(rows(&directly).await, Expected::of(&consumed).rows());
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_does_not_pass_ends_the_process_and_a_new_one_goes_on() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let faults = [
        SLOW_DOWN,
        CONFLICT,
        Fault::Hang { forward: false },
        Fault::Disconnect { forward: false },
    ];
    let cases = REQUESTS
        .into_iter()
        .flat_map(|request| faults.map(|fault| Box::pin(commit_fails(s3, request, fault))));
    for error in a_few_at_a_time(cases).await {
        assert!(matches!(error, LakeError::GaveUp { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("commit.give_up_after"), "{message}");
        assert!(
            message.contains("nothing is lost, the next start goes on from the table"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_ends_the_process_at_once_and_a_new_one_goes_on() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let cases = REQUESTS.map(|request| Box::pin(commit_fails(s3, request, FORBIDDEN)));
    for error in a_few_at_a_time(cases).await {
        assert!(matches!(error, LakeError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("AccessDenied"), "{error}");
    }
}

/// A process that died between the request that made the entry and its answer finds its batch counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_landed_unheard_is_found_by_the_next_start() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let mut faulty = Faulty::new(s3);
    let patient = ("timeout".to_owned(), "60s".to_owned());
    faulty.config.pipeline.table.storage_options.extend([patient]);
    let pending = readings(1, 20, 0..3, &KEYS);
    let mut writer = Writer::open(&faulty.config, 0).await;
    faulty
        .proxy
        .fail("PUT", "_delta_log/0", Fault::Hang { forward: true }, 1);
    let landed = async {
        while faulty.place.log().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        version = writer.commit(&pending) => panic!("version {version}, though the answer does not come"),
        () = landed => {}
    }

    let (lake, cached) = Lake::open(&faulty.config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap();
    assert_eq!(cached.snapshot.position(0).next_offset, 20);
    drop(lake);
    // A process that does not know starts from where it was, and learns of the change.
    let mut stale = Writer::open(&faulty.config, 0).await;
    stale.cached.as_mut().unwrap().snapshot.version = 0;
    stale.cached.as_mut().unwrap().snapshot.positions.clear();
    stale.cached.as_mut().unwrap().snapshot.files.clear();
    let outcome = stale.try_commit(&pending).await.unwrap();
    assert!(
        matches!(outcome, Outcome::PositionsMoved { partition: 0, .. }),
        "{outcome:?}"
    );
    faulty.place.assert_committed_once(1, 20);
    assert_eq!(rows(&faulty.place.config()).await, Expected::of(&pending).rows());
}
