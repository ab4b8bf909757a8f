#include "control.h"

#include "base/json.h"
#include "mutate.h"

#include <inttypes.h>

#define US_PER_SECOND INT64_C(1000000)

static bool write_clock(Control *control, Error *err)
{
    char text[TIME_TEXT_BYTES];
    world_read(&control->service->world);
    const int64_t now = control->service->world.now;
    world_unlock(&control->service->world);
    time_format_iso(now * US_PER_SECOND, text);
    return buf_printf(&control->answer->body, err, "{\"now\":\"%s\",\"unix_time\":%" PRId64 "}",
                      text, now);
}

// {"now": "2026-11-02T00:00:00Z"} or {"advance": seconds}
static bool handle_clock(Control *control, Error *err)
{
    if (control->body == NULL)
        return write_clock(control, err);
    World *world = &control->service->world;
    yyjson_val *now = json_get(control->body, STR("now"));
    yyjson_val *advance = json_get(control->body, STR("advance"));
    int64_t us = 0;
    if (!yyjson_is_int(advance) && (!yyjson_is_str(now) || !time_parse_iso(json_str(now), &us)))
        return answer_error(
            control->answer, 400, err,
            "clock: give \"now\" as 2026-11-02T00:00:00Z, or \"advance\" in seconds");
    Error problem = {0};
    world_write(world);
    const int64_t old = world->now;
    const int64_t moment =
        yyjson_is_int(advance) ? old + yyjson_get_sint(advance) : us / US_PER_SECOND;
    const bool ok = world_set_now(world, moment, &problem);
    world_unlock(world);
    if (!ok)
        return answer_error(control->answer, 400, err, "%s", problem.message);
    return write_clock(control, err);
}

static bool handle_stats(Control *control, Error *err)
{
    Buf *body = &control->answer->body;
    if (str_equal(control->request->method, STR("DELETE")))
        tally_clear(&control->service->tally);
    const AuthCounts counts = auth_counts(&control->service->auth);
    TRY(buf_append_char(body, '{', err));
    TRY(tally_write(&control->service->tally, body, err));
    return buf_printf(body, err,
                      ",\"tokens\":{\"issued\":%" PRIu64 ",\"refreshed\":%" PRIu64
                      ",\"replayed\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"expired\":%" PRIu64 "}}",
                      counts.issued, counts.refreshed, counts.replayed, counts.refused,
                      counts.expired);
}

static bool handle_log(Control *control, Error *err)
{
    Str since;
    int64_t number = 1;
    TRY(query_parameter(control->query->raw, STR("since"), control->answer->arena, &since, err));
    if (since.size > 0 && (!str_to_int64(since, &number) || number < 1))
        return answer_error(control->answer, 400, err, "log: since is a number from 1 on");
    return tally_write_log(&control->service->tally, (uint64_t)number, &control->answer->body, err);
}

static bool handle_shutdown(Control *control, Error *err)
{
    if (!str_equal(control->request->method, STR("POST")))
        return answer_error(control->answer, 405, err, "shutdown: POST it");
    atomic_store(&control->service->stop, true);
    return buf_append(&control->answer->body, STR("{\"stopping\":true}"), err);
}

static bool handle_faults(Control *control, Error *err)
{
    Troubles *troubles = &control->service->troubles;
    Error problem = {0};
    if (control->body != NULL && !troubles_set(troubles, control->body, &problem))
        return answer_error(control->answer, 400, err, "%s", problem.message);
    return troubles_write(troubles, &control->answer->body, err);
}

// {"rate": 20, "burst": 10}
static bool handle_limit(Control *control, Error *err)
{
    const double rate = yyjson_get_num(json_get(control->body, STR("rate")));
    const double burst = yyjson_get_num(json_get(control->body, STR("burst")));
    if (control->body == NULL || rate < 0 || burst < 0)
        return answer_error(control->answer, 400, err,
                            "limit: give \"rate\" (a second) and \"burst\"");
    limit_set(&control->service->limit, rate, burst);
    return buf_append(&control->answer->body, STR("{\"done\":true}"), err);
}

// Ends every access token.
static bool handle_expire(Control *control, Error *err)
{
    auth_expire_all(&control->service->auth);
    return buf_append(&control->answer->body, STR("{\"done\":true}"), err);
}

// {"account": 1003} from now on, {"account": 1003, "from": TIME}, {"account": 1003, "from": null}
// never
static bool handle_forbid(Control *control, Error *err)
{
    World *world = &control->service->world;
    Account *account =
        world_account(world, yyjson_get_sint(json_get(control->body, STR("account"))));
    yyjson_val *from = json_get(control->body, STR("from"));
    int64_t us = 0;
    if (account == NULL || (yyjson_is_str(from) && !time_parse_iso(json_str(from), &us)))
        return answer_error(control->answer, 400, err,
                            "forbid: give \"account\", and \"from\" as a time or null");
    world_write(world);
    account->forbidden_from = yyjson_is_str(from)    ? us / US_PER_SECOND
                              : yyjson_is_null(from) ? LIFE_NEVER
                                                     : INT64_MIN;
    world_unlock(world);
    return buf_append(&control->answer->body, STR("{\"done\":true}"), err);
}

// What a reader of an account's days must have seen: to compare with, without reading pages.
static bool handle_truth(Control *control, Error *err)
{
    Str id_text;
    int64_t id = 0;
    TRY(query_parameter(control->query->raw, STR("account"), control->answer->arena, &id_text,
                        err));
    World *world = &control->service->world;
    const Account *account = str_to_int64(id_text, &id) ? world_account(world, id) : NULL;
    if (account == NULL || control->query->wrong != NULL)
        return answer_error(control->answer, 400, err,
                            "truth: give ?account=, start_date and end_date as you like");
    world_read(world);
    const Selection selection = world_select(account, control->query->from, control->query->to);
    Spot spot = selection_skip(&selection, 0);
    Call call;
    uint64_t id_sum = 0;
    int64_t first = 0, last = 0;
    for (uint32_t i = 0; selection_next(&selection, &spot, &call); i++) {
        id_sum += (uint64_t)call.id;
        last = i == 0 ? call.moment : last;
        first = call.moment;
    }
    world_unlock(world);
    return buf_printf(&control->answer->body, err,
                      "{\"calls\":%" PRIu32 ",\"id_sum\":%" PRIu64 ",\"first\":%" PRId64
                      ",\"last\":%" PRId64 "}",
                      selection.total, id_sum, first, last);
}

static const struct {
    const char *name;
    bool (*handle)(Control *control, Error *err);
} handlers[] = {
    {"clock", handle_clock},       {"stats", handle_stats},   {"log", handle_log},
    {"faults", handle_faults},     {"mutate", mutate_handle}, {"limit", handle_limit},
    {"expire", handle_expire},     {"forbid", handle_forbid}, {"truth", handle_truth},
    {"shutdown", handle_shutdown},
};

bool control_answer(Service *service, const Request *request, const Query *query, Answer *answer,
                    Error *err)
{
    Control control = {service, request, query, answer, NULL};
    if (request->body.size > 0) {
        yyjson_doc *doc = NULL;
        Error problem = {0};
        if (!json_parse(request->body, "body", answer->arena, &doc, &problem))
            return answer_error(answer, 400, err, "%s", problem.message);
        control.body = yyjson_doc_get_root(doc);
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]) && query->word_count == 2; i++)
        if (str_equal(query->words[1], str_from(handlers[i].name)))
            return handlers[i].handle(&control, err);
    return answer_error(
        answer, 404, err,
        "control: clock, stats, log, faults, mutate, limit, expire, forbid, truth or shutdown");
}
