//! What the requests for metrics cost, as far as the settings tell.

use std::fmt;
use std::time::Duration;

/// CloudWatch's price of metrics that `GetMetricData` is asked for, in dollars a thousand, and when it was read. The free
/// tier does not have it.
const DOLLARS_PER_THOUSAND: f64 = 0.01;
const PRICED: &str = "November 2026";
const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// What a month costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    metrics: usize,
    polls: u64,
}

impl Cost {
    /// The cost of so many metrics, each asked for at this interval, and not before it has a new point.
    pub(crate) fn new(metrics: usize, interval: Duration, period: Duration) -> Self {
        let apart = interval.max(period).max(Duration::from_secs(1));
        Cost {
            metrics,
            polls: (MONTH.as_secs_f64() / apart.as_secs_f64()).ceil() as u64,
        }
    }

    fn asked(&self) -> u64 {
        self.polls.saturating_mul(self.metrics as u64)
    }

    fn dollars(&self) -> f64 {
        self.asked() as f64 / 1_000.0 * DOLLARS_PER_THOUSAND
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {} × {} polls in 30 days = {} metrics asked for: about ${:.2} a month at ${DOLLARS_PER_THOUSAND} \
             per 1,000 (GetMetricData, {PRICED})",
            self.metrics,
            if self.metrics == 1 { "metric" } else { "metrics" },
            self.polls,
            self.asked(),
            self.dollars()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_metrics_times_polls_times_price() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let text = Cost::new(20, minutes(5), minutes(5)).to_string();
        assert_eq!(
            text,
            "20 metrics × 8640 polls in 30 days = 172800 metrics asked for: about $1.73 a month at $0.01 per 1,000 \
             (GetMetricData, November 2026)"
        );
        let dollars = |interval, period| Cost::new(1_000, interval, period).dollars();
        assert_eq!(dollars(minutes(15), minutes(5)), 28.8);
        assert_eq!(
            dollars(minutes(1), minutes(5)),
            86.4,
            "without a new point nothing is asked"
        );
    }
}
