// LogBook: rows for ETL_LOG on their way to the warehouse. They are written outside the loads'
// transactions, in batches; when the warehouse cannot take them they wait in the landing store
// (design.md, step 5).
#pragma once

#include "lake/landing.h"
#include "warehouse/warehouse.h"

typedef struct LogBook LogBook;

bool log_book_new(LogBook **ret_book, Error *err) MUST_USE;
void log_book_free(LogBook *book); // NULL is fine
void log_book_freep(LogBook **book);

// Copies the row. Lack of memory loses the row, counted, rather than the run.
void log_book_add(LogBook *book, const EtlLogRow *row);
size_t log_book_count(const LogBook *book);

// {"code":"IO","message":...} for error_json: messages name places, paths and types, never values.
bool log_book_error_json(LogBook *book, const Error *why, Str *ret_json, Error *err) MUST_USE;

bool log_book_write(LogBook *book, Warehouse *warehouse, Error *err) MUST_USE;

// Puts the rows as a note of `run` into the landing store, where the next run finds them.
bool log_book_keep(LogBook *book, Landing *landing, Str run, Env *env, Error *err) MUST_USE;
