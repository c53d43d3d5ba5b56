use super::*;
use crate::config::{config_of, reading_presets};

const NOW_MS: i64 = 1_784_545_200_000;

fn report(values: &[String], keys: &[&str], settings: &[(&str, &str)]) -> Report {
    let values: Vec<Vec<u8>> = values.iter().map(|value| value.clone().into_bytes()).collect();
    report_of(&values, keys, settings)
}

fn report_of(values: &[Vec<u8>], keys: &[&str], settings: &[(&str, &str)]) -> Report {
    let mut block = RecordBlock::new(0, 0);
    for (index, value) in values.iter().enumerate() {
        let record = Record {
            offset: index as i64,
            timestamp_ms: Some(NOW_MS),
            key: keys.get(index % keys.len().max(1)).map(|key| key.as_bytes()),
            value: Some(value),
            headers: &[],
        };
        block.push(record, None);
    }
    let presets: Vec<Preset> = reading_presets()
        .map(|(name, settings)| Preset {
            name: name.to_owned(),
            settings,
        })
        .collect();
    sniff(
        &[block],
        &config_of(settings).pipeline.reading,
        &presets,
        &Arc::default(),
    )
}

/// The settings that are proposed, as lines of a file.
fn lines(report: &Report) -> Vec<String> {
    let proposal = report.proposal.as_ref().expect("a proposal");
    let line = |setting: &Proposed| format!("{} = {}", setting.name, setting.value);
    proposal.settings.iter().map(line).collect()
}

fn documents_of(text: &str, count: usize) -> Vec<String> {
    let with = |index: usize| {
        text.replace("$time_s", &(1_784_541_600 + index * 10).to_string())
            .replace("$time", &format!("2026-07-20T10:{:02}:00Z", index % 60))
            .replace("$meter", ["a", "b", "c"][index % 3])
            .replace("$value", &format!("{}.5", index % 7))
    };
    (0..count).map(with).collect()
}

#[test]
fn what_the_settings_read_needs_no_proposal() {
    let found = report(&documents_of(r#"{"ts": "$time", "value": $value}"#, 20), &[], &[]);
    assert!(found.in_force.is_good());
    assert!(found.proposal.is_none());
    assert_eq!((found.records, found.in_force.readings), (20, 20));
    assert_eq!(found.fields[0].kind, "time");
}

#[test]
fn fields_are_told_by_name_and_content() {
    let text = r#"{"id": 7, "measured": {"at": $time_s, "power": $value}, "meter": "$meter", "rssi": -70}"#;
    let found = report(&documents_of(text, 30), &[], &[]);
    assert_eq!(
        lines(&found),
        [
            r#"time_field = "measured.at""#,
            r#"time_format = "epoch_s""#,
            r#"value_field = "measured.power""#,
            r#"key = "meter""#,
        ]
    );
    let proposal = found.proposal.expect("a proposal");
    assert_eq!(
        (proposal.outcome.readings, proposal.outcome.series.len()),
        (30, 3)
    );
    assert_eq!(proposal.notes, ["other fields of numbers: rssi"]);
}

#[test]
fn other_kinds_of_documents_are_passed_over() {
    let mut documents = documents_of(r#"{"time": "$time", "kind": "power", "kw": $value}"#, 20);
    documents.extend(documents_of(
        r#"{"time": "$time", "kind": "alive", "up": true}"#,
        10,
    ));
    let found = report(&documents, &[], &[]);
    assert!(
        lines(&found).contains(&r#"where = ['kind == "power"']"#.to_owned()),
        "{:?}",
        lines(&found)
    );
    let outcome = found.proposal.expect("a proposal").outcome;
    assert_eq!((outcome.accepted, outcome.skipped, outcome.dead()), (20, 10, 0));
}

#[test]
fn arrays_of_readings_are_gone_into() {
    let text =
        r#"{"meter": "$meter", "readings": [{"ts": "$time", "v": $value}, {"ts": "$time", "v": 2.5}]}"#;
    let found = report(&documents_of(text, 12), &[], &[]);
    assert_eq!(
        lines(&found),
        [
            r#"each = "readings""#,
            r#"time_field = "ts""#,
            r#"time_format = "text""#,
            r#"value_field = "v""#,
            r#"key = "^.meter""#,
        ]
    );
    assert_eq!(found.proposal.expect("a proposal").outcome.readings, 24);
}

#[test]
fn the_keys_of_messages_tell_series_apart_where_no_field_does() {
    let found = report(
        &documents_of(r#"{"at": "$time", "kw": $value}"#, 20),
        &["m1", "m2"],
        &[],
    );
    assert!(lines(&found).contains(&r#"key = "message""#.to_owned()));
    assert_eq!(found.keyed, (20, 2));
}

#[test]
fn known_producers_are_recognized() {
    let telegraf = r#"{"fields":{"usage_idle":$value,"usage_user":1.5},"name":"cpu","tags":{"host":"$meter","cpu":"cpu0"},"timestamp":$time_s}"#;
    let found = report(&documents_of(telegraf, 20), &[], &[]);
    assert_eq!(lines(&found), [r#"preset = "telegraf""#]);
    let influx = "cpu,host=$meter usage_idle=$value,usage_user=1.5 $time_s000000000\n";
    let found = report(&documents_of(influx, 20), &[], &[]);
    assert_eq!(lines(&found), [r#"preset = "telegraf-influx""#]);
    // Blanks and commas in a text.
    let texts = r#"system,host=$meter uptime="3 days, 4 hours",load1=$value $time_s000000000"#;
    let found = report(&documents_of(texts, 20), &[], &[]);
    assert!(
        found
            .looks
            .keys()
            .all(|look| look.starts_with("InfluxDB's line protocol")),
        "{:?}",
        found.looks
    );
}

#[test]
fn what_is_no_reading_has_no_proposal() {
    let found = report(&documents_of("hello $meter", 10), &[], &[]);
    assert!(found.proposal.is_none());
    assert_eq!(found.in_force.dead(), 10);
    let nothing = report(&[], &[], &[]);
    assert_eq!(nothing.records, 0);
}

#[test]
fn opentelemetrys_protobuf_is_named_and_read_by_its_preset() {
    // resourceMetrics.scopeMetrics.metrics: the gauge p with the value 0 at 2026-07-20T10:00:00Z, which ends in zeros.
    let mut request = b"\x0a\x1d\x12\x1b\x12\x19\x0a\x01p\x2a\x14\x0a\x12\x19".to_vec();
    request.extend(1_784_541_600_000_000_000_u64.to_le_bytes());
    request.push(4 << 3 | 1);
    request.extend(0.0_f64.to_le_bytes());
    let found = report_of(&vec![request; 5], &[], &[]);
    assert_eq!(lines(&found), [r#"preset = "otel""#, r#"format = "otlp-proto""#]);
    let proposal = found.proposal.expect("a proposal");
    assert_eq!((proposal.outcome.accepted, proposal.has_measures), (5, true));
    let look = found.looks.keys().next().expect("a look");
    assert!(look.contains("OTLP in protobuf"), "{look}");
}

#[test]
fn texts_that_need_a_setting_are_read_by_it() {
    let documents = |text: &str, times: [&str; 4]| -> Vec<String> {
        let with = times.iter().enumerate();
        with.map(|(index, time)| {
            text.replace("$time", time)
                .replace("$meter", ["x", "y"][index % 2])
        })
        .collect()
    };
    let text = r#"{"when":"$time","power":"21,5","device":"$meter"}"#;
    let decided = [
        "01/05/2024 00:00",
        "02/05/2024 00:00",
        "13/05/2024 00:00",
        "14/05/2024 00:00",
    ];
    let found = report(&documents(text, decided), &[], &[]);
    assert_eq!(
        lines(&found),
        [
            r#"time_field = "when""#,
            r#"date_order = "dmy""#,
            r#"time_zone = "UTC""#,
            r#"value_field = "power""#,
            r#"decimal = ",""#,
            r#"key = "device""#,
        ]
    );
    let outcome = found.proposal.expect("a proposal").outcome;
    // 2024-05-01 to 2024-05-14
    assert_eq!(outcome.times_ms, Some((1_714_521_600_000, 1_715_644_800_000)));
    assert_eq!(outcome.values, Some((21.5, 21.5)));

    let open = ["01/05/2024", "02/05/2024", "03/05/2024", "04/05/2024"];
    let found = report(&documents(text, open), &[], &[]);
    let proposal = found.proposal.expect("a proposal");
    let order = proposal
        .settings
        .iter()
        .find(|setting| setting.name == "date_order");
    let why = &order.expect("an order").why;
    assert!(why.contains(r#"or "mdy": 01/05/2024 can be either"#), "{why}");

    let short = [
        "05/13/24 06:00",
        "05/14/24 06:00",
        "05/15/24 06:00",
        "05/16/24 06:00",
    ];
    let found = report(&documents(text, short), &[], &[]);
    assert!(lines(&found).contains(&r#"time_format = "%m/%d/%y %H:%M""#.to_owned()));
}

#[test]
fn names_with_brackets_and_arrays_without_items_are_read() {
    let text = r#"{"deviceId":"$meter","timestamp":"$time","Temperature [°C]":"$value"}"#;
    let found = report(&documents_of(text, 9), &[], &[]);
    assert!(
        lines(&found).contains(&r"value_field = 'Temperature \[°C]'".to_owned()),
        "{:?}",
        lines(&found)
    );
    assert_eq!(found.proposal.expect("a proposal").outcome.dead(), 0);

    let text = r#"{"device":"$meter","readings":[{"at":$time_s,"value":$value}]}"#;
    let mut records = documents_of(text, 9);
    records.push(r#"{"device":"a","readings":[]}"#.to_owned());
    let found = report(&records, &[], &[]);
    assert!(
        lines(&found).contains(&r#"time_field = "at""#.to_owned()),
        "{:?}",
        lines(&found)
    );
    assert!(lines(&found).contains(&r#"skip = ["empty"]"#.to_owned()));
    assert_eq!(found.proposal.expect("a proposal").outcome.dead(), 0);
}

#[test]
fn registers_of_counters_are_told_by_never_falling() {
    let documents = |values: &[i32]| -> Vec<String> {
        let document = |(minute, value): (usize, &i32)| {
            format!(r#"{{"ts": "2026-07-20T10:{minute:02}:00Z", "value": {value}.5}}"#)
        };
        values.iter().enumerate().map(document).collect()
    };
    let never_falls = |values: &[i32]| report(&documents(values), &[], &[]).in_force.never_falls();
    let rising: Vec<i32> = (0..20).collect();
    assert!(never_falls(&rising));
    assert!(never_falls(&[1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9]));
    assert!(!never_falls(&[rising.as_slice(), &[5]].concat()), "it falls");
    assert!(!never_falls(&[7; 20]), "it stands still");
    assert!(!never_falls(&[1, 2, 3]), "too few to tell");
}
