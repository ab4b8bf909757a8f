// Pages, manifests and notes: what is landed is read back, and damage is noticed.
#include "lake/landing.h"
#include "lake/page_file.h"
#include "lake/seal.h"
#include "lake/slice_file.h"

#include "base/file.h"
#include "harness/azurite.h"
#include "harness/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RUN_BYTES = 256 * 1024 * 1024, BODY_BYTES = 40 * 1000 };

#define KEY    "{\"account_id\":\"18\"}"
#define RUN_ID "01890a5d-ac96-774b-bcce-b302099a8057"

typedef struct World {
    Error err;
    Arena *arena;
    Store store;
    Landing *landing;
} World;

static Env azurite_env; // the tests' own, but for numbers that never repeat

// Runs its block on each kind of store; Azurite where it is there.
static const StoreDriver *const stores[] = {&store_memory, &store_local, &store_adls, NULL};
#define EACH_STORE                                                       \
    for (const StoreDriver *const *each = stores; *each != NULL; each++) \
        if (*each != &store_adls || azurite_is_there())

static bool open_world(World *world, const StoreDriver *driver)
{
    Error *err = &world->err;
    world->arena = arena_new(RUN_BYTES, err);
    TRY(world->arena != NULL);
    yyjson_doc *doc = NULL;
    Str json = {NULL, 0};
    if (driver == &store_local)
        TRY(arena_printf(world->arena, &json, err, "{\"path\":\"%s/lake\"}", test_folder()) &&
            json_parse(json, "options", world->arena, &doc, err));
    if (driver == &store_adls) {
        azurite_env = test_env;
        azurite_env.random = azurite_random;
        TRY(azurite_open_store(&world->store, "", &azurite_env, world->arena, NULL, err));
    } else
        TRY(store_open(&world->store, driver,
                       (DriverOptions){yyjson_doc_get_root(doc), STR("options")}, &test_env,
                       world->arena, NULL, err));
    const LandingOptions options = {.store = &world->store, .job = STR("ctm"), .compression = -3};
    return landing_open(&options, world->arena, &world->landing, err);
}

static void close_world(World *world)
{
    landing_close(world->landing);
    store_close(&world->store);
    arena_free(world->arena);
}

#define WORLD(driver)                                   \
    CLEANUP(close_world) World world = {0};             \
    CHECK_OK(open_world(&world, (driver)), &world.err); \
    Error err = {0};                                    \
    Landing *landing = world.landing

static SliceName slice_name(uint32_t slice)
{
    return (SliceName){.run = STR(RUN_ID),
                       .stream = STR("calls"),
                       .partition_key = STR("{\"account_id\":\"18\"}"),
                       .slice = slice,
                       .reading = 1};
}

// Text that compresses about as pages do, and differs from seed to seed.
static Str make_body(Arena *arena, uint32_t seed)
{
    Error err = {0};
    char *bytes = arena_alloc_raw(arena, BODY_BYTES, &err);
    CHECK(bytes != NULL);
    uint32_t state = seed * 2654435761U + 1;
    for (size_t i = 0; i < BODY_BYTES; i++) {
        state = state * 1664525U + 1013904223U;
        bytes[i] = i % 5 == 0 ? (char)('a' + (state >> 24) % 26) : "\"key\":"[i % 6];
    }
    return (Str){bytes, BODY_BYTES};
}

static Str compress_gzip(Arena *arena, Str body)
{
    Error err = {0};
    z_stream stream = {0};
    CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    const size_t room = deflateBound(&stream, body.size);
    char *bytes = arena_alloc_raw(arena, room, &err);
    stream.next_in = (Bytef *)(uintptr_t)body.data;
    stream.avail_in = (uInt)body.size;
    stream.next_out = (Bytef *)bytes;
    stream.avail_out = (uInt)room;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    (void)deflateEnd(&stream);
    return (Str){bytes, stream.total_out};
}

static Str compress_zstd(Arena *arena, Str body)
{
    Error err = {0};
    const size_t room = ZSTD_compressBound(body.size);
    char *bytes = arena_alloc_raw(arena, room, &err);
    const size_t size = ZSTD_compress(bytes, room, body.data, body.size, 5);
    CHECK(!ZSTD_isError(size));
    return (Str){bytes, size};
}

static void check_info(const PageInfo *actual, const PageInfo *expected)
{
    CHECK_INT(actual->fetched_us, expected->fetched_us);
    CHECK_INT(actual->total, expected->total);
    CHECK_INT(actual->records, expected->records);
    CHECK_INT((int64_t)actual->body_bytes, (int64_t)expected->body_bytes);
    CHECK_INT((int64_t)actual->stored_bytes, (int64_t)expected->stored_bytes);
    CHECK(memcmp(&actual->page_sha256, &expected->page_sha256, sizeof(Sha256)) == 0);
}

static const PageInfo some_info = {.fetched_us = 1700000000123456, .total = 321, .records = 150};

// Lands page `page` of the slice with a body of its own.
static PageInfo land(World *world, const SliceName *name, uint32_t page)
{
    PageInfo info = some_info;
    CHECK_OK(landing_put_page(world->landing, name, page,
                              &(PageBody){.plain = make_body(world->arena, page)}, &info,
                              &world->err),
             &world->err);
    return info;
}

static SliceManifest manifest_of(PageInfo *pages, uint32_t count)
{
    return (SliceManifest){.from_us = 100,
                           .to_us = 200,
                           .fetched_us = pages[0].fetched_us,
                           .first_total = 321,
                           .last_total = -1,
                           .totals_moved = true,
                           .in_one_go = true,
                           .records = 300,
                           .distinct_keys = 299,
                           .page_count = count,
                           .pages = pages};
}

TEST(pages_are_read_back_as_they_came)
{
    EACH_STORE
    {
        WORLD(*each);
        const Str body = make_body(world.arena, 7);
        const Str two_members[] = {str_slice(body, 0, 1000), str_slice(body, 1000, BODY_BYTES)};
        Str packed[2];
        for (int i = 0; i < 2; i++)
            packed[i] = compress_gzip(world.arena, two_members[i]);
        Str members = {NULL, 0};
        CLEANUP(buf_done) Buf both = {0};
        CHECK_OK(buf_append(&both, packed[0], &err) && buf_append(&both, packed[1], &err), &err);
        members = buf_str(&both);
        CLEANUP(buf_done) Buf frames = {0};
        CHECK_OK(buf_append(&frames, compress_zstd(world.arena, two_members[0]), &err) &&
                     buf_append(&frames, compress_zstd(world.arena, two_members[1]), &err),
                 &err);
        const struct {
            const char *name;
            Str body;
            Str encoded;
            HttpEncoding encoding;
        } rows[] = {
            {"plain", body, STR(""), HTTP_ENCODING_IDENTITY},
            {"gzip", body, compress_gzip(world.arena, body), HTTP_ENCODING_GZIP},
            {"plain after gzip", body, STR(""), HTTP_ENCODING_IDENTITY},
            {"zstd", body, compress_zstd(world.arena, body), HTTP_ENCODING_ZSTD},
            {"gzip of two members", body, members, HTTP_ENCODING_GZIP},
            {"zstd of two frames", body, buf_str(&frames), HTTP_ENCODING_ZSTD},
            {"empty", STR(""), STR(""), HTTP_ENCODING_IDENTITY},
            {"empty gzip", STR(""), compress_gzip(world.arena, STR("")), HTTP_ENCODING_GZIP},
            {"not compressed after all", body, body, HTTP_ENCODING_IDENTITY},
        };
        const SliceName name = slice_name(3);
        for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            check_row(rows[i].name);
            PageInfo info = some_info;
            CHECK_OK(landing_put_page(landing, &name, i,
                                      &(PageBody){.plain = rows[i].body,
                                                  .encoded = rows[i].encoded,
                                                  .encoding = rows[i].encoding},
                                      &info, &err),
                     &err);
            CHECK_INT((int64_t)info.body_bytes, (int64_t)rows[i].body.size);
            const Sha256 sum = sha256(rows[i].encoded);
            if (rows[i].encoded.size > 0 && rows[i].encoding != HTTP_ENCODING_IDENTITY)
                CHECK(memcmp(&sum, &info.page_sha256, sizeof(sum)) == 0);
            Str got = {NULL, 0};
            PageInfo got_info = {0};
            CHECK_OK(landing_get_page(landing, &name, i, world.arena, &got, &got_info, &err), &err);
            CHECK(str_equal(got, rows[i].body));
            check_info(&got_info, &info);
        }
    }
}

// Compressed pages are kept byte for byte behind the note, which is what "as received" means.
TEST(received_bytes_are_stored_unchanged)
{
    WORLD(&store_local);
    const Str body = make_body(world.arena, 1);
    const Str packed = compress_gzip(world.arena, body);
    const SliceName name = slice_name(0);
    PageInfo info = some_info;
    CHECK_OK(landing_put_page(
                 landing, &name, 0,
                 &(PageBody){.plain = body, .encoded = packed, .encoding = HTTP_ENCODING_GZIP},
                 &info, &err),
             &err);
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "cd %s/lake/ctm/runs/" RUN_ID "/calls/*/00000000 && zcat 000000.json.gz | "
                   "sha256sum | cut -c1-64 && stat -c '%%a %%s' 000000.json.gz",
                   test_folder());
    FILE *pipe = popen(command, "r"); // NOLINT(cert-env33-c): a path of ours
    CHECK(pipe != NULL);
    char line[128] = "";
    char expected[2 * SHA256_BYTES + 1];
    const Sha256 body_sum = sha256(body);
    hex_encode(body_sum.bytes, SHA256_BYTES, expected);
    CHECK(fgets(line, sizeof(line), pipe) != NULL);
    CHECK_STR(str_trim(str_from(line)), str_from(expected));
    CHECK(fgets(line, sizeof(line), pipe) != NULL);
    (void)snprintf(expected, sizeof(expected), "600 %llu", (unsigned long long)info.stored_bytes);
    CHECK_STR(str_trim(str_from(line)), str_from(expected));
    CHECK(pclose(pipe) == 0);

    CLEANUP(buf_done) Buf file = {0};
    char path[256];
    const Sha256 partition = sha256(name.partition_key);
    char digits[2 * SHA256_BYTES + 1];
    hex_encode(partition.bytes, SHA256_BYTES, digits);
    (void)snprintf(path, sizeof(path), "ctm/runs/" RUN_ID "/calls/%.16s/00000000/000000.json.gz",
                   digits);
    CHECK_OK(store_read_into(&world.store, str_from(path), RUN_BYTES, &file, &err), &err);
    CHECK(str_ends_with(buf_str(&file), packed));
}

TEST(a_landed_page_stays)
{
    EACH_STORE
    {
        WORLD(*each);
        const SliceName name = slice_name(0);
        const PageInfo info = land(&world, &name, 0);
        const Str other = make_body(world.arena, 99);
        const Str packed = compress_gzip(world.arena, other);
        for (int i = 0; i < 2; i++) {
            PageInfo second = some_info;
            CHECK(!landing_put_page(
                landing, &name, 0,
                &(PageBody){.plain = other,
                            .encoded = i == 0 ? STR("") : packed,
                            .encoding = i == 0 ? HTTP_ENCODING_IDENTITY : HTTP_ENCODING_GZIP},
                &second, &err));
            CHECK_INT(err.code, ERROR_CONFLICT);
            CHECK_INT((int64_t)second.stored_bytes, 0);
            err = (Error){0};
        }
        Str body = {NULL, 0};
        PageInfo got = {0};
        CHECK_OK(landing_get_page(landing, &name, 0, world.arena, &body, &got, &err), &err);
        check_info(&got, &info);
    }
}

// What a fresh run saves itself is the look for the other compression, and nothing else.
TEST(a_landed_page_stays_also_where_nothing_was_expected)
{
    EACH_STORE
    {
        WORLD(*each);
        landing_expect_nothing(landing);
        const SliceName name = slice_name(0);
        const PageInfo info = land(&world, &name, 0);
        PageInfo second = some_info;
        CHECK(!landing_put_page(landing, &name, 0, &(PageBody){.plain = make_body(world.arena, 99)},
                                &second, &err));
        CHECK_INT(err.code, ERROR_CONFLICT);
        err = (Error){0};
        Str body = {NULL, 0};
        PageInfo got = {0};
        CHECK_OK(landing_get_page(landing, &name, 0, world.arena, &body, &got, &err), &err);
        check_info(&got, &info);
    }
}

TEST(a_page_that_was_not_landed_is_not_found)
{
    EACH_STORE
    {
        WORLD(*each);
        SliceName name = slice_name(0);
        (void)land(&world, &name, 0);
        Str body = STR("untouched");
        PageInfo info = {.total = 5};
        const SliceName others[] = {
            slice_name(0),
            slice_name(1),
            {.run = name.run,
             .stream = STR("users"),
             .partition_key = name.partition_key,
             .reading = 1},
            {.run = name.run, .stream = name.stream, .partition_key = STR("other"), .reading = 1},
            {.run = name.run,
             .stream = name.stream,
             .partition_key = name.partition_key,
             .reading = 2}};
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            CHECK(!landing_get_page(landing, &others[i], i == 0 ? 1 : 0, world.arena, &body, &info,
                                    &err));
            CHECK_INT(err.code, ERROR_NOT_FOUND);
            CHECK_STR(body, STR("untouched"));
            CHECK_INT(info.total, 5);
            err = (Error){0};
        }
    }
}

TEST(a_manifest_is_read_back)
{
    EACH_STORE
    {
        WORLD(*each);
        const SliceName name = slice_name(12);
        PageInfo pages[] = {land(&world, &name, 0), land(&world, &name, 1)};
        const SliceManifest put = manifest_of(pages, 2);
        SliceManifest got = {0};
        CHECK(!landing_get_slice(landing, &name, world.arena, &got, &err));
        CHECK_INT(err.code, ERROR_NOT_FOUND);
        err = (Error){0};
        CHECK_OK(landing_finish_slice(landing, &name, &put, &err), &err);
        CHECK_OK(landing_get_slice(landing, &name, world.arena, &got, &err), &err);
        CHECK_INT(got.from_us, 100);
        CHECK_INT(got.to_us, 200);
        CHECK_INT(got.fetched_us, some_info.fetched_us);
        CHECK_INT(got.first_total, 321);
        CHECK_INT(got.last_total, -1);
        CHECK(got.totals_moved && got.in_one_go);
        CHECK_INT(got.records, 300);
        CHECK_INT(got.distinct_keys, 299);
        CHECK_INT(got.page_count, 2);
        for (int i = 0; i < 2; i++)
            check_info(&got.pages[i], &pages[i]);
        CHECK(!landing_finish_slice(landing, &name, &put, &err));
        CHECK_INT(err.code, ERROR_CONFLICT);
    }
}

TEST(a_slice_without_pages_can_be_whole)
{
    EACH_STORE
    {
        WORLD(*each);
        const SliceName name = slice_name(0);
        const SliceManifest put = {.first_total = 0, .last_total = 0};
        SliceManifest got = {.page_count = 9};
        CHECK_OK(landing_finish_slice(landing, &name, &put, &err), &err);
        CHECK_OK(landing_get_slice(landing, &name, world.arena, &got, &err), &err);
        CHECK_INT(got.page_count, 0);
    }
}

TEST(a_slice_that_lacks_a_page_is_not_finished)
{
    EACH_STORE
    {
        WORLD(*each);
        const SliceName name = slice_name(0);
        PageInfo pages[] = {land(&world, &name, 0), some_info};
        const SliceManifest lacking = manifest_of(pages, 2);
        CHECK(!landing_finish_slice(landing, &name, &lacking, &err));
        CHECK_INT(err.code, ERROR_NOT_FOUND);
        CHECK_CONTAINS(str_from(err.message), STR("page 1 is not landed"));
        pages[0].stored_bytes++;
        const SliceManifest other_size = manifest_of(pages, 1);
        CHECK(!landing_finish_slice(landing, &name, &other_size, &err));
        CHECK_INT(err.code, ERROR_DATA);
        SliceManifest got = {0};
        CHECK(!landing_get_slice(landing, &name, world.arena, &got, &err));
        CHECK_INT(err.code, ERROR_NOT_FOUND);
    }
}

TEST(many_slices_are_finished_at_once)
{
    EACH_STORE
    {
        WORLD(*each);
        enum { SLICES = 20, PAGES = 3 };
        SliceName names[SLICES];
        SliceManifest manifests[SLICES];
        PageInfo pages[SLICES][PAGES];
        for (uint32_t i = 0; i < SLICES; i++) {
            names[i] = slice_name(i);
            for (uint32_t k = 0; k < PAGES; k++)
                pages[i][k] = land(&world, &names[i], k);
            manifests[i] = manifest_of(pages[i], PAGES);
        }
        CHECK_OK(landing_finish_slices(landing, names, manifests, SLICES, &err), &err);
        for (uint32_t i = 0; i < SLICES; i++) {
            SliceManifest got = {0};
            CHECK_OK(landing_get_slice(landing, &names[i], world.arena, &got, &err), &err);
            CHECK_INT(got.page_count, PAGES);
        }
    }
}

TEST(notes_are_read_back_byte_for_byte)
{
    EACH_STORE
    {
        WORLD(*each);
        const Str run = STR(RUN_ID);
        const Str first = STR("{ \"plan\" : [1, 2.50] }\n");
        Str got = {NULL, 0};
        CHECK(!landing_get_note(landing, run, STR("run.json"), world.arena, &got, &err));
        CHECK_INT(err.code, ERROR_NOT_FOUND);
        err = (Error){0};
        CHECK_OK(landing_create_note(landing, run, STR("run.json"), first, &err), &err);
        CHECK(!landing_create_note(landing, run, STR("run.json"), STR("2"), &err));
        CHECK_INT(err.code, ERROR_CONFLICT);
        CHECK_OK(landing_get_note(landing, run, STR("run.json"), world.arena, &got, &err), &err);
        CHECK_STR(got, first);
        CHECK_OK(landing_put_note(landing, run, STR("run.json"), STR("[]"), &err), &err);
        CHECK_OK(landing_put_note(landing, run, STR("calls/loads/000001.json"), STR("3"), &err),
                 &err);
        CHECK_OK(landing_get_note(landing, run, STR("run.json"), world.arena, &got, &err), &err);
        CHECK_STR(got, STR("[]"));
        CHECK_OK(
            landing_get_note(landing, run, STR("calls/loads/000001.json"), world.arena, &got, &err),
            &err);
        CHECK_STR(got, STR("3"));
        CHECK(!landing_put_note(landing, run, STR("empty.json"), STR(""), &err));
        CHECK_INT(err.code, ERROR_LIMIT);
        CHECK(!landing_put_note(landing, run, STR("../x.json"), STR("1"), &err));
        CHECK_INT(err.code, ERROR_JOB);
    }
}

// Names of jobs and streams come from files that people write.
TEST(names_cannot_leave_their_folder)
{
    WORLD(&store_local);
    static const char *const streams[] = {"../../x", "run.json",    "a/b",
                                          ".store",  "\xC3\xBC \n", "%2E"};
    for (uint32_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        SliceName name = slice_name(0);
        name.stream = str_from(streams[i]);
        PageInfo pages[] = {land(&world, &name, i)};
        Str body = {NULL, 0};
        PageInfo info = {0};
        CHECK_OK(landing_get_page(landing, &name, i, world.arena, &body, &info, &err), &err);
        check_info(&info, &pages[0]);
    }
    CHECK_OK(landing_put_note(landing, STR(RUN_ID), STR("run.json"), STR("1"), &err), &err);
    struct stat status;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/lake/ctm/runs/" RUN_ID "/%%2E%%2E%%2F%%2E%%2E%%2Fx",
                   test_folder());
    CHECK(stat(path, &status) == 0);
    SliceName name = slice_name(0);
    PageInfo info = some_info;
    name.partition_key = STR("\xFF");
    CHECK(!landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err));
    CHECK_INT(err.code, ERROR_DATA);
    name = slice_name(0);
    name.run = STR("");
    CHECK(!landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err));
    CHECK_INT(err.code, ERROR_JOB);
}

TEST(names_too_long_are_refused)
{
    WORLD(&store_local);
    char text[LANDING_NAME_BYTES_MAX + 1];
    memset(text, '%', sizeof(text)); // each becomes three bytes
    SliceName name = slice_name(0);
    PageInfo info = some_info;
    static const size_t sizes[] = {STORE_PART_BYTES_MAX / 3, STORE_PART_BYTES_MAX / 3 + 1};
    for (size_t i = 0; i < 2; i++) {
        name.stream = (Str){text, sizes[i]};
        name.run = name.stream;
        const bool ok =
            landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err);
        CHECK_INT(err.code, i == 0 ? ERROR_NONE : ERROR_JOB);
        CHECK(ok == (i == 0));
    }
    name.run = STR(RUN_ID);
    name.stream = (Str){text, sizeof(text)};
    CHECK(!landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err));
    CHECK_INT(err.code, ERROR_JOB);
    name.stream = STR("calls");
    name.partition_key = (Str){text, 0};
    CHECK_OK(landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err),
             &err);
    static char key[LANDING_KEY_BYTES_MAX + 1];
    memset(key, '"', sizeof(key)); // the longest, and the longest when written as JSON
    name.partition_key = (Str){key, LANDING_KEY_BYTES_MAX};
    CHECK_OK(landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err),
             &err);
    name.partition_key.size++;
    CHECK(!landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err));
    CHECK_INT(err.code, ERROR_DATA);
}

// --- damage

// Overwrites the one file that matches below the test's lake.
static void damage(const char *pattern, const char *how)
{
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "f=$(find %s/lake/ctm -path '%s') && [ -f \"$f\" ] && %s", test_folder(),
                   pattern, how);
    CHECK(system(command) == 0); // NOLINT(cert-env33-c): a path of ours
}

static const char *const damages[] = {
    "truncate -s -1 \"$f\"",
    "truncate -s 0 \"$f\"",
    "truncate -s 100 \"$f\"",
    "printf X | dd of=\"$f\" bs=1 seek=2 conv=notrunc status=none",
    "printf X | dd of=\"$f\" bs=1 seek=90 conv=notrunc status=none",
    "printf XYZXYZ | dd of=\"$f\" bs=1 seek=300 conv=notrunc status=none",
};
enum { DAMAGES = sizeof(damages) / sizeof(damages[0]) };

TEST(a_damaged_page_of_a_whole_slice_is_told)
{
    for (size_t i = 0; i < DAMAGES; i++) {
        check_row(damages[i]);
        WORLD(&store_local);
        const SliceName name = slice_name((uint32_t)i);
        PageInfo pages[] = {land(&world, &name, 0)};
        const SliceManifest manifest = manifest_of(pages, 1);
        CHECK_OK(landing_finish_slice(landing, &name, &manifest, &err), &err);
        char pattern[64];
        (void)snprintf(pattern, sizeof(pattern), "*/%08zu/000000.json.zst", i);
        damage(pattern, damages[i]);
        Str body = {NULL, 0};
        PageInfo info = {0};
        CHECK(!landing_get_page(landing, &name, 0, world.arena, &body, &info, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), str_from(pattern + 2));
        // Nor may it be replaced on the quiet.
        CHECK(!landing_put_page(landing, &name, 0, &(PageBody){.plain = STR("x")}, &info, &err));
        CHECK_INT(err.code, ERROR_CONFLICT);
    }
}

// A crash of the machine can leave such pages; they were promised to nobody.
TEST(a_torn_page_of_an_unfinished_slice_counts_as_not_landed)
{
    for (size_t i = 0; i < DAMAGES; i++) {
        check_row(damages[i]);
        WORLD(&store_local);
        const SliceName name = slice_name((uint32_t)i);
        (void)land(&world, &name, 0);
        char pattern[64];
        (void)snprintf(pattern, sizeof(pattern), "*/%08zu/000000.json.zst", i);
        damage(pattern, damages[i]);
        Str body = {NULL, 0};
        PageInfo info = some_info;
        CHECK(!landing_get_page(landing, &name, 0, world.arena, &body, &info, &err));
        CHECK_INT(err.code, ERROR_NOT_FOUND);
        err = (Error){0};
        // Asked for again, this time compressed by the server in every second case.
        const Str again = make_body(world.arena, 5);
        const bool gzip = i % 2 == 1;
        CHECK_OK(landing_put_page(
                     landing, &name, 0,
                     &(PageBody){.plain = again,
                                 .encoded = gzip ? compress_gzip(world.arena, again) : STR(""),
                                 .encoding = gzip ? HTTP_ENCODING_GZIP : HTTP_ENCODING_IDENTITY},
                     &info, &err),
                 &err);
        CHECK_OK(landing_get_page(landing, &name, 0, world.arena, &body, &info, &err), &err);
        CHECK(str_equal(body, again));
    }
}

TEST(damaged_manifests_and_notes_are_told)
{
    for (size_t i = 0; i < DAMAGES; i++) {
        check_row(damages[i]);
        WORLD(&store_local);
        const SliceName name = slice_name((uint32_t)i);
        PageInfo pages[] = {land(&world, &name, 0), land(&world, &name, 1)};
        const SliceManifest manifest = manifest_of(pages, 2);
        CHECK_OK(landing_finish_slice(landing, &name, &manifest, &err), &err);
        char pattern[64];
        (void)snprintf(pattern, sizeof(pattern), "*/%08zu/slice.json", i);
        damage(pattern, damages[i]);
        SliceManifest got = {0};
        CHECK(!landing_get_slice(landing, &name, world.arena, &got, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), str_from(pattern + 2));

        CLEANUP(buf_done) Buf note = {0};
        for (int k = 0; k < 100; k++)
            CHECK(buf_printf(&note, &err, "%s%d", k == 0 ? "[" : ",", k));
        CHECK(buf_append_char(&note, ']', &err));
        CHECK_OK(landing_put_note(landing, STR(RUN_ID), STR("run.json"), buf_str(&note), &err),
                 &err);
        damage("*/run.json", damages[i]);
        Str text = {NULL, 0};
        CHECK(!landing_get_note(landing, STR(RUN_ID), STR("run.json"), world.arena, &text, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), STR("run.json"));
    }
}

// Each member of a manifest must be there, once, and be what it should; the rest of it is right.
TEST(manifests_are_read_strictly)
{
    static const char text[] =
        "{\"stream\":\"calls\",\"partition\":\"18\",\"slice\":1,\"reading\":1,\"from_us\":1,"
        "\"to_us\":2,\"fetched_us\":3,\"first_total\":-1,\"last_total\":5,"
        "\"totals_moved\":false,\"in_one_go\":true,\"records\":5,\"distinct_keys\":4,\"pages\":[]}";
    const struct {
        const char *from;
        const char *to;
        const char *expected; // "" = fine
    } rows[] = {
        {"\"slice\"", "\"slice\"", ""},
        {"\"slice\":1,", "", "slice is missing"},
        {"\"slice\":1", "\"slice\":-1", "slice is -1"},
        {"\"slice\":1", "\"slice\":4294967296", "slice is 4294967296"},
        {"\"slice\":1", "\"slice\":1.5", "slice is not a whole number"},
        {"\"slice\":1", "\"slice\":18446744073709551615", "slice is not a whole number"},
        {"\"slice\":1", "\"slice\":\"1\"", "slice is not a whole number"},
        {"\"reading\":1", "\"reading\":0", "reading is 0"},
        {"\"stream\":\"calls\"", "\"stream\":7", "stream is not a string"},
        {"\"in_one_go\":true", "\"in_one_go\":1", "in_one_go is neither true nor false"},
        {"\"pages\":[]", "\"pages\":{}", "pages is not an array"},
        {"\"pages\":[]", "\"pages\":[3]", "not a JSON object"},
        {"\"pages\":[]", "\"pages\":[{}]", "fetched_us is missing"},
        {"\"first_total\":-1", "\"first_total\":-2", "first_total is -2"},
        {"\"to_us\":2", "\"to_us\":0", "to_us is 0"},
        {"\"slice\":1", "\"slice\":1,\"slice\":1", "does not know"},
        {"\"slice\":1", "\"slice\":1,\"more\":1", "does not know"},
        {"\"slice\":1", "\"slice\":", "line 1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].to);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const size_t place = str_find(STR(text), str_from(rows[i].from));
        Str json = {NULL, 0};
        CHECK_OK(arena_printf(arena, &json, &err, "%.*s%s%s", (int)place, text, rows[i].to,
                              text + place + strlen(rows[i].from)),
                 &err);
        CLEANUP(buf_done) Buf sealed = {0};
        CHECK_OK(seal_write("slice", json, &sealed, &err), &err);
        SliceName name = {0};
        SliceManifest manifest = {0};
        const bool ok = slice_file_read(buf_str(&sealed), "file", arena, &name, &manifest, &err);
        CHECK(ok == (rows[i].expected[0] == '\0'));
        CHECK_INT(err.code, ok ? ERROR_NONE : ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].expected));
        CHECK_INT(name.slice, ok ? 1 : 0);
    }
}

TEST(a_newer_document_is_told_from_a_damaged_one)
{
    Error err = {0};
    CLEANUP(buf_done) Buf sealed = {0};
    Str body = {NULL, 0};
    CHECK_OK(seal_write("note", STR("[1]"), &sealed, &err), &err);
    sealed.data[10] = '2';
    CHECK(!seal_read("note", buf_str(&sealed), "file", &body, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_CONTAINS(str_from(err.message), STR("newer"));
}

TEST(a_file_in_a_wrong_place_is_told)
{
    WORLD(&store_local);
    const SliceName name = slice_name(0);
    PageInfo pages[] = {land(&world, &name, 0), land(&world, &name, 1)};
    const SliceManifest manifest = manifest_of(pages, 2);
    CHECK_OK(landing_finish_slice(landing, &name, &manifest, &err), &err);
    damage("*/000000.json.zst", "cp \"$f\" \"$(dirname \"$f\")/000001.json.zst\"");
    damage("*/slice.json", "mkdir -p \"$(dirname \"$f\")/../00000001\" && cp \"$f\" \"$(dirname "
                           "\"$f\")/../00000001\"");
    Str body = {NULL, 0};
    PageInfo info = {0};
    CHECK(!landing_get_page(landing, &name, 1, world.arena, &body, &info, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_CONTAINS(str_from(err.message), STR("another page"));
    const SliceName other = slice_name(1);
    SliceManifest got = {0};
    CHECK(!landing_get_slice(landing, &other, world.arena, &got, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_CONTAINS(str_from(err.message), STR("another slice"));
}

// Each bit of a small page file, flipped alone: never another body, another note, or a crash.
TEST(no_flipped_bit_gives_a_wrong_page)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const Str body = STR("{\"calls\":[{\"id\":1},{\"id\":2},{\"id\":3},{\"id\":4}]}");
    const struct {
        const char *name;
        Str encoded;
        HttpEncoding encoding;
    } rows[] = {
        {"zstd", STR(""), HTTP_ENCODING_IDENTITY},
        {"gzip", compress_gzip(arena, body), HTTP_ENCODING_GZIP},
    };
    for (size_t r = 0; r < 2; r++) {
        check_row(rows[r].name);
        CLEANUP(page_coder_done) PageCoder coder = {.level = 1};
        CLEANUP(buf_done) Buf file = {0};
        PageNote note = {
            .stream = STR("calls"), .partition_key = STR("18"), .reading = 1, .info = some_info};
        CHECK_OK(
            page_file_write(&coder, &note, body, rows[r].encoded, rows[r].encoding, &file, &err),
            &err);
        CLEANUP(arena_freep) Arena *scratch = arena_new(RUN_BYTES, &err);
        int64_t refused = 0;
        for (size_t i = 0; i < file.size * 8; i++) {
            arena_reset(scratch);
            file.data[i / 8] = (char)(file.data[i / 8] ^ 1 << i % 8);
            PageNote got = {0};
            Str got_body = {NULL, 0};
            if (page_file_read(&coder, buf_str(&file), "f", scratch, &got, &got_body, &err)) {
                CHECK_STR(got_body, body); // a bit without meaning, such as gzip's file time
                check_info(&got.info, &note.info);
            } else {
                CHECK_INT(err.code, ERROR_DATA);
                refused++;
            }
            file.data[i / 8] = (char)(file.data[i / 8] ^ 1 << i % 8);
        }
        CHECK(refused > (int64_t)file.size * 8 - 120);
        for (size_t size = 0; size < file.size; size++) {
            arena_reset(scratch);
            PageNote got = {0};
            Str got_body = {NULL, 0};
            CHECK(!page_file_read(&coder, (Str){file.data, size}, "f", scratch, &got, &got_body,
                                  &err));
            CHECK_INT(err.code, ERROR_DATA);
        }
    }
}

// The corpus was written by a program of its own from the format's description in page_file.h.
TEST(pages_of_another_writer_are_read)
{
    static const char *const names[] = {"page_zstd", "page_gzip"};
    for (size_t i = 0; i < 2; i++) {
        check_row(names[i]);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(page_coder_done) PageCoder coder = {0};
        char path[64];
        (void)snprintf(path, sizeof(path), "fuzz/corpus/landing/%s", names[i]);
        Str file = {NULL, 0};
        PageNote note = {0};
        Str body = {NULL, 0};
        CHECK_OK(file_read(path, RUN_BYTES / 2, arena, &file, &err), &err);
        CHECK_OK(
            page_file_read(&coder, str_slice(file, 1, file.size), path, arena, &note, &body, &err),
            &err);
        CHECK_STR(body, STR("{\"calls\":[{\"id\":1},{\"id\":2}]}"));
        CHECK_STR(note.stream, STR("calls"));
        CHECK_STR(note.partition_key, STR("{\"account_id\":18}"));
        CHECK_INT(note.slice, 3);
        CHECK_INT(note.reading, 1);
        CHECK_INT(note.page, 2);
        CHECK_INT(note.info.fetched_us, 1700000000000000);
    }
}

// --- erasure

static bool slice_folder(World *world, const SliceName *name, Str *ret_folder)
{
    char digits[17];
    const Sha256 partition = sha256(name->partition_key);
    hex_encode(partition.bytes, 8, digits);
    return arena_printf(world->arena, ret_folder, &world->err, "ctm/runs/" RUN_ID "/calls/%s/%08u",
                        digits, name->slice);
}

// A page as the server packed it, which a kill left beside the one that was to take its place.
static void land_twice(World *world, const SliceName *name, Str older, Str newer)
{
    Error *err = &world->err;
    PageInfo info = some_info;
    CHECK_OK(landing_put_page(world->landing, name, 0,
                              &(PageBody){.plain = older,
                                          .encoded = compress_gzip(world->arena, older),
                                          .encoding = HTTP_ENCODING_GZIP},
                              &info, err),
             err);
    PageCoder coder = {.level = 1};
    PageNote note = {.stream = name->stream,
                     .partition_key = name->partition_key,
                     .slice = name->slice,
                     .reading = name->reading,
                     .info = some_info};
    CLEANUP(buf_done) Buf file = {0};
    CHECK_OK(page_file_write(&coder, &note, newer, (Str){0}, HTTP_ENCODING_IDENTITY, &file, err),
             err);
    page_coder_done(&coder);
    Str path = {0};
    CHECK_OK(
        slice_folder(world, name, &path) &&
            arena_printf(world->arena, &path, err, STR_FMT "/000000.json.zst", STR_ARG(path)) &&
            store_create(&world->store, path, buf_str(&file), 0, err),
        err);
}

static bool count_page(void *visitor, const StoreEntry *entry)
{
    (void)entry;
    ++*(int64_t *)visitor;
    return true;
}

static int64_t count_pages(World *world, const SliceName *name)
{
    int64_t count = 0;
    Str folder = {0};
    CHECK_OK(slice_folder(world, name, &folder) &&
                 store_list(&world->store, folder, 0, count_page, &count, &world->err),
             &world->err);
    return count;
}

TEST(of_a_page_that_stands_twice_the_older_one_is_erased_from)
{
    EACH_STORE
    for (int rewrites = 0; rewrites < 2; rewrites++) {
        WORLD(*each);
        const SliceName name = slice_name(4 + (uint32_t)rewrites);
        const Str older = make_body(world.arena, 1);
        const Str newer = make_body(world.arena, 2);
        land_twice(&world, &name, older, newer);
        OldestPage page = {0};
        CHECK_INT(count_pages(&world, &name), 2);
        for (int i = 0; i < 2; i++) { // looking changes nothing
            CHECK_OK(landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err), &err);
            CHECK(page.twice && str_equal(page.body, older));
        }
        const Str wanted = rewrites == 1 ? make_body(world.arena, 3) : newer;
        PageInfo kept = page.info;
        CHECK_OK(rewrites == 1
                     ? landing_rewrite_page(landing, &name, 0, wanted, &kept, &err)
                     : landing_keep_newest_page(landing, &name, 0, world.arena, &kept, &err),
                 &err);
        CHECK_INT(count_pages(&world, &name), 1);
        CHECK_OK(landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err), &err);
        CHECK(!page.twice && str_equal(page.body, wanted));
        check_info(&page.info, &kept);
    }
}

TEST(every_fault_of_an_erasure_leaves_a_page)
{
    int round = 0;
    for (bool more = true; more;) { // not FAULTS(): what was left is looked at without faults
        round++;
        WORLD(&store_local);
        const SliceName name = slice_name((uint32_t)round);
        const Str older = make_body(world.arena, 1);
        const Str newest = make_body(world.arena, 3);
        land_twice(&world, &name, older, make_body(world.arena, 2));
        OldestPage page = {0};
        PageInfo kept = some_info;
        fault_arm(round);
        const bool ok = landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err) &&
                        landing_rewrite_page(landing, &name, 0, newest, &kept, &err) &&
                        landing_keep_newest_page(landing, &name, 0, world.arena, &kept, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        more = fault_disarm();
        err = (Error){0};
        CHECK_OK(landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err), &err);
        // The older one is there until the newer one is durable, and then no more.
        CHECK(str_equal(page.body, newest) || (!ok && str_equal(page.body, older)));
        CHECK(!ok || !page.twice);
    }
    CHECK(round > 15);
}

TEST(a_page_that_cannot_be_read_is_never_taken_for_none_by_who_erases)
{
    WORLD(&store_local);
    const SliceName name = slice_name(4);
    OldestPage page = {0};
    CHECK(!landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
    err = (Error){0};
    land_twice(&world, &name, make_body(world.arena, 1), make_body(world.arena, 2));
    damage("*/00000004/000000.json.gz", damages[0]);
    // The newer one tells what the older one held and may stay.
    CHECK_OK(landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err), &err);
    CHECK(page.twice && str_equal(page.body, make_body(world.arena, 2)));
    damage("*/00000004/000000.json.zst", damages[0]);
    CHECK(!landing_get_oldest_page(landing, &name, 0, world.arena, &page, &err));
    CHECK_INT(err.code, ERROR_DATA);
    err = (Error){0};
    CHECK(!landing_keep_newest_page(landing, &name, 0, world.arena, &page.info, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_INT(count_pages(&world, &name), 2);
}

// --- walking

typedef struct Seen {
    Buf text;
} Seen;

static bool note_slice(void *visitor, const LandedSlice *slice, Error *err)
{
    Seen *seen = visitor;
    return buf_printf(&seen->text, err, STR_FMT "/" STR_FMT "/%u.%u:%s%u ",
                      STR_ARG(slice->name.stream), STR_ARG(slice->name.partition_key),
                      slice->name.slice, slice->name.reading,
                      slice->unknown            ? "torn"
                      : slice->manifest == NULL ? "open"
                                                : "whole",
                      slice->pages_found);
}

static void check_visit(Landing *landing, const char *stream, const char *expected)
{
    Error err = {0};
    Seen seen = {0};
    CHECK_OK(landing_visit_slices(landing, STR(RUN_ID), str_from(stream), note_slice, &seen, &err),
             &err);
    CHECK_STR(buf_str(&seen.text), str_from(expected));
    buf_done(&seen.text);
}

TEST(slices_are_visited_in_order)
{
    EACH_STORE
    {
        WORLD(*each);
        check_visit(landing, "", "");
        SliceName names[] = {slice_name(10), slice_name(9), slice_name(9), slice_name(0)};
        names[2].reading = 2;
        names[3].stream = STR("a stream");
        for (int i = 0; i < 4; i++) {
            PageInfo pages[] = {land(&world, &names[i], 0), land(&world, &names[i], 1)};
            const SliceManifest manifest = manifest_of(pages, 2);
            if (i != 1)
                CHECK_OK(landing_finish_slice(landing, &names[i], &manifest, &err), &err);
        }
        CHECK_OK(
            landing_put_note(landing, STR(RUN_ID), STR("calls/loads/000000.json"), STR("1"), &err),
            &err);
        check_visit(landing, "",
                    "a stream/" KEY "/0.1:whole2 calls/" KEY "/9.1:open2 calls/" KEY
                    "/9.2:whole2 calls/" KEY "/10.1:whole2 ");
        check_visit(landing, "a stream", "a stream/" KEY "/0.1:whole2 ");
        check_visit(landing, "none", "");
    }
}

TEST(many_slices_are_visited)
{
    WORLD(&store_memory);
    enum { MANY = 150 };
    CLEANUP(buf_done) Buf expected = {0};
    for (uint32_t i = 0; i < MANY; i++) {
        const SliceName name = slice_name(MANY - 1 - i);
        (void)land(&world, &name, 0);
        CHECK_OK(buf_printf(&expected, &err, "calls/" KEY "/%u.1:open1 ", i), &err);
    }
    CHECK_OK(buf_append_char(&expected, '\0', &err), &err);
    check_visit(landing, "calls", expected.data);
    uint64_t files = 0;
    uint64_t bytes = 0;
    CHECK_OK(landing_expire(landing, INT64_MAX, &files, &bytes, &err), &err);
    CHECK_INT((int64_t)files, MANY);
    check_visit(landing, "calls", "");
}

// Somebody may have put files of their own there.
TEST(what_is_not_ours_is_passed_over)
{
    WORLD(&store_memory);
    static const char *const strange[] = {
        "ctm/runs/notes.txt",
        "ctm/runs/a b/run.json",
        "ctm/runs/" RUN_ID "/x.txt",
        "ctm/runs/" RUN_ID "/a b/0123456789abcdef/00000000/slice.json",
        "ctm/runs/" RUN_ID "/%41/0123456789abcdef/00000000/slice.json",
        "ctm/runs/" RUN_ID "/calls/0123/00000000/slice.json",
        "ctm/runs/" RUN_ID "/calls/0123456789abcdef/0/slice.json",
        "ctm/runs/" RUN_ID "/calls/0123456789abcdef/00000000.1/slice.json",
        "ctm/runs/" RUN_ID "/calls/0123456789abcdef/00000001/other.txt",
        "ctm/runs/" RUN_ID "/calls/0123456789abcdef/00000002/000000.json.zst", // not a page
        "ctm/runs/" RUN_ID "/calls/0123456789abcdef/00000002/1.json.zst",
    };
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
        CHECK_OK(store_create(&world.store, str_from(strange[i]), STR("x"), 0, &err), &err);
    const SliceName name = slice_name(5);
    (void)land(&world, &name, 0);
    // Of what has a page's name and is none, nobody knows more than its folder says.
    check_visit(landing, "", "calls//2.1:torn1 calls/" KEY "/5.1:open1 ");
    Str *found = NULL;
    size_t count = 0;
    CHECK_OK(landing_list_runs(landing, world.arena, &found, &count, &err), &err);
    CHECK_INT((int64_t)count, 1);
    uint64_t files = 0;
    uint64_t bytes = 0;
    CHECK_OK(landing_expire(landing, INT64_MAX, &files, &bytes, &err), &err);
    CHECK_INT((int64_t)files, 2); // the torn one as well: it may hold what must not be kept
}

static bool note_end(void *visitor, const LandedSlice *slice, Error *err)
{
    (void)err;
    *(uint32_t *)visitor = slice->page_end;
    return true;
}

// After a crash of the machine any of them may be torn, or gone.
TEST(a_slice_is_known_by_any_page_that_can_be_read)
{
    WORLD(&store_local);
    const SliceName name = slice_name(7);
    for (uint32_t page = 0; page < 5; page++)
        (void)land(&world, &name, page);
    damage("*/00000007/000000.json.zst", "truncate -s 0 \"$f\"");
    damage("*/00000007/000002.json.zst", "rm \"$f\"");
    check_visit(landing, "", "calls/" KEY "/7.1:open4 ");
    damage("*/00000007/000001.json.zst", "truncate -s 9 \"$f\"");
    damage("*/00000007/000003.json.zst", "truncate -s 99 \"$f\"");
    check_visit(landing, "", "calls/" KEY "/7.1:open4 ");
    uint32_t end = 0;
    CHECK_OK(landing_visit_slices(landing, STR(RUN_ID), STR(""), note_end, &end, &err), &err);
    CHECK_INT(end, 5);
    damage("*/00000007/000004.json.zst", "truncate -s 0 \"$f\"");
    check_visit(landing, "calls", "calls//7.1:torn4 ");
}

TEST(a_visitor_can_fail)
{
    WORLD(&store_memory);
    const SliceName name = slice_name(5);
    (void)land(&world, &name, 0);
    Seen seen = {.text = {.limit_bytes = 3}};
    CHECK(!landing_visit_slices(landing, STR(RUN_ID), STR(""), note_slice, &seen, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    buf_done(&seen.text);
}

static const char *const runs[] = {
    "01890a5d-ac96-774b-bcce-b302099a8057", // 2023
    "01930a5d-ac96-774b-bcce-b302099a8057", // 2024
    "01990a5d-ac96-774b-bcce-b302099a8057", // 2025
};

TEST(runs_are_listed_oldest_first)
{
    EACH_STORE
    {
        WORLD(*each);
        Str *found = NULL;
        size_t count = 9;
        CHECK_OK(landing_list_runs(landing, world.arena, &found, &count, &err), &err);
        CHECK_INT((int64_t)count, 0);
        static const int order[] = {1, 2, 0};
        for (int i = 0; i < 3; i++)
            CHECK_OK(landing_create_note(landing, str_from(runs[order[i]]), STR("run.json"),
                                         STR("{}"), &err),
                     &err);
        CHECK_OK(landing_list_runs(landing, world.arena, &found, &count, &err), &err);
        CHECK_INT((int64_t)count, 3);
        for (int i = 0; i < 3; i++)
            CHECK_STR(found[i], str_from(runs[i]));
    }
}

TEST(pages_expire_and_the_record_stays)
{
    WORLD(&store_memory); // whose files are as old as the test's clock says
    static const int64_t day_us = INT64_C(86400000000);
    for (int i = 0; i < 3; i++) {
        SliceName name = slice_name(0);
        name.run = str_from(runs[i]);
        test_clock_us = INT64_C(1800000000000000) + i * day_us;
        PageInfo pages[] = {land(&world, &name, 0), land(&world, &name, 1)};
        const SliceManifest manifest = manifest_of(pages, 2);
        CHECK_OK(landing_finish_slice(landing, &name, &manifest, &err), &err);
        if (i != 1) // this one was given up
            CHECK_OK(landing_put_note(landing, name.run, STR("end.json"), STR("{}"), &err), &err);
    }
    uint64_t files = 0;
    uint64_t bytes = 0;
    for (int round = 0; round < 2; round++) { // the second finds nothing more to do
        CHECK_OK(
            landing_expire(landing, INT64_C(1800000000000000) + day_us + 1, &files, &bytes, &err),
            &err);
        CHECK_INT((int64_t)files, round == 0 ? 4 : 0);
        CHECK(bytes > 0 || round == 1);
    }
    for (int i = 0; i < 3; i++) {
        SliceName name = slice_name(0);
        name.run = str_from(runs[i]);
        Str body = {NULL, 0};
        PageInfo info = {0};
        SliceManifest manifest = {0};
        CHECK_OK(landing_get_slice(landing, &name, world.arena, &manifest, &err), &err);
        CHECK(landing_get_page(landing, &name, 1, world.arena, &body, &info, &err) == (i == 2));
        CHECK_INT(err.code, i == 2 ? ERROR_NONE : ERROR_NOT_FOUND);
        err = (Error){0};
    }
    // A run that began after the day in question cannot have ended before it, whatever its files
    // say.
    CHECK_OK(landing_expire(landing, 1, &files, &bytes, &err), &err);
    CHECK_INT((int64_t)files, 0);
}

// Only a UUID of version 7 tells when its run began; others are judged by their files.
TEST(runs_with_other_ids_expire_too)
{
    static const char *const ids[] = {"run-1", "01890a5d-ac96-474b-bcce-b302099a8057",
                                      "0189xyzd-ac96-774b-bcce-b302099a8057"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        check_row(ids[i]);
        WORLD(&store_memory);
        SliceName name = slice_name(0);
        name.run = str_from(ids[i]);
        (void)land(&world, &name, 0);
        uint64_t files = 0;
        uint64_t bytes = 0;
        CHECK_OK(landing_expire(landing, test_clock_us, &files, &bytes, &err), &err);
        CHECK_INT((int64_t)files, 0);
        CHECK_OK(landing_expire(landing, test_clock_us + 1, &files, &bytes, &err), &err);
        CHECK_INT((int64_t)files, 1);
    }
}

TEST(expiring_stops_when_asked_to)
{
    WORLD(&store_memory);
    const SliceName name = slice_name(0);
    (void)land(&world, &name, 0);
    atomic_store(&test_env.stop, true);
    uint64_t files = 7;
    uint64_t bytes = 7;
    CHECK(!landing_expire(landing, INT64_MAX, &files, &bytes, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK_INT((int64_t)files, 7);
}

// The walks as well; the memory's faults are the same ones wherever they strike.
TEST(every_fault_of_a_walk_is_survived)
{
    int round = 0;
    FAULTS() {
        round++;
        CLEANUP(close_world) World world = {0};
        Error *err = &world.err;
        fault_arm(0);
        CHECK_OK(open_world(&world, &store_memory), err);
        const SliceName open_slice = slice_name(1);
        const SliceName whole_slice = slice_name(2);
        (void)land(&world, &open_slice, 0);
        PageInfo pages[] = {land(&world, &whole_slice, 0)};
        const SliceManifest manifest = manifest_of(pages, 1);
        CHECK_OK(landing_finish_slice(world.landing, &whole_slice, &manifest, err), err);
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, err);
        Str *found = NULL;
        size_t count = 0;
        uint64_t files = 9;
        uint64_t bytes = 9;
        Seen seen = {0};
        fault_arm(fault_nth);
        const bool ok =
            landing_list_runs(world.landing, arena, &found, &count, err) &&
            landing_visit_slices(world.landing, STR(RUN_ID), STR(""), note_slice, &seen, err) &&
            landing_expire(world.landing, INT64_MAX, &files, &bytes, err);
        CHECK(ok == (err->code == ERROR_NONE));
        CHECK(ok == (err->message[0] == '\0'));
        CHECK_INT((int64_t)files, ok ? 2 : 9);
        buf_done(&seen.text);
    }
    CHECK(round > 15);
}

enum { WORKERS = 4, WORKER_SLICES = 6 };

static void *land_some(void *argument)
{
    const uint32_t worker = *(const uint32_t *)argument;
    CLEANUP(close_world) World world = {0};
    CHECK_OK(open_world(&world, &store_local), &world.err);
    for (uint32_t i = 0; i < WORKER_SLICES; i++) {
        // Every second slice is wanted by all of them; one of them gets each of its pages.
        const SliceName name = slice_name(i % 2 == 0 ? 100 + i : worker * WORKER_SLICES + i);
        PageInfo pages[] = {some_info, some_info};
        for (uint32_t page = 0; page < 2; page++) {
            const Str body = make_body(world.arena, page);
            Str got = {NULL, 0};
            Error err = {0};
            if (!landing_put_page(world.landing, &name, page, &(PageBody){.plain = body},
                                  &pages[page], &err))
                CHECK_INT(err.code, ERROR_CONFLICT);
            err = (Error){0};
            CHECK_OK(
                landing_get_page(world.landing, &name, page, world.arena, &got, &pages[page], &err),
                &err);
            CHECK(str_equal(got, body));
        }
        const SliceManifest manifest = manifest_of(pages, 2);
        Error err = {0};
        CHECK(landing_finish_slice(world.landing, &name, &manifest, &err) ||
              err.code == ERROR_CONFLICT);
    }
    return NULL;
}

TEST(several_landings_work_on_one_root)
{
    pthread_t threads[WORKERS];
    uint32_t numbers[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, land_some, &numbers[i]) == 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    WORLD(&store_local);
    for (uint32_t i = 0; i < WORKER_SLICES; i++) {
        const SliceName name = slice_name(i % 2 == 0 ? 100 + i : i);
        SliceManifest manifest = {0};
        CHECK_OK(landing_get_slice(landing, &name, world.arena, &manifest, &err), &err);
        CHECK_INT(manifest.page_count, 2);
    }
}

// Whatever fails, and whenever: a reason, no leak, and what was promised is whole.
TEST(every_fault_is_survived)
{
    int round = 0;
    Error setup = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &setup);
    const Str page = make_body(arena, 1);
    const Str packed = compress_gzip(arena, page);
    FAULTS() {
        round++;
        CLEANUP(close_world) World world = {0};
        Error *err = &world.err;
        const SliceName name = slice_name((uint32_t)round);
        PageInfo pages[] = {some_info, some_info};
        SliceManifest got = {0};
        Str body = {NULL, 0};
        Str note = {NULL, 0};
        PageInfo info = {0};
        uint64_t files = 0;
        uint64_t bytes = 0;
        char note_name[32];
        (void)snprintf(note_name, sizeof(note_name), "n%d.json", round);
        bool ok = open_world(&world, &store_local);
        ok =
            ok &&
            landing_put_page(world.landing, &name, 0, &(PageBody){.plain = page}, &pages[0], err) &&
            landing_put_page(
                world.landing, &name, 1,
                &(PageBody){.plain = page, .encoded = packed, .encoding = HTTP_ENCODING_GZIP},
                &pages[1], err);
        const SliceManifest manifest = manifest_of(pages, 2);
        ok = ok && landing_finish_slice(world.landing, &name, &manifest, err) &&
             landing_get_slice(world.landing, &name, world.arena, &got, err) &&
             landing_get_page(world.landing, &name, 0, world.arena, &body, &info, err) &&
             landing_get_page(world.landing, &name, 1, world.arena, &body, &info, err) &&
             landing_create_note(world.landing, STR(RUN_ID), str_from(note_name), STR("1"), err) &&
             landing_get_note(world.landing, STR(RUN_ID), str_from(note_name), world.arena, &note,
                              err) &&
             landing_expire(world.landing, 1, &files, &bytes, err);
        CHECK(ok == (err->code == ERROR_NONE));
        CHECK(ok == (err->message[0] == '\0'));
        if (ok || world.landing == NULL)
            continue;
        *err = (Error){0};
        if (!landing_get_slice(world.landing, &name, world.arena, &got, err))
            continue;
        for (uint32_t i = 0; i < 2; i++) {
            CHECK_OK(landing_get_page(world.landing, &name, i, world.arena, &body, &info, err),
                     err);
            CHECK(str_equal(body, page));
        }
    }
    CHECK(round > 40);
}
