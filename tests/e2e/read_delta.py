"""Compares Delta tables, read by somebody else's code, with the warehouse's tables, row for row.

    read_delta.py < [[READER, TABLE_FOLDER, WAREHOUSE.duckdb, schema.table], ...]

READER is duckdb (its delta extension), deltalake (delta-rs), or a folder of Parquet that a third reader wrote of what it saw.
Prints a list of objects: rows on either side, rows that only one of them has (`_loaded_at` left out: each side has its
own), distinct keys, the version, how many files are live, and loads that are in the log more than once.
"""
import collections, json, os, pathlib, sys
import deltalake, duckdb, duckdb_extension_delta

EXTENSION = os.path.join(os.path.dirname(duckdb_extension_delta.__file__),
                         f"extensions/v{duckdb.__version__}/delta.duckdb_extension")
CAST = {"UUID": "BLOB", "JSON": "VARCHAR"}  # what Delta has no type for


def compare(connection, reader, folder, warehouse, table):
    if reader == "duckdb":
        source = f"delta_scan('{folder}')"
    elif reader == "deltalake":
        connection.register("seen", deltalake.DeltaTable(folder).to_pyarrow_table())
        source = "seen"
    else:
        source = f"read_parquet('{reader}/*.parquet')"
    connection.execute(f"ATTACH '{warehouse}' AS warehouse (READ_ONLY)")
    columns = [(name, kind) for name, kind, *_ in connection.execute(f"DESCRIBE warehouse.{table}").fetchall()
               if name != "_loaded_at"]
    theirs = ", ".join(f'"{name}"::{CAST.get(kind, kind)}' for name, kind in columns)
    ours = ", ".join(f'"{name}"' for name, _ in columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE a AS SELECT {theirs} FROM warehouse.{table}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE b AS SELECT {ours} FROM {source}")
    connection.execute("DETACH warehouse")
    one = lambda sql: connection.execute(sql).fetchone()[0]
    return {"warehouse": one("SELECT count(*) FROM a"), "lake": one("SELECT count(*) FROM b"),
            "only_warehouse": one("SELECT count(*) FROM (FROM a EXCEPT ALL FROM b)"),
            "only_lake": one("SELECT count(*) FROM (FROM b EXCEPT ALL FROM a)"),
            "keys": one("SELECT count(DISTINCT _row_key) FROM b")}


def loads_twice(folder):
    counts = collections.Counter()
    for path in pathlib.Path(folder, "_delta_log").glob("*.json"):
        for line in path.read_text().splitlines():
            action = json.loads(line)
            if "txn" in action:
                counts[action["txn"]["appId"]] += 1
    return sum(count - 1 for count in counts.values())


def main():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    connection.execute(f"LOAD '{EXTENSION}'")
    answers = []
    for reader, folder, warehouse, table in json.load(sys.stdin):
        answer = compare(connection, reader, folder, warehouse, table)
        delta = deltalake.DeltaTable(folder)
        answers.append({**answer, "version": delta.version(), "files": len(delta.file_uris()),
                        "loads_twice": loads_twice(folder)})
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
