"""Spark, measured: spark_bench.py engine|land|naive JOB LAKE BASE_URL FIRST LAST MASTER SLOTS CONF.

engine   pawl.spark: slices as rows, read by the C core on the executors, one MERGE a load
land     its first two stages only: a rate limit is seen there and nowhere else
naive    what is written in an afternoon: requests one after the other in the driver, createDataFrame, MERGE

Prints the rows of the Delta table at the end. No warehouse is loaded by the second; the first loads the job's own, too.
"""
import base64
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import types as T

TEXTS = ("sid direction status call_status name caller_number email city state country postal_code tracking_number tracking_label "
         "business_number source medium campaign keyword referrer location notes called_at").split()
BATCH_ROWS = 20_000
SCHEMA = T.StructType([T.StructField("account_id", T.LongType()), T.StructField("id", T.LongType()),
                       *(T.StructField(name, T.StringType()) for name in TEXTS), T.StructField("rest", T.StringType())])


def get(url):
    request = urllib.request.Request(url)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"sim-key:sim-secret").decode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def naive(spark, lake, base, first, last):
    table = f"delta.`{lake}calls`"
    names = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in SCHEMA.fields)
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({names}) USING delta")

    def merge(rows):
        spark.createDataFrame(rows, SCHEMA).createOrReplaceTempView("batch")
        spark.sql(f"MERGE INTO {table} t USING batch s ON t.account_id = s.account_id AND t.id = s.id "
                  "WHEN MATCHED AND t.rest <> s.rest THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")
    rows = []
    for account in get(f"{base}/accounts?per_page=150")["accounts"]:
        url = f"{base}/accounts/{account['id']}/calls?start_date={first}&end_date={last}&per_page=150"
        while url:
            page = get(url)
            for call in page["calls"]:
                texts = [None if call.get(name) is None else str(call[name]) for name in TEXTS]
                rows.append((int(account["id"]), int(call["id"]), *texts, json.dumps(call)))
            if len(rows) >= BATCH_ROWS:
                merge(rows)
                rows = []
            url = page.get("next_page")
    if rows:
        merge(rows)
    return spark.table(table).count()


def land(spark, job, lake, first, last, slots):
    from pawl.spark import Engine
    engine = Engine(spark, job, lake, slots=slots)
    with engine.job.begin("historic", from_=first, to=last) as engine.current:
        slices = engine.plan()
        started = time.monotonic()
        reports = engine.land(slices)["reports"]
        return sum(report["records"] for report in reports if report["stream"] == "calls"), time.monotonic() - started


def main():
    who, job, lake, base, first, last, master, slots, conf = sys.argv[1:]
    folder = str(pathlib.Path(job).parent)
    builder = (SparkSession.builder.master(master).appName("bench")
             .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
             .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
             .config("spark.sql.shuffle.partitions", slots).config("spark.databricks.delta.snapshotPartitions", slots)
             .config("spark.ui.enabled", "false")
             .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.memory", "2g").config("spark.ui.showConsoleProgress", "false")
             .config("spark.sql.warehouse.dir", f"{folder}/tables").config("spark.sql.session.timeZone", "UTC"))
    for name, value in json.loads(conf).items():
        builder = builder.config(name, value)
    # Executors see what this process sees: credentials and where pawl lies.
    for name in ("CTM_CLIENT_ID", "CTM_CLIENT_SECRET", "PYTHONPATH", "PAWL_LIBRARIES"):
        builder = builder.config(f"spark.executorEnv.{name}", os.environ[name])
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    told, started = {}, time.monotonic()
    if who == "land":
        rows, told["land"] = land(spark, job, lake, first, last, int(slots))
    elif who == "engine":
        from pawl.spark import Engine
        Engine(spark, job, lake, slots=int(slots)).run("historic", from_=first, to=last)
        rows = spark.table(f"delta.`{lake}ctm/calls`").count()
    else:
        rows = naive(spark, lake, base, first, last)
    print(json.dumps({**told, "rows": rows, "seconds": time.monotonic() - started}))
    process = SparkContext._gateway.proc
    spark.stop()
    SparkContext._gateway.shutdown()
    process.stdin.close()
    try:
        process.wait(60)  # or the kernel would not count what it took
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    main()
