"""The entry point `pawl-spark` of the wheel, as deploy/databricks calls it:

    pawl-spark run JOB --mode MODE --lake CATALOG.SCHEMA [--env ENV] [--from DAY] [--to DAY] ...
"""
import argparse
import json

from pyspark.sql import SparkSession

from pawl.spark import Engine


def parse(words=None):
    parser = argparse.ArgumentParser(prog="pawl-spark", description="Runs a job file on Spark (docs/spark.md).")
    run = parser.add_subparsers(dest="word", required=True).add_parser("run")
    run.add_argument("job")
    run.add_argument("--mode", required=True, choices=("historic", "incremental", "rehydration"))
    run.add_argument("--lake", required=True, help="catalog.schema, or a path that ends in /")
    for name in ("env", "from", "to", "stream", "account"):
        # A job's parameter that nobody has set arrives as an empty text.
        run.add_argument(f"--{name}", default="")
    run.add_argument("--slots", type=int, help="tasks at once; default: the cluster's parallelism")
    run.add_argument("--wait", type=float, default=0, help="seconds to wait for another run of this job and mode")
    run.add_argument("--start-over", action="store_true")
    run.add_argument("--accept-deletes", action="store_true")
    return parser.parse_args(words)


def main(words=None):
    given = parse(words)
    spark = SparkSession.builder.getOrCreate()
    engine = Engine(spark, given.job, given.lake, environment=given.env or None, slots=given.slots,
                    accept_deletes=given.accept_deletes)
    report = engine.run(given.mode, from_=given.__dict__["from"] or None, to=given.to or None, stream=given.stream or None,
                        account=given.account or None, wait_seconds=given.wait, start_over=given.start_over)
    print(json.dumps(report))
    # A task that ends well is not tried again: what failed for one account must show.
    if report["slices_failed"]:
        raise RuntimeError(f"{report['slices_failed']} slices failed: {report['first_failure']}")


if __name__ == "__main__":
    main()
