// Two steps: libyaml's events become nodes (aliases share a node, merge keys and equal keys are
// settled as soon as a mapping ends), then the nodes are laid out as one array of yyjson values in
// reading order, with an array of places beside it.

#include "connector/yaml.h"

#include "connector/yaml_scalar.h"

#include <assert.h>
#include <yaml.h>

enum {
    ANCHORS_MAX = 10000,
    MEMBERS_TABLE_MIN = 16, // larger mappings find equal keys by hashing
};

typedef enum NodeKind {
    NODE_SCALAR,
    NODE_SEQUENCE,
    NODE_MAPPING,
} NodeKind;

typedef struct Node Node;
struct Node {
    NodeKind kind;
    bool plain;    // scalar without quotes, or with the tag that means the same
    Str tag;       // as written and resolved by libyaml; empty = none
    Str text;      // scalar
    Node **items;  // sequence: its items; mapping: key, value, key, value ...
    size_t count;  // of items
    size_t values; // yyjson values that this node becomes, itself included
    uint32_t line, column;
};

typedef struct Anchor {
    Str name;
    Node *node; // NULL while it is being read
} Anchor;

typedef struct Place {
    uint32_t line, column;
} Place;

struct YamlDoc {
    yyjson_val *values;
    Place *places;
    size_t count;
};

typedef struct Loader {
    yaml_parser_t parser;
    Str name;
    Arena *arena;
    Anchor *anchors;
    size_t anchor_count, anchor_room;
    size_t merged_count; // pairs copied by merge keys: bounded like values
} Loader;

// A list of nodes that grows; what it outgrows stays in the arena.
typedef struct NodeList {
    Node **items;
    size_t count, room;
} NodeList;

static bool fail(const Loader *loader, uint32_t line, Error *err, const char *what)
{
    return error_set(err, ERROR_JOB, STR_FMT ":%u: %s", STR_ARG(loader->name), line, what);
}

static bool fail_limit(const Loader *loader, uint32_t line, Error *err, const char *what,
                       size_t limit)
{
    return error_set(err, ERROR_LIMIT, STR_FMT ":%u: %s than %zu", STR_ARG(loader->name), line,
                     what, limit);
}

static bool list_add(NodeList *list, Node *node, Arena *arena, Error *err)
{
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? 8 : list->room * 2;
        Node **items = arena_alloc_array(arena, room, sizeof(Node *), err);
        TRY(items != NULL);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(Node *));
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = node;
    return true;
}

// libyaml's own message, with its line.
static bool fail_parser(const Loader *loader, Error *err)
{
    const yaml_parser_t *parser = &loader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return error_set(err, ERROR_LIMIT, STR_FMT ": out of memory", STR_ARG(loader->name));
    const char *problem = parser->problem == NULL ? "is not YAML" : parser->problem;
    if (parser->error == YAML_READER_ERROR)
        return error_set(err, ERROR_JOB, STR_FMT ": byte %zu: %s", STR_ARG(loader->name),
                         parser->problem_offset, problem);
    return fail(loader, (uint32_t)parser->problem_mark.line + 1, err, problem);
}

static bool next_event(Loader *loader, yaml_event_t *ret_event, Error *err)
{
    if (yaml_parser_parse(&loader->parser, ret_event) == 0)
        return fail_parser(loader, err);
    return true;
}

static Node *node_new(Loader *loader, NodeKind kind, const yaml_event_t *event, Error *err)
{
    Node *node = arena_alloc(loader->arena, sizeof(*node), err);
    if (node == NULL)
        return NULL;
    *node = (Node){.kind = kind,
                   .values = 1,
                   .line = (uint32_t)event->start_mark.line + 1,
                   .column = (uint32_t)event->start_mark.column + 1};
    return node;
}

// --- anchors

static bool add_anchor(Loader *loader, const yaml_char_t *name, size_t *ret_index, Error *err)
{
    if (loader->anchor_count == ANCHORS_MAX)
        return fail_limit(loader, (uint32_t)loader->parser.mark.line + 1, err, "more anchors",
                          ANCHORS_MAX);
    if (loader->anchor_count == loader->anchor_room) {
        const size_t room = loader->anchor_room == 0 ? 16 : loader->anchor_room * 2;
        Anchor *anchors = arena_alloc_array(loader->arena, room, sizeof(Anchor), err);
        TRY(anchors != NULL);
        if (loader->anchor_count > 0)
            memcpy(anchors, loader->anchors, loader->anchor_count * sizeof(Anchor));
        loader->anchors = anchors;
        loader->anchor_room = room;
    }
    Anchor *anchor = &loader->anchors[loader->anchor_count];
    TRY(arena_copy_str(loader->arena, str_from((const char *)name), &anchor->name, err));
    *ret_index = loader->anchor_count++;
    return true;
}

static bool find_anchor(Loader *loader, const yaml_event_t *event, Node **ret_node, Error *err)
{
    const Str name = str_from((const char *)event->data.alias.anchor);
    const uint32_t line = (uint32_t)event->start_mark.line + 1;
    // From the end: of two anchors with one name the later one counts (YAML 1.1, 7.1).
    for (size_t i = loader->anchor_count; i > 0; i--) {
        const Anchor *anchor = &loader->anchors[i - 1];
        if (!str_equal(anchor->name, name))
            continue;
        if (anchor->node == NULL)
            return fail(loader, line, err, "an alias stands inside what it stands for");
        *ret_node = anchor->node;
        return true;
    }
    return error_set(err, ERROR_JOB, STR_FMT ":%u: no anchor has the name '" STR_FMT "'",
                     STR_ARG(loader->name), line, STR_ARG(name));
}

// --- mappings: merge keys, equal keys

static bool is_merge_key(const Node *key)
{
    return key->kind == NODE_SCALAR && key->plain && key->tag.size == 0 &&
           str_equal(key->text, STR("<<"));
}

static bool merge_mapping(Loader *loader, const Node *from, NodeList *merged, Error *err)
{
    loader->merged_count += from->count;
    if (loader->merged_count > YAML_VALUES_MAX)
        return fail_limit(loader, from->line, err, "merge keys copy more values", YAML_VALUES_MAX);
    for (size_t i = 0; i < from->count; i++)
        TRY(list_add(merged, from->items[i], loader->arena, err));
    return true;
}

static bool merge_value(Loader *loader, const Node *value, NodeList *merged, Error *err)
{
    if (value->kind == NODE_MAPPING)
        return merge_mapping(loader, value, merged, err);
    if (value->kind != NODE_SEQUENCE)
        return fail(loader, value->line, err, "'<<' wants a mapping or a list of mappings");
    // Of two mappings in the list the earlier one wins, so it comes last here.
    for (size_t i = value->count; i > 0; i--) {
        const Node *item = value->items[i - 1];
        if (item->kind != NODE_MAPPING)
            return fail(loader, item->line, err, "'<<' wants a list of mappings only");
        TRY(merge_mapping(loader, item, merged, err));
    }
    return true;
}

static size_t key_hash(Str key)
{
    uint64_t hash = 14695981039346656037u; // FNV-1a
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * 1099511628211u;
    return (size_t)(hash ^ (hash >> 32));
}

// The slot of `key`: where it is (value index + 1) or where it should go (0). The table has room.
static size_t *find_slot(size_t *table, size_t room, const NodeList *pairs, Str key)
{
    size_t at = key_hash(key) & (room - 1);
    while (table[at] != 0 && !str_equal(pairs->items[table[at] - 1]->text, key))
        at = (at + 1) & (room - 1);
    return &table[at];
}

static size_t *find_linear(const NodeList *pairs, Str key, size_t *slot)
{
    *slot = 0;
    for (size_t i = 0; i < pairs->count && *slot == 0; i += 2) {
        if (str_equal(pairs->items[i]->text, key))
            *slot = i + 1;
    }
    return slot;
}

// Appends `from` to `pairs` so that each key is there once: a dict, filled in order.
static bool unite_pairs(Loader *loader, const NodeList *from, NodeList *pairs, Error *err)
{
    size_t room = 0;
    size_t *table = NULL;
    if (from->count > MEMBERS_TABLE_MIN) {
        for (room = 64; room < from->count; room *= 2) {
        }
        table = arena_alloc_array(loader->arena, room, sizeof(size_t), err);
        TRY(table != NULL);
    }
    for (size_t i = 0; i < from->count; i += 2) {
        const Str key = from->items[i]->text;
        size_t linear = 0;
        size_t *slot =
            table == NULL ? find_linear(pairs, key, &linear) : find_slot(table, room, pairs, key);
        if (*slot != 0) {
            pairs->items[*slot] = from->items[i + 1];
            continue;
        }
        *slot = pairs->count + 1;
        TRY(list_add(pairs, from->items[i], loader->arena, err) &&
            list_add(pairs, from->items[i + 1], loader->arena, err));
    }
    return true;
}

// --- scalars

static bool resolve_scalar(const Loader *loader, const Node *node, ScalarKind *ret_kind, Error *err)
{
    static const struct {
        const char *tag;
        ScalarKind kind;
    } tags[] = {
        {YAML_STR_TAG, SCALAR_STR}, {YAML_NULL_TAG, SCALAR_NULL},   {YAML_BOOL_TAG, SCALAR_BOOL},
        {YAML_INT_TAG, SCALAR_INT}, {YAML_FLOAT_TAG, SCALAR_FLOAT}, {"!", SCALAR_STR},
    };
    const ScalarKind plain = yaml_resolve(node->text);
    if (node->tag.size == 0) {
        *ret_kind = node->plain ? plain : SCALAR_STR;
        return true;
    }
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        if (!str_equal(node->tag, str_from(tags[i].tag)))
            continue;
        // A whole number may be asked for as a float, and anything as text or null.
        const ScalarKind kind = tags[i].kind;
        if (kind != SCALAR_STR && kind != SCALAR_NULL && kind != plain &&
            !(kind == SCALAR_FLOAT && plain == SCALAR_INT))
            break;
        *ret_kind = kind;
        return true;
    }
    return error_set(err, ERROR_JOB, STR_FMT ":%u: the tag '" STR_FMT "' is not supported here",
                     STR_ARG(loader->name), node->line, STR_ARG(node->tag));
}

// A key must be text in JSON: what is not is written as json.dumps() would. The node may be shared
// with an alias that is a value, so a key that changes is a copy.
static bool name_key(Loader *loader, Node **key, Error *err)
{
    if ((*key)->kind != NODE_SCALAR)
        return fail(loader, (*key)->line, err, "a key must be a single value");
    ScalarKind kind = SCALAR_STR;
    TRY(resolve_scalar(loader, *key, &kind, err));
    if (kind == SCALAR_STR)
        return true;
    Node *named = arena_alloc(loader->arena, sizeof(*named), err);
    TRY(named != NULL);
    *named = **key;
    named->tag = STR(YAML_STR_TAG);
    yyjson_val value = {0};
    yaml_set_scalar(&value, kind, named->text);
    if (kind == SCALAR_NULL)
        named->text = STR("null");
    else if (kind == SCALAR_BOOL)
        named->text = yyjson_get_bool(&value) ? STR("true") : STR("false");
    else if (yyjson_is_uint(&value))
        TRY(arena_printf(loader->arena, &named->text, err, "%llu",
                         (unsigned long long)yyjson_get_uint(&value)));
    else if (yyjson_is_sint(&value))
        TRY(arena_printf(loader->arena, &named->text, err, "%lld",
                         (long long)yyjson_get_sint(&value)));
    *key = named;
    return true;
}

// --- events to nodes

static bool read_node(Loader *loader, const yaml_event_t *event, size_t depth, Node **ret_node,
                      Error *err);

// Reads nodes until the event `end`.
static bool read_items(Loader *loader, yaml_event_type_t end, size_t depth, NodeList *items,
                       Error *err)
{
    for (;;) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        TRY(next_event(loader, &event, err));
        if (event.type == end)
            return true;
        Node *node = NULL;
        TRY(read_node(loader, &event, depth, &node, err) &&
            list_add(items, node, loader->arena, err));
    }
}

// Of a mapping's raw pairs, `merged` gets what merge keys bring, then what stands there itself.
static bool settle_pairs(Loader *loader, const NodeList *raw, NodeList *pairs, Error *err)
{
    NodeList merged = {0};
    for (size_t i = 0; i < raw->count; i += 2) {
        if (is_merge_key(raw->items[i]))
            TRY(merge_value(loader, raw->items[i + 1], &merged, err));
    }
    for (size_t i = 0; i < raw->count; i += 2) {
        if (is_merge_key(raw->items[i]))
            continue;
        TRY(name_key(loader, &raw->items[i], err) &&
            list_add(&merged, raw->items[i], loader->arena, err) &&
            list_add(&merged, raw->items[i + 1], loader->arena, err));
    }
    return unite_pairs(loader, &merged, pairs, err);
}

static bool read_container(Loader *loader, size_t depth, Node *node, Error *err)
{
    if (depth == YAML_DEPTH_MAX)
        return fail_limit(loader, node->line, err, "nested deeper", YAML_DEPTH_MAX);
    NodeList items = {0};
    if (node->kind == NODE_SEQUENCE) {
        TRY(read_items(loader, YAML_SEQUENCE_END_EVENT, depth + 1, &items, err));
    } else {
        NodeList raw = {0};
        TRY(read_items(loader, YAML_MAPPING_END_EVENT, depth + 1, &raw, err));
        assert(raw.count % 2 == 0);
        TRY(settle_pairs(loader, &raw, &items, err));
    }
    node->items = items.items;
    node->count = items.count;
    for (size_t i = 0; i < items.count; i++) {
        node->values += items.items[i]->values;
        if (node->values > YAML_VALUES_MAX)
            return fail_limit(loader, node->line, err, "aliases expand to more values",
                              YAML_VALUES_MAX);
    }
    return true;
}

static bool copy_tag(Loader *loader, const yaml_char_t *tag, Node *node, Error *err)
{
    return tag == NULL ||
           arena_copy_str(loader->arena, str_from((const char *)tag), &node->tag, err);
}

static bool fill_node(Loader *loader, const yaml_event_t *event, size_t depth, Node *node,
                      Error *err)
{
    if (node->kind == NODE_SCALAR) {
        node->plain = event->data.scalar.plain_implicit != 0;
        const Str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
        return arena_copy_str(loader->arena, text, &node->text, err) &&
               copy_tag(loader, event->data.scalar.tag, node, err);
    }
    const bool sequence = node->kind == NODE_SEQUENCE;
    TRY(copy_tag(loader, sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag,
                 node, err));
    const Str expected = sequence ? STR(YAML_SEQ_TAG) : STR(YAML_MAP_TAG);
    if (node->tag.size > 0 && !str_equal(node->tag, STR("!")) && !str_equal(node->tag, expected))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: the tag '" STR_FMT "' is not supported",
                         STR_ARG(loader->name), node->line, STR_ARG(node->tag));
    return read_container(loader, depth, node, err);
}

static bool read_node(Loader *loader, const yaml_event_t *event, size_t depth, Node **ret_node,
                      Error *err)
{
    if (event->type == YAML_ALIAS_EVENT)
        return find_anchor(loader, event, ret_node, err);
    NodeKind kind = NODE_SCALAR;
    const yaml_char_t *anchor = event->data.scalar.anchor;
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        kind = NODE_SEQUENCE;
        anchor = event->data.sequence_start.anchor;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        kind = NODE_MAPPING;
        anchor = event->data.mapping_start.anchor;
    }
    Node *node = node_new(loader, kind, event, err);
    TRY(node != NULL);
    size_t index = 0;
    if (anchor != NULL)
        TRY(add_anchor(loader, anchor, &index, err));
    TRY(fill_node(loader, event, depth, node, err));
    if (anchor != NULL)
        loader->anchors[index].node = node;
    *ret_node = node;
    return true;
}

// --- nodes to values

static bool lay_out(const Loader *loader, YamlDoc *doc, const Node *node, Error *err)
{
    const size_t at = doc->count++;
    yyjson_val *value = &doc->values[at];
    doc->places[at] = (Place){node->line, node->column};
    if (node->kind == NODE_SCALAR) {
        ScalarKind kind = SCALAR_STR;
        TRY(resolve_scalar(loader, node, &kind, err));
        yaml_set_scalar(value, kind, node->text);
        return true;
    }
    for (size_t i = 0; i < node->count; i++)
        TRY(lay_out(loader, doc, node->items[i], err));
    // yyjson's layout: a container is followed by all it holds and knows the bytes to its end.
    if (node->kind == NODE_SEQUENCE)
        unsafe_yyjson_set_tag(value, YYJSON_TYPE_ARR, YYJSON_SUBTYPE_NONE, node->count);
    else
        unsafe_yyjson_set_tag(value, YYJSON_TYPE_OBJ, YYJSON_SUBTYPE_NONE, node->count / 2);
    value->uni.ofs = (doc->count - at) * sizeof(yyjson_val);
    return true;
}

static bool make_doc(const Loader *loader, const Node *root, YamlDoc **ret_doc, Error *err)
{
    YamlDoc *doc = arena_alloc(loader->arena, sizeof(*doc), err);
    TRY(doc != NULL);
    doc->values = arena_alloc_array(loader->arena, root->values, sizeof(yyjson_val), err);
    TRY(doc->values != NULL);
    doc->places = arena_alloc_array(loader->arena, root->values, sizeof(Place), err);
    TRY(doc->places != NULL && lay_out(loader, doc, root, err));
    assert(doc->count == root->values);
    *ret_doc = doc;
    return true;
}

// Reads the next event and wants it to be of `type`.
static bool expect_event(Loader *loader, yaml_event_type_t type, Error *err)
{
    CLEANUP(yaml_event_delete) yaml_event_t event = {0};
    TRY(next_event(loader, &event, err));
    if (event.type != type)
        return fail(loader, (uint32_t)event.start_mark.line + 1, err,
                    "a second document begins: one is allowed");
    return true;
}

static bool read_document(Loader *loader, Node **ret_root, Error *err)
{
    TRY(expect_event(loader, YAML_STREAM_START_EVENT, err));
    CLEANUP(yaml_event_delete) yaml_event_t start = {0};
    TRY(next_event(loader, &start, err));
    if (start.type == YAML_STREAM_END_EVENT) {
        // Nothing at all reads as null.
        *ret_root = node_new(loader, NODE_SCALAR, &start, err);
        TRY(*ret_root != NULL);
        (*ret_root)->plain = true;
        return true;
    }
    CLEANUP(yaml_event_delete) yaml_event_t first = {0};
    TRY(next_event(loader, &first, err));
    return read_node(loader, &first, 0, ret_root, err) &&
           expect_event(loader, YAML_DOCUMENT_END_EVENT, err) &&
           expect_event(loader, YAML_STREAM_END_EVENT, err);
}

bool yaml_load(Str bytes, Str name, Arena *arena, YamlDoc **ret_doc, Error *err)
{
    assert(arena != NULL);

    if (bytes.size > YAML_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ": larger than %d bytes", STR_ARG(name),
                         (int)YAML_BYTES_MAX);
    Loader loader = {.name = name, .arena = arena};
    if (yaml_parser_initialize(&loader.parser) == 0)
        return error_set(err, ERROR_LIMIT, STR_FMT ": out of memory", STR_ARG(name));
    yaml_parser_set_encoding(&loader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&loader.parser, (const unsigned char *)bytes.data, bytes.size);

    Node *root = NULL;
    const bool ok = read_document(&loader, &root, err) && make_doc(&loader, root, ret_doc, err);
    yaml_parser_delete(&loader.parser);
    return ok;
}

yyjson_val *yaml_root(const YamlDoc *doc)
{
    return doc->values;
}

static Place place_of(const YamlDoc *doc, const yyjson_val *value)
{
    const uintptr_t from = (uintptr_t)doc->values;
    const uintptr_t at = (uintptr_t)value;
    if (at < from || at >= from + doc->count * sizeof(yyjson_val))
        return (Place){0};
    return doc->places[(at - from) / sizeof(yyjson_val)];
}

size_t yaml_line(const YamlDoc *doc, const yyjson_val *value)
{
    return place_of(doc, value).line;
}

size_t yaml_column(const YamlDoc *doc, const yyjson_val *value)
{
    return place_of(doc, value).column;
}
