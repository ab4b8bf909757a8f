"""Ctrl-C, credentials and the rate: a run ends when it is told to, says no secret, and keeps to its limit."""
import pathlib, signal, subprocess, unittest
from world import World

RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")
CALLS = {"path": "/accounts/1001/calls"}


class Stop(unittest.TestCase):
    def start(self, world):
        world.runs += 1
        command, env = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE)
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_signals_end_a_run_that_waits_and_the_next_one_goes_on(self):
        patient = {"retry": {"attempts": 9, "initial": "PT20S", "max": "PT60S"}}
        with World(calls=300, job=patient) as world:
            calm = world.copy("calm")
            calm.run("historic", *RANGE)
            for fault in ({"do": "timeout", "ms": 60000}, {"do": 429, "retry_after": "40"}, {"do": 500}):
                world.control("faults", [{"match": CALLS, "times": 0, **fault}], method="PUT")
                for number in (signal.SIGINT, signal.SIGTERM):
                    with self.subTest(fault=fault, signal=number), self.start(world) as process:
                        self.assertTrue(any('"progress"' in line for line in process.stderr))
                        process.send_signal(number)
                        # Far less than any of the waits above; how fast it is on a busy machine is not for a test.
                        process.communicate(timeout=15)
                        self.assertEqual(process.returncode, 10)
            world.control("faults", [], method="PUT")
            self.assertTrue(world.report(world.run("historic", *RANGE))["resumed"])
            self.assertEqual(world.digest(), calm.digest())

    def test_a_wrong_secret_is_refused_and_never_told(self):
        with World(calls=50) as world:
            canary = "canary-4711"
            done = world.run("historic", *RANGE, env={"CTM_CLIENT_SECRET": canary}, check=False)
            self.assertEqual(done.returncode, 4)
            self.assertIn("401", done.stderr.splitlines()[-1])
            self.assertNotIn(canary, done.stdout + done.stderr)

    def test_no_secret_is_kept_anywhere(self):
        with World(calls=100) as world:
            done = world.run("historic", *RANGE)
            self.assertNotIn("sim-client-secret", done.stdout + done.stderr + " ".join(done.args))
            for path in pathlib.Path(world.folder).rglob("*"):
                if path.is_file():
                    self.assertNotIn(b"sim-client-secret", path.read_bytes(), path)

    def test_tokens_that_end_in_the_middle_of_a_run(self):
        with World(calls=600, sim=("--token-requests", "10")) as world:
            world.run("historic")
            self.assertGreater(world.control("stats")["tokens"]["issued"], 1)

    def test_no_request_too_many_where_the_limit_is_known(self):
        with World(calls=900, sim=("--latency-ms", "100", "--rate", "20", "--burst", "5"),
                   job={"limits": {"requests_per_second": 20, "connections": 8}}) as world:
            world.run("historic")
            self.assertEqual(world.control("stats")["rate_limited"], 0)


if __name__ == "__main__":
    unittest.main()
