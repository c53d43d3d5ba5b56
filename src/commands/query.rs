//! `streamgauge query`: SQL over the table.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{Action, block_on, stdout, tell};
use crate::config::{Loaded, Overrides};
use crate::lake::TableSettings;
use crate::query::output::{self, Format, OutputError};
use crate::query::{self, Session};

/// Run SQL over the Delta table
///
/// The table is called `usage` in SQL, or as table.name says. Its columns are key, start, end, avg_usage, min_usage,
/// max_usage, sum_usage and count, as far as the settings do not rename them. The SQL is DataFusion's, much like
/// PostgreSQL's. Nothing is written: the table may be queried while `streamgauge aggregate` runs.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct QueryArgs {
    /// SQL to run; several statements are separated by `;`. Without it and without --file, standard input is read
    sql: Option<String>,
    /// Read the SQL from a file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// How to write the result
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Query the table as it was at this version
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Rows that --format table shows at most: a number or `all`
    #[arg(long, value_name = "N", default_value = "40", value_parser = parse_max_rows)]
    maxrows: MaxRows,
    /// Where the table lies: a local folder or s3://bucket/prefix
    #[arg(long, value_name = "URI")]
    table: Option<String>,
}

const EXAMPLES: &str = r#"Examples:
  The hourly averages of a day; "end" is quoted because it is a word of SQL:
    streamgauge query "SELECT start, \"end\", avg_usage FROM usage
                       WHERE start >= '2024-03-05' AND start < '2024-03-06' ORDER BY start"
  The ten hours with the highest averages, as CSV:
    streamgauge query --format csv 'SELECT start, avg_usage FROM usage ORDER BY 2 DESC LIMIT 10'
  How many rows there were at version 3 of the table:
    streamgauge query --version 3 'SELECT count(*) FROM usage'
  A file of queries; the project's sql/ folder has some:
    streamgauge query -f sql/completeness.sql
  The columns and their types:
    streamgauge query 'DESCRIBE usage'"#;

/// The limit on the rows of a table; none for `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaxRows(pub(super) Option<usize>);

pub(super) fn parse_max_rows(text: &str) -> Result<MaxRows, String> {
    if text == "all" {
        return Ok(MaxRows(None));
    }
    let limit = text
        .parse()
        .map_err(|_| "it must be a number of rows or `all`".to_owned())?;
    Ok(MaxRows(Some(limit)))
}

impl Action for QueryArgs {
    fn overrides(&self) -> Overrides {
        Overrides::default().with("table.uri", "--table", self.table.as_ref())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        run(self, &loaded.config.pipeline.table)
    }
}

/// Runs the command: rows to standard output, remarks to standard error.
pub(super) fn run(args: &QueryArgs, table: &TableSettings) -> anyhow::Result<ExitCode> {
    let Some(sql) = read_sql(args)? else {
        tell(&format!(
            "there is no SQL to run: type for example `streamgauge query 'SELECT * FROM {} LIMIT 10'`, \
             or see `streamgauge query --help`",
            table.name
        ));
        return Ok(ExitCode::from(2));
    };
    block_on(run_sql(args, table, &sql))?;
    Ok(ExitCode::SUCCESS)
}

/// The SQL given as argument, file or standard input; none if that is a terminal, or if it is blank.
fn read_sql(args: &QueryArgs) -> anyhow::Result<Option<String>> {
    let sql = match (&args.sql, &args.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(file)) if file != Path::new("-") => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        (None, None) if io::stdin().is_terminal() => return Ok(None),
        (None, _) => {
            let mut sql = String::new();
            io::stdin()
                .read_to_string(&mut sql)
                .context("cannot read the SQL from standard input")?;
            sql
        }
    };
    Ok((!sql.trim().is_empty()).then_some(sql))
}

async fn run_sql(args: &QueryArgs, table: &TableSettings, sql: &str) -> anyhow::Result<()> {
    let session = query::open(table, args.version).await?;
    if session.is_empty() {
        tell(&format!("the table is empty (version {})", session.version()));
    }
    let mut output = BufWriter::new(stdout());
    print_sql(&session, sql, args.format, args.maxrows.0, &mut output).await?;
    output.flush().context("cannot write the result")
}

/// Runs the statements of `sql` one after another and writes their rows to `output`; says on standard error when a
/// table shows less than all of its rows.
pub(super) async fn print_sql(
    session: &Session,
    sql: &str,
    format: Format,
    max_rows: Option<usize>,
    output: &mut impl Write,
) -> Result<(), OutputError> {
    for statement in session.parse(sql)? {
        let rows = session.run(statement).await?;
        let written = output::write(rows, format, max_rows, output).await?;
        if written.shown < written.rows {
            tell(&format!(
                "… {} more rows; --maxrows all shows them",
                written.rows - written.shown
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::query::fixture::Lake;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        query: QueryArgs,
    }

    fn parse(arguments: &[&str]) -> Result<QueryArgs, clap::Error> {
        CommandLine::try_parse_from(["query"].iter().chain(arguments)).map(|line| line.query)
    }

    #[test]
    fn flags_are_understood() {
        let args = parse(&[
            "SELECT 1",
            "--version",
            "3",
            "--format",
            "nd-json",
            "--maxrows",
            "all",
        ])
        .unwrap();
        assert_eq!(args.sql.as_deref(), Some("SELECT 1"));
        assert_eq!(
            (args.version, args.format, args.maxrows),
            (Some(3), Format::NdJson, MaxRows(None))
        );
        let args = parse(&[]).unwrap();
        assert_eq!(
            (args.version, args.format, args.maxrows),
            (None, Format::Table, MaxRows(Some(40)))
        );
        for wrong in [
            &["--maxrows", "some"][..],
            &["SELECT 1", "-f", "a.sql"],
            &["--version", "-1"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sql_comes_from_an_argument_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("query.sql");
        std::fs::write(&file, "SELECT 2;\n").unwrap();
        let path = file.to_str().unwrap();
        assert_eq!(
            read_sql(&parse(&["SELECT 1"]).unwrap()).unwrap().as_deref(),
            Some("SELECT 1")
        );
        assert_eq!(
            read_sql(&parse(&["-f", path]).unwrap()).unwrap().as_deref(),
            Some("SELECT 2;\n")
        );
        assert_eq!(read_sql(&parse(&["  "]).unwrap()).unwrap(), None);
        assert!(read_sql(&parse(&["-f", "no-such-file.sql"]).unwrap()).is_err());
    }

    #[tokio::test]
    async fn statements_are_run_one_after_another() {
        let lake = Lake::with(&[&[(0, None, 1.5)]]).await;
        let session = lake.session().await;
        let mut output = Vec::new();
        let sql = "SELECT count(*) AS n FROM usage; SELECT avg_usage FROM usage";
        print_sql(&session, sql, Format::Csv, None, &mut output)
            .await
            .unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), "n\n1\navg_usage\n1.5\n");
    }
}
