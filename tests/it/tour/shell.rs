//! One shell for a whole page, as a reader has one: variables, exports and background processes last.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use streamgauge_testkit::process::{Child, program, scratch_folder, tail};

/// No command of a page takes longer.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// Where a page has Kafka and the metrics: the defaults, where the tests cannot have theirs.
const BROKERS: &str = "localhost:9092";
const METRICS: &str = "127.0.0.1:9464";

/// Sources `$STEPS/0.sh`, `$STEPS/1.sh`, … as each appears; says it is done with one by `$STEPS/0.done`.
const LOOP: &str = r#"
tour_step=0
while :; do
  if [ -e "$STEPS/$tour_step.sh" ]; then
    . "$STEPS/$tour_step.sh" >"$STEPS/$tour_step.out" 2>&1
    : >"$STEPS/$tour_step.done"
    tour_step=$((tour_step + 1))
  else
    sleep 0.05
  fi
done
"#;

pub struct Shell {
    process: Child,
    steps: PathBuf,
    count: usize,
    brokers: String,
    metrics: String,
}

impl Shell {
    /// A shell in a fresh folder that has the repository's `src` and `sql`, with `streamgauge` on its `PATH`.
    pub fn start(brokers: &str, metrics_port: u16) -> Result<Shell> {
        let (folder, steps, programs) = (
            scratch_folder("tour"),
            scratch_folder("tour-steps"),
            scratch_folder("tour-programs"),
        );
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["src", "sql"] {
            symlink(repository.join(name), folder.join(name))?;
        }
        symlink(env!("CARGO_BIN_EXE_streamgauge"), programs.join("streamgauge"))?;
        let path = std::env::var_os("PATH").context("PATH is not set")?;
        let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))?;
        let metrics = format!("127.0.0.1:{metrics_port}");

        let mut command = program("sh", ["-c", LOOP]);
        command
            .current_dir(folder)
            .env("PATH", path)
            .env("STEPS", &steps)
            .env("STREAMGAUGE__KAFKA__BROKERS", brokers)
            .env("STREAMGAUGE__HTTP__LISTEN", &metrics);
        Ok(Shell {
            process: Child::start("tour-shell", &mut command)?,
            steps,
            count: 0,
            brokers: brokers.to_owned(),
            metrics,
        })
    }

    /// Runs a command line and returns what it printed, both as on a page.
    pub fn run(&mut self, command: &str) -> Result<String> {
        let file = |ending: &str| self.steps.join(format!("{}.{ending}", self.count));
        let (part, script, output, done) = (file("part"), file("sh"), file("out"), file("done"));
        self.count += 1;
        std::fs::write(&part, command.replace(METRICS, &self.metrics) + "\n")?;
        std::fs::rename(&part, &script)?;

        let deadline = Instant::now() + COMMAND_LIMIT;
        while !done.exists() {
            let ended = self.process.exit_status()?;
            if ended.is_some() || Instant::now() >= deadline {
                let printed = std::fs::read_to_string(&output).unwrap_or_default();
                let log = self.process.output();
                bail!(
                    "$ {command}\ndid not end within {COMMAND_LIMIT:?}, or ended the shell; it printed:\n{}",
                    tail(&(printed + &log))
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let printed = String::from_utf8_lossy(&std::fs::read(&output)?).into_owned();
        Ok(self.as_on_a_page(&printed))
    }

    /// What a reader sees, who has both addresses by default: `config` says that two settings come from the environment.
    fn as_on_a_page(&self, printed: &str) -> String {
        let ours = ["# STREAMGAUGE__KAFKA__BROKERS", "# STREAMGAUGE__HTTP__LISTEN"];
        let printed = printed
            .replace(&self.brokers, BROKERS)
            .replace(&self.metrics, METRICS);
        let printed = printed.replace(", 2 from the environment)", ")");
        let lines = printed.lines();
        let lines = lines.filter(|line| !ours.iter().any(|setting| line.ends_with(setting)));
        lines.collect::<Vec<_>>().join("\n")
    }
}
