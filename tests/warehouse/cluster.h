// Cluster: a PostgreSQL server of one test program's own, gone when the program is.
#pragma once

#include "rig.h"

// Starts it before the first test, so that all tests (each a process) share it.
#define CLUSTER()                                                          \
    __attribute__((constructor)) static void start_cluster_for_tests(void) \
    {                                                                      \
        cluster_start();                                                   \
    }

void cluster_start(void);
const char *cluster_folder(void); // of its socket and server.crt
int cluster_port(void);

// SQL as the server's owner in `database`; "postgres" is always there.
void cluster_sql(const char *database, const char *sql);

// Empties the database "postgres" and writes the members of a job's "warehouse" object that name it
// to `ret_options`. One test at a time.
enum { CLUSTER_OPTIONS_BYTES = 400 };
void cluster_fresh(char ret_options[CLUSTER_OPTIONS_BYTES]);
