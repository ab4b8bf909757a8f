// Times as databases write them.
#include "shaping.h"

TEST(times_of_tables_are_read_whatever_wrote_them)
{
    static const struct {
        const char *name, *text, *expected; // NULL = none
    } cases[] = {
        {"ISO", "2026-03-05T10:20:30Z", "2026-03-05T10:20:30Z"},
        {"DuckDB, with zone", "2026-03-05 10:20:30+00", "2026-03-05T10:20:30Z"},
        {"PostgreSQL, half an hour off", "2026-03-05 10:20:30.5+05:30",
         "2026-03-05T04:50:30.500000Z"},
        {"west", "2026-03-05 10:20:30-0400", "2026-03-05T14:20:30Z"},
        {"without a zone", "2026-03-05 10:20:30.000001", "2026-03-05T10:20:30.000001Z"},
        {"BigQuery", "2026-03-05 10:20:30 UTC", "2026-03-05T10:20:30Z"},
        {"minutes", "2026-03-05 10:20", "2026-03-05T10:20:00Z"},
        {"a day", "2026-03-05", "2026-03-05T00:00:00Z"},
        {"nine digits", "2026-03-05 10:20:30.123456789", "2026-03-05T10:20:30.123456Z"},
        {"seconds since 1970", "1772706030", "2026-03-05T10:20:30Z"},
        {"of a column of doubles", "1772706030.5", "2026-03-05T10:20:30.500000Z"},
        {"milliseconds", "1772706030250", "2026-03-05T10:20:30.250000Z"},
        {"microseconds", "1772706030000001", "2026-03-05T10:20:30.000001Z"},
        {"digits of a day", "20260305", NULL},
        {"digits of a moment", "20260305102030", NULL},
        {"no day", "2026-02-30 10:20:30", NULL},
        {"words", "yesterday", NULL},
        {"a fraction of letters", "2026-03-05 10:20:30.x", NULL},
        {"empty", "", NULL},
        {"a sign and no more", "2026-03-05 10:20:30+", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        int64_t us = 0;
        char text[TIME_TEXT_BYTES] = "";
        const bool ok = table_time_parse(str_from(cases[i].text), &us);
        CHECK(ok == (cases[i].expected != NULL));
        if (!ok)
            continue;
        time_format_iso(us, text);
        CHECK_STR(str_from(text), str_from(cases[i].expected));
    }
}
