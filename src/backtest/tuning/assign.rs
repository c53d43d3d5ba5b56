//! Which readings an answer is about.

use super::Answer;

/// A series of a file of readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoricSeries {
    /// The name of the file, without its folders.
    pub file: String,
    /// Empty when the file is read as one series.
    pub key: String,
    /// Its first and its last event time, in milliseconds since 1970.
    pub span_ms: (i64, i64),
}

/// Answers by what they are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// Those of each series, in the order of the series.
    pub by_series: Vec<Vec<Answer>>,
    /// Those of which there are no readings at the time.
    pub at_other_times: Vec<Answer>,
    /// Those of which there is no such series.
    pub of_other_series: Vec<Answer>,
}

impl Assigned {
    /// How many have readings.
    pub(crate) fn count(&self) -> usize {
        self.by_series.iter().map(Vec::len).sum()
    }
}

/// Assigns each answer to the first series of its name whose readings reach into its stretch.
pub(crate) fn assign(answers: Vec<Answer>, history: &[HistoricSeries]) -> Assigned {
    let mut assigned = Assigned {
        by_series: vec![Vec::new(); history.len()],
        ..Assigned::default()
    };
    for answer in answers {
        let of_series = |series: &&HistoricSeries| series.has(&answer, history.len() == 1);
        let overlaps = |series: &HistoricSeries| {
            series.span_ms.0 <= answer.stretch_ms.1 && series.span_ms.1 >= answer.stretch_ms.0
        };
        if !history.iter().any(|series| of_series(&series)) {
            assigned.of_other_series.push(answer);
            continue;
        }
        match history
            .iter()
            .position(|series| of_series(&series) && overlaps(series))
        {
            Some(place) => assigned.by_series[place].push(answer),
            None => assigned.at_other_times.push(answer),
        }
    }
    assigned
}

impl HistoricSeries {
    /// Whether it is the series of an answer: by its key; by the name of its file, where that holds nothing else; or because
    /// there is no other and the topic has one series.
    fn has(&self, answer: &Answer, is_only: bool) -> bool {
        if !self.key.is_empty() {
            return answer.series.as_deref() == Some(self.key.as_str());
        }
        let is_one_series = is_only && answer.series.is_none();
        is_one_series || csv_name(&self.file) == answer.file
    }
}

/// The name of a file as a CSV that is not compressed.
fn csv_name(file: &str) -> String {
    let file = file.strip_suffix(".gz").unwrap_or(file);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!("{stem}.csv")
}

#[cfg(test)]
mod tests {
    use super::super::AnswerKind;
    use super::*;

    fn answer(series: Option<&str>, from_ms: i64, to_ms: i64) -> Answer {
        Answer {
            series: series.map(str::to_owned),
            file: format!("{}.csv", series.unwrap_or("usage").replace('/', "_")),
            stretch_ms: (from_ms, to_ms),
            kind: AnswerKind::Confirmed,
        }
    }

    fn series(file: &str, key: &str, span_ms: (i64, i64)) -> HistoricSeries {
        HistoricSeries {
            file: file.to_owned(),
            key: key.to_owned(),
            span_ms,
        }
    }

    #[test]
    fn a_series_is_found_by_its_key_or_its_file_and_by_the_time() {
        let history = [
            series("old.csv", "boiler-7", (0, 99)),
            series("new.csv", "boiler-7", (100, 200)),
            series("site_pump.csv.gz", "", (0, 200)),
            series("usage.txt", "", (0, 200)),
        ];
        for (answer, place) in [
            (answer(Some("boiler-7"), 50, 60), Some(0)),
            (answer(Some("boiler-7"), 150, 900), Some(1)),
            (answer(Some("site/pump"), 0, 0), Some(2)),
            (answer(None, 0, 0), Some(3)),
            (answer(Some("old"), 0, 0), None),
            (answer(Some("boiler"), 0, 0), None),
        ] {
            let assigned = assign(vec![answer.clone()], &history);
            let found = assigned.by_series.iter().position(|answers| !answers.is_empty());
            assert_eq!(found, place, "{answer:?}");
            assert_eq!(assigned.of_other_series.len(), usize::from(place.is_none()));
            assert_eq!(assigned.count(), usize::from(place.is_some()));
        }
        let late = assign(vec![answer(Some("boiler-7"), 201, 300)], &history);
        assert_eq!((late.count(), late.at_other_times.len()), (0, 1));
    }

    #[test]
    fn answers_of_a_topic_of_one_series_are_of_the_only_one() {
        let history = [series("february.csv", "", (0, 9))];
        assert_eq!(assign(vec![answer(None, 0, 0)], &history).count(), 1);
        assert_eq!(assign(vec![answer(Some("boiler-7"), 0, 0)], &history).count(), 0);
        let meters = [series("february.csv", "meter", (0, 9))];
        assert_eq!(assign(vec![answer(None, 0, 0)], &meters).count(), 0);
    }
}
