// links: pawl_base
//
// The input is "<format>\n<text>", both hostile; the text is also tried as a date, an ISO time, a
// duration, and, whole, as the bytes of a zone file.
#include "base/time.h"

#include <stdlib.h>

enum { RUN_BYTES = 4 * 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void try_texts(Str text)
{
    char written[TIME_TEXT_BYTES];
    int32_t date = 0;
    if (date_parse(text, &date)) {
        date_format(date, written);
        must(str_equal(str_from(written), text));
    }
    int64_t us = 0;
    if (time_parse_iso(text, &us)) {
        int64_t again = 0;
        time_format_iso(us, written);
        must(time_parse_iso(str_from(written), &again) && again == us);
    }
    Duration duration = {0};
    if (duration_parse(text, &duration)) {
        must(duration.months >= 0 && duration.us >= 0);
        (void)date_add_duration(date, duration, 1);
        (void)date_add_duration(date, duration, -1);
    }
}

static void try_format(Str text, Str format, const Zone *zone)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    int64_t us = 0;
    bool has_zone = false;
    if (time_format(INT64_C(1746057600123456), -3600, format, &out, &err))
        buf_clear(&out);
    if (time_parse(text, format, zone, &us, &has_zone))
        must(time_format(us, zone_offset_at(zone, us), format, &out, &err));
}

static void try_zone(const Zone *zone)
{
    for (int year = 1; year < 9999; year += 97) {
        const int64_t us = us_from_civil((Civil){.year = year, .month = 1 + year % 12, .day = 28});
        (void)zone_offset_at(zone, us);
        (void)zone_us_from_local(zone, civil_from_us(us));
        (void)zone_start_of_date(zone, zone_date_at(zone, us));
    }
    (void)zone_offset_at(zone, INT64_MIN);
    (void)zone_offset_at(zone, INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const Str all = {(const char *)data, size};
    const Zone *zone = NULL;
    if (zone_parse(all, arena, &zone, &err))
        try_zone(zone);
    Str text = all;
    const Str format = str_split_next(&text, '\n');
    try_texts(all);
    try_format(text, format, zone);
    return 0;
}
