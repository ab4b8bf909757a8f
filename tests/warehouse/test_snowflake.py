"""Snowflake by its fixture: the shared suite of warehouses once more."""
import os, pathlib, subprocess, unittest

import flake

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PAWL_BUILD", "build/debug")


@flake.needed()
class Suite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fixture = flake.Fixture()

    @classmethod
    def tearDownClass(cls):
        cls.fixture.close()

    def test_every_promise_of_a_warehouse(self):
        done = subprocess.run([BUILD / "test_warehouse"], cwd=ROOT, capture_output=True, text=True, timeout=900,
                              env={**os.environ, "PAWL_SNOWFLAKE": str(self.fixture.folder)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(done.stdout.count("\nok "), 20)


if __name__ == "__main__":
    unittest.main()
