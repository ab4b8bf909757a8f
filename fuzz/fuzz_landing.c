// links: pawl_lake
//
// Page files, sealed documents and the names of files, as a damaged disk might hand them to us. The
// first byte of an input chooses; checksums are put right where they would only keep the fuzzer
// out.
#include "lake/landing_path.h"
#include "lake/page_file.h"
#include "lake/seal.h"
#include "lake/slice_file.h"

#include <stdlib.h>

enum { RUN_BYTES = 64 * 1024 * 1024, FRAME_HEAD_BYTES = 8 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void read_page(Str file, Arena *arena)
{
    Error err = {0};
    CLEANUP(page_coder_done) PageCoder coder = {.level = 1};
    PageNote note = {0};
    Str body = {NULL, 0};
    if (page_file_read(&coder, file, "fuzz", arena, &note, &body, &err)) {
        must(body.size == note.info.body_bytes);
    } else {
        must(err.code == ERROR_DATA || err.code == ERROR_LIMIT);
    }
}

// A page with `json` as its note, the checksum right.
static void read_note(Str json, Arena *arena)
{
    Error err = {0};
    char hash[2 * SHA256_BYTES + 1];
    const Sha256 sum = sha256(json);
    hex_encode(sum.bytes, sizeof(sum.bytes), hash);
    CLEANUP(buf_done) Buf file = {0};
    const uint32_t size = (uint32_t)(json.size + sizeof(hash) + 1);
    const char head[FRAME_HEAD_BYTES] = {0x5E,
                                         0x2A,
                                         0x4D,
                                         0x18,
                                         (char)(size & 0xFF),
                                         (char)(size >> 8 & 0xFF),
                                         (char)(size >> 16 & 0xFF),
                                         (char)(size >> 24 & 0xFF)};
    must(buf_append(&file, (Str){head, sizeof(head)}, &err) && buf_append(&file, json, &err) &&
         buf_printf(&file, &err, "\n%s\n", hash));
    read_page(buf_str(&file), arena);
}

static void write_and_read(Str body, Arena *arena)
{
    Error err = {0};
    CLEANUP(page_coder_done) PageCoder coder = {.level = -3};
    CLEANUP(buf_done) Buf file = {0};
    PageNote note = {.stream = STR("s"), .partition_key = STR("p"), .reading = 1};
    must(page_file_write(&coder, &note, body, STR(""), HTTP_ENCODING_IDENTITY, &file, &err));
    PageNote got = {0};
    Str got_body = {NULL, 0};
    must(page_file_read(&coder, buf_str(&file), "fuzz", arena, &got, &got_body, &err));
    must(str_equal(got_body, body));
    must(memcmp(&got.info, &note.info, sizeof(got.info)) == 0);
}

// A page that the server is said to have compressed: two bytes claim the size of its body.
static void read_packed(Str packed, HttpEncoding encoding, Arena *arena)
{
    static const char nothing[1 << 16];
    Error err = {0};
    if (packed.size <= 2)
        return;
    const Str claim = {nothing, (size_t)(unsigned char)packed.data[0] << 8 |
                                    (size_t)(unsigned char)packed.data[1]};
    CLEANUP(page_coder_done) PageCoder coder = {.level = 1};
    CLEANUP(buf_done) Buf file = {0};
    PageNote note = {.stream = STR("s"), .partition_key = STR("p"), .reading = 1};
    must(page_file_write(&coder, &note, claim, str_slice(packed, 2, packed.size), encoding, &file,
                         &err));
    read_page(buf_str(&file), arena);
}

static void read_manifest(Str json, Arena *arena)
{
    Error err = {0};
    CLEANUP(buf_done) Buf sealed = {0};
    if (json.size == 0)
        return;
    must(seal_write("slice", json, &sealed, &err));
    SliceName name = {0};
    SliceManifest manifest = {0};
    if (!slice_file_read(buf_str(&sealed), "fuzz", arena, &name, &manifest, &err)) {
        must(err.code == ERROR_DATA || err.code == ERROR_LIMIT);
        return;
    }
    CLEANUP(buf_done) Buf first = {0};
    CLEANUP(buf_done) Buf second = {0};
    must(slice_file_write(&name, &manifest, &first, &err));
    must(slice_file_read(buf_str(&first), "fuzz", arena, &name, &manifest, &err));
    must(slice_file_write(&name, &manifest, &second, &err));
    must(str_equal(buf_str(&first), buf_str(&second)));
}

static void read_sealed(Str bytes)
{
    Error err = {0};
    Str body = {NULL, 0};
    if (!seal_read("note", bytes, "fuzz", &body, &err)) {
        must(err.code == ERROR_DATA);
        return;
    }
    CLEANUP(buf_done) Buf again = {0};
    must(seal_write("note", body, &again, &err));
    must(str_equal(buf_str(&again), bytes));
}

static void parse_names(Str part)
{
    Error err = {0};
    uint32_t number = 0;
    uint32_t reading = 0;
    bool is_gzip = false;
    char text[LANDING_NAME_BYTES_MAX];
    Str name = {NULL, 0};
    (void)path_parse_slice(part, &number, &reading);
    (void)path_is_partition(part);
    if (path_parse_page(part, &number, &is_gzip)) {
        Path path = {0};
        must(path_append_page(&path, number, is_gzip, &err));
        must(str_equal(path_str(&path), part));
    }
    if (path_parse_name(part, text, &name)) {
        Path path = {0};
        must(path_append_name(&path, name, &err));
        must(str_equal(path_str(&path), part));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    must(arena != NULL);
    const Str input = {(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 'p':
        read_page(input, arena);
        break;
    case 'n':
        read_note(input, arena);
        break;
    case 'b':
        write_and_read(input, arena);
        break;
    case 'z':
        read_packed(input, HTTP_ENCODING_ZSTD, arena);
        break;
    case 'g':
        read_packed(input, HTTP_ENCODING_GZIP, arena);
        break;
    case 'm':
        read_manifest(input, arena);
        break;
    case 's':
        read_sealed(input);
        break;
    default:
        parse_names(input);
    }
    return 0;
}
