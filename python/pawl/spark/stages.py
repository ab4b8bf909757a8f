"""Stages: what a run on Spark does one after the other, each a row in ETL_LOG."""
import functools
import os
import signal
import time


# What of a stage's result is a column of ETL_LOG.
COUNTS = ("load", "rows_in", "rows_inserted", "rows_updated", "rows_unchanged", "rows_deleted")


def stage(name):
    """Makes a method a stage: ETL_LOG gets a row with its name, stream, counts and end, whatever that is.

    The method's object has the run in `self.current`; a first argument with a member `stream` names the stream. What it
    returns may be a dict, whose counts go into the row ("rows_in", "rows_inserted", "load", ...). Before each stage the lease
    is asked for: an engine that has lost its run must not go on.
    """
    def decorate(method):
        @functools.wraps(method)
        def run_stage(self, *arguments, **options):
            run = self.current
            run.check()
            stream = getattr(arguments[0], "stream", None) if arguments else None
            started = time.time_ns() // 1000
            try:
                result = method(self, *arguments, **options)
            except Exception as error:
                # Messages of Spark hold plans and paths; its first line is enough, and no values are in it.
                run.log(f"spark.{name}", stream, "failed", error=f"{type(error).__name__}: {str(error).splitlines()[0][:300]}",
                        started_us=started, duration_us=time.time_ns() // 1000 - started)
                raise
            counts = {key: result[key] for key in COUNTS if key in result} if isinstance(result, dict) else {}
            run.log(f"spark.{name}", stream, "ok", started_us=started, duration_us=time.time_ns() // 1000 - started, **counts)
            return result
        return run_stage
    return decorate


def kill_point(name):
    """Where tests end the process, as the library's own kill points do."""
    listed = os.environ.get("PAWL_TEST_KILL_LIST")
    if listed:
        with open(listed, "a") as file:
            file.write(name + "\n")
    if os.environ.get("PAWL_TEST_KILL_AT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
