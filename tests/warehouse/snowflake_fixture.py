"""Snowflake's SQL API v2 on loopback, for tests: HTTPS, tokens verified as Snowflake does, SQL run by snowflake_sql.py.

    python snowflake_fixture.py FOLDER     writes what a client needs into FOLDER (ca.pem, key.pem, key2.pem, ready.json)

/_fixture/... is for the tests: faults to come, what was run, which grants there are.
"""
import base64, datetime, gzip, hashlib, http.server, ipaddress, json, os, pathlib, re, ssl, sys, threading, time, uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import snowflake_sql
from snowflake_sql import SqlError

ACCOUNT, USER, PASSPHRASE = "TESTORG-TESTACCT", "LOADER_USER", "a passphrase"
TOKENS = {"OAUTH": "an-oauth-token", "PROGRAMMATIC_ACCESS_TOKEN": "a-programmatic-token"}
MEMBERS = {"statement", "timeout", "database", "schema", "warehouse", "role", "bindings", "parameters"}
# What the SQL API takes as parameters of a request (Snowflake's reference); LOCK_TIMEOUT, say, is not among them.
PARAMETERS = {"BINARY_OUTPUT_FORMAT", "CLIENT_RESULT_CHUNK_SIZE", "DATE_OUTPUT_FORMAT", "MULTI_STATEMENT_COUNT", "QUERY_TAG",
              "ROWS_PER_RESULTSET", "TIME_OUTPUT_FORMAT", "TIMESTAMP_LTZ_OUTPUT_FORMAT", "TIMESTAMP_NTZ_OUTPUT_FORMAT",
              "TIMESTAMP_OUTPUT_FORMAT", "TIMESTAMP_TZ_OUTPUT_FORMAT", "TIMEZONE", "USE_CACHED_RESULT"}


class Refused(Exception):
    def __init__(self, status, code, message, headers=None):
        super().__init__(message)
        self.status, self.body, self.headers = status, {"code": code, "message": message}, headers or {}


class Service:
    def __init__(self, folder):
        self.folder = folder
        self.base = snowflake_sql.Database(str(folder / "stage"))
        self.base.now = lambda: datetime.datetime.fromtimestamp(time.time() if self.now is None else self.now, datetime.timezone.utc)
        (folder / "stage").mkdir(exist_ok=True)
        self.lock = threading.RLock()
        self.fingerprints = {}
        self.reset()

    def reset(self):
        self.results, self.requests, self.log, self.faults = {}, {}, [], []
        self.grants, self.tokens = None, dict(TOKENS)
        self.polls, self.partition_rows, self.now = 0, 5000, None
        self.registered = list(self.fingerprints)
        self.cancelled, self.polled, self.held = [], [], []
        self.base.azure, self.base.fetched = None, []

    # ---- who

    def authenticate(self, headers):
        kind = headers.get("X-Snowflake-Authorization-Token-Type", "")
        token = re.sub("^Bearer ", "", headers.get("Authorization", ""))
        if kind in TOKENS:
            if token != self.tokens[kind]:
                raise Refused(401, "390303", "Invalid OAuth access token.")
            return
        if kind != "KEYPAIR_JWT":
            raise Refused(401, "390101", "Authorization header or token type is missing.")
        self.check_jwt(token)

    def check_jwt(self, token):
        refused = Refused(401, "390144", "JWT token is invalid.")
        try:
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
            name, fingerprint = issuer.rsplit(".", 1)
            if fingerprint not in self.registered or jwt.get_unverified_header(token)["alg"] != "RS256":
                raise refused
            claims = jwt.decode(token, self.fingerprints[fingerprint], algorithms=["RS256"], options={
                "verify_exp": False, "verify_iat": False, "require": ["iss", "sub", "iat", "exp"]})
        except (jwt.PyJWTError, KeyError, ValueError):
            raise refused from None
        now = time.time() if self.now is None else self.now
        if name != f"{ACCOUNT}.{USER}" or claims["sub"] != name:
            raise refused
        if claims["exp"] - claims["iat"] > 3600 or not claims["iat"] - 60 <= now < claims["exp"]:
            raise refused

    # ---- statements

    def submit(self, query, body, headers):
        request_id = query.get("requestId")
        try:
            uuid.UUID(request_id)
        except (TypeError, ValueError):
            raise Refused(400, "391902", "requestId is no UUID.") from None
        with self.lock:
            if request_id in self.requests and query.get("retry") == "true":
                return self.answer(self.requests[request_id], query)
            handle = self.run(body)
            self.results[handle]["polls"] = self.polls
            self.requests[request_id] = handle
            return self.answer(handle, query)

    def answer(self, handle, query):
        if query.get("async") == "true":
            return 202, {"code": "333334", "message": "Asynchronous execution in progress.", "statementHandle": handle,
                         "statementStatusUrl": f"/api/v2/statements/{handle}"}
        return self.result(handle, {})

    def check_body(self, body):
        if set(body) - MEMBERS:
            raise Refused(400, "391917", f"Unknown members: {sorted(set(body) - MEMBERS)}")
        parameters = body.get("parameters", {})
        if {p.upper() for p in parameters} - PARAMETERS:
            raise Refused(400, "391902", f"Unsupported parameters: {sorted({p.upper() for p in parameters} - PARAMETERS)}")
        if not all(isinstance(v, str) for v in parameters.values()):
            raise Refused(400, "391902", "Values of parameters are strings.")
        return parameters

    def unknown(self, body):
        """What a request is run in is named case-sensitively, and nothing here has a name that is not upper case."""
        for member, code, state, message in (
                ("role", "390189", "08001", "Role '{}' specified in the connect string does not exist or not authorized."),
                ("warehouse", "000606", "57P03", "No active warehouse selected in the current session."),
                ("database", "090105", "22000", "Cannot perform operation. This session does not have a current database."),
                ("schema", "090106", "22000", "Cannot perform operation. This session does not have a current schema.")):
            name = body.get(member, "")
            if name != name.upper():
                return self.failed(code, state, message.format(name))
        return None

    def run(self, body):
        """Runs the statements of one request; the handle of their result, or of their failure."""
        parameters = self.check_body(body)
        if refused := self.unknown(body):
            return refused
        statements = snowflake_sql.split_statements(body["statement"])
        wanted = int(parameters.get("MULTI_STATEMENT_COUNT", "0"))  # this account's own setting: as many as there are
        if wanted not in (0, len(statements)):
            return self.failed("000008", "0A000", f"Actual statement count {len(statements)} did not match the desired"
                                                  f" statement count {wanted}.")
        sees = self.grants and (lambda schema, name: self.grants.sees(body.get("role"), body["database"], schema, name))
        session = snowflake_sql.Session(self.base, body.get("database", "TEST"), body.get("schema"), parameters, sees)
        children = []
        try:
            for sql in statements:
                entry = {"sql": sql, "tag": parameters.get("QUERY_TAG", ""), "role": body.get("role"), "error": None,
                         "warehouse": body.get("warehouse"), "request": len(self.requests),
                         "transaction": session.in_transaction, "settings": dict(session.settings), "several": wanted != 1}
                self.log.append(entry)
                if len(statements) == 1 and re.match(r"(USE|BEGIN|START|COMMIT|ROLLBACK|ALTER\s+SESSION)\b", sql, re.IGNORECASE):
                    return self.failed("391911", "0A000", "Statement type not supported outside of several statements.")
                try:
                    if self.grants is not None:
                        self.grants.check(body.get("role"), sql, session, body.get("warehouse"))
                        if wanted != 1:  # several statements need a warehouse, whatever they are
                            self.grants.need(body.get("role"), "USAGE", "WAREHOUSE", body.get("warehouse"))
                        entry["needs"] = sorted(self.grants.asked)
                    self.maybe_fail(sql)
                    table = self.show_grants(sql)
                    table = session.execute(sql) if table is None else table
                except SqlError as e:
                    entry["error"] = e.message
                    if wanted == 1:
                        return self.failed(e.code, e.state, e.message)
                    return self.failed("100132", "P0000", self.of_several(body["statement"], sql, e.message))
                children.append(self.keep(table, session.rows_most))
            if session.in_transaction:  # as of every procedure that does not end what it began
                return self.failed("100132", "P0000", "Stored procedure execution error: Scoped transaction started in stored procedure"
                                                      " is incomplete and it was rolled back.")
        finally:
            session.close()
        if wanted == 1:
            return children[0]
        parent = str(uuid.uuid4())
        self.results[parent] = {
            "types": [{"name": "multiple statement execution", "type": "text"}], "children": children,
            "rows": [["Multiple statements executed successfully."]]}
        return parent

    @staticmethod
    def of_several(text, sql, message):
        """Several statements run as a procedure, whose failure it is, whatever the statement's own code was."""
        begin = text.find(sql)
        line, position = text.count("\n", 0, begin) + 1, begin - text.rfind("\n", 0, begin) - 1
        shown = sql if len(sql) <= 30 else sql[:30] + "..."
        return (f'JavaScript execution error: Uncaught Execution of multiple statements failed on statement "{shown}" (at line {line},'
                f" position {position}).\n{message} in SYSTEM$MULTISTMT at '    throw `Execution of multiple statements failed on"
                " statement {0} (at line {1}, position {2}).`.replace('{1}', LINES[i])' position 4\nstackstrace: \n"
                "SYSTEM$MULTISTMT line: 10")

    def show_grants(self, sql):
        match = re.match(r'SHOW GRANTS TO ROLE "([^"]+)"', sql)
        if not match:
            return None
        rows = [] if self.grants is None else [(r[1], r[2], r[3]) for r in self.grants.rows if r[0] == match[1]]
        if self.grants is not None:
            rows += [("USAGE", "ROLE", role) for role, to in self.grants.roles if to == match[1]]
        return snowflake_sql.pa.table({n: [row[i] for row in rows] for i, n in enumerate(
            ("privilege", "granted_on", "name"))})

    def keep(self, table, rows_most):
        handle = str(uuid.uuid4())
        types, rows = snowflake_sql.as_rows(table if rows_most == 0 else table.slice(0, rows_most))
        self.results[handle] = {"types": types, "rows": rows}
        return handle

    def failed(self, code, state, message):
        handle = str(uuid.uuid4())
        self.results[handle] = {"failure": {"code": code, "sqlState": state, "message": message,
                                            "statementHandle": handle}}
        return handle

    def result(self, handle, query):
        with self.lock:
            result = self.results.get(handle)
            if result is None:
                return 404, {"code": "391914", "message": "Statement not found."}
            if result.get("polls", 0) > 0:
                result["polls"] -= 1
                return 202, {"code": "333334", "message": "Asynchronous execution in progress.", "statementHandle": handle}
            if "failure" in result:
                return 422, result["failure"]
            rows, size = result["rows"], self.partition_rows
            number = int(query.get("partition", "0"))
            count = max(1, -(-len(rows) // size))
            part = rows[number * size:(number + 1) * size]
            if number > 0:
                return 200, {"data": part}
            answer = {"code": "090001", "sqlState": "00000", "message": "Statement executed successfully.",
                      "statementHandle": handle, "data": part,
                      "resultSetMetaData": {"numRows": len(rows), "format": "jsonv2", "rowType": result["types"],
                                            "partitionInfo": [{"rowCount": len(rows[i * size:(i + 1) * size])}
                                                              for i in range(count)]}}
            if "children" in result:
                answer["statementHandles"] = result["children"]
            return 200, answer

    # ---- faults: [{"at": "before"|"after"|"sql", "method": "POST", "match": regex of the SQL or path, "times": 1,
    #                "do": "drop"|"hold"|"status", "status": 429, ...}]

    def fault(self, at, method, text):
        for fault in self.faults:
            if (fault.get("at", "before") == at and fault.get("method", method) == method and fault.get("times", 1) > 0 and
                    re.search(fault.get("match", ""), text, re.DOTALL)):
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    continue
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return None

    def maybe_fail(self, sql):
        fault = self.fault("sql", None, sql)
        if fault:
            if "then" in fault:  # something that happens at this very moment
                other = snowflake_sql.Session(self.base, fault["database"], fault.get("schema"))
                other.execute(fault["then"])
                return
            raise SqlError(fault.get("code", "000603"), fault.get("state", "XX000"), fault.get("message", "a fault"))

    def control(self, path, body):
        with self.lock:
            if path == "reset":
                self.reset()
            elif path == "log":
                answer = list(self.log)
                if body and body.get("clear"):
                    self.log = []
                return answer
            elif path == "set":
                for name, value in body.items():
                    setattr(self, name, value)
            elif path == "database":
                for schema in body["schemas"]:
                    self.base.connect(body["name"], schema)
            elif path == "drop":
                self.base.drop(body["name"])
            elif path == "clone":
                self.base.clone(body["from"], body["to"])
            elif path == "sql":
                session = snowflake_sql.Session(self.base, body["database"], body.get("schema"))
                return snowflake_sql.as_rows(session.execute(body["sql"]))[1]
            elif path == "grants":
                import snowflake_grants
                self.grants = snowflake_grants.Grants(body["files"], body.get("without", [])) if body else None
            elif path == "rights":  # of a role on a table or view
                return sorted(self.grants.rights(body["role"], body["database"], *body["table"]))
            elif path == "own":  # tables that were made before rights counted are this role's
                for schema in body["schemas"]:
                    for (name,) in self.base.fake.duck_conn.execute(
                            "SELECT DISTINCT table_name FROM duckdb_columns() WHERE upper(database_name) = ? AND upper(schema_name) = ?",
                            [body["database"], schema]).fetchall():
                        self.grants.owners[(body["database"], schema, name)] = body["role"]
            elif path == "faults":
                return sum(fault.get("times", 1) for fault in self.faults)
            elif path == "stage":  # where CREATE STAGE ... URL = 'azure://...' CREDENTIALS = (AZURE_SAS_TOKEN = ...) points
                self.base.azure = body
            elif path == "fetched":
                return self.base.fetched
            elif path == "held":
                return len(self.held)
            elif path == "release":
                results = [self.results[self.run(body)] for body in self.held]
                self.held = []
                return [result.get("failure") for result in results]
            elif path == "cancelled":
                return self.cancelled
            elif path == "polled":
                return self.polled
            elif path == "keys":
                self.registered = [list(self.fingerprints)[i] for i in body["registered"]]
            else:
                raise Refused(404, "", path)
            return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        if not self.path.startswith("/_fixture/") and (len(data) > 2000 or "partition=" in self.path):
            data = gzip.compress(data, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def drop(self):
        self.close_connection = True
        self.connection.close()

    def do_GET(self):
        self.serve("GET")

    def do_POST(self):
        self.serve("POST")

    def serve(self, method):
        service = self.server.service
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        query = dict(part.partition("=")[::2] for part in query.split("&") if part)
        try:
            if path.startswith("/_fixture/"):
                return self.reply(200, service.control(path[10:], json.loads(raw) if raw else None))
            if not self.headers.get("User-Agent"):
                raise Refused(400, "391903", "The User-Agent header is missing.")
            body = json.loads(raw) if raw and not path.endswith("/cancel") else {}
            text = body.get("statement", path)
            if fault := service.fault("before", method, text):
                if fault["do"] == "hold":  # it is under way until control("release"), whatever becomes of its client
                    service.held.append(body)
                    threading.Event().wait()
                return self.misbehave(fault)
            service.authenticate(self.headers)
            if self.headers.get("Accept") not in ("application/json", "*/*"):
                raise Refused(406, "391902", "Accept must be application/json.")
            status, answer = self.route(service, method, path, query, body)
            if fault := service.fault("after", method, text):
                return self.misbehave(fault)
            self.reply(status, answer)
        except Refused as e:
            self.reply(e.status, e.body, e.headers)

    def misbehave(self, fault):
        if fault["do"] == "drop":
            return self.drop()
        headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
        self.reply(fault["status"], {"code": fault.get("code", ""), "message": "a fault"}, headers)

    def route(self, service, method, path, query, body):
        parts = path.strip("/").split("/")
        if parts[:3] != ["api", "v2", "statements"]:
            raise Refused(404, "", "no such resource")
        if method == "POST" and len(parts) == 3:
            if "application/json" not in self.headers.get("Content-Type", ""):
                raise Refused(415, "391902", "Content-Type must be application/json.")
            return service.submit(query, body, self.headers)
        if method == "POST" and parts[4:] == ["cancel"]:
            service.cancelled.append(parts[3])
            return 200, {"code": "000604", "message": "SQL execution canceled", "statementHandle": parts[3]}
        if method == "GET" and len(parts) == 4:
            service.polled.append(parts[3])
            return service.result(parts[3], query)
        raise Refused(405, "", "method not allowed")


# ---- keys and certificates

def write_keys(folder, service):
    for number, name in enumerate(("key.pem", "key2.pem")):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encryption = (serialization.BestAvailableEncryption(PASSPHRASE.encode()) if number == 0
                      else serialization.NoEncryption())
        (folder / name).write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                      encryption))
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
        service.fingerprints[fingerprint] = key.public_key()
    service.registered = list(service.fingerprints)


def write_certificate(folder):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=2))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(
                       ipaddress.ip_address("127.0.0.1"))]), False)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
                   .sign(key, hashes.SHA256()))
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) +
        certificate.public_bytes(serialization.Encoding.PEM))


def main():
    folder = pathlib.Path(sys.argv[1])
    service = Service(folder)
    write_keys(folder, service)
    write_certificate(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.service = service
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    ready = {"url": f"https://localhost:{server.server_address[1]}", "account": ACCOUNT, "user": USER,
             "passphrase": PASSPHRASE, "stage": str(folder / "stage")}
    (folder / "ready.json.new").write_text(json.dumps(ready))
    (folder / "ready.json.new").rename(folder / "ready.json")
    # Whoever started us holds our standard input: when he is gone, so are we.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # nobody reads what DuckDB's binding would say of the objects that it leaks


if __name__ == "__main__":
    main()
