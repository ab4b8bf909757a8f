"""Engine: runs a job file on Spark, in four stages: plan, land, merge, load.

The driver plans and holds the run's lease. Executors land the slices' pages: what is landed stays, whoever did it, so that a task may fail, be
repeated or run twice. The landed pages are then shaped on the executors and merged into Delta tables, and loaded by libpawl into
the job's own warehouse, as `pawl run` would. Killed anywhere, the same call goes on with the run, and so does `pawl run`.
"""
import functools
import json
import math

import pyarrow as pa
from pyspark.sql import functions as F

from pawl import Job
from pawl.spark import executor
from pawl.spark.delta import DeltaTable
from pawl.spark.stages import stage

SLICE_COLUMNS = ("run STRING, mode STRING, stream STRING, slice BIGINT, reading BIGINT, partition STRING, zone STRING, "
                 "from_us BIGINT, to_us BIGINT, value STRING, window STRING, begins_us BIGINT, ends_us BIGINT, `values` STRING")
REPORT_COLUMNS = ("stream STRING, slice BIGINT, reading BIGINT, value STRING, whole BOOLEAN, shows_all BOOLEAN, in_one_go BOOLEAN, "
                  "records BIGINT, keys BIGINT, quarantined BIGINT, total BIGINT, pages BIGINT, bytes BIGINT, requests BIGINT, "
                  "retries BIGINT, waited_us BIGINT, fetched_us BIGINT, started_us BIGINT, ended_us BIGINT, error STRING")
# Deletions are believed when a second reading lacks the rows too; more than so many at once are not marked.
CONFIRMATIONS_MAX = 3
HELD_BACK_ROWS, HELD_BACK_PART = 20, 0.01
CARDS = 8  # in the hand of each landing task


class Engine:
    def __init__(self, spark, job, lake, environment=None, slots=None, load_rows=2_000_000, accept_deletes=False):
        """`lake`: where the Delta tables are: "catalog.schema", or "/a/path/" below which they are folders.
        `slots`: how many tasks run at once (the cluster's cores); each gets its part of the rate."""
        self.spark, self.job, self.lake, self.environment = spark, Job(job, environment), lake, environment
        effective = json.loads(self.job.text)
        if effective.get("lake"):
            raise ValueError("the job has a lake of its own: on Spark the tables are the engine's, so leave that out")
        self.slots = slots or spark.sparkContext.defaultParallelism
        self.connections = effective["limits"]["connections"]
        self.load_rows, self.accept_deletes = load_rows, accept_deletes
        self.current = None  # the run in hand
        self.tables = {row["stream"]: DeltaTable(spark, lake, row) for row in pa.table(self.job.tables()).to_pylist()}

    def run(self, mode, **options):
        """One run of the job, or the rest of one that was interrupted. Returns libpawl's report of the warehouse, with what
        the lake got under "lake"."""
        with self.job.begin(mode, accept_deletes=self.accept_deletes, **options) as self.current:
            slices = self.plan()
            merged = []
            reports = self.land(slices)["reports"]
            for stream, table in self.tables.items():
                merged += self.merge_stream(table, slices, [report for report in reports if report["stream"] == stream], mode)
            report = self.load()
        return {**report, "lake": merged, "slices_not_landed": sum(not each["whole"] for each in reports)}

    # --- stages

    @stage("plan")
    def plan(self):
        """Slices become rows."""
        return pa.table(self.current.slices())

    @stage("land")
    def land(self, slices):
        reports = self._land(slices)
        return dict(rows_in=sum(report["records"] for report in reports), reports=reports)

    def merge_stream(self, table, slices, reports, mode):
        """Merges what the table does not have yet, load by load."""
        run = self.current.id
        table.prepare()
        there = table.loads(run)
        loaded = {number for numbers in there.values() for number in numbers}
        rows = {row["slice"]: row for row in slices.to_pylist() if row["stream"] == table.stream}
        waiting = [{**rows[report["slice"]], **report} for report in sorted(reports, key=lambda each: each["slice"])
                   if report["whole"] and report["slice"] not in loaded]
        ordinal, done = max(there, default=-1) + 1, []
        while waiting:
            count = self._take(waiting)
            done.append(self.merge(table, waiting[:count], ordinal, mode))
            waiting, ordinal = waiting[count:], ordinal + 1
        return done

    @stage("merge")
    def merge(self, table, slices, ordinal, mode):
        frame = self._frame(slices)
        rows = self._shape(table, frame)
        gone = self._gone(table, frame, slices, rows) if mode == "rehydration" else None
        metrics = table.merge(rows, gone, self.current.id, ordinal, [each["slice"] for each in slices])
        return dict(load=ordinal, rows_in=sum(each["records"] for each in slices),
                      rows_inserted=int(metrics.get("numTargetRowsInserted", 0)),
                      rows_updated=int(metrics.get("numTargetRowsUpdated", 0)), stream=table.stream)

    @stage("load")
    def load(self):
        """From the landing store into the job's warehouse, by libpawl."""
        return self.current.finish()

    # --- parts of stages

    def _take(self, slices):
        """How many slices the next load takes: whole ones, about load_rows rows."""
        rows = 0
        for count, each in enumerate(slices, 1):
            rows += each["records"]
            if rows >= self.load_rows:
                return count
        return len(slices)

    def _table(self, slices):
        """Rows of slices for a DataFrame, and its columns."""
        names = [part.split()[0].strip("`") for part in SLICE_COLUMNS.split(", ")]
        rows = slices.to_pylist() if isinstance(slices, pa.Table) else slices
        extra = [name for name in ("fetched_us",) if rows and name in rows[0]]
        return [tuple(row[name] for name in names + extra) for row in rows], SLICE_COLUMNS + "".join(f", {name} BIGINT" for name in extra)

    def _frame(self, slices):
        """Slices whose rows are to be shaped: neighbours in one task (executor.PLACE_BITS), a few tasks a slot for the slow ones."""
        rows, columns = self._table(slices)
        tasks = max(1, min(len(rows), self.slots * 4))
        return self.spark.createDataFrame(rows, columns).repartitionByRange(tasks, "stream", "slice")

    def _land(self, slices):
        """Each task costs a start, a token and a list of accounts, and its last slices leave connections idle. So there is one wave of
        them, no more than have every slice under way at once; slices are dealt out like cards, since nobody knows what each holds."""
        rows, columns = self._table(slices)
        tasks = max(1, min(self.slots, math.ceil(len(rows) / self.connections)))
        frame = self.spark.createDataFrame(dealt(rows, tasks), f"{columns}, place BIGINT").repartitionByRange(tasks, "place").drop("place")
        land = functools.partial(executor.land, path=self.job.path, environment=self.environment, siblings=tasks)
        return [row.asDict() for row in frame.mapInArrow(land, REPORT_COLUMNS).collect()]

    def _shape(self, table, frame):
        shape = functools.partial(executor.shape, path=self.job.path, environment=self.environment, stream=table.stream)
        return frame.select(*(name for name in frame.columns if name != "fetched_us")).mapInArrow(shape, table.schema())

    def _gone(self, table, frame, slices, rows):
        """What the source has no longer: asked for again until two readings in one go have lacked it."""
        if frame.select("from_us").where("from_us <> 0 OR to_us <> 0").limit(1).count() and not table.window_column:
            return None
        # A refused record may be of a row that is stored from better days.
        shown = {each["slice"]: each for each in slices
                 if each["shows_all"] and not each["quarantined"] and each["values"] is not None}
        sure = {number: int(each["in_one_go"]) for number, each in shown.items()}
        stored, missing = table.vanished(frame.where(F.col("slice").isin(list(shown))), rows)
        counts = {row["slice"]: row["count"] for row in missing.groupBy("slice").count().collect()}
        suspects = missing.where(F.col("slice").isin(list(counts))).persist()
        kept = suspects.collect() if counts else []  # few, or they would be held back below
        for _ in range(CONFIRMATIONS_MAX):
            asked = [shown[number] for number in {row["slice"] for row in kept} if 0 <= sure[number] < 2]
            if not asked:
                break
            again = [{**each, "reading": each["reading"] + 1} for each in asked]
            read = []
            for report in self._land(again):
                each = shown[report["slice"]]
                each["reading"] = report["reading"]
                if not report["whole"]:  # refused, say: nothing is confirmed, and there are no pages to look into
                    sure[report["slice"]] = -CONFIRMATIONS_MAX
                    continue
                read.append(each)
                if report["in_one_go"]:
                    sure[report["slice"]] = sure[report["slice"]] + 1 if report["shows_all"] and not report["quarantined"] else -CONFIRMATIONS_MAX
            seen = {bytes(row[0]) for row in self._shape(table, self._frame(read)).select("_row_key").collect()} if read else set()
            kept = [row for row in kept if bytes(row["_row_key"]) not in seen]
        suspects.unpersist()
        kept = [row for row in kept if sure[row["slice"]] >= 2]
        kept = self._hold_back(kept, stored)
        if not kept:
            return None
        return (self.spark.createDataFrame([(bytes(row["_row_key"]), row["fetched_us"]) for row in kept], "_row_key BINARY, us BIGINT")
                .select("_row_key", F.timestamp_micros("us").alias("_fetched_at")))

    def _hold_back(self, kept, stored):
        if self.accept_deletes or not kept:
            return kept
        totals = {row["slice"]: row["count"] for row in stored.groupBy("slice").count().collect()}
        gone = {}
        for row in kept:
            gone[row["slice"]] = gone.get(row["slice"], 0) + 1
        held = {number for number, count in gone.items() if count > HELD_BACK_ROWS and count > totals[number] * HELD_BACK_PART}
        return [row for row in kept if row["slice"] not in held]


def dealt(rows, hands):
    """The rows hand by hand, each with its place. A card is some neighbours: an account that refuses is asked by few tasks."""
    card = max(1, math.ceil(len(rows) / (hands * CARDS)))
    order = sorted(range(len(rows)), key=lambda i: i // card % hands)
    return [(*rows[i], place) for place, i in enumerate(order)]
