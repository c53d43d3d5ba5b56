//! AWS SNS: `Publish` of the Query API, signed with the credentials that the machine has.

use sha2::{Digest, Sha256};
use url::form_urlencoded::Serializer;

use super::{Answer, Receipt, Request, SendError, Task};
use crate::alerts::{Message, text};

const SERVICE: &str = "sns";
const FORM: &str = "application/x-www-form-urlencoded";
/// Characters of a subject, which is ASCII.
const LONGEST_SUBJECT: usize = 100;
/// Bytes; SNS takes 262,144, and bills each 64 kB as a message.
const LONGEST_MESSAGE: usize = 60_000;

/// Codes that mean "later" although their status is 400 or 403.
const BUSY: [&str; 5] = [
    "Throttl",
    "RequestLimitExceeded",
    "ExpiredToken",
    "InternalError",
    "KMSThrottling",
];

/// The region of a topic; `None` if the text is no topic's ARN.
pub(in crate::alerts) fn region(topic_arn: &str) -> Option<&str> {
    let mut parts = topic_arn.split(':');
    let (arn, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (account, name) = (parts.next()?, parts.next()?);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let holds = arn == "arn"
        && partition.starts_with("aws")
        && service == SERVICE
        && !region.is_empty()
        && region.bytes().all(is_region)
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=256).contains(&name.len())
        && name.bytes().all(is_name)
        && parts.next().is_none();
    holds.then_some(region)
}

pub(super) fn requests(task: &Task<'_>) -> Result<Vec<Request>, SendError> {
    let topic_arn = &task.settings.topic_arn;
    let region = region(topic_arn).ok_or_else(|| SendError::Settings {
        cause: "topic_arn is no topic of SNS".to_owned(),
    })?;
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let url = match task.secrets.url.trim_end_matches('/') {
        "" => format!("https://sns.{region}.amazonaws.com{suffix}/"),
        url => format!("{url}/"),
    };
    Ok(vec![Request {
        url,
        headers: vec![("content-type", FORM.to_owned())],
        body: form(topic_arn, task.message),
        aws: Some((SERVICE, region.to_owned())),
    }])
}

/// What an answer means: some refusals are only for now.
pub(super) fn receipt(answer: &Answer, before: Receipt) -> Result<Receipt, SendError> {
    let is_busy = BUSY
        .iter()
        .any(|code| answer.body.contains(&format!("<Code>{code}")));
    match answer.accepted() {
        Ok(()) => Ok(before),
        Err(_) if is_busy => Err(answer.busy()),
        Err(error) => Err(error),
    }
}

fn form(topic_arn: &str, message: &Message) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", "Publish")
        .append_pair("Version", "2010-03-31")
        .append_pair("TopicArn", topic_arn)
        .append_pair("Subject", &subject(&text::title(message)))
        .append_pair("Message", &content(message));
    for (index, (name, value)) in attributes(message).into_iter().enumerate() {
        let entry = format!("MessageAttributes.entry.{}", index + 1);
        form.append_pair(&format!("{entry}.Name"), name)
            .append_pair(&format!("{entry}.Value.DataType"), "String")
            .append_pair(&format!("{entry}.Value.StringValue"), value);
    }
    if topic_arn.ends_with(".fifo") {
        let group = match message {
            Message::Episode(notification) => &notification.episode,
            Message::Digest(digest) => &digest.id,
        };
        let group: String = Sha256::digest(group)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        form.append_pair("MessageGroupId", &group)
            .append_pair("MessageDeduplicationId", message.id());
    }
    form.finish()
}

/// What subscriptions can filter by.
fn attributes(message: &Message) -> Vec<(&'static str, &str)> {
    let mut attributes = vec![("severity", message.severity().name())];
    match message {
        Message::Episode(notification) => {
            attributes.push(("state", notification.kind.name()));
            attributes.push(("detector", notification.detector.as_str()));
        }
        Message::Digest(digest) => attributes.push(("state", digest.kind.name())),
    }
    attributes
}

/// ASCII of one line that begins with a letter or a digit; what is not ASCII is a question mark.
fn subject(title: &str) -> String {
    let ascii = title.chars().map(|letter| {
        if (' '..='~').contains(&letter) {
            letter
        } else {
            '?'
        }
    });
    ascii.take(LONGEST_SUBJECT).collect()
}

fn content(message: &Message) -> String {
    let mut lines = vec![text::title(message)];
    lines.extend(text::body(message));
    if let Message::Episode(notification) = message {
        lines.extend(
            text::facts(notification)
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
    }
    lines.extend(text::link(message).map(str::to_owned));
    let lines: Vec<String> = lines
        .iter()
        .map(|line| text::cut_bytes(line, LONGEST_MESSAGE / 20))
        .collect();
    text::cut_lines(&lines, LONGEST_MESSAGE, 1, char::len_utf8).join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::alerts::Notification;
    use crate::alerts::notification::fixture::{opened, storm};
    use crate::alerts::receivers::fixture::{requests, settings};

    fn published(topic_arn: &str, message: &Message) -> (Request, BTreeMap<String, String>) {
        let receiver = settings(&[("kind", "sns"), ("topic_arn", topic_arn)]);
        let request = requests(&receiver, message, None).unwrap().remove(0);
        let fields = url::form_urlencoded::parse(request.body.as_bytes())
            .into_owned()
            .collect();
        (request, fields)
    }

    #[test]
    fn a_topic_is_in_its_region() {
        assert_eq!(
            region("arn:aws:sns:eu-west-1:123456789012:alerts"),
            Some("eu-west-1")
        );
        assert_eq!(
            region("arn:aws-cn:sns:cn-north-1:123456789012:a.fifo"),
            Some("cn-north-1")
        );
        for text in [
            "",
            "alerts",
            "arn:aws:sqs:eu-west-1:123456789012:alerts",
            "arn:aws:sns::123456789012:alerts",
            "arn:aws:sns:eu.example/:123456789012:alerts",
            "arn:aws:sns:eu-west-1:1:alerts",
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns:eu-west-1:123456789012:alerts:6b0e71bd",
        ] {
            assert_eq!(region(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_is_published_with_what_subscriptions_filter_by() {
        let (request, fields) = published(
            "arn:aws:sns:eu-west-1:123456789012:alerts",
            &Message::Episode(opened()),
        );
        assert_eq!(request.url, "https://sns.eu-west-1.amazonaws.com/");
        assert_eq!(request.aws, Some(("sns", "eu-west-1".to_owned())));
        assert_eq!(
            (&*fields["Action"], &*fields["Subject"]),
            ("Publish", "Warning: boiler-7")
        );
        assert!(
            fields["Message"].starts_with("Warning: boiler-7\n93.5 °C is above"),
            "{}",
            fields["Message"]
        );
        assert!(fields["Message"].ends_with("\nhttps://meters.example/boiler-7"));
        assert_eq!(fields["MessageAttributes.entry.1.Value.StringValue"], "warning");
        assert_eq!(fields["MessageAttributes.entry.2.Name"], "state");
        assert!(!fields.contains_key("MessageGroupId"));
    }

    #[test]
    fn a_fifo_topic_drops_what_comes_twice() {
        let long = Notification {
            episode: "x".repeat(500),
            ..opened()
        };
        let (_, fields) = published(
            "arn:aws:sns:eu-west-1:123456789012:a.fifo",
            &Message::Episode(long),
        );
        assert_eq!(fields["MessageDeduplicationId"], opened().id);
        assert_eq!(fields["MessageGroupId"].len(), 64);
    }

    #[test]
    fn its_limits_are_kept() {
        let long = || Some("界\n".repeat(100_000));
        let large = Notification {
            series: long(),
            rule: long(),
            explanation: long().unwrap(),
            link: long(),
            ..opened()
        };
        for message in [
            Message::Episode(large),
            Message::Digest(storm((0..5_000).map(|number| format!("界-{number}")), 9)),
        ] {
            let (_, fields) = published("arn:aws:sns:eu-west-1:123456789012:alerts", &message);
            let subject = &fields["Subject"];
            assert!(
                subject.len() <= 100 && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{subject}"
            );
            assert!(
                (8_000..64_000).contains(&fields["Message"].len()),
                "{}",
                fields["Message"].len()
            );
        }
    }

    #[test]
    fn throttling_is_for_now() {
        let answer = |body: &str| Answer {
            host: String::new(),
            status: 400,
            retry_after: None,
            body: body.to_owned(),
        };
        let error = |body: &str| receipt(&answer(body), Receipt::default()).unwrap_err();
        assert!(error("<ErrorResponse><Error><Code>Throttling</Code>").is_transient());
        assert!(!error("<ErrorResponse><Error><Code>InvalidParameter</Code>").is_transient());
    }
}
