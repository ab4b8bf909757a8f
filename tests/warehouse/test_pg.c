// The client of a PostgreSQL server: what its errors mean to us and what they may say, and that a
// connection takes the next statement whatever became of the last one.
#include "cluster.h"
#include "warehouse/pg.h"

#include <string.h>

CLUSTER()

enum { SQL_BYTES = 1000 };

static void open_pg(Pg *pg)
{
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", cluster_port());
    const char *const names[] = {"host", "port", "dbname", "user", NULL};
    const char *const values[] = {cluster_folder(), port, "postgres", "owner", NULL};
    Error err = {0};
    CHECK_OK(pg_open(pg, &test_env, &(PgOptions){names, values, INT64_C(10000000)}, &err), &err);
}

static bool visit_nothing(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)visitor;
    (void)result;
    (void)row;
    (void)err;
    return true;
}

// After each failure: the connection is there, has no transaction open, and takes the next one.
static void check_usable(Pg *pg)
{
    Error err = {0};
    CHECK(pg_is_open(pg));
    CHECK_INT(PQtransactionStatus(pg->connection), PQTRANS_IDLE);
    CHECK_OK(pg_script(pg, "SELECT 1", &err), &err);
}

// By what a person has to do about it: PostgreSQL, appendix A, says what each state is.
TEST(each_state_is_the_error_that_somebody_can_act_on)
{
    static const struct {
        const char *state, *name;
        ErrorCode code;
    } rows[] = {
        {"42501", "insufficient_privilege", ERROR_ACCESS},
        {"28P01", "invalid_password", ERROR_ACCESS},
        {"28000", "invalid_authorization_specification", ERROR_ACCESS},
        {"25006", "read_only_sql_transaction", ERROR_ACCESS},
        {"3D000", "invalid_catalog_name", ERROR_NOT_FOUND},
        {"53300", "too_many_connections", ERROR_BUSY},
        {"57P03", "cannot_connect_now", ERROR_BUSY},
        {"55P03", "lock_not_available", ERROR_BUSY},
        {"55006", "object_in_use", ERROR_BUSY},
        {"57014", "query_canceled", ERROR_BUSY},
        {"40001", "serialization_failure", ERROR_CONFLICT},
        {"40P01", "deadlock_detected", ERROR_CONFLICT},
        {"23505", "unique_violation", ERROR_CONFLICT},
        {"40003", "statement_completion_unknown", ERROR_IO},
        {"57P01", "admin_shutdown", ERROR_IO},
        {"57P02", "crash_shutdown", ERROR_IO},
        {"08006", "connection_failure", ERROR_IO},
        {"58030", "io_error", ERROR_IO},
        {"XX000", "internal_error", ERROR_IO},
        {"25P03", "idle_in_transaction_session_timeout", ERROR_IO},
        {"25P04", "transaction_timeout", ERROR_BUSY},
        {"23502", "not_null_violation", ERROR_DATA},
        {"23514", "check_violation", ERROR_DATA},
        {"22003", "numeric_value_out_of_range", ERROR_DATA},
        {"22P03", "invalid_binary_representation", ERROR_DATA},
        {"22021", "character_not_in_repertoire", ERROR_DATA},
        {"21000", "cardinality_violation", ERROR_DATA},
        {"P0001", "raise_exception: a trigger of theirs", ERROR_DATA},
        {"53100", "disk_full", ERROR_LIMIT},
        {"53200", "out_of_memory", ERROR_LIMIT},
        {"54000", "program_limit_exceeded", ERROR_LIMIT},
        {"0A000", "feature_not_supported", ERROR_JOB},
        {"42P01", "undefined_table", ERROR_JOB},
        {"42703", "undefined_column", ERROR_JOB},
        {"42601", "syntax_error", ERROR_JOB},
        {"3F000", "invalid_schema_name", ERROR_JOB},
        {"25P02", "in_failed_sql_transaction", ERROR_JOB},
        {"2BP01", "dependent_objects_still_exist", ERROR_JOB},
        {"34000", "invalid_cursor_name", ERROR_JOB},
    };
    CLEANUP(pg_close) Pg pg = {0};
    open_pg(&pg);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        char sql[SQL_BYTES];
        Error err = {0};
        CHECK_INT(pg_error_code(rows[i].state), rows[i].code);
        // And as the server says it, by each way to ask it.
        (void)snprintf(sql, sizeof(sql),
                       "DO $$ BEGIN RAISE EXCEPTION E'it is so\\nSECOND' USING ERRCODE = '%s',"
                       " DETAIL = 'DETAIL', HINT = 'HINT'; END $$",
                       rows[i].state);
        for (int way = 0; way < 3; way++) {
            const PgStatement statement = {.sql = sql};
            err = (Error){0};
            const bool ok = way == 0   ? pg_script(&pg, sql, &err)
                            : way == 1 ? pg_run(&pg, &statement, NULL, &err)
                                       : pg_query(&pg, &statement, visit_nothing, NULL, &err);
            char said[SQL_BYTES];
            (void)snprintf(said, sizeof(said), "it is so (%s)", rows[i].state);
            CHECK(!ok);
            CHECK_INT(err.code, rows[i].code);
            CHECK_STR(str_from(err.message), str_from(said));
            check_usable(&pg);
        }
    }
}

TEST(no_value_stands_in_a_message)
{
    static const struct {
        const char *name, *sql, *said;
    } rows[] = {
        {"a number", "SELECT CAST('canary' AS bigint)",
         "invalid input syntax for type bigint: \"\" (22P02)"},
        {"quotes in it", "SELECT CAST('x\"canary\"canary' AS bigint)",
         "invalid input syntax for type bigint: \"\" (22P02)"},
        {"an odd number of them", "SELECT CAST('x\"canary' AS bigint)",
         "invalid input syntax for type bigint: \"\" (22P02)"},
        {"lines in it", "SELECT CAST(E'x\\ncanary' AS bigint)",
         "invalid input syntax for type bigint: \" (22P02)"},
        {"quotes and lines", "SELECT CAST(E'x\"canary\\n\"' AS bigint)",
         "invalid input syntax for type bigint: \" (22P02)"},
        {"a range", "SELECT CAST('99999999999999999999' AS bigint)",
         "value \"\" is out of range for type bigint (22003)"},
        {"a time", "SELECT CAST('canary' AS timestamptz)",
         "invalid input syntax for type timestamp with time zone: \"\" (22007)"},
        {"a trigger's words", "DO $$ BEGIN RAISE EXCEPTION 'not \"canary\"'; END $$",
         "not \"\" (P0001)"},
        {"another language",
         "DO $$ BEGIN RAISE EXCEPTION 'Eingabe \xC2\xBB"
         "canary\xC2\xAB ist \"x\"' USING ERRCODE = '22P02'; END $$",
         "Eingabe  (22P02)"},
        {"a name is no value", "SELECT canary FROM pg_class",
         "column \"canary\" does not exist (42703)"},
    };
    CLEANUP(pg_close) Pg pg = {0};
    open_pg(&pg);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CHECK(!pg_script(&pg, rows[i].sql, &err));
        CHECK_STR(str_from(err.message), str_from(rows[i].said));
        check_usable(&pg);
    }
}

TEST(a_failed_transaction_says_why_it_failed)
{
    CLEANUP(pg_close) Pg pg = {0};
    Error err = {0};
    open_pg(&pg);
    // The first failure counts, not those that it causes.
    CHECK(!pg_script(&pg, "BEGIN; SELECT 1 / 0; SELECT 2", &err));
    CHECK_STR(str_from(err.message), STR("division by zero (22012)"));
    CHECK_INT(PQtransactionStatus(pg.connection), PQTRANS_INERROR);
    err = (Error){0};
    CHECK_OK(pg_script(&pg, "ROLLBACK", &err), &err);
    check_usable(&pg);
}

// --- COPY

#define ONE_BIGINT "\0\1\0\0\0\10\0\0\0\0\0\0\0\7"
#define HEAD       "PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"

TEST(a_copy_that_fails_leaves_a_connection)
{
    static const struct {
        const char *name;
        Str bytes;
        ErrorCode code;
        const char *said; // NULL = it goes in
    } rows[] = {
        {"one row", {HEAD ONE_BIGINT "\xff\xff", 35}, ERROR_NONE, NULL},
        {"no row", {HEAD "\xff\xff", 21}, ERROR_NONE, NULL},
        {"no signature", {"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff", 21}, ERROR_DATA, "22P04"},
        {"cut in a row", {HEAD "\0\1\0\0\0\10\0\0", 27}, ERROR_DATA, "22P04"},
        {"a field too many", {HEAD "\0\2\0\0\0\1\7\0\0\0\1\7\xff\xff", 33}, ERROR_DATA, "22P04"},
        {"a field of another size", {HEAD "\0\1\0\0\0\1\7\xff\xff", 28}, ERROR_DATA, "08P01"},
        {"a row that stands already",
         {HEAD ONE_BIGINT ONE_BIGINT "\xff\xff", 49},
         ERROR_CONFLICT,
         "23505"},
        {"a row without its key", {HEAD "\0\1\xff\xff\xff\xff\xff\xff", 27}, ERROR_DATA, "23502"},
    };
    CLEANUP(pg_close) Pg pg = {0};
    Error err = {0};
    open_pg(&pg);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        err = (Error){0};
        int64_t count = -1;
        CHECK_OK(pg_script(&pg, "CREATE TEMP TABLE t (id bigint PRIMARY KEY)", &err), &err);
        CHECK_OK(pg_copy_begin(&pg, "COPY t FROM STDIN WITH (FORMAT binary)", &err), &err);
        // Byte by byte: where the pieces end means nothing.
        for (size_t k = 0; k < rows[i].bytes.size; k++)
            CHECK_OK(pg_copy_put(&pg, str_slice(rows[i].bytes, k, 1), &err), &err);
        CHECK(pg_copy_end(&pg, &count, &err) == (rows[i].said == NULL));
        CHECK_INT(err.code, rows[i].code);
        if (rows[i].said == NULL)
            CHECK_INT(count, (int64_t)i == 0 ? 1 : 0);
        else
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].said));
        err = (Error){0};
        CHECK_OK(pg_script(&pg, "DROP TABLE t", &err), &err);
    }
    // Given up, or never begun, it leaves nothing either.
    CHECK_OK(pg_script(&pg, "CREATE TEMP TABLE t (id bigint)", &err), &err);
    CHECK_OK(pg_copy_begin(&pg, "COPY t FROM STDIN WITH (FORMAT binary)", &err), &err);
    CHECK_OK(pg_copy_put(&pg, (Str){HEAD ONE_BIGINT, 33}, &err), &err);
    pg_copy_abort(&pg);
    CHECK(!pg_copy_begin(&pg, "COPY nowhere FROM STDIN", &err));
    CHECK_INT(err.code, ERROR_JOB);
    err = (Error){0};
    CHECK_OK(pg_script(&pg, "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM t); END $$", &err), &err);
    check_usable(&pg);
}

// Nobody feeds a COPY that comes as a statement: it must not wait for ever.
TEST(a_copy_that_nobody_asked_for_is_refused)
{
    static const char *const rows[] = {"COPY pg_class TO STDOUT", "CREATE TEMP TABLE t (id int);"
                                                                  " COPY t FROM STDIN"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i]);
        CLEANUP(pg_close) Pg pg = {0};
        Error err = {0};
        open_pg(&pg);
        CHECK(!pg_script(&pg, rows[i], &err));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), STR("COPY is not possible here"));
        CHECK(!pg_is_open(&pg));
    }
}

// The server ends who holds a transaction open and says nothing: that is no fault of the job.
TEST(who_is_ended_by_the_server_may_try_again)
{
    static const struct {
        const char *name, *sql;
    } rows[] = {
        {"idle in a transaction", "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 1"},
        {"by an administrator", "SELECT 1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        CLEANUP(pg_close) Pg pg = {0};
        Error err = {0};
        open_pg(&pg);
        CHECK_OK(pg_script(&pg, rows[i].sql, &err), &err);
        char sql[SQL_BYTES];
        (void)snprintf(sql, sizeof(sql),
                       i == 0 ? "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity WHERE pid ="
                                " %d) LOOP PERFORM pg_stat_clear_snapshot(); END LOOP; END $$"
                              : "SELECT pg_terminate_backend(%d, 5000)",
                       PQbackendPID(pg.connection));
        cluster_sql("postgres", sql);
        CHECK(!pg_script(&pg, "SELECT 1", &err));
        CHECK_INT(err.code, ERROR_IO);
        CHECK(!pg_is_open(&pg));
    }
}
