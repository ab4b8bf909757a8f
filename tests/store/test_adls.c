// What is the Azure driver's own: answers that get lost, refusals, parts of lists, blocks, leases
// of processes that are gone. Refusals and losses come from a script; the rest is Azurite's.
#include "store/lease.h"

#include "azure/blob.h"
#include "harness/azurite.h"
#include "harness/check.h"
#include "harness/server.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_BYTES = 64 * 1024 * 1024 };

// What adls_new_id() makes of the tests' random numbers, which are all 4.
#define OUR_ID "00000000-0000-4004-8000-000000000004"

#define ANSWER(status, headers) STR("HTTP/1.1 " status "\r\n" headers "Content-Length: 0\r\n\r\n")
#define CODE(code)              "x-ms-error-code: " code "\r\n"

// Opens a store whose end point is the script, with a key.
static bool open_scripted(Store *store, const Server *server, const char *options, Arena *arena,
                          Error *err)
{
    Str json = {NULL, 0};
    yyjson_doc *doc = NULL;
    return arena_printf(arena, &json, err,
                        "{\"account\":\"acct\",\"container\":\"pages\",\"endpoint\":\"%s\"%s}",
                        server_url(server, ""), options) &&
           json_parse(json, "options", arena, &doc, err) &&
           store_open(store, &store_adls, (DriverOptions){yyjson_doc_get_root(doc), STR("options")},
                      &test_env, arena, NULL, err);
}

#define WITH_KEY ", \"account_key\": \"a2V5\""
#define SCRIPTED(steps, options)                                              \
    Error err = {0};                                                          \
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);           \
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps)); \
    CLEANUP(store_close) Store store = {0};                                   \
    CHECK_OK(open_scripted(&store, server, options, arena, &err), &err)

// --- scripted

TEST(a_creation_whose_answer_was_lost_is_recognised)
{
    const ServerStep steps[] = {
        {.request = "PUT /pages/a HTTP",
         .has = {"If-None-Match: *", "x-ms-meta-pawlwrite: " OUR_ID, "SharedKey acct:"},
         .then = SERVER_RESET},
        {.request = "PUT /pages/a HTTP",
         .answer = ANSWER("409 Conflict", CODE("BlobAlreadyExists"))},
        {.request = "HEAD /pages/a HTTP",
         .answer = ANSWER("200 OK", "x-ms-meta-pawlwrite: " OUR_ID "\r\n")},
    };
    SCRIPTED(steps, WITH_KEY);
    CHECK_OK(store_create(&store, STR("a"), STR("x"), 0, &err), &err);
}

TEST(a_creation_that_another_has_won_is_a_conflict)
{
    static const char *const statuses[] = {"409 Conflict", "412 Precondition Failed"};
    for (size_t i = 0; i < 2; i++) {
        Str answer = i == 0 ? ANSWER("409 Conflict", CODE("BlobAlreadyExists"))
                            : ANSWER("412 Precondition Failed", CODE("ConditionNotMet"));
        check_row(statuses[i]);
        const ServerStep steps[] = {
            {.request = "PUT /pages/a HTTP", .answer = answer},
            {.request = "HEAD /pages/a HTTP",
             .answer = ANSWER("200 OK", "x-ms-meta-pawlwrite: another\r\n")},
        };
        SCRIPTED(steps, WITH_KEY);
        CHECK(!store_create(&store, STR("a"), STR("x"), 0, &err));
        CHECK_INT(err.code, ERROR_CONFLICT);
        CHECK_CONTAINS(str_from(err.message), STR("'a': exists"));
    }
}

// 409 says more than "exists". Who took it for that would go on without what he wanted to write.
TEST(a_creation_that_is_refused_where_nothing_is_did_not_happen)
{
    const ServerStep steps[] = {
        {.request = "PUT /pages/a HTTP",
         .answer = ANSWER("409 Conflict", CODE("ContainerBeingDeleted"))},
        {.request = "HEAD /pages/a HTTP", .answer = ANSWER("404 Not Found", "")},
    };
    SCRIPTED(steps, WITH_KEY);
    CHECK(!store_create(&store, STR("a"), STR("x"), 0, &err));
    CHECK_INT(err.code, ERROR_IO);
    CHECK_CONTAINS(str_from(err.message), STR("409 ContainerBeingDeleted"));
}

TEST(what_is_refused_for_now_is_tried_again_as_late_as_asked)
{
    const ServerStep steps[] = {
        {.request = "PUT /pages/a HTTP",
         .answer = ANSWER("503 Server Busy", "Retry-After: 7\r\n" CODE("ServerBusy"))},
        {.request = "PUT /pages/a HTTP", .answer = ANSWER("500 Oops", CODE("InternalError"))},
        {.request = "PUT /pages/a HTTP", .answer = ANSWER("201 Created", "")},
    };
    SCRIPTED(steps, WITH_KEY);
    const int64_t before_us = test_clock_us;
    CHECK_OK(store_create(&store, STR("a"), STR("x"), 0, &err), &err);
    CHECK(test_clock_us - before_us >= 7000000);
}

TEST(tries_have_an_end)
{
    const ServerStep steps[] = {
        {.request = "GET /pages/a HTTP",
         .answer = ANSWER("429 Too Many", "Retry-After: 9\r\n" CODE("TooManyRequests"))},
        {.request = "GET /pages/a HTTP", .answer = ANSWER("429 Too Many", "")},
        {.request = "GET /pages/a HTTP", .answer = ANSWER("429 Too Many", "")},
        {.request = "GET /pages/a HTTP", .answer = ANSWER("429 Too Many", "")},
        {.request = "GET /pages/a HTTP",
         .answer = ANSWER("429 Too Many", "Retry-After: 9\r\n" CODE("TooManyRequests"))},
    };
    SCRIPTED(steps, WITH_KEY);
    char byte = 0;
    size_t got = 0;
    CHECK(!store_read(&store, STR("a"), 0, &byte, 1, &got, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_INT(err.retry_after_ms, 9000);
}

// A gateway in front that is shut until tomorrow: a person must hear of it today.
TEST(a_wait_of_hours_is_told_and_not_waited)
{
    const ServerStep steps[] = {
        {.request = "GET /pages/a HTTP",
         .answer = ANSWER("503 Unavailable", "Retry-After: 7200\r\n" CODE("ServerBusy"))},
    };
    SCRIPTED(steps, WITH_KEY);
    char byte = 0;
    size_t got = 0;
    const int64_t before_us = test_clock_us;
    CHECK(!store_read(&store, STR("a"), 0, &byte, 1, &got, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_INT(err.retry_after_ms, 7200000);
    CHECK_INT(test_clock_us, before_us);
}

// A wrong clock signs with a wrong date: no key that is right helps.
TEST(a_refusal_by_the_clock_is_told_as_one)
{
    static const struct {
        const char *name, *says;
        int64_t ahead_us;
    } rows[] = {
        {"right", "check account_key", 0},
        {"a little off", "check account_key", INT64_C(600000000)},
        {"ahead", "clock of this machine, which is 20 minutes ahead of", INT64_C(1200000000)},
        {"behind", "clock of this machine, which is 20 minutes behind", -INT64_C(1200000000)},
    };
    const int64_t before_us = test_clock_us;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {
            {.request = "PUT /pages/a HTTP",
             .answer = ANSWER("403 Forbidden", "Date: Thu, 12 Mar 2026 18:00:00 GMT\r\n" CODE(
                                                   "AuthenticationFailed"))}};
        SCRIPTED(steps, WITH_KEY);
        CHECK(http_date_parse(STR("Thu, 12 Mar 2026 18:00:00 GMT"), 0, &test_clock_us));
        test_clock_us += rows[i].ahead_us;
        CHECK(!store_put(&store, STR("a"), STR("x"), 0, &err));
        CHECK_INT(err.code, ERROR_ACCESS);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
    test_clock_us = before_us;
}

TEST(refusals_say_what_lacks)
{
    const struct {
        const char *name;
        Str answer;
        ErrorCode code;
        const char *says;
    } rows[] = {
        {"no right", ANSWER("403 Forbidden", CODE("AuthorizationPermissionMismatch")), ERROR_ACCESS,
         "sp=racwdl"},
        {"a wrong signature", ANSWER("403 Forbidden", CODE("AuthenticationFailed")), ERROR_ACCESS,
         "renew the SAS"},
        {"no credential", ANSWER("401 Unauthorized", CODE("NoAuthenticationInformation")),
         ERROR_ACCESS, "renew the SAS"},
        {"no container", ANSWER("404 Not Found", CODE("ContainerNotFound")), ERROR_JOB,
         "container 'acct/pages' does not exist"},
        {"too large", ANSWER("413 Too Large", CODE("RequestBodyTooLarge")), ERROR_LIMIT,
         "RequestBodyTooLarge"},
        {"a leased file", ANSWER("412 Precondition Failed", CODE("LeaseIdMissing")), ERROR_CONFLICT,
         "LeaseIdMissing"},
        {"another request",
         ANSWER("400 Bad", CODE("InvalidHeaderValue") "x-ms-request-id: id-1\r\n"), ERROR_DATA,
         "InvalidHeaderValue, request id-1"},
        {"a code that is none", ANSWER("400 Bad", CODE("<hush>")), ERROR_DATA, "no error code"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {{.request = "PUT /pages/a?sv=1&sig=hush HTTP",
                                     .lacks = {"Authorization", "x-ms-date"},
                                     .answer = rows[i].answer}};
        SCRIPTED(steps, ", \"sas_token\": \"?sv=1&sig=hush\"");
        CHECK(!store_put(&store, STR("a"), STR("x"), 0, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "hush") == NULL);
    }
}

static const char *metadata_url;

static const char *look_up(void *state, const char *name)
{
    (void)state;
    return strcmp(name, "AZURE_POD_IDENTITY_AUTHORITY_HOST") == 0 ? metadata_url : NULL;
}

#define TOKEN(text)                       \
    STR("HTTP/1.1 200 OK\r\nConnection: " \
        "close\r\n\r\n{\"expires_in\":3600,\"access_token\":\"" text "\"}")

TEST(a_token_that_is_refused_is_renewed_once)
{
    const ServerStep steps[] = {
        {.request = "GET /metadata/", .answer = TOKEN("one"), .then = SERVER_CLOSE},
        {.request = "PUT /pages/a HTTP",
         .has = {"Authorization: Bearer one"},
         .answer = ANSWER("401 Unauthorized", CODE("InvalidAuthenticationInfo"))},
        {.request = "GET /metadata/", .answer = TOKEN("two"), .then = SERVER_CLOSE},
        {.request = "PUT /pages/a HTTP",
         .has = {"Authorization: Bearer two"},
         .answer = ANSWER("201 Created", "")},
        {.request = "PUT /pages/b HTTP",
         .has = {"Authorization: Bearer two"},
         .answer = ANSWER("401 Unauthorized", CODE("InvalidAuthenticationInfo"))},
        {.request = "GET /metadata/", .answer = TOKEN("three"), .then = SERVER_CLOSE},
        {.request = "PUT /pages/b HTTP",
         .has = {"Authorization: Bearer three"},
         .answer = ANSWER("401 Unauthorized", CODE("InvalidAuthenticationInfo"))},
    };
    test_env.variable = look_up;
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    metadata_url = server_url(server, "");
    CLEANUP(store_close) Store store = {0};
    CHECK_OK(open_scripted(&store, server, "", arena, &err), &err);
    CHECK_OK(store_put(&store, STR("a"), STR("x"), 0, &err), &err);
    CHECK(!store_put(&store, STR("b"), STR("x"), 0, &err));
    CHECK_INT(err.code, ERROR_ACCESS);
    CHECK_CONTAINS(str_from(err.message), STR("'Storage Blob Data Contributor'"));
    CHECK_CONTAINS(str_from(err.message), STR("the managed identity of this machine"));
}

#define LIST(body)                                                              \
    STR("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<EnumerationResults>" body \
        "</EnumerationResults>")
#define BLOB(name)                                                                          \
    "<Blob><Name>lake/" name "</Name><Properties><Last-Modified>Thu, 12 Mar 2026 18:00:01 " \
    "GMT</Last-Modified><Content-Length>1</Content-Length></Properties></Blob>"
#define FOLDER(name)                                                                           \
    "<Blob><Name>lake/" name "</Name><Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></" \
    "Blob>"

static bool append_entry(void *visitor, const StoreEntry *entry)
{
    Error err = {0};
    CHECK_OK(
        buf_printf(visitor, &err, STR_FMT "%s ", STR_ARG(entry->path), entry->is_folder ? "/" : ""),
        &err);
    return true;
}

TEST(lists_come_in_parts_and_in_any_order)
{
    const ServerStep steps[] = {
        {.request =
             "GET /pages?restype=container&comp=list&include=metadata&prefix=lake%2Ff%2F HTTP",
         .answer = LIST("<Blobs>" FOLDER("f") FOLDER("f/b") BLOB("f/b/1")
                            BLOB("f/b-") "</Blobs><NextMarker>2!8!b&amp;c/</NextMarker>"),
         .then = SERVER_CLOSE},
        // An empty part that is not the last one, as the service may give it.
        {.request = "GET "
                    "/pages?restype=container&comp=list&include=metadata&prefix=lake%2Ff%2F&marker="
                    "2%218%21b%26c%2F HTTP",
         .answer = LIST("<Blobs /><NextMarker>m3</NextMarker>"),
         .then = SERVER_CLOSE},
        {.request =
             "GET /pages?restype=container&comp=list&include=metadata&prefix=lake%2Ff%2F&marker=m3 "
             "HTTP",
         .answer = LIST("<Blobs>" BLOB("f/a") "</Blobs><NextMarker/>"),
         .then = SERVER_CLOSE},
        {.request = "GET "
                    "/pages?restype=container&comp=list&include=metadata&prefix=lake%2Ff%2F&"
                    "delimiter=%2F HTTP",
         .answer = LIST("<Blobs>" FOLDER("f/b")
                            BLOB("f/b-") "<BlobPrefix><Name>lake/f/b/</Name></BlobPrefix></"
                                         "Blobs><NextMarker>m</NextMarker>"),
         .then = SERVER_CLOSE},
        {.request = "GET "
                    "/pages?restype=container&comp=list&include=metadata&prefix=lake%2Ff%2F&"
                    "delimiter=%2F&marker=m HTTP",
         .answer = LIST("<Blobs><BlobPrefix><Name>lake/f/b/</Name></BlobPrefix>" BLOB(
             "f/a") "</Blobs><NextMarker/>"),
         .then = SERVER_CLOSE},
    };
    SCRIPTED(steps, WITH_KEY ", \"prefix\": \"/lake/\"");
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(store_list(&store, STR("f"), 0, append_entry, &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("f/a f/b- f/b/1 "));
    buf_clear(&out);
    CHECK_OK(store_list(&store, STR("f"), STORE_SHALLOW, append_entry, &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("f/a f/b- f/b/ "));
}

// Bytes of another place, taken for those that were asked for, would be a page of nobody.
TEST(an_answer_of_another_range_is_refused)
{
    const struct {
        const char *name, *status, *range;
        uint64_t offset;
        bool is_read;
    } rows[] = {
        {"the range", "206 Partial Content", "Content-Range: bytes 4-7/8\r\n", 4, true},
        {"the whole file", "200 OK", "", 0, true},
        {"another range", "206 Partial Content", "Content-Range: bytes 0-3/8\r\n", 4, false},
        {"the whole file, though a part was asked for", "200 OK", "", 4, false},
        {"no range", "206 Partial Content", "", 4, false},
        {"a range that is none", "206 Partial Content", "Content-Range: bytes 4/8\r\n", 4, false},
        {"a total that is none", "206 Partial Content", "Content-Range: bytes 4-7/*\r\n", 4, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        char answer[200], bytes[8];
        (void)snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\n%sContent-Length: 4\r\n\r\nabcd",
                       rows[i].status, rows[i].range);
        const ServerStep steps[] = {{.request = "GET /pages/a HTTP", .answer = str_from(answer)}};
        SCRIPTED(steps, WITH_KEY);
        size_t got = 0;
        const bool ok = store_read(&store, STR("a"), rows[i].offset, bytes, 4, &got, &err);
        CHECK(ok == rows[i].is_read);
        CHECK_INT(err.code, ok ? ERROR_NONE : ERROR_DATA);
        if (ok)
            CHECK_STR(((Str){bytes, got}), STR("abcd"));
    }
}

TEST(a_folder_is_no_file)
{
    const ServerStep steps[] = {
        {.request = "GET /pages/f HTTP",
         .answer =
             STR("HTTP/1.1 200 OK\r\nx-ms-meta-hdi_isfolder: true\r\nContent-Length: 0\r\n\r\n")},
    };
    SCRIPTED(steps, WITH_KEY);
    char byte = 0;
    size_t got = 0;
    CHECK(!store_read(&store, STR("f"), 0, &byte, 1, &got, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
}

TEST(blocks_that_another_writer_threw_away_go_up_again)
{
    const ServerStep steps[] = {
        {.request = "PUT /pages/a?comp=block&blockid=",
         .answer = ANSWER("201 Created", ""),
         .many = true},
        {.request = "PUT /pages/a?comp=blocklist",
         .has = {"<Latest>0000000000000000</Latest><Latest>0000000000000001</Latest></BlockList>",
                 "If-None-Match: *"},
         .answer = ANSWER("400 Bad", CODE("InvalidBlockList"))},
        {.request = "HEAD /pages/a HTTP", .answer = ANSWER("404 Not Found", "")},
        {.request = "PUT /pages/a?comp=blocklist", .answer = ANSWER("201 Created", "")},
    };
    SCRIPTED(steps, WITH_KEY ", \"block_bytes\": \"64KiB\"");
    char *bytes = arena_alloc(arena, 65537, &err);
    CHECK_OK(store_create(&store, STR("a"), (Str){bytes, 65537}, 0, &err), &err);
}

TEST(options_that_are_wrong_are_named)
{
    const struct {
        const char *options;
        const char *says;
    } rows[] = {
        {"{\"account\":\"a/b\",\"container\":\"pages\",\"account_key\":\"a2V5\"}", "account 'a/b'"},
        {"{\"account\":\"acct\",\"container\":\"Pages\",\"account_key\":\"a2V5\"}",
         "container 'Pages'"},
        {"{\"account\":\"acct\",\"container\":\"pages\",\"account_key\":\"hush!\"}",
         "account_key: is no base64"},
        {"{\"account\":\"acct\",\"container\":\"pages\",\"sas_token\":\"hush\"}",
         "sas_token: is no SAS"},
        {"{\"account\":\"acct\",\"container\":\"pages\",\"account_key\":\"a2V5\",\"endpoint\":"
         "\"acct.blob\"}",
         "endpoint: is not https://HOST"},
        {"{\"account\":\"acct\",\"container\":\"pages\",\"account_key\":\"a2V5\",\"endpoint\":"
         "\"https://h/?sig=hush\"}",
         "endpoint: is not https://HOST"},
        {"{\"account\":\"acct\",\"container\":\"pages\",\"account_key\":\"a2V5\",\"prefix\":\"a/../"
         "b\"}",
         "may not hold '.' or '..'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].says);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(store_close) Store store = {0};
        yyjson_doc *doc = NULL;
        CHECK_OK(json_parse(str_from(rows[i].options), "options", arena, &doc, &err), &err);
        CHECK(!store_open(&store, &store_adls,
                          (DriverOptions){yyjson_doc_get_root(doc), STR("options")}, &test_env,
                          arena, NULL, &err));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "hush") == NULL);
    }
}

// --- with Azurite

static Env azurite_env;

#define AZURITE(options)                                            \
    if (!azurite_is_there())                                        \
        return;                                                     \
    Error err = {0};                                                \
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err); \
    CLEANUP(store_close) Store store = {0};                         \
    Str container = {NULL, 0};                                      \
    azurite_env = test_env;                                         \
    azurite_env.random = azurite_random;                            \
    CHECK_OK(azurite_open_store(&store, options, &azurite_env, arena, &container, &err), &err)

TEST(large_files_go_up_in_blocks)
{
    AZURITE(", \"block_bytes\": \"64KiB\"");
    enum { LARGE = 10 * 64 * 1024 + 1 };
    char *bytes = arena_alloc_raw(arena, LARGE, &err);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * i / 7);
    Str got = {NULL, 0};
    CHECK_OK(store_create(&store, STR("a"), (Str){bytes, LARGE}, 0, &err), &err);
    CHECK(!store_create(&store, STR("a"), (Str){bytes, LARGE}, 0, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    err = (Error){0};
    CHECK_OK(store_put(&store, STR("a"), (Str){bytes + 1, LARGE - 1}, 0, &err), &err);
    CHECK_OK(store_read_all(&store, STR("a"), RUN_BYTES / 8, arena, &got, &err), &err);
    CHECK(str_equal(got, (Str){bytes + 1, LARGE - 1}));
}

TEST(a_file_that_is_replaced_while_it_is_read_is_told)
{
    AZURITE("");
    enum { LARGE = 5 * 1024 * 1024 };
    char *bytes = arena_alloc(arena, LARGE, &err);
    char *room = arena_alloc(arena, LARGE, &err);
    size_t got = 0;
    CHECK_OK(store_put(&store, STR("a"), (Str){bytes, LARGE}, 0, &err), &err);
    CHECK_OK(store_read(&store, STR("a"), 0, room, LARGE / 2, &got, &err), &err);
    CHECK_OK(store_put(&store, STR("a"), (Str){bytes, LARGE - 1}, 0, &err), &err);
    uint64_t offset = got;
    // What was read ahead is still that of the file as it was; what follows is not.
    while (offset < LARGE && store_read(&store, STR("a"), offset, room, LARGE, &got, &err))
        offset += got;
    CHECK(offset < LARGE);
    CHECK_INT(err.code, ERROR_CONFLICT);
    CHECK_CONTAINS(str_from(err.message), STR("replaced while it was read"));
}

static bool take(Lease *lease, Store *store, const char *run, Error *err)
{
    return lease_take(lease, store, STR("leases/x"), str_from(run), LEASE_TTL_US_MAX, err);
}

// Takes the lease in a process that then dies without a word.
static void take_and_die(Str container, Arena *arena)
{
    const pid_t child = fork();
    if (child == 0) {
        Error err = {0};
        Store store = {0};
        Lease lease = {0};
        if (!azurite_reopen_store(&store, container, "", &azurite_env, arena, &err) ||
            !take(&lease, &store, "dead", &err) || lease.epoch != 1)
            _exit(1);
        (void)raise(SIGKILL);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
}

TEST(the_lease_of_a_process_that_is_gone_is_taken_over)
{
    AZURITE("");
    take_and_die(container, arena);
    Lease lease = {0};
    Lease second = {0};
    CHECK_OK(take(&lease, &store, "next", &err), &err);
    CHECK_INT((int64_t)lease.epoch, 2);
    // And is a lease like any other.
    CHECK(!take(&second, &store, "third", &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_CONTAINS(str_from(err.message), STR("/next"));
    err = (Error){0};
    lease_release(&lease);
    CHECK_OK(take(&second, &store, "third", &err), &err);
    CHECK_INT((int64_t)second.epoch, 3);
    lease_release(&second);
}

// Sends one request to the lease's file behind the store's back.
static int order(Str container, const char *action, const char *name, const char *value, Str body)
{
    Error err = {0};
    const BlobOptions options = {.account = STR(AZURITE_ACCOUNT),
                                 .container = container,
                                 .endpoint = str_from(azurite_endpoint()),
                                 .account_key = STR(AZURITE_KEY),
                                 .connections = 1};
    CLEANUP(blob_client_closep) BlobClient *client = NULL;
    CHECK_OK(blob_client_open(&options, &azurite_env, &client, &err), &err);
    BlobRequest request = {.method = STR("PUT"), .name = STR("leases/x"), .body = body};
    if (action != NULL) {
        blob_request_pair(&request, STR("comp"), STR("lease"));
        blob_request_header(&request, STR("x-ms-lease-action"), str_from(action));
    } else {
        blob_request_header(&request, STR("x-ms-blob-type"), STR("BlockBlob"));
    }
    if (name != NULL)
        blob_request_header(&request, str_from(name), str_from(value));
    BlobAnswer answer = {0};
    CHECK_OK(blob_send(client, &request, &answer, &err), &err);
    return answer.response->status;
}

// "break" is what time does to a lease, without the waiting.
TEST(a_lease_that_time_has_ended_is_lost_to_the_next_one)
{
    AZURITE("");
    Lease slept = {0};
    Lease next = {0};
    CHECK_OK(take(&slept, &store, "slept", &err), &err);
    CHECK_INT(order(container, "break", "x-ms-lease-break-period", "0", STR("")), 202);
    CHECK_OK(take(&next, &store, "next", &err), &err);
    CHECK_INT((int64_t)next.epoch, (int64_t)slept.epoch + 1);
    azurite_env.now_us = test_env.now_us;
    test_clock_us += LEASE_TTL_US_MAX / 2;
    CHECK(!lease_renew(&slept, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    CHECK_CONTAINS(str_from(err.message), STR("/next (epoch 2, ours 1)"));
    lease_release(&slept); // must not take it from its new holder
    err = (Error){0};
    CHECK_OK(lease_renew(&next, &err), &err);
    lease_release(&next);
}

// Ctrl-C, or a machine that is taken away: whoever comes next need not wait for the lease's time,
// and reads why it ended.
TEST(who_is_told_to_stop_gives_its_lease_back_and_says_why)
{
    AZURITE("");
    Lease lease = {0};
    char byte = 0;
    size_t got = 0;
    CHECK_OK(take(&lease, &store, "stopped", &err), &err);
    atomic_store(&azurite_env.stop, true);
    lease_release(&lease);
    CHECK_OK(store_put(&store, STR("last"), STR("word"), 0, &err), &err);
    CHECK(!store_read(&store, STR("leases/x"), 0, &byte, 1, &got, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    atomic_store(&azurite_env.stop, false);
    err = (Error){0};
    CHECK_OK(take(&lease, &store, "next", &err), &err);
    CHECK_INT((int64_t)lease.epoch, 2);
    lease_release(&lease);
    CHECK_OK(store_read(&store, STR("last"), 0, &byte, 1, &got, &err), &err);
}

TEST(a_leased_file_is_written_by_its_holder_only)
{
    AZURITE("");
    Lease lease = {0};
    CHECK_OK(take(&lease, &store, "holder", &err), &err);
    CHECK_INT(order(container, NULL, NULL, NULL, STR("{}")), 412);
    lease_release(&lease);
}

// Starting at epoch 1 again would be worse than not starting.
TEST(a_record_that_cannot_be_read_is_no_reason_to_begin_anew)
{
    AZURITE("");
    Lease lease = {0};
    CHECK_INT(order(container, NULL, NULL, NULL, STR("{\"schema\":2}")), 201);
    for (int i = 0; i < 2; i++) { // and the first refusal left no lease behind
        CHECK(!take(&lease, &store, "next", &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), STR("not a lease record"));
        err = (Error){0};
    }
}
