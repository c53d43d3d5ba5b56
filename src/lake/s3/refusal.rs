//! Interprets refusals of S3 and names their remedies.
//!
//! It parses the error's text, because delta-rs' kernel and the Parquet reader pass on nothing else.

use std::fmt;

use url::Url;

/// A refusal of S3. Except for expired credentials, a retry would not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub kind: RefusalKind,
    /// S3's error code, or the HTTP status if there is none.
    code: String,
    message: String,
    /// The request: its permission, and its object or prefix.
    request: Option<Request>,
    region: Option<String>,
}

/// Refusals by remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    Denied,
    UnknownKey,
    WrongSecret,
    InvalidToken,
    Expired,
    ClockSkew,
    WrongRegion,
    NoBucket,
    NotImplemented,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    permission: &'static str,
    on: String,
}

/// The wording of `object_store` for the failed request and the server's answer.
const REQUEST: &str = "Error performing ";
const STATUS: &str = "Server returned non-2xx status code: ";

/// Its wording for an object that a successful bulk deletion did not delete.
const DELETION: &str = "DeleteObjects request failed for key ";

/// Its wording for a redirect without a target.
const REDIRECT: &str = "incorrectly configured region";

impl Refusal {
    /// Parses the refusal from an error's text, if it is one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if !text.contains(REQUEST) && !text.contains(DELETION) {
            return None;
        }
        let answer = text.split_once(STATUS).map_or(text, |(_, answer)| answer);
        let status = answer.split([':', '\n']).next().unwrap_or_default().trim();
        let code = element(text, "Code").or_else(|| code_of_deletion(text));
        let kind = match code.and_then(kind_of) {
            Some(kind) => kind,
            None if text.contains(REDIRECT) => RefusalKind::WrongRegion,
            None if !text.contains(STATUS) => return None,
            None => kind_of_status(status)?,
        };
        Some(Refusal {
            kind,
            code: code.unwrap_or(status).to_owned(),
            message: element(text, "Message")
                .unwrap_or_default()
                .trim_end_matches('.')
                .to_owned(),
            request: Request::of(text),
            region: element(text, "Region").map(str::to_owned),
        })
    }

    fn advice(&self) -> String {
        let fixed = match self.kind {
            RefusalKind::Denied => match &self.request {
                Some(Request { permission, on }) => {
                    return format!("allow {permission} on {on} to the role or user that asks");
                }
                None => "allow it to the role or user that asks",
            },
            RefusalKind::UnknownKey => {
                "S3 does not know the access key: correct AWS_ACCESS_KEY_ID, the profile or [table.storage_options]"
            }
            RefusalKind::WrongSecret => {
                "the secret is not that of the access key: correct AWS_SECRET_ACCESS_KEY, the profile or [table.storage_options]"
            }
            RefusalKind::InvalidToken => {
                "the session token is not that of the access key: take key, secret and AWS_SESSION_TOKEN from one answer"
            }
            RefusalKind::Expired => {
                "the credentials have expired: get new ones, or let a profile or a role give them, which are renewed"
            }
            RefusalKind::ClockSkew => "this machine's clock is wrong by more than 15 minutes: set it",
            RefusalKind::WrongRegion => match &self.region {
                Some(region) => {
                    return format!("the bucket is in {region}: set AWS_REGION or aws_region to {region}");
                }
                None => "set AWS_REGION or aws_region to the bucket's region",
            },
            RefusalKind::NoBucket => "create the bucket, or correct table.uri",
            RefusalKind::NotImplemented => {
                "this S3 lacks conditional PUT (If-None-Match), without which two writers could overwrite each other: \
                 use AWS or a newer server"
            }
            RefusalKind::Other => "",
        };
        fixed.to_owned()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.code)?;
        // For the others, S3's message adds nothing to the advice.
        let is_telling = matches!(
            self.kind,
            RefusalKind::Denied
                | RefusalKind::InvalidToken
                | RefusalKind::NotImplemented
                | RefusalKind::Other
        );
        if is_telling && !self.message.is_empty() {
            write!(formatter, ": {}", self.message)?;
        }
        match self.advice().as_str() {
            "" => Ok(()),
            advice => write!(formatter, "; {advice}"),
        }
    }
}

/// The server that does not answer, if the error's text says that the request failed.
pub(crate) fn silent_endpoint(text: &str) -> Option<String> {
    if !text.contains("error sending request") {
        return None;
    }
    let (_, after) = text.rsplit_once(REQUEST)?;
    let url = Url::parse(after.split_whitespace().nth(1)?).ok()?;
    Some(url.origin().ascii_serialization())
}

/// S3's error codes that are not temporary.
fn kind_of(code: &str) -> Option<RefusalKind> {
    Some(match code {
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => RefusalKind::Denied,
        "InvalidAccessKeyId" | "UserNotFound" => RefusalKind::UnknownKey,
        "SignatureDoesNotMatch" => RefusalKind::WrongSecret,
        "InvalidToken" => RefusalKind::InvalidToken,
        "ExpiredToken" | "TokenRefreshRequired" => RefusalKind::Expired,
        "RequestTimeTooSkewed" => RefusalKind::ClockSkew,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            RefusalKind::WrongRegion
        }
        "NoSuchBucket" | "InvalidBucketName" => RefusalKind::NoBucket,
        "NotImplemented" => RefusalKind::NotImplemented,
        _ => return None,
    })
}

/// The HTTP status of servers without an S3 error code.
fn kind_of_status(status: &str) -> Option<RefusalKind> {
    Some(match status.split_whitespace().next()? {
        "301" => RefusalKind::WrongRegion,
        "403" => RefusalKind::Denied,
        "401" | "404" | "405" => RefusalKind::Other,
        _ => return None,
    })
}

/// The text of an element in S3's XML documents, which are flat.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    Some(after.split_once('<')?.0)
}

fn code_of_deletion(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("(code: ")?;
    Some(after.split_once(')')?.0)
}

impl Request {
    fn of(text: &str) -> Option<Self> {
        if let Some((_, after)) = text.split_once(DELETION) {
            return Some(Request {
                permission: "s3:DeleteObject",
                on: after.split(": ").next().unwrap_or_default().to_owned(),
            });
        }
        let (_, after) = text.rsplit_once(REQUEST)?;
        let mut words = after.split_whitespace();
        let (method, url) = (words.next()?, Url::parse(words.next()?).ok()?);
        let parameter = |name: &str| {
            url.query_pairs()
                .find(|(other, _)| other == name)
                .map(|(_, value)| value)
        };
        let is_listing = parameter("list-type").is_some();
        let permission = match method {
            "GET" if is_listing => "s3:ListBucket",
            "GET" | "HEAD" => "s3:GetObject",
            "PUT" => "s3:PutObject",
            "POST" if parameter("delete").is_none() => "s3:PutObject",
            "DELETE" if parameter("uploadId").is_some() => "s3:AbortMultipartUpload",
            "POST" | "DELETE" => "s3:DeleteObject",
            _ => return None,
        };
        let path = url.path().trim_matches('/');
        let on = match parameter("prefix") {
            Some(prefix) if is_listing => format!("{path} for the prefix {prefix}"),
            _ => path.to_owned(),
        };
        Some(Request { permission, on })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, code: &str, more: &str) -> String {
        format!(
            "Generic S3 error: Error performing list request: Error performing GET http://127.0.0.1:7070/lake?list-type=2&prefix=usage%2F_delta_log%2F \
             in 1.2ms - {STATUS}{status}: <?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>No.</Message>{more}</Error>"
        )
    }

    #[test]
    fn a_refusal_is_one_line_that_says_what_to_do() {
        for (status, code, more, expected) in [
            (
                "403 Forbidden",
                "AccessDenied",
                "",
                "AccessDenied: No; allow s3:ListBucket on lake for the prefix usage/_delta_log/ to the role or user that asks",
            ),
            (
                "403 Forbidden",
                "InvalidAccessKeyId",
                "",
                "correct AWS_ACCESS_KEY_ID, the profile or [table.storage_options]",
            ),
            (
                "403 Forbidden",
                "SignatureDoesNotMatch",
                "",
                "correct AWS_SECRET_ACCESS_KEY, the profile or [table.storage_options]",
            ),
            (
                "400 Bad Request",
                "ExpiredToken",
                "",
                "or let a profile or a role give them, which are renewed",
            ),
            (
                "403 Forbidden",
                "RequestTimeTooSkewed",
                "",
                "wrong by more than 15 minutes: set it",
            ),
            (
                "404 Not Found",
                "NoSuchBucket",
                "",
                "NoSuchBucket; create the bucket, or correct table.uri",
            ),
            (
                "400 Bad Request",
                "AuthorizationHeaderMalformed",
                "<Region>eu-west-1</Region>",
                "the bucket is in eu-west-1: set AWS_REGION or aws_region to eu-west-1",
            ),
            (
                "400 Bad Request",
                "PermanentRedirect",
                "",
                "set AWS_REGION or aws_region to the bucket's region",
            ),
            (
                "501 Not Implemented",
                "NotImplemented",
                "",
                "use AWS or a newer server",
            ),
        ] {
            let message = Refusal::of(&answer(status, code, more)).unwrap().to_string();
            assert!(
                message.ends_with(expected) && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn only_answers_that_will_not_change_are_refusals() {
        for (status, code) in [
            ("409 Conflict", "ConditionalRequestConflict"),
            ("503 Slow Down", "SlowDown"),
            ("500 Internal Server Error", "InternalError"),
            ("400 Bad Request", "RequestTimeout"),
        ] {
            assert_eq!(Refusal::of(&answer(status, code, "")), None, "{status}");
        }
        assert_eq!(
            Refusal::of("Generic S3 error: HTTP error: error sending request"),
            None
        );
        let deletion =
            "Generic S3 error: DeleteObjects request failed for key usage/a.parquet: No (code: AccessDenied)";
        let message = Refusal::of(deletion).unwrap().to_string();
        assert_eq!(
            message,
            "AccessDenied; allow s3:DeleteObject on usage/a.parquet to the role or user that asks"
        );
        let bare = format!(
            "Error performing HEAD https://s3.eu-west-1.amazonaws.com/lake/a in 1ms - {STATUS}403 Forbidden: "
        );
        let message = Refusal::of(&bare).unwrap().to_string();
        assert_eq!(
            message,
            "403 Forbidden; allow s3:GetObject on lake/a to the role or user that asks"
        );
    }

    #[test]
    fn each_request_names_the_permission_it_takes() {
        for (request, expected) in [
            (
                "PUT https://s3.eu-west-1.amazonaws.com/lake/usage/a.parquet",
                "s3:PutObject on lake/usage/a.parquet",
            ),
            (
                "POST https://s3.eu-west-1.amazonaws.com/lake?delete",
                "s3:DeleteObject on lake",
            ),
            (
                "POST https://s3.eu-west-1.amazonaws.com/lake/a?uploads=",
                "s3:PutObject on lake/a",
            ),
            (
                "DELETE https://s3.eu-west-1.amazonaws.com/lake/a?uploadId=7",
                "s3:AbortMultipartUpload on lake/a",
            ),
        ] {
            let request = Request::of(&format!("Error performing {request} in 1ms - x")).unwrap();
            assert_eq!(format!("{} on {}", request.permission, request.on), expected);
        }
    }
}
