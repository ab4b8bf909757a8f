#include "run/answer_cache.h"

struct CachedAnswer {
    CachedAnswer *next;
    Str question; // URL and headers, by lines
    size_t auth_id;
    HttpExchange *exchange;
};

void answer_cache_done(AnswerCache *cache)
{
    for (CachedAnswer *answer = cache->first; answer != NULL; answer = answer->next)
        http_exchange_free(answer->exchange);
    cache->first = NULL;
    cache->bytes = 0;
}

// Whether `text` begins with `part` and an end of line; then goes behind it.
static bool take_line(Str *text, Str part)
{
    if (!str_starts_with(*text, part) || part.size >= text->size || text->data[part.size] != '\n')
        return false;
    *text = str_slice(*text, part.size + 1, text->size);
    return true;
}

static bool asks(const CachedAnswer *answer, const HttpRequest *request)
{
    Str text = answer->question;
    if (!take_line(&text, request->url))
        return false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!take_line(&text, request->headers[i].name) ||
            !take_line(&text, request->headers[i].value))
            return false;
    }
    return text.size == 0;
}

static bool is_plain_get(const HttpRequest *request)
{
    return str_equal(request->method, STR("GET")) && request->body.size == 0;
}

const HttpExchange *answer_cache_find(const AnswerCache *cache, const Stream *stream,
                                      const HttpRequest *request)
{
    if (cache == NULL || !is_plain_get(request))
        return NULL;
    for (const CachedAnswer *answer = cache->first; answer != NULL; answer = answer->next) {
        if (answer->auth_id == stream_auth_id(stream) && asks(answer, request))
            return answer->exchange;
    }
    return NULL;
}

bool answer_cache_keep(AnswerCache *cache, const Stream *stream, const HttpRequest *request,
                       HttpExchange **exchange, Error *err)
{
    const size_t size = (*exchange)->response.body.size;
    if (cache == NULL || !is_plain_get(request) || size > cache->bytes_max - cache->bytes)
        return true;
    CLEANUP(buf_done) Buf question = {0};
    TRY(buf_append(&question, request->url, err) && buf_append_char(&question, '\n', err));
    for (size_t i = 0; i < request->header_count; i++)
        TRY(buf_append(&question, request->headers[i].name, err) &&
            buf_append_char(&question, '\n', err) &&
            buf_append(&question, request->headers[i].value, err) &&
            buf_append_char(&question, '\n', err));
    CachedAnswer *answer = arena_alloc(cache->arena, sizeof(*answer), err);
    TRY(answer != NULL && arena_copy_str(cache->arena, buf_str(&question), &answer->question, err));
    answer->auth_id = stream_auth_id(stream);
    answer->exchange = *exchange;
    answer->next = cache->first;
    cache->first = answer;
    cache->bytes += size;
    *exchange = NULL;
    return true;
}
