#include "connector/transform.h"

// ------------------------------------------------------------------------ binding

static bool bind_path(const Binder *binder, const Node *owner, const Node *path,
                      Str parts[PATH_PARTS_MAX], size_t *ret_count, Error *err)
{
    if (path == NULL || path->kind != NODE_LIST || path->count == 0)
        return bind_missing(binder, owner, "path", err);
    if (path->count > PATH_PARTS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: a path longer than %d",
                         STR_ARG(binder->file), path->line, PATH_PARTS_MAX);
    for (size_t i = 0; i < path->count; i++) {
        Value part = value_none();
        TRY(node_value(path->items[i], binder->arena, &part, err));
        TRY(value_text(part, binder->arena, &parts[i], err));
    }
    *ret_count = path->count;
    return true;
}

static ExprKinds kinds_of(const Node *node)
{
    static const struct {
        const char *name;
        ExprKinds kinds;
    } rows[] = {{"string", EXPR_TEXT},
                {"integer", EXPR_INT},
                {"number", EXPR_FLOAT},
                {"boolean", EXPR_BOOL}};
    for (size_t i = 0; i < 4; i++) {
        if (str_equal(node_text(node), str_from(rows[i].name)))
            return rows[i].kinds;
    }
    return EXPR_ANY;
}

static bool bind_add(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    const Node *list = node_get(node, STR("fields"));
    if (list == NULL || list->kind != NODE_LIST)
        return bind_missing(binder, node, "fields", err);
    transform->fields = arena_alloc_array(binder->arena, list->count + 1, sizeof(AddedField), err);
    TRY(transform->fields != NULL);
    for (size_t i = 0; i < list->count; i++) {
        const Node *item = list->items[i];
        AddedField *field = &transform->fields[transform->count++];
        TRY(bind_path(binder, item, node_get(item, STR("path")), field->path, &field->path_count,
                      err));
        TRY(expr_bind_field(item, STR("value"), binder->file, binder->arena, &field->value, err));
        if (!field->value.exists)
            return bind_missing(binder, item, "value", err);
        field->kinds = kinds_of(node_get(item, STR("value_type")));
    }
    return true;
}

static bool bind_remove(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    const Node *list = node_get(node, STR("field_pointers"));
    if (list == NULL || list->kind != NODE_LIST)
        return bind_missing(binder, node, "field_pointers", err);
    transform->pointers = arena_alloc_array(binder->arena, list->count + 1, sizeof(Pointer), err);
    TRY(transform->pointers != NULL);
    for (size_t i = 0; i < list->count; i++) {
        Pointer *pointer = &transform->pointers[transform->count++];
        TRY(bind_path(binder, node, list->items[i], pointer->path, &pointer->count, err));
    }
    return true;
}

static bool bind_replace(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    transform->kind = TRANSFORM_REPLACE;
    TRY(expr_bind_field(node, STR("old"), binder->file, binder->arena, &transform->before, err));
    TRY(expr_bind_field(node, STR("new"), binder->file, binder->arena, &transform->after, err));
    return (transform->before.exists && transform->after.exists) ||
           bind_missing(binder, node, "old", err);
}

static bool bind_flatten_at(const Binder *binder, const Node *node, Transform *transform,
                            Error *err)
{
    const Node *path = node_get(node, STR("field_path"));
    const Node *names = node_get(node, STR("key_transformation"));
    transform->kind = TRANSFORM_FLATTEN_AT;
    transform->deletes_origin = node_is_true(node_get(node, STR("delete_origin_value")));
    transform->replaces_record = node_is_true(node_get(node, STR("replace_record")));
    TRY(expr_bind_field(names, STR("prefix"), binder->file, binder->arena, &transform->before,
                        err));
    TRY(expr_bind_field(names, STR("suffix"), binder->file, binder->arena, &transform->after, err));
    if (path == NULL || path->kind != NODE_LIST || path->count == 0 || path->count > PATH_PARTS_MAX)
        return bind_missing(binder, node, "field_path", err);
    for (size_t i = 0; i < path->count; i++)
        TRY(expr_bind(node, path->items[i], binder->file, binder->arena,
                      &transform->path[transform->path_count++], err));
    return true;
}

static bool bind_one(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    TRY(expr_bind_field(node, STR("condition"), binder->file, binder->arena, &transform->condition,
                        err));
    if (transform->condition.template != NULL && transform->condition.source.size == 0)
        transform->condition.exists = false;
    if (bind_is(node, "AddFields")) {
        transform->kind = TRANSFORM_ADD;
        return bind_add(binder, node, transform, err);
    }
    if (bind_is(node, "RemoveFields")) {
        transform->kind = TRANSFORM_REMOVE;
        return bind_remove(binder, node, transform, err);
    }
    if (bind_is(node, "KeysToLower")) {
        transform->kind = TRANSFORM_LOWER;
        return true;
    }
    if (bind_is(node, "KeysToSnakeCase")) {
        transform->kind = TRANSFORM_SNAKE;
        return true;
    }
    if (bind_is(node, "FlattenFields")) {
        const Node *lists = node_get(node, STR("flatten_lists"));
        transform->kind = TRANSFORM_FLATTEN;
        transform->flattens_lists = node_is_null(lists) || node_is_true(lists);
        return true;
    }
    if (bind_is(node, "DpathFlattenFields"))
        return bind_flatten_at(binder, node, transform, err);
    if (bind_is(node, "KeysReplace"))
        return bind_replace(binder, node, transform, err);
    return bind_unsupported(binder, node, err);
}

bool transforms_bind(const Binder *binder, const Node *list, Transform **ret_transforms,
                     size_t *ret_count, Error *err)
{
    *ret_transforms = NULL;
    *ret_count = 0;
    if (list == NULL || list->kind != NODE_LIST || list->count == 0)
        return true;
    Transform *transforms = arena_alloc_array(binder->arena, list->count, sizeof *transforms, err);
    TRY(transforms != NULL);
    for (size_t i = 0; i < list->count; i++)
        TRY(bind_one(binder, list->items[i], &transforms[i], err));
    *ret_transforms = transforms;
    *ret_count = list->count;
    return true;
}

// ------------------------------------------------------------------------ applying

static bool apply_add(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                      Error *err)
{
    for (size_t i = 0; i < transform->count; i++) {
        const AddedField *field = &transform->fields[i];
        TRY(frame_set(frame, STR("record"), *record, err));
        Value value = value_none();
        TRY(expr_typed(&field->value, frame, field->kinds, arena, &value, err));
        bool wanted = true;
        if (transform->condition.exists) {
            TRY(frame_set(frame, STR("value"), value, err));
            TRY(expr_bool(&transform->condition, frame, arena, &wanted, err));
        }
        if (wanted)
            TRY(value_set_at(record, field->path, field->path_count, value, arena, err));
    }
    return true;
}

bool transforms_apply(const Transform *transforms, size_t count, Value *record, Frame *frame,
                      Arena *arena, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        const Transform *transform = &transforms[i];
        if (transform->kind == TRANSFORM_ADD)
            TRY(apply_add(transform, record, frame, arena, err));
        else if (transform->kind == TRANSFORM_REMOVE)
            TRY(transform_remove(transform, record, frame, arena, err));
        else if (transform->kind == TRANSFORM_LOWER)
            TRY(transform_lower(record, arena, err));
        else if (transform->kind == TRANSFORM_SNAKE)
            TRY(transform_snake(record, arena, err));
        else if (transform->kind == TRANSFORM_FLATTEN)
            TRY(transform_flatten(transform, record, arena, err));
        else if (transform->kind == TRANSFORM_FLATTEN_AT)
            TRY(transform_flatten_at(transform, record, frame, arena, err));
        else
            TRY(transform_replace(transform, record, frame, arena, err));
    }
    return true;
}
