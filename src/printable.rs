//! Makes external text safe for a terminal or a log.
//!
//! Keys, file names, headers and messages of other programs may contain characters that steer a terminal,
//! start a new line, or reverse the order of letters. They are shown instead of executed: a reader sees
//! `\u{1b}` in place of an escape. Output for programs (CSV, TSV, JSON) is not changed.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write;

/// An error and its causes in one line, without what one repeats of another: the outermost often says only that something
/// failed.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// The text with every active character shown as `\u{…}`: control characters, line breaks, paragraph
/// separators and marks of writing direction. Text without them, the usual case, is not copied.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    shown(text, acts)
}

/// Like [`printable`], for a text whose line breaks are our own and stay.
pub(crate) fn printable_lines(text: &str) -> Cow<'_, str> {
    shown(text, |letter| letter != '\n' && acts(letter))
}

/// True if a character has an effect instead of a glyph.
pub(crate) fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn shown(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Check the bytes first: nearly all text is printable ASCII.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if acts(letter) {
            // Writing to a `String` cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// The placeholder for a secret.
pub(crate) const REDACTED: &str = "<redacted>";

/// The text with `user:password@` hidden in every URL.
pub(crate) fn without_passwords(text: &str) -> Cow<'_, str> {
    const START: &str = "://";
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(START) {
        let (before, after) = rest.split_at(start + START.len());
        let ends = |letter: char| letter.is_whitespace() || "/?#\"'<>\\,`".contains(letter);
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        shown.push_str(before);
        rest = after;
        if let Some(at) = authority.rfind('@') {
            shown.push_str(REDACTED);
            rest = &after[at..];
        }
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_not_copied() {
        for text in ["", "meter-7", "Zähler 7 · 東京 · \u{1f50c}", "a\\u{1b}b"] {
            assert!(
                matches!(printable(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn active_characters_are_shown() {
        for (text, expected) in [
            ("a\u{1b}[31mred", r"a\u{1b}[31mred"),
            ("a\nb\r\nERROR fake", r"a\u{a}b\u{d}\u{a}ERROR fake"),
            ("\u{0}\u{7}\u{8}\t\u{7f}", r"\u{0}\u{7}\u{8}\u{9}\u{7f}"),
            (
                "\u{85}\u{9b}31m\u{9d}0;title\u{9c}",
                r"\u{85}\u{9b}31m\u{9d}0;title\u{9c}",
            ),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("ü\u{202e}gpj.exe", r"ü\u{202e}gpj.exe"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(printable_lines("one\ntwo\u{1b}\r"), "one\ntwo\\u{1b}\\u{d}");
    }

    #[test]
    fn every_mark_of_direction_is_shown() {
        let marks = ('\u{202a}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{200e}', '\u{200f}', '\u{61c}']);
        for mark in marks {
            assert_eq!(
                printable(&mark.to_string()),
                format!("\\u{{{:x}}}", u32::from(mark))
            );
        }
    }

    #[test]
    fn users_and_passwords_of_urls_are_hidden() {
        for (text, expected) in [
            (
                "http://user:hush@store:9000/lake",
                "http://<redacted>@store:9000/lake",
            ),
            (
                "see https://u:p@w@a.b, and s3://lake/a@b",
                "see https://<redacted>@a.b, and s3://lake/a@b",
            ),
            (
                r#"{"url":"http://token@proxy"} a@b"#,
                r#"{"url":"http://<redacted>@proxy"} a@b"#,
            ),
            (
                "http://127.0.0.1:7070/x?mail=a@b",
                "http://127.0.0.1:7070/x?mail=a@b",
            ),
            ("://", "://"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(without_passwords(text), expected);
        }
    }
}
