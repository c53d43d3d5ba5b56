use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};

use super::s3::{create, store_of};
use streamgauge_testkit::proxy::{Fault, FaultProxy};
use streamgauge_testkit::require;
use streamgauge_testkit::s3::{S3, storage_options};

const LOG_ENTRY: &str = "_delta_log/00000000000000000000.json";

#[tokio::test]
async fn without_faults_requests_pass_and_are_counted() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let proxy = FaultProxy::start(s3.address()).unwrap();
    let (store, path) = store_of(
        &storage_options(proxy.address()),
        &s3.table_uri("proxy"),
        LOG_ENTRY,
    );
    let large = "0123456789".repeat(500_000);
    store.put(&path, large.clone().into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), large);
    assert_eq!(store.head(&path).await.unwrap().size, 5_000_000);
    let listed: Vec<_> = store
        .list(Some(&path.parts().take(1).collect()))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    store.delete(&path).await.unwrap();
    assert!(matches!(
        store.get(&path).await,
        Err(object_store::Error::NotFound { .. })
    ));
    assert_eq!(
        [proxy.count("PUT", LOG_ENTRY), proxy.count("GET", LOG_ENTRY)],
        [1, 2]
    );
    assert_eq!(
        [proxy.count("HEAD", LOG_ENTRY), proxy.count("GET", "list-type=2")],
        [1, 1]
    );
    assert!(proxy.requests().iter().all(|request| request.fault.is_none()));
}

#[tokio::test]
async fn each_fault_has_its_effect_and_happens_as_often_as_it_was_asked_for() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let faults = [
        (Fault::AfterEffect { status: 500 }, true),
        (
            Fault::Answer {
                status: 503,
                code: "SlowDown",
            },
            false,
        ),
        (
            Fault::Answer {
                status: 409,
                code: "ConditionalRequestConflict",
            },
            false,
        ),
        (
            Fault::Answer {
                status: 403,
                code: "AccessDenied",
            },
            false,
        ),
        (Fault::Hang { forward: true }, true),
        (Fault::Hang { forward: false }, false),
        (Fault::Disconnect { forward: true }, true),
        (Fault::Disconnect { forward: false }, false),
    ];
    for (fault, takes_effect) in faults {
        let proxy = FaultProxy::start(s3.address()).unwrap();
        let (store, path) = store_of(
            &storage_options(proxy.address()),
            &s3.table_uri("fault"),
            LOG_ENTRY,
        );
        proxy.fail("PUT", "_delta_log/", fault, 1);
        assert!(create(&store, &path, "one").await.is_err(), "{fault:?}");
        assert_eq!(store.get(&path).await.is_ok(), takes_effect, "{fault:?}");
        assert_eq!(proxy.faults_left(), 0);
        assert_eq!(
            create(&store, &path, "two").await.is_err(),
            takes_effect,
            "{fault:?}"
        );
        assert_eq!(proxy.count("PUT", LOG_ENTRY), 2);
        assert_eq!(proxy.requests()[0].fault, Some(fault));
    }
}

#[tokio::test]
async fn a_delay_is_waited_for_and_a_healed_proxy_forgets_its_faults() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let proxy = FaultProxy::start(s3.address()).unwrap();
    let (store, path) = store_of(
        &storage_options(proxy.address()),
        &s3.table_uri("delay"),
        LOG_ENTRY,
    );
    let delay = Duration::from_millis(300);
    proxy.fail("PUT", LOG_ENTRY, Fault::Delay(delay), 2);
    let started = Instant::now();
    create(&store, &path, "slow").await.unwrap();
    assert!(started.elapsed() >= delay);
    assert_eq!(proxy.faults_left(), 1);
    proxy.heal();
    assert_eq!(proxy.faults_left(), 0);
}
