"""Any table against the API: what somebody else's feed lost, doubled, left stale or kept, and how it is mended."""
import csv, json, os, signal, subprocess, time, unittest
from world import NO_PYTHON, PYTHON, Postgres, World

DAYS = ("--from", "2026-03-03", "--to", "2026-03-06")
KEPT = "direction, duration, caller_number, agent_email, notes, tag_list, is_new_caller, sale_value"
# How each feed writes the rows that pawl has: its own columns, and times as it has them.
FEEDS = {
    "airbyte": f"gen_random_uuid()::VARCHAR AS _airbyte_raw_id, now() AS _airbyte_extracted_at, '{{}}'::JSON AS "
               f"_airbyte_meta, id, account_id, epoch(called_at)::BIGINT AS unix_time, direction, duration, caller_number, "
               f"json_object('id', agent_id, 'name', agent_name, 'email', agent_email) AS agent, notes, tag_list",
    "fivetran": f"id, account_id, called_at, {KEPT}, false AS _fivetran_deleted, now() AS _fivetran_synced",
    "dlt": f"id, account_id, called_at, direction, duration, agent_email AS agent__email, notes, '1' AS _dlt_load_id, "
           f"gen_random_uuid()::VARCHAR AS _dlt_id",
    "singer": f"id::VARCHAR AS id, account_id::VARCHAR AS account_id, (called_at AT TIME ZONE 'UTC') AS called_at, "
              f"{KEPT}, now() AS _sdc_extracted_at, NULL::TIMESTAMP AS _sdc_deleted_at",
}


@unittest.skipUnless(PYTHON, NO_PYTHON)
class Audit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(calls=200)
        cls.world.run("historic", *DAYS)

    @classmethod
    def tearDownClass(cls):
        cls.world.close()

    def sql(self, *statements, site=None):
        (site or self.world).by_hand(*statements)

    def audit(self, table, *words, site=None, expected=0, env=None):
        site = site or self.world
        site.runs += 1  # a minute later: a repair must be fresher than what it mends
        done = site.pawl("audit", str(site.job), "--table", table, *DAYS, "--json", *words, check=False, env=env)
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else done

    def found(self, report):
        return {name: report[name] for name in ("missing", "doubled", "stale", "vanished")}

    def clean(self):
        return {"missing": 0, "doubled": 0, "stale": 0, "vanished": 0}

    def ids(self, order, count, offset, table="ctm.calls"):
        return [int(row[0]) for row in self.world.rows(
            f"SELECT id FROM {table} ORDER BY {order}, id LIMIT {count} OFFSET {offset}")]

    def damage(self, table, text_ids=False):
        lost, twice, old = self.ids("id", 3, 0), self.ids("id", 2, 10), self.ids("id", 2, 20)
        listed = lambda ids: ", ".join(f"'{i}'" if text_ids else str(i) for i in ids)
        ghost = "'77'" if text_ids else "77"
        self.sql(f"INSERT INTO {table} SELECT * FROM {table} WHERE id IN ({listed(twice)})",
                 f"INSERT INTO {table} SELECT * REPLACE ({ghost} AS id) FROM {table} WHERE id = {listed(lost[:1])}",
                 f"DELETE FROM {table} WHERE id IN ({listed(lost)})",
                 f"UPDATE {table} SET notes = 'long ago', duration = 99999 WHERE id IN ({listed(old)})")
        return {"missing": lost, "doubled": twice, "stale": old, "vanished": [77]}

    def listed(self, path):
        rows = {"missing": [], "doubled": [], "stale": [], "vanished": []}
        for row in csv.DictReader(path.read_text().splitlines()) if path.suffix == ".csv" else json.loads(path.read_text()):
            rows[row["problem"]].append(int(row["id"] if "id" in row else row["key"]["id"]))
        return {name: sorted(ids) for name, ids in rows.items()}

    def test_every_feed_is_understood_and_its_faults_are_found_by_id(self):
        for feed, columns in FEEDS.items():
            with self.subTest(feed=feed):
                table = f"{feed}.calls"
                self.sql(f"CREATE SCHEMA IF NOT EXISTS {feed}", f"CREATE OR REPLACE TABLE {table} AS SELECT {columns} FROM ctm.calls")
                report = self.audit(table)
                self.assertEqual(self.found(report), self.clean(), feed)
                self.assertEqual(report["feed"].lower(), feed)
                self.assertGreater(report["columns_compared"], 5)
                self.assertEqual(report["api_rows"], int(self.world.value("SELECT count(*) FROM ctm.calls")))
                wanted = self.damage(table, text_ids=feed == "singer")
                out = self.world.folder / f"{feed}.csv"
                report = self.audit(table, "--out", str(out), expected=3)
                self.assertEqual(self.found(report), {name: len(ids) for name, ids in wanted.items()}, feed)
                self.assertEqual(self.listed(out), wanted)
                self.assertEqual({row["columns"] for row in csv.DictReader(out.read_text().splitlines()) if row["problem"] == "stale"},
                                 {"duration,notes"})

                # What can be mended is: doubled and vanished rows of others are theirs.
                again = self.audit(table, "--repair", expected=3)
                self.assertEqual((again["inserted"], again["updated"]), (3, 2))
                self.assertEqual(self.found(self.audit(table, expected=3)),
                                 {"missing": 0, "stale": 0, "doubled": 2, "vanished": 1})

    def test_a_row_that_the_feed_believes_deleted_is_stale(self):
        self.sql("CREATE SCHEMA IF NOT EXISTS f", f"CREATE OR REPLACE TABLE f.calls AS SELECT {FEEDS['fivetran']} FROM ctm.calls",
                 f"UPDATE f.calls SET _fivetran_deleted = true WHERE id = {self.ids('id', 1, 5)[0]}")
        self.assertEqual(self.found(self.audit("f.calls", expected=3)), {**self.clean(), "stale": 1})
        self.audit("f.calls", "--repair")
        self.assertEqual(self.found(self.audit("f.calls")), self.clean())

    def test_a_row_that_stands_elsewhere_in_the_table_is_stale_and_comes_in_no_second_time(self):
        moved, timeless, lost = self.ids("id", 3, 12)
        columns = FEEDS["fivetran"]
        self.sql("CREATE SCHEMA IF NOT EXISTS e", f"CREATE OR REPLACE TABLE e.calls AS SELECT {columns} FROM ctm.calls", "ALTER TABLE e.calls ADD PRIMARY KEY (id)",
                 f"UPDATE e.calls SET called_at = called_at - INTERVAL 40 DAY WHERE id = {moved}", f"UPDATE e.calls SET called_at = NULL WHERE id = {timeless}",
                 f"DELETE FROM e.calls WHERE id = {lost}")
        out = self.world.folder / "elsewhere.csv"
        report = self.audit("e.calls", "--out", str(out), expected=3)
        self.assertEqual(self.listed(out), {"missing": [lost], "doubled": [], "stale": [moved, timeless], "vanished": []})
        self.assertEqual({row["columns"] for row in csv.DictReader(out.read_text().splitlines()) if row["problem"] == "stale"}, {"called_at"})
        report = self.audit("e.calls", "--repair")
        self.assertEqual((report["inserted"], report["updated"]), (1, 2))
        self.assertEqual(self.found(self.audit("e.calls")), self.clean())

    def test_keys_may_be_written_as_numbers_of_other_kinds(self):
        one, two = self.ids("id", 2, 12)
        for kind in ("DOUBLE", "DECIMAL(38, 9)", "VARCHAR"):
            with self.subTest(kind):
                as_kind = lambda name: f"CAST(CAST({name} AS DOUBLE) AS {kind}) AS {name}" if kind == "VARCHAR" else f"CAST({name} AS {kind}) AS {name}"
                self.sql("CREATE SCHEMA IF NOT EXISTS k", f"CREATE OR REPLACE TABLE k.calls AS SELECT {as_kind('id')}, {as_kind('account_id')}, called_at, notes FROM ctm.calls",
                         f"DELETE FROM k.calls WHERE CAST(id AS BIGINT) = {one}", f"UPDATE k.calls SET notes = 'old' WHERE CAST(id AS BIGINT) = {two}")
                self.assertEqual(self.found(self.audit("k.calls", expected=3)), {**self.clean(), "missing": 1, "stale": 1})
                self.audit("k.calls", "--repair")
                self.assertEqual(self.found(self.audit("k.calls")), self.clean())

    def test_lists_and_structs_are_compared_as_what_they_hold(self):
        lost, old, other = [int(id) for (id,) in self.world.rows("SELECT id FROM ctm.calls WHERE len(CAST(tag_list AS VARCHAR[])) > 0 AND agent_name IS NOT NULL ORDER BY id LIMIT 3")]
        self.sql("CREATE SCHEMA IF NOT EXISTS l", "CREATE OR REPLACE TABLE l.calls AS SELECT id, account_id, called_at, CAST(tag_list AS VARCHAR[]) AS tag_list, "
                 "{'id': agent_id, 'name': agent_name, 'since': 5} AS agent FROM ctm.calls")
        report = self.audit("l.calls")
        self.assertEqual((self.found(report), report["columns_compared"]), (self.clean(), 6))
        self.sql(f"DELETE FROM l.calls WHERE id = {lost}", f"UPDATE l.calls SET tag_list = ['a \"b\", c'] WHERE id = {old}",
                 f"UPDATE l.calls SET agent = NULL WHERE id = {other}")
        out = self.world.folder / "lists.csv"
        self.audit("l.calls", "--out", str(out), expected=3)
        told = lambda: {(int(row["id"]), row["problem"], row["columns"]) for row in csv.DictReader(out.read_text().splitlines())}
        self.assertEqual(told(), {(lost, "missing", ""), (old, "stale", "tag_list"), (other, "stale", "agent_id,agent_name")})
        # A struct is not ours to compose.
        done = self.audit("l.calls", "--repair", expected=3)
        self.assertEqual((done["inserted"], done["updated"]), (1, 1))
        self.audit("l.calls", "--out", str(out), expected=3)
        self.assertEqual(told(), {(lost, "stale", "agent_id,agent_name"), (other, "stale", "agent_id,agent_name")})

    def test_times_since_1970_are_read_and_written_in_the_column_s_own_unit(self):
        lost, old = self.ids("id", 2, 12)
        for unit, called_at in ((1000, "epoch_ms(called_at)"), (1000, "CAST(epoch_ms(called_at) AS VARCHAR)"), (1000000, "epoch_us(called_at)"),
                                (1, "epoch(called_at)::DOUBLE")):
            with self.subTest(called_at):
                self.sql("CREATE SCHEMA IF NOT EXISTS u", f"CREATE OR REPLACE TABLE u.calls AS SELECT id, account_id, {called_at} AS called_at, notes FROM ctm.calls")
                stood = self.world.value("SELECT sum(CAST(called_at AS BIGINT)) FROM u.calls")
                self.assertEqual(self.found(self.audit("u.calls")), self.clean())
                self.sql(f"DELETE FROM u.calls WHERE id = {lost}", f"UPDATE u.calls SET called_at = CAST(called_at AS BIGINT) - {60 * unit} WHERE id = {old}")
                report = self.audit("u.calls", "--repair")
                self.assertEqual((self.found(report), report["inserted"], report["updated"]), ({**self.clean(), "missing": 1, "stale": 1}, 1, 1))
                self.assertEqual(self.world.value("SELECT sum(CAST(called_at AS BIGINT)) FROM u.calls"), stood)

    def test_times_that_cannot_be_read_are_told_before_anything_is_compared(self):
        self.sql("CREATE SCHEMA IF NOT EXISTS t", "CREATE OR REPLACE TABLE t.calls AS SELECT id, account_id, strftime(called_at, '%m/%d/%Y %H:%M') AS called_at FROM ctm.calls")
        for words in ((), ("--repair",)):
            done = self.audit("t.calls", *words, expected=2)
            self.assertRegex(done.stderr, r"no row's time can be read, such as '03/0\d/2026 ")
        self.assertEqual(self.world.value("SELECT count(*) FROM t.calls"), self.world.value("SELECT count(*) FROM ctm.calls"))

    def test_raw_records_are_compared_as_they_were_sent(self):
        records = []
        for account in (1001, 1002):
            for day in range(3, 7):
                page = self.world.get(f"/accounts/{account}/calls?start_date=2026-03-0{day}&end_date=2026-03-0{day}&per_page=150")
                records += page["calls"]
        values = ", ".join("(gen_random_uuid()::VARCHAR, now(), '" + json.dumps(record).replace("'", "''") + "')" for record in records)
        self.sql("CREATE SCHEMA IF NOT EXISTS raw", "CREATE OR REPLACE TABLE raw.calls "
                 "(_airbyte_raw_id VARCHAR, _airbyte_extracted_at TIMESTAMPTZ, _airbyte_data JSON)",
                 f"INSERT INTO raw.calls VALUES {values}")
        self.assertEqual(self.found(self.audit("raw.calls")), self.clean())
        lost = self.ids("id", 1, 3)[0]
        self.sql(f"DELETE FROM raw.calls WHERE json_extract_string(_airbyte_data, '/id') = '{lost}'")
        self.assertEqual(self.found(self.audit("raw.calls", expected=3)), {**self.clean(), "missing": 1})
        self.assertEqual(self.audit("raw.calls", "--repair", expected=3)["inserted"], 0)

    def test_a_csv_export_with_names_of_its_own(self):
        export = self.world.folder / "export.csv"
        self.sql(f"COPY (SELECT id AS call_no, account_id AS account, strftime(called_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S') AS began, "
                 f"duration AS secs, notes FROM ctm.calls WHERE id <> {self.ids('id', 1, 7)[0]}) TO '{export}' (HEADER)")
        done = self.world.pawl("audit", str(self.world.job), "--table", str(export), "--stream", "calls", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("call_no", done.stderr)
        out = self.world.folder / "differences.json"
        report = self.audit(str(export), "--stream", "calls", "--key", "account,call_no", "--map", "began=called_at,secs=duration",
                            "--out", str(out), expected=3)
        self.assertEqual(self.found(report), {**self.clean(), "missing": 1})
        self.assertEqual(self.listed(out)["missing"], self.ids("id", 1, 7))

    def test_what_an_export_holds_is_not_shown_to_others(self):
        export = self.world.folder / "calls_private.csv"
        self.sql(f"COPY (SELECT {FEEDS['dlt']} FROM ctm.calls) TO '{export}' (HEADER)")
        temp = self.world.folder / "temp"
        temp.mkdir()
        self.audit(str(export), env={"TMPDIR": str(temp)})
        self.assertEqual(list(temp.iterdir()), [])
        points = temp / "points"
        self.audit(str(export), env={"TMPDIR": str(temp), "PAWL_TEST_KILL_LIST": str(points)})
        self.audit(str(export), env={"TMPDIR": str(temp), "PAWL_TEST_KILL_AT": points.read_text().splitlines()[-1]}, expected=-signal.SIGKILL)
        points.unlink()
        self.assertEqual([(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in temp.iterdir()], [(True, "0o700")])

    def test_the_stream_is_told_by_the_table_s_own_name_first(self):
        self.sql("CREATE SCHEMA IF NOT EXISTS accounts", f"CREATE OR REPLACE TABLE accounts.calls AS SELECT {FEEDS['dlt']} FROM ctm.calls",
                 "CREATE OR REPLACE TABLE accounts.export AS SELECT id FROM ctm.accounts")
        self.assertEqual(self.audit("accounts.calls")["stream"], "calls")
        self.assertEqual(self.audit("accounts.export")["stream"], "accounts")
        folder = self.world.folder / "accounts"
        folder.mkdir()
        for name in ("CALLS.CSV", "calls.2026.csv"):
            self.sql(f"COPY accounts.calls TO '{folder / name}' (HEADER)")
            self.assertEqual(self.audit(str(folder / name))["stream"], "calls")

    def test_a_table_of_ours_is_compared_by_hash_and_repaired_through_the_ledger(self):
        site = self.world.copy("own")
        before = site.digest()
        self.assertEqual(self.found(self.audit("ctm.calls", site=site)), self.clean())
        ids = self.ids("id", 6, 0)
        self.sql(f"INSERT INTO ctm.calls SELECT * FROM ctm.calls WHERE id = {ids[0]}",
                 f"DELETE FROM ctm.calls WHERE id IN ({ids[1]}, {ids[2]})",
                 f"UPDATE ctm.calls SET notes = 'tampered', _row_hash = gen_random_uuid() WHERE id = {ids[3]}",
                 f"UPDATE ctm.calls SET _deleted_at = now() WHERE id = {ids[4]}", site=site)
        report = self.audit("ctm.calls", site=site, expected=3)
        self.assertEqual(self.found(report), {"missing": 2, "doubled": 1, "stale": 2, "vanished": 0})
        self.audit("ctm.calls", "--repair", site=site)
        self.assertEqual(self.found(self.audit("ctm.calls", site=site)), self.clean())
        self.assertEqual(site.digest(), before)
        site.remove()

    def test_a_load_that_meets_a_row_doubled_by_hand_names_what_mends_it(self):
        site = self.world.copy("doubled")
        before = site.digest()
        one = self.ids("id", 1, 4)[0]
        self.sql(f"UPDATE ctm.calls SET notes = 'x', _row_hash = gen_random_uuid() WHERE id = {one}",
                 f"INSERT INTO ctm.calls SELECT * FROM ctm.calls WHERE id = {one}", site=site)
        done = site.run("rehydration", *DAYS, check=False)
        self.assertEqual(done.returncode, 3, done.stderr[-500:])
        self.assertIn("1 rows replace others, but 2 were there", done.stderr)
        self.assertIn("pawl audit JOB --table ctm.calls --repair", done.stderr.splitlines()[-1])
        self.audit("ctm.calls", "--repair", site=site)
        site.run("rehydration", *DAYS)
        self.assertEqual(site.digest(), before)
        site.remove()

    def test_of_a_doubled_row_one_stays_and_is_marked_where_the_source_shows_it_no_more(self):
        site = self.world.copy("twice")
        before = site.digest()
        one, two = self.ids("id", 2, 4)
        # 77: the very same twice; 78: the later copy says more; 79: both have lost their key. The source shows `two`, and a copy
        # of it says what no hash tells.
        ghost = lambda id, key, notes: f"INSERT INTO ctm.calls SELECT * REPLACE ({id} AS id, {key} AS _row_key, '{notes}' AS notes, " \
                                       f"_fetched_at + INTERVAL {len(notes)} SECOND AS _fetched_at) FROM ctm.calls WHERE id = {one}"
        a, b = "'0f8fad5b-d9cb-469f-a165-70867728950e'", "'7c9e6679-7425-40de-944b-e07fc1f90ae7'"
        self.sql("ALTER TABLE ctm.calls ALTER _row_key DROP NOT NULL", *[ghost(77, a, "same")] * 2, ghost(78, b, "the later"),
                 ghost(78, b, "early"), *[ghost(79, "NULL", "no key")] * 2,
                 f"INSERT INTO ctm.calls SELECT * REPLACE ('tampered' AS notes, _fetched_at + INTERVAL 1 SECOND AS _fetched_at) "
                 f"FROM ctm.calls WHERE id = {two}", site=site)
        copies = lambda: site.rows("SELECT id, count(*), count(_deleted_at), count(DISTINCT _row_key), max(notes) FROM ctm.calls "
                                   "WHERE id < 80 GROUP BY id ORDER BY id")
        stands = copies()
        self.assertEqual([row[1] for row in stands], ["2"] * 3)
        report = self.audit("ctm.calls", site=site, expected=3)
        self.assertEqual(self.found(report), {**self.clean(), "doubled": 4, "vanished": 3})
        # Killed before the commit nothing is done; killed behind it no row is away until a reading brings it back.
        self.audit("ctm.calls", "--repair", site=site, expected=-signal.SIGKILL, env={"PAWL_TEST_KILL_AT": "execute, audit repair"})
        self.assertEqual(copies(), stands)
        self.audit("ctm.calls", "--repair", site=site, expected=-signal.SIGKILL, env={"PAWL_TEST_KILL_AT": "executed, audit repair"})
        self.audit("ctm.calls", "--repair", site=site)
        kept = [["77", "1", "1", "1", "same"], ["78", "1", "1", "1", "the later"], ["79", "1", "1", "1", "no key"]]
        self.assertEqual(copies(), kept)
        self.assertEqual(self.found(self.audit("ctm.calls", site=site)), self.clean())
        self.audit("ctm.calls", "--repair", site=site)
        self.assertEqual(copies(), kept)
        self.sql("DELETE FROM ctm.calls WHERE id < 80", site=site)
        self.assertEqual(site.digest(), before)
        site.remove()

    def test_a_copy_that_is_marked_as_deleted_is_a_second_row_too(self):
        site = self.world.copy("marked")
        before = site.digest()
        one, two = self.ids("id", 2, 4)
        # 77: a rehydration has marked both; 78: one of them was marked by hand; and one beside what the source shows.
        ghost = lambda id, key, gone: f"INSERT INTO ctm.calls SELECT * REPLACE ({id} AS id, '{key}' AS _row_key, {gone} AS _deleted_at) " \
                                      f"FROM ctm.calls WHERE id = {one}"
        a, b = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
        self.sql(*[ghost(77, a, "TIMESTAMPTZ '2026-03-09 00:00:00+00'")] * 2, ghost(78, b, "NULL"), ghost(78, b, "now()"),
                 f"INSERT INTO ctm.calls SELECT * REPLACE (now() AS _deleted_at) FROM ctm.calls WHERE id = {two}", site=site)
        self.assertEqual(self.found(self.audit("ctm.calls", site=site, expected=3)), {**self.clean(), "doubled": 3, "vanished": 1})
        self.audit("ctm.calls", "--repair", site=site)
        self.assertEqual(site.rows("SELECT id, count(*), count(_deleted_at), max(_deleted_at) < TIMESTAMPTZ '2026-03-10 00:00:00+00' FROM ctm.calls "
                                   "WHERE id < 80 GROUP BY id ORDER BY id"), [["77", "1", "1", "true"], ["78", "1", "1", "false"]])
        self.assertEqual(self.found(self.audit("ctm.calls", site=site)), self.clean())
        self.sql("DELETE FROM ctm.calls WHERE id < 80", site=site)
        self.assertEqual(site.digest(), before)
        site.remove()

    def test_more_rows_are_doubled_than_a_statement_names(self):
        site = self.world.copy("many")
        one = self.ids("id", 1, 4)[0]
        self.sql("INSERT INTO ctm.calls SELECT c.* REPLACE (i AS id, CAST(md5(CAST(i AS VARCHAR)) AS UUID) AS _row_key) "
                 f"FROM ctm.calls AS c, range(401) AS t(i), range(3) AS u(k) WHERE id = {one}", site=site)
        report = self.audit("ctm.calls", "--repair", site=site)
        self.assertEqual((report["doubled"], report["removed"]), (401, 401))
        self.assertEqual(site.rows("SELECT count(*), count(DISTINCT id), count(DISTINCT _row_key) FROM ctm.calls WHERE id < 401"), [["401"] * 3])
        site.remove()

    def test_a_doubled_row_of_more_columns_than_are_known_is_left_alone(self):
        site = self.world.copy("wide")
        one = self.ids("id", 1, 4)[0]
        more = ", ".join(f"{i} AS extra_{i}" for i in range(1000))
        self.sql(f"CREATE OR REPLACE TABLE ctm.calls AS SELECT *, {more} FROM ctm.calls",
                 f"INSERT INTO ctm.calls SELECT * FROM ctm.calls WHERE id = {one}", site=site)
        done = site.pawl("audit", str(site.job), "--table", "ctm.calls", *DAYS, "--repair", check=False)
        self.assertIn("doubled rows of 1000 columns or more are not mended", done.stderr)
        self.assertEqual(site.value(f"SELECT count(*) FROM ctm.calls WHERE id = {one} AND extra_999 = 999"), "2")
        site.remove()

    def test_a_row_whose_key_was_taken_away_is_told_and_mended_and_comes_in_no_second_time(self):
        site = self.world.copy("keyless")
        before, total = site.digest(), int(site.value("SELECT count(*) FROM ctm.calls"))
        one, two, gone = self.ids("id", 3, 4)
        with self.assertRaisesRegex(AssertionError, "NOT NULL"):
            self.sql(f"UPDATE ctm.calls SET _row_key = NULL WHERE id = {one}", site=site)
        # Tables of earlier releases stand without NOT NULL; what a run would have done then is done to `two`.
        old = "ALTER TABLE ctm.calls ALTER _row_key DROP NOT NULL"
        self.sql(old, f"INSERT INTO ctm.calls SELECT * FROM ctm.calls WHERE id = {two}",
                 f"UPDATE ctm.calls SET _row_key = NULL WHERE id = {one} OR rowid = (SELECT max(rowid) FROM ctm.calls WHERE id = {two})", site=site)
        self.sql(f"UPDATE ctm.calls SET _row_hash = NULL WHERE id = {gone}", site=site)
        said = "table ctm.calls: 2 rows have no _row_key"
        for words in (("check", str(site.job)), ("run", str(site.job), "--mode", "rehydration", *DAYS), ("replay", str(site.job))):
            done = site.pawl(*words, check=False)
            self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
            self.assertIn(said, done.stdout + done.stderr)
            self.assertIn("pawl audit JOB --table ctm.calls --repair", done.stdout + done.stderr)
        self.assertEqual(int(site.value("SELECT count(*) FROM ctm.calls")), total + 1)
        out = site.folder / "keyless.csv"
        report = self.audit("ctm.calls", "--out", str(out), site=site, expected=3)
        self.assertEqual((self.found(report), report["unreadable"]), ({**self.clean(), "doubled": 1, "stale": 2}, 0))
        self.assertEqual(self.listed(out), {"missing": [], "doubled": [two], "stale": [one, gone], "vanished": []})
        self.assertEqual({row["columns"] for row in csv.DictReader(out.read_text().splitlines()) if row["id"] == str(one)}, {"_row_key"})
        self.audit("ctm.calls", "--repair", site=site)
        self.assertEqual(self.found(self.audit("ctm.calls", site=site)), self.clean())
        self.assertEqual(site.digest(), before)
        site.pawl("check", str(site.job))

        # What the source shows no more keeps its row: it gets its key back, and is marked by the reading.
        ghost = f"INSERT INTO ctm.calls SELECT * REPLACE (77 AS id, NULL AS _row_key) FROM ctm.calls WHERE id = {one}"
        self.sql(ghost, f"UPDATE ctm.calls SET _row_key = NULL, _deleted_at = now() WHERE id = {two}", site=site)
        report = self.audit("ctm.calls", "--repair", site=site)
        self.assertEqual(self.found(report), {**self.clean(), "vanished": 1, "stale": 1})
        self.assertEqual(site.rows("SELECT _row_key IS NULL, _deleted_at IS NULL FROM ctm.calls WHERE id = 77"), [["false", "false"]])
        self.assertEqual(self.found(self.audit("ctm.calls", site=site)), self.clean())
        site.remove()

    def test_a_slice_is_asked_for_again_where_that_may_help_and_else_ends_the_audit(self):
        fault = lambda **what: self.world.control("faults", [{"match": {"path": "/accounts/1001/calls"}, **what}], method="PUT")
        self.addCleanup(self.world.control, "faults", [], method="PUT")
        for what in ({"do": 503}, {"do": 429, "retry_after": "0"}, {"do": "html"}, {"do": "reset"}):
            with self.subTest(what):
                fault(times=2, **what)
                self.assertEqual(self.found(self.audit("ctm.calls")), self.clean())
                self.assertEqual(self.world.control("faults")[0]["done"], 2)
        for what, code, said in (({"do": 503}, 8, "status 503, tried 4 times"), ({"do": 404}, 3, "status 404"),
                                 ({"do": 503, "retry_after": "7200"}, 7, "asks to wait 120 minutes")):
            with self.subTest(what):
                fault(times=0, **what)
                done = self.audit("ctm.calls", expected=code)
                self.assertIn("calls of '1001': ", done.stderr)
                self.assertIn(said, done.stderr)
        fault(times=0, do=403)  # of one account that is refused the report tells, and goes on
        self.assertEqual(self.audit("ctm.calls")["partitions_refused"], 1)

    def test_a_list_that_the_disk_does_not_take_is_told(self):
        self.sql("CREATE SCHEMA IF NOT EXISTS brim", f"CREATE OR REPLACE TABLE brim.calls AS SELECT {FEEDS['dlt']} FROM ctm.calls WHERE id <> {self.ids('id', 1, 3)[0]}")
        for name in ("list.csv", "list.json"):
            out = self.world.folder / name
            out.symlink_to("/dev/full")
            done = self.audit("brim.calls", "--out", str(out), expected=8)
            self.assertIn("--out: No space left on device", done.stderr)

    def test_what_must_be_said_is_asked_for_by_name(self):
        self.sql("CREATE SCHEMA IF NOT EXISTS odd", "CREATE OR REPLACE TABLE odd.things AS SELECT id FROM ctm.calls",
                 "CREATE OR REPLACE TABLE odd.calls AS SELECT id FROM ctm.calls")
        for table, said in (("odd.things", "--stream"), ("odd.calls", "account_id"), ("odd.callsx", "there is no table")):
            done = self.world.pawl("audit", str(self.world.job), "--table", table, check=False)
            self.assertIn(done.returncode, (2, 5), table)
            self.assertIn(said, done.stderr, table)

    def test_a_day_that_lacks_many_rows_is_mended_in_portions(self):
        with World(calls=7000, accounts=1) as site:
            days = ("--from", "2026-03-03", "--to", "2026-03-04")
            site.run("historic", *days)
            site.by_hand("CREATE SCHEMA six", "CREATE TABLE six.calls AS SELECT id, account_id, called_at, direction, duration, notes "
                                              "FROM ctm.calls WHERE false")
            rows = int(site.value("SELECT count(*) FROM ctm.calls"))
            self.assertGreater(rows, 498)

            def repair(expected=0, at=None):
                site.runs += 1
                done = site.pawl("audit", str(site.job), "--table", "six.calls", *days, "--repair", "--json", check=False,
                                 env=at and {"PAWL_TEST_KILL_AT": at})
                self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
                return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None

            repair(-signal.SIGKILL, "execute, audit repair, portion 2")
            kept = int(site.value("SELECT count(*) FROM six.calls"))
            self.assertTrue(0 < kept < rows, kept)
            self.assertEqual(repair()["missing"], rows - kept)
            same = "SELECT count(*), count(DISTINCT id), sum(hash(id, notes)) FROM"
            self.assertEqual(site.rows(f"{same} six.calls"), site.rows(f"{same} ctm.calls"))
            self.assertEqual(repair()["missing"], 0)


class InPostgres(unittest.TestCase):
    """The same SQL on another system: audit, repair, forget and adopt."""

    def test_a_feed_s_table_is_compared_mended_and_taken_over_and_a_person_erased(self):
        with World(calls=100) as world:
            postgres = Postgres()
            job = json.loads(world.job.read_text())
            job["warehouse"] = postgres.options()
            world.job.write_text(json.dumps(job))
            world.warehouse = postgres
            sql = lambda text: postgres.cluster.sql(text, database=postgres.database)

            def pawl(*words, expected=0):
                world.runs += 1
                done = world.pawl(words[0], str(world.job), *words[1:], "--json", check=False)
                self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
                return json.loads(done.stdout.splitlines()[-1])

            canary = world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {
                "caller_number": "+15005550199", "caller_number_complete": "+15005550199", "notes": "it's a \\ canary"}})["ids"][0]
            world.run("historic", *DAYS)
            sql("CREATE SCHEMA five")
            sql("CREATE TABLE five.calls AS SELECT id, account_id, called_at, direction, duration, caller_number, agent_email, notes, "
                "false AS _fivetran_deleted, TIMESTAMPTZ '2026-03-08 00:00:00+00' AS _fivetran_synced FROM ctm.calls")
            table = ("audit", "--table", "five.calls", *DAYS)
            self.assertEqual(pawl(*table)["stale"], 0)
            sql(f"DELETE FROM five.calls WHERE id = {canary}")
            sql("UPDATE five.calls SET notes = 'x' WHERE id = (SELECT max(id) FROM five.calls)")
            report = pawl(*table, "--repair")
            self.assertEqual((report["missing"], report["stale"], report["inserted"], report["updated"]), (1, 1, 1, 1))
            report = pawl(*table)
            self.assertEqual((report["missing"], report["stale"]), (0, 0))

            # The very name counts before any other spelling of it.
            sql('CREATE TABLE five."Calls" AS SELECT * FROM five.calls LIMIT 5')
            self.assertEqual(pawl("audit", "--table", "five.Calls", *DAYS, expected=3)["missing"] + 5, report["api_rows"])
            self.assertEqual(pawl(*table)["missing"], 0)
            sql('DROP TABLE five."Calls"')

            receipt = pawl("forget", "--phone", "+15005550199")
            self.assertEqual([t["rows"] for t in receipt["tables"] if t["rows"]], [1])
            self.assertEqual(world.value(f"SELECT count(*) FROM ctm.calls WHERE id = {canary}"), "0")

            rows = int(world.value("SELECT count(*) FROM ctm.calls"))
            sql("DROP TABLE ctm.calls CASCADE")
            schema = sql("SELECT table_schema FROM information_schema.tables WHERE table_name = 'pawl_load'")
            for ledger in ("pawl_load", "pawl_slice", "pawl_state"):
                sql(f"DELETE FROM {schema}.{ledger}")
            # Whoever may read the table may read what stands under its name afterwards, and nobody else.
            readers = [f'Reader {name} "of" {postgres.database}' for name in "abc"]
            quoted = ['"' + name.replace('"', '""') + '"' for name in readers]
            sql("".join(f"CREATE ROLE {name} LOGIN;" for name in quoted) + f"GRANT USAGE ON SCHEMA five TO {', '.join(quoted)};"
                f"GRANT SELECT ON five.calls TO {', '.join(quoted[:2])}; GRANT INSERT ON five.calls TO {quoted[2]}")
            report = pawl("adopt", "--table", "five.calls")
            self.assertEqual((report["adopted"], report["forgotten"], report["watermarks"]), (rows, 1, 2))
            read = lambda name: postgres.cluster.sql("SELECT count(*) FROM five.calls", database=postgres.database, user=name)
            self.assertEqual([read(name) for name in readers[:2]], [str(rows)] * 2)
            with self.assertRaisesRegex(AssertionError, "permission denied"):
                read(readers[2])
            self.assertEqual(world.value("SELECT count(*) FROM five.calls"), str(rows))
            self.assertTrue(pawl("adopt", "--table", "five.calls")["already"])
            postgres.remove()

    def test_every_feed_is_understood_there_too(self):
        feeds = {
            "airbyte": "gen_random_uuid()::text AS _airbyte_raw_id, now() AS _airbyte_extracted_at, '{}'::jsonb AS _airbyte_meta, id, account_id, "
                       "extract(epoch FROM called_at)::bigint AS unix_time, direction, duration, jsonb_build_object('id', agent_id, 'name', "
                       "agent_name, 'email', agent_email) AS agent, notes, tag_list",
            "dlt": "id, account_id, called_at, direction, duration, agent_email AS agent__email, notes, '1' AS _dlt_load_id, "
                   "gen_random_uuid()::text AS _dlt_id",
            "singer": "id::text AS id, account_id::text AS account_id, called_at AT TIME ZONE 'UTC' AS called_at, direction, duration, notes, "
                      "now() AS _sdc_extracted_at, NULL::timestamp AS _sdc_deleted_at",
        }
        with World(calls=80, warehouse="postgres") as world:
            world.run("historic", *DAYS)
            sql = lambda text: world.warehouse.cluster.sql(text, database=world.warehouse.database)

            def audit(table, *words, expected=0):
                world.runs += 1
                done = world.pawl("audit", str(world.job), "--table", table, *DAYS, "--json", *words, check=False)
                self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
                return json.loads(done.stdout.splitlines()[-1])

            found = lambda report: [report[name] for name in ("missing", "doubled", "stale", "vanished")]
            ids = [id for (id,) in world.rows("SELECT id FROM ctm.calls ORDER BY id LIMIT 4")]
            for feed, columns in feeds.items():
                with self.subTest(feed):
                    sql(f"CREATE SCHEMA {feed}; CREATE TABLE {feed}.calls AS SELECT {columns} FROM ctm.calls")
                    report = audit(f"{feed}.calls")
                    self.assertEqual((found(report), report["feed"].lower()), ([0, 0, 0, 0], feed))
                    self.assertGreater(report["columns_compared"], 5)
                    sql(f"DELETE FROM {feed}.calls WHERE id::text = '{ids[0]}'; UPDATE {feed}.calls SET notes = 'long ago', duration = 99999 WHERE "
                        f"id::text = '{ids[1]}'; INSERT INTO {feed}.calls SELECT * FROM {feed}.calls WHERE id::text = '{ids[2]}';"
                        f"CREATE TEMP TABLE g AS SELECT * FROM {feed}.calls WHERE id::text = '{ids[3]}'; UPDATE g SET id = '77';"
                        f"INSERT INTO {feed}.calls SELECT * FROM g")
                    out = world.folder / f"{feed}.json"
                    self.assertEqual(found(audit(f"{feed}.calls", "--out", str(out), expected=3)), [1, 1, 1, 1])
                    listed = {row["problem"]: str(row["key"]["id"]) for row in json.loads(out.read_text())}
                    self.assertEqual(listed, {"missing": ids[0], "stale": ids[1], "doubled": ids[2], "vanished": "77"})
                    audit(f"{feed}.calls", "--repair", expected=3)
                    self.assertEqual(found(audit(f"{feed}.calls", expected=3)), [0, 1, 0, 1])
            # Lists of any kind, as target-postgres makes them.
            for of, kind in (("jsonb_array_elements", "jsonb[]"), ("jsonb_array_elements_text", "text[]")):
                sql(f'DROP SCHEMA IF EXISTS lists CASCADE; CREATE SCHEMA lists; CREATE TABLE lists.calls AS SELECT id, account_id, called_at, CASE WHEN tag_list IS NOT NULL '
                    f'THEN CAST(ARRAY(SELECT {of}(tag_list)) AS {kind}) END AS "Tag_List" FROM ctm.calls')
                self.assertEqual(found(audit("lists.calls")), [0, 0, 0, 0])
                sql(f"DELETE FROM lists.calls WHERE id = {ids[0]}; UPDATE lists.calls SET \"Tag_List\" = '{{1}}' WHERE id = {ids[1]}")
                audit("lists.calls", "--repair")
                self.assertEqual(found(audit("lists.calls")), [0, 0, 0, 0])
            # Records as they were sent, and an export beside this warehouse.
            sql("CREATE SCHEMA raw; CREATE TABLE raw.calls (_airbyte_raw_id text, _airbyte_extracted_at timestamptz, _airbyte_data jsonb)")
            for account in (1001, 1002):
                for day in range(3, 7):
                    page = world.get(f"/accounts/{account}/calls?start_date=2026-03-0{day}&end_date=2026-03-0{day}&per_page=150")
                    for record in page["calls"]:
                        text = json.dumps(record).replace("'", "''")
                        sql(f"INSERT INTO raw.calls VALUES (gen_random_uuid()::text, now(), '{text}')")
            self.assertEqual(found(audit("raw.calls")), [0, 0, 0, 0])
            sql(f"DELETE FROM raw.calls WHERE _airbyte_data ->> 'id' = '{ids[0]}'")
            self.assertEqual(found(audit("raw.calls", expected=3)), [1, 0, 0, 0])
            export = world.folder / "export.csv"
            export.write_text(sql("COPY (SELECT id AS call_no, account_id, called_at AT TIME ZONE 'UTC' AS called_at, duration, is_new_caller FROM ctm.calls WHERE id <> "
                                  f"{ids[1]}) TO STDOUT (FORMAT csv, HEADER)") + "\n")
            report = audit(str(export), "--stream", "calls", "--key", "account_id,call_no", expected=3)
            self.assertEqual((found(report), report["columns_compared"]), ([1, 0, 0, 0], 5))
            # And such records are taken over, with their hashes.
            rows = int(world.value("SELECT count(*) FROM raw.calls"))
            schema = sql("SELECT table_schema FROM information_schema.tables WHERE table_name = 'pawl_load'")
            sql("DROP TABLE ctm.calls CASCADE; " + "".join(f"DELETE FROM {schema}.{name};" for name in ("pawl_load", "pawl_slice", "pawl_state")))
            world.runs += 1
            report = json.loads(world.pawl("adopt", str(world.job), "--table", "raw.calls", "--json").stdout.splitlines()[-1])
            self.assertEqual((report["adopted"], report["hashes_exact"], report["view"]), (rows, True, False))

    def test_a_doubled_row_stays_though_the_source_deletes_it_in_the_middle_of_the_repair(self):
        with World(calls=150, accounts=1, warehouse="postgres") as world:
            world.run("historic", *DAYS)
            sql = lambda text: world.warehouse.cluster.sql(text, database=world.warehouse.database)
            # Three calls of one day, which is one whatever the account's time zone: one slice.
            noon = "FROM ctm.calls WHERE extract(hour FROM called_at AT TIME ZONE 'UTC') BETWEEN 13 AND 20"
            ids = [id for (id,) in world.rows(f"SELECT id {noon} AND (called_at AT TIME ZONE 'UTC')::date = (SELECT (called_at AT TIME ZONE 'UTC')::date {noon} GROUP BY 1 "
                                              "ORDER BY count(*) DESC LIMIT 1) ORDER BY id LIMIT 3")]
            listed = ", ".join(ids)
            total = world.value("SELECT count(*) FROM ctm.calls")
            sql("ALTER TABLE ctm.calls DROP CONSTRAINT calls_pkey")
            sql(f"INSERT INTO ctm.calls SELECT * FROM ctm.calls WHERE id IN ({listed})")
            delete = lambda id: world.control("mutate", {"account": 1001, "id": int(id), "do": "delete"})
            delete(ids[0])
            world.runs += 1
            command, env = world.command("audit", str(world.job), "--table", "ctm.calls", "--repair", "--json", *DAYS,
                                         env={"PAWL_TEST_KILL_AT": "stop:executed, audit repair"})
            repair = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertTrue(os.WIFSTOPPED(os.waitpid(repair.pid, os.WUNTRACED)[1]))
            delete(ids[1])  # it was shown a moment ago
            repair.send_signal(signal.SIGCONT)
            out, err = repair.communicate()
            self.assertEqual(repair.returncode, 0, err[-500:])
            report = json.loads(out.splitlines()[-1])
            self.assertEqual([report[name] for name in ("missing", "doubled", "stale", "vanished")], [0, 3, 0, 1])
            self.assertEqual(world.rows(f"SELECT id, count(*), count(_deleted_at) FROM ctm.calls WHERE id IN ({listed}) GROUP BY id ORDER BY id"),
                             [[ids[0], "1", "1"], [ids[1], "1", "1"], [ids[2], "1", "0"]])
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls"), total)
            sql("ALTER TABLE ctm.calls ADD PRIMARY KEY (_row_key)")

    def test_of_two_repairs_one_is_turned_away_and_forget_waits_for_it(self):
        with World(calls=60, warehouse="postgres") as world:
            world.run("historic", *DAYS)
            sql = lambda text: world.warehouse.cluster.sql(text, database=world.warehouse.database)
            sql("CREATE SCHEMA five")
            sql("CREATE TABLE five.calls AS SELECT id, account_id, called_at, direction, duration, notes FROM ctm.calls WHERE id % 3 <> 0")
            words = ("audit", str(world.job), "--table", "five.calls", "--repair", "--json", *DAYS)
            # It has read both sides, and is about to insert what the table lacks.
            command, env = world.command(*words, env={"PAWL_TEST_KILL_AT": "stop:execute, audit repair"})
            first = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertTrue(os.WIFSTOPPED(os.waitpid(first.pid, os.WUNTRACED)[1]))
            for other in (words, ("forget", str(world.job), "--phone", "+15005550199", "--json")):
                done = world.pawl(*other, check=False)
                self.assertEqual(done.returncode, 7, done.stderr)
                self.assertIn("ctm/leases/repair.json", done.stderr)
            while first.poll() is None:  # it stops before each day
                first.send_signal(signal.SIGCONT)
                time.sleep(0.02)
            out, err = first.communicate()
            self.assertEqual(first.returncode, 0, err[-500:])
            rows = world.value("SELECT count(*) FROM ctm.calls")
            self.assertEqual(world.rows("SELECT count(*), count(DISTINCT id) FROM five.calls"), [[rows, rows]])


if __name__ == "__main__":
    unittest.main()
