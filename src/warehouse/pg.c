#include "warehouse/pg.h"

#include "base/fault.h"
#include "warehouse/pg_parameters.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_MS = 100, // how often a wait looks at env->stop
    CANCEL_TEXT_BYTES = 256,
    CANCEL_S = 1,
    SQLSTATE_SIZE = 5,
};

// --- errors

ErrorCode pg_error_code(const char *sqlstate)
{
    // The longest prefix that fits decides (PostgreSQL, appendix A).
    static const struct {
        const char *prefix;
        ErrorCode code;
    } rows[] = {
        {"42501", ERROR_ACCESS},    // insufficient_privilege
        {"28", ERROR_ACCESS},       // invalid authorization
        {"25006", ERROR_ACCESS},    // read_only_sql_transaction: a standby, or a query that writes
        {"3D000", ERROR_NOT_FOUND}, // no such database
        {"53300", ERROR_BUSY},      // too_many_connections
        {"57P03", ERROR_BUSY},      // cannot_connect_now
        {"55P03", ERROR_BUSY},      // lock_not_available
        {"55006", ERROR_BUSY},      // object_in_use
        {"57014", ERROR_BUSY},      // query_canceled, also by statement_timeout
        {"25P03", ERROR_IO},        // idle_in_transaction_session_timeout: the session is gone
        {"25P04", ERROR_BUSY},      // transaction_timeout (PostgreSQL 17)
        {"40003", ERROR_IO},        // statement_completion_unknown
        {"40", ERROR_CONFLICT},     // serialization_failure, deadlock_detected
        {"23505", ERROR_CONFLICT},  // unique_violation: somebody else wrote the key meanwhile
        {"08P01", ERROR_DATA},      // protocol_violation: a COPY whose fields are none
        {"22", ERROR_DATA},         {"23", ERROR_DATA}, {"21", ERROR_DATA},
        {"P0", ERROR_DATA},  // what a trigger of theirs raises
        {"53", ERROR_LIMIT}, // disk_full, out_of_memory
        {"54", ERROR_LIMIT},        {"0A", ERROR_JOB},  {"42", ERROR_JOB},
        {"2B", ERROR_JOB},          {"3F", ERROR_JOB},  {"25", ERROR_JOB},
        {"34", ERROR_JOB},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)) == 0)
            return rows[i].code;
    }
    return ERROR_IO;
}

static Str first_line(const char *text)
{
    const Str all = str_from(text);
    return str_trim(str_slice(all, 0, str_find_char(all, '\n')));
}

void pg_close(Pg *pg)
{
    if (pg->connection != NULL)
        PQfinish(pg->connection);
    pg->connection = NULL;
}

// The connection is of no use any more; libpq's own words say why.
static bool lost(Pg *pg, Error *err)
{
    const Str why = first_line(PQerrorMessage(pg->connection));
    (void)error_set(err, ERROR_IO, "the connection was lost: " STR_FMT, STR_ARG(why));
    pg_close(pg);
    return false;
}

// Gives the server `CANCEL_S` to hear that it should stop. PQcancel() waits for as long as it takes
// to be heard, which may be for ever where the server hangs; it may be called in a signal handler,
// and so in a process of its own. That one ends by its own alarm: should ours be killed meanwhile,
// nobody else would end it, and it has our locks open.
static void cancel_within(PGcancel *cancel)
{
    const pid_t child = fork();
    if (child == 0) {
        sigset_t alarms;
        char text[CANCEL_TEXT_BYTES];
        (void)sigemptyset(&alarms);
        (void)sigaddset(&alarms, SIGALRM);
        (void)signal(SIGALRM, SIG_DFL);
        (void)sigprocmask(SIG_UNBLOCK, &alarms, NULL);
        (void)alarm(CANCEL_S);
        _exit(PQcancel(cancel, text, sizeof(text)) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

// Stops what the server does for us.
static bool stop(Pg *pg, Error *err)
{
    PGcancel *cancel =
        PQstatus(pg->connection) == CONNECTION_OK ? PQgetCancel(pg->connection) : NULL;
    if (cancel != NULL)
        cancel_within(cancel);
    PQfreeCancel(cancel);
    pg_close(pg);
    return error_set(err, ERROR_STOPPED, "stopped");
}

// Of bad data the server quotes the value, which an error must not hold. The value may hold quotes
// and lines itself, so all goes from the first quote to the last; or to the end, where that is in
// another line, or where the server speaks a language that may have other quotes.
static void copy_message(Str message, const char *state,
                         char text[sizeof(((Error *)NULL)->message)])
{
    const bool hides = strncmp(state, "22", 2) == 0 || strncmp(state, "P0", 2) == 0;
    const Str line = str_slice(message, 0, str_find_char(message, '\n'));
    Str head = line;
    Str tail = {NULL, 0};
    size_t first = 0;
    while (first < line.size && line.data[first] != '"' && (unsigned char)line.data[first] < 0x80)
        first++;
    if (hides && first < line.size) {
        const bool is_quote = line.data[first] == '"';
        size_t last = line.size;
        while (last > first + 1 && line.data[last - 1] != '"')
            last--;
        head = str_slice(line, 0, first + (is_quote ? 1 : 0));
        if (is_quote && last > first + 1 && line.size == message.size)
            tail = str_slice(line, last - 1, line.size);
    }
    (void)snprintf(text, sizeof(((Error *)NULL)->message), STR_FMT STR_FMT, STR_ARG(head),
                   STR_ARG(tail));
}

// The far side has ended the connection. A pooler may have no translation of the word.
static bool is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity == NULL)
        severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    return severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

static bool refuse(Pg *pg, const PGresult *result, Error *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (PQstatus(pg->connection) == CONNECTION_BAD && state == NULL)
        return lost(pg, err);
    if (state == NULL)
        return error_set(err, ERROR_IO, STR_FMT, STR_ARG(first_line(PQresultErrorMessage(result))));
    char text[sizeof(err->message)];
    copy_message(str_from(message == NULL ? "" : message), state, text);
    // PgBouncer says "protocol violation" of a server that it lost, cannot reach, or has no
    // connection to; of a protocol that was violated nobody says it and hangs up.
    const bool lost_by_pooler = is_fatal(result) && strcmp(state, "08P01") == 0;
    (void)error_set(err, lost_by_pooler ? ERROR_IO : pg_error_code(state), "%s (%s)", text, state);
    if (is_fatal(result))
        pg_close(pg);
    return false;
}

// --- waiting

// Until the socket is ready for one of `events`, or a look at env->stop is due: *ret_events may be
// 0.
static bool wait_once(Pg *pg, short events, short *ret_events, Error *err)
{
    if (atomic_load(&pg->env->stop))
        return stop(pg, err);
    struct pollfd poll_one = {.fd = PQsocket(pg->connection), .events = events};
    errno = EIO;
    const int ready = fault_here() ? -1 : poll(&poll_one, 1, LOOK_MS);
    if (ready < 0 && errno != EINTR) {
        pg_close(pg);
        return error_set(err, ERROR_IO, "waiting for the server: %s", strerror(errno));
    }
    *ret_events = ready > 0 ? poll_one.revents : 0;
    return true;
}

static bool take_input(Pg *pg, Error *err)
{
    return PQconsumeInput(pg->connection) == 1 || lost(pg, err);
}

// Sends all that libpq holds, so that its buffer never holds more than what was put last. What
// comes meanwhile is read, or both sides might wait for each other.
static bool flush(Pg *pg, Error *err)
{
    for (;;) {
        const int left = PQflush(pg->connection);
        if (left == 0)
            return true;
        if (left < 0)
            return lost(pg, err);
        short events = 0;
        TRY(wait_once(pg, POLLIN | POLLOUT, &events, err));
        if ((events & POLLIN) != 0)
            TRY(take_input(pg, err));
    }
}

// The next result, which the caller clears; NULL = there is no more.
static bool next_result(Pg *pg, PGresult **ret_result, Error *err)
{
    while (PQisBusy(pg->connection) == 1) {
        short events = 0;
        TRY(wait_once(pg, POLLIN, &events, err));
        if (events != 0)
            TRY(take_input(pg, err));
    }
    *ret_result = PQgetResult(pg->connection);
    return true;
}

static void clear(PGresult **result)
{
    PQclear(*result); // NULL is fine
}

static bool is_failure(ExecStatusType status)
{
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

static bool is_copy(ExecStatusType status)
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

// Reads what is left, so that the connection takes the next statement; the first failure among it
// counts.
static bool drain(Pg *pg, Error *err)
{
    bool ok = true;
    for (;;) {
        CLEANUP(clear) PGresult *result = NULL;
        Error more = {0};
        if (!next_result(pg, &result, &more)) {
            if (ok)
                *err = more;
            return false;
        }
        if (result == NULL)
            return ok;
        const ExecStatusType status = PQresultStatus(result);
        if (is_copy(status)) {
            pg_close(pg); // nobody asked for it here, and it cannot be answered
            return error_set(err, ERROR_JOB, "COPY is not possible here");
        }
        if (!ok || !is_failure(status))
            continue;
        ok = refuse(pg, result, err);
        if (!pg_is_open(pg))
            return false;
    }
}

// After a failure: leaves the connection ready for ROLLBACK, if there still is one. False.
static bool settle(Pg *pg)
{
    Error more = {0};
    if (pg_is_open(pg))
        (void)!drain(pg, &more);
    return false;
}

// --- connecting

// "FATAL:  28P01: password ..." -> the code and what follows; libpq gives neither in another way.
static bool find_state(Str line, char state[SQLSTATE_SIZE + 1], Str *ret_text)
{
    for (size_t at = 0; at + SQLSTATE_SIZE + 4 < line.size; at++) {
        const char *c = line.data + at;
        if (c[0] != ' ' || c[1] != ' ' || c[2 + SQLSTATE_SIZE] != ':')
            continue;
        bool is_state = true;
        for (size_t i = 2; i < 2 + SQLSTATE_SIZE; i++)
            is_state = is_state && ((c[i] >= '0' && c[i] <= '9') || (c[i] >= 'A' && c[i] <= 'Z'));
        if (!is_state)
            continue;
        memcpy(state, c + 2, SQLSTATE_SIZE);
        state[SQLSTATE_SIZE] = '\0';
        *ret_text = str_trim(str_slice(line, at + SQLSTATE_SIZE + 3, line.size));
        return true;
    }
    return false;
}

// Where the server itself refused, its last word counts (of several hosts, or of a first try with
// TLS and a second without); else libpq's lines, which may end in advice.
static bool refuse_connection(Pg *pg, Error *err)
{
    Str rest = str_trim(str_from(PQerrorMessage(pg->connection)));
    Str text = {0};
    char state[SQLSTATE_SIZE + 1] = "";
    char lines[sizeof(err->message)] = "";
    size_t size = 0;
    bool found = false;
    while (rest.data != NULL) {
        const Str line = str_trim(str_split_next(&rest, '\n'));
        found = find_state(line, state, &text) || found;
        const int added = snprintf(lines + size, sizeof(lines) - size, "%s" STR_FMT,
                                   size > 0 ? "; " : "", STR_ARG(line));
        if (added > 0 && (size_t)added < sizeof(lines) - size)
            size += (size_t)added;
    }
    if (found && strcmp(state, "08P01") == 0) // a pooler that is full, or does not reach the server
        (void)error_set(err, ERROR_BUSY, STR_FMT " (%s)", STR_ARG(text), state);
    else if (found)
        (void)error_set(err, pg_error_code(state), STR_FMT " (%s)", STR_ARG(text), state);
    else if (PQconnectionNeedsPassword(pg->connection) == 1)
        (void)error_set(err, ERROR_ACCESS, "the server wants a password: give \"password\"");
    else
        (void)error_set(err, ERROR_IO, "%s", lines);
    pg_close(pg);
    return false;
}

static bool connect_now(Pg *pg, const PgOptions *options, Error *err)
{
    const int64_t deadline_us = pg->env->monotonic_us(pg->env->state) + options->timeout_us;
    PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
    while (wanted != PGRES_POLLING_OK) {
        if (wanted == PGRES_POLLING_FAILED)
            return refuse_connection(pg, err);
        if (pg->env->monotonic_us(pg->env->state) >= deadline_us) {
            pg_close(pg);
            return error_set(err, ERROR_IO, "the server did not answer within %lld s",
                             (long long)(options->timeout_us / INT64_C(1000000)));
        }
        short events = 0;
        TRY(wait_once(pg, wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT, &events, err));
        if (events != 0)
            wanted = PQconnectPoll(pg->connection);
    }
    return true;
}

static void ignore_notice(void *state, const PGresult *result)
{
    (void)state;
    (void)result;
}

bool pg_open(Pg *pg, Env *env, const PgOptions *options, Error *err)
{
    assert(pg->connection == NULL);
    *pg = (Pg){.env = env};
    // An encrypted key without sslpassword is refused; OpenSSL itself would ask the terminal and
    // wait.
    PQsetSSLKeyPassHook_OpenSSL(PQdefaultSSLKeyPassHook_OpenSSL);
    pg->connection = fault_here() ? NULL : PQconnectStartParams(options->names, options->values, 0);
    if (pg->connection == NULL)
        return error_set(err, ERROR_LIMIT, "out of memory for a connection");
    // With the codes, which alone tell a wrong password from a server that is full.
    (void)PQsetErrorVerbosity(pg->connection, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(pg->connection, ignore_notice, NULL);
    if (PQstatus(pg->connection) == CONNECTION_BAD)
        return refuse_connection(pg, err);
    TRY(connect_now(pg, options, err));
    (void)PQsetErrorVerbosity(pg->connection, PQERRORS_DEFAULT);
    if (PQserverVersion(pg->connection) < PG_SERVER_OLDEST) {
        const int version = PQserverVersion(pg->connection);
        pg_close(pg);
        return error_set(err, ERROR_JOB, "the server is PostgreSQL %d; %d or newer is needed",
                         version / 10000, PG_SERVER_OLDEST / 10000);
    }
    const char *encoding = PQparameterStatus(pg->connection, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "UTF8") != 0) {
        (void)error_set(err, ERROR_JOB, "the database is in %s; it must be in UTF8", encoding);
        pg_close(pg);
        return false;
    }
    if (PQsetnonblocking(pg->connection, 1) != 0)
        return lost(pg, err);
    return true;
}

// --- statements

static bool send_statement(Pg *pg, const PgStatement *statement, bool binary, Error *err)
{
    CLEANUP(pg_parameters_done) PgParameters parameters = {0};
    TRY(pg_parameters_gather(&parameters, statement, err));
    const char *values[PG_PARAMETERS_MAX];
    int sizes[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX];
    for (int i = 0; i < parameters.count; i++) {
        const char *start = parameters.bytes.data == NULL ? "" : parameters.bytes.data;
        values[i] = parameters.is_null[i] ? NULL : start + parameters.starts[i];
        sizes[i] = (int)(parameters.starts[i + 1] - parameters.starts[i]);
        formats[i] = 1;
    }
    if (PQsendQueryParams(pg->connection, statement->sql, parameters.count, parameters.types,
                          values, sizes, formats, binary ? 1 : 0) != 1)
        return lost(pg, err);
    return flush(pg, err);
}

bool pg_script(Pg *pg, const char *sql, Error *err)
{
    assert(pg_is_open(pg));
    if (PQsendQuery(pg->connection, sql) != 1)
        return lost(pg, err);
    return flush(pg, err) && drain(pg, err);
}

bool pg_run(Pg *pg, const PgStatement *statement, int64_t *ret_rows, Error *err)
{
    assert(pg_is_open(pg));
    CLEANUP(clear) PGresult *result = NULL;
    TRY(send_statement(pg, statement, true, err) && next_result(pg, &result, err));
    if (result == NULL)
        return lost(pg, err);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        (void)refuse(pg, result, err);
        return settle(pg);
    }
    int64_t rows = 0;
    (void)str_to_int64(str_from(PQcmdTuples(result)), &rows);
    TRY(drain(pg, err));
    if (ret_rows != NULL)
        *ret_rows = rows;
    return true;
}

static bool query(Pg *pg, const PgStatement *statement, bool binary, PgVisit *visit, void *visitor,
                  Error *err)
{
    assert(pg_is_open(pg));
    CLEANUP(clear) PGresult *result = NULL;
    TRY(send_statement(pg, statement, binary, err) && next_result(pg, &result, err));
    if (result == NULL)
        return lost(pg, err);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        const bool is_error = PQresultStatus(result) == PGRES_FATAL_ERROR;
        (void)(is_error ? refuse(pg, result, err)
                        : error_set(err, ERROR_JOB, "the statement gives no rows"));
        return settle(pg);
    }
    TRY(drain(pg, err));
    for (int row = 0; row < PQntuples(result); row++)
        TRY(visit(visitor, result, row, err));
    return true;
}

bool pg_query(Pg *pg, const PgStatement *statement, PgVisit *visit, void *visitor, Error *err)
{
    return query(pg, statement, true, visit, visitor, err);
}

bool pg_query_text(Pg *pg, const PgStatement *statement, PgVisit *visit, void *visitor, Error *err)
{
    return query(pg, statement, false, visit, visitor, err);
}

Str pg_get_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column) == 1)
        return (Str){NULL, 0};
    return (Str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

int64_t pg_get_int64(const PGresult *result, int row, int column)
{
    assert(PQgetlength(result, row, column) == sizeof(uint64_t));
    uint64_t big = 0;
    memcpy(&big, PQgetvalue(result, row, column), sizeof(big));
    return (int64_t)be64toh(big);
}

int64_t pg_get_time(const PGresult *result, int row, int column)
{
    const int64_t us = pg_get_int64(result, row, column);
    if (us > INT64_MAX - PG_EPOCH_US)
        return INT64_MAX;
    return us == INT64_MIN ? INT64_MIN : us + PG_EPOCH_US;
}

bool pg_get_bool(const PGresult *result, int row, int column)
{
    assert(PQgetlength(result, row, column) == 1);
    return PQgetvalue(result, row, column)[0] != 0;
}

void pg_get_key(const PGresult *result, int row, int column, Key128 *ret_key)
{
    assert(PQgetlength(result, row, column) == KEY_BYTES);
    memcpy(ret_key->bytes, PQgetvalue(result, row, column), KEY_BYTES);
}

// --- COPY

bool pg_copy_begin(Pg *pg, const char *sql, Error *err)
{
    assert(pg_is_open(pg));
    if (PQsendQuery(pg->connection, sql) != 1)
        return lost(pg, err);
    CLEANUP(clear) PGresult *result = NULL;
    TRY(flush(pg, err) && next_result(pg, &result, err));
    if (result == NULL)
        return lost(pg, err);
    if (PQresultStatus(result) == PGRES_COPY_IN)
        return true;
    (void)refuse(pg, result, err);
    return settle(pg);
}

bool pg_copy_put(Pg *pg, Str bytes, Error *err)
{
    assert(bytes.size <= INT32_MAX);
    if (PQputCopyData(pg->connection, bytes.data, (int)bytes.size) != 1)
        return lost(pg, err);
    return flush(pg, err);
}

bool pg_copy_end(Pg *pg, int64_t *ret_rows, Error *err)
{
    if (PQputCopyEnd(pg->connection, NULL) != 1)
        return lost(pg, err);
    CLEANUP(clear) PGresult *result = NULL;
    TRY(flush(pg, err) && next_result(pg, &result, err));
    if (result == NULL)
        return lost(pg, err);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        (void)refuse(pg, result, err);
        return settle(pg);
    }
    int64_t rows = 0;
    (void)str_to_int64(str_from(PQcmdTuples(result)), &rows);
    TRY(drain(pg, err));
    *ret_rows = rows;
    return true;
}

void pg_copy_abort(Pg *pg)
{
    if (!pg_is_open(pg))
        return;
    Error err = {0};
    if (PQputCopyEnd(pg->connection, "given up") != 1) {
        pg_close(pg);
        return;
    }
    // The server answers with the error that we asked for.
    if (flush(pg, &err))
        (void)!drain(pg, &err);
}
