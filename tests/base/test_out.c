// Out: JSON that is written member by member.
#include "base/out.h"

#include "base/json.h"
#include "harness/check.h"

static void write_all(JsonOut *out)
{
    out_open(out, NULL, '{');
    out_str(out, "text", STR("a \"b\""));
    out_open(out, "empty", '[');
    out_close(out, ']');
    out_open(out, "items", '[');
    out_int(out, NULL, -1);
    out_bool(out, NULL, true);
    out_open(out, NULL, '{');
    out_time(out, "never", INT64_MIN);
    out_close(out, '}');
    out_close(out, ']');
    out_time(out, "at", 0);
    out_json(out, "raw", STR("[1]"));
    out_json(out, "nothing", STR(""));
    out_close(out, '}');
}

TEST(members_follow_one_another_with_commas)
{
    Error err = {0};
    CLEANUP(out_done) JsonOut out = {.err = &err};
    write_all(&out);
    CHECK(!out.failed);
    CHECK_STR(buf_str(&out.text),
              STR("{\"text\":\"a \\\"b\\\"\",\"empty\":[],\"items\":[-1,true,{\"never\":null}],"
                  "\"at\":\"1970-01-01T00:00:00Z\",\"raw\":[1],\"nothing\":null}"));
}

TEST(out_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(out_done) JsonOut out = {.err = &err};
        write_all(&out);
        CHECK(out.failed == (err.code != ERROR_NONE));
    }
}
