"""Changes a Delta table as its users do with delta-rs. Usage: change_table.py OPERATION URI STORAGE_OPTIONS_AS_JSON

Rows of a table of hourly windows, keyed by "north", "east" and others:
  update      adds 1 to the sums of "north"
  delete      takes "east" away
  append      adds a second row for "north" in hour 1: one reading of 2.5
  optimize    merges all files
  z-order     merges all files, sorted by key
  merge       deletes "east" and adds 1 to the sums of "north", by MERGE
  overwrite   rewrites all rows, with the key as a dictionary
  checkpoint  makes a checkpoint that has the statistics as columns, too
  restore     puts the table back to the version before the last one
"""

import json
import sys
from datetime import datetime, timezone

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

HOUR_1 = datetime(1970, 1, 1, 1, tzinfo=timezone.utc)
HOUR_2 = datetime(1970, 1, 1, 2, tzinfo=timezone.utc)


def append(table, options):
    row = {"key": "north", "start": HOUR_1, "end": HOUR_2, "avg_usage": 2.5, "min_usage": 2.5, "max_usage": 2.5,
           "sum_usage": 2.5, "count": 1}
    schema = pa.schema([("key", pa.string()), ("start", pa.timestamp("us", "UTC")), ("end", pa.timestamp("us", "UTC")),
                        *((name, pa.float64()) for name in ("avg_usage", "min_usage", "max_usage", "sum_usage")),
                        ("count", pa.int64())])
    write_deltalake(table, pa.Table.from_pylist([row], schema=schema), mode="append")


def merge(table, options):
    source = pa.table({"name": ["north", "east"]})
    merged = table.merge(source, "target.key = source.name", source_alias="source", target_alias="target")
    merged.when_matched_delete("target.key = 'east'").when_matched_update({"sum_usage": "target.sum_usage + 1"}).execute()


def overwrite(table, options):
    rows = table.to_pyarrow_table()
    index = rows.schema.get_field_index("key")
    write_deltalake(table, rows.set_column(index, "key", rows["key"].dictionary_encode()), mode="overwrite")


def checkpoint(table, options):
    table.alter.set_table_properties({"delta.checkpoint.writeStatsAsStruct": "true"})
    table.create_checkpoint()


OPERATIONS = {
    "update": lambda table, options: table.update({"sum_usage": "sum_usage + 1"}, predicate="key = 'north'"),
    "delete": lambda table, options: table.delete("key = 'east'"),
    "append": append,
    "optimize": lambda table, options: table.optimize.compact(),
    "z-order": lambda table, options: table.optimize.z_order(["key"]),
    "merge": merge,
    "overwrite": overwrite,
    "checkpoint": checkpoint,
    "restore": lambda table, options: table.restore(table.version() - 1),
}

operation, uri, options = sys.argv[1:]
options = json.loads(options)
OPERATIONS[operation](DeltaTable(uri, storage_options=options), options)
