"""How much of the low-code language works: golden cases of real connectors (../shared/conformance), skipped where missing.

PAWL_CONFORMANCE=all runs every case (minutes); the default takes every eighth connector. SHARE is what is known to
pass, so that it can only go up.
"""
import os, pathlib, subprocess, tarfile, unittest
from world import BUILD, ROOT

CASES = pathlib.Path(os.environ.get("PAWL_CONFORMANCE_CASES", ROOT / "../shared/conformance")).resolve()
GOLDEN = ROOT / "build/golden"
EVERY = 8
SHARE = 0.95
# Deliberate differences: an empty record ends a sync of the reference silently, and a session token without a life is
# asked for six times a request there.
COMMAND = (f"{BUILD}/pawl source read --manifest {{manifest}} --config {{config}} --catalog {{catalog}} --state={{state}} "
           "--test-connect-to 127.0.0.1:{port} --test-now {now}")


def unpack():
    if not GOLDEN.exists():
        fresh = GOLDEN.with_name(f"golden.{os.getpid()}")
        with tarfile.open(CASES / "golden.tar.xz") as archive:
            archive.extractall(fresh)
        os.rename(fresh / "golden", GOLDEN)
        fresh.rmdir()


class Conformance(unittest.TestCase):
    def test_real_connectors_read_as_in_the_reference(self):
        if not (CASES / "check.py").exists():
            self.skipTest(f"no golden cases at {CASES}")
        unpack()
        names = sorted(path.name for path in GOLDEN.iterdir())
        if os.environ.get("PAWL_CONFORMANCE") != "all":
            names = names[::EVERY]
        done = subprocess.run(["python3", CASES / "check.py", GOLDEN, COMMAND, *names], capture_output=True, text=True,
                              timeout=3600)
        words = done.stdout.splitlines()[-1].split()
        passed, failed = int(words[0]), int(words[2])
        self.assertGreaterEqual(passed / (passed + failed), SHARE, done.stdout[-4000:])


if __name__ == "__main__":
    unittest.main()
