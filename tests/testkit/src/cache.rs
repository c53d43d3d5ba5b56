//! Things that are fetched or built once per machine lie in the user's cache folder, one folder each.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::find_program;
use super::process::run;

/// Fetching over a slow line, or building a Go program on a slow machine.
const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// The folder `name` of the cache, filled on first use. Other test runs may ask for it at the same time; a fill
/// that was cut short leaves nothing that is taken for whole.
pub fn cached(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let folder = cache.join(name);
    std::fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock()?;
    if !folder.exists() {
        let partial = cache.join(format!("{name}.partial"));
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        std::fs::create_dir(&partial)?;
        fill(&partial)?;
        std::fs::rename(&partial, &folder)?;
    }
    Ok(folder)
}

fn cache_folder() -> Result<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let cache = given.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    Ok(cache
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("streamgauge"))
}

/// A folder of jars: the artifacts (`group:artifact:version`) and what they need, fetched by Maven.
pub fn maven_libraries(name: &str, artifacts: &[&str]) -> Result<PathBuf> {
    cached(name, |folder| {
        let maven = find_program("mvn")?;
        std::fs::write(folder.join("pom.xml"), pom(artifacts)?)?;
        let mut command = Command::new(maven);
        command.current_dir(folder).args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=libs",
        ]);
        run("mvn", &mut command, FETCH_LIMIT).map(drop)
    })
    .map(|folder| folder.join("libs"))
}

/// The unpacked archive of a program (`group:artifact:version:tar.gz`, and perhaps a classifier), fetched by Maven; only
/// the parts named are kept.
pub fn maven_program(artifact: &str, parts: &[&str]) -> Result<PathBuf> {
    let name = artifact.split(':').skip(1).take(2).collect::<Vec<_>>().join("-");
    let classifier = artifact.split(':').nth(4);
    let archive = classifier.map_or(name.clone(), |classifier| format!("{name}-{classifier}"));
    cached(&name, |folder| {
        let fetched = folder.join("fetched");
        let mut maven = Command::new(find_program("mvn")?);
        maven.current_dir(folder).args(["-q", "-B", "dependency:copy"]);
        maven.arg(format!("-Dartifact={artifact}"));
        maven.arg(format!("-DoutputDirectory={}", fetched.display()));
        run("mvn", &mut maven, FETCH_LIMIT)?;
        // All of it first: an archive may hold a file once and link to it from elsewhere.
        let whole = fetched.join("whole");
        std::fs::create_dir(&whole)?;
        let mut tar = Command::new(find_program("tar")?);
        tar.arg("-xzf")
            .arg(fetched.join(format!("{archive}.tar.gz")))
            .arg("-C")
            .arg(&whole);
        run("tar", &mut tar, FETCH_LIMIT)?;
        // Most archives are a folder, some lie open.
        let entries: Vec<_> = std::fs::read_dir(&whole)?.collect::<Result<_, _>>()?;
        let whole = match entries.as_slice() {
            [folder] => folder.path(),
            _ => whole,
        };
        for part in parts {
            let kept = folder.join(part);
            std::fs::create_dir_all(kept.parent().context("a part lies in the folder")?)?;
            std::fs::rename(whole.join(part), kept)?;
        }
        Ok(std::fs::remove_dir_all(fetched)?)
    })
}

fn pom(artifacts: &[&str]) -> Result<String> {
    let mut dependencies = String::new();
    for coordinates in artifacts {
        let mut parts = coordinates.splitn(3, ':');
        let mut part = || {
            parts
                .next()
                .with_context(|| format!("{coordinates} is not group:artifact:version"))
        };
        let (group, artifact, version) = (part()?, part()?, part()?);
        dependencies += &format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        );
    }
    Ok(format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>streamgauge</groupId><artifactId>tests</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>"
    ))
}

/// A program built by Go from `module@version`.
pub fn go_program(program: &str, module: &str) -> Result<PathBuf> {
    let version = module.rsplit('@').next().unwrap_or_default();
    cached(&format!("{program}-{version}"), |folder| {
        let go = find_program("go")?;
        run(
            "go",
            Command::new(go).args(["install", module]).env("GOBIN", folder),
            FETCH_LIMIT,
        )
        .map(drop)
    })
    .map(|folder| folder.join(program))
}

/// The interpreter of a Python environment that holds the packages of a requirements file.
pub fn python_environment(requirements: &Path) -> Result<PathBuf> {
    let python = find_program("python3")?;
    let probe = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])";
    let version = run("python3", Command::new(&python).args(["-c", probe]), FETCH_LIMIT)?;
    let checksum = crc32fast::hash(&std::fs::read(requirements)?);
    cached(&format!("python-{}-{checksum:08x}", version.trim()), |folder| {
        run(
            "venv",
            Command::new(&python).args(["-m", "venv"]).arg(folder),
            FETCH_LIMIT,
        )?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"])
            .arg(requirements);
        run("pip", &mut pip, FETCH_LIMIT).map(drop)
    })
    .map(|folder| folder.join("bin/python"))
}
