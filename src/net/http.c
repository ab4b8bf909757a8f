// The values: requests and answers. The client is http_client.c.
#include "net/http.h"

#include <assert.h>

Str http_header(const HttpResponse *response, Str name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (str_equal_ignoring_case(response->headers[i].name, name))
            return response->headers[i].value;
    return (Str){0};
}

void http_request_strip(HttpRequest *request)
{
    size_t kept = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        const HttpHeader header = request->headers[i];
        if (str_equal_ignoring_case(header.name, STR("Accept")) ||
            str_equal_ignoring_case(header.name, STR("Accept-Encoding")) ||
            str_equal_ignoring_case(header.name, STR("Accept-Language")))
            request->headers[kept++] = header;
    }
    request->header_count = kept;
    request->body = (Str){0};
}

bool http_text_is_line(Str text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return false;
    return true;
}

bool http_text_is_token(Str text)
{
    static const char others[] = "!#$%&'*+-.^_`|~"; // RFC 9110 5.6.2
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || (c != '\0' && strchr(others, c) != NULL);
        if (!allowed)
            return false;
    }
    return text.size > 0;
}

bool http_request_add_header(HttpRequest *request, Str name, Str value, Error *err)
{
    // The value is never shown, nor a name that is none: a template may have put a secret there.
    if (!http_text_is_token(name))
        return error_set(err, ERROR_DATA, "header %zu: its name is not a token (RFC 9110 5.6.2)",
                         request->header_count + 1);
    if (!http_text_is_line(value))
        return error_set(err, ERROR_DATA, "header '" STR_FMT "': a line end or NUL in its value",
                         STR_ARG(name));
    if (request->header_count == HTTP_HEADERS_MAX)
        return error_set(err, ERROR_LIMIT, "header '" STR_FMT "': more than %d headers",
                         STR_ARG(name), HTTP_HEADERS_MAX);
    request->headers[request->header_count++] = (HttpHeader){name, value};
    return true;
}
