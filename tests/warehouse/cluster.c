#include "cluster.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 400 };

static char folder[64];
static int port = 0;

static void be_cluster(int from_test, int to_test)
{
    (void)setsid(); // a test that is killed with its group must not take the server's keeper along
    CHECK(dup2(from_test, STDIN_FILENO) >= 0);
    CHECK(dup2(to_test, STDOUT_FILENO) >= 0);
    (void)execl("tests/harness/postgres_cluster", "postgres_cluster", folder, (char *)NULL);
    _exit(EXIT_FAILURE);
}

void cluster_start(void)
{
    int keep[2];
    int told[2];
    (void)snprintf(folder, sizeof(folder), "/tmp/pawl-pg-%d", (int)getpid());
    CHECK(pipe(keep) == 0);
    CHECK(pipe(told) == 0);
    // Whoever inherits the pipe's writing end keeps the server alive: the tests, nobody else.
    CHECK(fcntl(keep[1], F_SETFD, FD_CLOEXEC) == 0);
    CHECK(fcntl(told[0], F_SETFD, FD_CLOEXEC) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        be_cluster(keep[0], told[1]);
    (void)close(keep[0]);
    (void)close(told[1]);
    char line[LINE_BYTES] = "";
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < sizeof(line) - 1 && strchr(line, '\n') == NULL;) {
        got = read(told[0], line + size, sizeof(line) - 1 - size);
        size += got > 0 ? (size_t)got : 0;
        line[size] = '\0';
    }
    (void)close(told[0]);
    if (sscanf(line, "ready %d", &port) != 1) {
        (void)fprintf(stderr, "%s\n", line);
        exit(EXIT_FAILURE);
    }
}

const char *cluster_folder(void)
{
    return folder;
}

int cluster_port(void)
{
    return port;
}

static void quiet(void *state, const char *message)
{
    (void)state;
    (void)message;
}

void cluster_sql(const char *database, const char *sql)
{
    char where[LINE_BYTES];
    (void)snprintf(where, sizeof(where), "host=%s port=%d user=owner dbname=%s", folder, port,
                   database);
    PGconn *connection = PQconnectdb(where);
    (void)PQsetNoticeProcessor(connection, quiet, NULL);
    PGresult *result = PQexec(connection, sql);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        (void)fprintf(stderr, "%s: %s", sql, PQerrorMessage(connection));
    CHECK(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
    PQclear(result);
    PQfinish(connection);
}

void cluster_fresh(char ret_options[CLUSTER_OPTIONS_BYTES])
{
    cluster_sql("postgres", "DROP SCHEMA IF EXISTS main, shop CASCADE");
    (void)snprintf(ret_options, CLUSTER_OPTIONS_BYTES,
                   "\"host\": \"%s\", \"port\": %d, \"database\": \"postgres\","
                   " \"user\": \"owner\", \"schema\": \"main\"",
                   folder, port);
}
