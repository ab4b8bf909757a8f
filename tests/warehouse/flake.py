"""Starts snowflake_fixture.py for a test and talks to it. Standard library only."""
import json, os, pathlib, shutil, ssl, subprocess, tempfile, time, unittest, urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = os.environ.get("PAWL_SNOWFLAKE_PYTHON", "")


def needed():
    """Tests that need the fixture say why they are skipped where it cannot be had."""
    return unittest.skipUnless(PYTHON, "PAWL_SNOWFLAKE_PYTHON is not set (tools/deps --venv snowflake)")


class Fixture:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-snowflake-"))
        # It ends with its standard input, so with us, however we end.
        self.process = subprocess.Popen([PYTHON, HERE / "snowflake_fixture.py", self.folder], stdin=subprocess.PIPE,
                                        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        deadline = time.monotonic() + 120
        while not (self.folder / "ready.json").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the Snowflake fixture did not start")
            time.sleep(0.02)
        self.ready = json.loads((self.folder / "ready.json").read_text())
        self.trust = ssl.create_default_context(cafile=self.folder / "ca.pem")

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.ready['url']}/_fixture/{path}", data=data,
                                         method="GET" if data is None else "POST")
        with urllib.request.urlopen(request, timeout=60, context=self.trust) as answer:
            return json.loads(answer.read())

    def reset(self):
        self.control("reset", {})

    def faults(self, *faults):
        self.control("set", {"faults": list(faults)})

    def log(self):
        return self.control("log")

    def rows(self, database, sql):
        return self.control("sql", {"database": database, "sql": sql})

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
