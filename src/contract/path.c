#include "contract/reader.h"

const char *const contract_privacies[] = {"keep", "mask", "hash", "drop", NULL};

// An array made longer; NULL `items` is an empty one.
static void *longer(Arena *arena, void *items, size_t old_size, size_t size, Error *err)
{
    if (items == NULL)
        return arena_alloc(arena, size, err);
    return arena_resize(arena, items, old_size, size, err);
}

static Node *new_node(Arena *arena, Str name, Error *err)
{
    Node *node = arena_alloc(arena, sizeof(*node), err);
    if (node == NULL)
        return NULL;
    node->name = name;
    node->source = NO_SOURCE;
    return node;
}

// The member of `parent`, made when it is not there.
static Node *step_into(Arena *arena, Node *parent, Str name, Error *err)
{
    const bool any = str_equal(name, STR("*"));
    if (any && parent->any != NULL)
        return parent->any;
    for (size_t i = 0; !any && i < parent->member_count; i++) {
        if (str_equal(parent->members[i]->name, name))
            return parent->members[i];
    }
    Node *node = new_node(arena, name, err);
    if (node == NULL)
        return NULL;
    if (any) {
        parent->any = node;
        return node;
    }
    Node **members = longer(arena, parent->members, parent->member_count * sizeof(Node *),
                            (parent->member_count + 1) * sizeof(Node *), err);
    if (members == NULL)
        return NULL;
    members[parent->member_count++] = node;
    parent->members = members;
    return node;
}

bool path_read_step(Arena *arena, Str step, Str *ret_name, Error *err)
{
    CLEANUP(buf_done) Buf name = {0};
    return json_read_step(step, &name, err) && arena_copy_str(arena, buf_str(&name), ret_name, err);
}

bool path_root(Arena *arena, Node **ret_root, Error *err)
{
    Node *root = new_node(arena, STR(""), err);
    TRY(root != NULL);
    *ret_root = root;
    return true;
}

bool path_is_fine(Reader *reader, Str pointer, Str path, bool stars)
{
    if (path.size < 2 || path.data[0] != '/') {
        reader_find(reader, pointer, STR("write it as /member or /member/member"), "is not a path");
        return false;
    }
    size_t depth = 0;
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL) {
        const Str step = str_split_next(&rest, '/');
        if (!stars && str_equal(step, STR("*"))) {
            reader_find(reader, pointer, STR("name the member"), "a column's path cannot hold *");
            return false;
        }
        depth++;
    }
    if (depth > PATH_DEPTH_MAX) {
        reader_find(reader, pointer, STR(""), "is deeper than %d members", PATH_DEPTH_MAX);
        return false;
    }
    return true;
}

bool path_node(Reader *reader, Str path, Node **ret_node, Error *err)
{
    Node *node = reader->contract->root;
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL) {
        Str name = {0};
        TRY(path_read_step(reader->arena, str_split_next(&rest, '/'), &name, err));
        node = step_into(reader->arena, node, name, err);
        TRY(node != NULL);
    }
    *ret_node = node;
    return true;
}

static bool grow_sources(Reader *reader, Error *err)
{
    Contract *contract = reader->contract;
    if (contract->source_count < contract->source_capacity)
        return true;
    if (contract->source_count >= SOURCES_MAX)
        return error_set(err, ERROR_LIMIT, "contract: more than %d paths", SOURCES_MAX);
    const size_t capacity = contract->source_capacity == 0 ? 64 : contract->source_capacity * 2;
    Source *sources =
        longer(reader->arena, contract->sources, contract->source_capacity * sizeof(Source),
               capacity * sizeof(Source), err);
    TRY(sources != NULL);
    contract->sources = sources;
    contract->source_capacity = capacity;
    return true;
}

bool path_source(Reader *reader, Str path, int *ret_source, Error *err)
{
    Node *node = NULL;
    TRY(path_node(reader, path, &node, err));
    Contract *contract = reader->contract;
    if (node->source == NO_SOURCE) {
        TRY(grow_sources(reader, err));
        Source *source = &contract->sources[contract->source_count];
        TRY(arena_copy_str(reader->arena, path, &source->path, err));
        source->node = node;
        node->source = (int)contract->source_count++;
    }
    *ret_source = node->source;
    return true;
}

// Calls `take` for each path of the array under `member`.
typedef void (*TakePath)(Node *node);

static void take_volatile(Node *node)
{
    node->is_volatile = true;
}

static void take_known(Node *node)
{
    node->known = true;
}

static bool read_paths(Reader *reader, yyjson_val *array, const char *member, TakePath take,
                       Error *err)
{
    if (array == NULL)
        return true;
    Str pointer = {0};
    if (!yyjson_is_arr(array)) {
        TRY(arena_printf(reader->arena, &pointer, err, "/%s", member));
        reader_find(reader, pointer, STR("write [\"/path\"]"), "is not an array of paths");
        return true;
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(array, index, count, item)
    {
        TRY(reader_pointer(reader, &pointer, err, STR(""), member, index));
        if (!yyjson_is_str(item)) {
            reader_find(reader, pointer, STR(""), "is not a path");
            continue;
        }
        Node *node = NULL;
        if (!path_is_fine(reader, pointer, json_str(item), true))
            continue;
        TRY(path_node(reader, json_str(item), &node, err));
        take(node);
    }
    return true;
}

bool path_is_volatile(Reader *reader, Str path, bool *ret_is, Error *err)
{
    *ret_is = false;
    for (size_t i = 1; i <= path.size; i++) {
        Node *node = NULL;
        if (i < path.size && path.data[i] != '/')
            continue;
        TRY(path_node(reader, str_slice(path, 0, i), &node, err));
        *ret_is = *ret_is || node->is_volatile;
    }
    return true;
}

bool path_read_volatile(Reader *reader, yyjson_val *array, Error *err)
{
    return read_paths(reader, array, "volatile", take_volatile, err);
}

bool path_read_known(Reader *reader, yyjson_val *array, Error *err)
{
    return read_paths(reader, array, "known", take_known, err);
}

static int choice_of(Str name, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (str_equal(name, str_from(choices[i])))
            return i;
    }
    return -1;
}

// A choice that is not in its list: says which are, or which was probably meant.
static bool find_choice(Reader *reader, Str pointer, yyjson_val *value, const char *const *choices,
                        Error *err)
{
    Str names[16];
    size_t count = 0;
    for (; choices[count] != NULL; count++)
        names[count] = str_from(choices[count]);
    Str fix = {0};
    TRY(reader_suggest(reader, json_str(value), names, count, &fix, err));
    if (fix.size == 0)
        TRY(arena_printf(reader->arena, &fix, err, "one of %s, %s, %s, %s", choices[0], choices[1],
                         choices[2], count > 3 ? choices[3] : "..."));
    reader_find(reader, pointer, fix, "is none of the choices");
    return true;
}

bool path_read_privacy(Reader *reader, yyjson_val *object, Error *err)
{
    if (object == NULL)
        return true;
    if (!yyjson_is_obj(object)) {
        reader_find(reader, STR("/privacy"), STR("write {\"/path\": \"mask\"}"),
                    "is not an object");
        return true;
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(object, index, count, name, value)
    {
        Str pointer = {0};
        TRY(arena_printf(reader->arena, &pointer, err, "/privacy, path " STR_FMT,
                         STR_ARG(json_str(name))));
        const int choice =
            yyjson_is_str(value) ? choice_of(json_str(value), contract_privacies) : -1;
        if (choice < 0) {
            TRY(find_choice(reader, pointer, value, contract_privacies, err));
            continue;
        }
        Node *node = NULL;
        if (!path_is_fine(reader, pointer, json_str(name), true))
            continue;
        TRY(path_node(reader, json_str(name), &node, err));
        node->privacy = (Privacy)choice;
    }
    return true;
}
