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
