#include "duck/overflow.h"

#include "base/json.h"
#include "batch/pattern.h"

static bool append_literal(Buf *sql, Str text, Error *err)
{
    TRY(buf_append_char(sql, '\'', err));
    for (size_t i = 0; i < text.size; i++)
        TRY((text.data[i] != '\'' || buf_append_char(sql, '\'', err)) &&
            buf_append_char(sql, text.data[i], err));
    return buf_append_char(sql, '\'', err);
}

// {"a":{"b":null}} for "/a/b": what RFC 7396 takes out of a document.
static bool removal_of(Str path, Buf *out, Error *err)
{
    size_t depth = 0;
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL) {
        CLEANUP(buf_done) Buf name = {0};
        TRY(json_read_step(str_split_next(&rest, '/'), &name, err));
        TRY(buf_append_char(out, '{', err) && json_write_str(buf_str(&name), out, err) &&
            buf_append_char(out, ':', err));
        depth++;
    }
    TRY(buf_append(out, STR("null"), err));
    for (; depth > 0; depth--)
        TRY(buf_append_char(out, '}', err));
    return true;
}

// TRY_CAST() alone would round 12.7 to 13 and take 'yes' for true.
static bool write_value(Buf *sql, Str path, const Column *column, const char *type, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    CLEANUP(buf_done) Buf cast = {0};
    char pattern[PATTERN_BYTES];
    pattern_of(column, pattern);
    const char *range = pattern_range(column->type);
    TRY(buf_printf(&text, err, "%s(_overflow, ",
                   column->type == COLUMN_JSON ? "json_extract" : "json_extract_string") &&
        append_literal(&text, path, err) && buf_append_char(&text, ')', err));
    TRY(buf_printf(&cast, err, "TRY_CAST(" STR_FMT " AS %s)", STR_ARG(buf_str(&text)), type));
    if (pattern[0] == '\0')
        return buf_append(sql, buf_str(&cast), err);
    TRY(buf_printf(sql, err, "CASE WHEN regexp_matches(" STR_FMT ", '%s')", STR_ARG(buf_str(&text)),
                   pattern));
    if (range[0] != '\0')
        TRY(buf_printf(sql, err, " AND " STR_FMT "%s", STR_ARG(buf_str(&cast)), range));
    return buf_printf(sql, err, " THEN " STR_FMT " END", STR_ARG(buf_str(&cast)));
}

static bool write_left(Buf *sql, Str path, Error *err)
{
    CLEANUP(buf_done) Buf removal = {0};
    return removal_of(path, &removal, err) &&
           buf_append(sql, STR("nullif(CAST(json_merge_patch(_overflow, "), err) &&
           append_literal(sql, buf_str(&removal), err) &&
           buf_append(sql, STR(") AS VARCHAR), '{}')"), err);
}

// Each value around the path must be an object. A pointer finds its way through lists too, but a
// step names a member, and the patch would put an object in the list's place.
static bool write_moves(Buf *sql, Str value, Str path, Error *err)
{
    TRY(buf_printf(sql, err, "(_overflow IS NOT NULL AND (" STR_FMT ") IS NOT NULL",
                   STR_ARG(value)));
    for (size_t i = 1; i < path.size; i++) {
        if (path.data[i] != '/')
            continue;
        TRY(buf_append(sql, STR(" AND json_type(_overflow, "), err) &&
            append_literal(sql, str_slice(path, 0, i), err) &&
            buf_append(sql, STR(") = 'OBJECT'"), err));
    }
    return buf_append_char(sql, ')', err);
}

bool duck_overflow_init(DuckOverflow *overflow, Str path, const Column *column, const char *type,
                        Error *err)
{
    *overflow = (DuckOverflow){0};
    if (path.size < 2 || path.data[0] != '/')
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is no path such as /foo/bar",
                         STR_ARG(path));
    return write_value(&overflow->value, path, column, type, err) &&
           write_left(&overflow->left, path, err) &&
           write_moves(&overflow->moves, buf_str(&overflow->value), path, err);
}

void duck_overflow_done(DuckOverflow *overflow)
{
    buf_done(&overflow->value);
    buf_done(&overflow->left);
    buf_done(&overflow->moves);
}
