// Cron: five fields become sets, and what is not a schedule is refused.
#include "harness/check.h"
#include "run/cron.h"

TEST(fields_become_sets)
{
    static const struct {
        const char *text;
        uint64_t minutes;
        uint32_t hours, days, months, weekdays;
    } rows[] = {
        {"15 * * * *", 1 << 15, 0xffffff, CRON_ALL_DAYS, 0x1ffe, CRON_ALL_WEEKDAYS},
        {"*/20 6 1 1 *", 1 | 1 << 20 | UINT64_C(1) << 40, 1 << 6, 2, 2, CRON_ALL_WEEKDAYS},
        {"0 8-10,22 * * *", 1, 0x400700, CRON_ALL_DAYS, 0x1ffe, CRON_ALL_WEEKDAYS},
        {"0 0 * * mon-FRI", 1, 1, CRON_ALL_DAYS, 0x1ffe, 0x3e},
        {"0 0 * * 7", 1, 1, CRON_ALL_DAYS, 0x1ffe, 1},
        {"0 0 * * 5-7", 1, 1, CRON_ALL_DAYS, 0x1ffe, 0x61},
        {"0 0 * * */2", 1, 1, CRON_ALL_DAYS, 0x1ffe, 0x55},
        {"0 0 * dec *", 1, 1, CRON_ALL_DAYS, 1 << 12, CRON_ALL_WEEKDAYS},
        {"50/5 0 * * *", UINT64_C(0x21) << 50, 1, CRON_ALL_DAYS, 0x1ffe, CRON_ALL_WEEKDAYS},
        {"  0  0 31 * * ", 1, 1, UINT32_C(1) << 31, 0x1ffe, CRON_ALL_WEEKDAYS},
        // Either day field counts, and one of them always holds.
        {"0 0 1-31 * mon", 1, 1, CRON_ALL_DAYS, 0x1ffe, CRON_ALL_WEEKDAYS},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].text);
        Error err = {0};
        Cron cron = {0};
        CHECK_OK(cron_parse(str_from(rows[i].text), &cron, &err), &err);
        CHECK(cron.minutes == rows[i].minutes);
        CHECK_INT(cron.hours, rows[i].hours);
        CHECK_INT(cron.days, rows[i].days);
        CHECK_INT(cron.months, rows[i].months);
        CHECK_INT(cron.weekdays, rows[i].weekdays);
    }
}

TEST(what_is_no_schedule_is_refused)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "write minute, hour"},
        {"* * * *", "write minute, hour"},
        {"* * * * * *", "write minute, hour"},
        {"@daily", "write minute, hour"},
        {"60 * * * *", "minute '60' is not between 0 and 59"},
        {"0 24 * * *", "hour '24'"},
        {"0 0 0 * *", "day of month '0'"},
        {"0 0 * 13 *", "month '13'"},
        {"0 0 * * 8", "day of week '8'"},
        {"0 0 * * fry", "day of week 'fry'"},
        {"*/0 * * * *", "minute '*/0'"},
        {"5-1 * * * *", "minute '5-1'"},
        {"1, * * * *", "minute '1,'"},
        {"1- * * * *", "minute '1-'"},
        {"-1 * * * *", "minute '-1'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].text);
        Error err = {0};
        Cron cron = {0};
        CHECK(!cron_parse(str_from(rows[i].text), &cron, &err));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].message));
        CHECK(cron.minutes == 0);
    }
}
