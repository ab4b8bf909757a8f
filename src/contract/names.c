#include "contract/names.h"

#include <assert.h>
#include <stdlib.h>

// Learned names live in NAMES_BYTES_MAX; a table twice as large as the names keeps its chains
// short.
_Static_assert(sizeof(Name) == 64, "a name is one cache line");
_Static_assert((int)NAMES_MAX <= UINT16_MAX && (int)SOURCES_MAX <= INT16_MAX, "see Name");

enum { NAMES_BYTES_MAX = 64 * 1024 * 1024, TABLE_SIZE = 2 * NAMES_MAX };

static bool names_start(Names *names, Error *err)
{
    names->count = 0;
    names->changed = false;
    names->first = (Name){0};
    names->sorted = arena_alloc_raw(names->arena, NAMES_MAX * sizeof(Name *), err);
    TRY(names->sorted != NULL);
    names->pool = arena_alloc_raw(names->arena, NAMES_MAX * sizeof(Name), err);
    TRY(names->pool != NULL);
    names->table = arena_alloc_array(names->arena, TABLE_SIZE, sizeof(Name *), err);
    return names->table != NULL;
}

bool names_init(Names *names, const Node *root, Error *err)
{
    *names = (Names){.root = root};
    names->arena = arena_new(NAMES_BYTES_MAX, err);
    TRY(names->arena != NULL);
    return names_start(names, err);
}

void names_done(Names *names)
{
    arena_free(names->arena);
    names->arena = NULL;
}

void names_turn_page(Names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        Name *name = &names->pool[i];
        name->seen = NULL;
        if (name->drift_path > 0) {
            name->drift = true;
            name->special = true;
        }
    }
}

bool names_make_room(Names *names, size_t members, Error *err)
{
    assert(members <= RECORD_MEMBERS_MAX);

    if (names->count + members <= NAMES_MAX && arena_used_bytes(names->arena) < NAMES_BYTES_MAX / 2)
        return true;
    arena_reset(names->arena);
    return names_start(names, err);
}

// FNV-1a.
static uint32_t hash_of(Str text)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619U;
    return hash;
}

static bool is_reserved(Str text)
{
    return str_equal(text, STR("$bytes")) || str_equal(text, STR("$others"));
}

static bool asks_for_more(const Name *name)
{
    const Node *node = name->node;
    return name->reserved ||
           (node != NULL && (node->privacy != PRIVACY_KEEP || node->is_volatile ||
                             node->sources_below || node->privacy_below || node->volatile_below));
}

// Fills in the texts.
static bool keep_texts(Names *names, Name *name, Str text, Error *err)
{
    CLEANUP(buf_done) Buf quoted = {0};
    Str kept = {0};
    TRY(arena_copy_str(names->arena, text, &kept, err));
    TRY(text_write_name(text, &quoted, err));
    const size_t pieces = (quoted.size + NAME_PIECE - 1) / NAME_PIECE;
    char *padded = arena_alloc(names->arena, pieces * NAME_PIECE, err);
    TRY(padded != NULL);
    memcpy(padded, quoted.data, quoted.size);
    name->text = kept.data;
    name->size = (uint16_t)kept.size;
    name->head = bytes_load(kept.data, kept.size);
    name->quoted = padded;
    name->quoted_size = (uint16_t)quoted.size;
    return true;
}

static Name *learn(Names *names, Str text, uint32_t hash, Error *err)
{
    Name *name = &names->pool[names->count];
    *name = (Name){.hash = hash, .source = NO_SOURCE};
    if (!keep_texts(names, name, text, err))
        return NULL;
    name->node = node_member(names->root, text);
    if (name->node != NULL)
        name->source = (int16_t)name->node->source;
    name->reserved = is_reserved(text);
    name->drift = name->node == NULL;
    name->special = name->drift || asks_for_more(name);
    return name;
}

void names_reported(Name *name)
{
    name->drift = false;
    name->special = asks_for_more(name);
}

Name *names_find(Names *names, Str text, Error *err)
{
    const uint32_t hash = hash_of(text);
    size_t at = hash % TABLE_SIZE;
    for (; names->table[at] != NULL; at = (at + 1) % TABLE_SIZE) {
        if (names->table[at]->hash == hash && str_equal(name_text(names->table[at]), text))
            return names->table[at];
    }
    assert(names->count < NAMES_MAX &&
           text.size <= NAME_BYTES_MAX); // names_make_room() and the caller saw to it
    Name *name = learn(names, text, hash, err);
    if (name == NULL)
        return NULL;
    names->table[at] = name;
    names->sorted[names->count++] = name;
    names->changed = true;
    return name;
}

static int compare_names(const void *left, const void *right)
{
    Name *const *a = left;
    Name *const *b = right;
    return str_compare(name_text(*a), name_text(*b));
}

void names_rank(Names *names)
{
    qsort(names->sorted, names->count, sizeof(Name *), compare_names);
    for (size_t i = 0; i < names->count; i++)
        names->sorted[i]->rank = (uint16_t)i;
    names->changed = false;
}
