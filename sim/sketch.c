#include "sketch.h"

#include "mix.h"

enum {
    STRAGGLERS_PER_MILLION = 15000, // records in the other generation's names
    RETURNING_PER_MILLION = 360000,
    RETURN_HOPS = 4,
    RETURN_WINDOW = 20000, // calls that a caller may have made since
};

// Inbound calls and all the rest, in parts of 256.
static Direction pick_direction(uint32_t byte)
{
    if (byte < 206)
        return DIRECTION_INBOUND;
    if (byte < 226)
        return DIRECTION_OUTBOUND;
    if (byte < 238)
        return DIRECTION_MSG_INBOUND;
    if (byte < 244)
        return DIRECTION_MSG_OUTBOUND;
    return byte < 251 ? DIRECTION_FORM : DIRECTION_CHAT;
}

// A long-tailed length: most are near `middle`, few many times that. Products of two uniform
// numbers do it cheaply.
static uint32_t long_tailed(uint64_t bits, uint32_t middle)
{
    const uint32_t a = (uint32_t)bits & 0xffff, b = (uint32_t)(bits >> 16) & 0xffff,
                   c = (uint32_t)(bits >> 32) & 0xffff;
    const uint64_t product = (uint64_t)(a + 1) * (b + 1) >> 16; // 1 .. 65536, mean 16384
    return 1 + (uint32_t)((product * middle) >> 14) +
           (c > 62000 ? (c - 62000) / 4 * middle / 200 : 0);
}

static void sketch_times(Sketch *sketch)
{
    const uint64_t bits = sketch->dice[1];
    sketch->answered = sketch->spoken && (bits & 0xff) < 196;
    if (!sketch->spoken)
        return;
    sketch->ring = 2 + (uint32_t)(bits >> 8 & 0x1f);
    // Waiting stays below 600 s, so that values in milliseconds (from 1,000 on) can be told from
    // seconds.
    sketch->wait =
        (bits >> 16 & 7) == 0 ? 5 + (uint32_t)(bits >> 20) % 580 : (uint32_t)(bits >> 20 & 0xf);
    if (sketch->answered) {
        sketch->hold = (bits >> 32 & 3) == 0 ? (uint32_t)(bits >> 34 & 0x7f) : 0;
        sketch->talk = long_tailed(sketch->dice[2], 130);
    }
    sketch->duration = sketch->ring + sketch->wait + sketch->hold + sketch->talk;
}

static bool is_returning(const Account *account, uint32_t index, uint64_t *ret_bits)
{
    *ret_bits = mix_pair(account->seed ^ UINT64_C(0x63616c6c), index);
    return index > 0 && mix_chance(*ret_bits, RETURNING_PER_MILLION);
}

// A caller is known by the number of his first call: a returning one leads back to an earlier call,
// a few times over.
static void sketch_caller(Sketch *sketch)
{
    const Call *call = sketch->call;
    uint32_t index = call->index;
    uint64_t bits;
    sketch->is_new_caller = true;
    for (int hop = 0;
         hop < RETURN_HOPS && index != UINT32_MAX && is_returning(sketch->account, index, &bits);
         hop++) {
        const uint32_t window = index < RETURN_WINDOW ? index : RETURN_WINDOW;
        index -= 1 + mix_below((uint32_t)(bits >> 32), window);
        sketch->is_new_caller = false;
    }
    const uint64_t seed = call->index == UINT32_MAX ? call->bits : index;
    sketch->caller = mix_pair(sketch->account->seed ^ UINT64_C(0x77686f), seed);

    const Words *words = &sketch->world->words;
    const Region region = sketch->roster->region;
    sketch->place =
        &words->places[region][mix_below((uint32_t)sketch->caller, words->place_count[region])];
    const uint64_t local = mix64(sketch->caller) % 8000000 + 2000000;
    sketch->phone = sketch->place->area_code * UINT64_C(10000000) + local;
}

static void sketch_marketing(Sketch *sketch)
{
    const uint64_t bits = sketch->dice[3];
    const Roster *roster = sketch->roster;
    // The better half of the numbers gets most of the calls: the smaller of two draws.
    const uint32_t a = (uint32_t)bits & 0xffff, b = (uint32_t)(bits >> 16) & 0xffff;
    sketch->number = ((a < b ? a : b) * roster->numbers.count) >> 16;
    sketch->source = sketch->number % roster->sources_modern.count;
    // Google and Bing ads, Facebook, Yelp, Nextdoor; see the list of sources in words.c.
    sketch->paid = (0x125u >> sketch->source & 1) != 0 || sketch->source == 4;
    sketch->web = sketch->source < 9;
    sketch->campaign = (((uint32_t)(bits >> 32) & 0xffff) * roster->campaigns.count) >> 16;
    sketch->keyword = (uint32_t)(bits >> 48);
    sketch->agent = mix_below((uint32_t)sketch->dice[4], roster->agents_modern.count);
    sketch->receiving_number =
        mix_below((uint32_t)(sketch->dice[4] >> 32), roster->receiving_numbers.count);
}

void sketch_call(const World *world, const Call *call, Sketch *ret_sketch)
{
    const Account *account = call->account;
    *ret_sketch =
        (Sketch){.world = world, .account = account, .roster = &account->roster, .call = call};
    Dice dice = {call->bits};
    for (int i = 0; i < SKETCH_DICE; i++)
        ret_sketch->dice[i] = dice_next(&dice);

    const uint64_t bits = ret_sketch->dice[0];
    const bool straggler =
        account->roster.region == REGION_US && mix_chance(bits >> 32, STRAGGLERS_PER_MILLION);
    ret_sketch->modern = (call->moment >= account->modern_from) != straggler;
    ret_sketch->direction = pick_direction((uint32_t)bits & 0xff);
    ret_sketch->spoken =
        ret_sketch->direction == DIRECTION_INBOUND || ret_sketch->direction == DIRECTION_OUTBOUND;
    sketch_times(ret_sketch);
    sketch_caller(ret_sketch);
    sketch_marketing(ret_sketch);

    const LifeCall life = {call->bits, call->moment, (int32_t)ret_sketch->duration};
    ret_sketch->life = life_at(&life, &world->plan.rates, world->now);
    ret_sketch->scored =
        ret_sketch->life.scored || ((bits >> 8 & 0xff) < 10 && ret_sketch->life.ended);
}
