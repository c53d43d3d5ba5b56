//! A concurrent reader: Trino queries while `aggregate` commits, and sees one version of the table each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::library::{Library, tuesdays};
use super::parts;
use crate::stream::stop;
use crate::table::Place;
use streamgauge::telemetry::events::PARTITION_ASSIGNED;
use streamgauge_testkit::heavy;
use streamgauge_testkit::process::Child;

const LIMIT: Duration = Duration::from_secs(120);

/// Two reads in one statement, each of all files: sums of both, and whether a window is there twice.
const SQL: &str = "
    SELECT a.rows, a.starts, a.readings, b.rows, b.readings
    FROM (SELECT count(*) AS rows, count(DISTINCT start) AS starts, sum(count) AS readings FROM usage) AS a
    CROSS JOIN (SELECT sum(1) AS rows, sum(count) AS readings FROM usage WHERE avg_usage > 0) AS b";

/// Rows and readings at each version, as the log has them: rows in the files that are live then, readings
/// as the commits' metrics count them.
fn history(place: &Place) -> BTreeSet<(i64, i64)> {
    let mut live: BTreeMap<String, i64> = BTreeMap::new();
    let mut readings = 0;
    let mut versions = BTreeSet::new();
    let path = |file: &Value| file["path"].as_str().unwrap().to_owned();
    for action in place.log().values().flat_map(|actions| {
        // The version is complete when all of its actions were applied.
        actions.iter().map(Some).chain([None])
    }) {
        let Some(action) = action else {
            versions.insert((live.values().sum(), readings));
            continue;
        };
        if let Some(file) = action.get("remove") {
            live.remove(&path(file));
        }
        if let Some(file) = action.get("add") {
            let stats: Value = serde_json::from_str(file["stats"].as_str().unwrap()).unwrap();
            live.insert(path(file), stats["numRecords"].as_i64().unwrap());
        }
        let aggregated = &action["commitInfo"]["operationMetrics"]["numRecordsAggregated"];
        readings += aggregated.as_str().map_or(0, |count| count.parse().unwrap());
    }
    versions
}

#[test]
fn trino_sees_one_version_while_commits_are_made() -> Result<()> {
    let Some((kafka, s3, trino)) = parts() else {
        return Ok(());
    };
    let _alone = heavy();
    let mut library = Library::new(kafka, s3, false)?;
    let mut command = library.aggregation()?;
    command.env("STREAMGAUGE__COMMIT__INTERVAL", "100ms");
    let mut aggregate = Child::start_with_events("aggregate", &mut command)?;
    aggregate.wait_for_event(PARTITION_ASSIGNED, &[], LIMIT)?;
    let schema = trino.register(&library.place.uri)?;

    // A reader that asks as often as it can, until everything is committed.
    let all = tuesdays()?;
    let total = all.len() as i64;
    let mut seen = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| -> Result<()> {
            for some in all.chunks(40) {
                library.produce(kafka, "", some)?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        });
        let deadline = Instant::now() + LIMIT;
        while seen.last().is_none_or(|(_, readings)| *readings < total) {
            ensure!(
                Instant::now() < deadline,
                "not all is committed: {:?}",
                seen.last()
            );
            let answer = trino.query(&schema, SQL)?;
            let numbers = answer.rows[0].iter().map(|number| number.as_i64().unwrap_or(0));
            let [rows, starts, readings, rows_again, readings_again] = numbers.collect::<Vec<_>>()[..] else {
                panic!("{answer:?}")
            };
            ensure!(
                (rows, readings) == (rows_again, readings_again),
                "two versions in one statement"
            );
            ensure!(rows == starts, "a window is there twice");
            seen.push((rows, readings));
        }
        writer.join().expect("the writer does not panic")
    })?;
    stop(aggregate)?;

    let versions = history(&library.place);
    ensure!(
        seen.is_sorted_by_key(|(_, readings)| *readings),
        "a reader went back: {seen:?}"
    );
    for found in &seen {
        ensure!(
            versions.contains(found),
            "no version has {found:?} rows and readings: {versions:?}"
        );
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    eprintln!(
        "{} queries saw {} of {} versions",
        seen.len(),
        distinct.len(),
        versions.len()
    );
    ensure!(
        distinct.len() >= 5 && versions.len() >= 20,
        "too little happened at once"
    );
    let last = versions.last().context("there are versions")?;
    ensure!(
        last.1 as u64 == library.readings(),
        "the last version has all readings"
    );
    ensure!(
        last.0 as usize == library.rows().len(),
        "the last version has all windows"
    );
    Ok(())
}
