mod shapes;

use super::*;
use crate::config::config_of;
use format::Scalar;

/// The defaults but for these settings, and bounds that tests can reach.
fn decoder_of(settings: &[(&str, &str)]) -> Decoder {
    let bounds = [
        ("reading.max_ahead", "1h"),
        ("reading.max_behind", "100y"),
        ("reading.max_bytes", "1000"),
        ("reading.max_key_bytes", "8"),
        ("table.measure_column", "measure"),
    ];
    let all: Vec<_> = bounds.iter().chain(settings).copied().collect();
    Decoder::new(&config_of(&all).pipeline.reading)
}

fn keyed(key: &str) -> Decoder {
    decoder_of(&[("reading.key", key)])
}

fn record<'a>(key: Option<&'a [u8]>, value: &'a [u8]) -> Record<'a> {
    Record {
        offset: 0,
        timestamp_ms: Some(1_700_000_000_000),
        key,
        value: Some(value),
        headers: &[],
    }
}

/// The one reading of a record. Examined and decoded, it is the same.
fn decode<'a>(decoder: &'a Decoder, record: Record<'a>) -> Result<Reading<'a>, Rejection> {
    let mut readings = decode_all(decoder, record)?;
    assert_eq!(readings.len(), 1, "{readings:?}");
    Ok(readings.remove(0))
}

/// The readings of a record. Examined and decoded, they are the same.
fn decode_all<'a>(decoder: &'a Decoder, record: Record<'a>) -> Result<Vec<Reading<'a>>, Rejection> {
    let mut decoded = Vec::new();
    let outcome = decoder.decode(record, None, &mut |reading| decoded.push(reading));
    let examined = decoder.examine(record, None);
    assert_eq!(outcome.err(), examined.as_ref().err().cloned());
    match examined? {
        Examined::One(reading) => assert_eq!(decoded, [reading]),
        Examined::Several(count) => assert!(count > 1 && count == decoded.len(), "{decoded:?}"),
        Examined::Skipped => assert_eq!(decoded, []),
    }
    Ok(decoded)
}

/// Key, measure and value of each reading.
fn told(decoder: &Decoder, value: &[u8]) -> Result<Vec<(String, Option<String>, f64)>, String> {
    let readings = decode_all(decoder, record(None, value));
    let told = readings.map(|readings| {
        let one = |reading: Reading<'_>| {
            let measure = reading.series.measure.map(Cow::into_owned);
            (reading.series.key.into_owned(), measure, reading.value.mean)
        };
        readings.into_iter().map(one).collect()
    });
    told.map_err(|rejection| format!("{}: {}", rejection.reason.name(), rejection.detail))
}

fn reason(decoder: &Decoder, value: &[u8]) -> Reason {
    decode(decoder, record(None, value))
        .expect_err("a rejection")
        .reason
}

#[test]
fn a_tutorial_reading() {
    let decoder = keyed("none");
    let tutorial = br#"{"ts": "2023-01-13 00:00:00", "value": 820.8}"#;
    let reading = decode(&decoder, record(None, tutorial)).expect("a reading");
    assert_eq!(
        reading,
        Reading::of_one_sample(SeriesKey::of_key("".into()), 1_673_568_000_000, 820.8)
    );
}

#[test]
fn each_reason_for_a_dead_letter() {
    let decoder = keyed("none");
    for (value, expected) in [
        (&b""[..], Reason::Empty),
        (b"{", Reason::InvalidJson),
        (b"12", Reason::InvalidJson),
        (b"{\"ts\":\"2023-01-13\",\"value\":1} x", Reason::InvalidJson),
        (b"{\"ts\":\"2023-01-13\",\"value\":\xff}", Reason::InvalidJson),
        (b"{\"value\":1}", Reason::MissingField),
        (b"{\"ts\":\"2023-01-13\"}", Reason::MissingField),
        (b"{\"ts\":\"2023-01-13\",\"value\":null}", Reason::NullField),
        (b"{\"ts\":\"2023-01-13\",\"value\":\"1 W\"}", Reason::WrongType),
        (b"{\"ts\":\"2023-01-13\",\"value\":true}", Reason::WrongType),
        (b"{\"ts\":\"2023-01-13\",\"value\":\"\"}", Reason::NullField),
        (b"{\"ts\":\"2023-01-13\",\"value\":\"NaN\"}", Reason::NotFinite),
        (b"null", Reason::Empty),
        (b" null\n", Reason::Empty),
        (b"{\"ts\":\"2023-01-13\",\"value\":{}}", Reason::WrongType),
        (b"{\"ts\":5,\"value\":1}", Reason::WrongType),
        (b"{\"ts\":\"2023-01-13\",\"value\":NaN}", Reason::NotFinite),
        (
            b"{\"ts\": \"2023-01-13\", \"value\": Infinity}",
            Reason::NotFinite,
        ),
        (b"{\"ts\":\"2023-01-13\",\"value\":-Infinity}", Reason::NotFinite),
        (b"{\"ts\":\"2023-01-13\",\"value\":1e999}", Reason::OutOfRange),
        (b"{\"ts\":\"2023-01-13\",\"value\":1e300}", Reason::OutOfRange),
        (b"{\"ts\":\"soon\",\"value\":1}", Reason::InvalidTime),
        (b"{\"ts\":\"1899-12-31\",\"value\":1}", Reason::InvalidTime),
        (b"{\"ts\":\"9999-12-31\",\"value\":1}", Reason::InvalidTime),
        (&[b' '; 1001], Reason::TooLarge),
    ] {
        assert_eq!(
            reason(&decoder, value),
            expected,
            "{}",
            String::from_utf8_lossy(value)
        );
    }
}

#[test]
fn a_clock_ahead_of_the_broker_is_rejected() {
    let decoder = keyed("none");
    let value = br#"{"ts":"1970-01-01T02:00:00Z","value":1}"#;
    let at = |timestamp_ms| {
        let record = Record {
            timestamp_ms,
            ..record(None, value)
        };
        decode(&decoder, record)
    };
    assert!(at(Some(3_600_000)).is_ok());
    assert_eq!(
        at(Some(3_599_999)).expect_err("ahead").reason,
        Reason::TooFarAhead
    );
    assert_eq!(at(Some(i64::MIN)).expect_err("ahead").reason, Reason::TooFarAhead);
}

#[test]
fn a_clock_that_was_never_set_is_rejected() {
    let decoder = decoder_of(&[("reading.max_behind", "14600d")]);
    let at = |timestamp_ms| {
        let record = Record {
            timestamp_ms: Some(timestamp_ms),
            ..record(None, br#"{"ts":"1970-01-01","value":1}"#)
        };
        decode(&decoder, record)
    };
    let edge_ms = 40 * 365 * 86_400_000;
    assert!(at(edge_ms).is_ok());
    for timestamp_ms in [edge_ms + 1, 1_700_000_000_000, i64::MAX] {
        assert_eq!(at(timestamp_ms).expect_err("behind").reason, Reason::TooFarBehind);
    }
}

#[test]
fn a_record_without_a_timestamp_cannot_vouch_for_its_time() {
    let decoder = keyed("none");
    for time in ["9999-12-30 23:00:00", "2023-01-13", "1900-01-01"] {
        let value = format!(r#"{{"ts":"{time}","value":1}}"#);
        let untimed = Record {
            timestamp_ms: None,
            ..record(None, value.as_bytes())
        };
        let rejection = decode(&decoder, untimed).expect_err("a rejection");
        assert_eq!(rejection.reason, Reason::NoTimestamp);
        assert!(rejection.detail.contains("LogAppendTime"), "{}", rejection.detail);
    }
}

#[test]
fn a_key_beyond_the_limit_is_rejected() {
    let value = |key: &str| format!(r#"{{"ts":"2023-01-13","value":1,"k":"{key}"}}"#);
    for (setting, long_enough) in [("message", true), ("k", true), ("none", false)] {
        let decoder = keyed(setting);
        let decode = |key: &str| {
            let value = value(key);
            let decoded = decode(&decoder, record(Some(key.as_bytes()), value.as_bytes()));
            decoded.map(drop).map_err(|rejection| rejection.reason)
        };
        assert_eq!(decode("12345678"), Ok(()));
        let expected = if long_enough {
            Err(Reason::InvalidKey)
        } else {
            Ok(())
        };
        assert_eq!(decode("123456789"), expected, "{setting}");
    }
}

#[test]
fn nested_fields_and_keys() {
    let decoder = decoder_of(&[
        ("reading.key", "meter.id"),
        ("reading.time_field", "meter.at"),
        ("reading.value_field", "power.kw"),
        ("reading.time_format", "epoch_s"),
    ]);
    let value =
        br#"{"x":[1,{"kw":9}],"meter":{"id":"m\u00fc","at":1.5,"more":{"id":0}},"power":{"kw":-0.0}}"#;
    let reading = decode(&decoder, record(None, value)).expect("a reading");
    assert_eq!((reading.series.key.as_ref(), reading.event_time_ms), ("mü", 1500));
    assert_eq!(
        reading.value.mean.to_bits(),
        0.0f64.to_bits(),
        "minus zero is zero"
    );
    assert_eq!(
        reason(&decoder, br#"{"meter":5,"power":{"kw":1}}"#),
        Reason::MissingField
    );
    assert_eq!(
        reason(&decoder, br#"{"meter":{"at":1},"power":{"kw":1}}"#),
        Reason::MissingKey
    );
    assert_eq!(
        reason(&decoder, br#"{"meter":{"at":1,"id":[]},"power":{"kw":1}}"#),
        Reason::InvalidKey
    );
}

#[test]
fn message_keys() {
    let decoder = keyed("message");
    let value = br#"{"ts":"2023-01-13","value":1}"#;
    assert_eq!(
        decode(&decoder, record(Some(b"m1"), value))
            .expect("a reading")
            .series,
        SeriesKey::of_key("m1".into())
    );
    assert_eq!(reason(&decoder, value), Reason::MissingKey);
    assert_eq!(
        decode(&decoder, record(Some(b"\xff"), value))
            .expect_err("a rejection")
            .reason,
        Reason::InvalidKey
    );
}

#[test]
fn the_bound_on_keys_holds_for_key_and_measure_together() {
    let decoder = keyed("k");
    let reading = |key: &'static str, measure: &'static str| {
        let mut found = Found {
            time: Some(Scalar::Text("2023-01-13".into())),
            value: Some(Scalar::Integer(1)),
            key: Some(Scalar::Text(key.into())),
            measure: Some(measure.into()),
            ..Found::default()
        };
        decoder.reading(&record(None, b"-"), &mut found, "value", None)
    };
    let series = reading("1234", "5678").expect("a reading").series;
    assert_eq!((&*series.key, series.measure.as_deref()), ("1234", Some("5678")));
    let rejection = reading("1234", "56789").expect_err("a rejection");
    assert_eq!(rejection.reason, Reason::InvalidKey);
    assert!(
        rejection.detail.contains("with its measure is 9 bytes long"),
        "{}",
        rejection.detail
    );
}

/// One for each way to read; made once, because that takes longer than to read.
static DECODERS: std::sync::LazyLock<[Decoder; 3]> = std::sync::LazyLock::new(|| {
    [
        keyed("a.b"),
        decoder_of(&[("reading.value_field", "a.*"), ("reading.each", "[]")]),
        decoder_of(&[("reading.format", "influx")]),
    ]
});

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        for decoder in &*DECODERS {
            let _ = decode_all(decoder, record(None, &bytes));
        }
    }
}
