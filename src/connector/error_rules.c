#include "connector/engine.h"

#include "net/retry.h"

#include <regex.h>

enum { ATTEMPTS_DEFAULT = 6, CODES_MAX = 64, REGEX_BYTES_MAX = 512 };

static const double YEAR_SECONDS = 365.0 * 86400; // the longest wait that is reported

typedef struct ResponseFilter {
    ResponseAction action;
    int codes[CODES_MAX];
    size_t code_count;
    Expr predicate;
    Str contains;
    Expr message;
} ResponseFilter;

typedef struct ErrorHandler {
    ResponseFilter *filters;
    size_t filter_count;
} ErrorHandler;

typedef enum BackoffKind {
    BACKOFF_CONSTANT,
    BACKOFF_EXPONENTIAL,
    BACKOFF_HEADER,
    BACKOFF_UNTIL_HEADER,
} BackoffKind;

typedef struct Backoff {
    BackoffKind kind;
    Expr seconds; // or the factor
    Expr jitter;
    Expr header;
    Expr regex;
    Expr least;
    Expr most;
} Backoff;

struct ErrorRules {
    ErrorHandler *handlers;
    size_t handler_count;
    bool composite;
    Backoff *backoffs; // of all handlers, one list: the reference uses the first that answers
    size_t backoff_count;
    size_t backoff_room;
    int64_t attempts;
};

// ------------------------------------------------------------------------ binding

static bool bind_action(const Binder *binder, const Node *node, ResponseAction *ret_action,
                        Error *err)
{
    static const struct {
        const char *name;
        ResponseAction action;
    } actions[] = {
        {"SUCCESS", ACTION_SUCCESS},
        {"RETRY", ACTION_RETRY},
        {"RATE_LIMITED", ACTION_LIMITED},
        {"IGNORE", ACTION_IGNORE},
        {"FAIL", ACTION_FAIL},
        {"RESET_PAGINATION", ACTION_RESET},
        {"REFRESH_TOKEN_THEN_RETRY", ACTION_REFRESH},
    };
    Str name = node_text(node_get(node, STR("action")));
    if (name.size == 0) {
        *ret_action = ACTION_NONE;
        return true;
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (str_equal(name, str_from(actions[i].name))) {
            *ret_action = actions[i].action;
            return true;
        }
    }
    return error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: action " STR_FMT,
                     STR_ARG(binder->file), node->line, STR_ARG(name));
}

static bool bind_codes(const Binder *binder, const Node *node, ResponseFilter *filter, Error *err)
{
    const Node *codes = node_get(node, STR("http_codes"));
    if (codes == NULL || codes->kind != NODE_LIST)
        return true;
    if (codes->count > CODES_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: more than %d http_codes",
                         STR_ARG(binder->file), codes->line, CODES_MAX);
    for (size_t i = 0; i < codes->count; i++) {
        const Node *code = codes->items[i];
        int64_t number = 0;
        if (code->kind == NODE_SCALAR && code->scalar.kind == VALUE_INT)
            number = code->scalar.integer;
        else if (!str_to_int64(node_text(code), &number))
            return error_set(err, ERROR_JOB, STR_FMT ":%u: an http_code is a number",
                             STR_ARG(binder->file), code->line);
        filter->codes[filter->code_count++] = (int)number;
    }
    return true;
}

static bool bind_filter(const Binder *binder, const Node *node, ResponseFilter *filter, Error *err)
{
    if (!bind_is(node, "HttpResponseFilter"))
        return bind_unsupported(binder, node, err);
    TRY(bind_action(binder, node, &filter->action, err));
    TRY(bind_codes(binder, node, filter, err));
    filter->contains = node_text(node_get(node, STR("error_message_contains")));
    TRY(expr_bind_field(node, STR("predicate"), binder->file, binder->arena, &filter->predicate,
                        err));
    if (filter->predicate.exists && filter->predicate.source.size == 0)
        filter->predicate.exists = false;
    return expr_bind_field(node, STR("error_message"), binder->file, binder->arena,
                           &filter->message, err);
}

static bool bind_backoff(const Binder *binder, const Node *node, Backoff *backoff, Error *err)
{
    const char *seconds = NULL;
    if (bind_is(node, "ConstantBackoffStrategy")) {
        backoff->kind = BACKOFF_CONSTANT;
        seconds = "backoff_time_in_seconds";
    } else if (bind_is(node, "ExponentialBackoffStrategy")) {
        backoff->kind = BACKOFF_EXPONENTIAL;
        seconds = "factor";
    } else if (bind_is(node, "WaitTimeFromHeader")) {
        backoff->kind = BACKOFF_HEADER;
    } else if (bind_is(node, "WaitUntilTimeFromHeader")) {
        backoff->kind = BACKOFF_UNTIL_HEADER;
    } else {
        return bind_unsupported(binder, node, err);
    }
    Arena *arena = binder->arena;
    if (seconds != NULL)
        return expr_bind_field(node, str_from(seconds), binder->file, arena, &backoff->seconds,
                               err) &&
               expr_bind_field(node, STR("jitter_range_in_seconds"), binder->file, arena,
                               &backoff->jitter, err);
    TRY(expr_bind_field(node, STR("header"), binder->file, arena, &backoff->header, err));
    if (!backoff->header.exists)
        return bind_missing(binder, node, "header", err);
    TRY(expr_bind_field(node, STR("regex"), binder->file, arena, &backoff->regex, err));
    TRY(expr_bind_field(node, STR("min_wait"), binder->file, arena, &backoff->least, err));
    return expr_bind_field(node, STR("max_waiting_time_in_seconds"), binder->file, arena,
                           &backoff->most, err);
}

static size_t list_count(const Node *node)
{
    return node != NULL && node->kind == NODE_LIST ? node->count : 0;
}

static bool bind_backoffs(const Binder *binder, const Node *list, ErrorRules *rules, Error *err)
{
    size_t count = list_count(list);
    Backoff *backoffs =
        arena_alloc_array(binder->arena, rules->backoff_count + count + 1, sizeof *backoffs, err);
    TRY(backoffs != NULL);
    if (rules->backoff_count > 0)
        memcpy(backoffs, rules->backoffs, rules->backoff_count * sizeof *backoffs);
    rules->backoffs = backoffs;
    for (size_t i = 0; i < count; i++)
        TRY(bind_backoff(binder, list->items[i], &backoffs[rules->backoff_count++], err));
    return true;
}

static bool bind_attempts(const Binder *binder, const Node *node, int64_t *attempts, Error *err)
{
    Expr expr = {0};
    TRY(expr_bind_field(node, STR("max_retries"), binder->file, binder->arena, &expr, err));
    if (!expr.exists)
        return true;
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    Value value = value_none();
    TRY(expr_value(&expr, &frame, binder->arena, &value, err));
    if (value.kind != VALUE_INT)
        return error_set(err, ERROR_JOB, STR_FMT ":%u: max_retries is no whole number",
                         STR_ARG(binder->file), node->line);
    *attempts = (value.integer < 0 ? 0 : value.integer) + 1;
    return true;
}

static bool bind_handler(const Binder *binder, const Node *node, ErrorRules *rules, Error *err)
{
    if (!bind_is(node, "DefaultErrorHandler"))
        return bind_unsupported(binder, node, err);
    ErrorHandler *handler = &rules->handlers[rules->handler_count++];
    const Node *filters = node_get(node, STR("response_filters"));
    size_t count = list_count(filters);
    handler->filters = arena_alloc_array(binder->arena, count + 1, sizeof *handler->filters, err);
    TRY(handler->filters != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(bind_filter(binder, filters->items[i], &handler->filters[handler->filter_count++],
                        err));
    if (rules->handler_count == 1)
        TRY(bind_attempts(binder, node, &rules->attempts, err));
    return bind_backoffs(binder, node_get(node, STR("backoff_strategies")), rules, err);
}

bool error_rules_bind(const Binder *binder, const Node *node, const ErrorRules **ret_rules,
                      Error *err)
{
    ErrorRules *rules = arena_alloc(binder->arena, sizeof *rules, err);
    TRY(rules != NULL);
    rules->attempts = ATTEMPTS_DEFAULT;
    const Node *list = node_get(node, STR("error_handlers"));
    size_t room = bind_is(node, "CompositeErrorHandler") ? list_count(list) : 1;
    rules->handlers = arena_alloc_array(binder->arena, room + 1, sizeof *rules->handlers, err);
    TRY(rules->handlers != NULL);
    *ret_rules = rules;
    if (node_is_null(node)) {
        rules->handler_count = 1;
        return true;
    }
    if (!bind_is(node, "CompositeErrorHandler"))
        return bind_handler(binder, node, rules, err);
    rules->composite = true;
    for (size_t i = 0; i < room; i++) {
        const Node *child = list->items[i];
        TRY(bind_handler(binder, child, rules, err));
    }
    if (rules->handler_count == 0)
        return bind_missing(binder, node, "error_handlers", err);
    return true;
}

int64_t error_rules_attempts(const ErrorRules *rules)
{
    return rules->attempts;
}

// ------------------------------------------------------------------------ judging

static ResponseAction built_in_action(int status)
{
    switch (status) {
    case 429:
        return ACTION_LIMITED;
    case 408:
    case 500:
    case 502:
    case 503:
    case 504:
        return ACTION_RETRY;
    case 400:
    case 401:
    case 403:
    case 404:
    case 405:
        return ACTION_FAIL;
    default:
        // A status that the reference's map does not know is tried again.
        return status < 400 ? ACTION_SUCCESS : ACTION_RETRY;
    }
}

static bool append_error(yyjson_val *value, size_t depth, Buf *out, Error *err);

static bool append_errors(yyjson_val *list, size_t depth, Buf *out, Error *err)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(list, index, count, item)
    {
        if (out->size > 0)
            TRY(buf_append(out, STR(", "), err));
        TRY(append_error(item, depth + 1, out, err));
    }
    return true;
}

// The message that an error body most likely means.
static bool append_error(yyjson_val *value, size_t depth, Buf *out, Error *err)
{
    static const char *const names[] = {"message",       "messages", "error",  "errors",
                                        "failures",      "failure",  "detail", "err",
                                        "error_message", "msg",      "reason", "status_message"};
    if (depth > JSON_DEPTH_MAX)
        return true;
    if (yyjson_is_str(value))
        return buf_append(out, json_str(value), err);
    if (yyjson_is_arr(value))
        return append_errors(value, depth, out, err);
    if (!yyjson_is_obj(value))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        yyjson_val *member = json_get(value, str_from(names[i]));
        if (member != NULL && value_is_true(value_json(member)))
            return append_error(member, depth + 1, out, err);
    }
    return true;
}

static bool message_contains(yyjson_val *root, Str body, Str part, bool *ret_yes, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    if (root != NULL)
        TRY(append_error(root, 0, &text, err));
    Str message = root == NULL ? body : buf_str(&text);
    *ret_yes = message.size > 0 && str_find(message, part) < message.size;
    return true;
}

static bool filter_matches(const ResponseFilter *filter, const HttpResponse *response,
                           yyjson_val *root, Frame *frame, Arena *arena, bool *ret_yes, Error *err)
{
    *ret_yes = true;
    for (size_t i = 0; i < filter->code_count; i++) {
        if (filter->codes[i] == response->status)
            return true;
    }
    if (filter->predicate.exists) {
        TRY(expr_bool(&filter->predicate, frame, arena, ret_yes, err));
        if (*ret_yes)
            return true;
    }
    *ret_yes = false;
    if (filter->contains.size > 0)
        return message_contains(root, response->body, filter->contains, ret_yes, err);
    return true;
}

static bool judge_one(const ErrorHandler *handler, const HttpResponse *response, yyjson_val *root,
                      Frame *frame, Arena *arena, ErrorVerdict *verdict, Error *err)
{
    for (size_t i = 0; i < handler->filter_count; i++) {
        const ResponseFilter *filter = &handler->filters[i];
        bool yes = false;
        TRY(filter_matches(filter, response, root, frame, arena, &yes, err));
        if (!yes || filter->action == ACTION_NONE)
            continue;
        verdict->action = filter->action;
        verdict->message = (Str){NULL, 0};
        if (filter->message.exists)
            TRY(expr_text(&filter->message, frame, arena, &verdict->message, err));
        return true;
    }
    verdict->action = built_in_action(response->status);
    verdict->message = (Str){NULL, 0};
    return true;
}

bool error_rules_judge(const ErrorRules *rules, const HttpResponse *response, yyjson_val *root,
                       Frame *frame, Arena *arena, ErrorVerdict *ret_verdict, Error *err)
{
    ErrorVerdict verdict = {.action = built_in_action(response->status)};
    for (size_t i = 0; i < rules->handler_count; i++) {
        TRY(judge_one(&rules->handlers[i], response, root, frame, arena, &verdict, err));
        // Of several handlers, one that fails or limits does not stop the scan.
        if (verdict.action != ACTION_FAIL && verdict.action != ACTION_LIMITED &&
            verdict.action != ACTION_REFRESH)
            break;
    }
    *ret_verdict = verdict;
    return true;
}

// ------------------------------------------------------------------------ waiting

static bool number_of(Value value, double *ret_number)
{
    if (value.kind == VALUE_INT)
        *ret_number = (double)value.integer;
    else if (value.kind == VALUE_FLOAT)
        *ret_number = value.number;
    else
        return value.kind == VALUE_STR && str_to_double(str_trim(value.text), ret_number);
    return true;
}

// A number that a manifest or an answer may have given.
typedef struct Given {
    double number;
    bool there;
} Given;

static bool seconds_of(const Expr *expr, double fallback, Frame *frame, Arena *arena,
                       Given *ret_seconds, Error *err)
{
    *ret_seconds = (Given){.number = fallback};
    if (!expr->exists)
        return true;
    Value value = value_none();
    TRY(expr_value(expr, frame, arena, &value, err));
    ret_seconds->there = number_of(value, &ret_seconds->number);
    return true;
}

// The part of `text` that Python's re.match(pattern, text).group() gives, or all of it. Only what
// POSIX knows of the pattern is understood, and \d, \w, \s.
static bool match_prefix(Str pattern, Str text, Arena *arena, Str *ret_part, Error *err)
{
    static const char *const classes[][2] = {
        {"\\d", "[0-9]"}, {"\\w", "[A-Za-z0-9_]"}, {"\\s", "[[:space:]]"}};
    CLEANUP(buf_done) Buf posix = {.limit_bytes = REGEX_BYTES_MAX};
    TRY(buf_append_char(&posix, '^', err));
    for (size_t i = 0; i < pattern.size;) {
        size_t known = 0;
        Str two = str_slice(pattern, i, 2);
        while (known < 3 && !str_equal(two, str_from(classes[known][0])))
            known++;
        if (known < 3)
            TRY(buf_append(&posix, str_from(classes[known][1]), err));
        else
            TRY(buf_append_char(&posix, pattern.data[i], err));
        i += known < 3 ? 2 : 1;
    }
    TRY(buf_append_char(&posix, '\0', err));
    Str copy = {0};
    TRY(arena_copy_str(arena, text, &copy, err));
    *ret_part = text;
    regex_t regex;
    if (regcomp(&regex, posix.data, REG_EXTENDED) != 0)
        return true;
    regmatch_t match;
    if (regexec(&regex, copy.data, 1, &match, 0) == 0)
        *ret_part = str_slice(copy, (size_t)match.rm_so, (size_t)(match.rm_eo - match.rm_so));
    regfree(&regex);
    return true;
}

static bool header_number(const Backoff *backoff, const HttpResponse *response, Frame *frame,
                          Arena *arena, Given *ret_number, Error *err)
{
    Str name = {0};
    *ret_number = (Given){0};
    TRY(expr_text(&backoff->header, frame, arena, &name, err));
    Str text = http_header(response, name);
    if (text.size == 0)
        return true;
    if (backoff->regex.exists && backoff->regex.source.size > 0) {
        Str pattern = {0};
        TRY(expr_text(&backoff->regex, frame, arena, &pattern, err));
        TRY(match_prefix(pattern, text, arena, &text, err));
    }
    ret_number->there = str_to_double(str_trim(text), &ret_number->number);
    return true;
}

static bool wait_until(const Backoff *backoff, Given until, Frame *frame, Arena *arena,
                       Given *ret_seconds, Error *err)
{
    Given least = {0};
    TRY(seconds_of(&backoff->least, 0, frame, arena, &least, err));
    least.there = least.there && least.number != 0;
    if (!until.there || until.number == 0) {
        *ret_seconds = least;
        return true;
    }
    const double now = (double)frame->env->now_us(frame->env->state) / 1e6;
    double wait = until.number - now;
    if (least.there && wait < least.number)
        wait = least.number;
    *ret_seconds = (Given){wait, least.there || wait >= 0};
    return true;
}

static bool one_wait(const Backoff *backoff, const HttpResponse *response, int64_t attempt,
                     Frame *frame, Arena *arena, Given *ret_seconds, Error *err)
{
    Given until = {0};
    switch (backoff->kind) {
    case BACKOFF_CONSTANT:
        return seconds_of(&backoff->seconds, 0, frame, arena, ret_seconds, err);
    case BACKOFF_EXPONENTIAL:
        TRY(seconds_of(&backoff->seconds, 5, frame, arena, ret_seconds, err));
        ret_seconds->there = true;
        for (int64_t i = 0; i < attempt && i < 30; i++)
            ret_seconds->number *= 2;
        return true;
    case BACKOFF_HEADER:
        return header_number(backoff, response, frame, arena, ret_seconds, err);
    case BACKOFF_UNTIL_HEADER:
        TRY(header_number(backoff, response, frame, arena, &until, err));
        return wait_until(backoff, until, frame, arena, ret_seconds, err);
    }
    return true;
}

// The reference draws from the manifest's wait to that and twice the jitter.
static bool jitter_us(const Backoff *backoff, Frame *frame, Arena *arena, int64_t *ret_us,
                      Error *err)
{
    Given jitter = {0};
    *ret_us = 0;
    TRY(seconds_of(&backoff->jitter, 0, frame, arena, &jitter, err));
    if (!jitter.there || !(jitter.number > 0))
        return true;
    const double most = jitter.number < YEAR_SECONDS ? jitter.number : YEAR_SECONDS;
    *ret_us = (int64_t)(frame->env->random(frame->env->state) % (uint64_t)(most * 2e6 + 1));
    return true;
}

bool error_rules_wait(const ErrorRules *rules, const HttpResponse *response, int64_t attempt,
                      Frame *frame, Arena *arena, ErrorWait *ret_wait, Error *err)
{
    *ret_wait = (ErrorWait){.us = -1};
    for (size_t i = 0; i < rules->backoff_count; i++) {
        const Backoff *backoff = &rules->backoffs[i];
        Given seconds = {0}, most = {0};
        TRY(one_wait(backoff, response, attempt, frame, arena, &seconds, err));
        if (!seconds.there || seconds.number <= 0)
            continue;
        TRY(seconds_of(&backoff->most, 0, frame, arena, &most, err));
        ret_wait->asked = backoff->kind == BACKOFF_HEADER || backoff->kind == BACKOFF_UNTIL_HEADER;
        ret_wait->too_long = most.there && seconds.number >= most.number;
        int64_t more_us = 0;
        TRY(jitter_us(backoff, frame, arena, &more_us, err));
        const double most_s = seconds.number < YEAR_SECONDS ? seconds.number : YEAR_SECONDS;
        ret_wait->us = (int64_t)(most_s * 1e6) + more_us;
        return true;
    }
    return true;
}
