// Rights: what the role lacks, each with the GRANT that gives it.
#include "warehouse/postgres_state.h"

#include <assert.h>

// One question to the catalog: its rows are (what is lacking, how to give it).
typedef struct Lacking {
    Str place;
    Findings *findings;
} Lacking;

static bool take_lacking(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    Lacking *lacking = visitor;
    findings_add(lacking->findings, lacking->place, pg_get_text(result, row, 0),
                 pg_get_text(result, row, 1));
    return true;
}

// A schema that is there must be open to us, and for new tables too; one that is not must be ours
// to make.
static const char schema_sql[] =
    "SELECT format('role %I lacks %s', current_user, r.lacks),"
    " format('GRANT %s TO %I', r.gives, current_user)"
    " FROM (SELECT $1 AS name, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) AS oid)"
    " AS s, LATERAL (VALUES"
    " (s.oid IS NULL AND NOT has_database_privilege(current_database(), 'CREATE'),"
    " format('CREATE on database %I, and schema %I is not there', current_database(), s.name),"
    " format('CREATE ON DATABASE %I', current_database())),"
    " (s.oid IS NOT NULL AND NOT coalesce(has_schema_privilege(s.oid, 'USAGE'), true),"
    " format('USAGE on schema %I', s.name), format('USAGE ON SCHEMA %I', s.name)),"
    " (s.oid IS NOT NULL AND $2 AND NOT coalesce(has_schema_privilege(s.oid, 'CREATE'), true),"
    " format('CREATE on schema %I', s.name), format('CREATE ON SCHEMA %I', s.name)))"
    " AS r(missing, lacks, gives) WHERE r.missing";

static bool check_schema(PgWarehouse *db, Str schema, bool creates, Lacking *lacking, Error *err)
{
    const PgValue values[] = {pg_value_text(schema), pg_value_bool(creates)};
    return pg_query(&db->pg, &(PgStatement){.sql = schema_sql, .values = values, .value_count = 2},
                    take_lacking, lacking, err);
}

// $3 = the rights, parted by blanks. A table that is not there has none to lack.
static const char table_sql[] =
    "SELECT format('role %I lacks %s on table %I.%I', current_user, r.name, n.nspname, c.relname),"
    " format('GRANT %s ON %I.%I TO %I', r.name, n.nspname, c.relname, current_user)"
    " FROM pg_catalog.pg_class AS c"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace,"
    " regexp_split_to_table($3, ' ') AS r(name)"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')"
    " AND NOT has_table_privilege(c.oid, r.name)";

static bool check_table(PgWarehouse *db, Str schema, Str table, Str rights, Lacking *lacking,
                        Error *err)
{
    const PgValue values[] = {pg_value_text(schema), pg_value_text(table), pg_value_text(rights)};
    return pg_query(&db->pg, &(PgStatement){.sql = table_sql, .values = values, .value_count = 3},
                    take_lacking, lacking, err);
}

static bool take_true(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(bool *)visitor = pg_get_bool(result, row, 0);
    return true;
}

static bool table_stands(PgWarehouse *db, Str schema, Str table, bool *ret_stands, Error *err)
{
    const PgValue values[] = {pg_value_text(schema), pg_value_text(table)};
    const PgStatement query = {
        .sql = "SELECT count(*) > 0 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"
               " ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        .values = values,
        .value_count = 2};
    return pg_query(&db->pg, &query, take_true, ret_stands, err);
}

static bool check_target(PgWarehouse *db, const TableSpec *spec, Lacking *lacking, Error *err)
{
    Str quarantine = {0};
    bool stands = false;
    bool waits = false;
    TRY(arena_printf(db->scratch, &quarantine, err, STR_FMT "__quarantine", STR_ARG(spec->name)) &&
        table_stands(db, spec->schema, spec->name, &stands, err) &&
        table_stands(db, spec->schema, quarantine, &waits, err));
    return check_schema(db, spec->schema, !stands || !waits, lacking, err) &&
           check_table(db, spec->schema, spec->name, STR("SELECT INSERT UPDATE"), lacking, err) &&
           check_table(db, spec->schema, quarantine, STR("INSERT"), lacking, err);
}

static bool check_all(PgWarehouse *db, const TableSpec *tables, size_t count, Findings *findings,
                      Error *err)
{
    static const struct {
        Str table, rights;
    } ledger[] = {
        {{"pawl_load", 9}, {"SELECT INSERT", 13}},
        {{"pawl_slice", 10}, {"SELECT INSERT", 13}},
        {{"pawl_state", 10}, {"SELECT INSERT UPDATE", 20}},
        {{"etl_log", 7}, {"SELECT INSERT", 13}},
    };
    Lacking lacking = {.place = STR("warehouse"), .findings = findings};
    // The staging tables are made in the ledger's schema.
    TRY(check_schema(db, db->schema, true, &lacking, err));
    for (size_t i = 0; i < sizeof(ledger) / sizeof(ledger[0]); i++)
        TRY(check_table(db, db->schema, ledger[i].table, ledger[i].rights, &lacking, err));
    for (size_t i = 0; i < count; i++)
        TRY(check_target(db, &tables[i], &lacking, err));
    return true;
}

bool pg_warehouse_check(void *state, const TableSpec *tables, size_t count, Findings *findings,
                        Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(pg_warehouse_begin(db, err));
    return pg_warehouse_end(db, check_all(db, tables, count, findings, err), err);
}
