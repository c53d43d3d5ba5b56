//! A log that was damaged or tampered with: what can be read is read, what cannot is reported in a sentence, and
//! `table repair` mends what the rest of the log proves wrong. On a local disk and on S3.

use std::path::PathBuf;
use std::time::Duration;

use object_store::ObjectStoreExt;
use serde_json::{Value, json};
use streamgauge::config::Config;
use streamgauge::lake::{Lake, LakeError, OpenMode, repair};
use streamgauge::query;
use streamgauge::table::Outcome;
use streamgauge_testkit::process::run;

use crate::program::streamgauge;
use crate::table::{Expected, HOUR_MS, Place, Writer, contract, maintenance, readings, rows};

contract!(
    a_damaged_checkpoint_stops_nothing_and_is_repaired,
    a_hint_at_no_checkpoint_stops_nothing_and_is_repaired,
    a_wrong_checkpoint_is_exposed_by_the_log,
    a_log_that_cannot_be_rebuilt_is_left_alone,
    expired_entries_stay_while_their_checkpoint_is_damaged,
    data_files_outside_of_the_table_are_not_followed,
    properties_that_ask_more_of_a_writer_are_refused,
    extremes_in_the_log_stop_nothing,
    a_data_file_that_is_gone_is_not_said_to_be_safe,
    a_damaged_data_file_keeps_the_log_from_no_checkpoint,
);

const KEYS: [&str; 3] = ["north", "east", "west"];

fn log_file(place: &Place, name: &str) -> PathBuf {
    place.folder.join("_delta_log").join(name)
}

fn checkpoint(place: &Place, version: u64) -> PathBuf {
    log_file(place, &format!("{version:020}.checkpoint.parquet"))
}

fn entry(place: &Place, version: u64) -> PathBuf {
    log_file(place, &format!("{version:020}.json"))
}

/// A table at version 9 with checkpoints of the versions 4 and 8.
async fn table(place: &Place) -> (Config, Writer, Expected) {
    let mut config = place.config();
    config.pipeline.maintenance.checkpoint_commits = 4;
    config.pipeline.maintenance.compact_files = 1000;
    config.pipeline.commit.give_up_after = Duration::from_secs(1);
    let mut writer = Writer::open(&config, 0).await;
    let mut maintenance = maintenance(&config).await;
    let mut expected = Expected::default();
    for round in 0..9 {
        let pending = readings(round, 20, 0..3, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
        maintenance.round().await.unwrap();
    }
    assert!(checkpoint(place, 4).exists() && checkpoint(place, 8).exists());
    (config, writer, expected)
}

async fn a_damaged_checkpoint_stops_nothing_and_is_repaired(place: &Place) {
    let (config, _, mut expected) = table(place).await;
    let sound = std::fs::read(checkpoint(place, 8)).unwrap();
    let mut lost_sector = sound.clone();
    let middle = lost_sector.len() / 2;
    lost_sector[middle..middle + 512].fill(0);
    let damages: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("torn", sound[..sound.len() / 2].to_vec()),
        ("zeroed", vec![0; sound.len()]),
        ("a sector lost", lost_sector),
        ("no parquet", b"hello".to_vec()),
    ];
    for (round, (name, damaged)) in damages.into_iter().enumerate() {
        std::fs::write(checkpoint(place, 8), &damaged).unwrap();
        // The checkpoint before it has to do, and then the entries from the first on.
        if round == 1 {
            std::fs::write(checkpoint(place, 4), &damaged).unwrap();
        }
        let pending = readings(50 + round as u64, 20, 0..3, &KEYS);
        let mut restarted = Writer::open(&config, 0).await;
        restarted.commit(&pending).await;
        expected.add(&pending);
        maintenance(&config).await.clean_up(false).await.unwrap();

        let before = std::fs::read(checkpoint(place, 8)).unwrap();
        let dry = repair(&config.pipeline.table, true).await.unwrap();
        assert_eq!(
            std::fs::read(checkpoint(place, 8)).unwrap(),
            before,
            "a dry run changes nothing"
        );
        let wet = repair(&config.pipeline.table, false).await.unwrap();
        println!("{name}: {wet:?}");
        assert_eq!(dry.deleted, wet.deleted);
        assert!(
            wet.deleted
                .iter()
                .any(|(file, fault)| file.contains("8.checkpoint") && fault.contains("damaged"))
        );
        assert!(
            !checkpoint(place, 8).exists() && checkpoint(place, wet.checkpoint_version.unwrap()).exists()
        );
        assert_eq!(rows(&config).await, expected.rows(), "{name}");
        let again = repair(&config.pipeline.table, false).await.unwrap();
        assert!(
            again.deleted.is_empty() && again.checkpoint_version.is_none(),
            "{again:?}"
        );
    }
    // Maintenance mends by itself what is in the way of its next checkpoint.
    let newest = repair(&config.pipeline.table, true).await.unwrap().version;
    std::fs::write(checkpoint(place, newest), "torn").unwrap();
    let mut writer = Writer::open(&config, 0).await;
    let pending = readings(99, 20, 0..3, &KEYS);
    writer.commit(&pending).await;
    expected.add(&pending);
    maintenance(&config).await.checkpoint().await.unwrap();
    assert!(!checkpoint(place, newest).exists());
    assert_eq!(rows(&config).await, expected.rows());
}

async fn a_hint_at_no_checkpoint_stops_nothing_and_is_repaired(place: &Place) {
    let (config, mut writer, mut expected) = table(place).await;
    let hint = log_file(place, "_last_checkpoint");
    for (round, text) in [
        "",
        "hello",
        "[]",
        r#"{"version": -1, "size": 1}"#,
        r#"{"version": 9, "size": 1}"#,
        r#"{"version": 9000, "size": 1}"#,
        r#"{"version": 9223372036854775807, "size": 1}"#,
        "\0\0\0\0",
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&hint, text).unwrap();
        let pending = readings(60 + round as u64, 20, 0..3, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
        maintenance(&config).await.clean_up(false).await.unwrap();
        let dry = repair(&config.pipeline.table, true).await.unwrap();
        assert_eq!(dry.deleted[0].0, "_last_checkpoint", "{text}");
        match query::open(&config.pipeline.table, None).await {
            Ok(_) => {}
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.contains("_last_checkpoint") && message.contains("streamgauge table repair"),
                    "{message}"
                );
            }
        }
        if round % 2 == 0 {
            repair(&config.pipeline.table, false).await.unwrap();
        } else {
            maintenance(&config).await.checkpoint().await.unwrap();
        }
        assert_eq!(rows(&config).await, expected.rows(), "{text}");
    }
}

/// It can be read and says something else.
async fn a_wrong_checkpoint_is_exposed_by_the_log(place: &Place) {
    let (config, _, expected) = table(place).await;
    std::fs::copy(checkpoint(place, 4), checkpoint(place, 8)).unwrap();
    let report = repair(&config.pipeline.table, false).await.unwrap();
    assert_eq!(
        report.deleted.len(),
        2,
        "the checkpoint, and the hint at it: {report:?}"
    );
    assert_eq!(rows(&config).await, expected.rows());

    // Without the entries that would show which is right, none is deleted.
    std::fs::copy(checkpoint(place, 4), checkpoint(place, 8)).unwrap();
    std::fs::remove_file(entry(place, 0)).unwrap();
    let error = repair(&config.pipeline.table, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("contradicts") && error.contains("nothing was changed"),
        "{error}"
    );
    assert!(checkpoint(place, 4).exists() && checkpoint(place, 8).exists());
}

async fn a_log_that_cannot_be_rebuilt_is_left_alone(place: &Place) {
    let (config, _, _) = table(place).await;
    for version in [4, 8] {
        std::fs::write(checkpoint(place, version), "").unwrap();
    }
    std::fs::remove_file(entry(place, 2)).unwrap();
    let before: Vec<_> = std::fs::read_dir(log_file(place, ""))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let error = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("streamgauge table repair"), "{error}");
    for dry_run in [true, false] {
        let message = repair(&config.pipeline.table, dry_run)
            .await
            .unwrap_err()
            .to_string();
        for words in [
            "8.checkpoint.parquet is damaged",
            "entry 2 is missing",
            "nothing was changed",
        ] {
            assert!(message.contains(words), "{words} in {message}");
        }
    }
    assert!(before.iter().all(|file| file.exists()));
    // An entry of which a power cut left nothing.
    std::fs::write(entry(place, 2), "").unwrap();
    let message = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("version 2") && message.contains("empty"),
        "{message}"
    );
}

async fn expired_entries_stay_while_their_checkpoint_is_damaged(place: &Place) {
    let (mut config, _, expected) = table(place).await;
    config.pipeline.maintenance.log_retention = Duration::ZERO;
    std::fs::write(checkpoint(place, 8), "").unwrap();
    maintenance(&config).await.clean_up(false).await.unwrap();
    assert!(!entry(place, 3).exists() && entry(place, 4).exists() && checkpoint(place, 4).exists());
    repair(&config.pipeline.table, false).await.unwrap();
    maintenance(&config).await.clean_up(false).await.unwrap();
    assert_eq!(place.log().len(), 1, "those before the new checkpoint");
    assert_eq!(rows(&config).await, expected.rows());
}

/// Adds a version by another writer.
async fn tamper(place: &Place, writer: &Writer, actions: &[Value]) -> u64 {
    let version = place.log().keys().last().unwrap() + 1;
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    let store = writer.lake.log_store().object_store(None);
    let location = format!("_delta_log/{version:020}.json");
    store
        .put(&location.as_str().into(), lines.join("\n").into())
        .await
        .unwrap();
    version
}

fn add(path: &str) -> Value {
    json!({"add": {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": true}})
}

async fn data_files_outside_of_the_table_are_not_followed(place: &Place) {
    let mut config = place.config();
    Writer::open(&config, 0)
        .await
        .commit(&readings(1, 20, 0..3, &KEYS))
        .await;
    for path in [
        "../x.parquet",
        "/abs/x.parquet",
        "file:///x.parquet",
        "s3://lake/x.parquet",
        "%2e%2e/x.parquet",
        "..%2fx.parquet",
        "a/../../x.parquet",
    ] {
        let mut writer = Writer::open(&config, 0).await;
        let version = tamper(place, &writer, &[add(path)]).await;
        let opened = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
            .await
            .unwrap_err();
        assert!(matches!(opened, LakeError::Outside { .. }), "{path}: {opened:?}");
        let asked = query::open(&config.pipeline.table, None)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(asked.contains("outside of the table's folder"), "{path}: {asked}");
        let outcome = writer.try_commit(&readings(2, 20, 0..3, &KEYS)).await.unwrap();
        assert!(matches!(outcome, Outcome::Incompatible(_)), "{path}: {outcome:?}");
        std::fs::remove_file(entry(place, version)).unwrap();
    }
    config.pipeline.table.name = "usage".to_owned();
    assert_eq!(rows(&config).await.len(), 9);
}

async fn properties_that_ask_more_of_a_writer_are_refused(place: &Place) {
    let config = place.config();
    Writer::open(&config, 0)
        .await
        .commit(&readings(1, 20, 0..3, &KEYS))
        .await;
    let made = place.log()[&0]
        .iter()
        .find_map(|action| action.get("metaData"))
        .unwrap()
        .clone();
    for (name, value) in [
        ("delta.appendOnly", "true"),
        ("delta.setTransactionRetentionDuration", "interval 2 seconds"),
        ("delta.constraints.c", "count > 0"),
        ("delta.enableChangeDataFeed", "true"),
    ] {
        let mut writer = Writer::open(&config, 0).await;
        let mut changed = made.clone();
        changed["configuration"][name] = json!(value);
        let version = tamper(place, &writer, &[json!({"metaData": changed})]).await;
        let error = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains("UNSET TBLPROPERTIES"),
            "{error}"
        );
        let outcome = writer.try_commit(&readings(2, 20, 0..3, &KEYS)).await.unwrap();
        assert!(matches!(outcome, Outcome::Incompatible(_)), "{name}: {outcome:?}");
        std::fs::remove_file(entry(place, version)).unwrap();
    }
}

/// No panic, whatever numbers a log holds.
async fn extremes_in_the_log_stop_nothing(place: &Place) {
    let config = place.config();
    Writer::open(&config, 0)
        .await
        .commit(&readings(1, 20, 0..3, &KEYS))
        .await;
    let txn = |name: &str, version: i64| json!({"txn": {"appId": format!("streamgauge/usage/0/{name}"), "version": version}});
    let live = place.folder.join("copy.parquet");
    let name = crate::table::data_files(&place.folder)
        .into_iter()
        .next()
        .unwrap();
    std::fs::copy(place.folder.join(name), &live).unwrap();
    let writer = Writer::open(&config, 0).await;
    for number in [i64::MIN, i64::MAX, -1] {
        let mut actions = vec![txn("offset", number), txn("event_time", number)];
        let mut file = add("copy.parquet");
        file["add"]["size"] = json!(number);
        file["add"]["modificationTime"] = json!(number);
        file["add"]["stats"] = json!(format!(
            r#"{{"numRecords":{},"minValues":{{"start":"+262142-01-01T00:00:00Z"}},"maxValues":{{"start":"-262143-01-01T00:00:00Z"}}}}"#,
            u64::MAX
        ));
        actions.push(file);
        actions.push(
            json!({"remove": {"path": "gone.parquet", "deletionTimestamp": number, "dataChange": true}}),
        );
        let version = tamper(place, &writer, &actions).await;
        let mut maintenance = maintenance(&config).await;
        maintenance.compact(true).await.unwrap();
        maintenance.clean_up(false).await.unwrap();
        repair(&config.pipeline.table, true).await.unwrap();
        let options: Vec<String> = place
            .options
            .iter()
            .map(|(name, value)| format!("{name} = {value:?}\n"))
            .collect();
        let settings = streamgauge_testkit::process::scratch_folder("extremes").join("streamgauge.toml");
        std::fs::write(
            &settings,
            format!("[table.storage_options]\n{}", options.concat()),
        )
        .unwrap();
        for command in ["describe", "history", "compact", "vacuum", "repair"] {
            let mut arguments = vec![
                "--config",
                settings.to_str().unwrap(),
                "table",
                command,
                "--table",
                &place.uri,
            ];
            arguments.extend((command == "describe").then_some("--offline"));
            let said = run(command, &mut streamgauge(arguments), Duration::from_secs(60)).unwrap();
            assert!(!said.is_empty());
        }
        for extra in place.log().keys().filter(|found| **found >= version) {
            std::fs::remove_file(entry(place, *extra)).unwrap();
        }
    }
}

async fn a_data_file_that_is_gone_is_not_said_to_be_safe(place: &Place) {
    let mut config = place.config();
    config.pipeline.commit.give_up_after = Duration::from_millis(200);
    Writer::open(&config, 0)
        .await
        .commit(&readings(1, 20, 0..1, &KEYS))
        .await;
    let name = crate::table::data_files(&place.folder)
        .into_iter()
        .next()
        .unwrap();
    std::fs::remove_file(place.folder.join(&name)).unwrap();
    let mut restarted = Writer::open(&config, 0).await;
    let error = restarted
        .try_commit(&readings(2, 20, 0..1, &KEYS))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&name) && !error.contains("nothing is lost"),
        "{error}"
    );
}

async fn a_damaged_data_file_keeps_the_log_from_no_checkpoint(place: &Place) {
    let (mut config, mut writer, _) = table(place).await;
    // The windows of the first three hours close, and all their files are to be merged.
    writer.commit(&readings(50, 20, 90..92, &KEYS)).await;
    config.pipeline.maintenance.compact_files = 2;
    let (_, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap();
    let closed = cached
        .snapshot
        .files
        .values()
        .filter(|file| file.last_start_ms < 3 * HOUR_MS);
    let damaged: Vec<_> = closed.map(|file| place.folder.join(&*file.path)).collect();
    assert!(damaged.len() > 1, "{damaged:?}");
    std::fs::write(&damaged[0], "damaged").unwrap();

    let error = maintenance(&config).await.round().await.unwrap_err();
    assert!(matches!(error, LakeError::Damaged { .. }), "{error}");
    let version = cached.snapshot.version;
    assert!(checkpoint(place, version).exists() || checkpoint(place, version + 1).exists());
}
