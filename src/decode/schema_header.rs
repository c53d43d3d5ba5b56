//! Headers that name the schema of a message, whose value is then the message alone.

use super::{Reason, Rejection};
use crate::reading::Header;

/// The id of a content in eight bytes, by Apicurio's serializers with `apicurio.registry.use-id = contentId`. It means what
/// an id in front of a message means.
const CONTENT_ID: &str = "apicurio.value.contentId";
/// What is not read, and what to do about it.
const OTHERS: [(&str, &str); 2] = [
    (
        "apicurio.value.globalId",
        "an id that only Apicurio has; apicurio.registry.use-id = contentId writes one that is read",
    ),
    (
        "__value_schema_id",
        "a GUID; Confluent's serializers write an id in front, which is read, unless they are told otherwise",
    ),
];

/// The name of the header that names the schema.
pub(super) fn schema_header(headers: &[Header]) -> Option<&str> {
    find(headers).map(|(name, _)| name.as_str())
}

/// The id of the schema that a header names.
pub(super) fn id_in_headers(headers: &[Header]) -> Option<Result<u32, Rejection>> {
    let (name, value) = find(headers)?;
    let unknown = |detail: String| Some(Err(Rejection::new(Reason::UnknownSchema, detail)));
    if let Some((_, what)) = OTHERS.iter().find(|(other, _)| other == name) {
        return unknown(format!("the header {name} names its schema by {what}"));
    }
    let id = value.as_deref().and_then(|value| value.try_into().ok());
    match id.map(u64::from_be_bytes).map(u32::try_from) {
        Some(Ok(id)) => Some(Ok(id)),
        _ => unknown(format!(
            "the header {name} is not the id of a schema in eight bytes"
        )),
    }
}

fn find(headers: &[Header]) -> Option<&Header> {
    let names_schema = |name: &str| name == CONTENT_ID || OTHERS.iter().any(|(other, _)| *other == name);
    headers.iter().rev().find(|(name, _)| names_schema(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_not_read_say_what_to_set() {
        let found = |name: &str, value: &[u8]| id_in_headers(&[(name.to_owned(), Some(value.to_vec()))]);
        assert_eq!(found("at", &[0; 8]), None);
        assert_eq!(found(CONTENT_ID, &[0, 0, 0, 0, 0, 1, 0, 7]), Some(Ok(65_543)));
        for (name, value, part) in [
            (
                "apicurio.value.globalId",
                &[0, 0, 0, 0, 0, 0, 0, 7][..],
                "use-id = contentId",
            ),
            ("__value_schema_id", &[1; 17], "GUID"),
            (CONTENT_ID, &[0, 0, 0, 7], "eight bytes"),
            (CONTENT_ID, &[1, 0, 0, 0, 0, 0, 0, 7], "eight bytes"),
        ] {
            let rejection = found(name, value).expect("a name").expect_err(part);
            assert_eq!(rejection.reason, Reason::UnknownSchema);
            assert!(rejection.detail.contains(name), "{}", rejection.detail);
            assert!(rejection.detail.contains(part), "{}", rejection.detail);
        }
    }
}
