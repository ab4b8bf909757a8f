#include "record.h"

#include "change.h"
#include "record_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <yyjson.h>

char *record_write(const World *world, const Call *call, unsigned omit, char *at)
{
    Sketch sketch;
    sketch_call(world, call, &sketch);
    at = put_ids(&sketch, at);
    at = put_who(&sketch, at);
    at = put_time(&sketch, at);
    at = put_seconds(&sketch, at);
    at = put_state(&sketch, at);
    at = put_marketing(&sketch, at);
    return put_content(&sketch, omit, at);
}

// Writes the record with its changes: parsed again, members set to raw text. Slow, but a test
// changes few calls.
static bool append_changed(Str record, const Change *change, Str omit_others, Buf *out, Error *err)
{
    yyjson_doc *doc = yyjson_read(record.data, record.size, 0);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    yyjson_doc_free(doc);
    if (copy == NULL)
        return error_set(err, ERROR_LIMIT, "record: out of memory");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(copy);

    size_t at = 0;
    ChangeMember member;
    while (change != NULL && change_next_member(change, &at, &member)) {
        yyjson_mut_val *name = yyjson_mut_strn(copy, member.name.data, member.name.size);
        if (!member.added && member.value.size == 0)
            (void)yyjson_mut_obj_remove(root, name);
        else if (member.added)
            (void)yyjson_mut_obj_add(root, name,
                                     yyjson_mut_rawn(copy, member.value.data, member.value.size));
        else
            (void)yyjson_mut_obj_put(root, name,
                                     yyjson_mut_rawn(copy, member.value.data, member.value.size));
    }
    while (omit_others.size > 0) {
        const Str name = str_split_next(&omit_others, ',');
        (void)yyjson_mut_obj_remove_keyn(root, name.data, name.size);
    }

    size_t size = 0;
    char *text = yyjson_mut_write(copy, YYJSON_WRITE_ALLOW_INVALID_UNICODE,
                                  &size); // owned by yyjson: free()
    yyjson_mut_doc_free(copy);
    if (text == NULL)
        return error_set(err, ERROR_LIMIT, "record: cannot be written");
    const bool ok = buf_append(out, (Str){text, size}, err);
    free(text);
    return ok;
}

bool record_append(const World *world, const Call *call, unsigned omit, Str omit_others, Buf *out,
                   Error *err)
{
    TRY(buf_reserve(out, RECORD_BYTES_MAX, err));
    char *start = out->data + out->size;
    const size_t size = (size_t)(record_write(world, call, omit, start) - start);
    assert(size < RECORD_BYTES_MAX - PEN_BLOCK_BYTES);
    const bool changed = call->change != NULL && call->change->members.size > 0;
    if (changed || omit_others.size > 0) {
        CLEANUP(buf_done) Buf record = {0};
        TRY(buf_append(&record, (Str){start, size}, err));
        return append_changed(buf_str(&record), call->change, omit_others, out, err);
    }
    out->size += size;
    return true;
}
