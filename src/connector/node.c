#include "connector/node.h"

#include "connector/component.h"

#include <assert.h>
#include <stdlib.h>

typedef struct Loader {
    Arena *arena;
    Findings *findings;
    Str name;
    const YamlDoc *doc;
    const Node *root;
    size_t count;
    Error *err;
} Loader;

static Node *node_new(Loader *loader, NodeKind kind, uint32_t line, size_t count)
{
    if (++loader->count > NODE_COUNT_MAX) {
        (void)error_set(loader->err, ERROR_LIMIT, STR_FMT ": more than %d nodes after references",
                        STR_ARG(loader->name), NODE_COUNT_MAX);
        return NULL;
    }
    Node *node = arena_alloc(loader->arena, sizeof *node, loader->err);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->line = line;
    node->count = count;
    if (count == 0 || kind == NODE_SCALAR)
        return node;
    if (kind == NODE_LIST)
        node->items = arena_alloc_array(loader->arena, count, sizeof(Node *), loader->err);
    else
        node->members = arena_alloc_array(loader->arena, count, sizeof(NodeMember), loader->err);
    bool ok = kind == NODE_LIST ? node->items != NULL : node->members != NULL;
    return ok ? node : NULL;
}

static void add_fault(Loader *loader, const Node *node, Str fix, const char *what, Str detail)
{
    char place[300];
    int size = snprintf(place, sizeof place, STR_FMT ":%u",
                        STR_ARG(str_slice(loader->name, 0, 250)), node->line);
    findings_addf(loader->findings, (Str){place, (size_t)size}, fix, "%s '" STR_FMT "'", what,
                  STR_ARG(detail));
}

// ------------------------------------------------------------------------ from YAML

static const Node *from_yaml(Loader *loader, yyjson_val *value, size_t depth);

static const Node *from_yaml_list(Loader *loader, yyjson_val *value, uint32_t line, size_t depth)
{
    Node *node = node_new(loader, NODE_LIST, line, yyjson_arr_size(value));
    if (node == NULL)
        return NULL;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(value, index, count, item)
    {
        node->items[index] = from_yaml(loader, item, depth + 1);
        if (node->items[index] == NULL)
            return NULL;
    }
    return node;
}

static const Node *from_yaml_map(Loader *loader, yyjson_val *value, uint32_t line, size_t depth)
{
    Node *node = node_new(loader, NODE_MAP, line, yyjson_obj_size(value));
    if (node == NULL)
        return NULL;
    size_t index, count;
    yyjson_val *key, *item;
    yyjson_obj_foreach(value, index, count, key, item)
    {
        node->members[index] =
            (NodeMember){.key = json_str(key), .node = from_yaml(loader, item, depth + 1)};
        if (node->members[index].node == NULL)
            return NULL;
    }
    return node;
}

static const Node *from_yaml(Loader *loader, yyjson_val *value, size_t depth)
{
    assert(depth <= NODE_DEPTH_MAX); // yaml_load() refuses deeper ones
    uint32_t line = (uint32_t)yaml_line(loader->doc, value);
    if (yyjson_is_arr(value))
        return from_yaml_list(loader, value, line, depth);
    if (yyjson_is_obj(value))
        return from_yaml_map(loader, value, line, depth);
    Node *node = node_new(loader, NODE_SCALAR, line, 0);
    if (node != NULL)
        node->scalar = value_json(value);
    return node;
}

// ------------------------------------------------------------------------ reading

const Node *node_get(const Node *map, Str key)
{
    if (map == NULL || map->kind != NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (str_equal(map->members[i].key, key))
            return map->members[i].node;
    }
    return NULL;
}

Str node_text(const Node *node)
{
    if (node == NULL || node->kind != NODE_SCALAR || node->scalar.kind != VALUE_STR)
        return (Str){NULL, 0};
    return node->scalar.text;
}

Str node_type(const Node *map)
{
    return node_text(node_get(map, STR("type")));
}

bool node_is_null(const Node *node)
{
    return node == NULL || (node->kind == NODE_SCALAR && node->scalar.kind == VALUE_NONE);
}

bool node_is_true(const Node *node)
{
    if (node == NULL)
        return false;
    return node->kind == NODE_SCALAR ? value_is_true(node->scalar) : node->count > 0;
}

bool node_value(const Node *node, Arena *arena, Value *ret_value, Error *err)
{
    if (node == NULL) {
        *ret_value = value_none();
        return true;
    }
    if (node->kind == NODE_SCALAR) {
        *ret_value = node->scalar;
        return true;
    }
    if (node->kind == NODE_LIST) {
        Value *items = arena_alloc_array(arena, node->count + 1, sizeof *items, err);
        TRY(items != NULL);
        for (size_t i = 0; i < node->count; i++)
            TRY(node_value(node->items[i], arena, &items[i], err));
        *ret_value = (Value){.kind = VALUE_LIST, .list = {items, node->count}};
        return true;
    }
    ValuePair *pairs = arena_alloc_array(arena, node->count + 1, sizeof *pairs, err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < node->count; i++) {
        pairs[i].key = value_str(node->members[i].key);
        TRY(node_value(node->members[i].node, arena, &pairs[i].value, err));
    }
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pairs, node->count}};
    return true;
}

// ------------------------------------------------------------------------ references

static const Node *resolve(Loader *loader, const Node *node, size_t depth);

static bool parse_index(Str text, size_t *ret_index)
{
    int64_t number = 0;
    if (!str_to_int64(text, &number) || number < 0)
        return false;
    *ret_index = (size_t)number;
    return true;
}

// "#/a/b" is looked for as key "a/b" first, then as "a" with "b" below: keys may hold a slash.
static const Node *look_up(const Node *node, Str path)
{
    while (path.size > 0) {
        const Node *whole = node_get(node, path);
        if (whole != NULL)
            return whole;
        size_t slash = str_find_char(path, '/');
        Str head = str_slice(path, 0, slash);
        size_t index = 0;
        if (node->kind == NODE_LIST && parse_index(head, &index) && index < node->count)
            node = node->items[index];
        else
            node = node_get(node, head);
        if (node == NULL)
            return NULL;
        path = str_slice(path, slash + 1, path.size);
    }
    return node;
}

static const Node *null_node(Loader *loader, uint32_t line)
{
    Node *node = node_new(loader, NODE_SCALAR, line, 0);
    if (node != NULL)
        node->scalar = value_none();
    return node;
}

static const Node *resolve_text(Loader *loader, const Node *node, size_t depth)
{
    Str text = node->scalar.text;
    const Node *target = look_up(loader->root, str_slice(text, 2, text.size));
    if (target == NULL) {
        add_fault(loader, node, STR("name a place of this manifest"), "no such reference", text);
        return null_node(loader, node->line);
    }
    if (target->resolving) {
        add_fault(loader, node, STR("break the circle"), "circular reference", text);
        return null_node(loader, node->line);
    }
    return resolve(loader, target, depth + 1);
}

static const Node *resolve_list(Loader *loader, const Node *node, size_t depth)
{
    Node *copy = node_new(loader, NODE_LIST, node->line, node->count);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < node->count; i++) {
        copy->items[i] = resolve(loader, node->items[i], depth + 1);
        if (copy->items[i] == NULL)
            return NULL;
    }
    return copy;
}

static bool set_member(Node *map, Str key, const Node *node)
{
    for (size_t i = 0; i < map->count; i++) {
        if (str_equal(map->members[i].key, key)) {
            map->members[i].node = node;
            return false;
        }
    }
    map->members[map->count++] = (NodeMember){key, node};
    return true;
}

// A map with "$ref": what it refers to, overlaid (one level deep) by its own members.
static const Node *resolve_map(Loader *loader, const Node *node, size_t depth)
{
    const Node *ref = node_get(node, STR("$ref"));
    const Node *base = ref == NULL ? NULL : resolve(loader, ref, depth + 1);
    if (ref != NULL && base == NULL)
        return NULL;
    if (base != NULL && base->kind != NODE_MAP)
        return base;
    size_t room = node->count + (base == NULL ? 0 : base->count);
    Node *copy = node_new(loader, NODE_MAP, node->line, room);
    if (copy == NULL)
        return NULL;
    copy->count = base == NULL ? 0 : base->count;
    if (copy->count > 0)
        memcpy(copy->members, base->members, copy->count * sizeof *copy->members);
    for (size_t i = 0; i < node->count; i++) {
        const NodeMember *member = &node->members[i];
        if (str_equal(member->key, STR("$ref")))
            continue;
        const Node *value = str_equal(member->key, STR("config_overrides"))
                                ? member->node
                                : resolve(loader, member->node, depth + 1);
        if (value == NULL)
            return NULL;
        if (base == NULL)
            copy->members[copy->count++] = (NodeMember){member->key, value};
        else
            (void)set_member(copy, member->key, value);
    }
    return copy;
}

// What a node resolves to does not depend on where it is referred from, so each is resolved once.
static const Node *resolve(Loader *loader, const Node *node, size_t depth)
{
    if (node->resolved != NULL)
        return node->resolved;
    if (depth > NODE_DEPTH_MAX) {
        (void)error_set(loader->err, ERROR_LIMIT, STR_FMT ":%u: references nest deeper than %d",
                        STR_ARG(loader->name), node->line, NODE_DEPTH_MAX);
        return NULL;
    }
    Node *mine = (Node *)(uintptr_t)node; // the loader owns the tree until it hands it out
    mine->resolving = true;
    const Node *result = node;
    if (node->kind == NODE_LIST)
        result = resolve_list(loader, node, depth);
    else if (node->kind == NODE_MAP)
        result = resolve_map(loader, node, depth);
    else if (str_starts_with(node_text(node), STR("#/")))
        result = resolve_text(loader, node, depth);
    mine->resolving = false;
    mine->resolved = result;
    return result;
}

// ------------------------------------------------------------------------ types and parameters

static const Node *propagate(Loader *loader, Str place, const Node *node, const Node *parameters,
                             size_t depth);

static bool is_json_schema(const Node *map)
{
    const Node *type = node_get(map, STR("type"));
    return type != NULL && (type->kind != NODE_SCALAR || str_equal(node_text(type), STR("object")));
}

static bool has_typed_member(const Node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const Node *member = map->members[i].node;
        if (member->kind == NODE_MAP && node_is_true(node_get(member, STR("type"))))
            return true;
    }
    return false;
}

// A copy of `map` without member `key` that has room for `extra` more.
static Node *copy_map(Loader *loader, const Node *map, Str key, size_t extra)
{
    Node *copy = node_new(loader, NODE_MAP, map->line, map->count + extra);
    if (copy == NULL)
        return NULL;
    copy->count = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (key.data == NULL || !str_equal(map->members[i].key, key))
            copy->members[copy->count++] = map->members[i];
    }
    return copy;
}

// Its own parameters win over those from above.
static const Node *merge_parameters(Loader *loader, const Node *above, const Node *own)
{
    if (own == NULL || own->kind != NODE_MAP || own->count == 0)
        return above;
    Node *merged = copy_map(loader, above, (Str){NULL, 0}, own->count);
    if (merged == NULL)
        return NULL;
    for (size_t i = 0; i < own->count; i++)
        (void)set_member(merged, own->members[i].key, own->members[i].node);
    return merged;
}

static const Node *propagate_untyped(Loader *loader, Str place, Node *copy, const Node *parameters,
                                     size_t depth)
{
    if (is_json_schema(copy) || !has_typed_member(copy))
        return copy;
    for (size_t i = 0; i < copy->count; i++) {
        const Node *member = copy->members[i].node;
        if (member->kind != NODE_MAP || !node_is_true(node_get(member, STR("type"))))
            continue;
        copy->members[i].node = propagate(loader, place, member, parameters, depth + 1);
        if (copy->members[i].node == NULL)
            return NULL;
    }
    return copy;
}

static const Node *propagate_list(Loader *loader, Str place, const Node *list,
                                  const Node *parameters, size_t depth)
{
    Node *copy = node_new(loader, NODE_LIST, list->line, list->count);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        const Node *item = list->items[i];
        copy->items[i] =
            item->kind == NODE_MAP ? propagate(loader, place, item, parameters, depth + 1) : item;
        if (copy->items[i] == NULL)
            return NULL;
    }
    return copy;
}

// Definitions and schemas were only there to be referred to.
static bool is_left_alone(Str type, Str key)
{
    return str_equal(type, STR("DeclarativeSource")) &&
           (str_equal(key, STR("definitions")) || str_equal(key, STR("schemas")) ||
            str_equal(key, STR("metadata")));
}

static bool propagate_member(Loader *loader, Str type, NodeMember *member, const Node *parameters,
                             size_t depth)
{
    const Node *node = member->node;
    if (node->kind == NODE_SCALAR || is_left_alone(type, member->key))
        return true;
    char text[160];
    int size = snprintf(text, sizeof text, STR_FMT "." STR_FMT, STR_ARG(str_slice(type, 0, 70)),
                        STR_ARG(str_slice(member->key, 0, 70)));
    Str place = {text, (size_t)size};
    // A parameter named like the field would put the field into itself for ever.
    const Node *below = parameters;
    if (node_get(parameters, member->key) != NULL)
        below = copy_map(loader, parameters, member->key, 0);
    if (below == NULL)
        return false;
    member->node = node->kind == NODE_MAP ? propagate(loader, place, node, below, depth + 1)
                                          : propagate_list(loader, place, node, below, depth + 1);
    return member->node != NULL;
}

static const Node *text_node(Loader *loader, uint32_t line, Str text)
{
    Node *node = node_new(loader, NODE_SCALAR, line, 0);
    if (node != NULL)
        node->scalar = value_str(text);
    return node;
}

static const Node *propagate_typed(Loader *loader, Node *copy, const Node *parameters, size_t depth)
{
    Str type = node_type(copy);
    component_check(copy, loader->name, loader->findings);
    for (size_t i = 0; i < parameters->count; i++) {
        const NodeMember *parameter = &parameters->members[i];
        if (!node_is_true(node_get(copy, parameter->key)))
            (void)set_member(copy, parameter->key, parameter->node);
    }
    for (size_t i = 0; i < copy->count; i++) {
        if (!propagate_member(loader, type, &copy->members[i], parameters, depth))
            return NULL;
    }
    if (parameters->count > 0)
        (void)set_member(copy, STR("$parameters"), parameters);
    return copy;
}

static const Node *propagate(Loader *loader, Str place, const Node *node, const Node *parameters,
                             size_t depth)
{
    if (depth > NODE_DEPTH_MAX) {
        (void)error_set(loader->err, ERROR_LIMIT, STR_FMT ":%u: components nest deeper than %d",
                        STR_ARG(loader->name), node->line, NODE_DEPTH_MAX);
        return NULL;
    }
    if (is_json_schema(node))
        return node;
    const Node *current = merge_parameters(loader, parameters, node_get(node, STR("$parameters")));
    if (current == NULL)
        return NULL;
    Node *copy = copy_map(loader, node, STR("$parameters"), current->count + 2);
    if (copy == NULL)
        return NULL;
    bool custom = node_get(copy, STR("class_name")) != NULL;
    Str implied = component_default_type(place, custom);
    if (node_get(copy, STR("type")) == NULL && implied.data != NULL) {
        const Node *type = text_node(loader, node->line, implied);
        if (type == NULL)
            return NULL;
        (void)set_member(copy, STR("type"), type);
    }
    if (node_type(copy).data == NULL)
        return propagate_untyped(loader, place, copy, current, depth);
    return propagate_typed(loader, copy, current, depth);
}

// ------------------------------------------------------------------------ the whole

static const Node *with_type(Loader *loader, const Node *root)
{
    if (node_get(root, STR("type")) != NULL)
        return root;
    Node *copy = copy_map(loader, root, (Str){NULL, 0}, 1);
    const Node *type = copy == NULL ? NULL : text_node(loader, 1, STR("DeclarativeSource"));
    if (type == NULL)
        return NULL;
    (void)set_member(copy, STR("type"), type);
    return copy;
}

bool manifest_load(Str bytes, Str name, Arena *arena, Findings *findings, const Node **ret_root,
                   Error *err)
{
    YamlDoc *doc = NULL;
    TRY(yaml_load(bytes, name, arena, &doc, err));
    if (!yyjson_is_obj(yaml_root(doc)))
        return error_set(err, ERROR_JOB, STR_FMT ":1: a manifest is a map of members",
                         STR_ARG(name));

    Loader loader = {.arena = arena, .findings = findings, .name = name, .doc = doc, .err = err};
    loader.root = from_yaml(&loader, yaml_root(doc), 0);
    TRY(loader.root != NULL);
    const Node *resolved = resolve(&loader, loader.root, 0);
    TRY(resolved != NULL);
    resolved = with_type(&loader, resolved);
    TRY(resolved != NULL);
    const Node *none = node_new(&loader, NODE_MAP, 1, 0);
    TRY(none != NULL);
    const Node *root = propagate(&loader, STR(""), resolved, none, 0);
    TRY(root != NULL);
    *ret_root = root;
    return true;
}
