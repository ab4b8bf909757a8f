#include "contract/reader.h"

#include <stdarg.h>
#include <stdio.h>

void reader_find(Reader *reader, Str pointer, Str fix, const char *format, ...)
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

bool reader_suggest(Reader *reader, Str name, const Str *names, size_t count, Str *ret_fix,
                    Error *err)
{
    const Str near = findings_nearest(name, names, count);
    *ret_fix = (Str){0};
    if (near.data == NULL)
        return true;
    return arena_printf(reader->arena, ret_fix, err, "did you mean '" STR_FMT "'", STR_ARG(near));
}

bool reader_pointer(Reader *reader, Str *ret_pointer, Error *err, Str parent, const char *member,
                    size_t index)
{
    return arena_printf(reader->arena, ret_pointer, err, STR_FMT "/%s/%zu", STR_ARG(parent), member,
                        index);
}
