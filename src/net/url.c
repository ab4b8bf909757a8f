#include "net/url.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <assert.h>

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// RFC 3986 2.3.
static bool is_unreserved(char c)
{
    return is_alpha(c) || byte_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static Str rest_from(Str text, size_t start)
{
    return str_slice(text, start, text.size);
}

// Cuts `*text` before the first `c`: what stands behind it is returned; nothing when there is none.
static Str cut_behind(Str *text, char c)
{
    const size_t at = str_find_char(*text, c);
    const Str behind = at < text->size ? rest_from(*text, at + 1) : (Str){0};
    *text = str_slice(*text, 0, at);
    return behind;
}

static size_t find_any(Str text, Str set)
{
    size_t i = 0;
    while (i < text.size && memchr(set.data, text.data[i], set.size) == NULL)
        i++;
    return i;
}

static bool split_host_and_port(Str authority, Url *url)
{
    const bool bracketed = authority.size > 0 && authority.data[0] == '[';
    size_t end = 0;
    if (bracketed) {
        end = str_find_char(authority, ']');
        if (end == authority.size)
            return false;
        url->host = str_slice(authority, 1, end - 1);
        end++;
    } else {
        end = str_find_char(authority, ':');
        url->host = str_slice(authority, 0, end);
    }
    for (size_t i = 0; i < url->host.size; i++) {
        const char c = url->host.data[i];
        const bool allowed = is_alpha(c) || byte_is_digit(c) || c == '.' ||
                             (bracketed ? c == ':' : c == '-' || c == '_');
        if (!allowed)
            return false;
    }
    if (url->host.size == 0)
        return false;
    if (end == authority.size)
        return true;
    url->port = rest_from(authority, end + 1);
    return authority.data[end] == ':' && (url->port.size == 0 || url_port(url) > 0);
}

bool url_split(Str text, Url *ret_url)
{
    Url url = {0};
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == 0x7F || c == '\\')
            return false;
    }
    const size_t colon = str_find_char(text, ':');
    url.scheme = str_slice(text, 0, colon);
    if (!str_equal_ignoring_case(url.scheme, STR("https")) &&
        !str_equal_ignoring_case(url.scheme, STR("http")))
        return false;
    Str rest = rest_from(text, colon + 1);
    if (!str_starts_with(rest, STR("//")))
        return false;
    rest = rest_from(rest, 2);
    const size_t end = find_any(rest, STR("/?#"));
    Str authority = str_slice(rest, 0, end);
    rest = rest_from(rest, end);
    url.fragment = cut_behind(&rest, '#');
    url.query = cut_behind(&rest, '?');
    url.path = rest;

    const size_t at = str_find_char(authority, '@');
    if (at < authority.size) {
        url.user = str_slice(authority, 0, at);
        authority = rest_from(authority, at + 1);
    }
    if (!split_host_and_port(authority, &url))
        return false;
    *ret_url = url;
    return true;
}

int url_port(const Url *url)
{
    if (url->port.size == 0)
        return str_equal_ignoring_case(url->scheme, STR("https")) ? 443 : 80;
    int port = 0;
    for (size_t i = 0; i < url->port.size; i++) {
        if (!byte_is_digit(url->port.data[i]) || port > 65535)
            return -1;
        port = port * 10 + (url->port.data[i] - '0');
    }
    return port <= 65535 ? port : -1;
}

bool url_same_origin(Str a, Str b)
{
    Url left = {0};
    Url right = {0};
    return url_split(a, &left) && url_split(b, &right) &&
           str_equal_ignoring_case(left.scheme, right.scheme) &&
           str_equal_ignoring_case(left.host, right.host) && url_port(&left) == url_port(&right);
}

bool url_host_is_loopback(Str host)
{
    char text[INET6_ADDRSTRLEN];
    if (host.size == 0 || host.size >= sizeof(text))
        return false;
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    struct in6_addr six;
    if (inet_pton(AF_INET6, text, &six) == 1)
        return memcmp(&six, &in6addr_loopback, sizeof(six)) == 0;
    return str_equal_ignoring_case(host, STR("localhost"));
}

// --- joining ---

// A reference of any kind, cut as Python's urlparse cuts it.
typedef struct Parts {
    Str scheme;
    Str authority;
    Str path;
    Str params; // behind the last segment's ';'
    Str query;
    Str fragment;
} Parts;

// Scheme as RFC 3986 3.1 has it; a ':' that stands elsewhere belongs to the path.
static bool is_scheme(Str text)
{
    if (text.size == 0 || !is_alpha(text.data[0]))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!is_alpha(c) && !byte_is_digit(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

static bool parts_split(Str text, Parts *ret_parts, Error *err)
{
    Parts parts = {0};
    const size_t colon = str_find_char(text, ':');
    if (colon < text.size && is_scheme(str_slice(text, 0, colon))) {
        parts.scheme = str_slice(text, 0, colon);
        text = rest_from(text, colon + 1);
    }
    if (str_starts_with(text, STR("//"))) {
        text = rest_from(text, 2);
        const size_t end = find_any(text, STR("/?#"));
        parts.authority = str_slice(text, 0, end);
        text = rest_from(text, end);
    }
    const bool opens = str_find_char(parts.authority, '[') < parts.authority.size;
    const bool closes = str_find_char(parts.authority, ']') < parts.authority.size;
    if (opens != closes)
        return error_set(err, ERROR_DATA, "url: brackets in the host do not match");
    parts.fragment = cut_behind(&text, '#');
    parts.query = cut_behind(&text, '?');

    size_t segment = text.size;
    while (segment > 0 && text.data[segment - 1] != '/')
        segment--;
    const size_t semicolon = segment + str_find_char(rest_from(text, segment), ';');
    parts.params = rest_from(text, semicolon + 1);
    parts.path = str_slice(text, 0, semicolon);
    *ret_parts = parts;
    return true;
}

static bool append_part(Buf *out, Str mark, Str part, Error *err)
{
    if (part.size == 0)
        return true;
    TRY(buf_append(out, mark, err));
    return buf_append(out, part, err);
}

// RFC 3986 5.3, with Python's habits: the scheme in lower case, empty queries and fragments left
// out.
static bool parts_write(const Parts *parts, Buf *out, Error *err)
{
    for (size_t i = 0; i < parts->scheme.size; i++) {
        const char c = parts->scheme.data[i];
        TRY(buf_append_char(out, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c), err));
    }
    if (parts->scheme.size > 0)
        TRY(buf_append_char(out, ':', err));
    if (parts->authority.size > 0 ||
        (parts->scheme.size > 0 && !str_starts_with(parts->path, STR("//")))) {
        TRY(buf_append(out, STR("//"), err));
        TRY(buf_append(out, parts->authority, err));
        if (parts->path.size > 0 && parts->path.data[0] != '/')
            TRY(buf_append_char(out, '/', err));
    }
    TRY(buf_append(out, parts->path, err));
    TRY(append_part(out, STR(";"), parts->params, err));
    TRY(append_part(out, STR("?"), parts->query, err));
    return append_part(out, STR("#"), parts->fragment, err);
}

// The segments of base and reference one after the other, empty ones in the middle left out: they
// would become doubled slashes.
static size_t list_segments(Str base, Str path, Str *segments)
{
    size_t count = 0;
    const bool rooted = path.size > 0 && path.data[0] == '/';
    Str rest = base;
    while (!rooted && rest.data != NULL) {
        const Str segment = str_split_next(&rest, '/');
        const bool last = rest.data == NULL; // a file name, which the reference replaces
        if (last && segment.size > 0)
            break;
        segments[count++] = segment;
    }
    rest = path;
    do {
        segments[count++] = str_split_next(&rest, '/');
    } while (rest.data != NULL);
    if (rooted)
        return count;

    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || i + 1 == count || segments[i].size > 0)
            segments[kept++] = segments[i];
    return kept;
}

// RFC 3986 5.2.4.
static bool write_resolved(const Str *segments, size_t count, Arena *arena, Buf *out, Error *err)
{
    Str *kept = arena_alloc_array(arena, count + 1, sizeof(*kept), err);
    TRY(kept != NULL);
    size_t kept_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (str_equal(segments[i], STR(".."))) {
            if (kept_count > 0)
                kept_count--;
        } else if (!str_equal(segments[i], STR("."))) {
            kept[kept_count++] = segments[i];
        }
    }
    const Str last = segments[count - 1];
    if (str_equal(last, STR("..")) || str_equal(last, STR(".")))
        kept[kept_count++] = STR("");
    for (size_t i = 0; i < kept_count; i++) {
        if (i > 0)
            TRY(buf_append_char(out, '/', err));
        TRY(buf_append(out, kept[i], err));
    }
    if (out->size == 0)
        TRY(buf_append_char(out, '/', err));
    return true;
}

static size_t count_slashes(Str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '/' ? 1 : 0;
    return count;
}

static bool resolve_path(Str base, Str path, Arena *arena, Buf *out, Error *err)
{
    Str *segments = arena_alloc_array(arena, count_slashes(base) + count_slashes(path) + 2,
                                      sizeof(*segments), err);
    TRY(segments != NULL);
    const size_t count = list_segments(base, path, segments);
    return write_resolved(segments, count, arena, out, err);
}

// Python takes leading blanks and control characters off, and tabs and line ends out of the middle.
static bool strip_unsafe(Str text, Arena *arena, Str *ret_text, Error *err)
{
    while (text.size > 0 && (unsigned char)text.data[0] <= ' ')
        text = rest_from(text, 1);
    if (find_any(text, STR("\t\r\n")) == text.size) {
        *ret_text = text;
        return true;
    }
    char *kept = arena_alloc(arena, text.size, err);
    TRY(kept != NULL);
    size_t size = 0;
    const Str dropped = STR("\t\r\n");
    for (size_t i = 0; i < text.size; i++) {
        if (str_find_char(dropped, text.data[i]) == dropped.size)
            kept[size++] = text.data[i];
    }
    *ret_text = (Str){kept, size};
    return true;
}

bool url_join(Str base, Str reference, Arena *arena, Str *ret_url, Error *err)
{
    if (base.size == 0 || reference.size == 0)
        return arena_copy_str(arena, base.size == 0 ? reference : base, ret_url, err);

    Str text = {0};
    Parts from = {0};
    Parts to = {0};
    TRY(strip_unsafe(base, arena, &text, err));
    TRY(parts_split(text, &from, err));
    TRY(strip_unsafe(reference, arena, &text, err));
    TRY(parts_split(text, &to, err));
    if (to.scheme.size == 0)
        to.scheme = from.scheme;
    const bool hierarchical = to.scheme.size == 0 ||
                              str_equal_ignoring_case(to.scheme, STR("http")) ||
                              str_equal_ignoring_case(to.scheme, STR("https"));
    if (!hierarchical || !str_equal_ignoring_case(to.scheme, from.scheme))
        return arena_copy_str(arena, reference, ret_url, err);

    CLEANUP(buf_done) Buf path = {0};
    CLEANUP(buf_done) Buf out = {0};
    if (to.authority.size == 0) {
        to.authority = from.authority;
        if (to.path.size == 0 && to.params.size == 0) {
            to.path = from.path;
            to.params = from.params;
            to.query = to.query.size == 0 ? from.query : to.query;
        } else {
            TRY(resolve_path(from.path, to.path, arena, &path, err));
            to.path = buf_str(&path);
        }
    }
    TRY(parts_write(&to, &out, err));
    return arena_copy_str(arena, buf_str(&out), ret_url, err);
}

// --- percent-encoding ---

static int hex_digit(char c)
{
    if (byte_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// The byte that "%XX" at `i` stands for, or -1.
static int percent_byte(Str text, size_t i)
{
    if (text.data[i] != '%' || text.size - i < 3)
        return -1;
    const int high = hex_digit(text.data[i + 1]);
    const int low = hex_digit(text.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool append_encoded(Buf *out, char c, Error *err)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char byte = (unsigned char)c;
    const char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    return buf_append(out, (Str){text, sizeof(text)}, err);
}

bool url_quote(Str text, Str safe, Buf *out, Error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (is_unreserved(c) || (safe.size > 0 && memchr(safe.data, c, safe.size) != NULL))
            TRY(buf_append_char(out, c, err));
        else
            TRY(append_encoded(out, c, err));
    }
    return true;
}

bool url_quote_plus(Str text, Buf *out, Error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i] == ' ' ? '+' : text.data[i];
        if (is_unreserved(c) || text.data[i] == ' ')
            TRY(buf_append_char(out, c, err));
        else
            TRY(append_encoded(out, c, err));
    }
    return true;
}

bool url_unquote_plus(Str text, Buf *out, Error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        const int byte = percent_byte(text, i);
        const char c = text.data[i] == '+' ? ' ' : text.data[i];
        TRY(buf_append_char(out, byte >= 0 ? (char)byte : c, err));
        i += byte >= 0 ? 2 : 0;
    }
    return true;
}
