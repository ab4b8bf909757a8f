// A manifest of one stream, opened: what tests of plans, loads and states begin with.
#pragma once

#include "base/findings.h"
#include "connector/connector.h"
#include "harness/check.h"
#include "run/plan.h"

#define DAY_US (INT64_C(86400) * 1000000)

#define ONE_STREAM(name, cursor)                                                                   \
    "version: 6.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [" name     \
    "]}\nstreams:\n  - type: DeclarativeStream\n    name: " name "\n    retriever:\n"              \
    "      type: SimpleRetriever\n      requester: {type: HttpRequester, url_base: "               \
    "\"https://api.example.com\", path: /s}\n"                                                     \
    "      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: " \
    "[]}}\n" cursor
#define CURSOR(step, granularity)                                                           \
    "    incremental_sync: {type: DatetimeBasedCursor, cursor_field: at, datetime_format: " \
    "\"%Y-%m-%d\", start_datetime: \"2020-01-01\", step: " step                             \
    ", cursor_granularity: " granularity "}\n"

// Everything lives in `arena`.
static inline bool one_stream_open(const char *manifest, Arena *arena, const Stream **ret_stream,
                                   Error *err)
{
    yyjson_doc *config = NULL;
    Connector *connector = NULL;
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    TRY(json_parse(STR("{}"), "config", arena, &config, err) &&
        connector_open_bytes((ManifestText){STR("m.yaml"), str_from(manifest)},
                             yyjson_doc_get_root(config), &test_env, arena, findings, &connector,
                             err) &&
        findings_check(findings, err));
    *ret_stream = connector_stream(connector, 0);
    return true;
}

enum { SLICES = 6, PARTITIONS = 2 };

// Three days of two partitions, as a plan has them.
typedef struct ThreeDays {
    PlanPartition partitions[PARTITIONS];
    PlanSlice slices[SLICES];
} ThreeDays;

static inline void three_days(ThreeDays *days, PlanStream *stream)
{
    for (size_t i = 0; i < SLICES; i++) {
        const int64_t day = (int64_t)i / PARTITIONS;
        days->slices[i] = (PlanSlice){i % PARTITIONS, day * DAY_US, day * DAY_US};
    }
    days->partitions[0].partition.key = STR("p0");
    days->partitions[1].partition.key = STR("p1");
    stream->partitions = days->partitions;
    stream->partition_count = PARTITIONS;
    stream->slices = days->slices;
    stream->slice_count = SLICES;
    plan_bind_cursor(stream);
}
