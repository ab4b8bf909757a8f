#include "lake/page_file.h"

#include "base/fault.h"
#include "lake/members.h"

#include <assert.h>
#include <inttypes.h>
#include <zlib.h>
#include <zstd.h>

enum {
    SCHEMA = 1,
    HASH_LOG = 13,
    HASH_TEXT_BYTES = 2 * SHA256_BYTES,
    NOTE_ARENA_BYTES = 256 * 1024,
    // RFC 8878: one of sixteen numbers for skippable frames, then the size of what to skip.
    FRAME_MAGIC = 0x184D2A5E,
    FRAME_HEAD_BYTES = 8,
    // RFC 1952: ten bytes, the size of the extra field, "Pw" and the size of what it holds.
    MEMBER_HEAD_BYTES = 16,
    MEMBER_TAIL_BYTES = 10,
    GZIP_WINDOW = 16 + MAX_WBITS,
};

// A member of gzip that holds nothing: an empty block, CRC 0, size 0.
static const char member_tail[MEMBER_TAIL_BYTES] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0};

// Between the page's hash and the note's own.
static const Str json_end = {"\"}\n", 3};

static void put_little(uint32_t number, size_t size, char *bytes)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(number >> (8 * i) & 0xFF);
}

static uint32_t get_little(Str bytes, size_t start, size_t size)
{
    uint32_t number = 0;
    for (size_t i = 0; i < size; i++)
        number |= (uint32_t)(unsigned char)bytes.data[start + i] << (8 * i);
    return number;
}

static void frame_head(size_t size, char head[FRAME_HEAD_BYTES])
{
    put_little(FRAME_MAGIC, 4, head);
    put_little((uint32_t)size, 4, head + 4);
}

static void member_head(size_t size, char head[MEMBER_HEAD_BYTES])
{
    // Deflate, with an extra field, no time, no level, system unknown.
    static const unsigned char fixed[10] = {0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF};
    memcpy(head, fixed, sizeof(fixed));
    put_little((uint32_t)size + 4, 2, head + 10);
    head[12] = 'P';
    head[13] = 'w';
    put_little((uint32_t)size, 2, head + 14);
}

// --- the note

// Everything but the hashes, whose places it leaves: their size is fixed.
static bool write_note(const PageNote *note, Buf *out, Error *err)
{
    const PageInfo *info = &note->info;
    const size_t start = out->size;
    TRY(buf_printf(out, err, "{\"schema\":%d,\"stream\":", SCHEMA) &&
        json_write_str(note->stream, out, err) && buf_append(out, STR(",\"partition\":"), err) &&
        json_write_str(note->partition_key, out, err) &&
        buf_printf(out, err,
                   ",\"slice\":%" PRIu32 ",\"reading\":%" PRIu32 ",\"page\":%" PRIu32
                   ",\"fetched_us\":%" PRId64 ",\"total\":%" PRId64 ",\"records\":%" PRId64
                   ",\"body_bytes\":%" PRIu64 ",\"page_sha256\":\"%0*d" STR_FMT "%0*d\n",
                   note->slice, note->reading, note->page, info->fetched_us, info->total,
                   info->records, info->body_bytes, HASH_TEXT_BYTES, 0, STR_ARG(json_end),
                   HASH_TEXT_BYTES, 0));
    if (out->size - start > PAGE_NOTE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "page note: longer than %d bytes", PAGE_NOTE_BYTES_MAX);
    return true;
}

static void put_hash(const Sha256 *hash, char *place)
{
    char text[HASH_TEXT_BYTES + 1];
    hex_encode(hash->bytes, SHA256_BYTES, text);
    memcpy(place, text, HASH_TEXT_BYTES);
}

// Puts the hashes into their places in the note of `size` bytes at `text`.
static void seal_note(const Sha256 *page, char *text, size_t size)
{
    char *own = text + size - 1 - HASH_TEXT_BYTES;
    put_hash(page, own - json_end.size - HASH_TEXT_BYTES);
    const Sha256 sum = sha256((Str){text, (size_t)(own - 1 - text)});
    put_hash(&sum, own);
}

static bool damaged(const char *where, const char *what, Error *err)
{
    return error_set(err, ERROR_DATA, "%s: damaged: %s", where, what);
}

static bool parse_note(Str json, const char *where, Arena *arena, PageNote *ret_note, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, where, arena, &doc, err));
    Members members;
    PageNote note = {0};
    int64_t schema = 0;
    int64_t body_bytes = 0;
    TRY(members_begin(&members, yyjson_doc_get_root(doc), where, err) &&
        members_int(&members, "schema", SCHEMA, SCHEMA, &schema, err) &&
        members_str(&members, "stream", &note.stream, err) &&
        members_str(&members, "partition", &note.partition_key, err) &&
        members_uint32(&members, "slice", 0, &note.slice, err) &&
        members_uint32(&members, "reading", 1, &note.reading, err) &&
        members_uint32(&members, "page", 0, &note.page, err) &&
        members_int(&members, "fetched_us", INT64_MIN, INT64_MAX, &note.info.fetched_us, err) &&
        members_int(&members, "total", -1, INT64_MAX, &note.info.total, err) &&
        members_int(&members, "records", -1, INT64_MAX, &note.info.records, err) &&
        members_int(&members, "body_bytes", 0, LANDING_BODY_BYTES_MAX, &body_bytes, err) &&
        members_hash(&members, "page_sha256", &note.info.page_sha256, err) &&
        members_end(&members, err));
    note.info.body_bytes = (uint64_t)body_bytes;
    *ret_note = note;
    return true;
}

// Finds the note's text in front of the file; every byte around it must be as we write it.
static bool find_note(Str file, const char *where, Str *ret_text, size_t *ret_size, Error *err)
{
    char head[MEMBER_HEAD_BYTES];
    const bool is_gzip = str_starts_with(file, STR("\x1F\x8B"));
    const size_t head_size = is_gzip ? MEMBER_HEAD_BYTES : FRAME_HEAD_BYTES;
    const size_t tail_size = is_gzip ? MEMBER_TAIL_BYTES : 0;
    if (file.size < head_size + tail_size)
        return damaged(where, "its beginning is missing", err);
    const size_t size = is_gzip ? get_little(file, 14, 2) : get_little(file, 4, 4);
    if (is_gzip)
        member_head(size, head);
    else
        frame_head(size, head);
    if (memcmp(file.data, head, head_size) != 0)
        return damaged(where, "its beginning is not a page's", err);
    if (size > PAGE_NOTE_BYTES_MAX || size > file.size - head_size - tail_size ||
        size < HASH_TEXT_BYTES + 2)
        return damaged(where, "its note has a wrong size", err);
    if (is_gzip && memcmp(file.data + head_size + size, member_tail, tail_size) != 0)
        return damaged(where, "its note has no proper end", err);
    *ret_text = str_slice(file, head_size, size);
    *ret_size = head_size + size + tail_size;
    return true;
}

bool page_file_read_note(Str file, const char *where, Arena *arena, PageNote *ret_note,
                         size_t *ret_size, Error *err)
{
    Str text = {NULL, 0};
    size_t size = 0;
    TRY(find_note(file, where, &text, &size, err));
    const Str json = str_slice(text, 0, text.size - HASH_TEXT_BYTES - 2);
    char expected[HASH_TEXT_BYTES + 3];
    const Sha256 sum = sha256(json);
    expected[0] = '\n';
    hex_encode(sum.bytes, SHA256_BYTES, expected + 1);
    expected[HASH_TEXT_BYTES + 1] = '\n';
    if (memcmp(text.data + json.size, expected, HASH_TEXT_BYTES + 2) != 0)
        return damaged(where, "its note's checksum does not match", err);
    TRY(parse_note(json, where, arena, ret_note, err));
    ret_note->info.stored_bytes = file.size;
    *ret_size = size;
    return true;
}

bool page_file_find_page(Str file, const char *where, Str *ret_page, Error *err)
{
    Str text = {NULL, 0};
    size_t size = 0;
    TRY(find_note(file, where, &text, &size, err));
    *ret_page = str_slice(file, size, file.size);
    return true;
}

// --- compression

static bool zstd_failed(const char *what, size_t result, Error *err)
{
    return error_set(err, ERROR_LIMIT, "zstd: %s: %s", what, ZSTD_getErrorName(result));
}

static bool compress_zstd(PageCoder *coder, Str body, Buf *out, Error *err)
{
    if (coder->zstd_in == NULL) {
        coder->zstd_in = fault_here() ? NULL : ZSTD_createCCtx(); // its memory is zstd's own
        if (coder->zstd_in == NULL)
            return error_set(err, ERROR_LIMIT, "zstd: out of memory");
        // Without zstd's checksum (a twentieth of the time): page_sha256 covers all that is stored.
        size_t set = ZSTD_CCtx_setParameter(coder->zstd_in, ZSTD_c_compressionLevel, coder->level);
        // Half of the table of level 1 fits into a processor's nearest cache: 6 % faster, pages are
        // 3 % larger.
        if (!ZSTD_isError(set) && coder->level == LANDING_COMPRESSION)
            set = ZSTD_CCtx_setParameter(coder->zstd_in, ZSTD_c_hashLog, HASH_LOG);
        if (ZSTD_isError(set))
            return zstd_failed("compression level", set, err);
    }
    TRY(buf_reserve(out, ZSTD_compressBound(body.size), err));
    const size_t size = ZSTD_compress2(coder->zstd_in, out->data + out->size,
                                       out->capacity - out->size, body.data, body.size);
    if (ZSTD_isError(size))
        return zstd_failed("compress", size, err);
    out->size += size;
    return true;
}

bool page_file_write(PageCoder *coder, PageNote *note, Str body, Str encoded, HttpEncoding encoding,
                     Buf *out, Error *err)
{
    if (body.size > LANDING_BODY_BYTES_MAX || encoded.size > LANDING_BODY_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "page: longer than %d bytes", LANDING_BODY_BYTES_MAX);
    const bool as_received = encoded.size > 0 && encoding != HTTP_ENCODING_IDENTITY;
    const bool is_gzip = as_received && encoding == HTTP_ENCODING_GZIP;
    note->info.body_bytes = body.size;

    const size_t start = out->size;
    const size_t head_size = is_gzip ? MEMBER_HEAD_BYTES : FRAME_HEAD_BYTES;
    TRY(buf_reserve(out, head_size, err));
    out->size += head_size;
    TRY(write_note(note, out, err));
    const size_t note_size = out->size - start - head_size;
    if (is_gzip)
        member_head(note_size, out->data + start);
    else
        frame_head(note_size, out->data + start);
    if (is_gzip)
        TRY(buf_append(out, (Str){member_tail, sizeof(member_tail)}, err));

    const size_t page_start = out->size;
    TRY(as_received ? buf_append(out, encoded, err) : compress_zstd(coder, body, out, err));
    note->info.page_sha256 = sha256(str_slice(buf_str(out), page_start, out->size));
    seal_note(&note->info.page_sha256, out->data + start + head_size, note_size);
    note->info.stored_bytes = out->size - start;
    return true;
}

// Each fills exactly `size` bytes or finds the page damaged.
static bool decompress_zstd(PageCoder *coder, Str packed, const char *where, char *bytes,
                            size_t size, Error *err)
{
    if (coder->zstd_out == NULL) {
        coder->zstd_out = fault_here() ? NULL : ZSTD_createDCtx();
        if (coder->zstd_out == NULL)
            return error_set(err, ERROR_LIMIT, "zstd: out of memory");
    }
    const size_t got = ZSTD_decompressDCtx(coder->zstd_out, bytes, size, packed.data, packed.size);
    if (ZSTD_isError(got))
        return damaged(where, ZSTD_getErrorName(got), err);
    return got == size || damaged(where, "its page is too short", err);
}

static void end_inflate(z_stream *stream)
{
    (void)inflateEnd(stream);
}

static bool decompress_gzip(Str packed, const char *where, char *bytes, size_t size, Error *err)
{
    CLEANUP(end_inflate) z_stream stream = {0}; // its memory is zlib's own
    if (fault_here() || inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return error_set(err, ERROR_LIMIT, "gzip: out of memory");
    // Both sizes fit: a page file is bounded by LANDING_BODY_BYTES_MAX. zlib only reads its input.
    stream.next_in = (Bytef *)(uintptr_t)packed.data;
    stream.avail_in = (uInt)packed.size;
    stream.next_out = (Bytef *)bytes;
    stream.avail_out = (uInt)size;
    for (;;) {
        const int result = inflate(&stream, Z_FINISH);
        if (result != Z_STREAM_END)
            return damaged(where, stream.msg != NULL ? stream.msg : "its page has no proper end",
                           err);
        if (stream.avail_out == 0)
            return true; // what may follow the last member was not part of the answer either
        if (stream.avail_in == 0 || inflateReset(&stream) != Z_OK)
            return damaged(where, "its page is too short", err);
    }
}

bool page_file_read(PageCoder *coder, Str file, const char *where, Arena *arena, PageNote *ret_note,
                    Str *ret_body, Error *err)
{
    if (file.size > (size_t)2 * LANDING_BODY_BYTES_MAX)
        return error_set(err, ERROR_DATA, "%s: larger than any page", where);
    PageNote note = {0};
    size_t start = 0;
    TRY(page_file_read_note(file, where, arena, &note, &start, err));
    const size_t size = (size_t)note.info.body_bytes;
    const Str packed = str_slice(file, start, file.size);
    const Sha256 sum = sha256(packed);
    if (memcmp(sum.bytes, note.info.page_sha256.bytes, SHA256_BYTES) != 0)
        return damaged(where, "its checksum does not match", err);
    char *bytes = arena_alloc_raw(arena, size + 1, err);
    TRY(bytes != NULL);
    const bool is_gzip = str_starts_with(file, STR("\x1F\x8B"));
    TRY(is_gzip ? decompress_gzip(packed, where, bytes, size, err)
                : decompress_zstd(coder, packed, where, bytes, size, err));
    bytes[size] = '\0';
    *ret_note = note;
    *ret_body = (Str){bytes, size};
    return true;
}

void page_coder_done(PageCoder *coder)
{
    (void)ZSTD_freeCCtx(coder->zstd_in);
    (void)ZSTD_freeDCtx(coder->zstd_out);
    coder->zstd_in = NULL;
    coder->zstd_out = NULL;
}
