"""What runs on executors: functions for mapInArrow. Rows of slices go in; reports, or typed rows, come out.

Each task opens the job anew, so that credentials come from the executor's own environment and never travel.
"""
import pyarrow as pa

from pawl import Job

# Where a row stands among all of its load: the number of its slice, then its place in what the task has read.
PLACE_BITS = 40


def _reader(table):
    return pa.RecordBatchReader.from_stream(table)


def land(batches, path, environment, siblings):
    """Reads the slices into the landing store. Done again, by a retry or a twin, it finds what is landed."""
    job = Job(path, environment)
    for batch in batches:
        yield from _reader(job.land(pa.Table.from_batches([batch]), siblings))


def _plain(batch, first_slice, seen):
    """The batch with types that Spark has, and the place of each row."""
    columns = [column.cast(pa.binary()) if pa.types.is_fixed_size_binary(column.type) else column for column in batch.columns]
    base = (first_slice << PLACE_BITS) + seen
    columns.append(pa.array(range(base, base + batch.num_rows), pa.int64()))
    return pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, "_place"])


def shape(batches, path, environment, stream):
    """Typed rows of landed slices, slice by slice in their order."""
    job = Job(path, environment)
    for batch in batches:
        slices = pa.Table.from_batches([batch]).sort_by("slice")
        first, seen = slices["slice"][0].as_py() if slices.num_rows else 0, 0
        for rows in _reader(job.read_landed(slices, stream)):
            yield _plain(rows, first, seen)
            seen += rows.num_rows
