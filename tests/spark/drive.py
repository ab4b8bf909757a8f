"""The driver of a Spark test: python drive.py MASTER FOLDER CONF. Takes steps, a line of JSON each, with "now", "job" and "lake":
{"mode": ...} with "options" of Engine.run() and "trouble" of first(), {"words": [...]} of the wheel's entry point, or
{"dump": [table, folder]}: the Delta table as one Parquet file. Answers each with a line."""
import datetime
import json
import os
import signal
import sys
import time
from unittest import mock

from pyspark.sql import SparkSession

from pawl.spark import Engine, executor
from pawl.spark.__main__ import main as command


# A test's JVM lives for seconds: what compiles well costs more than it saves.
LIGHT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


def session(master, folder, extra):
    builder = (SparkSession.builder.master(master).appName("pawl test")
               .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
               .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
               .config("spark.sql.shuffle.partitions", "2")
               .config("spark.databricks.delta.snapshotPartitions", "1")
               .config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.memory", "1g").config("spark.driver.extraJavaOptions",
                                                              f"-Dderby.system.home={folder}/derby {LIGHT}")
               .config("spark.executor.extraJavaOptions", LIGHT)
               .config("spark.sql.adaptive.enabled", "false").config("spark.sql.codegen.wholeStage", "false")
               .config("spark.ui.showConsoleProgress", "false")
               .config("spark.sql.warehouse.dir", f"{folder}/tables").config("spark.sql.session.timeZone", "UTC"))
    for name, value in extra.items():
        builder = builder.config(name, value)
    # Executors see what this process sees: credentials and where pawl lies.
    for name in ("CTM_CLIENT_ID", "CTM_CLIENT_SECRET", "PYTHONPATH", "PAWL_LIBRARIES", "TEST_ACCOUNT_KEY", "SNOWFLAKE_PASSPHRASE"):
        if name in os.environ:
            builder = builder.config(f"spark.executorEnv.{name}", os.environ[name])
    return builder.getOrCreate()


def clocked(function, now):
    """The same function for mapInArrow, but its process's clock is the driver's, which began at `now`."""
    began, base = time.time(), datetime.datetime.fromisoformat(now.replace("Z", "+00:00"))

    def timed(batches, **options):
        passed = datetime.timedelta(seconds=time.time() - began)
        os.environ["PAWL_TEST_NOW"] = (base + passed).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        yield from function(batches, **options)
    return timed


def first(function, trouble, mark):
    """The same function for mapInArrow, but the first task that has given some of its rows fails, or stands still until SIGCONT."""
    def troubled(batches, **options):
        for rows in function(batches, **options):
            yield rows
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            if trouble == "fail":
                raise RuntimeError("the test lets this task fail")
            os.kill(os.getpid(), signal.SIGSTOP)
    return troubled


def run(spark, job, lake, step):
    trouble = step.get("trouble", {})
    changed = {name: clocked(getattr(executor, name), step["now"]) for name in ("land", "shape")}
    changed |= {name: first(changed[name], kind, f"{os.path.dirname(job)}/{kind}-{name}") for name, kind in trouble.items()}
    with mock.patch.multiple(executor, **changed):
        return Engine(spark, job, lake, slots=2, **step.get("engine", {})).run(step["mode"], **step.get("options", {}))


def do(spark, step):
    job, lake = step["job"], step["lake"]
    os.environ["PAWL_TEST_NOW"] = step["now"]
    if "dump" in step:
        table, folder = step["dump"]
        spark.table(f"delta.`{lake}{table}`").coalesce(1).write.mode("overwrite").parquet(folder)
        return {"dumped": folder}
    if "words" in step:
        command([*step["words"], "--lake", lake, "--slots", "2"])
        return {}
    return run(spark, job, lake, step)


def main():
    master, folder, conf = sys.argv[1:4]
    spark = session(master, folder, json.loads(conf))
    spark.sparkContext.setLogLevel("ERROR")
    for line in sys.stdin:
        print("answer " + json.dumps(do(spark, json.loads(line))), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
