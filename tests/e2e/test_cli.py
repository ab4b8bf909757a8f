"""Every command as a user meets it: what it prints, how it ends, that --json is JSON."""
import json, os, pathlib, shutil, stat, unittest
from world import World


class Views(unittest.TestCase):
    def test_reports_stand_after_a_run_and_leave_deleted_rows_out(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            kept = "SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NULL AND direction IN ('inbound', 'outbound')"
            self.assertEqual(world.value("SELECT sum(calls) FROM ctm.call_volume_daily"), world.value(kept))
            # A day belongs to the account: midnight in Los Angeles is not midnight in UTC.
            days = world.value("SELECT count(DISTINCT day) FROM ctm.call_volume_daily")
            self.assertEqual(days, "9")
            self.assertGreater(int(world.value("SELECT count(*) FROM ctm.agent_performance")), 0)
            self.assertGreater(int(world.value("SELECT count(*) FROM ctm.campaign_attribution")), 0)

    def test_a_view_whose_tables_are_not_loaded_is_left_out(self):
        with World(streams=["accounts"]) as world:
            world.run("historic", "--to", "2026-03-02")
            found = world.value("SELECT count(*) FROM duckdb_views() WHERE view_name = 'call_volume_daily'")
            self.assertEqual(found, "0")


class Log(unittest.TestCase):
    def test_rows_that_waited_in_the_landing_store_come_with_the_next_run(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-02")
            waiting = world.folder / "lake/ctm/etl_log"
            waiting.mkdir(parents=True)
            row = {"run": "0190", "job": "ctm", "mode": "historic", "stage": "read", "status": "failed",
                   "error": "{\"code\":\"IO\"}", "rows_in": 7, "slice": 3, "started_us": 1773252000000000}
            (waiting / "1-0190.json").write_text(json.dumps({"version": 1, "rows": [row]}))
            world.run("incremental")
            self.assertEqual(world.rows("SELECT stage, status, rows_in, slice_ordinal, bytes FROM etl_log "
                                        "WHERE run_id = '0190'"), [["read", "failed", "7", "3", None]])
            self.assertEqual(list(waiting.iterdir()), [])

    def test_pages_older_than_the_retention_go_and_that_is_on_record(self):
        with World(job={"landing": {"retention": "P1D"}}) as world:
            world.run("historic", "--to", "2026-03-05")
            lake = world.folder / "lake/ctm/runs"
            first = {path.name for path in lake.iterdir()}
            # What the store goes by is when files were written, and the world's clock is not the disk's.
            for path in lake.rglob("*"):
                os.utime(path, (1773252000, 1773252000))
            world.advance("2026-03-14T18:00:00Z")
            world.run("incremental")
            pages = [path for path in lake.rglob("*.json.*") if path.relative_to(lake).parts[0] in first]
            self.assertEqual([path for path in pages if path.suffix in (".zst", ".gz")], [])
            self.assertEqual(world.value("SELECT count(*) FROM etl_log WHERE stage = 'expire' AND status = 'ok'"), "1")


class Status(unittest.TestCase):
    def test_before_any_run_it_says_so_and_makes_nothing(self):
        with World() as world:
            done = world.pawl("status", str(world.job))
            self.assertIn("no run has come so far", done.stdout)
            self.assertIn("next: pawl run", done.stdout)
            self.assertFalse((world.folder / "ctm.duckdb").exists())

    def test_it_tells_freshness_runs_and_marks(self):
        with World() as world:
            world.run("historic")
            world.advance("2026-03-11T18:10:00Z")
            world.run("incremental")
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual(status["warehouse"], "ok")
            calls = next(stream for stream in status["streams"] if stream["stream"] == "calls")
            self.assertEqual([mark["partition"] for mark in calls["watermarks"]], ["1001", "1002"])
            self.assertLess(calls["lag_seconds"], 60)
            self.assertEqual([run["mode"] for run in status["runs"]], ["incremental", "historic"])
            self.assertEqual((status["runs_90d"], status["runs_ok_90d"]), (2, 2))
            self.assertEqual((status["failures"], status["unfinished"]), ([], []))
            self.assertEqual(status["last_event"]["event"], "run_ended")
            self.assertIn("next: pawl run", world.pawl("status", str(world.job)).stdout)

    def test_a_partition_that_failed_is_open_until_it_was_read(self):
        with World() as world:
            world.run("historic")
            world.advance("2026-03-11T18:10:00Z")
            world.control("forbid", {"account": 1001})
            world.run("incremental", check=False)
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual([(f["stream"], f["partition"]) for f in status["failures"]],
                             [("calls", '{"account_id":1001,"parent_slice":{}}')])
            self.assertIn("open failure: calls", world.pawl("status", str(world.job)).stdout)
            world.advance("2026-03-11T18:20:00Z")
            world.control("forbid", {"account": 1001, "from": None})
            world.run("incremental")
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual(status["failures"], [])

    def test_an_unfinished_run_shows_although_the_warehouse_is_held(self):
        with World() as world:
            world.run("historic", env={"PAWL_TEST_KILL_AT": "run noted, historic"}, check=False)
            (world.folder / "ctm.duckdb").unlink(missing_ok=True)
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual([run["mode"] for run in status["unfinished"]], ["historic"])


class State(unittest.TestCase):
    def marks(self, world, *words):
        marks = json.loads(world.pawl("state", "show", str(world.job), "--json", *words).stdout)["watermarks"]
        return {(mark["stream"], mark["partition"]): mark["watermark"] for mark in marks}

    def test_rewind_moves_one_partition_back_and_the_next_run_reads_from_there(self):
        with World() as world:
            world.run("incremental")
            before = self.marks(world)
            done = world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--account", "1001", "--to",
                              "2026-03-05T00:00:00Z")
            self.assertIn("-> 2026-03-05T00:00:00Z", done.stdout)
            self.assertIn("1 watermarks moved back", done.stdout)
            after = self.marks(world)
            self.assertEqual(after.pop(("calls", "1001")), "2026-03-05T00:00:00Z")
            before.pop(("calls", "1001"))
            self.assertEqual(after, before)
            self.assertEqual(world.rows("SELECT stage, stream, json_extract_string(error, '$.watermark_after') "
                                        "FROM etl_log WHERE stage = 'rewind'"),
                             [["rewind", "calls", "2026-03-05T00:00:00Z"]])
            report = world.report(world.run("incremental"))
            self.assertEqual((report["inserted"], report["updated"]), (0, 0))
            self.assertGreaterEqual(report["unchanged"], 200)

    def test_a_mark_does_not_move_forward_by_hand(self):
        with World() as world:
            world.run("historic")
            before = self.marks(world)
            done = world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--to", "2026-04-01")
            self.assertIn("stays at", done.stdout)
            self.assertEqual(self.marks(world), before)

    def test_bad_words_end_with_the_status_of_the_table(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-02")
            for words, status, text in (
                    (("--stream", "cals", "--to", "2026-03-01"), 2, "did you mean 'calls'"),
                    (("--stream", "calls", "--to", "soon"), 2, "neither a day"),
                    (("--stream", "calls", "--account", "77", "--to", "2026-03-01"), 5, "no such watermark"),
                    (("--to", "2026-03-01"), 2, "needs --stream")):
                done = world.pawl("state", "rewind", str(world.job), *words, check=False)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(text, done.stderr)


class Events(unittest.TestCase):
    def test_a_run_keeps_its_events_without_secrets(self):
        with World() as world:
            run = world.report(world.run("historic", "--to", "2026-03-02"))["run"]
            path = world.folder / ".pawl" / f"events-{run}.jsonl"
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            events = [json.loads(line) for line in path.read_text().splitlines()]
            self.assertEqual(events[-1]["event"], "run_ended")
            self.assertIn("load_committed", [event["event"] for event in events])
            self.assertNotIn("sim-client-secret", path.read_text())

    def test_the_state_folder_may_be_elsewhere(self):
        with World() as world:
            folder = world.folder / "elsewhere" / "state"
            world.run("historic", "--to", "2026-03-02", "--state", str(folder))
            self.assertEqual(len(list(folder.glob("events-*.jsonl"))), 1)
            self.assertFalse((world.folder / ".pawl").exists())


if __name__ == "__main__":
    unittest.main()
