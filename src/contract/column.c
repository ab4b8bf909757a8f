#include "contract/reader.h"

typedef struct UnitSpec {
    Str ms_if_over;
    Str less;
    double or_over;
} UnitSpec;

const char *const contract_types[] = {
    "string",    "int64", "double", "decimal", "boolean",
    "timestamp", "date",  "json",   NULL}; // in the order of ColumnType

// clang-format off
const Field contract_column_fields[] = {
    {"name",           FIELD_STR(ColumnSpec, name), .required = true, .help = "lower-case letters, digits and _"},
    {"type",           FIELD_CHOICE(ColumnSpec, type, contract_types), .required = true, .help = "string, int64, double, decimal, boolean, timestamp, date or json"},
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
    {"person",         FIELD_CHOICE(ColumnSpec, person, contract_persons), .fallback = "none", .help = "phone, email or id: the record is about the person it names (pawl forget)"},
    {"privacy",        FIELD_CHOICE(ColumnSpec, privacy, contract_privacies), .fallback = "keep", .help = "keep, mask, hash or drop; holds for every path the column names"},
    {0},
};
const Field contract_unit_fields[] = {
    {"ms_if_over",     FIELD_STR(UnitSpec, ms_if_over), .help = "path of the number that the value cannot exceed in seconds"},
    {"less",           FIELD_STR(UnitSpec, less), .help = "path of a number to take off that one first"},
    {"or_over",        FIELD_DOUBLE(UnitSpec, or_over, 0, 1e12), .fallback = "86400", .help = "the limit where that path holds no number"},
    {0},
};
// clang-format on

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
        reader_find(reader, pointer, STR(""), "is one path more than the %d a column may have",
                    COLUMN_SOURCES_MAX);
        return true;
    }
    int source = NO_SOURCE;
    TRY(path_source(reader, path, &source, err));
    for (size_t i = 0; i < *count; i++) {
        if (sources[i] == source) {
            reader_find(reader, pointer, STR("remove one"), "is named twice");
            return true;
        }
    }
    sources[(*count)++] = source;
    Node *node = NULL;
    TRY(path_node(reader, path, &node, err));
    if (node->privacy != PRIVACY_KEEP && (int)node->privacy != spec->privacy)
        reader_find(reader, pointer, STR("say the same in both places"),
                    "column '" STR_FMT "' reads this path with privacy %s, which is %s elsewhere",
                    STR_ARG(spec->name), contract_privacies[spec->privacy],
                    contract_privacies[node->privacy]);
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
            TRY(reader_pointer(reader, &at, err, pointer, "from", index));
            TRY(read_from(reader, spec, at, json_str(item), sources, &count, err));
        }
    } else if (spec->from != NULL) {
        reader_find(reader, pointer, STR("write \"/path\" or [\"/path\", \"/other\"]"),
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
        reader_find(reader, pointer,
                    STR("iso, epoch_s, epoch_ms, epoch_us, or like %Y-%m-%d %H:%M:%S"),
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
        reader_find(reader, pointer, STR("remove it"), "formats is for timestamps and dates");
    if (spec->zone.size > 0 && !is_time)
        reader_find(reader, pointer, STR("remove it"), "zone is for timestamps and dates");
    if (spec->formats != NULL && !yyjson_is_arr(spec->formats))
        reader_find(reader, pointer, STR("write [\"iso\"]"), "formats is not an array");
    const size_t given = yyjson_arr_size(spec->formats);
    if (given > FORMATS_MAX) {
        reader_find(reader, pointer, STR(""), "has more than %d formats", FORMATS_MAX);
        return true;
    }
    Format *formats = arena_alloc_array(reader->arena, given + 1, sizeof(Format), err);
    TRY(formats != NULL);
    plan->formats = formats;
    plan->format_count = given;
    for (size_t i = 0; i < given; i++) {
        Str at = {0};
        TRY(reader_pointer(reader, &at, err, pointer, "formats", i));
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
    reader_find(reader, pointer, STR(""), "%s", err->message);
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
        reader_find(reader, at, STR("remove it"), "unit is for int64, double and decimal");
    if (yyjson_is_str(spec->unit) && str_equal(json_str(spec->unit), STR("ms"))) {
        plan->unit.kind = UNIT_MS;
        return true;
    }
    if (!yyjson_is_obj(spec->unit)) {
        reader_find(reader, at, STR("\"ms\", or {\"ms_if_over\": \"/duration\"}"), "is no unit");
        return true;
    }
    UnitSpec unit = {0};
    TRY(field_read(contract_unit_fields, spec->unit, (FieldPlace){reader->file, at}, reader->arena,
                   &unit, reader->findings, err));
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
        reader_find(reader, pointer, STR(""), "scale %d is more than precision %d", plan->scale,
                    plan->precision);
    if (plan->privacy != PRIVACY_KEEP && plan->type != COLUMN_STRING && plan->type != COLUMN_JSON)
        reader_find(reader, pointer, STR("make it a string, or leave the column out"),
                    "privacy %s gives a text, which a column of type %s cannot hold",
                    contract_privacies[plan->privacy], contract_types[plan->type]);
    if (plan->from_partition.size > 0 && plan->type == COLUMN_JSON)
        reader_find(reader, pointer, STR("string, int64 or date"),
                    "a partition's value cannot be json");
    if (plan->privacy == PRIVACY_DROP)
        reader_find(reader, pointer, STR("name the path under /privacy instead"),
                    "a dropped column would always be null");
    if (spec->phone.size > 0) {
        plan->phone = phone_country(spec->phone);
        if (plan->phone == NULL)
            reader_find(reader, pointer, STR("an ISO 3166 country, as \"US\""),
                        "phone '" STR_FMT "' is no country known here", STR_ARG(spec->phone));
        if (plan->type != COLUMN_STRING)
            reader_find(reader, pointer, STR("make it a string"), "a phone number is a string");
    }
    TRY(read_sources(reader, spec, pointer, plan, err));
    TRY(read_formats(reader, spec, pointer, plan, err));
    return read_unit(reader, spec, pointer, plan, err);
}

static bool read_column(Reader *reader, yyjson_val *object, size_t index, Error *err)
{
    Str pointer = {0};
    TRY(reader_pointer(reader, &pointer, err, STR(""), "columns", index));
    if (!yyjson_is_obj(object)) {
        reader_find(reader, pointer, STR("write {\"name\": ..., \"type\": ...}"),
                    "is not an object");
        return true;
    }
    ColumnSpec *spec = &reader->specs[reader->own_count];
    TRY(field_read(contract_column_fields, object, (FieldPlace){reader->file, pointer},
                   reader->arena, spec, reader->findings, err));
    if (spec->name.size > 0 && !name_is_fine(spec->name))
        reader_find(reader, pointer,
                    STR("lower-case letters, digits and _, a letter first, 63 bytes at most"),
                    "'" STR_FMT "' is no name for a column", STR_ARG(spec->name));
    for (size_t i = 0; i < reader->own_count; i++) {
        if (spec->name.size > 0 && str_equal(reader->own[i].name, spec->name))
            reader_find(reader, pointer, STR("rename one"), "'" STR_FMT "' is there twice",
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

bool column_read_all(Reader *reader, yyjson_val *array, Error *err)
{
    Contract *contract = reader->contract;
    const size_t count = yyjson_arr_size(array);
    if (array != NULL && (!yyjson_is_arr(array) || count == 0))
        reader_find(reader, STR("/columns"), STR("write [{\"name\": ..., \"type\": ...}]"),
                    "is not an array of columns");
    if (count > BATCH_COLUMNS_MAX - SYSTEM_COLUMNS) {
        reader_find(reader, STR("/columns"), STR(""), "has %zu columns, more than %d", count,
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
    memcpy(reader->own + reader->own_count, contract_system_columns,
           SYSTEM_COLUMNS * sizeof(Column));
    contract->columns = reader->own;
    contract->column_count = reader->own_count + SYSTEM_COLUMNS;
    contract->plan_count = reader->own_count;
    return true;
}

bool column_find(Reader *reader, Str pointer, Str name, size_t *ret_index, Error *err)
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
    TRY(reader_suggest(reader, name, names, reader->own_count, &fix, err));
    reader_find(reader, pointer, fix, "'" STR_FMT "' is no column", STR_ARG(name));
    return true;
}
