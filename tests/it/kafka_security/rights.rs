//! Rights: exactly those that the deployment grants suffice, and each that is missing is named.

use anyhow::{Result, ensure};

use super::{RECORDING, Settings, secured};
use streamgauge_testkit::kafka::{NewRecord, SecuredKafka};

/// The readings topic of this part; its output topics derive their names from it.
const TOPIC: &str = "rights";
const READING: &str = r#"{"ts":"2020-03-05 00:00:00","value":1.5}"#;

/// The permissions that terraform/iam.tf grants a host with `run`, as ACLs.
const CONSUMER: [&str; 13] = [
    "DESCRIBE TOPIC rights",
    "READ TOPIC rights",
    "DESCRIBE TOPIC rights.late",
    "WRITE TOPIC rights.late",
    "CREATE TOPIC rights.late",
    "DESCRIBE TOPIC rights.dlq",
    "WRITE TOPIC rights.dlq",
    "DESCRIBE TOPIC anomaly",
    "WRITE TOPIC anomaly",
    "READ GROUP meters",
    "READ GROUP meters-detect",
    "WRITE TRANSACTIONAL_ID host-table",
    "WRITE TRANSACTIONAL_ID host-anomalies",
];

/// The permissions that it grants a host with `play`.
const PRODUCER: [&str; 4] = [
    "DESCRIBE TOPIC rights",
    "WRITE TOPIC rights",
    "CREATE TOPIC rights",
    "IDEMPOTENT_WRITE CLUSTER kafka-cluster",
];

/// Users that lack one of the consumer's rights: the user, the right, and the expected sentence.
const LACKING: [(&str, &str, &str); 6] = [
    (
        "no-describe",
        "TOPIC rights",
        "not allowed to describe topic rights; grant DESCRIBE on the topic (Amazon MSK: kafka-cluster:DescribeTopic)",
    ),
    (
        "no-read",
        "READ TOPIC rights",
        "not allowed to read topic rights; grant READ on the topic (Amazon MSK: kafka-cluster:ReadData)",
    ),
    (
        "no-group",
        "READ GROUP meters",
        "not allowed to consume as group meters; grant READ on the group (Amazon MSK: kafka-cluster:DescribeGroup and \
         kafka-cluster:AlterGroup)",
    ),
    (
        "no-write",
        "WRITE TOPIC rights.dlq",
        "not allowed to write to topic rights.dlq; grant WRITE on the topic (Amazon MSK: kafka-cluster:WriteData)",
    ),
    (
        "no-transactions",
        "WRITE TRANSACTIONAL_ID host-table",
        "not allowed to use transactional id host-table; grant WRITE on the transactional id (Amazon MSK: \
         kafka-cluster:DescribeTransactionalId and kafka-cluster:AlterTransactionalId)",
    ),
    (
        "no-create",
        "CREATE TOPIC rights.late",
        "not allowed to create topic rights.late; grant CREATE on the topic (Amazon MSK: kafka-cluster:CreateTopic)",
    ),
];

/// The rights are granted and the topics made, but for that of late readings.
fn granted(kafka: &SecuredKafka) -> Result<()> {
    let mut lines: Vec<String> = CONSUMER.map(|right| format!("consumer {right}")).into();
    lines.extend(PRODUCER.map(|right| format!("producer {right}")));
    lines.push("onlooker DESCRIBE TOPIC rights".to_owned());
    for (user, lacked, _) in LACKING {
        // READ on a topic includes DESCRIBE.
        let is_lacking = |right: &str| right == lacked || (user == "no-describe" && right.ends_with(lacked));
        let kept = CONSUMER.into_iter().filter(|right| !is_lacking(right));
        lines.extend(kept.map(|right| format!("{user} {right}")));
    }
    kafka.grant(&lines.join("\n"))?;
    [TOPIC, "rights.dlq", "anomaly"]
        .iter()
        .try_for_each(|topic| kafka.kafka.create_topic(topic, 1))
}

fn of_user(kafka: &SecuredKafka, user: &str) -> Result<Settings> {
    Ok(Settings::of_user(kafka, user)?
        .with_variable("STREAMGAUGE__KAFKA__TOPIC", TOPIC)
        .with_variable("STREAMGAUGE__KAFKA__GROUP", "meters")
        .with_variable("STREAMGAUGE__KAFKA__TRANSACTIONAL_ID", "host"))
}

#[test]
fn the_rights_of_the_deployment_suffice_and_each_missing_one_is_named() -> Result<()> {
    let Some(kafka) = secured() else { return Ok(()) };
    granted(kafka)?;
    kafka.kafka.produce(TOPIC, [NewRecord::new(0, READING)])?;

    let consumer = of_user(kafka, "consumer")?;
    let producer = of_user(kafka, "producer")?;
    let said = consumer.succeeds(&["config", "check"])?;
    ensure!(said.contains("topic rights.late will be made"), "{said}");
    producer.succeeds(&["config", "check", "--for", "play"])?;
    let wrong = each_lack(kafka)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    let nobody = of_user(kafka, "nobody")?.fails(&["config", "check", "--for", "detect"])?;
    for right in [
        "topic rights;",
        "topic anomaly;",
        "group meters-detect;",
        "id host-anomalies;",
    ] {
        ensure!(nobody.contains(right), "{right}\n{nobody}");
    }
    let onlooker = of_user(kafka, "onlooker")?.fails(&["config", "check", "--for", "play"])?;
    for right in ["write to topic rights;", "grant IDEMPOTENT_WRITE on the cluster"] {
        ensure!(onlooker.contains(right), "{right}\n{onlooker}");
    }
    // Nothing was written, made or joined by all this asking.
    for topic in [TOPIC, "rights.dlq", "anomaly"] {
        let expected = usize::from(topic == TOPIC);
        ensure!(kafka.kafka.read_topic(topic)?.len() == expected, "{topic}");
    }
    ensure!(kafka.kafka.read_topic("rights.late").is_err());

    runs_end_with_the_same_words(kafka)?;
    producer.succeeds(&["play", RECORDING, "--tick", "0"])?;
    let said = consumer.succeeds(&["run", "--available-now"])?;
    ensure!(
        said.contains("2,017 consumed = 2,016 aggregated + 0 late + 1 dead-lettered"),
        "{said}"
    );
    Ok(())
}

/// The wrong sentences for users that lack one right.
fn each_lack(kafka: &SecuredKafka) -> Result<Vec<String>> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = LACKING
            .iter()
            .map(|(user, _, expected)| {
                scope.spawn(move || -> Result<Option<String>> {
                    let said = of_user(kafka, user)?.fails(&["config", "check"])?;
                    let broker: Vec<&str> =
                        said.lines().filter(|line| line.starts_with("broker: ")).collect();
                    println!("{user}: {broker:?}");
                    let is_reported = broker.contains(&format!("broker: {expected}").as_str());
                    // Without DESCRIBE, the other rights cannot be checked.
                    let is_alone = broker.len() == 1 || *user == "no-describe";
                    Ok((!is_reported || !is_alone).then(|| format!("{user}: {expected}\n{said}")))
                })
            })
            .collect();
        let wrong = asked.into_iter().map(|asked| {
            asked
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        wrong.filter_map(Result::transpose).collect()
    })
}

fn runs_end_with_the_same_words(kafka: &SecuredKafka) -> Result<()> {
    // So that there is a dead letter to be written, and a topic that late readings would go to.
    kafka.kafka.create_topic("rights.late", 1)?;
    kafka.kafka.produce(TOPIC, [NewRecord::new(0, "{broken")])?;
    for (user, lacked, expected) in LACKING {
        if lacked.starts_with("CREATE") {
            continue;
        }
        let said = of_user(kafka, user)?.fails(&["aggregate", "--available-now"])?;
        ensure!(
            said.lines().last() == Some(&format!("error: {expected}")),
            "{user}: {expected}\n{said}"
        );
    }
    let said = of_user(kafka, "consumer")?.fails(&["play", RECORDING, "--tick", "0"])?;
    ensure!(said.contains("not allowed to write to topic rights;"), "{said}");
    let said = of_user(kafka, "onlooker")?.fails(&["play", RECORDING, "--tick", "0"])?;
    ensure!(
        said.contains("does not let this client write") && said.contains("IDEMPOTENT_WRITE"),
        "{said}"
    );
    kafka.kafka.delete_topic("rights.late")
}
