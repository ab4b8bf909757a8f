#include "base/json_reader.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/json_number.h"

#include <assert.h>
#include <emmintrin.h>

enum {
    PIECE = 16,          // bytes looked at at once
    PADDING = 4 * PIECE, // zeros behind the text: reading ahead meets a byte that ends everything
    KEYS_MAX = 1024,     // names learned; others are read anew each time
    TABLE_SIZE = 4 * KEYS_MAX,
    KEY_BYTES_LEARNED = 256, // of a name with its quotes and the colon
    PLAIN_DIGITS = 18,       // any number of as many digits fits into 64 bits
    EXACT_DIGITS = 15,       // digits that any double holds
    NUMBER_BYTES_MAX = 512,  // longer ones are declined
    VALUE_BYTES_USUAL = 6,   // of text a value
    VALUES_SPARE = 4,        // a member and the container in it
};

// A name of a member, as it stands in objects at one place of the document.
typedef struct Key Key;
struct Key {
    yyjson_val value;
    Key *next;        // what came next in its own object the last time, and
    Key *first;       // what came first in the object that was its value
    const Key *place; // of its own object
    size_t size;      // of `quoted`
    char quoted[];    // `"name":`; whole pieces may be read
};

// A container that is being read.
typedef struct Open {
    size_t index; // of its value
    size_t count; // of its values so far
    Key *place;   // whose value it is; an array's items are at its own place
    Key **follow; // where the next name is predicted
    bool is_object;
} Open;

typedef struct JsonReader {
    Arena *arena;
    Error *err;
    yyjson_val *values;
    size_t count, room;
    Key **table; // by name and place, open addressing
    size_t key_count;
    Open open[JSON_DEPTH_MAX];
    size_t depth;
    Key *root;
    bool failed; // not declined: `err` says why
} JsonReader;

// --- memory

static bool failed(JsonReader *reader)
{
    reader->failed = true;
    return false;
}

static bool grow(JsonReader *reader)
{
    const size_t room = reader->room + reader->room / 2 + VALUES_SPARE;
    yyjson_val *values =
        arena_resize(reader->arena, reader->values, reader->room * sizeof(yyjson_val),
                     room * sizeof(yyjson_val), reader->err);
    if (values == NULL)
        return failed(reader);
    reader->values = values;
    reader->room = room;
    return true;
}

// --- white space

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline char *skip_space(char *src)
{
    while (is_space(*src))
        src++;
    return src;
}

// --- strings

static inline __m128i load(const char *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

// Steps over printable ASCII without quotes and backslashes. Other bytes are less than a space, as
// signed numbers.
static inline char *skip_plain(char *src)
{
    for (;; src += PIECE) {
        const __m128i piece = load(src);
        const __m128i odd = _mm_or_si128(_mm_cmplt_epi8(piece, _mm_set1_epi8(' ')),
                                         _mm_or_si128(_mm_cmpeq_epi8(piece, _mm_set1_epi8('"')),
                                                      _mm_cmpeq_epi8(piece, _mm_set1_epi8('\\'))));
        const unsigned found = (unsigned)_mm_movemask_epi8(odd);
        if (found != 0)
            return src + __builtin_ctz(found);
    }
}

static bool read_unit(const char *digits, uint32_t *ret_unit)
{
    unsigned char bytes[2];
    if (!hex_decode((Str){digits, 4}, bytes, sizeof(bytes)))
        return false;
    *ret_unit = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

// `*src` is behind "\u"; RFC 8259, section 7.
static bool read_escaped_unit(char **src, char **to)
{
    uint32_t code = 0;
    uint32_t low = 0;
    TRY(read_unit(*src, &code));
    *src += 4;
    if (code >= 0xD800 && code <= 0xDFFF) {
        TRY(code <= 0xDBFF && (*src)[0] == '\\' && (*src)[1] == 'u' && read_unit(*src + 2, &low));
        TRY(low >= 0xDC00 && low <= 0xDFFF);
        code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
        *src += 6;
    }
    *to += str_encode_utf8(code, *to);
    return true;
}

// `*src` is at a backslash.
static bool read_escape(char **src, char **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char name = (*src)[1];
    *src += 2;
    if (name == 'u')
        return read_escaped_unit(src, to);
    const char *found = name == '\0' ? NULL : strchr(names, name);
    TRY(found != NULL);
    *(*to)++ = meant[found - names];
    return true;
}

// The rest of a string from the first byte that is not plain.
static bool read_odd(const char *start, char **src, yyjson_val *ret_value)
{
    char *from = *src;
    char *to = from;
    bool escaped = false;
    bool ascii = true;
    while (*from != '"') {
        if ((unsigned char)*from < ' ')
            return false;
        if (*from == '\\') {
            TRY(read_escape(&from, &to));
            escaped = true;
        } else {
            ascii = ascii && (unsigned char)*from < 0x80;
            *to++ = *from++;
        }
    }
    const size_t size = (size_t)(to - start);
    TRY(ascii || str_is_utf8((Str){start, size}));
    *to = '\0';
    *ret_value = (yyjson_val){.tag = (uint64_t)size << YYJSON_TAG_BIT | YYJSON_TYPE_STR |
                                     (escaped ? YYJSON_SUBTYPE_NONE : YYJSON_SUBTYPE_NOESC),
                              .uni.str = start};
    *src = from + 1;
    return true;
}

// `*src` is behind the first quote, afterwards behind the last.
static inline bool read_string(char **src, yyjson_val *ret_value)
{
    char *start = *src;
    char *end = skip_plain(start);
    if (*end != '"') {
        *src = end;
        return read_odd(start, src, ret_value);
    }
    *end = '\0';
    ret_value->tag =
        (uint64_t)(end - start) << YYJSON_TAG_BIT | YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC;
    ret_value->uni.str = start;
    *src = end + 1;
    return true;
}

// --- numbers

// Any number: yyjson reads it, out of a copy that ends where it ends.
static bool read_any_number(JsonReader *reader, char **src, yyjson_val *value)
{
    char text[NUMBER_BYTES_MAX + 1];
    size_t size = 0;
    for (; byte_is_of_number((*src)[size]); size++) {
        if (size == NUMBER_BYTES_MAX)
            return false;
        text[size] = (*src)[size];
    }
    text[size] = '\0';
    const char *end = yyjson_read_number(text, value, YYJSON_READ_BIGNUM_AS_RAW, NULL, NULL);
    if (end != text + size)
        return false;
    const Str sent = {*src, size};
    *src += size;
    Str kept = {0};
    if (unsafe_yyjson_is_raw(value)) {
        if (!arena_copy_str(reader->arena, sent, &kept, reader->err))
            return failed(reader);
        value->uni.str = kept.data;
    }
    return !unsafe_yyjson_is_real(value) ||
           json_number_keep_sent(value, sent, reader->arena, reader->err) || failed(reader);
}

// Integers of PLAIN_DIGITS, and with a point numbers of EXACT_DIGITS: digits and power of ten are
// doubles then, so that their quotient is the nearest double.
static inline bool read_number(JsonReader *reader, char **src, yyjson_val *value)
{
    static const double powers[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const bool negative = **src == '-';
    const char *start = *src + (negative ? 1 : 0);
    const char *at = start;
    uint64_t digits = 0;
    for (; byte_is_digit(*at); at++)
        digits = digits * 10 + (uint64_t)(*at - '0');
    const size_t whole = (size_t)(at - start);
    if (whole == 0 || whole > PLAIN_DIGITS || (*start == '0' && whole > 1))
        return read_any_number(reader, src, value);
    if (*at != '.' && (*at | 0x20) != 'e') {
        value->tag = YYJSON_TYPE_NUM | (negative ? YYJSON_SUBTYPE_SINT : YYJSON_SUBTYPE_UINT);
        value->uni.u64 = negative ? 0 - digits : digits;
        *src += at - *src;
        return true;
    }
    const char *point = at;
    if (*at == '.') {
        for (at++; byte_is_digit(*at) && at - point <= EXACT_DIGITS; at++)
            digits = digits * 10 + (uint64_t)(*at - '0');
    }
    const size_t places = (size_t)(at - point) - (at > point ? 1 : 0);
    if (places == 0 || whole + places > EXACT_DIGITS || byte_is_of_number(*at))
        return read_any_number(reader, src, value);
    const double number = (double)digits / powers[places];
    value->tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL;
    value->uni.f64 = negative ? -number : number;
    *src += at - *src;
    return true;
}

// --- names

// True when the predicted name is what comes next.
static inline bool is_next(const Key *key, const char *src)
{
    if (key == NULL)
        return false;
    size_t at = 0;
    for (; at + PIECE < key->size; at += PIECE) {
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(load(key->quoted + at), load(src + at))) != 0xFFFF)
            return false;
    }
    const unsigned same =
        (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(load(key->quoted + at), load(src + at)));
    const unsigned wanted = 0xFFFFU >> (at + PIECE - key->size);
    return (same & wanted) == wanted;
}

static size_t hash_of(Str quoted, const Key *place)
{
    uint64_t hash = (uintptr_t)place;
    for (size_t i = 0; i < quoted.size; i++)
        hash = (hash ^ (unsigned char)quoted.data[i]) * UINT64_C(0x100000001B3);
    return (size_t)(hash ^ hash >> 32);
}

static Key *learn(JsonReader *reader, Str quoted, Key *place)
{
    const size_t pieces = (quoted.size + PIECE - 1) / PIECE;
    Key *key = arena_alloc(reader->arena, sizeof(*key) + pieces * PIECE, reader->err);
    if (key == NULL)
        return NULL;
    key->place = place;
    key->size = quoted.size;
    memcpy(key->quoted, quoted.data, quoted.size);
    reader->key_count++;
    return key;
}

// The key of a name without escapes that was not the predicted one; *ret_key = NULL: not learned.
static bool find_key(JsonReader *reader, Str quoted, Key *place, Key **ret_key)
{
    *ret_key = NULL;
    if (quoted.size > KEY_BYTES_LEARNED)
        return true;
    size_t at = hash_of(quoted, place) % TABLE_SIZE;
    for (; reader->table[at] != NULL; at = (at + 1) % TABLE_SIZE) {
        Key *key = reader->table[at];
        if (key->place == place && str_equal((Str){key->quoted, key->size}, quoted)) {
            *ret_key = key;
            return true;
        }
    }
    if (reader->key_count == KEYS_MAX)
        return true;
    *ret_key = learn(reader, quoted, place);
    if (*ret_key == NULL)
        return failed(reader);
    reader->table[at] = *ret_key;
    return true;
}

// Any name, and the colon. Learned is one whose colon follows at once, as it does between machines.
static bool read_new_name(JsonReader *reader, char **src, Open *open, yyjson_val *value,
                          Key **ret_key)
{
    char *quoted = *src;
    *ret_key = NULL;
    if (*quoted != '"')
        return false;
    *src = quoted + 1;
    TRY(read_string(src, value));
    const bool plain = (value->tag & YYJSON_TAG_MASK) == (YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC);
    if (**src == ':' && plain) {
        // The NUL behind the name was its quote.
        const size_t size = unsafe_yyjson_get_len(value) + 3;
        quoted[size - 2] = '"';
        const bool ok = find_key(reader, (Str){quoted, size}, open->place, ret_key);
        quoted[size - 2] = '\0';
        TRY(ok);
        if (*ret_key != NULL)
            (*ret_key)->value = *value;
        *open->follow = *ret_key;
    }
    *src = skip_space(*src);
    if (**src != ':')
        return false;
    (*src)++;
    return true;
}

// --- containers

static bool open_container(JsonReader *reader, yyjson_val *value, Key *place, bool is_object)
{
    if (reader->depth == JSON_DEPTH_MAX)
        return false;
    Open *open = &reader->open[reader->depth++];
    open->index = (size_t)(value - reader->values);
    open->count = 0;
    open->place = place;
    open->follow = &place->first;
    open->is_object = is_object;
    return true;
}

static void close_container(JsonReader *reader)
{
    const Open *open = &reader->open[--reader->depth];
    yyjson_val *value = reader->values + open->index;
    value->tag = (uint64_t)open->count << YYJSON_TAG_BIT |
                 (open->is_object ? YYJSON_TYPE_OBJ : YYJSON_TYPE_ARR);
    value->uni.ofs = (reader->count - open->index) * sizeof(*value);
}

static bool read_literal(char **src, yyjson_val *value)
{
    static const struct {
        char text[6];
        uint8_t size;
        uint8_t tag;
    } literals[] = {{"true", 4, YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE},
                    {"false", 5, YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE},
                    {"null", 4, YYJSON_TYPE_NULL}};
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        if (memcmp(*src, literals[i].text, literals[i].size) != 0)
            continue;
        *src += literals[i].size;
        value->tag = literals[i].tag;
        return true;
    }
    return false;
}

// A value, or the beginning of a container.
static inline bool read_value(JsonReader *reader, char **src, Key *place)
{
    yyjson_val *value = &reader->values[reader->count++];
    switch (**src) {
    case '"':
        (*src)++;
        return read_string(src, value);
    case '{':
    case '[':
        (*src)++;
        return open_container(reader, value, place, (*src)[-1] == '{');
    case 't':
    case 'f':
    case 'n':
        return read_literal(src, value);
    default:
        return read_number(reader, src, value);
    }
}

static inline bool read_member(JsonReader *reader, char **src, Open *open)
{
    Key *key = *open->follow;
    yyjson_val *name = &reader->values[reader->count++];
    if (is_next(key, *src)) {
        assert(key != NULL);
        *src += key->size;
        *name = key->value;
    } else {
        TRY(read_new_name(reader, src, open, name, &key));
    }
    if (key != NULL)
        open->follow = &key->next;
    open->count++;
    *src = skip_space(*src);
    return read_value(reader, src, key != NULL ? key : reader->root);
}

// A plain scalar with a comma behind it: where that stands, or NULL for anything else. Nothing of
// the text was changed then.
static inline char *read_usual_value(char *src, yyjson_val *value)
{
    if (*src == '"') {
        char *end = skip_plain(++src);
        if (end[0] != '"' || end[1] != ',')
            return NULL;
        *end = '\0';
        value->tag =
            (uint64_t)(end - src) << YYJSON_TAG_BIT | YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC;
        value->uni.str = src;
        return end + 1;
    }
    if (byte_is_digit(*src)) {
        const char first = *src;
        uint64_t digits = 0;
        size_t size = 0;
        for (; byte_is_digit(src[size]); size++)
            digits = digits * 10 + (uint64_t)(src[size] - '0');
        if (src[size] != ',' || size > PLAIN_DIGITS || (first == '0' && size > 1))
            return NULL;
        value->tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT;
        value->uni.u64 = digits;
        return src + size;
    }
    if (memcmp(src, "null,", 5) == 0) {
        value->tag = YYJSON_TYPE_NULL;
        return src + 4;
    }
    if (memcmp(src, "true,", 5) == 0) {
        value->tag = YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE;
        return src + 4;
    }
    if (memcmp(src, "false,", 6) == 0) {
        value->tag = YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE;
        return src + 5;
    }
    return NULL;
}

// Members as nearly all are: a name that was predicted, a plain scalar, and another member behind.
// Returns where the first one that is not begins. All is kept in locals: to the compiler, a byte
// written could be part of any struct.
static char *read_usual(JsonReader *reader, Open *open, char *src)
{
    yyjson_val *const start = reader->values + reader->count;
    const yyjson_val *const end = reader->values + reader->room - VALUES_SPARE;
    yyjson_val *at = start;
    Key **follow = open->follow;
    for (; at < end; at += 2) {
        Key *key = *follow;
        if (!is_next(key, src))
            break;
        char *comma = read_usual_value(src + key->size, at + 1);
        if (comma == NULL)
            break;
        src = comma + 1;
        at[0] = key->value;
        follow = &key->next;
    }
    open->follow = follow;
    open->count += (size_t)(at - start) / 2;
    reader->count += (size_t)(at - start);
    return src;
}

// Closes what ends here; *ret_more = false: the document itself.
static inline bool close_all(JsonReader *reader, char **src, bool *ret_more)
{
    for (;;) {
        if (reader->depth == 0) {
            *ret_more = false;
            return true;
        }
        *src = skip_space(*src);
        const Open *open = &reader->open[reader->depth - 1];
        if (**src == ',') {
            (*src)++;
            *ret_more = true;
            return true;
        }
        if (**src != (open->is_object ? '}' : ']'))
            return false;
        (*src)++;
        close_container(reader);
    }
}

// An empty container ends without a value in it.
static inline bool is_empty(const JsonReader *reader, const char *src)
{
    const Open *open = &reader->open[reader->depth - 1];
    return open->count == 0 && *src == (open->is_object ? '}' : ']');
}

// The next member or item of the container that was opened last.
static bool read_next(JsonReader *reader, char **src)
{
    Open *open = &reader->open[reader->depth - 1];
    if (open->is_object)
        *src = read_usual(reader, open, *src);
    if (reader->room - reader->count < VALUES_SPARE)
        TRY(grow(reader));
    if (open->is_object)
        return read_member(reader, src, open);
    open->count++;
    return read_value(reader, src, open->place);
}

static bool read_all(JsonReader *reader, char **src)
{
    *src = skip_space(*src);
    TRY(read_value(reader, src, reader->root));
    bool more = reader->depth > 0;
    bool opened = more;
    while (more) {
        *src = skip_space(*src);
        if (!opened || is_empty(reader, *src)) {
            TRY(close_all(reader, src, &more));
            *src = skip_space(*src);
        }
        if (!more)
            break;
        const size_t depth = reader->depth;
        TRY(read_next(reader, src));
        opened = reader->depth > depth;
    }
    *src = skip_space(*src);
    return true;
}

// --- documents

static bool start(JsonReader *reader, Str bytes, yyjson_doc **ret_doc)
{
    char *text = arena_alloc_raw(reader->arena, bytes.size + PADDING, reader->err);
    yyjson_doc *doc = arena_alloc(reader->arena, sizeof(*doc), reader->err);
    reader->root = arena_alloc(reader->arena, sizeof(*reader->root), reader->err);
    reader->table = arena_alloc_array(reader->arena, TABLE_SIZE, sizeof(Key *), reader->err);
    reader->room = bytes.size / VALUE_BYTES_USUAL + 2 * (size_t)VALUES_SPARE;
    reader->values = arena_alloc_raw(reader->arena, reader->room * sizeof(yyjson_val), reader->err);
    if (text == NULL || doc == NULL || reader->root == NULL || reader->table == NULL ||
        reader->values == NULL)
        return failed(reader);
    memcpy(text, bytes.data, bytes.size);
    memset(text + bytes.size, 0, PADDING);
    doc->str_pool = text;
    *ret_doc = doc;
    return true;
}

bool json_reader_read(Str bytes, Arena *arena, yyjson_doc **ret_doc, Error *err)
{
    *ret_doc = NULL;
    if (bytes.size > JSON_READER_BYTES_MAX)
        return true;
    JsonReader reader;
    reader.arena = arena;
    reader.err = err;
    reader.count = 0;
    reader.key_count = 0;
    reader.depth = 0;
    reader.failed = false;
    yyjson_doc *doc = NULL;
    TRY(start(&reader, bytes, &doc));
    char *src = doc->str_pool;
    if (!read_all(&reader, &src) || src != doc->str_pool + bytes.size)
        return !reader.failed;
    doc->root = reader.values;
    doc->dat_read = bytes.size;
    doc->val_read = reader.count;
    *ret_doc = doc;
    return true;
}
