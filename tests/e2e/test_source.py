"""pawl source read: the CTM manifest gives the records that Airbyte's own CDK gives, from the same simulator.

PAWL_CDK_PYTHON names a Python that has airbyte-cdk 7.x (default build/venv/bin/python); the comparison is skipped,
saying so, where there is none.
"""
import collections, json, os, pathlib, subprocess, unittest
from world import BUILD, ROOT, World

MANIFEST = ROOT / "connectors/ctm/manifest.yaml"
PYTHON = pathlib.Path(os.environ.get("PAWL_CDK_PYTHON", ROOT / "build/venv/bin/python"))
STREAMS = ["accounts", "calls", "users", "sources", "numbers", "receiving_numbers", "triggers", "lists", "contacts",
           "call_settings", "webhooks", "custom_fields"]
CREDENTIALS = {"basic": {"access_key": "sim-key", "secret_key": "sim-secret"},
               "oauth": {"client_id": "sim-client", "client_secret": "sim-client-secret"}}


def has_cdk():
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", "import airbyte_cdk"], capture_output=True).returncode == 0


def write_config(world, auth):
    path = world.folder / f"{auth}.json"
    path.write_text(json.dumps({"auth": auth, "base_url": world.url + "/api/v1", "start_date": "2026-03-01",
                                "end_date": "2026-03-11", "per_page": 40, **CREDENTIALS[auth]}))
    return path


def read_with_pawl(world, config, *words, check=True):
    done = subprocess.run([BUILD / "pawl", "source", "read", "--manifest", MANIFEST, "--config", config, *words],
                          capture_output=True, text=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(done.stdout[-2000:] + done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def records_of(messages):
    found = collections.defaultdict(collections.Counter)
    for message in messages:
        if message["type"] == "RECORD":
            record = message["record"]
            found[record["stream"]][json.dumps(record["data"], sort_keys=True)] += 1
    return found


def catalog_of(world, *names):
    path = world.folder / "catalog.json"
    path.write_text(json.dumps({"streams": [{"stream": {"name": name}} for name in names]}))
    return path


class Source(unittest.TestCase):
    def test_both_credentials_give_the_same_records(self):
        with World(calls=120) as world:
            catalog = catalog_of(world, *STREAMS)
            basic = records_of(read_with_pawl(world, write_config(world, "basic"), "--catalog", catalog))
            oauth = records_of(read_with_pawl(world, write_config(world, "oauth"), "--catalog", catalog))
            self.assertEqual(set(basic), set(STREAMS))
            self.assertEqual(basic, oauth)

    def test_a_second_read_goes_on_from_the_state(self):
        with World(calls=120) as world:
            config, catalog = write_config(world, "basic"), catalog_of(world, "calls")
            first = read_with_pawl(world, config, "--catalog", catalog)
            states = [message["state"] for message in first if message["type"] == "STATE"]
            state = world.folder / "state.json"
            state.write_text(json.dumps([states[-1]]))
            second = records_of(read_with_pawl(world, config, "--catalog", catalog, "--state", state))
            # The last days again, as lookback and window have it, and nothing that was not there before.
            self.assertLess(second["calls"].total(), records_of(first)["calls"].total())
            self.assertEqual(second["calls"] - records_of(first)["calls"], collections.Counter())

    def test_a_refused_credential_is_said_and_shows_no_secret(self):
        with World(calls=10) as world:
            config = world.folder / "wrong.json"
            config.write_text(json.dumps({"auth": "basic", "access_key": "canary-user", "secret_key": "canary-secret",
                                          "base_url": world.url + "/api/v1", "start_date": "2026-03-10",
                                          "end_date": "2026-03-10"}))
            messages = read_with_pawl(world, config, "--catalog", catalog_of(world, "accounts"), check=False)
            errors = [m["trace"]["error"]["message"] for m in messages
                      if m["type"] == "TRACE" and m["trace"]["type"] == "ERROR"]
            self.assertTrue(errors and "401" in errors[0], errors)
            self.assertNotIn("canary", json.dumps(messages))

    def say(self, *words, check=True):
        done = subprocess.run([BUILD / "pawl", "source", *words], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(done.stdout[-2000:] + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    def test_check_says_whether_the_source_answers(self):
        with World(calls=10) as world:
            words = ("check", "--manifest", MANIFEST, "--config")
            succeeded = [{"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}}]
            self.assertEqual(self.say(*words, write_config(world, "oauth")), (succeeded, 0))
            self.assertLess(len(world.log()), 4)  # a token and a page
            config = world.folder / "wrong.json"
            config.write_text(json.dumps({"auth": "basic", "access_key": "canary-user", "secret_key": "canary-secret",
                                          "base_url": world.url + "/api/v1"}))
            messages, status = self.say(*words, config, check=False)
            self.assertEqual((status, messages[-1]["type"]), (4, "CONNECTION_STATUS"))
            self.assertEqual(messages[-1]["connectionStatus"]["status"], "FAILED")
            self.assertIn("stream accounts is not available", messages[-1]["connectionStatus"]["message"])
            self.assertIn("401", messages[-1]["connectionStatus"]["message"])
            self.assertNotIn("canary", json.dumps(messages))
            # A manifest that is not there is a status too, not only an exit code.
            messages, status = self.say("check", "--manifest", world.folder / "none.yaml", "--config", config, check=False)
            self.assertEqual((status, messages[-1]["connectionStatus"]["status"]), (5, "FAILED"))

    def test_spec_and_catalog_are_what_the_cdk_says(self):
        if not has_cdk():
            self.skipTest(f"no Python with airbyte-cdk at {PYTHON}")
        with World(calls=10) as world:
            config = write_config(world, "basic")
            done = subprocess.run([PYTHON, pathlib.Path(__file__).with_name("describe_with_cdk.py"), MANIFEST, config],
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
            spec, catalog = (json.loads(line) for line in done.stdout.splitlines())
            for default in ("supportsNormalization", "supportsDBT"):  # withdrawn words, at their default
                self.assertFalse(spec["spec"].pop(default, False))
            self.assertEqual(self.say("spec", "--manifest", MANIFEST), ([spec], 0))
            self.assertEqual(self.say("discover", "--manifest", MANIFEST, "--config", config), ([catalog], 0))
            self.assertEqual([stream["name"] for stream in catalog["catalog"]["streams"]][:2], ["accounts", "calls"])

    def test_the_cdk_reads_the_same_records(self):
        if not has_cdk():
            self.skipTest(f"no Python with airbyte-cdk at {PYTHON}")
        with World(calls=120) as world:
            config = write_config(world, "basic")
            ours = records_of(read_with_pawl(world, config, "--catalog", catalog_of(world, *STREAMS)))
            done = subprocess.run([PYTHON, pathlib.Path(__file__).with_name("read_with_cdk.py"), MANIFEST, config, *STREAMS],
                                  capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
            theirs = collections.defaultdict(collections.Counter)
            for line in done.stdout.splitlines():
                record = json.loads(line)
                if "stream" in record:
                    theirs[record["stream"]][json.dumps(record["data"], sort_keys=True)] += 1
            for name in STREAMS:
                self.assertEqual(ours[name], theirs[name], name)


if __name__ == "__main__":
    unittest.main()
