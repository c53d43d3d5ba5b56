"""The same aggregation in Spark: hourly averages of each meter, upserted into a Delta table; everything the topic
holds now, in one batch. Prints what the query took and the rows of the table.

job.py BROKERS TOPIC TABLE CHECKPOINTS JARS...
"""

import json
import os
import sys
import time

from pyspark.sql import SparkSession
from pyspark.sql.functions import avg, col, from_json, window

brokers, topic, table, checkpoints, *jars = sys.argv[1:]

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.jars", ",".join(jars))
    .config("spark.driver.extraClassPath", ":".join(jars))
    .config("spark.driver.memory", "4g")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.sql.session.timeZone", "UTC")
    # As many as the topic has partitions; the default of 200 is for clusters, and slower here.
    .config("spark.sql.shuffle.partitions", "4")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
spark.sql(
    f"CREATE TABLE delta.`{table}` (key STRING, start TIMESTAMP, end TIMESTAMP, avg_usage DOUBLE) USING delta"
)


def upsert(batch, _number):
    batch.createOrReplaceTempView("changes")
    batch.sparkSession.sql(
        f"MERGE INTO delta.`{table}` AS t USING changes AS c ON t.key = c.key AND t.start = c.start "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def virtual_machine(process):
    """Processor time and the largest resident set of Spark's own process, which is not this one."""
    with open(f"/proc/{process}/stat") as stat:
        ticks = stat.read().rsplit(")", 1)[1].split()[11:13]
    with open(f"/proc/{process}/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:"))
    return {
        "processor_seconds": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        "peak_resident": int(peak.split()[1]) * 1024,
    }


readings = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", brokers)
    .option("subscribe", topic)
    .option("startingOffsets", "earliest")
    .load()
    .select(
        col("key").cast("string").alias("key"),
        from_json(col("value").cast("string"), "ts TIMESTAMP, value DOUBLE").alias("reading"),
    )
)
averages = (
    readings.select("key", "reading.*")
    .withWatermark("ts", "1 hour")
    .groupBy(window("ts", "1 hour"), "key")
    .agg(avg("value").alias("avg_usage"))
    .select("key", col("window.start").alias("start"), col("window.end").alias("end"), "avg_usage")
)

started = time.monotonic()
query = (
    averages.writeStream.outputMode("update")
    .trigger(availableNow=True)
    .option("checkpointLocation", checkpoints)
    .foreachBatch(upsert)
    .start()
)
query.awaitTermination()
seconds = time.monotonic() - started
rows = spark.sql(f"SELECT count(*) FROM delta.`{table}`").first()[0]
print(json.dumps({"seconds": seconds, "rows": rows, **virtual_machine(spark.sparkContext._gateway.proc.pid)}))
spark.stop()
