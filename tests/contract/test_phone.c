// Phone: numbers as people write them, to E.164; what is none stays none.
#include "contract/phone.h"
#include "harness/check.h"

enum { WRITTEN_BYTES = 40 };

TEST(numbers_become_e164)
{
    static const struct {
        const char *written, *country, *expected; // NULL = no number
    } cases[] = {
        {"(555) 234-5678", "US", "+15552345678"},
        {"555.234.5678", "US", "+15552345678"},
        {" 1-555-234-5678 ", "US", "+15552345678"},
        {"+1 (555) 234-5678", "US", "+15552345678"},
        {"+15552345678", "GB", "+15552345678"},
        {"011 44 20 7946 0958", "US", "+442079460958"},
        {"+442079460958", "US", "+442079460958"},
        {"020 7946 0958", "GB", "+442079460958"},
        {"(0)20 7946 0958", "GB", "+442079460958"},
        {"442079460958", "GB", "+442079460958"},
        {"00 1 555 234 5678", "GB", "+15552345678"},
        {"0412 345 678", "AU", "+61412345678"},
        {"0011 1 555 234 5678", "AU", "+15552345678"},
        {"030/123456", "DE", "+4930123456"},
        {"06 12345678", "IT", "+390612345678"},
        {"612 34 56 78", "ES", "+34612345678"},
        {"555-2345", "US", NULL},
        {"1555234567", "US", NULL}, // no area code begins with 1
        {"0552345678", "US", NULL},
        {"72345", "US", NULL},         // short code
        {"+1555234567", "US", NULL},   // one digit short
        {"+155523456789", "US", NULL}, // one too many
        {"+0123456789", "US", NULL},
        {"+123456", "GB", NULL},
        {"+1234567", "GB", "+1234567"},
        {"+234567890123456", "US", "+234567890123456"},
        {"+2345678901234567", "US", NULL},
        {"anonymous", "US", NULL},
        {"555-234-5678 x12", "US", NULL},
        {"555+2345678", "US", NULL},
        {"++15552345678", "US", NULL},
        {"", "US", NULL},
        {"+", "US", NULL},
        {"()", "US", NULL},
        {"0000000000000000000000000", "US", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].written);
        char text[PHONE_TEXT_BYTES] = "";
        const bool ok = phone_normalise(str_from(cases[i].written),
                                        phone_country(str_from(cases[i].country)), text);
        CHECK_INT(ok, cases[i].expected != NULL);
        if (ok)
            CHECK_STR(str_from(text), str_from(cases[i].expected));
    }
}

// What came out goes in again unchanged.
TEST(e164_stays_e164)
{
    for (const PhoneCountry *country = phone_countries; country->name != NULL; country++) {
        check_row(country->name);
        char written[WRITTEN_BYTES] = "+";
        char text[PHONE_TEXT_BYTES] = "";
        (void)snprintf(written, sizeof(written), "+%s%.*s", country->code, country->digits_min,
                       "234567890123");
        CHECK(phone_normalise(str_from(written), country, text));
        CHECK_STR(str_from(text), str_from(written));
        CHECK(phone_normalise(str_from(text), phone_country(STR("US")), text));
        CHECK_STR(str_from(text), str_from(written));
    }
}

TEST(countries_are_found_by_their_code)
{
    CHECK(phone_country(STR("us")) == &phone_countries[0]);
    CHECK(phone_country(STR("XX")) == NULL);
    CHECK(phone_country(STR("")) == NULL);
}
