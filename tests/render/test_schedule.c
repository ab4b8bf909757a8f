// Schedule: the same moments in Quartz's words and in systemd's.
#include "harness/check.h"
#include "render/schedule.h"

static const struct {
    const char *cron, *quartz, *calendar;
} rows[] = {
    {"15 * * * *", "0 15 * * * ?", "OnCalendar=*-*-* *:15:00 UTC\n"},
    {"30 4 * * *", "0 30 4 * * ?", "OnCalendar=*-*-* 04:30:00 UTC\n"},
    {"*/15 * * * *", "0 0,15,30,45 * * * ?", "OnCalendar=*-*-* *:00,15,30,45:00 UTC\n"},
    {"0 6-9 * * *", "0 0 6-9 * * ?", "OnCalendar=*-*-* 06..09:00:00 UTC\n"},
    {"0 0 1,15 * *", "0 0 0 1,15 * ?", "OnCalendar=*-*-01,15 00:00:00 UTC\n"},
    {"0 0 1 1-3 *", "0 0 0 1 1-3 ?", "OnCalendar=*-01..03-01 00:00:00 UTC\n"},
    // Cron's Monday is 1, Quartz's is 2: names say the same to both.
    {"0 6 * * 1-5", "0 0 6 ? * MON-FRI", "OnCalendar=MON..FRI *-*-* 06:00:00 UTC\n"},
    {"0 6 * * 0", "0 0 6 ? * SUN", "OnCalendar=SUN *-*-* 06:00:00 UTC\n"},
    {"0 6 * * 7", "0 0 6 ? * SUN", "OnCalendar=SUN *-*-* 06:00:00 UTC\n"},
    {"0 6 * * 5-7", "0 0 6 ? * SUN,FRI,SAT", "OnCalendar=FRI..SUN *-*-* 06:00:00 UTC\n"},
};

TEST(cron_is_written_as_others_write_it)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].cron);
        Error err = {0};
        Cron cron = {0};
        CLEANUP(buf_done) Buf quartz = {0};
        CLEANUP(buf_done) Buf calendar = {0};
        CHECK_OK(cron_parse(str_from(rows[i].cron), &cron, &err), &err);
        CHECK_OK(schedule_write_quartz(&cron, &quartz, &err), &err);
        CHECK_OK(schedule_write_calendar(&cron, STR("UTC"), &calendar, &err), &err);
        CHECK_STR(buf_str(&quartz), str_from(rows[i].quartz));
        CHECK_STR(buf_str(&calendar), str_from(rows[i].calendar));
    }
}

TEST(quartz_refuses_what_it_cannot_say_and_systemd_says_it_in_two_lines)
{
    Error err = {0};
    Cron cron = {0};
    CLEANUP(buf_done) Buf quartz = {0};
    CLEANUP(buf_done) Buf calendar = {0};
    CHECK_OK(cron_parse(STR("0 6 13 * fri"), &cron, &err), &err);
    CHECK_OK(schedule_write_calendar(&cron, STR("UTC"), &calendar, &err), &err);
    CHECK_STR(buf_str(&calendar), STR("OnCalendar=*-*-13 06:00:00 UTC\n"
                                      "OnCalendar=FRI *-*-* 06:00:00 UTC\n"));
    CHECK(!schedule_write_quartz(&cron, &quartz, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_INT((int64_t)quartz.size, 0);
}
