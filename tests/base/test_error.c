#include "base/error.h"

#include "harness/check.h"

TEST(errors_say_why_and_where)
{
    Error err = {.retry_after_ms = 5};
    CHECK(!error_set(&err, ERROR_DATA, "field '%s': %d", "total", 7));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_INT(err.retry_after_ms, 0);
    CHECK_STR(str_from(err.message), STR("field 'total': 7"));
    CHECK(!error_context(&err, "orders, page %d", 3));
    CHECK_STR(str_from(err.message), STR("orders, page 3: field 'total': 7"));
    CHECK_INT(err.code, ERROR_DATA);
}

// However much is put in front, the cause stays as long as there is room for it.
TEST(long_texts_are_cut)
{
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    Error err = {0};
    CHECK(!error_set(&err, ERROR_IO, "%s", text));
    CHECK_INT((int64_t)strlen(err.message), (int64_t)sizeof(err.message) - 1);
    CHECK(!error_set(&err, ERROR_IO, "cause"));
    CHECK(!error_context(&err, "%s", text));
    CHECK(str_ends_with(str_from(err.message), STR("xxx: cause")));
    for (int i = 0; i < 10; i++)
        CHECK(!error_context(&err, "%s", text));
    CHECK_INT((int64_t)strlen(err.message), (int64_t)sizeof(err.message) - 1);
}

TEST(a_remedy_stands_behind_the_errors_that_it_is_for)
{
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    Error err = {0};
    CHECK(!error_set(&err, ERROR_DATA, "'run.json': damaged"));
    CHECK(!error_remedy(&err, ERROR_IO, "try again"));
    CHECK_STR(str_from(err.message), STR("'run.json': damaged"));
    CHECK(!error_remedy(&err, ERROR_DATA, "restore it"));
    CHECK_STR(str_from(err.message), STR("'run.json': damaged; restore it"));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK(!error_set(&err, ERROR_DATA, "%s", text));
    CHECK(!error_remedy(&err, ERROR_DATA, "restore it"));
    CHECK(str_ends_with(str_from(err.message), STR("xxx; restore it")));
    CHECK_INT((int64_t)strlen(err.message), (int64_t)sizeof(err.message) - 1);
}

static bool passes_up(bool ok, int *reached)
{
    TRY(ok);
    (*reached)++;
    return true;
}

TEST(try_returns_at_the_first_failure)
{
    int reached = 0;
    CHECK(!passes_up(false, &reached));
    CHECK_INT(reached, 0);
    CHECK(passes_up(true, &reached));
    CHECK_INT(reached, 1);
}

// The table is what a person acts on: each code has a status of its own, and says what to do.
TEST(each_code_has_a_name_a_status_and_an_advice)
{
    bool taken[256] = {false};
    for (int code = 0; code <= ERROR_STOPPED; code++) {
        const int status = error_code_exit((ErrorCode)code);
        check_row(error_code_name((ErrorCode)code));
        CHECK(status >= 0 && status < 256);
        CHECK(!taken[status]);
        CHECK((status == 0) == (code == ERROR_NONE));
        CHECK(code == ERROR_NONE || error_code_advice((ErrorCode)code)[0] != '\0');
        taken[status] = true;
    }
    CHECK_STR(str_from(error_code_name(ERROR_BUSY)), STR("BUSY"));
    CHECK_INT(error_code_exit(ERROR_JOB), 2);
}
