// links: pawl_connector
// A body of each format: the first byte chooses, the rest is what the far side sent.
#include "connector/engine.h"

enum { FUZZ_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const BodyFormat formats[] = {
        {.kind = BODY_CSV, .delimiter = ','},
        {.kind = BODY_CSV, .delimiter = ';', .is_latin = true, .gzip = true},
        {.kind = BODY_LINES_OF_JSON, .gzip = true},
        {.kind = BODY_LINES, .skips_mark = true},
    };
    if (size == 0)
        return 0;
    Error err = {0};
    Arena *arena = arena_new(FUZZ_BYTES, &err);
    Decoded decoded = {0};
    bool readable = false;
    Str why = {0};
    const BodyFormat *format = &formats[data[0] % (sizeof(formats) / sizeof(formats[0]))];
    if (arena != NULL &&
        body_decode(format, (Str){(const char *)data + 1, size - 1}, arena, &decoded, &readable,
                    &why, &err) &&
        readable && decoded.doc == NULL && decoded.body_count > 0)
        __builtin_trap(); // bodies out of nowhere
    arena_free(arena);
    return 0;
}
