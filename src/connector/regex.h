// Regex: Python's regular expressions, as far as templates use them: regex_search and
// regex_replace.
//
// Backtracking, leftmost-first, as Python's re: classes, groups (capturing, (?:...),
// (?P<name>...)), alternatives, greedy and lazy repetition, anchors, \b, lookahead,
// back-references, the (?i), (?s),
// (?m), (?x)-less flags at the start. Lookbehind is not offered. A search that takes too many steps
// is an ERROR_LIMIT instead of a hang.
#pragma once

#include "base/arena.h"

enum {
    REGEX_BYTES_MAX = 4096, // of a pattern
    REGEX_GROUPS_MAX = 20,  // group 0 included
    REGEX_DEPTH_MAX = 50,   // of groups in each other
    REGEX_REPEAT_MAX = 1000,
    REGEX_STEPS_MAX = 2 * 1000 * 1000, // of one search
};

typedef struct Regex Regex;

typedef struct RegexMatch {
    size_t start[REGEX_GROUPS_MAX]; // bytes; SIZE_MAX = the group took no part
    size_t end[REGEX_GROUPS_MAX];
    size_t group_count; // of the pattern, without group 0
} RegexMatch;

// ERROR_DATA "... at 3" on a broken or unsupported pattern.
bool regex_compile(Str pattern, Arena *arena, const Regex **ret_regex, Error *err) MUST_USE;

// The first match at or behind byte `from`; with `must_move` not an empty one at `from` itself.
bool regex_search(const Regex *regex, Str text, size_t from, bool must_move, RegexMatch *ret_match,
                  bool *ret_found, Error *err) MUST_USE;
