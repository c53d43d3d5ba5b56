//! The settings while they are put together: what exists, its value so far, and where that came from.

use std::fmt;
use std::path::PathBuf;

use toml::Value;

use super::DEFAULT_TOML;
use super::convert::{Given, convert};
use super::document;
use super::error::{ConfigError, SettingError};
use super::list::List;
use crate::printable::printable;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The embedded `default.toml`.
    Default,
    /// The preset of this name.
    Preset(String),
    /// A settings file, and the line in it.
    File {
        /// As it was given.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
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
            Origin::File { path, line } => {
                write!(formatter, "{} line {line}", printable(&path.to_string_lossy()))
            }
            Origin::Environment(name) | Origin::Flag(name) => formatter.write_str(&printable(name)),
        }
    }
}

/// One setting: `name = value` below `[table]`, and where the value came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// A section such as `kafka` or `collect.cloudwatch`, or one of the maps in it: `kafka.properties`.
    pub(crate) table: String,
    /// In a map it may have dots itself: `security.protocol`.
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// Whether the table is an item of a list: `alert.receiver.on-call` is written `[[alert.receiver]]`.
    pub(crate) is_in_list: bool,
}

impl Setting {
    /// The dotted key, as messages name it.
    pub(crate) fn key(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }

    /// The line that opens its table in a settings file.
    pub(crate) fn heading(&self) -> String {
        match self.table.rsplit_once('.') {
            Some((list, _)) if self.is_in_list => format!("[[{list}]]"),
            _ => format!("[{}]", self.table),
        }
    }

    /// Whether it is a setting of a list's item that is not set: each item has those of all kinds of items.
    pub(super) fn is_unset_item(&self) -> bool {
        let is_empty = self.value.as_str().is_some_and(str::is_empty)
            || self.value.as_array().is_some_and(Vec::is_empty);
        self.is_in_list && self.origin == Origin::Default && is_empty
    }
}

/// All settings in the order of `default.toml`.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    list: Vec<Setting>,
    /// The tables that take any name: those that are empty in `default.toml`.
    maps: Vec<String>,
    /// The lists of tables, each with the settings that its items have.
    lists: Vec<List>,
}

impl Settings {
    /// The embedded defaults. They alone decide which settings exist and of what type each is.
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let mut settings = Settings {
            list: Vec::new(),
            maps: Vec::new(),
            lists: Vec::new(),
        };
        for leaf in document::leaves(DEFAULT_TOML)
            .map_err(|error| ConfigError::syntax("default.toml".into(), error))?
        {
            if leaf.value.is_table() {
                settings.maps.push(leaf.key);
            } else if let Some(list) = List::described(&leaf, DEFAULT_TOML) {
                settings.lists.push(list);
            } else if let Some((table, name)) = leaf.key.rsplit_once('.') {
                let (table, name) = (table.to_owned(), name.to_owned());
                settings.list.push(Setting {
                    table,
                    name,
                    value: leaf.value,
                    origin: Origin::Default,
                    is_in_list: false,
                });
            }
        }
        Ok(settings)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.list.iter()
    }

    pub(super) fn find(&self, key: &str) -> Option<&Setting> {
        self.list.iter().find(|setting| setting.key() == key)
    }

    /// Puts a value in the place of the one so far.
    ///
    /// Fails when there is no such setting or the value is not of its type.
    pub(super) fn set(&mut self, key: &str, given: Given, origin: Origin) -> Result<(), SettingError> {
        if self.is_empty_table(key, &given) {
            return Ok(());
        }
        if let Some(list) = self.lists.iter().find(|list| list.key == key) {
            return list.take_whole(&given, origin);
        }
        self.make_item(key);
        let map = self.map_of(key);
        let given = if map.is_some() {
            given.without_type()
        } else {
            given
        };
        match (self.list.iter().position(|setting| setting.key() == key), map) {
            (Some(position), _) => {
                let setting = &mut self.list[position];
                let value = convert(key, &setting.value, given, &origin)?;
                if setting.is_in_list && setting.name == List::NAME && value != setting.value {
                    return Err(SettingError::Type {
                        key: key.to_owned(),
                        origin,
                        expected: "the name that its key has",
                        found: value.to_string(),
                    });
                }
                setting.value = value;
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
                        is_in_list: false,
                    },
                );
            }
            (None, None) if self.maps.iter().any(|map| map == key) => {
                return Err(SettingError::Type {
                    key: key.to_owned(),
                    origin,
                    expected: "a table of names and values; by the environment each is given alone, such as \
                               STREAMGAUGE__TABLE__STORAGE_OPTIONS__AWS_REGION=eu-west-1",
                    found: "one value".to_owned(),
                });
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
        let is_section = |table: &str| {
            table
                .strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        matches!(given, Given::Value(Value::Table(table)) if table.is_empty())
            && (self.maps.iter().any(|map| map == key)
                || self.list.iter().any(|setting| is_section(&setting.table)))
    }

    /// Adds the item of a list that a key lies in, with the defaults of its settings, if it is new.
    fn make_item(&mut self, key: &str) {
        let Some((list, item)) = self
            .lists
            .iter()
            .find_map(|list| Some((list, list.item_of(key)?)))
        else {
            return;
        };
        let table = format!("{}.{item}", list.key);
        if self.list.iter().any(|setting| setting.table == table) {
            return;
        }
        let settings = list.item(item);
        let end = self.end_of_section(&list.key.clone());
        self.list.splice(end..end, settings);
    }

    /// The name of the item that a key from a variable lies in: variables have no dashes.
    pub(super) fn with_dashes(&self, key: &str) -> String {
        let named = self.list.iter().filter(|setting| setting.is_in_list);
        let mut alike = named.filter_map(|setting| {
            let written = setting.table.replace('-', "_");
            let rest = key.strip_prefix(&written)?;
            rest.starts_with('.').then(|| format!("{}{rest}", setting.table))
        });
        alike.next().unwrap_or_else(|| key.to_owned())
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
        let item = key.rsplit('.').nth(1).filter(|item| document::is_item_name(item));
        let items = self
            .lists
            .iter()
            .flat_map(|list| list.keys_of(item.unwrap_or("name")));
        let items = items.map(|known| (similarity(key, &known), known));
        keys.chain(sections)
            .chain(maps)
            .chain(items)
            .filter(|(similarity, _)| *similarity >= ALIKE)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, key)| key)
    }

    /// The settings as the nested tables that they are written in.
    pub(super) fn to_table(&self) -> toml::Table {
        let mut root = toml::Table::new();
        for setting in self
            .list
            .iter()
            .filter(|setting| !setting.is_in_list && !self.maps.contains(&setting.table))
        {
            let mut sections = setting.table.split('.');
            let section = sections.try_fold(&mut root, |table, name| {
                let inner = table
                    .entry(name)
                    .or_insert_with(|| Value::Table(toml::Table::new()));
                inner.as_table_mut()
            });
            if let Some(section) = section {
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
        for list in &self.lists {
            if let Some((section, name)) = list.key.split_once('.')
                && let Some(Value::Table(section)) = root.get_mut(section)
            {
                section.insert(name.to_owned(), list.tables(&self.list));
            }
        }
        root
    }
}

/// From 0 to 1: how alike two dotted keys are. One that only lies in the wrong section is quite alike.
fn similarity(left: &str, right: &str) -> f64 {
    const IN_ANOTHER_SECTION: f64 = 0.9;
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let whole = strsim::normalized_damerau_levenshtein(left, right);
    whole.max(IN_ANOTHER_SECTION * strsim::normalized_damerau_levenshtein(&name(left), &name(right)))
}
