//! A server that keeps what it is asked, and answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;
use streamgauge_testkit::eventually;

use crate::web_server::WebServer;

/// A request as it was.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer, and how long it takes.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
    pub after: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
            after: Duration::ZERO,
        }
    }
}

/// What a request is answered with, unless something else comes first.
pub type Rule = fn(&Asked) -> Reply;

struct Served {
    rule: Rule,
    /// One each, before the rule is asked.
    first: VecDeque<Reply>,
    asked: Vec<Asked>,
}

/// A server on a port of its own, until the value is dropped.
pub struct Fake {
    server: WebServer,
    served: Arc<Mutex<Served>>,
}

impl Fake {
    pub fn start(rule: Rule) -> Result<Self> {
        let served = Arc::new(Mutex::new(Served {
            rule,
            first: VecDeque::new(),
            asked: Vec::new(),
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&served));
        Ok(Fake {
            server: WebServer::start(router)?,
            served,
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// What the next requests are answered with, whatever they are.
    pub fn first(&self, replies: impl IntoIterator<Item = Reply>) {
        self.locked().first.extend(replies);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.locked().asked.clone()
    }

    /// Waits until it was asked so often.
    pub fn wait_for(&self, count: usize) -> Result<Vec<Asked>> {
        eventually("the requests", Duration::from_secs(20), || {
            let asked = self.asked();
            ensure!(asked.len() >= count, "{} of {count} came: {asked:?}", asked.len());
            Ok(asked)
        })
    }

    fn locked(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(served): State<Arc<Mutex<Served>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let asked = Asked {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = {
        let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
        let first = served.first.pop_front();
        let reply = first.unwrap_or_else(|| (served.rule)(&asked));
        served.asked.push(asked);
        reply
    };
    tokio::time::sleep(reply.after).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body.into()).unwrap()
}
