"""azure-pipelines.yml: equal to what is committed, valid by the schema of Azure Pipelines, and its scripts do what they say."""
import hashlib, json, pathlib, re, tempfile, unittest
from pipeline import Agent
from rendering import ROOT, judge, needs_packages, read_yaml, render

ENVIRONMENTS = ("dev", "staging", "prod")
FILE = ROOT / "azure-pipelines.yml"


class Files(unittest.TestCase):
    def test_what_is_committed_is_what_render_gives(self):
        done = render("azure", "jobs/ctm.json", "--check", check=False)
        self.assertEqual(done.returncode, 0, done.stderr + "write it again: ./dev render")

    @needs_packages
    def test_the_schema_of_azure_pipelines_takes_it(self):
        done = judge("pipeline", FILE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        # The schema does object: otherwise its silence would mean nothing.
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder) / "other.yml"
            other.write_text(FILE.read_text().replace("lockBehavior: sequential", "lockBehavior: whenever", 1))
            self.assertNotEqual(judge("pipeline", other).returncode, 0)

    @needs_packages
    def test_the_way_to_production_keeps_its_rules(self):
        pipeline = read_yaml(FILE)[0]
        stages = {stage["stage"]: stage for stage in pipeline["stages"]}
        self.assertEqual(list(stages), ["Build", "Dev", "Staging", "Prod"])
        self.assertEqual([stages[name]["dependsOn"] for name in ("Dev", "Staging", "Prod")], ["Build", "Dev", "Staging"])
        for name, environment in zip(("Dev", "Staging", "Prod"), ENVIRONMENTS):
            stage, deployment = stages[name], stages[name]["jobs"][0]
            self.assertEqual(stage["lockBehavior"], "sequential")
            self.assertEqual((deployment["environment"], stage["variables"]), (f"pawl-{environment}", [{"group": f"pawl-{environment}"}]))
            steps = deployment["strategy"]["runOnce"]["deploy"]["steps"]
            tasks = [step for step in steps if "task" in step]
            self.assertEqual({step["inputs"]["azureSubscription"] for step in tasks}, {f"pawl-{environment}"})
            # Within the hour that a token lives; and the job's own time is never up first: it would be canceled, not failed.
            minutes = [int(step["timeoutInMinutes"]) for step in tasks]
            self.assertLess(max(minutes), 60)
            self.assertLess(sum(minutes), int(deployment["timeoutInMinutes"]))
            # Nothing is built or checked out on the way: what was tested is what arrives.
            self.assertEqual([step for step in steps if "checkout" in step or "./dev" in step.get("script", "")], [])

    def test_no_key_is_in_the_file(self):
        text = FILE.read_text()
        self.assertNotRegex(text, r"(?i)(password|client_secret|api_?key|sas|AccountKey)\s*[:=]")
        self.assertNotRegex(text, r"[A-Za-z0-9+/]{40,}|eyJ[A-Za-z0-9]|dapi[0-9a-f]")


@needs_packages
class DryRun(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory(prefix="pawl-pipeline-")
        self.addCleanup(kept.cleanup)
        self.folder = pathlib.Path(kept.name)
        groups = {f"pawl-{name}": {"DATABRICKS_HOST": f"https://{name}.example", "PAWL_VOLUME": f"/Volumes/{name}", "PAWL_LAKE": f"{name}.ctm",
                                   "PAWL_SERVICE_PRINCIPAL": f"app-{name}", "PAWL_NOTIFY": "a@example.org", "PAWL_OPERATORS": "oncall",
                                   "DATABRICKS_CLI_VERSION": "1.2.3"} for name in ENVIRONMENTS}
        self.agent = Agent(ROOT, self.folder, groups)
        digest = hashlib.sha256((self.folder / "databricks.zip").read_bytes()).hexdigest()
        for group in groups.values():
            group["DATABRICKS_CLI_SHA256"] = digest
        self.pipeline = read_yaml(FILE)[0]

    def deployed(self):
        paths = (self.folder / f"deployed-{name}" for name in ENVIRONMENTS)
        return [path.read_text() if path.exists() else None for path in paths]

    def calls(self):
        return [json.loads(line) for line in (self.folder / "calls.log").read_text().splitlines()]

    def test_a_branch_is_built_and_tested_and_goes_nowhere(self):
        self.agent.run(self.pipeline, "1", branch="refs/heads/topic")
        self.assertEqual(self.agent.ran, [("Build", "Test")])
        self.assertEqual((self.folder / "dev.log").read_text(), "dev test\n")
        self.assertEqual(self.deployed(), [None] * 3)

    def test_main_is_built_once_and_the_same_bytes_reach_every_environment(self):
        self.assertTrue(self.agent.run(self.pipeline, "1"), getattr(self.agent, "failure", ""))
        self.assertEqual(self.agent.ran, [("Build", "Test"), ("Build", "Package"), ("Dev", "deploy"), ("Staging", "deploy"),
                                          ("Prod", "deploy")])
        self.assertEqual((self.folder / "dev.log").read_text(), "dev test\ndev build\ndev wheel\n")
        self.assertEqual(self.deployed(), ["1"] * 3)
        volumes = [self.folder / "volumes" / name for name in ENVIRONMENTS]
        sums = [(volume / "releases/1/SHA256SUMS").read_bytes() for volume in volumes]
        self.assertEqual(sums, sums[:1] * 3)
        for volume in volumes:
            self.assertEqual((volume / "CURRENT").read_text(), "1\n")
            # The wheel that the bundle names is the one that was packed.
            wheel = re.search(r"whl: \S+/(\S+\.whl)", (volume / "releases/1/deploy/databricks/resources/ctm.yml").read_text())
            self.assertEqual((volume / "releases/1" / wheel[1]).read_text(), "wheel")
        self.assertEqual({(call["host"], call["auth"]) for call in self.calls()},
                         {(f"https://{name}.example", "azure-cli") for name in ENVIRONMENTS})

    def test_a_failed_smoke_run_brings_the_release_before_back_and_stops_there(self):
        self.assertTrue(self.agent.run(self.pipeline, "1"))
        self.assertFalse(self.agent.run(self.pipeline, "2", broken="staging 2"))
        self.assertIn(("Staging", "failure"), self.agent.ran)
        self.assertNotIn(("Prod", "deploy"), self.agent.ran)
        self.assertEqual(self.deployed(), ["2", "1", "1"])
        # The next release goes its way; one that fails twice is not what is gone back to.
        self.assertTrue(self.agent.run(self.pipeline, "3"))
        self.assertEqual(self.deployed(), ["3"] * 3)

    def test_the_first_release_has_nothing_to_go_back_to_and_says_so(self):
        self.assertFalse(self.agent.run(self.pipeline, "1", broken="dev 1"))
        self.assertIn("there is nothing to go back to", self.agent.failure)

    def test_a_release_that_was_changed_on_its_way_is_not_installed(self):
        self.assertFalse(self.agent.run(self.pipeline, "1", tamper="jobs/ctm.json"))
        self.assertEqual(self.deployed(), [None] * 3)

    def test_a_tool_with_another_checksum_is_not_used(self):
        with open(self.folder / "databricks.zip", "ab") as file:
            file.write(b"more")
        self.assertFalse(self.agent.run(self.pipeline, "1"))
        self.assertEqual(self.deployed(), [None] * 3)


if __name__ == "__main__":
    unittest.main()
