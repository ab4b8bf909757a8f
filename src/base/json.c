#include "base/json.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/json_number.h"
#include "base/json_reader.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

// Objects of up to FEW_MEMBERS are sorted on the stack.
enum { FEW_MEMBERS = 32 };

// --- reading

// What yyjson's allocator needs while it parses; the document forgets it afterwards.
typedef struct Memory {
    Arena *arena;
    Error *err;
} Memory;

static void *memory_malloc(void *context, size_t size)
{
    Memory *memory = context;
    return arena_alloc_raw(memory->arena, size, memory->err);
}

static void *memory_realloc(void *context, void *piece, size_t old_size, size_t size)
{
    Memory *memory = context;
    return arena_resize(memory->arena, piece, old_size, size, memory->err);
}

static void memory_free(void *context, void *piece)
{
    (void)context;
    (void)piece;
}

void json_place(Str bytes, size_t offset, size_t *ret_line, size_t *ret_column)
{
    if (offset > bytes.size)
        offset = bytes.size;
    size_t line = 1;
    size_t line_start = 0;
    for (size_t i = 0; i < offset; i++) {
        if (bytes.data[i] != '\n')
            continue;
        line++;
        line_start = i + 1;
    }
    *ret_line = line;
    *ret_column = offset - line_start + 1;
}

// yyjson keeps all values in one row, containers before their members, so that this needs no
// recursion.
static bool check_depth(const yyjson_doc *doc, Error *err)
{
    const yyjson_val *ends[JSON_DEPTH_MAX];
    size_t depth = 0;
    const yyjson_val *end = doc->root + doc->val_read;
    for (yyjson_val *value = doc->root; value < end; value++) {
        if (!unsafe_yyjson_is_ctn(value))
            continue;
        while (depth > 0 && ends[depth - 1] <= value)
            depth--;
        if (depth == JSON_DEPTH_MAX)
            return error_set(err, ERROR_DATA, "nested more than %d deep", JSON_DEPTH_MAX);
        ends[depth++] = value + value->uni.ofs / sizeof(*value);
    }
    return true;
}

// *ret_failure is set when the text is the reason.
static bool parse(Str bytes, yyjson_read_flag flags, const char *where, Arena *arena,
                  yyjson_doc **ret_doc, yyjson_read_code *ret_failure, Error *err)
{
    // Editors of some systems put a byte order mark in front, which RFC 8259 lets a reader ignore.
    if (str_starts_with(bytes, STR("\xEF\xBB\xBF")))
        bytes = str_slice(bytes, 3, bytes.size);
    if (bytes.size == 0)
        return error_set(err, ERROR_DATA, "%s: empty, which is not JSON", where);
    yyjson_doc *doc = NULL;
    if (flags == 0 && !json_reader_read(bytes, arena, &doc, err))
        return error_context(err, "%s", where);
    if (doc != NULL) {
        *ret_doc = doc;
        return true;
    }

    Memory memory = {arena, err};
    const yyjson_alc allocator = {memory_malloc, memory_realloc, memory_free, &memory};
    yyjson_read_err failure = {0};
    // Without YYJSON_READ_INSITU yyjson only reads the text, whatever its signature says.
    doc = yyjson_read_opts((char *)(uintptr_t)bytes.data, bytes.size,
                           YYJSON_READ_BIGNUM_AS_RAW | flags, &allocator, &failure);
    if (doc == NULL && failure.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return error_context(err, "%s", where);
    if (doc == NULL) {
        size_t line = 0;
        size_t column = 0;
        json_place(bytes, failure.pos, &line, &column);
        *ret_failure = failure.code;
        return error_set(err, ERROR_DATA, "%s: line %zu, column %zu: %s", where, line, column,
                         failure.msg);
    }
    doc->alc.ctx = NULL; // `memory` goes away now; memory_free() does without
    if (!check_depth(doc, err) || !json_number_keep_all(bytes, doc, arena, err))
        return error_context(err, "%s", where);
    *ret_doc = doc;
    return true;
}

bool json_parse(Str bytes, const char *where, Arena *arena, yyjson_doc **ret_doc, Error *err)
{
    yyjson_read_code failure = YYJSON_READ_SUCCESS;
    return parse(bytes, 0, where, arena, ret_doc, &failure, err);
}

// The UTF-16 unit of an escape "\uXXXX", or -1.
static int32_t escaped_unit(Str text)
{
    unsigned char bytes[2];
    if (text.size < 6 || text.data[0] != '\\' || text.data[1] != 'u' ||
        !hex_decode(str_slice(text, 2, 4), bytes, sizeof(bytes)))
        return -1;
    return bytes[0] << 8 | bytes[1];
}

// Copies JSON text with each lone surrogate as three bytes. A backslash stands in strings only.
static size_t copy_without_lone(Str text, char *to)
{
    char *const start = to;
    while (text.size > 0) {
        size_t size = text.data[0] == '\\' && text.size > 1 ? 2 : 1;
        const int32_t unit = size == 2 ? escaped_unit(text) : -1;
        const int32_t next =
            unit >= 0xD800 && unit <= 0xDBFF ? escaped_unit(str_slice(text, 6, text.size)) : -1;
        const bool pair = next >= 0xDC00 && next <= 0xDFFF;
        if (unit >= 0xD800 && unit <= 0xDFFF && !pair) {
            to += str_encode_utf8((uint32_t)unit, to);
            text = str_slice(text, 6, text.size);
            continue;
        }
        size = pair ? 12 : size;
        memcpy(to, text.data, size);
        to += size;
        text = str_slice(text, size, text.size);
    }
    return (size_t)(to - start);
}

// yyjson says of strings with bad bytes, too, that they need no escape.
static void unmark_bad_strings(yyjson_doc *doc)
{
    for (size_t i = 0; i < doc->val_read; i++) {
        yyjson_val *value = doc->root + i;
        if (unsafe_yyjson_is_str(value) && !str_is_utf8(json_str(value)))
            value->tag &= ~(uint64_t)YYJSON_SUBTYPE_NOESC;
    }
}

bool json_parse_lenient(Str bytes, const char *where, Arena *arena, yyjson_doc **ret_doc,
                        Error *err)
{
    yyjson_read_code failure = YYJSON_READ_SUCCESS;
    Error why = {0};
    if (parse(bytes, 0, where, arena, ret_doc, &failure, &why))
        return true;
    *err = why;
    if (failure != YYJSON_READ_ERROR_INVALID_STRING)
        return false;
    char *mended = arena_alloc_raw(arena, bytes.size, &why);
    if (mended == NULL) {
        *err = why;
        return false;
    }
    const Str text = {mended, copy_without_lone(bytes, mended)};
    why = (Error){0};
    if (!parse(text, YYJSON_READ_ALLOW_INVALID_UNICODE, where, arena, ret_doc, &failure, &why)) {
        *err = why;
        return false;
    }
    unmark_bad_strings(*ret_doc);
    *err = (Error){0};
    return true;
}

static bool is_listed(yyjson_val *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (str_equal(json_str(name), str_from(*names)))
            return true;
    }
    return false;
}

bool json_pick(yyjson_val *object, const char *const *names, bool listed, Arena *arena,
               yyjson_val **ret_object, Error *err)
{
    Memory memory = {arena, err};
    const yyjson_alc allocator = {memory_malloc, memory_realloc, memory_free, &memory};
    yyjson_mut_doc *picked = yyjson_mut_doc_new(&allocator);
    yyjson_mut_val *root = picked == NULL ? NULL : yyjson_mut_obj(picked);
    bool ok = root != NULL;
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(object, i, count, name, member)
    {
        if (ok && is_listed(name, names) == listed)
            ok = yyjson_mut_obj_add(root, yyjson_val_mut_copy(picked, name),
                                    yyjson_val_mut_copy(picked, member));
    }
    if (ok)
        yyjson_mut_doc_set_root(picked, root);
    yyjson_doc *doc = ok ? yyjson_mut_doc_imut_copy(picked, &allocator) : NULL;
    if (doc == NULL)
        return error_context(err, "pick members");
    doc->alc.ctx = NULL; // `memory` goes away now
    *ret_object = yyjson_doc_get_root(doc);
    return true;
}

yyjson_val *json_pointer(yyjson_val *root, Str pointer)
{
    if (pointer.size == 0)
        return root;
    return yyjson_ptr_getn(root, pointer.data, pointer.size);
}

bool json_write_step(Str name, Buf *out, Error *err)
{
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        TRY(buf_append(out, c == '~' ? STR("~0") : c == '/' ? STR("~1") : (Str){&c, 1}, err));
    }
    return true;
}

bool json_read_step(Str step, Buf *out, Error *err)
{
    for (size_t i = 0; i < step.size; i++) {
        char c = step.data[i];
        if (c == '~' && i + 1 < step.size)
            c = step.data[++i] == '1' ? '/' : '~';
        TRY(buf_append_char(out, c, err));
    }
    return true;
}

// --- writing

typedef struct Writer {
    Buf *out;
    Error *err;
    bool canonical;
} Writer;

typedef struct Member {
    uint64_t
        prefix; // first eight bytes of the name, most significant first: decides most comparisons
    yyjson_val *name;
} Member;

// Room for `size` bytes behind what is there, or NULL.
static inline char *room(Writer *writer, size_t size)
{
    Buf *out = writer->out;
    if (out->capacity - out->size < size && !buf_reserve(out, size, writer->err))
        return NULL;
    return out->data + out->size;
}

static inline bool write_char(Writer *writer, char c)
{
    char *to = room(writer, 1);
    TRY(to != NULL);
    *to = c;
    writer->out->size++;
    return true;
}

static inline bool write_bytes(Writer *writer, const char *bytes, size_t size)
{
    assert(bytes != NULL);
    char *to = room(writer, size);
    TRY(to != NULL);
    memcpy(to, bytes, size);
    writer->out->size += size;
    return true;
}

static inline bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

// Sets the high bit of each byte of `word` that equals `c` (and perhaps of bytes after the first
// such one).
static inline uint64_t bytes_equal_to(uint64_t word, unsigned char c)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t differ = word ^ (ones * c);
    return (differ - ones) & ~differ & (ones * 0x80);
}

// How many bytes from the start stand for themselves: eight at a time, since most strings need no
// escape.
static size_t plain_size(const char *text, size_t size)
{
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, text + i, sizeof(word));
        const uint64_t control = (word - UINT64_C(0x2020202020202020)) & ~word;
        if (((control & UINT64_C(0x8080808080808080)) | bytes_equal_to(word, '"') |
             bytes_equal_to(word, '\\')) != 0)
            break;
    }
    while (i < size && !needs_escape((unsigned char)text[i]))
        i++;
    return i;
}

static size_t escape(unsigned char c, char text[6])
{
    static const char digits[] = "0123456789abcdef";
    static const char names[][2] = {{'\b', 'b'}, {'\t', 't'}, {'\n', 'n'}, {'\f', 'f'},
                                    {'\r', 'r'}, {'"', '"'},  {'\\', '\\'}};
    text[0] = '\\';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (c == (unsigned char)names[i][0]) {
            text[1] = names[i][1];
            return 2;
        }
    }
    text[1] = 'u';
    text[2] = '0';
    text[3] = '0';
    text[4] = digits[c >> 4];
    text[5] = digits[c & 15];
    return 6;
}

// `text` is well-formed UTF-8.
static bool write_str(Writer *writer, Str text)
{
    TRY(write_char(writer, '"'));
    for (;;) {
        const size_t plain = plain_size(text.data, text.size);
        if (plain > 0)
            TRY(write_bytes(writer, text.data, plain));
        if (plain == text.size)
            return write_char(writer, '"');
        char escaped[6];
        const size_t size = escape((unsigned char)text.data[plain], escaped);
        TRY(write_bytes(writer, escaped, size));
        text = str_slice(text, plain + 1, text.size);
    }
}

// yyjson marks a string in which it met no escape: nothing in it needs one.
static inline bool is_plain(yyjson_val *value)
{
    return unsafe_yyjson_get_subtype(value) == YYJSON_SUBTYPE_NOESC;
}

static inline bool write_str_value(Writer *writer, yyjson_val *value)
{
    const size_t size = unsafe_yyjson_get_len(value);
    if (!is_plain(value))
        return write_str(writer, (Str){value->uni.str, size});
    char *to = room(writer, size + 2);
    TRY(to != NULL);
    to[0] = '"';
    memcpy(to + 1, value->uni.str, size);
    to[size + 1] = '"';
    writer->out->size += size + 2;
    return true;
}

static bool write_integer(Writer *writer, uint64_t value, bool negative)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (negative)
        TRY(write_char(writer, '-'));
    return write_bytes(writer, digits + at, sizeof(digits) - at);
}

static bool write_double(Writer *writer, double value)
{
    if (!isfinite(value))
        return error_set(writer->err, ERROR_DATA, "json: nan or inf number is not allowed");
    char bytes[JSON_NUMBER_BYTES];
    Str text = json_number_shortest(value, bytes);
    if (!writer->canonical)
        return write_bytes(writer, text.data, text.size);

    // yyjson writes what ECMAScript would (RFC 8785, section 3.2.2.3) but for "1.0" -> 1, "-0.0" ->
    // 0 and "1e21" -> 1e+21.
    if (str_ends_with(text, STR(".0")))
        text.size -= 2;
    if (str_equal(text, STR("-0")))
        return write_char(writer, '0');
    const size_t mark = str_find_char(text, 'e');
    if (mark == text.size || text.data[mark + 1] == '-')
        return write_bytes(writer, text.data, text.size);
    TRY(write_bytes(writer, text.data, mark + 1));
    TRY(write_char(writer, '+'));
    return write_bytes(writer, text.data + mark + 1, text.size - mark - 1);
}

static bool write_number(Writer *writer, yyjson_val *value)
{
    if (unsafe_yyjson_is_real(value))
        return write_double(writer, value->uni.f64);
    if (unsafe_yyjson_is_uint(value))
        return write_integer(writer, value->uni.u64, false);
    const int64_t number = value->uni.i64;
    return write_integer(writer, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0);
}

static bool write_value(Writer *writer, yyjson_val *value, int depth);

static uint64_t name_prefix(yyjson_val *name)
{
    const size_t size = unsafe_yyjson_get_len(name);
    const char *text = name->uni.str;
    uint64_t prefix = 0;
    if (size >= sizeof(prefix)) { // compilers make one load and one swap of it
        for (size_t i = 0; i < sizeof(prefix); i++)
            prefix = prefix << 8 | (unsigned char)text[i];
        return prefix;
    }
    for (size_t i = 0; i < size; i++)
        prefix = prefix << 8 | (unsigned char)text[i];
    return size == 0 ? 0 : prefix << (8 * (sizeof(prefix) - size));
}

// Of two members with one name the earlier comes first: duplicates keep their order, so the text is
// stable.
static inline int member_order(const Member *a, const Member *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    const int order = str_compare(json_str(a->name), json_str(b->name));
    return order != 0 ? order : (a->name > b->name) - (a->name < b->name);
}

static int member_compare(const void *left, const void *right)
{
    return member_order(left, right);
}

// Insertion: a few members, which servers mostly send in the same order, and often sorted.
static void sort_few(Member *members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const Member member = members[i];
        size_t at = i;
        for (; at > 0 && member_order(&member, &members[at - 1]) < 0; at--)
            members[at] = members[at - 1];
        members[at] = member;
    }
}

// A comma, the name and a colon, in one go where the name allows it.
static inline bool write_name(Writer *writer, yyjson_val *name, bool first)
{
    const size_t size = unsafe_yyjson_get_len(name);
    if (!is_plain(name))
        return (first || write_char(writer, ',')) &&
               write_str(writer, (Str){name->uni.str, size}) && write_char(writer, ':');
    char *to = room(writer, size + 4);
    TRY(to != NULL);
    *to = ',';
    to += first ? 0 : 1;
    *to++ = '"';
    memcpy(to, name->uni.str, size);
    to[size] = '"';
    to[size + 1] = ':';
    writer->out->size += size + (first ? 3 : 4);
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static inline bool write_member(Writer *writer, yyjson_val *name, bool first, int depth)
{
    TRY(write_name(writer, name, first));
    return write_value(writer, name + 1, depth); // the value stands right behind its name
}

// The next member's name, which stands behind this one's value.
static yyjson_val *next_name(yyjson_val *name)
{
    return unsafe_yyjson_get_next(name + 1);
}

// `members` has room for all. NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_sorted(Writer *writer, yyjson_val *object, Member *members, int depth)
{
    const size_t count = unsafe_yyjson_get_len(object);
    yyjson_val *name = object + 1;
    for (size_t i = 0; i < count; i++, name = next_name(name))
        members[i] = (Member){name_prefix(name), name};
    if (count <= FEW_MEMBERS)
        sort_few(members, count);
    else
        qsort(members, count, sizeof(*members), member_compare);
    for (size_t i = 0; i < count; i++)
        TRY(write_member(writer, members[i].name, i == 0, depth));
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_few_sorted(Writer *writer, yyjson_val *object, int depth)
{
    Member members[FEW_MEMBERS];
    return write_sorted(writer, object, members, depth);
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_many_sorted(Writer *writer, yyjson_val *object, int depth)
{
    const size_t count = unsafe_yyjson_get_len(object);
    Member *members = fault_here() ? NULL : calloc(count, sizeof(*members));
    if (members == NULL)
        return error_set(writer->err, ERROR_LIMIT, "json: out of memory for %zu members", count);
    const bool ok = write_sorted(writer, object, members, depth);
    free(members);
    return ok;
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_object(Writer *writer, yyjson_val *object, int depth)
{
    const size_t count = unsafe_yyjson_get_len(object);
    TRY(write_char(writer, '{'));
    if (writer->canonical && count > FEW_MEMBERS) {
        TRY(write_many_sorted(writer, object, depth));
    } else if (writer->canonical) {
        TRY(write_few_sorted(writer, object, depth));
    } else {
        yyjson_val *name = object + 1;
        for (size_t i = 0; i < count; i++, name = next_name(name))
            TRY(write_member(writer, name, i == 0, depth));
    }
    return write_char(writer, '}');
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_array(Writer *writer, yyjson_val *array, int depth)
{
    TRY(write_char(writer, '['));
    const size_t count = unsafe_yyjson_get_len(array);
    yyjson_val *item = array + 1;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            TRY(write_char(writer, ','));
        TRY(write_value(writer, item, depth));
        item = unsafe_yyjson_get_next(item);
    }
    return write_char(writer, ']');
}

// NOLINTNEXTLINE(misc-no-recursion): stops at JSON_DEPTH_MAX
static bool write_value(Writer *writer, yyjson_val *value, int depth)
{
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_STR:
        return write_str_value(writer, value);
    case YYJSON_TYPE_NUM:
        return write_number(writer, value);
    case YYJSON_TYPE_NULL:
        return write_bytes(writer, "null", 4);
    case YYJSON_TYPE_BOOL:
        return unsafe_yyjson_is_true(value) ? write_bytes(writer, "true", 4)
                                            : write_bytes(writer, "false", 5);
    case YYJSON_TYPE_RAW:
        return write_bytes(writer, value->uni.str, unsafe_yyjson_get_len(value));
    default:
        break;
    }
    if (depth == JSON_DEPTH_MAX)
        return error_set(writer->err, ERROR_DATA, "json: nested more than %d deep", JSON_DEPTH_MAX);
    return unsafe_yyjson_is_obj(value) ? write_object(writer, value, depth + 1)
                                       : write_array(writer, value, depth + 1);
}

static bool write_root(yyjson_val *value, bool canonical, Buf *out, Error *err)
{
    assert(value != NULL);

    const size_t start = out->size;
    Writer writer = {out, err, canonical};
    const bool ok = write_value(&writer, value, 0);
    if (!ok)
        out->size = start;
    return ok;
}

bool json_write_canonical(yyjson_val *value, Buf *out, Error *err)
{
    return write_root(value, true, out, err);
}

bool json_write(yyjson_val *value, Buf *out, Error *err)
{
    return write_root(value, false, out, err);
}

// Copies `text` with each byte that begins no well-formed sequence replaced by U+FFFD.
static bool mend_utf8(Str text, Buf *mended, Error *err)
{
    while (text.size > 0) {
        const size_t good = str_utf8_size(text);
        TRY(buf_append(mended, str_slice(text, 0, good), err));
        if (good == text.size)
            break;
        TRY(buf_append(mended, STR("\xEF\xBF\xBD"), err));
        text = str_slice(text, good + 1, text.size);
    }
    return true;
}

bool json_write_str(Str text, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf mended = {0};
    if (!str_is_utf8(text)) {
        TRY(mend_utf8(text, &mended, err));
        text = buf_str(&mended);
    }
    const size_t start = out->size;
    Writer writer = {.out = out, .err = err};
    const bool ok = write_str(&writer, text);
    if (!ok)
        out->size = start;
    return ok;
}
