use super::*;
use crate::config::ReadingConfig;
use std::time::Duration;

fn settings(key: &str) -> ReadingConfig {
    ReadingConfig {
        time_field: "ts".into(),
        value_field: "value".into(),
        key: key.into(),
        time_format: TimeFormat::Text,
        time_zone: Tz::UTC,
        max_ahead: Duration::from_secs(3600),
        max_bytes: 1000,
    }
}

fn record<'a>(key: Option<&'a [u8]>, value: &'a [u8]) -> Record<'a> {
    Record {
        offset: 0,
        timestamp_ms: None,
        key,
        value: Some(value),
    }
}

fn reason(decoder: &Decoder, value: &[u8]) -> Reason {
    decoder
        .decode(record(None, value))
        .expect_err("a rejection")
        .reason
}

#[test]
fn a_tutorial_reading() {
    let decoder = Decoder::new(&settings("none"));
    let reading = decoder
        .decode(record(None, br#"{"ts": "2023-01-13 00:00:00", "value": 820.8}"#))
        .expect("a reading");
    assert_eq!(
        reading,
        Reading {
            key: "".into(),
            event_time_ms: 1_673_568_000_000,
            value: 820.8
        }
    );
}

#[test]
fn each_reason_for_a_dead_letter() {
    let decoder = Decoder::new(&settings("none"));
    for (value, expected) in [
        (&b""[..], Reason::Empty),
        (b"{", Reason::InvalidJson),
        (b"12", Reason::InvalidJson),
        (b"{\"ts\":\"2023-01-13\",\"value\":1} x", Reason::InvalidJson),
        (b"{\"ts\":\"2023-01-13\",\"value\":\xff}", Reason::InvalidJson),
        (b"{\"value\":1}", Reason::MissingField),
        (b"{\"ts\":\"2023-01-13\"}", Reason::MissingField),
        (b"{\"ts\":\"2023-01-13\",\"value\":null}", Reason::NullField),
        (b"{\"ts\":\"2023-01-13\",\"value\":\"1\"}", Reason::WrongType),
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
    let decoder = Decoder::new(&settings("none"));
    let value = br#"{"ts":"1970-01-01T02:00:00Z","value":1}"#;
    let at = |timestamp_ms| {
        decoder.decode(Record {
            timestamp_ms,
            ..record(None, value)
        })
    };
    assert!(at(Some(3_600_000)).is_ok());
    assert!(at(None).is_ok());
    assert_eq!(
        at(Some(3_599_999)).expect_err("ahead").reason,
        Reason::TooFarAhead
    );
}

#[test]
fn nested_fields_and_keys() {
    let mut nested = settings("meter.id");
    nested.time_field = "meter.at".into();
    nested.value_field = "power.kw".into();
    nested.time_format = TimeFormat::EpochS;
    let decoder = Decoder::new(&nested);
    let value =
        br#"{"x":[1,{"kw":9}],"meter":{"id":"m\u00fc","at":1.5,"more":{"id":0}},"power":{"kw":-0.0}}"#;
    let reading = decoder.decode(record(None, value)).expect("a reading");
    assert_eq!((reading.key.as_ref(), reading.event_time_ms), ("mü", 1500));
    assert_eq!(reading.value.to_bits(), 0.0f64.to_bits(), "minus zero is zero");
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
    let decoder = Decoder::new(&settings("message"));
    let value = br#"{"ts":"2023-01-13","value":1}"#;
    assert_eq!(
        decoder.decode(record(Some(b"m1"), value)).expect("a reading").key,
        "m1"
    );
    assert_eq!(reason(&decoder, value), Reason::MissingKey);
    assert_eq!(
        decoder
            .decode(record(Some(b"\xff"), value))
            .expect_err("a rejection")
            .reason,
        Reason::InvalidKey
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = Decoder::new(&settings("a.b")).decode(record(None, &bytes));
    }

    #[test]
    fn no_text_makes_the_time_parser_panic(text in "\\PC{0,30}") {
        let _ = time::parse_ms(&text, Tz::America__New_York);
    }
}
