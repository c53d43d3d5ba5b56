//! A registry of our own, for what a good one does not do: it fails, hangs, refuses and answers nonsense on order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::web_server::WebServer;

/// What it does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    Failing,
    Refusing,
    /// It takes a question, and never answers.
    Hanging,
    /// A page of a proxy, with the status 200.
    Page,
    /// Not found, and nothing that says by whom.
    WrongPath,
    /// Megabytes.
    Huge,
}

#[derive(Debug)]
struct Inner {
    mood: Mood,
    schemas: BTreeMap<u32, String>,
    asked: Vec<(u32, Option<String>)>,
}

/// A server on a port of its own, until the value is dropped.
pub struct Fake {
    server: WebServer,
    state: Arc<Mutex<Inner>>,
}

impl Fake {
    /// A server with these schemas.
    pub fn start(mood: Mood, schemas: &[(u32, &str)]) -> Result<Self> {
        let schemas = schemas.iter().map(|(id, schema)| (*id, (*schema).to_owned()));
        let state = Arc::new(Mutex::new(Inner {
            mood,
            schemas: schemas.collect(),
            asked: Vec::new(),
        }));
        let router = Router::new()
            .route("/schemas/ids/{id}", get(answer))
            .with_state(Arc::clone(&state));
        Ok(Fake {
            server: WebServer::start(router)?,
            state,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub fn turn(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// The ids that it was asked for, each with the credentials.
    pub fn asked(&self) -> Vec<(u32, Option<String>)> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(state): State<Arc<Mutex<Inner>>>, Path(id): Path<u32>, headers: HeaderMap) -> Response {
    let (mood, schema) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let credentials = headers.get("authorization").and_then(|value| value.to_str().ok());
        state.asked.push((id, credentials.map(str::to_owned)));
        (state.mood, state.schemas.get(&id).cloned())
    };
    let refusal = |status: StatusCode, code: u32, message: &str| {
        (
            status,
            json!({"error_code": code, "message": message}).to_string(),
        )
            .into_response()
    };
    match (mood, schema) {
        (Mood::Well, Some(schema)) => json!({"schema": schema}).to_string().into_response(),
        (Mood::Well, None) => refusal(StatusCode::NOT_FOUND, 40_403, "Schema not found"),
        (Mood::Failing, _) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            50_001,
            "Error in the backend data store",
        ),
        (Mood::Refusing, _) => refusal(StatusCode::UNAUTHORIZED, 401, "Unauthorized"),
        (Mood::Hanging, _) => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            StatusCode::OK.into_response()
        }
        (Mood::Page, _) => "<html>Sign in</html>".into_response(),
        (Mood::WrongPath, _) => (StatusCode::NOT_FOUND, "<html>Not found</html>").into_response(),
        (Mood::Huge, _) => vec![b' '; 20 << 20].into_response(),
    }
}
