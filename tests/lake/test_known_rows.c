// Known rows: what is written comes back, whatever is wrong with the file is told, and it goes
// before a page that it speaks of is rewritten.
#include "lake/known_rows.h"
#include "lake/landing_path.h"

#include "harness/check.h"

#define RUN "01890a5d-ac96-774b-bcce-b302099a8057"

enum {
    BYTES_MAX = 64 * 1024 * 1024,
    HEAD_BYTES = 32,
    PAGE_COUNT_AT = 24,
    ROWS_AT = HEAD_BYTES + KEY_BYTES + 4
};

typedef struct Sample {
    Key128 keys[3], hashes[3];
    KnownRowsPage pages[3];
    Str drift[2];
    KnownRows rows;
} Sample;

// Two pages with rows, one without between them.
static void fill(Sample *sample)
{
    for (int i = 0; i < 3; i++) {
        memset(sample->keys[i].bytes, 'a' + i, KEY_BYTES);
        memset(sample->hashes[i].bytes, 'A' + i, KEY_BYTES);
    }
    sample->pages[0] = (KnownRowsPage){.there = true,
                                       .rows = 2,
                                       .records = 2,
                                       .overflowed = 1,
                                       .bytes = 5000,
                                       .drift = {2, 0},
                                       .keys = sample->keys,
                                       .hashes = sample->hashes};
    sample->pages[1] = (KnownRowsPage){.there = false};
    sample->pages[2] = (KnownRowsPage){.there = true,
                                       .rows = 1,
                                       .records = 1,
                                       .misfits = 7,
                                       .drift = {3, 0},
                                       .bytes = 2500,
                                       .keys = sample->keys + 2,
                                       .hashes = sample->hashes + 2};
    memset(sample->pages[0].body.bytes, 'p', KEY_BYTES);
    memset(sample->pages[2].body.bytes, 'q', KEY_BYTES);
    sample->drift[0] = STR("/mood");
    sample->drift[1] = STR("/agent/shoe_size");
    sample->rows = (KnownRows){
        .pages = sample->pages, .page_count = 3, .drift = sample->drift, .drift_count = 2};
    memset(sample->rows.made_by.bytes, 'm', KEY_BYTES);
}

static void check_same(const KnownRows *got, const KnownRows *wanted)
{
    CHECK(key128_compare(&got->made_by, &wanted->made_by) == 0);
    CHECK_INT(got->page_count, wanted->page_count);
    for (uint32_t i = 0; i < wanted->page_count; i++) {
        const KnownRowsPage *page = &wanted->pages[i];
        CHECK_INT(got->pages[i].there, page->there);
        if (!page->there)
            continue;
        CHECK(key128_compare(&got->pages[i].body, &page->body) == 0);
        CHECK_INT(got->pages[i].rows, page->rows);
        CHECK_INT(got->pages[i].records, page->records);
        CHECK_INT(got->pages[i].overflowed, page->overflowed);
        CHECK_INT(got->pages[i].misfits, page->misfits);
        CHECK_INT((int64_t)got->pages[i].bytes, (int64_t)page->bytes);
        CHECK(memcmp(got->pages[i].drift, page->drift, sizeof(page->drift)) == 0);
        CHECK(memcmp(got->pages[i].keys, page->keys, page->rows * sizeof(Key128)) == 0);
        CHECK(memcmp(got->pages[i].hashes, page->hashes, page->rows * sizeof(Key128)) == 0);
    }
    CHECK_INT(got->drift_count, wanted->drift_count);
    for (uint32_t i = 0; i < wanted->drift_count; i++)
        CHECK_STR(got->drift[i], wanted->drift[i]);
}

// A copy of its own size, so that a sanitizer sees a step beyond it.
static bool read_copy(Str bytes, Arena *arena, KnownRows *rows, Error *err)
{
    char *copy = malloc(bytes.size + 1);
    CHECK(copy != NULL);
    memcpy(copy, bytes.data, bytes.size);
    const bool ok = known_rows_read((Str){copy, bytes.size}, "rows", arena, rows, err);
    free(copy);
    return ok;
}

// The sample, and the file that it makes.
#define WRITTEN()                                                   \
    Error err = {0};                                                \
    CLEANUP(arena_freep) Arena *arena = arena_new(BYTES_MAX, &err); \
    CLEANUP(buf_done) Buf bytes = {0};                              \
    Sample sample;                                                  \
    KnownRows rows = {0};                                           \
    fill(&sample);                                                  \
    CHECK_OK(known_rows_write(&sample.rows, &bytes, &err), &err)

TEST(rows_come_back_as_they_were_written)
{
    WRITTEN();
    CHECK_OK(known_rows_read(buf_str(&bytes), "rows", arena, &rows, &err), &err);
    check_same(&rows, &sample.rows);
}

TEST(damage_is_told)
{
    WRITTEN();
    for (size_t size = 0; size < bytes.size; size++) {
        CHECK(!read_copy((Str){bytes.data, size}, arena, &rows, &err));
        CHECK_INT(err.code, ERROR_DATA);
        err = (Error){0};
    }
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 4;
        CHECK(!read_copy(buf_str(&bytes), arena, &rows, &err));
        CHECK_CONTAINS(str_from(err.message), STR("rows: damaged"));
        err = (Error){0};
        bytes.data[i] ^= 4;
    }
}

// Whoever wrote it meant the checksum to be right.
TEST(counts_that_the_file_cannot_hold_are_no_way_out_of_it)
{
    static const size_t places[] = {PAGE_COUNT_AT, PAGE_COUNT_AT + 4, ROWS_AT};
    static const uint32_t values[] = {4, 1000, UINT32_MAX / 40, UINT32_MAX};
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(BYTES_MAX, &err);
    Sample sample;
    fill(&sample);
    for (size_t i = 0; i < 12; i++) {
        CLEANUP(buf_done) Buf bytes = {0};
        KnownRows rows = {0};
        CHECK_OK(known_rows_write(&sample.rows, &bytes, &err), &err);
        memcpy(bytes.data + places[i / 4], &values[i % 4], sizeof(values[0]));
        const size_t end = bytes.size - KEY_BYTES;
        const Key128 sum = content_hash((Str){bytes.data, end});
        memcpy(bytes.data + end, &sum, KEY_BYTES);
        CHECK(!read_copy(buf_str(&bytes), arena, &rows, &err));
        CHECK_INT(err.code, ERROR_DATA);
        err = (Error){0};
    }
}

// --- in the landing

typedef struct World {
    Error err;
    Arena *arena;
    Store store;
    Landing *landing;
    SliceName name;
    PageInfo info;
    Str folder;
} World;

static bool open_world(World *world)
{
    Error *err = &world->err;
    world->arena = arena_new(BYTES_MAX, err);
    world->name = (SliceName){.run = STR(RUN),
                              .stream = STR("calls"),
                              .partition_key = STR("{\"account_id\":\"18\"}"),
                              .reading = 1};
    world->info = (PageInfo){.fetched_us = 5, .total = 1, .records = 1};
    TRY(world->arena != NULL &&
        store_open(&world->store, &store_memory, (DriverOptions){NULL, STR("options")}, &test_env,
                   world->arena, NULL, err));
    const LandingOptions options = {.store = &world->store, .job = STR("ctm"), .compression = 1};
    Path path;
    TRY(landing_open(&options, world->arena, &world->landing, err) &&
        landing_put_page(world->landing, &world->name, 0, &(PageBody){.plain = STR("{\"a\":1}")},
                         &world->info, err) &&
        path_of_slice(world->landing, &world->name, &path, err) &&
        arena_copy_str(world->arena, path_str(&path), &world->folder, err));
    Sample sample;
    fill(&sample);
    return landing_put_rows(world->landing, &world->name, &sample.rows, err);
}

static void close_world(World *world)
{
    landing_close(world->landing);
    store_close(&world->store);
    arena_free(world->arena);
}

#define WORLD()                             \
    CLEANUP(close_world) World world = {0}; \
    CHECK_OK(open_world(&world), &world.err)

// By a reader that has not looked before.
static bool are_there(World *world, KnownRows *ret_rows)
{
    Error err = {0};
    CLEANUP(landing_closep) Landing *landing = NULL;
    const LandingOptions options = {.store = &world->store, .job = STR("ctm"), .compression = 1};
    const KnownRows *rows = NULL;
    CHECK_OK(landing_open(&options, world->arena, &landing, &err), &err);
    const bool there = landing_find_rows(landing, world->folder, &rows);
    *ret_rows = (KnownRows){.page_count = there ? rows->page_count : 0};
    return there;
}

TEST(rows_are_found_beside_their_pages)
{
    WORLD();
    KnownRows rows = {0};
    CHECK(are_there(&world, &rows));
    CHECK_INT(rows.page_count, 3);
    const KnownRows *none = NULL;
    CHECK(!landing_find_rows(world.landing, STR("ctm/runs/elsewhere"), &none));
}

TEST(rows_go_before_a_page_is_rewritten)
{
    WORLD();
    KnownRows rows = {0};
    CHECK_OK(landing_rewrite_page(world.landing, &world.name, 0, STR("{\"b\":1}"), &world.info,
                                  &world.err),
             &world.err);
    CHECK(!are_there(&world, &rows));
}

TEST(rows_expire_with_their_pages)
{
    WORLD();
    KnownRows rows = {0};
    uint64_t files = 0;
    uint64_t bytes = 0;
    CHECK_OK(landing_expire(world.landing, INT64_MAX, &files, &bytes, &world.err), &world.err);
    CHECK_INT((int64_t)files, 2);
    CHECK(!are_there(&world, &rows));
}
