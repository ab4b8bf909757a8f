#include "cli/text.h"

#include <stdio.h>

void text_span(int64_t us, char text[SPAN_BYTES])
{
    const long long seconds = us < 0 ? 0 : (long long)(us / US_PER_SECOND);
    if (seconds < 60)
        (void)snprintf(text, SPAN_BYTES, "%lld s", seconds);
    else if (seconds < 3600)
        (void)snprintf(text, SPAN_BYTES, "%lld min", seconds / 60);
    else if (seconds < 86400)
        (void)snprintf(text, SPAN_BYTES, "%lld h %02lld min", seconds / 3600, seconds / 60 % 60);
    else
        (void)snprintf(text, SPAN_BYTES, "%lld d %lld h", seconds / 86400, seconds / 3600 % 24);
}

bool out_print(JsonOut *out)
{
    out->failed = out->failed || !buf_append_char(&out->text, '\n', out->err);
    if (!out->failed)
        (void)fwrite(out->text.data, 1, out->text.size, stdout);
    return !out->failed;
}
