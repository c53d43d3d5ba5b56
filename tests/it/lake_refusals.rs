//! Tables that are not this pipeline's, and places where there can be none: one clear error, soon, and nothing touched.
//!
//! Holds I8 (nothing silent): what does not fit is named, with both values.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use deltalake::kernel::{DataType, PrimitiveType, StructField};
use deltalake::{DeltaTable, DeltaTableBuilder};
use streamgauge::config::Config;
use streamgauge::lake::{Lake, LakeError, OpenMode, table_url};
use streamgauge::table::BucketHash;
use streamgauge::table::Outcome;
use streamgauge_testkit::process::scratch_folder;
use streamgauge_testkit::s3::S3;
use streamgauge_testkit::{free_port, require};

use crate::table::{Place, Writer, contract, readings, rows};

contract!(
    a_table_of_another_program_is_refused_and_not_touched,
    other_settings_than_the_table_was_made_with_are_refused,
    a_table_that_is_changed_under_a_writer_is_left_alone,
);

const STRING: PrimitiveType = PrimitiveType::String;
const TIMESTAMP: PrimitiveType = PrimitiveType::Timestamp;
const DOUBLE: PrimitiveType = PrimitiveType::Double;
const LONG: PrimitiveType = PrimitiveType::Long;

const OURS: [(&str, PrimitiveType); 8] = [
    ("key", STRING),
    ("start", TIMESTAMP),
    ("end", TIMESTAMP),
    ("avg_usage", DOUBLE),
    ("min_usage", DOUBLE),
    ("max_usage", DOUBLE),
    ("sum_usage", DOUBLE),
    ("count", LONG),
];

/// The table as delta-rs knows it.
async fn delta_table(place: &Place) -> DeltaTable {
    let url = table_url(&place.uri).unwrap();
    if let Ok(folder) = url.to_file_path() {
        std::fs::create_dir_all(folder).unwrap();
    }
    let options = place.options.iter().cloned().collect();
    let builder = DeltaTableBuilder::from_url(url)
        .unwrap()
        .with_storage_options(options);
    builder.build().unwrap()
}

/// A table made by delta-rs.
async fn foreign(
    place: &Place,
    columns: &[(&str, PrimitiveType)],
    partitioned_by: &[&str],
    property: Option<(&str, &str)>,
) {
    let columns = columns
        .iter()
        .map(|(name, kind)| StructField::new(*name, DataType::Primitive(kind.clone()), true));
    let properties = property.iter().map(|(name, value)| (*name, Some(*value)));
    delta_table(place)
        .await
        .create()
        .with_columns(columns)
        .with_partition_columns(partitioned_by.iter().copied())
        .with_configuration(properties)
        .await
        .unwrap();
}

/// All files in a folder, at any depth, with what is in them.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.to_str().unwrap().to_owned(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Fails unless opening the table is refused with these words, and leaves no trace.
async fn assert_refused(place: &Place, config: &Config, words: &[&str]) {
    let before = content(&place.folder);
    let error = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::Incompatible { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains(&place.uri) && message.contains("left untouched"),
        "{message}"
    );
    assert!(
        words.iter().all(|word| message.contains(word)),
        "{words:?} in {message}"
    );
    assert!(content(&place.folder) == before, "{message}");
}

async fn a_table_of_another_program_is_refused_and_not_touched(place: &Place) {
    let inside = |name: &str| Place {
        uri: format!("{}/{name}", place.uri),
        options: place.options.clone(),
        folder: place.folder.join(name),
    };
    let spark = inside("spark");
    foreign(
        &spark,
        &[("start", TIMESTAMP), ("end", TIMESTAMP), ("avg_usage", DOUBLE)],
        &[],
        None,
    )
    .await;
    let words = [
        "the column key (string) is missing",
        "the column sum_usage (double) is missing",
        "the column count (long) is missing",
        "streamgauge.window is missing from its properties",
    ];
    assert_refused(&spark, &spark.config(), &words).await;

    let wider = inside("wider");
    let columns: Vec<_> = OURS.into_iter().chain([("room", STRING)]).collect();
    foreign(&wider, &columns, &[], None).await;
    assert_refused(
        &wider,
        &wider.config(),
        &["the column room (string) is not one of ours"],
    )
    .await;

    let retyped = inside("retyped");
    let columns = OURS.map(|(name, kind)| {
        if name == "count" {
            (name, DOUBLE)
        } else {
            (name, kind)
        }
    });
    foreign(&retyped, &columns, &[], None).await;
    assert_refused(
        &retyped,
        &retyped.config(),
        &["the column count is double, not long"],
    )
    .await;

    let partitioned = inside("partitioned");
    foreign(&partitioned, &OURS, &["key"], None).await;
    assert_refused(&partitioned, &partitioned.config(), &["it is partitioned by key"]).await;

    let newer = inside("newer");
    foreign(&newer, &OURS, &[], Some(("delta.enableDeletionVectors", "true"))).await;
    let words = ["it needs Delta reader version 3 and writer version 7, this program writes 1 and 2"];
    assert_refused(&newer, &newer.config(), &words).await;
}

async fn other_settings_than_the_table_was_made_with_are_refused(place: &Place) {
    let config = place.config();
    Writer::open(&config, 0)
        .await
        .commit(&readings(1, 20, 0..4, &["a"]))
        .await;
    type Change = fn(&mut Config);
    let changes: [(Change, [&str; 3]); 7] = [
        (
            |config| config.pipeline.window.length /= 4,
            ["window.length", "1h", "15m"],
        ),
        (
            |config| config.pipeline.window.offset = Duration::from_secs(60),
            ["window.offset", "0s", "1m"],
        ),
        (
            |config| config.pipeline.source.topic = "power".to_owned(),
            ["kafka.topic", "usage", "power"],
        ),
        (
            |config| config.pipeline.reading.key = "meter.id".parse().expect("a key"),
            ["reading.key", "message", "meter.id"],
        ),
        (
            |config| config.pipeline.table.buckets = 3,
            ["table.buckets", "1", "3"],
        ),
        (
            |config| config.pipeline.table.bucket_hash = BucketHash::Crc32,
            ["table.bucket_hash", "murmur2", "crc32"],
        ),
        (
            |config| config.pipeline.table.count_column = "n".to_owned(),
            ["the column n (long)", "count", "missing"],
        ),
    ];
    for (change, words) in changes {
        let mut other = config.clone();
        change(&mut other);
        assert_refused(place, &other, &words).await;
    }
}

/// The table becomes another one while a process holds it open.
async fn a_table_that_is_changed_under_a_writer_is_left_alone(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    writer.commit(&readings(1, 20, 0..4, &["a"])).await;
    let before = rows(&config).await;
    let mut table = delta_table(place).await;
    table.load().await.unwrap();
    let column = StructField::new("room", DataType::Primitive(STRING), true);
    table.add_columns().with_fields([column]).await.unwrap();

    let outcome = writer.try_commit(&readings(2, 20, 0..4, &["a"])).await.unwrap();
    let Outcome::Incompatible(mismatch) = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        mismatch.contains("the column room (string) is not one of ours"),
        "{mismatch}"
    );
    assert_eq!(place.log().len(), 3);
    assert_refused(place, &config, &["the column room"]).await;
    assert_eq!(before.len(), 4);
}

/// Opens a table where there can be none. The answer must come soon.
async fn refusal(config: &Config) -> LakeError {
    let started = Instant::now();
    let error = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap_err();
    println!("{:?}: {error}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(60), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_hold_a_table_is_named() {
    let folder = scratch_folder("no-table");
    std::fs::write(folder.join("file"), "not a folder").unwrap();
    let at = |path: &Path| {
        let mut config = Place::local("unused").config();
        config.pipeline.table.uri = path.to_str().unwrap().to_owned();
        config
    };
    // Nobody, not even root, may make a folder in the last one.
    for path in [
        folder.join("file"),
        folder.join("file/table"),
        "/sys/streamgauge".into(),
    ] {
        let error = refusal(&at(&path)).await;
        assert!(matches!(error, LakeError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let log_is_a_file = folder.join("table");
    std::fs::create_dir(&log_is_a_file).unwrap();
    std::fs::write(log_is_a_file.join("_delta_log"), "not a folder").unwrap();
    let error = refusal(&at(&log_is_a_file)).await;
    assert!(matches!(error, LakeError::Refused { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_hold_a_table_is_named() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let config = |name: &str, value: &str| {
        let mut config = Place::s3(s3, "refused").config();
        config
            .pipeline
            .table
            .storage_options
            .insert(name.to_owned(), value.to_owned());
        config
    };
    let mut missing = config("aws_region", "us-east-1");
    missing.pipeline.table.uri = "s3://no-such-bucket/table".to_owned();
    let refused = [
        (missing, "bucket"),
        (config("aws_secret_access_key", "wrong"), "SignatureDoesNotMatch"),
        (config("aws_access_key_id", "nobody"), "InvalidAccessKeyId"),
    ];
    for (config, word) in refused {
        let error = refusal(&config).await;
        assert!(matches!(error, LakeError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let endpoint = format!("http://127.0.0.1:{}", free_port().unwrap());
    let error = refusal(&config("aws_endpoint_url", &endpoint)).await;
    assert!(error.is_transient(), "{error:?}");
}
