#include "base/findings.h"

#include "harness/check.h"

enum { RUN_BYTES = 1024 * 1024 };

TEST(no_finding_is_fine)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const Findings findings = {.arena = arena};
    CHECK_OK(findings_check(&findings, &err), &err);
}

TEST(findings_are_copied_and_listed)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Findings findings = {.arena = arena};
    char what[] = "is not a date";
    findings_add(&findings, STR("ctm.json: /from"), str_from(what), STR("write it as 2025-05-01"));
    what[0] = 'X';
    CHECK(!findings_check(&findings, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_STR(str_from(err.message), STR("ctm.json: /from: is not a date; write it as 2025-05-01"));

    findings_addf(&findings, STR("ctm.json: /limits/connections"), (Str){NULL, 0}, "%d is over %d",
                  99, 64);
    findings_add(&findings, STR(""), STR("no streams"), STR(""));
    CHECK(!findings_check(&findings, &err));
    CHECK_STR(str_from(err.message),
              STR("ctm.json: /from: is not a date; write it as 2025-05-01 (and 2 more)"));

    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(findings_print(&findings, &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("ctm.json: /from: is not a date; write it as 2025-05-01\n"
                                 "ctm.json: /limits/connections: 99 is over 64\n"
                                 "no streams\n"));
}

TEST(findings_past_the_limit_are_counted)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Findings findings = {.arena = arena};
    for (int i = 0; i < FINDINGS_MAX + 3; i++)
        findings_addf(&findings, STR("f"), STR(""), "number %d", i);
    CHECK_INT((int64_t)findings.count, FINDINGS_MAX + 3);
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(findings_print(&findings, &out, &err), &err);
    CHECK_CONTAINS(buf_str(&out), STR("f: number 99\nand 3 more\n"));
}

TEST(a_finding_without_memory_still_fails_the_file)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(8, &err);
    Findings findings = {.arena = arena};
    findings_add(&findings, STR("a place"), STR("that does not fit"), STR(""));
    CHECK(!findings_check(&findings, &err));
    CHECK_INT(err.code, ERROR_JOB);
}

TEST(nearest_name_is_a_slip_of_the_hand)
{
    const Str names[] = {STR("connections"),
                         STR("requests_per_second"),
                         STR("memory"),
                         STR("to"),
                         STR("from"),
                         STR("form"),
                         STR("a")};
    const struct {
        Str name, expected;
    } rows[] = {
        {STR("conections"), STR("connections")},                  // one missing
        {STR("CONNECTIONS"), STR("connections")},                 // case
        {STR("requests_pre_second"), STR("requests_per_second")}, // two swapped
        {STR("memmoory"), STR("memory")},                         // two too many
        {STR("frm"), STR("from")},                                // ties go to the first
        {STR("ot"), STR("to")},
        {STR("zz"), {NULL, 0}},
        {STR("b"), {NULL, 0}}, // a single letter says nothing
        {STR("warehouse"), {NULL, 0}},
        {STR(""), {NULL, 0}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name.data);
        const Str nearest = findings_nearest(rows[i].name, names, sizeof(names) / sizeof(names[0]));
        CHECK_STR(nearest, rows[i].expected);
        CHECK((nearest.data == NULL) == (rows[i].expected.data == NULL));
    }
    CHECK(findings_nearest(STR("x"), NULL, 0).data == NULL);
}
