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


if __name__ == "__main__":
    unittest.main()
