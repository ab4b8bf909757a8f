// Engine: the parts of a bound stream, shared by the modules that build and use them. Private to
// connector/.
//
// Binding turns the manifest's nodes into these structs once; afterwards they are read only. What a
// bind function cannot do is ERROR_JOB with file and line; "not supported yet: X" for words of the
// language that pawl does not speak.
#pragma once

#include "connector/connector.h"
#include "connector/expr.h"
#include "connector/options.h"

enum {
    STREAM_PARENTS_MAX = 16,
    STREAM_DEPTH_MAX = 16, // parents of parents
    PATH_PARTS_MAX = 32,
    REDIRECTS_MAX = 10,
};

// What every bind function needs.
typedef struct Binder {
    Connector *connector;
    Arena *arena;
    Str file;
    Env *env;
    Value config;
    size_t depth; // of parents
} Binder;

// "manifest.yaml:12: not supported yet: X" or "... unknown type 'X', did you mean 'Y'?". Always
// false.
bool bind_unsupported(const Binder *binder, const Node *node, Error *err);
bool bind_missing(const Binder *binder, const Node *node, const char *field, Error *err);
// A text, evaluated with the config alone.
bool bind_text(const Binder *binder, const Node *component, Str field, Str fallback, Str *ret_text,
               Error *err) MUST_USE;
bool bind_is(const Node *component, const char *type);

// ------------------------------------------------------------------------ requester

typedef struct ExprPair {
    Expr key;
    Expr value;
} ExprPair;

typedef struct ExprMap {
    ExprPair *pairs;
    size_t count;
    Expr text; // where the manifest gives one text instead of a map
} ExprMap;

typedef struct AuthSpec AuthSpec;
typedef struct ErrorRules ErrorRules;

typedef struct Requester {
    Expr url;
    Expr url_base;
    Expr path;
    Str method;
    ExprMap query;
    ExprMap headers;
    ExprMap form;
    ExprTree json;
    bool has_json;
    bool use_cache;
    const AuthSpec *auth;
    const ErrorRules *errors;
} Requester;

bool requester_bind(const Binder *binder, const Node *node, const Requester **ret_requester,
                    Error *err) MUST_USE;
// The address without query options; `path` overrides the requester's own when not empty.
bool requester_url(const Requester *requester, Str path, Frame *frame, Arena *arena, Str *ret_url,
                   Error *err) MUST_USE;
// Adds the requester's own options.
bool requester_options(const Requester *requester, Frame *frame, Arena *arena, Options *options,
                       Error *err) MUST_USE;
// Puts address and options together.
bool requester_finish(const Requester *requester, Str url, const Options *options, Arena *arena,
                      HttpRequest *ret_request, Error *err) MUST_USE;

// ------------------------------------------------------------------------ paginator

typedef enum PaginatorKind { PAGES_NONE, PAGES_CURSOR, PAGES_NUMBER, PAGES_OFFSET } PaginatorKind;

typedef struct Paginator {
    PaginatorKind kind;
    Expr cursor_value;
    Expr stop_condition;
    Expr page_size_expr; // OffsetIncrement: may look at the response
    bool has_page_size;
    int64_t page_size;
    int64_t start_from_page;
    bool inject_first;
    bool token_is_path;
    RequestOption token_option;
    RequestOption size_option;
} Paginator;

bool paginator_bind(const Binder *binder, const Node *node, Paginator *ret_paginator,
                    Error *err) MUST_USE;

// What the strategy sees of the page just read.
typedef struct PageView {
    Value response; // decoded; the first one where a body holds many
    Value headers;
    Value last_record; // undefined -> none
    size_t emitted;    // after the filter
    size_t extracted;  // before it
    Value last_token;  // none on the first page without a token
} PageView;

// None = no more pages.
bool paginator_next(const Paginator *paginator, const PageView *page, Frame *frame, Arena *arena,
                    Value *ret_token, Error *err) MUST_USE;
Value paginator_first_token(const Paginator *paginator);
bool paginator_options(const Paginator *paginator, Value token, Frame *frame, Arena *arena,
                       Options *options, Error *err) MUST_USE;

// ------------------------------------------------------------------------ errors

typedef enum ResponseAction {
    ACTION_NONE,
    ACTION_SUCCESS,
    ACTION_RETRY,
    ACTION_LIMITED,
    ACTION_IGNORE,
    ACTION_FAIL,
    ACTION_RESET, // RESET_PAGINATION: not supported yet
    ACTION_REFRESH,
} ResponseAction;

typedef struct ErrorVerdict {
    ResponseAction action;
    Str message;
} ErrorVerdict;

bool error_rules_bind(const Binder *binder, const Node *node, const ErrorRules **ret_rules,
                      Error *err) MUST_USE;
// `root` may be NULL (no JSON).
bool error_rules_judge(const ErrorRules *rules, const HttpResponse *response, yyjson_val *root,
                       Frame *frame, Arena *arena, ErrorVerdict *ret_verdict, Error *err) MUST_USE;
typedef struct ErrorWait {
    int64_t us;    // -1: the manifest does not say
    bool asked;    // the answer said so, in a header; else it is what the manifest thinks fit
    bool too_long; // longer than the manifest allows
} ErrorWait;

// `attempt` counts from 1.
bool error_rules_wait(const ErrorRules *rules, const HttpResponse *response, int64_t attempt,
                      Frame *frame, Arena *arena, ErrorWait *ret_wait, Error *err) MUST_USE;
int64_t error_rules_attempts(const ErrorRules *rules);

// ------------------------------------------------------------------------ selector

// How the bytes of an answer are read.
typedef enum BodyKind { BODY_JSON, BODY_LINES_OF_JSON, BODY_LINES, BODY_CSV } BodyKind;

typedef struct BodyFormat {
    BodyKind kind;
    bool gzip;         // the body itself is packed, beside what was done for the way
    bool is_latin;     // ISO 8859-1; else UTF-8
    bool skips_mark;   // a byte order mark is no part of it
    char delimiter;    // BODY_CSV
    const Node *nones; // likewise: cells that mean null
} BodyFormat;

bool body_bind(const Binder *binder, const Node *node, BodyFormat *ret_format, Error *err) MUST_USE;

typedef struct Transform Transform;

typedef struct Selector {
    BodyFormat format;
    Str path[PATH_PARTS_MAX];
    size_t path_count;
    bool has_glob;
    Expr filter;
    Transform *transforms;
    size_t transform_count;
    bool transform_first;
    bool normalize;
    const Node *schema;
} Selector;

bool selector_bind(const Binder *binder, const Node *stream, const Node *retriever,
                   Selector *ret_selector, Error *err) MUST_USE;

typedef struct Decoded {
    yyjson_doc *doc;
    yyjson_val *root;    // of the whole body
    yyjson_val **bodies; // what the extractor looks at, one by one
    size_t body_count;
} Decoded;

// *ret_ok = false: the body is not of this format; `ret_why` says so.
bool body_decode(const BodyFormat *format, Str body, Arena *arena, Decoded *ret_decoded,
                 bool *ret_ok, Str *ret_why, Error *err) MUST_USE;

typedef struct RecordList {
    yyjson_val **items;
    size_t count;
    size_t capacity;
} RecordList;

bool selector_extract(const Selector *selector, const Decoded *decoded, Arena *arena,
                      RecordList *ret_records, Error *err) MUST_USE;
// Filter, transform, normalise; in place.
bool selector_refine(const Selector *selector, RecordList *records, Frame *frame, Arena *arena,
                     Error *err) MUST_USE;

bool transforms_bind(const Binder *binder, const Node *list, Transform **ret_transforms,
                     size_t *ret_count, Error *err) MUST_USE;
// `record` is a dict whose top level is the caller's own.
bool transforms_apply(const Transform *transforms, size_t count, Value *record, Frame *frame,
                      Arena *arena, Error *err) MUST_USE;
bool normalize_record(const Node *schema, Value *record, Arena *arena, Error *err) MUST_USE;

// A shallow copy as a dict whose pairs are the caller's; and back, as a JSON value in `arena`.
bool record_open(Value record, Arena *arena, Value *ret_dict, Error *err) MUST_USE;
bool record_close(Value dict, Arena *arena, yyjson_val **ret_json, Error *err) MUST_USE;

// The value at a path of keys and indexes (dpath.get without globs), or undefined.
Value value_at_path(Value value, const Str *path, size_t count);

// ------------------------------------------------------------------------ cursor

typedef struct Instant {
    int64_t us;
    int32_t offset_seconds; // as it was written; formats print in it
} Instant;

typedef struct MinMaxTime {
    bool exists;
    Expr value;
    Expr least;
    Expr most;
    Str format; // empty = the cursor's
} MinMaxTime;

typedef struct TimeCursor {
    bool exists;
    Str field;
    Str format;
    Str *formats; // of record values; `format` is tried last
    size_t format_count;
    MinMaxTime start_time;
    MinMaxTime end_time;
    Instant start; // evaluated with the config
    Str start_key; // of the slice
    Str end_key;
    bool has_step;
    Duration step;
    bool has_granularity;
    Duration granularity;
    bool has_lookback;
    Duration lookback;
    RequestOption start_option;
    RequestOption end_option;
    bool is_data_feed;
    bool is_client_side;
    bool compares_strictly;
    bool is_global;
} TimeCursor;

bool time_cursor_bind(const Binder *binder, const Node *node, TimeCursor *ret_cursor,
                      Error *err) MUST_USE;
bool time_cursor_end(const TimeCursor *cursor, Frame *frame, Arena *arena, Instant *ret_end,
                     Error *err) MUST_USE;
// False when no format fits.
bool time_cursor_parse(const TimeCursor *cursor, Value value, Arena *arena, Instant *ret_instant);
bool time_cursor_format(const TimeCursor *cursor, Instant instant, Arena *arena, Str *ret_text,
                        Error *err) MUST_USE;
// The cursor's value in a record; undefined when it lacks one.
Value time_cursor_value(const TimeCursor *cursor, yyjson_val *record);
Instant instant_add(Instant instant, Duration duration, int sign);

// ------------------------------------------------------------------------ partitions

typedef struct ParentRouter {
    const Stream *stream;
    Str parent_key[PATH_PARTS_MAX];
    size_t parent_key_count;
    Str partition_field;
    RequestOption option;
    bool is_incremental;
    Str (*extra)[PATH_PARTS_MAX]; // paths of extra fields
    size_t *extra_sizes;
    Str *extra_names;
    size_t extra_count;
} ParentRouter;

typedef struct ListRouter {
    Str field;
    Value values;
    RequestOption option;
} ListRouter;

// One router of a stream; several make their product.
typedef struct Router {
    bool is_list;
    ListRouter list;
    ParentRouter parents[STREAM_PARENTS_MAX];
    size_t parent_count;
} Router;

bool routers_bind(Binder *binder, const Node *node, Router **ret_routers, size_t *ret_count,
                  Error *err) MUST_USE;
bool routers_options(const Router *routers, size_t count, Value slice, Frame *frame, Arena *arena,
                     Options *options, Error *err) MUST_USE;
bool parent_router_partition(const ParentRouter *parent, yyjson_val *parent_partition,
                             yyjson_val *record, Arena *arena, Partition *ret_partition,
                             bool *ret_ok, Error *err) MUST_USE;

// ------------------------------------------------------------------------ stream

struct Stream {
    const Connector *connector;
    Str name;
    const Node *node;
    Error problem; // why the stream cannot be used; ERROR_NONE = it can
    const Requester *requester;
    Paginator paginator;
    Selector selector;
    TimeCursor cursor;
    Router *routers;
    size_t router_count;
    bool skips_slicer_options; // on pages behind the first
    bool use_cache;
    size_t auth_id;
};

bool stream_bind(Binder *binder, const Node *node, Stream **ret_stream, Error *err) MUST_USE;

struct Connector {
    Arena *arena;
    Env *env;
    Str file;
    Value config;
    Key128 digest; // see stream_digest()
    const Node *root;
    Stream **streams;
    size_t stream_count;
};

// ------------------------------------------------------------------------ authentication

bool auth_spec_bind(const Binder *binder, const Node *node, const AuthSpec **ret_spec,
                    Error *err) MUST_USE;

bool auth_spec_is_none(const AuthSpec *spec); // no credential at all
// True when the two must use one Auth: a refresh token that is good once.
bool auth_is_shared(const Stream *a, const Stream *b);
// Streams with the same authenticator and the same constant address share an id, that of the first
// of them.
bool auth_set_ids(Connector *connector, Error *err) MUST_USE;

// ------------------------------------------------------------------------ reading with bounds

// Records outside [from, to] by cursor value are dropped (is_client_side_incremental), or end the
// pagination (is_data_feed).
void page_reader_set_bounds(PageReader *reader, int64_t from_us, int64_t to_us);
int64_t page_reader_attempts_max(const PageReader *reader);
