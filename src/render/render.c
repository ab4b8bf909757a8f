#include "render/render.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

bool rendered_add(Rendered *rendered, const char *path, const Buf *text, Arena *arena, Error *err)
{
    assert(rendered->count < RENDER_FILES_MAX);
    RenderFile *file = &rendered->files[rendered->count];
    Str name = {0};
    TRY(arena_copy_str(arena, str_from(path), &name, err) &&
        arena_copy_str(arena, buf_str(text), &file->text, err));
    file->path = name.data;
    rendered->count++;
    return true;
}

bool rendered_note(Rendered *rendered, Arena *arena, Error *err, const char *format, ...)
{
    if (rendered->note_count == RENDER_NOTES_MAX)
        return true; // one note more would help nobody
    char text[500];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    return arena_copy_str(arena, str_from(text), &rendered->notes[rendered->note_count++], err);
}
