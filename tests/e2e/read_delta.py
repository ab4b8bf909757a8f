"""Compares a Delta table, read by somebody else's code, with the warehouse's table, row for row.

    read_delta.py READER TABLE_FOLDER WAREHOUSE.duckdb schema.table

READER is duckdb (its delta extension) or deltalake (delta-rs). Prints one JSON object: rows on either side, rows that only one
of them has, the version, and how many files are live. `_loaded_at` is left out: each side has its own.
"""
import json, os, sys
import deltalake, duckdb, duckdb_extension_delta

EXTENSION = os.path.join(os.path.dirname(duckdb_extension_delta.__file__),
                         f"extensions/v{duckdb.__version__}/delta.duckdb_extension")


def connect(reader, folder):
    """A connection in which `lake` is the table as the reader sees it."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if reader == "duckdb":
        connection.execute(f"LOAD '{EXTENSION}'")
        connection.execute(f"CREATE VIEW lake AS SELECT * FROM delta_scan('{folder}')")
    elif reader == "deltalake":
        connection.register("lake", deltalake.DeltaTable(folder).to_pyarrow_table())
    else:  # parquet that a third reader wrote of what it saw
        connection.execute(f"CREATE VIEW lake AS SELECT * FROM read_parquet('{reader}/*.parquet')")
    return connection


def compare(connection, warehouse, table):
    """How many rows each side has, and how many of them the other lacks."""
    connection.execute(f"ATTACH '{warehouse}' AS warehouse (READ_ONLY)")
    columns = [(name, kind) for name, kind, *_ in connection.execute(f"DESCRIBE warehouse.{table}").fetchall()
               if name != "_loaded_at"]
    cast = {"UUID": "BLOB", "JSON": "VARCHAR"}
    theirs = ", ".join(f'"{name}"::{cast.get(kind, kind)}' for name, kind in columns)
    ours = ", ".join(f'"{name}"' for name, _ in columns)
    connection.execute(f"CREATE TEMP TABLE a AS SELECT {theirs} FROM warehouse.{table}")
    connection.execute(f"CREATE TEMP TABLE b AS SELECT {ours} FROM lake")
    one = lambda sql: connection.execute(sql).fetchone()[0]
    return {"warehouse": one("SELECT count(*) FROM a"), "lake": one("SELECT count(*) FROM b"),
            "only_warehouse": one("SELECT count(*) FROM (FROM a EXCEPT ALL FROM b)"),
            "only_lake": one("SELECT count(*) FROM (FROM b EXCEPT ALL FROM a)"),
            "keys": one("SELECT count(DISTINCT _row_key) FROM b")}


if __name__ == "__main__":
    reader, folder, warehouse, table = sys.argv[1:]
    answer = compare(connect(reader, folder), warehouse, table)
    delta = deltalake.DeltaTable(folder)
    print(json.dumps({**answer, "version": delta.version(), "files": len(delta.file_uris())}))
