"""Whatever can fail in a whole command fails once: memory, queues, files, statements of DuckDB.

The command must end by itself, well or with a clear error, and whoever gives it next must end with what an undisturbed
one leaves. What fails is the nth of all that the process tries, so between runs of several threads the same number is
not the same thing. PAWL_FAULTS says how many are taken, spread evenly (default 25 a command; 0 = all).
"""
import concurrent.futures, os, unittest
from test_kill import SETUP, outcome
from world import NO_PYTHON, PYTHON, World

FAULTS = int(os.environ.get("PAWL_FAULTS", "25"))


class Failing(unittest.TestCase):
    def sweep(self, site, *words):
        """`words`: a command, and what follows the job file."""
        def give(copy, check=True, **env):
            copy.runs += 1
            done = copy.pawl(words[0], str(copy.job), *words[1:], "--json", env=env, check=False)
            if check and done.returncode != 0:
                raise AssertionError(f"ended with {done.returncode}: {done.stderr[-300:]}")
            return done

        name = "-".join(words[:3])
        calm = site.copy(f"calm-{name}")
        count = calm.folder / "count"
        self.assertEqual(give(calm, PAWL_TEST_FAULT_COUNT=str(count)).returncode, 0)
        wanted, wanted_marks = outcome(calm)
        there = int(count.read_text())
        self.assertGreater(there, 300)
        step = max(1, there // FAULTS) if FAULTS else 1

        def fail_and_go_on(nth):
            copy = site.copy(f"fail-{name}-{nth}")
            try:
                failed = give(copy, check=False, PAWL_TEST_FAULT_AT=str(nth))
                bad = failed.returncode != 0
                if bad and '"error"' not in failed.stderr:
                    return f"{nth}: ended with {failed.returncode} and no error: {failed.stderr[-300:]}"
                give(copy)
                got, marks = outcome(copy)
            except AssertionError as why:
                return f"{nth}: {str(why)[-600:]}"
            copy.remove()
            if got != wanted or marks_of(marks) != marks_of(wanted_marks):
                return f"{nth}: {got} {marks}, wanted {wanted} {wanted_marks}; the first said {failed.stderr[-300:]}"
            return "failed" if bad else None

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(fail_and_go_on, range(1 + step // 2, there + 1, step)))
        # A sweep in which nothing failed proves nothing.
        failed = sum(result == "failed" for result in results)
        print(f"{name}: {len(results)} of {there} faults, {failed} ended the command", flush=True)
        self.assertGreater(failed, len(results) // 4)
        self.assertEqual([result for result in results if result not in (None, "failed")], [])

    def test_every_mode_survives_what_fails_in_it(self):
        with World(calls=500) as world:
            self.sweep(world, "run", "--mode", "historic", *SETUP["historic"])
            world.run("historic", *SETUP["historic"])
            world.advance("2026-03-12T18:00:00Z")
            self.sweep(world, "run", "--mode", "incremental")
            world.run("incremental")
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06",
                                     "every": 5, "limit": 4, "do": "delete"})
            self.sweep(world, "run", "--mode", "rehydration", *SETUP["rehydration"])

    @unittest.skipUnless(PYTHON, NO_PYTHON)
    def test_what_mends_and_erases_survives_it_too(self):
        with World(calls=300) as world:
            world.run("historic", *SETUP["historic"])
            gone = world.value("SELECT min(id) FROM ctm.calls")
            self.sweep(world, "forget", "--id", gone)
            damaged = world.copy("damaged")
            damaged.by_hand(f"DELETE FROM ctm.calls WHERE id = {gone}",
                            "UPDATE ctm.calls SET notes = 'x', _row_hash = uuid() WHERE id % 7 = 0")
            self.sweep(damaged, "replay")
            self.sweep(damaged, "audit", "--table", "ctm.calls", *SETUP["historic"], "--repair")


def marks_of(marks):
    """Whose watermarks they are: their times depend on when a reading began."""
    return [partition for partition, _ in marks]


if __name__ == "__main__":
    unittest.main()
