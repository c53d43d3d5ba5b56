-- Athena only: makes the database in the catalog, for a table that Terraform did not deploy. Then athena_create_table.sql.
-- Adapt: the database's name.
-- As Athena's documentation has it, under CREATE DATABASE; no test can run it without an account.
CREATE DATABASE IF NOT EXISTS streamgauge
COMMENT 'Windowed averages, kept by streamgauge';
