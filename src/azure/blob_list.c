#include "azure/blob_list.h"

#include "base/buf.h"
#include "net/retry.h"
#include "net/url.h"

enum { NAME_BYTES_MAX = 16 * 1024, ENTITY_BYTES_MAX = 10, MARKER_BYTES_MAX = 16 * 1024 };

static bool no_list(Error *err)
{
    return error_set(err, ERROR_DATA, "the list of blobs: not as the Blob service writes it");
}

// What stands between <tag> or <tag attributes> and </tag>, the first in `xml`; {NULL, 0} when
// there is none.
static Str element(Str xml, const char *tag, Str *ret_attributes)
{
    char open[40] = "<";
    char close[40] = "</";
    const Str name = str_from(tag);
    memcpy(open + 1, name.data, name.size);
    memcpy(close + 2, name.data, name.size);
    close[name.size + 2] = '>';
    for (;;) {
        const size_t start = str_find(xml, (Str){open, name.size + 1});
        if (start == xml.size)
            return (Str){NULL, 0};
        xml = str_slice(xml, start + name.size + 1, xml.size);
        const size_t end = str_find_char(xml, '>');
        const Str attributes = str_slice(xml, 0, end);
        // <Name> and <Name Encoded="true">, not <Names>.
        if (end == xml.size ||
            (attributes.size > 0 && attributes.data[0] != ' ' && attributes.data[0] != '/'))
            continue;
        *ret_attributes = attributes;
        xml = str_slice(xml, end + 1, xml.size);
        if (str_ends_with(attributes, STR("/")))
            return STR("");
        const size_t size = str_find(xml, (Str){close, name.size + 3});
        return size == xml.size ? (Str){NULL, 0} : str_slice(xml, 0, size);
    }
}

static bool append_code_point(uint32_t point, Buf *out, Error *err)
{
    if (point == 0 || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return no_list(err);
    char bytes[4];
    const size_t size = str_encode_utf8(point, bytes);
    return buf_append(out, (Str){bytes, size}, err);
}

// "#38" and "#x26"; anything else is no number.
static bool read_code_point(Str text, uint32_t *ret_point)
{
    const bool is_hex = str_starts_with(text, STR("#x"));
    uint32_t point = 0;
    const size_t first = is_hex ? 2 : 1;
    for (size_t i = first; i < text.size; i++) {
        const char c = text.data[i];
        uint32_t digit = 99;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (is_hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            digit = (uint32_t)((c | 0x20) - 'a') + 10;
        if (digit == 99)
            return false;
        point = point * (is_hex ? 16 : 10) + digit;
    }
    *ret_point = point;
    return text.size > first;
}

static bool append_entity(Str entity, Buf *out, Error *err)
{
    static const struct {
        const char *name;
        char stands_for;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_equal(entity, str_from(known[i].name)))
            return buf_append_char(out, known[i].stands_for, err);
    }
    uint32_t point = 0;
    if (!str_starts_with(entity, STR("#")) || !read_code_point(entity, &point))
        return no_list(err);
    return append_code_point(point, out, err);
}

static bool unescape(Str text, Buf *out, Error *err)
{
    while (text.size > 0) {
        const size_t plain = str_find_char(text, '&');
        TRY(buf_append(out, str_slice(text, 0, plain), err));
        text = str_slice(text, plain, text.size);
        if (text.size == 0)
            break;
        const size_t end = str_find_char(text, ';');
        if (end == text.size || end > ENTITY_BYTES_MAX)
            return no_list(err);
        TRY(append_entity(str_slice(text, 1, end - 1), out, err));
        text = str_slice(text, end + 1, text.size);
    }
    return true;
}

// A name with characters that XML cannot hold comes percent-encoded.
static bool read_name(Str xml, Arena *arena, Str *ret_name, Error *err)
{
    Str attributes = {NULL, 0};
    const Str text = element(xml, "Name", &attributes);
    if (text.size == 0)
        return no_list(err);
    CLEANUP(buf_done) Buf name = {.limit_bytes = NAME_BYTES_MAX};
    TRY(unescape(text, &name, err));
    if (str_find(attributes, STR("Encoded=\"true\"")) == attributes.size)
        return arena_copy_str(arena, buf_str(&name), ret_name, err);
    // A '+' is one here, which url_unquote_plus() takes for a blank.
    CLEANUP(buf_done) Buf plain = {.limit_bytes = NAME_BYTES_MAX};
    Str rest = buf_str(&name);
    while (rest.data != NULL) {
        const Str part = str_split_next(&rest, '+');
        TRY(url_unquote_plus(part, &plain, err));
        if (rest.data != NULL)
            TRY(buf_append_char(&plain, '+', err));
    }
    return arena_copy_str(arena, buf_str(&plain), ret_name, err);
}

static bool read_blob(Str xml, Arena *arena, BlobEntry *ret_entry, Error *err)
{
    Str ignored = {NULL, 0};
    BlobEntry entry = {0};
    TRY(read_name(xml, arena, &entry.name, err));
    int64_t size = 0;
    const Str length = element(xml, "Content-Length", &ignored);
    const Str modified = element(xml, "Last-Modified", &ignored);
    const Str marker = element(element(xml, "Metadata", &ignored), "hdi_isfolder", &ignored);
    const Str type = element(xml, "ResourceType", &ignored);
    entry.is_folder =
        str_equal_ignoring_case(marker, STR("true")) || str_equal(type, STR("directory"));
    // A directory may lack both.
    if (!entry.is_folder && (!str_to_int64(length, &size) || size < 0 ||
                             !http_date_parse(modified, 0, &entry.modified_us)))
        return no_list(err);
    entry.size = (uint64_t)size;
    *ret_entry = entry;
    return true;
}

// The next <Blob> or <BlobPrefix> in `*rest`, whichever comes first; false when there is none.
static bool next_item(Str *rest, Str *ret_item, bool *ret_is_prefix)
{
    static const Str blob = {"<Blob>", 6};
    static const Str prefix = {"<BlobPrefix>", 12};
    const size_t blob_at = str_find(*rest, blob);
    const size_t prefix_at = str_find(*rest, prefix);
    const bool is_prefix = prefix_at < blob_at;
    const size_t start = is_prefix ? prefix_at + prefix.size : blob_at + blob.size;
    if (start >= rest->size)
        return false;
    const Str close = is_prefix ? STR("</BlobPrefix>") : STR("</Blob>");
    const Str from = str_slice(*rest, start, rest->size);
    const size_t size = str_find(from, close);
    if (size == from.size)
        return false;
    *ret_item = str_slice(from, 0, size);
    *ret_is_prefix = is_prefix;
    *rest = str_slice(from, size + close.size, from.size);
    return true;
}

bool blob_list_read(Str xml, Arena *arena, BlobVisit *visit, void *visitor, Str *ret_marker,
                    Error *err)
{
    Str ignored = {NULL, 0};
    const Str whole = element(xml, "EnumerationResults", &ignored);
    if (whole.data == NULL)
        return no_list(err);
    Str rest = element(whole, "Blobs", &ignored);
    Str item = {NULL, 0};
    bool is_prefix = false;
    while (next_item(&rest, &item, &is_prefix)) {
        BlobEntry entry = {.is_prefix = true};
        TRY(is_prefix ? read_name(item, arena, &entry.name, err)
                      : read_blob(item, arena, &entry, err));
        TRY(visit(visitor, &entry, err));
    }
    CLEANUP(buf_done) Buf marker = {.limit_bytes = MARKER_BYTES_MAX};
    TRY(unescape(element(whole, "NextMarker", &ignored), &marker, err));
    return arena_copy_str(arena, buf_str(&marker), ret_marker, err);
}
