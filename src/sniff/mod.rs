//! What a topic's records look like, what would become of them, and which settings read them.
//!
//! A sample goes in, a [`Report`] comes out: the fields, the outcome under the settings in force, and, where that is poor, a
//! proposal whose outcome on the same sample is known. Proposals come from the presets and from the fields themselves;
//! what reads the most records wins.
//!
//! Absent from this room: Kafka, files, terminals, and the layers of the configuration.

mod ambiguous;
mod candidates;
mod outcome;
mod profile;
mod proposal;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::decode::{
    Content, FormatName, Reason, SchemaSource, Schemas, Settings, Tree, content, documents, look, mended,
};
use crate::reading::{Record, RecordBlock};

pub(crate) use outcome::Outcome;
pub(crate) use proposal::Proposed;

use profile::Field;

/// A named set of settings to try.
#[derive(Debug, Clone)]
pub(crate) struct Preset {
    /// The value of `reading.preset`.
    pub name: String,
    /// The settings in force with that preset below them.
    pub settings: Settings,
}

/// What a sample looks like.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Records looked at.
    pub records: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// What the values look like, and how many.
    pub looks: BTreeMap<String, u64>,
    /// Records with a key, and the number of different keys.
    pub keyed: (u64, usize),
    /// The fields of the documents, in the order in which they were first seen.
    pub fields: Vec<FieldReport>,
    /// Documents that the fields were counted in.
    pub documents: usize,
    /// What becomes of the sample under the settings in force.
    pub in_force: Outcome,
    /// What reads more of it.
    pub proposal: Option<Proposal>,
}

/// A field of the documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldReport {
    /// The path as settings write it.
    pub path: String,
    /// Documents that have it.
    pub present: usize,
    /// What it holds, in words.
    pub kind: String,
    /// Different values that were seen.
    pub distinct: usize,
    /// Whether counting them was given up.
    pub has_more_values: bool,
    /// The most frequent values.
    pub examples: Vec<String>,
}

/// Settings that read the sample, and how well.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    /// Settings of `[reading]`.
    pub settings: Vec<Proposed>,
    /// Whether readings name what was measured, so that the table needs a column for it.
    pub has_measures: bool,
    /// Sentences about what could be meant instead.
    pub notes: Vec<String>,
    /// What becomes of the sample under them.
    pub outcome: Outcome,
}

/// Records that are profiled; all are decoded.
const MOST_PROFILED: usize = 5_000;
const EXAMPLES: usize = 3;

/// Looks at a sample: one block for each partition, in the order of the log; with the schemas of its records, as far as they
/// are known.
pub(crate) fn sniff(
    sample: &[RecordBlock],
    in_force: &Settings,
    presets: &[Preset],
    schemas: &Arc<Schemas>,
) -> Report {
    let source = &SchemaSource::new(in_force, Arc::clone(schemas));
    let records = || sample.iter().flat_map(RecordBlock::iter);
    let contents = |format: FormatName| -> Vec<Content<'_>> {
        let profiled = records().take(MOST_PROFILED);
        let contents = profiled.filter_map(|record| content_of(record, in_force.max_bytes, format));
        contents.collect()
    };
    let format = format_of(contents, source);
    let contents = contents(format);
    let trees: Vec<Tree<'_>> = contents
        .iter()
        .flat_map(|content| documents(content, format, source))
        .collect();
    let profile = proposal::profile(&trees);
    let now = Outcome::of(in_force, sample, schemas);
    let keyed = keys(records());
    let proposal = (!now.is_good()).then(|| {
        let of_fields = proposal::of_fields(&trees, &profile, keyed.1 > 1, in_force.time_zone);
        let best = best(sample, in_force, presets, of_fields, (format, schemas));
        best.filter(|proposal| {
            proposal.outcome.accepted > now.accepted || proposal.outcome.dead() < now.dead()
        })
    });
    Report {
        records: records().count() as u64,
        value_bytes: records()
            .map(|record| record.value.map_or(0, <[u8]>::len) as u64)
            .sum(),
        looks: looks(records(), in_force.max_bytes, format, source),
        keyed,
        fields: profile.fields.iter().map(field_report).collect(),
        documents: profile.documents,
        in_force: now,
        proposal: proposal.flatten(),
    }
}

/// The proposal that reads the most records; a preset, where it reads as many as settings by hand.
fn best(
    sample: &[RecordBlock],
    in_force: &Settings,
    presets: &[Preset],
    of_fields: Option<(Vec<Proposed>, Vec<String>)>,
    (format, schemas): (FormatName, &Arc<Schemas>),
) -> Option<Proposal> {
    let of_presets = presets.iter().map(|preset| {
        let mut settings = vec![Proposed::preset(&preset.name)];
        let mut tried = preset.settings.clone();
        // The same documents in another encoding.
        if matches!(
            (tried.format, format),
            (FormatName::OtlpJson, FormatName::OtlpProto) | (FormatName::Json, FormatName::Avro)
        ) {
            tried.format = format;
            settings.extend(Proposed::format(format));
        }
        Proposal {
            settings,
            has_measures: tried.has_measures(),
            notes: Vec::new(),
            outcome: Outcome::of(&tried, sample, schemas),
        }
    });
    let of_fields = of_fields.and_then(|(mut settings, notes)| {
        settings.splice(0..0, Proposed::format(format));
        let applied = proposal::applied(in_force, &settings)?;
        let mut outcome = Outcome::of(&applied, sample, schemas);
        // Records without an element are nothing to read, and nothing wrong.
        if outcome.rejected.contains_key(&Reason::Empty) && outcome.accepted > 0 {
            let with_skip = proposal::skipping(&settings, Reason::Empty);
            if let Some(applied) = proposal::applied(in_force, &with_skip) {
                (settings, outcome) = (with_skip, Outcome::of(&applied, sample, schemas));
            }
        }
        Some(Proposal {
            settings,
            has_measures: applied.has_measures(),
            notes,
            outcome,
        })
    });
    let reads = |proposal: &Proposal| (proposal.outcome.accepted, Reverse(proposal.outcome.dead()));
    // Of several that read as many, the last is taken.
    let found = of_fields.into_iter().chain(of_presets).max_by_key(reads)?;
    (found.outcome.accepted > 0).then_some(found)
}

/// What is in a record's value, as JSON where it is nearly JSON.
fn content_of(record: Record<'_>, max_bytes: usize, format: FormatName) -> Option<Content<'_>> {
    let content = content(record, max_bytes, format)?;
    match mended(&content.bytes) {
        Some(mended) if !format.is_binary() => Some(Content {
            bytes: Cow::Owned(mended),
            ..content
        }),
        _ => Some(content),
    }
}

/// The format that most records have.
fn format_of<'r>(contents: impl Fn(FormatName) -> Vec<Content<'r>>, schemas: &SchemaSource) -> FormatName {
    /// So many of another format at the beginning show that the topic is.
    const ENOUGH: usize = 10;
    let is_most = |contents: &[Content<'_>], format: FormatName| {
        let mut others = 0;
        for (number, content) in (1..).zip(contents) {
            others += usize::from(documents(content, format, schemas).is_empty());
            if others == number && number >= ENOUGH {
                return false;
            }
        }
        others * 2 < contents.len()
    };
    let texts = contents(FormatName::Json);
    let has_documents = |format: FormatName| is_most(&texts, format);
    match texts
        .iter()
        .find_map(|text| text.bytes.trim_ascii_start().first())
    {
        Some(b'{' | b'[') if has_documents(FormatName::OtlpJson) => FormatName::OtlpJson,
        Some(b'{' | b'[') => FormatName::Json,
        _ if has_documents(FormatName::Influx) => FormatName::Influx,
        _ if is_most(&contents(FormatName::OtlpProto), FormatName::OtlpProto) => FormatName::OtlpProto,
        _ if is_most(&contents(FormatName::Avro), FormatName::Avro) => FormatName::Avro,
        _ => FormatName::Json,
    }
}

fn looks<'r>(
    records: impl Iterator<Item = Record<'r>>,
    max_bytes: usize,
    format: FormatName,
    schemas: &SchemaSource,
) -> BTreeMap<String, u64> {
    const INFLUX: &str = "InfluxDB's line protocol: reading.format = \"influx\"";
    // A line of many blanks and commas looks like CSV, too.
    let is_influx = |record| {
        content(record, max_bytes, format).is_some_and(|text| !documents(&text, format, schemas).is_empty())
    };
    let mut looks = BTreeMap::new();
    for record in records {
        let mut look = look(record, max_bytes);
        if format == FormatName::Influx && look != INFLUX && is_influx(record) {
            INFLUX.clone_into(&mut look);
        }
        *looks.entry(look).or_default() += 1;
    }
    looks
}

/// Records with a key, and the number of different keys.
fn keys<'r>(records: impl Iterator<Item = Record<'r>>) -> (u64, usize) {
    let keys: Vec<&[u8]> = records.filter_map(|record| record.key).collect();
    let distinct: HashSet<&[u8]> = keys.iter().copied().collect();
    (keys.len() as u64, distinct.len())
}

fn field_report(field: &Field) -> FieldReport {
    let mut frequent: Vec<(&String, &usize)> = field.distinct.iter().collect();
    frequent.sort_by_key(|(_, count)| Reverse(**count));
    FieldReport {
        path: field.path.clone(),
        present: field.present,
        kind: field.kind(),
        distinct: field.distinct.len(),
        has_more_values: field.has_more_values,
        examples: frequent
            .into_iter()
            .take(EXAMPLES)
            .map(|(value, _)| value.clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests;
