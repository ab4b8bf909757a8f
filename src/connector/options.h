// Options: what a request carries besides its address: query, headers, form or JSON body. Several
// components add to them (requester, paginator, partition router, cursor), and only JSON bodies may
// be told the same thing twice.
#pragma once

#include "connector/expr.h"
#include "net/http.h"

enum { OPTIONS_MAX = 128 }; // of one kind, in one request

typedef enum OptionPlace { OPTION_QUERY, OPTION_HEADER, OPTION_FORM, OPTION_JSON } OptionPlace;

typedef struct Option {
    Str key;
    Value value;
} Option;

typedef struct OptionList {
    Option items[OPTIONS_MAX];
    size_t count;
} OptionList;

typedef struct Options {
    OptionList query;
    OptionList headers;
    OptionList form;
    Str text; // a body as it is, instead of a form
    Value json;
} Options;

// A RequestOption: where one value of a component goes.
typedef struct RequestOption {
    bool exists;
    OptionPlace place;
    Expr name;
    Expr *path; // of a JSON body; NULL = `name`
    size_t path_count;
} RequestOption;

bool request_option_bind(const Node *component, Str field, Str file, Arena *arena,
                         RequestOption *ret_option, Error *err) MUST_USE;

typedef enum OptionClash {
    CLASH_IS_ERROR, // ERROR_JOB names the key, unless it is a JSON body and the values are equal
    CLASH_REPLACES,
    CLASH_KEEPS_FIRST,
} OptionClash;

bool options_add(Options *options, OptionPlace place, Str key, Value value, OptionClash clash,
                 Error *err) MUST_USE;
bool options_merge_json(Options *options, Value json, Arena *arena, Error *err) MUST_USE;
bool options_inject(Options *options, const RequestOption *option, Value value, OptionClash clash,
                    Frame *frame, Arena *arena, Error *err) MUST_USE;

// Appends the options as a query or form ("a=1&b=2"), as Python's urlencode(doseq=True) does: None
// is left out, lists repeat the key. Those in `less` ("a=1&c=3") with the same text are left out.
bool options_write_query(const OptionList *list, Str less, Buf *out, Error *err) MUST_USE;

// True when `query` holds `key` with the text `value` as its first value.
bool query_has(Str query, Str key, Str value, Error *err);

bool method_has_body(Str method);

// Headers and body into `request`. A body goes only with methods that have one.
bool options_fill_request(const Options *options, Arena *arena, HttpRequest *request,
                          Error *err) MUST_USE;
