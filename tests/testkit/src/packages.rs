//! Programs as Debian (or Ubuntu) packages them, unpacked into the cache: nothing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cache::cached;
use super::find_program;
use super::process::run;

const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// Prometheus' tool for rules.
pub fn promtool() -> Result<PathBuf> {
    of_prometheus("promtool")
}

/// Prometheus itself.
pub fn prometheus() -> Result<PathBuf> {
    of_prometheus("prometheus")
}

fn of_prometheus(program: &str) -> Result<PathBuf> {
    if let Ok(found) = find_program(program) {
        return Ok(found);
    }
    let folder = cached(&format!("{program}-debian"), |folder| {
        let package = unpacked_package(folder, "prometheus")?;
        std::fs::rename(package.join("usr/bin").join(program), folder.join(program))?;
        Ok(std::fs::remove_dir_all(package)?)
    })?;
    Ok(folder.join(program))
}

/// Fetches a package, and unpacks it into a folder below the given one.
pub(crate) fn unpacked_package(folder: &Path, name: &str) -> Result<PathBuf> {
    let dpkg = find_program("dpkg-deb")?;
    // Lists of the test's own: those of the machine may be old or missing, and only root may fetch them.
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let apt = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(find_program("apt-get")?);
        command
            .current_dir(folder)
            .args(["-qq", "-o", "Debug::NoLocking=1"]);
        for (option, part) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            command
                .arg("-o")
                .arg(format!("{option}={}", folder.join(part).display()));
        }
        run("apt-get", command.args(arguments), FETCH_LIMIT).map(drop)
    };
    apt(&["update"])?;
    apt(&["download", name])?;
    for part in ["lists", "cache"] {
        std::fs::remove_dir_all(folder.join(part))?;
    }
    let archive = only_package(folder)?;
    let package = folder.join("package");
    let mut unpack = Command::new(dpkg);
    unpack.arg("-x").arg(&archive).arg(&package);
    run("dpkg-deb", &mut unpack, FETCH_LIMIT)?;
    std::fs::remove_file(archive)?;
    Ok(package)
}

fn only_package(folder: &Path) -> Result<PathBuf> {
    let mut files = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .context("apt-get has fetched no package")
}
