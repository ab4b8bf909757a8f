"""Landing in Azure: the same tables as on a local disk, machines that know of each other by the container alone, kills,
answers that get lost, every kind of credential, and no secret anywhere."""
import base64, ctypes, json, os, pathlib, re, signal, subprocess, unittest, urllib.parse
from azure import ACCOUNT, KEY, Azurite, Cloud, Faulty, needs_azurite
from test_contention import held_run
from test_kill import outcome
from world import Postgres, World

RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")
ENV = {"TEST_ACCOUNT_KEY": KEY}


def edit(site, **changes):
    job = json.loads(site.job.read_text())
    job.update(changes)
    site.job.write_text(json.dumps(job))


def machine(world, name, landing, warehouse=None):
    """A machine of its own: an empty folder, the job, and nothing else. What it shares is named."""
    site = world.copy(name)
    site.forget_pawl()
    edit(site, landing=landing, **({"warehouse": {"driver": "duckdb", "path": str(warehouse)}} if warehouse else {}))
    return site


@needs_azurite
class Azure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.azurite = Azurite()
        os.environ.update(ENV)

    @classmethod
    def tearDownClass(cls):
        cls.azurite.close()

    def landing(self, **more):
        name = "".join(c if c.isalnum() else "-" for c in self.id().split(".")[-1].lower().replace("_", "-"))[:50]
        Azure.containers = getattr(Azure, "containers", 0) + 1
        container = self.azurite.make_container(f"{name}-{Azure.containers}".replace("--", "-"))
        return self.azurite.landing(container, **more)

    def test_three_modes_give_the_tables_that_a_local_landing_gives(self):
        with World(calls=400) as world:
            cloud = machine(world, "cloud", self.landing())
            for site in (world, cloud):
                site.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 5,
                                     "limit": 4, "do": "delete"})
            for mode, words in (("incremental", ()), ("rehydration", ("--from", "2026-03-04", "--to", "2026-03-09"))):
                for site in (world, cloud):
                    site.run(mode, *words)
            for table in ("ctm.calls", "ctm.accounts"):
                self.assertEqual(cloud.digest(table), world.digest(table))
            self.assertEqual(cloud.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NOT NULL"), "4")
            # The pages are there, and nowhere else.
            self.assertFalse((cloud.folder / "lake").exists())
            report = cloud.report(cloud.pawl("replay", str(cloud.job), "--from", "2026-03-01", "--json"))
            self.assertEqual((report["inserted"], report["updated"]), (0, 0))

    def test_two_machines_share_one_container(self):
        """The second run leaves, or waits when told to; a killed run is resumed by the other machine."""
        with World(calls=300) as world:
            landing, warehouse = self.landing(), world.folder / "shared.duckdb"
            one = machine(world, "one", landing, warehouse)
            two = machine(world, "two", landing, warehouse)
            world.run("historic", *RANGE)
            with held_run(one, "historic", *RANGE, point="run noted, historic") as first:
                done = two.run("historic", *RANGE, check=False)
                self.assertEqual(done.returncode, 7, done.stderr[-500:])
                self.assertIn("another run of this job and mode", done.stderr.splitlines()[-1])
                self.assertIn("held by", done.stderr.splitlines()[-1])
                first.send_signal(signal.SIGKILL)
                first.communicate(timeout=60)
            self.assertFalse((two.folder / ".pawl").exists() and list((two.folder / ".pawl").glob("events-*.jsonl")) == [])
            report = two.report(two.run("historic", *RANGE))
            self.assertTrue(report["resumed"])
            self.assertEqual(two.digest(), world.digest())

    def test_a_run_that_is_told_to_stop_keeps_no_other_machine_out(self):
        with World(calls=300) as world:
            landing = self.landing()
            one = machine(world, "one", landing)
            database = Postgres()
            self.addCleanup(database.remove)
            edit(one, warehouse=database.options())
            one.warehouse = database
            world.control("faults", [{"match": {"path": "/accounts/1001/calls"}, "times": 0, "do": "timeout", "ms": 60000}], method="PUT")
            command, env = one.command("run", str(one.job), "--mode", "historic", "--json", *RANGE)
            with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
                self.assertTrue(any('"progress"' in line for line in process.stderr))
                leases = lambda: re.findall(r"<LeaseState>(\w+)", self.azurite.request("GET", f"/{landing['container']}", [
                    ("comp", "list"), ("prefix", "lake/ctm/leases/"), ("restype", "container")]).decode())
                self.assertEqual(leases(), ["leased"])
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)
                self.assertEqual(process.returncode, 10)
            self.assertEqual(leases(), ["available"])
            # And what it did, and why it ended, is on record: the next run writes it.
            world.control("faults", [], method="PUT")
            one.run("historic", *RANGE)
            self.assertEqual(one.rows("SELECT status, error ->> 'code' FROM etl_log WHERE stage = 'run' ORDER BY started_at"),
                             [["failed", "STOPPED"], ["ok", None]])

    def test_a_backfill_beside_a_daily_job_takes_its_fifth_of_the_rate(self):
        """Two machines, whose only common thing is the container."""
        with World(calls=200, job={"limits": {"requests_per_second": 50, "burst": 1, "connections": 2}}) as world:
            landing = self.landing()
            rate = lambda: [name.split("/")[-1] for name in self.azurite.names(landing["container"], "lake/rate/")]
            sites = {name: machine(world, name, landing) for name in ("daily", "backfill")}
            for site in sites.values():
                edit(site, modes={"historic": {"from": "2026-03-01", "priority": "low"},
                                  "incremental": {"lookback": "P2D", "priority": "high"}})
            words = ("--from", "2026-03-10")
            # The backfill's minute: a note that is a minute old is not believed.
            sites["daily"].runs += 1
            with held_run(sites["daily"], "incremental", *words, point="note put, calls/loads/000000.json") as daily:
                self.assertEqual(rate(), ["ctm-incremental.json"])
                report = sites["backfill"].report(sites["backfill"].run("historic", "--to", "2026-03-09"))
                # 10 a second rather than 50; those before the first look at the notes may be faster.
                self.assertGreater(report["requests"], 12)
                self.assertGreater(report["seconds"], (report["requests"] - 4) / 10 * 0.9)
                daily.send_signal(signal.SIGCONT)
                self.assertEqual((daily.communicate(timeout=60), daily.returncode)[1], 0)
            self.assertEqual(rate(), [])

    def test_kills_around_pages_manifests_and_leases(self):
        with World(calls=200, accounts=1, last="2026-03-06") as world:
            calm = machine(world, "calm", self.landing())
            names = calm.folder / "points"
            calm.run("historic", env={"PAWL_TEST_KILL_LIST": str(names)})
            wanted, _ = outcome(calm)
            points = [p for p in dict.fromkeys(names.read_text().splitlines())
                      if re.match(r"(page|slice manifest|lease|note|run)\b", p)]
            step = max(1, len(points) // min(12, int(os.environ.get("PAWL_KILLS", "12")) or len(points)))
            chosen = points[::step]
            self.assertGreaterEqual(len(chosen), 5)
            for number, point in enumerate(chosen):
                with self.subTest(point):
                    landing = self.landing()
                    killed = machine(world, f"killed-{number}", landing)
                    done = killed.run("historic", env={"PAWL_TEST_KILL_AT": point}, check=False)
                    self.assertIn(done.returncode, (0, -signal.SIGKILL), done.stderr[-300:])
                    # Without waiting for the lease's time: it is known that the process is gone.
                    killed.run("historic")
                    self.assertEqual(outcome(killed)[0], wanted)
                    killed.remove()

    def test_kills_in_the_other_modes(self):
        """A machine that dies in a daily run or a second reading; another one, of empty folders, goes on."""
        with World(calls=100, accounts=1, last="2026-03-06") as world:
            world.run("historic")
            world.advance("2026-03-12T18:00:00Z")
            changes = {"account": 1001, "start_date": "2026-03-04", "end_date": "2026-03-05", "every": 3, "limit": 2}
            killed = 0
            for mode, words, change in (("incremental", (), {"do": "edit", "set": {"notes": "late"}}), ("rehydration", RANGE, {"do": "delete"})):
                world.control("mutate", {**changes, **change})
                warehouse = world.copy(f"before-{mode}").folder / "ctm.duckdb"
                names = world.folder / f"points-{mode}"
                world.run(mode, *words, env={"PAWL_TEST_KILL_LIST": str(names)})
                points = [p for p in dict.fromkeys(names.read_text().splitlines()) if re.match(r"(page|slice manifest|note|run noted|commit)\b", p)]
                for number, point in enumerate(points[i * len(points) // 4] for i in range(4)):
                    with self.subTest(f"{mode}: {point}"):
                        shared = world.folder / f"{mode}-{number}.duckdb"
                        shared.write_bytes(warehouse.read_bytes())
                        landing = self.landing()
                        one, two = (machine(world, f"{mode}-{number}-{which}", landing, shared) for which in ("one", "two"))
                        done = one.run(mode, *words, env={"PAWL_TEST_KILL_AT": point}, check=False)
                        self.assertIn(done.returncode, (0, -signal.SIGKILL), done.stderr[-300:])
                        killed += done.returncode != 0
                        two.run(mode, *words)
                        self.assertEqual(two.digest(), world.digest())
                        twice = two.value("SELECT count(*) - count(DISTINCT (run_id, stream, load_ordinal)) FROM pawl_load")
                        self.assertEqual(twice, "0")
            self.assertGreater(killed, 5)

    def test_lost_answers_and_refusals_change_nothing(self):
        """Every sixth request is carried out without an answer, every seventh is refused for now."""
        def plan(number, method, path):
            return "lost" if number % 6 == 0 else 503 if number % 7 == 0 else None

        with World(calls=150, accounts=1, last="2026-03-06") as world, Faulty(self.azurite, plan) as faulty:
            world.run("historic")
            site = machine(world, "faulty", {**self.landing(), "endpoint": faulty.endpoint})
            for mode in ("historic", "incremental"):
                site.run(mode)
            world.run("incremental")
            self.assertEqual(site.digest(), world.digest())
            self.assertGreater(faulty.count, 40)
            twice = site.value("SELECT count(*) - count(DISTINCT (run_id, stream, load_ordinal)) FROM pawl_load")
            self.assertEqual(twice, "0")

    def test_errors_say_what_lacks_and_what_to_do(self):
        with World(calls=10, accounts=1) as world:
            rows = [
                ({"container": "nobody-made-it"}, {}, "does not exist"),
                ({}, {"TEST_ACCOUNT_KEY": base64.b64encode(b"x" * 64).decode()}, "check account_key"),
                ({}, {"TEST_ACCOUNT_KEY": "no base64!"}, "account_key: is no base64"),
                ({"account": "Not A Name"}, {}, "3 to 24 lower-case letters"),
                ({"auth": "client_secret"}, {}, "tenant_id (or AZURE_TENANT_ID) is not set"),
            ]
            for changes, env, says in rows:
                with self.subTest(says):
                    site = machine(world, "wrong", {**self.landing(), **changes})
                    done = site.pawl("check", str(site.job), env=env, check=False)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(says, done.stdout + done.stderr)
            plain = machine(world, "plain", {**self.landing(), "account_key": KEY})
            done = plain.pawl("check", str(plain.job), check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("a secret is written out", done.stdout + done.stderr)
            self.assertNotIn(KEY, done.stdout + done.stderr)


@needs_azurite
class Tokens(unittest.TestCase):
    """Azurite with TLS takes tokens; our fixture gives them, as each kind of identity."""

    @classmethod
    def setUpClass(cls):
        cls.azurite = Azurite(oauth=True)

    @classmethod
    def tearDownClass(cls):
        cls.azurite.close()

    def landing(self, name, **more):
        landing = self.azurite.landing(self.azurite.make_container(name), ca_file=str(self.azurite.certificate), **more)
        del landing["account_key"]
        return landing

    def test_every_kind_of_identity_lands_pages(self):
        with World(calls=40, accounts=1, last="2026-03-06") as world, Cloud() as cloud:
            world.run("historic")
            app = {"AZURE_AUTHORITY_HOST": cloud.url, "AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1"}
            token_file = world.folder / "token-file"
            token_file.write_text(cloud.assertion + "\n")
            metadata = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": cloud.url}
            kinds = {
                "client-secret": ({"auth": "client_secret", "client_secret": "${env:APP_SECRET}"},
                                  {**app, "APP_SECRET": cloud.client_secret}),
                "federated": ({"auth": "federated"}, {**app, "AZURE_FEDERATED_TOKEN_FILE": str(token_file)}),
                "managed": ({"auth": "managed_identity"}, metadata),
                "default-secret": ({}, cloud.environment),
                "default-federated": ({}, {**app, "AZURE_FEDERATED_TOKEN_FILE": str(token_file)}),
                "default-managed": ({}, metadata),
            }
            for name, (options, env) in kinds.items():
                with self.subTest(name):
                    cloud.log.clear()
                    site = machine(world, name, self.landing(name, **options))
                    site.env = env
                    site.run("historic")
                    self.assertEqual(site.digest(), world.digest())
                    asked = "GET /metadata" if name.endswith("managed") else "POST /tenant-1/"
                    self.assertTrue(cloud.log and all(line.startswith(asked) for line in cloud.log), cloud.log)

    def test_check_names_the_role_that_lacks_whatever_it_was_needed_for(self):
        """Azurite knows no roles: what stands before it refuses one kind of request, as Azure does for want of a role."""
        query = lambda path: urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        kinds = {"write": lambda method, path: method == "PUT" and "comp" not in query(path),
                 "read": lambda method, path: method == "GET" and "comp" not in query(path),
                 "list": lambda method, path: query(path).get("comp") == ["list"],
                 "lease": lambda method, path: query(path).get("comp") == ["lease"],
                 "delete": lambda method, path: method == "DELETE", None: lambda method, path: False}
        denied = None
        plan = lambda number, method, path: "denied" if kinds[denied](method, path) else None
        with World(calls=10, accounts=1) as world, Cloud() as cloud, Faulty(self.azurite, plan) as faulty:
            for number, denied in enumerate(kinds):
                with self.subTest(denied):
                    landing = self.landing(f"denied-{number}", auth="client_secret", client_secret="${env:APP_SECRET}")
                    site = machine(world, f"denied-{number}", {**landing, "endpoint": faulty.endpoint})
                    env = {"AZURE_AUTHORITY_HOST": cloud.url, "AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1",
                           "APP_SECRET": cloud.client_secret}
                    done = site.pawl("check", str(site.job), env=env, check=False)
                    told = done.stdout + done.stderr
                    if denied is None:
                        self.assertEqual(done.returncode, 0, told)
                        self.assertEqual(self.azurite.names(f"denied-{number}"), [])  # probes go
                        continue
                    self.assertEqual(done.returncode, 4, told)
                    line = next(line for line in told.splitlines() if "Storage Blob Data Contributor" in line)
                    for word in (f"{denied}:", f"/denied-{number}", "client app-1", "AuthorizationPermissionMismatch"):
                        self.assertIn(word, line)

    def test_a_refused_identity_says_so_without_its_secret(self):
        with World(calls=10, accounts=1) as world, Cloud() as cloud:
            site = machine(world, "refused", self.landing("refused"))
            env = {**cloud.environment, "AZURE_CLIENT_SECRET": "canary-of-a-secret"}
            done = site.run("historic", env=env, check=False)
            self.assertEqual(done.returncode, 4, done.stderr[-500:])
            self.assertIn("client app-1 (client secret)", done.stderr)
            self.assertIn("AADSTS7000215", done.stderr)
            self.assertNotIn("canary-of-a-secret", done.stdout + done.stderr)


@needs_azurite
class Vault(unittest.TestCase):
    def job(self, world, reference):
        site = world.copy("vault")
        site.forget_pawl()
        config = json.loads(site.job.read_text())["config"]
        edit(site, config={**config, "client_secret": reference})
        return site

    def test_secrets_come_from_a_key_vault(self):
        version = "0123456789abcdef0123456789abcdef"
        secrets = {"ctm-secret": "sim-client-secret\n", f"ctm-secret/{version}": "sim-client-secret"}
        with World(calls=40, accounts=1, last="2026-03-06") as world, Cloud(secrets=secrets) as cloud:
            world.run("historic")
            for reference in (f"{cloud.url}/ctm-secret", f"{cloud.url}/ctm-secret/{version}"):
                cloud.log.clear()
                site = self.job(world, f"${{keyvault:{reference}}}")
                site.env = cloud.environment
                site.run("historic")
                self.assertEqual(site.digest(), world.digest())
            cloud.faults = [500, 429]
            cloud.log.clear()
            config = json.loads(site.job.read_text())["config"]
            edit(site, config={**config, **{name: f"${{keyvault:{cloud.url}/ctm-secret}}"
                                            for name in ("client_id", "client_secret")}})
            shown = site.pawl("check", str(site.job), "--show", check=False)
            self.assertNotIn("sim-client-secret", shown.stdout + shown.stderr)
            # Named twice, asked for once; the two refusals are of the token.
            self.assertEqual(sum("/secrets/" in line for line in cloud.log), 1, cloud.log)

    def test_what_a_vault_does_not_give_is_a_finding(self):
        with World(calls=10, accounts=1) as world, Cloud(secrets={"there": "x"}) as cloud:
            rows = [
                (f"{cloud.url}/not-there", {}, 2, "has no secret 'not-there'"),
                ("Not a vault/x", {}, 2, "is no vault's name"),
                (f"{cloud.url}/", {}, 2, "is no secret's name"),
                (f"{cloud.url}/there/latest", {}, 2, "is no version"),
                ("https://vault.example.com/x", {}, 2, "is no host of Azure Key Vault"),
                (f"{cloud.url}/there", {"AZURE_CLIENT_SECRET": "wrong-canary"}, 2, "AADSTS7000215"),
            ]
            for reference, env, status, says in rows:
                with self.subTest(says):
                    site = self.job(world, f"${{keyvault:{reference}}}")
                    done = site.pawl("check", str(site.job), env={**cloud.environment, **env}, check=False)
                    self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                    self.assertIn(says, done.stdout + done.stderr)
                    self.assertIn("/config/client_secret", done.stdout + done.stderr)
                    self.assertNotIn("wrong-canary", done.stdout + done.stderr)
            cloud.vault_forbids = True
            site = self.job(world, f"${{keyvault:{cloud.url}/there}}")
            done = site.pawl("check", str(site.job), env=cloud.environment, check=False)
            self.assertIn("Key Vault Secrets User", done.stdout + done.stderr)
            self.assertIn("ForbiddenByRbac", done.stdout + done.stderr)


FAULTS = [{"do": 429}, {"do": 503}, {"do": "html"}, {"do": "reset"}, {"do": "reset_body"}, {"do": "truncate"},
          {"do": "length_long"}, {"do": "bad_gzip"}, {"do": "invalid_json"}, {"do": "expired"}, {"do": "length_short"},
          {"do": "error_200", "variant": "errors"}, {"do": "redirect"}, {"do": "next_elsewhere"}, {"do": "next_self"}]


@needs_azurite
class Canary(unittest.TestCase):
    """Whatever fails at the source, at the login host, at the vault and in the container: no secret, token, signature or
    key stands in any output, event, table, page, state file or argument."""

    CLIENT_SECRET, APP_SECRET = "canary-of-the-api-4711", "canary-of-the-app-0815"
    KEY = base64.b64encode(b"canary of the storage account, as long as a key has to be: 64..!").decode()

    def setUp(self):
        self.needles = [needle.encode() for needle in (self.CLIENT_SECRET, self.APP_SECRET, self.KEY, "SharedKey ", "&sig=",
                                                       "Bearer ey")]
        self.cloud = Cloud(client_secret=self.APP_SECRET, secrets={"ctm-secret": self.CLIENT_SECRET, "storage": self.KEY})
        self.addCleanup(self.cloud.close)

    def clean(self, data, where):
        data = data if isinstance(data, bytes) else data.encode()
        for needle in self.needles + [part.encode() for token in self.cloud.given for part in (token, token.split(".")[2])]:
            self.assertNotIn(needle, data, where)

    def pawl(self, site, *words, **options):
        done = site.pawl(*words, check=False, **options)
        self.clean(done.stdout + done.stderr + " ".join(map(str, done.args)), words)
        return done

    def clean_process(self, site):
        """Stands still in the middle of a run, with everything in hand."""
        with held_run(site, "historic", *RANGE, point="run end, historic") as process:
            self.clean(pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes(), "argv")
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err[-500:])
        self.clean(out + err, "run")

    def clean_places(self, site, azurite, container):
        for path in site.folder.rglob("*"):
            if path.is_file():
                self.clean(path.read_bytes(), path)
        decompress = ctypes.CDLL("libzstd.so.1").ZSTD_decompress
        room = ctypes.create_string_buffer(4 << 20)
        names = azurite.names(container)
        self.assertGreater(len(names), 5)
        for name in names:
            data = azurite.read(container, name)
            self.clean(data, name)
            if name.endswith(".zst"):
                self.clean(room.raw[:decompress(room, len(room), data, len(data))], name)
        for table in ("etl_log", "pawl_load", "pawl_slice", "pawl_state", "ctm.calls", "ctm.calls__quarantine"):
            self.clean(json.dumps(site.rows(f"SELECT to_json(t) FROM {table} t")), table)

    def everything(self, azurite, credentials, faults=FAULTS[::5]):
        """`credentials(container)` gives the options of the landing."""
        statuses = {5: 503, 9: "lost", 13: 403, 17: 401, 21: 500, 26: 404, 33: 409, 38: 412}
        plan = lambda number, method, path: statuses.get(number % 40) if self.faults_on else None
        self.faults_on = True
        container = azurite.make_container("canary")
        with World(calls=100, accounts=1, last="2026-03-06", sim=("--client-secret", self.CLIENT_SECRET)) as world, \
                Faulty(azurite, plan) as faulty:
            place = {"store": "adls", "account": ACCOUNT, "container": container, "endpoint": faulty.endpoint,
                     **credentials(container)}
            site = machine(world, "site", place)
            config = json.loads(site.job.read_text())["config"]
            edit(site, config={**config, "client_secret": f"${{keyvault:{self.cloud.url}/ctm-secret}}"},
                 lake={"format": "delta", **place, "prefix": "delta"})
            site.env = {**self.cloud.environment, "TEST_KEY": self.KEY, "TEST_SAS": getattr(self, "sas", "")}
            run = ("run", str(site.job), "--mode", "historic", "--json", *RANGE)
            for fault in faults:
                world.control("faults", [{"match": "/accounts/1001/calls", "times": 2, **fault}], method="PUT")
                self.cloud.faults = [500]
                self.pawl(site, *run)
            job = str(site.job)
            asking = (("audit", job, "--table", "ctm.calls", "--from", "2026-03-05", "--to", "2026-03-05", "--json"),
                      ("forget", job, "--phone", "+15005550199", "--dry-run", "--json"), ("check", job, "--json"),
                      ("replay", job, "--json"))
            for words in asking:
                self.pawl(site, *words)
            self.cloud.faults, self.cloud.vault_forbids = [401, 403, 400], True
            self.assertNotEqual(self.pawl(site, *run).returncode, 0)
            for words in asking:
                self.pawl(site, *words)
            self.cloud.faults, self.cloud.vault_forbids, self.faults_on = [], False, False
            world.control("faults", [], method="PUT")
            self.clean_process(site)
            for words in (*asking, ("check", job, "--show"), ("plan", job, "--mode", "historic"), ("status", job),
                          ("status", job, "--json"), ("state", "show", job), ("render", "cron", job, "--out", str(site.folder / "cron")),
                          ("query", job, "SELECT * FROM etl_log", "--json")):
                self.assertEqual(self.pawl(site, *words).returncode, 0, words)
            self.clean_places(site, azurite, container)

    def test_with_the_accounts_key_from_a_vault(self):
        with Azurite(key=self.KEY) as azurite:
            self.everything(azurite, lambda _: {"account_key": f"${{keyvault:{self.cloud.url}/storage}}"}, FAULTS)

    def test_with_a_shared_access_signature(self):
        def sign(container):
            self.sas, signature = azurite.sas(container)
            self.needles += [signature.encode(), urllib.parse.quote(signature, safe="").encode()]
            return {"sas_token": "${env:TEST_SAS}"}

        with Azurite(key=self.KEY) as azurite:
            self.everything(azurite, sign)

    def test_with_tokens(self):
        with Azurite(oauth=True, key=self.KEY) as azurite:
            self.everything(azurite, lambda _: {"auth": "client_secret"})


if __name__ == "__main__":
    unittest.main()
