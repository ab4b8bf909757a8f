#include "run/job_partition.h"

#include "base/time.h"

#include <stdio.h>

// clang-format off
const Field job_partition_fields[] = {
    {"include",       FIELD_JSON(JobPartition, include),      .help = "values to read; [\"*\"] = all"},
    {"exclude",       FIELD_JSON(JobPartition, exclude),      .help = "values to leave out"},
    {"timezone_from", FIELD_STR(JobPartition, timezone_from), .help = "JSON pointer to the zone in the parent's record"},
    {"timezones",     FIELD_JSON(JobPartition, timezones),    .help = "zone as the source names it -> IANA zone"},
    {0},
};
// clang-format on

static bool check_zones(yyjson_val *zones, Str path, Str pointer, Arena *arena, Findings *findings,
                        Error *err)
{
    if (zones != NULL && !yyjson_is_obj(zones)) {
        findings_add(findings, findings_place(findings, path, pointer), STR("is no object"),
                     STR("write {\"Eastern Time (US & Canada)\": \"America/New_York\"}"));
        return true;
    }
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *zone = NULL;
    yyjson_obj_foreach(zones, i, count, name, zone)
    {
        const Zone *opened = NULL;
        Error problem = {0};
        if (yyjson_is_str(zone) && zone_open(json_str(zone), arena, &opened, &problem))
            continue;
        Str member = {0};
        TRY(arena_printf(arena, &member, err, STR_FMT "/" STR_FMT, STR_ARG(pointer),
                         STR_ARG(json_str(name))));
        findings_addf(findings, findings_place(findings, path, member), STR(""), "%s",
                      yyjson_is_str(zone) ? problem.message : "is no text");
    }
    return true;
}

bool job_partitions_read(yyjson_val *partitions, Str path, Arena *arena, Findings *findings,
                         JobPartition ret_partitions[JOB_PARTITIONS_MAX], size_t *ret_count,
                         Error *err)
{
    size_t i = 0;
    size_t count = 0;
    size_t filled = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(partitions, i, count, name, member)
    {
        if (filled == JOB_PARTITIONS_MAX)
            return error_set(err, ERROR_JOB, STR_FMT ": more than %d partition fields",
                             STR_ARG(path), JOB_PARTITIONS_MAX);
        JobPartition *partition = &ret_partitions[filled++];
        Str pointer = {0};
        Str zones = {0};
        TRY(arena_printf(arena, &pointer, err, "/partitions/" STR_FMT, STR_ARG(json_str(name))) &&
            arena_printf(arena, &zones, err, STR_FMT "/timezones", STR_ARG(pointer)));
        TRY(field_read(job_partition_fields, member, (FieldPlace){path, pointer}, arena, partition,
                       findings, err));
        TRY(arena_copy_str(arena, json_str(name), &partition->field, err) &&
            check_zones(partition->timezones, path, zones, arena, findings, err));
    }
    *ret_count = filled;
    return true;
}

static bool list_holds(yyjson_val *list, Str value)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        char number[32];
        Str text = json_str(item);
        if (yyjson_is_int(item)) {
            (void)snprintf(number, sizeof(number), "%lld", (long long)yyjson_get_sint(item));
            text = str_from(number);
        }
        if (str_equal(text, STR("*")) || str_equal(text, value))
            return true;
    }
    return false;
}

bool job_partition_admits(const JobPartition *partition, Str value)
{
    return (partition->include == NULL || list_holds(partition->include, value)) &&
           (partition->exclude == NULL || !list_holds(partition->exclude, value));
}

Str job_partition_zone(const JobPartition *partition, Str name)
{
    yyjson_val *meant = json_get(partition->timezones, name);
    return meant == NULL ? name : json_str(meant);
}
