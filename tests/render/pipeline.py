"""A dry run of azure-pipelines.yml: its stages, jobs and steps in their order, its scripts executed, everything around them
played: the agent's checkout, artefacts and variables, and on PATH an `az`-less `databricks` whose volume is a folder."""
import os, pathlib, re, shutil, subprocess, sys, textwrap

# Databricks' CLI, as far as deploy/release speaks to it. Says what it was asked in calls.log.
DATABRICKS = """\
#!/usr/bin/python3
import json, os, pathlib, shutil, sys
world = pathlib.Path(os.environ["DRY_WORLD"])
words = [word for word in sys.argv[1:] if word not in ("-r", "--overwrite")]
with open(world / "calls.log", "a") as log:
    log.write(json.dumps({"words": sys.argv[1:], "version": os.environ.get("BUNDLE_VAR_version"),
                          "host": os.environ.get("DATABRICKS_HOST"), "auth": os.environ.get("DATABRICKS_AUTH_TYPE")}) + "\\n")
def place(word):
    return world / "volumes" / word.removeprefix("dbfs:/Volumes/") if word.startswith("dbfs:") else pathlib.Path(word)
if words[:2] == ["fs", "mkdir"]:
    place(words[2]).mkdir(parents=True, exist_ok=True)
elif words[:2] == ["fs", "cp"]:
    source, target = place(words[2]), place(words[3])
    if not source.exists():
        sys.exit(f"no such path: {words[2]}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copyfile(source, target)
elif words[:2] == ["bundle", "deploy"]:
    assert pathlib.Path("databricks.yml").exists()
    (world / ("deployed-" + words[words.index("-t") + 1])).write_text(os.environ["BUNDLE_VAR_version"])
elif words[:2] == ["bundle", "run"]:
    target = words[words.index("-t") + 1]
    if f"{target} {os.environ['BUNDLE_VAR_version']}" in os.environ.get("DRY_BROKEN", "").split(","):
        sys.exit("the run failed")
else:
    sys.exit(f"unknown: {words}")
"""
# Building is another test's business: here it only leaves what packing looks for.
DEV = """\
#!/bin/sh
echo "dev $*" >>"$DRY_WORLD/dev.log"
mkdir -p build/release build/wheel
case $1 in
build) printf program >build/release/pawl && chmod +x build/release/pawl ;;
wheel) printf wheel >build/wheel/pawl_ingest-0.1.0-py3-none-manylinux_2_35_x86_64.whl ;;
esac
"""
CURL = """\
#!/usr/bin/python3
import pathlib, sys, os, shutil
shutil.copyfile(pathlib.Path(os.environ["DRY_WORLD"]) / "databricks.zip", sys.argv[sys.argv.index("-o") + 1])
"""


class StepFailed(Exception):
    pass


class Agent:
    def __init__(self, root, folder, groups):
        self.root, self.folder, self.groups = root, folder, groups
        self.bin, self.published, self.tampered = folder / "bin", folder / "published", None
        self.bin.mkdir()
        for name, text in (("curl", CURL),):
            self.write(self.bin / name, text)
        self.write(folder / "databricks", DATABRICKS)
        subprocess.run([sys.executable, "-m", "zipfile", "-c", "databricks.zip", "databricks"], cwd=folder, check=True)
        self.ran = []

    def write(self, path, text):
        path.write_text(text)
        path.chmod(0o755)

    def checkout(self, work):
        for name in ("jobs", "environments", "connectors", "deploy"):
            shutil.copytree(self.root / name, work / name)
        self.write(work / "dev", DEV)

    def run(self, pipeline, number, branch="refs/heads/main", broken="", tamper=None):
        """True where every stage that the branch has went well. What ran is in self.ran, as (stage, job or hook)."""
        self.ran, self.number, self.broken, self.tampered = [], number, broken, tamper
        shutil.rmtree(self.published, ignore_errors=True)
        self.base = {item["name"]: item["value"] for item in pipeline["variables"]}
        self.base["Build.BuildNumber"] = number
        results = {}
        for stage in pipeline["stages"]:
            after = stage.get("dependsOn")
            before = [results.get(after, False)] if after else list(results.values())
            if not self.holds(stage.get("condition"), all(before), branch):
                results[stage["stage"]] = False
                continue
            results[stage["stage"]] = self.run_stage(stage, branch)
        return all(results.values())

    def holds(self, condition, succeeded, branch):
        if condition is None:
            return succeeded
        # The only condition that render writes; another one is to be taught here.
        match = re.fullmatch(r"and\(succeeded\(\), eq\(variables\['Build.SourceBranch'\], '([^']*)'\)\)", condition)
        return succeeded and branch == match[1]

    def run_stage(self, stage, branch):
        done = {}
        for job in stage["jobs"]:
            name = job.get("job") or job.get("deployment")
            if not self.holds(job.get("condition"), done.get(job.get("dependsOn"), True), branch):
                done[name] = True  # skipped, not failed
                continue
            variables = dict(self.base)
            for item in stage.get("variables", []):
                variables.update(self.groups[item["group"]])
            if "steps" in job:
                done[name] = self.run_steps(stage["stage"], name, job["steps"], variables)
                continue
            hooks = job["strategy"]["runOnce"]
            done[name] = self.run_steps(stage["stage"], "deploy", hooks["deploy"]["steps"], variables)
            if not done[name]:
                self.run_steps(stage["stage"], "failure", hooks["on"]["failure"]["steps"], variables)
        return all(done.values())

    def run_steps(self, stage, name, steps, variables):
        """A job: a fresh machine, steps until one fails."""
        self.ran.append((stage, name))
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        (work / "s").mkdir(parents=True)
        self.path = [str(self.bin)]
        variables = {**variables, "Pipeline.Workspace": str(work)}
        try:
            for step in steps:
                self.run_step(step, work, variables)
        except StepFailed as failure:
            self.failure = str(failure)
            return False
        return True

    def run_step(self, step, work, variables):
        if step.get("checkout") == "self":
            self.checkout(work / "s")
        elif "script" in step:
            self.execute(step["script"], step.get("env", {}), work, variables)
        elif step.get("task") == "AzureCLI@2":
            self.execute(step["inputs"]["inlineScript"], step["env"], work, variables)
        elif "publish" in step:
            shutil.copytree(work / "s" / step["publish"], self.published / step["artifact"])
        elif step.get("download") == "current":
            self.download(self.published / step["artifact"], work / step["artifact"])
        elif step.get("task") != "Cache@2":
            raise AssertionError(f"a step that the dry run does not know: {step}")

    def download(self, source, target):
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        for path in target.rglob("*"):
            if path.is_file():
                path.chmod(0o644)  # the real ones forget who may execute a file, too
        if self.tampered:
            (target / self.tampered).write_text("other bytes")

    def execute(self, script, env, work, variables):
        def fill(text):
            filled = re.sub(r"\$\(([\w.]+)\)", lambda match: variables[match[1]], text)
            assert "$(" not in filled, filled
            return filled

        # Variables reach a script's environment with dots as underscores, in upper case; secrets never do.
        full = {name.replace(".", "_").upper(): value for name, value in variables.items()}
        full.update({name: fill(value) for name, value in env.items()})
        full.update(PATH=os.pathsep.join([*self.path, "/usr/bin", "/bin"]), DRY_WORLD=str(self.folder), DRY_BROKEN=self.broken,
                    AGENT_TEMPDIRECTORY=str(work / "temp"), HOME=str(work))
        # As the agent does: a file of its own, in the folder of the sources, by bash.
        file = work / "script.sh"
        file.write_text(fill(script))
        done = subprocess.run(["/bin/bash", "--noprofile", "--norc", file], cwd=work / "s", env=full, capture_output=True,
                              text=True)
        self.path[:0] = re.findall(r"^##vso\[task\.prependpath\](.+)$", done.stdout, re.MULTILINE)
        if done.returncode != 0:
            raise StepFailed(f"{script.strip()}: {done.stdout}{done.stderr}")
