"""dlt 1.31 as its manual has it, with its fastest loader files: peer_dlt.py BASE_URL FIRST LAST FOLDER [POSTGRESQL_URL]."""
import os, sys
import dlt
from dlt.sources.rest_api import rest_api_source

base, first, last, folder = sys.argv[1:5]
url = sys.argv[5] if len(sys.argv) > 5 else None
os.environ["DLT_DATA_DIR"] = folder
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"


def without_nul(value):
    """PostgreSQL takes no U+0000 and dlt does not take it out, so the pipeline's author must."""
    if isinstance(value, str):
        return value.replace("\0", "") if "\0" in value else value
    if isinstance(value, dict):
        return {name: without_nul(one) for name, one in value.items()}
    return [without_nul(one) for one in value] if isinstance(value, list) else value


source = rest_api_source({
    "client": {"base_url": base + "/", "auth": {"type": "http_basic", "username": "sim-key", "password": "sim-secret"},
               "paginator": {"type": "json_link", "next_url_path": "next_page"}},
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge", "max_table_nesting": 0},
    "resources": [
        {"name": "accounts", "endpoint": {"path": "accounts", "data_selector": "accounts", "params": {"per_page": 150}}},
        {"name": "calls", "processing_steps": [{"map": without_nul}] if url else [], "endpoint": {"path": "accounts/{resources.accounts.id}/calls", "data_selector": "calls",
                                       "params": {"per_page": 150, "start_date": first, "end_date": last,
                                                  "exclude_fields": "transcription_text,chat_messages"}}},
    ],
})
pipeline = dlt.pipeline("ctm", destination=dlt.destinations.postgres(url) if url else
                        dlt.destinations.duckdb(f"{folder}/peer.duckdb"), dataset_name="ctm",
                        pipelines_dir=folder)
pipeline.run(source, loader_file_format="csv" if url else "parquet").raise_on_failed_jobs()
