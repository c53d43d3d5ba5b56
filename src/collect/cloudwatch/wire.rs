//! CloudWatch's words: the operations `ListMetrics` and `GetMetricData` in the protocol awsJson1_0, times as seconds since
//! 1970.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer::{PagePart, Status};
use super::super::dimensions::Dimensions;
use super::super::message::Point;
use super::super::metric::Metric;
use super::super::state::Request;

/// A page of `ListMetrics`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedMetrics {
    #[serde(default)]
    metrics: Vec<ListedMetric>,
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMetric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<ListedDimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedDimension {
    name: String,
    value: String,
}

/// A page of `GetMetricData`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricData {
    #[serde(default)]
    metric_data_results: Vec<MetricDataResult>,
    pub next_token: Option<String>,
    #[serde(default)]
    pub messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDataResult {
    id: String,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<f64>,
    status_code: Option<String>,
}

/// Something that CloudWatch says of an operation as a whole.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub value: String,
}

/// An answer that is an error.
#[derive(Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default, rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: Option<String>,
}

/// The request for metrics of a name. Of those without recent points only if `all`.
pub(super) fn list_metrics(
    namespace: &str,
    name: &str,
    dimensions: &Dimensions,
    all: bool,
    next_token: Option<&str>,
) -> Value {
    let filter = |(name, value): (&str, Option<&str>)| match value {
        Some(value) => json!({ "Name": name, "Value": value }),
        None => json!({ "Name": name }),
    };
    let filters: Vec<Value> = dimensions.filters().map(filter).collect();
    let mut request = json!({ "Namespace": namespace, "MetricName": name, "Dimensions": filters });
    if !all {
        request["RecentlyActive"] = "PT3H".into();
    }
    with_token(request, next_token)
}

/// The request for points, the oldest first.
pub(super) fn get_metric_data(
    request: &Request,
    statistic: &str,
    period_s: u64,
    next_token: Option<&str>,
) -> Value {
    let dimension = |(name, value): &(String, String)| json!({ "Name": name, "Value": value });
    let query = |(index, metric): (usize, &Metric)| {
        let dimensions: Vec<Value> = metric.dimensions.iter().map(dimension).collect();
        let metric =
            json!({ "Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions });
        json!({
            "Id": query_id(index),
            "MetricStat": { "Metric": metric, "Period": period_s, "Stat": statistic },
            "ReturnData": true,
        })
    };
    let metrics = request.series.iter().map(|series| &series.metric);
    let queries: Vec<Value> = metrics.enumerate().map(query).collect();
    let body = json!({
        "MetricDataQueries": queries,
        "StartTime": request.start_ms / 1_000,
        "EndTime": request.end_ms / 1_000,
        "ScanBy": "TimestampAscending",
    });
    with_token(body, next_token)
}

fn with_token(mut request: Value, next_token: Option<&str>) -> Value {
    if let Some(token) = next_token {
        request["NextToken"] = token.into();
    }
    request
}

/// What an answer calls a query: its place in the request.
fn query_id(index: usize) -> String {
    format!("q{index}")
}

impl ListedMetrics {
    pub(super) fn into_metrics(self) -> impl Iterator<Item = Metric> {
        self.metrics.into_iter().map(|metric| Metric {
            namespace: metric.namespace,
            name: metric.metric_name,
            dimensions: metric
                .dimensions
                .into_iter()
                .map(|dimension| (dimension.name, dimension.value))
                .collect(),
        })
    }
}

impl MetricData {
    /// The parts of the series of a request.
    pub(super) fn into_parts(self) -> Vec<PagePart> {
        let parts = self.metric_data_results.into_iter();
        parts.filter_map(MetricDataResult::into_part).collect()
    }
}

impl MetricDataResult {
    fn into_part(self) -> Option<PagePart> {
        let index = self.id.strip_prefix('q')?.parse().ok()?;
        let is_paired = self.timestamps.len() == self.values.len();
        let point = |(time_s, value): (f64, f64)| Point {
            time_ms: (time_s * 1_000.0).round() as i64,
            value,
        };
        let status = match self.status_code.as_deref() {
            _ if !is_paired => Status::Failed("Unpaired".to_owned()),
            Some("Complete") => Status::Complete,
            Some("PartialData") => Status::Partial,
            Some(code) => Status::Failed(short(code)),
            None => Status::Failed("NoStatus".to_owned()),
        };
        Some(PagePart {
            index,
            points: self.timestamps.into_iter().zip(self.values).map(point).collect(),
            status,
        })
    }
}

impl Refusal {
    /// The code without the name of its service: `ThrottlingException`.
    pub(super) fn code(&self) -> String {
        let code = self.kind.rsplit('#').next().unwrap_or_default();
        short(code.split(':').next().unwrap_or_default())
    }

    pub(super) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or("no reason given")
    }
}

/// A code as metrics are labelled with it.
fn short(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::state::Series;
    use super::*;

    fn metric() -> Metric {
        Metric {
            namespace: "AWS/EC2".to_owned(),
            name: "CPUUtilization".to_owned(),
            dimensions: vec![("InstanceId".to_owned(), "i-1".to_owned())],
        }
    }

    #[test]
    fn a_request_for_points_names_each_metric_by_its_place() {
        let series = Arc::new(Series {
            identity: String::new(),
            reading_key: String::new(),
            metric: metric(),
        });
        let request = Request {
            start_ms: 1_795_746_000_000,
            end_ms: 1_795_746_300_000,
            from_ms: 0,
            expired_ms: 0,
            series: vec![series],
        };
        let expected = json!({
            "MetricDataQueries": [{
                "Id": "q0",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/EC2",
                        "MetricName": "CPUUtilization",
                        "Dimensions": [{ "Name": "InstanceId", "Value": "i-1" }],
                    },
                    "Period": 300,
                    "Stat": "p99",
                },
                "ReturnData": true,
            }],
            "StartTime": 1_795_746_000,
            "EndTime": 1_795_746_300,
            "ScanBy": "TimestampAscending",
            "NextToken": "more",
        });
        assert_eq!(get_metric_data(&request, "p99", 300, Some("more")), expected);
    }

    #[test]
    fn parts_of_a_page_are_told_apart_and_strange_ones_do_not_count() {
        let page: MetricData = serde_json::from_value(json!({
            "MetricDataResults": [
                { "Id": "q1", "Label": "x", "Timestamps": [1.7957463e9], "Values": [0.5], "StatusCode": "Complete" },
                { "Id": "q0", "Timestamps": [1], "Values": [], "StatusCode": "Complete" },
                { "Id": "q2", "StatusCode": "InternalError", "Timestamps": [], "Values": [] },
                { "Id": "other", "StatusCode": "Complete" },
            ],
            "Messages": [],
        }))
        .unwrap();
        let parts = page.into_parts();
        let statuses: Vec<_> = parts
            .iter()
            .map(|part| (part.index, part.status.clone()))
            .collect();
        let failed = |code: &str| Status::Failed(code.to_owned());
        assert_eq!(
            statuses,
            [
                (1, Status::Complete),
                (0, failed("Unpaired")),
                (2, failed("InternalError"))
            ]
        );
        assert_eq!(
            parts[0].points,
            [Point {
                time_ms: 1_795_746_300_000,
                value: 0.5
            }]
        );
    }

    #[test]
    fn a_refusal_has_a_code_whatever_stands_around_it() {
        for (body, code, message) in [
            (
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
                "ThrottlingException",
                "Rate exceeded",
            ),
            (
                r#"{"__type":"com.amazonaws.cloudwatch#AccessDenied:x","Message":"no"}"#,
                "AccessDenied",
                "no",
            ),
            (r#"{"__type":"a\u001bb"}"#, "ab", "no reason given"),
        ] {
            let refusal: Refusal = serde_json::from_str(body).unwrap();
            assert_eq!((refusal.code().as_str(), refusal.message()), (code, message));
        }
    }
}
