// Reader: reads slices for somebody else than a warehouse: a Python process, an executor of Spark.
//
// Its slices may be any part of a run's plan (slice_rows.h). Many are read at once over the job's
// connections, by the same code as a run's: a thread of its own sends the requests, everything else
// happens in the calls of its owner. A Reader belongs to one thread at a time.
#pragma once

#include "run/run.h"
#include "run/slice_rows.h"

typedef enum ReaderWay {
    READER_PASSING, // rows as the API tells them; nothing is kept
    READER_LANDING, // pages go to the landing store until the slice is whole; a report of each
                    // slice
    READER_LANDED,  // rows of whole slices, from the landing store; nothing is asked
} ReaderWay;

typedef struct ReaderOptions {
    const Job *job;
    Env *env;
    Arena *arena; // outlives the reader
    ReaderWay way;
    Str stream;       // whose rows; empty = that of the slices. READER_LANDING: empty = all
    int64_t siblings; // how many readers begin at about the same time, this one included: until it
                      // has seen the others it takes no more than its part of the rate. 0 = 1
} ReaderOptions;

typedef struct Reader Reader;

// `rows` must be of one run and mode, and stay. What is wrong with files is ERROR_JOB.
bool reader_open(const ReaderOptions *options, const SliceRow *rows, size_t count,
                 Reader **ret_reader, Error *err) MUST_USE;
void reader_close(Reader *reader); // NULL is fine

// The stream whose rows come. Only where one stream is read.
const PlanStream *reader_stream(const Reader *reader);

// PASSING and LANDED: the next rows, freed by the receiver; NULL = all were read. A slice that
// fails ends it: with PASSING the order is that in which answers come, with LANDED that of `rows`.
bool reader_next_batch(Reader *reader, ShapedBatch **ret_batch, Error *err) MUST_USE;

// How the reading of one slice ended.
typedef struct SliceReport {
    Str stream, value;
    int64_t slice, reading;
    bool whole;     // it is in the landing store, all of it, and agrees with the source's total
    bool shows_all; // and can prove that a row is gone
    bool in_one_go;
    int64_t records, keys, quarantined, total, pages, bytes, requests, retries;
    int64_t waited_us, fetched_us, started_us, ended_us;
    Str error; // why it is not whole: name of the code, then the message; empty = it is
} SliceReport;

// LANDING: the next slice that ended; *ret_more = false: all have. A partition that fails alone is
// a report, and its later slices are not asked for; everything else is an error. The report lives
// until the next call.
bool reader_next_report(Reader *reader, SliceReport *ret_report, bool *ret_more,
                        Error *err) MUST_USE;
