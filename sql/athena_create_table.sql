-- Athena only: enters the Delta table in the catalog, with the columns that the table's log has at this moment.
-- Adapt: the table's name, and its location, which is table.uri in streamgauge's settings. Choose the database first. The
-- table must have been written once; no column may be named here, and nothing in the table is touched.
-- As Athena's documentation has it, under Query Linux Foundation Delta Lake tables; no test can run it without an account.
CREATE EXTERNAL TABLE `usage`
LOCATION 's3://YOUR-BUCKET/tables/usage'
TBLPROPERTIES ('table_type' = 'DELTA');
