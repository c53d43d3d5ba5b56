//! Files that are read whole: the text of a regular file, up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The text of a regular file of `largest_kib` KiB at most. A device or a pipe may never end or never deliver a byte.
///
/// # Errors
/// If it cannot be read, is no regular file, or is too large.
pub(crate) fn read(path: &Path, largest_kib: u64) -> io::Result<String> {
    // Check before opening: opening a pipe waits for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let largest = largest_kib * 1024;
    let mut text = String::new();
    File::open(path)?.take(largest + 1).read_to_string(&mut text)?;
    match text.len() as u64 {
        bytes if bytes <= largest => Ok(text),
        _ => Err(io::Error::other(match largest_kib {
            1024 => "larger than 1 MiB".to_owned(),
            kib => format!("larger than {kib} kB"),
        })),
    }
}
