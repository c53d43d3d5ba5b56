//! The location of a table: from the setting `table.uri` to the URL that delta-rs opens.

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Once};

use deltalake::DeltaTableBuilder;
use deltalake::logstore::LogStoreRef;
use object_store::ObjectStore;
use thiserror::Error;
use url::Url;

use super::synced::{SyncedDisk, make_folder};
use super::{LakeError, TableSettings, s3};

/// How to treat a missing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Creates the table; for those who write it.
    Create,
    /// Fails; for those who inspect or maintain it.
    MustExist,
}

/// The error for a setting such as `table.uri` that names no place, or one that not every reader would find.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum LocationError {
    /// The setting is empty.
    #[error("{0} is empty: set it to a local folder or to s3://bucket/prefix")]
    Empty(&'static str),
    /// Neither a local folder nor an S3 URL.
    #[error("{0} is {1:?}: it must be a local folder or s3://bucket/prefix")]
    Unsupported(&'static str, String),
    /// The message omits the place, which holds a secret.
    #[error(
        "{0} holds a user or a password: credentials belong in [table.storage_options], or where AWS' own programs look"
    )]
    Credentials(&'static str),
    /// A whole bucket cannot be a table.
    #[error("{0} is {1:?}, a whole bucket: set it to s3://bucket/prefix, a prefix of its own")]
    WholeBucket(&'static str, String),
    /// The place of other data lies within the table.
    #[error("{0} is {1:?}, within the table's folder {2:?}: set it to a place beside the table")]
    Shared(&'static str, String, String),
    /// The place lies within the log of a table, whose files only that table may have.
    #[error("{0} is {1:?}, within the log of a table: set it to a folder of its own")]
    WithinLog(&'static str, String),
    /// Some table readers do not take this part of the place literally.
    #[error(
        "{setting} is {uri:?}: {what} in it means another place to some readers of the table; use a plain name"
    )]
    Ambiguous {
        setting: &'static str,
        uri: String,
        what: String,
    },
    /// A link on the path is broken.
    #[error(
        "{setting} is {uri:?}: the link {} leads to {}, which cannot be reached ({reason}); make that folder or correct the link",
        link.display(),
        target.display()
    )]
    BrokenLink {
        setting: &'static str,
        uri: String,
        link: PathBuf,
        target: PathBuf,
        reason: String,
    },
}

static S3_HANDLERS: Once = Once::new();

/// The setting of most places.
pub(super) const TABLE_URI: &str = "table.uri";

/// The absolute URL, ending in `/`, of a local folder (which need not exist) or of `s3://bucket/prefix`.
///
/// Registers S3 with delta-rs as a side effect, so that callers need nothing else.
///
/// # Errors
/// [`LocationError`] if it is not such a place, or not every table reader would find it.
pub fn table_url(uri: &str) -> Result<Url, LocationError> {
    place_url(TABLE_URI, uri)
}

/// As [`table_url`], for another setting.
pub(super) fn place_url(setting: &'static str, uri: &str) -> Result<Url, LocationError> {
    S3_HANDLERS.call_once(|| deltalake::aws::register_handlers(None));
    if uri.is_empty() {
        return Err(LocationError::Empty(setting));
    }
    let url = match uri.split_once("://") {
        Some(("file", rest)) => {
            let unsupported = || LocationError::Unsupported(setting, uri.to_owned());
            refuse(setting, uri, rest, &['?', '#', '\\'])?;
            let url = Url::parse(uri).map_err(|_| unsupported())?;
            let path = url.to_file_path().map_err(|()| unsupported())?;
            folder_url(setting, uri, &path)?
        }
        Some(("s3" | "s3a", rest)) => bucket_url(setting, uri, rest)?,
        None if !is_mistyped(uri) => folder_url(setting, uri, Path::new(uri))?,
        _ => return Err(LocationError::Unsupported(setting, uri.to_owned())),
    };
    let mut segments = url.path_segments().into_iter().flatten();
    if segments.any(|segment| segment == LOG_FOLDER) {
        return Err(LocationError::WithinLog(setting, uri.to_owned()));
    }
    Ok(url)
}

/// The folder of a Delta table's log.
const LOG_FOLDER: &str = "_delta_log";

/// Whether a text begins as a URL does and is none: `s3:bucket/prefix`, `s3:/bucket/prefix`. As a folder it would be made,
/// and readings would fill the local disk.
fn is_mistyped(uri: &str) -> bool {
    ["s3:", "s3a:", "file:"].iter().any(|scheme| {
        let start = uri.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// Characters that S3's naming guide says to avoid, and those that `object_store` rewrites.
const NOT_IN_KEYS: [char; 16] = [
    '\\', '{', '}', '^', '%', '`', ']', '"', '>', '[', '~', '<', '#', '|', '?', '*',
];

fn bucket_url(setting: &'static str, uri: &str, rest: &str) -> Result<Url, LocationError> {
    let unsupported = || LocationError::Unsupported(setting, uri.to_owned());
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = key.trim_end_matches('/');
    if bucket.contains('@') {
        return Err(LocationError::Credentials(setting));
    }
    refuse(setting, uri, rest, &NOT_IN_KEYS)?;
    for segment in prefix.split('/').filter(|_| !prefix.is_empty()) {
        let what = match segment {
            "" => "//",
            "." | ".." => segment,
            _ => continue,
        };
        return Err(ambiguous(setting, uri, format!("{what:?}")));
    }
    let mut url = Url::parse(uri).map_err(|_| unsupported())?;
    if bucket.is_empty() {
        return Err(unsupported());
    }
    if prefix.is_empty() {
        return Err(LocationError::WholeBucket(setting, uri.to_owned()));
    }
    url.set_path(&format!("/{prefix}/"));
    Ok(url)
}

/// The URL of a folder. Links are resolved as the system resolves them, so that the place stays the same after
/// the folder is created.
fn folder_url(setting: &'static str, uri: &str, path: &Path) -> Result<Url, LocationError> {
    let unsupported = || LocationError::Unsupported(setting, uri.to_owned());
    let absolute = std::path::absolute(path).map_err(|_| unsupported())?;
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        if component == Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(component);
        match resolved.canonicalize() {
            Ok(followed) => resolved = followed,
            // It does not exist yet, unless it is a broken link.
            Err(error) => {
                if let Ok(target) = resolved.read_link() {
                    return Err(LocationError::BrokenLink {
                        setting,
                        uri: uri.to_owned(),
                        link: resolved,
                        target,
                        reason: error.to_string(),
                    });
                }
            }
        }
    }
    let text = resolved.to_str().ok_or_else(unsupported)?;
    // Some readers take a `%` as an escape, others literally.
    refuse(setting, uri, text, &['%', '\\'])?;
    Url::from_directory_path(&resolved).map_err(|()| unsupported())
}

/// Fails if the text contains one of these characters, or an invisible one.
fn refuse(setting: &'static str, uri: &str, text: &str, characters: &[char]) -> Result<(), LocationError> {
    let is_unseen = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    match text
        .chars()
        .find(|&character| characters.contains(&character) || is_unseen(character))
    {
        None => Ok(()),
        Some(character) if is_unseen(character) => {
            Err(ambiguous(setting, uri, format!("the character {character:?}")))
        }
        Some(character) => Err(ambiguous(setting, uri, format!("\"{character}\""))),
    }
}

fn ambiguous(setting: &'static str, uri: &str, what: String) -> LocationError {
    LocationError::Ambiguous {
        setting,
        uri: uri.to_owned(),
        what,
    }
}

/// The store of the table. Under [`OpenMode::Create`] a local folder is created.
pub(super) async fn log_store(table: &TableSettings, mode: OpenMode) -> Result<LogStoreRef, LakeError> {
    store_at(TABLE_URI, &table.uri, table, mode).await
}

/// The name of a table's store for people: the server, or the folder.
pub(super) fn store_name(table: &TableSettings) -> String {
    let uri = &table.uri;
    match table_url(uri) {
        Ok(url) if url.scheme() != "file" => s3::server(&url, &table.storage_options),
        _ => format!("the file system of {uri}"),
    }
}

/// The store at the place that a setting names, accessed like the table.
pub(crate) async fn store_at(
    setting: &'static str,
    uri: &str,
    table: &TableSettings,
    mode: OpenMode,
) -> Result<LogStoreRef, LakeError> {
    let url = place_url(setting, uri)?;
    if mode == OpenMode::Create
        && let Ok(folder) = url.to_file_path()
    {
        make_folder(&folder).map_err(|error| LakeError::Refused {
            action: format!("make the folder {}", folder.display()),
            reason: error.to_string(),
        })?;
    }
    let backend: Option<Arc<dyn ObjectStore>> = match url.scheme() {
        "file" if table.sync_to_disk => Some(Arc::new(SyncedDisk::default())),
        "file" => None,
        _ => {
            let bucket = s3::bucket(&url, &table.storage_options).await;
            Some(bucket.map_err(|error| LakeError::from_store(format!("open {uri}"), &error))?)
        }
    };
    let options = table.storage_options.clone().into_iter().collect();
    DeltaTableBuilder::from_url(url.clone())
        .and_then(|builder| {
            let builder = builder.with_storage_options(options);
            match backend {
                Some(backend) => builder.with_storage_backend(backend, url).build_storage(),
                None => builder.build_storage(),
            }
        })
        .map_err(|error| match error {
            deltalake::DeltaTableError::InvalidTableLocation(_) => LakeError::Missing(uri.to_owned()),
            other => LakeError::Refused {
                action: format!("open {uri}"),
                reason: other.to_string(),
            },
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_urls_end_in_one_slash() {
        for (uri, expected) in [
            ("s3://lake/usage", "s3://lake/usage/"),
            ("s3://lake/city/usage//", "s3://lake/city/usage/"),
            ("s3a://lake/usage", "s3a://lake/usage/"),
            ("s3://lake/my table", "s3://lake/my%20table/"),
            ("s3://lake/year=2026/Süd", "s3://lake/year=2026/S%C3%BCd/"),
        ] {
            assert_eq!(table_url(uri).unwrap().as_str(), expected, "{uri}");
        }
    }

    #[test]
    fn what_means_another_place_to_some_reader_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let local = folder.path().to_str().unwrap();
        let places = [
            "s3://lake/a#b",
            "s3://lake/a?b",
            "s3://lake/a%20b",
            "s3://lake/a%2e%2e",
            "s3://lake/..",
            "s3://lake/a/../b",
            "s3://lake/./a",
            "s3://lake/a//b",
            "s3://lake//a",
            "s3://lake/a\\b",
            "s3://lake/a\nb",
            "s3://lake/a\u{202e}b",
            "s3://lake/a*b",
            "s3://lake/a{b}",
            "s3://lake/a~b",
            "{}/a%20b",
            "{}/a%",
            "{}/a\\b",
            "{}/a\tb",
            "{}/a\u{7f}b",
            "{}/a\u{1b}[31mb",
            "{}/a\u{2028}b",
            "{}/a%20b/table",
            "file://{}/a%2520b",
            "file://{}/a%0Ab",
            "file://{}/a#b",
            "file://{}/a?b",
            "file://{}/a\\b",
            "file://{}/a%5Cb",
        ];
        for place in places {
            let uri = place.replace("{}", local);
            let error = table_url(&uri).unwrap_err();
            assert!(matches!(error, LocationError::Ambiguous { .. }), "{error}");
            let message = error.to_string();
            assert!(
                !message.contains(char::is_control) && message.starts_with("table.uri is "),
                "{message}"
            );
        }
        let error = table_url("s3://key:hush@lake/usage").unwrap_err();
        assert_eq!(error, LocationError::Credentials("table.uri"));
        for uri in ["s3://lake", "s3://lake/", "s3a://lake//"] {
            assert_eq!(
                table_url(uri),
                Err(LocationError::WholeBucket("table.uri", uri.to_owned()))
            );
        }
        std::os::unix::fs::symlink(folder.path().join("a%20b"), folder.path().join("plain")).unwrap();
        std::fs::create_dir(folder.path().join("a%20b")).unwrap();
        let behind_a_link = table_url(&format!("{local}/plain/table")).unwrap_err();
        assert!(
            matches!(behind_a_link, LocationError::Ambiguous { .. }),
            "{behind_a_link}"
        );
    }

    #[test]
    fn links_are_followed_as_the_system_follows_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("far/away")).unwrap();
        std::os::unix::fs::symlink(root.join("far/away"), root.join("link")).unwrap();
        for (name, expected) in [
            ("link/table", "far/away/table"),
            ("link/../table", "far/table"),
            ("link", "far/away"),
        ] {
            let place = root.join(name);
            let before = table_url(place.to_str().unwrap()).unwrap();
            assert_eq!(
                before,
                Url::from_directory_path(root.join(expected)).unwrap(),
                "{name}"
            );
            std::fs::create_dir_all(before.to_file_path().unwrap()).unwrap();
            assert_eq!(
                table_url(place.to_str().unwrap()).unwrap(),
                before,
                "once it is there"
            );
        }
        std::os::unix::fs::symlink(root.join("nowhere"), root.join("broken")).unwrap();
        std::os::unix::fs::symlink(root.join("round"), root.join("round")).unwrap();
        for name in ["broken", "broken/table", "round"] {
            let error = table_url(root.join(name).to_str().unwrap()).unwrap_err();
            assert!(matches!(error, LocationError::BrokenLink { .. }), "{error}");
        }
    }

    #[test]
    fn local_folders_become_absolute_and_are_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["usage", "a/../usage", "usage/"] {
            let url = table_url(root.join(name).to_str().unwrap()).unwrap();
            assert_eq!(
                url,
                Url::from_directory_path(root.join("usage")).unwrap(),
                "{name}"
            );
        }
        assert!(!root.join("usage").exists());

        let relative = table_url("usage-table").unwrap();
        let working_folder = std::env::current_dir().unwrap();
        assert_eq!(
            relative,
            Url::from_directory_path(working_folder.join("usage-table")).unwrap()
        );

        let file_url = Url::from_directory_path(&root).unwrap();
        assert_eq!(
            table_url(file_url.as_str().trim_end_matches('/')).unwrap(),
            file_url
        );
    }

    #[test]
    fn other_places_are_refused() {
        assert_eq!(table_url(""), Err(LocationError::Empty("table.uri")));
        for uri in [
            "https://example.org/usage",
            "s3://",
            "s3:///usage",
            "gs://lake/usage",
            "file://host/usage",
            "s3:lake/usage",
            "S3:/lake/usage",
            "file:usage",
        ] {
            assert_eq!(
                table_url(uri),
                Err(LocationError::Unsupported("table.uri", uri.to_owned()))
            );
        }
        for uri in [
            "usage/_delta_log",
            "usage/_delta_log/state",
            "s3://lake/usage/_delta_log",
        ] {
            let expected = LocationError::WithinLog("table.uri", uri.to_owned());
            assert_eq!(table_url(uri), Err(expected));
        }
    }
}
