"""What a good engineer writes by hand in an afternoon: peer_hand.py BASE_URL FIRST LAST FOLDER.

One session, page after page, 44 columns picked and typed, a batch of 20,000 rows becomes an Arrow table that one MERGE
brings into DuckDB where the row is new or its hash differs. No landing, no ledger, no resume, no reconciliation.
"""
import hashlib, json, sys, time
import duckdb, pyarrow, requests

BATCH_ROWS = 20_000
STRINGS = ("sid direction status call_status dial_status agent_id agent_name agent_email name caller_number email city state "
           "country postal_code tracking_number tracking_label business_number business_label source medium campaign "
           "campaign_id ad_group_id keyword referrer location last_location first_touch last_touch notes").split()
NUMBERS = "duration talk_time ring_time hold_time wait_time likelihood".split()
INTEGERS = "account_id id parent_id tracking_number_id source_id unix_time".split()
SCHEMA = pyarrow.schema([*((name, pyarrow.int64()) for name in INTEGERS), *((name, pyarrow.string()) for name in STRINGS),
                         *((name, pyarrow.float64()) for name in NUMBERS), ("is_new_caller", pyarrow.bool_()),
                         ("tag_list", pyarrow.string()), ("sale", pyarrow.string()), ("row_hash", pyarrow.string())])


def shape(record):
    agent = record.get("agent") or {}
    row = {name: record.get(name) for name in SCHEMA.names}
    row["agent_id"] = agent.get("id") or record.get("agent_id")
    row["agent_name"] = agent.get("name") or record.get("agent_name")
    row["agent_email"] = agent.get("email") or record.get("agent_email")
    row["source"] = record.get("source") or record.get("source_name")
    for name in STRINGS:
        if row[name] is not None and not isinstance(row[name], str):
            row[name] = str(row[name])
    for name in INTEGERS:
        if isinstance(row[name], str):
            row[name] = int(row[name]) if row[name].isdigit() else None
    for name in NUMBERS:
        row[name] = None if row[name] in (None, "") else float(row[name])
    row["is_new_caller"] = None if row["is_new_caller"] is None else bool(row["is_new_caller"])
    row["tag_list"] = json.dumps(record.get("tag_list"))
    row["sale"] = json.dumps(record.get("sale"))
    row["row_hash"] = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
    return row


def merge(connection, rows):
    batch = pyarrow.Table.from_pylist(rows, SCHEMA)
    connection.register("batch", batch)
    connection.execute("MERGE INTO calls USING batch ON calls.account_id = batch.account_id AND calls.id = batch.id "
                       "WHEN MATCHED AND calls.row_hash <> batch.row_hash THEN UPDATE WHEN NOT MATCHED THEN INSERT")
    connection.unregister("batch")


def main():
    base, first, last, folder = sys.argv[1:]
    session = requests.Session()
    session.auth = ("sim-key", "sim-secret")

    def get(url, **query):
        while True:
            answer = session.get(url, params=query or None)
            if answer.status_code == 429:
                time.sleep(float(answer.headers.get("Retry-After", 1)))
                continue
            answer.raise_for_status()
            return answer.json()

    connection = duckdb.connect(f"{folder}/peer.duckdb")
    empty = pyarrow.Table.from_pylist([], SCHEMA)
    connection.register("empty", empty)
    connection.execute("CREATE TABLE IF NOT EXISTS calls AS FROM empty")
    rows = []
    for account in get(f"{base}/accounts", per_page=150)["accounts"]:
        page = get(f"{base}/accounts/{account['id']}/calls", start_date=first, end_date=last, per_page=150,
                   exclude_fields="transcription_text,chat_messages")
        while True:
            rows += (shape(record) for record in page["calls"])
            if len(rows) >= BATCH_ROWS:
                merge(connection, rows)
                rows = []
            if not page.get("next_page"):
                break
            page = get(page["next_page"])
    if rows:
        merge(connection, rows)
    connection.close()


if __name__ == "__main__":
    main()
