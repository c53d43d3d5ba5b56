//! Turns answers of S3 that `object_store` would drop or retry into ones that it reports at once.

use futures::future::BoxFuture;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Connects as `object_store` does, and inspects each answer.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Answers { client }))
    }
}

#[derive(Debug)]
struct Answers {
    client: HttpClient,
}

const BUCKET_REGION: &str = "x-amz-bucket-region";
const BAD_REQUEST: u16 = 400;
const NOT_IMPLEMENTED: u16 = 501;

impl HttpService for Answers {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(rewritten(self.client.execute(request).await?)) })
    }
}

/// A redirect to another region names it in a header, and no retry helps a store that lacks a feature.
fn rewritten(response: HttpResponse) -> HttpResponse {
    let (mut parts, mut body) = response.into_parts();
    let region = parts
        .headers
        .get(BUCKET_REGION)
        .and_then(|region| region.to_str().ok());
    let refused = match region {
        Some(region) if parts.status.is_redirection() => {
            body = format!("<Error><Code>PermanentRedirect</Code><Region>{region}</Region></Error>").into();
            true
        }
        _ => parts.status.as_u16() == NOT_IMPLEMENTED,
    };
    if refused && let Ok(status) = BAD_REQUEST.try_into() {
        parts.status = status;
    }
    HttpResponse::from_parts(parts, body)
}
