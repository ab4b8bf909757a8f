"""Power lost anywhere in a run: whatever was not flushed is gone, in the lake, the state folder and the DuckDB file alike.

tests/shim/power_loss.c plays the loss: it follows all that pawl writes below the job's folder, and before the nth change
or flush it undoes what was not flushed yet and kills. The next run must complete, with the table of an undisturbed run.
PAWL_POWER says how many moments of a run are taken, spread evenly (default 12; 0 = all).
"""
import concurrent.futures, os, signal, subprocess, unittest
from world import BUILD, World

MOMENTS = int(os.environ.get("PAWL_POWER", "12"))
RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")


class Power(unittest.TestCase):
    def lose(self, world, site, words, at, names):
        """A run that loses power before its nth change; 0 = one that is only counted."""
        shadow = world.folder / f"shadow-{site.folder.name}"
        shadow.mkdir()
        count = shadow.with_suffix(".count")
        done = site.run(*words, check=False, env={
            "LD_PRELOAD": str(BUILD / "libpower_loss.so"), "POWER_ROOT": str(site.folder), "POWER_SHADOW": str(shadow),
            "POWER_COUNT": str(count), "POWER_AT": str(at), "POWER_NAMES": names,
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
        return done, int(count.read_text()) if count.exists() else None

    def outcome(self, site):
        marks = site.rows("SELECT stream, partition_key, watermark FROM pawl_state WHERE kind = 'watermark' ORDER BY ALL")
        twice = site.value("SELECT count(*) - count(DISTINCT (run_id, stream, load_ordinal)) FROM pawl_load")
        return site.digest(), site.digest("ctm.accounts"), len(marks), twice

    def sweep(self, world, words, names):
        calm = world.copy(f"calm-{words[0]}-{names}")
        done, changes = self.lose(world, calm, words, 0, names)
        self.assertEqual(done.returncode, 0, done.stderr[-500:])
        wanted = self.outcome(calm)
        step = 1 if MOMENTS == 0 else max(1, changes // MOMENTS)

        def lose_and_go_on(at):
            site = world.copy(f"power-{words[0]}-{names}-{at}")
            done, _ = self.lose(world, site, words, at, names)
            if done.returncode not in (0, -signal.SIGKILL):
                return at, f"ended with {done.returncode}: {done.stderr[-300:]}"
            again = site.run(*words, check=False)
            if again.returncode != 0:
                return at, f"the next run ended with {again.returncode}: {again.stderr[-300:]}"
            got = self.outcome(site)
            site.remove()
            return at, f"{got}, wanted {wanted}" if got != wanted else done.returncode

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lose_and_go_on, range(1, changes, step)))
        faults = [f"change {at} of {changes}: {what}" for at, what in results if isinstance(what, str)]
        self.assertEqual(faults, [])
        died = sum(what == -signal.SIGKILL for _, what in results)
        print(f"{words[0]}, {names} names: {died} losses among {changes} changes", flush=True)
        # Threads take turns as they like: a run may end before as many changes as the counted one made.
        self.assertGreater(died, len(results) * 3 // 4)

    def test_every_mode_survives_the_loss_of_power(self):
        with World(calls=300) as world:
            # A name is kept once its folder was flushed: the least that POSIX promises.
            self.sweep(world, ("historic", *RANGE), "strict")
            world.run("historic", *RANGE)
            world.advance("2026-03-12T18:00:00Z")
            # A flush keeps all names so far, as the journals of ext4 and xfs do.
            self.sweep(world, ("incremental",), "kernel")
            world.run("incremental")
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-05", "every": 3,
                                     "limit": 2, "do": "delete"})
            # Names are kept and bytes are not: torn files.
            self.sweep(world, ("rehydration", *RANGE), "kept")


if __name__ == "__main__":
    unittest.main()
