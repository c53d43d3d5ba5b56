//! Metrics and health of a collector, which has no sinks: read from its progress when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::metrics::{Families, Labels, Metrics, labels};
use crate::clock;
use crate::collect::Progress;

/// Longer than a request takes with all of its attempts, or Kafka to be reached again.
const PATIENCE: Duration = Duration::from_secs(300);

/// A collector, as those see it who ask how it is.
#[derive(Debug, Clone)]
pub(crate) struct WatchedCollector {
    progress: watch::Receiver<Progress>,
    started: Instant,
    /// Between two rounds.
    interval: Duration,
}

impl WatchedCollector {
    /// A collector that has just started.
    pub(crate) fn new(progress: watch::Receiver<Progress>, interval: Duration) -> Self {
        WatchedCollector {
            progress,
            started: clock::instant(),
            interval,
        }
    }

    /// Whether it still does something.
    pub(crate) fn is_alive(&self) -> bool {
        self.why_not_alive().is_none()
    }

    fn why_not_alive(&self) -> Option<String> {
        let heard_at = self.progress.borrow().heard_at.unwrap_or(self.started);
        let silent = clock::instant().saturating_duration_since(heard_at);
        (silent > self.interval + PATIENCE)
            .then(|| format!("nothing has happened for {} s", silent.as_secs()))
    }

    fn why_not_ready(&self) -> Option<String> {
        self.why_not_alive()
            .or_else(|| match self.progress.borrow().last_good_round {
                None => Some("no round has ended well yet".to_owned()),
                Some(at) => {
                    let since = clock::instant().saturating_duration_since(at);
                    (since > 2 * self.interval + PATIENCE)
                        .then(|| format!("no round has ended well for {} s; see the log", since.as_secs()))
                }
            })
    }
}

impl Collector for WatchedCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families { encoder };
        let progress = self.progress.borrow();
        families.version()?;
        let counters = [
            (
                "collect_requests",
                "Requests to CloudWatch, those that failed included",
                progress.requests,
            ),
            (
                "collect_metrics_requested",
                "Metrics that points were asked of: what CloudWatch is paid for",
                progress.metrics_asked,
            ),
            ("collect_points", "Points written to the topic", progress.points),
            (
                "collect_late_points",
                "Points that came after their time was written, and were not written",
                progress.late_points,
            ),
            (
                "collect_changed_points",
                "Points whose value changed after it was written",
                progress.changed_points,
            ),
        ];
        for (name, help, count) in counters {
            families.family(name, help, [(Labels::new(), ConstCounter::new(count))])?;
        }
        families.family(
            "collect_errors",
            "Requests, and metrics of a request, that failed, by CloudWatch's code",
            progress
                .errors
                .iter()
                .map(|(code, &count)| (labels([("code", code)]), ConstCounter::new(count))),
        )?;
        families.family(
            "collect_metrics",
            "Metrics that are collected",
            [(Labels::new(), ConstGauge::new(progress.metrics as i64))],
        )?;
        let behind_s = progress.behind_ms.map(|behind_ms| behind_ms as f64 / 1_000.0);
        families.family(
            "collect_behind_seconds",
            "How far the slowest metric is behind what is due",
            behind_s.map(|behind_s| (Labels::new(), ConstGauge::new(behind_s))),
        )
    }
}

/// What is answered of a collector: `/metrics`, `/livez` and `/readyz`.
pub(crate) fn collector_router(collector: WatchedCollector) -> Router {
    let mut registry = Registry::with_prefix("streamgauge");
    registry.register_collector(Box::new(collector.clone()));
    let answers = Arc::new((Metrics::of(registry), collector));
    type Answers = State<Arc<(Metrics, WatchedCollector)>>;
    let health = |reason: Option<String>| -> Response {
        let status = match reason {
            None => StatusCode::OK,
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let state = reason.unwrap_or_else(|| "ok".to_owned());
        (status, format!("collector: {state}\n")).into_response()
    };
    Router::new()
        .route(
            "/metrics",
            get(|State(answers): Answers| async move { super::answer(&answers.0) }),
        )
        .route(
            "/livez",
            get(move |State(answers): Answers| async move { health(answers.1.why_not_alive()) }),
        )
        .route(
            "/readyz",
            get(move |State(answers): Answers| async move { health(answers.1.why_not_ready()) }),
        )
        .with_state(answers)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The text of a collector in which there is something of everything.
    pub(in crate::serve) fn text() -> String {
        let progress = Progress {
            metrics: 7,
            behind_ms: Some(300_000),
            errors: [("InternalError".to_owned(), 2)].into(),
            ..Progress::default()
        };
        let collector = WatchedCollector::new(watch::channel(progress).1, Duration::from_secs(300));
        let mut registry = Registry::with_prefix("streamgauge");
        registry.register_collector(Box::new(collector));
        Metrics::of(registry).text().unwrap()
    }

    #[test]
    fn values_carry_their_labels() {
        let text = text();
        for line in [
            "streamgauge_collect_metrics 7",
            "streamgauge_collect_errors_total{code=\"InternalError\"} 2",
            "streamgauge_collect_behind_seconds 300.0",
            "streamgauge_collect_points_total 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in:\n{text}");
        }
    }

    #[test]
    fn a_collector_is_ready_once_a_round_has_ended_well() {
        let (sender, receiver) = watch::channel(Progress::default());
        let collector = WatchedCollector::new(receiver, Duration::from_secs(300));
        assert!(collector.is_alive() && collector.why_not_ready().is_some());
        sender.send_modify(|progress| progress.last_good_round = Some(clock::instant()));
        assert_eq!(collector.why_not_ready(), None);
        let long_ago = clock::instant().checked_sub(Duration::from_secs(901)).unwrap();
        sender.send_modify(|progress| progress.last_good_round = Some(long_ago));
        assert!(collector.why_not_ready().unwrap().contains("901 s"));
    }
}
