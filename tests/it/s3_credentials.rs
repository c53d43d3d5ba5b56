//! Credentials and region from everywhere that AWS' own programs look for them, each with the real program and a
//! real S3 server; those that expire are renewed while it runs.
//!
//! Holds I1 to I4 beyond the life of credentials: nothing is lost, nothing is there twice.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamgauge::telemetry::events::PARTITION_ASSIGNED;
use streamgauge::window::LatePolicy;
use streamgauge_testkit::aws::{Aws, CONTAINER_TOKEN};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{run, scratch_folder};
use streamgauge_testkit::proxy::FaultProxy;
use streamgauge_testkit::require;
use streamgauge_testkit::s3::{ACCESS_KEY, S3, SECRET_KEY};

use crate::program::streamgauge;
use crate::stream::{Stream, stop};
use crate::table::{Place, Writer, readings};

/// Not the region that is asked when nothing names one.
const REGION: &str = "eu-central-1";

type Variables = Vec<(String, String)>;

fn variables<const N: usize>(pairs: [(&str, &str); N]) -> Variables {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Settings that lead the program to the S3 server at an address, on a machine that is not on AWS.
pub fn reaching(address: SocketAddr, home: &Path) -> Variables {
    variables([
        ("AWS_ENDPOINT_URL_S3", &format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", home.to_str().unwrap()),
    ])
}

/// Every source by its name, and the variables (and files) it takes.
fn sources(aws: &Aws, home: &Path) -> Result<Vec<(&'static str, Variables)>> {
    let file = |name: &str, content: &str| -> Result<String> {
        std::fs::write(home.join(name), content)?;
        Ok(home.join(name).to_str().unwrap().to_owned())
    };
    let pair = format!("aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}");
    let printed = format!(r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}"}}"#);
    let printed = file("printed.json", &printed)?;
    let credentials = file("credentials", &format!("[lake]\n{pair}\n"))?;
    let config = file(
        "config",
        &format!(
            "[profile lake]\nregion = {REGION}\n[profile process]\nregion = {REGION}\ncredential_process = cat {printed}\n"
        ),
    )?;
    let profile = |name: &str| {
        variables([
            ("AWS_CONFIG_FILE", &config),
            ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
            ("AWS_PROFILE", name),
        ])
    };
    Ok(vec![
        (
            "environment",
            variables([
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                ("AWS_REGION", REGION),
            ]),
        ),
        ("profile", profile("lake")),
        ("credential process", profile("process")),
        (
            "web identity",
            variables([
                ("AWS_WEB_IDENTITY_TOKEN_FILE", &file("identity", "the-identity")?),
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/streamgauge-run"),
                ("AWS_ENDPOINT_URL_STS", &aws.url("")),
                ("AWS_DEFAULT_REGION", REGION),
            ]),
        ),
        ("container", container(aws)),
        (
            "instance role",
            variables([
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &aws.url("")),
                ("AWS_EC2_METADATA_DISABLED", "false"),
            ]),
        ),
    ])
}

fn container(aws: &Aws) -> Variables {
    variables([
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &aws.url("/container")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN),
        ("AWS_REGION", REGION),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_and_region_are_found_wherever_aws_looks_for_them() -> Result<()> {
    let Some((s3, _server)) = require("S3", S3::in_region(REGION)) else {
        return Ok(());
    };
    let mut place = Place::s3(&s3, "credentials");
    place.options.push(("aws_region".to_owned(), REGION.to_owned()));
    Writer::open(&place.config(), 0)
        .await
        .commit(&readings(1, 20, 0..3, &["north"]))
        .await;

    let aws = Aws::start(REGION, Duration::from_secs(3600))?;
    let home = scratch_folder("home");
    for (source, variables) in sources(&aws, &home)? {
        for arguments in [
            ["table", "describe", "--offline"],
            [
                "query",
                "--format=csv",
                "SELECT count(*) AS \"next offset 20\" FROM usage",
            ],
        ] {
            let mut command = streamgauge(arguments);
            command
                .args(["--table", &place.uri])
                .env_clear()
                .env("PATH", std::env::var("PATH")?);
            command
                .envs(reaching(s3.address(), &home))
                .envs(variables.iter().cloned());
            let said = run(source, &mut command, Duration::from_secs(30))?;
            ensure!(said.contains("next offset 20"), "{source}: {said}");
        }
    }
    let asked = aws.asked();
    for path in [
        "POST /",
        "GET /container",
        "PUT /latest/api/token",
        "GET /latest/meta-data/placement/region",
    ] {
        ensure!(
            asked.iter().any(|request| request == path),
            "{path} is not among {asked:?}"
        );
    }
    Ok(())
}

/// Credentials that last for three seconds, and a process that runs for four lives of them.
#[test]
fn a_process_outlives_its_credentials() -> Result<()> {
    let (Some(s3), Some(kafka)) = (
        require("S3", S3::shared()),
        require("Apache Kafka", Kafka::shared()),
    ) else {
        return Ok(());
    };
    let proxy = FaultProxy::start(s3.address())?;
    let aws = Aws::start(REGION, Duration::from_secs(3))?;
    let home = scratch_folder("home");
    let place = Place::s3(s3, "short-lived");
    let mut environment = reaching(proxy.address(), &home);
    environment.extend(container(&aws));
    environment.push(("AWS_REGION".to_owned(), "us-east-1".to_owned()));
    let stream = Stream::new(kafka, "short-lived", LatePolicy::Divert, 7)?;
    let mut stream = stream.into_table(place.uri.clone(), place.folder.clone(), environment);

    stream.produce(500)?;
    let mut process = stream.start(&[])?;
    process.wait_for_event(PARTITION_ASSIGNED, &[], Duration::from_secs(60))?;
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        stream.produce(100)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    stop(process)?;
    let asked = aws.asked().len();
    ensure!(asked >= 4, "the credentials were asked for {asked} times");
    println!(
        "asked {asked} times, {} requests came too late",
        proxy.expired_keys()
    );
    stream.aggregate_all()?;
    stream.check()
}
