// Life: what becomes of a call after it happened, as a pure function of (seed, call, now).
//
// There is no history: asking with an earlier `now` gives the earlier state. Times are epoch
// seconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LIFE_NEVER INT64_MAX

typedef struct LifeRates {
    uint32_t edits_per_million;   // of the calls, each kind of edit scaled to it
    uint32_t deletes_per_million; // of the calls
} LifeRates;

enum { LIFE_EDITS_PER_MILLION = 200000, LIFE_DELETES_PER_MILLION = 3000 };

typedef struct Life {
    bool ended;       // the call is over: before, it has no duration
    bool transcribed; // minutes later, for one call in eight hours or days later
    bool tagged;      // within two weeks: tags and notes (as many as the rate says)
    bool scored;      // within 45 days: sale and likelihood (half as many)
    bool revised;     // between 7 and 56 days: notes and custom fields (a fifth as many)
} Life;

typedef struct LifeCall {
    uint64_t bits; // mixed from seed, account and index
    int64_t moment;
    int32_t duration;
} LifeCall;

Life life_at(const LifeCall *call, const LifeRates *rates, int64_t now);

// When the call is deleted, or LIFE_NEVER: within 60 days, and never in its first hour. Needs no
// duration.
int64_t life_deleted_at(uint64_t bits, int64_t moment, const LifeRates *rates);
