//! The newest readings of one series, and what of them is drawn in so many columns.

use std::collections::VecDeque;

/// A reading and what was expected of it. What is not known is NaN, so that a point stays small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// In milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
    pub expected: f64,
    pub score: f32,
    pub is_anomaly: bool,
}

impl Point {
    /// A reading that nothing was said of.
    pub(super) fn unjudged(time_ms: i64, value: f64) -> Self {
        Point {
            time_ms,
            value,
            lower: f64::NAN,
            upper: f64::NAN,
            expected: f64::NAN,
            score: f32::NAN,
            is_anomaly: false,
        }
    }
}

/// Points in the order in which they came, of which the oldest leave.
#[derive(Debug, Default)]
pub(super) struct Ring {
    points: VecDeque<Point>,
    /// How many there have been.
    cursor: u64,
}

impl Ring {
    pub(super) fn push(&mut self, point: Point) {
        self.points.push_back(point);
        self.cursor += 1;
    }

    /// The number that the next point will have.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Leaves the newest `length` points. Returns how many left.
    pub(super) fn truncate(&mut self, length: usize) -> usize {
        let surplus = self.points.len().saturating_sub(length);
        self.points.drain(..surplus);
        self.points.shrink_to(length);
        surplus
    }

    /// The points from this number on, and the number of the first of them: a larger one if those before have left.
    pub(super) fn since(&self, cursor: u64) -> (u64, impl ExactSizeIterator<Item = &Point>) {
        let first_held = self.cursor - self.points.len() as u64;
        let first = cursor.clamp(first_held, self.cursor);
        (first, self.points.range((first - first_held) as usize..))
    }

    /// The `count` newest values, oldest first.
    pub(super) fn newest_values(&self, count: usize) -> impl Iterator<Item = f64> {
        let surplus = self.points.len().saturating_sub(count);
        self.points.range(surplus..).map(|point| point.value)
    }

    /// The points of a stretch of event time in the order of time.
    pub(super) fn between(&self, from_ms: i64, to_ms: i64) -> Vec<Point> {
        let is_inside = |point: &&Point| (from_ms..=to_ms).contains(&point.time_ms);
        let mut points: Vec<Point> = self.points.iter().filter(is_inside).copied().collect();
        if !points.is_sorted_by_key(|point| point.time_ms) {
            points.sort_by_key(|point| point.time_ms);
        }
        points
    }

    /// The first and last event time that are held.
    pub(super) fn range_ms(&self) -> Option<(i64, i64)> {
        let times = || self.points.iter().map(|point| point.time_ms);
        Some((times().min()?, times().max()?))
    }
}

/// Of points in the order of time those that show in `columns` columns of equal length: the smallest and the largest value
/// of each, and every anomaly. All of them, if they are not more than that.
pub(super) fn thinned(points: Vec<Point>, columns: usize) -> Vec<Point> {
    let columns = columns.max(1);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return points;
    };
    if points.len() <= 2 * columns {
        return points;
    }
    let (from_ms, length_ms) = (
        first.time_ms,
        i128::from(last.time_ms) - i128::from(first.time_ms) + 1,
    );
    let column = |point: &Point| {
        let since = i128::from(point.time_ms) - i128::from(from_ms);
        since * columns as i128 / length_ms
    };
    points
        .chunk_by(|left, right| column(left) == column(right))
        .flat_map(extremes)
        .collect()
}

/// The smallest, the largest and the anomalous ones of some points, in their order.
fn extremes(points: &[Point]) -> impl Iterator<Item = Point> {
    let by_value = |left: &(usize, &Point), right: &(usize, &Point)| left.1.value.total_cmp(&right.1.value);
    let smallest = points.iter().enumerate().min_by(by_value).map(|(at, _)| at);
    let largest = points.iter().enumerate().max_by(by_value).map(|(at, _)| at);
    points
        .iter()
        .enumerate()
        .filter(move |(at, point)| point.is_anomaly || Some(*at) == smallest || Some(*at) == largest)
        .map(|(_, point)| *point)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(values: &[(i64, f64)]) -> Ring {
        let mut ring = Ring::default();
        for &(time_ms, value) in values {
            ring.push(Point::unjudged(time_ms, value));
        }
        ring
    }

    #[test]
    fn points_are_numbered_and_the_oldest_leave() {
        let mut ring = ring(&[(0, 1.0), (1, 2.0), (2, 3.0)]);
        assert_eq!(ring.cursor(), 3);
        let values = |ring: &Ring, cursor| {
            let (first, points) = ring.since(cursor);
            (first, points.map(|point| point.value).collect::<Vec<_>>())
        };
        assert_eq!(values(&ring, 1), (1, vec![2.0, 3.0]));
        assert_eq!(values(&ring, 3), (3, vec![]));
        assert_eq!(values(&ring, 9), (3, vec![]), "a cursor of another time");
        assert_eq!(ring.truncate(1), 2);
        assert_eq!(values(&ring, 1), (2, vec![3.0]), "one is missing, and it shows");
        assert_eq!(ring.newest_values(24).collect::<Vec<_>>(), [3.0]);
    }

    #[test]
    fn a_stretch_is_in_the_order_of_time() {
        let ring = ring(&[(5, 1.0), (3, 2.0), (9, 3.0), (4, 4.0)]);
        let times: Vec<i64> = ring.between(4, 8).iter().map(|point| point.time_ms).collect();
        assert_eq!(times, [4, 5]);
        assert_eq!(ring.range_ms(), Some((3, 9)));
        assert!(ring.between(8, 4).is_empty());
        let ends = ring.between(i64::MIN, i64::MAX).len();
        assert_eq!(ends, 4);
    }

    proptest! {
        #[test]
        fn extremes_and_anomalies_stay(
            values in prop::collection::vec((-1e9..1e9, prop::bool::weighted(0.02)), 1..400),
            columns in 1_usize..60,
            step_ms in 1_i64..i64::MAX / 400,
        ) {
            let points: Vec<Point> = (0..)
                .zip(&values)
                .map(|(index, &(value, is_anomaly))| Point {
                    is_anomaly,
                    ..Point::unjudged(index * step_ms, value)
                })
                .collect();
            let shown = thinned(points.clone(), columns);
            let anomalies = |points: &[Point]| points.iter().filter(|point| point.is_anomaly).count();
            prop_assert_eq!(anomalies(&shown), anomalies(&points));
            let largest = |points: &[Point]| points.iter().map(|point| point.value).fold(f64::MIN, f64::max);
            let smallest = |points: &[Point]| points.iter().map(|point| point.value).fold(f64::MAX, f64::min);
            prop_assert_eq!(largest(&shown), largest(&points));
            prop_assert_eq!(smallest(&shown), smallest(&points));
            prop_assert!(shown.is_sorted_by_key(|point| point.time_ms));
            prop_assert!(shown.len() <= 2 * columns + anomalies(&points) || shown.len() == points.len());
        }
    }
}
