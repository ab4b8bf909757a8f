// The answer to List Blobs: names as they are, markers and folders told apart, and no other text
// taken for one.
#include "azure/blob_list.h"

#include "base/buf.h"
#include "harness/check.h"

enum { ARENA_BYTES = 4 * 1024 * 1024 };

#define HEAD                                                         \
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults " \
    "ServiceEndpoint=\"x\"><Prefix>p</Prefix><Blobs>"
#define PROPERTIES                                                             \
    "<Properties><Creation-Time>Thu, 12 Mar 2026 18:00:00 GMT</Creation-Time>" \
    "<Last-Modified>Thu, 12 Mar 2026 18:00:01 GMT</Last-Modified>"             \
    "<Content-Length>12</Content-Length></Properties>"
#define BLOB(name) "<Blob><Name>" name "</Name>" PROPERTIES "<Metadata /></Blob>"
#define TAIL       "</Blobs><NextMarker /></EnumerationResults>"

static bool show(void *visitor, const BlobEntry *entry, Error *err)
{
    Buf *out = visitor;
    if (entry->is_prefix)
        return buf_printf(out, err, STR_FMT " ", STR_ARG(entry->name));
    if (entry->is_folder)
        return buf_printf(out, err, "[" STR_FMT "] ", STR_ARG(entry->name));
    CHECK_INT(entry->modified_us, INT64_C(1773338401) * 1000000); // the Last-Modified above
    return buf_printf(out, err, STR_FMT ":%llu ", STR_ARG(entry->name),
                      (unsigned long long)entry->size);
}

TEST(lists_are_read)
{
    const struct {
        const char *name;
        Str xml;
        const char *expected; // NULL = refused
        const char *marker;
    } rows[] = {
        {"nothing", STR(HEAD TAIL), "", ""},
        {"empty element", STR("<EnumerationResults><Blobs /><NextMarker/></EnumerationResults>"),
         "", ""},
        {"blobs", STR(HEAD BLOB("a/b") BLOB("c") TAIL), "a/b:12 c:12 ", ""},
        {"prefixes between blobs",
         STR(HEAD BLOB("a") "<BlobPrefix><Name>b/</Name></BlobPrefix>" BLOB("c") TAIL),
         "a:12 b/ c:12 ", ""},
        {"entities", STR(HEAD BLOB("a&amp;b&lt;&gt;&quot;&apos;&#233;&#xe9;&#x1F600;") TAIL),
         "a&b<>\"'\xC3\xA9\xC3\xA9\xF0\x9F\x98\x80:12 ", ""},
        {"entities are read once", STR(HEAD BLOB("&amp;amp;") TAIL), "&amp;:12 ", ""},
        {"percent-encoded",
         STR(HEAD "<Blob><Name Encoded=\"true\">a%01b+c</Name>" PROPERTIES "</Blob>" TAIL),
         "a\x01"
         "b+c:12 ",
         ""},
        {"percent that is one", STR(HEAD BLOB("a%20b") TAIL), "a%20b:12 ", ""},
        {"folder marker",
         STR(HEAD "<Blob><Name>d</Name>" PROPERTIES
                  "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>" TAIL),
         "[d] ", ""},
        {"directory",
         STR(HEAD "<Blob><Name>d</Name><Properties><ResourceType>directory</ResourceType></"
                  "Properties></Blob>" TAIL),
         "[d] ", ""},
        {"no folder",
         STR(HEAD "<Blob><Name>d</Name>" PROPERTIES
                  "<Metadata><hdi_isfolder>false</hdi_isfolder></Metadata></Blob>" TAIL),
         "d:12 ", ""},
        {"marker",
         STR(HEAD BLOB("a") "</Blobs><NextMarker>2!76!a&amp;b</NextMarker></EnumerationResults>"),
         "a:12 ", "2!76!a&b"},
        {"a byte order mark", STR("\xEF\xBB\xBF" HEAD BLOB("a") TAIL), "a:12 ", ""},
        {"not XML", STR("{}"), NULL, NULL},
        {"an error", STR("<Error><Code>x</Code></Error>"), NULL, NULL},
        {"cut", STR(HEAD BLOB("a")), NULL, NULL},
        {"no name", STR(HEAD "<Blob>" PROPERTIES "</Blob>" TAIL), NULL, NULL},
        {"no length", STR(HEAD "<Blob><Name>a</Name></Blob>" TAIL), NULL, NULL},
        {"unknown entity", STR(HEAD BLOB("&nbsp;") TAIL), NULL, NULL},
        {"entity without end", STR(HEAD BLOB("a&amp") TAIL), NULL, NULL},
        {"no code point", STR(HEAD BLOB("&#xD800;") TAIL), NULL, NULL},
        {"zero", STR(HEAD BLOB("&#0;") TAIL), NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        Str marker = {NULL, 0};
        const bool ok = blob_list_read(rows[i].xml, arena, show, &out, &marker, &err);
        CHECK(ok == (rows[i].expected != NULL));
        CHECK(ok || err.code == ERROR_DATA);
        if (!ok)
            continue;
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
        CHECK_STR(marker, str_from(rows[i].marker));
    }
}
