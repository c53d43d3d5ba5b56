//! Flags that several commands share: how to reach the cluster, and which topic.

use clap::Args;

use crate::config::Overrides;

/// How to reach the cluster, for commands that are about no topic of readings.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// Addresses to find the cluster through, separated by commas
    #[arg(short, long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// Any librdkafka property; may be repeated
    #[arg(short = 'X', value_name = "NAME=VALUE", value_parser = parse_property)]
    properties: Vec<(String, String)>,
}

impl ClusterArgs {
    /// The flags that were given, as settings.
    pub(crate) fn overrides(&self) -> Overrides {
        let flags = Overrides::default().with("kafka.brokers", "--brokers", self.brokers.as_ref());
        with_properties(flags, &self.properties)
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct KafkaArgs {
    /// Addresses to find the cluster through, separated by commas
    #[arg(short, long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// The topic of the readings
    #[arg(short, long)]
    topic: Option<String>,
    /// Any librdkafka property; may be repeated
    #[arg(short = 'X', value_name = "NAME=VALUE", value_parser = parse_property)]
    properties: Vec<(String, String)>,
}

impl KafkaArgs {
    /// The flags that were given, for a command line that is printed. Properties may be secrets and stay out.
    pub(crate) fn printed(&self) -> Vec<(&'static str, String)> {
        let flags = [("-b", &self.brokers), ("-t", &self.topic)];
        let given = flags.into_iter();
        given
            .filter_map(|(flag, value)| Some((flag, value.clone()?)))
            .collect()
    }

    /// The flags that were given, as settings.
    pub(crate) fn overrides(&self) -> Overrides {
        let flags = Overrides::default()
            .with("kafka.brokers", "--brokers", self.brokers.as_ref())
            .with("kafka.topic", "--topic", self.topic.as_ref());
        with_properties(flags, &self.properties)
    }
}

fn with_properties(flags: Overrides, properties: &[(String, String)]) -> Overrides {
    properties.iter().fold(flags, |flags, (name, value)| {
        flags.with(
            &format!("kafka.properties.{name}"),
            &format!("-X {name}"),
            Some(value),
        )
    })
}

fn parse_property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE, such as security.protocol=SASL_SSL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_a_name_and_a_value_that_may_have_anything_in_it() {
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        for (text, expected) in [
            ("client.id=meter", pair("client.id", "meter")),
            ("sasl.password=a=b c", pair("sasl.password", "a=b c")),
            ("client.rack=", pair("client.rack", "")),
            ("client.id", None),
            ("=meter", None),
        ] {
            assert_eq!(parse_property(text).ok(), expected, "{text}");
        }
    }
}
