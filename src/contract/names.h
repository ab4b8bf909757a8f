// Names: the member names of a stream's records, each learned once. Internal to src/contract/.
//
// An API repeats its records' members in the same order, so the name that follows another is
// predicted: resolving one costs a comparison, and for the second record of a page that of an
// address, since base/json leaves a repeated name where it stood first. Names are ranked by their
// bytes, so that a record's members are sorted without comparing any.
#pragma once

#include "contract/text.h"

// Records with more members than this are refused; names learned beyond are forgotten in time.
enum {
    RECORD_MEMBERS_MAX = 4096,
    NAMES_MAX = 2 * RECORD_MEMBERS_MAX,
    NAME_BYTES_MAX = 1024, // of one name
    NAME_PIECE = 16,       // names are copied in pieces of this size
};

// One cache line: a record touches a hundred of them.
typedef struct Name Name;
struct Name {
    uint64_t head;      // first eight bytes of the text, or all of it
    const char *seen;   // where it stood in this page; NULL = not yet
    Name *next;         // the name that followed it the last time
    const Node *node;   // NULL = the contract does not mention it
    const char *quoted; // `"text":` as text_write_name() has it; may be read in whole pieces
    const char *text;
    uint32_t hash;
    uint16_t size;        // of `text`
    uint16_t quoted_size; // of `quoted`
    uint16_t rank;        // among all names, by their bytes
    int16_t source;       // of the node, or NO_SOURCE
    bool special;  // needs more than writing it down: one of the following, or the node asks for it
    bool reserved; // "$bytes" and the like, which _overflow uses itself
    bool drift;    // unknown, and not reported yet in this page
    uint8_t drift_path; // of Drift, from 1; 0 = it has none
};

typedef struct Names {
    Arena *arena;
    const Node *root;
    Name first;    // its `next` is the name that began the last record
    Name *pool;    // the names themselves, as they were learned
    Name **sorted; // by rank
    size_t count;
    Name **table; // by hash, open addressing
    bool changed; // a name was learned since names_rank(): ranks are stale
} Names;

bool names_init(Names *names, const Node *root, Error *err) MUST_USE;
void names_done(Names *names);

// Another page begins: where names stood is past, and what is unknown is reported once more.
void names_turn_page(Names *names);

// Forgets what was learned when there may be no room for a record of `members`.
bool names_make_room(Names *names, size_t members, Error *err) MUST_USE;

// The name, learned when it is new; `text` has at most NAME_BYTES_MAX. NULL when memory ran out.
// Slow: see names_follows().
Name *names_find(Names *names, Str text, Error *err) MUST_USE;

// The drift of this name has been dealt with.
void names_reported(Name *name);

// Ranks anew. To be called after names_find() changed something and before a rank is used.
void names_rank(Names *names);

static inline Str name_text(const Name *name)
{
    return (Str){name->text, name->size};
}

static inline Str name_quoted(const Name *name)
{
    return (Str){name->quoted, name->quoted_size};
}

// True when the name predicted behind `before` (&names->first: at a record's start) is `text`.
static inline bool names_follows(const Name *before, const char *text, size_t size)
{
    Name *name = before->next;
    if (name == NULL)
        return false;
    if (name->seen == text)
        return true;
    if (name->size != size || name->head != bytes_load(text, size) ||
        (size > 8 && memcmp(name->text + 8, text + 8, size - 8) != 0))
        return false;
    name->seen = text;
    return true;
}
