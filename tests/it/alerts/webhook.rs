//! Webhooks, verified by the library of Standard Webhooks.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use streamgauge::alerts::Kind;
use streamgauge_testkit::alerts::{folder, python};
use streamgauge_testkit::process::run;
use streamgauge_testkit::require;

use super::fake::{Asked, Fake, Reply};
use super::{WEBHOOK_SECRET, notification, receiver, send};

const LIMIT: Duration = Duration::from_secs(60);
const NEW_SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

#[test]
fn the_library_of_standard_webhooks_takes_the_signature() -> Result<()> {
    let Some(python) = require("the library of Standard Webhooks", python()) else {
        return Ok(());
    };
    let verify = |secret: &str, asked: &Asked, body: &str| -> Result<Value> {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: Vec<_> = names.iter().map(|name| (*name, asked.header(name))).collect();
        let headers = json!(headers.into_iter().collect::<std::collections::BTreeMap<_, _>>());
        let mut command = Command::new(&python);
        command
            .arg(folder().join("verify_webhook.py"))
            .args([secret, &headers.to_string(), body]);
        Ok(serde_json::from_str(&run("verify", &mut command, LIMIT)?)?)
    };
    let fake = Fake::start(|_| Reply::new(204, ""))?;
    let url = fake.url("/hook");
    let both = format!("{NEW_SECRET} {WEBHOOK_SECRET}");
    let receiver = receiver(&[("kind", "webhook"), ("url", &url), ("secret", &both)]);
    let told = notification("Zähler 7", Kind::Opened);
    send(&receiver, &told, None)?;
    let asked = fake.asked().remove(0);
    for secret in [WEBHOOK_SECRET, NEW_SECRET] {
        let read = verify(secret, &asked, &asked.body)?;
        assert_eq!(
            (&read["type"], &read["data"]["series"]),
            (&json!("anomaly.opened"), &json!("Zähler 7"))
        );
    }
    assert_eq!(asked.header("webhook-id"), told.id);
    assert!(verify(WEBHOOK_SECRET, &asked, &asked.body.replace("93.5", "39.5")).is_err());
    Ok(())
}
