"""More than one at once, and folders that refuse: a run waits, or leaves with a clear message, and nothing is mixed."""
import contextlib, fcntl, json, os, resource, shutil, signal, struct, subprocess, unittest
from world import World

RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")


def last(done):
    return done.stderr.splitlines()[-1]


@contextlib.contextmanager
def held_run(site, mode, *words, point):
    """A run of another process that stands still at a kill point: stopped there, not killed."""
    command, env = site.command("run", str(site.job), "--mode", mode, "--json", *words,
                                env={"PAWL_TEST_KILL_AT": f"stop:{point}"})
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1]):
        raise AssertionError(f"it ended without coming to: {point}")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=60)


@contextlib.contextmanager
def locked(path):
    """Holds the lock that DuckDB takes on a file, from another process: locks of one's own process do not count."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with open(path, "r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            os.write(write, b"x")
            signal.pause()
        os._exit(0)
    os.read(read, 1)
    os.close(read), os.close(write)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class Contention(unittest.TestCase):
    def world(self, **more):
        return World(**{"calls": 300, "accounts": 2, **more})

    def calm(self, world):
        site = world.copy("calm")
        site.run("historic", *RANGE)
        return site.digest()

    def test_the_second_run_of_a_job_and_mode_leaves_with_a_clear_message(self):
        with self.world() as world:
            calm = self.calm(world)
            # Another copy of the job folder that shares lake and warehouse: another machine, empty state.
            other = world.copy("other")
            text = other.job.read_text()
            for name in ("lake", "ctm.duckdb"):
                text = text.replace(f'"./{name}"', f'"{world.folder / name}"')
            other.job.write_text(text)
            with held_run(world, "historic", *RANGE, point="commit, calls load 0") as first:
                for site in (world, other):
                    done = site.run("historic", *RANGE, check=False)
                    self.assertEqual(done.returncode, 7, done.stderr[-500:])
                    self.assertIn("another run of this job and mode", last(done))
                first.send_signal(signal.SIGCONT)
                out, err = first.communicate(timeout=60)
                self.assertEqual(first.returncode, 0, err[-500:])
            self.assertEqual(world.digest(), calm)

    def test_status_of_a_held_warehouse_shows_the_rest_and_ends_with_7(self):
        with self.world() as world:
            world.run("historic", *RANGE)
            with locked(world.folder / "ctm.duckdb"):
                done = world.pawl("status", str(world.job), "--json", check=False)
            self.assertEqual(done.returncode, 7, done.stderr)
            self.assertIn("the warehouse could not be read", last(done))
            self.assertEqual(json.loads(done.stdout)["last_event"]["event"], "run_ended")
            self.assertEqual(world.pawl("status", str(world.job)).returncode, 0)

    def test_the_second_run_waits_when_told_to(self):
        with self.world() as world:
            calm = self.calm(world)
            with held_run(world, "historic", *RANGE, point="run noted, historic") as first:
                command, env = world.command("run", str(world.job), "--mode", "historic", "--json", "--wait", "60", *RANGE)
                second = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for line in second.stderr:
                    if '"waiting"' in line:
                        break
                first.send_signal(signal.SIGCONT)
                self.assertEqual((first.communicate(timeout=60), first.returncode)[1], 0)
                out, err = second.communicate(timeout=60)
                self.assertEqual(second.returncode, 0, err[-500:])
            self.assertEqual(world.digest(), calm)

    def test_who_looks_whether_he_is_alone_ends_no_run(self):
        """He holds the leases of all modes for a moment."""
        with self.world() as world:
            world.run("historic", *RANGE)
            with open(world.folder / "lake/.store/locks/ctm/leases/historic.json") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                command, env = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE)
                run = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for line in run.stderr:
                    if '"waiting"' in line:
                        break
                fcntl.flock(held, fcntl.LOCK_UN)
                out, err = run.communicate(timeout=60)
                self.assertEqual(run.returncode, 0, err[-500:])

    def test_modes_of_one_job_run_beside_each_other(self):
        with self.world() as world:
            world.run("historic", *RANGE)
            # Who waits for the source lets go of the warehouse's file.
            world.control("faults", [{"match": {"path": "/accounts/1001/calls"}, "times": 1, "do": "timeout", "ms": 5000}], method="PUT")
            with held_run(world, "rehydration", *RANGE, point="warehouse closed") as first:
                world.run("historic", *RANGE)
                first.send_signal(signal.SIGCONT)
                self.assertEqual((first.communicate(timeout=60), first.returncode)[1], 0)

    def test_a_locked_warehouse_is_waited_for_then_reported_and_landed_pages_stay(self):
        with self.world(job={"warehouse": {"driver": "duckdb", "path": "./ctm.duckdb", "lock_wait": "PT0.3S"}}) as world:
            calm = self.calm(world)
            killed = world.run("historic", *RANGE, env={"PAWL_TEST_KILL_AT": "commit, calls load 0"}, check=False)
            self.assertEqual(killed.returncode, -signal.SIGKILL)
            with locked(world.folder / "ctm.duckdb"):
                done = world.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, 7, done.stderr[-500:])
                self.assertIn("ctm.duckdb", last(done))
            world.control("stats", method="DELETE")
            world.run("historic", *RANGE)
            self.assertEqual(sum("/calls" in entry["request"] for entry in world.log()), 0)
            self.assertEqual(world.digest(), calm)

    def test_a_folder_or_file_that_may_not_be_written(self):
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            self.skipTest("root may write everything, and setpriv is not there to take that away")
        for path in ("lake", "ctm.duckdb"):
            with self.subTest(path), self.world() as world:
                calm = self.calm(world)
                world.run("historic", "--from", "2026-03-04", "--to", "2026-03-04")
                target = world.folder / path
                subprocess.run(["chmod", "-R", "a-w", target], check=True)
                done = self.powerless(world, "historic", *RANGE)
                self.assertEqual(done.returncode, 4, done.stderr[-500:])
                self.assertIn(path, last(done))
                self.assertNotIn("another run", last(done))
                subprocess.run(["chmod", "-R", "u+w", target], check=True)
                world.run("historic", *RANGE)
                self.assertEqual(world.digest(), calm)

    def test_a_lease_that_cannot_be_written_is_nobody_s(self):
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            self.skipTest("root may write everything, and setpriv is not there to take that away")
        with self.world() as world:
            world.run("incremental")
            world.pawl("replay", str(world.job))
            for words in (("replay", str(world.job)), ("state", "rewind", str(world.job), "--stream", "calls", "--to", "2026-03-05")):
                subprocess.run(["chmod", "-R", "a-w", world.folder / "lake"], check=True)
                done = self.powerless_pawl(world, *words)
                self.assertEqual(done.returncode, 4, done.stderr[-500:])
                self.assertNotIn("going on", done.stderr)
                subprocess.run(["chmod", "-R", "u+w", world.folder / "lake"], check=True)

    def powerless(self, world, mode, *words):
        return self.powerless_pawl(world, "run", str(world.job), "--mode", mode, "--json", *words)

    def powerless_pawl(self, world, *words):
        world.runs += 1
        command, env = world.command(*words)
        if os.geteuid() == 0:
            command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(self):
        with self.world() as world:
            calm = self.calm(world)
            world.run("historic", "--from", "2026-03-04", "--to", "2026-03-04")
            world.runs += 1
            for most in (4096, 20000):
                # ThreadSanitizer begins with a file of its own here, dies when that is too short, and does without it
                # when there is no such folder. pawl writes nothing there.
                command, env = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE,
                                             env={"TMPDIR": "/nonexistent"})
                done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120,
                                      preexec_fn=lambda: self.limit_files(most))
                self.assertIn(done.returncode, (8, 9), (most, done.stderr[-500:]))
                self.assertNotIn("slices failed", last(done))
            world.run("historic", *RANGE)
            self.assertEqual(world.digest(), calm)

    @staticmethod
    def limit_files(most):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond it fails with EFBIG instead of killing
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


if __name__ == "__main__":
    unittest.main()
