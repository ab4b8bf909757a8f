"""PostgreSQL as the warehouse of whole runs: the tables that DuckDB gets, and what only a server can do to a run."""
import decimal, json, os, pathlib, shutil, signal, subprocess, tempfile, unittest
from test_contention import held_run
from world import ROOT, Postgres, World

RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")
OWN = {"_run_id", "_load_id", "_fetched_at", "_loaded_at"}  # differ from run to run
PAGE = 1000  # rows that `pawl query` prints


def columns(site, table):
    schema, name = table.split(".")
    return site.rows(f"SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}' AND "
                     f"table_name = '{name}' ORDER BY ordinal_position")


def cell(text, kind):
    """A cell as its value: what is JSON, or not decimal, may be written in more than one way."""
    if text is None:
        return None
    if kind.lower() in ("json", "jsonb"):
        return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    return float(text) if kind.lower().startswith("double") else text


def content(site, table, order, without=()):
    """{column: [cells of all rows, in order]}"""
    kinds = [(name, kind) for name, kind in columns(site, table) if name not in without]
    names = ", ".join(f'"{name}"' for name, _ in kinds)
    rows = []
    while len(rows) % PAGE == 0:
        more = site.rows(f"SELECT {names} FROM {table} ORDER BY {order} LIMIT {PAGE} OFFSET {len(rows)}")
        rows += more
        if not more:
            break
    got = {name: [cell(row[i], kind) for row in rows] for i, (name, kind) in enumerate(kinds)}
    if "_deleted_at" in got:  # the moment of each site's own reading
        got["_deleted_at"] = [moment is not None for moment in got["_deleted_at"]]
    return got


class Equal(unittest.TestCase):
    """Row for row what DuckDB has, after each mode: one simulator, two sites."""

    def twin(self, world):
        site = world.copy("postgres")
        site.warehouse.remove()
        site.warehouse = Postgres()
        job = json.loads(world.job.read_text())
        job["warehouse"] = site.warehouse.options()
        site.job.write_text(json.dumps(job))
        return site

    def assert_same(self, world, site, table, order="_row_key", without=OWN):
        wanted, got = content(world, table, order, without), content(site, table, order, without)
        self.assertEqual(list(got), list(wanted), table)
        self.assertGreater(len(next(iter(wanted.values()))), 0, table)
        for name, cells in wanted.items():
            self.assertEqual(got[name], cells, f"{table}.{name}")

    def both(self, world, site, mode, *words):
        reports = [s.report(s.run(mode, *words)) for s in (world, site)]
        for member in ("inserted", "updated", "unchanged", "deleted"):
            self.assertEqual(reports[0][member], reports[1][member], f"{mode}: {member}")
        for table in ("ctm.calls", "ctm.accounts"):
            self.assert_same(world, site, table)
        return reports[0]

    def test_every_mode_gives_the_tables_that_duckdb_gets(self):
        with World(calls=500) as world:
            site = self.twin(world)
            self.addCleanup(site.warehouse.remove)
            self.both(world, site, "historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            self.assertGreater(self.both(world, site, "incremental")["updated"], 0)
            for account in (1001, 1002):
                world.control("mutate", {"account": account, "start_date": "2026-03-05", "end_date": "2026-03-06",
                                         "every": 5, "limit": 4, "do": "delete"})
            self.assertEqual(self.both(world, site, "rehydration", "--from", "2026-03-04", "--to", "2026-03-09")["deleted"], 8)
            world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-06", "every": 5,
                                     "limit": 4, "do": "restore"})
            self.both(world, site, "rehydration", "--from", "2026-03-04", "--to", "2026-03-09")
            self.assert_same(world, site, "ctm.call_volume_daily", "1, 2", ())
            self.assert_same(world, site, "ctm.agent_performance", "1, 2, 3", ())
            self.assert_same(world, site, "ctm.campaign_attribution", "1, 2, 3 NULLS LAST, 4 NULLS LAST, 5 NULLS LAST", ())
            # To the minute: the sites' requests are moments apart.
            health = "SELECT job, stream, target, partitions, date_trunc('minute', fresh_until), runs_90d, runs_ok_90d, success_percent_90d, " \
                     "last_run_mode, last_run_status FROM pipeline_health ORDER BY stream"
            self.assertEqual(site.rows(health), world.rows(health))
            marks = "SELECT stream, partition_key, date_trunc('minute', watermark) FROM pawl_state WHERE kind = 'watermark' ORDER BY 1, 2"
            self.assertEqual(site.rows(marks), world.rows(marks))

    def test_what_postgres_refuses_is_kept(self):
        """U+0000, in columns and deep in JSON: the same row as in DuckDB, and nothing lost."""
        with World(calls=60) as world:
            site = self.twin(world)
            self.addCleanup(site.warehouse.remove)
            day = {"account": 1001, "start_date": "2026-03-04", "end_date": "2026-03-04", "limit": 1}
            world.control("mutate", {**day, "do": "edit", "set": {"notes": "a\u0000b", "odd": "\u001a", "tag_list": ["\u0000", 1e300]}})
            self.both(world, site, "historic", *RANGE)
            row = site.rows("SELECT _overflow FROM ctm.calls WHERE _overflow ? '$bytes'")
            self.assertEqual(len(row), 1)
            self.assertEqual(json.loads(row[0][0])["$bytes"]["/notes"], "YQBi")


    def test_digits_that_no_double_has_arrive_as_they_were_sent(self):
        """A decimal(38,10), a number that nothing knows, and a change behind the digits that a double has."""
        with World(calls=60) as world:
            contract = json.loads((ROOT / "connectors/ctm/contracts/calls.json").read_text())
            contract["columns"].append({"name": "exact", "type": "decimal", "precision": 38, "scale": 10})
            (world.folder / "exact.json").write_text(json.dumps(contract))
            job = json.loads(world.job.read_text())
            job["streams"]["calls"]["contract"] = str(world.folder / "exact.json")
            world.job.write_text(json.dumps(job))
            site = self.twin(world)
            self.addCleanup(site.warehouse.remove)
            one = {"account": 1001, "start_date": "2026-03-04", "end_date": "2026-03-04", "limit": 1, "do": "edit"}
            seen = "SELECT CAST(exact AS VARCHAR), CAST(_overflow AS VARCHAR) FROM ctm.calls WHERE exact IS NOT NULL"
            for mode, last in (("historic", 7), ("rehydration", 8)):
                world.control("mutate", {**one, "raw": {"exact": f"12345678901234567.890123456{last}", "fine": "0.1234567890123456789"}})
                report = self.both(world, site, mode, *RANGE)
                for place in (world, site):
                    (exact, overflow), = place.rows(seen)
                    self.assertEqual(exact, f"12345678901234567.890123456{last}")
                    self.assertRegex(overflow, r'"fine": ?0\.1234567890123456789\b')
            self.assertEqual(report["updated"], 1)

    def test_rows_that_somebody_changed_come_back_though_their_pages_did_not_change(self):
        """One page of a slice is another one by now, the rest are known: what the warehouse lost of them is made again."""
        days = ("--from", "2026-03-05", "--to", "2026-03-05")
        with World(calls=2400, accounts=1, first="2026-03-05", last="2026-03-06", warehouse="postgres") as world:
            world.run("historic", *days)
            edited = world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-05", "every": 1,
                                              "limit": 3, "do": "edit", "set": {"notes": "late"}})["ids"]
            others = [row[0] for row in world.rows(f"SELECT id FROM ctm.calls WHERE id NOT IN ({str(edited)[1:-1]}) ORDER BY id")]
            lost, gone, other = others[::40], others[1::40], others[2::40]
            world.warehouse.cluster.sql(
                f"DELETE FROM ctm.calls WHERE id IN ({', '.join(lost)});"
                f"UPDATE ctm.calls SET _deleted_at = now() WHERE id IN ({', '.join(gone)});"
                f"UPDATE ctm.calls SET notes = 'other', _row_hash = gen_random_uuid() WHERE id IN ({', '.join(other)})",
                database=world.warehouse.database)
            for known, inserted, updated in ((True, len(lost), len(edited) + len(gone) + len(other)), (True, 0, 0)):
                done = world.run("rehydration", *days)
                report = world.report(done)
                self.assertEqual((report["inserted"], report["updated"], report["deleted"]), (inserted, updated, 0))
                read = [e for e in map(json.loads, done.stderr.splitlines()) if e["event"] == "slice_read" and e["stream"] == "calls"]
                self.assertEqual(any(e.get("pages_known", 0) > 0 for e in read), known)
            whole = world.digest()
            world.forget_pawl()
            world.run("historic", *days)
            self.assertEqual(world.digest(), whole)


class Server(unittest.TestCase):
    """Two runs at once, servers that go away, people at the console."""

    def world(self, **more):
        return World(**{"calls": 300, "warehouse": "postgres", **more})

    def test_modes_of_one_job_load_the_same_table_beside_each_other(self):
        with self.world() as world:
            calm = world.copy("calm")
            calm.run("historic", *RANGE)
            # One stands still with its transaction open, holding the table's lock; the other waits for it, in vain.
            job = json.loads(world.job.read_text())
            job["warehouse"]["lock_wait"] = "PT0.5S"
            world.job.write_text(json.dumps(job))
            with held_run(world, "historic", *RANGE, point="commit, calls load 0"):
                done = world.run("rehydration", *RANGE, check=False)
                self.assertEqual(done.returncode, 7, done.stderr[-500:])
                self.assertIn("who else writes ctm.calls", done.stderr.splitlines()[-1])
            world.run("rehydration", *RANGE)
            self.assertEqual(world.digest(), calm.digest())

    def test_ctrl_c_ends_a_run_that_waits_for_a_lock(self):
        with self.world() as world:
            world.run("historic", "--from", "2026-03-04", "--to", "2026-03-04")
            with held_run(world, "historic", "--from", "2026-03-05", "--to", "2026-03-05", point="commit, calls load 0"):
                world.runs += 1
                command, env = world.command("run", str(world.job), "--mode", "rehydration", "--json", *RANGE)
                with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
                    busy = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
                    while world.warehouse.cluster.sql(busy, world.warehouse.database) == "0" and waiting.poll() is None:
                        pass
                    waiting.send_signal(signal.SIGINT)
                    waiting.communicate(timeout=8)  # lock_wait is longer
                    self.assertEqual(waiting.returncode, 10)
                self.assertEqual(world.warehouse.cluster.sql(busy, world.warehouse.database), "0")

    def test_a_connection_cut_in_a_load_fails_the_run_and_the_next_one_goes_on(self):
        with self.world() as world:
            calm = world.copy("calm")
            calm.run("historic", *RANGE)
            command, env = world.command("run", str(world.job), "--mode", "historic", "--json", *RANGE,
                                         env={"PAWL_TEST_KILL_AT": "stop:written, calls load 0"})
            with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                os.waitpid(process.pid, os.WUNTRACED)
                world.warehouse.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                                            "'pawl' AND datname = current_database()", world.warehouse.database)
                process.send_signal(signal.SIGCONT)
                err = process.communicate(timeout=60)[1]
                self.assertEqual(process.returncode, 8, err[-500:])
            self.assertEqual(world.value("SELECT count(*) FROM pawl_load WHERE stream = 'calls'"), "0")
            world.run("historic", *RANGE)
            self.assertEqual(world.digest(), calm.digest())

    def test_before_any_run_there_is_nothing_to_read_and_nothing_is_made(self):
        with self.world(calls=60) as world:
            plan = world.pawl("plan", str(world.job), "--mode", "historic")
            self.assertIn("calls", plan.stdout)
            self.assertIn("no watermark yet", world.pawl("state", "show", str(world.job)).stdout)
            self.assertIn("pawl run", world.pawl("status", str(world.job)).stdout)
            self.assertEqual(world.value("SELECT count(*) FROM pg_namespace WHERE nspname IN ('pawl', 'ctm')"), "0")

    def test_check_names_each_missing_right_and_its_grants_are_enough(self):
        with self.world(calls=60) as world:
            cluster, database = world.warehouse.cluster, world.warehouse.database
            world.run("historic", *RANGE)
            cluster.sql("CREATE ROLE loader LOGIN")
            try:
                job = json.loads(world.job.read_text())
                job["warehouse"]["user"] = "loader"
                world.job.write_text(json.dumps(job))
                done = world.pawl("check", str(world.job), "--offline", "--json", check=False)
                self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
                lacking = [text for text in json.loads(done.stdout)["checks"] if "role loader lacks" in text["text"]]
                self.assertIn("role loader lacks INSERT on table ctm.calls: GRANT INSERT ON ctm.calls TO loader",
                              [text["text"] for text in lacking])
                for text in lacking:
                    cluster.sql(text["text"].split(": ", 1)[1], database)
                world.pawl("check", str(world.job), "--offline")
                world.run("rehydration", *RANGE)
            finally:
                cluster.sql("DROP OWNED BY loader", database)
                cluster.sql("DROP ROLE loader")

    def test_status_state_and_query(self):
        with self.world() as world:
            world.run("incremental")
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual([stream["stream"] for stream in status["streams"]], ["accounts", "calls"])
            self.assertEqual(status["runs"][0]["status"], "ok")
            self.assertIsNotNone(status["streams"][1]["fresh_until"])
            done = world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--account", "1001", "--to",
                              "2026-03-05T00:00:00Z")
            self.assertIn("1 watermarks moved back", done.stdout)
            self.assertEqual(world.value("SELECT watermark FROM pawl_state WHERE stream = 'calls' AND partition_key LIKE '%1001%'"),
                             "2026-03-05 00:00:00+00")
            self.assertEqual(world.rows("SELECT true, NULL, 1.50"), [["true", None, "1.50"]])
            refused = world.pawl("query", str(world.job), "DELETE FROM ctm.calls", check=False)
            self.assertNotEqual(refused.returncode, 0)
            report = world.report(world.run("incremental"))
            self.assertEqual((report["inserted"], report["updated"]), (0, 0))

    def test_the_password_is_told_to_the_server_alone(self):
        canary = "canary-0815-4711"
        with self.world(calls=60) as world:
            cluster = world.warehouse.cluster
            cluster.sql("DROP ROLE IF EXISTS guarded")
            cluster.sql(f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{canary}'")
            job = json.loads(world.job.read_text())
            job["warehouse"] |= {"user": "guarded", "password": "${env:PG_SECRET}"}
            world.job.write_text(json.dumps(job))
            said = ""
            for secret, status in ((canary, 0), (canary + "-not", 4)):
                done = world.run("historic", *RANGE, env={"PG_SECRET": secret}, check=False)
                self.assertEqual(done.returncode, status, done.stderr[-500:])
                said += done.stdout + done.stderr
                done = world.pawl("check", str(world.job), "--show", env={"PG_SECRET": secret}, check=False)
                said += done.stdout + done.stderr
            self.assertIn("password authentication failed", said)
            self.assertNotIn(canary, said)
            for path in world.folder.rglob("*"):
                if path.is_file() and not path.name.startswith("sim"):
                    self.assertNotIn(canary.encode(), path.read_bytes(), path)

    def test_replay_fills_a_lost_database(self):
        with self.world() as world:
            world.run("historic", *RANGE)
            wanted = world.digest()
            world.warehouse.forget()
            world.pawl("replay", str(world.job), "--from", "2026-03-04", "--to", "2026-03-06")
            self.assertEqual(world.digest(), wanted)

    def test_a_forgotten_person_leaves_tables_and_quarantine_and_stays_away(self):
        with self.world() as world:
            insert = lambda **fields: world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {
                "notes": "canary", **fields}})["ids"][0]
            insert(caller_number="(500) 555-0199", caller_number_complete="+15005550199")
            insert(caller_number="no number", caller_number_complete=None, contact_number="+15005550100",
                   alternative_number="+15005550199")
            broken = insert(caller_number="+15005550199")
            world.control("mutate", {"account": 1001, "id": broken, "do": "edit", "raw": {"id": "null"}})
            world.run("historic", *RANGE)
            left = lambda: [world.value(f"SELECT count(*) FROM ctm.{table} t WHERE to_jsonb(t)::text ~ '5550199|555-0199|canary'")
                            for table in ("calls", "calls__quarantine")]
            rows = int(world.value("SELECT count(*) FROM ctm.calls"))
            self.assertEqual(left(), ["2", "1"])
            receipt = json.loads(world.pawl("forget", str(world.job), "--phone", "+15005550199", "--json").stdout.splitlines()[-1])
            self.assertEqual([(t["table"], t["rows"], t["quarantined"]) for t in receipt["tables"] if t["rows"]], [("ctm.calls", 2, 1)])
            waits = " ".join(wait["what"] for wait in receipt["waits"] if wait["where"] == "warehouse")
            for word in ("VACUUM", "WAL", "backups"):
                self.assertIn(word, waits)
            self.assertEqual(left(), ["0", "0"])
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), rows - 2)
            self.assertEqual(world.report(world.run("rehydration", *RANGE))["forgotten"], 3)
            self.assertEqual(left(), ["0", "0"])

    def test_an_id_that_json_and_like_write_in_their_own_ways_is_erased(self):
        odd = 'CORP\\canary "x" 100%_\u00fc'
        with self.world(calls=60) as world:
            for sid in (odd, odd.replace("x", "y"), "CORPcanary"):
                world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {"visitor_sid": sid}})
            world.run("historic", *RANGE)
            left = lambda: [sid for (sid,) in world.rows("SELECT _overflow ->> 'visitor_sid' FROM ctm.calls WHERE _overflow ->> 'visitor_sid'"
                                                         " LIKE 'CORP%' ORDER BY 1")]
            self.assertEqual(len(left()), 3)
            shutil.rmtree(world.folder / "lake/ctm/runs")  # rows are found by what stands in them
            receipt = json.loads(world.pawl("forget", str(world.job), "--id", odd, "--json").stdout.splitlines()[-1])
            self.assertEqual([(t["table"], t["rows"]) for t in receipt["tables"] if t["rows"]], [("ctm.calls", 1)])
            self.assertEqual(sorted(left()), sorted([odd.replace("x", "y"), "CORPcanary"]))
            self.assertEqual(world.report(world.run("rehydration", *RANGE))["forgotten"], 1)
            self.assertEqual(len(left()), 2)

    def test_a_redacted_call_has_a_receipt_that_tells_of_dead_rows(self):
        with self.world() as world:
            call = world.control("mutate", {"account": 1001, "do": "insert", "unix_time": 1772726400, "set": {
                "notes": "canary"}})["ids"][0]
            world.run("historic", *RANGE)
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"redacted": True, "notes": None}})
            world.run("rehydration", *RANGE)
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls t WHERE to_jsonb(t)::text ~ 'canary'"), "0")
            receipt = world.redaction_receipt()
            self.assertEqual((receipt["landing"]["records"], receipt["warehouse_rewritten"]), (1, False))
            waits = " ".join(wait["what"] for wait in receipt["waits"] if wait["where"] == "warehouse")
            for word in ("VACUUM", "WAL", "backups"):
                self.assertIn(word, waits)

    def test_promoting_a_path_fills_the_past_and_changes_no_hash(self):
        with self.world() as world:
            contracts = world.folder / "contracts"
            shutil.copytree(ROOT / "connectors/ctm/contracts", contracts)
            job = json.loads(world.job.read_text())
            for name, stream in job["streams"].items():
                stream["contract"] = f"./contracts/{name}.json"
            world.job.write_text(json.dumps(job))
            world.run("historic", *RANGE)
            kept = world.rows("SELECT _row_key, _overflow ->> 'cnam' FROM ctm.calls WHERE _overflow ->> 'cnam' IS NOT NULL "
                              "ORDER BY 1")
            hashes = world.rows("SELECT _row_key, _row_hash FROM ctm.calls ORDER BY 1")
            self.assertGreater(len(kept), 0)
            done = world.pawl("contract", "promote", str(contracts / "calls.json"), "/cnam", "--job", str(world.job), "--json")
            self.assertEqual(json.loads(done.stdout), {"column": "cnam", "tables": 1, "rows": len(kept)})
            self.assertEqual(world.rows("SELECT _row_key, cnam FROM ctm.calls WHERE cnam IS NOT NULL ORDER BY 1"), kept)
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls WHERE _overflow ? 'cnam'"), "0")
            self.assertEqual(world.rows("SELECT _row_key, _row_hash FROM ctm.calls ORDER BY 1"), hashes)


class Restart(unittest.TestCase):
    """A server that goes away and comes back, in the middle of a run; and one that only reads, and takes over."""

    def test_a_server_that_restarts_in_a_load_fails_the_run_and_between_two_it_is_waited_for(self):
        with World(calls=300, warehouse="postgres") as world:
            calm = world.copy("calm")
            calm.run("historic", *RANGE)
            cluster = world.warehouse.cluster
            for point, how, status in (("written, calls load 0", "immediate", 8), ("committed, calls load 0", "fast", 0)):
                with held_run(world, "historic", *RANGE, point=point) as process:
                    cluster.control("-m", how, "stop")
                    process.send_signal(signal.SIGCONT)
                    cluster.control("start")
                    err = process.communicate(timeout=60)[1]
                    self.assertEqual(process.returncode, status, f"{point}: {err[-500:]}")
            self.assertEqual(world.digest(), calm.digest())
            self.assertEqual(world.rows("SELECT status FROM etl_log WHERE stage = 'run' ORDER BY status"), [["failed"], ["ok"]])

    def test_a_standby_is_told_and_one_that_takes_over_is_waited_for(self):
        with World(calls=60, warehouse="postgres") as world:
            cluster = world.warehouse.cluster
            job = json.loads(world.job.read_text())
            wait = lambda text: world.job.write_text(json.dumps(job | {"warehouse": job["warehouse"] | {"lock_wait": text}}))
            world.run("historic", *RANGE)
            rows = world.value("SELECT count(*) FROM ctm.calls")
            (cluster.folder / "data/standby.signal").touch()
            cluster.control("-m", "fast", "restart")
            wait("PT0.5S")
            done = world.run("incremental", check=False)
            self.assertEqual(done.returncode, 7, done.stderr[-500:])
            self.assertIn("the server is a standby", done.stderr.splitlines()[-1])
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls"), rows)  # to read, a standby will do
            wait("PT1M")
            command, env = world.command("run", str(world.job), "--mode", "incremental", "--json")
            with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
                cluster.control("promote")
                err = process.communicate(timeout=60)[1]
                self.assertEqual(process.returncode, 0, err[-500:])


class Pooler(unittest.TestCase):
    """PgBouncer in transaction mode: each transaction may meet another session, and settings of a session are nobody's."""

    def start(self, cluster, database):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-bouncer-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder, True)
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{database} = host={cluster.folder} port={cluster.port} user=owner dbname={database}\n[pgbouncer]\n"
            f"listen_addr =\nlisten_port = {cluster.port}\nunix_socket_dir = {folder}\nauth_type = any\n"
            f"admin_users = owner\npool_mode = transaction\ndefault_pool_size = 3\nserver_reset_query =\nserver_round_robin = 1\n"
            f"logfile = {folder}/log\n")
        command = ["pgbouncer", str(folder / "pgbouncer.ini")]
        if os.getuid() == 0:  # it refuses to run as root, as the server does
            subprocess.run(["chown", "-R", "postgres", folder], check=True)
            folder.chmod(0o755)
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        bouncer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (bouncer.kill(), bouncer.wait()))
        while not (folder / f".s.PGSQL.{cluster.port}").exists():
            self.assertIsNone(bouncer.poll(), (folder / "log").read_text() if (folder / "log").exists() else "")
        return folder

    def test_every_mode_and_a_writer_beside_it_behind_pgbouncer(self):
        with World(calls=300, warehouse="postgres") as world:
            calm = world.copy("calm")
            folder = self.start(world.warehouse.cluster, world.warehouse.database)
            job = json.loads(world.job.read_text())
            job["warehouse"]["host"] = str(folder)
            world.job.write_text(json.dumps(job))
            for site in (calm, world):
                site.run("historic", "--to", "2026-03-06")
            with held_run(world, "historic", "--from", "2026-03-07", "--to", "2026-03-08", point="commit, calls load 0"):
                world.pawl("status", str(world.job))  # another session, while one is in the middle of a transaction
            calm.run("historic", "--from", "2026-03-07", "--to", "2026-03-08")
            for mode in ("incremental", "rehydration"):
                for site in (calm, world):
                    site.run(mode)
            self.assertEqual(world.digest(), calm.digest())
            self.assertEqual(world.rows("SELECT now() IS NOT NULL, current_setting('TimeZone')"), [["true", "UTC"]])
            # What is no load: an audit with its repair, a path that becomes a column, a person who is erased, marks by hand.
            contracts = world.folder / "contracts"
            shutil.copytree(ROOT / "connectors/ctm/contracts", contracts)
            job = json.loads(world.job.read_text())
            job["streams"]["calls"]["contract"] = "./contracts/calls.json"
            world.job.write_text(json.dumps(job))
            sql = lambda text: world.warehouse.cluster.sql(text, world.warehouse.database)
            sql("DELETE FROM ctm.calls WHERE id = (SELECT min(id) FROM ctm.calls WHERE called_at > '2026-03-05')")
            days = ("--from", "2026-03-04", "--to", "2026-03-06")
            world.runs += 1
            self.assertEqual(world.pawl("audit", str(world.job), "--table", "ctm.calls", *days, check=False).returncode, 3)
            world.runs += 1
            world.pawl("audit", str(world.job), "--table", "ctm.calls", *days, "--repair")
            self.assertEqual(world.digest(), calm.digest())
            told = json.loads(world.pawl("contract", "promote", str(contracts / "calls.json"), "/cnam", "--job", str(world.job), "--json").stdout)
            self.assertGreater(told["rows"], 0)
            number = sql("SELECT caller_number FROM ctm.calls WHERE caller_number LIKE '+1%' LIMIT 1")
            world.pawl("forget", str(world.job), "--phone", number)
            self.assertEqual(sql(f"SELECT count(*) FROM ctm.calls WHERE caller_number = '{number}'"), "0")
            world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--account", "1001", "--to", "2026-03-05T00:00:00Z")
            world.run("incremental")

    def test_a_pooler_that_loses_the_server_fails_the_run_and_the_next_one_goes_on(self):
        """PgBouncer calls whatever it cannot do a protocol violation: that is no fault of the data."""
        with World(calls=300, warehouse="postgres") as world:
            calm = world.copy("calm")
            calm.run("historic", *RANGE)
            cluster = world.warehouse.cluster
            folder = self.start(cluster, world.warehouse.database)
            job = json.loads(world.job.read_text())
            job["warehouse"]["host"] = str(folder)
            world.job.write_text(json.dumps(job))
            admin = lambda text: subprocess.run(["psql", "-h", folder, "-p", str(cluster.port), "-U", "owner", "-Xq", "pgbouncer", "-c", text],
                                                check=True, capture_output=True)
            for point, status in (("written, calls load 0", 8), ("committed, calls load 0", 0)):
                with held_run(world, "historic", *RANGE, point=point) as process:
                    admin(f"KILL {world.warehouse.database}")
                    admin(f"RESUME {world.warehouse.database}")
                    process.send_signal(signal.SIGCONT)
                    err = process.communicate(timeout=60)[1]
                    self.assertEqual(process.returncode, status, f"{point}: {err[-500:]}")
            self.assertEqual(world.digest(), calm.digest())


if __name__ == "__main__":
    unittest.main()
