#include "run/state.h"

#include "run/drivers.h"
#include "run/log_book.h"
#include "run/unfinished.h"
#include "store/lease.h"

#include <stdio.h>

enum { PARTITION_LEVELS_MAX = 8 };

static bool value_is(yyjson_val *value, Str wanted)
{
    char number[32];
    if (!yyjson_is_int(value))
        return str_equal(json_str(value), wanted);
    (void)snprintf(number, sizeof(number), "%lld", (long long)yyjson_get_sint(value));
    return str_equal(str_from(number), wanted);
}

// A partition's fields, and those of its parents.
static bool has_value(yyjson_val *fields, Str wanted)
{
    for (int level = 0; fields != NULL && level < PARTITION_LEVELS_MAX; level++) {
        size_t i = 0;
        size_t count = 0;
        yyjson_val *name = NULL;
        yyjson_val *member = NULL;
        yyjson_obj_foreach(fields, i, count, name, member)
        {
            if (value_is(member, wanted))
                return true;
        }
        fields = json_get(fields, STR("parent_slice"));
    }
    return false;
}

static bool add_marks(const JobParts *parts, const PlanStream *stream, Str account,
                      StateMark **marks, size_t *count, Error *err)
{
    Watermark *found = NULL;
    size_t found_count = 0;
    TRY(parts->warehouse.driver->read_watermarks(parts->warehouse.state, parts->job->name,
                                                 &stream->table, parts->arena, &found, &found_count,
                                                 err));
    StateMark *all = arena_alloc_array(parts->arena, *count + found_count + 1, sizeof(*all), err);
    TRY(all != NULL);
    if (*count > 0)
        memcpy(all, *marks, *count * sizeof(*all));
    for (size_t i = 0; i < found_count; i++) {
        if (!str_equal(found[i].stream, stream_name(stream->stream)))
            continue;
        PlanPartition partition = {0};
        TRY(stream_partition_from_key(stream->stream, found[i].partition_key, parts->arena,
                                      &partition.partition, err));
        TRY(plan_bind_partition(parts->job, stream->stream, STR(""), parts->arena, &partition,
                                err));
        if (account.size > 0 && !has_value(partition.partition.fields, account))
            continue;
        all[(*count)++] = (StateMark){
            .mark = found[i], .value = partition.value, .stream = stream, .before_us = INT64_MIN};
    }
    *marks = all;
    return true;
}

bool state_marks(const JobParts *parts, Str account, StateMark **ret_marks, size_t *ret_count,
                 Error *err)
{
    *ret_marks = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < parts->stream_count; i++)
        TRY(add_marks(parts, &parts->streams[i], account, ret_marks, ret_count, err));
    return true;
}

// A mark before the history that the job asks for is a slip of the pen, after which an incremental
// run would read centuries. A job without such a day has no history before 1970.
static bool check_not_before_history(const Job *job, Str text, int64_t us, Error *err)
{
    int32_t first = 0; // 1970-01-01
    const bool named = date_parse(job->modes[MODE_HISTORIC].from, &first);
    if (us >= zone_start_of_date(job->timezone, first))
        return true;
    char day[TIME_TEXT_BYTES];
    date_format(first, day);
    return error_set(err, ERROR_JOB, "--to: '" STR_FMT "' is too early: %s is the earliest day%s",
                     STR_ARG(text), day, named ? " (modes.historic.from of the job)" : "");
}

static bool parse_to(const Job *job, Str text, int64_t *ret_us, Error *err)
{
    int32_t date = 0;
    if (date_parse(text, &date))
        *ret_us = zone_start_of_date(job->timezone, date);
    else if (!time_parse_iso(text, ret_us))
        return error_set(err, ERROR_JOB,
                         "--to: '" STR_FMT "' is neither a day such as 2026-03-01 nor an instant "
                         "such as 2026-03-01T12:00:00Z",
                         STR_ARG(text));
    return check_not_before_history(job, text, *ret_us, err);
}

static bool log_rewind(JobParts *parts, Str run, const StateMark *mark, Error *err)
{
    char before[TIME_TEXT_BYTES];
    char after[TIME_TEXT_BYTES];
    char detail[160];
    time_format_iso(mark->before_us, before);
    time_format_iso(mark->mark.us, after);
    (void)snprintf(detail, sizeof(detail),
                   "{\"watermark_before\":\"%s\",\"watermark_after\":\"%s\"}", before, after);
    EtlLogRow row = {.run = run,
                     .job = parts->job->name,
                     .mode = STR("incremental"),
                     .stage = STR("rewind"),
                     .stream = mark->mark.stream,
                     .partition_key = mark->mark.partition_key,
                     .status = STR("ok"),
                     .error_json = str_from(detail),
                     ETL_LOG_NONE};
    row.started_us = parts->env->now_us(parts->env->state);
    return parts->warehouse.driver->append_log(parts->warehouse.state, &row, 1, err);
}

// One that somebody set to NULL goes to where it is told.
static bool stays(const StateMark *mark, int64_t to_us)
{
    return mark->mark.us <= to_us && mark->mark.us > 0;
}

static bool rewind_marks(JobParts *parts, Str run, uint64_t epoch, int64_t to_us,
                         const Rewound *rewound, Error *err)
{
    for (size_t i = 0; i < rewound->count; i++) {
        StateMark *mark = &rewound->marks[i];
        if (stays(mark, to_us))
            continue;
        Watermark moved = mark->mark;
        moved.us = to_us;
        TRY(parts->warehouse.driver->set_watermark(parts->warehouse.state, parts->job->name,
                                                   STR("incremental"), &mark->stream->table, &moved,
                                                   epoch, err));
        mark->before_us = mark->mark.us;
        mark->mark = moved;
        TRY(log_rewind(parts, run, mark, err));
    }
    return true;
}

// Whoever is killed before the marks have moved has lost nothing: the next run begins at them.
static bool give_up_unfinished(JobParts *parts, Str stream, int64_t to_us, Rewound *rewound,
                               Error *err)
{
    bool moves = false;
    for (size_t i = 0; i < rewound->count; i++)
        moves = moves || !stays(&rewound->marks[i], to_us);
    if (!moves)
        return true;
    const int64_t now_us = parts->env->now_us(parts->env->state);
    Str run = {0};
    Str json = {0};
    yyjson_val *streams = NULL;
    Plan plan = {0};
    TRY(unfinished_find(parts->landing, MODE_INCREMENTAL, now_us, parts->arena, &run, &json, err));
    if (run.size == 0)
        return true;
    TRY(plan_read_request(json, &plan, parts->arena, &streams, err));
    if (plan.asked.stream.size > 0 && !str_equal(plan.asked.stream, stream))
        return true;
    rewound->given_up = run;
    return unfinished_describe(&plan.asked, parts->arena, &rewound->planned_with, err) &&
           unfinished_give_up(parts->landing, run, now_us, err);
}

bool state_rewind(const Job *job, const RewindOptions *options, Env *env, Arena *arena,
                  Rewound *ret_rewound, Error *err)
{
    int64_t to_us = 0;
    TRY(parse_to(job, options->to, &to_us, err));
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    CLEANUP(job_parts_close) JobParts parts = {0};
    TRY(job_parts_open(job, options->stream, env, arena, findings, &parts, err));
    TRY(findings_check(findings, err));

    char id[UUID_TEXT_BYTES + 1];
    uuid_new(env, id);
    Str path = {0};
    TRY(arena_printf(arena, &path, err, STR_FMT "/leases/incremental.json", STR_ARG(job->name)));
    CLEANUP(lease_release) Lease lease = {0};
    if (!lease_take(&lease, &parts.store, path, str_from(id), LEASE_TTL_US_MAX, err))
        return err->code == ERROR_BUSY
                   ? error_context(err, "an incremental run of this job is going on")
                   : false;
    *ret_rewound = (Rewound){0};
    TRY(state_marks(&parts, options->account, &ret_rewound->marks, &ret_rewound->count, err));
    if (ret_rewound->count == 0)
        return error_set(err, ERROR_NOT_FOUND, "stream '" STR_FMT "' has no such watermark",
                         STR_ARG(options->stream));
    return give_up_unfinished(&parts, options->stream, to_us, ret_rewound, err) &&
           rewind_marks(&parts, str_from(id), lease.epoch, to_us, ret_rewound, err);
}
