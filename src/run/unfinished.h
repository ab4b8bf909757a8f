// Unfinished: the run of a mode that the next one of that mode goes on with.
#pragma once

#include "run/plan.h"

// The newest run of the mode, if it is not over; else *ret_id is empty. *ret_json is its plan.
bool unfinished_find(Landing *landing, RunMode mode, int64_t now_us, Arena *arena, Str *ret_id,
                     Str *ret_json, Error *err) MUST_USE;

// Whether a run of another mode, begun after `since_us` (INT64_MIN = whenever), is not over.
bool unfinished_beside(Landing *landing, RunMode mode, int64_t since_us, Arena *arena,
                       bool *ret_any, Error *err) MUST_USE;

// Ends it without loading what it has not loaded. Whoever calls holds the lease of its mode.
bool unfinished_give_up(Landing *landing, Str run, int64_t now_us, Error *err) MUST_USE;

// As options of the command that planned it: " --from 2026-03-01 --stream calls".
bool unfinished_describe(const PlanRequest *asked, Arena *arena, Str *ret_text,
                         Error *err) MUST_USE;
