"""The Snowflake fixture itself: as strict as the service, since whatever it lets through nobody else will catch.

What each row says of Snowflake is from its manual (SQL API; MERGE; COPY INTO; transactions).
"""
import base64, hashlib, json, ssl, subprocess, time, unittest, urllib.error, urllib.request, uuid

import flake

HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "a test",
           "X-Snowflake-Authorization-Token-Type": "OAUTH", "Authorization": "Bearer an-oauth-token"}


@flake.needed()
class Fixture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fixture = flake.Fixture()
        cls.fixture.control("database", {"name": "D", "schemas": ["CTM", "PAWL"]})

    @classmethod
    def tearDownClass(cls):
        cls.fixture.close()

    def setUp(self):
        self.fixture.reset()

    # ---- asking

    def send(self, method, path, body=None, **headers):
        """(status, body as JSON); a header that is None is left out."""
        given = {name: value for name, value in {**HEADERS, **{n.replace("_", "-"): v for n, v in headers.items()}}.items()
                 if value is not None}
        request = urllib.request.Request(self.fixture.ready["url"] + path, method=method, headers=given,
                                         data=None if body is None else json.dumps(body).encode())
        if "User-Agent" not in given:  # urllib would put its own
            request.add_unredirected_header("User-Agent", "")
        try:
            with urllib.request.urlopen(request, timeout=60, context=self.fixture.trust) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def sql(self, *statements, query="", request_id=None, parameters=None, **headers):
        body = {"statement": ";\n".join(statements), "database": "D", "schema": "CTM", "warehouse": "W", "role": "R",
                "parameters": {"MULTI_STATEMENT_COUNT": str(len(statements)), **(parameters or {})}}
        return self.send("POST", f"/api/v2/statements?requestId={request_id or uuid.uuid4()}{query}", body, **headers)

    def rows(self, sql):
        status, answer = self.sql(sql)
        self.assertEqual(status, 200, answer)
        return answer["data"]

    def made(self, *statements):
        for statement in statements:
            status, answer = self.sql(statement)
            self.assertEqual(status, 200, answer)

    # ---- the service

    def test_who_is_not_known_stays_outside(self):
        for headers in ({"User-Agent": None}, {"Authorization": "Bearer another"}, {"Authorization": None},
                        {"X-Snowflake-Authorization-Token-Type": None}, {"X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN"},
                        {"Accept": "text/html"}, {"Content-Type": "text/plain"}):
            with self.subTest(str(headers)):
                self.assertIn(self.sql("SELECT 1", **{n.replace("-", "_"): v for n, v in headers.items()})[0], (400, 401, 406, 415))
        self.assertEqual(self.fixture.log(), [])

    def jwt(self, key="key2.pem", **changes):
        """RS256 by OpenSSL's own command: neither pawl nor the fixture's library has a hand in it."""
        key = self.fixture.folder / key
        der = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
        name = f"{self.fixture.ready['account']}.{self.fixture.ready['user']}"
        now = int(time.time())
        claims = {"iss": f"{name}.SHA256:{base64.b64encode(hashlib.sha256(der).digest()).decode()}", "sub": name, "iat": now,
                  "exp": now + 3000, **changes}
        header = {"alg": claims.pop("alg", "RS256"), "typ": "JWT"}
        text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
        signer = self.fixture.folder / claims.get("signer", key.name)
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", signer], input=text.encode(), capture_output=True, check=True).stdout
        return text + "." + base64.urlsafe_b64encode(signature).decode().rstrip("=")

    def test_a_key_pair_s_token_is_verified(self):
        now = int(time.time())
        subprocess.run(["openssl", "genrsa", "-out", self.fixture.folder / "foreign.pem", "2048"], capture_output=True, check=True)
        cases = {
            "good": ({}, 200),
            "another issuer": ({"iss": "X.Y.SHA256:abc="}, 401),
            "another subject": ({"sub": "TESTORG-TESTACCT.SOMEBODY"}, 401),
            "ended": ({"iat": now - 4000, "exp": now - 1000}, 401),
            "longer than an hour": ({"exp": now + 3700}, 401),
            "not yet": ({"iat": now + 900, "exp": now + 1800}, 401),
            "signed by another key": ({"signer": "foreign.pem"}, 401),
            "another algorithm": ({"alg": "none"}, 401),
        }
        for name, (changes, expected) in cases.items():
            with self.subTest(name):
                token = self.jwt(**changes)
                status, answer = self.sql("SELECT 1", X_Snowflake_Authorization_Token_Type="KEYPAIR_JWT", Authorization="Bearer " + token)
                self.assertEqual(status, expected, answer)
        status, answer = self.sql("SELECT 1", X_Snowflake_Authorization_Token_Type="KEYPAIR_JWT",
                                  Authorization="Bearer " + self.jwt(key="foreign.pem"))
        self.assertEqual((status, answer["code"]), (401, "390144"))

    def test_a_request_is_run_once_for_each_id_that_is_tried_again(self):
        self.made("CREATE OR REPLACE TABLE CTM.T (n NUMBER(19,0))")
        one = str(uuid.uuid4())
        first = self.sql("INSERT INTO CTM.T VALUES (1)", request_id=one)[1]
        again = self.sql("INSERT INTO CTM.T VALUES (1)", request_id=one, query="&retry=true")[1]
        self.assertEqual(again["statementHandle"], first["statementHandle"])
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.T"), [["1"]])
        self.sql("INSERT INTO CTM.T VALUES (1)", request_id=one)  # who does not say that it is a retry runs it twice
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.T"), [["2"]])
        for wrong in ("7", "x" * 36):
            self.assertEqual(self.sql("SELECT 1", request_id=wrong)[0], 400)

    def test_what_takes_long_is_asked_for_and_comes_in_parts(self):
        self.fixture.control("set", {"polls": 1, "partition_rows": 2})
        status, answer = self.sql("SELECT * FROM (VALUES (1), (2), (3), (4), (5)) AS t(n)", query="&async=true")
        self.assertEqual((status, answer["code"]), (202, "333334"))
        path = f"/api/v2/statements/{answer['statementHandle']}"
        self.assertEqual(self.send("GET", path)[0], 202)
        status, answer = self.send("GET", path)
        self.assertEqual((status, len(answer["data"]), answer["resultSetMetaData"]["numRows"]), (200, 2, 5))
        self.assertEqual([part["rowCount"] for part in answer["resultSetMetaData"]["partitionInfo"]], [2, 2, 1])
        request = urllib.request.Request(self.fixture.ready["url"] + path + "?partition=2", headers=HEADERS)
        with urllib.request.urlopen(request, timeout=60, context=self.fixture.trust) as part:
            self.assertEqual(part.headers["Content-Encoding"], "gzip")
        self.assertEqual(self.send("GET", "/api/v2/statements/01b2c3d4-0000-0000-0000-000000000000")[0], 404)

    def test_bodies_hold_what_the_service_takes(self):
        for changes in ({"sql": "x"}, {"parameters": {"LOCK_TIMEOUT": "10"}}, {"parameters": {"QUERY_TAG": 7}}):
            body = {"statement": "SELECT 1", "database": "D", **changes}
            self.assertEqual(self.send("POST", f"/api/v2/statements?requestId={uuid.uuid4()}", body)[0], 400, changes)
        status, answer = self.sql("SELECT 1", "SELECT 2", parameters={"MULTI_STATEMENT_COUNT": "3"})
        self.assertEqual((status, answer["code"]), (422, "000008"))
        # What it is run in is named as it is called, unlike in SQL.
        for member, code in (("database", "090105"), ("schema", "090106"), ("warehouse", "000606"), ("role", "390189")):
            body = {"statement": "SELECT 1", "database": "D", "schema": "CTM", "warehouse": "W", "role": "R"}
            status, answer = self.send("POST", f"/api/v2/statements?requestId={uuid.uuid4()}", {**body, member: body[member].lower()})
            self.assertEqual((status, answer["code"]), (422, code), member)
        for alone in ("USE SCHEMA CTM", "BEGIN", "COMMIT", "ALTER SESSION SET LOCK_TIMEOUT = 600"):
            self.assertEqual(self.sql(alone)[1]["code"], "391911", alone)

    # ---- several statements

    def test_of_several_statements_one_that_fails_takes_back_the_transaction(self):
        self.made("CREATE OR REPLACE TABLE CTM.T (n NUMBER(19,0))")
        status, answer = self.sql("BEGIN", "INSERT INTO CTM.T VALUES (1)", "SELECT * FROM CTM.NOWHERE", "COMMIT")
        self.assertEqual((status, answer["code"], answer["sqlState"]), (422, "100132", "P0000"))
        self.assertRegex(answer["message"], r'failed on statement "SELECT \* FROM CTM.NOWHERE" \(at line 3, position 0\)\.\n(.|\n)*NOWHERE')
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.T"), [["0"]])
        status, answer = self.sql("BEGIN", "INSERT INTO CTM.T VALUES (1)")  # and one that nobody commits
        self.assertEqual((status, answer["code"]), (422, "100132"))
        self.assertIn("rolled back", answer["message"])
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.T"), [["0"]])
        status, answer = self.sql("BEGIN", "INSERT INTO CTM.T VALUES (1), (2)", "COMMIT")
        self.assertEqual((status, answer["data"]), (200, [["Multiple statements executed successfully."]]))
        child = self.send("GET", f"/api/v2/statements/{answer['statementHandles'][1]}")[1]
        self.assertEqual(child["data"], [["2"]])

    def test_ddl_commits_what_is_open(self):
        self.made("CREATE OR REPLACE TABLE CTM.T (n NUMBER(19,0))")
        status, _ = self.sql("BEGIN", "INSERT INTO CTM.T VALUES (1)", "CREATE OR REPLACE TABLE CTM.U (n NUMBER(19,0))",
                             "INSERT INTO CTM.T VALUES (2)", "ROLLBACK")
        self.assertEqual(status, 200)
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.T"), [["2"]])

    # ---- tables

    def test_no_key_is_enforced(self):
        self.made("CREATE OR REPLACE TABLE CTM.T (n NUMBER(19,0) PRIMARY KEY)", "INSERT INTO CTM.T VALUES (1), (1)")
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.T"), [["2"]])

    def test_a_merge_that_is_not_deterministic_is_refused_and_shows_the_row(self):
        self.made("CREATE OR REPLACE TABLE CTM.T (n NUMBER(19,0), v VARCHAR)", "CREATE OR REPLACE TABLE CTM.S (n NUMBER(19,0), v VARCHAR)",
                  "INSERT INTO CTM.T VALUES (1, 'old')", "INSERT INTO CTM.S VALUES (1, 'a'), (1, 'b')")
        merge = ("MERGE INTO CTM.T AS t USING CTM.S AS s ON t.n = s.n WHEN MATCHED THEN UPDATE SET v = s.v"
                 " WHEN NOT MATCHED THEN INSERT (n, v) VALUES (s.n, s.v)")
        status, answer = self.sql(merge)
        self.assertEqual((status, answer["code"]), (422, "100090"))
        self.assertRegex(answer["message"], r"^Duplicate row detected during DML action\nRow Values: \[.*old")
        self.assertEqual(self.rows("SELECT n, v FROM CTM.T"), [["1", "old"]])
        # Two rows of the table for one of the source are none of its business; and in a transaction it works as outside.
        self.made("DELETE FROM CTM.S WHERE v = 'b'", "INSERT INTO CTM.S VALUES (2, 'c')", "INSERT INTO CTM.T VALUES (1, 'older')")
        status, answer = self.sql("BEGIN", merge, "COMMIT")
        self.assertEqual(status, 200, answer)
        child = self.send("GET", f"/api/v2/statements/{answer['statementHandles'][1]}")[1]
        counts = dict(zip((c["name"] for c in child["resultSetMetaData"]["rowType"]), child["data"][0]))
        self.assertEqual((counts["number of rows inserted"], counts["number of rows updated"]), ("1", "2"))
        self.assertEqual(self.rows("SELECT n, v FROM CTM.T ORDER BY 1, 2"), [["1", "a"], ["1", "a"], ["2", "c"]])

    def test_a_text_of_a_parquet_file_becomes_a_variant_string(self):
        (self.fixture.folder / "stage/loads").mkdir()
        subprocess.run([flake.PYTHON, "-c", "import pyarrow as pa, pyarrow.parquet as pq, sys, datetime\n"
                        "pq.write_table(pa.table({'J': ['{\"a\": 1}'], 'B': [b'x'], 'T': [datetime.datetime(2026, 3, 4)]}), sys.argv[1])",
                        str(self.fixture.folder / "stage/loads/one.parquet")], check=True)
        table = "CREATE OR REPLACE TABLE CTM.{} (J VARIANT, B BINARY, T TIMESTAMP_NTZ)"
        copy = ("COPY INTO \"CTM\".\"{}\" FROM @CTM.LAND/loads/ FILES = ('one.parquet') FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE"
                " BINARY_AS_TEXT = FALSE) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE")
        self.made(table.format("V"), copy.format("V"))
        self.assertEqual(self.rows("SELECT TYPEOF(J), TYPEOF(PARSE_JSON(J::VARCHAR)) FROM CTM.V"), [["VARCHAR", "OBJECT"]])
        # Its load history knows the file: who does not say FORCE loads it once.
        self.made(copy.format("V"))
        self.assertEqual(self.rows("SELECT COUNT(*) FROM CTM.V"), [["1"]])
        many = ", ".join(["'one.parquet'"] * 1001)
        self.assertEqual(self.sql(copy.format("V").replace("'one.parquet'", many))[0], 422)
        # Without its options a time would be a number and bytes a text.
        self.made(table.format("W"))
        self.assertEqual(self.sql(copy.format("W").replace("USE_LOGICAL_TYPE = TRUE", ""))[0], 422)

    def test_a_text_that_looks_like_null_is_one_unless_nothing_does(self):
        (self.fixture.folder / "stage/nulls").mkdir()
        subprocess.run([flake.PYTHON, "-c", "import pyarrow as pa, pyarrow.parquet as pq, sys\n"
                        "pq.write_table(pa.table({'T': [r'\\N', 'x', None]}), sys.argv[1])", str(self.fixture.folder / "stage/nulls/one.parquet")],
                       check=True)
        for more, count in (("", "1"), ("NULL_IF = ()", "2")):
            self.made("CREATE OR REPLACE TABLE CTM.N (T VARCHAR)", "COPY INTO \"CTM\".\"N\" FROM @CTM.LAND/nulls/ FILES = ('one.parquet')"
                      f" FILE_FORMAT = (TYPE = PARQUET {more}) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE")
            self.assertEqual(self.rows("SELECT COUNT(T) FROM CTM.N"), [[count]])

    def test_times_are_read_by_their_format_and_casts_by_the_user_s(self):
        for wrong in ("'2026-03-04 05:06:07'::TIMESTAMP_TZ", "'2026-03-04'::DATE", "TRY_CAST('2026'::VARCHAR AS DATE)",
                      "TO_DATE('04/03/2026', 'YYYY-MM-DD')", "TO_TIMESTAMP_TZ('2026-03-04 05:06:07', 'YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM')"):
            self.assertEqual(self.sql("SELECT " + wrong)[1]["code"], "100035", wrong)
        self.assertEqual(self.rows("SELECT TO_DATE('2026-03-04', 'YYYY-MM-DD') - TO_DATE('2026-03-01', 'YYYY-MM-DD')"), [["3"]])
        self.assertEqual(self.rows("SELECT TO_TIMESTAMP_TZ('1970-01-01 00:00:07.500000 +00:00', 'YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM')"),
                         [["7.500000000 1440"]])

    def test_a_user_has_settings_of_his_own(self):
        many = "SELECT * FROM (VALUES " + ", ".join(f"({i})" for i in range(12)) + ") AS t(n)"
        binary = "SELECT CAST(TO_BINARY('00FF', 'HEX') AS VARCHAR)"
        self.assertEqual((len(self.rows(many)), self.rows(binary)), (10, [["AP8="]]))
        for parameters, sql, count, first in (({"ROWS_PER_RESULTSET": "0"}, many, 12, "0"), ({"BINARY_OUTPUT_FORMAT": "HEX"}, binary, 1, "00FF")):
            data = self.sql(sql, parameters=parameters)[1]["data"]
            self.assertEqual((len(data), data[0][0]), (count, first))

    def test_text_is_no_variant_of_itself(self):
        self.made("CREATE OR REPLACE TABLE CTM.V (J VARIANT)")
        self.assertEqual(self.sql("INSERT INTO \"CTM\".\"V\" (J) SELECT '{\"a\": 1}'")[0], 422)
        self.made("INSERT INTO \"CTM\".\"V\" (J) SELECT PARSE_JSON('{\"a\": 1}')")

    def test_names_in_quotes_are_those_names(self):
        self.made("CREATE OR REPLACE TABLE \"CTM\".\"Q\" (\"a\" NUMBER(19,0))")
        self.assertEqual(self.sql("SELECT \"A\" FROM \"CTM\".\"Q\"")[1]["code"], "000904")
        self.assertEqual(self.sql("SELECT \"a\" FROM \"CTM\".\"q\"")[1]["code"], "002003")


if __name__ == "__main__":
    unittest.main()
