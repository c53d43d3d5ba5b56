"""Prints a Delta table as JSON lines: a header (schema, protocol versions), then one object per row.

Usage: read_table.py delta-rs|duckdb URI STORAGE_OPTIONS_AS_JSON

Timestamps are microseconds since 1970. Doubles are text, so that they survive to the last bit.
"""

import json
import sys

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

DELTA_TYPES = {
    "string": "string",
    "large_string": "string",
    "string_view": "string",
    "binary": "binary",
    "large_binary": "binary",
    "binary_view": "binary",
    "bool": "boolean",
    "int32": "integer",
    "int64": "long",
    "float": "float",
    "double": "double",
    "date32[day]": "date",
}


def read(engine, table):
    if engine == "delta-rs":
        query = QueryBuilder().register("readings", table).execute("SELECT * FROM readings")
        return pa.table(query)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("readings", table.to_pyarrow_dataset())
    return pa.table(connection.sql("SELECT * FROM readings"))


def delta_type(arrow_type):
    if pa.types.is_timestamp(arrow_type):
        return "timestamp" if arrow_type.tz else "timestamp_ntz"
    return DELTA_TYPES.get(str(arrow_type), str(arrow_type))


def values(column):
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()
    if pa.types.is_floating(column.type):
        return [None if value is None else repr(value) for value in column.to_pylist()]
    return column.to_pylist()


def main():
    engine, uri, options = sys.argv[1:]
    table = DeltaTable(uri, storage_options=json.loads(options))
    protocol = table.protocol()
    rows = read(engine, table)
    header = {
        "schema": [[field.name, delta_type(field.type)] for field in rows.schema],
        "reader_version": protocol.min_reader_version,
        "writer_version": protocol.min_writer_version,
    }
    print(json.dumps(header))
    columns = [values(column) for column in rows.columns]
    for row in zip(*columns):
        print(json.dumps(dict(zip(rows.column_names, row))))


main()
