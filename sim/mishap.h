// Mishap: what a Trouble does to an answer while it is made. What it does on the wire is
// listener.c's.
#pragma once

#include "change.h"
#include "service.h"

// True for troubles that need no real answer: mishap_replace() makes one.
bool mishap_replaces(const Trouble *trouble);
bool mishap_replace(const Service *service, const Request *request, const Trouble *trouble,
                    Answer *answer, Error *err) MUST_USE;

// Fills what a page shall get wrong. `*ret_poison` is the caller's, who frees it with
// buf_done(&poison.members).
bool mishap_twist(const Service *service, const Request *request, const Trouble *trouble,
                  Arena *arena, PagePlan *plan, Change *ret_poison, Error *err) MUST_USE;

// Puts new calls into the account, so that pages shift under their reader. Takes world_write().
bool mishap_shift(Service *service, int64_t account_id, int64_t count, Error *err) MUST_USE;

// Breaks a finished body.
bool mishap_spoil(const Trouble *trouble, Answer *answer, Error *err) MUST_USE;
