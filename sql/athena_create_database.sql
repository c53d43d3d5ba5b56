-- Athena only: makes the database in the catalog, for a table that Terraform did not deploy. Then athena_create_table.sql.
-- Adapt: the database's name.
CREATE DATABASE IF NOT EXISTS streamgauge
COMMENT 'Windowed averages, kept by streamgauge';
