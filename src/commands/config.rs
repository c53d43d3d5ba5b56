//! `streamgauge config`: the settings in force, and whether they make sense.

mod online;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::{Loaded, Origin, Overrides, Setting};
use crate::printable::{acts, printable};
use crate::{decode, pipeline, window};

use super::{Action, KafkaArgs, block_on, stdout};
use online::Purpose;

/// Show or check the settings
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Show(ShowArgs),
    Check(CheckArgs),
}

const EXAMPLES: &str = "\
Examples:
  Start a settings file from the values in force:
    streamgauge config show > settings.toml

  Which settings does this machine's environment change?
    streamgauge config show | grep STREAMGAUGE__

  Before a service starts (ExecStartPre=):
    streamgauge --config /etc/streamgauge.toml config check";

/// Print the value of every setting, and where it came from
///
/// The settings come in the order of the reference. As TOML, the output can be used as a settings file: where a value
/// is not the default, a comment behind it says which file and line, variable or flag it came from. As JSON, each
/// setting is an object with its `value` and its `origin`. Secrets are shown as `<redacted>`.
#[derive(Debug, Args)]
#[command(after_long_help = SHOW_EXAMPLES)]
struct ShowArgs {
    /// How to print them
    #[arg(long, value_enum, default_value_t = ShowFormat::Toml)]
    format: ShowFormat,
    #[command(flatten)]
    kafka: KafkaArgs,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  streamgauge config show
  streamgauge config show -X security.protocol=SASL_SSL
  streamgauge config show --format json | jq .window.length";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShowFormat {
    Toml,
    Json,
}

/// Check the settings, the broker and the store
///
/// Reads the settings as every other command would and names each one that does not exist, is of the wrong type or has
/// a value that makes no sense; the exit code is 2 if there is one. Then connects to the broker, looks at the topics, asks
/// for the rights that the command needs, opens the table, lists the detectors' state files, and says what is wrong with
/// them; the exit code is 1 if anything is. Nothing is made or changed.
#[derive(Debug, Args)]
#[command(after_long_help = CHECK_EXAMPLES)]
struct CheckArgs {
    /// The command that the settings are for; what it does not need is not asked for
    #[arg(long = "for", value_enum, value_name = "COMMAND", default_value_t = Purpose::Run)]
    purpose: Purpose,
    /// Do not contact the broker and the store
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    kafka: KafkaArgs,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  streamgauge config check --offline
  Where recordings are played, without the permission to read the topic:
    streamgauge --config /etc/streamgauge.toml config check --for play
  streamgauge --config /etc/streamgauge.toml config check
  streamgauge config check -b broker-1:9092 -X security.protocol=SSL";

impl Action for ConfigArgs {
    fn overrides(&self) -> Overrides {
        match &self.command {
            ConfigCommand::Show(args) => args.kafka.overrides(),
            ConfigCommand::Check(args) => args.kafka.overrides(),
        }
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        match &self.command {
            ConfigCommand::Show(args) => show(loaded, args.format),
            ConfigCommand::Check(args) => check(loaded, args),
        }
    }
}

fn show(loaded: &Loaded, format: ShowFormat) -> anyhow::Result<ExitCode> {
    let text = match format {
        ShowFormat::Toml => as_toml(loaded.settings()),
        ShowFormat::Json => as_json(loaded.settings())?,
    };
    writeln!(stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn as_toml(settings: &[Setting]) -> String {
    let mut lines = Vec::new();
    let mut table = "";
    for setting in settings {
        if setting.table != table {
            lines.extend((!lines.is_empty()).then(String::new));
            lines.push(setting.heading());
            table = &setting.table;
        }
        let comment = match &setting.origin {
            Origin::Default => String::new(),
            origin => format!("  # {origin}"),
        };
        lines.push(toml_line(setting) + &comment);
    }
    lines.join("\n")
}

/// A setting as a line below its table's heading.
pub(super) fn toml_line(setting: &Setting) -> String {
    format!("{} = {}", toml_key(&setting.name), toml_value(&setting.value))
}

/// A key as TOML takes it: in quotes unless it is a plain word.
fn toml_key(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_plain) {
        name.to_owned()
    } else {
        toml_text(name)
    }
}

/// A value as TOML takes it, on one line.
pub(super) fn toml_value(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => toml_text(text),
        other => other.to_string(),
    }
}

/// A text as TOML takes it, on one line, and with nothing in it that would steer a terminal.
fn toml_text(text: &str) -> String {
    if !text.contains(acts) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let letter = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if acts(letter) => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(letter).collect::<String>())
}

fn as_json(settings: &[Setting]) -> anyhow::Result<String> {
    let mut root = serde_json::json!({});
    for setting in settings {
        let origin = setting.origin.to_string();
        let place = setting
            .table
            .split('.')
            .fold(&mut root, |place, part| &mut place[part]);
        place[setting.name.as_str()] = serde_json::json!({ "value": setting.value, "origin": origin });
    }
    Ok(serde_json::to_string_pretty(&root)?)
}

fn check(loaded: &Loaded, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut output = stdout();
    writeln!(output, "settings: ok ({})", sources(loaded))?;
    let pipeline::Settings { reading, window, .. } = &loaded.config.pipeline;
    for warning in warnings(reading, window) {
        writeln!(output, "settings: warning: {warning}")?;
    }
    if args.offline {
        writeln!(output, "broker and store: not contacted (--offline)")?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_well = block_on(online::check(&loaded.config, args.purpose, &mut output))?;
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Settings that are valid but may not be intended.
fn warnings(reading: &decode::Settings, window: &window::Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    if reading.max_ahead >= window.watermark && !window.watermark.is_zero() {
        warnings.push(
            "reading.max_ahead is as long as window.watermark: one clock that is ahead by that much makes the readings \
             of all others late; keep it well below"
                .to_owned(),
        );
    }
    warnings
}

/// Where the settings came from: `streamgauge.toml, 2 from the environment`.
fn sources(loaded: &Loaded) -> String {
    let mut sources = Vec::new();
    match &loaded.file {
        Some(file) => sources.push(printable(&file.to_string_lossy()).into_owned()),
        None => sources.push("no file".to_owned()),
    }
    let from = |is_from: fn(&Origin) -> bool| {
        loaded
            .settings()
            .iter()
            .filter(|setting| is_from(&setting.origin))
            .count()
    };
    let counts = [
        (
            from(|origin| matches!(origin, Origin::Environment(_))),
            "from the environment",
        ),
        (from(|origin| matches!(origin, Origin::Flag(_))), "from flags"),
    ];
    sources.extend(
        counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, place)| format!("{count} {place}")),
    );
    sources.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn loaded() -> Loaded {
        let flags = Overrides::default().with("window.length", "--window", Some("15m"));
        let environment = [
            ("SECURITY_PROTOCOL", "SASL_SSL"),
            ("SASL_MECHANISMS", "SCRAM-SHA-512"),
            ("SASL_PASSWORD", "hush"),
        ]
        .map(|(name, value)| {
            (
                format!("STREAMGAUGE__KAFKA__PROPERTIES__{name}"),
                value.to_owned(),
            )
        });
        load(&flags, None, environment).unwrap()
    }

    #[test]
    fn the_settings_are_shown_as_a_settings_file() {
        let text = as_toml(loaded().settings());
        for line in [
            "[kafka]",
            "brokers = \"localhost:9092\"",
            "\n[kafka.properties]",
            "\"sasl.password\" = \"<redacted>\"  # STREAMGAUGE__KAFKA__PROPERTIES__SASL_PASSWORD",
            "length = \"15m\"  # --window",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
        assert!(!text.contains("hush"));
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    }

    #[test]
    fn the_settings_are_shown_as_json() {
        let text = as_json(loaded().settings()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json["window"]["length"],
            serde_json::json!({ "value": "15m", "origin": "--window" })
        );
        assert_eq!(
            json["kafka"]["partitions"],
            serde_json::json!({ "value": 4, "origin": "default" })
        );
        assert_eq!(
            json["kafka"]["properties"]["sasl.password"]["value"],
            "<redacted>"
        );
    }

    #[test]
    fn what_would_steer_a_terminal_is_shown_as_toml_escapes_it() {
        let text = "a\u{1b}[2J\n\"b\"\\\u{202e}ü";
        let shown = toml_text(text);
        assert_eq!(shown, r#""a\u001B[2J\u000A\"b\"\\\u202Eü""#);
        let read: toml::Table = format!("x = {shown}").parse().unwrap();
        assert_eq!(read["x"].as_str(), Some(text));
    }

    #[test]
    fn the_sources_are_named() {
        assert_eq!(
            sources(&loaded()),
            "no file, 3 from the environment, 1 from flags"
        );
    }
}
