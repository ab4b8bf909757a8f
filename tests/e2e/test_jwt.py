"""Tokens that pawl signs are verified by PyJWT, which came with Airbyte's CDK (PAWL_CDK_PYTHON); skipped where it is not there."""
import http.server, json, pathlib, subprocess, tempfile, threading, time, unittest
from test_source import PYTHON, has_cdk
from world import BUILD

MANIFEST = """version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [s]}
streams:
  - type: DeclarativeStream
    name: s
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['url'] }}"
        authenticator: %s
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: []}}
"""
CLAIMS = {"jwt_headers": {"kid": "{{ config['kid'] }}"}, "jwt_payload": {"iss": "me", "aud": "{{ config['kid'] }}-api"},
          "additional_jwt_headers": {"x": "1y"}, "additional_jwt_payload": {"n": "{{ 6 * 7 }}", "scope": "read"},
          "header_prefix": "Bearer", "token_duration": 600}
VERIFY = """import json, jwt, sys
for token, key, algorithm in json.load(sys.stdin):
    print(json.dumps([jwt.get_unverified_header(token), jwt.decode(token, key, algorithms=[algorithm], audience="k1-api")]))"""


def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, text=True, check=True).stdout


class Server:
    def __enter__(self):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'[{"id": 1}]')

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@unittest.skipUnless(has_cdk(), f"no Python with airbyte-cdk at {PYTHON}")
class Jwt(unittest.TestCase):
    def check(self, server, authenticator, secret, check=True):
        with tempfile.TemporaryDirectory() as folder:
            manifest, config = pathlib.Path(folder, "manifest.yaml"), pathlib.Path(folder, "config.json")
            manifest.write_text(MANIFEST % json.dumps({"type": "JwtAuthenticator", "secret_key": "{{ config['key'] }}",
                                                       **authenticator}))
            config.write_text(json.dumps({"url": server.url, "key": secret, "kid": "k1"}))
            done = subprocess.run([BUILD / "pawl", "source", "check", "--manifest", manifest, "--config", config],
                                  capture_output=True, text=True, timeout=60)
            if check and done.returncode != 0:
                raise AssertionError(done.stdout + done.stderr)
            return done

    def test_others_verify_what_we_sign(self):
        rsa = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        locked = openssl("pkey", "-aes256", "-passout", "pass:word", data=rsa)
        curves = {name: openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
                  for name, curve in (("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521"))}
        public = lambda key: openssl("pkey", "-pubout", data=key)
        rows = [("HS256", "a secret of 32 bytes or even more", None, {}), ("HS512", "x" * 64, None, {}),
                ("HS384", "a secret of 36 bytes, so that it is long", None, {"base64_encode_secret_key": True}),
                ("RS256", rsa, public(rsa), {}), ("RS512", locked, public(rsa), {"passphrase": "word"}),
                ("PS384", rsa, public(rsa), {}), *((name, key, public(key), {}) for name, key in curves.items())]
        with Server() as server:
            tokens, began = [], int(time.time())
            for algorithm, secret, key, more in rows:
                self.check(server, {"algorithm": algorithm, **CLAIMS, **more}, secret)
                prefix, token = server.seen[-1][1]["Authorization"].split(" ")
                self.assertEqual(prefix, "Bearer")
                if "base64_encode_secret_key" in more:
                    key = openssl("base64", "-A", data=secret)
                tokens.append((token, key or secret, algorithm))
            done = subprocess.run([PYTHON, "-c", VERIFY], input=json.dumps(tokens), capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr[-1000:])
            for (algorithm, *_), line in zip(rows, done.stdout.splitlines(), strict=True):
                header, payload = json.loads(line)
                self.assertEqual(header, {"alg": algorithm, "typ": "JWT", "kid": "k1", "x": "1y"})
                self.assertEqual({name: payload[name] for name in ("iss", "aud", "n", "scope")},
                                 {"iss": "me", "aud": "k1-api", "n": 42, "scope": "read"})
                self.assertEqual((payload["exp"] - payload["iat"], payload["nbf"]), (600, payload["iat"]))
                self.assertGreaterEqual(payload["iat"], began)

    def test_it_goes_where_the_manifest_wants_it(self):
        with Server() as server:
            self.check(server, {"algorithm": "HS256", "request_option": {
                "type": "RequestOption", "inject_into": "request_parameter", "field_name": "assertion"}}, "s" * 32)
            path, headers = server.seen[-1]
            self.assertRegex(path, r"^/\?assertion=[\w-]+\.[\w-]+\.[\w-]+$")
            self.assertNotIn("Authorization", headers)

    def test_a_key_that_does_not_fit_is_said_and_not_shown(self):
        curve = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
        with Server() as server:
            for algorithm, secret, message in (("RS256", "canary", "no private RSA key"), ("RS256", curve, "no private RSA key"),
                                               ("ES256", curve, "does not fit"), ("none", "canary", "algorithm none")):
                done = self.check(server, {"algorithm": algorithm}, secret, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(message, done.stdout)
                self.assertNotIn("canary", done.stdout + done.stderr)
                self.assertNotIn(curve.splitlines()[1], done.stdout + done.stderr)
            self.assertEqual(server.seen, [])


if __name__ == "__main__":
    unittest.main()
