"""There is a way back: release N-1 runs on release N's tables, and N on those of any release before (docs/azure.md).

N-1 is played by the program in hand: its tables get columns that it does not know, or its contract lacks the newest ones.
"""
import json, os, pathlib, re, subprocess, unittest
from world import ROOT, World

PYTHON = os.environ.get("PAWL_CDK_PYTHON", "")
FROZEN = sorted((pathlib.Path(__file__).parent / "ledger").glob("*.sql"))
LEDGER = ("pawl_load", "pawl_slice", "pawl_state", "etl_log")
NEWEST = ("tag_list", "notes")


def frozen_columns(path):
    """{(table, column): type} of a frozen ledger."""
    columns = {}
    for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", path.read_text(), re.DOTALL):
        for line in body.strip().splitlines():
            name, kind = line.strip().rstrip(",").split(" ", 1)
            columns[table, name] = kind
    return columns


class Releases:
    """The same for each warehouse; what differs is how a hand other than pawl's gets at it."""

    def world(self, **options):
        world = World(calls=300, warehouse=self.warehouse, **options)
        self.addCleanup(world.close)
        return world

    def content(self, site):
        return site.rows("SELECT id, account_id, _row_hash, _deleted_at IS NOT NULL FROM ctm.calls ORDER BY account_id, id")

    def day_passes(self, world):
        """New calls, an edit, a deletion."""
        first = world.get("/accounts/1001/calls?start_date=2026-03-05&end_date=2026-03-05&per_page=150")["calls"]
        world.advance("2026-03-12T19:00:00Z")
        world.control("mutate", {"account": 1001, "id": first[0]["id"], "do": "edit", "set": {"notes": "another"}})
        world.control("mutate", {"account": 1001, "id": first[1]["id"], "do": "delete"})
        return first[0]["id"]

    def run_both(self, world, plain, *modes):
        for mode in modes:
            reports = [site.report(site.run(mode)) for site in (world, plain)]
            counts = [[report[name] for name in ("inserted", "updated", "deleted")] for report in reports]
            self.assertEqual(counts[0], counts[1], mode)

    def test_the_ledger_only_ever_grew(self):
        world = self.world()
        world.run("historic", "--to", "2026-03-02")
        found = {(table, name): (kind.upper(), nullable == "YES" or default is not None)
                 for table, name, kind, nullable, default in world.rows(
                     "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
                     f"WHERE table_name IN {LEDGER}")}
        for path in FROZEN:
            for column, kind in frozen_columns(path).items():
                with self.subTest(release=path.stem, column=column):
                    self.assertIn(column, found)
                    self.assertEqual(found[column][0].replace("CHARACTER VARYING", "VARCHAR"), kind)
        # What came since can be left out by a release that does not know it.
        known = set().union(*(frozen_columns(path) for path in FROZEN))
        self.assertEqual([column for column, (_, optional) in found.items() if column not in known and not optional], [])

    def test_this_release_takes_over_every_frozen_ledger(self):
        for path in FROZEN:
            with self.subTest(path.stem):
                world = self.world()
                plain = world.copy("plain")
                self.create_ledger(world, path.read_text())
                self.run_both(world, plain, "historic")
                self.day_passes(world)
                self.run_both(world, plain, "incremental", "rehydration")
                self.assertEqual(self.content(world), self.content(plain))
                self.assertEqual(world.value("SELECT count(*) FROM etl_log WHERE status = 'failed'"), "0")

    def test_this_release_writes_tables_that_the_next_one_made_wider(self):
        world = self.world()
        world.run("historic")
        plain = world.copy("plain")
        for table in (*LEDGER, "ctm.calls", "ctm.calls__quarantine", "ctm.accounts"):
            self.sql(world, f"ALTER TABLE {self.place(table)} ADD COLUMN of_the_next VARCHAR")
            self.sql(world, f"ALTER TABLE {self.place(table)} ADD COLUMN counted_by_the_next BIGINT DEFAULT 7")
        self.day_passes(world)
        self.run_both(world, plain, "incremental", "rehydration")
        self.assertEqual(self.content(world), self.content(plain))
        self.assertGreater(int(world.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NOT NULL")), 0)
        for table in (*LEDGER, "ctm.calls"):
            self.assertEqual(world.value(f"SELECT count(*) FROM {table} WHERE of_the_next IS NOT NULL"), "0")

    def test_a_contract_without_the_newest_columns_loses_nothing_and_replay_brings_them_back(self):
        world = self.world()
        world.run("historic")
        contract = json.loads((ROOT / "connectors/ctm/contracts/calls.json").read_text())
        self.assertEqual(tuple(column["name"] for column in contract["columns"][-2:]), NEWEST)
        contract["columns"] = contract["columns"][:-2]
        (world.folder / "calls.json").write_text(json.dumps(contract))
        today, job = world.job.read_text(), json.loads(world.job.read_text())
        job["streams"]["calls"]["contract"] = str(world.folder / "calls.json")
        world.job.write_text(json.dumps(job))  # back to N-1
        edited = self.day_passes(world)
        self.assertGreater(world.report(world.run("incremental"))["inserted"], 0)
        world.run("rehydration")
        overflow = json.loads(world.value(f"SELECT CAST(_overflow AS VARCHAR) FROM ctm.calls WHERE id = {edited}"))
        self.assertIn("another", json.dumps(overflow))
        world.job.write_text(today)  # and forward to N again
        world.pawl("replay", str(world.job), "--rewrite")
        self.assertEqual(world.value(f"SELECT notes FROM ctm.calls WHERE id = {edited}"), "another")
        self.assertEqual(world.value("SELECT count(*) FROM ctm.calls WHERE tag_list IS NULL AND called_at >= '2026-03-11'"),
                         world.value("SELECT count(*) FROM ctm.calls WHERE tag_list IS NULL AND called_at >= '2026-03-11' "
                                     "AND CAST(_overflow AS VARCHAR) NOT LIKE '%tag_list%'"))


@unittest.skipUnless(PYTHON, "PAWL_CDK_PYTHON names no Python: ./dev test sets it")
class DuckDBReleases(Releases, unittest.TestCase):
    warehouse = "duckdb"

    def sql(self, world, text):
        done = subprocess.run([PYTHON, "-c", "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])",
                               world.folder / "ctm.duckdb", text], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def place(self, table):
        return f"ctm.{table}" if "." in table else table  # the file's own name, too, is ctm

    def create_ledger(self, world, text):
        self.sql(world, text)


class PostgresReleases(Releases, unittest.TestCase):
    warehouse = "postgres"

    def sql(self, world, text):
        world.warehouse.cluster.sql(text, world.warehouse.database)

    def place(self, table):
        return table if "." in table else f"pawl.{table}"

    def create_ledger(self, world, text):
        self.sql(world, "CREATE SCHEMA pawl; SET search_path = pawl; " + text)


if __name__ == "__main__":
    unittest.main()
