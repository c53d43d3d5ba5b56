//! Checks after an append that the log is live at that version (invariant I11).
//!
//! No clock can decide whether clean-up has freed a version number: a laptop sleeps, a virtual machine is
//! paused, a process stops between its check and its write. The log can, after the append.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::Deserialize;
use tracing::{debug, warn};

use super::{Lake, LakeError, recover};
use crate::table::{Anchor, Liveness, Moment, Surroundings};

/// The file that names the newest checkpoint (Delta protocol).
pub(super) const LAST_CHECKPOINT: &str = "_last_checkpoint";

/// A hint has some hundred bytes.
const MOST_HINT_BYTES: u64 = 1 << 20;

impl Lake {
    /// Whether our entry of this version is part of the table, given its predecessor's id and the time at
    /// which the log was last seen to end there.
    ///
    /// Two small parallel reads nearly always suffice: the previous entry exists with the known id, and no
    /// checkpoint has passed ours. In doubt, the log is listed.
    pub(super) async fn liveness(
        &self,
        version: u64,
        previous_id: Option<&str>,
        synced_at: Moment,
    ) -> Result<Liveness, LakeError> {
        let Some(before) = version.checked_sub(1) else {
            return Ok(Liveness::Dead);
        };
        let (previous, hinted_checkpoint) =
            futures::try_join!(self.entry_id(before), self.hinted_checkpoint())?;
        let found = Surroundings {
            previous,
            hinted_checkpoint,
        };
        match found.liveness(version, previous_id) {
            Some(liveness) if liveness == Liveness::Dead || !self.is_stale(synced_at) => Ok(liveness),
            _ => self.listed_liveness(version).await,
        }
    }

    async fn listed_liveness(&self, version: u64) -> Result<Liveness, LakeError> {
        let mut liveness = Liveness::Dead;
        // A listing of several pages is not atomic. An entry missing from two listings is missing.
        for _ in 0..2 {
            let log = recover::list_log(self.log_store().as_ref()).await?;
            liveness = Liveness::listed(version, log.newest_checkpoint(), &log.entries);
            if liveness != Liveness::Dead {
                break;
            }
        }
        Ok(liveness)
    }

    /// Whether the log still holds an entry.
    pub(super) async fn holds(&self, anchor: &Anchor) -> Result<bool, LakeError> {
        let id = self.entry_id(anchor.version).await?.flatten();
        Ok(id.as_ref() == Some(&anchor.id))
    }

    /// The id in an entry, which may have none; `None` if the entry does not exist.
    async fn entry_id(&self, version: u64) -> Result<Option<Option<String>>, LakeError> {
        let info = self.commit_info(version).await?;
        Ok(info.map(|info| info.txn_id))
    }

    /// The newest checkpoint according to `_last_checkpoint`, if it names one.
    async fn hinted_checkpoint(&self) -> Result<Option<u64>, LakeError> {
        #[derive(Deserialize)]
        struct Hint {
            version: u64,
        }
        let path = self.log_path(LAST_CHECKPOINT);
        let failed = |error| LakeError::from_store(format!("read {path}"), &error);
        let found = match self.log_store().object_store(None).get(&path).await {
            Ok(found) if found.meta.size <= MOST_HINT_BYTES => found,
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bytes = found.bytes().await.map_err(failed)?;
        Ok(serde_json::from_slice(&bytes).ok().map(|hint: Hint| hint.version))
    }

    /// Deletes an entry of ours that is not part of the table, so that no reader takes it for one.
    pub(super) async fn discard(&self, version: u64) -> Result<(), LakeError> {
        let path = self.log_path(&format!("{version:020}.json"));
        match self.log_store().object_store(None).delete(&path).await {
            Ok(()) => debug!(version, "deleted an own log entry that is not part of the table"),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                let error = LakeError::from_store(format!("delete {path}"), &error);
                if error.is_transient() {
                    return Err(error);
                }
                warn!(version, %error, "cannot delete an own log entry that is not part of the table");
            }
        }
        Ok(())
    }

    fn log_path(&self, name: &str) -> Path {
        let folder = self.log_store().log_path();
        Path::from_iter(
            folder
                .parts()
                .map(|part| part.as_ref().to_owned())
                .chain([name.to_owned()]),
        )
    }
}
