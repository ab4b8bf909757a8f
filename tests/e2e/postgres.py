"""A PostgreSQL cluster for end-to-end tests: started with the first world that wants one, gone with the test's process."""
import atexit, itertools, os, pathlib, subprocess, tempfile

KEEPER = pathlib.Path(__file__).resolve().parents[1] / "harness/postgres_cluster"


class Cluster:
    """Databases come and go by name; whoever connects by the socket is let in as "owner"."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-pg-", dir="/tmp"))
        self.folder.rmdir()  # its keeper makes it anew, for the user that PostgreSQL runs as
        # A session of its own: a test that is killed with its group must not take the server's keeper along.
        self.keeper = subprocess.Popen([KEEPER, self.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       start_new_session=True)
        words = self.keeper.stdout.readline().split()
        if not words or words[0] != "ready":
            raise RuntimeError(" ".join(words))
        self.port = int(words[1])
        self.names = (f"site_{number}" for number in itertools.count())
        atexit.register(self.close)

    def close(self):
        self.keeper.stdin.close()
        self.keeper.stdout.close()
        self.keeper.wait()

    def sql(self, text, database="postgres", user="owner"):
        done = subprocess.run(["psql", "-h", self.folder, "-p", str(self.port), "-U", user, "-XqAt", "-v",
                               "ON_ERROR_STOP=1", database, "-c", text], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"{text}\n{done.stderr}")
        return done.stdout.strip()

    def control(self, *words):
        """pg_ctl, as the user that the server runs as."""
        data = self.folder / "data"
        owner = data.stat().st_uid
        tool = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
        subprocess.run([tool, "-D", data, "-w", "-l", self.folder / "log", "-o", f"-p {self.port}", *words], check=True,
                       stdout=subprocess.DEVNULL, user=owner if os.getuid() == 0 else None, cwd="/")

    def create(self, template="template1"):
        name = next(self.names)
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def options(self, database, **more):
        return {"driver": "postgres", "host": str(self.folder), "port": self.port, "database": database,
                "user": "owner", "lock_wait": "PT10S", **more}


running = None


def cluster():
    global running
    if running is None:
        running = Cluster()
    return running
