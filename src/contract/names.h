// Names: the member names of a stream's records, each learned once. Internal to src/contract/.
//
// An API repeats its records' members in the same order, so the name that follows another is
// predicted: resolving one costs a comparison. Names are ranked by their bytes, so that a record's
// members are sorted without comparing any.
#pragma once

#include "contract/plan.h"

// Records with more members than this are refused; names learned beyond are forgotten in time.
enum { RECORD_MEMBERS_MAX = 4096, NAMES_MAX = 2 * RECORD_MEMBERS_MAX };

typedef struct Name Name;
struct Name {
    Str text;
    Str quoted;       // `"text":` as text_write_name() has it
    const Node *node; // NULL = the contract does not know it
    Name *next;       // the name that followed it the last time
    uint32_t hash;
    uint32_t rank; // among all names, by their bytes
    bool reserved; // "$bytes" and the like, which _overflow uses itself
    bool drift;    // reported already
};

typedef struct Names {
    Arena *arena;
    const Node *root;
    Name first;    // its `next` is the name that began the last record
    Name **sorted; // by rank
    size_t count;
    Name **table; // by hash, open addressing
    bool changed; // a name was learned since names_rank(): ranks are stale
} Names;

bool names_init(Names *names, const Node *root, Error *err) MUST_USE;
void names_done(Names *names);

// Forgets what was learned when there may be no room for a record of `members`.
bool names_make_room(Names *names, size_t members, Error *err) MUST_USE;

// The name, learned when it is new; NULL when memory ran out. Slow: see names_resolve().
Name *names_find(Names *names, Str text, Error *err) MUST_USE;

// Ranks anew. To be called after names_find() changed something and before a rank is used.
void names_rank(Names *names);

static inline bool names_same(const char *a, const char *b, size_t size)
{
    if (size >= 8) {
        uint64_t x = 0;
        uint64_t y = 0;
        size_t i = 0;
        for (; i + 8 < size; i += 8) {
            memcpy(&x, a + i, 8);
            memcpy(&y, b + i, 8);
            if (x != y)
                return false;
        }
        memcpy(&x, a + size - 8, 8);
        memcpy(&y, b + size - 8, 8);
        return x == y;
    }
    if (size >= 4) {
        uint32_t x = 0;
        uint32_t y = 0;
        uint32_t z = 0;
        uint32_t w = 0;
        memcpy(&x, a, 4);
        memcpy(&y, b, 4);
        memcpy(&z, a + size - 4, 4);
        memcpy(&w, b + size - 4, 4);
        return x == y && z == w;
    }
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

// The name behind `before` (&names->first for a record's first member). NULL when memory ran out.
static inline Name *names_resolve(Names *names, Name *before, Str text, Error *err)
{
    Name *name = before->next;
    if (name != NULL && name->text.size == text.size &&
        names_same(name->text.data, text.data, text.size))
        return name;
    name = names_find(names, text, err);
    if (name != NULL)
        before->next = name;
    return name;
}
