# The catalog says that there is a Delta table and where, and nothing else: Athena takes columns, types and files from
# the table's own log at every query. So there is no crawler, and nothing here that could become wrong.

resource "aws_glue_catalog_database" "this" {
  name        = replace(var.name, "-", "_")
  description = "Windowed averages, kept by streamgauge"
}

resource "aws_glue_catalog_table" "this" {
  database_name = aws_glue_catalog_database.this.name
  name          = var.table_name
  description   = "Windowed averages of the topic ${var.topic}, kept by streamgauge"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL                     = "TRUE"
    "spark.sql.sources.provider" = "delta"
    classification               = "delta"
  }

  storage_descriptor {
    location      = local.table_location
    input_format  = "org.apache.hadoop.mapred.SequenceFileInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat"

    # What Spark and Athena's documentation write where the columns are the log's: a column that stands for all.
    columns {
      name = "col"
      type = "array<string>"
    }

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"

      parameters = {
        path                   = local.table_location
        "serialization.format" = "1"
      }
    }
  }

  # An engine that synchronises the columns from the log may do so; see the query "catalog-columns" in athena.tf.
  lifecycle {
    ignore_changes = [
      description,
      owner,
      parameters,
      storage_descriptor[0].columns,
      storage_descriptor[0].input_format,
      storage_descriptor[0].output_format,
      storage_descriptor[0].ser_de_info,
    ]
  }
}
