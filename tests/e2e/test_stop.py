"""Ctrl-C, credentials and the rate: a run ends when it is told to, says no secret, and keeps to its limit."""
import base64, ctypes, json, os, pathlib, re, signal, subprocess, time, unittest
from test_faults import RECOVERED, UNCLEAR
from world import World

RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")
IMPATIENT = {"limits": {"requests_per_second": 0, "connections": 4, "timeout": "PT0.7S", "page": "1MiB"}}
CALLS = {"path": "/accounts/1001/calls"}


class Stop(unittest.TestCase):
    def start(self, world):
        world.runs += 1
        command, env = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE)
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=self.obey)

    def obey(self):
        """Whoever runs the tests may have been told to ignore them: under nohup, or behind a shell's &."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    def test_signals_end_a_run_that_waits_and_the_next_one_goes_on(self):
        patient = {"retry": {"attempts": 9, "initial": "PT20S", "max": "PT60S"}}
        with World(calls=300, job=patient) as world:
            calm = world.copy("calm")
            calm.run("historic", *RANGE)
            for fault in ({"do": "timeout", "ms": 60000}, {"do": 429, "retry_after": "40"}, {"do": 500}):
                world.control("faults", [{"match": CALLS, "times": 0, **fault}], method="PUT")
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    with self.subTest(fault=fault, signal=number), self.start(world) as process:
                        self.assertTrue(any('"progress"' in line for line in process.stderr))
                        process.send_signal(number)
                        if number == signal.SIGHUP:  # of the terminal, and of its shell
                            time.sleep(0.01)
                            process.send_signal(number)
                        # Far less than any of the waits above; how fast it is on a busy machine is not for a test.
                        process.communicate(timeout=15)
                        self.assertEqual(process.returncode, 10)
            world.control("faults", [], method="PUT")
            self.assertTrue(world.report(world.run("historic", *RANGE))["resumed"])
            self.assertEqual(world.digest(), calm.digest())

    def test_nohup_is_obeyed(self):
        with World(calls=300) as world:
            world.control("faults", [{"match": CALLS, "times": 1, "do": "delay", "ms": 300}], method="PUT")
            world.runs += 1
            command, env = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE)
            process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
            self.assertTrue(any('"progress"' in line for line in process.stderr))
            process.send_signal(signal.SIGHUP)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err[-500:])

    def test_a_wrong_secret_is_refused_and_never_told(self):
        with World(calls=50) as world:
            canary = "canary-4711"
            done = world.run("historic", *RANGE, env={"CTM_CLIENT_SECRET": canary}, check=False)
            self.assertEqual(done.returncode, 4)
            self.assertIn("401", done.stderr.splitlines()[-1])
            self.assertNotIn(canary, done.stdout + done.stderr)

    def test_tokens_that_end_in_the_middle_of_a_run(self):
        # Also after fewer requests than there are connections (4): whoever comes too late is not refused for good.
        for requests in ("10", "3", "1"):
            with self.subTest(requests=requests), World(calls=600, sim=("--token-requests", requests)) as world:
                world.run("historic")
                self.assertGreater(world.control("stats")["tokens"]["issued"], 2)
                self.assertEqual(world.value("SELECT count(*) FROM ctm.calls"), str(sum(
                    world.control(f"truth?account={a}&start_date=2026-03-01&end_date=2026-03-10")["calls"]
                    for a in (1001, 1002))))

    def test_no_request_too_many_where_the_limit_is_known(self):
        with World(calls=900, sim=("--latency-ms", "100", "--rate", "20", "--burst", "5"),
                   job={"limits": {"requests_per_second": 20, "connections": 8}}) as world:
            world.run("historic")
            self.assertEqual(world.control("stats")["rate_limited"], 0)

    def test_a_rate_that_was_learnt_is_kept_by_the_next_run(self):
        with World(calls=400, accounts=4, first="2026-01-01", sim=("--rate", "30", "--burst", "80")) as world:
            march = ("--from", "2026-01-01", "--to", "2026-03-10")
            world.run("historic", *march)
            self.assertGreater(world.control("stats")["rate_limited"], 0)
            note, = world.folder.glob("lake/**/learnt.json")
            lane, = json.loads(note.read_text())["lanes"]
            self.assertGreater(lane["per_second"], 30 * 0.8)
            self.assertLessEqual(lane["per_second"], 30)
            world.control("stats", method="DELETE")
            world.run("rehydration", *march)
            self.assertGreater(world.control("stats")["requests"], 200)
            self.assertEqual(world.control("stats")["rate_limited"], 0)
            self.assertEqual(json.loads(note.read_text())["lanes"], [lane])


class Secrets(unittest.TestCase):
    """A canary secret, whole or as it goes over the wire, stands in no output, error, argv, page, state or table.

    There are no log levels: every event goes to the state folder and, with --json, to standard error.
    """
    CANARY = "canary-0815-4711"
    # The secret; what Basic makes of it; the simulator's access and refresh tokens.
    NEEDLES = re.compile(b"|".join([CANARY.encode(), base64.b64encode(b"sim-key:" + CANARY.encode()),
                                    rb"sim[ar]\.\d+\.[0-9a-f]{16}"]))
    TABLES = ("etl_log", "pawl_load", "pawl_slice", "pawl_state", "ctm.calls", "ctm.calls__quarantine", "ctm.accounts")

    def clean(self, data, where):
        found = self.NEEDLES.search(data if isinstance(data, bytes) else data.encode())
        self.assertIsNone(found, f"{where}: {found}")

    def pawl(self, world, *words, env=None, check=True):
        done = world.pawl(*words, env=env, check=check)
        self.clean(done.stdout + done.stderr, words)
        return done

    def clean_folder(self, world, given):
        decompress = ctypes.CDLL("libzstd.so.1").ZSTD_decompress
        room = ctypes.create_string_buffer(4 << 20)
        for path in world.folder.rglob("*"):
            if not path.is_file() or path == given:
                continue
            data = path.read_bytes()
            self.clean(data, path)
            if path.suffix == ".zst":
                size = decompress(room, len(room), data, len(data))
                self.assertLess(size, len(room), path)
                self.clean(room.raw[:size], path)
        for table in self.TABLES:
            self.clean(json.dumps(world.rows(f"SELECT to_json(t) FROM {table} t")), table)

    def clean_process(self, world, env):
        command, full = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE,
                                      env={**env, "PAWL_TEST_KILL_AT": "stop:run end, historic"})
        process = subprocess.Popen(command, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        status = os.waitpid(process.pid, os.WUNTRACED)[1]
        self.assertTrue(os.WIFSTOPPED(status), f"ended with {status}")
        try:
            folder = pathlib.Path("/proc") / str(process.pid)
            self.clean((folder / "cmdline").read_bytes(), "argv")
            if not env:  # what the user puts into the environment stands there
                self.clean((folder / "environ").read_bytes(), "environment")
        finally:
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err[-500:])
        self.clean(out + err, "run")

    def everything(self, world, env, given=None):
        job = str(world.job)
        run = ("run", job, "--mode", "historic", "--json", *RANGE)
        for fault in ({"do": 500}, {"do": "html"}, {"do": "redirect"}, {"do": "next_elsewhere"}, {"do": "reset"},
                      {"do": "error_200", "variant": "errors"}, {"do": "expired"}):
            world.control("faults", [{"match": CALLS, "times": 0, **fault}], method="PUT")
            self.assertIn(self.pawl(world, *run, env=env, check=False).returncode, (3, 4, 8), fault)
        # All that the simulator can play, one after the other, until each has acted.
        world.control("faults", [{"match": CALLS, "times": 1, **fault} for fault in {**RECOVERED, **UNCLEAR}.values()], method="PUT")
        for _ in range(60):
            self.pawl(world, *run, env=env, check=False)
            if all(fault["done"] for fault in world.control("faults")):
                break
        self.assertEqual([fault for fault in world.control("faults") if not fault["done"]], [])
        world.control("faults", [], method="PUT")
        self.clean_process(world, env)
        for words in (("check", job), ("check", job, "--show"), ("plan", job, "--mode", "historic", "--from", "2026-03-04"),
                      ("status", job), ("status", job, "--json"), ("state", "show", job)):
            self.pawl(world, *words, env=env)
        self.clean_folder(world, given)

    def test_oauth_with_the_secret_from_the_environment(self):
        with World(calls=100, sim=("--client-secret", self.CANARY), job=IMPATIENT) as world:
            self.everything(world, {"CTM_CLIENT_SECRET": self.CANARY})

    def test_basic_with_the_secret_from_a_file(self):
        with World(calls=100, sim=("--secret", self.CANARY), job=IMPATIENT) as world:
            given = world.folder / "secret"
            given.write_text(self.CANARY)
            (world.folder / "key").write_text("sim-key")
            world.write_job(["accounts", "calls"], {**IMPATIENT, "config": {"auth": "basic", "access_key": "${file:./key}",
                                                               "secret_key": "${file:./secret}"}})
            self.everything(world, {}, given)


if __name__ == "__main__":
    unittest.main()
