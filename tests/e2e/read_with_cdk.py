"""Reads streams of a manifest with Airbyte's own CDK: read_with_cdk.py MANIFEST CONFIG STREAM... Prints one JSON line a record."""
import json, logging, sys
import yaml
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

manifest = yaml.safe_load(open(sys.argv[1]))
config = json.load(open(sys.argv[2]))
catalog = ConfiguredAirbyteCatalogSerializer.load({"streams": [
    {"stream": {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]},
     "sync_mode": "incremental", "destination_sync_mode": "append"} for name in sys.argv[3:]]})
source = ConcurrentDeclarativeSource(catalog=catalog, config=config, state=[], source_config=manifest)
for message in source.read(logging.getLogger("airbyte"), config, catalog, []):
    kind = message.type.value
    if kind == "RECORD":
        print(json.dumps({"stream": message.record.stream, "data": message.record.data}))
    elif kind == "TRACE" and message.trace.error:
        sys.exit(message.trace.error.message)
