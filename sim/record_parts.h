// The parts of a call record, in their order. Each writes members at `at`, unchecked (see pen.h),
// and returns the end.
#pragma once

#include "mix.h"
#include "pen.h"
#include "record.h"
#include "sketch.h"

// Shorthand for the writers: they hold `at` and `sketch`.
#define LIT(literal)  (at = PEN_LITERAL(at, literal))
#define WORD(list, n) (at = pen_padded(at, words_pick(&sketch->world->words.list, (uint32_t)(n))))
#define ITEM(list, n) (at = pen_padded(at, sketch->roster->list.items[n]))
#define DIE(n)        (sketch->dice[n])

enum { SECONDS_PER_DAY = 86400 };
#define US_PER_SECOND INT64_C(1000000)

char *put_ids(const Sketch *sketch, char *at);       // id, sid, source, numbers, visitor
char *put_who(const Sketch *sketch, char *at);       // name, address, the caller's numbers
char *put_time(const Sketch *sketch, char *at);      // called_at, unix_time, billing
char *put_seconds(const Sketch *sketch, char *at);   // durations
char *put_state(const Sketch *sketch, char *at);     // direction, status, agent
char *put_marketing(const Sketch *sketch, char *at); // campaign, web visit, touch points
char *put_content(const Sketch *sketch, unsigned omit,
                  char *at); // transcript, tags, sale, and the closing brace

// Shared by them.
char *put_name(const Sketch *sketch, char *at);
char *put_date(const Civil *civil, char *at); // "2026-10-31"
