// Leases in a container: the service's own blob leases, and a record with the epoch in the blob.
//
// Time is the service's alone, so clocks may differ. The epoch is written under the lease's id: the
// service refuses that from anybody whose lease has passed on, so it only ever grows. Answers that
// were lost do no harm: taking, renewing and giving back with the same id may be done twice.
//
// A holder that was killed would keep its lease until its time is over. On the machine where it ran
// the next one knows better: the record names machine and process, and the lease of a process that
// is gone is changed into ours by its id. Was it taken by somebody else meanwhile, that id does not
// fit any more.
#include "store/adls.h"

#include "base/json.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RECORD_BYTES_MAX = 4096,
    RECORD_ARENA_BYTES = 64 * 1024,
    SCHEMA = 1,
    BOOT_ID_BYTES = 36,
    PROCESS_BYTES = 160,
    STAT_BYTES = 512,
    SECONDS_TEXT = 16,
    RETRY_MS = 1000,
    TRY_TIMEOUT_MS = 10 * 1000,
    RELEASE_TRIES = 2,
};

#define RETRY_WITHIN_US \
    INT64_C(15000000) // a lease that is renewed after a third of its time lives on

typedef struct Record {
    uint64_t epoch;
    Str holder;
    Str process;
    Str id; // of the lease
} Record;

// --- processes

// "<boot>/<pid namespace>/": processes with the same one can see each other.
static void machine_name(char ret_name[PROCESS_BYTES])
{
    char boot[BOOT_ID_BYTES + 1] = "";
    char space[64] = "";
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const bool known = fd >= 0 && read(fd, boot, BOOT_ID_BYTES) == BOOT_ID_BYTES &&
                       readlink("/proc/self/ns/pid", space, sizeof(space) - 1) > 0;
    if (fd >= 0)
        (void)close(fd);
    ret_name[0] = '\0';
    if (known)
        (void)snprintf(ret_name, PROCESS_BYTES, "%s/%s/", boot, space);
}

// One that was killed and whose parent has not noticed yet is gone, too.
static bool is_zombie(long process)
{
    char path[64];
    char text[STAT_BYTES] = "";
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", process);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t got = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    const char *end = got > 0 ? strrchr(text, ')') : NULL;
    return end != NULL && end[1] == ' ' && (end[2] == 'Z' || end[2] == 'X');
}

// Known to be gone; false when we cannot tell.
static bool is_gone(Str process)
{
    char machine[PROCESS_BYTES];
    machine_name(machine);
    int64_t number = 0;
    const Str ours = str_from(machine);
    if (ours.size == 0 || !str_starts_with(process, ours) ||
        !str_to_int64(str_slice(process, ours.size, process.size), &number) || number <= 1 ||
        number > INT32_MAX)
        return false;
    if (kill((pid_t)number, 0) != 0)
        return errno == ESRCH;
    return is_zombie((long)number);
}

// --- the record

static bool parse_record(Str bytes, Str path, Arena *arena, Record *ret_record, Error *err)
{
    yyjson_doc *doc = NULL;
    char where[STORE_PATH_BYTES_MAX + 1];
    (void)snprintf(where, sizeof(where), STR_FMT, STR_ARG(path));
    TRY(json_parse(bytes, where, arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *epoch = json_get(root, STR("epoch"));
    yyjson_val *holder = json_get(root, STR("holder"));
    yyjson_val *process = json_get(root, STR("process"));
    yyjson_val *id = json_get(root, STR("lease"));
    // A record we cannot read is no reason to start at epoch 1 again: the fence would turn us away.
    if (yyjson_get_uint(json_get(root, STR("schema"))) != SCHEMA || !yyjson_is_uint(epoch) ||
        !yyjson_is_str(holder) || !yyjson_is_str(process) || !yyjson_is_str(id))
        return error_set(err, ERROR_DATA, "%s: not a lease record of this version", where);
    *ret_record =
        (Record){yyjson_get_uint(epoch), json_str(holder), json_str(process), json_str(id)};
    return true;
}

// *ret_there = false: no such file.
static bool read_record(Adls *adls, Str path, Arena *arena, Record *ret_record, bool *ret_there,
                        Error *err)
{
    AdlsName name;
    TRY(adls_name(adls, path, &name, err));
    const BlobRequest request = {.method = STR("GET"),
                                 .name = adls_name_str(&name),
                                 .timeout_ms = TRY_TIMEOUT_MS,
                                 .retry_within_us = RETRY_WITHIN_US};
    BlobAnswer answer = {0};
    TRY(blob_send(adls->client, &request, &answer, err));
    *ret_there = answer.response->status != 404;
    if (answer.response->status == 200)
        return parse_record(answer.response->body, path, arena, ret_record, err);
    return (!*ret_there && !str_equal(answer.code, STR("ContainerNotFound"))) ||
           blob_refused(adls->client, &request, &answer, err);
}

// Writes the record: under the lease `id`, or, where that is "", as the first one. *ret_refused:
// somebody was faster.
static bool write_record(Adls *adls, Str path, uint64_t epoch, Str holder, const char *id,
                         bool *ret_refused, Error *err)
{
    char machine[PROCESS_BYTES];
    machine_name(machine);
    CLEANUP(buf_done) Buf text = {.limit_bytes = RECORD_BYTES_MAX};
    TRY(buf_printf(&text, err, "{\"schema\":%d,\"epoch\":%llu,\"holder\":", SCHEMA,
                   (unsigned long long)epoch) &&
        json_write_str(holder, &text, err) &&
        buf_printf(&text, err, ",\"process\":\"%s%ld\",\"lease\":\"%s\"}\n", machine,
                   machine[0] == '\0' ? 0 : (long)getpid(), id));
    AdlsName name;
    TRY(adls_name(adls, path, &name, err));
    BlobRequest request = {.method = STR("PUT"),
                           .name = adls_name_str(&name),
                           .body = buf_str(&text),
                           .timeout_ms = TRY_TIMEOUT_MS,
                           .retry_within_us = RETRY_WITHIN_US};
    blob_request_header(&request, STR("x-ms-blob-type"), STR("BlockBlob"));
    if (id[0] == '\0')
        blob_request_header(&request, STR("If-None-Match"), STR("*"));
    else
        blob_request_header(&request, STR("x-ms-lease-id"), str_from(id));
    BlobAnswer answer = {0};
    TRY(blob_send(adls->client, &request, &answer, err));
    const int status = answer.response->status;
    *ret_refused = status == 409 || status == 412;
    return status == 201 || *ret_refused || blob_refused(adls->client, &request, &answer, err);
}

// --- the service's lease

typedef struct LeaseOrder {
    const char *action;
    const char *id;       // the lease's; NULL = none yet
    const char *proposed; // its new id; NULL = none
    int64_t ttl_us;       // 0 = not said
    bool is_last_word;    // given though we are to stop, briefly
} LeaseOrder;

// *ret_status: 2xx done, 404 no such file, 409 or 412 not the lease that it is.
static bool order(Adls *adls, Str path, const LeaseOrder *what, int *ret_status, Error *err)
{
    AdlsName name;
    TRY(adls_name(adls, path, &name, err));
    BlobRequest request = {.method = STR("PUT"),
                           .name = adls_name_str(&name),
                           .timeout_ms = what->is_last_word ? ADLS_LAST_WORD_MS : TRY_TIMEOUT_MS,
                           .retry_within_us = what->is_last_word ? 1 : RETRY_WITHIN_US,
                           .is_last_word = what->is_last_word};
    blob_request_pair(&request, STR("comp"), STR("lease"));
    blob_request_header(&request, STR("x-ms-lease-action"), str_from(what->action));
    char seconds[SECONDS_TEXT];
    (void)snprintf(seconds, sizeof(seconds), "%d", (int)(what->ttl_us / 1000000));
    if (what->ttl_us > 0)
        blob_request_header(&request, STR("x-ms-lease-duration"), str_from(seconds));
    if (what->id != NULL)
        blob_request_header(&request, STR("x-ms-lease-id"), str_from(what->id));
    if (what->proposed != NULL)
        blob_request_header(&request, STR("x-ms-proposed-lease-id"), str_from(what->proposed));
    BlobAnswer answer = {0};
    TRY(blob_send(adls->client, &request, &answer, err));
    const int status = answer.response->status;
    *ret_status = status;
    const bool missing = status == 404 && !str_equal(answer.code, STR("ContainerNotFound"));
    return (status >= 200 && status < 300) || missing || status == 409 || status == 412 ||
           blob_refused(adls->client, &request, &answer, err);
}

// As well as it goes; twice, and by who is told to stop as well, since a lease that stays keeps
// everybody out for a while.
static bool give_back(Adls *adls, Str path, const char *id, Error *err)
{
    const LeaseOrder release = {
        .action = "release", .id = id, .is_last_word = atomic_load(&adls->env->stop)};
    int status = 0;
    for (int i = 0; i < RELEASE_TRIES; i++) {
        *err = (Error){0};
        if (order(adls, path, &release, &status, err))
            return true; // refused: it is not ours any more, which is as good
    }
    return false;
}

static bool busy(Str holder, Error *err)
{
    error_set(err, ERROR_BUSY, "held by " STR_FMT,
              STR_ARG(holder.size > 0 ? holder : STR("another process")));
    err->retry_after_ms = RETRY_MS;
    return false;
}

// Somebody has it. If that is a process of this machine which is gone, its lease becomes ours;
// otherwise ERROR_BUSY says who it is.
static bool take_over(Adls *adls, Str path, const char *id, int64_t ttl_us, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RECORD_ARENA_BYTES, err);
    TRY(arena != NULL);
    Record record = {0};
    bool there = false;
    TRY(read_record(adls, path, arena, &record, &there, err));
    char old_id[ADLS_ID_TEXT + 1];
    if (!is_gone(record.process) || record.id.size != ADLS_ID_TEXT)
        return busy(record.holder, err);
    memcpy(old_id, record.id.data, ADLS_ID_TEXT);
    old_id[ADLS_ID_TEXT] = '\0';
    int status = 0;
    const LeaseOrder change = {.action = "change", .id = old_id, .proposed = id};
    TRY(order(adls, path, &change, &status, err));
    if (status >= 300)
        return busy(record.holder, err);
    const LeaseOrder renew = {.action = "renew", .id = id, .ttl_us = ttl_us};
    TRY(order(adls, path, &renew, &status, err));
    return status < 300 || busy(record.holder, err);
}

static bool acquire(Adls *adls, Str path, const char *id, int64_t ttl_us, Error *err)
{
    const LeaseOrder take = {.action = "acquire", .proposed = id, .ttl_us = ttl_us};
    int status = 0;
    TRY(order(adls, path, &take, &status, err));
    if (status == 404) {
        bool refused = false; // somebody made it meanwhile: as good
        TRY(write_record(adls, path, 0, STR(""), "", &refused, err));
        TRY(order(adls, path, &take, &status, err));
    }
    if (status < 300)
        return true;
    return take_over(adls, path, id, ttl_us, err);
}

// Under the lease: the next epoch.
static bool raise_epoch(Adls *adls, Str path, Str holder, const char *id, uint64_t *ret_epoch,
                        Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RECORD_ARENA_BYTES, err);
    TRY(arena != NULL);
    Record record = {0};
    bool there = false;
    TRY(read_record(adls, path, arena, &record, &there, err));
    if (!there)
        return error_set(err, ERROR_CONFLICT, "its file was removed while it was taken");
    if (record.epoch == UINT64_MAX)
        return error_set(err, ERROR_LIMIT, "its epoch has reached the end");
    bool refused = false;
    TRY(write_record(adls, path, record.epoch + 1, holder, id, &refused, err));
    if (refused)
        return busy(STR(""), err);
    *ret_epoch = record.epoch + 1;
    return true;
}

static AdlsLease *find_lease(Adls *adls, Str path, uint64_t epoch)
{
    for (size_t i = 0; i < ADLS_LEASES_MAX; i++) {
        AdlsLease *lease = &adls->leases[i];
        if (lease->epoch == epoch && (epoch == 0 || str_equal(str_from(lease->path), path)))
            return lease;
    }
    return NULL;
}

bool adls_lease_take(void *state, Str path, Str holder, int64_t ttl_us, uint64_t *ret_epoch,
                     Error *err)
{
    Adls *adls = state;
    AdlsLease *lease = find_lease(adls, path, 0);
    if (lease == NULL)
        return error_set(err, ERROR_LIMIT, "more than %d leases at once", ADLS_LEASES_MAX);
    AdlsLease taken = {0};
    adls_new_id(adls->env, taken.id);
    (void)snprintf(taken.path, sizeof(taken.path), STR_FMT, STR_ARG(path));
    const bool acquired = acquire(adls, path, taken.id, ttl_us, err);
    if (!acquired || !raise_epoch(adls, path, holder, taken.id, &taken.epoch, err)) {
        // Whoever failed otherwise than by another's lease may have been heard all the same.
        Error ignored = {0};
        if (acquired || err->code != ERROR_BUSY)
            (void)give_back(adls, path, taken.id, &ignored);
        return false;
    }
    *lease = taken;
    *ret_epoch = taken.epoch;
    return true;
}

static bool lost(Adls *adls, Str path, uint64_t epoch, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(RECORD_ARENA_BYTES, err);
    TRY(arena != NULL);
    Record record = {0};
    bool there = false;
    Error ignored = {0};
    if (!read_record(adls, path, arena, &record, &there, &ignored) || !there)
        return error_set(err, ERROR_CONFLICT, "lost (epoch %llu)", (unsigned long long)epoch);
    return error_set(err, ERROR_CONFLICT, "lost to " STR_FMT " (epoch %llu, ours %llu)",
                     STR_ARG(record.holder), (unsigned long long)record.epoch,
                     (unsigned long long)epoch);
}

bool adls_lease_renew(void *state, Str path, Str holder, uint64_t epoch, int64_t ttl_us, Error *err)
{
    (void)holder;
    (void)ttl_us; // as it was taken
    assert(epoch > 0);
    Adls *adls = state;
    const AdlsLease *lease = find_lease(adls, path, epoch);
    if (lease == NULL)
        return error_set(err, ERROR_CONFLICT, "not held (epoch %llu)", (unsigned long long)epoch);
    const LeaseOrder renew = {.action = "renew", .id = lease->id};
    int status = 0;
    TRY(order(adls, path, &renew, &status, err));
    return status < 300 || lost(adls, path, epoch, err);
}

bool adls_lease_release(void *state, Str path, Str holder, uint64_t epoch, Error *err)
{
    (void)holder;
    assert(epoch > 0);
    Adls *adls = state;
    AdlsLease *lease = find_lease(adls, path, epoch);
    if (lease == NULL)
        return error_set(err, ERROR_CONFLICT, "not held (epoch %llu)", (unsigned long long)epoch);
    const bool ok = give_back(adls, path, lease->id, err);
    *lease = (AdlsLease){0};
    return ok;
}
