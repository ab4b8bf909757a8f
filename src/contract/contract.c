#include "contract/reader.h"

#include "base/file.h"

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
    yyjson_val *person;
    Str redacted;
    yyjson_val *columns;
} ContractSpec;

static const char *const evolutions[] = {"overflow", "evolve", "freeze", NULL};

// clang-format off
const Field contract_fields[] = {
    {"$schema",        FIELD_STR(ContractSpec, schema), .help = "where editors find schemas/contract.schema.json"},
    {"stream",         FIELD_STR(ContractSpec, stream), .required = true, .help = "name of the stream in the connector"},
    {"comment",        FIELD_STR(ContractSpec, comment), .help = "what a row of the table is"},
    {"evolution",      FIELD_CHOICE(ContractSpec, evolution, evolutions), .fallback = "overflow", .help = "what happens to members that no column names: kept in _overflow, the same while the table follows the contract's columns, or refused"},
    {"total_pointer",  FIELD_STR(ContractSpec, total_pointer), .help = "JSON pointer into a page: how many records its slice has"},
    {"window_column",  FIELD_STR(ContractSpec, window_column), .help = "timestamp or date column that decides in which window a row lies"},
    {"key",            FIELD_JSON(ContractSpec, key), .required = true, .help = "columns that name a row: an array of names; string, int64 or date"},
    {"volatile",       FIELD_JSON(ContractSpec, volatile_paths), .help = "paths that _row_hash does not look at: an array; * stands for any member or element"},
    {"known",          FIELD_JSON(ContractSpec, known), .help = "paths that stay in _overflow on purpose: an array; never reported as drift"},
    {"privacy",        FIELD_JSON(ContractSpec, privacy), .help = "path -> keep, mask, hash or drop"},
    {"person",         FIELD_JSON(ContractSpec, person), .help = "path -> phone, email or id: paths without a column that tell about whom a record is; * stands for any member or element"},
    {"redacted",       FIELD_STR(ContractSpec, redacted), .help = "path that is true once the source took a record's content away: older copies go then"},
    {"columns",        FIELD_JSON(ContractSpec, columns), .required = true, .help = "the columns of the table, in order"},
    {0},
};
// clang-format on

// A Str in a constant table: STR() is no constant expression.
#define LITERAL(text)            \
    {                            \
        (text), sizeof(text) - 1 \
    }

// clang-format off
const Column contract_system_columns[SYSTEM_COLUMNS] = {
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

// --- what refers to columns

static bool read_key_column(Reader *reader, Str pointer, Str name, size_t order, Error *err)
{
    size_t index = 0;
    TRY(column_find(reader, pointer, name, &index, err));
    if (index == reader->own_count)
        return true;
    const ColumnSpec *spec = &reader->specs[index];
    if (spec->type != COLUMN_STRING && spec->type != COLUMN_INT64 && spec->type != COLUMN_DATE)
        reader_find(reader, pointer, STR("string, int64 or date"), "a key column cannot be %s",
                    contract_types[spec->type]);
    if (spec->privacy != PRIVACY_KEEP)
        reader_find(reader, pointer, STR(""), "a key column cannot be hidden");
    // Key columns first, in the key's order: shape then knows at once whether a row has a key.
    ColumnPlan *plans = reader->contract->plans;
    size_t at = order;
    while (at < reader->own_count && plans[at].index != index)
        at++;
    if (at == reader->own_count) {
        reader_find(reader, pointer, STR("remove one"), "is named twice");
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
        reader_find(reader, STR("/key"), STR("write [\"account_id\", \"id\"]"),
                    "is not an array of 1 to %d columns", KEY_COLUMNS_MAX);
        return true;
    }
    Contract *contract = reader->contract;
    Str *names = arena_alloc_array(reader->arena, count + 1, sizeof(Str), err);
    TRY(names != NULL);
    for (size_t i = 0; i < count; i++) {
        Str pointer = {0};
        TRY(reader_pointer(reader, &pointer, err, STR(""), "key", i));
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

static bool read_redacted(Reader *reader, Str path, Error *err)
{
    reader->contract->redacted_source = NO_SOURCE;
    if (path.size == 0 || !path_is_fine(reader, STR("/redacted"), path, false))
        return true;
    return path_source(reader, path, &reader->contract->redacted_source, err);
}

bool contract_window_is_date(const Contract *contract)
{
    for (size_t i = 0; i < contract->column_count; i++) {
        if (contract->info.window_column.size > 0 &&
            str_equal(contract->columns[i].name, contract->info.window_column))
            return contract->columns[i].type == COLUMN_DATE;
    }
    return false;
}

// A row that moves to another window must have another hash, or it would stay in the old one.
static bool check_window_sources(Reader *reader, size_t index, Str name, Error *err)
{
    const Contract *contract = reader->contract;
    for (size_t i = 0; i < contract->plan_count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        for (size_t k = 0; plan->index == index && k < plan->source_count; k++) {
            bool is_volatile = false;
            const Str path = contract->sources[plan->sources[k]].path;
            TRY(path_is_volatile(reader, path, &is_volatile, err));
            if (is_volatile)
                reader_find(reader, STR("/window_column"), STR("take it out of \"volatile\""),
                            "'" STR_FMT "' comes from " STR_FMT ", which _row_hash does not see",
                            STR_ARG(name), STR_ARG(path));
        }
    }
    return true;
}

static bool read_window(Reader *reader, Str name, Error *err)
{
    if (name.size == 0)
        return true;
    size_t index = 0;
    TRY(column_find(reader, STR("/window_column"), name, &index, err));
    if (index < reader->own_count && reader->own[index].type != COLUMN_TIMESTAMP &&
        reader->own[index].type != COLUMN_DATE)
        reader_find(reader, STR("/window_column"), STR("a timestamp or a date"),
                    "'" STR_FMT "' is %s", STR_ARG(name), contract_types[reader->own[index].type]);
    reader->contract->info.window_column = name;
    return index >= reader->own_count || check_window_sources(reader, index, name, err);
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
    TRY(field_read(contract_fields, root, (FieldPlace){reader->file, STR("")}, reader->arena, &spec,
                   reader->findings, err));
    Contract *contract = reader->contract;
    contract->info.stream = spec.stream;
    contract->info.evolution = (Evolution)spec.evolution;
    contract->info.total_pointer = spec.total_pointer;
    if (spec.total_pointer.size > 0 && spec.total_pointer.data[0] != '/')
        reader_find(reader, STR("/total_pointer"), STR("write it as /total_entries"),
                    "is not a path");
    TRY(path_read_privacy(reader, spec.privacy, err));
    TRY(column_read_all(reader, spec.columns, err));
    TRY(path_read_volatile(reader, spec.volatile_paths, err));
    TRY(path_read_known(reader, spec.known, err));
    TRY(person_read(reader, spec.person, err));
    TRY(read_redacted(reader, spec.redacted, err));
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
    TRY(path_root(arena, &contract->root, err));
    Reader reader = {
        .contract = contract, .arena = arena, .findings = findings, .file = str_from(name)};
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
        return error_set(err, ERROR_JOB, "%s: is not a JSON object", name);
    TRY(read_all(&reader, yyjson_doc_get_root(doc), err));
    contract->info.digest = content_hash(bytes);
    *ret_contract = contract;
    return true;
}

void contract_set_privacy_key(Contract *contract, Str key)
{
    contract->privacy_key = key;
    if (key.size == 0)
        return;
    // A few bits of it, for the digest is written down.
    const Sha256 hash = sha256(key);
    for (size_t i = 0; i < sizeof(uint32_t); i++)
        contract->info.digest.bytes[i] ^= hash.bytes[i];
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

bool contract_column_path(const Contract *contract, size_t column, size_t index, Str *ret_path)
{
    for (size_t i = 0; i < contract->plan_count; i++) {
        const ColumnPlan *plan = &contract->plans[i];
        if (plan->index != column || index >= plan->source_count)
            continue;
        *ret_path = contract->sources[plan->sources[index]].path;
        return true;
    }
    return false;
}

const ContractInfo *contract_info(const Contract *contract)
{
    return &contract->info;
}
