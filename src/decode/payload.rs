//! What is wrapped around the text of a record's value: compression, marks, the prefix of a schema registry.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::format::{avro, otlp_proto};

pub(super) const GZIP: &[u8] = &[0x1f, 0x8b];
/// The key of the first field, and it has no other.
const OTLP_START: u8 = 0x0a;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// What Confluent's serializers write in front: a zero, and the schema's id in four bytes.
const CONFLUENT_PREFIX_BYTES: usize = 5;
/// What Apicurio's serializers write in front unless they are told to write as Confluent's: the id has eight bytes.
const LONG_PREFIX_BYTES: usize = 9;

/// Why a value cannot be unwrapped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PayloadError {
    /// Unpacked it has more bytes than are allowed.
    TooLarge,
    /// The gzip data is damaged; what the unpacking said.
    Damaged(String),
}

/// What may be around what a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// Gzip, a mark of the byte order in front, zeros at the end, and Confluent's prefix of JSON.
    Text,
    /// Gzip.
    Bytes,
    /// Nothing: any bytes may be a message.
    None,
}

/// What is in a value, without what may be around it.
///
/// # Errors
/// [`PayloadError`] of gzip.
pub(super) fn unwrap(
    bytes: &[u8],
    max_bytes: usize,
    wrapping: Wrapping,
) -> Result<Cow<'_, [u8]>, PayloadError> {
    let bare: fn(&[u8]) -> &[u8] = match wrapping {
        Wrapping::Text => bare,
        Wrapping::Bytes | Wrapping::None => |bytes| bytes,
    };
    if !bytes.starts_with(GZIP) || wrapping == Wrapping::None {
        return Ok(Cow::Borrowed(bare(bytes)));
    }
    let unpacked = unpack(bytes, max_bytes)?;
    let text = bare(&unpacked);
    Ok(Cow::Owned(if text.len() == unpacked.len() {
        unpacked
    } else {
        text.to_vec()
    }))
}

fn unpack(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, PayloadError> {
    let mut unpacked = Vec::new();
    let bound = (max_bytes as u64).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(bound)
        .read_to_end(&mut unpacked)
        .map_err(|error| PayloadError::Damaged(error.to_string()))?;
    if unpacked.len() > max_bytes {
        return Err(PayloadError::TooLarge);
    }
    Ok(unpacked)
}

fn bare(bytes: &[u8]) -> &[u8] {
    let bytes = match confluent_json(bytes) {
        Some(json) => json,
        None => bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes),
    };
    // C programs count the zero at the end of a text in.
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    &bytes[..bytes.len() - zeros]
}

/// The JSON behind Confluent's prefix.
fn confluent_json(bytes: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = bytes.split_at_checked(CONFLUENT_PREFIX_BYTES)?;
    (prefix[0] == 0 && rest.trim_ascii_start().starts_with(b"{")).then_some(rest)
}

/// What bytes that are not of the expected format look like, as the end of a sentence.
pub(super) fn look(bytes: &[u8]) -> Option<String> {
    let named = |name: &str| Some(name.to_owned());
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        return look_of_json(bytes).map(str::to_owned);
    }
    if let Some((fingerprint, _)) = avro::single_object(bytes) {
        return Some(format!(
            "Avro's single-object encoding, by the schema with the fingerprint {fingerprint}: reading.format = \"avro\" and \
             that schema in schema_registry.files read it"
        ));
    }
    if let Some(id) = long_schema_id(bytes) {
        return Some(format!(
            "Apicurio's wire format with schema id {id} in eight bytes: apicurio.registry.as-confluent = true with use-id = \
             contentId writes what reading.format = \"avro\" reads"
        ));
    }
    if let Some(id) = confluent_schema_id(bytes) {
        return Some(format!(
            "Confluent's wire format with schema id {id} (Avro or Protobuf behind it): reading.format = \"avro\" and schema_registry.url read Avro"
        ));
    }
    let magic: [(&[u8], &str); 9] = [
        (GZIP, "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x82SNAPPY\0", "snappy"),
        (b"\xff\x06\0\0sNaPpY", "snappy"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PK\x03\x04", "a zip file"),
        (b"Obj\x01", "an Avro container file"),
        (b"PAR1", "a Parquet file"),
        (b"\xff\xfe", "UTF-16"),
    ];
    if let Some((_, name)) = magic.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return named(name);
    }
    match bytes {
        [0xfe, 0xff, ..] | [0, b'{', ..] | [b'{' | b'[', 0, ..] => named("UTF-16"),
        // AWS Glue: version 3, compression none or zlib, then the schema's id of 16 bytes.
        [3, 0 | 5, ..] if bytes.len() >= 18 => named("AWS Glue's schema registry format"),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => named("zlib"),
        [OTLP_START, ..] if otlp_proto::is_likely(bytes) => {
            named("OTLP in protobuf: reading.format = \"otlp-proto\"")
        }
        _ => look_of_text(bytes).map(str::to_owned),
    }
}

fn look_of_json(bytes: &[u8]) -> Option<&'static str> {
    match bytes.trim_ascii_start() {
        [b'[', ..] => Some("an array: reading.each = \"[]\" reads its items"),
        [b'"', rest @ ..] if rest.starts_with(b"{") => Some("JSON that was written as a JSON text once more"),
        [b'{', ..] => None,
        _ => Some("a single value: reading.value_field = \"@value\" reads it"),
    }
}

/// The id of the schema that Confluent's prefix names; no registry has a schema with the id 0.
pub(super) fn confluent_schema_id(bytes: &[u8]) -> Option<u32> {
    let (&[zero, a, b, c, d], rest) = bytes.split_first_chunk::<CONFLUENT_PREFIX_BYTES>()?;
    let id = u32::from_be_bytes([a, b, c, d]);
    (zero == 0 && id != 0 && !rest.is_empty()).then_some(id)
}

/// The id in a prefix of Apicurio's own, which has eight bytes of them: the first four of any such id are zeros.
pub(super) fn long_schema_id(bytes: &[u8]) -> Option<u32> {
    let (&[zero, high @ .., a, b, c, d], rest) = bytes.split_first_chunk::<LONG_PREFIX_BYTES>()?;
    let id = u32::from_be_bytes([a, b, c, d]);
    (zero == 0 && high == [0; 4] && id != 0 && !rest.is_empty()).then_some(id)
}

fn look_of_text(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let line = text.lines().next().unwrap_or_default();
    let is_control = |character: char| character.is_control() && character != '\t';
    if line.is_empty() || line.contains(is_control) {
        return None;
    }
    if line.starts_with('<') {
        return Some("XML or HTML");
    }
    if line.starts_with('{') || line.starts_with('[') {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let is_timestamp = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if words.len() >= 2
        && words[1].contains('=')
        && !words[0].contains(['{', '"'])
        && words.get(2).is_none_or(is_timestamp)
    {
        return Some("InfluxDB's line protocol: reading.format = \"influx\"");
    }
    let separators = [
        (';', "text separated by semicolons"),
        ('\t', "text separated by tabs"),
        (',', "CSV"),
    ];
    separators
        .iter()
        .find(|(separator, _)| line.contains(*separator))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    #[test]
    fn wrappings_are_taken_off() {
        for wrapped in [
            b"{\"a\":1}".to_vec(),
            b"\xef\xbb\xbf{\"a\":1}".to_vec(),
            b"{\"a\":1}\0".to_vec(),
            b"\0\0\0\0\x07{\"a\":1}".to_vec(),
            gzip(b"{\"a\":1}"),
            gzip(b"\xef\xbb\xbf{\"a\":1}\0\0"),
            [gzip(b"{\"a\""), gzip(b":1}")].concat(),
        ] {
            let text = unwrap(&wrapped, 100, Wrapping::Text).expect("a text");
            assert_eq!(&*text, b"{\"a\":1}", "{wrapped:?}");
        }
    }

    #[test]
    fn what_unpacks_to_more_than_is_allowed_is_not_unpacked_further() {
        let bomb = gzip(&vec![b' '; 10_000_000]);
        assert!(bomb.len() < 200_000);
        assert_eq!(unwrap(&bomb, 1000, Wrapping::Text), Err(PayloadError::TooLarge));
        assert_eq!(
            unwrap(&gzip(&[b' '; 1000]), 1000, Wrapping::Text).map(|text| text.len()),
            Ok(1000)
        );
        let torn = &gzip(b"{\"a\":1}")[..12];
        assert!(matches!(
            unwrap(torn, 1000, Wrapping::Text),
            Err(PayloadError::Damaged(_))
        ));
    }

    #[test]
    fn other_formats_are_named() {
        for (bytes, expected) in [
            (&b"\0\0\0\0\x07\x80\xf4"[..], Some("schema id 7")),
            (
                b"\0\0\0\0\0\0\0\0\x07\x80\xf4",
                Some("schema id 7 in eight bytes"),
            ),
            (
                b"\xc3\x01\x8f\x5c\x39\x3f\x1a\xd5\x75\x72\x02",
                Some("fingerprint 8f5c393f1ad57572"),
            ),
            (b"\x03\x000123456789abcdef{", Some("AWS Glue")),
            (b"\xff\xfe{\0\"\0", Some("UTF-16")),
            (b"{\0\"\0", Some("UTF-16")),
            (b"\x28\xb5\x2f\xfd\x04", Some("zstd")),
            (b"\x82SNAPPY\0\0", Some("snappy")),
            (b"x\x9c\x03", Some("zlib")),
            (b"Obj\x01\x04", Some("Avro container")),
            (
                b"cpu,host=a usage_idle=90.5 1784541600000000000\n",
                Some("line protocol"),
            ),
            (b"cpu usage_idle=90.5", Some("line protocol")),
            (b"2024-03-05;06:30;1,5", Some("semicolons")),
            (b"2024-03-05,1.5", Some("CSV")),
            (b"<meter/>", Some("XML")),
            (b"\n\x07\x12\x05\x12\x03\n\x01p", Some("otlp-proto")),
            (b"[{\"a\":1}]", Some("reading.each")),
            (b"\"{\\\"a\\\":1}\"", Some("once more")),
            (b"118.5", Some("@value")),
            (b"{\"a\":1}", None),
            (b"{\"a\"", None),
            (b"soon", None),
            (b"", None),
        ] {
            let look = look(bytes);
            assert!(
                look.as_deref().map_or(expected.is_none(), |look| expected
                    .is_some_and(|part| look.contains(part))),
                "{bytes:?}: {look:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let _ = look(&bytes);
            let _ = unwrap(&bytes, 100, Wrapping::Text);
            let _ = unwrap(&[GZIP, &bytes].concat(), 100, Wrapping::Text);
        }
    }
}
