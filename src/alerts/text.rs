//! The words in which people are told, made here alone, so that every receiver says the same.

use chrono::{DateTime, FixedOffset, SecondsFormat};

use super::router::EXPECTED;
use super::{Digest, Kind, Message, Notification, Severity};
use crate::detectors::{Rounding, duration_text};
use crate::printable::printable;

/// One line about a message.
pub(crate) fn title(message: &Message) -> String {
    let (title, is_test) = match message {
        Message::Episode(notification) => (title_of(notification), notification.is_test),
        Message::Digest(digest) => (printable(&digest.title).into_owned(), digest.is_test),
    };
    if is_test { format!("Test: {title}") } else { title }
}

/// What is beside the title: the sentence about an episode, or a line for each of a digest.
pub(super) fn body(message: &Message) -> Vec<String> {
    match message {
        Message::Episode(notification) if notification.explanation.is_empty() => Vec::new(),
        Message::Episode(notification) => vec![printable(&notification.explanation).into_owned()],
        Message::Digest(digest) => lines(digest),
    }
}

/// What a person may want to look up, by name.
pub(super) fn facts(notification: &Notification) -> Vec<(&'static str, String)> {
    let numbers = Numbers::of(notification);
    let shown = |text: &str| printable(text).into_owned();
    let mut facts = Vec::new();
    facts.extend(numbers.value.map(|value| ("Value", value)));
    facts.extend(numbers.usual.map(|usual| ("Usual", usual)));
    facts.push(("Since", moment(notification.opened_at)));
    if notification.kind == Kind::Ended {
        facts.push(("Until", moment(notification.at)));
    }
    facts.push(("Detector", shown(&notification.detector)));
    facts.extend(notification.rule.as_deref().map(|rule| ("Rule", shown(rule))));
    facts.push(("Episode", shown(&notification.episode)));
    facts
}

/// The page of a message, if it has one.
pub(super) fn link(message: &Message) -> Option<&str> {
    match message {
        Message::Episode(notification) => notification.link.as_deref(),
        Message::Digest(_) => None,
    }
}

/// The series and the measure that an episode is of.
pub(super) fn subject(notification: &Notification) -> String {
    let parts = [notification.series.as_deref(), notification.measure.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    match parts.as_slice() {
        [] => "all readings".to_owned(),
        parts => printable(&parts.join(", ")).into_owned(),
    }
}

/// The text, cut to so many characters: a cut one ends with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    cut_by(text, most, |_| 1)
}

/// The text, cut to so many bytes of UTF-8 between two characters: a cut one ends with an ellipsis.
pub(super) fn cut_bytes(text: &str, most: usize) -> String {
    cut_by(text, most, char::len_utf8)
}

/// The text, cut where the sizes of its characters come to more than `most`.
pub(super) fn cut_by(text: &str, most: usize, size: impl Fn(char) -> usize) -> String {
    const ELLIPSIS: char = '…';
    let fits = |most: usize| {
        let mut sum = 0;
        let beyond = text.char_indices().find(|(_, letter)| {
            sum += size(*letter);
            sum > most
        });
        beyond.map(|(place, _)| place)
    };
    if fits(most).is_none() {
        return text.to_owned();
    }
    let end = fits(most.saturating_sub(size(ELLIPSIS))).unwrap_or(text.len());
    format!("{}{ELLIPSIS}", &text[..end])
}

/// As many whole lines as fit into `most`, and what says how many do not. A line takes the sizes of its characters and what
/// is `around` it. A single line that is too long is cut.
pub(super) fn cut_lines(
    lines: &[String],
    most: usize,
    around: usize,
    size: impl Fn(char) -> usize + Copy,
) -> Vec<String> {
    const NOTE: usize = 40;
    if let [only] = lines {
        return vec![cut_by(only, most.saturating_sub(around), size)];
    }
    let mut sum = NOTE + around;
    let whole = lines.iter().take_while(|line| {
        sum += line.chars().map(size).sum::<usize>() + around;
        sum <= most
    });
    let mut kept: Vec<String> = whole.cloned().collect();
    let left = lines.len() - kept.len();
    if left > 0 {
        kept.push(format!("… and {left} more lines"));
    }
    kept
}

fn title_of(notification: &Notification) -> String {
    let subject = subject(notification);
    let severity = notification.severity;
    match notification.kind {
        Kind::Opened if severity == Severity::Critical => format!("Critical: {subject}"),
        Kind::Opened => format!("Warning: {subject}"),
        Kind::Worsened => format!("Worse, {}: {subject}", severity.name()),
        Kind::Reminded => format!(
            "Still {} after {}: {subject}",
            severity.name(),
            lasted(notification)
        ),
        Kind::Ended if notification.cause == EXPECTED => {
            format!("Closed as expected after {}: {subject}", lasted(notification))
        }
        Kind::Ended => format!("Over after {}: {subject}", lasted(notification)),
    }
}

fn lines(digest: &Digest) -> Vec<String> {
    let line = |notification: &Notification| {
        format!(
            "{}, since {}: {}",
            title_of(notification),
            moment(notification.opened_at),
            printable(&notification.explanation)
        )
    };
    let mut lines: Vec<String> = digest.lines.iter().map(line).collect();
    if digest.omitted > 0 {
        lines.push(format!("and {} more", digest.omitted));
    }
    lines
}

/// How long the episode has lasted, in minutes; in seconds below one.
fn lasted(notification: &Notification) -> String {
    duration_text((notification.at - notification.opened_at).num_milliseconds())
}

/// `2026-11-27 07:33:00 +01:00`
fn moment(time: DateTime<FixedOffset>) -> String {
    let text = time.to_rfc3339_opts(SecondsFormat::Secs, false);
    let (clock, offset) = text.split_at(text.len().saturating_sub(6));
    format!("{} {offset}", clock.replacen('T', " ", 1))
}

/// The numbers of an episode with their unit.
struct Numbers {
    value: Option<String>,
    /// `70 (60 to 80) °C`
    usual: Option<String>,
}

impl Numbers {
    fn of(notification: &Notification) -> Self {
        let Notification {
            value,
            expected,
            lower,
            upper,
            ..
        } = *notification;
        let rounding = Rounding::new(value, [expected, lower, upper]);
        let unit = printable(&notification.unit).into_owned();
        let with_unit = |text: String| {
            if unit.is_empty() {
                text
            } else {
                format!("{text} {unit}")
            }
        };
        let number = |number: f64| rounding.text(number);
        let band = match (lower, upper) {
            (Some(lower), Some(upper)) => Some(format!("{} to {}", number(lower), number(upper))),
            (Some(lower), None) => Some(format!("at least {}", number(lower))),
            (None, Some(upper)) => Some(format!("at most {}", number(upper))),
            (None, None) => None,
        };
        let usual = match (expected, band) {
            (Some(expected), Some(band)) => Some(format!("{} ({band})", number(expected))),
            (Some(expected), None) => Some(number(expected)),
            (None, band) => band,
        };
        Numbers {
            value: value.map(|value| with_unit(number(value))),
            usual: usual.map(with_unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notification::fixture::{ended, opened, storm};

    #[test]
    fn every_transition_has_a_title() {
        let opened = opened();
        let critical = Notification {
            severity: Severity::Critical,
            ..opened.clone()
        };
        let later = Notification {
            at: opened.at + chrono::TimeDelta::minutes(270),
            ..critical.clone()
        };
        for (notification, expected) in [
            (opened.clone(), "Warning: boiler-7"),
            (critical.clone(), "Critical: boiler-7"),
            (
                Notification {
                    kind: Kind::Worsened,
                    ..critical
                },
                "Worse, critical: boiler-7",
            ),
            (
                Notification {
                    kind: Kind::Reminded,
                    ..later
                },
                "Still critical after 4h 30m: boiler-7",
            ),
            (ended(), "Over after 25m: boiler-7"),
            (
                Notification {
                    at: opened.at + chrono::TimeDelta::seconds(7),
                    ..ended()
                },
                "Over after 7s: boiler-7",
            ),
            (
                Notification {
                    measure: Some("flow".to_owned()),
                    ..opened.clone()
                },
                "Warning: boiler-7, flow",
            ),
            (
                Notification {
                    series: None,
                    is_test: true,
                    ..opened.clone()
                },
                "Test: Warning: all readings",
            ),
            (
                Notification {
                    series: Some("a\nb".to_owned()),
                    ..opened
                },
                "Warning: a\\u{a}b",
            ),
        ] {
            assert_eq!(title(&Message::Episode(notification)), expected);
        }
    }

    #[test]
    fn the_facts_are_what_a_person_looks_up() {
        let ended = Notification {
            rule: Some("above 90".to_owned()),
            ..ended()
        };
        assert_eq!(
            facts(&ended),
            [
                ("Value", "71 °C".to_owned()),
                ("Usual", "70 (60 to 80) °C".to_owned()),
                ("Since", "2026-11-27 07:33:00 +01:00".to_owned()),
                ("Until", "2026-11-27 07:58:00 +01:00".to_owned()),
                ("Detector", "adaptive-band".to_owned()),
                ("Rule", "above 90".to_owned()),
                ("Episode", "3f2a".to_owned()),
            ]
        );
    }

    #[test]
    fn a_digest_has_a_line_for_each_and_says_how_many_it_leaves_out() {
        let digest = Message::Digest(storm(["a".to_owned(), "b".to_owned()], 210));
        assert_eq!(title(&digest), "212 series since 07:33");
        let body = body(&digest);
        let line = "Warning: b, since 2026-11-27 07:33:00 +01:00: 93.5 °C is above the usual 60 to 80 °C.";
        assert_eq!(body[1..], [line, "and 210 more"]);
    }

    #[test]
    fn a_cut_is_between_two_characters_and_shows() {
        assert_eq!(cut("Zähler", 6), "Zähler");
        assert_eq!(cut("Zähler", 5), "Zähl…");
        assert_eq!(cut_bytes("Zähler", 7), "Zähler");
        assert_eq!(cut_bytes("Zähler", 6), "Zä…");
        assert_eq!(cut_bytes("Zähler", 5), "Z…");
        assert_eq!(cut_by("😀😀😀", 5, char::len_utf16), "😀😀…");
        let lines: Vec<String> = (0..100).map(|index| format!("line {index}")).collect();
        let kept = cut_lines(&lines, 100, 1, char::len_utf8);
        assert!(kept.join("\n").len() <= 100, "{kept:?}");
        assert_eq!(kept.last().unwrap(), "… and 92 more lines");
        assert_eq!(cut_lines(&lines[..2], 100, 1, char::len_utf8), lines[..2]);
        assert_eq!(
            cut_lines(&["x".repeat(200)], 100, 1, |_| 1)[0].chars().count(),
            99
        );
    }
}
