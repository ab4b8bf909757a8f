"""Delta: one stream's table, and the MERGE that makes a load count once.

The rules are the warehouse's (docs/spark.md): a key that is not there is inserted; one that is, replaced where the row is at least as fresh
and its content differs, or it was marked deleted; what vanished is marked, never removed. A load is one commit, which says
which slices it holds: so a run that was killed knows what is in, by the table's own history.
"""
import json

from pyspark.sql import functions as F
from pyspark.sql.window import Window

from pawl.spark.stages import kill_point

TYPES = {"string": "STRING", "json": "STRING", "int64": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN",
         "timestamp": "TIMESTAMP", "date": "DATE", "key": "BINARY"}
DAY_US = 86_400_000_000
SYSTEM = [("_run_id", "STRING"), ("_load_id", "STRING"), ("_loaded_at", "TIMESTAMP"), ("_deleted_at", "TIMESTAMP")]
# No feature that pawl's own Delta writer, or a plain reader, would refuse, whatever session and workspace turn on by themselves.
PROPERTIES = ", ".join(f"'delta.{name}' = '{value}'" for name, value in {
    "minReaderVersion": 1, "minWriterVersion": 2, "enableDeletionVectors": "false", "enableRowTracking": "false", "columnMapping.mode": "none",
    "checkpointPolicy": "classic"}.items())
HISTORY_MAX = 10000


def quoted(name):
    return ".".join(f"`{part.replace('`', '``')}`" for part in name.split("."))


def column_type(column):
    kind = column["type"]
    if kind == "decimal":
        return f"DECIMAL({column['precision']}, {column['scale']})"
    return TYPES[kind]


class DeltaTable:
    def __init__(self, spark, name, stream):
        """`name`: "catalog.schema.table", or "/a/path/": then tables are folders below it."""
        self.spark = spark
        self.stream = stream["stream"]
        self.columns = [(column["name"], column_type(column)) for column in json.loads(stream["columns"])]
        self.window_column = stream["window_column"]
        self.partition_columns = json.loads(stream["partition_columns"])
        self.name = f"delta.`{name}{stream['schema']}/{stream['table']}`" if "/" in name else quoted(f"{name}.{stream['table']}")

    def schema(self):
        """Of the rows that executors make."""
        return ", ".join(f"{quoted(name)} {kind}" for name, kind in [*self.columns, ("_place", "BIGINT")])

    def prepare(self):
        """Makes the table where it is not there, and adds the columns that it lacks."""
        columns = [*self.columns, *SYSTEM]
        text = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)
        self.spark.sql(f"CREATE TABLE IF NOT EXISTS {self.name} ({text}) USING delta TBLPROPERTIES ({PROPERTIES})")
        there = {field.name for field in self.spark.table(self.name).schema.fields}
        missing = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns if name not in there)
        if missing:
            self.spark.sql(f"ALTER TABLE {self.name} ADD COLUMNS ({missing})")

    def loads(self, run):
        """Loads of the run that are in: {ordinal: [slices]}."""
        found = {}
        for row in self.spark.sql(f"DESCRIBE HISTORY {self.name} LIMIT {HISTORY_MAX}").select("userMetadata").collect():
            try:
                note = json.loads(row[0] or "{}").get("pawl", {})
            except (ValueError, AttributeError):
                continue  # somebody else's words
            if note.get("run") == run:
                found[note["load"]] = [number for first, last in note["slices"] for number in range(first, last + 1)]
        return found

    def merge(self, rows, gone, run, load, slices):
        """One load, one commit. `gone`: (_row_key, _fetched_at) of rows that vanished, or None."""
        spark = self.spark
        latest = Window.partitionBy("_row_key").orderBy(F.col("_fetched_at").desc(), F.col("_place").desc())
        source = (rows.withColumn("_last", F.row_number().over(latest)).where("_last = 1").drop("_last", "_place")
                  .withColumn("_gone", F.lit(False)))
        if gone is not None:
            source = source.unionByName(gone.withColumn("_gone", F.lit(True)), allowMissingColumns=True)
        view = f"pawl_load_{run.replace('-', '')}_{load}"
        source.createOrReplaceTempView(view)
        own = {"_run_id": f"'{run}'", "_load_id": f"'{run}/{self.stream}/{load}'", "_loaded_at": "current_timestamp()",
               "_deleted_at": "NULL"}
        names = [name for name, _ in self.columns]
        values = {**{name: f"s.{quoted(name)}" for name in names}, **own}
        assignments = ", ".join(f"t.{quoted(name)} = {value}" for name, value in values.items())
        # An unchanged row gets its new time: Delta commits one table at a time, so there is no ledger of readings to
        # tell of it, and the row alone must say how fresh it is.
        statement = f"""
            MERGE INTO {self.name} t USING {view} s ON t._row_key = s._row_key
            WHEN MATCHED AND s._gone AND t._deleted_at IS NULL AND s._fetched_at >= t._fetched_at THEN UPDATE SET
                t._deleted_at = s._fetched_at, t._fetched_at = s._fetched_at, t._run_id = {own['_run_id']},
                t._load_id = {own['_load_id']}, t._loaded_at = {own['_loaded_at']}
            WHEN MATCHED AND NOT s._gone AND s._fetched_at >= t._fetched_at
                AND (s._row_hash <> t._row_hash OR t._deleted_at IS NOT NULL) THEN UPDATE SET {assignments}
            WHEN MATCHED AND NOT s._gone AND s._fetched_at > t._fetched_at THEN UPDATE SET t._fetched_at = s._fetched_at
            WHEN NOT MATCHED AND NOT s._gone THEN INSERT ({", ".join(map(quoted, values))}) VALUES ({", ".join(values.values())})"""
        note = json.dumps({"pawl": {"run": run, "load": load, "slices": ranges(slices)}})
        settings = {"spark.databricks.delta.write.txnAppId": f"pawl/{run}/{self.stream}",
                    "spark.databricks.delta.write.txnVersion": str(load),
                    "spark.databricks.delta.commitInfo.userMetadata": note}
        kill_point(f"delta merge, {self.stream} {load}")
        try:
            for name, value in settings.items():
                spark.conf.set(name, value)
            spark.sql(statement)
        finally:
            for name in settings:
                spark.conf.unset(name)
            spark.catalog.dropTempView(view)
        kill_point(f"delta merged, {self.stream} {load}")
        # Delta passes over, without a word, a transaction that somebody has committed under the same number.
        if sorted(self.loads(run).get(load, [])) != sorted(slices):
            raise RuntimeError(f"{self.stream}, load {load}: another engine has committed it with other slices")
        return self.spark.sql(f"DESCRIBE HISTORY {self.name} LIMIT 1").select("operationMetrics").collect()[0][0]

    def vanished(self, slices, landed):
        """Live rows of the slices' windows that the slices do not show: (slice, _row_key, _fetched_at), and how many
        rows each window has. `slices` has begins_us, ends_us, values and fetched_us; `landed` has the keys."""
        live = self.spark.table(self.name).where("_deleted_at IS NULL").select(
            "_row_key", F.col("_fetched_at").alias("_stored_at"), *self._place_columns())
        named = slices.select("slice", "fetched_us", "begins_us", "ends_us", F.from_json("values", "ARRAY<STRING>").alias("v"))
        matches = [F.col("_stored_at") <= F.timestamp_micros("fetched_us")]
        if self.window_column:
            is_date = dict(self.columns)[self.window_column] == "DATE"
            micros = (F.unix_date(F.col("_window")).cast("bigint") * DAY_US if is_date  # whatever the session's time zone
                      else F.unix_micros(F.col("_window").cast("timestamp")))
            no_window = (F.col("begins_us") == 0) & (F.col("ends_us") == 0)
            matches.append(no_window | ((micros >= F.col("begins_us")) & (micros < F.col("ends_us"))))
        matches += [F.col(f"_p{i}").cast("string") == F.col("v")[i] for i in range(len(self.partition_columns))]
        condition = matches[0]
        for match in matches[1:]:
            condition = condition & match
        stored = live.join(F.broadcast(named), condition).select("slice", "_row_key", "fetched_us")
        return stored, stored.join(landed.select("_row_key").distinct(), "_row_key", "left_anti")

    def _place_columns(self):
        columns = [F.col(quoted(name)).alias(f"_p{i}") for i, name in enumerate(self.partition_columns)]
        return columns + ([F.col(quoted(self.window_column)).alias("_window")] if self.window_column else [])


def ranges(numbers):
    """[1, 2, 3, 7] as [[1, 3], [7, 7]]: what a commit says of its slices stays short."""
    result = []
    for number in sorted(numbers):
        if result and result[-1][1] == number - 1:
            result[-1][1] = number
        else:
            result.append([number, number])
    return result
