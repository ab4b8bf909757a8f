// Sketch: what a call is like, before it is written down: who called whom, how long, which
// campaign.
//
// A pure function of (call, now); record.c turns it into JSON.
#pragma once

#include "world.h"

typedef enum Direction {
    DIRECTION_INBOUND,
    DIRECTION_OUTBOUND,
    DIRECTION_MSG_INBOUND,
    DIRECTION_MSG_OUTBOUND,
    DIRECTION_FORM,
    DIRECTION_CHAT,
} Direction;

enum { SKETCH_DICE = 10 };

typedef struct Sketch {
    const World *world;
    const Account *account;
    const Roster *roster;
    const Call *call;
    uint64_t dice[SKETCH_DICE]; // for whatever the writer varies; each part of it is used once
    Life life;

    bool modern; // the new generation of field names
    Direction direction;
    bool spoken;                               // a call, not a text, chat or form
    bool answered;                             // somebody talked
    bool paid;                                 // came by a paid campaign
    bool web;                                  // came by the web site
    bool scored;                               // has a sale
    uint32_t ring, hold, wait, talk, duration; // seconds

    uint32_t agent, number, source, receiving_number, campaign,
        keyword; // indexes into the roster or the words
    bool is_new_caller;
    uint64_t caller; // all that is known of the caller follows from it
    const Place *place;
    uint64_t phone;
} Sketch;

void sketch_call(const World *world, const Call *call, Sketch *ret_sketch);
