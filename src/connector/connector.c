#include "connector/engine.h"

#include "base/file.h"
#include "connector/component.h"
#include "net/url.h"

// ------------------------------------------------------------------------ messages of binding

bool bind_unsupported(const Binder *binder, const Node *node, Error *err)
{
    Str type = node_type(node);
    if (type.data == NULL)
        return error_set(err, ERROR_JOB, STR_FMT ":%u: a component lacks its type",
                         STR_ARG(binder->file), node->line);
    if (component_is_known(type))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: " STR_FMT,
                         STR_ARG(binder->file), node->line, STR_ARG(type));
    Str near = component_nearest(type);
    if (near.data == NULL)
        return error_set(err, ERROR_JOB, STR_FMT ":%u: unknown type '" STR_FMT "'",
                         STR_ARG(binder->file), node->line, STR_ARG(type));
    return error_set(err, ERROR_JOB,
                     STR_FMT ":%u: unknown type '" STR_FMT "'; did you mean '" STR_FMT "'?",
                     STR_ARG(binder->file), node->line, STR_ARG(type), STR_ARG(near));
}

bool bind_missing(const Binder *binder, const Node *node, const char *field, Error *err)
{
    Str type = node_type(node);
    return error_set(err, ERROR_JOB, STR_FMT ":%u: " STR_FMT " needs '%s'", STR_ARG(binder->file),
                     node->line, STR_ARG(type.data == NULL ? STR("a component") : type), field);
}

// ------------------------------------------------------------------------ opening

// Problems that a better manifest would not have; the others (a word that pawl does not speak yet,
// a config that does not fit) concern only who uses the stream.
static bool is_fault_of_file(const Error *problem)
{
    Str message = str_from(problem->message);
    return problem->code == ERROR_JOB && (str_find(message, STR("needs '")) < message.size ||
                                          str_find(message, STR("template:")) < message.size ||
                                          str_find(message, STR("unknown type")) < message.size);
}

static void add_problem(Findings *findings, const Error *problem)
{
    // "file:12: what" -> place and what.
    Str message = str_from(problem->message);
    size_t at = str_find(message, STR(": "));
    Str place = str_slice(message, 0, at), what = str_slice(message, at + 2, message.size);
    for (size_t i = 0; i < findings->count && i < FINDINGS_MAX; i++) {
        if (str_equal(findings->items[i].place, place) && str_equal(findings->items[i].what, what))
            return;
    }
    findings_add(findings, place, what, STR(""));
}

// What the specification requires at the config's top level; the rest of it is for forms.
static void check_config(const Node *root, yyjson_val *config, Str file, Findings *findings)
{
    const Node *spec = node_get(node_get(root, STR("spec")), STR("connection_specification"));
    const Node *required = node_get(spec, STR("required"));
    if (required == NULL || required->kind != NODE_LIST)
        return;
    for (size_t i = 0; i < required->count; i++) {
        Str name = node_text(required->items[i]);
        if (name.size == 0 || json_get(config, name) != NULL)
            continue;
        char what[200];
        int size = snprintf(what, sizeof what, "the config lacks '" STR_FMT "'",
                            STR_ARG(str_slice(name, 0, 150)));
        findings_add(findings, file, (Str){what, (size_t)size},
                     STR("the connector's specification requires it"));
    }
}

static bool bind_streams(Binder *binder, const Node *root, Findings *findings, Error *err)
{
    Connector *connector = binder->connector;
    const Node *list = node_get(root, STR("streams"));
    if (list == NULL || list->kind != NODE_LIST) {
        findings_addf(findings, binder->file, STR("list at least one DeclarativeStream"),
                      "a manifest needs '%s'", "streams");
        return true;
    }
    connector->streams = arena_alloc_array(binder->arena, list->count + 1, sizeof(Stream *), err);
    TRY(connector->streams != NULL);
    for (size_t i = 0; i < list->count; i++) {
        Stream **stream = &connector->streams[connector->stream_count++];
        TRY(stream_bind(binder, list->items[i], stream, err));
        if ((*stream)->problem.code == ERROR_LIMIT) {
            *err = (*stream)->problem;
            return false;
        }
        if (is_fault_of_file(&(*stream)->problem))
            add_problem(findings, &(*stream)->problem);
    }
    return auth_set_ids(connector, err);
}

static void use_caches(Connector *connector, Str name)
{
    for (size_t i = 0; i < connector->stream_count; i++) {
        if (str_equal(connector->streams[i]->name, name))
            connector->streams[i]->use_cache = true;
    }
}

// A stream that is somebody's parent caches its pages too.
static void share_caches(Connector *connector)
{
    for (size_t i = 0; i < connector->stream_count; i++) {
        const Stream *stream = connector->streams[i];
        for (size_t j = 0; j < stream->router_count; j++) {
            for (size_t k = 0; k < stream->routers[j].parent_count; k++)
                use_caches(connector, stream->routers[j].parents[k].stream->name);
        }
    }
}

// What is the same from one opening to the next. Of the config, which may hold secrets, only 32
// bits go in: enough to notice a change, too few to confirm a guess.
static bool digest_of(Str manifest, yyjson_val *config, Key128 *ret_digest, Error *err)
{
    enum { CONFIG_BYTES = 4 };
    CLEANUP(buf_done) Buf text = {.secret = true};
    TRY(config == NULL || json_write(config, &text, err));
    const Key128 of_config = content_hash(buf_str(&text));
    const Key128 of_manifest = content_hash(manifest);
    char both[KEY_BYTES + CONFIG_BYTES];
    memcpy(both, of_manifest.bytes, KEY_BYTES);
    memcpy(both + KEY_BYTES, of_config.bytes, CONFIG_BYTES);
    *ret_digest = content_hash((Str){both, sizeof(both)});
    return true;
}

bool connector_open_bytes(ManifestText manifest, yyjson_val *config, Env *env, Arena *arena,
                          Findings *findings, Connector **ret_connector, Error *err)
{
    const Node *root = NULL;
    TRY(manifest_load(manifest.bytes, manifest.name, arena, findings, &root, err));
    Connector *connector = arena_alloc(arena, sizeof *connector, err);
    TRY(connector != NULL);
    connector->arena = arena;
    connector->env = env;
    connector->root = root;
    TRY(arena_copy_str(arena, manifest.name, &connector->file, err));
    // Defaults of the specification do not hold: in the reference, too, whoever makes the config
    // has filled them in.
    connector->config = value_json(config);
    Binder binder = {.connector = connector,
                     .arena = arena,
                     .file = connector->file,
                     .env = env,
                     .config = connector->config};
    check_config(root, config, connector->file, findings);
    TRY(bind_streams(&binder, root, findings, err));
    share_caches(connector);
    TRY(digest_of(manifest.bytes, config, &connector->digest, err));
    *ret_connector = connector;
    return true;
}

bool connector_open(const char *manifest_path, yyjson_val *config, Env *env, Arena *arena,
                    Findings *findings, Connector **ret_connector, Error *err)
{
    Str bytes = {0};
    TRY(file_read(manifest_path, YAML_BYTES_MAX, arena, &bytes, err));
    return connector_open_bytes((ManifestText){str_from(manifest_path), bytes}, config, env, arena,
                                findings, ret_connector, err);
}

// ------------------------------------------------------------------------ streams

size_t connector_stream_count(const Connector *connector)
{
    return connector->stream_count;
}

const Stream *connector_stream(const Connector *connector, size_t index)
{
    return connector->streams[index];
}

bool connector_find_stream(const Connector *connector, Str name, const Stream **ret_stream,
                           Error *err)
{
    enum { NAMES_MAX = 256 };
    Str names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < connector->stream_count; i++) {
        const Stream *stream = connector->streams[i];
        if (str_equal(stream->name, name)) {
            *ret_stream = stream;
            return true;
        }
        if (count < NAMES_MAX)
            names[count++] = stream->name;
    }
    Str near = findings_nearest(name, names, count);
    if (near.data == NULL)
        return error_set(err, ERROR_JOB, STR_FMT ": no stream '" STR_FMT "'",
                         STR_ARG(connector->file), STR_ARG(name));
    return error_set(err, ERROR_JOB,
                     STR_FMT ": no stream '" STR_FMT "'; did you mean '" STR_FMT "'?",
                     STR_ARG(connector->file), STR_ARG(name), STR_ARG(near));
}
