#include "api/handle.h"

#include <errno.h>

// What a stream holds; in the table's arena.
typedef struct Exported {
    Table table;
    Error err; // the first failure, which stays
} Exported;

static int fail(const Exported *exported)
{
    switch (exported->err.code) {
    case ERROR_STOPPED:
        return ECANCELED;
    case ERROR_LIMIT:
        return ENOMEM;
    case ERROR_JOB:
    case ERROR_DATA:
        return EINVAL;
    case ERROR_NONE:
    case ERROR_ACCESS:
    case ERROR_NOT_FOUND:
    case ERROR_CONFLICT:
    case ERROR_BUSY:
    case ERROR_IO:
        break;
    }
    return EIO;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *ret_schema)
{
    Exported *exported = stream->private_data;
    const Table *table = &exported->table;
    Error err = {0};
    if (batch_schema(table->columns, table->column_count, ret_schema, &err))
        return 0;
    exported->err = err;
    return fail(exported);
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *ret_array)
{
    Exported *exported = stream->private_data;
    const Table *table = &exported->table;
    *ret_array = (struct ArrowArray){0};
    if (exported->err.code == ERROR_NONE) {
        Error err = {0};
        if (table->next(table->state, ret_array, &err))
            return 0;
        exported->err = err;
    }
    return fail(exported);
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    const Exported *exported = stream->private_data;
    return exported->err.code == ERROR_NONE ? NULL : exported->err.message;
}

static void done(Table *table)
{
    if (table->close != NULL)
        table->close(table->state);
    PawlJob *job = table->job;
    arena_wipe(table->arena); // what reads has had the job's credentials
    handle_drop(job);
}

static void release(struct ArrowArrayStream *stream)
{
    Exported *exported = stream->private_data;
    stream->release = NULL;
    Table table = exported->table;
    done(&table);
}

bool table_export(const Table *table, struct ArrowArrayStream *ret_stream, Error *err)
{
    Table own = *table;
    Exported *exported = arena_alloc(own.arena, sizeof(*exported), err);
    if (own.job != NULL)
        handle_keep(own.job);
    if (exported == NULL) {
        done(&own);
        return false;
    }
    exported->table = own;
    *ret_stream = (struct ArrowArrayStream){.get_schema = get_schema,
                                            .get_next = get_next,
                                            .get_last_error = get_last_error,
                                            .release = release,
                                            .private_data = exported};
    return true;
}
