// Words: the vocabulary the world is written in.
//
// Every text has PEN_BLOCK_BYTES readable bytes behind it, is valid inside a JSON string as it
// stands, and lives as long as the arena.
#pragma once

#include "base/arena.h"

typedef struct WordList {
    const Str *items;
    uint32_t count;
} WordList;

typedef struct Place {
    Str city, state, country;
    uint32_t area_code;          // first digits of a phone number there, behind the country code
    uint32_t post_code;          // the lowest one
    int32_t latitude, longitude; // 1/10,000 degree
} Place;

// Where the callers of an account live: its country.
typedef enum Region { REGION_US, REGION_GB, REGION_AU, REGION_IN, REGION_COUNT } Region;

typedef struct Words {
    WordList first_names, last_names, streets, companies, mail_hosts, keywords, paths, referrers,
        sentences, notes, tags, campaigns, sources, mediums, departments, menus;
    WordList search_words; // keywords, as a query string has them
    WordList mail_names;   // last names, as an address has them
    Place *places[REGION_COUNT];
    uint32_t place_count[REGION_COUNT];
} Words;

bool words_init(Words *words, Arena *arena, Error *err) MUST_USE;

// A copy of `text` with the readable bytes behind it.
bool words_pad(Arena *arena, Str text, Str *ret_padded, Error *err) MUST_USE;

static inline Str words_pick(const WordList *list, uint32_t bits)
{
    return list->items[((uint64_t)bits * list->count) >> 32];
}
