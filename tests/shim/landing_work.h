// What landing_victim lands, and what the test expects to find.
#pragma once

#include "lake/landing.h"
#include "store/lease.h"

#include <stdio.h>

#define WORK_RUN   "01890a5d-ac96-774b-bcce-b302099a8057"
#define WORK_LEASE "ctm/leases/historic"
#define WORK_NOTE  "{\"plan\":[1,2,3]}"

// More pages than the local store flushes one by one.
enum { WORK_SLICES = 8, WORK_PAGES = 3, WORK_BODY_BYTES = 3000 };

static const char *const work_notes[] = {"run.json", "calls/loads/000000.json", "end.json"};

typedef struct Work {
    Env env;
    Arena *arena;
    Arena *scratch;
    Store store;
    Landing *landing;
} Work;

static inline bool work_open(Work *work, const char *root, Error *err)
{
    env_init_system(&work->env);
    work->arena = arena_new(64 * 1024 * 1024, err);
    TRY(work->arena != NULL);
    work->scratch = arena_new(64 * 1024 * 1024, err);
    TRY(work->scratch != NULL);
    Str json = {NULL, 0};
    yyjson_doc *doc = NULL;
    TRY(arena_printf(work->arena, &json, err, "{\"path\":\"%s\"}", root) &&
        json_parse(json, "options", work->arena, &doc, err) &&
        store_open(&work->store, &store_local,
                   (DriverOptions){yyjson_doc_get_root(doc), STR("options")}, &work->env,
                   work->arena, NULL, err));
    const LandingOptions options = {.store = &work->store, .job = STR("ctm"), .compression = 1};
    return landing_open(&options, work->arena, &work->landing, err);
}

static inline void work_close(Work *work)
{
    landing_close(work->landing);
    store_close(&work->store);
    arena_free(work->scratch);
    arena_free(work->arena);
    *work = (Work){0};
}

static inline SliceName work_slice(uint32_t slice)
{
    return (SliceName){.run = STR(WORK_RUN),
                       .stream = STR("calls"),
                       .partition_key = slice % 2 == 0 ? STR("even") : STR("odd"),
                       .slice = slice,
                       .reading = 1};
}

static inline PageInfo work_info(uint32_t slice, uint32_t page)
{
    return (PageInfo){.fetched_us = 1000 * slice + page, .total = 7, .records = 3};
}

static inline Str work_body(uint32_t slice, uint32_t page, char text[WORK_BODY_BYTES])
{
    uint32_t state = slice * 1000 + page;
    for (size_t i = 0; i < WORK_BODY_BYTES; i++) {
        state = state * 1664525U + 1013904223U;
        text[i] = (char)('a' + (state >> 24) % 26);
    }
    return (Str){text, WORK_BODY_BYTES};
}
