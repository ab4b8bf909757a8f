"""Every command as a user meets it: what it prints, how it ends, that --json is JSON."""
import contextlib, json, os, pathlib, re, shutil, signal, stat, subprocess, time, unittest
from world import ROOT, World, select_wait


class Views(unittest.TestCase):
    def test_reports_stand_after_a_run_and_leave_deleted_rows_out(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            kept = "SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NULL AND direction IN ('inbound', 'outbound')"
            self.assertEqual(world.value("SELECT sum(calls) FROM ctm.call_volume_daily"), world.value(kept))
            # A day belongs to the account: midnight in Los Angeles is not midnight in UTC.
            days = world.value("SELECT count(DISTINCT day) FROM ctm.call_volume_daily")
            self.assertEqual(days, "9")
            self.assertGreater(int(world.value("SELECT count(*) FROM ctm.agent_performance")), 0)
            self.assertGreater(int(world.value("SELECT count(*) FROM ctm.campaign_attribution")), 0)

    def test_a_view_whose_tables_are_not_loaded_is_left_out(self):
        with World(streams=["accounts"]) as world:
            world.run("historic", "--to", "2026-03-02")
            found = world.value("SELECT count(*) FROM duckdb_views() WHERE view_name = 'call_volume_daily'")
            self.assertEqual(found, "0")


class Log(unittest.TestCase):
    def test_rows_that_waited_in_the_landing_store_come_with_the_next_run(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-02")
            waiting = world.folder / "lake/ctm/etl_log"
            waiting.mkdir(parents=True)
            row = {"run": "0190", "job": "ctm", "mode": "historic", "stage": "read", "status": "failed",
                   "error": "{\"code\":\"IO\"}", "rows_in": 7, "slice": 3, "started_us": 1773252000000000}
            (waiting / "1-0190.json").write_text(json.dumps({"version": 1, "rows": [row]}))
            world.run("incremental")
            self.assertEqual(world.rows("SELECT stage, status, rows_in, slice_ordinal, bytes FROM etl_log "
                                        "WHERE run_id = '0190'"), [["read", "failed", "7", "3", None]])
            self.assertEqual(list(waiting.iterdir()), [])

    def test_pages_older_than_the_retention_go_and_that_is_on_record(self):
        with World(job={"landing": {"retention": "P1D"}}) as world:
            world.run("historic", "--to", "2026-03-05")
            lake = world.folder / "lake/ctm/runs"
            first = {path.name for path in lake.iterdir()}
            # What the store goes by is when files were written, and the world's clock is not the disk's.
            for path in lake.rglob("*"):
                os.utime(path, (1773252000, 1773252000))
            world.advance("2026-03-14T18:00:00Z")
            world.run("incremental")
            pages = [path for path in lake.rglob("*.json.*") if path.relative_to(lake).parts[0] in first]
            self.assertEqual([path for path in pages if path.suffix in (".zst", ".gz")], [])
            self.assertEqual(world.value("SELECT count(*) FROM etl_log WHERE stage = 'expire' AND status = 'ok'"), "1")


class Status(unittest.TestCase):
    def test_before_any_run_it_says_so_and_makes_nothing(self):
        with World() as world:
            done = world.pawl("status", str(world.job))
            self.assertIn("no run has come so far", done.stdout)
            self.assertIn("next: pawl run", done.stdout)
            self.assertFalse((world.folder / "ctm.duckdb").exists())

    def test_it_tells_freshness_runs_and_marks(self):
        with World() as world:
            world.run("historic")
            world.advance("2026-03-11T18:10:00Z")
            world.run("incremental")
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual(status["warehouse"], "ok")
            calls = next(stream for stream in status["streams"] if stream["stream"] == "calls")
            self.assertEqual([mark["partition"] for mark in calls["watermarks"]], ["1001", "1002"])
            self.assertLess(calls["lag_seconds"], 60)
            self.assertEqual([run["mode"] for run in status["runs"]], ["incremental", "historic"])
            self.assertEqual((status["runs_90d"], status["runs_ok_90d"]), (2, 2))
            self.assertEqual((status["failures"], status["unfinished"]), ([], []))
            self.assertEqual(status["last_event"]["event"], "run_ended")
            self.assertIn("next: pawl run", world.pawl("status", str(world.job)).stdout)

    def test_a_partition_that_failed_is_open_until_it_was_read(self):
        with World() as world:
            world.run("historic")
            world.advance("2026-03-11T18:10:00Z")
            world.control("forbid", {"account": 1001})
            world.run("incremental", check=False)
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual([(f["stream"], f["partition"]) for f in status["failures"]],
                             [("calls", '{"account_id":1001,"parent_slice":{}}')])
            self.assertIn("open failure: calls", world.pawl("status", str(world.job)).stdout)
            world.advance("2026-03-11T18:20:00Z")
            world.control("forbid", {"account": 1001, "from": None})
            world.run("incremental")
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual(status["failures"], [])

    def test_an_unfinished_run_shows_although_the_warehouse_is_held(self):
        with World() as world:
            world.run("historic", env={"PAWL_TEST_KILL_AT": "run noted, historic"}, check=False)
            (world.folder / "ctm.duckdb").unlink(missing_ok=True)
            status = json.loads(world.pawl("status", str(world.job), "--json").stdout)
            self.assertEqual([run["mode"] for run in status["unfinished"]], ["historic"])

    def test_what_cannot_be_read_is_left_out_and_the_exit_status_says_why(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-04")
            world.run("rehydration", "--from", "2026-03-04", "--to", "2026-03-04", check=False,
                      env={"PAWL_TEST_KILL_AT": "run end, rehydration"})
            file = world.folder / "ctm.duckdb"
            whole = file.read_bytes()
            damaged = whole[:4096] + bytes(len(whole) - 4096)
            for bytes_now, status in ((damaged, 3), (b"no database", 3), (whole, 0)):
                file.write_bytes(bytes_now)
                for words in ((), ("--json",)):
                    done = world.pawl("status", str(world.job), *words, check=False)
                    self.assertEqual(done.returncode, status, done.stderr)
                    self.assertIn("rehydration", done.stdout)
                    self.assertEqual("the warehouse could not be read" in done.stderr, status != 0)
                self.assertEqual(json.loads(done.stdout)["warehouse"] == "ok", status == 0)
            # A note that is damaged hides its own run only.
            run = sorted((world.folder / "lake/ctm/runs").iterdir())[-1]
            kept = (run / "run.json").read_bytes()
            (run / "run.json").write_bytes(kept[:-9])
            done = world.pawl("status", str(world.job), "--json", check=False)
            self.assertEqual((done.returncode, json.loads(done.stdout)["unfinished"]), (3, []))
            self.assertIn("the landing store could not be read", done.stderr)
            self.assertIn("restore it, or move the run's folder away", done.stderr)
            self.assertEqual([run["mode"] for run in json.loads(done.stdout)["runs"]], ["historic"])


class State(unittest.TestCase):
    def marks(self, world, *words):
        marks = json.loads(world.pawl("state", "show", str(world.job), "--json", *words).stdout)["watermarks"]
        return {(mark["stream"], mark["partition"]): mark["watermark"] for mark in marks}

    def test_rewind_moves_one_partition_back_and_the_next_run_reads_from_there(self):
        with World() as world:
            world.run("incremental")
            before = self.marks(world)
            done = world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--account", "1001", "--to",
                              "2026-03-05T00:00:00Z")
            self.assertIn("-> 2026-03-05T00:00:00Z", done.stdout)
            self.assertIn("1 watermarks moved back", done.stdout)
            after = self.marks(world)
            self.assertEqual(after.pop(("calls", "1001")), "2026-03-05T00:00:00Z")
            before.pop(("calls", "1001"))
            self.assertEqual(after, before)
            self.assertEqual(world.rows("SELECT stage, stream, json_extract_string(error, '$.watermark_after') "
                                        "FROM etl_log WHERE stage = 'rewind'"),
                             [["rewind", "calls", "2026-03-05T00:00:00Z"]])
            report = world.report(world.run("incremental"))
            self.assertEqual((report["inserted"], report["updated"]), (0, 0))
            self.assertGreaterEqual(report["unchanged"], 200)

    def test_what_is_rewound_stays_so_whatever_else_was_begun(self):
        with World(calls=300, job={"limits": {"requests_per_second": 0, "connections": 4, "load_rows": 40}}) as world:
            world.run("historic", "--to", "2026-03-04")
            world.run("incremental", check=False, env={"PAWL_TEST_KILL_AT": "committed, calls load 1"})
            words = ("state", "rewind", str(world.job), "--to", "2026-03-03T00:00:00Z", "--stream")
            # A mark that stays gives no run up.
            self.assertIn("0 watermarks moved back", world.pawl(*words[:4], "2026-04-01", "--stream", "calls").stdout)
            done = world.pawl(*words, "calls")
            self.assertRegex(done.stdout, r"^the unfinished incremental run \S+ \(planned without options\) is given up")
            marks = self.marks(world)
            self.assertEqual({marks["calls", "1001"], marks["calls", "1002"]}, {"2026-03-03T00:00:00Z"})
            world.control("stats", method="DELETE")
            self.assertFalse(world.report(world.run("incremental"))["resumed"])
            self.assertTrue(any("start_date=2026-03-02" in entry["request"] for entry in world.log()))
            # Of another stream: it moves none of these.
            world.run("incremental", "--stream", "accounts", check=False, env={"PAWL_TEST_KILL_AT": "run noted, incremental"})
            self.assertNotIn("given up", world.pawl(*words, "calls").stdout)
            # The runs that had moved them are replayed: that is nothing new.
            marks = self.marks(world)
            world.pawl("replay", str(world.job))
            self.assertEqual(self.marks(world), marks)
            self.assertTrue(world.report(world.run("incremental"))["resumed"])
            world.run("incremental", "--from", "2026-03-01", check=False, env={"PAWL_TEST_KILL_AT": "run noted, incremental"})
            said = json.loads(world.pawl(*words, "accounts", "--json").stdout)
            self.assertEqual(said["given_up"], sorted((world.folder / "lake/ctm/runs").iterdir())[-1].name)
            self.assertFalse(world.report(world.run("incremental"))["resumed"])

    def test_a_mark_does_not_move_forward_by_hand(self):
        with World() as world:
            world.run("historic")
            before = self.marks(world)
            done = world.pawl("state", "rewind", str(world.job), "--stream", "calls", "--to", "2026-04-01")
            self.assertIn("stays at", done.stdout)
            self.assertEqual(self.marks(world), before)

    def test_bad_words_end_with_the_status_of_the_table(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-02")
            for words, status, text in (
                    (("--stream", "cals", "--to", "2026-03-01"), 2, "did you mean 'calls'"),
                    (("--stream", "calls", "--to", "soon"), 2, "neither a day"),
                    (("--stream", "calls", "--to", "0000-01-01"), 2, "neither a day"),
                    (("--stream", "calls", "--to", "0001-01-01"), 2, "2026-03-01 is the earliest day (modes.historic.from"),
                    (("--stream", "calls", "--to", "2026-02-28T23:59:59Z"), 2, "2026-03-01 is the earliest day"),
                    (("--stream", "calls", "--account", "77", "--to", "2026-03-01"), 5, "no such watermark"),
                    (("--to", "2026-03-01"), 2, "needs --stream")):
                done = world.pawl("state", "rewind", str(world.job), *words, check=False)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(text, done.stderr)


class Events(unittest.TestCase):
    def test_a_run_keeps_its_events_without_secrets(self):
        with World() as world:
            run = world.report(world.run("historic", "--to", "2026-03-02"))["run"]
            path = world.folder / ".pawl" / f"events-{run}.jsonl"
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            events = [json.loads(line) for line in path.read_text().splitlines()]
            self.assertEqual(events[-1]["event"], "run_ended")
            self.assertIn("load_committed", [event["event"] for event in events])
            self.assertNotIn("sim-client-secret", path.read_text())

    def test_the_state_folder_may_be_elsewhere(self):
        with World() as world:
            folder = world.folder / "elsewhere" / "state"
            world.run("historic", "--to", "2026-03-02", "--state", str(folder))
            self.assertEqual(len(list(folder.glob("events-*.jsonl"))), 1)
            self.assertFalse((world.folder / ".pawl").exists())


class Replay(unittest.TestCase):
    def everything(self, world):
        """What a replay has to bring back: the rows of both tables, how many are marked deleted, and the watermarks."""
        return (world.digest(), world.digest("ctm.accounts"), world.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NOT NULL"),
                world.pawl("state", "show", str(world.job), "--json").stdout)

    def test_a_lost_warehouse_comes_back_from_the_landed_pages(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            world.run("incremental")
            world.advance("2026-03-14T18:00:00Z")
            world.run("rehydration")
            wanted = self.everything(world)
            self.assertGreater(int(wanted[2]), 0)
            world.warehouse.forget()
            world.control("stats", method="DELETE")
            done = world.pawl("replay", str(world.job), "--json")
            self.assertEqual(json.loads(done.stdout)["runs"], 3)
            self.assertEqual(self.everything(world), wanted)
            self.assertEqual(world.control("stats")["requests"], 0)

    def pass_over_404(self, world):
        """A manifest that passes over a 404, and calls of which no total is told."""
        job = json.loads(world.job.read_text())
        manifest, contract = world.folder / "manifest.yaml", json.loads(pathlib.Path(job["streams"]["calls"]["contract"]).read_text())
        manifest.write_text(pathlib.Path(job["connector"]).read_text().replace(
            "http_codes: [400, 401, 403, 404, 405, 422]\n        action: FAIL", "http_codes: [404]\n        action: IGNORE"))
        del contract["total_pointer"]
        (world.folder / "calls.json").write_text(json.dumps(contract))
        job.update(connector=str(manifest))
        job["streams"]["calls"]["contract"] = "calls.json"
        world.job.write_text(json.dumps(job))

    def test_an_answer_that_was_passed_over_is_not_missed(self):
        # The last page of one slice, the only one of another: nothing of them was landed, and nothing lacks.
        with World(calls=400, accounts=1, job={"config": {"per_page": 10}}) as world:
            self.pass_over_404(world)
            world.control("faults", [{"match": {"path": "/accounts/1001/calls", "start_date": "2026-03-03", "page": 2}, "times": 0, "do": 404},
                                     {"match": {"path": "/accounts/1001/calls", "start_date": "2026-03-04"}, "times": 0, "do": 404}], method="PUT")
            world.run("historic", "--to", "2026-03-06")
            self.assertTrue(all(fault["done"] > 0 for fault in world.control("faults")))
            wanted = self.everything(world)
            days = world.rows("SELECT CAST(called_at AT TIME ZONE 'America/New_York' AS DATE), count(*) FROM ctm.calls GROUP BY 1")
            self.assertEqual([dict(days).get(day) for day in ("2026-03-03", "2026-03-04")], ["10", None])
            world.warehouse.forget()
            world.control("stats", method="DELETE")
            report = json.loads(world.pawl("replay", str(world.job), "--json").stdout)
            self.assertEqual((report["slices_failed"], report["slices_missing"]), (0, 0))
            self.assertEqual(self.everything(world), wanted)
            self.assertEqual(world.control("stats")["requests"], 0)
            # What was landed and is not there any more is missed as ever.
            page = next((world.folder / "lake").glob("ctm/runs/*/calls/*/*/000001.json*"))
            page.unlink()
            world.warehouse.forget()
            done = world.pawl("replay", str(world.job), "--json", check=False)
            self.assertEqual((done.returncode, json.loads(done.stdout)["slices_failed"]), (3, 1))
            self.assertIn("page 2 is not landed, or not any more", done.stderr)

    def test_an_answer_that_was_passed_over_deletes_nothing_and_has_its_time(self):
        mark = "SELECT watermark BETWEEN '2026-03-11 17:59:00Z' AND '2026-03-11 18:30:00Z' FROM pawl_state WHERE stream = 'calls' AND kind = 'watermark'"
        calls = {"path": "/accounts/1001/calls"}
        with World(calls=150, accounts=1, job={"config": {"per_page": 10}}) as world:
            self.pass_over_404(world)
            world.run("historic", "--to", "2026-03-09")
            world.control("faults", [{"match": {**calls, "start_date": "2026-03-03", "page": 2}, "times": 0, "do": 404},
                                     {"match": {**calls, "start_date": "2026-03-04"}, "times": 0, "do": 404}], method="PUT")
            report = world.report(world.run("rehydration", "--from", "2026-03-03", "--to", "2026-03-04"))
            self.assertTrue(all(fault["done"] > 0 for fault in world.control("faults")))
            self.assertEqual((report["deleted"], report["deletes_held_back"], report["deletes_unconfirmed"]), (0, 0, 0))
        with World(calls=150, accounts=1) as world:
            self.pass_over_404(world)
            world.control("faults", [{"match": calls, "times": 0, "do": 404}], method="PUT")
            world.run("incremental")
            self.assertEqual(world.rows(mark), [["true"]])
            world.warehouse.forget()
            world.clock = "2026-03-12T18:00:00Z"
            world.pawl("replay", str(world.job))
            self.assertEqual(world.rows(mark), [["true"]])
            world.control("faults", [], method="PUT")
            world.run("incremental")

    def lose_notes(self, world, which="*/loads/*.json"):
        """The landing store without notes of loads, as a restored copy may be, and no warehouse."""
        for path in (world.folder / "lake/ctm/runs").glob("*/" + which):
            path.unlink()
        world.warehouse.forget()

    def test_what_was_landed_whole_is_loaded_although_its_notes_of_loads_are_gone(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-12T18:00:00Z")
            world.control("forbid", {"account": 1001})
            world.run("incremental", check=False)  # partial
            world.control("forbid", {"account": 1001, "from": None})
            world.run("incremental")
            world.advance("2026-03-14T18:00:00Z")
            world.run("rehydration")
            wanted = self.everything(world)
            self.assertGreater(int(wanted[2]), 0)
            self.lose_notes(world)
            done = world.pawl("replay", str(world.job), "--json")
            report = json.loads(done.stdout)
            self.assertEqual((report["runs"], report["slices_failed"], report["slices_missing"]), (4, 0, 0))
            self.assertEqual(report["slices_without_note"], report["slices"])
            self.assertIn('"event":"notes_missing"', done.stderr)
            self.assertEqual(self.everything(world), wanted)

    def test_a_run_that_never_came_to_its_end_is_loaded_without_its_notes(self):
        with World() as world:
            world.control("forbid", {"account": 1002})
            self.assertEqual(world.run("historic", check=False).returncode, 4)
            wanted = world.digest()
            self.lose_notes(world)
            report = json.loads(world.pawl("replay", str(world.job), "--json").stdout)
            self.assertEqual((report["runs"], report["slices_without_note"]), (1, 0))
            self.assertEqual(world.digest(), wanted)

    def test_loaded_slices_that_are_not_there_any_more_end_a_replay_with_3(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-04")
            world.control("forbid", {"account": 1001})
            world.advance("2026-03-12T18:00:00Z")
            world.run("incremental", check=False)  # partial
            runs = sorted((world.folder / "lake/ctm/runs").iterdir())
            rows = int(world.value("SELECT count(*) FROM ctm.calls"))
            for run, text in ((runs[1], "neither in a note of its loads nor landed whole"),
                              (runs[0], "could not be replayed: calls of 100")):
                with self.subTest(text):
                    self.lose_notes(world)
                    shutil.rmtree(sorted(run.glob("calls/????????????????/*"))[-1])
                    done = world.pawl("replay", str(world.job), "--json", check=False)
                    self.assertEqual(done.returncode, 3, done.stderr)
                    self.assertIn(text, done.stderr)
                    self.assertIn("restore its folder, or read those days again", done.stderr)
                    # All else was done.
                    self.assertTrue(rows / 2 < int(world.value("SELECT count(*) FROM ctm.calls")) <= rows)

    def test_over_what_stands_it_changes_nothing_and_with_rewrite_no_content(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            wanted = world.digest()
            again = json.loads(world.pawl("replay", str(world.job), "--from", "2026-03-05", "--json").stdout)
            self.assertEqual((again["inserted"], again["updated"]), (0, 0))
            self.assertGreater(again["unchanged"], 0)
            again = json.loads(world.pawl("replay", str(world.job), "--from", "2026-03-05", "--stream", "calls",
                                          "--rewrite", "--json").stdout)
            self.assertEqual(again["updated"],
                             int(world.value("SELECT count(*) FROM ctm.calls WHERE _run_id IN (SELECT run_id FROM "
                                             "etl_log WHERE mode = 'replay')")))
            self.assertGreater(again["updated"], 0)
            self.assertEqual(world.digest(), wanted)

    def test_bad_words(self):
        with World() as world:
            for words, text in ((("--from", "soon"), "is not a day"), (("--stream", "nope"), "no stream 'nope'"),
                                (("--from", "2026-03-10", "--to", "2026-03-01"), "is after the last")):
                done = world.pawl("replay", str(world.job), *words, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)


class Check(unittest.TestCase):
    def check(self, world, *words, **options):
        done = world.pawl("check", str(world.job), "--json", *words, check=False, **options)
        return done.returncode, json.loads(done.stdout)

    def test_a_good_job_passes_and_leaves_nothing_behind(self):
        with World() as world:
            status, report = self.check(world)
            self.assertEqual((status, report["ok"], report["findings"]), (0, True, []))
            kinds = {item["check"]: item["status"] for item in report["checks"]}
            self.assertEqual((kinds["landing store"], kinds["warehouse"], kinds["credentials"]), ("ok", "ok", "ok"))
            self.assertFalse((world.folder / "ctm.duckdb").exists())
            self.assertEqual([path for path in (world.folder / "lake").rglob("check-*")], [])
            self.assertIn("next: pawl plan", world.pawl("check", str(world.job)).stdout)

    def widen(self, world, columns):
        """The contract of calls with so many columns that the table has `columns`, four of them the system's."""
        contract = json.loads((ROOT / "connectors/ctm/contracts/calls.json").read_text())
        del contract["$schema"]
        missing = columns - 4 - len(contract["columns"])
        contract["columns"] += [{"name": f"wide_{i}", "type": "string", "from": ["/sid"]} for i in range(missing)]
        path = world.folder / "wide.json"
        path.write_text(json.dumps(contract))
        job = json.loads(world.job.read_text())
        job["streams"]["calls"]["contract"] = str(path)
        world.job.write_text(json.dumps(job))

    def test_columns_that_duckdb_has_no_memory_for_are_told_with_the_limit_that_is_enough(self):
        with World(calls=0) as world:
            world.run("historic", "--to", "2026-03-02")
            notes = {}
            for columns in (191, 192, 412, 413):  # 256 MiB at most: 1.4 MB or 0.65 MB a column
                self.widen(world, columns)
                status, report = self.check(world, "--offline")
                notes[columns] = [item["text"] for item in report["checks"] if item["check"] == "memory"]
                self.assertEqual(status, 2 if columns == 413 else 0)
            self.assertEqual((notes[191], notes[413]), ([], []))
            self.assertIn("192 columns: its loads may take 256 MiB in duckdb, which gets 255; limits.memory of 513MiB", notes[192][0])
            self.assertIn("412 columns", notes[412][0])
            (finding,) = report["findings"]
            self.assertTrue(finding["place"].endswith("/limits/memory"))
            self.assertIn("no load of the 413 columns of stream 'calls' goes through in duckdb with less than 256 MiB; of "
                          "these 512 MiB it gets 255", finding["what"])
            self.assertIn("give 1103MiB", finding["fix"])
            for words in (("run", str(world.job), "--mode", "incremental"), ("replay", str(world.job))):
                done = world.pawl(*words, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("give 1103MiB, or name fewer columns", done.stderr)
            world.pawl("status", str(world.job))
            # With the limit that it names all is well.
            job = json.loads(world.job.read_text())
            job["limits"]["memory"] = "1103MiB"
            world.job.write_text(json.dumps(job))
            status, report = self.check(world, "--offline")
            self.assertEqual((status, [item for item in report["checks"] if item["check"] == "memory"]), (0, []))
            world.forget_pawl()
            world.run("historic", "--to", "2026-03-02")

    def test_every_fault_is_told_at_once(self):
        with World() as world:
            job = json.loads(world.job.read_text())
            job["limits"]["conections"] = 3
            job["streams"]["cals"] = dict(job["streams"]["calls"])
            job["streams"]["accounts"]["contract"] = "./none.json"
            job["landing"]["path"] = "/proc/nowhere"
            world.job.write_text(json.dumps(job))
            status, report = self.check(world)
            self.assertEqual((status, report["ok"]), (2, False))
            told = " ".join(f"{finding['place']} {finding['what']} {finding['fix']}" for finding in report["findings"])
            for part in ("/limits/conections", "did you mean", "/streams/cals", "none.json"):
                self.assertIn(part, told)
            self.assertIn(("landing store", "fault"), [(item["check"], item["status"]) for item in report["checks"]])

    def test_a_wrong_credential_is_refused_with_its_reason(self):
        with World() as world:
            status, report = self.check(world, env={"CTM_CLIENT_SECRET": "canary-wrong"})
            self.assertEqual(status, 4)
            self.assertIn("fault", [item["status"] for item in report["checks"] if item["check"] == "credentials"])
            self.assertNotIn("canary-wrong", json.dumps(report))

    def test_what_the_api_answers_is_told_as_what_it_is(self):
        with World(calls=10) as world:
            def answered(status, **what):
                world.control("faults", [{"match": {"path": "/accounts"}, "times": 0, **what}], method="PUT")
                code, report = self.check(world)
                world.control("faults", [], method="PUT")
                (item,) = [item for item in report["checks"] if item["check"] == "credentials"]
                self.assertEqual((code, item["status"]), status, item)
                return item["text"]

            self.assertIn("status 403", answered((4, "fault"), do=403))
            self.assertIn("status 404", answered((3, "fault"), do=404))
            self.assertIn("status 503: it may be passing", answered((0, "note"), do=503))
            self.assertIn("status 429: it may be passing", answered((0, "note"), do=429, retry_after="0"))

    def test_a_clock_that_is_wrong_is_told(self):
        with World(calls=10) as world:
            for now, status, said in (("2026-03-11T18:04:00Z", "ok", "agrees"), ("2026-03-11T18:20:00Z", "note", "20 minutes ahead of"),
                                      ("2026-03-11T17:00:00Z", "note", "minutes behind")):
                code, report = self.check(world, env={"PAWL_TEST_NOW": now})
                (clock,) = [item for item in report["checks"] if item["check"] == "clock"]
                self.assertEqual((code, clock["status"]), (0, status))
                self.assertIn(said, clock["text"])

    def test_stores_and_files_that_cannot_be_used_are_told_by_what_they_are(self):
        with World(calls=10) as world:
            job = json.loads(world.job.read_text())
            for what, change in (("warehouse", {"warehouse": {"driver": "duckdb", "path": "./none/ctm.duckdb"}}),
                                       ("warehouse", {"warehouse": {"driver": "duckdb", "path": "./job.json"}}),
                                       ("lake", {"lake": {"format": "delta", "store": "local", "path": "/proc/nowhere"}}),
                                       ("landing store", {"landing": {"store": "local", "path": "./job.json/below"}})):
                with self.subTest(change):
                    world.job.write_text(json.dumps({**job, **change}))
                    status, report = self.check(world, "--offline")
                    self.assertEqual([item["check"] for item in report["checks"] if item["status"] == "fault"], [what], report)
                    self.assertNotEqual(status, 0)

    def test_an_api_that_is_not_there_is_told_and_offline_does_not_ask(self):
        with World(job={"retry": {"attempts": 1}, "config": {"base_url": "http://127.0.0.1:9/api/v1"}}) as world:
            status, report = self.check(world)
            self.assertEqual(status, 8)
            status, report = self.check(world, "--offline")
            self.assertEqual((status, report["ok"]), (0, True))

    def test_show_prints_the_effective_job_without_secrets(self):
        with World() as world:
            done = world.pawl("check", str(world.job), "--show", "--offline")
            shown = json.loads(done.stdout.splitlines()[0])
            self.assertEqual(shown["config"]["client_secret"], "***")
            self.assertNotIn("sim-client-secret", done.stdout)


class Contracts(unittest.TestCase):
    def test_promoting_a_path_fills_the_past_and_changes_no_hash(self):
        with World() as world:
            contracts = world.folder / "contracts"
            shutil.copytree(pathlib.Path(__file__).parents[2] / "connectors/ctm/contracts", contracts)
            job = json.loads(world.job.read_text())
            for name, stream in job["streams"].items():
                stream["contract"] = f"./contracts/{name}.json"
            world.job.write_text(json.dumps(job))
            world.run("historic", "--to", "2026-03-09")
            kept = world.rows("SELECT _row_key, json_extract_string(_overflow, '/cnam') FROM ctm.calls "
                              "WHERE json_extract_string(_overflow, '/cnam') IS NOT NULL ORDER BY 1")
            hashes = world.rows("SELECT _row_key, _row_hash FROM ctm.calls ORDER BY 1")
            self.assertGreater(len(kept), 0)
            done = world.pawl("contract", "promote", str(contracts / "calls.json"), "/cnam", "--job", str(world.job),
                              "--json")
            self.assertEqual(json.loads(done.stdout), {"column": "cnam", "tables": 1, "rows": len(kept)})
            self.assertEqual(world.rows("SELECT _row_key, cnam FROM ctm.calls WHERE cnam IS NOT NULL ORDER BY 1"), kept)
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls WHERE json_exists(_overflow, '/cnam')"), "0")
            self.assertEqual(world.rows("SELECT _row_key, _row_hash FROM ctm.calls ORDER BY 1"), hashes)
            again = world.report(world.run("incremental", "--from", "2026-03-05"))
            self.assertEqual(again["updated"], 0)
            twice = world.pawl("contract", "promote", str(contracts / "calls.json"), "/cnam", check=False)
            self.assertEqual(twice.returncode, 2)

    def test_discover_drafts_a_contract_that_check_accepts(self):
        with World() as world:
            config = world.folder / "config.json"
            config.write_text(json.dumps({"auth": "oauth", "base_url": world.url + "/api/v1",
                                          "client_id": "sim-client", "client_secret": "sim-client-secret"}))
            manifest = pathlib.Path(__file__).parents[2] / "connectors/ctm/manifest.yaml"
            draft = world.folder / "users.json"
            words = ("discover", str(manifest), "--config", str(config), "--stream", "users", "--out", str(draft))
            world.pawl(*words)
            self.assertEqual(json.loads(draft.read_text())["stream"], "users")
            self.assertEqual(world.pawl(*words, check=False).returncode, 6)  # a file that stands is left alone
            job = json.loads(world.job.read_text())
            job["streams"]["users"] = {"contract": "./users.json", "target": "ctm.users"}
            world.job.write_text(json.dumps(job))
            self.assertEqual(world.pawl("check", str(world.job), "--offline", check=False).stderr, "")
            world.run("historic", "--to", "2026-03-02", "--stream", "users")
            self.assertGreater(int(world.value("SELECT count(*) FROM ctm.users")), 0)


class Query(unittest.TestCase):
    def query(self, world, *words):
        return world.pawl("query", str(world.job), *words, check=False)

    @contextlib.contextmanager
    def loaded(self):
        """A world whose warehouse is there, and small."""
        with World(calls=0) as world:
            world.run("historic", "--to", "2026-03-02")
            yield world

    def wait_until_open(self, pid, path):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # closed meanwhile
                    if fd.samefile(path):
                        return
            select_wait()

    def wait_until_busy(self, pid, *paths):
        """Until DuckDB has worked for a fifth of a second without a byte more in `paths`."""
        def look():
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return int(stat[11]) + int(stat[12]), [path.stat().st_size for path in paths]

        began, sizes = look()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ticks, now = look()
            if now != sizes:
                began, sizes = ticks, now
            if ticks - began >= os.sysconf("SC_CLK_TCK") / 5:
                return
            select_wait()
        self.fail("the query is not at work")

    def test_before_any_run_it_says_so_and_makes_nothing(self):
        with World(calls=0) as world:
            done = self.query(world, "SELECT 1")
            self.assertEqual((done.returncode, done.stdout), (5, ""))
            self.assertIn(f"nothing was loaded so far: pawl run {world.job} --mode historic", done.stderr)
            self.assertEqual(list(world.folder.glob("ctm.duckdb*")), [])

    def test_programs_get_every_row_and_people_the_first(self):
        with self.loaded() as world:
            self.assertEqual(len(world.rows("SELECT * FROM range(5000)")), 5000)
            done = self.query(world, "SELECT * FROM range(1000000000000)")
            self.assertEqual((done.returncode, done.stdout.count("\n")), (0, 1000))
            self.assertIn("only the first 1000 rows", done.stderr)

    def test_a_failure_after_many_rows_is_one(self):
        with self.loaded() as world:
            done = self.query(world, "SELECT CASE WHEN range = 200000 THEN error('late') ELSE 1 END FROM range(300000)",
                              "--json")
            self.assertEqual(done.returncode, 3)
            self.assertIn("late", done.stderr)

    def test_it_ends_when_asked_to_and_when_nobody_reads(self):
        with self.loaded() as world:
            for sql in ("SELECT * FROM range(1000000000000)", "SELECT sum(range) FROM range(1000000000000)"):
                command, env = world.command("query", str(world.job), sql, "--json")
                with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
                    self.wait_until_open(running.pid, world.folder / "ctm.duckdb")
                    self.wait_until_busy(running.pid)
                    running.send_signal(signal.SIGINT)
                    try:
                        self.assertEqual(running.wait(10), 10)
                    finally:
                        running.kill()
            command, env = world.command("query", str(world.job), "SELECT * FROM range(1000000000000)", "--json")
            with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
                running.stdout.read(10)
                running.stdout.close()
                try:
                    self.assertEqual((running.wait(20), running.stderr.read()), (0, b""))
                finally:
                    running.kill()

    def test_it_ends_although_no_row_comes_for_long(self):
        with self.loaded() as world:
            sql = "SELECT * FROM range(1000000000000) WHERE range < 200000 OR range = 999999999999"
            command, env = world.command("query", str(world.job), sql, "--json")
            out = world.folder / "out"
            with out.open("wb") as file, subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.DEVNULL) as running:
                deadline = time.monotonic() + 20
                while out.stat().st_size < 1000000 and time.monotonic() < deadline:  # DuckDB gives out as much at a time
                    select_wait()
                self.wait_until_busy(running.pid, out)
                running.send_signal(signal.SIGINT)
                try:
                    self.assertEqual(running.wait(20), 10)
                finally:
                    running.kill()

    def test_as_people_type_it_and_as_a_terminal_can_show_it(self):
        with self.loaded() as world:
            self.assertEqual(self.query(world, "SELECT 1 ;\n").stdout, "1\n")
            self.assertIn("the SQL is empty", self.query(world, " ; ").stderr)
            done = self.query(world, "SELECT chr(27) || 'a' || chr(10) || 'b', repeat('\u00e4', 50), 1")
            self.assertEqual(done.stdout, " a b  " + "\u00e4" * 40 + "  1\n")


class Output(unittest.TestCase):
    def sh(self, world, line):
        command, env = world.command("run")
        return subprocess.run(["sh", "-c", line], env={**env, "PAWL": command[0], "JOB": str(world.job)},
                              capture_output=True, text=True, timeout=120)

    def test_closed_standard_files_are_not_taken_for_the_warehouse(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-04")
            before = world.digest()
            for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
                world.runs += 1
                done = self.sh(world, f'"$PAWL" run "$JOB" --mode rehydration --from 2026-03-01 --to 2026-03-04 {closed}')
                self.assertEqual(done.returncode, 0, closed)
                self.assertEqual(world.digest(), before, closed)

    def test_output_that_nobody_can_read_is_told(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-04")
            for words in ("--version", "help", "help man", "completion bash", 'status "$JOB"', 'plan "$JOB" --mode historic',
                          'state show "$JOB" --json', 'query "$JOB" "SELECT 1"'):
                done = self.sh(world, f'"$PAWL" {words} > /dev/full')
                self.assertEqual(done.returncode, 8, words)
                self.assertIn("standard output could not be written", done.stderr)
            # Who reads a part of it and leaves has what he wanted.
            done = self.sh(world, 'bash -c \'"$PAWL" help man | head -1; exit ${PIPESTATUS[0]}\'')
            self.assertEqual((done.returncode, done.stderr), (0, ""))


class Words(unittest.TestCase):
    def test_every_listed_command_has_help(self):
        with World() as world:
            listed = [line[2:20].strip() for line in world.pawl("--help").stdout.split("\n\n")[2].splitlines()]
            self.assertIn("state rewind", listed)
            for name in listed:
                text = world.pawl(*name.split(), "--help").stdout
                self.assertTrue(text.startswith("usage: pawl " + name), text)
                self.assertIn("--json", text)

    def test_a_misspelt_word_names_the_nearest(self):
        with World() as world:
            for words, text in ((("staus", "x"), "status"), (("run", "x", "--mdoe", "y"), "--mode")):
                done = world.pawl(*words, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    def test_an_environment_that_is_not_there_is_a_wrong_name_however_long(self):
        with World() as world:
            for name in ("nowhere", "n" * 300, "n" * 5000):
                self.assertEqual(world.pawl("status", str(world.job), "--env", name, check=False).returncode, 5, len(name))

    def test_a_wait_is_a_number_of_seconds(self):
        with World() as world:
            commands = (("run", str(world.job), "--mode", "incremental"), ("forget", str(world.job), "--id", "1"),
                        ("adopt", str(world.job), "--table", "x.y"))
            for words in commands:
                for wait in ("-1", "soon", "nan", "99999999999999"):
                    with self.subTest(words[0], wait=wait):
                        done = world.pawl(*words, "--wait", wait, check=False)
                        self.assertEqual(done.returncode, 2)
                        self.assertIn(f"--wait: '{wait}' is no number of seconds", done.stderr)

    def test_help_as_a_word(self):
        with World() as world:
            self.assertEqual(world.pawl("help").stdout, world.pawl("--help").stdout)
            self.assertEqual(world.pawl("help", "run").stdout, world.pawl("run", "--help").stdout)
            self.assertEqual(world.pawl("help", "state", "show").stdout, world.pawl("state", "show", "--help").stdout)
            for words, text in ((("help", "stauts"), "did you mean 'pawl status'"), (("state",), "show, rewind"),
                                (("render", "x"), "databricks, azure, cron")):
                done = world.pawl(*words, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    def test_an_account_that_is_not_there_is_not_success(self):
        with World(calls=20) as world:
            world.run("historic")
            job, asked = str(world.job), ("--account", "1O01")
            for words in (("run", job, "--mode", "historic"), ("plan", job, "--mode", "historic"),
                          ("audit", job, "--table", "ctm.calls")):
                done = world.pawl(*words, *asked, check=False)
                self.assertEqual(done.returncode, 5, words)
                self.assertIn("no stream of this run has an account '1O01'", done.stderr)
            world.run("historic", "--account", "1001", "--stream", "accounts")  # read as a whole

    def test_schemas_in_the_repository_are_what_the_program_prints(self):
        with World() as world:
            for name in ("job", "contract"):
                path = pathlib.Path(__file__).parents[2] / f"schemas/{name}.schema.json"
                self.assertEqual(json.loads(world.pawl("schema", name).stdout), json.loads(path.read_text()), name)

    def test_the_manual_page_is_good_roff_and_names_every_command(self):
        with World() as world:
            page = world.folder / "pawl.1"
            page.write_text(world.pawl("help", "man").stdout)
            listed = [line[2:20].strip() for line in world.pawl("--help").stdout.split("\n\n")[2].splitlines()]
            for name in listed:
                self.assertIn(f'.SS "{name}"', page.read_text())
            checkers = [[tool, *words, str(page)] for tool, words in (
                ("man", ("--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z")), ("groff", ("-ww", "-man", "-z")), ("mandoc", ("-Tlint", "-W", "warning")))
                if shutil.which(tool)]
            for command in checkers:
                done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
                self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            if not checkers:
                self.skipTest("neither man, groff nor mandoc is here")

    def complete(self, script, *words):
        """What bash offers for the last word."""
        line = f'source "{script}"; COMP_WORDS=({" ".join(repr(word) for word in ("pawl", *words))}); COMP_CWORD={len(words)}; _pawl; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, cwd=script.parent).stdout.split()

    def test_bash_completes_commands_and_options(self):
        with World() as world:
            script = world.folder / "completion"
            script.write_text(world.pawl("completion", "bash").stdout)
            self.assertEqual(self.complete(script, "for"), ["forget"])
            self.assertEqual(sorted(self.complete(script, "state", "")[:2]), ["rewind", "show"])
            self.assertIn("man", self.complete(script, "help", "m"))
            self.assertEqual(self.complete(script, "forget", "job.json", "--ph"), ["--phone"])
            self.assertEqual(self.complete(script, "state", "rewind", "--to"), ["--to"])
            self.assertNotIn("--test-connect-to", self.complete(script, "run", "--"))
            self.assertEqual(world.pawl("completion", "fish", check=False).returncode, 2)

    def test_manual_and_completion_know_each_option_that_help_does(self):
        """One table for all of them: what each says of an option, and that none says more."""
        with World() as world:
            page = world.pawl("help", "man").stdout.replace("\\-", "-")
            script = world.folder / "completion"
            script.write_text(world.pawl("completion", "bash").stdout)
            zsh = world.pawl("completion", "zsh").stdout
            listed = [line[2:20].strip() for line in world.pawl("--help").stdout.split("\n\n")[2].splitlines()]
            for name in listed:
                shown = dict(re.findall(r"^  (--[a-z-]+)(?: [A-Z|]+)? +(\S.*)$", world.pawl(*name.split(), "--help").stdout, re.MULTILINE))
                shown = {option: text for option, text in shown.items() if not option.startswith("--test-")}
                self.assertIn("--json", shown, name)
                section = page.split(f'.SS "{name}"\n')[1].split("\n.SS ")[0]
                self.assertEqual(set(re.findall(r"^\\fB(--[a-z-]+)", section, re.MULTILINE)) | {"--json", "--help"},
                                 set(shown) | {"--json", "--help"}, name)
                self.assertEqual(set(self.complete(script, *name.split(), "--")), set(shown), name)
                for option, text in shown.items():
                    self.assertIn(option, zsh)
                    if option not in ("--json", "--help"):  # of every command, so said once
                        self.assertIn(text.split(" (default")[0], section, name)

    def test_zsh_gets_a_script_that_it_can_read(self):
        with World() as world:
            text = world.pawl("completion", "zsh").stdout
            self.assertTrue(text.startswith("#compdef pawl"))
            self.assertIn("'forget:", text)
            if not shutil.which("zsh"):
                self.skipTest("no zsh here: its syntax was not looked at")
            self.assertEqual(subprocess.run(["zsh", "-n"], input=text, capture_output=True, text=True).stderr, "")

    def test_drivers_and_stores_are_json_when_asked(self):
        with World() as world:
            for word, wanted in (("drivers", {"duckdb", "postgres", "snowflake"}), ("stores", {"local", "adls", "memory"})):
                drivers = json.loads(world.pawl("help", word, "--json").stdout)
                self.assertEqual({driver["name"] for driver in drivers}, wanted)
                text = world.pawl("help", word).stdout
                for driver in drivers:
                    options = dict(self.options(driver["options"]))
                    listed = re.search(rf"^  {driver['name']} .*\n((?:    .*\n)*)", text, re.MULTILINE)[1]
                    self.assertEqual(re.findall(r"^    (\S+) +\S", listed, re.MULTILINE), list(options), driver["name"])
                    for line, option in zip(listed.splitlines(), options.values()):
                        for choice in option.get("enum", ()):
                            self.assertIn(str(choice), line)

    def options(self, schema, parent=""):
        """Every option of a driver, those within others too."""
        for name, option in (schema or {}).get("properties", {}).items():
            yield parent + name, option
            yield from self.options(option, parent + name + ".")


if __name__ == "__main__":
    unittest.main()
