//! The flag that is any setting.

use clap::Args;

use crate::config::Overrides;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SetArgs {
    /// Any setting, as `streamgauge config show` lists them; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
}

impl SetArgs {
    /// The flags that were given, as settings.
    pub(crate) fn overrides(&self) -> Overrides {
        self.set.iter().fold(Overrides::default(), |flags, (key, value)| {
            flags.with(key, &format!("--set {key}"), Some(value))
        })
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    split_setting(text).ok_or_else(|| "it must be SECTION.KEY=VALUE, such as detect.threshold=8".to_owned())
}

/// Key and value of a setting in a flag; `None` if it is none. The key's last part may be in quotation marks, as in a settings
/// file: a pattern may hold an equals sign.
pub(super) fn split_setting(text: &str) -> Option<(String, String)> {
    let (key, value) = match text.split_once(".\"") {
        Some((section, rest)) if !section.contains('=') => rest.split_once('"').and_then(|(name, rest)| {
            Some((format!("{section}.{name}"), rest.trim_start().strip_prefix('=')?))
        }),
        _ => text
            .split_once('=')
            .filter(|(key, _)| key.contains('.'))
            .map(|(key, value)| (key.trim().to_owned(), value)),
    }?;
    Some((key, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::commands::Cli;
    use crate::config::load;

    #[test]
    fn any_setting_can_be_given_to_what_runs_and_goes_over_other_flags() {
        for arguments in [
            &["aggregate", "--commit-interval", "20s"][..],
            &["detect"],
            &["run", "--commit-interval", "20s"],
            &["backtest", "usage.csv"],
        ] {
            let set = ["--set", "commit.interval=30s", "--set", "detect.rules.*=above 90"];
            let cli = Cli::try_parse_from([&["streamgauge"][..], arguments, &set].concat()).unwrap();
            let settings = load(&cli.command.action().overrides(), None, [])
                .unwrap()
                .config
                .pipeline;
            assert_eq!(settings.commit.interval, Duration::from_secs(30), "{arguments:?}");
            assert_eq!(settings.detect.rules["*"], "above 90", "{arguments:?}");
        }
    }

    #[test]
    fn a_setting_is_a_key_with_its_section_and_a_value_that_may_have_anything_in_it() {
        let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
        for (text, expected) in [
            ("detect.threshold=8", pair("detect.threshold", "8")),
            ("detect.rules.* = above 90", pair("detect.rules.*", "above 90")),
            (
                "kafka.properties.sasl.password=a=b",
                pair("kafka.properties.sasl.password", "a=b"),
            ),
            ("detect.unit=", pair("detect.unit", "")),
            (
                "detect.rules.\"boiler-*\"=above 90",
                pair("detect.rules.boiler-*", "above 90"),
            ),
            (
                "detect.rules.\"a=b\" = below 1",
                pair("detect.rules.a=b", "below 1"),
            ),
            ("detect.unit=x.\"y\"", pair("detect.unit", "x.\"y\"")),
            ("detect.rules.\"a\"b=above 90", None),
            ("detect.threshold", None),
            ("threshold=8", None),
        ] {
            assert_eq!(parse_setting(text).ok(), expected, "{text}");
        }
    }
}
