"""Runs that find nothing new, on Snowflake's fixture: the warehouse sleeps on, and nothing is lost by it."""
import json, re, shutil, signal, subprocess, unittest

from snow import SnowSite, SnowTestCase, table
from world import World, select_wait

# Statements that Snowflake's cloud services answer alone, one in a request; a table that is made of a SELECT needs a warehouse when it is made.
LIGHT = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?(TRANSIENT\s+)?(TABLE|VIEW)|ALTER|DROP|SHOW|EXPLAIN", re.IGNORECASE)


class Sleeper:
    """What the tests below ask of a site."""

    def site(self, world, name, **options):
        """A site whose last incremental run was a while ago. The simulator has no call between 17:10 and 19:20 of that day."""
        snow = SnowSite(world.folder / name.lower(), world, self.fixture, name)
        if options:
            snow.change(**options)
        world.advance("2026-03-13T18:00:00Z")
        snow.run("historic", "--to", "2026-03-09")
        snow.run("incremental")
        world.advance("2026-03-13T18:20:00Z")
        return snow

    def run_and_count(self, snow, mode="incremental", *words):
        """The run's report and how many of its statements needed a warehouse."""
        before = len(self.fixture.log())
        report = snow.report(snow.run(mode, *words))
        return report, [e["sql"] for e in self.fixture.log()[before:] if e["several"] or not LIGHT.match(e["sql"])]

    def rests(self, snow, mode="incremental", *words):
        report, heavy = self.run_and_count(snow, mode, *words)
        self.assertEqual((heavy, report["loads"], report["inserted"], report["updated"]), ([], 0, 0, 0))
        self.assertEqual(report["unchanged"] > 0, report["slices"] > 0)
        return report

    def wakes(self, snow, mode="incremental", *words, **counts):
        report, heavy = self.run_and_count(snow, mode, *words)
        self.assertGreater(len(heavy), 0)
        self.assertGreater(report["loads"], 0)
        self.assertEqual({name: report[name] for name in counts}, counts)

    def edit(self, world, notes):
        world.control("mutate", {"account": 1001, "start_date": "2026-03-11", "end_date": "2026-03-11", "every": 3, "limit": 1,
                                 "do": "edit", "set": {"notes": notes}})

    def hold_a_load(self, snow, mode, *words):
        """A run is killed while Snowflake works on its load."""
        self.fixture.faults({"at": "before", "match": "COMMIT", "do": "hold"})
        snow.runs += 1
        command, env = snow.command("run", str(snow.job), "--mode", mode, *words)
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.fixture.control("held") == 0 and process.poll() is None:
            select_wait()
        process.kill()
        process.wait()

    def marks(self, snow):
        return snow.sql("SELECT partition_key, watermark FROM PAWL.PAWL_WATERMARK WHERE stream = 'calls' ORDER BY 1")


class Rest(Sleeper, SnowTestCase):
    def test_no_statement_needs_a_warehouse_and_the_next_run_reads_it_all(self):
        with World(calls=60) as world:
            snow = self.site(world, "REST")
            marks = self.marks(snow)
            first = self.rests(snow)
            world.advance("2026-03-13T18:40:00Z")
            shutil.rmtree(snow.folder / ".pawl", ignore_errors=True)  # another machine knows as much
            self.assertEqual(self.rests(snow)["unchanged"], first["unchanged"])
            self.assertEqual(self.marks(snow), marks)
            # A change is written as always, and what waited of the log goes along.
            self.edit(world, "changed")
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM PAWL.ETL_LOG WHERE stage = 'run'"), [["2"]])
            self.wakes(snow, updated=1)
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM PAWL.ETL_LOG WHERE stage = 'run'"), [["5"]])
            self.assertGreater(self.marks(snow), marks)
            self.rests(snow)
            # A call more.
            world.control("mutate", {"account": 1002, "do": "insert", "unix_time": 1773418000, "set": {"notes": "new"}})
            self.wakes(snow, inserted=1)
            # Not for ever: watermarks go on after a while.
            marks = self.marks(snow)
            world.advance("2026-03-13T19:10:00Z")
            self.rests(snow)
            snow.change(rest="PT20M")
            self.wakes(snow, updated=0)
            self.assertGreater(self.marks(snow), marks)
            self.rests(snow)
            # A replay leaves out who rested: there was nothing to load, and no note of it is missing.
            ends = [json.loads(path.read_text())["body"] for path in (snow.folder / "lake").glob("ctm/runs/*/end.json")]
            loaded = [end for end in ends if sum(stream["loads"] for stream in end["streams"]) > 0]
            self.assertEqual(len(ends) - len(loaded), 5)
            report = json.loads(snow.pawl("replay", str(snow.job), "--json").stdout)
            self.assertEqual((report["runs"], report["slices_without_note"]), (len(loaded), 0))

    def test_whoever_changes_anything_is_noticed(self):
        with World(calls=60) as world:
            snow = self.site(world, "NOTICED")
            self.rests(snow)
            changes = {
                "rows that went": "DELETE FROM CTM.CALLS WHERE id = (SELECT MAX(id) FROM CTM.CALLS)",
                "another job's load": "INSERT INTO PAWL.PAWL_LOAD (run_id, job, load_id) VALUES ('x', 'other', 'x/y/0')",
                "a watermark set by hand": "INSERT INTO PAWL.PAWL_STATE (kind, job, mode, epoch) VALUES ('epoch', 'ctm', 'historic', 1)",
                "a table made anew": "CREATE OR REPLACE TABLE CTM.CALLS__QUARANTINE AS SELECT * FROM CTM.CALLS__QUARANTINE",
            }
            for name, statement in changes.items():
                with self.subTest(name):
                    snow.sql(statement)
                    if name == "a table made anew":  # of those that are looked at
                        snow.sql("CREATE OR REPLACE TABLE CTM.CALLS AS SELECT * FROM CTM.CALLS")
                    self.wakes(snow, inserted=1 if name == "rows that went" else 0)
                    self.rests(snow)
            for file in (snow.folder / "lake").glob("*/memo/*.json"):
                file.write_bytes(file.read_bytes()[:-9])
            self.wakes(snow, updated=0)
            snow.change(rest="PT0S")
            self.wakes(snow, updated=0)
            self.wakes(snow, updated=0)

    def test_content_that_goes_there_and_back_by_another_mode(self):
        with World(calls=60) as world:
            snow = self.site(world, "BACK")
            self.edit(world, "A")
            self.wakes(snow, updated=1)
            self.rests(snow)
            self.edit(world, "B")
            self.assertEqual(self.run_and_count(snow, "rehydration", "--from", "2026-03-11", "--to", "2026-03-11")[0]["updated"], 1)
            self.edit(world, "A")
            self.wakes(snow, updated=1)
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM CTM.CALLS WHERE notes = 'A'"), [["1"]])

    def test_a_load_that_ends_after_a_run_that_rested(self):
        """A rehydration is killed while Snowflake works on its load, an older reading; a run finds nothing new; then the load ends."""
        with World(calls=60) as world:
            snow = self.site(world, "LATE")
            self.edit(world, "A")
            self.wakes(snow, updated=1)
            self.edit(world, "B")
            self.hold_a_load(snow, "rehydration", "--from", "2026-03-11", "--to", "2026-03-11", "--stream", "calls")
            self.edit(world, "A")
            self.rests(snow)
            self.assertEqual(self.fixture.control("release", {}), [None])
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM CTM.CALLS WHERE notes = 'B'"), [["1"]])
            # What it read is as if it had never been read: the next run reads it again.
            self.wakes(snow, updated=1)
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM CTM.CALLS WHERE notes = 'A'"), [["1"]])

    def test_killed_anywhere(self):
        with World(calls=40, accounts=1) as world:
            base = self.site(world, "KILLED")
            calm = base.copy("rest-calm")
            calm.run("incremental", env={"PAWL_TEST_KILL_LIST": str(calm.folder / "points")})
            wanted = table(calm, "calls")
            points = list(dict.fromkeys((calm.folder / "points").read_text().splitlines()))
            self.edit(world, "later")
            woken = base.copy("rest-woken")
            woken.run("incremental", env={"PAWL_TEST_KILL_LIST": str(woken.folder / "points")})
            edited = table(woken, "calls")
            later = [p for p in dict.fromkeys((woken.folder / "points").read_text().splitlines()) if re.match("memo|commit", p)]
            self.assertIn("memo put", later)
            for number, point in enumerate(points[::max(1, len(points) // 2)][1:] + later[-3:]):
                with self.subTest(point):
                    site = base.copy(f"rest-{number}")
                    done = site.run("incremental", env={"PAWL_TEST_KILL_AT": point}, check=False)
                    if done.returncode != -signal.SIGKILL:
                        self.assertIn(point, points)  # of a run that rests only
                    site.run("incremental")
                    self.assertEqual(table(site, "calls"), edited)
                    self.assertEqual(site.sql("SELECT COUNT(*) - COUNT(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])
                    # A run that went on has not seen all that it left: the next one may have to look.
                    site.run("incremental")
                    self.rests(site)
            self.assertNotEqual(wanted, edited)


class RestOfOtherModes(Sleeper, SnowTestCase):
    def test_the_other_modes_need_no_warehouse_either(self):
        with World(calls=60) as world:
            snow = self.site(world, "MODES")
            march = ("--from", "2026-03-09", "--to", "2026-03-11")
            for mode, words in (("historic", ("--to", "2026-03-09")), ("historic", march), ("rehydration", march), ("rehydration", ())):
                with self.subTest(mode, words=words):
                    self.run_and_count(snow, mode, *words)
                    self.assertGreater(self.rests(snow, mode, *words)["unchanged"], 0)
            # No window is due any more.
            self.run_and_count(snow, "rehydration", "--stream", "calls")
            self.assertEqual(self.rests(snow, "rehydration", "--stream", "calls")["slices"], 0)
            # Other windows than those that were read then are loaded, though nothing in them has changed.
            self.wakes(snow, "historic", "--from", "2026-03-10", "--to", "2026-03-12", updated=0)
            self.wakes(snow, "historic", *march, updated=0)
            self.rests(snow, "historic", *march)
            self.edit(world, "changed")
            self.wakes(snow, "historic", *march, updated=1)
            self.rests(snow, "historic", *march)
            # What waited of the log goes along with who loads.
            waits = [row[0] for row in snow.sql("SELECT COUNT(*) FROM PAWL.ETL_LOG WHERE stage = 'run'")]
            self.wakes(snow, "historic", "--to", "2026-03-08", updated=0)
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM PAWL.ETL_LOG WHERE stage = 'run'"), [[str(int(waits[0]) + 2)]])

    def test_a_mode_that_is_not_alone_is_loaded(self):
        """Its windows are not read again soon: an older reading of them, loaded behind it, would stay."""
        march = ("--from", "2026-03-09", "--to", "2026-03-11")
        with World(calls=60) as world:
            snow = self.site(world, "ALONE")
            self.wakes(snow, "historic", *march)
            self.rests(snow, "historic", *march)
            # A run of another mode that was killed with pages in hand.
            done = snow.run("incremental", env={"PAWL_TEST_KILL_AT": "run noted, incremental"}, check=False)
            self.assertEqual(done.returncode, -signal.SIGKILL)
            self.wakes(snow, "historic", *march, updated=0)
            self.wakes(snow, "historic", *march, updated=0)
            self.run_and_count(snow)
            self.wakes(snow, "historic", *march, updated=0)
            self.rests(snow, "historic", *march)
            # Somebody at work on another machine.
            lease = snow.folder / "lake/ctm/leases/replay.json"
            record = json.loads(lease.read_text())
            lease.write_text(json.dumps({**record, "holder": "elsewhere/1/x", "machine": "", "until_us": 1 << 60}))
            self.wakes(snow, "historic", *march, updated=0)
            lease.write_text(json.dumps(record))
            self.rests(snow, "historic", *march)
            # Another job that has loaded the same table: what it has in hand nobody here can see.
            snow.sql("INSERT INTO PAWL.PAWL_LOAD (run_id, job, load_id, target) VALUES ('x', 'other', 'x/y/0', 'ctm.calls')")
            for _ in range(2):
                self.wakes(snow, "historic", *march, updated=0)

    def test_a_load_that_ends_behind_a_mode_that_would_rest(self):
        """A rehydration is killed as above, and released behind a historic run, which does not read those days again."""
        march = ("--from", "2026-03-11", "--to", "2026-03-11")
        with World(calls=60) as world:
            snow = self.site(world, "BEHIND")
            self.edit(world, "A")
            self.wakes(snow, "historic", *march, updated=1)
            self.rests(snow, "historic", *march)
            self.edit(world, "B")
            self.hold_a_load(snow, "rehydration", *march, "--stream", "calls")
            self.edit(world, "A")
            report, _ = self.run_and_count(snow, "historic", *march)
            self.assertEqual((report["loads"] > 0, report["updated"]), (True, 0))
            self.fixture.control("release", {})
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM CTM.CALLS WHERE notes = 'A'"), [["1"]])


if __name__ == "__main__":
    unittest.main()
