// Known pages: what comes back byte for byte is stored as it was compressed before, and nothing
// that is wrong with the cache or with the old file changes what is landed.
#include "lake/known_pages.h"
#include "lake/landing_path.h"

#include "harness/check.h"

enum { BYTES_MAX = 256 * 1024 * 1024, BODY_BYTES = 40 * 1000, FEW_BYTES = 1000 };

#define FIRST_RUN  "01890a5d-ac96-774b-bcce-b302099a8057"
#define SECOND_RUN "01890a5d-ac96-774b-bcce-b302099a8058"

typedef struct World {
    Error err;
    Arena *arena;
    Store store;
    KnownPages *known;
} World;

static bool open_world(World *world)
{
    world->arena = arena_new(BYTES_MAX, &world->err);
    TRY(world->arena != NULL);
    return store_open(&world->store, &store_memory, (DriverOptions){NULL, STR("options")},
                      &test_env, world->arena, NULL, &world->err);
}

static void close_world(World *world)
{
    known_pages_close(world->known);
    store_close(&world->store);
    arena_free(world->arena);
}

#define WORLD()                             \
    CLEANUP(close_world) World world = {0}; \
    CHECK_OK(open_world(&world), &world.err)

static SliceName slice_name(const char *run)
{
    return (SliceName){.run = str_from(run),
                       .stream = STR("calls"),
                       .partition_key = STR("{\"account_id\":\"18\"}"),
                       .reading = 1};
}

static Str make_body(Arena *arena, size_t size, unsigned seed)
{
    Error err = {0};
    char *bytes = arena_alloc_raw(arena, size, &err);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < size; i++)
        bytes[i] = i % 7 == 0 ? (char)('a' + (i * i + seed) % 26) : "\"value\""[i % 7];
    return (Str){bytes, size};
}

// Lands `body` as page 0 of its run at this level, which the stored bytes tell, as a run does: with
// the pages known that those before it left.
static PageInfo land(World *world, const char *run, Str body, int level)
{
    Error err = {0};
    CLEANUP(landing_closep) Landing *landing = NULL;
    const LandingOptions options = {
        .store = &world->store, .job = STR("ctm"), .compression = level};
    CHECK_OK(landing_open(&options, world->arena, &landing, &err), &err);
    known_pages_close(world->known);
    world->known = NULL;
    CHECK_OK(known_pages_open(&world->store, STR("ctm"), &world->known, &err), &err);
    landing_use_known(landing, world->known);
    const SliceName name = slice_name(run);
    PageInfo info = {.fetched_us = 5, .total = 1, .records = 1};
    CHECK_OK(landing_put_page(landing, &name, 0, &(PageBody){.plain = body}, &info, &err), &err);
    // Whatever way it went, what is read back is what came.
    Str read = {0};
    PageInfo ignored = {0};
    CHECK_OK(landing_get_page(landing, &name, 0, world->arena, &read, &ignored, &err), &err);
    CHECK(str_equal(read, body));
    const SliceManifest manifest = {.page_count = 1, .pages = &info};
    CHECK_OK(known_pages_add(world->known, landing, &name, &manifest, &err), &err);
    CHECK_OK(known_pages_write(world->known, &world->store, STR("ctm"), &err), &err);
    return info;
}

static bool same(const PageInfo *a, const PageInfo *b)
{
    return memcmp(&a->page_sha256, &b->page_sha256, sizeof(Sha256)) == 0;
}

enum { FAST = -7, THOROUGH = 19 };

// Lands the same twice, the second time after `harm` came over what the first run left.
static void check_compressed_anew(void (*harm)(World *world, Landing *landing, Str body))
{
    WORLD();
    const Str body = make_body(world.arena, BODY_BYTES, 1);
    const PageInfo first = land(&world, FIRST_RUN, body, FAST);
    Error err = {0};
    CLEANUP(landing_closep) Landing *landing = NULL;
    const LandingOptions options = {.store = &world.store, .job = STR("ctm"), .compression = FAST};
    CHECK_OK(landing_open(&options, world.arena, &landing, &err), &err);
    harm(&world, landing, body);
    const PageInfo second = land(&world, SECOND_RUN, body, THOROUGH);
    CHECK(second.stored_bytes < first.stored_bytes);
}

static Path page_path(const Landing *landing)
{
    Error err = {0};
    Path path = {.text = ""};
    const SliceName name = slice_name(FIRST_RUN);
    CHECK_OK(path_of_slice(landing, &name, &path, &err), &err);
    CHECK_OK(path_append_page(&path, 0, false, &err), &err);
    return path;
}

static void expire(World *world, Landing *landing, Str body)
{
    (void)body;
    Error err = {0};
    const Path path = page_path(landing);
    CHECK_OK(store_remove(&world->store, path_str(&path), &err), &err);
}

static void damage(World *world, Landing *landing, Str body)
{
    (void)body;
    Error err = {0};
    const Path path = page_path(landing);
    Str file = {0};
    CHECK_OK(store_read_all(&world->store, path_str(&path), BODY_BYTES, world->arena, &file, &err),
             &err);
    char *bytes = (char *)(uintptr_t)file.data;
    bytes[file.size - 9] ^= 1;
    CHECK_OK(store_put(&world->store, path_str(&path), file, 0, &err), &err);
}

static void cut_short(World *world, Landing *landing, Str body)
{
    (void)body;
    Error err = {0};
    const Path path = page_path(landing);
    CHECK_OK(store_put(&world->store, path_str(&path), STR("short"), 0, &err), &err);
}

// As `pawl forget` does.
static void rewrite(World *world, Landing *landing, Str body)
{
    Error err = {0};
    const SliceName name = slice_name(FIRST_RUN);
    PageInfo info = {.fetched_us = 5, .total = 1, .records = 1};
    CHECK_OK(
        landing_rewrite_page(landing, &name, 0, str_slice(body, 0, body.size / 2), &info, &err),
        &err);
    (void)world;
}

static void lose_cache(World *world, Landing *landing, Str body)
{
    (void)landing;
    (void)body;
    Error err = {0};
    CHECK_OK(store_put(&world->store, STR("ctm/pages.json"), STR("[["), 0, &err), &err);
}

TEST(a_page_that_comes_back_is_not_compressed_again)
{
    WORLD();
    const Str body = make_body(world.arena, BODY_BYTES, 1);
    const PageInfo first = land(&world, FIRST_RUN, body, FAST);
    const PageInfo second = land(&world, SECOND_RUN, body, THOROUGH);
    CHECK(same(&first, &second));
}

TEST(another_page_is_compressed)
{
    WORLD();
    const PageInfo first = land(&world, FIRST_RUN, make_body(world.arena, BODY_BYTES, 1), FAST);
    const PageInfo second =
        land(&world, SECOND_RUN, make_body(world.arena, BODY_BYTES, 2), THOROUGH);
    CHECK(!same(&first, &second));
    CHECK(second.stored_bytes < first.stored_bytes);
}

TEST(a_page_whose_old_file_is_gone_or_another_is_compressed)
{
    check_compressed_anew(expire);
    check_compressed_anew(damage);
    check_compressed_anew(cut_short);
    check_compressed_anew(rewrite);
}

TEST(without_the_cache_pages_are_compressed)
{
    check_compressed_anew(lose_cache);
}

TEST(small_pages_are_compressed)
{
    WORLD();
    const Str body = make_body(world.arena, FEW_BYTES, 1);
    const PageInfo first = land(&world, FIRST_RUN, body, FAST);
    const PageInfo second = land(&world, SECOND_RUN, body, THOROUGH);
    CHECK(!same(&first, &second));
}

// A run that reads a few days does not forget the years before them.
TEST(what_did_not_come_again_stays_known)
{
    WORLD();
    const Str old = make_body(world.arena, BODY_BYTES, 1);
    const PageInfo first = land(&world, FIRST_RUN, old, FAST);
    (void)land(&world, SECOND_RUN, make_body(world.arena, BODY_BYTES, 2), FAST);
    const PageInfo again = land(&world, "01890a5d-ac96-774b-bcce-b302099a8059", old, THOROUGH);
    CHECK(same(&first, &again));
}

// Of what is told of a page nothing is told of the next one.
TEST(where_a_page_lay_is_told_of_that_page_alone)
{
    WORLD();
    const Str body = make_body(world.arena, BODY_BYTES, 1);
    (void)land(&world, FIRST_RUN, body, FAST);
    Error err = {0};
    CLEANUP(landing_closep) Landing *landing = NULL;
    const LandingOptions options = {.store = &world.store, .job = STR("ctm"), .compression = FAST};
    CHECK_OK(landing_open(&options, world.arena, &landing, &err), &err);
    known_pages_close(world.known);
    world.known = NULL;
    CHECK_OK(known_pages_open(&world.store, STR("ctm"), &world.known, &err), &err);
    landing_use_known(landing, world.known);
    const PageBody others[] = {
        {.plain = make_body(world.arena, BODY_BYTES, 2)},
        {.plain = body, .encoded = STR("as it came"), .encoding = HTTP_ENCODING_GZIP},
        {.plain = body, .encoded = STR("as it came"), .encoding = HTTP_ENCODING_ZSTD},
    };
    const SliceName name = slice_name(SECOND_RUN);
    PageInfo info = {.fetched_us = 5, .total = 1, .records = 1};
    Str folder = {0};
    uint32_t number = 7;
    for (uint32_t i = 0; i < 3; i++) {
        check_row(i == 0 ? "another" : i == 1 ? "gzip" : "zstd");
        const PageBody known = {.plain = body};
        CHECK_OK(landing_put_page(landing, &name, 2 * i, &known, &info, &err), &err);
        CHECK(landing_was_known(landing, &folder, &number));
        CHECK_CONTAINS(folder, STR(FIRST_RUN));
        CHECK_INT(number, 0);
        CHECK_OK(landing_put_page(landing, &name, 2 * i + 1, &others[i], &info, &err), &err);
        CHECK(!landing_was_known(landing, &folder, &number));
    }
}
