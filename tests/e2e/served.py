"""An API of a test's own, answered by a function, and a job that reads it. Standard library only; the clock is the real one.

The function gets the handler (path, headers, command) and the query as a dict, and returns (status, headers, body).
"""
import http.server, json, pathlib, shutil, subprocess, tempfile, threading, urllib.parse
from world import BUILD, CRASHES

REQUESTER = {"type": "HttpRequester", "url_base": "{{ config['url'] }}", "path": "/items"}
WINDOW = {"type": "DatetimeBasedCursor", "cursor_field": "day", "datetime_format": "%Y-%m-%d", "step": "P1D",
          "cursor_granularity": "P1D", "start_datetime": "2026-03-01", "end_datetime": "{{ today_utc() }}",
          "start_time_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "from"},
          "end_time_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "to"}}


def stream(name="items", requester=None, cursor=WINDOW, **retriever):
    """A stream of a manifest; its records are the items of a list."""
    selector = {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": []}}
    return {"type": "DeclarativeStream", "name": name, "primary_key": ["id"], **({"incremental_sync": cursor} if cursor else {}),
            "retriever": {"type": "SimpleRetriever", "requester": {**REQUESTER, **(requester or {})},
                          "record_selector": selector, **retriever}}


class Served:
    def __init__(self, answer, *streams, **job):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.received = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urllib.parse.urlsplit(self.path)
                status, headers, body = answer(self, dict(urllib.parse.parse_qsl(url.query)))
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # who asked may have gone
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-served-"))
        names = [s["name"] for s in streams]
        self.write("manifest.yaml", {"version": "6.0.0", "type": "DeclarativeSource", "streams": list(streams),
                                     "check": {"type": "CheckStream", "stream_names": names[:1]}})
        self.write("config.json", {"url": self.url})
        for name in names:
            self.write(f"{name}.json", {"stream": name, "key": ["id"], "columns": [
                {"name": "id", "type": "int64"}, {"name": "day", "type": "date"}]})
        self.job = self.write("job.json", {
            "name": "served", "connector": "manifest.yaml", "config": {"url": self.url},
            "streams": {name: {"contract": f"{name}.json", "target": f"served.{name}"} for name in names},
            "modes": {"historic": {"from": "2026-03-01"}, "incremental": {"lookback": "P1D"},
                      "rehydration": {"windows": [{"every": "P1D", "back": "P3D"}]}},
            "landing": {"store": "local", "path": "./lake"}, "warehouse": {"driver": "duckdb", "path": "./served.duckdb"},
            "limits": {"requests_per_second": 0, "connections": 4},
            "retry": {"attempts": 2, "initial": "PT0.01S", "max": "PT0.05S"}, **job})

    def write(self, name, value):
        (self.folder / name).write_text(json.dumps(value))
        return self.folder / name

    def pawl(self, *words, code=0, timeout=60):
        done = subprocess.run([BUILD / "pawl", *words], capture_output=True, text=True, timeout=timeout, cwd=self.folder)
        if done.returncode in CRASHES or done.returncode != code:
            raise AssertionError(f"{words} ended with {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}")
        return done

    def run(self, mode="historic", *words, **options):
        return self.pawl("run", "job.json", "--mode", mode, "--json", *words, **options)

    def rows(self, sql):
        return [json.loads(line) for line in self.pawl("query", "job.json", sql, "--json").stdout.splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        subprocess.run(["chmod", "-R", "u+w", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
