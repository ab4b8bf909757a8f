"""What Spark with Delta Lake makes of a table: run by PAWL_SPARK_PYTHON, one process for all of it, since it starts slowly.

    spark_delta.py TABLE_FOLDER OUT

Writes what it reads to OUT/before (Parquet), then does what others may do to a table: appends three rows (its timestamps are
INT96) and changes one of ours; prints the history (version, operation, engine) as JSON.
"""
import json, os, sys
from pyspark.sql import SparkSession

table, out = sys.argv[1:]
spark = (SparkSession.builder.master("local[1]")
         .config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
         .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.memory", "1g")
         .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1")
         .config("spark.databricks.delta.snapshotPartitions", "1").config("spark.ui.showConsoleProgress", "false")
         .config("spark.local.dir", out).config("spark.sql.warehouse.dir", os.path.join(out, "warehouse"))
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
         .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")
name = f"delta.`{table}`"
read = spark.read.format("delta").load(table)
read.coalesce(1).write.parquet(os.path.join(out, "before"))
# A filter that can be answered by statistics must not lose rows.
kept = spark.sql(f"SELECT count(*) FROM {name} WHERE called_at >= (SELECT max(called_at) FROM {name})").collect()[0][0]
spark.sql(f"INSERT INTO {name} (id, account_id, called_at, _row_key) SELECT id + 7000000000, account_id, called_at, "
          f"unhex(md5(cast(id AS string))) FROM {name} LIMIT 3")
changed = spark.sql(f"SELECT min(id) FROM {name}").collect()[0][0]
spark.sql(f"UPDATE {name} SET notes = 'by spark' WHERE id = {changed}")
history = spark.sql(f"DESCRIBE HISTORY {name}").select("version", "operation", "engineInfo").collect()
print(json.dumps({"kept": kept, "changed": changed, "history": [[row[0], row[1], row[2]] for row in reversed(history)]}))
spark.stop()
