//! What stands in front of a message says which schema it was written with: an id that a registry knows, or a fingerprint of
//! a schema that lies in a file.
//!
//! Files are read once, at the start. A registry is asked until its answer is definite (ADR 23).
//!
//! Absent from this room: subjects and their compatibility, writing of any kind, and what becomes of messages.

mod answer;
mod error;
mod files;
mod server;
mod settings;

use std::sync::Arc;

use crate::decode::{self, Fingerprinted, Schemas};
use crate::reading::RecordBlock;
pub(crate) use error::RegistryError;
use files::SchemaFiles;
use server::Server;
pub use settings::Settings;

/// The registry of the settings, and their files.
#[derive(Debug)]
pub struct Registry {
    server: Option<Server>,
    fingerprinted: Arc<Fingerprinted>,
}

impl Registry {
    /// Reads the files of the settings; sends nothing yet. `None`, if there is neither a registry nor a schema.
    ///
    /// # Errors
    /// [`RegistryError::File`], [`RegistryError::NotASchema`], [`RegistryError::TwoMeanings`],
    /// [`RegistryError::Certificates`], [`RegistryError::Client`].
    pub(crate) fn open(settings: &Settings) -> Result<Option<Self>, RegistryError> {
        let server = Server::open(settings)?;
        let files = SchemaFiles::read(&settings.files)?;
        let is_there = server.is_some() || !settings.files.is_empty();
        Ok(is_there.then(|| Registry {
            server,
            fingerprinted: Arc::new(files.fingerprinted),
        }))
    }

    /// Gives what was in files to those who read by it. Whether there is a registry to ask for more.
    pub(crate) fn introduce(&self, schemas: &Schemas) -> bool {
        schemas.give(Arc::clone(&self.fingerprinted));
        self.server.is_some()
    }

    /// Asks for each id until the answer is definite, and adds the answers; nobody, where there is no registry. `waits` is
    /// called with what stands in the way, whenever that is found out.
    pub(crate) async fn learn(&self, schemas: &Schemas, ids: &[u32], waits: impl FnMut(&RegistryError)) {
        if let Some(server) = &self.server {
            server.learn(schemas, ids, waits).await;
        }
    }
}

/// Whether the registry of the settings answers as one, and what is in their files, in words; `None`, if there are neither.
///
/// # Errors
/// [`RegistryError`]: why it does not.
pub(crate) async fn look(settings: &Settings) -> Result<Option<String>, RegistryError> {
    let mut found = Vec::new();
    if let Some(server) = Server::open(settings)? {
        found.push(server.look().await?);
    }
    let files = SchemaFiles::read(&settings.files)?;
    if !settings.files.is_empty() {
        found.push(files.description);
    }
    Ok((!found.is_empty()).then(|| found.join("; ")))
}

/// Learns the schemas of a sample, where the settings name a registry or files and no schema.
///
/// # Errors
/// [`RegistryError`]: why there is no answer.
pub(crate) async fn learn_schemas(
    settings: &Settings,
    reading: &decode::Settings,
    sample: &[RecordBlock],
    schemas: &Schemas,
) -> Result<(), RegistryError> {
    let Some(registry) = Registry::open(settings)?.filter(|_| !reading.avro_schema.is_given()) else {
        return Ok(());
    };
    registry.introduce(schemas);
    if let Some(server) = &registry.server {
        for block in sample {
            for id in schemas.open_ids(block).unknown {
                server.ask(schemas, id).await?;
            }
        }
    }
    Ok(())
}
