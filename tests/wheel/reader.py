"""Reads one stream with one library and prints what it saw: python reader.py LIBRARY JOB. Run by test_wheel.py, in the
packages' own Python, with the installed wheel."""
import json
import sys

import pawl


def pyarrow(rows):
    import pyarrow
    table = pyarrow.table(rows)
    return table.num_rows, table.column("duration").to_pylist(), table.schema.names


def polars(rows):
    import polars
    frame = polars.DataFrame(rows)
    return frame.height, frame["duration"].to_list(), frame.columns


def pandas(rows):
    import pyarrow
    # pandas takes Arrow from pyarrow, which took it from us without a copy.
    frame = pyarrow.table(rows).to_pandas()
    return len(frame), [None if value != value else value for value in frame["duration"]], list(frame.columns)


def duckdb(rows):
    import duckdb
    found = duckdb.sql("SELECT * FROM rows")
    column = found.columns.index("duration")
    values = [row[column] for row in found.fetchall()]
    return len(values), values, found.columns


def main():
    library, job = sys.argv[1:3]
    count, durations, columns = globals()[library](pawl.read(job, "calls"))
    print(json.dumps({"rows": count, "seconds": sum(value or 0 for value in durations), "columns": columns}))


if __name__ == "__main__":
    main()
