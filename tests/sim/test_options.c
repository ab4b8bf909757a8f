#include "options.h"

#include "harness/check.h"

// Splits `line` at blanks, in place.
static bool read_line(const char *line, Options *options, Error *err)
{
    static char text[512];
    static char name[] = "ctm-sim";
    char *arguments[32] = {name};
    int count = 1;
    (void)snprintf(text, sizeof(text), "%s", line);
    char *state = NULL;
    for (char *word = strtok_r(text, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state))
        arguments[count++] = word;
    return options_read(count, arguments, options, err);
}

TEST(options_reach_their_plans)
{
    Options options;
    Error err = {0};
    CHECK_OK(read_line("--port 8080 --seed=9 --calls 50000 --accounts 2 --from 2026-01-01 --to "
                       "2026-02-01 --latency-ms 100 "
                       "--rate 20 --burst 5 --now 2026-02-03T00:00:00Z --compress --cap 10000 "
                       "--after-cap --deletes 0",
                       &options, &err),
             &err);
    CHECK_INT(options.listener.port, 8080);
    CHECK(options.listener.compress);
    CHECK_INT((int64_t)options.service.world.seed, 9);
    CHECK_INT(options.service.world.calls, 50000);
    CHECK_INT(options.service.world.to - options.service.world.from, 31);
    CHECK_INT(options.service.world.now, 1770076800);
    CHECK_INT(options.service.world.rates.deletes_per_million, 0);
    CHECK_INT(options.service.world.rates.edits_per_million, LIFE_EDITS_PER_MILLION);
    CHECK_INT(options.service.latency_us, 100000);
    CHECK(options.service.limit.rate > 19.9 && options.service.limit.burst < 5.1);
    CHECK(options.service.after_is_capped && options.service.control);
}

TEST(defaults_are_those_that_help_prints)
{
    Options options;
    Error err = {0};
    CHECK_OK(read_line("", &options, &err), &err);
    CHECK(options.service.world.now == WORLD_NOW_DEFAULT);
    CHECK_STR(options.service.auth.access_key, STR("sim-key"));
    CHECK_INT(options.service.world.rates.deletes_per_million, LIFE_DELETES_PER_MILLION);
    CLEANUP(buf_done) Buf help = {0};
    CHECK_OK(options_help(&help, &err), &err);
    CHECK_CONTAINS(buf_str(&help),
                   STR("--client-secret     TEXT     its secret [sim-client-secret]"));
}

TEST(wrong_options_are_named)
{
    const struct {
        const char *line, *message;
    } rows[] = {
        {"--prot 1", "no option '--prot'; try --help"},
        {"--port", "--port needs N"},
        {"--port x", "--port: 'x' is not a N"},
        {"--port 70000", "--port: at most 65535"},
        {"--from 2026-13-01", "--from: '2026-13-01' is not a DATE"},
        {"--now yesterday", "--now: 'yesterday' is not a TIME"},
        {"--rate -1", "--rate: '-1' is not a RPS"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].line);
        Options options;
        Error err = {0};
        CHECK(!read_line(rows[i].line, &options, &err));
        CHECK_STR(str_from(err.message), str_from(rows[i].message));
    }
}
