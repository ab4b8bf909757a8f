"""A site whose warehouse is a database of the Snowflake fixture's."""
import datetime, json, pathlib, shutil, sys, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "warehouse"))
import flake  # noqa: E402  (tests take it from here too)
from azure import KEY
from world import ROOT, Site


class SnowSite(Site):
    """A site whose warehouse is a database of the fixture's."""

    def __init__(self, folder, world, fixture, database):
        super().__init__(folder, world, None)
        self.fixture, self.database = fixture, database
        folder.mkdir(exist_ok=True)
        job = json.loads(world.job.read_text())
        ready = fixture.ready
        job["landing"]["path"] = "./lake"
        job["warehouse"] = {
            "driver": "snowflake", "url": ready["url"], "account": ready["account"], "user": ready["user"],
            "private_key": f"${{file:{fixture.folder}/key.pem}}", "passphrase": "${env:SNOWFLAKE_PASSPHRASE}",
            "ca_file": f"{fixture.folder}/ca.pem", "database": database, "schema": "PAWL", "warehouse": "PAWL_LOADING",
            "role": "PAWL_LOADER",
            "stage": {"name": "CTM.LAND", "files": {"store": "local", "path": ready["stage"]}}}
        self.job.write_text(json.dumps(job))
        fixture.control("database", {"name": database, "schemas": ["CTM", "PAWL"]})

    def command(self, *words, env=None):
        # The fixture judges tokens by the world's clock.
        then = datetime.datetime.fromisoformat(self.world.clock.replace("Z", "+00:00")).timestamp()
        self.fixture.control("set", {"now": then + 30 * 60})
        return super().command(*words, env={"SNOWFLAKE_PASSPHRASE": self.fixture.ready["passphrase"], **(env or {})})

    def change(self, **members):
        job = json.loads(self.job.read_text())
        job["warehouse"].update(members)
        self.job.write_text(json.dumps(job))

    def sql(self, sql):
        return self.fixture.rows(self.database, sql)

    def report_of(self, *words, expected=0, **options):
        """What a command of tables (audit, adopt, forget) says as JSON; each a minute after the one before."""
        self.runs += 1
        done = self.pawl(words[0], str(self.job), *words[1:], "--json", check=False, **options)
        if done.returncode != expected:
            raise AssertionError(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else done.stderr

    def copy(self, name):
        target = self.world.folder / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        if (self.folder / "lake").exists():
            shutil.copytree(self.folder / "lake", target / "lake")
        site = SnowSite(target, self.world, self.fixture, name.upper().replace("-", "_"))
        self.fixture.control("clone", {"from": self.database, "to": site.database})
        site.runs = self.runs
        return site


@flake.needed()
class SnowTestCase(unittest.TestCase):
    """Tests of a class share a fixture, which is as new for each. tools/run_tests looks for this name's end in their files."""

    @classmethod
    def setUpClass(cls):
        cls.fixture = flake.Fixture()

    @classmethod
    def tearDownClass(cls):
        cls.fixture.close()

    def setUp(self):
        self.fixture.reset()


def on_azure(world, fixture, azurite, name, database, endpoint=None):
    """A site as in production: pages and the stage's files in one container, from which Snowflake reads by a SAS."""
    container = azurite.make_container(name)
    snow = SnowSite(world.folder / name, world, fixture, database)
    snow.env = {"TEST_ACCOUNT_KEY": KEY}
    store = azurite.landing(container, endpoint=endpoint or azurite.endpoint)
    job = json.loads(snow.job.read_text())
    job["landing"] = store
    job["warehouse"]["stage"]["files"] = {**store, "prefix": "pawl-stage"}
    snow.job.write_text(json.dumps(job))
    fixture.control("stage", {"url": f"{azurite.endpoint}/{container}/pawl-stage", "sas": azurite.sas(container, "rl")[0]})
    return snow


def table(site, name):
    """The rows of a table by key, without what names the run and the moment; JSON as what it means."""
    contract = json.loads((ROOT / f"connectors/ctm/contracts/{name}.json").read_text())
    columns = [column["name"] for column in contract["columns"]] + ["_row_key", "_row_hash", "_overflow"]
    rows = {}
    sql = f"SELECT {', '.join(columns)}, _deleted_at IS NOT NULL AS gone FROM ctm.{name}"
    for line in site.pawl("query", str(site.job), sql, "--json").stdout.splitlines():
        row = dict(zip([*columns, "gone"], map(meaning, json.loads(line))))
        rows[row["_row_key"]] = row
    return rows


def meaning(cell):
    if isinstance(cell, str) and cell[:1] in "{[":
        return json.loads(cell)
    return cell
