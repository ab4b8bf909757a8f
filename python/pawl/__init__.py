"""pawl: moves a REST API into a warehouse, exactly once. The same job files as the command `pawl`.

    rows = pawl.read("job.json", "calls", mode="historic", from_="2026-03-01")
    pyarrow.table(rows); polars.DataFrame(rows); duckdb.sql("FROM rows")     # no copy, no file

Everything is done by libpawl (docs/libpawl.md); what is here hands it over. Tables come as objects that speak the
Arrow PyCapsule stream interface: each use of one reads anew.
"""
import ctypes
import os
from ctypes import byref, c_void_p

from pawl._lib import (EVENT, LogRow, Options, PawlError, ReadOptions, Report, call, lib, new_capsule, stream_in)

__all__ = ["Job", "PawlError", "Run", "Table", "check", "plan", "read", "run"]
__version__ = lib.pawl_version().decode()


def _bytes(text):
    return None if text is None else os.fspath(text).encode() if isinstance(text, os.PathLike) else str(text).encode()


class Table:
    """A table that is read when it is used: pass it to pyarrow.table(), polars.DataFrame(), pandas or DuckDB."""

    def __init__(self, fill):
        self._fill = fill

    def __arrow_c_stream__(self, requested_schema=None):
        # The schema asked for is a wish, which the interface allows to pass over.
        capsule = new_capsule()
        self._fill(stream_in(capsule))
        return capsule


def _options(mode=None, from_=None, to=None, stream=None, account=None, wait_seconds=0, start_over=False,
             accept_deletes=False, on_event=None):
    listener = EVENT(lambda state, text, size: on_event(ctypes.string_at(text, size).decode())) if on_event else EVENT()
    return Options(size=ctypes.sizeof(Options), mode=_bytes(mode), from_=_bytes(from_), to=_bytes(to),
                   stream=_bytes(stream), account=_bytes(account), wait_seconds=wait_seconds, start_over=start_over,
                   accept_deletes=accept_deletes, on_event=listener)


def _report(report):
    def value(name):
        found = getattr(report, name)
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else found

    result = {name: value(name) for name, *_ in Report._fields_ if name != "size"}
    result["failure"] = lib.pawl_error_name(report.failure).decode()
    return result


class Job:
    """A job file that was read and checked. Never changes; any number of threads may use it."""

    def __init__(self, path, environment=None):
        self.path, self.environment = os.fspath(path), environment
        handle = c_void_p()
        call("pawl_job_open", _bytes(path), _bytes(environment), byref(handle))
        self._handle = handle

    def __del__(self):
        if getattr(self, "_handle", None):
            lib.pawl_job_close(self._handle)

    def __reduce__(self):
        return Job, (self.path, self.environment)

    @property
    def text(self):
        """The effective job as JSON, secrets as ***."""
        return lib.pawl_job_text(self._handle).decode()

    def stop(self):
        """Makes everything that runs or reads this job end as soon as it safely can."""
        lib.pawl_job_stop(self._handle)

    def tables(self):
        """What each stream of the job becomes."""
        return Table(lambda ret: call("pawl_tables", self._handle, byref(ret)))

    def plan(self, mode, **options):
        """The slices that a run would read, without running it."""
        wanted = _options(mode, **options)
        return Table(lambda ret: call("pawl_plan", self._handle, byref(wanted), byref(ret)))

    def read(self, stream=None, mode="historic", **options):
        """Rows of one stream as the API shows them now; nothing is kept. A job of one stream needs no name of it."""
        return self.read_slices(self.plan(mode, stream=stream, **options), stream)

    def _slices(self, name, slices, stream, siblings):
        options = ReadOptions(size=ctypes.sizeof(ReadOptions), stream=_bytes(stream), siblings=siblings)

        def fill(ret):
            capsule = slices.__arrow_c_stream__()
            call(name, self._handle, byref(stream_in(capsule)), byref(options), byref(ret))
        return Table(fill)

    def read_slices(self, slices, stream=None, siblings=1):
        """Rows of the given slices (any Arrow table of plan()'s columns) as the API shows them now."""
        return self._slices("pawl_read", slices, stream, siblings)

    def land(self, slices, siblings=1):
        """Reads slices of a run into the landing store; a row for each when it has ended."""
        return self._slices("pawl_land", slices, None, siblings)

    def read_landed(self, slices, stream=None):
        """Rows of landed slices; asks the API nothing."""
        return self._slices("pawl_read_landed", slices, stream, 1)

    def run(self, mode, **options):
        """One run, as `pawl run` does it. Returns its report."""
        wanted, report = _options(mode, **options), Report(size=ctypes.sizeof(Report))
        call("pawl_run", self._handle, byref(wanted), byref(report))
        return _report(report)

    def begin(self, mode, **options):
        """Begins a run whose slices are landed elsewhere, or goes on with one."""
        return Run(self, mode, **options)


class Run:
    """A run in steps. Used with `with`, it gives its lease back whatever happens."""

    def __init__(self, job, mode, **options):
        self._job = job
        self._options = _options(mode, **options)  # its listener must live as long as the run
        handle = c_void_p()
        call("pawl_run_begin", job._handle, byref(self._options), byref(handle))
        self._handle = handle
        self.id = lib.pawl_run_id(handle).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._handle:
            lib.pawl_run_close(self._handle)
            self._handle = None

    def slices(self):
        """All slices of the run. Read it before the run is closed."""
        return Table(lambda ret: call("pawl_run_slices", self._handle, byref(ret)))

    def check(self):
        """Raises when the lease was lost."""
        call("pawl_run_check", self._handle)

    def log(self, stage, stream=None, status="ok", error=None, **counts):
        """A row of ETL_LOG."""
        row = LogRow(size=ctypes.sizeof(LogRow), stage=_bytes(stage), stream=_bytes(stream), status=_bytes(status),
                     error=_bytes(error))
        for name, kind in LogRow._fields_:
            if kind is ctypes.c_int64:
                setattr(row, name, counts.get(name, -1))
        call("pawl_run_log", self._handle, byref(row))

    def finish(self):
        """Loads what was landed into the job's warehouse. Returns the report."""
        report = Report(size=ctypes.sizeof(Report))
        call("pawl_run_finish", self._handle, byref(report))
        return _report(report)


def check(path, environment=None, offline=False):
    """Everything that can be wrong with a job before a run, as a table: status, place, what, fix."""
    return Table(lambda ret: call("pawl_check", _bytes(path), _bytes(environment), offline, byref(ret)))


def plan(path, mode, environment=None, **options):
    return Job(path, environment).plan(mode, **options)


def read(path, stream=None, mode="historic", environment=None, **options):
    return Job(path, environment).read(stream, mode, **options)


def run(path, mode, environment=None, **options):
    return Job(path, environment).run(mode, **options)
