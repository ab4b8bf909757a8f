"""What needs Python packages, run by the Python that has them (PAWL_CDK_PYTHON); the tests speak to it as a process.

    judge.py yaml FILE...        the files as one JSON list
    judge.py jobs                standard input: {name: job resource}; each must be one that Databricks knows
    judge.py pipeline FILE       against the JSON schema of Azure Pipelines
    judge.py jobs-api FOLDER     a Jobs API 2.2 on loopback, until standard input ends; its port on standard output
"""
import json, os, sys


def read_yaml(paths):
    import yaml
    print(json.dumps([yaml.safe_load(open(path, encoding="utf-8")) for path in paths]))


def check_jobs():
    from databricks.bundles.jobs import Job
    for name, job in json.load(sys.stdin).items():
        try:
            Job.from_dict(job)
        except Exception as error:  # whatever it objects to is what the test wants to show
            sys.exit(f"{name}: {error}")


def check_pipeline(path):
    import jsonschema, pathlib, pickle, schemastore, sqlite3, yaml
    cache = sqlite3.connect(pathlib.Path(schemastore.__file__).with_name("cache.sqlite"))
    # The package keeps answers as pickled dictionaries; the one that is wanted is known by its $id.
    wanted = b"azure-pipelines-vscode/blob/main/service-schema.json"
    answers = [value for value, in cache.execute("SELECT value FROM responses") if wanted in value[:4000]]
    schema = json.loads(pickle.loads(answers[0])["_content"])
    errors = jsonschema.Draft7Validator(schema).iter_errors(yaml.safe_load(open(path, encoding="utf-8")))
    found = [f"{list(error.absolute_path)}: {best(error)}" for error in errors]
    sys.exit("\n".join(found) or 0)


def best(error):
    from jsonschema.exceptions import best_match
    return (best_match([error]) or error).message[:500]


def serve_jobs(folder):
    os.environ.update(MINILAKE_DATA_DIR=folder, MINILAKE_JOB_EXECUTOR="subprocess", MINILAKE_SERVICES="jobs,workspace,secrets",
                      MINILAKE_DUCKDB_EXTENSION_DIR=folder)
    import socket, threading, uvicorn
    from minilake.app import create_app
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="error"))

    def wait_for_end():
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=wait_for_end, daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    server.run(sockets=[listener])


word, *rest = sys.argv[1:]
{"yaml": lambda: read_yaml(rest), "jobs": check_jobs, "pipeline": lambda: check_pipeline(*rest),
 "jobs-api": lambda: serve_jobs(*rest)}[word]()
