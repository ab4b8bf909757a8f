#include "base/hash.h"

#include "harness/check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static Str hex(const Sha256 *hash, char text[2 * SHA256_BYTES + 1])
{
    hex_encode(hash->bytes, sizeof(hash->bytes), text);
    return (Str){text, 2 * SHA256_BYTES};
}

// FIPS 180-4's examples, as NIST prints them.
static const struct {
    Str text;
    const char *expected;
} vectors[] = {
    {{"", 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {{"abc", 3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56},
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmno"
      "pqrsmnopqrstnopqrstu",
      112},
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

// What `xxhsum -H2` prints of them.
TEST(the_content_hash_is_xxh3)
{
    const struct {
        Str text;
        const char *expected;
    } known[] = {{STR(""), "99aa06d3014798d86001c324468d497f"},
                 {STR("abc"), "06b05ab6733a618578af5f94892f3950"},
                 {STR("{\"a\":{\"x\":[],\"y\":2.5},\"c\":\"x\",\"id\":1}"),
                  "af750624ebc59ac4528f785d064a7b0b"}};
    for (size_t i = 0; i < COUNT(known); i++) {
        char text[2 * KEY_BYTES + 1];
        const Key128 hash = content_hash(known[i].text);
        hex_encode(hash.bytes, sizeof(hash.bytes), text);
        CHECK_STR(str_from(text), str_from(known[i].expected));
    }
}

TEST(sha256_gives_the_published_digests)
{
    Error err = {0};
    CLEANUP(hasher_done) Hasher hasher = {0};
    CHECK_OK(hasher_init(&hasher, &err), &err);
    char text[2 * SHA256_BYTES + 1];
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const Sha256 whole = sha256(vectors[i].text);
        CHECK_STR(hex(&whole, text), str_from(vectors[i].expected));
        // The same in two pieces, by a hasher that is used again and again.
        hasher_start(&hasher);
        hasher_add(&hasher, str_slice(vectors[i].text, 0, 2));
        hasher_add(&hasher, str_slice(vectors[i].text, 2, 999));
        const Sha256 pieces = hasher_finish(&hasher);
        CHECK_STR(hex(&pieces, text), str_from(vectors[i].expected));
    }
}

TEST(a_million_letters)
{
    Error err = {0};
    CLEANUP(hasher_done) Hasher hasher = {0};
    CHECK_OK(hasher_init(&hasher, &err), &err);
    char letters[1000];
    memset(letters, 'a', sizeof(letters));
    for (int i = 0; i < 1000; i++)
        hasher_add(&hasher, (Str){letters, sizeof(letters)});
    const Sha256 hash = hasher_finish(&hasher);
    char text[2 * SHA256_BYTES + 1];
    CHECK_STR(hex(&hash, text),
              STR("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

TEST(keys_are_the_first_half)
{
    const Sha256 hash = sha256(STR("abc"));
    const Key128 key = key128(&hash);
    char text[2 * KEY_BYTES + 1];
    hex_encode(key.bytes, sizeof(key.bytes), text);
    CHECK_STR(str_from(text), STR("ba7816bf8f01cfea414140de5dae2223"));
}

TEST(hex_goes_both_ways)
{
    const unsigned char expected[] = {0x00, 0x7F, 0x80, 0xFF, 0xA5};
    unsigned char bytes[5];
    char text[11];
    hex_encode(expected, sizeof(expected), text);
    CHECK_STR(str_from(text), STR("007f80ffa5"));
    CHECK(hex_decode(STR("007F80ffA5"), bytes, sizeof(bytes)));
    CHECK(memcmp(bytes, expected, sizeof(bytes)) == 0);
    const Str wrong[] = {STR("007f80ffa"),  STR("007f80ffa50"), STR("007f80ffag"),
                         STR("007f80ff a"), STR("g07f80ffa5"),  STR("")};
    for (size_t i = 0; i < COUNT(wrong); i++)
        CHECK(!hex_decode(wrong[i], bytes, sizeof(bytes)));
}

TEST(uuids_have_their_form)
{
    const unsigned char bytes[KEY_BYTES] = {0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3,
                                            0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00};
    char text[UUID_TEXT_BYTES + 1];
    uuid_format(bytes, text);
    CHECK_STR(str_from(text), STR("123e4567-e89b-12d3-a456-426614174000"));
}

// RFC 9562: 48 bits of milliseconds, version 7, variant 10.
TEST(new_uuids_sort_by_time)
{
    char first[UUID_TEXT_BYTES + 1];
    char second[UUID_TEXT_BYTES + 1];
    test_clock_us = INT64_C(1645557742000) * 1000; // the RFC's example, appendix A.6
    uuid_new(&test_env, first);
    CHECK_STR(str_slice(str_from(first), 0, 15), STR("017f22e2-79b0-7"));
    CHECK(strchr("89ab", first[19]) != NULL);
    CHECK_INT((int64_t)strlen(first), UUID_TEXT_BYTES);
    test_clock_us += 1000;
    uuid_new(&test_env, second);
    CHECK(strcmp(first, second) < 0);
}

// RFC 9562, A.6, prints this one as of 2022-02-22 14:22:22 at -05:00.
TEST(a_uuid_tells_when_it_was_made)
{
    CHECK_INT(uuid_time_us(STR("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")), INT64_C(1645557742000000));
    CHECK_INT(uuid_time_us(STR("C232AB00-9414-4EC8-B3C8-9F6BDECED846")), 0); // version 4
    CHECK_INT(uuid_time_us(STR("017F22E2-79BX-7CC3-98C4-DC0C0C07398F")), 0);
    CHECK_INT(uuid_time_us(STR("017F22E2-79B0-7CC3")), 0);
}
