"""What the source may show, and what becomes of it: far dates, bad keys, doubled rows, totals that lie, capped days."""
import json, unittest
from world import World

DAY = ("--from", "2026-03-05", "--to", "2026-03-05")
CALLS = "/accounts/1001/calls"


class Data(unittest.TestCase):
    def ids(self, world, account=1001, day="2026-03-05"):
        page = world.get(f"/accounts/{account}/calls?start_date={day}&end_date={day}&per_page=150")
        return [call["id"] for call in page["calls"]]

    def world(self, **more):
        return World(**{"calls": 200, "accounts": 1, **more})

    def count(self, world, where="true"):
        return int(world.value(f"SELECT count(*) FROM ctm.calls WHERE {where}"))

    def test_a_record_dated_2038(self):
        with self.world(first="2038-01-15", last="2038-01-22", now="2038-01-22T12:00:00Z") as world:
            inserted = world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 2147483700,
                                                "set": {"notes": "2038"}})["ids"][0]
            world.run("historic", "--from", "2038-01-18", "--to", "2038-01-20")
            self.assertEqual(world.rows(f"SELECT epoch(called_at), notes FROM ctm.calls WHERE id = {inserted}"),
                             [["2147483700.0", "2038"]])

    def test_a_record_without_a_key_goes_to_quarantine(self):
        with self.world() as world:
            bad = self.ids(world)[0]
            world.control("mutate", {"account": 1001, "id": bad, "do": "edit", "raw": {"id": "null"}})
            total = len(self.ids(world))
            report = world.report(world.run("historic", *DAY))
            self.assertEqual(report["quarantined"], 1)
            self.assertEqual(self.count(world), total - 1)

    def test_rows_doubled_by_shifting_pages_land_once(self):
        with World(calls=1500, accounts=1, first="2026-03-05", last="2026-03-07", now="2026-03-05T22:00:00Z") as world:
            world.control("faults", [{"match": {"path": CALLS, "from_nth": 2}, "times": 2, "do": "shift", "count": 7}],
                          method="PUT")
            world.run("historic", "--from", "2026-03-05", "--to", "2026-03-05")
            self.assertEqual(world.value("SELECT count(*) - count(DISTINCT _row_key) FROM ctm.calls"), "0")
            self.assertEqual(world.value("SELECT count(*) - count(DISTINCT id) FROM ctm.calls"), "0")
            # Pages that shifted hide nothing for good: the next look finds the new calls.
            world.control("faults", [], method="PUT")
            world.run("historic", "--from", "2026-03-05", "--to", "2026-03-05")
            truth = world.control("truth?account=1001&start_date=2026-03-05&end_date=2026-03-05")
            self.assertEqual(self.count(world), truth["calls"])

    def test_a_lying_total_of_a_closed_day_is_looked_at_twice_then_fails_with_the_numbers(self):
        with self.world() as world:
            total = len(self.ids(world))
            world.control("faults", [{"match": {"path": CALLS}, "times": 0, "do": "total", "count": 5}], method="PUT")
            world.control("stats", method="DELETE")
            done = world.run("historic", *DAY, check=False)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(f"{total + 5}", done.stderr)
            self.assertIn(f"{total}", done.stderr)
            self.assertEqual(self.asked(world), 2)
            # As long as it lies, each run asks again rather than judging by what it has landed; then it goes on.
            self.assertEqual(world.run("historic", *DAY, check=False).returncode, 3)
            self.assertGreater(self.asked(world), 2)
            world.control("faults", [], method="PUT")
            report = world.report(world.run("historic", *DAY))
            self.assertTrue(report["resumed"])
            self.assertEqual(self.count(world), total)

    def asked(self, world):
        return sum(CALLS in entry["request"] for entry in world.log())

    def test_a_total_that_lied_once_is_forgiven(self):
        with self.world() as world:
            world.control("faults", [{"match": {"path": CALLS}, "times": 1, "do": "total", "count": 5}], method="PUT")
            world.run("historic", *DAY)
            self.assertEqual(self.count(world), len(self.ids(world)))

    def test_a_lying_total_of_an_open_day_warns(self):
        with self.world() as world:
            world.control("faults", [{"match": {"path": CALLS, "start_date": "2026-03-11"}, "times": 0, "do": "total",
                                      "count": 5}], method="PUT")
            done = world.run("incremental", "--from", "2026-03-10")
            self.assertIn('"event":"slice_open"', done.stderr)

    def test_a_load_that_was_fixed_is_loaded_as_it_was_although_its_day_is_over(self):
        with self.world() as world:
            world.control("faults", [{"match": {"path": CALLS, "start_date": "2026-03-11"}, "times": 0, "do": "total",
                                      "count": 5}], method="PUT")
            killed = world.run("incremental", "--from", "2026-03-10", check=False, env={"PAWL_TEST_KILL_AT": "commit, calls load 0"})
            self.assertEqual(killed.returncode, -9, killed.stderr[-300:])
            world.advance("2026-03-13T18:00:00Z")
            world.control("stats", method="DELETE")
            done = world.run("incremental")
            self.assertTrue(world.report(done)["resumed"])
            self.assertNotIn('"event":"slice_read_again"', done.stderr)
            self.assertEqual(self.asked(world), 0)
            # The next one looks again, and judges by its own clock.
            world.control("faults", [], method="PUT")
            world.run("incremental")
            self.assertEqual(self.count(world), world.control("truth?account=1001&start_date=2026-03-01&end_date=2026-03-14")["calls"])

    def test_a_day_beyond_the_row_cap_goes_on_by_cursor(self):
        with World(calls=1500, accounts=1, first="2026-03-05", last="2026-03-06", sim=("--cap", "450")) as world:
            done = world.run("historic", *DAY, check=False)
            truth = world.control("truth?account=1001&start_date=2026-03-05&end_date=2026-03-05")
            self.assertGreater(truth["calls"], 450)
            self.assertEqual(done.returncode, 0, done.stderr[-600:])
            self.assertEqual(self.count(world), truth["calls"])

    def test_a_day_beyond_every_cap_is_refused_by_name(self):
        with World(calls=1500, accounts=1, first="2026-03-05", last="2026-03-06",
                   sim=("--cap", "450", "--after-cap")) as world:
            done = world.run("historic", *DAY, check=False)
            self.assertNotEqual(done.returncode, 0)
            message = done.stderr.splitlines()[-1]
            self.assertIn("calls of 1001", message)
            self.assertIn("2026-03-05", message)


if __name__ == "__main__":
    unittest.main()
