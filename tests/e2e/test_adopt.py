"""A table of another tool's feed becomes pawl's: its rows, its state, its name; and pawl goes on from there."""
import json, os, signal, subprocess, unittest
from world import NO_PYTHON, PYTHON, World

KILLS = int(os.environ.get("PAWL_KILLS", "8"))
DAYS = ("--from", "2026-03-03", "--to", "2026-03-06")
FIVETRAN = ("CREATE SCHEMA five; CREATE TABLE five.calls AS SELECT id, account_id, called_at, direction, duration, caller_number, "
            "agent_email, notes, false AS _fivetran_deleted, TIMESTAMPTZ '2026-03-08 00:00:00+00' AS _fivetran_synced FROM ctm.calls")


@unittest.skipUnless(PYTHON, NO_PYTHON)
class Adopt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(calls=200)
        cls.world.run("historic", *DAYS)
        cls.rows = int(cls.world.value("SELECT count(*) FROM ctm.calls"))

    @classmethod
    def tearDownClass(cls):
        cls.world.close()

    def site(self, name, *statements):
        """A warehouse that only the other tool has ever filled; the landing store is empty."""
        site = self.world.copy(name)
        site.by_hand(*statements, "DROP VIEW IF EXISTS main.pipeline_health", "DELETE FROM main.pawl_load", "DELETE FROM main.pawl_slice",
                 "DELETE FROM main.pawl_state", "DROP SCHEMA IF EXISTS ctm CASCADE" if "ctm.calls_feed" not in str(statements) else
                 "ALTER TABLE ctm.calls RENAME TO old_calls")
        subprocess.run(["rm", "-rf", str(site.folder / "lake")], check=True)
        return site

    def adopt(self, site, table, *words, **options):
        site.runs += 1
        done = site.pawl("adopt", str(site.job), "--table", table, "--json", *words, **options)
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done

    def marks(self, site):
        return site.rows("SELECT partition_key, watermark FROM pawl_state WHERE kind = 'watermark' AND stream = 'calls' ORDER BY ALL")

    def shown(self, site):
        return site.rows("SELECT count(*), sum(hash(id, notes, duration)) FROM five.calls")

    def same_as_pawl(self, site):
        site.run("rehydration", *DAYS)
        self.assertEqual(site.digest(), self.world.digest())

    def test_rows_watermarks_and_the_old_name(self):
        site = self.site("five", FIVETRAN, "INSERT INTO five.calls SELECT * REPLACE (TIMESTAMPTZ '2026-03-07 00:00:00+00' AS _fivetran_synced, "
                         "'older' AS notes) FROM five.calls LIMIT 5")
        report = self.adopt(site, "five.calls")
        self.assertEqual((report["adopted"], report["doubled"], report["left_out"]), (self.rows, 5, 0))
        self.assertEqual(site.value("SELECT count(*) FROM ctm.calls WHERE notes = 'older'"), "0")
        # The old name shows the same rows; the old table is there.
        self.assertEqual(site.value("SELECT count(*) FROM five.calls"), str(self.rows))
        self.assertEqual(site.value("SELECT count(*) FROM five.calls__before_pawl"), str(self.rows + 5))
        self.assertEqual(site.value("SELECT count(*) FROM five.calls v JOIN ctm.calls c USING (id) WHERE v.duration IS DISTINCT FROM c.duration"), "0")
        latest = site.value("SELECT max(called_at) FROM ctm.calls WHERE account_id = 1001")
        self.assertIn(latest, [mark[1] for mark in self.marks(site)])
        # Nothing is done twice.
        digest = site.digest()
        again = self.adopt(site, "five.calls")
        self.assertTrue(again["already"])
        self.assertEqual(site.digest(), digest)
        # Content hashes are not known: each day's next reading writes the rows once, then no more.
        self.assertEqual(site.value("SELECT count(*) FROM ctm.calls WHERE _row_hash = '00000000-0000-0000-0000-000000000000'"), str(self.rows))
        report = site.report(site.run("rehydration", *DAYS))
        self.assertEqual(report["updated"], self.rows)
        self.assertEqual(site.digest(), self.world.digest())
        self.assertEqual(site.report(site.run("rehydration", *DAYS))["updated"], 0)
        site.remove()

    def test_a_table_that_bears_the_target_s_own_name(self):
        site = self.site("same", "CREATE TABLE ctm.calls_feed AS SELECT id, account_id, called_at, direction, duration, agent_email AS agent__email, "
                         "notes, '1' AS _dlt_load_id FROM ctm.calls")
        site.by_hand("DROP TABLE ctm.old_calls", "DROP TABLE ctm.calls__quarantine", "ALTER TABLE ctm.calls_feed RENAME TO calls")
        report = self.adopt(site, "ctm.calls")
        self.assertEqual((report["adopted"], report["view"], report["feed"]), (self.rows, False, "dlt"))
        self.assertEqual(site.value("SELECT count(*) FROM ctm.calls__before_pawl"), str(self.rows))
        self.assertTrue(self.adopt(site, "ctm.calls")["already"])
        self.same_as_pawl(site)
        site.remove()

    def test_a_column_that_was_mapped_to_a_path_shows_its_values_under_the_old_name(self):
        site = self.site("mapped", FIVETRAN.replace("SELECT id,", "SELECT id AS call_no,").replace("caller_number,", "caller_number AS caller,"))
        kept = site.rows("SELECT count(call_no), count(caller), min(caller) FROM five.calls")
        report = self.adopt(site, "five.calls", "--map", "call_no=/id,caller=/caller_number")
        self.assertEqual(report["adopted"], self.rows)
        self.assertEqual(site.rows("SELECT count(call_no), count(caller), min(caller) FROM five.calls"), kept)
        self.same_as_pawl(site)
        site.remove()

    def test_times_since_1970_stay_what_they_are_under_the_old_name(self):
        site = self.site("epoch", FIVETRAN.replace("called_at,", "epoch_ms(called_at) AS called_at,"))
        first = site.value("SELECT min(called_at) FROM five.calls")
        self.assertEqual(len(first), 13)
        self.assertEqual(self.adopt(site, "five.calls")["adopted"], self.rows)
        self.assertEqual(site.value("SELECT min(called_at) FROM five.calls"), first)
        self.same_as_pawl(site)
        site.remove()

    def test_a_time_that_nobody_can_mean_makes_no_days_of_all_between(self):
        site = self.site("odd", FIVETRAN, *[f"INSERT INTO five.calls SELECT * REPLACE ({id} AS id, TIMESTAMPTZ '{day} 00:00:00+00' AS called_at) FROM five.calls LIMIT 1"
                                            for id, day in ((1, "1970-01-01"), (2, "2999-12-31"))])
        report = self.adopt(site, "five.calls")
        self.assertEqual((report["adopted"], report["left_out"], report["loads"]), (self.rows, 2, 1))
        self.assertLess(int(site.value("SELECT count(*) FROM pawl_slice")), 40)
        site.remove()

    def test_a_table_whose_times_cannot_be_read_stays_as_it_is(self):
        for times in ("strftime(called_at, '%m/%d/%Y %H:%M') AS called_at,", "NULL::TIMESTAMPTZ AS called_at,"):
            site = self.site("unread", FIVETRAN.replace("called_at,", times))
            self.assertEqual(self.adopt(site, "five.calls", check=False).returncode, 2)
            self.assertEqual(site.value("SELECT count(*) FROM five.calls"), str(self.rows))
            site.remove()

    def test_raw_records_keep_their_hashes(self):
        records = []
        for account in (1001, 1002):
            for day in range(3, 7):
                records += self.world.get(f"/accounts/{account}/calls?start_date=2026-03-0{day}&end_date=2026-03-0{day}&per_page=150"
                                          "&exclude_fields=transcription_text,chat_messages")["calls"]
        values = ", ".join("(TIMESTAMPTZ '2026-03-08 00:00:00+00', '" + json.dumps(record).replace("'", "''") + "')" for record in records)
        site = self.site("raw", "CREATE SCHEMA raw; CREATE TABLE raw.calls (_airbyte_extracted_at TIMESTAMPTZ, _airbyte_data JSON)",
                         f"INSERT INTO raw.calls VALUES {values}")
        report = self.adopt(site, "raw.calls")
        self.assertEqual((report["adopted"], report["hashes_exact"], report["view"]), (self.rows, True, False))
        self.assertEqual(site.digest(), self.world.digest())
        self.assertEqual(site.report(site.run("rehydration", *DAYS))["updated"], 0)
        site.remove()

    def test_the_other_tool_s_state_sets_the_watermarks(self):
        states = {
            "airbyte": {"type": "STREAM", "stream": {"stream_descriptor": {"name": "calls"}, "stream_state": {"states": [
                {"partition": {"account_id": 1001, "parent_slice": {}}, "cursor": {"called_at": "2026-03-04"}},
                {"partition": {"account_id": 1002, "parent_slice": {}}, "cursor": {"called_at": "2026-03-05"}}]}}},
            "singer": {"type": "STATE", "value": {"bookmarks": {"users": {"at": "2020-01-01T00:00:00Z"}, "calls": {"partitions": [
                {"context": {"account_id": "1001"}, "replication_key_value": "2026-03-04T05:00:00Z"},
                {"context": {"account_id": "1002"}, "replication_key_value": "2026-03-05T05:00:00Z"}]}}}},
        }
        for tool, state in states.items():
            with self.subTest(tool=tool):
                site = self.site(tool, FIVETRAN)
                (site.folder / "state.json").write_text(json.dumps(state) + "\n")
                self.adopt(site, "five.calls", "--state", str(site.folder / "state.json"))
                self.assertEqual([mark[1][:10] for mark in self.marks(site)], ["2026-03-04", "2026-03-05"])
                site.remove()
        site = self.site("nothing", FIVETRAN)
        (site.folder / "state.json").write_text('{"bookmarks": {"users": {"at": "2020-01-01T00:00:00Z"}}}')
        self.assertEqual(self.adopt(site, "five.calls", "--state", str(site.folder / "state.json"), check=False).returncode, 3)
        self.assertEqual(site.value("SELECT count(*) FROM five.calls"), str(self.rows))

    def test_of_a_row_whose_time_moved_the_latest_version_counts(self):
        ids = [int(row[0]) for row in self.world.rows("SELECT id FROM ctm.calls ORDER BY id LIMIT 12")]
        older, gone, kept = ids[:5], ids[5:7], ids[7:]
        change = lambda ids, days, notes, deleted, day: (
            f"INSERT INTO five.calls SELECT * REPLACE (called_at + ({days}) * INTERVAL 1 DAY AS called_at, '{notes}' AS notes, {deleted} AS _fivetran_deleted, "
            f"TIMESTAMPTZ '2026-03-{day} 00:00:00+00' AS _fivetran_synced) FROM five.calls WHERE id IN ({', '.join(map(str, ids))}) AND notes <> 'older'")
        site = self.site("moved", FIVETRAN, "UPDATE five.calls SET notes = 'now'", change(older, -1, "older", "false", "07"),
                         change(kept, 1, "older", "false", "07"), change(gone, 1, "gone", "true", "09"))
        report = self.adopt(site, "five.calls")
        self.assertEqual((report["adopted"], report["doubled"], report["deleted"], report["loads"]), (self.rows - 2, 12, 2, 1))
        self.assertEqual(site.rows("SELECT count(*), count(DISTINCT id), count(DISTINCT _row_key), min(notes), max(notes) FROM ctm.calls"),
                         [[str(self.rows - 2)] * 3 + ["now", "now"]])
        site.remove()

    def test_of_a_row_whose_versions_lie_in_several_loads_the_latest_counts(self):
        # 300 of each call, since a load is some 20,000 rows; the copies' ids are far from each other.
        copies, far = 300, 10 ** 11
        version = lambda k, days, notes, deleted, day: (
            f"INSERT INTO five.calls SELECT * REPLACE (called_at + ({days}) * INTERVAL 1 DAY AS called_at, '{notes}' AS notes, {deleted} AS _fivetran_deleted, "
            f"TIMESTAMPTZ '2026-03-{day} 00:00:00+00' AS _fivetran_synced) FROM five.calls WHERE id // {far} = {k} AND notes = 'now'")
        site = self.site("loads", FIVETRAN, "UPDATE five.calls SET notes = 'now'",
                         f"INSERT INTO five.calls SELECT f.* REPLACE (f.id + k * {far} AS id) FROM five.calls f, range(1, {copies}) r(k)",
                         version(1, -2, "older", "false", "07"), version(2, 2, "older", "false", "07"),
                         version(3, -2, "later", "false", "09"), version(4, 2, "later", "false", "09"), version(5, 2, "gone", "true", "09"))
        report = self.adopt(site, "five.calls")
        self.assertGreater(report["loads"], 1)
        self.assertEqual(site.rows(f"SELECT id // {far}, count(*), min(notes), max(notes) FROM ctm.calls WHERE _deleted_at IS NULL AND id // {far} < 6 "
                                   "GROUP BY ALL ORDER BY 1"),
                         [[str(k), str(self.rows), note, note] for k, note in enumerate(["now"] * 3 + ["later"] * 2)])
        total = str(self.rows * (copies - 1))
        self.assertEqual(site.rows("SELECT count(*), count(DISTINCT id), count(DISTINCT _row_key) FROM ctm.calls WHERE _deleted_at IS NULL"), [[total] * 3])
        # Those that the feed deleted after an earlier load had brought them are marked.
        marked = site.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NOT NULL")
        self.assertEqual(site.value(f"SELECT count(*) FROM ctm.calls WHERE id // {far} = 5"), marked)
        self.assertNotEqual(marked, "0")
        self.assertEqual(report["doubled"], 5 * self.rows - int(marked))
        site.remove()

    def test_what_a_later_reading_of_pawl_s_did_not_show_stays_away(self):
        site = self.world.copy("read")
        ids = ", ".join(row[0] for row in site.rows("SELECT id FROM ctm.calls ORDER BY id LIMIT 2"))
        site.by_hand(*FIVETRAN.split("; "), f"DELETE FROM ctm.calls WHERE id IN ({ids})")
        report = self.adopt(site, "five.calls")
        self.assertEqual((report["adopted"], report["known"]), (0, self.rows))
        self.assertEqual(site.value("SELECT count(*) FROM ctm.calls"), str(self.rows - 2))
        site.remove()

    def test_a_kill_anywhere_is_gone_on_from(self):
        calm = self.site("calm", FIVETRAN)
        site = self.site("saved", FIVETRAN)
        self.adopt(calm, "five.calls", env={"PAWL_TEST_KILL_LIST": str(calm.folder / "points")})
        points = list(dict.fromkeys((calm.folder / "points").read_text().splitlines()))
        chosen = [points[i * len(points) // KILLS] for i in range(min(KILLS, len(points)))] if KILLS else points
        chosen += [point for point in points if "adopt" in point or "commit" in point]
        wanted = calm.digest(), self.shown(calm), len(self.marks(calm))
        saved = (site.folder / "ctm.duckdb").read_bytes()
        for number, point in enumerate(dict.fromkeys(chosen)):
            with self.subTest(point=point):
                (site.folder / "ctm.duckdb").write_bytes(saved)
                subprocess.run(["rm", "-rf", str(site.folder / "lake"), str(site.folder / "ctm.duckdb.wal")], check=True)
                killed = self.adopt(site, "five.calls", env={"PAWL_TEST_KILL_AT": point}, check=False)
                self.assertEqual(getattr(killed, "returncode", 0), -signal.SIGKILL, point)
                self.adopt(site, "five.calls")
                self.assertEqual((site.digest(), self.shown(site), len(self.marks(site))), wanted)
                self.assertEqual(site.value("SELECT count(*) - count(DISTINCT (run_id, load_ordinal)) FROM pawl_load"), "0")


if __name__ == "__main__":
    unittest.main()
