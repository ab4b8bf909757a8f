"""Azure on loopback: Azurite as the Blob service, and a small fixture of ours for what it has not: the token end point,
the metadata service, Key Vault, and a proxy in front of Azurite that injects faults.

Standard library only. Needs PAWL_AZURITE (./dev test sets it) and `node`.
"""
import base64, hashlib, hmac, http.server, json, os, pathlib, re, shutil, socketserver, ssl, subprocess, tempfile, threading
import time, unittest, urllib.error, urllib.parse, urllib.request

ACCOUNT = "devstoreaccount1"
# The key that Azurite's manual names; tests that look for it in outputs use one of their own.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SCRIPT = os.environ.get("PAWL_AZURITE", "")
needs_azurite = unittest.skipUnless(SCRIPT and shutil.which("node"), "PAWL_AZURITE is not set (./dev test sets it)")


def make_certificate(folder):
    """A certificate for 127.0.0.1, made now: nothing that could be trusted by mistake lies in the repository."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return key, certificate


class Azurite:
    """One Blob service; containers are made and read with the shared key, whatever pawl uses."""

    def __init__(self, oauth=False, key=KEY):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-azurite-"))
        self.key, self.certificate, self.context = key, None, None
        words = ["node", SCRIPT, "--blobHost", "127.0.0.1", "--blobPort", "0", "--silent", "--skipApiVersionCheck",
                 "--inMemoryPersistence", "--disableTelemetry"]
        if oauth:
            private, self.certificate = make_certificate(self.folder)
            self.context = ssl.create_default_context(cafile=self.certificate)
            words += ["--oauth", "basic", "--cert", self.certificate, "--key", private]
        env = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
        self.process = subprocess.Popen(words, env=env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = ""
        for line in self.process.stdout:
            said += line
            found = re.search(r"successfully listens on (\S+)", line)
            if found:
                self.base = found[1]
                return
        raise RuntimeError("azurite did not start: " + said)

    @property
    def endpoint(self):
        return f"{self.base}/{ACCOUNT}"

    def request(self, method, path, query=(), body=b"", headers=()):
        """Signed with the shared key: a second reading of the rule that src/azure/shared_key.c follows."""
        url = f"/{ACCOUNT}{urllib.parse.quote(path)}"
        ours = {"x-ms-date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()), "x-ms-version": "2023-11-03",
                **dict(headers)}
        text = "\n".join([method, "", "", str(len(body)) if body else "", "", "", "", "", "", "", "", ""])
        text += "".join(f"\n{name}:{value}" for name, value in sorted(ours.items()))
        text += f"\n/{ACCOUNT}{url}" + "".join(f"\n{name}:{value}" for name, value in sorted(query))
        signature = base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest())
        full = self.base + url + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(full, data=body or None, method=method, headers={
            **ours, "Authorization": f"SharedKey {ACCOUNT}:{signature.decode()}", "Content-Type": ""})
        with urllib.request.urlopen(request, timeout=20, context=self.context) as answer:
            return answer.read()

    def make_container(self, name):
        self.request("PUT", f"/{name}", [("restype", "container")])
        return name

    def names(self, container, prefix=""):
        text = self.request("GET", f"/{container}", [("comp", "list"), ("prefix", prefix), ("restype", "container")]).decode()
        return re.findall(r"<Name>(.*?)</Name>", text)

    def read(self, container, name):
        return self.request("GET", f"/{container}/{name}")

    def sas(self, container, rights="racwdl"):
        """A service SAS for the container that ends tomorrow, and its signature."""
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
        fields = [rights, "", end, f"/blob/{ACCOUNT}/{container}", "", "", "", "2020-12-06", "c", "", "", "", "", "", "", ""]
        signature = base64.b64encode(hmac.new(base64.b64decode(self.key), "\n".join(fields).encode(), hashlib.sha256).digest())
        return urllib.parse.urlencode({"sp": rights, "se": end, "sv": "2020-12-06", "sr": "c",
                                       "sig": signature.decode()}), signature.decode()

    def close(self):
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def landing(self, container, **more):
        """The job's "landing"."""
        return {"store": "adls", "account": ACCOUNT, "container": container, "prefix": "lake", "endpoint": self.endpoint,
                "account_key": "${env:TEST_ACCOUNT_KEY}", **more}


def make_token(audience, lives_s=3600, mark=""):
    """A JWT as Entra gives one; Azurite reads its claims and cannot check its signature."""
    now = int(time.time())
    claims = {"aud": audience, "iss": "https://sts.windows.net/a7a3/", "iat": now - 60, "nbf": now - 60, "exp": now + lives_s,
              "oid": "0" * 8, "tid": "a7a3", "ver": "1.0", "jti": mark}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)] + [os.urandom(256)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


class Server:
    """An HTTP server in threads of its own. `faults` are statuses to answer first, one a request."""

    def __init__(self):
        outer = self
        self.log, self.faults, self.lock = [], [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with outer.lock:
                    outer.log.append(f"{self.command} {self.path}")
                    fault = outer.faults.pop(0) if outer.faults else None
                outer.answer(self, body) if fault is None else outer.reply(self, fault, b"")

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do

            def log_message(self, *_):
                pass

        class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # pawl was killed, as the test wanted

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def reply(handler, status, body, headers=()):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Cloud(Server):
    """The login host, the metadata service and a key vault. What it gives away is in `given`."""

    def __init__(self, client_secret="a client's secret", secrets=None):
        super().__init__()
        self.client_secret, self.secrets, self.given, self.lives_s = client_secret, secrets or {}, [], 3600
        self.vault_forbids, self.assertion = False, "a.federated.token"

    def token(self, audience):
        token = make_token(audience, mark=f"token {len(self.given)}")
        self.given.append(token)
        return token

    def answer(self, handler, body):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/tenant-1/oauth2/v2.0/token":
            return self.login(handler, dict(urllib.parse.parse_qsl(body.decode())))
        if url.path == "/metadata/identity/oauth2/token":
            if handler.headers.get("Metadata") != "true" or "api-version" not in query:
                return self.reply(handler, 400, b'{"error":"invalid_request"}')
            answer = {"access_token": self.token(query["resource"]), "expires_in": str(self.lives_s), "token_type": "Bearer"}
            return self.reply(handler, 200, json.dumps(answer).encode())
        return self.vault(handler, url.path, query)

    def login(self, handler, form):
        good = form.get("client_id") == "app-1" and form.get("grant_type") == "client_credentials" and (
            form.get("client_secret") == self.client_secret or form.get("client_assertion") == self.assertion)
        if not good:
            text = f"AADSTS7000215: Invalid client secret provided: {form.get('client_secret')}."
            return self.reply(handler, 401, json.dumps({"error": "invalid_client", "error_description": text}).encode())
        token = self.token(form["scope"].removesuffix("/.default"))
        return self.reply(handler, 200, json.dumps({"access_token": token, "expires_in": self.lives_s}).encode())

    def vault(self, handler, path, query):
        if handler.headers.get("Authorization", "").removeprefix("Bearer ") not in self.given or "api-version" not in query:
            return self.reply(handler, 401, b'{"error":{"code":"Unauthorized","message":"who are you?"}}')
        if self.vault_forbids:
            return self.reply(handler, 403, json.dumps({"error": {"code": "Forbidden", "message": "no, says the vault",
                                                                  "innererror": {"code": "ForbiddenByRbac"}}}).encode())
        name = path.removeprefix("/secrets/")
        if name not in self.secrets:
            return self.reply(handler, 404, b'{"error":{"code":"SecretNotFound","message":"not here"}}')
        return self.reply(handler, 200, json.dumps({"value": self.secrets[name], "id": name}).encode())

    @property
    def environment(self):
        return {"AZURE_AUTHORITY_HOST": self.url, "AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1",
                "AZURE_CLIENT_SECRET": self.client_secret}


class Faulty(Server):
    """Stands in front of Azurite and now and then carries a request out and loses the answer, or refuses it.

    `plan(number, method, path)` says what happens to a request: None, "lost" (carried out, no answer), "denied" (as Azure
    refuses an identity whose role does not allow it: Azurite knows no roles), or a status.
    """

    def __init__(self, azurite, plan):
        super().__init__()
        self.azurite, self.plan, self.count = azurite, plan, 0

    @property
    def endpoint(self):
        return f"{self.url}/{ACCOUNT}"

    def answer(self, handler, body):
        with self.lock:
            self.count += 1
            fault = self.plan(self.count, handler.command, handler.path)
        if isinstance(fault, int):
            return self.reply(handler, fault, b"", [("Retry-After", "0"), ("x-ms-error-code", "ServerBusy")])
        if fault == "denied":
            return self.reply(handler, 403, b"", [("x-ms-error-code", "AuthorizationPermissionMismatch")])
        status, got, headers = self.forward(handler, body)
        if fault == "lost":
            handler.close_connection = True
            handler.connection.close()
            return None
        keep = ("etag", "last-modified", "content-range", "x-ms-error-code", "x-ms-lease-id")
        return self.reply(handler, status, got, [(n, v) for n, v in headers if n.lower() in keep or
                                                 n.lower().startswith("x-ms-meta-")])

    def forward(self, handler, body):
        skip = ("connection", "host", "transfer-encoding")
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in skip}
        headers.setdefault("Content-Type", "")
        request = urllib.request.Request(self.azurite.base + handler.path, data=body or None, method=handler.command,
                                         headers=headers)
        if not body and handler.command == "PUT":
            request.add_header("Content-Length", "0")
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.azurite.context) as answer:
                return answer.status, answer.read(), answer.headers.items()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers.items()
