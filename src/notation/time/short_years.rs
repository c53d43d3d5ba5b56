//! Patterns for times whose years have two digits: which one it is, only several times together can tell.

use super::{Source, TimeNotation, read};

/// The patterns that read all of these times, whose years have two digits.
pub(crate) fn short_year_patterns(texts: &[&str]) -> Vec<String> {
    const DATES: [&str; 6] = [
        "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d",
    ];
    const CLOCKS: [&str; 5] = ["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"];
    let reads_all = |pattern: &String| {
        TimeNotation::parse(pattern).is_ok_and(|notation| {
            let notations = [notation];
            texts
                .iter()
                .all(|text| read(&notations, Source::Text(text), None).is_ok())
        })
    };
    if texts.is_empty() {
        return Vec::new();
    }
    let all = DATES
        .iter()
        .flat_map(|date| CLOCKS.iter().map(move |clock| format!("{date}{clock}")));
    all.filter(reads_all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_that_read_all_of_the_times() {
        assert_eq!(
            short_year_patterns(&["3/5/24 0:05", "3/6/24 0:05"]),
            ["%d/%m/%y %H:%M", "%m/%d/%y %H:%M"]
        );
        assert_eq!(
            short_year_patterns(&["3/5/24 0:05", "3/16/24 0:05"]),
            ["%m/%d/%y %H:%M"]
        );
        assert_eq!(short_year_patterns(&["05.03.24"]), ["%d.%m.%y"]);
        assert!(short_year_patterns(&[]).is_empty());
    }
}
