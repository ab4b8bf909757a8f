#include "change.h"

#include <inttypes.h>

enum { ID_SPARE_DIGIT = 9, ID_STEP = 10 };
#define ID_INSERTED INT64_C(900000000)

static Change *changes_of(const Account *account)
{
    return (Change *)(void *)account->changes.data;
}

static size_t change_count(const Account *account)
{
    return account->changes.size / sizeof(Change);
}

// Index of the first change with an id not below.
static size_t lower_bound(const Account *account, int64_t id)
{
    size_t low = 0, high = change_count(account);
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (changes_of(account)[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const Change *change_find(const Account *account, int64_t id)
{
    if (account->changes.size == 0)
        return NULL;
    const size_t i = lower_bound(account, id);
    return i < change_count(account) && changes_of(account)[i].id == id ? &changes_of(account)[i]
                                                                        : NULL;
}

// Puts `size` bytes into a sorted array at `offset`.
static bool insert_bytes(Buf *buf, size_t offset, const void *bytes, size_t size, Error *err)
{
    TRY(buf_reserve(buf, size, err));
    memmove(buf->data + offset + size, buf->data + offset, buf->size - offset);
    memcpy(buf->data + offset, bytes, size);
    buf->size += size;
    return true;
}

// The change of this id, made when there is none.
static bool change_make(Account *account, int64_t id, Change **ret_change, Error *err)
{
    const size_t i = lower_bound(account, id);
    if (i == change_count(account) || changes_of(account)[i].id != id) {
        if (i >= WORLD_CHANGES_MAX)
            return error_set(err, ERROR_LIMIT, "change: more than %d in one account",
                             WORLD_CHANGES_MAX);
        const Change change = {.id = id, .members = {.limit_bytes = CHANGE_MEMBERS_BYTES_MAX}};
        TRY(insert_bytes(&account->changes, i * sizeof(change), &change, sizeof(change), err));
    }
    *ret_change = &changes_of(account)[i];
    return true;
}

static bool check_exists(const Account *account, int64_t id, Error *err)
{
    Call call;
    if (world_find_any(account, id, &call))
        return true;
    return error_set(err, ERROR_NOT_FOUND, "change: account %" PRIu32 " has no call %" PRId64,
                     account->id, id);
}

static bool append_sized(Buf *buf, Str text, uint32_t flag, Error *err)
{
    const uint32_t head = (uint32_t)text.size << 1 | flag;
    TRY(buf_append(buf, (Str){(const char *)&head, sizeof(head)}, err));
    return buf_append(buf, text, err);
}

bool change_add_member(Change *change, const ChangeMember *member, Error *err)
{
    const size_t before = change->members.size;
    if (append_sized(&change->members, member->name, member->added, err) &&
        append_sized(&change->members, member->value, 0, err))
        return true;
    change->members.size = before;
    return false;
}

bool change_edit(Account *account, int64_t id, const ChangeMember *members, size_t count,
                 Error *err)
{
    TRY(check_exists(account, id, err));
    Change *change = NULL;
    TRY(change_make(account, id, &change, err));
    for (size_t i = 0; i < count; i++)
        TRY(change_add_member(change, &members[i], err));
    return true;
}

bool change_revert(Account *account, int64_t id, Error *err)
{
    TRY(check_exists(account, id, err));
    Change *change = NULL;
    TRY(change_make(account, id, &change, err));
    buf_clear(&change->members);
    return true;
}

static Str next_sized(const Buf *buf, size_t *at, bool *ret_flag)
{
    uint32_t head = 0;
    memcpy(&head, buf->data + *at, sizeof(head));
    const Str text = {buf->data + *at + sizeof(head), head >> 1};
    *at += sizeof(head) + text.size;
    *ret_flag = head & 1;
    return text;
}

bool change_next_member(const Change *change, size_t *at, ChangeMember *ret_member)
{
    if (*at >= change->members.size)
        return false;
    bool unused;
    ret_member->name = next_sized(&change->members, at, &ret_member->added);
    ret_member->value = next_sized(&change->members, at, &unused);
    return true;
}

// Puts an inserted call into the listing.
static bool list_inserted(Account *account, int64_t id, int64_t moment, Error *err)
{
    const Inserted call = {id, moment};
    const Inserted *calls = (const Inserted *)(const void *)account->inserted.data;
    size_t i = 0;
    const size_t count = account->inserted.size / sizeof(call);
    while (i < count &&
           (calls[i].moment < moment || (calls[i].moment == moment && calls[i].id < id)))
        i++;
    return insert_bytes(&account->inserted, i * sizeof(call), &call, sizeof(call), err);
}

static void unlist_inserted(Account *account, int64_t id)
{
    Inserted *calls = (Inserted *)(void *)account->inserted.data;
    const size_t count = account->inserted.size / sizeof(*calls);
    for (size_t i = 0; i < count; i++) {
        if (calls[i].id != id)
            continue;
        memmove(&calls[i], &calls[i + 1], (count - i - 1) * sizeof(*calls));
        account->inserted.size -= sizeof(*calls);
        return;
    }
}

bool change_set_fate(World *world, Account *account, int64_t id, ChangeFate fate, Error *err)
{
    TRY(check_exists(account, id, err));
    Change *change = NULL;
    TRY(change_make(account, id, &change, err));
    if (change->inserted) {
        unlist_inserted(account, id);
        if (fate != CHANGE_FATE_DELETED)
            TRY(list_inserted(account, id, change->moment, err));
    }
    change->fate = fate;
    return world_refresh(world, account, err);
}

bool change_insert(World *world, Account *account, int64_t id, int64_t moment, int64_t *ret_id,
                   Error *err)
{
    Call taken;
    if (id == 0) {
        const int64_t first = (INT64_C(4) + account->ordinal) * INT64_C(1000000000) + ID_INSERTED;
        id = first + (int64_t)account->inserted_ids * ID_STEP + ID_SPARE_DIGIT;
    }
    if (id < 0 || world_find_any(account, id, &taken))
        return error_set(err, ERROR_CONFLICT, "change: id %" PRId64 " is taken or not an id", id);
    Change *change = NULL;
    TRY(change_make(account, id, &change, err));
    TRY(list_inserted(account, id, moment, err));
    change->inserted = true;
    change->moment = moment;
    account->inserted_ids++;
    *ret_id = id;
    return world_refresh(world, account, err);
}

void change_free_all(Account *account)
{
    for (size_t i = 0; i < change_count(account); i++)
        buf_done(&changes_of(account)[i].members);
    buf_done(&account->changes);
}
