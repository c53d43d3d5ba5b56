//! Names of data files: those of this program, and whether a path in a log lies within the table's folder.

use std::borrow::Cow;
use std::sync::Arc;

use object_store::path::Path;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use uuid::Uuid;

/// A data file whose path in the log leads, or may lead, out of the table's folder.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("its log names the data file {0:?}, which lies outside of the table's folder")]
pub struct OutsideTable(pub String);

const BUCKET_MARK: &str = "-b";
const EXTENSION: &str = ".snappy.parquet";

/// The path of a new data file. It contains the bucket, because other engines keep paths and drop tags.
pub(super) fn data_path(id: &str, number: usize, bucket: u32) -> Arc<str> {
    format!("{id}-{number:03}{BUCKET_MARK}{bucket:05}{EXTENSION}").into()
}

/// The bucket that a data file's path names.
pub(super) fn bucket_of(path: &str) -> Option<u32> {
    let (_, bucket) = path.strip_suffix(EXTENSION)?.rsplit_once(BUCKET_MARK)?;
    // Only the exact form: names of other programs contain "-b" and digits by chance.
    bucket
        .parse()
        .ok()
        .filter(|number: &u32| format!("{number:05}") == bucket)
}

/// Whether a file's name has exactly the form of [`data_path`], which no other file has by chance.
pub(super) fn is_ours(name: &str) -> bool {
    let parts = || {
        let bucket = bucket_of(name)?;
        let (rest, _) = name.rsplit_once(BUCKET_MARK)?;
        let (id, number) = rest.rsplit_once('-')?;
        let id = Uuid::parse_str(id).ok()?.to_string();
        Some(data_path(&id, number.parse().ok()?, bucket))
    };
    parts().is_some_and(|made| *made == *name)
}

/// The target name of an unfinished local write, `<name>#<number>`, which a killed process leaves.
pub(super) fn unfinished(name: &str) -> Option<&str> {
    let (name, number) = name.rsplit_once('#')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

/// The location of a data file in the table's folder, from its URL-encoded path in the log.
///
/// # Errors
/// [`OutsideTable`] if any reader's interpretation of the path leads out of the folder.
pub(super) fn location(path: &str) -> Result<Path, OutsideTable> {
    let outside = || OutsideTable(path.to_owned());
    let decoded = decoded(path).ok_or_else(outside)?;
    if !lies_within(path) {
        return Err(outside());
    }
    check_decoded(&decoded).map_err(|_| outside())?;
    Path::parse(&*decoded).map_err(|_| outside())
}

/// Checks a decoded path. Some readers decode it a second time.
///
/// # Errors
/// [`OutsideTable`] if it leads out of the table's folder.
pub(crate) fn check_decoded(path: &str) -> Result<(), OutsideTable> {
    let twice = decoded(path).unwrap_or_default();
    // A path that does not decode a second time is not decoded a second time.
    if lies_within(path) && (twice.is_empty() || lies_within(&twice)) {
        Ok(())
    } else {
        Err(OutsideTable(path.to_owned()))
    }
}

fn decoded(path: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(path).decode_utf8().ok()
}

/// Readers join the path to the table's URL, where a scheme, a leading slash, backslashes, surrounding blanks
/// and control characters change its meaning.
fn lies_within(path: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let has_scheme = path.split_once(':').is_some_and(|(before, _)| is_scheme(before));
    !has_scheme
        && path.trim() == path
        && !path.contains(|letter: char| letter == '\\' || letter.is_control())
        && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b9ff3d3-4f0c-4b9e-9d58-5d1c2a3b4c5d";

    #[test]
    fn what_we_write_is_ours_and_nothing_else() {
        for number in [0, 7, 999, 1_000, 12_345] {
            for bucket in [0, 3, 99_999, 100_000] {
                let path = data_path(ID, number, bucket);
                assert!(is_ours(&path), "{path}");
                assert_eq!(location(&path).unwrap().as_ref(), &*path);
            }
        }
        let upper = ID.to_uppercase();
        for name in [
            format!("{ID}-000-b00000.parquet"),
            format!("{ID}-0-b00000.snappy.parquet"),
            format!("{ID}-0000-b00000.snappy.parquet"),
            format!("{ID}-+01-b00000.snappy.parquet"),
            format!("{ID}-000-b0.snappy.parquet"),
            format!("{ID}-000-b000001.snappy.parquet"),
            format!("{upper}-000-b00000.snappy.parquet"),
            format!("x{ID}-000-b00000.snappy.parquet"),
            format!("sub/{ID}-000-b00000.snappy.parquet"),
            format!("{{{ID}}}-000-b00000.snappy.parquet"),
            format!("{}-000-b00000.snappy.parquet", ID.replace('-', "")),
            format!("{ID}-000-b00000.snappy.parquet.bak"),
            format!("{ID}-000-b00000.snappy.parquet#1"),
            "part-00000-0b9ff3d3-4f0c-4b9e-9d58-5d1c2a3b4c5d-c000.snappy.parquet".to_owned(),
            "photo.parquet".to_owned(),
            String::new(),
        ] {
            assert!(!is_ours(&name), "{name}");
        }
        assert_eq!(unfinished("x.parquet#12"), Some("x.parquet"));
        for name in ["x.parquet", "x#", "x#1a", "x#1 "] {
            assert_eq!(unfinished(name), None, "{name}");
        }
    }

    #[test]
    fn paths_that_leave_the_table_are_recognized() {
        for path in [
            "../x.parquet",
            "a/../../x.parquet",
            "/abs/x.parquet",
            "//host/x.parquet",
            "file:///x.parquet",
            "s3://b/x.parquet",
            "http://h/x.parquet",
            "file:x.parquet",
            "%2e%2e/x.parquet",
            "%2E%2E%2Fx.parquet",
            "..%2fx.parquet",
            "%2Fabs/x.parquet",
            "%252e%252e/x.parquet",
            "..\\x.parquet",
            "%5C%5Chost",
            "a/./x.parquet",
            "a//x.parquet",
            "..",
            ".",
            "",
            " ../x.parquet",
            ".%09./x.parquet",
            ".\t./x.parquet",
            "%00",
            "\0",
            "x.parquet/",
            "file%3A///x.parquet",
            "a%3Ab/x.parquet",
            "%20/x.parquet ",
        ] {
            assert_eq!(location(path), Err(OutsideTable(path.to_owned())), "{path:?}");
        }
        for path in [
            "x.parquet",
            "key=a%20b/x.parquet",
            "part-00001-c000.zstd.parquet",
            "day=2024-01-01 00:00/x.parquet",
            "Süd/%C3%BC.parquet",
            "a..b/..c",
            "100%25.parquet",
        ] {
            assert!(location(path).is_ok(), "{path}");
        }
    }
}
