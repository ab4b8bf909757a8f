// ForgetList: who asked to be forgotten, as keyed hashes in the landing store
// ("<job>/forgotten.json"), so that every machine and every run knows.
//
// Whoever changes it holds the lease "<job>/leases/forget.json".
#pragma once

#include "contract/forgotten.h"
#include "run/job.h"
#include "store/store.h"

typedef struct ForgetSet {
    Key128 *hashes;
    size_t count, room;
} ForgetSet;

typedef struct ForgetList {
    bool there; // in the store
    unsigned char salt[FORGOTTEN_SALT_BYTES];
    ForgetSet people;
    ForgetSet redacted;
    Forgotten *forgotten; // of what was read; NULL where there is no list
} ForgetList;

// A list that is not there is empty. ERROR_ACCESS when `landing.forget_key` is not the one it was
// made with: then nobody would be found in it.
bool forget_list_read(const Job *job, Store *store, Arena *arena, ForgetList *ret_list,
                      Error *err) MUST_USE;

// Gives a list that is not there a salt, in memory.
bool forget_list_begin(const Job *job, Env *env, Arena *arena, ForgetList *list,
                       Error *err) MUST_USE;

// Adds a hash that is not there yet, and makes list->forgotten anew with forget_list_renew().
bool forget_set_add(ForgetSet *set, const Key128 *hash, Arena *arena, Error *err) MUST_USE;
bool forget_list_renew(const Job *job, Arena *arena, ForgetList *list, Error *err) MUST_USE;

bool forget_list_put(const Job *job, Store *store, ForgetList *list, Error *err) MUST_USE;
