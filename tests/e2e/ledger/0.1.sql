-- The ledger and ETL_LOG as release 0.1 makes them; frozen: what stands in somebody's warehouse changes no more.
-- A release that adds to them gets a file of its own beside this one (docs/azure.md, "Releases and tables").

CREATE TABLE etl_log (
    run_id VARCHAR,
    job VARCHAR,
    mode VARCHAR,
    stage VARCHAR,
    stream VARCHAR,
    partition_key VARCHAR,
    slice_ordinal BIGINT,
    load_ordinal BIGINT,
    status VARCHAR,
    rows_in BIGINT,
    rows_landed BIGINT,
    rows_inserted BIGINT,
    rows_updated BIGINT,
    rows_unchanged BIGINT,
    rows_deleted BIGINT,
    rows_quarantined BIGINT,
    rows_overflowed BIGINT,
    bytes BIGINT,
    requests BIGINT,
    attempts BIGINT,
    wait_us BIGINT,
    started_at TIMESTAMP WITH TIME ZONE,
    duration_us BIGINT,
    error JSON,
    logged_at TIMESTAMP WITH TIME ZONE
);

CREATE TABLE pawl_load (
    run_id VARCHAR,
    stream VARCHAR,
    load_ordinal BIGINT,
    load_id VARCHAR,
    job VARCHAR,
    mode VARCHAR,
    target VARCHAR,
    checksum VARCHAR,
    epoch BIGINT,
    rows_inserted BIGINT,
    rows_updated BIGINT,
    rows_unchanged BIGINT,
    rows_deleted BIGINT,
    rows_quarantined BIGINT,
    loaded_at TIMESTAMP WITH TIME ZONE
);

CREATE TABLE pawl_slice (
    target VARCHAR,
    stream VARCHAR,
    partition_key VARCHAR,
    window_from TIMESTAMP WITH TIME ZONE,
    window_to TIMESTAMP WITH TIME ZONE,
    fetched_at TIMESTAMP WITH TIME ZONE,
    total_rows BIGINT,
    landed_rows BIGINT,
    skipped BOOLEAN,
    load_id VARCHAR,
    loaded_at TIMESTAMP WITH TIME ZONE
);

CREATE TABLE pawl_state (
    kind VARCHAR,
    job VARCHAR,
    mode VARCHAR,
    target VARCHAR,
    stream VARCHAR,
    partition_key VARCHAR,
    epoch BIGINT,
    watermark TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE
);
