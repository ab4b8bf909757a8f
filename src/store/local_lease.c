// Leases on a local disk: a record with the epoch, and a locked file beside it (below
// .store/locks).
//
// The lock goes with the process, so a killed holder is in nobody's way. It says nothing where
// another machine's locks do not reach us (some network disks): for a record written by another
// machine its time must have passed as well. Machines are told apart by the kernel's boot id, which
// containers share as they share the locks.
#include "store/local.h"

#include "base/file.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
    RECORD_BYTES_MAX = 4096,
    RECORD_ARENA_BYTES = 64 * 1024,
    RECORD_MEMBERS = 5,
    SCHEMA = 1,
    BOOT_ID_BYTES = 36,
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 5000,
};

typedef struct Record {
    uint64_t epoch;
    Str holder; // empty = given back
    Str machine;
    int64_t until_us;
} Record;

static void machine_id(char ret_id[BOOT_ID_BYTES + 1])
{
    memset(ret_id, 0, BOOT_ID_BYTES + 1);
    CLEANUP(local_close_fd)
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, ret_id, BOOT_ID_BYTES) != BOOT_ID_BYTES)
        ret_id[0] = '\0';
}

static bool parse_record(Str bytes, const char *where, Arena *arena, Record *ret_record, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(bytes, where, arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *epoch = json_get(root, STR("epoch"));
    yyjson_val *holder = json_get(root, STR("holder"));
    yyjson_val *machine = json_get(root, STR("machine"));
    yyjson_val *until_us = json_get(root, STR("until_us"));
    // A record we cannot read is no reason to start at epoch 1 again: the fence would turn us away.
    if (!yyjson_is_obj(root) || yyjson_obj_size(root) != RECORD_MEMBERS ||
        yyjson_get_uint(json_get(root, STR("schema"))) != SCHEMA || !yyjson_is_uint(epoch) ||
        yyjson_get_uint(epoch) == 0 || !yyjson_is_str(holder) || !yyjson_is_str(machine) ||
        !yyjson_is_int(until_us))
        return error_set(err, ERROR_DATA, "%s: not a lease record of this version", where);
    *ret_record = (Record){yyjson_get_uint(epoch), json_str(holder), json_str(machine),
                           yyjson_get_sint(until_us)};
    return true;
}

// One that is not there is {0}.
static bool read_record(Local *local, Str path, Arena *arena, Record *ret_record, Error *err)
{
    char name[PATH_MAX];
    TRY(local_name(local, path, name, err));
    Str bytes = {NULL, 0};
    if (!file_read(name, RECORD_BYTES_MAX, arena, &bytes, err)) {
        if (err->code != ERROR_NOT_FOUND)
            return false;
        *err = (Error){0};
        *ret_record = (Record){0};
        return true;
    }
    return parse_record(bytes, name, arena, ret_record, err);
}

static bool write_record(Local *local, Str path, uint64_t epoch, Str holder, int64_t until_us,
                         Error *err)
{
    char machine[BOOT_ID_BYTES + 1];
    machine_id(machine);
    CLEANUP(buf_done) Buf text = {.limit_bytes = RECORD_BYTES_MAX};
    TRY(buf_printf(&text, err, "{\"schema\":%d,\"epoch\":%" PRIu64 ",\"holder\":", SCHEMA, epoch) &&
        json_write_str(holder, &text, err) &&
        buf_printf(&text, err, ",\"machine\":\"%s\",\"until_us\":%" PRId64 "}\n", machine,
                   until_us));
    return local_put(local, path, buf_str(&text), 0, err);
}

static bool busy(const Local *local, const Record *record, Error *err)
{
    const int64_t left_ms = (record->until_us - local->env->now_us(local->env->state)) / 1000;
    error_set(err, ERROR_BUSY, "held by " STR_FMT, STR_ARG(record->holder));
    err->retry_after_ms = RETRY_MS_MAX;
    if (left_ms < RETRY_MS_MAX)
        err->retry_after_ms = left_ms > RETRY_MS_MIN ? (int32_t)left_ms : RETRY_MS_MIN;
    return false;
}

// Opens the locked file of a lease. The lock file is never removed: two processes could otherwise
// each lock one of the same name.
static bool open_lock(const Local *local, Str path, int *ret_fd, Error *err)
{
    char relative[STORE_PATH_BYTES_MAX + 32];
    const int size = snprintf(relative, sizeof(relative), ".store/locks/" STR_FMT, STR_ARG(path));
    char name[PATH_MAX];
    char folder[PATH_MAX];
    TRY(local_name(local, (Str){relative, (size_t)size}, name, err));
    (void)snprintf(folder, sizeof(folder), STR_FMT, STR_ARG(file_folder(str_from(name))));
    TRY(file_make_folder(folder, err));
    return file_lock(name, ret_fd, err);
}

static LocalLease *find_lease(Local *local, Str path, uint64_t epoch)
{
    for (size_t i = 0; i < LOCAL_LEASES_MAX; i++) {
        LocalLease *lease = &local->leases[i];
        if (lease->epoch == epoch && (epoch == 0 || str_equal(str_from(lease->path), path)))
            return lease;
    }
    return NULL;
}

static void drop_lease(LocalLease *lease)
{
    file_unlock(lease->lock_fd);
    *lease = (LocalLease){0};
}

// Under the lock: reads the record, and writes the next one when nobody else can hold it.
static bool take_locked(Local *local, Str path, Str holder, int64_t ttl_us, uint64_t *ret_epoch,
                        Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RECORD_ARENA_BYTES, err);
    TRY(arena != NULL);
    Record record = {0};
    TRY(read_record(local, path, arena, &record, err));
    char machine[BOOT_ID_BYTES + 1];
    machine_id(machine);
    const int64_t now_us = local->env->now_us(local->env->state);
    const bool lock_tells = machine[0] != '\0' && str_equal(record.machine, str_from(machine));
    if (record.holder.size > 0 && record.until_us > now_us && !lock_tells)
        return busy(local, &record, err);
    if (record.epoch == UINT64_MAX)
        return error_set(err, ERROR_LIMIT, "its epoch has reached the end");
    TRY(write_record(local, path, record.epoch + 1, holder, now_us + ttl_us, err));
    *ret_epoch = record.epoch + 1;
    return true;
}

// The lock is held by somebody: says by whom, as far as the record tells.
static bool explain_busy(Local *local, Str path, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RECORD_ARENA_BYTES, err);
    TRY(arena != NULL);
    Record record = {0};
    TRY(read_record(local, path, arena, &record, err));
    if (record.holder.size == 0) // it has the lock but has not written yet, or is about to let go
        record.holder = STR("another process");
    return busy(local, &record, err);
}

bool local_lease_take(void *state, Str path, Str holder, int64_t ttl_us, uint64_t *ret_epoch,
                      Error *err)
{
    Local *local = state;
    LocalLease *lease = find_lease(local, path, 0);
    if (lease == NULL)
        return error_set(err, ERROR_LIMIT, "more than %d leases at once", LOCAL_LEASES_MAX);
    int fd = -1;
    if (!open_lock(local, path, &fd, err))
        return err->code == ERROR_BUSY ? explain_busy(local, path, err) : false;
    uint64_t epoch = 0;
    if (!take_locked(local, path, holder, ttl_us, &epoch, err)) {
        file_unlock(fd);
        return false;
    }
    *lease = (LocalLease){.lock_fd = fd, .epoch = epoch};
    (void)snprintf(lease->path, sizeof(lease->path), STR_FMT, STR_ARG(path));
    *ret_epoch = epoch;
    return true;
}

// The record says what is true: on a disk whose locks do not reach far, another machine may have
// it.
static bool check_mine(Local *local, Str path, Str holder, uint64_t epoch, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RECORD_ARENA_BYTES, err);
    TRY(arena != NULL);
    Record record = {0};
    TRY(read_record(local, path, arena, &record, err));
    if (find_lease(local, path, epoch) == NULL || record.epoch != epoch ||
        !str_equal(record.holder, holder))
        return error_set(err, ERROR_CONFLICT,
                         "lost to " STR_FMT " (epoch %" PRIu64 ", ours %" PRIu64 ")",
                         STR_ARG(record.holder), record.epoch, epoch);
    return true;
}

bool local_lease_renew(void *state, Str path, Str holder, uint64_t epoch, int64_t ttl_us,
                       Error *err)
{
    assert(epoch > 0);
    Local *local = state;
    TRY(check_mine(local, path, holder, epoch, err));
    return write_record(local, path, epoch, holder, local->env->now_us(local->env->state) + ttl_us,
                        err);
}

bool local_lease_release(void *state, Str path, Str holder, uint64_t epoch, Error *err)
{
    assert(epoch > 0);
    Local *local = state;
    LocalLease *lease = find_lease(local, path, epoch);
    const bool ok = check_mine(local, path, holder, epoch, err) &&
                    write_record(local, path, epoch, STR(""), 0, err);
    if (lease != NULL)
        drop_lease(lease); // also where the record could not be written: the lock is what counts
    return ok;
}

void local_lease_close(Local *local)
{
    for (size_t i = 0; i < LOCAL_LEASES_MAX; i++) {
        if (local->leases[i].epoch != 0)
            drop_lease(&local->leases[i]);
    }
}
