"""Modes that race over the same rows: whatever is read first and loaded last, the fresher content stays."""
import random, unittest
from world import World

DAYS = ["2026-03-07", "2026-03-08", "2026-03-09"]
TRIALS = 8
POINTS = ["commit, calls load 0", "run noted, {}", "committed, calls load 0"]


def calls(world, days=DAYS):
    return {call["id"]: call.get("notes") for day in days for call in
            world.get(f"/accounts/1001/calls?start_date={day}&end_date={day}&per_page=150")["calls"]}


class Race(unittest.TestCase):
    def test_a_backfill_read_first_and_loaded_last_keeps_what_is_fresher(self):
        with World(calls=60, accounts=1, first=DAYS[0], last="2026-03-11") as world:
            day = ("--from", DAYS[0], "--to", DAYS[0])
            call = sorted(calls(world, DAYS[:1]))[0]
            killed = world.run("historic", *day, env={"PAWL_TEST_KILL_AT": "commit, calls load 0"}, check=False)
            self.assertEqual(killed.returncode, -9)
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"notes": "fresh"}})
            world.run("incremental", "--from", DAYS[0])
            self.assertTrue(world.report(world.run("historic", *day))["resumed"])
            self.assertEqual(world.value(f"SELECT notes FROM ctm.calls WHERE id = {call}"), "fresh")

    def step(self, chance, world, ids):
        if chance.random() < 0.5:
            what = chance.choice([{"do": "edit", "set": {"notes": str(chance.random())}}, {"do": "revert"},
                                  {"do": "delete"}, {"do": "restore"}])
            world.control("mutate", {"account": 1001, "id": chance.choice(ids), **what})
            return
        mode, day = chance.choice(["historic", "incremental", "rehydration"]), chance.choice(DAYS)
        kill = {"PAWL_TEST_KILL_AT": chance.choice(POINTS).format(mode)} if chance.random() < 0.5 else None
        # An unfinished run of another range refuses this one, by design: that is a step too.
        done = world.run(mode, "--from", day, *(() if mode == "incremental" else ("--to", day)), env=kill, check=False)
        self.assertIn(done.returncode, (0, 2, -9), done.stderr[-500:])

    def trial(self, seed):
        chance = random.Random(seed)
        with World(calls=60, accounts=1, first=DAYS[0], last="2026-03-11") as world:
            ids = sorted(calls(world))
            world.run("historic", "--from", DAYS[0], "--to", DAYS[-1])
            for _ in range(chance.randrange(4, 8)):
                self.step(chance, world, ids)
            for mode in ("historic", "incremental", "rehydration"):
                world.run(mode)  # finishes what is unfinished
            world.run("rehydration", "--from", DAYS[0], "--to", DAYS[-1])
            wanted = calls(world)
            got = {int(i): notes for i, notes in world.rows("SELECT id, notes FROM ctm.calls WHERE _deleted_at IS NULL")}
            self.assertEqual({i: notes for i, notes in got.items() if i in ids}, wanted)

    def test_random_histories_end_with_what_the_source_shows(self):
        for seed in range(TRIALS):
            with self.subTest(seed=seed):
                self.trial(seed)


if __name__ == "__main__":
    unittest.main()
