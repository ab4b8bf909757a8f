// List: items of one size that are read row by row into the caller's arena; the room doubles.
#pragma once

#include "base/arena.h"

// Starts with its arena only.
typedef struct List {
    Arena *arena;
    void *items;
    size_t count, room;
} List;

// The next item, to be filled; NULL with an error.
static inline void *list_add(List *list, size_t item_size, Error *err)
{
    enum { FIRST = 64 };
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? FIRST : 2 * list->room;
        void *items = arena_alloc_array(list->arena, room, item_size, err);
        if (items == NULL)
            return NULL;
        if (list->count > 0)
            memcpy(items, list->items, list->count * item_size);
        list->items = items;
        list->room = room;
    }
    return (char *)list->items + item_size * list->count++;
}
