// Time: instants, civil dates, IANA zones, ISO 8601 durations. No global zone, no setenv(TZ), no
// localtime.
//
// An instant is int64_t microseconds since 1970-01-01T00:00:00Z. A date is int32_t days since
// 1970-01-01. Both follow the proleptic Gregorian calendar; what is parsed lies in years 0001 to
// 9999, while formatting takes any value. Leap seconds do not exist: 23:59:60 is the next midnight.
//
// The functions are spread over time.c (calendar, ISO 8601), time_format.c and zone.c.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { TIME_TEXT_BYTES = 40 };

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY    (86400 * US_PER_SECOND)

typedef struct Civil {
    int year, month, day, hour, minute, second;
    int32_t microsecond;
} Civil;

int32_t date_from_civil(int year, int month, int day);
Civil civil_from_us(int64_t us); // in UTC
int64_t us_from_civil(Civil civil);
int date_weekday(int32_t date); // 0 = Monday
int date_days_in_month(int year, int month);
int32_t date_from_us(int64_t us); // the day in UTC

// "2025-05-01"; false on anything else, or on a day that does not exist.
bool date_parse(Str text, int32_t *ret_date);
void date_format(int32_t date, char text[TIME_TEXT_BYTES]); // "2025-05-01"

// RFC 3339 / ISO 8601: "2025-05-01T10:20:30.123456Z", an offset, a blank for the T; a zone is
// required. Digits behind the microsecond are dropped.
bool time_parse_iso(Str text, int64_t *ret_us);

// "2025-05-01T10:20:30.123456Z", fraction only when there is one.
void time_format_iso(int64_t us, char text[TIME_TEXT_BYTES]);

// An IANA zone, read from the system's TZif files (RFC 8536). Immutable once opened: threads may
// share it. Where a zone is asked for, NULL is UTC.
typedef struct Zone Zone;

// "UTC" and "" need no file. ERROR_NOT_FOUND names the zone (and the nearest known one).
bool zone_open(Str name, Arena *arena, const Zone **ret_zone, Error *err) MUST_USE;

// The same from the bytes of a TZif file, which may be hostile; they may go afterwards. ERROR_DATA.
bool zone_parse(Str bytes, Arena *arena, const Zone **ret_zone, Error *err) MUST_USE;

int32_t zone_offset_at(const Zone *zone, int64_t us); // seconds east of UTC
int32_t zone_date_at(const Zone *zone, int64_t us);   // the local day of an instant

// The instant of a local time. A time that a forward change skips is read with the offset before
// it; of one that happens twice the first is meant (as java.time does it).
int64_t zone_us_from_local(const Zone *zone, Civil local);

// First instant of that local day. Of a day that was skipped whole (Apia, 2011-12-30), that of the
// next.
int64_t zone_start_of_date(const Zone *zone, int32_t date);

// ISO 8601 duration: "P2D", "PT1H30M", "P1M". Months and years stay apart, since their length
// varies.
typedef struct Duration {
    int32_t months;
    int64_t us; // weeks, days and below
} Duration;
bool duration_parse(Str text, Duration *ret_duration);

// 31 January + P1M = 28 February. What is left of a day is dropped; the result stays in years 0001
// to 9999. `sign` is 1 or -1.
int32_t date_add_duration(int32_t date, Duration duration, int sign);

// The instant that lies `duration` before `us`: months by the UTC calendar, the rest exactly.
int64_t time_before(int64_t us, Duration duration);

// Parses by a format with the directives %Y %y %m %d %H %I %M %S %f %p %z %Z %j %b %B %a %A %_ms %%
// (strftime's names and Airbyte's milliseconds), or by one of %s %ms %s_as_float
// %epoch_microseconds, which are whole formats (counts since 1970). As strptime has it, a number
// may lack its leading zeros (but for %Y %y), names ignore case, a blank stands for any white
// space, and what is not named is that of 1900-01-01T00:00:00. %Z knows UTC, GMT, Z and RFC 2822's
// American names. `ret_has_zone` tells whether the text named its offset; where it did not, `zone`
// decides. False when the text does not match as a whole or is no time of years 0001 to 9999.
bool time_parse(Str text, Str format, const Zone *zone, int64_t *ret_us, bool *ret_has_zone);

// The same, and the offset that the text named (0 where it named none), for those who must write
// the time back as its sender saw it.
bool time_parse_offset(Str text, Str format, const Zone *zone, int64_t *ret_us,
                       int32_t *ret_offset_seconds, bool *ret_has_zone);

// The reverse, in `offset_seconds` east of UTC: %f has six digits, %_ms three, %z is +0000, %Z is
// UTC or UTC-04:00. ERROR_JOB on an unknown directive; `out` is then as it was.
bool time_format(int64_t us, int32_t offset_seconds, Str format, Buf *out, Error *err) MUST_USE;
