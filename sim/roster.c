#include "roster.h"

#include "mix.h"

#include <assert.h>
#include <inttypes.h>

enum {
    USERS = 34,
    SOURCES = 12,
    NUMBERS = 48,
    RECEIVING_NUMBERS = 14,
    TRIGGERS = 9,
    LISTS = 13,
    CALL_SETTINGS = 7,
    WEBHOOKS = 3,
    CUSTOM_FIELDS = 11,
};

const char *const roster_country_codes[REGION_COUNT] = {"1", "44", "61", "91"};

// What is being filled: one list at a time, each item through `text`.
typedef struct Maker {
    Roster *roster;
    const Words *words;
    Arena *arena;
    Buf text;
} Maker;

typedef bool (*MakeItem)(Maker *maker, uint32_t index, Error *err);

static uint64_t maker_bits(const Maker *maker, RosterKind kind, uint32_t index, uint32_t salt)
{
    return mix_pair(maker->roster->seed ^ ((uint64_t)kind << 32 | index), salt);
}

// Fills `list` with `count` texts, each what `make` appends to maker->text.
static bool fill(Maker *maker, WordList *list, uint32_t count, MakeItem make, Error *err)
{
    Str *items = arena_alloc_array(maker->arena, count, sizeof(*items), err);
    TRY(items != NULL);
    for (uint32_t i = 0; i < count; i++) {
        buf_clear(&maker->text);
        TRY(make(maker, i, err));
        TRY(words_pad(maker->arena, buf_str(&maker->text), &items[i], err));
    }
    *list = (WordList){items, count};
    return true;
}

uint64_t roster_phone(const Words *words, Region region, uint64_t bits)
{
    const Place *place =
        &words->places[region][mix_below((uint32_t)bits, words->place_count[region])];
    const uint64_t local = (bits >> 32) % 10000000;
    // The North American plan wants an exchange code from 200 on.
    return place->area_code * UINT64_C(10000000) + (local < 2000000 ? local + 2000000 : local);
}

static bool phone_members(Maker *maker, const char *name, uint64_t phone, Error *err)
{
    const char *code = roster_country_codes[maker->roster->region];
    return buf_printf(&maker->text, err,
                      ",\"%s\":\"+%s%010" PRIu64 "\",\"%s_format\":\"(%03" PRIu64 ") %03" PRIu64
                      "-%04" PRIu64 "\"",
                      name, code, phone, name, phone / 10000000, phone / 10000 % 1000,
                      phone % 10000);
}

static uint64_t number_phone(const Maker *maker, RosterKind kind, uint32_t index)
{
    return roster_phone(maker->words, maker->roster->region, maker_bits(maker, kind, index, 1));
}

static uint64_t entity_id(const Maker *maker, RosterKind kind, uint32_t index)
{
    return (uint64_t)maker->roster->account_id * 10000 + (uint64_t)kind * 1000 + index;
}

// Writes "TPN0123..." of 12 hexadecimal digits behind the prefix.
static bool sid(Maker *maker, const char *prefix, RosterKind kind, uint32_t index, Error *err)
{
    return buf_printf(&maker->text, err, "\"%s%012" PRIX64 "\"", prefix,
                      maker_bits(maker, kind, index, 2) >> 16);
}

static Str user_first(const Maker *maker, uint32_t index)
{
    return words_pick(&maker->words->first_names,
                      (uint32_t)maker_bits(maker, ROSTER_USERS, index, 4));
}

static Str user_last(const Maker *maker, uint32_t index)
{
    return words_pick(&maker->words->last_names,
                      (uint32_t)maker_bits(maker, ROSTER_USERS, index, 5));
}

static bool user_email(Maker *maker, uint32_t index, Error *err)
{
    const Str name =
        words_pick(&maker->words->mail_names, (uint32_t)maker_bits(maker, ROSTER_USERS, index, 5));
    return buf_printf(&maker->text, err, "\"" STR_FMT ".%u@example-%" PRIu32 ".com\"",
                      STR_ARG(name), index, maker->roster->account_id);
}

// users.id is text, uid is the number: calls speak of the former.
static bool make_user(Maker *maker, uint32_t index, Error *err)
{
    static const char *const roles[] = {"agent",        "agent", "agent",
                                        "call_manager", "admin", "report_manager"};
    TRY(buf_append(&maker->text, STR("{\"id\":"), err));
    TRY(sid(maker, "USR", ROSTER_USERS, index, err));
    TRY(buf_printf(&maker->text, err,
                   ",\"uid\":%" PRIu64 ",\"name\":\"" STR_FMT " " STR_FMT "\",\"email\":",
                   entity_id(maker, ROSTER_USERS, index), STR_ARG(user_first(maker, index)),
                   STR_ARG(user_last(maker, index))));
    TRY(user_email(maker, index, err));
    return buf_printf(&maker->text, err,
                      ",\"role\":\"%s\",\"status\":\"%s\",\"first_name\":\"" STR_FMT
                      "\",\"last_name\":\"" STR_FMT "\",\"teams\":[]}",
                      roles[index % 6], index % 5 == 4 ? "offline" : "online",
                      STR_ARG(user_first(maker, index)), STR_ARG(user_last(maker, index)));
}

static bool make_agent_modern(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_append(&maker->text, STR(",\"agent\":{\"id\":"), err));
    TRY(sid(maker, "USR", ROSTER_USERS, index, err));
    TRY(buf_printf(&maker->text, err, ",\"name\":\"" STR_FMT " " STR_FMT "\",\"email\":",
                   STR_ARG(user_first(maker, index)), STR_ARG(user_last(maker, index))));
    TRY(user_email(maker, index, err));
    return buf_append_char(&maker->text, '}', err);
}

static bool make_agent_legacy(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_append(&maker->text, STR(",\"agent_id\":"), err));
    TRY(sid(maker, "USR", ROSTER_USERS, index, err));
    return buf_printf(&maker->text, err, ",\"agent_name\":\"" STR_FMT " " STR_FMT "\"",
                      STR_ARG(user_first(maker, index)), STR_ARG(user_last(maker, index)));
}

static bool make_source(Maker *maker, uint32_t index, Error *err)
{
    const Str name = maker->words->sources.items[index];
    TRY(buf_printf(&maker->text, err,
                   "{\"id\":%" PRIu64 ",\"sid\":", entity_id(maker, ROSTER_SOURCES, index)));
    TRY(sid(maker, "TSO", ROSTER_SOURCES, index, err));
    return buf_printf(
        &maker->text, err,
        ",\"account_id\":%" PRIu32 ",\"name\":\"" STR_FMT "\",\"position\":%u,\"online\":%s,"
        "\"referring_url\":null,\"landing_url\":null,\"crm_tag\":\"src%u\",\"global\":%s}",
        maker->roster->account_id, STR_ARG(name), index + 1, index < 9 ? "true" : "false", index,
        index % 4 == 0 ? "true" : "false");
}

static bool source_fragment(Maker *maker, uint32_t index, const char *member, Error *err)
{
    TRY(buf_printf(&maker->text, err, ",\"source_id\":%" PRIu64 ",\"source_sid\":",
                   entity_id(maker, ROSTER_SOURCES, index)));
    TRY(sid(maker, "TSO", ROSTER_SOURCES, index, err));
    return buf_printf(&maker->text, err, ",\"%s\":\"" STR_FMT "\",\"source_tag\":\"src%u\"", member,
                      STR_ARG(maker->words->sources.items[index]), index);
}

static bool make_source_modern(Maker *maker, uint32_t index, Error *err)
{
    return source_fragment(maker, index, "source", err);
}

static bool make_source_legacy(Maker *maker, uint32_t index, Error *err)
{
    return source_fragment(maker, index, "source_name", err);
}

static bool make_medium(Maker *maker, uint32_t index, Error *err)
{
    return buf_printf(&maker->text, err, ",\"medium\":\"" STR_FMT "\"",
                      STR_ARG(maker->words->mediums.items[index]));
}

static bool number_label(Maker *maker, uint32_t index, Error *err)
{
    return buf_printf(&maker->text, err, "\"" STR_FMT " %c%u\"",
                      STR_ARG(maker->words->sources.items[index % SOURCES]),
                      'A' + (int)(index / SOURCES), index);
}

static bool make_number(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_append(&maker->text, STR("{\"id\":"), err));
    TRY(sid(maker, "TPN", ROSTER_NUMBERS, index, err));
    TRY(buf_printf(&maker->text, err, ",\"filter_id\":%" PRIu64 ",\"name\":",
                   entity_id(maker, ROSTER_NUMBERS, index)));
    TRY(number_label(maker, index, err));
    TRY(phone_members(maker, "number", number_phone(maker, ROSTER_NUMBERS, index), err));
    return buf_printf(
        &maker->text, err,
        ",\"status\":\"%s\",\"active\":%s,\"sms_enabled\":%s,\"source\":{\"id\":%" PRIu64
        ",\"name\":\"" STR_FMT "\"}}",
        index % 11 == 10 ? "released" : "active", index % 11 == 10 ? "false" : "true",
        index % 2 == 0 ? "true" : "false", entity_id(maker, ROSTER_SOURCES, index % SOURCES),
        STR_ARG(maker->words->sources.items[index % SOURCES]));
}

static bool make_number_fragment(Maker *maker, uint32_t index, Error *err)
{
    const uint64_t phone = number_phone(maker, ROSTER_NUMBERS, index);
    TRY(buf_printf(&maker->text, err,
                   ",\"tracking_number_id\":%" PRIu64 ",\"tracking_number_sid\":",
                   entity_id(maker, ROSTER_NUMBERS, index)));
    TRY(sid(maker, "TPN", ROSTER_NUMBERS, index, err));
    TRY(phone_members(maker, "tracking_number", phone, err));
    TRY(buf_printf(&maker->text, err,
                   ",\"tracking_number_bare\":\"%010" PRIu64 "\",\"tracking_label\":", phone));
    return number_label(maker, index, err);
}

static bool make_receiving(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_append(&maker->text, STR("{\"id\":"), err));
    TRY(sid(maker, "RPN", ROSTER_RECEIVING_NUMBERS, index, err));
    TRY(buf_printf(
        &maker->text, err, ",\"filter_id\":%" PRIu64 ",\"name\":\"" STR_FMT " %u\"",
        entity_id(maker, ROSTER_RECEIVING_NUMBERS, index),
        STR_ARG(maker->words->departments.items[index % maker->words->departments.count]), index));
    TRY(phone_members(maker, "number", number_phone(maker, ROSTER_RECEIVING_NUMBERS, index), err));
    return buf_printf(&maker->text, err, ",\"extension\":%s}", index % 3 == 0 ? "\"101\"" : "null");
}

static bool make_receiving_fragment(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_printf(&maker->text, err,
                   ",\"receiving_number_id\":%" PRIu64 ",\"receiving_number_sid\":",
                   entity_id(maker, ROSTER_RECEIVING_NUMBERS, index)));
    TRY(sid(maker, "RPN", ROSTER_RECEIVING_NUMBERS, index, err));
    TRY(phone_members(maker, "business_number",
                      number_phone(maker, ROSTER_RECEIVING_NUMBERS, index), err));
    return buf_printf(
        &maker->text, err, ",\"business_label\":\"" STR_FMT " %u\"",
        STR_ARG(maker->words->departments.items[index % maker->words->departments.count]), index);
}

// Both spellings of the ad group id, which disagree in one campaign of twelve.
static bool make_campaign(Maker *maker, uint32_t index, Error *err)
{
    const uint64_t bits = mix_pair(maker->roster->seed, 77000 + index);
    const uint64_t group = 10000000000 + bits % 90000000000;
    const Str name = maker->words->campaigns.items[index % maker->words->campaigns.count];
    return buf_printf(
        &maker->text, err,
        ",\"campaign\":\"" STR_FMT " %u\",\"campaign_id\":\"%" PRIu64 "\",\"ad_id\":%" PRIu64
        ",\"ad_content\":\"%s %u\",\"ad_match_type\":\"%s\",\"ad_network\":\"%s\",\"ad_slot\":null,"
        "\"ad_slot_position\":\"%s\",\"ad_targeting_type\":null,\"ad_placement\":null,"
        "\"ad_format\":null,\"ad_group_id\":\"%" PRIu64 "\",\"adgroup_id\":\"%" PRIu64 "\"",
        STR_ARG(name), index, 1000000000 + bits % 9000000000,
        100000000000 + (bits >> 8) % 900000000000, bits & 1 ? "Headline" : "Variant",
        (unsigned)(bits >> 20) % 90, bits & 2 ? "e" : "p", bits & 4 ? "g" : "s",
        bits & 8 ? "1t1" : "1o2", group, group + (index % 12 == 11));
}

static bool make_trigger(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_append(&maker->text, STR("{\"id\":"), err));
    TRY(sid(maker, "AUT", ROSTER_TRIGGERS, index, err));
    return buf_printf(
        &maker->text, err,
        ",\"name\":\"Trigger %u\",\"enabled\":%s,\"run_on\":\"%s\",\"conditions\":[{\"field\":"
        "\"talk_time\",\"op\":\"gte\",\"value\":%u}],\"actions\":[{\"type\":\"add_tag\"}]}",
        index, index % 4 == 3 ? "false" : "true", index % 2 ? "end" : "start", 10 * index);
}

static bool make_list(Maker *maker, uint32_t index, Error *err)
{
    return buf_printf(&maker->text, err,
                      "{\"id\":%" PRIu64
                      ",\"name\":\"List %u\",\"list_type\":\"%s\",\"contacts_count\":%" PRIu32 "}",
                      entity_id(maker, ROSTER_LISTS, index), index,
                      index % 3 == 2 ? "block" : "allow",
                      roster_contact_count(maker->roster, index));
}

static bool make_call_setting(Maker *maker, uint32_t index, Error *err)
{
    TRY(buf_append(&maker->text, STR("{\"id\":"), err));
    TRY(sid(maker, "CFG", ROSTER_CALL_SETTINGS, index, err));
    return buf_printf(
        &maker->text, err,
        ",\"name\":\"Setting %u\",\"record_calls\":%s,\"transcribe\":%s,\"caller_id\":null}", index,
        index % 2 ? "false" : "true", index % 3 ? "true" : "false");
}

static bool make_webhook(Maker *maker, uint32_t index, Error *err)
{
    return buf_printf(&maker->text, err,
                      "{\"id\":%" PRIu64 ",\"weburl\":\"https://hooks.example.com/%" PRIu32
                      "/%u\",\"position\":\"%s\"}",
                      entity_id(maker, ROSTER_WEBHOOKS, index), maker->roster->account_id, index,
                      index % 2 ? "start" : "end");
}

static bool make_custom_field(Maker *maker, uint32_t index, Error *err)
{
    static const char *const types[] = {"text", "picklist", "checkbox", "number", "date"};
    return buf_printf(
        &maker->text, err,
        "{\"id\":%" PRIu64 ",\"api_name\":\"field_%u\",\"name\":\"Field %u\",\"field_type\":\"%s\","
        "\"required\":false,\"object_type\":\"Call\"}",
        entity_id(maker, ROSTER_CUSTOM_FIELDS, index), index, index, types[index % 5]);
}

uint32_t roster_contact_count(const Roster *roster, uint32_t list_index)
{
    return (uint32_t)(mix_pair(roster->seed, 88000 + list_index) % 60);
}

bool roster_contact(const Roster *roster, const Words *words, uint32_t list_index, uint32_t index,
                    Buf *out, Error *err)
{
    const uint64_t bits = mix_pair(roster->seed + list_index, 99000 + index);
    return buf_printf(out, err,
                      "{\"id\":%" PRIu64 ",\"name\":\"" STR_FMT " " STR_FMT
                      "\",\"number\":\"+%s%010" PRIu64 "\",\"notes\":null}",
                      (uint64_t)roster->account_id * 1000000 + UINT64_C(1000) * list_index + index,
                      STR_ARG(words_pick(&words->first_names, (uint32_t)bits)),
                      STR_ARG(words_pick(&words->last_names, (uint32_t)(bits >> 32))),
                      roster_country_codes[roster->region],
                      roster_phone(words, roster->region, mix64(bits)));
}

int roster_find_list(const Roster *roster, int64_t list_id)
{
    const int64_t first = (int64_t)roster->account_id * 10000 + INT64_C(1000) * ROSTER_LISTS;
    return list_id >= first && list_id < first + LISTS ? (int)(list_id - first) : -1;
}

bool roster_init(Roster *roster, const RosterPlan *plan, const Words *words, Arena *arena,
                 Error *err)
{
    *roster = (Roster){.account_id = plan->account_id, .region = plan->region, .seed = plan->seed};
    const struct {
        WordList *list;
        uint32_t count;
        MakeItem make;
    } rows[] = {
        {&roster->items[ROSTER_USERS], USERS, make_user},
        {&roster->items[ROSTER_SOURCES], SOURCES, make_source},
        {&roster->items[ROSTER_NUMBERS], NUMBERS, make_number},
        {&roster->items[ROSTER_RECEIVING_NUMBERS], RECEIVING_NUMBERS, make_receiving},
        {&roster->items[ROSTER_TRIGGERS], TRIGGERS, make_trigger},
        {&roster->items[ROSTER_LISTS], LISTS, make_list},
        {&roster->items[ROSTER_CALL_SETTINGS], CALL_SETTINGS, make_call_setting},
        {&roster->items[ROSTER_WEBHOOKS], WEBHOOKS, make_webhook},
        {&roster->items[ROSTER_CUSTOM_FIELDS], CUSTOM_FIELDS, make_custom_field},
        {&roster->agents_modern, USERS, make_agent_modern},
        {&roster->agents_legacy, USERS, make_agent_legacy},
        {&roster->sources_modern, SOURCES, make_source_modern},
        {&roster->sources_legacy, SOURCES, make_source_legacy},
        {&roster->mediums, SOURCES, make_medium},
        {&roster->numbers, NUMBERS, make_number_fragment},
        {&roster->receiving_numbers, RECEIVING_NUMBERS, make_receiving_fragment},
        {&roster->campaigns, ROSTER_CAMPAIGNS, make_campaign},
    };
    CLEANUP(buf_done) Buf text = {.limit_bytes = ROSTER_ITEM_BYTES_MAX};
    Maker maker = {roster, words, arena, text};
    bool ok = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && ok; i++)
        ok = fill(&maker, rows[i].list, rows[i].count, rows[i].make, err);
    text = maker.text;
    TRY(ok);

    buf_clear(&text);
    TRY(buf_printf(&text, err, "https://www.example-%" PRIu32 ".com", plan->account_id));
    return words_pad(arena, buf_str(&text), &roster->site, err);
}
