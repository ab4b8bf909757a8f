#include "mishap.h"

#include <inttypes.h>
#include <stdio.h>

enum { HUGE_BYTES = 200 * 1000 * 1000, CAP_ROWS = 10000, TIME_TEXT = 40 };

bool mishap_replaces(const Trouble *trouble)
{
    return trouble->kind == TROUBLE_STATUS || trouble->kind == TROUBLE_ERROR_200 ||
           trouble->kind == TROUBLE_HTML || trouble->kind == TROUBLE_REDIRECT ||
           trouble->kind == TROUBLE_EXPIRED;
}

// "date" becomes an HTTP date five seconds ahead of the answer's own; "date+30" one thirty ahead.
static bool retry_after(Str wanted, Answer *answer, Error *err)
{
    int64_t ahead = 5;
    if (!str_starts_with(wanted, STR("date")))
        return answer_header(answer, "Retry-After", wanted, err);
    (void)str_to_int64(str_slice(wanted, 4, SIZE_MAX), &ahead);
    return answer_date(answer, "Retry-After", answer->date_us + ahead * 1000000, err);
}

static bool replace_status(const Trouble *trouble, Answer *answer, Error *err)
{
    answer->status = trouble->status > 0 ? (int)trouble->status : 500;
    if (trouble->retry_after.data != NULL)
        TRY(retry_after(trouble->retry_after, answer, err));
    if (trouble->body.size > 0)
        return buf_append(&answer->body, trouble->body, err);
    if (answer->status == 429)
        return answer_error(answer, 429, err, "rate limit exceeded");
    return buf_printf(&answer->body, err,
                      "{\"status\":\"error\",\"message\":\"status %d was asked for\"}",
                      answer->status);
}

static bool replace_error_200(const Trouble *trouble, Answer *answer, Error *err)
{
    static const struct {
        const char *variant, *body;
    } rows[] = {
        {"success", "{\"success\":false}"},
        {"error", "{\"error\":\"something went wrong\"}"},
        {"errors", "{\"errors\":[\"something went wrong\",\"twice\"]}"},
        {"status", "{\"status\":\"error\",\"message\":\"something went wrong\"}"},
    };
    if (trouble->body.size > 0)
        return buf_append(&answer->body, trouble->body, err);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (str_equal(trouble->variant, str_from(rows[i].variant)))
            return buf_append(&answer->body, str_from(rows[i].body), err);
    return buf_append(&answer->body, str_from(rows[0].body), err);
}

// The stranger's address of this very request, or the address that the script gives.
static bool elsewhere(const Service *service, const Request *request, const Trouble *trouble,
                      Arena *arena, Str *ret_url, Error *err)
{
    if (trouble->to.size > 0)
        return arena_copy_str(arena, trouble->to, ret_url, err);
    return arena_printf(arena, ret_url, err, STR_FMT STR_FMT, STR_ARG(service->stranger_origin),
                        STR_ARG(request->target));
}

bool mishap_replace(const Service *service, const Request *request, const Trouble *trouble,
                    Answer *answer, Error *err)
{
    if (trouble->kind == TROUBLE_STATUS)
        return replace_status(trouble, answer, err);
    if (trouble->kind == TROUBLE_ERROR_200)
        return replace_error_200(trouble, answer, err);
    if (trouble->kind == TROUBLE_EXPIRED) {
        answer->status = 401;
        TRY(answer_header(answer, "WWW-Authenticate", STR("Bearer error=\"invalid_token\""), err));
        return buf_append(
            &answer->body,
            STR("{\"error\":\"invalid_token\",\"error_description\":\"the access token expired\"}"),
            err);
    }
    if (trouble->kind == TROUBLE_HTML) {
        answer->content_type = "text/html; charset=utf-8";
        return buf_append(
            &answer->body,
            STR("<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be "
                "right back</h1></body></html>"),
            err);
    }
    Str url;
    TRY(elsewhere(service, request, trouble, answer->arena, &url, err));
    answer->status = trouble->status > 0 ? (int)trouble->status : 302;
    TRY(answer_header(answer, "Location", url, err));
    return buf_append(&answer->body, STR("{\"redirected\":true}"), err);
}

static bool add_poison(const Trouble *trouble, Arena *arena, Change *change, Error *err)
{
    Poison poison;
    TRY(trouble_poison(trouble->variant, trouble->count, arena, &poison, err));
    TRY(change_add_member(change, &(ChangeMember){poison.name, poison.value, false}, err));
    return poison.second.data == NULL ||
           change_add_member(change, &(ChangeMember){poison.name, poison.second, true}, err);
}

bool mishap_twist(const Service *service, const Request *request, const Trouble *trouble,
                  Arena *arena, PagePlan *plan, Change *ret_poison, Error *err)
{
    *ret_poison = (Change){0};
    if (trouble->kind == TROUBLE_NEXT_ELSEWHERE)
        return elsewhere(service, request, trouble, arena, &plan->twist.next_page, err);
    if (trouble->kind == TROUBLE_NEXT_SELF)
        plan->twist.next_is_self = true;
    if (trouble->kind == TROUBLE_TOTAL)
        plan->twist.total_delta = trouble->count;
    if (trouble->kind == TROUBLE_HUGE)
        plan->twist.huge_bytes = trouble->bytes > 0 ? trouble->bytes : HUGE_BYTES;
    if (trouble->kind == TROUBLE_CAP) {
        plan->cap = trouble->count > 0 ? (uint32_t)trouble->count : CAP_ROWS;
        plan->after_is_capped = str_equal(trouble->variant, STR("after"));
    }
    if (trouble->kind == TROUBLE_POISON) {
        plan->twist.poison = ret_poison;
        return add_poison(trouble, arena, ret_poison, err);
    }
    return true;
}

bool mishap_shift(Service *service, int64_t account_id, int64_t count, Error *err)
{
    World *world = &service->world;
    Account *account = world_account(world, account_id);
    if (account == NULL)
        return true;
    bool ok = true;
    world_write(world);
    for (int64_t i = 0; i < count && ok; i++) {
        int64_t id;
        ok = change_insert(world, account, 0, world->now, &id, err);
    }
    world_unlock(world);
    return ok;
}

bool mishap_spoil(const Trouble *trouble, Answer *answer, Error *err)
{
    if (trouble->kind != TROUBLE_INVALID_JSON)
        return true;
    answer->body.size /= 2;
    return buf_append(&answer->body, STR(",,}]"), err);
}
