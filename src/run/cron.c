#include "run/cron.h"

enum { CRON_FIELDS = 5 };

typedef struct CronField {
    const char *name;
    int64_t min, max;
    const char *const *words; // from `first_word` on; NULL = none
    int64_t first_word;
} CronField;

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const CronField cron_fields[CRON_FIELDS] = {
    {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},
    {"day of month", 1, 31, NULL, 0},
    {"month", 1, 12, month_words, 1},
    {"day of week", 0, 7, weekday_words, 0},
};

static bool parse_value(const CronField *field, Str text, int64_t *ret_value)
{
    for (int64_t i = 0; field->words != NULL && field->words[i] != NULL; i++) {
        if (!str_equal_ignoring_case(text, str_from(field->words[i])))
            continue;
        *ret_value = field->first_word + i;
        return true;
    }
    return str_to_int64(text, ret_value) && *ret_value >= field->min && *ret_value <= field->max;
}

// One part of a list: "*", "3", "1-5", any of them with "/2".
static bool parse_part(const CronField *field, Str part, uint64_t *ret_set)
{
    int64_t step = 1;
    const size_t slash = str_find_char(part, '/');
    const Str range = str_slice(part, 0, slash);
    const bool stepped = slash < part.size;
    if (stepped && (!str_to_int64(str_slice(part, slash + 1, part.size), &step) || step < 1))
        return false;
    int64_t first = field->min;
    int64_t last = field->max;
    const size_t dash = str_find_char(range, '-');
    if (str_equal(range, STR("*"))) {
        // All seven days once: 7 is 0 again, and a step must not start on it.
        last = field->max == 7 ? 6 : field->max;
    } else if (dash < range.size) {
        if (!parse_value(field, str_slice(range, 0, dash), &first) ||
            !parse_value(field, str_slice(range, dash + 1, range.size), &last) || first > last)
            return false;
    } else {
        if (!parse_value(field, range, &first))
            return false;
        last = stepped ? field->max : first;
    }
    for (int64_t i = first; i <= last; i += step)
        *ret_set |= UINT64_C(1) << i;
    return true;
}

static bool parse_field(const CronField *field, Str text, uint64_t *ret_set, Error *err)
{
    uint64_t set = 0;
    for (Str rest = text; rest.data != NULL;) {
        const Str part = str_split_next(&rest, ',');
        if (!parse_part(field, part, &set))
            return error_set(err, ERROR_JOB, "%s '" STR_FMT "' is not between %lld and %lld",
                             field->name, STR_ARG(text), (long long)field->min,
                             (long long)field->max);
    }
    *ret_set = set;
    return true;
}

bool cron_parse(Str text, Cron *ret_cron, Error *err)
{
    uint64_t sets[CRON_FIELDS] = {0};
    Str fields[CRON_FIELDS] = {0};
    size_t count = 0;
    for (Str rest = str_trim(text); rest.data != NULL;) {
        const Str word = str_split_next(&rest, ' ');
        if (word.size == 0)
            continue;
        if (count < CRON_FIELDS)
            fields[count] = word;
        count++;
    }
    if (count != CRON_FIELDS)
        return error_set(err, ERROR_JOB,
                         "'" STR_FMT "' is not a schedule: write minute, hour, day of month, month "
                         "and day of week, such as 15 * * * *",
                         STR_ARG(text));
    for (size_t i = 0; i < CRON_FIELDS; i++)
        TRY(parse_field(&cron_fields[i], fields[i], &sets[i], err));
    Cron cron = {.minutes = sets[0],
                 .hours = (uint32_t)sets[1],
                 .days = (uint32_t)sets[2],
                 .months = (uint32_t)sets[3],
                 .weekdays = (uint32_t)((sets[4] & CRON_ALL_WEEKDAYS) | (sets[4] >> 7 & 1)),
                 .any_day = str_starts_with(fields[2], STR("*")),
                 .any_weekday = str_starts_with(fields[4], STR("*"))};
    // "1-31 ... mon" is every day: either field counts, and one of them always holds.
    if (!cron.any_day && !cron.any_weekday &&
        (cron.days == CRON_ALL_DAYS || cron.weekdays == CRON_ALL_WEEKDAYS)) {
        cron.any_day = cron.any_weekday = true;
        cron.days = CRON_ALL_DAYS;
        cron.weekdays = CRON_ALL_WEEKDAYS;
    }
    *ret_cron = cron;
    return true;
}
