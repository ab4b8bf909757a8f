"""The Spark engine against the machine of its own: the same job, the same rows, whatever is killed in between.

`./dev test` runs one session of Spark 4.0 in this process's machine; PAWL_SPARK=all (./dev spark) also Spark 3.5 and a cluster of one master
and two workers. Executors have the real time and the driver the test's: so what executors read is always later than before.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import world  # noqa: E402

HERE = pathlib.Path(__file__).parent
PLAIN = world.BUILD.name in ("debug", "release")
ALL = os.environ.get("PAWL_SPARK") == "all"
LAST = "2026-03-03"
COMPARE = """
import duckdb, json, sys
folder, warehouse, table = sys.argv[1:]
c = duckdb.connect()
c.execute("SET TimeZone = 'UTC'")
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
    """A driver that takes steps until it is closed, or killed."""

    def __init__(self, site, kind, master="local[2,4]", conf=None, env=None):
        self.site, self.python = site, packages(kind)
        environment = site.command()[1] | {
            "PYTHONPATH": str(world.ROOT / "python"), "PAWL_LIBRARIES": str(world.BUILD), "PYSPARK_PYTHON": self.python,
            "PYSPARK_DRIVER_PYTHON": self.python, "SPARK_LOCAL_IP": "127.0.0.1", **(env or {})}
        environment.pop("SPARK_HOME", None)
        environment.pop("PAWL_TEST_NOW")  # executors would begin at that moment with every task
        self.log = open(site.folder / "spark.log", "ab")
        self.process = subprocess.Popen([self.python, HERE / "drive.py", master, site.job, f"{site.folder}/delta/",
                                         json.dumps(conf or {})], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env=environment, text=True, cwd=site.folder)

    def step(self, **step):
        self.site.runs += 1
        self.process.stdin.write(json.dumps({"now": self.site.now, **step}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line[7:])
        self.process.wait()
        return None

    def compare(self, table="ctm.calls"):
        folder = self.site.folder / "dump"
        self.step(dump=[table.replace(".", "/"), str(folder)])
        done = subprocess.run([packages("arrow"), "-c", COMPARE, folder, self.site.folder / "ctm.duckdb", table],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()
        if kind is not None:
            print((self.site.folder / "spark.log").read_text()[-3000:])


class Story:
    """What is asked of each kind of cluster."""

    def world(self):
        return world.World(calls=150, last=LAST, now=f"{LAST}T18:00:00Z", streams=["calls"])

    def check_equal(self, driver, site, single, gone=0):
        found = driver.compare()
        self.assertGreater(found["lake"], 100)
        self.assertEqual({**found, "warehouse": found["lake"]},
                         {"warehouse": found["lake"], "lake": found["warehouse"], "only_warehouse": 0, "only_lake": 0, "differ": "[]",
                          "gone": gone})
        self.assertEqual(site.digest(), single.digest())

    def tell(self, kind, master, conf=None):
        with self.world() as site:
            single = site.copy("single")
            window = {"from_": "2026-03-01", "to": LAST}
            with Driver(site, kind, master, conf) as driver:
                report = driver.step(mode="historic", options=window)
                single.run("historic", "--to", LAST)
                self.assertEqual((report["requests"], report["slices_failed"]), (0, 0))
                self.check_equal(driver, site, single)

                first, *_, last = [row[0] for row in site.rows("SELECT id FROM ctm.calls WHERE account_id = 1001 ORDER BY ALL")]
                site.control("mutate", {"account": 1001, "id": int(first), "do": "delete"})
                site.control("mutate", {"account": 1001, "id": int(last), "do": "edit", "set": {"notes": "late"}})
                driver.step(mode="rehydration", options=window)
                single.run("rehydration", "--from", "2026-03-01", "--to", LAST)
                self.check_equal(driver, site, single, gone=1)

                site.control("mutate", {"account": 1001, "id": int(first), "do": "restore"})
                # As a job of the bundle calls it (deploy/databricks), with a parameter that nobody has set.
                driver.step(words=["run", str(site.job), "--mode", "incremental", "--from", "2026-03-01", "--to", ""])
                single.run("incremental", "--from", "2026-03-01")
                self.check_equal(driver, site, single)
            stages = dict(site.rows("SELECT stage, count(*) FROM etl_log WHERE stage LIKE 'spark%' AND status = 'ok' GROUP BY 1"))
            self.assertEqual(stages, {"spark.plan": "3", "spark.land": "3", "spark.merge": "3", "spark.load": "3"})


@unittest.skipUnless(PLAIN, "a sanitized library cannot be loaded into a plain Python")
class SparkTest(Story, unittest.TestCase):
    def test_three_modes_give_what_one_machine_gives(self):
        self.tell("spark", "local[2,4]")


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class KillTest(Story, unittest.TestCase):
    def test_killed_anywhere_it_goes_on_and_nothing_is_doubled(self):
        with self.world() as site:
            single = site.copy("single")
            single.run("historic", "--to", LAST)
            window = {"from_": "2026-03-01", "to": LAST}
            listed = site.folder / "points"
            probe = site.copy("probe")
            probe.run("historic", "--to", LAST, env={"PAWL_TEST_KILL_LIST": str(listed)})
            page = [name for name in listed.read_text().splitlines() if name.startswith("page was put, calls")][3]
            for point in ("run noted, historic", "delta merge, calls 0", "delta merged, calls 0"):
                # Python workers die at the page, and their tasks are done again; the driver dies at the point.
                with Driver(site, "spark", conf={"spark.executorEnv.PAWL_TEST_KILL_AT": page},
                            env={"PAWL_TEST_KILL_AT": point}) as driver:
                    self.assertIsNone(driver.step(mode="historic", options=window), point)
                    self.assertEqual(driver.process.returncode, -signal.SIGKILL, point)
            with Driver(site, "spark") as driver:
                report = driver.step(mode="historic", options=window)
                self.assertTrue(report["resumed"])
                self.assertEqual(report["lake"], [])
                self.check_equal(driver, site, single)


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class OlderTest(Story, unittest.TestCase):
    def test_spark_3_5_gives_the_same(self):
        self.tell("spark35", "local[2,4]")


@unittest.skipUnless(PLAIN and ALL, "only with PAWL_SPARK=all (./dev spark)")
class ClusterTest(Story, unittest.TestCase):
    def start(self, name, *words):
        python = packages("spark")
        home = next(pathlib.Path(python).parents[1].glob("lib/python3*/site-packages/pyspark"))
        process = subprocess.Popen([home / "bin/spark-class", f"org.apache.spark.deploy.{name}", *words],
                                   env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def test_a_master_and_two_workers_give_the_same(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        master = f"spark://127.0.0.1:{port}"
        self.start("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        deadline = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            self.assertLess(time.monotonic(), deadline)
            world.select_wait()
        for _ in range(2):
            self.start("worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "1g", "--webui-port", "0", master)
        self.tell("spark", master, {"spark.executor.memory": "512m", "spark.executor.cores": "1"})


if __name__ == "__main__":
    unittest.main()
