"""Rewrites the data files of a local Delta table as another engine would have written them, one new file for each, in a
log entry by hand. Usage: rewrite_files.py FOLDER HOW

HOW is one of CHANGES below. The new entry's statistics are only the number of rows, so that every file must be looked into.
"""

import decimal
import json
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TIMES = ["start", "end"]
NUMBERS = ["avg_usage", "min_usage", "max_usage", "sum_usage"]


def cast(types):
    def change(rows):
        for name, kind in types.items():
            rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(kind))
        return rows
    return change


def times(kind):
    return cast(dict.fromkeys(TIMES, kind))


def put(name, values, kind=None):
    """Replaces the first values of a column."""
    def change(rows):
        old = rows[name].to_pylist()
        new = pa.array(values + old[len(values):], kind or rows.schema.field(name).type)
        return rows.set_column(rows.schema.get_field_index(name), name, new)
    return change


def ntz(rows):
    return cast(dict.fromkeys(TIMES, pa.timestamp("us")))(rows)


def decimals(rows):
    for name in NUMBERS:
        values = [decimal.Decimal(str(value)).quantize(decimal.Decimal("0.0001")) for value in rows[name].to_pylist()]
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, pa.decimal128(38, 4)))
    return cast({"count": pa.decimal128(20, 0)})(rows)


def same(rows):
    return rows


def far(rows):
    """A start beyond the year 9999."""
    numbers = rows["start"].cast(pa.int64()).to_pylist()
    times = pa.array([2**60] + numbers[1:], pa.int64()).cast(pa.timestamp("us", "UTC"))
    return rows.set_column(rows.schema.get_field_index("start"), "start", times)


CHANGES = {
    # Sound: the same values, otherwise written.
    "string_view": (cast({"key": pa.string_view()}), {}),
    "large_string": (cast({"key": pa.large_string()}), {}),
    "dictionary": (cast({"key": pa.dictionary(pa.int32(), pa.string())}), {}),
    "binary": (cast({"key": pa.binary()}), {"store_schema": False}),
    "int96": (same, {"use_deprecated_int96_timestamps": True}),
    "milliseconds": (times(pa.timestamp("ms", "UTC")), {}),
    "nanoseconds": (times(pa.timestamp("ns", "UTC")), {"version": "2.6"}),
    "no_zone": (ntz, {}),
    "other_zone": (times(pa.timestamp("us", "America/New_York")), {}),
    "milliseconds_no_zone": (times(pa.timestamp("ms")), {"store_schema": False}),
    "int32_count": (cast({"count": pa.int32()}), {}),
    "uint16_count": (cast({"count": pa.uint16()}), {}),
    "uint64_count": (cast({"count": pa.uint64()}), {}),
    "float32": (cast(dict.fromkeys(NUMBERS, pa.float32())), {}),
    "decimals": (decimals, {}),
    "reversed": (lambda rows: rows.select(rows.schema.names[::-1]), {}),
    "more_columns": (lambda rows: rows.append_column("room", pa.array([[1]] * len(rows))), {}),
    "small_row_groups": (same, {"row_group_size": 2}),
    "gzip": (same, {"compression": "gzip"}),
    "brotli": (same, {"compression": "brotli"}),
    "lz4": (same, {"compression": "lz4"}),
    "zstd": (same, {"compression": "zstd"}),
    "uncompressed": (same, {"compression": "none", "use_dictionary": False, "version": "1.0", "data_page_version": "2.0"}),
    "delta_encoded": (same, {"use_dictionary": False, "column_encoding": {"key": "DELTA_BYTE_ARRAY",
                      "count": "DELTA_BINARY_PACKED"}}),
    "foreign_sum": (put("sum_usage", [1000.0]), {}),
    # Unsound: each is to be told, and nothing to be guessed.
    "int64_key": (lambda rows: cast({"key": pa.int64()})(put("key", ["1"] * len(rows))(rows)), {}),
    "int64_start": (cast({"start": pa.int64()}), {"store_schema": False}),
    "text_start": (cast({"start": pa.string()}), {}),
    "text_sum": (cast({"sum_usage": pa.string()}), {}),
    "double_count": (cast({"count": pa.float64()}), {}),
    "list_count": (lambda rows: put("count", [[1]] * len(rows), pa.list_(pa.int64()))(rows), {}),
    "no_start": (lambda rows: rows.drop_columns(["start"]), {}),
    "null_key": (lambda rows: put("key", [rows["key"][0].as_py(), None])(rows), {}),
    "null_count": (put("count", [1, 1, None]), {}),
    "all_null_sum": (lambda rows: put("sum_usage", [None] * len(rows), pa.null())(rows), {}),
    "zero_count": (put("count", [0]), {}),
    "huge_count": (lambda rows: put("count", [2**63], pa.uint64())(rows), {}),
    "nan_sum": (put("sum_usage", [1.0, float("nan")]), {}),
    "infinite_minimum": (put("min_usage", [float("-inf")]), {}),
    "odd_start": (lambda rows: put("start", [rows["start"][0].as_py().replace(microsecond=1)])(rows), {}),
    "far_start": (far, {}),
    "not_utf8": (lambda rows: put("key", [b"\xff\xfe"], pa.binary())(cast({"key": pa.binary()})(rows)),
                 {"store_schema": False}),
}


def main():
    folder, how = Path(sys.argv[1]), sys.argv[2]
    change, options = CHANGES[how]
    log = sorted((folder / "_delta_log").glob("*.json"))
    live = {}
    for entry in log:
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                live[action["add"]["path"]] = action["add"]
            if "remove" in action:
                live.pop(action["remove"]["path"], None)
    actions = [{"commitInfo": {"operation": "WRITE", "timestamp": 0}}]
    for path, add in live.items():
        rows = change(pq.read_table(folder / path))
        name = f"part-00000-{uuid.uuid4()}-c000.parquet"
        pq.write_table(rows, folder / name, **options)
        actions.append({"remove": {"path": path, "dataChange": True, "deletionTimestamp": 0}})
        actions.append({"add": {"path": name, "partitionValues": {}, "size": (folder / name).stat().st_size,
                                "modificationTime": 0, "dataChange": True,
                                "stats": json.dumps({"numRecords": len(rows)})}})
    entry = folder / "_delta_log" / f"{len(log):020}.json"
    entry.write_text("".join(json.dumps(action) + "\n" for action in actions))


main()
