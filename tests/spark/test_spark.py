"""The Spark engine against the machine of its own: the same job, the same rows, whatever is killed in between.

`./dev test` runs one session of Spark 4.0 in this process's machine; PAWL_SPARK=all (./dev spark) also Spark 3.5, a cluster of one master
and two workers, and kills: PAWL_KILLS of the named points of each mode (12; 0 = all), and all around a commit. Executors have the real time
and the driver the test's: so what executors read is always later than before.
"""
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import world  # noqa: E402
from azure import KEY, Azurite, needs_azurite  # noqa: E402
from cluster import Cluster  # noqa: E402
from test_postgres import OWN, content  # noqa: E402
from snow import flake, on_azure, table  # noqa: E402

HERE = pathlib.Path(__file__).parent
PLAIN = world.BUILD.name in ("debug", "release", "cover")
ALL = os.environ.get("PAWL_SPARK") == "all"
KILLS = int(os.environ.get("PAWL_KILLS", "12"))  # a mode; 0 = all
LAST = "2026-03-03"
COMPARE = """
import duckdb, json, sys
folder, warehouse, table = sys.argv[1:]
c = duckdb.connect()
c.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")  # it is printed where a query takes seconds
c.execute(f"ATTACH '{warehouse}' AS w (READ_ONLY)")
skip = ("_run_id", "_load_id", "_loaded_at", "_fetched_at", "_deleted_at")
columns = [(n, t) for n, t, *_ in c.execute(f"DESCRIBE w.{table}").fetchall() if n not in skip]
cast = {"UUID": "BLOB", "JSON": "VARCHAR"}
theirs = ", ".join(f'"{n}"::{cast.get(t, t)}' for n, t in columns) + ", _deleted_at IS NOT NULL"
ours = ", ".join(f'"{n}"::{cast.get(t, t)}' for n, t in columns) + ", _deleted_at IS NOT NULL"
c.execute(f"CREATE TABLE a AS SELECT {theirs} FROM w.{table}")
c.execute(f"CREATE TABLE b AS SELECT {ours} FROM read_parquet('{folder}/*.parquet')")
one = lambda sql: c.execute(sql).fetchone()[0]
print(json.dumps({"warehouse": one("SELECT count(*) FROM a"), "lake": one("SELECT count(*) FROM b"),
                  "only_warehouse": one("SELECT count(*) FROM (FROM a EXCEPT ALL FROM b)"),
                  "only_lake": one("SELECT count(*) FROM (FROM b EXCEPT ALL FROM a)"),
                  "differ": str([[x for x in zip(p, q, (n for n, _ in [*columns, ("gone", "")])) if x[0] != x[1]] for p, q in zip(
                      c.execute("FROM (FROM a EXCEPT ALL FROM b) ORDER BY ALL").fetchall(),
                      c.execute("FROM (FROM b EXCEPT ALL FROM a) ORDER BY ALL").fetchall())])[:1000],
                  "gone": one("SELECT count(*) FROM read_parquet('" + folder + "/*.parquet') WHERE _deleted_at IS NOT NULL")}))
"""


def packages(kind):
    done = subprocess.run([world.ROOT / "tools/deps", "--venv", kind], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Driver:
    """A driver that takes steps for one site or more, until it is closed, or killed."""

    def __init__(self, folder, kind="spark", master="local[2,4]", conf=None, env=None):
        self.folder, self.python = pathlib.Path(folder), packages(kind)
        self.events = self.folder / "events"
        self.events.mkdir(exist_ok=True)
        conf = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file:{self.events}", "spark.eventLog.compress": "false",
                "spark.eventLog.rolling.enabled": "false", **(conf or {})}
        environment = os.environ | {
            "CTM_CLIENT_ID": "sim-client", "CTM_CLIENT_SECRET": "sim-client-secret",
            "PYTHONPATH": str(world.ROOT / "python"), "PAWL_LIBRARIES": str(world.BUILD), "PYSPARK_PYTHON": self.python,
            "PYSPARK_DRIVER_PYTHON": self.python, "SPARK_LOCAL_IP": "127.0.0.1", **(env or {})}
        environment.pop("SPARK_HOME", None)
        environment.pop("PAWL_TEST_NOW", None)  # drive.py tells executors what time it is
        self.log = open(self.folder / "spark.log", "ab")
        self.process = subprocess.Popen([self.python, HERE / "drive.py", master, self.folder, json.dumps(conf)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True,
                                        cwd=self.folder)

    def step(self, site, **step):
        site.runs += 1
        step = {"now": site.now, "job": str(site.job), "lake": f"{site.folder}/delta/", **step}
        began, answer = time.monotonic(), None
        self.process.stdin.write(json.dumps(step) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                answer = json.loads(line[7:])
                break
        else:
            self.process.wait()
        # Executors' clocks have run meanwhile: the next step must not begin before what this one has read.
        site.runs += int((time.monotonic() - began) // 60)
        return answer

    def compare(self, site, duck, table="ctm.calls", **step):
        """The Delta table of one site and the table in the DuckDB file of another, or the same."""
        self.step(site, dump=[table.replace(".", "/"), f"{site.folder}/dump"], **step)
        done = subprocess.run([packages("arrow"), "-c", COMPARE, site.folder / "dump", duck.folder / "ctm.duckdb", table],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def ended_tasks(self):
        """What Spark's event log says of tasks that have ended: {(session, stage, index): {(attempt, a speculative copy?, reason), ...}}."""
        tasks = {}
        for path in self.events.iterdir():
            for line in path.read_text().splitlines():
                event = json.loads(line)
                if event["Event"] == "SparkListenerTaskEnd":
                    info = event["Task Info"]
                    task = (path.name.removesuffix(".inprogress"), event["Stage ID"], info["Index"])
                    tasks.setdefault(task, set()).add(
                        (info["Attempt"], info["Speculative"], event["Task End Reason"]["Reason"]))
        return tasks

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # it is gone: its log says why
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()
        if kind is not None:
            print((self.folder / "spark.log").read_text()[-3000:])


def small_world(**more):
    return world.World(**{"calls": 150, "last": LAST, "now": f"{LAST}T18:00:00Z", "streams": ["calls"], **more})


def landed(site):
    """The files of all landed slices, whatever their runs are called."""
    return sorted(str(path.relative_to(site.folder / "lake/ctm/runs")).split("/", 1)[1]
                  for path in (site.folder / "lake/ctm/runs").glob("*/calls/*/*/*"))


def copied(site, name):
    """The site as it is now, Delta tables too."""
    twin = site.copy(name)
    if (site.folder / "delta").exists():
        shutil.copytree(site.folder / "delta", twin.folder / "delta")
    return twin


# What a workspace may turn on for new tables, and not every reader knows.
MODERN = {"enableDeletionVectors": "true", "enableRowTracking": "true", "columnMapping.mode": "name", "checkpointPolicy": "v2"}
WINDOW = {"from_": "2026-03-01", "to": LAST}
ALL_STREAMS = [name for name, stream in json.loads((world.ROOT / "jobs/ctm.json").read_text())["streams"].items() if stream.get("enabled", True)]


class Story:
    """What is asked of each kind of cluster."""

    def check_lake(self, driver, site, duck, gone=0):
        found = driver.compare(site, duck)
        self.assertGreater(found["lake"], 100)
        self.assertEqual({**found, "warehouse": found["lake"]},
                         {"warehouse": found["lake"], "lake": found["warehouse"], "only_warehouse": 0, "only_lake": 0, "differ": "[]",
                          "gone": gone})

    def check_equal(self, driver, site, single, gone=0):
        self.check_lake(driver, site, site, gone)
        self.assertEqual(site.digest(), single.digest())

    def tell(self, driver, site):
        single = site.copy("single")
        report = driver.step(site, mode="historic", options=WINDOW)
        single.run("historic", "--to", LAST)
        self.assertEqual((report["requests"], report["slices_failed"]), (0, 0))
        self.check_equal(driver, site, single)

        first, *_, last = [row[0] for row in site.rows("SELECT id FROM ctm.calls WHERE account_id = 1001 ORDER BY ALL")]
        site.control("mutate", {"account": 1001, "id": int(first), "do": "delete"})
        site.control("mutate", {"account": 1001, "id": int(last), "do": "edit", "set": {"notes": "late"}})
        report = driver.step(site, mode="rehydration", options=WINDOW)
        self.assertEqual((report["requests"], report["deleted"]), (0, 1))  # what confirmed it for the lake does so for the warehouse
        single.run("rehydration", "--from", "2026-03-01", "--to", LAST)
        self.check_equal(driver, site, single, gone=1)

        site.control("mutate", {"account": 1001, "id": int(first), "do": "restore"})
        # As a job of the bundle calls it (deploy/databricks), with a parameter that nobody has set.
        driver.step(site, words=["run", str(site.job), "--mode", "incremental", "--from", "2026-03-01", "--to", ""])
        single.run("incremental", "--from", "2026-03-01")
        self.check_equal(driver, site, single)
        stages = dict(site.rows("SELECT stage, count(*) FROM etl_log WHERE stage LIKE 'spark%' AND status = 'ok' GROUP BY 1"))
        self.assertEqual(stages, {"spark.plan": "3", "spark.land": "3", "spark.merge": "3", "spark.load": "3"})


@unittest.skipUnless(PLAIN, "a sanitized library cannot be loaded into a plain Python")
class SparkTest(Story, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="pawl-spark-"))
        cls.driver = cls.enterClassContext(Driver(cls.folder, conf={f"spark.databricks.delta.properties.defaults.{name}": value
                                                                    for name, value in MODERN.items()}))

    def test_three_modes_give_what_one_machine_gives(self):
        with small_world() as site:
            self.tell(self.driver, site)
            protocols = [json.loads(line)["protocol"] for path in (site.folder / "delta/ctm/calls/_delta_log").glob("*.json")
                         for line in path.read_text().splitlines() if line.startswith('{"protocol"')]
            self.assertEqual(protocols, [{"minReaderVersion": 1, "minWriterVersion": 2}])

    def test_a_task_that_fails_once_is_done_again_and_doubles_nothing(self):
        with small_world(job={"config": {"per_page": 5}}) as site:
            single = site.copy("single")
            single.run("historic", "--to", LAST)
            before = self.driver.ended_tasks()
            self.driver.step(site, mode="historic", options=WINDOW, trouble={"land": "fail", "shape": "fail"})
            # Spark gave up none of the two, and did both again.
            ends = [ends for task, ends in self.driver.ended_tasks().items() if task not in before]
            failed = [sorted(reason for _, _, reason in end) for end in ends if len(end) > 1]
            self.assertEqual(failed, [["ExceptionFailure", "Success"]] * 2)
            self.assertEqual(landed(site), landed(single))
            self.check_equal(self.driver, site, single)

    def test_merge_takes_what_is_fresher_and_different_and_nothing_else(self):
        with small_world() as site:
            seeds = [[key, "one", 10, "old"] for key in ("same", "other", "older", "equal", "back", "late back", "gone", "late gone", "twice", "twin")]
            # The rows of a load come in any order; what vanished is only marked.
            loads = [(seeds, []), ([], [["back", 20], ["late back", 20]]),
                     ([["new", "one", 30, "new"], ["same", "one", 30, "old"], ["other", "two", 30, "new"], ["older", "two", 9, "new"],
                       ["equal", "two", 10, "new"], ["back", "one", 30, "old"], ["late back", "two", 15, "new"],
                       ["twice", "three", 40, "new"], ["twice", "two", 30, "not new"], ["twin", "two", 30, "not new"], ["twin", "three", 30, "new"]],
                      [["gone", 30], ["late gone", 9], ["nobody", 30]])]
            found = self.driver.step(site, merge=loads)
            before, marked, last = (f"run/merged/{number}" for number in range(3))
            self.assertEqual(found, {
                "new": ["one", 30, "new", last, None], "same": ["one", 30, "old", before, None], "other": ["two", 30, "new", last, None],
                "older": ["one", 10, "old", before, None], "equal": ["two", 10, "new", last, None], "back": ["one", 30, "old", last, None],
                "late back": ["one", 20, "old", marked, 20], "gone": ["one", 30, "old", last, 30], "late gone": ["one", 10, "old", before, None],
                "twice": ["three", 40, "new", last, None], "twin": ["three", 30, "new", last, None]})

    def test_a_stage_that_fails_stands_in_the_log_and_is_done_by_the_next_run(self):
        with small_world() as site:
            failed = self.driver.step(site, mode="historic", options=WINDOW, trouble={"shape": "always"}, alone={})
            self.assertEqual(failed["status"], 1)
            self.assertIn("the test lets this task fail", failed["error"])
            log = "SELECT stage, stream, status, error FROM etl_log WHERE stage LIKE 'spark.%' ORDER BY started_at"
            rows = site.rows(log)
            self.assertEqual([row[:3] for row in rows], [["spark.plan", None, "ok"], ["spark.land", None, "ok"], ["spark.merge", "calls", "failed"]])
            self.assertIn("PythonException", rows[2][3])
            report = self.driver.step(site, mode="historic", options=WINDOW)
            self.assertTrue(report["resumed"])
            self.assertEqual([row[:3] for row in site.rows(log)][3:],
                             [["spark.plan", None, "ok"], ["spark.land", None, "ok"], ["spark.merge", "calls", "ok"], ["spark.load", None, "ok"]])
            self.check_lake(self.driver, site, site)

    def test_tables_of_a_catalog_are_named_and_never_a_path(self):
        with small_world() as site:
            self.driver.step(site, sql="CREATE SCHEMA named")
            self.driver.step(site, mode="historic", options=WINDOW, lake="spark_catalog.named")
            found = self.driver.compare(site, site, lake="spark_catalog.named")
            self.assertGreater(found["lake"], 100)
            self.assertEqual((found["only_warehouse"], found["only_lake"], found["differ"]), (0, 0, "[]"))
            detail = {row[0]: row[1] for row in self.driver.step(site, sql="DESCRIBE EXTENDED spark_catalog.named.calls")}
            self.assertEqual((detail["Type"], detail["Location"]), ("MANAGED", f"file:{self.folder}/tables/named.db/calls"))
            self.assertFalse((site.folder / "delta").exists())

    @unittest.skipUnless(ALL, "only with PAWL_SPARK=all (./dev spark)")
    def test_executors_together_keep_the_rate(self):
        # Each alone would ask for 20 a second, and half of it would be refused.
        with small_world(calls=600, sim=("--rate", "20", "--burst", "10"),
                         job={"config": {"per_page": 5}, "limits": {"requests_per_second": 20, "connections": 2}}) as site:
            report = self.driver.step(site, mode="historic", options=WINDOW)
            stats = site.control("stats")
            self.assertEqual((report["slices_not_landed"], stats["rate_limited"]), (0, 0))
            self.assertGreater(stats["requests"], 100)
            self.assertEqual(sum("token" in entry["request"] for entry in site.log()), 3)  # driver and two tasks

    def test_landing_is_one_wave_and_no_task_more_than_has_every_slice_under_way(self):
        # Six slices and two slots. The driver and each task asks for a token.
        for connections, tasks in ((2, 2), (5, 2), (6, 1)):
            with self.subTest(connections=connections), small_world(job={"limits": {"connections": connections}}) as site:
                report = self.driver.step(site, mode="historic", options=WINDOW)
                self.assertEqual((report["slices_not_landed"], report["slices"]), (0, 6))
                self.assertEqual(sum("token" in entry["request"] for entry in site.log()), 1 + tasks)

    @unittest.skipUnless(ALL, "only with PAWL_SPARK=all (./dev spark)")
    def test_an_account_that_is_refused_is_left_out_and_read_when_it_may_be(self):
        with small_world() as site:
            single = site.copy("single")
            site.control("forbid", {"account": 1002})
            report = self.driver.step(site, mode="historic", options=WINDOW)
            self.assertEqual((report["slices_not_landed"], report["slices_failed"]), (3, 3))
            self.assertIn("403", report["first_failure"])
            site.control("forbid", {"account": 1002, "from": None})
            single.run("historic", "--to", LAST)
            report = self.driver.step(site, mode="historic", options=WINDOW)
            self.assertEqual((report["resumed"], report["slices_failed"], report["slices_not_landed"]), (True, 0, 0))
            self.assertEqual([load["load"] for load in report["lake"]], [1])
            self.check_equal(self.driver, site, single)

    @unittest.skipUnless(ALL, "only with PAWL_SPARK=all (./dev spark)")
    def test_too_many_vanished_rows_are_not_believed(self):
        with small_world(calls=300, accounts=1) as site:
            self.driver.step(site, mode="historic", options=WINDOW)
            for row in site.rows("SELECT id FROM ctm.calls ORDER BY called_at LIMIT 21"):
                site.control("mutate", {"account": 1001, "id": int(row[0]), "do": "delete"})
            self.driver.step(site, mode="rehydration", options=WINDOW)
            self.check_lake(self.driver, site, site)
            self.driver.step(site, mode="rehydration", options=WINDOW, engine={"accept_deletes": True})
            self.check_lake(self.driver, site, site, gone=21)

    def test_postgres_gets_what_duckdb_gets_of_one_machine(self):
        with small_world() as single:
            site = on_postgres(single)
            self.addCleanup(site.warehouse.remove)
            self.driver.step(site, mode="historic", options=WINDOW)
            single.run("historic", "--to", LAST)
            self.check_lake(self.driver, site, single)
            self.assertEqual(content(site, "ctm.calls", "_row_key", OWN), content(single, "ctm.calls", "_row_key", OWN))


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class StreamsTest(Story, unittest.TestCase):
    def change(self, site):
        """A call, a user and a contact are gone, others are not what they were."""
        first, *_, last = [row[0] for row in site.rows("SELECT id FROM ctm.calls WHERE account_id = 1001 ORDER BY ALL")]
        site.control("mutate", [{"account": 1001, "id": int(first), "do": "delete"},
                                {"account": 1001, "id": int(last), "do": "edit", "set": {"notes": "late"}}])
        faults = []
        for path, records in (("/accounts/1001/users", "users"), ("/accounts/1001/lists/10015006/contacts", "contacts")):
            page = site.get(path[1:] + "?per_page=150")
            self.assertIsNone(page["next_page"])
            page[records].pop(0)
            page[records][-1]["email"] = "late@example.org"
            page["total_entries"] -= 1
            faults.append({"match": {"path": path}, "do": 200, "body": json.dumps(page), "times": 0})
        site.control("faults", faults, method="PUT")

    def test_every_stream_in_many_loads_is_what_one_machine_makes_of_it(self):
        lists = {"list_id": {"include": ["10015000", "10015006", "10025000"]}}  # of 26: each is a slice
        with small_world(streams=ALL_STREAMS, job={"partitions": lists}) as site, Driver(site.folder) as driver:
            single = site.copy("single")
            report = driver.step(site, mode="historic", options=WINDOW, engine={"load_rows": 1})
            single.run("historic", "--to", LAST)
            loads = [load["stream"] for load in report["lake"]]
            self.assertEqual({stream: loads.count(stream) for stream in ALL_STREAMS},
                             {**dict.fromkeys(ALL_STREAMS, 2), "accounts": 1, "contacts": 3, "calls": 6})

            self.change(site)
            report = driver.step(site, mode="rehydration", options=WINDOW, engine={"load_rows": 100})
            single.run("rehydration", "--from", WINDOW["from_"], "--to", LAST)
            self.assertEqual((report["deleted"], report["updated"], report["requests"]), (3, 3, 0))
            for stream in ALL_STREAMS:
                with self.subTest(stream):
                    found = driver.compare(site, site, f"ctm.{stream}")
                    self.assertGreater(found["lake"], 0)
                    self.assertEqual((found["only_warehouse"], found["only_lake"], found["differ"], found["gone"]),
                                     (0, 0, "[]", stream in ("users", "contacts", "calls")))
                    self.assertEqual(site.digest(f"ctm.{stream}"), single.digest(f"ctm.{stream}"))


def on_postgres(site):
    """A site of the same world whose warehouse is a database."""
    twin = site.copy("postgres")
    twin.warehouse = world.Postgres()
    job = json.loads(twin.job.read_text())
    job["warehouse"] = twin.warehouse.options()
    twin.job.write_text(json.dumps(job))
    return twin


class Kills(Story):
    def kill(self, site, single, points, env=None):
        """The driver dies at each point in turn, and Python workers at a page, whose tasks are done again."""
        listed = single.folder / "points"
        single.run("historic", "--to", LAST, env={"PAWL_TEST_KILL_LIST": str(listed)})
        page = [name for name in listed.read_text().splitlines() if name.startswith("page was put, calls")][3]
        for point in points:
            with Driver(site.folder, conf={"spark.executorEnv.PAWL_TEST_KILL_AT": page},
                        env={**(env or {}), "PAWL_TEST_KILL_AT": point}) as driver:
                self.assertIsNone(driver.step(site, mode="historic", options=WINDOW), point)
                self.assertEqual(driver.process.returncode, -signal.SIGKILL, point)


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class KillTest(Kills, unittest.TestCase):
    def test_killed_anywhere_it_goes_on_and_nothing_is_doubled(self):
        with small_world() as site:
            single = site.copy("single")
            self.kill(site, single, ("run noted, historic", "delta merge, calls 0", "delta merged, calls 0"))
            with Driver(site.folder) as driver:
                report = driver.step(site, mode="historic", options=WINDOW)
                self.assertTrue(report["resumed"])
                self.assertEqual(report["lake"], [])
                self.check_equal(driver, site, single)

    def test_killed_around_the_commit_of_postgres(self):
        with small_world() as single:
            site = on_postgres(single)
            self.addCleanup(site.warehouse.remove)
            self.kill(site, single, ("commit, calls load 0", "committed, calls load 0"))
            with Driver(site.folder) as driver:
                report = driver.step(site, mode="historic", options=WINDOW)
                self.assertEqual((report["resumed"], report["inserted"], report["lake"]), (True, 0, []))
                self.check_lake(driver, site, single)
            self.assertEqual(content(site, "ctm.calls", "_row_key", OWN), content(single, "ctm.calls", "_row_key", OWN))
            self.assertEqual(site.value("SELECT count(*) FROM pawl_load WHERE stream = 'calls'"), "1")


class Sweep(Story):
    """Named points of a run, one after the other on the same tables: each driver dies a little later than the one before. Then workers, whose
    tasks Spark does again, up to its limit: then the run fails, and the next one goes on."""

    def sweep(self, mode):
        with small_world() as site, Driver(site.folder) as driver:
            single = site.copy("single")
            self.gone = 0
            if mode != "historic":
                driver.step(site, mode="historic", options=WINDOW)
                single.run("historic", "--to", LAST)
                first, *_, last = [row[0] for row in site.rows("SELECT id FROM ctm.calls WHERE account_id = 1001 ORDER BY ALL")]
                site.control("mutate", {"account": 1001, "id": int(last), "do": "edit", "set": {"notes": "late"}})
                if mode == "rehydration":
                    site.control("mutate", {"account": 1001, "id": int(first), "do": "delete"})
                    self.gone = 1
            step = {"mode": mode, "options": {"from_": WINDOW["from_"]} if mode == "incremental" else WINDOW}
            words = () if mode == "incremental" else ("--to", LAST)
            listed = site.folder / "points"

            told = driver.step(copied(site, "calm"), **step, alone={"PAWL_TEST_KILL_LIST": str(listed)})
            self.assertEqual(told["status"], 0, told["error"])
            points = choose(listed.read_text().splitlines())
            listed.unlink()
            single.run(mode, "--from", WINDOW["from_"], *words, env={"PAWL_TEST_KILL_LIST": str(listed)})
            workers = self.of_workers(listed)

            self.kill_drivers(driver, site, single, step, points)
            self.kill_workers(driver, site, single, step, workers)
            print(f"{mode}: {len(points)} kill points of the driver, {len(workers)} of workers", flush=True)

    # Each copy has a name of its own: the session remembers what it has seen of a table.
    def kill_drivers(self, driver, site, single, step, points):
        twin = copied(site, "driver")
        for number, point in enumerate(points):
            told = driver.step(twin, **step, alone={"PAWL_TEST_KILL_AT": point})
            if told["status"] == 0:  # only a new run meets it, and this one went on
                self.check_equal(driver, twin, single, self.gone)
                twin = copied(site, f"driver{number}")
                told = driver.step(twin, **step, alone={"PAWL_TEST_KILL_AT": point})
            self.assertEqual(told["status"], -signal.SIGKILL, f"{point}: {told['error']}")
        driver.step(twin, **step)
        self.check_equal(driver, twin, single, self.gone)

    def kill_workers(self, driver, site, single, step, points):
        twin = copied(site, "worker")
        for number, point in enumerate(points):
            before, once = driver.ended_tasks(), " was put, " in point
            told = driver.step(twin, **step, alone={}, workers={"PAWL_TEST_KILL_AT": point})
            self.assertEqual(told["status"], 0 if once else 1, f"{point}: {told['error']}")
            ends = [sorted(reason for _, _, reason in ends) for task, ends in driver.ended_tasks().items() if task not in before]
            self.assertIn(["ExceptionFailure", "Success"] if once else ["ExceptionFailure"] * 4, ends, point)
            if once:
                self.check_equal(driver, twin, single, self.gone)
                twin = copied(site, f"worker{number}")

    @staticmethod
    def of_workers(listed):
        """One of each kind that landing has: of the run's second slice."""
        kinds = {}
        for name in listed.read_text().splitlines():
            if re.search("^(page|slice manifest) .* slice 1 ", name):
                kinds.setdefault(name.split(",")[0], name)
        return list(kinds.values())


def choose(points):
    """KILLS points, spread evenly, and those around a commit."""
    points = list(dict.fromkeys(points))
    chosen = {points[i * len(points) // KILLS] for i in range(KILLS)} if 0 < KILLS < len(points) else set(points)
    return [point for point in points if point in chosen or point.startswith(("delta", "commit", "run noted"))]


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class HistoricSweepTest(Sweep, unittest.TestCase):
    def test_killed_at_every_point(self):
        self.sweep("historic")


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class IncrementalSweepTest(Sweep, unittest.TestCase):
    def test_killed_at_every_point(self):
        self.sweep("incremental")


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class RehydrationSweepTest(Sweep, unittest.TestCase):
    def test_killed_at_every_point(self):
        self.sweep("rehydration")


@flake.needed()
@needs_azurite
@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class SnowflakeTest(Kills, unittest.TestCase):
    """The job's warehouse is Snowflake's fixture; its stage and the landing are in a container, as in production."""

    @classmethod
    def setUpClass(cls):
        cls.fixture = flake.Fixture()
        cls.addClassCleanup(cls.fixture.close)
        cls.azurite = cls.enterClassContext(Azurite())
        cls.env = {"TEST_ACCOUNT_KEY": KEY, "SNOWFLAKE_PASSPHRASE": cls.fixture.ready["passphrase"]}

    def check_tables(self, driver, site, single, gone=0):
        self.check_lake(driver, site, single, gone)
        self.assertEqual(table(site, "calls"), table(single, "calls"))
        self.assertEqual(site.sql("SELECT count(*) - count(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])
        self.assertFalse((site.folder / "lake").exists())  # no page came to this machine

    def test_three_modes_give_what_one_machine_gives(self):
        with small_world() as single:
            site = on_azure(single, self.fixture, self.azurite, "modes", "MODES")
            site.command()  # the fixture's clock is the world's
            with Driver(site.folder, env=self.env) as driver:
                driver.step(site, mode="historic", options=WINDOW)
                single.run("historic", "--to", LAST)
                self.check_tables(driver, site, single)

                first, *_, last = [row[0] for row in single.rows("SELECT id FROM ctm.calls WHERE account_id = 1001 ORDER BY ALL")]
                single.control("mutate", {"account": 1001, "id": int(first), "do": "delete"})
                single.control("mutate", {"account": 1001, "id": int(last), "do": "edit", "set": {"notes": "late"}})
                driver.step(site, mode="rehydration", options=WINDOW)
                single.run("rehydration", "--from", "2026-03-01", "--to", LAST)
                self.check_tables(driver, site, single, gone=1)

                single.control("mutate", {"account": 1001, "id": int(first), "do": "restore"})
                driver.step(site, mode="incremental", options={"from_": "2026-03-01"})
                single.run("incremental", "--from", "2026-03-01")
                self.check_tables(driver, site, single)
            copied = [entry for entry in self.fixture.log() if entry["sql"].startswith("COPY INTO") and entry["error"] is None]
            self.assertGreater(len(copied), 2)
            # Nothing of a load is left in the stage. (Of one that was killed there is: docs/status.md.)
            self.assertEqual(self.azurite.names("modes", "pawl-stage/loads/"), [])

    def test_killed_around_stage_and_commit(self):
        with small_world() as single:
            site = on_azure(single, self.fixture, self.azurite, "killed", "KILLED")
            site.command()
            self.kill(site, single, ("stage put, rows calls load 0", "commit, calls load 0", "committed, calls load 0"), self.env)
            with Driver(site.folder, env=self.env) as driver:
                report = driver.step(site, mode="historic", options=WINDOW)
                self.assertEqual((report["resumed"], report["inserted"], report["lake"]), (True, 0, []))
                self.check_tables(driver, site, single)


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class OlderTest(Story, unittest.TestCase):
    def test_spark_3_5_gives_the_same(self):
        with small_world() as site, Driver(site.folder, "spark35") as driver:
            self.tell(driver, site)


def stopped(folder):
    """Processes that stand still somewhere below a folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if state == "T" and pathlib.Path(os.readlink(path / "cwd")).is_relative_to(folder):
                found.append(int(path.name))
        except OSError:
            continue  # it has ended
    return found


def let_go(pid):
    """Lets a process go on, to its end."""
    handle = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGCONT)
        if not select.select([handle], [], [], 60)[0]:
            raise AssertionError(f"process {pid} does not end")
    finally:
        os.close(handle)


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class ClusterTest(Story, unittest.TestCase):
    def test_a_master_and_two_workers_give_the_same(self):
        with small_world() as site:
            cluster = self.enterContext(Cluster(packages("spark"), site.folder, workers=2))
            with Driver(site.folder, master=cluster.url, conf={**cluster.conf, "spark.executor.memory": "512m"}) as driver:
                self.tell(driver, site)

    def copies(self, driver, before):
        """Tasks that ended well as Spark's second copy, while their first attempt had not."""
        return [task for task, ends in driver.ended_tasks().items() if task not in before and
                (1, True, "Success") in ends and (0, False, "Success") not in ends]


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class SpeculationTest(Story, unittest.TestCase):
    def twice(self, site, cluster, single, mode, conf=None, trouble=None):
        """A run of which one task stands still, until Spark's copy of it has brought the run to its end. Then the first goes on to its own end.
        Returns how often the API was asked after that."""
        conf = {**cluster.conf, "spark.executor.memory": "512m", "spark.speculation": "true", "spark.speculation.interval": "50ms",
                "spark.speculation.quantile": "0.5",
                # Spark would kill who stands still once the copy is done. Here he lives on, which is worse.
                "spark.python.task.killTimeout": "600s", **(conf or {})}
        with Driver(site.folder, master=cluster.url, conf=conf) as driver:
            before = driver.ended_tasks()
            driver.step(site, mode=mode, options=WINDOW, trouble=trouble or {})
            copies = [ends for task, ends in driver.ended_tasks().items() if task not in before and
                      (1, True, "Success") in ends and (0, False, "Success") not in ends]
            self.assertGreaterEqual(len(copies), 1)
            late = stopped(site.folder)
            self.assertEqual(len(late), 1)
            files, asked = landed(site), len(site.log())
            self.assertEqual(files, landed(single))
            let_go(*late)
            self.assertEqual(landed(site), files)
            asked = len(site.log()) - asked
            self.check_equal(driver, site, single)
        return asked

    def test_a_task_that_spark_runs_twice_doubles_nothing(self):
        with small_world(job={"config": {"per_page": 5}}) as site:
            single = site.copy("single")
            listed = site.folder / "points"
            single.run("historic", "--to", LAST, env={"PAWL_TEST_KILL_LIST": str(listed)})
            page = next(name for name in listed.read_text().splitlines() if name.startswith("page was put, calls") and name.endswith(" page 0"))
            cluster = self.enterContext(Cluster(packages("spark"), site.folder, workers=2))
            # Behind the first of its pages: the copy takes that over, and the late one asks for the others again.
            self.assertGreater(self.twice(site, cluster, single, "historic", {"spark.executorEnv.PAWL_TEST_KILL_AT": f"stop:{page}"}), 0)
            # Behind the first of the rows that are merged.
            single.run("rehydration", "--from", "2026-03-01", "--to", LAST)
            self.twice(site, cluster, single, "rehydration", trouble={"shape": "stop"})


if __name__ == "__main__":
    unittest.main()
