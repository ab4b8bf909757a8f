"""What the tests of rendered files share: pawl render, and the judge (judge.py) that reads what it wrote."""
import json, os, pathlib, subprocess, sys, unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PAWL_BUILD", "build/debug")
PYTHON = os.environ.get("PAWL_CDK_PYTHON", "")
sys.path.insert(0, str(ROOT / "tests/e2e"))

needs_packages = unittest.skipUnless(PYTHON, "PAWL_CDK_PYTHON names no Python: ./dev test sets it")


def render(*words, check=True):
    done = subprocess.run([BUILD / "pawl", "render", *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"render ended with {done.returncode}: {done.stderr}")
    return done


def judge(*words, value=None):
    return subprocess.run([PYTHON, pathlib.Path(__file__).with_name("judge.py"), *map(str, words)], capture_output=True,
                          text=True, input=None if value is None else json.dumps(value))


def read_yaml(*paths):
    done = judge("yaml", *paths)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)
