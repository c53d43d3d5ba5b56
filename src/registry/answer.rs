//! What a registry answers.

use serde::Deserialize;

/// A schema, as `GET /schemas/ids/{id}` and `GET /subjects/{subject}/versions/{version}` have it.
#[derive(Debug, Deserialize)]
pub(super) struct SchemaAnswer {
    pub(super) schema: String,
    /// Absent for Avro.
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    pub(super) references: Vec<Reference>,
}

/// Another schema that one refers to.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) subject: String,
    pub(super) version: i64,
}

impl SchemaAnswer {
    /// `AVRO`, `JSON` or `PROTOBUF`.
    pub(super) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("AVRO")
    }
}

/// What comes with a status that is not 200.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    error_code: Option<i64>,
    #[serde(default)]
    message: String,
}

impl Refusal {
    /// Reads a body, whatever it is: a proxy's are pages.
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether the registry itself says that it has no such schema.
    pub(super) fn is_missing_schema(&self) -> bool {
        const SCHEMA_NOT_FOUND: i64 = 40_403;
        self.error_code == Some(SCHEMA_NOT_FOUND)
    }

    /// Its own words, as the end of a sentence.
    pub(super) fn message(&self) -> String {
        const LONGEST: usize = 200;
        match self.message.is_empty() {
            true => String::new(),
            false => format!(": {}", self.message.chars().take(LONGEST).collect::<String>()),
        }
    }
}
