#include "query.h"

#include "base/time.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Undoes %41 and '+', as forms are encoded (WHATWG URL, application/x-www-form-urlencoded).
static bool decode(Str text, Arena *arena, Str *ret_decoded, Error *err)
{
    char *bytes = arena_alloc(arena, text.size + 1, err);
    TRY(bytes != NULL);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%' && i + 2 < text.size && hex_value(text.data[i + 1]) >= 0 &&
            hex_value(text.data[i + 2]) >= 0) {
            c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        bytes[size++] = c;
    }
    *ret_decoded = (Str){bytes, size};
    return true;
}

bool query_parameter(Str raw, Str name, Arena *arena, Str *ret_value, Error *err)
{
    Str rest = raw;
    while (rest.size > 0) {
        Str value = str_split_next(&rest, '&');
        const Str key = str_split_next(&value, '=');
        if (!str_equal(key, name))
            continue;
        return decode(value, arena, ret_value, err);
    }
    *ret_value = (Str){NULL, 0};
    return true;
}

static void split_path(Query *query)
{
    Str rest = query->resource;
    while (rest.size > 0 && query->word_count < QUERY_WORDS_MAX) {
        const Str word = str_split_next(&rest, '/');
        if (word.size > 0)
            query->words[query->word_count++] = word;
    }
}

static bool read_number(Query *query, const char *name, Arena *arena, int64_t *number, Error *err)
{
    Str text;
    TRY(query_parameter(query->raw, str_from(name), arena, &text, err));
    if (text.size > 0 && (!str_to_int64(text, number) || *number < 1))
        query->wrong = name;
    return true;
}

static bool read_date(Query *query, const char *name, Arena *arena, int32_t *date, Error *err)
{
    Str text;
    TRY(query_parameter(query->raw, str_from(name), arena, &text, err));
    if (text.size > 0 && !date_parse(text, date))
        query->wrong = name;
    return true;
}

bool query_parse(Str target, Arena *arena, Query *ret_query, Error *err)
{
    Query query = {
        .page = 1, .per_page = QUERY_PER_PAGE_DEFAULT, .from = INT32_MIN, .to = INT32_MAX};
    query.raw = target;
    query.path = str_split_next(&query.raw, '?');
    query.resource = query.path;
    const Str prefix = STR("/api/v1"), suffix = STR(".json");
    if (str_starts_with(query.resource, prefix)) {
        query.resource = str_slice(query.resource, prefix.size, SIZE_MAX);
        query.is_api = true;
    }
    if (str_ends_with(query.resource, suffix))
        query.resource.size -= suffix.size;
    split_path(&query);

    TRY(read_number(&query, "page", arena, &query.page, err));
    TRY(read_number(&query, "per_page", arena, &query.per_page, err));
    TRY(read_date(&query, "start_date", arena, &query.from, err));
    TRY(read_date(&query, "end_date", arena, &query.to, err));
    TRY(query_parameter(query.raw, STR("after"), arena, &query.after, err));
    TRY(query_parameter(query.raw, STR("exclude_fields"), arena, &query.exclude_fields, err));
    *ret_query = query;
    return true;
}

int64_t query_id(const Query *query, size_t index)
{
    int64_t id = -1;
    if (index >= query->word_count || !str_to_int64(query->words[index], &id) || id < 0)
        return -1;
    return id;
}
