#include "life.h"

#include "mix.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

// A time between `low` and `high` seconds, more often early than late.
static int64_t delay(uint64_t bits, int32_t low, int32_t high)
{
    const uint32_t a = (uint32_t)bits, b = (uint32_t)(bits >> 32);
    return low + (int64_t)mix_below(a < b ? a : b, (uint32_t)(high - low));
}

// One kind of edit: how many calls see it, and how long after the call.
typedef struct Edit {
    uint64_t salt;
    uint32_t per_million;
    int32_t low, high;
} Edit;

static bool happened(const LifeCall *call, const Edit *edit, int64_t now)
{
    const uint64_t bits = mix_pair(call->bits, edit->salt);
    return mix_chance(bits >> 8, edit->per_million) &&
           now >= call->moment + delay(mix64(bits), edit->low, edit->high);
}

Life life_at(const LifeCall *call, const LifeRates *rates, int64_t now)
{
    const uint32_t edits = rates->edits_per_million;
    const int64_t end = call->moment + call->duration;
    const uint64_t bits = mix_pair(call->bits, 0x7472);
    const bool late = (bits & 7) == 0;
    Life life = {.ended = now >= end};
    life.transcribed = now >= end + (late ? delay(mix64(bits), HOUR, 3 * DAY)
                                          : delay(bits >> 3, MINUTE, 8 * MINUTE));
    if (now - call->moment < INT64_C(10) * MINUTE)
        return life;
    life.tagged = happened(call, &(Edit){0x7461, edits, 10 * MINUTE, 14 * DAY}, now);
    life.scored = happened(call, &(Edit){0x7363, edits / 2, HOUR, 45 * DAY}, now);
    life.revised = happened(call, &(Edit){0x7265, edits / 5, 7 * DAY, 56 * DAY}, now);
    return life;
}

int64_t life_deleted_at(uint64_t bits, int64_t moment, const LifeRates *rates)
{
    const uint64_t mixed = mix_pair(bits, 0x6465);
    if (!mix_chance(mixed >> 8, rates->deletes_per_million))
        return LIFE_NEVER;
    return moment + delay(mix64(mixed), HOUR, 60 * DAY);
}
