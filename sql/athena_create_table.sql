-- Athena only: registers the Delta table in the catalog, with the columns that its log has at this moment.
-- Adapt: the table's name, and its location, which is table.uri in streamgauge's settings. Choose the database first. The
-- table must have been written once. The statement may not name columns, and does not change the table.
-- From Athena's documentation, under Query Linux Foundation Delta Lake tables; no test can run it without an account.
CREATE EXTERNAL TABLE `usage`
LOCATION 's3://YOUR-BUCKET/tables/usage'
TBLPROPERTIES ('table_type' = 'DELTA');
