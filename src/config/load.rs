//! Flags over the environment over a file over a preset over the defaults.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Config;
use super::calendar;
use super::convert::Given;
use super::document;
use super::error::{ConfigError, SettingError};
use super::presets::{PRESETS, Preset, READING_PRESETS};
use super::secret;
use super::settings::{Origin, Setting, Settings};
use crate::decode;
use crate::settings::Violation;

/// The settings file that is read from the working folder when none is named.
pub(crate) const DEFAULT_FILE: &str = "streamgauge.toml";

/// The prefix of variables: `STREAMGAUGE__SECTION__KEY`.
const ENVIRONMENT_PREFIX: &str = "STREAMGAUGE__";

/// Settings given as flags of a command.
#[derive(Debug, Clone, Default)]
pub struct Overrides(Vec<Override>);

#[derive(Debug, Clone)]
struct Override {
    key: String,
    flag: String,
    text: String,
}

impl Overrides {
    /// Adds the setting with the dotted key `key` if its flag was given, as text in the form the settings file takes.
    /// `flag` is how messages name it: `--brokers`.
    pub fn with(mut self, key: &str, flag: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.0.push(Override {
                key: key.to_owned(),
                flag: flag.to_owned(),
                text: value.to_string(),
            });
        }
        self
    }

    /// These and those; where both have a setting, those win.
    pub fn and(mut self, those: Overrides) -> Self {
        self.0.extend(those.0);
        self
    }
}

/// The defaults but for these settings, each with the text that a settings file would have.
#[cfg(test)]
pub(crate) fn config_of(settings: &[(&str, &str)]) -> super::Config {
    let given = settings.iter();
    let overrides = given.fold(Overrides::default(), |overrides, (key, value)| {
        overrides.with(key, "a test", Some(value))
    });
    load(&overrides, None, []).unwrap().config
}

/// The settings in force, and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values in force, of all layers.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    settings: Vec<Setting>,
}

impl Loaded {
    /// Every setting in the order of `default.toml`, for people to read: secrets are replaced by `<redacted>`.
    pub(crate) fn settings(&self) -> &[Setting] {
        &self.settings
    }
}

/// The file that is read when none is named, if it is there.
pub(crate) fn default_file() -> Option<PathBuf> {
    Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists())
}

/// Puts the settings together. `file` is read if named; variables of other programs are ignored.
///
/// Fails when the file cannot be read or parsed as TOML, and with a list of every setting that does not exist, is of
/// the wrong type, or has a value that makes no sense.
pub fn load(
    overrides: &Overrides,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let defaults = Settings::defaults()?;
    let environment: Vec<_> = environment.into_iter().collect();
    let mut settings = defaults.clone();
    let mut wrong = lay_all(&mut settings, overrides, file, &environment)?;
    // Presets are themselves settings; what is set by hand goes over them.
    let presets = named_presets(&settings, &mut wrong);
    if !presets.is_empty() {
        settings = defaults.clone();
        wrong = Vec::new();
        for preset in presets {
            wrong.extend(lay_preset(&mut settings, preset)?);
        }
        wrong.extend(lay_all(&mut settings, overrides, file, &environment)?);
    }
    if wrong.is_empty() {
        wrong = unreadable(&defaults, &settings);
    }
    if !wrong.is_empty() {
        return Err(ConfigError::Settings(wrong));
    }
    let mut config = Config::deserialize(settings.to_table()).map_err(ConfigError::Defaults)?;
    let mut wrong = violations(&config, &settings);
    wrong.extend(calendar::read(&mut config, &settings));
    if !wrong.is_empty() {
        return Err(ConfigError::Settings(wrong));
    }
    let shown = settings.iter().filter(|setting| !setting.is_unset_item());
    let settings = shown.map(secret::redacted).collect();
    Ok(Loaded {
        config,
        file: file.map(Path::to_owned),
        settings,
    })
}

/// The settings of `[reading]` under each preset for producers, over the defaults and nothing else.
pub(crate) fn reading_presets() -> impl Iterator<Item = (&'static str, decode::Settings)> {
    let named = READING_PRESETS.iter().filter(|preset| !preset.name.is_empty());
    named.filter_map(|preset| {
        // A test loads each of them.
        let mut settings = Settings::defaults().ok()?;
        lay_preset(&mut settings, preset).ok()?;
        let config = Config::deserialize(settings.to_table()).ok()?;
        Some((preset.name, config.pipeline.reading))
    })
}

/// Lays the file, the environment and the flags over the settings. The answer is what is wrong with them.
fn lay_all(
    settings: &mut Settings,
    overrides: &Overrides,
    file: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Vec<SettingError>, ConfigError> {
    let mut wrong = Vec::new();
    if let Some(path) = file {
        lay_file(settings, path, &mut wrong)?;
    }
    lay_environment(settings, environment, &mut wrong);
    for Override { key, flag, text } in &overrides.0 {
        wrong.extend(
            settings
                .set(key, Given::Text(text.clone()), Origin::Flag(flag.clone()))
                .err(),
        );
    }
    Ok(wrong)
}

/// The presets that the settings name, but for those that change nothing. That of the readings goes over the other.
fn named_presets(settings: &Settings, wrong: &mut Vec<SettingError>) -> Vec<&'static Preset> {
    let lists: [(&str, &'static [Preset]); 2] =
        [("detect.preset", &PRESETS), ("reading.preset", &READING_PRESETS)];
    let named = lists.into_iter().filter_map(|(key, presets)| {
        let setting = settings.find(key)?;
        let name = setting.value.as_str()?;
        let found = presets.iter().find(|preset| preset.name == name);
        if found.is_none() {
            let names: Vec<String> = presets
                .iter()
                .map(|preset| format!("{:?}", preset.name))
                .collect();
            wrong.push(value_error(
                setting,
                format!("must be one of {}", names.join(", ")),
            ));
        }
        found.filter(|preset| !preset.toml.is_empty())
    });
    named.collect()
}

fn lay_preset(settings: &mut Settings, preset: &Preset) -> Result<Vec<SettingError>, ConfigError> {
    let leaves = document::leaves(preset.toml)
        .map_err(|error| ConfigError::syntax(format!("{}.toml", preset.name).into(), error))?;
    let set = |leaf: document::Leaf| {
        let origin = Origin::Preset(preset.name.to_owned());
        settings.set(&leaf.key, Given::Value(leaf.value), origin).err()
    };
    Ok(leaves.into_iter().filter_map(set).collect())
}

fn lay_file(settings: &mut Settings, path: &Path, wrong: &mut Vec<SettingError>) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let leaves = document::leaves(&text).map_err(|error| ConfigError::syntax(path.to_owned(), error))?;
    for leaf in leaves {
        let origin = Origin::File {
            path: path.to_owned(),
            line: leaf.line,
        };
        wrong.extend(settings.set(&leaf.key, Given::Value(leaf.value), origin).err());
    }
    Ok(())
}

fn lay_environment(settings: &mut Settings, environment: &[(String, String)], wrong: &mut Vec<SettingError>) {
    let ours = |(name, _): &&(String, String)| name.starts_with(ENVIRONMENT_PREFIX);
    let mut variables: Vec<_> = environment.iter().filter(ours).collect();
    // So that messages do not depend on the order that the system keeps them in.
    variables.sort();
    for (name, text) in variables {
        let key = settings.with_dashes(&key_of_variable(&name[ENVIRONMENT_PREFIX.len()..]));
        wrong.extend(
            settings
                .set(&key, Given::Text(text.clone()), Origin::Environment(name.clone()))
                .err(),
        );
    }
}

/// `KAFKA__MAX_BYTES` is `kafka.max_bytes`. A librdkafka property has only dots where a variable's name has only
/// underscores: `KAFKA__PROPERTIES__SECURITY_PROTOCOL` is `kafka.properties.security.protocol`.
fn key_of_variable(name: &str) -> String {
    let key = name.to_lowercase().replace("__", ".");
    let inside = |map: &str| {
        let property = key.strip_prefix(map)?;
        Some(format!("{map}{}", property.replace('_', ".")))
    };
    inside("kafka.properties.")
        .or_else(|| inside("kafka.property_files."))
        .unwrap_or(key)
}

/// The values that do not read as what their setting is, such as a word for a duration.
///
/// Each is tried alone over the defaults, which is how its message gets to name it and where it came from.
fn unreadable(defaults: &Settings, settings: &Settings) -> Vec<SettingError> {
    let changed = settings
        .iter()
        .filter(|setting| setting.origin != Origin::Default);
    let reason = |setting: &Setting| {
        let mut alone = defaults.clone();
        alone
            .set(
                &setting.key(),
                Given::Value(setting.value.clone()),
                setting.origin.clone(),
            )
            .err()
            .or_else(|| {
                let error = Config::deserialize(alone.to_table()).err()?;
                Some(value_error(setting, error.message().to_owned()))
            })
    };
    changed.filter_map(reason).collect()
}

fn violations(config: &Config, settings: &Settings) -> Vec<SettingError> {
    let located = |violation: Violation| {
        let setting = settings.find(&violation.key)?;
        Some(value_error(setting, violation.rule))
    };
    super::violations(config)
        .into_iter()
        .filter_map(located)
        .collect()
}

fn value_error(setting: &Setting, reason: String) -> SettingError {
    let setting = secret::redacted(setting);
    SettingError::Value {
        key: setting.key(),
        value: setting.value.to_string(),
        origin: setting.origin,
        reason,
    }
}
