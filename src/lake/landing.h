// Landing: the pages as the API sent them, the first thing that is made safe, and what resume and
// replay read.
//
// Layout below the store's root (every name is ours; partitions appear as the first 16 hex digits
// of the SHA-256 of their key; bytes of a job's or stream's name outside [A-Za-z0-9_-] as %XX):
//
//   <job>/runs/<run>/run.json                          the run's plan, put before its first request
//   <job>/runs/<run>/<stream>/<partition>/<slice>/<page>.json.zst | .json.gz
//                                                      one answer; put-if-absent
//   <job>/runs/<run>/<stream>/<partition>/<slice>/slice.json
//                                                      the slice is whole: counts, checksums,
//                                                      totals
//   <job>/runs/<run>/<stream>/<partition>/<slice>/rows.bin
//                                                      keys and hashes of its rows (known_rows.h)
//   <job>/runs/<run>/<stream>/loads/<ordinal>.json     the slices of a load; fixed before staging
//   <job>/runs/<run>/end.json                          the run is over
//   <job>/runs/<run>/expired.json                      its pages were removed
//   <job>/pages.json                                   what was landed, by content (known_pages.h)
//
// <slice> has 8 digits and <page> 6. A second reading of a slice in the same run (totals moved,
// deletions confirmed) is reading 2, 3...: a folder "<slice>.2".
//
// Damage (a flipped bit, a missing end) is ERROR_DATA that names the file. But a page of a slice
// that is not whole was promised to nobody, and a crash of the machine may have torn it: such a
// page counts as not landed, and landing it again replaces it.
//
// A Landing belongs to one thread at a time; several on one root are fine, each with its own Store.
// Kill points: "page put", "note put", "slice manifest put", "page remove", each also as "... was
// put"
// ("was removed"), with the stream, the first 4 digits of the partition, slice, reading and page,
// or the note's name, behind a comma: "page put, calls 1f0c slice 3 reading 1 page 2".
#pragma once

#include "base/hash.h"
#include "lake/known_rows.h"
#include "net/http.h"
#include "store/store.h"

enum {
    LANDING_NAME_BYTES_MAX = 200, // of a job, run or stream
    LANDING_KEY_BYTES_MAX = 1000, // of a partition
    LANDING_NOTE_BYTES_MAX = 64 * 1024 * 1024,
    LANDING_BODY_BYTES_MAX = 1024 * 1024 * 1024,
    LANDING_COMPRESSION =
        1, // a good LandingOptions.compression: as fast as -3 on JSON pages and 30 % smaller
};

typedef struct Landing Landing;

typedef struct LandingOptions {
    Store *store;    // borrowed
    Str job;         // copied
    int compression; // zstd level for pages that came uncompressed; may be negative
} LandingOptions;

// The Landing lives in `arena`; landing_close() frees what the arena cannot.
bool landing_open(const LandingOptions *options, Arena *arena, Landing **ret_landing,
                  Error *err) MUST_USE;
void landing_close(Landing *landing);   // NULL is fine
void landing_closep(Landing **landing); // for CLEANUP()

// One reading of one slice of one run.
typedef struct SliceName {
    Str run; // uuid
    Str stream;
    Str partition_key; // UTF-8
    uint32_t slice;    // ordinal in the run's plan, from 0
    uint32_t reading;  // from 1
} SliceName;

typedef struct PageInfo {
    int64_t fetched_us; // when the request went out
    int64_t total;      // the source's own total as this page told it; -1 = it did not
    int64_t records;    // selected in it; -1 = not counted
    // Filled in by landing_put_page().
    uint64_t body_bytes;
    uint64_t stored_bytes;
    Sha256 page_sha256; // of the page as it is stored, compressed
    Key128 body_hash;   // content_hash() of a body that came uncompressed, else 0; not kept
} PageInfo;

// From now on only pages of runs that began in this process are landed: none of them can lie there
// already with the other compression, so that landing_put_page() need not ask.
void landing_expect_nothing(Landing *landing);

// From now on a page that `known` (borrowed) knows is stored as it was compressed then.
typedef struct KnownPages KnownPages;
void landing_use_known(Landing *landing, const KnownPages *known);

// The folder and number under which the page put last had been landed before this run; false where
// that is not known.
bool landing_was_known(const Landing *landing, Str *ret_folder, uint32_t *ret_page);

// Rows beside the pages of a slice: known_rows.h says what for. A folder is one that
// landing_was_known() gave; what is found is valid until another folder is asked for.
bool landing_put_rows(Landing *landing, const SliceName *name, const KnownRows *rows,
                      Error *err) MUST_USE;
bool landing_find_rows(Landing *landing, Str folder, const KnownRows **ret_rows);

typedef struct PageBody {
    Str plain;
    Str encoded; // as received; empty = it came uncompressed
    HttpEncoding encoding;
} PageBody;

// Lands page `page` (from 0): as received when it came compressed, else compressed here. A page
// that is there already stays (put-if-absent): ERROR_CONFLICT, and landing_get_page() tells what it
// is. Durable only after landing_finish_slice(). The info travels inside the file (a skippable
// frame; an empty gzip member), so that a page speaks for itself and `zstd -dc` and `zcat` still
// print it.
bool landing_put_page(Landing *landing, const SliceName *name, uint32_t page, const PageBody *body,
                      PageInfo *info, Error *err) MUST_USE;

// The decoded body and what was noted of it. ERROR_NOT_FOUND: not landed (or expired).
bool landing_get_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                      Str *ret_body, PageInfo *ret_info, Error *err) MUST_USE;

typedef struct OldestPage {
    Str body;
    PageInfo info;
    bool twice; // it stands twice: a rewrite was killed
} OldestPage;

// Erasure: the same, but damage is ERROR_DATA also in a slice that is not whole, and of a page that
// stands twice it is the older one.
bool landing_get_oldest_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                             OldestPage *ret_page, Error *err) MUST_USE;
// Ends that, durably: the older file goes, unless the newer one cannot be read.
bool landing_keep_newest_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                              PageInfo *ret_info, Error *err) MUST_USE;

// Erasure: replaces a page that is landed, at once and durably. ERROR_NOT_FOUND where none is.
bool landing_rewrite_page(Landing *landing, const SliceName *name, uint32_t page, Str body,
                          PageInfo *info, Error *err) MUST_USE;

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

// Makes all pages of the slice durable, whichever process landed them, then puts its manifest,
// durable as well: from then on the slice is whole, and it stays so. ERROR_CONFLICT when a manifest
// is there; ERROR_NOT_FOUND or ERROR_DATA when a page of the manifest is not landed or has another
// size.
bool landing_finish_slice(Landing *landing, const SliceName *name, const SliceManifest *manifest,
                          Error *err) MUST_USE;

// The same for many slices of one job at once, which costs far less than one by one. Stops at the
// first error: some may then be whole.
bool landing_finish_slices(Landing *landing, const SliceName *names, const SliceManifest *manifests,
                           size_t count, Error *err) MUST_USE;

// Erasure: replaces the manifest of a whole slice, whose pages were rewritten.
bool landing_rewrite_slice(Landing *landing, const SliceName *name, const SliceManifest *manifest,
                           Error *err) MUST_USE;

// ERROR_NOT_FOUND: not whole (yet).
bool landing_get_slice(Landing *landing, const SliceName *name, Arena *arena,
                       SliceManifest *ret_manifest, Error *err) MUST_USE;

// Small JSON documents of a run: "run.json", "end.json", "<stream>/loads/000001.json"; durable at
// once. create: ERROR_CONFLICT when there. A note is kept with its checksum, and read back byte for
// byte.
bool landing_create_note(Landing *landing, Str run, Str name, Str json, Error *err) MUST_USE;
bool landing_put_note(Landing *landing, Str run, Str name, Str json, Error *err) MUST_USE;
bool landing_get_note(Landing *landing, Str run, Str name, Arena *arena, Str *ret_json,
                      Error *err) MUST_USE;
// Likewise, where a note that is not there is no error.
bool landing_find_note(Landing *landing, Str run, Str name, Arena *arena, Str *ret_json,
                       bool *ret_there, Error *err) MUST_USE;

// Runs of this job, oldest first (ids are UUIDv7, so their order is their age).
bool landing_list_runs(Landing *landing, Arena *arena, Str **ret_runs, size_t *ret_count,
                       Error *err) MUST_USE;

typedef struct LandedSlice {
    SliceName name;
    const SliceManifest *manifest; // NULL: not whole; its pages are what was landed so far
    uint32_t pages_found;          // page files that lie there; 0 after they expired
    uint32_t page_end;             // one behind the highest page of them: there may be gaps
    bool unknown; // not whole, and none of its pages can be read: nobody knows of which partition
                  // it is; the name has no partition_key
} LandedSlice;
// False, with `err`, ends the visit. What it is shown is valid during its visit only.
typedef bool LandingVisit(void *visitor, const LandedSlice *slice, Error *err);

// Visits what was landed of a run: of `stream`, or of all streams when that is empty; ordered by
// stream, partition (its hash), slice and reading.
bool landing_visit_slices(Landing *landing, Str run, Str stream, LandingVisit *visit, void *visitor,
                          Error *err) MUST_USE;

// Removes the pages of runs that were last written to before `before_us`, whether they came to an
// end or were given up; notes and manifests stay as a record. Counts what went. Stops when
// env->stop is set.
bool landing_expire(Landing *landing, int64_t before_us, uint64_t *ret_files, uint64_t *ret_bytes,
                    Error *err) MUST_USE;
