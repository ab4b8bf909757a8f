"""Rights as the fixture enforces them: those that deploy/snowflake/*.sql grants, nothing else.

What a statement needs is docs/snowflake.md's table. Whoever creates an object owns it.
"""
import pathlib, re

from snowflake_sql import SqlError, bare, split_statements

GRANT = re.compile(r"GRANT\s+(.+?)\s+ON\s+(FUTURE\s+\w+\s+IN\s+)?(\w+)\s+(\S+)\s+TO\s+ROLE\s+(\w+)", re.IGNORECASE | re.DOTALL)
ROLE = re.compile(r"GRANT\s+ROLE\s+(\w+)\s+TO\s+ROLE\s+(\w+)", re.IGNORECASE)
QUOTED = r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)"'


class Grants:
    def __init__(self, files, without=()):
        self.rows, self.roles = [], []  # (role, privilege, type, name), (role, to)
        self.owners, self.kinds, self.database = {}, {}, None
        self.asked = set()  # what the statement at hand needed, beside what it owns
        for file in files:
            for sql in split_statements(pathlib.Path(file).read_text()):
                if match := ROLE.match(sql):
                    self.roles.append((match[1], match[2]))
                elif match := GRANT.match(sql):
                    for privilege in match[1].split(","):
                        kind = (match[2] or "").upper().replace(" IN ", " ").strip()
                        row = (match[5].upper(), " ".join(privilege.upper().split()), (kind + " " + match[3].upper()).strip(),
                               match[4].upper())
                        if list(row) not in [list(w) for w in without]:
                            self.rows.append(row)

    def held(self, role):
        mine, seen = [role], []
        while mine:
            seen.append(mine.pop())
            mine += [r for r, to in self.roles if to == seen[-1] and r not in seen]
        return [row for row in self.rows if row[0] in seen]

    def need(self, role, privilege, kind, name):
        self.asked.add(f"{privilege} ON {kind} {name}")
        if not any(row[1:] == (privilege, kind, name) for row in self.held(role)):
            raise SqlError("003001", "42501", f"SQL access control error: Insufficient privileges to operate on {kind.lower()}"
                                              f" '{name}' ({privilege})")

    def check(self, role, sql, session, warehouse):
        self.asked = set()
        database = session.database
        word = sql.split(None, 1)[0].upper()
        if word in ("BEGIN", "COMMIT", "ROLLBACK") or sql.upper().startswith(("ALTER SESSION", "SHOW GRANTS")):
            return
        self.need(role, "USAGE", "DATABASE", database)
        if word in ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "WITH") or re.match(r"CREATE\s[^(]*TABLE\s[^(]*\sAS\s", sql):
            self.need(role, "USAGE", "WAREHOUSE", warehouse)
        if match := re.match(r'SHOW\s+(?:TABLES|VIEWS)\s.*\sIN\s+SCHEMA\s+"([^"]+)"', sql):
            self.need(role, "USAGE", "SCHEMA", f"{database}.{match[1]}")
        for stage in re.findall(r"@([\w.]+)/", sql):
            schema, name = bare(stage)[-2:]
            self.need(role, "USAGE", "SCHEMA", f"{database}.{schema}")
            self.need(role, "USAGE", "STAGE", f"{database}.{schema}.{name}")
        objects = [(a.replace('""', '"'), b.replace('""', '"')) for a, b in re.findall(QUOTED, sql)]
        created = None
        if match := re.match(r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TRANSIENT\s+)?(TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?" + QUOTED, sql):
            created = (match[2], match[3])
            if match[1] == "VIEW" and "OR REPLACE" in match[0] and not re.search(r"\sCOPY\s+GRANTS\s", sql[match.end():].split(" AS ")[0] + " "):
                # A new view under an old name, on which nobody but its owner has a right.
                self.rows = [row for row in self.rows if row[2:] != ("VIEW", f"{database}.{match[2]}.{match[3]}")]
            self.create(role, match[1], database, *created)
        elif match := re.match(r"ALTER\s+TABLE\s+" + QUOTED + r"\s+RENAME\s+TO\s+" + QUOTED, sql):
            self.need_object(role, "OWNERSHIP", database, match[1], match[2])
            created = (match[3], match[4])
            self.create(role, "TABLE", database, *created)
        for number, (schema, name) in enumerate(objects):
            self.need(role, "USAGE", "SCHEMA", f"{database}.{schema}")
            if (schema, name) != created and not sql.upper().startswith("DROP TABLE IF EXISTS"):
                own = {"INSERT": "INSERT", "UPDATE": "UPDATE", "DELETE": "DELETE", "MERGE": "OWNERSHIP", "COPY": "INSERT",
                       "ALTER": "OWNERSHIP", "DROP": "OWNERSHIP"}
                self.need_object(role, own.get(word, "SELECT") if number == 0 else "SELECT", database, schema, name)

    def create(self, role, kind, database, schema, name):
        self.need(role, "USAGE", "SCHEMA", f"{database}.{schema}")
        self.need(role, f"CREATE {kind}", "SCHEMA", f"{database}.{schema}")
        self.owners.setdefault((database, schema, name), role)
        self.kinds[(database, schema, name)] = kind

    def rights(self, role, database, schema, name):
        """On a table or view; who owns it has all."""
        if self.owners.get((database, schema, name)) == role:
            return {"OWNERSHIP"}
        rights = {row[1] for row in self.held(role) if row[2:] in [(kind, f"{database}.{schema}.{name}") for kind in ("TABLE", "VIEW")]}
        kind = self.kinds.get((database, schema, name), "TABLE")
        if (f"FUTURE {kind}S SCHEMA", f"{database}.{schema}") in {row[2:] for row in self.held(role) if row[1] == "SELECT"}:
            rights.add("SELECT")
        return rights

    def need_object(self, role, right, database, schema, name):
        rights = self.rights(role, database, schema, name)
        if not rights:
            raise SqlError("002003", "42S02", f"Object '{database}.{schema}.{name}' does not exist or not authorized.")
        if self.owners.get((database, schema, name)) != role:
            self.asked.add(f"{right} ON TABLE {database}.{schema}.{name}")
        if not {right, "OWNERSHIP"} & rights:
            raise SqlError("003001", "42501", "SQL access control error: Insufficient privileges to operate on table"
                                              f" '{name}' ({right})")

    def sees(self, role, database, schema, name):
        return bool(self.rights(role, database, schema, name)) and any(
            row[1:] == ("USAGE", "SCHEMA", f"{database}.{schema}") for row in self.held(role))
