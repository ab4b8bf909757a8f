"""dlt 1.31 as its manual has it, with its fastest loader files: peer_dlt.py BASE_URL FIRST LAST FOLDER."""
import os, sys
import dlt
from dlt.sources.rest_api import rest_api_source

base, first, last, folder = sys.argv[1:]
os.environ["DLT_DATA_DIR"] = folder
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
source = rest_api_source({
    "client": {"base_url": base + "/", "auth": {"type": "http_basic", "username": "sim-key", "password": "sim-secret"},
               "paginator": {"type": "json_link", "next_url_path": "next_page"}},
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge", "max_table_nesting": 0},
    "resources": [
        {"name": "accounts", "endpoint": {"path": "accounts", "data_selector": "accounts", "params": {"per_page": 150}}},
        {"name": "calls", "endpoint": {"path": "accounts/{resources.accounts.id}/calls", "data_selector": "calls",
                                       "params": {"per_page": 150, "start_date": first, "end_date": last,
                                                  "exclude_fields": "transcription_text,chat_messages"}}},
    ],
})
pipeline = dlt.pipeline("ctm", destination=dlt.destinations.duckdb(f"{folder}/peer.duckdb"), dataset_name="ctm",
                        pipelines_dir=folder)
pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
