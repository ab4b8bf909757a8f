"""Another writer, delta-rs: appends rows to a Delta table one commit each, while somebody else writes to it.

    append_delta.py TABLE_FOLDER COUNT

Says "ready" when it can begin and waits for a line; then commits, and prints how many commits it made.
"""
import sys
import deltalake, pyarrow

folder, count = sys.argv[1], int(sys.argv[2])
table = deltalake.DeltaTable(folder)
print("ready", flush=True)
sys.stdin.readline()
for i in range(count):
    row = pyarrow.table({"id": pyarrow.array([9_000_000_000 + i], pyarrow.int64()), "notes": [f"by delta-rs {i}"],
                         "_row_key": pyarrow.array([i.to_bytes(16, "big")], pyarrow.binary())})
    deltalake.write_deltalake(folder, row, mode="append", schema_mode="merge")
print(count)
