// Values of _overflow, and whether each becomes one of a column of the type, for every place that
// promotes: the warehouses, the lake, and DuckDB's expressions alone.
#pragma once

#include "batch/batch.h"

typedef struct Promotable {
    Column column;
    const char *json;  // the member's value
    const char *value; // the column's, as text that a cast reads; NULL = it stays
} Promotable;

#define TO_INT64             \
    {                        \
        .type = COLUMN_INT64 \
    }
#define TO_DOUBLE             \
    {                         \
        .type = COLUMN_DOUBLE \
    }
#define TO_DECIMAL                                          \
    {                                                       \
        .type = COLUMN_DECIMAL, .precision = 10, .scale = 2 \
    }
#define TO_WHOLE                                           \
    {                                                      \
        .type = COLUMN_DECIMAL, .precision = 5, .scale = 0 \
    }
#define TO_BOOLEAN             \
    {                          \
        .type = COLUMN_BOOLEAN \
    }
#define TO_DATE             \
    {                       \
        .type = COLUMN_DATE \
    }
#define TO_TIMESTAMP             \
    {                            \
        .type = COLUMN_TIMESTAMP \
    }

// Those of one column follow each other.
static const Promotable promotable[] = {
    {TO_INT64, "12", "12"},
    {TO_INT64, "-9223372036854775808", "-9223372036854775808"},
    {TO_INT64, "\"0012\"", "12"},
    {TO_INT64, "12.7", NULL},
    {TO_INT64, "\"12.7\"", NULL},
    {TO_INT64, "\"9223372036854775808\"", NULL},
    {TO_INT64, "\"1_000\"", NULL},
    {TO_INT64, "\"1e2\"", NULL},
    {TO_INT64, "\"0x10\"", NULL},
    {TO_INT64, "\" 12\"", NULL},
    {TO_INT64, "\"\"", NULL},
    {TO_INT64, "true", NULL},
    {TO_INT64, "[12]", NULL},
    {TO_DOUBLE, "12.7", "12.7"},
    {TO_DOUBLE, "\"-1.5e2\"", "-150"},
    {TO_DOUBLE, "\"1e400\"", NULL},
    {TO_DOUBLE, "\"NaN\"", NULL},
    {TO_DOUBLE, "\"Infinity\"", NULL},
    {TO_DOUBLE, "\"0x10\"", NULL},
    {TO_DOUBLE, "\"1_000\"", NULL},
    {TO_DOUBLE, "\"12 s\"", NULL},
    {TO_DOUBLE, "true", NULL},
    {TO_DECIMAL, "1.25", "1.25"},
    {TO_DECIMAL, "-7", "-7"},
    {TO_DECIMAL, "\"1.2000\"", "1.2"},
    {TO_DECIMAL, "1.239", NULL},
    {TO_DECIMAL, "\"1.239\"", NULL},
    {TO_DECIMAL, "\"123456789\"", NULL},
    {TO_DECIMAL, "\"1e-1\"", NULL},
    {TO_DECIMAL, "\"NaN\"", NULL},
    {TO_DECIMAL, "true", NULL},
    {TO_WHOLE, "\"12.00\"", "12"},
    {TO_WHOLE, "12.5", NULL},
    {TO_BOOLEAN, "true", "true"},
    {TO_BOOLEAN, "\"false\"", "false"},
    {TO_BOOLEAN, "1", NULL},
    {TO_BOOLEAN, "\"1\"", NULL},
    {TO_BOOLEAN, "\"yes\"", NULL},
    {TO_BOOLEAN, "\"on\"", NULL},
    {TO_BOOLEAN, "\"t\"", NULL},
    {TO_BOOLEAN, "\"TRUE\"", NULL},
    {TO_DATE, "\"2025-05-01\"", "2025-05-01"},
    {TO_DATE, "\"2025-02-30\"", NULL},
    {TO_DATE, "\"0000-05-01\"", NULL},
    {TO_DATE, "\"2025-05-01T23:00:00Z\"", NULL},
    {TO_DATE, "1746093600", NULL},
    {TO_DATE, "\"20250501\"", NULL},
    {TO_DATE, "\"1746093600\"", NULL},
    {TO_DATE, "\"today\"", NULL},
    {TO_DATE, "\"infinity\"", NULL},
    {TO_TIMESTAMP, "\"2025-05-01T10:00:00Z\"", "2025-05-01 10:00:00+00:00"},
    {TO_TIMESTAMP, "\"2025-05-01T10:00:00.123456000+02:00\"", "2025-05-01 08:00:00.123456+00:00"},
    {TO_TIMESTAMP, "\"2025-05-01T10:00:00.1234567Z\"", NULL},
    {TO_TIMESTAMP, "\"2025-05-01T10:00:00\"", NULL},
    {TO_TIMESTAMP, "\"2025-05-01\"", NULL},
    {TO_TIMESTAMP, "\"2025-05-01T24:00:00Z\"", NULL},
    {TO_TIMESTAMP, "\"2025-05-01T10:00:60Z\"", NULL},
    {TO_TIMESTAMP, "1746093600", NULL},
    {TO_TIMESTAMP, "\"1746093600\"", NULL},
    {TO_TIMESTAMP, "\"now\"", NULL},
};

enum { PROMOTABLES = sizeof(promotable) / sizeof(promotable[0]) };

// How many of them, from `first` on, are of its column.
static inline size_t promotable_count(size_t first)
{
    size_t count = 0;
    while (first + count < PROMOTABLES &&
           promotable[first + count].column.type == promotable[first].column.type &&
           promotable[first + count].column.scale == promotable[first].column.scale)
        count++;
    return count;
}
