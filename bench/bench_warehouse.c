// links: pawl_warehouse
//
// What a warehouse driver costs: loads of 46 columns of high-entropy rows, made on the way.
//   bench_warehouse WHERE PHASE [rows [rows a load [memory MB [idle after each load: 1|0]]]]
// WHERE: a DuckDB file, or {...}: the members of a job's "warehouse" for PostgreSQL.
// PHASE: generate (the generator alone: subtract it), insert, change (every row replaced), match
// (every row unchanged), few (one row in 100 replaced).
// Prints CPU seconds, wall seconds, peak resident MB, and the file's size.
#include "warehouse/warehouse.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { BATCH = 2048, SYSTEM_COLUMNS = 4, COLUMNS = 46, ARENA_BYTES = 64 * 1024 * 1024 };

typedef enum Flavour {
    FLAVOUR_NUMBER,
    FLAVOUR_TIME,
    FLAVOUR_FLAG,
    FLAVOUR_CATEGORY, // one of a few hundred
    FLAVOUR_TEXT,     // 8 to 40 random letters
    FLAVOUR_JSON,     // about 200 bytes, half of them random
} Flavour;

static const struct {
    Flavour flavour;
    int count;
} mix[] = {{FLAVOUR_NUMBER, 8},   {FLAVOUR_TIME, 3},  {FLAVOUR_FLAG, 3},
           {FLAVOUR_CATEGORY, 8}, {FLAVOUR_TEXT, 14}, {FLAVOUR_JSON, 6}};

static Column columns[COLUMNS];
static Flavour flavours[COLUMNS];
static char names[COLUMNS][16];

static void make_columns(void)
{
    static const ColumnType types[] = {COLUMN_INT64,  COLUMN_TIMESTAMP, COLUMN_BOOLEAN,
                                       COLUMN_STRING, COLUMN_STRING,    COLUMN_JSON};
    size_t at = 0;
    for (size_t i = 0; i < sizeof(mix) / sizeof(mix[0]); i++) {
        for (int j = 0; j < mix[i].count; j++, at++) {
            (void)snprintf(names[at], sizeof(names[at]), "column_%zu", at);
            flavours[at] = mix[i].flavour;
            columns[at] = (Column){.name = str_from(names[at]), .type = types[mix[i].flavour]};
        }
    }
    assert(at == COLUMNS - SYSTEM_COLUMNS);
    columns[at++] = (Column){.name = STR("_row_key"), .type = COLUMN_KEY};
    columns[at++] = (Column){.name = STR("_row_hash"), .type = COLUMN_KEY};
    columns[at++] = (Column){.name = STR("_overflow"), .type = COLUMN_JSON};
    columns[at++] = (Column){.name = STR("_fetched_at"), .type = COLUMN_TIMESTAMP};
}

static uint64_t mixed(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static Key128 key_of(uint64_t row, uint64_t version)
{
    Key128 key;
    const uint64_t words[2] = {mixed(row * 2 + version * 7919), mixed(row * 3 + version)};
    memcpy(key.bytes, words, sizeof(key.bytes));
    return key;
}

// ---- arrays ----

typedef struct Child {
    struct ArrowArray array;
    const void *buffers[3];
} Child;

typedef struct Batch {
    struct ArrowArray *children[COLUMNS];
    Child storage[COLUMNS];
    const void *no_buffers[1];
} Batch;

static void release_child(struct ArrowArray *array)
{
    array->release = NULL;
}

static void release_batch(struct ArrowArray *array)
{
    Batch *batch = array->private_data;
    for (int i = 0; i < COLUMNS; i++) {
        for (int j = 0; j < 3; j++) {
            void *buffer = NULL;
            memcpy(&buffer, &batch->storage[i].buffers[j], sizeof(buffer));
            free(buffer);
        }
    }
    free(batch);
    array->release = NULL;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static size_t put_letters(char *to, size_t size, uint64_t seed)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 10 == 0)
            bits = mixed(seed + i);
        to[i] = letters[bits & 63];
        bits >>= 6;
    }
    return size;
}

static size_t put_text(char *to, Flavour flavour, uint64_t seed)
{
    const uint64_t value = mixed(seed);
    switch (flavour) {
    case FLAVOUR_CATEGORY:
        return put_letters(to, 6 + value % 300 % 14, value % 300);
    case FLAVOUR_TEXT:
        return put_letters(to, 8 + value % 33, value);
    case FLAVOUR_JSON:
        break;
    case FLAVOUR_NUMBER:
    case FLAVOUR_TIME:
    case FLAVOUR_FLAG:
        return 0;
    }
    static const char head[] = "{\"id\":\"";
    static const char middle[] =
        "\",\"name\":\"a field that repeats\",\"kind\":\"custom\",\"value\":\"";
    char *start = to;
    memcpy(to, head, sizeof(head) - 1);
    to += sizeof(head) - 1;
    to += put_letters(to, 20, value);
    memcpy(to, middle, sizeof(middle) - 1);
    to += sizeof(middle) - 1;
    to += put_letters(to, 40 + value % 80, value + 1);
    memcpy(to, "\"}", 2);
    return (size_t)(to + 2 - start);
}

enum { TEXT_MAX = 256 };

static void make_texts(Child *child, int column, uint64_t first, size_t rows, uint64_t version)
{
    int32_t *offsets = must(malloc((rows + 1) * sizeof(int32_t)));
    char *data = must(malloc(rows * TEXT_MAX));
    int32_t used = 0;
    for (size_t i = 0; i < rows; i++) {
        offsets[i] = used;
        const bool quoted = columns[column].type == COLUMN_JSON && flavours[column] == FLAVOUR_TEXT;
        if (quoted)
            data[used++] = '"';
        used += (int32_t)put_text(data + used, flavours[column],
                                  (first + i) * COLUMNS + (uint64_t)column + version * 104729);
        if (quoted)
            data[used++] = '"';
    }
    offsets[rows] = used;
    child->buffers[1] = offsets;
    child->buffers[2] = must(realloc(data, (size_t)used + 1));
}

static void make_words(Child *child, int column, uint64_t first, size_t rows)
{
    int64_t *words = must(malloc(rows * sizeof(int64_t)));
    for (size_t i = 0; i < rows; i++) {
        const uint64_t value = mixed((first + i) * COLUMNS + (uint64_t)column);
        words[i] =
            columns[column].type == COLUMN_TIMESTAMP
                ? INT64_C(1700000000000000) + (int64_t)((first + i) * 20000000 + value % 1000000)
                : (int64_t)(value % 100000);
    }
    child->buffers[1] = words;
}

static void make_flags(Child *child, uint64_t first, size_t rows)
{
    const size_t size = rows / 8 + 1;
    unsigned char *bits = must(malloc(size));
    for (size_t i = 0; i < size; i++)
        bits[i] = (unsigned char)(mixed(first + i) & 0xff);
    child->buffers[1] = bits;
}

static void make_keys(Child *child, uint64_t first, size_t rows, uint64_t version)
{
    Key128 *keys = must(malloc(rows * sizeof(Key128)));
    for (size_t i = 0; i < rows; i++)
        keys[i] = key_of(first + i, version);
    child->buffers[1] = keys;
}

static void make_batch(struct ArrowArray *array, uint64_t first, size_t rows, uint64_t version)
{
    Batch *batch = must(calloc(1, sizeof(*batch)));
    for (int i = 0; i < COLUMNS; i++) {
        Child *child = &batch->storage[i];
        switch (columns[i].type) {
        case COLUMN_STRING:
        case COLUMN_JSON:
            flavours[COLUMNS - 2] = FLAVOUR_TEXT;
            make_texts(child, i, first, rows, version);
            break;
        case COLUMN_BOOLEAN:
            make_flags(child, first, rows);
            break;
        case COLUMN_KEY:
            make_keys(child, first, rows, i == COLUMNS - 4 ? 0 : version + 1);
            break;
        case COLUMN_INT64:
        case COLUMN_TIMESTAMP:
        case COLUMN_DOUBLE:
        case COLUMN_DECIMAL:
        case COLUMN_DATE:
            make_words(child, i, first, rows);
            break;
        }
        child->array = (struct ArrowArray){.length = (int64_t)rows,
                                           .n_buffers = child->buffers[2] != NULL ? 3 : 2,
                                           .buffers = child->buffers,
                                           .release = release_child};
        batch->children[i] = &child->array;
    }
    *array = (struct ArrowArray){.length = (int64_t)rows,
                                 .n_buffers = 1,
                                 .n_children = COLUMNS,
                                 .buffers = batch->no_buffers,
                                 .children = batch->children,
                                 .release = release_batch,
                                 .private_data = batch};
}

// ---- loads ----

typedef struct Source {
    uint64_t first;
    size_t rows, done;
    uint64_t version;
    size_t every; // one row in so many is selected
    bool replaces;
    struct ArrowArray array;
    uint32_t picked[BATCH];
    bool flags[BATCH];
} Source;

static bool next_batch(void *state, RowSelection *ret_selection, Error *err)
{
    (void)err;
    Source *source = state;
    size_t rows = source->rows - source->done;
    rows = rows < BATCH ? rows : BATCH;
    *ret_selection = (RowSelection){0};
    if (rows == 0)
        return true;
    make_batch(&source->array, source->first + source->done, rows, source->version);
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) {
        if ((source->done + i) % source->every != 0)
            continue;
        source->flags[count] = source->replaces;
        source->picked[count++] = (uint32_t)i;
    }
    source->done += rows;
    *ret_selection = (RowSelection){&source->array, source->picked, source->flags, count};
    return true;
}

typedef struct Options {
    const char *file;
    const char *phase;
    uint64_t rows, load_rows;
    uint64_t memory_mb;
    bool idle;
} Options;

static void must_ok(bool ok, const Error *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static bool phase_is(const Options *options, const char *name)
{
    return strcmp(options->phase, name) == 0;
}

typedef struct Bench {
    Warehouse warehouse;
    Env *env;
    const TableSpec *table;
    const Options *options;
    char run[UUID_TEXT_BYTES + 1];
    Key128 *keys;
    MatchedRow *matched;
} Bench;

static void write_load(Bench *bench, const LoadSpec *spec, uint64_t first, size_t rows)
{
    Error err = {0};
    const WarehouseDriver *driver = bench->warehouse.driver;
    void *state = bench->warehouse.state;
    bool loaded = false;
    must_ok(driver->load_begin(state, spec, &loaded, &err), &err);
    for (size_t i = 0; i < rows; i++)
        bench->keys[i] = key_of(first + i, 0);
    must_ok(driver->load_match(state, bench->keys, rows, bench->matched, &err), &err);
    size_t found = 0;
    for (size_t i = 0; i < rows; i++)
        found += bench->matched[i].found;
    const bool insert = phase_is(bench->options, "insert");
    if (found != (insert ? 0 : rows))
        (void)fprintf(stderr, "load %u: found %zu\n", spec->ordinal, found);
    if (!phase_is(bench->options, "match")) {
        Source batches = {.first = first,
                          .rows = rows,
                          .version = insert ? 0 : 1,
                          .every = phase_is(bench->options, "few") ? 100 : 1,
                          .replaces = !insert};
        const size_t selected = (rows + batches.every - 1) / batches.every;
        RowSource source = {next_batch, &batches, selected, insert ? 0 : selected};
        must_ok(driver->load_write(state, &source, &err), &err);
    }
    must_ok(driver->load_commit(state, &(LoadCommit){.inserted = (int64_t)rows}, &err), &err);
    if (bench->options->idle)
        must_ok(driver->idle(state, &err), &err);
}

static void generate(const Options *options)
{
    for (uint64_t first = 0; first < options->rows; first += BATCH) {
        struct ArrowArray array;
        make_batch(&array, first, BATCH, 0);
        array.release(&array);
    }
}

static void all_loads(Bench *bench)
{
    Error err = {0};
    const Options *options = bench->options;
    must_ok(bench->warehouse.driver->prepare(bench->warehouse.state, bench->table, 1, &err), &err);
    uuid_new(bench->env, bench->run);
    uint32_t ordinal = 0;
    for (uint64_t first = 0; first < options->rows; first += options->load_rows, ordinal++) {
        const uint64_t left = options->rows - first;
        LoadSlice slice = {.partition_key = STR("a"),
                           .from_us = 1 + ordinal,
                           .to_us = 2 + ordinal,
                           .fetched_us = bench->env->now_us(bench->env->state),
                           .total = -1};
        const LoadSpec spec = {.table = bench->table,
                               .job = STR("bench"),
                               .mode = STR("historic"),
                               .run = str_from(bench->run),
                               .stream = STR("calls"),
                               .ordinal = ordinal,
                               .epoch = 1,
                               .slices = &slice,
                               .slice_count = 1};
        write_load(bench, &spec, first,
                   (size_t)(left < options->load_rows ? left : options->load_rows));
    }
    warehouse_close(&bench->warehouse);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void report(const Options *options, double wall_s)
{
    struct rusage usage;
    struct stat file = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)stat(options->file, &file);
    (void)printf(
        "%-8s %8llu rows, %6llu a load, %4llu MB: CPU %6.2f s, wall %6.2f s, peak %4ld MB, file "
        "%5lld MB\n",
        options->phase, (unsigned long long)options->rows, (unsigned long long)options->load_rows,
        (unsigned long long)options->memory_mb, seconds(usage.ru_utime) + seconds(usage.ru_stime),
        wall_s, usage.ru_maxrss / 1024, (long long)file.st_size / 1000000);
}

static uint64_t argument(int argc, char **argv, int index, uint64_t fallback)
{
    return argc > index ? strtoull(argv[index], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    const Options options = {.file = argv[1],
                             .phase = argv[2],
                             .rows = argument(argc, argv, 3, 2000000),
                             .load_rows = argument(argc, argv, 4, 122880),
                             .memory_mb = argument(argc, argv, 5, 160),
                             .idle = argument(argc, argv, 6, 1) != 0};
    Error err = {0};
    Env env = {0};
    env_init_system(&env);
    Arena *arena = arena_new(ARENA_BYTES, &err);
    must_ok(arena != NULL, &err);
    make_columns();
    const TableSpec table = {
        .schema = STR("bench"), .name = STR("calls"), .columns = columns, .column_count = COLUMNS};
    Bench bench = {.env = &env, .table = &table, .options = &options};
    bench.keys = must(malloc(options.load_rows * sizeof(Key128)));
    bench.matched = must(malloc(options.load_rows * sizeof(MatchedRow)));

    Buf text = {0};
    yyjson_doc *doc = NULL;
    Findings *findings = arena_alloc(arena, sizeof(*findings), &err);
    must_ok(findings != NULL, &err);
    findings->arena = arena;
    const bool is_file = options.file[0] != '{';
    must_ok(buf_printf(&text, &err, is_file ? "{\"path\": \"%s\"}" : "%s", options.file), &err);
    must_ok(json_parse(buf_str(&text), "bench", arena, &doc, &err), &err);
    const WarehouseOptions opened = {.driver = {yyjson_doc_get_root(doc), STR("bench")},
                                     .base_folder = STR("."),
                                     .memory_bytes = options.memory_mb * 1000 * 1000};
    must_ok(warehouse_open(&bench.warehouse, is_file ? &warehouse_duckdb : &warehouse_postgres,
                           &opened, &env, arena, findings, &err),
            &err);

    const int64_t start_us = env.monotonic_us(NULL);
    if (phase_is(&options, "generate"))
        generate(&options);
    else
        all_loads(&bench);
    report(&options, (double)(env.monotonic_us(NULL) - start_us) / 1e6);
    return 0;
}
