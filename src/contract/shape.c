#include "contract/cast.h"
#include "contract/names.h"

#include <assert.h>

enum {
    SHAPER_BYTES_MAX = 64 * 1024 * 1024,
    BATCH_BYTES = 32 * 1024 * 1024, // a batch of wide rows is full before it has BATCH_ROWS
    OTHERS_MAX = 64,                // members of one record that share a name with another
    DRIFT_MAX = 100,
    PRESENT_WORDS = NAMES_MAX / 64,
};

// One member of the record in hand. Its text is bytes `start` to `end` of the record's text, its
// value's begins at `value_at`; what the hash does not see of it (volatile) is aside of that text.
typedef struct Entry {
    Name *name;
    yyjson_val *value;
    uint32_t start;
    uint32_t value_at;
    uint32_t end;
    bool aside;
    bool odd;
} Entry;

// A member that lost its place to a later one of the same name.
typedef struct Other {
    Name *name;
    yyjson_val *value;
} Other;

// An unknown member below a known one, reported already.
typedef struct NestedDrift {
    const Node *parent;
    Str name;
} NestedDrift;

// Why a record cannot become a row. `reason` NULL = it can.
typedef struct Refusal {
    const char *reason;
    Str path;
} Refusal;

struct Shaper {
    const Contract *contract;
    Arena *arena;
    Names names;
    BatchBuilder *rows;
    BatchBuilder *quarantine;
    Text text;
    Caster caster;
    Buf aside;
    Buf key;
    Buf overflow;
    Hasher hasher;

    // The record in hand. Slots are by rank of the name; only those whose bit in `present` is set
    // count.
    yyjson_val **slots;
    uint64_t present[PRESENT_WORDS];
    Entry *entries;
    size_t entry_count;
    Other others[OTHERS_MAX];
    size_t other_count;
    Sourced *sources;
    Refusal refusal;
    Str frozen; // the first path that evolution freeze does not allow
    const char *frozen_why;

    size_t page_rows_max; // records of the largest page so far
    ShapeCounts counts;
    Str drift_paths[DRIFT_MAX];
    ColumnType drift_types[DRIFT_MAX];
    NestedDrift nested[DRIFT_MAX];
    size_t drift_count;
    size_t nested_count;
};

// --- life

static bool shaper_init(Shaper *shaper, Error *err)
{
    const Contract *contract = shaper->contract;
    Arena *arena = shaper->arena;
    TRY(names_init(&shaper->names, contract->root, err));
    TRY(text_init(&shaper->text, err));
    TRY(hasher_init(&shaper->hasher, err));
    // Large, but only as much of them as records have members is ever touched.
    shaper->slots = arena_alloc_raw(arena, NAMES_MAX * sizeof(yyjson_val *), err);
    TRY(shaper->slots != NULL);
    shaper->entries = arena_alloc_raw(arena, RECORD_MEMBERS_MAX * sizeof(Entry), err);
    TRY(shaper->entries != NULL);
    shaper->sources = arena_alloc_array(arena, contract->source_count + 1, sizeof(Sourced), err);
    TRY(shaper->sources != NULL);
    shaper->caster.text = &shaper->text;
    shaper->caster.sources = shaper->sources;
    shaper->caster.aside = &shaper->aside;
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
    names_done(&shaper->names);
    text_done(&shaper->text);
    buf_done(&shaper->caster.scratch);
    buf_done(&shaper->aside);
    buf_done(&shaper->key);
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

void shaper_set_privacy_key(Shaper *shaper, Str key)
{
    text_set_privacy_key(&shaper->text, key);
}

// --- drift

static ColumnType type_of(yyjson_val *value)
{
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_BOOL:
        return COLUMN_BOOLEAN;
    case YYJSON_TYPE_NUM:
        return unsafe_yyjson_is_real(value) ? COLUMN_DOUBLE : COLUMN_INT64;
    case YYJSON_TYPE_ARR:
    case YYJSON_TYPE_OBJ:
        return COLUMN_JSON;
    default:
        return COLUMN_STRING;
    }
}

static bool write_path_step(Str name, Buf *path, Error *err)
{
    TRY(buf_append_char(path, '/', err));
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        TRY(buf_append(path, c == '~' ? STR("~0") : c == '/' ? STR("~1") : (Str){&c, 1}, err));
    }
    return true;
}

// Remembers an unknown path; under freeze the record is refused.
static bool report_drift(Shaper *shaper, Str parent, Str name, yyjson_val *value, Error *err)
{
    CLEANUP(buf_done) Buf sent = {0};
    CLEANUP(buf_done) Buf path = {0};
    TRY(buf_append(&sent, parent, err));
    TRY(write_path_step(name, &sent, err));
    TRY(text_clean(buf_str(&sent), &path, err));
    if (shaper->contract->info.evolution == EVOLUTION_FREEZE) {
        if (shaper->frozen.data != NULL)
            return true;
        shaper->frozen_why = "is not in the contract";
        return arena_copy_str(shaper->arena, buf_str(&path), &shaper->frozen, err);
    }
    if (shaper->drift_count == DRIFT_MAX)
        return true;
    const size_t index = shaper->drift_count;
    TRY(arena_copy_str(shaper->arena, buf_str(&path), &shaper->drift_paths[index], err));
    shaper->drift_types[index] = type_of(value);
    shaper->drift_count++;
    return true;
}

static bool drift_name(Shaper *shaper, Name *name, yyjson_val *value, Error *err)
{
    TRY(report_drift(shaper, STR(""), name_text(name), value, err));
    if (shaper->contract->info.evolution != EVOLUTION_FREEZE)
        names_reported(name);
    return true;
}

// The path of a node, found by walking down to it: only drift needs it.
// NOLINTNEXTLINE(misc-no-recursion): PATH_DEPTH_MAX bounds the depth
static bool find_path(const Node *from, const Node *wanted, Buf *path, bool *ret_found, Error *err)
{
    *ret_found = from == wanted;
    for (size_t i = 0; i < from->member_count && !*ret_found; i++) {
        const size_t size = path->size;
        TRY(write_path_step(from->members[i]->name, path, err));
        TRY(find_path(from->members[i], wanted, path, ret_found, err));
        if (!*ret_found)
            path->size = size;
    }
    return true;
}

static bool drift_nested(Shaper *shaper, const Node *parent, Str name, yyjson_val *value,
                         Error *err)
{
    for (size_t i = 0; i < shaper->nested_count; i++) {
        if (shaper->nested[i].parent == parent && str_equal(shaper->nested[i].name, name))
            return true;
    }
    if (shaper->nested_count == DRIFT_MAX || name.size > NAME_BYTES_MAX)
        return true;
    CLEANUP(buf_done) Buf path = {0};
    bool found = false;
    TRY(find_path(shaper->contract->root, parent, &path, &found, err));
    TRY(report_drift(shaper, buf_str(&path), name, value, err));
    if (shaper->contract->info.evolution == EVOLUTION_FREEZE)
        return true;
    NestedDrift *nested = &shaper->nested[shaper->nested_count];
    TRY(arena_copy_str(shaper->arena, name, &nested->name, err));
    nested->parent = parent;
    shaper->nested_count++;
    return true;
}

// --- the record's members, sorted

static void refuse(Shaper *shaper, const char *reason, Str path)
{
    if (shaper->refusal.reason == NULL)
        shaper->refusal = (Refusal){reason, path};
}

// Puts a member into its slot. A null is as if it were absent, unless it follows another of its
// name.
static inline void put_slot(Shaper *shaper, Name *name, yyjson_val *value)
{
    const uint32_t rank = name->rank;
    const uint64_t bit = UINT64_C(1) << (rank % 64);
    uint64_t *word = &shaper->present[rank / 64];
    if ((*word & bit) == 0) {
        if (unsafe_yyjson_is_null(value))
            return;
        *word |= bit;
    } else if (shaper->other_count < OTHERS_MAX) {
        shaper->others[shaper->other_count++] = (Other){name, shaper->slots[rank]};
    } else {
        refuse(shaper, "more members share names than can be kept", (Str){0});
    }
    shaper->slots[rank] = value;
}

static bool place_members(Shaper *shaper, yyjson_val *record, Error *err)
{
    Names *names = &shaper->names;
    memset(shaper->present, 0, (names->count + 63) / 64 * sizeof(shaper->present[0]));
    shaper->other_count = 0;
    Name *name = &names->first;
    yyjson_val *key = record + 1;
    for (size_t left = unsafe_yyjson_get_len(record); left > 0; left--) {
        const char *text = unsafe_yyjson_get_str(key);
        const size_t size = unsafe_yyjson_get_len(key);
        if (!names_follows(name, text, size)) {
            if (size > NAME_BYTES_MAX) {
                refuse(shaper, "a member's name is too long", (Str){0});
                return true;
            }
            name->next = names_find(names, (Str){text, size}, err);
            TRY(name->next != NULL);
        }
        name = name->next;
        put_slot(shaper, name, key + 1);
        key = unsafe_yyjson_get_next(key + 1);
    }
    return true;
}

static bool sort_members(Shaper *shaper, yyjson_val *record, Error *err)
{
    const size_t count = unsafe_yyjson_get_len(record);
    if (count > RECORD_MEMBERS_MAX) {
        refuse(shaper, "more members than a record may have", (Str){0});
        return true;
    }
    TRY(names_make_room(&shaper->names, count, err));
    TRY(place_members(shaper, record, err));
    if (!shaper->names.changed)
        return true;
    // New names have no rank yet, and move those of others: once more, now that all are known.
    names_rank(&shaper->names);
    shaper->refusal = (Refusal){0};
    return place_members(shaper, record, err);
}

// --- the record's text

// Moves what was written since `start` out of the record's text into `aside`.
static bool put_aside(Shaper *shaper, Entry *entry, Error *err)
{
    Buf *out = &shaper->text.out;
    const uint32_t at = (uint32_t)shaper->aside.size;
    const uint32_t size = entry->end - entry->start;
    TRY(buf_append(&shaper->aside, (Str){out->data + entry->start, size}, err));
    out->size = entry->start;
    entry->value_at = at + (entry->value_at - entry->start);
    entry->start = at;
    entry->end = at + size;
    entry->aside = true;
    return true;
}

// Appends name, value and a comma, and notes where they are.
static bool write_entry(Shaper *shaper, Entry *entry, Error *err)
{
    Text *text = &shaper->text;
    const Name *name = entry->name;
    const Place place = {.name = name_text(name)};
    const size_t notes = text->bytes.size;
    entry->start = (uint32_t)text->out.size;
    TRY(text_put_bytes(&text->out, name->quoted, name->quoted_size, err));
    entry->value_at = (uint32_t)text->out.size;
    // Without a node where it asks for nothing: that is faster.
    TRY(text_write(text, entry->value, name->special ? name->node : NULL, &place, err));
    entry->end = (uint32_t)text->out.size;
    entry->aside = false;
    entry->odd = text->bytes.size != notes;
    return text_put_char(&text->out, ',', err);
}

// The same for the scalars that most members are; false when it is something else. All is kept in
// locals: to the compiler, a byte written could be part of any struct.
static inline bool write_simple(Buf *out, const Name *name, yyjson_val *value, Entry *entry)
{
    const uint64_t tag = value->tag;
    const uint8_t kind = tag & YYJSON_TAG_MASK;
    const bool is_str = kind == (YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC);
    const bool is_true = kind == (YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE);
    const bool is_false = kind == (YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE);
    if (!is_str && !is_true && !is_false && kind != (YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT))
        return false;
    const size_t size = is_str ? (size_t)(tag >> YYJSON_TAG_BIT) : 0;
    const Str quoted = name_quoted(name);
    char *const data = out->data;
    char *to = data + out->size;
    if (out->capacity - out->size < quoted.size + size + NAME_PIECE + TEXT_NUMBER_BYTES)
        return false;
    entry->start = (uint32_t)out->size;
    for (size_t i = 0; i < quoted.size; i += NAME_PIECE)
        memcpy(to + i, quoted.data + i, NAME_PIECE);
    to += quoted.size;
    entry->value_at = (uint32_t)(to - data);
    if (is_str) {
        *to = '"';
        text_copy(to + 1, value->uni.str, size);
        to[size + 1] = '"';
        to += size + 2;
    } else if (is_true || is_false) {
        memcpy(to, is_true ? "true" : "false", 5);
        to += is_true ? 4 : 5;
    } else {
        to = text_put_integer(to, value->uni.u64, false);
    }
    entry->end = (uint32_t)(to - data);
    entry->aside = false;
    entry->odd = false;
    *to = ',';
    out->size = (size_t)(to + 1 - data);
    return true;
}

// What the hash sees of a member with volatile parts: the same without them, or nothing.
static bool write_steady(Shaper *shaper, Entry *entry, Error *err)
{
    const Node *node = entry->name->node;
    TRY(put_aside(shaper, entry, err));
    if (node->is_volatile)
        return true;
    Text *text = &shaper->text;
    TRY(buf_append(&text->out, name_quoted(entry->name), err));
    text->noting = false;
    text->skip_volatile = true;
    const bool ok = text_write(text, entry->value, node, NULL, err);
    text->noting = true;
    text->skip_volatile = false;
    return ok && text_put_char(&text->out, ',', err);
}

// A value inside another: where its text begins nobody writes down.
static void put_nested(Shaper *shaper, const Node *node, yyjson_val *value, bool odd)
{
    shaper->sources[node->source] = (Sourced){.value = value, .odd = odd};
}

static inline void put_source(Shaper *shaper, const Entry *entry)
{
    Sourced *sourced = &shaper->sources[entry->name->source];
    sourced->value = entry->value;
    sourced->at = entry->value_at;
    sourced->size = entry->end - entry->value_at;
    sourced->aside = entry->aside;
    sourced->odd = entry->odd;
    sourced->kept = false;
    sourced->taken = false;
}

// Notes values below `node` that columns ask for, and members that nothing knows.
// NOLINTNEXTLINE(misc-no-recursion): PATH_DEPTH_MAX bounds the depth
static bool collect(Shaper *shaper, const Node *node, yyjson_val *object, bool odd, Error *err)
{
    yyjson_val *key = object + 1;
    for (size_t left = unsafe_yyjson_get_len(object); left > 0; left--) {
        yyjson_val *value = key + 1;
        const Str name = {unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key)};
        key = unsafe_yyjson_get_next(value);
        if (unsafe_yyjson_is_null(value))
            continue;
        const Node *below = node_member(node, name);
        if (below == NULL) {
            // Where a column holds the whole object, nothing in it is news.
            if (node->source == NO_SOURCE)
                TRY(drift_nested(shaper, node, name, value, err));
            continue;
        }
        if (below->privacy == PRIVACY_DROP)
            continue;
        if (below->source != NO_SOURCE)
            put_nested(shaper, below, value, odd);
        if (below->sources_below && unsafe_yyjson_is_obj(value))
            TRY(collect(shaper, below, value, odd, err));
    }
    return true;
}

// A member that needs more than writing it down: see Name.special.
static bool write_special(Shaper *shaper, Name *name, yyjson_val *value, Error *err)
{
    const Place place = {.name = name_text(name)};
    const Node *node = name->node;
    for (size_t i = 0; i < shaper->other_count; i++) {
        if (shaper->others[i].name == name)
            TRY(text_note_other(&shaper->text, shaper->others[i].value, node, &place, err));
    }
    if (name->reserved)
        return text_note_other(&shaper->text, value, node, &place, err);
    if (node != NULL && node->privacy == PRIVACY_DROP)
        return true;
    if (name->drift)
        TRY(drift_name(shaper, name, value, err));
    Entry *entry = &shaper->entries[shaper->entry_count++];
    entry->name = name;
    entry->value = value;
    TRY(write_entry(shaper, entry, err));
    if (node == NULL)
        return true;
    if (node->is_volatile || node->volatile_below)
        TRY(write_steady(shaper, entry, err));
    if (name->source != NO_SOURCE)
        put_source(shaper, entry);
    if (node->sources_below && unsafe_yyjson_is_obj(value))
        return collect(shaper, node, value, entry->odd, err);
    return true;
}

static inline bool write_ranked(Shaper *shaper, size_t rank, Error *err)
{
    Name *name = shaper->names.sorted[rank];
    yyjson_val *value = shaper->slots[rank];
    if (name->special || shaper->other_count > 0)
        return write_special(shaper, name, value, err);
    Entry *entry = &shaper->entries[shaper->entry_count++];
    entry->name = name;
    entry->value = value;
    if (!write_simple(&shaper->text.out, name, value, entry))
        TRY(write_entry(shaper, entry, err));
    if (name->source != NO_SOURCE)
        put_source(shaper, entry);
    return true;
}

static bool write_notes(const Text *text, Buf *out, Error *err)
{
    if (text->bytes.size > 0) {
        TRY(buf_append(out, STR("\"$bytes\":{"), err));
        TRY(buf_append(out, str_slice(buf_str(&text->bytes), 0, text->bytes.size - 1), err));
        TRY(buf_append(out, STR("},"), err));
    }
    if (text->others.size > 0) {
        TRY(buf_append(out, STR("\"$others\":["), err));
        TRY(buf_append(out, str_slice(buf_str(&text->others), 0, text->others.size - 1), err));
        TRY(buf_append(out, STR("],"), err));
    }
    return true;
}

// Turns the comma behind the last member into the closing brace.
static bool close_object(Buf *out, Error *err)
{
    if (out->data[out->size - 1] != ',')
        return buf_append_char(out, '}', err);
    out->data[out->size - 1] = '}';
    return true;
}

// The text that _row_hash is taken over, and where in it each member stands.
static bool write_record(Shaper *shaper, Error *err)
{
    Text *text = &shaper->text;
    buf_clear(&text->out);
    buf_clear(&text->bytes);
    buf_clear(&text->others);
    buf_clear(&shaper->aside);
    shaper->entry_count = 0;
    for (size_t i = 0; i < shaper->contract->source_count; i++)
        shaper->sources[i].value = NULL;
    TRY(text_put_char(&text->out, '{', err));
    const size_t words = (shaper->names.count + 63) / 64;
    for (size_t word = 0; word < words; word++) {
        for (uint64_t bits = shaper->present[word]; bits != 0; bits &= bits - 1)
            TRY(write_ranked(shaper, word * 64 + (size_t)__builtin_ctzll(bits), err));
    }
    return close_object(&text->out, err);
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

static void count_misfit(Shaper *shaper, int source)
{
    shaper->counts.misfits++;
    if (shaper->contract->info.evolution != EVOLUTION_FREEZE || shaper->frozen.data != NULL)
        return;
    shaper->frozen = shaper->contract->sources[source].path;
    shaper->frozen_why = "holds a value that does not fit its column";
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
        Sourced *sourced = &shaper->sources[plan->sources[i]];
        if (sourced->value == NULL)
            continue;
        Cell cell;
        TRY(cast_another(shaper, plan, sourced, has ? ret_cell : NULL, &fit, &cell, err));
        if (fit == FIT_NO) {
            sourced->kept = true;
            count_misfit(shaper, plan->sources[i]);
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
        const Sourced *sourced = &shaper->sources[plan->sources[i]];
        if (sourced->value != NULL && sourced->odd && !text_is_clean(json_str(sourced->value)))
            return false;
    }
    return true;
}

static bool has_nothing(const Shaper *shaper, const ColumnPlan *plan)
{
    for (size_t i = 0; i < plan->source_count; i++) {
        if (shaper->sources[plan->sources[i]].value != NULL)
            return false;
    }
    return true;
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
    if (!has && plan->required)
        refuse(shaper, is_key ? "null key" : "null in a required column", plan_path(shaper, plan));
    if (!has)
        return true;
    TRY(cell_set(shaper->rows, plan, &cell, err));
    if (!is_key)
        return true;
    if (!key_is_usable(plan, shaper))
        refuse(shaper, "unusable key", plan_path(shaper, plan));
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
        if (shaper->refusal.reason != NULL)
            return true;
    }
    for (size_t i = 0; i < contract->plain_count; i++) {
        const PlainColumn *plain = &contract->plain[i];
        Sourced *sourced = &shaper->sources[plain->source];
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

// --- overflow

// True when nothing of the member needs keeping.
static bool is_covered(const Shaper *shaper, int source)
{
    if (source == NO_SOURCE)
        return false;
    const Sourced *sourced = &shaper->sources[source];
    return sourced->taken && !sourced->kept;
}

// Appends what columns left of a member, with a comma.
static bool keep_remaining(Shaper *shaper, const Entry *entry, Error *err)
{
    Text *text = &shaper->text;
    const Buf record = text->out;
    text->out = shaper->overflow;
    const size_t start = text->out.size;
    text->noting = false;
    text->remaining = shaper->sources;
    bool ok = buf_append(&text->out, name_quoted(entry->name), err);
    const size_t value_at = text->out.size;
    ok = ok && text_write(text, entry->value, entry->name->node, NULL, err);
    const bool empty = ok && text->out.size == value_at + 2 && text->out.data[value_at] == '{';
    ok = ok && text_put_char(&text->out, ',', err);
    text->noting = true;
    text->remaining = NULL;
    shaper->overflow = text->out;
    text->out = record;
    if (!ok || empty)
        shaper->overflow.size = start;
    return ok;
}

// Members that stand side by side in the record's text are kept as one piece of it.
typedef struct Piece {
    uint32_t start;
    uint32_t end; // 0 = empty: nothing ends there
} Piece;

static bool keep_piece(Shaper *shaper, Piece *piece, Error *err)
{
    const Buf *out = &shaper->text.out;
    if (piece->end == 0)
        return true;
    const bool ok = text_put_bytes(&shaper->overflow, out->data + piece->start,
                                   piece->end - piece->start, err) &&
                    text_put_char(&shaper->overflow, ',', err);
    piece->end = 0;
    return ok;
}

static bool keep_special(Shaper *shaper, const Entry *entry, Error *err)
{
    const Node *node = entry->name->node;
    if (node != NULL && is_covered(shaper, node->source))
        return true;
    if (node != NULL && node->sources_below && unsafe_yyjson_is_obj(entry->value))
        return keep_remaining(shaper, entry, err);
    const Buf *whole = entry->aside ? &shaper->aside : &shaper->text.out;
    TRY(buf_append(&shaper->overflow, (Str){whole->data + entry->start, entry->end - entry->start},
                   err));
    return text_put_char(&shaper->overflow, ',', err);
}

static bool keep_entries(Shaper *shaper, Error *err)
{
    Piece piece = {0};
    for (size_t i = 0; i < shaper->entry_count; i++) {
        const Entry *entry = &shaper->entries[i];
        const Name *name = entry->name;
        if (name->special) {
            TRY(keep_piece(shaper, &piece, err));
            TRY(keep_special(shaper, entry, err));
            continue;
        }
        if (name->source != NO_SOURCE && is_covered(shaper, name->source))
            continue;
        if (piece.end == 0 || entry->start != piece.end + 1) {
            TRY(keep_piece(shaper, &piece, err));
            piece.start = entry->start;
        }
        piece.end = entry->end;
    }
    return keep_piece(shaper, &piece, err);
}

static bool keep_overflow(Shaper *shaper, Error *err)
{
    Buf *out = &shaper->overflow;
    buf_clear(out);
    TRY(text_put_char(out, '{', err));
    TRY(keep_entries(shaper, err));
    TRY(write_notes(&shaper->text, out, err));
    if (out->size == 1)
        return true;
    TRY(close_object(out, err));
    shaper->counts.overflowed++;
    return batch_set_str(shaper->rows, shaper->contract->plan_count + SYSTEM_OVERFLOW, buf_str(out),
                         err);
}

// --- rows

static Key128 hash_text(Shaper *shaper, Str text)
{
    hasher_start(&shaper->hasher);
    hasher_add(&shaper->hasher, text);
    const Sha256 hash = hasher_finish(&shaper->hasher);
    return key128(&hash);
}

static bool set_system(Shaper *shaper, int64_t fetched_us, Error *err)
{
    const size_t first = shaper->contract->plan_count;
    const Key128 key = hash_text(shaper, buf_str(&shaper->key));
    // Text and notes together tell any two records apart.
    Buf *out = &shaper->text.out;
    TRY(write_notes(&shaper->text, out, err));
    const Key128 hash = hash_text(shaper, buf_str(out));
    TRY(batch_set_key(shaper->rows, first + SYSTEM_ROW_KEY, &key, err));
    TRY(batch_set_key(shaper->rows, first + SYSTEM_ROW_HASH, &hash, err));
    return batch_set_int64(shaper->rows, first + SYSTEM_FETCHED_AT, fetched_us, err);
}

static bool set_quarantine(Shaper *shaper, yyjson_val *record, int64_t fetched_us, Error *err)
{
    BatchBuilder *rows = shaper->quarantine;
    Text *text = &shaper->text;
    buf_clear(&text->out);
    text->noting = false;
    const bool ok = text_write(text, record, shaper->contract->root, NULL, err);
    text->noting = true;
    TRY(ok);
    TRY(batch_set_str(rows, 0, str_from(shaper->refusal.reason), err));
    if (shaper->refusal.path.size > 0)
        TRY(batch_set_str(rows, 1, shaper->refusal.path, err));
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

static bool fill_row(Shaper *shaper, yyjson_val *partition, int64_t fetched_us, Error *err)
{
    TRY(fill_columns(shaper, partition, err));
    if (shaper->refusal.reason != NULL)
        return true;
    if (shaper->frozen.data != NULL)
        return error_set(err, ERROR_DATA, STR_FMT ": " STR_FMT " %s, and its evolution is freeze",
                         STR_ARG(shaper->contract->info.stream), STR_ARG(shaper->frozen),
                         shaper->frozen_why);
    TRY(keep_overflow(shaper, err));
    return set_system(shaper, fetched_us, err);
}

static bool add_record(Shaper *shaper, yyjson_val *record, yyjson_val *partition,
                       int64_t fetched_us, Error *err)
{
    shaper->refusal = (Refusal){0};
    shaper->frozen = (Str){0};
    if (!yyjson_is_obj(record)) {
        refuse(shaper, "is not an object", (Str){0});
        return quarantine(shaper, record, fetched_us, err);
    }
    TRY(sort_members(shaper, record, err));
    if (shaper->refusal.reason != NULL)
        return quarantine(shaper, record, fetched_us, err);
    TRY(write_record(shaper, err));
    TRY(batch_row_begin(shaper->rows, err));
    const ShapeCounts before = shaper->counts;
    const bool ok = fill_row(shaper, partition, fetched_us, err);
    if (ok && shaper->refusal.reason == NULL) {
        shaper->counts.rows++;
        return batch_row_end(shaper->rows, err);
    }
    batch_row_undo(shaper->rows);
    shaper->counts = before;
    return ok && quarantine(shaper, record, fetched_us, err);
}

bool shaper_add(Shaper *shaper, yyjson_val *const *records, size_t count, yyjson_val *partition,
                int64_t fetched_us, Error *err)
{
    if (count > shaper->page_rows_max)
        shaper->page_rows_max = count;
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
    *ret_count = shaper->drift_count;
    return shaper->drift_paths;
}

const ColumnType *shaper_drift_types(const Shaper *shaper)
{
    return shaper->drift_types;
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
    return true;
}

bool shaper_take(Shaper *shaper, ShapedBatch **ret_batch, Error *err)
{
    Arena *arena = arena_new(sizeof(ShapedBatch) + 64, err);
    TRY(arena != NULL);
    ShapedBatch *batch = arena_alloc(arena, sizeof(*batch), err);
    if (batch == NULL) {
        arena_free(arena);
        return false;
    }
    batch->arena = arena;
    if (!fill_batch(shaper, batch, err)) {
        shaped_batch_free(batch);
        return false;
    }
    *ret_batch = batch;
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
