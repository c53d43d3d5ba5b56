//! The settings while they are put together: what exists, its value so far, and where that came from.

use std::fmt;
use std::path::PathBuf;

use toml::Value;

use super::DEFAULT_TOML;
use super::document;
use super::error::{ConfigError, SettingError};
use super::secret;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The embedded `default.toml`.
    Default,
    /// The preset of this name.
    Preset(String),
    /// A settings file, and the line in it.
    File { path: PathBuf, line: usize },
    /// The environment variable of this name.
    Environment(String),
    /// The command's flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::Preset(name) => write!(formatter, "preset {name}"),
            Origin::File { path, line } => write!(formatter, "{} line {line}", path.display()),
            Origin::Environment(name) | Origin::Flag(name) => formatter.write_str(name),
        }
    }
}

/// One setting: `name = value` below `[table]`, and where the value came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// A section such as `kafka`, or one of the maps in it: `kafka.properties`.
    pub table: String,
    /// In a map it may have dots itself: `security.protocol`.
    pub name: String,
    pub value: Value,
    pub origin: Origin,
}

impl Setting {
    /// The dotted key, as messages name it.
    pub fn key(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }
}

/// A value on its way in: with the type it was written in, or as text without one.
pub(super) enum Given {
    Value(Value),
    Text(String),
}

/// All settings in the order of `default.toml`.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    list: Vec<Setting>,
    /// The tables that take any name: those that are empty in `default.toml`.
    maps: Vec<String>,
}

impl Settings {
    /// The embedded defaults. They alone decide which settings exist and of what type each is.
    pub fn defaults() -> Result<Self, ConfigError> {
        let mut settings = Settings {
            list: Vec::new(),
            maps: Vec::new(),
        };
        for leaf in document::leaves(DEFAULT_TOML)
            .map_err(|error| ConfigError::syntax("default.toml".into(), error))?
        {
            if leaf.value.is_table() {
                settings.maps.push(leaf.key);
            } else if let Some((table, name)) = leaf.key.split_once('.') {
                let (table, name) = (table.to_owned(), name.to_owned());
                settings.list.push(Setting {
                    table,
                    name,
                    value: leaf.value,
                    origin: Origin::Default,
                });
            }
        }
        Ok(settings)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.list.iter()
    }

    pub fn find(&self, key: &str) -> Option<&Setting> {
        self.list.iter().find(|setting| setting.key() == key)
    }

    /// Puts a value in the place of the one so far.
    ///
    /// Fails when there is no such setting or the value is not of its type.
    pub fn set(&mut self, key: &str, given: Given, origin: Origin) -> Result<(), SettingError> {
        if self.is_empty_table(key, &given) {
            return Ok(());
        }
        let map = self.map_of(key);
        let given = if map.is_some() {
            given.without_type()
        } else {
            given
        };
        match (self.list.iter().position(|setting| setting.key() == key), map) {
            (Some(position), _) => {
                let setting = &mut self.list[position];
                setting.value = convert(key, &setting.value, given, &origin)?;
                setting.origin = origin;
            }
            (None, Some(map)) => {
                let name = key[map.len() + 1..].to_owned();
                let value = convert(key, &Value::String(String::new()), given, &origin)?;
                self.list.insert(
                    self.end_of_section(&map),
                    Setting {
                        table: map,
                        name,
                        value,
                        origin,
                    },
                );
            }
            (None, None) => {
                return Err(SettingError::Unknown {
                    key: key.to_owned(),
                    origin,
                    nearest: self.nearest(key),
                });
            }
        }
        Ok(())
    }

    /// The place behind the last setting of the section that a map lies in.
    fn end_of_section(&self, map: &str) -> usize {
        let section = |table: &str| table.split('.').next().map(str::to_owned);
        let last = self
            .list
            .iter()
            .rposition(|setting| section(&setting.table) == section(map));
        last.map_or(self.list.len(), |last| last + 1)
    }

    /// Whether this only opens a section or a map that exists, and says nothing in it.
    fn is_empty_table(&self, key: &str, given: &Given) -> bool {
        matches!(given, Given::Value(Value::Table(table)) if table.is_empty())
            && (self.maps.iter().any(|map| map == key)
                || self.list.iter().any(|setting| setting.table == key))
    }

    /// The map that a key lies in, if it does.
    fn map_of(&self, key: &str) -> Option<String> {
        let inside = |map: &&String| {
            key.strip_prefix(map.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
        };
        self.maps.iter().find(inside).cloned()
    }

    /// The known key most like an unknown one, if any is like it at all.
    fn nearest(&self, key: &str) -> Option<String> {
        const ALIKE: f64 = 0.65;
        let head = key.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let keys = self
            .list
            .iter()
            .map(|setting| (similarity(key, &setting.key()), setting.key()));
        let sections = self
            .list
            .iter()
            .map(|setting| (similarity(key, &setting.table), setting.table.clone()));
        let maps = self.maps.iter().map(|map| (similarity(&head, map), map.clone()));
        keys.chain(sections)
            .chain(maps)
            .filter(|(similarity, _)| *similarity >= ALIKE)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, key)| key)
    }

    /// The settings as the nested tables that they are written in.
    pub fn to_table(&self) -> toml::Table {
        let mut root = toml::Table::new();
        for setting in self
            .list
            .iter()
            .filter(|setting| !self.maps.contains(&setting.table))
        {
            let section = root
                .entry(setting.table.clone())
                .or_insert_with(|| Value::Table(toml::Table::new()));
            if let Value::Table(section) = section {
                section.insert(setting.name.clone(), setting.value.clone());
            }
        }
        for map in &self.maps {
            let entries = self.list.iter().filter(|setting| setting.table == *map);
            let entries = entries
                .map(|entry| (entry.name.clone(), entry.value.clone()))
                .collect();
            if let Some((section, name)) = map.split_once('.')
                && let Some(Value::Table(section)) = root.get_mut(section)
            {
                section.insert(name.to_owned(), Value::Table(entries));
            }
        }
        root
    }
}

impl Given {
    /// Numbers and booleans as text: in a map of texts they need no quotes.
    fn without_type(self) -> Self {
        match self {
            Given::Value(value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => {
                Given::Text(value.to_string())
            }
            other => other,
        }
    }
}

/// Whether a setting of this text is a number that may also be "auto"; it needs no quotes around it.
fn takes_numbers(text: &str) -> bool {
    text == "auto" || text.parse::<f64>().is_ok()
}

/// What was given, as a value of the type of `model`.
fn convert(key: &str, model: &Value, given: Given, origin: &Origin) -> Result<Value, SettingError> {
    let (converted, found) = match given {
        Given::Value(value) => {
            let converted = match (model, &value) {
                (Value::Float(_), Value::Integer(whole)) => Some(Value::Float(*whole as f64)),
                (Value::String(text), Value::Integer(_) | Value::Float(_)) if takes_numbers(text) => {
                    Some(Value::String(value.to_string()))
                }
                _ => value.same_type(model).then(|| value.clone()),
            };
            (converted, value.to_string())
        }
        Given::Text(text) => {
            let value = match model {
                Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
                Value::Float(_) => text.trim().parse().ok().map(Value::Float),
                Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
                _ => Some(Value::String(text.clone())),
            };
            (value, format!("{text:?}"))
        }
    };
    converted.ok_or_else(|| SettingError::Type {
        key: key.to_owned(),
        origin: origin.clone(),
        expected: match model {
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            _ => "a text in quotes",
        },
        found: if secret::is_secret(key) {
            secret::REDACTED.to_owned()
        } else {
            found
        },
    })
}

/// From 0 to 1: how alike two dotted keys are. One that only lies in the wrong section is quite alike.
fn similarity(left: &str, right: &str) -> f64 {
    const IN_ANOTHER_SECTION: f64 = 0.9;
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let whole = strsim::normalized_damerau_levenshtein(left, right);
    whole.max(IN_ANOTHER_SECTION * strsim::normalized_damerau_levenshtein(&name(left), &name(right)))
}
