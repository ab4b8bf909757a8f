// The insides of foreign.h, for src/run/foreign*.c only: the SQL by which a table is read.
#pragma once

#include "run/foreign.h"

// Up to this many keys are looked for at once.
enum { FOREIGN_KEYS_A_QUERY = 400 };

// The rows of a window and of a day around it; numbers the columns' cells.
bool foreign_write_query(const Foreign *foreign, const ForeignWindow *window, Buf *sql,
                         Error *err) MUST_USE;
// The rows that may have one of these keys, and some more.
bool foreign_write_key_query(const Foreign *foreign, const ForeignWindow *window,
                             const ForeignKey *keys, size_t count, Buf *sql, Error *err) MUST_USE;
// The time by which windows are cut, as SQL; `sql` gets "", where there is none.
bool foreign_write_time(const Foreign *foreign, Buf *sql, Error *err) MUST_USE;
// " AND ...": it may be a time of 1973 or later.
bool foreign_append_plausible(const Foreign *foreign, Str time, Buf *sql, Error *err) MUST_USE;
// The text of a contract's column within the record (FOREIGN_RECORDS): its first path that has one.
bool foreign_record_text(const Foreign *foreign, Str column, Buf *out, Error *err) MUST_USE;
// " AND ..." for each partition column that the table has.
bool foreign_append_partition(const Foreign *foreign, const PlanSlice *slice, Buf *sql,
                              Error *err) MUST_USE;
