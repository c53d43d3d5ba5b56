//! The schema registry: what an id in front of a message means.
//!
//! One question, `GET /schemas/ids/{id}`, which Confluent's registry, Karapace and Redpanda answer alike, and Apicurio below
//! `/apis/ccompat/v7`. Only a definite "there is none" (404 with the code 40403) is an answer; everything else is waited for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, StatusCode};
use tracing::{info, warn};
use url::Url;

use super::Settings;
use super::answer::{Refusal, SchemaAnswer};
use super::error::RegistryError;
use crate::clock;
use crate::decode::{Schema, Schemas, avro};
use crate::secret_file;
use crate::telemetry::LogLimiter;
use crate::web_client::{self, bounded};

/// The largest answer, in bytes; schemas of readings have a few thousand.
const LARGEST_ANSWER: usize = 4 * 1_048_576;
/// Schemas that one may refer to, over all steps.
const MOST_REFERENCES: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The registry of the settings.
#[derive(Debug)]
pub(super) struct Server {
    http: reqwest::Client,
    url: Url,
    credentials: Option<(String, String)>,
    log_limiter: Mutex<LogLimiter<()>>,
}

impl Server {
    /// Reads the files of the settings; sends nothing yet. `None`, if there is no registry.
    ///
    /// # Errors
    /// [`RegistryError::File`], [`RegistryError::Certificates`], [`RegistryError::Client`].
    pub(super) fn open(settings: &Settings) -> Result<Option<Self>, RegistryError> {
        let Ok(mut url) = Url::parse(&settings.url) else {
            return Ok(None);
        };
        let credentials = credentials(settings, &mut url)?;
        let mut builder = web_client::builder().timeout(settings.timeout);
        for certificate in authorities(settings)? {
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder
            .build()
            .map_err(|source| RegistryError::Client { source })?;
        Ok(Some(Server {
            http,
            url,
            credentials,
            log_limiter: Mutex::new(LogLimiter::new(LOG_INTERVAL)),
        }))
    }

    /// Asks for each id until the answer is definite, and adds the answers. `waits` is called with what stands in the way,
    /// whenever that is found out.
    pub(super) async fn learn(&self, schemas: &Schemas, ids: &[u32], mut waits: impl FnMut(&RegistryError)) {
        for &id in ids {
            let mut pause = FIRST_PAUSE;
            while let Err(error) = self.ask(schemas, id).await {
                self.warn(id, &error);
                waits(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            if pause > FIRST_PAUSE {
                info!(id, "the schema registry answers again; going on");
            }
        }
    }

    fn warn(&self, id: u32, error: &RegistryError) {
        let mut limiter = self.log_limiter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(suppressed) = limiter.admit((), clock::instant()) {
            warn!(
                id,
                suppressed, "waiting for the schema registry, and holding the records behind it: {error}"
            );
        }
    }

    /// Whether it answers as a registry does, in words.
    pub(super) async fn look(&self) -> Result<String, RegistryError> {
        /// Whether there is a schema of this id does not matter.
        const SOME_ID: u32 = 1;
        self.ask(&Schemas::default(), SOME_ID).await?;
        Ok(format!("{} answers", self.url))
    }

    /// Asks for an id, and adds the answer if it is definite.
    pub(super) async fn ask(&self, schemas: &Schemas, id: u32) -> Result<(), RegistryError> {
        let answer = self.get(&["schemas", "ids", &id.to_string()]).await?;
        match answer {
            Ok(answer) => schemas.learn(id, self.read(answer).await?),
            Err(refusal) if refusal.is_missing_schema() => schemas.note_absent(id),
            Err(refusal) => return Err(self.refused(StatusCode::NOT_FOUND, &refusal)),
        }
        Ok(())
    }

    /// What an answer means, with the schemas that it refers to.
    async fn read(&self, answer: SchemaAnswer) -> Result<Schema, RegistryError> {
        match answer.kind() {
            "AVRO" => {}
            "JSON" => return Ok(Schema::Json),
            other => {
                let kind: String = other.chars().take(20).collect();
                return Ok(Schema::Unusable(format!(
                    "it is one of {kind}, which is not read"
                )));
            }
        }
        let text = answer.schema.clone();
        let referenced = match self.referenced(answer).await? {
            Ok(referenced) => referenced,
            Err(why) => return Ok(Schema::Unusable(why)),
        };
        Ok(
            match avro::Schema::parse(referenced.iter().map(String::as_str), &text) {
                Ok(schema) => Schema::Avro(schema),
                Err(why) => Schema::Unusable(format!("it cannot be read: {why}")),
            },
        )
    }

    /// The schemas that one refers to, directly or not, each behind those that it needs itself.
    async fn referenced(&self, answer: SchemaAnswer) -> Result<Result<Vec<String>, String>, RegistryError> {
        let mut found: Vec<(String, i64, String)> = Vec::new();
        let mut open = answer.references;
        let mut steps = 0;
        while let Some(reference) = open.pop() {
            steps += 1;
            if steps > MOST_REFERENCES {
                return Ok(Err(format!("it refers to more than {MOST_REFERENCES} others")));
            }
            let version = reference.version.to_string();
            let path = ["subjects", &reference.subject, "versions", &version];
            let answer = match self.get(&path).await? {
                Ok(answer) => answer,
                Err(_) => {
                    let subject: String = reference.subject.chars().take(60).collect();
                    return Ok(Err(format!(
                        "it refers to version {version} of the subject {subject}, which the registry does not have"
                    )));
                }
            };
            // What is needed twice is needed by the later one, too.
            let is_same =
                |known: &(String, i64, String)| known.0 == reference.subject && known.1 == reference.version;
            found.retain(|known| !is_same(known));
            found.push((reference.subject, reference.version, answer.schema));
            open.extend(answer.references);
        }
        Ok(Ok(found.into_iter().rev().map(|(_, _, text)| text).collect()))
    }

    /// Asks for a path below the registry's. The inner error is a 404.
    async fn get(&self, path: &[&str]) -> Result<Result<SchemaAnswer, Refusal>, RegistryError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let unreachable = |source: reqwest::Error| RegistryError::Unreachable {
            url: self.url.to_string(),
            source: source.without_url(),
        };
        let mut request = self.http.get(url).header(
            reqwest::header::ACCEPT,
            "application/vnd.schemaregistry.v1+json, application/json",
        );
        if let Some((name, password)) = &self.credentials {
            request = request.basic_auth(name, Some(password));
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = bounded(response, LARGEST_ANSWER).await.map_err(unreachable)?;
        let body = body.ok_or_else(|| RegistryError::TooLarge {
            url: self.url.to_string(),
            most: LARGEST_ANSWER,
        })?;
        match status {
            StatusCode::OK => match serde_json::from_slice(&body) {
                Ok(answer) => Ok(Ok(answer)),
                Err(source) => Err(RegistryError::NotAnAnswer {
                    url: self.url.to_string(),
                    source,
                }),
            },
            StatusCode::NOT_FOUND => Ok(Err(Refusal::read(&body))),
            status => Err(self.refused(status, &Refusal::read(&body))),
        }
    }

    fn refused(&self, status: StatusCode, refusal: &Refusal) -> RegistryError {
        let url = self.url.to_string();
        let (status, message) = (status.as_u16(), refusal.message());
        match status {
            401 | 403 => RegistryError::NotAllowed { url, status, message },
            404 => RegistryError::NoRegistry { url, message },
            _ => RegistryError::Refused { url, status, message },
        }
    }
}

/// Name and password: of the settings, or of the URL, from which they are taken out.
fn credentials(settings: &Settings, url: &mut Url) -> Result<Option<(String, String)>, RegistryError> {
    let password = match settings.password_file.as_os_str().is_empty() {
        true => settings.password.clone(),
        false => read(&settings.password_file)?,
    };
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let in_url = (
        decoded(url.username()),
        decoded(url.password().unwrap_or_default()),
    );
    // Neither fails for a URL with a host, which the settings' rules ask for.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let given = (settings.username.clone(), password);
    let used = if given.0.is_empty() { in_url } else { given };
    Ok((!used.0.is_empty()).then_some(used))
}

fn authorities(settings: &Settings) -> Result<Vec<Certificate>, RegistryError> {
    if settings.ca_file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let text = read(&settings.ca_file)?;
    Certificate::from_pem_bundle(text.as_bytes()).map_err(|source| RegistryError::Certificates {
        path: settings.ca_file.clone(),
        source,
    })
}

fn read(path: &std::path::Path) -> Result<String, RegistryError> {
    secret_file::read(path).map_err(|source| RegistryError::File {
        path: path.to_owned(),
        setting: "schema_registry.password_file and schema_registry.ca_file",
        source,
    })
}
