resource "aws_athena_workgroup" "this" {
  name          = var.name
  description   = "Queries of the table ${var.table_name}"
  force_destroy = true

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.athena_scan_limit_gb * 1024 * 1024 * 1024

    # Version 3 is the one that reads Delta tables.
    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location       = "s3://${aws_s3_bucket.lake.id}/${local.result_prefix}/"
      expected_bucket_owner = local.account

      encryption_configuration {
        encryption_option = var.lake_kms_key_arn == null ? "SSE_S3" : "SSE_KMS"
        kms_key_arn       = var.lake_kms_key_arn
      }
    }
  }
}

# Queries of sql/ name the table, and its place, as they are by default; here, as they are deployed. Those that make
# database and table are not among the saved ones, since both are made here.
locals {
  queries = {
    for file in fileset("${path.module}/../sql", "*.sql") : trimsuffix(file, ".sql") =>
    replace(file("${path.module}/../sql/${file}"), "FROM usage", "FROM \"${var.table_name}\"")
    if !startswith(file, "athena_")
  }
  create_table = replace(
    replace(file("${path.module}/../sql/athena_create_table.sql"), "s3://YOUR-BUCKET/tables/usage", local.table_location),
    "`usage`", "`${var.table_name}`",
  )
}

# The queries of sql/, under their files' names. A file's first comment is its description.
resource "aws_athena_named_query" "this" {
  for_each = local.queries

  name        = each.key
  description = try(substr(trimspace(regex("^--([^\n]*)", each.value)[0]), 0, 1024), null)
  workgroup   = aws_athena_workgroup.this.id
  database    = aws_glue_catalog_database.this.name
  query       = each.value
}

# Athena's views, Lake Formation and programs that list columns from the catalog want the columns in it. Run once
# the table has its first version; two statements, one after the other.
resource "aws_athena_named_query" "catalog_columns" {
  for_each = {
    "catalog-columns-1-drop"   = "DROP TABLE `${var.table_name}`;"
    "catalog-columns-2-create" = local.create_table
  }

  name        = each.key
  description = "Copies the columns from the table's log into the catalog. The table's data is not touched."
  workgroup   = aws_athena_workgroup.this.id
  database    = aws_glue_catalog_database.this.name
  query       = each.value
}
