"""A world for end-to-end tests: the simulator, a job in a folder of its own, and pawl as a whole process.

Standard library only. PAWL_BUILD names the build folder (default build/debug). The clock is the test's: pawl starts
at `now` (PAWL_TEST_NOW) and the simulator's world stands at the same moment until advance() moves both.
"""
import base64, datetime, json, os, pathlib, shutil, signal, subprocess, tempfile, time, urllib.request
import postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PAWL_BUILD", "build/debug")
STREAMS = ["accounts", "calls"]
PYTHON = os.environ.get("PAWL_CDK_PYTHON")  # has a DuckDB of its own
NO_PYTHON = "PAWL_CDK_PYTHON names no Python that has duckdb"
BY_HAND = """import duckdb, json, sys
connection = duckdb.connect()
connection.execute(f"ATTACH '{sys.argv[1]}' AS pawl_file; USE pawl_file")
for statement in json.load(sys.stdin):
    connection.execute(statement)
"""
CRASHES = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE, 66}  # 66: ThreadSanitizer


class DuckDB:
    """The warehouse of a site: a file in its folder."""

    def __init__(self, folder):
        self.folder = folder

    def options(self):
        return {"driver": "duckdb", "path": "./ctm.duckdb"}

    def forget(self):
        for path in self.folder.glob("ctm.duckdb*"):
            path.unlink()

    def copy(self, folder):
        for path in self.folder.glob("ctm.duckdb*"):
            shutil.copy(path, folder / path.name)
        return DuckDB(folder)

    def remove(self):
        pass  # goes with the folder

    def digest_sql(self, table):
        return (f"SELECT count(*), sum(hash(to_json(t))) FROM (SELECT * EXCLUDE (_run_id, _load_id, _fetched_at, "
                f"_loaded_at, _deleted_at), _deleted_at IS NOT NULL AS gone FROM {table}) t")


class Postgres:
    """The warehouse of a site: a database of the test's own cluster."""

    def __init__(self, database=None):
        self.cluster = postgres.cluster()
        self.database = database or self.cluster.create()

    def options(self):
        return self.cluster.options(self.database)

    def forget(self):
        self.cluster.drop(self.database)
        self.cluster.sql(f"CREATE DATABASE {self.database} STRATEGY file_copy")

    def copy(self, folder):
        return Postgres(self.cluster.create(template=self.database))

    def remove(self):
        self.cluster.drop(self.database)

    def digest_sql(self, table):
        return (f"SELECT count(*), sum(hashtextextended(CAST(to_jsonb(t) - '_run_id' - '_load_id' - '_fetched_at' - "
                f"'_loaded_at' - '_deleted_at' || jsonb_build_object('gone', _deleted_at IS NOT NULL) AS text), 0)) "
                f"FROM {table} AS t")


class Site:
    """One machine's view: a folder with a job, its lake and its warehouse. Several may share a simulator."""

    def __init__(self, folder, world, warehouse):
        self.folder, self.world, self.job, self.warehouse = folder, world, folder / "job.json", warehouse
        self.runs, self.env = 0, {}

    @property
    def now(self):
        """Each run begins a minute after the one before: processes of a test must not overtake each other in time."""
        then = datetime.datetime.fromisoformat(self.world.clock.replace("Z", "+00:00"))
        return (then + datetime.timedelta(minutes=self.runs)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def command(self, *words, env=None):
        full = {**os.environ, "CTM_CLIENT_ID": "sim-client", "CTM_CLIENT_SECRET": "sim-client-secret",
                "PAWL_TEST_NOW": self.now, **self.env, **(env or {})}
        return [str(BUILD / "pawl"), *words], full

    def pawl(self, *words, env=None, check=True, timeout=120):
        command, full = self.command(*words, env=env)
        done = subprocess.run(command, env=full, capture_output=True, text=True, timeout=timeout)
        # A crash, or what a sanitizer saw, is never the failure that a test waits for.
        if done.returncode in CRASHES or (check and done.returncode != 0):
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def run(self, mode, *words, **options):
        self.runs += 1
        return self.pawl("run", str(self.job), "--mode", mode, "--json", *words, **options)

    def report(self, done):
        return json.loads(done.stdout.splitlines()[-1])

    def rows(self, sql):
        done = self.pawl("query", str(self.job), sql, "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def value(self, sql):
        return self.rows(sql)[0][0]

    def by_hand(self, *statements):
        """What somebody else does to the warehouse, a file of DuckDB."""
        done = subprocess.run([PYTHON, "-c", BY_HAND, str(self.folder / "ctm.duckdb")], input=json.dumps(statements),
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr[-600:])

    def redaction_receipt(self, count=1):
        """The newest receipt of what the source redacted, as pawl status gives it; the run's event and ETL_LOG know of it."""
        status = json.loads(self.pawl("status", str(self.job), "--json").stdout)
        newest = status["receipts"][0]
        if (status["receipts_total"], len(status["receipts"])) != (count, count):
            raise AssertionError(f"{status['receipts_total']} receipts instead of {count}: {status['receipts']}")
        receipt = newest["receipt"]
        if (receipt["kind"], [(t["table"], t["rows"], len(t["keys"])) for t in receipt["tables"]]) != (
                "redacted", [("ctm.calls", 1, 1)]):
            raise AssertionError(f"a strange receipt: {receipt}")
        events = (self.folder / f".pawl/events-{receipt['run']}.jsonl").read_text()
        if newest["path"] not in events:
            raise AssertionError(f"no event names {newest['path']}")
        logged = self.value(f"SELECT status FROM etl_log WHERE run_id = '{receipt['run']}' AND stage = 'purge'")
        if logged != "ok":
            raise AssertionError(f"ETL_LOG says {logged} of the purge")
        return receipt

    # Everything that must be the same after a kill: all columns but those that name the run and the moment.
    def digest(self, table="ctm.calls"):
        return self.rows(self.warehouse.digest_sql(table))[0]

    def forget_pawl(self):
        """A new machine: nothing of pawl is left but the job."""
        self.warehouse.forget()
        shutil.rmtree(self.folder / "lake", ignore_errors=True)

    def copy(self, name):
        """The same site as it is now, in a folder of its own: a saved moment to go back to."""
        target = self.world.folder / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        job = json.loads(self.job.read_text())
        if (self.folder / "lake").exists():
            shutil.copytree(self.folder / "lake", target / "lake")
        site = Site(target, self.world, self.warehouse.copy(target))
        job["warehouse"].update(site.warehouse.options())
        site.job.write_text(json.dumps(job))
        site.runs = self.runs
        return site

    def remove(self):
        self.warehouse.remove()
        shutil.rmtree(self.folder)


class World(Site):
    def __init__(self, calls=600, accounts=2, first="2026-03-01", last="2026-03-11", now="2026-03-11T18:00:00Z",
                 streams=STREAMS, sim=(), job=None, warehouse="duckdb"):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-e2e-"))
        super().__init__(folder, self, Postgres() if warehouse == "postgres" else DuckDB(folder))
        self.clock = now
        port_file = self.folder / "port"
        # The simulator goes with the test: its output is for people who look at a failure.
        self.sim_log = open(self.folder / "sim.log", "wb")
        self.sim = subprocess.Popen(
            [BUILD / "ctm-sim", "--port", "0", "--port-file", port_file, "--calls", str(calls), "--accounts",
             str(accounts), "--from", first, "--to", last, "--now", now, "--world-date", *sim],
            stdout=self.sim_log, stderr=self.sim_log)
        deadline = time.monotonic() + 20
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.sim.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the simulator did not start: " + (self.folder / "sim.log").read_text())
            select_wait()
        self.port = port_file.read_text().strip()
        self.url = f"http://127.0.0.1:{self.port}"
        self.write_job(streams, job or {})

    def write_job(self, streams, changes):
        contracts = ROOT / "connectors/ctm/contracts"
        job = {
            "name": "ctm",
            "connector": str(ROOT / "connectors/ctm/manifest.yaml"),
            "config": {"auth": "oauth", "base_url": self.url + "/api/v1", "client_id": "${env:CTM_CLIENT_ID}",
                       "client_secret": "${env:CTM_CLIENT_SECRET}"},
            "streams": {s: {"contract": str(contracts / f"{s}.json"), "target": f"ctm.{s}"} for s in streams},
            "modes": {"historic": {"from": "2026-03-01"}, "incremental": {"lookback": "P2D"},
                      "rehydration": {"windows": [{"every": "P1D", "back": "P14D"}]}},
            "landing": {"store": "local", "path": "./lake"},
            "warehouse": self.warehouse.options(),
            "limits": {"requests_per_second": 0, "connections": 4},
            "retry": {"attempts": 4, "initial": "PT0.01S", "max": "PT0.05S"},
        }
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(job.get(key), dict):
                job[key].update(value)
            else:
                job[key] = value
        self.job.write_text(json.dumps(job))

    def control(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "/_sim/" + path, data=data,
                                         method=method or ("POST" if data else "GET"))
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def advance(self, now):
        self.clock = now
        self.control("clock", {"now": now})

    def log(self):
        """The requests that the simulator has seen since the counts were last set to zero."""
        return self.control("log")

    def get(self, path):
        request = urllib.request.Request(self.url + "/api/v1" + path)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"sim-key:sim-secret").decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def close(self):
        self.sim.send_signal(signal.SIGTERM)
        self.sim.wait()
        self.sim_log.close()
        self.warehouse.remove()
        subprocess.run(["chmod", "-R", "u+w", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def select_wait():
    """Lets another process go on; used only while waiting for one to say that it is ready."""
    time.sleep(0.005)
