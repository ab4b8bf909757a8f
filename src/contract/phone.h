// Phone: telephone numbers as people and APIs write them, to E.164 ("+15551234567").
#pragma once

#include "base/str.h"

enum { PHONE_DIGITS_MIN = 7, PHONE_DIGITS_MAX = 15, PHONE_TEXT_BYTES = PHONE_DIGITS_MAX + 2 };

// How numbers are written inside one country.
typedef struct PhoneCountry {
    const char *name;   // ISO 3166-1 alpha-2
    const char *code;   // calling code
    const char *trunk;  // digits put in front of a national number, not part of it; "" = none
    const char *abroad; // digits dialled in front of a calling code
    int digits_min;     // of a national number, without the trunk digits
    int digits_max;
    char first; // lowest digit that a national number begins with
} PhoneCountry;

// The table ends with a row whose name is NULL.
extern const PhoneCountry phone_countries[];
const PhoneCountry *phone_country(Str name); // "US"; NULL when unknown

// Writes E.164 and a NUL to `text`. False when the digits are no number of that country and no
// international one: "anonymous", short codes, extensions.
bool phone_normalise(Str written, const PhoneCountry *country, char text[PHONE_TEXT_BYTES]);
