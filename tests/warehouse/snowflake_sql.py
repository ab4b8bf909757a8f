"""What Snowflake does with SQL, on DuckDB by way of fakesnow: the part of the fixture that knows no HTTP.

fakesnow translates; here is what it lacks or has otherwise than Snowflake: transactions that DDL commits, MERGE by DuckDB's own
(fakesnow's fails inside a transaction) that refuses a source with two rows for one target row, COPY INTO and queries of staged
Parquet files, a VARIANT that stays a string until PARSE_JSON has read it, key constraints that nobody enforces.
"""
import datetime, decimal, hashlib, json, os, pathlib, re, urllib.error, urllib.parse, urllib.request, warnings

warnings.filterwarnings("ignore")
import duckdb, pyarrow as pa, pyarrow.parquet as pq
import logging

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
import fakesnow.instance, fakesnow.conn, fakesnow.fakes, fakesnow.transforms  # noqa: F401, E402  (fakes ties the two)
import snowflake.connector.errors  # noqa: E402
import sqlglot  # noqa: E402
from sqlglot import exp  # noqa: E402

# How a request wants instants and binary cast to text: Snowflake's defaults leave the microseconds out.
FORMATS = {"TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3", "TIMESTAMP_TZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM",
           "BINARY_OUTPUT_FORMAT": "HEX"}
# Whoever comes by the SQL API has settings of his own, which are not those that Snowflake comes with.
OWN = {"BINARY_OUTPUT_FORMAT": "BASE64", "ROWS_PER_RESULTSET": "10"}
formats = dict(FORMATS)


def strftime(name):
    text = formats[name]
    for ours, theirs in (("YYYY", "%Y"), ("MM-", "%m-"), ("DD", "%d"), ("HH24", "%H"), ("MI", "%M"), ("SS", "%S"), ("FF3", "%g"),
                         ("FF6", "%f"), ("TZH:TZM", "+00:00"), ("TZHTZM", "+0000")):
        text = text.replace(ours, theirs)
    return "'" + text + "'"


def cast_to_text(expression):
    """CAST(... AS VARCHAR) as Snowflake has it: a VARIANT's string without its quotes, binary and instants by format."""
    if type(expression) is not exp.Cast or expression.to.this not in (exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT):
        return expression
    x = expression.this.sql("duckdb")
    plain = f"CAST({x} AS TEXT)"
    binary = "upper(hex({}))" if formats["BINARY_OUTPUT_FORMAT"] == "HEX" else "to_base64({})"
    return sqlglot.parse_one(
        f"CASE typeof({x}) WHEN 'JSON' THEN json_extract_string(TRY_CAST({plain} AS JSON), '$')"
        f" WHEN 'BLOB' THEN {binary.format(f'TRY_CAST({plain} AS BLOB)')}"
        f" WHEN 'TIMESTAMP' THEN strftime(TRY_CAST({plain} AS TIMESTAMP), {strftime('TIMESTAMP_NTZ_OUTPUT_FORMAT')})"
        f" WHEN 'TIMESTAMP WITH TIME ZONE' THEN strftime(TRY_CAST({plain} AS TIMESTAMPTZ) AT TIME ZONE 'UTC',"
        f" {strftime('TIMESTAMP_TZ_OUTPUT_FORMAT')}) ELSE {plain} END", read="duckdb")


# In place of a rule that sums text by way of DOUBLE; NUMBERs stay exact in Snowflake, and we sum nothing else.
fakesnow.transforms.numeric_agg_implicit_cast = cast_to_text


indices_to_json_extract = fakesnow.transforms.indices_to_json_extract


def indices_at_any_depth(expression):
    """v['a']['0']: fakesnow translates the last index only, and DuckDB takes text of digits for a place in a list."""
    done = indices_to_json_extract(expression)
    if done is not expression:
        if re.fullmatch(r"-\d+", done.expression.this):
            done.expression.set("this", "$." + done.expression.this)
        done.set("this", done.this.transform(indices_at_any_depth))
    return done


fakesnow.transforms.indices_to_json_extract = indices_at_any_depth


class SqlError(Exception):
    def __init__(self, code, state, message):
        super().__init__(message)
        self.code, self.state, self.message = code, state, message


def split_statements(text):
    """Statements parted by ';' outside of strings, names and comments."""
    pattern = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$|--[^\n]*|/\*.*?\*/|;|[^;'\"$/-]+|."
    parts, now = [], ""
    for token in re.findall(pattern, text, re.DOTALL):
        if token == ";":
            parts.append(now)
            now = ""
        elif not token.startswith(("--", "/*")):
            now += token
    parts.append(now)
    return [part.strip() for part in parts if part.strip()]


DDL = re.compile(r"(CREATE|DROP|ALTER\s+(?!SESSION)|COMMENT|GRANT|REVOKE|TRUNCATE)\b", re.IGNORECASE)
SESSION = re.compile(r"ALTER\s+SESSION\s+SET\s+(\w+)\s*=\s*(\S+)", re.IGNORECASE)
SESSION_SETTINGS = {"LOCK_TIMEOUT", "ERROR_ON_NONDETERMINISTIC_MERGE", "TIMEZONE", "QUERY_TAG"}
NAME = r'"(?:[^"]|"")+"'
PAIR = re.compile(f"({NAME})\\.({NAME})")
RENAME = re.compile(rf"ALTER\s+TABLE\s+({NAME}\.{NAME})\s+RENAME\s+TO\s+({NAME}(?:\.{NAME})?)\s*$", re.IGNORECASE)
SHOW_TABLES = re.compile(rf"SHOW\s+(TABLES|VIEWS)\s+LIKE\s+'([^']*)'\s+IN\s+SCHEMA\s+({NAME})\s*$", re.IGNORECASE)
# Texts that would be read by a setting of the user's, here not the one that Snowflake comes with: DD/MM/YYYY.
BY_SETTING = re.compile(r"('(?:[^'\\]|\\.|'')*')\s*::\s*(?:TIMESTAMP\w*|DATE)\b|\bTRY_CAST\([^;]*?::VARCHAR AS (?:TIMESTAMP|DATE)", re.IGNORECASE)
TIME_FORMAT = "YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM"
FORMATTED = {"TO_TIMESTAMP_TZ": (TIME_FORMAT, r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [+-]\d\d:\d\d'", "TIMESTAMP_TZ"),
             "TO_DATE": ("YYYY-MM-DD", r"'\d{4}-\d\d-\d\d'", "DATE")}
VIEW = re.compile(rf"CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\s+({NAME}\.{NAME})(\s+COPY\s+GRANTS)?(?:\s+COMMENT\s*=\s*'([^']*)')?\s+AS\s", re.IGNORECASE)
STAGED = re.compile(r"@((?:\"[^\"]+\"|\w+)(?:\.(?:\"[^\"]+\"|\w+))*)/([^\s()']+)")


def bare(name):
    return [quoted.replace('""', '"') or plain.upper() for quoted, plain in re.findall(r'"((?:[^"]|"")+)"|(\w+)', name)]


# Functions of objects that fakesnow lacks; they are macros because DuckDB's Python functions want numpy.
OBJECT_MACROS = ("_as_object(v) AS CASE WHEN json_type(v) = 'OBJECT' THEN CAST(v AS JSON) END",
                 "_object_delete(v, k) AS to_json(map_from_entries(list_filter(map_entries(CAST(CAST(v AS JSON) AS MAP(VARCHAR, JSON))),"
                 " lambda e: e.key <> k)))",
                 "_object_insert(v, k, new, updates) AS to_json(map_concat(CAST(CAST(v AS JSON) AS MAP(VARCHAR, JSON)),"
                 " MAP {k: CAST(new AS JSON)}))",
                 "_typeof_variant(v) AS CASE json_type(CAST(v AS JSON)) WHEN 'NULL' THEN 'NULL_VALUE' WHEN 'BIGINT' THEN 'INTEGER' WHEN 'UBIGINT'"
                 " THEN 'INTEGER' WHEN 'DOUBLE' THEN 'DECIMAL' ELSE json_type(CAST(v AS JSON)) END")


class Database:
    """An account's databases, and what its external stage stands for: a folder, or a container by its URL and SAS."""

    def __init__(self, stage_folder):
        self.fake = fakesnow.instance.FakeSnow()
        self.stage_folder, self.azure, self.fetched = stage_folder, None, []
        for macro in OBJECT_MACROS:
            self.fake.duck_conn.execute("CREATE MACRO memory.main." + macro)
        self.connections = {}
        self.loaded_files = set()
        self.made, self.now = {}, lambda: datetime.datetime.now(datetime.timezone.utc)  # (database, oid of a table): when
        self.version = 0
        self.declared = {}  # (database, schema, view): how many columns it was made with

    def connect(self, database, schema):
        key = (database, schema)
        if key not in self.connections:
            self.connections[key] = self.fake.connect(database, schema)
            if database.upper().startswith("RIG_") and schema.upper() != "SHOP":  # what the shared suite works on
                self.connect(database, "SHOP")
        return self.connections[key]

    def drop(self, database):
        duck = self.fake.duck_conn.cursor()
        schemas = {schema for name, schema in self.connections if name.upper() == database.upper()}
        for schema in schemas:
            for kind in ("view", "table"):
                for (name,) in duck.execute(f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE upper(database_name) = upper(?)"
                                            " AND upper(schema_name) = upper(?)", [database, schema]).fetchall():
                    quoted = name.replace('"', '""')
                    duck.execute(f'DROP {kind} IF EXISTS {database}."{schema}"."{quoted}"')

    def clone(self, source, target):
        """The tables of a database as they are now; views are made anew by whoever runs next."""
        duck = self.fake.duck_conn.cursor()
        for schema, table in duck.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE upper(database_name) = upper(?)"
                " AND schema_name NOT LIKE '\\_fs%' ESCAPE '\\'", [source]).fetchall():
            name = table.replace('"', '""')
            self.connect(target, schema)
            duck.execute(f'CREATE OR REPLACE TABLE {target}."{schema}"."{name}" AS FROM {source}."{schema}"."{name}"')


class Session:
    """One request to the SQL API: its transaction ends with it. `sees` tells which (schema, name) its role may know of."""

    def __init__(self, base, database, schema, parameters=None, sees=None):
        self.base, self.sees, self.by_setting = base, sees, parameters is not None  # what comes by the SQL API has a user
        parameters = {} if parameters is None else {**OWN, **{k.upper(): v for k, v in parameters.items()}}
        self.formats = {k: parameters.get(k, v) for k, v in FORMATS.items()}
        self.rows_most = int(parameters.get("ROWS_PER_RESULTSET", "0"))  # 0 = all
        self.connection = base.connect(database, schema or "PUBLIC")
        self.duck = self.connection._duck_conn
        self.database, self.schema = database, schema
        self.in_transaction = False
        self.settings = {}

    def close(self):
        if self.in_transaction:
            self.duck.execute("ROLLBACK")
            self.in_transaction = False

    def execute(self, sql):
        """A pyarrow table."""
        formats.update(self.formats)
        try:
            return self._execute(sql)
        except snowflake.connector.errors.Error as e:
            # The code of a name that is not there is 2003 wherever fakesnow says "binder error".
            code, state = f"{e.errno or 0:06d}", e.sqlstate or "XX000"
            if code == "002043":
                code, state = "000904", "42000"
            raise SqlError(code, state, "SQL compilation error: " + str(e.raw_msg or e.msg)) from None
        except duckdb.ConversionException as e:
            raise SqlError("100038", "22018", str(e).split("\n")[0]) from None
        except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as e:
            raise SqlError("000904", "42000", "SQL compilation error: " + str(e).split("\n")[0]) from None
        except duckdb.Error as e:
            raise SqlError("100132", "P0000", str(e).split("\n")[0]) from None

    def _execute(self, sql):
        *before, sql = sql.split("->>")  # each works on the result of the one before it
        if called := re.match(r"WITH\s+\w+\s+AS\s+PROCEDURE\b.*?\$\$(.*)\$\$\s*CALL\b", sql, re.IGNORECASE | re.DOTALL):
            *before, sql = split_statements(called[1])
        for part in before:
            self._execute(part)
        word = sql.split(None, 1)[0].upper()
        if self.by_setting and (cast := BY_SETTING.search(sql)):
            raise SqlError("100035", "22007", f"Timestamp {cast[1]} is not recognized")
        if word in ("BEGIN", "START"):
            if not self.in_transaction:  # within one a BEGIN says nothing
                self.duck.execute("BEGIN")
                self.in_transaction = True
            return done()
        if word in ("COMMIT", "ROLLBACK"):
            if self.in_transaction:
                self.duck.execute(word)
                self.in_transaction = False
            return done()
        if setting := SESSION.match(sql):
            if setting[1].upper() not in SESSION_SETTINGS:
                raise SqlError("001007", "22023", f"invalid session parameter {setting[1]}")
            self.settings[setting[1].upper()] = setting[2]
            return done()
        if DDL.match(sql) and self.in_transaction:  # DDL commits what is open
            self.duck.execute("COMMIT")
            self.in_transaction = False
        self.check_names(sql)
        if word == "COPY":
            return self.copy(sql)
        if word in ("INSERT", "UPDATE"):
            self.check_variants(sql)
        if renamed := RENAME.match(sql):
            return self.rename(*renamed.groups())
        sql = self.visible(self.staged(sql))
        if word == "MERGE":
            return self.merge(sql)
        return self.fakesnow(sql)

    # ---- names and types, where DuckDB is easier about them

    def columns_of(self, schema, name):
        """{column: DuckDB's type} of a table or view, by its very name; MAIN is what DuckDB has as main."""
        return dict(self.duck.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE upper(database_name) = ? AND table_name = ?"
            " AND replace(schema_name, 'main', 'MAIN') = ?", [self.database.upper(), name, schema]).fetchall())

    def check_names(self, sql):
        """A name in quotes is that very name: DuckDB would take "ctm" for CTM. Columns are those of the tables that are named."""
        text = re.sub(r"\$1:\"[^\"]+\"", "", re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", sql))
        made = re.match(r"CREATE\s[^(]*?(" + NAME + r"\." + NAME + ")", text) or re.search(r"RENAME\s+TO\s+(.*)$", text)
        new = tuple(bare(made[1])[-2:]) if made else None
        tables = [tuple(bare(".".join(pair))) for pair in PAIR.findall(text)]
        text = re.sub(r"\b(EXTRACT\s*\(\s*\w+\s+)FROM\b", r"\1", PAIR.sub("", text), flags=re.IGNORECASE)
        tables += [(self.schema, bare(name)[0]) for name in re.findall(rf"\b(?:FROM|JOIN)\s+({NAME})", text, re.IGNORECASE)]
        text = re.sub(rf"\b(FROM|JOIN)\s+{NAME}", "", text, flags=re.IGNORECASE)
        columns = set()
        for schema, name in dict.fromkeys(tables):
            found = self.columns_of(schema, name)
            if not found and (schema, name) != new and not re.match(r"DROP\s+\w+\s+IF\s+EXISTS", text, re.IGNORECASE):
                raise SqlError("002003", "42S02", f"SQL compilation error: Object '{schema}.{name}' does not exist or not authorized.")
            if (schema, name) != new and found:
                self.check_view(schema, name)
            columns |= set(found)
        if not columns or DDL.match(text) and not re.match(r"CREATE\s+(OR\s+REPLACE\s+)?VIEW", text, re.IGNORECASE):
            return
        text = re.sub(rf"\bAS\s+({NAME})", lambda m: columns.add(bare(m[1])[0]) or "", text)
        for name in re.findall(NAME, text):
            if bare(name)[0] not in columns:
                raise SqlError("000904", "42000", f"SQL compilation error: invalid identifier '{name}'")

    def check_view(self, schema, name):
        """A view of SELECT * fails once its table has another number of columns."""
        declared = self.base.declared.get((self.database.upper(), schema, name))
        if declared is None:
            return
        quoted = name.replace('"', '""')
        now = len(self.duck.execute(f'SELECT * FROM {self.database}."{schema}"."{quoted}" LIMIT 0').description)
        if now != declared:
            raise SqlError("002057", "42601", f"SQL compilation error: View definition for '{schema}.{name}' declared {declared} column(s), but"
                                              f" view query produces {now} column(s).")

    def check_variants(self, sql):
        """Text is no VARIANT until PARSE_JSON has read it, and VALUES takes no functions."""
        names = PAIR.search(sql)
        variants = {c for c, type_ in self.columns_of(*bare(names[0])).items() if type_ == "JSON"} if names else ()
        if not variants:
            return
        tree = sqlglot.parse_one(self.plain(self.staged(sql)), read="snowflake")
        if isinstance(tree, exp.Update):
            given = [(e.this.name, e.expression) for e in tree.expressions]
        else:
            rows = [tree.expression.expressions] if isinstance(tree.expression, exp.Select) else [
                row.expressions for row in tree.expression.find_all(exp.Tuple)]
            given = [pair for row in rows for pair in zip((c.name for c in tree.this.expressions), row)]
            if isinstance(tree.expression, exp.Values) and any(isinstance(e, exp.Func) for _, e in given):
                raise SqlError("002014", "22000", "SQL compilation error: Invalid expression in VALUES clause")
        for column, value in given:
            if column in variants and isinstance(value.unalias(), exp.Literal) and value.unalias().is_string:
                raise SqlError("002023", "22000", "SQL compilation error: Expression type does not match column data type, expecting"
                                                  f" VARIANT but got VARCHAR({len(value.unalias().name)}) for column {column}")

    def rename(self, table, to):
        schema, name = bare(table)
        target = bare(to)
        if (target[-2] if len(target) > 1 else self.schema) != schema:
            raise SqlError("000002", "0A000", "the fixture moves no table to another schema")
        if self.duck.execute("SELECT 1 FROM duckdb_columns() WHERE upper(database_name) = ? AND schema_name = ? AND table_name = ?",
                             [self.database.upper(), schema, target[-1]]).fetchone():
            raise SqlError("002002", "42710", f"SQL compilation error: Object '{target[-1]}' already exists.")
        quoted = [part.replace('"', '""') for part in (schema, name, target[-1])]
        self.duck.execute(f'ALTER TABLE {self.database}."{quoted[0]}"."{quoted[1]}" RENAME TO "{quoted[2]}"')
        return done()

    def visible(self, sql):
        """The information schema: views are among its tables, and a role sees what it has a right to."""
        shown = ""
        if "information_schema" not in sql.lower():
            return sql
        if self.sees is not None:
            pairs = self.duck.execute("SELECT DISTINCT schema_name, table_name FROM duckdb_columns() WHERE upper(database_name) = ?",
                                      [self.database.upper()]).fetchall()
            shown = " WHERE table_schema || '.' || table_name IN ('', " + ", ".join(
                "'" + f"{s}.{n}".replace("'", "''") + "'" for s, n in pairs if self.sees(s, n)).rstrip(", ") + ")"
            shown = shown.replace(", )", ")")
        tables = ("(SELECT table_schema, table_name, table_type FROM information_schema.tables UNION ALL"
                  " SELECT table_schema, table_name, 'VIEW' FROM information_schema.views)")
        columns = "information_schema.columns"
        return re.sub(r"\binformation_schema\.(tables|columns)\b", lambda m: "(SELECT * FROM " + (
            f"{tables} AS objects" if m[1].lower() == "tables" else columns) + f"{shown}) AS shown", sql, flags=re.IGNORECASE)

    # Types that fakesnow does not take, and functions of Snowflake that it lacks.
    @staticmethod
    def plain(sql):
        sql = re.sub(r"\b(TO_TIMESTAMP_TZ|TO_DATE)\(('(?:[^'\\]|\\.|'')*'|\w+), '([^']*)'\)", formatted, sql)
        sql = re.sub(r"\bTRY_TO_(DATE|TIMESTAMP_TZ)\((.*?)::VARCHAR, 'AUTO'\)", r"TRY_CAST(\2::VARCHAR AS \1)", sql)
        sql = re.sub(r"\b(BINARY|TIMESTAMP_TZ|TIMESTAMP_NTZ|TIMESTAMP_LTZ)\s*\(\d+\)", r"\1", sql)
        sql = re.sub(r"\b(AS_OBJECT|OBJECT_DELETE|OBJECT_INSERT)\(", r"memory.main._\1(", sql)
        sql = re.sub(r"\bTYPEOF\(", "memory.main._typeof_variant(", sql)
        sql = re.sub(r"TRY_PARSE_JSON\(([^()]+?), 'd'\)", r"TRY_PARSE_JSON(\1)", sql)
        sql = re.sub(r"TO_TIMESTAMP_TZ\(((?:[^()]|\([^()]*\))+), 6\)", r"MAKE_TIMESTAMPTZ((\1)::BIGINT)", sql)
        return sql

    def fakesnow(self, sql):
        sql = self.plain(sql)
        if re.match(r"SHOW\s+COLUMNS\s+IN\s+TABLE", sql, re.IGNORECASE):
            return self.show_columns(sql)
        if shown := SHOW_TABLES.match(sql):
            show = self.show_tables if shown[1].upper() == "TABLES" else self.show_views
            return show(shown[2].replace("\\\\", "\\"), bare(shown[3])[-1])
        if explained := re.match(r"EXPLAIN\s+USING\s+TEXT\s+(.*)$", sql, re.IGNORECASE | re.DOTALL):
            self.connection.cursor().execute(f"SELECT * FROM ({explained[1]}) LIMIT 0")
            return pa.table({"content": ["GlobalStats:"]})
        if re.match(r"CREATE\s+(OR\s+REPLACE\s+)?(TRANSIENT\s+)?TABLE", sql, re.IGNORECASE):
            sql = re.sub(r"\s+DATA_RETENTION_TIME_IN_DAYS\s*=\s*\d+", "", sql)
            sql = re.sub(r",?\s*\b(PRIMARY\s+KEY|UNIQUE)\b\s*(\([^)]*\))?", "", sql)  # taken note of, enforced never
        view = VIEW.match(sql)
        if view and not re.match(r"CREATE\s+OR\s+REPLACE\b", sql, re.IGNORECASE) and view[2]:
            raise SqlError("001003", "42000", "SQL compilation error: COPY GRANTS wants OR REPLACE")
        if view:
            sql = sql[:view.end(1)] + " AS " + sql[view.end():]
        cursor = self.connection.cursor()
        cursor.execute(sql)
        table = cursor._arrow_table
        if view:  # of SELECT * it keeps how many columns there were
            self.base.declared[(self.database.upper(), *bare(view[1]))] = len(self.columns_of(*bare(view[1])))
            self.duck.execute(f"COMMENT ON VIEW {self.database}.{view[1]} IS '{view[3] or ''}'")
        if match := re.match(rf"CREATE\s[^(]*TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?({NAME}\.{NAME})", sql, re.IGNORECASE):
            for (oid,) in self.duck.execute("SELECT table_oid FROM duckdb_tables() WHERE upper(database_name) = ? AND table_name = ?",
                                            [self.database.upper(), bare(match[1])[-1]]).fetchall():
                self.base.made.setdefault((self.database.upper(), oid), self.base.now())
        return table if table is not None else done()

    def show_columns(self, sql):
        parts = bare(sql.split(None, 4)[4])
        schema, name = parts[-2:]
        rows = self.duck.execute(
            "SELECT table_name, schema_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()"
            " WHERE upper(database_name) = ? AND upper(schema_name) = upper(?) AND upper(table_name) = upper(?)"
            " ORDER BY column_index", [self.database.upper(), schema, name]).fetchall()
        if not rows:
            raise SqlError("002003", "42S02", f"SQL compilation error: Table '{schema}.{name}' does not exist or not"
                           " authorized.")
        names = ["table_name", "schema_name", "column_name", "data_type", "comment"]
        rows = [(*row[:3], shown_type(row[3]), row[4]) for row in rows]
        return pa.table({n: [row[i] for row in rows] for i, n in enumerate(names)})

    def show_tables(self, pattern, schema):
        """From metadata alone: no warehouse is needed."""
        found = self.duck.execute(
            "SELECT schema_name, table_name, table_oid FROM duckdb_tables() WHERE upper(database_name) = ? AND table_name ILIKE ?"
            " ESCAPE '\\' AND replace(schema_name, 'main', 'MAIN') = ? ORDER BY table_name", [self.database.upper(), pattern, schema]).fetchall()
        rows = []
        for at, name, oid in found:
            if self.sees is not None and not self.sees(at, name):
                continue
            quoted = name.replace('"', '""')
            count, size = self.duck.execute(f'SELECT count(*), coalesce(sum(length(CAST(to_json(t) AS VARCHAR))), 0)::BIGINT FROM'
                                            f' {self.database}."{at}"."{quoted}" AS t').fetchone()
            made = self.base.made.get((self.database.upper(), oid), EPOCH + datetime.timedelta(seconds=oid))
            rows.append((made, name, self.database.upper(), at.replace("main", "MAIN"), "TABLE", count, size))
        names = ["created_on", "name", "database_name", "schema_name", "kind", "rows", "bytes"]
        return pa.table({n: [row[i] for row in rows] for i, n in enumerate(names)})

    def show_views(self, pattern, schema):
        rows = self.duck.execute(
            "SELECT view_name, schema_name, coalesce(comment, ''), sql FROM duckdb_views() WHERE upper(database_name) = ? AND view_name"
            " ILIKE ? ESCAPE '\\' AND replace(schema_name, 'main', 'MAIN') = ? ORDER BY 1", [self.database.upper(), pattern, schema]).fetchall()
        rows = [row for row in rows if self.sees is None or self.sees(row[1], row[0])]
        return pa.table({n: pa.array([row[i] for row in rows], pa.string()) for i, n in enumerate(("name", "schema_name", "comment", "text"))})

    # ---- staged files

    def path_of(self, stage, path):
        """A local file with what the stage has under `path`."""
        if self.base.azure:
            return self.fetch(path)
        full = os.path.normpath(os.path.join(self.base.stage_folder, path))
        if not full.startswith(os.path.normpath(self.base.stage_folder)):
            raise SqlError("091016", "22000", "a path outside of the stage")
        if not os.path.exists(full):
            raise SqlError("091016", "22000", f"Remote file '{path}' was not found.")
        return full

    def fetch(self, path):
        url = f"{self.base.azure['url']}/{urllib.parse.quote(path)}?{self.base.azure['sas']}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                data = answer.read()
        except urllib.error.HTTPError as e:
            raise SqlError("091016", "22000", f"Remote file '{path}' was not found ({e.code}).") from None
        self.base.fetched.append(path)
        full = pathlib.Path(self.base.stage_folder).parent / "fetched" / hashlib.sha256(data).hexdigest()
        full.parent.mkdir(exist_ok=True)
        full.write_bytes(data)
        return str(full)

    def staged(self, sql):
        """FROM @stage/file, $1:"NAME" -> a view of the file."""
        if "@" not in sql:
            return sql

        def view(match):
            path = self.path_of(match[1], match[2])
            self.base.version += 1
            name = f"_STAGED_{self.base.version}"
            self.duck.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM read_parquet('{path}')")
            return name

        return re.sub(r"\$1:(\"[^\"]+\")", r"\1", STAGED.sub(view, sql))

    def copy(self, sql):
        match = re.match(r"COPY\s+INTO\s+((?:\"(?:[^\"]|\"\")+\"\.?)+)\s+FROM\s+@([\w.\"]+)/(\S*)\s+FILES\s*=\s*\(([^)]*)\)(.*)$", sql,
                         re.IGNORECASE | re.DOTALL)
        if not match:
            raise SqlError("001003", "42000", "the fixture does not know this COPY: " + sql[:200])
        table, stage, folder, files, options = match.groups()
        options = options.upper().replace(" ", "")
        if "MATCH_BY_COLUMN_NAME=CASE_SENSITIVE" not in options or "TYPE=PARQUET" not in options:
            raise SqlError("001003", "42000", "the fixture loads Parquet by column name only")
        schema, name = bare(table)[-2:]
        columns = self.columns_of(schema, name)
        if not columns:
            raise SqlError("002003", "42S02", f"Table '{schema}.{name}' does not exist or not authorized.")
        rows, files = [], re.findall(r"'([^']*)'", files)
        if len(files) > 1000:
            raise SqlError("001006", "42601", f"SQL compilation error: {len(files)} names of files, 1000 at most")
        for file in files:
            rows.append(self.copy_file(table, columns, stage, folder.rstrip("/") + "/" + file, options))
        names = ["file", "status", "rows_parsed", "rows_loaded", "errors_seen"]
        return pa.table({n: [row[i] for row in rows] for i, n in enumerate(names)})

    def copy_file(self, table, columns, stage, file, options):
        path = self.path_of(stage, file)
        # The load history knows a file by its content, for as long as the table stands.
        oid = self.duck.execute("SELECT table_oid FROM duckdb_tables() WHERE upper(database_name) = ? AND table_name = ?",
                                [self.database.upper(), bare(table)[-1]]).fetchone()
        key = (table, oid, file, hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
        if key in self.base.loaded_files and "FORCE=TRUE" not in options:
            return file, "SKIPPED", 0, 0, 0
        wanted, exprs = [], []
        for field in pq.read_schema(path):
            if field.name not in columns:
                continue
            quoted = '"' + field.name.replace('"', '""') + '"'
            wanted.append(quoted)
            exprs.append(self.as_loaded(field, quoted, columns[field.name], options))
        self.duck.execute(f"INSERT INTO {table} ({', '.join(wanted)}) SELECT {', '.join(exprs)} FROM read_parquet('{path}')")
        count = self.duck.fetchone()[0]
        self.base.loaded_files.add(key)
        return file, "LOADED", count, count, 0

    @staticmethod
    def as_loaded(field, quoted, type_, options):
        if pa.types.is_timestamp(field.type) and "USE_LOGICAL_TYPE=TRUE" not in options:
            return f"epoch_us({quoted})"  # a number: whatever the column is, it is not that
        if pa.types.is_binary(field.type) and "BINARY_AS_TEXT=FALSE" not in options:
            return f"CAST({quoted} AS VARCHAR)"
        if pa.types.is_string(field.type) and "NULL_IF=()" not in options:  # the default is ('\\N')
            quoted = f"NULLIF({quoted}, '\\N')"
        if type_ == "JSON":  # a string lands as a VARIANT string, whatever it holds
            return f"CAST(to_json({quoted}) AS JSON)"
        return quoted

    # ---- merge

    def merge(self, sql):
        tree = sqlglot.parse_one(self.plain(sql), read="snowflake")
        tree = self.connection.cursor()._transform(tree, None)
        target, source, on = tree.this, tree.args["using"], tree.args["on"]
        doubled = (f"SELECT first(shown) FROM (SELECT {target.alias_or_name}.rowid AS r, CAST({target.alias_or_name} AS VARCHAR) AS"
                   f" shown FROM {target.sql('duckdb')} JOIN {source.sql('duckdb')} ON {on.sql('duckdb')}) GROUP BY r"
                   " HAVING count(*) > 1 LIMIT 1")
        clauses = tree.args["whens"].expressions
        updates = any(when.args.get("matched") and not isinstance(when.args["then"], exp.Insert) for when in clauses)
        if updates and (row := self.duck.execute(doubled).fetchone()):
            raise SqlError("100090", "42P18", f"Duplicate row detected during DML action\nRow Values: [{row[0]}]")
        counts = {"INSERT": 0, "UPDATE": 0, "DELETE": 0}
        for (action,) in self.duck.execute(tree.sql("duckdb") + " RETURNING merge_action").fetchall():
            counts[action] += 1
        names = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
        return pa.table({f"number of rows {names[k]}": [v] for k, v in counts.items()})


def formatted(match):
    """TO_DATE(text, format) as a cast: of a format that the text has."""
    form, pattern, type_ = FORMATTED[match[1]]
    if match[3] != form or match[2].startswith("'") and not re.fullmatch(pattern, match[2]):
        raise SqlError("100035", "22007", f"Can't parse {match[2]} as {match[3]}")
    return f"REPLACE({match[2]}, ' +', '+')::{type_}"  # DuckDB knows no space before the zone


def shown_type(duck):
    """A type as SHOW COLUMNS shows it."""
    if match := re.match(r"DECIMAL\((\d+),(\d+)\)", duck):
        return json.dumps({"type": "FIXED", "precision": int(match[1]), "scale": int(match[2]), "nullable": True})
    names = {"VARCHAR": "TEXT", "DOUBLE": "REAL", "JSON": "VARIANT", "BLOB": "BINARY", "TIMESTAMP WITH TIME ZONE":
             "TIMESTAMP_TZ", "BIGINT": "FIXED"}
    return json.dumps({"type": names.get(duck, duck), "nullable": True})


def done():
    return pa.table({"status": ["Statement executed successfully."]})


# ---- results as the SQL API shows them

def type_of(field):
    t = field.type
    if isinstance(t, pa.ExtensionType) or "json" in str(t).lower():
        return {"type": "variant"}
    if pa.types.is_decimal(t):
        return {"type": "fixed", "precision": t.precision, "scale": t.scale}
    if pa.types.is_integer(t):
        return {"type": "fixed", "precision": 38, "scale": 0}
    if pa.types.is_floating(t):
        return {"type": "real"}
    if pa.types.is_boolean(t):
        return {"type": "boolean"}
    if pa.types.is_date(t):
        return {"type": "date"}
    if pa.types.is_timestamp(t):
        return {"type": "timestamp_tz" if t.tz else "timestamp_ntz", "scale": 9}
    if pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t):
        return {"type": "binary"}
    return {"type": "text"}


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def cell(value, kind):
    if value is None:
        return None
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "date":
        return str((value - datetime.date(1970, 1, 1)).days)
    if kind.startswith("timestamp"):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        span = value - EPOCH
        micros = (span.days * 86400 + span.seconds) * 1000000 + span.microseconds
        sign, micros = ("-", -micros) if micros < 0 else ("", micros)
        text = f"{sign}{micros // 1000000}.{micros % 1000000:06d}000"
        return text + " 1440" if kind == "timestamp_tz" else text
    if kind == "binary":
        return bytes(value).hex().upper()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def as_rows(table):
    """rowType and data of a pyarrow table."""
    types = [{"name": f.name, "nullable": True, **type_of(f)} for f in table.schema]
    columns = [[cell(v, t["type"]) for v in column.to_pylist()] for column, t in zip(table.columns, types)]
    return types, [list(row) for row in zip(*columns)]
