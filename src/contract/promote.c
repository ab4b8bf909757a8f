#include "contract/promote.h"

#include "contract/plan.h"

#include <assert.h>

// --- names

// "/agent/Extra Name" -> "agent_extra_name".
static bool name_of_path(Str path, Arena *arena, Str *ret_name, Error *err)
{
    char *name = arena_alloc(arena, path.size + 2, err);
    TRY(name != NULL);
    size_t size = 0;
    for (size_t i = 0; i < path.size && size < COLUMN_NAME_BYTES_MAX; i++) {
        char c = path.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9' && size > 0))
            name[size++] = c;
        else if (size > 0 && name[size - 1] != '_')
            name[size++] = '_';
    }
    while (size > 0 && name[size - 1] == '_')
        size--;
    if (size == 0)
        return error_set(err, ERROR_JOB, "no name for a column in path " STR_FMT, STR_ARG(path));
    *ret_name = (Str){name, size};
    return true;
}

static bool check_names(const Contract *contract, const Promotion *promotion, Str name, Error *err)
{
    size_t count = 0;
    const Column *columns = contract_columns(contract, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(columns[i].name, name))
            return error_set(err, ERROR_JOB, "there is a column '" STR_FMT "' already",
                             STR_ARG(name));
    }
    for (size_t i = 0; i < contract->plan_count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        for (size_t j = 0; j < plan->source_count; j++) {
            if (str_equal(contract->sources[plan->sources[j]].path, promotion->path))
                return error_set(err, ERROR_JOB, "column '" STR_FMT "' reads " STR_FMT " already",
                                 STR_ARG(columns[plan->index].name), STR_ARG(promotion->path));
        }
    }
    return true;
}

// --- text

// What a scan of the file's text looks for: where the array of columns ends, and where a path
// stands in "known". The text is known to be right, so the scan need not be strict.
typedef struct Scan {
    Str text;
    size_t at;
} Scan;

static bool is_one_of(Str set, char c)
{
    return str_find_char(set, c) < set.size;
}

static void skip_blank(Scan *scan)
{
    while (scan->at < scan->text.size && is_one_of(STR(" \t\r\n,:"), scan->text.data[scan->at]))
        scan->at++;
}

// The string at hand, as written, without its quotes; moves behind it.
static Str take_string(Scan *scan)
{
    const size_t start = ++scan->at;
    while (scan->at < scan->text.size && scan->text.data[scan->at] != '"')
        scan->at += scan->text.data[scan->at] == '\\' ? 2 : 1;
    const Str taken = str_slice(scan->text, start, scan->at - start);
    scan->at++;
    return taken;
}

// Moves behind the value at hand.
static void skip_value(Scan *scan)
{
    int depth = 0;
    do {
        skip_blank(scan);
        const char c = scan->at < scan->text.size ? scan->text.data[scan->at] : '\0';
        if (c == '"') {
            (void)take_string(scan);
        } else if (c == '{' || c == '[') {
            depth++;
            scan->at++;
        } else if (c == '}' || c == ']') {
            depth--;
            scan->at++;
        } else {
            while (scan->at < scan->text.size &&
                   !is_one_of(STR(" \t\r\n,]}"), scan->text.data[scan->at]))
                scan->at++;
        }
    } while (depth > 0 && scan->at < scan->text.size);
}

// Moves to the value of the root's member `name`; false when there is none.
static bool find_member(Scan *scan, Str name)
{
    scan->at = str_find_char(scan->text, '{') + 1;
    for (;;) {
        skip_blank(scan);
        if (scan->at >= scan->text.size || scan->text.data[scan->at] != '"')
            return false;
        const bool found = str_equal(take_string(scan), name);
        skip_blank(scan);
        if (found)
            return true;
        skip_value(scan);
    }
}

// The part of the text that goes when `path` leaves "known": the string and one comma.
static bool find_known(Str text, Str path, size_t *ret_start, size_t *ret_end)
{
    Scan scan = {text, 0};
    if (!find_member(&scan, STR("known")))
        return false;
    size_t last_end = ++scan.at; // behind the bracket, later behind the item before
    bool first = true;
    for (;; first = false) {
        skip_blank(&scan);
        if (scan.at >= text.size || text.data[scan.at] != '"')
            return false;
        const size_t start = scan.at;
        const bool found = str_equal(take_string(&scan), path);
        if (found && !first) {
            *ret_start = last_end;
            *ret_end = scan.at;
            return true;
        }
        if (found) {
            *ret_start = start;
            skip_blank(&scan);
            *ret_end = scan.at;
            return true;
        }
        last_end = scan.at;
    }
}

// Where the last column ends, and how its line is indented.
static bool find_last_column(Str text, size_t *ret_end, Str *ret_indent)
{
    Scan scan = {text, 0};
    if (!find_member(&scan, STR("columns")))
        return false;
    scan.at++;
    size_t start = scan.at;
    *ret_end = 0;
    for (;;) {
        skip_blank(&scan);
        if (scan.at >= text.size || text.data[scan.at] != '{')
            break;
        start = scan.at;
        skip_value(&scan);
        *ret_end = scan.at;
    }
    size_t line = start;
    while (line > 0 && (text.data[line - 1] == ' ' || text.data[line - 1] == '\t'))
        line--;
    const bool own_line = line > 0 && text.data[line - 1] == '\n';
    *ret_indent = own_line ? str_slice(text, line - 1, start - line + 1) : STR(" ");
    return *ret_end > 0;
}

static bool write_column(const Promotion *promotion, Str name, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "{\"name\": \"" STR_FMT "\", \"type\": \"%s\", \"from\": ",
                   STR_ARG(name), column_type_name(promotion->type)));
    TRY(json_write_str(promotion->path, out, err));
    return buf_append_char(out, '}', err);
}

static bool write_promoted(Str text, const Promotion *promotion, Str name, Buf *out, Error *err)
{
    size_t end = 0;
    size_t known_start = 0;
    size_t known_end = 0;
    Str indent = {0};
    if (!find_last_column(text, &end, &indent))
        return error_set(err, ERROR_JOB, "contract: its columns cannot be found");
    const bool known = find_known(text, promotion->path, &known_start, &known_end);
    if (known && known_start < end) {
        TRY(buf_append(out, str_slice(text, 0, known_start), err));
        TRY(buf_append(out, str_slice(text, known_end, end - known_end), err));
    } else {
        TRY(buf_append(out, str_slice(text, 0, end), err));
    }
    TRY(buf_append_char(out, ',', err));
    TRY(buf_append(out, indent, err));
    TRY(write_column(promotion, name, out, err));
    if (!known || known_start < end)
        return buf_append(out, str_slice(text, end, text.size), err);
    TRY(buf_append(out, str_slice(text, end, known_start - end), err));
    return buf_append(out, str_slice(text, known_end, text.size), err);
}

// A contract must be right before it is edited, and what comes out must be, too.
static bool read_checked(Str text, Arena *arena, Contract **ret_contract, Error *err)
{
    Findings findings = {.arena = arena};
    TRY(contract_read(text, "contract", arena, &findings, ret_contract, err));
    return findings_check(&findings, err);
}

bool contract_promote(Str text, const Promotion *promotion, Arena *arena, Buf *out, Str *ret_name,
                      Error *err)
{
    assert(promotion->type != COLUMN_KEY);

    Contract *contract = NULL;
    Contract *promoted = NULL;
    Str name = promotion->name;
    if (promotion->path.size < 2 || promotion->path.data[0] != '/')
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is no path: write it as /member",
                         STR_ARG(promotion->path));
    TRY(read_checked(text, arena, &contract, err));
    if (name.size == 0)
        TRY(name_of_path(promotion->path, arena, &name, err));
    TRY(check_names(contract, promotion, name, err));
    CLEANUP(buf_done) Buf edited = {0};
    TRY(write_promoted(text, promotion, name, &edited, err));
    TRY(read_checked(buf_str(&edited), arena, &promoted, err));
    TRY(buf_append(out, buf_str(&edited), err));
    *ret_name = name;
    return true;
}
