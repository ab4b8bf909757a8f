"""A person who is erased is nowhere, and stays away: whatever is read, replayed or killed afterwards."""
import ctypes, gzip, json, os, shutil, signal, subprocess, unittest, uuid
from world import ROOT, World

KILLS = int(os.environ.get("PAWL_KILLS", "8"))
PHONE, EMAIL = "+15005550199", "canary@forget.example"
# Nobody else of the world has these, in whatever spelling.
TRACES = [b"5550199", b"555-0199", b"canary", b"Canary"]
DAYS = ("--from", "2026-03-03", "--to", "2026-03-08")

zstd = ctypes.CDLL("libzstd.so.1")
zstd.ZSTD_createDCtx.restype = ctypes.c_void_p
zstd.ZSTD_decompressDCtx.restype = ctypes.c_size_t
zstd.ZSTD_decompressDCtx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
context = zstd.ZSTD_createDCtx()
room = ctypes.create_string_buffer(16 * 1024 * 1024)


def unpack(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        return data + gzip.decompress(data)
    if path.suffix != ".zst":
        return data
    size = zstd.ZSTD_decompressDCtx(context, room, len(room), data, len(data))
    if size > len(room):
        raise AssertionError(f"{path} is no zstd file")
    return data + ctypes.string_at(room, size)


def traces(site):
    """Files of a site that hold a trace of the person."""
    return sorted(str(path.relative_to(site.folder)) for path in site.folder.rglob("*")
                  if path.is_file() and path.name != "sim.log" and not path.name.startswith("receipt")
                  and any(trace in unpack(path) for trace in TRACES))


def keys_noted(site, keys):
    """How many of the row keys stand anywhere among what is landed."""
    noted = [path.read_bytes() for path in (site.folder / "lake").rglob("rows.bin")]
    return sum(any(uuid.UUID(key).bytes in one for one in noted) for key in keys)


def rows_of(site, table="ctm.calls"):
    return int(site.value(f"SELECT count(*) FROM {table} t WHERE CAST(to_json(t) AS VARCHAR) LIKE '%5550199%' "
                          f"OR CAST(to_json(t) AS VARCHAR) LIKE '%555-0199%' OR CAST(to_json(t) AS VARCHAR) ILIKE '%canary%'"))


class Forget(unittest.TestCase):
    def insert(self, world, day, account=1001, **fields):
        unix = {3: 1772553600, 5: 1772726400, 6: 1772812800, 11: 1773230400, 12: 1773316800}[day]
        return world.control("mutate", {"account": account, "do": "insert", "unix_time": unix,
                                        "set": {"name": "Canary Jones", "notes": "canary", **fields}})["ids"][0]

    def people(self, world):
        """Calls of one person: by number in each of its places and spellings, by address, in both accounts."""
        other = {"caller_number": "+15005550100", "caller_number_complete": "+15005550100",
                 "contact_number": "+15005550100", "caller_number_bare": "5005550100", "email": None}
        self.ids = [
            self.insert(world, 3, caller_number="(500) 555-0199", caller_number_complete=PHONE),
            self.insert(world, 5, account=1002, **{**other, "contact_number": "500-555-0199"}),
            self.insert(world, 5, **{**other, "email": "Canary@Forget.example"}),
            self.insert(world, 6, **{**other, "emails": [EMAIL, "x@y.example"]}),
        ]

    def forget(self, site, *words, **options):
        done = site.pawl("forget", str(site.job), *words, "--json", **options)
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done

    def rows_erased(self, receipt):
        return {table["table"]: table["rows"] for table in receipt["tables"] if table["rows"]}

    def test_a_person_is_nowhere_and_stays_away(self):
        with World(calls=300) as world:
            self.people(world)
            world.run("historic", *DAYS)
            self.assertEqual(rows_of(world), 4)
            self.assertTrue(any("runs" in name for name in traces(world)))
            before = int(world.value("SELECT count(*) FROM ctm.calls"))
            keys = [row[0] for row in world.rows(f"SELECT _row_key FROM ctm.calls WHERE id IN ({str(self.ids)[1:-1]})")]
            self.assertEqual((len(keys), keys_noted(world, keys)), (4, 4))

            # A look changes nothing.
            dry = self.forget(world, "--phone", "(500) 555-0199", "--dry-run")
            self.assertEqual(self.rows_erased(dry), {"ctm.calls": 2})
            self.assertEqual(rows_of(world), 4)

            receipt_file = world.folder / "receipt.json"
            receipt = self.forget(world, "--phone", PHONE, "--receipt", str(receipt_file))
            self.assertEqual(json.loads(receipt_file.read_text()), receipt)
            self.assertEqual(self.rows_erased(receipt), {"ctm.calls": 2})
            self.assertEqual(receipt["landing"]["records"], 2)
            self.assertNotIn("5550199", json.dumps(receipt))
            self.assertEqual([(wait["where"], wait["what"].split(",")[0]) for wait in receipt["waits"]], [
                ("warehouse", "the disk's free blocks"), ("landing", "snapshots")])
            receipt = self.forget(world, "--email", "CANARY@forget.example ")
            self.assertEqual(self.rows_erased(receipt), {"ctm.calls": 2})
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), before - 4)
            self.assertEqual(traces(world), [])
            self.assertEqual(keys_noted(world, keys), 0)

            # The source still shows the person: nothing of it stays.
            report = world.report(world.run("rehydration", *DAYS))
            self.assertEqual(report["forgotten"], 4)
            self.assertEqual(report["deleted"], 0)
            self.assertEqual(keys_noted(world, keys), 0)
            self.insert(world, 11, caller_number=PHONE)
            world.advance("2026-03-12T18:00:00Z")
            self.insert(world, 12, email=EMAIL)
            self.assertGreater(world.report(world.run("incremental"))["forgotten"], 0)
            self.assertEqual(rows_of(world), 0)
            self.assertEqual(traces(world), [])

            # The warehouse is lost: what is landed gives the same table without the person.
            whole = world.digest()
            for path in world.folder.glob("ctm.duckdb*"):
                path.unlink()
            replayed = world.pawl("replay", str(world.job), "--json")
            self.assertGreater(json.loads(replayed.stdout.splitlines()[-1])["forgotten"], 0)
            self.assertEqual(world.digest(), whole)
            self.assertEqual(traces(world), [])

    def test_a_row_without_its_key_stops_it_and_is_erased_after_the_repair_that_it_names(self):
        with World(calls=60) as world:
            self.people(world)
            world.run("historic", *DAYS)
            # Tables of earlier releases stand without NOT NULL.
            world.by_hand("ALTER TABLE ctm.calls ALTER _row_key DROP NOT NULL",
                          f"UPDATE ctm.calls SET _row_key = NULL WHERE id = {self.ids[0]}")
            world.runs += 1
            done = self.forget(world, "--phone", PHONE, check=False)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("table ctm.calls: a row of this person has no _row_key", done.stderr)
            self.assertIn("`pawl audit JOB --table ctm.calls --repair`", done.stderr)
            self.assertEqual(rows_of(world), 4)
            world.runs += 1
            world.pawl("audit", str(world.job), "--table", "ctm.calls", "--repair", *DAYS)
            world.runs += 1
            self.assertEqual(self.rows_erased(self.forget(world, "--phone", PHONE)), {"ctm.calls": 2})
            self.forget(world, "--email", EMAIL)
            self.assertEqual((rows_of(world), traces(world)), (0, []))

    def test_quarantine_and_overflow_are_erased_too(self):
        with World(calls=100, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE)
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "raw": {"id": "null"}})
            self.insert(world, 3, caller_number="no number at all", caller_number_complete=None,
                        contact_number="+15005550100", alternative_number=PHONE)
            world.run("historic", *DAYS)
            self.assertEqual(rows_of(world, "ctm.calls__quarantine"), 1)
            receipt = self.forget(world, "--phone", PHONE)
            table = receipt["tables"][-1]
            self.assertEqual((table["rows"], table["quarantined"]), (1, 1))
            self.assertEqual(rows_of(world, "ctm.calls__quarantine"), 0)
            self.assertEqual(traces(world), [])

    def test_an_id_is_erased_as_it_is_written_however_odd(self):
        """JSON escapes some of it, LIKE has a meaning for some, and lower() knows letters that we leave as they are."""
        odd, address = 'CORP\\canary "x" 100%_\u00fc', "J\u00dcRGEN-canary@forget.example"
        with World(calls=100, accounts=1) as world:
            for sid in (odd, odd.replace("x", "y"), odd.upper(), 4711):
                self.insert(world, 3, visitor_sid=sid, name=None, notes=None)
            self.insert(world, 5, email=address, visitor_sid=None, name=None, notes=None)
            self.insert(world, 5, emails=[address.lower()], email=None, visitor_sid=None, name=None, notes=None)
            world.run("historic", *DAYS)
            before = int(world.value("SELECT count(*) FROM ctm.calls"))
            shutil.rmtree(world.folder / "lake/ctm/runs")  # their time was over: rows are found by what stands in them
            for words in (("--id", odd), ("--id", "4711")):
                self.assertEqual(self.rows_erased(self.forget(world, *words, "--dry-run")), {"ctm.calls": 1}, words)
                receipt = self.forget(world, *words)
                self.assertEqual(self.rows_erased(receipt), {"ctm.calls": 1}, words)
                self.assertNotIn("canary", json.dumps(receipt))
            # Of letters beyond ASCII none is taken for another.
            self.assertEqual(self.rows_erased(self.forget(world, "--email", address)), {"ctm.calls": 1})
            left = before - 3
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), left)
            # Read again, and out of what is landed: nobody comes back, and those who are only alike stay.
            self.assertEqual(world.report(world.run("rehydration", *DAYS))["forgotten"], 3)
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), left)
            world.warehouse.forget()
            world.pawl("replay", str(world.job))
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), left)

    def test_a_person_is_known_in_the_spellings_of_mails_and_web_pages(self):
        plain = {"caller_number": None, "caller_number_complete": None, "contact_number": None, "caller_number_bare": None, "email": None}
        records = [{"caller_number": "(500) 555-0199 x12"}, {"contact_number": "tel:+1-500-555-0199;ext=12"},
                   {"caller_number_complete": "+1\u00a0500\u00a0555\u20110199"}, {"email": "Canary Jones <Canary@Forget.example>"},
                   {"email": "bob@x.example; CANARY@forget.example"}, {"email": "canary+news@forget.example"}]
        with World(calls=60, accounts=1) as world:
            for record in records:
                self.insert(world, 3, **{**plain, **record})
            world.run("historic", *DAYS)
            for words in (["--phone", "500-555-0199 ext. 12"], ["--phone", "+15005550199 #3"], ["--email", "canary@forget.example, bob@x.example"]):
                self.assertEqual(self.forget(world, *words, check=False).returncode, 2, words)
            self.assertEqual(self.rows_erased(self.forget(world, "--phone", "\u202a+1\u00a0500\u00a0555\u00a00199\u202c")), {"ctm.calls": 3})
            self.assertEqual(self.rows_erased(self.forget(world, "--email", "Canary <canary@forget.example>")), {"ctm.calls": 2})
            # A tag is another address.
            self.assertEqual(rows_of(world), 1)
            self.assertEqual(world.report(world.run("rehydration", *DAYS))["forgotten"], 5)
            self.assertEqual(rows_of(world), 1)
            self.forget(world, "--email", "mailto:canary+news@forget.example")
            self.assertEqual((rows_of(world), traces(world)), (0, []))

    def test_a_record_of_many_values_is_erased_like_any_other(self):
        with World(calls=20, accounts=1) as world:
            self.insert(world, 3, caller_number=PHONE, ga=[i % 10 for i in range(1500000)])
            call = self.insert(world, 5, caller_number=PHONE, ga=[i % 10 for i in range(1500000)])
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "raw": {"id": "null"}})
            world.run("historic", *DAYS)
            table = self.forget(world, "--phone", PHONE)["tables"][-1]
            self.assertEqual((table["rows"], table["quarantined"]), (1, 1))
            self.assertEqual((rows_of(world), traces(world)), (0, []))

    def test_what_cannot_be_meant_is_refused(self):
        with World(calls=20, accounts=1) as world:
            for words in (["--phone", "anonymous"], ["--email", "nobody"], ["--id", ""], [], ["--phone", PHONE, "--email", EMAIL]):
                self.assertEqual(self.forget(world, *words, check=False).returncode, 2, words)

    def test_pages_that_cannot_be_written_anew_are_refused_where_people_must_be_erasable(self):
        with World(calls=20, accounts=1) as world:
            manifest = (ROOT / "connectors/ctm/manifest.yaml").read_text()
            job = json.loads(world.job.read_text())
            contract = json.loads((ROOT / "connectors/ctm/contracts/calls.json").read_text())
            person = next(i for i, column in enumerate(contract["columns"]) if "person" in column)
            for decoder in ("JsonlDecoder", "CsvDecoder", "JsonDecoder, encoding: iso-8859-1"):
                with self.subTest(decoder):
                    (world.folder / "manifest.yaml").write_text(
                        manifest.replace("type: SimpleRetriever\n", f"type: SimpleRetriever\n      decoder: {{type: {decoder}}}\n"))
                    world.job.write_text(json.dumps({**job, "connector": str(world.folder / "manifest.yaml")}))
                    for words in (["check", "--offline"], ["run", "--mode", "historic"], ["forget", "--phone", PHONE]):
                        done = world.pawl(words[0], str(world.job), *words[1:], check=False)
                        self.assertEqual(done.returncode, 2, (words, done.stdout, done.stderr))
                        every = (f"/columns/{person}/person", "/person", "/redacted")
                        for pointer in every[: 3 if words[0] == "check" else 1]:  # the others name the first fault
                            self.assertIn(f"/contracts/calls.json: {pointer}: nothing can be erased from landed pages of stream "
                                          "'calls'", done.stdout + done.stderr)
                        self.assertNotIn("contracts/accounts.json", done.stdout + done.stderr)  # names nobody

    def test_people_are_told_what_went_and_what_waits(self):
        """Without --json. Who must not stand in a list of processes comes on standard input."""
        with World(calls=60) as world:
            self.people(world)
            world.run("historic", *DAYS)
            receipt = world.folder / "receipt.json"
            for words, verb, end in (
                    (["--dry-run"], "would be erased", ["nothing was written", "next: the same command without --dry-run"]),
                    (["--receipt", str(receipt)], "erased", ["the person stays out of every later run and replay",
                                                             f"next: file the receipt, {receipt}"]),
                    ([], "erased", ["the person stays out of every later run and replay", f"next: pawl status {world.job}"])):
                command, env = world.command("forget", str(world.job), "--phone", "-", *words)
                done = subprocess.run(command, env=env, input=f"{PHONE}\n", capture_output=True, text=True, timeout=120)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                told = done.stdout.splitlines()
                count = 2 if words else 0  # the third time nothing is left of him
                self.assertRegex(told[0], rf"^landing store: {count} records in {count} of \d+ pages {verb}$")
                self.assertEqual([line for line in told if line.startswith("ctm.")],
                                 [f"ctm.calls: 2 rows and 0 quarantined ones {verb}"] if words else [])
                self.assertIn("waits: the disk's free blocks, snapshots and backups of the file", told)
                self.assertEqual(told[-2:], end)
            self.assertEqual(json.loads(receipt.read_text())["landing"]["records"], 2)
            command, env = world.command("forget", str(world.job), "--phone", "-")
            done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 2)
            self.assertIn("nothing came on standard input", done.stderr)

    def mask_persons(self, world):
        """From now on nothing in the table names a person: only landed pages do."""
        job = json.loads(world.job.read_text())
        contract = json.loads((world.folder / job["streams"]["calls"]["contract"]).resolve().read_text())
        for path in [*contract["person"], "/caller_number", "/caller_number_complete"]:
            contract["privacy"].setdefault(path.removesuffix("/*"), "drop")
        for column in contract["columns"]:
            if "person" in column:
                column["privacy"] = "hash"
                for path in column.get("from", []):
                    contract["privacy"].pop(path, None)
        (world.folder / "calls.json").write_text(json.dumps(contract))
        job["streams"]["calls"]["contract"] = str(world.folder / "calls.json")
        world.job.write_text(json.dumps(job))

    def kill_everywhere(self, world, *also):
        """At a sample of the points and at all that hold one of the words `also`."""
        calm = world.copy("calm")
        receipt = self.forget(calm, "--phone", PHONE, env={"PAWL_TEST_KILL_LIST": str(calm.folder / "points")})
        self.assertEqual(self.rows_erased(receipt), {"ctm.calls": 2})
        points = list(dict.fromkeys((calm.folder / "points").read_text().splitlines()))
        (calm.folder / "points").unlink()
        wanted = calm.digest()
        chosen = points if KILLS == 0 else [points[i * len(points) // KILLS] for i in range(min(KILLS, len(points)))]
        chosen += [point for point in points if any(word in point for word in also)]
        for number, point in enumerate(dict.fromkeys(chosen)):
            with self.subTest(point=point):
                site = world.copy(f"kill-{number}")
                killed = self.forget(site, "--phone", PHONE, env={"PAWL_TEST_KILL_AT": point}, check=False)
                self.assertEqual(killed.returncode, -signal.SIGKILL, point)
                # What runs meanwhile brings nobody back, and reads what is landed.
                before = site.value("SELECT count(*) FROM ctm.calls")
                site.pawl("replay", str(site.job), "--json")
                self.assertEqual(site.value("SELECT count(*) FROM ctm.calls"), before)
                # The receipt tells of all that went, whichever call did it.
                again = self.forget(site, "--phone", PHONE)
                self.assertEqual((self.rows_erased(again), again["landing"]["records"]), ({"ctm.calls": 2}, 2))
                self.assertFalse(any((site.folder / "lake/ctm/forgetting").iterdir()))
                self.assertEqual(site.digest(), wanted)
                self.assertEqual([name for name in traces(site) if "5550199".encode() in unpack(site.folder / name)], [])
                site.warehouse.forget()
                site.pawl("replay", str(site.job), "--json")
                self.assertEqual(site.digest(), wanted, "manifests fit their pages")
                site.remove()
        calm.remove()

    def test_a_kill_anywhere_leaves_work_for_the_next_call_and_nothing_else(self):
        with World(calls=200) as world:
            self.people(world)
            world.run("historic", *DAYS)
            self.kill_everywhere(world, "forget", "swap")

    def test_a_kill_anywhere_leaves_no_row_that_only_its_landed_page_names(self):
        with World(calls=200) as world:
            self.people(world)
            self.mask_persons(world)
            world.run("historic", *DAYS)
            self.assertEqual(rows_of(world, "(SELECT * EXCLUDE (caller_name, notes, email) FROM ctm.calls)"), 0)
            self.kill_everywhere(world, "forget", "page rewrit", "page was rewritten")

    def ask_for_gzip(self, world):
        manifest = (ROOT / "connectors/ctm/manifest.yaml").read_text()
        (world.folder / "manifest.yaml").write_text(manifest.replace(
            "  requester:\n    type: HttpRequester\n", "  requester:\n    type: HttpRequester\n    request_headers: {Accept-Encoding: gzip}\n", 1))
        world.job.write_text(json.dumps({**json.loads(world.job.read_text()), "connector": str(world.folder / "manifest.yaml")}))

    def test_a_page_that_can_be_looked_at_and_not_be_done_is_told(self):
        with World(calls=60, accounts=1, sim=("--compress",)) as world:
            self.ask_for_gzip(world)
            world.run("historic", *DAYS)
            page = next((world.folder / "lake/ctm/runs").rglob("calls/*/00000000/*.json.gz"))
            newer = page.with_suffix(".zst")
            newer.write_bytes(b"the disk lost what a rewrite had put here")
            done = self.forget(world, "--phone", PHONE, check=False)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("1 landed pages cannot be read", done.stderr)
            self.assertEqual(json.loads(done.stdout)["landing"]["pages_unreadable"], 1)
            newer.unlink()
            self.forget(world, "--phone", PHONE)

    def test_a_receipt_that_cannot_be_written_is_told_before_anything_is_erased(self):
        with World(calls=60) as world:
            self.people(world)
            world.run("historic", *DAYS)
            for receipt, code, said in ((world.folder / "none/receipt.json", 5, "--receipt: "), (world.folder, 2, "is a folder"), ("", 2, "names no file")):
                done = self.forget(world, "--phone", PHONE, "--receipt", str(receipt), check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(said, done.stderr)
            self.assertEqual(rows_of(world), 4)
            self.assertFalse((world.folder / "lake/ctm/forgotten.json").exists())
            # One that is there stays as long as there is no other.
            earlier = world.folder / "receipt.json"
            earlier.write_text("earlier")
            self.forget(world, "--phone", "anonymous", "--receipt", str(earlier), check=False)
            self.assertEqual(earlier.read_text(), "earlier")
            self.forget(world, "--phone", "anonymous", "--receipt", str(world.folder / "new.json"), check=False)
            self.assertFalse((world.folder / "new.json").exists())
            receipt = self.forget(world, "--phone", PHONE, "--receipt", str(earlier))
            self.assertEqual(json.loads(earlier.read_text()), receipt)

    def test_a_kill_leaves_no_page_as_the_server_packed_it_behind_the_one_that_took_its_place(self):
        """The first page of all: of those that follow it is expected that they are packed as the one before."""
        with World(calls=60, accounts=1, sim=("--compress",)) as world:
            self.ask_for_gzip(world)
            for day in (3, 5):
                self.insert(world, day, caller_number=PHONE)
            world.run("historic", *DAYS)
            pages = lambda: [path for path in (world.folder / "lake/ctm/runs").rglob("*.json.gz")
                             if b"5550199" in unpack(path)]
            self.assertEqual(len(pages()), 2)
            points = world.folder / "points"
            self.forget(world.copy("listed"), "--phone", PHONE, env={"PAWL_TEST_KILL_LIST": str(points)})
            shutil.rmtree(world.folder / "listed")
            rewritten = [point for point in points.read_text().splitlines() if point.startswith("page was rewritten")]
            self.assertEqual(len(rewritten), 2)
            points.unlink()
            for left, point in zip((2, 1), rewritten):
                killed = self.forget(world, "--phone", PHONE, env={"PAWL_TEST_KILL_AT": point}, check=False)
                self.assertEqual((killed.returncode, len(pages())), (-signal.SIGKILL, left))
                self.assertEqual([path.with_suffix(".zst").exists() for path in pages()].count(True), 1)
                dry = self.forget(world, "--phone", PHONE, "--dry-run")
                self.assertEqual(dry["landing"]["records"], left, point)
            receipt = self.forget(world, "--phone", PHONE)
            self.assertEqual((receipt["landing"]["records"], receipt["landing"]["pages_rewritten"]), (2, 2), "of all three calls")
            self.assertEqual(traces(world), [])
            whole = world.digest()
            world.warehouse.forget()
            world.pawl("replay", str(world.job))
            self.assertEqual(world.digest(), whole, "manifests fit their pages")

    def test_a_power_loss_hides_no_page_of_a_slice_that_is_not_whole(self):
        with World(calls=300, accounts=1, job={"config": {"per_page": 5}}) as world:
            for _ in range(3):
                self.insert(world, 3, caller_number=PHONE)
            points = world.folder / "points"
            listed = world.copy("listed")
            listed.run("historic", *DAYS, env={"PAWL_TEST_KILL_LIST": str(points)})
            point = next(p for p in points.read_text().splitlines() if p.startswith("slice manifest put, calls") and "slice 0 " in p)
            listed.remove()
            points.unlink()
            killed = world.run("historic", *DAYS, env={"PAWL_TEST_KILL_AT": point}, check=False)
            self.assertEqual(killed.returncode, -signal.SIGKILL)
            pages = lambda: sorted((world.folder / "lake/ctm/runs").rglob("calls/*/00000000/*.json.zst"))
            self.assertGreater(len(pages()), 4)
            of_person = [path for path in pages()[2:] if b"5550199" in unpack(path)]
            self.assertNotEqual(of_person, [])
            pages()[0].write_bytes(pages()[0].read_bytes()[:20])
            pages()[1].unlink()
            done = self.forget(world, "--phone", PHONE, check=False)
            self.assertEqual(done.returncode, 3, done.stderr)  # what is torn may name anybody
            self.assertIn("1 landed pages cannot be read", done.stderr)
            self.assertEqual([path for path in of_person if b"5550199" in unpack(path)], [])
            # Where all are torn, nobody knows even whose they are.
            for path in pages():
                path.write_bytes(path.read_bytes()[:20])
            done = self.forget(world, "--phone", PHONE, check=False)
            self.assertIn(f"{len(pages())} landed pages cannot be read", done.stderr)
            for path in pages():
                path.unlink()
            self.forget(world, "--phone", PHONE)
            self.assertTrue(world.report(world.run("historic", *DAYS))["resumed"])
            self.assertEqual((rows_of(world), traces(world)), (0, []))

    def test_a_redacted_call_loses_its_older_copies(self):
        with World(calls=100, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE, summary="canary summary")
            world.run("historic", *DAYS)
            self.assertEqual(rows_of(world), 1)
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {
                "redacted": True, "name": None, "notes": None, "summary": None, "caller_number": None,
                "caller_number_complete": None, "caller_number_bare": None, "contact_number": None}})
            world.run("rehydration", *DAYS)
            self.assertEqual(int(world.value(f"SELECT count(*) FROM ctm.calls WHERE id = {call} AND notes IS NULL")), 1)
            self.assertEqual(rows_of(world), 0)
            self.assertEqual(traces(world), [])
            self.assertEqual(list((world.folder / "lake/ctm/redacted").glob("*")), [])
            receipt = world.redaction_receipt()
            self.assertEqual((receipt["landing"]["records"], receipt["warehouse_rewritten"]), (1, True))
            self.assertEqual([wait["where"] for wait in receipt["waits"]], ["warehouse", "landing"])
            shown = world.pawl("status", str(world.job)).stdout
            self.assertIn("redacted by the source: 1 records, older copies purged", shown)
            self.assertIn("waits: warehouse: the disk's free blocks", shown)
            # Seen again, it is no news.
            world.run("rehydration", *DAYS)
            self.assertEqual(list((world.folder / "lake/ctm/redacted").glob("*")), [])
            self.assertEqual(world.redaction_receipt(), receipt)
            for path in world.folder.glob("ctm.duckdb*"):
                path.unlink()
            world.pawl("replay", str(world.job), "--json")
            self.assertEqual(world.value(f"SELECT count(*) FROM ctm.calls WHERE id = {call}"), "1")
            self.assertEqual(traces(world), [])

    def test_a_kill_beside_the_receipt_of_a_redaction(self):
        """The notes go after the receipt: who was killed before says it again, and no redaction is without one."""
        with World(calls=40, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE)
            world.run("historic", *DAYS)
            world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {
                "redacted": True, "name": None, "notes": None, "caller_number": None, "caller_number_complete": None,
                "caller_number_bare": None, "contact_number": None}})
            for number, (point, receipts) in enumerate((("receipt put", 1), ("receipt was put", 2))):
                with self.subTest(point=point):
                    site = world.copy(f"kill-{number}")
                    killed = site.run("rehydration", *DAYS, env={"PAWL_TEST_KILL_AT": point}, check=False)
                    self.assertEqual(killed.returncode, -signal.SIGKILL)
                    self.assertEqual(len(list((site.folder / "lake/ctm/redacted").glob("*"))), 1)
                    site.run("rehydration", *DAYS)
                    self.assertEqual(traces(site), [])
                    self.assertEqual(list((site.folder / "lake/ctm/redacted").glob("*")), [])
                    site.redaction_receipt(receipts)
                    site.remove()

    def redact(self, world, call):
        world.control("mutate", {"account": 1001, "id": call, "do": "edit", "set": {
            "redacted": True, "name": None, "notes": None, "summary": None, "caller_number": None,
            "caller_number_complete": None, "caller_number_bare": None, "contact_number": None}})

    def notes(self, world):
        return list((world.folder / "lake/ctm/redacted").glob("*"))

    def test_a_redaction_waits_for_the_run_that_has_seen_it(self):
        """Until its load is in, the table still holds what the source took away: nobody else says that it is gone."""
        with World(calls=60, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE, summary="canary summary")
            world.run("historic", *DAYS)
            self.redact(world, call)
            points = world.folder / "points"
            listed = world.copy("listed")
            listed.run("rehydration", *DAYS, env={"PAWL_TEST_KILL_LIST": str(points)})
            point = next(point for point in points.read_text().splitlines() if point.startswith("redacted was put"))
            listed.remove()
            killed = world.run("rehydration", *DAYS, env={"PAWL_TEST_KILL_AT": point}, check=False)
            self.assertEqual(killed.returncode, -signal.SIGKILL)
            world.run("incremental")
            self.forget(world, "--id", "nobody")
            self.assertEqual((len(self.notes(world)), rows_of(world)), (1, 1))
            self.assertEqual(json.loads(world.pawl("status", str(world.job), "--json").stdout)["receipts_total"], 0)
            self.assertTrue(world.report(world.run("rehydration", *DAYS))["resumed"])
            self.assertEqual((self.notes(world), rows_of(world), traces(world)), ([], 0, []))
            self.assertEqual(world.redaction_receipt()["landing"]["records"], 1)

    def test_a_redaction_of_a_run_that_was_given_up_is_noted_again(self):
        with World(calls=60, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE, summary="canary summary")
            world.run("historic", *DAYS)
            self.redact(world, call)
            points = world.folder / "points"
            listed = world.copy("listed")
            listed.run("rehydration", *DAYS, env={"PAWL_TEST_KILL_LIST": str(points)})
            point = next(point for point in points.read_text().splitlines() if point.startswith("redacted was put"))
            listed.remove()
            points.unlink()
            world.run("rehydration", *DAYS, env={"PAWL_TEST_KILL_AT": point}, check=False)
            self.assertEqual(len(self.notes(world)), 1)
            world.run("rehydration", "--start-over", "--from", "2026-03-06", "--to", "2026-03-08")
            # Its day was not loaded: the pages are clean, and nothing says that the row is.
            self.assertEqual((self.notes(world), rows_of(world)), ([], 1))
            self.assertEqual(json.loads(world.pawl("status", str(world.job), "--json").stdout)["receipts_total"], 0)
            self.assertFalse(any("runs" in name for name in traces(world)))
            world.run("rehydration", *DAYS)
            self.assertEqual((self.notes(world), rows_of(world), traces(world)), ([], 0, []))
            world.redaction_receipt()

    def test_a_redaction_that_was_loaded_before_its_run_was_given_up_has_its_receipt(self):
        with World(calls=60, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE)
            world.run("historic", *DAYS)
            self.redact(world, call)
            killed = world.run("rehydration", *DAYS, env={"PAWL_TEST_KILL_AT": "forget list put"}, check=False)
            self.assertEqual((killed.returncode, len(self.notes(world)), rows_of(world)), (-signal.SIGKILL, 1, 0))
            world.run("rehydration", "--start-over", "--from", "2026-03-06", "--to", "2026-03-08")
            self.assertEqual((self.notes(world), traces(world)), ([], []))
            world.redaction_receipt()

    def test_a_redaction_waits_where_slices_of_its_run_have_failed(self):
        with World(calls=60) as world:
            call = self.insert(world, 3, caller_number=PHONE)
            world.run("historic", *DAYS)
            self.redact(world, call)
            world.control("forbid", {"account": 1002})
            self.assertEqual(world.run("rehydration", *DAYS, check=False).returncode, 4)
            self.assertEqual(len(self.notes(world)), 1)
            world.control("forbid", {"account": 1002, "from": None})
            world.run("rehydration", *DAYS)
            self.assertEqual((self.notes(world), traces(world)), ([], []))
            world.redaction_receipt()

    def test_a_redaction_is_not_done_while_a_page_cannot_be_read(self):
        with World(calls=60, accounts=1) as world:
            call = self.insert(world, 3, caller_number=PHONE)
            world.run("historic", *DAYS)
            page = next(path for path in (world.folder / "lake/ctm/runs").rglob("*.json.zst") if b"5550199" in unpack(path))
            whole = page.read_bytes()
            page.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            self.redact(world, call)
            for count in (1, 2):
                world.run("rehydration", *DAYS)
                self.assertEqual((len(self.notes(world)), rows_of(world)), (count, 0))
            row = world.rows("SELECT status, error FROM etl_log WHERE stage = 'purge'")
            self.assertEqual([(status, "older copies cannot be read" in str(error)) for status, error in row], [("failed", True)] * 2)
            done = self.forget(world, "--id", "nobody", check=False)
            self.assertEqual((done.returncode, len(self.notes(world))), (3, 2))
            page.write_bytes(whole)
            world.run("rehydration", *DAYS)
            self.assertEqual((self.notes(world), traces(world)), ([], []))
            self.assertEqual(world.redaction_receipt()["landing"]["records"], 1)


if __name__ == "__main__":
    unittest.main()
