"""libpawl by ctypes: its structs and functions as pawl.h has them, and nothing else."""
import ctypes
import os
import pathlib
from ctypes import POINTER, Structure, byref, c_bool, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p


class Error(Structure):
    _fields_ = [("code", c_int32), ("retry_after_ms", c_int32), ("message", c_char * 500)]


EVENT = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)


class Options(Structure):
    _fields_ = [("size", c_size_t), ("mode", c_char_p), ("from_", c_char_p), ("to", c_char_p), ("stream", c_char_p),
                ("account", c_char_p), ("wait_seconds", c_double), ("start_over", c_bool), ("accept_deletes", c_bool),
                ("on_event", EVENT), ("on_event_state", c_void_p)]


class ReadOptions(Structure):
    _fields_ = [("size", c_size_t), ("stream", c_char_p), ("siblings", c_int64)]


class Report(Structure):
    _fields_ = [("size", c_size_t), ("run", c_char * 40), ("resumed", c_bool),
                *((name, c_int64) for name in (
                    "slices", "slices_failed", "partitions_failed", "loads", "loads_found", "records", "inserted",
                    "updated", "unchanged", "deleted", "held_back", "quarantined", "overflowed", "forgotten", "pages", "bytes",
                    "requests", "retries", "elapsed_us")),
                ("first_failure", c_char * 500), ("failure", c_int32)]


class LogRow(Structure):
    _fields_ = [("size", c_size_t), ("stage", c_char_p), ("stream", c_char_p), ("status", c_char_p),
                ("error", c_char_p),
                *((name, c_int64) for name in (
                    "load", "rows_in", "rows_inserted", "rows_updated", "rows_unchanged", "rows_deleted",
                    "started_us", "duration_us"))]


class ArrowArrayStream(Structure):
    """The struct of the Arrow C stream interface: room for it is all that is needed here."""
    _fields_ = [(name, c_void_p) for name in ("get_schema", "get_next", "get_last_error", "release", "private_data")]


STREAM, ERROR = POINTER(ArrowArrayStream), POINTER(Error)
FUNCTIONS = {
    "pawl_version": (c_char_p,),
    "pawl_error_name": (c_char_p, c_int32),
    "pawl_error_advice": (c_char_p, c_int32),
    "pawl_job_open": (c_bool, c_char_p, c_char_p, POINTER(c_void_p), ERROR),
    "pawl_job_close": (None, c_void_p),
    "pawl_job_text": (c_char_p, c_void_p),
    "pawl_job_stop": (None, c_void_p),
    "pawl_check": (c_bool, c_char_p, c_char_p, c_bool, STREAM, ERROR),
    "pawl_tables": (c_bool, c_void_p, STREAM, ERROR),
    "pawl_plan": (c_bool, c_void_p, POINTER(Options), STREAM, ERROR),
    "pawl_read": (c_bool, c_void_p, STREAM, POINTER(ReadOptions), STREAM, ERROR),
    "pawl_run": (c_bool, c_void_p, POINTER(Options), POINTER(Report), ERROR),
    "pawl_run_begin": (c_bool, c_void_p, POINTER(Options), POINTER(c_void_p), ERROR),
    "pawl_run_id": (c_char_p, c_void_p),
    "pawl_run_slices": (c_bool, c_void_p, STREAM, ERROR),
    "pawl_run_check": (c_bool, c_void_p, ERROR),
    "pawl_run_log": (c_bool, c_void_p, POINTER(LogRow), ERROR),
    "pawl_run_finish": (c_bool, c_void_p, POINTER(Report), ERROR),
    "pawl_run_close": (None, c_void_p),
    "pawl_land": (c_bool, c_void_p, STREAM, POINTER(ReadOptions), STREAM, ERROR),
    "pawl_read_landed": (c_bool, c_void_p, STREAM, POINTER(ReadOptions), STREAM, ERROR),
}


def find(name):
    # From a checkout the libraries are where they were built; in a wheel they lie beside this file.
    built = os.environ.get("PAWL_LIBRARIES")
    return str(pathlib.Path(built) / name if built else pathlib.Path(__file__).with_name(name))


def load():
    library = ctypes.CDLL(find("libpawl.so"))
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


lib = load()


class PawlError(Exception):
    """What libpawl says went wrong: `code` ("ACCESS"), `advice`, and the message."""

    def __init__(self, error):
        self.code = lib.pawl_error_name(error.code).decode()
        self.advice = lib.pawl_error_advice(error.code).decode()
        self.retry_after_ms = error.retry_after_ms
        super().__init__(error.message.decode("utf-8", "replace"))

    def __reduce__(self):
        # Crosses processes (Spark sends the errors of its executors to the driver).
        return _rebuild, (self.code, self.advice, self.retry_after_ms, str(self))


def _rebuild(code, advice, retry_after_ms, message):
    error = PawlError.__new__(PawlError)
    error.code, error.advice, error.retry_after_ms = code, advice, retry_after_ms
    Exception.__init__(error, message)
    return error


def call(name, *arguments):
    """Calls a function whose last parameter is the error, and raises it."""
    error = Error()
    if not getattr(lib, name)(*arguments, byref(error)):
        raise PawlError(error)


# --- Arrow streams in PyCapsules (the Arrow PyCapsule interface; capsule.c says why it is C)

_new = ctypes.PyDLL(find("libpawl_capsule.so")).pawl_capsule_new
_new.restype, _new.argtypes = ctypes.py_object, []
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]


def stream_in(capsule):
    """The stream that a capsule owns; whoever reads it takes it over."""
    return ArrowArrayStream.from_address(_pointer(capsule, b"arrow_array_stream"))


def new_capsule():
    """A capsule with an empty stream in it."""
    return _new()
