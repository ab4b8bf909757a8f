// links: pawl_base
//
// Whatever parses can be written, and what was written says the same when it is read again; no
// number loses a digit. What the fast reader reads, it reads as yyjson does.
#include "base/json_number.h"
#include "base/json_reader.h"

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

// The digits of a number as they stand, without zeros at either end, for a comparison that knows
// nothing of doubles: "-0.0150e3" is "15".
static size_t significant(const char *text, char *digits)
{
    size_t count = 0;
    for (; *text != '\0' && *text != 'e' && *text != 'E'; text++) {
        if (*text >= '0' && *text <= '9' && (count > 0 || *text != '0'))
            digits[count++] = *text;
    }
    while (count > 0 && digits[count - 1] == '0')
        count--;
    return count;
}

// A number became a double only where that is written with the same digits; otherwise its text
// stands.
static void check_number(yyjson_val *sent, yyjson_val *read, Arena *arena)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    const char *text = yyjson_get_raw(sent);
    const size_t size = yyjson_get_len(sent);
    must(json_write_canonical(read, &out, &err));
    if (!yyjson_is_real(read)) {
        must(!yyjson_is_raw(read) || str_equal(buf_str(&out), (Str){text, size}));
        return;
    }
    must(buf_append_char(&out, '\0', &err));
    char *one = arena_alloc(arena, size + 1, &err);
    char *other = arena_alloc(arena, out.size + 1, &err);
    must(one != NULL && other != NULL);
    const size_t count = significant(text, one);
    must(count == significant(out.data, other) && memcmp(one, other, count) == 0);
    must(strtold(text, NULL) == strtold(out.data, NULL));
}

// Both readings have the same values in the same order.
static void check_numbers(Str text, yyjson_doc *doc, Arena *arena)
{
    if (str_starts_with(text, STR("\xEF\xBB\xBF")))
        text = str_slice(text, 3, text.size);
    yyjson_doc *raw = yyjson_read(text.data, text.size, YYJSON_READ_NUMBER_AS_RAW);
    must(raw != NULL && raw->val_read == doc->val_read);
    for (size_t i = 0; i < doc->val_read; i++) {
        if (yyjson_is_raw(raw->root + i))
            check_number(raw->root + i, doc->root + i, arena);
    }
    yyjson_doc_free(raw);
}

static void check_value(const yyjson_val *mine, const yyjson_val *theirs)
{
    must(mine->tag == theirs->tag);
    const uint8_t type = mine->tag & YYJSON_TYPE_MASK;
    if (type == YYJSON_TYPE_STR || type == YYJSON_TYPE_RAW)
        must(memcmp(mine->uni.str, theirs->uni.str, (mine->tag >> YYJSON_TAG_BIT) + 1) == 0);
    else if (type != YYJSON_TYPE_NULL && type != YYJSON_TYPE_BOOL)
        must(mine->uni.u64 == theirs->uni.u64);
}

// Read by the fast reader or declined; what yyjson refuses is declined.
static void check_reader(Str text, Arena *arena)
{
    Error err = {0};
    yyjson_doc *mine = NULL;
    must(json_reader_read(text, arena, &mine, &err));
    if (mine == NULL)
        return;
    yyjson_doc *theirs = yyjson_read(text.data, text.size, YYJSON_READ_BIGNUM_AS_RAW);
    must(theirs != NULL && theirs->val_read == mine->val_read);
    must(json_number_keep_all(text, theirs, arena, &err));
    for (size_t i = 0; i < mine->val_read; i++)
        check_value(mine->root + i, theirs->root + i);
    yyjson_doc_free(theirs);
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

    check_reader(text, arena);
    must(json_write_str(text, &quoted, &err)); // any bytes become a JSON string
    must(json_parse(buf_str(&quoted), "fuzz", arena, &again, &err));
    if (!canonical(text, arena, &doc, &first))
        return 0;
    yyjson_val *root = yyjson_doc_get_root(doc);
    check_numbers(text, doc, arena);
    (void)json_pointer(root, text);
    (void)json_pointer(root, STR("/a~1b/0/~0"));
    must(json_write(root, &plain, &err));
    must(canonical(buf_str(&first), arena, &again, &second));
    must(canonical(buf_str(&plain), arena, &again, &third));
    must(str_equal(buf_str(&first), buf_str(&second)));
    must(str_equal(buf_str(&first), buf_str(&third)));
    return 0;
}
