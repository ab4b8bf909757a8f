// What the role may not do of all that a run would: docs/snowflake.md lists each statement and the
// right that it needs. SHOW GRANTS wakes no warehouse.
#include "warehouse/snowflake_state.h"

#include <stdio.h>

enum { GRANTS_MAX = 4096, ROLES_MAX = 32, SCHEMAS_MAX = 64 };

typedef struct Grant {
    Str privilege, kind, name;
} Grant;

typedef struct Grants {
    const SnowflakeResult *result;
    Arena *arena;
    Grant *items;
    size_t count;
    Str roles[ROLES_MAX]; // the role and those that it was granted
    size_t role_count;
} Grants;

static bool add_role(Grants *grants, Str role, Error *err)
{
    for (size_t i = 0; i < grants->role_count; i++) {
        if (str_equal(grants->roles[i], role))
            return true;
    }
    if (grants->role_count == ROLES_MAX)
        return true; // what these grant is asked for at most
    return arena_copy_str(grants->arena, role, &grants->roles[grants->role_count++], err);
}

static bool take_grant(void *visitor, const Str *cells, size_t count, Error *err)
{
    Grants *grants = visitor;
    Grant grant = {0};
    for (size_t i = 0; i < count; i++) {
        const Str name = grants->result->columns[i].name;
        Str *place = str_equal(name, STR("privilege"))    ? &grant.privilege
                     : str_equal(name, STR("granted_on")) ? &grant.kind
                     : str_equal(name, STR("name"))       ? &grant.name
                                                          : NULL;
        if (place != NULL)
            TRY(arena_copy_str(grants->arena, cells[i], place, err));
    }
    if (str_equal(grant.kind, STR("ROLE")) && str_equal(grant.privilege, STR("USAGE")))
        return add_role(grants, grant.name, err);
    if (grants->count < GRANTS_MAX)
        grants->items[grants->count++] = grant;
    return true;
}

static bool read_grants(SnowflakeWarehouse *db, Grants *grants, Error *err)
{
    for (size_t i = 0; i < grants->role_count; i++) {
        CLEANUP(buf_done) Buf sql = {0};
        SnowflakeResult result = {0};
        TRY(buf_append(&sql, STR("SHOW GRANTS TO ROLE "), err) &&
            snowflake_name(&sql, grants->roles[i], err));
        const SnowflakeStatement statement = {
            .sql = buf_str(&sql), .count = 1, .light = true, .tag = db->tag};
        TRY(snowflake_run(db->api, &statement, db->scratch, &result, err));
        grants->result = &result;
        TRY(snowflake_rows(db->api, &result, take_grant, grants, err));
    }
    return true;
}

static bool is_held(const Grants *grants, const char *privilege, const char *kind, Str name)
{
    for (size_t i = 0; i < grants->count; i++) {
        const Grant *grant = &grants->items[i];
        if (str_equal_ignoring_case(grant->kind, str_from(kind)) &&
            str_equal_ignoring_case(grant->name, name) &&
            (str_equal_ignoring_case(grant->privilege, str_from(privilege)) ||
             str_equal(grant->privilege, STR("OWNERSHIP"))))
            return true;
    }
    return false;
}

static bool need(const SnowflakeWarehouse *db, const Grants *grants, const char *privilege,
                 const char *kind, Str name, Findings *findings, Error *err)
{
    if (is_held(grants, privilege, kind, name))
        return true;
    const Str role = db->options.role;
    Str what = {0};
    Str fix = {0};
    TRY(arena_printf(findings->arena, &what, err, "role " STR_FMT " lacks %s on %s " STR_FMT,
                     STR_ARG(role), privilege, kind, STR_ARG(name)) &&
        arena_printf(findings->arena, &fix, err, "GRANT %s ON %s " STR_FMT " TO ROLE " STR_FMT,
                     privilege, kind, STR_ARG(name), STR_ARG(role)));
    findings_add(findings, STR("warehouse"), what, fix);
    return true;
}

// DATABASE.SCHEMA, as SHOW GRANTS has it.
static bool full_name(SnowflakeWarehouse *db, Str name, Str *ret_name, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, STR_FMT "." STR_FMT, STR_ARG(db->options.database), STR_ARG(name)));
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= 'a' && text.data[i] <= 'z')
            text.data[i] = (char)(text.data[i] - 'a' + 'A');
    }
    return arena_copy_str(db->scratch, buf_str(&text), ret_name, err);
}

static bool check_schemas(SnowflakeWarehouse *db, const Grants *grants, const TableSpec *tables,
                          size_t count, Findings *findings, Error *err)
{
    static const char *const rights[] = {"USAGE", "CREATE TABLE", "CREATE VIEW"};
    Str schemas[SCHEMAS_MAX];
    size_t schema_count = 0;
    schemas[schema_count++] = db->options.schema;
    for (size_t i = 0; i < count && schema_count < SCHEMAS_MAX; i++) {
        bool known = false;
        for (size_t k = 0; k < schema_count; k++)
            known = known || str_equal_ignoring_case(schemas[k], tables[i].schema);
        if (!known)
            schemas[schema_count++] = tables[i].schema;
    }
    for (size_t i = 0; i < schema_count; i++) {
        Str name = {0};
        TRY(full_name(db, schemas[i], &name, err));
        for (size_t k = 0; k < sizeof(rights) / sizeof(rights[0]); k++)
            TRY(need(db, grants, rights[k], "SCHEMA", name, findings, err));
    }
    return true;
}

bool snowflake_check(void *state, const TableSpec *tables, size_t count, Findings *findings,
                     Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    Grants grants = {.arena = db->scratch,
                     .items = arena_alloc_array(db->scratch, GRANTS_MAX, sizeof(Grant), err)};
    TRY(grants.items != NULL && add_role(&grants, db->options.role, err) &&
        read_grants(db, &grants, err));
    TRY(need(db, &grants, "USAGE", "WAREHOUSE", db->options.warehouse, findings, err) &&
        need(db, &grants, "USAGE", "DATABASE", db->options.database, findings, err) &&
        check_schemas(db, &grants, tables, count, findings, err));
    if (db->stage.name.size == 0) {
        findings_add(findings, STR("warehouse"), STR("it has no \"stage\", which loads come from"),
                     STR("see docs/snowflake.md"));
        return true;
    }
    Str stage = {0};
    const bool qualified = str_find_char(db->stage.name, '.') < db->stage.name.size;
    CLEANUP(buf_done) Buf name = {0};
    TRY((qualified || buf_printf(&name, err, STR_FMT ".", STR_ARG(db->options.schema))) &&
        buf_append(&name, db->stage.name, err) && full_name(db, buf_str(&name), &stage, err));
    return need(db, &grants, "USAGE", "STAGE", stage, findings, err);
}
