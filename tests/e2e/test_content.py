"""What the source does to rows over time: edits, deletions, rows that come back, rights that end."""
import hashlib, hmac, json, pathlib, unittest
from world import NO_PYTHON, PYTHON, World

DAY = ("--from", "2026-03-05", "--to", "2026-03-05")
MARCH = ("--from", "2026-03-04", "--to", "2026-03-08")


class Content(unittest.TestCase):
    def ids(self, world, account, day="2026-03-05"):
        page = world.get(f"/accounts/{account}/calls?start_date={day}&end_date={day}&per_page=150")
        self.assertEqual(len(page["calls"]), page["total_entries"])
        return [call["id"] for call in page["calls"]]

    def deleted(self, world, where="true"):
        return [int(row[0]) for row in world.rows(
            f"SELECT id FROM ctm.calls WHERE _deleted_at IS NOT NULL AND {where} ORDER BY id")]

    def test_content_that_goes_there_and_back_is_loaded_each_time(self):
        with World(calls=200) as world:
            world.run("historic", *DAY)
            call = self.ids(world, 1001)[0]
            before, seen = world.digest(), []
            for change in ({"do": "edit", "set": {"notes": "B"}}, {"do": "revert"},
                           {"do": "edit", "set": {"notes": "B"}}):
                world.control("mutate", {"account": 1001, "id": call, **change})
                report = world.report(world.run("rehydration", *DAY))
                seen.append((report["inserted"], report["updated"], world.digest() == before))
            self.assertEqual(seen, [(0, 1, False), (0, 1, True), (0, 1, False)])
            self.assertEqual(world.value(f"SELECT notes FROM ctm.calls WHERE id = {call}"), "B")

    def test_a_deleted_row_is_marked_after_a_second_look_and_unmarked_when_it_comes_back(self):
        with World(calls=200) as world:
            world.run("historic", *DAY)
            count = world.value("SELECT count(*) FROM ctm.calls")
            call = self.ids(world, 1002)[0]
            world.control("mutate", {"account": 1002, "id": call, "do": "delete"})
            world.control("stats", method="DELETE")
            report = world.report(world.run("rehydration", *DAY))
            self.assertEqual((report["deleted"], self.deleted(world)), (1, [call]))
            self.assertEqual(self.reads(world, 1002), 2)  # the second confirms
            self.assertEqual(self.reads(world, 1001), 1)  # nothing vanished there
            self.assertEqual(world.value("SELECT count(*) FROM ctm.calls"), count)
            report = world.report(world.run("rehydration", *DAY))
            self.assertEqual((report["deleted"], report["updated"]), (0, 0))
            world.control("mutate", {"account": 1002, "id": call, "do": "restore"})
            report = world.report(world.run("rehydration", *DAY))
            self.assertEqual((report["updated"], self.deleted(world)), (1, []))

    def reads(self, world, account):
        return sum(f"/accounts/{account}/calls" in entry["request"] for entry in world.log())

    def test_what_the_second_look_shows_again_is_not_marked(self):
        with World(calls=200) as world:
            world.run("historic", *DAY)
            page = world.get("/accounts/1002/calls?start_date=2026-03-05&end_date=2026-03-05&per_page=150")
            page["calls"].pop()
            page["total_entries"] -= 1
            world.control("faults", [{"match": {"path": "/accounts/1002/calls"}, "do": 200,
                                      "body": json.dumps(page)}], method="PUT")
            report = world.report(world.run("rehydration", *DAY))
            self.assertEqual((report["deleted"], self.deleted(world)), (0, []))

    def test_a_failed_second_look_marks_nothing(self):
        with World(calls=200) as world:
            world.run("historic", *DAY)
            call = self.ids(world, 1002)[0]
            world.control("mutate", {"account": 1002, "id": call, "do": "delete"})
            world.control("faults", [{"match": {"path": "/accounts/1002/calls", "from_nth": 2}, "times": 0,
                                      "do": 403}], method="PUT")
            done = world.run("rehydration", *DAY)
            self.assertEqual((world.report(done)["deletes_unconfirmed"], self.deleted(world)), (1, []))
            warning = next(e for e in map(json.loads, done.stderr.splitlines()) if e["event"] == "deletes_unconfirmed")
            self.assertEqual((warning["stream"], warning["rows"]), ("calls", 1))
            self.assertIn("403", warning["text"])
            world.control("faults", [], method="PUT")
            world.run("rehydration", *DAY)
            self.assertEqual(self.deleted(world), [call])

    def test_edits_are_found_by_rehydration_alone(self):
        with World(calls=300) as world:
            world.run("historic", *MARCH)
            call = self.ids(world, 1001)[0]
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"notes": "late"}})
            world.advance("2026-03-12T18:00:00Z")
            report = world.report(world.run("rehydration"))
            self.assertGreaterEqual(report["updated"], 1)
            self.assertEqual(world.value(f"SELECT notes FROM ctm.calls WHERE id = {call}"), "late")

    def test_a_permission_lost_marks_nothing_and_stops_nobody_else(self):
        with World(calls=300) as world:
            world.run("historic", *MARCH)
            call = self.ids(world, 1001)[0]
            world.control("mutate", {"account": 1001, "id": call, "do": "delete"})
            world.control("forbid", {"account": 1002})
            done = world.run("rehydration", *MARCH, check=False)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("403", done.stderr)
            self.assertIn("1002", done.stderr)
            self.assertEqual(self.deleted(world), [call])
            # Once the right is back, the same command goes on with what is missing.
            world.control("forbid", {"account": 1002, "from": None})
            report = world.report(world.run("rehydration", *MARCH))
            self.assertTrue(report["resumed"])
            self.assertEqual(report["deleted"], 0)
            self.assertEqual(world.report(world.run("rehydration", *MARCH))["resumed"], False)

    def test_an_account_that_stays_refused_keeps_no_other_from_being_read_again(self):
        due = ("SELECT partition_key, max(fetched_at) < TIMESTAMPTZ '2026-03-12 12:00:00Z' FROM pawl_slice WHERE stream = 'calls' "
               "GROUP BY 1 ORDER BY 1")
        with World(calls=300) as world:
            world.run("historic", "--to", "2026-03-09")
            world.advance("2026-03-13T18:00:00Z")
            world.control("forbid", {"account": 1002})
            first = world.run("rehydration", check=False)
            self.assertEqual((first.returncode, world.report(first)["resumed"]), (4, False))
            self.assertEqual([old for _, old in world.rows(due)], ["false", "true"])
            self.assertEqual(json.loads(world.pawl("status", str(world.job), "--json").stdout)["unfinished"], [])
            # The next night reads all that is due by then, those of the refused account once it may.
            world.advance("2026-03-15T18:00:00Z")
            second = world.run("rehydration", check=False)
            self.assertEqual((second.returncode, world.report(second)["resumed"]), (4, False))
            self.assertEqual(sum("/1001/calls" in entry["request"] for entry in world.log()), 27)  # of 9 days, thrice
            world.control("forbid", {"account": 1002, "from": None})
            self.assertEqual(world.report(world.run("rehydration"))["slices"], 1 + 9)  # the accounts, and those days
            self.assertEqual([old for _, old in world.rows(due)], ["false", "false"])

    def test_a_run_goes_on_without_an_account_that_the_job_has_let_go(self):
        with World(calls=300) as world:
            world.control("forbid", {"account": 1002})
            for mode in ("historic", "rehydration"):
                self.assertEqual(world.run(mode, *MARCH, check=False).returncode, 4)
            job = json.loads(world.job.read_text())
            world.job.write_text(json.dumps({**job, "partitions": {"account_id": {"exclude": [1002]}}}))
            for mode in ("historic", "rehydration"):
                done = world.run(mode, *MARCH)
                self.assertTrue(world.report(done)["resumed"])
                self.assertIn("'partitions' of the job admit it no more", done.stderr)
                self.assertEqual(world.report(world.run(mode, *MARCH))["resumed"], False)
            # It proves nothing for who was left out: as soon as it is read it is read from the beginning.
            world.warehouse.forget()
            world.pawl("replay", str(world.job))
            self.assertEqual(world.value("SELECT count(*) FROM pawl_state WHERE partition_key LIKE '%1002%'"), "0")

    def test_a_permission_lost_for_one_account_leaves_its_watermark(self):
        with World(calls=300) as world:
            world.run("historic")
            marks = "SELECT partition_key, watermark FROM pawl_state WHERE kind = 'watermark' AND stream = 'calls' ORDER BY ALL"
            before = world.rows(marks)
            world.advance("2026-03-12T18:00:00Z")
            world.control("forbid", {"account": 1001})
            done = world.run("incremental", check=False)
            self.assertEqual(done.returncode, 4)
            after = world.rows(marks)
            self.assertEqual([b == a for b, a in zip(before, after)], [True, False])

    def test_a_row_that_moved_to_another_day_is_not_deleted(self):
        # In one load, and in loads of a day each; then with the old day read last, though its load comes first.
        noon = {day: 1772726400 + (day - 5) * 86400 for day in range(3, 9)}
        for limits, to, late in (({}, 4, False), ({}, 7, False), ({"load_rows": 1}, 4, False), ({"load_rows": 1}, 7, False),
                                 ({"load_rows": 1}, 7, True), ({}, 7, True)):
            with self.subTest(limits=limits, to=to, late=late), \
                    World(calls=300, accounts=1, job={"limits": limits, "retry": {"initial": "PT0.1S"}}) as world:
                world.run("historic", *MARCH)
                call = self.ids(world, 1001)[0]
                world.control("mutate", {"account": 1001, "id": call, "do": "delete"})
                world.control("mutate", {"account": 1001, "do": "insert", "unix_time": noon[to], "set": {"id": call}})
                self.assertIn(call, self.ids(world, 1001, f"2026-03-0{to}"))
                if late:
                    world.control("faults", [{"match": {"path": "/accounts/1001/calls", "start_date": "2026-03-05"}, "times": 1, "do": 503}],
                                  method="PUT")
                report = world.report(world.run("rehydration", *MARCH))
                self.assertEqual((report["updated"], self.deleted(world)), (1, []))
                self.assertEqual(world.value(f"SELECT epoch(called_at)::BIGINT FROM ctm.calls WHERE id = {call}"), str(noon[to]))

    def with_contract(self, world, change):
        job = json.loads(world.job.read_text())
        contract = json.loads((world.folder / job["streams"]["calls"]["contract"]).resolve().read_text())
        change(contract, {column["name"]: column for column in contract["columns"]})
        (world.folder / "calls.json").write_text(json.dumps(contract))
        job["streams"]["calls"]["contract"] = "calls.json"
        world.job.write_text(json.dumps(job))

    def test_rows_of_days_are_looked_for_in_their_own_day(self):
        # A date is no instant: west of UTC its midnight lies in the day before.
        def by_date(contract, columns):
            contract["columns"].append({"name": "called_on", "type": "date", "from": ["/unix_time"], "formats": ["epoch_s"]})
            contract["window_column"] = "called_on"
        with World(calls=300, accounts=1) as world:
            self.with_contract(world, by_date)
            world.run("historic", *MARCH)
            gone = self.ids(world, 1001)[:2]
            for call in gone:
                world.control("mutate", {"account": 1001, "id": call, "do": "delete"})
            world.run("rehydration", *DAY)
            self.assertEqual(self.deleted(world), sorted(gone))

    def test_rows_of_accounts_that_nobody_can_tell_apart_are_not_deleted(self):
        def unbound(contract, columns):
            del columns["account_id"]["from_partition"]
        with World(calls=300) as world:
            self.with_contract(world, unbound)
            self.assertIn("stream 'calls': no column of its contract says \"from_partition\": \"/account_id\", so deleted rows are never marked",
                          world.pawl("check", str(world.job)).stdout)
            world.run("historic", *MARCH)
            world.run("rehydration", *DAY, "--account", "1001")
            self.assertEqual(self.deleted(world), [])

    def test_a_row_whose_record_is_refused_now_is_not_deleted(self):
        with World(calls=300, accounts=1) as world:
            self.with_contract(world, lambda contract, columns: columns["direction"].update(required=True))
            world.run("historic", *MARCH)
            refused, gone = self.ids(world, 1001)[:2]
            world.control("mutate", {"account": 1001, "id": refused, "do": "edit", "set": {"direction": None}})
            world.control("mutate", {"account": 1001, "id": gone, "do": "delete"})
            report = world.report(world.run("rehydration", *MARCH))
            self.assertEqual((report["quarantined"], report["deleted"], self.deleted(world)), (1, 1, [gone]))
            # Nor does an audit miss it.
            report = json.loads(world.pawl("audit", str(world.job), "--table", "ctm.calls", *MARCH, "--json", check=False).stdout.splitlines()[-1])
            self.assertEqual((report["vanished"], report["missing"], report["unreadable"]), (0, 0, 0), report)

    def test_too_many_vanished_rows_are_not_believed(self):
        with World(calls=600, accounts=1, first="2026-03-01", last="2026-03-11") as world:
            world.run("historic", *DAY)
            ids = self.ids(world, 1001)
            gone = sorted(ids[:21])
            self.assertGreater(len(ids), 40)
            for call in gone:
                world.control("mutate", {"account": 1001, "id": call, "do": "delete"})
            done = world.run("rehydration", *DAY)
            self.assertEqual((world.report(done)["deletes_held_back"], self.deleted(world)), (21, []))
            self.assertIn('"event":"deletes_held_back"', done.stderr.replace(" ", ""))
            world.run("rehydration", *DAY, "--accept-deletes")
            self.assertEqual(self.deleted(world), gone)

    def test_a_replay_believes_what_its_run_believed(self):
        with World(calls=600, accounts=1, first="2026-03-01", last="2026-03-11") as world:
            world.run("historic", *DAY)
            gone = sorted(self.ids(world, 1001)[:21])
            for call in gone:
                world.control("mutate", {"account": 1001, "id": call, "do": "delete"})
            self.assertEqual(world.report(world.run("rehydration", *DAY))["deletes_held_back"], 21)
            for lost in (False, True):
                if lost:
                    world.warehouse.forget()
                world.pawl("replay", str(world.job))
                self.assertEqual((lost, self.deleted(world)), (lost, []))
            # The same load, and somebody else to believe it.
            killed = world.run("rehydration", *DAY, check=False, env={"PAWL_TEST_KILL_AT": "commit, calls load 0"})
            self.assertEqual((killed.returncode, self.deleted(world)), (-9, []))
            self.assertTrue(world.report(world.run("rehydration", *DAY, "--accept-deletes"))["resumed"])
            self.assertEqual(self.deleted(world), gone)
            world.warehouse.forget()
            world.pawl("replay", str(world.job))
            self.assertEqual(self.deleted(world), gone)

    def test_twenty_vanished_rows_are_believed(self):
        with World(calls=600, accounts=1, first="2026-03-01", last="2026-03-11") as world:
            world.run("historic", *DAY)
            gone = sorted(self.ids(world, 1001)[:20])
            for call in gone:
                world.control("mutate", {"account": 1001, "id": call, "do": "delete"})
            world.run("rehydration", *DAY)
            self.assertEqual(self.deleted(world), gone)


class KnownRows(unittest.TestCase):
    """A page that comes back byte for byte is not shaped again, and nobody can tell but by the clock."""

    def read(self, world, days=MARCH, **env):
        """Reads March again: the report, and how many of the calls' pages were known."""
        done = world.run("rehydration", *days, env=env)
        events = [json.loads(line) for line in done.stderr.splitlines()]
        read = [e for e in events if e["event"] == "slice_read" and e["stream"] == "calls"]
        self.assertGreater(len(read), 0)
        return world.report(done), sum(e.get("pages_known", 0) for e in read), sum(e["pages"] for e in read)

    def rows_with(self, world, sql, key):
        done = world.pawl("query", str(world.job), sql, "--json", env={"PRIVACY_KEY": key.decode()})
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_unchanged_pages_are_known(self):
        with World(calls=600) as world:
            world.run("historic", *MARCH)
            whole = world.digest()
            for _ in range(2):  # the second time from what the first left
                report, known, pages = self.read(world)
                self.assertEqual(known, pages)
                self.assertEqual((report["inserted"], report["updated"], report["deleted"]), (0, 0, 0))
                self.assertGreater(report["unchanged"], 0)
                self.assertEqual(world.digest(), whole)

    @unittest.skipUnless(PYTHON, NO_PYTHON)
    def test_what_the_warehouse_lost_or_changed_comes_back(self):
        with World(calls=600) as world:
            world.run("historic", *MARCH)
            whole, count = world.digest(), world.value("SELECT count(*) FROM ctm.calls")
            ids = [row[0] for row in world.rows("SELECT id FROM ctm.calls ORDER BY id LIMIT 5")]
            world.by_hand(f"DELETE FROM ctm.calls WHERE id IN ({ids[0]}, {ids[1]})",
                          f"UPDATE ctm.calls SET _deleted_at = now() WHERE id = {ids[2]}",
                          "UPDATE ctm.calls SET notes = 'other', _row_hash = gen_random_uuid() "
                          f"WHERE id IN ({ids[3]}, {ids[4]})")
            report, known, _ = self.read(world)
            self.assertGreater(known, 0)
            self.assertEqual((report["inserted"], report["updated"]), (2, 3))
            self.assertEqual((world.value("SELECT count(*) FROM ctm.calls"), world.digest()), (count, whole))

    @unittest.skipUnless(PYTHON, NO_PYTHON)
    def test_known_pages_among_changed_ones_are_shaped_when_the_warehouse_lost_their_rows(self):
        # More changed rows than DuckDB takes at once: it is done with their pages when the known ones' turn comes.
        with World(calls=7200, accounts=1, first="2026-03-05", last="2026-03-06") as world:
            world.run("historic", *DAY)
            ids = world.control("mutate", {"account": 1001, "start_date": "2026-03-05", "end_date": "2026-03-05", "every": 1,
                                           "limit": 2500, "do": "edit", "set": {"notes": "late"}})["ids"]
            lost = f"FROM ctm.calls WHERE id NOT IN ({str(ids)[1:-1]})"
            gone = int(world.value(f"SELECT count(*) {lost}"))
            world.by_hand(f"DELETE {lost}")
            report, known, pages = self.read(world, DAY)
            self.assertEqual((report["inserted"], report["updated"]), (gone, len(ids)))
            self.assertTrue(0 < known < pages, (known, pages))
            whole = world.digest()
            world.forget_pawl()
            world.run("historic", *DAY)
            self.assertEqual(world.digest(), whole)

    def test_a_changed_page_is_shaped(self):
        with World(calls=600) as world:
            world.run("historic", *MARCH)
            call = int(world.value("SELECT min(id) FROM ctm.calls WHERE account_id = 1001"))
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"notes": "late"}})
            report, known, pages = self.read(world)
            self.assertEqual((report["updated"], known), (1, pages - 1))
            self.assertEqual(world.value(f"SELECT notes FROM ctm.calls WHERE id = {call}"), "late")

    def test_hashed_values_are_an_hmac_under_the_job_s_key(self):
        with World(calls=300) as world:
            job = json.loads(world.job.read_text())
            contract = json.loads((world.folder / job["streams"]["calls"]["contract"]).resolve().read_text())
            next(c for c in contract["columns"] if c["name"] == "agent_email")["privacy"] = "hash"
            world.run("historic", *MARCH)
            emails = {row[0]: row[1] for row in world.rows("SELECT id, agent_email FROM ctm.calls WHERE agent_email IS NOT NULL")}
            (world.folder / "calls.json").write_text(json.dumps(contract))
            job["streams"]["calls"]["contract"] = "calls.json"
            for key in (b"first", b"second"):
                job["privacy_key"] = "${env:PRIVACY_KEY}"
                world.job.write_text(json.dumps(job))
                report, known, _ = self.read(world, PRIVACY_KEY=key.decode())
                self.assertEqual((known, report["inserted"]), (0, 0), "rows that another key made are not believed")
                got = {row[0]: row[1] for row in self.rows_with(world, "SELECT id, agent_email FROM ctm.calls WHERE agent_email IS NOT NULL", key)}
                self.assertEqual(got, {i: hmac.new(key, email.encode(), hashlib.sha256).hexdigest()[:32] for i, email in emails.items()})
            self.assertGreater(len(emails), 40)
            job["privacy_key"] = "written out"
            world.job.write_text(json.dumps(job))
            refused = world.run("rehydration", *MARCH, check=False)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("/privacy_key", refused.stderr)
            self.assertNotIn("written out\"", refused.stderr)

    def test_what_another_contract_made_is_not_believed(self):
        with World(calls=600) as world:
            world.run("historic", *MARCH)
            job = json.loads(world.job.read_text())
            contract = (world.folder / job["streams"]["calls"]["contract"]).resolve()
            changed = json.loads(contract.read_text())
            changed["columns"].pop(next(i for i, c in enumerate(changed["columns"]) if c["name"] == "notes"))
            (world.folder / "calls.json").write_text(json.dumps(changed))
            job["streams"]["calls"]["contract"] = "calls.json"
            world.job.write_text(json.dumps(job))
            self.assertEqual(self.read(world)[1], 0)
            _, known, pages = self.read(world)
            self.assertEqual(known, pages)

    def test_what_another_time_zone_made_is_not_believed(self):
        with World(calls=600, job={"partitions": {"account_id": {"timezone_from": "/nowhere"}}}) as world:
            world.run("historic", *MARCH)
            job = json.loads(world.job.read_text())
            world.job.write_text(json.dumps({**job, "timezone": "America/New_York"}))
            self.assertEqual(self.read(world, DAY)[1], 0)
            _, known, pages = self.read(world, DAY)
            self.assertEqual(known, pages)

    def zones_say(self, world, **fields):
        """Accounts whose record says something else of their time zone."""
        job = json.loads(world.job.read_text())
        added = "".join(f'\n          - type: AddedFieldDefinition\n            path: [{name}]\n            value: "{value}"'
                        for name, value in fields.items())
        manifest = pathlib.Path(job["connector"]).read_text()
        with_zones = manifest.replace("    name: accounts\n", "    name: accounts\n    transformations:\n      - type: AddFields\n"
                                      f"        fields:{added}\n", 1)
        self.assertNotEqual(manifest, with_zones)
        (world.folder / "manifest.yaml").write_text(with_zones)
        world.job.write_text(json.dumps({**job, "connector": "manifest.yaml"}))

    def test_days_are_cut_in_the_zone_that_the_source_means(self):
        rails = "Eastern Time (US & Canada)"
        with World(calls=300) as world:
            calm, hinted, named, guessed = (world.copy(name) for name in ("calm", "hinted", "named", "guessed"))
            calm.run("historic", *MARCH)
            wanted = calm.digest("ctm.calls")

            def told(site, *partition):
                job = json.loads(site.job.read_text())
                site.job.write_text(json.dumps({**job, "partitions": {"account_id": dict(partition)}}))
                done = site.pawl("run", str(site.job), "--mode", "historic", *MARCH, "--stream", "calls", check=False)
                return done.returncode, done.stderr

            # A name that is no IANA zone beside one that is.
            self.zones_say(hinted, time_zone=rails)
            self.assertNotIn("time zone", told(hinted)[1])
            self.assertEqual(hinted.digest("ctm.calls"), wanted)
            # Nothing but the job tells what is meant.
            self.zones_say(named, time_zone=rails, timezone_hint="{{ none }}")
            zone = world.get("/accounts?per_page=1")["accounts"][0]["time_zone"]
            self.assertEqual(told(named, ("include", ["1001"]), ("timezones", {rails: zone}))[0], 0)
            one = "(SELECT * FROM ctm.calls WHERE account_id = 1001)"
            self.assertEqual(named.digest(one), calm.digest(one))
            # A guess is warned of, what the job points at is refused.
            self.zones_say(guessed, time_zone=rails, timezone_hint="{{ none }}")
            status, said = told(guessed)
            self.assertEqual(status, 0, said)
            self.assertIn(f"2 of 2 account_id are in a time zone that is unknown here, 1001 in '{rails}': "
                          "name the IANA zone under /partitions/account_id/timezones", said)
            status, said = told(guessed, ("timezone_from", "/time_zone"))
            self.assertEqual(status, 2, said)
            self.assertIn("calls: 2 of 2 account_id are in a time zone that is unknown here", said)
            status, said = told(guessed, ("timezones", {rails: "America/New_Yrok", "x": 1}))
            self.assertEqual(status, 2)
            self.assertIn(f"/partitions/account_id/timezones/{rails}: zone 'America/New_Yrok': no such time zone; did you mean", said)
            self.assertIn("/partitions/account_id/timezones/x: is no text", said)

    def test_damaged_notes_cost_time_only(self):
        with World(calls=600) as world:
            world.run("historic", *MARCH)
            whole = world.digest()
            for path in (world.folder / "lake").rglob("rows.bin"):
                path.write_bytes(path.read_bytes()[:-1])
            report, known, _ = self.read(world)
            self.assertEqual((report["updated"], known, world.digest()), (0, 0, whole))

    def test_drift_is_told_again_until_it_is_gone(self):
        # One page a day and account, then four pages of one day: of other slices, and of other pages, it was never.
        for words, size in ((MARCH, {"calls": 600}), (DAY, {"calls": 1200, "accounts": 1, "first": "2026-03-05", "last": "2026-03-06"})):
            with self.subTest(size), World(**size) as world:
                call = world.get("/accounts/1001/calls?start_date=2026-03-05&end_date=2026-03-05&per_page=150")["calls"][0]["id"]
                edit = lambda value: world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {"shoe_size": value}})

                def told(mode):
                    done = world.run(mode, *words)
                    return [e["text"] for e in map(json.loads, done.stderr.splitlines()) if e["event"] == "drift"]

                edit(44)
                first = told("historic")
                self.assertIn("shoe_size", first[0])
                self.assertEqual(told("rehydration"), first)
                edit(None)
                self.assertEqual([told("rehydration"), told("rehydration")], [[], []])


if __name__ == "__main__":
    unittest.main()
