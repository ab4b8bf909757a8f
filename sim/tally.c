#include "tally.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

bool tally_init(Tally *tally, Arena *arena, Error *err)
{
    *tally = (Tally){0};
    tally->paths = arena_alloc_array(arena, TALLY_PATHS_MAX, sizeof(TallyPath), err);
    TRY(tally->paths != NULL);
    TallyEntry *log = arena_alloc_array(arena, TALLY_LOG_MAX, sizeof(TallyEntry), err);
    TRY(log != NULL);
    (void)pthread_mutex_init(&tally->lock, NULL);
    tally->log = log;
    return true;
}

void tally_done(Tally *tally)
{
    if (tally->log != NULL)
        (void)pthread_mutex_destroy(&tally->lock);
    *tally = (Tally){0};
}

void tally_enter(Tally *tally)
{
    (void)pthread_mutex_lock(&tally->lock);
    tally->now++;
    if (tally->now > tally->most)
        tally->most = tally->now;
    (void)pthread_mutex_unlock(&tally->lock);
}

void tally_leave(Tally *tally)
{
    (void)pthread_mutex_lock(&tally->lock);
    tally->now--;
    (void)pthread_mutex_unlock(&tally->lock);
}

// Paths beyond the table's end are not told apart.
static void count_path(Tally *tally, Str resource)
{
    for (size_t i = 0; i < tally->path_count; i++) {
        if (!str_equal(str_from(tally->paths[i].resource),
                       str_slice(resource, 0, sizeof(tally->paths[i].resource) - 1)))
            continue;
        tally->paths[i].requests++;
        return;
    }
    if (tally->path_count == TALLY_PATHS_MAX)
        return;
    TallyPath *path = &tally->paths[tally->path_count++];
    (void)snprintf(path->resource, sizeof(path->resource), STR_FMT, STR_ARG(resource));
    path->requests = 1;
}

void tally_count(Tally *tally, const TallyRequest *request)
{
    (void)pthread_mutex_lock(&tally->lock);
    TallyEntry *entry = &tally->log[tally->requests++ % TALLY_LOG_MAX];
    tally->bytes += request->size;
    tally->rate_limited += request->status == 429;
    tally->stranger_requests += request->to_stranger;
    tally->stranger_credentials += request->to_stranger && request->has_credential;
    tally->statuses[request->status >= 0 && request->status < TALLY_STATUS_MAX ? request->status
                                                                               : 0]++;
    count_path(tally, request->resource);
    *entry = (TallyEntry){.number = tally->requests,
                          .size = request->size,
                          .status = (int16_t)request->status,
                          .credential = (int16_t)request->credential,
                          .trouble = request->trouble};
    (void)snprintf(entry->target, sizeof(entry->target), "%s" STR_FMT " " STR_FMT,
                   request->to_stranger ? "stranger: " : "", STR_ARG(request->method),
                   STR_ARG(request->target));
    (void)pthread_mutex_unlock(&tally->lock);
}

void tally_clear(Tally *tally)
{
    (void)pthread_mutex_lock(&tally->lock);
    tally->requests = tally->bytes = tally->rate_limited = 0;
    tally->stranger_requests = tally->stranger_credentials = 0;
    memset(tally->statuses, 0, sizeof(tally->statuses));
    tally->most = tally->now;
    tally->path_count = 0;
    (void)pthread_mutex_unlock(&tally->lock);
}

static bool write_locked(const Tally *tally, Buf *out, Error *err)
{
    TRY(buf_printf(out, err,
                   "\"requests\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"rate_limited\":%" PRIu64
                   ",\"now\":%" PRIu32 ",\"most_at_once\":%" PRIu32
                   ",\"stranger\":{\"requests\":%" PRIu64 ",\"with_credentials\":%" PRIu64
                   "},\"by_status\":{",
                   tally->requests, tally->bytes, tally->rate_limited, tally->now, tally->most,
                   tally->stranger_requests, tally->stranger_credentials));
    const char *comma = "";
    for (int status = 0; status < TALLY_STATUS_MAX; status++) {
        if (tally->statuses[status] == 0)
            continue;
        TRY(buf_printf(out, err, "%s\"%d\":%" PRIu64, comma, status, tally->statuses[status]));
        comma = ",";
    }
    TRY(buf_append(out, STR("},\"by_path\":{"), err));
    for (size_t i = 0; i < tally->path_count; i++) {
        if (i > 0)
            TRY(buf_append_char(out, ',', err));
        TRY(json_write_str(str_from(tally->paths[i].resource), out, err));
        TRY(buf_printf(out, err, ":%" PRIu64, tally->paths[i].requests));
    }
    return buf_append_char(out, '}', err);
}

bool tally_write(Tally *tally, Buf *out, Error *err)
{
    (void)pthread_mutex_lock(&tally->lock);
    const bool ok = write_locked(tally, out, err);
    (void)pthread_mutex_unlock(&tally->lock);
    return ok;
}

static bool write_log_locked(const Tally *tally, uint64_t since, Buf *out, Error *err)
{
    const uint64_t oldest =
        tally->requests > TALLY_LOG_MAX ? tally->requests - TALLY_LOG_MAX + 1 : 1;
    const uint64_t first = since > oldest ? since : oldest;
    TRY(buf_append_char(out, '[', err));
    for (uint64_t number = first; number <= tally->requests; number++) {
        const TallyEntry *entry = &tally->log[(number - 1) % TALLY_LOG_MAX];
        TRY(buf_printf(out, err,
                       "%s{\"number\":%" PRIu64 ",\"status\":%d,\"bytes\":%" PRIu64
                       ",\"credential\":%d,\"trouble\":\"%s\",\"request\":",
                       number > first ? "," : "", entry->number, entry->status, entry->size,
                       entry->credential, entry->trouble == NULL ? "none" : entry->trouble));
        TRY(json_write_str(str_from(entry->target), out, err));
        TRY(buf_append_char(out, '}', err));
    }
    return buf_append_char(out, ']', err);
}

bool tally_write_log(Tally *tally, uint64_t since, Buf *out, Error *err)
{
    (void)pthread_mutex_lock(&tally->lock);
    const bool ok = write_log_locked(tally, since, out, err);
    (void)pthread_mutex_unlock(&tally->lock);
    return ok;
}
