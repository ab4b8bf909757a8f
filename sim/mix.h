// Mix: random-looking numbers that are a pure function of what they are asked about.
//
// The whole world of the simulator is made of them: nothing about a call is stored, everything is
// mixed anew from (seed, account, index). That is why 2 million calls cost no memory and why every
// run is the same.
#pragma once

#include <stdint.h>

// The finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit moves every output bit.
static inline uint64_t mix64(uint64_t value)
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static inline uint64_t mix_pair(uint64_t a, uint64_t b)
{
    return mix64(mix64(a) ^ b);
}

// A row of numbers from one seed.
typedef struct Dice {
    uint64_t state;
} Dice;

static inline uint64_t dice_next(Dice *dice)
{
    const uint64_t value = mix64(dice->state);
    dice->state += UINT64_C(0x9E3779B97F4A7C15);
    return value;
}

// `bits` (32 random bits) spread over 0 .. count - 1, without a division.
static inline uint32_t mix_below(uint32_t bits, uint32_t count)
{
    return (uint32_t)(((uint64_t)bits * count) >> 32);
}

// True for `per_million` of a million values.
static inline int mix_chance(uint64_t value, uint32_t per_million)
{
    return mix_below((uint32_t)value, 1000000) < per_million;
}
