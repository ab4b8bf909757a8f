// A request as curl's options.
//
// Credentials travel as headers of each request, and a handle is reset before it is used again.
// Connections are shared per origin, but with such headers no connection is "logged in": curl binds
// one to a credential only for NTLM and Negotiate, which nothing here can switch on. Cookies, netrc
// and curl's own authentication stay off.
#include "net/http_parts.h"

#include "base/fault.h"

#include <stdio.h>

// curl's buffer. Above malloc's mmap threshold (128 KiB) each transfer would map and unmap it: 256
// KiB cost a fifth more CPU a page in page faults.
enum { RECEIVE_BYTES = 64 * 1024 };

#define SET(easy, option, value)                                                  \
    do {                                                                          \
        if (curl_easy_setopt((easy), (option), (value)) != CURLE_OK)              \
            return error_set(err, ERROR_LIMIT, "http: curl refuses %s", #option); \
    } while (0)

// The first of `names` that is set, as a string for curl.
static const char *variable(const HttpClient *client, const char *const *names)
{
    for (; *names != NULL; names++) {
        const char *value = client->env->variable(client->env->state, *names);
        if (value != NULL && value[0] != '\0')
            return value;
    }
    return "";
}

// We read the environment ourselves, so that it comes from Env; curl is told either way, and an
// empty string keeps it from looking. HTTP_PROXY in capitals is left out as everywhere: a CGI
// server sets it from a request's header.
static bool set_proxy(HttpClient *client, CURL *easy, const Url *url, Error *err)
{
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL};
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_none[] = {"no_proxy", "NO_PROXY", NULL};
    const bool direct =
        client->options.direct || url_host_is_loopback(url->host) || client->connect_to != NULL;
    const bool https = str_equal_ignoring_case(url->scheme, STR("https"));
    SET(easy, CURLOPT_PROXY, direct ? "" : variable(client, https ? for_https : for_http));
    SET(easy, CURLOPT_NOPROXY, variable(client, for_none));
    SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    return true;
}

static bool set_security(HttpClient *client, CURL *easy, Error *err)
{
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->options.ca_file.size > 0)
        SET(easy, CURLOPT_CAINFO, client->options.ca_file.data);
    return true;
}

static bool set_callbacks(Slot *slot, Error *err)
{
    CURL *easy = slot->easy;
    SET(easy, CURLOPT_WRITEFUNCTION, http_on_body);
    SET(easy, CURLOPT_WRITEDATA, slot);
    SET(easy, CURLOPT_HEADERFUNCTION, http_on_header);
    SET(easy, CURLOPT_HEADERDATA, slot);
    if (slot->transfer->exchange.request->body.size > 0) {
        SET(easy, CURLOPT_XFERINFOFUNCTION, http_on_progress);
        SET(easy, CURLOPT_XFERINFODATA, slot);
        SET(easy, CURLOPT_NOPROGRESS, 0L);
    }
    SET(easy, CURLOPT_ERRORBUFFER, slot->error_text);
    SET(easy, CURLOPT_PRIVATE, slot);
    return true;
}

static bool set_transport(HttpClient *client, CURL *easy, Error *err)
{
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_QUICK_EXIT, 1L); // a resolver thread that hangs must not hold us up
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->options.connect_timeout_ms);
    SET(easy, CURLOPT_USERAGENT, client->options.user_agent.data);
    if (client->connect_to != NULL)
        SET(easy, CURLOPT_CONNECT_TO, client->connect_to);
    return true;
}

static bool set_method(Slot *slot, const HttpRequest *request, Error *err)
{
    CURL *easy = slot->easy;
    const bool get = str_equal(request->method, STR("GET"));
    slot->head = str_equal(request->method, STR("HEAD"));
    Str method = {0};
    TRY(arena_copy_str(slot->transfer->exchange.arena, request->method, &method, err));
    const bool idempotent = get || slot->head || str_equal(request->method, STR("PUT")) ||
                            str_equal(request->method, STR("DELETE")) ||
                            str_equal(request->method, STR("OPTIONS"));
    // On a reused connection that dies without an answer curl sends the request once more, of any
    // method. On a fresh one it does not, and what must not happen twice happens once at most.
    if (!idempotent && !request->repeatable)
        SET(easy, CURLOPT_FRESH_CONNECT, 1L);
    if (slot->head) {
        SET(easy, CURLOPT_NOBODY, 1L);
        return true;
    }
    if (request->body.size > 0 || str_equal(request->method, STR("POST")) ||
        str_equal(request->method, STR("PUT")) || str_equal(request->method, STR("PATCH"))) {
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        SET(easy, CURLOPT_POSTFIELDS, request->body.size > 0 ? request->body.data : "");
    }
    if (!get || request->body.size > 0)
        SET(easy, CURLOPT_CUSTOMREQUEST, method.data);
    return true;
}

// The list is ours, in the arena: curl reads it only.
static bool add_line(Slot *slot, Str name, Str separator, Str value, Error *err)
{
    Arena *arena = slot->transfer->exchange.arena;
    struct curl_slist *node = arena_alloc(arena, sizeof(*node), err);
    TRY(node != NULL);
    const size_t room = name.size + separator.size + value.size + 1;
    node->data = arena_alloc(arena, room, err);
    TRY(node->data != NULL);
    (void)snprintf(node->data, room, STR_FMT STR_FMT STR_FMT, STR_ARG(name), STR_ARG(separator),
                   STR_ARG(value));
    node->next = slot->header_lines;
    slot->header_lines = node;
    return true;
}

static bool has_header(const HttpRequest *request, Str name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (str_equal_ignoring_case(request->headers[i].name, name))
            return true;
    return false;
}

static bool set_headers(Slot *slot, const HttpRequest *request, Str host, Error *err)
{
    slot->header_lines = NULL;
    // Lines are put in front, so the last header first.
    for (size_t i = request->header_count; i-- > 0;) {
        const HttpHeader *header = &request->headers[i];
        // The framing is curl's business: two opinions about it are how requests get smuggled.
        if (str_equal_ignoring_case(header->name, STR("Content-Length")) ||
            str_equal_ignoring_case(header->name, STR("Transfer-Encoding")))
            continue;
        const Str value = str_trim(header->value);
        const Str separator = value.size == 0 ? STR(";") : STR(": "); // curl's way to say "empty"
        TRY(add_line(slot, header->name, separator, value, err));
    }
    if (!has_header(request, STR("Accept-Encoding")))
        TRY(add_line(slot, STR("Accept-Encoding"), STR(": "), STR("zstd, gzip"), err));
    if (host.size > 0 && !has_header(request, STR("Host")))
        TRY(add_line(slot, STR("Host"), STR(": "), host, err));
    // Without a value: curl leaves out what it would add by itself.
    if (!has_header(request, STR("Content-Type")))
        TRY(add_line(slot, STR("Content-Type"), STR(":"), STR(""), err));
    if (!has_header(request, STR("Expect")))
        TRY(add_line(slot, STR("Expect"), STR(":"), STR(""), err));
    SET(slot->easy, CURLOPT_HTTPHEADER, slot->header_lines);
    return true;
}

// With connect_to, "https://host/..." is dialled as "http://host/..." and the Host header stays
// what it was.
static bool set_address(Slot *slot, const Url *url, Str *ret_host, Error *err)
{
    HttpClient *client = slot->client;
    Arena *arena = slot->transfer->exchange.arena;
    const Str text = slot->transfer->exchange.request->url;
    Str address = {0};
    if (client->connect_to == NULL) {
        *ret_host = (Str){0};
        TRY(arena_copy_str(arena, text, &address, err));
    } else {
        const char *start = url->host.data;
        size_t size = url->host.size;
        if (start[-1] == '[') {
            start--;
            size += 2;
        }
        const bool https = str_equal_ignoring_case(url->scheme, STR("https"));
        if (url_port(url) != (https ? 443 : 80))
            size += 1 + url->port.size;
        *ret_host = (Str){start, size};
        TRY(arena_printf(arena, &address, err, "http://" STR_FMT,
                         STR_ARG(str_slice(text, (size_t)(start - text.data), text.size))));
    }
    SET(slot->easy, CURLOPT_URL, address.data);
    return true;
}

bool http_check_request(const HttpClient *client, const HttpRequest *request, Url *ret_url,
                        Error *err)
{
    Url url = {0};
    if (!url_split(request->url, &url))
        return error_set(err, ERROR_DATA, "http: not an absolute http or https URL");
    if (url.user.size > 0)
        return error_set(err, ERROR_DATA, STR_FMT ": credentials in a URL are not sent",
                         STR_ARG(url.host));
    if (!http_text_is_token(request->method))
        return error_set(err, ERROR_DATA, STR_FMT ": the method is not a token", STR_ARG(url.host));
    if (request->header_count > HTTP_HEADERS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ": more than %d headers", STR_ARG(url.host),
                         HTTP_HEADERS_MAX);
    for (size_t i = 0; i < request->header_count; i++)
        if (!http_text_is_token(request->headers[i].name) ||
            !http_text_is_line(request->headers[i].value))
            return error_set(err, ERROR_DATA, STR_FMT ": header %zu is not fit for the wire",
                             STR_ARG(url.host), i + 1);
    if (str_equal_ignoring_case(url.scheme, STR("http")) && !client->options.allow_http &&
        client->connect_to == NULL && !url_host_is_loopback(url.host))
        return error_set(err, ERROR_ACCESS,
                         STR_FMT ": plain http is refused for a host that is not loopback "
                                 "(use https, or allow http)",
                         STR_ARG(url.host));
    *ret_url = url;
    return true;
}

static bool new_handle(Slot *slot, Error *err)
{
    slot->easy = fault_here() ? NULL : curl_easy_init();
    if (slot->easy == NULL)
        return error_set(err, ERROR_LIMIT, "http: out of memory");
    SET(slot->easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    return true;
}

// A handle as good as new. After HTTP/2 a reset one still holds its buffer and refuses another
// size (curl 7.88), so it is replaced.
static bool renew_handle(Slot *slot, Error *err)
{
    if (slot->easy == NULL)
        return new_handle(slot, err);
    curl_easy_reset(slot->easy);
    if (curl_easy_setopt(slot->easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES) == CURLE_OK)
        return true;
    curl_easy_cleanup(slot->easy);
    return new_handle(slot, err);
}

bool http_configure(Slot *slot, const Url *url, Error *err)
{
    HttpClient *client = slot->client;
    const HttpRequest *request = slot->transfer->exchange.request;
    TRY(renew_handle(slot, err));
    TRY(set_security(client, slot->easy, err));
    TRY(set_transport(client, slot->easy, err));
    TRY(set_proxy(client, slot->easy, url, err));
    TRY(set_callbacks(slot, err));
    TRY(set_method(slot, request, err));
    Str host = {0};
    TRY(set_address(slot, url, &host, err));
    return set_headers(slot, request, host, err);
}

// Request headers hold credentials, and the arena is used again.
void http_wipe_request(Slot *slot)
{
    for (struct curl_slist *line = slot->header_lines; line != NULL; line = line->next) {
        volatile char *text = line->data;
        while (*text != '\0')
            *text++ = '\0';
    }
    slot->header_lines = NULL;
}
