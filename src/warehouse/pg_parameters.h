// PgParameters: what a statement is given, as the server reads it in binary.
#pragma once

#include "base/buf.h"
#include "warehouse/pg.h"

// 2000-01-01, from which PostgreSQL counts.
#define PG_EPOCH_US INT64_C(946684800000000)

// One behind the other in `bytes`. Starts as {0}.
typedef struct PgParameters {
    Buf bytes;
    int count;
    Oid types[PG_PARAMETERS_MAX];
    bool is_null[PG_PARAMETERS_MAX];
    size_t starts[PG_PARAMETERS_MAX + 1];
} PgParameters;

bool pg_parameters_gather(PgParameters *parameters, const PgStatement *statement,
                          Error *err) MUST_USE;
void pg_parameters_done(PgParameters *parameters); // for CLEANUP()
