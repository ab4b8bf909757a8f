"""Every fault the simulator can play: recovered, or a clear error with everything landed so far kept.

What recovers must end with the table of a calm run. What cannot must say so, and the next run, without the fault,
must end with that table too.
"""
import json, subprocess, unittest, urllib.request
from world import ROOT, World, select_wait

RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")
CALLS = "/accounts/1001/calls"
TOKEN = "/oauth2/token"
RECOVERED = {
    "429 without Retry-After": {"do": 429},
    "429, Retry-After 0": {"do": 429, "retry_after": "0"},
    "429, Retry-After in seconds": {"do": 429, "retry_after": "1"},
    "429, Retry-After as a date": {"do": 429, "retry_after": "date"},
    "429, Retry-After as a later date": {"do": 429, "retry_after": "date+1"},
    "500": {"do": 500}, "502": {"do": 502}, "503": {"do": 503}, "503 with Retry-After": {"do": 503, "retry_after": "1"},
    "answers late": {"do": "delay", "ms": 300},
    "never answers": {"do": "timeout", "ms": 3000},
    "drips": {"do": "drip", "bytes": 10, "ms": 100},
    "reset": {"do": "reset"}, "reset in the body": {"do": "reset_body"},
    "truncated": {"do": "truncate"}, "length too long": {"do": "length_long"},
    "bad gzip": {"do": "bad_gzip"}, "invalid JSON": {"do": "invalid_json"}, "HTML": {"do": "html"},
    "expired token": {"do": "expired"},
    "length too short": {"do": "length_short"},
    "an error with status 200": {"do": "error_200", "variant": "error"},
}
# Once is enough for these: asking again cannot be known to help. The others come three times, as often as it is tried.
UNCLEAR = {
    "length too short": {"do": "length_short"},
    "an error with status 200": {"do": "error_200", "variant": "error"},
    "errors with status 200": {"do": "error_200", "variant": "errors"},
    "success false with status 200": {"do": "error_200", "variant": "success"},
    "status error with status 200": {"do": "error_200", "variant": "status"},
    "redirect elsewhere": {"do": "redirect"},
    "next page elsewhere": {"do": "next_elsewhere"},
    "next page to itself": {"do": "next_self"},
    "huge page": {"do": "huge", "bytes": 2000000},
    **{f"poison {v}": {"do": "poison", "variant": v, "count": 10000}
       for v in ("nul", "surrogate", "utf8", "number", "bigint", "duplicate", "deep")},
}


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(calls=800, accounts=2, first="2026-03-03", last="2026-03-08",
                          job={"limits": {"requests_per_second": 0, "connections": 4, "timeout": "PT0.7S", "page": "1MiB"}})
        cls.world.run("historic", *RANGE)
        cls.calm = cls.world.digest()

    @classmethod
    def tearDownClass(cls):
        cls.world.close()

    def setUp(self):
        self.world.forget_pawl()
        self.world.control("stats", method="DELETE")

    def tearDown(self):
        self.world.control("faults", [], method="PUT")

    def fault(self, times=1, page=None, **what):
        match = {"path": CALLS, "start_date": "2026-03-05"}
        if page:
            match["page"] = page
        self.world.control("faults", [{"match": match, "times": times, **what}], method="PUT")

    def stranger_saw_no_credential(self):
        self.assertEqual(self.world.control("stats")["stranger"]["with_credentials"], 0)

    def clear_failure(self, done):
        self.assertIn(done.returncode, (3, 8, 9), done.stderr[-800:])
        self.assertIn("1001", done.stderr.splitlines()[-1])
        self.assertIn("2026-03-05", done.stderr.splitlines()[-1])

    def test_the_log_tells_requests_and_what_was_sent(self):
        self.fault(do=503, times=2)
        self.world.run("historic", *RANGE, "--stream", "calls")
        stats = self.world.control("stats")
        sent = sum(count for path, count in stats["by_path"].items() if path.endswith("/calls"))
        self.assertEqual(stats["by_status"]["503"], 2)
        told = self.world.rows("SELECT stage, sum(requests), sum(attempts) FROM etl_log WHERE stage IN ('read', 'run') GROUP BY 1 ORDER BY 1")
        self.assertEqual(told, [[stage, str(sent - 2), str(sent)] for stage in ("read", "run")])

    def test_what_passes_is_recovered(self):
        for name, what in RECOVERED.items():
            with self.subTest(name):
                self.setUp()
                self.fault(**what)
                done = self.world.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, 0, done.stderr[-800:])
                self.assertEqual(self.world.digest(), self.calm)
                self.stranger_saw_no_credential()

    def test_what_stays_is_a_clear_error_and_everything_else_is_kept(self):
        for name in ("500", "never answers", "truncated", "bad gzip", "HTML", "429, Retry-After 0"):
            with self.subTest(name):
                self.setUp()
                self.fault(times=0, **RECOVERED[name])
                done = self.world.run("historic", *RANGE, check=False)
                self.clear_failure(done)
                others = self.world.value("SELECT count(*) FROM ctm.calls WHERE account_id = 1002")
                self.assertGreater(int(others), 0)
                self.goes_on()

    def test_a_wait_beyond_all_patience_is_not_waited(self):
        for status, code in ((429, 7), (503, 8)):
            for seconds in ("7200", "1000000000000000000"):
                with self.subTest(status=status, seconds=seconds):
                    self.setUp()
                    self.fault(times=0, do=status, retry_after=seconds)
                    done = self.world.run("historic", *RANGE, check=False, timeout=60)
                    self.assertEqual(done.returncode, code, done.stderr[-500:])
                    self.assertIn("asks to wait", done.stderr.splitlines()[-1])
                    self.goes_on()

    def goes_on(self):
        self.world.control("faults", [], method="PUT")
        done = self.world.run("historic", *RANGE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-800:])
        self.assertEqual(self.world.digest(), self.calm)

    def test_what_is_unclear_is_recovered_or_refused_by_name(self):
        for name, what in UNCLEAR.items():
            with self.subTest(name):
                self.setUp()
                self.fault(times=0, page=1, **what)
                done = self.world.run("historic", *RANGE, check=False)
                self.stranger_saw_no_credential()
                if what["do"] != "poison":
                    self.assertNotEqual(done.returncode, 0)
                if done.returncode == 0:
                    # Kept, in overflow or in a column: no row is missing.
                    self.assertEqual(self.world.value("SELECT count(*) FROM ctm.calls"), self.calm[0])
                    continue
                self.clear_failure(done)
                others = self.world.value("SELECT count(*) FROM ctm.calls WHERE account_id = 1002")
                self.assertGreater(int(others), 0)
                self.goes_on()

    # Without the list of accounts there is nothing to read: it is asked for as patiently as any page.
    def test_the_list_of_accounts_is_asked_for_again_where_that_may_help(self):
        for name in ("503", "429, Retry-After 0", "HTML", "an error with status 200"):
            with self.subTest(name):
                self.setUp()
                self.world.control("faults", [{"match": {"path": "/accounts"}, "times": 2, **RECOVERED[name]}], method="PUT")
                done = self.world.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, 0, done.stderr[-800:])
                self.assertEqual(self.world.digest(), self.calm)

    def test_a_list_of_accounts_that_does_not_come_ends_the_run_with_its_reason(self):
        for status, code, said in ((503, 8, "status 503, tried 4 times"), (404, 3, "status 404"), (403, 4, "status 403")):
            with self.subTest(status):
                self.setUp()
                self.world.control("faults", [{"match": {"path": "/accounts"}, "times": 0, "do": status}], method="PUT")
                done = self.world.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, code, done.stderr[-800:])
                self.assertIn(said, done.stderr.splitlines()[-1])
                self.assertIn('"error":"accounts: HTTP ', done.stderr.splitlines()[-1])
                self.goes_on()

    # What the token endpoint does is no different: any grant may be asked for again.
    def test_a_token_that_does_not_come_is_asked_for_again(self):
        for name in ("429, Retry-After 0", "500", "502", "503 with Retry-After", "never answers", "reset", "reset in the body", "truncated"):
            with self.subTest(name):
                self.setUp()
                self.world.control("faults", [{"match": {"path": TOKEN}, "times": 2, **RECOVERED[name]}], method="PUT")
                done = self.world.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, 0, done.stderr[-800:])
                self.assertEqual(self.world.digest(), self.calm)

    def test_a_token_that_never_comes_ends_the_run_within_its_attempts(self):
        for name, what in (("500", "HTTP 500"), ("reset", "127.0.0.1"), ("never answers", "127.0.0.1")):
            with self.subTest(name):
                self.setUp()
                self.world.control("faults", [{"match": {"path": TOKEN}, "times": 0, **RECOVERED[name]}], method="PUT")
                done = self.world.run("historic", *RANGE, check=False, timeout=60)
                self.assertIn(done.returncode, (7, 8), done.stderr[-500:])
                self.assertIn("token, asked for 4 times", done.stderr.splitlines()[-1])
                self.assertIn(what, done.stderr.splitlines()[-1])
                self.assertEqual(self.world.control("faults")[0]["done"], 4)
                self.goes_on()

    def test_a_token_in_a_file_is_read_again_when_it_is_refused(self):
        def token():
            request = urllib.request.Request(self.world.url + TOKEN, data=b"grant_type=client_credentials&client_id=sim-client"
                                             b"&client_secret=sim-client-secret")
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read())["access_token"]

        manifest, kept = self.world.folder / "bearer.yaml", self.world.folder / "token"
        text = (ROOT / "connectors/ctm/manifest.yaml").read_text()
        manifest.write_text(text.replace("      basic:\n", "      bearer:\n        type: BearerAuthenticator\n"
                                         "        api_token: \"{{ config['token'] }}\"\n      basic:\n"))
        plain = self.world.job.read_text()
        self.addCleanup(self.world.job.write_text, plain)
        job = json.loads(plain)
        job["connector"] = str(manifest)
        job["limits"]["timeout"] = "PT30S"
        job["config"] = {"auth": "bearer", "base_url": job["config"]["base_url"], "token": "${file:token}"}
        self.world.job.write_text(json.dumps(job))
        for rotated, code in ((True, 0), (False, 4)):
            with self.subTest(rotated):
                self.setUp()
                kept.write_text(token() + "\n")
                # The first answer is late: while it is awaited the token ends, and somebody puts another one there.
                self.world.control("faults", [{"match": {"path": "/accounts"}, "do": "delay", "ms": 2000}], method="PUT")
                self.world.runs += 1
                command, env = self.world.command("run", str(self.world.job), "--mode", "historic", *RANGE, "--json")
                process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                while not self.world.control("faults")[0]["done"]:
                    self.assertIsNone(process.poll())
                    select_wait()
                self.world.control("expire", {})
                if rotated:
                    kept.write_text(token() + "\n")
                _, said = process.communicate(timeout=120)
                self.assertEqual(process.returncode, code, said[-600:])
                if rotated:
                    self.assertEqual(self.world.digest(), self.calm)
                self.assertNotIn(kept.read_text().strip(), said)

    def test_a_refresh_token_that_works_once(self):
        # The simulator takes whoever shows it twice for a thief. A 503 means that it was not used; a lost answer, that it
        # was, and that nothing is left to lose by asking again.
        manifest = self.world.folder / "refresh.yaml"
        manifest.write_text((ROOT / "connectors/ctm/manifest.yaml").read_text().replace(
            "grant_type: client_credentials", "grant_type: refresh_token\n        refresh_token: \"{{ config['refresh'] }}\""))
        plain = self.world.job.read_text()
        self.addCleanup(self.world.job.write_text, plain)
        self.addCleanup(self.world.env.clear)
        for name, code in (("503", 0), ("reset", 4)):
            with self.subTest(name):
                self.setUp()
                job = json.loads(plain)
                job["connector"] = str(manifest)
                job["config"]["refresh"] = "${env:REFRESH}"
                self.world.job.write_text(json.dumps(job))
                request = urllib.request.Request(self.world.url + TOKEN, data=b"grant_type=client_credentials&client_id=sim-client"
                                                 b"&client_secret=sim-client-secret")
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.world.env["REFRESH"] = json.loads(answer.read())["refresh_token"]
                self.world.control("faults", [{"match": {"path": TOKEN}, **RECOVERED[name]}], method="PUT")
                done = self.world.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, code, done.stderr[-500:])
                if code == 0:
                    self.assertEqual(self.world.digest(), self.calm)
                else:
                    self.assertIn("token, asked for 2 times: HTTP 400", done.stderr.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
