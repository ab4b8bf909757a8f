// Names: the member names of a stream's records, each learned once. Internal to src/contract/.
//
// An API repeats its records' members in the same order, so the name that follows another is
// predicted: resolving one costs a comparison. Names are ranked by their bytes, so that a record's
// members are sorted without comparing any.
#pragma once

#include "contract/text.h"

// Records with more members than this are refused; names learned beyond are forgotten in time.
enum {
    RECORD_MEMBERS_MAX = 4096,
    NAMES_MAX = 2 * RECORD_MEMBERS_MAX,
    NAME_BYTES_MAX = 1024, // of one name
    NAME_PIECE = 16,       // names are copied in pieces of this size
};

typedef struct Name Name;
struct Name {
    Str text;
    Name *next;    // the name that followed it the last time
    uint32_t rank; // among all names, by their bytes
    uint32_t hash;
    Str quoted;       // `"text":` as text_write_name() has it, with NAME_PIECE bytes behind it
    const Node *node; // NULL = the contract does not know it
    int source;       // of the node, or NO_SOURCE
    bool special;  // needs more than writing it down: one of the following, or the node asks for it
    bool reserved; // "$bytes" and the like, which _overflow uses itself
    bool drift;    // unknown, and not reported yet
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

// The name, learned when it is new; `text` has at most NAME_BYTES_MAX. NULL when memory ran out.
// Slow: see names_follows().
Name *names_find(Names *names, Str text, Error *err) MUST_USE;

// The drift of this name has been dealt with.
void names_reported(Name *name);

// Ranks anew. To be called after names_find() changed something and before a rank is used.
void names_rank(Names *names);

static inline bool names_same(const char *a, const char *b, size_t size)
{
    if (size < 8)
        return text_load(a, size) == text_load(b, size);
    for (size_t i = 0; i + 8 < size; i += 8) {
        if (text_load(a + i, 8) != text_load(b + i, 8))
            return false;
    }
    return text_load(a + size - 8, 8) == text_load(b + size - 8, 8);
}

// True when the name predicted behind `before` (&names->first: at a record's start) is `text`.
static inline bool names_follows(const Name *before, Str text)
{
    const Name *name = before->next;
    return name != NULL && name->text.size == text.size &&
           names_same(name->text.data, text.data, text.size);
}
