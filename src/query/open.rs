//! Opens a version of the table from the settings.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::{DeltaTable, DeltaTableError, Path};
use futures::TryStreamExt;

use super::error::QueryError;
use super::session::Session;
use crate::lake::TableSettings;
use crate::lake::{OpenMode, apparent_damage, check_decoded, store_at, table_url};

/// Opens the newest version of the table, or the given one.
///
/// # Errors
/// [`QueryError`] if the table or the version does not exist, or the store refuses or fails.
pub async fn open(table: &TableSettings, version: Option<u64>) -> Result<Session, QueryError> {
    open_in(table, version, SessionContext::new_with_config(session_config())).await
}

/// The same for the newest version, with so many bytes of memory for what statements keep; nothing is put on the disk.
///
/// # Errors
/// Those of [`open`].
pub(crate) async fn open_within(table: &TableSettings, memory_bytes: usize) -> Result<Session, QueryError> {
    let environment = RuntimeEnvBuilder::new()
        .with_memory_limit(memory_bytes, 1.0)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(|error| QueryError::opening(&table.uri, &error.into()))?;
    let context = SessionContext::new_with_config_rt(session_config(), environment);
    open_in(table, None, context).await
}

async fn open_in(
    table: &TableSettings,
    version: Option<u64>,
    context: SessionContext,
) -> Result<Session, QueryError> {
    let delta_table = load(table, version).await?;
    let opening = |error| QueryError::opening(&table.uri, &error);
    let snapshot = delta_table.snapshot().map_err(opening)?;

    let files = snapshot.log_data();
    for file in files.iter() {
        check_decoded(&file.path()).map_err(|outside| QueryError::outside(&table.uri, outside))?;
    }

    let provider = delta_table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .build()
        .await
        .map_err(|error| opening(error.into()))?;
    delta_table
        .update_datafusion_session(&context.state())
        .map_err(opening)?;
    context
        .register_table(TableReference::bare(table.name.as_str()), Arc::new(provider))
        .map_err(|error| opening(error.into()))?;

    Ok(Session {
        context,
        table_name: table.name.clone(),
        column_names: snapshot
            .schema()
            .fields()
            .map(|field| field.name().clone())
            .collect(),
        version: snapshot.version(),
        is_empty: snapshot.log_data().num_files() == 0,
    })
}

async fn load(table: &TableSettings, version: Option<u64>) -> Result<DeltaTable, QueryError> {
    let opening = |error| QueryError::opening(&table.uri, &error);
    // delta-rs reports a missing local folder as a wrong setting.
    if table_url(&table.uri)?
        .to_file_path()
        .is_ok_and(|folder| !folder.exists())
    {
        return Err(QueryError::NoTable {
            uri: table.uri.clone(),
        });
    }
    let log_store = store_at("table.uri", &table.uri, table, OpenMode::MustExist)
        .await
        .map_err(QueryError::placing)?;
    let mut delta_table = DeltaTable::new(log_store);
    let loaded = match version {
        Some(version) => delta_table.load_version(version).await,
        None => delta_table.load().await,
    };
    match (loaded, version) {
        (Ok(()), _) => Ok(delta_table),
        (Err(error), None) => Err(explain(table, &delta_table, opening(error)).await),
        (Err(error), Some(version)) => match readable_versions(&delta_table).await.map_err(opening)? {
            None => Err(QueryError::NoTable {
                uri: table.uri.clone(),
            }),
            Some((first, last)) if version < first || version > last => Err(QueryError::NoVersion {
                uri: table.uri.clone(),
                version,
                first,
                last,
            }),
            Some(_) => Err(explain(table, &delta_table, opening(error)).await),
        },
    }
}

/// Replaces the error by the damage in the log, if that is the cause.
async fn explain(table: &TableSettings, delta_table: &DeltaTable, error: QueryError) -> QueryError {
    if !matches!(error, QueryError::Open { .. }) {
        return error;
    }
    match apparent_damage(&delta_table.log_store()).await {
        Ok(Some(damage)) => QueryError::Damaged {
            uri: table.uri.clone(),
            damage,
        },
        // The same failure has prevented the opening.
        Ok(None) | Err(_) => error,
    }
}

/// The first and the last version that the log can still rebuild; `None` without a log.
async fn readable_versions(table: &DeltaTable) -> Result<Option<(u64, u64)>, DeltaTableError> {
    let log_folder = Path::from("_delta_log");
    let entries: Vec<_> = table.object_store().list(Some(&log_folder)).try_collect().await?;
    let names = || entries.iter().filter_map(|entry| entry.location.filename());
    let version_of = |name: &str| {
        name.split('.')
            .next()
            .and_then(|digits| digits.parse::<u64>().ok())
    };
    let commits = || {
        names()
            .filter(|name| name.ends_with(".json"))
            .filter_map(version_of)
    };
    let checkpoints = || {
        names()
            .filter(|name| name.contains(".checkpoint."))
            .filter_map(version_of)
    };

    let Some(last) = commits().chain(checkpoints()).max() else {
        return Ok(None);
    };
    // Log cleanup removes the oldest entries first; the rest can be rebuilt from its first checkpoint on.
    let first = if commits().any(|version| version == 0) {
        Some(0)
    } else {
        checkpoints().min()
    };
    Ok(first.map(|first| (first, last)))
}

fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new().with_information_schema(true);
    config.options_mut().execution.time_zone = Some("UTC".to_owned());
    config
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Lake, count};
    use super::*;

    #[tokio::test]
    async fn every_version_can_be_queried() {
        let lake = Lake::with(&[&[(0, None, 1.0)], &[(1, None, 2.0), (2, None, 3.0)]]).await;
        for (version, rows_then) in [(Some(0), 0), (Some(1), 1), (Some(2), 3), (None, 3)] {
            let session = open(&lake.config, version).await.unwrap();
            assert_eq!(session.version(), version.unwrap_or(2));
            assert_eq!(session.is_empty(), rows_then == 0);
            assert_eq!(count(&session, "SELECT * FROM usage").await, rows_then);
        }
    }

    #[tokio::test]
    async fn a_missing_version_names_the_existing_ones() {
        let lake = Lake::with(&[&[(0, None, 1.0)], &[(1, None, 2.0)]]).await;
        let message = open(&lake.config, Some(7)).await.err().unwrap().to_string();
        assert!(
            message.ends_with("has no version 7: versions 0 to 2 can be read"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_version_before_the_first_remaining_checkpoint_cannot_be_read() {
        let lake = Lake::with(&[&[(0, None, 1.0)], &[(1, None, 2.0)]]).await;
        let table = load(&lake.config, None).await.unwrap();
        deltalake::checkpoints::create_checkpoint(&table, None)
            .await
            .unwrap();
        for version in 0..2 {
            std::fs::remove_file(lake.path(&format!("_delta_log/{version:020}.json"))).unwrap();
        }
        assert_eq!(open(&lake.config, None).await.unwrap().version(), 2);
        let message = open(&lake.config, Some(1)).await.err().unwrap().to_string();
        assert!(
            message.ends_with("has no version 1: versions 2 to 2 can be read"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_missing_table_names_a_remedy_and_is_not_created() {
        let lake = Lake::missing();
        for version in [None, Some(3)] {
            let error = open(&lake.config, version).await.err().unwrap();
            assert!(matches!(error, QueryError::NoTable { .. }), "{error}");
        }
        assert!(!std::path::Path::new(&lake.config.uri).exists());
        std::fs::create_dir(&lake.config.uri).unwrap();
        let message = open(&lake.config, None).await.err().unwrap().to_string();
        assert!(message.contains("run `streamgauge aggregate` first"), "{message}");
    }
}
