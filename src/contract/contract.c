#include "contract/plan.h"

#include "base/file.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

// --- what may stand in a contract file

typedef struct ContractSpec {
    Str schema;
    Str stream;
    Str comment;
    int evolution;
    Str total_pointer;
    Str window_column;
    yyjson_val *key;
    yyjson_val *volatile_paths;
    yyjson_val *known;
    yyjson_val *privacy;
    yyjson_val *columns;
} ContractSpec;

typedef struct UnitSpec {
    Str ms_if_over;
    Str less;
    double or_over;
} UnitSpec;

typedef struct ColumnSpec {
    Str name;
    int type;
    int64_t precision;
    int64_t scale;
    bool required;
    Str comment;
    yyjson_val *from;
    Str from_partition;
    yyjson_val *formats;
    Str zone;
    yyjson_val *unit;
    Str phone;
    int privacy;
} ColumnSpec;

static const char *const evolutions[] = {"overflow", "evolve", "freeze", NULL};
static const char *const privacies[] = {"keep", "mask", "hash", "drop", NULL};
static const char *const types[] = {
    "string",    "int64", "double", "decimal", "boolean",
    "timestamp", "date",  "json",   NULL}; // in the order of ColumnType

// clang-format off
const Field contract_fields[] = {
    {"$schema",        FIELD_STR(ContractSpec, schema), .help = "where editors find schemas/contract.schema.json"},
    {"stream",         FIELD_STR(ContractSpec, stream), .required = true, .help = "name of the stream in the connector"},
    {"comment",        FIELD_STR(ContractSpec, comment), .help = "what a row of the table is"},
    {"evolution",      FIELD_CHOICE(ContractSpec, evolution, evolutions), .fallback = "overflow", .help = "what happens to members that no column names: kept in _overflow, made columns, or refused"},
    {"total_pointer",  FIELD_STR(ContractSpec, total_pointer), .help = "JSON pointer into a page: how many records its slice has"},
    {"window_column",  FIELD_STR(ContractSpec, window_column), .help = "timestamp or date column that decides in which window a row lies"},
    {"key",            FIELD_JSON(ContractSpec, key), .required = true, .help = "columns that name a row: an array of names; string, int64 or date"},
    {"volatile",       FIELD_JSON(ContractSpec, volatile_paths), .help = "paths that _row_hash does not look at: an array; * stands for any member or element"},
    {"known",          FIELD_JSON(ContractSpec, known), .help = "paths that stay in _overflow on purpose: an array; never reported as drift"},
    {"privacy",        FIELD_JSON(ContractSpec, privacy), .help = "path -> keep, mask, hash or drop"},
    {"columns",        FIELD_JSON(ContractSpec, columns), .required = true, .help = "the columns of the table, in order"},
    {0},
};
const Field contract_column_fields[] = {
    {"name",           FIELD_STR(ColumnSpec, name), .required = true, .help = "lower-case letters, digits and _"},
    {"type",           FIELD_CHOICE(ColumnSpec, type, types), .required = true, .help = "string, int64, double, decimal, boolean, timestamp, date or json"},
    {"precision",      FIELD_INT(ColumnSpec, precision, 1, 38), .fallback = "18", .help = "of a decimal: how many digits"},
    {"scale",          FIELD_INT(ColumnSpec, scale, 0, 38), .fallback = "2", .help = "of a decimal: how many of them behind the point"},
    {"required",       FIELD_BOOL(ColumnSpec, required), .fallback = "false", .help = "a record without it goes to the quarantine table"},
    {"comment",        FIELD_STR(ColumnSpec, comment), .help = "one line for the table's documentation"},
    {"from",           FIELD_JSON(ColumnSpec, from), .help = "path or paths where the value may be found, the first that is not null wins; default: /<name>"},
    {"from_partition", FIELD_STR(ColumnSpec, from_partition), .help = "field of the slice's partition that gives the value, or a JSON pointer into it"},
    {"formats",        FIELD_JSON(ColumnSpec, formats), .help = "of a timestamp or date, tried in order: iso, epoch_s, epoch_ms, epoch_us or a strptime format"},
    {"zone",           FIELD_STR(ColumnSpec, zone), .help = "IANA zone of times that name none; default: the account's"},
    {"unit",           FIELD_JSON(ColumnSpec, unit), .help = "\"ms\": milliseconds become seconds; {\"ms_if_over\": path, \"less\": path, \"or_over\": number}: only where over it"},
    {"phone",          FIELD_STR(ColumnSpec, phone), .help = "country of numbers written without one (\"US\"): the column holds E.164"},
    {"privacy",        FIELD_CHOICE(ColumnSpec, privacy, privacies), .fallback = "keep", .help = "keep, mask, hash or drop; holds for every path the column names"},
    {0},
};
const Field contract_unit_fields[] = {
    {"ms_if_over",     FIELD_STR(UnitSpec, ms_if_over), .help = "path of the number that the value cannot exceed in seconds"},
    {"less",           FIELD_STR(UnitSpec, less), .help = "path of a number to take off that one first"},
    {"or_over",        FIELD_DOUBLE(UnitSpec, or_over, 0, 1e12), .fallback = "86400", .help = "the limit where that path holds no number"},
    {0},
};
// clang-format on

// A Str in a constant table: STR() is no constant expression.
#define LITERAL(text)            \
    {                            \
        (text), sizeof(text) - 1 \
    }

// clang-format off
static const Column system_columns[SYSTEM_COLUMNS] = {
    [SYSTEM_ROW_KEY]    = {.name = LITERAL("_row_key"), .type = COLUMN_KEY, .required = true,
                           .comment = LITERAL("first 128 bits of SHA-256 over the business key")},
    [SYSTEM_ROW_HASH]   = {.name = LITERAL("_row_hash"), .type = COLUMN_KEY, .required = true,
                           .comment = LITERAL("first 128 bits of SHA-256 over the record as it was sent")},
    [SYSTEM_OVERFLOW]   = {.name = LITERAL("_overflow"), .type = COLUMN_JSON,
                           .comment = LITERAL("what no column holds, where it stood in the record")},
    [SYSTEM_FETCHED_AT] = {.name = LITERAL("_fetched_at"), .type = COLUMN_TIMESTAMP, .required = true,
                           .comment = LITERAL("when the record's page was asked for")},
};

static const Column quarantine_columns[] = {
    {.name = LITERAL("reason"), .type = COLUMN_STRING, .required = true,
     .comment = LITERAL("why the record cannot become a row")},
    {.name = LITERAL("path"), .type = COLUMN_STRING, .comment = LITERAL("where in the record")},
    {.name = LITERAL("record"), .type = COLUMN_JSON, .comment = LITERAL("all of it, privacy applied")},
    {.name = LITERAL("_fetched_at"), .type = COLUMN_TIMESTAMP, .required = true,
     .comment = LITERAL("when the record's page was asked for")},
};
// clang-format on

// --- reading

// What all steps of reading one contract share.
typedef struct Reader {
    Contract *contract;
    Arena *arena;
    Findings *findings;
    Str file;
    Column *own;       // the contract's own columns, in the file's order
    ColumnSpec *specs; // likewise
    size_t own_count;
} Reader;

// A finding at "<file>: <pointer>".
static void find(Reader *reader, Str pointer, Str fix, const char *format, ...) PRINTF_LIKE(4, 5);
static void find(Reader *reader, Str pointer, Str fix, const char *format, ...)
{
    char what[300];
    char place[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    (void)snprintf(place, sizeof(place), STR_FMT ": " STR_FMT, STR_ARG(reader->file),
                   STR_ARG(pointer));
    findings_add(reader->findings, str_from(place), str_from(what), fix);
}

// "did you mean 'x'", or nothing.
static bool suggest(Reader *reader, Str name, const Str *names, size_t count, Str *ret_fix,
                    Error *err)
{
    const Str near = findings_nearest(name, names, count);
    *ret_fix = (Str){0};
    if (near.data == NULL)
        return true;
    return arena_printf(reader->arena, ret_fix, err, "did you mean '" STR_FMT "'", STR_ARG(near));
}

static bool pointer_at(Reader *reader, Str *ret_pointer, Error *err, Str parent, const char *member,
                       size_t index)
{
    return arena_printf(reader->arena, ret_pointer, err, STR_FMT "/%s/%zu", STR_ARG(parent), member,
                        index);
}

// --- paths

// An array made longer; NULL `items` is an empty one.
static void *longer(Arena *arena, void *items, size_t old_size, size_t size, Error *err)
{
    if (items == NULL)
        return arena_alloc(arena, size, err);
    return arena_resize(arena, items, old_size, size, err);
}

static Node *new_node(Arena *arena, Str name, Error *err)
{
    Node *node = arena_alloc(arena, sizeof(*node), err);
    if (node == NULL)
        return NULL;
    node->name = name;
    node->source = NO_SOURCE;
    return node;
}

// The member of `parent`, made when it is not there.
static Node *step_into(Arena *arena, Node *parent, Str name, Error *err)
{
    const bool any = str_equal(name, STR("*"));
    if (any && parent->any != NULL)
        return parent->any;
    for (size_t i = 0; !any && i < parent->member_count; i++) {
        if (str_equal(parent->members[i]->name, name))
            return parent->members[i];
    }
    Node *node = new_node(arena, name, err);
    if (node == NULL)
        return NULL;
    if (any) {
        parent->any = node;
        return node;
    }
    Node **members = longer(arena, parent->members, parent->member_count * sizeof(Node *),
                            (parent->member_count + 1) * sizeof(Node *), err);
    if (members == NULL)
        return NULL;
    members[parent->member_count++] = node;
    parent->members = members;
    return node;
}

// RFC 6901 steps: ~1 is '/', ~0 is '~'.
static bool unescape(Arena *arena, Str step, Str *ret_name, Error *err)
{
    char *name = arena_alloc_raw(arena, step.size + 1, err);
    TRY(name != NULL);
    size_t size = 0;
    for (size_t i = 0; i < step.size; i++) {
        char c = step.data[i];
        if (c == '~' && i + 1 < step.size)
            c = step.data[++i] == '1' ? '/' : '~';
        name[size++] = c;
    }
    *ret_name = (Str){name, size};
    return true;
}

static bool path_is_fine(Reader *reader, Str pointer, Str path, bool stars)
{
    if (path.size < 2 || path.data[0] != '/') {
        find(reader, pointer, STR("write it as /member or /member/member"), "is not a path");
        return false;
    }
    size_t depth = 0;
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL) {
        const Str step = str_split_next(&rest, '/');
        if (!stars && str_equal(step, STR("*"))) {
            find(reader, pointer, STR("name the member"), "a column's path cannot hold *");
            return false;
        }
        depth++;
    }
    if (depth > PATH_DEPTH_MAX) {
        find(reader, pointer, STR(""), "is deeper than %d members", PATH_DEPTH_MAX);
        return false;
    }
    return true;
}

// The node of a path, made with all that leads to it.
static bool path_node(Reader *reader, Str path, Node **ret_node, Error *err)
{
    Node *node = reader->contract->root;
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL) {
        Str name = {0};
        TRY(unescape(reader->arena, str_split_next(&rest, '/'), &name, err));
        node = step_into(reader->arena, node, name, err);
        TRY(node != NULL);
    }
    *ret_node = node;
    return true;
}

static bool grow_sources(Reader *reader, Error *err)
{
    Contract *contract = reader->contract;
    if (contract->source_count < contract->source_capacity)
        return true;
    if (contract->source_count >= SOURCES_MAX)
        return error_set(err, ERROR_LIMIT, "contract: more than %d paths", SOURCES_MAX);
    const size_t capacity = contract->source_capacity == 0 ? 64 : contract->source_capacity * 2;
    Source *sources =
        longer(reader->arena, contract->sources, contract->source_capacity * sizeof(Source),
               capacity * sizeof(Source), err);
    TRY(sources != NULL);
    contract->sources = sources;
    contract->source_capacity = capacity;
    return true;
}

// The source of a path: two columns that name one path share it.
static bool path_source(Reader *reader, Str path, int *ret_source, Error *err)
{
    Node *node = NULL;
    TRY(path_node(reader, path, &node, err));
    Contract *contract = reader->contract;
    if (node->source == NO_SOURCE) {
        TRY(grow_sources(reader, err));
        Source *source = &contract->sources[contract->source_count];
        TRY(arena_copy_str(reader->arena, path, &source->path, err));
        source->node = node;
        node->source = (int)contract->source_count++;
    }
    *ret_source = node->source;
    return true;
}

// Calls `take` for each path of the array under `member`.
typedef void (*TakePath)(Node *node);

static void take_volatile(Node *node)
{
    node->is_volatile = true;
}

static void take_known(Node *node)
{
    node->known = true;
}

static bool read_paths(Reader *reader, yyjson_val *array, const char *member, TakePath take,
                       Error *err)
{
    if (array == NULL)
        return true;
    Str pointer = {0};
    if (!yyjson_is_arr(array)) {
        TRY(arena_printf(reader->arena, &pointer, err, "/%s", member));
        find(reader, pointer, STR("write [\"/path\"]"), "is not an array of paths");
        return true;
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(array, index, count, item)
    {
        TRY(pointer_at(reader, &pointer, err, STR(""), member, index));
        if (!yyjson_is_str(item)) {
            find(reader, pointer, STR(""), "is not a path");
            continue;
        }
        Node *node = NULL;
        if (!path_is_fine(reader, pointer, json_str(item), true))
            continue;
        TRY(path_node(reader, json_str(item), &node, err));
        take(node);
    }
    return true;
}

static int choice_of(Str name, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (str_equal(name, str_from(choices[i])))
            return i;
    }
    return -1;
}

// A choice that is not in its list: says which are, or which was probably meant.
static bool find_choice(Reader *reader, Str pointer, yyjson_val *value, const char *const *choices,
                        Error *err)
{
    Str names[16];
    size_t count = 0;
    for (; choices[count] != NULL; count++)
        names[count] = str_from(choices[count]);
    Str fix = {0};
    TRY(suggest(reader, json_str(value), names, count, &fix, err));
    if (fix.size == 0)
        TRY(arena_printf(reader->arena, &fix, err, "one of %s, %s, %s, %s", choices[0], choices[1],
                         choices[2], count > 3 ? choices[3] : "..."));
    find(reader, pointer, fix, "is none of the choices");
    return true;
}

static bool read_privacy(Reader *reader, yyjson_val *object, Error *err)
{
    if (object == NULL)
        return true;
    if (!yyjson_is_obj(object)) {
        find(reader, STR("/privacy"), STR("write {\"/path\": \"mask\"}"), "is not an object");
        return true;
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(object, index, count, name, value)
    {
        Str pointer = {0};
        TRY(arena_printf(reader->arena, &pointer, err, "/privacy, path " STR_FMT,
                         STR_ARG(json_str(name))));
        const int choice = yyjson_is_str(value) ? choice_of(json_str(value), privacies) : -1;
        if (choice < 0) {
            TRY(find_choice(reader, pointer, value, privacies, err));
            continue;
        }
        Node *node = NULL;
        if (!path_is_fine(reader, pointer, json_str(name), true))
            continue;
        TRY(path_node(reader, json_str(name), &node, err));
        node->privacy = (Privacy)choice;
    }
    return true;
}

// --- columns

static bool name_is_fine(Str name)
{
    if (name.size == 0 || name.size > COLUMN_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (i > 0 && ((c >= '0' && c <= '9') || c == '_'))))
            return false;
    }
    return true;
}

// One path of a column, and what the column says about it.
static bool read_from(Reader *reader, const ColumnSpec *spec, Str pointer, Str path, int *sources,
                      size_t *count, Error *err)
{
    if (!path_is_fine(reader, pointer, path, false))
        return true;
    if (*count == COLUMN_SOURCES_MAX) {
        find(reader, pointer, STR(""), "is one path more than the %d a column may have",
             COLUMN_SOURCES_MAX);
        return true;
    }
    int source = NO_SOURCE;
    TRY(path_source(reader, path, &source, err));
    for (size_t i = 0; i < *count; i++) {
        if (sources[i] == source) {
            find(reader, pointer, STR("remove one"), "is named twice");
            return true;
        }
    }
    sources[(*count)++] = source;
    Node *node = NULL;
    TRY(path_node(reader, path, &node, err));
    if (node->privacy != PRIVACY_KEEP && (int)node->privacy != spec->privacy)
        find(reader, pointer, STR("say the same in both places"),
             "column '" STR_FMT "' reads this path with privacy %s, which is %s elsewhere",
             STR_ARG(spec->name), privacies[spec->privacy], privacies[node->privacy]);
    if (spec->privacy != PRIVACY_KEEP)
        node->privacy = (Privacy)spec->privacy;
    return true;
}

static bool read_sources(Reader *reader, const ColumnSpec *spec, Str pointer, ColumnPlan *plan,
                         Error *err)
{
    int sources[COLUMN_SOURCES_MAX];
    size_t count = 0;
    Str at = {0};
    if (spec->from == NULL && spec->from_partition.size == 0) {
        Str path = {0};
        TRY(arena_printf(reader->arena, &path, err, "/" STR_FMT, STR_ARG(spec->name)));
        TRY(read_from(reader, spec, pointer, path, sources, &count, err));
    } else if (yyjson_is_str(spec->from)) {
        TRY(arena_printf(reader->arena, &at, err, STR_FMT "/from", STR_ARG(pointer)));
        TRY(read_from(reader, spec, at, json_str(spec->from), sources, &count, err));
    } else if (yyjson_is_arr(spec->from)) {
        size_t index = 0;
        size_t items = 0;
        yyjson_val *item = NULL;
        yyjson_arr_foreach(spec->from, index, items, item)
        {
            TRY(pointer_at(reader, &at, err, pointer, "from", index));
            TRY(read_from(reader, spec, at, json_str(item), sources, &count, err));
        }
    } else if (spec->from != NULL) {
        find(reader, pointer, STR("write \"/path\" or [\"/path\", \"/other\"]"),
             "from is neither a path nor an array of paths");
    }
    int *kept = arena_alloc_array(reader->arena, count + 1, sizeof(int), err);
    TRY(kept != NULL);
    memcpy(kept, sources, count * sizeof(int));
    plan->sources = kept;
    plan->source_count = count;
    return true;
}

static bool read_format(Reader *reader, Str pointer, Str text, Format *format, Error *err)
{
    static const struct {
        const char *name;
        FormatKind kind;
    } names[] = {{"iso", FORMAT_ISO},
                 {"epoch_s", FORMAT_EPOCH_S},
                 {"epoch_ms", FORMAT_EPOCH_MS},
                 {"epoch_us", FORMAT_EPOCH_US}};
    *format = (Format){.kind = FORMAT_PATTERN, .resolution_us = 1};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!str_equal(text, str_from(names[i].name)))
            continue;
        format->kind = names[i].kind;
        format->resolution_us = names[i].kind == FORMAT_EPOCH_S    ? 1000000
                                : names[i].kind == FORMAT_EPOCH_MS ? 1000
                                                                   : 1;
        return true;
    }
    CLEANUP(buf_done) Buf tried = {0};
    Error why = {0};
    if (str_find_char(text, '%') == text.size || !time_format(0, 0, text, &tried, &why)) {
        find(reader, pointer, STR("iso, epoch_s, epoch_ms, epoch_us, or like %Y-%m-%d %H:%M:%S"),
             "is no format of a time");
        return true;
    }
    if (str_find(text, STR("%f")) == text.size && str_find(text, STR("s")) == text.size)
        format->resolution_us =
            str_find(text, STR("%S")) < text.size ? 1000000 : (int64_t)60 * 1000000;
    return arena_copy_str(reader->arena, text, &format->pattern, err);
}

static bool read_formats(Reader *reader, const ColumnSpec *spec, Str pointer, ColumnPlan *plan,
                         Error *err)
{
    const bool is_time = plan->type == COLUMN_TIMESTAMP || plan->type == COLUMN_DATE;
    if (spec->formats != NULL && !is_time)
        find(reader, pointer, STR("remove it"), "formats is for timestamps and dates");
    if (spec->zone.size > 0 && !is_time)
        find(reader, pointer, STR("remove it"), "zone is for timestamps and dates");
    if (spec->formats != NULL && !yyjson_is_arr(spec->formats))
        find(reader, pointer, STR("write [\"iso\"]"), "formats is not an array");
    const size_t given = yyjson_arr_size(spec->formats);
    if (given > FORMATS_MAX) {
        find(reader, pointer, STR(""), "has more than %d formats", FORMATS_MAX);
        return true;
    }
    Format *formats = arena_alloc_array(reader->arena, given + 1, sizeof(Format), err);
    TRY(formats != NULL);
    plan->formats = formats;
    plan->format_count = given;
    for (size_t i = 0; i < given; i++) {
        Str at = {0};
        TRY(pointer_at(reader, &at, err, pointer, "formats", i));
        TRY(read_format(reader, at, json_str(yyjson_arr_get(spec->formats, i)), &formats[i], err));
    }
    if (given == 0) {
        formats[0] = (Format){.kind = FORMAT_ISO, .resolution_us = 1};
        plan->format_count = 1;
    }
    if (spec->zone.size == 0 || zone_open(spec->zone, reader->arena, &plan->zone, err))
        return true;
    if (err->code != ERROR_NOT_FOUND)
        return false;
    find(reader, pointer, STR(""), "%s", err->message);
    *err = (Error){0};
    return true;
}

static bool read_unit(Reader *reader, const ColumnSpec *spec, Str pointer, ColumnPlan *plan,
                      Error *err)
{
    plan->unit.source = NO_SOURCE;
    plan->unit.less = NO_SOURCE;
    if (spec->unit == NULL)
        return true;
    Str at = {0};
    TRY(arena_printf(reader->arena, &at, err, STR_FMT "/unit", STR_ARG(pointer)));
    if (plan->type != COLUMN_INT64 && plan->type != COLUMN_DOUBLE && plan->type != COLUMN_DECIMAL)
        find(reader, at, STR("remove it"), "unit is for int64, double and decimal");
    if (yyjson_is_str(spec->unit) && str_equal(json_str(spec->unit), STR("ms"))) {
        plan->unit.kind = UNIT_MS;
        return true;
    }
    if (!yyjson_is_obj(spec->unit)) {
        find(reader, at, STR("\"ms\", or {\"ms_if_over\": \"/duration\"}"), "is no unit");
        return true;
    }
    UnitSpec unit = {0};
    TRY(field_read(contract_unit_fields, spec->unit, reader->file, at, reader->arena, &unit,
                   reader->findings, err));
    plan->unit.kind = UNIT_MS_IF_OVER;
    plan->unit.limit = unit.or_over;
    if (unit.ms_if_over.size > 0 && path_is_fine(reader, at, unit.ms_if_over, false))
        TRY(path_source(reader, unit.ms_if_over, &plan->unit.source, err));
    if (unit.less.size > 0 && path_is_fine(reader, at, unit.less, false))
        TRY(path_source(reader, unit.less, &plan->unit.less, err));
    return true;
}

static bool read_column_rest(Reader *reader, const ColumnSpec *spec, Str pointer, ColumnPlan *plan,
                             Error *err)
{
    plan->type = (ColumnType)spec->type;
    plan->precision = (int)spec->precision;
    plan->scale = (int)spec->scale;
    plan->required = spec->required;
    plan->privacy = (Privacy)spec->privacy;
    plan->from_partition = spec->from_partition;
    if (plan->type == COLUMN_DECIMAL && plan->scale > plan->precision)
        find(reader, pointer, STR(""), "scale %d is more than precision %d", plan->scale,
             plan->precision);
    if (plan->privacy != PRIVACY_KEEP && plan->type != COLUMN_STRING && plan->type != COLUMN_JSON)
        find(reader, pointer, STR("make it a string, or leave the column out"),
             "privacy %s gives a text, which a column of type %s cannot hold",
             privacies[plan->privacy], types[plan->type]);
    if (plan->from_partition.size > 0 && plan->type == COLUMN_JSON)
        find(reader, pointer, STR("string, int64 or date"), "a partition's value cannot be json");
    if (plan->privacy == PRIVACY_DROP)
        find(reader, pointer, STR("name the path under /privacy instead"),
             "a dropped column would always be null");
    if (spec->phone.size > 0) {
        plan->phone = phone_country(spec->phone);
        if (plan->phone == NULL)
            find(reader, pointer, STR("an ISO 3166 country, as \"US\""),
                 "phone '" STR_FMT "' is no country known here", STR_ARG(spec->phone));
        if (plan->type != COLUMN_STRING)
            find(reader, pointer, STR("make it a string"), "a phone number is a string");
    }
    TRY(read_sources(reader, spec, pointer, plan, err));
    TRY(read_formats(reader, spec, pointer, plan, err));
    return read_unit(reader, spec, pointer, plan, err);
}

static bool read_column(Reader *reader, yyjson_val *object, size_t index, Error *err)
{
    Str pointer = {0};
    TRY(pointer_at(reader, &pointer, err, STR(""), "columns", index));
    if (!yyjson_is_obj(object)) {
        find(reader, pointer, STR("write {\"name\": ..., \"type\": ...}"), "is not an object");
        return true;
    }
    ColumnSpec *spec = &reader->specs[reader->own_count];
    TRY(field_read(contract_column_fields, object, reader->file, pointer, reader->arena, spec,
                   reader->findings, err));
    if (spec->name.size > 0 && !name_is_fine(spec->name))
        find(reader, pointer,
             STR("lower-case letters, digits and _, a letter first, 63 bytes at most"),
             "'" STR_FMT "' is no name for a column", STR_ARG(spec->name));
    for (size_t i = 0; i < reader->own_count; i++) {
        if (spec->name.size > 0 && str_equal(reader->own[i].name, spec->name))
            find(reader, pointer, STR("rename one"), "'" STR_FMT "' is there twice",
                 STR_ARG(spec->name));
    }
    ColumnPlan *plan = &reader->contract->plans[reader->own_count];
    plan->index = reader->own_count;
    TRY(read_column_rest(reader, spec, pointer, plan, err));
    reader->own[reader->own_count++] = (Column){.name = spec->name,
                                                .type = plan->type,
                                                .precision = plan->precision,
                                                .scale = plan->scale,
                                                .required = spec->required,
                                                .comment = spec->comment};
    return true;
}

static bool read_columns(Reader *reader, yyjson_val *array, Error *err)
{
    Contract *contract = reader->contract;
    const size_t count = yyjson_arr_size(array);
    if (array != NULL && (!yyjson_is_arr(array) || count == 0))
        find(reader, STR("/columns"), STR("write [{\"name\": ..., \"type\": ...}]"),
             "is not an array of columns");
    if (count > BATCH_COLUMNS_MAX - SYSTEM_COLUMNS) {
        find(reader, STR("/columns"), STR(""), "has %zu columns, more than %d", count,
             BATCH_COLUMNS_MAX - SYSTEM_COLUMNS);
        return true;
    }
    const size_t all = count + SYSTEM_COLUMNS;
    reader->own = arena_alloc_array(reader->arena, all, sizeof(Column), err);
    TRY(reader->own != NULL);
    reader->specs = arena_alloc_array(reader->arena, all, sizeof(ColumnSpec), err);
    TRY(reader->specs != NULL);
    contract->plans = arena_alloc_array(reader->arena, all, sizeof(ColumnPlan), err);
    TRY(contract->plans != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(read_column(reader, yyjson_arr_get(array, i), i, err));
    memcpy(reader->own + reader->own_count, system_columns, sizeof(system_columns));
    contract->columns = reader->own;
    contract->column_count = reader->own_count + SYSTEM_COLUMNS;
    contract->plan_count = reader->own_count;
    return true;
}

// --- what refers to columns

static bool find_column(Reader *reader, Str pointer, Str name, size_t *ret_index, Error *err)
{
    Str *names = arena_alloc_array(reader->arena, reader->own_count + 1, sizeof(Str), err);
    TRY(names != NULL);
    *ret_index = reader->own_count;
    for (size_t i = 0; i < reader->own_count; i++) {
        names[i] = reader->own[i].name;
        if (str_equal(names[i], name))
            *ret_index = i;
    }
    if (*ret_index < reader->own_count)
        return true;
    Str fix = {0};
    TRY(suggest(reader, name, names, reader->own_count, &fix, err));
    find(reader, pointer, fix, "'" STR_FMT "' is no column", STR_ARG(name));
    return true;
}

static bool read_key_column(Reader *reader, Str pointer, Str name, size_t order, Error *err)
{
    size_t index = 0;
    TRY(find_column(reader, pointer, name, &index, err));
    if (index == reader->own_count)
        return true;
    const ColumnSpec *spec = &reader->specs[index];
    if (spec->type != COLUMN_STRING && spec->type != COLUMN_INT64 && spec->type != COLUMN_DATE)
        find(reader, pointer, STR("string, int64 or date"), "a key column cannot be %s",
             types[spec->type]);
    if (spec->privacy != PRIVACY_KEEP)
        find(reader, pointer, STR(""), "a key column cannot be hidden");
    // Key columns first, in the key's order: shape then knows at once whether a row has a key.
    ColumnPlan *plans = reader->contract->plans;
    size_t at = order;
    while (at < reader->own_count && plans[at].index != index)
        at++;
    if (at == reader->own_count) {
        find(reader, pointer, STR("remove one"), "is named twice");
        return true;
    }
    const ColumnPlan plan = plans[at];
    for (; at > order; at--)
        plans[at] = plans[at - 1];
    plans[order] = plan;
    plans[order].required = true;
    reader->own[index].required = true;
    return true;
}

static bool read_key(Reader *reader, yyjson_val *array, Error *err)
{
    const size_t count = yyjson_arr_size(array);
    if (array != NULL && (!yyjson_is_arr(array) || count == 0 || count > KEY_COLUMNS_MAX)) {
        find(reader, STR("/key"), STR("write [\"account_id\", \"id\"]"),
             "is not an array of 1 to %d columns", KEY_COLUMNS_MAX);
        return true;
    }
    Contract *contract = reader->contract;
    Str *names = arena_alloc_array(reader->arena, count + 1, sizeof(Str), err);
    TRY(names != NULL);
    for (size_t i = 0; i < count; i++) {
        Str pointer = {0};
        TRY(pointer_at(reader, &pointer, err, STR(""), "key", i));
        TRY(arena_copy_str(reader->arena, json_str(yyjson_arr_get(array, i)), &names[i], err));
        if (i < reader->own_count)
            TRY(read_key_column(reader, pointer, names[i], i, err));
    }
    contract->key_count = count;
    contract->info.key_columns = names;
    contract->info.key_count = count;
    return true;
}

static bool read_partition(Reader *reader, Error *err)
{
    ContractInfo *info = &reader->contract->info;
    Str *columns = arena_alloc_array(reader->arena, reader->own_count + 1, sizeof(Str), err);
    TRY(columns != NULL);
    Str *fields = arena_alloc_array(reader->arena, reader->own_count + 1, sizeof(Str), err);
    TRY(fields != NULL);
    for (size_t i = 0; i < reader->own_count; i++) {
        if (reader->specs[i].from_partition.size == 0)
            continue;
        columns[info->partition_count] = reader->own[i].name;
        fields[info->partition_count++] = reader->specs[i].from_partition;
    }
    info->partition_columns = columns;
    info->partition_fields = fields;
    return true;
}

static bool read_window(Reader *reader, Str name, Error *err)
{
    if (name.size == 0)
        return true;
    size_t index = 0;
    TRY(find_column(reader, STR("/window_column"), name, &index, err));
    if (index < reader->own_count && reader->own[index].type != COLUMN_TIMESTAMP &&
        reader->own[index].type != COLUMN_DATE)
        find(reader, STR("/window_column"), STR("a timestamp or a date"), "'" STR_FMT "' is %s",
             STR_ARG(name), types[reader->own[index].type]);
    reader->contract->info.window_column = name;
    return true;
}

// What hangs below, so that shape need not look where nothing does.
// NOLINTNEXTLINE(misc-no-recursion): PATH_DEPTH_MAX bounds the depth
static void sum_up(Node *node)
{
    for (size_t i = 0; i <= node->member_count; i++) {
        Node *below = i < node->member_count ? node->members[i] : node->any;
        if (below == NULL)
            continue;
        sum_up(below);
        node->sources_below |= below->sources_below || below->source != NO_SOURCE;
        node->privacy_below |= below->privacy_below || below->privacy != PRIVACY_KEEP;
        node->volatile_below |= below->volatile_below || below->is_volatile;
    }
}

static bool is_plain(const ColumnPlan *plan)
{
    return !plan->required && plan->source_count == 1 && plan->phone == NULL &&
           plan->unit.kind == UNIT_NONE && plan->privacy == PRIVACY_KEEP &&
           plan->from_partition.size == 0 &&
           (plan->type == COLUMN_STRING || plan->type == COLUMN_INT64 ||
            plan->type == COLUMN_DOUBLE || plan->type == COLUMN_BOOLEAN);
}

// Moves the plain columns behind the others, which keep their order.
static bool sort_out_plain(Reader *reader, Error *err)
{
    Contract *contract = reader->contract;
    const size_t count = contract->plan_count;
    ColumnPlan *sorted = arena_alloc_array(reader->arena, count + 1, sizeof(ColumnPlan), err);
    TRY(sorted != NULL);
    contract->plain = arena_alloc_array(reader->arena, count + 1, sizeof(PlainColumn), err);
    TRY(contract->plain != NULL);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        if (!is_plain(plan))
            sorted[at++] = *plan;
    }
    for (size_t i = 0; i < count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        if (!is_plain(plan))
            continue;
        sorted[at++] = *plan;
        contract->plain[contract->plain_count++] =
            (PlainColumn){(uint16_t)plan->sources[0], (uint16_t)plan->index, plan->type};
    }
    contract->plans = sorted;
    return true;
}

static bool read_all(Reader *reader, yyjson_val *root, Error *err)
{
    ContractSpec spec = {0};
    TRY(field_read(contract_fields, root, reader->file, STR(""), reader->arena, &spec,
                   reader->findings, err));
    Contract *contract = reader->contract;
    contract->info.stream = spec.stream;
    contract->info.evolution = (Evolution)spec.evolution;
    contract->info.total_pointer = spec.total_pointer;
    if (spec.total_pointer.size > 0 && spec.total_pointer.data[0] != '/')
        find(reader, STR("/total_pointer"), STR("write it as /total_entries"), "is not a path");
    TRY(read_privacy(reader, spec.privacy, err));
    TRY(read_columns(reader, spec.columns, err));
    TRY(read_paths(reader, spec.volatile_paths, "volatile", take_volatile, err));
    TRY(read_paths(reader, spec.known, "known", take_known, err));
    TRY(read_partition(reader, err));
    TRY(read_window(reader, spec.window_column, err));
    TRY(read_key(reader, spec.key, err));
    sum_up(contract->root);
    return sort_out_plain(reader, err);
}

bool contract_read(Str bytes, const char *name, Arena *arena, Findings *findings,
                   Contract **ret_contract, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(bytes, name, arena, &doc, err));
    Contract *contract = arena_alloc(arena, sizeof(*contract), err);
    TRY(contract != NULL);
    contract->root = new_node(arena, STR(""), err);
    TRY(contract->root != NULL);
    Reader reader = {
        .contract = contract, .arena = arena, .findings = findings, .file = str_from(name)};
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
        return error_set(err, ERROR_JOB, "%s: is not a JSON object", name);
    TRY(read_all(&reader, yyjson_doc_get_root(doc), err));
    *ret_contract = contract;
    return true;
}

bool contract_open(const char *path, Arena *arena, Findings *findings, Contract **ret_contract,
                   Error *err)
{
    Str bytes = {0};
    TRY(file_read(path, CONTRACT_BYTES_MAX, arena, &bytes, err));
    return contract_read(bytes, path, arena, findings, ret_contract, err);
}

const Column *contract_columns(const Contract *contract, size_t *ret_count)
{
    *ret_count = contract->column_count;
    return contract->columns;
}

const Column *contract_quarantine_columns(size_t *ret_count)
{
    *ret_count = sizeof(quarantine_columns) / sizeof(quarantine_columns[0]);
    return quarantine_columns;
}

const ContractInfo *contract_info(const Contract *contract)
{
    return &contract->info;
}
