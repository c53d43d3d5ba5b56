//! Who may see the page: whoever brings the token, where there is one, and no page of another site.
//!
//! A browser brings the token once, in the link that is printed at the start, and has a cookie from then on; a program has it
//! in the header `Authorization`. On loopback without `live.token_file` there is none: who can connect there can read the
//! topic, too. But any web site that a person opens can send requests from that person's browser, so what a browser says of
//! where a request comes from is heeded everywhere.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::refusal::Refusal;
use crate::secret_file;

/// The cookie's name.
const COOKIE_NAME: &str = "streamgauge-live";
/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What has to be brought, if anything.
#[derive(Clone)]
pub(crate) struct Token(Option<Arc<str>>);

/// A token that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The file cannot be read.
    #[error("live.token_file: cannot read {path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it is no token.
    #[error("live.token_file: {path} must hold one line of {SHORTEST_TOKEN} or more letters, digits, - or _")]
    Unfit {
        /// Its path.
        path: String,
    },
}

impl Token {
    /// The token of the settings; without one a new one, unless only this machine can connect.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn choose(file: &Path, is_loopback: bool) -> Result<Self, TokenError> {
        if file.as_os_str().is_empty() {
            let made = || {
                [Uuid::new_v4(), Uuid::new_v4()]
                    .map(|id| id.simple().to_string())
                    .concat()
            };
            return Ok(Token((!is_loopback).then(|| made().into())));
        }
        let path = file.display().to_string();
        let text = secret_file::read(file).map_err(|source| TokenError::File {
            path: path.clone(),
            source,
        })?;
        let is_fit = text.len() >= SHORTEST_TOKEN
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        match is_fit {
            true => Ok(Token(Some(text.into()))),
            false => Err(TokenError::Unfit { path }),
        }
    }

    /// What a link to the page ends with, for whoever may see the token.
    pub(crate) fn link_query(&self) -> String {
        self.0
            .as_deref()
            .map_or_else(String::new, |token| format!("?token={token}"))
    }

    fn is_brought_by(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.0 else {
            return true;
        };
        let of_header = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let cookies = cookies.flat_map(|text| text.split(';'));
        let mut of_cookie =
            cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='));
        of_header.is_some_and(|brought| is_same(brought, token))
            || of_cookie.any(|brought| is_same(brought, token))
    }
}

/// Compares digests, so that how long it takes says nothing of how much is right.
fn is_same(brought: &str, token: &str) -> bool {
    Sha256::digest(brought) == Sha256::digest(token)
}

/// Lets a request through, or says why not.
pub(super) async fn guard(State(token): State<Token>, request: Request, next: Next) -> Response {
    if let Some(why) = foreign(request.method(), request.headers()) {
        return Refusal::new(StatusCode::FORBIDDEN, why).into_response();
    }
    if !token.is_brought_by(request.headers()) {
        let why = "open the link that streamgauge printed at its start, or send the token: Authorization: Bearer TOKEN";
        return Refusal::new(StatusCode::UNAUTHORIZED, why).into_response();
    }
    next.run(request).await
}

/// Lets a request for the page through, and takes the token of a link.
pub(super) async fn exchanging(State(token): State<Token>, request: Request, next: Next) -> Response {
    match exchange(&token, request.method(), request.uri()) {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

/// Exchanges the token of a link for a cookie, and drops it from the address.
fn exchange(token: &Token, method: &Method, uri: &Uri) -> Option<Response> {
    let query = uri.query()?;
    let brought = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "token")?
        .1;
    let expected = token.0.as_ref()?;
    if method != Method::GET || !is_same(&brought, expected) {
        return None;
    }
    let cookie = format!("{COOKIE_NAME}={expected}; HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000");
    let mut answer = StatusCode::SEE_OTHER.into_response();
    let headers = answer.headers_mut();
    headers.insert(SET_COOKIE, HeaderValue::from_str(&cookie).ok()?);
    // Relative: a proxy may have put a path before ours.
    headers.insert(LOCATION, HeaderValue::from_static("./"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(answer)
}

/// Why a request is not one of the page's own or of a program's.
fn foreign(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_navigation = text("sec-fetch-mode") == Some("navigate") && method == Method::GET;
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
        && !is_navigation
    {
        return Some("the request comes from a page of another site");
    }
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let is_json = text(CONTENT_TYPE.as_str()).is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Some("the Content-Type must be application/json");
    }
    // Behind a proxy the Host may be another; then the browser has said that the site is the same.
    let is_said = text("sec-fetch-site").is_some();
    match (text(ORIGIN.as_str()), text(HOST.as_str())) {
        (Some(origin), Some(host))
            if !is_said && origin.split_once("://").is_none_or(|(_, at)| at != host) =>
        {
            Some("the Origin of the request is another site")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_is_brought_by_a_cookie_or_a_header() {
        let token = Token(Some("0123456789abcdef".into()));
        assert!(!token.is_brought_by(&HeaderMap::new()));
        for (name, value) in [
            ("authorization", "Bearer 0123456789abcdef"),
            ("cookie", "a=b; streamgauge-live=0123456789abcdef"),
        ] {
            assert!(token.is_brought_by(&headers(&[(name, value)])), "{value}");
        }
        for (name, value) in [
            ("authorization", "Bearer 0123456789abcde"),
            ("authorization", "0123456789abcdef"),
            ("cookie", "streamgauge-live2=0123456789abcdef"),
        ] {
            assert!(!token.is_brought_by(&headers(&[(name, value)])), "{value}");
        }
        assert!(Token(None).is_brought_by(&HeaderMap::new()));
    }

    #[test]
    fn the_link_gives_a_cookie_and_drops_the_token() {
        let token = Token(Some("0123456789abcdef".into()));
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let answer = exchange(&token, &Method::GET, &uri("/?token=0123456789abcdef")).unwrap();
        assert_eq!(answer.headers()[LOCATION], "./");
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
        assert!(exchange(&token, &Method::GET, &uri("/?token=wrong")).is_none());
        assert!(exchange(&token, &Method::GET, &uri("/")).is_none());
    }

    #[test]
    fn pages_of_other_sites_get_nothing() {
        let get = |pairs: &[_]| foreign(&Method::GET, &headers(pairs));
        let post = |pairs: &[_]| foreign(&Method::POST, &headers(pairs));
        assert_eq!(get(&[]), None);
        assert_eq!(get(&[("sec-fetch-site", "same-origin")]), None);
        assert!(get(&[("sec-fetch-site", "cross-site")]).is_some());
        assert!(get(&[("sec-fetch-site", "same-site")]).is_some());
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(get(&link), None, "a link in an alert");
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(post(&[json]), None, "a program");
        assert_eq!(
            post(&[
                json,
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://a"),
                ("host", "b")
            ]),
            None
        );
        for wrong in [
            &[("content-type", "text/plain")][..],
            &[("sec-fetch-site", "same-origin")],
            &[json, ("sec-fetch-site", "cross-site")],
            &[
                json,
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
            ],
            &[
                json,
                ("origin", "http://evil.example"),
                ("host", "127.0.0.1:9465"),
            ],
            &[json, ("origin", "null"), ("host", "127.0.0.1:9465")],
        ] {
            assert!(post(wrong).is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_is_needed_off_loopback() {
        let none = Path::new("");
        assert!(Token::choose(none, true).unwrap().0.is_none());
        let made = Token::choose(none, false).unwrap();
        assert_eq!(made.0.as_ref().unwrap().len(), 64);
        assert_ne!(made.0, Token::choose(none, false).unwrap().0);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(Token::choose(&file, true).is_err());
        std::fs::write(&file, "short\n").unwrap();
        assert!(matches!(
            Token::choose(&file, true),
            Err(TokenError::Unfit { .. })
        ));
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        assert_eq!(
            Token::choose(&file, true).unwrap().link_query(),
            "?token=0123456789abcdef"
        );
    }
}
