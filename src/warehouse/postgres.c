// The PostgreSQL driver: options, connection, transactions, queries.
#include "warehouse/postgres_state.h"

#include "base/file.h"
#include "net/http.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const sslmodes[] = {"disable",   "allow",       "prefer", "require",
                                       "verify-ca", "verify-full", NULL};

// clang-format off
static const Field pg_warehouse_fields[] = {
    {"host",              FIELD_STR(PgWarehouse, host),                     .help = "server, or the folder of its socket; several parted by commas"},
    {"port",              FIELD_INT(PgWarehouse, port, 0, 65535),           .fallback = "0", .help = "0 = 5432, or what PGPORT says"},
    {"database",          FIELD_STR(PgWarehouse, database),                 .required = true, .help = "must be in UTF8"},
    {"user",              FIELD_STR(PgWarehouse, user),                     .help = "role; else PGUSER or who runs pawl"},
    {"password",          FIELD_SECRET(PgWarehouse, password),              .help = "from the environment or a file; else ~/.pgpass or a client certificate"},
    {"sslmode",           FIELD_CHOICE(PgWarehouse, sslmode, sslmodes),     .fallback = "require", .help = "verify-full also checks who the server is; a socket needs none"},
    {"sslrootcert",       FIELD_STR(PgWarehouse, sslrootcert),              .help = "certificates to trust, PEM; verify-ca and verify-full need it; system = what this machine trusts, for verify-full"},
    {"sslcert",           FIELD_STR(PgWarehouse, sslcert),                  .help = "client certificate, PEM"},
    {"sslkey",            FIELD_STR(PgWarehouse, sslkey),                   .help = "its key, readable by its owner only"},
    {"sslpassword",       FIELD_SECRET(PgWarehouse, sslpassword),           .help = "of that key"},
    {"schema",            FIELD_STR(PgWarehouse, schema),                   .fallback = "pawl", .help = "where the ledger, ETL_LOG and PIPELINE_HEALTH live"},
    {"lock_wait",         FIELD_DURATION(PgWarehouse, lock_wait_us),        .fallback = "PT30S", .help = "how long to wait for another writer, or for a server that starts or is full"},
    {"statement_timeout", FIELD_DURATION(PgWarehouse, statement_timeout_us), .fallback = "PT30M", .help = "longest a statement may take; PT0S = no limit of ours"},
    {"connect_timeout",   FIELD_DURATION(PgWarehouse, connect_timeout_us),  .fallback = "PT10S", .help = "longest that connecting to one server may take"},
    {0},
};
// clang-format on

enum {
    NUMBER_BYTES = 16,
    CONNECT_LOOK_US = 200 * 1000,
    CURSOR_ROWS = 1000, // of a query, held at once
    BOOL_OID = 16,
};

// libpq knows the word from version 16 on, and Debian 12 has an older one. Those whom the whole
// world trusts vouch for every name there is, so that one must be looked at.
static bool place_system_root(PgWarehouse *db, Error *err)
{
    const Str found = http_system_ca_file(db->env);
    if (strcmp(sslmodes[db->sslmode], "verify-full") != 0)
        return error_set(err, ERROR_JOB, "sslrootcert: 'system' needs sslmode 'verify-full'");
    if (found.size == 0)
        return error_set(err, ERROR_JOB,
                         "sslrootcert: where this system keeps its certificates is not known: give "
                         "the file");
    return arena_copy_str(db->lasting, found, &db->sslrootcert, err);
}

static bool place_file(PgWarehouse *db, Str *path, Error *err)
{
    Str full = {0};
    if (path->size == 0)
        return true;
    TRY(file_join(db->lasting, db->folder, *path, &full, err));
    return arena_copy_str(db->lasting, full, path, err);
}

static bool pg_warehouse_open(void *state, Env *env, Str base_folder, uint64_t memory_bytes,
                              Error *err)
{
    PgWarehouse *db = state;
    db->env = env;
    db->memory_bytes = memory_bytes;
    db->folder = base_folder;
    db->lasting = arena_new(PG_SCRATCH_BYTES_MAX, err);
    TRY(db->lasting != NULL);
    db->loading = arena_new(PG_SCRATCH_BYTES_MAX, err);
    TRY(db->loading != NULL);
    db->scratch = arena_new(PG_SCRATCH_BYTES_MAX, err);
    TRY(db->scratch != NULL);
    if (db->schema.size == 0 || db->schema.size > PG_NAME_BYTES_MAX)
        return error_set(err, ERROR_JOB, "schema '" STR_FMT "': a name of 1 to %d bytes",
                         STR_ARG(db->schema), PG_NAME_BYTES_MAX);
    const bool is_system = str_equal(db->sslrootcert, STR("system"));
    return (is_system ? place_system_root(db, err) : place_file(db, &db->sslrootcert, err)) &&
           place_file(db, &db->sslcert, err) && place_file(db, &db->sslkey, err);
}

static void pg_warehouse_close(void *state)
{
    PgWarehouse *db = state;
    if (db->load.spec != NULL)
        pg_warehouse_load_abort(db);
    pg_close(&db->pg);
    arena_free(db->scratch);
    arena_free(db->loading);
    arena_free(db->lasting);
    db->scratch = NULL;
    db->loading = NULL;
    db->lasting = NULL;
}

static bool pg_warehouse_idle(void *state, Error *err)
{
    (void)err;
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (!pg_is_open(&db->pg))
        return true;
    kill_point("warehouse close");
    pg_close(&db->pg);
    kill_point("warehouse closed");
    return true;
}

// --- connection

// `host` is one of db->host.
static bool connect_to(PgWarehouse *db, Str host, Error *err)
{
    enum { OPTIONS_MAX = 20 };
    char port[NUMBER_BYTES];
    (void)snprintf(port, sizeof(port), "%lld", (long long)db->port);
    const struct {
        const char *name;
        Str value;
    } rows[] = {
        {"host", host},
        {"port", db->port == 0 ? (Str){NULL, 0} : str_from(port)},
        {"dbname", db->database},
        {"user", db->user},
        {"password", db->password},
        {"sslmode", str_from(sslmodes[db->sslmode])},
        {"sslrootcert", db->sslrootcert},
        {"sslcert", db->sslcert},
        {"sslkey", db->sslkey},
        {"sslpassword", db->sslpassword},
        {"client_encoding", STR("UTF8")},
        {"application_name", STR("pawl")},
        {"target_session_attrs",
         str_find_char(db->host, ',') < db->host.size ? STR("read-write") : (Str){NULL, 0}},
        // A peer that is gone without a word is found out within a minute or so.
        {"keepalives_idle", STR("30")},
        {"keepalives_interval", STR("10")},
        {"keepalives_count", STR("3")},
        {"tcp_user_timeout", STR("60000")},
    };
    const char *names[OPTIONS_MAX + 1] = {NULL};
    const char *values[OPTIONS_MAX + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].value.size == 0)
            continue;
        assert(count < OPTIONS_MAX);
        names[count] = rows[i].name;
        values[count++] = rows[i].value.data; // ends in NUL: the job file's strings do
    }
    const PgOptions options = {names, values, db->connect_timeout_us};
    return pg_open(&db->pg, db->env, &options, err);
}

// Each host in its turn, with a time of its own: libpq goes through a list, too, but takes none off
// it that is gone without a word. Where one of them may come, it is waited for.
static bool connect_once(PgWarehouse *db, Error *err)
{
    if (str_find_char(db->host, ',') == db->host.size)
        return connect_to(db, db->host, err);
    CLEANUP(buf_done) Buf told = {0};
    bool may_come = false;
    for (Str rest = db->host; rest.data != NULL;) {
        Str host = {0};
        TRY(arena_copy_str(db->scratch, str_trim(str_split_next(&rest, ',')), &host, err));
        if (connect_to(db, host, err))
            return true;
        if (err->code != ERROR_IO && err->code != ERROR_BUSY)
            return false;
        may_come = may_come || err->code == ERROR_BUSY;
        Error more = {0};
        if (!buf_printf(&told, &more, "%s" STR_FMT ": %s", told.size > 0 ? "; " : "", STR_ARG(host),
                        err->message)) {
            *err = more;
            return false;
        }
        *err = (Error){0};
    }
    return error_set(err, may_come ? ERROR_BUSY : ERROR_IO, STR_FMT, STR_ARG(buf_str(&told)));
}

// --- transactions

// As the server counts: in milliseconds, of which none means no limit, and more than these it
// refuses.
static int64_t limit_ms(int64_t limit_us)
{
    const int64_t ms = limit_us / 1000 + (limit_us % 1000 > 0 ? 1 : 0);
    return ms < 1 ? 1 : ms < INT32_MAX ? ms : INT32_MAX;
}

int64_t pg_statement_limit_ms(const PgWarehouse *db)
{
    return db->statement_timeout_us == 0 ? 0 : limit_ms(db->statement_timeout_us);
}

// Everything that a pooler's session, a role or a database may have set otherwise and that we count
// on. A load that the server has and may lose again would be missed by nobody, so commits are
// synchronous; where the server can, large values are compressed by lz4, at a third of the CPU
// seconds. A client that vanishes with its machine must not hold its locks for hours.
static bool begin_sql(PgWarehouse *db, const char *access, Buf *sql, Error *err)
{
    TRY(buf_printf(sql, err,
                   "BEGIN ISOLATION LEVEL READ COMMITTED %s;"
                   "SET LOCAL TimeZone = 'UTC';"
                   "SET LOCAL DateStyle = 'ISO, YMD';"
                   "SET LOCAL IntervalStyle = 'postgres';"
                   "SET LOCAL extra_float_digits = 1;"
                   "SET LOCAL standard_conforming_strings = on;"
                   "SET LOCAL client_min_messages = warning;"
                   "SET LOCAL idle_in_transaction_session_timeout = %lld;"
                   "SET LOCAL cursor_tuple_fraction = 1;"
                   "SET LOCAL lock_timeout = %lld;"
                   "SET LOCAL statement_timeout = %lld;"
                   "SET LOCAL search_path = ",
                   access, (long long)(PG_IDLE_US / 1000), (long long)limit_ms(db->lock_wait_us),
                   (long long)pg_statement_limit_ms(db)));
    TRY(sql_name(sql, db->schema, err));
    TRY(buf_append(
        sql,
        STR(", public;"
            "SELECT set_config(name, CASE name WHEN 'synchronous_commit' THEN 'on' ELSE 'lz4' END,"
            " true) FROM pg_catalog.pg_settings WHERE (name = 'synchronous_commit' AND setting ="
            " 'off') OR (name = 'default_toast_compression' AND 'lz4' = ANY (enumvals))"),
        err));
    return buf_append_char(sql, '\0', err);
}

// Leaves no transaction open, whatever it takes.
static void roll_back(PgWarehouse *db)
{
    Error err = {0};
    if (!pg_is_open(&db->pg) || PQtransactionStatus(db->pg.connection) == PQTRANS_IDLE)
        return;
    const PGTransactionStatusType status = PQtransactionStatus(db->pg.connection);
    const bool ready = status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
    if (!ready || !pg_script(&db->pg, "ROLLBACK", &err))
        pg_close(&db->pg);
}

static bool take_standby(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(bool *)visitor = pg_get_bool(result, row, 0);
    return true;
}

// A standby refuses READ WRITE by a state that says no more than "not supported". It may be about
// to take over, or the name of the host to go over to another one.
static bool begin_once(PgWarehouse *db, const char *sql, Error *err)
{
    if (pg_script(&db->pg, sql, err))
        return true;
    roll_back(db);
    bool is_standby = false;
    Error ignored = {0};
    const PgStatement look = {.sql = "SELECT pg_is_in_recovery()"};
    if (err->code != ERROR_JOB || !pg_is_open(&db->pg) ||
        !pg_query(&db->pg, &look, take_standby, &is_standby, &ignored) || !is_standby)
        return false;
    pg_close(&db->pg);
    return error_set(
        err, ERROR_BUSY,
        "the server is a standby, which takes no rows: \"host\" must name the primary, "
        "or all servers, parted by commas");
}

// Servers that start, restart or have no slot free are waited for, as a lock is, and standbys that
// take over. One that refuses connections may be restarting only if it has answered before. A
// pooler takes the connection and tells of the server behind it when the transaction begins.
static bool begin_patiently(PgWarehouse *db, const char *sql, Error *err)
{
    const int64_t deadline_us = db->env->monotonic_us(db->env->state) + db->lock_wait_us;
    kill_point("warehouse open");
    while (!connect_once(db, err) || !begin_once(db, sql, err)) {
        const bool may_pass = err->code == ERROR_BUSY || (err->code == ERROR_IO && db->was_open);
        if (!may_pass || pg_is_open(&db->pg))
            return false;
        if (db->env->monotonic_us(db->env->state) >= deadline_us)
            return error_context(err, "waited %lld s",
                                 (long long)(db->lock_wait_us / INT64_C(1000000)));
        Error waiting = {0};
        if (!env_wait(db->env, CONNECT_LOOK_US, &waiting)) {
            *err = waiting;
            return false;
        }
        *err = (Error){0};
    }
    db->was_open = true;
    kill_point("warehouse opened");
    return true;
}

// A connection that was kept may have been cut meanwhile: then, once, by another one.
static bool begin(PgWarehouse *db, const char *access, Error *err)
{
    assert(db->load.spec == NULL);
    arena_reset(db->scratch);
    CLEANUP(buf_done) Buf sql = {0};
    TRY(begin_sql(db, access, &sql, err));
    if (pg_is_open(&db->pg)) {
        if (begin_once(db, sql.data, err))
            return true;
        if (pg_is_open(&db->pg) || (err->code != ERROR_IO && err->code != ERROR_BUSY))
            return false;
        *err = (Error){0};
    }
    return begin_patiently(db, sql.data, err);
}

bool pg_warehouse_begin(PgWarehouse *db, Error *err)
{
    if (db->load.spec != NULL) {
        arena_reset(db->scratch);
        return true;
    }
    return begin(db, "READ WRITE", err);
}

bool pg_warehouse_end(PgWarehouse *db, bool ok, Error *err)
{
    if (db->load.spec != NULL)
        return ok;
    if (ok && pg_script(&db->pg, "COMMIT", err))
        return true;
    roll_back(db);
    return false;
}

void pg_warehouse_load_abort(void *state)
{
    PgWarehouse *db = state;
    if (db->load.spec == NULL)
        return;
    roll_back(db);
    db->load = (PgWarehouseLoad){0};
}

bool pg_warehouse_own(PgWarehouse *db, const char *text, const char **ret_sql, Error *err)
{
    return sql_expand(db->scratch, text, db->schema, ret_sql, err);
}

bool pg_warehouse_run_own(PgWarehouse *db, PgStatement statement, int64_t *ret_rows, Error *err)
{
    TRY(pg_warehouse_own(db, statement.sql, &statement.sql, err));
    return pg_run(&db->pg, &statement, ret_rows, err);
}

bool pg_warehouse_query_own(PgWarehouse *db, PgStatement statement, PgVisit *visit, void *visitor,
                            Error *err)
{
    TRY(pg_warehouse_own(db, statement.sql, &statement.sql, err));
    return pg_query(&db->pg, &statement, visit, visitor, err);
}

bool pg_warehouse_run_buf(PgWarehouse *db, Buf *sql, Error *err)
{
    TRY(buf_append_char(sql, '\0', err));
    return pg_script(&db->pg, sql->data, err);
}

// An advisory lock of the transaction: a lock of the table itself would stop its readers or its
// vacuum. Another program that takes the same number only costs a wait.
bool pg_warehouse_lock(PgWarehouse *db, Str what, Error *err)
{
    const PgValue values[] = {pg_value_text(what)};
    const PgStatement statement = {
        .sql = "SELECT pg_advisory_xact_lock(hashtextextended('pawl ' || $1, 0))",
        .values = values,
        .value_count = 1};
    return pg_run(&db->pg, &statement, NULL, err) ||
           error_context(err, "waiting for who else writes " STR_FMT, STR_ARG(what));
}

// --- queries of people

typedef struct TextVisit {
    bool (*visit)(void *visitor, const Str *cells, size_t columns);
    void *visitor;
    Arena *arena;
    Str *cells;
    size_t rows; // of one FETCH
    bool stopped;
} TextVisit;

static bool visit_text(void *visitor, const PGresult *result, int row, Error *err)
{
    TextVisit *text = visitor;
    const int columns = PQnfields(result);
    if (text->cells == NULL)
        text->cells = arena_alloc_array(text->arena, (size_t)columns + 1, sizeof(Str), err);
    TRY(text->cells != NULL);
    text->rows++;
    if (text->stopped)
        return true;
    for (int i = 0; i < columns; i++) {
        Str cell = pg_get_text(result, row, i);
        // As every other warehouse writes it.
        if (cell.data != NULL && PQftype(result, i) == BOOL_OID)
            cell = cell.data[0] == 't' ? STR("true") : STR("false");
        text->cells[i] = cell;
    }
    text->stopped = !text->visit(text->visitor, text->cells, (size_t)columns);
    return true;
}

// A cursor takes nothing but a query, and one that only reads; and a few rows are held at a time.
static bool query_by_cursor(PgWarehouse *db, Str sql, TextVisit *texts, Error *err)
{
    Str declare = {0};
    char fetch[64];
    (void)snprintf(fetch, sizeof(fetch), "FETCH %d FROM pawl_rows", CURSOR_ROWS);
    TRY(arena_printf(db->scratch, &declare, err,
                     "DECLARE pawl_rows NO SCROLL CURSOR FOR " STR_FMT "\n", STR_ARG(sql)));
    TRY(pg_run(&db->pg, &(PgStatement){.sql = declare.data}, NULL, err));
    do {
        texts->rows = 0;
        TRY(pg_query_text(&db->pg, &(PgStatement){.sql = fetch}, visit_text, texts, err));
    } while (texts->rows == CURSOR_ROWS && !texts->stopped);
    return true;
}

static bool pg_warehouse_query(void *state, Str sql,
                               bool (*visit)(void *visitor, const Str *cells, size_t columns),
                               void *visitor, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(begin(db, "READ ONLY", err));
    TextVisit texts = {.visit = visit, .visitor = visitor, .arena = db->scratch};
    return pg_warehouse_end(db, query_by_cursor(db, sql, &texts, err), err);
}

static bool run_all(PgWarehouse *db, const Str *statements, size_t count, int64_t *ret_changed,
                    Error *err)
{
    for (size_t i = 0; i < count; i++) {
        int64_t changed = 0;
        TRY(pg_run(&db->pg, &(PgStatement){.sql = statements[i].data}, &changed, err));
        if (ret_changed != NULL)
            ret_changed[i] = changed;
    }
    return true;
}

static bool pg_warehouse_execute(void *state, const char *what, const Str *statements, size_t count,
                                 int64_t *ret_changed, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(pg_warehouse_begin(db, err));
    const bool ok = run_all(db, statements, count, ret_changed, err);
    kill_point("execute, %s", what);
    TRY(pg_warehouse_end(db, ok, err));
    kill_point("executed, %s", what);
    return true;
}

const WarehouseDriver warehouse_postgres = {
    .name = "postgres",
    .summary = "a PostgreSQL server, 15 or newer",
    .fields = pg_warehouse_fields,
    .state_size = sizeof(PgWarehouse),
    .open = pg_warehouse_open,
    .close = pg_warehouse_close,
    .idle = pg_warehouse_idle,
    .prepare = pg_warehouse_prepare,
    .create_views = pg_warehouse_create_views,
    .check = pg_warehouse_check,
    .promote = pg_warehouse_promote,
    .load_begin = pg_warehouse_load_begin,
    .load_match = pg_warehouse_load_match,
    .load_write = pg_warehouse_load_write,
    .load_write_quarantine = pg_warehouse_load_write_quarantine,
    .load_mark_deleted = pg_warehouse_load_mark_deleted,
    .load_commit = pg_warehouse_load_commit,
    .load_abort = pg_warehouse_load_abort,
    .window_keys = pg_warehouse_window_keys,
    .read_watermarks = pg_warehouse_read_watermarks,
    .read_slices = pg_warehouse_read_slices,
    .has_load = pg_warehouse_has_load,
    .set_watermark = pg_warehouse_set_watermark,
    .append_log = pg_warehouse_append_log,
    .query = pg_warehouse_query,
    .dialect = &sql_dialect_postgres,
    .execute = pg_warehouse_execute,
};
