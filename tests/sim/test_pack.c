#include "pack.h"

#include "harness/check.h"

#include <zlib.h>
#include <zstd.h>

TEST(the_header_decides_the_coding)
{
    const struct {
        const char *header;
        PackKind kind;
    } rows[] = {
        {"", PACK_NONE},
        {"gzip", PACK_GZIP},
        {"deflate, gzip, br, zstd", PACK_ZSTD},
        {"gzip;q=0.5 , zstd;q=0", PACK_GZIP},
        {"zstd;q=0.0,gzip; q=0", PACK_NONE},
        {"GZIP", PACK_GZIP},
        {"identity", PACK_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].header);
        CHECK_INT(pack_choose(str_from(rows[i].header)), rows[i].kind);
    }
}

TEST(what_is_packed_unpacks_to_the_same_again_and_again)
{
    static char bytes[100000], back[sizeof(bytes)];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)('a' + i * i % 23);
    Packer packer = {0};
    for (size_t size = 0; size <= sizeof(bytes); size += sizeof(bytes) / 2) {
        Error err = {0};
        Str packed;
        CHECK_OK(packer_pack(&packer, PACK_ZSTD, (Str){bytes, size}, &packed, &err), &err);
        CHECK_INT((int64_t)ZSTD_decompress(back, sizeof(back), packed.data, packed.size),
                  (int64_t)size);
        CHECK(memcmp(back, bytes, size) == 0);

        CHECK_OK(packer_pack(&packer, PACK_GZIP, (Str){bytes, size}, &packed, &err), &err);
        z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed.data,
                           .avail_in = (unsigned)packed.size,
                           .next_out = (Bytef *)back,
                           .avail_out = sizeof(back)};
        CHECK_INT(inflateInit2(&stream, 15 + 16), Z_OK);
        CHECK_INT(inflate(&stream, Z_FINISH), Z_STREAM_END);
        CHECK_INT((int64_t)stream.total_out, (int64_t)size);
        CHECK(memcmp(back, bytes, size) == 0);
        (void)inflateEnd(&stream);
    }
    packer_done(&packer);
}
