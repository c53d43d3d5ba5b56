//! Who may look, what they may say, and what they cannot do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::{eventually, require};

use super::{Meters, Site};
use crate::stream::{END_LIMIT, stop};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A page that shows an episode, whose id is the answer.
fn with_episode(meters: &Meters<'_>, site: &Site) -> Result<String> {
    meters.produce(&["meter-0", "meter-1"], 0..1_200)?;
    eventually("an episode", END_LIMIT, || {
        let shown = site.get("/api/episodes")?;
        let id = shown["episodes"][0]["id"]
            .as_str()
            .with_context(|| shown.to_string())?;
        Ok(id.to_owned())
    })
}

#[test]
fn what_is_said_on_the_page_is_in_the_topic() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-said")?;
    let (running, site) = meters.start("run", &[])?;
    let id = with_episode(&meters, &site)?;
    let topic = format!("{}.feedback", meters.anomaly_topic());
    let shown = |part: &str, fits: &dyn Fn(&Value) -> bool| {
        eventually("the page shows it", END_LIMIT, || {
            let episode = site.get(&format!("/api/episode?id={id}"))?;
            ensure!(fits(&episode[part]), "{episode}");
            Ok(())
        })
    };
    let said = json!({ "episode": id, "verdict": "expected", "note": "<b>cleaning</b>", "by": "Ada" });
    let (status, answer) = site.post("/api/feedback", &said)?;
    assert_eq!((status, answer["written_to"].as_str()), (200, Some(&*topic)));
    shown("said", &|said| {
        said["verdict"] == "expected" && said["note"] == "<b>cleaning</b>" && said["by"] == "Ada"
    })?;
    let records = kafka.read_topic(&topic)?;
    let written: Value = serde_json::from_slice(records[0].value.as_deref().context("a value")?)?;
    assert_eq!(
        (
            &written["about"]["episode"],
            &written["verdict"],
            &written["scope"]
        ),
        (&json!(id), &json!("expected"), &json!("this"))
    );
    assert_eq!(
        written["about"]["detector"], "adaptive-band",
        "what is known of it is in the message"
    );

    let (status, _) = site.post("/api/feedback", &json!({ "episode": id, "verdict": "withdrawn" }))?;
    assert_eq!(status, 200);
    shown("said", &Value::is_null)?;

    let silence = json!({ "series": "meter-*", "for_ms": 7_200_000, "why": "repair", "by": "Ada" });
    let (status, answer) = site.post("/api/silence", &silence)?;
    assert_eq!(status, 200);
    let (status, ended) = site.post("/api/silence/end", &json!({ "id": answer["id"] }))?;
    assert_eq!(status, 200, "{ended}");
    let (status, _) = site.post("/api/silence/end", &json!({ "id": answer["id"] }))?;
    assert_eq!(status, 409, "it is over");

    for (path, body, status, words) in [
        (
            "/api/feedback",
            json!({ "episode": "no/0/0/0", "verdict": "real" }),
            404,
            "there is no episode",
        ),
        (
            "/api/feedback",
            json!({ "episode": id, "verdict": "maybe" }),
            400,
            "verdict: must be",
        ),
        (
            "/api/feedback",
            json!({ "episode": id, "verdict": "expected", "scope": "series" }),
            400,
            "until_ms: must be",
        ),
        ("/api/feedback", json!([]), 400, ""),
        (
            "/api/silence",
            json!({ "series": "*", "for_ms": 0 }),
            400,
            "for_ms: must be",
        ),
        (
            "/api/silence",
            json!({ "series": "", "for_ms": 1_000 }),
            400,
            "cannot say this",
        ),
        (
            "/api/silence/end",
            json!({ "id": "none" }),
            404,
            "no such silence",
        ),
    ] {
        let (found, answer) = site.post(path, &body)?;
        let sentence = answer["error"].as_str().unwrap_or_default();
        assert!(
            found == status && sentence.contains(words),
            "{path} {body}: {found} {answer}"
        );
    }
    stop(running)
}

#[test]
fn pages_of_other_sites_get_and_say_nothing() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-foreign")?;
    let (running, site) = meters.start("live", &[])?;
    let body = r#"{"series":"*","for_ms":1000}"#;
    let status = |method: &str, path: &str, headers: &[(&str, &str)]| -> Result<u16> {
        let body = if method == "POST" { body } else { "" };
        Ok(site.ask(method, path, headers, body)?.0)
    };
    let cross = ("Sec-Fetch-Site", "cross-site");
    for (expected, method, path, headers) in [
        (200, "GET", "/", &[][..]),
        (200, "GET", "/main.js", &[]),
        (200, "GET", "/api/about", &[]),
        (403, "GET", "/api/about", &[("Host", "evil.example")]),
        (403, "GET", "/", &[("Host", "evil.example")]),
        (403, "GET", "/api/series", &[cross]),
        (403, "GET", "/events", &[cross]),
        (403, "POST", "/api/silence", &[JSON, cross]),
        (
            403,
            "POST",
            "/api/silence",
            &[JSON, ("Origin", "http://evil.example")],
        ),
        (403, "POST", "/api/silence", &[("Content-Type", "text/plain")]),
        (
            403,
            "POST",
            "/api/silence",
            &[("Content-Type", "application/x-www-form-urlencoded")],
        ),
        (403, "POST", "/api/query", &[("Content-Type", "text/plain")]),
        (405, "DELETE", "/api/silence", &[JSON]),
        (404, "GET", "/../Cargo.toml", &[]),
        (404, "GET", "/api/nothing", &[]),
        (400, "GET", "/api/series?limit=many", &[]),
        (404, "GET", "/api/points?key=none", &[]),
    ] {
        assert_eq!(
            status(method, path, headers)?,
            expected,
            "{method} {path} {headers:?}"
        );
    }
    let (_, head, _) = site.ask("GET", "/", &[], "")?;
    let head = head.to_lowercase();
    for line in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("access-control"), "{head}");
    stop(running)
}

#[test]
fn off_loopback_a_token_is_needed() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut meters = Meters::new(kafka, "live-token")?;
    meters.listen = "0.0.0.0:0".to_owned();
    let (running, site) = meters.start("live", &[])?;
    let port = site.address.rsplit(':').next().context("a port")?;
    let site = Site {
        address: format!("127.0.0.1:{port}"),
    };
    assert_eq!(site.ask("GET", "/api/about", &[], "")?.0, 401);
    assert_eq!(
        site.ask("GET", "/", &[], "")?.0,
        200,
        "there is nothing secret in the files"
    );
    let log = running.stderr();
    let (_, token) = log.split_once("?token=").context("a link in the log")?;
    let token: String = token.chars().take_while(char::is_ascii_alphanumeric).collect();
    let (status, head, _) = site.ask("GET", &format!("/?token={token}"), &[], "")?;
    assert_eq!(status, 303, "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie
        .context("a cookie")?
        .split(';')
        .next()
        .context("its value")?;
    assert_eq!(site.ask("GET", "/api/about", &[("Cookie", cookie)], "")?.0, 200);
    let bearer = format!("Bearer {token}");
    assert_eq!(
        site.ask("GET", "/api/about", &[("Authorization", &bearer)], "")?
            .0,
        200
    );
    assert_eq!(
        site.ask("GET", "/api/about", &[("Authorization", "Bearer no")], "")?
            .0,
        401
    );
    assert_eq!(
        site.ask("GET", "/?token=wrong", &[], "")?.0,
        200,
        "the page says what to do"
    );
    stop(running)
}

/// A stream, of which the head has come.
fn open_stream(site: &Site) -> Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(&site.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", site.address)?;
    let mut head = [0; 64];
    let length = stream.read(&mut head)?;
    Ok((stream, String::from_utf8_lossy(&head[..length]).into_owned()))
}

#[test]
fn so_many_may_look_and_whoever_does_not_read_holds_nobody_up() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-many")?;
    let (running, site) = meters.start("run", &[])?;
    let mut streams = Vec::new();
    for _ in 0..32 {
        let (stream, head) = open_stream(&site)?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        streams.push(stream);
    }
    assert!(open_stream(&site)?.1.starts_with("HTTP/1.1 503"), "the 33rd");
    // None of them reads on; everything goes on.
    meters.produce(&["meter-0", "meter-1"], 0..2_000)?;
    site.shows(4_000, kafka, &meters.anomaly_topic())?;
    drop(streams.pop());
    eventually("a place is free", END_LIMIT, || {
        let (_, head) = open_stream(&site)?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        Ok(())
    })?;
    let asked = Instant::now();
    stop(running)?;
    assert!(
        asked.elapsed() < Duration::from_secs(30),
        "open streams hold the end up"
    );
    Ok(())
}
