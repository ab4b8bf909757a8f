// Delta: one row a key, one commit a load, whatever else goes on.
#include "base/file.h"
#include "batch/promotable.h"
#include "lake/delta_rig.h"

#include <string.h>

#define ROWS(...) (const RigRow[]){__VA_ARGS__}, sizeof((RigRow[]){__VA_ARGS__}) / sizeof(RigRow)

// A load with rows of one window, 0 to 1000 seconds.
#define LOAD(name, at, ...)                                                                 \
    (RigLoad)                                                                               \
    {                                                                                       \
        .run = (name), .rows = (const RigRow[]){__VA_ARGS__},                               \
        .row_count = sizeof((RigRow[]){__VA_ARGS__}) / sizeof(RigRow), .to_us = 1000000000, \
        .fetched_us = (at)                                                                  \
    }

TEST(a_load_is_there_once)
{
    Rig rig;
    rig_open(&rig);
    const RigLoad first = LOAD("r1", 10, {1, "a", 10}, {2, "b", 10});
    DeltaReport report = rig_load_ok(&rig, &first);
    CHECK(!report.found);
    CHECK_INT(report.version, 0);
    CHECK_INT(report.inserted, 2);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:b:10"));

    report = rig_load_ok(&rig, &first);
    CHECK(report.found);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:b:10"));

    // Another load of the same content changes nothing, but is on record.
    const RigLoad again = LOAD("r2", 20, {1, "a", 20}, {2, "b", 20});
    report = rig_load_ok(&rig, &again);
    CHECK_INT(report.unchanged, 2);
    CHECK_INT(report.files_added + report.files_removed, 0);
    CHECK_INT(report.version, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:b:10"));
    rig_close(&rig);
}

// Other writers let a commit that says so pass without looking at its rows.
TEST(no_commit_is_a_blind_append)
{
    Rig rig;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    (void)rig_load_ok(&rig, &LOAD("r2", 20, {2, "b", 20}));               // removes no file
    (void)rig_load_ok(&rig, &LOAD("r3", 30, {1, "A", 30}, {3, "c", 30})); // removes one
    for (int version = 0; version < 3; version++) {
        char path[100];
        Error err = {0};
        Str text = {0};
        (void)snprintf(path, sizeof(path), "shop/calls/_delta_log/%020d.json", version);
        CHECK_OK(store_read_all(&rig.store, str_from(path), 1024 * 1024, rig.arena, &text, &err),
                 &err);
        CHECK_CONTAINS(text, STR("\"isBlindAppend\":false"));
    }
    rig_close(&rig);
}

TEST(fresher_rows_replace_and_older_ones_do_not)
{
    Rig rig;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}, {2, "b", 10}, {3, "c", 10}));
    DeltaReport report = rig_load_ok(&rig, &LOAD("r2", 20, {2, "B", 20}, {4, "d", 20}));
    CHECK_INT(report.updated, 1);
    CHECK_INT(report.inserted, 1);
    CHECK_INT(report.files_removed, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:B:20 3:c:10 4:d:20"));

    // The ledger has the load before, so its note says nothing: the rows' own times decide.
    RigLoad late = LOAD("r3", 15, {2, "late", 15}, {3, "C", 15});
    late.mode = "historic";
    late.from_us = -1;
    report = rig_load_ok(&rig, &late);
    CHECK_INT(report.updated, 1);
    CHECK_INT(report.unchanged, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:B:20 3:C:15 4:d:20"));
    rig_close(&rig);
}

TEST(what_vanished_is_marked_and_comes_back)
{
    Rig rig;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}, {2, "b", 10}, {3, "c", 30}));
    RigLoad gone = LOAD("r2", 20, {1, "a", 20});
    gone.gone = (const int64_t[]){2, 3};
    gone.gone_count = 2;
    DeltaReport report = rig_load_ok(&rig, &gone);
    CHECK_INT(report.deleted, 1); // the other one is fresher than the reading that lacked it
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:b:20:20 3:c:30"));

    // The same content again: it had been marked, so it is written.
    report = rig_load_ok(&rig, &LOAD("r3", 40, {2, "b", 40}));
    CHECK_INT(report.updated, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:b:40 3:c:30"));
    rig_close(&rig);
}

TEST(a_slice_that_was_overtaken_writes_nothing)
{
    Rig rig;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    RigLoad skipped = LOAD("r2", 20, {1, "b", 20});
    skipped.skipped = true;
    skipped.gone = (const int64_t[]){1};
    skipped.gone_count = 1;
    const DeltaReport report = rig_load_ok(&rig, &skipped);
    CHECK_INT(report.inserted + report.updated + report.unchanged + report.deleted, 0);
    CHECK_STR(rig_rows(&rig), STR("1:a:10"));
    rig_close(&rig);
}

// A is read at 10, again (unchanged) at 30; what was read in between comes late. The row's own time
// says 10: only the note of the second reading, which the ledger does not have yet, tells that it
// is newer.
TEST(a_late_reading_is_measured_against_loads_that_only_the_lake_has)
{
    static const struct {
        const char *name;
        bool in_ledger;
        const char *expected;
    } rows[] = {{"the ledger lacks it", false, "1:a:10"}, {"the ledger has it", true, "1:b:20"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        check_row(rows[i].name);
        rig_open(&rig);
        (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
        (void)rig_load_ok(&rig, &LOAD("r2", 30, {1, "a", 30}));
        if (rows[i].in_ledger) {
            // The next load of that mode lets go of what the ledger has.
            RigLoad next = LOAD("r3", 40, {2, "c", 40});
            next.from_us = 500000000;
            next.in_ledger = true;
            (void)rig_load_ok(&rig, &next);
        }
        RigLoad late = LOAD("h1", 20, {1, "b", 20});
        late.mode = "historic";
        (void)rig_load_ok(&rig, &late);
        const Str text = rig_rows(&rig);
        CHECK(str_starts_with(text, str_from(rows[i].expected)));
        rig_close(&rig);
    }
}

TEST(an_erased_row_is_gone)
{
    Rig rig;
    Error err = {0};
    int64_t erased = 0;
    rig_open(&rig);
    const Key128 other = {{1}};
    const Sha256 sum = sha256(STR("c"));
    const Key128 same = key128(&sum);
    const DeltaErased gone[] = {{rig_key(2), NULL}, {rig_key(7), NULL}, {rig_key(1), &other}};
    const DeltaErased as_read[] = {{rig_key(3), &same}};
    CHECK_OK(delta_erase(rig.delta, rig_table.schema, rig_table.name, gone, 3, &erased, &err),
             &err);
    CHECK_INT(erased, 0); // no table yet
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}, {2, "b", 10}, {3, "c", 10}));
    CHECK_OK(delta_erase(rig.delta, rig_table.schema, rig_table.name, gone, 3, &erased, &err),
             &err);
    CHECK_INT(erased, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10 3:c:10"));
    CHECK_OK(delta_erase(rig.delta, rig_table.schema, rig_table.name, as_read, 1, &erased, &err),
             &err);
    CHECK_INT(erased, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10"));
    rig_close(&rig);
}

// --- other writers

// The memory store, but for one moment just before a commit is put.
typedef struct Racing {
    StoreDriver driver;
    const StoreDriver *inner;
    void (*before)(void *state);
    void *state;
    bool lost; // the answer of the next commit is lost: it happens, and is called an error
} Racing;

static Racing racing;

static bool racing_create(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    const bool is_commit = str_find(path, STR("_delta_log/")) < path.size;
    if (is_commit && racing.before != NULL) {
        void (*before)(void *) = racing.before;
        racing.before = NULL;
        before(racing.state);
    }
    TRY(racing.inner->create(state, path, bytes, flags, err));
    if (!is_commit || !racing.lost)
        return true;
    racing.lost = false;
    return error_set(err, ERROR_IO, "the answer was lost");
}

// The rig's store with that moment in it.
static void race(Rig *rig)
{
    racing = (Racing){.driver = store_memory, .inner = &store_memory};
    racing.driver.create = racing_create;
    racing.driver.publish = NULL;
    rig->store.driver = &racing.driver;
}

typedef struct Other {
    Rig *rig;
    Delta *delta;
    const RigLoad *load;
} Other;

static void load_other(void *state)
{
    Other *other = state;
    Error err = {0};
    DeltaReport report = {0};
    CHECK_OK(rig_load(other->delta, other->load, other->rig->arena, &report, &err), &err);
}

TEST(two_writers_lose_nothing)
{
    static const struct {
        const char *name;
        RigRow other; // committed just before ours: 2 -> "B" at 20
        const char *expected;
    } rows[] = {
        {"another key", {9, "x", 15}, "1:a:10 2:B:20 9:x:15"},
        {"the same file", {1, "A", 15}, "1:A:15 2:B:20"},
        {"the same key, older", {2, "x", 15}, "1:a:10 2:B:20"},
        {"the same key, fresher", {2, "x", 25}, "1:a:10 2:x:25"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        check_row(rows[i].name);
        rig_open(&rig);
        (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}, {2, "b", 10}));
        race(&rig);
        RigLoad theirs = LOAD("h1", 5, rows[i].other);
        theirs.mode = "historic";
        theirs.from_us = -1; // wider than what was read so far: not overtaken
        Other other = {&rig, rig_delta(&rig, &rig.store), &theirs};
        racing.before = load_other;
        racing.state = &other;
        const DeltaReport report = rig_load_ok(&rig, &LOAD("r2", 20, {2, "B", 20}));
        CHECK(racing.before == NULL);
        CHECK_INT(report.version, 2);
        CHECK_STR(rig_rows(&rig), str_from(rows[i].expected));
        delta_close(other.delta);
        rig_close(&rig);
    }
}

TEST(a_lost_answer_is_looked_up)
{
    Rig rig;
    rig_open(&rig);
    race(&rig);
    racing.lost = true;
    const DeltaReport report = rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    CHECK(!racing.lost);
    CHECK_INT(report.version, 0);
    CHECK_STR(rig_rows(&rig), STR("1:a:10"));
    rig_close(&rig);
}

// --- loss of power

// The memory store as a disk with a cache: what was created lazily and not published since is lost,
// or torn, when the power goes; from some writing on nothing happens any more.
enum { OUTAGE_LAZY_MAX = 16 };

typedef struct Outage {
    StoreDriver driver;
    int left; // writings until the power goes
    char lazy[OUTAGE_LAZY_MAX][STORE_PATH_BYTES_MAX + 1];
    size_t lazy_count;
} Outage;

static Outage outage;

static bool has_power(Error *err)
{
    return outage.left-- > 0 || error_set(err, ERROR_IO, "no power");
}

static bool outage_create(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    TRY(has_power(err) && store_memory.create(state, path, bytes, flags, err));
    if ((flags & STORE_LAZY) != 0) {
        CHECK(outage.lazy_count < OUTAGE_LAZY_MAX);
        (void)snprintf(outage.lazy[outage.lazy_count++], sizeof(outage.lazy[0]), STR_FMT,
                       STR_ARG(path));
    }
    return true;
}

static bool outage_put(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    return has_power(err) && store_memory.put(state, path, bytes, flags, err);
}

static bool outage_publish(void *state, const Str *lazy, size_t lazy_count, const StoreFile *files,
                           size_t file_count, Error *err)
{
    TRY(has_power(err)); // the lazy files are durable now
    for (size_t i = 0; i < outage.lazy_count; i++) {
        for (size_t k = 0; k < lazy_count; k++) {
            if (str_equal(lazy[k], str_from(outage.lazy[i])))
                outage.lazy[i][0] = '\0';
        }
    }
    for (size_t i = 0; i < file_count; i++)
        TRY(has_power(err) && store_memory.create(state, files[i].path, files[i].bytes, 0, err));
    return true;
}

static void lose_power(Rig *rig, bool tear)
{
    Error err = {0};
    for (size_t i = 0; i < outage.lazy_count; i++) {
        const Str path = str_from(outage.lazy[i]);
        if (path.size == 0)
            continue;
        CHECK_OK(store_memory.remove(rig->store.state, path, &err), &err);
        if (tear)
            CHECK_OK(store_memory.create(rig->store.state, path, STR("PAR1"), 0, &err), &err);
    }
    rig->store.driver = &store_memory;
}

TEST(a_commit_that_is_there_has_its_files_whatever_happens_to_the_power)
{
    const RigLoad first = LOAD("r1", 10, {1, "a", 10}, {2, "b", 10});
    const RigLoad second = LOAD("r2", 20, {2, "B", 20}, {3, "c", 20});
    bool whole = false;
    for (int writings = 0; !whole; writings++) {
        Rig rig;
        Error err = {0};
        DeltaReport report = {0};
        rig_open(&rig);
        outage = (Outage){.driver = store_memory, .left = writings};
        outage.driver.create = outage_create;
        outage.driver.put = outage_put;
        outage.driver.publish = outage_publish;
        rig.store.driver = &outage.driver;
        whole = rig_load(rig.delta, &first, rig.arena, &report, &err) &&
                rig_load(rig.delta, &second, rig.arena, &report, &err);
        lose_power(&rig, writings % 2 == 0);
        (void)rig_rows(&rig); // every file that the log names can be read

        Delta *again = rig_delta(&rig, &rig.store);
        err = (Error){0};
        CHECK_OK(rig_load(again, &first, rig.arena, &report, &err), &err);
        CHECK_OK(rig_load(again, &second, rig.arena, &report, &err), &err);
        CHECK(report.found == whole);
        CHECK_STR(rig_rows(&rig), STR("1:a:10 2:B:20 3:c:20"));
        delta_close(again);
        rig_close(&rig);
        CHECK(writings < 50);
    }
}

// --- tables of others

static void put_commit(Rig *rig, int64_t version, const char *text)
{
    char path[100];
    Error err = {0};
    (void)snprintf(path, sizeof(path), "shop/calls/_delta_log/%020" PRIi64 ".json", version);
    CHECK_OK(store_create(&rig->store, str_from(path), str_from(text), 0, &err), &err);
}

#define SCHEMA(fields) \
    "\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" fields "]}\""
#define PLAIN "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
#define METADATA(rest)                                                                            \
    "{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\",\"options\":{}}," rest "}}" \
    "\n"
#define FIELD_OF(name, type, nullable, metadata)                                      \
    "{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":" type ",\\\"nullable\\\":" nullable \
    ",\\\"metadata\\\":" metadata "}"
#define FIELD(name, type, metadata) FIELD_OF(name, type, "true", metadata)

TEST(tables_that_ask_for_more_are_refused_by_name)
{
    static const struct {
        const char *name, *log, *says;
    } rows[] = {
        {"reader version", "{\"protocol\":{\"minReaderVersion\":2,\"minWriterVersion\":5}}\n",
         "2/5"},
        {"writer version", "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":4}}\n",
         "1/4"},
        {"a feature",
         "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":"
         "[\"deletionVectors\"],\"writerFeatures\":[\"deletionVectors\"]}}\n",
         "deletionVectors"},
        {"a writer feature",
         "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":"
         "[\"invariants\",\"rowTracking\"]}}\n",
         "rowTracking"},
        {"partitions", METADATA("\"partitionColumns\":[\"day\"]," SCHEMA("")), "partitioned"},
        {"append only", METADATA("\"configuration\":{\"delta.appendOnly\":\"true\"}," SCHEMA("")),
         "delta.appendOnly"},
        {"constraints",
         METADATA("\"configuration\":{\"delta.constraints.c\":\"id > 0\"}," SCHEMA("")),
         "delta.constraints.c"},
        {"column mapping",
         METADATA("\"configuration\":{\"delta.columnMapping.mode\":\"name\"}," SCHEMA("")),
         "delta.columnMapping.mode"},
        {"an invariant",
         METADATA(SCHEMA(FIELD("id", "\\\"long\\\"", "{\\\"delta.invariants\\\":\\\"x\\\"}"))),
         "delta.invariants"},
        {"a nested column", METADATA(SCHEMA(FIELD("tags", "{\\\"type\\\":\\\"array\\\"}", "{}"))),
         "tags"},
        {"another type", METADATA(SCHEMA(FIELD("ID", "\\\"integer\\\"", "{}"))), "integer"},
        {"never null, and not filled",
         METADATA(SCHEMA(FIELD_OF("theirs", "\\\"long\\\"", "false", "{}"))),
         "'theirs' is NOT NULL"},
        {"never null, and filled now and then",
         METADATA(SCHEMA(FIELD_OF("note", "\\\"string\\\"", "false", "{}"))), "'note' is NOT NULL"},
        {"a deletion vector",
         METADATA(
             SCHEMA("")) "{\"add\":{\"path\":\"a\",\"size\":1,\"deletionVector\":{\"x\":1}}}\n",
         "deletion vectors"},
        {"a checkpoint in files of its own",
         METADATA(SCHEMA("")) "{\"sidecar\":{\"path\":\"a\",\"sizeInBytes\":1}}\n", "sidecars"},
        {"a file elsewhere", METADATA(SCHEMA("")) "{\"add\":{\"path\":\"s3://x/a\",\"size\":1}}\n",
         "outside"},
        {"a file elsewhere, as Hadoop writes it",
         METADATA(SCHEMA("")) "{\"add\":{\"path\":\"file:/x/a\",\"size\":1}}\n", "outside"},
        {"a file elsewhere on this disk",
         METADATA(SCHEMA("")) "{\"add\":{\"path\":\"/x/a\",\"size\":1}}\n", "outside"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        Error err = {0};
        char text[2000];
        DeltaReport report = {0};
        check_row(rows[i].name);
        rig_open(&rig);
        (void)snprintf(text, sizeof(text), "%s%s%s", strstr(rows[i].log, "protocol") ? "" : PLAIN,
                       strstr(rows[i].log, "metaData") ? "" : METADATA(SCHEMA("")), rows[i].log);
        put_commit(&rig, 0, text);
        const bool ok =
            rig_load(rig.delta, &LOAD("r1", 10, {1, "a", 10}), rig.arena, &report, &err);
        CHECK(!ok);
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        err = (Error){0};
        CHECK(!delta_check(rig.delta, &rig_table, &err)); // before anything is fetched
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        rig_close(&rig);
    }
}

// A hole, or a beginning that was cut off behind a checkpoint of version 2.
TEST(a_commit_that_lacks_is_named)
{
    static const struct {
        const char *name;
        int64_t version; // besides that, only 5 is there
        const char *says;
    } rows[] = {{"at the beginning", 5, "its log lacks version 0"},
                {"in between", 0, "its log lacks version 1"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        Error err = {0};
        check_row(rows[i].name);
        rig_open(&rig);
        put_commit(&rig, 5, PLAIN METADATA(SCHEMA("")));
        if (rows[i].version != 5)
            put_commit(&rig, rows[i].version, PLAIN METADATA(SCHEMA("")));
        CHECK(!delta_check(rig.delta, &rig_table, &err));
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK_INT(err.code, ERROR_DATA);
        rig_close(&rig);
    }
}

// The history still holds what was asked for; readers and writers go by what is asked now.
TEST(what_a_newer_version_took_back_is_in_nobodys_way)
{
    static const struct {
        const char *name, *before, *after;
    } rows[] = {
        {"a feature that was dropped",
         "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":"
         "[\"checkConstraints\"]}}\n" METADATA(SCHEMA("")),
         PLAIN},
        {"a property that was changed",
         PLAIN METADATA("\"configuration\":{\"delta.appendOnly\":\"true\"}," SCHEMA("")),
         METADATA("\"configuration\":{\"delta.appendOnly\":\"false\"}," SCHEMA(""))},
        {"partitions that an overwrite ended",
         PLAIN METADATA("\"partitionColumns\":[\"day\"]," SCHEMA("")), METADATA(SCHEMA(""))},
        {"a column that an overwrite replaced",
         PLAIN METADATA(SCHEMA(FIELD("id", "{\\\"type\\\":\\\"array\\\"}", "{}"))),
         METADATA(SCHEMA(FIELD("id", "\\\"long\\\"", "{}")))},
        {"a file of a shallow clone that was written anew",
         PLAIN METADATA(SCHEMA("")) "{\"add\":{\"path\":\"s3://x/a\",\"size\":1}}\n",
         "{\"remove\":{\"path\":\"s3://x/a\",\"deletionTimestamp\":99999999999999}}\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        check_row(rows[i].name);
        rig_open(&rig);
        put_commit(&rig, 0, rows[i].before);
        put_commit(&rig, 1, rows[i].after);
        const DeltaReport report = rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
        CHECK_INT(report.version, 2);
        CHECK_STR(rig_rows(&rig), STR("1:a:10"));
        DeltaKept kept = {0};
        Error err = {0};
        CHECK_OK(delta_keep(rig.delta, rig_table.schema, rig_table.name, false, &kept, &err), &err);
        rig_close(&rig);
    }
}

// What another one does just before our commit.
typedef struct Putting {
    Rig *rig;
    int64_t version;
    const char *text;
} Putting;

static void put_other(void *state)
{
    const Putting *putting = state;
    put_commit(putting->rig, putting->version, putting->text);
}

// RESTORE: a file comes back that was gone when we looked for our keys.
TEST(a_file_that_comes_back_before_our_commit_is_looked_into)
{
    Rig rig;
    char remove[500];
    char add[2000];
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    {
        CLEANUP(duck_close) Duck duck = {0};
        DeltaLog log = {0};
        rig_log(&rig, &duck, &log);
        CHECK_INT((int64_t)log.file_count, 1);
        (void)snprintf(remove, sizeof(remove),
                       "{\"remove\":{\"path\":\"" STR_FMT
                       "\",\"deletionTimestamp\":1,\"dataChange\":true}}\n",
                       STR_ARG(log.files[0].path));
        (void)snprintf(add, sizeof(add), "{\"add\":" STR_FMT "}\n", STR_ARG(log.files[0].action));
        delta_log_close(&log);
    }
    put_commit(&rig, 1, remove);
    CHECK_STR(rig_rows(&rig), STR(""));
    race(&rig);
    Putting restore = {&rig, 2, add};
    racing.before = put_other;
    racing.state = &restore;
    const DeltaReport report = rig_load_ok(&rig, &LOAD("r2", 20, {1, "b", 20}));
    CHECK(racing.before == NULL);
    CHECK_INT(report.version, 3);
    CHECK_STR(rig_rows(&rig), STR("1:b:20"));
    rig_close(&rig);
}

TEST(retention_is_read_as_spark_writes_it)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"interval 7 days", 7 * INT64_C(86400000)},
                {"1 hour", 3600000},
                {"interval 1 week 2 days", 9 * INT64_C(86400000)},
                {" INTERVAL  1 day 1 minute 5 seconds 20 milliseconds ", 86465020},
                {"interval 0 days", 0},
                {"interval 1 month", 36525 * INT64_C(86400000)}, // unknown: long, never short
                {"interval 1 week 2 moons", 36525 * INT64_C(86400000)},
                {"interval 1 week 2", 36525 * INT64_C(86400000)},
                {"interval -7 days", 36525 * INT64_C(86400000)},
                {"interval", 36525 * INT64_C(86400000)},
                {"", 7 * INT64_C(86400000)}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        char text[1000];
        check_row(rows[i].text);
        rig_open(&rig);
        (void)snprintf(
            text, sizeof(text),
            PLAIN METADATA(
                "\"configuration\":{\"delta.deletedFileRetentionDuration\":\"%s\"}," SCHEMA(
                    FIELD("id", "\\\"long\\\"", "{}"))),
            rows[i].text);
        put_commit(&rig, 0, text);
        CLEANUP(duck_close) Duck duck = {0};
        DeltaLog log = {0};
        rig_log(&rig, &duck, &log);
        CHECK_INT(log.file_retention_ms, rows[i].ms);
        delta_log_close(&log);
        rig_close(&rig);
    }
}

TEST(a_plain_table_of_others_gets_the_columns_that_it_lacks)
{
    Rig rig;
    rig_open(&rig);
    put_commit(&rig, 0,
               "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":"
               "[\"appendOnly\",\"invariants\"]}}\n" METADATA(
                   "\"name\":\"theirs\",\"configuration\":{\"a\":\"b\"}," SCHEMA(
                       FIELD("theirs", "\\\"integer\\\"", "{}") "," FIELD_OF("id", "\\\"long\\\"",
                                                                             "false", "{}"))));
    const DeltaReport report = rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    CHECK_INT(report.version, 1);
    CHECK_STR(rig_rows(&rig), STR("1:a:10"));

    CLEANUP(duck_close) Duck duck = {0};
    DeltaLog log = {0};
    rig_log(&rig, &duck, &log);
    CHECK(delta_schema_find(&log.schema, STR("theirs")) != NULL);
    CHECK(delta_schema_find(&log.schema, STR("_deleted_at")) != NULL);
    CHECK_CONTAINS(log.metadata, STR("\"name\":\"theirs\""));
    CHECK_CONTAINS(log.metadata, STR("\"a\":\"b\""));
    CHECK_INT(log.metadata_version, 1);
    delta_log_close(&log);
    rig_close(&rig);
}

// --- housekeeping

// One more load of one new row.
static void load_row(Rig *rig, int64_t id)
{
    char run[32];
    (void)snprintf(run, sizeof(run), "run-%" PRIi64, id);
    (void)rig_load_ok(rig, &LOAD(run, id, {id, "n", id}));
}

static bool count_file(void *visitor, const StoreEntry *entry)
{
    *(size_t *)visitor += str_ends_with(entry->path, STR(".parquet"));
    return true;
}

static size_t data_files(Rig *rig)
{
    Error err = {0};
    size_t count = 0;
    CHECK_OK(store_list(&rig->store, STR("shop/calls"), STORE_SHALLOW, count_file, &count, &err),
             &err);
    return count;
}

TEST(a_table_is_the_same_from_its_checkpoint)
{
    enum { LOADS = 12 };
    Rig rig;
    Error err = {0};
    rig_open(&rig);
    for (int64_t id = 1; id <= LOADS; id++)
        load_row(&rig, id);
    (void)rig_load_ok(&rig, &LOAD("change", 50, {3, "three", 50}));
    const Str before = rig_rows(&rig);

    // Whoever comes after the commits behind the checkpoint are gone reads the same.
    for (int64_t version = 0; version <= DELTA_CHECKPOINT_EVERY; version++) {
        char path[100];
        (void)snprintf(path, sizeof(path), "shop/calls/_delta_log/%020" PRIi64 ".json", version);
        CHECK_OK(store_remove(&rig.store, str_from(path), &err), &err);
    }
    CHECK_STR(rig_rows(&rig), before);
    CLEANUP(duck_close) Duck duck = {0};
    DeltaLog log = {0};
    rig_log(&rig, &duck, &log);
    CHECK_INT(log.checkpoint, DELTA_CHECKPOINT_EVERY);
    CHECK(delta_log_find_txn(&log, STR("pawl/run-3/calls/0")) != NULL);
    delta_log_close(&log);

    // And whoever loads from there finds what is in.
    Delta *fresh = rig_delta(&rig, &rig.store);
    DeltaReport report = {0};
    CHECK_OK(rig_load(fresh, &LOAD("run-3", 3, {3, "n", 3}), rig.arena, &report, &err), &err);
    CHECK(report.found);
    delta_close(fresh);
    rig_close(&rig);
}

// One part of two of the checkpoint at `local`: its files, or all else.
static void put_part(Rig *rig, Duck *duck, const char *local, int part)
{
    Error err = {0};
    Str bytes = {0};
    char sql[1000];
    char file[300];
    char path[200];
    (void)snprintf(file, sizeof(file), "%s/part-%d", test_folder(), part);
    (void)snprintf(
        sql, sizeof(sql),
        "COPY (FROM read_parquet('%s') WHERE (add IS NULL) = (%d = 1)) TO '%s' (FORMAT parquet)",
        local, part, file);
    CHECK_OK(duck_run_sql(duck, sql, &err), &err);
    CHECK_OK(file_read(file, 1024 * 1024, rig->arena, &bytes, &err), &err);
    (void)snprintf(path, sizeof(path), "shop/calls/_delta_log/%020d.checkpoint.%010d.%010d.parquet",
                   DELTA_CHECKPOINT_EVERY, part, 2);
    CHECK_OK(store_create(&rig->store, str_from(path), bytes, 0, &err), &err);
}

// As Spark writes it of large tables; while a part lacks, it is none.
TEST(a_checkpoint_in_parts_is_read_when_all_are_there)
{
    Rig rig;
    Error err = {0};
    char one[100];
    char local[200];
    rig_open(&rig);
    for (int64_t id = 1; id <= DELTA_CHECKPOINT_EVERY + 2; id++)
        load_row(&rig, id);
    const Str before = rig_rows(&rig);
    CLEANUP(duck_close) Duck duck = {0};
    DeltaLog log = {0};
    (void)snprintf(one, sizeof(one), "shop/calls/_delta_log/%020d.checkpoint.parquet",
                   DELTA_CHECKPOINT_EVERY);
    (void)snprintf(local, sizeof(local), "%s/whole", test_folder());
    CHECK_OK(delta_copy_out(&rig.store, str_from(one), local, &err) &&
                 store_remove(&rig.store, str_from(one), &err) &&
                 duck_open(&duck, &(DuckOptions){.memory_bytes = 0}, &err),
             &err);
    put_part(&rig, &duck, local, 2);
    duck_close(&duck);
    rig_log(&rig, &duck, &log);
    CHECK_INT(log.checkpoint, -1);
    delta_log_close(&log);
    put_part(&rig, &duck, local, 1);
    for (int version = 0; version <= DELTA_CHECKPOINT_EVERY; version++) {
        (void)snprintf(one, sizeof(one), "shop/calls/_delta_log/%020d.json", version);
        CHECK_OK(store_remove(&rig.store, str_from(one), &err), &err);
    }
    duck_close(&duck);
    rig_log(&rig, &duck, &log);
    CHECK_INT(log.checkpoint, DELTA_CHECKPOINT_EVERY);
    delta_log_close(&log);
    CHECK_STR(rig_rows(&rig), before);
    rig_close(&rig);
}

TEST(small_files_become_one_and_go_when_nobody_needs_them)
{
    enum { LOADS = 9 };
    const int64_t day_us = INT64_C(86400000000);
    Rig rig;
    Error err = {0};
    DeltaKept kept = {0};
    rig_open(&rig);
    for (int64_t id = 1; id <= LOADS; id++)
        load_row(&rig, id);
    const Str before = rig_rows(&rig);
    CHECK_INT((int64_t)data_files(&rig), LOADS);

    CHECK_OK(delta_keep(rig.delta, rig_table.schema, rig_table.name, false, &kept, &err), &err);
    CHECK_INT(kept.files_compacted, LOADS);
    CHECK_INT(kept.files_removed, 0);
    CHECK_INT((int64_t)data_files(&rig), LOADS + 1);
    CHECK_STR(rig_rows(&rig), before);

    // A week on nobody reads the old version any more; a note of ours is no data.
    test_clock_us += (DELTA_KEEP_DAYS + 1) * day_us;
    kept = (DeltaKept){0};
    CHECK_OK(delta_keep(rig.delta, rig_table.schema, rig_table.name, true, &kept, &err), &err);
    CHECK_INT(kept.files_removed, LOADS);
    CHECK_INT((int64_t)data_files(&rig), LOADS + 1); // it only counted
    kept = (DeltaKept){0};
    CHECK_OK(delta_keep(rig.delta, rig_table.schema, rig_table.name, false, &kept, &err), &err);
    CHECK_INT(kept.files_removed, LOADS);
    CHECK_INT((int64_t)data_files(&rig), 1);
    CHECK_STR(rig_rows(&rig), before);

    // A month on the log is cut behind the checkpoint.
    load_row(&rig, LOADS + 1);
    test_clock_us += 31 * day_us;
    kept = (DeltaKept){0};
    CHECK_OK(delta_keep(rig.delta, rig_table.schema, rig_table.name, false, &kept, &err), &err);
    CHECK(kept.log_files_removed > 0);
    CHECK(rig_rows(&rig).size > before.size);
    rig_close(&rig);
}

// Two jobs write to one lake side by side, whatever time each leaves its readers.
TEST(a_file_that_is_about_to_be_named_stays_whatever_the_retention)
{
    Rig rig;
    Error err = {0};
    DeltaKept kept = {0};
    Delta *hasty = NULL;
    rig_open(&rig);
    const DeltaOptions options = {.store = &rig.store,
                                  .env = &rig_env,
                                  .scratch = str_from(test_folder()),
                                  .memory_bytes = 256 * 1024 * 1024};
    CHECK_OK(delta_open(&options, rig.arena, &hasty, &err), &err);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    (void)rig_load_ok(&rig, &LOAD("r2", 20, {1, "b", 20})); // the first file is left
    CHECK_OK(store_create(&rig.store, STR("shop/calls/part-theirs.parquet"), STR("PAR1"), 0, &err),
             &err);
    test_clock_us += INT64_C(3600000000);
    CHECK_OK(delta_keep(hasty, rig_table.schema, rig_table.name, false, &kept, &err), &err);
    CHECK_INT(kept.files_removed, 1);
    CHECK_INT((int64_t)data_files(&rig), 2);
    CHECK_STR(rig_rows(&rig), STR("1:b:20"));
    test_clock_us += INT64_C(86400000000);
    CHECK_OK(delta_keep(hasty, rig_table.schema, rig_table.name, false, &kept, &err), &err);
    CHECK_INT((int64_t)data_files(&rig), 1);
    delta_close(hasty);
    rig_close(&rig);
}

// Who has a table open for days goes on behind the newest version, not behind the last one he saw.
TEST(a_log_that_others_cut_meanwhile_is_read_anew)
{
    Rig rig;
    Error err = {0};
    DeltaReport report = {0};
    rig_open(&rig);
    load_row(&rig, 1);
    Delta *other = rig_delta(&rig, &rig.store);
    for (int64_t id = 2; id <= DELTA_CHECKPOINT_EVERY + 1; id++) {
        char run[32];
        (void)snprintf(run, sizeof(run), "run-%" PRIi64, id);
        CHECK_OK(rig_load(other, &LOAD(run, id, {id, "n", id}), rig.arena, &report, &err), &err);
    }
    delta_close(other);
    for (int64_t version = 0; version < DELTA_CHECKPOINT_EVERY; version++) {
        char path[100];
        (void)snprintf(path, sizeof(path), "shop/calls/_delta_log/%020" PRIi64 ".json", version);
        CHECK_OK(store_remove(&rig.store, str_from(path), &err), &err);
    }
    report = rig_load_ok(&rig, &LOAD("late", 100, {1, "late", 100}));
    CHECK_INT(report.version, DELTA_CHECKPOINT_EVERY + 1);
    CHECK_INT(report.updated, 1);
    CHECK(str_starts_with(rig_rows(&rig), STR("1:late:100 2:n:2 ")));
    rig_close(&rig);
}

// How many live files tell the texts of `column` that they hold.
static size_t files_that_bound(Rig *rig, const char *column)
{
    size_t count = 0;
    char wanted[64];
    CLEANUP(duck_close) Duck duck = {0};
    DeltaLog log = {0};
    (void)snprintf(wanted, sizeof(wanted), "\"%s\":\"", column); // a text, not its count of nulls
    rig_log(rig, &duck, &log);
    for (size_t i = 0; i < log.file_count; i++) {
        const Str stats = log.files[i].stats;
        count += log.files[i].live && str_find(stats, str_from(wanted)) < stats.size;
    }
    delta_log_close(&log);
    return count;
}

// Else each load would look into all that was ever put together.
TEST(texts_of_the_key_bound_a_file_whoever_wrote_it_anew)
{
    Rig rig;
    Error err = {0};
    DeltaKept kept = {0};
    int64_t erased = 0;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 1, {1, "a", 1}, {2, "b", 1}));
    CHECK_INT((int64_t)files_that_bound(&rig, "account"), 1);
    CHECK_OK(delta_erase(rig.delta, rig_table.schema, rig_table.name,
                         &(DeltaErased){rig_key(2), NULL}, 1, &erased, &err),
             &err);
    CHECK_INT((int64_t)files_that_bound(&rig, "account"), 1);
    for (int64_t id = 3; id <= 10; id++)
        load_row(&rig, id);
    CHECK_OK(delta_keep(rig.delta, rig_table.schema, rig_table.name, false, &kept, &err), &err);
    CHECK_INT(kept.files_compacted, 9);
    CHECK_INT((int64_t)files_that_bound(&rig, "account"), 1);
    CHECK_INT((int64_t)files_that_bound(&rig, "note"), 0);
    rig_close(&rig);
}

// Whatever fails, and whenever: the load is in whole or not at all, and the next try brings it in.
TEST(a_load_survives_every_fault)
{
    Rig rig;
    rig_open(&rig); // fills rig_env
    rig_close(&rig);
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(256 * 1024 * 1024, &err);
        CLEANUP(store_close) Store store = {0};
        Delta *delta = NULL;
        const DeltaOptions options = {.store = &store,
                                      .env = &rig_env,
                                      .scratch = str_from(test_folder()),
                                      .memory_bytes = 256 * 1024 * 1024};
        DeltaReport report = {0};
        const bool ok = arena != NULL &&
                        store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")},
                                   &rig_env, arena, NULL, &err) &&
                        delta_open(&options, arena, &delta, &err) &&
                        rig_load(delta, &LOAD("r1", 10, {1, "a", 10}), arena, &report, &err) &&
                        rig_load(delta, &LOAD("r2", 20, {1, "b", 20}), arena, &report, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        delta_close(delta);
        CHECK(!ok || report.updated == 1);
    }
}

// --- a path of _overflow becomes a column

static const Column promoted = {.name = {"moved", 5}, .type = COLUMN_STRING};
#define PROMOTED "id || ':' || coalesce(moved, '-') || ':' || coalesce(_overflow, '-')"

static int64_t promote_ok(Rig *rig)
{
    Error err = {0};
    int64_t rows = -1;
    CHECK_OK(delta_promote(rig->delta, &rig_table, &promoted, STR("/left/note"), &rows, &err),
             &err);
    return rows;
}

TEST(promoting_twice_changes_nothing)
{
    Rig rig;
    rig_open(&rig);
    CHECK_INT(promote_ok(&rig), 0); // no table: none is made
    CHECK_INT((int64_t)data_files(&rig), 0);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}, {2, "b", 10}));
    CHECK_INT(promote_ok(&rig), 2);
    CHECK_STR(rig_rows_as(&rig, PROMOTED), STR("1:a:{\"left\":{}} 2:b:{\"left\":{}}"));
    CHECK_INT(promote_ok(&rig), 0);
    // A load by the old contract: its row is there to be filled, the others stay.
    const DeltaReport report = rig_load_ok(&rig, &LOAD("r2", 20, {3, "c", 20}));
    CHECK_INT(report.version, 2);
    CHECK_INT(promote_ok(&rig), 1);
    CHECK_STR(rig_rows_as(&rig, PROMOTED),
              STR("1:a:{\"left\":{}} 2:b:{\"left\":{}} 3:c:{\"left\":{}}"));
    CHECK_STR(rig_rows(&rig), STR("1:a:10 2:b:10 3:c:20"));
    rig_close(&rig);
}

// Of the texts among them: a note of the rig is text. In the files stands what moved as the
// warehouses' suite has it, by the same expression.
TEST(promoted_values_are_the_ones_that_were_sent)
{
    for (size_t first = 0; first < PROMOTABLES; first += promotable_count(first)) {
        Rig rig;
        Error err = {0};
        RigRow rows[PROMOTABLES];
        char notes[PROMOTABLES][64];
        CLEANUP(buf_done) Buf expected = {0};
        size_t count = 0;
        int64_t moved = 0;
        int64_t moving = 0;
        for (size_t i = first; i < first + promotable_count(first); i++) {
            const Str json = str_from(promotable[i].json);
            if (json.data[0] != '"')
                continue;
            (void)snprintf(notes[count], sizeof(notes[0]), STR_FMT,
                           STR_ARG(str_slice(json, 1, json.size - 2)));
            CHECK_OK(buf_printf(&expected, &err, "%s%zu:%s:%s", count == 0 ? "" : " ", count,
                                notes[count], promotable[i].value == NULL ? "stays" : "moves"),
                     &err);
            moving += promotable[i].value == NULL ? 0 : 1;
            rows[count] = (RigRow){(int64_t)count, notes[count], 10};
            count++;
        }
        check_row(column_type_name(promotable[first].column.type));
        rig_open(&rig);
        (void)rig_load_ok(
            &rig, &(RigLoad){
                      .run = "r1", .rows = rows, .row_count = count, .to_us = 1, .fetched_us = 10});
        Column column = promotable[first].column;
        column.name = STR("moved");
        CHECK_OK(delta_promote(rig.delta, &rig_table, &column, STR("/left/note"), &moved, &err),
                 &err);
        CHECK_INT(moved, moving);
        CHECK_STR(rig_rows_as(&rig, "id || ':' || note || CASE WHEN moved IS NULL AND"
                                    " _overflow LIKE '%note%' THEN ':stays' WHEN moved IS NOT NULL"
                                    " AND _overflow NOT LIKE '%note%' THEN ':moves' ELSE ':?' END"),
                  buf_str(&expected));
        rig_close(&rig);
    }
}

TEST(promoting_beside_another_writer_loses_nothing)
{
    static const struct {
        const char *name;
        RigRow other; // committed just before ours
        int64_t rows;
        const char *expected;
    } rows[] = {
        {"another key", {9, "x", 15}, 3, "1:a 2:b 9:x"},
        {"the same file", {1, "A", 15}, 2, "1:A 2:b"},
        {"nothing new", {1, "a", 15}, 2, "1:a 2:b"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Rig rig;
        check_row(rows[i].name);
        rig_open(&rig);
        (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}, {2, "b", 10}));
        race(&rig);
        RigLoad theirs = LOAD("h1", 15, rows[i].other);
        theirs.mode = "historic";
        Other other = {&rig, rig_delta(&rig, &rig.store), &theirs};
        racing.before = load_other;
        racing.state = &other;
        CHECK_INT(promote_ok(&rig), rows[i].rows);
        CHECK(racing.before == NULL);
        CHECK_STR(rig_rows_as(&rig, "id || ':' || moved"), str_from(rows[i].expected));
        delta_close(other.delta);
        rig_close(&rig);
    }
}

TEST(a_promotion_whose_answer_was_lost_is_looked_up)
{
    Rig rig;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    race(&rig);
    racing.lost = true;
    CHECK_INT(promote_ok(&rig), 1);
    CHECK(!racing.lost);
    CHECK_STR(rig_rows_as(&rig, "id || ':' || moved"), STR("1:a"));
    rig_close(&rig);
}

TEST(a_column_of_another_type_is_refused_by_name)
{
    Rig rig;
    Error err = {0};
    int64_t rows = 0;
    const Column note = {.name = {"note", 4}, .type = COLUMN_INT64};
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    CHECK(!delta_promote(rig.delta, &rig_table, &note, STR("/left/note"), &rows, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("note"));
    err = (Error){0};
    CHECK(!delta_promote(rig.delta, &rig_table, &promoted, STR("left"), &rows, &err));
    CHECK_INT(err.code, ERROR_JOB);
    rig_close(&rig);
}

TEST(a_promotion_survives_every_fault)
{
    Rig rig;
    rig_open(&rig);
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    FAULTS() {
        // A column of its own for each round: the table keeps those of the rounds before.
        static int round = 0;
        char name[16];
        Error err = {0};
        int64_t rows = 0;
        (void)snprintf(name, sizeof(name), "c%d", round++);
        const Column column = {.name = str_from(name), .type = COLUMN_STRING};
        const bool ok =
            delta_promote(rig.delta, &rig_table, &column, STR("/left/nothing"), &rows, &err);
        CHECK(ok == (err.code == ERROR_NONE));
    }
    CHECK_STR(rig_rows(&rig), STR("1:a:10"));
    rig_close(&rig);
}

// --- what is told of files

TEST(names_in_the_log_are_told_apart)
{
    static const struct {
        const char *name;
        DeltaNameKind kind;
        int64_t version;
        uint32_t part, parts;
    } rows[] = {
        {"00000000000000000007.json", DELTA_NAME_COMMIT, 7, 1, 1},
        {"00000000000000000010.checkpoint.parquet", DELTA_NAME_CHECKPOINT, 10, 1, 1},
        {"00000000000000000010.checkpoint.0000000002.0000000003.parquet", DELTA_NAME_CHECKPOINT, 10,
         2, 3},
        {"00000000000000000010.checkpoint.0000000004.0000000003.parquet", DELTA_NAME_OTHER, 10, 1,
         1},
        {"00000000000000000007.json.tmp", DELTA_NAME_OTHER, 7, 1, 1},
        {"00000000000000000007.crc", DELTA_NAME_OTHER, 7, 1, 1},
        {"0000000000000000007.json", DELTA_NAME_OTHER, 0, 1, 1},
        {"_last_checkpoint", DELTA_NAME_OTHER, 0, 1, 1},
        {"00000000000000000001.00000000000000000009.compacted.json", DELTA_NAME_OTHER, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const DeltaName name = delta_log_parse_name(str_from(rows[i].name));
        CHECK_INT(name.kind, rows[i].kind);
        if (rows[i].kind == DELTA_NAME_OTHER)
            continue;
        CHECK_INT(name.version, rows[i].version);
        CHECK_INT(name.part, rows[i].part);
        CHECK_INT(name.parts, rows[i].parts);
    }
}

TEST(a_table_that_loads_do_not_fit_is_told_before_any)
{
    Rig rig;
    rig_open(&rig);
    Error err = {0};
    CHECK_OK(delta_check(rig.delta, &rig_table, &err), &err); // not there yet
    (void)rig_load_ok(&rig, &LOAD("r1", 10, {1, "a", 10}));
    CHECK_OK(delta_check(rig.delta, &rig_table, &err), &err);

    Column columns[RIG_COLUMNS];
    CHECK_INT((int64_t)rig_table.column_count, RIG_COLUMNS);
    memcpy(columns, rig_table.columns, sizeof(columns));
    for (size_t i = 0; i < RIG_COLUMNS; i++) {
        if (columns[i].type == COLUMN_STRING)
            columns[i].type = COLUMN_DATE;
    }
    DeltaTableSpec other = rig_table;
    other.columns = columns;
    CHECK(!delta_check(rig.delta, &other, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_STR(rig_rows(&rig), STR("1:a:10"));
    rig_close(&rig);
}
