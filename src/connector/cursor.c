#include "connector/engine.h"

// ------------------------------------------------------------------------ binding

static bool bind_time(const Binder *binder, const Node *component, Str field, MinMaxTime *time,
                      Error *err)
{
    const Node *node = node_get(component, field);
    if (node_is_null(node) || (node->kind == NODE_SCALAR && !node_is_true(node)))
        return true;
    time->exists = true;
    Arena *arena = binder->arena;
    if (node->kind != NODE_MAP)
        return expr_bind(component, node, binder->file, arena, &time->value, err);
    if (!bind_is(node, "MinMaxDatetime"))
        return bind_unsupported(binder, node, err);
    TRY(expr_bind_field(node, STR("datetime"), binder->file, arena, &time->value, err));
    if (!time->value.exists)
        return bind_missing(binder, node, "datetime", err);
    TRY(expr_bind_field(node, STR("min_datetime"), binder->file, arena, &time->least, err));
    TRY(expr_bind_field(node, STR("max_datetime"), binder->file, arena, &time->most, err));
    time->format = node_text(node_get(node, STR("datetime_format")));
    return true;
}

static bool bind_duration(const Binder *binder, const Node *component, const char *field,
                          bool *ret_there, Duration *ret_duration, Error *err)
{
    Str text = {0};
    TRY(bind_text(binder, component, str_from(field), STR(""), &text, err));
    *ret_there = text.size > 0;
    if (text.size > 0 && !duration_parse(text, ret_duration))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: %s '" STR_FMT "' is no ISO 8601 duration",
                         STR_ARG(binder->file), component->line, field, STR_ARG(text));
    return true;
}

static bool bind_formats(const Binder *binder, const Node *node, TimeCursor *cursor, Error *err)
{
    cursor->format = node_text(node_get(node, STR("datetime_format")));
    if (cursor->format.size == 0)
        return bind_missing(binder, node, "datetime_format", err);
    const Node *list = node_get(node, STR("cursor_datetime_formats"));
    size_t count = list != NULL && list->kind == NODE_LIST ? list->count : 0;
    cursor->formats = arena_alloc_array(binder->arena, count + 1, sizeof(Str), err);
    TRY(cursor->formats != NULL);
    for (size_t i = 0; i < count; i++) {
        Str format = node_text(list->items[i]);
        if (format.size > 0)
            cursor->formats[cursor->format_count++] = format;
    }
    cursor->formats[cursor->format_count++] = cursor->format;
    return true;
}

static bool bind_steps(const Binder *binder, const Node *node, TimeCursor *cursor, Error *err)
{
    TRY(bind_duration(binder, node, "step", &cursor->has_step, &cursor->step, err));
    TRY(bind_duration(binder, node, "cursor_granularity", &cursor->has_granularity,
                      &cursor->granularity, err));
    TRY(bind_duration(binder, node, "lookback_window", &cursor->has_lookback, &cursor->lookback,
                      err));
    bool step = !node_is_null(node_get(node, STR("step")));
    bool granularity = !node_is_null(node_get(node, STR("cursor_granularity")));
    if (step != granularity)
        return error_set(err, ERROR_JOB,
                         STR_FMT ":%u: step and cursor_granularity go together: give both or none",
                         STR_ARG(binder->file), node->line);
    if (!node_is_null(node_get(node, STR("clamping"))))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: clamping",
                         STR_ARG(binder->file), node->line);
    return true;
}

static bool eval_time(const TimeCursor *cursor, const MinMaxTime *time, Frame *frame, Arena *arena,
                      Instant *ret_instant, Error *err);

bool time_cursor_bind(const Binder *binder, const Node *node, TimeCursor *ret_cursor, Error *err)
{
    TimeCursor cursor = {0};
    if (node_is_null(node)) {
        *ret_cursor = cursor;
        return true;
    }
    if (!bind_is(node, "DatetimeBasedCursor"))
        return bind_unsupported(binder, node, err);
    cursor.exists = true;
    TRY(bind_text(binder, node, STR("cursor_field"), STR(""), &cursor.field, err));
    if (cursor.field.size == 0)
        return bind_missing(binder, node, "cursor_field", err);
    TRY(bind_formats(binder, node, &cursor, err));
    TRY(bind_text(binder, node, STR("partition_field_start"), STR("start_time"), &cursor.start_key,
                  err));
    TRY(bind_text(binder, node, STR("partition_field_end"), STR("end_time"), &cursor.end_key, err));
    TRY(bind_time(binder, node, STR("start_datetime"), &cursor.start_time, err));
    TRY(bind_time(binder, node, STR("end_datetime"), &cursor.end_time, err));
    if (!cursor.start_time.exists)
        return bind_missing(binder, node, "start_datetime", err);
    TRY(bind_steps(binder, node, &cursor, err));
    TRY(request_option_bind(node, STR("start_time_option"), binder->file, binder->arena,
                            &cursor.start_option, err));
    TRY(request_option_bind(node, STR("end_time_option"), binder->file, binder->arena,
                            &cursor.end_option, err));
    cursor.is_data_feed = node_is_true(node_get(node, STR("is_data_feed")));
    cursor.is_client_side = node_is_true(node_get(node, STR("is_client_side_incremental")));
    cursor.compares_strictly = node_is_true(node_get(node, STR("is_compare_strictly")));
    cursor.is_global = node_is_true(node_get(node, STR("global_substream_cursor")));
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    TRY(eval_time(&cursor, &cursor.start_time, &frame, binder->arena, &cursor.start, err));
    *ret_cursor = cursor;
    return true;
}

// ------------------------------------------------------------------------ times

static bool parse_text(Str text, Str format, Instant *ret_instant)
{
    bool has_zone = false;
    Instant instant = {0};
    if (!time_parse_offset(text, format, NULL, &instant.us, &instant.offset_seconds, &has_zone))
        return false;
    *ret_instant = instant;
    return true;
}

static bool is_number_format(Str format)
{
    return str_equal(format, STR("%s")) || str_equal(format, STR("%ms")) ||
           str_equal(format, STR("%epoch_microseconds"));
}

// Python's int(date) of these formats cuts a float's fraction off.
static bool parse_value(Value value, Str format, Arena *arena, Instant *ret_instant)
{
    Error ignored = {0};
    Str text = {0};
    if (value.kind == VALUE_FLOAT && is_number_format(format) && value.number > -9e18 &&
        value.number < 9e18)
        value = value_int((int64_t)value.number);
    return value_text(value, arena, &text, &ignored) && parse_text(text, format, ret_instant);
}

bool time_cursor_parse(const TimeCursor *cursor, Value value, Arena *arena, Instant *ret_instant)
{
    if (value.kind == VALUE_UNDEFINED || value.kind == VALUE_NONE)
        return false;
    for (size_t i = 0; i < cursor->format_count; i++) {
        if (parse_value(value, cursor->formats[i], arena, ret_instant))
            return true;
    }
    return false;
}

bool time_cursor_format(const TimeCursor *cursor, Instant instant, Arena *arena, Str *ret_text,
                        Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(time_format(instant.us, instant.offset_seconds, cursor->format, &text, err));
    return arena_copy_str(arena, buf_str(&text), ret_text, err);
}

Value time_cursor_value(const TimeCursor *cursor, yyjson_val *record)
{
    yyjson_val *value = json_get(record, cursor->field);
    return value == NULL ? value_undefined() : value_json(value);
}

static bool eval_part(const Expr *expr, Str format, Frame *frame, Arena *arena,
                      Instant *ret_instant, bool *ret_there, Error *err)
{
    Str text = {0};
    *ret_there = false;
    if (!expr->exists)
        return true;
    TRY(expr_text(expr, frame, arena, &text, err));
    if (text.size == 0)
        return true;
    if (!parse_text(text, format, ret_instant))
        return error_set(err, ERROR_JOB, "time '" STR_FMT "' does not fit the format '" STR_FMT "'",
                         STR_ARG(text), STR_ARG(format));
    *ret_there = true;
    return true;
}

static bool eval_time(const TimeCursor *cursor, const MinMaxTime *time, Frame *frame, Arena *arena,
                      Instant *ret_instant, Error *err)
{
    const Str format = time->format.size > 0 ? time->format : cursor->format;
    Instant instant = {0}, bound = {0};
    bool there = false;
    TRY(eval_part(&time->value, format, frame, arena, &instant, &there, err));
    if (!there)
        return error_set(err, ERROR_JOB, "a start or end time of the manifest is empty");
    TRY(eval_part(&time->least, format, frame, arena, &bound, &there, err));
    if (there && bound.us > instant.us)
        instant = bound;
    TRY(eval_part(&time->most, format, frame, arena, &bound, &there, err));
    if (there && bound.us < instant.us)
        instant = bound;
    *ret_instant = instant;
    return true;
}

bool time_cursor_end(const TimeCursor *cursor, Frame *frame, Arena *arena, Instant *ret_end,
                     Error *err)
{
    if (cursor->end_time.exists)
        return eval_time(cursor, &cursor->end_time, frame, arena, ret_end, err);
    *ret_end = (Instant){.us = frame->env->now_us(frame->env->state)};
    return true;
}

// Years beyond what a calendar holds end at its edges, so that a step of a million years is merely
// a long one.
static int64_t clip(int64_t us)
{
    static const Civil first = {1, 1, 1, 0, 0, 0, 0}, last = {9999, 12, 31, 23, 59, 59, 999999};
    const int64_t least = us_from_civil(first), most = us_from_civil(last);
    if (us < least)
        return least;
    return us > most ? most : us;
}

Instant instant_add(Instant instant, Duration duration, int sign)
{
    int64_t offset = (int64_t)instant.offset_seconds * US_PER_SECOND;
    int64_t local = clip(instant.us) + offset, sum = 0;
    if (duration.months != 0) {
        int64_t day = local / US_PER_DAY - (local % US_PER_DAY < 0);
        int64_t rest = local - day * US_PER_DAY;
        const Duration months = {.months = duration.months};
        local = (int64_t)date_add_duration((int32_t)day, months, sign) * US_PER_DAY + rest;
    }
    bool over = sign > 0 ? __builtin_add_overflow(local - offset, duration.us, &sum)
                         : __builtin_sub_overflow(local - offset, duration.us, &sum);
    if (over)
        sum = (duration.us > 0) == (sign > 0) ? INT64_MAX : INT64_MIN;
    instant.us = clip(sum);
    return instant;
}
