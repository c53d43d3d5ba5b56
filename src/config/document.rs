//! A TOML text as a flat list of its values, in the order they are written, each with its line.

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// One value of a document: anything but a table that has contents.
#[derive(Debug, PartialEq)]
pub(super) struct Leaf {
    /// The dotted key, without quotes: `kafka.properties.security.protocol`.
    pub key: String,
    pub value: toml::Value,
    /// Counted from 1.
    pub line: usize,
}

/// The place where a text is not TOML, and the reason.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub line: usize,
    pub message: String,
}

/// The values of `text`. A table without contents is a value too, so that a misspelt section is not lost.
pub(super) fn leaves(text: &str) -> Result<Vec<Leaf>, SyntaxError> {
    let syntax_error = |error: toml::de::Error| SyntaxError {
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    };
    let document = DeTable::parse(text).map_err(syntax_error)?;
    let mut places = Vec::new();
    collect("", document.get_ref(), &mut places);
    places.sort_by_key(|place| place.start);
    places
        .into_iter()
        .map(|Place { start, key, value }| {
            let deserializer = ValueDeserializer::from(value.clone());
            let value = toml::Value::deserialize(deserializer).map_err(syntax_error)?;
            Ok(Leaf {
                key,
                value,
                line: line_at(text, start),
            })
        })
        .collect()
}

struct Place<'a, 'text> {
    /// Bytes before the key.
    start: usize,
    key: String,
    value: &'a Spanned<DeValue<'text>>,
}

fn collect<'a, 'text>(prefix: &str, table: &'a DeTable<'text>, places: &mut Vec<Place<'a, 'text>>) {
    for (name, value) in table.iter() {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        let tables = match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                collect(&key, inner, places);
                continue;
            }
            DeValue::Array(items) => named_tables(items),
            _ => Vec::new(),
        };
        for (name, table) in &tables {
            collect(&format!("{key}.{name}"), table, places);
        }
        let is_whole = matches!(value.get_ref(), DeValue::Array(items) if items.len() == tables.len());
        if tables.is_empty() || !is_whole {
            places.push(Place {
                start: name.span().start,
                key,
                value,
            });
        }
    }
}

/// The tables of a list of tables by their `name`. All must have one of their own that can be part of a dotted key, but for
/// nameless ones, which are left out.
fn named_tables<'a, 'text>(items: &'a [Spanned<DeValue<'text>>]) -> Vec<(&'a str, &'a DeTable<'text>)> {
    let mut tables: Vec<(&str, &DeTable<'_>)> = Vec::new();
    for item in items {
        let table = item.get_ref().as_table();
        let name = table.and_then(|table| table.get("name")?.get_ref().as_str());
        match (table, name) {
            (Some(_), Some("")) => {}
            (Some(table), Some(name))
                if is_item_name(name) && !tables.iter().any(|(other, _)| *other == name) =>
            {
                tables.push((name, table));
            }
            _ => return Vec::new(),
        }
    }
    tables
}

/// The most characters of an item's name: it stands in every message that is about it.
const LONGEST_ITEM_NAME: usize = 40;

/// Whether an item of a list can have this name: a part of a dotted key, and of the name of a variable.
pub(super) fn is_item_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=LONGEST_ITEM_NAME).contains(&name.len()) && name.bytes().all(fits)
}

fn line_at(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Vec<(String, String, usize)> {
        leaves(text)
            .unwrap()
            .into_iter()
            .map(|leaf| (leaf.key, leaf.value.to_string(), leaf.line))
            .collect()
    }

    fn row(key: &str, value: &str, line: usize) -> (String, String, usize) {
        (key.to_owned(), value.to_owned(), line)
    }

    #[test]
    fn values_come_in_the_order_written_with_their_lines() {
        let text = "# note\n[window]\nlength = \"1h\"\n\n[kafka]\npartitions = 4\nbrokers = 'b:1'\n";
        let expected = [
            row("window.length", "\"1h\"", 3),
            row("kafka.partitions", "4", 6),
            row("kafka.brokers", "\"b:1\"", 7),
        ];
        assert_eq!(flat(text), expected);
    }

    #[test]
    fn every_way_to_write_a_map_gives_the_same_keys() {
        for text in [
            "[kafka.properties]\n\"security.protocol\" = \"SSL\"",
            "[kafka.properties]\nsecurity.protocol = \"SSL\"",
            "[kafka]\nproperties = { \"security.protocol\" = \"SSL\" }",
            "\nkafka.properties.security.protocol = \"SSL\"",
        ] {
            assert_eq!(
                flat(text),
                [row("kafka.properties.security.protocol", "\"SSL\"", 2)],
                "{text}"
            );
        }
    }

    #[test]
    fn an_empty_table_is_a_value() {
        assert_eq!(flat("[windw]\n"), [row("windw", "{}", 1)]);
    }

    #[test]
    fn the_tables_of_a_list_have_the_keys_of_their_names() {
        let text = "[[list]]\nname = 'a'\nx = 1\n\n[[list]]\nx = 2\nname = 'b-2'\n";
        let expected = [
            row("list.a.name", "\"a\"", 2),
            row("list.a.x", "1", 3),
            row("list.b-2.x", "2", 6),
            row("list.b-2.name", "\"b-2\"", 7),
        ];
        assert_eq!(flat(text), expected);
        for names in [
            "name = 'a.b'",
            "name = ''",
            "x = 1",
            "name = 'a'\n[[list]]\nname = 'a'",
        ] {
            let keys: Vec<_> = flat(&format!("[[list]]\n{names}"))
                .into_iter()
                .map(|(key, ..)| key)
                .collect();
            assert_eq!(keys, ["list"], "{names}");
        }
    }

    #[test]
    fn an_error_names_the_line() {
        for (text, line) in [
            ("a = 1\nb = = 2\n", 2),
            ("[a]\nb = 1\nb = 2\n", 3),
            ("\n\na = 99999999999999999999\n", 3),
        ] {
            assert_eq!(leaves(text).unwrap_err().line, line, "{text}");
        }
    }
}
