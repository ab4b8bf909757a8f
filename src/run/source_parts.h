// What the files behind source.h share: source.c (reading, the world, messages) and source_look.c
// (what may be learnt without reading everything). Nobody else includes this.
#pragma once

#include "connector/sync.h"
#include "net/http.h"
#include "run/source.h"

typedef struct Source {
    Env *env;  // the program's own: network, stop flag
    Env clock; // what the manifest may see of the world
    int64_t fixed_us;
    bool is_fixed;
    int fd; // -1 = no messages: who listens is told
    void (*tell)(void *state, Str text);
    void *tell_state;
    Buf out;
    Arena *arena;
    HttpClient *client;
    Connector *connector;
    yyjson_val *catalog;
    yyjson_val *state;
    int64_t silent_since_us; // no answer since then (monotonic); 0 = the last request had one
    bool gave_up;            // it was silent for too long
} Source;

// Opens manifest, config, catalog and state; faults of the files go out as LOG messages.
bool source_open(Source *source, const SourceReadOptions *options, Error *err) MUST_USE;
void source_close(Source *source);

bool source_flush(Source *source, Error *err) MUST_USE;
bool source_end_line(Source *source, Error *err) MUST_USE; // of a message in source->out
bool source_put_error(Source *source, const Error *why, Error *err) MUST_USE;
// A LOG message, or a word to who listens instead. `state` is the Source.
void source_put_log(void *state, const char *level, Str text);

// For a SyncHost whose state is the Source. A far side that answers nothing for ten minutes,
// whatever it is asked, ends the reading of every slice and stream (ERROR_STOPPED, and `gave_up`):
// each would else wait for six minutes of its own.
bool source_exchange(void *state, const HttpRequest *request, Arena *arena,
                     HttpResponse *ret_response, Error *err);
bool source_wait(void *state, int64_t wait_us, Error *err);

// What a failure is to the caller: a silent far side may be read later.
void source_name_failure(const Source *source, Error *err);
