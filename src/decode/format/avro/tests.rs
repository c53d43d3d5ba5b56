use proptest::prelude::*;

use super::*;

/// Every type and logical type, as a registry has them.
const SCHEMA: &str = r#"{"type": "record", "name": "Reading", "namespace": "org.grid", "fields": [
{"name": "meter", "type": "string"}, 
{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}, 
{"name": "at_us", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null}, 
{"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}}, 
{"name": "day", "type": {"type": "int", "logicalType": "date"}}, 
{"name": "kw", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 3}}, 
{"name": "fixed_kw", "type": {"type": "fixed", "name": "Kw", "size": 4, "logicalType": "decimal", "precision": 8, "scale": 2}}, 
{"name": "flags", "type": {"type": "array", "items": {"type": "enum", "name": "Flag", "symbols": ["GOOD", "BAD"]}}}, 
{"name": "last", "type": ["null", "org.grid.Flag"]}, 
{"name": "labels", "type": {"type": "map", "values": "long"}}, 
{"name": "inner", "type": {"type": "record", "name": "Inner", "fields": [
{"name": "f", "type": "float"}, 
{"name": "d", "type": "double"}, 
{"name": "ok", "type": "boolean"}, 
{"name": "raw", "type": "bytes"}, 
{"name": "again", "type": ["null", "Inner"], "default": null}]}}, 
{"name": "id", "type": {"type": "string", "logicalType": "uuid"}}]}"#;

/// A message of it, written by fastavro 1.13.
const MESSAGE: &str = "046d31f6e5beefef670280a9cc82ffc1ab0680d8adf6ef67dcc20206f81700000187e504000200020204026101026282\
    80808080808020000000003f3333333333338040010400ff020000c03f00000000000000800000004831323334353637\
    382d313233342d353637382d313233342d353637383132333435363738";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn schema(text: &str) -> Schema {
    Schema::parse([], text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn text(text: &str) -> Tree<'_> {
    Tree::Text(text.into())
}

fn map<'a>(members: &[(&'a str, Tree<'a>)]) -> Tree<'a> {
    Tree::Map(
        members
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect(),
    )
}

/// The detail of a message that is not of its schema.
fn fault(bytes: &[u8], of: &str) -> String {
    let schema = schema(of);
    let rejection = read(bytes, &schema).expect_err("not of this schema");
    assert_eq!(rejection.reason, Reason::InvalidAvro);
    rejection.detail
}

#[test]
fn a_message_is_read_by_its_schema() {
    let (schema, message) = (schema(SCHEMA), bytes(MESSAGE));
    let again = map(&[
        ("f", Tree::Float(1.5)),
        ("d", Tree::Float(-0.0)),
        ("ok", Tree::Bool(false)),
        ("raw", text("")),
        ("again", Tree::Null),
    ]);
    let expected = map(&[
        ("meter", text("m1")),
        ("at", text("2026-07-20T10:00:00.123Z")),
        ("at_us", text("2026-07-20T10:00:00.123456Z")),
        ("local", text("2026-07-20T12:00:00")),
        ("day", text("2026-07-20")),
        ("kw", Tree::Float(-518.4)),
        ("fixed_kw", Tree::Float(1003.25)),
        ("flags", Tree::List(vec![text("GOOD"), text("BAD")])),
        ("last", text("BAD")),
        (
            "labels",
            map(&[
                ("a", Tree::Integer(-1)),
                ("b", Tree::Integer(9_007_199_254_740_993)),
            ]),
        ),
        (
            "inner",
            map(&[
                ("f", Tree::Float(0.5)),
                ("d", Tree::Float(518.4)),
                ("ok", Tree::Bool(true)),
                ("raw", text("AP8=")),
                ("again", again),
            ]),
        ),
        ("id", text("12345678-1234-5678-1234-567812345678")),
    ]);
    assert_eq!(read(&message, &schema), Ok(expected));
}

#[test]
fn schemas_are_read_in_every_way_that_they_are_written() {
    for (written, message, expected) in [
        ("\"long\"", &[3][..], Tree::Integer(-2)),
        ("long", &[4], Tree::Integer(2)),
        (
            r#"{"type": {"type": "string", "avro.java.string": "String"}}"#,
            b"\x02a",
            text("a"),
        ),
        (
            r#"["null", {"type": "int", "connect.type": "int16"}]"#,
            &[2, 2],
            Tree::Integer(1),
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}"#,
            &[0; 16],
            text("00000000-0000-0000-0000-000000000000"),
        ),
        // A logical type that is not of this type is not meant.
        (
            r#"{"type": "string", "logicalType": "timestamp-millis"}"#,
            b"\x02a",
            text("a"),
        ),
        (
            r#"{"type": "long", "logicalType": "timestamp-nanos"}"#,
            &[0],
            text("1970-01-01T00:00:00Z"),
        ),
        (
            r#"{"type": "record", "name": "a.b.R", "fields": [{"name": "x", "type": {"type": "enum", "name": "E",
            "symbols": ["S"]}}, {"name": "y", "type": "a.b.E"}, {"name": "z", "type": "E"}]}"#,
            &[0, 0, 0],
            map(&[("x", text("S")), ("y", text("S")), ("z", text("S"))]),
        ),
    ] {
        assert_eq!(read(message, &schema(written)), Ok(expected), "{written}");
    }
    let point = r#"{"type": "record", "name": "Point", "namespace": "g", "fields": [{"name": "v", "type": "double"}]}"#;
    let with =
        r#"{"type": "record", "name": "R", "namespace": "g", "fields": [{"name": "p", "type": "Point"}]}"#;
    let schema = Schema::parse([point], with).expect("a schema with another");
    let message = 2.5_f64.to_le_bytes();
    assert_eq!(
        read(&message, &schema),
        Ok(map(&[("p", map(&[("v", Tree::Float(2.5))]))]))
    );
}

#[test]
fn fingerprints_are_those_of_avros_own_library() {
    let recursive = r#"{"type": "record", "name": "a.b.R", "doc": "d", "fields": [
        {"name": "x", "type": {"type": "enum", "name": "E", "symbols": ["S", "T"], "default": "S"}},
        {"name": "y", "type": ["null", "E"], "default": null},
        {"name": "f", "type": {"logicalType": "decimal", "precision": 10, "size": 16, "name": "c.F", "type": "fixed"}},
        {"name": "g", "type": {"type": "map", "values": {"type": "array", "items": "c.F"}}},
        {"name": "n", "type": {"type": "record", "name": "N", "namespace": "", "fields": [
            {"name": "again", "type": ["null", "N", "a.b.R"]}]}}]}"#;
    // By org.apache.avro 1.12.0, SchemaNormalization.
    for (written, expected) in [
        ("\"null\"", 7_195_948_357_588_979_594_i64),
        (r#"{"type": "boolean"}"#, -6_970_731_678_124_411_036),
        ("int", 8_247_732_601_305_521_295),
        (
            r#"{"type": "long", "logicalType": "timestamp-millis"}"#,
            -3_434_872_931_120_570_953,
        ),
        ("\"float\"", 5_583_340_709_985_441_680),
        ("\"double\"", -8_181_574_048_448_539_266),
        ("\"bytes\"", 5_746_618_253_357_095_269),
        (
            r#"{"type": "string", "avro.java.string": "String"}"#,
            -8_142_146_995_180_207_161,
        ),
        ("[]", -1_241_056_759_729_112_623),
        ("[ \"int\" ]", -5_232_228_896_498_058_493),
        (
            r#"{"type": "error", "name": "E", "fields": []}"#,
            -7_310_676_219_777_007_108,
        ),
        (recursive, -6_895_355_647_882_576_771),
    ] {
        let bytes = expected.to_le_bytes().map(|byte| format!("{byte:02x}"));
        assert_eq!(
            schema(written).fingerprint().to_string(),
            bytes.concat(),
            "{written}"
        );
    }
    let point = r#"{"type": "record", "name": "Point", "fields": []}"#;
    let alone = Schema::parse([], point).expect("a schema");
    let behind = Schema::parse([r#"{"type": "fixed", "name": "F", "size": 1}"#], point).expect("a schema");
    assert_eq!(alone.fingerprint(), behind.fingerprint());
}

#[test]
fn a_single_object_is_a_marker_a_fingerprint_and_a_message() {
    // By org.apache.avro 1.12.0, BinaryMessageEncoder.
    let of = schema(
        r#"{"type": "record", "name": "Reading", "namespace": "org.grid", "fields": [{"name": "meter", "type": "string"},
        {"name": "value", "type": "double"}]}"#,
    );
    let written = bytes("c301319b5dacc81102640261000000000000f83f");
    let (fingerprint, message) = single_object(&written).expect("a single object");
    assert_eq!(fingerprint, of.fingerprint());
    let expected = map(&[("meter", text("a")), ("value", Tree::Float(1.5))]);
    assert_eq!(read(message, &of), Ok(expected));
    assert_eq!(
        single_object(&written[..10]).map(|(_, message)| message),
        Some(&b""[..])
    );
    assert_eq!(single_object(&written[..9]), None);
    assert_eq!(single_object(&written[1..]), None);
}

#[test]
fn a_schema_that_cannot_be_read_says_why() {
    for (written, part) in [
        ("{", "not JSON"),
        ("7", "7 is not a type"),
        (r#"{"name": "R"}"#, "no \"type\""),
        ("\"Reading\"", "no type Reading"),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "x", "type": "Y"}]}"#,
            "field x: there is no type Y",
        ),
        (
            r#"["null", {"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 1}]"#,
            "two types F",
        ),
        (r#"{"type": "fixed", "name": "F"}"#, "no \"size\""),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "scale": 5000}"#,
            "5000 digits",
        ),
    ] {
        let error = Schema::parse([], written).expect_err(written);
        assert!(error.contains(part), "{written}: {error}");
    }
    let union = format!("[{}]", vec!["\"int\""; 10_001].join(","));
    let error = Schema::parse([], &union).expect_err("too large");
    assert!(error.contains("more than 10000"), "{error}");
}

#[test]
fn what_is_not_of_the_schema_is_named_with_its_field() {
    let nested = r#"{"type": "record", "name": "R", "fields": [{"name": "meter", "type": "string"},
        {"name": "power", "type": {"type": "record", "name": "P", "fields": [{"name": "kw", "type": "double"}]}}]}"#;
    assert_eq!(
        fault(b"\x02a123", nested),
        "byte 2: power.kw: it ends in the middle of a value"
    );
    assert_eq!(
        fault(b"\x08a", nested),
        "byte 1: meter: 4 bytes are announced, and 1 are left"
    );
    let list = r#"{"type": "array", "items": "boolean"}"#;
    assert_eq!(fault(&[4, 1, 7], list), "byte 3: 1: 7 is neither true nor false");
    let union = r#"["null", "int"]"#;
    assert!(fault(&[5], union).contains("-3 is not one of the 2 branches"));
    assert!(fault(&[2, 2], "\"int\"").starts_with("byte 1: 1 bytes are left"));
    assert!(fault(&[0xff; 12], "\"long\"").contains("64 bits"));
    assert!(fault(&[1, 1], "\"string\"").contains("-1 bytes are announced"));
}

#[test]
fn what_is_announced_is_not_believed() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for of in [
        r#"{"type": "array", "items": "null"}"#,
        r#"{"type": "map", "values": "null"}"#,
        r#"{"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}"#,
        "\"bytes\"",
    ] {
        assert!(fault(&huge, of).contains("are announced"), "{of}");
    }
    // A count that has no positive one, before and behind it a size.
    let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 0];
    assert!(fault(&least, r#"{"type": "array", "items": "null"}"#).contains("9223372036854775808 items"));
    // A type in itself, deeper than any stack.
    let endless = r#"{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}"#;
    assert!(fault(&[2; 100_000], endless).contains("60 deep"));
    // Lists of lists that say nothing but take memory.
    let nulls: Vec<String> = (0..100)
        .map(|number| format!(r#"{{"name": "n{number}", "type": "null"}}"#))
        .collect();
    let wide = format!(
        r#"{{"type": "array", "items": {{"type": "record", "name": "R", "fields": [{}, {{"name": "x", "type": "boolean"}}]}}}}"#,
        nulls.join(",")
    );
    let many = [&[0xd0, 0x0f][..], &[0; 1_000]].concat();
    assert!(fault(&many, &wide).contains("more values than its bytes can hold"));
}

#[test]
fn times_that_no_calendar_has_keep_their_unit() {
    let written = |of: &str, number: i64| {
        let mut message = Vec::new();
        let mut rest = (number << 1 ^ number >> 63) as u64;
        while rest >= 0x80 {
            message.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        message.push(rest as u8);
        match read(&message, &schema(of)) {
            Ok(Tree::Text(text)) => text.into_owned(),
            other => panic!("{other:?}"),
        }
    };
    let millis = r#"{"type": "long", "logicalType": "timestamp-millis"}"#;
    assert_eq!(
        written(millis, 1_784_541_600_000_000_000),
        "1784541600000000000 milliseconds since 1970"
    );
    let date = r#"{"type": "int", "logicalType": "date"}"#;
    assert_eq!(written(date, 1 << 40), "1099511627776 days since 1970");
    assert_eq!(written(date, -1), "1969-12-31");
}

#[test]
fn decimals_are_the_nearest_double() {
    let decimal = |digits: &[u8], scale| super::decimal(digits, scale);
    assert_eq!(decimal(&[], 2), Tree::Float(0.0));
    assert_eq!(decimal(&[0x7b], 2), Tree::Float(1.23));
    assert_eq!(decimal(&[0xff, 0x85], 2), Tree::Float(-1.23));
    assert_eq!(decimal(&[0; 40], 0), Tree::Float(0.0));
    assert_eq!(decimal(&[0xff; 40], 0), Tree::Float(-1.0));
    let largest = [&[0x7f][..], &[0xff; 15]].concat();
    assert_eq!(decimal(&largest, 0), Tree::Float(i128::MAX as f64));
    assert_eq!(
        decimal(&[&[0][..], &largest].concat(), 0),
        Tree::Float(i128::MAX as f64)
    );
    let beyond = [&[0, 0x80][..], &[0; 15]].concat();
    assert_eq!(decimal(&beyond, 0), Tree::Unusable(Unusable::OutOfRange));
    assert_eq!(decimal(&[1; 30], 0), Tree::Unusable(Unusable::OutOfRange));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &schema(SCHEMA));
    }

    #[test]
    fn no_mutation_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut message = bytes(MESSAGE);
        let place = at.index(message.len());
        message[place] = byte;
        if cut {
            message.truncate(place);
        }
        let _ = read(&message, &schema(SCHEMA));
    }

    #[test]
    fn no_schema_makes_it_panic(at in any::<prop::sample::Index>(), text in "[\\[\\]{}\",:a-z ]{0,12}") {
        let mut written = SCHEMA.to_owned();
        written.insert_str(at.index(SCHEMA.len()), &text);
        let _ = Schema::parse([], &written);
    }
}
