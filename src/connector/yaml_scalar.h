// Yaml scalars: what plain text means, by YAML 1.1 and PyYAML.
#pragma once

#include "base/json.h"

typedef enum ScalarKind {
    SCALAR_STR,
    SCALAR_NULL,
    SCALAR_BOOL,
    SCALAR_INT,
    SCALAR_FLOAT,
} ScalarKind;

// What a plain scalar is.
ScalarKind yaml_resolve(Str text);

// Reads `text` as `kind` (which it must look like) into `value`. `text` stays where it is and ends
// with a NUL. An integer beyond 64 bits stays text.
void yaml_set_scalar(yyjson_val *value, ScalarKind kind, Str text);
