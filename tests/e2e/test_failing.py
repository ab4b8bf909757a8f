"""Whatever can fail in a whole run fails once: memory, queues, files, statements of DuckDB.

The run must end by itself, well or with a clear error, and whoever runs next must end with the table of an undisturbed
one. What fails is the nth of all that the process tries, so between runs of several threads the same number is not the
same thing. PAWL_FAULTS says how many are taken, spread evenly (default 30 a mode; 0 = all).
"""
import concurrent.futures, os, unittest
from test_kill import SETUP, outcome
from world import World

FAULTS = int(os.environ.get("PAWL_FAULTS", "30"))


class Failing(unittest.TestCase):
    def sweep(self, world, mode):
        words = SETUP[mode]
        calm = world.copy("calm")
        count = calm.folder / "count"
        calm.run(mode, *words, env={"PAWL_TEST_FAULT_COUNT": str(count)})
        wanted, wanted_marks = outcome(calm)
        there = int(count.read_text())
        self.assertGreater(there, 300)
        step = max(1, there // FAULTS) if FAULTS else 1

        def fail_and_go_on(nth):
            site = world.copy(f"fail-{mode}-{nth}")
            try:
                failed = site.run(mode, *words, env={"PAWL_TEST_FAULT_AT": str(nth)}, check=False)
                if failed.returncode != 0 and '"error"' not in failed.stderr:
                    return f"{nth}: ended with {failed.returncode} and no error: {failed.stderr[-300:]}"
                site.run(mode, *words)
                got, marks = outcome(site)
            except AssertionError as why:
                return f"{nth}: {str(why)[-600:]}"
            site.remove()
            if got != wanted or len(marks) != len(wanted_marks):
                return f"{nth}: {got}, wanted {wanted}; the failed run said {failed.stderr[-300:]}"
            return "failed" if failed.returncode != 0 else None

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(fail_and_go_on, range(1 + step // 2, there + 1, step)))
        # What fails and is not missed is the exception: a sweep in which nothing failed proves nothing.
        failed = sum(result == "failed" for result in results)
        print(f"{mode}: {len(results)} of {there} faults, {failed} ended the run", flush=True)
        self.assertGreater(failed, len(results) // 4)
        self.assertEqual([result for result in results if result not in (None, "failed")], [])

    def test_every_mode_survives_what_fails_in_it(self):
        with World(calls=500) as world:
            self.sweep(world, "historic")
            world.run("historic", *SETUP["historic"])
            world.advance("2026-03-12T18:00:00Z")
            self.sweep(world, "incremental")
            world.run("incremental")
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06",
                                     "every": 5, "limit": 4, "do": "delete"})
            self.sweep(world, "rehydration")


if __name__ == "__main__":
    unittest.main()
