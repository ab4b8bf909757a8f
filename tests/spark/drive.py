"""The driver of a Spark test: python drive.py MASTER FOLDER CONF. Takes steps, a line of JSON each, with "now", "job" and "lake":
{"mode": ...} with "options" of Engine.run() and "trouble" of first(), {"words": [...]} of the wheel's entry point,
{"merge": [...]} of merge(), or {"dump": [table, folder]}: the Delta table as one Parquet file. Answers each with a line.

A step with "alone": {variable: value} is taken by a driver of its own, which may be killed and whose JVM lives on for the next; its answer is
{"status": ..., "answer": ..., "error": ...}. "workers": {...} are variables of the executors' Python workers.
"""
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from unittest import mock

from cluster import PATIENCE_S
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pawl.spark import Engine, executor
from pawl.spark.__main__ import main as command
from pawl.spark.delta import DeltaTable


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
               .config("spark.network.timeout", f"{PATIENCE_S}s")
               .config("spark.sql.warehouse.dir", f"{folder}/tables").config("spark.sql.session.timeZone", "UTC"))
    for name, value in extra.items():
        builder = builder.config(name, value)
    # Executors see what this process sees: credentials and where pawl lies.
    for name in ("CTM_CLIENT_ID", "CTM_CLIENT_SECRET", "PYTHONPATH", "PAWL_LIBRARIES", "TEST_ACCOUNT_KEY", "SNOWFLAKE_PASSPHRASE"):
        if name in os.environ:
            builder = builder.config(f"spark.executorEnv.{name}", os.environ[name])
    return builder.getOrCreate()


def attach():
    """The session of the process whose gateway the environment names."""
    gateway = launch_gateway()
    context = gateway.jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(gateway.jvm.org.apache.spark.SparkContext.getOrCreate())
    return SparkSession(SparkContext(gateway=gateway, jsc=context, conf=SparkConf(_jvm=gateway.jvm, _jconf=context.getConf())))


def alone(step):
    gateway = SparkContext._gateway.gateway_parameters
    done = subprocess.run([sys.executable, __file__, "attached", "", "{}"], input=json.dumps({**step, "alone": None}) + "\n",
                          env=os.environ | {"PYSPARK_GATEWAY_PORT": str(gateway.port), "PYSPARK_GATEWAY_SECRET": gateway.auth_token,
                                            "PAWL_TEST_NOW": step["now"], **step["alone"]}, capture_output=True, text=True)
    answers = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("answer ")]
    return {"status": done.returncode, "answer": answers[0] if answers else None, "error": done.stderr[-2000:]}


def clocked(function, now):
    """The same function for mapInArrow, but its process's clock is the driver's, which began at `now`."""
    began, base = time.time(), datetime.datetime.fromisoformat(now.replace("Z", "+00:00"))

    def timed(batches, **options):
        passed = datetime.timedelta(seconds=time.time() - began)
        os.environ["PAWL_TEST_NOW"] = (base + passed).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        yield from function(batches, **options)
    return timed


def first(function, trouble, mark):
    """The same function for mapInArrow, but the first task that has given some of its rows fails, or stands still until SIGCONT;
    "always": each one fails."""
    def troubled(batches, **options):
        for rows in function(batches, **options):
            yield rows
            if trouble == "always":
                raise RuntimeError("the test lets this task fail")
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


MERGED = {"stream": "merged", "schema": "t", "table": "merged", "window_column": None, "partition_columns": "[]",
          "columns": json.dumps([{"name": "_row_key", "type": "key"}, {"name": "_row_hash", "type": "key"},
                                 {"name": "_fetched_at", "type": "timestamp"}, {"name": "value", "type": "string"}])}


def merge(spark, lake, loads):
    """Loads of [key, hash, minute, value] and, as rows that are gone, [key, minute]. What the table has at the end, by key:
    [hash, minute, value, load, minute of its deletion]."""
    def column(name, minute):
        return F.timestamp_seconds(F.col(minute) * 60).alias(name)
    table = DeltaTable(spark, lake, MERGED)
    table.prepare()
    for number, (rows, gone) in enumerate(loads):
        rows = (spark.createDataFrame([(*row, place) for place, row in enumerate(rows)], "k STRING, h STRING, m BIGINT, value STRING, _place BIGINT")
                .select(F.encode("k", "utf-8").alias("_row_key"), F.encode("h", "utf-8").alias("_row_hash"), column("_fetched_at", "m"), "value", "_place"))
        if gone:
            gone = spark.createDataFrame(gone, "k STRING, m BIGINT").select(F.encode("k", "utf-8").alias("_row_key"), column("_fetched_at", "m"))
        table.merge(rows, gone or None, "run", number, [number])
    minute = "unix_seconds({}) div 60".format
    found = spark.table(table.name).selectExpr("decode(_row_key, 'utf-8')", "decode(_row_hash, 'utf-8')", minute("_fetched_at"), "value", "_load_id",
                                               minute("_deleted_at"))
    return {row[0]: list(row)[1:] for row in found.collect()}


def do(spark, step):
    if step.get("alone") is not None:
        return alone(step)
    job, lake = step["job"], step["lake"]
    os.environ["PAWL_TEST_NOW"] = step["now"]
    if "dump" in step:
        table, folder = step["dump"]
        table = f"delta.`{lake}{table}`" if "/" in lake else f"{lake}.{table.split('/')[1]}"
        spark.table(table).coalesce(1).write.mode("overwrite").parquet(folder)
        return {"dumped": folder}
    if "sql" in step:
        return [list(row) for row in spark.sql(step["sql"]).collect()]
    if "merge" in step:
        return merge(spark, lake, step["merge"])
    spark.sparkContext.environment.update(step.get("workers", {}))
    if "words" in step:
        command([*step["words"], "--lake", lake, "--slots", "2"])
        return {}
    return run(spark, job, lake, step)


def main():
    master, folder, conf = sys.argv[1:4]
    spark = attach() if master == "attached" else session(master, folder, json.loads(conf))
    spark.sparkContext.setLogLevel("ERROR")
    for line in sys.stdin:
        print("answer " + json.dumps(do(spark, json.loads(line))), flush=True)
    if master != "attached":
        spark.stop()


if __name__ == "__main__":
    main()
