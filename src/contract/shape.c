#include "contract/cast.h"
#include "contract/record.h"

#include <assert.h>

enum {
    SHAPER_BYTES_MAX = 64 * 1024 * 1024,
    BATCH_BYTES = 32 * 1024 * 1024, // a batch of wide rows is full before it has BATCH_ROWS
};

struct Shaper {
    const Contract *contract;
    Arena *arena;
    BatchBuilder *rows;
    BatchBuilder *quarantine;
    Record record;
    Drift drift;
    Caster caster;
    Buf key;
    Buf overflow;
    Hasher hasher;
    bool no_hashes;
    bool lenient;           // "required" is asked of keys alone
    bool keyed;             // `key` is whole
    bool key_is_odd;        // it is not, though something was sent for it
    Buf refused;            // Key128 of refused records
    size_t refused_unknown; // those whose key nobody can tell
    size_t page_rows_max;   // records of the largest page so far
    ShapeCounts counts;
};

// --- life

static bool shaper_init(Shaper *shaper, Error *err)
{
    const Contract *contract = shaper->contract;
    shaper->drift.contract = contract;
    shaper->drift.arena = shaper->arena;
    TRY(record_init(&shaper->record, contract, &shaper->drift, shaper->arena, err));
    TRY(hasher_init(&shaper->hasher, err));
    text_set_privacy_key(&shaper->record.text, contract->privacy_key);
    shaper->caster.text = &shaper->record.text;
    shaper->caster.sources = shaper->record.sources;
    shaper->caster.aside = &shaper->record.aside;
    shaper->caster.contract = contract;
    TRY(batch_builder_new(contract->columns, contract->column_count, &shaper->rows, err));
    size_t count = 0;
    const Column *columns = contract_quarantine_columns(&count);
    return batch_builder_new(columns, count, &shaper->quarantine, err);
}

bool shaper_new(const Contract *contract, const Zone *zone, Shaper **ret_shaper, Error *err)
{
    Arena *arena = arena_new(SHAPER_BYTES_MAX, err);
    TRY(arena != NULL);
    Shaper *shaper = arena_alloc(arena, sizeof(*shaper), err);
    if (shaper == NULL) {
        arena_free(arena);
        return false;
    }
    shaper->arena = arena;
    shaper->contract = contract;
    shaper->caster.zone = zone;
    if (!shaper_init(shaper, err)) {
        shaper_free(shaper);
        return false;
    }
    *ret_shaper = shaper;
    return true;
}

void shaper_free(Shaper *shaper)
{
    if (shaper == NULL)
        return;
    record_done(&shaper->record);
    buf_done(&shaper->caster.scratch);
    buf_done(&shaper->key);
    buf_done(&shaper->refused);
    buf_done(&shaper->overflow);
    hasher_done(&shaper->hasher);
    batch_builder_free(shaper->rows);
    batch_builder_free(shaper->quarantine);
    arena_wipe(shaper->arena); // the privacy key was in it
}

void shaper_freep(Shaper **shaper)
{
    shaper_free(*shaper);
}

void shaper_set_zone(Shaper *shaper, const Zone *zone)
{
    shaper->caster.zone = zone;
}

void shaper_set_table(Shaper *shaper, bool hashes)
{
    shaper->caster.of_table = true;
    shaper->no_hashes = !hashes;
    shaper->lenient = !hashes;
}

void shaper_set_lenient(Shaper *shaper)
{
    shaper->lenient = true;
}

// --- columns

// Casts, keeping the text of a cell cast before where it is: it may lie in the scratch, which may
// move.
static bool cast_another(Shaper *shaper, const ColumnPlan *plan, const Sourced *sourced,
                         Cell *before, Fit *ret_fit, Cell *ret_cell, Error *err)
{
    Buf *scratch = &shaper->caster.scratch;
    const bool inside = before != NULL && scratch->size > 0 && before->text.size > 0 &&
                        before->text.data >= scratch->data &&
                        before->text.data < scratch->data + scratch->size;
    const size_t at = inside ? (size_t)(before->text.data - scratch->data) : 0;
    TRY(cast_value(&shaper->caster, plan, sourced, ret_fit, ret_cell, err));
    if (inside)
        before->text.data = scratch->data + at;
    return true;
}

static yyjson_val *partition_value(yyjson_val *partition, Str field)
{
    return field.data[0] == '/' ? json_pointer(partition, field) : json_get(partition, field);
}

// The column's value: the partition's, or the first path's that has one which fits. What other
// paths say is kept unless it is the same.
static bool choose(Shaper *shaper, const ColumnPlan *plan, yyjson_val *partition, bool *ret_has,
                   Cell *ret_cell, Error *err)
{
    bool has = false;
    Fit fit = FIT_NO;
    if (plan->from_partition.size > 0) {
        const Sourced given = {.value = partition_value(partition, plan->from_partition),
                               .odd = true};
        if (given.value != NULL && !unsafe_yyjson_is_null(given.value)) {
            TRY(cast_another(shaper, plan, &given, NULL, &fit, ret_cell, err));
            has = fit == FIT_YES;
        }
    }
    for (size_t i = 0; i < plan->source_count; i++) {
        Sourced *sourced = &shaper->record.sources[plan->sources[i]];
        if (sourced->value == NULL)
            continue;
        Cell cell;
        TRY(cast_another(shaper, plan, sourced, has ? ret_cell : NULL, &fit, &cell, err));
        if (fit == FIT_NO) {
            sourced->kept = true;
            shaper->counts.misfits++;
            drift_misfit(&shaper->drift, shaper->contract->sources[plan->sources[i]].path);
        } else if (fit == FIT_NULL || (has && cell_same(plan, ret_cell, &cell))) {
            sourced->taken = true;
        } else if (has) {
            sourced->kept = true;
        } else {
            sourced->taken = true;
            sourced->kept |= cell.guessed; // the evidence
            *ret_cell = cell;
            has = true;
        }
    }
    *ret_has = has;
    return true;
}

static Str plan_path(const Shaper *shaper, const ColumnPlan *plan)
{
    return plan->source_count > 0 ? shaper->contract->sources[plan->sources[0]].path
                                  : plan->from_partition;
}

// Digits at the end of `text`.
static Str write_decimal(int64_t value, char text[TIME_TEXT_BYTES])
{
    size_t at = TIME_TEXT_BYTES;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        text[--at] = '-';
    return (Str){text + at, TIME_TEXT_BYTES - at};
}

// A key column's part of the canonical key text: "i3:123", "s5:hello", "d10:2025-05-01".
static bool add_key_part(Shaper *shaper, const ColumnPlan *plan, const Cell *cell, Error *err)
{
    char text[TIME_TEXT_BYTES];
    char digits[TIME_TEXT_BYTES];
    Str part = cell->text;
    char tag = 's';
    if (plan->type == COLUMN_INT64) {
        part = write_decimal(cell->integer, text);
        tag = 'i';
    } else if (plan->type == COLUMN_DATE) {
        date_format((int32_t)cell->integer, text);
        part = str_from(text);
        tag = 'd';
    }
    const Str size = write_decimal((int64_t)part.size, digits);
    TRY(text_put_char(&shaper->key, tag, err));
    TRY(text_put_bytes(&shaper->key, size.data, size.size, err));
    TRY(text_put_char(&shaper->key, ':', err));
    return text_put_bytes(&shaper->key, part.data, part.size, err);
}

// Two strings that differ only in what columns cannot hold would give one key.
static bool key_is_usable(const ColumnPlan *plan, const Shaper *shaper)
{
    for (size_t i = 0; i < plan->source_count && plan->type == COLUMN_STRING; i++) {
        const Sourced *sourced = &shaper->record.sources[plan->sources[i]];
        if (sourced->value != NULL && sourced->odd && !text_is_clean(json_str(sourced->value)))
            return false;
    }
    return true;
}

static bool has_nothing(const Shaper *shaper, const ColumnPlan *plan)
{
    for (size_t i = 0; i < plan->source_count; i++) {
        if (shaper->record.sources[plan->sources[i]].value != NULL)
            return false;
    }
    return true;
}

static bool sends_something(const Shaper *shaper, const ColumnPlan *plan)
{
    for (size_t i = 0; i < plan->source_count; i++) {
        yyjson_val *value = shaper->record.sources[plan->sources[i]].value;
        if (value != NULL && !yyjson_is_null(value))
            return true;
    }
    return false;
}

// One column by the book.
static bool fill_column(Shaper *shaper, const ColumnPlan *plan, bool is_key, yyjson_val *partition,
                        Error *err)
{
    if (!plan->required && plan->from_partition.size == 0 && has_nothing(shaper, plan))
        return true;
    buf_clear(&shaper->caster.scratch);
    bool has = false;
    Cell cell;
    TRY(choose(shaper, plan, partition, &has, &cell, err));
    if (!has && plan->required && (is_key || !shaper->lenient))
        record_refuse(&shaper->record, is_key ? "null key" : "null in a required column",
                      plan_path(shaper, plan));
    if (!has)
        return true;
    TRY(cell_set(shaper->rows, plan, &cell, err));
    if (!is_key)
        return true;
    if (!key_is_usable(plan, shaper))
        record_refuse(&shaper->record, "unusable key", plan_path(shaper, plan));
    return add_key_part(shaper, plan, &cell, err);
}

// A value that its column takes as it is; *ret_done = false: it needs a cast after all.
static inline bool fill_plain(Shaper *shaper, const PlainColumn *plain, const Sourced *sourced,
                              bool *ret_done, Error *err)
{
    yyjson_val *value = sourced->value;
    const uint8_t kind = value->tag & YYJSON_TAG_MASK;
    const bool is_uint = kind == (YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT);
    *ret_done = true;
    if (plain->type == COLUMN_STRING && unsafe_yyjson_is_str(value) && !sourced->odd)
        return batch_set_str(shaper->rows, plain->index,
                             (Str){value->uni.str, unsafe_yyjson_get_len(value)}, err);
    if (plain->type == COLUMN_DOUBLE && is_uint)
        return batch_set_double(shaper->rows, plain->index, (double)value->uni.u64, err);
    if (plain->type == COLUMN_INT64 && is_uint && value->uni.u64 <= INT64_MAX)
        return batch_set_int64(shaper->rows, plain->index, value->uni.i64, err);
    *ret_done = false;
    return true;
}

static bool fill_columns(Shaper *shaper, yyjson_val *partition, Error *err)
{
    const Contract *contract = shaper->contract;
    const size_t first_plain = contract->plan_count - contract->plain_count;
    buf_clear(&shaper->key);
    for (size_t i = 0; i < first_plain; i++) {
        TRY(fill_column(shaper, &contract->plans[i], i < contract->key_count, partition, err));
        shaper->keyed = i >= contract->key_count;
        if (shaper->record.refusal.reason != NULL) {
            shaper->key_is_odd = sends_something(shaper, &contract->plans[i]);
            return true;
        }
    }
    for (size_t i = 0; i < contract->plain_count; i++) {
        const PlainColumn *plain = &contract->plain[i];
        Sourced *sourced = &shaper->record.sources[plain->source];
        if (sourced->value == NULL)
            continue;
        bool done = false;
        TRY(fill_plain(shaper, plain, sourced, &done, err));
        if (done)
            sourced->taken = true;
        else
            TRY(fill_column(shaper, &contract->plans[first_plain + i], false, partition, err));
    }
    return true;
}

// --- rows

static Key128 hash_key(Shaper *shaper)
{
    hasher_start(&shaper->hasher);
    hasher_add(&shaper->hasher, buf_str(&shaper->key));
    const Sha256 hash = hasher_finish(&shaper->hasher);
    return key128(&hash);
}

static bool set_system(Shaper *shaper, int64_t fetched_us, Error *err)
{
    const size_t first = shaper->contract->plan_count;
    const Key128 key = hash_key(shaper);
    const int redacted = shaper->contract->redacted_source;
    if (redacted != NO_SOURCE && yyjson_is_true(shaper->record.sources[redacted].value))
        shaper->counts.redacted++;
    // Text and notes together tell any two records apart.
    Buf *out = &shaper->record.text.out;
    TRY(record_write_notes(&shaper->record, out, err));
    Key128 hash = {0};
    if (!shaper->no_hashes)
        hash = content_hash(buf_str(out));
    TRY(batch_set_key(shaper->rows, first + SYSTEM_ROW_KEY, &key, err));
    TRY(batch_set_key(shaper->rows, first + SYSTEM_ROW_HASH, &hash, err));
    return batch_set_int64(shaper->rows, first + SYSTEM_FETCHED_AT, fetched_us, err);
}

static bool set_quarantine(Shaper *shaper, yyjson_val *record, int64_t fetched_us, Error *err)
{
    BatchBuilder *rows = shaper->quarantine;
    Text *text = &shaper->record.text;
    buf_clear(&text->out);
    text->noting = false;
    const bool ok = text_write(text, record, shaper->contract->root, NULL, err);
    text->noting = true;
    TRY(ok);
    TRY(batch_set_str(rows, 0, str_from(shaper->record.refusal.reason), err));
    if (shaper->record.refusal.path.size > 0)
        TRY(batch_set_str(rows, 1, shaper->record.refusal.path, err));
    TRY(batch_set_str(rows, 2, buf_str(&text->out), err));
    return batch_set_int64(rows, 3, fetched_us, err);
}

static bool quarantine(Shaper *shaper, yyjson_val *record, int64_t fetched_us, Error *err)
{
    TRY(batch_row_begin(shaper->quarantine, err));
    if (!set_quarantine(shaper, record, fetched_us, err)) {
        batch_row_undo(shaper->quarantine);
        return false;
    }
    shaper->counts.quarantined++;
    return batch_row_end(shaper->quarantine, err);
}

// A row of it may be stored from better days, and is not gone. Without a key it was none.
static bool note_refused(Shaper *shaper, Error *err)
{
    if (!shaper->keyed) {
        shaper->refused_unknown += shaper->key_is_odd ? 1 : 0;
        return true;
    }
    const Key128 key = hash_key(shaper);
    return buf_append(&shaper->refused, (Str){(const char *)key.bytes, sizeof(key.bytes)}, err);
}

static bool fill_row(Shaper *shaper, yyjson_val *partition, int64_t fetched_us, Error *err)
{
    TRY(fill_columns(shaper, partition, err));
    if (shaper->record.refusal.reason != NULL)
        return true;
    TRY(drift_check(&shaper->drift, err));
    TRY(record_write_overflow(&shaper->record, &shaper->overflow, err));
    if (shaper->overflow.size > 0) {
        shaper->counts.overflowed++;
        TRY(batch_set_str(shaper->rows, shaper->contract->plan_count + SYSTEM_OVERFLOW,
                          buf_str(&shaper->overflow), err));
    }
    return set_system(shaper, fetched_us, err);
}

static bool add_record(Shaper *shaper, yyjson_val *record, yyjson_val *partition,
                       int64_t fetched_us, Error *err)
{
    if (!yyjson_is_obj(record)) {
        shaper->record.refusal = (Refusal){.reason = "is not an object"};
        shaper->refused_unknown++;
        return quarantine(shaper, record, fetched_us, err);
    }
    TRY(record_read(&shaper->record, record, err));
    if (shaper->record.refusal.reason != NULL) {
        shaper->refused_unknown++;
        return quarantine(shaper, record, fetched_us, err);
    }
    TRY(batch_row_begin(shaper->rows, err));
    const ShapeCounts before = shaper->counts;
    const bool ok = fill_row(shaper, partition, fetched_us, err);
    if (ok && shaper->record.refusal.reason == NULL) {
        shaper->counts.rows++;
        return batch_row_end(shaper->rows, err);
    }
    batch_row_undo(shaper->rows);
    shaper->counts = before;
    return ok && note_refused(shaper, err) && quarantine(shaper, record, fetched_us, err);
}

bool shaper_add(Shaper *shaper, yyjson_val *const *records, size_t count, yyjson_val *partition,
                int64_t fetched_us, Error *err)
{
    if (count > shaper->page_rows_max)
        shaper->page_rows_max = count;
    names_turn_page(&shaper->record.names);
    drift_turn_page(&shaper->drift);
    for (size_t i = 0; i < count; i++) {
        TRY(add_record(shaper, records[i], partition, fetched_us, err));
        shaper->counts.records++;
    }
    return true;
}

bool shaper_is_full(const Shaper *shaper)
{
    const size_t rows = batch_builder_rows(shaper->rows);
    const size_t refused = batch_builder_rows(shaper->quarantine);
    return (rows > 0 && rows + shaper->page_rows_max > BATCH_ROWS) ||
           (refused > 0 && refused + shaper->page_rows_max > BATCH_ROWS) ||
           batch_builder_bytes(shaper->rows) + batch_builder_bytes(shaper->quarantine) >
               BATCH_BYTES;
}

const ShapeCounts *shaper_counts(const Shaper *shaper)
{
    return &shaper->counts;
}

const Str *shaper_drift_paths(const Shaper *shaper, size_t *ret_count)
{
    *ret_count = shaper->drift.count;
    return shaper->drift.paths;
}

const bool *shaper_drift_here(const Shaper *shaper)
{
    return shaper->drift.here;
}

const ColumnType *shaper_drift_types(const Shaper *shaper)
{
    return shaper->drift.types;
}

// --- batches

static const void *column_values(const ShapedBatch *batch, size_t column)
{
    return batch->array.children[column]->buffers[1];
}

static bool fill_batch(Shaper *shaper, ShapedBatch *batch, Error *err)
{
    batch->bytes = batch_builder_bytes(shaper->rows) + batch_builder_bytes(shaper->quarantine);
    TRY(batch_builder_finish(shaper->quarantine, &batch->quarantine, err));
    TRY(batch_builder_finish(shaper->rows, &batch->array, err));
    const size_t first = shaper->contract->plan_count;
    batch->rows = (size_t)batch->array.length;
    batch->keys = column_values(batch, first + SYSTEM_ROW_KEY);
    batch->hashes = column_values(batch, first + SYSTEM_ROW_HASH);
    batch->fetched_us = column_values(batch, first + SYSTEM_FETCHED_AT);
    if (shaper->refused.size > 0) {
        Key128 *keys = arena_alloc_raw(batch->arena, shaper->refused.size, err);
        TRY(keys != NULL);
        memcpy(keys, shaper->refused.data, shaper->refused.size);
        batch->refused_keys = keys;
        batch->refused_count = shaper->refused.size / sizeof(Key128);
    }
    batch->refused_unknown = shaper->refused_unknown;
    buf_clear(&shaper->refused);
    shaper->refused_unknown = 0;
    return true;
}

// An empty one, with room for `more_bytes` in its arena.
static ShapedBatch *batch_new(size_t more_bytes, Error *err)
{
    Arena *arena = arena_new(sizeof(ShapedBatch) + 64 + more_bytes, err);
    if (arena == NULL)
        return NULL;
    ShapedBatch *batch = arena_alloc(arena, sizeof(*batch), err);
    if (batch == NULL)
        arena_free(arena);
    else
        batch->arena = arena;
    return batch;
}

bool shaper_take(Shaper *shaper, ShapedBatch **ret_batch, Error *err)
{
    CLEANUP(shaped_batch_freep)
    ShapedBatch *batch = batch_new(shaper->refused.size + sizeof(Key128), err);
    TRY(batch != NULL && fill_batch(shaper, batch, err));
    *ret_batch = batch;
    batch = NULL;
    return true;
}

static bool copy_known(const Key128 *keys, const Key128 *hashes, size_t rows, int64_t fetched_us,
                       ShapedBatch *batch, Error *err)
{
    Key128 *both = arena_alloc_raw(batch->arena, 2 * rows * sizeof(Key128), err);
    int64_t *fetched = arena_alloc_raw(batch->arena, rows * sizeof(int64_t), err);
    TRY(both != NULL && fetched != NULL);
    memcpy(both, keys, rows * sizeof(Key128));
    memcpy(both + rows, hashes, rows * sizeof(Key128));
    for (size_t i = 0; i < rows; i++)
        fetched[i] = fetched_us;
    batch->keys = both;
    batch->hashes = both + rows;
    batch->fetched_us = fetched;
    batch->rows = rows;
    batch->keys_only = true;
    batch->bytes = arena_used_bytes(batch->arena);
    return true;
}

bool shaped_batch_known(const Key128 *keys, const Key128 *hashes, size_t rows, int64_t fetched_us,
                        ShapedBatch **ret_batch, Error *err)
{
    enum { ROW_BYTES = 2 * sizeof(Key128) + sizeof(int64_t), SLACK_BYTES = 1024 };
    CLEANUP(shaped_batch_freep)
    ShapedBatch *batch = batch_new(rows * ROW_BYTES + SLACK_BYTES, err);
    TRY(batch != NULL && copy_known(keys, hashes, rows, fetched_us, batch, err));
    *ret_batch = batch;
    batch = NULL;
    return true;
}

void shaped_batch_free(ShapedBatch *batch)
{
    if (batch == NULL)
        return;
    arrow_array_done(&batch->array);
    arrow_array_done(&batch->quarantine);
    arena_free(batch->arena);
}

void shaped_batch_freep(ShapedBatch **batch)
{
    shaped_batch_free(*batch);
}
