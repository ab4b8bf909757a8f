"""Kill -9 at named moments of a run; whoever runs next must end with the table that an undisturbed run gives.

Kill points are enumerated, not drawn: the list comes from an undisturbed run. PAWL_KILLS says how many are taken, spread
evenly over each mode's list (default 70 a mode, a tenth of it for PostgreSQL; 0 = all, as ./dev kill does); those around the
warehouse's commit always are.
"""
import collections, concurrent.futures, os, signal, unittest
from world import World

KILLS = int(os.environ.get("PAWL_KILLS", "70"))
SETUP = {"historic": ("--from", "2026-03-04", "--to", "2026-03-09"), "incremental": (),
         "rehydration": ("--from", "2026-03-04", "--to", "2026-03-09")}


def choose(points, kills):
    points = list(dict.fromkeys(points))
    if kills == 0 or len(points) <= kills:
        return points
    chosen = {points[i * len(points) // kills] for i in range(kills)}
    chosen |= {p for p in points if p.startswith(("commit", "staged", "written"))}
    return [p for p in points if p in chosen]


def outcome(site):
    marks = site.rows("SELECT partition_key, watermark FROM pawl_state WHERE kind = 'watermark' ORDER BY 1")
    # Who is killed after the end of his run was noted starts a new one: more loads, but none of them twice.
    twice = site.value("SELECT count(*) - count(DISTINCT (run_id, stream, load_ordinal)) FROM pawl_load")
    return {"calls": site.digest(), "accounts": site.digest("ctm.accounts"), "loads twice": twice}, marks


class Sweep:
    def sweep(self, world, mode):
        words = SETUP[mode]
        calm = world.copy("calm")
        names = calm.folder / "points"
        calm.run(mode, *words, env={"PAWL_TEST_KILL_LIST": str(names)})
        wanted, wanted_marks = outcome(calm)
        if mode == "rehydration":
            self.assertEqual(calm.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NOT NULL"), "8")
        points = choose(names.read_text().splitlines(), self.kills)

        def kill_and_go_on(numbered):
            number, point = numbered
            site = world.copy(f"kill-{mode}-{number}")
            killed = site.run(mode, *words, env={"PAWL_TEST_KILL_AT": point}, check=False)
            # A point that names an open or close may fall behind the end of what a killed run does.
            if killed.returncode not in (0, -signal.SIGKILL):
                return f"{point}: ended with {killed.returncode}: {killed.stderr[-300:]}"
            again = site.run(mode, *words, check=False)
            if again.returncode != 0:
                return f"{point}: the next run ended with {again.returncode}: {again.stderr[-300:]}"
            got, marks = outcome(site)
            site.remove()
            if got != wanted or len(marks) != len(wanted_marks):
                return f"{point}: {got}, wanted {wanted}"
            return None

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            faults = [f for f in pool.map(kill_and_go_on, enumerate(points)) if f]
        print(f"{mode}: {len(points)} kill points", flush=True)
        self.assertEqual(faults, [])

    def test_every_mode_survives_kills(self):
        with World(calls=500, warehouse=self.warehouse) as world:
            self.sweep(world, "historic")
            world.run("historic", *SETUP["historic"])
            world.advance("2026-03-12T18:00:00Z")
            self.sweep(world, "incremental")
            world.run("incremental")
            # Something to find: rows that are gone, in both accounts, and one that changed.
            for account in (1001, 1002):
                world.control("mutate", {"account": account, "start_date": "2026-03-05", "end_date": "2026-03-06",
                                         "every": 5, "limit": 4, "do": "delete"})
            world.control("mutate", {"account": 1001, "start_date": "2026-03-07", "end_date": "2026-03-07", "every": 3,
                                     "do": "edit", "set": {"notes": "late"}})
            self.sweep(world, "rehydration")

class Again(unittest.TestCase):
    """A killed run asks again only for what it had not landed: at most one page a connection."""
    CONNECTIONS = 4

    def pages(self, world):
        return collections.Counter(entry["request"] for entry in world.log() if "/calls" in entry["request"])

    def test_no_more_than_one_page_a_connection_is_asked_for_again(self):
        words = ("--from", "2026-03-01", "--to", "2026-03-04")
        job = {"config": {"per_page": 20}, "limits": {"requests_per_second": 0, "connections": self.CONNECTIONS}}
        with World(calls=2000, first="2026-03-01", last="2026-03-04", job=job) as world:
            calm = world.copy("calm")
            names = calm.folder / "points"
            world.control("stats", method="DELETE")
            calm.run("historic", *words, env={"PAWL_TEST_KILL_LIST": str(names)})
            wanted = self.pages(world)
            self.assertGreater(len(wanted), 100)
            self.assertEqual(set(wanted.values()), {1})
            # While pages are read: before that nothing of a slice is asked for, after that nothing any more.
            points = [p for p in dict.fromkeys(names.read_text().splitlines()) if p.startswith("page ")]
            step = max(1, len(points) // (KILLS or len(points)), len(points) // 10)
            faults, most = [], 0
            for number, point in enumerate(points[step // 2::step]):
                site = world.copy(f"again-{number}")
                world.control("stats", method="DELETE")
                killed = site.run("historic", *words, env={"PAWL_TEST_KILL_AT": point}, check=False)
                self.assertEqual(killed.returncode, -signal.SIGKILL, point)
                site.run("historic", *words)
                asked = self.pages(world)
                self.assertEqual(set(asked), set(wanted), point)
                again = asked.total() - len(asked)
                most = max(most, again)
                if again > self.CONNECTIONS:
                    faults.append(f"{point}: {again} pages asked for again")
                self.assertEqual(site.digest(), calm.digest(), point)
                site.remove()
            print(f"at most {most} pages asked for again after {number + 1} kills", flush=True)
            self.assertEqual(faults, [])


class Kill(Sweep, unittest.TestCase):
    warehouse, kills = "duckdb", KILLS


class KillPostgres(Sweep, unittest.TestCase):
    warehouse, kills = "postgres", (KILLS + 9) // 10


if __name__ == "__main__":
    unittest.main()
