//! A real browser for the live page: Debian's Chromium, driven by the script in `tests/live`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cache::cached;
use super::find_program;
use super::process::{Child, run};

/// A check waits for a minute or so itself.
const CHECK_LIMIT: Duration = Duration::from_secs(240);
const FETCH_LIMIT: Duration = Duration::from_secs(600);
/// What the script needs, and itself.
const FILES: [&str; 6] = [
    "package.json",
    "package-lock.json",
    ".npmrc",
    ".prettierrc.json",
    "browser.mjs",
    "eslint.config.mjs",
];
const SCRIPT: &str = "browser.mjs";

/// Chromium, Node.js, and the script with its packages.
#[derive(Debug)]
pub struct Browser {
    chromium: PathBuf,
    node: PathBuf,
    folder: PathBuf,
}

impl Browser {
    /// Finds Chromium, or installs Debian's, and fetches the script's packages.
    pub fn ready() -> Result<Self> {
        let node = find_program("node")?;
        let chromium = chromium()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../live");
        let texts = FILES
            .iter()
            .map(|file| std::fs::read(source.join(file)).with_context(|| format!("{file} is missing")));
        let texts: Vec<Vec<u8>> = texts.collect::<Result<_>>()?;
        let checksum = crc32fast::hash(&texts.concat());
        let folder = cached(&format!("browser-{checksum:08x}"), |folder| {
            for (file, text) in FILES.iter().zip(&texts) {
                std::fs::write(folder.join(file), text)?;
            }
            let mut npm = Command::new(find_program("npm")?);
            npm.current_dir(folder)
                .args(["ci", "--no-audit", "--no-fund", "--silent"]);
            run("npm", &mut npm, FETCH_LIMIT).map(drop)
        })?;
        Ok(Browser {
            chromium,
            node,
            folder,
        })
    }

    /// Makes a check of the page at an address, to the end. Pictures go into the folder.
    pub fn check(&self, url: &str, pictures: &Path, check: &str, arguments: &[&str]) -> Result<String> {
        run(
            check,
            &mut self.command(url, pictures, check, arguments),
            CHECK_LIMIT,
        )
    }

    /// Starts a check that waits for something.
    pub fn start(&self, url: &str, pictures: &Path, check: &str, arguments: &[&str]) -> Result<Child> {
        Child::start(check, &mut self.command(url, pictures, check, arguments))
    }

    fn command(&self, url: &str, pictures: &Path, check: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.node);
        command.env("CHROMIUM", &self.chromium);
        command.arg(self.folder.join(SCRIPT)).arg(url).arg(pictures);
        command.arg(check).args(arguments);
        command
    }

    /// Runs the tests of what the page's parts compute, which need no browser.
    pub fn test(&self, tests: &Path) -> Result<()> {
        let mut command = Command::new(&self.node);
        command.arg("--test").arg(tests);
        run("node", &mut command, CHECK_LIMIT).map(drop)
    }

    /// Lints the scripts of a folder of the project, and looks at their format.
    pub fn lint(&self, folder: &Path) -> Result<()> {
        let mut command = Command::new(&self.node);
        command
            .current_dir(folder)
            .arg(self.folder.join("node_modules/eslint/bin/eslint.js"))
            .arg("--config")
            .arg(self.folder.join("eslint.config.mjs"))
            .arg(".");
        run("eslint", &mut command, CHECK_LIMIT)?;
        let mut command = Command::new(&self.node);
        command
            .current_dir(folder)
            .arg(self.folder.join("node_modules/prettier/bin/prettier.cjs"))
            .arg("--config")
            .arg(self.folder.join(".prettierrc.json"))
            .args(["--check", "*.js"]);
        run("prettier", &mut command, CHECK_LIMIT).map(drop)
    }
}

/// Chromium on the path; else it is installed, where this may be done.
fn chromium() -> Result<PathBuf> {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    // Of two tests that find none, one installs it.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let find = || NAMES.iter().find_map(|name| find_program(name).ok());
    if let Some(found) = find() {
        return Ok(found);
    }
    // A browser needs so many libraries that unpacking it would not do.
    let apt = find_program("apt-get").context("there is no chromium, and no apt-get to install it by")?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(&apt);
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-y"]);
        run("apt-get", command.args(arguments), FETCH_LIMIT)
    };
    let installed = apt_get(&["update"]).and_then(|_| {
        apt_get(&[
            "install",
            "--no-install-recommends",
            "chromium",
            "fonts-dejavu-core",
        ])
    });
    match (find(), installed) {
        (Some(found), _) => Ok(found),
        (None, Err(error)) => Err(error.context("there is no chromium, and it cannot be installed")),
        (None, Ok(_)) => bail!("the package chromium has no program of that name"),
    }
}
