//! `[collect.cloudwatch]`: what is collected from CloudWatch, how often, and how late.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dimensions::Dimensions;
use super::state::Timing;
use crate::settings::{DAY, SECOND, Violations, duration, is_web_address, is_whole_ms};

/// The settings in `[collect.cloudwatch]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    /// Empty: that of the AWS environment, profile or instance.
    pub region: String,
    pub namespace: String,
    pub metrics: Vec<String>,
    /// `Name=value` or `Name=*`.
    pub dimensions: Vec<String>,
    pub statistic: String,
    #[serde(with = "duration")]
    pub period: Duration,
    #[serde(with = "duration")]
    pub delay: Duration,
    #[serde(with = "duration")]
    pub interval: Duration,
    #[serde(with = "duration")]
    pub refresh: Duration,
    #[serde(with = "duration")]
    pub backfill: Duration,
    /// Empty: AWS's own of the region.
    pub endpoint: String,
}

/// The periods below a minute that CloudWatch has.
const SHORT_PERIODS_S: [u64; 5] = [1, 5, 10, 20, 30];
const SHORTEST_REFRESH: Duration = Duration::from_secs(60);

/// How long CloudWatch keeps points, by the period they are asked for in: up to so many seconds, so many days.
const RETENTION: [(u64, f64); 4] = [(59, 0.125), (299, 15.0), (3_599, 63.0), (u64::MAX, 455.0)];

impl Settings {
    /// How long CloudWatch keeps points of the period.
    pub(crate) fn retention(&self) -> Duration {
        let (_, days) = RETENTION
            .into_iter()
            .find(|(longest_s, _)| self.period.as_secs() <= *longest_s)
            .unwrap_or(RETENTION[3]);
        DAY.mul_f64(days)
    }

    /// When points are asked for.
    pub(crate) fn timing(&self) -> Timing {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timing {
            period_ms: ms(self.period),
            delay_ms: ms(self.delay),
            backfill_ms: ms(self.backfill),
            refresh_ms: ms(self.refresh),
            retention_ms: ms(self.retention()),
        }
    }

    /// Adds the rules of `[collect.cloudwatch]` that these settings break.
    pub fn check(&self, violations: &mut Violations) {
        let mut require = |holds: bool, name: &str, rule: String| {
            violations.require(holds, &format!("collect.cloudwatch.{name}"), rule);
        };
        self.check_names(&mut require);
        self.check_durations(&mut require);
    }

    fn check_names(&self, require: &mut impl FnMut(bool, &str, String)) {
        let is_in_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        require(
            self.region.bytes().all(is_in_region),
            "region",
            "must be the name of an AWS region, such as \"eu-west-1\"".to_owned(),
        );
        require(
            is_name(&self.namespace) && !self.namespace.starts_with(':'),
            "namespace",
            "must be a namespace of CloudWatch, such as \"AWS/EC2\"".to_owned(),
        );
        require(
            !self.metrics.is_empty() && self.metrics.iter().all(|name| is_name(name)),
            "metrics",
            "must be one or more names of metrics, such as [\"CPUUtilization\"]".to_owned(),
        );
        let dimensions = Dimensions::parse(&self.dimensions);
        let too_many = |dimensions: &Dimensions| dimensions.count() > MOST_DIMENSIONS;
        require(
            !dimensions.as_ref().is_ok_and(too_many),
            "dimensions",
            format!("must be {MOST_DIMENSIONS} names at most"),
        );
        require(
            dimensions.is_ok(),
            "dimensions",
            dimensions.err().unwrap_or_default(),
        );
        require(
            is_statistic(&self.statistic),
            "statistic",
            "must be Average, Sum, Minimum, Maximum, SampleCount, a percentile such as p99, or another statistic of \
             CloudWatch such as tm90"
                .to_owned(),
        );
        require(
            self.endpoint.is_empty() || is_web_address(&self.endpoint),
            "endpoint",
            "must be an address such as \"https://monitoring.eu-west-1.amazonaws.com\"".to_owned(),
        );
    }

    fn check_durations(&self, require: &mut impl FnMut(bool, &str, String)) {
        let period_s = self.period.as_secs();
        let is_period = self.period.subsec_nanos() == 0
            && (SHORT_PERIODS_S.contains(&period_s) || (period_s > 0 && period_s.is_multiple_of(60)))
            && DAY.as_secs().checked_rem(period_s) == Some(0);
        require(
            is_period,
            "period",
            "must be 1s, 5s, 10s, 20s, 30s, or whole minutes that divide a day".to_owned(),
        );
        require(
            is_whole_ms(self.delay) && self.delay <= DAY,
            "delay",
            "must be at most 1d, in whole milliseconds".to_owned(),
        );
        require(
            self.interval >= SECOND && self.interval <= DAY,
            "interval",
            "must be from 1s to 1d".to_owned(),
        );
        require(
            self.refresh >= SHORTEST_REFRESH && self.refresh <= DAY,
            "refresh",
            "must be from 1m to 1d".to_owned(),
        );
        require(
            is_whole_ms(self.backfill) && self.backfill <= self.retention(),
            "backfill",
            format!(
                "must be at most {}: CloudWatch keeps points of this period no longer",
                humantime::format_duration(self.retention())
            ),
        );
    }
}

/// As many dimensions as a request for metrics may name.
const MOST_DIMENSIONS: usize = 10;

/// Names of namespaces and metrics.
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.contains(char::is_control) && !name.trim().is_empty()
}

/// What may be a statistic: CloudWatch knows which there are.
fn is_statistic(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".%:()".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config_of;

    fn complaints(changes: &[(&str, &str)]) -> Vec<String> {
        let mut settings = toml::Table::try_from(config_of(&[]).collect).unwrap();
        for (name, value) in changes {
            let changed: toml::Table = format!("x = {value}").parse().unwrap();
            settings.insert((*name).to_owned(), changed["x"].clone());
        }
        let mut violations = Violations::default();
        settings.try_into::<Settings>().unwrap().check(&mut violations);
        let keys = violations.into_vec().into_iter().map(|violation| violation.key);
        keys.collect()
    }

    #[test]
    fn what_cloudwatch_has_is_allowed() {
        for (name, value) in [
            ("region", "'us-gov-west-1'"),
            ("dimensions", "[]"),
            ("dimensions", "['LoadBalancer=app/lb/1', 'TargetGroup=*']"),
            ("statistic", "'p99.9'"),
            ("statistic", "'TM(10%:90%)'"),
            ("period", "'1s'"),
            ("period", "'1d'"),
            ("backfill", "'63d'"),
            ("endpoint", "'http://127.0.0.1:5000'"),
        ] {
            assert_eq!(complaints(&[(name, value)]), [""; 0], "{name} = {value}");
        }
    }

    #[test]
    fn what_cloudwatch_does_not_have_is_complained_about() {
        for (name, value) in [
            ("region", "'EU (Ireland)'"),
            ("namespace", "''"),
            ("namespace", "':own'"),
            ("metrics", "[]"),
            ("metrics", "['CPU', '']"),
            ("dimensions", "['InstanceId']"),
            ("statistic", "''"),
            ("statistic", "'five \"nines\"'"),
            ("period", "'7m'"),
            ("period", "'2s'"),
            ("period", "'0s'"),
            ("period", "'2d'"),
            ("delay", "'2d'"),
            ("interval", "'0s'"),
            ("refresh", "'30s'"),
            ("backfill", "'64d'"),
            ("endpoint", "'monitoring.eu-west-1.amazonaws.com'"),
            ("endpoint", "'s3://bucket'"),
        ] {
            let key = format!("collect.cloudwatch.{name}");
            assert_eq!(complaints(&[(name, value)]), [key], "{name} = {value}");
        }
    }

    #[test]
    fn shorter_periods_are_kept_for_a_shorter_time() {
        for (period, days) in [("'30s'", 0.125), ("'1m'", 15.0), ("'5m'", 63.0), ("'1h'", 455.0)] {
            let within = format!("'{}s'", (days * 86_400.0) as u64);
            let beyond = format!("'{}s'", (days * 86_400.0) as u64 + 1);
            assert_eq!(complaints(&[("period", period), ("backfill", &within)]), [""; 0]);
            assert_eq!(complaints(&[("period", period), ("backfill", &beyond)]).len(), 1);
        }
    }
}
