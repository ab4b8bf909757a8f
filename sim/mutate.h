// Mutate: POST /_sim/mutate, by which a test edits, deletes, restores and inserts calls by hand.
//
// One change or an array of them, done in order, all under one lock:
//   {"account": 1001, "id": 4000000012, "do": "edit", "set": {"notes": "B"}, "unset": ["sale"],
//   "raw": {"legs": "1e400"}}
//   {"account": 1001, "id": 4000000012, "do": "delete" | "restore" | "revert" | "born"}
//   {"account": 1001, "id": 4000000012, "do": "poison", "variant": "nul", "count": 10000}
//   {"account": 1001, "do": "insert", "unix_time": 2147483700, "id": 5, "set": {...}}
// Instead of "id", "start_date", "end_date", "every" and "limit" name calls of whole local days,
// newest first.
#pragma once

#include "control.h"

enum { MUTATE_CALLS_MAX = 100000 };

bool mutate_handle(Control *control, Error *err) MUST_USE;
