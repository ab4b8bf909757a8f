"""The three modes against the simulator, as a user would see them."""
import re, unittest
from world import World


class Modes(unittest.TestCase):
    def test_historic_then_incremental_then_rehydration(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            total = sum(world.get(f"/accounts/{account}/calls?start_date=2026-03-01&end_date=2026-03-09&per_page=1")
                        ["total_entries"] for account in (1001, 1002))
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), total)
            self.assertEqual(world.value("SELECT count(DISTINCT _row_key) FROM ctm.calls"), str(total))

            world.run("incremental")
            total = sum(world.get(f"/accounts/{account}/calls?start_date=2026-03-01&end_date=2026-03-12&per_page=1")
                        ["total_entries"] for account in (1001, 1002))
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NULL")), total)

            again = world.report(world.run("incremental"))
            self.assertEqual((again["inserted"], again["updated"]), (0, 0))

    def test_a_finished_backfill_leaves_its_watermark(self):
        """Only where there is none yet: at the first instant behind its last day, in the account's own zone."""
        marks = "SELECT count(*), min(watermark) FROM pawl_state WHERE kind = 'watermark' AND stream = 'calls'"
        with World() as world:
            world.run("historic", "--to", "2026-03-09", "--account", "1001")
            self.assertEqual(world.rows(marks), [["1", "2026-03-10 04:00:00+00"]])  # midnight in New York, summer time
            world.run("historic", "--from", "2026-03-02", "--to", "2026-03-04", "--account", "1001")
            self.assertEqual(world.rows(marks), [["1", "2026-03-10 04:00:00+00"]])

    def test_days_that_a_person_chose_leave_none_out_before_them(self):
        marks = "SELECT count(*), min(watermark) FROM pawl_state WHERE kind = 'watermark' AND stream = 'calls'"
        count = "SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NULL"
        with World() as world:
            def whole():
                self.assertEqual(int(world.value(count)), sum(
                    world.get(f"/accounts/{a}/calls?start_date=2026-03-01&end_date=2026-03-12&per_page=1")["total_entries"]
                    for a in (1001, 1002)))

            # Where none stands and the job's history begins before that day: the next run fills it from there.
            world.run("incremental", "--from", "2026-03-08", "--account", "1001")
            self.assertEqual(world.value(f"{marks}"), "0")
            world.run("historic", "--to", "2026-03-04", "--account", "1002")
            self.assertEqual(world.rows(marks), [["1", "2026-03-05 08:00:00+00"]])
            world.run("incremental", "--from", "2026-03-08")
            self.assertEqual(world.rows(marks), [["1", "2026-03-05 08:00:00+00"]])
            world.run("incremental", "--from", "2026-03-05", "--to", "2026-03-06")
            self.assertEqual(world.rows(marks), [["1", "2026-03-05 08:00:00+00"]])
            # It joins on.
            world.run("incremental", "--from", "2026-03-05", "--account", "1002")
            self.assertEqual(world.value(f"SELECT watermark > TIMESTAMPTZ '2026-03-11 18:00:00Z' FROM pawl_state "
                                         "WHERE kind = 'watermark' AND stream = 'calls'"), "true")
            world.run("incremental")
            whole()
        with World() as world:
            world.run("incremental", "--from", "2026-03-01")
            self.assertEqual(world.value(marks), "2")
            self.assertEqual(world.run("incremental", "--from", "2026-03-05", "--to", "2026-03-04", check=False).returncode, 2)

    def test_a_source_that_shows_no_account_any_more_is_not_believed(self):
        with World(calls=50, streams=["calls"]) as world:
            world.run("incremental")
            for body in ('{"accounts": null}', '{"accounts": [{}]}', '{"accounts": []}'):
                world.control("faults", [{"match": {"path": "/accounts"}, "times": 0, "do": 200, "body": body}], method="PUT")
                done = world.run("incremental", check=False)
                self.assertEqual(done.returncode, 3, (body, done.stderr[-300:]))
                self.assertIn("shows not one account_id, where 2 were read before", done.stderr.splitlines()[-1])
            world.control("faults", [], method="PUT")
            world.run("incremental")

    def test_every_stream_is_looked_at_again(self):
        streams = ["accounts", "calls", "users", "sources", "numbers", "receiving_numbers", "triggers", "lists", "contacts",
                   "call_settings", "webhooks", "custom_fields"]
        count = " UNION ALL ".join(f"SELECT '{s}', count(*), count(_deleted_at) FROM ctm.{s}" for s in streams)
        with World(calls=100, streams=streams) as world:
            world.control("stats", method="DELETE")
            world.run("historic", "--to", "2026-03-09")
            # Partitions are looked for once, whatever the number of streams; the stream itself is the other reading.
            pages = [entry["request"] for entry in world.log() if re.match(r"\S+ \S*/accounts(\?|$)", entry["request"])]
            self.assertEqual((len(pages), len(set(pages))), (2, 1), pages)
            before = world.rows(count)
            self.assertEqual([name for name, rows, _ in before if rows == "0"], [])
            # Contacts know their account only through their list's: it is found there when deletions are looked for.
            world.run("rehydration", "--from", "2026-03-01", "--to", "2026-03-09")
            self.assertEqual(world.rows(count), before)

    def test_what_lies_below_a_parent_with_days_is_read_again(self):
        with World(calls=40, streams=["sale"]) as world:
            slices = world.report(world.run("historic", "--to", "2026-03-05"))["slices"]
            self.assertGreater(slices, 5)
            world.advance("2026-03-12T18:00:00Z")
            world.control("stats", method="DELETE")
            self.assertEqual(world.report(world.run("rehydration"))["slices"], slices)
            self.assertEqual(sum("/sale" in entry["request"] for entry in world.log()), slices)

    def test_a_resumed_run_keeps_what_it_was_planned_with_and_says_so(self):
        with World() as world:
            planned = ("--stream", "calls", "--account", "1001", "--from", "2026-03-04", "--to", "2026-03-05")
            world.run("historic", *planned, env={"PAWL_TEST_KILL_AT": "run noted, historic"}, check=False)
            for words in (("--stream", "accounts"), ("--account", "1002"), ("--from", "2026-03-01"), ("--to", "2026-03-06")):
                done = world.run("historic", *words, check=False)
                self.assertEqual(done.returncode, 2, words)
                self.assertIn("was planned with --from 2026-03-04 --to 2026-03-05 --stream calls --account 1001",
                              done.stderr.splitlines()[-1])
            done = world.run("historic")
            self.assertTrue(world.report(done)["resumed"])
            self.assertIn("resumed, as planned with --from 2026-03-04 --to 2026-03-05 --stream calls --account 1001",
                          done.stderr)
            self.assertEqual(world.rows("SELECT DISTINCT account_id FROM ctm.calls"), [["1001"]])
            # The other way round: a run of everything is not finished by a part of it.
            world.run("historic", "--from", "2026-03-06", env={"PAWL_TEST_KILL_AT": "run noted, historic"}, check=False)
            done = world.run("historic", "--stream", "calls", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("was planned with --from 2026-03-06:", done.stderr.splitlines()[-1])
            self.assertFalse(world.report(world.run("historic", "--start-over", "--stream", "calls"))["resumed"])


if __name__ == "__main__":
    unittest.main()
