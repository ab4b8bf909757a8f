"""A machine's clock that was wrong once: no run goes on in silence, and what the runbook says brings everything back."""
import json, os, unittest
from world import NO_PYTHON, PYTHON, World

MOMENT = "2026-03-11T18:05:00Z"  # when the clock was last right


@unittest.skipUnless(PYTHON, NO_PYTHON)
class Clock(unittest.TestCase):
    def at(self, site, now, mode, *words):
        return site.pawl("run", str(site.job), "--mode", mode, "--json", *words, env={"PAWL_TEST_NOW": now}, check=False)

    def refused(self, site, now, mode, what):
        done = self.at(site, now, mode)
        self.assertEqual(done.returncode, 3, done.stderr[-500:])
        self.assertIn(f"the clock: the ledger has a {what} of 2026-03-12", done.stderr.splitlines()[-1])

    def test_a_day_ahead_once_then_right_again(self):
        # An incremental run leaves marks of the future; a rehydration alone leaves readings, which the next load meets.
        for mode, what in (("incremental", "watermark"), ("rehydration", "reading")):
            with self.subTest(mode), World(calls=300) as world:
                self.at(world, "2026-03-11T18:00:00Z", "historic")
                self.assertEqual(self.at(world, MOMENT, "incremental").returncode, 0)
                self.assertEqual(self.at(world, "2026-03-12T18:10:00Z", mode).returncode, 0)
                ids = world.control("mutate", {"account": 1001, "start_date": "2026-03-10", "end_date": "2026-03-10", "every": 1,
                                               "limit": 5, "do": "edit", "set": {"notes": "NEW"}})["ids"]
                self.refused(world, "2026-03-11T18:20:00Z", "incremental", what)
                # As the runbook has it.
                world.by_hand(f"UPDATE pawl_slice SET fetched_at = '{MOMENT}' WHERE fetched_at > '{MOMENT}'",
                         *(f"UPDATE ctm.{table} SET _fetched_at = '{MOMENT}' WHERE _fetched_at > '{MOMENT}'" for table in ("accounts", "calls")))
                for stream in ("accounts", "calls"):
                    world.pawl("state", "rewind", str(world.job), "--stream", stream, "--to", MOMENT)
                done = self.at(world, "2026-03-11T18:30:00Z", "incremental")
                self.assertEqual(done.returncode, 0, done.stderr[-500:])
                self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls WHERE notes = 'NEW'")), len(ids))

    def test_a_killed_run_is_resumed_though_one_of_the_future_ended(self):
        with World(calls=100) as world:
            days = ("--from", "2026-03-03", "--to", "2026-03-06")
            self.assertEqual(self.at(world, "2026-03-11T20:00:00Z", "historic", "--from", "2026-03-02", "--to", "2026-03-02").returncode, 0)
            world.by_hand("DELETE FROM pawl_state WHERE kind = 'watermark'", "DELETE FROM pawl_slice")
            killed = world.pawl("run", str(world.job), "--mode", "historic", *days, check=False,
                                env={"PAWL_TEST_NOW": MOMENT, "PAWL_TEST_KILL_AT": "commit, calls load 0"})
            self.assertEqual(killed.returncode, -9)
            done = self.at(world, "2026-03-11T18:10:00Z", "historic", *days)
            self.assertEqual(done.returncode, 0, done.stderr[-500:])
            self.assertTrue(world.report(done)["resumed"])

    def test_a_year_ahead_removes_nothing_by_its_age(self):
        with World(calls=100, job={"landing": {"retention": "P30D"}}) as world:
            kept = lambda: [set((world.folder / folder).rglob("*")) for folder in ("lake", ".pawl")]
            world.run("historic")
            for path in (*kept()[0], *kept()[1]):  # the disk's clock is another one
                os.utime(path, (1773252000, 1773252000))
            before = kept()
            done = self.at(world, "2027-03-11T18:00:00Z", "historic")
            self.assertEqual(done.returncode, 0, done.stderr[-500:])
            self.assertTrue(all(then <= now for then, now in zip(before, kept())))
            warning = next(event for event in map(json.loads, done.stderr.splitlines()) if event["event"] == "clock_ahead")["text"]
            self.assertIn("this machine says that it is 2027-03-11T18:00:0", warning)
            self.assertIn("the source that it is 2026-03-11T18:00:00Z", warning)
            self.assertEqual(world.rows("SELECT status, error ->> '$.code' FROM etl_log WHERE stage = 'expire'"), [["failed", "DATA"]])

    def test_a_row_of_the_future_is_not_passed_over(self):
        with World(calls=100) as world:
            self.at(world, "2026-03-11T18:00:00Z", "historic")
            world.by_hand("UPDATE ctm.calls SET _fetched_at = '2026-03-12 18:00:00+00'")
            self.assertEqual(self.at(world, MOMENT, "incremental").returncode, 0)  # nothing changed, so no row is overtaken
            world.control("mutate", {"account": 1001, "start_date": "2026-03-10", "end_date": "2026-03-10", "every": 1,
                                     "do": "edit", "set": {"notes": "NEW"}})
            self.refused(world, "2026-03-11T18:20:00Z", "incremental", "row")

    def test_a_watermark_that_was_set_to_null_is_refused_until_it_has_a_time(self):
        with World(calls=100) as world:
            world.run("historic")
            marks = lambda: world.rows("SELECT stream, partition_key, watermark FROM pawl_state WHERE kind = 'watermark' ORDER BY ALL")
            before = marks()
            world.by_hand("UPDATE pawl_state SET watermark = NULL WHERE stream = 'calls' AND partition_key LIKE '%1001%'")
            done = world.run("incremental", check=False)
            self.assertEqual(done.returncode, 3, done.stderr[-500:])
            self.assertIn('watermark without a time for {', done.stderr.splitlines()[-1])
            self.assertIn("pawl state rewind --stream calls --to DAY", done.stderr.splitlines()[-1])
            world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--account", "1001", "--to", "2026-03-10")
            self.assertEqual([(row[0], "1001" in row[1], row[2]) for row, then in zip(marks(), before) if row != then],
                             [("calls", True, "2026-03-10 00:00:00+00")])
            self.assertEqual(world.run("incremental").returncode, 0)

    def test_a_watermark_that_was_set_far_back_is_told_with_what_it_costs(self):
        with World(calls=100) as world:
            world.run("historic")
            world.by_hand("UPDATE pawl_state SET watermark = '2024-03-01' WHERE stream = 'calls' AND partition_key LIKE '%1001%'")
            words = ("plan", str(world.job), "--mode", "incremental")
            told = "1 watermarks lie more than a year back, the oldest at 2024-03-01T00:00:00Z (1001): 74"
            self.assertIn(f"warning: calls: {told}", world.pawl(*words).stderr)
            streams = json.loads(world.pawl(*words, "--json").stdout)["streams"]
            self.assertEqual([told in stream.get("warning", "") for stream in streams], [stream["stream"] == "calls" for stream in streams])
            done = world.pawl("run", str(world.job), "--mode", "incremental", "--json", check=False,
                              env={"PAWL_TEST_KILL_AT": "run noted, incremental"})
            events = [json.loads(line) for line in done.stderr.splitlines()]
            self.assertEqual([(event["stream"], told in event["text"]) for event in events if event["event"] == "marks_far_back"],
                             [("calls", True)])


if __name__ == "__main__":
    unittest.main()
