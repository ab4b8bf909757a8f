#include "net/url.h"

#include "harness/check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { ARENA_BYTES = 64 * 1024 };

TEST(url_is_split_into_its_parts)
{
    Url url = {0};
    CHECK(url_split(STR("https://u:p@Api.example.com:8443/v1/x?a=1?2#f#g"), &url));
    CHECK_STR(url.scheme, STR("https"));
    CHECK_STR(url.user, STR("u:p"));
    CHECK_STR(url.host, STR("Api.example.com"));
    CHECK_STR(url.port, STR("8443"));
    CHECK_STR(url.path, STR("/v1/x"));
    CHECK_STR(url.query, STR("a=1?2"));
    CHECK_STR(url.fragment, STR("f#g"));

    CHECK(url_split(STR("http://[::1]:80?q"), &url));
    CHECK_STR(url.host, STR("::1"));
    CHECK_STR(url.path, STR(""));
    CHECK_STR(url.query, STR("q"));
    CHECK_INT(url_port(&url), 80);

    CHECK(url_split(STR("HTTP://h:"), &url));
    CHECK_INT(url_port(&url), 80);
}

TEST(url_refuses_what_others_read_differently)
{
    const char *rows[] = {
        "",
        "h",
        "/x",
        "ftp://h/",
        "https:/h",
        "https://",
        "https:///x",
        "https://h h/",
        "https://h\\@e/",
        "https://h\r\n/",
        "https://[",
        "https://[]/",
        "https://[::1",
        "https://[::1]x/",
        "https://h:x/",
        "https://h:65536/",
        "https://h:-1/",
        "https://a@b@c/",
        "https://h%2e/",
        "https://h:0/",
        "https://\xC3\xA9/",
        "https://h\x7F/",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i]);
        Url url = {.scheme = STR("untouched")};
        CHECK(!url_split(str_from(rows[i]), &url));
        CHECK_STR(url.scheme, STR("untouched"));
    }
}

TEST(same_origin_compares_scheme_host_and_effective_port)
{
    const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"https://a.com/x", "https://A.COM:443/y", true},
        {"http://a.com:80/x", "http://a.com/", true},
        {"https://a.com/", "http://a.com/", false},
        {"https://a.com/", "http://a.com:443/", false},
        {"https://a.com/", "https://a.com:8443/", false},
        {"https://a.com/", "https://a.com.evil.com/", false},
        {"https://a.com/", "https://a.com@evil.com/", false},
        {"https://a.com/", "https://evil.com#@a.com/", false},
        {"https://a.com/", "https://evil.com\\@a.com/", false},
        {"https://a.com/", "https://a.com./", false},
        {"not a url", "not a url", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].b);
        CHECK_INT(url_same_origin(str_from(rows[i].a), str_from(rows[i].b)), rows[i].same);
        CHECK_INT(url_same_origin(str_from(rows[i].b), str_from(rows[i].a)), rows[i].same);
    }
}

TEST(loopback_is_recognised)
{
    const char *yes[] = {"127.0.0.1",       "127.255.0.9", "::1",
                         "0:0:0:0:0:0:0:1", "localhost",   "LOCALHOST"};
    const char *no[] = {"",
                        "128.0.0.1",
                        "10.0.0.1",
                        "127.0.0.1.evil.com",
                        "::2",
                        "0.0.0.0",
                        "localhost.evil.com",
                        "127.0.0",
                        "1270.0.0.1",
                        "0000:0000:0000:0000:0000:0000:0000:0001:0000:0000"};
    for (size_t i = 0; i < COUNT(yes); i++) {
        check_row(yes[i]);
        CHECK(url_host_is_loopback(str_from(yes[i])));
    }
    for (size_t i = 0; i < COUNT(no); i++) {
        check_row(no[i]);
        CHECK(!url_host_is_loopback(str_from(no[i])));
    }
}

// RFC 3986 5.4's examples and more. The third column is what Python 3.11's urljoin answers, which
// differs from the RFC for "?" and "#" (dropped when empty).
TEST(join_answers_as_python_does)
{
    // clang-format off
    const struct {
        const char *base, *reference, *expected;
    } rows[] = {
        {"http://a/b/c/d;p?q", "g:h", "g:h"},
        {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"},
        {"http://a/b/c/d;p?q", "/g", "http://a/g"},
        {"http://a/b/c/d;p?q", "//g", "http://g"},
        {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
        {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"},
        {"http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q#s"},
        {"http://a/b/c/d;p?q", "g#s", "http://a/b/c/g#s"},
        {"http://a/b/c/d;p?q", "g?y#s", "http://a/b/c/g?y#s"},
        {"http://a/b/c/d;p?q", ";x", "http://a/b/c/;x"},
        {"http://a/b/c/d;p?q", "g;x", "http://a/b/c/g;x"},
        {"http://a/b/c/d;p?q", "g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", ".", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "./", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "..", "http://a/b/"},
        {"http://a/b/c/d;p?q", "../", "http://a/b/"},
        {"http://a/b/c/d;p?q", "../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "../..", "http://a/"},
        {"http://a/b/c/d;p?q", "../../", "http://a/"},
        {"http://a/b/c/d;p?q", "../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "../../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "../../../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/./g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "g.", "http://a/b/c/g."},
        {"http://a/b/c/d;p?q", ".g", "http://a/b/c/.g"},
        {"http://a/b/c/d;p?q", "g..", "http://a/b/c/g.."},
        {"http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"},
        {"http://a/b/c/d;p?q", "./../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "./g/.", "http://a/b/c/g/"},
        {"http://a/b/c/d;p?q", "g/./h", "http://a/b/c/g/h"},
        {"http://a/b/c/d;p?q", "g/../h", "http://a/b/c/h"},
        {"http://a/b/c/d;p?q", "g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"http://a/b/c/d;p?q", "g;x=1/../y", "http://a/b/c/y"},
        {"http://a/b/c/d;p?q", "g?y/./x", "http://a/b/c/g?y/./x"},
        {"http://a/b/c/d;p?q", "g?y/../x", "http://a/b/c/g?y/../x"},
        {"http://a/b/c/d;p?q", "g#s/./x", "http://a/b/c/g#s/./x"},
        {"http://a/b/c/d;p?q", "http:g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "http://x/y?z", "http://x/y?z"},
        {"http://a/b/c/d;p?q", "https://x", "https://x"},
        {"http://a/b/c/d;p?q", "HTTPS://X/Y", "HTTPS://X/Y"},
        {"http://a/b/c/d;p?q", "a//b", "http://a/b/c/a/b"},
        {"http://a/b/c/d;p?q", "/a//b", "http://a/a//b"},
        {"http://a/b/c/d;p?q", "  g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "g\th", "http://a/b/c/gh"},
        {"http://a/b/c/d;p?q", "?", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", "#", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", ";", "http://a/b/c/d;p?q"},
        {"https://api.x.com", "calls", "https://api.x.com/calls"},
        {"https://api.x.com", "/calls", "https://api.x.com/calls"},
        {"https://api.x.com", "../calls", "https://api.x.com/calls"},
        {"https://api.x.com", "?page=2", "https://api.x.com?page=2"},
        {"https://api.x.com", "calls?x=a/../b", "https://api.x.com/calls?x=a/../b"},
        {"https://api.x.com", "https://other/x", "https://other/x"},
        {"https://api.x.com", "//other/x", "https://other/x"},
        {"https://api.x.com", "", "https://api.x.com"},
        {"https://api.x.com/", "calls", "https://api.x.com/calls"},
        {"https://api.x.com/", "/calls", "https://api.x.com/calls"},
        {"https://api.x.com/", "../calls", "https://api.x.com/calls"},
        {"https://api.x.com/", "?page=2", "https://api.x.com/?page=2"},
        {"https://api.x.com/", "calls?x=a/../b", "https://api.x.com/calls?x=a/../b"},
        {"https://api.x.com/", "https://other/x", "https://other/x"},
        {"https://api.x.com/", "//other/x", "https://other/x"},
        {"https://api.x.com/", "", "https://api.x.com/"},
        {"https://api.x.com/v1", "calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1", "/calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1", "../calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1", "?page=2", "https://api.x.com/v1?page=2"},
        {"https://api.x.com/v1", "calls?x=a/../b", "https://api.x.com/calls?x=a/../b"},
        {"https://api.x.com/v1", "https://other/x", "https://other/x"},
        {"https://api.x.com/v1", "//other/x", "https://other/x"},
        {"https://api.x.com/v1", "", "https://api.x.com/v1"},
        {"https://api.x.com/v1/", "calls", "https://api.x.com/v1/calls"},
        {"https://api.x.com/v1/", "/calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1/", "../calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1/", "?page=2", "https://api.x.com/v1/?page=2"},
        {"https://api.x.com/v1/", "calls?x=a/../b", "https://api.x.com/v1/calls?x=a/../b"},
        {"https://api.x.com/v1/", "https://other/x", "https://other/x"},
        {"https://api.x.com/v1/", "//other/x", "https://other/x"},
        {"https://api.x.com/v1/", "", "https://api.x.com/v1/"},
        {"https://api.x.com/v1/?k=v", "calls", "https://api.x.com/v1/calls"},
        {"https://api.x.com/v1/?k=v", "/calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1/?k=v", "../calls", "https://api.x.com/calls"},
        {"https://api.x.com/v1/?k=v", "?page=2", "https://api.x.com/v1/?page=2"},
        {"https://api.x.com/v1/?k=v", "calls?x=a/../b", "https://api.x.com/v1/calls?x=a/../b"},
        {"https://api.x.com/v1/?k=v", "https://other/x", "https://other/x"},
        {"https://api.x.com/v1/?k=v", "//other/x", "https://other/x"},
        {"https://api.x.com/v1/?k=v", "", "https://api.x.com/v1/?k=v"},
        {"HTTPS://API.x.com/v1/a#f", "calls", "https://API.x.com/v1/calls"},
        {"HTTPS://API.x.com/v1/a#f", "/calls", "https://API.x.com/calls"},
        {"HTTPS://API.x.com/v1/a#f", "../calls", "https://API.x.com/calls"},
        {"HTTPS://API.x.com/v1/a#f", "?page=2", "https://API.x.com/v1/a?page=2"},
        {"HTTPS://API.x.com/v1/a#f", "calls?x=a/../b", "https://API.x.com/v1/calls?x=a/../b"},
        {"HTTPS://API.x.com/v1/a#f", "https://other/x", "https://other/x"},
        {"HTTPS://API.x.com/v1/a#f", "//other/x", "https://other/x"},
        {"HTTPS://API.x.com/v1/a#f", "", "HTTPS://API.x.com/v1/a#f"},
        {"v1/a", "calls", "v1/calls"},
        {"v1/a", "/calls", "/calls"},
        {"v1/a", "../calls", "calls"},
        {"v1/a", "?page=2", "v1/a?page=2"},
        {"v1/a", "calls?x=a/../b", "v1/calls?x=a/../b"},
        {"v1/a", "https://other/x", "https://other/x"},
        {"v1/a", "//other/x", "//other/x"},
        {"v1/a", "", "v1/a"},
        {"/v1/a", "calls", "/v1/calls"},
        {"/v1/a", "/calls", "/calls"},
        {"/v1/a", "../calls", "/calls"},
        {"/v1/a", "?page=2", "/v1/a?page=2"},
        {"/v1/a", "calls?x=a/../b", "/v1/calls?x=a/../b"},
        {"/v1/a", "https://other/x", "https://other/x"},
        {"/v1/a", "//other/x", "//other/x"},
        {"/v1/a", "", "/v1/a"},
        {"mailto:a", "calls", "calls"},
        {"mailto:a", "/calls", "/calls"},
        {"mailto:a", "../calls", "../calls"},
        {"mailto:a", "?page=2", "?page=2"},
        {"mailto:a", "calls?x=a/../b", "calls?x=a/../b"},
        {"mailto:a", "https://other/x", "https://other/x"},
        {"mailto:a", "//other/x", "//other/x"},
        {"mailto:a", "", "mailto:a"},
        {"", "calls", "calls"},
        {"", "/calls", "/calls"},
        {"", "../calls", "../calls"},
        {"", "?page=2", "?page=2"},
        {"", "calls?x=a/../b", "calls?x=a/../b"},
        {"", "https://other/x", "https://other/x"},
        {"", "//other/x", "//other/x"},
        {"", "", ""},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].reference);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Str url = {0};
        CHECK_OK(url_join(str_from(rows[i].base), str_from(rows[i].reference), arena, &url, &err),
                 &err);
        CHECK_STR(url, str_from(rows[i].expected));
    }
}

TEST(join_refuses_brackets_that_do_not_match)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Str url = {0};
    CHECK(!url_join(STR("http://a/"), STR("//[::1/x"), arena, &url, &err));
    CHECK_INT(err.code, ERROR_DATA);
}

TEST(join_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        Str url = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        const bool ok =
            arena != NULL && url_join(STR("https://a/b/c"), STR("\t../d\n?e"), arena, &url, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_STR(url, ok ? STR("https://a/d?e") : STR(""));
    }
}

TEST(quoting_is_pythons)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    const Str text = STR("a b&c=d/~-._%\xC3\xA9+\0");
    CHECK_OK(url_quote_plus(text, &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("a+b%26c%3Dd%2F~-._%25%C3%A9%2B%00"));

    CLEANUP(buf_done) Buf back = {0};
    CHECK_OK(url_unquote_plus(buf_str(&out), &back, &err), &err);
    CHECK_STR(buf_str(&back), text);

    buf_clear(&out);
    CHECK_OK(url_quote(STR("a b/c?"), STR("/"), &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("a%20b/c%3F"));
}

TEST(unquoting_keeps_what_is_no_sequence)
{
    const struct {
        const char *text, *expected;
    } rows[] = {{"%", "%"},           {"%4", "%4"},           {"%zz", "%zz"},
                {"%41%4a%4A", "AJJ"}, {"100%+%20", "100%  "}, {"", ""}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(url_unquote_plus(str_from(rows[i].text), &out, &err), &err);
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
    }
}
