// Connector: how to read one API, as an Airbyte low-code manifest says. No I/O: it says what to ask
// and understands what came back; who sends the requests, and when, is somebody else's business. So
// the same code serves `pawl run` with many slices at once, `pawl source read`, and the tests.
//
// A Connector and its Streams are immutable after connector_open() and may be shared by threads. A
// PageReader belongs to one thread at a time. An Auth belongs to the thread that sends requests.
#pragma once

#include "base/env.h"
#include "base/findings.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/time.h"
#include "net/http.h"

typedef struct Connector Connector;
typedef struct Stream Stream;
typedef struct Auth Auth;
typedef struct PageReader PageReader;

// Loads the manifest, checks it as a whole (every fault at once, with file and line) and binds it
// to `config` (an object; its strings may be secrets). `config` must outlive the connector.
bool connector_open(const char *manifest_path, yyjson_val *config, Env *env, Arena *arena,
                    Findings *findings, Connector **ret_connector, Error *err) MUST_USE;

typedef struct ManifestText {
    Str name; // in messages
    Str bytes;
} ManifestText;

bool connector_open_bytes(ManifestText manifest, yyjson_val *config, Env *env, Arena *arena,
                          Findings *findings, Connector **ret_connector, Error *err) MUST_USE;

size_t connector_stream_count(const Connector *connector);
const Stream *connector_stream(const Connector *connector, size_t index);
// ERROR_JOB names the nearest stream.
bool connector_find_stream(const Connector *connector, Str name, const Stream **ret_stream,
                           Error *err) MUST_USE;
Str stream_name(const Stream *stream);
// Of the manifest and the config that it is bound to: while it stays, so does what becomes of a
// page (PageOutcome.repeats).
Key128 stream_digest(const Stream *stream);
// Whether each page is one JSON document in UTF-8, packed or not: then it can be written anew from
// PageOutcome.doc, and be understood again.
bool stream_is_plain_json(const Stream *stream);
// True when the stream can be read. ERROR_JOB says what of the manifest pawl does not speak yet, or
// what does not fit the config: that concerns only who uses the stream, so opening did not fail.
bool stream_check(const Stream *stream, Error *err) MUST_USE;

// What the manifest says of itself, as members of the Airbyte protocol's SPEC and CATALOG messages.
// Needs no config; a manifest without a spec is ERROR_JOB.
bool connector_write_spec(const char *manifest_path, Arena *arena, Findings *findings, Buf *out,
                          Error *err) MUST_USE;
bool stream_write_catalog(const Stream *stream, Arena *arena, Buf *out, Error *err) MUST_USE;
// The streams that tell whether the connection works; in `arena`.
bool connector_checked_streams(const Connector *connector, Arena *arena,
                               const Stream ***ret_streams, size_t *ret_count, Error *err) MUST_USE;

// Where a stream's partitions come from.
const Stream *
stream_parent(const Stream *stream);              // NULL = none: the stream has one partition, "{}"
Str stream_partition_field(const Stream *stream); // "account_id"

// One partition: its fields as canonical JSON ({"account_id":17,"parent_slice":{}}), which is also
// its name in the ledger, and the values that templates see.
typedef struct Partition {
    Str key;
    yyjson_val *fields;
    yyjson_val *extra; // what templates may also see of the parent's record (extra_fields); NULL =
                       // nothing. Not part of the key, so a partition made from its key lacks it
} Partition;

// Makes the partition of `stream` that a record of its parent stands for. *ret_ok = false when the
// record lacks the parent key.
bool stream_partition_from_record(const Stream *stream, const Partition *parent_partition,
                                  yyjson_val *record, Arena *arena, Partition *ret_partition,
                                  bool *ret_ok, Error *err) MUST_USE;
// The inverse, for resuming: from a key as it was persisted.
bool stream_partition_from_key(const Stream *stream, Str key, Arena *arena,
                               Partition *ret_partition, Error *err) MUST_USE;

// The cursor as far as the pipeline needs it. Windows are closed dates/instants [from, to].
typedef struct CursorInfo {
    bool exists; // false: the stream has no date window; one slice reads all
    Str field;
    Duration step;        // how much one slice spans; zero = everything
    Duration granularity; // the distance from one window's end to the next one's start
} CursorInfo;
CursorInfo stream_cursor(const Stream *stream);

// A date window as instants; the manifest's format decides how it is written. Whole days are given
// as midnight to midnight of the last day, UTC, whatever the account's zone: the API reads dates in
// its own zone.
typedef struct Window {
    int64_t from_us;
    int64_t to_us;
    int32_t offset_seconds; // east of UTC, in which the manifest's formats write them; mostly 0
} Window;

// One unit of asking. `window` may be NULL when the stream has no cursor. Borrowed by the reader.
bool page_reader_new(const Stream *stream, const Partition *partition, const Window *window,
                     Arena *arena, PageReader **ret_reader, Error *err) MUST_USE;
void page_reader_free(PageReader *reader);   // gives back what the arena does not own; NULL is fine
void page_reader_freep(PageReader **reader); // for CLEANUP()

// The next request of the slice, without credentials (auth_apply adds them). *ret_more = false: the
// slice is read. Strings live in `arena`, which must live until the answer was understood.
bool page_reader_request(PageReader *reader, Arena *arena, HttpRequest *ret_request, bool *ret_more,
                         Error *err) MUST_USE;

typedef enum PageVerdict {
    PAGE_RECORDS,  // records (maybe none) follow; ask page_reader_request() for the next page
    PAGE_RETRY,    // ask the same request again after wait_us
    PAGE_LIMITED,  // the same, and the far side said "too many": tell the rate budget
    PAGE_IGNORED,  // the manifest says to pass over it: the slice ends here, without records
    PAGE_FAILED,   // no retry can help; `reason` says why
    PAGE_DENIED,   // 401 or 403: the credential, or its right to this partition
    PAGE_REDIRECT, // ask page_reader_request() again: it names another address; nothing to keep
} PageVerdict;

typedef struct PageOutcome {
    PageVerdict verdict;
    int64_t wait_us; // for RETRY and LIMITED: as the manifest's backoff says; -1 = it does not say
    bool wait_is_asked;    // by the answer, in a header that the manifest names
    bool wait_is_too_long; // for the manifest (max_waiting_time_in_seconds): it is not to be waited
    int64_t attempt;       // how often this request was answered, this answer included
    int64_t attempts_max;  // the manifest's bound; a caller with a policy of its own ignores it
    Str reason;            // never holds values of records; lives in the page's arena
    yyjson_doc *doc;       // the parsed body, in the page's arena; NULL when there was none
    yyjson_val **records;  // selected, filtered, transformed
    size_t record_count;
    bool repeats; // the same page gives the same records at any other time (stream_digest())
} PageOutcome;

// Understands the answer to the last request. Everything in the outcome lives in `page_arena`,
// which also must outlive the next page_reader_request(). Used on a landed page too: that is how a
// killed run finds its place again.
bool page_reader_answer(PageReader *reader, const HttpResponse *response, Arena *page_arena,
                        PageOutcome *ret_outcome, Error *err) MUST_USE;

// Streams with equal ids may share one Auth: same authenticator, same origin.
size_t stream_auth_id(const Stream *stream);

// Credentials of one stream's requester.
bool connector_auth(const Connector *connector, const Stream *stream, Arena *arena, Auth **ret_auth,
                    Error *err) MUST_USE;
bool auth_is_none(const Auth *auth); // requests go out without any credential
void auth_free(Auth *auth);          // wipes tokens; NULL is fine

typedef enum AuthStep {
    AUTH_READY,     // `request` now carries the credential
    AUTH_NEED_TOKEN // send `ret_token_request` first, give its answer to auth_answer(), then apply
                    // again
} AuthStep;

// Adds the credential to `request` (headers, query or body). Never to another origin than the one
// the manifest names: then the request goes without. Strings live in `arena`.
bool auth_apply(Auth *auth, HttpRequest *request, Arena *arena, HttpRequest *ret_token_request,
                AuthStep *ret_step, Error *err) MUST_USE;
bool auth_answer(Auth *auth, const HttpResponse *response, Error *err) MUST_USE;
void auth_expire(Auth *auth); // a 401 came for a token that looked good: get a new one next time
// The config as it is by now: secrets in it were rotated. For this credential alone, as long as it
// lives; `config` stays until then, or until the next one is given.
void auth_set_config(Auth *auth, yyjson_val *config);
