// Jwt: base64url, and keys that are none.
#include "harness/check.h"
#include "net/jwt.h"

// RFC 4648, section 10, and what its sections 4 and 5 differ in.
TEST(base64url_has_no_padding_and_letters_of_its_own)
{
    static const struct {
        const char *name, *text, *expected;
    } rows[] = {
        {"nothing", "", ""},      {"one byte", "f", "Zg"},    {"two", "fo", "Zm8"},
        {"three", "foo", "Zm9v"}, {"four", "foob", "Zm9vYg"}, {"62 and 63", "\xfb\xff\xbe", "-_--"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        FAULTS() {
            Error err = {0};
            CLEANUP(buf_done) Buf out = {0};
            const bool ok = jwt_append_base64url(&out, str_from(rows[i].text), &err);
            CHECK_INT(ok, err.code == ERROR_NONE);
            CHECK_STR(buf_str(&out), ok ? str_from(rows[i].expected) : STR(""));
        }
    }
}

TEST(what_is_no_key_is_none)
{
    CHECK(jwt_read_key(STR(""), STR("")) == NULL);
    CHECK(jwt_read_key(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                       STR("word")) == NULL);
}
