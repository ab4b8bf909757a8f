#include "batch/batch.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/fault.h"
#include "batch/block.h"

#include <assert.h>

// ROWS_FIRST rows have room without a reallocation; a builder's own description of its columns
// stays below DESCRIPTION_BYTES_MAX.
enum { ROWS_FIRST = 64, DESCRIPTION_BYTES_MAX = 4 * 1024 * 1024 };

// How one type of column is stored.
typedef struct Storage {
    const char *name;
    enum ArrowType type;
    size_t value_bytes; // of one value; 0 = a bit (boolean) or an int32 offset into the text
} Storage;

static const Storage storages[] = {
    [COLUMN_STRING] = {"string", NANOARROW_TYPE_STRING, 0},
    [COLUMN_INT64] = {"int64", NANOARROW_TYPE_INT64, 8},
    [COLUMN_DOUBLE] = {"double", NANOARROW_TYPE_DOUBLE, 8},
    [COLUMN_DECIMAL] = {"decimal", NANOARROW_TYPE_DECIMAL128, 16},
    [COLUMN_BOOLEAN] = {"boolean", NANOARROW_TYPE_BOOL, 0},
    [COLUMN_TIMESTAMP] = {"timestamp", NANOARROW_TYPE_TIMESTAMP, 8},
    [COLUMN_DATE] = {"date", NANOARROW_TYPE_DATE32, 4},
    [COLUMN_JSON] = {"json", NANOARROW_TYPE_STRING, 0},
    [COLUMN_KEY] = {"key", NANOARROW_TYPE_FIXED_SIZE_BINARY, KEY_BYTES},
};

// One column being filled: what every cell touches, and nothing else, so that all columns of a row
// fit into few cache lines. The buffers belong to nanoarrow's allocator, so that an ArrowArray can
// own them.
typedef struct Cells {
    uint8_t *valid;  // a bit a row
    uint8_t *values; // values, bits, or row + 1 offsets
    uint8_t *text;   // of strings and json
    uint32_t text_size;
    uint32_t text_capacity;
    uint8_t type;
    uint8_t value_bytes; // storages[type].value_bytes
} Cells;

struct BatchBuilder {
    Arena *arena;
    Cells *cells;
    size_t count;
    size_t *texts; // the columns that have offsets
    size_t text_count;
    size_t rows;
    size_t rows_max; // room in all row-wise buffers
    bool open;
};

const char *column_type_name(ColumnType type)
{
    return storages[type].name;
}

static bool has_text(ColumnType type)
{
    return type == COLUMN_STRING || type == COLUMN_JSON;
}

static size_t bitmap_bytes(size_t rows)
{
    return (rows + 63) / 64 * 8;
}

// --- memory

// Makes a buffer longer. One that cannot grow keeps what it holds; new bytes are zero when
// `zeroed`.
static bool grow(uint8_t **data, size_t old_size, size_t size, bool zeroed, Error *err)
{
    if (size <= old_size)
        return true;
    struct ArrowBufferAllocator allocator = ArrowBufferAllocatorDefault();
    uint8_t *grown =
        fault_here() ? NULL
                     : allocator.reallocate(&allocator, *data, (int64_t)old_size, (int64_t)size);
    if (grown == NULL)
        return error_set(err, ERROR_LIMIT, "batch: out of memory for %zu bytes", size);
    if (zeroed)
        memset(grown + old_size, 0, size - old_size);
    *data = grown;
    return true;
}

// Bytes that the values of `rows` rows take: a multiple of eight for bits, so that none is shared.
static size_t values_bytes(const Cells *cells, size_t rows)
{
    if (rows == 0)
        return 0;
    if (cells->value_bytes > 0)
        return rows * cells->value_bytes;
    return cells->type == COLUMN_BOOLEAN ? bitmap_bytes(rows) : (rows + 1) * sizeof(int32_t);
}

static bool grow_column(Cells *cells, size_t old_rows, size_t rows, Error *err)
{
    return grow(&cells->valid, bitmap_bytes(old_rows), bitmap_bytes(rows), true, err) &&
           grow(&cells->values, values_bytes(cells, old_rows), values_bytes(cells, rows), true,
                err);
}

static bool grow_rows(BatchBuilder *builder, Error *err)
{
    size_t rows = builder->rows_max * 2;
    if (rows < ROWS_FIRST)
        rows = ROWS_FIRST;
    for (size_t i = 0; i < builder->count; i++)
        TRY(grow_column(&builder->cells[i], builder->rows_max, rows, err));
    builder->rows_max = rows;
    return true;
}

static bool grow_text(Cells *cells, size_t size, Error *err)
{
    if (size > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "batch: a column of more than %d bytes", INT32_MAX);
    size_t capacity = (size_t)cells->text_capacity * 2;
    if (capacity < size)
        capacity = size;
    if (capacity > INT32_MAX)
        capacity = INT32_MAX;
    TRY(grow(&cells->text, cells->text_capacity, capacity, false, err));
    cells->text_capacity = (uint32_t)capacity;
    return true;
}

// --- life

static bool builder_init(BatchBuilder *builder, const Column *columns, size_t count, Error *err)
{
    builder->cells = arena_alloc_array(builder->arena, count, sizeof(Cells), err);
    TRY(builder->cells != NULL);
    builder->texts = arena_alloc_array(builder->arena, count, sizeof(size_t), err);
    TRY(builder->texts != NULL);
    builder->count = count;
    for (size_t i = 0; i < count; i++) {
        Cells *cells = &builder->cells[i];
        cells->type = (uint8_t)columns[i].type;
        cells->value_bytes = (uint8_t)storages[columns[i].type].value_bytes;
        if (has_text(cells->type))
            builder->texts[builder->text_count++] = i;
    }
    return true;
}

bool batch_builder_new(const Column *columns, size_t count, BatchBuilder **ret_builder, Error *err)
{
    assert(count > 0);

    if (count > BATCH_COLUMNS_MAX)
        return error_set(err, ERROR_LIMIT, "batch: %zu columns, more than %d", count,
                         BATCH_COLUMNS_MAX);
    Arena *arena = arena_new(DESCRIPTION_BYTES_MAX, err);
    TRY(arena != NULL);
    BatchBuilder *builder = arena_alloc(arena, sizeof(*builder), err);
    if (builder == NULL) {
        arena_free(arena);
        return false;
    }
    builder->arena = arena;
    if (!builder_init(builder, columns, count, err)) {
        arena_free(arena);
        return false;
    }
    *ret_builder = builder;
    return true;
}

void batch_builder_free(BatchBuilder *builder)
{
    if (builder == NULL)
        return;
    struct ArrowBufferAllocator allocator = ArrowBufferAllocatorDefault();
    for (size_t i = 0; i < builder->count; i++) {
        Cells *cells = &builder->cells[i];
        allocator.free(&allocator, cells->valid, 0); // the size is not looked at
        allocator.free(&allocator, cells->values, 0);
        allocator.free(&allocator, cells->text, 0);
    }
    arena_free(builder->arena);
}

void batch_builder_freep(BatchBuilder **builder)
{
    batch_builder_free(*builder);
}

// --- rows

static void bit_set(uint8_t *bits, size_t row)
{
    bits[row / 8] |= (uint8_t)(1U << (row % 8));
}

static void bit_clear(uint8_t *bits, size_t row)
{
    bits[row / 8] &= (uint8_t) ~(1U << (row % 8));
}

static int32_t *offsets(const Cells *cells)
{
    return (int32_t *)(void *)cells->values;
}

bool batch_row_begin(BatchBuilder *builder, Error *err)
{
    assert(!builder->open);

    if (builder->rows == builder->rows_max)
        TRY(grow_rows(builder, err));
    builder->open = true;
    return true;
}

bool batch_set_str(BatchBuilder *builder, size_t column, Str text, Error *err)
{
    Cells *cells = &builder->cells[column];
    assert(builder->open && has_text(cells->type));

    // From the row's own start: setting a column twice keeps the later text only.
    const size_t row = builder->rows;
    const size_t start = (size_t)offsets(cells)[row];
    if (text.size + BYTES_SLACK > cells->text_capacity - start)
        TRY(grow_text(cells, start + text.size + BYTES_SLACK, err));
    bytes_copy((char *)cells->text + start, text.data, text.size);
    cells->text_size = (uint32_t)(start + text.size);
    bit_set(cells->valid, row);
    return true;
}

// Room was made by batch_row_begin().
static void set_value(BatchBuilder *builder, size_t column, const void *value, size_t size)
{
    Cells *cells = &builder->cells[column];
    assert(builder->open && cells->value_bytes == size);

    memcpy(cells->values + builder->rows * size, value, size);
    bit_set(cells->valid, builder->rows);
}

bool batch_set_int64(BatchBuilder *builder, size_t column, int64_t value, Error *err)
{
    if (builder->cells[column].type != COLUMN_DATE) {
        set_value(builder, column, &value, sizeof(value));
        return true;
    }
    const int32_t date = (int32_t)value;
    if (date != value)
        return error_set(err, ERROR_DATA, "batch: a date out of range");
    set_value(builder, column, &date, sizeof(date));
    return true;
}

bool batch_set_double(BatchBuilder *builder, size_t column, double value, Error *err)
{
    (void)err;
    set_value(builder, column, &value, sizeof(value));
    return true;
}

bool batch_set_bool(BatchBuilder *builder, size_t column, bool value, Error *err)
{
    (void)err;
    Cells *cells = &builder->cells[column];
    assert(builder->open && cells->type == COLUMN_BOOLEAN);

    if (value)
        bit_set(cells->values, builder->rows);
    else
        bit_clear(cells->values, builder->rows);
    bit_set(cells->valid, builder->rows);
    return true;
}

bool batch_set_decimal(BatchBuilder *builder, size_t column, const uint64_t words[2], Error *err)
{
    (void)err;
    set_value(builder, column, words, 2 * sizeof(words[0]));
    return true;
}

bool batch_set_key(BatchBuilder *builder, size_t column, const Key128 *key, Error *err)
{
    (void)err;
    set_value(builder, column, key->bytes, sizeof(key->bytes));
    return true;
}

bool batch_row_end(BatchBuilder *builder, Error *err)
{
    (void)err;
    assert(builder->open);

    for (size_t i = 0; i < builder->text_count; i++) {
        Cells *cells = &builder->cells[builder->texts[i]];
        offsets(cells)[builder->rows + 1] = (int32_t)cells->text_size;
    }
    builder->rows++;
    builder->open = false;
    return true;
}

void batch_row_undo(BatchBuilder *builder)
{
    assert(builder->open);

    for (size_t i = 0; i < builder->count; i++)
        bit_clear(builder->cells[i].valid, builder->rows);
    for (size_t i = 0; i < builder->text_count; i++) {
        Cells *cells = &builder->cells[builder->texts[i]];
        cells->text_size = (uint32_t)offsets(cells)[builder->rows];
    }
    builder->open = false;
}

size_t batch_builder_rows(const BatchBuilder *builder)
{
    return builder->rows;
}

// The size of the values of `rows` rows, as Arrow counts them.
static size_t values_size(const Cells *cells, size_t rows)
{
    if (cells->value_bytes > 0)
        return rows * cells->value_bytes;
    return cells->type == COLUMN_BOOLEAN ? (rows + 7) / 8 : (rows + 1) * sizeof(int32_t);
}

size_t batch_builder_bytes(const BatchBuilder *builder)
{
    size_t bytes = 0;
    for (size_t i = 0; i < builder->count; i++) {
        const Cells *cells = &builder->cells[i];
        bytes += bitmap_bytes(builder->rows) + values_size(cells, builder->rows) + cells->text_size;
    }
    return bytes;
}

// --- Arrow

static bool arrow_ok(ArrowErrorCode code, Error *err)
{
    if (code != NANOARROW_OK)
        return error_set(err, ERROR_LIMIT, "batch: out of memory for a description");
    return true;
}

#define ARROW(call) TRY(!fault_here() ? arrow_ok((call), err) : arrow_ok(ENOMEM, err))

// All buffers of one batch lie in one block of just the right size: a builder's own buffers have
// doubled to more than they need, and a run holds many batches until they are loaded.

static size_t aligned(size_t size)
{
    return (size + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
}

static size_t block_size(const BatchBuilder *builder)
{
    size_t size = 0;
    for (size_t i = 0; i < builder->count; i++) {
        const Cells *cells = &builder->cells[i];
        size += aligned(bitmap_bytes(builder->rows)) + aligned(values_size(cells, builder->rows)) +
                aligned(cells->text_size);
    }
    return size;
}

// A copy of the first `size` bytes of `from`, at `*at` in the block.
static struct ArrowBuffer place(Block *block, size_t *at, const uint8_t *from, size_t size)
{
    struct ArrowBuffer buffer = block_buffer(block, *at, size);
    if (size > 0)
        memcpy(buffer.data, from, size);
    *at += aligned(size);
    return buffer;
}

// Copies one column out and leaves the builder's own buffers empty, zero again where rows expect
// it.
static void copy_column(Cells *cells, size_t rows, Block *block, size_t *at,
                        struct ArrowArray *child)
{
    const size_t value_size = values_size(cells, rows);
    struct ArrowBitmap valid;
    ArrowBitmapInit(&valid);
    valid.size_bits = (int64_t)rows;
    valid.buffer = place(block, at, cells->valid, (rows + 7) / 8);
    struct ArrowBuffer values = place(block, at, cells->values, value_size);
    child->length = (int64_t)rows;
    child->null_count = (int64_t)rows - ArrowBitCountSet(valid.buffer.data, 0, (int64_t)rows);
    ArrowArraySetValidityBitmap(child, &valid);
    NANOARROW_UNUSED(ArrowArraySetBuffer(child, 1, &values)); // fails for a bad index only
    if (has_text(cells->type)) {
        struct ArrowBuffer text = place(block, at, cells->text, cells->text_size);
        NANOARROW_UNUSED(ArrowArraySetBuffer(child, 2, &text));
    }
    memset(cells->valid, 0, bitmap_bytes(rows));
    memset(cells->values, 0, value_size);
    cells->text_size = 0;
}

static bool make_array(const BatchBuilder *builder, struct ArrowArray *array, Error *err)
{
    ARROW(ArrowArrayInitFromType(array, NANOARROW_TYPE_STRUCT));
    ARROW(ArrowArrayAllocateChildren(array, (int64_t)builder->count));
    for (size_t i = 0; i < builder->count; i++)
        ARROW(ArrowArrayInitFromType(array->children[i], storages[builder->cells[i].type].type));
    return true;
}

bool batch_builder_finish(BatchBuilder *builder, struct ArrowArray *ret_array, Error *err)
{
    assert(!builder->open);

    // A column of no rows still has one offset.
    if (builder->rows_max == 0)
        TRY(grow_rows(builder, err));
    CLEANUP(arrow_array_done) struct ArrowArray array = {.release = NULL};
    TRY(make_array(builder, &array, err));
    const size_t size = block_size(builder);
    Block *block = block_new(size);
    if (block == NULL)
        return error_set(err, ERROR_LIMIT, "batch: out of memory for %zu bytes", size);
    size_t at = 0;
    for (size_t i = 0; i < builder->count; i++)
        copy_column(&builder->cells[i], builder->rows, block, &at, array.children[i]);
    assert(at <= size);
    block_leave(block);
    array.length = (int64_t)builder->rows;
    array.null_count = 0;
    builder->rows = 0;

    ArrowArrayMove(&array, ret_array);
    return true;
}

static ArrowErrorCode set_type(struct ArrowSchema *child, const Column *column)
{
    const enum ArrowType type = storages[column->type].type;
    if (column->type == COLUMN_TIMESTAMP)
        return ArrowSchemaSetTypeDateTime(child, type, NANOARROW_TIME_UNIT_MICRO, "UTC");
    if (column->type == COLUMN_DECIMAL)
        return ArrowSchemaSetTypeDecimal(child, type, column->precision, column->scale);
    if (column->type == COLUMN_KEY)
        return ArrowSchemaSetTypeFixedSize(child, type, KEY_BYTES);
    return ArrowSchemaSetType(child, type);
}

static bool describe(struct ArrowSchema *schema, const Column *columns, size_t count, Arena *arena,
                     Error *err)
{
    ArrowSchemaInit(schema);
    ARROW(ArrowSchemaSetTypeStruct(schema, (int64_t)count));
    for (size_t i = 0; i < count; i++) {
        struct ArrowSchema *child = schema->children[i];
        Str name = {0};
        TRY(arena_copy_str(arena, columns[i].name, &name, err)); // with the NUL that Arrow wants
        ARROW(set_type(child, &columns[i]));
        ARROW(ArrowSchemaSetName(child, name.data));
        child->flags = columns[i].required ? 0 : ARROW_FLAG_NULLABLE;
    }
    return true;
}

bool batch_schema(const Column *columns, size_t count, struct ArrowSchema *ret_schema, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(DESCRIPTION_BYTES_MAX, err);
    TRY(arena != NULL);
    CLEANUP(arrow_schema_done) struct ArrowSchema schema = {.release = NULL};
    TRY(describe(&schema, columns, count, arena, err));
    ArrowSchemaMove(&schema, ret_schema);
    return true;
}

void arrow_array_done(struct ArrowArray *array)
{
    if (array->release != NULL)
        array->release(array);
}

void arrow_schema_done(struct ArrowSchema *schema)
{
    if (schema->release != NULL)
        schema->release(schema);
}
