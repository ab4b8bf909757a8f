#include "service.h"

#include "base/json.h"
#include "change.h"
#include "control.h"
#include "mishap.h"
#include "record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { SERVICE_ARENA_BYTES = 64 * 1024 * 1024, HEADER_TEXT_BYTES = 64 };
#define US_PER_SECOND INT64_C(1000000)

// One request on its way: what all who answer a part of it need.
typedef struct Visit {
    Service *service;
    const Request *request;
    Answer *answer;
    Query query;
    Str origin; // "http://127.0.0.1:8080"
    Identity identity;
    Account *account; // the one the path names, or NULL
    Change poison;    // for the page, as the trouble wants it
} Visit;

bool service_init(Service *service, const ServicePlan *plan, Env *env, Error *err)
{
    *service = (Service){.plan = *plan, .env = env};
    service->arena = arena_new(SERVICE_ARENA_BYTES, err);
    TRY(service->arena != NULL);
    service->plan.auth.accounts = plan->world.accounts;
    service->plan.auth.first_account = WORLD_FIRST_ACCOUNT;
    service->plan.limit.credentials = AUTH_FIRST_ACCOUNT + plan->world.accounts;
    TRY(world_init(&service->world, &plan->world, err));
    TRY(auth_init(&service->auth, &service->plan.auth, service->arena, err));
    TRY(limit_init(&service->limit, &service->plan.limit, service->arena, err));
    TRY(tally_init(&service->tally, service->arena, err));
    TRY(troubles_init(&service->troubles, plan->world.seed, err));
    return plan->faults.size == 0 || service_set_faults(service, plan->faults, err);
}

bool service_set_faults(Service *service, Str script, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(SERVICE_ARENA_BYTES, err);
    TRY(arena != NULL);
    yyjson_doc *doc = NULL;
    TRY(json_parse(script, "faults", arena, &doc, err));
    return troubles_set(&service->troubles, yyjson_doc_get_root(doc), err);
}

void service_done(Service *service)
{
    troubles_done(&service->troubles);
    tally_done(&service->tally);
    limit_done(&service->limit);
    auth_done(&service->auth);
    world_done(&service->world);
    arena_free(service->arena);
    service->arena = NULL;
}

bool answer_header(Answer *answer, const char *name, Str value, Error *err)
{
    if (answer->header_count == ANSWER_HEADERS_MAX)
        return error_set(err, ERROR_LIMIT, "answer: more than %d headers", ANSWER_HEADERS_MAX);
    AnswerHeader *header = &answer->headers[answer->header_count++];
    header->name = name;
    return arena_copy_str(answer->arena, value, &header->value, err);
}

bool answer_date(Answer *answer, const char *name, int64_t us, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(time_format(us, 0, STR("%a, %d %b %Y %H:%M:%S GMT"), &text, err));
    return answer_header(answer, name, buf_str(&text), err);
}

bool answer_error(Answer *answer, int status, Error *err, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    answer->status = status;
    buf_clear(&answer->body);
    TRY(buf_append(&answer->body, STR("{\"error\":"), err));
    TRY(json_write_str(str_from(message), &answer->body, err));
    return buf_append_char(&answer->body, '}', err);
}

static PagePlan page_plan(const Visit *visit)
{
    const Service *service = visit->service;
    return (PagePlan){.world = &service->world,
                      .query = &visit->query,
                      .origin = visit->origin,
                      .cap = service->plan.cap,
                      .after_is_capped = service->plan.after_is_capped};
}

static bool answer_refusal(const Visit *visit, const PagePlan *plan, PageRefusal refusal,
                           Error *err)
{
    switch (refusal) {
    case PAGE_OK:
        return true;
    case PAGE_TOO_LARGE:
        return answer_error(visit->answer, 400, err, "per_page limit is %d", QUERY_PER_PAGE_MAX);
    case PAGE_BEYOND_CAP:
        return answer_error(visit->answer, 400, err,
                            "result window is too large: no rows beyond %" PRIu32, plan->cap);
    case PAGE_BAD_AFTER:
        return answer_error(visit->answer, 400, err, "after is not a valid cursor");
    case PAGE_BAD_PARAMETER:
        break;
    }
    return answer_error(visit->answer, 400, err, "%s is not valid", visit->query.wrong);
}

static bool twist_page(Visit *visit, PagePlan *plan, Error *err)
{
    *plan = page_plan(visit);
    return mishap_twist(visit->service, visit->request, &visit->answer->trouble,
                        visit->answer->arena, plan, &visit->poison, err);
}

static bool answer_list(Visit *visit, const PageList *list, Error *err)
{
    PagePlan plan;
    PageRefusal refusal = PAGE_OK;
    TRY(twist_page(visit, &plan, err));
    TRY(page_write_list(&plan, list, &visit->answer->body, &refusal, err));
    return answer_refusal(visit, &plan, refusal, err);
}

static bool write_account(const void *state, uint32_t index, Buf *out, Error *err)
{
    const Account *account = &((const Visit *)state)->service->world.accounts[index];
    return buf_printf(
        out, err,
        "{\"id\":%" PRIu32 ",\"name\":\"%s\",\"user_role\":\"admin\",\"status\":\"active\","
        "\"timezone_hint\":\"%s\",\"time_zone\":\"%s\",\"created\":\"2019-03-0%uT12:00:00Z\","
        "\"stats\":{\"calls\":{\"total\":%" PRIu32 "},\"numbers\":%" PRIu32 "},\"agency_id\":1000}",
        account->id, account->name, account->zone_name, account->zone_name,
        account->ordinal % 9 + 1, world_select(account, INT32_MIN, INT32_MAX).total,
        account->roster.items[ROSTER_NUMBERS].count);
}

// An account's key sees its own account only.
static bool write_own_account(const void *state, uint32_t index, Buf *out, Error *err)
{
    (void)index;
    const Visit *visit = state;
    return write_account(state, (uint32_t)(visit->identity.account_id - WORLD_FIRST_ACCOUNT), out,
                         err);
}

static bool answer_accounts(Visit *visit, Error *err)
{
    const bool all = visit->identity.account_id == 0;
    const PageList list = {.key = "accounts",
                           .count = all ? visit->service->plan.world.accounts : 1,
                           .write = all ? write_account : write_own_account,
                           .state = visit};
    return answer_list(visit, &list, err);
}

static bool write_roster_item(const void *state, uint32_t index, Buf *out, Error *err)
{
    return buf_append(out, ((const WordList *)state)->items[index], err);
}

// State of one list of contacts.
typedef struct Contacts {
    const Visit *visit;
    uint32_t list_index;
} Contacts;

static bool write_contact(const void *state, uint32_t index, Buf *out, Error *err)
{
    const Contacts *contacts = state;
    return roster_contact(&contacts->visit->account->roster, &contacts->visit->service->world.words,
                          contacts->list_index, index, out, err);
}

static bool answer_contacts(Visit *visit, Error *err)
{
    const int list_index = roster_find_list(&visit->account->roster, query_id(&visit->query, 3));
    if (list_index < 0)
        return answer_error(visit->answer, 404, err, "no such list");
    const Contacts contacts = {visit, (uint32_t)list_index};
    const PageList list = {.key = "contacts",
                           .count =
                               roster_contact_count(&visit->account->roster, contacts.list_index),
                           .cut_at_10 = true,
                           .write = write_contact,
                           .state = &contacts};
    return answer_list(visit, &list, err);
}

static bool answer_calls(Visit *visit, Error *err)
{
    PagePlan plan;
    PageRefusal refusal = PAGE_OK;
    TRY(twist_page(visit, &plan, err));
    TRY(page_write_calls(&plan, visit->account, &visit->answer->body, &refusal, err));
    return answer_refusal(visit, &plan, refusal, err);
}

static bool answer_call(Visit *visit, Error *err)
{
    Call call;
    if (!world_find(visit->account, query_id(&visit->query, 3), &call))
        return answer_error(visit->answer, 404, err, "call not found");
    return record_append(&visit->service->world, &call, 0, (Str){NULL, 0}, &visit->answer->body,
                         err);
}

// The sale alone: cut out of the record, so that the two never disagree.
static bool answer_sale(Visit *visit, Error *err)
{
    TRY(answer_call(visit, err));
    Buf *body = &visit->answer->body;
    if (visit->answer->status != 200)
        return true;
    yyjson_doc *doc = NULL;
    TRY(json_parse(buf_str(body), "sale", visit->answer->arena, &doc, err));
    yyjson_val *sale = json_get(yyjson_doc_get_root(doc), STR("sale"));
    buf_clear(body);
    if (sale == NULL)
        return answer_error(visit->answer, 404, err, "this call has no sale");
    return json_write(sale, body, err);
}

// Minutes between two epoch seconds, as the agents' end points want them: slow, and small here.
static bool answer_agents(Visit *visit, Error *err)
{
    const bool events = str_equal(visit->query.words[3], STR("events"));
    const Roster *roster = &visit->account->roster;
    Buf *body = &visit->answer->body;
    TRY(buf_printf(body, err, "{\"%s\":[", events ? "events" : "utilization"));
    for (uint32_t i = 0; i < roster->items[ROSTER_USERS].count; i++) {
        TRY(buf_printf(body, err, "%s{\"uid\":%" PRIu32, i > 0 ? "," : "",
                       roster->account_id * 10000 + i));
        TRY(buf_printf(body, err,
                       events ? ",\"status\":\"online\",\"at\":%" PRId64 "}"
                              : ",\"talk_seconds\":%" PRId64 "}",
                       events ? visit->service->world.now - 60 * (int64_t)i
                              : 3600 + 60 * (int64_t)i));
    }
    return buf_append(body, STR("]}"), err);
}

// End points that list what the roster holds.
static const struct {
    const char *path, *key;
    RosterKind kind;
    bool cut_at_10;
} roster_paths[] = {
    {"users", "users", ROSTER_USERS, false},
    {"sources", "sources", ROSTER_SOURCES, false},
    {"numbers", "numbers", ROSTER_NUMBERS, false},
    {"receiving_numbers", "receiving_numbers", ROSTER_RECEIVING_NUMBERS, false},
    {"triggers", "automators", ROSTER_TRIGGERS, false},
    {"lists", "contact_lists", ROSTER_LISTS, true},
    {"call_settings", "configs", ROSTER_CALL_SETTINGS, false},
    {"webhooks", "webhooks", ROSTER_WEBHOOKS, false},
    {"custom_fields", "custom_fields", ROSTER_CUSTOM_FIELDS, false},
};

static bool answer_resource(Visit *visit, Error *err)
{
    const Query *query = &visit->query;
    const Str name = query->words[2];
    const size_t count = query->word_count;
    if (str_equal(name, STR("calls")) && count == 3)
        return answer_calls(visit, err);
    if (str_equal(name, STR("calls")) && count == 4)
        return answer_call(visit, err);
    if (str_equal(name, STR("calls")) && count == 5 && str_equal(query->words[4], STR("sale")))
        return answer_sale(visit, err);
    if (str_equal(name, STR("lists")) && count == 5 && str_equal(query->words[4], STR("contacts")))
        return answer_contacts(visit, err);
    if (str_equal(name, STR("agents")) && count == 4)
        return answer_agents(visit, err);
    for (size_t i = 0; i < sizeof(roster_paths) / sizeof(roster_paths[0]) && count == 3; i++) {
        if (!str_equal(name, str_from(roster_paths[i].path)))
            continue;
        const WordList *items = &visit->account->roster.items[roster_paths[i].kind];
        const PageList list = {.key = roster_paths[i].key,
                               .count = items->count,
                               .cut_at_10 = roster_paths[i].cut_at_10,
                               .write = write_roster_item,
                               .state = items};
        return answer_list(visit, &list, err);
    }
    return answer_error(visit->answer, 404, err, "no such resource");
}

// Behind the door: the account, then what is asked of it. Holds the world still.
static bool answer_inside(Visit *visit, Error *err)
{
    const Query *query = &visit->query;
    if (query->word_count == 1)
        return answer_accounts(visit, err);
    visit->account = world_account(&visit->service->world, query_id(query, 1));
    const int64_t own = visit->identity.account_id;
    if (visit->account == NULL)
        return answer_error(visit->answer, 404, err, "no such account");
    if ((own != 0 && own != visit->account->id) ||
        visit->service->world.now >= visit->account->forbidden_from) {
        visit->answer->status = 403;
        return buf_append(
            &visit->answer->body,
            STR("{\"status\":\"error\",\"message\":\"you do not have access to this account\"}"),
            err);
    }
    if (query->word_count == 2)
        return write_account(visit, visit->account->ordinal, &visit->answer->body, err);
    return answer_resource(visit, err);
}

static bool answer_unauthorized(Visit *visit, AuthVerdict verdict, Error *err)
{
    visit->answer->status = 401;
    TRY(answer_header(visit->answer, "WWW-Authenticate", STR("Basic realm=\"ctm\", Bearer"), err));
    if (verdict == AUTH_EXPIRED)
        return buf_append(
            &visit->answer->body,
            STR("{\"error\":\"invalid_token\",\"error_description\":\"the access token expired\"}"),
            err);
    return buf_append(&visit->answer->body,
                      STR("{\"status\":\"error\",\"message\":\"authentication required\"}"), err);
}

static bool answer_too_fast(Visit *visit, int64_t wait_us, Error *err)
{
    char seconds[HEADER_TEXT_BYTES];
    const int size = snprintf(seconds, sizeof(seconds), "%" PRId64,
                              (wait_us + US_PER_SECOND - 1) / US_PER_SECOND);
    TRY(answer_header(visit->answer, "Retry-After", (Str){seconds, (size_t)size}, err));
    return answer_error(visit->answer, 429, err, "rate limit exceeded");
}

bool service_advance(Service *service, int64_t seconds, Error *err)
{
    world_write(&service->world);
    const bool ok = world_set_now(&service->world, service->world.now + seconds, err);
    world_unlock(&service->world);
    return ok;
}

// What happens in the world between two pages of calls.
static bool move_world(Visit *visit, Error *err)
{
    Service *service = visit->service;
    const Query *query = &visit->query;
    if (query->word_count != 3 || !str_equal(query->words[2], STR("calls")))
        return true;
    if (service->plan.tick_s > 0)
        TRY(service_advance(service, service->plan.tick_s, err));
    const Trouble *trouble = &visit->answer->trouble;
    if (trouble->kind != TROUBLE_SHIFT)
        return true;
    return mishap_shift(service, query_id(query, 1), trouble->count > 0 ? trouble->count : 1, err);
}

static bool answer_api(Visit *visit, Error *err)
{
    Service *service = visit->service;
    const int64_t now_us = service->env->monotonic_us(service->env->state);
    const AuthVerdict verdict =
        auth_check(&service->auth, visit->request->authorization, now_us, &visit->identity);
    if (verdict != AUTH_OK)
        return answer_unauthorized(visit, verdict, err);
    int64_t wait_us = 0;
    if (!limit_take(&service->limit, visit->identity.credential, now_us, &wait_us))
        return answer_too_fast(visit, wait_us, err);
    if (!str_equal(visit->request->method, STR("GET")))
        return answer_error(visit->answer, 405, err, "method not allowed");

    TRY(move_world(visit, err));
    world_read(&service->world);
    const bool ok = answer_inside(visit, err);
    world_unlock(&service->world);
    buf_done(&visit->poison.members);
    return ok;
}

static bool is_token_path(const Query *query)
{
    return query->word_count == 2 && str_equal(query->words[0], STR("oauth2")) &&
           str_equal(query->words[1], STR("token"));
}

static bool answer_token(Visit *visit, Error *err)
{
    Service *service = visit->service;
    if (!str_equal(visit->request->method, STR("POST")))
        return answer_error(visit->answer, 405, err, "method not allowed");
    const AuthRequest request = {visit->request->authorization, visit->request->body,
                                 service->env->monotonic_us(service->env->state)};
    return auth_issue(&service->auth, &request, visit->answer->arena, &visit->answer->body,
                      &visit->answer->status, err);
}

static bool answer_for_real(Visit *visit, Error *err)
{
    const Query *query = &visit->query;
    if (is_token_path(query))
        return answer_token(visit, err);
    if (query->is_api && query->word_count >= 1 && str_equal(query->words[0], STR("accounts")))
        return answer_api(visit, err);
    return answer_error(visit->answer, 404, err, "no such page");
}

static bool is_control(const Query *query)
{
    return query->word_count >= 1 && str_equal(query->words[0], STR("_sim"));
}

static bool answer_by_path(Visit *visit, Error *err)
{
    Service *service = visit->service;
    Answer *answer = visit->answer;
    if (visit->request->to_stranger)
        return buf_append(&answer->body,
                          STR("{\"calls\":[],\"next_page\":null,\"total_entries\":0}"), err);
    if (is_control(&visit->query) && service->plan.control)
        return control_answer(service, visit->request, &visit->query, answer, err);

    TRY(troubles_ask(&service->troubles, visit->request->method, &visit->query, answer->arena,
                     &answer->trouble, err));
    if (mishap_replaces(&answer->trouble))
        return mishap_replace(service, visit->request, &answer->trouble, answer, err);
    TRY(answer_for_real(visit, err));
    return mishap_spoil(&answer->trouble, answer, err);
}

int64_t service_delay_us(const Service *service, const Request *request)
{
    if (request->to_stranger || !str_starts_with(request->target, STR("/api/")))
        return 0;
    const bool agents = str_find(request->target, STR("/agents/")) < request->target.size;
    return service->plan.latency_us + (agents ? service->plan.agents_latency_us : 0);
}

// Without --world-date the listener dates it, by the same clock.
static bool set_date(Service *service, Answer *answer, Error *err)
{
    answer->date_us = service->env->now_us(service->env->state);
    if (!service->plan.world_date)
        return true;
    world_read(&service->world);
    answer->date_us = service->world.now * US_PER_SECOND;
    world_unlock(&service->world);
    return answer_date(answer, "Date", answer->date_us, err);
}

bool service_answer(Service *service, const Request *request, Answer *answer, Error *err)
{
    Visit visit = {.service = service,
                   .request = request,
                   .answer = answer,
                   .identity = {.credential = UINT32_MAX}};
    answer->status = 200;
    answer->content_type = "application/json; charset=utf-8";
    answer->header_count = 0;
    answer->trouble = (Trouble){.kind = TROUBLE_NONE};
    buf_clear(&answer->body);
    TRY(set_date(service, answer, err));
    TRY(query_parse(request->target, answer->arena, &visit.query, err));
    TRY(arena_printf(answer->arena, &visit.origin, err, "%s://" STR_FMT,
                     request->is_secure ? "https" : "http", STR_ARG(request->host)));
    const bool ok = answer_by_path(&visit, err);
    if (is_control(&visit.query) && !request->to_stranger)
        return ok;
    const TroubleKind kind = answer->trouble.kind;
    const TallyRequest entry = {.method = request->method,
                                .target = request->target,
                                .resource = visit.query.resource,
                                .status = ok ? answer->status : 500,
                                .credential = (int)visit.identity.credential,
                                .size = answer->body.size,
                                .trouble = kind == TROUBLE_NONE ? NULL : trouble_name(kind),
                                .to_stranger = request->to_stranger,
                                .has_credential = request->authorization.size > 0};
    tally_count(&service->tally, &entry);
    return ok;
}
