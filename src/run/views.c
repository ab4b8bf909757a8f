#include "run/views.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const Str *)a, *(const Str *)b);
}

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        (void)closedir(*folder);
}

// Names of the .sql files of `path`, without their ending, sorted.
static bool list_names(const char *path, Arena *arena, Str *names, size_t *ret_count, Error *err)
{
    *ret_count = 0;
    CLEANUP(close_folder) DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT || file_error(err, "open", path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const Str name = str_from(entry->d_name);
        if (!str_ends_with(name, STR(".sql")) || name.data[0] == '.')
            continue;
        if (*ret_count == VIEWS_MAX)
            return error_set(err, ERROR_LIMIT, "'%s': more than %d views", path, VIEWS_MAX);
        TRY(arena_copy_str(arena, str_slice(name, 0, name.size - 4), &names[*ret_count], err));
        ++*ret_count;
    }
    qsort(names, *ret_count, sizeof(*names), compare_names);
    return true;
}

static bool has_table(const JobParts *parts, Str name, Str *ret_schema)
{
    for (size_t i = 0; i < parts->stream_count; i++) {
        if (!str_equal(parts->streams[i].table.name, name))
            continue;
        *ret_schema = parts->streams[i].table.schema;
        return true;
    }
    return false;
}

// Whether the tables that the text's first lines name are all there; the schema is the last one's.
static bool has_what_it_needs(const JobParts *parts, Str text, Str *ret_schema)
{
    static const char mark[] = "-- needs:";
    while (str_starts_with(text, STR("--"))) {
        Str line = str_split_next(&text, '\n');
        if (!str_starts_with(line, str_from(mark)))
            continue;
        Str names = str_slice(line, sizeof(mark) - 1, line.size);
        while (names.data != NULL) {
            if (!has_table(parts, str_trim(str_split_next(&names, ',')), ret_schema))
                return false;
        }
    }
    return ret_schema->size > 0;
}

// The SELECT alone, with the zone put in.
static bool make_select(const JobParts *parts, Str text, Str *ret_select, Error *err)
{
    const Str mark = STR("${timezone}");
    CLEANUP(buf_done) Buf out = {0};
    while (text.size > 0) {
        const size_t at = str_find(text, mark);
        TRY(buf_append(&out, str_slice(text, 0, at), err));
        if (at < text.size)
            TRY(buf_append(&out, parts->job->timezone_name, err));
        text = str_slice(text, at + mark.size, text.size);
    }
    return arena_copy_str(parts->arena, str_trim(buf_str(&out)), ret_select, err);
}

// A folder that is not there has none.
static bool read_views(const JobParts *parts, ViewSpec **ret_views, size_t *ret_count, Error *err)
{
    Str folder = {0};
    TRY(arena_printf(parts->arena, &folder, err, STR_FMT "/views/%s",
                     STR_ARG(file_folder(parts->job->connector_path)),
                     parts->warehouse.driver->name));
    Str *names = arena_alloc_array(parts->arena, VIEWS_MAX, sizeof(*names), err);
    ViewSpec *views = arena_alloc_array(parts->arena, VIEWS_MAX, sizeof(*views), err);
    TRY(names != NULL && views != NULL);
    size_t found = 0;
    TRY(list_names(folder.data, parts->arena, names, &found, err));
    size_t count = 0;
    for (size_t i = 0; i < found; i++) {
        Str path = {0};
        Str text = {0};
        TRY(arena_printf(parts->arena, &path, err, STR_FMT "/" STR_FMT ".sql", STR_ARG(folder),
                         STR_ARG(names[i])));
        TRY(file_read(path.data, VIEW_BYTES_MAX, parts->arena, &text, err));
        ViewSpec view = {.name = names[i]};
        if (!has_what_it_needs(parts, text, &view.schema))
            continue;
        TRY(make_select(parts, text, &view.select, err));
        views[count++] = view;
    }
    *ret_views = views;
    *ret_count = count;
    return true;
}

bool views_create(JobParts *parts, Error *err)
{
    ViewSpec *views = NULL;
    size_t count = 0;
    TRY(read_views(parts, &views, &count, err));
    return count == 0 ||
           parts->warehouse.driver->create_views(parts->warehouse.state, views, count, err);
}
