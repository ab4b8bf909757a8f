#include "options.h"

#include <inttypes.h>

typedef enum Kind {
    KIND_UINT,
    KIND_DOUBLE,
    KIND_DATE,
    KIND_TIME,
    KIND_TEXT,
    KIND_FLAG,
    KIND_NO_FLAG
} Kind;

// What the command line says, before it becomes plans.
typedef struct Values {
    int64_t port, threads, seed, calls, accounts, from, to, now, latency_ms, agents_latency_ms,
        tick, cap, expires_in, token_requests, edits, deletes;
    double rate, burst;
    double speed;
    Str faults, fault_rates, port_file, access_key, secret, client_id, client_secret;
    bool compress, after_cap, no_control, json, help, world_date;
} Values;

typedef struct Option {
    const char *name, *value; // "--port", "N"; flags have no value
    Kind kind;
    size_t offset;
    const char *fallback;
    const char *help;
} Option;

// clang-format off
#define AT(member) offsetof(Values, member)
static const Option options[] = {
    {"--port", "N", KIND_UINT, AT(port), "0", "listen on 127.0.0.1:N; 0 = any free port"},
    {"--port-file", "PATH", KIND_TEXT, AT(port_file), "", "write the port there once ready"},
    {"--json", NULL, KIND_FLAG, AT(json), NULL, "print the ready line as JSON"},
    {"--threads", "N", KIND_UINT, AT(threads), "1", "threads that answer"},
    {"--compress", NULL, KIND_FLAG, AT(compress), NULL, "send zstd or gzip to clients that accept it"},
    {"--seed", "N", KIND_UINT, AT(seed), "7", "the world follows from it"},
    {"--calls", "N", KIND_UINT, AT(calls), "20000", "calls between --from and --to, all accounts together"},
    {"--accounts", "N", KIND_UINT, AT(accounts), "5", "accounts, from id 1001 on, each in a zone of its own"},
    {"--from", "DATE", KIND_DATE, AT(from), "2025-05-01", "first account-local day with calls"},
    {"--to", "DATE", KIND_DATE, AT(to), "2026-11-01", "the day behind the last one"},
    {"--now", "TIME", KIND_TIME, AT(now), "", "the world's clock; default: when every account has reached --to"},
    {"--tick", "SECONDS", KIND_UINT, AT(tick), "0", "the clock moves on by so much with every request for calls"},
    {"--speed", "X", KIND_DOUBLE, AT(speed), "0", "the clock runs, X seconds of the world a second; 0 = it stands"},
    {"--world-date", NULL, KIND_FLAG, AT(world_date), NULL, "answers are dated by the world's clock instead of the machine's"},
    {"--edits", "PPM", KIND_UINT, AT(edits), "200000", "calls of a million that are tagged later (half as many sales ...)"},
    {"--deletes", "PPM", KIND_UINT, AT(deletes), "3000", "calls of a million that are deleted later"},
    {"--latency-ms", "N", KIND_UINT, AT(latency_ms), "0", "hold every answer of the API back"},
    {"--agents-latency-ms", "N", KIND_UINT, AT(agents_latency_ms), "0", "hold back /agents/... this much more (really 20-40 s)"},
    {"--rate", "RPS", KIND_DOUBLE, AT(rate), "0", "token bucket, a credential: tokens a second; 0 = no limit"},
    {"--burst", "N", KIND_DOUBLE, AT(burst), "10", "token bucket: its size, full at first"},
    {"--cap", "ROWS", KIND_UINT, AT(cap), "0", "page numbers end at so many rows (really 10000); 0 = never"},
    {"--after-cap", NULL, KIND_FLAG, AT(after_cap), NULL, "`after` ends there too"},
    {"--access-key", "TEXT", KIND_TEXT, AT(access_key), "sim-key", "Basic user of the agency; account 1001: sim-key-1001"},
    {"--secret", "TEXT", KIND_TEXT, AT(secret), "sim-secret", "its password; account 1001: sim-secret-1001"},
    {"--client-id", "TEXT", KIND_TEXT, AT(client_id), "sim-client", "OAuth2 client"},
    {"--client-secret", "TEXT", KIND_TEXT, AT(client_secret), "sim-client-secret", "its secret"},
    {"--expires-in", "SECONDS", KIND_UINT, AT(expires_in), "7200", "life of an access token"},
    {"--token-requests", "N", KIND_UINT, AT(token_requests), "0", "an access token also ends after N requests; 0 = does not"},
    {"--faults", "FILE", KIND_TEXT, AT(faults), "", "fault script, JSON; see sim/README.md"},
    {"--fault-rates", "LIST", KIND_TEXT, AT(fault_rates), "", "faults by rate: 503=0.01,reset=0.001"},
    {"--no-control", NULL, KIND_FLAG, AT(no_control), NULL, "no end points below /_sim/"},
    {"--help", NULL, KIND_FLAG, AT(help), NULL, "print this"},
};
// clang-format on
enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };
#define US_PER_MS     INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)

static bool read_value(const Option *option, Str text, Values *values, Error *err)
{
    void *target = (char *)values + option->offset;
    int32_t date = 0;
    bool ok = true;
    switch (option->kind) {
    case KIND_UINT:
        ok = str_to_int64(text, target) && *(int64_t *)target >= 0;
        break;
    case KIND_DOUBLE:
        ok = str_to_double(text, target) && *(double *)target >= 0;
        break;
    case KIND_DATE:
        ok = date_parse(text, &date);
        *(int64_t *)target = date;
        break;
    case KIND_TIME:
        *(int64_t *)target = WORLD_NOW_DEFAULT;
        if (text.size > 0) {
            ok = time_parse_iso(text, target);
            *(int64_t *)target /= US_PER_SECOND;
        }
        break;
    case KIND_TEXT:
        *(Str *)target = text;
        break;
    case KIND_FLAG:
    case KIND_NO_FLAG:
        *(bool *)target = true;
        break;
    }
    if (!ok)
        return error_set(err, ERROR_JOB, "%s: '" STR_FMT "' is not a %s", option->name,
                         STR_ARG(text), option->value);
    return true;
}

static const Option *find_option(Str name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (str_equal(name, str_from(options[i].name)))
            return &options[i];
    return NULL;
}

static bool read_arguments(int argc, char **argv, Values *values, Error *err)
{
    for (int i = 1; i < argc; i++) {
        Str value = str_from(argv[i]);
        const Str name = str_split_next(&value, '=');
        const Option *option = find_option(name);
        if (option == NULL)
            return error_set(err, ERROR_JOB, "no option '%s'; try --help", argv[i]);
        if (option->value != NULL && value.data == NULL) {
            if (i + 1 == argc)
                return error_set(err, ERROR_JOB, "%s needs %s", option->name, option->value);
            value = str_from(argv[++i]);
        }
        TRY(read_value(option, value, values, err));
    }
    return true;
}

static bool check_range(const char *name, int64_t value, int64_t high, Error *err)
{
    if (value <= high)
        return true;
    return error_set(err, ERROR_JOB, "%s: at most %" PRId64, name, high);
}

bool options_read(int argc, char **argv, Options *ret_options, Error *err)
{
    Values values = {0};
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].fallback != NULL)
            TRY(read_value(&options[i], str_from(options[i].fallback), &values, err));
    TRY(read_arguments(argc, argv, &values, err));
    TRY(check_range("--port", values.port, UINT16_MAX, err));
    TRY(check_range("--threads", values.threads, LISTENER_THREADS_MAX, err));
    TRY(check_range("--calls", values.calls, INT32_MAX, err));
    TRY(check_range("--accounts", values.accounts, WORLD_ACCOUNTS_MAX, err));
    TRY(check_range("--cap", values.cap, INT32_MAX, err));
    TRY(check_range("--edits", values.edits, 1000000, err));
    TRY(check_range("--deletes", values.deletes, 1000000, err));
    TRY(check_range("--expires-in", values.expires_in, INT32_MAX, err));

    Options result = {.help = values.help, .json = values.json};
    result.faults_file = values.faults.size > 0 ? values.faults.data : NULL;
    result.fault_rates = values.fault_rates;
    result.speed = values.speed;
    result.port_file = values.port_file.size > 0 ? values.port_file.data : NULL;
    result.listener = (ListenerPlan){(uint16_t)values.port, (int)values.threads, values.compress};
    result.service = (ServicePlan){.latency_us = values.latency_ms * US_PER_MS,
                                   .agents_latency_us = values.agents_latency_ms * US_PER_MS,
                                   .tick_s = values.tick,
                                   .cap = (uint32_t)values.cap,
                                   .after_is_capped = values.after_cap,
                                   .control = !values.no_control};
    result.service.world = (WorldPlan){.seed = (uint64_t)values.seed,
                                       .calls = (uint32_t)values.calls,
                                       .accounts = (uint32_t)values.accounts,
                                       .from = (int32_t)values.from,
                                       .to = (int32_t)values.to,
                                       .now = values.now,
                                       .rates = {(uint32_t)values.edits, (uint32_t)values.deletes}};
    result.service.auth = (AuthPlan){.access_key = values.access_key,
                                     .secret = values.secret,
                                     .client_id = values.client_id,
                                     .client_secret = values.client_secret,
                                     .expires_in_s = values.expires_in,
                                     .token_requests = values.token_requests,
                                     .seed = (uint64_t)values.seed};
    result.service.world_date = values.world_date;
    result.service.limit = (LimitPlan){.rate = values.rate, .burst = values.burst};
    *ret_options = result;
    return true;
}

bool options_help(Buf *out, Error *err)
{
    TRY(buf_append(out,
                   STR("ctm-sim: a CallTrackingMetrics server for demos, tests and benchmarks\n\n"
                       "  ctm-sim --port 8080 --calls 2000000\n"
                       "  curl -u sim-key:sim-secret 'http://127.0.0.1:8080/api/v1/accounts'\n\n"
                       "Options (--name VALUE or --name=VALUE):\n"),
                   err));
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const Option *option = &options[i];
        TRY(buf_printf(out, err, "  %-19s %-8s %s", option->name,
                       option->value == NULL ? "" : option->value, option->help));
        if (option->fallback != NULL && option->fallback[0] != '\0')
            TRY(buf_printf(out, err, " [%s]", option->fallback));
        TRY(buf_append_char(out, '\n', err));
    }
    return buf_append(out,
                      STR("\nSee sim/README.md for the end points, the control end points below "
                          "/_sim/ and faults.\n"),
                      err);
}
