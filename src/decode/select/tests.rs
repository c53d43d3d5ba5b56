use std::sync::{Arc, LazyLock};

use super::*;
use crate::config::config_of;
use crate::decode::FormatName;
use crate::decode::format::{SchemaSource, trees};

fn selection(settings: &[(&str, &str)]) -> Selection {
    let column = [("table.measure_column", "measure")];
    let all: Vec<_> = column.iter().chain(settings).copied().collect();
    Selection::new(&config_of(&all).pipeline.reading)
}

fn tree(json: &str) -> Tree<'_> {
    static NO_SCHEMAS: LazyLock<SchemaSource> = LazyLock::new(|| SchemaSource::ById(Arc::default()));
    let mut found = Vec::new();
    let read = trees(
        FormatName::Json,
        &NO_SCHEMAS,
        &[],
        json.as_bytes(),
        0,
        &mut |tree| {
            found.push(tree);
            Ok(())
        },
    );
    assert!(read.is_ok() && found.len() == 1, "{json}");
    found.remove(0)
}

/// Key, measure and value of each reading in words; and what is wrong with the others.
fn selected(settings: &[(&str, &str)], json: &str) -> Vec<String> {
    let selection = selection(settings);
    let mut told = Vec::new();
    let read = selection.read(&tree(json), &mut |found, name| {
        told.push(match found {
            Ok(Found {
                beside: Some(beside), ..
            }) => {
                let rejection = beside.key_fault.as_ref().expect("no count is asked for");
                format!("{}: {}", rejection.reason.name(), rejection.detail)
            }
            Ok(found) => {
                let word =
                    |scalar: &Option<Scalar<'_>>| scalar.as_ref().map_or("-".to_owned(), Scalar::describe);
                let key = match &found.key {
                    Some(Scalar::Text(key)) => key.to_string(),
                    other => word(other),
                };
                let measure = found.measure.as_deref().unwrap_or("-");
                format!("{key} {measure} {} by {name}", word(&found.value))
            }
            Err(rejection) => format!("{}: {}", rejection.reason.name(), rejection.detail),
        });
        Ok(())
    });
    read.expect("nothing is refused");
    told
}

#[test]
fn elements_reach_what_is_around_them() {
    let settings = [
        ("reading.each", "meterValue.sampledValue"),
        ("reading.value_field", "value"),
        ("reading.time_field", "^.timestamp"),
        ("reading.key", "[\"^.^.connectorId\", \"measurand\"]"),
    ];
    let json = r#"{"connectorId":1,"meterValue":[
        {"timestamp":"t1","sampledValue":[{"value":"5","measurand":"E"},{"value":"6","measurand":"P"}]},
        {"timestamp":"t2","sampledValue":[{"value":"7","measurand":"E"}]}]}"#;
    assert_eq!(
        selected(&settings, json),
        [
            "1/E - the text \"5\" by value",
            "1/P - the text \"6\" by value",
            "1/E - the text \"7\" by value"
        ]
    );
    let none = selected(
        &settings,
        r#"{"connectorId":1,"meterValue":[{"timestamp":"t1"}]}"#,
    );
    assert_eq!(none, ["missing_field: there is no array meterValue.sampledValue"]);
}

#[test]
fn a_record_may_be_the_array_itself_and_arrays_have_places() {
    let settings = [
        ("reading.each", "[]"),
        ("reading.value_field", "p.1"),
        ("reading.key", "n"),
    ];
    let told = selected(&settings, r#"[{"n":"a","p":[1,2]},{"n":"b","p":[3]}]"#);
    assert_eq!(told, ["a - 2 by p.1", "b - - by p.1"]);
    assert_eq!(
        selected(&settings, r#"{"n":"a"}"#),
        ["wrong_type: @value is an object, not an array"]
    );
    assert_eq!(
        selected(&settings, "[]"),
        ["empty: @value is an array without elements"]
    );
    let ocpp = [
        ("reading.each", "3.m"),
        ("reading.value_field", "v"),
        ("reading.key", "^.id"),
    ];
    let told = selected(&ocpp, r#"[2,"x","MeterValues",{"id":7,"m":[{"v":1}]}]"#);
    assert_eq!(told, ["7 - 1 by v"]);
}

#[test]
fn measures_are_named_by_their_fields() {
    let json =
        r#"{"name":"cpu","fields":{"idle":90.5,"user":9.5,"text":"5","on":true,"none":null},"x":{"idle":1}}"#;
    let all = [("reading.value_field", "fields.*")];
    assert_eq!(
        selected(&all, json),
        ["- idle 90.5 by idle", "- user 9.5 by user"]
    );
    let named = [
        ("reading.value_field", "fields.*"),
        ("reading.measure_field", "name"),
    ];
    assert_eq!(
        selected(&named, json),
        ["- cpu.idle 90.5 by idle", "- cpu.user 9.5 by user"]
    );
    let listed = [(
        "reading.value_field",
        "[\"fields.idle\", \"x.idle\", \"fields.user\", \"fields.none\", \"gone\"]",
    )];
    assert_eq!(
        selected(&listed, json),
        [
            "- fields.idle 90.5 by fields.idle",
            "- x.idle 1 by x.idle",
            "- user 9.5 by fields.user"
        ]
    );
    let mixed = [("reading.value_field", "[\"fields.*\", \"x.*\"]")];
    assert_eq!(
        selected(&mixed, json),
        [
            "- fields.idle 90.5 by idle",
            "- fields.user 9.5 by user",
            "- x.idle 1 by idle"
        ]
    );
    let in_key = [
        ("reading.value_field", "fields.*"),
        ("reading.key", "[\"name\", \"@measure\"]"),
    ];
    assert_eq!(
        selected(&in_key, json),
        ["cpu/idle - 90.5 by idle", "cpu/user - 9.5 by user"]
    );
    assert_eq!(
        selected(&all, r#"{"fields":{"text":"5"}}"#),
        ["missing_field: there is no number in fields.*"]
    );
    assert_eq!(
        selected(&all, r#"{"fields":{"a":1,"b":2,"a":3}}"#),
        ["- b 2 by b", "- a 3 by a"]
    );
}

#[test]
fn keys_of_several_parts_are_never_one_key_by_chance() {
    let json =
        r#"{"value":1,"a":"x/y","b":"z","l":{"job":"n,1","__name__":"up","n":3,"gone":null,"ok":true}}"#;
    let key = |key: &str| selected(&[("reading.key", key)], json).concat();
    assert_eq!(key("[\"b\", \"a\"]"), "z/x/y - 1 by value");
    assert!(
        key("[\"a\", \"b\"]").starts_with("invalid_key: a is \"x/y\", which holds reading.key_separator")
    );
    assert_eq!(key("l.*"), "__name__=up,job=n\\,1,n=3,ok=true - 1 by value");
    assert_eq!(
        key("[\"l.*\", \"b\"]"),
        "__name__=up,job=n\\,1,n=3,ok=true/z - 1 by value"
    );
    assert_eq!(key("b.*"), "invalid_key: b.*: there is a text, not an object");
    assert_eq!(key("m.*"), "missing_key: there is no object for m.*");
    assert_eq!(key("[\"b\", \"m\"]"), "missing_key: there is no field m");
    let escaped = [("reading.key", "[\"l.*\", \"l.*\"]")];
    assert_eq!(
        selected(&escaped, r#"{"value":1,"l":{"p":"/a"}}"#),
        ["p=\\/a/p=\\/a - 1 by value"]
    );
}

#[test]
fn elements_that_do_not_fulfill_the_conditions_are_passed_over() {
    let settings = [
        ("reading.each", "metrics"),
        ("reading.where", "name == 'cpu'"),
        ("reading.key", "name"),
    ];
    let json = r#"{"metrics":[{"name":"cpu","value":1},{"name":"mem","value":2},{"name":"cpu","value":3}]}"#;
    assert_eq!(
        selected(&settings, json),
        ["cpu - 1 by value", "cpu - 3 by value"]
    );
    assert_eq!(selected(&settings, r#"{"metrics":[{"name":"mem"}]}"#), [""; 0]);
}

#[test]
fn all_labels_of_a_key_are_bounded() {
    let labels = |count: usize, length: usize| {
        let members: Vec<String> = (0..count)
            .map(|n| format!("\"l{n}\":\"{}\"", "v".repeat(length)))
            .collect();
        format!("{{\"value\":1,\"l\":{{{}}}}}", members.join(","))
    };
    let key = |json: &str| selected(&[("reading.key", "l.*")], json).concat();
    assert!(!key(&labels(100, 1)).starts_with("invalid_key"));
    assert!(key(&labels(257, 1)).contains("has 257 members, more than 256"));
    assert!(key(&labels(3, 10_000)).contains("longer than reading.max_key_bytes"));
}
