//! Where a table lies: from the setting `table.uri` to the URL that delta-rs opens.

use std::path::Path;
use std::sync::Once;

use deltalake::DeltaTableBuilder;
use deltalake::logstore::LogStoreRef;
use thiserror::Error;
use url::Url;

use super::{LakeError, s3};
use crate::config::{Config, TableConfig};

/// What to do about a table that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    Create,
    MustExist,
}

/// A `table.uri` that names no place.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LocationError {
    /// The setting is empty.
    #[error("table.uri is empty: set it to a local folder or to s3://bucket/prefix")]
    Empty,
    /// Neither a local folder nor an S3 URL.
    #[error("table.uri is {0:?}: it must be a local folder or s3://bucket/prefix")]
    Unsupported(String),
}

static S3_HANDLERS: Once = Once::new();

/// The absolute URL, ending in `/`, of a local folder (which need not exist) or of `s3://bucket/prefix`.
///
/// Makes delta-rs know S3 as a side effect, so that whatever opens a table needs nothing else.
pub fn table_url(uri: &str) -> Result<Url, LocationError> {
    S3_HANDLERS.call_once(|| deltalake::aws::register_handlers(None));
    if uri.is_empty() {
        return Err(LocationError::Empty);
    }
    let unsupported = || LocationError::Unsupported(uri.to_owned());
    if !uri.contains("://") {
        return folder_url(Path::new(uri)).ok_or_else(unsupported);
    }
    let mut url = Url::parse(uri).map_err(|_| unsupported())?;
    match url.scheme() {
        "file" => url
            .to_file_path()
            .ok()
            .and_then(|path| folder_url(&path))
            .ok_or_else(unsupported),
        "s3" | "s3a" if url.host_str().is_some_and(|bucket| !bucket.is_empty()) => {
            let prefix = url.path().trim_matches('/');
            let path = if prefix.is_empty() {
                "/".to_owned()
            } else {
                format!("/{prefix}/")
            };
            url.set_path(&path);
            Ok(url)
        }
        _ => Err(unsupported()),
    }
}

fn folder_url(path: &Path) -> Option<Url> {
    // A table that is not there yet cannot be resolved further than to an absolute path.
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(path)).ok()?;
    let url = Url::from_directory_path(absolute).ok()?;
    // Parsing again resolves `..`, which `from_directory_path` keeps.
    Url::parse(url.as_str()).ok()
}

/// The store of the table. Under [`OpenMode::Create`] a local folder is made.
pub async fn log_store(config: &Config, mode: OpenMode) -> Result<LogStoreRef, LakeError> {
    store_at(&config.table.uri, &config.table, mode).await
}

/// The store at a place, reached as the table is.
pub async fn store_at(uri: &str, table: &TableConfig, mode: OpenMode) -> Result<LogStoreRef, LakeError> {
    let url = table_url(uri)?;
    if mode == OpenMode::Create
        && let Ok(folder) = url.to_file_path()
    {
        std::fs::create_dir_all(&folder).map_err(|error| LakeError::Refused {
            action: format!("make the folder {}", folder.display()),
            reason: error.to_string(),
        })?;
    }
    let bucket = match url.scheme() {
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
            match bucket {
                Some(bucket) => builder.with_storage_backend(bucket, url).build_storage(),
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
            ("s3a://lake", "s3a://lake/"),
            ("s3://lake/my table", "s3://lake/my%20table/"),
        ] {
            assert_eq!(table_url(uri).unwrap().as_str(), expected, "{uri}");
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
        assert_eq!(table_url(""), Err(LocationError::Empty));
        for uri in ["https://example.org/usage", "s3://", "gs://lake/usage"] {
            assert_eq!(table_url(uri), Err(LocationError::Unsupported(uri.to_owned())));
        }
    }
}
