"""The lake beside the warehouse: Delta tables that others read, equal row for row in all three modes.

Readers nobody here wrote: DuckDB's delta extension and delta-rs (PAWL_CDK_PYTHON has both).
"""
import json, os, pathlib, subprocess, unittest
from world import ROOT, World

PYTHON = os.environ.get("PAWL_CDK_PYTHON", str(ROOT / "build/venv/bin/python"))
READ = str(pathlib.Path(__file__).with_name("read_delta.py"))
LAKE = {"lake": {"format": "delta", "path": "./delta"}}


def compare(site, reader, table="calls"):
    done = subprocess.run([PYTHON, READ, reader, str(site.folder / "delta/ctm" / table), str(site.folder / "ctm.duckdb"),
                           f"ctm.{table}"], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(done.stderr[-2000:])
    return json.loads(done.stdout)


@unittest.skipUnless(pathlib.Path(PYTHON).exists(), "no Python with deltalake at PAWL_CDK_PYTHON")
class Lake(unittest.TestCase):
    def same(self, site, readers=("duckdb", "deltalake"), tables=("calls", "accounts")):
        seen = None
        for reader in readers:
            for table in tables:
                seen = compare(site, reader, table)
                self.assertEqual((seen["only_warehouse"], seen["only_lake"]), (0, 0), f"{table} by {reader}: {seen}")
                self.assertGreater(seen["lake"], 0)
                self.assertEqual(seen["keys"], seen["lake"], f"{table}: a key has two rows")
        return seen

    def test_three_modes_give_the_warehouse_s_rows(self):
        with World(calls=600, job=LAKE) as world:
            world.run("historic", "--to", "2026-03-09")
            self.same(world)
            world.advance("2026-03-12T18:00:00Z")
            world.run("incremental")
            self.same(world)
            for account in (1001, 1002):
                world.control("mutate", {"account": account, "start_date": "2026-03-05", "end_date": "2026-03-06",
                                         "every": 5, "limit": 4, "do": "delete"})
            world.control("mutate", {"account": 1001, "start_date": "2026-03-07", "end_date": "2026-03-07", "every": 3,
                                     "do": "edit", "set": {"notes": "late"}})
            done = world.report(world.run("rehydration"))
            self.assertEqual(done["deleted"], 8)
            self.assertGreater(done["updated"], 0)
            self.same(world)

    def test_a_lake_that_comes_later_is_filled_by_a_replay(self):
        with World(calls=200) as world:
            world.run("historic")
            world.write_job(["accounts", "calls"], LAKE)
            world.pawl("replay", str(world.job))
            # Only the warehouse's rows name their first run: the lake's were written by the replay.
            for table in ("calls", "accounts"):
                seen = compare(world, "duckdb", table)
                self.assertEqual((seen["lake"], seen["keys"]), (seen["warehouse"], seen["warehouse"]))

    def test_checkpoints_compaction_and_vacuum(self):
        with World(calls=200, job=LAKE) as world:
            world.run("historic", "--to", "2026-03-09")
            for day in range(12, 25):
                world.advance(f"2026-03-{day}T18:00:00Z")
                world.run("incremental")
            seen = self.same(world)
            log = sorted(path.name for path in (world.folder / "delta/ctm/calls/_delta_log").iterdir())
            self.assertIn("_last_checkpoint", log)
            self.assertTrue(any(name.endswith(".checkpoint.parquet") for name in log), log)
            self.assertLess(seen["files"], 8, "small files were not put together")


if __name__ == "__main__":
    unittest.main()
