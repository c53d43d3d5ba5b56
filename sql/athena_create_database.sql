-- Athena only: creates the database in the catalog, for a table that Terraform did not deploy. Then run athena_create_table.sql.
-- Adapt: the database's name.
-- From Athena's documentation, under CREATE DATABASE; no test can run it without an account.
CREATE DATABASE IF NOT EXISTS streamgauge
COMMENT 'Windowed averages, kept by streamgauge';
