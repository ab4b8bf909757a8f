// Roster: what an account owns besides its calls: users, sources, numbers, campaigns, lists and so
// on.
//
// Each is made once, in two shapes: the item its own end point answers, and the fragment of a call
// record that names it, so that writing a call copies whole fragments. Immutable once made: threads
// share it.
#pragma once

#include "base/buf.h"
#include "words.h"

typedef enum RosterKind {
    ROSTER_USERS,
    ROSTER_SOURCES,
    ROSTER_NUMBERS,
    ROSTER_RECEIVING_NUMBERS,
    ROSTER_TRIGGERS,
    ROSTER_LISTS,
    ROSTER_CALL_SETTINGS,
    ROSTER_WEBHOOKS,
    ROSTER_CUSTOM_FIELDS,
    ROSTER_KINDS,
} RosterKind;

enum { ROSTER_CAMPAIGNS = 60, ROSTER_ITEM_BYTES_MAX = 4096 };

typedef struct Roster {
    uint32_t account_id;
    Region region;
    uint64_t seed;
    WordList items[ROSTER_KINDS]; // JSON objects, as their end point lists them

    // Members of a call record, each with a comma in front. Those of one number go together: every
    // tracking number belongs to one source.
    WordList agents_modern, agents_legacy;   // agent{} | agent_id, agent_name
    WordList sources_modern, sources_legacy; // source | source_name
    WordList mediums;                        // by source: "medium":"cpc"
    WordList numbers, receiving_numbers;
    WordList campaigns; // campaign, ad_* and both ad group ids
    Str site;           // https://www.example-1001.com
} Roster;

typedef struct RosterPlan {
    uint32_t account_id;
    Region region;
    uint64_t seed;
} RosterPlan;

bool roster_init(Roster *roster, const RosterPlan *plan, const Words *words, Arena *arena,
                 Error *err) MUST_USE;

// Contact `index` of list `list_index`; both below their counts.
uint32_t roster_contact_count(const Roster *roster, uint32_t list_index);
bool roster_contact(const Roster *roster, const Words *words, uint32_t list_index, uint32_t index,
                    Buf *out, Error *err) MUST_USE;
// The list with this id, or -1.
int roster_find_list(const Roster *roster, int64_t list_id);

// A phone number of the region: 10 digits behind the country code.
uint64_t roster_phone(const Words *words, Region region, uint64_t bits);
extern const char *const roster_country_codes[REGION_COUNT]; // "1", "44", ...
