"""Prints how many rows delta-rs and DuckDB find in each table, as JSON: [[URI, ROWS, ROWS], …]. What fails is its text.

Usage: count_rows.py STORAGE_OPTIONS_AS_JSON URI…
"""

import json
import sys

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder


def with_delta_rs(table):
    query = QueryBuilder().register("readings", table).execute("SELECT * FROM readings")
    return pa.table(query).num_rows


def with_duckdb(table):
    connection = duckdb.connect()
    connection.register("readings", table.to_pyarrow_dataset())
    return pa.table(connection.sql("SELECT * FROM readings")).num_rows


def count(engine, uri, options):
    try:
        return engine(DeltaTable(uri, storage_options=options))
    except Exception as error:  # Whatever it is, the test shows it.
        return str(error)


options = json.loads(sys.argv[1])
print(json.dumps([[uri, *(count(engine, uri, options) for engine in (with_delta_rs, with_duckdb))] for uri in sys.argv[2:]]))
