//! `streamgauge alert test`: one message, marked as a test, and an exit code.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use streamgauge_testkit::process::{Child, run, scratch_folder};

use super::fake::{Fake, Reply};
use super::published;
use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(60);

fn with_settings(text: &str, arguments: &[&str]) -> Result<Command> {
    let file = scratch_folder("alert-test").join("settings.toml");
    std::fs::write(&file, text)?;
    let mut command = streamgauge(["--config"]);
    command.arg(file).args(arguments);
    Ok(command)
}

#[test]
fn a_receiver_is_tried_by_its_name() -> Result<()> {
    let fake = Fake::start(published::slack_webhook)?;
    let settings = format!(
        "[[alert.receiver]]\nname = 'on-call'\nkind = 'slack'\nurl = '{}'\n\n\
         [[alert.receiver]]\nname = 'phone'\nkind = 'ntfy'\ntopic = 'hush-hush'\nurl = '{}'\n",
        fake.url("/services/T0/B0/hush-hush"),
        fake.url("")
    );
    let output = run(
        "alert-test",
        &mut with_settings(&settings, &["alert", "test", "on-call"])?,
        LIMIT,
    )?;
    ensure!(
        output == format!("on-call (slack): {} answered HTTP status 200: ok\n", fake.url("")),
        "{output}"
    );
    let told = fake.asked().remove(0).json();
    ensure!(told["text"] == "Test: Warning: streamgauge-test", "{told}");

    // The other one is not ntfy, and says so.
    fake.first([Reply::new(400, "no topic hush-hush")]);
    let failed = run(
        "alert-test",
        &mut with_settings(&settings, &["alert", "test", "phone"])?,
        LIMIT,
    );
    let error = failed.unwrap_err().to_string();
    ensure!(
        error.contains("exit status: 1") && error.contains("refuses it (HTTP status 400"),
        "{error}"
    );
    ensure!(!error.contains("hush"), "{error}");

    let failed = run(
        "alert-test",
        &mut with_settings(&settings, &["alert", "test", "nobody"])?,
        LIMIT,
    );
    let error = failed.unwrap_err().to_string();
    ensure!(
        error.contains("there is no receiver nobody; there are on-call, phone"),
        "{error}"
    );
    Ok(())
}

#[test]
fn receivers_are_shown_without_their_secrets_and_read_again() -> Result<()> {
    let settings = "[[alert.receiver]]\nname = 'on-call'\nkind = 'pagerduty'\nrouting_key_file = '/run/key'\nhours = '22:00-07:00'\n\
                    [[alert.receiver]]\nname = 'chat'\nkind = 'slack'\nurl = 'https://hooks.slack.com/services/hush'\n";
    let mut show = with_settings(settings, &["config", "show"])?;
    show.env("STREAMGAUGE__ALERT__RECEIVER__ON_CALL__MIN_SEVERITY", "critical");
    let shown = run("show", &mut show, LIMIT)?;
    for line in [
        "[[alert.receiver]]\nname = \"on-call\"",
        "routing_key_file = \"/run/key\"",
        "min_severity = \"critical\"  # STREAMGAUGE__ALERT__RECEIVER__ON_CALL__MIN_SEVERITY",
        "url = \"https://hooks.slack.com/<redacted>\"",
    ] {
        ensure!(shown.contains(line), "{line} in {shown}");
    }
    let receivers = shown.split("[[alert.receiver]]").skip(1);
    let of_receivers = receivers.filter_map(|text| text.split("\n[").next());
    ensure!(!shown.contains("hush"), "{shown}");
    for text in of_receivers {
        ensure!(!text.contains("password"), "{text}");
    }

    let mut check = Child::start(
        "check",
        &mut with_settings(&shown, &["config", "check", "--offline"])?,
    )?;
    check.wait(LIMIT)?;
    ensure!(
        check.output().contains("setting `alert.receiver.chat.url`"),
        "{}",
        check.output()
    );
    let without_secret = shown.replace("<redacted>", "x");
    let output = run(
        "check",
        &mut with_settings(&without_secret, &["config", "check", "--offline"])?,
        LIMIT,
    )?;
    ensure!(output.contains("settings: ok"), "{output}");
    Ok(())
}
