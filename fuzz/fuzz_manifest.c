// links: pawl_connector
//
// A manifest as it is read: whatever the bytes, the values must be a tree that yyjson can walk,
// each value with its line.
#include "connector/yaml.h"

#include <stdlib.h>

enum { RUN_BYTES = 256 * 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static size_t walk(const YamlDoc *doc, yyjson_val *value, size_t depth)
{
    size_t count = 1;
    must(depth <= YAML_DEPTH_MAX);
    must(yaml_line(doc, value) > 0 && yaml_column(doc, value) > 0);
    if (yyjson_is_arr(value)) {
        yyjson_arr_iter iter = yyjson_arr_iter_with(value);
        for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;)
            count += walk(doc, item, depth + 1);
    } else if (yyjson_is_obj(value)) {
        yyjson_obj_iter iter = yyjson_obj_iter_with(value);
        for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
            must(yyjson_is_str(key));
            count += 1 + walk(doc, yyjson_obj_iter_get_val(key), depth + 1);
        }
    } else {
        must(yyjson_is_null(value) || yyjson_is_bool(value) || yyjson_is_num(value) ||
             yyjson_is_str(value));
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    must(arena != NULL);
    YamlDoc *doc = NULL;
    const bool ok =
        yaml_load((Str){(const char *)data, size}, STR("manifest.yaml"), arena, &doc, &err);
    must(ok == (err.code == ERROR_NONE));
    if (ok)
        must(walk(doc, yaml_root(doc), 0) <= YAML_VALUES_MAX);
    return 0;
}
