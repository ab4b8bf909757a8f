"""Reads a job of one stream with one library and prints what it saw: python reader.py LIBRARY JOB. Run by test_wheel.py, in the
packages' own Python, with the installed wheel."""
import ctypes
import json
import sys

import pawl
from pawl._lib import stream_in

NEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class ArrowArray(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")]
    _fields_ += [("buffers", ctypes.POINTER(ctypes.c_void_p)), ("children", ctypes.POINTER(ctypes.c_void_p)),
                 *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private_data"))]


class Watched:
    """The rows, and where in memory libpawl put the values of their columns: who makes no copy has them there."""

    def __init__(self, rows):
        self.rows, self.places = rows, set()

    def __arrow_c_stream__(self, requested_schema=None):
        capsule = self.rows.__arrow_c_stream__(requested_schema)
        stream = stream_in(capsule)
        given = NEXT(stream.get_next)

        def get_next(pointer, array):
            status = given(pointer, array)
            batch = ArrowArray.from_address(array)
            for i in range(batch.n_children if batch.release else 0):
                column = ArrowArray.from_address(batch.children[i])
                if column.n_buffers > 1:
                    self.places.add(column.buffers[1])
            return status
        self.get_next = NEXT(get_next)
        stream.get_next = ctypes.cast(self.get_next, ctypes.c_void_p).value
        return capsule


def place(array):
    return array.buffers()[1].address


def pyarrow(rows):
    import pyarrow
    table = pyarrow.table(rows)
    column = table.column("duration")
    return table.num_rows, column.to_pylist(), table.schema.names, place(column.chunk(0))


def polars(rows):
    import polars
    frame = polars.DataFrame(rows)
    return frame.height, frame["duration"].to_list(), frame.columns, place(frame["duration"].get_chunks()[0].to_arrow())


def pandas(rows):
    import pandas
    import pyarrow
    # pandas before 3 takes no stream itself: pyarrow hands it over, and columns of Arrow's types stay where they are.
    frame = pyarrow.table(rows).to_pandas(types_mapper=pandas.ArrowDtype)
    column = frame["duration"].array.__arrow_array__()
    return len(frame), column.to_pylist(), list(frame.columns), place(column.chunk(0))


def duckdb(rows):
    import duckdb
    found = duckdb.sql("SELECT * FROM rows")
    column = found.columns.index("duration")
    values = [row[column] for row in found.fetchall()]
    return len(values), values, found.columns, None  # it scans the batches as they come, and shows none of its own memory


def main():
    library, job = sys.argv[1:3]
    rows = Watched(pawl.read(job))
    count, durations, columns, found = globals()[library](rows)
    print(json.dumps({"rows": count, "seconds": sum(value or 0 for value in durations), "columns": columns,
                      "copied": None if found is None else found not in rows.places}))


if __name__ == "__main__":
    main()
