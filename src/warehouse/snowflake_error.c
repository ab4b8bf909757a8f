#include "warehouse/snowflake_error.h"

#include <stdio.h>

enum { MESSAGE_SHOWN = 300 };

// Of a request of several statements Snowflake runs as a procedure of its own: it fails with that
// one's code whatever the statement's was, and tells of it in words:
//   JavaScript execution error: Uncaught Execution of multiple statements failed on statement
//   "..." (at line 1, position 75).
//   <what the statement says> in SYSTEM$MULTISTMT at '...
// True when it is such a text; *text is then what the statement says.
static bool unwrap(Str *text)
{
    static const Str foot = {" in SYSTEM$MULTISTMT at", 23};
    const size_t place = str_find(*text, STR(" (at line "));
    if (str_find(*text, STR("Execution of multiple statements failed")) == text->size ||
        place == text->size)
        return false;
    const Str behind = str_slice(*text, place, text->size);
    Str inner = str_slice(behind, str_find_char(behind, '\n') + 1, behind.size);
    *text = str_slice(inner, 0, str_find(inner, foot));
    return true;
}

// By what it says, where that is all there is. What is not known may be anything: it is tried
// again.
static ErrorCode meaning_of_words(Str text)
{
    static const struct {
        const char *words;
        ErrorCode meaning;
    } known[] = {
        {"Insufficient privileges", ERROR_ACCESS},
        {"No active warehouse", ERROR_ACCESS},
        {"Duplicate row detected", ERROR_DATA},
        {"has locked table", ERROR_BUSY},
        {"warehouse timeout", ERROR_LIMIT},
        {"execution canceled", ERROR_STOPPED},
        {"does not exist or not authorized", ERROR_JOB},
        {"SQL compilation error", ERROR_JOB},
        {"is not recognized", ERROR_DATA},
        {"representable range", ERROR_DATA},
        {"would be truncated", ERROR_DATA},
        {"Failed to cast", ERROR_DATA},
        {"Error parsing", ERROR_DATA},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_find(text, str_from(known[i].words)) < text.size)
            return known[i].meaning;
    }
    return ERROR_IO;
}

// What Snowflake says of values stays out of our messages. It puts some in quotes, which the value
// may hold as well, and some in nothing at all: "Row Values: [..]" on a line of its own, "Error
// parsing JSON: ..". So only words are shown, up to where a value may begin and from the last
// quote.
static void show_without_values(Str text, char *out, size_t room)
{
    const Str line = str_slice(text, 0, str_find_char(text, '\n'));
    size_t first = 0;
    while (first < line.size && strchr("'\"[{:0123456789", line.data[first]) == NULL)
        first++;
    size_t last = line.size;
    const bool quoted = first < line.size && line.data[first] == '\'';
    while (quoted && last > first + 1 && line.data[last - 1] != '\'')
        last--;
    const bool closes = quoted && last > first + 1 && line.size == text.size;
    const Str tail = closes ? str_slice(line, last - 1, line.size) : (Str){NULL, 0};
    (void)snprintf(out, room, STR_FMT "%s" STR_FMT, STR_ARG(str_slice(line, 0, first)),
                   first == line.size ? ""
                   : quoted           ? "'.."
                                      : "..",
                   STR_ARG(tail));
}

// On one line.
static void show_whole(Str text, char *out, size_t room)
{
    const int size = snprintf(out, room, STR_FMT, STR_ARG(text));
    for (int i = 0; i < size && (size_t)i < room; i++)
        out[i] = out[i] == '\n' || out[i] == '\r' ? ' ' : out[i];
}

static ErrorCode meaning_of_code(Str code, Str state)
{
    static const struct {
        const char *code;
        ErrorCode meaning;
    } known[] = {
        {"003001", ERROR_ACCESS}, // insufficient privileges
        {"002003", ERROR_JOB},    // does not exist or not authorized
        {"000606", ERROR_ACCESS}, // no active warehouse: not there, or no USAGE
        {"100090", ERROR_DATA},   // duplicate row detected during DML action
        {"000625", ERROR_BUSY},   // LOCK_TIMEOUT
        {"000630", ERROR_LIMIT},  // STATEMENT_TIMEOUT
        {"000604", ERROR_STOPPED},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_equal(code, str_from(known[i].code)))
            return known[i].meaning;
    }
    if (str_starts_with(code, STR("39")) || str_equal(state, STR("42501")))
        return ERROR_ACCESS;
    if (str_starts_with(state, STR("42")) || str_starts_with(state, STR("02")) ||
        str_starts_with(state, STR("0A")))
        return ERROR_JOB;
    return str_starts_with(state, STR("22")) ? ERROR_DATA : ERROR_IO;
}

bool snowflake_tell_failure(SnowflakeAuth auth, const HttpResponse *response, Arena *scratch,
                            Error *err)
{
    Error unread = {0};
    yyjson_doc *doc = NULL;
    Str code = STR("");
    Str message = STR("");
    Str state = STR("");
    if (json_parse(response->body, "snowflake", scratch, &doc, &unread)) {
        yyjson_val *root = yyjson_doc_get_root(doc);
        code = json_str(json_get(root, STR("code")));
        message = json_str(json_get(root, STR("message")));
        state = json_str(json_get(root, STR("sqlState")));
    }
    const bool of_several = unwrap(&message);
    ErrorCode meaning = of_several ? meaning_of_words(message) : meaning_of_code(code, state);
    if (response->status == 401 || response->status == 403)
        meaning = ERROR_ACCESS;
    else if (response->status == 408)
        meaning = ERROR_LIMIT;
    else if (response->status == 400 || response->status == 415)
        meaning = ERROR_JOB;
    char shown[MESSAGE_SHOWN];
    if (meaning == ERROR_DATA || (of_several && meaning == ERROR_IO))
        show_without_values(message, shown, sizeof(shown));
    else
        show_whole(message, shown, sizeof(shown));
    if (response->status == 408)
        return error_set(err, meaning,
                         "snowflake: the statement ran into its timeout and was cancelled; "
                         "raise statement_timeout");
    if (response->status == 401 && auth != SNOWFLAKE_KEYPAIR)
        return error_set(err, meaning, "snowflake: the token is refused or has ended: %s", shown);
    return error_set(err, meaning, "snowflake: " STR_FMT "%s%s (status %d)", STR_ARG(code),
                     code.size > 0 ? ": " : "", shown, response->status);
}
