#include "harness/azurite.h"

#include "azure/blob.h"

#include "harness/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_BYTES_MAX = 4096 };

static pid_t azurite;
static pid_t starter;
static char endpoint[100];

static void stop(void)
{
    if (getpid() != starter) // a test's own process, which ends first
        return;
    (void)kill(azurite, SIGKILL);
    (void)waitpid(azurite, NULL, 0);
}

static void become_azurite(const char *script, const int output[2])
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDWR);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(output[1], STDOUT_FILENO);
    (void)dup2(output[1], STDERR_FILENO);
    (void)close(output[0]);
    // Its folder, where it would write nothing, must be one that goes.
    (void)execlp("node", "node", script, "--blobHost", "127.0.0.1", "--blobPort", "0", "--silent",
                 "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry", NULL);
    _exit(127);
}

// Waits for the line that says where it listens; it comes when it does.
static bool read_endpoint(int fd)
{
    static const char says[] = "successfully listens on ";
    char text[OUTPUT_BYTES_MAX] = "";
    size_t size = 0;
    while (size + 1 < sizeof(text)) {
        const ssize_t got = read(fd, text + size, sizeof(text) - size - 1);
        if (got <= 0)
            break;
        size += (size_t)got;
        text[size] = '\0';
        const char *at = strstr(text, says);
        const char *end = at == NULL ? NULL : strchr(at, '\n');
        if (end == NULL)
            continue;
        at += sizeof(says) - 1;
        (void)snprintf(endpoint, sizeof(endpoint), "%.*s/" AZURITE_ACCOUNT, (int)(end - at), at);
        return true;
    }
    (void)fprintf(stderr, "azurite did not start: %s\n", text);
    return false;
}

// Before main(), so that all tests of the program, each a process, share it.
__attribute__((constructor)) static void start(void)
{
    const char *script = getenv("PAWL_AZURITE");
    if (script == NULL || script[0] == '\0') {
        (void)printf("skipped 'adls: PAWL_AZURITE is not set (./dev test sets it)'\n");
        return;
    }
    int output[2];
    if (pipe(output) != 0)
        abort();
    starter = getpid();
    azurite = fork();
    if (azurite == 0)
        become_azurite(script, output);
    (void)close(output[1]);
    // The read end stays open as long as we live: Azurite would die of writing to nobody.
    if (azurite < 0 || !read_endpoint(output[0]))
        abort();
    (void)atexit(stop);
}

bool azurite_is_there(void)
{
    return endpoint[0] != '\0';
}

const char *azurite_endpoint(void)
{
    return endpoint;
}

uint64_t azurite_random(void *state)
{
    (void)state;
    static uint64_t count;
    return (++count + (uint64_t)getpid() * 1000000) * UINT64_C(0x9E3779B97F4A7C15);
}

static bool make_container(Str container, Env *env, Error *err)
{
    const BlobOptions options = {.account = STR(AZURITE_ACCOUNT),
                                 .container = container,
                                 .endpoint = str_from(endpoint),
                                 .account_key = STR(AZURITE_KEY),
                                 .connections = 1};
    CLEANUP(blob_client_closep) BlobClient *client = NULL;
    TRY(blob_client_open(&options, env, &client, err));
    BlobRequest request = {.method = STR("PUT")};
    blob_request_pair(&request, STR("restype"), STR("container"));
    BlobAnswer answer = {0};
    TRY(blob_send(client, &request, &answer, err));
    return answer.response->status == 201 || blob_refused(client, &request, &answer, err);
}

bool azurite_reopen_store(Store *store, Str container, const char *options, Env *env, Arena *arena,
                          Error *err)
{
    Str json = {NULL, 0};
    yyjson_doc *doc = NULL;
    return arena_printf(arena, &json, err,
                        "{\"account\":\"" AZURITE_ACCOUNT "\",\"container\":\"" STR_FMT
                        "\",\"endpoint\":\"%s\",\"account_key\":\"" AZURITE_KEY "\"%s}",
                        STR_ARG(container), endpoint, options) &&
           json_parse(json, "options", arena, &doc, err) &&
           store_open(store, &store_adls, (DriverOptions){yyjson_doc_get_root(doc), STR("options")},
                      env, arena, NULL, err);
}

bool azurite_open_store(Store *store, const char *options, Env *env, Arena *arena,
                        Str *ret_container, Error *err)
{
    static int count;
    Str container = {NULL, 0};
    TRY(arena_printf(arena, &container, err, "test-%ld-%d", (long)getpid(), ++count));
    TRY(make_container(container, env, err));
    if (ret_container != NULL)
        *ret_container = container;
    return azurite_reopen_store(store, container, options, env, arena, err);
}
