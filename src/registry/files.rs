//! Schemas in files, by their fingerprints.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::RegistryError;
use crate::decode::{Fingerprinted, Schema, avro};
use crate::small_file;

/// The largest file; schemas of readings have a few thousand bytes.
const LARGEST_KIB: u64 = 1024;

/// What files of schemas hold.
#[derive(Debug)]
pub(super) struct SchemaFiles {
    pub(super) fingerprinted: Fingerprinted,
    /// Each file with the fingerprint of its schema, in words.
    pub(super) description: String,
}

impl SchemaFiles {
    /// Reads files of one schema each. Two of one fingerprint must mean the same.
    ///
    /// # Errors
    /// [`RegistryError::File`], [`RegistryError::NotASchema`], [`RegistryError::TwoMeanings`].
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut found = HashMap::new();
        let mut descriptions = Vec::new();
        for path in paths {
            let schema = read(path)?;
            let fingerprint = schema.fingerprint();
            descriptions.push(format!("{} has the fingerprint {fingerprint}", path.display()));
            let (first, known) = found.entry(fingerprint).or_insert((path, schema.clone()));
            if *known != schema {
                return Err(RegistryError::TwoMeanings {
                    first: first.clone(),
                    second: path.clone(),
                    fingerprint: fingerprint.to_string(),
                });
            }
        }
        let schemas = found.into_iter();
        Ok(SchemaFiles {
            fingerprinted: schemas
                .map(|(fingerprint, (_, schema))| (fingerprint, Schema::Avro(schema)))
                .collect(),
            description: descriptions.join(", "),
        })
    }
}

fn read(path: &Path) -> Result<avro::Schema, RegistryError> {
    let text = small_file::read(path, LARGEST_KIB).map_err(|source| RegistryError::File {
        path: path.to_owned(),
        setting: "schema_registry.files",
        source,
    })?;
    avro::Schema::parse([], &text).map_err(|why| RegistryError::NotASchema {
        path: path.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    #[test]
    fn schemas_of_one_fingerprint_must_mean_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| file(folder.path(), name, text);
        let record = |kind: &str| {
            format!(
                r#"{{"type": "record", "name": "R", "doc": "x", "fields": [{{"name": "t", "type": {kind}}}]}}"#
            )
        };
        let plain = file("plain.avsc", &record(r#""long""#));
        let same = file("same.avsc", &record(r#"{"type": "long", "unit": "ms"}"#));
        let other = file(
            "other.avsc",
            &record(r#"{"type": "long", "logicalType": "timestamp-millis"}"#),
        );
        let double = file("double.avsc", "\"double\"\n");
        let files = SchemaFiles::read(&[plain.clone(), same, double]).expect("two schemas");
        assert_eq!(files.fingerprinted.len(), 2);
        assert!(
            files
                .description
                .contains("double.avsc has the fingerprint 7e95ab32c035758e"),
            "{}",
            files.description
        );
        let error = SchemaFiles::read(&[plain, other])
            .expect_err("logical types differ")
            .to_string();
        assert!(
            error.contains("plain.avsc and ") && error.contains("other.avsc have the same fingerprint"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_no_schema_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let broken = file(folder.path(), "broken.avsc", "{\"type\": \"rekord\"}");
        let error = SchemaFiles::read(&[broken]).expect_err("no schema").to_string();
        assert!(
            error.contains("broken.avsc") && error.contains("there is no type rekord"),
            "{error}"
        );
        let missing = SchemaFiles::read(&[folder.path().join("missing.avsc")]).expect_err("no file");
        assert!(missing.to_string().contains("schema_registry.files"), "{missing}");
    }
}
