// The client of Snowflake's SQL API against a script: what goes over the wire and when, what is
// sent again and what never, and what errors may say.
#include "warehouse/snowflake_api.h"

#include "base/hash.h"
#include "harness/check.h"
#include "harness/server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

enum { ARENA_BYTES = 16 * 1024 * 1024, PEM_BYTES = 4096 };

#define HANDLE "01b2c3d4-0000-4000-8000-000000000001"
#define MINUTE INT64_C(60000000)
#define ANSWER(status, headers, body) \
    STR("HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body)
#define DONE(more)                                                                               \
    ANSWER("200 OK", "",                                                                         \
           "{\"code\":\"090001\",\"statementHandle\":\"" HANDLE                                  \
           "\",\"data\":[[\"1\"]],\"resultSetMetaData\":{\"rowType\":[{\"name\":\"n\",\"type\":" \
           "\"fixed\"}],\"partitionInfo\":[{}" more "]}}")
#define RUNNING \
    ANSWER("202 Accepted", "", "{\"code\":\"333334\",\"statementHandle\":\"" HANDLE "\"}")

typedef struct Rig {
    Env env;
    Arena *arena;
    Server *server;
    SnowflakeOptions options;
    SnowflakeApi *api;
    char pem[SNOWFLAKE_KEYS_MAX][PEM_BYTES];
} Rig;

static void rig_done(Rig *rig)
{
    snowflake_api_free(rig->api);
    server_stop(rig->server);
    arena_free(rig->arena);
}

// Two keys, the first under a passphrase.
static void make_keys(Rig *rig, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        EVP_PKEY *key = EVP_RSA_gen(2048);
        BIO *bio = BIO_new(BIO_s_mem());
        char secret[] = "open sesame";
        CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, i == 0 ? EVP_aes_256_cbc() : NULL, secret,
                                            i == 0 ? (int)strlen(secret) : 0, NULL, NULL) == 1);
        const int size = BIO_read(bio, rig->pem[i], PEM_BYTES);
        CHECK(size > 0);
        rig->options.private_keys[i] = (Str){rig->pem[i], (size_t)size};
        BIO_free(bio);
        EVP_PKEY_free(key);
    }
    rig->options.passphrase = STR("open sesame");
}

static void rig_init(Rig *rig, size_t key_count)
{
    Error err = {0};
    *rig = (Rig){.options = {.account = STR("org-acct"),
                             .user = STR("loader"),
                             .auth = key_count > 0 ? SNOWFLAKE_KEYPAIR : SNOWFLAKE_OAUTH,
                             .token = STR("canary-token"),
                             .database = STR("DB"),
                             .schema = STR("PAWL"),
                             .warehouse = STR("WH"),
                             .role = STR("LOADER"),
                             .statement_timeout_us = INT64_C(3600000000)}};
    rig->env = test_env;
    rig->arena = arena_new(ARENA_BYTES, &err);
    CHECK(rig->arena != NULL);
    make_keys(rig, key_count);
}

static void rig_serve(Rig *rig, const ServerStep *steps, size_t count)
{
    Error err = {0};
    rig->server = server_start(steps, count);
    rig->options.url = str_from(server_url(rig->server, ""));
    CHECK_OK(snowflake_api_new(&rig->options, &rig->env, &rig->api, &err), &err);
}
#define SERVE(rig, steps) rig_serve(rig, SERVER_STEPS(steps))

static bool run(Rig *rig, SnowflakeResult *ret_result, Error *err)
{
    const SnowflakeStatement statement = {
        .sql = STR("SELECT 1"), .count = 1, .tag = STR("pawl run-7")};
    return snowflake_run(rig->api, &statement, rig->arena, ret_result, err);
}

static void run_ok(Rig *rig)
{
    Error err = {0};
    SnowflakeResult result = {0};
    CHECK_OK(run(rig, &result, &err), &err);
    CHECK_INT((int64_t)result.column_count, 1);
}

static bool add_cell(void *visitor, const Str *cells, size_t count, Error *err)
{
    (void)err;
    int64_t value = 0;
    CHECK_INT((int64_t)count, 1);
    if (cells[0].data != NULL)
        CHECK(str_to_int64(cells[0], &value));
    *(int64_t *)visitor += value;
    return true;
}

// "Authorization: Bearer ..." as the key signs it at that moment.
static const char *bearer(Rig *rig, size_t key_index, int64_t at_us)
{
    Error err = {0};
    SnowflakeKey *key = NULL;
    Str token = {0};
    Str header = {0};
    const SnowflakeClaims claims = {.account = rig->options.account,
                                    .user = rig->options.user,
                                    .from_us = at_us,
                                    .life_us = 55 * MINUTE};
    CHECK_OK(snowflake_key_new(rig->options.private_keys[key_index], rig->options.passphrase, &key,
                               &err),
             &err);
    CHECK_OK(snowflake_jwt_make(key, &claims, rig->arena, &token, &err), &err);
    CHECK_OK(arena_printf(rig->arena, &header, &err, "Authorization: Bearer " STR_FMT "\r\n",
                          STR_ARG(token)),
             &err);
    snowflake_key_free(key);
    return header.data;
}

// ---- requests

TEST(a_request_says_what_the_service_asks_for)
{
    const ServerStep steps[] = {
        {.request = "POST /api/v2/statements?requestId=",
         .has = {"&async=true HTTP/1.1", "X-Snowflake-Authorization-Token-Type: OAUTH\r\n",
                 "Authorization: Bearer canary-token\r\n", "User-Agent: pawl",
                 "Content-Type: application/json\r\n", "Accept: application/json\r\n",
                 "{\"statement\":\"SELECT 1\",\"timeout\":3600,\"database\":\"DB\",\"schema\":"
                 "\"PAWL\",\"warehouse\":\"WH\",\"role\":\"LOADER\"",
                 "\"QUERY_TAG\":\"pawl run-7\",\"MULTI_STATEMENT_COUNT\":\"1\"}}"},
         .lacks = {"retry=true"},
         .answer = DONE(""),
         .then = SERVER_CLOSE},
        {.request = "POST /api/v2/statements?requestId=",
         .has = {"&async=false HTTP/1.1", "\"MULTI_STATEMENT_COUNT\":\"2\""},
         .answer = DONE(""),
         .then = SERVER_CLOSE},
    };
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 0);
    SERVE(&rig, steps);
    run_ok(&rig);
    Error err = {0};
    SnowflakeResult result = {0};
    const SnowflakeStatement two = {.sql = STR("BEGIN; COMMIT"), .count = 2, .light = true};
    CHECK_OK(snowflake_run(rig.api, &two, rig.arena, &result, &err), &err);
    // What keeps no warehouse awake costs nothing.
    CHECK_INT(snowflake_usage(rig.api).statements, 1);
}

TEST(a_request_of_more_statements_than_snowflake_takes_is_not_sent)
{
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 0);
    rig_serve(&rig, NULL, 0);
    Error err = {0};
    SnowflakeResult result = {0};
    const SnowflakeStatement many = {.sql = STR("BEGIN; ..."),
                                     .count = SNOWFLAKE_STATEMENTS_MAX + 1};
    CHECK(!snowflake_run(rig.api, &many, rig.arena, &result, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

// Nothing may run twice: from the second time on it is the first request that is asked for.
TEST(an_uncertain_request_is_asked_for_again_by_its_id)
{
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 0);
    char id[UUID_TEXT_BYTES + 1], first[200], again[200];
    uuid_new(&rig.env, id); // the tests' random numbers are all alike
    (void)snprintf(first, sizeof(first), "POST /api/v2/statements?requestId=%s&async=true HTTP",
                   id);
    (void)snprintf(again, sizeof(again),
                   "POST /api/v2/statements?requestId=%s&async=true&retry=true HTTP", id);
    const ServerStep steps[] = {
        {.request = first, .then = SERVER_RESET},
        {.request = again, .answer = ANSWER("503 Busy", "", ""), .then = SERVER_CLOSE},
        {.request = again, .answer = ANSWER("504 Late", "", ""), .then = SERVER_CLOSE},
        {.request = again,
         .answer = ANSWER("429 Slower", "Retry-After: 77\r\n", ""),
         .then = SERVER_CLOSE},
        {.request = again, .answer = RUNNING, .then = SERVER_CLOSE},
        {.request = "GET /api/v2/statements/" HANDLE " HTTP", .then = SERVER_RESET},
        {.request = "GET /api/v2/statements/" HANDLE " HTTP",
         .answer = RUNNING,
         .then = SERVER_CLOSE},
        {.request = "GET /api/v2/statements/" HANDLE " HTTP",
         .answer = DONE(""),
         .then = SERVER_CLOSE},
    };
    SERVE(&rig, steps);
    const int64_t before_us = test_clock_us;
    run_ok(&rig);
    CHECK(test_clock_us - before_us >= 77000000);
    CHECK(test_clock_us - before_us < 100000000);
}

TEST(tries_have_an_end)
{
    const ServerStep steps[] = {{.request = "POST /api/v2/statements?",
                                 .answer = ANSWER("503 Busy", "", ""),
                                 .then = SERVER_CLOSE,
                                 .many = true}};
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 0);
    SERVE(&rig, steps);
    Error err = {0};
    SnowflakeResult result = {0};
    CHECK(!run(&rig, &result, &err));
    CHECK_INT(err.code, ERROR_IO);
    CHECK_INT((int64_t)server_requests(rig.server), 8);
}

TEST(partitions_are_read_one_after_the_other)
{
    const ServerStep steps[] = {
        {.request = "POST /", .answer = DONE(",{},{}"), .then = SERVER_CLOSE},
        {.request = "GET /api/v2/statements/" HANDLE "?partition=1 HTTP",
         .answer = ANSWER("200 OK", "", "{\"data\":[[\"20\"],[null]]}"),
         .then = SERVER_CLOSE},
        {.request = "GET /api/v2/statements/" HANDLE "?partition=2 HTTP",
         .answer = ANSWER("200 OK", "", "[[\"300\"]]"),
         .then = SERVER_CLOSE},
    };
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 0);
    SERVE(&rig, steps);
    Error err = {0};
    SnowflakeResult result = {0};
    CHECK_OK(run(&rig, &result, &err), &err);
    int64_t sum = 0;
    CHECK_OK(snowflake_rows(rig.api, &result, add_cell, &sum, &err), &err);
    CHECK_INT(sum, 321);
}

// ---- tokens

TEST(a_token_is_kept_for_fifty_minutes_then_renewed)
{
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 1);
    const int64_t start_us = test_clock_us;
    const char *const old = bearer(&rig, 0, start_us);
    const char *const renewed = bearer(&rig, 0, start_us + 50 * MINUTE);
    CHECK(strcmp(old, renewed) != 0);
    const ServerStep steps[] = {
        {.request = "POST /", .has = {old}, .answer = DONE(""), .then = SERVER_CLOSE},
        {.request = "POST /", .has = {old}, .answer = DONE(""), .then = SERVER_CLOSE},
        {.request = "POST /", .has = {renewed}, .answer = DONE(""), .then = SERVER_CLOSE},
    };
    SERVE(&rig, steps);
    run_ok(&rig);
    test_clock_us = start_us + 50 * MINUTE - 1;
    run_ok(&rig);
    test_clock_us = start_us + 50 * MINUTE;
    run_ok(&rig);
}

// Also one that ends while a statement runs.
TEST(a_token_that_is_refused_is_made_anew_and_then_by_the_other_key)
{
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 2);
    const int64_t start_us = test_clock_us;
    const char *const old = bearer(&rig, 0, start_us);
    const char *const renewed = bearer(&rig, 0, start_us + 9 * MINUTE);
    const char *const other = bearer(&rig, 1, start_us + 9 * MINUTE);
    const ServerStep steps[] = {
        {.request = "POST /", .has = {old}, .answer = DONE(""), .then = SERVER_CLOSE},
        {.request = "POST /",
         .has = {old},
         .answer = ANSWER("401 Unauthorized", "", "{\"code\":\"390144\"}"),
         .then = SERVER_CLOSE},
        {.request = "POST /",
         .has = {renewed},
         .answer = ANSWER("401 Unauthorized", "", "{\"code\":\"390144\"}"),
         .then = SERVER_CLOSE},
        {.request = "POST /", .has = {other}, .answer = DONE(""), .then = SERVER_CLOSE},
        {.request = "POST /", .has = {other}, .answer = DONE(""), .then = SERVER_CLOSE},
    };
    SERVE(&rig, steps);
    run_ok(&rig);
    test_clock_us += 9 * MINUTE;
    run_ok(&rig);
    run_ok(&rig); // and stays with the key that is taken
}

// What lies in the file by now, and how often it was looked at.
typedef struct TokenFile {
    const char *text; // NULL = it cannot be read
    int64_t looks;
} TokenFile;

static bool read_token_file(void *state, const char *option, Arena *arena, Str *ret_text,
                            Error *err)
{
    TokenFile *file = state;
    file->looks++;
    CHECK(strcmp(option, "token") == 0);
    return (file->text != NULL && arena_copy_str(arena, str_from(file->text), ret_text, err)) ||
           error_set(err, ERROR_IO, "no such file");
}

TEST(a_token_that_is_refused_is_looked_for_where_it_was_once)
{
    static const struct {
        const char *name, *file;
        bool taken;
        int64_t requests;
    } rows[] = {
        {"another", "rotated-token", true, 3},     {"the same", "canary-token", false, 1},
        {"nothing in it", "", false, 1},           {"it is gone", NULL, false, 1},
        {"also refused", "wrong-token", false, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep refused = {.request = "POST /",
                                    .has = {"Bearer canary-token\r\n"},
                                    .answer =
                                        ANSWER("401 Unauthorized", "", "{\"code\":\"390318\"}"),
                                    .then = SERVER_CLOSE};
        ServerStep again = refused;
        again.has[0] = "Bearer wrong-token\r\n";
        ServerStep good = {.request = "POST /",
                           .has = {"Bearer rotated-token\r\n"},
                           .answer = DONE(""),
                           .then = SERVER_CLOSE,
                           .many = true};
        const ServerStep steps[] = {refused, rows[i].taken ? good : again};
        TokenFile file = {.text = rows[i].file};
        const WarehouseSecrets secrets = {read_token_file, &file};
        CLEANUP(rig_done) Rig rig;
        rig_init(&rig, 0);
        rig.options.secrets = &secrets;
        rig_serve(&rig, steps, rows[i].requests > 1 ? 2 : 1);
        Error err = {0};
        SnowflakeResult result = {0};
        CHECK(run(&rig, &result, &err) == rows[i].taken);
        CHECK_INT(err.code, rows[i].taken ? ERROR_NONE : ERROR_ACCESS);
        if (rows[i].taken)
            run_ok(&rig); // and stays with it
        CHECK_INT(file.looks, 1);
        CHECK_INT((int64_t)server_requests(rig.server), rows[i].requests);
    }
}

TEST(who_is_refused_by_every_key_is_told_so)
{
    static const struct {
        const char *name;
        size_t keys;
        SnowflakeAuth auth;
        const char *kind, *says;
        int64_t requests;
    } rows[] = {
        {"two keys", 2, SNOWFLAKE_KEYPAIR, "KEYPAIR_JWT\r\n", "390144: JWT token is invalid.", 4},
        {"a token", 0, SNOWFLAKE_OAUTH, "OAUTH\r\n", "the token is refused or has ended", 1},
        {"an access token", 0, SNOWFLAKE_PAT, "PROGRAMMATIC_ACCESS_TOKEN\r\n",
         "the token is refused or has ended", 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {
            {.request = "POST /",
             .has = {"X-Snowflake-Authorization-Token-Type: ", rows[i].kind},
             .answer = ANSWER("401 Unauthorized", "",
                              "{\"code\":\"390144\",\"message\":\"JWT token is invalid.\"}"),
             .then = SERVER_CLOSE,
             .many = true}};
        CLEANUP(rig_done) Rig rig;
        rig_init(&rig, rows[i].keys);
        rig.options.auth = rows[i].auth;
        SERVE(&rig, steps);
        Error err = {0};
        SnowflakeResult result = {0};
        CHECK(!run(&rig, &result, &err));
        CHECK_INT(err.code, ERROR_ACCESS);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "canary") == NULL);
        CHECK_INT((int64_t)server_requests(rig.server), rows[i].requests);
    }
}

// ---- errors

#define SAYS(code, state, message) \
    "{\"code\":\"" code "\",\"sqlState\":\"" state "\",\"message\":\"" message "\"}"

#define SEVERAL(message)                                                                          \
    SAYS("100132", "P0000",                                                                       \
         "JavaScript execution error: Uncaught Execution of multiple statements failed on "       \
         "statement"                                                                              \
         " \\\"MERGE INTO\\n t ...\\\" (at line 1, position 75).\\n" message                      \
         " in SYSTEM$MULTISTMT at '    throw `Execution of multiple statements failed on "        \
         "statement {0}"                                                                          \
         " (at line {1}, position {2}).`.replace('{1}', LINES[i])' position 4\\nstackstrace: \\n" \
         "SYSTEM$MULTISTMT line: 10")

TEST(what_the_sql_did_wrong_is_told_once_and_without_values)
{
    const struct {
        const char *name;
        Str answer;
        ErrorCode code;
        const char *says;
    } rows[] = {
        {"a right",
         ANSWER("422 Failed", "", SAYS("003001", "42501", "Insufficient privileges on 'CALLS'")),
         ERROR_ACCESS, "privileges on 'CALLS'"},
        {"an object", ANSWER("422 Failed", "", SAYS("002003", "42S02", "Object 'X' is not there")),
         ERROR_JOB, "'X'"},
        {"a lock", ANSWER("422 Failed", "", SAYS("000625", "57014", "waited for the lock")),
         ERROR_BUSY, "waited"},
        {"a value",
         ANSWER("422 Failed", "",
                SAYS("100038", "22018", "Numeric value 'canary' is not recognized")),
         ERROR_DATA, "Numeric value '..' is not recognized"},
        {"a value with a quote",
         ANSWER("422 Failed", "",
                SAYS("100038", "22018", "Numeric value 'x'canary' is not recognized")),
         ERROR_DATA, "Numeric value '..' is not recognized"},
        {"rows", // as Snowflake says it
         ANSWER("422 Failed", "",
                SAYS("100090", "42P18",
                     "Duplicate row detected during DML action\\nRow Values: [1, \\\"canary\\\"]")),
         ERROR_DATA, "Duplicate row detected during DML action (status 422)"},
        // Of several statements, as Snowflake's manual shows it.
        {"one of several",
         ANSWER("422 Failed", "", SEVERAL("Numeric value 'canary' is not recognized")), ERROR_DATA,
         "100132: Numeric value '..' is not recognized (status 422)"},
        {"one of several, with rows",
         ANSWER(
             "422 Failed", "",
             SEVERAL("Duplicate row detected during DML action\\nRow Values: [1, \\\"canary\\\"]")),
         ERROR_DATA, "100132: Duplicate row detected during DML action (status 422)"},
        {"one of several, a right",
         ANSWER("422 Failed", "",
                SEVERAL("SQL access control error:\\nInsufficient privileges to operate on 'T'")),
         ERROR_ACCESS, "privileges to operate on 'T' (status 422)"},
        {"one of several, an object",
         ANSWER("422 Failed", "",
                SEVERAL("SQL compilation error:\\nObject 'T' does not exist or not authorized.")),
         ERROR_JOB, "Object 'T' does not exist"},
        {"one of several, a lock",
         ANSWER("422 Failed", "", SEVERAL("Statement '01b6' has locked table 'T' in transaction")),
         ERROR_BUSY, "has locked table 'T'"},
        {"one of several, its timeout",
         ANSWER("422 Failed", "",
                SEVERAL("Statement reached its statement or warehouse timeout of 9 second(s)")),
         ERROR_LIMIT, "timeout of 9"},
        {"one of several, and nobody knows what", // a row's texts may stand in it
         ANSWER("422 Failed", "", SEVERAL("Processing aborted by error 300010: canary")), ERROR_IO,
         "Processing aborted by error .. (status 422)"},
        {"a JSON text",
         ANSWER("422 Failed", "",
                SAYS("100069", "22P02", "Error parsing JSON: {\\\"a\\\": canary}")),
         ERROR_DATA, "Error parsing JSON"},
        {"its timeout", ANSWER("408 Timeout", "", SAYS("000630", "57014", "timeout")), ERROR_LIMIT,
         "raise statement_timeout"},
        {"a request", ANSWER("400 Bad", "", SAYS("391902", "", "unsupported")), ERROR_JOB,
         "unsupported"},
        {"no JSON", ANSWER("422 Failed", "", "<html>"), ERROR_IO, "status 422"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {
            {.request = "POST /", .answer = rows[i].answer, .then = SERVER_CLOSE}};
        CLEANUP(rig_done) Rig rig;
        rig_init(&rig, 0);
        SERVE(&rig, steps);
        Error err = {0};
        SnowflakeResult result = {0};
        CHECK(!run(&rig, &result, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "canary") == NULL);
    }
}

// ---- stopping

static Env *stopped_env;
static int sleeps_left;

static void sleep_then_stop(void *state, int64_t duration_us)
{
    (void)state;
    test_clock_us += duration_us;
    if (--sleeps_left == 0)
        atomic_store(&stopped_env->stop, true);
}

TEST(a_statement_that_nobody_waits_for_any_more_is_cancelled)
{
    const ServerStep steps[] = {
        {.request = "POST /api/v2/statements?", .answer = RUNNING, .then = SERVER_CLOSE},
        {.request = "GET /api/v2/statements/" HANDLE,
         .answer = RUNNING,
         .then = SERVER_CLOSE,
         .many = true},
        {.request = "POST /api/v2/statements/" HANDLE "/cancel HTTP",
         .has = {"X-Snowflake-Authorization-Token-Type: OAUTH", "Bearer canary-token"},
         .answer = ANSWER("200 OK", "", "{}"),
         .then = SERVER_CLOSE},
    };
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, 0);
    stopped_env = &rig.env;
    sleeps_left = 3;
    rig.env.sleep_us = sleep_then_stop;
    SERVE(&rig, steps);
    Error err = {0};
    SnowflakeResult result = {0};
    CHECK(!run(&rig, &result, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
}

// ---- faults

TEST(a_statement_survives_every_fault)
{
    const ServerStep steps[] = {
        {.request = "POST /", .answer = RUNNING, .then = SERVER_CLOSE, .many = true},
        {.request = "GET /api/v2/statements/" HANDLE "?partition=1",
         .answer = ANSWER("200 OK", "", "{\"data\":[[\"20\"]]}"),
         .then = SERVER_CLOSE,
         .many = true},
        {.request = "GET /", .answer = DONE(",{}"), .then = SERVER_CLOSE, .many = true},
    };
    int fired = 0;
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    FAULTS() {
        fault_arm(0); // keys are the test's own
        Rig rig;
        rig_init(&rig, 0);
        rig.options.url = str_from(server_url(server, ""));
        fault_arm(fault_nth);
        Error err = {0};
        SnowflakeResult result = {0};
        int64_t sum = 0;
        const bool ok = snowflake_api_new(&rig.options, &rig.env, &rig.api, &err) &&
                        run(&rig, &result, &err) &&
                        snowflake_rows(rig.api, &result, add_cell, &sum, &err);
        fired += fault_disarm() ? 1 : 0;
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (err.message[0] == '\0'));
        CHECK_INT(ok ? sum : 21, 21);
        rig_done(&rig);
    }
    CHECK(fired > 10);
}
