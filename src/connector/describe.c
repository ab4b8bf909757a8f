// What a manifest says of itself, in the words of the Airbyte protocol.
#include "connector/engine.h"

#include "base/file.h"

// `"name":value` with the node's JSON; nothing where it is missing.
static bool put_member(const char *name, const Node *node, Arena *arena, Buf *out, Error *err)
{
    Value value = value_none();
    if (node_is_null(node))
        return true;
    TRY(node_value(node, arena, &value, err));
    return buf_printf(out, err, ",\"%s\":", name) && value_write_json(value, out, err);
}

bool connector_write_spec(const char *manifest_path, Arena *arena, Findings *findings, Buf *out,
                          Error *err)
{
    Str bytes = {0};
    const Node *root = NULL;
    TRY(file_read(manifest_path, YAML_BYTES_MAX, arena, &bytes, err) &&
        manifest_load(bytes, str_from(manifest_path), arena, findings, &root, err));
    TRY(findings_check(findings, err));
    const Node *spec = node_get(root, STR("spec"));
    const Node *form = node_get(spec, STR("connection_specification"));
    if (node_is_null(form))
        return error_set(err, ERROR_JOB, "%s: the manifest has no spec", manifest_path);
    Value value = value_none();
    TRY(node_value(form, arena, &value, err));
    return buf_append(out, STR("{\"connectionSpecification\":"), err) &&
           value_write_json(value, out, err) &&
           put_member("documentationUrl", node_get(spec, STR("documentation_url")), arena, out,
                      err) &&
           put_member("advanced_auth", node_get(spec, STR("advanced_auth")), arena, out, err) &&
           buf_append_char(out, '}', err);
}

// A key is a field, a list of fields, or a list of paths; the protocol knows paths only.
static bool put_primary_key(const Node *key, Buf *out, Error *err)
{
    if (key == NULL || !node_is_true(key))
        return true;
    const bool is_list = key->kind == NODE_LIST;
    const Node *const *fields = is_list ? key->items : &key;
    const size_t count = is_list ? key->count : 1;
    TRY(buf_append(out, STR(",\"source_defined_primary_key\":["), err));
    for (size_t i = 0; i < count; i++) {
        const Node *const *path = fields[i]->kind == NODE_LIST ? fields[i]->items : &fields[i];
        const size_t depth = fields[i]->kind == NODE_LIST ? fields[i]->count : 1;
        TRY(buf_append(out, i > 0 ? STR(",[") : STR("["), err));
        for (size_t k = 0; k < depth; k++)
            TRY((k == 0 || buf_append_char(out, ',', err)) &&
                json_write_str(node_text(path[k]), out, err));
        TRY(buf_append_char(out, ']', err));
    }
    return buf_append_char(out, ']', err);
}

bool stream_write_catalog(const Stream *stream, Arena *arena, Buf *out, Error *err)
{
    const CursorInfo cursor = stream_cursor(stream);
    Value schema = value_none();
    if (!node_is_null(stream->selector.schema))
        TRY(node_value(stream->selector.schema, arena, &schema, err));
    TRY(buf_append(out, STR("{\"name\":"), err) && json_write_str(stream->name, out, err) &&
        buf_append(out, STR(",\"json_schema\":"), err));
    // A schema that is no part of the manifest says nothing.
    TRY(schema.kind == VALUE_DICT ? value_write_json(schema, out, err)
                                  : buf_append(out, STR("{}"), err));
    TRY(buf_printf(out, err, ",\"supported_sync_modes\":[\"full_refresh\"%s]",
                   cursor.exists ? ",\"incremental\"" : ""));
    if (cursor.exists)
        TRY(buf_append(out, STR(",\"source_defined_cursor\":true,\"default_cursor_field\":["),
                       err) &&
            json_write_str(cursor.field, out, err) && buf_append_char(out, ']', err));
    return put_primary_key(node_get(stream->node, STR("primary_key")), out, err) &&
           buf_printf(out, err, ",\"is_resumable\":%s,\"is_file_based\":false}",
                      cursor.exists ? "true" : "false");
}

bool connector_checked_streams(const Connector *connector, Arena *arena,
                               const Stream ***ret_streams, size_t *ret_count, Error *err)
{
    const Node *names = node_get(node_get(connector->root, STR("check")), STR("stream_names"));
    const size_t count = names != NULL && names->kind == NODE_LIST ? names->count : 0;
    const Stream **streams = arena_alloc_array(arena, count + 1, sizeof(Stream *), err);
    TRY(streams != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(connector_find_stream(connector, node_text(names->items[i]), &streams[i], err));
    *ret_streams = streams;
    *ret_count = count;
    return true;
}
