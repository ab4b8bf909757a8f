// JsonReader: whatever it reads, it reads as yyjson does, value by value; the rest it declines.
#include "base/json_reader.h"

#include "base/fault.h"
#include "base/json_number.h"

#include "harness/check.h"

enum { RUN_BYTES = 64 * 1024 * 1024 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// yyjson's own reading, or NULL. Its copy of the text lives as long as the program.
static yyjson_doc *read_by_yyjson(Str text, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.data, text.size,
                                       YYJSON_READ_BIGNUM_AS_RAW, NULL, NULL);
    if (doc != NULL)
        CHECK_OK(json_number_keep_all(text, doc, arena, &err), &err);
    return doc;
}

static bool same_value(const yyjson_val *a, const yyjson_val *b)
{
    if (a->tag != b->tag)
        return false;
    switch (a->tag & YYJSON_TYPE_MASK) {
    case YYJSON_TYPE_STR:
    case YYJSON_TYPE_RAW: // with the NUL behind
        return memcmp(a->uni.str, b->uni.str, (a->tag >> YYJSON_TAG_BIT) + 1) == 0;
    case YYJSON_TYPE_NUM:
        return a->uni.u64 == b->uni.u64;
    case YYJSON_TYPE_OBJ:
    case YYJSON_TYPE_ARR:
        return a->uni.ofs == b->uni.ofs;
    default:
        return true;
    }
}

// Reads `text` both ways; returns whether it was read rather than declined. What yyjson refuses
// must be declined.
static bool agree(Str text)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    yyjson_doc *mine = NULL;
    CHECK_OK(json_reader_read(text, arena, &mine, &err), &err);
    yyjson_doc *theirs = read_by_yyjson(text, arena);
    CHECK(mine == NULL || theirs != NULL);
    if (mine != NULL && theirs != NULL) {
        CHECK_INT((int64_t)mine->val_read, (int64_t)theirs->val_read);
        for (size_t i = 0; i < theirs->val_read; i++)
            CHECK(same_value(mine->root + i, theirs->root + i));
    }
    yyjson_doc_free(theirs);
    return mine != NULL;
}

TEST(what_is_in_order_is_read_as_yyjson_does)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        " [ ] ",
        "{ }",
        "[[],{},[{}],{\"a\":{}},{\"a\":[]}]",
        "null",
        "\"a\"",
        "\t-7\r\n",
        "[true,false,null,0,-0,1,-1,18446744073709551615,18446744073709551616,-9223372036854775808,"
        "-9223372036854775809]",
        "[999999999999999999,1000000000000000000,-999999999999999999,"
        "123456789012345678901234567890]",
        "[0.0,-0.0,1.0,2.50,0.1,123456789012.345,99999999999999.9,0.000000000000001,"
        "0.0000000000000001,123456789012345.6,30.2251,-97.7864,1791246984.387]",
        "[1e3,1E+3,1e-3,1.5e300,1e400,1e-400,12345678901234567.89,0.30000000000000004,5e-324]",
        "[\"\",\"a\",\"0123456789abcde\",\"0123456789abcdef\",\"0123456789abcdefg\"]",
        "[\"\\n\",\"a\\\"b\",\"\\\\\\/"
        "\\b\\f\\r\\t\",\"0123456789abcdef\\u0041\",\"\\u00e9\\u20AC\\u0000\"]",
        "[\"\\ud83d\\ude00\",\"x\\uD83D\\uDE00y\",\"\xC3\xA9\",\"\xE2\x82\xAC\xF0\x9F\x98\x80\","
        "\"\x7F\"]",
        "[{\"a\":1,\"b\":\"x\",\"c\":null},{\"a\":2,\"b\":\"y\",\"c\":true},{\"a\":3,\"c\":false,"
        "\"b\":\"z\"},"
        "{\"b\":\"w\",\"a\":4},{},{\"d\":[{\"a\":5}],\"a\":6,\"a\":7}]",
        "[{\"a\": 1, \"b\": 2}, {\"a\": 3, \"b\": 4}]",
        "[{\"a\" : 1 , \"b\":2},\n {\"a\":3,\n\"b\" :4}]",
        "[{\"\\u0061\":1,\"b\":2},{\"a\":3,\"b\":4},{\"\\u0061\":5}]",
        "[{\"\xC3\xA9\":1,\"\":2},{\"\xC3\xA9\":3,\"\":4}]",
        "[{\"ab\":1,\"abc\":2},{\"abc\":1,\"ab\":2},{\"ab\":3,\"abc\":4}]",
        "[{\"a\":01e1}]",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":{\"b\":2}}}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_row(texts[i]);
        const bool read = agree(str_from(texts[i]));
        CHECK(read || strcmp(texts[i], "[{\"a\":01e1}]") == 0);
    }
}

TEST(what_is_not_is_declined)
{
    static const char *const texts[] = {
        "",
        " ",
        "nul",
        "nullx",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1]",
        "[1}",
        "[1",
        "{\"a\":1",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\x1F\"",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "1.2.3",
        "--1",
        "[1]x",
        "[1] 2",
        "{} {}",
        "\"\xFF\"",
        "\"\xC3\"",
        "\"\xED\xA0\x80\"",
        "\"\xC0\x80\"",
        "tru",
        "[true",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83dx\"",
        "\xEF\xBB\xBF[]",
        "NaN",
        "Infinity",
        "[{\"a\":1},{\"a\":01}]",
        "[{\"a\":1},{\"a\":1x}]",
        "[{\"a\":1},{\"a\":\"x\"y}]",
        "[{\"a\":1},{\"a\"1}]",
        "[{\"a\":1,\"b\":2},{\"a\":nulL,\"b\":2}]",
        "[{\"a\":1,\"b\":2},{\"a\":,\"b\":2}]",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_row(texts[i]);
        CHECK(!agree(str_from(texts[i])));
    }
    CHECK(!agree(STR("[1]\0")));
    CHECK(!agree(STR("[\"a\0b\"]")));
}

// Cut and damaged anywhere, as a connection or a disk may leave it.
TEST(every_part_and_every_damage_is_judged_as_by_yyjson)
{
    static const char text[] =
        "{\"calls\":[{\"id\":17,\"name\":\"Sof\\u00eda\",\"at\":1.25,\"tags\":[\"a\",\"b\"],"
        "\"geo\":{\"lat\":"
        "-1.5,\"lon\":2},\"on\":true,\"no\":null},{\"id\":18,\"name\":\"\xC3\x89mile\",\"at\":12e1,"
        "\"tags\":[],"
        "\"geo\":{\"lat\":0,\"lon\":0},\"on\":false,\"no\":null},{\"id\":19,\"name\":\"a long name "
        "of more than "
        "sixteen\",\"at\":3,\"tags\":null,\"geo\":null,\"on\":true,\"no\":1}],\"total\":3}";
    static const char others[] = "\"\\{}[],:0-. e\x01\x80\xFFn";
    char damaged[sizeof(text)];
    CHECK(agree((Str){text, sizeof(text) - 1}));
    for (size_t size = 0; size + 1 < sizeof(text); size++)
        CHECK(!agree((Str){text, size}));
    size_t read = 0;
    for (size_t at = 0; at + 1 < sizeof(text); at++) {
        for (size_t i = 0; i + 1 < sizeof(others); i++) {
            memcpy(damaged, text, sizeof(text));
            damaged[at] = others[i];
            read += agree((Str){damaged, sizeof(text) - 1}) ? 1 : 0;
        }
    }
    CHECK(read > sizeof(text)); // within strings most of it does no harm
}

TEST(values_denser_than_foreseen_find_room)
{
    Error err = {0};
    CLEANUP(buf_done) Buf text = {0};
    CHECK_OK(buf_append(&text, STR("[{\"a\":1"), &err), &err);
    for (int i = 0; i < 5000; i++)
        CHECK_OK(buf_append(&text, STR(",\"a\":1"), &err), &err);
    CHECK_OK(buf_append(&text, STR("},[[],[],0"), &err), &err);
    for (int i = 0; i < 5000; i++)
        CHECK_OK(buf_append(&text, STR(",0"), &err), &err);
    CHECK_OK(buf_append(&text, STR("]]"), &err), &err);
    CHECK(agree(buf_str(&text)));
}

TEST(names_beyond_those_learned_are_read_all_the_same)
{
    enum { NAMES = 5000, LONG = 400 };
    Error err = {0};
    CLEANUP(buf_done) Buf text = {0};
    for (int record = 0; record < 3; record++) {
        CHECK_OK(buf_append(&text, record == 0 ? STR("[{") : STR(",{"), &err), &err);
        for (int i = 0; i < NAMES; i++)
            CHECK_OK(buf_printf(&text, &err, "%s\"name_%0*d\":%d", i == 0 ? "" : ",",
                                i % 7 == 0 ? LONG : 5, i, i),
                     &err);
        CHECK_OK(buf_append_char(&text, '}', &err), &err);
    }
    CHECK_OK(buf_append_char(&text, ']', &err), &err);
    CHECK(agree(buf_str(&text)));
}

TEST(deeper_than_allowed_is_declined)
{
    for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        Error err = {0};
        CLEANUP(buf_done) Buf text = {0};
        for (size_t i = 0; i < depth; i++)
            CHECK_OK(buf_append(&text, i % 2 == 0 ? STR("[") : STR("{\"a\":"), &err), &err);
        CHECK_OK(buf_append_char(&text, '0', &err), &err);
        for (size_t i = depth; i > 0; i--)
            CHECK_OK(buf_append_char(&text, i % 2 == 0 ? '}' : ']', &err), &err);
        CHECK(agree(buf_str(&text)) == (depth <= JSON_DEPTH_MAX));
    }
}

TEST(numbers_too_long_and_texts_too_long_are_declined)
{
    Error err = {0};
    CLEANUP(buf_done) Buf number = {0};
    for (int digits = 500; digits <= 520; digits += 20) {
        buf_clear(&number);
        CHECK_OK(buf_printf(&number, &err, "[%0*d]", digits, 0), &err);
        number.data[1] = '1';
        CHECK(agree(buf_str(&number)) == (digits <= 512));
    }
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf text = {0};
    CHECK_OK(buf_reserve(&text, JSON_READER_BYTES_MAX + 1, &err), &err);
    memset(text.data, ' ', JSON_READER_BYTES_MAX + 1);
    text.data[0] = '1';
    yyjson_doc *doc = NULL;
    CHECK_OK(json_reader_read((Str){text.data, JSON_READER_BYTES_MAX + 1}, arena, &doc, &err),
             &err);
    CHECK(doc == NULL);
    CHECK_OK(json_reader_read((Str){text.data, JSON_READER_BYTES_MAX}, arena, &doc, &err), &err);
    CHECK(doc != NULL);
}

TEST(reading_survives_every_fault)
{
    static const char text[] =
        "[{\"a\":1e400,\"b\":0.30000000000000000004,\"c\":0,\"d\":0,\"e\":0},0,0,0,0,0,0,0,0,0,0,0,"
        "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]";
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        const bool ok = arena != NULL && json_reader_read(str_from(text), arena, &doc, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (doc != NULL));
        CHECK(ok || err.code == ERROR_LIMIT);
    }
}
