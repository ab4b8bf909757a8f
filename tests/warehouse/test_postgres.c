// What only a server can do to a driver: refuse, go away, keep one waiting, lack a right; and how
// values reach it.
#include "cluster.h"
#include "warehouse/pg_copy.h"
#include "warehouse/postgres_state.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

CLUSTER()

enum { TEXT_BYTES = 1000 };

#define ROWS(...)                          \
    .rows = (const RigRow[]){__VA_ARGS__}, \
    .count = sizeof((const RigRow[]){__VA_ARGS__}) / sizeof(RigRow)
#define ORDERS "SELECT id, name FROM shop.\"or\"\"ders\" WHERE _deleted_at IS NULL ORDER BY id"

// A prepared warehouse in an empty database; `more` = members after those that name it.
static void fresh(Rig *rig, const char *more)
{
    char options[CLUSTER_OPTIONS_BYTES], all[RIG_OPTIONS_BYTES];
    cluster_fresh(options);
    (void)snprintf(all, sizeof(all), "%s%s", options, more);
    rig_open_with(rig, &warehouse_postgres, all);
    rig_prepare(rig);
}

static bool load_one(Rig *rig, const char *run, int64_t fetched_us, const char *name, Error *err)
{
    const RigReading reading = {.partition = "a",
                                .from_us = 1,
                                .to_us = 2,
                                .fetched_us = fetched_us,
                                ROWS({1, name}, {2, "other"})};
    return rig_load(rig, &(RigLoad){.run = run, .epoch = 1, .readings = &reading, .count = 1}, NULL,
                    err);
}

// ---- connecting ----

TEST(what_stands_in_the_way_of_a_connection_is_told)
{
    cluster_sql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'right'");
    cluster_sql("postgres",
                "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    const struct {
        const char *name, *options;
        ErrorCode code;
        const char *text;
    } rows[] = {
        {"wrong password", "\"user\": \"guarded\", \"password\": \"canary-4711\"", ERROR_ACCESS,
         "password authentication failed"},
        {"no password", "\"user\": \"guarded\"", ERROR_ACCESS, "give \"password\""},
        {"no such role", "\"user\": \"nobody at all\"", ERROR_ACCESS, "\"nobody at all\""},
        {"no such database", "\"user\": \"owner\", \"database\": \"no such\"", ERROR_NOT_FOUND,
         "\"no such\" does not exist"},
        {"another encoding", "\"user\": \"owner\", \"database\": \"latin\"", ERROR_JOB, "LATIN1"},
        {"nobody listens", "\"user\": \"owner\", \"host\": \"/nowhere\"", ERROR_IO, "/nowhere"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        char all[RIG_OPTIONS_BYTES];
        const bool has_host = strstr(rows[i].options, "host") != NULL;
        const bool has_database = strstr(rows[i].options, "database") != NULL;
        (void)snprintf(all, sizeof(all), "%s%s%s%s\"port\": %d, %s", has_host ? "" : "\"host\": \"",
                       has_host ? "" : cluster_folder(), has_host ? "" : "\", ",
                       has_database ? "" : "\"database\": \"postgres\", ", cluster_port(),
                       rows[i].options);
        CLEANUP(rig_close) Rig rig = {0};
        rig_open_with(&rig, &warehouse_postgres, all);
        Error err = {0};
        CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].text));
        CHECK(strstr(err.message, "canary") == NULL);
    }
    cluster_sql("postgres", "DROP DATABASE latin");
    cluster_sql("postgres", "DROP ROLE guarded");
}

// A certificate that the server's own has signed, its key under a password; and one that signs for
// itself, which nobody trusts.
static void make_certificates(void)
{
    char command[2 * TEXT_BYTES];
    (void)snprintf(
        command, sizeof(command),
        "exec 2>/dev/null; cd '%s' && umask 077 &&"
        " openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj"
        " /CN=certified -keyout client.key -passout 'pass:open sesame' -out client.csr &&"
        " openssl x509 -req -in client.csr -CA '%s/server.crt' -CAkey '%s/server.key'"
        " -days 2 -out client.crt &&"
        " openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout other.key -out"
        " other.crt",
        test_folder(), cluster_folder(), cluster_folder());
    CHECK(system(command) == 0);
}

#define GUARDED "\"user\": \"guarded\", \"password\": \"right\""
#define CERTIFIED \
    "\"user\": \"certified\", \"sslcert\": \"@client.crt\", \"sslkey\": \"@client.key\""

// "@" is the test's own folder, "=" the cluster's.
static void place_files(const char *text, char *out, size_t room)
{
    size_t size = 0;
    for (const char *c = text; *c != '\0' && size < room; c++) {
        const char *const folder = *c == '@' ? test_folder() : *c == '=' ? cluster_folder() : NULL;
        const int added = folder == NULL ? snprintf(out + size, room - size, "%c", *c)
                                         : snprintf(out + size, room - size, "%s/", folder);
        size += (size_t)added;
    }
    CHECK(size < room);
}

static bool pass_row(void *visitor, const Str *cells, size_t columns)
{
    (void)visitor;
    (void)cells;
    (void)columns;
    return true;
}

static const char *trusted_file;

static const char *look_up(void *state, const char *name)
{
    (void)state;
    return strcmp(name, "SSL_CERT_FILE") == 0 ? trusted_file : NULL;
}

// libpq of Debian 12 does not know the word.
TEST(whom_the_machine_trusts_is_trusted)
{
    char ours[TEXT_BYTES], other[TEXT_BYTES];
    make_certificates();
    place_files("=server.crt", ours, sizeof(ours));
    place_files("@other.crt", other, sizeof(other));
    const struct {
        const char *name, *host, *mode, *trusted, *text;
    } rows[] = {
        {"the server's", "localhost", "verify-full", ours, NULL},
        {"another name", "127.0.0.1", "verify-full", ours, "does not match host name"},
        {"another's", "localhost", "verify-full", other, "certificate verify failed"},
        {"for any name", "127.0.0.1", "verify-ca", ours, "needs sslmode 'verify-full'"},
        {"not at all", "localhost", "require", ours, "needs sslmode 'verify-full'"},
    };
    test_env.variable = look_up;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        trusted_file = rows[i].trusted;
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new((size_t)64 * 1024, &err);
        CLEANUP(warehouse_close) Warehouse warehouse = {0};
        Findings findings = {.arena = arena};
        Str json = {0};
        yyjson_doc *doc = NULL;
        CHECK_OK(
            arena_printf(arena, &json, &err,
                         "{\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\", \"user\":"
                         " \"owner\", \"sslmode\": \"%s\", \"sslrootcert\": \"system\"}",
                         rows[i].host, cluster_port(), rows[i].mode),
            &err);
        CHECK_OK(json_parse(json, "job", arena, &doc, &err), &err);
        const WarehouseOptions options = {.driver = {yyjson_doc_get_root(doc), STR("job")}};
        const bool ok =
            warehouse_open(&warehouse, &warehouse_postgres, &options, &test_env, arena, &findings,
                           &err) &&
            warehouse.driver->query(warehouse.state, STR("SELECT 1"), pass_row, NULL, &err);
        CHECK(ok == (rows[i].text == NULL));
        if (!ok)
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].text));
    }
}

TEST(tls_checks_what_it_is_told_to_check)
{
    char options[CLUSTER_OPTIONS_BYTES];
    cluster_fresh(options);
    make_certificates();
    // Were the key's password asked for, here it would be told: nobody is asked.
    int standard_input[2];
    CHECK(pipe(standard_input) == 0);
    CHECK(write(standard_input[1], "open sesame\nopen sesame\n", 24) == 24);
    CHECK(dup2(standard_input[0], STDIN_FILENO) == STDIN_FILENO);
    cluster_sql("postgres", "CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right';"
                            "CREATE ROLE certified SUPERUSER LOGIN");
    const struct {
        const char *name, *host, *mode, *root, *who;
        const char *text; // why not; NULL = it connects
        bool plain;       // without TLS
    } rows[] = {
        {"whole", "localhost", "verify-full", "=server.crt", GUARDED, NULL, false},
        {"another name", "127.0.0.1", "verify-ca", "=server.crt", GUARDED, NULL, false},
        {"no root", "localhost", "require", "nothing.crt", GUARDED, NULL, false},
        {"preferred", "127.0.0.1", "prefer", "nothing.crt", GUARDED, NULL, false},
        {"preferred, though not needed", "127.0.0.1", "prefer", "nothing.crt",
         "\"user\": \"owner\"", NULL, false},
        {"allowed, and needed", "127.0.0.1", "allow", "nothing.crt", GUARDED, NULL, false},
        {"allowed, not needed", "127.0.0.1", "allow", "nothing.crt", "\"user\": \"owner\"", NULL,
         true},
        {"disabled", "127.0.0.1", "disable", "=server.crt", "\"user\": \"owner\"", NULL, true},
        {"by a certificate", "localhost", "verify-full", "=server.crt",
         CERTIFIED ", \"sslpassword\": \"open sesame\"", NULL, false},
        {"another name", "127.0.0.1", "verify-full", "=server.crt", GUARDED,
         "does not match host name", false},
        {"no root", "localhost", "verify-full", "nothing.crt", GUARDED, "root certificate", false},
        {"no root", "localhost", "verify-ca", "nothing.crt", GUARDED, "root certificate", false},
        {"another root", "localhost", "verify-full", "@other.crt", GUARDED,
         "certificate verify failed", false},
        {"another root", "localhost", "verify-ca", "@other.crt", GUARDED,
         "certificate verify failed", false},
        // A root that is there counts, whatever less was asked for.
        {"another root", "localhost", "require", "@other.crt", GUARDED, "certificate verify failed",
         false},
        {"disabled, though needed", "localhost", "disable", "=server.crt", GUARDED, "no encryption",
         false},
        {"a key without its password", "localhost", "verify-full", "=server.crt", CERTIFIED,
         "could not load private key", false},
        {"a key with another one", "localhost", "verify-full", "=server.crt",
         CERTIFIED ", \"sslpassword\": \"canary-4711\"", "could not load private key", false},
        {"no certificate", "localhost", "verify-full", "=server.crt", "\"user\": \"certified\"",
         "certificate", false},
        {"somebody else's", "localhost", "verify-full", "=server.crt",
         "\"user\": \"certified\", \"sslcert\": \"@other.crt\", \"sslkey\": \"@other.key\"", "",
         false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char given[RIG_OPTIONS_BYTES], all[RIG_OPTIONS_BYTES], name[100];
        (void)snprintf(name, sizeof(name), "%s: %s %s", rows[i].name, rows[i].host, rows[i].mode);
        check_row(name);
        (void)snprintf(given, sizeof(given),
                       "\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\", \"sslmode\":"
                       " \"%s\", \"sslrootcert\": \"%s\", \"schema\": \"main\", %s",
                       rows[i].host, cluster_port(), rows[i].mode, rows[i].root, rows[i].who);
        place_files(given, all, sizeof(all));
        CLEANUP(rig_close) Rig rig = {0};
        rig_open_with(&rig, &warehouse_postgres, all);
        Error err = {0};
        const bool ok = rig.driver->prepare(rig.state, NULL, 0, &err);
        CHECK_STR(str_from(ok ? "" : err.message),
                  rows[i].text == NULL ? STR("") : str_from(err.message));
        CHECK(ok == (rows[i].text == NULL));
        CHECK(strstr(err.message, "canary") == NULL);
        if (!ok)
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].text));
        if (ok)
            CHECK_STR(rig_query(&rig, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
                      rows[i].plain ? STR("false") : STR("true"));
    }
    cluster_sql("postgres", "DROP SCHEMA main CASCADE; DROP OWNED BY guarded, certified;"
                            "DROP ROLE guarded, certified");
}

static int socket_at(const char *path, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct sockaddr *at = (const struct sockaddr *)&address;
    CHECK(fd >= 0);
    CHECK((listens ? bind(fd, at, sizeof(address)) : connect(fd, at, sizeof(address))) == 0);
    CHECK(!listens || listen(fd, 8) == 0);
    return fd;
}

// A machine that is gone without a word takes no more than its own time.
TEST(of_several_servers_the_first_that_can_write_is_taken)
{
    const struct {
        const char *name,
            *hosts;       // "@" is the test's own folder, where nobody answers; "=" the cluster's
        const char *text; // why not; NULL = it connects
        ErrorCode code;
    } rows[] = {
        {"the first", "=,@", NULL, ERROR_NONE},
        {"the second", "@, =", NULL, ERROR_NONE},
        {"the third, behind one that refuses", "/nowhere,@,=", NULL, ERROR_NONE},
        {"none", "@,/nowhere", "did not answer within 0 s; /nowhere: ", ERROR_IO},
        {"what the first says of us is true of all", "=,@", "\"nobody\" does not exist",
         ERROR_ACCESS},
    };
    char path[TEXT_BYTES];
    Env system;
    env_init_system(&system);
    test_env.monotonic_us = system.monotonic_us;
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", test_folder(), cluster_port());
    const int listener = socket_at(path, true);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        char given[RIG_OPTIONS_BYTES], all[RIG_OPTIONS_BYTES];
        (void)snprintf(given, sizeof(given),
                       "\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\", \"user\":"
                       " \"%s\", \"connect_timeout\": \"PT0.1S\"",
                       rows[i].hosts, cluster_port(),
                       rows[i].code == ERROR_ACCESS ? "nobody" : "owner");
        place_files(given, all, sizeof(all));
        CLEANUP(rig_close) Rig rig = {0};
        rig_open_with(&rig, &warehouse_postgres, all);
        Error err = {0};
        const bool ok = rig.driver->query(rig.state, STR("SELECT 1"), pass_row, NULL, &err);
        CHECK_INT(err.code, rows[i].code);
        CHECK(ok == (rows[i].text == NULL));
        if (!ok)
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].text));
    }
    (void)close(listener);
}

// ---- rights ----

// Does what the findings say, as the owner would, until nothing lacks.
static int grant_all(Rig *rig)
{
    for (int rounds = 0; rounds < 4; rounds++) {
        Error err = {0};
        Findings findings = {.arena = rig->arena};
        CHECK_OK(rig->driver->check(rig->state, &rig_table, 1, &findings, &err), &err);
        if (findings.count == 0)
            return rounds;
        for (size_t i = 0; i < findings.count; i++) {
            CHECK_CONTAINS(findings.items[i].what, STR("role loader lacks "));
            char sql[TEXT_BYTES];
            (void)snprintf(sql, sizeof(sql), STR_FMT, STR_ARG(findings.items[i].fix));
            cluster_sql("postgres", sql);
        }
    }
    return -1;
}

TEST(each_missing_right_is_named_with_the_grant_that_is_enough)
{
    char all[RIG_OPTIONS_BYTES];
    {
        CLEANUP(rig_close) Rig owner = {0};
        fresh(&owner, "");
    }
    cluster_sql("postgres", "CREATE ROLE loader LOGIN");
    (void)snprintf(all, sizeof(all),
                   "\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\", \"user\":"
                   " \"loader\", \"schema\": \"main\"",
                   cluster_folder(), cluster_port());
    CLEANUP(rig_close) Rig rig = {0};
    rig_open_with(&rig, &warehouse_postgres, all);
    Error err = {0};
    CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err) ||
          !load_one(&rig, "r1", 10, "A", &err));
    CHECK_INT(err.code, ERROR_ACCESS);
    CHECK_CONTAINS(str_from(err.message), STR("permission denied"));
    CHECK_INT(grant_all(&rig), 1);

    // Now a whole life is possible: prepare what stands, insert, replace, mark, log, read.
    err = (Error){0};
    rig_prepare(&rig);
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    CHECK_OK(load_one(&rig, "r2", 20, "B", &err), &err);
    CHECK_STR(rig_query(&rig, ORDERS), STR("1|B 2|other"));

    // Where nothing stands, the right to make it is what lacks, and is enough.
    rig_close(&rig);
    cluster_sql("postgres", "DROP SCHEMA main, shop CASCADE");
    rig_open_with(&rig, &warehouse_postgres, all);
    CHECK_INT(grant_all(&rig), 1);
    rig_prepare(&rig);
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    CHECK_INT(grant_all(&rig), 0);
    rig_close(&rig);
    cluster_sql("postgres",
                "DROP SCHEMA main, shop CASCADE; DROP OWNED BY loader; DROP ROLE loader");
}

// ---- waiting, stopping ----

// A transaction of somebody else that holds what a load of the table needs.
static PGconn *hold_table(void)
{
    char where[TEXT_BYTES];
    (void)snprintf(where, sizeof(where), "host=%s port=%d user=owner dbname=postgres",
                   cluster_folder(), cluster_port());
    PGconn *other = PQconnectdb(where);
    PGresult *result = PQexec(
        other, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('pawl shop.or\"ders', 0))");
    CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
    PQclear(result);
    return other;
}

TEST(another_writer_of_the_table_is_waited_for_then_named)
{
    static const char *const rows[] = {", \"lock_wait\": \"PT0.2S\"", ", \"lock_wait\": \"PT0S\""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i]);
        CLEANUP(rig_close) Rig rig = {0};
        fresh(&rig, rows[i]);
        PGconn *other = hold_table();
        Error err = {0};
        CHECK(!load_one(&rig, "r1", 10, "A", &err));
        CHECK_INT(err.code, ERROR_BUSY);
        CHECK_CONTAINS(str_from(err.message), STR("who else writes shop.or\"ders"));
        PQfinish(other);
        err = (Error){0};
        CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    }
}

static void set_stop(int number)
{
    (void)number;
    atomic_store(&test_env.stop, true);
}

static void stop_soon(void)
{
    CHECK(signal(SIGALRM, set_stop) != SIG_ERR);
    const struct itimerval soon = {.it_value.tv_usec = 50000};
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

// The server ends a cancelled statement at once; were it not told to, it would sleep on.
static void wait_for_the_sleepers_end(Rig *rig)
{
    while (!str_equal(rig_query(rig, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE"
                                     " '%pg_sleep%' AND state = 'active' AND pid <>"
                                     " pg_backend_pid()"),
                      STR("0")))
        ;
}

TEST(whoever_waits_for_the_server_can_be_stopped_and_the_server_stops_too)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    stop_soon();
    Error err = {0};
    CHECK(!rig.driver->query(rig.state, STR("SELECT pg_sleep(600)"), NULL, NULL, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    atomic_store(&test_env.stop, false);
    wait_for_the_sleepers_end(&rig);
}

// Of the server's first process: it takes connections, those that cancel included.
static pid_t read_postmaster(void)
{
    char path[TEXT_BYTES], line[TEXT_BYTES] = "";
    (void)snprintf(path, sizeof(path), "%s/data/postmaster.pid", cluster_folder());
    FILE *file = fopen(path, "r");
    CHECK(file != NULL && fgets(line, sizeof(line), file) != NULL);
    (void)fclose(file);
    return (pid_t)strtol(line, NULL, 10);
}

TEST(a_server_that_hangs_holds_up_nobody_who_stops)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    const pid_t postmaster = read_postmaster();
    CHECK_STR(rig_query(&rig, "SELECT 1"), STR("1"));
    CHECK(kill(postmaster, SIGSTOP) == 0);
    stop_soon();
    Error err = {0};
    const bool ok = rig.driver->query(rig.state, STR("SELECT pg_sleep(600)"), NULL, NULL, &err);
    CHECK(kill(postmaster, SIGCONT) == 0);
    CHECK(!ok);
    CHECK_INT(err.code, ERROR_STOPPED);
    atomic_store(&test_env.stop, false);
    wait_for_the_sleepers_end(&rig); // it heard of it when it went on
}

// Something takes the connection, and says nothing.
TEST(whoever_waits_for_a_connection_can_be_stopped)
{
    char path[TEXT_BYTES], all[RIG_OPTIONS_BYTES];
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.1", test_folder());
    (void)snprintf(all, sizeof(all), "\"host\": \"%s\", \"port\": 1, \"database\": \"postgres\"",
                   test_folder());
    const int listener = socket_at(path, true);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open_with(&rig, &warehouse_postgres, all);
    stop_soon();
    Error err = {0};
    CHECK(!rig.driver->query(rig.state, STR("SELECT 1"), NULL, NULL, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    atomic_store(&test_env.stop, false);
    (void)close(listener);
}

TEST(a_statement_that_takes_too_long_is_ended)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, ", \"statement_timeout\": \"PT0.1S\"");
    Error err = {0};
    CHECK(!rig.driver->query(rig.state, STR("SELECT pg_sleep(600)"), NULL, NULL, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_CONTAINS(str_from(err.message), STR("statement timeout"));
    CHECK_STR(rig_query(&rig, "SELECT 1"), STR("1"));
}

static bool take_number(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(int64_t *)visitor = pg_get_int64(result, row, 0);
    return true;
}

// The lake is written between a load's beginning and its rows.
TEST(a_load_that_pauses_is_idle_for_as_long_as_a_statement_takes)
{
    static const struct {
        const char *options;
        bool pauses;
        int64_t idle_ms; // 0 = as long as it likes
    } rows[] = {
        {"", false, 300000},
        {"", true, 1800000},
        {", \"statement_timeout\": \"PT10S\"", true, 300000},
        {", \"statement_timeout\": \"PT2H\"", true, 7200000},
        {", \"statement_timeout\": \"PT2H\"", false, 300000},
        {", \"statement_timeout\": \"PT0S\"", true, 0},
        {", \"statement_timeout\": \"P30D\", \"lock_wait\": \"P30D\"", true, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP(rig_close) Rig rig = {0};
        check_row(rows[i].options);
        fresh(&rig, rows[i].options);
        Error err = {0};
        LoadSlice slices[1] = {{.partition_key = STR("a"), .from_us = 1, .to_us = 2}};
        const RigReading reading = {.partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 5};
        LoadSpec spec =
            rig_spec(&(RigLoad){.run = "r1", .epoch = 1, .readings = &reading, .count = 1}, slices);
        spec.pauses = rows[i].pauses;
        bool loaded = true;
        int64_t idle_ms = -1;
        CHECK_OK(rig.driver->load_begin(rig.state, &spec, &loaded, &err), &err);
        const PgStatement query = {.sql = "SELECT CAST(setting AS bigint) FROM pg_settings WHERE"
                                          " name = 'idle_in_transaction_session_timeout'"};
        CHECK_OK(pg_query(&((PgWarehouse *)rig.state)->pg, &query, take_number, &idle_ms, &err),
                 &err);
        CHECK_INT(idle_ms, rows[i].idle_ms);
        rig.driver->load_abort(rig.state);
    }
}

// ---- connections that break ----

static void cut_connections(void)
{
    cluster_sql("postgres", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                            " WHERE application_name = 'pawl'");
}

TEST(a_connection_cut_between_two_calls_is_made_again)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    cut_connections();
    CHECK_OK(load_one(&rig, "r2", 20, "B", &err), &err);
    cut_connections();
    CHECK_STR(rig_query(&rig, ORDERS), STR("1|B 2|other"));
}

TEST(a_connection_cut_within_a_load_fails_it_and_leaves_nothing)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    LoadSlice slices[1];
    const RigReading reading = {.partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 5};
    const RigLoad load = {.run = "r1", .epoch = 1, .readings = &reading, .count = 1};
    const LoadSpec spec = rig_spec(&load, slices);
    bool loaded = true;
    Error err = {0};
    CHECK_OK(rig.driver->load_begin(rig.state, &spec, &loaded, &err), &err);
    cut_connections();
    CHECK(!rig.driver->load_commit(rig.state, &(LoadCommit){0}, &err));
    CHECK_INT(err.code, ERROR_IO);
    rig.driver->load_abort(rig.state);
    err = (Error){0};
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    CHECK_STR(rig_query(&rig, "SELECT run_id FROM main.pawl_load"), STR("r1"));
}

// A proxy that passes everything on, but for the first COMMIT behind a load: it is swallowed, or
// passed on and its answer swallowed, or another one given in PgBouncer's words; then the
// connection is cut. Later ones are whole.
typedef enum Cut { CUT_BEFORE_COMMIT, CUT_BEHIND_COMMIT, CUT_BY_POOLER } Cut;
static const struct {
    const char *name;
    bool commits;
} cuts[] = {
    {"lost before it came", false}, {"lost behind it", true}, {"a pooler lost the server", true}};
static const char pooler_error[] =
    "E\0\0\0\51SFATAL\0C08P01\0Mserver conn crashed?\0"; // and one more NUL

// Passes on what one end sent, unless it is COMMIT and asked for.
static bool pass(int from, int to, bool *ret_commits)
{
    char bytes[64 * 1024];
    const ssize_t got = read(from, bytes, sizeof(bytes));
    if (got <= 0)
        return false;
    const Str sent = {bytes, (size_t)got};
    if (ret_commits != NULL && str_find(sent, (Str){"COMMIT", 7}) < sent.size) { // with its NUL
        *ret_commits = true;
        return true;
    }
    return write(to, bytes, sent.size) == got;
}

// One connection; true when it was cut.
static bool serve(int client, const char *server_path, bool may_cut, Cut cut)
{
    const int server = socket_at(server_path, false);
    struct pollfd ends[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    bool was_cut = false;
    for (bool going = true; going && poll(ends, 2, -1) > 0;) {
        bool commits = false;
        char answer[1024];
        if (ends[0].revents != 0)
            going = pass(client, server, &commits);
        if (going && commits) {
            was_cut = may_cut;
            if (!may_cut || cuts[cut].commits)
                CHECK(write(server, "Q\0\0\0\013COMMIT\0", 12) == 12);
            if (may_cut && cuts[cut].commits)
                CHECK(read(server, answer, sizeof(answer)) > 0);
            if (may_cut && cut == CUT_BY_POOLER)
                CHECK(write(client, pooler_error, sizeof(pooler_error)) > 0);
            going = !may_cut;
        } else if (going && ends[1].revents != 0) {
            going = pass(server, client, NULL);
        }
    }
    (void)close(client);
    (void)close(server);
    return was_cut;
}

static pid_t start_proxy(const char *path, Cut cut)
{
    char server_path[TEXT_BYTES];
    (void)snprintf(server_path, sizeof(server_path), "%s/.s.PGSQL.%d", cluster_folder(),
                   cluster_port());
    const int listener = socket_at(path, true);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) {
        (void)close(listener);
        return child;
    }
    bool may_cut = true;
    for (;;) {
        const int client = accept(listener, NULL, NULL);
        if (client >= 0 && serve(client, server_path, may_cut, cut))
            may_cut = false;
    }
}

TEST(a_commit_whose_answer_is_lost_is_looked_up_in_the_ledger)
{
    for (int i = 0; i < (int)(sizeof(cuts) / sizeof(cuts[0])); i++) {
        const Cut cut = (Cut)i;
        check_row(cuts[i].name);
        {
            CLEANUP(rig_close) Rig owner = {0};
            fresh(&owner, "");
        }
        char path[TEXT_BYTES], all[RIG_OPTIONS_BYTES];
        (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", test_folder(), i + 1);
        const pid_t proxy = start_proxy(path, cut);
        (void)snprintf(all, sizeof(all),
                       "\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\", \"user\":"
                       " \"owner\", \"schema\": \"main\", \"sslmode\": \"disable\"",
                       test_folder(), i + 1);
        CLEANUP(rig_close) Rig rig = {0};
        rig_open_with(&rig, &warehouse_postgres, all);
        Error err = {0};
        const bool ok = load_one(&rig, "r1", 10, "A", &err);
        CHECK(ok == cuts[i].commits);
        CHECK_INT(err.code, ok ? ERROR_NONE : ERROR_IO);
        CHECK_STR(rig_query(&rig, "SELECT count(*) FROM main.pawl_load"), ok ? STR("1") : STR("0"));
        err = (Error){0};
        CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
        CHECK_STR(rig_query(&rig, "SELECT count(*) FROM main.pawl_load"), STR("1"));
        CHECK_STR(rig_query(&rig, ORDERS), STR("1|A 2|other"));
        CHECK(kill(proxy, SIGKILL) == 0);
        CHECK(waitpid(proxy, NULL, 0) == proxy);
    }
}

// ---- a client that dies ----

static bool give_then_die(void *state, RowSelection *ret_selection, Error *err)
{
    (void)err;
    static const uint32_t rows[] = {0, 1};
    static const bool replaces[] = {true, false};
    struct ArrowArray *array = state;
    if (array->release == NULL)
        (void)raise(SIGKILL);
    *ret_selection = (RowSelection){array, rows, replaces, 2};
    return true;
}

static void die_while_copying(const char *options)
{
    CLEANUP(rig_close) Rig rig = {0};
    rig_open_with(&rig, &warehouse_postgres, options);
    LoadSlice slices[1];
    const RigRow rows[] = {{1, "B"}, {7, "new"}};
    const RigReading reading = {.partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 20};
    const RigLoad load = {.run = "r2", .epoch = 2, .readings = &reading, .count = 1};
    const LoadSpec spec = rig_spec(&load, slices);
    struct ArrowArray array = {0};
    rig_array(rows, 2, 20, &array);
    RowSource source = {give_then_die, &array, 4, 2};
    Error err = {0};
    bool loaded = false;
    CHECK_OK(rig.driver->load_begin(rig.state, &spec, &loaded, &err), &err);
    (void)!rig.driver->load_write(rig.state, &source, &err);
    exit(EXIT_FAILURE);
}

TEST(who_is_killed_while_rows_are_on_their_way_leaves_no_table_and_no_lock)
{
    char options[CLUSTER_OPTIONS_BYTES];
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    (void)snprintf(options, sizeof(options),
                   "\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\", \"user\":"
                   " \"owner\", \"schema\": \"main\"",
                   cluster_folder(), cluster_port());
    (void)fflush(stdout);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        die_while_copying(options);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_OK(load_one(&rig, "r3", 30, "C", &err), &err); // waits until the server has noticed
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM pg_class WHERE relname LIKE 'stage%'"),
              STR("0"));
    CHECK_STR(rig_query(&rig, ORDERS), STR("1|C 2|other"));
}

// ---- values ----

// Fields of one column of each type on their way to the server and back as text.
TEST(values_arrive_as_they_are)
{
    static const struct {
        ColumnType type;
        int scale;
        uint64_t words[2]; // decimal; the first is the value of everything that is one word
        const char *text;  // string, json
        const char *expected;
    } rows[] = {
        {COLUMN_INT64, 0, {(uint64_t)INT64_MIN, 0}, NULL, "-9223372036854775808"},
        {COLUMN_DATE, 0, {(uint64_t)INT64_C(-719162), 0}, NULL, "0001-01-01"},
        {COLUMN_DATE, 0, {2932896, 0}, NULL, "9999-12-31"},
        {COLUMN_TIMESTAMP,
         0,
         {(uint64_t)INT64_C(-62135596800000000), 0},
         NULL,
         "0001-01-01 00:00:00+00"},
        {COLUMN_TIMESTAMP,
         0,
         {UINT64_C(253402300799999999), 0},
         NULL,
         "9999-12-31 23:59:59.999999+00"},
        {COLUMN_BOOLEAN, 0, {1, 0}, NULL, "t"},
        {COLUMN_STRING, 0, {0}, "", ""},
        {COLUMN_STRING, 0, {0}, "\xF0\x9F\x98\x80\x1A\\", "\xF0\x9F\x98\x80\x1A\\"},
        {COLUMN_DECIMAL, 0, {0, 0}, NULL, "0"},
        {COLUMN_DECIMAL, 4, {0, 0}, NULL, "0.0000"},
        {COLUMN_DECIMAL, 0, {10000, 0}, NULL, "10000"},
        {COLUMN_DECIMAL, 1, {1, 0}, NULL, "0.1"},
        {COLUMN_DECIMAL, 3, {123456789, 0}, NULL, "123456.789"},
        {COLUMN_DECIMAL, 5, {UINT64_MAX, UINT64_MAX}, NULL, "-0.00001"},
        {COLUMN_DECIMAL, 7, {20000000, 0}, NULL, "2.0000000"},
        // 2^127 - 1 has 39 digits; what a contract can hold is 38 nines.
        {COLUMN_DECIMAL,
         0,
         {UINT64_C(0x098A223FFFFFFFFF), UINT64_C(0x4B3B4CA85A86C47A)},
         NULL,
         "99999999999999999999999999999999999999"},
        {COLUMN_DECIMAL,
         37,
         {UINT64_C(0x098A223FFFFFFFFF), UINT64_C(0x4B3B4CA85A86C47A)},
         NULL,
         "9.9999999999999999999999999999999999999"},
        {COLUMN_DECIMAL,
         38,
         {UINT64_C(0xF675DDC000000001), UINT64_C(0xB4C4B357A5793B85)},
         NULL,
         "-0.99999999999999999999999999999999999999"},
        {COLUMN_JSON,
         0,
         {0},
         "{\"a\":[1.50,null,\"1e9999999\"]}",
         "{\"a\": [1.50, null, \"1e9999999\"]}"},
        {COLUMN_JSON, 0, {0}, "1e9999999", "\"$number:1e9999999\""},
        {COLUMN_JSON,
         0,
         {0},
         "{\"a\\\"\":-1.5E-99999,\"b\":[12e4,true]}",
         "{\"b\": [120000, true], \"a\\\"\": \"$number:-1.5E-99999\"}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[32], type[PG_TYPE_BYTES], sql[TEXT_BYTES];
        (void)snprintf(name, sizeof(name), "row %zu", i);
        check_row(name);
        Error err = {0};
        // Three rows, so that offsets count: null, the value, null.
        const Column column = {
            .name = STR("c"), .type = rows[i].type, .precision = 38, .scale = rows[i].scale};
        CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
        CLEANUP(arrow_array_done) struct ArrowArray array = {.release = NULL};
        CLEANUP(arena_freep) Arena *arena = arena_new(1024 * 1024, &err);
        CHECK_OK(batch_builder_new(&column, 1, &builder, &err), &err);
        for (int row = 0; row < 3; row++) {
            const int64_t value = (int64_t)rows[i].words[0];
            CHECK_OK(batch_row_begin(builder, &err), &err);
            if (row == 1 && rows[i].text != NULL)
                CHECK_OK(batch_set_str(builder, 0, str_from(rows[i].text), &err), &err);
            else if (row == 1 && column.type == COLUMN_DECIMAL)
                CHECK_OK(batch_set_decimal(builder, 0, rows[i].words, &err), &err);
            else if (row == 1 && column.type == COLUMN_BOOLEAN)
                CHECK_OK(batch_set_bool(builder, 0, true, &err), &err);
            else if (row == 1)
                CHECK_OK(batch_set_int64(builder, 0, value, &err), &err);
            CHECK_OK(batch_row_end(builder, &err), &err);
        }
        CHECK_OK(batch_builder_finish(builder, &array, &err), &err);

        CLEANUP(buf_done) Buf bytes = {0};
        PgCopy copy = {0};
        CHECK_OK(pg_copy_init(&copy, &column, 1, 0, arena, &err), &err);
        CHECK_OK(buf_append(&bytes, pg_copy_head, &err), &err);
        pg_copy_take(&copy, &array);
        for (size_t row = 0; row < 3; row++)
            CHECK_OK(pg_copy_row(&copy, row, STR(""), &bytes, &err), &err);
        CHECK_OK(buf_append(&bytes, pg_copy_foot, &err), &err);

        char where[TEXT_BYTES];
        (void)snprintf(where, sizeof(where), "host=%s port=%d user=owner dbname=postgres",
                       cluster_folder(), cluster_port());
        PGconn *connection = PQconnectdb(where);
        pg_type_name(&column, type);
        (void)snprintf(sql, sizeof(sql), "SET TimeZone = 'UTC'; CREATE TEMP TABLE t (c %s)", type);
        PQclear(PQexec(connection, sql));
        PQclear(PQexec(connection, "COPY t FROM STDIN WITH (FORMAT binary)"));
        CHECK_INT(PQputCopyData(connection, bytes.data, (int)bytes.size), 1);
        CHECK_INT(PQputCopyEnd(connection, NULL), 1);
        PGresult *result = PQgetResult(connection);
        CHECK_STR(str_from(PQresultErrorMessage(result)), STR(""));
        CHECK_STR(str_from(PQcmdTuples(result)), STR("3"));
        PQclear(result);
        CHECK(PQgetResult(connection) == NULL);
        result = PQexec(connection, "SELECT c FROM t WHERE c IS NOT NULL");
        CHECK_INT(PQntuples(result), 1);
        CHECK_STR(str_from(PQgetvalue(result, 0, 0)), str_from(rows[i].expected));
        PQclear(result);
        PQfinish(connection);
    }
}

// ---- promote, views, names ----

TEST(promoting_moves_what_fits_and_leaves_what_does_not)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    static const struct {
        ColumnType type;
        int precision, scale;
        const char *values;   // JSON, one row each
        const char *expected; // what moved, in order; the rest stays
        const char *left;
    } rows[] = {
        {COLUMN_STRING, 0, 0, "\"x\",1.50,null", "1.50 x", "{\"v\": null}"},
        {COLUMN_INT64, 0, 0, "12,\"-7\",1.5,\"x\",9223372036854775808", "-7 12",
         "{\"v\": \"x\"} {\"v\": 1.5} {\"v\": 9223372036854775808}"},
        {COLUMN_DECIMAL, 6, 2, "1.25,\"2.5\",1.255,99999,\"NaN\"", "1.25 2.50",
         "{\"v\": \"NaN\"} {\"v\": 1.255} {\"v\": 99999}"},
        {COLUMN_DOUBLE, 0, 0, "1e3,\"now\",1e999", "1000", "{\"v\": \"now\"} {\"v\": 1" /* 0s */},
        {COLUMN_BOOLEAN, 0, 0, "true,\"false\",1,\"yes\"", "false true",
         "{\"v\": \"yes\"} {\"v\": 1}"},
        {COLUMN_DATE, 0, 0, "\"2026-02-28\",\"2026-02-30\",\"today\"", "2026-02-28",
         "{\"v\": \"2026-02-30\"} {\"v\": \"today\"}"},
        {COLUMN_TIMESTAMP, 0, 0, "\"2026-02-28T01:02:03-05:00\",\"now\",5",
         "2026-02-28 06:02:03+00", "{\"v\": \"now\"} {\"v\": 5}"},
        {COLUMN_JSON, 0, 0, "{\"a\":[1]},null", "{\"a\": [1]}", "{\"v\": null}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(column_type_name(rows[i].type));
        char sql[2 * TEXT_BYTES], name[16];
        (void)snprintf(name, sizeof(name), "p%zu", i);
        (void)snprintf(sql, sizeof(sql),
                       "TRUNCATE shop.\"or\"\"ders\"; INSERT INTO shop.\"or\"\"ders\" (_row_key,"
                       " _overflow) SELECT gen_random_uuid(), jsonb_build_object('v', v) FROM"
                       " jsonb_array_elements('[%s]') AS r(v)",
                       rows[i].values);
        cluster_sql("postgres", sql);
        const Column column = {.name = str_from(name),
                               .type = rows[i].type,
                               .precision = rows[i].precision,
                               .scale = rows[i].scale};
        Error err = {0};
        int64_t moved = 0;
        CHECK_OK(rig.driver->promote(rig.state, &rig_table, &column, STR("/v"), &moved, &err),
                 &err);
        (void)snprintf(sql, sizeof(sql),
                       "SELECT %s FROM shop.\"or\"\"ders\" WHERE %s IS NOT NULL ORDER BY"
                       " CAST(%s AS text) COLLATE \"C\"",
                       name, name, name);
        CHECK_STR(rig_query(&rig, sql), str_from(rows[i].expected));
        const Str left = rig_query(&rig, "SELECT _overflow FROM shop.\"or\"\"ders\" WHERE _overflow"
                                         " IS NOT NULL ORDER BY CAST(_overflow AS text) COLLATE "
                                         "\"C\"");
        CHECK_STR(str_slice(left, 0, strlen(rows[i].left)), str_from(rows[i].left));
    }
}

TEST(views_keep_who_may_read_them)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    ViewSpec view = {STR("shop"), STR("how_many"), STR("SELECT count(*) AS n FROM \"or\"\"ders\"")};
    const char *const may = "SELECT has_table_privilege('reader', 'shop.how_many', 'SELECT'),"
                            " has_table_privilege('reader', 'shop.how_many', 'INSERT')";
    CHECK_OK(rig.driver->create_views(rig.state, &view, 1, &err), &err);
    cluster_sql("postgres", "CREATE ROLE reader; GRANT SELECT ON shop.how_many TO reader");
    const Str before = rig_query(&rig, "SELECT oid, xmin FROM pg_class WHERE relname = 'how_many'");
    CHECK_OK(rig.driver->create_views(rig.state, &view, 1, &err), &err);
    CHECK_STR(rig_query(&rig, "SELECT oid, xmin FROM pg_class WHERE relname = 'how_many'"), before);
    view.select =
        STR("SELECT 'x' AS other FROM \"or\"\"ders\""); // another column: made from nothing
    CHECK_OK(rig.driver->create_views(rig.state, &view, 1, &err), &err);
    CHECK_STR(rig_query(&rig, may), STR("true|false"));
    cluster_sql("postgres", "DROP OWNED BY reader; DROP ROLE reader");
}

TEST(a_name_that_the_server_would_cut_is_refused)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    static const char longest[] =
        "a23456789_123456789_123456789_123456789_123456789_123456789_1234";
    CHECK_INT((int64_t)strlen(longest), PG_NAME_BYTES_MAX + 1);
    Column columns[32];
    memcpy(columns, rig_table.columns, rig_table.column_count * sizeof(Column));
    columns[2].name = str_from(longest);
    TableSpec table = rig_table;
    table.name = STR("another");
    table.columns = columns;
    Error err = {0};
    CHECK(!rig.driver->prepare(rig.state, &table, 1, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), str_from(longest));
    columns[2].name = str_slice(str_from(longest), 0, PG_NAME_BYTES_MAX);
    err = (Error){0};
    CHECK_OK(rig.driver->prepare(rig.state, &table, 1, &err), &err);
    CHECK_OK(rig.driver->prepare(rig.state, &table, 1, &err), &err);
}

TEST(statements_that_are_no_load_are_one_transaction)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    int64_t changed[2] = {0};
    const Str both[] = {STR("UPDATE shop.\"or\"\"ders\" SET name = 'x'"),
                        STR("DELETE FROM shop.\"or\"\"ders\" WHERE id = 1")};
    CHECK_OK(rig.driver->execute(rig.state, "test", both, 2, changed, &err), &err);
    CHECK_INT(changed[0], 2);
    CHECK_INT(changed[1], 1);
    const Str broken[] = {STR("UPDATE shop.\"or\"\"ders\" SET name = 'y'"),
                          STR("DELETE FROM nowhere")};
    CHECK(!rig.driver->execute(rig.state, "test", broken, 2, NULL, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_STR(rig_query(&rig, ORDERS), STR("2|x"));
}

typedef struct OneBatch {
    struct ArrowArray array;
    bool given;
} OneBatch;

static bool give_batch(void *state, RowSelection *ret_selection, Error *err)
{
    (void)err;
    static const uint32_t rows[] = {0, 1};
    static const bool replaces[] = {true, false};
    OneBatch *batch = state;
    *ret_selection =
        batch->given ? (RowSelection){0} : (RowSelection){&batch->array, rows, replaces, 2};
    batch->given = true;
    return true;
}

static const RigRow changed_and_new[] = {{1, "B"}, {7, "new"}};

TEST(somebody_else_who_writes_the_table_is_noticed)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    LoadSlice slices[1];
    const RigReading reading = {.partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 20};
    const RigLoad load = {.run = "r2", .epoch = 1, .readings = &reading, .count = 1};
    const LoadSpec spec = rig_spec(&load, slices);
    OneBatch batch = {0};
    RowSource source = {give_batch, &batch, 2, 1};
    bool loaded = true;
    CHECK_OK(rig.driver->load_begin(rig.state, &spec, &loaded, &err), &err);
    cluster_sql("postgres", "DELETE FROM shop.\"or\"\"ders\" WHERE id = 1");
    rig_array(changed_and_new, 2, 20, &batch.array);
    CHECK(!rig.driver->load_write(rig.state, &source, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    CHECK_CONTAINS(str_from(err.message), STR("somebody else writes"));
    rig.driver->load_abort(rig.state);
    CHECK_STR(rig_query(&rig, ORDERS), STR("2|other"));
}

// By hand, as a person would say "from the beginning": a time beyond all that can be counted.
TEST(infinite_times_are_none)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    CHECK_OK(load_one(&rig, "r1", 10, "A", &err), &err);
    const Watermark mark = {STR("orders"), STR("a"), 5};
    CHECK_OK(rig.driver->set_watermark(rig.state, STR("job"), STR("m"), &rig_table, &mark, 1, &err),
             &err);
    static const char *const times[] = {"'infinity'", "'-infinity'", "'294276-12-31'"};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        check_row(times[i]);
        char sql[TEXT_BYTES];
        (void)snprintf(sql, sizeof(sql),
                       "UPDATE main.pawl_state SET watermark = %s WHERE kind = 'watermark';"
                       "UPDATE shop.\"or\"\"ders\" SET _fetched_at = %s WHERE id = 1",
                       times[i], times[i]);
        cluster_sql("postgres", sql);
        Watermark *marks = NULL;
        size_t count = 0;
        CHECK_OK(rig.driver->read_watermarks(rig.state, STR("job"), &rig_table, rig.arena, &marks,
                                             &count, &err),
                 &err);
        CHECK_INT((int64_t)count, 1);
        CHECK_INT(marks[0].us, 0);
        char run[16];
        (void)snprintf(run, sizeof(run), "s%zu", i);
        CHECK_OK(load_one(&rig, run, 20 + (int64_t)i, run, &err), &err);
        (void)snprintf(sql, sizeof(sql), "1|%s 2|other", run);
        CHECK_STR(rig_query(&rig, ORDERS), str_from(sql));
    }
}

static bool replace_insert_mark(Rig *rig, const LoadSpec *spec, OneBatch *batch, Error *err)
{
    RowSource source = {give_batch, batch, 2, 1};
    const Key128 gone = rig_key(2);
    const Watermark mark = {STR("orders"), STR("a"), 5};
    bool loaded = false;
    int64_t marked = 0;
    const bool ok = rig->driver->load_begin(rig->state, spec, &loaded, err) && !loaded &&
                    rig->driver->load_write(rig->state, &source, err) &&
                    rig->driver->load_mark_deleted(rig->state, &gone, 1, 20, &marked, err) &&
                    rig->driver->load_commit(
                        rig->state, &(LoadCommit){.watermarks = &mark, .watermark_count = 1}, err);
    if (!ok)
        rig->driver->load_abort(rig->state);
    return ok;
}

// Whatever fails, and whenever: a reason, nothing half written, no leak. A connection that fails
// may have been made again, and a COMMIT looked up.
TEST(a_load_survives_every_fault)
{
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, "");
    Error err = {0};
    char last[32] = "A";
    int fired = 0;
    CHECK_OK(load_one(&rig, "r0", 10, last, &err), &err);
    FAULTS() {
        fault_arm(0); // the rig checks what it allocates itself
        char name[32], expected[64];
        (void)snprintf(name, sizeof(name), "fault %d", fault_nth);
        check_row(name);
        LoadSlice slices[1];
        const RigReading reading = {
            .partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 20 + fault_nth};
        const RigLoad load = {.run = name, .epoch = 1, .readings = &reading, .count = 1};
        const LoadSpec spec = rig_spec(&load, slices);
        const RigRow rows[] = {{1, name}, {100 + fault_nth, "new"}};
        OneBatch batch = {0};
        rig_array(rows, 2, 20 + fault_nth, &batch.array);
        err = (Error){0};
        CHECK_OK(rig.driver->idle(rig.state, &err), &err);
        fault_arm(fault_nth);
        const bool ok = replace_insert_mark(&rig, &spec, &batch, &err);
        fired += fault_disarm() ? 1 : 0;
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (err.message[0] == '\0'));
        arrow_array_done(&batch.array);
        if (ok)
            (void)snprintf(last, sizeof(last), "%s", name);
        (void)snprintf(expected, sizeof(expected), "%s|%s", last, ok ? "1" : "0");
        char sql[TEXT_BYTES];
        (void)snprintf(sql, sizeof(sql),
                       "SELECT max(name) FILTER (WHERE id = 1), count(*) FILTER (WHERE id = %d)"
                       " FROM shop.\"or\"\"ders\"",
                       100 + fault_nth);
        CHECK_STR(rig_query(&rig, sql), str_from(expected));
    }
    CHECK(fired > 30);
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM pg_class WHERE relname LIKE 'stage%'"),
              STR("0"));
}
