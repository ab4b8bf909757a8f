// World: all that the simulated service holds: its clock, its accounts and, as arithmetic, their
// calls.
//
// The calls of an account are numbered in time order (see Calendar); which of them exist now
// follows from the clock, from deletions (see Life) and from changes that a test made by hand (see
// Change). A listing walks from the newest to the oldest.
//
// Threads: who reads holds world_read(), who moves the clock or changes a call holds world_write().
// This is the one lock of the model: a page is written under it, so that all of it shows one
// moment.
#pragma once

#include "base/buf.h"
#include "calendar.h"
#include "life.h"
#include "roster.h"

#include <pthread.h>

enum {
    WORLD_ACCOUNTS_MAX = 100,
    WORLD_FIRST_ACCOUNT = 1001,
    WORLD_CHANGES_MAX = 100000, // of one account
};

typedef struct WorldPlan {
    uint64_t seed;
    uint32_t calls;
    uint32_t accounts;
    int32_t from, to; // account-local dates, `to` exclusive
    int64_t now;      // epoch seconds; WORLD_NOW_DEFAULT = when the last account has reached `to`
    LifeRates rates;
} WorldPlan;
#define WORLD_NOW_DEFAULT INT64_MIN

// A call that a test put in. Its number in the mixing is its id, so that it looks like any other.
typedef struct Inserted {
    int64_t id, moment;
} Inserted;

typedef struct Change Change;

typedef struct Account {
    uint32_t id;
    uint32_t ordinal;
    char name[64];
    const char *zone_name;
    Calendar calendar;
    Roster roster;
    uint64_t seed;
    int64_t modern_from; // epoch second at which it moved to the new generation of field names

    uint32_t visible;       // calls that have happened
    uint32_t scanned;       // calls whose deletion is in `deletions`
    Buf deletions;          // Deletion, by index
    Buf gone;               // uint32_t: indexes deleted by now, ascending
    Buf inserted;           // Inserted, by (moment, id)
    Buf changes;            // Change, by id
    uint32_t inserted_ids;  // how many ids were given to inserted calls
    int64_t forbidden_from; // the account answers 403 from this moment (of the world's clock) on
} Account;

typedef struct World {
    WorldPlan plan;
    Arena *arena;
    Words words;
    Account *accounts;
    int64_t now;
    pthread_rwlock_t lock;
} World;

// One call, with what it takes to write its record.
typedef struct Call {
    const Account *account;
    const Change *change; // NULL when no test touched it
    uint64_t bits;        // everything random about it comes from here
    uint32_t index;
    int64_t id, moment;
    int32_t date, offset; // local day and seconds east of UTC
} Call;

// Calls of an account within whole local days.
typedef struct Selection {
    const Account *account;
    uint32_t low, high;                   // base calls, deleted ones included
    uint32_t inserted_low, inserted_high; // inserted calls
    uint32_t total;                       // calls that exist
} Selection;

// A place in a listing: the next call is the newest of those below both marks. Stable while newer
// calls arrive.
typedef struct Spot {
    uint32_t base, inserted;
} Spot;

bool world_init(World *world, const WorldPlan *plan, Error *err) MUST_USE;
void world_done(World *world); // of a zeroed one too

void world_read(World *world);
void world_write(World *world);
void world_unlock(World *world);

// Moves the clock, backwards too. ERROR_LIMIT behind the end of the calendar. Needs world_write().
bool world_set_now(World *world, int64_t now, Error *err) MUST_USE;

// Works out anew which calls of the account exist. Needs world_write(); changes call it.
bool world_refresh(World *world, Account *account, Error *err) MUST_USE;

Account *world_account(World *world, int64_t id); // NULL when there is none

// The calls of the local days [from, to]; INT32_MIN and INT32_MAX leave a side open.
Selection world_select(const Account *account, int32_t from, int32_t to);

// The place behind the first `skip` calls.
Spot selection_skip(const Selection *selection, uint32_t skip);
// False at the end.
bool selection_next(const Selection *selection, Spot *spot, Call *ret_call);
// How many calls stand before the spot.
uint32_t selection_rank(const Selection *selection, Spot spot);

// A text for the spot that means the same later on: behind this very call. `at` gets at most
// SPOT_TEXT_BYTES.
enum { SPOT_TEXT_BYTES = 64 };
size_t selection_write_spot(const Selection *selection, Spot spot, char *at);
bool selection_read_spot(const Selection *selection, Str text, Spot *ret_spot);

// The call with this id, if it exists now.
bool world_find(const Account *account, int64_t id, Call *ret_call);
// Like world_find() for one that may have been deleted, or not have happened yet.
bool world_find_any(const Account *account, int64_t id, Call *ret_call);
