// The JSON Schema of a job file, made from the same tables that read it, so that editors complete
// what pawl understands.
#include "contract/contract.h"
#include "run/drivers.h"

#include <stdlib.h>

enum { SCHEMA_ARENA_BYTES = 16 * 1024 * 1024 };

typedef struct Maker {
    yyjson_mut_doc *doc;
    Error *err;
    bool failed;
} Maker;

// yyjson takes names as they are, so these live as long as the document: all are literals or table
// rows.
static yyjson_mut_val *schema_of(Maker *maker, const Field *fields)
{
    static const Field none[] = {{0}};
    CLEANUP(buf_done) Buf text = {0};
    yyjson_mut_val *value = NULL;
    if (field_write_schema(fields == NULL ? none : fields, &text, maker->err)) {
        yyjson_doc *doc = yyjson_read(text.data, text.size, 0);
        value = yyjson_val_mut_copy(maker->doc, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
    maker->failed = maker->failed || value == NULL;
    return value;
}

static yyjson_mut_val *object(Maker *maker)
{
    yyjson_mut_val *value = yyjson_mut_obj(maker->doc);
    maker->failed = maker->failed || value == NULL;
    return value;
}

static void put(Maker *maker, yyjson_mut_val *into, const char *name, yyjson_mut_val *value)
{
    maker->failed =
        maker->failed || !yyjson_mut_obj_put(into, yyjson_mut_strcpy(maker->doc, name), value);
}

static yyjson_mut_val *text_of(Maker *maker, const char *text)
{
    return yyjson_mut_strcpy(maker->doc, text);
}

// Any name -> an object of these fields.
static yyjson_mut_val *map_of(Maker *maker, const Field *fields)
{
    yyjson_mut_val *map = object(maker);
    put(maker, map, "type", text_of(maker, "object"));
    put(maker, map, "additionalProperties", schema_of(maker, fields));
    return map;
}

static yyjson_mut_val *properties_of(yyjson_mut_val *schema)
{
    return yyjson_mut_obj_get(schema, "properties");
}

// The members of `fields` go among those of `schema`: which driver's they are, pawl check knows.
// Of one that several drivers have the first one's words count, and a default only where all agree.
static void add_fields(Maker *maker, yyjson_mut_val *schema, const Field *fields)
{
    if (fields == NULL)
        return;
    yyjson_mut_val *more = properties_of(schema_of(maker, fields));
    for (const Field *field = fields; field->name != NULL && !maker->failed; field++) {
        yyjson_mut_val *member = yyjson_mut_obj_get(more, field->name);
        yyjson_mut_val *known = yyjson_mut_obj_get(properties_of(schema), field->name);
        if (known == NULL)
            put(maker, properties_of(schema), field->name,
                yyjson_mut_val_mut_copy(maker->doc, member));
        else if (!yyjson_mut_equals(yyjson_mut_obj_get(known, "default"),
                                    yyjson_mut_obj_get(member, "default")))
            (void)yyjson_mut_obj_remove_key(known, "default");
    }
}

static yyjson_mut_val *modes_schema(Maker *maker, const JobTables *tables)
{
    yyjson_mut_val *modes = object(maker);
    yyjson_mut_val *members = object(maker);
    put(maker, modes, "type", text_of(maker, "object"));
    put(maker, modes, "properties", members);
    put(maker, modes, "additionalProperties", yyjson_mut_bool(maker->doc, false));
    for (int mode = 0; mode < MODE_COUNT && !maker->failed; mode++)
        put(maker, members, run_mode_name((RunMode)mode), schema_of(maker, tables->modes[mode]));
    yyjson_mut_val *windows = yyjson_mut_obj_get(
        properties_of(yyjson_mut_obj_get(members, run_mode_name(MODE_REHYDRATION))), "windows");
    put(maker, windows, "type", text_of(maker, "array"));
    put(maker, windows, "items", schema_of(maker, tables->rule));
    return modes;
}

// The core's own members of "landing" or "lake", and those of every store.
static yyjson_mut_val *store_schema(Maker *maker, const Field *fields)
{
    yyjson_mut_val *store = schema_of(maker, fields);
    yyjson_mut_val *names = yyjson_mut_arr(maker->doc);
    for (const StoreDriver *const *driver = drivers_stores(); *driver != NULL; driver++) {
        (void)yyjson_mut_arr_append(names, text_of(maker, (*driver)->name));
        add_fields(maker, store, (*driver)->fields);
    }
    put(maker, yyjson_mut_obj_get(properties_of(store), "store"), "enum", names);
    return store;
}

static yyjson_mut_val *warehouse_schema(Maker *maker)
{
    yyjson_mut_val *warehouse = schema_of(maker, NULL);
    yyjson_mut_val *driver_member = object(maker);
    yyjson_mut_val *names = yyjson_mut_arr(maker->doc);
    yyjson_mut_val *required = yyjson_mut_arr(maker->doc);
    for (const WarehouseDriver *const *driver = drivers_warehouses(); *driver != NULL; driver++) {
        (void)yyjson_mut_arr_append(names, text_of(maker, (*driver)->name));
        add_fields(maker, warehouse, (*driver)->fields);
    }
    put(maker, driver_member, "enum", names);
    put(maker, driver_member, "description", text_of(maker, "which warehouse"));
    put(maker, properties_of(warehouse), "driver", driver_member);
    (void)yyjson_mut_arr_append(required, text_of(maker, "driver"));
    put(maker, warehouse, "required", required);
    return warehouse;
}

// Keeps what the table's row says of the member.
static void replace(Maker *maker, yyjson_mut_val *root, const char *name, yyjson_mut_val *schema)
{
    yyjson_mut_val *help =
        yyjson_mut_obj_get(yyjson_mut_obj_get(properties_of(root), name), "description");
    if (help != NULL)
        put(maker, schema, "description", yyjson_mut_val_mut_copy(maker->doc, help));
    put(maker, properties_of(root), name, schema);
}

static yyjson_mut_val *make(Maker *maker)
{
    const JobTables *tables = job_tables();
    yyjson_mut_val *root = object(maker);
    put(maker, root, "$schema", text_of(maker, "https://json-schema.org/draft/2020-12/schema"));
    put(maker, root, "title", text_of(maker, "pawl job"));
    yyjson_mut_val *job = schema_of(maker, tables->job);
    yyjson_mut_val *config = object(maker);
    put(maker, config, "type", text_of(maker, "object"));
    replace(maker, job, "config", config);
    replace(maker, job, "partitions", map_of(maker, tables->partition));
    replace(maker, job, "streams", map_of(maker, tables->stream));
    replace(maker, job, "modes", modes_schema(maker, tables));
    replace(maker, job, "landing", store_schema(maker, tables->landing));
    replace(maker, job, "lake", store_schema(maker, tables->lake));
    replace(maker, job, "warehouse", warehouse_schema(maker));
    static const char *const members[] = {"type", "properties", "required", "additionalProperties"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        put(maker, root, members[i],
            yyjson_mut_val_mut_copy(maker->doc, yyjson_mut_obj_get(job, members[i])));
    return root;
}

bool job_write_schema(Buf *out, Error *err)
{
    Maker maker = {.doc = yyjson_mut_doc_new(NULL), .err = err};
    char *text = NULL;
    size_t size = 0;
    if (maker.doc != NULL) {
        yyjson_mut_doc_set_root(maker.doc, make(&maker));
        if (!maker.failed)
            text = yyjson_mut_write(maker.doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &size);
    }
    yyjson_mut_doc_free(maker.doc);
    const bool ok = text != NULL ? buf_append(out, (Str){text, size}, err)
                                 : error_set(err, ERROR_LIMIT, "schema: out of memory");
    free(text); // yyjson's own, from its default allocator
    return ok && buf_append_char(out, '\n', err);
}

bool job_write_contract_schema(Buf *out, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(SCHEMA_ARENA_BYTES, err);
    CLEANUP(buf_done) Buf compact = {0};
    yyjson_doc *doc = NULL;
    TRY(arena != NULL && contract_write_schema(&compact, err) &&
        json_parse(buf_str(&compact), "schema", arena, &doc, err));
    size_t size = 0;
    char *text =
        yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, &size);
    const bool ok = text != NULL ? buf_append(out, (Str){text, size}, err)
                                 : error_set(err, ERROR_LIMIT, "schema: out of memory");
    free(text); // yyjson's own, from its default allocator
    return ok;
}
