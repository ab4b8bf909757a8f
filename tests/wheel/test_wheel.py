"""The wheel as a user has it: made, installed, loaded; its library by its list of symbols; its rows in the libraries that
take Arrow."""
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import world  # noqa: E402
from azure import make_certificate  # noqa: E402

ROOT, BUILD = world.ROOT, world.BUILD
PLAIN = BUILD.name in ("debug", "release", "cover")
INSTALL_CPU_S = 3


def exported(path):
    """Names that others may link with; in small letters nm shows what is local."""
    lines = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    return {name for _, kind, name in (line.split() for line in lines.splitlines()) if kind.isupper()}


# What Ubuntu 22.04 has of the libraries that a wheel may take from the machine, and RHEL from 10 on: the newest version of each family.
NEWEST = {"GLIBC": (2, 35), "GCC": (12, 0, 0), "ZLIB": (1, 2, 11)}


def versions_needed(path, names):
    """{(family, version)} of what a binary asks of the libraries `names` of the machine, symbols or not (GLIBC_ABI_DT_RELR is none)."""
    text = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True).stdout
    found = set()
    for library, list_ in re.findall(r"^  required from (\S+):\n((?:    .*\n)*)", text, re.MULTILINE):
        if library not in names:
            found |= {tuple(name.split("_", 1)) for name in re.findall(r"\S+$", list_, re.MULTILINE)}
    return found


def too_new(path, own=()):
    """What the machines that the wheel is for have not."""
    def known(family, version):
        numbers = version.split(".")
        return all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) <= NEWEST.get(family, ())
    return sorted("_".join(need) for need in versions_needed(path, own) if not known(*need))


def library_made_of(folder, code, *words):
    path = folder / "libtried.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, *words], input=code, text=True, check=True)
    return path


class AbiTest(unittest.TestCase):
    def test_the_library_exports_what_the_header_declares_and_nothing_else(self):
        header = (ROOT / "include/pawl/pawl.h").read_text()
        declared = set(re.findall(r"^PAWL_API [^;(]*?\b(pawl_\w+)\(", header, re.MULTILINE))
        listed = set(re.findall(r"^    (pawl_\w+);", (ROOT / "src/api/libpawl.map").read_text(), re.MULTILINE))
        self.assertGreater(len(declared), 20)
        self.assertEqual(declared, listed)
        self.assertEqual({f"{name}@@PAWL_0" for name in declared} | {"PAWL_0"}, exported(BUILD / "libpawl.so"))

    def test_the_binding_knows_the_structs_as_the_header_has_them(self):
        # Compiled once, so that a member added on one side only is found here, not in a crash.
        code = '#include <stdio.h>\n#include "pawl/pawl.h"\nint main(void) { printf("%zu %zu %zu %zu %zu", '
        code += ", ".join(f"sizeof({name})" for name in
                          ("PawlError", "PawlOptions", "PawlReadOptions", "PawlReport", "PawlLogRow")) + "); }"
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["gcc", "-I", ROOT / "include", "-x", "c", "-", "-o", f"{folder}/sizes"], input=code, text=True,
                           check=True)
            sizes = subprocess.run([f"{folder}/sizes"], capture_output=True, text=True, check=True).stdout
        script = ("import ctypes, pawl._lib as l; print(*(ctypes.sizeof(s) for s in "
                  "(l.Error, l.Options, l.ReadOptions, l.Report, l.LogRow)), end='')")
        if not PLAIN:
            self.skipTest("a sanitized library cannot be loaded into a plain Python")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "PAWL_LIBRARIES": str(BUILD)})
        self.assertEqual(done.stdout, sizes)


# Where each system has its certificates, and whether the one of this test is among them.
PLACES = {"ubuntu": ("etc/ssl/certs/ca-certificates.crt", True), "rhel": ("etc/pki/tls/certs/ca-bundle.crt", True),
          "rhel that does not trust us": ("etc/pki/tls/certs/ca-bundle.crt", False), "a system without any": ("", True)}
IN_ROOT = """
set -e
mount -t tmpfs none "$1"
mkdir -p "$1/usr" "$1/proc" "$1/dev" "$1/tmp" "$1/etc"
for name in bin lib lib64; do ln -s "usr/$name" "$1/$name"; done
mount --rbind /usr "$1/usr"; mount --rbind /proc "$1/proc"; mount --rbind /dev "$1/dev"; mount --rbind /tmp "$1/tmp"
if [ -n "$3" ]; then mkdir -p "$(dirname "$1/$3")"; cp "$2" "$1/$3"; fi
root=$1; shift 3
exec chroot "$root" "$@"
"""


ALONE = """
import fcntl, socket, struct, sys
with socket.socket() as one:  # loopback up
    fcntl.ioctl(one, 0x8914, struct.pack("16sH14x", b"lo", 1))
program, folder = sys.argv[1:]
sys.path.insert(0, folder)
import world
class Site(world.World):
    def command(self, *words, env=None):
        return [program, *words], super().command(*words, env=env)[1]
with Site(calls=60, job={"lake": {"format": "delta", "path": "./delta"}}) as site:
    site.run("historic")
    print(site.value("SELECT count(*) FROM ctm.calls"),
          site.value(f"SELECT count(*) FROM read_parquet('{site.folder}/delta/ctm/calls/*.parquet')"))
"""


def rooted():
    """How a process gets mounts of its own: as root, or as root of a user namespace; None where neither is allowed."""
    for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return None


class Front:
    """TLS before the simulator, with a certificate that was made for this test."""

    def __init__(self, folder, port):
        key, self.certificate = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    with context.wrap_socket(self.request, server_side=True) as near, socket.create_connection(("127.0.0.1", port)) as far:
                        back = threading.Thread(target=copy, args=(far, near), daemon=True)
                        back.start()
                        copy(near, far)
                        back.join()
                except OSError:
                    pass  # who did not trust us went away

        def copy(source, target):
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@unittest.skipUnless(PLAIN, "a sanitized library cannot be loaded into a plain Python")
class WheelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="pawl-wheel-test-")
        folder = pathlib.Path(cls.scratch.name)
        made = subprocess.run([ROOT / "tools/wheel", BUILD, folder], capture_output=True, text=True)
        if made.returncode != 0:
            raise AssertionError(made.stdout + made.stderr)
        cls.wheel = pathlib.Path(made.stdout.strip())
        cls.python = subprocess.run([ROOT / "tools/deps", "--venv", "arrow"], capture_output=True, text=True,
                                    check=True).stdout.strip()
        cls.site = folder / "site"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([cls.python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-index", "--no-deps",
                        "--target", cls.site, cls.wheel], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cls.install_cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        cls.world = world.World(calls=300)
        cls.world.run("historic")

    @classmethod
    def tearDownClass(cls):
        cls.world.close()
        cls.scratch.cleanup()

    def run_python(self, *words, check=True):
        environment = self.world.command()[1] | {"PYTHONPATH": str(self.site)}
        done = subprocess.run([self.python, *map(str, words)], env=environment, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def test_the_name_says_where_it_runs_and_every_binary_keeps_to_that(self):
        self.assertRegex(self.wheel.name, r"^pawl_ingest-[0-9.]+-py3-none-manylinux_2_35_x86_64\.whl$")
        with zipfile.ZipFile(self.wheel) as archive:
            inside = {name for name in archive.namelist() if archive.read(name)[:4] == b"\x7fELF"}
        binaries = [path for path in self.site.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
        # All there are, ours and those put beside them; nothing was left out on the way from the archive.
        self.assertEqual({str(path.relative_to(self.site)) for path in binaries}, inside)
        self.assertGreater(len([name for name in inside if name.startswith("pawl_ingest.libs/")]), 5)
        self.assertLessEqual({"pawl/libpawl.so", "pawl/libpawl_capsule.so", "pawl/bin/pawl"}, inside)
        names = {path.name for path in binaries}
        for path in binaries:
            self.assertIn("GLIBC", {family for family, _ in versions_needed(path, names)} or {"GLIBC"}, path.name)
            self.assertEqual(too_new(path, names), [], path.name)

    def test_what_is_too_new_is_noticed(self):
        folder = pathlib.Path(self.scratch.name)
        fine = library_made_of(folder, "#include <unistd.h>\nint f(void) { return getpid(); }")
        self.assertEqual(too_new(fine), [])
        newer = library_made_of(folder, "unsigned arc4random(void);\nunsigned f(void) { return arc4random(); }")
        self.assertEqual(too_new(newer), ["GLIBC_2.36"])
        # No symbol asks for this, but an older loader refuses the library.
        packed = library_made_of(folder, "#include <unistd.h>\nint f(void) { return getpid(); }\nvoid *p[] = {f};", "-Wl,-z,pack-relative-relocs")
        self.assertEqual(too_new(packed), ["GLIBC_ABI_DT_RELR"])

    def test_it_brings_what_it_needs_but_for_the_c_library(self):
        own = subprocess.run(["ldd", self.site / "pawl/libpawl.so"], capture_output=True, text=True, check=True).stdout
        outside = {line.split()[0] for line in own.splitlines() if "=> /" in line and str(self.site) not in line}
        self.assertLessEqual({re.sub(r"\.so.*", "", name) for name in outside},
                             {"libc", "libm", "libdl", "libpthread", "librt", "libresolv", "libz", "libgcc_s"})

    def test_certificates_are_found_where_each_system_keeps_them(self):
        """The program in a root whose /etc has nothing but certificates, where Ubuntu or RHEL keeps them."""
        namespaces = rooted()
        if namespaces is None:
            self.skipTest("no mounts of one's own are allowed here")
        with world.World(calls=60) as site:
            site.run("historic")
            wanted = site.digest()
            front = Front(site.folder, site.port)
            self.addCleanup(front.close)
            # What they read lies below /tmp, which the root has; /work, or where else the tests are, it has not.
            shutil.copytree(ROOT / "connectors", site.folder / "connectors")
            site.write_job(world.STREAMS, {"config": {"base_url": front.url + "/api/v1"}})
            job = json.loads(site.job.read_text().replace(str(ROOT / "connectors"), str(site.folder / "connectors")))
            site.job.write_text(json.dumps(job))
            root, other = site.folder / "root", site.folder / "other"
            root.mkdir()
            other.mkdir()
            _, strange = make_certificate(other)
            for system, (place, trusted) in PLACES.items():
                with self.subTest(system):
                    site.forget_pawl()
                    _, environment = site.command()
                    environment.pop("SSL_CERT_FILE", None)
                    done = subprocess.run([*namespaces, "sh", "-c", IN_ROOT, "sh", root, front.certificate if trusted else strange, place, self.site / "pawl/bin/pawl",
                                           "run", site.job, "--mode", "historic"], env=environment, capture_output=True, text=True, timeout=120)
                    if place and trusted:
                        self.assertEqual(done.returncode, 0, done.stderr[-1000:])
                        self.assertEqual(site.digest(), wanted)
                    else:
                        self.assertNotEqual(done.returncode, 0)
                        self.assertIn("certificate", done.stderr.splitlines()[-2])

    def test_nothing_is_fetched_on_first_use(self):
        """A whole run with a lake, where no network is but loopback, and no home that anything was fetched to before."""
        namespaces = rooted()
        if namespaces is None:
            self.skipTest("no network of one's own is allowed here")
        home = pathlib.Path(self.scratch.name) / "home"
        home.mkdir()
        done = subprocess.run([*namespaces, "--net", sys.executable, "-c", ALONE, self.site / "pawl/bin/pawl", pathlib.Path(world.__file__).parent],
                              env=os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home)}, capture_output=True, text=True,
                              timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, "60 60\n"), done.stderr[-1000:])
        self.assertEqual(list(home.iterdir()), [])

    def test_it_is_installed_quickly(self):
        self.assertLessEqual(self.install_cpu_s, INSTALL_CPU_S)

    def test_the_command_is_the_program(self):
        environment = {"PYTHONPATH": str(self.site), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([self.python, self.site / "bin/pawl", "--version"], env=environment, capture_output=True,
                              text=True)
        version = re.search(r"project\(pawl VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
        self.assertEqual((done.returncode, done.stdout), (0, f"pawl {version}\n"))
        checked = subprocess.run([self.site / "pawl/bin/pawl", "status", self.world.job], capture_output=True, text=True,
                                 env=self.world.command()[1])
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_each_library_takes_the_rows_as_they_are_in_the_warehouse(self):
        rows, seconds = map(float, self.world.rows("SELECT count(*), sum(duration) FROM ctm.calls")[0])
        job = json.loads(self.world.job.read_text())
        job["streams"] = {"calls": job["streams"]["calls"]}
        one = self.world.folder / "calls.json"
        one.write_text(json.dumps(job))
        columns = None
        for library in ("pyarrow", "polars", "pandas", "duckdb"):
            seen = json.loads(self.run_python(pathlib.Path(__file__).with_name("reader.py"), library, one).stdout)
            self.assertEqual(seen["copied"], None if library == "duckdb" else False, library)
            self.assertEqual(seen["rows"], rows, library)
            self.assertAlmostEqual(seen["seconds"], seconds, 3, library)
            columns = columns or seen["columns"]
            self.assertEqual(seen["columns"], columns, library)

    def script(self, text, check=True):
        return self.run_python("-c", f"import pawl, pyarrow as pa\nJOB = {str(self.world.job)!r}\n" + text, check=check)

    def test_a_plan_is_rows_and_any_of_them_can_be_read(self):
        done = self.script("""
job = pawl.Job(JOB)
slices = pa.table(job.plan("historic", stream="calls"))
whole = pa.table(job.read_slices(slices, "calls"))
parts = [pa.table(job.read_slices(slices.slice(i, 5), "calls")) for i in range(0, len(slices), 5)]
keys = lambda t: sorted(t["_row_key"].to_pylist())
assert keys(whole) == keys(pa.concat_tables(parts)) and len(whole) == 300, len(whole)
assert len(pa.table(job.read_slices(slices.slice(0, 0), "calls"))) == 0
""")
        self.assertEqual(done.stderr, "")

    def test_faults_are_exceptions_with_a_code_and_what_to_do(self):
        done = self.script("""
for call, code in ((lambda: pawl.Job(JOB + "x"), "NOT_FOUND"), (lambda: pa.table(pawl.read(JOB, "cals")), "JOB"),
                   (lambda: pa.table(pawl.plan(JOB, "hysteric")), "JOB"),
                   (lambda: pa.table(pawl.Job(JOB).land(pa.table(pawl.plan(JOB, "historic")))), "JOB"),
                   (lambda: pa.table(pawl.Job(JOB).read_slices(pa.table({"a": [1]}), "calls")), "DATA")):
    try:
        call()
        raise SystemExit("no fault")
    except pawl.PawlError as error:
        assert error.code == code and error.advice, (error.code, str(error))
        import pickle
        assert pickle.loads(pickle.dumps(error)).code == code
try:
    pa.table(pawl.read(JOB))  # it has two streams
    raise SystemExit("no fault")
except pawl.PawlError as error:
    assert "'accounts' and of 'calls'" in str(error) and "name it" in str(error), error
faults = [row for row in pa.table(pawl.check(JOB)).to_pylist() if row["status"] == "fault"]
assert faults == [], faults
""")
        self.assertEqual(done.stderr, "")

    def test_a_process_keeps_its_signals_and_its_output(self):
        done = self.script("""
import gc, threading
caught = lambda: [line for line in open("/proc/self/status") if line.startswith(("SigCgt", "SigIgn"))]
before = caught()
job = pawl.Job(JOB)
counts = []
threads = [threading.Thread(target=lambda: counts.append(len(pa.table(job.read("calls"))))) for _ in range(3)]
[t.start() for t in threads], [t.join() for t in threads]
assert counts == [300] * 3 and caught() == before, counts
capsule = job.read("calls").__arrow_c_stream__()   # taken over by nobody
del capsule, job
gc.collect()
assert caught() == before
""")
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    def test_a_reader_that_is_told_to_stop_stops(self):
        done = self.script("""
job = pawl.Job(JOB)
rows = job.read("calls")
job.stop()
try:
    pa.table(rows)
    raise SystemExit("it did not stop")
except pawl.PawlError as error:
    assert error.code == "STOPPED", error
""")
        self.assertEqual(done.returncode, 0, done.stderr)


@unittest.skipUnless(PLAIN, "a sanitized library cannot be loaded into a plain Python")
class StepsTest(unittest.TestCase):
    """A run whose slices are landed by other processes is the run of one machine."""

    def setUp(self):
        self.python = subprocess.run([ROOT / "tools/deps", "--venv", "arrow"], capture_output=True, text=True,
                                     check=True).stdout.strip()

    def script(self, site, text, env=None, check=True):
        site.runs += 1  # later than the run before: what it read is older than this plan
        environment = site.command(env=env)[1] | {"PYTHONPATH": str(ROOT / "python"), "PAWL_LIBRARIES": str(BUILD)}
        text = f"import pawl, pyarrow as pa\njob = pawl.Job({str(site.job)!r})\n" + text
        done = subprocess.run([self.python, "-c", text], env=environment, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def test_steps_give_what_one_run_gives_and_ask_for_nothing_twice(self):
        with world.World(calls=300) as site:
            single = site.copy("single")
            single.run("historic")
            self.script(site, """
with job.begin("historic") as run:
    slices = pa.table(run.slices())
    # Twice at once, as Spark's speculation does: the later one finds the pages of the first.
    import threading
    land = lambda part: reports.append(pa.table(job.land(part, siblings=2)))
    reports = []
    threads = [threading.Thread(target=land, args=(slices,)) for _ in range(2)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert [len(r) for r in reports] == [len(slices)] * 2, reports
    assert all(all(r["whole"].to_pylist()) for r in reports)
    calls = slices.filter(pa.compute.equal(slices["stream"], "calls"))
    landed = pa.table(job.read_landed(calls))
    assert len(landed) == 300, len(landed)
    run.check()
    run.log("spark.merge", "calls", rows_in=300)
    report = run.finish()
    assert report["inserted"] == 302 and report["requests"] == 0, report
""")
            self.assertEqual(site.digest(), single.digest())
            self.assertEqual(site.value("SELECT count(*) FROM etl_log WHERE stage = 'spark.merge' AND rows_in = 300"), "1")

    def test_a_reading_that_is_landed_confirms_what_vanished(self):
        with world.World(calls=300) as site:
            site.run("historic")
            gone = site.value("SELECT id FROM ctm.calls WHERE account_id = 1001 ORDER BY called_at LIMIT 1")
            site.control("mutate", {"account": 1001, "id": int(gone), "do": "delete"})
            for readings, asked in ((1,), 1), ((1, 2), 0):
                with self.subTest(readings=readings):
                    twin = site.copy("twin")
                    self.script(twin, f"""
import pyarrow.compute as pc
def land(run, reading):
    slices = pa.table(run.slices())
    place = slices.schema.get_field_index("reading")
    if reading > 1:  # of the slice which lacks the row, as the Spark engine asks for it
        slices = slices.filter(pc.and_(pc.equal(slices["stream"], "calls"), pc.equal(slices["slice"], 0)))
        slices = slices.set_column(place, slices.field(place), pa.array([reading], slices.field(place).type))
    report = pa.table(job.land(slices))
    assert all(report["whole"].to_pylist()) and set(report["reading"].to_pylist()) == {{reading}}, report
    return sum(report["requests"].to_pylist())
with job.begin("rehydration", from_="2026-03-01", to="2026-03-10") as run:
    assert all([land(run, reading) > 0 for reading in {readings}])
with job.begin("rehydration", from_="2026-03-01", to="2026-03-10") as run:  # goes on with it
    assert [land(run, reading) for reading in {readings}] == [0] * {len(readings)}
    report = run.finish()
    assert (report["requests"], report["deleted"]) == ({asked}, 1), report
""")
                    found = twin.rows(f"SELECT _deleted_at IS NOT NULL FROM ctm.calls WHERE id = {gone}")
                    self.assertEqual(found, [["true"]])

    def test_a_run_that_was_left_is_gone_on_with(self):
        with world.World(calls=300) as site:
            left = self.script(site, """
run = job.begin("historic")
slices = pa.table(run.slices())
pa.table(job.land(slices.slice(0, 9)))
import os
print(run.id, flush=True)
os.kill(os.getpid(), 9)
""", check=False)
            self.assertEqual(left.returncode, -9)
            done = site.report(site.run("historic"))
            self.assertEqual((done["run"], done["resumed"]), (left.stdout.strip(), True))
            self.assertEqual(site.value("SELECT count(*) FROM ctm.calls"), "300")


if __name__ == "__main__":
    unittest.main()
