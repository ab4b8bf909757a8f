#include "duck/arrow.h"

#include <assert.h>
#include <stdio.h>

// Which rows of a child to copy, and where to. Indexes count from the child's buffers.
typedef struct Pick {
    const struct ArrowArray *child;
    const uint32_t *rows; // NULL = all from `base` on
    size_t base;          // added to each index: the offsets of the struct and of the child
    size_t count;
    size_t at;
} Pick;

static duckdb_type type_of(ColumnType type)
{
    switch (type) {
    case COLUMN_STRING:
    case COLUMN_JSON:
        return DUCKDB_TYPE_VARCHAR;
    case COLUMN_INT64:
        return DUCKDB_TYPE_BIGINT;
    case COLUMN_DOUBLE:
        return DUCKDB_TYPE_DOUBLE;
    case COLUMN_DECIMAL:
        return DUCKDB_TYPE_DECIMAL;
    case COLUMN_BOOLEAN:
        return DUCKDB_TYPE_BOOLEAN;
    case COLUMN_TIMESTAMP:
        return DUCKDB_TYPE_TIMESTAMP_TZ;
    case COLUMN_DATE:
        return DUCKDB_TYPE_DATE;
    case COLUMN_KEY:
        return DUCKDB_TYPE_UUID;
    }
    return DUCKDB_TYPE_INVALID;
}

void duck_type_name(const Column *column, char *text, size_t room)
{
    static const char *const names[] = {
        [COLUMN_STRING] = "VARCHAR",  [COLUMN_JSON] = "JSON",
        [COLUMN_INT64] = "BIGINT",    [COLUMN_DOUBLE] = "DOUBLE",
        [COLUMN_BOOLEAN] = "BOOLEAN", [COLUMN_TIMESTAMP] = "TIMESTAMP WITH TIME ZONE",
        [COLUMN_DATE] = "DATE",       [COLUMN_KEY] = "UUID",
    };
    if (column->type == COLUMN_DECIMAL)
        (void)snprintf(text, room, "DECIMAL(%d,%d)", column->precision, column->scale);
    else
        (void)snprintf(text, room, "%s", names[column->type]);
}

bool duck_columns(const Column *columns, size_t count, Arena *arena, DuckColumn **ret_columns,
                  Error *err)
{
    DuckColumn *ducks = arena_alloc_array(arena, count, sizeof(*ducks), err);
    TRY(ducks != NULL);
    for (size_t i = 0; i < count; i++) {
        Str name = {0};
        TRY(arena_copy_str(arena, columns[i].name, &name, err));
        ducks[i] = (DuckColumn){.name = name.data,
                                .type = type_of(columns[i].type),
                                .precision = (uint8_t)columns[i].precision,
                                .scale = (uint8_t)columns[i].scale,
                                .is_json = columns[i].type == COLUMN_JSON};
    }
    *ret_columns = ducks;
    return true;
}

static inline size_t pick_index(const Pick *pick, size_t i)
{
    return pick->base + (pick->rows == NULL ? i : pick->rows[i]);
}

static inline bool bit_at(const uint8_t *bits, size_t index)
{
    return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static void fill_nulls(duckdb_vector vector, const Pick *pick)
{
    const uint8_t *bits = pick->child->buffers[0];
    if (bits == NULL || pick->child->null_count == 0)
        return;
    duckdb_vector_ensure_validity_writable(vector);
    uint64_t *validity = duckdb_vector_get_validity(vector);
    for (size_t i = 0; i < pick->count; i++) {
        const size_t to = pick->at + i;
        if (!bit_at(bits, pick_index(pick, i)))
            validity[to / 64] &= ~(UINT64_C(1) << (to % 64));
    }
}

static void fill_texts(duckdb_vector vector, const Pick *pick)
{
    const int32_t *offsets = pick->child->buffers[1];
    const char *data = pick->child->buffers[2];
    duckdb_string_t *texts = (duckdb_string_t *)duckdb_vector_get_data(vector) + pick->at;
    for (size_t i = 0; i < pick->count; i++) {
        const size_t index = pick_index(pick, i);
        const char *text = data + offsets[index];
        const uint32_t size = (uint32_t)(offsets[index + 1] - offsets[index]);
        duckdb_string_t out = {.value.inlined = {.length = size}};
        if (size <= sizeof(out.value.inlined.inlined)) {
            if (size > 0)
                memcpy(out.value.inlined.inlined, text, size);
        } else {
            memcpy(out.value.pointer.prefix, text, sizeof(out.value.pointer.prefix));
            // DuckDB only reads what the string points at; its struct has no const.
            memcpy(&out.value.pointer.ptr, &text, sizeof(text));
        }
        texts[i] = out;
    }
}

static void fill_words(duckdb_vector vector, const Pick *pick, size_t width)
{
    const char *from = pick->child->buffers[1];
    char *to = (char *)duckdb_vector_get_data(vector) + pick->at * width;
    if (pick->rows == NULL) {
        memcpy(to, from + pick->base * width, pick->count * width);
        return;
    }
    for (size_t i = 0; i < pick->count; i++)
        memcpy(to + i * width, from + pick_index(pick, i) * width, width);
}

static void fill_booleans(duckdb_vector vector, const Pick *pick)
{
    const uint8_t *bits = pick->child->buffers[1];
    bool *to = (bool *)duckdb_vector_get_data(vector) + pick->at;
    for (size_t i = 0; i < pick->count; i++)
        to[i] = bit_at(bits, pick_index(pick, i));
}

static void fill_keys(duckdb_vector vector, const Pick *pick)
{
    const unsigned char *from = pick->child->buffers[1];
    duckdb_hugeint *to = (duckdb_hugeint *)duckdb_vector_get_data(vector) + pick->at;
    for (size_t i = 0; i < pick->count; i++)
        to[i] = duck_uuid(from + pick_index(pick, i) * KEY_BYTES);
}

// DuckDB keeps a decimal in the narrowest integer that its precision fits into.
static size_t decimal_width(int precision)
{
    static const struct {
        int digits;
        size_t width;
    } widths[] = {{4, 2}, {9, 4}, {18, 8}, {38, 16}};
    size_t i = 0;
    while (precision > widths[i].digits)
        i++;
    return widths[i].width;
}

static void fill_decimals(duckdb_vector vector, const Pick *pick, size_t width)
{
    // Both sides are little-endian two's complement: the low bytes are the narrower number.
    const char *from = pick->child->buffers[1];
    char *to = (char *)duckdb_vector_get_data(vector) + pick->at * width;
    for (size_t i = 0; i < pick->count; i++)
        memcpy(to + i * width, from + pick_index(pick, i) * 16, width);
}

static void fill_column(duckdb_vector vector, const Column *column, const Pick *pick)
{
    fill_nulls(vector, pick);
    switch (column->type) {
    case COLUMN_STRING:
    case COLUMN_JSON:
        fill_texts(vector, pick);
        return;
    case COLUMN_INT64:
    case COLUMN_DOUBLE:
    case COLUMN_TIMESTAMP:
        fill_words(vector, pick, sizeof(int64_t));
        return;
    case COLUMN_DATE:
        fill_words(vector, pick, sizeof(int32_t));
        return;
    case COLUMN_DECIMAL:
        fill_decimals(vector, pick, decimal_width(column->precision));
        return;
    case COLUMN_BOOLEAN:
        fill_booleans(vector, pick);
        return;
    case COLUMN_KEY:
        fill_keys(vector, pick);
        return;
    }
}

bool duck_fill(duckdb_data_chunk chunk, size_t at, const Column *columns, size_t column_count,
               const DuckRange *range, Error *err)
{
    assert(at + range->count <= DUCK_VECTOR_ROWS);
    const struct ArrowArray *array = range->array;
    if (array->n_children != (int64_t)column_count)
        return error_set(err, ERROR_DATA, "batch: %lld columns where the table has %zu",
                         (long long)array->n_children, column_count);
    for (size_t i = 0; i < column_count; i++) {
        const struct ArrowArray *child = array->children[i];
        const size_t base = (size_t)(array->offset + child->offset);
        const Pick pick = {.child = child,
                           .rows = range->rows == NULL ? NULL : range->rows + range->first,
                           .base = base + (range->rows == NULL ? range->first : 0),
                           .count = range->count,
                           .at = at};
        fill_column(duckdb_data_chunk_get_vector(chunk, i), &columns[i], &pick);
    }
    return true;
}
