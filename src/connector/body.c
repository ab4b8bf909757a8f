// How the bytes of an answer become values: JSON, a value a line, lines, CSV; any of them in gzip.
#include "connector/engine.h"

#include "net/decoder.h"

enum {
    BODIES_FIRST = 64,
    LAYERS_MAX = 4,                           // decoders within decoders
    CELLS_MAX = 16384,                        // of a row
    INFLATED_BYTES_MAX = HTTP_BODY_BYTES_MAX, // what a body may become
};

// ------------------------------------------------------------------------ binding

static bool bind_csv(const Binder *binder, const Node *node, BodyFormat *format, Error *err)
{
    const Str delimiter = node_text(node_get(node, STR("delimiter")));
    format->kind = BODY_CSV;
    format->nones = node_get(node, STR("set_values_to_none"));
    format->delimiter = ',';
    if (str_equal(delimiter, STR("\\t")))
        format->delimiter = '\t';
    else if (delimiter.size == 1)
        format->delimiter = delimiter.data[0];
    else if (delimiter.size > 0)
        return error_set(err, ERROR_JOB, STR_FMT ":%u: CsvDecoder: '" STR_FMT "' is no delimiter",
                         STR_ARG(binder->file), node->line, STR_ARG(delimiter));
    return true;
}

static bool bind_encoding(const Binder *binder, const Node *node, BodyFormat *format, Error *err)
{
    static const char *const unicode[] = {"utf-8", "utf8", "utf_8", "utf-8-sig", "ascii"};
    static const char *const latin[] = {"iso-8859-1", "iso8859-1", "latin-1", "latin1", "latin_1"};
    const Str name = node_text(node_get(node, STR("encoding")));
    bool known = name.size == 0;
    for (size_t i = 0; i < sizeof(unicode) / sizeof(unicode[0]); i++)
        known = known || str_equal_ignoring_case(name, str_from(unicode[i]));
    format->skips_mark = str_equal_ignoring_case(name, STR("utf-8-sig"));
    for (size_t i = 0; i < sizeof(latin) / sizeof(latin[0]); i++)
        format->is_latin = format->is_latin || str_equal_ignoring_case(name, str_from(latin[i]));
    return known || format->is_latin ||
           error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: encoding " STR_FMT,
                     STR_ARG(binder->file), node->line, STR_ARG(name));
}

bool body_bind(const Binder *binder, const Node *node, BodyFormat *ret_format, Error *err)
{
    BodyFormat format = {.kind = BODY_JSON};
    for (int layers = 0; bind_is(node, "GzipDecoder") && layers < LAYERS_MAX; layers++) {
        format.gzip = true;
        node = node_get(node, STR("decoder"));
    }
    *ret_format = format;
    if (node_is_null(node))
        return true;
    if (bind_is(node, "JsonlDecoder"))
        format.kind = BODY_LINES_OF_JSON;
    else if (bind_is(node, "IterableDecoder"))
        format.kind = BODY_LINES;
    else if (bind_is(node, "CsvDecoder"))
        TRY(bind_csv(binder, node, &format, err));
    else if (!bind_is(node, "JsonDecoder"))
        return bind_unsupported(binder, node, err);
    TRY(bind_encoding(binder, node, &format, err));
    *ret_format = format;
    return true;
}

// ------------------------------------------------------------------------ bytes

static bool inflate_body(Str body, Buf *out, Error *err)
{
    CLEANUP(decoder_done) Decoder decoder = {0};
    return decoder_begin(&decoder, HTTP_ENCODING_GZIP, INFLATED_BYTES_MAX, err) &&
           decoder_write(&decoder, body, out, err) && decoder_end(&decoder, err);
}

static bool latin_to_utf8(Str text, Buf *out, Error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x80)
            TRY(buf_append_char(out, (char)(0xc0 | c >> 6), err));
        TRY(buf_append_char(out, (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c), err));
    }
    return true;
}

// ------------------------------------------------------------------------ JSON

static bool add_body(Decoded *decoded, size_t *room, yyjson_val *body, Arena *arena, Error *err)
{
    if (decoded->body_count == *room) {
        size_t more = *room == 0 ? BODIES_FIRST : *room * 2;
        yyjson_val **bodies = arena_alloc_array(arena, more, sizeof(yyjson_val *), err);
        TRY(bodies != NULL);
        if (decoded->body_count > 0)
            memcpy(bodies, decoded->bodies, decoded->body_count * sizeof(yyjson_val *));
        decoded->bodies = bodies;
        *room = more;
    }
    decoded->bodies[decoded->body_count++] = body;
    return true;
}

static bool decode_json(Str body, Arena *arena, Decoded *decoded, bool *ret_ok, Str *ret_why,
                        Error *err)
{
    // An answer without a body means an empty object, as in the reference. Any other text that is
    // no JSON is not taken for "no records": that would lose rows.
    Str text = str_trim(body).size == 0 ? STR("{}") : body;
    Error why = {0};
    if (!json_parse_lenient(text, "body", arena, &decoded->doc, &why)) {
        if (why.code == ERROR_LIMIT) {
            *err = why;
            return false;
        }
        *ret_ok = false;
        return arena_printf(arena, ret_why, err, "%s", why.message);
    }
    decoded->root = yyjson_doc_get_root(decoded->doc);
    size_t room = 0;
    if (!yyjson_is_arr(decoded->root))
        return add_body(decoded, &room, decoded->root, arena, err);
    size_t index, count;
    yyjson_val *item;
    room = yyjson_arr_size(decoded->root);
    decoded->bodies = arena_alloc_array(arena, room + 1, sizeof(yyjson_val *), err);
    TRY(decoded->bodies != NULL);
    yyjson_arr_foreach(decoded->root, index, count, item)
    {
        decoded->bodies[decoded->body_count++] = item;
    }
    return true;
}

static bool decode_lines(BodyKind kind, Str body, Arena *arena, Decoded *decoded, bool *ret_ok,
                         Str *ret_why, Error *err)
{
    size_t room = 0, number = 0;
    Str rest = body;
    CLEANUP(buf_done) Buf text = {0};
    while (rest.data != NULL) {
        Str line = str_split_next(&rest, '\n');
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        number++;
        if (line.size == 0)
            continue;
        buf_clear(&text);
        if (kind == BODY_LINES) {
            TRY(buf_append(&text, STR("{\"record\":"), err));
            TRY(json_write_str(line, &text, err));
            TRY(buf_append_char(&text, '}', err));
            line = buf_str(&text);
        }
        Error why = {0};
        yyjson_doc *doc = NULL;
        if (!json_parse(line, "line", arena, &doc, &why)) {
            *ret_ok = false;
            return arena_printf(arena, ret_why, err, "line %zu: %s", number, why.message);
        }
        TRY(add_body(decoded, &room, yyjson_doc_get_root(doc), arena, err));
        decoded->doc = doc;
    }
    return true;
}

// ------------------------------------------------------------------------ CSV, as Python's csv has
// it

// A row: its cells' bytes one after the other, and where each ends.
typedef struct CsvRow {
    Buf bytes;
    size_t ends[CELLS_MAX];
    size_t count;
} CsvRow;

static Str cell_of(const CsvRow *row, size_t index)
{
    const size_t start = index == 0 ? 0 : row->ends[index - 1];
    return (Str){row->bytes.data + start, row->ends[index] - start};
}

static bool end_cell(CsvRow *row, Error *err)
{
    if (row->count == CELLS_MAX)
        return error_set(err, ERROR_LIMIT, "a row has more than %d cells", CELLS_MAX);
    row->ends[row->count++] = row->bytes.size;
    return true;
}

// Takes one char; the end of a line is '\n' whatever it was (universal newlines, within quotes
// too).
static char take_char(Str *rest)
{
    char c = rest->data[0];
    *rest = str_slice(*rest, 1, rest->size);
    if (c != '\r')
        return c;
    if (rest->size > 0 && rest->data[0] == '\n')
        *rest = str_slice(*rest, 1, rest->size);
    return '\n';
}

// The content of a quoted cell, from behind its first quote to behind its last.
static bool take_quoted(Str *rest, CsvRow *row, Error *err)
{
    while (rest->size > 0) {
        const char c = take_char(rest);
        if (c == '"' && (rest->size == 0 || rest->data[0] != '"'))
            return true;
        if (c == '"')
            *rest = str_slice(*rest, 1, rest->size);
        TRY(buf_append_char(&row->bytes, c, err));
    }
    return true;
}

// One row; no cells at all for a blank line.
static bool take_row(Str *rest, char delimiter, CsvRow *row, Error *err)
{
    buf_clear(&row->bytes);
    row->count = 0;
    bool fresh = true; // at the start of a cell, where a quote means one
    while (rest->size > 0) {
        const char c = take_char(rest);
        if (c == '\n')
            return (fresh && row->count == 0) || end_cell(row, err);
        if (c == delimiter)
            TRY(end_cell(row, err));
        else if (c == '"' && fresh)
            TRY(take_quoted(rest, row, err));
        else
            TRY(buf_append_char(&row->bytes, c, err));
        fresh = c == delimiter;
    }
    return (fresh && row->count == 0) || end_cell(row, err);
}

static bool put_cell(const BodyFormat *format, Str cell, Buf *out, Error *err)
{
    for (size_t i = 0; format->nones != NULL && i < format->nones->count; i++) {
        if (format->nones->kind == NODE_LIST && str_equal(cell, node_text(format->nones->items[i])))
            return buf_append(out, STR("null"), err);
    }
    return json_write_str(cell, out, err);
}

// A row as an object: cells that lack are null; those that are too many become a list under "null",
// as json.dumps() writes a key of None.
static bool put_row(const BodyFormat *format, const CsvRow *names, const CsvRow *row, Buf *out,
                    Error *err)
{
    TRY(buf_append_char(out, '{', err));
    for (size_t i = 0; i < names->count; i++) {
        TRY((i == 0 || buf_append_char(out, ',', err)) &&
            json_write_str(cell_of(names, i), out, err) && buf_append_char(out, ':', err));
        TRY(i < row->count ? put_cell(format, cell_of(row, i), out, err)
                           : buf_append(out, STR("null"), err));
    }
    for (size_t i = names->count; i < row->count; i++)
        TRY(buf_append(out,
                       i > names->count ? STR(",")
                       : i > 0          ? STR(",\"null\":[")
                                        : STR("\"null\":["),
                       err) &&
            json_write_str(cell_of(row, i), out, err));
    return (row->count <= names->count || buf_append_char(out, ']', err)) &&
           buf_append_char(out, '}', err);
}

static void free_row(CsvRow **row)
{
    if (*row != NULL)
        buf_done(&(*row)->bytes);
}

static bool csv_to_json(const BodyFormat *format, Str body, Arena *arena, Buf *out, Error *err)
{
    CLEANUP(free_row) CsvRow *names = arena_alloc(arena, sizeof(*names), err);
    CLEANUP(free_row) CsvRow *row = arena_alloc(arena, sizeof(*row), err);
    TRY(names != NULL && row != NULL);
    while (body.size > 0 && names->count == 0)
        TRY(take_row(&body, format->delimiter, names, err));
    TRY(buf_append_char(out, '[', err));
    for (bool first = true; body.size > 0;) {
        TRY(take_row(&body, format->delimiter, row, err));
        if (row->count == 0)
            continue;
        TRY((first || buf_append_char(out, ',', err)) && put_row(format, names, row, out, err));
        first = false;
    }
    return buf_append_char(out, ']', err);
}

// ------------------------------------------------------------------------ all

bool body_decode(const BodyFormat *format, Str body, Arena *arena, Decoded *ret_decoded,
                 bool *ret_ok, Str *ret_why, Error *err)
{
    static const char magic[] = {0x1f, (char)0x8b};
    CLEANUP(buf_done) Buf inflated = {0};
    CLEANUP(buf_done) Buf text = {0};
    CLEANUP(buf_done) Buf json = {0};
    *ret_decoded = (Decoded){0};
    *ret_ok = true;
    // Many a server also packs the same file once more for the way, which the client has undone;
    // and some send it plain: as in the reference, the bytes tell.
    if (format->gzip && str_starts_with(body, (Str){magic, sizeof(magic)})) {
        Error why = {0};
        if (!inflate_body(body, &inflated, &why)) {
            if (why.code != ERROR_IO) {
                *err = why;
                return false;
            }
            *ret_ok = false;
            return arena_printf(arena, ret_why, err, "%s", why.message);
        }
        body = buf_str(&inflated);
    }
    if (format->is_latin) {
        TRY(latin_to_utf8(body, &text, err));
        body = buf_str(&text);
    }
    if (format->skips_mark && str_starts_with(body, STR("\xef\xbb\xbf")))
        body = str_slice(body, 3, body.size);
    if (format->kind == BODY_CSV) {
        TRY(csv_to_json(format, body, arena, &json, err));
        body = buf_str(&json);
    }
    if (format->kind == BODY_JSON || format->kind == BODY_CSV)
        return decode_json(body, arena, ret_decoded, ret_ok, ret_why, err);
    return decode_lines(format->kind, body, arena, ret_decoded, ret_ok, ret_why, err);
}
