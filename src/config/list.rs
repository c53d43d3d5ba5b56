//! Lists of tables, such as `[[alert.receiver]]`. Each item has a name, which is part of its settings' keys:
//! `alert.receiver.on-call.url`. So the environment and flags reach it, too, and messages can name it.

use std::collections::BTreeSet;

use toml::Value;

use super::convert::Given;
use super::document::{Leaf, is_item_name};
use super::error::SettingError;
use super::settings::{Origin, Setting};

/// A list, as `default.toml` describes it: by one item without a name.
#[derive(Debug, Clone)]
pub(super) struct List {
    /// The dotted key: `alert.receiver`.
    pub(super) key: String,
    /// The settings of an item, with their defaults.
    model: Vec<(String, Value)>,
}

impl List {
    /// The setting that tells an item from the others.
    pub(super) const NAME: &str = "name";

    /// The list that a leaf of `default.toml`, which is this text, describes, if it is one.
    pub(super) fn described(leaf: &Leaf, text: &str) -> Option<List> {
        let [Value::Table(model)] = leaf.value.as_array()?.as_slice() else {
            return None;
        };
        // As they are written: tables have lost the order.
        let names = text
            .lines()
            .skip(leaf.line)
            .filter_map(|line| Some(line.split_once(" = ")?.0));
        let written = names.filter_map(|name| Some((name.to_owned(), model.get(name)?.clone())));
        Some(List {
            key: leaf.key.clone(),
            model: written.take(model.len()).collect(),
        })
    }

    /// Takes the list as one value. Named items come by keys of their own; what is left may be the description in
    /// `default.toml`, of which a settings file may be a copy.
    ///
    /// # Errors
    /// For anything else.
    pub(super) fn take_whole(&self, given: &Given, origin: Origin) -> Result<(), SettingError> {
        let is_description = |table: &toml::Table| {
            table.len() == self.model.len()
                && self
                    .model
                    .iter()
                    .all(|(name, value)| table.get(name) == Some(value))
        };
        let mut names = BTreeSet::new();
        let mut fits = |item: &Value| {
            let table = item.as_table();
            match table.and_then(|table| Some((table, table.get(Self::NAME)?.as_str()?))) {
                Some((table, "")) => is_description(table),
                Some((_, name)) => is_item_name(name) && names.insert(name.to_owned()),
                None => false,
            }
        };
        match given {
            Given::Value(Value::Array(items)) if items.iter().all(&mut fits) => Ok(()),
            Given::Value(_) | Given::Text(_) => Err(SettingError::Type {
                key: self.key.clone(),
                origin,
                expected: "a list of tables, [[alert.receiver]], each with a `name` of its own: up to 40 lower-case letters, \
                           digits, underscores and dashes",
                found: "something else".to_owned(),
            }),
        }
    }

    /// The name of the item that a key is a setting of.
    pub(super) fn item_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        let (item, setting) = key
            .strip_prefix(self.key.as_str())?
            .strip_prefix('.')?
            .split_once('.')?;
        let is_known = self.model.iter().any(|(name, _)| name == setting);
        (is_known && is_item_name(item)).then_some(item)
    }

    /// A new item: the defaults of its settings.
    pub(super) fn item(&self, item: &str) -> Vec<Setting> {
        let setting = |(name, value): &(String, Value)| Setting {
            table: format!("{}.{item}", self.key),
            name: name.clone(),
            value: if name == Self::NAME {
                Value::String(item.to_owned())
            } else {
                value.clone()
            },
            origin: Origin::Default,
            is_in_list: true,
        };
        self.model.iter().map(setting).collect()
    }

    /// The keys that an item of this name has.
    pub(super) fn keys_of<'a>(&'a self, item: &'a str) -> impl Iterator<Item = String> {
        self.model
            .iter()
            .map(move |(name, _)| format!("{}.{item}.{name}", self.key))
    }

    /// Its items among all settings, as they are written.
    pub(super) fn tables(&self, settings: &[Setting]) -> Value {
        let is_ours = |setting: &&Setting| {
            setting.is_in_list
                && setting
                    .table
                    .rsplit_once('.')
                    .is_some_and(|(list, _)| list == self.key)
        };
        let ours: Vec<&Setting> = settings.iter().filter(is_ours).collect();
        let items = ours.chunk_by(|left, right| left.table == right.table);
        let table = |item: &[&Setting]| {
            let entries = item
                .iter()
                .map(|setting| (setting.name.clone(), setting.value.clone()));
            Value::Table(entries.collect())
        };
        Value::Array(items.map(table).collect())
    }
}
