// The table of commands. What each does stands in cli_<noun>.c.
#include "cli/cli.h"

// clang-format off
#define OPTION_ENV {"env", "NAME", "lay environments/NAME.json over the job"}
#define OPTION_STATE {"state", "DIR", "where events are kept (default: .pawl beside the job file)"}
#define OPTION_CONNECT {"test-connect-to", "HOST:PORT", "tests only: send every request there as plain HTTP"}

const Command commands[] = {
    {"run", "JOB --mode MODE", "read what is due and load it; goes on where a killed run stopped",
     "Modes: historic (a range of days), incremental (from the watermark to now), rehydration (closed days\n"
     "again, to find edits and deletions). Kill it at any time and run it again: nothing is lost or doubled.",
     1, 1,
     {{"mode", "MODE", "historic, incremental or rehydration"},
      {"from", "DAY", "first day, such as 2025-05-01"},
      {"to", "DAY", "last day: a date, yesterday or today"},
      {"stream", "NAME", "only this stream"},
      {"account", "VALUE", "only this value of the outermost partition field"},
      OPTION_ENV,
      {"accept-deletes", NULL, "mark rows as deleted even when suspiciously many vanished"},
      {"start-over", NULL, "give up an unfinished run of this mode and plan a new one"},
      {"wait", "SECONDS", "how long to wait for another run of the same job and mode (default 0)"},
      OPTION_STATE,
      OPTION_CONNECT,
      {NULL, NULL, NULL}},
     "  pawl run jobs/ctm.json --mode historic --from 2025-05-01\n"
     "  pawl run jobs/ctm.json --mode incremental", cli_run},
    {"check", "JOB", "look for every fault before a run does: files, credentials, reachability", NULL, 1, 1,
     {OPTION_ENV, {"show", NULL, "print the effective job, secrets as ***"}, OPTION_CONNECT, {NULL, NULL, NULL}},
     "  pawl check jobs/ctm.json --env dev", cli_check},
    {"plan", "JOB --mode MODE", "slices, rows, requests, bytes and minutes of a run; writes nothing", NULL, 1, 1,
     {{"mode", "MODE", "historic, incremental or rehydration"},
      {"from", "DAY", "first day, such as 2025-05-01"},
      {"to", "DAY", "last day: a date, yesterday or today"},
      {"stream", "NAME", "only this stream"},
      {"account", "VALUE", "only this value of the outermost partition field"},
      OPTION_ENV, OPTION_CONNECT, {NULL, NULL, NULL}},
     "  pawl plan jobs/ctm.json --mode historic --from 2025-05-01", cli_plan},
    {"status", "JOB", "freshness, watermarks, last runs, success over 90 days, open failures",
     "Reads only. While a run holds the warehouse it shows what the landing store and the state folder know.",
     1, 1, {OPTION_ENV, OPTION_STATE, {NULL, NULL, NULL}}, "  pawl status jobs/ctm.json --json", cli_status},
    {"state show", "JOB", "the watermark of every partition", NULL, 1, 1,
     {{"stream", "NAME", "only this stream"}, {"account", "VALUE", "only partitions of this value"}, OPTION_ENV, {NULL, NULL, NULL}},
     "  pawl state show jobs/ctm.json", cli_state_show},
    {"state rewind", "JOB --stream NAME --to DAY", "move watermarks back by hand, on record",
     "The next incremental run reads from there (less its lookback) again; rows that did not change stay as they are.\n"
     "A day begins in the job's time zone. Watermarks never move forward by hand.",
     1, 1,
     {{"stream", "NAME", "whose watermarks"}, {"account", "VALUE", "only partitions of this value"},
      {"to", "DAY", "2026-03-01, or an instant such as 2026-03-01T12:00:00Z"}, OPTION_ENV, {NULL, NULL, NULL}},
     "  pawl state rewind jobs/ctm.json --stream calls --account 1001 --to 2026-03-01", cli_state_rewind},
    {"query", "JOB SQL", "ask the job's warehouse; read-only", NULL, 2, 2, {OPTION_ENV, {NULL, NULL, NULL}},
     "  pawl query jobs/ctm.json 'SELECT * FROM pipeline_health'", cli_query},
    {"source read", "--manifest FILE --config FILE", "read a low-code manifest by itself, speaking the Airbyte protocol",
     "Writes RECORD, STATE, LOG and TRACE messages, one a line, to standard output. The manifest's own cursor,\n"
     "partitions and retry rules hold; a job's do not.",
     0, 0,
     {{"manifest", "FILE", "the connector, YAML"},
      {"config", "FILE", "its config, JSON"},
      {"catalog", "FILE", "configured catalog, JSON; every stream where not given"},
      {"state", "FILE", "state messages of an earlier read, JSON; empty = read from the start"},
      {"test-now", "TIME", "tests only: the clock stands still at this time, and waits return at once"},
      OPTION_CONNECT, {NULL, NULL, NULL}},
     "  pawl source read --manifest connectors/ctm/manifest.yaml --config config.json", cli_source_read},
    {NULL, NULL, NULL, NULL, 0, 0, {{NULL, NULL, NULL}}, NULL, NULL},
};
// clang-format on
