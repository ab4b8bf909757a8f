// links: pawl_base
//
// Whatever parses can be written, and what was written says the same when it is read again.
#include "base/json.h"

#include <stdlib.h>

enum { RUN_BYTES = 64 * 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool canonical(Str text, Arena *arena, yyjson_doc **ret_doc, Buf *out)
{
    Error err = {0};
    TRY(json_parse(text, "fuzz", arena, ret_doc, &err));
    must(json_write_canonical(yyjson_doc_get_root(*ret_doc), out, &err));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    const Str text = {(const char *)data, size};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf plain = {0};
    CLEANUP(buf_done) Buf first = {0};
    CLEANUP(buf_done) Buf second = {0};
    CLEANUP(buf_done) Buf third = {0};
    CLEANUP(buf_done) Buf quoted = {0};
    yyjson_doc *doc = NULL;
    yyjson_doc *again = NULL;

    must(json_write_str(text, &quoted, &err)); // any bytes become a JSON string
    must(json_parse(buf_str(&quoted), "fuzz", arena, &again, &err));
    if (!canonical(text, arena, &doc, &first))
        return 0;
    yyjson_val *root = yyjson_doc_get_root(doc);
    (void)json_pointer(root, text);
    (void)json_pointer(root, STR("/a~1b/0/~0"));
    must(json_write(root, &plain, &err));
    must(canonical(buf_str(&first), arena, &again, &second));
    must(canonical(buf_str(&plain), arena, &again, &third));
    must(str_equal(buf_str(&first), buf_str(&second)));
    must(str_equal(buf_str(&first), buf_str(&third)));
    return 0;
}
