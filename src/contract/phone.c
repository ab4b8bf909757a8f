#include "contract/phone.h"

#include <assert.h>

// A number as written holds at most this many digits with all prefixes.
enum { WRITTEN_DIGITS_MAX = 24 };

// Lengths from the national numbering plans as ITU-T E.164 lists them; only what tells a number
// from something else.
// clang-format off
const PhoneCountry phone_countries[] = {
    // name code  trunk abroad  min max first
    {"US", "1",   "1",  "011",  10, 10, '2'},
    {"CA", "1",   "1",  "011",  10, 10, '2'},
    {"AT", "43",  "0",  "00",    7, 13, '1'},
    {"AU", "61",  "0",  "0011",  9,  9, '1'},
    {"BE", "32",  "0",  "00",    8,  9, '1'},
    {"BR", "55",  "0",  "00",   10, 11, '1'},
    {"CH", "41",  "0",  "00",    9,  9, '1'},
    {"DE", "49",  "0",  "00",    7, 13, '1'},
    {"DK", "45",  "",   "00",    8,  8, '1'},
    {"ES", "34",  "",   "00",    9,  9, '1'},
    {"FR", "33",  "0",  "00",    9,  9, '1'},
    {"GB", "44",  "0",  "00",    9, 10, '1'},
    {"IE", "353", "0",  "00",    7,  9, '1'},
    {"IN", "91",  "0",  "00",   10, 10, '1'},
    {"IT", "39",  "",   "00",    8, 11, '0'},
    {"MX", "52",  "",   "00",   10, 10, '1'},
    {"NL", "31",  "0",  "00",    9,  9, '1'},
    {"NO", "47",  "",   "00",    8,  8, '1'},
    {"NZ", "64",  "0",  "00",    8, 10, '1'},
    {"PL", "48",  "",   "00",    9,  9, '1'},
    {"PT", "351", "",   "00",    9,  9, '1'},
    {"SE", "46",  "0",  "00",    7, 10, '1'},
    {"ZA", "27",  "0",  "00",    9,  9, '1'},
    {0},
};
// clang-format on

const PhoneCountry *phone_country(Str name)
{
    for (const PhoneCountry *country = phone_countries; country->name != NULL; country++) {
        if (str_equal_ignoring_case(name, str_from(country->name)))
            return country;
    }
    return NULL;
}

// Digits of `written` to `digits`; false when it holds anything that no telephone number does.
static bool take_digits(Str written, Str *digits, bool *ret_plus, char room[WRITTEN_DIGITS_MAX])
{
    size_t count = 0;
    *ret_plus = false;
    for (size_t i = 0; i < written.size; i++) {
        const char c = written.data[i];
        if (c >= '0' && c <= '9') {
            if (count == WRITTEN_DIGITS_MAX)
                return false;
            room[count++] = c;
        } else if (c == '+') {
            if (count > 0 || *ret_plus)
                return false;
            *ret_plus = true;
        } else if (c != ' ' && c != '(' && c != ')' && c != '-' && c != '.' && c != '/') {
            return false;
        }
    }
    *digits = (Str){room, count};
    return true;
}

static bool write_number(Str code, Str national, char text[PHONE_TEXT_BYTES])
{
    const size_t size = code.size + national.size;
    if (size < PHONE_DIGITS_MIN || size > PHONE_DIGITS_MAX)
        return false;
    text[0] = '+';
    if (code.size > 0)
        memcpy(text + 1, code.data, code.size);
    memcpy(text + 1 + code.size, national.data, national.size);
    text[1 + size] = '\0';
    return true;
}

static bool length_fits(Str national, const PhoneCountry *country)
{
    assert(country->digits_min > 0);
    return (int)national.size >= country->digits_min && (int)national.size <= country->digits_max &&
           national.data[0] >= country->first;
}

bool phone_normalise(Str written, const PhoneCountry *country, char text[PHONE_TEXT_BYTES])
{
    char room[WRITTEN_DIGITS_MAX];
    Str digits = {0};
    bool plus = false;
    if (!take_digits(str_trim(written), &digits, &plus, room))
        return false;

    const Str code = str_from(country->code);
    if (plus) {
        // No calling code begins with a zero, and a number of the default country has its length.
        if (digits.size == 0 || digits.data[0] == '0')
            return false;
        if (str_starts_with(digits, code) &&
            !length_fits(str_slice(digits, code.size, digits.size), country))
            return false;
        return write_number((Str){0}, digits, text);
    }
    const Str abroad = str_from(country->abroad);
    if (str_starts_with(digits, abroad) && digits.size > abroad.size &&
        digits.data[abroad.size] != '0')
        return write_number((Str){0}, str_slice(digits, abroad.size, digits.size), text);

    // A trunk prefix first: a number that keeps its length without it has one.
    const Str trunk = str_from(country->trunk);
    if (trunk.size > 0 && str_starts_with(digits, trunk))
        digits = str_slice(digits, trunk.size, digits.size);
    if (length_fits(digits, country))
        return write_number(code, digits, text);
    if (str_starts_with(digits, code)) {
        const Str national = str_slice(digits, code.size, digits.size);
        if (length_fits(national, country))
            return write_number(code, national, text);
    }
    return false;
}
