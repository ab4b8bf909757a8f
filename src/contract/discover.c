#include "contract/discover.h"

#include "contract/decimal.h"
#include "contract/plan.h"

#include <assert.h>
#include <inttypes.h>

// Distinct values of a member are counted up to UNIQUE_MAX records, which is enough to guess a key
// by.
enum { UNIQUE_MAX = 1024, UNIQUE_TABLE = 2 * UNIQUE_MAX, NAME_GUESS_BYTES = 64 };

// How texts may be read as times; all formats that every text fits are kept, so their order is the
// contract's.
static const char *const time_formats[] = {"iso",
                                           "%Y-%m-%d %H:%M:%S %z",
                                           "%Y-%m-%d %I:%M %p %z",
                                           "%Y-%m-%d %H:%M:%S",
                                           "%Y-%m-%dT%H:%M:%S",
                                           "%Y-%m-%d %I:%M %p",
                                           "%m/%d/%Y %H:%M:%S",
                                           "%m/%d/%Y %I:%M %p"};
enum { TIME_FORMATS = sizeof(time_formats) / sizeof(time_formats[0]) };

// What all values of a member so far were.
typedef struct Seen {
    Str name;
    int64_t count; // of values that are not null
    int64_t texts, integers, reals, booleans, nested;
    int64_t blanks;              // texts without anything in them
    int64_t times[TIME_FORMATS]; // texts that each format reads first
    int64_t dates, phones, amounts;
    int64_t seconds, milliseconds; // integers that could be times of our days
    bool unique;
    uint64_t *values; // hashes of the values, while they are unique; 0 = free
} Seen;

struct Discovery {
    Arena *arena;
    Seen *members;
    size_t count;
    int64_t records;
};

bool discovery_new(Arena *arena, Discovery **ret_discovery, Error *err)
{
    Discovery *discovery = arena_alloc(arena, sizeof(*discovery), err);
    TRY(discovery != NULL);
    discovery->arena = arena;
    discovery->members = arena_alloc_array(arena, DISCOVER_MEMBERS_MAX, sizeof(Seen), err);
    TRY(discovery->members != NULL);
    *ret_discovery = discovery;
    return true;
}

// --- looking

static bool find_seen(Discovery *discovery, Str name, size_t near, Seen **ret_seen, Error *err)
{
    // Records repeat their members in order, so the search begins where the last one ended.
    *ret_seen = NULL;
    for (size_t i = 0; i < discovery->count; i++) {
        Seen *seen = &discovery->members[(near + i) % discovery->count];
        if (str_equal(seen->name, name)) {
            *ret_seen = seen;
            return true;
        }
    }
    if (discovery->count == DISCOVER_MEMBERS_MAX || !str_is_utf8(name) || name.size == 0)
        return true;
    Seen *seen = &discovery->members[discovery->count];
    TRY(arena_copy_str(discovery->arena, name, &seen->name, err));
    seen->unique = true;
    discovery->count++;
    *ret_seen = seen;
    return true;
}

static void look_at_text(Seen *seen, Str text)
{
    seen->texts++;
    text = str_trim(text);
    if (text.size == 0) {
        seen->blanks++;
        return;
    }
    int32_t date = 0;
    int64_t us = 0;
    bool has_zone = false;
    uint64_t words[2];
    char number[PHONE_TEXT_BYTES];
    seen->dates += date_parse(text, &date) ? 1 : 0;
    seen->amounts += decimal_parse(text, 18, 4, words) ? 1 : 0;
    seen->phones += phone_normalise(text, phone_country(STR("US")), number) ? 1 : 0;
    for (size_t i = 0; i < TIME_FORMATS; i++) {
        const bool fits = i == 0
                              ? time_parse_iso(text, &us)
                              : time_parse(text, str_from(time_formats[i]), NULL, &us, &has_zone);
        if (fits) {
            seen->times[i]++;
            break;
        }
    }
}

static void look_at_integer(Seen *seen, int64_t value)
{
    // 2001 to 2100.
    seen->integers++;
    seen->seconds += value >= 1000000000 && value < INT64_C(4102444800) ? 1 : 0;
    seen->milliseconds += value >= INT64_C(1000000000000) && value < INT64_C(4102444800000) ? 1 : 0;
}

// Remembers the value among those seen; not unique any more when it is there already.
static bool look_for_twins(Discovery *discovery, Seen *seen, yyjson_val *value, Error *err)
{
    if (!seen->unique || seen->count > UNIQUE_MAX)
        return true;
    if (seen->values == NULL) {
        seen->values = arena_alloc_array(discovery->arena, UNIQUE_TABLE, sizeof(uint64_t), err);
        TRY(seen->values != NULL);
    }
    CLEANUP(buf_done) Buf text = {0};
    TRY(json_write_canonical(value, &text, err));
    const Sha256 digest = sha256(buf_str(&text));
    uint64_t hash = 0;
    memcpy(&hash, digest.bytes, sizeof(hash));
    hash |= hash == 0 ? 1 : 0;
    size_t at = (size_t)(hash % UNIQUE_TABLE);
    for (; seen->values[at] != 0; at = (at + 1) % UNIQUE_TABLE) {
        if (seen->values[at] != hash)
            continue;
        seen->unique = false;
        return true;
    }
    seen->values[at] = hash;
    return true;
}

static bool look_at(Discovery *discovery, Seen *seen, yyjson_val *value, Error *err)
{
    seen->count++;
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_STR:
        look_at_text(seen, json_str(value));
        return look_for_twins(discovery, seen, value, err);
    case YYJSON_TYPE_NUM:
        if (unsafe_yyjson_is_real(value) || yyjson_get_uint(value) > INT64_MAX)
            seen->reals++;
        else
            look_at_integer(seen, yyjson_get_sint(value));
        return look_for_twins(discovery, seen, value, err);
    case YYJSON_TYPE_BOOL:
        seen->booleans++;
        return true;
    case YYJSON_TYPE_RAW:
        seen->reals++;
        return true;
    default:
        seen->nested++;
        return true;
    }
}

bool discovery_add(Discovery *discovery, yyjson_val *record, Error *err)
{
    if (!yyjson_is_obj(record))
        return true;
    discovery->records++;
    size_t index = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    size_t near = 0;
    yyjson_obj_foreach(record, index, count, name, value)
    {
        Seen *seen = NULL;
        TRY(find_seen(discovery, json_str(name), near, &seen, err));
        if (seen == NULL)
            continue;
        near = (size_t)(seen - discovery->members) + 1;
        if (!yyjson_is_null(value))
            TRY(look_at(discovery, seen, value, err));
    }
    return true;
}

// --- guessing

static bool name_has(Str name, const char *const *parts)
{
    for (size_t i = 0; parts[i] != NULL; i++) {
        if (str_find(name, str_from(parts[i])) < name.size)
            return true;
    }
    return false;
}

static bool is_time_name(Str name)
{
    static const char *const parts[] = {"_at", "unix", "timestamp", "created", "updated", NULL};
    return name_has(name, parts);
}

static bool is_phone_name(Str name)
{
    static const char *const parts[] = {"phone", "number", "caller", "mobile", NULL};
    return name_has(name, parts);
}

static bool is_amount_name(Str name)
{
    static const char *const parts[] = {"amount", "value",   "price", "cost",
                                        "total",  "revenue", NULL};
    return name_has(name, parts);
}

static int64_t all_times(const Seen *seen)
{
    int64_t all = 0;
    for (size_t i = 0; i < TIME_FORMATS; i++)
        all += seen->times[i];
    return all;
}

static ColumnType guess_text(const Seen *seen)
{
    const int64_t texts = seen->texts - seen->blanks;
    if (texts == 0)
        return COLUMN_STRING;
    if (seen->dates == texts)
        return COLUMN_DATE;
    if (all_times(seen) == texts)
        return COLUMN_TIMESTAMP;
    if (seen->amounts == texts && is_amount_name(seen->name))
        return COLUMN_DECIMAL;
    return COLUMN_STRING;
}

static ColumnType guess_type(const Seen *seen)
{
    if (seen->nested > 0)
        return COLUMN_JSON;
    if (seen->texts == seen->count)
        return guess_text(seen);
    if (seen->booleans == seen->count)
        return COLUMN_BOOLEAN;
    if (seen->integers == seen->count && is_time_name(seen->name) &&
        (seen->seconds == seen->count || seen->milliseconds == seen->count))
        return COLUMN_TIMESTAMP;
    if (seen->integers == seen->count)
        return COLUMN_INT64;
    if (seen->integers + seen->reals == seen->count)
        return COLUMN_DOUBLE;
    return COLUMN_STRING;
}

// "callerNumber" and "Caller Number" become caller_number; what no name can be made of is left out.
static Str column_name(Str member, char name[NAME_GUESS_BYTES])
{
    size_t size = 0;
    for (size_t i = 0; i < member.size && size + 2 < NAME_GUESS_BYTES; i++) {
        const char c = member.data[i];
        const bool upper = c >= 'A' && c <= 'Z';
        const bool lower = c >= 'a' && c <= 'z';
        const bool digit = c >= '0' && c <= '9';
        if (upper && size > 0 && i > 0 && member.data[i - 1] >= 'a' && member.data[i - 1] <= 'z')
            name[size++] = '_';
        if (upper || lower || (digit && size > 0))
            name[size++] = upper ? (char)(c - 'A' + 'a') : c;
        else if (size > 0 && name[size - 1] != '_')
            name[size++] = '_';
    }
    while (size > 0 && name[size - 1] == '_')
        size--;
    return (Str){name, size};
}

// How well a member would do as the key: 0 = not at all.
static int key_rank(const Discovery *discovery, const Seen *seen, Str stream)
{
    const ColumnType type = guess_type(seen);
    if (!seen->unique || seen->count != discovery->records || seen->count == 0 ||
        (type != COLUMN_INT64 && type != COLUMN_STRING))
        return 0;
    if (str_equal(seen->name, STR("id")))
        return 5;
    if (str_equal(seen->name, STR("uuid")) || str_equal(seen->name, STR("key")))
        return 4;
    if (str_equal(seen->name, STR("sid")))
        return 3;
    // "order_id" of orders.
    if (str_ends_with(seen->name, STR("_id")) &&
        str_starts_with(stream, str_slice(seen->name, 0, seen->name.size - 3)))
        return 2;
    return str_ends_with(seen->name, STR("id")) ? 1 : 0;
}

static const Seen *guess_key(const Discovery *discovery, Str stream)
{
    const Seen *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < discovery->count; i++) {
        const int rank = key_rank(discovery, &discovery->members[i], stream);
        if (rank <= best_rank)
            continue;
        best_rank = rank;
        best = &discovery->members[i];
    }
    return best;
}

// --- writing

typedef struct Draft {
    const Discovery *discovery;
    const DiscoverOptions *options;
    Buf columns;
    Buf names; // of the columns so far, each between two NULs
    Buf key;
    Str window;
    char window_name[NAME_GUESS_BYTES];
} Draft;

static bool write_formats(const Seen *seen, Buf *out, Error *err)
{
    if (seen->texts == 0)
        return buf_append(out,
                          seen->seconds == seen->count ? STR(", \"formats\": [\"epoch_s\"]")
                                                       : STR(", \"formats\": [\"epoch_ms\"]"),
                          err);
    bool any = false;
    for (size_t i = 0; i < TIME_FORMATS; i++) {
        if (seen->times[i] == 0)
            continue;
        TRY(buf_printf(out, err, "%s\"%s\"", any ? ", " : ", \"formats\": [", time_formats[i]));
        any = true;
    }
    return !any || buf_append_char(out, ']', err);
}

static bool write_path(Str member, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf path = {0};
    return buf_append_char(&path, '/', err) && json_write_step(member, &path, err) &&
           json_write_str(buf_str(&path), out, err);
}

// Takes the name unless another column has it.
static bool take_name(Draft *draft, Str name, bool *ret_free, Error *err)
{
    CLEANUP(buf_done) Buf wanted = {0};
    TRY(buf_append_char(&wanted, '\0', err));
    TRY(buf_append(&wanted, name, err));
    TRY(buf_append_char(&wanted, '\0', err));
    *ret_free = str_find(buf_str(&draft->names), buf_str(&wanted)) == draft->names.size;
    return !*ret_free || buf_append(&draft->names, buf_str(&wanted), err);
}

static bool write_member(Draft *draft, const Seen *seen, Error *err)
{
    char room[NAME_GUESS_BYTES];
    const Str name = column_name(seen->name, room);
    bool is_free = false;
    if (name.size == 0)
        return true;
    TRY(take_name(draft, name, &is_free, err));
    if (!is_free)
        return true;
    const ColumnType type = guess_type(seen);
    Buf *out = &draft->columns;
    TRY(buf_printf(out, err, "%s    {\"name\": \"" STR_FMT "\", \"type\": \"%s\"",
                   out->size > 0 ? ",\n" : "", STR_ARG(name), column_type_name(type)));
    if (!str_equal(name, seen->name)) {
        TRY(buf_append(out, STR(", \"from\": "), err));
        TRY(write_path(seen->name, out, err));
    }
    if (type == COLUMN_TIMESTAMP)
        TRY(write_formats(seen, out, err));
    if (type == COLUMN_DECIMAL)
        TRY(buf_append(out, STR(", \"precision\": 18, \"scale\": 4"), err));
    const int64_t texts = seen->texts - seen->blanks;
    if (type == COLUMN_STRING && texts > 0 && seen->phones == texts && is_phone_name(seen->name))
        TRY(buf_append(out, STR(", \"phone\": \"US\""), err));
    if ((type == COLUMN_TIMESTAMP || type == COLUMN_DATE) &&
        str_equal(seen->name, draft->options->cursor_field)) {
        memcpy(draft->window_name, name.data, name.size);
        draft->window = (Str){draft->window_name, name.size};
    }
    return buf_append_char(out, '}', err);
}

static bool write_partition_column(Draft *draft, Str field, Error *err)
{
    char room[NAME_GUESS_BYTES];
    const Str name = column_name(field, room);
    bool is_free = false;
    if (name.size == 0)
        return true;
    TRY(take_name(draft, name, &is_free, err));
    if (!is_free)
        return true;
    // The type that the records show, where they repeat the partition.
    ColumnType type = COLUMN_STRING;
    for (size_t i = 0; i < draft->discovery->count; i++) {
        const Seen *seen = &draft->discovery->members[i];
        if (str_equal(seen->name, field) && seen->count > 0 && guess_type(seen) == COLUMN_INT64)
            type = COLUMN_INT64;
    }
    Buf *out = &draft->columns;
    TRY(buf_printf(out, err,
                   "%s    {\"name\": \"" STR_FMT "\", \"type\": \"%s\", \"from_partition\": ",
                   out->size > 0 ? ",\n" : "", STR_ARG(name), column_type_name(type)));
    TRY(json_write_str(field, out, err));
    TRY(buf_append(out, STR(", \"from\": "), err));
    TRY(write_path(field, out, err));
    TRY(buf_append_char(out, '}', err));
    return buf_printf(&draft->key, err, "%s\"" STR_FMT "\"", draft->key.size > 0 ? ", " : "",
                      STR_ARG(name));
}

static bool write_columns(Draft *draft, Error *err)
{
    const Discovery *discovery = draft->discovery;
    for (size_t i = 0; i < draft->options->partition_count; i++)
        TRY(write_partition_column(draft, draft->options->partition_fields[i], err));
    for (size_t i = 0; i < discovery->count; i++) {
        if (discovery->members[i].count > 0)
            TRY(write_member(draft, &discovery->members[i], err));
    }
    const Seen *key = guess_key(discovery, draft->options->stream);
    if (key == NULL) {
        buf_clear(&draft->key); // a partition alone names no row
        return true;
    }
    char room[NAME_GUESS_BYTES];
    const Str name = column_name(key->name, room);
    return buf_printf(&draft->key, err, "%s\"" STR_FMT "\"", draft->key.size > 0 ? ", " : "",
                      STR_ARG(name));
}

static bool write_draft(const Draft *draft, Buf *out, Error *err)
{
    const DiscoverOptions *options = draft->options;
    TRY(buf_append(out, STR("{\n  \"stream\": "), err));
    TRY(json_write_str(options->stream, out, err));
    TRY(buf_printf(out, err,
                   ",\n  \"comment\": \"drafted from %" PRIi64
                   " records: go through types, key and privacy\"",
                   draft->discovery->records));
    TRY(buf_append(out, STR(",\n  \"evolution\": \"overflow\""), err));
    if (options->total_pointer.size > 0) {
        TRY(buf_append(out, STR(",\n  \"total_pointer\": "), err));
        TRY(json_write_str(options->total_pointer, out, err));
    }
    if (draft->window.size > 0)
        TRY(buf_printf(out, err, ",\n  \"window_column\": \"" STR_FMT "\"",
                       STR_ARG(draft->window)));
    TRY(buf_printf(out, err, ",\n  \"key\": [" STR_FMT "]", STR_ARG(buf_str(&draft->key))));
    TRY(buf_append(out, STR(",\n  \"columns\": [\n"), err));
    TRY(buf_append(out, buf_str(&draft->columns), err));
    return buf_append(out, STR("\n  ]\n}\n"), err);
}

static void draft_done(Draft *draft)
{
    buf_done(&draft->columns);
    buf_done(&draft->names);
    buf_done(&draft->key);
}

bool discovery_write(const Discovery *discovery, const DiscoverOptions *options, Buf *out,
                     Error *err)
{
    assert(options->stream.size > 0);

    CLEANUP(draft_done) Draft draft = {.discovery = discovery, .options = options};
    TRY(write_columns(&draft, err));
    return write_draft(&draft, out, err);
}
