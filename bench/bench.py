"""./dev bench [part...]: pawl and its peers on the simulator, whole processes, into bench/results.md.

Parts (all of them where none is named; each may be run by itself, what others measured is kept in build/bench):
    small     2,000 calls, one run each: tries the script; its figures are not written to results.md
    empty     50,000 calls into an empty table
    grown     50,000 calls into a table that holds 2 million
    history   2 million calls over 18 months, landing on; the peers from 200,000
    again     the same 2 million read once more, nothing changed
    latency   50,000 calls, 100 ms a page, 20 requests/s
    cold      1,000 calls, from `pawl run` to rows in a new file
    destinations  50,000 calls (BENCH_CALLS) into DuckDB, PostgreSQL, Delta Lake, Azurite and Snowflake's fixture, and COPY beside psql's of the same bytes
    spark     200,000 calls (SPARK_CALLS) by the Spark engine, by the naive design, and by pawl alone
    scale     as many by 1, 2 and 4 executors, processes of their own, without a limit (scale); at 100 requests/s and 100 ms a page, landing only (scale_rate)
BENCH_RUNS says how many runs the median is of (3), BENCH_WHO who is measured ("curl pawl hand dlt cdk singer spark"): figures of the
others stay as they were ("spark": all that is Spark; "engine", "naive", "1", "2", "4": the engine, the naive design, so many executors). Wall and CPU seconds and peak memory are those of the whole process
as the kernel counted them. The machine should have nothing else to do.
"""
import atexit, base64, datetime, itertools, json, os, pathlib, platform, shutil, signal, statistics, subprocess, sys, tempfile, threading, time, urllib.request
import duckdb

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
sys.path.insert(0, str(ROOT / "tests/spark"))
sys.path.insert(0, str(ROOT / "tests/warehouse"))
import azure, flake, postgres  # Azurite, Snowflake's fixture and the private cluster of the tests
from cluster import Cluster  # and Spark's

BUILD = ROOT / "build/release"
WORK = ROOT / "build/bench"
KEPT = WORK / "results.json"
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
WHO_RUNS = os.environ.get("BENCH_WHO", "curl pawl hand dlt cdk singer spark").split()
CDK_PYTHON = os.environ.get("PAWL_CDK_PYTHON", "")
SINGER_PYTHON = os.environ.get("PAWL_SINGER_PYTHON", "")
SPARK_CALLS = int(os.environ.get("SPARK_CALLS", "200000"))
DESTINATION_CALLS = int(os.environ.get("BENCH_CALLS", "50000"))
PER_PAGE = 150
EXCLUDED = "transcription_text,chat_messages"
FLOOR_MB_S_MIN = 400  # below, the simulator or the machine is the bottleneck and a run says nothing
LAST = datetime.date(2026, 11, 1)  # the day behind the last one
HISTORY_FIRST = datetime.date(2025, 5, 1)
PAWL_ENV = {"CTM_CLIENT_ID": "sim-client", "CTM_CLIENT_SECRET": "sim-client-secret"}


class Simulator:
    """A world of so many calls on the days from `first` to the last before `last`."""

    def __init__(self, calls, first, last=LAST, *options):
        self.calls, self.first, self.last = calls, first, last
        port_file = WORK / "port"
        port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [BUILD / "ctm-sim", "--port", "0", "--port-file", port_file, "--calls", str(calls), "--accounts", "5", "--from",
             str(first), "--to", str(last), "--deletes", "0", *options], stdout=subprocess.DEVNULL)
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.process.poll() is not None:
                raise SystemExit("bench: the simulator did not start")
            time.sleep(0.01)
        self.origin = f"http://127.0.0.1:{port_file.read_text().strip()}"

    def get(self, path, method="GET"):
        request = urllib.request.Request(self.origin + path, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"sim-key:sim-secret").decode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def stats(self):
        return self.get("/_sim/stats")

    def forget(self):
        self.get("/_sim/stats", "DELETE")

    # What any reader of [first, last) must find.
    def truth(self, first=None):
        days = f"start_date={first or self.first}&end_date={self.last - datetime.timedelta(days=1)}"
        return sum(self.get(f"/_sim/truth?account={account}&{days}")["calls"] for account in range(1001, 1006))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def days(first, last):
    return [first + datetime.timedelta(days=i) for i in range((last - first).days)]


# A process of its own starts what is measured: Linux counts as peak memory of a process also what it had before exec(), which
# would be all that this script holds.
WATCHER = """
import json, os, resource, subprocess, sys, time
started = time.monotonic()
status = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL)
wall, usage = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([status, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], open(sys.argv[1], "w"))
"""


def measure(command, output=None, **environment):
    """Runs one process to its end: wall and CPU seconds, peak MB, as the kernel counted."""
    sink, told = open(output or WORK / "output.log", "wb"), WORK / "measured.json"
    with sink:
        subprocess.run([sys.executable, "-S", "-c", WATCHER, told, *command], stdin=subprocess.DEVNULL, stdout=sink,
                       stderr=subprocess.STDOUT, env=dict(os.environ, **environment), check=True)
    status, wall, cpu, mb = json.loads(told.read_text())
    if status != 0:
        raise SystemExit(f"bench: {command[0]} ended with {status}: " +
                         pathlib.Path(sink.name).read_text(errors="replace")[-2000:])
    return {"wall": wall, "cpu": cpu, "mb": mb}


def median(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]} | {"runs": len(runs)}


def repeat(name, once, times=None):
    runs = []
    for number in range(times or RUNS):
        runs.append(once())
        print(f"  {name} {number + 1}: {runs[-1]['wall']:.2f} s wall, {runs[-1]['cpu']:.2f} s CPU, "
              f"{runs[-1]['mb']:.0f} MB", flush=True)
    return median(runs)


# A folder that nobody had before; all go at the end. Were they deleted between the runs, ext4 without a journal would look
# through their inodes again for each new file, for a minute: a tenth of a backfill's CPU time.
FOLDERS = WORK / "folders"
latest = {}


def fresh(name):
    FOLDERS.mkdir(parents=True, exist_ok=True)
    latest[name] = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=FOLDERS))
    return latest[name]


def expect(what, got, wanted):
    if got != wanted:
        raise SystemExit(f"bench: {what}: {got} rows, {wanted} expected; its time says nothing")


PEER_TABLES = {"hand": "main.calls", "dlt": "ctm.calls"}
COPY_IDS = 100_000_000_000  # grow() numbers its copies from here on


# The file under a name of its own: "ctm" is a schema in it, and would be its name as well.
def count_rows(path, table, below=None):
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS file (READ_ONLY)")
        where = f" WHERE id < {below}" if below else ""
        return connection.sql(f"SELECT count(*) FROM file.{table}{where}").fetchone()[0]


# --- who is measured -------------------------------------------------------------------------------------------------

def floor(sim):
    """curl reads the same pages, eight at a time, to nowhere."""
    if "curl" not in WHO_RUNS:
        return None
    lines = []
    for account in range(1001, 1006):
        for day in days(sim.first, sim.last):
            path = f"/api/v1/accounts/{account}/calls?start_date={day}&end_date={day}&exclude_fields={EXCLUDED}"
            total = sim.get(path + "&per_page=1")["total_entries"]
            for page in range(1, max(1, -(-total // PER_PAGE)) + 1):
                lines.append(f'url = "{sim.origin}{path}&per_page={PER_PAGE}&page={page}"\noutput = "/dev/null"\n')
    config = WORK / "curl.txt"
    config.write_text("user = sim-key:sim-secret\nsilent\nfail\n" + "".join(lines))

    def once():
        sim.forget()
        run = measure(["curl", "--parallel", "--parallel-max", "8", "--config", str(config)])
        run["mb_s"] = sim.stats()["bytes"] / 1e6 / run["wall"]
        return run

    result = repeat("curl", once)
    result["pages"] = len(lines)
    return result


def write_job(folder, sim, **limits):
    contracts = ROOT / "connectors/ctm/contracts"
    job = {
        "name": "ctm", "connector": str(ROOT / "connectors/ctm/manifest.yaml"),
        "config": {"auth": "oauth", "base_url": sim.origin + "/api/v1", "client_id": "${env:CTM_CLIENT_ID}",
                   "client_secret": "${env:CTM_CLIENT_SECRET}"},
        "streams": {s: {"contract": str(contracts / f"{s}.json"), "target": f"ctm.{s}"} for s in ("accounts", "calls")},
        "modes": {"historic": {"from": str(sim.first)}, "rehydration": {"windows": [{"every": "P1D", "back": "P14D"}]}},
        "landing": {"store": "local", "path": "./lake"}, "warehouse": {"driver": "duckdb", "path": "./ctm.duckdb"},
        "limits": {"requests_per_second": 0, "connections": 8, **limits},
    }
    (folder / "job.json").write_text(json.dumps(job))


def pawl_rows(folder):
    return count_rows(folder / "ctm.duckdb", "ctm.calls")


def pawl_run(folder, sim, first, mode="historic", last=None):
    last = (last or sim.last) - datetime.timedelta(days=1)
    return measure([str(BUILD / "pawl"), "run", str(folder / "job.json"), "--mode", mode, "--from", str(first), "--to",
                    str(last)], **PAWL_ENV)


def copy_seed(seed, folder):
    """And has it written: whoever flushes its database first would wait for all of the copy."""
    shutil.copytree(seed, folder, dirs_exist_ok=True)
    os.sync()


def pawl(sim, seed=None, first=None, times=None, **limits):
    """From nothing, or from a copy of `seed`, to the end of the sim's days."""
    if "pawl" not in WHO_RUNS:
        return None

    def once():
        folder = fresh("pawl")
        if seed:
            copy_seed(seed, folder)
        write_job(folder, sim, **limits)
        before = pawl_rows(folder) if seed else 0
        sim.forget()
        run = pawl_run(folder, sim, first or sim.first)
        expect("pawl", pawl_rows(folder) - before, sim.truth(first))
        return run
    return repeat("pawl", once, times)


def peer(name, sim, seed=None, times=None):
    """hand or dlt: a script that reads calls of the sim's days into peer.duckdb, table calls."""
    if name not in WHO_RUNS:
        return None

    def once():
        folder = fresh(name)
        if seed:
            copy_seed(seed, folder)
        sim.forget()
        run = measure([sys.executable, str(ROOT / f"bench/peer_{name}.py"), sim.origin + "/api/v1", str(sim.first),
                       str(sim.last - datetime.timedelta(days=1)), str(folder)])
        rows = count_rows(folder / "peer.duckdb", PEER_TABLES[name], below=COPY_IDS)
        expect(name, rows, sim.truth())
        return run
    return repeat(name, once, times)


def grow(folder, table, key, copies):
    """Makes `copies` times the rows that a peer loaded, under other keys: a table that was there before."""
    with duckdb.connect(str(folder / "peer.duckdb")) as connection:
        more = ", concat(_dlt_id, '-', n) AS _dlt_id" if key == "dlt" else ", concat(row_hash, n) AS row_hash"
        connection.sql(f"CREATE TEMP TABLE seed AS FROM {table}")
        connection.sql(f"INSERT INTO {table} SELECT seed.* REPLACE (id + n * {COPY_IDS} AS id{more}) "
                       f"FROM seed, range(1, {copies}) t(n)")


def cdk(sim):
    if not CDK_PYTHON or "cdk" not in WHO_RUNS:
        return None
    config = WORK / "cdk.json"
    config.write_text(json.dumps({"auth": "basic", "access_key": "sim-key", "secret_key": "sim-secret",
                                  "base_url": sim.origin + "/api/v1", "start_date": str(sim.first),
                                  "end_date": str(sim.last - datetime.timedelta(days=1))}))
    output = WORK / "cdk.jsonl"

    def once():
        run = measure([CDK_PYTHON, str(ROOT / "tests/e2e/read_with_cdk.py"), str(ROOT / "connectors/ctm/manifest.yaml"),
                       str(config), "calls"], output=output)
        with open(output, "rb") as lines:
            expect("cdk", sum(line.startswith(b'{"stream"') for line in lines), sim.truth())
        output.unlink()
        return run
    return repeat("cdk", once)


# --- the parts -------------------------------------------------------------------------------------------------------

def two_weeks(calls=50_000, *options):
    return Simulator(calls, LAST - datetime.timedelta(days=14), LAST, *options)


def everybody(sim):
    return {"curl": floor(sim), "pawl": pawl(sim), "hand": peer("hand", sim), "dlt": peer("dlt", sim), "cdk": cdk(sim)}


def part_small():
    global RUNS
    RUNS = 1
    with Simulator(2_000, LAST - datetime.timedelta(days=2)) as sim:
        return everybody(sim)


def part_empty():
    with two_weeks() as sim:
        return everybody(sim)


def seed_of_two_million(sim, first):
    folder = fresh("seed")
    write_job(folder, sim)
    pawl_run(folder, sim, sim.first, last=first)
    # The table counts here, not the pages. They go when the bench ends: for half a minute after
    # 14,000 files were removed, ext4 looks for an inode that none of them had (6 % of a run).
    (folder / "lake").rename(fresh("seed-lake") / "lake")
    return folder


def part_grown():
    """The peers' table grows by copies of what they loaded; pawl's is its own, from 18 months."""
    first = LAST - datetime.timedelta(days=14)
    result = {}
    with Simulator(2_050_000, HISTORY_FIRST) as sim:
        if "pawl" in WHO_RUNS:
            result["pawl"] = pawl(sim, seed=seed_of_two_million(sim, first), first=first)
    with two_weeks() as sim:
        for name, table in PEER_TABLES.items():
            if not peer(name, sim, times=1):
                continue
            seed = fresh(name + "-seed")
            shutil.copytree(latest[name], seed, dirs_exist_ok=True)
            grow(seed, table, name, 41)
            # Loaded rows are unknown to the grown table: the loads are new rows, as pawl's are.
            with duckdb.connect(str(seed / "peer.duckdb")) as connection:
                connection.sql(f"DELETE FROM {table} WHERE id < {COPY_IDS}")
            result[name] = peer(name, sim, seed=seed)
    return result


def part_history():
    result = {}
    with Simulator(2_000_000, HISTORY_FIRST) as sim:
        result["curl"] = floor(sim)
        result["pawl"] = pawl(sim)
        # Whole, since their MERGE costs more as the table grows; once, for it takes minutes.
        for name in PEER_TABLES:
            whole = peer(name, sim, times=1)
            if whole:
                result[name] = whole | {"note": "once"}
    # A tenth of the days at the same density.
    with Simulator(200_000, LAST - datetime.timedelta(days=55)) as sim:
        result["pawl, 200,000"] = pawl(sim)
        small = cdk(sim)
        if small:
            result["cdk"] = small | {"wall": small["wall"] * 10, "cpu": small["cpu"] * 10, "note": "10 × 200,000 calls"}
    return result


def part_again():
    with Simulator(2_000_000, HISTORY_FIRST) as sim:
        folder = fresh("again")
        write_job(folder, sim)
        pawl_run(folder, sim, sim.first)

        def once():
            run = pawl_run(folder, sim, sim.first, mode="rehydration")
            expect("pawl again", pawl_rows(folder), sim.truth())
            return run
        return {"pawl": repeat("pawl again", once)}


class Watch(threading.Thread):
    """Sees when a simulator counted its first and its last request."""

    def __init__(self, sim):
        super().__init__(daemon=True)
        self.sim, self.first, self.last, self.count, self.done = sim, None, None, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.05):
            now, count = time.monotonic(), self.sim.stats()["requests"]
            if count < self.count: # a run began: forget() was called
                self.first = None
            if count > 0 and count != self.count:
                self.first, self.last = self.first or now, now
            self.count = count


def part_latency():
    with two_weeks(50_000, "--latency-ms", "100", "--rate", "20") as sim:
        watch = Watch(sim)
        watch.start()
        result = {"pawl": pawl(sim, requests_per_second=20)}
        watch.done.set()
        watch.join()
        if result["pawl"]:
            stats = sim.stats()
            result["pawl"] |= {"refused": stats["rate_limited"], "requests": stats["requests"],
                               "reading": watch.last - watch.first}
        for name in ("hand", "dlt"):
            result[name] = peer(name, sim)
        result["cdk"] = cdk(sim)
        return result


def part_cold():
    with Simulator(1_000, LAST - datetime.timedelta(days=1)) as sim:
        return {"pawl": pawl(sim, times=max(RUNS, 5)), "dlt": peer("dlt", sim)}


# --- destinations ----------------------------------------------------------------------------------------------------

class Database:
    """A PostgreSQL database of its own, reached over loopback without TLS by everybody who is measured."""

    def __init__(self, name):
        self.cluster, self.name = postgres.cluster(), name
        self.cluster.drop(name)
        self.cluster.sql(f"CREATE DATABASE {name}")
        self.options = {"driver": "postgres", "host": "127.0.0.1", "port": self.cluster.port, "database": name,
                        "user": "owner", "sslmode": "disable"}
        self.url = f"postgresql://owner:unused@127.0.0.1:{self.cluster.port}/{name}?sslmode=disable"

    def count(self, table):
        return int(self.cluster.sql(f"SELECT count(*) FROM {table}", self.name))

    def psql(self, command):
        return measure(["psql", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U", "owner", "-XqAt", "-v",
                        "ON_ERROR_STOP=1", self.name, "-c", command], PGSSLMODE="disable",
                       PGOPTIONS="-c default_toast_compression=lz4 -c client_min_messages=warning")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.drop(self.name)


def to_postgres(name, run, wanted, table="ctm.calls"):
    """Times `run` with a new database; its rows are counted."""
    def once():
        with Database("bench") as database:
            result = run(database)
            expect(name, database.count(table), wanted)
        return result
    return repeat(name, once)


def pawl_to_postgres(sim):
    def run(database):
        folder = fresh("pawl")
        write_job(folder, sim)
        job = json.loads((folder / "job.json").read_text())
        job["warehouse"] = database.options
        (folder / "job.json").write_text(json.dumps(job))
        sim.forget()
        return pawl_run(folder, sim, sim.first)
    return to_postgres("pawl → PostgreSQL", run, sim.truth()) if "pawl" in WHO_RUNS else None


def pawl_with(name, sim, change, count=None):
    """pawl with another job: `change(job)` says what of it is other; `count(folder)` counts the rows, where they are not in ctm.duckdb."""
    if "pawl" not in WHO_RUNS:
        return None

    def once():
        folder = fresh("pawl")
        write_job(folder, sim)
        job = json.loads((folder / "job.json").read_text())
        change(job)
        (folder / "job.json").write_text(json.dumps(job))
        sim.forget()
        run = pawl_run(folder, sim, sim.first)
        expect(name, (count or pawl_rows)(folder), sim.truth())
        return run
    return repeat(name, once)


def delta_rows(folder):
    """Rows of the live files, as the log tells them."""
    live = {}
    for path in sorted((folder / "delta/ctm/calls/_delta_log").glob("*.json")):
        for action in map(json.loads, path.read_text().splitlines()):
            if "add" in action:
                live[action["add"]["path"]] = json.loads(action["add"]["stats"])["numRecords"]
            live.pop(action.get("remove", {}).get("path"), None)
    return sum(live.values())


def pawl_to_delta(sim):
    return pawl_with("pawl → DuckDB and Delta Lake", sim, lambda job: job.update(lake={"format": "delta", "path": "./delta"}), delta_rows)


def pawl_by_azure(sim):
    """Pages in Azurite, which takes longer for a request than a disk, and less than Azure."""
    if not azure.SCRIPT:
        return None
    os.environ["TEST_ACCOUNT_KEY"] = azure.KEY
    with azure.Azurite() as azurite:
        names = (azurite.make_container(f"landing-{number}") for number in itertools.count())
        return pawl_with("pawl by Azurite", sim, lambda job: job.update(landing=azurite.landing(next(names))))


def pawl_to_snowflake(sim):
    """The tests' fixture, which translates each statement for DuckDB: it says what pawl costs, not what Snowflake does."""
    if not flake.PYTHON:
        return None
    fixture = flake.Fixture()
    try:
        numbers = itertools.count()

        def change(job):
            database = f"BENCH_{next(numbers)}"
            fixture.control("database", {"name": database, "schemas": ["CTM", "PAWL"]})
            ready = fixture.ready
            job["warehouse"] = {
                "driver": "snowflake", "url": ready["url"], "account": ready["account"], "user": ready["user"], "database": database,
                "private_key": f"${{file:{fixture.folder}/key2.pem}}", "ca_file": f"{fixture.folder}/ca.pem", "schema": "PAWL",
                "warehouse": "W", "role": "R", "stage": {"name": "CTM.LAND", "files": {"store": "local", "path": ready["stage"]}}}
            change.database = database

        return pawl_with("pawl → Snowflake's fixture", sim, change,
                         lambda folder: int(fixture.rows(change.database, "SELECT COUNT(*) FROM CTM.CALLS")[0][0]))
    finally:
        fixture.close()


def dlt_to_postgres(sim):
    def run(database):
        folder = fresh("dlt")
        sim.forget()
        return measure([sys.executable, str(ROOT / "bench/peer_dlt.py"), sim.origin + "/api/v1", str(sim.first),
                        str(sim.last - datetime.timedelta(days=1)), str(folder), database.url])
    return to_postgres("dlt → PostgreSQL", run, sim.truth()) if "dlt" in WHO_RUNS else None


def singer_type(values):
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    found = {kinds[type(value)] for value in values if value is not None}
    found = {"number"} if found == {"integer", "number"} else found
    return {"type": ["null", *(sorted(found) if len(found) == 1 else ["string"])]}


def singer_file(sim):
    """What a Singer tap would say of the same calls; making it is not measured."""
    records = []
    for account in range(1001, 1006):
        for day in days(sim.first, sim.last):
            path = f"/api/v1/accounts/{account}/calls?start_date={day}&end_date={day}&per_page={PER_PAGE}&exclude_fields={EXCLUDED}"
            page = 1
            while True:
                calls = sim.get(f"{path}&page={page}")["calls"]
                records += calls
                page += 1
                if len(calls) < PER_PAGE:
                    break
    names = sorted({name for record in records for name in record})
    schema = {name: singer_type([record.get(name) for record in records]) for name in names}
    output = WORK / "singer.jsonl"
    with open(output, "w") as lines:
        lines.write(json.dumps({"type": "SCHEMA", "stream": "calls", "key_properties": ["id"],
                                "schema": {"type": "object", "properties": schema}}) + "\n")
        for record in records:
            for name, value in record.items():
                if value is not None and schema[name]["type"] == ["null", "string"] and not isinstance(value, str):
                    record[name] = json.dumps(value)
            line = json.dumps({"type": "RECORD", "stream": "calls", "record": record})
            lines.write(line.replace("\\u0000", "") + "\n")  # PostgreSQL takes none, and the target does not take it out
    return output


def singer_to_postgres(sim):
    if not SINGER_PYTHON or "singer" not in WHO_RUNS:
        return None
    lines = singer_file(sim)

    def run(database):
        config = WORK / "singer.json"
        config.write_text(json.dumps({"sqlalchemy_url": database.url.replace("postgresql://", "postgresql+psycopg://"),
                                      "default_target_schema": "ctm", "use_copy": True, "validate_records": False}))
        return measure([str(pathlib.Path(SINGER_PYTHON).parent / "target-postgres"), "--config", str(config), "--input",
                        str(lines)])
    return to_postgres("target-postgres", run, sim.truth())


def copy_beside_psql(rows):
    """The driver's loads (matched, copied, in the ledger) less the making of their rows, beside psql's \\copy of the same bytes."""
    bench = str(BUILD / "bench_warehouse")
    file = WORK / "calls.copy"

    def driver():
        with Database("bench") as database:
            making = measure([bench, "", "generate", str(rows)])
            run = measure([bench, json.dumps({k: v for k, v in database.options.items() if k != "driver"}), "insert", str(rows)])
            if not file.exists():
                database.psql(f"\\copy bench.calls to {file} (format binary)")
        return run | {"wall": run["wall"] - making["wall"], "cpu": run["cpu"] - making["cpu"]}

    def psql():
        with Database("bench") as database:
            # The same table, made by the driver; its rows are those of the file.
            measure([bench, json.dumps({k: v for k, v in database.options.items() if k != "driver"}), "insert", "0"])
            run = database.psql(f"\\copy bench.calls from {file} (format binary)")
            expect("psql", database.count("bench.calls"), rows)
        return run
    file.unlink(missing_ok=True)
    result = {"driver": repeat("driver", driver), "psql": repeat("psql", psql)}
    for run in result.values():
        run["rows_s"] = rows / run["wall"]
    return result


def part_destinations():
    result = {}
    with two_weeks(DESTINATION_CALLS) as sim:
        result = {"pawl": pawl(sim), "pawl postgres": pawl_to_postgres(sim), "pawl delta": pawl_to_delta(sim),
                  "pawl azure": pawl_by_azure(sim), "pawl snowflake": pawl_to_snowflake(sim), "dlt": peer("dlt", sim),
                  "dlt postgres": dlt_to_postgres(sim), "singer": singer_to_postgres(sim)}
        total = sim.truth()
    for run in result.values():
        if run:
            run["rows_s"] = total / run["wall"]
    return result | (copy_beside_psql(10 * DESTINATION_CALLS) if "pawl" in WHO_RUNS else {})


# --- Spark -----------------------------------------------------------------------------------------------------------

class Watched(threading.Thread):
    """CPU seconds of everything that some processes have started, seen every fifth of a second."""

    def __init__(self, processes):
        super().__init__(daemon=True)
        self.roots, self.seen, self.done = {process.pid for process in processes}, {}, threading.Event()

    def run(self):
        while not self.done.wait(0.2):
            found = {}
            for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
                try:
                    words = path.read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue  # it has ended
                found[int(path.parent.name)] = (int(words[1]), words[19], int(words[11]) + int(words[12]))
            for pid, (parent, started, ticks) in found.items():
                while parent not in self.roots and parent in found:
                    parent = found[parent][0]
                if parent in self.roots:
                    self.seen[pid, started] = ticks

    def seconds(self):
        self.done.set()
        self.join()
        return sum(self.seen.values()) / os.sysconf("SC_CLK_TCK")


def spark_run(sim, who, master, slots, conf=None, **limits):
    """The Spark engine, or the naive design; whole processes, JVM and all. What the engine's stages took is of its ETL_LOG."""
    folder = fresh(f"spark_{who}")
    write_job(folder, sim, **limits)
    sim.forget()
    python = subprocess.run([ROOT / "tools/deps", "--venv", "spark"], capture_output=True, text=True, check=True).stdout.strip()
    run = measure([python, str(ROOT / "bench/spark_bench.py"), who, str(folder / "job.json"), f"{folder}/delta/",
                   sim.origin + "/api/v1", str(sim.first), str(sim.last - datetime.timedelta(days=1)), master, str(slots),
                   json.dumps(conf or {})],
                  PYTHONPATH=str(ROOT / "python"), PAWL_LIBRARIES=str(BUILD), PYSPARK_PYTHON=python, **PAWL_ENV)
    told = [json.loads(line) for line in open(WORK / "output.log") if line.startswith("{")][-1]
    expect(f"spark, {who}", told["rows"], sim.truth())
    if who == "engine":
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH '{folder / 'ctm.duckdb'}' AS file (READ_ONLY)")
            run |= dict(connection.sql("SELECT substr(stage, 7), sum(duration_us) / 1e6 FROM file.main.etl_log "
                                       "WHERE stage LIKE 'spark.%' GROUP BY 1").fetchall())
    if who == "land":
        run["land"] = told["land"]
    stats = sim.stats()
    return run | {"refused": stats["rate_limited"], "requests": stats["requests"]}


def spark(sim, who, slots):
    if who not in WHO_RUNS and "spark" not in WHO_RUNS:
        return None
    return repeat(f"spark, {who}, {slots}", lambda: spark_run(sim, who, f"local[{slots}]", slots))


def executors(sim, count, who="engine", **limits):
    """`count` executors of one core each, processes of a standalone cluster on this machine."""
    if f"{count}" not in WHO_RUNS and "spark" not in WHO_RUNS:
        return None
    python = subprocess.run([ROOT / "tools/deps", "--venv", "spark"], capture_output=True, text=True, check=True).stdout.strip()

    def once():
        with Cluster(python, fresh("cluster"), count) as cluster:
            watched = Watched(cluster.workers)
            watched.start()
            run = spark_run(sim, who, cluster.url, count, {**cluster.conf, "spark.executor.memory": "768m"}, **limits)
            run["cpu"] += watched.seconds()
        return run
    return repeat(f"{count} executors", once)


def part_spark():
    """SPARK_CALLS calls over two weeks by one, two and four tasks at once, beside the naive design and pawl alone."""
    with two_weeks(SPARK_CALLS) as sim:
        return {"pawl": pawl(sim), "spark 2": spark(sim, "engine", 2), "spark naive": spark(sim, "naive", 2)}


def part_scale():
    with two_weeks(SPARK_CALLS) as sim:
        return {"pawl": pawl(sim), **{f"executors {n}": executors(sim, n) for n in (1, 2, 4)}}


def part_scale_rate():
    with two_weeks(SPARK_CALLS, "--latency-ms", "100", "--rate", "100") as sim:
        limits = {"requests_per_second": 100, "connections": 20}
        return {"pawl": pawl(sim, **limits), **{f"executors {n}": executors(sim, n, "land", **limits) for n in (1, 2, 4)}}


PARTS = {name[5:]: function for name, function in list(globals().items()) if name.startswith("part_")}


# --- the report ------------------------------------------------------------------------------------------------------

WHO = {"curl": "curl, 8 connections, to nowhere (the floor)", "pawl": "pawl", "pawl, 200,000": "pawl, 200,000 calls",
       "hand": "hand-written: requests + pyarrow + DuckDB MERGE", "dlt": "dlt 1.31, rest_api → DuckDB merge, parquet files",
       "cdk": "Airbyte CDK 7.39.1, extraction only", "pawl postgres": "pawl → PostgreSQL",
       "pawl delta": "pawl → DuckDB and Delta Lake", "pawl azure": "pawl → DuckDB, landing in Azurite",
       "pawl snowflake": "pawl → Snowflake's fixture, whose seconds these are",
       "dlt postgres": "dlt 1.31, rest_api → PostgreSQL merge, csv files", "singer": "target-postgres 0.8.1 by COPY, from a file, no extraction",
       "driver": "pawl's loads into PostgreSQL, rows of 1.6 KB", "psql": "psql \\copy of the same bytes into the same table",
       "spark 2": "pawl on Spark 4.0, Delta and DuckDB, local[2]",
       **{f"executors {n}": f"{n} executor{'s' * (n > 1)} of one core, Spark 4.0, Delta and DuckDB" for n in (1, 2, 4)},
       "spark naive": "Spark 4.0, naive: requests in the driver, createDataFrame, MERGE, local[2]"}
TITLES = {"small": "2,000 calls (a try)", "empty": "50,000 calls into an empty table", "grown": "50,000 calls into a table of 2 million",
          "history": "2 million calls over 18 months", "again": "2 million unchanged calls read again",
          "latency": "50,000 calls, 100 ms a page, 20 requests/s", "destinations": f"{DESTINATION_CALLS:,} calls, by destination", "cold": "1,000 calls, cold, into a new file",
          "spark": f"{SPARK_CALLS:,} calls on Spark", "scale": f"{SPARK_CALLS:,} calls, executors as processes of their own, no limit",
          "scale_rate": f"{SPARK_CALLS:,} calls, executors as processes of their own, 100 ms a page, 100 requests/s, landing only"}


def claims(all_parts):
    """(what, target, measured, met) for whatever was measured."""
    def has(part, *names):
        return part in all_parts and all(all_parts[part]["who"].get(name) for name in names)

    def get(part, name):
        return all_parts[part]["who"][name]

    def most(what, value, limit, unit):
        return what, f"≤ {limit:g} {unit}", f"{value:.2f} {unit}", value <= limit

    def least(what, value, limit):
        return what, f"≥ {limit:g} ×", f"{value:.1f} ×", value >= limit

    for part, limit in (("empty", 2), ("grown", 2.5)):
        if has(part, "pawl"):
            yield most(TITLES[part], get(part, "pawl")["wall"], limit, "s")
        for name, factor in (("dlt", 17), ("hand", 5)):
            if has(part, "pawl", name):
                yield least(f"{TITLES[part]}: {name} ÷ pawl", get(part, name)["wall"] / get(part, "pawl")["wall"], factor)
    if has("history", "pawl", "curl"):
        ours = get("history", "pawl")
        yield most(TITLES["history"], ours["wall"], 34, "s")
        yield most(TITLES["history"] + ", CPU", ours["cpu"], 65, "s")
        yield most(TITLES["history"] + " ÷ the floor", ours["wall"] / get("history", "curl")["wall"], 8, "×")
        yield most(TITLES["history"] + ", peak memory", ours["mb"], 400, "MiB")
        yield most("peak memory, 2 million ÷ 200,000", ours["mb"] / get("history", "pawl, 200,000")["mb"], 1.15, "×")
        for name, factor in (("hand", 12), ("dlt", 35)):
            if has("history", name):
                yield least(f"{TITLES['history']}: {name} ÷ pawl", get("history", name)["wall"] / ours["wall"], factor)
    if has("again", "pawl") and has("history", "pawl"):
        yield most("read again ÷ first time", get("again", "pawl")["wall"] / get("history", "pawl")["wall"], 0.5, "×")
    if has("destinations", "driver", "psql"):
        yield least("COPY: psql's wall seconds ÷ pawl's", get("destinations", "psql")["wall"] / get("destinations", "driver")["wall"], 0.8)
    if has("cold", "pawl"):
        yield most(TITLES["cold"], get("cold", "pawl")["wall"], 0.3, "s")
        yield most(TITLES["cold"] + ", peak memory", get("cold", "pawl")["mb"], 96, "MiB")
    if has("latency", "pawl"):
        ours = get("latency", "pawl")
        yield most("latency-bound, first to last request ÷ (requests ÷ rate)",
                   ours["reading"] / max(ours["requests"] / 20, 0.001), 1.03, "×")
        yield most("latency-bound, answers 429", ours["refused"], 0, "")


def table(part):
    pawl_wall = part["who"].get("pawl", {}).get("wall")
    yield "| who | wall s | CPU s | peak MiB | ÷ pawl | |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for name, run in part["who"].items():
        note = run.get("note", "")
        if "mb_s" in run:
            note = f"{run['mb_s']:.0f} MB/s" + ("" if run["mb_s"] >= FLOOR_MB_S_MIN else ": VOID, the floor is too low")
        if "rows_s" in run:
            note = f"{run['rows_s']:,.0f} rows/s"
        if "land" in run:
            note = ", ".join(f"{stage} {run[stage]:.1f}" for stage in ("plan", "land", "merge", "load") if stage in run) + " s"
            note += f"; {run['requests']:,.0f} requests" + (f", {run['refused']:.0f} answers 429" if run["refused"] else "")
        ratio = f"{run['wall'] / pawl_wall:.1f}" if pawl_wall else ""
        yield f"| {WHO[name]} | {run['wall']:.2f} | {run['cpu']:.2f} | {run['mb']:.0f} | {ratio} | {note} |"


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def write_report(all_parts):
    lines = ["# Timings", "", "Written by `./dev bench`; do not edit. Whole processes on the simulator, which runs on the same machine; median of "
             "the runs, wall and CPU seconds and peak resident memory as the kernel counts them. Every figure's rows were counted.", "",
             "| target | | measured | met |", "| --- | --- | --- | --- |"]
    void = [TITLES[name] for name, part in all_parts.items()
            if name != "small" and part["who"].get("curl", {}).get("mb_s", 1e9) < FLOOR_MB_S_MIN]
    if void:
        lines[4:4] = [f"**Void**, for the floor was below {FLOOR_MB_S_MIN} MB/s (a busy machine): {'; '.join(void)}.", ""]
    lines += [f"| {what} | {target} | {got} | {'yes' if met else '**no**'} |" for what, target, got, met in claims(all_parts)]
    for name in PARTS:
        if name in all_parts and name != "small":
            part = all_parts[name]
            lines += ["", f"## {TITLES[name]}", "", f"{part['when']}, commit {part['commit']}, {part['machine']}, load before: "
                      f"{part['load']:.1f}; median of {max(run['runs'] for run in part['who'].values())}.", "", *table(part)]
    (ROOT / "bench/results.md").write_text("\n".join(lines) + "\n")


def main():
    names = sys.argv[1:] or [name for name in PARTS if name != "small"]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise SystemExit(f"bench: no part {unknown[0]}; there are: {' '.join(PARTS)}")
    WORK.mkdir(parents=True, exist_ok=True)
    atexit.register(shutil.rmtree, FOLDERS, ignore_errors=True)
    all_parts = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for name in names:
        print(f"{TITLES[name]}:", flush=True)
        load = os.getloadavg()[0]
        who = {one: run for one, run in PARTS[name]().items() if run}
        measured = {"who": all_parts.get(name, {}).get("who", {}) | who, "load": load, "commit": commit, "when": time.strftime("%Y-%m-%d", time.gmtime()),
                    "machine": f"{os.cpu_count()} × {processor()}"}
        all_parts[name] = measured
        print("\n".join(table(measured)), flush=True)
        KEPT.write_text(json.dumps(all_parts, indent=1))
        if name != "small":
            write_report(all_parts)
    if set(names) != {"small"}:
        print("\nwritten to bench/results.md")


if __name__ == "__main__":
    main()
