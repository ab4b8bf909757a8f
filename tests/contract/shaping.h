// Shaping: what the tests of this folder share: a contract and records as text in, cells as text
// out.
#pragma once

#include "contract/plan.h"
#include "harness/check.h"

typedef struct Shaping {
    Arena *arena;
    Contract *contract;
    Shaper *shaper;
    ShapedBatch *batch;
} Shaping;

enum { SHAPING_BYTES = 256 * 1024 * 1024 };
#define SHAPING_FETCHED INT64_C(1700000000000000)

static inline void shaping_done(Shaping *shaping)
{
    shaped_batch_free(shaping->batch);
    shaper_free(shaping->shaper);
    arena_free(shaping->arena);
}

static inline void shaping_open(Shaping *shaping, const char *contract)
{
    Error err = {0};
    shaping->arena = arena_new(SHAPING_BYTES, &err);
    CHECK_OK(shaping->arena != NULL, &err);
    Findings findings = {.arena = shaping->arena};
    CHECK_OK(contract_read(str_from(contract), "test.json", shaping->arena, &findings,
                           &shaping->contract, &err),
             &err);
    CHECK_OK(findings_check(&findings, &err), &err);
    CHECK_OK(shaper_new(shaping->contract, NULL, &shaping->shaper, &err), &err);
}

// `records` is a JSON array; `partition` an object or NULL. Strings may hold bytes that are not
// UTF-8.
static inline bool shaping_add(Shaping *shaping, Str records, const char *partition, Error *err)
{
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse_lenient(records, "records", shaping->arena, &doc, err), err);
    yyjson_doc *slice = partition == NULL ? NULL : yyjson_read(partition, strlen(partition), 0);
    yyjson_val *items[5000];
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, item)
    {
        items[index] = item;
    }
    const bool ok =
        shaper_add(shaping->shaper, items, count, yyjson_doc_get_root(slice), SHAPING_FETCHED, err);
    yyjson_doc_free(slice);
    return ok;
}

static inline void shaping_take(Shaping *shaping)
{
    Error err = {0};
    shaped_batch_free(shaping->batch);
    shaping->batch = NULL;
    CHECK_OK(shaper_take(shaping->shaper, &shaping->batch, &err), &err);
}

// Opens, adds and takes in one go.
static inline void shaping_run(Shaping *shaping, const char *contract, const char *records)
{
    Error err = {0};
    shaping_open(shaping, contract);
    CHECK_OK(shaping_add(shaping, str_from(records), NULL, &err), &err);
    shaping_take(shaping);
}

// The digits of a decimal, without its point.
static inline Str decimal_text(const uint64_t words[2], char text[48])
{
    const bool negative = (int64_t)words[1] < 0;
    uint64_t low = negative ? 0 - words[0] : words[0];
    uint64_t high = negative ? ~words[1] + (words[0] == 0 ? 1 : 0) : words[1];
    size_t at = 48;
    do {
        uint64_t limbs[4] = {high >> 32, high & UINT32_MAX, low >> 32, low & UINT32_MAX};
        uint64_t rest = 0;
        for (size_t i = 0; i < 4; i++) {
            const uint64_t part = rest << 32 | limbs[i];
            limbs[i] = part / 10;
            rest = part % 10;
        }
        high = limbs[0] << 32 | limbs[1];
        low = limbs[2] << 32 | limbs[3];
        text[--at] = (char)('0' + rest);
    } while (low != 0 || high != 0);
    if (negative)
        text[--at] = '-';
    return (Str){text + at, 48 - at};
}

// Cell as text: "null", text as it is, numbers in decimal, keys in hexadecimal; decimals unscaled.
static inline Str array_cell(const struct ArrowArray *array, const Column *columns, size_t column,
                             size_t row, Arena *arena)
{
    Error err = {0};
    const struct ArrowArray *cells = array->children[column];
    const uint8_t *valid = cells->buffers[0];
    if (valid != NULL && (valid[row / 8] >> (row % 8) & 1) == 0)
        return STR("null");
    const int32_t *offsets = cells->buffers[1];
    const int64_t *integers = cells->buffers[1];
    const double *doubles = cells->buffers[1];
    const uint8_t *bytes = cells->buffers[1];
    Str text = {0};
    const uint64_t *words = cells->buffers[1];
    char digits[48];
    char hex[2 * KEY_BYTES + 1];
    bool ok = true;
    switch (columns[column].type) {
    case COLUMN_STRING:
    case COLUMN_JSON:
        ok = arena_copy_str(arena,
                            (Str){(const char *)cells->buffers[2] + offsets[row],
                                  (size_t)(offsets[row + 1] - offsets[row])},
                            &text, &err);
        break;
    case COLUMN_INT64:
    case COLUMN_TIMESTAMP:
        ok = arena_printf(arena, &text, &err, "%" PRIi64, integers[row]);
        break;
    case COLUMN_DATE:
        ok = arena_printf(arena, &text, &err, "%d", offsets[row]);
        break;
    case COLUMN_DOUBLE:
        ok = arena_printf(arena, &text, &err, "%.17g", doubles[row]);
        break;
    case COLUMN_BOOLEAN:
        return (bytes[row / 8] >> (row % 8) & 1) != 0 ? STR("true") : STR("false");
    case COLUMN_DECIMAL:
        ok = arena_copy_str(arena, decimal_text(words + 2 * row, digits), &text, &err);
        break;
    case COLUMN_KEY:
    default:
        hex_encode(bytes + row * KEY_BYTES, KEY_BYTES, hex);
        ok = arena_copy_str(arena, str_from(hex), &text, &err);
        break;
    }
    CHECK(ok);
    return text;
}

static inline Str shaping_cell(const Shaping *shaping, size_t row, const char *name)
{
    size_t count = 0;
    const Column *columns = contract_columns(shaping->contract, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(columns[i].name, str_from(name)))
            return array_cell(&shaping->batch->array, columns, i, row, shaping->arena);
    }
    CHECK(false);
    return (Str){0};
}

static inline Str shaping_refused(const Shaping *shaping, size_t row, size_t column)
{
    size_t count = 0;
    const Column *columns = contract_quarantine_columns(&count);
    return array_cell(&shaping->batch->quarantine, columns, column, row, shaping->arena);
}
