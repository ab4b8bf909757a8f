// The contract of CTM's calls against the inconsistencies of facts about its API: both generations
// of field names give the same row.
#include "base/file.h"
#include "shaping.h"

#define SAME_IN_BOTH                                                                           \
    "\"id\":4000625014,\"sid\":\"CA1\",\"parent_id\":\"4000624756\",\"unix_time\":1714621690," \
    "\"direction\":\"inbound\",\"caller_number_complete\":\"+16144038359\","                   \
    "\"tracking_number\":\"+16198408257\",\"talk_time\":50,\"ring_time\":14,\"hold_time\":0,"  \
    "\"is_new_caller\":true,\"source_id\":17,\"medium\":\"cpc\",\"campaign\":\"Spring\","      \
    "\"tag_list\":[\"vendor\"],\"@timestamp\":\"2024-05-02T03:48:10Z\""

static const char *const old_call =
    "{" SAME_IN_BOTH
    ",\"called_at\":\"2024-05-01 11:48 PM -04:00\",\"caller_number\":\"(614) 403-8359\","
    "\"agent_id\":\"USR1\",\"agent_name\":\"Helen Hernandez\",\"dial_status\":\"completed\","
    "\"source_name\":\"Google "
    "Ads\",\"wait_time\":13,\"duration\":77.0,\"ad_group_id\":\"701\",\"adgroup_id\":701,"
    "\"sale\":{\"conversion\":true,\"value\":\"279.42\",\"sale_date\":\"2024-05-03\"}}";

static const char *const new_call =
    "{" SAME_IN_BOTH
    ",\"called_at\":\"2024-05-01 23:48:10 -0400\",\"caller_number\":\"+16144038359\","
    "\"agent\":{\"id\":\"USR1\",\"name\":\"Helen "
    "Hernandez\",\"email\":null},\"dial_status\":\"answered\","
    "\"source\":\"Google Ads\",\"wait_time\":13000,\"duration\":77,\"ad_group_id\":701,"
    "\"sale\":{\"conversion\":\"true\",\"value\":279.42,\"sale_date\":\"2024-05-03\"}}";

static void open_calls(Shaping *shaping)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    Str text = {0};
    CHECK_OK(
        file_read("connectors/ctm/contracts/calls.json", CONTRACT_BYTES_MAX, arena, &text, &err),
        &err);
    shaping_open(shaping, text.data);
}

static void add_call(Shaping *shaping, const char *call)
{
    Error err = {0};
    char records[3000];
    (void)snprintf(records, sizeof(records), "[%s]", call);
    CHECK_OK(shaping_add(shaping, str_from(records), "{\"account_id\":1001}", &err), &err);
}

TEST(both_generations_of_a_call_give_one_row)
{
    static const struct {
        const char *column, *expected;
    } cells[] = {
        {"account_id", "1001"},
        {"id", "4000625014"},
        {"parent_id", "4000624756"},
        {"called_at", "1714621690000000"},
        {"agent_id", "USR1"},
        {"agent_name", "Helen Hernandez"},
        {"agent_email", "null"},
        {"caller_number", "+16144038359"},
        {"tracking_number", "+16198408257"},
        {"source", "Google Ads"},
        {"wait_time", "13"},
        {"duration", "77"},
        {"ad_group_id", "701"},
        {"sale_value", "2794200"},
        {"sale_conversion", "true"},
        {"sale_date", "19846"},
        {"is_new_caller", "true"},
        {"tag_list", "[\"vendor\"]"},
    };
    CLEANUP(shaping_done) Shaping shaping = {0};
    open_calls(&shaping);
    add_call(&shaping, old_call);
    add_call(&shaping, new_call);
    shaping_take(&shaping);
    CHECK_INT((int64_t)shaping.batch->rows, 2);
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        check_row(cells[i].column);
        CHECK_STR(shaping_cell(&shaping, 0, cells[i].column), str_from(cells[i].expected));
        CHECK_STR(shaping_cell(&shaping, 1, cells[i].column), str_from(cells[i].expected));
    }
    CHECK(memcmp(&shaping.batch->keys[0], &shaping.batch->keys[1], sizeof(Key128)) == 0);
    // Only the guess leaves something behind, and nothing is news.
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"), STR("null"));
    CHECK_STR(shaping_cell(&shaping, 1, "_overflow"), STR("{\"wait_time\":13000}"));
    size_t count = 0;
    (void)shaper_drift_paths(shaping.shaper, &count);
    CHECK_INT((int64_t)count, 0);
}

// A number abroad keeps its country, which old records name in one member only.
TEST(numbers_abroad_keep_their_country)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    open_calls(&shaping);
    add_call(&shaping, "{\"id\":1,\"caller_number\":\"(207) "
                       "823-4415\",\"caller_number_complete\":\"+442078234415\"}");
    shaping_take(&shaping);
    CHECK_STR(shaping_cell(&shaping, 0, "caller_number"), STR("+442078234415"));
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"),
              STR("{\"caller_number\":\"(207) 823-4415\"}"));
}

TEST(ad_groups_that_disagree_are_both_kept)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    open_calls(&shaping);
    add_call(&shaping, "{\"id\":1,\"ad_group_id\":\"701\",\"adgroup_id\":\"702\",\"duration\":92.5,"
                       "\"name\":\"A\\u0000\"}");
    shaping_take(&shaping);
    CHECK_STR(shaping_cell(&shaping, 0, "ad_group_id"), STR("701"));
    CHECK_STR(shaping_cell(&shaping, 0, "duration"), STR("92.5"));
    CHECK_STR(shaping_cell(&shaping, 0, "caller_name"), STR("A\xEF\xBF\xBD"));
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"),
              STR("{\"adgroup_id\":\"702\",\"$bytes\":{\"/name\":\"QQA=\"}}"));
}

// A time without a zone is the account's.
TEST(old_times_are_in_the_zone_of_the_account)
{
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    open_calls(&shaping);
    const Zone *zone = NULL;
    CHECK_OK(zone_open(STR("America/New_York"), shaping.arena, &zone, &err), &err);
    shaper_set_zone(shaping.shaper, zone);
    add_call(&shaping, "{\"id\":1,\"called_at\":\"2012-08-17 10:24 AM\"}");
    shaping_take(&shaping);
    CHECK_STR(shaping_cell(&shaping, 0, "called_at"), STR("1345213440000000"));
}
