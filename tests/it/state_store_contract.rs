//! The promises of a store of state files, on a local disk and on S3.

use std::io::Read;

use streamgauge::config::Config;
use streamgauge::lake::{OpenMode, StateStore};

use crate::table::{Place, contract};

contract!(
    state_files_come_back_and_only_the_newest_stay,
    another_group_and_another_topic_have_their_own,
    other_files_are_no_state_files,
);

const NONE: [i64; 0] = [];

async fn read(store: &StateStore, partition: i32, offset: i64) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    let mut reader = store.read(partition, offset).await.unwrap()?;
    reader.read_to_end(&mut contents).unwrap();
    Some(contents)
}

async fn store(config: &Config) -> StateStore {
    StateStore::open(&config.pipeline.state_spec(), OpenMode::Create)
        .await
        .unwrap()
}

async fn state_files_come_back_and_only_the_newest_stay(place: &Place) {
    let store = store(&place.config()).await;
    assert_eq!(store.offsets(0).await.unwrap(), NONE);
    let contents = |offset: i64| offset.to_le_bytes().repeat(50_000);
    for offset in [5, 100, 7_000_000_000, 70_000_000_000] {
        store.keep(0, offset, contents(offset)).await.unwrap();
    }
    store.keep(1, 3, contents(3)).await.unwrap();
    assert_eq!(store.offsets(0).await.unwrap(), [70_000_000_000, 7_000_000_000]);
    for (partition, offset) in [(0, 70_000_000_000), (0, 7_000_000_000), (1, 3)] {
        let read = read(&store, partition, offset).await;
        assert_eq!(read, Some(contents(offset)), "{partition}/{offset}");
    }
    assert_eq!(read(&store, 0, 5).await, None, "it was removed");
    store.clear(0).await.unwrap();
    assert_eq!(store.offsets(0).await.unwrap(), NONE);
    assert_eq!(store.offsets(1).await.unwrap(), [3]);
}

async fn another_group_and_another_topic_have_their_own(place: &Place) {
    let mut config = place.config();
    let first = store(&config).await;
    first.keep(0, 7, b"state".to_vec()).await.unwrap();
    config.pipeline.detect.group = "another".to_owned();
    assert_eq!(store(&config).await.offsets(0).await.unwrap(), NONE);
    config.pipeline.detect.group = String::new();
    config.pipeline.source.topic = "another".to_owned();
    assert_eq!(store(&config).await.offsets(0).await.unwrap(), NONE);
    assert_eq!(first.offsets(0).await.unwrap(), [7]);
}

async fn other_files_are_no_state_files(place: &Place) {
    let config = place.config();
    let store = store(&config).await;
    store.keep(0, 7, b"state".to_vec()).await.unwrap();
    assert_eq!(read(&store, 0, 8).await, None);
    assert_eq!(read(&store, 2, 7).await, None);
}
