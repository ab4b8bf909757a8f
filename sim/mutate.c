#include "mutate.h"

#include "change.h"

#include <inttypes.h>

// One change of the request. `problem` is told to the client, `err` is ours.
typedef struct Mutation {
    World *world;
    Account *account;
    Arena *arena;
    yyjson_val *source;
    Buf ids; // int64_t: the calls it is about
} Mutation;

static int64_t number_of(const Mutation *mutation, const char *name, int64_t fallback)
{
    yyjson_val *value = json_get(mutation->source, str_from(name));
    return yyjson_is_int(value) ? yyjson_get_sint(value) : fallback;
}

static bool add_id(Mutation *mutation, int64_t id, Error *err)
{
    return buf_append(&mutation->ids, (Str){(const char *)&id, sizeof(id)}, err);
}

static bool read_date(const Mutation *mutation, const char *name, int32_t *date, Error *err)
{
    yyjson_val *value = json_get(mutation->source, str_from(name));
    if (value == NULL || (yyjson_is_str(value) && date_parse(json_str(value), date)))
        return true;
    return error_set(err, ERROR_JOB, "mutate: %s is not a date", name);
}

// The calls it is about: one id, or some of those of a range of days.
static bool choose_calls(Mutation *mutation, Error *err)
{
    if (json_get(mutation->source, STR("id")) != NULL)
        return add_id(mutation, number_of(mutation, "id", 0), err);
    int32_t from = INT32_MIN, to = INT32_MAX;
    TRY(read_date(mutation, "start_date", &from, err));
    TRY(read_date(mutation, "end_date", &to, err));
    const int64_t every = number_of(mutation, "every", 1),
                  limit = number_of(mutation, "limit", MUTATE_CALLS_MAX);
    if (every < 1 || limit < 0 || limit > MUTATE_CALLS_MAX)
        return error_set(err, ERROR_JOB, "mutate: every is at least 1, limit at most %d",
                         MUTATE_CALLS_MAX);

    const Selection selection = world_select(mutation->account, from, to);
    Spot spot = selection_skip(&selection, 0);
    Call call;
    for (int64_t i = 0, taken = 0; taken < limit && selection_next(&selection, &spot, &call); i++) {
        if (i % every != 0)
            continue;
        TRY(add_id(mutation, call.id, err));
        taken++;
    }
    return true;
}

static bool set_members(const Mutation *mutation, int64_t id, const char *name, bool raw,
                        Error *err)
{
    yyjson_val *members = json_get(mutation->source, str_from(name));
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(members, i, count, key, value)
    {
        CLEANUP(buf_done) Buf text = {0};
        if (raw && !yyjson_is_str(value))
            return error_set(err, ERROR_JOB, "mutate: raw members are texts");
        TRY(raw ? buf_append(&text, json_str(value), err) : json_write(value, &text, err));
        TRY(change_edit(mutation->account, id,
                        &(ChangeMember){json_str(key), buf_str(&text), false}, 1, err));
    }
    return true;
}

static bool edit(const Mutation *mutation, int64_t id, Error *err)
{
    TRY(set_members(mutation, id, "set", false, err));
    TRY(set_members(mutation, id, "raw", true, err));
    size_t i, count;
    yyjson_val *name;
    yyjson_arr_foreach(json_get(mutation->source, STR("unset")), i, count, name)
    {
        TRY(change_edit(mutation->account, id, &(ChangeMember){json_str(name), {NULL, 0}, false}, 1,
                        err));
    }
    return true;
}

static bool poison(const Mutation *mutation, int64_t id, Error *err)
{
    Poison dose;
    TRY(trouble_poison(json_str(json_get(mutation->source, STR("variant"))),
                       number_of(mutation, "count", 0), mutation->arena, &dose, err));
    TRY(change_edit(mutation->account, id, &(ChangeMember){dose.name, dose.value, false}, 1, err));
    return dose.second.data == NULL ||
           change_edit(mutation->account, id, &(ChangeMember){dose.name, dose.second, true}, 1,
                       err);
}

static bool change_one(const Mutation *mutation, int64_t id, Error *err)
{
    const Str action = json_str(json_get(mutation->source, STR("do")));
    Account *account = mutation->account;
    if (str_equal(action, STR("edit")))
        return edit(mutation, id, err);
    if (str_equal(action, STR("revert")))
        return change_revert(account, id, err);
    if (str_equal(action, STR("poison")))
        return poison(mutation, id, err);
    if (str_equal(action, STR("delete")))
        return change_set_fate(mutation->world, account, id, CHANGE_FATE_DELETED, err);
    if (str_equal(action, STR("restore")))
        return change_set_fate(mutation->world, account, id, CHANGE_FATE_KEPT, err);
    if (str_equal(action, STR("born")))
        return change_set_fate(mutation->world, account, id, CHANGE_FATE_BORN, err);
    return error_set(err, ERROR_JOB,
                     "mutate: do is edit, revert, poison, delete, restore, born or insert");
}

static bool insert(Mutation *mutation, Error *err)
{
    int64_t id = 0;
    const int64_t moment = number_of(mutation, "unix_time", mutation->world->now);
    TRY(change_insert(mutation->world, mutation->account, number_of(mutation, "id", 0), moment, &id,
                      err));
    TRY(add_id(mutation, id, err));
    return edit(mutation, id, err);
}

static bool mutate(Mutation *mutation, Error *err)
{
    mutation->account = world_account(mutation->world, number_of(mutation, "account", 0));
    if (mutation->account == NULL)
        return error_set(err, ERROR_NOT_FOUND, "mutate: no such account");
    if (str_equal(json_str(json_get(mutation->source, STR("do"))), STR("insert")))
        return insert(mutation, err);
    TRY(choose_calls(mutation, err));
    const int64_t *ids = (const int64_t *)(const void *)mutation->ids.data;
    for (size_t i = 0; i < mutation->ids.size / sizeof(*ids); i++)
        TRY(change_one(mutation, ids[i], err));
    return true;
}

static bool write_ids(const Mutation *mutation, Buf *out, Error *err)
{
    const int64_t *ids = (const int64_t *)(const void *)mutation->ids.data;
    TRY(buf_append(out, STR("{\"ids\":["), err));
    for (size_t i = 0; i < mutation->ids.size / sizeof(*ids); i++)
        TRY(buf_printf(out, err, "%s%" PRId64, i > 0 ? "," : "", ids[i]));
    return buf_append(out, STR("]}"), err);
}

static bool mutate_all(Mutation *mutation, yyjson_val *body, Error *err)
{
    if (!yyjson_is_arr(body)) {
        mutation->source = body;
        return mutate(mutation, err);
    }
    size_t i, count;
    yyjson_val *source;
    yyjson_arr_foreach(body, i, count, source)
    {
        mutation->source = source;
        TRY(mutate(mutation, err));
    }
    return true;
}

bool mutate_handle(Control *control, Error *err)
{
    World *world = &control->service->world;
    Mutation mutation = {.world = world, .arena = control->answer->arena};
    Error problem = {0};
    world_write(world);
    const bool done = mutate_all(&mutation, control->body, &problem);
    world_unlock(world);
    const bool ok = done ? write_ids(&mutation, &control->answer->body, err)
                         : answer_error(control->answer, 400, err, "%s", problem.message);
    buf_done(&mutation.ids);
    return ok;
}
