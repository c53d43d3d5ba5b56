//! Command lines that are printed, so that a shell runs them as they are.

use std::path::Path;

/// `streamgauge COMMAND FILE`, and flags with their values.
pub(super) fn command_line(command: &str, file: &Path, flags: &[(&str, String)]) -> String {
    let mut name = file.display().to_string();
    if name.starts_with('-') && name != "-" {
        name.insert_str(0, "./");
    }
    let mut line = format!("streamgauge {command} {}", quoted(&name));
    for (flag, value) in flags {
        line += &format!(" {flag} {}", quoted(value));
    }
    line
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-./:,=@%+".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_as_they_are() {
        let flags = [
            ("--time-column", "it's $HOME".to_owned()),
            ("--decimal", ",".to_owned()),
        ];
        assert_eq!(
            command_line("play", Path::new("-a b.csv"), &flags),
            r"streamgauge play './-a b.csv' --time-column 'it'\''s $HOME' --decimal ,"
        );
        assert_eq!(command_line("play", Path::new("-"), &[]), "streamgauge play -");
    }
}
