// Words about pawl itself: drivers, stores, schemas. All from the tables that the
// program works by.
#include "cli/cli.h"
#include "cli/text.h"
#include "run/drivers.h"

#include <stdio.h>

enum { NAME_BYTES = 64 };

// An option that is an object is followed by its own members: stage.name, stage.files.
// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static void print_fields(const Field *fields, const char *parent)
{
    for (; fields != NULL && fields->name != NULL; fields++) {
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof(name), "%s%s%s", parent, parent[0] != '\0' ? "." : "",
                       fields->name);
        (void)printf(
            "    %-20s %s%s%s%s%s", name, fields->help, fields->required ? " (required)" : "",
            fields->fallback != NULL ? " (default " : "",
            fields->fallback != NULL ? fields->fallback : "", fields->fallback != NULL ? ")" : "");
        for (size_t i = 0; fields->choices != NULL && fields->choices[i] != NULL; i++)
            (void)printf("%s%s", i == 0 ? "; one of " : ", ", fields->choices[i]);
        (void)printf("\n");
        print_fields(fields->kind == FIELD_KIND_STRUCT ? fields->fields : NULL, name);
    }
}

static bool drivers_json(bool stores, Error *err)
{
    CLEANUP(out_done) JsonOut out = {.err = err};
    CLEANUP(buf_done) Buf schema = {0};
    out_open(&out, NULL, '[');
    for (size_t i = 0; stores ? drivers_stores()[i] != NULL : drivers_warehouses()[i] != NULL;
         i++) {
        const Field *fields =
            stores ? drivers_stores()[i]->fields : drivers_warehouses()[i]->fields;
        out_open(&out, NULL, '{');
        out_str(&out, "name",
                str_from(stores ? drivers_stores()[i]->name : drivers_warehouses()[i]->name));
        out_str(&out, "summary",
                str_from(stores ? drivers_stores()[i]->summary : drivers_warehouses()[i]->summary));
        buf_clear(&schema);
        if (fields != NULL)
            TRY(field_write_schema(fields, &schema, err));
        out_json(&out, "options", buf_str(&schema));
        out_close(&out, '}');
    }
    out_close(&out, ']');
    return out_print(&out);
}

bool cli_help_drivers(Cli *cli, Error *err)
{
    if (cli->json)
        return drivers_json(false, err);
    (void)printf("\"warehouse\": {\"driver\": NAME, ...} in a job\n\n");
    for (const WarehouseDriver *const *driver = drivers_warehouses(); *driver != NULL; driver++) {
        (void)printf("  %-12s %s\n", (*driver)->name, (*driver)->summary);
        print_fields((*driver)->fields, "");
    }
    (void)printf("\nnext: pawl help stores\n");
    return true;
}

bool cli_help_stores(Cli *cli, Error *err)
{
    if (cli->json)
        return drivers_json(true, err);
    (void)printf("\"landing\": {\"store\": NAME, ...} in a job\n\n");
    for (const StoreDriver *const *driver = drivers_stores(); *driver != NULL; driver++) {
        (void)printf("  %-12s %s\n", (*driver)->name, (*driver)->summary);
        print_fields((*driver)->fields, "");
    }
    (void)printf("\nnext: pawl help drivers\n");
    return true;
}

bool cli_schema(Cli *cli, Error *err)
{
    const Str which = cli->args.positional[0];
    CLEANUP(buf_done) Buf text = {0};
    if (str_equal(which, STR("job")))
        TRY(job_write_schema(&text, err));
    else if (str_equal(which, STR("contract")))
        TRY(job_write_contract_schema(&text, err));
    else
        return error_set(err, ERROR_JOB, "schema: '" STR_FMT "' is neither job nor contract",
                         STR_ARG(which));
    (void)fwrite(text.data, 1, text.size, stdout);
    return true;
}
