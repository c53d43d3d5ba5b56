//! The schemas that messages were written with, by the ids or fingerprints that are in front of them.
//!
//! A fingerprint is one of a schema that was given before the first record. Schemas with ids only ever grow: whoever asks a registry adds what it learned, and the decoder reads. So a decision depends on the
//! record and on what its id means, which does not change. The one thing that may: an id that the registry did not have
//! may be there later.
//!
//! Absent from this room: registries, and what becomes of records whose schema is not here yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::format::avro;
use super::payload::{confluent_schema_id, long_schema_id};
use super::schema_header::id_in_headers;
use super::{Reason, Rejection};
use crate::reading::{Header, RecordBlock};

/// What stands in front of a message: a zero, and the schema's id in four bytes.
const PREFIX_BYTES: usize = 5;
/// So many ids are kept; of more, the messages are dead letters. Schemas are made by people, one at a time.
const MOST_SCHEMAS: usize = 10_000;
const BUCKETS: usize = 256;

/// What messages behind an id are.
#[derive(Debug, PartialEq)]
pub(crate) enum Schema {
    Avro(avro::Schema),
    Json,
    /// Something that is not read, in words.
    Unusable(String),
}

/// What messages in Avro's single-object encoding are, by the fingerprint in front of them.
pub(crate) type Fingerprinted = HashMap<avro::Fingerprint, Schema>;

/// Schemas by id and by fingerprint; shared by those who read them and who add to them.
#[derive(Debug)]
pub struct Schemas {
    buckets: [Bucket; BUCKETS],
    count: AtomicUsize,
    fingerprinted: OnceLock<Arc<Fingerprinted>>,
}

/// The first of a chain, in which nothing ever moves: so what was found may be borrowed while others are added.
type Bucket = OnceLock<Box<Entry>>;

#[derive(Debug)]
struct Entry {
    id: u32,
    schema: OnceLock<Schema>,
    /// The registry has none of this id, or had none when it was last asked.
    is_absent: AtomicBool,
    next: Bucket,
}

impl Default for Schemas {
    fn default() -> Self {
        Schemas {
            buckets: [const { OnceLock::new() }; BUCKETS],
            count: AtomicUsize::new(0),
            fingerprinted: OnceLock::new(),
        }
    }
}

impl Schemas {
    /// Takes the schemas that have fingerprints. The first that are given stay.
    pub(crate) fn give(&self, fingerprinted: Arc<Fingerprinted>) {
        let _ = self.fingerprinted.set(fingerprinted);
    }

    /// Notes what an id means. The first that is noted stays.
    pub(crate) fn learn(&self, id: u32, schema: Schema) {
        let entry = self.entry(id);
        // An id never means anything else: https://docs.confluent.io calls schemas immutable.
        let _ = entry.schema.set(schema);
        entry.is_absent.store(false, Ordering::Release);
    }

    /// Notes that the registry has no schema of this id at the moment.
    pub(crate) fn note_absent(&self, id: u32) {
        self.entry(id).is_absent.store(true, Ordering::Release);
    }

    /// Whether messages with this id can be decided.
    fn is_decided(&self, id: u32) -> bool {
        self.find(id)
            .is_some_and(|entry| entry.schema.get().is_some() || entry.is_absent.load(Ordering::Acquire))
    }

    /// The ids in a block that nothing is known of, each once; and those that the registry had nothing of.
    pub(crate) fn open_ids(&self, block: &RecordBlock) -> OpenIds {
        let mut open = OpenIds::default();
        let mut last = None;
        for record in block.iter() {
            let id = match id_in_headers(record.headers) {
                Some(id) => id.ok(),
                None => record.value.and_then(confluent_schema_id),
            };
            // Most records have the id of the one before.
            let Some(id) = id.filter(|id| last != Some(*id)) else {
                continue;
            };
            last = Some(id);
            let entry = self.find(id);
            if entry.is_some_and(|entry| entry.schema.get().is_some()) {
                continue;
            }
            let count = self.count.load(Ordering::Relaxed) + open.unknown.len();
            let ids = if self.is_decided(id) {
                &mut open.absent
            } else {
                &mut open.unknown
            };
            if (entry.is_some() || count < MOST_SCHEMAS) && !ids.contains(&id) {
                ids.push(id);
            }
        }
        open
    }

    /// The schema of a message, and what is behind its id or fingerprint. An id in a header says that there is none in front.
    ///
    /// # Errors
    /// The [`Rejection`] of a message without either, or whose id or fingerprint means nothing.
    pub(super) fn split<'a>(
        &'a self,
        headers: &[Header],
        bytes: &'a [u8],
    ) -> Result<(&'a Schema, &'a [u8]), Rejection> {
        if let Some(id) = id_in_headers(headers) {
            return self.by_id(id?).map(|schema| (schema, bytes));
        }
        if let Some((fingerprint, content)) = avro::single_object(bytes) {
            return self.by_fingerprint(fingerprint).map(|schema| (schema, content));
        }
        if let Some(id) = long_schema_id(bytes) {
            let detail = format!(
                "the id in front of it has eight bytes ({id}), as Apicurio's serializers write them; \
                 apicurio.registry.as-confluent = true with use-id = contentId writes one that is read"
            );
            return Err(Rejection::new(Reason::UnknownSchema, detail));
        }
        let Some((id, content)) = confluent_schema_id(bytes).zip(bytes.get(PREFIX_BYTES..)) else {
            let detail = "it does not begin with the id of a schema, as Confluent's serializers write it; \
                          reading.avro_schema reads messages without one";
            return Err(Rejection::new(Reason::InvalidAvro, detail));
        };
        self.by_id(id).map(|schema| (schema, content))
    }

    fn by_id(&self, id: u32) -> Result<&Schema, Rejection> {
        let entry = self.find(id);
        match entry.and_then(|entry| entry.schema.get()) {
            Some(Schema::Unusable(why)) => {
                let detail = format!("schema id {id}: {why}");
                Err(Rejection::new(Reason::UnknownSchema, detail))
            }
            Some(schema) => Ok(schema),
            None => {
                let detail = match entry {
                    Some(_) => format!("the registry has no schema with the id {id}"),
                    None => format!(
                        "the registry was not asked for the schema with the id {id}: it is not set \
                         (schema_registry.url), or more than {MOST_SCHEMAS} ids have come"
                    ),
                };
                Err(Rejection::new(Reason::UnknownSchema, detail))
            }
        }
    }

    fn by_fingerprint(&self, fingerprint: avro::Fingerprint) -> Result<&Schema, Rejection> {
        let found = self.fingerprinted.get().and_then(|given| given.get(&fingerprint));
        found.ok_or_else(|| {
            let detail = format!("no schema of schema_registry.files has the fingerprint {fingerprint}");
            Rejection::new(Reason::UnknownSchema, detail)
        })
    }

    fn find(&self, id: u32) -> Option<&Entry> {
        let mut next = self.bucket(id).get();
        while let Some(entry) = next {
            if entry.id == id {
                return Some(entry);
            }
            next = entry.next.get();
        }
        None
    }

    fn entry(&self, id: u32) -> &Entry {
        let mut bucket = self.bucket(id);
        loop {
            let entry = bucket.get_or_init(|| {
                self.count.fetch_add(1, Ordering::Relaxed);
                Box::new(Entry {
                    id,
                    schema: OnceLock::new(),
                    is_absent: AtomicBool::new(false),
                    next: OnceLock::new(),
                })
            });
            if entry.id == id {
                return entry;
            }
            bucket = &entry.next;
        }
    }

    fn bucket(&self, id: u32) -> &Bucket {
        &self.buckets[id as usize % BUCKETS]
    }
}

/// Ids that a block needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenIds {
    /// Nothing is known of these.
    pub(crate) unknown: Vec<u32>,
    /// The registry had nothing of these when it was asked.
    pub(crate) absent: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Record, RecordHeaders};

    fn block(values: &[&[u8]]) -> RecordBlock {
        let mut block = RecordBlock::new(0, 0);
        for (offset, value) in (0..).zip(values) {
            let record = Record {
                offset,
                timestamp_ms: Some(0),
                key: None,
                value: Some(value),
                headers: &[],
            };
            block.push(record, None);
        }
        block
    }

    #[test]
    fn what_is_not_known_is_asked_for_once() {
        let schemas = Schemas::default();
        let message = |id: u8| [0, 0, 0, 0, id, b'x'];
        let (one, two, far) = (message(1), message(2), [0, 0, 0, 1, 1, b'x']);
        let block = block(&[&one, &one, &two, &one, b"{}", &far, b"\0\0"]);
        let open = |unknown: &[u32], absent: &[u32]| OpenIds {
            unknown: unknown.to_vec(),
            absent: absent.to_vec(),
        };
        assert_eq!(schemas.open_ids(&block), open(&[1, 2, 257], &[]));
        schemas.learn(1, Schema::Json);
        schemas.note_absent(257);
        assert_eq!(schemas.open_ids(&block), open(&[2], &[257]));
        assert_eq!(schemas.split(&[], &one), Ok((&Schema::Json, &b"x"[..])));
        let reason = |bytes| schemas.split(&[], bytes).map_err(|rejection| rejection.reason);
        assert_eq!(reason(&two), Err(Reason::UnknownSchema));
        assert_eq!(reason(&far), Err(Reason::UnknownSchema));
        assert_eq!(reason(b"{}"), Err(Reason::InvalidAvro));
        schemas.learn(257, Schema::Json);
        assert_eq!(schemas.open_ids(&block), open(&[2], &[]));
    }

    #[test]
    fn fingerprints_are_of_schemas_that_were_given_and_are_not_asked_for() {
        let schemas = Schemas::default();
        let schema = avro::Schema::parse([], "\"double\"").expect("a schema");
        let message = b"\xc3\x01\x7e\x95\xab\x32\xc0\x35\x75\x8e........";
        assert_eq!(schemas.open_ids(&block(&[message])), OpenIds::default());
        let unknown = schemas.split(&[], message).expect_err("not given yet");
        assert_eq!(unknown.reason, Reason::UnknownSchema);
        assert!(unknown.detail.contains("7e95ab32c035758e"), "{}", unknown.detail);
        let given = Fingerprinted::from([(schema.fingerprint(), Schema::Avro(schema.clone()))]);
        schemas.give(Arc::new(given));
        assert_eq!(
            schemas.split(&[], message),
            Ok((&Schema::Avro(schema), &b"........"[..]))
        );
        assert_eq!(
            schemas
                .split(&[], &message[..9])
                .map_err(|rejection| rejection.reason),
            Err(Reason::InvalidAvro)
        );
    }

    #[test]
    fn ids_of_eight_bytes_are_not_taken_for_shorter_ones() {
        let schemas = Schemas::default();
        let message = b"\0\0\0\0\0\0\0\0\x07x";
        assert_eq!(schemas.open_ids(&block(&[message])), OpenIds::default());
        let rejection = schemas.split(&[], message).expect_err("nobody asks");
        assert_eq!(rejection.reason, Reason::UnknownSchema);
        assert!(
            rejection.detail.contains("eight bytes (7)"),
            "{}",
            rejection.detail
        );
    }

    #[test]
    fn an_id_in_a_header_is_of_the_message_as_it_is() {
        let schemas = Schemas::default();
        let header = |name: &str| vec![(name.to_owned(), Some(vec![0, 0, 0, 0, 0, 0, 0, 7]))];
        // Which the bytes could be taken to name, too.
        let message = b"\0\0\0\0\x01x";
        let block_with = |headers: &[Header]| {
            let mut block = RecordBlock::new(0, 0);
            let record = Record {
                offset: 0,
                timestamp_ms: Some(0),
                key: None,
                value: Some(message),
                headers: &[],
            };
            let kept = RecordHeaders {
                kept: headers.to_vec(),
                ..RecordHeaders::default()
            };
            block.push(record, Some(kept));
            block
        };
        let by_content = header("apicurio.value.contentId");
        assert_eq!(schemas.open_ids(&block_with(&by_content)).unknown, [7]);
        schemas.learn(7, Schema::Json);
        assert_eq!(
            schemas.split(&by_content, message),
            Ok((&Schema::Json, &message[..]))
        );
        let global = header("apicurio.value.globalId");
        assert_eq!(schemas.open_ids(&block_with(&global)), OpenIds::default());
        let rejection = schemas
            .split(&global, message)
            .expect_err("an id of another kind");
        assert_eq!(rejection.reason, Reason::UnknownSchema);
    }

    #[test]
    fn ids_beyond_a_bound_are_not_asked_for() {
        let schemas = Schemas::default();
        for id in 10..10 + MOST_SCHEMAS as u32 {
            schemas.note_absent(id);
        }
        let (known, new) = ([0, 0, 0, 0, 10, b'x'], [0, 0, 0, 0, 1, b'x']);
        let open = schemas.open_ids(&block(&[&new, &known]));
        assert_eq!((open.unknown, open.absent), (vec![], vec![10]));
        let rejection = schemas.split(&[], &new).expect_err("nobody asked");
        assert_eq!(rejection.reason, Reason::UnknownSchema);
    }
}
