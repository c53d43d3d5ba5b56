//! Files that hold a secret: read anew each time, so that a secret can be replaced while the program runs.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing::warn;

use crate::small_file;

/// The largest file that is read. Certificates take a few kilobytes.
const LARGEST_KIB: u64 = 64;

/// The text of a small regular file, without the line breaks at its end.
///
/// # Errors
/// If it cannot be read, is no regular file, or is too large.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = small_file::read(path, LARGEST_KIB)?;
    warn_if_others_write(path, std::fs::metadata(path)?.permissions().mode());
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Warns once per file that others may write, because such a file decides our identity and whom we trust.
fn warn_if_others_write(path: &Path, mode: u32) {
    const BY_OTHERS: u32 = 0o002;
    static WARNED: LazyLock<Mutex<BTreeSet<PathBuf>>> = LazyLock::new(Mutex::default);
    if mode & BY_OTHERS == 0 {
        return;
    }
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.insert(path.to_owned()) {
        warn!(path = %path.display(), "every user of this machine may write a file that holds a secret; run chmod o-w on it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            std::fs::write(&path, "x".repeat(bytes)).unwrap();
            path
        };
        assert_eq!(read(&place("small", 65_536)).unwrap().len(), 65_536);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(place("secret", 7), &link).unwrap();
        assert_eq!(read(&link).unwrap(), "xxxxxxx", "as Kubernetes mounts secrets");
        for (path, expected) in [
            (place("large", 65_537), "larger than 64 kB"),
            (PathBuf::from("/dev/zero"), "not a regular file"),
            (folder.path().to_owned(), "not a regular file"),
        ] {
            assert_eq!(read(&path).unwrap_err().to_string(), expected);
        }
    }
}
