//! Records, keys, headers and numbers of series beyond their bounds.

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::{heavy, require, unique};

use super::{BOMB, GOOD, aggregate, detect, ensure_said, stream, text};
use crate::stream::rows_of;

#[test]
fn what_is_too_large_for_the_dead_letters_is_cut() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    for (name, bytes, limit, properties) in [
        ("cut-17", 17 << 20, None, &BOMB[..]),
        ("cut-40", 40 << 20, None, &BOMB[..]),
        ("cut-1", 1_048_500, Some("1048588"), &[][..]),
        ("cut-small", 300_000, Some("20000"), &[][..]),
    ] {
        let stream = stream(kafka, name)?;
        let dead_letters = format!("{}.dlq", stream.topic);
        if let Some(limit) = limit {
            kafka.create_topic_with(&dead_letters, 1, &[("max.message.bytes", limit)])?;
        }
        let large = NewRecord {
            key: Some(b"device".to_vec()),
            headers: vec![("trace".to_owned(), b"42".to_vec())],
            ..NewRecord::new(0, vec![b'x'; bytes])
        };
        kafka.produce(&stream.topic, [NewRecord::new(0, GOOD)])?;
        kafka.produce_with(properties, &stream.topic, [large])?;
        kafka.produce(&stream.topic, [NewRecord::new(0, "{"), NewRecord::new(0, GOOD)])?;
        let said = stream.aggregate_all()?;
        ensure_said(
            &said,
            &["4 consumed = 2 aggregated + 0 late + 2 dead-lettered", "was cut"],
        )?;
        let outputs = kafka.read_topic(&dead_letters)?;
        ensure!(outputs.len() == 2, "{} side outputs", outputs.len());
        let cut = outputs
            .iter()
            .find(|output| text(output, "streamgauge.offset").is_ok_and(|offset| offset == "1"))
            .context("no side output of offset 1")?;
        ensure!(text(cut, "streamgauge.truncated")? == bytes.to_string(), "{name}");
        ensure!(text(cut, "streamgauge.crc32")? == format!("{:08x}", crc32fast::hash(&vec![b'x'; bytes])));
        ensure!(text(cut, "trace")? == "42" && cut.key.as_deref() == Some(b"device"));
        let kept = cut.value.as_ref().map_or(0, Vec::len);
        ensure!((10_000..=65_536).contains(&kept), "{name}: {kept} bytes are kept");
        let small = outputs
            .iter()
            .find(|output| output.value.as_deref() == Some(b"{"));
        ensure!(small.is_some(), "what fits is whole");
        kafka.delete_topic(&stream.topic)?;
        kafka.delete_topic(&dead_letters)?;
    }
    Ok(())
}

#[test]
fn keys_beyond_the_limit_are_dead_letters() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "keys")?;
    let record = |key: &str| NewRecord::new(0, GOOD.replace("meter-1", key));
    let long = (0..40).map(|number| record(&format!("{number:05}{}", "k".repeat(1_000_000))));
    kafka.produce_with(&BOMB, &stream.topic, long)?;
    kafka.produce(
        &stream.topic,
        [record(&"k".repeat(1024)), record(&"k".repeat(1025))],
    )?;
    let said = stream.aggregate_all()?;
    ensure_said(
        &said,
        &[
            "42 consumed = 1 aggregated + 0 late + 41 dead-lettered",
            "dead-lettered as invalid_key: 41",
            "reading.max_key_bytes",
        ],
    )
}

#[test]
fn an_anomaly_that_does_not_fit_is_published_in_brief() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let topic = unique("anomaly-large");
    kafka.create_topic(&topic, 1)?;
    let target = format!("{topic}.anomaly");
    kafka.create_topic_with(&target, 1, &[("max.message.bytes", "20000")])?;
    let record = |key: &str| NewRecord {
        key: Some(key.as_bytes().to_vec()),
        ..NewRecord::new(0, GOOD)
    };
    for key in [&"k".repeat(400_000), &"\u{2028}".repeat(20_000), "short"] {
        kafka.produce(&topic, [record(key)])?;
    }
    let said = detect(
        kafka,
        &topic,
        &[("STREAMGAUGE__READING__MAX_KEY_BYTES", "65536")],
        0,
    )?;
    ensure_said(
        &said,
        &[
            "3 consumed = 2 judged",
            "1 rejected",
            "rejected as invalid_key: 1",
            "was cut",
        ],
    )?;
    let anomalies = kafka.read_topic(&target)?;
    ensure!(anomalies.len() == 2, "{} anomalies", anomalies.len());
    for anomaly in &anomalies {
        let value: serde_json::Value = serde_json::from_slice(anomaly.value.as_deref().unwrap_or_default())?;
        let explanation = value["explanation"].as_str().context("no explanation")?;
        ensure!(explanation.chars().count() < 400, "{explanation}");
        ensure!(value["value"] == 1.5, "{value}");
    }
    let brief = anomalies
        .iter()
        .find(|anomaly| text(anomaly, "streamgauge.key_truncated").is_ok());
    ensure!(text(brief.context("none in brief")?, "streamgauge.key_truncated")? == "60000");
    Ok(())
}

#[test]
fn headers_are_bounded_and_no_name_of_one_ends_it() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "headers")?;
    // SAFETY: the name is only passed to librdkafka, as bytes that end in NUL; nothing here reads it as text.
    let odd = unsafe { String::from_utf8_unchecked(b"caf\xe9".to_vec()) };
    let with = |headers: Vec<(String, Vec<u8>)>, value: &str| NewRecord {
        headers,
        ..NewRecord::new(0, value)
    };
    let large = vec![("h".to_owned(), vec![b'A'; 500_000])];
    let many = (0..20_000).map(|number| (format!("h{number}"), Vec::new()));
    let forged = vec![("streamgauge.id".to_owned(), b"usage/0/666".to_vec())];
    let records = [
        with(vec![(odd.clone(), b"1".to_vec())], GOOD),
        with(vec![(odd, b"1".to_vec())], "{"),
        with(large.clone(), "{"),
        with(many.collect(), "{"),
        with(forged, "{"),
    ];
    kafka.produce_with(&BOMB, &stream.topic, records)?;
    let said = stream.aggregate_all()?;
    ensure_said(&said, &["5 consumed = 1 aggregated + 0 late + 4 dead-lettered"])?;
    let outputs = kafka.read_topic(&format!("{}.dlq", stream.topic));
    // The test's own reader takes names for text, as rdkafka does; the names that we write are.
    for output in outputs? {
        let offset: usize = text(&output, "streamgauge.offset")?.parse()?;
        let ids = output.headers.iter().filter(|(name, _)| name == "streamgauge.id");
        ensure!(ids.count() == 1, "{output:?}");
        ensure!(text(&output, "streamgauge.id")? == format!("{}/0/{offset}", stream.topic));
        let bytes: usize = output
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        ensure!(
            bytes < 70_000 && output.headers.len() < 2_100,
            "{offset}: {bytes} bytes of headers"
        );
        match offset {
            1 => ensure!(text(&output, "caf\u{fffd}")? == "1"),
            2 => ensure!(text(&output, "streamgauge.headers_cut")? == "500001"),
            3 => ensure!(text(&output, "streamgauge.headers_cut")?.parse::<usize>()? > 80_000),
            _ => ensure!(text(&output, "original.streamgauge.id")? == "usage/0/666"),
        }
    }
    Ok(())
}

#[test]
fn details_are_short_and_printable() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "details")?;
    let long = format!("\"{}\"", "\u{7f}".repeat(1_000_000));
    kafka.produce(&stream.topic, [NewRecord::new(0, long), NewRecord::new(0, GOOD)])?;
    let said = stream.aggregate_all()?;
    let longest = said.lines().map(str::len).max().unwrap_or_default();
    ensure!(longest < 1_000, "a line of {longest} bytes");
    let outputs = kafka.read_topic(&format!("{}.dlq", stream.topic))?;
    let detail = text(&outputs[0], "streamgauge.detail")?;
    ensure!(
        detail.chars().count() <= 200 && !detail.contains(char::is_control),
        "{detail}"
    );
    Ok(())
}

#[test]
fn a_flood_of_new_series_leaves_the_known_ones_alone() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "series")?;
    let record = |key: &str| NewRecord::new(0, GOOD.replace("meter-1", key));
    let flood = (0..2_000).map(|number| record(&format!("one-off-{number}")));
    let readings = [record("meter-1")]
        .into_iter()
        .chain(flood)
        .chain([record("meter-1")]);
    kafka.produce(&stream.topic, readings)?;
    let limit = [("STREAMGAUGE__WINDOW__MAX_SERIES", "1000")];
    let said = aggregate(&stream, &[], &limit, 0)?;
    ensure_said(
        &said,
        &[
            "2,002 consumed = 1,001 aggregated + 0 late + 1,001 dead-lettered",
            "dead-lettered as too_many_series: 1,001",
        ],
    )?;
    let rows = rows_of(&stream.table, None)?;
    let known = rows.iter().find(|((_, key), _)| key == "meter-1");
    ensure!(rows.len() == 1_000 && known.is_some_and(|(_, cells)| cells.0 == 2));
    Ok(())
}
