// Landing: the pages as the API sent them, the first thing that is made safe, and what resume and
// replay read.
//
// Layout below the store's root (every name is ours; partitions appear as the first 16 hex digits
// of the SHA-256 of their key):
//   <job>/runs/<run>/run.json                                the run's plan, put before its first
//   request <job>/runs/<run>/<stream>/<partition>/<slice>/<page>.json.zst|.gz   one answer;
//   put-if-absent <job>/runs/<run>/<stream>/<partition>/<slice>/slice.json  the slice is whole
//   (counts, sizes, checksums, totals) <job>/runs/<run>/<stream>/loads/<ordinal>.json which slices
//   make up a load; fixed before staging <job>/runs/<run>/end.json the run is over
// A second reading of a slice in the same run (totals moved, deletions confirmed) is reading
// 2, 3...: a folder "<slice>.2".
#pragma once

#include "net/http.h"
#include "base/hash.h"
#include "store/store.h"

typedef struct Landing Landing;

typedef struct LandingOptions {
    Store *store;
    Str job;
    int compression; // zstd level for pages that came uncompressed; may be negative
} LandingOptions;

bool landing_open(const LandingOptions *options, Arena *arena, Landing **ret_landing,
                  Error *err) MUST_USE;
void landing_close(Landing *landing);

// One reading of one slice of one run.
typedef struct SliceName {
    Str run; // uuid
    Str stream;
    Str partition_key;
    uint32_t slice;   // ordinal in the run's plan, from 0
    uint32_t reading; // from 1
} SliceName;

typedef struct PageInfo {
    int64_t fetched_us; // when the request went out
    int64_t total;      // the source's own total as this page told it; -1 = it did not
    uint64_t body_bytes;
    uint64_t stored_bytes;
    int64_t records;    // selected in it; -1 = not counted
    Sha256 body_sha256; // of the decoded body
} PageInfo;

// Lands page `page` (from 0). `encoded` (with its encoding) is stored as received when it is given,
// else `body` is compressed. A page that is there already stays (put-if-absent): ERROR_CONFLICT.
// Not durable before landing_finish_slice(). The info travels inside the file (a skippable frame;
// an empty gzip member), so that a page speaks for itself.
bool landing_put_page(Landing *landing, const SliceName *name, uint32_t page, Str body, Str encoded,
                      HttpEncoding encoding, const PageInfo *info, uint64_t *ret_stored_bytes,
                      Error *err) MUST_USE;

// The decoded body and what was noted of it. ERROR_NOT_FOUND: not landed; ERROR_DATA: damaged
// (checksum).
bool landing_get_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                      Str *ret_body, PageInfo *ret_info, Error *err) MUST_USE;

typedef struct SliceManifest {
    int64_t from_us, to_us;          // the window; both 0 = none
    int64_t fetched_us;              // request time of the first page: the slice's reading time
    int64_t first_total, last_total; // -1 = the source told none
    bool totals_moved;               // not the same total on every page
    bool in_one_go;                  // read without a kill in between: fit for marking deletions
    int64_t records;
    int64_t distinct_keys;
    uint32_t page_count;
    PageInfo *pages;
} SliceManifest;

// Makes all pages of the slice durable, then puts its manifest: from then on the slice is whole.
// ERROR_CONFLICT when one is there.
bool landing_finish_slice(Landing *landing, const SliceName *name, const SliceManifest *manifest,
                          Error *err) MUST_USE;
// ERROR_NOT_FOUND: not whole (yet).
bool landing_get_slice(Landing *landing, const SliceName *name, Arena *arena,
                       SliceManifest *ret_manifest, Error *err) MUST_USE;

// Small JSON documents of a run: "run.json", "end.json", "<stream>/loads/000001.json". create:
// ERROR_CONFLICT when there.
bool landing_create_note(Landing *landing, Str run, Str name, Str json, Error *err) MUST_USE;
bool landing_put_note(Landing *landing, Str run, Str name, Str json, Error *err) MUST_USE;
bool landing_get_note(Landing *landing, Str run, Str name, Arena *arena, Str *ret_json,
                      Error *err) MUST_USE;

// Runs of this job, oldest first (ids are UUIDv7, so their order is their age).
bool landing_list_runs(Landing *landing, Arena *arena, Str **ret_runs, size_t *ret_count,
                       Error *err) MUST_USE;

// Removes pages of runs that ended before `before_us`; run.json, manifests and loads stay as a
// record. Counts what went.
bool landing_expire(Landing *landing, int64_t before_us, uint64_t *ret_files, uint64_t *ret_bytes,
                    Error *err) MUST_USE;
