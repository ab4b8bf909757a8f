"""What Airbyte's own CDK says of a manifest: describe_with_cdk.py MANIFEST CONFIG. Prints its SPEC and its CATALOG message."""
import json, logging, sys
import yaml
from airbyte_cdk.models import AirbyteMessage, AirbyteMessageSerializer, Type
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

manifest = yaml.safe_load(open(sys.argv[1]))
config = json.load(open(sys.argv[2]))
source = ConcurrentDeclarativeSource(catalog=None, config=config, state=None, source_config=manifest)
logger = logging.getLogger("airbyte")
for message in (AirbyteMessage(type=Type.SPEC, spec=source.spec(logger)),
                AirbyteMessage(type=Type.CATALOG, catalog=source.discover(logger, config))):
    print(json.dumps(AirbyteMessageSerializer.dump(message)))
