//! A CloudWatch of our own, for what no other has: points that come late or change, answers in pieces, and refusals.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::web_server::WebServer;

/// What is wrong with an answer to `GetMetricData`; one each, in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Throttled,
    Unavailable,
    Denied,
    Garbage,
    /// Of the first metric that is asked for: its first points, and no token to ask for the rest with.
    Partial,
    /// Of the first metric that is asked for.
    Internal,
    /// The points of each metric come in two pages, with an empty one between.
    Pages,
}

/// A point's time to come, beyond the end of its second.
pub type Visible = fn(instance: usize, second: i64) -> i64;

/// What the server is, and what it was asked.
#[derive(Debug)]
struct Cloud {
    instances: usize,
    visible_after_s: Visible,
    /// How far its clock is ahead.
    ahead: TimeDelta,
    faults: VecDeque<Fault>,
    asked: Vec<Asked>,
}

/// A request as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub operation: String,
    pub metrics: usize,
    pub token: Option<String>,
    pub authorization: String,
}

/// A server on a port of its own, until the value is dropped.
pub struct Fake {
    server: WebServer,
    cloud: Arc<Mutex<Cloud>>,
}

impl Fake {
    /// So many instances, each with a point for every second, which can be seen so long after it.
    pub fn start(instances: usize, visible_after_s: Visible) -> Result<Self> {
        Self::ahead(instances, visible_after_s, TimeDelta::zero())
    }

    /// One whose clock is ahead.
    pub fn ahead(instances: usize, visible_after_s: Visible, ahead: TimeDelta) -> Result<Self> {
        let cloud = Arc::new(Mutex::new(Cloud {
            instances,
            visible_after_s,
            ahead,
            faults: VecDeque::new(),
            asked: Vec::new(),
        }));
        let router = Router::new()
            .route("/", post(answer))
            .with_state(Arc::clone(&cloud));
        Ok(Fake {
            server: WebServer::start(router)?,
            cloud,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.server.address)
    }

    /// What goes wrong next.
    pub fn fail_next(&self, faults: &[Fault]) {
        self.cloud().faults.extend(faults);
    }

    /// Whether all faults have had their turn.
    pub fn has_failed(&self) -> bool {
        self.cloud().faults.is_empty()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.cloud().asked.clone()
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of an instance's point.
pub fn value(instance: usize, second: i64) -> f64 {
    (second % 1_000) as f64 + instance as f64 / 4.0
}

async fn answer(State(cloud): State<Arc<Mutex<Cloud>>>, headers: HeaderMap, body: String) -> Response {
    let mut cloud = cloud.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Utc::now() + cloud.ahead;
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let (status, text) = match cloud.answer(&headers, &body, now) {
        Ok(answered) => answered,
        Err(error) => (
            StatusCode::BAD_REQUEST,
            json!({ "__type": "Wrong", "message": format!("{error:#}") }).to_string(),
        ),
    };
    (status, [("date", date)], text).into_response()
}

impl Cloud {
    fn answer(
        &mut self,
        headers: &HeaderMap,
        body: &str,
        now: DateTime<Utc>,
    ) -> Result<(StatusCode, String)> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let operation = header("x-amz-target")
            .strip_prefix("GraniteServiceVersion20100801.")
            .context("another target")?
            .to_owned();
        anyhow::ensure!(
            header("content-type") == "application/x-amz-json-1.0",
            "another protocol"
        );
        let body: Value = serde_json::from_str(body)?;
        self.asked.push(Asked {
            operation: operation.clone(),
            metrics: body["MetricDataQueries"].as_array().map_or(0, Vec::len),
            token: body["NextToken"].as_str().map(str::to_owned),
            authorization: header("authorization").to_owned(),
        });
        let signed = format!("X-Amz-Date: {}", header("x-amz-date"));
        let signed_at =
            DateTime::parse_from_str(&format!("{signed} +0000"), "X-Amz-Date: %Y%m%dT%H%M%SZ %z")?;
        if (now - signed_at.to_utc()).abs() > TimeDelta::minutes(5) {
            return Ok(refused("RequestExpired", "the signature is out of time"));
        }
        match operation.as_str() {
            "ListMetrics" => Ok((StatusCode::OK, self.list(&body).to_string())),
            _ => Ok(self.points(&body, now.timestamp())),
        }
    }

    /// Two pages, and a metric with a dimension more than is asked for.
    fn list(&self, body: &Value) -> Value {
        let metric = |dimensions: Value| json!({ "Namespace": body["Namespace"], "MetricName": body["MetricName"], "Dimensions": dimensions });
        let instance = |number: usize| json!({ "Name": "InstanceId", "Value": format!("i-{number}") });
        let mut metrics: Vec<Value> = (0..self.instances)
            .map(|number| metric(json!([instance(number)])))
            .collect();
        metrics.push(metric(
            json!([instance(0), { "Name": "ImageId", "Value": "ami-1" }]),
        ));
        let second = metrics.split_off(metrics.len() / 2);
        match body["NextToken"].as_str() {
            None => json!({ "Metrics": metrics, "NextToken": "second" }),
            Some(_) => json!({ "Metrics": second, "NextToken": null }),
        }
    }

    fn points(&mut self, body: &Value, now_s: i64) -> (StatusCode, String) {
        let token = body["NextToken"].as_str();
        let fault = match token {
            None => self.faults.pop_front(),
            Some(_) => Some(Fault::Pages),
        };
        match fault {
            Some(Fault::Throttled) => return refused("ThrottlingException", "Rate exceeded"),
            Some(Fault::Denied) => {
                return refused(
                    "AccessDenied",
                    "not authorized to perform: cloudwatch:GetMetricData",
                );
            }
            Some(Fault::Unavailable) => return (StatusCode::SERVICE_UNAVAILABLE, "<html>".to_owned()),
            Some(Fault::Garbage) => return (StatusCode::OK, "[]".to_owned()),
            _ => {}
        }
        let queries = body["MetricDataQueries"].as_array().cloned().unwrap_or_default();
        let results: Vec<Value> = queries
            .iter()
            .enumerate()
            .filter_map(|(place, query)| self.result(place, query, body, now_s, fault))
            .collect();
        let next = match (fault, token) {
            (Some(Fault::Pages), None) => json!("empty"),
            (_, Some("empty")) => json!("second"),
            _ => Value::Null,
        };
        let answer = json!({ "MetricDataResults": results, "NextToken": next, "Messages": [] });
        (StatusCode::OK, answer.to_string())
    }

    fn result(
        &self,
        place: usize,
        query: &Value,
        body: &Value,
        now_s: i64,
        fault: Option<Fault>,
    ) -> Option<Value> {
        let name = &query["MetricStat"]["Metric"]["Dimensions"][0]["Value"];
        let instance: usize = name.as_str()?.strip_prefix("i-")?.parse().ok()?;
        let (start_s, end_s) = (body["StartTime"].as_i64()?, body["EndTime"].as_i64()?);
        let is_visible = |second: &i64| second + 1 + (self.visible_after_s)(instance, *second) <= now_s;
        let mut seconds: Vec<i64> = (start_s..end_s).filter(is_visible).collect();
        let mut status = "Complete";
        match (fault, body["NextToken"].as_str()) {
            (Some(Fault::Partial), _) if place == 0 => {
                seconds.truncate(1);
                status = "PartialData";
            }
            (Some(Fault::Internal), _) if place == 0 => {
                seconds.clear();
                status = "InternalError";
            }
            (Some(Fault::Pages), None) => {
                seconds.truncate(seconds.len() / 2);
                status = "PartialData";
            }
            (_, Some("empty")) => return None,
            (_, Some("second")) => {
                seconds = seconds.split_off(seconds.len() / 2);
            }
            _ => {}
        }
        let values: Vec<f64> = seconds.iter().map(|&second| value(instance, second)).collect();
        Some(
            json!({ "Id": query["Id"], "Label": "x", "Timestamps": seconds, "Values": values, "StatusCode": status }),
        )
    }
}

fn refused(code: &str, message: &str) -> (StatusCode, String) {
    let body = json!({ "__type": format!("com.amazonaws.cloudwatch#{code}"), "message": message });
    (StatusCode::BAD_REQUEST, body.to_string())
}
