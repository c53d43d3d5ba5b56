//! Records that are not one plain JSON object, and what is odd in those that are.

use super::*;

#[test]
fn several_documents_in_a_record_are_several_readings() {
    let decoder = keyed("k");
    let text = b"{\"ts\":\"2023-01-13\",\"value\":1,\"k\":\"a\"}\n{\"ts\":\"2023-01-13\",\"value\":2,\"k\":\"b\"}\r\n";
    let readings = told(&decoder, text).expect("readings");
    assert_eq!(readings, [("a".into(), None, 1.0), ("b".into(), None, 2.0)]);
    let bad =
        b"{\"ts\":\"2023-01-13\",\"value\":1,\"k\":\"a\"} {\"ts\":\"2023-01-13\",\"value\":[],\"k\":\"b\"}";
    let error = told(&decoder, bad).expect_err("a rejection");
    assert!(
        error.starts_with("wrong_type: document 2: value is an object or array"),
        "{error}"
    );
}

#[test]
fn what_json_has_no_form_for_is_a_fault_only_where_it_is_asked_for() {
    let decoder = keyed("k");
    for beside in [
        "NaN",
        "-Infinity",
        "nan",
        "1e400",
        "[Infinity]",
        "\"\\ud83d\"",
        "{\"\\ud83d\":1}",
    ] {
        for text in [
            format!("{{\"x\":{beside},\"ts\":\"2023-01-13\",\"value\":5,\"k\":\"ü\"}}"),
            format!("{{\n \"ts\":\"2023-01-13\",\n \"value\":5,\n \"k\":\"ü\",\"x\":{beside}}}"),
        ] {
            let readings = told(&decoder, text.as_bytes());
            assert_eq!(readings, Ok(vec![("ü".into(), None, 5.0)]), "{text}");
        }
    }
    for (text, expected) in [
        (
            "{\"ts\":\"2023-01-13\",\n\"value\":NaN,\"k\":\"a\"}",
            "not_finite",
        ),
        ("{\"ts\":\"2023-01-13\",\"value\":inf,\"k\":\"a\"}", "not_finite"),
        ("{\"ts\":NaN,\"value\":1,\"k\":\"a\"}", "not_finite"),
        ("{\"ts\":\"2023-01-13\",\"value\":1,\"k\":NaN}", "invalid_key"),
        (
            "{\"ts\":\"2023-01-13\",\"value\":1,\"k\":\"\\ud83d\"}",
            "invalid_key",
        ),
        (
            "{\"ts\":\"2023-01-13\",\"value\":1e400,\"k\":\"a\"}",
            "out_of_range",
        ),
        (
            "{\"ts\":\"2023-01-13\",\"value\":1,\"k\":\"a\",\"x\":NaN",
            "invalid_json",
        ),
    ] {
        let error = told(&decoder, text.as_bytes()).expect_err(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    // Latin-1 in the name of a member that nobody asked for.
    let latin = b"{\"Z\xe4hler\":1,\"ts\":\"2023-01-13\",\"value\":5,\"k\":\"a\"}";
    assert_eq!(told(&decoder, latin), Ok(vec![("a".into(), None, 5.0)]));
}

#[test]
fn of_a_repeated_parent_the_last_counts() {
    let decoder = decoder_of(&[("reading.value_field", "a.b")]);
    let error = told(&decoder, br#"{"ts":"2023-01-13","a":{"b":1},"a":{"c":2}}"#).expect_err("missing");
    assert!(
        error.starts_with("missing_field: there is no field a.b"),
        "{error}"
    );
    let error = told(&decoder, br#"{"ts":"2023-01-13","a":{"b":1},"a":5}"#).expect_err("missing");
    assert!(error.starts_with("missing_field"), "{error}");
    let readings = told(&decoder, br#"{"ts":"2023-01-13","a":{"b":1},"a":{"b":2}}"#);
    assert_eq!(readings, Ok(vec![(String::new(), None, 2.0)]));
}

#[test]
fn whole_numbers_are_keys_however_they_are_written() {
    let decoder = decoder_of(&[("reading.key", "k"), ("reading.max_key_bytes", "30")]);
    for (key, expected) in [
        ("12.0", "12"),
        ("-1.2e1", "-12"),
        ("-0", "0"),
        ("18446744073709551615", "18446744073709551615"),
        ("9007199254740992.0", "9007199254740992"),
    ] {
        let text = format!("{{\"ts\":\"2023-01-13\",\"value\":1,\"k\":{key}}}");
        assert_eq!(
            told(&decoder, text.as_bytes()),
            Ok(vec![(expected.into(), None, 1.0)]),
            "{key}"
        );
    }
    for key in [
        "12.5",
        "1e300",
        "123456789012345678901234567890",
        "true",
        "null",
        "[]",
    ] {
        let text = format!("{{\"ts\":\"2023-01-13\",\"value\":1,\"k\":{key}}}");
        let error = told(&decoder, text.as_bytes()).expect_err(key);
        assert!(error.starts_with("invalid_key"), "{key}: {error}");
    }
}

#[test]
fn skipped_reasons_are_no_errors() {
    let decoder = decoder_of(&[("reading.skip", "empty,null_field"), ("reading.each", "a")]);
    assert_eq!(told(&decoder, b"null"), Ok(vec![]));
    assert_eq!(told(&decoder, br#"{"a":[]}"#), Ok(vec![]));
    assert_eq!(told(&decoder, br#"{"a":null}"#), Ok(vec![]));
    let one_of_two = br#"{"a":[{"ts":"2023-01-13","value":null},{"ts":"2023-01-13","value":7}]}"#;
    assert_eq!(told(&decoder, one_of_two), Ok(vec![(String::new(), None, 7.0)]));
    let error = told(
        &decoder,
        br#"{"a":[{"ts":"2023-01-13","value":1},{"ts":"2023-01-13"}]}"#,
    );
    assert_eq!(
        error,
        Err("missing_field: element 2: there is no field value".to_owned())
    );
    let plain = decoder_of(&[("reading.skip", "null_field")]);
    assert_eq!(told(&plain, br#"{"ts":"2023-01-13","value":null}"#), Ok(vec![]));
}

#[test]
fn a_time_that_comes_twice_is_the_one_nearer_to_the_record_or_to_those_before() {
    let boston = [
        ("reading.time_zone", "America/New_York"),
        ("reading.max_ahead", "5m"),
    ];
    let decoder = decoder_of(&boston);
    // 01:30 is 05:30Z and 06:30Z.
    let text = br#"{"ts":"2024-11-03 01:30:00","value":1}"#;
    let earlier_ms = 1_730_611_800_000;
    let hour_ms = 3_600_000;
    let read = |decoder: &Decoder, after_ms: i64, newest_ms: Option<i64>| {
        let record = Record {
            timestamp_ms: Some(earlier_ms + after_ms),
            ..record(None, text)
        };
        match decoder.examine(record, newest_ms) {
            Ok(Examined::One(reading)) => (reading.event_time_ms - earlier_ms) / hour_ms,
            other => panic!("{other:?}"),
        }
    };
    // Live: by the record's timestamp, whatever came before.
    assert_eq!(read(&decoder, 1_000, Some(earlier_ms + hour_ms)), 0);
    assert_eq!(read(&decoder, hour_ms + 1_000, Some(earlier_ms)), 1);
    // Sent 40 minutes late: the later one would be ahead of its own record.
    assert_eq!(read(&decoder, 40 * 60_000, None), 0);
    // History: by what came before.
    let day_ms = 24 * hour_ms;
    assert_eq!(read(&decoder, day_ms, None), 0);
    assert_eq!(read(&decoder, day_ms, Some(earlier_ms - 300_000)), 0);
    assert_eq!(read(&decoder, day_ms, Some(earlier_ms + hour_ms - 300_000)), 1);
    assert_eq!(read(&decoder, day_ms, Some(earlier_ms + hour_ms / 2)), 1);
    let with = |which| decoder_of(&[boston[0], boston[1], ("reading.ambiguous_time", which)]);
    assert_eq!(read(&with("earlier"), day_ms, Some(earlier_ms + hour_ms)), 0);
    assert_eq!(read(&with("later"), day_ms, None), 1);
}

#[test]
fn seconds_under_milliseconds_are_told_apart() {
    let decoder = decoder_of(&[("reading.time_format", "epoch_ms"), ("reading.max_behind", "10y")]);
    let error = told(&decoder, br#"{"ts":1784541600,"value":1}"#).expect_err("behind");
    assert!(
        error.ends_with("as seconds it would be 2026-07-20T10:00:00Z: reading.time_format = \"epoch_s\"?"),
        "{error}"
    );
}

#[test]
fn the_time_may_lie_beside_the_value() {
    let at_record = decoder_of(&[
        ("reading.time_field", "@record"),
        ("reading.value_field", "@value"),
    ]);
    let reading = decode(&at_record, record(None, b"118.5")).expect("a reading");
    assert_eq!(
        (reading.event_time_ms, reading.value.mean),
        (1_700_000_000_000, 118.5)
    );
    let error = told(&at_record, b"unavailable").expect_err("text");
    assert!(
        error.starts_with("wrong_type: @value is the text \"unavailable\""),
        "{error}"
    );
    let headers = [("ce_time".to_owned(), Some(b"2023-11-14T22:13:20Z".to_vec()))];
    let with_headers = Record {
        headers: &headers,
        ..record(None, br#"{"value":1}"#)
    };
    let at_header = decoder_of(&[("reading.time_field", "@header.ce_time")]);
    let reading = decode(&at_header, with_headers).expect("a reading");
    assert_eq!(reading.event_time_ms, 1_700_000_000_000);
    let error = decode(&at_header, record(None, br#"{"value":1}"#)).expect_err("no header");
    assert_eq!(error.reason, Reason::MissingField);
}

#[test]
fn what_something_looks_like_is_said() {
    for (text, expected) in [
        (
            &b"cpu,host=a usage=1 5"[..],
            "looks like InfluxDB's line protocol",
        ),
        (b"\0\0\0\0\x07\x80\xf4", "schema id 7"),
        (b"2024-03-05;1,5", "semicolons"),
    ] {
        let error = told(&keyed("none"), text).expect_err("not JSON");
        assert!(
            error.starts_with("invalid_json: it looks like") && error.contains(expected),
            "{error}"
        );
    }
}
