"""The Databricks bundle: equal to what is committed, known to Databricks' own types, and run by a Jobs API."""
import base64, copy, json, os, pathlib, re, subprocess, tempfile, time, unittest, urllib.error, urllib.request
from rendering import BUILD, PYTHON, ROOT, judge, needs_packages, read_yaml, render
from world import World

MODES = ("historic", "incremental", "rehydration")


def write_job(folder, environments, **changes):
    """The project's own job, changed, with its environments beside it."""
    job = json.loads((ROOT / "jobs/ctm.json").read_text())
    job.update(connector=str(ROOT / "connectors/ctm/manifest.yaml"), **changes)
    for stream in job["streams"].values():
        stream["contract"] = str((ROOT / "jobs" / stream["contract"]).resolve())
    (folder / "environments").mkdir()
    for name, patch in environments.items():
        (folder / f"environments/{name}.json").write_text(json.dumps(patch))
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


class Files(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory(prefix="pawl-render-")
        self.addCleanup(kept.cleanup)
        self.folder = pathlib.Path(kept.name)

    def bundle(self, environments, **changes):
        job = write_job(self.folder, environments, **changes)
        render("databricks", job, "--env", ",".join(environments), "--out", self.folder / "out")
        return read_yaml(self.folder / "out/databricks.yml", self.folder / "out/resources/ctm.yml")

    def test_what_is_committed_is_what_render_gives(self):
        done = render("databricks", "jobs/ctm.json", "--check", check=False)
        self.assertEqual(done.returncode, 0, done.stderr + "write it again: ./dev render")

    def test_check_tells_a_file_that_is_another_and_writes_nothing(self):
        out = self.folder / "out"
        self.assertEqual(render("databricks", "jobs/ctm.json", "--out", out, "--check", check=False).returncode, 6)
        self.assertFalse(out.exists())
        render("databricks", "jobs/ctm.json", "--out", out)
        self.assertEqual(render("databricks", "jobs/ctm.json", "--out", out, "--check", check=False).returncode, 0)
        with open(out / "databricks.yml", "a") as file:
            file.write("# by hand\n")
        done = render("databricks", "jobs/ctm.json", "--out", out, "--check", check=False)
        self.assertEqual(done.returncode, 6)
        self.assertIn("databricks.yml is not what render gives", done.stderr)
        self.assertNotIn("ctm.yml is not", done.stderr)

    def test_committed_environments_outlive_a_cluster_and_share_nothing(self):
        done = render("databricks", "jobs/ctm.json", "--check")
        self.assertNotIn("note: environment", done.stderr)
        scripts = "".join(path.read_text() for path in sorted((ROOT / "deploy/snowflake").glob("0[1-5]*.sql")))
        seen = set()
        for name in ("dev", "staging", "prod"):
            with self.subTest(name):
                job = json.loads((ROOT / f"environments/{name}.json").read_text())
                warehouse = job["warehouse"]
                # The command of docs/azure.md gives each environment's objects its own names.
                more = "" if name == "prod" else f"{name.upper()}_"
                made = scripts.replace("PAWL_", f"PAWL_{more}").replace("CALLS_DB", f"CALLS_{more}DB")
                for what in ("USER IF NOT EXISTS {user} ", "ROLE IF NOT EXISTS {role} ", "DATABASE IF NOT EXISTS {database} ",
                             "SCHEMA IF NOT EXISTS {database}.{schema} ", "WAREHOUSE IF NOT EXISTS {warehouse} ", "STAGE IF NOT EXISTS {database}.{stage[name]} "):
                    self.assertIn("CREATE " + what.format(**warehouse), made)
                own = {job["landing"]["account"], warehouse["user"], warehouse["database"], warehouse["private_key"]}
                self.assertEqual(warehouse["stage"]["files"]["account"], job["landing"]["account"])
                self.assertFalse(own & seen)
                seen |= own

    @needs_packages
    def test_every_job_is_one_that_databricks_knows(self):
        bundle, resources = read_yaml(ROOT / "deploy/databricks/databricks.yml",
                                      ROOT / "deploy/databricks/resources/ctm.yml")
        jobs = resources["resources"]["jobs"]
        self.assertEqual(sorted(jobs), [f"ctm_{mode}" for mode in MODES])
        done = judge("jobs", value=jobs)
        self.assertEqual(done.returncode, 0, done.stderr)
        # The judge does object: otherwise its silence would mean nothing.
        jobs["ctm_historic"]["tasks"][0]["max_retry"] = 3
        self.assertIn("max_retry", judge("jobs", value=jobs).stderr)
        self.assertEqual(list(bundle["targets"]), ["dev", "staging", "prod"])

    @needs_packages
    def test_schedules_rest_in_the_first_target_only(self):
        bundle, resources = read_yaml(ROOT / "deploy/databricks/databricks.yml",
                                      ROOT / "deploy/databricks/resources/ctm.yml")
        # A status that a job states itself outweighs what `mode: development` does, so the target must state it.
        stated = {job["schedule"]["pause_status"] for job in resources["resources"]["jobs"].values() if "schedule" in job}
        self.assertEqual(stated, {"${var.schedules}"})
        self.assertEqual([target.get("variables") for target in bundle["targets"].values()],
                         [{"schedules": "PAUSED"}, None, None])
        self.assertEqual(bundle["variables"]["schedules"]["default"], "UNPAUSED")

    def test_the_wheel_that_jobs_name_is_the_one_that_is_built(self):
        version = re.search(r"project\(pawl VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
        platform = re.search(r'^PLATFORM = "(\w+)"', (ROOT / "tools/wheel").read_text(), re.MULTILINE)[1]
        named = set(re.findall(r"whl: \S+/(\S+)", (ROOT / "deploy/databricks/resources/ctm.yml").read_text()))
        self.assertEqual(named, {f"pawl_ingest-{version}-py3-none-{platform}.whl"})

    @needs_packages
    def test_every_job_keeps_the_rules_of_production(self):
        bundle, resources = read_yaml(ROOT / "deploy/databricks/databricks.yml",
                                      ROOT / "deploy/databricks/resources/ctm.yml")
        self.assertEqual(bundle["run_as"], {"service_principal_name": "${var.service_principal}"})
        for name, job in resources["resources"]["jobs"].items():
            with self.subTest(name):
                task, cluster = job["tasks"][0], job["job_clusters"][0]["new_cluster"]
                self.assertEqual((job["max_concurrent_runs"], job["queue"]), (1, {"enabled": True}))
                self.assertEqual((task["max_retries"], task["retry_on_timeout"]), (3, True))
                self.assertGreaterEqual(task["min_retry_interval_millis"], 60000)
                self.assertGreater(task["timeout_seconds"], 0)
                self.assertGreater(job["timeout_seconds"], task["timeout_seconds"])
                self.assertEqual(job["email_notifications"]["on_failure"], ["${var.notify}"])
                # Who mends a failed run may start it again, and no more.
                self.assertEqual(job["permissions"], [{"level": "CAN_MANAGE_RUN", "group_name": "${var.operators}"}])
                self.assertTrue(task["libraries"][0]["whl"].startswith("${var.volume}/"))
                defaults = "spark.databricks.delta.properties.defaults."
                self.assertEqual(cluster["spark_conf"][defaults + "enableDeletionVectors"], "false")
                self.assertEqual(cluster["spark_env_vars"]["CTM_CLIENT_SECRET"],
                                 "{{secrets/${var.secret_scope}/ctm-client-secret}}")
        schedule = resources["resources"]["jobs"]["ctm_incremental"]["schedule"]
        self.assertEqual((schedule["quartz_cron_expression"], schedule["timezone_id"]),
                         ("0 15 * * * ?", "America/New_York"))
        self.assertNotIn("schedule", resources["resources"]["jobs"]["ctm_historic"])
        # An hourly run must be over, or given up, before the two hours that rows may take.
        self.assertLess(resources["resources"]["jobs"]["ctm_incremental"]["timeout_seconds"], 2 * 3600)

    @needs_packages
    def test_what_environments_do_not_share_lies_in_their_targets(self):
        bundle, resources = self.bundle({
            "dev": {"modes": {"incremental": {"schedule": "0 6 * * 1-5"}}},
            "prod": {"warehouse": {"driver": "postgres", "dsn": "${env:PG_DSN}", "path": None}}})
        jobs, targets = resources["resources"]["jobs"], bundle["targets"]
        self.assertNotIn("schedule", jobs["ctm_incremental"])
        quartz = [targets[name]["resources"]["jobs"]["ctm_incremental"]["schedule"]["quartz_cron_expression"]
                  for name in ("dev", "prod")]
        self.assertEqual(quartz, ["0 0 6 ? * MON-FRI", "0 15 * * * ?"])
        for mode in MODES:
            cluster = jobs[f"ctm_{mode}"]["job_clusters"][0]["new_cluster"]
            self.assertEqual(sorted(cluster["spark_env_vars"]), ["CTM_CLIENT_ID", "CTM_CLIENT_SECRET", "PYSPARK_PYTHON"])
            extra = targets["prod"]["resources"]["jobs"][f"ctm_{mode}"]["job_clusters"][0]
            self.assertEqual(extra, {"job_cluster_key": "main", "new_cluster": {"spark_env_vars": {
                "PG_DSN": "{{secrets/${var.secret_scope}/pg-dsn}}"}}})
        self.assertEqual(list(targets["dev"]["resources"]["jobs"]), ["ctm_incremental"])

    def test_faults_are_told_and_nothing_is_written(self):
        for changes, told in (({"modes": {"incremental": {"schedule": "15 * * *"}}}, "is not a schedule"),
                              ({"modes": {"incremental": {"schedule": "0 6 13 * fri"}}}, "has no Quartz expression"),
                              ({"config": {"client_id": "${env:A_B}", "client_secret": "${env:a-b}"}},
                               "would be the same secret")):
            with self.subTest(told):
                folder = self.folder / told.split()[-1]
                folder.mkdir()
                job = write_job(folder, {"dev": {}}, **changes)
                done = render("databricks", job, "--env", "dev", "--out", folder / "out", check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(told, done.stderr)
                self.assertFalse((folder / "out").exists())


class Api:
    """A Jobs API whose tasks are real processes; it knows no wheels, so a script of two lines stands for the wheel."""

    def __init__(self, folder, env):
        self.process = subprocess.Popen([PYTHON, pathlib.Path(__file__).with_name("judge.py"), "jobs-api", folder],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env={**os.environ, "MINILAKE_NOTEBOOK": "0", **env})
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}/api/"

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def wait(self, run):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = self.call(f"2.2/jobs/runs/get?run_id={run}")
            if found["state"]["life_cycle_state"] not in ("PENDING", "RUNNING"):
                return found
            time.sleep(0.05)  # the interface offers nothing to wait on
        raise AssertionError("the run does not end")

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def resolve(value, variables):
    """What `databricks bundle deploy` does to ${...}, and the service to {{job.parameters...}}."""
    if isinstance(value, dict):
        return {name: resolve(member, variables) for name, member in value.items()}
    if isinstance(value, list):
        return [resolve(member, variables) for member in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{([\w.]+)\}|\{\{(job\.parameters\.\w+)\}\}", lambda match: variables[match[1] or match[2]], value)


@needs_packages
class Jobs(unittest.TestCase):
    def test_the_rendered_jobs_load_the_warehouse(self):
        with World() as world:
            (world.folder / "environments").mkdir()
            (world.folder / "environments/dev.json").write_text("{}")
            render("databricks", world.job, "--env", "dev", "--out", world.folder / "out")
            bundle, resources = read_yaml(world.folder / "out/databricks.yml", world.folder / "out/resources/ctm.yml")
            api = Api(world.folder / "api", {"PAWL_TEST_NOW": world.clock})
            try:
                self.run_jobs(world, api, resources["resources"]["jobs"])
            finally:
                api.close()

    def run_jobs(self, world, api, jobs):
        # A release is what lies in the volume under its version; here its files are where they are.
        (world.folder / "releases").mkdir()
        (world.folder / "releases/1").symlink_to(world.folder.parent)
        variables = {"var.volume": str(world.folder), "var.version": "1", "var.secret_scope": "pawl", "bundle.target": "dev",
                     "var.service_principal": "app", "var.notify": "a@example.org", "var.operators": "oncall",
                     "var.spark_version": "17.3.x-scala2.13", "var.node_type": "node", "var.lake": "dev.ctm", "var.workers": "2", "var.schedules": "PAUSED"}
        # Without Spark nobody takes --lake.
        script = ("import os, sys\nat = sys.argv.index('--lake')\nassert sys.argv[at + 1] == 'dev.ctm'\ndel sys.argv[at:at + 2]\n"
                  f"os.execv({str(BUILD / 'pawl')!r}, ['pawl', *sys.argv[1:]])\n")
        api.call("2.0/workspace/import", {"path": "/Workspace/wheel.py", "format": "SOURCE", "language": "PYTHON",
                                          "content": base64.b64encode(script.encode()).decode()})
        api.call("2.0/secrets/scopes/create", {"scope": "pawl"})
        secrets = {"ctm-client-id": "sim-client", "ctm-client-secret": "sim-client-secret"}
        for name, value in secrets.items():
            api.call("2.0/secrets/put", {"scope": "pawl", "key": name, "string_value": value})
        for mode, lines in (("historic", True), ("incremental", False), ("rehydration", False)):
            job = jobs[f"ctm_{mode}"]
            defaults = {f"job.parameters.{item['name']}": item["default"] for item in job.get("parameters", [])}
            run = self.run_job(api, resolve(job, {**variables, **defaults}))
            state, task = run["state"], run["tasks"][0]
            output = api.call(f"2.2/jobs/runs/get-output?run_id={task['run_id']}")
            self.assertEqual(state.get("result_state"), "SUCCESS", f"{mode}: {task} {output}")
        expected = sum(world.get(f"/accounts/{account}/calls?start_date=2026-03-01&end_date=2026-03-11")["total_entries"]
                       for account in (1001, 1002))
        self.assertEqual(world.value("SELECT count(*) FROM ctm.calls"), str(expected))
        self.assertEqual(world.rows("SELECT DISTINCT mode FROM etl_log ORDER BY mode"), [[mode] for mode in MODES])

    def run_job(self, api, job):
        job = copy.deepcopy(job)
        del job["permissions"]  # the CLI sends them to another interface, /api/2.0/permissions/jobs
        created = api.call("2.2/jobs/create", job)["job_id"]
        kept = api.call(f"2.2/jobs/get?job_id={created}")["settings"]
        self.assertEqual({name: kept.get(name) for name in job if name != "tasks"},
                         {name: job[name] for name in job if name != "tasks"})
        task = job["tasks"][0]
        wheel = task.pop("python_wheel_task")
        self.assertEqual((wheel["package_name"], wheel["entry_point"]), ("pawl-ingest", "pawl-spark"))
        task["spark_python_task"] = {"python_file": "/Workspace/wheel.py", "parameters": wheel["parameters"]}
        task["new_cluster"] = next(cluster["new_cluster"] for cluster in job["job_clusters"]
                                   if cluster["job_cluster_key"] == task.pop("job_cluster_key"))
        api.call("2.2/jobs/reset", {"job_id": created, "new_settings": job})
        return api.wait(api.call("2.2/jobs/run-now", {"job_id": created})["run_id"])


if __name__ == "__main__":
    unittest.main()
