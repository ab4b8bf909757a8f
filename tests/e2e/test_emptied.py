"""The landing store is emptied, damaged, or another is named, while the warehouse keeps what it has."""
import json, re, shutil, unittest
from world import World

RANGE = ("--from", "2026-03-03", "--to", "2026-03-04")


class Emptied(unittest.TestCase):
    def test_the_message_says_which_epoch_to_write_where_and_that_helps(self):
        with World(calls=100) as world:
            for _ in range(4):
                world.run("historic", *RANGE)
            calm = world.digest()
            shutil.rmtree(world.folder / "lake")
            done = world.run("historic", *RANGE, check=False)
            self.assertEqual(done.returncode, 6)
            message = json.loads(done.stderr.splitlines()[-1])["error"]
            said = re.search(r"epoch 4, ours is 1.*write (\d+) for 'epoch' into its (\S+\.json)", message)
            self.assertTrue(said, message)
            path = world.folder / "lake" / said[2]
            path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": int(said[1])}))
            world.run("historic", *RANGE)
            self.assertEqual(world.digest(), calm)

    def test_a_lost_warehouse_is_filled_again_though_the_note_of_a_slice_is_damaged(self):
        with World(calls=100) as world:
            world.run("historic")
            whole = world.digest()
            world.warehouse.forget()
            note = sorted(world.folder.glob("lake/ctm/runs/*/calls/*/*/slice.json"))[0]
            note.write_bytes(note.read_bytes()[:100])
            # Its pages are there, and each speaks for itself.
            done = world.pawl("replay", str(world.job), "--json", check=False)
            self.assertEqual(done.returncode, 0, done.stderr[-500:])
            self.assertEqual(world.digest(), whole)


class Damaged(unittest.TestCase):
    """Notes that somebody must mend: what the message says to do is done, word by word, and helps."""

    def fails(self, world, *words, status=3):
        done = world.run(*words, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stderr.splitlines()[-1])["error"]

    def spoil(self, path):
        path.write_bytes(path.read_bytes()[:-9])

    def test_a_lease_record_is_removed_and_the_next_run_names_the_epoch(self):
        with World(calls=100) as world:
            for _ in range(3):
                world.run("historic", *RANGE)
            path = world.folder / "lake/ctm/leases/historic.json"
            self.spoil(path)
            said = re.search(r"lease '(\S+)': .*; restore it, or remove it: ", self.fails(world, "historic", *RANGE))
            self.assertEqual(world.folder / "lake" / said[1], path)
            path.unlink()
            said = re.search(r"write (\d+) for 'epoch' into its (\S+\.json)", self.fails(world, "historic", *RANGE, status=6))
            path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": int(said[1])}))
            world.run("historic", *RANGE)

    def test_a_run_whose_plan_is_damaged_is_moved_away_and_the_next_one_reads_anew(self):
        with World(calls=100) as world:
            world.run("historic", *RANGE)
            wanted = world.digest()
            world.forget_pawl()
            world.run("historic", *RANGE, check=False, env={"PAWL_TEST_KILL_AT": "run end, historic"})
            path, = (world.folder / "lake/ctm/runs").glob("*/run.json")
            self.spoil(path)
            for done in (world.run("historic", *RANGE, check=False), world.pawl("replay", str(world.job), check=False)):
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn("run.json': damaged: its end is missing; restore it, or move the run's folder away",
                              done.stderr)
            # Removed alone it is missed by a replay: nothing that was landed can be read without it.
            path.unlink()
            done = world.pawl("replay", str(world.job), check=False)
            self.assertEqual(done.returncode, 3)
            self.assertIn(f"run {path.parent.name}: its run.json is not there", done.stderr)
            path.parent.rename(world.folder / "away")
            self.assertEqual(world.report(world.run("historic", *RANGE))["resumed"], False)
            self.assertEqual(world.digest(), wanted)
            self.assertEqual(world.report(world.pawl("replay", str(world.job), "--json"))["runs_without_plan"], 0)

    def test_a_plan_that_is_damaged_stands_in_nobody_s_way_once_its_run_is_over(self):
        with World(calls=200) as world:
            world.run("historic", "--to", "2026-03-05")
            world.run("rehydration", *RANGE)
            world.run("historic", "--from", "2026-03-06", "--to", "2026-03-07")
            wanted = world.digest()
            damaged = sorted((world.folder / "lake/ctm/runs").glob("*/run.json"))[1]
            kept = damaged.read_bytes()
            self.spoil(damaged)
            for mode in ("historic", "rehydration"):
                self.assertEqual(world.report(world.run(mode, *RANGE))["resumed"], False)
            self.assertEqual(world.digest(), wanted)
            # One behind it that is not over is found.
            world.run("historic", *RANGE, check=False, env={"PAWL_TEST_KILL_AT": "run end, historic"})
            newest = sorted((world.folder / "lake/ctm/runs").glob("*/run.json"))[-1]
            world.run("rehydration", *RANGE)
            over = sorted((world.folder / "lake/ctm/runs").glob("*/run.json"))[-1]
            self.assertNotEqual(over, newest)
            self.spoil(over)
            self.assertEqual(world.report(world.run("historic", *RANGE))["resumed"], True)
            # Status and replay name it, and all else is replayed.
            done = world.pawl("status", str(world.job), "--json", check=False)
            self.assertEqual((done.returncode, json.loads(done.stdout.splitlines()[0])["unfinished"]), (3, []))
            self.assertIn("run.json': damaged", done.stderr)
            over.parent.rename(world.folder / "away")
            world.warehouse.forget()
            done = world.pawl("replay", str(world.job), "--json", check=False)
            self.assertEqual((done.returncode, json.loads(done.stdout)["runs_without_plan"]), (3, 1), done.stderr)
            self.assertRegex(done.stderr, f"run {damaged.parent.name}: .*run.json': damaged: its end is missing; restore it, or move")
            self.assertEqual(world.digest(), wanted)
            damaged.write_bytes(kept)
            self.assertEqual(world.report(world.pawl("replay", str(world.job), "--json"))["runs_without_plan"], 0)
            self.assertEqual(world.digest(), wanted)

    def test_a_replay_finds_what_a_damaged_note_of_a_load_named(self):
        for ended in (True, False):
            with self.subTest(ended), World(calls=200) as world:
                if not ended:
                    world.control("forbid", {"account": 1002})
                self.assertEqual(world.run("historic", "--to", "2026-03-05", check=False).returncode, 0 if ended else 4)
                wanted = world.digest()
                self.assertGreater(int(wanted[0]), 0)
                note, = world.folder.glob("lake/ctm/runs/*/calls/loads/000000.json")
                self.spoil(note)
                world.warehouse.forget()
                done = world.pawl("replay", str(world.job), "--json")
                self.assertIn('"event":"notes_missing"', done.stderr)
                report = json.loads(done.stdout)
                self.assertEqual((report["slices_missing"], report["slices_failed"]), (0, 0))
                self.assertGreater(report["slices_without_note"], 0)
                self.assertEqual(world.digest(), wanted)

    def test_an_end_that_is_damaged_is_removed_and_its_run_goes_on(self):
        with World(calls=100) as world:
            world.run("historic", *RANGE)
            wanted = world.digest()
            path, = (world.folder / "lake/ctm/runs").glob("*/end.json")
            self.spoil(path)
            self.assertIn("end.json': damaged: its end is missing; restore it, or remove it: its run then goes on",
                          self.fails(world, "historic", *RANGE))
            path.unlink()
            world.control("stats", method="DELETE")
            self.assertEqual(world.report(world.run("historic", *RANGE))["resumed"], True)
            self.assertEqual((world.digest(), world.control("stats")["requests"]), (wanted, 0))



if __name__ == "__main__":
    unittest.main()
