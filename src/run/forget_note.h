// ForgetNote: what an attempt to forget somebody has found, in the landing store until the receipt
// is given ("<job>/forgetting/<hash>.json"). Whoever goes on after a kill finds less, or nothing,
// and the receipt has to tell of all that went.
#pragma once

#include "run/forget.h"
#include "store/store.h"

// The counts of the attempts before; none: zeroes.
bool forget_note_read(const Job *job, Store *store, Str person, Arena *arena,
                      ForgetReport *ret_earlier, Error *err) MUST_USE;
// Raises the report's counts to those: what is gone was counted while it stood.
void forget_note_merge(const ForgetReport *earlier, ForgetReport *report);
bool forget_note_put(const Job *job, Store *store, const ForgetReport *report, Error *err) MUST_USE;
bool forget_note_remove(const Job *job, Store *store, Str person, Error *err) MUST_USE;
