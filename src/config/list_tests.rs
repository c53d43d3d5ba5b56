//! Receivers of alerts, as a list of tables: from every layer, with their origins, and what is refused.

use super::tests::{complaint, flag, load_layers, origin};
use super::*;

const TWO: &str = "[[alert.receiver]]\nname = 'on-call'\nkind = 'pagerduty'\nrouting_key = '0123456789abcdef0123456789abcdef'\n\n\
                   [[alert.receiver]]\nname = 'chat'\nkind = 'slack'\nurl = 'https://hooks.slack.com/services/hush'\n";

#[test]
fn receivers_come_from_every_layer() {
    let environment = [
        ("STREAMGAUGE__ALERT__RECEIVER__ON_CALL__MIN_SEVERITY", "critical"),
        ("STREAMGAUGE__ALERT__RECEIVER__PHONE__KIND", "ntfy"),
        ("STREAMGAUGE__ALERT__RECEIVER__PHONE__TOPIC", "hush"),
    ];
    let flags = flag("alert.receiver.chat.series", "--set", "boiler-*, pump-1");
    let (_folder, path, loaded) = load_layers(TWO, &environment, flags);
    let loaded = loaded.unwrap();
    let receivers = &loaded.config.alert.receivers;
    let names: Vec<&str> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    assert_eq!(names, ["on-call", "chat", "phone"]);
    assert_eq!(receivers[0].min_severity, alerts::Severity::Critical);
    assert_eq!(receivers[1].series, ["boiler-*", "pump-1"]);
    assert_eq!(receivers[1].min_severity, alerts::Severity::Warning);
    let line = |line| Origin::File {
        path: path.clone(),
        line,
    };
    assert_eq!(*origin(&loaded, "alert.receiver.on-call.kind"), line(3));
    assert_eq!(*origin(&loaded, "alert.receiver.chat.url"), line(9));
    assert_eq!(*origin(&loaded, "alert.receiver.chat.repeat"), Origin::Default);
    let variable = "STREAMGAUGE__ALERT__RECEIVER__ON_CALL__MIN_SEVERITY".to_owned();
    assert_eq!(
        *origin(&loaded, "alert.receiver.on-call.min_severity"),
        Origin::Environment(variable)
    );
}

#[test]
fn a_receiver_is_shown_with_what_it_has_and_without_its_secrets() {
    let loaded = load_layers(TWO, &[], Overrides::default()).2.unwrap();
    let of_chat = loaded
        .settings()
        .iter()
        .filter(|setting| setting.table == "alert.receiver.chat");
    let shown: Vec<String> = of_chat
        .map(|setting| format!("{} {} {}", setting.heading(), setting.name, setting.value))
        .collect();
    assert_eq!(
        shown[..3],
        [
            "[[alert.receiver]] name \"chat\"",
            "[[alert.receiver]] kind \"slack\"",
            "[[alert.receiver]] url \"https://hooks.slack.com/<redacted>\"",
        ]
    );
    assert!(
        shown
            .iter()
            .all(|line| !line.contains("password") && !line.contains("token")),
        "{shown:?}"
    );
    let all = format!("{:?}", loaded.settings());
    assert!(
        !all.contains("hush") && !all.contains("0123456789abcdef"),
        "{all}"
    );
}

#[test]
fn what_is_no_receiver_is_refused_by_its_key_and_line() {
    let receiver =
        |fields: &str| format!("[[alert.receiver]]\nname = 'ops'\nkind = 'ntfy'\ntopic = 'a'\n{fields}");
    let none = Overrides::default;
    assert_eq!(
        complaint(&receiver("serie = 'a'"), &[], none()),
        "unknown setting `alert.receiver.ops.serie` (streamgauge.toml line 5); did you mean `alert.receiver.ops.series`?"
    );
    assert_eq!(
        complaint(&receiver("token = ['hush']"), &[], none()),
        "setting `alert.receiver.ops.token` (streamgauge.toml line 5) must be a text in quotes, not <redacted>"
    );
    assert_eq!(
        complaint(&receiver("url = 'hush'"), &[], none()),
        "setting `alert.receiver.ops.url` = \"<redacted>\" (streamgauge.toml line 5): must be an https:// address; \
         http:// is for this machine itself, and for an Alertmanager without credentials"
    );
    for nameless in [
        "[[alert.receiver]]\nkind = 'ntfy'".to_owned(),
        "[[alert.receiver]]\nname = 'On Call'".to_owned(),
        "[[alert.receiver]]\nname = ''".to_owned(),
        receiver("") + &receiver(""),
        "[alert]\nreceiver = ['ops']".to_owned(),
        "[alert]\nreceiver = 'ops'".to_owned(),
    ] {
        let text = complaint(&nameless, &[], none());
        assert!(
            text.starts_with("setting `alert.receiver` (streamgauge.toml line "),
            "{text}"
        );
        assert!(
            text.contains("must be a list of tables, [[alert.receiver]], each with a `name` of its own"),
            "{text}"
        );
    }
    let renamed = complaint("", &[("STREAMGAUGE__ALERT__RECEIVER__A__NAME", "b")], none());
    assert!(
        renamed.contains("`alert.receiver.a.name`") && renamed.contains("must be the name that its key has"),
        "{renamed}"
    );
}

#[test]
fn a_copy_of_the_reference_is_a_settings_file_to_which_receivers_are_added() {
    for (added, count) in [("", 0), (TWO, 2)] {
        // Behind the description, which is the last of its section.
        let file = DEFAULT_TOML.replace(
            "\n[collect.cloudwatch]",
            &format!("\n{added}\n[collect.cloudwatch]"),
        );
        let loaded = load_layers(&file, &[], Overrides::default()).2.unwrap();
        assert_eq!(loaded.config.alert.receivers.len(), count);
    }
}

#[test]
fn a_receiver_may_be_a_table_of_its_name() {
    let file = "[alert.receiver.ops]\nkind = 'ntfy'\ntopic = 'a'\n";
    let loaded = load_layers(file, &[], Overrides::default()).2.unwrap();
    let receiver = &loaded.config.alert.receivers[0];
    assert_eq!((&*receiver.name, &*receiver.kind), ("ops", "ntfy"));
}
