// "person" in a contract: which columns and paths tell about whom a record is.
#include "contract/reader.h"

const char *const contract_persons[] = {"none", "phone", "email", "id", NULL}; // by PersonKind

const char *person_kind_name(PersonKind kind)
{
    return contract_persons[kind];
}

// PERSON_NONE when it is no kind.
static PersonKind person_kind_parse(Str name)
{
    for (int i = PERSON_PHONE; contract_persons[i] != NULL; i++) {
        if (str_equal(name, str_from(contract_persons[i])))
            return (PersonKind)i;
    }
    return PERSON_NONE;
}

static bool add_path(Reader *reader, Str pointer, PersonKind kind, const PhoneCountry *phone,
                     Str path, Error *err)
{
    Contract *contract = reader->contract;
    if (contract->person_path_count == PERSON_PATHS_MAX) {
        reader_find(reader, pointer, STR(""), "is one path more than the %d that may name people",
                    PERSON_PATHS_MAX);
        return true;
    }
    Str *steps = arena_alloc_array(reader->arena, PATH_DEPTH_MAX, sizeof(Str), err);
    TRY(steps != NULL);
    PersonPath *made = &contract->person_paths[contract->person_path_count++];
    *made = (PersonPath){.kind = kind, .phone = phone, .steps = steps};
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL && made->step_count < PATH_DEPTH_MAX)
        TRY(path_read_step(reader->arena, str_split_next(&rest, '/'), &steps[made->step_count++],
                           err));
    return true;
}

static bool read_column(Reader *reader, size_t index, Error *err)
{
    const ColumnSpec *spec = &reader->specs[index];
    Contract *contract = reader->contract;
    const ColumnPlan *plan = contract->plans;
    while (plan->index != index)
        plan++;
    Str pointer = {0};
    TRY(reader_pointer(reader, &pointer, err, STR(""), "columns", index));
    const PersonKind kind = (PersonKind)spec->person;
    contract->person_columns[contract->person_column_count++] =
        (PersonColumn){.kind = kind,
                       .index = index,
                       .column = reader->own[index].name,
                       .phone = plan->phone,
                       .hidden = plan->privacy != PRIVACY_KEEP};
    for (size_t i = 0; i < plan->source_count; i++)
        TRY(add_path(reader, pointer, kind, plan->phone, contract->sources[plan->sources[i]].path,
                     err));
    return true;
}

static const PhoneCountry *first_country(const Reader *reader)
{
    for (size_t i = 0; i < reader->own_count; i++) {
        if (reader->contract->plans[i].phone != NULL)
            return reader->contract->plans[i].phone;
    }
    return NULL;
}

static bool read_path(Reader *reader, Str path, yyjson_val *value, Error *err)
{
    Str pointer = {0};
    TRY(arena_printf(reader->arena, &pointer, err, "/person, path " STR_FMT, STR_ARG(path)));
    const PersonKind kind = person_kind_parse(json_str(value));
    if (kind == PERSON_NONE) {
        reader_find(reader, pointer, STR("phone, email or id"), "is no kind of name for a person");
        return true;
    }
    return !path_is_fine(reader, pointer, path, true) ||
           add_path(reader, pointer, kind, first_country(reader), path, err);
}

bool person_read(Reader *reader, yyjson_val *object, Error *err)
{
    Contract *contract = reader->contract;
    contract->person_paths =
        arena_alloc_array(reader->arena, PERSON_PATHS_MAX, sizeof(PersonPath), err);
    contract->person_columns =
        arena_alloc_array(reader->arena, reader->own_count + 1, sizeof(PersonColumn), err);
    TRY(contract->person_paths != NULL && contract->person_columns != NULL);
    for (size_t i = 0; i < reader->own_count; i++) {
        if (reader->specs[i].person != PERSON_NONE)
            TRY(read_column(reader, i, err));
    }
    if (object != NULL && !yyjson_is_obj(object)) {
        reader_find(reader, STR("/person"), STR("write {\"/path\": \"phone\"}"),
                    "is not an object");
        return true;
    }
    contract->has_person_paths = yyjson_obj_size(object) > 0;
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(object, i, count, name, value)
        TRY(read_path(reader, json_str(name), value, err));
    return true;
}

const PersonColumn *contract_person_columns(const Contract *contract, size_t *ret_count)
{
    *ret_count = contract->person_column_count;
    return contract->person_columns;
}

bool contract_knows_persons(const Contract *contract)
{
    return contract->person_path_count > 0;
}

bool contract_erasure_pointers(const Contract *contract, Arena *arena, Str **ret_pointers,
                               size_t *ret_count, Error *err)
{
    const size_t columns = contract->person_column_count;
    Str *pointers = arena_alloc_array(arena, columns + 2, sizeof(Str), err);
    TRY(pointers != NULL);
    for (size_t i = 0; i < columns; i++)
        TRY(arena_printf(arena, &pointers[i], err, "/columns/%zu/person",
                         contract->person_columns[i].index));
    size_t count = columns;
    if (contract->has_person_paths)
        pointers[count++] = STR("/person");
    if (contract->redacted_source != NO_SOURCE)
        pointers[count++] = STR("/redacted");
    *ret_pointers = pointers;
    *ret_count = count;
    return true;
}
