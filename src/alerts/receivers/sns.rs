//! AWS SNS.

/// The region of a topic; `None` if the text is no topic's ARN.
pub(in crate::alerts) fn region(topic_arn: &str) -> Option<&str> {
    let mut parts = topic_arn.split(':');
    let (arn, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (account, name) = (parts.next()?, parts.next()?);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let holds = arn == "arn"
        && partition.starts_with("aws")
        && service == "sns"
        && !region.is_empty()
        && region.bytes().all(is_region)
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=256).contains(&name.len())
        && name.bytes().all(is_name)
        && parts.next().is_none();
    holds.then_some(region)
}
