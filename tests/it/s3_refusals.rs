//! The message of each command when S3 refuses: one sentence with the remedy, and soon. The server itself refuses
//! where it can; for the rest the proxy answers as S3 is documented to.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamgauge::lake::{Lake, OpenMode};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::proxy::http::BUCKET_REGION;
use streamgauge_testkit::proxy::{Fault, FaultProxy};
use streamgauge_testkit::s3::{ACCESS_KEY, S3, SECRET_KEY, STRANGER};
use streamgauge_testkit::{free_port, require};

use crate::program::streamgauge;
use crate::s3_credentials::reaching;
use crate::table::{Expected, Place, Writer, readings, rows};

/// Nobody should wait longer for what waiting does not change. A server that does not answer may come back.
const SOON: Duration = Duration::from_secs(30);

/// Variables of the environment; an empty one is unset.
type Variables<'v> = &'v [(&'v str, &'v str)];

/// The program's last words on a table that it reaches with these variables, for each command that opens it.
fn last_words(uri: &str, address: SocketAddr, variables: Variables<'_>) -> Result<Vec<String>> {
    let home = scratch_folder("home");
    let pair = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
    ];
    let commands = [
        vec!["table", "describe", "--offline"],
        vec!["query", "SELECT 1 FROM usage"],
    ];
    commands
        .into_iter()
        .map(|arguments| said(&arguments, uri, address, &home, &[&pair, variables].concat()))
        .collect()
}

fn said(
    arguments: &[&str],
    uri: &str,
    address: SocketAddr,
    home: &Path,
    variables: Variables<'_>,
) -> Result<String> {
    let started = Instant::now();
    let mut command = streamgauge(arguments.iter().copied());
    command
        .args(["--table", uri])
        .env_clear()
        .envs(reaching(address, home));
    for (name, value) in variables {
        match *value {
            "" => command.env_remove(name),
            value => command.env(name, value),
        };
    }
    let mut child = Child::start("refused", &mut command)?;
    let status = child.wait(SOON)?;
    let text = child.stderr();
    println!("{:?} {arguments:?}: {text}", started.elapsed());
    ensure!(status.code() == Some(1), "{status}: {}", child.output());
    let errors: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    ensure!(errors.len() == 1, "not one line: {text}");
    Ok(text)
}

fn assert_each_says(words: &[&str], said: &[String]) {
    for text in said {
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    }
}

#[test]
fn the_server_refuses_and_the_program_says_what_to_do() -> Result<()> {
    let Some(s3) = require("S3", S3::shared()) else {
        return Ok(());
    };
    let uri = s3.table_uri("refusals");
    let (stranger, secret) = STRANGER;
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let cases: [(&str, Variables<'_>, &[&str]); 5] = [
        (&uri, &none, &["no credentials found", "AWS_PROFILE"]),
        ("s3://no-such-bucket/usage", &[], &["create", "table.uri"]),
        (
            &uri,
            &[("AWS_SECRET_ACCESS_KEY", "wrong")],
            &["SignatureDoesNotMatch", "correct AWS_SECRET_ACCESS_KEY"],
        ),
        (
            &uri,
            &[("AWS_ACCESS_KEY_ID", "nobody")],
            &["does not know the access key", "correct AWS_ACCESS_KEY_ID"],
        ),
        (
            &uri,
            &[("AWS_ACCESS_KEY_ID", stranger), ("AWS_SECRET_ACCESS_KEY", secret)],
            &[
                "AccessDenied",
                "allow s3:ListBucket on lake for the prefix refusals-",
                "/_delta_log/",
            ],
        ),
    ];
    for (uri, variables, words) in cases {
        assert_each_says(words, &last_words(uri, s3.address(), variables)?);
    }
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let said = last_words(&uri, nobody, &[])?;
    assert_each_says(
        &[&nobody.to_string(), "does not answer", "aws_endpoint_url"],
        &said,
    );
    Ok(())
}

#[test]
fn another_region_is_named() -> Result<()> {
    let Some((s3, _server)) = require("S3", S3::in_region("eu-central-1")) else {
        return Ok(());
    };
    let said = last_words(&s3.table_uri("elsewhere"), s3.address(), &[])?;
    assert_each_says(
        &["AuthorizationHeaderMalformed", "set AWS_REGION or aws_region to"],
        &said,
    );
    Ok(())
}

#[test]
fn what_only_aws_refuses_is_said_as_well() -> Result<()> {
    let Some(s3) = require("S3", S3::shared()) else {
        return Ok(());
    };
    let proxy = FaultProxy::start(s3.address())?;
    let uri = s3.table_uri("refusals");
    let region = format!("the bucket is in {BUCKET_REGION}: set AWS_REGION or aws_region to {BUCKET_REGION}");
    for (status, code, words) in [
        (301, "PermanentRedirect", region.as_str()),
        (400, "AuthorizationHeaderMalformed", &region),
        (400, "ExpiredToken", "the credentials have expired: get new ones"),
        (
            403,
            "RequestTimeTooSkewed",
            "clock is wrong by more than 15 minutes: set it",
        ),
        (
            403,
            "AccessDenied",
            "allow s3:ListBucket on lake for the prefix refusals-",
        ),
    ] {
        proxy.fail("GET", "_delta_log", Fault::Answer { status, code }, usize::MAX);
        assert_each_says(&[code, words], &last_words(&uri, proxy.address(), &[])?);
        proxy.heal();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_conditional_put_is_refused_at_once() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let place = Place::s3(s3, "unconditional");
    for status in [400, 501] {
        let proxy = FaultProxy::start(s3.address()).unwrap();
        let code = "NotImplemented";
        proxy.fail("PUT", "_delta_log", Fault::Answer { status, code }, usize::MAX);
        let error = Lake::open(
            &place.through(&proxy).config().pipeline.table_spec(),
            OpenMode::Create,
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("lacks conditional PUT"), "{error}");
        assert_eq!(proxy.count("PUT", "_delta_log"), 1);
    }
}

/// A request whose credentials expire on the way is made again with those that are there then. Ones that stay expired
/// are not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_credentials_are_given_a_few_seconds() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let expired = Fault::Answer {
        status: 400,
        code: "ExpiredToken",
    };
    let proxy = FaultProxy::start(s3.address()).unwrap();
    let place = Place::s3(s3, "expired");
    let pending = [1, 2].map(|seed| readings(seed, 20, 0..3, &["north"]));
    let mut writer = Writer::open(&place.through(&proxy).config(), 0).await;
    for request in ["_delta_log/0", ".parquet"] {
        proxy.fail("PUT", request, expired, 2);
    }
    writer.commit(&pending[0]).await;
    assert_eq!(proxy.faults_left(), 0);
    place.assert_committed_once(1, 20);

    proxy.fail("PUT", "_delta_log/0", expired, usize::MAX);
    let started = Instant::now();
    let error = writer.try_commit(&pending[1]).await.unwrap_err();
    assert!(
        error.to_string().contains("the credentials have expired"),
        "{error}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    place.assert_committed_once(1, 20);
}

/// A role that may list the table's prefix only, as the one in `terraform/` does: for what is not there it gets 403,
/// and a request for anything else would be refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_list_its_prefix_only_is_enough() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let proxy = FaultProxy::start(s3.address()).unwrap();
    proxy.hide_absent();
    // Such a role cannot see whether a folder above is a table, and need not.
    let denied = Fault::Answer {
        status: 403,
        code: "AccessDenied",
    };
    proxy.fail("GET", "prefix=_delta_log%2F", denied, usize::MAX);
    let place = Place::s3(s3, "least");
    let config = place.through(&proxy).config();
    let pending: Vec<_> = (0..4)
        .map(|seed| readings(seed, 20, 0..3, &["north", "east"]))
        .collect();
    let mut writers = [0, 1].map(|partition| (partition, None));
    for (round, readings) in pending.iter().enumerate() {
        let (partition, writer) = &mut writers[round % 2];
        if writer.is_none() {
            *writer = Some(Writer::open(&config, *partition).await);
        }
        writer.as_mut().unwrap().commit(readings).await;
    }
    place.assert_committed_once(4, 80);
    assert_eq!(rows(&config).await, Expected::of(&pending.concat()).rows());

    assert!(
        proxy.count("GET", "start-after=") > 0,
        "nothing absent was asked for"
    );
    let table = place.uri.rsplit('/').next().unwrap();
    for request in proxy.requests() {
        let is_object = request.target.starts_with(&format!("/lake/{table}/"));
        let is_listing =
            request.target.contains("list-type=2") && request.target.contains(&format!("prefix={table}%2F"));
        // Deleting objects of the prefix, the store's probe first, is a right that upkeep needs anyway.
        let is_deletion = request.method == "POST" && request.target == "/lake?delete";
        assert!(
            is_object || is_listing || is_deletion || request.fault == Some(denied),
            "{request:?}"
        );
    }
}

/// `config check` leaves nothing behind, and needs no more than to list the table's prefix and to try out a write there.
#[test]
fn config_check_leaves_nothing_behind() -> Result<()> {
    let Some(s3) = require("S3", S3::shared()) else {
        return Ok(());
    };
    let proxy = FaultProxy::start(s3.address())?;
    proxy.hide_absent();
    let denied = Fault::Answer {
        status: 403,
        code: "AccessDenied",
    };
    proxy.fail("GET", "prefix=_delta_log%2F", denied, usize::MAX);
    let uri = s3.table_uri("checked");
    let mut command = streamgauge(["config", "check"]);
    command
        .env_clear()
        .envs(reaching(proxy.address(), &scratch_folder("home")));
    command.envs([
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
        ("STREAMGAUGE__TABLE__URI", &uri),
        (
            "STREAMGAUGE__KAFKA__BROKERS",
            &format!("127.0.0.1:{}", free_port()?),
        ),
    ]);
    let mut child = Child::start("checked", &mut command)?;
    // It waits for the broker, which does not exist.
    child.wait(Duration::from_secs(40))?;
    let text = child.output();
    for expected in [
        format!("table: ok ({uri} will be made)"),
        format!("state: ok ({uri}-state has none of partition 0 yet)"),
    ] {
        ensure!(text.contains(&expected), "{expected:?} is missing in:\n{text}");
    }
    let table = uri.rsplit('/').next().unwrap_or_default();
    for request in proxy.requests() {
        let lists = |prefix: String| request.target.contains(&format!("prefix={prefix}%2F"));
        let is_listing =
            request.method == "GET" && (lists(table.to_owned()) || lists(format!("{table}-state")));
        let is_probe = request.target.contains(&format!("/{table}/_streamgauge-"))
            || (request.method == "POST" && request.target == "/lake?delete");
        ensure!(
            is_listing || is_probe || request.fault == Some(denied),
            "{request:?}"
        );
    }
    let left = std::fs::read_dir(s3.bucket_folder().join(table)).map_or(0, Iterator::count);
    ensure!(left == 0, "{left} objects are left");
    Ok(())
}
