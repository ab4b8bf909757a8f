// Change: what a test did to one call by hand: edit, delete, restore, insert.
//
// A change wins over what the world would have made of the call, until it is undone. All calls need
// world_write().
#pragma once

#include "world.h"

enum { CHANGE_MEMBERS_BYTES_MAX = 256 * 1024 * 1024 };

typedef enum ChangeFate {
    CHANGE_FATE_BORN, // lives and dies as the world has it
    CHANGE_FATE_DELETED,
    CHANGE_FATE_KEPT, // exists whatever the world says
} ChangeFate;

struct Change {
    int64_t id;
    int64_t moment; // of an inserted call
    ChangeFate fate;
    bool inserted;
    // Members as written by change_edit(): name, raw value, name, raw value, each behind its size
    // (uint32_t).
    Buf members;
};

// One member set to raw JSON text, which need not be valid; empty = the member goes.
typedef struct ChangeMember {
    Str name, value;
    bool added; // put behind the others although the name is there already
} ChangeMember;

// The change of a call, or NULL.
const Change *change_find(const Account *account, int64_t id);

// Sets members on top of earlier ones. ERROR_NOT_FOUND when the account has no such call.
bool change_edit(Account *account, int64_t id, const ChangeMember *members, size_t count,
                 Error *err) MUST_USE;
bool change_revert(Account *account, int64_t id, Error *err) MUST_USE; // drops all edits

bool change_set_fate(World *world, Account *account, int64_t id, ChangeFate fate,
                     Error *err) MUST_USE;

// Puts a call at `moment` (epoch seconds; any, 2038 too). `id` 0 = choose one. ERROR_CONFLICT when
// it is taken.
bool change_insert(World *world, Account *account, int64_t id, int64_t moment, int64_t *ret_id,
                   Error *err) MUST_USE;

// Adds one member to a change that stands alone, such as a page's poison; buf_done(&change.members)
// frees it.
bool change_add_member(Change *change, const ChangeMember *member, Error *err) MUST_USE;

// Walks the members: `*at` starts at 0. False at the end.
bool change_next_member(const Change *change, size_t *at, ChangeMember *ret_member);

void change_free_all(Account *account);
