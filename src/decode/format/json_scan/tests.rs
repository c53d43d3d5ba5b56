use proptest::prelude::*;

use super::super::{ascii, json};
use super::*;
use crate::decode::Path;

fn fields(time: &str, value: &str, key: &str) -> Fields {
    let path = |text| Path::parse(text).expect("a path");
    Fields::new(Some(&path(time)), &path(value), Some(&path(key)))
}

/// Paths that begin alike, end with each other, and names of every length.
fn all_fields() -> [Fields; 4] {
    [
        fields("t", "value", "key_of_meter"),
        fields("a.t", "a.b.v", "a"),
        fields("t", "t", "é"),
        fields("a.b", "a.b.c", r#"q"t"#),
    ]
}

/// What was found, bit by bit; however it is kept that a text is ASCII.
fn shown(found: &Found<'_>) -> String {
    let scalars = [&found.time, &found.value, &found.key].map(|scalar| match scalar {
        Some(Scalar::Ascii(text)) => Some(Scalar::Text(ascii(text).into())),
        other => other.clone(),
    });
    format!("{scalars:?}")
}

fn scanned(bytes: &[u8], fields: &Fields) -> Option<String> {
    let mut found = Found::default();
    read_single(bytes, fields, &mut found).then(|| shown(&found))
}

/// What there is to find in the only document, by serde_json alone.
fn read(bytes: &[u8], fields: &Fields) -> Option<String> {
    let mut all = Vec::new();
    let read = json::read(bytes, fields, 0, &mut |found, _| {
        all.push(shown(found?));
        Ok(())
    });
    let only = all.len() == 1 && read.is_ok();
    only.then(|| all.remove(0))
}

const USUAL: [&str; 12] = [
    r#"{"t": "2024-01-13 00:00:00", "value": 820.8}"#,
    r#"{"key_of_meter":"meter-0007","value":-1.250,"t":1705104000000}"#,
    r#"{"x":"Zürich","ü":[1,{"y":["z"]}],"value":5,"t":"a","n":null,"f":false,"u":{}}"#,
    r#"{"t":"2024-01-13","value":0.1,"path":"C:\\x\u00e9","é":"m\u00fc"}"#,
    "{\r\n\t\"t\" : \"x\" ,\n  \"value\" : 1e3 ,  \"é\":\"ü\"\n}\n",
    r#"{"a":{"t":"x","b":{"v":1.5,"w":2},"a":1},"b":{"v":3}}"#,
    r#"{"a":{"b":{"v":1}},"a":{"t":2},"a":3,"t":1,"t":true}"#,
    r#"{"a":{"b":{"c":1}},"a":{"b":[{"c":2}]}}"#,
    r#"{"value":9007199254740993,"t":9007199254740993.5,"é":-0,"key_of_meter":-0.0}"#,
    r#"{"value":18446744073709551615,"t":0.30000000000000004,"a":1234567890.12345678}"#,
    r#"{"v":1}"#,
    "{}",
];

#[test]
fn usual_messages_are_scanned() {
    for text in USUAL {
        for fields in &all_fields() {
            let scanned = scanned(text.as_bytes(), fields);
            assert!(scanned.is_some(), "{text} with {fields:?}");
            assert_eq!(scanned, read(text.as_bytes(), fields), "{text} with {fields:?}");
        }
    }
}

#[test]
fn the_scan_gives_up_where_serde_json_finds_an_error() {
    for text in [
        r#"{"v":1}x"#,
        r#"{"v":1}{"v":2}"#,
        r#" {"v":1}"#,
        r#"{"v":1,}"#,
        r#"{"v":1"#,
        r#"{"v":01}"#,
        r#"{"v":1.}"#,
        r#"{"v":-}"#,
        r#"{"v":+1}"#,
        r#"{"v":NaN}"#,
        r#"{"v":truex}"#,
        r#"{"v" 1}"#,
        r#"{v:1}"#,
        "{\"v\":\"\n\"}",
        r#"{"v":"\x"}"#,
        r#"{"q"t":1}"#,
        "[]",
        "",
    ] {
        for fields in &all_fields() {
            assert_eq!(scanned(text.as_bytes(), fields), None, "{text} with {fields:?}");
        }
    }
    // What nobody reads only has to have the form of JSON.
    let of = |name: &str, value: &[u8]| [b"{\"", name.as_bytes(), b"\":", value, b"}"].concat();
    for value in [&b"1e400"[..], br#""\ud800""#, b"\"\xff\""] {
        for (name, is_read) in [("t", true), ("x", false)] {
            let found = scanned(&of(name, value), &all_fields()[0]);
            assert_eq!(found.is_none(), is_read, "{name} {value:?}");
        }
    }
    for bytes in [&b"{\"\xff\":1}"[..], b"{\"v\":1}\0"] {
        assert_eq!(scanned(bytes, &all_fields()[0]), None, "{bytes:?}");
    }
}

#[test]
fn paths_may_lead_deeper_than_the_scan_goes() {
    let deep = |levels: usize| {
        let path = ["a"; 200][..=levels].join(".");
        let text = format!("{}1{}", r#"{"a":"#.repeat(levels + 1), "}".repeat(levels + 1));
        (fields("t", &path, "key"), text)
    };
    let (fields, text) = deep(DEEPEST);
    assert_eq!(scanned(text.as_bytes(), &fields), read(text.as_bytes(), &fields));
    assert!(scanned(text.as_bytes(), &fields).is_some());
    for levels in [DEEPEST + 1, 150] {
        let (fields, text) = deep(levels);
        assert_eq!(scanned(text.as_bytes(), &fields), None);
    }
}

/// A usual message with some bytes changed, or pieces of JSON in any order.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let place = any::<prop::sample::Index>();
    let byte = prop_oneof![
        4 => prop::sample::select(br#""\{}[]:,.-+eE0159 tn"#.to_vec()),
        1 => any::<u8>(),
    ];
    let change = (place, byte, 0..3u8);
    let mutated = (
        prop::sample::select(USUAL.to_vec()),
        prop::collection::vec(change, 0..4),
    )
        .prop_map(|(text, changes)| {
            let mut bytes = text.as_bytes().to_vec();
            for (place, byte, kind) in changes {
                let place = place.index(bytes.len() + 1);
                match kind {
                    0 => bytes.insert(place, byte),
                    _ if place == bytes.len() => bytes.push(byte),
                    1 => bytes[place] = byte,
                    _ => drop(bytes.remove(place)),
                }
            }
            bytes
        });
    let name = r#"t|value|key_of_meter|a|b|v|é|c|x|q\\"t|\\u0074|long name of nothing"#;
    let number = r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let text = r#""([ -!#-\[\]-~éß]{0,20}|\\[nr"/\\]){0,3}""#;
    let value = format!(r#"{number}|{text}|null|true|false|\[\]|\{{\}}|\[1, "x"\]"#);
    let value = prop::string::string_regex(&value).expect("a pattern");
    let leaf = (name, value).prop_map(|(name, value)| format!(r#""{name}":{value}"#));
    let members = |member: BoxedStrategy<String>| {
        (prop::collection::vec(member, 0..5), " {0,2}").prop_map(|(members, blanks)| {
            format!("{{{blanks}{}{blanks}}}", members.join(&format!("{blanks},")))
        })
    };
    let object = leaf.boxed().prop_recursive(3, 12, 4, move |inner| {
        let nested =
            (name, members(inner.clone())).prop_map(|(name, object)| format!(r#""{name}" : {object}"#));
        prop_oneof![2 => inner, 1 => nested]
    });
    let made = members(object.boxed()).prop_map(String::into_bytes);
    prop_oneof![mutated, made]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_scanned_is_what_serde_json_reads(bytes in messages()) {
        for fields in &all_fields() {
            if let Some(scanned) = scanned(&bytes, fields) {
                let text = String::from_utf8_lossy(&bytes);
                prop_assert_eq!(Some(scanned), read(&bytes, fields), "{}", text);
            }
        }
    }

    #[test]
    fn numbers_are_those_of_serde_json(text in r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?") {
        let message = format!(r#"{{"value":{text}}}"#);
        let fields = &all_fields()[0];
        prop_assert_eq!(scanned(message.as_bytes(), fields), read(message.as_bytes(), fields));
    }
}
