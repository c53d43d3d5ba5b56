//! Why the registry has not answered.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::printable::with_causes;

/// What stands in the way of a schema. None of it holds a password: those of the URL are taken out of it first.
#[derive(Debug, Error)]
pub(crate) enum RegistryError {
    #[error("cannot read {}: {source}; see {setting}", path.display())]
    File {
        path: PathBuf,
        setting: &'static str,
        source: io::Error,
    },
    #[error("{} is not a schema of Avro: {why}; each of schema_registry.files holds one, as JSON", path.display())]
    NotASchema { path: PathBuf, why: String },
    #[error(
        "{} and {} have the same fingerprint {fingerprint} and different logical types, which no message tells apart; take \
         one of them out of schema_registry.files",
        first.display(),
        second.display()
    )]
    TwoMeanings {
        first: PathBuf,
        second: PathBuf,
        fingerprint: String,
    },
    #[error("schema_registry.ca_file {} holds no certificates in PEM: {source}", path.display())]
    Certificates { path: PathBuf, source: reqwest::Error },
    #[error("cannot set up the connection to the schema registry: {source}")]
    Client { source: reqwest::Error },
    #[error(
        "cannot reach the schema registry at {url}: {}; does it run, and is schema_registry.url right?",
        with_causes(source)
    )]
    Unreachable { url: String, source: reqwest::Error },
    #[error(
        "the schema registry at {url} refuses with {status}{message}; set schema_registry.username and \
         schema_registry.password, or give that user the right to read schemas"
    )]
    NotAllowed {
        url: String,
        status: u16,
        message: String,
    },
    #[error(
        "nothing at {url} answers as a schema registry does (404{message}); is schema_registry.url right? \
         Apicurio's ends in /apis/ccompat/v7"
    )]
    NoRegistry { url: String, message: String },
    #[error("the schema registry at {url} fails with {status}{message}; see its own log")]
    Refused {
        url: String,
        status: u16,
        message: String,
    },
    #[error(
        "the schema registry at {url} answers with more than {most} bytes; is schema_registry.url right?"
    )]
    TooLarge { url: String, most: usize },
    #[error("the answer of {url} is not that of a schema registry: {source}; is schema_registry.url right?")]
    NotAnAnswer { url: String, source: serde_json::Error },
}
