// Source: a manifest by itself, as `pawl source read` runs it: it speaks the Airbyte protocol, one
// message a line (RECORD, STATE, LOG, TRACE; SPEC, CONNECTION_STATUS, CATALOG).
#pragma once

#include "base/env.h"
#include "base/json.h"

typedef struct SourceReadOptions {
    const char *manifest;
    const char *config;     // JSON file
    const char *catalog;    // configured catalog, JSON file; NULL = every stream of the manifest
    const char *state;      // JSON file: one state message or a list of them; NULL or "" = none
    const char *connect_to; // "127.0.0.1:PORT": tests only, see HttpOptions
    const char *now;        // ISO 8601: tests only; the clock stands still and waits return at once
    int output_fd;          // where messages go; of source_discover() none do
    // source_discover(): hears what is waited for, and why something is asked for again; NULL =
    // nobody does.
    void (*tell)(void *state, Str text);
    void *tell_state;
} SourceReadOptions;

// Reads the catalog's streams one after the other. A stream that fails does not stop the others;
// the result is false with the first failure, after all messages went out.
bool source_read(const SourceReadOptions *options, Env *env, Error *err) MUST_USE;

// The other words of the protocol: SPEC (needs no config), CONNECTION_STATUS after one record of
// the streams that the manifest names for it, CATALOG. The result is false where the status is
// FAILED.
bool source_spec(const SourceReadOptions *options, Env *env, Error *err) MUST_USE;
bool source_check(const SourceReadOptions *options, Env *env, Error *err) MUST_USE;
bool source_catalog(const SourceReadOptions *options, Env *env, Error *err) MUST_USE;

typedef struct SourceDraft {
    Str stream;
    size_t records; // looked at
} SourceDraft;

// Samples records of one stream (empty = the manifest's first) and appends the draft of its
// contract to `out`. ERROR_NOT_FOUND when the stream has no records. Texts live in `arena`.
bool source_discover(const SourceReadOptions *options, Str stream, Env *env, Arena *arena, Buf *out,
                     SourceDraft *ret_draft, Error *err) MUST_USE;
