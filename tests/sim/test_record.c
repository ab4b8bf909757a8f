#include "base/json.h"
#include "change.h"
#include "record.h"

#include "harness/check.h"

enum { CALLS = 30000, ARENA_BYTES = 16 * 1024 * 1024, NAMES_MAX = 200 };

static void begin(World *world)
{
    Error err = {0};
    WorldPlan plan = {.seed = 7,
                      .calls = CALLS,
                      .accounts = 5,
                      .now = WORLD_NOW_DEFAULT,
                      .rates = {LIFE_EDITS_PER_MILLION, LIFE_DELETES_PER_MILLION}};
    CHECK(date_parse(STR("2025-05-01"), &plan.from));
    CHECK(date_parse(STR("2026-11-01"), &plan.to));
    CHECK_OK(world_init(world, &plan, &err), &err);
}

// What was seen in a sample of records.
typedef struct Seen {
    Str names[NAMES_MAX];
    size_t name_count;
    size_t records, bytes;
    // The inconsistencies of the API, by their number in the list of what is known.
    size_t caller_e164, caller_formatted;                            // 1
    size_t called_at_bare, called_at_colon, called_at_modern;        // 2
    size_t agents, agent_ids;                                        // 3
    size_t dial_completed, dial_answered;                            // 4
    size_t sources, source_names;                                    // 5
    size_t wait_ms, wait_s;                                          // 6
    size_t sales, sale_values;                                       // 7
    size_t route_ints, route_texts, float_durations, form_values[6]; // 8
    size_t nuls;                                                     // 9
    size_t groups_disagree;                                          // 11
} Seen;

static void see_name(Seen *seen, Str name, Arena *arena)
{
    Error err = {0};
    for (size_t i = 0; i < seen->name_count; i++)
        if (str_equal(seen->names[i], name))
            return;
    CHECK(seen->name_count < NAMES_MAX);
    CHECK_OK(arena_copy_str(arena, name, &seen->names[seen->name_count++], &err), &err);
}

static bool is_text(yyjson_val *object, const char *name, const char *text)
{
    return str_equal(json_str(json_get(object, str_from(name))), str_from(text));
}

// "2026-10-31 11:51 PM", "... -04:00" or "2026-10-31 23:51:31 -0400": each must be the moment that
// unix_time names.
static void see_called_at(Seen *seen, yyjson_val *record, const Zone *zone)
{
    const Str text = json_str(json_get(record, STR("called_at")));
    const int64_t unix_time = yyjson_get_sint(json_get(record, STR("unix_time")));
    int64_t us = 0;
    bool has_zone = false;
    if (time_parse(text, STR("%Y-%m-%d %H:%M:%S %z"), zone, &us, &has_zone)) {
        CHECK(has_zone);
        CHECK_INT(us / 1000000, unix_time);
        seen->called_at_modern++;
    } else if (time_parse(text, STR("%Y-%m-%d %I:%M %p %z"), zone, &us, &has_zone)) {
        CHECK_INT(us / 1000000, unix_time - unix_time % 60);
        seen->called_at_colon++;
    } else {
        CHECK(time_parse(text, STR("%Y-%m-%d %I:%M %p"), zone, &us, &has_zone));
        CHECK(!has_zone);
        seen->called_at_bare++;
    }
}

static void see_form(Seen *seen, yyjson_val *record)
{
    size_t i, count;
    yyjson_val *custom;
    yyjson_arr_foreach(json_get(json_get(record, STR("form")), STR("custom")), i, count, custom)
    {
        yyjson_val *value = json_get(custom, STR("value"));
        seen->form_values[0] += yyjson_is_int(value);
        seen->form_values[1] += yyjson_is_str(value);
        seen->form_values[2] += yyjson_is_bool(value) || yyjson_is_null(value);
        seen->form_values[3] += yyjson_is_arr(value);
        seen->form_values[4] += yyjson_is_obj(value);
        seen->form_values[5] += yyjson_is_real(value);
    }
}

static void see_oddities(Seen *seen, yyjson_val *record)
{
    const Str caller = json_str(json_get(record, STR("caller_number")));
    seen->caller_e164 += str_starts_with(caller, STR("+"));
    seen->caller_formatted += str_starts_with(caller, STR("("));
    seen->agents += yyjson_is_obj(json_get(record, STR("agent")));
    seen->agent_ids += yyjson_is_str(json_get(record, STR("agent_id")));
    seen->dial_completed += is_text(record, "dial_status", "completed");
    seen->dial_answered += is_text(record, "dial_status", "answered");
    seen->sources += json_get(record, STR("source")) != NULL;
    seen->source_names += json_get(record, STR("source_name")) != NULL;
    const int64_t wait = yyjson_get_sint(json_get(record, STR("wait_time")));
    CHECK(wait < 600 || wait >= 1000);
    seen->wait_ms += wait >= 1000;
    seen->wait_s += wait > 0 && wait < 600;
    yyjson_val *sale = json_get(record, STR("sale"));
    seen->sales += sale != NULL;
    seen->sale_values += yyjson_is_str(json_get(sale, STR("value"))) &&
                         yyjson_is_bool(json_get(sale, STR("conversion")));
    yyjson_val *route =
        json_get(yyjson_arr_get_first(json_get(record, STR("call_path"))), STR("route_id"));
    seen->route_ints += yyjson_is_int(route);
    seen->route_texts += yyjson_is_str(route);
    seen->float_durations += yyjson_is_real(json_get(record, STR("duration")));
    see_form(seen, record);
    seen->groups_disagree +=
        yyjson_is_str(json_get(record, STR("ad_group_id"))) &&
        !yyjson_equals(json_get(record, STR("ad_group_id")), json_get(record, STR("adgroup_id")));
}

static void see(Seen *seen, const World *world, const Call *call, unsigned omit, Arena *arena,
                Arena *names)
{
    static char room[RECORD_BYTES_MAX];
    Error err = {0};
    const Str text = {room, (size_t)(record_write(world, call, omit, room) - room)};
    CHECK(str_is_utf8(text));
    arena_reset(arena);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(text, "record", arena, &doc, &err), &err);
    yyjson_val *record = yyjson_doc_get_root(doc);
    CHECK_INT(yyjson_get_sint(json_get(record, STR("id"))), call->id);
    CHECK_INT(yyjson_get_sint(json_get(record, STR("unix_time"))), call->moment);
    seen->records++;
    seen->bytes += text.size;
    seen->nuls += str_find(text, STR("\\u0000")) < text.size;
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(record, i, count, key, value) see_name(seen, json_str(key), names);
    see_called_at(seen, record, call->account->calendar.zone);
    see_oddities(seen, record);
}

static void see_all(Seen *seen, const World *world, unsigned omit, Arena *names)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    for (uint32_t i = 0; i < world->plan.accounts; i++) {
        const Selection selection = world_select(&world->accounts[i], INT32_MIN, INT32_MAX);
        Spot spot = selection_skip(&selection, 0);
        Call call;
        while (selection_next(&selection, &spot, &call))
            see(seen, world, &call, omit, arena, names);
    }
}

TEST(every_inconsistency_of_the_api_really_occurs)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *names = arena_new(ARENA_BYTES, &err);
    World world;
    Seen seen = {0};
    begin(&world);
    see_all(&seen, &world, 0, names);
    const size_t least = seen.records / 2000; // often enough for a test of 30,000 calls to meet it
    const struct {
        const char *name;
        size_t count;
    } rows[] = {
        {"1: E.164", seen.caller_e164},
        {"1: formatted", seen.caller_formatted},
        {"2: without a zone", seen.called_at_bare},
        {"2: offset with a colon", seen.called_at_colon},
        {"2: 24 hours", seen.called_at_modern},
        {"3: agent{}", seen.agents},
        {"3: agent_id", seen.agent_ids},
        {"4: completed", seen.dial_completed},
        {"4: answered", seen.dial_answered},
        {"5: source", seen.sources},
        {"5: source_name", seen.source_names},
        {"6: milliseconds", seen.wait_ms},
        {"6: seconds", seen.wait_s},
        {"7: sale", seen.sales},
        {"7: no sale", seen.records - seen.sales},
        {"8: route_id is a number", seen.route_ints},
        {"8: route_id is a text", seen.route_texts},
        {"8: duration is a float", seen.float_durations},
        {"8: form value is a number", seen.form_values[0]},
        {"8: form value is a text", seen.form_values[1]},
        {"8: form value is a boolean or null", seen.form_values[2]},
        {"8: form value is an array", seen.form_values[3]},
        {"8: form value is an object", seen.form_values[4]},
        {"8: form value is a float", seen.form_values[5]},
        {"9: NUL in a string", seen.nuls},
        {"11: ad group ids disagree", seen.groups_disagree},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        CHECK(rows[i].count > least);
    }
    CHECK_INT((int64_t)seen.sale_values, (int64_t)seen.sales);
    world_done(&world);
}

TEST(a_record_has_about_115_members_and_two_and_a_half_kilobytes)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *names = arena_new(ARENA_BYTES, &err);
    World world;
    Seen seen = {0};
    begin(&world);
    see_all(&seen, &world, RECORD_OMIT_TRANSCRIPT | RECORD_OMIT_CHAT, names);
    CHECK(seen.name_count >= 110);
    CHECK(seen.name_count <= 120);
    CHECK(seen.bytes / seen.records >= 2300);
    CHECK(seen.bytes / seen.records <= 2800);
    for (size_t i = 0; i < seen.name_count; i++)
        CHECK(!str_equal(seen.names[i], STR("transcription_text")) &&
              !str_equal(seen.names[i], STR("chat_messages")));
    world_done(&world);
}

static Str write_one(const World *world, const Call *call, Str omit_others, Buf *out)
{
    Error err = {0};
    buf_clear(out);
    CHECK_OK(record_append(world, call, 0, omit_others, out, &err), &err);
    return buf_str(out);
}

static Call newest(const World *world)
{
    Call call;
    const Selection selection = world_select(&world->accounts[0], INT32_MIN, INT32_MAX);
    Spot spot = selection_skip(&selection, 0);
    CHECK(selection_next(&selection, &spot, &call));
    return call;
}

TEST(the_same_question_gets_the_same_record_and_edits_come_with_time)
{
    World world;
    Error err = {0};
    begin(&world);
    const int64_t now = world.now;
    CLEANUP(buf_done) Buf first = {0}, second = {0};
    size_t changed = 0;
    const Selection selection = world_select(&world.accounts[1], INT32_MIN, INT32_MAX);
    for (uint32_t i = 0; i < 200; i++) {
        Spot spot = selection_skip(&selection, i);
        Call call;
        CHECK(selection_next(&selection, &spot, &call));
        CHECK_OK(world_set_now(&world, now, &err), &err);
        (void)write_one(&world, &call, (Str){NULL, 0}, &first);
        (void)write_one(&world, &call, (Str){NULL, 0}, &second);
        CHECK_STR(buf_str(&second), buf_str(&first));
        CHECK_OK(world_set_now(&world, now + 60 * INT64_C(86400), &err), &err);
        changed += !str_equal(write_one(&world, &call, (Str){NULL, 0}, &second), buf_str(&first));
    }
    // A fifth is tagged within two weeks; some of these calls are days old already.
    CHECK(changed > 20);
    CHECK(changed < 100);
    world_done(&world);
}

TEST(content_goes_from_a_to_b_and_back_to_a)
{
    World world;
    Error err = {0};
    begin(&world);
    Account *account = &world.accounts[0];
    CLEANUP(buf_done) Buf before = {0}, after = {0};
    Call call = newest(&world);
    (void)write_one(&world, &call, (Str){NULL, 0}, &before);

    const ChangeMember edits[] = {{STR("notes"), STR("\"B\""), false},
                                  {STR("ga"), {NULL, 0}, false},
                                  {STR("notes"), STR("1e400"), true}};
    CHECK_OK(change_edit(account, call.id, edits, 3, &err), &err);
    call = newest(&world);
    const Str edited = write_one(&world, &call, (Str){NULL, 0}, &after);
    CHECK_CONTAINS(edited, STR("\"notes\":\"B\""));
    CHECK_CONTAINS(edited, STR("\"notes\":1e400"));
    CHECK_INT((int64_t)str_find(edited, STR("\"ga\":")), (int64_t)edited.size);

    CHECK_OK(change_revert(account, call.id, &err), &err);
    call = newest(&world);
    CHECK_STR(write_one(&world, &call, (Str){NULL, 0}, &after), buf_str(&before));
    world_done(&world);
}

TEST(any_member_can_be_excluded)
{
    World world;
    begin(&world);
    CLEANUP(buf_done) Buf out = {0};
    const Call call = newest(&world);
    const Str text = write_one(&world, &call, STR("notes,spam,no_such"), &out);
    CHECK_INT((int64_t)str_find(text, STR("\"spam\":")), (int64_t)text.size);
    CHECK_CONTAINS(text, STR("\"unix_time\":"));
    world_done(&world);
}
