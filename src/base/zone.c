// Zones: TZif files (RFC 8536) and the POSIX TZ rule in their footer, for what comes after the
// table.
#include "base/time.h"

#include "base/file.h"
#include "base/findings.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

enum {
    FILE_BYTES_MAX = 256 * 1024,
    NAME_BYTES_MAX = 64,
    NAMES_MAX = 1000, // zone.tab lists about 420
    TRANSITIONS_MAX = 4096,
    TYPES_MAX = 256,
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    OFFSET_SECONDS_MAX = 26 * 3600, // RFC 8536, section 3.2
    RULE_HOURS_MAX = 167            // section 3.3.1
};

#define ZONE_FOLDER "/usr/share/zoneinfo"

typedef enum DayKind {
    DAY_JULIAN,    // Jn: 1 to 365, 29 February is never counted
    DAY_OF_YEAR,   // n: 0 to 365
    DAY_OF_WEEKDAY // Mm.w.d: weekday d (0 = Sunday) of week w (5 = the last) of month m
} DayKind;

typedef struct RuleDay {
    DayKind kind;
    int day, month, week;
    int32_t seconds; // local time of that day at which the change happens
} RuleDay;

typedef struct Rule {
    int32_t offset; // standard time, seconds east of UTC
    int32_t summer_offset;
    bool has_summer;
    RuleDay summer_start, summer_end;
} Rule;

// The table and the rule. Transition i changes to offsets[i]; before the first, `first_offset`
// holds.
struct Zone {
    size_t count;
    const int64_t *at;       // UTC seconds, ascending
    const int64_t *local_at; // the local second from which offsets[i] is read; see local_start()
    const int32_t *offsets;
    int32_t first_offset;
    bool has_rule;
    Rule rule;
};

static const Zone utc = {0};

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

// --- looking up

// A change takes effect on the clock where the later of both clocks shows it: so a skipped local
// time is read with the offset before, and of one that happens twice the first is meant.
static int64_t local_start(int64_t at, int32_t before, int32_t after)
{
    return at + (before > after ? before : after);
}

static int64_t rule_day(const RuleDay *rule, int year)
{
    const bool leap = date_days_in_month(year, 2) == 29;
    if (rule->kind == DAY_OF_YEAR)
        return date_from_civil(year, 1, 1) + rule->day;
    if (rule->kind == DAY_JULIAN)
        return date_from_civil(year, 1, 1) + rule->day - 1 + (leap && rule->day >= 60 ? 1 : 0);
    const int32_t first = date_from_civil(year, rule->month, 1);
    const int weekday = (date_weekday(first) + 1) % 7; // POSIX counts from Sunday
    int day = (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;
    if (day >= date_days_in_month(year, rule->month))
        day -= 7;
    return first + day;
}

static int year_of_seconds(int64_t seconds)
{
    // Far outside any calendar the rule says nothing; what matters is that nothing overflows.
    const int64_t most = INT64_MAX / US_PER_SECOND;
    if (seconds > most)
        seconds = most;
    if (seconds < -most)
        seconds = -most;
    return civil_from_us(seconds * US_PER_SECOND).year;
}

// The offset at `seconds`, which count in UTC, or, with `local`, as a clock shows them.
static int32_t rule_offset(const Rule *rule, int64_t seconds, bool local)
{
    if (!rule->has_summer)
        return rule->offset;
    const int year = year_of_seconds(local ? seconds : seconds + rule->offset);
    const int32_t winter = rule->offset;
    const int32_t summer = rule->summer_offset;
    int64_t start =
        rule_day(&rule->summer_start, year) * 86400 + rule->summer_start.seconds - winter;
    int64_t end = rule_day(&rule->summer_end, year) * 86400 + rule->summer_end.seconds - summer;
    if (local) {
        start = local_start(start, winter, summer);
        end = local_start(end, summer, winter);
    }
    // South of the equator summer lasts over the new year.
    const bool in_summer =
        start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end;
    return in_summer ? summer : winter;
}

// The offset in force at `seconds` by the table `starts`, of UTC or of local seconds.
static int32_t find_offset(const Zone *zone, const int64_t *starts, int64_t seconds, bool local)
{
    size_t low = 0;
    size_t high = zone->count;
    if (high == 0 || seconds >= starts[high - 1]) {
        if (zone->has_rule)
            return rule_offset(&zone->rule, seconds, local);
        return high == 0 ? zone->first_offset : zone->offsets[high - 1];
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (starts[middle] <= seconds)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? zone->first_offset : zone->offsets[low - 1];
}

int32_t zone_offset_at(const Zone *zone, int64_t us)
{
    if (zone == NULL || zone == &utc)
        return 0;
    return find_offset(zone, zone->at, floor_divide(us, US_PER_SECOND), false);
}

int32_t zone_date_at(const Zone *zone, int64_t us)
{
    const int64_t seconds = floor_divide(us, US_PER_SECOND) + zone_offset_at(zone, us);
    return (int32_t)floor_divide(seconds, 86400);
}

int64_t zone_us_from_local(const Zone *zone, Civil local)
{
    const int64_t local_us = us_from_civil(local);
    if (zone == NULL || zone == &utc)
        return local_us;
    const int64_t seconds = floor_divide(local_us, US_PER_SECOND);
    return local_us - find_offset(zone, zone->local_at, seconds, true) * US_PER_SECOND;
}

int64_t zone_start_of_date(const Zone *zone, int32_t date)
{
    assert(date > -100 * 1000 * 1000 && date < 100 * 1000 * 1000);

    const int64_t midnight = (int64_t)date * US_PER_DAY;
    const int64_t us = zone_us_from_local(zone, civil_from_us(midnight));
    const int64_t ahead = us + zone_offset_at(zone, us) * US_PER_SECOND - midnight;
    if (ahead <= 0)
        return us;
    // Midnight was skipped, by a change at most `ahead` before: the day starts with that change.
    int64_t before = floor_divide(us - ahead, US_PER_SECOND) - 1;
    int64_t after = floor_divide(us, US_PER_SECOND);
    const int32_t offset = zone_offset_at(zone, us);
    while (after - before > 1) {
        const int64_t middle = before + (after - before) / 2;
        if (zone_offset_at(zone, middle * US_PER_SECOND) == offset)
            after = middle;
        else
            before = middle;
    }
    return after * US_PER_SECOND;
}

// --- the footer: std offset [dst [offset] , start [/time] , end [/time]]

static bool take_char(Str *rest, char c)
{
    if (rest->size == 0 || rest->data[0] != c)
        return false;
    *rest = str_slice(*rest, 1, rest->size);
    return true;
}

static bool take_number(Str *rest, int low, int high, int *ret_value)
{
    int value = 0;
    size_t size = 0;
    for (; size < rest->size && size < 3; size++) {
        const char c = rest->data[size];
        if (c < '0' || c > '9')
            break;
        value = value * 10 + (c - '0');
    }
    *rest = str_slice(*rest, size, rest->size);
    *ret_value = value;
    return size > 0 && value >= low && value <= high;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// "EST" or "<+0330>"
static bool take_name(Str *rest)
{
    size_t size = 0;
    if (take_char(rest, '<')) {
        size = str_find_char(*rest, '>');
        if (size == rest->size)
            return false;
        *rest = str_slice(*rest, size + 1, rest->size);
        return size >= 3;
    }
    while (size < rest->size && is_letter(rest->data[size]))
        size++;
    *rest = str_slice(*rest, size, rest->size);
    return size >= 3;
}

// "[+-]hh[:mm[:ss]]" in seconds
static bool take_clock(Str *rest, int hours_max, int32_t *ret_seconds)
{
    const int sign = take_char(rest, '-') ? -1 : 1;
    if (sign > 0)
        (void)take_char(rest, '+');
    int hours = 0;
    int minutes = 0;
    int seconds = 0;
    if (!take_number(rest, 0, hours_max, &hours))
        return false;
    if (take_char(rest, ':')) {
        if (!take_number(rest, 0, 59, &minutes))
            return false;
        if (take_char(rest, ':') && !take_number(rest, 0, 59, &seconds))
            return false;
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool take_rule_day(Str *rest, RuleDay *day)
{
    if (!take_char(rest, ','))
        return false;
    bool ok = false;
    if (take_char(rest, 'M')) {
        day->kind = DAY_OF_WEEKDAY;
        ok = take_number(rest, 1, 12, &day->month) && take_char(rest, '.') &&
             take_number(rest, 1, 5, &day->week) && take_char(rest, '.') &&
             take_number(rest, 0, 6, &day->day);
    } else if (take_char(rest, 'J')) {
        day->kind = DAY_JULIAN;
        ok = take_number(rest, 1, 365, &day->day);
    } else {
        day->kind = DAY_OF_YEAR;
        ok = take_number(rest, 0, 365, &day->day);
    }
    day->seconds = 2 * 3600;
    if (ok && take_char(rest, '/'))
        ok = take_clock(rest, RULE_HOURS_MAX, &day->seconds);
    return ok;
}

static bool parse_rule(Str text, Rule *rule)
{
    int32_t west = 0;
    if (!take_name(&text) || !take_clock(&text, 24, &west))
        return false;
    rule->offset = -west; // POSIX counts west of Greenwich
    if (text.size == 0)
        return true;
    rule->has_summer = true;
    rule->summer_offset = rule->offset + 3600;
    if (!take_name(&text))
        return false;
    if (text.size > 0 && text.data[0] != ',') {
        if (!take_clock(&text, 24, &west))
            return false;
        rule->summer_offset = -west;
    }
    return take_rule_day(&text, &rule->summer_start) && take_rule_day(&text, &rule->summer_end) &&
           text.size == 0;
}

// --- the file

typedef struct Header {
    int version; // 1, 2, ...
    uint32_t utc_count, standard_count, leap_count, transition_count, type_count, char_count;
} Header;

static uint64_t big_endian(const char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

// Cuts `size` bytes off the front.
static bool take_bytes(Str *rest, size_t size, Str *ret_bytes)
{
    if (rest->size < size)
        return false;
    *ret_bytes = str_slice(*rest, 0, size);
    *rest = str_slice(*rest, size, rest->size);
    return true;
}

static bool take_header(Str *rest, Header *header)
{
    Str bytes = {0};
    if (!take_bytes(rest, HEADER_BYTES, &bytes) || !str_starts_with(bytes, STR("TZif")))
        return false;
    const char version = bytes.data[4];
    header->version = version == '\0' ? 1 : version - '0';
    uint32_t *counts[] = {&header->utc_count,        &header->standard_count, &header->leap_count,
                          &header->transition_count, &header->type_count,     &header->char_count};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        *counts[i] = (uint32_t)big_endian(bytes.data + 20 + 4 * i, 4);
    // A table with leap seconds ("right/...") counts other seconds than everybody else.
    return header->version >= 1 && header->type_count >= 1 && header->type_count <= TYPES_MAX &&
           header->transition_count <= TRANSITIONS_MAX && header->leap_count == 0 &&
           header->char_count <= FILE_BYTES_MAX && header->utc_count <= TYPES_MAX &&
           header->standard_count <= TYPES_MAX;
}

// What stands behind the header; times are `time_size` bytes wide.
typedef struct Block {
    Str times, indexes, types;
} Block;

static bool take_block(Str *rest, const Header *header, size_t time_size, Block *block)
{
    Str skipped = {0};
    return take_bytes(rest, header->transition_count * time_size, &block->times) &&
           take_bytes(rest, header->transition_count, &block->indexes) &&
           take_bytes(rest, (size_t)header->type_count * TYPE_BYTES, &block->types) &&
           take_bytes(rest, header->char_count, &skipped) &&
           take_bytes(rest, header->standard_count, &skipped) &&
           take_bytes(rest, header->utc_count, &skipped);
}

static bool type_offset(const Block *block, size_t index, int32_t *ret_offset)
{
    if (index >= block->types.size / TYPE_BYTES)
        return false;
    *ret_offset = (int32_t)(uint32_t)big_endian(block->types.data + index * TYPE_BYTES, 4);
    return *ret_offset > -OFFSET_SECONDS_MAX && *ret_offset < OFFSET_SECONDS_MAX;
}

static int64_t transition_at(const Block *block, size_t index, size_t time_size)
{
    const uint64_t value = big_endian(block->times.data + index * time_size, time_size);
    return time_size == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static bool malformed(Error *err, const char *what)
{
    return error_set(err, ERROR_DATA, "zone file: %s", what);
}

static bool fill_table(const Header *header, const Block *block, size_t time_size, Arena *arena,
                       Zone *zone, Error *err)
{
    const size_t count = header->transition_count;
    if (!type_offset(block, 0, &zone->first_offset))
        return malformed(err, "an offset is out of range");
    if (count == 0)
        return true;
    int64_t *at = arena_alloc_array(arena, count, sizeof(*at), err);
    TRY(at != NULL);
    int64_t *local_at = arena_alloc_array(arena, count, sizeof(*local_at), err);
    TRY(local_at != NULL);
    int32_t *offsets = arena_alloc_array(arena, count, sizeof(*offsets), err);
    TRY(offsets != NULL);

    int32_t before = zone->first_offset;
    for (size_t i = 0; i < count; i++) {
        at[i] = transition_at(block, i, time_size);
        if (!type_offset(block, (unsigned char)block->indexes.data[i], &offsets[i]))
            return malformed(err, "an offset is out of range");
        // RFC 8536 asks writers to stay above -2^59, which leaves room for adding an offset.
        if (at[i] < -(INT64_C(1) << 59) || at[i] > INT64_C(1) << 59)
            return malformed(err, "a time is out of range");
        local_at[i] = local_start(at[i], before, offsets[i]);
        if (i > 0 && (at[i] <= at[i - 1] || local_at[i] < local_at[i - 1]))
            return malformed(err, "times do not ascend");
        before = offsets[i];
    }
    zone->at = at;
    zone->local_at = local_at;
    zone->offsets = offsets;
    zone->count = count;
    return true;
}

// "\n<rule>\n", which may be empty.
static bool parse_footer(Str rest, Zone *zone)
{
    if (!take_char(&rest, '\n'))
        return false;
    const size_t size = str_find_char(rest, '\n');
    if (size == rest.size)
        return false;
    if (size == 0)
        return true;
    zone->has_rule = parse_rule(str_slice(rest, 0, size), &zone->rule);
    return zone->has_rule;
}

bool zone_parse(Str bytes, Arena *arena, const Zone **ret_zone, Error *err)
{
    Zone *zone = arena_alloc(arena, sizeof(*zone), err);
    TRY(zone != NULL);
    Header header = {0};
    Block block = {0};
    size_t time_size = 4;
    if (!take_header(&bytes, &header) || !take_block(&bytes, &header, time_size, &block))
        return malformed(err, "not a TZif file, or one with leap seconds");
    // From version 2 on the same follows once more with wider times, and then the footer.
    if (header.version >= 2) {
        time_size = 8;
        if (!take_header(&bytes, &header) || !take_block(&bytes, &header, time_size, &block))
            return malformed(err, "its second part is cut or wrong");
        if (!parse_footer(bytes, zone))
            return malformed(err, "its footer is not a POSIX TZ rule");
    }
    TRY(fill_table(&header, &block, time_size, arena, zone, err));
    *ret_zone = zone;
    return true;
}

// --- by name

// A name is a path below the folder of zones: nothing in it may lead out of there.
static bool name_is_safe(Str name)
{
    if (name.size > NAME_BYTES_MAX || name.data[0] == '/')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '/' && c != '_' && c != '-' &&
            c != '+')
            return false;
    }
    return true;
}

// The zone in zone.tab whose name is nearest: {NULL, 0} where none is near or the table is not
// there.
static Str nearest_zone(Str name, Arena *arena)
{
    Error ignored = {0};
    Str table = {0};
    Str *names = arena_alloc_array(arena, NAMES_MAX, sizeof(*names), &ignored);
    if (names == NULL ||
        !file_read(ZONE_FOLDER "/zone.tab", FILE_BYTES_MAX, arena, &table, &ignored))
        return (Str){NULL, 0};
    size_t count = 0;
    // country, coordinates, zone, comments
    while (table.data != NULL && count < NAMES_MAX) {
        Str line = str_split_next(&table, '\n');
        if (str_starts_with(line, STR("#")))
            continue;
        (void)str_split_next(&line, '\t');
        (void)str_split_next(&line, '\t');
        if (line.data != NULL)
            names[count++] = str_split_next(&line, '\t');
    }
    return findings_nearest(name, names, count);
}

static bool no_such_zone(Str name, Arena *arena, Error *err)
{
    const Str nearest = nearest_zone(name, arena);
    if (nearest.data == NULL)
        return error_set(err, ERROR_NOT_FOUND, "zone '" STR_FMT "': no such time zone",
                         STR_ARG(str_slice(name, 0, NAME_BYTES_MAX)));
    return error_set(err, ERROR_NOT_FOUND,
                     "zone '" STR_FMT "': no such time zone; did you mean '" STR_FMT "'",
                     STR_ARG(name), STR_ARG(nearest));
}

bool zone_open(Str name, Arena *arena, const Zone **ret_zone, Error *err)
{
    if (name.size == 0 || str_equal(name, STR("UTC"))) {
        *ret_zone = &utc;
        return true;
    }
    if (!name_is_safe(name))
        return no_such_zone(name, arena, err);
    char path[PATH_MAX - 2];
    (void)snprintf(path, sizeof(path), ZONE_FOLDER "/" STR_FMT, STR_ARG(name));
    char inside[PATH_MAX];
    (void)snprintf(inside, sizeof(inside), "%s/.", path);
    if (!file_exists(path) || file_exists(inside)) // "America" is a folder of zones
        return no_such_zone(name, arena, err);
    Str bytes = {0};
    if (!file_read(path, FILE_BYTES_MAX, arena, &bytes, err) ||
        !zone_parse(bytes, arena, ret_zone, err))
        return error_context(err, "zone '" STR_FMT "'", STR_ARG(name));
    return true;
}
