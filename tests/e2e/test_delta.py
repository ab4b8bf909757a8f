"""The lake beside the warehouse: Delta tables that others read, equal row for row in all three modes, whoever is killed.

Readers and writers nobody here wrote: DuckDB's delta extension and delta-rs (PAWL_CDK_PYTHON has both), Spark with Delta Lake
(PAWL_SPARK_PYTHON).
"""
import json, os, pathlib, shutil, signal, subprocess, threading, unittest, urllib.parse
from azure import KEY, Azurite, Faulty, needs_azurite
from world import ROOT, World

PYTHON = os.environ.get("PAWL_CDK_PYTHON", str(ROOT / "build/venv/bin/python"))
SPARK = os.environ.get("PAWL_SPARK_PYTHON", "")
HERE = pathlib.Path(__file__).parent
LAKE = {"lake": {"format": "delta", "path": "./delta"}}
# Kill points of the lake that are taken in each mode; 0 = all (PAWL_KILLS=0, as ./dev kill has it).
KILLS = min(int(os.environ.get("PAWL_KILLS", "70")), 12)
HISTORIC = ("--from", "2026-03-04", "--to", "2026-03-09")


def question(site, reader="duckdb", table="calls"):
    return [str(reader), str(site.folder / "delta/ctm" / table), str(site.folder / "ctm.duckdb"), f"ctm.{table}"]


def ask(questions):
    done = subprocess.run([PYTHON, HERE / "read_delta.py"], input=json.dumps(questions), capture_output=True, text=True,
                          timeout=300)
    if done.returncode != 0:
        raise AssertionError(done.stderr[-2000:])
    return json.loads(done.stdout)


def differences(seen):
    return (seen["only_warehouse"], seen["only_lake"], seen["lake"] - seen["keys"], seen["loads_twice"])


def copy_site(site, name):
    target = site.copy(name)
    if (site.folder / "delta").exists():
        subprocess.run(["cp", "-r", site.folder / "delta", target.folder / "delta"], check=True)
    return target


def make_trouble(world):
    """Something for a rehydration to find: rows that are gone in both accounts, and some that changed."""
    for account in (1001, 1002):
        world.control("mutate", {"account": account, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 5,
                                 "limit": 4, "do": "delete"})
    world.control("mutate", {"account": 1001, "start_date": "2026-03-07", "end_date": "2026-03-07", "every": 3,
                             "do": "edit", "set": {"notes": "late"}})


class LakeCase:
    def setUp(self):
        if not pathlib.Path(PYTHON).exists():
            self.skipTest("no Python with deltalake at PAWL_CDK_PYTHON")

    def same(self, questions):
        answers = ask(questions)
        for asked, seen in zip(questions, answers):
            self.assertEqual(differences(seen), (0, 0, 0, 0), f"{asked}: {seen}")
            self.assertGreater(seen["lake"], 0)
        return answers


class Lake(LakeCase, unittest.TestCase):
    def test_three_modes_give_the_warehouse_s_rows(self):
        with World(calls=600, job=LAKE) as world:
            moments = []
            world.run("historic", "--to", "2026-03-09")
            moments.append(copy_site(world, "historic"))
            world.advance("2026-03-12T18:00:00Z")
            world.run("incremental")
            moments.append(copy_site(world, "incremental"))
            make_trouble(world)
            done = world.report(world.run("rehydration"))
            self.assertEqual(done["deleted"], 8)
            self.assertGreater(done["updated"], 0)
            moments.append(world)
            self.same([question(site, reader, table) for site in moments for reader in ("duckdb", "deltalake")
                       for table in ("calls", "accounts")])
            # The temporary folder went with the run.
            self.assertEqual([path.name for path in pathlib.Path(os.environ.get("TMPDIR", "/tmp")).glob(
                f"pawl-lake-{done['run']}*")], [])

    def test_a_lake_that_comes_later_is_filled_by_a_replay(self):
        with World(calls=200) as world:
            world.run("historic")
            world.write_job(["accounts", "calls"], LAKE)
            world.pawl("replay", str(world.job))
            # Rows of the warehouse name the run that wrote them first: those of the lake, the replay.
            for seen in ask([question(world, table=table) for table in ("calls", "accounts")]):
                self.assertEqual((seen["lake"], seen["keys"]), (seen["warehouse"], seen["warehouse"]))

    def test_a_forgotten_person_leaves_the_lake(self):
        with World(calls=200, job=LAKE) as world:
            world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400,
                                     "set": {"name": "Canary Jones", "caller_number": "+15005550199"}})
            world.run("historic", *HISTORIC)
            before = ask([question(world)])[0]["lake"]
            held = set((world.folder / "delta/ctm/calls").glob("*.parquet"))
            self.assertEqual(len(held), 1)
            done = world.pawl("forget", str(world.job), "--phone", "+15005550199", "--json")
            receipt = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual(receipt["lake_rows"], 1)
            self.assertIn("lake.retention", [wait["what"] for wait in receipt["waits"] if wait["where"] == "lake"][0])
            self.assertEqual(self.same([question(world)])[0]["lake"], before - 1)
            # When the retention is over, the next run removes the files of older versions.
            world.advance("2027-12-01T00:00:00Z")
            world.run("historic", "--from", "2026-03-05", "--to", "2026-03-05")
            self.same([question(world)])
            self.assertEqual([path for path in held if path.exists()], [])

    def test_a_redacted_call_has_a_receipt_that_tells_of_older_versions(self):
        with World(calls=100, accounts=1, job=LAKE) as world:
            call = world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400,
                                            "set": {"notes": "canary"}})["ids"][0]
            world.run("historic", *HISTORIC)
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"redacted": True, "notes": None}})
            world.run("rehydration", *HISTORIC)
            self.same([question(world)])
            receipt = world.redaction_receipt()
            self.assertEqual(receipt["lake_rows"], 1)
            self.assertIn("lake.retention", [wait["what"] for wait in receipt["waits"] if wait["where"] == "lake"][0])

    def test_two_writers_lose_nothing(self):
        commits = 15
        with World(calls=400, job={**LAKE, "limits": {"load_rows": 20}}) as world:
            world.run("historic", "--from", "2026-03-01", "--to", "2026-03-01")
            other = subprocess.Popen([PYTHON, HERE / "append_delta.py", world.folder / "delta/ctm/calls", str(commits)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(other.stdout.readline(), "ready\n")
            other.stdin.write("go\n")
            other.stdin.flush()
            done = world.report(world.run("historic", "--from", "2026-03-02"))
            said, complaint = other.communicate(timeout=120)
            self.assertEqual(said.strip(), str(commits), complaint[-2000:])
            self.assertGreater(done["loads"], 10)
            seen = ask([question(world)])[0]
            self.assertEqual((seen["only_warehouse"], seen["only_lake"]), (0, commits), seen)
            self.assertEqual(seen["keys"], seen["lake"])

    def test_a_checkpoint_comes_every_ten_commits_and_readers_need_nothing_before_it(self):
        with World(calls=1200, accounts=3, job={**LAKE, "limits": {"load_rows": 20}}) as world:
            done = world.report(world.run("historic"))
            log = world.folder / "delta/ctm/calls/_delta_log"
            versions = sorted(int(path.name.split(".")[0]) for path in log.glob("*.json"))
            self.assertEqual(versions, list(range(len(versions))))
            self.assertGreater(len(versions), 25)
            self.assertGreaterEqual(done["loads"] + 1, len(versions))
            checkpoints = sorted(int(path.name.split(".")[0]) for path in log.glob("*.checkpoint.parquet"))
            self.assertEqual(checkpoints, list(range(10, len(versions), 10)))
            last = json.loads((log / "_last_checkpoint").read_text())
            self.assertEqual(last["version"], checkpoints[-1])
            before = self.same([question(world, reader) for reader in ("duckdb", "deltalake")])
            for version in range(last["version"] + 1):
                (log / f"{version:020}.json").unlink()
            for older in checkpoints[:-1]:
                (log / f"{older:020}.checkpoint.parquet").unlink()
            after = self.same([question(world, reader) for reader in ("duckdb", "deltalake")])
            self.assertEqual([seen["lake"] for seen in after], [seen["lake"] for seen in before])
            # Nor does pawl.
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 2, "do": "edit",
                                     "set": {"notes": "late"}})
            self.assertGreater(world.report(world.run("rehydration", *HISTORIC))["updated"], 0)
            self.same([question(world, reader) for reader in ("duckdb", "deltalake")])

    def test_a_table_with_a_feature_that_pawl_does_not_know_is_refused_before_anything_is_read(self):
        with World(calls=100, job=LAKE) as world:
            world.run("historic", "--to", "2026-03-02")
            log = world.folder / "delta/ctm/calls/_delta_log"
            (log / f"{1:020}.json").write_text(json.dumps({"protocol": {
                "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"]}}) + "\n")
            asked = len(world.log())
            done = world.run("historic", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("deletionVectors", done.stderr)
            self.assertEqual(len(world.log()), asked)
            checked = world.pawl("check", str(world.job), "--offline", check=False)
            self.assertIn("deletionVectors", checked.stdout + checked.stderr)


class LakeKill(LakeCase, unittest.TestCase):
    def sweep(self, world, mode, words, sites):
        calm = copy_site(world, f"calm-{mode}")
        names = calm.folder / "points"
        calm.run(mode, *words, env={"PAWL_TEST_KILL_LIST": str(names)})
        points = [point for point in dict.fromkeys(names.read_text().splitlines())
                  if point.startswith(("lake", "commit"))]
        self.assertGreater(len(points), 8, points)
        if KILLS:
            points = [points[i * len(points) // min(KILLS, len(points))] for i in range(min(KILLS, len(points)))]
        sites.append(calm)
        for number, point in enumerate(points):
            site = copy_site(world, f"kill-{mode}-{number}")
            killed = site.run(mode, *words, env={"PAWL_TEST_KILL_AT": point}, check=False)
            self.assertIn(killed.returncode, (0, -signal.SIGKILL), f"{point}: {killed.stderr[-500:]}")
            site.run(mode, *words)
            sites.append(site)

    def test_every_mode_survives_kills(self):
        with World(calls=200, job=LAKE) as world:
            sites = []
            self.sweep(world, "historic", HISTORIC, sites)
            world.run("historic", *HISTORIC)
            world.advance("2026-03-12T18:00:00Z")
            self.sweep(world, "incremental", (), sites)
            world.run("incremental")
            make_trouble(world)
            self.sweep(world, "rehydration", HISTORIC, sites)
            print(f"{len(sites)} moments of a lake", flush=True)
            self.same([question(site) for site in sites])


@needs_azurite
class LakePromote(LakeCase, unittest.TestCase):
    """contract promote on a job with a lake: the lake gets the rows that the warehouse gets."""

    PATHS = (("/cnam", "cnam", "string"), ("/extra/a b/c", "deep", "int64"), ("/extra/list/0", "listed", "string"),
             ("/extra/list", "whole", "json"), ("/nowhere", "nowhere", "string"))

    def with_contracts(self, world):
        contracts = world.folder / "contracts"
        shutil.copytree(ROOT / "connectors/ctm/contracts", contracts)
        job = json.loads(world.job.read_text())
        for name, stream in job["streams"].items():
            stream["contract"] = str(contracts / f"{name}.json")
        world.job.write_text(json.dumps(job))
        return contracts / "calls.json"

    def insert(self, world, unix, extra):
        world.control("mutate", {"account": 1001, "do": "insert", "unix_time": unix, "set": {"extra": extra}})

    def promote(self, site, contract, path, column, type_, **options):
        return site.pawl("contract", "promote", str(contract), path, "--name", column, "--type", type_, "--job", str(site.job),
                         "--json", **options)

    def test_each_path_gives_the_rows_that_the_warehouse_has(self):
        with World(calls=200, job=LAKE) as world:
            contract = self.with_contracts(world)
            for extra in ({"a b": {"c": 7, "d": "it's"}}, {"a b": {"c": "x"}}, {"a b": [{"c": 1}]}, {"list": ["u", {"v": None}]},
                          {"list": {"0": "w"}}, "a b"):
                self.insert(world, 1772726400, extra)
            world.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            self.insert(world, 1773230400, {"a b": {"c": "8"}})
            world.run("incremental")
            before = ask([question(world)])[0]
            filled = []
            for path, column, type_ in self.PATHS:
                told = json.loads(self.promote(world, contract, path, column, type_).stdout)
                self.assertEqual(told["lake_rows"], told["rows"], path)
                filled.append(told["rows"])
                self.same([question(world, reader) for reader in ("duckdb", "deltalake")])
            self.assertEqual(filled[1:], [2, 1, 2, 0])  # the object around /extra/list/0 was left empty
            self.assertGreater(filled[0], 20)
            after = ask([question(world)])[0]
            self.assertEqual(after["lake"], before["lake"])
            # One commit a path; only the files that hold it were written anew.
            self.assertEqual(after["version"], before["version"] + len(self.PATHS))
            log = world.folder / "delta/ctm/calls/_delta_log"
            adds = [sum('"add"' in line for line in (log / f"{version:020}.json").read_text().splitlines())
                    for version in range(before["version"] + 1, after["version"] + 1)]
            self.assertEqual(adds[1:], [2, 1, 1, 0])
            # What comes later is read by the new contract, and promoting changed no hash.
            world.advance("2026-03-13T18:00:00Z")
            self.insert(world, 1773316800, {"a b": {"c": 9}})
            self.assertEqual(world.report(world.run("incremental"))["updated"], 0)
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls WHERE deep = 9"), "1")
            self.same([question(world, reader) for reader in ("duckdb", "deltalake")])

    def test_a_kill_anywhere_is_mended_by_the_same_command(self):
        with World(calls=100, accounts=1, job=LAKE) as world:
            contract = self.with_contracts(world)
            world.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            world.run("incremental")
            as_it_was = contract.read_text()
            calm = copy_site(world, "calm")
            points = calm.folder / "points"
            told = json.loads(self.promote(calm, contract, "/cnam", "cnam", "string",
                                           env={"PAWL_TEST_KILL_LIST": str(points)}).stdout)
            self.assertGreater(told["lake_rows"], 10)
            sites = [calm]
            for number, point in enumerate(dict.fromkeys(points.read_text().splitlines())):
                if not point.startswith("lake") and number % 4:
                    continue
                contract.write_text(as_it_was)
                site = copy_site(world, f"promote-{number}")
                killed = self.promote(site, contract, "/cnam", "cnam", "string", env={"PAWL_TEST_KILL_AT": point}, check=False)
                self.assertEqual(killed.returncode, -signal.SIGKILL, point)
                self.assertEqual(contract.read_text(), as_it_was, point)
                again = json.loads(self.promote(site, contract, "/cnam", "cnam", "string").stdout)
                self.assertIn(again["lake_rows"], (0, told["lake_rows"]))
                sites.append(site)
            self.assertGreater(len(sites), 6)
            self.same([question(site, reader) for site in sites for reader in ("duckdb", "deltalake")])


class LakeAzure(LakeCase, unittest.TestCase):
    def test_a_container_gets_the_same_tables(self):
        os.environ["TEST_ACCOUNT_KEY"] = KEY
        with Azurite() as azurite, World(calls=200) as world:
            place = azurite.landing(azurite.make_container("delta"))
            world.write_job(["accounts", "calls"], {"lake": {"format": "delta", **place}})
            world.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            world.run("incremental")
            make_trouble(world)
            self.assertGreater(world.report(world.run("rehydration"))["deleted"], 0)
            for name in azurite.names("delta", "lake/ctm/"):
                copy = world.folder / "delta" / name.removeprefix("lake/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(azurite.read("delta", name))
            self.same([question(world, table=table) for table in ("calls", "accounts")])


    def test_large_files_go_up_in_blocks_side_by_side_also_where_answers_get_lost(self):
        """No answer to one of the first four blocks comes before all of them are there: sent one by one, they never would."""
        os.environ["TEST_ACCOUNT_KEY"] = KEY
        lost, alone = [], []

        class Waiting(Faulty):
            come, blocks, lists = threading.Condition(), 0, 0

            def answer(self, handler, body):
                comp = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query)).get("comp")
                with self.come:
                    self.blocks, self.lists = self.blocks + (comp == "block"), self.lists + (comp == "blocklist")
                    self.come.notify_all()
                    if comp == "block" and self.blocks <= 4 and not self.come.wait_for(lambda: self.blocks >= 4, timeout=20):
                        alone.append(handler.path)
                return super().answer(handler, body)

        def plan(number, method, path):
            if method == "PUT" and "comp=block" in path and number % 3 == 0:
                lost.append(path)
                return "lost"
            return None

        with Azurite() as azurite, World(calls=1500, accounts=1, first="2026-03-04", last="2026-03-06") as world, \
                Waiting(azurite, plan) as faulty:
            place = azurite.landing(azurite.make_container("blocks"), endpoint=faulty.endpoint, block_bytes="64KiB")
            world.write_job(["calls"], {"lake": {"format": "delta", **place}})
            world.run("historic")
            self.assertEqual(alone, [])
            self.assertGreaterEqual(faulty.blocks, 4)
            self.assertGreater(faulty.lists, 0)
            self.assertTrue(any("comp=blocklist" in path for path in lost) and any("comp=block&" in path for path in lost), lost)
            for name in azurite.names("blocks", "lake/ctm/"):
                copy = world.folder / "delta" / name.removeprefix("lake/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(azurite.read("blocks", name))
            self.same([question(world, reader) for reader in ("duckdb", "deltalake")])


class LakeSpark(LakeCase, unittest.TestCase):
    def test_checkpoints_and_another_engine(self):
        with World(calls=200, job=LAKE) as world:
            world.run("historic", "--to", "2026-03-09")
            for day in range(12, 24):
                world.advance(f"2026-03-{day}T18:00:00Z")
                world.run("incremental")
            table = world.folder / "delta/ctm/calls"
            log = sorted(path.name for path in (table / "_delta_log").iterdir())
            self.assertIn("_last_checkpoint", log)
            self.assertTrue(any(name.endswith(".checkpoint.parquet") for name in log), log)
            seen = self.same([question(world, reader) for reader in ("duckdb", "deltalake")])[0]
            self.assertLess(seen["files"], 8, "small files were not put together")
            if not pathlib.Path(SPARK).exists() or not SPARK:
                self.skipTest("no Python with Spark at PAWL_SPARK_PYTHON")
            self.spark(world, table)

    def spark(self, world, table):
        out = world.folder / "spark"
        out.mkdir()
        done = subprocess.run([SPARK, HERE / "spark_delta.py", table, out], capture_output=True, text=True, timeout=600,
                              env={**os.environ, "PYSPARK_PYTHON": SPARK, "SPARK_LOCAL_IP": "127.0.0.1",
                                   "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        said = json.loads(done.stdout.splitlines()[-1])
        self.assertGreater(said["kept"], 0)
        self.assertEqual([version for version, *_ in said["history"]], list(range(len(said["history"]))))
        # What it read, before it wrote anything: our rows.
        before = ask([question(world, out / "before")])[0]
        self.assertEqual((before["only_warehouse"], before["only_lake"]), (0, 0), before)
        # Its three rows and its change stay while we write the files anew in which they lie.
        world.control("mutate", {"account": 1001, "start_date": "2026-03-02", "end_date": "2026-03-08", "every": 2,
                                 "do": "edit", "set": {"city": "Springfield"}})
        done = world.report(world.run("historic", "--from", "2026-03-02", "--to", "2026-03-09"))
        self.assertGreater(done["updated"], 0)
        for reader, seen in zip(("duckdb", "deltalake"), ask([question(world, r) for r in ("duckdb", "deltalake")])):
            self.assertEqual(seen["lake"], seen["warehouse"] + 3, reader)
            self.assertLessEqual(seen["only_warehouse"], 1, reader)
            self.assertLessEqual(seen["only_lake"], 4, reader)


if __name__ == "__main__":
    unittest.main()
