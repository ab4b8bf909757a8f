// LogBook: rows for ETL_LOG on their way to the warehouse. They are written outside the loads'
// transactions, in batches; when the warehouse cannot take them they wait in the landing store.
#pragma once

#include "store/store.h"
#include "warehouse/warehouse.h"

typedef struct LogBook LogBook;

// For initialisers of EtlLogRow: numbers that do not apply.
#define ETL_LOG_NONE                                                                      \
    .slice = -1, .load = -1, .rows_in = -1, .rows_landed = -1, .rows_inserted = -1,       \
    .rows_updated = -1, .rows_unchanged = -1, .rows_deleted = -1, .rows_quarantined = -1, \
    .rows_overflowed = -1, .bytes = -1, .requests = -1, .attempts = -1, .wait_us = -1,    \
    .started_us = -1, .duration_us = -1

bool log_book_new(LogBook **ret_book, Error *err) MUST_USE;
void log_book_free(LogBook *book); // NULL is fine
void log_book_freep(LogBook **book);

// Copies the row. Lack of memory loses the row, counted, rather than the run.
void log_book_add(LogBook *book, const EtlLogRow *row);
size_t log_book_count(const LogBook *book);

// {"code":"IO","message":...} for error_json: messages name places, paths and types, never values.
bool log_book_error_json(LogBook *book, const Error *why, Str *ret_json, Error *err) MUST_USE;

bool log_book_write(LogBook *book, Warehouse *warehouse, Error *err) MUST_USE;

// Puts the rows into the landing store ("<job>/etl_log/<time>-<run>.json"), where the next run
// finds them.
bool log_book_keep(LogBook *book, Store *store, Str job, Str run, Env *env, Error *err) MUST_USE;

enum { LOG_BOOK_BATCH_ROWS = 20000 };

// Writes the book's rows and those that were kept, so many files at once as bring `batch_rows`,
// which then go out of the store; in one statement where they are no more. For warehouses where a
// statement costs. A kill in between may write those of one batch twice, as below.
bool log_book_write_all(LogBook *book, Store *store, Str job, Warehouse *warehouse,
                        size_t batch_rows, Error *err) MUST_USE;

// Writes rows that were kept and takes them out of the store, file by file. A kill in between may
// write those of one file twice: a log that says so again is better than one that lost it.
bool log_book_deliver(Store *store, Str job, Warehouse *warehouse, Error *err) MUST_USE;
