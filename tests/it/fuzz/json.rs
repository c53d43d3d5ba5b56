//! A reader of JSON by the letter of RFC 8259, that knows which members are read. By the manual, the first thing that is
//! wrong in the text decides; the text of members that are not read only has to have JSON's form; `NaN`, `inf` and the like
//! are known where a value should be; and a text may hold several objects. It never calls itself.

use super::double::nearest;

/// A value that is read, or is passed on the way to one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean,
    Number(String),
    Text(String),
    Container,
    /// `NaN`, `inf`, `-Infinity`.
    NotFinite,
    /// A number that no double can hold.
    OutOfRange,
    /// A text that is not Unicode.
    NotText,
}

/// A text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form;

/// Of each object in the text the last value that it gives for each path; none where there is no such member. What comes
/// behind the last object that can be read is in the second part, if it is not JSON.
pub fn read(bytes: &[u8], paths: &[Vec<&str>]) -> (Vec<Vec<Option<Value>>>, Option<Form>) {
    let mut reader = Reader {
        text: bytes,
        at: 0,
        paths,
        found: vec![None; paths.len()],
        open: Vec::new(),
    };
    let mut objects = Vec::new();
    loop {
        if let Err(fault) = reader.read_one() {
            return (objects, Some(fault));
        }
        objects.push(std::mem::replace(&mut reader.found, vec![None; paths.len()]));
        reader.blanks();
        if reader.at == reader.text.len() {
            return (objects, None);
        }
    }
}

/// The treatment of a value.
#[derive(Debug, Clone, PartialEq)]
enum Role {
    /// It is at the end of a path (by place), or on the way there: the paths that go through it, and how many of their
    /// names have been passed.
    Read {
        through: Vec<usize>,
        passed: usize,
    },
    Ignored,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    paths: &'a [Vec<&'a str>],
    found: Vec<Option<Value>>,
    /// The arrays and objects that are not closed yet.
    open: Vec<Open>,
}

struct Open {
    role: Role,
    is_object: bool,
    /// Nothing was read of it yet, so that its first element needs no comma.
    is_new: bool,
}

impl Reader<'_> {
    fn read_one(&mut self) -> Result<(), Form> {
        let every = Role::Read {
            through: (0..self.paths.len()).collect(),
            passed: 0,
        };
        self.blanks();
        match self.peek() {
            Some(b'{') => self.value(every)?,
            _ => return Err(Form),
        }
        loop {
            let Some(open) = self.open.last_mut() else {
                return Ok(());
            };
            let is_new = std::mem::replace(&mut open.is_new, false);
            let (is_object, role) = (open.is_object, open.role.clone());
            self.blanks();
            if self.peek() == Some(if is_object { b'}' } else { b']' }) {
                self.at += 1;
                self.open.pop();
                continue;
            }
            require(is_new || self.skip(b","))?;
            self.blanks();
            let role = if is_object {
                self.name(&role)?
            } else {
                Role::Ignored
            };
            self.value(role)?;
        }
    }

    /// The name of a member and the colon after it; the role of the value that follows.
    fn name(&mut self, container: &Role) -> Result<Role, Form> {
        require(self.peek() == Some(b'"'))?;
        let name = self.text()?;
        self.blanks();
        require(self.skip(b":"))?;
        self.blanks();
        let Role::Read { through, passed } = container else {
            return Ok(Role::Ignored);
        };
        let goes_on = |path: &&usize| {
            self.paths[**path]
                .get(*passed)
                .is_some_and(|expected| name == Some((*expected).to_owned()))
        };
        let through: Vec<usize> = through.iter().filter(goes_on).copied().collect();
        if through.is_empty() {
            return Ok(Role::Ignored);
        }
        Ok(Role::Read {
            through,
            passed: passed + 1,
        })
    }

    /// One value, or the beginning of an array or object.
    fn value(&mut self, role: Role) -> Result<(), Form> {
        // What was found below a name before is forgotten when the name comes again.
        if let Role::Read { through, .. } = &role {
            through.iter().for_each(|path| self.found[*path] = None);
        }
        let value = match self.peek() {
            Some(b'{') => self.container(&role, true),
            Some(b'[') => self.container(&Role::Ignored, false),
            Some(b'"') => self.text()?.map_or(Value::NotText, Value::Text),
            _ if self.is_not_finite() => {
                self.at += self.word_length();
                Value::NotFinite
            }
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b't') => self.word("true", Value::Boolean)?,
            Some(b'f') => self.word("false", Value::Boolean)?,
            _ => {
                let number = self.number()?;
                if nearest(&number).is_infinite() {
                    Value::OutOfRange
                } else {
                    Value::Number(number)
                }
            }
        };
        if let Role::Read { through, passed } = role {
            let ends = through.iter().filter(|path| self.paths[**path].len() == passed);
            ends.for_each(|path| self.found[*path] = Some(value.clone()));
        }
        Ok(())
    }

    fn container(&mut self, role: &Role, is_object: bool) -> Value {
        self.at += 1;
        self.open.push(Open {
            role: role.clone(),
            is_object,
            is_new: true,
        });
        Value::Container
    }

    /// How far a bare word goes.
    fn word_length(&self) -> usize {
        let goes_on = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        self.text[self.at..].iter().take_while(goes_on).count()
    }

    fn is_not_finite(&self) -> bool {
        let word = &self.text[self.at..self.at + self.word_length()];
        let word = String::from_utf8_lossy(word).to_ascii_lowercase();
        let unsigned = word.strip_prefix(['+', '-']).unwrap_or(&word);
        ["nan", "inf", "infinity"].contains(&unsigned)
    }

    fn number(&mut self) -> Result<String, Form> {
        let start = self.at;
        self.skip(b"-");
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => drop(self.digits()),
            _ => return Err(Form),
        }
        if self.skip(b".") {
            require(self.digits() > 0)?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            require(self.digits() > 0)?;
        }
        Ok(String::from_utf8_lossy(&self.text[start..self.at]).into_owned())
    }

    fn digits(&mut self) -> usize {
        let digits = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        self.at += count;
        count
    }

    /// A text; none if it has bytes that are no UTF-8, or halves of pairs.
    fn text(&mut self) -> Result<Option<String>, Form> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.next()? {
                b'"' => return Ok(String::from_utf8(text).ok()),
                b'\\' => match self.escaped()? {
                    Some(character) => text.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                    None => text.push(0xff),
                },
                0..0x20 => return Err(Form),
                byte => text.push(byte),
            }
        }
    }

    /// The character of an escape; none for half of a pair.
    fn escaped(&mut self) -> Result<Option<char>, Form> {
        Ok(Some(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unit_or_pair(),
            _ => return Err(Form),
        }))
    }

    fn unit_or_pair(&mut self) -> Result<Option<char>, Form> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) || !self.text[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(first));
        }
        let after_first = self.at;
        self.at += 2;
        let second = self.unit()?;
        if !(0xDC00..0xE000).contains(&second) {
            self.at = after_first;
            return Ok(None);
        }
        Ok(char::from_u32(
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00),
        ))
    }

    fn unit(&mut self) -> Result<u32, Form> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16);
            unit = unit * 16 + digit.ok_or(Form)?;
        }
        Ok(unit)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Form> {
        require(self.text[self.at..].starts_with(word.as_bytes()))?;
        self.at += word.len();
        Ok(value)
    }

    fn blanks(&mut self) {
        while self.skip(b" \t\r\n") {}
    }

    fn skip(&mut self, any_of: &[u8]) -> bool {
        let is_there = self.peek().is_some_and(|byte| any_of.contains(&byte));
        self.at += usize::from(is_there);
        is_there
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Form> {
        let byte = self.peek().ok_or(Form)?;
        self.at += 1;
        Ok(byte)
    }
}

fn require(is_so: bool) -> Result<(), Form> {
    is_so.then_some(()).ok_or(Form)
}

#[test]
fn json_is_read_by_the_letter() {
    let paths = [vec!["a"], vec!["p", "q"]];
    let fault = |text: &[u8]| read(text, &paths).1;
    for text in [
        "{}",
        " {\"x\" : [ 1 , [ ] ] } ",
        "{\"a\":-0}",
        "{\"a\":1E+2,\"b\":0.5e-7}",
        "{\"x\":\"\\ud800\\/\"}",
        "{\"x\":1e999}",
        "{\"x\":{\"\\udc00\":[{}]}}",
        "{\"p\":{\"q\":{}}}",
        "{\"a\":\"\\ud800\"}",
        "{\"p\":{\"\\ud800\":1}}",
        "{}{} {}",
        "{\"x\":[-Infinity, nan, +inf]}",
        "{\"a\":1e400}",
    ] {
        assert_eq!(fault(text.as_bytes()), None, "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "[1]",
        "{\"x\":[1,]}",
        "{\"a\":1,}",
        "{,}",
        "{\"x\":[1 2]}",
        "{\"a\" 1}",
        "{1:1}",
        "{\"x\":01}",
        "{\"x\":1.}",
        "{\"x\":.5}",
        "{\"x\":+1}",
        "{\"x\":1e}",
        "{\"x\":nul}",
        "{\"x\":\"\n\"}",
        "{\"x\":\"\\x\"}",
        "\u{feff}{}",
        "{]",
        "{\"x\":[}",
        "{'a':1}",
        "{NaN:1}",
        "NaN",
        "{\"x\":NaNx}",
        "{}x",
        "{\"x\":tNaN}",
        "{\"x\":1NaN}",
    ] {
        assert_eq!(fault(text.as_bytes()), Some(Form), "{text}");
    }
    assert_eq!(fault(b"{\"x\":\"\xff\"}"), None);
    let deep = [
        b"{\"x\":".to_vec(),
        b"[".repeat(200_000),
        b"]".repeat(200_000),
        b"}".to_vec(),
    ]
    .concat();
    assert_eq!(fault(&deep), None);
    let found = |text: &[u8]| read(text, &paths).0.remove(0);
    assert_eq!(found(br#"{"a":1,"\u0061":true}"#), [Some(Value::Boolean), None]);
    assert_eq!(
        found(br#"{"p":{"q":"\u00e9"}}"#),
        [None, Some(Value::Text("\u{e9}".to_owned()))]
    );
    assert_eq!(found(br#"{"p":{"q":1},"p":{"r":1}}"#), [None, None]);
    assert_eq!(found(br#"{"p":{"q":1},"p":1}"#), [None, None]);
    let unusable = found(b"{\"a\":\"\xff\",\"p\":{\"q\":-NaN}}");
    assert_eq!(unusable, [Some(Value::NotText), Some(Value::NotFinite)]);
}
