//! Each refusal by a broker, and the sentence that `config check` and runs report it with.

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::free_port;
use streamgauge_testkit::kafka::SecuredKafka;
use streamgauge_testkit::process::scratch_folder;

use super::{RECORDING, Settings, Way, credentials, secured};

/// The line of `config check` about the broker.
fn checked(settings: &Settings) -> Result<String> {
    let said = settings.fails(&["config", "check"])?;
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("broker: ")).collect();
    ensure!(lines.len() == 1, "one line about the broker expected:\n{said}");
    Ok(lines[0].to_owned())
}

fn at(settings: Settings, address: &str) -> Settings {
    settings.with_variable("STREAMGAUGE__KAFKA__BROKERS", address)
}

/// A problem, settings that cause it, and the parts of its sentence.
type Refusal = (&'static str, Settings, &'static [&'static str]);

fn of_users(kafka: &SecuredKafka) -> Result<Vec<Refusal>> {
    let of = |way| Settings::documented(kafka, way);
    let scram = of(Way::Scram)?;
    std::fs::write(scram.folder.join("password"), "secret")?;
    Ok(vec![
        (
            "a wrong password",
            scram,
            &["knows the user but refuses the password", "sasl.password"],
        ),
        (
            "an unknown user",
            of(Way::Scram)?.with("sasl.username", "stranger"),
            &["does not know this user", "sasl.username"],
        ),
        (
            "another mechanism",
            of(Way::Scram)?.with("sasl.mechanisms", "SCRAM-SHA-256"),
            &[
                "does not support this SASL mechanism",
                "SCRAM-SHA-512",
                "sasl.mechanisms",
            ],
        ),
        (
            "no file of the password",
            of(Way::Scram)?.with_variable("STREAMGAUGE__KAFKA__PROPERTY_FILES__SASL_PASSWORD", "/no/such"),
            &["kafka.property_files.sasl.password", "/no/such"],
        ),
    ])
}

fn of_addresses(kafka: &SecuredKafka) -> Result<Vec<Refusal>> {
    let of = |way| Settings::documented(kafka, way);
    let plain = Settings {
        folder: scratch_folder("settings"),
        variables: Vec::new(),
    };
    Ok(vec![
        (
            "a closed port",
            at(of(Way::Tls)?, &format!("localhost:{}", free_port()?)),
            &["no broker answers", "connection refused", "kafka.brokers"],
        ),
        (
            "an unknown host",
            at(of(Way::Tls)?, "nobody.invalid:9094"),
            &["no broker answers", "failed to resolve", "host name"],
        ),
        (
            "TLS to a plaintext port",
            at(of(Way::Scram)?, kafka.kafka.brokers()),
            &["does not speak TLS", "security.protocol"],
        ),
        (
            "plaintext to a TLS port",
            at(plain, &format!("localhost:{}", kafka.tls_port)),
            &["closes plaintext connections", "SASL_SSL"],
        ),
        (
            "TLS without SASL",
            at(of(Way::Tls)?, &format!("localhost:{}", kafka.scram_port)),
            &["requires SASL", "sasl.*"],
        ),
    ])
}

fn of_certificates(kafka: &SecuredKafka) -> Result<Vec<Refusal>> {
    let of = |way| Settings::documented(kafka, way);
    let certificates = &kafka.certificates;
    Ok(vec![
        (
            "an unknown authority",
            of(Way::Scram)?.with("ssl.ca.location", &certificates.other_authority),
            &["an untrusted authority", "ssl.ca.location"],
        ),
        (
            "another host name",
            at(of(Way::Scram)?, &format!("127.0.0.1:{}", kafka.scram_port)),
            &["is for another host name", "kafka.brokers"],
        ),
        (
            "no client certificate",
            without_certificate(kafka)?,
            &["requires a client certificate", "ssl.certificate.location"],
        ),
        (
            "a stranger's certificate",
            of(Way::Tls)?
                .with("ssl.certificate.location", &certificates.stranger.0)
                .with("ssl.key.location", &certificates.stranger.1),
            &["refuses the client certificate", "ssl.certificate.location"],
        ),
    ])
}

fn of_aws(kafka: &SecuredKafka) -> Result<Vec<Refusal>> {
    let profile = Settings::documented(kafka, Way::Iam)?
        .with_variable("AWS_CONFIG_FILE", expired_profile()?)
        .with_variable("AWS_PROFILE", "meter");
    let environment = || credentials::of_environment(kafka, "AKIAMETER");
    Ok(vec![
        (
            "no AWS credentials",
            Settings::documented(kafka, Way::Iam)?,
            &["no token for the broker", "AWS_ACCESS_KEY_ID"],
        ),
        (
            "AWS credentials that have expired",
            profile,
            &["no token for the broker", "expired"],
        ),
        (
            "a wrong AWS secret",
            environment()?.with_variable("AWS_SECRET_ACCESS_KEY", "another"),
            &["refuses the AWS credentials", "kafka-cluster:Connect"],
        ),
        (
            "another AWS region",
            environment()?.with_variable("STREAMGAUGE__KAFKA__AWS_REGION", "us-east-1"),
            &["refuses the AWS credentials", "kafka.aws_region"],
        ),
    ])
}

fn without_certificate(kafka: &SecuredKafka) -> Result<Settings> {
    let settings = Settings::documented(kafka, Way::Tls)?;
    let file = settings.folder.join("streamgauge.toml");
    let text = std::fs::read_to_string(&file)?;
    let is_kept = |line: &&str| !line.contains("ssl.certificate") && !line.contains("ssl.key");
    let kept: Vec<&str> = text.lines().filter(is_kept).collect();
    std::fs::write(&file, kept.join("\n"))?;
    Ok(settings)
}

fn expired_profile() -> Result<String> {
    let folder = scratch_folder("expired");
    let long_ago = r#"{"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t",
        "Expiration": "2024-01-01T00:00:00Z"}"#;
    std::fs::write(folder.join("printed"), long_ago)?;
    let file = folder.join("profiles");
    let command = format!("cat {}", folder.join("printed").display());
    std::fs::write(
        &file,
        format!("[profile meter]\ncredential_process = {command}\n"),
    )?;
    Ok(file.display().to_string())
}

#[test]
fn config_check_distinguishes_the_refusals() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    let refusals: Vec<Refusal> = [
        of_users(kafka)?,
        of_addresses(kafka)?,
        of_certificates(kafka)?,
        of_aws(kafka)?,
    ]
    .into_iter()
    .flatten()
    .collect();
    let reported: Vec<Result<String>> = std::thread::scope(|scope| {
        let asked: Vec<_> = refusals
            .iter()
            .map(|(_, settings, _)| scope.spawn(|| checked(settings)))
            .collect();
        asked
            .into_iter()
            .map(|asked| {
                asked
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut wrong = Vec::new();
    for ((what, _, expected), reported) in refusals.iter().zip(reported) {
        let reported = reported.unwrap_or_else(|error| format!("{error:#}"));
        println!("{what}: {reported}");
        let is_said = expected.iter().all(|part| reported.contains(part));
        if !is_said || reported.contains("secret of") {
            wrong.push(format!("{what}: {expected:?} expected\n  {reported}"));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{}\nthe broker said:\n{}",
        wrong.join("\n"),
        kafka.log()
    );
    Ok(())
}

/// The last line of a command that fails.
fn last_line(settings: &Settings, arguments: &[&str]) -> Result<String> {
    let said = settings.fails(arguments)?;
    Ok(said.lines().last().context("it says why")?.to_owned())
}

#[test]
fn a_run_ends_with_the_same_words() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    let scram = Settings::documented(kafka, Way::Scram)?;
    std::fs::write(scram.folder.join("password"), "secret")?;
    for arguments in [
        &["play", RECORDING, "--tick", "0"][..],
        &["aggregate", "--available-now"],
        &["detect", "--available-now"],
        &["run"],
    ] {
        let said = last_line(&scram, arguments)?;
        ensure!(
            said.starts_with("error: ") && said.contains("knows the user but refuses the password"),
            "{arguments:?}: {said}"
        );
    }
    let nobody = Settings::documented(kafka, Way::Iam)?;
    let said = last_line(&nobody, &["aggregate", "--available-now"])?;
    ensure!(said.contains("no token for the broker"), "{said}");
    Ok(())
}
