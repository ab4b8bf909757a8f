"""A job file on a Spark cluster: executors read the API through libpawl, Delta tables get the rows, and the job's own warehouse
is loaded from what was landed. docs/spark.md tells how.

    from pawl.spark import Engine
    Engine(spark, "/Volumes/main/pawl/jobs/ctm.json", lake="main.ctm").run("incremental")
"""
from pawl.spark.engine import Engine
from pawl.spark.stages import stage

__all__ = ["Engine", "stage"]
