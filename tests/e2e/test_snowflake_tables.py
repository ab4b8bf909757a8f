"""Audit, adopt and forget on Snowflake's fixture: names as Snowflake keeps them, kills, and the rights that each needs."""
import json, os, re, shutil, signal, subprocess, unittest

from snow import SnowSite, SnowTestCase, table
from world import ROOT, World, select_wait

DAYS = ("--from", "2026-03-03", "--to", "2026-03-06")
PHONE = "+15005550199"
KILLS = int(os.environ.get("PAWL_KILLS", "8"))
# As Fivetran writes them: upper-case names, which nobody quotes, and a column that holds JSON.
FEED = ("CREATE TABLE FIVE.CALLS AS SELECT id, account_id, called_at, direction, duration, caller_number, agent_email, notes, tag_list,"
        " FALSE AS _fivetran_deleted, '2026-03-08 00:00:00+00'::TIMESTAMP_TZ AS _fivetran_synced FROM CTM.CALLS")
# As some write them: lower-case names, which everybody must quote.
QUOTED = ('CREATE TABLE SIX."calls" AS SELECT id AS "id", account_id AS "account_id", called_at AS "called_at", duration AS "duration",'
          ' notes AS "notes", \'1\' AS "_dlt_load_id" FROM CTM.CALLS')
LEDGER = ("PAWL_LOAD", "PAWL_SLICE", "PAWL_STATE")


class Tables(SnowTestCase):
    def site(self, world, name, statements=(), schemas=("FIVE", "SIX")):
        """A warehouse with a few days of calls, among them those of one person."""
        self.fixture.control("drop", {"name": name})
        snow = SnowSite(world.folder / name.lower(), world, self.fixture, name)
        self.fixture.control("database", {"name": name, "schemas": list(schemas)})
        snow.run("historic", *DAYS, "--stream", "calls")
        for statement in statements:
            snow.sql(statement)
        return snow

    def people(self, world):
        """Two calls of one person, one that names the person where no column is, and a record that goes to the quarantine."""
        insert = lambda day, **fields: world.control("mutate", {"account": 1001, "do": "insert", "unix_time": day, "set": {
            "name": "Canary", "notes": "it's a \\ canary", **fields}})["ids"][0]
        insert(1772553600, caller_number="(500) 555-0199", caller_number_complete=PHONE)
        insert(1772726400, caller_number="no number", caller_number_complete=None, contact_number="+15005550100",
               alternative_number=PHONE)
        broken = insert(1772726400, caller_number=PHONE)
        world.control("mutate", {"account": 1001, "id": broken, "do": "edit", "raw": {"id": "null"}})

    def traces(self, snow):
        """Rows of each table that hold a trace of the person."""
        return {name: count for name in ("CALLS", "CALLS__QUARANTINE") for ((count,),) in [snow.sql(
            f"SELECT COUNT(*) FROM (SELECT {self.texts(snow, name)} AS text FROM CTM.{name}) AS t WHERE text LIKE"
            " '%5550199%' OR text LIKE '%555-0199%' OR text LIKE '%anary%'")] if count != "0"}

    def texts(self, snow, name):
        columns = snow.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = 'CTM' AND table_name ="
                           f" '{name}' AND data_type IN ('TEXT', 'VARIANT')")
        return " || ".join(f"COALESCE(CAST({column} AS VARCHAR), '')" for (column,) in columns)

    # ---- forget

    def test_a_person_is_nowhere_and_stays_away(self):
        with World(calls=60, accounts=1) as world:
            self.people(world)
            snow = self.site(world, "FORGET")
            rows = int(snow.sql("SELECT count(*) FROM CTM.CALLS")[0][0])
            self.assertEqual(self.traces(snow), {"CALLS": "2", "CALLS__QUARANTINE": "1"})
            dry = snow.report_of("forget", "--phone", PHONE, "--dry-run")
            self.assertEqual([(t["table"], t["rows"], t["quarantined"]) for t in dry["tables"] if t["rows"]], [("ctm.calls", 2, 1)])
            self.assertEqual(self.traces(snow), {"CALLS": "2", "CALLS__QUARANTINE": "1"})
            log = len(self.fixture.log())
            receipt = snow.report_of("forget", "--phone", PHONE)
            self.assertEqual([(t["table"], t["rows"], t["quarantined"]) for t in receipt["tables"] if t["rows"]], [("ctm.calls", 2, 1)])
            waits = " ".join(wait["what"] for wait in receipt["waits"] if wait["where"] == "warehouse")
            for word in ("DATA_RETENTION_TIME_IN_DAYS", "Fail-safe", "clones", "QUERY_HISTORY"):
                self.assertIn(word, waits)
            self.assertEqual(self.traces(snow), {})
            self.assertEqual(int(snow.sql("SELECT count(*) FROM CTM.CALLS")[0][0]), rows - 2)
            # What Snowflake keeps of statements for a year holds no record, only what was looked for.
            self.assertFalse([e["sql"] for e in self.fixture.log()[log:] if "anary" in e["sql"]])
            self.assertEqual(snow.report(snow.run("rehydration", *DAYS, "--stream", "calls"))["forgotten"], 3)
            self.assertEqual(self.traces(snow), {})

    def test_an_id_that_json_and_like_write_in_their_own_ways_is_erased(self):
        odd = 'CORP\\canary "x" 100%_\u00fc'
        with World(calls=20, accounts=1) as world:
            for sid in (odd, odd.replace("x", "y"), "CORPcanary"):
                world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {"visitor_sid": sid}})
            snow = self.site(world, "ODD_IDS")
            shutil.rmtree(snow.folder / "lake/ctm/runs")  # rows are found by what stands in them
            rows = int(snow.sql("SELECT count(*) FROM CTM.CALLS")[0][0])
            receipt = snow.report_of("forget", "--id", odd)
            self.assertEqual([(t["table"], t["rows"]) for t in receipt["tables"] if t["rows"]], [("ctm.calls", 1)])
            self.assertEqual(int(snow.sql("SELECT count(*) FROM CTM.CALLS")[0][0]), rows - 1)
            self.assertEqual(snow.report(snow.run("rehydration", *DAYS, "--stream", "calls"))["forgotten"], 1)
            self.assertEqual(int(snow.sql("SELECT count(*) FROM CTM.CALLS")[0][0]), rows - 1)

    def test_a_redacted_call_has_a_receipt_that_tells_of_time_travel(self):
        with World(calls=40, accounts=1) as world:
            call = world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {
                "notes": "canary"}})["ids"][0]
            snow = self.site(world, "REDACTED")
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"redacted": True, "notes": None}})
            snow.run("rehydration", *DAYS, "--stream", "calls")
            self.assertEqual(self.traces(snow), {})
            receipt = snow.redaction_receipt()
            self.assertEqual((receipt["landing"]["records"], receipt["warehouse_rewritten"]), (1, False))
            waits = " ".join(wait["what"] for wait in receipt["waits"] if wait["where"] == "warehouse")
            for word in ("DATA_RETENTION_TIME_IN_DAYS", "Fail-safe", "clones"):
                self.assertIn(word, waits)
            self.assertNotIn("QUERY_HISTORY", waits)  # nobody looked for anything

    def test_a_kill_in_the_middle_of_forgetting(self):
        with World(calls=40, accounts=1) as world:
            self.people(world)
            snow = self.site(world, "FORGETTING")
            calm = snow.copy("forget-calm")
            calm.report_of("forget", "--phone", PHONE, env={"PAWL_TEST_KILL_LIST": str(calm.folder / "points")})
            points = list(dict.fromkeys((calm.folder / "points").read_text().splitlines()))
            wanted = table(calm, "calls")
            chosen = [p for p in points if "forget" in p] + (points if KILLS == 0 else [
                points[i * len(points) // 3] for i in range(3)])
            self.assertIn("execute, forget rows", chosen)
            self.assertIn("executed, forget rows", chosen)
            for number, point in enumerate(dict.fromkeys(chosen)):
                with self.subTest(point):
                    site = snow.copy(f"forget-{number}")
                    done = site.pawl("forget", str(site.job), "--phone", PHONE, env={"PAWL_TEST_KILL_AT": point}, check=False)
                    self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                    site.report_of("forget", "--phone", PHONE)
                    self.assertEqual(self.traces(site), {})
                    self.assertEqual(table(site, "calls"), wanted)

    def test_a_load_whose_client_was_killed_brings_nobody_back(self):
        """Its request is still under way in Snowflake when the person is erased, and ends afterwards."""
        with World(calls=20, accounts=1) as world:
            snow = self.site(world, "ZOMBIE")
            before = table(snow, "calls")
            self.people(world)
            self.fixture.faults({"at": "before", "match": "COMMIT", "do": "hold"})
            snow.runs += 1
            command, env = snow.command("run", str(snow.job), "--mode", "rehydration", *DAYS, "--stream", "calls")
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while self.fixture.control("held") == 0 and process.poll() is None:
                select_wait()
            process.kill()
            process.wait()
            snow.report_of("forget", "--phone", PHONE)
            # What it had staged is gone; without that its guard would hold it back.
            self.assertEqual([("does not exist" in failure["message"], failure["code"]) for failure in self.fixture.control("release", {})],
                             [(True, "100132")])
            self.assertEqual(self.traces(snow), {})
            self.assertEqual(table(snow, "calls"), before)

    # ---- what is left over

    def staging(self, snow):
        return [name for (name,) in snow.sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%STAGE%'")]

    def test_what_killed_loads_and_old_marks_left_goes(self):
        with World(calls=20, accounts=1) as world:
            self.people(world)
            snow = SnowSite(world.folder / "left", world, self.fixture, "LEFT_OVER")
            words = ("historic", *DAYS, "--stream", "calls")
            kill = {"PAWL_TEST_KILL_AT": "commit, calls load 0"}
            self.assertEqual(snow.run(*words, env=kill, check=False).returncode, -signal.SIGKILL)
            left = self.staging(snow)
            self.assertEqual(len(left), 2)
            # It may still be under way: the next run leaves it alone. Forgetting makes sure that it is not.
            self.assertEqual(snow.run(*words, env=kill, check=False).returncode, -signal.SIGKILL)
            self.assertEqual(len(self.staging(snow)), 4)
            snow.report_of("forget", "--phone", PHONE)
            self.assertEqual(self.staging(snow), [])
            self.assertEqual(snow.run(*words, env=kill, check=False).returncode, -signal.SIGKILL)
            left = self.staging(snow)
            self.assertGreater(len(left), 0)
            # Somebody else's: of no load, and of a table of another schema. Earlier versions left theirs beside the table.
            others = ["CALLS__STAGE_0123456789AB_0123456789AB_1", "CALLS__STAGE_X"]
            for place in ('CTM."CALLS__STAGE_X"', 'PAWL."CALLS__STAGE_0123456789AB_0123456789AB_1"', 'CTM."CALLS__STAGE_0123456789AB_1"'):
                snow.sql(f"CREATE TABLE {place} AS SELECT 1 AS one")
            # Marks: 12,000 that were replaced, some of them from before a rewind.
            snow.sql("INSERT INTO PAWL.PAWL_STATE (kind, job, target, stream, partition_key, watermark, sequence) SELECT 'watermark', 'old',"
                     " 'ctm.calls', 'calls', 'p', '2026-01-01 00:00:00+00'::TIMESTAMP_TZ, 1 FROM (VALUES " + ", ".join(["(1)"] * 12000) + ")")
            snow.sql("INSERT INTO PAWL.PAWL_STATE (kind, job, target, stream, partition_key, watermark, sequence) VALUES"
                     " ('rewind', 'old', 'ctm.calls', 'calls', 'p', '2025-01-01 00:00:00+00'::TIMESTAMP_TZ, 2),"
                     " ('watermark', 'old', 'ctm.calls', 'calls', 'p', '2025-02-01 00:00:00+00'::TIMESTAMP_TZ, 3),"
                     " ('watermark', 'old', 'ctm.calls', 'calls', 'p', '2025-01-15 00:00:00+00'::TIMESTAMP_TZ, 4)")
            snow.sql("INSERT INTO PAWL.PAWL_STATE (kind, job, mode, epoch) VALUES ('epoch', 'old', 'x', 1), ('epoch', 'old', 'x', 2)")
            marks = snow.sql("SELECT * FROM PAWL.PAWL_WATERMARK ORDER BY 1, 2, 3, 4")
            world.advance("2026-03-14T18:00:00Z")
            self.fixture.control("log", {"clear": True})
            snow.run(*words)
            # Two runs may come upon it at once: neither waits for the other half a day.
            deletes = [e["settings"].get("LOCK_TIMEOUT") for e in self.fixture.log() if e["sql"].startswith("DELETE")]
            self.assertEqual(deletes, ["600", "600"])
            self.assertEqual(sorted(self.staging(snow)), others)
            self.assertEqual(snow.sql("SELECT kind, epoch, sequence FROM PAWL.PAWL_STATE WHERE job = 'old' ORDER BY 1, 2, 3"),
                             [["epoch", "2", None], ["rewind", None, "2"], ["watermark", None, "3"]])
            self.assertEqual([m for m in snow.sql("SELECT * FROM PAWL.PAWL_WATERMARK ORDER BY 1, 2, 3, 4") if m[0] == "old"], marks)
            # check tries the stage's own store.
            self.assertIn("warehouse stage: is writable", snow.pawl("check", str(snow.job), check=False).stdout)
            stage = dict(json.loads(snow.job.read_text())["warehouse"]["stage"])
            (snow.folder / "file").write_text("")
            snow.change(stage={**stage, "files": {"store": "local", "path": "./file/stage"}})
            done = snow.pawl("check", str(snow.job), check=False)
            self.assertIn("FAULT warehouse stage: ", done.stdout + done.stderr)

    # ---- audit

    def test_a_feed_s_table_is_compared_and_mended(self):
        with World(calls=60) as world:
            snow = self.site(world, "AUDIT", (FEED, QUOTED))
            words = ("audit", *DAYS, "--table")
            for name, columns in (("five.calls", 9), ("FIVE.CALLS", 9), ("six.calls", 5), ("Six.Calls", 5)):
                report = snow.report_of(*words, name)
                self.assertEqual({k: report[k] for k in ("missing", "doubled", "stale", "vanished")},
                                 dict.fromkeys(("missing", "doubled", "stale", "vanished"), 0), name)
                self.assertEqual(report["feed"], "dlt" if name[0] in "sS" else "Fivetran")
                self.assertGreaterEqual(report["columns_compared"], columns, name)
            for number, (name, key, notes) in enumerate((("FIVE.CALLS", "id", "notes"), ('SIX."calls"', '"id"', '"notes"'))):
                spelled = name.replace('"', "")
                lost, other = snow.sql(f"SELECT {key} FROM {name} ORDER BY 1 LIMIT 2")
                snow.sql(f"DELETE FROM {name} WHERE {key} = {lost[0]}")
                snow.sql(f"UPDATE {name} SET {notes} = 'long ago' WHERE {key} = {other[0]}")
                report = snow.report_of(*words, spelled, expected=3)
                self.assertEqual((report["missing"], report["stale"]), (1, 1))
                report = snow.report_of(*words, spelled, "--repair")
                self.assertEqual((report["inserted"], report["updated"]), (1, 1))
                report = snow.report_of(*words, spelled)
                self.assertEqual((report["missing"], report["stale"], report["doubled"]), (0, 0, 0))
            # JSON came as JSON, not as a text that holds it.
            kinds = snow.sql("SELECT TYPEOF(tag_list), COUNT(*) FROM FIVE.CALLS WHERE tag_list IS NOT NULL GROUP BY 1")
            self.assertEqual([kind for kind, _ in kinds], ["ARRAY"], kinds)

    def test_every_feed_is_understood(self):
        feeds = {
            "AIRBYTE": "CAST(id AS VARCHAR) AS _airbyte_raw_id, CURRENT_TIMESTAMP() AS _airbyte_extracted_at, PARSE_JSON('{}') AS _airbyte_meta, id,"
                       " account_id, EXTRACT(EPOCH FROM called_at)::NUMBER(19,0) AS unix_time, direction, duration, OBJECT_CONSTRUCT('id', agent_id,"
                       " 'name', agent_name, 'email', agent_email)::VARIANT AS agent, notes, tag_list",
            "DLT": "id, account_id, called_at, direction, duration, agent_email AS agent__email, notes, '1' AS _dlt_load_id, 'x' AS _dlt_id",
            "SINGER": "CAST(id AS VARCHAR) AS id, CAST(account_id AS VARCHAR) AS account_id, called_at, direction, duration, notes,"
                      " CURRENT_TIMESTAMP() AS _sdc_extracted_at",
        }
        with World(calls=40, accounts=1) as world:
            snow = self.site(world, "FEEDS", schemas=(*feeds, "RAW"))
            found = lambda report: [report[name] for name in ("missing", "doubled", "stale", "vanished")]
            ids = [id for (id,) in snow.sql("SELECT id FROM CTM.CALLS ORDER BY id LIMIT 3")]
            for feed, columns in feeds.items():
                with self.subTest(feed):
                    snow.sql(f"CREATE TABLE {feed}.CALLS AS SELECT {columns} FROM CTM.CALLS")
                    words = ("audit", *DAYS, "--table", f"{feed.lower()}.calls")
                    report = snow.report_of(*words)
                    self.assertEqual((found(report), report["feed"].upper()), ([0, 0, 0, 0], feed))
                    self.assertGreater(report["columns_compared"], 5)
                    for statement in (f"DELETE FROM {feed}.CALLS WHERE CAST(id AS VARCHAR) = '{ids[0]}'",
                                      f"UPDATE {feed}.CALLS SET notes = 'long ago' WHERE CAST(id AS VARCHAR) = '{ids[1]}'",
                                      f"INSERT INTO {feed}.CALLS SELECT * FROM {feed}.CALLS WHERE CAST(id AS VARCHAR) = '{ids[2]}'"):
                        snow.sql(statement)
                    self.assertEqual(found(snow.report_of(*words, expected=3)), [1, 1, 1, 0])
                    snow.report_of(*words, "--repair", expected=3)
                    self.assertEqual(found(snow.report_of(*words, expected=3)), [0, 1, 0, 0])
            # Records as they were sent.
            snow.sql("CREATE TABLE RAW.CALLS (_airbyte_raw_id VARCHAR, _airbyte_extracted_at TIMESTAMP_TZ, _airbyte_data VARIANT)")
            for day in range(3, 7):
                page = world.get(f"/accounts/1001/calls?start_date=2026-03-0{day}&end_date=2026-03-0{day}&per_page=150")
                for record in page["calls"]:
                    text = json.dumps(record).replace("\\", "\\\\").replace("'", "''")
                    snow.sql(f"INSERT INTO RAW.CALLS SELECT 'x', CURRENT_TIMESTAMP(), PARSE_JSON('{text}')")
            self.assertEqual(found(snow.report_of("audit", *DAYS, "--table", "raw.calls")), [0, 0, 0, 0])
            snow.sql(f"DELETE FROM RAW.CALLS WHERE _airbyte_data['id']::VARCHAR = '{ids[0]}'")
            self.assertEqual(found(snow.report_of("audit", *DAYS, "--table", "raw.calls", expected=3)), [1, 0, 0, 0])

    def test_a_table_of_ours_is_compared_by_hash_and_repaired_through_the_ledger(self):
        with World(calls=60, accounts=1) as world:
            snow = self.site(world, "OWN")
            wanted = table(snow, "calls")
            words = ("audit", *DAYS, "--table", "ctm.calls")
            self.assertEqual(snow.report_of(*words)["stale"], 0)
            ids = [row[0] for row in snow.sql("SELECT id FROM CTM.CALLS ORDER BY id LIMIT 4")]
            snow.sql(f"INSERT INTO CTM.CALLS SELECT * FROM CTM.CALLS WHERE id = {ids[0]}")
            snow.sql(f"DELETE FROM CTM.CALLS WHERE id = {ids[1]}")
            snow.sql(f"UPDATE CTM.CALLS SET notes = 'tampered', _row_hash = _row_key WHERE id = {ids[2]}")
            snow.sql(f"UPDATE CTM.CALLS SET _deleted_at = CURRENT_TIMESTAMP() WHERE id = {ids[3]}")
            report = snow.report_of(*words, expected=3)
            self.assertEqual([report[k] for k in ("missing", "doubled", "stale", "vanished")], [1, 1, 2, 0])
            snow.report_of(*words, "--repair")
            self.assertEqual([snow.report_of(*words)[k] for k in ("missing", "doubled", "stale", "vanished")], [0, 0, 0, 0])
            self.assertEqual(table(snow, "calls"), wanted)
            # Doubled, and gone at the source: it stays once.
            world.control("mutate", {"account": 1001, "id": int(ids[0]), "do": "delete"})
            snow.sql(f"INSERT INTO CTM.CALLS SELECT * FROM CTM.CALLS WHERE id = {ids[0]}")
            snow.report_of(*words, "--repair")
            for key, row in wanted.items():
                wanted[key] = {**row, "gone": "true" if str(row["id"]) == ids[0] else row["gone"]}
            self.assertEqual(table(snow, "calls"), wanted)
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM CTM.CALLS"), [[str(len(wanted))]])

    # ---- adopt

    def fed(self, world, name, feed, *statements):
        """A warehouse that only the other tool has ever filled; the landing store is empty."""
        snow = self.site(world, name, [feed, *(f"DROP TABLE CTM.CALLS{suffix}" for suffix in ("", "__QUARANTINE", "__PAWL")),
                                       *(f"DELETE FROM PAWL.{ledger}" for ledger in LEDGER), *statements])
        shutil.rmtree(snow.folder / "lake")
        return snow

    def objects(self, snow, schema):
        return sorted(map(tuple, snow.sql("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema ="
                                          f" '{schema}'")))

    def test_a_feed_s_table_is_taken_over(self):
        with World(calls=60) as world:
            world.run("historic", *DAYS, "--stream", "calls")
            for feed, given, schema, before, column in ((FEED, "five.calls", "FIVE", "CALLS__BEFORE_PAWL", "notes"),
                                                        (QUOTED, "six.CALLS", "SIX", "calls__before_pawl", '"notes"')):
                with self.subTest(given):
                    snow = self.fed(world, f"ADOPT_{schema}", feed)
                    old = before[:5]
                    rows = snow.sql(f'SELECT COUNT(*), MIN({column}) FROM {schema}."{old}"')
                    report = snow.report_of("adopt", "--table", given)
                    self.assertEqual((report["adopted"], report["left_out"], report["watermarks"]), (int(rows[0][0]), 0, 2))
                    self.assertEqual(report["before"], f"{schema}.{before}")
                    self.assertEqual(self.objects(snow, schema), [(old, "VIEW"), (before, "BASE TABLE")])
                    self.assertEqual(snow.sql(f'SELECT COUNT(*), MIN({column}) FROM {schema}."{old}"'), rows)
                    self.assertTrue(snow.report_of("adopt", "--table", given)["already"])
                    # Each day's next reading writes the rows once, then no more.
                    days = ("rehydration", *DAYS, "--stream", "calls")
                    self.assertEqual(snow.report(snow.run(*days))["updated"], int(rows[0][0]))
                    self.assertEqual(table(snow, "calls"), table(world, "calls"))
                    self.assertEqual(snow.report(snow.run(*days))["updated"], 0)

    def test_raw_records_are_taken_over_with_their_hashes(self):
        with World(calls=20, accounts=1) as world:
            inserts = []
            for day in range(3, 7):
                page = world.get(f"/accounts/1001/calls?start_date=2026-03-0{day}&end_date=2026-03-0{day}&per_page=150"
                                 "&exclude_fields=transcription_text,chat_messages")
                for record in page["calls"]:
                    text = json.dumps(record).replace("\\", "\\\\").replace("'", "''")
                    inserts.append(f"INSERT INTO FIVE.CALLS SELECT '2026-03-08 00:00:00+00'::TIMESTAMP_TZ, PARSE_JSON('{text}')")
            snow = self.fed(world, "ADOPT_RAW", "CREATE TABLE FIVE.CALLS (_airbyte_extracted_at TIMESTAMP_TZ, _airbyte_data VARIANT)", *inserts)
            report = snow.report_of("adopt", "--table", "five.calls")
            self.assertEqual((report["adopted"], report["hashes_exact"]), (len(inserts), True))
            self.assertEqual(snow.report(snow.run("rehydration", *DAYS, "--stream", "calls"))["updated"], 0)

    def test_a_table_that_bears_the_target_s_own_name(self):
        with World(calls=40, accounts=1) as world:
            feed = FEED.replace("FIVE.CALLS", "CTM.FEED")
            snow = self.fed(world, "SAME", feed, 'ALTER TABLE "CTM"."FEED" RENAME TO "CTM"."CALLS"')
            rows = int(snow.sql("SELECT COUNT(*) FROM CTM.CALLS")[0][0])
            report = snow.report_of("adopt", "--table", "ctm.calls")
            self.assertEqual((report["adopted"], report["view"]), (rows, False))
            self.assertEqual(snow.sql("SELECT COUNT(*) FROM CTM.CALLS__BEFORE_PAWL"), [[str(rows)]])
            self.assertTrue(snow.report_of("adopt", "--table", "ctm.calls")["already"])

    def test_a_kill_in_the_middle_of_adopting(self):
        with World(calls=40, accounts=1) as world:
            snow = self.fed(world, "ADOPTING", FEED)
            calm = snow.copy("adopt-calm")
            calm.report_of("adopt", "--table", "five.calls", env={"PAWL_TEST_KILL_LIST": str(calm.folder / "points")})
            points = list(dict.fromkeys((calm.folder / "points").read_text().splitlines()))
            wanted, shown = table(calm, "calls"), self.objects(calm, "FIVE")
            chosen = [p for p in points if re.match("adopt|execute|commit|copy", p)] + (points if KILLS == 0 else [
                points[i * len(points) // 3] for i in range(3)])
            for point in ("adopt noted", "commit, calls load 0", "execute, adopt view", "executed, adopt view"):
                self.assertIn(point, chosen)
            for number, point in enumerate([*dict.fromkeys(chosen), "between the view and its table's new name"]):
                with self.subTest(point):
                    site = snow.copy(f"adopt-{number}")
                    if point not in points:  # DDL commits by itself: the table has its new name when the view fails
                        self.fixture.faults({"at": "sql", "match": 'CREATE VIEW "FIVE"'})
                    done = site.pawl("adopt", str(site.job), "--table", "five.calls", env={"PAWL_TEST_KILL_AT": point}, check=False)
                    self.assertEqual(done.returncode, -signal.SIGKILL if point in points else 8, done.stderr)
                    report = site.report_of("adopt", "--table", "five.calls")
                    self.assertFalse(report["adopted"] and point.startswith("executed"))
                    self.assertEqual(table(site, "calls"), wanted)
                    self.assertEqual(self.objects(site, "FIVE"), shown)
                    self.assertEqual(site.sql("SELECT COUNT(*) - COUNT(DISTINCT load_id) FROM PAWL.PAWL_LOAD"), [["0"]])

    # ---- rights

    # ---- promote

    def test_promoting_paths_at_any_depth_gives_the_rows_that_duckdb_has(self):
        extra = [{"a b": {"c": "it's", "d": 1}, "e": 2}, {"a b": {"c": "5"}}, {"a b": {"d": {"c": 3}}}, {"a b": [{"c": "x"}]},
                 {"a b": "c"}, {"a b": {"c": None}}, "a b"]
        with World(calls=40, accounts=1) as world:
            for value in extra:
                world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772553600, "set": {"extra": value}})
            contracts = world.folder / "contracts"
            shutil.copytree(ROOT / "connectors/ctm/contracts", contracts)
            job = json.loads(world.job.read_text())
            job["streams"]["calls"]["contract"] = "../contracts/calls.json"
            (world.folder / "duck").mkdir()
            world.job.write_text(json.dumps(job).replace("../contracts", str(contracts)))
            snow = self.site(world, "PROMOTE", schemas=())
            world.run("historic", *DAYS, "--stream", "calls")
            before = table(snow, "calls")
            # Each path in turn: what is around it stays where it was, also the lists and texts that stand in its place.
            for path, column, type_, rows in (("/extra/a b/c", "deep", "string", 2), ("/extra/e", "middle", "int64", 1),
                                              ("/extra/a b/0/c", "listed", "string", 0), ("/cnam", "cnam", "string", None)):
                kept = contracts.joinpath("calls.json").read_text()
                told = [json.loads(site.pawl("contract", "promote", str(contracts / "calls.json"), path, "--name", column, "--type",
                                             type_, "--job", str(site.job), "--json").stdout)
                        for site in (world, snow) if contracts.joinpath("calls.json").write_text(kept)]
                self.assertEqual(told[0], told[1], path)
                self.assertEqual(told[1]["rows"], told[1]["rows"] if rows is None else rows, path)
                self.assertEqual(self.promoted(snow, column), self.promoted(world, column), path)
            after = table(snow, "calls")
            self.assertEqual(after, table(world, "calls"))
            self.assertEqual({k: v["_row_hash"] for k, v in after.items()}, {k: v["_row_hash"] for k, v in before.items()})
            self.assertEqual(sorted(json.dumps(v["_overflow"]["extra"]) for v in after.values() if "extra" in (v["_overflow"] or {})),
                             sorted(map(json.dumps, [{"a b": {"d": 1}}, {"a b": {}}, *extra[2:]])))

    def promoted(self, site, column):
        rows = site.pawl("query", str(site.job), f"SELECT id, {column} FROM ctm.calls WHERE {column} IS NOT NULL ORDER BY 1", "--json")
        return [tuple(map(str, json.loads(line))) for line in rows.stdout.splitlines()]

    def test_the_loader_may_mend_and_forget_what_it_owns(self):
        with World(calls=20, accounts=1) as world:
            self.people(world)
            self.fixture.control("drop", {"name": "CALLS_DB"})
            self.fixture.control("grants", {"files": [str(ROOT / f"deploy/snowflake/{name}.sql") for name in (
                "01_roles", "02_database", "03_warehouse", "04_stage")]})
            snow = self.site(world, "CALLS_DB", schemas=(), statements=(
                "INSERT INTO CTM.CALLS SELECT * FROM CTM.CALLS WHERE id = (SELECT MIN(id) FROM CTM.CALLS)",))
            snow.report_of("audit", *DAYS, "--table", "ctm.calls", "--repair")
            self.assertEqual(snow.report_of("audit", *DAYS, "--table", "ctm.calls")["doubled"], 0)
            snow.report_of("forget", "--phone", PHONE)
            self.assertEqual(self.traces(snow), {})
            self.assertEqual([e for e in self.fixture.log() if e["error"]], [])

    def test_each_right_on_a_feed_s_table_is_needed(self):
        files = sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))
        listed = (ROOT / "docs/snowflake.md").read_text()
        feed, schema = ["TABLE", "CALLS_DB.FIVE.CALLS"], ["SCHEMA", "CALLS_DB.FIVE"]
        repair = [["INSERT", *feed], ["UPDATE", *feed]]
        adopt = [["OWNERSHIP", *feed], ["CREATE TABLE", *schema], ["CREATE VIEW", *schema]]
        commands = [(("audit", *DAYS, "--table", "five.calls"), [["USAGE", *schema], ["SELECT", *feed]], repair + adopt),
                    (("audit", *DAYS, "--table", "five.calls", "--repair"), repair, adopt),
                    (("adopt", "--table", "five.calls"), adopt, [])]
        with World(calls=20, accounts=1) as world:
            for words, needed, others in commands:
                for right in [*needed, None]:
                    with self.subTest(f"{words[0]} without {right}"):
                        snow = self.fed(world, "CALLS_DB", FEED, "DELETE FROM FIVE.CALLS WHERE id = (SELECT MIN(id) FROM FIVE.CALLS)",
                                        "UPDATE FIVE.CALLS SET notes = 'x' WHERE id = (SELECT MAX(id) FROM FIVE.CALLS)")
                        without = [["PAWL_LOADER", *r] for r in others + ([right] if right else [])]
                        self.fixture.control("grants", {"files": files, "without": without})
                        done = snow.pawl(words[0], str(snow.job), *words[1:], check=False)
                        errors = [e["error"] for e in self.fixture.log() if e["error"]]
                        self.fixture.control("grants")
                        if right is None:
                            self.assertEqual((done.returncode, errors), (3 if words == commands[0][0] else 0, []), done.stderr)
                        else:
                            self.assertIn(done.returncode, (4, 5), done.stdout + done.stderr)
                            name = right[2].replace("CALLS_DB.", "")
                            self.assertIn(f"{right[0]} ON {right[1]} {name}", listed)
                    self.fixture.reset()

    def test_the_manual_lists_each_statement_with_what_it_needs(self):
        """Whatever the commands send is compared with the table of docs/snowflake.md, and nothing stands there that none sends."""
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in
                (ROOT / "docs/snowflake.md").read_text().split("| --- | --- | --- | --- |\n")[1].split("\n\n")[0].splitlines()]
        listed = [({kind for code in re.findall(r"`([^`]+)`", row[0]) if (kind := self.kind(code))}, row[2], row[3]) for row in rows]
        with World(calls=20, accounts=1) as world:
            self.people(world)
            contract = world.folder / "calls.json"
            shutil.copy(ROOT / "connectors/ctm/contracts/calls.json", contract)
            job = json.loads(world.job.read_text())
            job["streams"]["calls"]["contract"] = str(contract)
            world.job.write_text(json.dumps(job))
            # What another tool filled is there before pawl is, and is Snowflake's own to make.
            snow = self.fed(world, "CALLS_DB", FEED, "DELETE FROM FIVE.CALLS WHERE id = (SELECT MIN(id) FROM FIVE.CALLS)",
                            "UPDATE FIVE.CALLS SET notes = 'x' WHERE id = (SELECT MAX(id) FROM FIVE.CALLS)")
            self.fixture.reset()
            self.fixture.control("grants", {"files": sorted(map(str, (ROOT / "deploy/snowflake").glob("*.sql")))})
            self.fixture.control("own", {"database": "CALLS_DB", "schemas": ["CTM", "PAWL"], "role": "PAWL_LOADER"})
            snow.pawl("check", str(snow.job), check=False)
            snow.run("rehydration", *DAYS)
            snow.run("incremental", *DAYS)
            for words, code in ((("audit", *DAYS, "--table", "five.calls", "--repair"), 0), (("adopt", "--table", "five.calls"), 0),
                                (("audit", *DAYS, "--table", "ctm.calls", "--repair"), 0), (("forget", "--phone", PHONE), 0)):
                snow.report_of(*words, expected=code)
            snow.pawl("contract", "promote", str(contract), "/cnam", "--job", str(snow.job))
            snow.pawl("replay", str(snow.job), "--rewrite")
            snow.pawl("state", "rewind", str(snow.job), "--stream", "calls", "--account", "1001", "--to", "2026-03-04T00:00:00Z")
            snow.pawl("status", str(snow.job))
            log = self.fixture.log()
        self.assertEqual([e["error"] for e in log if e["error"]], [])
        # Whatever changes rows waits for a lock as long as it was told, not half a day.
        for entry in log:
            if entry["sql"].split()[0] in ("UPDATE", "MERGE", "DELETE"):
                self.assertIn("LOCK_TIMEOUT", entry["settings"], entry["sql"][:200])
        seen = {}
        for entry in log:
            seen.setdefault(self.kind(entry["sql"]) or entry["sql"][:60], set()).update(entry.get("needs", ()))
        for kind, needs in seen.items():
            with self.subTest(kind):
                mine = [row for row in listed if kind in row[0]]
                self.assertTrue(mine, "it is not in the table")
                for need in needs:
                    need = need.replace("CALLS_DB.", "")
                    if need.startswith(("USAGE ON DATABASE", "USAGE ON SCHEMA")):
                        continue  # of every statement, as is said above the table
                    if need.startswith("USAGE ON WAREHOUSE"):
                        self.assertTrue(any(row[2] != "no" for row in mine), "the table says that it wakes no warehouse")
                    else:
                        self.assertTrue(any(need in row[1] for row in mine), need)
        self.assertEqual(set().union(*(row[0] for row in listed)) - set(seen), set(), "nothing sends these")

    @staticmethod
    def kind(sql):
        """What a statement begins with, as the table has it; None for what is no statement."""
        match = re.match(r"CREATE TABLE IF NOT EXISTS|CREATE OR REPLACE (?:TRANSIENT TABLE|VIEW)|CREATE (?:TABLE|VIEW)|ALTER TABLE\b.*?"
                         r"(ADD COLUMN|RENAME TO)|ALTER SESSION|SHOW (?:COLUMNS|TABLES|VIEWS|GRANTS)|DROP TABLE|COPY INTO|(?:EXPLAIN|SELECT|"
                         r"BEGIN|COMMIT|ROLLBACK|INSERT|UPDATE|DELETE|MERGE)\b", sql, re.DOTALL)
        return match and ("ALTER TABLE … " + match[1] if match[1] else match[0])


if __name__ == "__main__":
    unittest.main()
