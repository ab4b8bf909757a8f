// Text: canonical JSON that can be stored anywhere, and notes of what it could not hold.
#include "contract/text.h"

#include "harness/check.h"

enum { ARENA_BYTES = 1 << 26 };

static yyjson_val *parse(Str text, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse_lenient(text, "t", arena, &doc, &err), &err);
    return yyjson_doc_get_root(doc);
}

// For clean values the text is what json_write_canonical() writes: the two writers check each
// other.
TEST(clean_values_are_written_canonically)
{
    const Str texts[] = {
        STR("[null,true,false,0,-0,1,-1,9223372036854775807,-9223372036854775808,"
            "18446744073709551615]"),
        STR("[0.5,-0.5,39.9494,-83.0393,1793497787.799,0.001,0.0001,999999999.999999,1e9,"
            "123456789012.125,1e12,1e21]"),
        STR("[0.1,0.3,2.5e-7,1e-3,1.0,100.0,-7.0,5e-324,1.7976931348623157e308,0.30000000000000004,"
            "1e400,-0.0]"),
        STR("[\"\",\"a\",\"1234567\",\"12345678\",\"123456789\",\"1234567890123456\","
            "\"12345678901234567\"]"),
        STR("[\"\\\"\",\"\\\\\",\"\\n\\u0001\\u007f\",\"h\xC3\xA9llo\",\"\\ud83d\\ude00\",\"/\"]"),
        STR("{\"b\":1,\"a\":{\"z\":[],\"y\":{}},\"\":2,\"aa\":3,\"abcdefgh\":1,\"abcdefghi\":2,"
            "\"abcdefg\":3,\"\xC3\xA9\":4}"),
        STR("{\"call_id\":1,\"time\":2,\"touch_type\":\"last\",\"weight\":1.0}"),
    };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(text_done) Text text = {0};
    CHECK_OK(text_init(&text, &err), &err);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CLEANUP(buf_done) Buf expected = {0};
        yyjson_val *value = parse(texts[i], arena);
        buf_clear(&text.out);
        CHECK_OK(text_write(&text, value, NULL, NULL, &err), &err);
        CHECK_OK(json_write_canonical(value, &expected, &err), &err);
        CHECK_STR(buf_str(&text.out), buf_str(&expected));
        CHECK_INT((int64_t)(text.bytes.size + text.others.size), 0);
    }
}

TEST(random_doubles_are_written_canonically)
{
    Error err = {0};
    CLEANUP(text_done) Text text = {0};
    CLEANUP(buf_done) Buf expected = {0};
    CHECK_OK(text_init(&text, &err), &err);
    for (int i = 0; i < 200000; i++) {
        const uint64_t bits = test_env.random(test_env.state);
        // Decimals of all sizes and places, and their neighbours; then anything.
        double value =
            (double)(int64_t)(bits >> (bits & 63)) / (double)(UINT64_C(1) << (bits >> 58 & 31));
        if (i % 3 == 0) {
            const double tens[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7};
            value = (double)(int64_t)(bits >> (14 + (bits & 31))) / tens[bits >> 61];
        } else if (i % 3 == 1) {
            memcpy(&value, &bits, sizeof(value));
        }
        if (value != value || value > 1.7e308 || value < -1.7e308)
            continue;
        yyjson_val number = {.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL, .uni.f64 = value};
        buf_clear(&text.out);
        buf_clear(&expected);
        CHECK_OK(text_write(&text, &number, NULL, NULL, &err), &err);
        CHECK_OK(json_write_canonical(&number, &expected, &err), &err);
        CHECK_STR(buf_str(&text.out), buf_str(&expected));
    }
}

TEST(wide_objects_are_sorted_and_their_doubles_noted)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(text_done) Text text = {0};
    CLEANUP(buf_done) Buf sent = {0};
    CLEANUP(buf_done) Buf expected = {0};
    CHECK_OK(text_init(&text, &err), &err);
    for (int i = 99; i >= 0; i--)
        CHECK_OK(buf_printf(&sent, &err, "%c\"m%02d\":[{\"b\":1,\"a\":2}]", i == 99 ? '{' : ',', i),
                 &err);
    CHECK_OK(buf_append(&sent, STR(",\"m50\":\"last\"}"), &err), &err);
    for (int i = 0; i < 100; i++)
        CHECK_OK(buf_printf(&expected, &err, "%c\"m%02d\":%s", i == 0 ? '{' : ',', i,
                            i == 50 ? "\"last\"" : "[{\"a\":2,\"b\":1}]"),
                 &err);
    CHECK_OK(buf_append_char(&expected, '}', &err), &err);
    CHECK_OK(text_write(&text, parse(buf_str(&sent), arena), NULL, NULL, &err), &err);
    CHECK_STR(buf_str(&text.out), buf_str(&expected));
    CHECK_STR(buf_str(&text.others), STR("{\"path\":\"/m50\",\"value\":[{\"a\":2,\"b\":1}]},"));
}

TEST(pointers_in_notes_are_escaped)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(text_done) Text text = {0};
    CHECK_OK(text_init(&text, &err), &err);
    CHECK_OK(text_write(&text, parse(STR("{\"a/b~c\\\"\":[0,{\"\xFF\":\"\\u0000\"}]}"), arena),
                        NULL, NULL, &err),
             &err);
    CHECK_STR(buf_str(&text.out), STR("{\"a/b~c\\\"\":[0,{\"$name:/w==\":\"\xEF\xBF\xBD\"}]}"));
    CHECK_STR(buf_str(&text.bytes), STR("\"/a~1b~0c\\\"/1/$name:~1w==\":\"AA==\","));
}

TEST(too_deep_a_value_is_refused)
{
    Error err = {0};
    enum { DEPTH = JSON_DEPTH_MAX + 1 };
    // Built by hand: json_parse() would not let it in.
    static yyjson_val values[DEPTH];
    for (size_t i = 0; i < DEPTH; i++) {
        values[i].tag = YYJSON_TYPE_ARR | (uint64_t)(i + 1 < DEPTH) << YYJSON_TAG_BIT;
        values[i].uni.ofs = (DEPTH - i) * sizeof(yyjson_val);
    }
    CLEANUP(text_done) Text text = {0};
    CHECK_OK(text_init(&text, &err), &err);
    CHECK_OK(text_write(&text, &values[1], NULL, NULL, &err), &err);
    CHECK(!text_write(&text, &values[0], NULL, NULL, &err));
    CHECK_INT(err.code, ERROR_DATA);
}

// RFC 4648, section 10.
TEST(base64_is_that_of_the_rfc)
{
    const char *const rows[][2] = {{"", ""},
                                   {"f", "Zg=="},
                                   {"fo", "Zm8="},
                                   {"foo", "Zm9v"},
                                   {"foob", "Zm9vYg=="},
                                   {"fooba", "Zm9vYmE="},
                                   {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < 7; i++) {
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(text_write_base64(str_from(rows[i][0]), &out, &err), &err);
        CHECK_STR(buf_str(&out), str_from(rows[i][1]));
    }
}

TEST(masks_show_four_digits_of_numbers_only)
{
    const char *const rows[][2] = {{"", "***"},
                                   {"secret", "***"},
                                   {"123456789", "***"},
                                   {"1234567890", "***7890"},
                                   {"+1 (555) 234-56 78 x", "***5678"},
                                   {"a1b2c3d4e5f6", "***"}};
    Error err = {0};
    CLEANUP(text_done) Text text = {0};
    CHECK_OK(text_init(&text, &err), &err);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(text_hide(&text, PRIVACY_MASK, str_from(rows[i][0]), &out, &err), &err);
        CHECK_STR(buf_str(&out), str_from(rows[i][1]));
    }
}

// RFC 4231, test cases 2 and 6, cut to 128 bits.
TEST(hashes_are_hmac_under_a_key)
{
    Error err = {0};
    char key[131];
    memset(key, '\xAA', sizeof(key));
    CLEANUP(text_done) Text text = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(text_init(&text, &err), &err);
    text_set_privacy_key(&text, STR("Jefe"));
    CHECK_OK(text_hide(&text, PRIVACY_HASH, STR("what do ya want for nothing?"), &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("5bdcc146bf60754e6a042426089575c7"));
    buf_clear(&out);
    text_set_privacy_key(&text, (Str){key, sizeof(key)});
    CHECK_OK(text_hide(&text, PRIVACY_HASH,
                       STR("Test Using Larger Than Block-Size Key - Hash Key First"), &out, &err),
             &err);
    CHECK_STR(buf_str(&out), STR("60e431591ee0b67f0d8a26aacbf5b77f"));
    buf_clear(&out);
    text_set_privacy_key(&text, (Str){0});
    CHECK_OK(text_hide(&text, PRIVACY_HASH, STR("abc"), &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("ba7816bf8f01cfea414140de5dae2223"));
}
