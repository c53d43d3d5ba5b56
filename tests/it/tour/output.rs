//! Compares a command's output with a page's, except for words that differ from run to run.

use anyhow::{Result, bail};

/// The patterns of words that differ from run to run: `#` stands for digits, `*` for anything up to the next space,
/// everything else for itself. The tour lists them, too: each makes it promise less.
const MASKS: [&str; 8] = [
    // The port of the demo's broker.
    "127.0.0.1:# (inside this process)",
    // The time that `play` took.
    "ticks in #.# s",
    // When a version was committed.
    "  #-#-#T#:#:#Z  ",
    // The number of versions after a race, and with them of files.
    "merged # files",
    // The producer's distribution of readings without a key over partitions, and the group's of those over processes.
    POSITION,
    "gave partitions up partitions=[#, #]",
    // The broker's time of a record.
    "streamgauge.timestamp=#",
    // When something was logged; `compare` writes `…` in its place.
    LOG_TIME,
];

const LOG_TIME: &str = "#-#-#T#:#:#.#Z ";

/// The position in a partition, of which there are as many as have readings.
const POSITION: &str = "partition  #: next offset #, newest reading * # behind the topic";

/// A line of a page that stands for one or more lines that it leaves out.
const OMISSION: &str = "…";

/// An error that shows both, unless the command printed what the page says.
pub fn compare(written: &str, printed: &str) -> Result<()> {
    let masked = |text: &str| {
        let mut lines: Vec<String> = text.trim_end().lines().map(mask).collect();
        lines.dedup_by(|line, before| line == before && line == POSITION);
        lines
    };
    if !fits(&masked(written), &masked(printed)) {
        bail!("the page says:\n{written}\nbut it printed:\n{printed}");
    }
    Ok(())
}

fn fits(written: &[String], printed: &[String]) -> bool {
    let Some((line, rest)) = written.split_first() else {
        return printed.is_empty();
    };
    if line == OMISSION {
        return (1..=printed.len()).any(|left_out| fits(rest, &printed[left_out..]));
    }
    printed
        .split_first()
        .is_some_and(|(first, others)| first == line && fits(rest, others))
}

fn mask(line: &str) -> String {
    let line = line.trim_end();
    let line = match match_length(LOG_TIME, line) {
        Some(length) => format!("{OMISSION} {}", line[length..].trim_start()),
        None => line.to_owned(),
    };
    MASKS
        .iter()
        .fold(line, |line, pattern| replace_all(&line, pattern))
}

/// Puts the pattern itself in the place of whatever fits it.
fn replace_all(line: &str, pattern: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        match match_length(pattern, rest) {
            Some(length) => {
                masked.push_str(pattern);
                rest = &rest[length..];
            }
            None => {
                masked.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    masked
}

/// The length of the text's beginning that fits a pattern.
fn match_length(pattern: &str, text: &str) -> Option<usize> {
    let mut rest = text;
    for expected in pattern.chars() {
        let length = match expected {
            '#' => run_length(rest, |c| c.is_ascii_digit())?,
            '*' => run_length(rest, |c| c != ' ')?,
            _ => rest.starts_with(expected).then_some(expected.len_utf8())?,
        };
        rest = &rest[length..];
    }
    Some(text.len() - rest.len())
}

fn run_length(text: &str, fits: impl Fn(char) -> bool) -> Option<usize> {
    let length = text.find(|c| !fits(c)).unwrap_or(text.len());
    (length > 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "\
delivered  2,015 of 2,015 readings sent to topic usage at localhost:9092, 2,015 ticks in 1.5 s
… INFO streamgauge::kafka::topics: created topic=\"usage\"
partition  0: next offset 508, newest reading 2024-04-16T23:30:00Z, 0 behind the topic
1  2026-11-21T12:58:43Z  STREAMING UPDATE  numRecordsConsumed=2015
windows    2024-03-05T00:00:00Z to 2024-04-16T23:00:00Z
  streamgauge.timestamp=1795266003609";

    #[test]
    fn what_differs_from_run_to_run_does_not_matter() {
        let printed = WRITTEN
            .replace("in 1.5 s", "in 12.25 s")
            .replace('…', "2026-11-26T21:53:19.418021Z ")
            .replace("508", "7")
            .replace("2024-04-16T23:30:00Z", "2024-04-16T00:05:00Z")
            .replace("2026-11-21T12:58:43Z", "2027-01-01T00:00:00Z")
            .replace("1795266003609", "1")
            + "\n";
        assert_ne!(printed, WRITTEN);
        compare(WRITTEN, &printed).unwrap();
    }

    #[test]
    fn everything_else_matters() {
        for (written, printed) in [
            ("2,015 of 2,015", "2,014 of 2,015"),
            ("topic usage", "topic other"),
            ("localhost:9092", "localhost:9093"),
            ("INFO", "WARN"),
            ("partition  0", "partition 0"),
            (", 0 behind", ", 1 was behind"),
            ("Consumed=2015", "Consumed=2016"),
            ("1  2026", "2  2026"),
            ("00:00Z to", "05:00Z to"),
            ("timestamp=1795266003609", "timestamp="),
            (
                "newest reading 2024-04-16T23:30:00Z,",
                "newest reading unknown so far,",
            ),
            ("\nwindows", "\n\nwindows"),
        ] {
            let altered = WRITTEN.replacen(written, printed, 1);
            assert_ne!(altered, WRITTEN, "{written} occurs");
            assert!(compare(WRITTEN, &altered).is_err(), "{printed}");
        }
    }

    #[test]
    fn positions_are_as_many_as_there_are() {
        let line = |partition| {
            format!(
                "partition  {partition}: next offset 508, newest reading 2024-04-16T23:30:00Z, 0 behind the topic\n"
            )
        };
        let (one, three) = (line(2), [line(0), line(1), line(3)].concat());
        compare(&three, &one).unwrap();
        compare(&one, &three).unwrap();
        assert!(compare(&three, "").is_err());
    }

    #[test]
    fn lines_too_few_or_too_many_matter() {
        compare("a\nb", "a\nb\n").unwrap();
        for printed in ["", "a", "b", "a\nb\nc", "x\na\nb", "b\na"] {
            assert!(compare("a\nb", printed).is_err(), "{printed:?}");
        }
        assert!(compare("", "a").is_err());
        compare("", "").unwrap();
    }

    #[test]
    fn an_omission_is_one_line_or_more_between_lines_that_fit() {
        compare("a\n…\nd", "a\nb\nc\nd").unwrap();
        compare("…\nd", "a\nd").unwrap();
        compare("a\n…", "a\nb").unwrap();
        for printed in ["a\nd", "a\nb\nc", "b\nc\nd", "a\nb\nd\ne"] {
            assert!(compare("a\n…\nd", printed).is_err(), "{printed:?}");
        }
        // Within a line it is a character like any other.
        assert!(compare("… 166 more rows", "… 165 more rows").is_err());
    }
}
