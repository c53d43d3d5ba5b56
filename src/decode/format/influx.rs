//! InfluxDB's line protocol, which Telegraf writes to Kafka unless it is told otherwise.
//!
//! ```text
//! measurement,tag=value,tag=value field=value,field=value 1784541600000000000
//! ```
//!
//! Each line is a tree of `measurement`, `tags`, `fields` and, if it has one, `timestamp`.

use std::borrow::Cow;

use super::Unusable;
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};

/// Visits the lines in their order. Empty ones and those that begin with `#` are none.
///
/// # Errors
/// The [`Rejection`] of the first line that is not of this form, or that `visit` returned; it names the line.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    visit: &mut dyn FnMut(Tree<'a>) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Rejection::new(Reason::InvalidLine, format!("it is not UTF-8: {error}")))?;
    let mut lines = Lines { text, at: 0, line: 1 };
    while lines.go_to_next() {
        let (start, number) = (lines.at, lines.line);
        let tree = lines.line().map_err(|expected| {
            let column = text[start..lines.at].chars().count() + 1;
            Rejection::new(
                Reason::InvalidLine,
                format!("line {number}, column {column}: {expected}"),
            )
        })?;
        visit(tree).map_err(|rejection| rejection.at("line", number))?;
    }
    Ok(())
}

type Expected = &'static str;
type Members<'a> = Vec<(Cow<'a, str>, Tree<'a>)>;

struct Lines<'a> {
    text: &'a str,
    /// Bytes that have been read.
    at: usize,
    /// Counted from 1.
    line: usize,
}

impl<'a> Lines<'a> {
    /// Goes to the beginning of the next line that says something.
    fn go_to_next(&mut self) -> bool {
        loop {
            match self.peek() {
                None => return false,
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                }
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'#') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                Some(_) => return true,
            }
        }
    }

    fn line(&mut self) -> Result<Tree<'a>, Expected> {
        let measurement = self.name(b", ", b", ")?;
        if measurement.is_empty() {
            return Err("the name of a measurement is expected");
        }
        let mut tags = Vec::new();
        while self.accept(b',') {
            let name = self.name(b"=, ", b",= ")?;
            self.expect(b'=', "= is expected behind the name of a tag")?;
            let value = self.name(b", ", b",= ")?;
            if name.is_empty() || value.is_empty() {
                return Err("a tag must have a name and a value");
            }
            tags.push((name, Tree::Text(value)));
        }
        self.blanks("a blank and fields are expected behind the measurement and its tags")?;
        let fields = self.fields()?;
        let mut members: Members<'a> = vec![
            ("measurement".into(), Tree::Text(measurement)),
            ("tags".into(), Tree::Map(tags)),
            ("fields".into(), Tree::Map(fields)),
        ];
        if let Some(timestamp) = self.timestamp()? {
            members.push(("timestamp".into(), timestamp));
        }
        Ok(Tree::Map(members))
    }

    fn fields(&mut self) -> Result<Members<'a>, Expected> {
        let mut fields = Vec::new();
        loop {
            let name = self.name(b"=, ", b",= ")?;
            if name.is_empty() {
                return Err("the name of a field is expected");
            }
            self.expect(b'=', "= is expected behind the name of a field")?;
            let value = match self.peek() {
                Some(b'"') => Tree::Text(self.text()?),
                _ => self.bare_value()?,
            };
            fields.push((name, value));
            if !self.accept(b',') {
                return Ok(fields);
            }
        }
    }

    /// A text up to one of the ends, which is not read. A backslash before one of `escaped` takes it into the text; before
    /// anything else it is itself.
    fn name(&mut self, ends: &[u8], escaped: &[u8]) -> Result<Cow<'a, str>, Expected> {
        let bytes = self.rest().as_bytes();
        let mut has_escape = false;
        let mut length = 0;
        while let Some(&byte) = bytes.get(length) {
            match byte {
                b'\\' if bytes.get(length + 1).is_some_and(|next| escaped.contains(next)) => {
                    has_escape = true;
                    length += 2;
                }
                b'\n' => break,
                byte if ends.contains(&byte) => break,
                _ => length += 1,
            }
        }
        let text = &self.rest()[..length];
        self.at += length;
        Ok(if has_escape {
            Cow::Owned(without_escapes(text, escaped))
        } else {
            Cow::Borrowed(text)
        })
    }

    /// A text in quotes, which may go over several lines.
    fn text(&mut self) -> Result<Cow<'a, str>, Expected> {
        self.at += 1;
        let bytes = self.rest().as_bytes();
        let mut has_escape = false;
        let mut length = 0;
        loop {
            match bytes.get(length) {
                None => return Err("the text has no closing quote"),
                Some(b'"') => break,
                Some(b'\\') if matches!(bytes.get(length + 1), Some(b'"' | b'\\')) => {
                    has_escape = true;
                    length += 2;
                }
                Some(_) => length += 1,
            }
        }
        let text = &self.rest()[..length];
        self.at += length + 1;
        self.line += text.bytes().filter(|byte| *byte == b'\n').count();
        Ok(if has_escape {
            Cow::Owned(without_escapes(text, b"\"\\"))
        } else {
            Cow::Borrowed(text)
        })
    }

    fn bare_value(&mut self) -> Result<Tree<'a>, Expected> {
        let ends = |character: char| matches!(character, ',' | ' ' | '\n' | '\r' | '\t');
        let text = self.rest().split(ends).next().unwrap_or_default();
        let value = bare_value(text).ok_or(
            "a number, a whole number with i or u, true, false or a text in double quotes is expected",
        )?;
        self.at += text.len();
        Ok(value)
    }

    fn timestamp(&mut self) -> Result<Option<Tree<'a>>, Expected> {
        if self.peek() != Some(b'\n') && self.blanks("a blank or the end of the line is expected").is_err() {
            return if self.is_at_end() {
                Ok(None)
            } else {
                Err("a blank or the end of the line is expected")
            };
        }
        if self.is_at_end() {
            return Ok(None);
        }
        let ends = |character: char| matches!(character, ' ' | '\n' | '\r' | '\t');
        let text = self.rest().split(ends).next().unwrap_or_default();
        let timestamp = text
            .parse()
            .map_err(|_| "a timestamp is expected, a whole number")?;
        self.at += text.len();
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        if !self.is_at_end() {
            return Err("the end of the line is expected");
        }
        Ok(Some(Tree::Integer(timestamp)))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().as_bytes().first().copied()
    }

    fn is_at_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n") || rest == "\r"
    }

    fn accept(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.at += 1;
        }
        is_there
    }

    fn expect(&mut self, byte: u8, expected: Expected) -> Result<(), Expected> {
        if self.accept(byte) { Ok(()) } else { Err(expected) }
    }

    fn blanks(&mut self, expected: Expected) -> Result<(), Expected> {
        self.expect(b' ', expected)?;
        while self.accept(b' ') {}
        Ok(())
    }
}

fn bare_value<'a>(text: &str) -> Option<Tree<'a>> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(Tree::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(Tree::Bool(false)),
        _ => {}
    }
    if let Some(whole) = text.strip_suffix('i') {
        return whole.parse().ok().map(Tree::Integer);
    }
    if let Some(whole) = text.strip_suffix('u') {
        let number: u64 = whole.parse().ok()?;
        return Some(i64::try_from(number).map_or(Tree::Unsigned(number), Tree::Integer));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["nan", "inf", "infinity"]
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name))
    {
        return Some(Tree::Unusable(Unusable::NotFinite));
    }
    let begins_as_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let number: f64 = text.parse().ok().filter(|_| begins_as_number)?;
    Some(match number.is_finite() {
        true => Tree::Float(number),
        false => Tree::Unusable(Unusable::OutOfRange),
    })
}

fn without_escapes(text: &str, escaped: &[u8]) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next_is_escaped = characters
            .peek()
            .is_some_and(|next| u8::try_from(*next).is_ok_and(|next| escaped.contains(&next)));
        match characters.next_if(|_| character == '\\' && next_is_escaped) {
            Some(next) => plain.push(next),
            None => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let read = read(text.as_bytes(), &mut |tree| {
            lines.push(shown(&tree));
            Ok(())
        });
        read.map(|()| lines).map_err(|rejection| rejection.detail)
    }

    fn shown(tree: &Tree<'_>) -> String {
        match tree {
            Tree::Map(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", shown(value)))
                    .collect();
                format!("{{{}}}", members.join(" "))
            }
            Tree::Text(text) => format!("{text:?}"),
            Tree::Integer(number) => format!("{number}i"),
            Tree::Unsigned(number) => format!("{number}u"),
            Tree::Float(number) => number.to_string(),
            Tree::Bool(value) => value.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn line(text: &str) -> String {
        let lines = lines(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(lines.len(), 1, "{text:?}");
        lines.concat()
    }

    #[test]
    fn lines_of_telegraf_and_of_the_reference() {
        for (text, expected) in [
            (
                "cpu,cpu=cpu-total,host=web1 usage_idle=90.5,usage_user=9.5 1784541600000000000\n",
                r#"{measurement:"cpu" tags:{cpu:"cpu-total" host:"web1"} fields:{usage_idle:90.5 usage_user:9.5} timestamp:1784541600000000000i}"#,
            ),
            (
                r#"meter,site=lib\ 1 kw=518.4,n=3i,u=18446744073709551615u,ok=true,s="a b" -1"#,
                r#"{measurement:"meter" tags:{site:"lib 1"} fields:{kw:518.4 n:3i u:18446744073709551615u ok:true s:"a b"} timestamp:-1i}"#,
            ),
            ("m v=1", r#"{measurement:"m" tags:{} fields:{v:1}}"#),
            (
                "m v=-1.234456e+78\r\n",
                r#"{measurement:"m" tags:{} fields:{v:-1234456000000000000000000000000000000000000000000000000000000000000000000000000}}"#,
            ),
            (
                r#"a\,b\ c\d,t\,1\=\ x=v\,\=\ y f\,\=\ z="q\"\\n, =" 7"#,
                r#"{measurement:"a,b c\\d" tags:{t,1= x:"v,= y"} fields:{f,= z:"q\"\\n, ="} timestamp:7i}"#,
            ),
            ("m v=1,v=2", r#"{measurement:"m" tags:{} fields:{v:1 v:2}}"#),
            (
                "m s=\"two\nlines\"",
                r#"{measurement:"m" tags:{} fields:{s:"two\nlines"}}"#,
            ),
            (
                "m,a=C:\\path v=F",
                r#"{measurement:"m" tags:{a:"C:\\path"} fields:{v:false}}"#,
            ),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
        let several = "# a comment\r\n\n m v=1 5\r\n  \n#\nm v=2 6 \nm v=3\n\n";
        assert_eq!(lines(several).map(|lines| lines.len()), Ok(3));
        assert_eq!(lines(" \n# nothing").map(|lines| lines.len()), Ok(0));
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        for (text, expected) in [
            ("m", "line 1, column 2: a blank and fields"),
            (
                "m v",
                "line 1, column 4: = is expected behind the name of a field",
            ),
            ("m v=1\nm v=1x 5", "line 2, column 5: a number"),
            ("m v=1i5", "line 1, column 5: a number"),
            ("m v=\"a", "column 6: the text has no closing quote"),
            ("m v=1 soon", "column 7: a timestamp"),
            ("m v=1 5 6", "column 9: the end of the line"),
            ("m,t v=1", "column 4: = is expected behind the name of a tag"),
            ("m,t= v=1", "column 5: a tag must have"),
            ("m v=1, 5", "column 7: the name"),
            ("m v=", "column 5: a number"),
            (",a=b v=1", "column 1: the name of a measurement"),
            ("{\"a\":1}", "column 8: a blank and fields"),
        ] {
            let error = lines(text).expect_err(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[m,=\" \\\\1iuté\n\r#.-]{0,40}") {
            let _ = lines(&text);
        }

        #[test]
        fn what_is_written_is_read(names in proptest::collection::vec("[a, =\\\\é]{1,6}z", 3), number in -1e9f64..1e9) {
            let escape = |name: &str| name.replace('\\', "").replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ");
            let [tag, value, field] = [0, 1, 2].map(|place| escape(&names[place]));
            let text = format!("m,{tag}={value} {field}={number} 5");
            let plain = |name: &str| name.replace('\\', "");
            let expected = Tree::Map(vec![
                ("measurement".into(), Tree::Text("m".into())),
                ("tags".into(), Tree::Map(vec![(plain(&names[0]).into(), Tree::Text(plain(&names[1]).into()))])),
                ("fields".into(), Tree::Map(vec![(plain(&names[2]).into(), Tree::Float(number))])),
                ("timestamp".into(), Tree::Integer(5)),
            ]);
            let mut found = Vec::new();
            read(text.as_bytes(), &mut |tree| { found.push(format!("{tree:?}")); Ok(()) }).expect("a line");
            proptest::prop_assert_eq!(found, vec![format!("{expected:?}")]);
        }
    }
}
