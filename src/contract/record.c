#include "contract/record.h"

#include <assert.h>

// --- life

bool record_init(Record *record, const Contract *contract, Drift *drift, Arena *arena, Error *err)
{
    record->contract = contract;
    record->drift = drift;
    TRY(names_init(&record->names, contract->root, err));
    TRY(text_init(&record->text, err));
    // Large, but only as much of them as records have members is ever touched.
    record->slots = arena_alloc_raw(arena, NAMES_MAX * sizeof(yyjson_val *), err);
    TRY(record->slots != NULL);
    record->entries = arena_alloc_raw(arena, RECORD_MEMBERS_MAX * sizeof(Entry), err);
    TRY(record->entries != NULL);
    record->sources = arena_alloc_array(arena, contract->source_count + 1, sizeof(Sourced), err);
    return record->sources != NULL;
}

void record_done(Record *record)
{
    names_done(&record->names);
    text_done(&record->text);
    buf_done(&record->aside);
}

// --- the record's members, sorted

void record_refuse(Record *record, const char *reason, Str path)
{
    if (record->refusal.reason == NULL)
        record->refusal = (Refusal){reason, path};
}

// Puts a member into its slot. A null is as if it were absent, unless it follows another of its
// name.
static inline void put_slot(Record *record, Name *name, yyjson_val *value)
{
    const uint32_t rank = name->rank;
    const uint64_t bit = UINT64_C(1) << (rank % 64);
    uint64_t *word = &record->present[rank / 64];
    if ((*word & bit) == 0) {
        if (unsafe_yyjson_is_null(value))
            return;
        *word |= bit;
    } else if (record->other_count < OTHERS_MAX) {
        record->others[record->other_count++] = (Other){name, record->slots[rank]};
    } else {
        record_refuse(record, "more members share names than can be kept", (Str){0});
    }
    record->slots[rank] = value;
}

static bool place_members(Record *record, yyjson_val *sent, Error *err)
{
    Names *names = &record->names;
    memset(record->present, 0, (names->count + 63) / 64 * sizeof(record->present[0]));
    record->other_count = 0;
    Name *name = &names->first;
    yyjson_val *key = sent + 1;
    for (size_t left = unsafe_yyjson_get_len(sent); left > 0; left--) {
        const char *text = unsafe_yyjson_get_str(key);
        const size_t size = unsafe_yyjson_get_len(key);
        if (!names_follows(name, text, size)) {
            if (size > NAME_BYTES_MAX) {
                record_refuse(record, "a member's name is too long", (Str){0});
                return true;
            }
            name->next = names_find(names, (Str){text, size}, err);
            TRY(name->next != NULL);
        }
        name = name->next;
        put_slot(record, name, key + 1);
        key = unsafe_yyjson_get_next(key + 1);
    }
    return true;
}

static bool sort_members(Record *record, yyjson_val *sent, Error *err)
{
    const size_t count = unsafe_yyjson_get_len(sent);
    if (count > RECORD_MEMBERS_MAX) {
        record_refuse(record, "more members than a record may have", (Str){0});
        return true;
    }
    TRY(names_make_room(&record->names, count, err));
    TRY(place_members(record, sent, err));
    if (!record->names.changed)
        return true;
    // New names have no rank yet, and move those of others: once more, now that all are known.
    names_rank(&record->names);
    record->refusal = (Refusal){0};
    return place_members(record, sent, err);
}

// --- the record's text

// Moves what was written since `start` out of the record's text into `aside`.
static bool put_aside(Record *record, Entry *entry, Error *err)
{
    Buf *out = &record->text.out;
    const uint32_t at = (uint32_t)record->aside.size;
    const uint32_t size = entry->end - entry->start;
    TRY(buf_append(&record->aside, (Str){out->data + entry->start, size}, err));
    out->size = entry->start;
    entry->value_at = at + (entry->value_at - entry->start);
    entry->start = at;
    entry->end = at + size;
    entry->aside = true;
    return true;
}

// Appends name, value and a comma, and notes where they are.
static bool write_entry(Record *record, Entry *entry, Error *err)
{
    Text *text = &record->text;
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
    const bool is_array = kind == YYJSON_TYPE_ARR;
    const size_t count = (size_t)(tag >> YYJSON_TAG_BIT);
    const bool is_empty = count == 0 && (is_array || kind == YYJSON_TYPE_OBJ);
    if (!is_str && !is_true && !is_false && !is_empty &&
        kind != (YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT))
        return false;
    const size_t size = is_str ? count : 0;
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
        bytes_copy(to + 1, value->uni.str, size);
        to[size + 1] = '"';
        to += size + 2;
    } else if (is_true || is_false) {
        memcpy(to, is_true ? "true" : "false", 5);
        to += is_true ? 4 : 5;
    } else if (is_empty) {
        *to++ = is_array ? '[' : '{';
        *to++ = is_array ? ']' : '}';
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
static bool write_steady(Record *record, Entry *entry, Error *err)
{
    const Node *node = entry->name->node;
    TRY(put_aside(record, entry, err));
    if (node->is_volatile)
        return true;
    Text *text = &record->text;
    TRY(buf_append(&text->out, name_quoted(entry->name), err));
    text->noting = false;
    text->skip_volatile = true;
    const bool ok = text_write(text, entry->value, node, NULL, err);
    text->noting = true;
    text->skip_volatile = false;
    return ok && text_put_char(&text->out, ',', err);
}

// A value inside another: where its text begins nobody writes down.
static void put_nested(Record *record, const Node *node, yyjson_val *value, bool odd)
{
    record->sources[node->source] = (Sourced){.value = value, .odd = odd};
}

static inline void put_source(Record *record, const Entry *entry)
{
    Sourced *sourced = &record->sources[entry->name->source];
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
static bool collect(Record *record, const Node *node, yyjson_val *object, bool odd, Error *err)
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
                TRY(drift_nested(record->drift, node, name, value, err));
            continue;
        }
        if (below->privacy == PRIVACY_DROP)
            continue;
        if (below->source != NO_SOURCE)
            put_nested(record, below, value, odd);
        if (below->sources_below && unsafe_yyjson_is_obj(value))
            TRY(collect(record, below, value, odd, err));
    }
    return true;
}

// A member that needs more than writing it down: see Name.special.
static bool write_special(Record *record, Name *name, yyjson_val *value, Error *err)
{
    const Place place = {.name = name_text(name)};
    const Node *node = name->node;
    for (size_t i = 0; i < record->other_count; i++) {
        if (record->others[i].name == name)
            TRY(text_note_other(&record->text, record->others[i].value, node, &place, err));
    }
    if (name->reserved)
        return text_note_other(&record->text, value, node, &place, err);
    if (node != NULL && node->privacy == PRIVACY_DROP)
        return true;
    if (name->drift)
        TRY(drift_name(record->drift, name, value, err));
    Entry *entry = &record->entries[record->entry_count++];
    entry->name = name;
    entry->value = value;
    TRY(write_entry(record, entry, err));
    if (node == NULL)
        return true;
    if (node->is_volatile || node->volatile_below)
        TRY(write_steady(record, entry, err));
    if (name->source != NO_SOURCE)
        put_source(record, entry);
    if (node->sources_below && unsafe_yyjson_is_obj(value))
        return collect(record, node, value, entry->odd, err);
    return true;
}

static inline bool write_ranked(Record *record, size_t rank, Error *err)
{
    Name *name = record->names.sorted[rank];
    yyjson_val *value = record->slots[rank];
    if (name->special || record->other_count > 0)
        return write_special(record, name, value, err);
    Entry *entry = &record->entries[record->entry_count++];
    entry->name = name;
    entry->value = value;
    if (!write_simple(&record->text.out, name, value, entry))
        TRY(write_entry(record, entry, err));
    if (name->source != NO_SOURCE)
        put_source(record, entry);
    return true;
}

bool record_write_notes(const Record *record, Buf *out, Error *err)
{
    const Text *text = &record->text;
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

static bool write_record(Record *record, Error *err)
{
    Text *text = &record->text;
    buf_clear(&text->out);
    buf_clear(&text->bytes);
    buf_clear(&text->others);
    buf_clear(&record->aside);
    record->entry_count = 0;
    for (size_t i = 0; i < record->contract->source_count; i++)
        record->sources[i].value = NULL;
    TRY(text_put_char(&text->out, '{', err));
    const size_t words = (record->names.count + 63) / 64;
    for (size_t word = 0; word < words; word++) {
        for (uint64_t bits = record->present[word]; bits != 0; bits &= bits - 1)
            TRY(write_ranked(record, word * 64 + (size_t)__builtin_ctzll(bits), err));
    }
    return close_object(&text->out, err);
}

bool record_read(Record *record, yyjson_val *sent, Error *err)
{
    record->refusal = (Refusal){0};
    record->drift->frozen = (Str){0};
    TRY(sort_members(record, sent, err));
    return record->refusal.reason != NULL || write_record(record, err);
}

// --- overflow

// True when nothing of the member needs keeping.
static bool is_covered(const Record *record, int source)
{
    if (source == NO_SOURCE)
        return false;
    const Sourced *sourced = &record->sources[source];
    return sourced->taken && !sourced->kept;
}

// Appends what columns left of a member, with a comma.
static bool keep_remaining(Record *record, const Entry *entry, Buf *overflow, Error *err)
{
    Text *text = &record->text;
    const Buf whole = text->out;
    text->out = *overflow;
    const size_t start = text->out.size;
    text->noting = false;
    text->remaining = record->sources;
    bool ok = buf_append(&text->out, name_quoted(entry->name), err);
    const size_t value_at = text->out.size;
    ok = ok && text_write(text, entry->value, entry->name->node, NULL, err);
    const bool empty = ok && text->out.size == value_at + 2 && text->out.data[value_at] == '{';
    ok = ok && text_put_char(&text->out, ',', err);
    text->noting = true;
    text->remaining = NULL;
    *overflow = text->out;
    text->out = whole;
    if (!ok || empty)
        overflow->size = start;
    return ok;
}

// Members that stand side by side in the record's text are kept as one piece of it.
typedef struct Piece {
    uint32_t start;
    uint32_t end; // 0 = empty: nothing ends there
} Piece;

static bool keep_piece(const Record *record, Piece *piece, Buf *overflow, Error *err)
{
    const Buf *out = &record->text.out;
    if (piece->end == 0)
        return true;
    const bool ok =
        text_put_bytes(overflow, out->data + piece->start, piece->end - piece->start, err) &&
        text_put_char(overflow, ',', err);
    piece->end = 0;
    return ok;
}

static bool keep_special(Record *record, const Entry *entry, Buf *overflow, Error *err)
{
    const Node *node = entry->name->node;
    if (node != NULL && is_covered(record, node->source))
        return true;
    if (node != NULL && node->sources_below && unsafe_yyjson_is_obj(entry->value))
        return keep_remaining(record, entry, overflow, err);
    const Buf *whole = entry->aside ? &record->aside : &record->text.out;
    TRY(buf_append(overflow, (Str){whole->data + entry->start, entry->end - entry->start}, err));
    return text_put_char(overflow, ',', err);
}

static bool keep_entries(Record *record, Buf *overflow, Error *err)
{
    Piece piece = {0};
    for (size_t i = 0; i < record->entry_count; i++) {
        const Entry *entry = &record->entries[i];
        const Name *name = entry->name;
        if (name->special) {
            TRY(keep_piece(record, &piece, overflow, err));
            TRY(keep_special(record, entry, overflow, err));
            continue;
        }
        if (name->source != NO_SOURCE && is_covered(record, name->source))
            continue;
        if (piece.end == 0 || entry->start != piece.end + 1) {
            TRY(keep_piece(record, &piece, overflow, err));
            piece.start = entry->start;
        }
        piece.end = entry->end;
    }
    return keep_piece(record, &piece, overflow, err);
}

bool record_write_overflow(Record *record, Buf *overflow, Error *err)
{
    buf_clear(overflow);
    TRY(text_put_char(overflow, '{', err));
    TRY(keep_entries(record, overflow, err));
    TRY(record_write_notes(record, overflow, err));
    if (overflow->size > 1)
        return close_object(overflow, err);
    buf_clear(overflow);
    return true;
}
