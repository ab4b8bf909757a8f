"""Whole runs into Snowflake's fixture: the same tables as DuckDB gives, whatever fails or is killed."""
import json, pathlib, re, shutil, signal, subprocess, unittest

from azure import Azurite, Faulty, needs_azurite
from snow import SnowSite, SnowTestCase, on_azure, table
from world import ROOT, World, select_wait


VIEWS = {path.stem: f"SELECT * FROM ctm.{path.stem}" for path in (ROOT / "connectors/ctm/views/snowflake").glob("*.sql")}
# What goes by the machine's clock, or names a run, is left out. Accounts are fresh until they were asked for.
VIEWS["pipeline_health"] = ("SELECT job, stream, target, partitions, date_trunc('hour', fresh_until) AS fresh_until,"
                            " last_run_mode, last_run_status FROM pipeline_health")


def view(site, sql):
    """The rows of a view, each cell as text: 12.50 and 12.5 are one number."""
    return sorted([text(cell) for cell in row] for row in site.rows(sql))


def text(cell):
    cell = "" if cell is None else str(cell)
    return cell.rstrip("0").rstrip(".") if re.fullmatch(r"-?\d+\.\d+", cell) else cell


class Masking(unittest.TestCase):
    def test_whatever_names_a_person_is_masked(self):
        """Columns that a contract calls a person's, what has no column, and records that no table could take."""
        masked = {}
        for table_name, columns in re.findall(r"ALTER TABLE CALLS_DB\.(\S+) MODIFY([^;]+);", next(
                (ROOT / "deploy/snowflake").glob("05*.sql")).read_text()):
            for column, policy in re.findall(r"COLUMN (\S+) SET MASKING POLICY CALLS_DB\.PAWL\.(\w+)", columns):
                masked[table_name, column] = policy
        known = {}
        for stream in json.loads((ROOT / "jobs/ctm.json").read_text())["streams"].values():
            contract = json.loads((ROOT / "jobs" / stream["contract"]).read_text())
            types = {column["name"].upper(): column["type"] for column in contract["columns"]}
            name = stream["target"].upper()
            known.update({(name, column): type_ for column, type_ in types.items()})
            known.update({(name, "_OVERFLOW"): "json", (name + "__QUARANTINE", "RECORD"): "json"})
            persons = {column["name"].upper() for column in contract["columns"] if "person" in column}
            if persons or contract.get("person"):
                for place in [*((name, column) for column in persons), (name, "_OVERFLOW"), (name + "__QUARANTINE", "RECORD")]:
                    self.assertIn(place, masked)
        # A policy fits its column's type, and no statement fails over a column that is not there.
        for place, policy in masked.items():
            self.assertEqual(policy == "MASK_VARIANT", known[place] == "json", place)
        self.assertGreater(len(masked), 10)
        # Who reads masked data reads no table that comes by itself, and each other one only behind its masks.
        files = {path.name: path.read_text() for path in (ROOT / "deploy/snowflake").glob("*.sql")}
        for name, text in files.items():
            self.assertNotRegex(text, r"(?m)^GRANT [^;]*ON (FUTURE|ALL) TABLES", name)
        persons = {place[0] for place in masked}
        granted = re.findall(r"(?m)^GRANT SELECT ON TABLE CALLS_DB\.(\S+) TO ROLE PAWL_READER;", "".join(files.values()))
        self.assertEqual({(name, "_OVERFLOW") in known for name in granted}, {True})  # no quarantine among them
        self.assertGreater(len(persons & set(granted)), 2)
        text = files["05_masking.sql"]
        self.assertLess(max(text.find(f"ALTER TABLE CALLS_DB.{name} MODIFY") for name in persons), text.find("GRANT SELECT"))
        self.assertNotIn("GRANT SELECT ON FUTURE VIEWS IN SCHEMA CALLS_DB.CTM", files["02_database.sql"])


class Snowflake(SnowTestCase):
    def setUp(self):
        super().setUp()
        for folder in ("loads", "usage"):
            shutil.rmtree(self.fixture.folder / "stage" / folder, ignore_errors=True)

    def both(self, world, snow, mode, *words):
        duck = world.report(world.run(mode, *words))
        got = snow.report(snow.run(mode, *words))
        for count in ("inserted", "updated", "unchanged", "deleted", "quarantined"):
            self.assertEqual(got[count], duck[count], f"{mode}: {count}")
        for name in ("calls", "accounts"):
            wanted, rows = table(world, name), table(snow, name)
            self.assertEqual(len(rows), len(wanted))
            for key in wanted:
                self.assertEqual(rows[key], wanted[key], f"{mode}, {name}")
        return got

    def same_views(self, world, snow):
        for name, sql in VIEWS.items():
            wanted = view(world, sql)
            self.assertGreater(len(wanted), 1, name)
            self.assertEqual(view(snow, sql), wanted, name)

    def test_three_modes_give_the_tables_that_duckdb_has(self):
        with World(calls=300) as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "MODES")
            self.both(world, snow, "historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            self.both(world, snow, "incremental")
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 5,
                                     "limit": 4, "do": "delete"})
            world.control("mutate", {"account": 1001, "start_date": "2026-03-07", "end_date": "2026-03-07", "every": 3,
                                     "do": "edit", "set": {"notes": "it's late, \\ ${x}\n\"ü\""}})
            # What COPY would take for NULL by itself.
            world.control("mutate", {"account": 1001, "start_date": "2026-03-08", "end_date": "2026-03-08", "every": 3,
                                     "do": "edit", "set": {"notes": "\\N"}})
            self.assertGreater(self.both(world, snow, "rehydration", "--from", "2026-03-04", "--to", "2026-03-09")
                               ["deleted"], 0)
            self.assertGreater(int(snow.sql("SELECT count(*) FROM CTM.CALLS WHERE length(notes) = 2")[0][0]), 0)
            self.same_views(world, snow)
            self.assertEqual(snow.sql("SELECT count(*) - count(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])
            # Nothing of a load is left in the stage, nor a table of its own.
            self.assertEqual(list((self.fixture.folder / "stage/loads").rglob("*")), [])
            self.assertEqual(snow.sql("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%STAGE%'"),
                             [["0"]])
            self.assertEqual({e["tag"].split(" ")[0] for e in self.fixture.log()}, {"pawl"})

    def test_each_statement_names_its_run_and_no_job_waits_for_another(self):
        """QUERY_TAG; and within transactions: a lock is not waited for half a day, and what jobs share is only inserted into."""
        with World(calls=30, accounts=1) as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "TAGS")
            changes = []
            for mode, words in (("historic", ("--to", "2026-03-09")), ("rehydration", ("--from", "2026-03-04", "--to", "2026-03-09"))):
                self.fixture.control("log", {"clear": True})
                world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 2, "limit": 3,
                                         "do": "edit", "set": {"notes": mode}})
                run = snow.report(snow.run(mode, *words))["run"]
                log = self.fixture.log()
                self.assertGreater(len(log), 10)
                # Where a run has rows of its own, its statements are those of no other.
                self.assertEqual({e["tag"] for e in log}, {f"pawl run={run} job=ctm mode={mode}"})
                changes += [e for e in log if e["transaction"] and e["sql"].split()[0] in ("INSERT", "UPDATE", "MERGE", "DELETE")]
            self.assertEqual({e["sql"].split()[0] for e in changes}, {"INSERT", "UPDATE", "MERGE"})
            for entry in changes:
                self.assertLessEqual(int(entry["settings"]["LOCK_TIMEOUT"]), 600, entry)
                self.assertEqual(entry["settings"]["ERROR_ON_NONDETERMINISTIC_MERGE"], "TRUE", entry)
                place = re.search(r'(?:INTO|UPDATE)\s+"(\w+)"\."(\w+)"', entry["sql"]).groups()
                if not entry["sql"].startswith("INSERT"):  # an INSERT locks nobody out
                    self.assertEqual(place[0], "CTM", entry["sql"][:200])

    # As many rows as make the file for the stage larger than the memory that it is written within.
    def test_a_load_of_the_usual_size_fits_into_the_usual_memory(self):
        with World(calls=26000, accounts=1, first="2026-03-03", last="2026-03-06") as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "USUAL")
            report = snow.report(snow.run("historic", "--from", "2026-03-03", "--to", "2026-03-05"))
            self.assertGreater(report["inserted"], 25000)
            self.assertEqual(snow.sql("SELECT count(*) FROM CTM.CALLS"), [[str(report["inserted"] - 1)]])

    def test_a_key_that_somebody_doubled_is_told_without_its_row(self):
        """Snowflake shows the row of a MERGE that is not deterministic: a person's, which no log may hold."""
        with World(calls=20, accounts=1) as world:
            canary = world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {
                "name": "canary", "caller_number": "+15005550199", "notes": "canary"}})["ids"][0]
            snow = SnowSite(world.folder / "snow", world, self.fixture, "DOUBLED")
            words = ("--from", "2026-03-04", "--to", "2026-03-06", "--stream", "calls")
            snow.run("historic", *words)
            world.control("mutate", {"account": 1001, "id": canary, "do": "edit", "set": {"notes": "canary, later"}})
            self.fixture.faults({"at": "sql", "match": "^MERGE", "code": "100090", "state": "42P18",
                                 "message": "Duplicate row detected during DML action\nRow Values: [1, \"canary\", '+15005550199']"})
            done = snow.run("rehydration", *words, check=False)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("Duplicate row detected", done.stderr)
            self.fixture.faults()
            snow.run("rehydration", *words)  # whose log has what waited
            logged = json.dumps(snow.sql("SELECT error FROM PAWL.ETL_LOG"))
            self.assertIn("Duplicate row detected", logged)
            events = "".join(path.read_text() for path in (snow.folder / ".pawl").glob("events-*"))
            for where in (done.stdout + done.stderr, logged, events):
                self.assertNotRegex(where, "canary|5550199")

    @needs_azurite
    def test_landing_and_stage_on_azure(self):
        with World(calls=80, accounts=1) as world, Azurite() as azurite:
            self.fixture.control("drop", {"name": "CALLS_DB"})
            self.fixture.control("grants", {"files": sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))})
            snow = on_azure(world, self.fixture, azurite, "lake", "CALLS_DB")
            snow.change(daily_seconds=3600)
            snow.pawl("check", str(snow.job))
            self.both(world, snow, "historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            self.both(world, snow, "incremental")
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 5,
                                     "limit": 4, "do": "delete"})
            self.assertGreater(self.both(world, snow, "rehydration", "--from", "2026-03-04", "--to", "2026-03-09")
                               ["deleted"], 0)
            self.same_views(world, snow)
            # Snowflake had its rows from the container, where no load has left anything; nothing lies on the machine.
            copied = [e["sql"] for e in self.fixture.log() if e["sql"].startswith("COPY INTO")]
            self.assertGreaterEqual(len(self.fixture.control("fetched")), len(copied))
            self.assertGreater(len(copied), 2)
            self.assertEqual(azurite.names("lake", "pawl-stage/loads/"), [])
            self.assertEqual(len(azurite.names("lake", "pawl-stage/usage/")), 3)  # one a run
            self.assertGreater(len(azurite.names("lake", "lake/")), 10)
            self.assertEqual(list((self.fixture.folder / "stage").rglob("*.parquet")), [])
            self.assertFalse((snow.folder / "lake").exists())

    @needs_azurite
    def test_azure_that_loses_answers_and_a_kill_behind_the_commit(self):
        def plan(number, method, path):
            return "lost" if number % 6 == 0 else 503 if number % 7 == 0 else None

        with World(calls=40, accounts=1, last="2026-03-06") as world, Azurite() as azurite, Faulty(azurite, plan) as faulty:
            words = ("historic", "--stream", "calls")
            world.run(*words)
            calm = on_azure(world, self.fixture, azurite, "calm", "AZURE_CALM", faulty.endpoint)
            points = calm.folder / "points"
            calm.run(*words, env={"PAWL_TEST_KILL_LIST": str(points)})
            commits = [p for p in points.read_text().splitlines() if p.startswith("commit")]
            self.assertGreater(len(commits), 1)
            killed = on_azure(world, self.fixture, azurite, "killed", "AZURE_KILLED", faulty.endpoint)
            self.assertEqual(killed.run(*words, env={"PAWL_TEST_KILL_AT": commits[-1]}, check=False).returncode,
                             -signal.SIGKILL)
            self.assertNotEqual(azurite.names("killed", "pawl-stage/loads/"), [])
            killed.run(*words)
            for site in (calm, killed):
                self.assertEqual(table(site, "calls"), table(world, "calls"))
                self.assertEqual(site.sql("SELECT count(*) - count(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])
            self.assertEqual(azurite.names("calm", "pawl-stage/loads/"), [])

    def merges(self):
        return sum(e["sql"].startswith("MERGE") and e["error"] is None for e in self.fixture.log())

    def says_no_secret(self, snow, done):
        """Neither passphrase nor key nor a token signed by it: in what was printed, kept on disk or put into ETL_LOG."""
        needles = re.compile("|".join([re.escape(self.fixture.ready["passphrase"]), "PRIVATE KEY", r"eyJ[\w-]{10,}"]).encode())
        self.assertIsNone(needles.search((done.stdout + done.stderr).encode()))
        for path in snow.folder.rglob("*"):
            self.assertIsNone(needles.search(path.read_bytes() if path.is_file() else b""), path)
        self.assertIsNone(needles.search(json.dumps(snow.sql("SELECT * FROM PAWL.ETL_LOG")).encode()))
        self.assertIsNone(needles.search(json.dumps([e["sql"] for e in self.fixture.log()]).encode()))

    def test_what_fails_on_the_way_fails_nothing(self):
        """Answers that are late, lost, refused or in parts; nothing runs twice."""
        faults = {
            "the answer to COMMIT is lost": [{"at": "after", "method": "POST", "match": "COMMIT", "do": "drop"}],
            "a request is lost": [{"at": "before", "method": "POST", "match": "COPY INTO", "do": "drop"}],
            "an answer to a poll is lost": [{"at": "after", "method": "GET", "do": "drop", "skip": 4}],
            "too many requests": [{"match": "MERGE", "do": "status", "status": 429, "times": 2, "retry_after": 0}],
            "not available": [{"match": "PAWL_SLICE", "do": "status", "status": 503, "times": 2}],
            "a token that is refused": [{"match": "COMMIT", "do": "status", "status": 401, "code": "390144"}],
        }
        with World(calls=60) as world:
            world.run("historic", "--to", "2026-03-09")
            wanted = table(world, "calls")
            for number, (name, list_) in enumerate(faults.items()):
                with self.subTest(name):
                    self.fixture.reset()
                    self.fixture.control("set", {"faults": list_, "polls": number % 3, "partition_rows": 7})
                    snow = SnowSite(world.folder / f"snow-{number}", world, self.fixture, f"FAULT_{number}")
                    done = snow.run("historic", "--to", "2026-03-09", "--stream", "calls")
                    self.says_no_secret(snow, done)
                    self.assertEqual(table(snow, "calls"), wanted)
                    self.assertEqual(self.fixture.control("faults"), 0, "a fault that never came")
                    loads = snow.sql("SELECT count(*), count(DISTINCT load_id) FROM PAWL.PAWL_LOAD")[0]
                    self.assertEqual(loads[0], loads[1])
                    self.assertEqual(self.merges(), int(loads[0]))

    def test_a_transaction_that_fails_leaves_nothing(self):
        with World(calls=60) as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "ROLLBACK")
            words = ("historic", "--to", "2026-03-09", "--stream", "calls")
            nothing = ("SELECT (SELECT count(*) FROM CTM.CALLS), (SELECT count(*) FROM PAWL.PAWL_SLICE),"
                       " (SELECT count(*) FROM PAWL.PAWL_STATE), (SELECT count(*) FROM PAWL.PAWL_LOAD)")
            ends = [
                ("INSERT INTO .PAWL..*PAWL_LOAD", {"code": "000603"}, 8, "a fault"),
                ("^MERGE", {"code": "100090", "state": "42P18", "message": "Duplicate row detected"}, 3, "Duplicate row"),
                ("^COMMIT", {"code": "000625", "state": "57014", "message": "Statement '01b6c04c' has locked table 'CALLS' in transaction 17"
                             " and this lock has not yet been released.\nYour statement '01b6c04d' was aborted"}, 7, "has locked table"),
                ("^MERGE", {"code": "003001", "state": "42501", "message": "SQL access control error:\nInsufficient privileges to operate"
                            " on table 'CALLS'"}, 4, "on table 'CALLS'"),
                # Another run takes over while this one commits.
                ("^BEGIN", {"database": "ROLLBACK", "then": "INSERT INTO PAWL.PAWL_STATE (kind, job, mode, epoch) VALUES"
                            " ('epoch', 'ctm', 'historic', 99)"}, 6, "taken over"),
            ]
            for match, how, code, text in ends:
                with self.subTest(match):
                    self.fixture.faults({"at": "sql", "match": match, **how})
                    done = snow.run(*words, check=False)
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertIn(text, done.stderr)
                    self.fixture.faults()
                    snow.sql("DELETE FROM PAWL.PAWL_STATE WHERE epoch = 99")
                    self.assertEqual(snow.sql(nothing), [["0", "0", "0", "0"]])
            # Another load of the table comes between, and touches nothing that this one was decided on.
            self.fixture.faults({"at": "sql", "match": "^BEGIN", "database": "ROLLBACK",
                                 "then": "UPDATE CTM.CALLS__PAWL SET version = version + 1"})
            snow.run(*words)
            self.assertEqual(snow.sql("SELECT version FROM CTM.CALLS__PAWL"), [["2"]])
            world.run(*words)
            self.assertEqual(table(snow, "calls"), table(world, "calls"))

    def test_a_token_that_is_rotated_in_its_file_is_taken_from_there(self):
        with World(calls=20) as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "ROTATED")
            kept = snow.folder / "token"
            kept.write_text("an-oauth-token\n")
            snow.change(auth="oauth", token="${file:token}")
            # While the first answer of the source is awaited, the warehouse has been asked already.
            world.control("faults", [{"match": {"path": "/accounts"}, "do": "delay", "ms": 2000}], method="PUT")
            snow.runs += 1
            command, env = snow.command("run", str(snow.job), "--mode", "historic", "--json")
            process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while not world.control("faults")[0]["done"]:
                self.assertIsNone(process.poll())
                select_wait()
            kept.write_text("another-token\n")
            self.fixture.control("set", {"tokens": {"OAUTH": "another-token"}})
            _, said = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, said[-600:])
            self.assertNotIn("-token", said)
            self.assertGreater(int(snow.sql("SELECT count(*) FROM CTM.CALLS")[0][0]), 0)

    def test_whoever_shows_a_good_token_comes_in(self):
        with World(calls=20) as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "TOKENS")
            ask = ("query", str(snow.job), "SELECT 1 AS one")
            key2 = f"${{file:{self.fixture.folder}/key2.pem}}"
            token = {"TOKEN": "an-oauth-token", "PAT": "a-programmatic-token"}
            cases = [
                ("an encrypted key", {}, 0, ""),
                ("a wrong passphrase", {"env": {"SNOWFLAKE_PASSPHRASE": "no"}}, 4, "passphrase"),
                ("the second key, while they are rotated", {"private_key_2": key2, "registered": [1]}, 0, ""),
                ("a key that is not registered", {"registered": [1]}, 4, "390144"),
                ("OAuth", {"auth": "oauth", "token": "${env:TOKEN}", "env": token}, 0, ""),
                ("an access token", {"auth": "pat", "token": "${env:PAT}", "env": token}, 0, ""),
                ("an OAuth token that ended", {"auth": "oauth", "token": "${env:PAT}", "env": token}, 4, "has ended"),
                ("another user", {"user": "SOMEBODY"}, 4, "390144"),
            ]
            before = snow.job.read_text()
            for name, how, code, text in cases:
                with self.subTest(name):
                    snow.job.write_text(before)
                    how = dict(how)
                    self.fixture.control("keys", {"registered": how.pop("registered", [0, 1])})
                    env = how.pop("env", {})
                    snow.change(**how)
                    done = snow.pawl(*ask, env=env, check=False)
                    self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                    self.assertIn(text, done.stderr)
                    for secret in (*token.values(), self.fixture.ready["passphrase"], "PRIVATE KEY", "eyJ"):
                        self.assertNotIn(secret, done.stdout + done.stderr)
            # A statement that ran into its timeout is not tried again.
            snow.job.write_text(before)
            self.fixture.faults({"match": "one", "do": "status", "status": 408})
            self.assertEqual(snow.pawl(*ask, check=False).returncode, 9)
            # Nor is one that nobody waits for left running.
            self.fixture.control("set", {"polls": 1000000, "faults": [], "log": []})
            command, env = snow.command("run", str(snow.job), "--mode", "historic", "--to", "2026-03-09")
            polled = len(self.fixture.control("polled"))
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while len(self.fixture.control("polled")) == polled and process.poll() is None:
                select_wait()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(), 10)
            self.assertEqual(self.fixture.control("cancelled"), self.fixture.control("polled")[-1:])

    def test_the_loader_has_what_it_needs_and_no_more(self):
        """Each right that deploy/snowflake gives to pawl's role is needed, and pawl check names it where it lacks."""
        files = sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))
        rights = [["USAGE", "WAREHOUSE", "PAWL_LOADING"], ["USAGE", "DATABASE", "CALLS_DB"], ["USAGE", "STAGE", "CALLS_DB.CTM.LAND"]]
        rights += [[right, "SCHEMA", "CALLS_DB." + schema] for schema in ("CTM", "PAWL")
                   for right in ("USAGE", "CREATE TABLE", "CREATE VIEW")]
        listed = (ROOT / "docs/snowflake.md").read_text()
        with World(calls=20) as world:
            def site(name):
                # The database is always the one that deploy/ names; a reset makes it new.
                self.fixture.control("drop", {"name": "CALLS_DB"})
                return SnowSite(world.folder / name, world, self.fixture, "CALLS_DB")

            snow = site("whole")
            self.fixture.control("grants", {"files": files})
            self.assertEqual(snow.pawl("check", str(snow.job), check=False).returncode, 0)
            snow.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            snow.run("incremental")
            snow.run("rehydration", "--from", "2026-03-04", "--to", "2026-03-09")
            self.assertEqual([e for e in self.fixture.log() if e["error"]], [])
            for number, (right, kind, name) in enumerate(rights):
                with self.subTest(f"{right} ON {kind} {name}"):
                    snow = site(f"without-{number}")
                    self.fixture.control("grants", {"files": files, "without": [["PAWL_LOADER", right, kind, name]]})
                    words = () if right == "CREATE VIEW" else ("--stream", "calls")  # views want all their tables
                    self.assertNotEqual(snow.run("historic", "--to", "2026-03-09", *words, check=False).returncode, 0)
                    told = snow.pawl("check", str(snow.job), check=False)
                    self.assertEqual(told.returncode, 4)
                    self.assertIn(f"role PAWL_LOADER lacks {right} on {kind} {name}: GRANT {right} ON {kind} {name} TO ROLE"
                                  " PAWL_LOADER", told.stdout + told.stderr)
                    self.assertIn(f"{right} ON {kind} {name.replace('CALLS_DB.', '')}", listed)

    def test_readers_see_no_staging_table(self):
        """A load's rows lie in a table that no policy masks: nobody may read it, not even who reads all future tables of the target's schema."""
        files = sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))
        with World(calls=20) as world:
            more = world.folder / "more.sql"
            more.write_text("GRANT SELECT ON FUTURE TABLES IN SCHEMA CALLS_DB.CTM TO ROLE PAWL_READER;\n")
            self.fixture.control("drop", {"name": "CALLS_DB"})
            self.fixture.control("grants", {"files": [*files, str(more)]})
            snow = SnowSite(world.folder / "readers", world, self.fixture, "CALLS_DB")
            snow.run("historic", "--to", "2026-03-09", "--stream", "calls")
            made = {tuple(place) for e in self.fixture.log()
                    for place in re.findall(r'^CREATE OR REPLACE TRANSIENT TABLE "([^"]+)"\."([^"]+)"', e["sql"])}
            self.assertGreater(len(made), 0)
            for place in made:
                with self.subTest(place):
                    self.assertEqual(self.fixture.control("rights", {"role": "PAWL_READER", "database": "CALLS_DB", "table": place}), [])
            self.assertEqual(self.fixture.control("rights", {"role": "PAWL_READER", "database": "CALLS_DB", "table": ["CTM", "CALLS"]}), ["SELECT"])

    def test_what_it_costs(self):
        """Seconds by run in status, the log once a run, and a cap for the day under which reading goes on."""
        with World(calls=60) as world:
            snow = SnowSite(world.folder / "snow", world, self.fixture, "COST")
            others = self.fixture.folder / "stage/usage" / world.clock[:10]
            others.mkdir(parents=True)
            (others / "another.json").write_text('{"warehouse_us": 59000000, "statements": 7}')
            snow.change(daily_seconds=59)
            words = ("historic", "--to", "2026-03-09")
            done = snow.run(*words, check=False)
            self.assertEqual(done.returncode, 9, done.stderr)
            self.assertIn("the day's cap of 59 seconds is used up", done.stderr)
            self.assertEqual(snow.sql("SELECT count(*) FROM PAWL.PAWL_LOAD"), [["0"]])
            # All pages are there: going on asks for none.
            snow.change(daily_seconds=10000)
            self.assertEqual(snow.report(snow.run(*words))["pages"], 0)
            world.run(*words)
            self.assertEqual(table(snow, "calls"), table(world, "calls"))
            self.assertEqual(len(list(others.iterdir())), 2)
            # What a load left that was killed long ago goes, what may still be under way stays.
            stage = self.fixture.folder / "stage/loads"
            old, young = "019c8d3c-0000-7000-8000-000000000000", "019cde0f-0000-7000-8000-000000000000"
            # Earlier versions gave each load a folder.
            left = {stage / old / "rows-0.parquet": False, stage / young / "rows-0.parquet": True,
                    stage / f"{old}-rows-0.parquet": False, stage / f"{young}-rows-0.parquet": True, stage / "a-file-of-somebody-s": True}
            for file in left:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"PAR1")
            snow.run("incremental")
            self.assertEqual({file: file.exists() for file in left}, left)

            run = json.loads(snow.pawl("status", str(snow.job), "--json").stdout)["runs"][0]
            self.assertGreater(run["warehouse_statements"], 5)
            self.assertGreater(run["warehouse_us"], 1000)
            self.assertIn("statements", snow.pawl("status", str(snow.job)).stdout)
            logs = [e for e in self.fixture.log() if e["sql"].startswith("INSERT INTO") and "ETL_LOG" in e["sql"]]
            self.assertEqual(len(logs), 3)  # one a run
            self.assertEqual(snow.sql("SELECT count(*) FROM PAWL.ETL_LOG WHERE stage = 'merge' AND status = 'ok'"),
                             snow.sql("SELECT count(*) FROM PAWL.PAWL_LOAD"))

    def test_killed_anywhere_around_a_load_and_run_again(self):
        with World(calls=60) as world:
            empty = SnowSite(world.folder / "empty", world, self.fixture, "EMPTY")
            words = ("historic", "--to", "2026-03-09", "--stream", "calls")
            calm = empty.copy("calm")
            names = calm.folder / "points"
            calm.run(*words, env={"PAWL_TEST_KILL_LIST": str(names)})
            wanted = table(calm, "calls")
            self.assertGreater(len(wanted), 20)
            ours = re.compile("warehouse |stage put|copy,|commit|log append")
            points = [p for p in dict.fromkeys(names.read_text().splitlines()) if ours.match(p)]
            self.assertGreater(len([p for p in points if p.startswith("commit")]), 1)
            # All around the commit; of the rest every third.
            points = [p for i, p in enumerate(points) if p.startswith("commit") or i % 3 == 0]
            for number, point in enumerate(points):
                with self.subTest(point):
                    site = empty.copy(f"kill-{number}")
                    self.assertEqual(site.run(*words, env={"PAWL_TEST_KILL_AT": point}, check=False).returncode,
                                     -signal.SIGKILL)
                    site.run(*words)
                    self.assertEqual(table(site, "calls"), wanted)
                    self.assertEqual(site.sql("SELECT count(*) - count(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])

    def test_the_other_modes_killed_around_their_commits_and_run_again(self):
        with World(calls=40, accounts=1) as world:
            base = SnowSite(world.folder / "base", world, self.fixture, "BASE")
            base.run("historic", "--to", "2026-03-09", "--stream", "calls")
            world.advance("2026-03-12T18:00:00Z")
            day = {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06"}
            for mode, words, changes in (("incremental", (), {"every": 1, "limit": 1, "do": "edit", "set": {"notes": "late"}}),
                                         ("rehydration", ("--from", "2026-03-04", "--to", "2026-03-09"), {"every": 3, "limit": 2, "do": "delete"})):
                world.control("mutate", {**day, **changes})
                words = (mode, *words, "--stream", "calls")
                calm = base.copy(f"calm-{mode}")
                calm.run(*words, env={"PAWL_TEST_KILL_LIST": str(calm.folder / "points")})
                wanted = table(calm, "calls")
                points = list(dict.fromkeys((calm.folder / "points").read_text().splitlines()))
                chosen = [p for p in points if p.startswith("commit")] + [p for p in points if p.startswith(("copy,", "stage put"))][:2]
                self.assertGreater(len(chosen), 2, points)
                for number, point in enumerate(chosen):
                    with self.subTest(f"{mode}: {point}"):
                        site = base.copy(f"{mode}-{number}")
                        self.assertEqual(site.run(*words, env={"PAWL_TEST_KILL_AT": point}, check=False).returncode, -signal.SIGKILL)
                        site.run(*words)
                        self.assertEqual(table(site, "calls"), wanted)
                        self.assertEqual(site.sql("SELECT count(*) - count(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])
                if mode == "rehydration":
                    self.assertEqual(sum(row["gone"] == "true" for row in wanted.values()), 2)
                base.run(*words)


if __name__ == "__main__":
    unittest.main()
