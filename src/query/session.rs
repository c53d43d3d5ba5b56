//! One version of the table as a SQL table, and the statements that run over it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ScalarValue, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::DFParser;
pub(crate) use datafusion::sql::parser::Statement;
use futures::TryStreamExt;

use super::error::{QueryError, sql_message};

/// One version of the table, registered under its name in SQL, with UTC as the session's time zone.
pub struct Session {
    pub(super) context: SessionContext,
    pub(super) table_name: String,
    pub(super) column_names: Vec<String>,
    pub(super) version: u64,
    pub(super) is_empty: bool,
}

impl Session {
    /// The version that is read.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// True if this version has no rows.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Splits `text` at its semicolons into statements, which run one after another.
    ///
    /// # Errors
    /// [`QueryError::Sql`] if any part is not SQL; then nothing runs.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>, QueryError> {
        let statements = DFParser::parse_sql(text).map_err(|error| QueryError::Sql(self.explain(&error)))?;
        Ok(statements.into())
    }

    /// Plans `statement` and starts it. The rows stream while they are computed.
    ///
    /// # Errors
    /// [`QueryError`] for an unknown name, a type mismatch, or a statement that is not a query.
    pub async fn run(&self, statement: Statement) -> Result<Rows, QueryError> {
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
        let frame = self.plan_allowed(statement, options).await?;
        let stream = frame.execute_stream().await;
        self.rows(stream)
    }

    /// The same for a statement of somebody who shares the session with others: it may not change the session's settings
    /// either, and ends soon once its rows are dropped.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub(crate) async fn run_shared(&self, statement: Statement) -> Result<Rows, QueryError> {
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
        let options = options.with_allow_statements(false);
        let frame = self.plan_allowed(statement, options).await?;
        let context = Arc::new(frame.task_ctx());
        let planned = frame.create_physical_plan().await;
        let stream = planned
            .and_then(that_yields)
            .and_then(|plan| execute_stream(plan, context));
        self.rows(stream)
    }

    async fn plan_allowed(&self, statement: Statement, options: SQLOptions) -> Result<DataFrame, QueryError> {
        let state = self.context.state();
        let planned = state.statement_to_plan(statement).await;
        let plan = planned.map_err(|error| QueryError::Sql(self.explain(&error)))?;
        options
            .verify_plan(&plan)
            .map_err(|error| QueryError::ReadOnly(sql_message(&error)))?;
        let running = |error| QueryError::running(self.version, &error);
        self.context.execute_logical_plan(plan).await.map_err(running)
    }

    fn rows(&self, stream: Result<SendableRecordBatchStream, DataFusionError>) -> Result<Rows, QueryError> {
        let stream = stream.map_err(|error| QueryError::running(self.version, &error))?;
        Ok(Rows {
            stream,
            version: self.version,
        })
    }

    /// Runs a query of this program, with values in the places `$1`, `$2` and so on.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub(crate) async fn run_own(&self, sql: &str, values: Vec<ScalarValue>) -> Result<Rows, QueryError> {
        let running = |error| QueryError::running(self.version, &error);
        let frame = self.context.sql(sql).await.map_err(running)?;
        let frame = frame.with_param_values(values).map_err(running)?;
        let stream = frame.execute_stream().await;
        self.rows(stream)
    }

    /// Adds a view under a name of its own.
    ///
    /// # Errors
    /// [`QueryError::Sql`] if the query behind it cannot be planned.
    pub(crate) async fn add_view(&self, name: &str, sql: &str) -> Result<(), QueryError> {
        let sql_error = |error: DataFusionError| QueryError::Sql(sql_message(&error));
        let frame = self.context.sql(sql).await.map_err(sql_error)?;
        self.add_table(name, frame.into_view())
    }

    /// Adds a table under a name that is none yet.
    ///
    /// # Errors
    /// [`QueryError::Sql`].
    pub(crate) fn add_table(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<(), QueryError> {
        let sql_error = |error: DataFusionError| QueryError::Sql(sql_message(&error));
        self.context
            .register_table(TableReference::bare(name), table)
            .map_err(sql_error)?;
        Ok(())
    }

    /// DataFusion's message, with a remedy for the two most common mistakes: a column named like a SQL
    /// keyword (`end`), and a wrong table name.
    fn explain(&self, error: &DataFusionError) -> String {
        let message = sql_message(error);
        if let Some((_, found)) = message.split_once("found: ") {
            let word = found.split_whitespace().next().unwrap_or_default();
            if let Some(column) = self
                .column_names
                .iter()
                .find(|name| name.eq_ignore_ascii_case(word))
            {
                return format!(
                    "{message}; {word} is a SQL keyword: write the column as \"{column}\", in quotes"
                );
            }
        }
        if message.contains("table '") && message.contains("not found") {
            return format!("{message}; the table is named {}", self.table_name);
        }
        message
    }
}

/// The plan with a place to stop after each batch of each step. What eats the rows of a join, such as a sum, would else not
/// come to rest before its end, and could not be ended by whoever waits.
fn that_yields(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let yielding = plan.transform_up(|step| {
        let step: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(step));
        Ok(Transformed::yes(step))
    });
    Ok(yielding?.data)
}

/// The rows of one statement, in batches, while they are computed.
pub struct Rows {
    stream: SendableRecordBatchStream,
    version: u64,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Rows.
    Rows,
    /// Memory.
    Bytes,
}

impl Rows {
    /// Rows that are there already, of no version.
    pub(crate) fn of(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        let batches = futures::stream::iter(batches.into_iter().map(Ok));
        Rows {
            stream: Box::pin(RecordBatchStreamAdapter::new(schema, batches)),
            version: 0,
        }
    }

    /// All rows, if they are not more than so many and take no more than so many bytes.
    ///
    /// # Errors
    /// [`QueryError`] if the computation or the store fails.
    pub(crate) async fn collect_at_most(
        mut self,
        most_rows: usize,
        most_bytes: usize,
    ) -> Result<Result<Vec<RecordBatch>, Excess>, QueryError> {
        let (mut rows, mut bytes, mut batches) = (0, 0, Vec::new());
        while let Some(batch) = self.next_batch().await? {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if rows > most_rows {
                return Ok(Err(Excess::Rows));
            }
            if bytes > most_bytes {
                return Ok(Err(Excess::Bytes));
            }
            batches.push(batch);
        }
        Ok(Ok(batches))
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next batch; `None` after the last one.
    ///
    /// # Errors
    /// [`QueryError`] if the computation or the store fails; then no rows follow.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let next = self.stream.try_next().await;
        next.map_err(|error| QueryError::running(self.version, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Lake, RESIDUAL_COLUMN, count, rows};
    use super::*;

    async fn error(session: &Session, sql: &str) -> String {
        match session.parse(sql) {
            Err(error) => error.to_string(),
            Ok(mut statements) => session.run(statements.remove(0)).await.err().unwrap().to_string(),
        }
    }

    /// The number of files that a query reads, from the plan's metrics.
    async fn files_read(session: &Session, sql: &str) -> usize {
        let plan = plan_text(session, &format!("EXPLAIN ANALYZE {sql}")).await;
        let (_, after) = plan
            .split_once("count_files_scanned=")
            .unwrap_or_else(|| panic!("{plan}"));
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    async fn plan_text(session: &Session, sql: &str) -> String {
        let mut rows = rows(session, sql).await;
        let batch = rows.next_batch().await.unwrap().unwrap();
        arrow::util::pretty::pretty_format_batches(&[batch])
            .unwrap()
            .to_string()
    }

    #[tokio::test]
    async fn statements_are_split_by_the_parser() {
        let session = Lake::empty().await.session().await;
        let text = "SELECT ';' AS a; -- not; here\nSELECT 2 /* nor; here */;;";
        assert_eq!(session.parse(text).unwrap().len(), 2);
        assert_eq!(session.parse(" -- nothing\n").unwrap().len(), 0);
    }

    #[tokio::test]
    async fn only_queries_run() {
        let lake = Lake::with(&[&[(0, None, 1.0)]]).await;
        let session = lake.session().await;
        for sql in [
            "INSERT INTO usage SELECT * FROM usage",
            "DELETE FROM usage",
            "UPDATE usage SET count = 1",
            "DROP TABLE usage",
            "CREATE VIEW days AS SELECT 1",
            "CREATE TABLE copy AS SELECT * FROM usage",
            "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION 'x.csv'",
            "COPY usage TO 'usage.csv'",
            "EXPLAIN ANALYZE INSERT INTO usage SELECT * FROM usage",
        ] {
            let message = error(&session, sql).await;
            assert!(message.starts_with("only queries run here"), "{sql}: {message}");
        }
        assert_eq!(lake.session().await.version(), 1);
        assert_eq!(
            count(&session, "SET datafusion.execution.batch_size = 100").await,
            0
        );
    }

    #[tokio::test]
    async fn errors_of_sql_name_the_correction() {
        let session = Lake::empty().await.session().await;
        for (sql, expected) in [
            ("SELECT average FROM usage", "No field named average"),
            ("SELECT avg_usag FROM usage", "Did you mean 'usage.avg_usage'?"),
            ("SELECT * FROM readings", "the table is named usage"),
            (
                "SELECT start, end FROM usage",
                "write the column as \"end\", in quotes",
            ),
            ("SELEC 1", "found: SELEC at Line: 1, Column: 1"),
        ] {
            let message = error(&session, sql).await;
            assert!(message.contains(expected), "{sql}: {message}");
            assert!(!message.contains('\n'), "{sql}: {message}");
        }
    }

    #[tokio::test]
    async fn times_without_a_zone_are_utc() {
        let lake = Lake::with(&[&[(23, None, 1.0), (24, None, 2.0), (25, None, 3.0)]]).await;
        let session = lake.session().await;
        for day in [
            "'2024-03-06'",
            "'2024-03-06 00:00:00'",
            "TIMESTAMP '2024-03-06'",
            "DATE '2024-03-06'",
        ] {
            assert_eq!(
                count(&session, &format!("SELECT * FROM usage WHERE start >= {day}")).await,
                2,
                "{day}"
            );
        }
    }

    #[tokio::test]
    async fn the_files_extra_column_is_hidden_and_start_prunes_files() {
        let lake = Lake::with(&[&[(0, Some("a"), 1.0), (1, Some("a"), 2.0)]]).await;
        lake.append_with_residual(2, &[(24, Some("a"), 3.0), (25, Some("b"), 4.0)]);
        lake.append_with_residual(3, &[(48, Some("a"), 5.0)]);
        let session = lake.session().await;

        let all = rows(&session, "SELECT * FROM usage").await;
        let schema = all.schema();
        let names: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        assert_eq!(
            names,
            [
                "key",
                "start",
                "end",
                "avg_usage",
                "min_usage",
                "max_usage",
                "sum_usage",
                "count"
            ]
        );
        assert_eq!(count(&session, "SELECT * FROM usage").await, 5);
        assert_eq!(
            count(&session, "SELECT sum(count) FROM usage GROUP BY key").await,
            2
        );
        let message = error(&session, &format!("SELECT {RESIDUAL_COLUMN} FROM usage")).await;
        assert!(message.contains("No field named"), "{message}");

        assert_eq!(files_read(&session, "SELECT * FROM usage").await, 3);
        for (filter, files) in [
            ("start >= '2024-03-06'", 2),
            ("start >= '2024-03-06' AND start < '2024-03-07'", 1),
            ("start = TIMESTAMP '2024-03-07 00:00:00'", 1),
            (
                "start >= TIMESTAMP '2024-03-06T00:00:00Z' AND start < TIMESTAMP '2024-03-07T00:00:00Z'",
                1,
            ),
        ] {
            assert_eq!(
                files_read(&session, &format!("SELECT * FROM usage WHERE {filter}")).await,
                files,
                "{filter}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_removed_by_vacuum_is_named() {
        let lake = Lake::empty().await;
        lake.append_with_residual(1, &[(0, None, 1.0)]);
        std::fs::remove_file(lake.path("residual-1.parquet")).unwrap();
        let session = lake.session().await;
        let mut rows = rows(&session, "SELECT * FROM usage").await;
        let message = rows.next_batch().await.err().unwrap().to_string();
        assert!(
            message.starts_with("a data file of table version 1 is gone"),
            "{message}"
        );
        assert!(message.contains("residual-1.parquet"), "{message}");
    }

    #[tokio::test]
    async fn the_projects_queries_run() {
        let lake = Lake::with(&[&[(0, None, 1.0), (24, None, 3.0), (25, None, 2.0)]]).await;
        let session = lake.session().await;
        for (sql, expected) in [
            (include_str!("../../sql/hourly_day.sql"), 2),
            (include_str!("../../sql/top_hours.sql"), 3),
            (include_str!("../../sql/completeness.sql"), 3),
        ] {
            assert_eq!(count(&session, sql).await, expected, "{sql}");
        }
    }
}
