//! The pages of an answer, put together: which series it is complete for.

use std::collections::BTreeMap;
use std::ops::Range;

use super::message::Point;
use super::state::Request;

/// A series' part of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PagePart {
    /// Which series of the request it is of.
    pub index: usize,
    pub points: Vec<Point>,
    pub status: Status,
}

/// What CloudWatch says of a series' part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Complete,
    /// More of it is on further pages.
    Partial,
    /// It failed on CloudWatch's side, or is not for us: CloudWatch's code.
    Failed(String),
}

/// What an answer says of a series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SeriesAnswer {
    /// All points of the span, in the order of time.
    Complete(Vec<Point>),
    /// Some may be missing: the code to count it under.
    Incomplete(String),
}

/// The pages so far.
#[derive(Debug)]
pub(crate) struct Pages {
    /// Points begin and end there.
    span_ms: Range<i64>,
    period_ms: i64,
    series: Vec<Collected>,
}

#[derive(Debug, Clone, Default)]
struct Collected {
    points: BTreeMap<i64, f64>,
    last: Option<Status>,
    failed: Option<String>,
}

/// The codes of answers that end without all of a series' points.
const PARTIAL: &str = "PartialData";
const MISSING: &str = "Missing";
const UNALIGNED: &str = "Unaligned";

impl Pages {
    /// No page yet, of an answer to this request.
    pub(crate) fn new(request: &Request, period_ms: i64) -> Self {
        Pages {
            span_ms: request.start_ms..request.end_ms,
            period_ms,
            series: vec![Collected::default(); request.series.len()],
        }
    }

    /// Takes in the next page. However many points it has, those that are kept are at most one for each period that was
    /// asked for.
    pub(crate) fn add(&mut self, page: Vec<PagePart>) {
        for part in page {
            let Some(collected) = self.series.get_mut(part.index) else {
                continue;
            };
            let in_span = part
                .points
                .iter()
                .filter(|point| self.span_ms.contains(&point.time_ms));
            for point in in_span {
                if point.time_ms.rem_euclid(self.period_ms) == 0 {
                    collected.points.insert(point.time_ms, point.value);
                } else {
                    collected.failed.get_or_insert_with(|| UNALIGNED.to_owned());
                }
            }
            if let Status::Failed(code) = &part.status {
                collected.failed.get_or_insert_with(|| code.clone());
            }
            collected.last = Some(part.status);
        }
    }

    /// What all pages say of each series. One that failed on any page is left for another time, whatever came with it:
    /// what is missing cannot be seen. So is one that no page says anything of.
    pub(crate) fn finish(self) -> Vec<SeriesAnswer> {
        let answer = |collected: Collected| match (collected.failed, collected.last) {
            (Some(code), _) => SeriesAnswer::Incomplete(code),
            (None, Some(Status::Complete)) => SeriesAnswer::Complete(
                collected
                    .points
                    .into_iter()
                    .map(|(time_ms, value)| Point { time_ms, value })
                    .collect(),
            ),
            (None, Some(_)) => SeriesAnswer::Incomplete(PARTIAL.to_owned()),
            (None, None) => SeriesAnswer::Incomplete(MISSING.to_owned()),
        };
        self.series.into_iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: usize, times: &[i64], status: Status) -> PagePart {
        let point = |&time_ms: &i64| Point {
            time_ms,
            value: time_ms as f64,
        };
        PagePart {
            index,
            points: times.iter().map(point).collect(),
            status,
        }
    }

    fn complete(times: &[i64]) -> SeriesAnswer {
        SeriesAnswer::Complete(part(0, times, Status::Complete).points)
    }

    #[test]
    fn pages_are_put_together_and_only_what_is_complete_in_the_end_counts() {
        let internal = || Status::Failed("InternalError".to_owned());
        let mut pages = Pages {
            span_ms: 1..9,
            period_ms: 1,
            series: vec![Collected::default(); 6],
        };
        pages.add(vec![
            part(0, &[3, 0, 9], Status::Partial),
            part(1, &[1], Status::Partial),
            part(2, &[1], internal()),
            part(4, &[], Status::Complete),
            part(9, &[1], Status::Complete),
        ]);
        pages.add(Vec::new());
        pages.add(vec![
            part(0, &[1, 3, 2], Status::Complete),
            part(1, &[2], Status::Partial),
            part(2, &[2], Status::Complete),
            part(5, &[], Status::Failed("Forbidden".to_owned())),
        ]);
        let incomplete = |code: &str| SeriesAnswer::Incomplete(code.to_owned());
        assert_eq!(
            pages.finish(),
            [
                complete(&[1, 2, 3]),
                incomplete(PARTIAL),
                incomplete("InternalError"),
                incomplete(MISSING),
                complete(&[]),
                incomplete("Forbidden"),
            ]
        );
    }

    #[test]
    fn a_point_between_two_periods_is_no_point() {
        let mut pages = Pages {
            span_ms: 0..300,
            period_ms: 60,
            series: vec![Collected::default()],
        };
        pages.add(vec![part(0, &[60, 61], Status::Complete)]);
        assert_eq!(pages.finish(), [SeriesAnswer::Incomplete(UNALIGNED.to_owned())]);
    }
}
