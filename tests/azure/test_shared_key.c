// Texts from the service's own manual ("Authorize with Shared Key"), and the shape of what is
// signed. That the signatures are right is Azurite's word, in tests/store.
#include "azure/shared_key.h"

#include "harness/check.h"

static void add(HttpRequest *request, const char *name, const char *value)
{
    Error err = {0};
    CHECK_OK(http_request_add_header(request, str_from(name), str_from(value), &err), &err);
}

TEST(the_text_is_that_of_the_manual)
{
    Error err = {0};
    CLEANUP(buf_done) Buf text = {0};
    // The manual's example for a container's metadata.
    HttpRequest request = {.method = STR("GET")};
    add(&request, "x-ms-version", "2015-02-21");
    add(&request, "x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
    const UrlPair pairs[] = {{STR("timeout"), STR("20")},
                             {STR("restype"), STR("container")},
                             {STR("comp"), STR("metadata")}};
    CHECK_OK(
        shared_key_text(STR("myaccount"), &request, STR("/mycontainer"), pairs, 3, &text, &err),
        &err);
    CHECK_STR(buf_str(&text), STR("GET\n\n\n\n\n\n\n\n\n\n\n\n"
                                  "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
                                  "x-ms-version:2015-02-21\n"
                                  "/myaccount/mycontainer\ncomp:metadata\nrestype:container\n"
                                  "timeout:20"));
}

TEST(each_standard_header_has_its_line)
{
    Error err = {0};
    CLEANUP(buf_done) Buf text = {0};
    HttpRequest request = {.method = STR("PUT"), .body = STR("12345")};
    add(&request, "If-None-Match", "*");
    add(&request, "x-ms-blob-type", "BlockBlob");
    add(&request, "Content-Type", "text/plain");
    add(&request, "If-Match", "\"0x1\"");
    add(&request, "Content-Encoding", "gzip");
    add(&request, "Accept-Encoding", "identity"); // is not signed
    CHECK_OK(shared_key_text(STR("a"), &request, STR("/c/b%20b"), NULL, 0, &text, &err), &err);
    CHECK_STR(buf_str(&text), STR("PUT\ngzip\n\n5\n\ntext/plain\n\n\n\"0x1\"\n*\n\n\n"
                                  "x-ms-blob-type:BlockBlob\n/a/c/b%20b"));
}

TEST(a_key_is_base64_or_refused_without_being_shown)
{
    const struct {
        const char *name;
        const char *text;
        int64_t size; // 0 = refused
    } rows[] = {
        {"one pad", "AAECAwQFBgcICQoLDA0ODxAREhM=", 20},
        {"two pads", "AAECAw==", 4},
        {"no pad", "AAEC", 3},
        {"blanks around", " AAEC\n", 3},
        {"empty", "", 0},
        {"no base64", "secret-0815!", 0},
        {"cut", "AAECA", 0},
        {"too long",
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        SharedKey key = {0};
        const bool ok = shared_key_read(&key, str_from(rows[i].text), &err);
        CHECK(ok == (rows[i].size > 0));
        CHECK_INT((int64_t)key.size, rows[i].size);
        CHECK(ok || err.code == ERROR_JOB);
        CHECK(strstr(err.message, "0815") == NULL);
    }
}

// RFC 4231, test case 2: HMAC-SHA-256 with the key "Jefe".
TEST(the_signature_is_an_hmac_sha256)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(4096, &err);
    SharedKey key = {0};
    Str value = {NULL, 0};
    CHECK_OK(shared_key_read(&key, STR("SmVmZQ=="), &err), &err);
    CHECK_OK(shared_key_sign(&key, STR("acct"), STR("what do ya want for nothing?"), arena, &value,
                             &err),
             &err);
    CHECK_STR(value, STR("SharedKey acct:W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="));
}
