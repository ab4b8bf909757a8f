"""What pawl makes in Snowflake: not there yet, standing already, changed, or dropped by hand."""
import json, shutil, unittest

from snow import SnowSite, SnowTestCase
from world import ROOT, World

DAYS = ("--from", "2026-03-03", "--to", "2026-03-06")


class Ddl(SnowTestCase):
    def test_before_the_first_run_there_is_nothing_to_show(self):
        with World(calls=20, accounts=1) as world:
            snow = SnowSite(world.folder / "new", world, self.fixture, "NEW")
            plan = snow.pawl("plan", str(snow.job), "--mode", "historic", *DAYS, check=False)
            self.assertEqual(plan.returncode, 0, plan.stderr)
            shown = snow.pawl("state", "show", str(snow.job), check=False)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertEqual({e["sql"].split()[0] for e in self.fixture.log()}, {"SHOW"})
            # Nor is anything else swallowed: a ledger that lacks what its view reads is told.
            snow.run("historic", *DAYS, "--stream", "calls")
            snow.sql("DROP TABLE PAWL.PAWL_STATE")
            broken = snow.pawl("state", "show", str(snow.job), check=False)
            self.assertNotEqual(broken.returncode, 0, broken.stdout)

    def views_made(self):
        made = [e["sql"].split(" AS ")[0] for e in self.fixture.log() if e["sql"].startswith("CREATE OR REPLACE VIEW")]
        self.fixture.control("log", {"clear": True})
        return made

    def test_a_view_is_made_anew_when_its_text_has_changed(self):
        files = sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))
        name = "CALLS_BY_DAY"
        with World(calls=20, accounts=1) as world:
            connector = world.folder / "connector"
            shutil.copytree(ROOT / "connectors/ctm", connector)
            view = connector / f"views/snowflake/{name.lower()}.sql"
            view.write_text("-- needs: calls\nSELECT * FROM calls")
            more = world.folder / "more.sql"
            more.write_text(f"GRANT SELECT ON VIEW CALLS_DB.CTM.{name} TO ROLE SOMEBODY;\n"
                            "GRANT SELECT ON VIEW CALLS_DB.PAWL.PIPELINE_HEALTH TO ROLE SOMEBODY;\n")
            self.fixture.control("drop", {"name": "CALLS_DB"})
            self.fixture.control("grants", {"files": [*files, str(more)]})
            snow = SnowSite(world.folder / "views", world, self.fixture, "CALLS_DB")
            job = json.loads(snow.job.read_text())
            job["connector"] = str(connector / "manifest.yaml")
            snow.job.write_text(json.dumps(job))

            def rights(*place):
                return self.fixture.control("rights", {"role": "SOMEBODY", "database": "CALLS_DB", "table": place})

            run = ("historic", *DAYS)
            snow.run(*run)
            self.assertEqual(sum(f'"{name}"' in sql for sql in self.views_made()), 1)
            # The fixture's grants are there from the start; whoever replaces a view without a word takes them away.
            snow.run(*run)
            self.assertEqual(self.views_made(), [])
            view.write_text("-- needs: calls\nSELECT id, notes FROM calls")
            snow.run(*run)
            self.assertEqual(len(self.views_made()), 1)
            self.assertEqual(len(snow.sql(f"SELECT * FROM CTM.{name}")[0]), 2)
            self.assertEqual((rights("CTM", name), rights("PAWL", "PIPELINE_HEALTH")), (["SELECT"], ["SELECT"]))
            # Nothing but its table has changed: the view fails until it is made again.
            view.write_text("-- needs: calls\nSELECT * FROM calls")
            snow.run(*run)
            columns = len(snow.sql(f"SELECT * FROM CTM.{name}")[0])
            snow.sql("ALTER TABLE CTM.CALLS ADD COLUMN own VARCHAR")
            self.views_made()
            snow.run(*run)
            self.assertEqual(len(self.views_made()), 1)
            self.assertEqual(len(snow.sql(f"SELECT * FROM CTM.{name}")[0]), columns + 1)

    def test_names_in_lower_case_are_upper_case_ones(self):
        """Nobody writes them in quotes, and a request of the SQL API takes them as they are written."""
        with World(calls=20, accounts=1) as world:
            self.fixture.control("drop", {"name": "CALLS_DB"})
            self.fixture.control("grants", {"files": sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))})
            snow = SnowSite(world.folder / "lower", world, self.fixture, "CALLS_DB")
            job = json.loads(snow.job.read_text())["warehouse"]
            snow.change(**{name: job[name].lower() for name in ("database", "schema", "warehouse", "role")},
                        stage={**job["stage"], "name": job["stage"]["name"].lower()})
            snow.pawl("check", str(snow.job))
            self.assertGreater(snow.report(snow.run("historic", *DAYS))["inserted"], 0)
            self.assertEqual([e["error"] for e in self.fixture.log() if e["error"]], [])

    def test_a_query_changes_nothing(self):
        delete = "DELETE FROM CTM.CALLS"
        with World(calls=20, accounts=1) as world:
            snow = SnowSite(world.folder / "query", world, self.fixture, "QUERY")
            snow.run("historic", *DAYS, "--stream", "calls")
            rows = snow.sql("SELECT count(*) FROM CTM.CALLS")
            self.assertNotEqual(rows, [["0"]])
            for text in (delete, f"SELECT 1; {delete}", f"SELECT 1 ->> {delete}", f"SHOW TABLES LIKE 'X' IN SCHEMA \"CTM\"->>{delete}",
                         f"with P as procedure () RETURNS INT LANGUAGE SQL AS $${delete}$$ CALL P()"):
                with self.subTest(text):
                    done = snow.pawl("query", str(snow.job), text, check=False)
                    self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                    self.assertEqual(snow.sql("SELECT count(*) FROM CTM.CALLS"), rows)
            for text in ("SELECT 1 AS one", "WITH procedures AS (SELECT 1 AS procedure_id) SELECT procedure_id FROM procedures"):
                self.assertIn("1", snow.pawl("query", str(snow.job), text).stdout)

    def test_a_table_s_counter_that_was_dropped_goes_on(self):
        """Marks are told from those before a rewind by the table's count of loads."""
        with World(calls=40, accounts=1) as world:
            snow = SnowSite(world.folder / "counter", world, self.fixture, "COUNTER")
            world.advance("2026-03-13T18:00:00Z")
            snow.run("incremental", "--stream", "calls")
            snow.pawl("state", "rewind", str(snow.job), "--stream", "calls", "--account", "1001", "--to", "2026-03-04T00:00:00Z")
            before = int(snow.sql("SELECT version FROM CTM.CALLS__PAWL")[0][0])
            # It is a table made of a query, which a warehouse runs: only where it is not there is it asked for.
            made = lambda: [e["sql"] for e in self.fixture.log() if e["sql"].startswith("CREATE TABLE") and "__PAWL\" AS SELECT" in e["sql"]]
            self.assertEqual(len(made()), 1)
            snow.sql("DROP TABLE CTM.CALLS__PAWL")
            marks = "SELECT watermark FROM PAWL.PAWL_WATERMARK WHERE stream = 'calls'"
            old = snow.sql(marks)
            snow.run("incremental", "--stream", "calls")
            snow.run("incremental", "--stream", "calls")
            self.assertEqual(len(made()), 2)
            self.assertGreater(int(snow.sql("SELECT version FROM CTM.CALLS__PAWL")[0][0]), before)
            self.assertGreater(snow.sql(marks), old)


if __name__ == "__main__":
    unittest.main()
