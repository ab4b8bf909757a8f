#include "run/forget_page.h"

#include <stdlib.h>

enum { WRITE_DEPTH_MAX = 64, FIRST_TOKENS = 8 };

// One page being written again.
typedef struct Writer {
    const ForgetPage *page;
    yyjson_val **gone; // records by where they lie in the page
    size_t gone_count;
    size_t found;    // of them
    bool by_mention; // a manifest's transformations made copies: what lies in the page is known by
                     // what it holds only
    size_t stubs;
    Buf *out;
} Writer;

static bool note_token(LeftOut *left, const Key128 *token, Error *err)
{
    if (left->count == left->room) {
        const size_t room = left->room == 0 ? FIRST_TOKENS : 2 * left->room;
        Key128 *tokens = arena_alloc_array(left->arena, room, sizeof(Key128), err);
        TRY(tokens != NULL);
        if (left->count > 0)
            memcpy(tokens, left->tokens, left->count * sizeof(Key128));
        left->tokens = tokens;
        left->room = room;
    }
    left->tokens[left->count++] = *token;
    return true;
}

int64_t left_out_distinct(const LeftOut *left)
{
    if (left->count == 0)
        return 0;
    qsort(left->tokens, left->count, sizeof(Key128), key128_compare);
    int64_t distinct = 1;
    for (size_t i = 1; i < left->count; i++)
        distinct += key128_compare(&left->tokens[i - 1], &left->tokens[i]) != 0 ? 1 : 0;
    return distinct;
}

// --- writing

static bool is_in(const Writer *writer, yyjson_val *value)
{
    for (size_t i = 0; i < writer->gone_count; i++) {
        if (writer->gone[i] == value)
            return true;
    }
    return false;
}

// `candidate`: an element of a list that lies in no other list; a manifest's filter may have passed
// over it, so that it is among no records.
static bool must_go(Writer *writer, yyjson_val *value, bool candidate, bool *ret_go, Error *err)
{
    const ForgetPage *page = writer->page;
    Key128 token;
    *ret_go = is_in(writer, value);
    writer->found += *ret_go ? 1 : 0;
    if (*ret_go || !candidate || !yyjson_is_obj(value) || forgotten_is_stub(value, &token))
        return true;
    *ret_go = forgotten_matches(page->forgotten, page->contract, value) ||
              (writer->by_mention && forgotten_mentions(page->forgotten, page->contract, value));
    return *ret_go || page->also == NULL ||
           page->also(page->state, value, page->partition, ret_go, err);
}

static bool write_value(Writer *writer, yyjson_val *value, int lists, int depth, Error *err);

// NOLINTNEXTLINE(misc-no-recursion): WRITE_DEPTH_MAX bounds the depth
static bool write_list(Writer *writer, yyjson_val *list, int lists, int depth, Error *err)
{
    TRY(buf_append_char(writer->out, '[', err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        TRY((i == 0 || buf_append_char(writer->out, ',', err)) &&
            write_value(writer, item, lists + 1, depth + 1, err));
    }
    return buf_append_char(writer->out, ']', err);
}

// NOLINTNEXTLINE(misc-no-recursion): WRITE_DEPTH_MAX bounds the depth
static bool write_object(Writer *writer, yyjson_val *object, int lists, int depth, Error *err)
{
    TRY(buf_append_char(writer->out, '{', err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    yyjson_obj_foreach(object, i, count, name, item)
    {
        TRY((i == 0 || buf_append_char(writer->out, ',', err)) &&
            // As it came, bytes that are no UTF-8 included: others' records hash as before.
            json_write(name, writer->out, err) && buf_append_char(writer->out, ':', err) &&
            // A list inside an element is no list of records.
            write_value(writer, item, lists > 0 ? 2 : 0, depth + 1, err));
    }
    return buf_append_char(writer->out, '}', err);
}

// NOLINTNEXTLINE(misc-no-recursion): WRITE_DEPTH_MAX bounds the depth
static bool write_value(Writer *writer, yyjson_val *value, int lists, int depth, Error *err)
{
    bool go = false;
    TRY(must_go(writer, value, lists == 1, &go, err));
    if (go) {
        writer->stubs++;
        return forgotten_write_stub(writer->page->forgotten, writer->page->contract, value,
                                    writer->page->partition, writer->out, err);
    }
    if (depth < WRITE_DEPTH_MAX && yyjson_is_arr(value))
        return write_list(writer, value, lists, depth, err);
    if (depth < WRITE_DEPTH_MAX && yyjson_is_obj(value))
        return write_object(writer, value, lists, depth, err);
    return json_write(value, writer->out, err);
}

static bool write_page(Writer *writer, yyjson_doc *doc, Arena *arena, Str *ret_body, Error *err)
{
    yyjson_val *root = yyjson_doc_get_root(doc);
    TRY(write_value(writer, root, 0, 0, err));
    if (writer->found < writer->gone_count) {
        buf_clear(writer->out);
        writer->by_mention = true;
        writer->stubs = 0;
        TRY(write_value(writer, root, 0, 0, err));
    }
    return writer->stubs == 0 || arena_copy_str(arena, buf_str(writer->out), ret_body, err);
}

// --- sorting out

// Whether the page's record is left out of what is shaped; *ret_stub: it was before it was landed.
static bool leave_out(const ForgetPage *page, yyjson_val *record, Key128 *ret_token, bool *ret_stub,
                      bool *ret_out, Error *err)
{
    *ret_stub = forgotten_is_stub(record, ret_token);
    *ret_out = *ret_stub || forgotten_matches(page->forgotten, page->contract, record);
    if (!*ret_out && page->also != NULL)
        TRY(page->also(page->state, record, page->partition, ret_out, err));
    if (*ret_stub || !*ret_out)
        return true;
    return forgotten_token(page->forgotten, page->contract, record, page->partition, ret_token,
                           err);
}

// Elements of lists that lie in no other list: as many as records, unless a filter passed over
// some.
static size_t count_candidates(yyjson_val *value)
{
    size_t found = yyjson_arr_size(value);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    yyjson_obj_foreach(value, i, count, name, item) found +=
        yyjson_is_obj(item) ? 1 : yyjson_arr_size(item);
    return found;
}

bool forget_page(const ForgetPage *page, const PageOutcome *outcome, Arena *arena, LeftOut *left,
                 PageOutcome *ret_kept, Str *ret_body, Error *err)
{
    *ret_kept = *outcome;
    *ret_body = (Str){0};
    const size_t count = outcome->record_count;
    yyjson_val **gone = arena_alloc_array(arena, count + 1, sizeof(*gone), err);
    yyjson_val **kept = arena_alloc_array(arena, count + 1, sizeof(*kept), err);
    TRY(gone != NULL && kept != NULL);
    size_t gone_count = 0;
    size_t kept_count = 0;
    for (size_t i = 0; i < count; i++) {
        Key128 token;
        bool stub = false;
        bool out = false;
        TRY(leave_out(page, outcome->records[i], &token, &stub, &out, err));
        if (out)
            TRY(note_token(left, &token, err));
        if (!out)
            kept[kept_count++] = outcome->records[i];
        else if (!stub)
            gone[gone_count++] = outcome->records[i];
    }
    ret_kept->records = kept;
    ret_kept->record_count = kept_count;
    if (gone_count == 0 && (outcome->doc == NULL || !contract_knows_persons(page->contract)))
        return true;
    if (outcome->doc == NULL)
        return error_set(err, ERROR_DATA, "a page whose records cannot be found in it again");
    if (!stream_is_plain_json(page->stream))
        return error_set(err, ERROR_DATA, "a page that is not JSON in UTF-8");
    // Records that a manifest's filter passed over are in the page all the same.
    if (gone_count == 0 && count >= count_candidates(yyjson_doc_get_root(outcome->doc)))
        return true;
    CLEANUP(buf_done) Buf out = {0};
    Writer writer = {.page = page, .gone = gone, .gone_count = gone_count, .out = &out};
    TRY(write_page(&writer, outcome->doc, arena, ret_body, err));
    left->stubs += writer.stubs;
    return true;
}
