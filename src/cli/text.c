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

void text_plain(char *text, size_t size, bool lines)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        const unsigned char after = i + 1 < size ? (unsigned char)text[i + 1] : 0;
        if (c == 0xC2 && after >= 0x80 && after <= 0x9F)
            text[i] = text[i + 1] = ' ';
        else if ((c < 0x20 && !(lines && c == '\n')) || c == 0x7F)
            text[i] = ' ';
    }
}

bool out_print(JsonOut *out)
{
    out->failed = out->failed || !buf_append_char(&out->text, '\n', out->err);
    if (!out->failed)
        (void)fwrite(out->text.data, 1, out->text.size, stdout);
    return !out->failed;
}
