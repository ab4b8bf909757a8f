#include "run/purge.h"

#include "run/slice.h"

#include <inttypes.h>

enum {
    RUN_ARENA_BYTES = 1024 * 1024 * 1024, // names of a run's slices
    PAGE_ARENA_BYTES = 1024 * 1024 * 1024,
    FIRST_SLICES = 64,
    FIRST_ROWS = 16,
};

// What lies in the landing store of one run.
typedef struct Found {
    Purge *purge;
    Arena *arena;
    PurgeSlices slices;
} Found;

static bool is_wanted(const Purge *purge, const LandedSlice *slice)
{
    if (purge->stream.size == 0)
        return true;
    if (!str_equal(purge->stream, slice->name.stream) ||
        (!slice->unknown && !str_equal(purge->partition_key, slice->name.partition_key)))
        return false;
    const SliceManifest *manifest = slice->manifest;
    return manifest == NULL || (manifest->from_us == 0 && manifest->to_us == 0) ||
           (manifest->from_us <= purge->to_us && manifest->to_us >= purge->from_us);
}

static bool add_slice(PurgeSlices *slices, const LandedSlice *slice, bool whole, Arena *arena,
                      Error *err)
{
    if (slices->count == slices->room) {
        const size_t room = slices->room == 0 ? FIRST_SLICES : 2 * slices->room;
        LandedSlice *items = arena_alloc_array(arena, room, sizeof(*items), err);
        bool *wholes = arena_alloc_array(arena, room, sizeof(*wholes), err);
        TRY(items != NULL && wholes != NULL);
        if (slices->count > 0) {
            memcpy(items, slices->items, slices->count * sizeof(*items));
            memcpy(wholes, slices->whole, slices->count * sizeof(*wholes));
        }
        slices->items = items;
        slices->whole = wholes;
        slices->room = room;
    }
    LandedSlice *copy = &slices->items[slices->count];
    *copy = *slice;
    copy->manifest = NULL;
    slices->whole[slices->count++] = whole;
    return arena_copy_str(arena, slice->name.run, &copy->name.run, err) &&
           arena_copy_str(arena, slice->name.stream, &copy->name.stream, err) &&
           arena_copy_str(arena, slice->name.partition_key, &copy->name.partition_key, err);
}

static bool note_slice(void *visitor, const LandedSlice *slice, Error *err)
{
    Found *found = visitor;
    return slice->pages_found == 0 || !is_wanted(found->purge, slice) ||
           add_slice(&found->slices, slice, slice->manifest != NULL, found->arena, err);
}

static size_t find_stream(const JobParts *parts, Str name)
{
    size_t i = 0;
    while (i < parts->stream_count && !str_equal(stream_name(parts->streams[i].stream), name))
        i++;
    return i;
}

// --- one page

// One slice in hand.
typedef struct Hand {
    Purge *purge;
    size_t stream_index;
    const PlanStream *stream;
    const LandedSlice *slice;
    Partition partition;
    Window window;
    Arena *arena; // of the page
    Shaper *shaper;
} Hand;

// The records as a run would see them; where the manifest can make nothing of the page any more,
// the page as it is.
static bool understand(Hand *hand, Str body, PageOutcome *ret_outcome, Error *err)
{
    Error why = {0};
    CLEANUP(page_reader_freep) PageReader *reader = NULL;
    HttpRequest request = {0};
    bool more = false;
    const HttpResponse response = {.status = 200, .body = body};
    *ret_outcome = (PageOutcome){0};
    if (page_reader_new(hand->stream->stream, &hand->partition,
                        hand->stream->cursor.exists ? &hand->window : NULL, hand->arena, &reader,
                        &why) &&
        page_reader_request(reader, hand->arena, &request, &more, &why) && more &&
        page_reader_answer(reader, &response, hand->arena, ret_outcome, &why) &&
        ret_outcome->doc != NULL && ret_outcome->verdict == PAGE_RECORDS)
        return true;
    *ret_outcome = (PageOutcome){.verdict = PAGE_RECORDS};
    return json_parse_lenient(body, "a landed page", hand->arena, &ret_outcome->doc, err);
}

static bool add_rows(PurgedRows *rows, const ShapedBatch *batch, Arena *arena, Error *err)
{
    if (rows->count + batch->rows > rows->room) {
        const size_t room = 2 * rows->room + batch->rows + FIRST_ROWS;
        PurgedRow *items = arena_alloc_array(arena, room, sizeof(*items), err);
        TRY(items != NULL);
        if (rows->count > 0)
            memcpy(items, rows->items, rows->count * sizeof(*items));
        rows->items = items;
        rows->room = room;
    }
    for (size_t i = 0; i < batch->rows; i++)
        rows->items[rows->count++] = (PurgedRow){batch->keys[i], batch->hashes[i]};
    return true;
}

// Shapes the records that will go: the table may hold rows of them that nothing else tells.
static bool note_rows(Hand *hand, const PageOutcome *outcome, Error *err)
{
    Purge *purge = hand->purge;
    for (size_t i = 0; i < outcome->record_count; i++) {
        if (!forgotten_matches(purge->forgotten, hand->stream->contract, outcome->records[i]))
            continue;
        Error frozen = {0};
        (void)!shaper_add(hand->shaper, &outcome->records[i], 1, hand->partition.fields, 0,
                          &frozen);
    }
    CLEANUP(shaped_batch_freep) ShapedBatch *batch = NULL;
    return shaper_take(hand->shaper, &batch, err) &&
           add_rows(&purge->rows[hand->stream_index], batch, purge->parts->arena, err);
}

// *ret_touched: there was something to do.
static bool purge_page(Hand *hand, uint32_t number, PageInfo *ret_info, bool *ret_touched,
                       Error *err)
{
    Purge *purge = hand->purge;
    Landing *landing = purge->parts->landing;
    const SliceName *name = &hand->slice->name;
    OldestPage landed = {0};
    arena_reset(hand->arena);
    TRY(landing_get_oldest_page(landing, name, number, hand->arena, &landed, err));
    *ret_info = landed.info;
    PageOutcome outcome = {0};
    TRY(understand(hand, landed.body, &outcome, err));
    const ForgetPage page = {.forgotten = purge->forgotten,
                             .stream = hand->stream->stream,
                             .contract = hand->stream->contract,
                             .partition = hand->partition.fields,
                             .also = purge->also,
                             .state = purge->state};
    PageOutcome kept = {0};
    LeftOut left = {.arena = hand->arena};
    Str without = {0};
    TRY(forget_page(&page, &outcome, hand->arena, &left, &kept, &without, err));
    purge->pages_read++;
    *ret_touched = landed.twice || without.data != NULL;
    if (without.data == NULL)
        return !landed.twice || purge->look != NULL ||
               landing_keep_newest_page(landing, name, number, hand->arena, ret_info, err);
    if (purge->rows != NULL)
        TRY(note_rows(hand, &outcome, err));
    purge->pages_written++;
    purge->records += (int64_t)left.stubs;
    return purge->look != NULL ||
           landing_rewrite_page(landing, name, number, without, ret_info, err);
}

// --- one slice

static bool same_info(const PageInfo *a, const PageInfo *b)
{
    return a->stored_bytes == b->stored_bytes && a->body_bytes == b->body_bytes &&
           memcmp(&a->page_sha256, &b->page_sha256, sizeof(a->page_sha256)) == 0;
}

// The pages of a slice, and its manifest where it no longer fits them: also after a kill between
// the two. *ret_touched: there was something to write.
static bool purge_pages_of(Hand *hand, bool whole, Arena *arena, bool *ret_touched, Error *err)
{
    Purge *purge = hand->purge;
    SliceManifest manifest = {0};
    if (whole) {
        TRY(landing_get_slice(purge->parts->landing, &hand->slice->name, arena, &manifest, err));
        hand->window = (Window){.from_us = manifest.from_us, .to_us = manifest.to_us};
    }
    bool differs = false;
    bool touched = false;
    // There may be gaps where a crash of the machine took a page, and pages behind the last one of
    // a manifest, which an earlier attempt left.
    const uint32_t pages =
        manifest.page_count > hand->slice->page_end ? manifest.page_count : hand->slice->page_end;
    for (uint32_t i = 0; i < pages; i++) {
        PageInfo info = {0};
        Error why = {0};
        bool page_touched = false;
        const bool ok = purge_page(hand, i, &info, &page_touched, &why);
        touched = touched || page_touched;
        if (!ok) {
            if (why.code != ERROR_DATA && why.code != ERROR_NOT_FOUND) {
                *err = why;
                return false;
            }
            purge->pages_unreadable += why.code == ERROR_DATA ? 1 : 0;
            continue;
        }
        if (i < manifest.page_count && !same_info(&info, &manifest.pages[i])) {
            manifest.pages[i] = info;
            differs = true;
        }
    }
    *ret_touched = differs || touched;
    return !differs || purge->look != NULL ||
           landing_rewrite_slice(purge->parts->landing, &hand->slice->name, &manifest, err);
}

static bool purge_slice(Purge *purge, const LandedSlice *slice, bool whole, Arena *page_arena,
                        bool *ret_touched, Error *err)
{
    *ret_touched = false;
    const size_t index = find_stream(purge->parts, slice->name.stream);
    if (index == purge->parts->stream_count) {
        purge->pages_of_others += slice->pages_found;
        return true;
    }
    const PlanStream *stream = &purge->parts->streams[index];
    if (!contract_knows_persons(stream->contract) && purge->also == NULL)
        return true;
    if (slice->unknown) {
        purge->pages_unreadable += slice->pages_found;
        return true;
    }
    CLEANUP(arena_freep) Arena *arena = arena_new(SLICE_ARENA_BYTES, err);
    CLEANUP(shaper_freep) Shaper *shaper = NULL;
    TRY(arena != NULL && shaper_new(stream->contract, NULL, &shaper, err));
    Hand hand = {.purge = purge,
                 .stream_index = index,
                 .stream = stream,
                 .slice = slice,
                 .arena = page_arena,
                 .shaper = shaper};
    TRY(stream_partition_from_key(stream->stream, slice->name.partition_key, arena, &hand.partition,
                                  err));
    return purge_pages_of(&hand, whole, arena, ret_touched, err);
}

// --- all runs

static bool purge_found(Purge *purge, const PurgeSlices *slices, size_t index, Arena *page_arena,
                        Error *err)
{
    const LandedSlice *slice = &slices->items[index];
    const bool whole = slices->whole[index];
    const int64_t before = purge->pages_unreadable;
    bool touched = false;
    TRY(env_check_stop(purge->parts->env, err) && exclusive_renew(purge->exclusive, err) &&
        purge_slice(purge, slice, whole, page_arena, &touched, err));
    if (purge->look == NULL || !touched)
        return true;
    purge->look->pages_unreadable += purge->pages_unreadable - before;
    return add_slice(purge->look, slice, whole, purge->parts->arena, err);
}

static bool purge_run(Purge *purge, Str run, Arena *page_arena, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_ARENA_BYTES, err);
    TRY(arena != NULL);
    Found found = {.purge = purge, .arena = arena};
    TRY(landing_visit_slices(purge->parts->landing, run, purge->stream, note_slice, &found, err));
    for (size_t i = 0; i < found.slices.count; i++)
        TRY(purge_found(purge, &found.slices, i, page_arena, err));
    return true;
}

static void tell(const Purge *purge, size_t done, size_t total)
{
    if (purge->progress != NULL)
        purge->progress(purge->progress_state, done, total);
}

bool purge_pages(Purge *purge, Error *err)
{
    JobParts *parts = purge->parts;
    CLEANUP(arena_freep) Arena *page_arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(page_arena != NULL);
    Str *runs = NULL;
    size_t count = 0;
    TRY(landing_list_runs(parts->landing, parts->arena, &runs, &count, err));
    for (size_t i = 0; i < count; i++) {
        TRY(purge_run(purge, runs[i], page_arena, err));
        tell(purge, i + 1, count);
    }
    return true;
}

bool purge_look(Purge *purge, PurgeSlices *ret_slices, Error *err)
{
    *ret_slices = (PurgeSlices){0};
    purge->look = ret_slices;
    const bool ok = purge_pages(purge, err);
    purge->look = NULL;
    return ok;
}

bool purge_slices(Purge *purge, const PurgeSlices *slices, Error *err)
{
    CLEANUP(arena_freep) Arena *page_arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(page_arena != NULL);
    for (size_t i = 0; i < slices->count; i++) {
        TRY(purge_found(purge, slices, i, page_arena, err));
        tell(purge, i + 1, slices->count);
    }
    return true;
}
