#include "contract/contract.h"

#include <math.h>

bool table_epoch_parse(Str text, int64_t *ret_us, int64_t *ret_unit_us)
{
    static const int64_t units_us[] = {US_PER_SECOND, 1000, 1};
    double number = 0;
    if (!str_to_double(text, &number))
        return false;
    for (size_t i = 0; i < sizeof(units_us) / sizeof(units_us[0]); i++) {
        const double us = number * (double)units_us[i];
        if (!(us >= 1e14 && us <= 4.2e15))
            continue;
        *ret_us = (int64_t)nearbyint(us);
        *ret_unit_us = units_us[i];
        return true;
    }
    return false;
}

// "2026-03-05 10:20:30.5+00", also without seconds, zone or time of day. UTC where it names none.
bool table_time_parse(Str text, int64_t *ret_us)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
                                          "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    int64_t offset_us = 0;
    int64_t fraction_us = 0;
    int64_t unit_us = 0;
    if (time_parse_iso(text, ret_us) || table_epoch_parse(text, ret_us, &unit_us))
        return true;
    if (str_ends_with(text, STR(" UTC")) || str_ends_with(text, STR("Z")))
        text = str_slice(text, 0, text.size - (text.data[text.size - 1] == 'Z' ? 1 : 4));
    // An offset: +00, -04:00, +0530, behind the time of day.
    enum { DATE_BYTES = 10 };
    size_t sign = text.size;
    for (size_t i = DATE_BYTES; i < text.size; i++)
        sign = text.data[i] == '+' || text.data[i] == '-' ? i : sign;
    if (sign < text.size) {
        int64_t digits[2] = {0};
        Str rest = str_slice(text, sign + 1, text.size);
        const size_t colon = str_find_char(rest, ':');
        const Str hours = str_slice(rest, 0, 2);
        const Str minutes =
            colon < rest.size ? str_slice(rest, colon + 1, 2) : str_slice(rest, 2, 2);
        if (!str_to_int64(hours, &digits[0]) ||
            (minutes.size > 0 && !str_to_int64(minutes, &digits[1])))
            return false;
        offset_us = (digits[0] * 60 + digits[1]) * 60 * US_PER_SECOND;
        offset_us = text.data[sign] == '-' ? -offset_us : offset_us;
        text = str_trim(str_slice(text, 0, sign));
    }
    const size_t point = str_find_char(text, '.');
    for (size_t i = point + 1, unit = (size_t)US_PER_SECOND / 10; i < text.size; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        fraction_us += (text.data[i] - '0') * (int64_t)unit;
    }
    text = str_slice(text, 0, point);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        bool has_zone = false;
        if (!time_parse(text, str_from(formats[i]), NULL, ret_us, &has_zone))
            continue;
        *ret_us += fraction_us - offset_us;
        return true;
    }
    return false;
}
