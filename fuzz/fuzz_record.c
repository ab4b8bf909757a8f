// links: pawl_contract
//
// Whatever parses becomes rows or quarantine; what is stored is text anywhere, one record always
// has one hash, and a decimal has the digits that were sent.
#include "contract/decimal.h"
#include "contract/plan.h"

#include <stdlib.h>

enum { RUN_BYTES = 64 * 1024 * 1024, RECORDS_MAX = 64 };

// One column of every type, aliases, formats, a phone, a unit, and every kind of privacy.
static const char *const contract_text =
    "{\"stream\":\"s\",\"key\":[\"k\",\"id\"],\"volatile\":[\"/v\",\"/o/v\",\"/l/*/"
    "v\"],\"known\":[\"/n\"],"
    "\"privacy\":{\"/m\":\"mask\",\"/h\":\"hash\",\"/d\":\"drop\",\"/l/*/"
    "m\":\"mask\"},\"columns\":["
    "{\"name\":\"id\",\"type\":\"int64\"},{\"name\":\"k\",\"type\":\"string\",\"from_partition\":"
    "\"k\",\"from\":\"/k\"},"
    "{\"name\":\"s\",\"type\":\"string\",\"from\":[\"/o/s\",\"/"
    "s\"]},{\"name\":\"f\",\"type\":\"double\"},"
    "{\"name\":\"c\",\"type\":\"decimal\"},{\"name\":\"e\",\"type\":\"decimal\",\"precision\":38,"
    "\"scale\":10},{\"name\":\"b\",\"type\":\"boolean\"},"
    "{\"name\":\"t\",\"type\":\"timestamp\",\"formats\":[\"epoch_s\",\"iso\",\"%Y-%m-%d %I:%M %p "
    "%z\"]},"
    "{\"name\":\"a\",\"type\":\"date\"},{\"name\":\"j\",\"type\":\"json\",\"from\":[\"/j\",\"/o/"
    "j\"]},"
    "{\"name\":\"p\",\"type\":\"string\",\"phone\":\"US\",\"privacy\":\"mask\"},"
    "{\"name\":\"w\",\"type\":\"double\",\"unit\":{\"ms_if_over\":\"/f\",\"less\":\"/o/f\"}}]}";

static void must(bool ok)
{
    if (!ok)
        abort();
}

// Every text cell is what JSON and PostgreSQL take; json cells are JSON.
static void check_column(const struct ArrowArray *cells, ColumnType type, Arena *arena)
{
    const uint8_t *valid = cells->buffers[0];
    const int32_t *offsets = cells->buffers[1];
    for (int64_t row = 0; row < cells->length; row++) {
        if (valid != NULL && (valid[row / 8] >> (row % 8) & 1) == 0)
            continue;
        const Str text = {(const char *)cells->buffers[2] + offsets[row],
                          (size_t)(offsets[row + 1] - offsets[row])};
        Error err = {0};
        yyjson_doc *doc = NULL;
        must(str_is_utf8(text) && str_find_char(text, '\0') == text.size);
        must(type != COLUMN_JSON || json_parse(text, "cell", arena, &doc, &err));
    }
}

static void check_array(const struct ArrowArray *array, const Column *columns, size_t count,
                        Arena *arena)
{
    Error err = {0};
    CLEANUP(arrow_schema_done) struct ArrowSchema schema = {.release = NULL};
    must(batch_schema(columns, count, &schema, &err));
    struct ArrowArrayView view;
    must(ArrowArrayViewInitFromSchema(&view, &schema, NULL) == NANOARROW_OK);
    must(ArrowArrayViewSetArray(&view, array, NULL) == NANOARROW_OK);
    must(ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, NULL) == NANOARROW_OK);
    ArrowArrayViewReset(&view);
    for (size_t i = 0; i < count; i++) {
        if (columns[i].type == COLUMN_STRING || columns[i].type == COLUMN_JSON)
            check_column(array->children[i], columns[i].type, arena);
    }
}

// The decimals of the first batch against the text of the numbers, read by another way: rows are
// records in their order where none was refused.
static void check_decimals(const Contract *contract, const struct ArrowArray *rows, Str text)
{
    size_t count = 0;
    size_t column = 0;
    const Column *columns = contract_columns(contract, &count);
    while (!str_equal(columns[column].name, STR("e")))
        column++;
    const struct ArrowArray *cells = rows->children[column];
    const uint8_t *valid = cells->buffers[0];
    const uint64_t *words = cells->buffers[1];
    yyjson_doc *raw = yyjson_read(text.data, text.size, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_val *root = yyjson_doc_get_root(raw); // NULL where strings had to be mended
    for (int64_t row = 0; root != NULL && row < rows->length; row++) {
        yyjson_val *record = yyjson_is_arr(root) ? yyjson_arr_get(root, (size_t)row) : root;
        yyjson_val *sent = NULL;
        yyjson_val *name = NULL;
        yyjson_val *value = NULL;
        size_t index = 0;
        size_t all = 0;
        yyjson_obj_foreach(record, index, all, name, value)
        {
            sent = str_equal(json_str(name), STR("e")) ? value : sent;
        }
        if (!yyjson_is_raw(sent))
            continue;
        uint64_t expected[2] = {0};
        const bool fits =
            decimal_parse((Str){yyjson_get_raw(sent), yyjson_get_len(sent)}, 38, 10, expected);
        must(fits == (valid == NULL || (valid[row / 8] >> (row % 8) & 1) != 0));
        must(!fits || memcmp(words + 2 * row, expected, sizeof(expected)) == 0);
    }
    yyjson_doc_free(raw);
}

static void shape(const Contract *contract, yyjson_val *const *records, size_t count, Str text,
                  Arena *arena)
{
    Error err = {0};
    CLEANUP(shaper_freep) Shaper *shaper = NULL;
    CLEANUP(shaped_batch_freep) ShapedBatch *first = NULL;
    CLEANUP(shaped_batch_freep) ShapedBatch *second = NULL;
    must(shaper_new(contract, NULL, &shaper, &err));
    must(shaper_add(shaper, records, count, NULL, 1, &err));
    must(shaper_take(shaper, &first, &err));
    must(shaper_add(shaper, records, count, NULL, 1, &err));
    must(shaper_take(shaper, &second, &err));
    must(first->rows == second->rows);
    must(first->rows + (size_t)first->quarantine.length == count);
    must(first->rows == 0 ||
         (memcmp(first->keys, second->keys, first->rows * sizeof(Key128)) == 0 &&
          memcmp(first->hashes, second->hashes, first->rows * sizeof(Key128)) == 0));
    if (first->quarantine.length == 0)
        check_decimals(contract, &first->array, text);
    size_t columns_count = 0;
    const Column *columns = contract_columns(contract, &columns_count);
    check_array(&first->array, columns, columns_count, arena);
    columns = contract_quarantine_columns(&columns_count);
    check_array(&first->quarantine, columns, columns_count, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    must(arena != NULL);
    Contract *contract = NULL;
    Findings findings = {.arena = arena};
    must(contract_read(str_from(contract_text), "fuzz", arena, &findings, &contract, &err));
    must(findings.count == 0);
    yyjson_doc *doc = NULL;
    if (!json_parse_lenient((Str){(const char *)data, size}, "fuzz", arena, &doc, &err))
        return 0;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *records[RECORDS_MAX] = {root};
    size_t count = 1;
    if (yyjson_is_arr(root)) {
        yyjson_val *item = NULL;
        size_t index = 0;
        size_t all = 0;
        count = 0;
        yyjson_arr_foreach(root, index, all, item)
        {
            if (count < RECORDS_MAX)
                records[count++] = item;
        }
    }
    shape(contract, records, count, (Str){(const char *)data, size}, arena);
    return 0;
}
