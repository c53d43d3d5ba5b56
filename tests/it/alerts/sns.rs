//! AWS SNS, imitated by moto, which passes on what is published to a subscription.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::moto::Moto;
use streamgauge_testkit::process::run;
use streamgauge_testkit::{block_on, require};

use super::fake::{Fake, Reply};
use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(60);

/// An action of SNS by somebody whom moto believes.
fn action(moto: &Moto, fields: &[(&str, &str)]) -> Result<String> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).append_pair("Version", "2010-03-31");
    let credential = "AWS4-HMAC-SHA256 Credential=testing/20261127/eu-west-1/sns/aws4_request, SignedHeaders=host, Signature=0";
    let request = reqwest::Client::new()
        .post(moto.url())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", credential)
        .body(form.finish());
    let body = block_on(async { request.send().await?.error_for_status()?.text().await })?;
    Ok(body)
}

fn alert_test(moto: &Moto, topic_arn: &str) -> Command {
    let mut command = streamgauge(["alert", "test", "ops"]);
    for (name, value) in [("KIND", "sns"), ("TOPIC_ARN", topic_arn), ("URL", &moto.url())] {
        command.env(format!("STREAMGAUGE__ALERT__RECEIVER__OPS__{name}"), value);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "hush-hush");
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE");
    command
}

#[test]
fn what_is_published_reaches_a_subscription() -> Result<()> {
    let Some(moto) = require("moto", Moto::start()) else {
        return Ok(());
    };
    let subscription = Fake::start(|_| Reply::new(200, ""))?;
    let created = action(&moto, &[("Action", "CreateTopic"), ("Name", "alerts")])?;
    let topic_arn = created
        .split("<TopicArn>")
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .context("no topic")?;
    // Subscriptions filter by the attributes: one takes warnings, the other does not.
    for (path, filter) in [
        ("/warnings", r#"{"severity":["warning"]}"#),
        ("/criticals", r#"{"severity":["critical"]}"#),
    ] {
        let endpoint = subscription.url(path);
        let fields = [
            ("Action", "Subscribe"),
            ("TopicArn", topic_arn),
            ("Protocol", "http"),
            ("Endpoint", &endpoint),
            ("Attributes.entry.1.key", "FilterPolicy"),
            ("Attributes.entry.1.value", filter),
        ];
        action(&moto, &fields)?;
    }

    let output = run("alert-test", &mut alert_test(&moto, topic_arn), LIMIT)?;
    ensure!(
        output.contains("ops (sns): ") && output.contains("HTTP status 200"),
        "{output}"
    );
    let told = subscription.wait_for(1)?[0].json();
    ensure!(told["Subject"] == "Test: Warning: streamgauge-test", "{told}");
    let message = told["Message"].as_str().unwrap_or("");
    ensure!(
        message.starts_with("Test: Warning: streamgauge-test\nThis was sent by"),
        "{told}"
    );
    let paths: Vec<String> = subscription
        .asked()
        .iter()
        .map(|asked| asked.path.clone())
        .collect();
    ensure!(paths == ["/warnings"], "{paths:?}");

    let missing = topic_arn.replace(":alerts", ":nothing");
    let error = run("alert-test", &mut alert_test(&moto, &missing), LIMIT)
        .unwrap_err()
        .to_string();
    ensure!(
        error.contains("refuses it") && error.contains("NotFound"),
        "{error}"
    );
    ensure!(!error.contains("hush-hush"), "{error}");
    Ok(())
}
