// A program that lands pages, to be killed anywhere and run again: landing_victim ROOT
//
// It works as a run does: reads what is there, lands what is missing, finishes slices, first one
// and then many at once, erases from a page, and keeps notes and a lease. Each promise it was given
// is a line on its standard output, written once the call has returned.
#include "landing_work.h"

#include "base/kill.h"

#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

static bool promise(const char *what, uint32_t number)
{
    char line[64];
    const int size = snprintf(line, sizeof(line), "%s %u\n", what, number);
    return write(STDOUT_FILENO, line, (size_t)size) == size;
}

// Lands the pages that are missing and fills in the manifest.
static bool land_slice(Work *work, uint32_t slice, PageInfo pages[WORK_PAGES], Error *err)
{
    const SliceName name = work_slice(slice);
    for (uint32_t page = 0; page < WORK_PAGES; page++) {
        Str body = {NULL, 0};
        arena_reset(work->scratch);
        if (landing_get_page(work->landing, &name, page, work->scratch, &body, &pages[page], err))
            continue;
        if (err->code != ERROR_NOT_FOUND)
            return false;
        *err = (Error){0};
        char text[WORK_BODY_BYTES];
        pages[page] = work_info(slice, page);
        TRY(landing_put_page(work->landing, &name, page,
                             &(PageBody){.plain = work_body(slice, page, text)}, &pages[page],
                             err));
    }
    return true;
}

static bool land_slices(Work *work, uint32_t first, uint32_t count, Error *err)
{
    SliceName names[WORK_SLICES];
    SliceManifest manifests[WORK_SLICES];
    PageInfo pages[WORK_SLICES][WORK_PAGES];
    size_t missing = 0;
    for (uint32_t i = first; i < first + count; i++) {
        const SliceName name = work_slice(i);
        arena_reset(work->scratch);
        if (landing_get_slice(work->landing, &name, work->scratch, &manifests[missing], err))
            continue;
        if (err->code != ERROR_NOT_FOUND)
            return false;
        *err = (Error){0};
        TRY(land_slice(work, i, pages[missing], err));
        names[missing] = name;
        manifests[missing] = (SliceManifest){.page_count = WORK_PAGES, .pages = pages[missing]};
        missing++;
    }
    TRY(landing_finish_slices(work->landing, names, manifests, missing, err));
    for (uint32_t i = first; i < first + count; i++)
        TRY(promise("slice", i));
    return true;
}

static bool keep_note(Work *work, const char *name, uint32_t number, Error *err)
{
    Str json = {NULL, 0};
    arena_reset(work->scratch);
    if (!landing_get_note(work->landing, STR(WORK_RUN), str_from(name), work->scratch, &json,
                          err)) {
        if (err->code != ERROR_NOT_FOUND)
            return false;
        *err = (Error){0};
        TRY(landing_create_note(work->landing, STR(WORK_RUN), str_from(name), STR(WORK_NOTE), err));
    }
    return promise("note", number);
}

static bool pack(Str body, char *bytes, size_t room, Str *ret_packed)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)body.data,
                       .avail_in = (uInt)body.size,
                       .next_out = (Bytef *)bytes,
                       .avail_out = (uInt)room};
    const bool ok =
        deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
        deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *ret_packed = (Str){bytes, stream.total_out};
    return deflateEnd(&stream) == Z_OK && ok;
}

// A page that the server packed, of a slice that stays open, gives way to one without a person.
static bool erase(Work *work, Error *err)
{
    const SliceName name = work_slice(WORK_SLICES);
    char text[WORK_BODY_BYTES];
    char bytes[2 * WORK_BODY_BYTES];
    PageInfo info = work_info(WORK_SLICES, 0);
    OldestPage landed = {0};
    arena_reset(work->scratch);
    if (!landing_get_oldest_page(work->landing, &name, 0, work->scratch, &landed, err)) {
        if (err->code != ERROR_NOT_FOUND && err->code != ERROR_DATA)
            return false;
        *err = (Error){0};
        PageBody page = {.plain = work_body(WORK_SLICES, 0, text), .encoding = HTTP_ENCODING_GZIP};
        TRY(pack(page.plain, bytes, sizeof(bytes), &page.encoded) &&
            landing_put_page(work->landing, &name, 0, &page, &info, err));
    } else if (!landed.twice && str_equal(landed.body, work_body(WORK_SLICES, 1, text))) {
        return promise("erased", 0);
    }
    return landing_rewrite_page(work->landing, &name, 0, work_body(WORK_SLICES, 1, text), &info,
                                err) &&
           promise("erased", 0);
}

static bool run(Work *work, const char *root, Error *err)
{
    Lease lease = {0};
    TRY(work_open(work, root, err) &&
        lease_take(&lease, &work->store, STR(WORK_LEASE), STR(WORK_RUN), LEASE_TTL_US_MIN, err));
    const bool ok =
        promise("lease", (uint32_t)lease.epoch) && keep_note(work, work_notes[0], 0, err) &&
        land_slices(work, 0, 1, err) && erase(work, err) &&
        land_slices(work, 1, WORK_SLICES - 1, err) && keep_note(work, work_notes[1], 1, err) &&
        landing_put_note(work->landing, STR(WORK_RUN), STR("state.json"), STR(WORK_NOTE), err) &&
        promise("state", 0) && keep_note(work, work_notes[2], 2, err);
    lease_release(&lease);
    return ok;
}

int main(int argc, char **argv)
{
    kill_init(getenv("PAWL_TEST_KILL_AT"), getenv("PAWL_TEST_KILL_LIST"));
    Work work = {0};
    Error err = {0};
    const bool ok = argc == 2 && run(&work, argv[1], &err);
    if (!ok)
        (void)fprintf(stderr, "landing_victim: %s\n", err.message);
    work_close(&work);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
