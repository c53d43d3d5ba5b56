//! Which records are readings at all: the conditions of `reading.where`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::context::Element;
use super::path::Path;
use crate::decode::tree::Tree;

/// A condition: `name == "cpu"`, `tags.cpu != "cpu-total"`, `unit in ["W", "kW"]`, `exists(fields.kw)`, `!exists(error)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    text: String,
    path: Path,
    test: Test,
    /// Whether the test must fail.
    is_negated: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    IsOneOf(Vec<Literal>),
    /// There, and not null.
    Exists,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// A sentence that names the column, counted from 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0 };
        let (path, test, is_negated) = parser.condition()?;
        Ok(Condition {
            text: text.to_owned(),
            path,
            test,
            is_negated,
        })
    }

    /// Whether an element fulfills it. A field that is not there equals nothing.
    pub(super) fn holds(&self, element: &Element<'_, '_>) -> bool {
        let found = element.find(&self.path);
        let passes = match &self.test {
            Test::Exists => found.is_some_and(|value| *value != Tree::Null),
            Test::IsOneOf(literals) => {
                found.is_some_and(|value| literals.iter().any(|literal| literal.equals(value)))
            }
        };
        passes != self.is_negated
    }

    /// The field that it looks at.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Literal {
    fn equals(&self, value: &Tree<'_>) -> bool {
        match (self, value) {
            (Literal::Text(literal), Tree::Text(text)) => literal == text,
            (Literal::Bool(literal), Tree::Bool(value)) => literal == value,
            (Literal::Integer(literal), Tree::Integer(value)) => literal == value,
            (Literal::Integer(literal), Tree::Float(value)) => *literal as f64 == *value,
            (Literal::Float(literal), Tree::Float(value)) => literal == value,
            (Literal::Float(literal), Tree::Integer(value)) => *literal == *value as f64,
            (Literal::Float(literal), Tree::Unsigned(value)) => *literal == *value as f64,
            _ => false,
        }
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Condition::parse(&text)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> String {
        condition.text
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Bytes that have been read.
    at: usize,
}

impl<'t> Parser<'t> {
    fn condition(&mut self) -> Result<(Path, Test, bool), String> {
        let is_negated = self.accept("!");
        let parsed = if self.accept("exists(") || self.accept("exists (") {
            let path = self.path()?;
            self.expect(")")?;
            (path, Test::Exists, is_negated)
        } else if is_negated {
            return Err(self.error("exists(…) is expected after !"));
        } else {
            let path = self.path()?;
            if self.accept("==") {
                (path, Test::IsOneOf(vec![self.literal()?]), false)
            } else if self.accept("!=") {
                (path, Test::IsOneOf(vec![self.literal()?]), true)
            } else if self.accept_word("not") {
                if !self.accept_word("in") {
                    return Err(self.error("in is expected after not"));
                }
                (path, Test::IsOneOf(self.list()?), true)
            } else if self.accept_word("in") {
                (path, Test::IsOneOf(self.list()?), false)
            } else {
                return Err(self.error("==, !=, in or not in is expected"));
            }
        };
        self.skip_blanks();
        if self.at < self.text.len() {
            return Err(
                self.error("nothing more is expected; conditions that must all hold are separate texts")
            );
        }
        Ok(parsed)
    }

    /// A path ends with a blank or a sign; a backslash takes the next character into it.
    fn path(&mut self) -> Result<Path, String> {
        self.skip_blanks();
        let mut is_escaped = false;
        let ends = |character: char| character.is_whitespace() || "=!(),\"'".contains(character);
        let length = self
            .rest()
            .char_indices()
            .find(|&(_, character)| {
                let is_end = !is_escaped && ends(character);
                is_escaped = !is_escaped && character == '\\';
                is_end
            })
            .map_or(self.rest().len(), |(length, _)| length);
        let text = &self.rest()[..length];
        if text.is_empty() {
            return Err(self.error("the path of a field is expected"));
        }
        let path = Path::parse(text).map_err(|error| self.error(&error))?;
        if path.takes_all() {
            return Err(self.error("one field is expected, not all of an object"));
        }
        self.at += length;
        Ok(path)
    }

    fn list(&mut self) -> Result<Vec<Literal>, String> {
        self.expect("[")?;
        let mut literals = Vec::new();
        while !self.accept("]") {
            if !literals.is_empty() {
                self.expect(",")?;
            }
            literals.push(self.literal()?);
        }
        Ok(literals)
    }

    fn literal(&mut self) -> Result<Literal, String> {
        self.skip_blanks();
        for (word, value) in [("true", true), ("false", false)] {
            if self.accept_word(word) {
                return Ok(Literal::Bool(value));
            }
        }
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(|text| Literal::Text(text.into_owned())),
            Some('0'..='9' | '-' | '+' | '.') => self.number(),
            _ => Err(self.error("a text in quotes, a number, true or false is expected")),
        }
    }

    fn number(&mut self) -> Result<Literal, String> {
        let ends = |character: char| character.is_whitespace() || ",]".contains(character);
        let text = self.rest().split(ends).next().unwrap_or_default();
        let literal = match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Literal::Integer(number),
            (_, Ok(number)) if number.is_finite() => Literal::Float(number),
            _ => return Err(self.error(&format!("{text} is not a number"))),
        };
        self.at += text.len();
        Ok(literal)
    }

    /// A text in quotes; within it a backslash stands before a quote or a backslash.
    fn quoted(&mut self, quote: char) -> Result<Cow<'t, str>, String> {
        let start = self.at + 1;
        let mut text = String::new();
        let mut characters = self.text[start..].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '\\' => {
                    let escaped = characters.next().map(|(_, escaped)| escaped);
                    match escaped.filter(|escaped| *escaped == '\\' || *escaped == quote) {
                        Some(escaped) => text.push(escaped),
                        None => {
                            self.at = start + place;
                            return Err(self.error("a backslash stands only before a quote or a backslash"));
                        }
                    }
                }
                _ if character == quote => {
                    self.at = start + place + 1;
                    return Ok(Cow::Owned(text));
                }
                _ => text.push(character),
            }
        }
        Err(self.error("the text has no closing quote"))
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn accept(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let is_there = self.rest().starts_with(sign);
        if is_there {
            self.at += sign.len();
        }
        is_there
    }

    /// A word that does not go on.
    fn accept_word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let is_there = self.rest().strip_prefix(word).is_some_and(|rest| !goes_on(rest));
        if is_there {
            self.at += word.len();
        }
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.accept(sign) {
            Ok(())
        } else {
            Err(self.error(&format!("{sign} is expected")))
        }
    }

    fn error(&self, what: &str) -> String {
        let column = self.text[..self.at].chars().count() + 1;
        format!("{:?}, column {column}: {what}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Tree<'static> {
        let text = |text: &'static str| Tree::Text(text.into());
        Tree::Map(vec![
            ("name".into(), text("cpu")),
            ("n".into(), Tree::Integer(3)),
            ("x".into(), Tree::Float(2.5)),
            ("ok".into(), Tree::Bool(true)),
            ("gone".into(), Tree::Null),
            (
                "tags".into(),
                Tree::Map(vec![
                    ("a=b".into(), text("say \"hi\"")),
                    ("a.b".into(), text("dot")),
                ]),
            ),
        ])
    }

    fn holds(condition: &str) -> bool {
        let condition = Condition::parse(condition).unwrap_or_else(|error| panic!("{error}"));
        condition.holds(&Element::whole(&record()))
    }

    #[test]
    fn conditions_hold_or_not() {
        for condition in [
            r#"name == "cpu""#,
            "name=='cpu'",
            r#"name != "mem""#,
            r#"name in ["mem", "cpu"]"#,
            r#"name not in ["mem"]"#,
            "n == 3",
            "n == 3.0",
            "n in [1,3]",
            "x == 2.5",
            "x != 2",
            "ok == true",
            "exists(name)",
            "!exists(gone)",
            "! exists( nowhere.at.all )",
            "nowhere != 1",
            r#"tags.a\=b == "say \"hi\"""#,
            r#" tags.a\.b == "dot" "#,
        ] {
            assert!(holds(condition), "{condition}");
        }
        for condition in [
            "name == 'CPU'",
            "nowhere == 1",
            "n == '3'",
            "n == true",
            "gone == 0",
            "name in []",
            "exists(tags.c)",
        ] {
            assert!(!holds(condition), "{condition}");
        }
    }

    #[test]
    fn what_cannot_be_read_names_the_column() {
        for (condition, hint) in [
            ("", "column 1: the path"),
            ("name", "column 5: ==, !="),
            ("name = 'cpu'", "column 6: ==, !="),
            ("name == cpu", "column 9: a text in quotes"),
            ("name == 'cpu", "column 9: the text has no closing quote"),
            ("name == 'cpu' and n == 3", "column 15: nothing more"),
            ("name == 'a\\nb'", "column 11: a backslash"),
            ("name in 'cpu'", "column 9: [ is expected"),
            ("name in ['a' 'b']", "column 14: , is expected"),
            ("name not 'cpu'", "column 10: in is expected"),
            ("n == 1x", "column 6: 1x is not a number"),
            ("exists(name", "column 12: ) is expected"),
            ("!name == 1", "column 2: exists(…)"),
            ("tags.* == 1", "column 1: one field"),
            ("a..b == 1", "column 1: \"a..b\" has an empty name"),
        ] {
            let error = Condition::parse(condition).expect_err(condition);
            assert!(error.contains(hint), "{condition}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a. =!inots'\"\\\\\\[\\](),1-9é]{0,24}") {
            if let Ok(condition) = Condition::parse(&text) {
                proptest::prop_assert_eq!(Condition::parse(&condition.text), Ok(condition.clone()));
                let _ = condition.holds(&Element::whole(&record()));
            }
        }
    }
}
