#include "base/buf.h"

#include "harness/check.h"

TEST(bytes_are_appended)
{
    Error err = {0};
    CLEANUP(buf_done) Buf buf = {0};
    CHECK_OK(buf_append(&buf, (Str){NULL, 0}, &err), &err);
    CHECK(buf.data == NULL);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(buf_append_char(&buf, (char)('a' + i % 26), &err), &err);
    CHECK_OK(buf_append(&buf, STR("<\0>"), &err), &err);
    CHECK_OK(buf_printf(&buf, &err, "%d%%", 42), &err);
    CHECK_INT((int64_t)buf.size, 1006);
    CHECK_STR(str_slice(buf_str(&buf), 0, 27), STR("abcdefghijklmnopqrstuvwxyza"));
    CHECK_STR(str_slice(buf_str(&buf), 1000, 99), STR("<\0>42%"));
}

TEST(the_limit_is_the_last_byte)
{
    Error err = {0};
    CLEANUP(buf_done) Buf buf = {.limit_bytes = 10};
    CHECK_OK(buf_append(&buf, STR("0123456789"), &err), &err);
    CHECK(!buf_append_char(&buf, 'x', &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_STR(str_from(err.message), STR("buffer: longer than 10 bytes"));
    CHECK(!buf_printf(&buf, &err, "x"));
    CHECK(!buf_reserve(&buf, SIZE_MAX, &err));
    CHECK_STR(buf_str(&buf), STR("0123456789"));
    CHECK(buf.capacity <= 10); // room beyond the limit would be an invitation
}

TEST(clearing_keeps_the_memory)
{
    Error err = {0};
    CLEANUP(buf_done) Buf buf = {.limit_bytes = 100};
    CHECK_OK(buf_append(&buf, STR("text"), &err), &err);
    const char *data = buf.data;
    buf_clear(&buf);
    CHECK_INT((int64_t)buf.size, 0);
    CHECK_OK(buf_append(&buf, STR("more"), &err), &err);
    CHECK(buf.data == data);
    buf_done(&buf);
    CHECK(buf.data == NULL && buf.limit_bytes == 100);
}

static size_t wiped_holding; // pieces of memory that held the secret, and hold it no more

// The C library's, for this test: what was given up can be looked at no other way.
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
void explicit_bzero(void *memory, size_t size)
{
    wiped_holding += str_find((Str){memory, size}, STR("hunter2")) < size ? 1 : 0;
    volatile char *bytes = memory;
    for (size_t i = 0; i < size; i++)
        bytes[i] = 0;
}

TEST(a_secret_is_wiped_wherever_it_was)
{
    static const struct {
        const char *name;
        bool secret;
        size_t wiped;
    } cases[] = {{"secret", true, 3}, {"not", false, 0}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        Error err = {0};
        CLEANUP(buf_done) Buf buf = {.secret = cases[c].secret};
        wiped_holding = 0;
        check_row(cases[c].name);
        for (int round = 0; round < 2; round++) {
            CHECK_OK(buf_append(&buf, STR("hunter2"), &err) &&
                         buf_printf(&buf, &err, "%0300d", 7) && buf_reserve(&buf, 5000, &err),
                     &err);
            CHECK_STR(str_slice(buf_str(&buf), 0, 7), STR("hunter2"));
            CHECK_INT((int64_t)buf.size, 307);
            buf_done(&buf);
            CHECK_INT((int64_t)wiped_holding, (int64_t)(cases[c].wiped * (size_t)(round + 1)));
        }
    }
}

TEST(buffers_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(buf_done) Buf buf = {0};
        const bool ok = buf_append(&buf, STR("0123456789"), &err) &&
                        buf_printf(&buf, &err, "%0300d", 7) && buf_reserve(&buf, 5000, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok || err.code == ERROR_LIMIT);
        CHECK(buf.size == 0 || buf.size == 10 || buf.size == 310);
    }
}
