"""The wheel as a user has it: made, installed, loaded; its library by its list of symbols; its rows in the libraries that
take Arrow."""
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import world  # noqa: E402

ROOT, BUILD = world.ROOT, world.BUILD
PLAIN = BUILD.name in ("debug", "release")
INSTALL_CPU_S = 3


def exported(path):
    """Names that others may link with; in small letters nm shows what is local."""
    lines = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    return {name for _, kind, name in (line.split() for line in lines.splitlines()) if kind.isupper()}


def newest_glibc(path):
    needs = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=True).stdout
    return max((tuple(map(int, found)) for found in re.findall(r"\*UND\*.*GLIBC_(\d+)\.(\d+)", needs)), default=(0, 0))


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
        binaries = [path for path in self.site.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
        self.assertGreater(len(binaries), 5)
        for path in binaries:
            self.assertLessEqual(newest_glibc(path), (2, 35), path.name)

    def test_it_brings_what_it_needs_but_for_the_c_library(self):
        own = subprocess.run(["ldd", self.site / "pawl/libpawl.so"], capture_output=True, text=True, check=True).stdout
        outside = {line.split()[0] for line in own.splitlines() if "=> /" in line and str(self.site) not in line}
        self.assertLessEqual({re.sub(r"\.so.*", "", name) for name in outside},
                             {"libc", "libm", "libdl", "libpthread", "librt", "libresolv", "libz", "libgcc_s"})

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
        columns = None
        for library in ("pyarrow", "polars", "pandas", "duckdb"):
            seen = json.loads(self.run_python(pathlib.Path(__file__).with_name("reader.py"), library, self.world.job).stdout)
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
