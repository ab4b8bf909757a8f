#include "trouble.h"

#include "base/time.h"
#include "mix.h"

#include <inttypes.h>

enum { TROUBLES_ARENA_BYTES = 64 * 1024 * 1024, DEPTH_DEFAULT = 10000, RATE_ONE = 1000000 };

struct TroubleEntry {
    // Which requests it is about; size 0, 0 and -1 = any.
    Str path, method, start_date;
    int64_t page, account, nth, from_nth;
    int has_after; // 1, 0 or -1
    uint32_t rate; // per million; RATE_ONE = always
    int64_t times; // how often it is done; 0 = for ever

    Trouble trouble;
    Str source; // the entry as it was given
    int64_t matched, done;
};

static const char *const kind_names[TROUBLE_KIND_COUNT] = {
#define X(name, text, help) text,
    TROUBLE_KINDS(X)
#undef X
};

const char *trouble_name(TroubleKind kind)
{
    return kind_names[kind];
}

bool troubles_init(Troubles *troubles, uint64_t seed, Error *err)
{
    *troubles = (Troubles){.seed = seed};
    troubles->arena = arena_new(TROUBLES_ARENA_BYTES, err);
    TRY(troubles->arena != NULL);
    (void)pthread_mutex_init(&troubles->lock, NULL);
    return true;
}

void troubles_done(Troubles *troubles)
{
    if (troubles->arena == NULL)
        return;
    (void)pthread_mutex_destroy(&troubles->lock);
    arena_free(troubles->arena);
    *troubles = (Troubles){0};
}

// What is being read: where a message has to point, and where texts go.
typedef struct Reader {
    size_t index;
    Arena *arena;
} Reader;

static bool read_int(const Reader *reader, yyjson_val *value, const char *name, int64_t *target,
                     Error *err)
{
    if (!yyjson_is_int(value))
        return error_set(err, ERROR_JOB, "faults: entry %zu: %s is not a whole number",
                         reader->index, name);
    *target = yyjson_get_sint(value);
    return true;
}

// Numbers are welcome as texts too: "retry_after": 2.
static bool read_text(const Reader *reader, yyjson_val *value, const char *name, Str *target,
                      Error *err)
{
    if (yyjson_is_int(value))
        return arena_printf(reader->arena, target, err, "%" PRId64, yyjson_get_sint(value));
    if (!yyjson_is_str(value))
        return error_set(err, ERROR_JOB, "faults: entry %zu: %s is not a text", reader->index,
                         name);
    return arena_copy_str(reader->arena, json_str(value), target, err);
}

// One member of an entry, or of its "match".
typedef struct Member {
    const char *name;
    int64_t *number; // one of the two
    Str *text;
} Member;

static bool read_member(const Reader *reader, const Member *members, yyjson_val *key,
                        yyjson_val *value, Error *err)
{
    for (const Member *member = members; member->name != NULL; member++) {
        if (!str_equal(json_str(key), str_from(member->name)))
            continue;
        if (member->number != NULL)
            return read_int(reader, value, member->name, member->number, err);
        return read_text(reader, value, member->name, member->text, err);
    }
    return error_set(err, ERROR_JOB, "faults: entry %zu: no member '" STR_FMT "'", reader->index,
                     STR_ARG(json_str(key)));
}

static bool read_match(const Reader *reader, yyjson_val *match, TroubleEntry *entry, Error *err)
{
    const Member members[] = {{"path", NULL, &entry->path},
                              {"method", NULL, &entry->method},
                              {"start_date", NULL, &entry->start_date},
                              {"page", &entry->page, NULL},
                              {"account", &entry->account, NULL},
                              {"nth", &entry->nth, NULL},
                              {"from_nth", &entry->from_nth, NULL},
                              {NULL, NULL, NULL}};
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(match, i, count, key, value)
    {
        if (str_equal(json_str(key), STR("after")))
            entry->has_after = yyjson_get_bool(value) ? 1 : 0;
        else
            TRY(read_member(reader, members, key, value, err));
    }
    return true;
}

// "reset", "503" or 503.
static bool read_kind(const Reader *reader, yyjson_val *value, Trouble *trouble, Error *err)
{
    Str name;
    TRY(read_text(reader, value, "do", &name, err));
    for (int kind = 0; kind < TROUBLE_KIND_COUNT; kind++) {
        if (!str_equal(name, str_from(kind_names[kind])))
            continue;
        trouble->kind = (TroubleKind)kind;
        return true;
    }
    if (!str_to_int64(name, &trouble->status) || trouble->status < 200 || trouble->status > 599)
        return error_set(err, ERROR_JOB, "faults: entry %zu: no trouble is called '" STR_FMT "'",
                         reader->index, STR_ARG(name));
    trouble->kind = TROUBLE_STATUS;
    return true;
}

static bool read_rate(const Reader *reader, yyjson_val *value, TroubleEntry *entry, Error *err)
{
    const double rate = yyjson_get_num(value);
    if (!yyjson_is_num(value) || rate < 0 || rate > 1)
        return error_set(err, ERROR_JOB, "faults: entry %zu: rate is not between 0 and 1",
                         reader->index);
    entry->rate = (uint32_t)(rate * RATE_ONE);
    return true;
}

static bool check_entry(const Reader *reader, const TroubleEntry *entry, Error *err)
{
    const Trouble *trouble = &entry->trouble;
    if (trouble->kind == TROUBLE_KIND_COUNT)
        return error_set(err, ERROR_JOB, "faults: entry %zu has no \"do\"", reader->index);
    if (trouble->bytes > TROUBLE_BYTES_MAX || trouble->count > TROUBLE_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "faults: entry %zu: at most %d bytes and a count of %d",
                         reader->index, TROUBLE_BYTES_MAX, TROUBLE_DEPTH_MAX);
    Poison poison;
    Error problem = {0};
    if (trouble->kind == TROUBLE_POISON &&
        !trouble_poison(trouble->variant, 1, reader->arena, &poison, &problem))
        return error_set(err, ERROR_JOB, "faults: entry %zu: %.400s", reader->index,
                         problem.message);
    return true;
}

static bool read_entry(const Reader *reader, yyjson_val *source, TroubleEntry *entry, Error *err)
{
    *entry = (TroubleEntry){.page = -1,
                            .account = -1,
                            .nth = -1,
                            .from_nth = -1,
                            .has_after = -1,
                            .rate = RATE_ONE,
                            .times = -1};
    Trouble *trouble = &entry->trouble;
    *trouble =
        (Trouble){.kind = TROUBLE_KIND_COUNT, .status = -1, .count = -1, .bytes = -1, .ms = -1};
    const Member members[] = {
        {"times", &entry->times, NULL},       {"status", &trouble->status, NULL},
        {"count", &trouble->count, NULL},     {"bytes", &trouble->bytes, NULL},
        {"ms", &trouble->ms, NULL},           {"retry_after", NULL, &trouble->retry_after},
        {"body", NULL, &trouble->body},       {"to", NULL, &trouble->to},
        {"variant", NULL, &trouble->variant}, {NULL, NULL, NULL}};
    if (!yyjson_is_obj(source))
        return error_set(err, ERROR_JOB, "faults: entry %zu is not an object", reader->index);
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(source, i, count, key, value)
    {
        if (str_equal(json_str(key), STR("match")))
            TRY(read_match(reader, value, entry, err));
        else if (str_equal(json_str(key), STR("do")))
            TRY(read_kind(reader, value, trouble, err));
        else if (str_equal(json_str(key), STR("rate")))
            TRY(read_rate(reader, value, entry, err));
        else
            TRY(read_member(reader, members, key, value, err));
    }
    if (entry->times < 0)
        entry->times = entry->rate < RATE_ONE ? 0 : 1;
    CLEANUP(buf_done) Buf text = {0};
    TRY(json_write(source, &text, err));
    TRY(arena_copy_str(reader->arena, buf_str(&text), &entry->source, err));
    return check_entry(reader, entry, err);
}

bool troubles_set(Troubles *troubles, const yyjson_val *script, Error *err)
{
    if (!yyjson_is_arr((yyjson_val *)(uintptr_t)script))
        return error_set(err, ERROR_JOB, "faults: the script is not an array");
    const size_t count = yyjson_arr_size((yyjson_val *)(uintptr_t)script);
    if (count > TROUBLES_MAX)
        return error_set(err, ERROR_LIMIT, "faults: more than %d entries", TROUBLES_MAX);

    CLEANUP(arena_freep) Arena *arena = arena_new(TROUBLES_ARENA_BYTES, err);
    TRY(arena != NULL);
    TroubleEntry *entries = arena_alloc_array(arena, TROUBLES_MAX, sizeof(*entries), err);
    TRY(entries != NULL);
    size_t i, size;
    yyjson_val *entry;
    yyjson_arr_foreach((yyjson_val *)(uintptr_t)script, i, size, entry)
    {
        const Reader reader = {i, arena};
        TRY(read_entry(&reader, entry, &entries[i], err));
    }

    (void)pthread_mutex_lock(&troubles->lock);
    Arena *old = troubles->arena;
    troubles->arena = arena;
    troubles->entries = entries;
    troubles->count = count;
    (void)pthread_mutex_unlock(&troubles->lock);
    arena = old; // NOLINT(clang-analyzer-deadcode.DeadStores): CLEANUP frees it on the way out
    return true;
}

bool troubles_script_of_rates(Str rates, Arena *arena, Str *ret_script, Error *err)
{
    CLEANUP(buf_done) Buf script = {0};
    TRY(buf_append_char(&script, '[', err));
    for (Str rest = rates; rest.size > 0;) {
        Str rate = str_split_next(&rest, ',');
        const Str kind = str_split_next(&rate, '=');
        double value = 0;
        if (!str_to_double(rate, &value))
            return error_set(err, ERROR_JOB, "fault rates: write them as 503=0.01,reset=0.001");
        TRY(buf_printf(&script, err, "%s{\"do\":\"" STR_FMT "\",\"rate\":" STR_FMT "}",
                       script.size > 1 ? "," : "", STR_ARG(kind), STR_ARG(rate)));
    }
    TRY(buf_append_char(&script, ']', err));
    return arena_copy_str(arena, buf_str(&script), ret_script, err);
}

// Exactly, or by its beginning: "/accounts/*".
static bool path_matches(Str pattern, Str path)
{
    if (pattern.size == 0)
        return true;
    if (pattern.data[pattern.size - 1] == '*')
        return str_starts_with(path, str_slice(pattern, 0, pattern.size - 1));
    return str_equal(pattern, path);
}

static bool entry_matches(const TroubleEntry *entry, Str method, const Query *query)
{
    if (!path_matches(entry->path, query->resource) ||
        (entry->method.size > 0 && !str_equal(entry->method, method)))
        return false;
    if ((entry->page >= 0 && entry->page != query->page) ||
        (entry->account >= 0 && entry->account != query_id(query, 1)))
        return false;
    if (entry->start_date.size > 0) {
        int32_t date = 0;
        if (!date_parse(entry->start_date, &date) || date != query->from)
            return false;
    }
    return entry->has_after < 0 || entry->has_after == (query->after.size > 0);
}

// Whether a matching entry, counted already, acts this time.
static bool entry_is_due(const Troubles *troubles, const TroubleEntry *entry)
{
    if (entry->times > 0 && entry->done >= entry->times)
        return false;
    if ((entry->nth >= 0 && entry->matched != entry->nth) ||
        (entry->from_nth >= 0 && entry->matched < entry->from_nth))
        return false;
    const uint64_t which = (uint64_t)(entry - troubles->entries);
    return entry->rate >= RATE_ONE ||
           mix_chance(mix_pair(troubles->seed ^ which << 40, (uint64_t)entry->matched),
                      entry->rate);
}

static bool copy_trouble(const Trouble *from, Arena *arena, Trouble *ret_trouble, Error *err)
{
    Trouble copy = *from;
    Str *const texts[] = {&copy.retry_after, &copy.body, &copy.to, &copy.variant};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i]->data != NULL)
            TRY(arena_copy_str(arena, *texts[i], texts[i], err));
    *ret_trouble = copy;
    return true;
}

bool troubles_ask(Troubles *troubles, Str method, const Query *query, Arena *arena,
                  Trouble *ret_trouble, Error *err)
{
    *ret_trouble = (Trouble){.kind = TROUBLE_NONE};
    bool ok = true;
    (void)pthread_mutex_lock(&troubles->lock);
    TroubleEntry *chosen = NULL;
    for (size_t i = 0; i < troubles->count; i++) {
        TroubleEntry *entry = &troubles->entries[i];
        if (!entry_matches(entry, method, query))
            continue;
        entry->matched++;
        if (chosen == NULL && entry_is_due(troubles, entry))
            chosen = entry;
    }
    if (chosen != NULL) {
        chosen->done++;
        ok = copy_trouble(&chosen->trouble, arena, ret_trouble, err);
    }
    (void)pthread_mutex_unlock(&troubles->lock);
    return ok;
}

static bool write_locked(const Troubles *troubles, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '[', err));
    for (size_t i = 0; i < troubles->count; i++) {
        const TroubleEntry *entry = &troubles->entries[i];
        TRY(buf_printf(out, err,
                       "%s{\"entry\":" STR_FMT ",\"matched\":%" PRId64 ",\"done\":%" PRId64 "}",
                       i > 0 ? "," : "", STR_ARG(entry->source), entry->matched, entry->done));
    }
    return buf_append_char(out, ']', err);
}

bool troubles_write(Troubles *troubles, Buf *out, Error *err)
{
    (void)pthread_mutex_lock(&troubles->lock);
    const bool ok = write_locked(troubles, out, err);
    (void)pthread_mutex_unlock(&troubles->lock);
    return ok;
}

static bool nested(int64_t depth, Arena *arena, Str *ret_text, Error *err)
{
    const size_t levels = (size_t)(depth > 0 && depth <= TROUBLE_DEPTH_MAX ? depth : DEPTH_DEFAULT);
    char *text = arena_alloc(arena, levels * 2 + 1, err);
    TRY(text != NULL);
    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    *ret_text = (Str){text, levels * 2};
    return true;
}

bool trouble_poison(Str name, int64_t depth, Arena *arena, Poison *ret_poison, Error *err)
{
    const struct {
        const char *name;
        Poison poison;
    } rows[] = {
        {"nul", {STR("notes"), STR("\"before\\u0000behind\""), {NULL, 0}}},
        {"surrogate", {STR("notes"), STR("\"lone \\ud83d surrogate\""), {NULL, 0}}},
        {"utf8", {STR("city"), STR("\"S\xe3o Paulo\""), {NULL, 0}}}, // Latin-1
        {"number", {STR("billed_amount"), STR("1e400"), {NULL, 0}}},
        {"bigint", {STR("ad_id"), STR("123456789012345678901234567890"), {NULL, 0}}},
        {"duplicate", {STR("notes"), STR("\"first\""), STR("\"second\"")}},
        {"deep", {STR("legs"), {NULL, 0}, {NULL, 0}}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!str_equal(name, str_from(rows[i].name)))
            continue;
        Poison poison = rows[i].poison;
        if (poison.value.data == NULL)
            TRY(nested(depth, arena, &poison.value, err));
        *ret_poison = poison;
        return true;
    }
    return error_set(err, ERROR_JOB,
                     "no poison is called '" STR_FMT
                     "': take nul, surrogate, utf8, number, bigint, "
                     "duplicate or deep",
                     STR_ARG(name));
}
