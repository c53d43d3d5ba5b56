//! What the place of snapshots promises, on a local disk and on S3.

use streamgauge::config::Config;
use streamgauge::lake::{OpenMode, SnapshotStore};

use crate::table::{Place, contract};

contract!(
    snapshots_come_back_and_only_the_newest_stay,
    another_group_and_another_topic_have_their_own,
    what_is_no_snapshot_is_none,
);

const NONE: [i64; 0] = [];

async fn store(config: &Config) -> SnapshotStore {
    SnapshotStore::open(config, OpenMode::Create).await.unwrap()
}

async fn snapshots_come_back_and_only_the_newest_stay(place: &Place) {
    let store = store(&place.config()).await;
    assert_eq!(store.offsets(0).await.unwrap(), NONE);
    let contents = |offset: i64| offset.to_le_bytes().repeat(50_000);
    for offset in [5, 100, 7_000_000_000, 70_000_000_000] {
        store.keep(0, offset, contents(offset)).await.unwrap();
    }
    store.keep(1, 3, contents(3)).await.unwrap();
    assert_eq!(store.offsets(0).await.unwrap(), [70_000_000_000, 7_000_000_000]);
    for (partition, offset) in [(0, 70_000_000_000), (0, 7_000_000_000), (1, 3)] {
        let read = store.read(partition, offset).await.unwrap();
        assert_eq!(read, Some(contents(offset)), "{partition}/{offset}");
    }
    assert_eq!(store.read(0, 5).await.unwrap(), None, "it was removed");
    store.clear(0).await.unwrap();
    assert_eq!(store.offsets(0).await.unwrap(), NONE);
    assert_eq!(store.offsets(1).await.unwrap(), [3]);
}

async fn another_group_and_another_topic_have_their_own(place: &Place) {
    let mut config = place.config();
    let first = store(&config).await;
    first.keep(0, 7, b"state".to_vec()).await.unwrap();
    config.detect.group = "another".to_owned();
    assert_eq!(store(&config).await.offsets(0).await.unwrap(), NONE);
    config.detect.group = String::new();
    config.kafka.topic = "another".to_owned();
    assert_eq!(store(&config).await.offsets(0).await.unwrap(), NONE);
    assert_eq!(first.offsets(0).await.unwrap(), [7]);
}

async fn what_is_no_snapshot_is_none(place: &Place) {
    let config = place.config();
    let store = store(&config).await;
    store.keep(0, 7, b"state".to_vec()).await.unwrap();
    assert_eq!(store.read(0, 8).await.unwrap(), None);
    assert_eq!(store.read(2, 7).await.unwrap(), None);
}
